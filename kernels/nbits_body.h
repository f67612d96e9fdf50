/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Products with 4-bit weights, stamped out once per instruction set after gemm_body.h. The including file defines
 * NBITS_NAME, the row of nbits.def.
 *
 * Packed, a panel is GEMM_NR columns; for each block of k: GEMM_NR scales, GEMM_NR times -zero * scale, and (block / 2,
 * GEMM_NR) bytes of two weights. Few rows are multiplied straight from there; for many, a block of a panel is unpacked
 * into scratch and given to the inner loops of the f32 product. Both compute the same weights and add in the same
 * order.
 */
#ifndef MBR_KERNELS_NBITS_BODY_H
#define MBR_KERNELS_NBITS_BODY_H

#include "kernels/gemm_body.h"
#include "kernels/nbits.h"

#define NB_ROWS 4 /* so many rows are multiplied straight from the packed weights */
#define NB_TILE_WEIGHTS ((size_t)1 << 20)

typedef struct nb_plan {
    bool straight;
    size_t tm, tn, m_tiles, n_tiles;
    size_t kc, k_blocks, acc_floats, b_floats;
} nb_plan;

static size_t nb_blocks(size_t k, size_t block)
{
    return (k + block - 1) / block;
}

static size_t nb_block_bytes(size_t block)
{
    return GEMM_NR * (2 * sizeof(float) + block / 2);
}

static size_t nb_panel_bytes(size_t k, size_t block)
{
    return nb_blocks(k, block) * nb_block_bytes(block);
}

static size_t nb_pack_size(size_t k, size_t n, size_t block)
{
    size_t size;
    bool ok = mbr_mul_size(nb_blocks(k, block), nb_block_bytes(block), &size) &&
              mbr_mul_size(size, (n + GEMM_NR - 1) / GEMM_NR, &size) && mbr_round_up(size, 64, &size);
    return ok ? size : 0;
}

static void nb_pack(void *packed, const mbr_nbits_b *b, size_t first, size_t last)
{
    size_t blocks = nb_blocks(b->k, b->block), bytes = b->block / 2;
    for (size_t j0 = first; j0 < last; j0 += GEMM_NR) {
        char *panel = (char *)packed + j0 / GEMM_NR * nb_panel_bytes(b->k, b->block);
        memset(panel, 0, nb_panel_bytes(b->k, b->block));
        for (size_t i = 0; i < blocks; i++, panel += nb_block_bytes(b->block)) {
            float *scale = (float *)(void *)panel;
            uint8_t *q = (uint8_t *)(scale + 2 * GEMM_NR);
            for (size_t j = j0; j < b->n && j < j0 + GEMM_NR; j++) {
                size_t at = j * blocks + i;
                float zero = 8;
                if (b->zero_f32)
                    zero = b->zero_f32[at];
                else if (b->zero)
                    zero = (float)(b->zero[j * ((blocks + 1) / 2) + i / 2] >> (i % 2 * 4) & 15);
                scale[j - j0] = b->scale[at];
                scale[GEMM_NR + j - j0] = -zero * b->scale[at];
                for (size_t p = 0; p < bytes; p++)
                    q[p * GEMM_NR + j - j0] = b->q[at * bytes + p];
            }
        }
    }
}

static nb_plan nb_plan_of(const mbr_nbits_args *g)
{
    nb_plan p = {.straight = g->m <= NB_ROWS, .kc = g->k, .k_blocks = 1};
    size_t panels = (g->n + GEMM_NR - 1) / GEMM_NR, k = g->k ? g->k : 1;
    if (!g->m || !g->n)
        return p;
    if (p.straight) {
        size_t weights = gemm_clamp(g->n * k / GEMM_MIN_TILES, NB_TILE_WEIGHTS / 8, NB_TILE_WEIGHTS);
        p.tm = g->m;
        p.tn = gemm_clamp(gemm_up(weights / (k * GEMM_NR), 2), 2, panels > 2 ? panels : 2);
    } else {
        p.k_blocks = (k + 255) / 256;
        p.kc = 256;
        double all = (double)g->m * (double)(panels * GEMM_NR) * (double)k;
        gemm_cut(g->m, panels, k, (size_t)(gemm_tile_macs(all) / (double)k), SIZE_MAX, 4, &p.tm, &p.tn);
        p.acc_floats = p.k_blocks > 1 ? gemm_up(p.tm, GEMM_MR) * p.tn * GEMM_NR : 0;
        p.b_floats = p.kc * GEMM_NR;
    }
    p.m_tiles = (g->m + p.tm - 1) / p.tm;
    p.n_tiles = (panels + p.tn - 1) / p.tn;
    return p;
}

static size_t nb_scratch(const mbr_nbits_args *g)
{
    nb_plan p = nb_plan_of(g);
    return (p.acc_floats + p.b_floats) * sizeof(float);
}

static size_t nb_tiles(const mbr_nbits_args *g)
{
    nb_plan p = nb_plan_of(g);
    return p.m_tiles * p.n_tiles;
}

MBR_INLINE vf nb_weight(vi q, vf scale, vf shift)
{
    return vf_fma(vi_to_vf(q), scale, shift);
}

/* The sums of mr rows for np panels from the packed weights, into (mr, np * GEMM_NR). */
MBR_INLINE void nb_straight(const mbr_nbits_args *g, const char *b, size_t panel_bytes, float *sums, const int mr,
                            const int np)
{
    vf sum[NB_ROWS][2 * GEMM_NV];
    MBR_UNROLL(16)
    for (int r = 0; r < mr; r++) {
        MBR_UNROLL(16)
        for (int v = 0; v < np * GEMM_NV; v++)
            sum[r][v] = vf_zero();
    }
    size_t each = nb_block_bytes(g->block);
    for (size_t k0 = 0; k0 < g->k; k0 += g->block, b += each) {
        size_t kc = g->k - k0 < g->block ? g->k - k0 : g->block;
        const float *a = g->a + k0;
        vf scale[2 * GEMM_NV], shift[2 * GEMM_NV];
        const uint8_t *q[2];
        MBR_UNROLL(2)
        for (int i = 0; i < np; i++) {
            const float *head = (const float *)(const void *)(b + (size_t)i * panel_bytes);
            q[i] = (const uint8_t *)(head + 2 * GEMM_NR);
            MBR_UNROLL(4)
            for (int v = 0; v < GEMM_NV; v++) {
                scale[i * GEMM_NV + v] = vf_load(head + v * MBR_VL);
                shift[i * GEMM_NV + v] = vf_load(head + GEMM_NR + v * MBR_VL);
            }
        }
        for (size_t p = 0; p < kc; p += 2) {
            bool both = p + 1 < kc;
            MBR_UNROLL(16)
            for (int v = 0; v < np * GEMM_NV; v++) {
                const uint8_t *at = q[v / GEMM_NV] + p / 2 * GEMM_NR + (size_t)(v % GEMM_NV) * MBR_VL;
                vi pair = vi_load_u8(at);
                vf even = nb_weight(vi_and(pair, vi_set1(15)), scale[v], shift[v]);
                vf odd = nb_weight(vi_shr(pair, 4), scale[v], shift[v]);
                MBR_UNROLL(16)
                for (int r = 0; r < mr; r++) {
                    const float *row = a + r * g->lda + p;
                    sum[r][v] = vf_fma(vf_load1(row), even, sum[r][v]);
                    if (both)
                        sum[r][v] = vf_fma(vf_load1(row + 1), odd, sum[r][v]);
                }
            }
        }
    }
    MBR_UNROLL(16)
    for (int r = 0; r < mr; r++) {
        MBR_UNROLL(16)
        for (int v = 0; v < np * GEMM_NV; v++)
            vf_store(sums + (r * np * GEMM_NV + v) * MBR_VL, sum[r][v]);
    }
}

#define NB_STRAIGHT(mr)                                                                                                \
    static void nb_straight_##mr(const mbr_nbits_args *g, const char *b, size_t panel_bytes, float *sums, bool two)    \
    {                                                                                                                  \
        if (two)                                                                                                       \
            nb_straight(g, b, panel_bytes, sums, mr, 2);                                                               \
        else                                                                                                           \
            nb_straight(g, b, panel_bytes, sums, mr, 1);                                                               \
    }
NB_STRAIGHT(1)
NB_STRAIGHT(2)
NB_STRAIGHT(3)
NB_STRAIGHT(4)
#undef NB_STRAIGHT

/* Steps k0 .. k0 + kc - 1 of a panel as floats (kc, GEMM_NR); k0 is even. */
static void nb_unpack(const char *panel, size_t block, size_t k0, size_t kc, float *to)
{
    for (size_t p = k0; p < k0 + kc;) {
        size_t in = p % block, end = mbr_min_size(p - in + block, k0 + kc);
        const float *head = (const float *)(const void *)(panel + p / block * nb_block_bytes(block));
        const uint8_t *q = (const uint8_t *)(head + 2 * GEMM_NR) + in / 2 * GEMM_NR;
        for (; p < end; p += 2, q += GEMM_NR, to += 2 * GEMM_NR) {
            bool both = p + 1 < end;
            MBR_UNROLL(4)
            for (int v = 0; v < GEMM_NV; v++) {
                vi pair = vi_load_u8(q + v * MBR_VL);
                vf scale = vf_load(head + v * MBR_VL), shift = vf_load(head + GEMM_NR + v * MBR_VL);
                vf_store(to + v * MBR_VL, nb_weight(vi_and(pair, vi_set1(15)), scale, shift));
                if (both)
                    vf_store(to + GEMM_NR + v * MBR_VL, nb_weight(vi_shr(pair, 4), scale, shift));
            }
        }
        p = end;
    }
}

/* One tile of few rows. */
static void nb_few(const mbr_nbits_args *g, const char *b, const gemm_out *out, size_t cols)
{
    static void (*const straight[NB_ROWS])(const mbr_nbits_args *, const char *, size_t, float *,
                                           bool) = {nb_straight_1, nb_straight_2, nb_straight_3, nb_straight_4};
    _Alignas(64) float sums[NB_ROWS * 2 * GEMM_NR];
    size_t panel_bytes = nb_panel_bytes(g->k, g->block);
    for (size_t j = 0; j < cols;) {
        bool two = g->m <= 2 && cols - j > GEMM_NR;
        size_t tile = (two ? 2 : 1) * GEMM_NR;
        gemm_out at = gemm_out_at(out, 0, j);
        straight[g->m - 1](g, b + j / GEMM_NR * panel_bytes, panel_bytes, sums, two);
        gemm_finish(&at, sums, tile, g->m, mbr_min_size(tile, cols - j));
        j += tile;
    }
}

static void nb_run(const mbr_nbits_args *g, void *scratch, size_t first, size_t last)
{
    const mbr_gemm_epilogue *e = &g->epilogue;
    nb_plan p = nb_plan_of(g);
    size_t panel_bytes = nb_panel_bytes(g->k, g->block);
    float *acc = p.acc_floats ? scratch : NULL, *own = (float *)scratch + p.acc_floats;
    for (size_t tile = first; tile < last; tile++) {
        size_t i0 = tile % p.m_tiles * p.tm, panel = tile / p.m_tiles * p.tn, j0 = panel * GEMM_NR;
        size_t rows = mbr_min_size(p.tm, g->m - i0), cols = mbr_min_size(p.tn * GEMM_NR, g->n - j0);
        gemm_out whole = {.c = g->c,
                          .ldc = g->ldc,
                          .bias = e->bias_per_row ? NULL : e->bias,
                          .row_bias = e->bias_per_row ? e->bias : NULL,
                          .other = e->other_is ? e->other : NULL,
                          .ld_other = e->ld_other,
                          .other_is = e->other_is,
                          .act = e->act,
                          .alpha = 1.0f};
        gemm_out out = gemm_out_at(&whole, i0, j0);
        const char *b = (const char *)g->b + panel * panel_bytes;
        if (p.straight) {
            nb_few(g, b, &out, cols);
            continue;
        }
        size_t row_tiles = (rows + GEMM_MR - 1) / GEMM_MR;
        const float *a = g->a + (ptrdiff_t)i0 * g->lda;
        for (size_t q = 0; q < p.k_blocks; q++) {
            size_t k0 = q * p.kc, kc = mbr_min_size(p.kc, g->k - k0);
            for (size_t j = 0; j < cols; j += GEMM_NR) {
                gemm_out at = gemm_out_at(&out, 0, j);
                nb_unpack(b + j / GEMM_NR * panel_bytes, g->block, k0, kc, own);
                gemm_block(a + k0, g->lda, NULL, own, 0, kc, rows, mbr_min_size(GEMM_NR, cols - j),
                           acc ? acc + j * row_tiles * GEMM_MR : NULL, q == 0, q + 1 == p.k_blocks, &at, NULL);
            }
        }
    }
}

const mbr_nbits_kernel GEMM_ROW(NBITS_NAME) = {
    GEMM_STRING(NBITS_NAME), GEMM_TIER, GEMM_NR, nb_pack_size, nb_pack, nb_scratch, nb_tiles, nb_run,
};

#endif
