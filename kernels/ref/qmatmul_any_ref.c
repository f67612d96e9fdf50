/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/qmatmul_any.h"

#include "base/half.h"
#include "kernels/quantize.h"

#include <math.h>

static bool is_float8(mbr_dtype t)
{
    return t >= MBR_DTYPE_F8E4M3FN && t <= MBR_DTYPE_F8E5M2FNUZ;
}

static bool is_operand(mbr_dtype t)
{
    return t == MBR_DTYPE_U8 || t == MBR_DTYPE_I8 || is_float8(t);
}

bool mbr_qmatmul_any_has(mbr_dtype a, mbr_dtype b, mbr_dtype y)
{
    return is_operand(a) && is_operand(b) &&
           (is_operand(y) || y == MBR_DTYPE_I32 || y == MBR_DTYPE_F32 || y == MBR_DTYPE_F16);
}

static double element(mbr_dtype t, const void *p, ptrdiff_t i)
{
    if (t == MBR_DTYPE_U8)
        return ((const uint8_t *)p)[i];
    if (t == MBR_DTYPE_I8)
        return ((const int8_t *)p)[i];
    return mbr_small_float_to_f64(t, ((const uint8_t *)p)[i]);
}

static void store(const mbr_qmatmul_any_args *args, double sum, float scale, float real_bias, size_t at)
{
    float v = (float)sum * scale;
    switch (args->y_type) {
    case MBR_DTYPE_I32:
        ((uint32_t *)args->y)[at] = (uint32_t)(uint64_t)(int64_t)sum;
        break;
    case MBR_DTYPE_F32:
        ((float *)args->y)[at] = v + real_bias;
        break;
    case MBR_DTYPE_F16:
        ((uint16_t *)args->y)[at] = mbr_f32_to_f16(v + real_bias);
        break;
    default: {
        int32_t low, high;
        if (mbr_quantize_range(args->y_type, &low, &high)) {
            float q = rintf(v);
            q = (q != q ? 0.0f : q) + args->y_zero;
            q = q < (float)low ? (float)low : q > (float)high ? (float)high : q;
            ((uint8_t *)args->y)[at] = (uint8_t)(int32_t)q;
        } else {
            ((uint8_t *)args->y)[at] =
                (uint8_t)mbr_small_float_from_f64(args->y_type, (double)v + (double)args->y_zero, true);
        }
        break;
    }
    }
}

void mbr_qmatmul_any_ref(const mbr_qmatmul_any_args *args, size_t first, size_t last)
{
    bool real = args->y_type == MBR_DTYPE_I32 || args->y_type == MBR_DTYPE_F32 || args->y_type == MBR_DTYPE_F16;
    for (size_t i = first; i < last; i++)
        for (size_t j = 0; j < args->n; j++) {
            double az = args->a_zero[i * args->a_zero_step], bz = args->b_zero[j * args->b_zero_step];
            double sum = args->bias ? args->bias[(ptrdiff_t)i * args->bias_row + (ptrdiff_t)j * args->bias_col] : 0;
            for (size_t p = 0; p < args->k; p++)
                sum += (element(args->a_type, args->a, (ptrdiff_t)i * args->a_row + (ptrdiff_t)p * args->a_col) - az) *
                       (element(args->b_type, args->b, (ptrdiff_t)p * args->b_row + (ptrdiff_t)j * args->b_col) - bz);
            float scale = 1;
            if (args->y_type != MBR_DTYPE_I32)
                scale = args->a_scale[i * args->a_scale_step] * args->b_scale[j * args->b_scale_step];
            store(args, sum, real ? scale : scale / args->y_scale, args->real_bias ? args->real_bias[j] : 0,
                  i * args->n + j);
        }
}
