/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/attention_layout.h"

size_t mbr_attention_tiles(const mbr_attention_args *args)
{
    size_t rows = attention_rows_of_tile(args->lq);
    return args->batch * args->heads * ((args->lq + rows - 1) / rows);
}

size_t mbr_attention_scratch(const mbr_attention_args *args)
{
    /* the vector kernels: packed keys, scores, running sums of values, maximum and sum of each row, factors */
    size_t panels = (args->d + 15) / 16 * 16 * ATTENTION_KEYS, scores = ATTENTION_GROUP * ATTENTION_KEYS;
    size_t values = ATTENTION_ROWS * ((args->dv + 15) / 16 * 16);
    size_t fast = (panels + scores + values + 2 * ATTENTION_ROWS + 2 * ATTENTION_GROUP) * sizeof(float);
    size_t plain = args->lk * sizeof(double); /* the reference: one row of scores */
    size_t bytes = fast > plain ? fast : plain;
    return (bytes + 63) / 64 * 64;
}
