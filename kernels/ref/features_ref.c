/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/features.h"

#include <math.h>

void mbr_scale_f32_ref(const float *x, const float *offset, size_t offset_step, const float *scale, size_t scale_step,
                       float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = (x[i] - (offset ? offset[i * offset_step] : 0.0f)) * (scale ? scale[i * scale_step] : 1.0f);
}

void mbr_scale_f64_ref(const double *x, const float *offset, size_t offset_step, const float *scale, size_t scale_step,
                       float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = (float)((x[i] - (double)(offset ? offset[i * offset_step] : 0.0f)) *
                       (double)(scale ? scale[i * scale_step] : 1.0f));
}

void mbr_normalize_ref(mbr_normalize norm, const float *x, float *y, size_t n)
{
    float by = norm == MBR_NORMALIZE_MAX && n ? x[0] : 0;
    for (size_t i = 0; i < n; i++) {
        if (norm == MBR_NORMALIZE_MAX)
            by = x[i] > by ? x[i] : by;
        else
            by += norm == MBR_NORMALIZE_L1 ? fabsf(x[i]) : x[i] * x[i];
    }
    for (size_t i = 0; i < n; i++) {
        if (by == 0)
            y[i] = x[i];
        else if (norm == MBR_NORMALIZE_L2)
            y[i] = copysignf(sqrtf(x[i] * x[i] / by), x[i]);
        else
            y[i] = x[i] / by;
    }
}
