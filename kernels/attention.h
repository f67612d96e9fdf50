/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Scaled dot-product attention in one pass over tiles of keys, with the running maximum and sum of an online softmax;
 * the (lq, lk) scores are never stored. f32.
 *
 *     s = scale * q k^T [softcap: cap * tanh(s / cap)] + mask;  out = softmax(s) v
 *
 * for each batch and head. A key whose mask is -inf, or below -1e38 where the row has another one, may not be looked
 * at, so that what it holds is not seen. The result depends on what belongs to one batch entry only, not on batch, tiles
 * or threads. A row whose scores are all -inf gives `empty` instead of 0 / 0; one with a NaN among its weights NaN, or 0
 * where `clean`.
 */
#ifndef MBR_KERNELS_ATTENTION_H
#define MBR_KERNELS_ATTENTION_H

#include "kernels/cpu.h"
#include "kernels/view.h"

typedef struct mbr_attention_args {
    const float *q; /* (batch, heads, lq, d) by strides; the last dimension is dense */
    const float *k; /* (batch, kv_heads, lk, d) */
    const float *v; /* (batch, kv_heads, lk, dv) */
    const float *mask; /* (batch, heads, lq, lk) by strides, 0 where broadcast, added to the scores; or NULL */
    float *out;        /* (batch, heads, lq, dv) */
    ptrdiff_t q_stride[3], k_stride[3], v_stride[3], out_stride[3]; /* batch, head, row */
    ptrdiff_t mask_stride[4];                                       /* batch, head, row, column (0 or 1) */
    size_t batch, heads, kv_heads; /* heads is a multiple of kv_heads: head h uses kv head h / (heads / kv_heads) */
    size_t lq, lk, d, dv;
    const int64_t *lk_of_batch; /* valid keys of each batch entry (the rest are padding), or NULL */
    float *panels; /* mbr_attention_panels bytes, MBR_ALIGN aligned: packed keys and values; NULL: each tile packs its own */
    bool pack;     /* the run fills panels: its tiles are mbr_attention_blocks */
    float scale;
    float softcap;            /* 0: none */
    float empty;              /* 0 or NaN */
    bool clean;
    bool causal;              /* key j is seen by query i when j <= i + causal_offset */
    ptrdiff_t causal_offset;  /* keys of the past: lk - lq when the queries are the last positions */
} mbr_attention_args;

/* Tiles are blocks of query rows of one head; one tile's worker needs `scratch` bytes, aligned to MBR_ALIGN. */
size_t mbr_attention_tiles(const mbr_attention_args *args);
size_t mbr_attention_scratch(const mbr_attention_args *args);

/* The bytes of panels, 0 where they do not pay: few queries read the same keys. Packing needs no scratch. */
size_t mbr_attention_panels(const mbr_attention_args *args);
size_t mbr_attention_blocks(const mbr_attention_args *args);

typedef void mbr_attention_fn(const mbr_attention_args *args, void *scratch, size_t first, size_t last);

mbr_attention_fn mbr_attention_ref;
mbr_attention_fn *mbr_attention_select(unsigned tiers);

#endif
