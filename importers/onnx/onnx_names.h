/* SPDX-License-Identifier: BSD-2-Clause */
/* A map from names to things, in an arena. Zero-initialise it, and set its arena. */
#ifndef MBR_IMPORTERS_ONNX_ONNX_NAMES_H
#define MBR_IMPORTERS_ONNX_ONNX_NAMES_H

#include "base/memory.h"

typedef struct mbr_onnx_name {
    const char *name; /* not copied */
    void *thing;      /* never NULL */
} mbr_onnx_name;

typedef struct mbr_onnx_names {
    mbr_arena *arena;
    mbr_onnx_name *slots; /* (room), a power of two; free where name is NULL */
    size_t n, room;
} mbr_onnx_names;

void *mbr_onnx_names_get(const mbr_onnx_names *m, const char *name); /* NULL: not there */
/* Adds a name, or gives it another thing. */
mbr_status mbr_onnx_names_put(mbr_onnx_names *m, const char *name, void *thing, mbr_error *err);

#endif
