/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Resize as ONNX defines it: any rank, nearest, linear and cubic, every coordinate mode, antialiasing.
 *
 * A plan holds, for every axis that changes, the taps of each output position: the first source index, and weights
 * (one for nearest). The result is the product of the axes; each axis is a small table, made once per shape.
 */
#ifndef MBR_KERNELS_RESIZE_H
#define MBR_KERNELS_RESIZE_H

#include "kernels/cpu.h"
#include "kernels/view.h"

typedef enum mbr_resize_mode { MBR_RESIZE_NEAREST, MBR_RESIZE_LINEAR, MBR_RESIZE_CUBIC } mbr_resize_mode;

typedef enum mbr_resize_coord {
    MBR_RESIZE_HALF_PIXEL,
    MBR_RESIZE_HALF_PIXEL_SYMMETRIC,
    MBR_RESIZE_PYTORCH_HALF_PIXEL,
    MBR_RESIZE_ALIGN_CORNERS,
    MBR_RESIZE_ASYMMETRIC,
    MBR_RESIZE_TF_HALF_PIXEL, /* tf_half_pixel_for_nn, of opset 11 and 12 */
    MBR_RESIZE_TF_CROP        /* tf_crop_and_resize: uses roi and extrapolation */
} mbr_resize_coord;

typedef enum mbr_resize_nearest {
    MBR_RESIZE_ROUND_PREFER_FLOOR,
    MBR_RESIZE_ROUND_PREFER_CEIL,
    MBR_RESIZE_FLOOR,
    MBR_RESIZE_CEIL,
    MBR_RESIZE_CEIL_DOWN /* opset 10 and before: ceil where an axis shrinks, floor where it grows */
} mbr_resize_nearest;

typedef struct mbr_resize_desc {
    mbr_resize_mode mode;
    mbr_resize_coord coord;
    mbr_resize_nearest nearest;
    float cubic_a; /* -0.75 */
    bool exclude_outside, antialias;
    float extrapolation;
    int rank;
    size_t in_dims[MBR_KERNEL_RANK], out_dims[MBR_KERNEL_RANK];
    /* out / in: as the model says it (a float), or the exact quotient of the dims when the model gave sizes */
    double scale[MBR_KERNEL_RANK];
    float roi_begin[MBR_KERNEL_RANK], roi_end[MBR_KERNEL_RANK]; /* TF_CROP */
} mbr_resize_desc;

typedef struct mbr_resize_axis {
    int axis; /* of the collapsed dims */
    int taps;               /* the same for every position of an axis; unused ones weigh 0 */
    const int32_t *index;   /* (out, taps): source index, in range; -1 in the first tap: outside (extrapolate) */
    const float *weight;    /* (out, taps) */
} mbr_resize_axis;

typedef struct mbr_resize_plan {
    mbr_resize_mode mode;
    float extrapolation;
    int rank; /* collapsed: unchanged neighbours merged */
    size_t in_dims[MBR_KERNEL_RANK], out_dims[MBR_KERNEL_RANK];
    int axes; /* those that change, outermost first */
    mbr_resize_axis axis[MBR_KERNEL_RANK];
    bool outside; /* some position extrapolates */
    size_t inner; /* elements after the last axis that changes: runs that move together */
    size_t row;   /* output positions of that last axis */
    size_t tiles; /* rows: everything before the last axis that changes */
} mbr_resize_plan;

/* Bytes of the tables of a plan, 0 when the desc is broken (no axis may be that long). */
size_t mbr_resize_table_size(const mbr_resize_desc *desc);

/* Makes the plan; table (of the size above, aligned to 8) stays in use as long as the plan. */
void mbr_resize_plan_init(mbr_resize_plan *plan, const mbr_resize_desc *desc, void *table);

/* f32, dense. Tiles first .. last-1 of plan->tiles. */
typedef void mbr_resize_fn(const mbr_resize_plan *plan, const float *in, float *out, size_t first, size_t last);

mbr_resize_fn mbr_resize_ref;
mbr_resize_fn *mbr_resize_select(unsigned tiers);

/* NEAREST for elements of any size, without extrapolation. */
void mbr_resize_nearest_any(const mbr_resize_plan *plan, size_t size, const void *in, void *out, size_t first,
                            size_t last);

#endif
