/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/ops/buffer.h"

mbr_status mbr_buffer_reserve(mbr_step *s, mbr_buffer *b, size_t bytes, mbr_error *err)
{
    if (bytes <= b->bytes)
        return MBR_OK;
    if (b->bytes) /* it grows again and again */
        bytes += bytes / 2;
    mbr_buffer_free(s, b);
    b->data = mbr_alloc(mbr_step_memory(s), bytes);
    if (!b->data)
        return mbr_no_memory(err, bytes);
    b->bytes = bytes;
    return MBR_OK;
}

void mbr_buffer_free(mbr_step *s, mbr_buffer *b)
{
    mbr_free(mbr_step_memory(s), b->data);
    *b = (mbr_buffer){ 0 };
}
