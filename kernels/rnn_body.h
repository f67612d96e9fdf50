/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The cells on vectors of hidden units. A file includes a vec_*.h, defines MBR_LSTM_NAME, MBR_GRU_NAME, MBR_RNN_NAME
 * and includes this.
 */
#include "kernels/rnn.h"
#include "kernels/simd/math_nn.h"

#include <math.h>

/* One copy for all gates: the usual functions do not come here. */
MBR_NOINLINE static vf rnn_act(mbr_rnn_function f, vf x)
{
    const vf zero = vf_zero(), one = vf_set1(1.0f), a = vf_set1(f.alpha), b = vf_set1(f.beta);
    switch (f.kind) {
    case MBR_RNN_SIGMOID: return vf_sigmoid(x);
    case MBR_RNN_TANH: return vf_tanh(x);
    case MBR_RNN_RELU: return vf_max(zero, x);
    case MBR_RNN_AFFINE: return vf_fma(a, x, b);
    case MBR_RNN_LEAKY_RELU: return vf_select(vf_lt(x, zero), vf_mul(a, x), x);
    case MBR_RNN_THRESHOLDED_RELU: return vf_select(vf_gt(x, a), x, zero);
    case MBR_RNN_SCALED_TANH: return vf_mul(a, vf_tanh(vf_mul(b, x)));
    case MBR_RNN_HARD_SIGMOID: return vf_min(one, vf_max(zero, vf_fma(a, x, b)));
    case MBR_RNN_ELU: return vf_select(vf_lt(x, zero), vf_mul(a, vf_expm1(x)), x);
    case MBR_RNN_SOFTSIGN: return vf_div(x, vf_add(one, vf_abs(x)));
    case MBR_RNN_SOFTPLUS: return vf_softplus(x);
    }
    return x;
}

/* An activation of a clipped gate; the usual ones are what `usual` says, a constant where this is expanded. */
MBR_INLINE vf rnn_gate(mbr_rnn_function f, vf x, vf clip, bool usual, mbr_rnn_activation kind)
{
    x = vf_min(clip, vf_max(vf_neg(clip), x));
    if (usual)
        return kind == MBR_RNN_SIGMOID ? vf_sigmoid(x) : vf_tanh(x);
    return rnn_act(f, x);
}

static inline float rnn_clip(float clip)
{
    return clip > 0.0f ? clip : INFINITY;
}

MBR_INLINE void lstm_rows(const mbr_lstm_args *a, size_t first, size_t last, bool usual)
{
    size_t n = a->hidden;
    const vf clip = vf_set1(rnn_clip(a->clip));
    for (size_t r = first; r < last; r++) {
        ptrdiff_t row = (ptrdiff_t)r;
        const float *x = a->gates + row * a->gates_stride, *c_prev = a->c_prev + row * a->c_prev_stride;
        float *c = a->c + row * a->c_stride, *h = a->h + row * a->h_stride;
        float *h2 = a->h2 ? a->h2 + row * a->h2_stride : NULL;
        for (size_t j = 0; j < n; j += MBR_VL) {
            size_t m = n - j < MBR_VL ? n - j : MBR_VL;
            vf old = vf_load_n(c_prev + j, m);
            vf i = vf_load_n(x + j, m), o = vf_load_n(x + n + j, m), f = vf_load_n(x + 2 * n + j, m);
            if (a->peephole) {
                i = vf_fma(vf_load_n(a->peephole + j, m), old, i);
                f = vf_fma(vf_load_n(a->peephole + 2 * n + j, m), old, f);
            }
            i = rnn_gate(a->f, i, clip, usual, MBR_RNN_SIGMOID);
            f = a->input_forget ? vf_sub(vf_set1(1.0f), i) : rnn_gate(a->f, f, clip, usual, MBR_RNN_SIGMOID);
            vf g = rnn_gate(a->g, vf_load_n(x + 3 * n + j, m), clip, usual, MBR_RNN_TANH);
            vf now = vf_fma(f, old, vf_mul(i, g));
            if (a->peephole)
                o = vf_fma(vf_load_n(a->peephole + n + j, m), now, o);
            o = rnn_gate(a->f, o, clip, usual, MBR_RNN_SIGMOID);
            vf y = vf_mul(o, usual ? vf_tanh(now) : rnn_act(a->hh, now));
            vf_store_n(c + j, now, m);
            vf_store_n(h + j, y, m);
            if (h2)
                vf_store_n(h2 + j, y, m);
        }
    }
}

void MBR_LSTM_NAME(const mbr_lstm_args *a, size_t first, size_t last)
{
    if (a->f.kind == MBR_RNN_SIGMOID && a->g.kind == MBR_RNN_TANH && a->hh.kind == MBR_RNN_TANH)
        lstm_rows(a, first, last, true);
    else
        lstm_rows(a, first, last, false);
}

MBR_INLINE void gru_rows(const mbr_gru_args *a, size_t first, size_t last, bool usual)
{
    size_t n = a->hidden;
    const vf clip = vf_set1(rnn_clip(a->clip));
    for (size_t b = first; b < last; b++) {
        ptrdiff_t row = (ptrdiff_t)b;
        const float *x = a->x + row * a->x_stride, *r = a->r + row * a->r_stride;
        const float *h_prev = a->h_prev + row * a->h_prev_stride;
        float *h = a->h + row * a->h_stride, *h2 = a->h2 ? a->h2 + row * a->h2_stride : NULL;
        for (size_t j = 0; j < n; j += MBR_VL) {
            size_t m = n - j < MBR_VL ? n - j : MBR_VL;
            vf old = vf_load_n(h_prev + j, m), inner = vf_zero();
            if (a->phase == 1 || a->linear_before_reset) {
                vf reset = vf_add(vf_load_n(x + n + j, m), vf_load_n(r + n + j, m));
                reset = rnn_gate(a->f, reset, clip, usual, MBR_RNN_SIGMOID);
                if (a->phase == 1) {
                    vf_store_n(a->reset + b * n + j, vf_mul(reset, old), m);
                    continue;
                }
                inner = reset;
            }
            vf z = vf_add(vf_load_n(x + j, m), vf_load_n(r + j, m));
            z = rnn_gate(a->f, z, clip, usual, MBR_RNN_SIGMOID);
            vf rh = vf_load_n(r + 2 * n + j, m), xh = vf_load_n(x + 2 * n + j, m);
            vf y = a->linear_before_reset ? vf_fma(inner, rh, xh) : vf_add(xh, rh);
            y = rnn_gate(a->g, y, clip, usual, MBR_RNN_TANH);
            y = vf_fma(z, vf_sub(old, y), y);
            vf_store_n(h + j, y, m);
            if (h2)
                vf_store_n(h2 + j, y, m);
        }
    }
}

void MBR_GRU_NAME(const mbr_gru_args *a, size_t first, size_t last)
{
    if (a->f.kind == MBR_RNN_SIGMOID && a->g.kind == MBR_RNN_TANH)
        gru_rows(a, first, last, true);
    else
        gru_rows(a, first, last, false);
}

void MBR_RNN_NAME(const mbr_rnn_args *a, size_t first, size_t last)
{
    const vf clip = vf_set1(rnn_clip(a->clip));
    for (size_t b = first; b < last; b++) {
        ptrdiff_t row = (ptrdiff_t)b;
        const float *x = a->gates + row * a->gates_stride;
        float *h = a->h + row * a->h_stride, *h2 = a->h2 ? a->h2 + row * a->h2_stride : NULL;
        for (size_t j = 0; j < a->hidden; j += MBR_VL) {
            size_t m = a->hidden - j < MBR_VL ? a->hidden - j : MBR_VL;
            vf y = rnn_gate(a->f, vf_load_n(x + j, m), clip, false, MBR_RNN_TANH);
            vf_store_n(h + j, y, m);
            if (h2)
                vf_store_n(h2 + j, y, m);
        }
    }
}
