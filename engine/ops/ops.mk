# SPDX-License-Identifier: BSD-2-Clause
MBR_ENGINE_OPS = \
    engine/ops/control.c \
    engine/ops/control.h \
    engine/ops/dynamic_quantize_linear.c \
    engine/ops/identity.c \
    engine/ops/if.c \
    engine/ops/list.h \
    engine/ops/loop.c \
    engine/ops/op.h \
    engine/ops/quantize_linear.c \
    engine/ops/registry.c \
    engine/ops/scan.c
