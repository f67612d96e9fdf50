/* SPDX-License-Identifier: BSD-2-Clause */
/* What the attention operators share: the choice between the f32 kernel and the plain one, tiles. */
#ifndef MBR_ENGINE_OPS_ATTEND_H
#define MBR_ENGINE_OPS_ATTEND_H

#include "engine/ops/buffer.h"
#include "kernels/attention.h"
#include "kernels/attention_any.h"

typedef struct mbr_attend {
    mbr_attention_any_args any; /* set by the operator but for pointers: sizes, strides, options */
    mbr_attention_args one;     /* the f32 kernel's arguments for one sample */
    bool fast;
    size_t tiles_of_one, tiles, per_tile;
} mbr_attend;

/*
 * Chooses and sets tiles[0], scratch and cost_ns. The f32 kernel takes f32 without windows; plain says that scores or
 * sinks are wanted, which it does not have. The mask, if any, must be f32 and as wide as the keys for it (mask_dtype,
 * mask_cols); mbr_attend_wants_f32_mask tells beforehand.
 */
void mbr_attend_plan(mbr_step *s, mbr_attend *a, bool plain);
bool mbr_attend_wants_f32_mask(const mbr_attend *a, bool plain);

/* Runs the job's tiles; `now` is a->any with the pointers set. */
void mbr_attend_run(const mbr_attend *a, const mbr_attention_any_args *now, const mbr_job *job);

/* batch, head, row strides of (batch, heads, rows, cols), or, heads inside, of (batch, rows, heads * cols). */
void mbr_attend_strides(bool heads_inside, size_t heads, size_t rows, size_t cols, ptrdiff_t *stride);

/* The same of keys or values that are (batch, heads, rows, cols), perhaps with room behind their rows. */
void mbr_attend_cache_strides(const mbr_value *v, ptrdiff_t *stride);

#endif
