/* SPDX-License-Identifier: BSD-2-Clause */
/* Sounds: headers that lie, known answers, streams against the whole, and memory that runs out. The peers are in
   tests/audio_equal.py. */
#include "mbr/audio.h"

#include "base/env.h"
#include "tests/random.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mbr_env *env;
static mbr_error err;

static void begin(void)
{
    mbr_env_options options = { .size = sizeof options, .threads = 1 };
    ck_assert_int_eq(mbr_env_new(&options, &env, &err), MBR_OK);
}

static void end(void)
{
    mbr_env_release(&env);
}

/* ---- WAV ---- */

typedef struct wav {
    uint8_t bytes[512];
    size_t size;
} wav;

static void put(wav *w, uint32_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        w->bytes[w->size++] = (uint8_t)(value >> 8 * i);
}

static void tag(wav *w, const char *name)
{
    memcpy(w->bytes + w->size, name, 4);
    w->size += 4;
}

/* A header up to the length of the samples; extensible: with the longer format. */
static void head(wav *w, uint32_t coding, uint32_t channels, uint32_t rate, uint32_t bits, bool extensible)
{
    static const uint8_t tail[] = { 0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71 };
    w->size = 0;
    tag(w, "RIFF");
    put(w, 0, 4);
    tag(w, "WAVE");
    tag(w, "fmt ");
    put(w, extensible ? 40 : 16, 4);
    put(w, extensible ? 0xFFFE : coding, 2);
    put(w, channels, 2);
    put(w, rate, 4);
    put(w, rate * channels * bits / 8, 4);
    put(w, channels * bits / 8, 2);
    put(w, bits, 2);
    if (extensible) {
        put(w, 22, 2);
        put(w, bits, 2);
        put(w, 0, 4);
        put(w, coding, 2);
        memcpy(w->bytes + w->size, tail, sizeof tail);
        w->size += sizeof tail;
    }
}

static mbr_status open_wav(const wav *w, mbr_audio **out)
{
    err.text[0] = '\0';
    return mbr_audio_open_memory(env, w->bytes, w->size, "x.wav", out, &err);
}

static void holds(const wav *w, int channels, size_t frames, const float *want)
{
    mbr_audio *audio;
    mbr_audio_info info = { .size = sizeof info };
    ck_assert_msg(open_wav(w, &audio) == MBR_OK, "%s", err.text);
    mbr_audio_tell(audio, &info);
    ck_assert_int_eq(info.channels, channels);
    ck_assert_uint_eq(info.frames, frames);
    for (size_t i = 0; i < frames * (size_t)channels; i++)
        ck_assert_float_eq(info.samples[i], want[i]);
    mbr_audio_release(&audio);
    ck_assert_ptr_null(audio);
}

START_TEST(reads_every_coding)
{
    wav w;
    head(&w, 1, 2, 8000, 16, false);
    tag(&w, "LIST"); /* of an odd length: a byte follows it */
    put(&w, 3, 4);
    put(&w, 0, 4);
    tag(&w, "data");
    put(&w, 8, 4);
    put(&w, 0x80004000, 4);
    put(&w, 0x7FFF0000, 4);
    holds(&w, 2, 2, (const float[]){ 0.5f, 0, -1, 32767.0f / 32768 });
    head(&w, 1, 1, 8000, 8, true);
    tag(&w, "data");
    put(&w, 3, 4);
    put(&w, 0xC08000, 3);
    holds(&w, 1, 3, (const float[]){ -1, 0, 0.5f });
    head(&w, 1, 1, 8000, 24, false);
    tag(&w, "data");
    put(&w, 6, 4);
    put(&w, 0x800000, 3);
    put(&w, 0x400000, 3);
    holds(&w, 1, 2, (const float[]){ -1, 0.5f });
    head(&w, 1, 1, 8000, 32, false);
    tag(&w, "data");
    put(&w, 0xFFFFFFFF, 4); /* a pipe: to the end, and a part of a sample there */
    put(&w, 0x40000000, 4);
    put(&w, 0, 3);
    holds(&w, 1, 1, (const float[]){ 0.5f });
    head(&w, 3, 1, 8000, 32, true);
    tag(&w, "data");
    put(&w, 4, 4);
    put(&w, 0x3F800000, 4);
    holds(&w, 1, 1, (const float[]){ 1 });
    head(&w, 3, 1, 8000, 64, false);
    tag(&w, "data");
    put(&w, 8, 4);
    put(&w, 0, 4);
    put(&w, 0xBFE00000, 4);
    holds(&w, 1, 1, (const float[]){ -0.5f });
    head(&w, 1, 1, 8000, 16, false);
    tag(&w, "data");
    put(&w, 0, 4);
    holds(&w, 1, 0, NULL);
}
END_TEST

START_TEST(refuses_headers_that_lie)
{
    static const struct {
        uint32_t coding, channels, rate, bits;
        mbr_status status;
        const char *message;
    } cases[] = {
        { 1, 0, 8000, 16, MBR_ERR_FORMAT, "0 channels" },
        { 1, 65, 8000, 16, MBR_ERR_FORMAT, "65 channels" },
        { 1, 1, 0, 16, MBR_ERR_FORMAT, "0 Hz" },
        { 1, 1, 768001, 16, MBR_ERR_FORMAT, "768001 Hz" },
        { 1, 1, 8000, 12, MBR_ERR_UNSUPPORTED, "12 bits" },
        { 1, 1, 8000, 64, MBR_ERR_UNSUPPORTED, "64 bits" },
        { 3, 1, 8000, 16, MBR_ERR_UNSUPPORTED, "coding 3 of 16 bits" },
        { 6, 1, 8000, 8, MBR_ERR_UNSUPPORTED, "ffmpeg" },
    };
    mbr_audio *audio;
    wav w;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        head(&w, cases[i].coding, cases[i].channels, cases[i].rate, cases[i].bits, i % 2);
        tag(&w, "data");
        put(&w, 0, 4);
        ck_assert_int_eq(open_wav(&w, &audio), cases[i].status);
        ck_assert_msg(strstr(err.text, cases[i].message) && strstr(err.text, "x.wav: "), "%s", err.text);
        ck_assert_ptr_null(audio);
    }
    head(&w, 1, 1, 8000, 16, false);
    ck_assert_int_eq(open_wav(&w, &audio), MBR_ERR_FORMAT); /* no samples */
    for (size_t n = 0; n < 36; n++) { /* cut anywhere */
        wav cut = w;
        cut.size = n;
        ck_assert_int_eq(open_wav(&cut, &audio), MBR_ERR_FORMAT);
    }
    tag(&w, "data");
    put(&w, 2000000000, 4);
    ck_assert_int_eq(open_wav(&w, &audio), MBR_ERR_FORMAT);
    ck_assert_ptr_nonnull(strstr(err.text, "cut short"));
    w.size -= 4;
    put(&w, 3, 4);
    put(&w, 0, 4);
    ck_assert_int_eq(open_wav(&w, &audio), MBR_ERR_FORMAT); /* half a sample */
    head(&w, 1, 1, 8000, 16, true);
    w.bytes[50] = 7; /* another GUID */
    ck_assert_int_eq(open_wav(&w, &audio), MBR_ERR_UNSUPPORTED);
    head(&w, 1, 1, 8000, 16, false);
    memcpy(w.bytes, "RF64", 4);
    ck_assert_int_eq(open_wav(&w, &audio), MBR_ERR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(err.text, "RF64"));
    memcpy(w.bytes, "RIFX", 4);
    ck_assert_int_eq(open_wav(&w, &audio), MBR_ERR_UNSUPPORTED);
    ck_assert_int_eq(mbr_audio_open(env, "no/such.wav", &audio, &err), MBR_ERR_IO);
    ck_assert_int_eq(mbr_audio_open_pcm(env, w.bytes, 5, MBR_PCM_S16, 1, 8000, &audio, &err), MBR_ERR_FORMAT);
    ck_assert_int_eq(mbr_audio_open_pcm(env, w.bytes, 4, (mbr_pcm)6, 1, 8000, &audio, &err), MBR_ERR_ARGUMENT);
    ck_assert_int_eq(mbr_audio_open_pcm(env, w.bytes, 4, MBR_PCM_S16, 0, 8000, &audio, &err), MBR_ERR_ARGUMENT);
    ck_assert_int_eq(mbr_audio_new(env, 1, SIZE_MAX / 4, 8000, &audio, &err), MBR_ERR_NO_MEMORY);
    ck_assert_ptr_null(audio);
}
END_TEST

/* ---- steps ---- */

static mbr_audio *sound(size_t frames, int rate)
{
    mbr_audio *audio;
    mbr_audio_info info = { .size = sizeof info };
    ck_assert_int_eq(mbr_audio_new(env, 1, frames, rate, &audio, &err), MBR_OK);
    mbr_audio_tell(audio, &info);
    uint32_t state = 12345;
    for (size_t i = 0; i < frames; i++) {
        state = state * 1664525 + 1013904223;
        info.samples[i] = (float)(int32_t)state / 4294967296.0f + 0.3f * sinf((float)i * 0.05f);
    }
    return audio;
}

START_TEST(mixes_cuts_resamples)
{
    static const float both[] = { 1, 0, 0.5f, -1, -0.5f, 0.25f };
    mbr_audio *audio, *out;
    mbr_audio_info info = { .size = sizeof info };
    ck_assert_int_eq(mbr_audio_open_pcm(env, both, sizeof both, MBR_PCM_F32, 2, 8000, &audio, &err), MBR_OK);
    ck_assert_int_eq(mbr_audio_mono(audio, &out, &err), MBR_OK);
    mbr_audio_tell(out, &info);
    ck_assert_float_eq(info.samples[0], 0.5f);
    ck_assert_float_eq(info.samples[1], -0.25f);
    ck_assert_float_eq(info.samples[2], -0.125f);
    mbr_audio_release(&out);
    ck_assert_int_eq(mbr_audio_cut(audio, 2, 3, &out, &err), MBR_OK);
    mbr_audio_tell(out, &info);
    ck_assert_mem_eq(info.samples, ((const float[]){ -0.5f, 0, 0, 0.25f, 0, 0 }), 6 * sizeof(float));
    mbr_audio_release(&out);
    ck_assert_int_eq(mbr_audio_cut(audio, SIZE_MAX, 1, &out, &err), MBR_OK);
    mbr_audio_release(&out);
    mbr_audio_release(&audio);

    /* A tone stays itself, away from the ends. */
    ck_assert_int_eq(mbr_audio_new(env, 1, 4410, 44100, &audio, &err), MBR_OK);
    mbr_audio_tell(audio, &info);
    for (int i = 0; i < 4410; i++)
        info.samples[i] = sinf(0.05f * (float)i);
    for (int which = MBR_RESAMPLE_SCIPY; which <= MBR_RESAMPLE_TORCHAUDIO_KAISER; which++) {
        mbr_resample_options o = { .size = sizeof o, .rate = 16000, .resampler = (mbr_resampler)which, .width = 32 };
        ck_assert_int_eq(mbr_audio_resample(audio, &o, &out, &err), MBR_OK);
        mbr_audio_tell(out, &info);
        ck_assert_int_eq(info.rate, 16000);
        ck_assert_uint_eq(info.frames, 1600);
        for (int i = 200; i < 1400; i++)
            ck_assert_float_eq_tol(info.samples[i], sinf(0.05f * 2.75625f * (float)i), 2e-3f);
        mbr_audio_release(&out);
    }
    static const mbr_resample_options bad[] = {
        { .size = sizeof *bad }, { .size = sizeof *bad, .rate = -1 }, { .size = sizeof *bad, .rate = 768001 },
        { .size = sizeof *bad, .rate = 8000, .width = -1 }, { .size = sizeof *bad, .rate = 8000, .rolloff = 2 },
        { .size = sizeof *bad, .rate = 8000, .beta = (double)NAN }, { .size = 1, .rate = 8000 },
        { .size = sizeof *bad, .rate = 8000, .resampler = (mbr_resampler)3 },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_int_eq(mbr_audio_resample(audio, &bad[i], &out, &err), MBR_ERR_ARGUMENT);
    mbr_audio_release(&audio);
    ck_assert_int_eq(mbr_audio_new(env, 1, 10, 767999, &audio, &err), MBR_OK);
    mbr_resample_options far = { .size = sizeof far, .rate = 768000 };
    ck_assert_int_eq(mbr_audio_resample(audio, &far, &out, &err), MBR_ERR_LIMIT);
    ck_assert_ptr_null(out);
    mbr_audio_release(&audio);
}
END_TEST

/* ---- features ---- */

static mbr_features *features(const mbr_features_options *o)
{
    mbr_features *f;
    ck_assert_msg(mbr_features_new(env, o, &f, &err) == MBR_OK, "%s", err.text);
    return f;
}

START_TEST(frames_and_padding)
{
    static const float x[] = { 1, 2, 3, 4, 5 };
    static const struct {
        mbr_padding padding;
        float want[12]; /* frames of 4, every 2 */
        size_t frames;
    } cases[] = {
        { MBR_PADDING_NONE, { 1, 2, 3, 4 }, 1 },
        { MBR_PADDING_ZERO, { 0, 0, 1, 2, 1, 2, 3, 4, 3, 4, 5, 0 }, 3 },
        { MBR_PADDING_EDGE, { 1, 1, 1, 2, 1, 2, 3, 4, 3, 4, 5, 5 }, 3 },
        { MBR_PADDING_REFLECT, { 3, 2, 1, 2, 1, 2, 3, 4, 3, 4, 5, 4 }, 3 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mbr_features_options o = { .size = sizeof o, .kind = MBR_FEATURES_FRAMES, .n_fft = 4, .hop = 2,
                                   .padding = cases[i].padding, .frames_first = 1 };
        mbr_features *f = features(&o);
        mbr_value *out;
        ck_assert_uint_eq(mbr_features_frames(f, 5), cases[i].frames);
        ck_assert_int_eq(mbr_features_run(f, x, 5, &out, &err), MBR_OK);
        ck_assert_int_eq(mbr_tensor_dims(out)[0], (int64_t)cases[i].frames);
        ck_assert_mem_eq(mbr_tensor_data(out), cases[i].want, cases[i].frames * 4 * sizeof(float));
        mbr_value_release(&out);
        ck_assert_int_eq(mbr_features_run(f, x, 0, &out, &err), MBR_ERR_INPUT);
        float room[3];
        ck_assert_int_eq(mbr_features_fill(f, x, 5, room, 3, &err), MBR_ERR_ARGUMENT);
        mbr_features_release(&f);
    }
}
END_TEST

/* A whole number of periods in a frame: one bin, of half the frame's length. */
START_TEST(a_tone_is_one_bin)
{
    static const int sizes[] = { 64, 60, 48, 50, 33, 97, 2, 6, 10 };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int n = sizes[i], at = n / 4 + 1 <= n / 2 ? n / 4 + 1 : n / 2;
        mbr_features_options o = { .size = sizeof o, .kind = MBR_FEATURES_MAGNITUDE, .n_fft = n, .hop = n,
                                   .padding = MBR_PADDING_NONE, .window = MBR_WINDOW_ONES };
        mbr_features *f = features(&o);
        float x[128], y[128];
        for (int k = 0; k < n; k++)
            x[k] = (float)cos(6.283185307179586 * at * k / n);
        ck_assert_int_eq(mbr_features_fill(f, x, (size_t)n, y, 128, &err), MBR_OK);
        for (int k = 0; k <= n / 2; k++)
            ck_assert_float_eq_tol(y[k], k != at ? 0 : 2 * k == n ? (float)n : (float)n / 2, 1e-4f);
        mbr_features_release(&f);
    }
}
END_TEST

START_TEST(refuses_options)
{
    mbr_features *f;
    mbr_features_options good = { .size = sizeof good };
    static const struct {
        size_t at;
        int value;
        const char *message;
    } cases[] = {
        { offsetof(mbr_features_options, kind), 6, "kind" }, { offsetof(mbr_features_options, n_fft), 1, "n_fft" },
        { offsetof(mbr_features_options, n_fft), 65537, "n_fft" }, { offsetof(mbr_features_options, hop), -1, "hop" },
        { offsetof(mbr_features_options, win), 4096, "win" }, { offsetof(mbr_features_options, mels), -1, "mels" },
        { offsetof(mbr_features_options, mels), 1025, "mels" }, { offsetof(mbr_features_options, rate), -5, "rate" },
        { offsetof(mbr_features_options, mfcc), 129, "mfcc" }, { offsetof(mbr_features_options, log), 6, "log" },
        { offsetof(mbr_features_options, padding), 9, "padding" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mbr_features_options o = good;
        o.kind = MBR_FEATURES_MFCC;
        memcpy((char *)&o + cases[i].at, &cases[i].value, sizeof(int));
        ck_assert_int_eq(mbr_features_new(env, &o, &f, &err), MBR_ERR_ARGUMENT);
        ck_assert_msg(strstr(err.text, cases[i].message) != NULL, "%s", err.text);
        ck_assert_ptr_null(f);
    }
    static const double odd[] = { -2, (double)NAN, INFINITY };
    for (size_t i = 0; i < 3; i++) {
        mbr_features_options o = good;
        o.kind = MBR_FEATURES_MEL;
        o.floor = odd[i];
        ck_assert_int_eq(mbr_features_new(env, &o, &f, &err), MBR_ERR_ARGUMENT);
        o.floor = 0;
        o.low = odd[i];
        ck_assert_int_eq(mbr_features_new(env, &o, &f, &err), MBR_ERR_ARGUMENT);
    }
    mbr_features_options o = { .size = sizeof o, .kind = MBR_FEATURES_STFT, .log = MBR_FEATURES_LOG_DB };
    ck_assert_int_eq(mbr_features_new(env, &o, &f, &err), MBR_ERR_ARGUMENT);
    ck_assert_int_eq(mbr_features_new(env, NULL, &f, &err), MBR_ERR_ARGUMENT);
    mbr_audio_stream *s;
    o = (mbr_features_options){ .size = sizeof o, .kind = MBR_FEATURES_MFCC };
    f = features(&o);
    ck_assert_int_eq(mbr_audio_stream_new(f, &s, &err), MBR_ERR_ARGUMENT);
    mbr_audio *slow = sound(100, 8000);
    mbr_value *out;
    ck_assert_int_eq(mbr_features_audio(f, slow, &out, &err), MBR_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(err.text, "8000 Hz"));
    mbr_audio_release(&slow);
    mbr_features_release(&f);
}
END_TEST

/* A sound that is shorter than a frame, with silence in it and with numbers that are none. */
START_TEST(edges)
{
    static const float tiny[] = { 0.5f }, odd[] = { 0, NAN, INFINITY, -INFINITY, 1e38f, 0, 0, 0 };
    for (int padding = 0; padding < MBR_PADDING_NONE; padding++) {
        mbr_features_options o = { .size = sizeof o, .kind = MBR_FEATURES_MFCC, .n_fft = 16, .hop = 3, .mels = 4,
                                   .mfcc = 3, .padding = (mbr_padding)padding };
        mbr_features *f = features(&o);
        float y[64];
        ck_assert_int_eq(mbr_features_fill(f, tiny, 1, y, 64, &err), MBR_OK);
        ck_assert(isfinite(y[0]));
        ck_assert_int_eq(mbr_features_fill(f, odd, 8, y, 64, &err), MBR_OK);
        mbr_features_release(&f);
    }
    float silence[64] = { 0 }, y[64];
    mbr_features_options o = { .size = sizeof o, .kind = MBR_FEATURES_MEL, .n_fft = 16, .hop = 16, .mels = 4,
                               .log = MBR_FEATURES_LOG_DB };
    mbr_features *f = features(&o);
    ck_assert_int_eq(mbr_features_fill(f, silence, 64, y, 64, &err), MBR_OK);
    for (int i = 0; i < 20; i++)
        ck_assert_float_eq_tol(y[i], -100, 1e-4f);
    mbr_features_release(&f);
}
END_TEST

START_TEST(streams_give_the_frames_of_the_whole)
{
    static const size_t pieces[] = { 1, 3, 50, 101, 5000 }, lengths[] = { 2, 30, 40, 41, 99, 100, 101, 400, 1234 };
    static const int hops[] = { 7, 25, 100, 250 };
    mbr_audio *audio = sound(1234, 8000);
    mbr_audio_info info = { .size = sizeof info };
    mbr_audio_tell(audio, &info);
    float *whole = malloc(100000 * sizeof *whole);
    for (unsigned run = 0; run < 6 * 4 * 4; run++) {
        mbr_features_options o = { .size = sizeof o, .rate = 8000, .n_fft = run % 2 ? 80 : 81, .hop = hops[run / 6 % 4],
                                   .kind = (mbr_features_kind)(run % 6), .mels = 10, .mfcc = 5, .top_db = -1,
                                   .padding = (mbr_padding)(run / 24), .frames_first = 1 };
        mbr_features *f = features(&o);
        mbr_audio_stream *s;
        size_t one = mbr_features_bins(f) * (o.kind == MBR_FEATURES_STFT ? 2 : 1);
        ck_assert_int_eq(mbr_audio_stream_new(f, &s, &err), MBR_OK);
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths * 5; i++) {
            size_t n = lengths[i / 5], frames = mbr_features_frames(f, n), got = 0, ready;
            const float *values;
            if (frames)
                ck_assert_int_eq(mbr_features_fill(f, info.samples, n, whole, 100000, &err), MBR_OK);
            for (size_t at = 0; at < n; at += pieces[i % 5]) {
                size_t piece = n - at < pieces[i % 5] ? n - at : pieces[i % 5];
                ck_assert_int_eq(mbr_audio_stream_push(s, info.samples + at, piece, &err), MBR_OK);
                if (at % 2)
                    continue; /* what is not taken is kept */
                mbr_audio_stream_take(s, &values, &ready);
                ck_assert_uint_le(got + ready, frames);
                ck_assert(ready == 0 || memcmp(values, whole + got * one, ready * one * sizeof *values) == 0);
                got += ready;
            }
            ck_assert_int_eq(mbr_audio_stream_end(s, &err), frames ? MBR_OK : MBR_ERR_INPUT);
            mbr_audio_stream_take(s, &values, &ready);
            ck_assert_uint_eq(got + ready, frames);
            ck_assert(ready == 0 || memcmp(values, whole + got * one, ready * one * sizeof *values) == 0);
            ck_assert_int_eq(mbr_audio_stream_push(s, info.samples, 1, &err), frames ? MBR_ERR_ARGUMENT : MBR_OK);
            mbr_audio_stream_reset(s);
        }
        mbr_audio_stream_release(&s);
        mbr_features_release(&f);
    }
    free(whole);
    mbr_audio_release(&audio);
}
END_TEST

/* A stream that nobody takes from for long holds its frames; one that is taken from holds little more than a frame. */
START_TEST(streams_are_bounded)
{
    mbr_features_options o = { .size = sizeof o, .kind = MBR_FEATURES_MEL, .rate = 8000, .n_fft = 200, .mels = 10 };
    mbr_features *f = features(&o);
    mbr_audio_stream *s;
    float x[64] = { 0 };
    ck_assert_int_eq(mbr_audio_stream_new(f, &s, &err), MBR_OK);
    size_t before = 0;
    for (int i = 0; i < 100000; i++) {
        const float *values;
        size_t ready;
        ck_assert_int_eq(mbr_audio_stream_push(s, x, 64, &err), MBR_OK);
        mbr_audio_stream_take(s, &values, &ready);
        if (i == 100)
            before = atomic_load(&mbr_env_heap(env)->in_use);
    }
    ck_assert_uint_eq(atomic_load(&mbr_env_heap(env)->in_use), before);
    mbr_audio_stream_release(&s);
    mbr_features_release(&f);
}
END_TEST

/* ---- another rate, in pieces ---- */

static mbr_audio_resampler *resampler(int from, const mbr_resample_options *o)
{
    mbr_audio_resampler *r = NULL;
    ck_assert_msg(mbr_audio_resampler_new(env, from, o, &r, &err) == MBR_OK, "%s", err.text);
    return r;
}

typedef struct kept {
    char bytes[1 << 16];
    size_t size;
} kept;

static mbr_status keep(void *user, const char *text, size_t bytes)
{
    kept *k = user;
    ck_assert_uint_le(k->size + bytes, sizeof k->bytes);
    memcpy(k->bytes + k->size, text, bytes);
    k->size += bytes;
    return MBR_OK;
}

static const int rates[][2] = { { 44100, 16000 }, { 16000, 44100 }, { 8000, 16000 }, { 48000, 16000 }, { 16000, 8000 },
                                { 7, 5000 }, { 5000, 7 }, { 16000, 16000 }, { 11025, 11000 }, { 1, 2 } };

/* piece 0: of 0 to 40 samples by chance. saved: now and then the state goes through bytes into another resampler. */
static void compare_pieces(const int *rate, mbr_resampler how, size_t n, size_t piece, bool saved)
{
    mbr_audio *whole = sound(n, rate[0]), *due;
    mbr_audio_info in = { .size = sizeof in }, out = { .size = sizeof out };
    mbr_resample_options o = { .size = sizeof o, .rate = rate[1], .resampler = how };
    mbr_audio_resampler *r = resampler(rate[0], &o);
    const float *ready;
    size_t got = 0, count;
    ck_assert_int_eq(mbr_audio_resample(whole, &o, &due, &err), MBR_OK);
    mbr_audio_tell(whole, &in);
    mbr_audio_tell(due, &out);
    for (size_t at = 0, m = 0; at < n; at += m) {
        m = piece ? piece : (size_t)random_below(41);
        m = m < n - at ? m : n - at;
        ck_assert_int_eq(mbr_audio_resampler_push(r, m ? in.samples + at : NULL, m, &err), MBR_OK);
        if (!saved && random_below(2))
            continue; /* what is not taken is kept */
        mbr_audio_resampler_take(r, &ready, &count);
        ck_assert_uint_le(got + count, out.frames);
        ck_assert(count == 0 || memcmp(ready, out.samples + got, count * sizeof *ready) == 0);
        got += count;
        if (saved && random_below(3) == 0) {
            static kept k;
            mbr_audio_resampler *other = resampler(rate[0], &o);
            k.size = 0;
            ck_assert_int_eq(mbr_audio_resampler_push(other, in.samples, n < 33 ? n : 33, &err), MBR_OK);
            ck_assert_int_eq(mbr_audio_resampler_save(r, keep, &k, &err), MBR_OK);
            ck_assert_msg(mbr_audio_resampler_restore(other, k.bytes, k.size, &err) == MBR_OK, "%s", err.text);
            mbr_audio_resampler_release(&r);
            r = other;
        }
    }
    ck_assert_int_eq(mbr_audio_resampler_end(r, &err), MBR_OK);
    ck_assert_int_eq(mbr_audio_resampler_end(r, &err), MBR_OK);
    mbr_audio_resampler_take(r, &ready, &count);
    ck_assert_msg(got + count == out.frames, "%d to %d Hz: %zu and %zu of %zu", rate[0], rate[1], got, count,
                  out.frames);
    ck_assert(count == 0 || memcmp(ready, out.samples + got, count * sizeof *ready) == 0);
    ck_assert_int_eq(mbr_audio_resampler_push(r, in.samples, 1, &err), MBR_ERR_ARGUMENT);
    mbr_audio_resampler_release(&r);
    mbr_audio_release(&due);
    mbr_audio_release(&whole);
}

START_TEST(another_rate_in_pieces)
{
    static const size_t pieces[] = { 0, 1, 2, 7, 64, 997, 5000 }, lengths[] = { 1, 2, 30, 441, 3001 };
    random_seed("rates");
    for (size_t k = 0; k < sizeof rates / sizeof *rates; k++)
        for (int how = 0; how < 3; how++)
            for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++)
                for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
                    if (rates[k][1] != 5000 || lengths[l] < 3000)
                        compare_pieces(rates[k], (mbr_resampler)how, lengths[l], pieces[i], false);
    for (size_t k = 0; k < sizeof rates / sizeof *rates; k++)
        for (int how = 0; how < 3; how++)
            compare_pieces(rates[k], (mbr_resampler)how, 441, 0, true);
}
END_TEST

START_TEST(another_rate_is_bounded)
{
    mbr_resample_options o = { .size = sizeof o, .rate = 16000 };
    mbr_audio_resampler *r = resampler(44100, &o);
    const float *ready;
    float x[64] = { 1 };
    size_t before = 0, count;
    for (int i = 0; i < 50000; i++) {
        ck_assert_int_eq(mbr_audio_resampler_push(r, x, (size_t)(i % 65), &err), MBR_OK);
        mbr_audio_resampler_take(r, &ready, &count);
        if (i == 200)
            before = atomic_load(&mbr_env_heap(env)->in_use);
    }
    ck_assert_uint_eq(atomic_load(&mbr_env_heap(env)->in_use), before);
    mbr_audio_resampler_reset(r);
    ck_assert_int_eq(mbr_audio_resampler_end(r, &err), MBR_OK);
    mbr_audio_resampler_take(r, &ready, &count);
    ck_assert_uint_eq(count, 0);
    mbr_audio_resampler_release(&r);
}
END_TEST

START_TEST(another_rate_refused)
{
    static kept k, flipped;
    mbr_resample_options o = { .size = sizeof o, .rate = 16000 }, other = { .size = sizeof o, .rate = 8000 };
    mbr_audio_resampler *r = NULL, *s;
    const float *ready;
    float x[500] = { 1, -1, 0.5f };
    size_t count;
    random_seed("refused");
    ck_assert_int_eq(mbr_audio_resampler_new(env, 0, &o, &r, &err), MBR_ERR_ARGUMENT);
    ck_assert_int_eq(mbr_audio_resampler_new(env, 44100, &o, NULL, &err), MBR_ERR_ARGUMENT);
    ck_assert_int_eq(mbr_audio_resampler_new(NULL, 44100, &o, &r, &err), MBR_ERR_ARGUMENT);
    ck_assert_int_eq(mbr_audio_resampler_new(env, 44100, NULL, &r, &err), MBR_ERR_ARGUMENT);
    o.rate = 0;
    ck_assert_int_eq(mbr_audio_resampler_new(env, 44100, &o, &r, &err), MBR_ERR_ARGUMENT);
    o.rate = 767999;
    ck_assert_int_eq(mbr_audio_resampler_new(env, 44101, &o, &r, &err), MBR_ERR_LIMIT);
    ck_assert_ptr_null(r);
    mbr_audio_resampler_release(&r);
    o.rate = 16000;
    r = resampler(44100, &o);
    s = resampler(44100, &other);
    ck_assert_int_eq(mbr_audio_resampler_push(r, NULL, 1, &err), MBR_ERR_ARGUMENT);
    ck_assert_int_eq(mbr_audio_resampler_push(r, x, 500, &err), MBR_OK);
    ck_assert_int_eq(mbr_audio_resampler_save(r, keep, &k, &err), MBR_ERR_ARGUMENT); /* not taken */
    mbr_audio_resampler_take(r, &ready, &count);
    ck_assert_uint_gt(count, 100);
    ck_assert_int_eq(mbr_audio_resampler_save(r, NULL, &k, &err), MBR_ERR_ARGUMENT);
    ck_assert_int_eq(mbr_audio_resampler_save(r, keep, &k, &err), MBR_OK);
    ck_assert_int_eq(mbr_audio_resampler_restore(s, k.bytes, k.size, &err), MBR_ERR_INPUT);
    for (size_t n = 0; n < k.size; n++)
        ck_assert_int_eq(mbr_audio_resampler_restore(r, k.bytes, n, &err), MBR_ERR_FORMAT);
    for (int i = 0; i < 2000; i++) {
        flipped = k;
        flipped.bytes[random_below((int)k.size)] ^= (char)(1 << random_below(8));
        ck_assert_int_eq(mbr_audio_resampler_restore(r, flipped.bytes, k.size, &err), MBR_ERR_FORMAT);
    }
    ck_assert_int_eq(mbr_audio_resampler_restore(r, k.bytes, k.size, &err), MBR_OK);
    mbr_audio_resampler_release(&r);
    mbr_audio_resampler_release(&s);
}
END_TEST

/* ---- memory ---- */

static mbr_status everything(void)
{
    mbr_audio *audio = NULL, *mono = NULL, *other = NULL;
    mbr_features *f = NULL;
    mbr_audio_stream *s = NULL;
    mbr_audio_resampler *piecewise = NULL, *other_piecewise = NULL;
    static kept bytes;
    mbr_value *value = NULL;
    float x[600] = { 1, 0.5f };
    mbr_features_options o = { .size = sizeof o, .kind = MBR_FEATURES_MFCC, .rate = 4000, .n_fft = 66, .mels = 8,
                               .mfcc = 4, .top_db = -1 };
    mbr_resample_options r = { .size = sizeof r, .rate = 4000 };
    mbr_status st = mbr_audio_open_pcm(env, x, sizeof x, MBR_PCM_F32, 2, 8000, &audio, &err);
    st = st == MBR_OK ? mbr_audio_mono(audio, &mono, &err) : st;
    st = st == MBR_OK ? mbr_audio_resample(mono, &r, &other, &err) : st;
    st = st == MBR_OK ? mbr_features_new(env, &o, &f, &err) : st;
    st = st == MBR_OK ? mbr_features_audio(f, other, &value, &err) : st;
    st = st == MBR_OK ? mbr_audio_stream_new(f, &s, &err) : st;
    st = st == MBR_OK ? mbr_audio_stream_push(s, x, 600, &err) : st;
    st = st == MBR_OK ? mbr_audio_stream_end(s, &err) : st;
    st = st == MBR_OK ? mbr_audio_resampler_new(env, 8000, &r, &piecewise, &err) : st;
    st = st == MBR_OK ? mbr_audio_resampler_push(piecewise, x, 600, &err) : st;
    if (st == MBR_OK) {
        const float *ready;
        size_t count;
        mbr_audio_resampler_take(piecewise, &ready, &count);
        bytes.size = 0;
        st = mbr_audio_resampler_save(piecewise, keep, &bytes, &err);
    }
    st = st == MBR_OK ? mbr_audio_resampler_new(env, 8000, &r, &other_piecewise, &err) : st;
    st = st == MBR_OK ? mbr_audio_resampler_restore(other_piecewise, bytes.bytes, bytes.size, &err) : st;
    st = st == MBR_OK ? mbr_audio_resampler_end(other_piecewise, &err) : st;
    mbr_audio_resampler_release(&piecewise);
    mbr_audio_resampler_release(&other_piecewise);
    mbr_audio_release(&audio);
    mbr_audio_release(&mono);
    mbr_audio_release(&other);
    mbr_audio_stream_release(&s);
    mbr_features_release(&f);
    mbr_value_release(&value);
    return st;
}

START_TEST(without_memory)
{
    mbr_memory *memory = mbr_env_heap(env);
    size_t before = atomic_load(&memory->in_use);
    mbr_status st = MBR_ERR_NO_MEMORY;
    for (long fail = 0; st != MBR_OK; fail++) {
        ck_assert_int_lt(fail, 1000);
        atomic_store(&memory->fail_after, fail);
        st = everything();
        ck_assert(st == MBR_OK || st == MBR_ERR_NO_MEMORY);
        ck_assert_uint_eq(atomic_load(&memory->in_use), before);
    }
    atomic_store(&memory->fail_after, -1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("audio");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, reads_every_coding);
    tcase_add_test(t, refuses_headers_that_lie);
    tcase_add_test(t, mixes_cuts_resamples);
    tcase_add_test(t, frames_and_padding);
    tcase_add_test(t, a_tone_is_one_bin);
    tcase_add_test(t, refuses_options);
    tcase_add_test(t, edges);
    tcase_add_test(t, streams_give_the_frames_of_the_whole);
    tcase_add_test(t, streams_are_bounded);
    tcase_add_test(t, another_rate_in_pieces);
    tcase_add_test(t, another_rate_is_bounded);
    tcase_add_test(t, another_rate_refused);
    tcase_add_test(t, without_memory);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
