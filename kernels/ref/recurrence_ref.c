/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/recurrence.h"

#include "kernels/real.h"

#include <math.h>

bool mbr_rotary(const mbr_rotary_args *a, size_t first, size_t last)
{
    for (size_t i = first; i < last; i++) {
        size_t b = i / a->tokens, t = i % a->tokens, row = i;
        if (a->positions) {
            int64_t p = a->one_position ? a->positions[0] + (int64_t)t : a->positions[i];
            if (p < 0 || (uint64_t)p >= a->rows)
                return false;
            row = (size_t)p;
        }
        for (size_t h = 0; h < a->heads; h++) {
            ptrdiff_t from = (ptrdiff_t)b * a->in_stride[0] + (ptrdiff_t)t * a->in_stride[1] +
                             (ptrdiff_t)h * a->in_stride[2];
            ptrdiff_t to = (ptrdiff_t)b * a->out_stride[0] + (ptrdiff_t)t * a->out_stride[1] +
                           (ptrdiff_t)h * a->out_stride[2];
            for (size_t k = 0; k < a->half; k++) {
                size_t x = a->interleaved ? 2 * k : k, y = a->interleaved ? 2 * k + 1 : k + a->half;
                double re = mbr_real_get(a->dtype, a->in, (size_t)from + x);
                double im = mbr_real_get(a->dtype, a->in, (size_t)from + y);
                double c = mbr_real_get(a->dtype, a->cos, row * a->half + k);
                double s = mbr_real_get(a->dtype, a->sin, row * a->half + k);
                mbr_real_set(a->dtype, a->out, (size_t)to + x, c * re - s * im);
                mbr_real_set(a->dtype, a->out, (size_t)to + y, s * re + c * im);
            }
            for (size_t k = 2 * a->half; k < a->size; k++)
                mbr_real_set(a->dtype, a->out, (size_t)to + k, mbr_real_get(a->dtype, a->in, (size_t)from + k));
        }
    }
    return true;
}

void mbr_turn(const mbr_turn_args *a, size_t first, size_t last)
{
    for (size_t row = first; row < last; row++) {
        const float *x = a->x, *c = a->cos, *s = a->sin;
        float *restrict y = a->out + row * 2 * a->half;
        size_t rest = row;
        for (int d = 2; d >= 0; d--) {
            ptrdiff_t at = (ptrdiff_t)(rest % a->dims[d]);
            rest /= a->dims[d];
            x += at * a->x_stride[d];
            c += at * a->cos_stride[d];
            s += at * a->sin_stride[d];
        }
        for (size_t k = 0; a->pairs && k < 2 * a->half; k += 2) {
            y[k] = x[k] * c[k] - x[k + 1] * s[k];
            y[k + 1] = x[k + 1] * c[k + 1] + x[k] * s[k + 1];
        }
        for (size_t k = 0, m = a->half; !a->pairs && k < a->half; k++, m++) {
            y[k] = x[k] * c[k] - x[m] * s[k];
            y[m] = x[m] * c[m] + x[k] * s[m];
        }
    }
}

/* One step of one head: decay, correction, write, read. token: index of (batch, step); h: of the key head. */
static void linear_step(const mbr_linear_attention_args *a, float *s, float *scratch, size_t token, size_t h)
{
    float *k = scratch, *v = k + a->dk, *got = v + a->dv;
    size_t at_k = (token * a->kv_heads + h) * a->dk, at_v = (token * a->kv_heads + h) * a->dv;
    for (size_t i = 0; i < a->dk; i++)
        k[i] = (float)mbr_real_get(a->dtype, a->k, at_k + i);
    for (size_t j = 0; j < a->dv; j++) {
        v[j] = (float)mbr_real_get(a->dtype, a->v, at_v + j);
        got[j] = 0;
    }
    for (size_t i = 0; i < a->dk; i++) {
        float keep = 1;
        if (a->decay)
            keep = expf((float)mbr_real_get(a->dtype, a->decay, (token * a->kv_heads + h) * a->decay_each +
                                            (a->decay_each > 1 ? i : 0)));
        for (size_t j = 0; j < a->dv; j++) {
            s[i * a->dv + j] *= keep;
            got[j] += s[i * a->dv + j] * k[i];
        }
    }
    if (a->delta) {
        float beta = (float)mbr_real_get(a->dtype, a->beta, token * a->beta_heads + (a->beta_heads > 1 ? h : 0));
        for (size_t j = 0; j < a->dv; j++)
            v[j] = beta * (v[j] - got[j]);
    }
    for (size_t i = 0; i < a->dk; i++)
        for (size_t j = 0; j < a->dv; j++)
            s[i * a->dv + j] += k[i] * v[j];
    size_t group = a->heads / a->kv_heads;
    for (size_t g = 0; g < group; g++) {
        size_t head = token * a->heads + h * group + g;
        for (size_t j = 0; j < a->dv; j++)
            got[j] = 0;
        for (size_t i = 0; i < a->dk; i++) {
            float q = (float)mbr_real_get(a->dtype, a->q, head * a->dk + i);
            for (size_t j = 0; j < a->dv; j++)
                got[j] += q * s[i * a->dv + j];
        }
        for (size_t j = 0; j < a->dv; j++)
            mbr_real_set(a->dtype, a->out, head * a->dv + j, (double)(a->scale * got[j]));
    }
}

void mbr_linear_attention(const mbr_linear_attention_args *a, float *scratch, size_t first, size_t last)
{
    for (size_t i = first; i < last; i++)
        for (size_t t = 0; t < a->steps; t++)
            linear_step(a, a->state + i * a->dk * a->dv, scratch, i / a->kv_heads * a->steps + t, i % a->kv_heads);
}

void mbr_causal_conv(const mbr_causal_conv_args *a, size_t first, size_t last)
{
    size_t past = a->taps - 1;
    for (size_t i = first; i < last; i++) {
        size_t c = i % a->channels;
        for (size_t t = 0; t < a->steps + past; t++) {
            /* what lies at t of the past followed by the input is the last tap's partner at output t - past */
            if (a->present && t >= a->steps) {
                double x = t >= past ? mbr_real_get(a->dtype, a->in, i * a->steps + t - past)
                                     : a->past ? mbr_real_get(a->dtype, a->past, i * past + t) : 0;
                mbr_real_set(a->dtype, a->present, i * past + t - a->steps, x);
            }
            if (t >= a->steps || !a->out)
                continue;
            double sum = a->bias ? mbr_real_get(a->dtype, a->bias, c) : 0;
            for (size_t k = 0; k < a->taps; k++) {
                size_t at = t + k;
                double x = at >= past ? mbr_real_get(a->dtype, a->in, i * a->steps + at - past)
                                      : a->past ? mbr_real_get(a->dtype, a->past, i * past + at) : 0;
                sum += x * mbr_real_get(a->dtype, a->weight, c * a->taps + k);
            }
            mbr_real_set(a->dtype, a->out, i * a->steps + t, a->silu ? sum / (1 + exp(-sum)) : sum);
        }
    }
}
