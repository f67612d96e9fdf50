/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Normalisations for every float type and every odd shape: plain C, computed in double and rounded once. The common f32
 * cases have kernels of their own in kernels/norm.h.
 */
#ifndef MBR_KERNELS_NORM_ANY_H
#define MBR_KERNELS_NORM_ANY_H

#include "kernels/view.h"
#include "mbr/dtype.h"

/*
 * Row norms of a dense tensor seen as (rows, cols), cols being its last rank - axis dimensions:
 *     s = in + residual + add;  layer: out = (s - mean) / sqrt(var + epsilon) * scale + bias;  RMS: no mean, no centring
 * All buffers but scale and bias hold `dtype` except mean_out and inv_std_out, which hold stat_dtype.
 */
typedef struct mbr_norm_any_args {
    mbr_dtype dtype, scale_dtype, stat_dtype;
    int rank, axis;
    size_t dims[MBR_KERNEL_RANK];
    const void *in;
    const void *residual;  /* dense, residual_rows rows that repeat; or NULL */
    size_t residual_rows;
    const void *add;       /* (cols) or NULL */
    const void *scale, *bias; /* scale_dtype, by strides (0: broadcast), or NULL */
    ptrdiff_t scale_strides[MBR_KERNEL_RANK], bias_strides[MBR_KERNEL_RANK];
    void *out;             /* NULL: not wanted */
    void *sum_out;         /* s, or NULL */
    void *mean_out;        /* (rows) or NULL */
    void *inv_std_out;     /* (rows) or NULL */
    double epsilon;
    bool rms;
} mbr_norm_any_args;

void mbr_norm_any(const mbr_norm_any_args *args, size_t first_row, size_t last_row);

/*
 * Batch norm of (n, channels, points): with the given statistics, or (train) with the batch's own, which are then
 * written to the outputs: run_x = x * momentum + batch's * (1 - momentum). The saved ones are the batch's.
 */
typedef struct mbr_batch_norm_args {
    mbr_dtype dtype, scale_dtype, stat_dtype;
    const void *in;
    void *out;
    const void *scale, *bias; /* (channels), scale_dtype */
    const void *mean, *var;   /* (channels), stat_dtype */
    void *run_mean, *run_var, *saved_mean, *saved_var; /* (channels), stat_dtype; NULL: not wanted */
    size_t n, channels, points;
    double epsilon, momentum;
    bool train;
} mbr_batch_norm_args;

/* Channels first .. last-1. */
void mbr_batch_norm(const mbr_batch_norm_args *args, size_t first, size_t last);

/* out = (in - mean) / sqrt(var + epsilon) over the axes marked in `over`; a deviation of 0 divides by `tiny` more. */
typedef struct mbr_mvn_args {
    mbr_dtype dtype;
    int rank;
    size_t dims[MBR_KERNEL_RANK];
    bool over[MBR_KERNEL_RANK];
    const void *in;
    void *out;
    double tiny; /* added to the standard deviation */
} mbr_mvn_args;

size_t mbr_mvn_tiles(const mbr_mvn_args *args); /* the kept positions */
void mbr_mvn(const mbr_mvn_args *args, size_t first, size_t last);

/* out = in / norm along the axis of (outer, axis, inner); p is 1 or 2; a norm of 0 gives 0. Lines first .. last-1. */
typedef struct mbr_lp_norm_args {
    mbr_dtype dtype;
    const void *in;
    void *out;
    size_t outer, axis, inner;
    int p;
} mbr_lp_norm_args;

void mbr_lp_norm(const mbr_lp_norm_args *args, size_t first, size_t last);

/*
 * Local response: out = in / (bias + alpha / size * sum of squares over channels c - (size-1)/2 .. c + size/2) ^ beta,
 * of (n, channels, points). Planes first .. last-1 of n * channels.
 */
typedef struct mbr_lrn_args {
    mbr_dtype dtype;
    const void *in;
    void *out;
    size_t n, channels, points, size;
    double alpha, beta, bias;
} mbr_lrn_args;

void mbr_lrn(const mbr_lrn_args *args, size_t first, size_t last);

#endif
