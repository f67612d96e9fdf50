/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Padding and cropping: out[o] = in[o - begin] on every axis, where positions outside of the input hold a value or are
 * folded back: reflect mirrors at the first and last element (which are not repeated), edge repeats them, wrap goes
 * round. A negative begin crops. Plain C only: rows are copied whole.
 */
#ifndef MBR_KERNELS_PAD_H
#define MBR_KERNELS_PAD_H

#include "kernels/view.h"

typedef enum mbr_pad_mode { MBR_PAD_CONSTANT, MBR_PAD_REFLECT, MBR_PAD_EDGE, MBR_PAD_WRAP } mbr_pad_mode;

typedef struct mbr_pad_args {
    mbr_pad_mode mode;
    int rank;                         /* at least 1 */
    size_t dims[MBR_KERNEL_RANK];     /* of the input; none 0 unless the mode is CONSTANT */
    size_t out_dims[MBR_KERNEL_RANK];
    int64_t begin[MBR_KERNEL_RANK];
    size_t unit;                      /* elements at each position */
    size_t size;                      /* bytes of an element: 1, 2, 4, 8, 16 */
    size_t rows;                      /* the product of out_dims but the last */
} mbr_pad_args;

/* Drops trailing axes that are neither padded nor cropped into the unit, and sets rows. Begins with unit 1. */
void mbr_pad_plan(mbr_pad_args *args);

/* Rows first .. last-1 of the output; value: one element, for CONSTANT. */
void mbr_pad(const mbr_pad_args *args, const void *in, const void *value, void *out, size_t first, size_t last);

#endif
