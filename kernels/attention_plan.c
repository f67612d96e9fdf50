/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/attention_layout.h"

size_t mbr_attention_tiles(const mbr_attention_args *args)
{
    size_t rows = attention_rows_of_tile(args->lq);
    return args->batch * args->heads * ((args->lq + rows - 1) / rows);
}

size_t mbr_attention_blocks(const mbr_attention_args *args)
{
    return args->batch * args->kv_heads * attention_blocks_of_head(args);
}

size_t mbr_attention_panels(const mbr_attention_args *args)
{
    if (args->lq <= ATTENTION_FEW || mbr_attention_tiles(args) < ATTENTION_SHARED * args->batch * args->kv_heads)
        return 0;
    return mbr_attention_blocks(args) * attention_block_floats(args) * sizeof(float);
}

size_t mbr_attention_scratch(const mbr_attention_args *args)
{
    /* the vector kernels: packed keys and values, scores, running sums, maximum and sum of each row, factors */
    size_t panels = attention_block_floats(args);
    size_t scores = ATTENTION_GROUP * ATTENTION_KEYS, values = ATTENTION_ROWS * attention_padded(args->dv);
    size_t fast = (panels + scores + values + 3 * ATTENTION_ROWS + 2 * ATTENTION_GROUP) * sizeof(float);
    size_t plain = args->lk * sizeof(double); /* the reference: one row of scores */
    size_t bytes = fast > plain ? fast : plain;
    return (bytes + 63) / 64 * 64;
}
