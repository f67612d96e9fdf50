/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Matrix product, convolution and transposed convolution of any numeric type, plain C. Floats add in double and round
 * once; integers wrap. They serve the types and shapes that have no kernel of their own, and tests as the truth.
 */
#ifndef MBR_KERNELS_LINEAR_ANY_H
#define MBR_KERNELS_LINEAR_ANY_H

#include "kernels/act.h"
#include "kernels/view.h"
#include "mbr/dtype.h"

/* out[i][j] = alpha * sum_k a[i][k] b[k][j] + beta * c[i][j]; integers: alpha and beta are cut to integers. */
typedef struct mbr_matmul_any_args {
    mbr_dtype dtype;
    size_t m, n, k;
    const void *a, *b;
    const void *c; /* NULL: none */
    void *out;     /* (m, n), dense */
    ptrdiff_t a_row, a_col, b_row, b_col, c_row, c_col; /* strides in elements */
    double alpha, beta;
    mbr_act act;   /* of floats */
} mbr_matmul_any_args;

/* Floats but float8, and all integers of 8 bits and more. */
bool mbr_matmul_any_has(mbr_dtype dtype);

/* Rows first .. last-1. */
void mbr_matmul_any(const mbr_matmul_any_args *args, size_t first, size_t last);

/*
 * Convolution: out[n][o][p] = bias[o] + sum over i, t of in[n][i][p * stride + t * dilation - pad] * weight[o][i][t], i
 * over the channels of o's group. Transposed: weight is (in_channels, out_channels / groups, t...), and
 * out[n][o][q] = bias[o] + sum of in[n][i][p] * weight[i][o][t] over p, t with p * stride + t * dilation - pad = q.
 */
typedef struct mbr_conv_any_args {
    mbr_dtype dtype;
    bool transposed;
    int rank; /* spatial dimensions */
    size_t n, in_channels, out_channels, groups;
    size_t in_dims[MBR_KERNEL_RANK], out_dims[MBR_KERNEL_RANK];
    size_t kernel[MBR_KERNEL_RANK], stride[MBR_KERNEL_RANK], dilation[MBR_KERNEL_RANK];
    ptrdiff_t pad[MBR_KERNEL_RANK]; /* at the beginning; may be negative */
    bool in_channels_last, out_channels_last;
    const void *in, *weight;
    const void *bias; /* (out_channels) or NULL */
    void *out;
} mbr_conv_any_args;

/* Tiles first .. last-1 of n * out_channels. */
void mbr_conv_any(const mbr_conv_any_args *args, size_t first, size_t last);

#endif
