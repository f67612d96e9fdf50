/* SPDX-License-Identifier: BSD-2-Clause */
/* Preparation of feature rows for classical models. */
#ifndef MBR_KERNELS_FEATURES_H
#define MBR_KERNELS_FEATURES_H

#include "kernels/view.h"

/* y[i] = (x[i] - offset[i * step]) * scale[i * step]; step is 0 or 1; offset or scale NULL: 0 or 1. */
void mbr_scale_f32_ref(const float *x, const float *offset, size_t offset_step, const float *scale, size_t scale_step,
                       float *y, size_t n);
void mbr_scale_f64_ref(const double *x, const float *offset, size_t offset_step, const float *scale, size_t scale_step,
                       float *y, size_t n);

typedef enum mbr_normalize { MBR_NORMALIZE_MAX, MBR_NORMALIZE_L1, MBR_NORMALIZE_L2 } mbr_normalize;

/* One row over its maximum, its sum of absolute values, or its length; a row whose divisor is 0 stays. In place is fine. */
void mbr_normalize_ref(mbr_normalize norm, const float *x, float *y, size_t n);

#endif
