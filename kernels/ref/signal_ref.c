/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/signal.h"

#include "base/checked.h"
#include "kernels/real.h"
#include "kernels/ref/dft_f32.h"

#include <math.h>
#include <string.h>

#define PI 3.14159265358979323846

typedef struct pair {
    double re, im;
} pair;

/* Scratch: twiddles (n), input (n), output (n), the points of one butterfly (n). */

size_t mbr_dft_scratch(size_t n)
{
    size_t bytes;
    return mbr_mul_size(n, 4 * sizeof(pair), &bytes) ? bytes : 0;
}

static bool in_single(const mbr_dft_args *a)
{
    return a->single && a->dtype == MBR_DTYPE_F32 && a->in_complex && !a->half && mbr_dft_f32_fits(a->n);
}

void mbr_dft_init(const mbr_dft_args *a, void *scratch)
{
    if (in_single(a)) {
        mbr_dft_f32_init(a->n, a->inverse, scratch);
        return;
    }
    pair *w = scratch;
    double sign = a->inverse ? 2 * PI : -2 * PI;
    for (size_t i = 0; i < a->n; i++) {
        double angle = sign * (double)i / (double)a->n;
        w[i] = (pair){ cos(angle), sin(angle) };
    }
}

static size_t smallest_factor(size_t n)
{
    if (n % 2 == 0)
        return 2;
    for (size_t p = 3; p <= n / p; p += 2)
        if (n % p == 0)
            return p;
    return n;
}

/* out[0 .. n-1] = the transform of in[0], in[step], ...; w holds the roots of unity of order n * step. */
static void transform(const pair *w, size_t total, const pair *in, size_t step, pair *out, size_t n, pair *points)
{
    if (n == 1) {
        out[0] = in[0];
        return;
    }
    size_t p = smallest_factor(n), m = n / p;
    for (size_t r = 0; r < p; r++)
        transform(w, total, in + r * step, step * p, out + r * m, m, points);
    for (size_t k = 0; k < m; k++) {
        for (size_t r = 0; r < p; r++) {
            pair x = out[r * m + k], t = w[r * k * step % total];
            points[r] = (pair){ x.re * t.re - x.im * t.im, x.re * t.im + x.im * t.re };
        }
        for (size_t q = 0; q < p; q++) {
            pair sum = points[0];
            for (size_t r = 1; r < p; r++) {
                pair t = w[r * q % p * (total / p)];
                sum.re += points[r].re * t.re - points[r].im * t.im;
                sum.im += points[r].re * t.im + points[r].im * t.re;
            }
            out[q * m + k] = sum;
        }
    }
}

/* Scratch: roots (2 n), and two buffers (n). */
static void dft_single(const mbr_dft_args *a, void *scratch, const float *in, float *out)
{
    mbr_cf32 *roots = scratch, *x = roots + 2 * a->n, *y = x + a->n;
    for (size_t i = 0; i < a->n; i++) {
        mbr_cf32 v = { 0, 0 };
        if (i < a->in_count) {
            const float *from = in + (ptrdiff_t)i * a->in_stride * 2;
            double s = a->window ? mbr_real_get(a->window_dtype, a->window, i) : 1;
            v = (mbr_cf32){ (float)(from[0] * s), (float)(from[1] * s) };
        }
        x[i] = v;
    }
    const mbr_cf32 *done = mbr_dft_f32(a->n, a->inverse, roots, x, y);
    const float scale = a->inverse ? (float)(1 / (double)a->n) : 1;
    for (size_t k = 0; k < a->bins; k++) {
        float *to = out + (ptrdiff_t)k * a->out_stride * (a->out_complex ? 2 : 1);
        to[0] = done[k].re * scale;
        if (a->out_complex)
            to[1] = done[k].im * scale;
    }
}

void mbr_dft(const mbr_dft_args *a, void *scratch, const void *in, void *out)
{
    if (in_single(a)) {
        dft_single(a, scratch, in, out);
        return;
    }
    pair *w = scratch, *x = w + a->n, *y = x + a->n, *points = y + a->n;
    size_t given = a->half ? a->n / 2 + 1 : a->n;
    for (size_t i = 0; i < a->n; i++) {
        pair v = { 0, 0 };
        if (i < a->in_count && i < given) {
            size_t at = (size_t)((ptrdiff_t)i * a->in_stride) * (a->in_complex ? 2 : 1);
            v.re = mbr_real_get(a->dtype, in, at);
            v.im = a->in_complex ? mbr_real_get(a->dtype, in, at + 1) : 0;
            if (a->window) {
                double s = mbr_real_get(a->window_dtype, a->window, i);
                v.re *= s;
                v.im *= s;
            }
        }
        x[i] = v;
    }
    for (size_t i = given; i < a->n; i++)
        x[i] = (pair){ x[a->n - i].re, -x[a->n - i].im };
    if (a->half) { /* of these two only the real part counts */
        x[0].im = 0;
        if (a->n % 2 == 0)
            x[a->n / 2].im = 0;
    }
    transform(w, a->n, x, 1, y, a->n, points);
    double scale = a->inverse ? 1 / (double)a->n : 1;
    for (size_t k = 0; k < a->bins; k++) {
        size_t at = (size_t)((ptrdiff_t)k * a->out_stride) * (a->out_complex ? 2 : 1);
        mbr_real_set(a->dtype, out, at, y[k].re * scale);
        if (a->out_complex)
            mbr_real_set(a->dtype, out, at + 1, y[k].im * scale);
    }
}

void mbr_taper_fill(mbr_taper kind, mbr_dtype dtype, bool periodic, size_t n, void *out)
{
    double period = (double)n - (periodic ? 0 : 1);
    for (size_t i = 0; i < n; i++) {
        double t = 2 * PI * (double)i / period, x;
        if (kind == MBR_TAPER_HANN)
            x = 0.5 - 0.5 * cos(t);
        else if (kind == MBR_TAPER_HAMMING)
            x = 25.0 / 46 - 21.0 / 46 * cos(t);
        else
            x = 0.42 - 0.5 * cos(t) + 0.08 * cos(2 * t);
        mbr_real_set(dtype, out, i, x);
    }
}

static int64_t mel_edge(int64_t i, int64_t bins, int64_t dft_length, int64_t sample_rate, double low, double high)
{
    double low_mel = 2595 * log10(1 + low / 700), high_mel = 2595 * log10(1 + high / 700);
    double mel = (double)i * (high_mel - low_mel) / (double)(bins + 2) + low_mel;
    double hertz = 700 * (pow(10, mel / 2595) - 1);
    double bin = floor((double)(dft_length + 1) * hertz / (double)sample_rate);
    return bin >= 0 && bin <= (double)(dft_length / 2) ? (int64_t)bin : -1;
}

bool mbr_mel_weights(mbr_dtype dtype, int64_t bins, int64_t dft_length, int64_t sample_rate, double low, double high,
                     void *out)
{
    if (sample_rate < 1 || !(low >= 0) || !(high >= low))
        return false;
    size_t cols = (size_t)bins;
    memset(out, 0, (size_t)(dft_length / 2 + 1) * cols * mbr_dtype_size(dtype));
    for (int64_t i = 0; i < bins; i++) {
        int64_t left = mel_edge(i, bins, dft_length, sample_rate, low, high);
        int64_t top = mel_edge(i + 1, bins, dft_length, sample_rate, low, high);
        int64_t right = mel_edge(i + 2, bins, dft_length, sample_rate, low, high);
        if (left < 0 || top < 0 || right < 0)
            return false;
        if (left == top)
            mbr_real_set(dtype, out, (size_t)top * cols + (size_t)i, 1);
        for (int64_t j = left; left != top && j <= top; j++)
            mbr_real_set(dtype, out, (size_t)j * cols + (size_t)i, (double)(j - left) / (double)(top - left));
        for (int64_t j = top; j < right; j++)
            mbr_real_set(dtype, out, (size_t)j * cols + (size_t)i, (double)(right - j) / (double)(right - top));
    }
    return true;
}
