/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading and writing at positions that a tensor names: elements along an axis (GatherElements, ScatterElements) and
 * slices at tuples of coordinates (GatherND, ScatterND). Plain C only: these wait for memory.
 *
 * Indices are i32, or i64 when wide; negative ones count from the end. Each function returns the position, in the list
 * of indices, of the first one out of range (what came before is done), or `last` when all is well.
 */
#ifndef MBR_KERNELS_INDEX_H
#define MBR_KERNELS_INDEX_H

#include "kernels/elementwise.h"
#include "kernels/view.h"
#include "mbr/dtype.h"

/* What becomes of an element that is written: MBR_BINARY_ADD, MUL, MIN, MAX, or this for plain replacement. */
#define MBR_INDEX_REPLACE MBR_BINARY_COUNT

/* Whether such elements can be written that way. */
bool mbr_index_reduces(mbr_binary_op op, mbr_dtype dtype);

typedef struct mbr_elements_args {
    int rank, axis;
    bool wide;
    size_t dims[MBR_KERNEL_RANK];       /* of the data */
    size_t index_dims[MBR_KERNEL_RANK]; /* of the indices: no larger than the data's but on the axis */
    const void *index;                  /* (index_dims) */
    mbr_dtype dtype;
    size_t size;                        /* bytes of an element */
} mbr_elements_args;

/* out[i] = data[i with i[axis] = index[i]] for the elements first .. last-1 of the indices. */
size_t mbr_gather_elements(const mbr_elements_args *args, const void *data, void *out, size_t first, size_t last);
/* data[i with i[axis] = index[i]] op= updates[i], in order. */
size_t mbr_scatter_elements(const mbr_elements_args *args, mbr_binary_op op, const void *updates, void *data);

typedef struct mbr_tuples_args {
    size_t tuples;      /* in all */
    size_t width;       /* coordinates of a tuple */
    size_t batches;     /* the tuples fall into as many groups, each with its part of the data */
    bool wide;
    size_t dims[MBR_KERNEL_RANK]; /* (width) the axes that the coordinates walk */
    size_t slice;       /* elements of a slice */
    const void *index;  /* (tuples, width) */
    mbr_dtype dtype;
    size_t size;
} mbr_tuples_args;

/* out (tuples, slice) */
size_t mbr_gather_tuples(const mbr_tuples_args *args, const void *data, void *out, size_t first, size_t last);
/* updates (tuples, slice), in order */
size_t mbr_scatter_tuples(const mbr_tuples_args *args, mbr_binary_op op, const void *updates, void *data);

#endif
