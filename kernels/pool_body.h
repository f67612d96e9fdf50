/* SPDX-License-Identifier: BSD-2-Clause */
/* Pooling of f32 on vectors of channels. A file includes a vec_*.h, defines MBR_POOL_NAME and includes this. */
#include "kernels/pool.h"
#include "kernels/simd/math_nn.h"

#include <math.h>

/* The taps of a window along one dimension that lie inside the input, and how many lie in the padded input. */
typedef struct pool_span {
    size_t first; /* input position of the first */
    size_t count, padded;
} pool_span;

static inline pool_span pool_span_of(const mbr_pool_args *a, int d, size_t o)
{
    ptrdiff_t start = (ptrdiff_t)(o * a->stride[d]) - (ptrdiff_t)a->pad_begin[d];
    ptrdiff_t step = (ptrdiff_t)a->dilation[d], size = (ptrdiff_t)a->in_dims[d], taps = (ptrdiff_t)a->kernel[d];
    ptrdiff_t skip = start < 0 ? (step - 1 - start) / step : 0;
    ptrdiff_t inside = start < size ? (size - start + step - 1) / step : 0;
    ptrdiff_t limit = size + (ptrdiff_t)a->pad_end[d], padded = start < limit ? (limit - start + step - 1) / step : 0;
    inside = inside < taps ? inside : taps;
    padded = padded < taps ? padded : taps;
    pool_span s = {(size_t)(start + skip * step), inside > skip ? (size_t)(inside - skip) : 0, (size_t)padded};
    return s;
}

#define POOL_GROUP 4

/* `vectors` vectors of channels of one window; the last one has `lanes` lanes when partial. */
MBR_INLINE void pool_window(const mbr_pool_args *a, const float *in, float *out, const pool_span *s, float scale,
                            bool max, int vectors, bool partial, size_t lanes)
{
    size_t c = a->channels, line = a->in_dims[2] * c, plane = a->in_dims[1] * line;
    const bool pass = max && a->pass_nan;
    vf acc[POOL_GROUP];
    for (int v = 0; v < vectors; v++)
        acc[v] = max ? vf_set1(-INFINITY) : vf_zero();
    if (max && s[0].count && s[1].count && s[2].count) {
        const float *p = in + s[0].first * plane + s[1].first * line + s[2].first * c;
        for (int v = 0; v < vectors; v++)
            acc[v] = partial ? vf_load_n(p + v * MBR_VL, lanes) : vf_load(p + v * MBR_VL);
    }
    for (size_t z = 0; z < s[0].count; z++)
        for (size_t y = 0; y < s[1].count; y++) {
            const float *p = in + (s[0].first + z * a->dilation[0]) * plane + (s[1].first + y * a->dilation[1]) * line +
                             s[2].first * c;
            for (size_t x = 0; x < s[2].count; x++, p += a->dilation[2] * c)
                for (int v = 0; v < vectors; v++) {
                    vf t = partial ? vf_load_n(p + v * MBR_VL, lanes) : vf_load(p + v * MBR_VL);
                    if (pass)
                        acc[v] = vf_select(vf_is_nan(acc[v]), t, acc[v]);
                    acc[v] = max ? vf_max(t, acc[v]) : vf_add(acc[v], t);
                }
        }
    for (int v = 0; v < vectors; v++) {
        vf r = max ? acc[v] : vf_mul(acc[v], vf_set1(scale));
        if (partial)
            vf_store_n(out + v * MBR_VL, r, lanes);
        else
            vf_store(out + v * MBR_VL, r);
    }
}

MBR_INLINE void pool_channels(const mbr_pool_args *a, const float *in, float *out, const pool_span *s, float scale,
                              bool max)
{
    size_t c = 0, n = a->channels;
    for (; c + POOL_GROUP * MBR_VL <= n; c += POOL_GROUP * MBR_VL)
        pool_window(a, in + c, out + c, s, scale, max, POOL_GROUP, false, 0);
    for (; c + MBR_VL <= n; c += MBR_VL)
        pool_window(a, in + c, out + c, s, scale, max, 1, false, 0);
    if (c < n)
        pool_window(a, in + c, out + c, s, scale, max, 1, true, n - c);
}

static float pool_scale(const mbr_pool_args *a, const pool_span *s)
{
    size_t inside = s[0].count * s[1].count * s[2].count, padded = s[0].padded * s[1].padded * s[2].padded;
    size_t count = a->count_include_pad ? padded : inside;
    return count ? 1.0f / (float)count : 0.0f;
}

static void pool_last(const mbr_pool_args *a, size_t first, size_t last)
{
    const size_t *out = a->out_dims;
    size_t image = a->in_dims[0] * a->in_dims[1] * a->in_dims[2] * a->channels;
    for (size_t t = first; t < last; t++) {
        const float *in = (const float *)a->in + t / (out[0] * out[1]) * image;
        float *dst = (float *)a->out + t * out[2] * a->channels;
        pool_span s[3] = {pool_span_of(a, 0, t / out[1] % out[0]), pool_span_of(a, 1, t % out[1]), {0, 0, 0}};
        for (size_t x = 0; x < out[2]; x++, dst += a->channels) {
            s[2] = pool_span_of(a, 2, x);
            if (a->op == MBR_POOL_MAX)
                pool_channels(a, in, dst, s, 0.0f, true);
            else
                pool_channels(a, in, dst, s, pool_scale(a, s), false);
        }
    }
}

/* (n, c, d, h, w): one window after the other. */
static void pool_planes(const mbr_pool_args *a, size_t first, size_t last)
{
    const size_t *out = a->out_dims, *size = a->in_dims;
    for (size_t t = first; t < last; t++) {
        const float *in = (const float *)a->in + t * size[0] * size[1] * size[2];
        float *dst = (float *)a->out + t * out[0] * out[1] * out[2];
        for (size_t o = 0; o < out[0] * out[1]; o++) {
            pool_span s[3] = {pool_span_of(a, 0, o / out[1]), pool_span_of(a, 1, o % out[1]), {0, 0, 0}};
            for (size_t x = 0; x < out[2]; x++) {
                s[2] = pool_span_of(a, 2, x);
                float max = -INFINITY, sum = 0.0f;
                bool first_point = true;
                for (size_t i = 0; i < s[0].count; i++)
                    for (size_t j = 0; j < s[1].count; j++) {
                        const float *p = in + s[2].first + size[2] * (s[1].first + j * a->dilation[1] +
                                                                     size[1] * (s[0].first + i * a->dilation[0]));
                        for (size_t k = 0; k < s[2].count; k++, p += a->dilation[2]) {
                            max = first_point || *p > max || (a->pass_nan && max != max) ? *p : max;
                            first_point = false;
                            sum += *p;
                        }
                    }
                *dst++ = a->op == MBR_POOL_MAX ? max : sum * pool_scale(a, s);
            }
        }
    }
}

void MBR_POOL_NAME(const mbr_pool_args *a, size_t first, size_t last)
{
    if (a->dtype != MBR_DTYPE_F32 || a->op == MBR_POOL_LP || a->indices)
        mbr_pool_ref(a, first, last);
    else if (a->channels_last)
        pool_last(a, first, last);
    else
        pool_planes(a, first, last);
}
