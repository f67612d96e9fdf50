/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rows out of a tensor whose numbers share scales in blocks along an axis: (q - zero) * scale, in f32.
 *
 * The tensor is (before, length, after); element (i, p, j) has scale and zero point (i, p / block, j) of a tensor
 * (before, blocks, after), blocks = ceil(length / block).
 */
#ifndef MBR_KERNELS_BLOCK_QUANTIZED_H
#define MBR_KERNELS_BLOCK_QUANTIZED_H

#include "kernels/view.h"
#include "mbr/dtype.h"

typedef struct mbr_block_quantized {
    mbr_dtype type;       /* i4, u4 (a byte each), u8 */
    bool packed;          /* u8 holds two numbers of 4 bits, the even one in the low half; then after is 1, and zero
                             points are packed along their last axis as well */
    const void *q, *zero; /* zero: the same type, or NULL: `zero_default` */
    int32_t zero_default;
    mbr_dtype scale_type; /* f32, f16, bf16: also of the result */
    const void *scale;
    size_t length, after, block, blocks;
} mbr_block_quantized;

/* Elements first .. first + n - 1 of the tensor to the front of y. */
void mbr_block_dequantize_ref(const mbr_block_quantized *t, size_t first, size_t n, void *y);

#endif
