/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Depthwise convolution (one filter for each channel), channels last, stamped out once per instruction set after
 * gemm_body.h. The including file defines DEPTHWISE_NAME, the row of conv.def.
 *
 * DW_POINTS output points of a row are computed at once, one vector of channels after the other. The input points that
 * they touch are a table of pointers, made once for all channels; points outside the input point at zeros. A sum is one
 * chain over the taps, rows outside the input left out.
 *
 * Packed: for each MBR_VL channels, (taps, MBR_VL) weights.
 */
#ifndef MBR_KERNELS_CONV_DEPTHWISE_BODY_H
#define MBR_KERNELS_CONV_DEPTHWISE_BODY_H

#include "kernels/conv.h"
#include "kernels/gemm_body.h"

#define DW_POINTS 7 /* divides 7, 14, 28, 56, 112 and wastes little elsewhere; leaves registers for weights */
#define DW_TILE_MACS (GEMM_TILE_MACS / 3)

typedef struct dw_plan {
    size_t rows, tile_rows; /* output rows (n, d, h) in all, and in a tile */
    size_t kernel_rows;     /* kernel[0] * kernel[1] */
    size_t columns;         /* pointers for each kernel row */
    size_t padded;          /* channels rounded up to vectors */
    bool shared;            /* neighbouring points share columns: column = point * stride + tap */
    size_t table_bytes, zero_bytes, sum_bytes;
} dw_plan;

/* What the inner loop reads: for each kernel row inside the input, its columns and its weights' place. */
typedef struct dw_rows {
    size_t count;
    const float **column; /* (count, columns) */
    size_t *tap;          /* (count): the first tap of the row */
} dw_rows;

static bool dw_fits(const mbr_conv_args *a)
{
    return !a->transposed && !a->x_planes && a->groups == a->channels && a->filters == a->channels && a->channels > 1;
}

static dw_plan dw_plan_of(const mbr_conv_args *a)
{
    dw_plan p = {.rows = a->n * a->out[0] * a->out[1], .kernel_rows = a->kernel[0] * a->kernel[1]};
    size_t kw = a->kernel[2], sw = a->stride[2];
    p.shared = a->dilation[2] == 1 && (kw == 3 || kw == 5) && (sw == 1 || sw == 2);
    p.columns = p.shared ? (DW_POINTS - 1) * sw + kw : DW_POINTS * kw;
    p.padded = gemm_up(a->channels, MBR_VL);
    double row_macs = (double)(p.kernel_rows * kw) * (double)(a->out[2] * p.padded);
    double tile = row_macs * (double)p.rows / GEMM_MIN_TILES;
    tile = tile > DW_TILE_MACS ? DW_TILE_MACS : tile < DW_TILE_MACS / 8 ? DW_TILE_MACS / 8 : tile;
    p.tile_rows = row_macs > 0 ? gemm_clamp((size_t)(tile / row_macs), 1, p.rows ? p.rows : 1) : 1;
    p.table_bytes = gemm_up(p.kernel_rows * (p.columns * sizeof(float *) + sizeof(size_t)), 64);
    p.zero_bytes = gemm_up(p.padded * sizeof(float), 64);
    p.sum_bytes = gemm_up(DW_POINTS * p.padded * sizeof(float), 64);
    return p;
}

static size_t dw_taps(const mbr_conv_args *a)
{
    return a->kernel[0] * a->kernel[1] * a->kernel[2];
}

static size_t dw_pack_units(const mbr_conv_args *a)
{
    return (a->channels + MBR_VL - 1) / MBR_VL;
}

static size_t dw_pack_size(const mbr_conv_args *a)
{
    size_t size;
    bool ok = mbr_mul_size(dw_pack_units(a), MBR_VL * sizeof(float), &size);
    for (int d = 0; d < 3; d++)
        ok = ok && mbr_mul_size(size, a->kernel[d], &size);
    return ok && mbr_round_up(size, 64, &size) ? size : 0;
}

static void dw_pack(const mbr_conv_args *a, const float *weights, float *packed, size_t first, size_t last)
{
    size_t taps = dw_taps(a);
    for (size_t unit = first; unit < last; unit++)
        for (size_t t = 0; t < taps; t++)
            for (size_t i = 0; i < MBR_VL; i++) {
                size_t c = unit * MBR_VL + i;
                packed[(unit * taps + t) * MBR_VL + i] = c < a->channels ? weights[c * taps + t] : 0;
            }
}

static size_t dw_scratch(const mbr_conv_args *a)
{
    dw_plan p = dw_plan_of(a);
    return p.table_bytes + p.zero_bytes + p.sum_bytes;
}

static size_t dw_tiles(const mbr_conv_args *a)
{
    dw_plan p = dw_plan_of(a);
    return a->out[2] ? (p.rows + p.tile_rows - 1) / p.tile_rows : 0;
}

/* The sums of DW_POINTS points for the vector of channels at c. kw and sw are constants; kw 0: any kernel, no sharing.
 */
MBR_INLINE void dw_sums(const dw_rows *rows, size_t columns, size_t any_kw, const float *w, size_t c, size_t lanes,
                        vf *sum, const int kw, const int sw)
{
    MBR_UNROLL(8)
    for (int p = 0; p < DW_POINTS; p++)
        sum[p] = vf_zero();
    for (size_t r = 0; r < rows->count; r++) {
        const float *const *x = rows->column + r * columns;
        const float *wr = w + rows->tap[r] * MBR_VL;
        if (kw == 0) {
            for (size_t t = 0; t < any_kw; t++) {
                vf weight = vf_load(wr + t * MBR_VL);
                MBR_UNROLL(8)
                for (int p = 0; p < DW_POINTS; p++) {
                    const float *at = x[t * DW_POINTS + (size_t)p] + c;
                    sum[p] = vf_fma(lanes < MBR_VL ? vf_load_n(at, lanes) : vf_load(at), weight, sum[p]);
                }
            }
            continue;
        }
        vf weight[5];
        MBR_UNROLL(8)
        for (int t = 0; t < kw; t++)
            weight[t] = vf_load(wr + t * MBR_VL);
        MBR_UNROLL(20)
        for (int j = 0; j < (DW_POINTS - 1) * sw + kw; j++) {
            vf in = lanes < MBR_VL ? vf_load_n(x[j] + c, lanes) : vf_load(x[j] + c);
            MBR_UNROLL(8)
            for (int p = 0; p < DW_POINTS; p++)
                if (j >= p * sw && j < p * sw + kw)
                    sum[p] = vf_fma(in, weight[j - p * sw], sum[p]);
        }
    }
}

/* All channels of up to DW_POINTS points. */
MBR_INLINE void dw_points(const mbr_conv_args *a, const dw_plan *plan, const dw_rows *rows, size_t points,
                          const gemm_out *out, float *sums, const int kw, const int sw)
{
    float low_f, high_f;
    bool plain = gemm_out_is_plain(out, &low_f, &high_f);
    vf low = vf_set1(low_f), high = vf_set1(high_f), sum[DW_POINTS];
    size_t taps = dw_taps(a), whole = a->channels / MBR_VL * MBR_VL;
    for (size_t c = 0; c < whole; c += MBR_VL) {
        dw_sums(rows, plan->columns, a->kernel[2], a->w + c * taps, c, MBR_VL, sum, kw, sw);
        if (!plain) {
            MBR_UNROLL(8)
            for (int p = 0; p < DW_POINTS; p++)
                vf_store(sums + (size_t)p * plan->padded + c, sum[p]);
            continue;
        }
        vf bias = out->bias ? vf_load(out->bias + c) : vf_zero();
        MBR_UNROLL(8)
        for (int p = 0; p < DW_POINTS; p++) {
            if ((size_t)p >= points)
                break;
            vf y = vf_add(sum[p], bias);
            if (out->other)
                y = vf_add(y, vf_load(out->other + p * out->ld_other + (ptrdiff_t)c));
            vf_store(out->c + p * out->ldc + (ptrdiff_t)c, vf_clip(y, low, high));
        }
    }
    if (whole < a->channels) {
        dw_sums(rows, plan->columns, a->kernel[2], a->w + whole * taps, whole, a->channels - whole, sum, kw, sw);
        for (size_t p = 0; p < DW_POINTS; p++)
            vf_store(sums + p * plan->padded + whole, sum[p]);
    }
    size_t from = plain ? whole : 0;
    if (from < a->channels) {
        gemm_out rest = gemm_out_at(out, 0, from);
        gemm_finish(&rest, sums + from, plan->padded, points, a->channels - from);
    }
}

#define DW_STAMP(name, kw, sw)                                                                                         \
    static void name(const mbr_conv_args *a, const dw_plan *plan, const dw_rows *rows, size_t points,                  \
                     const gemm_out *out, float *sums)                                                                 \
    {                                                                                                                  \
        dw_points(a, plan, rows, points, out, sums, kw, sw);                                                           \
    }
DW_STAMP(dw_points_any, 0, 1)
DW_STAMP(dw_points_3_1, 3, 1)
DW_STAMP(dw_points_3_2, 3, 2)
DW_STAMP(dw_points_5_1, 5, 1)
DW_STAMP(dw_points_5_2, 5, 2)
#undef DW_STAMP

/* Fills the table for the points from ow on of the output row (b, od, oh). */
static void dw_table(const mbr_conv_args *a, const dw_plan *plan, const size_t at[3], size_t ow, const float *zeros,
                     dw_rows *rows)
{
    size_t kw = a->kernel[2];
    rows->count = 0;
    for (size_t r = 0; r < plan->kernel_rows; r++) {
        ptrdiff_t d = (ptrdiff_t)(at[1] * a->stride[0] + r / a->kernel[1] * a->dilation[0]) - a->pad[0];
        ptrdiff_t h = (ptrdiff_t)(at[2] * a->stride[1] + r % a->kernel[1] * a->dilation[1]) - a->pad[1];
        if (d < 0 || d >= (ptrdiff_t)a->in[0] || h < 0 || h >= (ptrdiff_t)a->in[1])
            continue;
        ptrdiff_t line = (((ptrdiff_t)(at[0] * a->in[0]) + d) * (ptrdiff_t)a->in[1] + h) * (ptrdiff_t)a->in[2];
        const float **column = rows->column + rows->count * plan->columns;
        rows->tap[rows->count++] = r * kw;
        for (size_t j = 0; j < plan->columns; j++) {
            ptrdiff_t w = plan->shared
                              ? (ptrdiff_t)(ow * a->stride[2] + j)
                              : (ptrdiff_t)((ow + j % DW_POINTS) * a->stride[2] + j / DW_POINTS * a->dilation[2]);
            w -= a->pad[2];
            column[j] = w >= 0 && w < (ptrdiff_t)a->in[2] ? a->x + (line + w) * a->ldx : zeros;
        }
    }
}

static void dw_run(const mbr_conv_args *a, void *scratch, size_t first, size_t last)
{
    const mbr_gemm_epilogue *e = &a->epilogue;
    dw_plan plan = dw_plan_of(a);
    dw_rows rows = {.column = scratch};
    rows.tap = (size_t *)(void *)(rows.column + plan.kernel_rows * plan.columns);
    float *zeros = (float *)(void *)((char *)scratch + plan.table_bytes);
    float *sums = (float *)(void *)((char *)zeros + plan.zero_bytes);
    memset(zeros, 0, plan.zero_bytes);
    size_t kw = a->kernel[2], sw = a->stride[2];
    void (*points_fn)(const mbr_conv_args *, const dw_plan *, const dw_rows *, size_t, const gemm_out *, float *) =
        !plan.shared ? dw_points_any
        : kw == 3    ? (sw == 1 ? dw_points_3_1 : dw_points_3_2)
                     : (sw == 1 ? dw_points_5_1 : dw_points_5_2);
    size_t end = mbr_min_size(last * plan.tile_rows, plan.rows);
    for (size_t row = first * plan.tile_rows; row < end; row++) {
        size_t at[3] = {row / (a->out[0] * a->out[1]), row / a->out[1] % a->out[0], row % a->out[1]};
        for (size_t ow = 0; ow < a->out[2]; ow += DW_POINTS) {
            ptrdiff_t point = (ptrdiff_t)(row * a->out[2] + ow);
            gemm_out out = {.c = a->y + point * a->ldy,
                            .ldc = a->ldy,
                            .bias = e->bias,
                            .other = e->other_is ? e->other + point * e->ld_other : NULL,
                            .ld_other = e->ld_other,
                            .other_is = e->other_is,
                            .act = e->act,
                            .alpha = 1.0f};
            dw_table(a, &plan, at, ow, zeros, &rows);
            points_fn(a, &plan, &rows, mbr_min_size(DW_POINTS, a->out[2] - ow), &out, sums);
        }
    }
}

const mbr_conv_f32_kernel GEMM_ROW(DEPTHWISE_NAME) = {
    GEMM_STRING(DEPTHWISE_NAME),
    GEMM_TIER,
    true,
    dw_fits,
    dw_pack_size,
    dw_pack_units,
    dw_pack,
    dw_scratch,
    dw_tiles,
    dw_run,
};

#endif
