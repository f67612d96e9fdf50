# SPDX-License-Identifier: BSD-2-Clause
MBR_ENGINE_OPS = \
    engine/ops/batch_normalization.c \
    engine/ops/control.c \
    engine/ops/control.h \
    engine/ops/dynamic_quantize_linear.c \
    engine/ops/global_pools.c \
    engine/ops/group_normalization.c \
    engine/ops/identity.c \
    engine/ops/if.c \
    engine/ops/layer_normalization.c \
    engine/ops/list.h \
    engine/ops/loop.c \
    engine/ops/op.h \
    engine/ops/pools.c \
    engine/ops/quantize_linear.c \
    engine/ops/registry.c \
    engine/ops/scan.c \
    engine/ops/simple_norms.c \
    engine/ops/window.c \
    engine/ops/window.h
