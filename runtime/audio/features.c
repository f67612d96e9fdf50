/* SPDX-License-Identifier: BSD-2-Clause */
/* Features: options checked, tables made, and what looks at the whole sound. */
#include "runtime/audio/audio_impl.h"

#include "base/checked.h"
#include "kernels/signal.h"

#include <math.h>
#include <string.h>

#define PI 3.14159265358979323846

/* ---- options ---- */

static bool is_mel(const mbr_features_options *o)
{
    return o->kind == MBR_FEATURES_MEL || o->kind == MBR_FEATURES_MFCC;
}

static void fill_defaults(mbr_features_options *o)
{
    o->rate = o->rate ? o->rate : 22050;
    o->n_fft = o->n_fft ? o->n_fft : 2048;
    o->win = o->win ? o->win : o->n_fft;
    o->hop = o->hop ? o->hop : o->win / 4 > 0 ? o->win / 4 : 1;
    o->exponent = o->exponent != 0 ? o->exponent : 2;
    o->mels = o->mels ? o->mels : 128;
    o->high = o->high != 0 ? o->high : o->rate / 2.0;
    if (o->kind == MBR_FEATURES_MFCC && o->log == MBR_FEATURES_LINEAR)
        o->log = MBR_FEATURES_LOG_DB;
    o->floor = o->floor != 0 ? o->floor : 1e-10;
    o->reference = o->reference != 0 ? o->reference : 1;
    o->top_db = o->top_db != 0 ? o->top_db : 80;
    o->mfcc = o->mfcc ? o->mfcc : 20;
}

static const char *wrong(const mbr_features_options *o)
{
    if ((unsigned)o->kind > MBR_FEATURES_MFCC || (unsigned)o->window > MBR_WINDOW_ONES ||
        (unsigned)o->padding > MBR_PADDING_NONE || (unsigned)o->log > MBR_FEATURES_LOG_WHISPER ||
        (unsigned)o->scale > MBR_MEL_HTK || (unsigned)o->norm > MBR_MEL_NORM_NONE)
        return "kind, window, padding, log, scale or norm is none that there is";
    if (o->rate < 1 || o->rate > MBR_AUDIO_MAX_RATE)
        return "rate must be 1 to 768000 Hz";
    if (o->n_fft < 2 || o->n_fft > 65536)
        return "n_fft must be 2 to 65536";
    if (o->win < 1 || o->win > o->n_fft)
        return "win must be 1 to n_fft";
    if (o->hop < 1 || o->hop > 1 << 20)
        return "hop must be 1 to 1048576";
    if (is_mel(o) && (o->mels < 1 || o->mels > 1024))
        return "mels must be 1 to 1024";
    if (is_mel(o) && !(o->low >= 0 && o->low < o->high && o->high <= o->rate / 2.0))
        return "low and high must ascend from 0 to half the rate";
    if (!(o->exponent > 0 && o->exponent <= 8))
        return "exponent must be above 0, and 8 at most";
    if (!(o->floor > 0 && isfinite(o->floor)))
        return "floor must be above 0";
    if (!((o->reference > 0 && isfinite(o->reference)) || o->reference == -1))
        return "reference must be above 0, or -1";
    if (!((o->top_db > 0 && isfinite(o->top_db)) || o->top_db == -1))
        return "top_db must be above 0, or -1";
    if (o->log != MBR_FEATURES_LINEAR && (o->kind == MBR_FEATURES_FRAMES || o->kind == MBR_FEATURES_STFT))
        return "log has no meaning for frames and for an STFT";
    if (o->kind == MBR_FEATURES_MFCC && (o->mfcc < 1 || o->mfcc > o->mels))
        return "mfcc must be 1 to mels";
    if (!(o->lifter >= 0 && isfinite(o->lifter)))
        return "lifter must not be below 0";
    return NULL;
}

/* ---- tables ---- */

static double window_at(mbr_window window, double t)
{
    switch (window) {
    case MBR_WINDOW_HANN: return 0.5 - 0.5 * cos(t);
    case MBR_WINDOW_HAMMING: return 0.54 - 0.46 * cos(t);
    case MBR_WINDOW_BLACKMAN: return 0.42 - 0.5 * cos(t) + 0.08 * cos(2 * t);
    default: return 1;
    }
}

static mbr_status make_transform(mbr_features *f, mbr_error *err)
{
    size_t n = f->n, half = n / 2, win = (size_t)f->o.win, left = (n - win) / 2;
    f->packed = n % 2 == 0 && mbr_lane_fft_fits(half);
    size_t roots = f->packed ? mbr_lane_fft_roots(half) : 0, turns = f->packed ? 2 * (half / 2 + 1) : 0;
    f->window = mbr_arena_calloc(&f->arena, n + roots + turns, sizeof(float));
    if (!f->window)
        return mbr_no_memory(err, (n + roots + turns) * sizeof(float));
    for (size_t i = 0; i < win; i++)
        f->window[left + i] = (float)window_at(f->o.window, 2 * PI * (double)i / (double)win);
    if (!f->packed)
        return MBR_OK;
    mbr_lane_fft_init(&f->fft, half, f->window + n);
    f->turns = f->window + n + roots;
    for (size_t k = 0; k < turns / 2; k++) {
        double angle = -2 * PI * (double)k / (double)n;
        f->turns[2 * k] = (float)cos(angle);
        f->turns[2 * k + 1] = (float)sin(angle);
    }
    return MBR_OK;
}

/* scipy.fft.dct(type=2, norm="ortho") as a matrix. */
static mbr_status make_cosines(mbr_features *f, mbr_error *err)
{
    size_t rows = (size_t)f->o.mfcc, n = (size_t)f->o.mels;
    f->cosines = mbr_arena_calloc(&f->arena, rows * n, sizeof(float));
    if (!f->cosines)
        return mbr_no_memory(err, rows * n * sizeof(float));
    for (size_t k = 0; k < rows; k++) {
        double scale = sqrt((k ? 2.0 : 1.0) / (double)n);
        if (f->o.lifter > 0)
            scale *= 1 + f->o.lifter / 2 * sin(PI * (double)(k + 1) / f->o.lifter);
        for (size_t i = 0; i < n; i++)
            f->cosines[k * n + i] = (float)(scale * cos(PI * (double)k * (double)(2 * i + 1) / (double)(2 * n)));
    }
    return MBR_OK;
}

mbr_status mbr_features_new(mbr_env *env, const mbr_features_options *options, mbr_features **out, mbr_error *err)
{
    mbr_features_options o;
    *out = NULL;
    if (!options || options->size < sizeof(size_t))
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_features_options.size is not set");
    memset(&o, 0, sizeof o);
    memcpy(&o, options, mbr_min_size(options->size, sizeof o));
    fill_defaults(&o);
    const char *why = wrong(&o);
    if (why)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "features of a sound: %s", why);
    mbr_memory *memory = mbr_env_heap(env);
    mbr_features *f = mbr_calloc(memory, 1, sizeof *f);
    if (!f)
        return mbr_no_memory(err, sizeof *f);
    f->env = env;
    f->memory = memory;
    f->o = o;
    f->n = (size_t)o.n_fft;
    f->bins_fft = f->n / 2 + 1;
    f->pad = o.padding == MBR_PADDING_NONE ? 0 : f->n / 2;
    f->bins = o.kind == MBR_FEATURES_FRAMES ? f->n
              : o.kind == MBR_FEATURES_MFCC ? (size_t)o.mfcc
              : o.kind == MBR_FEATURES_MEL  ? (size_t)o.mels
                                            : f->bins_fft;
    f->parts = o.kind == MBR_FEATURES_STFT ? 2 : 1;
    f->whole = o.log == MBR_FEATURES_LOG_WHISPER ||
               (o.log == MBR_FEATURES_LOG_DB && (o.top_db > 0 || o.reference < 0));
    mbr_arena_init(&f->arena, memory, 0);
    mbr_status st = o.kind == MBR_FEATURES_FRAMES ? MBR_OK : make_transform(f, err);
    if (st == MBR_OK && is_mel(&o))
        st = mbr_mel_bank(&f->arena, &o, &f->mels, err);
    if (st == MBR_OK && o.kind == MBR_FEATURES_MFCC)
        st = make_cosines(f, err);
    if (st == MBR_OK)
        *out = f;
    else
        mbr_features_release(&f);
    return st;
}

void mbr_features_release(mbr_features **features)
{
    if (!features || !*features)
        return;
    mbr_arena_destroy(&(*features)->arena);
    mbr_free((*features)->memory, *features);
    *features = NULL;
}

size_t mbr_features_bins(const mbr_features *f)
{
    return f->bins;
}

size_t mbr_features_frames(const mbr_features *f, size_t samples)
{
    size_t total;
    if (samples == 0 || samples > INT64_MAX / 4 || !mbr_add_size(samples, 2 * f->pad, &total) || total < f->n)
        return 0;
    size_t frames = 1 + (total - f->n) / (size_t)f->o.hop;
    return frames - (f->o.log == MBR_FEATURES_LOG_WHISPER);
}

/* ---- the whole sound ---- */

mbr_status mbr_features_room(const mbr_features *f, mbr_features_scratch *s, mbr_error *err)
{
    size_t frame = MBR_AUDIO_LANES * f->n * sizeof(float), pairs = f->bins_fft * sizeof *s->x;
    size_t dft = f->packed || f->o.kind == MBR_FEATURES_FRAMES ? 0 : mbr_dft_scratch(f->n);
    size_t line = 2 * f->bins_fft * sizeof(float), bytes = frame + 2 * pairs + pairs / 2 + line + dft + 2 * MBR_ALIGN;
    char *p = s->block = mbr_alloc(f->memory, bytes);
    if (!p)
        return mbr_no_memory(err, bytes);
    s->x = (mbr_lane_pairs *)(void *)p;
    s->y = s->x + f->bins_fft;
    s->spectrum = (mbr_lanes *)(void *)(s->y + f->bins_fft);
    s->frame = (float *)(void *)(s->spectrum + f->bins_fft);
    s->line = s->frame + MBR_AUDIO_LANES * f->n;
    size_t at = 0;
    mbr_round_up((size_t)((char *)s->line - p) + line, MBR_ALIGN, &at);
    s->dft = p + at;
    if (dft) {
        mbr_dft_args a = { .dtype = MBR_DTYPE_F32, .window_dtype = MBR_DTYPE_F32, .n = f->n, .in_count = f->n,
                           .bins = f->bins_fft, .in_stride = 1, .out_stride = 1, .out_complex = true };
        mbr_dft_init(&a, s->dft);
    }
    return MBR_OK;
}

/* What is relative to the largest value of all. */
static void level(const mbr_features_options *o, float *x, size_t count)
{
    float most = x[0];
    for (size_t i = 1; i < count; i++)
        most = x[i] > most ? x[i] : most;
    if (o->log == MBR_FEATURES_LOG_WHISPER) {
        float least = most - 8;
        for (size_t i = 0; i < count; i++)
            x[i] = ((x[i] < least ? least : x[i]) + 4) / 4;
        return;
    }
    float shift = o->reference < 0 ? most : 0;
    float least = o->top_db > 0 ? most - shift - (float)o->top_db : -INFINITY;
    for (size_t i = 0; i < count; i++) {
        x[i] -= shift;
        x[i] = x[i] < least ? least : x[i];
    }
}

mbr_status mbr_features_fill(const mbr_features *f, const float *samples, size_t count, float *values, size_t room,
                             mbr_error *err)
{
    size_t frames = mbr_features_frames(f, count), one = f->bins * f->parts, total;
    if (frames == 0)
        return mbr_fail(err, MBR_ERR_INPUT, "a sound of %zu samples gives no frame of %zu%s; pad it with silence", count,
                        f->n, f->o.log == MBR_FEATURES_LOG_WHISPER ? " but the last, which Whisper leaves out" : "");
    if (!mbr_mul_size(frames, one, &total) || room < total)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "room for %zu values; %zu frames of %zu are due", room, frames, one);
    mbr_features_scratch s;
    MBR_TRY(mbr_features_room(f, &s, err));
    mbr_status st = MBR_OK;
    bool mfcc = f->o.kind == MBR_FEATURES_MFCC, first = f->o.frames_first != 0;
    size_t step_bin = first ? f->parts : frames * f->parts, step_frame = first ? one : f->parts;
    if (!mfcc) {
        mbr_features_some(f, &s, samples, 0, (int64_t)count, 0, (int64_t)frames, values, step_bin, step_frame);
        if (f->whole)
            level(&f->o, values, total);
    } else {
        size_t mels = (size_t)f->o.mels, bytes = SIZE_MAX;
        float *logs = mbr_mul_size(frames, mels * sizeof *logs, &bytes) ? mbr_alloc(f->memory, bytes) : NULL;
        if (!logs) {
            st = mbr_no_memory(err, bytes);
            goto end;
        }
        mbr_features_some(f, &s, samples, 0, (int64_t)count, 0, (int64_t)frames, logs, 1, mels);
        if (f->whole)
            level(&f->o, logs, frames * mels);
        for (size_t k = 0; k < frames; k++)
            mbr_features_cosines(f, logs + k * mels, 1, values + k * step_frame, step_bin);
        mbr_free(f->memory, logs);
    }
end:
    mbr_free(f->memory, s.block);
    return st;
}

mbr_status mbr_features_run(const mbr_features *f, const float *samples, size_t count, mbr_value **out, mbr_error *err)
{
    *out = NULL;
    int64_t frames = (int64_t)mbr_features_frames(f, count), bins = (int64_t)f->bins;
    int64_t dims[] = { f->o.frames_first ? frames : bins, f->o.frames_first ? bins : frames, 2 };
    if (frames > 0)
        MBR_TRY(mbr_tensor_new(f->env, MBR_DTYPE_F32, f->parts == 2 ? 3 : 2, dims, out, err));
    mbr_status st = mbr_features_fill(f, samples, count, *out ? mbr_tensor_data(*out) : NULL,
                                      *out ? mbr_tensor_count(*out) : 0, err);
    if (st != MBR_OK)
        mbr_value_release(out);
    return st;
}

mbr_status mbr_features_audio(const mbr_features *f, const mbr_audio *audio, mbr_value **out, mbr_error *err)
{
    *out = NULL;
    if (audio->channels != 1 || audio->rate != f->o.rate)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "a sound of %d channels at %d Hz, and the features want one at %d Hz; "
                        "use mbr_audio_mono and mbr_audio_resample", audio->channels, audio->rate, f->o.rate);
    return mbr_features_run(f, audio->samples, audio->frames, out, err);
}
