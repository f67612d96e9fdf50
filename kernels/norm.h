/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Normalisations, f32. Statistics are two-pass (mean first, then squared deviations), so large offsets do no harm.
 */
#ifndef MBR_KERNELS_NORM_H
#define MBR_KERNELS_NORM_H

#include "kernels/cpu.h"
#include "kernels/view.h"

/*
 * Row norms of (rows, cols), dense:
 *     s = in + residual
 *     layer: out = (s - mean(s)) / sqrt(var(s) + epsilon) * scale + bias
 *     RMS:   out = s / sqrt(mean(s^2) + epsilon) * scale + bias
 * out may be in or residual; sum_out may be in or residual, but not out.
 */
typedef struct mbr_norm_args {
    const float *in;
    const float *residual; /* (rows, cols) or NULL */
    const float *scale;    /* (cols) or NULL: 1 */
    const float *bias;     /* (cols) or NULL: 0 */
    float *out;
    float *sum_out;     /* (rows, cols): s, or NULL */
    float *mean_out;    /* (rows) or NULL; 0 for RMS */
    float *inv_std_out; /* (rows) or NULL */
    size_t rows, cols;
    float epsilon;
    bool rms;
} mbr_norm_args;

/* Rows first .. last-1. */
typedef void mbr_norm_fn(const mbr_norm_args *args, size_t first, size_t last);

/*
 * Group norm: each sample's channels are cut into `groups` equal runs, normalised together over the spatial points.
 * groups = channels is instance norm. in is (n, channels, spatial) or, channels_last, (n, spatial, channels). out may
 * be in. scale and bias: (channels) or NULL.
 */
typedef struct mbr_group_norm_args {
    const float *in;
    const float *scale;
    const float *bias;
    float *out;
    size_t n, channels, groups, spatial;
    float epsilon;
    bool channels_last;
} mbr_group_norm_args;

/* Tiles first .. last-1 of n * groups. */
typedef void mbr_group_norm_fn(const mbr_group_norm_args *args, size_t first, size_t last);

typedef struct mbr_norm_kernels {
    mbr_norm_fn *rows;
    mbr_group_norm_fn *group;
} mbr_norm_kernels;

mbr_norm_fn mbr_norm_ref;
mbr_group_norm_fn mbr_group_norm_ref;
mbr_norm_kernels mbr_norm_select(unsigned tiers);

/*
 * Batch norm at inference is in * scale + shift per channel (a chain, or folded into a convolution):
 *     scale[c] = gamma[c] / sqrt(var[c] + epsilon);  shift[c] = beta[c] - mean[c] * scale[c], in f64, rounded once.
 */
void mbr_batch_norm_fold(size_t channels, const float *gamma, const float *beta, const float *mean, const float *var,
                         float epsilon, float *scale, float *shift);

#endif
