/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a decider meets its model: columns to tensors, a run, tensors to columns. */
#include "runtime/pipeline/decider.h"

#include "base/checked.h"

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

mbr_status mbr_decider_run_model(mbr_decider *d, mbr_error *err)
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
