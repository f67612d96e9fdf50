/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Order: the k first of a line, indices of what is not zero, the distinct items of a list. Plain C only.
 *
 * NaN counts as larger than every number, and all NaN are equal. Strings compare by bytes. Both zeros are equal.
 * Complex numbers go by their real parts first.
 */
#ifndef MBR_KERNELS_ORDER_H
#define MBR_KERNELS_ORDER_H

#include "kernels/view.h"
#include "mbr/dtype.h"

/* Every real type but the sub-byte ones and float8. */
bool mbr_order_has(mbr_dtype dtype);

typedef struct mbr_top_args {
    mbr_dtype dtype;
    size_t outer, axis, inner; /* in: (outer, axis, inner) */
    size_t k;                  /* at most axis; out: (outer, k, inner) */
    bool smallest;
} mbr_top_args;

/* Bytes of scratch for a call. */
size_t mbr_top_scratch(const mbr_top_args *args);

/* Lines first .. last-1 of outer * inner: the k largest (smallest), in order, equal ones by their position. values or
   indices may be NULL. */
void mbr_top_k(const mbr_top_args *args, const void *in, void *values, int64_t *indices, void *scratch, size_t first,
               size_t last);

/* How many of n elements are not zero (strings: not empty). */
size_t mbr_count_nonzero(mbr_dtype dtype, const void *in, size_t n);
/* Their coordinates: out (rank, count). */
void mbr_nonzero(mbr_dtype dtype, int rank, const size_t *dims, const void *in, size_t count, int64_t *out);

/*
 * The distinct ones of `axis` slices of (outer, axis, inner); strings too. order (axis) receives the slices sorted
 * (equal ones by position); first (axis) the slice that begins each group of equals, in sorted order; returns how many
 * groups there are. group (axis) receives each slice's group. scratch: axis numbers.
 */
typedef struct mbr_unique_args {
    mbr_dtype dtype;
    size_t outer, axis, inner;
} mbr_unique_args;

size_t mbr_unique(const mbr_unique_args *args, const void *in, size_t *order, size_t *first, size_t *group,
                  size_t *scratch);

#endif
