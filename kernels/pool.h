/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Max, average and Lp pooling over up to three spatial dimensions. Unused leading dimensions are 1 (kernel 1, stride 1,
 * pad 0). The caller works out `out_dims`, ceil mode included; a window never starts beyond the padded input.
 */
#ifndef MBR_KERNELS_POOL_H
#define MBR_KERNELS_POOL_H

#include "kernels/cpu.h"
#include "kernels/view.h"
#include "mbr/dtype.h"

typedef enum mbr_pool_op { MBR_POOL_MAX, MBR_POOL_AVERAGE, MBR_POOL_LP } mbr_pool_op;

/*
 * out[n][o][c] = op over the window's points that lie inside the input. A window without any gives -inf (MAX; the
 * least value of an integer type) or 0. AVERAGE divides by the number of points inside, or with count_include_pad by
 * those inside the padded input (what ceil mode adds beyond the padding counts for nothing).
 *
 * NaN in MAX, as ONNX's reference: the window's first point stands until another is greater, so that a NaN stays where
 * it comes first, and is passed over elsewhere. With pass_nan it is passed over there, too, unless there is nothing else.
 */
typedef struct mbr_pool_args {
    mbr_pool_op op;
    mbr_dtype dtype;    /* F32 for the vector kernels; the reference takes every float and 8-bit type */
    bool channels_last; /* (n, d, h, w, c), else (n, c, d, h, w); both dense */
    bool count_include_pad;
    int p; /* LP */
    size_t n, channels;
    size_t in_dims[3], out_dims[3];
    size_t kernel[3], stride[3], dilation[3];
    size_t pad_begin[3], pad_end[3];
    const void *in;
    void *out;
    int64_t *indices;    /* MAX, reference only: flat index into the (n, c, d, h, w) input, or NULL */
    bool pass_nan;
    bool column_major;   /* of those indices: storage_order = 1 */
} mbr_pool_args;

/* Tiles are output rows (n, d, h) for channels_last, planes (n, c) otherwise. */
size_t mbr_pool_tiles(const mbr_pool_args *args);

typedef void mbr_pool_fn(const mbr_pool_args *args, size_t first, size_t last);

mbr_pool_fn mbr_pool_ref;
/* The vector kernels take f32 MAX and AVERAGE, channels last, without indices; the rest goes to the reference. */
mbr_pool_fn *mbr_pool_select(unsigned tiers);

#endif
