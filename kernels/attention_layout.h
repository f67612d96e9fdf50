/* SPDX-License-Identifier: BSD-2-Clause */
/* What the attention kernels share: block sizes, and where the operands of a tile are. */
#ifndef MBR_KERNELS_ATTENTION_LAYOUT_H
#define MBR_KERNELS_ATTENTION_LAYOUT_H

#include "kernels/attention.h"

#define ATTENTION_ROWS 192 /* at most so many query rows in a tile */
#define ATTENTION_GROUP 24 /* that go through their scores together: a multiple of the rows of every micro-kernel */
#define ATTENTION_KEYS 256 /* keys that are scored at a time */
#define ATTENTION_FEW 4    /* query rows up to which keys are read as they lie */
#define ATTENTION_SHARED 4 /* tiles that read the same keys, from which on panels pay */

/* Columns up to a multiple of every panel's width. */
static inline size_t attention_padded(size_t cols)
{
    return (cols + 31) / 32 * 32;
}

/* Blocks of keys of one head, and the floats of one: panels of keys, panels of values. */
static inline size_t attention_blocks_of_head(const mbr_attention_args *a)
{
    return (a->lk + ATTENTION_KEYS - 1) / ATTENTION_KEYS;
}

static inline size_t attention_block_floats(const mbr_attention_args *a)
{
    return (attention_padded(a->d) + attention_padded(a->dv)) * ATTENTION_KEYS;
}

typedef struct attention_tile {
    const float *q, *k, *v, *mask;
    float *panels; /* of the head, or NULL */
    float *out;
    size_t row, rows; /* query rows */
    size_t keys;      /* that exist and that some row of the tile sees */
} attention_tile;

/* Tiles of about even size, of whole groups but the last. */
static inline size_t attention_rows_of_tile(size_t lq)
{
    size_t tiles = (lq + ATTENTION_ROWS - 1) / ATTENTION_ROWS, groups = (lq + ATTENTION_GROUP - 1) / ATTENTION_GROUP;
    return tiles ? (groups + tiles - 1) / tiles * ATTENTION_GROUP : ATTENTION_GROUP;
}

static inline attention_tile attention_tile_at(const mbr_attention_args *a, size_t index)
{
    size_t most = attention_rows_of_tile(a->lq), blocks = (a->lq + most - 1) / most;
    size_t row = index % blocks * most;
    ptrdiff_t head = (ptrdiff_t)(index / blocks % a->heads), batch = (ptrdiff_t)(index / blocks / a->heads);
    ptrdiff_t kv = head / (ptrdiff_t)(a->heads / a->kv_heads), r = (ptrdiff_t)row;
    attention_tile t = {.row = row, .rows = a->lq - row < most ? a->lq - row : most, .keys = a->lk};
    t.q = a->q + batch * a->q_stride[0] + head * a->q_stride[1] + r * a->q_stride[2];
    t.k = a->k + batch * a->k_stride[0] + kv * a->k_stride[1];
    t.v = a->v + batch * a->v_stride[0] + kv * a->v_stride[1];
    t.out = a->out + batch * a->out_stride[0] + head * a->out_stride[1] + r * a->out_stride[2];
    t.mask = a->mask ? a->mask + batch * a->mask_stride[0] + head * a->mask_stride[1] + r * a->mask_stride[2] : NULL;
    t.panels = a->panels;
    if (t.panels)
        t.panels += (size_t)(batch * (ptrdiff_t)a->kv_heads + kv) * attention_blocks_of_head(a) * attention_block_floats(a);
    if (a->lk_of_batch) {
        int64_t valid = a->lk_of_batch[batch];
        t.keys = valid < 0 ? 0 : (uint64_t)valid < t.keys ? (size_t)valid : t.keys;
    }
    if (a->causal) {
        ptrdiff_t seen = (ptrdiff_t)(row + t.rows) + a->causal_offset;
        t.keys = seen < 0 ? 0 : (size_t)seen < t.keys ? (size_t)seen : t.keys;
    }
    return t;
}

/* What a row's values are multiplied with, given the sum of its weights; 0: the row is zeros, whatever they are. */
static inline float attention_factor_of_sum(const mbr_attention_args *a, float sum)
{
    return sum == 0.0f ? a->empty : sum != sum && a->clean ? 0.0f : 1.0f / sum;
}

/* How many of the tile's keys its row r sees. */
static inline size_t attention_keys_of_row(const mbr_attention_args *a, const attention_tile *t, size_t r)
{
    ptrdiff_t seen = (ptrdiff_t)(t->row + r + 1) + a->causal_offset;
    if (!a->causal || (seen > 0 && (size_t)seen >= t->keys))
        return t->keys;
    return seen < 0 ? 0 : (size_t)seen;
}

#endif
