/* SPDX-License-Identifier: BSD-2-Clause */
/* Convolution as its definition says, summed in double precision. Packed, the weights are as they were. A tile is one
 * output row. */
#include "kernels/conv.h"

#include "base/checked.h"
#include "kernels/ref/act_ref.h"

#include <string.h>

static size_t taps_of(const mbr_conv_args *a)
{
    return a->kernel[0] * a->kernel[1] * a->kernel[2];
}

static bool fits(const mbr_conv_args *a)
{
    (void)a;
    return true;
}

static size_t pack_size(const mbr_conv_args *a)
{
    size_t bytes;
    return mbr_mul_size(a->filters, a->channels / a->groups, &bytes) && mbr_mul_size(bytes, taps_of(a), &bytes) &&
                   mbr_mul_size(bytes, sizeof(float), &bytes) && mbr_round_up(bytes, 64, &bytes)
               ? bytes
               : 0;
}

/* A unit is a filter, or transposed a channel. */
static size_t pack_units(const mbr_conv_args *a)
{
    return a->transposed ? a->channels : a->filters;
}

static void pack(const mbr_conv_args *a, const float *weights, float *packed, size_t first, size_t last)
{
    size_t each = (a->transposed ? a->filters : a->channels) / a->groups * taps_of(a);
    memcpy(packed + first * each, weights + first * each, (last - first) * each * sizeof(float));
}

static size_t scratch_size(const mbr_conv_args *a)
{
    (void)a;
    return 0;
}

static size_t tiles(const mbr_conv_args *a)
{
    return a->n * a->out[0] * a->out[1];
}

/* The input point that tap t of output point q reads in dimension d; false when there is none. */
static bool source(const mbr_conv_args *a, int d, size_t q, size_t t, size_t *at)
{
    ptrdiff_t p = a->transposed ? (ptrdiff_t)q + a->pad[d] - (ptrdiff_t)(t * a->dilation[d])
                                : (ptrdiff_t)(q * a->stride[d] + t * a->dilation[d]) - a->pad[d];
    if (a->transposed) {
        if (p % (ptrdiff_t)a->stride[d])
            return false;
        p /= (ptrdiff_t)a->stride[d];
    }
    *at = (size_t)p;
    return p >= 0 && p < (ptrdiff_t)a->in[d];
}

static double sum_at(const mbr_conv_args *a, size_t b, const size_t q[3], size_t o)
{
    size_t cg = a->channels / a->groups, og = a->filters / a->groups, group = o / og, taps = taps_of(a), s[3];
    double sum = 0;
    for (size_t t = 0; t < taps; t++) {
        if (!source(a, 0, q[0], t / (a->kernel[1] * a->kernel[2]), &s[0]) ||
            !source(a, 1, q[1], t / a->kernel[2] % a->kernel[1], &s[1]) || !source(a, 2, q[2], t % a->kernel[2], &s[2]))
            continue;
        size_t plane = a->in[0] * a->in[1] * a->in[2], point = (s[0] * a->in[1] + s[1]) * a->in[2] + s[2];
        for (size_t i = 0; i < cg; i++) {
            size_t c = group * cg + i;
            float x = a->x_planes ? a->x[(b * a->channels + c) * plane + point]
                                  : a->x[(ptrdiff_t)(b * plane + point) * a->ldx + (ptrdiff_t)c];
            sum += (double)x * (a->transposed ? a->w[(c * og + o % og) * taps + t] : a->w[(o * cg + i) * taps + t]);
        }
    }
    return sum;
}

static void run(const mbr_conv_args *a, void *scratch, size_t first, size_t last)
{
    const mbr_gemm_epilogue *e = &a->epilogue;
    (void)scratch;
    for (size_t tile = first; tile < last; tile++)
        for (size_t w = 0; w < a->out[2]; w++)
            for (size_t o = 0; o < a->filters; o++) {
                size_t q[3] = {tile / a->out[1] % a->out[0], tile % a->out[1], w}, b = tile / (a->out[0] * a->out[1]);
                ptrdiff_t point = (ptrdiff_t)(tile * a->out[2] + w);
                float other = e->other_is ? e->other[point * e->ld_other + (ptrdiff_t)o] : 0;
                double sum = sum_at(a, b, q, o);
                if (e->bias)
                    sum += e->bias[o];
                if (e->other_is == MBR_GEMM_OTHER_ADD)
                    sum += other;
                sum = mbr_act_ref(sum, e->act);
                if (e->other_is == MBR_GEMM_OTHER_ADD_AFTER)
                    sum += other;
                else if (e->other_is == MBR_GEMM_OTHER_MUL_AFTER)
                    sum *= other;
                a->y[point * a->ldy + (ptrdiff_t)o] = (float)sum;
            }
}

const mbr_conv_f32_kernel mbr_conv_f32_ref = {
    "conv_f32_ref", MBR_TIER_BASE, true, fits, pack_size, pack_units, pack, scratch_size, tiles, run,
};
