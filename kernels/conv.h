/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Convolution in f32, channels last:
 *
 *     y[b][p][o] = act(bias[o] + sum over t, c of x[b][p * stride + t * dilation - pad][c] * w[o][c][t]  (+ or *)
 * other)
 *
 * for each sample b, output point p = (d, h, w), filter o, tap t = (kd, kh, kw) inside the kernel, and channel c of o's
 * group. Points outside the input count as zero. One and two dimensions are three with sizes of 1 in front.
 *
 * Transposed (mbr_conv_args.transposed), x and y change places in the sum: y[b][q] collects x[b][p] * w over all p and
 * t with p * stride + t * dilation - pad = q, and w is (channels, filters / groups, kernel...).
 *
 * The algorithm, and with it the order of the additions, is chosen by mbr_conv_f32_select from the sizes of the
 * weights, the attributes and one sample's shape; the batch, the tiles and the threads change no bit.
 *
 * Use: fill args; kernel = mbr_conv_f32_select(tiers, &args, exact) at plan time; pack the weights once: each unit
 * 0 .. pack_units(args) - 1 by one thread, in any order; then as for kernels/gemm.h: scratch bytes for each thread,
 * aligned to 64, and the tiles handed out. pack_size, pack_units, scratch and tiles look at sizes only, pack_size and
 * pack_units at those of the weights only, so that packed weights serve any image size once a kernel is chosen.
 */
#ifndef MBR_KERNELS_CONV_H
#define MBR_KERNELS_CONV_H

#include "kernels/gemm.h"

/* Dimensions are depth, height, width. */
typedef struct mbr_conv_args {
    size_t n, channels, filters, groups;
    size_t in[3], out[3]; /* 0 while unknown: select then goes by the weights alone */
    size_t kernel[3], stride[3], dilation[3];
    ptrdiff_t pad[3]; /* in front, may be negative; what lies behind follows from out */
    bool transposed;
    bool x_planes;  /* x is (n, channels, d, h, w), dense, instead of channels last: for the first layer of a network */
    const float *x; /* (n, d, h, w, channels) */
    ptrdiff_t ldx;  /* floats from one point to the next, channels or more: a slice of the channels of a wider tensor */
    const float *w; /* packed */
    float *y;       /* (n, d, h, w, filters) */
    ptrdiff_t ldy;
    mbr_gemm_epilogue
        epilogue; /* bias: (filters); rows are points: ld_other floats from one point of other to the next */
} mbr_conv_args;

/* Weights as ONNX has them: (filters, channels / groups, kernel...), dense; transposed: (channels, filters / groups,
 * kernel...). */
typedef size_t mbr_conv_pack_size_fn(const mbr_conv_args *args); /* bytes; 0 when the size does not fit size_t */
typedef size_t mbr_conv_pack_units_fn(const mbr_conv_args *args);
typedef void mbr_conv_pack_fn(const mbr_conv_args *args, const float *weights, float *packed, size_t first,
                              size_t last);
typedef bool mbr_conv_fits_fn(const mbr_conv_args *args);
typedef size_t mbr_conv_scratch_fn(const mbr_conv_args *args);
typedef size_t mbr_conv_tiles_fn(const mbr_conv_args *args);
typedef void mbr_conv_run_fn(const mbr_conv_args *args, void *scratch, size_t first, size_t last);

typedef struct mbr_conv_f32_kernel {
    const char *name;
    mbr_cpu_tier tier;
    bool exact; /* false: Winograd: a non-finite input spreads over its tile, and rounding is a little coarser */
    mbr_conv_fits_fn *fits; /* can compute this, and is meant for it */
    mbr_conv_pack_size_fn *pack_size;
    mbr_conv_pack_units_fn *pack_units;
    mbr_conv_pack_fn *pack;
    mbr_conv_scratch_fn *scratch;
    mbr_conv_tiles_fn *tiles;
    mbr_conv_run_fn *run;
} mbr_conv_f32_kernel;

/* The best kernel of these tiers for these sizes; with exact, none of the approximate ones. Never NULL. */
const mbr_conv_f32_kernel *mbr_conv_f32_select(unsigned tiers, const mbr_conv_args *args, bool exact);

#define KERNEL(name, tier, tol) extern const mbr_conv_f32_kernel mbr_##name;
#include "kernels/conv.def"
#undef KERNEL

#endif
