/* SPDX-License-Identifier: BSD-2-Clause */
/* Models with state: rows of one key in order, each key once a run, so that a batch gives what row by row gives. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "runtime/pipeline/decide_state.h"

#include "base/checked.h"
#include "runtime/actions/line.h"
#include "runtime/pipeline/decider.h"
#include "runtime/pipeline/element.h"

#include <string.h>
#include <time.h>

/* ---- the table ---- */

static uint64_t hash_key(const char *s, size_t n)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)s[i]) * UINT64_C(0x100000001b3);
    return h ^ (h >> 29);
}

mbr_stream *mbr_streams_find(const mbr_streams *s, const char *key, size_t size)
{
    uint64_t hash = hash_key(key, size);
    mbr_stream *at = s->slots[hash & s->mask];
    while (at && (at->hash != hash || at->key_size != size || memcmp(at->key, key, size) != 0))
        at = at->chain;
    return at;
}

static void unlink_use(mbr_streams *s, mbr_stream *at)
{
    *(at->newer ? &at->newer->older : &s->newest) = at->older;
    *(at->older ? &at->older->newer : &s->oldest) = at->newer;
}

static void make_newest(mbr_streams *s, mbr_stream *at)
{
    at->newer = NULL;
    at->older = s->newest;
    *(s->newest ? &s->newest->newer : &s->oldest) = at;
    s->newest = at;
}

void mbr_streams_drop(mbr_streams *s, mbr_stream *stream)
{
    mbr_stream **at = &s->slots[stream->hash & s->mask];
    while (*at != stream)
        at = &(*at)->chain;
    *at = stream->chain;
    unlink_use(s, stream);
    for (int i = 0; i < s->how->count; i++)
        mbr_free(s->memory, stream->cells[i].data);
    mbr_free(s->memory, stream);
    s->count--;
}

mbr_stream *mbr_streams_add(mbr_streams *s, const char *key, size_t size, double time)
{
    size_t head = sizeof(mbr_stream) + (size_t)s->how->count * sizeof(mbr_cell), bytes;
    if (s->count >= s->how->most)
        mbr_streams_drop(s, s->oldest);
    mbr_stream *at = mbr_add_size(head, size, &bytes) ? mbr_calloc(s->memory, 1, bytes) : NULL;
    if (!at)
        return NULL;
    at->hash = hash_key(key, size);
    at->time = time;
    at->key = (char *)at + head;
    at->key_size = size;
    if (size)
        memcpy(at->key, key, size);
    at->chain = s->slots[at->hash & s->mask];
    s->slots[at->hash & s->mask] = at;
    make_newest(s, at);
    s->count++;
    return at;
}

bool mbr_stream_put(mbr_streams *s, mbr_stream *stream, int edge, const mbr_cell *shape, const void *data,
                    size_t bytes)
{
    mbr_cell *cell = &stream->cells[edge];
    void *room = cell->data;
    if (!room || mbr_block_bytes(room) < bytes || mbr_block_bytes(room) / 4 > bytes) {
        room = mbr_alloc(s->memory, bytes);
        if (!room)
            return false;
        mbr_free(s->memory, cell->data);
    }
    *cell = *shape;
    cell->data = room;
    if (data && bytes)
        memcpy(room, data, bytes);
    return true;
}

mbr_status mbr_decider_begin_streams(mbr_decider *d, mbr_error *err)
{
    const mbr_model_state *how = d->pipeline->state;
    size_t slots = 16;
    if (!how)
        return MBR_OK;
    mbr_streams *s = mbr_arena_calloc(&d->arena, 1, sizeof *s);
    if (!s)
        return mbr_no_memory(err, sizeof *s);
    s->memory = d->memory;
    s->how = how;
    while (slots < how->most)
        slots *= 2;
    s->slots = mbr_calloc(s->memory, slots, sizeof *s->slots);
    s->mask = slots - 1;
    d->streams = s;
    s->tensors = mbr_arena_calloc(&d->arena, (size_t)how->count, sizeof *s->tensors);
    s->of_row = mbr_arena_calloc(&d->arena, (size_t)d->batch, sizeof *s->of_row);
    if (!s->slots || !s->tensors || !s->of_row)
        return mbr_no_memory(err, slots * sizeof *s->slots);
    for (int i = 0; i < how->count; i++)
        MBR_TRY(mbr_tensor_new(d->pipeline->env, how->edges[i].dtype, how->edges[i].rank, how->edges[i].dims,
                               &s->tensors[i], err));
    return MBR_OK;
}

void mbr_decider_end_streams(mbr_decider *d)
{
    mbr_streams *s = d->streams;
    if (!s)
        return;
    while (s->oldest)
        mbr_streams_drop(s, s->oldest);
    for (int i = 0; s->tensors && i < s->how->count; i++)
        mbr_value_release(&s->tensors[i]);
    mbr_free(s->memory, s->slots);
}

/* ---- which stream a row belongs to ---- */

static double row_time(const mbr_decider *d, int row)
{
    struct timespec now;
    if (d->streams->how->time >= 0)
        return d->rows.lanes[d->streams->how->time].num[row];
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* The key of a row as text; false: it is missing. */
static bool row_key(const mbr_decider *d, int row, char *room, mbr_string *key)
{
    int col = d->streams->how->key;
    *key = (mbr_string){ "", 0 };
    if (col < 0)
        return true;
    if (d->rows.cols[col].type == MBR_COL_STRING) {
        *key = d->rows.lanes[col].str[row];
        return key->data != NULL;
    }
    double x = d->rows.lanes[col].num[row];
    if (isnan(x))
        return false;
    *key = (mbr_string){ room, mbr_format_number(room, x) }; /* whatever the locale: keys are saved */
    return true;
}

/*
 * Finds or makes the stream of a row, in the order of the rows: what is due goes first. *full: the one that would have
 * to go is still needed by a row before this one; run those and ask again.
 */
static bool find_stream(mbr_decider *d, int row, bool *full)
{
    mbr_streams *s = d->streams;
    char room[MBR_NUMBER_TEXT];
    mbr_string key;
    *full = false;
    if (!row_key(d, row, room, &key)) {
        mbr_rows_fail(&d->rows, row, "column '%s' is missing, and it is the key of the model's state",
                      d->rows.cols[s->how->key].name);
        return false;
    }
    double now = row_time(d, row);
    mbr_stream *at = mbr_streams_find(s, key.data, key.size);
    if (at && now - at->time > s->how->expires) {
        *full = at->round >= s->segment;
        if (*full)
            return false;
        mbr_streams_drop(s, at);
        at = NULL;
    }
    if (!at) {
        *full = s->count >= s->how->most && s->oldest->round >= s->segment;
        if (*full)
            return false;
        at = mbr_streams_add(s, key.data, key.size, now);
    }
    if (!at) {
        mbr_rows_fail(&d->rows, row, "out of memory: no room for the state of another key");
        return false;
    }
    unlink_use(s, at);
    make_newest(s, at);
    at->time = isnan(now) ? at->time : now;
    at->round = s->segment; /* in use */
    s->of_row[row] = at;
    return true;
}

/* ---- running ---- */

bool mbr_streams_alike(const mbr_streams *s, int a, int b)
{
    for (int i = 0; i < s->how->count; i++) {
        const mbr_edge *edge = &s->how->edges[i];
        const mbr_cell *x = &s->of_row[a]->cells[i], *y = &s->of_row[b]->cells[i];
        const int64_t *dx = x->data ? x->dims : edge->dims, *dy = y->data ? y->dims : edge->dims;
        if (memcmp(dx, dy, (size_t)edge->rank * sizeof *dx) != 0)
            return false;
    }
    return true;
}

/* Runs rows that have their streams: again and again the first that is left of each. */
static mbr_status run_rounds(mbr_decider *d, int *rows, int n, mbr_error *err)
{
    mbr_streams *s = d->streams;
    mbr_status st = MBR_OK;
    while (n && st == MBR_OK) {
        int kept = 0, count = 0, *round = d->order;
        s->round++;
        for (int i = 0; i < n; i++) {
            mbr_stream *at = s->of_row[rows[i]];
            if (at->round == s->round) {
                rows[kept++] = rows[i];
                continue;
            }
            at->round = s->round;
            round[count++] = rows[i];
        }
        n = kept;
        st = mbr_decider_run_alike(d, round, count, err);
    }
    return st;
}

mbr_status mbr_decider_run_streams(mbr_decider *d, int n, mbr_error *err)
{
    mbr_streams *s = d->streams;
    int first = 0, ready = 0;
    s->segment = ++s->round;
    for (int i = 0; i < n; i++) {
        bool full;
        bool found = find_stream(d, d->sound[i], &full);
        if (full) {
            MBR_TRY(run_rounds(d, d->sound + first, ready, err));
            first = i;
            ready = 0;
            s->segment = ++s->round;
            found = find_stream(d, d->sound[i], &full);
        }
        if (found)
            d->sound[first + ready++] = d->sound[i];
    }
    return run_rounds(d, d->sound + first, ready, err);
}

/* ---- tensors ---- */

/* Parts of a shape before and after an axis; without an axis all is after. */
static void around(const int64_t *dims, int rank, int axis, size_t one, size_t *outer, size_t *inner)
{
    *outer = 1;
    *inner = one;
    for (int i = 0; i < rank; i++)
        if (i < axis)
            *outer *= (size_t)dims[i];
        else if (i > axis)
            *inner *= (size_t)dims[i];
}

static void fill_initial(const mbr_edge *edge, char *to, size_t bytes)
{
    size_t n = bytes / mbr_dtype_size(edge->dtype);
    if (edge->initial == 0)
        memset(to, 0, bytes);
    else
        for (size_t k = 0; k < n; k++)
            mbr_element_store(edge->dtype, to, k, edge->initial);
}

mbr_status mbr_decider_feed_streams(mbr_decider *d, const int *which, int n, mbr_error *err)
{
    mbr_streams *s = d->streams;
    for (int e = 0; e < s->how->count; e++) {
        const mbr_edge *edge = &s->how->edges[e];
        const mbr_cell *first = &s->of_row[which[0]]->cells[e];
        int64_t dims[MBR_MAX_RANK];
        size_t outer, inner;
        memcpy(dims, first->data ? first->dims : edge->dims, sizeof dims);
        around(dims, edge->rank, edge->axis, mbr_dtype_size(edge->dtype), &outer, &inner);
        if (edge->axis >= 0)
            dims[edge->axis] = n;
        MBR_TRY(mbr_tensor_set_shape(s->tensors[e], edge->rank, dims, err));
        char *data = mbr_tensor_data(s->tensors[e]);
        for (int i = 0; i < n; i++) {
            const mbr_cell *cell = &s->of_row[which[i]]->cells[e];
            for (size_t o = 0; o < outer && inner; o++) {
                char *to = data + (o * (size_t)n + (size_t)i) * inner;
                if (cell->data)
                    memcpy(to, (const char *)cell->data + o * inner, inner);
                else
                    fill_initial(edge, to, inner);
            }
        }
        MBR_TRY(mbr_session_bind_input(d->session, edge->input, s->tensors[e], err));
    }
    return MBR_OK;
}

/* Whether an output can be the next state: of n rows, and of a shape that the input takes. */
static mbr_status check_output(const mbr_edge *edge, const mbr_value *v, int n, mbr_error *err)
{
    const int64_t *dims = v ? mbr_tensor_dims(v) : NULL;
    bool fits = v && mbr_tensor_dtype(v) == edge->dtype && mbr_tensor_rank(v) == edge->rank;
    for (int i = 0; fits && i < edge->rank; i++)
        fits = i == edge->axis ? dims[i] == n : edge->free[i] || dims[i] == edge->dims[i];
    if (fits)
        return MBR_OK;
    return mbr_fail(err, MBR_ERR_RUN, "the output that is the next state '%s' does not have its shape", edge->name);
}

static size_t row_bytes(const mbr_edge *edge, const mbr_value *v, int n)
{
    return mbr_tensor_bytes(v) / (size_t)(edge->axis >= 0 ? n : 1);
}

mbr_status mbr_decider_take_streams(mbr_decider *d, const int *which, int n, mbr_error *err)
{
    mbr_streams *s = d->streams;
    size_t bytes = 0;
    for (int e = 0; e < s->how->count; e++) {
        const mbr_value *v = mbr_session_output(d->session, s->how->edges[e].output);
        MBR_TRY(check_output(&s->how->edges[e], v, n, err));
        bytes += row_bytes(&s->how->edges[e], v, n);
    }
    for (int i = 0; i < n; i++) {
        mbr_stream *stream = s->of_row[which[i]];
        bool kept = bytes <= s->how->bytes;
        for (int e = 0; kept && e < s->how->count; e++) {
            const mbr_edge *edge = &s->how->edges[e];
            const mbr_value *v = mbr_session_output(d->session, edge->output);
            const char *data = mbr_tensor_const_data(v);
            mbr_cell shape = { .rank = edge->rank };
            size_t outer, inner;
            memcpy(shape.dims, mbr_tensor_dims(v), (size_t)edge->rank * sizeof *shape.dims);
            if (edge->axis >= 0)
                shape.dims[edge->axis] = 1;
            around(shape.dims, edge->rank, edge->axis, mbr_dtype_size(edge->dtype), &outer, &inner);
            kept = mbr_stream_put(s, stream, e, &shape, NULL, row_bytes(edge, v, n));
            for (size_t o = 0; kept && inner && o < outer; o++)
                memcpy((char *)stream->cells[e].data + o * inner, data + (o * (size_t)n + (size_t)i) * inner, inner);
        }
        if (kept)
            continue;
        mbr_rows_fail(&d->rows, which[i], bytes > s->how->bytes ? "the state of this key would be %zu bytes, more than "
                      "'bytes' of the pipeline; it begins anew" : "out of memory: no room for %zu bytes of state; it "
                      "begins anew", bytes);
        for (int e = 0; e < s->how->count; e++) {
            mbr_free(s->memory, stream->cells[e].data);
            stream->cells[e].data = NULL;
        }
    }
    return MBR_OK;
}
