# SPDX-License-Identifier: BSD-2-Clause
MBR_RUNTIME_SOURCES =
