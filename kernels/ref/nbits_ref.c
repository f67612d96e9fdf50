/* SPDX-License-Identifier: BSD-2-Clause */
/* The product with 4-bit weights as its definition says, summed in double. Packed: (n, blocks) scales, as many zeros,
 * then q. */
#include "kernels/nbits.h"

#include "base/checked.h"
#include "kernels/ref/act_ref.h"

#include <string.h>

static size_t blocks_of(size_t k, size_t block)
{
    return (k + block - 1) / block;
}

static size_t pack_size(size_t k, size_t n, size_t block)
{
    size_t bytes;
    return mbr_mul_size(n, blocks_of(k, block), &bytes) && mbr_mul_size(bytes, 8 + block / 2, &bytes) &&
                   mbr_round_up(bytes, 64, &bytes)
               ? bytes
               : 0;
}

static void pack(void *packed, const mbr_nbits_b *b, size_t first, size_t last)
{
    size_t blocks = blocks_of(b->k, b->block), all = b->n * blocks, bytes = b->block / 2;
    float *scale = packed, *zero = scale + all;
    uint8_t *q = (uint8_t *)(zero + all);
    for (size_t j = first; j < last; j++)
        for (size_t i = 0; i < blocks; i++) {
            size_t at = j * blocks + i;
            scale[at] = b->scale[at];
            zero[at] = 8;
            if (b->zero)
                zero[at] = (float)(b->zero[j * ((blocks + 1) / 2) + i / 2] >> (i % 2 * 4) & 15);
            if (b->zero_f32)
                zero[at] = b->zero_f32[at];
            memcpy(q + at * bytes, b->q + at * bytes, bytes);
        }
}

static size_t scratch_size(const mbr_nbits_args *args)
{
    (void)args;
    return 0;
}

/* A tile is one row of C. */
static size_t tiles(const mbr_nbits_args *g)
{
    return g->n ? g->m : 0;
}

static void run(const mbr_nbits_args *g, void *scratch, size_t first, size_t last)
{
    const mbr_gemm_epilogue *e = &g->epilogue;
    size_t blocks = blocks_of(g->k, g->block), all = g->n * blocks;
    const float *scale = g->b, *zero = scale + all;
    const uint8_t *q = (const uint8_t *)(zero + all);
    (void)scratch;
    for (size_t i = first; i < last; i++)
        for (size_t j = 0; j < g->n; j++) {
            double sum = 0;
            for (size_t p = 0; p < g->k; p++) {
                size_t at = j * blocks + p / g->block, in = p % g->block;
                float w = ((float)(q[at * (g->block / 2) + in / 2] >> (in % 2 * 4) & 15) - zero[at]) * scale[at];
                sum += (double)g->a[(ptrdiff_t)i * g->lda + (ptrdiff_t)p] * w;
            }
            float other = e->other_is ? e->other[(ptrdiff_t)i * e->ld_other + (ptrdiff_t)j] : 0;
            if (e->bias)
                sum += e->bias[e->bias_per_row ? i : j];
            if (e->other_is == MBR_GEMM_OTHER_ADD)
                sum += other;
            sum = mbr_act_ref(sum, e->act);
            if (e->other_is == MBR_GEMM_OTHER_ADD_AFTER)
                sum += other;
            else if (e->other_is == MBR_GEMM_OTHER_MUL_AFTER)
                sum *= other;
            g->c[(ptrdiff_t)i * g->ldc + (ptrdiff_t)j] = (float)sum;
        }
}

const mbr_nbits_kernel mbr_nbits_ref = {
    "nbits_ref", MBR_TIER_BASE, 1, pack_size, pack, scratch_size, tiles, run,
};
