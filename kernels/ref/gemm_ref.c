/* SPDX-License-Identifier: BSD-2-Clause */
/* The matrix product as its definition says, summed in double precision. Packed, B is (n, k). A tile is one row of C.
 */
#include "kernels/gemm.h"

#include "base/checked.h"
#include "kernels/ref/act_ref.h"

#include <string.h>

static size_t pack_size(size_t k, size_t n)
{
    size_t bytes;
    return mbr_mul_size(k, n, &bytes) && mbr_mul_size(bytes, sizeof(float), &bytes) && mbr_round_up(bytes, 64, &bytes)
               ? bytes
               : 0;
}

static void pack(float *packed, size_t k, size_t n, const float *b, ptrdiff_t stride_p, ptrdiff_t stride_j,
                 size_t first, size_t last)
{
    (void)n;
    for (size_t j = first; j < last; j++)
        for (size_t p = 0; p < k; p++)
            packed[j * k + p] = b[(ptrdiff_t)p * stride_p + (ptrdiff_t)j * stride_j];
}

static size_t scratch_size(const mbr_gemm_args *args)
{
    (void)args;
    return 0;
}

static size_t tiles(const mbr_gemm_args *g)
{
    return g->n ? g->batch[0] * g->batch[1] * g->batch[2] * g->m : 0;
}

static void row(const mbr_gemm_args *g, const float *a, const float *b, const float *other, float *c, size_t i)
{
    const mbr_gemm_epilogue *e = &g->epilogue;
    ptrdiff_t stride_p = g->b_form == MBR_GEMM_B_ROWS ? g->ldb : 1;
    ptrdiff_t stride_j = g->b_form == MBR_GEMM_B_ROWS ? 1 : g->b_form == MBR_GEMM_B_COLS ? g->ldb : (ptrdiff_t)g->k;
    for (size_t j = 0; j < g->n; j++) {
        double sum = 0;
        for (size_t p = 0; p < g->k; p++)
            sum += (double)a[p] * b[(ptrdiff_t)p * stride_p + (ptrdiff_t)j * stride_j];
        sum *= g->alpha;
        if (e->bias)
            sum += e->bias[e->bias_per_row ? i : j];
        if (e->other_is == MBR_GEMM_OTHER_ADD)
            sum += other[j];
        sum = mbr_act_ref(sum, e->act);
        if (e->other_is == MBR_GEMM_OTHER_ADD_AFTER)
            sum += other[j];
        else if (e->other_is == MBR_GEMM_OTHER_MUL_AFTER)
            sum *= other[j];
        c[j] = (float)sum;
    }
}

static void run(const mbr_gemm_args *g, void *scratch, size_t first, size_t last)
{
    (void)scratch;
    for (size_t t = first; t < last; t++) {
        size_t i = t % g->m, q = t / g->m;
        ptrdiff_t a = (ptrdiff_t)i * g->lda, b = 0, c = (ptrdiff_t)i * g->ldc,
                  other = (ptrdiff_t)i * g->epilogue.ld_other;
        for (int d = MBR_GEMM_BATCH_DIMS - 1; d >= 0; d--) {
            ptrdiff_t at = (ptrdiff_t)(q % g->batch[d]);
            q /= g->batch[d];
            a += at * g->a_batch[d];
            b += at * g->b_batch[d];
            c += at * g->c_batch[d];
            other += at * g->other_batch[d];
        }
        row(g, g->a + a, g->b + b, g->epilogue.other ? g->epilogue.other + other : NULL, g->c + c, i);
    }
}

const mbr_gemm_f32_kernel mbr_gemm_f32_ref = {"gemm_f32_ref", MBR_TIER_BASE, 1,     1,  pack_size,
                                              pack,           scratch_size,  tiles, run};
