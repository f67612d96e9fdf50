/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What LSTM, GRU and RNN do after the matrix products of a time step: gates, activations, new state. f32.
 * Weights, biases and gates follow ONNX's order: LSTM i o f c, GRU z r h.
 */
#ifndef MBR_KERNELS_RNN_H
#define MBR_KERNELS_RNN_H

#include "kernels/cpu.h"
#include "kernels/view.h"

typedef enum mbr_rnn_activation {
    MBR_RNN_SIGMOID,
    MBR_RNN_TANH,
    MBR_RNN_RELU,
    MBR_RNN_AFFINE,           /* alpha x + beta */
    MBR_RNN_LEAKY_RELU,       /* alpha */
    MBR_RNN_THRESHOLDED_RELU, /* alpha */
    MBR_RNN_SCALED_TANH,      /* alpha tanh(beta x) */
    MBR_RNN_HARD_SIGMOID,     /* alpha, beta */
    MBR_RNN_ELU,              /* alpha */
    MBR_RNN_SOFTSIGN,
    MBR_RNN_SOFTPLUS
} mbr_rnn_activation;

typedef struct mbr_rnn_function {
    mbr_rnn_activation kind;
    float alpha, beta; /* as given: ONNX's defaults are the caller's to fill in (mbr_rnn_function_default) */
} mbr_rnn_function;

mbr_rnn_function mbr_rnn_function_default(mbr_rnn_activation kind);

/*
 * LSTM, for rows first .. last-1 of the batch and every hidden unit j:
 *     i = f(gates[i] + pi c'), fg = f(gates[f] + pf c'), c = fg c' + i g(gates[c]), o = f(gates[o] + po c), h_out = o h(c)
 * gates holds W x + R h' + both biases; each of the four is clipped to [-clip, clip] before its activation when clip > 0.
 * input_forget: fg = 1 - i. c may be c_prev, h may be any buffer but gates. Row strides in elements.
 */
typedef struct mbr_lstm_args {
    const float *gates; /* (batch, 4, hidden) */
    const float *c_prev;
    float *c, *h;
    float *h2; /* a second place for h (the sequence output), or NULL */
    ptrdiff_t gates_stride, c_prev_stride, c_stride, h_stride, h2_stride;
    const float *peephole; /* (3, hidden): i o f, or NULL */
    size_t hidden;
    float clip; /* 0: none */
    bool input_forget;
    mbr_rnn_function f, g, hh;
} mbr_lstm_args;

typedef void mbr_lstm_fn(const mbr_lstm_args *args, size_t first, size_t last);

/*
 * GRU: z = f(x[z] + r[z]), rr = f(x[r] + r[r]),
 *     linear_before_reset: n = g(x[h] + rr r[h])        (r holds R h' + Rb, all three)
 *     else:                n = g(x[h] + r[h])           (r[h] holds Rh (rr h') + Rbh: see phase)
 *     h = (1 - z) n + z h'
 * x holds W x + Wb. Without linear_before_reset the step has two phases: the first writes rr * h' to reset, the caller then
 * multiplies it by Rh into r[h], the second finishes. h may be h_prev.
 */
typedef struct mbr_gru_args {
    const float *x; /* (batch, 3, hidden) */
    const float *r; /* (batch, 3, hidden) */
    const float *h_prev;
    float *h, *h2; /* h2 may be NULL */
    float *reset;  /* (batch, hidden), dense: only for phase 1 */
    ptrdiff_t x_stride, r_stride, h_prev_stride, h_stride, h2_stride;
    size_t hidden;
    float clip;
    bool linear_before_reset;
    int phase; /* 0: all at once (linear_before_reset); 1, 2: see above */
    mbr_rnn_function f, g;
} mbr_gru_args;

typedef void mbr_gru_fn(const mbr_gru_args *args, size_t first, size_t last);

/* RNN: h = f(gates), clipped first. */
typedef struct mbr_rnn_args {
    const float *gates; /* (batch, hidden) */
    float *h, *h2;
    ptrdiff_t gates_stride, h_stride, h2_stride;
    size_t hidden;
    float clip;
    mbr_rnn_function f;
} mbr_rnn_args;

typedef void mbr_rnn_fn(const mbr_rnn_args *args, size_t first, size_t last);

/*
 * All three in f64, from the input to the last state: one direction of one row of the batch. Plain C, for models of
 * doubles. Weights as ONNX has them: w (gates, hidden, input), r (gates, hidden, hidden), b (2, gates, hidden) or NULL.
 */
typedef struct mbr_rnn_f64_args {
    size_t gates; /* 1: RNN, 3: GRU, 4: LSTM */
    size_t hidden, input, length;
    bool backwards, linear_before_reset, input_forget;
    float clip;
    const mbr_rnn_function *f;
    const double *x; /* x_step elements from a time step to the next */
    ptrdiff_t x_step;
    const double *w, *r, *b, *peephole;
    double *h, *c; /* (hidden) the initial state, and then the last one; c: LSTM */
    double *y;     /* h of each step, or NULL */
    ptrdiff_t y_step;
    double *scratch; /* (gates + 1, hidden) */
} mbr_rnn_f64_args;

void mbr_rnn_f64(const mbr_rnn_f64_args *args);

typedef struct mbr_rnn_kernels {
    mbr_lstm_fn *lstm;
    mbr_gru_fn *gru;
    mbr_rnn_fn *rnn;
} mbr_rnn_kernels;

mbr_lstm_fn mbr_lstm_ref;
mbr_gru_fn mbr_gru_ref;
mbr_rnn_fn mbr_rnn_ref;
mbr_rnn_kernels mbr_rnn_select(unsigned tiers);

#endif
