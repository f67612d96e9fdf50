# SPDX-License-Identifier: BSD-2-Clause
include $(top_srcdir)/engine/ops/ops.mk
MBR_ENGINE_SOURCES = $(MBR_ENGINE_OPS) \
    engine/dim.c \
    engine/frame.c \
    engine/frame.h \
    engine/passes/batchnorm.c \
    engine/passes/cse.c \
    engine/passes/dce.c \
    engine/passes/epilogue.c \
    engine/passes/fold.c \
    engine/passes/identity.c \
    engine/passes/layout.c \
    engine/passes/list.h \
    engine/passes/pass.h \
    engine/passes/passes.c \
    engine/plan.c \
    engine/program.h \
    engine/team.c \
    engine/team.h \
    engine/topology.c \
    engine/topology.h \
    engine/dim.h \
    engine/infer.c \
    engine/infer.h \
    engine/ir.c \
    engine/ir.h \
    engine/text.c \
    engine/text.h \
    engine/value.c \
    engine/value.h
