# SPDX-License-Identifier: BSD-2-Clause
MBR_IMPORTERS_SOURCES =
