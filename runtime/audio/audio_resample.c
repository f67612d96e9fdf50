/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Another rate. Both rates are divided by what they have in common, up / down; sample m of the result is phase m % up
 * of a windowed sinc over the samples around m * down / up. The weights of each phase are a row of a table, made in
 * double in the way of the library that is the twin, and rounded to f32. A sound that comes in pieces goes through the
 * same function, so that it makes the same bits.
 */
#include "runtime/audio/audio_impl.h"

#include "base/checked.h"

#include <math.h>
#include <string.h>

#define PI 3.14159265358979323846
/* Of the weights: a rate in a file must not cost seconds. */
#define TABLE_BYTES ((size_t)8 << 20)

/* The modified Bessel function of order 0. */
static double bessel_i0(double x)
{
    double sum = 1, term = 1, q = x * x / 4;
    for (int k = 1; term > sum * 1e-17; k++) {
        term *= q / ((double)k * k);
        sum += term;
    }
    return sum;
}

static double sinc(double x)
{
    return x == 0 ? 1 : sin(PI * x) / (PI * x);
}

static int64_t floor_div(int64_t a, int64_t b)
{
    int64_t q = a / b;
    return q - (a % b < 0);
}

/* ---- scipy.signal.resample_poly: firwin(2 half + 1, 1 / max(up, down), ("kaiser", beta)), times up ---- */

/* i0: of beta */
static double scipy_tap(int64_t i, int64_t half, int64_t most, double beta, double i0)
{
    double r = (double)(i - half) / (double)half, inside = 1 - r * r;
    return sinc((double)(i - half) / (double)most) / (double)most * bessel_i0(beta * sqrt(inside > 0 ? inside : 0)) / i0;
}

static void fill_scipy(mbr_phases *t, const mbr_resample_options *o)
{
    int64_t most = t->up > t->down ? t->up : t->down, half = 10 * most;
    double sum = 0, i0 = bessel_i0(o->beta);
    for (int64_t i = 0; i <= 2 * half; i++)
        sum += scipy_tap(i, half, most, o->beta, i0);
    for (int64_t p = 0; p < t->up; p++) {
        t->first[p] = -floor_div(half - p * t->down, t->up);
        for (int64_t k = 0; k < t->taps; k++) {
            int64_t i = p * t->down - (t->first[p] + k) * t->up + half;
            float tap = i >= 0 && i <= 2 * half ? (float)(scipy_tap(i, half, most, o->beta, i0) / sum) : 0;
            t->weights[p * t->taps + k] = tap * (float)t->up;
        }
    }
}

/* ---- torchaudio.functional.resample ---- */

static double cutoff(const mbr_phases *t, const mbr_resample_options *o)
{
    return (double)(t->up < t->down ? t->up : t->down) * o->rolloff;
}

static void fill_torchaudio(mbr_phases *t, const mbr_resample_options *o)
{
    double base = cutoff(t, o), width = o->width, i0 = bessel_i0(o->beta);
    int64_t reach = t->taps / 2 - 1;
    for (int64_t p = 0; p < t->up; p++) {
        t->first[p] = p * t->down / t->up - reach;
        for (int64_t k = 0; k < t->taps; k++) {
            double x = ((double)(t->first[p] + k) / (double)t->down - (double)p / (double)t->up) * base, window;
            if (fabs(x) >= width) {
                t->weights[p * t->taps + k] = 0;
                continue;
            }
            if (o->resampler == MBR_RESAMPLE_TORCHAUDIO)
                window = cos(x * PI / width / 2) * cos(x * PI / width / 2);
            else
                window = bessel_i0(o->beta * sqrt(1 - (x / width) * (x / width))) / i0;
            t->weights[p * t->taps + k] = (float)(sinc(x) * window * base / (double)t->down);
        }
    }
}

mbr_status mbr_phases_make(mbr_memory *memory, const mbr_resample_options *o, int rate, mbr_phases *t, mbr_error *err)
{
    *t = (mbr_phases){ .memory = memory };
    int64_t a = rate, b = o->rate;
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    t->up = o->rate / a;
    t->down = rate / a;
    if (o->resampler == MBR_RESAMPLE_SCIPY)
        t->taps = 20 * (t->up > t->down ? t->up : t->down) / t->up + 2;
    else
        t->taps = 2 * (int64_t)ceil(o->width * (double)t->down / cutoff(t, o)) + 2;
    size_t bytes, first = (size_t)t->up * sizeof *t->first;
    if (t->taps > INT32_MAX || !mbr_mul_size((size_t)t->up * sizeof(float), (size_t)t->taps, &bytes) ||
        bytes > TABLE_BYTES)
        return mbr_fail(err, MBR_ERR_LIMIT, "from %d Hz to %d Hz: the table of %lld phases is too large; go over a "
                        "rate that has more in common with both", rate, o->rate, (long long)t->up);
    t->first = mbr_alloc(memory, first + bytes);
    if (!t->first)
        return mbr_no_memory(err, first + bytes);
    t->weights = (float *)(void *)((char *)t->first + first);
    (o->resampler == MBR_RESAMPLE_SCIPY ? fill_scipy : fill_torchaudio)(t, o);
    return MBR_OK;
}

void mbr_phases_free(mbr_phases *t)
{
    mbr_free(t->memory, t->first);
    t->first = NULL;
}

/* Eight sums side by side, so that they are one of vectors. */
static float dot(const float *a, const float *b, int64_t n)
{
    float sums[8] = { 0 }, rest = 0;
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int k = 0; k < 8; k++)
            sums[k] += a[i + k] * b[i + k];
    for (; i < n; i++)
        rest += a[i] * b[i];
    return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7])) + rest;
}

int64_t mbr_phases_due(const mbr_phases *t, const mbr_resampling *at, bool ended)
{
    int64_t due = 0, phase = at->phase, base = at->base;
    if (ended) /* as many as count * up / down, rounded up */
        return base >= at->count ? 0 : ((at->count - base) * t->up - phase * t->down + t->down - 1) / t->down;
    for (; base + t->first[phase] + t->taps <= at->count; due++)
        if (++phase == t->up) {
            phase = 0;
            base += t->down;
        }
    return due;
}

void mbr_phases_some(const mbr_phases *t, mbr_resampling *at, const float *x, int64_t due, float *y)
{
    for (int64_t m = 0; m < due; m++) {
        const float *w = t->weights + at->phase * t->taps;
        int64_t from = at->base + t->first[at->phase], skip = from < 0 ? -from : 0;
        int64_t last = from + t->taps <= at->count ? t->taps : at->count - from;
        y[m] = last > skip ? dot(w + skip, x + (from + skip - at->first), last - skip) : 0;
        if (++at->phase == t->up) {
            at->phase = 0;
            at->base += t->down;
        }
    }
}

int64_t mbr_phases_forget(const mbr_phases *t, mbr_resampling *at)
{
    int64_t keep = at->base + t->first[at->phase], before = at->first;
    keep = keep < at->count ? keep : at->count;
    at->first = keep > before ? keep : before;
    return at->first - before;
}

mbr_status mbr_resample_read(mbr_resample_options *o, const mbr_resample_options *from, mbr_error *err)
{
    memset(o, 0, sizeof *o);
    if (!from || from->size < sizeof(size_t))
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_resample_options.size is not set");
    memcpy(o, from, mbr_min_size(from->size, sizeof *o));
    o->width = o->width ? o->width : 6;
    o->rolloff = o->rolloff != 0 ? o->rolloff : 0.99;
    o->beta = o->beta != 0 ? o->beta : o->resampler == MBR_RESAMPLE_SCIPY ? 5.0 : 14.769656459379492;
    if (o->rate < 1 || o->rate > MBR_AUDIO_MAX_RATE)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "a rate of %d Hz; 1 to %d are due", o->rate, MBR_AUDIO_MAX_RATE);
    if ((unsigned)o->resampler > MBR_RESAMPLE_TORCHAUDIO_KAISER || o->width < 1 || o->width > 1024 ||
        !(o->rolloff > 0.01 && o->rolloff <= 1) || !(o->beta > 0 && o->beta <= 100))
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_resample_options: no such resampler, a width beyond 1 to 1024, a "
                        "rolloff beyond 0.01 to 1, or a beta beyond 0 to 100");
    return MBR_OK;
}

mbr_status mbr_audio_resample(const mbr_audio *audio, const mbr_resample_options *options, mbr_audio **out,
                              mbr_error *err)
{
    mbr_resample_options o;
    mbr_phases t;
    *out = NULL;
    MBR_TRY(mbr_resample_read(&o, options, err));
    if (o.rate == audio->rate)
        return mbr_audio_cut(audio, 0, audio->frames, out, err);
    MBR_TRY(mbr_phases_make(audio->memory, &o, audio->rate, &t, err));
    size_t product, count = 0;
    mbr_status st = MBR_OK;
    if (mbr_mul_size(audio->frames, (size_t)t.up, &product) && product <= INT64_MAX / 2)
        count = (product + (size_t)t.down - 1) / (size_t)t.down;
    else
        st = mbr_no_memory(err, SIZE_MAX);
    if (st == MBR_OK)
        st = mbr_audio_make(audio->env, audio->channels, count, o.rate, out, err);
    for (size_t c = 0; st == MBR_OK && c < (size_t)audio->channels; c++) {
        mbr_resampling at = { .count = (int64_t)audio->frames };
        mbr_phases_some(&t, &at, audio->samples + c * audio->frames, (int64_t)count, (*out)->samples + c * count);
    }
    mbr_phases_free(&t);
    return st;
}
