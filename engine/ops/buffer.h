/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory of a step that outlives its runs. */
#ifndef MBR_ENGINE_OPS_BUFFER_H
#define MBR_ENGINE_OPS_BUFFER_H

#include "engine/ops/op.h"

/* A block that only grows; zero is an empty one. What was in it is gone when it grows. */
typedef struct mbr_buffer {
    void *data;
    size_t bytes;
} mbr_buffer;

mbr_status mbr_buffer_reserve(mbr_step *s, mbr_buffer *b, size_t bytes, mbr_error *err);
void mbr_buffer_free(mbr_step *s, mbr_buffer *b); /* leaves an empty one */

#endif
