# SPDX-License-Identifier: BSD-2-Clause
MBR_ENGINE_OPS = \
    engine/ops/identity.c \
    engine/ops/list.h \
    engine/ops/op.h \
    engine/ops/registry.c
