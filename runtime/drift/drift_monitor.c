/* SPDX-License-Identifier: BSD-2-Clause */
/* Monitors: making them, rows in, windows closed, levels up and down, labels. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "runtime/drift/drift_impl.h"

#include "base/checked.h"
#include "base/filemap.h"
#include "runtime/rows/text.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- making ---- */

static mbr_status copy_text(mbr_arena *arena, const char **text, mbr_error *err)
{
    if (!*text)
        return MBR_OK;
    const char *copy = mbr_arena_strdup(arena, *text);
    if (!copy)
        return mbr_no_memory(err, strlen(*text) + 1);
    *text = copy;
    return MBR_OK;
}

static mbr_status copy_actions(mbr_drift_monitor *m, mbr_error *err)
{
    mbr_drift_options *o = &m->options;
    mbr_drift_action *actions = mbr_arena_calloc(&m->arena, (size_t)o->action_count + 1, sizeof *actions);
    if (!actions)
        return mbr_no_memory(err, (size_t)o->action_count * sizeof *actions);
    for (int i = 0; i < o->action_count; i++) {
        mbr_drift_action *a = &actions[i];
        *a = o->actions[i];
        a->at_least = a->at_least == MBR_DRIFT_OK ? MBR_DRIFT_ALARM : a->at_least;
        a->timeout_ms = a->timeout_ms > 0 ? a->timeout_ms : 5000;
        if ((unsigned)a->kind > MBR_DRIFT_ACTION_RETRAIN || (unsigned)a->at_least > MBR_DRIFT_ALARM)
            return mbr_fail(err, MBR_ERR_ARGUMENT, "action %d has no valid kind or level", i + 1);
        if (a->kind == MBR_DRIFT_ACTION_COMMAND && (!a->argv || !a->argv[0]))
            return mbr_fail(err, MBR_ERR_ARGUMENT, "action %d: a command needs at least the name of a program", i + 1);
        if (a->kind == MBR_DRIFT_ACTION_WEBHOOK &&
            (!a->target || (strncmp(a->target, "http://", 7) != 0 && strncmp(a->target, "https://", 8) != 0)))
            return mbr_fail(err, MBR_ERR_ARGUMENT, "action %d: a webhook needs a URL that begins with http:// or "
                            "https://", i + 1);
        if (a->kind == MBR_DRIFT_ACTION_RETRAIN && !a->target)
            return mbr_fail(err, MBR_ERR_ARGUMENT, "action %d: a retrain file needs a path", i + 1);
        MBR_TRY(copy_text(&m->arena, &a->target, err));
        size_t count = 0;
        while (a->kind == MBR_DRIFT_ACTION_COMMAND && a->argv[count])
            count++;
        const char **argv = mbr_arena_calloc(&m->arena, count + 2, sizeof *argv); /* one more for the event */
        if (!argv)
            return mbr_no_memory(err, (count + 2) * sizeof *argv);
        for (size_t k = 0; k < count; k++) {
            argv[k] = a->argv[k];
            MBR_TRY(copy_text(&m->arena, &argv[k], err));
        }
        a->argv = argv;
    }
    o->actions = actions;
    return MBR_OK;
}

static mbr_status read_options(mbr_drift_monitor *m, const mbr_drift_options *from, bool bare, mbr_error *err)
{
    mbr_drift_options *o = &m->options;
    if (from && from->size < sizeof(size_t))
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_drift_options.size is not set; set it to sizeof(mbr_drift_options)");
    if (from)
        memcpy(o, from, mbr_min_size(from->size, sizeof *o));
    if (bare) {
        o->state_path = NULL;
        o->action_count = 0;
        o->on_event = NULL;
        o->accumulate = 1;
    }
    bool by_time = o->window_seconds > 0.0;
    o->window_rows = o->window_rows ? o->window_rows : by_time ? UINT64_MAX : 2000;
    o->least_rows = o->least_rows ? o->least_rows : 50;
    o->least_rows = o->least_rows < o->window_rows ? o->least_rows : o->window_rows;
    o->whole = o->whole ? o->whole : 10000;
    o->warn = o->warn != 0.0 ? o->warn : 0.005;
    o->alarm = o->alarm != 0.0 ? o->alarm : 0.001;
    o->least_distance = o->least_distance != 0.0 ? o->least_distance : 0.02;
    o->clear_after = o->clear_after ? o->clear_after : 3;
    o->save_rows = o->save_rows ? o->save_rows : 10000;
    o->pending = o->pending ? o->pending : 65536;
    o->whole = o->sample ? o->sample : o->whole;
    if (o->window_seconds < 0.0 || isnan(o->window_seconds) || !(o->warn > 0.0 && o->warn < 1.0) ||
        !(o->alarm > 0.0 && o->alarm <= o->warn) || !(o->least_distance > 0.0 && o->least_distance < 1.0) ||
        o->clear_after < 0 || (o->sample && o->sample < 100) || o->pending < 1 || o->pending > 1 << 24 || o->action_count < 0 ||
        (o->action_count && !o->actions) || (unsigned)o->control > MBR_DRIFT_BONFERRONI)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "an option of the monitor is out of bounds: levels and least_distance "
                        "lie between 0 and 1, alarm is not above warn, counts are not negative, a sample has at least "
                        "100 rows");
    MBR_TRY(copy_text(&m->arena, &o->state_path, err));
    return copy_actions(m, err);
}

static mbr_status make_arrays(mbr_drift_monitor *m, mbr_error *err)
{
    const mbr_drift_baseline *b = m->baseline;
    size_t cols = (size_t)b->col_count, pending = (size_t)m->options.pending;
    m->waiting_slots = 16;
    while (m->waiting_slots < 2 * pending)
        m->waiting_slots *= 2;
    size_t pairs = (size_t)b->related_count * (size_t)b->related_count / 2;
    m->judged.results = mbr_arena_calloc(&m->store, cols, sizeof *m->judged.results);
    m->judging.results = mbr_arena_calloc(&m->store, cols, sizeof *m->judging.results);
    m->correlations = mbr_arena_calloc(&m->store, pairs + 1, sizeof *m->correlations);
    m->texts = mbr_arena_calloc(&m->store, cols, sizeof *m->texts);
    m->col_states = mbr_arena_calloc(&m->store, cols + MBR_EXTRA_COUNT, sizeof *m->col_states);
    m->timeline = mbr_arena_calloc(&m->store, MBR_DRIFT_TIMELINE, sizeof *m->timeline);
    m->past_psi = mbr_arena_calloc(&m->store, MBR_DRIFT_TIMELINE * cols, sizeof *m->past_psi);
    m->past_ks = mbr_arena_calloc(&m->store, MBR_DRIFT_TIMELINE * cols, sizeof *m->past_ks);
    m->sketches = mbr_arena_calloc(&m->store, 2 * cols, sizeof *m->sketches);
    m->block = mbr_arena_calloc(&m->store, cols, MBR_DRIFT_STRIDE * sizeof *m->block);
    bool labels = b->score >= 0;
    m->waiting = labels ? mbr_arena_calloc(&m->store, m->waiting_slots, sizeof *m->waiting) : NULL;
    m->waiting_order = labels ? mbr_arena_calloc(&m->store, pending, sizeof *m->waiting_order) : NULL;
    if (!m->judged.results || !m->col_states || !m->timeline || !m->past_psi || !m->past_ks || !m->sketches ||
        !m->block || !m->judging.results || !m->correlations || !m->texts || (labels && (!m->waiting || !m->waiting_order)))
        return mbr_no_memory(err, cols * MBR_DRIFT_TIMELINE * 2 * sizeof *m->past_psi);
    for (size_t i = 0; i < 2 * cols; i++) {
        mbr_sketch_init(&m->sketches[i], m->memory, m->options.whole, m->options.seed + i % cols);
        m->sketches[i].sample = m->sketches[i].sampled = m->options.sample > 0;
    }
    for (size_t i = 0; i < cols; i++)
        m->texts[i] = b->cols[i].type == MBR_DRIFT_CATEGORY;
    m->full_sketches = m->sketches + cols;
    MBR_TRY(mbr_window_init(&m->open, m->memory, b, m->options.seed + cols, err));
    MBR_TRY(mbr_window_init(&m->full, m->memory, b, m->options.seed + cols + 2, err));
    return mbr_window_init(&m->last, m->memory, b, m->options.seed + cols + 1, err);
}

static void destroy(mbr_drift_monitor *m)
{
    if (m->actions)
        mbr_actions_free(m);
    mbr_sketch *sketches = m->full_sketches < m->sketches ? m->full_sketches : m->sketches;
    for (int i = 0; sketches && i < 2 * m->baseline->col_count; i++)
        if (sketches[i].memory)
            mbr_sketch_destroy(&sketches[i]);
    mbr_correlating_end(&m->correlating, m->memory);
    mbr_window_destroy(&m->open, m->baseline);
    mbr_window_destroy(&m->full, m->baseline);
    mbr_window_destroy(&m->last, m->baseline);
    mbr_free(m->memory, m->values);
    mbr_free(m->memory, m->weights);
    mbr_free(m->memory, m->places);
    if (m->out.memory)
        mbr_out_free(&m->out);
    mbr_arena_destroy(&m->arena);
    mbr_arena_destroy(&m->store);
    mbr_drift_baseline_release(&m->baseline);
    mbr_free(m->memory, m);
}

mbr_status mbr_drift_monitor_make(mbr_memory *memory, mbr_drift_baseline *baseline, const mbr_drift_options *options,
                                  bool bare, mbr_drift_monitor **out, mbr_error *err)
{
    *out = NULL;
    mbr_drift_monitor *m = mbr_calloc(memory, 1, sizeof *m);
    if (!m)
        return mbr_no_memory(err, sizeof *m);
    m->memory = memory;
    m->baseline = baseline;
    mbr_drift_baseline_retain(baseline);
    mbr_arena_init(&m->arena, m->memory, 0);
    mbr_arena_init(&m->store, m->memory, 0);
    m->histogram = mbr_histogram_best();
    m->clock = (double)NAN;
    m->slice = -1;
    mbr_concept_init(&m->concept);
    mbr_status st = read_options(m, options, bare, err);
    if (st == MBR_OK)
        st = make_arrays(m, err);
    if (st == MBR_OK && !bare)
        st = mbr_actions_new(m, err);
    if (st != MBR_OK) {
        destroy(m);
        return st;
    }
    *out = m;
    return MBR_OK;
}

mbr_status mbr_drift_monitor_new(mbr_drift_baseline *baseline, const mbr_drift_options *options,
                                 mbr_drift_monitor **out, mbr_error *err)
{
    return mbr_drift_monitor_new_in(baseline->memory, baseline, options, out, err);
}

mbr_status mbr_drift_monitor_new_in(mbr_memory *memory, mbr_drift_baseline *baseline, const mbr_drift_options *options,
                                    mbr_drift_monitor **out, mbr_error *err)
{
    mbr_drift_monitor *m;
    *out = NULL;
    MBR_TRY(mbr_drift_monitor_make(memory, baseline, options, false, &m, err));
    const char *path = m->options.state_path;
    if (path && access(path, F_OK) == 0) {
        mbr_status st = mbr_drift_monitor_restore(m, path, err);
        if (st != MBR_OK) {
            destroy(m);
            return st == MBR_ERR_NO_MEMORY ? st : mbr_fail_at(err, st, "the state of the monitor cannot be taken up "
                                                              "(remove the file to begin anew): ");
        }
    }
    *out = m;
    return MBR_OK;
}

void mbr_drift_monitor_release(mbr_drift_monitor **monitor)
{
    if (!monitor || !*monitor)
        return;
    mbr_drift_monitor *m = *monitor;
    *monitor = NULL;
    (void)mbr_drift_settle(m, NULL); /* what a full window says is told, whatever comes after it */
    if (m->options.state_path)
        (void)mbr_drift_monitor_save(m, m->options.state_path, NULL);
    destroy(m);
}

/* ---- events ---- */

const char *mbr_drift_level_name(mbr_drift_level level)
{
    static const char *const names[] = { "ok", "warn", "alarm" };
    return names[level];
}

static void tell_problem(mbr_drift_monitor *m, const char *subject, const char *text)
{
    mbr_drift_event e = { .kind = MBR_DRIFT_EVENT_PROBLEM, .level = m->level, .before = m->level, .subject = subject,
                          .message = text };
    mbr_drift_tell(m, &e);
}

/* Saves what the options ask to save; a failure is told, and the monitor goes on. */
static void save_state(mbr_drift_monitor *m)
{
    mbr_error err;
    m->unsaved = 0;
    if (m->options.state_path && mbr_drift_monitor_save(m, m->options.state_path, &err) != MBR_OK)
        tell_problem(m, m->options.state_path, err.text);
}

/* The test that was least likely without drift: what a change of level is put down to. */
static void blame(const mbr_drift_monitor *m, mbr_drift_event *e, char *subject, size_t room)
{
    const mbr_drift_judged *j = &m->judged;
    const mbr_drift_baseline *b = m->baseline;
    int top = 0;
    for (int i = 1; i < b->col_count; i++)
        if (j->results[i].p < j->results[top].p)
            top = i;
    const mbr_drift_result *r = &j->results[top];
    e->p = r->adjusted;
    e->reason = r->reason;
    bool missing = r->reason && strcmp(r->reason, "missing") == 0;
    e->value = missing && r->rows ? (double)r->missing / (double)r->rows
               : b->cols[top].type == MBR_DRIFT_NUMBER ? r->ks : r->js;
    snprintf(subject, room, "%s", b->cols[top].name);
    if (j->adjusted[MBR_EXTRA_ACCURACY] < e->p) {
        e->p = j->adjusted[MBR_EXTRA_ACCURACY];
        e->reason = "estimated accuracy";
        e->value = j->quality.accuracy;
        snprintf(subject, room, "%s", b->cols[b->score].name);
    }
    if (j->adjusted[MBR_EXTRA_RELATED] < e->p && j->related[0] >= 0) {
        e->p = j->adjusted[MBR_EXTRA_RELATED];
        e->reason = "correlation";
        e->value = j->correlation[1];
        snprintf(subject, room, "%.*s, %s", (int)room / 2, b->cols[j->related[0]].name, b->cols[j->related[1]].name);
    }
    e->subject = subject;
}

/* The monitor's level follows its columns and detectors. */
static void set_level(mbr_drift_monitor *m, mbr_drift_event *e)
{
    mbr_drift_level level = m->concept_level, before = m->level;
    for (int i = 0; i < m->baseline->col_count + MBR_EXTRA_COUNT; i++)
        level = m->col_states[i].level > level ? m->col_states[i].level : level;
    m->level = level;
    e->level = level;
    e->before = before;
    if (level == before)
        return;
    char text[512];
    mbr_drift_event change = *e;
    change.kind = MBR_DRIFT_EVENT_LEVEL;
    if (level > before && e->subject)
        snprintf(text, sizeof text, "drift: %s, from %s: %.150s of %.150s is %.4g, p %.2g", mbr_drift_level_name(level),
                 mbr_drift_level_name(before), e->reason ? e->reason : "value", e->subject, e->value, e->p);
    else
        snprintf(text, sizeof text, "drift: %s, from %s", mbr_drift_level_name(level), mbr_drift_level_name(before));
    change.message = text;
    if (level == MBR_DRIFT_OK)
        m->fallback = false;
    mbr_drift_tell(m, &change);
}

/* ---- windows ---- */

static void remember(mbr_drift_monitor *m, double time)
{
    size_t cols = (size_t)m->baseline->col_count, at = (size_t)((m->windows - 1) % MBR_DRIFT_TIMELINE);
    mbr_drift_past *past = &m->timeline[at];
    *past = (mbr_drift_past){ .number = m->windows, .rows = m->last.rows, .time = time, .level = m->level, .p = 1.0,
                              .top = -1, .accuracy = m->judged.quality.accuracy,
                              .error_rate = m->concept.taken ? mbr_adwin_mean(&m->concept.adwin) : (double)NAN };
    for (size_t i = 0; i < cols; i++) {
        const mbr_drift_result *r = &m->judged.results[i];
        if (r->adjusted < past->p) {
            past->p = r->adjusted;
            past->top = (int)i;
        }
        past->psi = r->psi > past->psi ? r->psi : past->psi;
        past->drifted += r->adjusted < m->options.warn;
        m->past_psi[at * cols + i] = (float)r->psi;
        m->past_ks[at * cols + i] = (float)(m->baseline->cols[i].type == MBR_DRIFT_NUMBER ? r->ks : r->js);
    }
}

static void swap_sketches(mbr_drift_monitor *m)
{
    mbr_sketch *sketches = m->sketches;
    m->sketches = m->full_sketches;
    m->full_sketches = sketches;
}

/* What a window that has been judged sets off. */
static void conclude(mbr_drift_monitor *m)
{
    int cols = m->baseline->col_count;
    mbr_drift_judged judged = m->judging;
    m->judging = m->judged;
    m->judged = judged;
    mbr_window full = m->full;
    m->full = m->last;
    m->last = full;
    m->slice = -1;
    for (int i = 0; i < cols; i++)
        mbr_sketch_clear(&m->full_sketches[i]);
    if (!m->options.spread) /* one of the two is enough, and keeps its memory */
        swap_sketches(m);
    m->has_judged = true;
    m->windows++;
    for (int i = 0; i < cols; i++)
        m->judged.results[i].level = mbr_col_state_step(&m->col_states[i], m->judged.results[i].adjusted, &m->options);
    for (int i = 0; i < MBR_EXTRA_COUNT; i++)
        mbr_col_state_step(&m->col_states[cols + i], m->judged.adjusted[i], &m->options);
    if (m->concept_level != MBR_DRIFT_OK && ++m->concept_quiet >= m->options.clear_after)
        m->concept_level = MBR_DRIFT_OK;
    char subject[300], text[512];
    mbr_drift_event e = { .kind = MBR_DRIFT_EVENT_WINDOW, .window = m->windows, .rows = m->last.rows,
                          .time = m->last.end };
    blame(m, &e, subject, sizeof subject);
    set_level(m, &e);
    snprintf(text, sizeof text, "window %llu of %llu rows: %s; least likely without drift is %.100s of %.200s, p %.2g",
             (unsigned long long)m->windows, (unsigned long long)m->last.rows, mbr_drift_level_name(m->level),
             e.reason ? e.reason : "nothing", e.subject, e.p);
    e.message = text;
    remember(m, m->last.end);
    mbr_drift_tell(m, &e);
    save_state(m);
}

/* The next slices of a full window, at most so many. What fails is tried again by the next call. */
static mbr_status judge(mbr_drift_monitor *m, size_t slices, mbr_error *err)
{
    for (; m->slice >= 0 && slices > 0; slices--) {
        MBR_TRY(mbr_drift_judge(m, m->slice, err));
        if (++m->slice == mbr_drift_slices(m))
            conclude(m);
    }
    return MBR_OK;
}

mbr_status mbr_drift_settle(mbr_drift_monitor *m, mbr_error *err)
{
    return judge(m, SIZE_MAX, err);
}

/* The open window is full: it is judged at once, or with the rows that come. */
static mbr_status close_window(mbr_drift_monitor *m, mbr_error *err)
{
    MBR_TRY(mbr_drift_settle(m, err)); /* the one before it */
    MBR_TRY(mbr_drift_flush(m, err));
    if (m->open.rows < m->options.least_rows || m->open.rows == 0 || m->options.accumulate)
        return MBR_OK;
    m->elapsed = 0.0;
    m->slice = 0;
    mbr_window swap = m->open;
    m->open = m->full;
    m->full = swap;
    mbr_window_clear(&m->open, m->baseline);
    swap_sketches(m);
    return m->options.spread ? MBR_OK : mbr_drift_settle(m, err);
}

mbr_status mbr_drift_monitor_close_window(mbr_drift_monitor *m, mbr_error *err)
{
    MBR_TRY(close_window(m, err));
    return mbr_drift_settle(m, err);
}

/* A step back of less than a window is a row out of order, for which no time has passed. After a longer one the next
 * rows are timed from there. */
static mbr_status advance(mbr_drift_monitor *m, double time, mbr_error *err)
{
    if (!isfinite(time)) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        time = (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
    }
    if (time > m->clock)
        m->elapsed += time - m->clock;
    if (!(m->clock - time < m->options.window_seconds) || time > m->clock)
        m->clock = time;
    if (m->options.window_seconds > 0.0 && m->elapsed >= m->options.window_seconds) {
        MBR_TRY(close_window(m, err));
        m->elapsed = 0.0;
    }
    return MBR_OK;
}

static double place_of(mbr_drift_monitor *m, int index, const mbr_string *text, mbr_status *st, mbr_error *err)
{
    const mbr_base_col *c = &m->baseline->cols[index];
    char room[MBR_DRIFT_TEXT];
    mbr_string counted = *text;
    if (!text->data)
        return (double)NAN;
    bool brief = text->size <= MBR_DRIFT_TEXT;
    uint64_t digest = brief ? mbr_digest(text->data, text->size) : 0;
    size_t place = brief ? mbr_base_col_find_digest(c, digest, text->data, text->size) : c->name_count;
    if (place < c->name_count) /* what the baseline names is sound */
        return (double)place;
    if (!mbr_drift_text(text->data, text->size, room, &counted))
        return (double)(c->name_count + 1);
    if (!brief) {
        digest = mbr_digest(counted.data, counted.size);
        place = mbr_base_col_find_digest(c, digest, counted.data, counted.size);
    }
    if (place == c->name_count && *st == MBR_OK)
        *st = mbr_tally_add_digest(&m->open.cols[index].strange, digest, counted.data, counted.size, 1, err);
    return (double)place;
}

static mbr_status lacks(const mbr_drift_monitor *m, int column, mbr_error *err)
{
    return mbr_fail(err, MBR_ERR_ARGUMENT, "column '%s' has no %s", m->baseline->cols[column].name,
                    m->texts[column] ? "texts" : "numbers");
}

/* One row into the block: decisions come one by one, and few have the time for more than a load and a store a value. */
static mbr_status put_row(mbr_drift_monitor *m, const mbr_drift_cells *cells, mbr_status *st, mbr_error *err)
{
    double *to = m->block + m->fill;
    int cols = m->baseline->col_count;
    for (int i = 0; i < cols; i++, to += MBR_DRIFT_STRIDE)
        if (cells[i].numbers && !m->texts[i])
            *to = *cells[i].numbers;
        else if (cells[i].texts && m->texts[i])
            *to = place_of(m, i, cells[i].texts, st, err);
        else
            return lacks(m, i, err);
    return MBR_OK;
}

static mbr_status put_rows(mbr_drift_monitor *m, const mbr_drift_cells *cells, size_t first, size_t n, mbr_status *st,
                           mbr_error *err)
{
    double *to = m->block + m->fill;
    for (int i = 0; i < m->baseline->col_count; i++, to += MBR_DRIFT_STRIDE) {
        size_t stride = cells[i].stride ? cells[i].stride : 1;
        if (m->texts[i] ? !cells[i].texts : !cells[i].numbers)
            return lacks(m, i, err);
        if (m->texts[i]) {
            for (size_t r = 0; r < n; r++)
                to[r] = place_of(m, i, &cells[i].texts[(first + r) * stride], st, err);
        } else if (stride == 1) {
            memcpy(to, cells[i].numbers + first, n * sizeof *to);
        } else {
            for (size_t r = 0; r < n; r++)
                to[r] = cells[i].numbers[(first + r) * stride];
        }
    }
    return MBR_OK;
}

mbr_status mbr_drift_monitor_rows(mbr_drift_monitor *m, const mbr_drift_cells *cells, size_t rows, double time,
                                  mbr_error *err)
{
    mbr_status st = MBR_OK;
    if (rows)
        MBR_TRY(advance(m, time, err));
    for (size_t first = 0; first < rows;) {
        size_t n = mbr_min_size(rows - first, MBR_DRIFT_BLOCK - m->fill);
        uint64_t left = m->options.accumulate ? UINT64_MAX : m->options.window_rows - (m->open.rows + m->fill);
        n = left < n ? (size_t)left : n;
        MBR_TRY(rows == 1 ? put_row(m, cells, &st, err) : put_rows(m, cells, first, n, &st, err));
        m->open.begin = isnan(m->open.begin) ? m->clock : m->open.begin;
        m->open.end = m->clock;
        m->fill += n;
        m->total_rows += n;
        m->unsaved += n;
        first += n;
        if (m->fill == MBR_DRIFT_BLOCK)
            MBR_TRY(mbr_drift_flush(m, err));
        if (m->slice >= 0)
            MBR_TRY(judge(m, m->options.spread ? n : SIZE_MAX, err));
        if (!m->options.accumulate && m->open.rows + m->fill >= m->options.window_rows)
            MBR_TRY(close_window(m, err));
        if (m->unsaved >= m->options.save_rows)
            save_state(m);
    }
    return st;
}

/* ---- labels ---- */

mbr_status mbr_drift_monitor_outcome(mbr_drift_monitor *m, double score, double label, mbr_error *err)
{
    static const char *const names[MBR_CONCEPT_COUNT] = { "ADWIN", "DDM", "Page-Hinkley" };
    if (isnan(score) || isnan(label))
        return MBR_OK;
    if (label != 0.0 && label != 1.0)
        return mbr_fail(err, MBR_ERR_INPUT, "label %g is not 0 or 1", label);
    double before = mbr_adwin_mean(&m->concept.adwin);
    unsigned found = mbr_concept_step(&m->concept, (score >= m->baseline->threshold) != (label == 1.0));
    for (int i = 0; i < MBR_CONCEPT_COUNT; i++) {
        if (!(found >> i & 1))
            continue;
        char text[200];
        double now = mbr_adwin_mean(&m->concept.adwin);
        snprintf(text, sizeof text, "drift: %s finds that errors have changed, after %llu outcomes; the rate is %.4g, "
                 "it was %.4g", names[i], (unsigned long long)m->concept.taken, now, before);
        mbr_drift_event e = { .kind = MBR_DRIFT_EVENT_CONCEPT, .level = m->level, .before = m->level,
                              .window = m->windows, .time = m->clock, .subject = names[i], .reason = "errors",
                              .value = now, .p = (double)NAN, .message = text };
        mbr_drift_tell(m, &e);
        if (i != MBR_CONCEPT_ADWIN)
            continue; /* only ADWIN bounds its false alarms: the others are told, and do not raise the level */
        m->concept_level = MBR_DRIFT_ALARM;
        m->concept_quiet = 0;
        set_level(m, &e);
    }
    return MBR_OK;
}

static size_t find_waiting(const mbr_drift_monitor *m, uint64_t id)
{
    size_t at = id & (m->waiting_slots - 1);
    while (m->waiting[at].id && m->waiting[at].id != id)
        at = (at + 1) & (m->waiting_slots - 1);
    return at;
}

/* Frees a slot, and moves up those that stand behind it because it was taken. */
static void remove_waiting(mbr_drift_monitor *m, size_t at)
{
    size_t mask = m->waiting_slots - 1;
    m->waiting[at].id = 0;
    for (size_t k = (at + 1) & mask; m->waiting[k].id; k = (k + 1) & mask) {
        size_t home = m->waiting[k].id & mask;
        if (((k - home) & mask) >= ((k - at) & mask)) {
            m->waiting[at] = m->waiting[k];
            m->waiting[k].id = 0;
            at = k;
        }
    }
}

static uint64_t id_of(const char *id)
{
    uint64_t digest = mbr_digest(id, strlen(id));
    return digest ? digest : 1;
}

mbr_status mbr_drift_monitor_predicted(mbr_drift_monitor *m, const char *id, double score, mbr_error *err)
{
    size_t pending = (size_t)m->options.pending;
    if (!m->waiting)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "the baseline has no score: fit it with an output");
    uint64_t key = id_of(id);
    size_t at = find_waiting(m, key);
    if (m->waiting[at].id) { /* the same one again: the newer score counts */
        m->waiting[at].score = score;
        return MBR_OK;
    }
    if (m->waiting_count == pending) {
        /* Labelled ones are only forgotten here, in their turn. */
        size_t oldest = find_waiting(m, m->waiting_order[m->waiting_first]);
        if (m->waiting[oldest].id)
            remove_waiting(m, oldest);
        m->waiting_first = (m->waiting_first + 1) % pending;
        m->waiting_count--;
        at = find_waiting(m, key);
    }
    m->waiting[at] = (mbr_waiting){ key, score };
    m->waiting_order[(m->waiting_first + m->waiting_count++) % pending] = key;
    return MBR_OK;
}

mbr_status mbr_drift_monitor_label(mbr_drift_monitor *m, const char *id, double label, mbr_error *err)
{
    if (!m->waiting)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "the baseline has no score: fit it with an output");
    size_t at = find_waiting(m, id_of(id));
    if (!m->waiting[at].id)
        return mbr_fail(err, MBR_ERR_INPUT, "no prediction of '%.100s' waits for a label: it was never seen, is labelled "
                        "already, or is older than the last %d", id, m->options.pending);
    double score = m->waiting[at].score;
    MBR_TRY(mbr_drift_monitor_outcome(m, score, label, err));
    remove_waiting(m, at);
    return MBR_OK;
}

/* ---- what is known ---- */

mbr_drift_level mbr_drift_monitor_level(const mbr_drift_monitor *m)
{
    return m->level;
}

int mbr_drift_monitor_fallback(const mbr_drift_monitor *m)
{
    return m->fallback;
}

mbr_status mbr_drift_monitor_result(const mbr_drift_monitor *m, int column, mbr_drift_result *result, mbr_error *err)
{
    if (column < 0 || column >= m->baseline->col_count || result->size < sizeof(size_t))
        return mbr_fail(err, MBR_ERR_ARGUMENT, "there is no column %d, or mbr_drift_result.size is not set", column);
    if (!m->has_judged)
        return mbr_fail(err, MBR_ERR_INPUT, "no window has been judged yet");
    size_t size = result->size;
    memcpy(result, &m->judged.results[column], mbr_min_size(size, sizeof *result));
    result->size = size;
    return MBR_OK;
}

mbr_status mbr_drift_monitor_quality(const mbr_drift_monitor *m, mbr_drift_quality *quality, mbr_error *err)
{
    if (quality->size < sizeof(size_t))
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_drift_quality.size is not set");
    if (!m->has_judged && !m->concept.taken)
        return mbr_fail(err, MBR_ERR_INPUT, "no window has been judged yet, and no label has come");
    mbr_drift_quality q = m->judged.quality;
    size_t size = quality->size;
    if (!m->has_judged)
        q.accuracy = q.precision = q.recall = q.f1 = q.auc = q.baseline_accuracy = q.baseline_auc = q.p = (double)NAN;
    q.labelled = m->concept.taken;
    q.error_rate = m->concept.taken ? mbr_adwin_mean(&m->concept.adwin) : (double)NAN;
    q.adwin = m->concept.found[MBR_CONCEPT_ADWIN];
    q.ddm = m->concept.found[MBR_CONCEPT_DDM];
    q.page_hinkley = m->concept.found[MBR_CONCEPT_PAGE_HINKLEY];
    memcpy(quality, &q, mbr_min_size(size, sizeof q));
    quality->size = size;
    return MBR_OK;
}
