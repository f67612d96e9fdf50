/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Scaled dot-product attention of any float type with every option, plain C, computed in double and rounded once:
 *
 *     s = scale * q k^T;  s = softcap * tanh(s / softcap);  s += bias;  p = softmax(s);  out = p v
 *
 * bias is the mask's number (bool masks: 0 or -inf), and -inf outside the key count, the causal frontier and the
 * window. A row whose bias is all -inf gives zeros. The common f32 cases have kernels of their own (attention.h).
 */
#ifndef MBR_KERNELS_ATTENTION_ANY_H
#define MBR_KERNELS_ATTENTION_ANY_H

#include "kernels/view.h"
#include "mbr/dtype.h"

/* With at most so many keys, `stepwise` rounds as the operator's function body does: longer sums lose too much. */
#define MBR_ATTENTION_STEPWISE 64

typedef enum mbr_attention_stage {
    MBR_ATTENTION_RAW,     /* scale * q k^T */
    MBR_ATTENTION_CAPPED,  /* after softcap */
    MBR_ATTENTION_BIASED,  /* after the mask */
    MBR_ATTENTION_PROBS    /* after softmax */
} mbr_attention_stage;

typedef struct mbr_attention_any_args {
    mbr_dtype dtype, mask_dtype; /* mask: bool or a float */
    const void *q, *k, *v; /* (batch, heads or kv_heads, rows, d or dv) by strides; the last dimension is dense */
    const void *mask;      /* (batch, heads, lq, mask_cols) by strides, 0 where broadcast; or NULL */
    void *out;             /* by strides; NULL: not wanted */
    void *scores;          /* (batch, heads, lq, lk), dense, at `stage`; NULL: not wanted */
    mbr_attention_stage stage;
    ptrdiff_t q_stride[3], k_stride[3], v_stride[3], out_stride[3]; /* batch, head, row */
    ptrdiff_t mask_stride[4];
    size_t mask_cols;      /* keys beyond are masked */
    size_t batch, heads, kv_heads, lq, lk, d, dv;
    const int64_t *keys_of_batch;   /* (batch): valid keys, or NULL: all */
    const int64_t *offset_of_batch; /* (batch): position of the first query, or NULL: `offset` */
    int64_t offset;
    bool causal;                    /* key j is seen by query i when j <= i + offset */
    int64_t left, right;            /* window around i + offset; negative: open */
    double scale, softcap;
    const void *sink;               /* (heads): a score more in each softmax's sum, or NULL */
    bool stepwise;                  /* halves: round after every operation, for at most MBR_ATTENTION_STEPWISE keys */
    bool wide_softmax;              /* but not inside softmax */
    bool one_in_sum;                /* 1 more in the sum: "smooth softmax" */
} mbr_attention_any_args;

/* Rows first .. last-1 of batch * heads * lq; scratch: lk + dv doubles. */
void mbr_attention_any(const mbr_attention_any_args *args, double *scratch, size_t first, size_t last);

#endif
