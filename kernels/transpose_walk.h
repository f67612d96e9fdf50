/* SPDX-License-Identifier: BSD-2-Clause */
/* The loops around a 2-D copy; a kernel includes this and calls copy_run with its own block function. */
#include "kernels/transpose.h"

/* Copies rows x cols elements as the plan says; rows are contiguous in neither, either or both buffers. */
typedef void copy_block_fn(const mbr_copy_plan *plan, const char *in, char *out, size_t rows, size_t cols);

static inline void copy_run(const mbr_copy_plan *p, const void *in, void *out, size_t first, size_t last,
                            copy_block_fn *block)
{
    for (size_t t = first; t < last; t++) {
        size_t outer = t / p->row_tiles, row = t % p->row_tiles * p->row_step;
        size_t rows = p->rows - row < p->row_step ? p->rows - row : p->row_step;
        ptrdiff_t in_at = (ptrdiff_t)row * p->in_row, out_at = (ptrdiff_t)row * p->out_row;
        for (int d = p->rank - 1; d >= 0; d--) {
            ptrdiff_t i = (ptrdiff_t)(outer % p->dims[d]);
            outer /= p->dims[d];
            in_at += i * p->in_strides[d];
            out_at += i * p->out_strides[d];
        }
        bool cut = row + rows == p->rows && p->last_cols != p->cols;
        block(p, (const char *)in + in_at, (char *)out + out_at, rows - cut, p->cols);
        if (cut) {
            ptrdiff_t r = (ptrdiff_t)(rows - 1);
            block(p, (const char *)in + in_at + r * p->in_row, (char *)out + out_at + r * p->out_row, 1, p->last_cols);
        }
    }
}
