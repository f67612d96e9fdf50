/* SPDX-License-Identifier: BSD-2-Clause */
/* The inside of mbr/post.h: the same with memory instead of an environment, and what only the steps need. */
#ifndef MBR_RUNTIME_POST_H
#define MBR_RUNTIME_POST_H

#include "base/memory.h"
#include "mbr/post.h"

mbr_status mbr_post_select(mbr_memory *memory, const mbr_box *boxes, const float *scores, size_t count, size_t classes,
                           const mbr_boxes_options *options, mbr_detection *out, size_t room, size_t *found,
                           mbr_error *err);
mbr_status mbr_post_beam(mbr_memory *memory, const float *frames, size_t count, size_t symbols, size_t blank,
                         size_t width, uint32_t *out, size_t *found, double *score, mbr_error *err);

/* A .npy file of f32, C order, with rows of `width` values. */
typedef struct mbr_npy {
    struct mbr_filemap *map; /* NULL: nothing is open */
    const float *data;       /* (rows, width) */
    size_t rows, width;
} mbr_npy;

mbr_status mbr_npy_open(mbr_memory *memory, const char *path, mbr_npy *npy, mbr_error *err);
void mbr_npy_close(mbr_memory *memory, mbr_npy *npy);
/* The head of such a file: where the data begins. Hostile bytes. */
mbr_status mbr_npy_head(const void *bytes, size_t size, size_t *begin, size_t *rows, size_t *width, mbr_error *err);

#endif
