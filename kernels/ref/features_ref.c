/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/features.h"

#include <math.h>
#include <string.h>

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

/* Eight parts side by side, so that the compiler can take them as vectors. */
static float divisor(mbr_normalize norm, const float *x, size_t n)
{
    float part[8], by;
    size_t whole = n / 8 * 8;
    for (size_t k = 0; k < 8; k++)
        part[k] = norm == MBR_NORMALIZE_MAX && n ? x[0] : 0;
    switch (norm) {
    case MBR_NORMALIZE_MAX:
        for (size_t i = 0; i < whole; i += 8)
            for (size_t k = 0; k < 8; k++)
                part[k] = x[i + k] > part[k] ? x[i + k] : part[k];
        for (size_t i = whole; i < n; i++)
            part[i - whole] = x[i] > part[i - whole] ? x[i] : part[i - whole];
        by = part[0];
        for (size_t k = 1; k < 8; k++)
            by = part[k] > by ? part[k] : by;
        return by;
    case MBR_NORMALIZE_L1:
        for (size_t i = 0; i < whole; i += 8)
            for (size_t k = 0; k < 8; k++)
                part[k] += fabsf(x[i + k]);
        for (size_t i = whole; i < n; i++)
            part[i - whole] += fabsf(x[i]);
        break;
    case MBR_NORMALIZE_L2:
        for (size_t i = 0; i < whole; i += 8)
            for (size_t k = 0; k < 8; k++)
                part[k] += x[i + k] * x[i + k];
        for (size_t i = whole; i < n; i++)
            part[i - whole] += x[i] * x[i];
        break;
    }
    return ((part[0] + part[4]) + (part[2] + part[6])) + ((part[1] + part[5]) + (part[3] + part[7]));
}

void mbr_normalize_ref(mbr_normalize norm, const float *x, float *y, size_t n)
{
    float by = divisor(norm, x, n);
    if (by == 0)
        memmove(y, x, n * sizeof *y);
    else if (norm == MBR_NORMALIZE_L2)
        for (size_t i = 0; i < n; i++)
            y[i] = copysignf(sqrtf(x[i] * x[i] / by), x[i]);
    else
        for (size_t i = 0; i < n; i++)
            y[i] = x[i] / by;
}
