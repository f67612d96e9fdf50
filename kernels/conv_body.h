/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Convolution as a matrix product that never exists as a whole, stamped out once per instruction set on gemm_micro.h:
 * the rows of A are output points, k runs over the taps and the channels of each, and a block of rows and k is gathered
 * into scratch just before it is used (a 1x1 kernel needs no gathering). The including file defines
 *
 *   CONV_NAME          the row of conv.def
 *   CONV_MOST_FILTERS  (if at all) it is meant for at most so many filters in a group
 *
 * k counts taps (kd, kh, kw) and in each the channels; with x_planes it counts channels and in each the taps, as the
 * floats lie. Packed, a group's weights are panels, each (k, GEMM_NR) and dense. Transposed, the output points that are
 * equal modulo the strides (a phase) are an ordinary convolution of stride 1 with some of the taps; a panel holds the
 * phases one by one.
 */
#ifndef MBR_KERNELS_CONV_BODY_H
#define MBR_KERNELS_CONV_BODY_H

#include "kernels/conv_walk.h"
#include "kernels/gemm_stream.h"

#ifndef CONV_MOST_FILTERS
#define CONV_MOST_FILTERS SIZE_MAX
#endif
#define CONV_STREAMS (CONV_MOST_FILTERS == SIZE_MAX) /* weights of few filters are small */

typedef struct conv_plan {
    size_t cg, og, panels, taps;
    size_t rows; /* output points that a tile may join: all, or transposed those of one row and phase */
    size_t tm, tn, m_tiles, n_tiles;
    size_t lines;        /* transposed: rows of phases, the outer part of the tile count */
    size_t kc, k_blocks; /* of the longest phase */
    bool direct;         /* A is x itself */
    bool stream;         /* few points: as a product of few rows */
    size_t segment_bytes, a_floats, acc_floats;
} conv_plan;

static conv_plan conv_plan_of(const mbr_conv_args *a)
{
    conv_plan p = {.cg = a->channels / a->groups, .og = a->filters / a->groups};
    p.panels = (p.og + GEMM_NR - 1) / GEMM_NR;
    p.taps = a->kernel[0] * a->kernel[1] * a->kernel[2];
    size_t k = p.taps * p.cg, points = a->n * a->out[0] * a->out[1] * a->out[2];
    p.rows = points;
    p.lines = 1;
    if (a->transposed) {
        k = 0;
        for (size_t i = 0; i < conv_phases(a); i++)
            k = mbr_max_size(k, conv_phase_of(a, i).k);
        p.rows = (a->out[2] + a->stride[2] - 1) / a->stride[2];
        p.lines = a->n * a->out[0] * a->out[1] * a->stride[2];
    }
    if (!points || !a->filters)
        return p;
    bool point_kernel = p.taps == 1 && !a->transposed && !a->x_planes;
    for (int d = 0; d < 3; d++)
        point_kernel = point_kernel && a->stride[d] == 1 && a->pad[d] == 0 && a->in[d] == a->out[d];
    size_t steps = k ? k : 1, most = gemm_kc_most();
    if (CONV_STREAMS && point_kernel && points <= GEMM_MR) {
        p.stream = p.direct = true;
        p.tm = points;
        p.tn = gemm_stream_panels(p.panels, steps, a->groups);
        p.m_tiles = 1;
        p.n_tiles = (p.panels + p.tn - 1) / p.tn;
        return p;
    }
    p.k_blocks = (steps + most - 1) / most;
    p.kc = gemm_up((steps + p.k_blocks - 1) / p.k_blocks, 16);
    double all = (double)p.rows * (double)p.lines * (double)(p.panels * GEMM_NR * a->groups) * (double)steps;
    size_t cells = (size_t)(gemm_tile_macs(all) / (double)steps);
    /* Gathering a row costs about three times as much as reading a column of B. */
    gemm_cut(p.rows, p.panels, steps, cells, point_kernel ? 2 : SIZE_MAX, point_kernel ? 0.5 : 0.3, &p.tm, &p.tn);
    p.m_tiles = (p.rows + p.tm - 1) / p.tm;
    p.n_tiles = (p.panels + p.tn - 1) / p.tn;
    p.tn = (p.panels + p.n_tiles - 1) / p.n_tiles;
    p.n_tiles = (p.panels + p.tn - 1) / p.tn;
    p.direct = point_kernel && (p.tn == 1 || !gemm_rows_collide(a->ldx));
    if (!p.direct) {
        p.segment_bytes = gemm_up(p.kc * sizeof(conv_segment), 64);
        p.a_floats = gemm_up(p.tm * (p.kc + 16), 16);
    }
    if (p.k_blocks > 1)
        p.acc_floats = p.tm * p.tn * GEMM_NR;
    return p;
}

static bool conv_fits(const mbr_conv_args *a)
{
    return a->filters / a->groups <= CONV_MOST_FILTERS && !(a->transposed && a->x_planes);
}

static size_t conv_pack_units(const mbr_conv_args *a)
{
    return a->groups * ((a->filters / a->groups + GEMM_NR - 1) / GEMM_NR);
}

static size_t conv_pack_size(const mbr_conv_args *a)
{
    size_t size;
    bool ok = mbr_mul_size(conv_pack_units(a), GEMM_NR * sizeof(float), &size) &&
              mbr_mul_size(size, a->channels / a->groups, &size);
    for (int d = 0; d < 3; d++)
        ok = ok && mbr_mul_size(size, a->kernel[d], &size);
    return ok && mbr_round_up(size, 64, &size) ? size : 0;
}

/* A unit is one panel of one group. */
static void conv_pack(const mbr_conv_args *a, const float *weights, float *packed, size_t first, size_t last)
{
    size_t cg = a->channels / a->groups, og = a->filters / a->groups, taps = a->kernel[0] * a->kernel[1] * a->kernel[2];
    size_t panels = (og + GEMM_NR - 1) / GEMM_NR, k = cg * taps;
    for (size_t unit = first; unit < last; unit++) {
        size_t group = unit / panels, o0 = unit % panels * GEMM_NR, cols = og - o0 < GEMM_NR ? og - o0 : GEMM_NR;
        float *panel = packed + unit * k * GEMM_NR;
        if (a->x_planes && !a->transposed) {
            gemm_pack_panel(panel, weights + (group * og + o0) * k, 1, (ptrdiff_t)k, k, cols);
            continue;
        }
        for (size_t i = 0; i < conv_phases(a); i++) {
            conv_phase p = conv_phase_of(a, i);
            for (size_t d = 0; d < p.taps[0].count; d++)
                for (size_t h = 0; h < p.taps[1].count; h++)
                    for (size_t w = 0; w < p.taps[2].count; w++) {
                        size_t t = p.taps[0].first + d * p.taps[0].every;
                        t = t * a->kernel[1] + p.taps[1].first + h * p.taps[1].every;
                        t = t * a->kernel[2] + p.taps[2].first + w * p.taps[2].every;
                        const float *from = a->transposed ? weights + (group * cg * og + o0) * taps + t
                                                          : weights + (group * og + o0) * k + t;
                        ptrdiff_t step_c = (ptrdiff_t)(a->transposed ? og * taps : taps);
                        gemm_pack_panel(panel, from, step_c, (ptrdiff_t)(a->transposed ? taps : k), cg, cols);
                        panel += cg * GEMM_NR;
                    }
        }
    }
}

static size_t conv_scratch(const mbr_conv_args *a)
{
    conv_plan p = conv_plan_of(a);
    return p.segment_bytes + (p.a_floats + p.acc_floats) * sizeof(float);
}

static size_t conv_tiles(const mbr_conv_args *a)
{
    conv_plan p = conv_plan_of(a);
    return p.m_tiles * p.n_tiles * p.lines * a->groups;
}

/* Both may write up to MBR_VL - 1 floats more than n: the row goes on there, or has its 16 spare floats. */
MBR_INLINE void conv_copy(float *to, const float *from, size_t n)
{
    size_t i = 0;
    for (; i + MBR_VL <= n; i += MBR_VL)
        vf_store(to + i, vf_load(from + i));
    if (i < n)
        vf_store(to + i, vf_load_n(from + i, n - i));
}

MBR_INLINE void conv_zero(float *to, size_t n)
{
    for (size_t i = 0; i < n; i += MBR_VL)
        vf_store(to + i, vf_zero());
}

/* One segment of one row of A, partly or wholly outside the input: its first point is w of a row of `width`, at x. */
static void conv_gather_edge(const conv_segment *s, const float *x, ptrdiff_t point, ptrdiff_t w, ptrdiff_t width,
                             float *to)
{
    ptrdiff_t run = (ptrdiff_t)s->run, low = w < 0 ? -w : 0, high = w + run > width ? width - w : run;
    size_t unit = s->unit;
    if (low >= high) {
        conv_zero(to, s->run * unit);
        return;
    }
    if (low)
        conv_zero(to, (size_t)low * unit);
    conv_copy(to + (size_t)low * unit, x + (w + low) * point, (size_t)(high - low) * unit);
    if (high < run)
        conv_zero(to + (size_t)high * unit, (size_t)(run - high) * unit);
}

/*
 * Rows of A for `points` neighbours in one output row of sample b, from the scaled output point q on: segment by
 * segment, so that what is outside the input is found once for all of them.
 */
static void conv_gather(const mbr_conv_args *a, const conv_segment *seg, size_t count, size_t b, const ptrdiff_t q[3],
                        ptrdiff_t step, size_t points, float *block, ptrdiff_t lda)
{
    ptrdiff_t in[3] = {(ptrdiff_t)a->in[0], (ptrdiff_t)a->in[1], (ptrdiff_t)a->in[2]};
    ptrdiff_t point = a->x_planes ? 1 : a->ldx;
    const float *x = a->x + (ptrdiff_t)b * in[0] * in[1] * in[2] * (a->x_planes ? (ptrdiff_t)a->channels : a->ldx);
    for (size_t i = 0; i < count; i++) {
        const conv_segment *s = &seg[i];
        ptrdiff_t d = q[0] + s->step[0], h = q[1] + s->step[1], w = q[2] + s->step[2];
        size_t n = (size_t)s->run * s->unit, j = 0;
        bool inside = d >= 0 && d < in[0] && h >= 0 && h < in[1];
        const float *line = x + (inside ? (d * in[1] + h) * in[2] * point + s->offset : 0);
        size_t low = points, high = points; /* rows low .. high - 1 are wholly inside */
        if (inside) {
            low = mbr_min_size(conv_first_at(w, step, 0), points);
            high = mbr_min_size(conv_first_at(w, step, in[2] - (ptrdiff_t)s->run + 1), points);
            high = mbr_max_size(high, low);
        }
        float *to = block + s->at;
        if (!inside) {
            for (; j < points; j++, to += lda)
                conv_zero(to, n);
            continue;
        }
        for (; j < low; j++, to += lda)
            conv_gather_edge(s, line, point, w + (ptrdiff_t)j * step, in[2], to);
        const float *from = line + (w + (ptrdiff_t)j * step) * point;
        if (n < MBR_VL)
            for (; j < high; j++, to += lda, from += step * point)
                vf_store(to, vf_load_n(from, n));
        else
            for (; j < high; j++, to += lda, from += step * point)
                conv_copy(to, from, n);
        for (; j < points; j++, to += lda)
            conv_gather_edge(s, line, point, w + (ptrdiff_t)j * step, in[2], to);
    }
}

/* The rectangle rows x cols of one group: points first .. first + rows - 1 of the plan's rows on that line. */
typedef struct conv_rectangle {
    size_t group, line, first, rows, panel, cols;
} conv_rectangle;

/* The sample, and in q the scaled output point, that the rectangle's first row is. */
static size_t conv_first_point(const mbr_conv_args *a, const conv_phase *phase, const conv_rectangle *rect, ptrdiff_t q[3])
{
    size_t line = a->transposed ? rect->line / a->stride[2] : rect->first / a->out[2];
    size_t h = line % a->out[1], d = line / a->out[1] % a->out[0];
    q[0] = (ptrdiff_t)(a->transposed ? d / a->stride[0] : d * a->stride[0]);
    q[1] = (ptrdiff_t)(a->transposed ? h / a->stride[1] : h * a->stride[1]);
    q[2] = a->transposed ? (ptrdiff_t)rect->first : (ptrdiff_t)(rect->first % a->out[2]) * phase->scale[2];
    return line / (a->out[0] * a->out[1]);
}

/* Rows of the rectangle that lie in the line of its first. */
static size_t conv_rows_in_line(const mbr_conv_args *a, const conv_rectangle *rect)
{
    return a->transposed ? rect->rows : mbr_min_size(a->out[2] - rect->first % a->out[2], rect->rows);
}

/* Gathers the block of A for these points; row i of the block is point first + i. */
static void conv_gather_rows(const mbr_conv_args *a, const conv_phase *phase, const conv_rectangle *rect,
                             const conv_segment *seg, size_t count, float *block, ptrdiff_t lda)
{
    for (conv_rectangle left = *rect; left.rows > 0;) {
        ptrdiff_t q[3];
        size_t points = conv_rows_in_line(a, &left), b = conv_first_point(a, phase, &left, q);
        conv_gather(a, seg, count, b, q, phase->scale[2], points, block, lda);
        block += (ptrdiff_t)points * lda;
        left.first += points;
        left.rows -= points;
    }
}

/*
 * Where the rectangle is part of one line and none of its taps falls outside the input, A lies in x: rows lda apart, with
 * a jump from one segment to the next. The first row, or NULL where it has to be gathered.
 */
GEMM_ONE_COPY static const float *conv_inside(const mbr_conv_args *a, const conv_phase *phase,
                                              const conv_rectangle *rect, const conv_segment *seg, size_t count,
                                              gemm_jump *jumps)
{
    ptrdiff_t in[3] = {(ptrdiff_t)a->in[0], (ptrdiff_t)a->in[1], (ptrdiff_t)a->in[2]}, q[3], begin = 0, before = 0;
    if (a->x_planes || !gemm_jumps_fit(rect->rows, rect->cols) || conv_rows_in_line(a, rect) < rect->rows ||
        (rect->cols > GEMM_NR && gemm_rows_collide(a->ldx * phase->scale[2])))
        return NULL;
    size_t b = conv_first_point(a, phase, rect, q);
    ptrdiff_t last = (ptrdiff_t)(rect->rows - 1) * phase->scale[2];
    for (size_t i = 0; i < count; i++) {
        const conv_segment *s = &seg[i];
        ptrdiff_t d = q[0] + s->step[0], h = q[1] + s->step[1], w = q[2] + s->step[2];
        if (d < 0 || d >= in[0] || h < 0 || h >= in[1] || w < 0 || w + last + (ptrdiff_t)s->run > in[2])
            return NULL;
        ptrdiff_t at = ((d * in[1] + h) * in[2] + w) * a->ldx + s->offset;
        if (i == 0)
            begin = at;
        else
            jumps[i - 1].by = at - before;
        jumps[i] = (gemm_jump){s->run * s->unit, 0};
        before = at;
    }
    return a->x + (ptrdiff_t)b * in[0] * in[1] * in[2] * a->ldx + begin;
}

static void conv_rectangle_run(const mbr_conv_args *a, const conv_plan *p, const conv_phase *phase,
                               const conv_rectangle *rect, const gemm_out *out, void *scratch)
{
    conv_segment *segments = scratch;
    float *acc = (float *)((char *)scratch + p->segment_bytes), *block = acc + p->acc_floats;
    size_t k_panel = p->taps * p->cg;
    const float *w = a->w + ((rect->group * p->panels + rect->panel) * k_panel + phase->k_before) * GEMM_NR;
    size_t k_blocks = phase->k ? (phase->k + p->kc - 1) / p->kc : 1;
    /* Of the tile behind this one. */
    const float *next = a->transposed                             ? NULL
                        : rect->first + rect->rows < p->rows ? w
                        : rect->panel + p->tn < p->panels    ? w + p->tn * k_panel * GEMM_NR
                                                             : NULL;
    for (size_t i = 0; i < k_blocks; i++) {
        size_t k0 = i * p->kc, kc = mbr_min_size(p->kc, phase->k - k0);
        const float *rows = a->x + (ptrdiff_t)rect->first * a->ldx + (ptrdiff_t)(rect->group * p->cg + k0);
        ptrdiff_t lda = a->ldx;
        gemm_jump *jumps = NULL;
        if (!p->direct) {
            size_t count = conv_segments(a, phase, rect->group, k0, kc, segments);
            jumps = (gemm_jump *)(void *)block; /* one for each segment, where at least four rows would be */
            rows = count ? conv_inside(a, phase, rect, segments, count, jumps) : NULL;
            lda = a->ldx * phase->scale[2];
            if (!rows) {
                lda = (ptrdiff_t)p->kc + 16;
                conv_gather_rows(a, phase, rect, segments, count, block, lda);
                rows = block;
                jumps = NULL;
            }
        }
        gemm_block(rows, lda, jumps, w + k0 * GEMM_NR, k_panel * GEMM_NR, kc, rect->rows, rect->cols,
                   p->acc_floats ? acc : NULL, i == 0, i + 1 == k_blocks, out,
                   i + 1 < k_blocks ? w + (k0 + kc) * GEMM_NR : next);
    }
}

/* A few points, whose neighbourhood is themselves. */
static void conv_stream(const mbr_conv_args *a, const conv_plan *p, const conv_rectangle *rect, const gemm_out *out)
{
    mbr_gemm_args g = {.m = p->tm, .n = p->og, .k = p->cg, .lda = a->ldx};
    gemm_stream(&g, a->x + rect->group * p->cg, a->w + (rect->group * p->panels + rect->panel) * p->cg * GEMM_NR, out,
                rect->cols);
}

/* Tiles count points fastest, then panels, then groups; transposed, rows of phases come before panels. */
static void conv_run(const mbr_conv_args *a, void *scratch, size_t first, size_t last)
{
    const mbr_gemm_epilogue *e = &a->epilogue;
    conv_plan p = conv_plan_of(a);
    conv_phase phase = conv_phase_of(a, 0);
    for (size_t tile = first; tile < last; tile++) {
        size_t rest = tile / p.m_tiles;
        conv_rectangle rect = {.first = tile % p.m_tiles * p.tm, .line = rest % p.lines};
        rest /= p.lines;
        rect.panel = rest % p.n_tiles * p.tn;
        rect.group = rest / p.n_tiles;
        rect.cols = mbr_min_size(p.tn * GEMM_NR, p.og - rect.panel * GEMM_NR);
        size_t point = rect.first, step = 1, rows = p.rows;
        if (a->transposed) {
            size_t r = rect.line % a->stride[2], line = rect.line / a->stride[2], h = line % a->out[1],
                   d = line / a->out[1] % a->out[0];
            phase = conv_phase_of(a, (d % a->stride[0] * a->stride[1] + h % a->stride[1]) * a->stride[2] + r);
            step = a->stride[2];
            point = line * a->out[2] + r + rect.first * step;
            rows = r < a->out[2] ? (a->out[2] - r + step - 1) / step : 0;
        }
        if (rect.first >= rows)
            continue;
        rect.rows = mbr_min_size(p.tm, rows - rect.first);
        ptrdiff_t o = (ptrdiff_t)(rect.group * p.og + rect.panel * GEMM_NR);
        gemm_out out = {.c = a->y + (ptrdiff_t)point * a->ldy + o,
                        .ldc = a->ldy * (ptrdiff_t)step,
                        .bias = e->bias ? e->bias + o : NULL,
                        .other = e->other_is ? e->other + (ptrdiff_t)point * e->ld_other + o : NULL,
                        .ld_other = e->ld_other * (ptrdiff_t)step,
                        .other_is = e->other_is,
                        .act = e->act,
                        .alpha = 1.0f};
        if (CONV_STREAMS && p.stream)
            conv_stream(a, &p, &rect, &out);
        else
            conv_rectangle_run(a, &p, &phase, &rect, &out, scratch);
    }
}

const mbr_conv_f32_kernel GEMM_ROW(CONV_NAME) = {
    GEMM_STRING(CONV_NAME), GEMM_TIER, true,         conv_fits,  conv_pack_size,
    conv_pack_units,        conv_pack, conv_scratch, conv_tiles, conv_run,
};

#endif
