/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/block_quantized.h"
#include "kernels/real.h"

static int32_t number(const mbr_block_quantized *t, const void *p, size_t i)
{
    if (t->packed)
        return ((const uint8_t *)p)[i / 2] >> (i % 2 * 4) & 15;
    return t->type == MBR_DTYPE_I4 ? (int32_t)((const int8_t *)p)[i] : (int32_t)((const uint8_t *)p)[i];
}

void mbr_block_dequantize_ref(const mbr_block_quantized *t, size_t first, size_t n, void *y)
{
    size_t zero_row = t->packed ? (t->blocks + 1) / 2 * 2 : t->blocks; /* a row of packed zero points fills its bytes */
    for (size_t i = 0; i < n; i++) {
        size_t at = first + i, j = at % t->after, p = at / t->after % t->length, before = at / t->after / t->length;
        size_t b = p / t->block, scale = (before * t->blocks + b) * t->after + j;
        int32_t zero = t->zero ? number(t, t->zero, (before * zero_row + b) * t->after + j) : t->zero_default;
        float v = (float)(number(t, t->q, at) - zero) * (float)mbr_real_get(t->scale_type, t->scale, scale);
        mbr_real_set(t->scale_type, y, i, (double)v);
    }
}
