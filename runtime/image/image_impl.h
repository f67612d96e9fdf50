/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parts of images share. */
#ifndef MBR_RUNTIME_IMAGE_IMPL_H
#define MBR_RUNTIME_IMAGE_IMPL_H

#include "base/env.h"
#include "base/memory.h"
#include "kernels/pixels.h"
#include "mbr/image.h"

struct mbr_image {
    mbr_env *env;
    mbr_memory *memory;
    int width, height, channels;
    mbr_dtype type;
    size_t point, stride; /* bytes of a point, of a row with what follows it */
    uint8_t *pixels;
    uint8_t *block;       /* NULL: the caller's memory */
};

static inline uint8_t *mbr_image_row(const mbr_image *image, int y)
{
    return image->pixels + (size_t)y * image->stride;
}

/* Not zeroed. */
mbr_status mbr_image_make(mbr_env *env, int width, int height, int channels, mbr_dtype type, mbr_image **out,
                          mbr_error *err);

/* out has the size and the channels of what is wanted; sizes differ; both are of 8 bits. */
typedef mbr_status mbr_resize_fn(const mbr_image *image, const mbr_resize_options *options, mbr_image *out,
                                 mbr_error *err);
mbr_resize_fn mbr_resize_pillow, mbr_resize_opencv_linear, mbr_resize_opencv_area, mbr_resize_opencv_cubic;

/* Whether a file is a WebP one; and its image, by libwebp where that was there at configure and is there now. */
bool mbr_image_is_webp(const uint8_t *data, size_t bytes);
mbr_status mbr_image_open_webp(mbr_env *env, const uint8_t *data, size_t bytes, const char *name, mbr_image **out,
                               mbr_error *err);

/* Each output is a copy of a point; any type. */
mbr_resize_fn mbr_resize_nearest;

/*
 * Points of some rows side by side: MBR_PIXELS_LANES bytes a point. Rows of one and two channels go in sixteens and
 * eights, of three (with a byte between) and four in fours.
 */
int mbr_lanes_rows(int channels);
void mbr_lanes_pack(const mbr_image *image, int y, int rows, uint8_t *lanes);
/* rows rows of width points, stride bytes apart, from lanes. */
void mbr_lanes_unpack(const uint8_t *lanes, int width, int channels, int rows, uint8_t *row, size_t stride);

#endif
