# SPDX-License-Identifier: BSD-2-Clause
MBR_API_SOURCES = \
    api/env.c \
    api/env.h \
    api/models.c \
    api/onnx_values.c \
    api/sessions.c \
    api/values.c
