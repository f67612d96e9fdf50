/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The plain product of quantised matrices, for what kernels/qgemm.h has no way to do: float8, zero points and scales
 * for each row, any layout.
 *
 *     sum[i][j] = bias[i][j] + sum over p of (A[i][p] - a_zero[i]) * (B[p][j] - b_zero[j])
 *     y[i][j]   = sum                                                        i32, kept to its low 32 bits
 *               = a_scale[i] * b_scale[j] * sum + real_bias[j]               floats
 *               = saturate(round(a_scale[i] * b_scale[j] / y_scale * sum) + y_zero)   quantised types
 *
 * Sums are exact: whole numbers below 2^53 in f64.
 */
#ifndef MBR_KERNELS_QMATMUL_ANY_H
#define MBR_KERNELS_QMATMUL_ANY_H

#include "kernels/view.h"
#include "mbr/dtype.h"

typedef struct mbr_qmatmul_any_args {
    size_t n, k;
    mbr_dtype a_type, b_type, y_type;
    const void *a, *b;                       /* of this matrix */
    ptrdiff_t a_row, a_col, b_row, b_col;    /* in elements */
    const double *a_zero, *b_zero;           /* a value, or one for each row or column where the step is 1 */
    const float *a_scale, *b_scale;          /* the same; not read for i32 */
    size_t a_zero_step, b_zero_step, a_scale_step, b_scale_step;
    const int32_t *bias;                     /* bias[i * bias_row + j * bias_col], or NULL */
    ptrdiff_t bias_row, bias_col;
    const float *real_bias;                  /* (n) or NULL */
    float y_scale, y_zero;
    void *y;                                 /* of this matrix, rows of n */
} mbr_qmatmul_any_args;

bool mbr_qmatmul_any_has(mbr_dtype a, mbr_dtype b, mbr_dtype y);

/* Rows first .. last - 1. */
void mbr_qmatmul_any_ref(const mbr_qmatmul_any_args *args, size_t first, size_t last);

#endif
