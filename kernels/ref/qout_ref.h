/* SPDX-License-Identifier: BSD-2-Clause */
/* From an exact sum to what mbr_quant_out asks for, one element at a time. */
#ifndef MBR_KERNELS_REF_QOUT_REF_H
#define MBR_KERNELS_REF_QOUT_REF_H

#include "kernels/qgemm.h"
#include "kernels/ref/act_ref.h"

/* Writes element `at` of y; j is its column, other its partner or 0. */
static inline void mbr_qout_ref(const mbr_quant_out *out, int32_t sum, size_t j, float other, void *y, ptrdiff_t at)
{
    if (out->bias)
        sum = (int32_t)((uint32_t)sum + (uint32_t)out->bias[j]);
    if (out->type == MBR_DTYPE_I32) {
        ((int32_t *)y)[at] = sum;
        return;
    }
    float value = (float)sum * out->scale[j];
    if (out->real_bias)
        value += out->real_bias[j];
    if (out->other_is == MBR_GEMM_OTHER_ADD)
        value += other;
    value = (float)mbr_act_ref(value, out->act);
    if (out->other_is == MBR_GEMM_OTHER_ADD_AFTER)
        value += other;
    else if (out->other_is == MBR_GEMM_OTHER_MUL_AFTER)
        value *= other;
    if (out->type == MBR_DTYPE_F32) {
        ((float *)y)[at] = value;
        return;
    }
    float low = out->type == MBR_DTYPE_U8 ? 0 : -128, high = out->type == MBR_DTYPE_U8 ? 255 : 127;
    float q = rintf(value * out->inverse_scale);
    q = isnan(q) ? (float)out->zero : q + (float)out->zero;
    q = q < low ? low : q > high ? high : q;
    if (out->type == MBR_DTYPE_U8)
        ((uint8_t *)y)[at] = (uint8_t)q;
    else
        ((int8_t *)y)[at] = (int8_t)q;
}

static inline int32_t mbr_q_byte(const void *p, ptrdiff_t at, bool is_signed)
{
    return is_signed ? ((const int8_t *)p)[at] : ((const uint8_t *)p)[at];
}

#endif
