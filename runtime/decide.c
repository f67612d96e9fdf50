/* SPDX-License-Identifier: BSD-2-Clause */
/* Batches of rows through a pipeline: features, model, post-processing, rules, decisions in the order of the rows. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "runtime/decider.h"

#include "base/checked.h"
#include "runtime/drift/drift_pipeline.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define DEFAULT_BATCH 256
#define MAX_BATCH 4096

/* ---- making and releasing ---- */

static mbr_status make_rows(mbr_decider *d, mbr_error *err)
{
    const mbr_pipeline *p = d->pipeline;
    mbr_rows *rows = &d->rows;
    rows->cols = p->scope.cols;
    rows->capacity = d->batch;
    rows->lanes = mbr_arena_calloc(&d->arena, (size_t)p->scope.count, sizeof *rows->lanes);
    rows->fault = mbr_arena_calloc(&d->arena, (size_t)d->batch, sizeof *rows->fault);
    d->heads = mbr_arena_calloc(&d->arena, (size_t)d->batch, sizeof *d->heads);
    d->sound = mbr_arena_calloc(&d->arena, (size_t)d->batch, sizeof *d->sound);
    d->scores = mbr_arena_calloc(&d->arena, (size_t)p->score_count + 1, sizeof *d->scores);
    if (!rows->lanes || !rows->fault || !d->heads || !d->sound || !d->scores)
        return mbr_no_memory(err, (size_t)d->batch * sizeof *d->heads);
    for (int i = 0; i < p->scope.count; i++) {
        const mbr_col *col = &rows->cols[i];
        size_t one = col->type == MBR_COL_STRING ? sizeof(mbr_string) : sizeof(double), bytes;
        void *lane = NULL;
        if (mbr_mul_size(one * (size_t)col->width, (size_t)d->batch, &bytes))
            lane = mbr_arena_alloc_aligned(&d->arena, bytes);
        if (!lane)
            return mbr_no_memory(err, one * (size_t)col->width * (size_t)d->batch);
        memset(lane, 0, bytes);
        if (col->type == MBR_COL_STRING)
            rows->lanes[i].str = lane;
        else
            rows->lanes[i].num = lane;
    }
    return MBR_OK;
}

/* The shape of a feed for n rows. */
static const int64_t *feed_dims(const mbr_feed *feed, int n, int64_t *dims)
{
    memcpy(dims, feed->dims, (size_t)feed->rank * sizeof *dims);
    if (feed->batched)
        dims[0] = n;
    return dims;
}

static mbr_status make_session(mbr_decider *d, const mbr_decider_options *o, mbr_error *err)
{
    mbr_pipeline *p = d->pipeline;
    mbr_session_options so = { .size = sizeof so, .threads = o->threads, .memory_limit = o->memory_limit };
    MBR_TRY(mbr_session_new(p->model, &so, &d->session, err));
    d->tensors = mbr_arena_calloc(&d->arena, (size_t)p->feed_count + 1, sizeof *d->tensors);
    if (!d->tensors)
        return mbr_no_memory(err, (size_t)p->feed_count * sizeof *d->tensors);
    for (int i = 0; i < p->feed_count; i++) {
        const mbr_feed *feed = &p->feeds[i];
        int64_t dims[MBR_MAX_RANK];
        MBR_TRY(mbr_tensor_new(p->env, feed->dtype, feed->rank, feed_dims(feed, d->batch, dims), &d->tensors[i], err));
    }
    return MBR_OK;
}

mbr_status mbr_decider_new(mbr_pipeline *pipeline, const mbr_decider_options *options, mbr_decider **out,
                           mbr_error *err)
{
    mbr_decider_options o = { 0 };
    mbr_decider *d;
    if (!out)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_decider_new: out is NULL");
    *out = NULL;
    if (!pipeline)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_decider_new: the pipeline is NULL");
    if (options && options->size < sizeof(size_t))
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_decider_options.size is not set; set it to "
                        "sizeof(mbr_decider_options)");
    if (options)
        memcpy(&o, options, mbr_min_size(options->size, sizeof o));
    if (o.batch < 0 || o.batch > MAX_BATCH)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "a batch of %d rows: it must be 1 to %d, or 0 for the default", o.batch,
                        MAX_BATCH);
    d = mbr_calloc(pipeline->memory, 1, sizeof *d);
    if (!d)
        return mbr_no_memory(err, sizeof *d);
    atomic_fetch_add(&pipeline->references, 1);
    d->pipeline = pipeline;
    d->memory = pipeline->memory;
    d->batch = pipeline->single ? 1 : o.batch ? o.batch : DEFAULT_BATCH;
    mbr_arena_init(&d->arena, d->memory, 0);
    mbr_pool_init(&d->rows.pool, d->memory);
    mbr_status st = make_rows(d, err);
    if (st == MBR_OK)
        st = make_session(d, &o, err);
    if (st == MBR_OK)
        st = mbr_decider_begin_drift(d, err);
    if (st == MBR_OK)
        *out = d;
    else
        mbr_decider_release(&d);
    return st;
}

void mbr_decider_release(mbr_decider **decider)
{
    if (!decider || !*decider)
        return;
    mbr_decider *d = *decider;
    *decider = NULL;
    mbr_decider_end_drift(d);
    mbr_session_release(&d->session);
    for (int i = 0; d->tensors && i < d->pipeline->feed_count; i++)
        mbr_value_release(&d->tensors[i]);
    mbr_pool_destroy(&d->rows.pool);
    mbr_arena_destroy(&d->arena);
    mbr_pipeline *p = d->pipeline;
    mbr_free(d->memory, d);
    mbr_pipeline_release(&p);
}

/* ---- tensors in ---- */

/* Whether a number can be an element of the type. */
static bool holds(mbr_dtype dtype, double x)
{
    switch (dtype) {
    case MBR_DTYPE_I64: return x >= -9223372036854775808.0 && x < 9223372036854775808.0 && x == floor(x);
    case MBR_DTYPE_I32: return x >= -2147483648.0 && x <= 2147483647.0 && x == floor(x);
    case MBR_DTYPE_BOOL: return x == 0 || x == 1;
    default: return true;
    }
}

/* A row whose values an integer tensor cannot hold is faulty; a missing text as well. */
static void check_feed(mbr_decider *d, const mbr_feed *feed)
{
    mbr_rows *rows = &d->rows;
    bool text = feed->dtype == MBR_DTYPE_STRING;
    if (feed->dtype == MBR_DTYPE_F32 || feed->dtype == MBR_DTYPE_F64)
        return;
    for (int k = 0; k < feed->from_count; k++) {
        const mbr_col *col = &rows->cols[feed->from[k]];
        const mbr_lane *lane = &rows->lanes[feed->from[k]];
        for (int i = 0; i < rows->count * col->width; i++) {
            bool missing = text ? !lane->str[i].data : isnan(lane->num[i]);
            if (missing)
                mbr_rows_fail(rows, i / col->width, "column '%s' is missing, and the model's input '%s' cannot be",
                              col->name, feed->name);
            else if (!text && !holds(feed->dtype, lane->num[i]))
                mbr_rows_fail(rows, i / col->width, "column '%s': %.17g does not fit the model's input '%s' of %s",
                              col->name, lane->num[i], feed->name, mbr_dtype_name(feed->dtype));
        }
    }
}

/* Writes one value into element `at` of a tensor. */
static void store(mbr_dtype dtype, void *data, size_t at, double x)
{
    switch (dtype) {
    case MBR_DTYPE_F32: ((float *)data)[at] = (float)x; break;
    case MBR_DTYPE_F64: ((double *)data)[at] = x; break;
    case MBR_DTYPE_I64: ((int64_t *)data)[at] = (int64_t)x; break;
    case MBR_DTYPE_I32: ((int32_t *)data)[at] = (int32_t)x; break;
    default: ((unsigned char *)data)[at] = x != 0; break;
    }
}

static mbr_status fill_tensor(mbr_decider *d, const mbr_feed *feed, mbr_value *tensor, const int *which, int n,
                              mbr_error *err)
{
    int64_t dims[MBR_MAX_RANK];
    MBR_TRY(mbr_tensor_set_shape(tensor, feed->rank, feed_dims(feed, n, dims), err));
    void *data = mbr_tensor_data(tensor);
    size_t begin = 0;
    for (int k = 0; k < feed->from_count; k++) {
        size_t width = (size_t)d->rows.cols[feed->from[k]].width;
        const mbr_lane *lane = &d->rows.lanes[feed->from[k]];
        for (int i = 0; i < n; i++) {
            size_t row = (size_t)which[i], to = (size_t)i * (size_t)feed->width + begin;
            if (feed->dtype == MBR_DTYPE_STRING) {
                MBR_TRY(mbr_tensor_set_string(tensor, to, lane->str[row].data, lane->str[row].size, err));
                continue;
            }
            for (size_t w = 0; w < width; w++)
                store(feed->dtype, data, to + w, lane->num[row * width + w]);
        }
        begin += width;
    }
    return MBR_OK;
}

/* ---- tensors out ---- */

static double load(mbr_dtype dtype, const void *data, size_t at)
{
    switch (dtype) {
    case MBR_DTYPE_F32: return (double)((const float *)data)[at];
    case MBR_DTYPE_F64: return ((const double *)data)[at];
    case MBR_DTYPE_I64: return (double)((const int64_t *)data)[at];
    case MBR_DTYPE_I32: return (double)((const int32_t *)data)[at];
    default: return ((const unsigned char *)data)[at];
    }
}

static mbr_status take_output(mbr_decider *d, const mbr_fetch *fetch, const int *which, int n, mbr_error *err)
{
    const mbr_value *v = mbr_session_output(d->session, fetch->port);
    const mbr_col *col = &d->rows.cols[fetch->col];
    if (!v || mbr_value_kind(v) != MBR_KIND_TENSOR)
        return mbr_fail(err, MBR_ERR_RUN, "output '%s' of the model is no tensor", fetch->name);
    mbr_dtype dtype = mbr_tensor_dtype(v);
    size_t count = mbr_tensor_count(v), values = count / (size_t)n;
    if (values * (size_t)n != count || (size_t)fetch->column >= values || (size_t)col->width > values)
        return mbr_fail(err, MBR_ERR_RUN, "output '%s' of the model came with %zu values for %d rows, and the pipeline "
                        "reads values %lld to %lld of each", fetch->name, count, n, (long long)fetch->column,
                        (long long)fetch->column + col->width - 1);
    if ((dtype == MBR_DTYPE_STRING) != (col->type == MBR_COL_STRING) || !mbr_dtype_size(dtype))
        return mbr_fail(err, MBR_ERR_RUN, "output '%s' of the model came as %s", fetch->name, mbr_dtype_name(dtype));
    const void *data = mbr_tensor_const_data(v);
    for (int i = 0; i < n; i++) {
        size_t row = (size_t)which[i], from = (size_t)i * values + (size_t)fetch->column, width = (size_t)col->width;
        if (col->type != MBR_COL_STRING) {
            for (size_t w = 0; w < width; w++)
                d->rows.lanes[fetch->col].num[row * width + w] = load(dtype, data, from + w);
            continue;
        }
        const mbr_string *s = (const mbr_string *)data + from;
        d->rows.lanes[fetch->col].str[row] = mbr_decider_keep_text(d, (int)row, s->data, s->size);
    }
    return MBR_OK;
}

/* Outputs of rows that the model never sees are missing. */
static void clear_outputs(mbr_decider *d)
{
    const mbr_pipeline *p = d->pipeline;
    for (int i = 0; i < p->fetch_count; i++) {
        const mbr_col *col = &d->rows.cols[p->fetches[i].col];
        mbr_lane *lane = &d->rows.lanes[p->fetches[i].col];
        if (col->type == MBR_COL_STRING)
            memset(lane->str, 0, (size_t)d->rows.count * sizeof *lane->str);
        else
            for (int k = 0; k < d->rows.count * col->width; k++)
                lane->num[k] = NAN;
    }
}

/* ---- the model ---- */

static mbr_status run_rows(mbr_decider *d, const int *which, int n, mbr_error *err)
{
    const mbr_pipeline *p = d->pipeline;
    for (int i = 0; i < p->feed_count; i++) {
        MBR_TRY(fill_tensor(d, &p->feeds[i], d->tensors[i], which, n, err));
        MBR_TRY(mbr_session_bind_input(d->session, p->feeds[i].port, d->tensors[i], err));
    }
    MBR_TRY(mbr_session_run(d->session, err));
    for (int i = 0; i < p->fetch_count; i++)
        MBR_TRY(take_output(d, &p->fetches[i], which, n, err));
    return MBR_OK;
}

/* Runs the sound rows. What only one row's values make impossible is that row's fault. */
static mbr_status run_model(mbr_decider *d, mbr_error *err)
{
    mbr_rows *rows = &d->rows;
    mbr_error why = { 0 };
    int n = 0;
    for (int i = 0; i < d->pipeline->feed_count; i++)
        check_feed(d, &d->pipeline->feeds[i]);
    clear_outputs(d);
    for (int i = 0; i < rows->count; i++)
        if (!rows->fault[i])
            d->sound[n++] = i;
    mbr_status st = n ? run_rows(d, d->sound, n, &why) : MBR_OK;
    for (int i = 0; i < n && (st == MBR_ERR_RUN || st == MBR_OK) && why.status == MBR_ERR_RUN; i++) {
        mbr_error one = { 0 };
        st = n > 1 ? run_rows(d, &d->sound[i], 1, &one) : MBR_ERR_RUN;
        if (st == MBR_ERR_RUN)
            mbr_rows_fail(rows, d->sound[i], "model: %s", n > 1 ? one.text : why.text);
        else if (st != MBR_OK)
            why = one;
    }
    return st == MBR_OK || st == MBR_ERR_RUN ? MBR_OK : mbr_fail(err, st, "%s", why.text);
}

/* ---- rules ---- */

/* The rule that fires; -1: the row is faulty. */
static int find_rule(mbr_decider *d, int row)
{
    const mbr_pipeline *p = d->pipeline;
    if (!d->rows.fault[row] && mbr_decider_falls_back(d))
        mbr_rows_fail(&d->rows, row, "drift has put the fallback in force");
    if (d->rows.fault[row])
        return -1;
    for (int i = 0; i < p->rule_count; i++) {
        const mbr_rule *rule = &p->rules[i];
        const char *fault = NULL;
        mbr_slot slot;
        if (rule->always)
            return i;
        if (!mbr_expr_eval(&rule->when, d->rows.lanes, (size_t)row, &slot, &fault)) {
            mbr_rows_fail(&d->rows, row, "rule '%s': %s", rule->name, fault);
            return -1;
        }
        if (mbr_slot_true(&slot))
            return i;
    }
    return -1;
}

/* "sample.csv:17: what": where and what, for the caller. */
static const char *place_fault(mbr_decider *d, int row)
{
    const mbr_row_head *head = &d->heads[row];
    char where[160];
    if (head->line)
        snprintf(where, sizeof where, "%.120s:%llu: ", d->source_name, (unsigned long long)head->line);
    else
        snprintf(where, sizeof where, "row %llu: ", (unsigned long long)head->row);
    size_t a = strlen(where), b = strlen(d->rows.fault[row]);
    char *text = mbr_pool_alloc(&d->rows.pool, a + b + 1);
    if (!text)
        return d->rows.fault[row];
    memcpy(text, where, a);
    memcpy(text + a, d->rows.fault[row], b + 1);
    return text;
}

static void make_decision(mbr_decider *d, int row, mbr_decision *out)
{
    const mbr_pipeline *p = d->pipeline;
    const mbr_row_head *head = &d->heads[row];
    int rule = find_rule(d, row);
    *out = (mbr_decision){ .size = sizeof *out, .row = head->row, .line = head->line };
    for (int i = 0; i < p->score_count; i++)
        d->scores[i] = d->rows.lanes[p->scores[i]].num[row];
    out->scores = d->scores;
    out->score_count = p->score_count;
    if (p->id >= 0)
        out->id = d->rows.lanes[p->inputs[p->id].col].str[row].data;
    if (rule >= 0) {
        out->action = p->actions[p->rules[rule].action];
        out->rule = p->rules[rule].name;
        return;
    }
    out->error = place_fault(d, row);
    if (p->fallback >= 0) {
        out->action = p->actions[p->fallback];
        out->rule = "fallback";
    }
}

/* ---- batches ---- */

void mbr_decider_begin_batch(mbr_decider *d)
{
    d->rows.count = 0;
    mbr_pool_reset(&d->rows.pool);
}

mbr_status mbr_decider_run_batch(mbr_decider *d, mbr_error *err)
{
    const mbr_pipeline *p = d->pipeline;
    for (int i = 0; i < p->feature_count; i++)
        p->features[i].kind->run(&p->features[i], &d->rows);
    MBR_TRY(run_model(d, err));
    for (int i = 0; i < p->post_count; i++)
        p->posts[i].kind->run(&p->posts[i], &d->rows);
    mbr_decider_watch(d);
    return MBR_OK;
}

mbr_status mbr_decider_give_batch(mbr_decider *d, mbr_decision_fn fn, void *user, mbr_decide_totals *totals,
                                  mbr_error *err)
{
    for (int i = 0; i < d->rows.count; i++) {
        mbr_decision decision;
        make_decision(d, i, &decision);
        totals->rows++;
        totals->faulty += decision.error != NULL;
        totals->undecided += decision.action == NULL;
        mbr_status st = fn ? fn(user, &decision) : MBR_OK;
        if (st != MBR_OK)
            return mbr_fail(err, st, "stopped by the caller at row %llu", (unsigned long long)decision.row);
    }
    return MBR_OK;
}

mbr_status mbr_decider_row(mbr_decider *d, const mbr_field *fields, size_t field_count, mbr_decision *decision,
                           mbr_error *err)
{
    mbr_decision made;
    if (!d || !decision || (!fields && field_count))
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_decider_row: a pointer is NULL");
    mbr_decider_begin_batch(d);
    int row = mbr_decider_begin_row(d, ++d->row_number, 0);
    mbr_decider_put_fields(d, row, fields, field_count);
    mbr_decider_end_row(d, row);
    MBR_TRY(mbr_decider_run_batch(d, err));
    make_decision(d, row, &made);
    size_t size = mbr_min_size(decision->size, sizeof made);
    made.size = decision->size;
    memcpy(decision, &made, size);
    return MBR_OK;
}
