/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/attention_any.h"

#include "kernels/real.h"

#include <math.h>

typedef struct row_at {
    size_t b, h, i;
} row_at;

/* What the mask and the limits add to the score of key j. */
static double bias_of(const mbr_attention_any_args *a, row_at r, size_t j)
{
    int64_t p = (a->offset_of_batch ? a->offset_of_batch[r.b] : a->offset) + (int64_t)r.i, key = (int64_t)j;
    if ((a->keys_of_batch && key >= a->keys_of_batch[r.b]) || (a->causal && key > p) ||
        (a->left >= 0 && key < p - a->left) || (a->right >= 0 && key > p + a->right))
        return -INFINITY;
    if (!a->mask)
        return 0;
    if (j >= a->mask_cols)
        return -INFINITY;
    ptrdiff_t at = (ptrdiff_t)r.b * a->mask_stride[0] + (ptrdiff_t)r.h * a->mask_stride[1] +
                   (ptrdiff_t)r.i * a->mask_stride[2] + (ptrdiff_t)j * a->mask_stride[3];
    double m = mbr_real_get(a->mask_dtype, a->mask, (size_t)at);
    return a->mask_dtype == MBR_DTYPE_BOOL ? (m != 0 ? 0 : -INFINITY) : m;
}

static double dot(const mbr_attention_any_args *a, size_t q, size_t k)
{
    double sum = 0;
    if (a->dtype == MBR_DTYPE_F32) {
        const float *x = (const float *)a->q + q, *y = (const float *)a->k + k;
        for (size_t c = 0; c < a->d; c++)
            sum += (double)x[c] * (double)y[c];
        return sum;
    }
    for (size_t c = 0; c < a->d; c++)
        sum += mbr_real_get(a->dtype, a->q, q + c) * mbr_real_get(a->dtype, a->k, k + c);
    return sum;
}

/* Rounds to the operands' type. */
static double rounded(const mbr_attention_any_args *a, double x)
{
    uint64_t room;
    mbr_real_set(a->dtype, &room, 0, x);
    return mbr_real_get(a->dtype, &room, 0);
}

/* The same for halves, rounded after every step: both operands times the root of the scale, summed in f32. */
static double dot_stepwise(const mbr_attention_any_args *a, size_t q, size_t k)
{
    double root = rounded(a, sqrt(a->scale));
    float sum = 0;
    for (size_t c = 0; c < a->d; c++)
        sum += (float)rounded(a, mbr_real_get(a->dtype, a->q, q + c) * root) *
               (float)rounded(a, mbr_real_get(a->dtype, a->k, k + c) * root);
    return rounded(a, (double)sum);
}

static void softmax_stepwise(const mbr_attention_any_args *a, double *s, double most)
{
    float total = 0;
    for (size_t j = 0; j < a->lk; j++) {
        s[j] = rounded(a, (double)expf((float)rounded(a, s[j] - most)));
        total += (float)s[j];
        if (a->dtype == MBR_DTYPE_BF16)
            total = (float)rounded(a, (double)total);
    }
    total = (float)rounded(a, (double)total);
    for (size_t j = 0; j < a->lk; j++)
        s[j] = total == 0 ? 0 : rounded(a, (double)((float)s[j] / total));
}

static void one_row(const mbr_attention_any_args *a, double *s, row_at r)
{
    bool steps = a->stepwise && a->lk <= MBR_ATTENTION_STEPWISE && a->scale >= 0 && !a->sink && !a->one_in_sum;
    size_t kv = r.h / (a->heads / a->kv_heads);
    size_t q = (size_t)((ptrdiff_t)r.b * a->q_stride[0] + (ptrdiff_t)r.h * a->q_stride[1] +
                        (ptrdiff_t)r.i * a->q_stride[2]);
    ptrdiff_t k = (ptrdiff_t)r.b * a->k_stride[0] + (ptrdiff_t)kv * a->k_stride[1];
    ptrdiff_t v = (ptrdiff_t)r.b * a->v_stride[0] + (ptrdiff_t)kv * a->v_stride[1];
    size_t line = ((r.b * a->heads + r.h) * a->lq + r.i) * a->lk;
    double *sums = s + a->lk, most = -INFINITY, total = 0;
    bool masked = true;
    for (size_t j = 0; j < a->lk; j++) {
        size_t key = (size_t)(k + (ptrdiff_t)j * a->k_stride[2]);
        double x = steps ? dot_stepwise(a, q, key) : a->scale * dot(a, q, key);
        if (a->scores && a->stage == MBR_ATTENTION_RAW)
            mbr_real_set(a->dtype, a->scores, line + j, x);
        if (a->softcap > 0)
            x = steps ? rounded(a, rounded(a, tanh(rounded(a, x / a->softcap))) * a->softcap)
                      : a->softcap * tanh(x / a->softcap);
        if (a->scores && a->stage == MBR_ATTENTION_CAPPED)
            mbr_real_set(a->dtype, a->scores, line + j, x);
        double bias = bias_of(a, r, j);
        masked &= bias == -INFINITY;
        x = steps ? rounded(a, x + bias) : x + bias;
        if (a->scores && a->stage == MBR_ATTENTION_BIASED)
            mbr_real_set(a->dtype, a->scores, line + j, x);
        s[j] = x;
        if (x > most || isnan(x))
            most = x;
    }
    double sink = a->sink ? mbr_real_get(a->dtype, a->sink, r.h) : 0;
    if (a->sink || a->one_in_sum) {
        most = most > sink ? most : sink;
        total = exp(sink - most);
    }
    if (most == -INFINITY)
        masked = true;
    for (size_t j = 0; j < a->lk; j++) {
        s[j] = masked ? 0 : steps && !a->wide_softmax ? s[j] : exp(s[j] - most);
        total += s[j];
    }
    if (steps && !a->wide_softmax && !masked)
        softmax_stepwise(a, s, most);
    for (size_t j = 0; j < a->lk; j++) {
        if (!steps || a->wide_softmax || masked)
            s[j] = total == 0 ? 0 : steps ? rounded(a, s[j] / total) : s[j] / total;
        if (a->scores && a->stage == MBR_ATTENTION_PROBS)
            mbr_real_set(a->dtype, a->scores, line + j, s[j]);
    }
    if (!a->out)
        return;
    for (size_t c = 0; c < a->dv; c++)
        sums[c] = 0;
    for (size_t j = 0; j < a->lk; j++) {
        size_t at = (size_t)(v + (ptrdiff_t)j * a->v_stride[2]);
        if (s[j] == 0)
            continue;
        for (size_t c = 0; c < a->dv; c++)
            sums[c] = steps ? (double)((float)sums[c] + (float)s[j] * (float)mbr_real_get(a->dtype, a->v, at + c))
                            : sums[c] + s[j] * mbr_real_get(a->dtype, a->v, at + c);
    }
    size_t out = (size_t)((ptrdiff_t)r.b * a->out_stride[0] + (ptrdiff_t)r.h * a->out_stride[1] +
                          (ptrdiff_t)r.i * a->out_stride[2]);
    for (size_t c = 0; c < a->dv; c++)
        mbr_real_set(a->dtype, a->out, out + c, sums[c]);
}

void mbr_attention_any(const mbr_attention_any_args *a, double *scratch, size_t first, size_t last)
{
    for (size_t t = first; t < last; t++) {
        row_at r = { t / a->lq / a->heads, t / a->lq % a->heads, t % a->lq };
        one_row(a, scratch, r);
    }
}
