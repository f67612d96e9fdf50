/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rows of whole numbers as loops that compilers make vectors of: the cases of kernels/elementwise.h that models spend
 * time in (masks, one-hot comparisons, arithmetic of indices). What is not among them goes the general way.
 */
#ifndef MBR_KERNELS_INTEGERS_H
#define MBR_KERNELS_INTEGERS_H

#include "kernels/elementwise.h"

/*
 * out[i] = op(a[i * sa], b[i * sb]) for n dense results, as mbr_elementwise_binary_ref defines it; out may be a or b.
 * False, and nothing is done, unless the type is i32, i64 or bool, both strides are 0 or 1 and the operator is at hand;
 * and for very short rows.
 */
bool mbr_integers_binary(mbr_binary_op op, mbr_dtype dtype, size_t n, const void *a, ptrdiff_t sa, const void *b,
                         ptrdiff_t sb, void *out);

#endif
