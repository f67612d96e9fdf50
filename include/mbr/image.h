/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Images: from a file to the tensor that a model takes, with the same bytes as the library that it was trained with.
 *
 *     mbr_image *photo, *small;
 *     mbr_value *input;
 *     mbr_image_open(env, "photo.jpg", &photo, &err);
 *     mbr_resize_options resize = { .size = sizeof resize, .width = 224, .height = 224,
 *                                   .filter = MBR_RESIZE_PILLOW_BICUBIC };
 *     mbr_image_resize(photo, &resize, &small, &err);
 *     mbr_tensor_options how = { .size = sizeof how, .divide = 255,
 *                                .mean = { 0.485f, 0.456f, 0.406f }, .deviation = { 0.229f, 0.224f, 0.225f } };
 *     mbr_image_tensor(small, &how, &input, &err);              // (1, 3, 224, 224) f32
 *     mbr_image_release(&small);
 *     mbr_image_release(&photo);
 *
 * An image is rows of points of 1 to 4 channels (8-bit or f32) that lie side by side: height, width, channels. A step
 * makes a new image, which is the caller's, and leaves the old one as it is. On failure *out is NULL.
 *
 * What is equal to which library is told in docs/images.md.
 *
 * Threads: an image may be read by any number of threads at once; changing its values or releasing it needs that nobody
 * else uses it. A step runs on the calling thread.
 */
#ifndef MBR_IMAGE_H
#define MBR_IMAGE_H

#include "mbr/dtype.h"
#include "mbr/env.h"
#include "mbr/value.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MBR_IMAGE_MAX_SIDE 65535
#define MBR_IMAGE_MAX_CHANNELS 4

typedef struct mbr_image mbr_image;

typedef struct mbr_image_info {
    size_t size; /* set by the caller to sizeof(mbr_image_info) */
    int width, height, channels;
    mbr_dtype type; /* MBR_DTYPE_U8 or MBR_DTYPE_F32 */
    size_t stride;  /* bytes from one row to the next */
    void *pixels;
} mbr_image_info;

/* ---- making ---- */

/* All zero. MBR_ERR_ARGUMENT for sides outside of 1 to MBR_IMAGE_MAX_SIDE, other channels, another type. */
MBR_API mbr_status mbr_image_new(mbr_env *env, int width, int height, int channels, mbr_dtype type, mbr_image **out,
                                 mbr_error *err);
/* Over memory of the caller, which must outlive the image; stride in bytes, 0: rows without gaps. */
MBR_API mbr_status mbr_image_borrow(mbr_env *env, int width, int height, int channels, mbr_dtype type, void *pixels,
                                    size_t stride, mbr_image **out, mbr_error *err);
/*
 * Decodes a file to 8 bits: PNM of one or three channels as it is; BMP, PNG, JPEG and TIFF (the usual forms) to RGB, and
 * WebP (no animations) where libwebp is there: else MBR_ERR_UNSUPPORTED. MBR_ERR_FORMAT for a file that is none of these,
 * broken, cut short, or that has more than 2^28 points.
 */
MBR_API mbr_status mbr_image_open(mbr_env *env, const char *path, mbr_image **out, mbr_error *err);
MBR_API mbr_status mbr_image_open_memory(mbr_env *env, const void *data, size_t bytes, const char *name,
                                         mbr_image **out, mbr_error *err);
/* Releases *image and sets it to NULL. NULL and a pointer to NULL are fine. */
MBR_API void mbr_image_release(mbr_image **image);

MBR_API void mbr_image_tell(const mbr_image *image, mbr_image_info *info);

/* ---- sizes ---- */

/* The library and the name that the filter has there. */
typedef enum mbr_resize_filter {
    MBR_RESIZE_PILLOW_NEAREST = 0,
    MBR_RESIZE_PILLOW_BOX = 1,
    MBR_RESIZE_PILLOW_BILINEAR = 2,
    MBR_RESIZE_PILLOW_HAMMING = 3,
    MBR_RESIZE_PILLOW_BICUBIC = 4,
    MBR_RESIZE_PILLOW_LANCZOS = 5,
    MBR_RESIZE_OPENCV_NEAREST = 6,
    MBR_RESIZE_OPENCV_LINEAR = 7,
    MBR_RESIZE_OPENCV_AREA = 8,
    MBR_RESIZE_OPENCV_CUBIC = 9
} mbr_resize_filter;

/* "pillow-bicubic"; NULL for what is no filter. */
MBR_API const char *mbr_resize_filter_name(mbr_resize_filter filter);
/* False when there is no filter of that name. */
MBR_API int mbr_resize_filter_find(const char *name, mbr_resize_filter *filter);

typedef struct mbr_resize_options {
    size_t size; /* sizeof(mbr_resize_options) */
    int width, height;
    mbr_resize_filter filter;
    int alpha;   /* not 0: the last of 2 or 4 channels is alpha, and Pillow's filters weigh colours with it, as Pillow
                    itself does with images of mode LA and RGBA */
    int across_first; /* not 0: Pillow's filters go across, then down, always: nearly what 12.2 does */
} mbr_resize_options;

/* 8-bit images; of f32 only the two nearest filters, else MBR_ERR_UNSUPPORTED. */
MBR_API mbr_status mbr_image_resize(const mbr_image *image, const mbr_resize_options *options, mbr_image **out,
                                    mbr_error *err);

/* A part of the image, which must lie inside of it: MBR_ERR_ARGUMENT else. */
MBR_API mbr_status mbr_image_crop(const mbr_image *image, int x, int y, int width, int height, mbr_image **out,
                                  mbr_error *err);
/* The image with a border; colour has a value for each channel (NULL: 0), and is rounded and cut for 8 bits. */
MBR_API mbr_status mbr_image_pad(const mbr_image *image, int left, int top, int right, int bottom, const double *colour,
                                 mbr_image **out, mbr_error *err);

/* Where a letterboxed image lies: point (x, y) of it was ((x - left) / scale_x, (y - top) / scale_y) before. */
typedef struct mbr_letterbox {
    size_t size; /* sizeof(mbr_letterbox) */
    int left, top, width, height;
    double scale_x, scale_y;
} mbr_letterbox;

/*
 * Resizes to the largest size that fits into options' width and height with the sides in proportion, each rounded half
 * to even, and pads to that size; an odd line of the border goes right and below. placed may be NULL.
 */
MBR_API mbr_status mbr_image_letterbox(const mbr_image *image, const mbr_resize_options *options, const double *colour,
                                       mbr_letterbox *placed, mbr_image **out, mbr_error *err);

/* ---- colours ---- */

typedef enum mbr_colour {
    MBR_COLOUR_GRAY = 0,  /* 1 channel */
    MBR_COLOUR_RGB = 1,
    MBR_COLOUR_BGR = 2,
    MBR_COLOUR_RGBA = 3,
    MBR_COLOUR_BGRA = 4
} mbr_colour;

/* Whose weights make gray of colours; both are those of BT.601, but they round differently. */
typedef enum mbr_gray {
    MBR_GRAY_PILLOW = 0,
    MBR_GRAY_OPENCV = 1
} mbr_gray;

/* 8 bits. Alpha that is not there is 255; alpha that is not wanted is dropped. */
MBR_API mbr_status mbr_image_convert(const mbr_image *image, mbr_colour from, mbr_colour to, mbr_gray gray,
                                     mbr_image **out, mbr_error *err);

/* ---- tensors ---- */

typedef enum mbr_image_layout {
    MBR_IMAGE_NCHW = 0,
    MBR_IMAGE_NHWC = 1
} mbr_image_layout;

/* (x / divide - mean) / deviation, each operation in f32: as torchvision's ToTensor and Normalize. */
typedef struct mbr_tensor_options {
    size_t size; /* sizeof(mbr_tensor_options) */
    mbr_image_layout layout;
    float divide; /* 0: 1 */
    float mean[MBR_IMAGE_MAX_CHANNELS];
    float deviation[MBR_IMAGE_MAX_CHANNELS]; /* 0: 1 */
} mbr_tensor_options;

/* f32 of one image: (1, channels, height, width) or (1, height, width, channels). options may be NULL. */
MBR_API mbr_status mbr_image_tensor(const mbr_image *image, const mbr_tensor_options *options, mbr_value **out,
                                    mbr_error *err);
/* The same into memory of the caller: one image of a batch. count: values that fit, MBR_ERR_ARGUMENT where too few. */
MBR_API mbr_status mbr_image_fill(const mbr_image *image, const mbr_tensor_options *options, float *values,
                                  size_t count, mbr_error *err);

#ifdef __cplusplus
}
#endif

#endif
