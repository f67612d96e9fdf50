/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the kernels share to talk about N-d data: dims are counts, strides are in elements and may be 0
 * (broadcast) or negative; the last dimension is the innermost. Dense means row-major without gaps.
 */
#ifndef MBR_KERNELS_VIEW_H
#define MBR_KERNELS_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* More dimensions than any kernel needs to handle; ranks above are refused when a model is opened. */
#define MBR_KERNEL_RANK 16

static inline size_t mbr_dims_count(int rank, const size_t *dims)
{
    size_t n = 1;
    for (int i = 0; i < rank; i++)
        n *= dims[i];
    return n;
}

static inline void mbr_dense_strides(int rank, const size_t *dims, ptrdiff_t *strides)
{
    ptrdiff_t s = 1;
    for (int i = rank - 1; i >= 0; i--) {
        strides[i] = s;
        s *= (ptrdiff_t)dims[i];
    }
}

/*
 * Drops dimensions of 1 and merges neighbours that every operand walks as one. operands[k] points to `rank`
 * strides, changed in place. Returns the new rank (0 for a single element).
 */
static inline int mbr_collapse_dims(int rank, size_t *dims, int operands, ptrdiff_t *const *strides)
{
    int r = 0;
    for (int i = 0; i < rank; i++) {
        if (dims[i] == 1)
            continue;
        bool merge = r > 0;
        for (int k = 0; merge && k < operands; k++)
            merge = strides[k][r - 1] == strides[k][i] * (ptrdiff_t)dims[i];
        if (merge) {
            dims[r - 1] *= dims[i];
            for (int k = 0; k < operands; k++)
                strides[k][r - 1] = strides[k][i];
        } else {
            dims[r] = dims[i];
            for (int k = 0; k < operands; k++)
                strides[k][r] = strides[k][i];
            r++;
        }
    }
    return r;
}

/* The half-open range of part `index` when `count` things are cut into `parts`, even to within one. */
static inline void mbr_split_range(size_t count, size_t parts, size_t index, size_t *first, size_t *last)
{
    size_t each = count / parts, more = count % parts;
    *first = index * each + (index < more ? index : more);
    *last = *first + each + (index < more);
}

#endif
