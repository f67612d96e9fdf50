# SPDX-License-Identifier: BSD-2-Clause
MBR_ENGINE_SOURCES =
