/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/pool.h"

#include "kernels/real.h"
#include "kernels/ref/element.h"
#include "kernels/ref/scalar.h"

#include <math.h>

size_t mbr_pool_tiles(const mbr_pool_args *args)
{
    return args->n * (args->channels_last ? args->out_dims[0] * args->out_dims[1] : args->channels);
}

static void put(const mbr_pool_args *a, size_t index, double x)
{
    mbr_element_block b;
    if (mbr_element_class_of(a->dtype) == MBR_ELEMENT_FLOAT) {
        b.f[0] = x;
    } else {
        int bits = (int)mbr_dtype_size(a->dtype) * 8;
        double least = mbr_element_class_of(a->dtype) == MBR_ELEMENT_SIGNED ? -ldexp(1.0, bits - 1) : 0.0;
        b.i[0] = x < least ? (int64_t)least : (int64_t)x;
    }
    mbr_element_store(a->dtype, (char *)a->out + index * mbr_dtype_size(a->dtype), 1, 1, &b);
}

/* Taps of output position o along dimension d: input positions that exist, and how many lie in the padded input. */
static size_t taps(const mbr_pool_args *a, int d, size_t o, size_t *first, size_t *end)
{
    ptrdiff_t start = (ptrdiff_t)(o * a->stride[d]) - (ptrdiff_t)a->pad_begin[d];
    ptrdiff_t limit = (ptrdiff_t)(a->in_dims[d] + a->pad_end[d]);
    size_t padded = 0;
    *first = a->kernel[d];
    *end = 0;
    for (size_t k = 0; k < a->kernel[d]; k++) {
        ptrdiff_t at = start + (ptrdiff_t)(k * a->dilation[d]);
        padded += at < limit;
        if (at >= 0 && at < (ptrdiff_t)a->in_dims[d]) {
            *first = *first < k ? *first : k;
            *end = k + 1;
        }
    }
    return padded;
}

/* One output: channel base and step in the input, written at out_index. */
static void pool_one(const mbr_pool_args *a, size_t n, size_t c, const size_t *o, size_t out_index)
{
    size_t first[3], end[3], padded = 1, inside = 0, best = 0;
    for (int d = 0; d < 3; d++)
        padded *= taps(a, d, o[d], &first[d], &end[d]);
    double r = a->op == MBR_POOL_MAX ? -(double)INFINITY : 0.0;
    const size_t *in = a->in_dims;
    bool found = false;
    for (size_t i = first[0]; i < end[0]; i++)
        for (size_t j = first[1]; j < end[1]; j++)
            for (size_t k = first[2]; k < end[2]; k++) {
                size_t z = o[0] * a->stride[0] + i * a->dilation[0] - a->pad_begin[0];
                size_t y = o[1] * a->stride[1] + j * a->dilation[1] - a->pad_begin[1];
                size_t x = o[2] * a->stride[2] + k * a->dilation[2] - a->pad_begin[2];
                size_t point = (z * in[1] + y) * in[2] + x, size = in[0] * in[1] * in[2];
                double v = mbr_real_get(a->dtype, a->in, a->channels_last ? (n * size + point) * a->channels + c
                                                   : (n * a->channels + c) * size + point);
                inside++;
                if (a->op == MBR_POOL_AVERAGE) {
                    r += v;
                } else if (a->op == MBR_POOL_LP) {
                    r += a->p == 1 ? fabs(v) : a->p == 2 ? v * v : pow(fabs(v), a->p);
                } else if (!found || v > r || (a->pass_nan && isnan(r))) {
                    r = v;
                    found = true;
                    best = (n * a->channels + c) * size + (a->column_major ? (x * in[1] + y) * in[0] + z : point);
                }
            }
    if (a->op == MBR_POOL_AVERAGE) {
        size_t count = a->count_include_pad ? padded : inside;
        r = count ? r / (double)count : 0.0;
    } else if (a->op == MBR_POOL_LP) {
        r = a->p == 1 ? r : a->p == 2 ? sqrt(r) : pow(r, 1.0 / a->p);
    }
    put(a, out_index, r);
    if (a->indices)
        a->indices[out_index] = (int64_t)best;
}

void mbr_pool_ref(const mbr_pool_args *a, size_t first, size_t last)
{
    size_t o[3];
    const size_t *out = a->out_dims;
    for (size_t t = first; t < last; t++) {
        if (a->channels_last) {
            size_t n = t / (out[0] * out[1]);
            o[0] = t / out[1] % out[0];
            o[1] = t % out[1];
            for (o[2] = 0; o[2] < out[2]; o[2]++)
                for (size_t c = 0; c < a->channels; c++)
                    pool_one(a, n, c, o, (t * out[2] + o[2]) * a->channels + c);
        } else {
            size_t at = t * out[0] * out[1] * out[2];
            for (o[0] = 0; o[0] < out[0]; o[0]++)
                for (o[1] = 0; o[1] < out[1]; o[1]++)
                    for (o[2] = 0; o[2] < out[2]; o[2]++)
                        pool_one(a, t / a->channels, t % a->channels, o, at++);
        }
    }
}
