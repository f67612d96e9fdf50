/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/swiglu.h"

#include "base/half.h"

#include <math.h>

bool mbr_swiglu_has(mbr_dtype dtype)
{
    return dtype == MBR_DTYPE_F32 || dtype == MBR_DTYPE_F64 || dtype == MBR_DTYPE_F16 || dtype == MBR_DTYPE_BF16;
}

static float as_f16(float x)
{
    return mbr_f16_to_f32(mbr_f32_to_f16(x));
}

static float as_bf16(float x)
{
    return mbr_bf16_to_f32(mbr_f32_to_bf16(x));
}

static float swiglu_half(float alpha, float a, float b, float (*round_to)(float))
{
    float e = round_to(expf(round_to(-alpha * a)));
    float gate = round_to(1.0f / round_to(1.0f + e));
    return round_to(a * gate) * b;
}

void mbr_swiglu_ref(mbr_dtype dtype, float alpha, const void *a, const void *b, void *y, size_t n)
{
    switch (dtype) {
    case MBR_DTYPE_F32: {
        const float *x = a, *z = b;
        for (size_t i = 0; i < n; i++)
            ((float *)y)[i] = x[i] * (1.0f / (1.0f + expf(-alpha * x[i]))) * z[i];
        break;
    }
    case MBR_DTYPE_F64: {
        const double *x = a, *z = b;
        for (size_t i = 0; i < n; i++)
            ((double *)y)[i] = x[i] * (1.0 / (1.0 + exp(-(double)alpha * x[i]))) * z[i];
        break;
    }
    case MBR_DTYPE_F16: {
        const uint16_t *x = a, *z = b;
        for (size_t i = 0; i < n; i++)
            ((uint16_t *)y)[i] =
                mbr_f32_to_f16(swiglu_half(alpha, mbr_f16_to_f32(x[i]), mbr_f16_to_f32(z[i]), as_f16));
        break;
    }
    default: {
        const uint16_t *x = a, *z = b;
        for (size_t i = 0; i < n; i++)
            ((uint16_t *)y)[i] =
                mbr_f32_to_bf16(swiglu_half(alpha, mbr_bf16_to_f32(x[i]), mbr_bf16_to_f32(z[i]), as_bf16));
        break;
    }
    }
}
