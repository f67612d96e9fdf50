/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * 3x3 convolution of stride 1 by Winograd's F(4x4, 3x3) or F(2x2, 3x3), channels last, stamped out once per instruction
 * set after gemm_body.h:
 *
 *     Y = At [ (G g Gt) o (Bt d B) ] A      for each 4x4 piece Y of the output, from the 6x6 piece d of the input
 *
 * with a quarter of the multiplications, or for 2x2 pieces from 4x4 with four ninths of them: for small images, which
 * large pieces overlap, and whose weights are read for a few points only. The including file defines WINOGRAD_NAME, the
 * row of conv.def. Rounding is about ten times coarser (4x4) or twice (2x2) that of the direct sum, and a NaN or an
 * infinity in d reaches all of Y.
 *
 * Packed: panels of GEMM_NR filters; in each, for each of the 36 or 16 places, (channels, GEMM_NR) transformed weights.
 * A tile is some pieces and some panels: the pieces are transformed into scratch as one matrix (pieces, channels) a
 * place, multiplied, and transformed back.
 */
#ifndef MBR_KERNELS_CONV_WINOGRAD_BODY_H
#define MBR_KERNELS_CONV_WINOGRAD_BODY_H

#include "kernels/gemm_cut.h"

#define WG_OUT 4 /* the larger size */
#define WG_IN 6
#define WG_PLACES (WG_IN * WG_IN)

typedef struct wg_plan {
    size_t out, in, places;          /* edge of a piece of the output and of the input, and the latter's square */
    size_t across, down, pieces;     /* pieces of a row, rows of pieces, all of them */
    size_t tp, tn, p_tiles, n_tiles; /* pieces and panels of a tile */
    size_t lda, ldm;
    size_t v_floats, m_floats, s_floats, zero_floats;
} wg_plan;

/* Cycles, roughly, for one sample: products, the transformations, and reading the weights from memory. */
static double wg_cost(const mbr_conv_args *a, size_t out, double each_way_in, double each_way_out)
{
    double weights = (double)a->channels * (double)a->filters, rate = 2 * MBR_VL, bytes = 4;
    double pieces = (double)((a->out[1] + out - 1) / out) * (double)((a->out[2] + out - 1) / out);
    double places = (double)((out + 2) * (out + 2));
    double ways = pieces * ((double)a->channels * each_way_in + (double)a->filters * each_way_out) / MBR_VL;
    return pieces * places * weights / (rate * 0.75) + ways + places * weights * 4 / bytes;
}

/* The edge of the pieces that pay, by one sample's sizes alone; 0: direct sums are faster. */
static size_t wg_size(const mbr_conv_args *a)
{
    double points = (double)a->out[1] * (double)a->out[2], weights = (double)a->channels * (double)a->filters;
    double direct = points * 9 * weights / (2 * MBR_VL * 0.88) + 9 * weights;
    double four = wg_cost(a, 4, 75, 60), two = wg_cost(a, 2, 35, 30);
    if (four >= direct && two >= direct)
        return 0;
    return four <= two ? 4 : 2;
}

static bool wg_fits(const mbr_conv_args *a)
{
    bool shape = !a->transposed && !a->x_planes && a->groups == 1 && a->kernel[0] == 1 && a->stride[0] == 1 &&
                 a->pad[0] == 0 && a->in[0] == a->out[0] && a->channels >= 16 && a->filters >= 16;
    for (int d = 1; d < 3; d++)
        shape = shape && a->kernel[d] == 3 && a->stride[d] == 1 && a->dilation[d] == 1;
    return shape && a->out[1] && a->out[2] && wg_size(a);
}

/* The number of places of a piece. */
static size_t wg_places(const mbr_conv_args *a)
{
    size_t in = wg_size(a) + 2;
    return in * in;
}

static wg_plan wg_plan_of(const mbr_conv_args *a)
{
    wg_plan p = {.out = wg_size(a)};
    p.in = p.out + 2;
    p.places = p.in * p.in;
    p.across = (a->out[2] + p.out - 1) / p.out;
    p.down = (a->out[1] + p.out - 1) / p.out;
    p.pieces = a->n * a->out[0] * p.across * p.down;
    size_t panels = (a->filters + GEMM_NR - 1) / GEMM_NR;
    if (!p.pieces || !panels)
        return p;
    double each = (double)p.places * (double)a->channels;
    double all = each * (double)p.pieces * (double)(panels * GEMM_NR);
    p.tp = mbr_min_size(4 * GEMM_MR, gemm_up(p.pieces, GEMM_MR));
    /* where pieces alone make small tiles, all filters are in one: its pieces are transformed once. Few tiles are even. */
    bool whole = p.pieces >= 2 * p.tp && each * (double)(p.tp * panels * GEMM_NR) <= GEMM_TILE_MACS / 4;
    if (whole && p.pieces < 9 * p.tp) {
        size_t tiles = (p.pieces / p.tp + 1) / 2 * 2;
        p.tp = gemm_up((p.pieces + tiles - 1) / tiles, GEMM_MR);
    }
    size_t cells = (size_t)((whole ? GEMM_TILE_MACS : gemm_tile_macs(all)) / each);
    p.tn = gemm_clamp(cells / (p.tp * GEMM_NR), 1, panels);
    p.n_tiles = (panels + p.tn - 1) / p.tn;
    p.tn = (panels + p.n_tiles - 1) / p.n_tiles;
    p.n_tiles = (panels + p.tn - 1) / p.tn;
    p.p_tiles = (p.pieces + p.tp - 1) / p.tp;
    p.lda = gemm_up(a->channels, 16) + 16;
    p.ldm = p.tn * GEMM_NR;
    p.v_floats = p.places * p.tp * p.lda;
    p.m_floats = p.places * p.tp * p.ldm;
    p.s_floats = p.out * p.out * p.ldm;
    p.zero_floats = gemm_up(a->channels, 16);
    return p;
}

static size_t wg_pack_units(const mbr_conv_args *a)
{
    return (a->filters + GEMM_NR - 1) / GEMM_NR;
}

static size_t wg_pack_size(const mbr_conv_args *a)
{
    size_t size;
    bool ok = mbr_mul_size(wg_pack_units(a), wg_places(a) * GEMM_NR * sizeof(float), &size) &&
              mbr_mul_size(size, a->channels, &size) && mbr_round_up(size, 64, &size);
    return ok ? size : 0;
}

/* The transformed weights of GEMM_NR kernels at once: g (9, GEMM_NR), row p of u is `matrix` floats before the next. */
static void wg_weights(const double *g, float *u, size_t matrix, size_t in)
{
    static const double large[WG_IN][3] = {{1.0 / 4, 0, 0},
                                           {-1.0 / 6, -1.0 / 6, -1.0 / 6},
                                           {-1.0 / 6, 1.0 / 6, -1.0 / 6},
                                           {1.0 / 24, 1.0 / 12, 1.0 / 6},
                                           {1.0 / 24, -1.0 / 12, 1.0 / 6},
                                           {0, 0, 1}};
    static const double small[4][3] = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};
    const double (*m)[3] = in == WG_IN ? large : small;
    for (size_t i = 0; i < in; i++) {
        double half[3][GEMM_NR];
        for (int j = 0; j < 3; j++)
            for (int f = 0; f < GEMM_NR; f++)
                half[j][f] = m[i][0] * g[j * GEMM_NR + f] + m[i][1] * g[(3 + j) * GEMM_NR + f] +
                             m[i][2] * g[(6 + j) * GEMM_NR + f];
        for (size_t j = 0; j < in; j++) {
            float *to = u + (i * in + j) * matrix;
            for (int f = 0; f < GEMM_NR; f++)
                to[f] = (float)(half[0][f] * m[j][0] + half[1][f] * m[j][1] + half[2][f] * m[j][2]);
        }
    }
}

static void wg_pack(const mbr_conv_args *a, const float *weights, float *packed, size_t first, size_t last)
{
    size_t matrix = a->channels * GEMM_NR, in = wg_size(a) + 2;
    double g[9 * GEMM_NR];
    for (size_t unit = first; unit < last; unit++) {
        size_t o0 = unit * GEMM_NR, filters = mbr_min_size(a->filters - o0, GEMM_NR);
        memset(g, 0, sizeof g);
        for (size_t c = 0; c < a->channels; c++) {
            for (size_t f = 0; f < filters; f++)
                for (size_t t = 0; t < 9; t++)
                    g[t * GEMM_NR + f] = gemm_weight(weights, (ptrdiff_t)(((o0 + f) * a->channels + c) * 9 + t));
            wg_weights(g, packed + unit * in * in * matrix + c * GEMM_NR, matrix, in);
        }
    }
}

static size_t wg_scratch(const mbr_conv_args *a)
{
    wg_plan p = wg_plan_of(a);
    return (p.v_floats + p.m_floats + p.s_floats + p.zero_floats) * sizeof(float);
}

static size_t wg_tiles(const mbr_conv_args *a)
{
    wg_plan p = wg_plan_of(a);
    return p.p_tiles * p.n_tiles;
}

/* Bt x; `in` is a constant. */
MBR_INLINE void wg_in(const vf *x, vf *t, const int in)
{
    if (in == 4) {
        t[0] = vf_sub(x[0], x[2]);
        t[1] = vf_add(x[1], x[2]);
        t[2] = vf_sub(x[2], x[1]);
        t[3] = vf_sub(x[1], x[3]);
        return;
    }
    vf four = vf_set1(4), five = vf_set1(5), two = vf_set1(2);
    vf a = vf_fnma(four, x[2], x[4]), b = vf_fnma(four, x[1], x[3]);
    vf c = vf_sub(x[4], x[2]), d = vf_mul(two, vf_sub(x[3], x[1]));
    t[0] = vf_fma(four, x[0], vf_fnma(five, x[2], x[4]));
    t[1] = vf_add(a, b);
    t[2] = vf_sub(a, b);
    t[3] = vf_add(c, d);
    t[4] = vf_sub(c, d);
    t[5] = vf_fma(four, x[1], vf_fnma(five, x[3], x[5]));
}

/* At m */
MBR_INLINE void wg_out(const vf *m, vf *y, const int in)
{
    vf a = vf_add(m[1], m[2]), b = vf_sub(m[1], m[2]);
    if (in == 4) {
        y[0] = vf_add(m[0], a);
        y[1] = vf_sub(b, m[3]);
        return;
    }
    vf c = vf_add(m[3], m[4]), d = vf_sub(m[3], m[4]);
    y[0] = vf_add(vf_add(m[0], a), c);
    y[1] = vf_fma(vf_set1(2), d, b);
    y[2] = vf_fma(vf_set1(4), c, a);
    y[3] = vf_add(vf_fma(vf_set1(8), d, b), m[5]);
}

/* One piece, all channels: v is its row of the first matrix, `matrix` floats before its row of the next. */
MBR_INLINE void wg_piece_in(const float *const *point, size_t channels, float *v, size_t matrix, const int in)
{
    for (size_t c = 0; c < channels; c += MBR_VL) {
        size_t n = mbr_min_size(channels - c, MBR_VL);
        vf half[WG_IN][WG_IN], x[WG_IN], t[WG_IN];
        MBR_UNROLL(6)
        for (int j = 0; j < in; j++) {
            MBR_UNROLL(6)
            for (int i = 0; i < in; i++) {
                const float *at = point[i * in + j] + c;
                x[i] = n < MBR_VL ? vf_load_n(at, n) : vf_load(at);
            }
            wg_in(x, t, in);
            MBR_UNROLL(6)
            for (int i = 0; i < in; i++)
                half[i][j] = t[i];
        }
        MBR_UNROLL(6)
        for (int i = 0; i < in; i++) {
            wg_in(half[i], t, in);
            MBR_UNROLL(6)
            for (int j = 0; j < in; j++)
                vf_store(v + (size_t)(i * in + j) * matrix + c, t[j]);
        }
    }
}

/* One piece, all columns of the tile: sums (out * out, ld) from its rows of the products. */
MBR_INLINE void wg_piece_out(const float *m, size_t matrix, size_t cols, float *sums, size_t ld, const int in)
{
    const int out = in - 2;
    for (size_t j = 0; j < cols; j += MBR_VL) {
        vf half[WG_OUT][WG_IN], x[WG_IN], y[WG_OUT];
        MBR_UNROLL(6)
        for (int q = 0; q < in; q++) {
            MBR_UNROLL(6)
            for (int i = 0; i < in; i++)
                x[i] = vf_load(m + (size_t)(i * in + q) * matrix + j);
            wg_out(x, y, in);
            MBR_UNROLL(4)
            for (int i = 0; i < out; i++)
                half[i][q] = y[i];
        }
        MBR_UNROLL(4)
        for (int i = 0; i < out; i++) {
            wg_out(half[i], y, in);
            MBR_UNROLL(4)
            for (int q = 0; q < out; q++)
                vf_store(sums + (size_t)(i * out + q) * ld + j, y[q]);
        }
    }
}

/* Where piece number i lies: its sample (with the depth), and the output point at its corner. */
static inline void wg_corner(const wg_plan *p, size_t i, size_t *sample, size_t *h, size_t *w)
{
    *w = i % p->across * p->out;
    *h = i / p->across % p->down * p->out;
    *sample = i / (p->across * p->down);
}

static void wg_gather(const mbr_conv_args *a, const wg_plan *p, size_t first, size_t count, const float *zeros,
                      float *v)
{
    for (size_t i = 0; i < count; i++) {
        size_t sample, h, w;
        const float *point[WG_PLACES];
        wg_corner(p, first + i, &sample, &h, &w);
        const float *x = a->x + (ptrdiff_t)(sample * a->in[1] * a->in[2]) * a->ldx;
        for (size_t r = 0; r < p->in; r++)
            for (size_t s = 0; s < p->in; s++) {
                ptrdiff_t y = (ptrdiff_t)(h + r) - a->pad[1], z = (ptrdiff_t)(w + s) - a->pad[2];
                bool inside = y >= 0 && y < (ptrdiff_t)a->in[1] && z >= 0 && z < (ptrdiff_t)a->in[2];
                point[r * p->in + s] = inside ? x + (y * (ptrdiff_t)a->in[2] + z) * a->ldx : zeros;
            }
        if (p->in == WG_IN)
            wg_piece_in(point, a->channels, v + i * p->lda, p->tp * p->lda, WG_IN);
        else
            wg_piece_in(point, a->channels, v + i * p->lda, p->tp * p->lda, 4);
    }
}

static void wg_scatter(const mbr_conv_args *a, const wg_plan *p, size_t first, size_t count, size_t o, size_t cols,
                       const float *m, float *sums)
{
    const mbr_gemm_epilogue *e = &a->epilogue;
    for (size_t i = 0; i < count; i++) {
        size_t sample, h, w;
        wg_corner(p, first + i, &sample, &h, &w);
        if (p->in == WG_IN)
            wg_piece_out(m + i * p->ldm, p->tp * p->ldm, p->ldm, sums, p->ldm, WG_IN);
        else
            wg_piece_out(m + i * p->ldm, p->tp * p->ldm, p->ldm, sums, p->ldm, 4);
        for (size_t r = 0; r < p->out && h + r < a->out[1]; r++) {
            ptrdiff_t at = (ptrdiff_t)((sample * a->out[1] + h + r) * a->out[2] + w);
            gemm_out out = {.c = a->y + at * a->ldy + (ptrdiff_t)o,
                            .ldc = a->ldy,
                            .bias = e->bias ? e->bias + o : NULL,
                            .other = e->other_is ? e->other + at * e->ld_other + (ptrdiff_t)o : NULL,
                            .ld_other = e->ld_other,
                            .other_is = e->other_is,
                            .act = e->act,
                            .alpha = 1.0f};
            gemm_finish(&out, sums + r * p->out * p->ldm, p->ldm, mbr_min_size(p->out, a->out[2] - w), cols);
        }
    }
}

/* Tiles count panels fastest: neighbours transform the same pieces, once if one call has them all. */
static void wg_run(const mbr_conv_args *a, void *scratch, size_t first, size_t last)
{
    wg_plan p = wg_plan_of(a);
    float *v = scratch, *m = v + p.v_floats, *sums = m + p.m_floats, *zeros = sums + p.s_floats;
    size_t matrix = a->channels * GEMM_NR, have = SIZE_MAX;
    memset(zeros, 0, p.zero_floats * sizeof *zeros);
    for (size_t tile = first; tile < last; tile++) {
        size_t panel = tile % p.n_tiles * p.tn, group = tile / p.n_tiles, piece = group * p.tp;
        size_t count = mbr_min_size(p.tp, p.pieces - piece), o = panel * GEMM_NR;
        size_t cols = mbr_min_size(p.ldm, a->filters - o), padded = gemm_up(cols, GEMM_NR);
        if (group != have)
            wg_gather(a, &p, piece, count, zeros, v);
        have = group;
        for (size_t q = 0; q < p.places; q++) {
            gemm_out out = {.c = m + q * p.tp * p.ldm, .ldc = (ptrdiff_t)p.ldm, .alpha = 1.0f};
            gemm_block(v + q * p.tp * p.lda, (ptrdiff_t)p.lda, NULL, a->w + (panel * p.places + q) * matrix,
                       p.places * matrix, a->channels, count, padded, NULL, true, true, &out,
                       a->w + (panel * p.places + q + 1) * matrix);
        }
        wg_scatter(a, &p, piece, count, o, cols, m, sums);
    }
}

const mbr_conv_f32_kernel GEMM_ROW(WINOGRAD_NAME) = {
    GEMM_STRING(WINOGRAD_NAME),
    GEMM_TIER,
    false,
    wg_fits,
    wg_pack_size,
    wg_pack_units,
    wg_pack,
    wg_scratch,
    wg_tiles,
    wg_run,
};

#endif
