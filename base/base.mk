# SPDX-License-Identifier: BSD-2-Clause
MBR_BASE_SOURCES = \
    base/checked.h \
    base/error.c \
    base/error.h \
    base/memory.c \
    base/memory.h
