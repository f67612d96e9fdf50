/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames of a sound that comes in pieces. */
#include "runtime/audio/audio_impl.h"

#include "base/checked.h"

#include <string.h>

struct mbr_audio_stream {
    const mbr_features *f;
    mbr_features_scratch room;
    float *held;               /* samples first .. count - 1 */
    float *logs;               /* (mels), of MFCC */
    float *out;                /* (ready, bins * parts) */
    int64_t first, count, next; /* next: the frame that is due */
    size_t ready;
    bool taken, ended;
};

mbr_status mbr_audio_stream_new(const mbr_features *f, mbr_audio_stream **out, mbr_error *err)
{
    *out = NULL;
    if (f->whole)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "a stream of features that look at the whole sound (top_db, reference "
                        "-1, Whisper's logarithm); set top_db to -1 and a reference");
    mbr_audio_stream *s = mbr_calloc(f->memory, 1, sizeof *s);
    if (!s)
        return mbr_no_memory(err, sizeof *s);
    s->f = f;
    mbr_status st = mbr_features_room(f, &s->room, err);
    if (st == MBR_OK && f->o.kind == MBR_FEATURES_MFCC) {
        s->logs = mbr_alloc(f->memory, (size_t)f->o.mels * sizeof *s->logs);
        if (!s->logs)
            st = mbr_no_memory(err, (size_t)f->o.mels * sizeof *s->logs);
    }
    if (st == MBR_OK)
        *out = s;
    else
        mbr_audio_stream_release(&s);
    return st;
}

void mbr_audio_stream_release(mbr_audio_stream **stream)
{
    if (!stream || !*stream)
        return;
    mbr_audio_stream *s = *stream;
    mbr_memory *memory = s->f->memory;
    mbr_free(memory, s->room.block);
    mbr_free(memory, s->held);
    mbr_free(memory, s->logs);
    mbr_free(memory, s->out);
    mbr_free(memory, s);
    *stream = NULL;
}

void mbr_audio_stream_reset(mbr_audio_stream *s)
{
    s->first = s->count = s->next = 0;
    s->ready = 0;
    s->taken = s->ended = false;
}

/* Frames up to last: their values behind those that are ready. */
static mbr_status emit(mbr_audio_stream *s, int64_t last, mbr_error *err)
{
    const mbr_features *f = s->f;
    size_t one = f->bins * f->parts, more, total;
    if (last <= s->next)
        return MBR_OK;
    more = (size_t)(last - s->next);
    if (!mbr_add_size(s->ready, more, &total) || !mbr_mul_size(total, one, &total))
        return mbr_no_memory(err, SIZE_MAX);
    MBR_TRY(mbr_audio_reserve(f->memory, &s->out, s->ready * one, total, err));
    float *to = s->out + s->ready * one;
    if (s->logs) {
        for (; s->next < last; s->next++, to += one) {
            mbr_features_some(f, &s->room, s->held, s->first, s->count, s->next, s->next + 1, s->logs, 1, 0);
            mbr_features_cosines(f, s->logs, 1, to, 1);
        }
    } else {
        mbr_features_some(f, &s->room, s->held, s->first, s->count, s->next, last, to, f->parts, one);
        s->next = last;
    }
    s->ready += more;
    return MBR_OK;
}

/* Frames that no later sample changes. */
static int64_t settled(const mbr_audio_stream *s)
{
    int64_t n = (int64_t)s->f->n, pad = (int64_t)s->f->pad;
    if (s->count == 0 || (s->f->o.padding == MBR_PADDING_REFLECT && s->count < pad + 1) || s->count + pad < n)
        return 0;
    return 1 + (s->count + pad - n) / s->f->o.hop;
}

/* Forgets samples that neither the next frame nor the padding behind the last sample needs. */
static void forget(mbr_audio_stream *s)
{
    int64_t pad = (int64_t)s->f->pad, keep = s->next * s->f->o.hop - pad, tail = s->count - pad - 1;
    keep = keep < tail ? keep : tail;
    if (keep <= s->first)
        return;
    memmove(s->held, s->held + (keep - s->first), (size_t)(s->count - keep) * sizeof *s->held);
    s->first = keep;
}

static void drop_taken(mbr_audio_stream *s)
{
    s->ready = s->taken ? 0 : s->ready;
    s->taken = false;
}

mbr_status mbr_audio_stream_push(mbr_audio_stream *s, const float *samples, size_t count, mbr_error *err)
{
    drop_taken(s);
    if (s->ended)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "samples after the end of a stream; reset it first");
    size_t held = (size_t)(s->count - s->first), total;
    if (count == 0)
        return MBR_OK;
    if (count > INT64_MAX / 4 || s->count > INT64_MAX / 4 || !mbr_add_size(held, count, &total))
        return mbr_fail(err, MBR_ERR_LIMIT, "a stream of more samples than can be counted");
    MBR_TRY(mbr_audio_reserve(s->f->memory, &s->held, held, total, err));
    memcpy(s->held + held, samples, count * sizeof *samples);
    s->count += (int64_t)count;
    mbr_status st = emit(s, settled(s), err);
    if (st == MBR_OK)
        forget(s);
    else
        s->count -= (int64_t)count; /* as if it had not been called */
    return st;
}

mbr_status mbr_audio_stream_end(mbr_audio_stream *s, mbr_error *err)
{
    drop_taken(s);
    if (s->ended)
        return MBR_OK;
    size_t frames = mbr_features_frames(s->f, (size_t)s->count);
    if (frames == 0)
        return mbr_fail(err, MBR_ERR_INPUT, "a stream of %lld samples gives no frame of %zu", (long long)s->count,
                        s->f->n);
    MBR_TRY(emit(s, (int64_t)frames, err));
    s->ended = true;
    return MBR_OK;
}

void mbr_audio_stream_take(mbr_audio_stream *s, const float **frames, size_t *count)
{
    drop_taken(s);
    *frames = s->out;
    *count = s->ready;
    s->taken = true;
}
