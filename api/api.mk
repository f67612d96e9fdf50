# SPDX-License-Identifier: BSD-2-Clause
MBR_API_SOURCES = \
    api/auto.c \
    api/auto.h \
    api/custom.c \
    api/devices.c \
    api/env.c \
    api/env.h \
    api/models.c \
    api/onnx_values.c \
    api/operators.c \
    api/plans.c \
    api/plugins.c \
    api/profiles.c \
    api/sessions.c \
    api/values.c

# Reason codes, of builds with the runtime. The loop over trees is fast rather than small.
MBR_API_RUNTIME = \
    api/explain.c \
    api/explain_impl.h
MBR_API_FAST = \
    api/explain_trees.c
