/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Convolution with one to three filters in a group, stamped out once per instruction set after conv_body.h: too few to
 * fill the columns of a matrix product, so a sum runs over vectors of k, and its lanes are added at the end. Points
 * whose taps all lie inside the input's rows read it as it is; the others are gathered first. The including file
 * defines
 *
 *   CONV_DOT_NAME   the row of conv.def
 *
 * Packed, weights are rows of k, as conv_segments counts it, rounded up to 16 floats.
 */
#ifndef MBR_KERNELS_CONV_DOT_BODY_H
#define MBR_KERNELS_CONV_DOT_BODY_H

#include "kernels/conv_body.h"

#define DOT_FILTERS 3
#define DOT_POINTS(og) ((og) == 1 ? 8 : (og) == 2 ? 6 : 4) /* at once: independent sums for both multipliers */
#define DOT_POINTS_MAX 8

typedef struct dot_plan {
    size_t cg, og, k, k_row;
    size_t lines, tile_lines; /* output rows (n, d, h) */
    size_t segment_bytes, line_bytes, row_floats, sum_floats;
} dot_plan;

/* A segment on one output row: where its first tap lies for the point w = 0, and its weights. */
typedef struct dot_line {
    const float *x;
    const conv_segment *s;
} dot_line;

static dot_plan dot_plan_of(const mbr_conv_args *a)
{
    dot_plan p = {.cg = a->channels / a->groups, .og = a->filters / a->groups};
    p.k = p.cg * a->kernel[0] * a->kernel[1] * a->kernel[2];
    p.k_row = gemm_up(p.k, 16);
    p.lines = a->n * a->out[0] * a->out[1];
    double line_macs = (double)p.k * (double)a->filters * (double)a->out[2] * 8; /* a fraction of a product's speed */
    double tile = gemm_tile_macs(line_macs * (double)p.lines);
    p.tile_lines = line_macs > 0 ? gemm_clamp((size_t)(tile / line_macs), 1, p.lines ? p.lines : 1) : 1;
    p.segment_bytes = gemm_up(p.k * sizeof(conv_segment), 64);
    p.line_bytes = gemm_up(p.k * sizeof(dot_line), 64);
    p.row_floats = gemm_up(p.k + 16, 16);
    p.sum_floats = DOT_POINTS_MAX * DOT_FILTERS + 16;
    return p;
}

static bool dot_fits(const mbr_conv_args *a)
{
    size_t cg = a->channels / a->groups, og = a->filters / a->groups;
    size_t run = a->dilation[2] != 1 ? 1 : a->kernel[2];
    size_t stretch = a->x_planes ? run : a->groups == 1 ? cg * run : cg;
    return !a->transposed && og <= DOT_FILTERS && stretch >= MBR_VL &&
           cg * a->kernel[0] * a->kernel[1] * a->kernel[2] >= 4 * MBR_VL;
}

static size_t dot_pack_units(const mbr_conv_args *a)
{
    return a->filters;
}

static size_t dot_pack_size(const mbr_conv_args *a)
{
    size_t row = a->channels / a->groups;
    bool ok = true;
    for (int d = 0; d < 3; d++)
        ok = ok && mbr_mul_size(row, a->kernel[d], &row);
    return ok && mbr_round_up(row, 16, &row) && mbr_mul_size(row, sizeof(float), &row) &&
                   mbr_mul_size(row, a->filters, &row)
               ? row : 0;
}

static void dot_pack(const mbr_conv_args *a, const float *weights, float *packed, size_t first, size_t last)
{
    dot_plan p = dot_plan_of(a);
    size_t taps = p.cg ? p.k / p.cg : 0;
    for (size_t o = first; o < last; o++) {
        float *to = packed + o * p.k_row;
        memset(to, 0, p.k_row * sizeof *to);
        for (size_t c = 0; c < p.cg; c++)
            for (size_t t = 0; t < taps; t++)
                to[a->x_planes ? c * taps + t : t * p.cg + c] =
                    gemm_weight(weights, (ptrdiff_t)((o * p.cg + c) * taps + t));
    }
}

static size_t dot_scratch(const mbr_conv_args *a)
{
    dot_plan p = dot_plan_of(a);
    return p.segment_bytes + p.line_bytes + (p.row_floats + p.sum_floats) * sizeof(float);
}

static size_t dot_tiles(const mbr_conv_args *a)
{
    dot_plan p = dot_plan_of(a);
    return a->out[2] ? (p.lines + p.tile_lines - 1) / p.tile_lines : 0;
}

/* Sums (points, og) of points that are `step` floats apart in x; `at` floats are added to each segment's x. */
MBR_INLINE void dot_sums(const dot_line *lines, size_t count, ptrdiff_t at, ptrdiff_t step, const float *w,
                         size_t k_row, float *sums, const int points, const int og)
{
    vf acc[DOT_POINTS_MAX][DOT_FILTERS];
    MBR_UNROLL(8)
    for (int p = 0; p < points; p++) {
        MBR_UNROLL(4)
        for (int f = 0; f < og; f++)
            acc[p][f] = vf_zero();
    }
    for (size_t l = 0; l < count; l++) {
        const conv_segment *s = lines[l].s;
        const float *x = lines[l].x + at, *ws = w + s->at;
        size_t n = (size_t)s->run * s->unit, i = 0;
        for (; i + MBR_VL <= n; i += MBR_VL) {
            vf wv[DOT_FILTERS];
            MBR_UNROLL(4)
            for (int f = 0; f < og; f++)
                wv[f] = vf_load(ws + (size_t)f * k_row + i);
            MBR_UNROLL(8)
            for (int p = 0; p < points; p++) {
                vf xv = vf_load(x + p * step + (ptrdiff_t)i);
                MBR_UNROLL(4)
                for (int f = 0; f < og; f++)
                    acc[p][f] = vf_fma(xv, wv[f], acc[p][f]);
            }
        }
        if (i < n) {
            vf wv[DOT_FILTERS];
            MBR_UNROLL(4)
            for (int f = 0; f < og; f++)
                wv[f] = vf_load_n(ws + (size_t)f * k_row + i, n - i);
            MBR_UNROLL(8)
            for (int p = 0; p < points; p++) {
                vf xv = vf_load_n(x + p * step + (ptrdiff_t)i, n - i);
                MBR_UNROLL(4)
                for (int f = 0; f < og; f++)
                    acc[p][f] = vf_fma(xv, wv[f], acc[p][f]);
            }
        }
    }
    MBR_UNROLL(8)
    for (int p = 0; p < points; p++) {
        MBR_UNROLL(4)
        for (int f = 0; f < og; f++)
            sums[p * og + f] = vf_sum(acc[p][f]);
    }
}

typedef void dot_sums_fn(const dot_line *lines, size_t count, ptrdiff_t at, ptrdiff_t step, const float *w,
                         size_t k_row, float *sums);
#define DOT_STAMP(name, points, og)                                                                                    \
    static void name(const dot_line *lines, size_t count, ptrdiff_t at, ptrdiff_t step, const float *w, size_t k_row,  \
                     float *sums)                                                                                      \
    {                                                                                                                  \
        dot_sums(lines, count, at, step, w, k_row, sums, points, og);                                                  \
    }
DOT_STAMP(dot_one_1, 1, 1)
DOT_STAMP(dot_one_2, 1, 2)
DOT_STAMP(dot_one_3, 1, 3)
DOT_STAMP(dot_many_1, DOT_POINTS(1), 1)
DOT_STAMP(dot_many_2, DOT_POINTS(2), 2)
DOT_STAMP(dot_many_3, DOT_POINTS(3), 3)
#undef DOT_STAMP

/* One output row of one group: the segments inside the input, and the points low .. high - 1 that have all of them. */
static size_t dot_row_lines(const mbr_conv_args *a, const conv_segment *seg, size_t segments, size_t b,
                            const ptrdiff_t q[3], dot_line *lines, size_t *low, size_t *high)
{
    ptrdiff_t in[3] = {(ptrdiff_t)a->in[0], (ptrdiff_t)a->in[1], (ptrdiff_t)a->in[2]};
    ptrdiff_t point = a->x_planes ? 1 : a->ldx, stride = (ptrdiff_t)a->stride[2];
    const float *x = a->x + (ptrdiff_t)b * in[0] * in[1] * in[2] * (a->x_planes ? (ptrdiff_t)a->channels : a->ldx);
    size_t count = 0;
    *low = 0;
    *high = a->out[2];
    for (size_t i = 0; i < segments; i++) {
        const conv_segment *s = &seg[i];
        ptrdiff_t d = q[0] + s->step[0], h = q[1] + s->step[1];
        if (d < 0 || d >= in[0] || h < 0 || h >= in[1])
            continue;
        lines[count++] = (dot_line){.x = x + (d * in[1] + h) * in[2] * point + s->offset + s->step[2] * point, .s = s};
        *low = mbr_max_size(*low, conv_first_at(s->step[2], stride, 0));
        *high = mbr_min_size(*high, conv_first_at(s->step[2], stride, in[2] - (ptrdiff_t)s->run + 1));
    }
    *low = mbr_min_size(*low, a->out[2]);
    *high = mbr_max_size(*high, *low);
    return count;
}

static void dot_row(const mbr_conv_args *a, const dot_plan *p, size_t line, size_t group, const conv_segment *seg,
                    size_t segments, dot_line *lines, float *row, float *sums)
{
    static dot_sums_fn *const one[DOT_FILTERS + 1] = {NULL, dot_one_1, dot_one_2, dot_one_3};
    static dot_sums_fn *const many[DOT_FILTERS + 1] = {NULL, dot_many_1, dot_many_2, dot_many_3};
    const mbr_gemm_epilogue *e = &a->epilogue;
    size_t b = line / (a->out[0] * a->out[1]), low, high, step = (size_t)DOT_POINTS(p->og);
    ptrdiff_t q[3] = {(ptrdiff_t)(line / a->out[1] % a->out[0] * a->stride[0]),
                      (ptrdiff_t)(line % a->out[1] * a->stride[1]), 0};
    ptrdiff_t apart = (ptrdiff_t)a->stride[2] * (a->x_planes ? 1 : a->ldx);
    size_t count = dot_row_lines(a, seg, segments, b, q, lines, &low, &high), o = group * p->og;
    const float *w = a->w + o * p->k_row;
    for (size_t at = 0; at < a->out[2];) {
        size_t points = 1;
        if (at >= low && at < high) {
            points = high - at >= step ? step : 1;
            (points > 1 ? many : one)[p->og](lines, count, (ptrdiff_t)at * apart, apart, w, p->k_row, sums);
        } else { /* the same sums over a copy with zeros around the input */
            q[2] = (ptrdiff_t)(at * a->stride[2]);
            conv_gather(a, seg, segments, b, q, (ptrdiff_t)a->stride[2], 1, row, 0);
            for (size_t l = 0; l < count; l++) {
                const float *x = lines[l].x;
                lines[l].x = row + lines[l].s->at;
                one[p->og](&lines[l], 1, 0, 0, w, p->k_row, sums + (l ? p->og : 0));
                for (size_t f = 0; l && f < p->og; f++)
                    sums[f] += sums[p->og + f];
                lines[l].x = x;
            }
            for (size_t f = 0; count == 0 && f < p->og; f++)
                sums[f] = 0;
        }
        ptrdiff_t y = (ptrdiff_t)(line * a->out[2] + at);
        gemm_out out = {.c = a->y + y * a->ldy + (ptrdiff_t)o,
                        .ldc = a->ldy,
                        .bias = e->bias ? e->bias + o : NULL,
                        .other = e->other_is ? e->other + y * e->ld_other + (ptrdiff_t)o : NULL,
                        .ld_other = e->ld_other,
                        .other_is = e->other_is,
                        .act = e->act,
                        .alpha = 1.0f};
        gemm_finish(&out, sums, p->og, points, p->og);
        at += points;
    }
}

static void dot_run(const mbr_conv_args *a, void *scratch, size_t first, size_t last)
{
    dot_plan p = dot_plan_of(a);
    conv_phase phase = conv_phase_of(a, 0);
    conv_segment *seg = scratch;
    dot_line *lines = (dot_line *)(void *)((char *)scratch + p.segment_bytes);
    float *row = (float *)(void *)((char *)scratch + p.segment_bytes + p.line_bytes), *sums = row + p.row_floats;
    size_t end = mbr_min_size(last * p.tile_lines, p.lines);
    for (size_t g = 0; g < a->groups; g++) {
        size_t segments = conv_segments(a, &phase, g, 0, p.k, seg);
        for (size_t line = first * p.tile_lines; line < end; line++)
            dot_row(a, &p, line, g, seg, segments, lines, row, sums);
    }
}

const mbr_conv_f32_kernel GEMM_ROW(CONV_DOT_NAME) = {
    GEMM_STRING(CONV_DOT_NAME), GEMM_TIER, true,        dot_fits,  dot_pack_size,
    dot_pack_units,             dot_pack,  dot_scratch, dot_tiles, dot_run,
};

#endif
