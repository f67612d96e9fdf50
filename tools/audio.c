/* SPDX-License-Identifier: BSD-2-Clause */
/* mbr audio: what pre-processing makes of a sound, as a file to listen to or to compare. */
#include "mbr/audio.h"
#include "tools/command.h"

#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: mbr audio IN.wav [--mono] [--resample HZ] [--resampler NAME] [--features KIND ...] [--save OUT.npy]\n\n"
    "Reads a WAV file (or bare samples), mixes and resamples it, and computes features as librosa does. OUT is an\n"
    "array for numpy.load, f32: the samples (channels, frames), or the features (bins, frames). Without --save it\n"
    "says what the sound is.\n"
    "  --pcm CODING,CHANNELS,HZ  IN has no header: u8, s16, s24, s32, f32 or f64, little-endian, interleaved\n"
    "  --mono                the mean of the channels; features do that by themselves\n"
    "  --resample HZ         another rate\n"
    "  --resampler NAME      scipy (default, resample_poly), torchaudio, torchaudio-kaiser; with --width N,\n"
    "                        --rolloff X, --beta X\n"
    "  --features KIND       frames, stft, magnitude, power, mel, mfcc; with\n"
    "    --n-fft N, --hop N, --win N, --window hann|hamming|blackman|ones, --pad zero|reflect|edge|none,\n"
    "    --exponent X, --mels N, --low HZ, --high HZ, --scale slaney|htk, --norm slaney|none,\n"
    "    --log linear|db|ln|ln-plus|log10|whisper, --floor X, --reference X (-1: the largest), --top-db X (-1: off),\n"
    "    --mfcc N, --lifter X, --frames-first\n"
    "  --chunk N             of a stream that comes in pieces of N samples: another rate, features; the same bits\n"
    "  --memory BYTES        refuse to use more memory (suffixes k, M, G)\n"
    "  --repeat N            computes it N times: how long the fastest took, how many times real time it is\n";

typedef struct args {
    const char *input, *save, *pcm;
    int mono, repeat, chunk;
    size_t memory;
    mbr_resample_options resample;
    mbr_features_options features;
    int kind; /* -1: no features */
} args;

typedef struct option {
    const char *name, *words; /* words: of a choice, "a|b"; "" of a flag; NULL: a number */
    size_t offset;
    bool real; /* double, else int */
} option;

#define FEATURE(field) offsetof(args, features.field)
static const option options[] = {
    { "--mono", "", offsetof(args, mono), false },
    { "--repeat", NULL, offsetof(args, repeat), false },
    { "--chunk", NULL, offsetof(args, chunk), false },
    { "--resample", NULL, offsetof(args, resample.rate), false },
    { "--resampler", "scipy|torchaudio|torchaudio-kaiser", offsetof(args, resample.resampler), false },
    { "--width", NULL, offsetof(args, resample.width), false },
    { "--rolloff", NULL, offsetof(args, resample.rolloff), true },
    { "--beta", NULL, offsetof(args, resample.beta), true },
    { "--features", "frames|stft|magnitude|power|mel|mfcc", offsetof(args, kind), false },
    { "--n-fft", NULL, FEATURE(n_fft), false },
    { "--hop", NULL, FEATURE(hop), false },
    { "--win", NULL, FEATURE(win), false },
    { "--window", "hann|hamming|blackman|ones", FEATURE(window), false },
    { "--pad", "zero|reflect|edge|none", FEATURE(padding), false },
    { "--exponent", NULL, FEATURE(exponent), true },
    { "--mels", NULL, FEATURE(mels), false },
    { "--low", NULL, FEATURE(low), true },
    { "--high", NULL, FEATURE(high), true },
    { "--scale", "slaney|htk", FEATURE(scale), false },
    { "--norm", "slaney|none", FEATURE(norm), false },
    { "--log", "linear|db|ln|ln-plus|log10|whisper", FEATURE(log), false },
    { "--floor", NULL, FEATURE(floor), true },
    { "--reference", NULL, FEATURE(reference), true },
    { "--top-db", NULL, FEATURE(top_db), true },
    { "--mfcc", NULL, FEATURE(mfcc), false },
    { "--lifter", NULL, FEATURE(lifter), true },
    { "--frames-first", "", FEATURE(frames_first), false },
};

/* The place of a word in "a|b|c"; -1: it is none of them. */
static int find_word(const char *words, const char *word)
{
    size_t n = strlen(word);
    for (int i = 0; *words; i++) {
        size_t k = strcspn(words, "|");
        if (k == n && memcmp(words, word, n) == 0)
            return i;
        words += k + (words[k] == '|');
    }
    return -1;
}

static int take_option(args *a, const option *o, const char *value)
{
    char *at = (char *)a + o->offset, *end;
    int number = 1;
    if (o->words && *o->words) {
        number = find_word(o->words, value);
        if (number < 0)
            return fail_usage("%s %s: one of %s is due", o->name, value, o->words);
    } else if (!o->words) {
        double x = strtod(value, &end);
        if (end == value || *end || !(x > INT_MIN && x < INT_MAX) || (!o->real && x != (double)(int)x))
            return fail_usage("%s %s: a %snumber is due", o->name, value, o->real ? "" : "whole ");
        if (o->real) {
            memcpy(at, &x, sizeof x);
            return EXIT_DONE;
        }
        number = (int)x;
    }
    memcpy(at, &number, sizeof number);
    return EXIT_DONE;
}

static int parse(int argc, char **argv, args *a)
{
    for (int i = 0; i < argc; i++) {
        const char *arg = argv[i];
        if (arg[0] != '-') {
            if (a->input)
                return fail_usage("mbr audio takes one sound");
            a->input = arg;
            continue;
        }
        size_t k = 0, n = sizeof options / sizeof *options;
        while (k < n && strcmp(arg, options[k].name) != 0)
            k++;
        bool flag = k < n && options[k].words && !*options[k].words;
        const char *value = flag ? "" : i + 1 < argc ? argv[++i] : NULL;
        if (!value)
            return fail_usage("%s: its value is missing, or mbr audio does not have it", arg);
        if (k < n) {
            int st = take_option(a, &options[k], value);
            if (st != EXIT_DONE)
                return st;
        } else if (strcmp(arg, "--save") == 0) {
            a->save = value;
        } else if (strcmp(arg, "--pcm") == 0) {
            a->pcm = value;
        } else if (strcmp(arg, "--memory") == 0) {
            if (!parse_size(value, &a->memory))
                return fail_usage("--memory %s: bytes are due, with k, M or G", value);
        } else {
            return fail_usage("mbr audio has no option %s", arg);
        }
    }
    if (a->repeat < 1 || a->chunk < 0)
        return fail_usage("--repeat and --chunk take numbers from 1");
    return a->input ? EXIT_DONE : fail_usage("mbr audio: which sound?");
}

static int open_sound(const args *a, mbr_env *env, mbr_audio **out)
{
    mbr_error err;
    if (!a->pcm)
        return mbr_audio_open(env, a->input, out, &err) == MBR_OK ? EXIT_DONE : fail_with(&err);
    char coding[8];
    int channels, rate, used = 0;
    if (sscanf(a->pcm, "%7[a-z0-9],%d,%d%n", coding, &channels, &rate, &used) != 3 || a->pcm[used] ||
        find_word("u8|s16|s24|s32|f32|f64", coding) < 0)
        return fail_usage("--pcm %s: CODING,CHANNELS,HZ is due, such as s16,1,16000", a->pcm);
    size_t bytes;
    void *data = read_file(a->input, &bytes);
    if (!data)
        return EXIT_BAD_INPUT;
    mbr_status st = mbr_audio_open_pcm(env, data, bytes, (mbr_pcm)find_word("u8|s16|s24|s32|f32|f64", coding), channels,
                                       rate, out, &err);
    free(data);
    return st == MBR_OK ? EXIT_DONE : fail_with(&err);
}

/* Mixes and resamples; *audio becomes the last sound. */
static mbr_status prepare(const args *a, mbr_audio **audio, mbr_error *err)
{
    mbr_audio_info info = { .size = sizeof info };
    mbr_audio *next;
    mbr_status st;
    mbr_audio_tell(*audio, &info);
    if ((a->mono || a->kind >= 0) && info.channels > 1) {
        st = mbr_audio_mono(*audio, &next, err);
        if (st != MBR_OK)
            return st;
        mbr_audio_release(audio);
        *audio = next;
    }
    if (!a->resample.rate || a->chunk)
        return MBR_OK;
    st = mbr_audio_resample(*audio, &a->resample, &next, err);
    if (st != MBR_OK)
        return st;
    mbr_audio_release(audio);
    *audio = next;
    return MBR_OK;
}

/* ---- streams ---- */

/* What a stream has given so far. */
typedef struct given {
    float *values;
    size_t count, room;
} given;

static mbr_status append(given *g, const float *values, size_t count)
{
    if (count > g->room - g->count) {
        size_t room = 2 * g->room + count + 1024;
        float *more = room < SIZE_MAX / sizeof *more ? realloc(g->values, room * sizeof *more) : NULL;
        if (!more)
            return MBR_ERR_NO_MEMORY;
        g->values = more;
        g->room = room;
    }
    if (count)
        memcpy(g->values + g->count, values, count * sizeof *values);
    g->count += count;
    return MBR_OK;
}

/* A stream on its way: samples, at another rate with a resampler, frames of them with features. */
typedef struct flow {
    mbr_audio_resampler *resampler;
    mbr_audio_stream *frames;
    size_t one; /* values of a frame */
    given out;
} flow;

/* The same with samples at their rate; ended: none follows. */
static mbr_status flow_on(flow *f, const float *samples, size_t count, bool ended, mbr_error *err)
{
    const float *ready = samples;
    size_t n = count;
    mbr_status st = MBR_OK;
    if (f->frames) {
        st = mbr_audio_stream_push(f->frames, samples, count, err);
        if (st == MBR_OK && ended) {
            mbr_audio_stream_take(f->frames, &ready, &n); /* they would go with the last ones otherwise */
            st = append(&f->out, ready, n * f->one);
            st = st == MBR_OK ? mbr_audio_stream_end(f->frames, err) : st;
        }
        if (st == MBR_OK)
            mbr_audio_stream_take(f->frames, &ready, &n);
    }
    return st == MBR_OK ? append(&f->out, ready, n * f->one) : st;
}

/* A piece, and what the resampler makes of it. */
static mbr_status flow_in(flow *f, const float *samples, size_t count, bool ended, mbr_error *err)
{
    if (!f->resampler)
        return flow_on(f, samples, count, ended, err);
    const float *ready;
    size_t n;
    mbr_status st = ended ? mbr_audio_resampler_end(f->resampler, err)
                          : mbr_audio_resampler_push(f->resampler, samples, count, err);
    if (st != MBR_OK)
        return st;
    mbr_audio_resampler_take(f->resampler, &ready, &n);
    return flow_on(f, ready, n, ended, err);
}

/* A sound in pieces. features: NULL: its samples. On success out->values is the caller's. */
static mbr_status run_stream(const args *a, mbr_env *env, const mbr_features *features, const float *samples,
                             size_t count, int rate, given *out, mbr_error *err)
{
    flow f = { .one = 1 };
    mbr_status st = MBR_OK;
    err->text[0] = '\0';
    if (a->resample.rate)
        st = mbr_audio_resampler_new(env, rate, &a->resample, &f.resampler, err);
    if (st == MBR_OK && features) {
        f.one = mbr_features_bins(features) * (a->kind == MBR_FEATURES_STFT ? 2 : 1);
        st = mbr_audio_stream_new(features, &f.frames, err);
    }
    for (size_t done = 0; st == MBR_OK && done < count; done += (size_t)a->chunk)
        st = flow_in(&f, samples + done, count - done < (size_t)a->chunk ? count - done : (size_t)a->chunk, false, err);
    if (st == MBR_OK)
        st = flow_in(&f, NULL, 0, true, err);
    mbr_audio_stream_release(&f.frames);
    mbr_audio_resampler_release(&f.resampler);
    if (st == MBR_OK) {
        *out = f.out;
        return st;
    }
    free(f.out.values);
    if (!err->text[0])
        snprintf(err->text, sizeof err->text, "out of memory");
    err->status = st;
    return st;
}

static bool save(const char *path, const float *values, int rank, const int64_t *dims)
{
    char head[128], shape[64] = "";
    size_t count = 1, used = 0;
    for (int i = 0; i < rank; i++) {
        count *= (size_t)dims[i];
        used += (size_t)snprintf(shape + used, sizeof shape - used, "%lld,", (long long)dims[i]);
    }
    memcpy(head, "\x93NUMPY\x01\x00\x76\x00", 10);
    int n = snprintf(head + 10, sizeof head - 10, "{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }", shape);
    memset(head + 10 + n, ' ', sizeof head - 10 - (size_t)n);
    head[sizeof head - 1] = '\n';
    char *file = malloc(sizeof head + count * sizeof *values);
    if (!file) {
        say_error("%s: out of memory", path);
        return false;
    }
    memcpy(file, head, sizeof head);
    if (count)
        memcpy(file + sizeof head, values, count * sizeof *values);
    bool ok = write_file(path, file, sizeof head + count * sizeof *values);
    free(file);
    return ok;
}

/* Features, repeated, timed, saved. */
static int work(const args *a, mbr_env *env, const mbr_audio *audio)
{
    mbr_error err;
    mbr_features *f = NULL;
    mbr_value *out = NULL;
    given streamed = { NULL, 0, 0 };
    mbr_audio_info sound = { .size = sizeof sound };
    mbr_audio_tell(audio, &sound);
    mbr_features_options how = a->features;
    how.size = sizeof how;
    how.kind = (mbr_features_kind)a->kind;
    how.rate = a->chunk && a->resample.rate ? a->resample.rate : sound.rate;
    if (mbr_features_new(env, &how, &f, &err) != MBR_OK)
        return fail_with(&err);
    mbr_status st = MBR_OK;
    double best = 0;
    int64_t bins = (int64_t)mbr_features_bins(f), parts = a->kind == MBR_FEATURES_STFT ? 2 : 1;
    for (int i = 0; i < a->repeat && st == MBR_OK; i++) {
        mbr_value_release(&out);
        free(streamed.values);
        streamed = (given){ NULL, 0, 0 };
        double start = now_ms();
        st = a->chunk ? run_stream(a, env, f, sound.samples, sound.frames, sound.rate, &streamed, &err)
                      : mbr_features_audio(f, audio, &out, &err);
        double took = now_ms() - start;
        best = i == 0 || took < best ? took : best;
    }
    mbr_features_release(&f);
    if (st != MBR_OK)
        return fail_with(&err);
    if (a->repeat > 1)
        printf("%.3f ms, %.0f times real time\n", best, (double)sound.frames / sound.rate * 1000 / best);
    int64_t dims[] = { (int64_t)streamed.count / (bins * parts), bins, 2 };
    bool ok = true;
    if (a->save)
        ok = a->chunk ? save(a->save, streamed.values, (int)parts + 1, dims)
                      : save(a->save, mbr_tensor_const_data(out), mbr_tensor_rank(out), mbr_tensor_dims(out));
    mbr_value_release(&out);
    free(streamed.values);
    return ok ? EXIT_DONE : EXIT_BAD_INPUT;
}

/* The sound alone: told, or saved. */
static int tell(const args *a, mbr_env *env, const mbr_audio *audio)
{
    mbr_error err;
    mbr_audio_info info = { .size = sizeof info };
    given streamed = { NULL, 0, 0 }, channel;
    mbr_audio_tell(audio, &info);
    for (int c = 0; a->chunk && a->resample.rate && c < info.channels; c++) { /* a stream each */
        if (run_stream(a, env, NULL, info.samples + (size_t)c * info.frames, info.frames, info.rate, &channel, &err) !=
            MBR_OK) {
            free(streamed.values);
            return fail_with(&err);
        }
        mbr_status st = append(&streamed, channel.values, channel.count);
        free(channel.values);
        if (st != MBR_OK) {
            free(streamed.values);
            say_error("%s: out of memory", a->input);
            return EXIT_RESOURCES;
        }
    }
    if (a->chunk && a->resample.rate) {
        info.samples = streamed.values;
        info.frames = streamed.count / (size_t)info.channels;
        info.rate = a->resample.rate;
    }
    int64_t dims[] = { info.channels, (int64_t)info.frames };
    int st = EXIT_DONE;
    if (!a->save)
        printf("%s: %d channel%s at %d Hz, %zu samples, %.3f s\n", a->input, info.channels,
               info.channels == 1 ? "" : "s", info.rate, info.frames, (double)info.frames / info.rate);
    else if (!save(a->save, info.samples, 2, dims))
        st = EXIT_BAD_INPUT;
    free(streamed.values);
    return st;
}

static int run(int argc, char **argv)
{
    args a = { .repeat = 1, .kind = -1, .resample = { .size = sizeof a.resample } };
    if (argc > 0 && strcmp(argv[0], "--help") == 0) {
        fputs(help, stdout);
        return EXIT_DONE;
    }
    int st = parse(argc, argv, &a);
    if (st != EXIT_DONE)
        return st;
    mbr_error err;
    mbr_env *env;
    mbr_env_options o = { .size = sizeof o, .threads = 1, .memory_limit = a.memory };
    if (mbr_env_new(&o, &env, &err) != MBR_OK)
        return fail_with(&err);
    mbr_audio *audio = NULL;
    st = open_sound(&a, env, &audio);
    if (st == EXIT_DONE && prepare(&a, &audio, &err) != MBR_OK)
        st = fail_with(&err);
    if (st == EXIT_DONE)
        st = a.kind >= 0 ? work(&a, env, audio) : tell(&a, env, audio);
    mbr_audio_release(&audio);
    mbr_env_release(&env);
    return st;
}

const command command_audio = {
    .name = "audio",
    .synopsis = "IN.wav [--resample HZ] [--features KIND ...] [--save OUT.npy]",
    .what = "resamples a sound and computes features as pre-processing does",
    .help = help,
    .run_raw = run,
};
