/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames through window, transform, mel bank and logarithm, a group of them side by side. */
#include "runtime/audio/audio_impl.h"

#include "kernels/signal.h"

#include <math.h>
#include <string.h>

#define LANES MBR_AUDIO_LANES
#define EACH_LANE for (int l = 0; l < LANES; l++)

/* Which sample of `count` stands at place t, which may lie before or behind them; -1: silence. */
static int64_t padded(mbr_padding padding, int64_t t, int64_t count)
{
    if (t >= 0 && t < count)
        return t;
    if (padding == MBR_PADDING_EDGE)
        return t < 0 ? 0 : count - 1;
    if (padding == MBR_PADDING_ZERO)
        return -1;
    if (count == 1)
        return 0;
    int64_t period = 2 * (count - 1);
    t %= period;
    t += t < 0 ? period : 0;
    return t < count ? t : period - t;
}

/* Spectra of half-length complex transforms of the even and the odd samples: the real one's. */
static const mbr_lane_pairs *transform_packed(const mbr_features *f, mbr_features_scratch *s,
                                              const float *const frames[LANES])
{
    size_t half = f->n / 2;
    const float *window = f->window;
    for (size_t k = 0; k < half; k++)
        EACH_LANE {
            s->x[k].re.v[l] = frames[l][2 * k] * window[2 * k];
            s->x[k].im.v[l] = frames[l][2 * k + 1] * window[2 * k + 1];
        }
    const mbr_lane_pairs *z = mbr_lane_fft_run(&f->fft, s->x, s->y);
    mbr_lane_pairs *restrict out = z == s->x ? s->y : s->x;
    for (size_t k = 0; k <= half / 2; k++) {
        const mbr_lane_pairs *a = &z[k], *b = &z[k ? half - k : 0];
        float wr = f->turns[2 * k], wi = f->turns[2 * k + 1];
        EACH_LANE {
            float er = 0.5f * (a->re.v[l] + b->re.v[l]), ei = 0.5f * (a->im.v[l] - b->im.v[l]);
            float or = 0.5f * (a->im.v[l] + b->im.v[l]), oi = -0.5f * (a->re.v[l] - b->re.v[l]);
            float tr = or * wr - oi * wi, ti = or * wi + oi * wr;
            out[k].re.v[l] = er + tr;
            out[k].im.v[l] = ei + ti;
            out[half - k].re.v[l] = er - tr;
            out[half - k].im.v[l] = ti - ei;
        }
    }
    return out;
}

static const mbr_lane_pairs *transform_any(const mbr_features *f, mbr_features_scratch *s,
                                           const float *const frames[LANES])
{
    mbr_dft_args a = { .dtype = MBR_DTYPE_F32, .window_dtype = MBR_DTYPE_F32, .n = f->n, .in_count = f->n,
                       .bins = f->bins_fft, .in_stride = 1, .out_stride = 1, .out_complex = true,
                       .window = f->window };
    EACH_LANE {
        mbr_dft(&a, s->dft, frames[l], s->line);
        for (size_t k = 0; k < f->bins_fft; k++) {
            s->x[k].re.v[l] = s->line[2 * k];
            s->x[k].im.v[l] = s->line[2 * k + 1];
        }
    }
    return s->x;
}

static void raise(const mbr_features *f, const mbr_lane_pairs *restrict z, mbr_lanes *restrict out, double exponent)
{
    for (size_t k = 0; k < f->bins_fft; k++)
        EACH_LANE {
            float power = z[k].re.v[l] * z[k].re.v[l] + z[k].im.v[l] * z[k].im.v[l];
            out[k].v[l] = power;
        }
    if (exponent == 2)
        return;
    for (size_t k = 0; k < f->bins_fft; k++)
        EACH_LANE out[k].v[l] = exponent == 1 ? sqrtf(out[k].v[l]) : powf(out[k].v[l], (float)exponent / 2);
}

static mbr_lanes mel_value(const mbr_mel_row *row, const mbr_lanes *restrict spectrum)
{
    mbr_lanes sum = { { 0 } };
    for (uint32_t k = 0; k < row->count; k++)
        EACH_LANE sum.v[l] += row->weights[k] * spectrum[row->first + k].v[l];
    return sum;
}

/* Missing numbers stay missing, as of numpy.maximum. */
static void logarithm(const mbr_features_options *o, mbr_lanes *x)
{
    const float least = (float)o->floor;
    if (o->log == MBR_FEATURES_LINEAR)
        return;
    EACH_LANE {
        float v = x->v[l];
        x->v[l] = o->log == MBR_FEATURES_LOG_LN_PLUS ? v + least : v < least ? least : v;
    }
    float scale = o->log == MBR_FEATURES_LOG_LN || o->log == MBR_FEATURES_LOG_LN_PLUS ? 1 : 0.43429448190325182765f;
    float shift = 0;
    if (o->log == MBR_FEATURES_LOG_DB) {
        scale *= 10;
        shift = o->reference > 0 ? (float)(10 * log10(fmax(o->floor, o->reference))) : 0;
    }
    EACH_LANE x->v[l] = scale * logf(x->v[l]) - shift;
}

static void put(const mbr_lanes *x, int count, float *out, size_t step)
{
    for (int l = 0; l < count; l++)
        out[(size_t)l * step] = x->v[l];
}

static void group(const mbr_features *f, mbr_features_scratch *s, const float *const frames[LANES], int count,
                  float *out, size_t step_bin, size_t step_frame)
{
    const mbr_features_options *o = &f->o;
    if (o->kind == MBR_FEATURES_FRAMES) {
        for (size_t b = 0; b < f->n; b++)
            for (int l = 0; l < count; l++)
                out[b * step_bin + (size_t)l * step_frame] = frames[l][b];
        return;
    }
    const mbr_lane_pairs *z = (f->packed ? transform_packed : transform_any)(f, s, frames);
    if (o->kind == MBR_FEATURES_STFT) {
        for (size_t b = 0; b < f->bins_fft; b++) {
            put(&z[b].re, count, out + b * step_bin, step_frame);
            put(&z[b].im, count, out + b * step_bin + 1, step_frame);
        }
        return;
    }
    raise(f, z, s->spectrum, o->kind == MBR_FEATURES_MAGNITUDE ? 1 : o->kind == MBR_FEATURES_POWER ? 2 : o->exponent);
    size_t rows = f->mels ? (size_t)o->mels : f->bins_fft;
    for (size_t b = 0; b < rows; b++) {
        mbr_lanes v = f->mels ? mel_value(&f->mels[b], s->spectrum) : s->spectrum[b];
        logarithm(o, &v);
        put(&v, count, out + b * step_bin, step_frame);
    }
}

void mbr_features_some(const mbr_features *f, mbr_features_scratch *s, const float *x, int64_t x_first, int64_t count,
                       int64_t first, int64_t last, float *out, size_t step_bin, size_t step_frame)
{
    int64_t n = (int64_t)f->n;
    for (int64_t k = first; k < last; k += LANES) {
        int lanes = last - k < LANES ? (int)(last - k) : LANES;
        const float *frames[LANES];
        for (int l = 0; l < LANES; l++) {
            int64_t from = (k + (l < lanes ? l : 0)) * f->o.hop - (int64_t)f->pad;
            if (l >= lanes) {
                frames[l] = frames[0];
            } else if (from >= 0 && from + n <= count) {
                frames[l] = x + (from - x_first);
            } else {
                float *to = s->frame + (size_t)l * f->n;
                for (int64_t i = 0; i < n; i++) {
                    int64_t at = padded(f->o.padding, from + i, count);
                    to[i] = at < 0 ? 0 : x[at - x_first];
                }
                frames[l] = to;
            }
        }
        group(f, s, frames, lanes, out + (size_t)(k - first) * step_frame, step_bin, step_frame);
    }
}

void mbr_features_cosines(const mbr_features *f, const float *in, size_t step_in, float *out, size_t step_out)
{
    size_t rows = (size_t)f->o.mfcc, n = (size_t)f->o.mels;
    for (size_t k = 0; k < rows; k++) {
        const float *w = f->cosines + k * n;
        float sums[4] = { 0 };
        size_t i = 0;
        for (; i + 4 <= n; i += 4)
            for (size_t j = 0; j < 4; j++)
                sums[j] += w[i + j] * in[(i + j) * step_in];
        for (; i < n; i++)
            sums[0] += w[i] * in[i * step_in];
        out[k * step_out] = (sums[0] + sums[2]) + (sums[1] + sums[3]);
    }
}
