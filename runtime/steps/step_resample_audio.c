/* SPDX-License-Identifier: BSD-2-Clause */
/* A sound that comes in pieces, a row a piece, at another rate: what waits for the next piece is kept for each key. */
#include "runtime/audio/audio_impl.h"
#include "runtime/steps/step_keyed.h"

#include "base/checked.h"

#include <math.h>
#include <string.h>

typedef struct resample_audio_params {
    mbr_key_params key_params;
    int64_t from_rate, rate;
    int resampler;
    mbr_string last;
    mbr_keyed keyed; /* made by compile, as all below */
    int last_col;    /* -1: none */
    uint64_t digest;
    mbr_phases phases; /* first NULL: both rates are the same */
} resample_audio_params;

const mbr_param mbr_params_resample_audio[] = {
    MBR_KEY_PARAMS(resample_audio_params, key_params, false, false),
    { .name = "from_rate", .type = MBR_PARAM_INT, .required = true,
      .offset = offsetof(resample_audio_params, from_rate) },
    { .name = "rate", .type = MBR_PARAM_INT, .offset = offsetof(resample_audio_params, rate), .preset = 16000 },
    { .name = "resampler", .type = MBR_PARAM_CHOICE, .words = "scipy|torchaudio|torchaudio-kaiser",
      .offset = offsetof(resample_audio_params, resampler), .preset = MBR_RESAMPLE_SCIPY },
    { .name = "last", .type = MBR_PARAM_STRING, .offset = offsetof(resample_audio_params, last) },
    { .name = NULL }
};

mbr_status mbr_compile_resample_audio(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    resample_audio_params *p = s->params;
    const mbr_col *from = &c->scope->cols[s->from[0]];
    mbr_resample_options o, asked = { .size = sizeof asked, .resampler = (mbr_resampler)p->resampler };
    if (from->dtype != MBR_DTYPE_F32 || from->rank != 1)
        return mbr_node_fail(&c->read, at, "step '%s': resample_audio reads the samples of a sound, f32[?], and '%s' "
                             "is none", s->name, from->name);
    if (p->rate < 1 || p->rate > MBR_AUDIO_MAX_RATE || p->from_rate < 1 || p->from_rate > MBR_AUDIO_MAX_RATE)
        return mbr_node_fail(&c->read, at, "step '%s': 'rate' and 'from_rate' must be 1 to %d Hz", s->name,
                             MBR_AUDIO_MAX_RATE);
    MBR_TRY(mbr_keyed_compile(c, at, s, &p->key_params, &p->keyed));
    p->last_col = -1;
    if (p->last.data)
        MBR_TRY(mbr_keyed_column(c, at, s, &p->last, MBR_TYPE_BIT(MBR_COL_BOOL), &p->last_col));
    asked.rate = (int)p->rate;
    MBR_TRY(mbr_resample_read(&o, &asked, c->read.err));
    p->phases = (mbr_phases){ .memory = c->read.arena->memory, .up = 1, .down = 1, .taps = 1 };
    if (p->rate != p->from_rate) {
        mbr_status st = mbr_phases_make(c->read.arena->memory, &o, (int)p->from_rate, &p->phases, c->read.err);
        if (st != MBR_OK) {
            mbr_error why = *c->read.err;
            return mbr_node_refuse(&c->read, at, st, "step '%s': %s", s->name, why.text);
        }
    }
    p->digest = mbr_resampling_digest(&p->phases, &o);
    *out = (mbr_col){ .name = out->name, .line = out->line, .type = MBR_COL_TENSOR, .width = 1, .rank = 1,
                      .dtype = MBR_DTYPE_F32, .dims = { -1 } };
    return MBR_OK;
}

void mbr_drop_resample_audio(const mbr_step *s)
{
    resample_audio_params *p = s->params;
    if (p && p->phases.memory)
        mbr_phases_free(&p->phases);
}

/* ---- state: where the sound of a key is, and behind it the samples that wait ---- */

typedef struct streams {
    mbr_memory *memory;
    const mbr_phases *phases;
    mbr_store store;
    uint8_t *room;   /* (key_bytes) */
    float *line;     /* samples that waited, and those of a row behind them */
} streams;

static float *held(const void *state)
{
    return (float *)(void *)((uintptr_t)state + sizeof(mbr_resampling));
}

static void begin_key(const void *how, void *state)
{
    (void)how;
    *(mbr_resampling *)state = (mbr_resampling){ 0 };
}

static void write_key(const void *how, const void *state, mbr_out *out)
{
    (void)how;
    mbr_resampling_write(state, held(state), out);
}

static void read_key(const void *how, void *state, mbr_in *in)
{
    mbr_resampling_read(((const streams *)how)->phases, state, held(state), in);
}

static void end_streams(const mbr_step *s, void *state)
{
    streams *x = state;
    (void)s;
    mbr_store_close(&x->store);
    mbr_free(x->memory, x->room);
    mbr_free(x->memory, x->line);
    mbr_free(x->memory, x);
}

static mbr_status begin_streams(const mbr_step *s, mbr_memory *memory, void **out, mbr_error *err)
{
    const resample_audio_params *p = s->params;
    streams *x = mbr_calloc(memory, 1, sizeof *x);
    if (!x)
        return mbr_no_memory(err, sizeof *x);
    x->memory = memory;
    x->phases = &p->phases;
    mbr_store_kind kind = { .how = x, .digest = p->digest, .begin = begin_key, .write = write_key, .read = read_key,
                            .state_bytes = sizeof(mbr_resampling) +
                                           ((size_t)p->phases.taps * sizeof(float) + 7) / 8 * 8 };
    mbr_status st = mbr_store_open(&x->store, memory, &kind, &p->keyed.limits, err);
    if (st == MBR_OK && !(x->room = mbr_alloc(memory, x->store.key_bytes)))
        st = mbr_no_memory(err, x->store.key_bytes);
    if (st == MBR_OK) {
        *out = x;
        return MBR_OK;
    }
    end_streams(s, x);
    return mbr_fail_at(err, st, "step '%s': ", s->name);
}

static mbr_status save_streams(const mbr_step *s, const void *state, mbr_write_fn write, void *user, mbr_error *err)
{
    (void)s;
    return mbr_keyed_save(&((const streams *)state)->store, write, user, err);
}

static mbr_status restore_streams(const mbr_step *s, void *state, const void *bytes, size_t size, mbr_error *err)
{
    return mbr_keyed_restore(s, &((streams *)state)->store, bytes, size, err);
}

const mbr_step_keeper mbr_keeper_resample_audio = { begin_streams, end_streams, save_streams, restore_streams };

/* ---- rows ---- */

/* A piece of a sound: what it settles goes into the row's cell. Where that cannot be had the sound stays as it was. */
static void take_piece(const mbr_step *s, streams *x, mbr_rows *rows, int row, void *state, bool last)
{
    const mbr_phases *t = x->phases;
    const mbr_cell *piece = &mbr_step_cells(s, rows, 0)[row];
    mbr_resampling *at = state, next = *at;
    size_t count = piece->data ? (size_t)piece->dims[0] : 0, waiting = (size_t)(at->count - at->first), total;
    if (count > (size_t)(MBR_RESAMPLING_MOST(t) - at->count)) {
        mbr_rows_fail(rows, row, "step '%s': a sound of more samples than can be counted; end it by 'last'", s->name);
        return;
    }
    if (!t->first) {
        int64_t same = (int64_t)count;
        float *data = mbr_rows_cell(rows, row, s->out, 1, &same);
        if (data && count)
            memcpy(data, piece->data, count * sizeof *data);
        return;
    }
    mbr_error why = { 0 };
    if (!mbr_add_size(waiting, count, &total) || mbr_audio_reserve(x->memory, &x->line, 0, total, &why) != MBR_OK) {
        mbr_rows_fail(rows, row, "step '%s': out of memory: a piece of %zu samples", s->name, count);
        return;
    }
    memcpy(x->line, held(state), waiting * sizeof *x->line);
    if (count)
        memcpy(x->line + waiting, piece->data, count * sizeof *x->line);
    next.count += (int64_t)count;
    int64_t due = mbr_phases_due(t, &next, last);
    due = due > 0 ? due : 0;
    float *data = mbr_rows_cell(rows, row, s->out, 1, &due);
    if (!data)
        return;
    mbr_phases_some(t, &next, x->line, due, data);
    if (last) {
        *at = (mbr_resampling){ 0 };
        return;
    }
    int64_t gone = mbr_phases_forget(t, &next);
    memcpy(held(state), x->line + gone, (size_t)(next.count - next.first) * sizeof *x->line);
    *at = next;
}

void mbr_run_resample_audio(const mbr_step *s, mbr_rows *rows)
{
    const resample_audio_params *p = s->params;
    streams *x = mbr_step_state(s, rows);
    mbr_rows_clear(rows, s->out);
    for (int i = 0; i < rows->count; i++) {
        double t = p->keyed.time < 0 ? NAN : rows->lanes[p->keyed.time].num[i];
        bool last = p->last_col >= 0 && rows->lanes[p->last_col].num[i] == 1;
        if (rows->fault[i] || (p->keyed.time >= 0 && !isfinite(t)) || (!mbr_step_cells(s, rows, 0)[i].data && !last))
            continue;
        mbr_row_key key = mbr_keyed_key(&p->keyed, s, rows, i, x->room);
        if (!key.data)
            continue;
        void *state = mbr_store_take(&x->store, key.data, key.size, mbr_store_hash(&x->store, key.data, key.size), t);
        if (state)
            take_piece(s, x, rows, i, state, last);
    }
}

_Static_assert(sizeof(resample_audio_params) <= MBR_STEP_PARAMS, "room for parameters");
