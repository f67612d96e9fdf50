/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How products of the inner loops of gemm_micro.h are cut into tiles, for matrix products and convolutions. The
 * including file defines also
 *
 *   GEMM_TIER        the tier of its rows
 *   GEMM_TILE_MACS   products in a tile of about half a millisecond
 */
#ifndef MBR_KERNELS_GEMM_CUT_H
#define MBR_KERNELS_GEMM_CUT_H

#include "kernels/gemm_micro.h"

#include "base/checked.h"

#include <math.h>

#define GEMM_KC_MAX 1024
#define GEMM_MIN_TILES 16 /* tiles are made smaller to get as many, within reason */

static size_t gemm_up(size_t n, size_t unit)
{
    return (n + unit - 1) / unit * unit;
}

static size_t gemm_clamp(size_t n, size_t low, size_t high)
{
    return n < low ? low : n > high ? high : n;
}

/*
 * The longest block of k. A panel of B may stream from the second cache, a quarter of whose speed the loop needs: long
 * chains of sums that stay in registers are worth more than a panel in the first.
 */
static size_t gemm_kc_most(void)
{
    size_t l2 = mbr_cpu_caches_get().l2;
    return gemm_clamp((l2 ? l2 : 262144) / 8 / (GEMM_NR * sizeof(float)) / 16 * 16, 64, GEMM_KC_MAX);
}

/*
 * Rows and panels of a tile of about `cells` sums, k steps each. Tiles that follow each other share their part of B: it
 * may take half of the second cache, when that is `keep` panels at least, and the rows of A that stream past it a
 * quarter. Otherwise the parts of A and B are read equally often, with share the price of a column over that of a row.
 * Apart, so that plans of few rows stay short.
 */
GEMM_ONE_COPY static void gemm_cut(size_t m, size_t panels, size_t k, size_t cells, size_t keep, double share,
                                   size_t *tm, size_t *tn)
{
    size_t l2 = mbr_cpu_caches_get().l2 / sizeof(float), least = 4 * GEMM_MR;
    l2 = l2 ? l2 : 131072;
    cells = cells ? cells : 1;
    size_t kept = mbr_min_size(l2 / 2 / (k * GEMM_NR), panels), rows = (size_t)sqrt((double)cells * share) + 1;
    bool keeps = kept >= mbr_min_size(keep, panels);
    if (keeps)
        rows = mbr_max_size(mbr_min_size(l2 / 4 / k, cells / (kept * GEMM_NR)), least);
    size_t count = (m + rows / 2) / rows; /* to the nearest: a small rest would be a bad tile */
    count = count ? count : 1;
    *tm = gemm_up((m + count - 1) / count, GEMM_MR);
    size_t column = *tm * GEMM_NR, most = keeps ? kept : panels;
    /* even parts; rather a tile that is too large than a row that is read twice */
    size_t parts = mbr_max_size((most * column + cells / 2) / cells, 1);
    *tn = mbr_max_size((most + parts - 1) / parts, 1);
}

/* Whether rows so many floats apart push each other out of the first cache. Pages apart they share one set of it: 8 ways
   hold 8 rows, and 12 do for a whole tile, whose every line serves 16 steps. */
static inline bool gemm_rows_collide(ptrdiff_t ld)
{
    return GEMM_MR > 8 && ld % 1024 == 0 && mbr_cpu_caches_get().l1d < 12 * 4096;
}

/*
 * Products in a tile, of `all`: a sixteenth, down to about 20 us; an eighth of what is too small for that, down to 10.
 */
static inline double gemm_tile_macs(double all)
{
    double macs = fmax(all / GEMM_MIN_TILES, fmin(2 * all / GEMM_MIN_TILES, GEMM_TILE_MACS / 24));
    return fmin(fmax(macs, GEMM_TILE_MACS / 48), GEMM_TILE_MACS);
}

#define GEMM_STRING_(x) #x
#define GEMM_STRING(x) GEMM_STRING_(x)
#define GEMM_ROW_(name) mbr_##name
#define GEMM_ROW(name) GEMM_ROW_(name)

#endif
