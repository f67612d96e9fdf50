/* SPDX-License-Identifier: BSD-2-Clause */
/* What a decider remembers, the model's states and those of steps, as a file and back; forks of it. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "runtime/actions/actions.h"

#include "base/checked.h"
#include "base/filemap.h"
#include "runtime/drift/drift_file.h"

#include <math.h>
#include <string.h>
#include <time.h>

#define MOST_KEY_BYTES ((size_t)1 << 20)

static double clock_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- writing ---- */

/* Times of this machine's clock are kept as ages: the clock begins anew with the machine. */
static void put_streams(const mbr_streams *s, mbr_out *o)
{
    double now = s->how->time < 0 ? clock_now() : 0;
    mbr_out_u64(o, (uint64_t)s->how->count);
    for (int e = 0; e < s->how->count; e++) {
        mbr_out_text(o, s->how->edges[e].name, strlen(s->how->edges[e].name));
        mbr_out_u64(o, (uint64_t)s->how->edges[e].dtype);
    }
    mbr_out_u64(o, s->count);
    for (const mbr_stream *at = s->oldest; at; at = at->newer) {
        mbr_out_text(o, at->key, at->key_size);
        mbr_out_f64(o, at->time - now);
        for (int e = 0; e < s->how->count; e++) {
            const mbr_cell *cell = &at->cells[e];
            mbr_out_u64(o, cell->data != NULL);
            for (int i = 0; cell->data && i < cell->rank; i++)
                mbr_out_u64(o, (uint64_t)cell->dims[i]);
            if (cell->data)
                mbr_out_text(o, cell->data, mbr_cell_count(cell) * mbr_dtype_size(s->how->edges[e].dtype));
        }
    }
}

typedef struct bytes {
    mbr_memory *memory;
    char *data;
    size_t used, capacity;
} bytes;

static mbr_status append(void *user, const char *data, size_t size)
{
    bytes *b = user;
    if (b->used + size > b->capacity) {
        size_t capacity = 2 * b->capacity + size + 256;
        void *grown = mbr_grow(b->memory, b->data, b->used, capacity);
        if (!grown)
            return MBR_ERR_NO_MEMORY;
        b->data = grown;
        b->capacity = capacity;
    }
    if (size)
        memcpy(b->data + b->used, data, size);
    b->used += size;
    return MBR_OK;
}

static int saved_steps(const mbr_decider *d)
{
    int n = 0;
    for (int i = 0; i < mbr_pipeline_step_count(d->pipeline); i++) {
        const mbr_step_keeper *keeper = mbr_pipeline_step(d->pipeline, i)->kind->keeper;
        n += keeper && keeper->save;
    }
    return n;
}

static mbr_status put_steps(const mbr_decider *d, mbr_out *o, mbr_error *err)
{
    bytes b = { .memory = d->memory };
    mbr_status st = MBR_OK;
    mbr_out_u64(o, (uint64_t)saved_steps(d));
    for (int i = 0; st == MBR_OK && i < mbr_pipeline_step_count(d->pipeline); i++) {
        const mbr_step *s = mbr_pipeline_step(d->pipeline, i);
        if (!s->kind->keeper || !s->kind->keeper->save)
            continue;
        b.used = 0;
        st = s->kind->keeper->save(s, d->rows.states[s->index], append, &b, err);
        mbr_out_text(o, s->name, strlen(s->name));
        mbr_out_text(o, s->kind->name, strlen(s->kind->name));
        mbr_out_text(o, b.data, b.used);
    }
    mbr_free(b.memory, b.data);
    return st;
}

static mbr_status put_all(const mbr_decider *d, mbr_out *o, mbr_error *err)
{
    mbr_out_begin(o, d->memory, MBR_DRIFT_KIND_DECIDER);
    mbr_out_text(o, d->pipeline->name, strlen(d->pipeline->name));
    mbr_out_u64(o, d->streams != NULL);
    if (d->streams)
        put_streams(d->streams, o);
    mbr_decider_put_keeps(d, o);
    mbr_status st = put_steps(d, o, err);
    return st == MBR_OK ? mbr_out_end(o, NULL, err) : st;
}

mbr_status mbr_decider_save(const mbr_decider *d, const char *path, mbr_error *err)
{
    mbr_out o = { 0 };
    if (!d || !path)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_decider_save: the decider or the path is NULL");
    mbr_status st = put_all(d, &o, err);
    if (st == MBR_OK)
        st = mbr_write_atomically(path, o.data, o.used, true, err);
    mbr_out_free(&o);
    return st;
}

/* ---- reading ---- */

static const void *take_bytes(mbr_in *in, size_t *size)
{
    *size = mbr_in_count(in, SIZE_MAX, 1);
    const void *at = in->data;
    in->data += *size;
    in->left -= *size;
    return at;
}

static bool take_name(mbr_in *in, const char *want)
{
    mbr_string s = mbr_in_text(in, 4096);
    return !in->bad && s.data && mbr_text_is(s.data, s.size, want);
}

/* The state of one key; false: there is no memory. */
static bool take_stream(mbr_streams *s, mbr_in *in, double now)
{
    mbr_string key = mbr_in_text(in, MOST_KEY_BYTES);
    double time = mbr_in_f64(in) + now;
    bool sound = !in->bad && !isnan(time) && !mbr_streams_find(s, key.data ? key.data : "", key.size);
    mbr_stream *at = sound ? mbr_streams_add(s, key.data ? key.data : "", key.size, time) : NULL;
    in->bad |= !sound;
    for (int e = 0; at && !in->bad && e < s->how->count; e++) {
        const mbr_edge *edge = &s->how->edges[e];
        mbr_cell shape = { .rank = edge->rank };
        size_t size, count, due = 0;
        if (!mbr_in_range(in, 0, 1))
            continue;
        for (int i = 0; i < edge->rank; i++) {
            shape.dims[i] = (int64_t)mbr_in_range(in, 0, INT64_MAX);
            in->bad |= i == edge->axis ? shape.dims[i] != 1 : !edge->free[i] && shape.dims[i] != edge->dims[i];
        }
        const void *data = take_bytes(in, &size);
        in->bad |= !mbr_shape_count(shape.dims, shape.rank, &count) ||
                   !mbr_mul_size(count, mbr_dtype_size(edge->dtype), &due) || due != size || size > s->how->bytes;
        if (!in->bad && !mbr_stream_put(s, at, e, &shape, data, size))
            return false;
    }
    return at || !sound;
}

static mbr_status take_streams(mbr_streams *s, mbr_in *in, mbr_error *err)
{
    double now = s->how->time < 0 ? clock_now() : 0;
    bool fits = mbr_in_u64(in) == (uint64_t)s->how->count;
    for (int e = 0; fits && e < s->how->count; e++)
        fits = take_name(in, s->how->edges[e].name) && mbr_in_u64(in) == (uint64_t)s->how->edges[e].dtype;
    if (!fits)
        return mbr_fail(err, MBR_ERR_INPUT, "the saved state is of a model with other states");
    for (uint64_t n = mbr_in_count(in, SIZE_MAX, 16); n && !in->bad; n--)
        if (!take_stream(s, in, now))
            return mbr_no_memory(err, 0);
    return MBR_OK;
}

static mbr_status take_steps(mbr_decider *d, mbr_in *in, mbr_error *err)
{
    bool fits = mbr_in_u64(in) == (uint64_t)saved_steps(d);
    for (int i = 0; fits && i < mbr_pipeline_step_count(d->pipeline); i++) {
        const mbr_step *s = mbr_pipeline_step(d->pipeline, i);
        const mbr_step_keeper *keeper = s->kind->keeper;
        size_t size;
        if (!keeper || !keeper->save)
            continue;
        fits = take_name(in, s->name) && take_name(in, s->kind->name);
        const void *data = fits ? take_bytes(in, &size) : NULL;
        if (!fits || in->bad)
            break;
        keeper->end(s, d->rows.states[s->index]);
        d->rows.states[s->index] = NULL;
        MBR_TRY(keeper->begin(s, d->memory, &d->rows.states[s->index], err));
        MBR_TRY(keeper->restore(s, d->rows.states[s->index], data, size, err));
    }
    return fits ? MBR_OK : mbr_fail(err, MBR_ERR_INPUT, "the saved state is of a pipeline with other steps");
}

static mbr_status take_all(mbr_decider *d, const void *data, size_t size, const char *name, mbr_error *err)
{
    mbr_in in;
    MBR_TRY(mbr_in_begin(&in, MBR_DRIFT_KIND_DECIDER, data, size, name, NULL, err));
    if (!take_name(&in, d->pipeline->name) || mbr_in_u64(&in) != (d->streams != NULL))
        return mbr_fail(err, MBR_ERR_INPUT, "%s: was saved by another pipeline than '%s'", name, d->pipeline->name);
    while (d->streams && d->streams->oldest)
        mbr_streams_drop(d->streams, d->streams->oldest);
    mbr_status st = d->streams ? take_streams(d->streams, &in, err) : MBR_OK;
    if (st == MBR_OK)
        st = mbr_decider_take_keeps(d, &in, err);
    if (st == MBR_OK)
        st = take_steps(d, &in, err);
    if (st == MBR_OK && (in.bad || in.left))
        st = mbr_fail(err, MBR_ERR_FORMAT, "the saved state is damaged");
    if (st == MBR_OK)
        return MBR_OK;
    while (d->streams && d->streams->oldest)
        mbr_streams_drop(d->streams, d->streams->oldest);
    return mbr_fail_at(err, st, "%s: ", name);
}

mbr_status mbr_decider_restore(mbr_decider *d, const char *path, mbr_error *err)
{
    mbr_filemap map;
    if (!d || !path)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_decider_restore: the decider or the path is NULL");
    MBR_TRY(mbr_filemap_open(&map, d->memory, path, err));
    mbr_status st = take_all(d, map.data, map.size, path, err);
    mbr_filemap_close(&map);
    return st;
}

mbr_status mbr_decider_fork(const mbr_decider *d, mbr_decider **out, mbr_error *err)
{
    mbr_out o = { 0 };
    if (!out)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_decider_fork: out is NULL");
    *out = NULL;
    if (!d)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_decider_fork: the decider is NULL");
    mbr_status st = put_all(d, &o, err);
    if (st == MBR_OK)
        st = mbr_decider_new(d->pipeline, &d->options, out, err);
    if (st == MBR_OK)
        st = take_all(*out, o.data, o.used, "the fork", err);
    if (st != MBR_OK)
        mbr_decider_release(out);
    mbr_out_free(&o);
    return st;
}

/* ---- single keys ---- */

size_t mbr_decider_key_count(const mbr_decider *d)
{
    return d && d->streams ? d->streams->count : 0;
}

int mbr_decider_forget(mbr_decider *d, const char *key, size_t size)
{
    mbr_stream *at = d && d->streams && (key || !size) ? mbr_streams_find(d->streams, key ? key : "", size) : NULL;
    if (at)
        mbr_streams_drop(d->streams, at);
    return at != NULL;
}

mbr_status mbr_decider_fork_key(mbr_decider *d, const char *from, size_t from_size, const char *to, size_t to_size,
                                mbr_error *err)
{
    mbr_stream *old = d && d->streams && from && to ? mbr_streams_find(d->streams, from, from_size) : NULL;
    if (!old)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_decider_fork_key: there is no state of that key");
    mbr_streams *s = d->streams;
    if (from_size == to_size && memcmp(from, to, to_size) == 0)
        return MBR_OK;
    if (mbr_streams_find(s, to, to_size))
        mbr_decider_forget(d, to, to_size);
    if (s->count >= s->how->most && s->oldest == old)
        return mbr_fail(err, MBR_ERR_LIMIT, "mbr_decider_fork_key: there is no room for a second key");
    mbr_stream *copy = mbr_streams_add(s, to, to_size, old->time);
    bool done = copy != NULL;
    for (int e = 0; done && e < s->how->count; e++)
        if (old->cells[e].data)
            done = mbr_stream_put(s, copy, e, &old->cells[e], old->cells[e].data,
                                  mbr_cell_count(&old->cells[e]) * mbr_dtype_size(s->how->edges[e].dtype));
    if (!done && copy)
        mbr_streams_drop(s, copy);
    return done ? MBR_OK : mbr_no_memory(err, 0);
}

size_t mbr_decider_expire(mbr_decider *d, double now)
{
    mbr_streams *s = d ? d->streams : NULL;
    size_t n = 0;
    if (!s)
        return 0;
    if (s->how->time < 0)
        now = clock_now();
    for (mbr_stream *at = s->oldest, *newer; at; at = newer) {
        newer = at->newer;
        if (now - at->time > s->how->expires) {
            mbr_streams_drop(s, at);
            n++;
        }
    }
    return n;
}
