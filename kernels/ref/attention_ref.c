/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/attention_layout.h"

#include <math.h>

static void attention_row(const mbr_attention_args *a, const attention_tile *t, size_t r, double *s)
{
    size_t keys = attention_keys_of_row(a, t, r);
    const float *q = t->q + (ptrdiff_t)r * a->q_stride[2];
    float *out = t->out + (ptrdiff_t)r * a->out_stride[2];
    double max = -(double)INFINITY, sum = 0.0;
    for (size_t j = 0; j < keys; j++) {
        const float *k = t->k + (ptrdiff_t)j * a->k_stride[2];
        double dot = 0.0;
        for (size_t i = 0; i < a->d; i++)
            dot += (double)q[i] * (double)k[i];
        dot *= (double)a->scale;
        if (a->softcap != 0.0f)
            dot = (double)a->softcap * tanh(dot / (double)a->softcap);
        if (t->mask)
            dot += (double)t->mask[(ptrdiff_t)r * a->mask_stride[2] + (ptrdiff_t)j * a->mask_stride[3]];
        s[j] = dot;
        max = dot > max || isnan(dot) ? dot : max;
        if (isnan(max))
            break;
    }
    for (size_t j = 0; j < keys && max != -(double)INFINITY; j++) {
        s[j] = isnan(max) ? max : exp(s[j] - max);
        sum += s[j];
    }
    for (size_t c = 0; c < a->dv; c++) {
        double y = 0.0;
        for (size_t j = 0; j < keys && sum != 0.0; j++)
            y += s[j] * (double)t->v[(ptrdiff_t)j * a->v_stride[2] + (ptrdiff_t)c];
        out[c] = isnan(sum) && a->clean ? 0.0f : sum == 0.0 ? a->empty : (float)(y / sum);
    }
}

void mbr_attention_ref(const mbr_attention_args *args, void *scratch, size_t first, size_t last)
{
    if (args->pack) /* it reads keys and values as they lie */
        return;
    for (size_t index = first; index < last; index++) {
        attention_tile t = attention_tile_at(args, index);
        for (size_t r = 0; r < t.rows; r++)
            attention_row(args, &t, r, scratch);
    }
}
