/* SPDX-License-Identifier: BSD-2-Clause */
/* Sounds to tensors: a path a row becomes samples, samples become features. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "mbr/audio.h"
#include "runtime/pipeline/pipeline_impl.h"
#include "runtime/steps/step.h"

#include <math.h>
#include <string.h>

/* ---- audio: samples of a WAV file, one channel at one rate ---- */

typedef struct audio_params {
    mbr_string folder;
    bool anywhere;
    int resampler;
    int64_t rate, samples;
    mbr_env *env; /* the rest is made by compile */
    const char *below;
} audio_params;

const mbr_param mbr_params_audio[] = {
    { .name = "folder", .type = MBR_PARAM_STRING, .required = true, .offset = offsetof(audio_params, folder) },
    { .name = "anywhere", .type = MBR_PARAM_BOOL, .offset = offsetof(audio_params, anywhere) },
    { .name = "rate", .type = MBR_PARAM_INT, .offset = offsetof(audio_params, rate), .preset = 16000 },
    { .name = "resampler", .type = MBR_PARAM_CHOICE, .words = "scipy|torchaudio|torchaudio-kaiser",
      .offset = offsetof(audio_params, resampler), .preset = MBR_RESAMPLE_SCIPY },
    { .name = "samples", .type = MBR_PARAM_INT, .offset = offsetof(audio_params, samples) },
    { .name = NULL }
};

mbr_status mbr_compile_audio(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    audio_params *p = s->params;
    if (p->rate < 1 || p->rate > MBR_AUDIO_MAX_RATE)
        return mbr_node_fail(&c->read, at, "step '%s': 'rate' must be 1 to %d Hz", s->name, MBR_AUDIO_MAX_RATE);
    if (p->samples < 0 || p->samples > (int64_t)(MBR_CELL_BYTES / sizeof(float)))
        return mbr_node_fail(&c->read, at, "step '%s': 'samples' must be 1 to %zu", s->name,
                             MBR_CELL_BYTES / sizeof(float));
    p->env = c->env;
    p->below = mbr_pipeline_beside(c->read.arena, c->read.file, p->folder.data);
    if (!p->below)
        return mbr_no_memory(c->read.err, p->folder.size);
    *out = (mbr_col){ .name = out->name, .line = out->line, .type = MBR_COL_TENSOR, .width = 1, .rank = 1,
                      .dtype = MBR_DTYPE_F32, .dims = { p->samples ? p->samples : -1 } };
    return MBR_OK;
}

static void take(mbr_audio **audio, mbr_audio *next)
{
    mbr_audio_release(audio);
    *audio = next;
}

static mbr_status bring(const audio_params *p, const mbr_filemap *file, const char *name, mbr_audio **audio,
                        mbr_error *err)
{
    mbr_audio_info info = { .size = sizeof info };
    mbr_resample_options o = { .size = sizeof o, .rate = (int)p->rate, .resampler = (mbr_resampler)p->resampler };
    mbr_audio *next;
    MBR_TRY(mbr_audio_open_memory(p->env, file->data, file->size, name, audio, err));
    mbr_audio_tell(*audio, &info);
    if (info.channels > 1) {
        MBR_TRY(mbr_audio_mono(*audio, &next, err));
        take(audio, next);
    }
    if (info.rate != o.rate) {
        /* of a rate that makes a short file long */
        if ((double)info.frames * o.rate / info.rate > (double)(MBR_CELL_BYTES / sizeof(float)))
            return mbr_fail(err, MBR_ERR_LIMIT, "%s: %zu samples at %d Hz are more than %zu bytes at %d Hz", name,
                            info.frames, info.rate, MBR_CELL_BYTES, o.rate);
        MBR_TRY(mbr_audio_resample(*audio, &o, &next, err));
        take(audio, next);
    }
    if (p->samples) {
        MBR_TRY(mbr_audio_cut(*audio, 0, (size_t)p->samples, &next, err));
        take(audio, next);
    }
    return MBR_OK;
}

void mbr_run_audio(const mbr_step *s, mbr_rows *rows)
{
    const audio_params *p = s->params;
    mbr_rows_clear(rows, s->out);
    for (int i = 0; i < rows->count; i++) {
        const mbr_string *name = &rows->lanes[s->from[0]].str[i];
        if (rows->fault[i] || !name->data)
            continue;
        mbr_audio *audio = NULL;
        mbr_audio_info info = { .size = sizeof info };
        mbr_error why = { 0 };
        mbr_filemap file;
        if (!mbr_step_open(s, rows, i, p->below, p->anywhere, name, &file))
            continue;
        if (bring(p, &file, name->data, &audio, &why) == MBR_OK) {
            mbr_audio_tell(audio, &info);
            int64_t count = (int64_t)info.frames;
            float *data = mbr_rows_cell(rows, i, s->out, 1, &count);
            if (data && count)
                memcpy(data, info.samples, info.frames * sizeof *data);
        } else {
            mbr_rows_fail(rows, i, "step '%s': %s", s->name, why.text);
        }
        mbr_audio_release(&audio);
        mbr_filemap_close(&file);
    }
}

/* ---- stft, mel, mfcc ---- */

typedef struct features_params {
    int64_t rate, n_fft, hop, win, mels, coefficients;
    int part, window, padding, scale, norm, log;
    bool frames_first;
    double exponent, low, high, floor, reference, top_db, lifter;
    mbr_features *features; /* made by compile */
} features_params;

#define AT(field) offsetof(features_params, field)
#define NUMBER(key, default_) { .name = #key, .type = MBR_PARAM_NUMBER, .offset = AT(key), .preset = default_ }
#define INT(key, default_) { .name = #key, .type = MBR_PARAM_INT, .offset = AT(key), .preset = default_ }
#define CHOICE(key, words_) { .name = #key, .type = MBR_PARAM_CHOICE, .words = words_, .offset = AT(key) }
#define FRAMES \
    INT(rate, 16000), INT(n_fft, 2048), INT(hop, 0), INT(win, 0), \
    CHOICE(window, "hann|hamming|blackman|ones"), CHOICE(padding, "zero|reflect|edge|none"), \
    { .name = "frames_first", .type = MBR_PARAM_BOOL, .offset = AT(frames_first) }
#define BANK \
    INT(mels, 128), NUMBER(low, 0), NUMBER(high, 0), NUMBER(exponent, 2), CHOICE(scale, "slaney|htk"), \
    CHOICE(norm, "slaney|none"), CHOICE(log, "linear|db|ln|ln-plus|log10|whisper"), NUMBER(floor, 1e-10), \
    NUMBER(reference, 1), NUMBER(top_db, 80)

const mbr_param mbr_params_stft[] = {
    CHOICE(part, "complex|magnitude|power"), FRAMES, { .name = NULL }
};
const mbr_param mbr_params_mel[] = {
    FRAMES, BANK, { .name = NULL }
};
const mbr_param mbr_params_mfcc[] = {
    INT(coefficients, 20), NUMBER(lifter, 0), FRAMES, BANK, { .name = NULL }
};

static int small(int64_t x)
{
    return x < INT32_MIN ? INT32_MIN : x > INT32_MAX ? INT32_MAX : (int)x;
}

static mbr_status compile_features(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out,
                                   mbr_features_kind kind)
{
    features_params *p = s->params;
    const mbr_col *from = &c->scope->cols[s->from[0]];
    if (from->dtype != MBR_DTYPE_F32 || from->rank != 1)
        return mbr_node_fail(&c->read, at, "step '%s': %s reads the samples of a sound, f32[?], and '%s' is none",
                             s->name, s->kind->name, from->name);
    mbr_features_options o = {
        .size = sizeof o, .kind = kind, .rate = small(p->rate), .n_fft = small(p->n_fft), .hop = small(p->hop),
        .win = small(p->win), .window = (mbr_window)p->window, .padding = (mbr_padding)p->padding,
        .exponent = p->exponent, .mels = small(p->mels), .low = p->low, .high = p->high,
        .scale = (mbr_mel_scale)p->scale, .norm = (mbr_mel_norm)p->norm, .log = (mbr_features_log)p->log,
        .floor = p->floor, .reference = p->reference, .top_db = p->top_db, .mfcc = small(p->coefficients),
        .lifter = p->lifter, .frames_first = p->frames_first
    };
    mbr_status st = mbr_features_new(c->env, &o, &p->features, c->read.err);
    if (st == MBR_ERR_ARGUMENT) {
        mbr_error why = *c->read.err;
        return mbr_node_fail(&c->read, at, "step '%s': %s", s->name, why.text);
    }
    MBR_TRY(st);
    bool pairs = kind == MBR_FEATURES_STFT;
    int64_t bins = (int64_t)mbr_features_bins(p->features), frames = -1;
    if (from->dims[0] >= 0) {
        frames = (int64_t)mbr_features_frames(p->features, (size_t)from->dims[0]);
        if (frames == 0)
            return mbr_node_fail(&c->read, at, "step '%s': a sound of %lld samples gives no frame", s->name,
                                 (long long)from->dims[0]);
    }
    *out = (mbr_col){ .name = out->name, .line = out->line, .type = MBR_COL_TENSOR, .width = 1, .rank = pairs ? 3 : 2,
                      .dtype = MBR_DTYPE_F32,
                      .dims = { p->frames_first ? frames : bins, p->frames_first ? bins : frames, 2 } };
    return MBR_OK;
}

static void run_features(const mbr_step *s, mbr_rows *rows)
{
    const features_params *p = s->params;
    const mbr_cell *cells = mbr_step_cells(s, rows, 0);
    const mbr_col *out = &rows->cols[s->out];
    mbr_rows_clear(rows, s->out);
    for (int i = 0; i < rows->count; i++) {
        if (rows->fault[i] || !cells[i].data)
            continue;
        size_t count = (size_t)cells[i].dims[0], frames = mbr_features_frames(p->features, count);
        int64_t dims[] = { out->dims[0], out->dims[1], 2 };
        mbr_error why = { 0 };
        float *data = NULL;
        dims[p->frames_first ? 0 : 1] = (int64_t)frames;
        if (frames && !(data = mbr_rows_cell(rows, i, s->out, out->rank, dims)))
            continue;
        size_t room = frames * mbr_features_bins(p->features) * (out->rank == 3 ? 2 : 1);
        if (mbr_features_fill(p->features, cells[i].data, count, data, room, &why) != MBR_OK)
            mbr_rows_fail(rows, i, "step '%s': %s", s->name, why.text);
    }
}

mbr_status mbr_compile_stft(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    static const mbr_features_kind kinds[] = { MBR_FEATURES_STFT, MBR_FEATURES_MAGNITUDE, MBR_FEATURES_POWER };
    return compile_features(c, at, s, out, kinds[((const features_params *)s->params)->part]);
}

mbr_status mbr_compile_mel(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    return compile_features(c, at, s, out, MBR_FEATURES_MEL);
}

mbr_status mbr_compile_mfcc(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    return compile_features(c, at, s, out, MBR_FEATURES_MFCC);
}

void mbr_run_stft(const mbr_step *s, mbr_rows *rows)
{
    run_features(s, rows);
}

void mbr_run_mel(const mbr_step *s, mbr_rows *rows)
{
    run_features(s, rows);
}

void mbr_run_mfcc(const mbr_step *s, mbr_rows *rows)
{
    run_features(s, rows);
}

void mbr_drop_stft(const mbr_step *s)
{
    features_params *p = s->params;
    if (p)
        mbr_features_release(&p->features);
}

void mbr_drop_mel(const mbr_step *s)
{
    mbr_drop_stft(s);
}

void mbr_drop_mfcc(const mbr_step *s)
{
    mbr_drop_stft(s);
}

_Static_assert(sizeof(audio_params) <= MBR_STEP_PARAMS && sizeof(features_params) <= MBR_STEP_PARAMS,
               "room for parameters");
