/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What token models do between matrix products: rotary positions, linear attention with a recurrent state, causal
 * depthwise convolution with a carried state. Plain C, computed in f32 or double, rounded once.
 */
#ifndef MBR_KERNELS_RECURRENCE_H
#define MBR_KERNELS_RECURRENCE_H

#include "kernels/view.h"
#include "mbr/dtype.h"

/*
 * Rotates pairs of the first 2 * half elements of each head; the rest is copied. Pairs are (i, i + half), or
 * (2 i, 2 i + 1) when interleaved. in and out by strides (batch, token, head), in may be out.
 */
typedef struct mbr_rotary_args {
    mbr_dtype dtype;
    bool interleaved;
    size_t batch, tokens, heads, size, half;
    const void *in;
    void *out;
    ptrdiff_t in_stride[3], out_stride[3];
    const void *cos, *sin;      /* (rows, half) */
    size_t rows;
    const int64_t *positions;   /* (batch, tokens); with one_position (1), the first token's; NULL: b * tokens + t */
    bool one_position;
} mbr_rotary_args;

/* Tokens first .. last-1 of batch * tokens. False: a position is no row; it stops there. */
bool mbr_rotary(const mbr_rotary_args *args, size_t first, size_t last);

/*
 * (x1, x2) to (x1 cos1 - x2 sin1, x2 cos2 + x1 sin2), where 1 and 2 are the halves of a row of x, cos and sin, or the
 * elements of each pair of neighbours; each product and each sum is rounded. f32.
 */
typedef struct mbr_turn_args {
    const float *x, *cos, *sin;
    float *out;                 /* dense */
    size_t dims[3], half;       /* rows, and half their length */
    ptrdiff_t x_stride[3], cos_stride[3], sin_stride[3];
    bool pairs;
} mbr_turn_args;

/* Rows first .. last-1. */
void mbr_turn(const mbr_turn_args *args, size_t first, size_t last);

/*
 * For each step t, and each head of keys with its state S (dk, dv):
 *     S *= exp(decay);  v' = delta ? beta (v - S^T k) : v;  S += k v'^T;  out = scale S^T q for each of its query heads
 * q (batch, steps, heads * dk), k and v (batch, steps, kv_heads * ...), decay (batch, steps, kv_heads [* dk]), beta
 * (batch, steps, kv_heads or 1). States are f32 work buffers (batch, kv_heads, dk, dv), read and written in place.
 */
typedef struct mbr_linear_attention_args {
    mbr_dtype dtype;
    size_t batch, steps, heads, kv_heads, dk, dv;
    size_t decay_each; /* dk or 1 */
    size_t beta_heads; /* kv_heads or 1 */
    float scale;
    bool delta;
    const void *q, *k, *v, *decay, *beta; /* decay, beta: or NULL */
    void *out;                            /* (batch, steps, heads * dv) */
    float *state;
} mbr_linear_attention_args;

/* Heads first .. last-1 of batch * kv_heads; scratch: dk + 2 dv floats. */
void mbr_linear_attention(const mbr_linear_attention_args *args, float *scratch, size_t first, size_t last);

/* in (batch, channels, steps), weight (channels, taps), past and present (batch, channels, taps - 1). */
typedef struct mbr_causal_conv_args {
    mbr_dtype dtype;
    size_t batch, channels, steps, taps;
    bool silu;
    const void *in, *weight, *bias, *past; /* bias, past: or NULL */
    void *out, *present;                   /* or NULL */
} mbr_causal_conv_args;

/* Channels first .. last-1 of batch * channels. */
void mbr_causal_conv(const mbr_causal_conv_args *args, size_t first, size_t last);

#endif
