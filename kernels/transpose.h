/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Moving elements without looking at them: permutation of axes, strided copies (the building block of slice, pad,
 * concat, expand, tile), fills and row gathers. Elements of 1, 2, 4, 8 or 16 bytes.
 */
#ifndef MBR_KERNELS_TRANSPOSE_H
#define MBR_KERNELS_TRANSPOSE_H

#include "kernels/cpu.h"
#include "kernels/view.h"

/*
 * A strided copy: out[i . out_strides] = in[i . in_strides] for every i in dims; strides in elements, in_strides may
 * be 0 or negative. The buffers do not overlap. A transposition is a strided copy whose plan found two fast axes.
 */
typedef struct mbr_copy_plan {
    size_t size; /* bytes of an element; a plan may have widened it */
    int rank;    /* of the collapsed outer loops */
    size_t dims[MBR_KERNEL_RANK];
    ptrdiff_t in_strides[MBR_KERNEL_RANK], out_strides[MBR_KERNEL_RANK]; /* bytes */
    /* the two innermost loops: rows of `cols` elements; in the 2-D case, read along rows and written along columns */
    size_t rows, cols;
    size_t last_cols; /* columns of the very last row: a long run is cut into rows */
    ptrdiff_t in_row, in_col, out_row, out_col; /* bytes */
    size_t row_step;                            /* rows of a tile */
    size_t row_tiles;
    size_t tiles;
} mbr_copy_plan;

void mbr_copy_plan_init(mbr_copy_plan *plan, size_t size, int rank, const size_t *dims, const ptrdiff_t *in_strides,
                        const ptrdiff_t *out_strides);

/* out = in with axes permuted, both dense: output axis i is input axis perm[i]. dims are the input's. */
void mbr_transpose_plan_init(mbr_copy_plan *plan, size_t size, int rank, const size_t *dims, const int *perm);

/* Tiles first .. last-1 of plan->tiles. */
typedef void mbr_copy_fn(const mbr_copy_plan *plan, const void *in, void *out, size_t first, size_t last);

mbr_copy_fn mbr_copy_ref;
mbr_copy_fn *mbr_copy_select(unsigned tiers);

/* out[0 .. n-1] = the element at value. */
void mbr_fill(size_t size, const void *value, void *out, size_t n);

/*
 * out[i] = table[index[i]], rows of row_bytes, for i in first .. last-1; indices are i32, or i64 when wide, negative
 * ones count from the end. Returns the position of the first index out of range (nothing is read for it), or last.
 */
size_t mbr_gather_rows(const void *table, size_t table_rows, size_t row_bytes, const void *index, bool wide, void *out,
                       size_t first, size_t last);

#endif
