/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Convolution of planes, the first layer of a network, stamped out once per instruction set after conv_body.h: with few
 * channels, gathering the rows of a matrix costs more than the product. Here the rows of the input that a stretch of one
 * output row needs are copied once, with their padding, and the product reads each tap of neighbouring points there,
 * `stride` floats apart. Sums, weights and their order are those of conv_body.h. The including file defines
 *
 *   CONV_FIRST_NAME   the row of conv.def
 */
#ifndef MBR_KERNELS_CONV_FIRST_BODY_H
#define MBR_KERNELS_CONV_FIRST_BODY_H

#include "kernels/conv_body.h"

#define FIRST_MOST_STEPS 512    /* of k: a panel of weights lies in the first cache */
#define FIRST_WINDOW_FLOATS 6144 /* so does what is copied */

typedef struct first_plan {
    size_t k, panels;
    size_t rows, width;  /* of the window: rows of the input, floats of each */
    size_t points;       /* of an output row at a time */
    size_t lines, tile_lines;
} first_plan;

/* Floats of an input row that `points` neighbours read. */
static size_t first_width(const mbr_conv_args *a, size_t points)
{
    return (points - 1) * a->stride[2] + (a->kernel[2] - 1) * a->dilation[2] + 1;
}

static first_plan first_plan_of(const mbr_conv_args *a)
{
    first_plan p = {.rows = a->channels * a->kernel[0] * a->kernel[1], .lines = a->n * a->out[0] * a->out[1]};
    p.k = p.rows * a->kernel[2];
    p.panels = (a->filters + GEMM_NR - 1) / GEMM_NR;
    size_t room = FIRST_WINDOW_FLOATS / p.rows, one = first_width(a, 1);
    p.points = gemm_clamp(room > one ? (room - one) / a->stride[2] + 1 : 1, GEMM_MR, a->out[2] ? a->out[2] : 1);
    size_t stretches = (a->out[2] + p.points - 1) / p.points;
    p.points = stretches ? (a->out[2] + stretches - 1) / stretches : 1;
    p.width = first_width(a, p.points);
    double line_macs = (double)p.k * (double)(p.panels * GEMM_NR) * (double)a->out[2];
    double tile = gemm_tile_macs(line_macs * (double)p.lines);
    p.tile_lines = line_macs > 0 ? gemm_clamp((size_t)(tile / line_macs), 1, p.lines ? p.lines : 1) : 1;
    return p;
}

static bool first_fits(const mbr_conv_args *a)
{
    size_t k = a->channels * a->kernel[0] * a->kernel[1] * a->kernel[2];
    /* Of panels of several vectors, half must be there. */
    return conv_fits(a) && a->x_planes && a->groups == 1 && (GEMM_NV == 1 || 2 * a->filters > GEMM_NR) &&
           k <= FIRST_MOST_STEPS && first_width(a, GEMM_MR) * (k / a->kernel[2]) <= FIRST_WINDOW_FLOATS;
}

static size_t first_scratch(const mbr_conv_args *a)
{
    first_plan p = first_plan_of(a);
    return gemm_up(p.k * sizeof(ptrdiff_t), 64) + gemm_up(p.rows * p.width, 16) * sizeof(float);
}

static size_t first_tiles(const mbr_conv_args *a)
{
    first_plan p = first_plan_of(a);
    return a->out[2] ? (p.lines + p.tile_lines - 1) / p.tile_lines : 0;
}

/* The input that the points from w on of an output row read, zero outside. */
static void first_copy(const mbr_conv_args *a, const first_plan *p, size_t line, size_t w, float *to)
{
    size_t h = line % a->out[1], d = line / a->out[1] % a->out[0], b = line / (a->out[0] * a->out[1]);
    ptrdiff_t left = (ptrdiff_t)(w * a->stride[2]) - a->pad[2], width = (ptrdiff_t)a->in[2];
    ptrdiff_t begin = left < 0 ? -left : 0, end = left + (ptrdiff_t)p->width > width ? width - left : (ptrdiff_t)p->width;
    begin = begin < (ptrdiff_t)p->width ? begin : (ptrdiff_t)p->width;
    end = end > begin ? end : begin;
    for (size_t c = 0; c < a->channels; c++)
        for (size_t kd = 0; kd < a->kernel[0]; kd++)
            for (size_t kh = 0; kh < a->kernel[1]; kh++, to += p->width) {
                ptrdiff_t z = (ptrdiff_t)(d * a->stride[0] + kd * a->dilation[0]) - a->pad[0];
                ptrdiff_t y = (ptrdiff_t)(h * a->stride[1] + kh * a->dilation[1]) - a->pad[1];
                if (z < 0 || z >= (ptrdiff_t)a->in[0] || y < 0 || y >= (ptrdiff_t)a->in[1]) {
                    memset(to, 0, p->width * sizeof *to);
                    continue;
                }
                const float *from = a->x + (((b * a->channels + c) * a->in[0] + (size_t)z) * a->in[1] + (size_t)y) * a->in[2];
                memset(to, 0, (size_t)begin * sizeof *to);
                memcpy(to + begin, from + left + begin, (size_t)(end - begin) * sizeof *to);
                memset(to + end, 0, (p->width - (size_t)end) * sizeof *to);
            }
}

/* at: (kc) where the steps' values for the first point lie in the window, t->a. */
MBR_INLINE void first_micro(const gemm_tile *t, const ptrdiff_t *at, ptrdiff_t stride, const int mr)
{
    vf sum[GEMM_MR][GEMM_NP_MAX * GEMM_NV];
    gemm_begin(t, sum, mr, GEMM_NV);
    for (size_t p = 0; p < t->kc; p++) {
        const float *row[(GEMM_MR + 2) / 3];
        MBR_UNROLL(16)
        for (int g = 0; g < (mr + 2) / 3; g++)
            row[g] = t->a + at[p] + 3 * g * stride;
        vf bv[GEMM_NV];
        MBR_UNROLL(4)
        for (int v = 0; v < GEMM_NV; v++)
            bv[v] = vf_load(t->b + p * GEMM_NR + (size_t)v * MBR_VL);
        MBR_UNROLL(16)
        for (int r = 0; r < mr; r++) {
            vf av = vf_load1(row[r / 3] + (r % 3) * stride);
            MBR_UNROLL(16)
            for (int v = 0; v < GEMM_NV; v++)
                sum[r][v] = vf_fma(av, bv[v], sum[r][v]);
        }
    }
    gemm_end(t, sum, mr, GEMM_NV);
}

/* A stretch is cut evenly: a tile has half of GEMM_MR rows or more, or the stretch has fewer, which go one by one. */
#define FIRST_LEAST ((GEMM_MR + 1) / 2)

#define FIRST_MICRO(mr)                                                                                                \
    static inline void first_micro_##mr(const gemm_tile *t, const ptrdiff_t *at, ptrdiff_t stride)                            \
    {                                                                                                                  \
        first_micro(t, at, stride, mr);                                                                                \
    }
GEMM_EACH_ROW(FIRST_MICRO)
#undef FIRST_MICRO

/* By points - 1; none below FIRST_LEAST but one. */
static void (*const first_micro_of[GEMM_MR])(const gemm_tile *, const ptrdiff_t *, ptrdiff_t) = {
#define FIRST_MICRO(mr) (mr) > 1 && (mr) < FIRST_LEAST ? NULL : first_micro_##mr,
    GEMM_EACH_ROW(FIRST_MICRO)
#undef FIRST_MICRO
};

/* `points` points of an output row, whose input is in the window; out begins at the first. */
static void first_stretch(const mbr_conv_args *a, const first_plan *p, const ptrdiff_t *at, const float *window,
                          size_t points, const gemm_out *out)
{
    _Alignas(64) float sums[GEMM_MR * GEMM_NR];
    gemm_tile t = {
        .kc = p->k, .first = true, .acc = sums, .ldc = out->ldc, .ld_other = out->ld_other, .alpha = out->alpha};
    bool plain = gemm_out_is_plain(out, &t.low, &t.high);
    size_t row_tiles = points < FIRST_LEAST ? points : (points + GEMM_MR - 1) / GEMM_MR;
    for (size_t j = 0; j < p->panels; j++) {
        size_t width = mbr_min_size(a->filters - j * GEMM_NR, GEMM_NR);
        t.b = a->w + j * p->k * GEMM_NR;
        t.to_c = plain && width == GEMM_NR;
        for (size_t i = 0, r = 0; i < row_tiles; i++) {
            size_t mr = (points - r) / (row_tiles - i);
            gemm_out here = gemm_out_at(out, r, j * GEMM_NR);
            t.a = window + r * a->stride[2];
            t.c = here.c;
            t.bias = here.bias;
            t.other = here.other;
            first_micro_of[mr - 1](&t, at, (ptrdiff_t)a->stride[2]);
            if (!t.to_c)
                gemm_finish(&here, sums, GEMM_NR, mr, width);
            r += mr;
        }
    }
}

static void first_run(const mbr_conv_args *a, void *scratch, size_t first, size_t last)
{
    const mbr_gemm_epilogue *e = &a->epilogue;
    first_plan p = first_plan_of(a);
    ptrdiff_t *at = scratch;
    float *window = (float *)((char *)scratch + gemm_up(p.k * sizeof *at, 64));
    for (size_t k = 0; k < p.k; k++)
        at[k] = (ptrdiff_t)(k / a->kernel[2] * p.width + k % a->kernel[2] * a->dilation[2]);
    for (size_t line = first * p.tile_lines; line < mbr_min_size(last * p.tile_lines, p.lines); line++)
        for (size_t w = 0; w < a->out[2]; w += p.points) {
            ptrdiff_t point = (ptrdiff_t)(line * a->out[2] + w);
            gemm_out out = {.c = a->y + point * a->ldy,
                            .ldc = a->ldy,
                            .bias = e->bias,
                            .other = e->other_is ? e->other + point * e->ld_other : NULL,
                            .ld_other = e->ld_other,
                            .other_is = e->other_is,
                            .act = e->act,
                            .alpha = 1.0f};
            first_copy(a, &p, line, w, window);
            first_stretch(a, &p, at, window, mbr_min_size(p.points, a->out[2] - w), &out);
        }
}

const mbr_conv_f32_kernel GEMM_ROW(CONV_FIRST_NAME) = {
    GEMM_STRING(CONV_FIRST_NAME), GEMM_TIER, true,          first_fits,  conv_pack_size,
    conv_pack_units,              conv_pack, first_scratch, first_tiles, first_run,
};

#endif
