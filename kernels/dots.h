/* SPDX-License-Identifier: BSD-2-Clause */
/* Scalar products of queries with the rows of a table, for nearest neighbours. */
#ifndef MBR_KERNELS_DOTS_H
#define MBR_KERNELS_DOTS_H

#include <stddef.h>

/*
 * out[q * count + r] = sum over i of queries[q * width + i] * rows[r * width + i], in f32. The same two vectors give
 * the same bits wherever they stand (of a NaN, that it is one). The caller passes blocks of rows that stay in the
 * cache while all queries pass by. No alignment is asked for; nothing is read past the ends.
 */
typedef void mbr_dots_fn(const float *rows, size_t count, size_t width, const float *queries, size_t query_count,
                         float *out);

/* The fastest for this machine. */
mbr_dots_fn *mbr_dots_best(void);

#endif
