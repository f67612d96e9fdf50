/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a decider meets its model: columns to tensors, a run, tensors to columns. */
#include "runtime/pipeline/decider.h"

#include "base/checked.h"
#include "runtime/pipeline/element.h"

#include <math.h>
#include <string.h>

/* The shape of a feed for n rows. */
static const int64_t *feed_dims(const mbr_feed *feed, int n, int64_t *dims)
{
    memcpy(dims, feed->dims, (size_t)feed->rank * sizeof *dims);
    if (feed->batched)
        dims[0] = n;
    return dims;
}

mbr_status mbr_decider_make_session(mbr_decider *d, const mbr_decider_options *o, mbr_error *err)
{
    mbr_pipeline *p = d->pipeline;
    size_t cap = p->tensor_feeds ? p->resources.memory : 0; /* otherwise the bill tells */
    mbr_session_options so = { .size = sizeof so, .memory_limit = o->memory_limit };
    so.memory_limit = cap && (!so.memory_limit || cap < so.memory_limit) ? cap : so.memory_limit;
    MBR_TRY(mbr_decider_threads(d, o->threads, &so.threads, err));
    MBR_TRY(mbr_session_new(p->model, &so, &d->session, err));
    d->tensors = mbr_arena_calloc(&d->arena, (size_t)p->feed_count + 1, sizeof *d->tensors);
    if (!d->tensors)
        return mbr_no_memory(err, (size_t)p->feed_count * sizeof *d->tensors);
    for (int i = 0; i < p->feed_count; i++) {
        const mbr_feed *feed = &p->feeds[i];
        int64_t dims[MBR_MAX_RANK] = { 0 };
        if (feed->value) {
            MBR_TRY(mbr_tensor_new(p->env, feed->dtype, feed->rank, feed->dims, &d->tensors[i], err));
            for (size_t k = 0; k < feed->value->count; k++)
                mbr_element_store(feed->dtype, mbr_tensor_data(d->tensors[i]), k, feed->value->items[k]);
        } else if (feed->tensor) /* grows with what comes */
            MBR_TRY(mbr_tensor_new(p->env, feed->dtype, 1, dims, &d->tensors[i], err));
        else
            MBR_TRY(mbr_tensor_new(p->env, feed->dtype, feed->rank, feed_dims(feed, d->batch, dims), &d->tensors[i],
                                   err));
    }
    return MBR_OK;
}

/* ---- tensors in ---- */

void mbr_decider_lacks(mbr_decider *d, const mbr_feed *feed, const mbr_col *col, int row)
{
    if (feed->skips && !d->pre)
        d->skipped[row] = true;
    else
        mbr_rows_fail(&d->rows, row, "column '%s' is missing, and the model's input '%s' cannot be", col->name,
                      feed->name);
}

/* A row whose values an integer tensor cannot hold is faulty; a missing text as well. */
static void check_feed(mbr_decider *d, const mbr_feed *feed)
{
    mbr_rows *rows = &d->rows;
    bool text = feed->dtype == MBR_DTYPE_STRING;
    if (feed->tensor) {
        mbr_decider_check_cells(d, feed);
        return;
    }
    bool real = feed->dtype == MBR_DTYPE_F32 || feed->dtype == MBR_DTYPE_F64;
    if (real && !feed->skips)
        return;
    for (int k = 0; k < feed->from_count; k++) {
        const mbr_col *col = &rows->cols[feed->from[k]];
        const mbr_lane *lane = &rows->lanes[feed->from[k]];
        for (int i = 0; i < rows->count * col->width; i++) {
            bool missing = text ? !lane->str[i].data : isnan(lane->num[i]);
            if (missing)
                mbr_decider_lacks(d, feed, col, i / col->width);
            else if (!text && !real && !mbr_element_holds(feed->dtype, lane->num[i]))
                mbr_rows_fail(rows, i / col->width, "column '%s': %.17g does not fit the model's input '%s' of %s",
                              col->name, lane->num[i], feed->name, mbr_dtype_name(feed->dtype));
        }
    }
}

static mbr_status fill_tensor(mbr_decider *d, const mbr_feed *feed, mbr_value *tensor, const int *which, int n,
                              mbr_error *err)
{
    int64_t dims[MBR_MAX_RANK];
    if (feed->value)
        return MBR_OK;
    if (feed->tensor)
        return mbr_decider_feed_cells(d, feed, tensor, which, n, err);
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
                mbr_element_store(feed->dtype, data, to + w, lane->num[row * width + w]);
        }
        begin += width;
    }
    return MBR_OK;
}

/* ---- tensors out ---- */

static mbr_status take_output(mbr_decider *d, const mbr_fetch *fetch, const int *which, int n, mbr_error *err)
{
    const mbr_value *v = mbr_session_output(d->session, fetch->port);
    const mbr_col *col = &d->rows.cols[fetch->col];
    if (!v || mbr_value_kind(v) != MBR_KIND_TENSOR)
        return mbr_fail(err, MBR_ERR_RUN, "output '%s' of the model is no tensor", fetch->name);
    if (col->type == MBR_COL_TENSOR)
        return mbr_decider_take_cells(d, fetch, v, which, n, err);
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
                d->rows.lanes[fetch->col].num[row * width + w] = mbr_element_load(dtype, data, from + w);
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
    for (int i = 0; i < p->fetch_count; i++)
        mbr_rows_clear(&d->rows, p->fetches[i].col);
}

/* ---- the model ---- */

void mbr_decider_check_feeds(mbr_decider *d)
{
    memset(d->skipped, 0, (size_t)d->rows.count * sizeof *d->skipped);
    memset(d->done, 0, (size_t)d->rows.count * sizeof *d->done);
    for (int i = 0; i < d->pipeline->feed_count; i++)
        check_feed(d, &d->pipeline->feeds[i]);
}

mbr_status mbr_decider_fill(mbr_decider *d, const int *which, int n, mbr_error *err)
{
    for (int i = 0; i < d->pipeline->feed_count; i++)
        MBR_TRY(fill_tensor(d, &d->pipeline->feeds[i], d->tensors[i], which, n, err));
    return MBR_OK;
}

static mbr_status run_rows(mbr_decider *d, const int *which, int n, mbr_error *err)
{
    const mbr_pipeline *p = d->pipeline;
    MBR_TRY(mbr_decider_fill(d, which, n, err));
    for (int i = 0; i < p->feed_count; i++) {
        MBR_TRY(mbr_session_bind_input(d->session, p->feeds[i].port, d->tensors[i], err));
    }
    if (d->streams)
        MBR_TRY(mbr_decider_feed_streams(d, which, n, err));
    MBR_TRY(mbr_session_run(d->session, err));
    for (int i = 0; i < p->fetch_count; i++)
        MBR_TRY(take_output(d, &p->fetches[i], which, n, err));
    return d->streams ? mbr_decider_take_streams(d, which, n, err) : MBR_OK;
}

/* Runs rows that can be in one run; where one row's values make the run impossible, each alone. */
static mbr_status run_group(mbr_decider *d, const int *which, int n, mbr_error *err)
{
    mbr_error why = { 0 };
    mbr_status st = run_rows(d, which, n, &why);
    for (int i = 0; i < n; i++)
        d->done[which[i]] = st == MBR_OK;
    if (st == MBR_ERR_RUN && n == 1) {
        mbr_rows_fail(&d->rows, which[0], "model: %s", why.text);
        return MBR_OK;
    }
    if (st != MBR_ERR_RUN)
        return st == MBR_OK ? MBR_OK : mbr_fail(err, st, "%s", why.text);
    for (int i = 0; i < n; i++)
        MBR_TRY(run_group(d, &which[i], 1, err));
    return MBR_OK;
}

/* Moves the rows that can run with the first one from `rest` to d->group, both in order. Returns how many. */
static int take_group(mbr_decider *d, int *rest, int *left)
{
    int n = 0, kept = 0;
    for (int i = 0; i < *left; i++)
        if (i == 0 || mbr_decider_alike(d, rest[i], d->group[0]))
            d->group[n++] = rest[i];
        else
            rest[kept++] = rest[i];
    *left = kept;
    return n;
}

mbr_status mbr_decider_run_alike(mbr_decider *d, int *rows, int n, mbr_error *err)
{
    if (!d->pipeline->tensor_feeds && !d->streams)
        return n ? run_group(d, rows, n, err) : MBR_OK;
    while (n) {
        int size = take_group(d, rows, &n);
        MBR_TRY(run_group(d, d->group, size, err));
    }
    return MBR_OK;
}

mbr_status mbr_decider_run_model(mbr_decider *d, mbr_error *err)
{
    mbr_rows *rows = &d->rows;
    int n = 0;
    mbr_decider_check_feeds(d);
    clear_outputs(d);
    for (int i = 0; i < rows->count; i++)
        if (!rows->fault[i] && !d->skipped[i])
            d->sound[n++] = i;
    return d->streams ? mbr_decider_run_streams(d, n, err) : mbr_decider_run_alike(d, d->sound, n, err);
}
