/* SPDX-License-Identifier: BSD-2-Clause */
/* Greedy non-maximum suppression of the boxes of one class. */
#ifndef MBR_KERNELS_NMS_H
#define MBR_KERNELS_NMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct mbr_nms_args {
    const float *boxes;  /* (n, 4): two opposite corners (y, x, y, x), or centre x, centre y, width, height */
    const float *scores; /* (n) */
    size_t n;
    size_t most;         /* boxes to select at most */
    bool centered;
    bool has_score_threshold; /* candidates score above it */
    float score_threshold, iou_threshold; /* a box goes that overlaps a better one by more */
} mbr_nms_args;

/*
 * Best first; of equal scores the lower index. Writes at most min(most, n) indices to selected and returns how many.
 * scratch: mbr_nms_scratch(n) bytes, aligned to 8.
 *
 * Only boxes whose ranges along x meet can overlap: chosen boxes are kept in lists by the strips of x that they touch,
 * so that detectors that put each class at an offset of its own compare within the class.
 */
size_t mbr_nms_scratch(size_t n);
size_t mbr_nms(const mbr_nms_args *args, void *scratch, uint32_t *selected);

#endif
