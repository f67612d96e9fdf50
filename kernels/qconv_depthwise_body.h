/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Depthwise convolution of bytes, channels last, stamped out once per instruction set after qgemm_body.h (without
 * QG_BYTES). The including file defines QG_DEPTHWISE_NAME, the row of qconv.def.
 */
#ifndef MBR_KERNELS_QCONV_DEPTHWISE_BODY_H
#define MBR_KERNELS_QCONV_DEPTHWISE_BODY_H

#include "kernels/qgemm_body.h"

#define DW_TILE_MACS (QG_TILE_MACS / 4)
#include "kernels/conv_depthwise_loop.h"

static bool qd_fits(const mbr_conv_args *s)
{
    return qc_fits(s) && s->groups == s->channels && s->filters == s->channels && s->channels > 1 &&
           dw_taps(s) <= DW_BYTE_TAPS;
}

static void qd_pack(const mbr_conv_args *s, const void *weights, bool is_signed, const void *zero, size_t zero_step,
                    void *packed, size_t first, size_t last)
{
    size_t taps = dw_taps(s);
    float *to = packed;
    for (size_t unit = first; unit < last; unit++)
        for (size_t i = 0; i < MBR_VL; i++) {
            size_t c = unit * MBR_VL + i;
            int32_t z = zero && c < s->channels ? qg_byte(zero, (ptrdiff_t)(c * zero_step), is_signed) : 0;
            for (size_t t = 0; t < taps; t++)
                to[(unit * taps + t) * MBR_VL + i] =
                    c < s->channels ? (float)(qg_byte(weights, (ptrdiff_t)(c * taps + t), is_signed) - z) : 0;
        }
}

static size_t qd_scratch(const mbr_qconv_args *a)
{
    dw_plan p = dw_plan_of(&a->shape);
    return p.table_bytes + p.zero_bytes + p.sum_bytes;
}

static size_t qd_tiles(const mbr_qconv_args *a)
{
    dw_plan p = dw_plan_of(&a->shape);
    return a->shape.out[2] ? (p.rows + p.tile_rows - 1) / p.tile_rows : 0;
}

/* The sums of DW_POINTS points, all channels, into (DW_POINTS, padded). */
MBR_INLINE void qd_points(const mbr_qconv_args *a, const dw_plan *plan, const dw_rows *rows, int32_t *sums,
                          const int kw, const int sw, const int type)
{
    const mbr_conv_args *s = &a->shape;
    size_t taps = dw_taps(s), whole = s->channels / MBR_VL * MBR_VL;
    const float *w = a->w;
    vf sum[DW_POINTS], zero = vf_set1((float)a->x_zero);
    for (size_t c = 0; c < whole; c += MBR_VL) {
        dw_sums(rows, plan->columns, s->kernel[2], w + c * taps, c, MBR_VL, zero, sum, kw, sw, type);
        MBR_UNROLL(8)
        for (int p = 0; p < DW_POINTS; p++)
            vi_store(sums + (size_t)p * plan->padded + c, vf_to_vi(sum[p]));
    }
    if (whole < s->channels) {
        dw_sums(rows, plan->columns, s->kernel[2], w + whole * taps, whole, s->channels - whole, zero, sum, kw, sw,
                type);
        for (size_t p = 0; p < DW_POINTS; p++)
            vi_store(sums + p * plan->padded + whole, vf_to_vi(sum[p]));
    }
}

#define QD_STAMP(name, kw, sw)                                                                                         \
    static void name(const mbr_qconv_args *a, const dw_plan *plan, const dw_rows *rows, int32_t *sums)                 \
    {                                                                                                                  \
        if (a->x_signed)                                                                                               \
            qd_points(a, plan, rows, sums, kw, sw, DW_S8);                                                             \
        else                                                                                                           \
            qd_points(a, plan, rows, sums, kw, sw, DW_U8);                                                             \
    }
QD_STAMP(qd_points_any, 0, 1)
QD_STAMP(qd_points_3_1, 3, 1)
QD_STAMP(qd_points_3_2, 3, 2)
QD_STAMP(qd_points_5_1, 5, 1)
QD_STAMP(qd_points_5_2, 5, 2)
#undef QD_STAMP

static void qd_run(const mbr_qconv_args *a, void *scratch, size_t first, size_t last)
{
    const mbr_conv_args *s = &a->shape;
    dw_plan plan = dw_plan_of(s);
    dw_rows rows;
    int32_t *sums = dw_layout(&plan, scratch, (int)(uint8_t)a->x_zero, &rows);
    size_t kw = s->kernel[2], sw = s->stride[2], end = mbr_min_size(last * plan.tile_rows, plan.rows);
    size_t size = a->out.type == MBR_DTYPE_U8 || a->out.type == MBR_DTYPE_I8 ? 1 : 4;
    void (*points_fn)(const mbr_qconv_args *, const dw_plan *, const dw_rows *, int32_t *) =
        !plan.shared ? qd_points_any
        : kw == 3    ? (sw == 1 ? qd_points_3_1 : qd_points_3_2)
                     : (sw == 1 ? qd_points_5_1 : qd_points_5_2);
    for (size_t row = first * plan.tile_rows; row < end; row++) {
        size_t at[3] = {row / (s->out[0] * s->out[1]), row / s->out[1] % s->out[0], row % s->out[1]};
        for (size_t ow = 0; ow < s->out[2]; ow += DW_POINTS) {
            ptrdiff_t point = (ptrdiff_t)(row * s->out[2] + ow);
            qg_out out = {.q = &a->out,
                          .c = (char *)a->y + point * s->ldy * (ptrdiff_t)size,
                          .ldc = s->ldy,
                          .other = a->out.other_is ? a->out.other + point * a->out.ld_other : NULL};
            dw_table(s, &plan, at, ow, a->x, 1, &rows);
            points_fn(a, &plan, &rows, sums);
            qg_finish(&out, sums, plan.padded, NULL, mbr_min_size(DW_POINTS, s->out[2] - ow), s->channels);
        }
    }
}

const mbr_qconv_kernel QG_ROW(QG_DEPTHWISE_NAME) = {
    QG_STRING(QG_DEPTHWISE_NAME), QG_TIER, qd_fits, dw_pack_size, dw_pack_units, qd_pack, qd_scratch, qd_tiles, qd_run,
};

#endif
