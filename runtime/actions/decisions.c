/* SPDX-License-Identifier: BSD-2-Clause */
/* Decisions of a decider: its memory of keys, the log that it shares, and a batch made, numbered and logged. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "runtime/actions/actions.h"

#include "base/env.h"
#include "base/filemap.h"
#include "mbr/decision_log.h"
#include "runtime/deadline/clock.h"

#include <math.h>
#include <string.h>

#define MOST_HEAD 192 /* bytes of a record before its row */

/* A log that deciders of one pipeline write together. */
typedef struct mbr_shared_log {
    struct mbr_shared_log *next;
    mbr_log *log;
    int users;
    char path[];
} mbr_shared_log;

/* ---- the memory of keys ---- */

static mbr_hash key_of(const mbr_decider *d, int column, int row)
{
    const mbr_lane *lane = &d->rows.lanes[column];
    if (d->rows.cols[column].type == MBR_COL_STRING) {
        const mbr_string *s = &lane->str[row];
        return s->data ? mbr_hash_bytes(s->data, s->size, d->pipeline->actions_of->seed) : (mbr_hash){ 0, 1 };
    }
    double x = lane->num[row];
    if (isnan(x))
        return (mbr_hash){ 0, 1 };
    x = x == 0.0 ? 0.0 : x; /* one key for both zeros */
    return mbr_hash_bytes(&x, sizeof x, d->pipeline->actions_of->seed);
}

/* Of a late or broken row only the inputs count: its features are there or not as time allowed, which no replay knows. */
static bool untold(const mbr_decider *d, int column, int row)
{
    mbr_cause cause = d->heads[row].cause;
    return column >= d->pipeline->input_count && (cause == MBR_CAUSE_LATE || cause == MBR_CAUSE_INPUT);
}

mbr_keep *mbr_decider_keep(mbr_decider *d, int keeps, int row)
{
    int column = d->pipeline->actions_of->keep_keys[keeps];
    mbr_hash key = column < 0 ? (mbr_hash){ 0, 0 } : untold(d, column, row) ? (mbr_hash){ 0, 1 } : key_of(d, column, row);
    return mbr_keeps_use(&d->actions->keeps[keeps], key);
}

/* Seconds by the clock of the limits. A row without a time comes at the time of the row before. */
static double now_of(mbr_decider *d, int row)
{
    int clock = d->pipeline->actions_of->clock;
    double now = clock < 0 ? (double)d->heads[row].time / 1e6 : d->rows.lanes[clock].num[row];
    if (!isnan(now) && (clock < 0 || !untold(d, clock, row)))
        d->actions->time = now;
    return d->actions->time;
}

/* All limits of an action allow it; *cause: which does not. */
static bool allowed(mbr_decider *d, int row, const mbr_action_limits *a, double now, mbr_cause *cause)
{
    mbr_keep *keeps[MBR_MOST_CAPS + 1];
    for (int i = 0; i < a->count; i++) {
        const mbr_limit *l = &a->limits[i];
        keeps[i] = mbr_decider_keep(d, l->keeps, row);
        if (l->most > 0 ? !mbr_bucket_has(keeps[i], now, l->most, l->per) : mbr_cooling(keeps[i], now, l->per)) {
            *cause = l->most > 0 ? MBR_CAUSE_CAP : MBR_CAUSE_COOL_DOWN;
            return false;
        }
    }
    for (int i = 0; i < a->count; i++)
        if (a->limits[i].most > 0)
            mbr_bucket_take(keeps[i]);
        else
            mbr_cooling_begin(keeps[i], now);
    return true;
}

int mbr_decider_limit(mbr_decider *d, int row, int action, mbr_cause *cause)
{
    const mbr_action_limits *limits = d->pipeline->actions_of->limits;
    if (!limits[action].count)
        return action;
    double now = now_of(d, row);
    while (limits[action].count && !allowed(d, row, &limits[action], now, cause))
        action = limits[action].instead;
    return action;
}

/* ---- as a file ---- */

void mbr_decider_put_keeps(const mbr_decider *d, mbr_out *o)
{
    int tables = d->pipeline->actions_of->keeps;
    mbr_out_u64(o, (uint64_t)tables);
    mbr_out_f64(o, d->actions->time);
    for (int i = 0; i < tables; i++) {
        const mbr_keeps *k = &d->actions->keeps[i];
        mbr_out_u64(o, (uint64_t)k->count);
        for (int at = k->oldest; at >= 0; at = k->items[at].newer) {
            const mbr_keep *keep = &k->items[at];
            mbr_out_u64(o, keep->key.a);
            mbr_out_u64(o, keep->key.b);
            mbr_out_u64(o, (uint64_t)keep->on | (uint64_t)keep->begun << 1);
            mbr_out_f64(o, keep->time);
            mbr_out_f64(o, keep->left);
        }
    }
}

mbr_status mbr_decider_take_keeps(mbr_decider *d, mbr_in *in, mbr_error *err)
{
    int tables = d->pipeline->actions_of->keeps;
    if (mbr_in_u64(in) != (uint64_t)tables)
        return mbr_fail(err, MBR_ERR_INPUT, "the saved state is of a pipeline with other limits");
    d->actions->time = mbr_in_f64(in);
    in->bad |= isnan(d->actions->time);
    for (int i = 0; i < tables; i++) {
        mbr_keeps *k = &d->actions->keeps[i];
        mbr_keeps_clear(k);
        for (uint64_t n = mbr_in_count(in, SIZE_MAX, 40); n && !in->bad; n--) {
            mbr_hash key = { mbr_in_u64(in), 0 };
            key.b = mbr_in_u64(in);
            uint64_t bits = mbr_in_range(in, 0, 3);
            mbr_keep *keep = mbr_keeps_use(k, key);
            keep->on = bits & 1;
            keep->begun = bits >> 1;
            keep->time = mbr_in_f64(in);
            keep->left = mbr_in_f64(in);
            in->bad |= isnan(keep->time) || isnan(keep->left);
        }
    }
    return MBR_OK;
}

/* ---- causes ---- */

void mbr_decider_note_causes(mbr_decider *d)
{
    for (int i = 0; i < d->rows.count; i++)
        if (d->rows.fault[i] && !d->heads[i].cause)
            d->heads[i].cause = MBR_CAUSE_INPUT;
}

void mbr_decider_repeat_faults(mbr_decider *d)
{
    for (int i = 0; i < d->rows.count; i++)
        if (d->heads[i].late)
            mbr_rows_fail(&d->rows, i, "%s", d->heads[i].late);
}

bool mbr_decider_model_failed(mbr_decider *d, mbr_status st, const mbr_error *why)
{
    if (!(d->pipeline->model_fallback && st != MBR_ERR_INTERNAL) && !d->actions->shared)
        return false;
    for (int i = 0; i < d->rows.count; i++) {
        if (d->rows.fault[i] || d->done[i] || d->skipped[i])
            continue;
        d->heads[i].cause = MBR_CAUSE_MODEL;
        mbr_rows_fail(&d->rows, i, "model: %s", why ? why->text : mbr_status_name(st));
    }
    return true;
}

/* ---- the log ---- */

void mbr_pipeline_know_model(mbr_pipeline *p)
{
    mbr_filemap map;
    mbr_pipeline_actions *a = p->actions_of;
    pthread_mutex_lock(&a->lock);
    if (!a->model_known && p->model_path && mbr_filemap_open(&map, p->memory, p->model_path, NULL) == MBR_OK) {
        a->model = mbr_hash_bytes(map.data, map.size, (mbr_hash){ 0, 0 });
        mbr_filemap_close(&map);
    }
    if (!a->model_known) {
        mbr_line o = { .text = a->hashes, .capacity = sizeof a->hashes };
        mbr_line_text(&o, ",\"pipeline\":");
        mbr_line_hash(&o, p->hash);
        mbr_line_text(&o, ",\"model\":");
        mbr_line_hash(&o, a->model);
        a->hashes[o.used] = '\0';
    }
    a->model_known = true;
    pthread_mutex_unlock(&a->lock);
}

static mbr_status open_shared(mbr_pipeline *p, const char *path, mbr_shared_log **out, mbr_error *err)
{
    mbr_pipeline_actions *a = p->actions_of;
    mbr_log_config config = a->log;
    mbr_shared_log *s;
    mbr_status st = MBR_OK;
    mbr_pipeline_know_model(p);
    pthread_mutex_lock(&a->lock);
    s = a->logs;
    while (s && strcmp(s->path, path) != 0 && !mbr_log_is(s->log, path))
        s = s->next;
    if (!s) {
        size_t n = strlen(path) + 1;
        s = mbr_calloc(p->memory, 1, sizeof *s + n);
        st = s ? MBR_OK : mbr_no_memory(err, sizeof *s + n);
        if (s) {
            memcpy(s->path, path, n);
            config.path = s->path;
            st = mbr_log_open(p->memory, &config, &s->log, err);
        }
        if (st == MBR_OK) {
            s->next = a->logs;
            a->logs = s;
        } else {
            mbr_free(p->memory, s);
        }
    }
    if (st == MBR_OK) {
        s->users++;
        *out = s;
    }
    pthread_mutex_unlock(&a->lock);
    return st;
}

static void close_shared(mbr_pipeline *p, mbr_shared_log *s)
{
    mbr_pipeline_actions *a = p->actions_of;
    pthread_mutex_lock(&a->lock);
    if (--s->users == 0) {
        mbr_shared_log **link = &a->logs;
        while (*link != s)
            link = &(*link)->next;
        *link = s->next;
        mbr_log_close(&s->log);
        mbr_free(p->memory, s);
    }
    pthread_mutex_unlock(&a->lock);
}

mbr_status mbr_decider_begin_actions(mbr_decider *d, const char *path, mbr_error *err)
{
    mbr_pipeline *p = d->pipeline;
    const mbr_pipeline_actions *all = p->actions_of;
    size_t batch = (size_t)d->batch;
    mbr_decider_actions *a = mbr_arena_calloc(&d->arena, 1, sizeof *a);
    if (!a)
        return mbr_no_memory(err, sizeof *a);
    d->actions = a;
    a->out.memory = a->rests.memory = d->memory;
    a->next = 1;
    a->made = mbr_arena_calloc(&d->arena, batch, sizeof *a->made);
    a->ends = mbr_arena_calloc(&d->arena, batch, sizeof *a->ends);
    a->ids = mbr_arena_calloc(&d->arena, batch, sizeof *a->ids);
    a->scores = mbr_arena_calloc(&d->arena, batch * (size_t)p->score_count + 1, sizeof *a->scores);
    a->keeps = mbr_arena_calloc(&d->arena, (size_t)all->keeps + 1, sizeof *a->keeps);
    a->texts = mbr_arena_calloc(&d->arena, batch * (size_t)p->text_count + 1, sizeof *a->texts);
    if (!a->made || !a->ends || !a->ids || !a->scores || !a->keeps || !a->texts)
        return mbr_no_memory(err, batch * (sizeof *a->made + sizeof *a->ids));
    for (int i = 0; i < all->keeps; i++)
        MBR_TRY(mbr_keeps_init(&a->keeps[i], &d->arena, all->keep_keys[i] < 0 ? 1 : all->keys, err));
    path = path ? path : all->log.path;
    if (!path || !*path) {
        d->options.log_path = "";
        return MBR_OK;
    }
    MBR_TRY(open_shared(p, path, &a->shared, err));
    d->options.log_path = a->shared->path; /* of its forks */
    return MBR_OK;
}

void mbr_decider_end_actions(mbr_decider *d)
{
    if (!d->actions)
        return;
    if (d->actions->shared)
        close_shared(d->pipeline, d->actions->shared);
    mbr_line_free(&d->actions->out);
    mbr_line_free(&d->actions->rests);
}

bool mbr_pipeline_remembers(const mbr_pipeline *p)
{
    bool any = p->actions_of->keeps > 0 || p->state;
    for (int i = 0; i < p->feature_count; i++)
        any |= p->features[i].kind->keeper != NULL;
    for (int i = 0; i < p->post_count; i++)
        any |= p->posts[i].kind->keeper != NULL;
    return any;
}

static void make_id(const mbr_decider *d, uint64_t seq, int64_t time, const char *id, char *to)
{
    mbr_hash seed = d->pipeline->hash;
    uint64_t words[2] = { seq, (uint64_t)time };
    if (id)
        seed = mbr_hash_bytes(id, strlen(id), seed);
    mbr_format_hash(to, mbr_hash_bytes(words, sizeof words, seed));
}

/* Reasons stand in one place for all rows: they are copied. */
bool mbr_decider_make(mbr_decider *d, int row)
{
    mbr_decider_actions *a = d->actions;
    mbr_decision *made = &a->made[row];
    mbr_decider_decide(d, row, a->scores + (size_t)row * (size_t)d->pipeline->score_count, made);
    if (!made->reason_count)
        return true;
    size_t bytes = (size_t)made->reason_count * sizeof *made->reasons;
    void *copy = mbr_pool_alloc(&d->rows.pool, bytes);
    if (copy)
        made->reasons = memcpy(copy, made->reasons, bytes);
    return copy != NULL;
}

void mbr_decider_number(mbr_decider *d, int row, uint64_t seq)
{
    mbr_decision *made = &d->actions->made[row];
    make_id(d, seq, d->heads[row].time, made->id, d->actions->ids[row]);
    made->decision_id = d->actions->ids[row];
}

static mbr_status make_batch(mbr_decider *d, mbr_error *err)
{
    mbr_decider_actions *a = d->actions;
    for (int i = 0; i < d->rows.count; i++)
        if (!mbr_decider_make(d, i))
            return mbr_no_memory(err, sizeof(mbr_reason));
    mbr_clock_lap(d->clock, MBR_STAGE_RULES);
    a->rests.used = a->out.used = 0;
    a->rests.failed = a->out.failed = false;
    for (int i = 0; a->shared && i < d->rows.count; i++) {
        mbr_decider_write_rest(d, i, &a->rests);
        a->ends[i] = a->rests.used;
    }
    /* Room for the heads, too: the log does not wait for that. */
    if (a->shared && !a->rests.failed)
        (void)mbr_line_room(&a->out, a->rests.used + (size_t)d->rows.count * MOST_HEAD);
    return a->rests.failed || a->out.failed ? mbr_no_memory(err, a->rests.capacity) : MBR_OK;
}

/* The records, once their numbers are known; the log is the caller's meanwhile, and others wait for it. */
static mbr_status number_batch(mbr_decider *d, uint64_t seq, uint64_t stream, mbr_error *err)
{
    mbr_decider_actions *a = d->actions;
    for (int i = 0; i < d->rows.count; i++) {
        size_t begin = a->out.used, from = i ? a->ends[i - 1] : 0;
        mbr_decider_number(d, i, seq + (uint64_t)i);
        mbr_decider_write_head(d, i, seq + (uint64_t)i, stream, &a->out);
        mbr_line_bytes(&a->out, a->rests.text + from, a->ends[i] - from);
        if (a->out.used - begin > MBR_LOG_MOST_RECORD)
            return mbr_fail(err, MBR_ERR_LIMIT, "row %llu: its record has %zu bytes, and no log has more than %zu in one; "
                            "nothing was decided", (unsigned long long)d->heads[i].row, a->out.used - begin,
                            MBR_LOG_MOST_RECORD);
    }
    return a->out.failed ? mbr_no_memory(err, a->out.capacity) : MBR_OK;
}

static mbr_status decide_logged(mbr_decider *d, mbr_error *err)
{
    mbr_decider_actions *a = d->actions;
    uint64_t count = (uint64_t)d->rows.count;
    if (a->broken)
        return mbr_fail(err, MBR_ERR_IO, "%s: the log could not be written earlier, and what this decider remembers is ahead "
                        "of it; release it and make a new one", a->shared->path);
    mbr_status st = make_batch(d, err);
    uint64_t seq = mbr_log_begin(a->shared->log), stream = a->stream ? a->stream : seq;
    if (st == MBR_OK)
        st = number_batch(d, seq, stream, err);
    bool whole = st == MBR_OK && count;
    mbr_status end = mbr_log_end(a->shared->log, a->out.text, whole ? a->out.used : 0, whole ? count : 0,
                                 whole ? d->heads[0].time : 0, err);
    st = st == MBR_OK ? end : st;
    if (st == MBR_OK)
        a->stream = stream;
    else
        a->broken = mbr_pipeline_remembers(d->pipeline);
    mbr_clock_lap(d->clock, MBR_STAGE_LOG);
    return st;
}

mbr_status mbr_decider_decide_batch(mbr_decider *d, mbr_error *err)
{
    mbr_status st = d->actions->shared ? decide_logged(d, err) : make_batch(d, err);
    for (int i = 0; !d->actions->shared && i < d->rows.count; i++)
        mbr_decider_number(d, i, d->actions->next + (uint64_t)i);
    d->actions->next += (uint64_t)d->rows.count;
    if (d->clock)
        mbr_clock_end(d->clock);
    return st;
}

mbr_status mbr_decider_log_facts(mbr_decider *d, mbr_log_facts *facts)
{
    mbr_log_facts f = { .size = facts ? facts->size : 0 };
    if (!d || !facts || facts->size < sizeof(size_t))
        return MBR_ERR_ARGUMENT;
    if (d->actions->shared) {
        f.path = d->actions->shared->path;
        mbr_log_counts(d->actions->shared->log, &f.written, &f.lost);
    }
    memcpy(facts, &f, f.size < sizeof f ? f.size : sizeof f);
    return MBR_OK;
}
