/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sampling of images at computed places, any real type, plain C in double: GridSample, DeformConv, RoiAlign,
 * MaxRoiPool, AffineGrid, Col2Im. All data is (n, channels, spatial...), dense.
 */
#ifndef MBR_KERNELS_SAMPLE_H
#define MBR_KERNELS_SAMPLE_H

#include "kernels/view.h"
#include "mbr/dtype.h"

typedef enum mbr_grid_mode { MBR_GRID_NEAREST, MBR_GRID_LINEAR, MBR_GRID_CUBIC } mbr_grid_mode;
typedef enum mbr_grid_padding { MBR_GRID_ZEROS, MBR_GRID_BORDER, MBR_GRID_REFLECTION } mbr_grid_padding;

#define MBR_GRID_RANK 6 /* spatial dimensions at most */

/* grid (n, points, rank): coordinates from -1 to 1, the last axis first. No spatial dimension is 0. */
typedef struct mbr_grid_sample_args {
    mbr_dtype dtype, grid_dtype;
    size_t parts; /* 2: pairs of dtype, complex numbers; else 1 */
    size_t bytes; /* of an element: MBR_GRID_NEAREST copies elements of any type; where it finds none, all bits 0 */
    mbr_grid_mode mode;
    mbr_grid_padding padding;
    bool align_corners;
    int rank;
    size_t n, channels, points;
    size_t dims[MBR_GRID_RANK];
    const void *in, *grid;
    void *out; /* (n, channels, points) */
} mbr_grid_sample_args;

/* Points first .. last-1 of n * points, all channels of each. */
void mbr_grid_sample(const mbr_grid_sample_args *args, size_t first, size_t last);

/* offset (n, offset_groups, kh, kw, 2, oh, ow), mask (n, offset_groups, kh, kw, oh, ow); two spatial dimensions. */
typedef struct mbr_deform_conv_args {
    mbr_dtype dtype;
    size_t n, in_channels, out_channels, groups, offset_groups;
    size_t in_dims[2], out_dims[2], kernel[2], stride[2], dilation[2];
    ptrdiff_t pad[2];
    const void *in, *weight, *offset, *bias, *mask; /* bias, mask: or NULL */
    void *out;
} mbr_deform_conv_args;

/* Planes first .. last-1 of n * out_channels. */
void mbr_deform_conv(const mbr_deform_conv_args *args, size_t first, size_t last);

/* rois (rois, 4): x, y, x, y; batch (rois), each below n. */
typedef struct mbr_roi_align_args {
    mbr_dtype dtype;
    size_t rois, channels, in_dims[2], out_dims[2];
    double spatial_scale;
    int64_t sampling_ratio; /* 0: as many samples as the region needs */
    bool half_pixel, max;
    const void *in, *boxes;
    const int64_t *batch;
    void *out;
} mbr_roi_align_args;

/* Regions and channels first .. last-1 of rois * channels. */
void mbr_roi_align(const mbr_roi_align_args *args, size_t first, size_t last);

/* boxes (rois, 5): image, x, y, x, y, in pixels times spatial_scale; images are checked by the caller. */
typedef struct mbr_max_roi_pool_args {
    mbr_dtype dtype;
    size_t rois, channels, in_dims[2], out_dims[2];
    double spatial_scale;
    const void *in, *boxes;
    void *out;
} mbr_max_roi_pool_args;

void mbr_max_roi_pool(const mbr_max_roi_pool_args *args, size_t first, size_t last);

/* theta (n, rank, rank + 1); out (n, dims..., rank), x first. rank is 2 or 3. Samples first .. last-1 of n. */
typedef struct mbr_affine_grid_args {
    mbr_dtype dtype;
    int rank;
    size_t dims[3];
    bool align_corners;
    const void *theta;
    void *out;
} mbr_affine_grid_args;

void mbr_affine_grid(const mbr_affine_grid_args *args, size_t first, size_t last);

/*
 * in (planes, taps, blocks): each block's column; out (planes, image): every element the sum of those that fall on it.
 * Planes first .. last-1.
 */
typedef struct mbr_col2im_args {
    mbr_dtype dtype;
    int rank;
    size_t image[MBR_KERNEL_RANK], block[MBR_KERNEL_RANK], blocks[MBR_KERNEL_RANK];
    size_t stride[MBR_KERNEL_RANK], dilation[MBR_KERNEL_RANK];
    ptrdiff_t pad[MBR_KERNEL_RANK];
    const void *in;
    void *out;
} mbr_col2im_args;

void mbr_col2im(const mbr_col2im_args *args, size_t first, size_t last);

#endif
