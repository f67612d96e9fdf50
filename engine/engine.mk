# SPDX-License-Identifier: BSD-2-Clause
include $(top_srcdir)/engine/ops/ops.mk
MBR_ENGINE_SOURCES = $(MBR_ENGINE_OPS) \
    engine/dim.c \
    engine/dim.h \
    engine/infer.c \
    engine/infer.h \
    engine/ir.c \
    engine/ir.h \
    engine/value.c \
    engine/value.h
