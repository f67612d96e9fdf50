/* SPDX-License-Identifier: BSD-2-Clause */
/* What prepare of LSTM, GRU and RNN has found, for whoever runs them. */
#ifndef MBR_ENGINE_OPS_RECURRENT_H
#define MBR_ENGINE_OPS_RECURRENT_H

#include "engine/ops/buffer.h"
#include "kernels/rnn.h"

enum { RNN, GRU, LSTM };
enum { IN_X, IN_W, IN_R, IN_B, IN_LENS, IN_H, IN_C, IN_P, INPUTS };
enum { OUT_Y, OUT_H, OUT_C, OUTPUTS };

/* Packed weights of one direction: offsets in floats from the block's start. */
typedef struct mbr_rnn_direction {
    size_t w, r, r2; /* r2: GRU's hidden gate alone */
    size_t bias, bias_r; /* (gates, hidden): added to W x, and, for GRU, to R h */
} mbr_rnn_direction;

typedef struct mbr_rnn_weights {
    uint32_t kernel; /* kernels/packed.h */
    mbr_rnn_direction dir[2];
    size_t bytes;
} mbr_rnn_weights;

typedef struct mbr_recurrent {
    size_t gates, dirs, hidden, input, steps, batch;
    bool batch_first, reverse_only, linear_before_reset, input_forget;
    float clip;
    mbr_rnn_function f[2][3];
    mbr_rnn_weights own_pack; /* where weights are no constants */
    mbr_buffer own_weights;
    mbr_buffer wx;        /* (directions, rows of X, gates * hidden) */
    mbr_buffer wide;      /* f32 copies of all inputs and outputs of another type */
    size_t wide_at[INPUTS + OUTPUTS];
    size_t block;         /* batch rows of a tile */
    size_t cell_scratch;  /* bytes of a tile's buffers; gemm's own follow */
    size_t gemm_tiles, gemm_per_tile;
} mbr_recurrent;

#endif
