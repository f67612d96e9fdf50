/* SPDX-License-Identifier: BSD-2-Clause */
/* Preparation of feature rows for classical models. */
#ifndef MBR_KERNELS_FEATURES_H
#define MBR_KERNELS_FEATURES_H

#include "kernels/cpu.h"
#include "kernels/view.h"

#include <stdbool.h>

/* y[i] = (x[i] - offset[i * step]) * scale[i * step]; step is 0 or 1; offset or scale NULL: 0 or 1. */
void mbr_scale_f32_ref(const float *x, const float *offset, size_t offset_step, const float *scale, size_t scale_step,
                       float *y, size_t n);
void mbr_scale_f64_ref(const double *x, const float *offset, size_t offset_step, const float *scale, size_t scale_step,
                       float *y, size_t n);

typedef enum mbr_normalize { MBR_NORMALIZE_MAX, MBR_NORMALIZE_L1, MBR_NORMALIZE_L2 } mbr_normalize;

/* One row over its maximum, its sum of absolute values, or its length; a row whose divisor is 0 stays. In place is fine. */
void mbr_normalize_ref(mbr_normalize norm, const float *x, float *y, size_t n);

/* ---- many rows, dense, on vectors. A row gives the same bits alone. ---- */

typedef struct mbr_features {
    /* z[r][k] = x[r] . w[k] + bias[k] (bias NULL: 0), k < n; for few k: many are a matrix product. */
    void (*linear)(const float *x, size_t rows, size_t columns, const float *w, size_t n, const float *bias, float *z);
    /* In place: 1 / (1 + e^-x). */
    void (*logistic)(float *x, size_t n);
    /* mbr_normalize_ref of each row, but for the order of L1's sums. */
    void (*normalize)(mbr_normalize norm, const float *x, size_t rows, size_t columns, float *y);
} mbr_features;

const mbr_features *mbr_features_select(unsigned tiers);

/* In place: x^3. */
void mbr_cubes_vec(float *x, size_t n);

/* x, or with[0] (each: with[column]) where it is `missing`, which may be NaN. In place is fine. */
void mbr_impute_f32_vec(const float *x, size_t rows, size_t columns, float missing, const float *with, bool each,
                        float *y);

#endif
