/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/drift/drift_pipeline.h"

#include "base/checked.h"
#include "base/env.h"
#include "mbr/drift.h"
#include "runtime/actions/actions.h"
#include "runtime/drift/drift_impl.h"

#include <math.h>
#include <string.h>

/* Columns of a baseline and where they are in the pipeline. */
struct mbr_pipeline_drift {
    mbr_drift_baseline *baseline;
    int *from; /* of each of the baseline's columns, in the scope */
    int count;
    int clock; /* column whose times windows go by; -1: the time of the decision */
    mbr_drift_options options;
    mbr_drift_action actions[5];
};

struct mbr_decider_drift {
    const int *from;
    int count, clock;   /* as of the pipeline's */
    double time;        /* by the clock, of the row before; NaN: none had one */
    mbr_drift_cells *cells;
    int cells_of;       /* the row that they begin with; -1: none yet */
    mbr_drift_monitor *monitor;
    mbr_drift_fit *fit; /* instead of it */
    double *labels;     /* (batch) of the fit's last column, 0, 1 or NaN; NULL: none */
    mbr_status status;  /* of the fit */
    mbr_error *err;
};

typedef struct drift_keys {
    mbr_string baseline, state, retrain, webhook, clock;
    const mbr_node *command;
    int64_t window, clear_after, sample;
    double seconds, warn, alarm;
    bool log, fallback;
} drift_keys;

#define KEY(key, kind, must) { .name = #key, .type = kind, .required = must, .offset = offsetof(drift_keys, key) }

static const mbr_param drift_params[] = {
    KEY(baseline, MBR_PARAM_STRING, true), KEY(state, MBR_PARAM_STRING, false), KEY(retrain, MBR_PARAM_STRING, false),
    KEY(webhook, MBR_PARAM_STRING, false), KEY(command, MBR_PARAM_NODE, false), KEY(window, MBR_PARAM_INT, false),
    KEY(clear_after, MBR_PARAM_INT, false), KEY(seconds, MBR_PARAM_NUMBER, false), KEY(warn, MBR_PARAM_NUMBER, false),
    KEY(sample, MBR_PARAM_INT, false), KEY(clock, MBR_PARAM_STRING, false),
    KEY(alarm, MBR_PARAM_NUMBER, false), KEY(log, MBR_PARAM_BOOL, false), KEY(fallback, MBR_PARAM_BOOL, false),
    { .name = NULL }
};

/* ---- the section ---- */

static mbr_status find_columns(mbr_pipeline *p, const mbr_reading *r, const mbr_node *n, mbr_pipeline_drift *drift)
{
    drift->count = mbr_drift_baseline_column_count(drift->baseline);
    drift->from = mbr_arena_calloc(r->arena, (size_t)drift->count + 1, sizeof *drift->from);
    if (!drift->from)
        return mbr_no_memory(r->err, (size_t)drift->count * sizeof *drift->from);
    for (int i = 0; i < drift->count; i++) {
        mbr_drift_column c;
        (void)mbr_drift_baseline_column(drift->baseline, i, &c);
        int at = mbr_scope_find(&p->scope, c.name, strlen(c.name));
        if (at < 0)
            return mbr_node_refuse(r, n, MBR_ERR_INPUT, "'drift': the baseline has a column '%s', which the pipeline does "
                                   "not have; fit it with --pipeline", c.name);
        const mbr_col *col = &p->scope.cols[at];
        if (col->width != 1 || col->type == MBR_COL_TENSOR || (col->type == MBR_COL_STRING) != (c.type == MBR_DRIFT_CATEGORY))
            return mbr_node_refuse(r, n, MBR_ERR_INPUT, "'drift': column '%s' of the baseline is one of %s, in the "
                                   "pipeline it is %s of %d", c.name,
                                   c.type == MBR_DRIFT_CATEGORY ? "texts" : "numbers", mbr_col_type_name(col->type),
                                   col->width);
        drift->from[i] = at;
    }
    return MBR_OK;
}

static mbr_status add_actions(const mbr_reading *r, mbr_pipeline_drift *drift, const drift_keys *keys)
{
    mbr_drift_options *o = &drift->options;
    mbr_drift_action *a = drift->actions;
    if (keys->retrain.data) {
        const char *path = mbr_pipeline_beside(r->arena, r->file, keys->retrain.data);
        if (!path)
            return mbr_no_memory(r->err, keys->retrain.size);
        a[o->action_count++] = (mbr_drift_action){ .kind = MBR_DRIFT_ACTION_RETRAIN, .target = path };
    }
    if (keys->webhook.data)
        a[o->action_count++] = (mbr_drift_action){ .kind = MBR_DRIFT_ACTION_WEBHOOK, .target = keys->webhook.data };
    if (keys->command) {
        mbr_strings words;
        MBR_TRY(mbr_node_strings(r, keys->command, "'command'", &words));
        const char **argv = mbr_arena_calloc(r->arena, words.count + 1, sizeof *argv);
        if (!argv)
            return mbr_no_memory(r->err, (words.count + 1) * sizeof *argv);
        for (size_t i = 0; i < words.count; i++)
            argv[i] = words.items[i].data;
        a[o->action_count++] = (mbr_drift_action){ .kind = MBR_DRIFT_ACTION_COMMAND, .argv = argv };
    }
    if (keys->log)
        a[o->action_count++] = (mbr_drift_action){ .kind = MBR_DRIFT_ACTION_LOG };
    if (keys->fallback)
        a[o->action_count++] = (mbr_drift_action){ .kind = MBR_DRIFT_ACTION_FALLBACK };
    o->actions = a;
    return MBR_OK;
}

mbr_status mbr_pipeline_read_drift(mbr_pipeline *p, const mbr_reading *r, const mbr_node *n)
{
    drift_keys keys;
    if (!n)
        return MBR_OK;
    MBR_TRY(mbr_node_read(r, n, "'drift'", drift_params, NULL, &keys));
    mbr_pipeline_drift *drift = mbr_arena_calloc(r->arena, 1, sizeof *drift);
    const char *path = mbr_pipeline_beside(r->arena, r->file, keys.baseline.data);
    const char *state = keys.state.data ? mbr_pipeline_beside(r->arena, r->file, keys.state.data) : NULL;
    if (!drift || !path || (keys.state.data && !state))
        return mbr_no_memory(r->err, sizeof *drift);
    p->drift = drift;
    if (keys.window < 0 || keys.clear_after < 0 || keys.clear_after > 1000000 ||
        (keys.sample && (keys.sample < 100 || keys.sample > 1000000)))
        return mbr_node_fail(r, n, "'drift': window and clear_after are not negative, a sample has 100 to 1,000,000 rows");
    drift->clock = keys.clock.data ? mbr_scope_find(&p->scope, keys.clock.data, keys.clock.size) : -1;
    if (keys.clock.data && (drift->clock < 0 || p->scope.cols[drift->clock].type != MBR_COL_TIME ||
                            p->scope.cols[drift->clock].width != 1))
        return mbr_node_fail(r, n, "'clock' of 'drift': there is no column '%s' that is a time", keys.clock.data);
    drift->options = (mbr_drift_options){ .size = sizeof drift->options, .window_rows = (uint64_t)keys.window,
                                          .window_seconds = isnan(keys.seconds) ? 0.0 : keys.seconds,
                                          .warn = isnan(keys.warn) ? 0.0 : keys.warn,
                                          .alarm = isnan(keys.alarm) ? 0.0 : keys.alarm,
                                          .clear_after = (int)keys.clear_after, .state_path = state,
                                          .sample = (size_t)keys.sample, .spread = 1 };
    mbr_status st = mbr_drift_baseline_open(p->env, path, &drift->baseline, r->err);
    if (st != MBR_OK)
        return mbr_fail_at(r->err, st, "%s:%d: drift: ", r->file, n->line);
    MBR_TRY(find_columns(p, r, n, drift));
    return add_actions(r, drift, &keys);
}

void mbr_pipeline_drop_drift(mbr_pipeline *p)
{
    if (p->drift)
        mbr_drift_baseline_release(&p->drift->baseline);
}

/* ---- deciders ---- */

static mbr_decider_drift *attach(mbr_decider *d, const int *from, int count)
{
    mbr_decider_drift *drift = mbr_arena_calloc(&d->arena, 1, sizeof *drift);
    if (!drift)
        return NULL;
    drift->from = from;
    drift->count = count;
    drift->clock = -1;
    drift->time = (double)NAN;
    drift->cells_of = -1;
    drift->cells = mbr_arena_calloc(&d->arena, (size_t)count + 1, sizeof *drift->cells);
    return drift->cells ? drift : NULL;
}

mbr_status mbr_decider_begin_drift(mbr_decider *d, mbr_error *err)
{
    const mbr_pipeline_drift *drift = d->pipeline->drift;
    if (!drift)
        return MBR_OK;
    mbr_decider_drift *mine = attach(d, drift->from, drift->count);
    if (!mine)
        return mbr_no_memory(err, sizeof *mine);
    mine->clock = drift->clock;
    MBR_TRY(mbr_drift_monitor_new_in(d->memory, drift->baseline, &drift->options, &mine->monitor, err));
    d->drift = mine;
    return MBR_OK;
}

void mbr_decider_end_drift(mbr_decider *d)
{
    if (d->drift)
        mbr_drift_monitor_release(&d->drift->monitor);
}

/* 1 and 0 in the ways in which people write them; NaN for anything else. */
static double label_value(const mbr_string *s)
{
    static const char *const words[] = { "0", "1", "false", "true", "no", "yes" };
    double x;
    for (size_t i = 0; i < MBR_COUNT_OF(words); i++)
        if (s->data && mbr_text_is(s->data, s->size, words[i]))
            return (double)(i & 1);
    return s->data && mbr_text_number(s->data, s->size, &x) ? x : (double)NAN;
}

/* When a row came: by the clock of windows, where the pipeline has one. */
static double time_of(mbr_decider *d, mbr_decider_drift *drift, int row)
{
    if (drift->clock < 0)
        return (double)mbr_decider_time(d) * 1e-6;
    double time = d->rows.lanes[drift->clock].num[row];
    drift->time = isfinite(time) ? time : drift->time;
    return drift->time;
}

void mbr_decider_watch(mbr_decider *d)
{
    mbr_decider_drift *drift = d->drift;
    if (!drift)
        return;
    /* Runs of sound rows: faulty and skipped ones never reach the model, and say nothing about its data. */
    for (int first = 0, end; first < d->rows.count; first = end) {
        for (end = first; end < d->rows.count && !d->rows.fault[end] && !d->skipped[end]; end++)
            if (drift->clock >= 0 && end > first)
                break; /* each row has a time of its own */
        /* Lanes stay where they are: a decider of single rows looks for them once. */
        for (int i = 0; end > first && first != drift->cells_of && i < drift->count; i++) {
            const mbr_lane *lane = &d->rows.lanes[drift->from[i]];
            bool text = d->rows.cols[drift->from[i]].type == MBR_COL_STRING;
            drift->cells[i] = text ? (mbr_drift_cells){ .texts = lane->str + first }
                                   : (mbr_drift_cells){ .numbers = lane->num + first };
        }
        for (int i = first; drift->labels && i < end; i++) {
            const mbr_lane *lane = &d->rows.lanes[drift->from[drift->count - 1]];
            bool text = d->rows.cols[drift->from[drift->count - 1]].type == MBR_COL_STRING;
            double x = text ? label_value(&lane->str[i]) : lane->num[i];
            drift->labels[i] = x == 0.0 || x == 1.0 ? x : (double)NAN;
            drift->cells[drift->count - 1] = (mbr_drift_cells){ .numbers = drift->labels + first };
        }
        size_t n = (size_t)(end - first);
        drift->cells_of = n ? first : drift->cells_of;
        if (n && drift->fit && drift->status == MBR_OK)
            drift->status = mbr_drift_fit_rows(drift->fit, drift->cells, n, drift->err);
        double time = n && drift->monitor ? time_of(d, drift, first) : (double)NAN;
        if (!isnan(time))
            (void)mbr_drift_monitor_rows(drift->monitor, drift->cells, n, time, NULL);
        end += end < d->rows.count && (d->rows.fault[end] || d->skipped[end]);
    }
}

bool mbr_decider_falls_back(const mbr_decider *d)
{
    return d->drift && d->drift->monitor && mbr_drift_monitor_fallback(d->drift->monitor);
}

mbr_drift_monitor *mbr_decider_monitor(mbr_decider *d)
{
    if (d->drift && d->drift->monitor)
        (void)mbr_drift_settle(d->drift->monitor, NULL); /* who looks at it sees what is there */
    return d->drift ? d->drift->monitor : NULL;
}

/* ---- fitting on what a pipeline sees ---- */

/* The inputs but the id and times, then the scores. */
static mbr_status choose_columns(const mbr_pipeline *p, mbr_arena *arena, mbr_drift_column **columns, int **from,
                                 int *count, mbr_error *err)
{
    size_t most = (size_t)p->input_count + (size_t)p->score_count + 2;
    *columns = mbr_arena_calloc(arena, most, sizeof **columns);
    *from = mbr_arena_calloc(arena, most, sizeof **from);
    *count = 0;
    if (!*columns || !*from)
        return mbr_no_memory(err, most * sizeof **columns);
    int label = p->actions_of ? p->actions_of->label : -1;
    for (int i = 0; i < p->input_count + p->score_count; i++) {
        bool input = i < p->input_count;
        if (input && i == label)
            continue;
        int at = input ? p->inputs[i].col : p->scores[i - p->input_count];
        const mbr_col *col = &p->scope.cols[at];
        if (input && (i == p->id || col->type == MBR_COL_TIME || col->type == MBR_COL_TENSOR)) /* times always go on */
            continue;
        (*columns)[*count] = (mbr_drift_column){
            col->name, col->type == MBR_COL_STRING ? MBR_DRIFT_CATEGORY : MBR_DRIFT_NUMBER,
            input ? MBR_DRIFT_FEATURE : MBR_DRIFT_OUTPUT
        };
        (*from)[(*count)++] = at;
    }
    if (label >= 0) {
        (*columns)[*count] = (mbr_drift_column){ p->inputs[label].name, MBR_DRIFT_NUMBER, MBR_DRIFT_LABEL };
        (*from)[(*count)++] = p->inputs[label].col;
    }
    return MBR_OK;
}

mbr_status mbr_drift_fit_pipeline(mbr_pipeline *p, const char *path, mbr_rows_format format,
                                  const mbr_drift_fit_options *how, mbr_drift_baseline **out, uint64_t *faulty,
                                  mbr_error *err)
{
    mbr_drift_fit_options o = { 0 };
    mbr_drift_fit *fit = NULL;
    mbr_decider *d = NULL;
    mbr_drift_column *columns;
    mbr_decide_totals totals = { .size = sizeof totals };
    int *from, count;
    mbr_arena arena;
    *out = NULL;
    if (how && how->size >= sizeof(size_t))
        memcpy(&o, how, mbr_min_size(how->size, sizeof o));
    mbr_arena_init(&arena, p->memory, 0);
    mbr_decider_options quiet = { .size = sizeof quiet, .log_path = "" }; /* nothing is decided for anybody */
    mbr_status st = mbr_decider_new_quiet(p, &quiet, &d, err);
    if (st == MBR_OK)
        st = choose_columns(p, &arena, &columns, &from, &count, err);
    if (st == MBR_OK) {
        o.size = sizeof o;
        o.columns = columns;
        o.column_count = count;
        st = mbr_drift_fit_new(p->env, &o, &fit, err);
    }
    if (st == MBR_OK) {
        d->drift = attach(d, from, count);
        st = d->drift ? MBR_OK : mbr_no_memory(err, (size_t)count * sizeof *d->drift->cells);
    }
    if (st == MBR_OK && columns[count - 1].role == MBR_DRIFT_LABEL) {
        d->drift->labels = mbr_arena_calloc(&d->arena, (size_t)d->batch, sizeof(double));
        st = d->drift->labels ? MBR_OK : mbr_no_memory(err, (size_t)d->batch * sizeof(double));
    }
    if (st == MBR_OK) {
        d->drift->fit = fit;
        d->drift->err = err;
        st = mbr_decider_file(d, path, format, NULL, NULL, &totals, err);
        st = st == MBR_OK ? d->drift->status : st;
    }
    if (faulty)
        *faulty = totals.faulty;
    if (st == MBR_OK)
        st = mbr_drift_fit_finish(fit, out, err);
    mbr_decider_release(&d);
    mbr_drift_fit_release(&fit);
    mbr_arena_destroy(&arena);
    return st;
}
