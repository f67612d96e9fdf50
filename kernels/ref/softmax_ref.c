/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/softmax.h"

#include <math.h>

/* One line of `axis` elements, `step` apart. */
static void softmax_line(const float *in, float *out, size_t axis, size_t step, bool log_of)
{
    double max = -(double)INFINITY, sum = 0.0;
    for (size_t k = 0; k < axis; k++) {
        double x = (double)in[k * step];
        max = x > max || isnan(x) ? x : max;
        if (isnan(max))
            break;
    }
    for (size_t k = 0; k < axis; k++)
        sum += exp((double)in[k * step] - max);
    double log_sum = log(sum);
    for (size_t k = 0; k < axis; k++) {
        double x = (double)in[k * step] - max;
        out[k * step] = (float)(log_of ? x - log_sum : exp(x) / sum);
    }
}

void mbr_softmax_ref(const mbr_softmax_args *args, size_t first, size_t last)
{
    size_t strips = args->inner == 1 ? 1 : mbr_softmax_tiles(args) / args->outer;
    for (size_t t = first; t < last; t++) {
        size_t row = t / strips, from = t % strips * MBR_SOFTMAX_STRIP;
        size_t end = args->inner - from < MBR_SOFTMAX_STRIP ? args->inner : from + MBR_SOFTMAX_STRIP;
        for (size_t i = from; i < end; i++) {
            size_t at = row * args->axis * args->inner + i;
            softmax_line(args->in + at, args->out + at, args->axis, args->inner, args->log);
        }
    }
}
