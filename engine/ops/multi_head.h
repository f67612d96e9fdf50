/* SPDX-License-Identifier: BSD-2-Clause */
/* What prepare of MultiHeadAttention and GroupQueryAttention has found, for whoever runs them. */
#ifndef MBR_ENGINE_OPS_MULTI_HEAD_H
#define MBR_ENGINE_OPS_MULTI_HEAD_H

#include "engine/ops/attend.h"

/* Where element (batch, token, head, i) of an operand lies. */
typedef struct mbr_mha_operand {
    uint32_t slot;                     /* the input */
    size_t tokens, at;                 /* at: elements before the first one */
    ptrdiff_t batch, token, head;
    size_t bias_at;                    /* its first element in the bias */
} mbr_mha_operand;

/*
 * Strides of attend.any are those of the operands once they are (batch, heads, past + tokens, size), without a bias the
 * queries' own, and of a mask that is made of the padding and the attention bias, where there is one (mask_cols > 0).
 */
typedef struct mbr_mha {
    mbr_attend attend;
    mbr_mha_operand q, k, v;
    size_t past;
    mbr_buffer bq, bk, bv, mask;
    bool copy_q;
} mbr_mha;

typedef struct mbr_gqa {
    mbr_attend attend;
    bool packed, rotate;
    size_t tokens, past; /* past: room of the past cache */
    mbr_buffer q, offsets, keys, positions;
} mbr_gqa;

#endif
