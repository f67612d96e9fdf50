/* SPDX-License-Identifier: BSD-2-Clause */
/* The 8-bit products as their definition says. Packed, B is (n, k) differences from the zero points, 16 bits each. */
#include "kernels/qgemm.h"

#include "base/checked.h"
#include "kernels/ref/qout_ref.h"

#include <string.h>

static size_t pack_size(size_t k, size_t n)
{
    size_t bytes;
    return mbr_mul_size(k, n, &bytes) && mbr_mul_size(bytes, 2, &bytes) && mbr_round_up(bytes, 64, &bytes) ? bytes : 0;
}

static void pack(void *packed, size_t k, size_t n, const mbr_qgemm_b *b, size_t first, size_t last)
{
    int16_t *to = packed;
    (void)n;
    for (size_t j = first; j < last; j++) {
        int32_t zero = b->zero ? mbr_q_byte(b->zero, (ptrdiff_t)(j * b->zero_step), b->is_signed) : 0;
        for (size_t p = 0; p < k; p++) {
            ptrdiff_t at = (ptrdiff_t)p * b->stride_p + (ptrdiff_t)j * b->stride_j;
            to[j * k + p] = (int16_t)(mbr_q_byte(b->b, at, b->is_signed) - zero);
        }
    }
}

static size_t scratch_size(const mbr_qgemm_args *args)
{
    (void)args;
    return 0;
}

static size_t tiles(const mbr_qgemm_args *g)
{
    return g->n ? g->batch[0] * g->batch[1] * g->batch[2] * g->m : 0;
}

/* A tile is one row of C. */
static void run(const mbr_qgemm_args *g, void *scratch, size_t first, size_t last)
{
    (void)scratch;
    for (size_t tile = first; tile < last; tile++) {
        size_t i = tile % g->m, rest = tile / g->m;
        ptrdiff_t a = (ptrdiff_t)i * g->lda, b = 0, c = (ptrdiff_t)i * g->ldc, other = (ptrdiff_t)i * g->out.ld_other;
        for (int d = MBR_GEMM_BATCH_DIMS - 1; d >= 0; d--) {
            ptrdiff_t at = (ptrdiff_t)(rest % g->batch[d]);
            rest /= g->batch[d];
            a += at * g->a_batch[d];
            b += at * g->b_batch[d];
            c += at * g->c_batch[d];
            other += at * g->other_batch[d];
        }
        const int16_t *w = (const int16_t *)(const void *)((const char *)g->b + b);
        for (size_t j = 0; j < g->n; j++) {
            uint32_t sum = 0;
            for (size_t p = 0; p < g->k; p++)
                sum += (uint32_t)((mbr_q_byte(g->a, a + (ptrdiff_t)p, g->a_signed) - g->a_zero) * w[j * g->k + p]);
            float with = g->out.other_is ? g->out.other[other + (ptrdiff_t)j] : 0;
            mbr_qout_ref(&g->out, (int32_t)sum, j, with, g->c, c + (ptrdiff_t)j);
        }
    }
}

const mbr_qgemm_kernel mbr_qgemm_ref = {"qgemm_ref", MBR_TIER_BASE, 1, pack_size, pack, scratch_size, tiles, run};
