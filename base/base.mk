# SPDX-License-Identifier: BSD-2-Clause
MBR_BASE_SOURCES = \
    base/checked.h \
    base/dtype.c \
    base/env.h \
    base/error.c \
    base/error.h \
    base/file_io.c \
    base/file_io.h \
    base/filemap.c \
    base/filemap.h \
    base/half.c \
    base/half.h \
    base/hash.c \
    base/hash.h \
    base/log.c \
    base/log.h \
    base/memory.c \
    base/memory.h
