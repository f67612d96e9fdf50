# SPDX-License-Identifier: BSD-2-Clause
MBR_API_SOURCES =
