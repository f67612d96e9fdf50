/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/softmax.h"

#include "base/half.h"

#include <math.h>

void mbr_softmax_f64_ref(const double *in, double *out, size_t n, size_t step, bool log_of)
{
    double max = -(double)INFINITY, sum = 0.0;
    for (size_t k = 0; k < n; k++)
        max = in[k * step] > max || isnan(in[k * step]) ? in[k * step] : max;
    for (size_t k = 0; k < n; k++)
        sum += exp(in[k * step] - max);
    double log_sum = log(sum);
    for (size_t k = 0; k < n; k++) {
        double x = in[k * step] - max;
        out[k * step] = log_of ? x - log_sum : exp(x) / sum;
    }
}

static inline float widen(mbr_dtype t, uint16_t h)
{
    return t == MBR_DTYPE_F16 ? mbr_f16_to_f32(h) : mbr_bf16_to_f32(h);
}

static inline uint16_t narrow(mbr_dtype t, float x)
{
    return t == MBR_DTYPE_F16 ? mbr_f32_to_f16(x) : mbr_f32_to_bf16(x);
}

void mbr_softmax_half_ref(mbr_dtype t, const void *in, void *out, size_t n, size_t step)
{
    const uint16_t *x = in;
    uint16_t *y = out;
    float max = -INFINITY, sum = 0;
    for (size_t k = 0; k < n; k++) {
        float v = widen(t, x[k * step]);
        max = v > max || isnan(v) ? v : max;
    }
    for (size_t k = 0; k < n; k++) {
        float shifted = widen(t, narrow(t, widen(t, x[k * step]) - max));
        y[k * step] = narrow(t, expf(shifted));
        sum += widen(t, y[k * step]);
        if (t == MBR_DTYPE_BF16)
            sum = widen(t, narrow(t, sum));
    }
    sum = widen(t, narrow(t, sum));
    for (size_t k = 0; k < n; k++)
        y[k * step] = narrow(t, widen(t, y[k * step]) / sum);
}
