/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/transpose_walk.h"

#include <string.h>

static void block_ref(const mbr_copy_plan *p, const char *in, char *out, size_t rows, size_t cols)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++)
            memcpy(out + (ptrdiff_t)r * p->out_row + (ptrdiff_t)c * p->out_col,
                   in + (ptrdiff_t)r * p->in_row + (ptrdiff_t)c * p->in_col, p->size);
}

void mbr_copy_ref(const mbr_copy_plan *plan, const void *in, void *out, size_t first, size_t last)
{
    copy_run(plan, in, out, first, last, block_ref);
}
