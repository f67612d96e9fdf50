# SPDX-License-Identifier: BSD-2-Clause
MBR_ENGINE_SOURCES = \
    engine/dim.c \
    engine/dim.h \
    engine/infer.c \
    engine/infer.h \
    engine/ir.c \
    engine/ir.h \
    engine/ops/identity.c \
    engine/ops/list.h \
    engine/ops/op.h \
    engine/ops/registry.c \
    engine/value.c \
    engine/value.h
