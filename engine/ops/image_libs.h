/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Image files through the libraries that are made for them: libjpeg-turbo, libspng, libtiff, libwebp, OpenJPEG. Linking
 * them would cost every start 5 ms for loading eighteen shared objects; each is opened when the first image of its kind
 * comes. What is built without one, or runs where it is not installed, falls back on kernels/image.h where that knows
 * the format.
 */
#ifndef MBR_ENGINE_OPS_IMAGE_LIBS_H
#define MBR_ENGINE_OPS_IMAGE_LIBS_H

#include "engine/ops/op.h"

typedef enum mbr_image_answer {
    MBR_IMAGE_DONE,
    MBR_IMAGE_BROKEN,      /* it is of a format, but damaged or too large */
    MBR_IMAGE_NO_LIBRARY,  /* its library is not there; *format says which format */
    MBR_IMAGE_OTHER,       /* none of these formats */
    MBR_IMAGE_NO_MEMORY
} mbr_image_answer;

/* The image as (height, width, 3) in memory of the run. format: a name for messages. */
mbr_image_answer mbr_image_by_library(mbr_step *s, const uint8_t *data, size_t size, size_t *width, size_t *height,
                                      uint8_t **rgb, const char **format);

#endif
