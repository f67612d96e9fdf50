/* SPDX-License-Identifier: BSD-2-Clause */
/* Products of few rows, for matrix products and convolutions: B passes once, and goes through no block of a cache. */
#ifndef MBR_KERNELS_GEMM_STREAM_H
#define MBR_KERNELS_GEMM_STREAM_H

#include "kernels/gemm_cut.h"

#define GEMM_STREAM_BYTES ((size_t)1 << 20) /* of B in a tile with few rows */

#define GEMM_MICRO(mr)                                                                                                 \
    static void gemm_micro_wide_##mr(const gemm_tile *t)                                                               \
    {                                                                                                                  \
        gemm_micro(t, mr, GEMM_NP(mr), GEMM_NV);                                                                       \
    }
GEMM_EACH_ROW(GEMM_MICRO)
#undef GEMM_MICRO

/* By rows - 1: GEMM_NP(rows) panels. */
static gemm_micro_fn *const gemm_micro_wide[GEMM_MR] = {
#define GEMM_MICRO(mr) gemm_micro_wide_##mr,
    GEMM_EACH_ROW(GEMM_MICRO)
#undef GEMM_MICRO
};

/* Panels of a tile of few rows, of so many matrices: neighbours of the wide loop stay together. */
static size_t gemm_stream_panels(size_t panels, size_t k, size_t matrices)
{
    size_t panel_bytes = k * GEMM_NR * sizeof(float);
    size_t bytes =
        gemm_clamp(panels * panel_bytes * matrices / GEMM_MIN_TILES, GEMM_STREAM_BYTES / 8, GEMM_STREAM_BYTES);
    size_t most = gemm_clamp(gemm_up(bytes / panel_bytes, 4), 4, panels > 4 ? panels : 4);
    size_t tiles = (panels + most - 1) / most, each = (panels + tiles - 1) / tiles;
    return tiles > 1 ? gemm_up(each, 4) : each;
}

/* Few rows: whole sums, several panels at once. */
static void gemm_stream(const mbr_gemm_args *g, const float *a, const float *b, const gemm_out *out, size_t cols)
{
    _Alignas(64) float sums[GEMM_MR * GEMM_NP_MAX * GEMM_NR];
    gemm_tile t = {.kc = g->k,
                   .a = a,
                   .lda = g->lda,
                   .b_panel = g->k * GEMM_NR,
                   .acc = sums,
                   .first = true,
                   .ldc = out->ldc,
                   .ld_other = out->ld_other,
                   .alpha = out->alpha};
    bool plain = gemm_out_is_plain(out, &t.low, &t.high);
    size_t wide = GEMM_NP(g->m) * GEMM_NR;
    for (size_t j = 0; j < cols;) {
        size_t tile = cols - j >= wide ? wide : GEMM_NR, width = cols - j < tile ? cols - j : tile;
        gemm_out at = gemm_out_at(out, 0, j);
        t.b = b + j / GEMM_NR * t.b_panel;
        t.to_c = plain && width == tile;
        t.c = at.c;
        t.bias = at.bias;
        t.other = at.other;
        gemm_micro_fn *micro = tile == wide ? gemm_micro_wide[g->m - 1] : gemm_micro_one[g->m - 1];
        micro(&t);
        if (!t.to_c)
            gemm_finish(&at, sums, tile, g->m, width);
        j += tile;
    }
}

#endif
