/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The f32 matrix product around gemm_micro.h, stamped out once per instruction set: the including file defines also
 *
 *   GEMM_NAME   the row of gemm.def
 *
 * Packed, B is a row of panels, each (k, GEMM_NR) and dense.
 */
#ifndef MBR_KERNELS_GEMM_BODY_H
#define MBR_KERNELS_GEMM_BODY_H

#include "kernels/gemm_stream.h"

/* How a product is cut. Depends on sizes and the machine's caches alone; none of it changes the sums. */
typedef struct gemm_plan {
    size_t tm, tn; /* rows and panels of a tile */
    size_t m_tiles, n_tiles;
    size_t kc, k_blocks;
    bool copy_a, stream;                   /* stream: few rows, so that B passes once and goes through no cache block */
    size_t a_floats, b_floats, acc_floats; /* of scratch */
} gemm_plan;

static gemm_plan gemm_plan_of(const mbr_gemm_args *g)
{
    gemm_plan p = {.k_blocks = 1, .kc = g->k};
    size_t panels = (g->n + GEMM_NR - 1) / GEMM_NR, k = g->k ? g->k : 1;
    size_t matrices = g->batch[0] * g->batch[1] * g->batch[2];
    if (!g->m || !g->n || !matrices)
        return p;
    p.stream = g->m <= GEMM_MR && g->b_form == MBR_GEMM_B_PACKED;
    if (g->k <= 64 && g->m * panels <= 64 && g->b_form == MBR_GEMM_B_PACKED) { /* too short to think about */
        p.tm = g->m;
        p.tn = panels;
        p.m_tiles = 1;
    } else if (p.stream) {
        p.tm = g->m;
        p.tn = gemm_stream_panels(panels, k, matrices);
        p.m_tiles = 1;
    } else {
        size_t most = gemm_kc_most();
        p.k_blocks = (k + most - 1) / most;
        p.kc = gemm_up((k + p.k_blocks - 1) / p.k_blocks, 16);
        double all = (double)g->m * (double)(panels * GEMM_NR) * (double)k * (double)matrices;
        size_t cells = (size_t)(gemm_tile_macs(all) / (double)k);
        /* An unpacked B is packed once for each row of tiles: then rows are cheap. */
        bool packed = g->b_form == MBR_GEMM_B_PACKED;
        gemm_cut(g->m, panels, k, cells, packed ? 2 : SIZE_MAX, packed ? 0.12 : 4, &p.tm, &p.tn);
        p.m_tiles = (g->m + p.tm - 1) / p.tm;
        p.copy_a = p.tm > GEMM_MR && p.tn > 1 && gemm_rows_collide(g->lda);
        if (p.copy_a)
            p.a_floats = p.tm * (p.kc + 16);
        if (g->b_form != MBR_GEMM_B_PACKED)
            p.b_floats = p.kc * GEMM_NR;
    }
    if (!p.stream) {
        p.n_tiles = (panels + p.tn - 1) / p.tn;
        p.tn = (panels + p.n_tiles - 1) / p.n_tiles;
    }
    p.n_tiles = (panels + p.tn - 1) / p.tn;
    if (p.k_blocks > 1)
        p.acc_floats = gemm_up(p.tm, GEMM_MR) * p.tn * GEMM_NR;
    return p;
}

static size_t gemm_pack_size(size_t k, size_t n)
{
    size_t cells;
    if (!mbr_round_up(n, GEMM_NR, &cells) || !mbr_mul_size(cells, k, &cells) ||
        !mbr_mul_size(cells, sizeof(float), &cells) || !mbr_round_up(cells, 64, &cells))
        return 0;
    return cells;
}

static void gemm_pack(float *packed, size_t k, size_t n, const float *b, ptrdiff_t stride_p, ptrdiff_t stride_j,
                      size_t first, size_t last)
{
    for (size_t j = first; j < last; j += GEMM_NR)
        gemm_pack_panel(packed + j * k, b + (ptrdiff_t)j * stride_j, stride_p, stride_j, k,
                        n - j < GEMM_NR ? n - j : GEMM_NR);
}

static size_t gemm_scratch(const mbr_gemm_args *g)
{
    gemm_plan p = gemm_plan_of(g);
    return (p.a_floats + p.b_floats + p.acc_floats) * sizeof(float);
}

static size_t gemm_tiles(const mbr_gemm_args *g)
{
    gemm_plan p = gemm_plan_of(g);
    return p.m_tiles * p.n_tiles * g->batch[0] * g->batch[1] * g->batch[2];
}

/* One tile with its whole k. b is the packed panel j0, or the matrix itself; after: the packed panel behind the tile. */
static void gemm_rectangle(const mbr_gemm_args *g, const gemm_plan *p, const float *a, const float *b,
                           const gemm_out *out, size_t rows, size_t j0, size_t cols, const float *after, float *scratch)
{
    float *acc = p->acc_floats ? scratch : NULL, *own_b = scratch + p->acc_floats, *own_a = own_b + p->b_floats;
    ptrdiff_t stride_p = g->b_form == MBR_GEMM_B_ROWS ? g->ldb : 1,
              stride_j = g->b_form == MBR_GEMM_B_ROWS ? 1 : g->ldb;
    size_t row_tiles = (rows + GEMM_MR - 1) / GEMM_MR;
    for (size_t q = 0; q < p->k_blocks; q++) {
        size_t k0 = q * p->kc, kc = g->k - k0 < p->kc ? g->k - k0 : p->kc;
        bool first = q == 0, last = q + 1 == p->k_blocks;
        const float *block = a + k0;
        ptrdiff_t lda = g->lda;
        if (p->copy_a) {
            lda = (ptrdiff_t)p->kc + 16;
            for (size_t r = 0; r < rows; r++)
                memcpy(own_a + (ptrdiff_t)r * lda, a + (ptrdiff_t)r * g->lda + k0, kc * sizeof *a);
            block = own_a;
        }
        if (g->b_form == MBR_GEMM_B_PACKED) {
            gemm_block(block, lda, NULL, b + k0 * GEMM_NR, g->k * GEMM_NR, kc, rows, cols, acc, first, last, out,
                       last ? after : b + (k0 + kc) * GEMM_NR);
            continue;
        }
        for (size_t j = 0; j < cols; j += GEMM_NR) {
            size_t width = cols - j < GEMM_NR ? cols - j : GEMM_NR;
            gemm_pack_panel(own_b, b + (ptrdiff_t)k0 * stride_p + (ptrdiff_t)(j0 + j) * stride_j, stride_p, stride_j,
                            kc, width);
            gemm_out at = gemm_out_at(out, 0, j);
            gemm_block(block, lda, NULL, own_b, 0, kc, rows, width, acc ? acc + j * row_tiles * GEMM_MR : NULL, first, last,
                       &at, NULL);
        }
    }
}

/* Tiles count rows fastest, then panels, then matrices: neighbours share their part of B. */
static void gemm_run(const mbr_gemm_args *g, void *scratch, size_t first, size_t last)
{
    const mbr_gemm_epilogue *e = &g->epilogue;
    gemm_plan p = gemm_plan_of(g);
    for (size_t tile = first; tile < last; tile++) {
        size_t i0 = tile % p.m_tiles * p.tm, rest = tile / p.m_tiles;
        size_t panel = rest % p.n_tiles * p.tn, matrix = rest / p.n_tiles, j0 = panel * GEMM_NR;
        size_t rows = mbr_min_size(p.tm, g->m - i0), cols = mbr_min_size(p.tn * GEMM_NR, g->n - j0);
        const float *a = g->a + (ptrdiff_t)i0 * g->lda, *b = g->b;
        gemm_out out = {.c = g->c,
                        .ldc = g->ldc,
                        .bias = e->bias_per_row ? NULL : e->bias,
                        .row_bias = e->bias_per_row ? e->bias : NULL,
                        .ld_other = e->ld_other,
                        .other_is = e->other_is,
                        .other = e->other_is == MBR_GEMM_OTHER_NONE ? NULL : e->other,
                        .act = e->act,
                        .alpha = g->alpha};
        for (int d = MBR_GEMM_BATCH_DIMS - 1; d >= 0; d--) {
            ptrdiff_t at = (ptrdiff_t)(matrix % g->batch[d]);
            matrix /= g->batch[d];
            a += at * g->a_batch[d];
            b += at * g->b_batch[d];
            out.c += at * g->c_batch[d];
            if (out.other)
                out.other += at * g->other_batch[d];
        }
        out = gemm_out_at(&out, i0, j0);
        if (g->b_form == MBR_GEMM_B_PACKED)
            b += panel * g->k * GEMM_NR;
        if (p.stream)
            gemm_stream(g, a, b, &out, cols);
        else
            gemm_rectangle(g, &p, a, b, &out, rows, j0, cols,
                           i0 + rows < g->m ? b : j0 + cols < g->n ? b + p.tn * GEMM_NR * g->k : NULL, scratch);
    }
}

const mbr_gemm_f32_kernel GEMM_ROW(GEMM_NAME) = {
    GEMM_STRING(GEMM_NAME), GEMM_TIER, GEMM_MR, GEMM_NR, gemm_pack_size, gemm_pack, gemm_scratch, gemm_tiles, gemm_run,
};

#endif
