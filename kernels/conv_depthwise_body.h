/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Depthwise convolution (one filter for each channel), channels last, stamped out once per instruction set after
 * gemm_body.h. The including file defines DEPTHWISE_NAME, the row of conv.def.
 */
#ifndef MBR_KERNELS_CONV_DEPTHWISE_BODY_H
#define MBR_KERNELS_CONV_DEPTHWISE_BODY_H

#include "kernels/gemm_cut.h"

#define DW_TILE_MACS (GEMM_TILE_MACS / 3)
#include "kernels/conv_depthwise_loop.h"

static bool dw_fits(const mbr_conv_args *a)
{
    return !a->transposed && !a->x_planes && a->groups == a->channels && a->filters == a->channels && a->channels > 1;
}

static void dw_pack(const mbr_conv_args *a, const float *weights, float *packed, size_t first, size_t last)
{
    size_t taps = dw_taps(a);
    for (size_t unit = first; unit < last; unit++)
        for (size_t t = 0; t < taps; t++)
            for (size_t i = 0; i < MBR_VL; i++) {
                size_t c = unit * MBR_VL + i;
                packed[(unit * taps + t) * MBR_VL + i] = c < a->channels ? gemm_weight(weights, (ptrdiff_t)(c * taps + t)) : 0;
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

/* All channels of up to DW_POINTS points. */
MBR_INLINE void dw_points(const mbr_conv_args *a, const dw_plan *plan, const dw_rows *rows, size_t points,
                          const gemm_out *out, float *sums, const int kw, const int sw)
{
    float low_f, high_f;
    bool swish = out->act.kind == MBR_ACT_HARD_SWISH && out->other_is <= MBR_GEMM_OTHER_ADD;
    bool plain = gemm_out_is_plain(out, &low_f, &high_f) || swish;
    vf low = vf_set1(low_f), high = vf_set1(high_f), sum[DW_POINTS];
    size_t taps = dw_taps(a), whole = a->channels / MBR_VL * MBR_VL;
    for (size_t c = 0; c < whole; c += MBR_VL) {
        dw_sums(rows, plan->columns, a->kernel[2], a->w + c * taps, c, MBR_VL, vf_zero(), sum, kw, sw, DW_F32);
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
            y = swish ? vf_act(y, MBR_ACT_HARD_SWISH, 0, 0) : vf_clip(y, low, high);
            vf_store(out->c + p * out->ldc + (ptrdiff_t)c, y);
        }
    }
    if (whole < a->channels) {
        dw_sums(rows, plan->columns, a->kernel[2], a->w + whole * taps, whole, a->channels - whole, vf_zero(), sum, kw,
                sw, DW_F32);
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

static void dw_run(const mbr_conv_args *a, void *scratch, size_t first, size_t last)
{
    const mbr_gemm_epilogue *e = &a->epilogue;
    dw_plan plan = dw_plan_of(a);
    dw_rows rows;
    float *sums = dw_layout(&plan, scratch, 0, &rows);
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
            dw_table(a, &plan, at, ow, a->x, sizeof(float), &rows);
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
