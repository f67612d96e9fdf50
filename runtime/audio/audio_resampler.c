/* SPDX-License-Identifier: BSD-2-Clause */
/* Another rate, of a sound that comes in pieces. */
#include "runtime/audio/audio_impl.h"

#include "base/checked.h"
#include "runtime/drift/drift_sketch.h"
#include "runtime/keyed/store.h"

#include <string.h>

struct mbr_audio_resampler {
    mbr_memory *memory;
    mbr_phases t;      /* first NULL: both rates are the same */
    uint64_t digest;
    mbr_resampling at;
    float *held;       /* samples at.first .. at.count - 1 */
    float *out;        /* (ready) */
    size_t ready;
    bool taken, ended;
};

/* ---- bytes ---- */

uint64_t mbr_resampling_digest(const mbr_phases *t, const mbr_resample_options *o)
{
    const double what[] = { (double)t->up, (double)t->down, (double)o->resampler, (double)o->width, o->rolloff,
                            o->beta };
    return mbr_digest(what, sizeof what);
}

void mbr_resampling_write(const mbr_resampling *at, const float *held, mbr_out *out)
{
    mbr_out_u64(out, (uint64_t)at->count);
    mbr_out_u64(out, (uint64_t)at->base);
    mbr_out_u64(out, (uint64_t)at->phase);
    for (int64_t i = 0; i < at->count - at->first; i++) {
        uint32_t bits;
        memcpy(&bits, held + i, sizeof bits);
        mbr_out_u64(out, bits);
    }
}

/* Place and samples go together: what is settled was given, and what is kept follows from the place. */
void mbr_resampling_read(const mbr_phases *t, mbr_resampling *at, float *held, mbr_in *in)
{
    int64_t most = MBR_RESAMPLING_MOST(t);
    *at = (mbr_resampling){ 0 };
    at->count = (int64_t)mbr_in_range(in, 0, (uint64_t)most);
    at->base = (int64_t)mbr_in_range(in, 0, (uint64_t)most);
    at->phase = (int64_t)mbr_in_range(in, 0, (uint64_t)t->up - 1);
    in->bad |= at->base % t->down != 0 || at->base > at->count + t->down;
    if (!t->first) { /* nothing waits */
        in->bad |= at->base != at->count;
        at->first = at->count;
    } else if (!in->bad) {
        (void)mbr_phases_forget(t, at);
        in->bad |= at->base + t->first[at->phase] + t->taps <= at->count;
    }
    for (int64_t i = 0; !in->bad && i < at->count - at->first; i++) {
        uint32_t bits = (uint32_t)mbr_in_range(in, 0, UINT32_MAX);
        memcpy(held + i, &bits, sizeof bits);
    }
    if (in->bad)
        *at = (mbr_resampling){ 0 };
}

/* ---- streams ---- */

mbr_status mbr_audio_resampler_new(mbr_env *env, int rate, const mbr_resample_options *options,
                                   mbr_audio_resampler **out, mbr_error *err)
{
    mbr_resample_options o;
    if (!out)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_audio_resampler_new: out is NULL");
    *out = NULL;
    if (!env || rate < 1 || rate > MBR_AUDIO_MAX_RATE)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_audio_resampler_new: no environment, or a rate of %d Hz; 1 to %d "
                        "are due", rate, MBR_AUDIO_MAX_RATE);
    MBR_TRY(mbr_resample_read(&o, options, err));
    mbr_memory *memory = mbr_env_heap(env);
    mbr_audio_resampler *r = mbr_calloc(memory, 1, sizeof *r);
    if (!r)
        return mbr_no_memory(err, sizeof *r);
    r->memory = memory;
    r->t = (mbr_phases){ .memory = memory, .up = 1, .down = 1, .taps = 1 };
    mbr_status st = rate == o.rate ? MBR_OK : mbr_phases_make(memory, &o, rate, &r->t, err);
    r->digest = mbr_resampling_digest(&r->t, &o);
    if (st == MBR_OK)
        *out = r;
    else
        mbr_audio_resampler_release(&r);
    return st;
}

void mbr_audio_resampler_release(mbr_audio_resampler **resampler)
{
    if (!resampler || !*resampler)
        return;
    mbr_audio_resampler *r = *resampler;
    *resampler = NULL;
    mbr_phases_free(&r->t);
    mbr_free(r->memory, r->held);
    mbr_free(r->memory, r->out);
    mbr_free(r->memory, r);
}

void mbr_audio_resampler_reset(mbr_audio_resampler *r)
{
    r->at = (mbr_resampling){ 0 };
    r->ready = 0;
    r->taken = r->ended = false;
}

/* Room for the results that are due behind those that are ready. */
static mbr_status emit(mbr_audio_resampler *r, bool ended, mbr_error *err)
{
    int64_t due = mbr_phases_due(&r->t, &r->at, ended);
    size_t total;
    if (due <= 0)
        return MBR_OK;
    if (!mbr_add_size(r->ready, (size_t)due, &total))
        return mbr_no_memory(err, SIZE_MAX);
    MBR_TRY(mbr_audio_reserve(r->memory, &r->out, r->ready, total, err));
    mbr_phases_some(&r->t, &r->at, r->held, due, r->out + r->ready);
    r->ready = total;
    return MBR_OK;
}

static void drop_taken(mbr_audio_resampler *r)
{
    r->ready = r->taken ? 0 : r->ready;
    r->taken = false;
}

mbr_status mbr_audio_resampler_push(mbr_audio_resampler *r, const float *samples, size_t count, mbr_error *err)
{
    size_t held = (size_t)(r->at.count - r->at.first), total;
    if (!samples && count)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_audio_resampler_push: the samples are NULL");
    drop_taken(r);
    if (r->ended)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "samples after the end of a stream; reset it first");
    if (count == 0)
        return MBR_OK;
    int64_t most = MBR_RESAMPLING_MOST(&r->t);
    bool same = !r->t.first;
    if (count > (size_t)(most - r->at.count) || !mbr_add_size(same ? r->ready : held, count, &total))
        return mbr_fail(err, MBR_ERR_LIMIT, "a stream of more samples than can be counted; reset it");
    MBR_TRY(mbr_audio_reserve(r->memory, same ? &r->out : &r->held, same ? r->ready : held, total, err));
    memcpy(same ? r->out + r->ready : r->held + held, samples, count * sizeof *samples);
    r->at.count += (int64_t)count;
    if (same) {
        r->ready = total;
        r->at.first = r->at.base = r->at.count;
        return MBR_OK;
    }
    mbr_status st = emit(r, false, err);
    if (st != MBR_OK) {
        r->at.count -= (int64_t)count;
        return st;
    }
    size_t gone = (size_t)mbr_phases_forget(&r->t, &r->at);
    if (gone)
        memmove(r->held, r->held + gone, (size_t)(r->at.count - r->at.first) * sizeof *r->held);
    return MBR_OK;
}

mbr_status mbr_audio_resampler_end(mbr_audio_resampler *r, mbr_error *err)
{
    drop_taken(r);
    if (r->ended)
        return MBR_OK;
    if (r->t.first)
        MBR_TRY(emit(r, true, err));
    r->ended = true;
    return MBR_OK;
}

void mbr_audio_resampler_take(mbr_audio_resampler *r, const float **samples, size_t *count)
{
    drop_taken(r);
    *samples = r->out;
    *count = r->ready;
    r->taken = true;
}

/* ---- saved ---- */

mbr_status mbr_audio_resampler_save(const mbr_audio_resampler *r, mbr_write_fn write, void *user, mbr_error *err)
{
    mbr_out out = { 0 };
    if (!r || !write || (r->ready && !r->taken))
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_audio_resampler_save: a pointer is NULL, or samples are ready that "
                        "were not taken");
    mbr_snapshot_begin(&out, r->memory);
    mbr_out_u64(&out, r->digest);
    mbr_out_u64(&out, r->ended);
    mbr_resampling_write(&r->at, r->held, &out);
    mbr_status st = mbr_snapshot_end(&out, err);
    if (st == MBR_OK && (st = write(user, (const char *)out.data, out.used)) != MBR_OK)
        st = mbr_fail(err, st, "mbr_audio_resampler_save: stopped by the caller");
    mbr_out_free(&out);
    return st;
}

mbr_status mbr_audio_resampler_restore(mbr_audio_resampler *r, const void *bytes, size_t size, mbr_error *err)
{
    static const char name[] = "state of a resampler";
    mbr_in in;
    if (!r || (!bytes && size))
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_audio_resampler_restore: a pointer is NULL");
    mbr_audio_resampler_reset(r);
    MBR_TRY(mbr_snapshot_open(&in, bytes, size, name, err));
    if (mbr_in_u64(&in) != r->digest)
        return mbr_fail(err, MBR_ERR_INPUT, "%s: it is of other rates or options", name);
    bool ended = mbr_in_range(&in, 0, 1) != 0;
    MBR_TRY(mbr_audio_reserve(r->memory, &r->held, 0, (size_t)r->t.taps, err));
    mbr_resampling_read(&r->t, &r->at, r->held, &in);
    mbr_status st = mbr_snapshot_close(&in, name, err);
    r->ended = ended && st == MBR_OK;
    if (st != MBR_OK)
        mbr_audio_resampler_reset(r);
    return st;
}
