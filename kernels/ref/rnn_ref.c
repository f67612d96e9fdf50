/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/rnn.h"

#include "kernels/ref/scalar.h"

#include <math.h>
#include <string.h>

mbr_rnn_function mbr_rnn_function_default(mbr_rnn_activation kind)
{
    switch (kind) {
    case MBR_RNN_LEAKY_RELU:
        return (mbr_rnn_function){kind, 0.01f, 0.0f};
    case MBR_RNN_HARD_SIGMOID:
        return (mbr_rnn_function){kind, 0.2f, 0.5f};
    case MBR_RNN_THRESHOLDED_RELU:
    case MBR_RNN_ELU:
        return (mbr_rnn_function){kind, 1.0f, 0.0f};
    case MBR_RNN_AFFINE:
        return (mbr_rnn_function){kind, 1.0f, 0.0f};
    case MBR_RNN_SCALED_TANH:
        return (mbr_rnn_function){kind, 1.0f, 1.0f};
    default:
        return (mbr_rnn_function){kind, 0.0f, 0.0f};
    }
}

static double act(mbr_rnn_function f, double x)
{
    double a = (double)f.alpha, b = (double)f.beta;
    switch (f.kind) {
    case MBR_RNN_SIGMOID: return mbr_scalar_sigmoid(x);
    case MBR_RNN_TANH: return tanh(x);
    case MBR_RNN_RELU: return x < 0.0 ? 0.0 : x;
    case MBR_RNN_AFFINE: return a * x + b;
    case MBR_RNN_LEAKY_RELU: return x < 0.0 ? a * x : x;
    case MBR_RNN_THRESHOLDED_RELU: return x > a ? x : 0.0;
    case MBR_RNN_SCALED_TANH: return a * tanh(b * x);
    case MBR_RNN_HARD_SIGMOID: return mbr_scalar_hard_sigmoid(x, a, b);
    case MBR_RNN_ELU: return x < 0.0 ? a * expm1(x) : x;
    case MBR_RNN_SOFTSIGN: return x / (1.0 + fabs(x));
    case MBR_RNN_SOFTPLUS: return mbr_scalar_softplus(x);
    }
    return x;
}

static double gate(mbr_rnn_function f, double x, float clip)
{
    return act(f, clip > 0.0f ? mbr_scalar_clip(x, -(double)clip, (double)clip) : x);
}

void mbr_lstm_ref(const mbr_lstm_args *a, size_t first, size_t last)
{
    size_t n = a->hidden;
    for (size_t r = first; r < last; r++) {
        ptrdiff_t row = (ptrdiff_t)r;
        const float *x = a->gates + row * a->gates_stride, *c_prev = a->c_prev + row * a->c_prev_stride;
        float *c = a->c + row * a->c_stride, *h = a->h + row * a->h_stride;
        for (size_t j = 0; j < n; j++) {
            double old = (double)c_prev[j], pi = 0.0, po = 0.0, pf = 0.0;
            if (a->peephole) {
                pi = (double)a->peephole[j];
                po = (double)a->peephole[n + j];
                pf = (double)a->peephole[2 * n + j];
            }
            double i = gate(a->f, (double)x[j] + pi * old, a->clip);
            double f = a->input_forget ? 1.0 - i : gate(a->f, (double)x[2 * n + j] + pf * old, a->clip);
            double now = f * old + i * gate(a->g, (double)x[3 * n + j], a->clip);
            double o = gate(a->f, (double)x[n + j] + po * now, a->clip);
            c[j] = (float)now;
            h[j] = (float)(o * act(a->hh, now));
            if (a->h2)
                a->h2[row * a->h2_stride + (ptrdiff_t)j] = h[j];
        }
    }
}

void mbr_gru_ref(const mbr_gru_args *a, size_t first, size_t last)
{
    size_t n = a->hidden;
    for (size_t b = first; b < last; b++) {
        ptrdiff_t row = (ptrdiff_t)b;
        const float *x = a->x + row * a->x_stride, *r = a->r + row * a->r_stride;
        const float *h_prev = a->h_prev + row * a->h_prev_stride;
        for (size_t j = 0; j < n; j++) {
            double old = (double)h_prev[j];
            double reset = gate(a->f, (double)x[n + j] + (double)r[n + j], a->clip);
            if (a->phase == 1) {
                a->reset[b * n + j] = (float)(reset * old);
                continue;
            }
            double z = gate(a->f, (double)x[j] + (double)r[j], a->clip);
            double inner = (a->linear_before_reset ? reset : 1.0) * (double)r[2 * n + j];
            double new_h = gate(a->g, (double)x[2 * n + j] + inner, a->clip);
            float h = (float)((1.0 - z) * new_h + z * old);
            a->h[row * a->h_stride + (ptrdiff_t)j] = h;
            if (a->h2)
                a->h2[row * a->h2_stride + (ptrdiff_t)j] = h;
        }
    }
}

void mbr_rnn_ref(const mbr_rnn_args *a, size_t first, size_t last)
{
    for (size_t b = first; b < last; b++) {
        ptrdiff_t row = (ptrdiff_t)b;
        for (size_t j = 0; j < a->hidden; j++) {
            float h = (float)gate(a->f, (double)a->gates[row * a->gates_stride + (ptrdiff_t)j], a->clip);
            a->h[row * a->h_stride + (ptrdiff_t)j] = h;
            if (a->h2)
                a->h2[row * a->h2_stride + (ptrdiff_t)j] = h;
        }
    }
}

/* sum + row of a (rows, n) matrix times v. */
static double times(double sum, const double *matrix, size_t row, size_t n, const double *v)
{
    for (size_t k = 0; k < n; k++)
        sum += matrix[row * n + k] * v[k];
    return sum;
}

static void lstm_f64(const mbr_rnn_f64_args *a, const double *x)
{
    size_t n = a->hidden;
    for (size_t j = 0; j < n; j++) {
        double old = a->c[j], now;
        const double *p = a->peephole;
        double i = gate(a->f[0], x[j] + (p ? p[j] * old : 0), a->clip);
        double f = a->input_forget ? 1 - i : gate(a->f[0], x[2 * n + j] + (p ? p[2 * n + j] * old : 0), a->clip);
        a->c[j] = now = f * old + i * gate(a->f[1], x[3 * n + j], a->clip);
        a->h[j] = gate(a->f[0], x[n + j] + (p ? p[n + j] * now : 0), a->clip) * act(a->f[2], now);
    }
}

/* x: the two gates are complete, the third lacks what comes from the state. */
static void gru_f64(const mbr_rnn_f64_args *a, double *x)
{
    size_t n = a->hidden;
    const double *bias = a->b ? a->b + 5 * n : NULL;
    double *kept = x + 3 * n;
    for (size_t j = 0; j < n; j++) {
        x[n + j] = gate(a->f[0], x[n + j], a->clip);
        kept[j] = a->linear_before_reset ? a->h[j] : x[n + j] * a->h[j];
    }
    for (size_t j = 0; j < n; j++) {
        double inner = times(bias ? bias[j] : 0, a->r, 2 * n + j, n, kept);
        x[2 * n + j] = gate(a->f[1], x[2 * n + j] + (a->linear_before_reset ? x[n + j] : 1) * inner, a->clip);
    }
    for (size_t j = 0; j < n; j++) {
        double z = gate(a->f[0], x[j], a->clip);
        a->h[j] = (1 - z) * x[2 * n + j] + z * a->h[j];
    }
}

void mbr_rnn_f64(const mbr_rnn_f64_args *a)
{
    size_t n = a->hidden, rows = a->gates * n, with_state = a->gates == 3 ? 2 * n : rows;
    double *sums = a->scratch;
    for (size_t k = 0; k < a->length; k++) {
        ptrdiff_t t = (ptrdiff_t)(a->backwards ? a->length - 1 - k : k);
        for (size_t j = 0; j < rows; j++) {
            sums[j] = times(a->b ? a->b[j] : 0, a->w, j, a->input, a->x + t * a->x_step);
            if (j < with_state)
                sums[j] = times(sums[j] + (a->b ? a->b[rows + j] : 0), a->r, j, n, a->h);
        }
        if (a->gates == 4)
            lstm_f64(a, sums);
        else if (a->gates == 3)
            gru_f64(a, sums);
        for (size_t j = 0; a->gates == 1 && j < n; j++)
            a->h[j] = gate(a->f[0], sums[j], a->clip);
        if (a->y && n)
            memcpy(a->y + t * a->y_step, a->h, n * sizeof *a->h);
    }
}
