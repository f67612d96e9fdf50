/* SPDX-License-Identifier: BSD-2-Clause */
/* Batches of rows through a pipeline: features, model, post-processing, rules, decisions in the order of the rows. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "runtime/pipeline/decider.h"

#include "base/checked.h"
#include "runtime/actions/actions.h"
#include "runtime/drift/drift_pipeline.h"
#include "runtime/post/reasons.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define DEFAULT_BATCH 256
#define TENSOR_BATCH 16 /* where rows are images, texts, sounds */
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
    d->order = mbr_arena_calloc(&d->arena, (size_t)d->batch, sizeof *d->order);
    d->group = mbr_arena_calloc(&d->arena, (size_t)d->batch, sizeof *d->group);
    d->skipped = mbr_arena_calloc(&d->arena, (size_t)d->batch, sizeof *d->skipped);
    d->done = mbr_arena_calloc(&d->arena, (size_t)d->batch, sizeof *d->done);
    if (!rows->lanes || !rows->fault || !d->heads || !d->sound || !d->skipped || !d->done || !d->order || !d->group)
        return mbr_no_memory(err, (size_t)d->batch * sizeof *d->heads);
    for (int i = 0; i < p->scope.count; i++) {
        const mbr_col *col = &rows->cols[i];
        size_t bytes;
        void *lane = NULL;
        if (mbr_mul_size(mbr_col_bytes(col), (size_t)d->batch, &bytes))
            lane = mbr_arena_alloc_aligned(&d->arena, bytes);
        if (!lane)
            return mbr_no_memory(err, mbr_col_bytes(col) * (size_t)d->batch);
        memset(lane, 0, bytes);
        rows->lanes[i].num = lane;
    }
    return MBR_OK;
}

/* ---- what steps keep ---- */

int mbr_pipeline_step_count(const mbr_pipeline *p)
{
    return p->feature_count + p->post_count;
}

const mbr_step *mbr_pipeline_step(const mbr_pipeline *p, int i)
{
    return i < p->feature_count ? &p->features[i] : &p->posts[i - p->feature_count];
}

static mbr_status begin_steps(mbr_decider *d, mbr_error *err)
{
    const mbr_pipeline *p = d->pipeline;
    int count = mbr_pipeline_step_count(p);
    d->rows.states = mbr_arena_calloc(&d->arena, (size_t)count + 1, sizeof *d->rows.states);
    if (!d->rows.states)
        return mbr_no_memory(err, ((size_t)count + 1) * sizeof *d->rows.states);
    for (int i = 0; i < count; i++) {
        const mbr_step *s = mbr_pipeline_step(p, i);
        if (!s->kind->keeper)
            continue;
        MBR_TRY(s->kind->keeper->begin(s, d->memory, &d->rows.states[s->index], err));
        d->stateful |= i < p->feature_count;
    }
    return MBR_OK;
}

static void end_steps(mbr_decider *d)
{
    const mbr_pipeline *p = d->pipeline;
    for (int i = 0; d->rows.states && i < mbr_pipeline_step_count(p); i++) {
        const mbr_step *s = mbr_pipeline_step(p, i);
        if (d->rows.states[s->index])
            s->kind->keeper->end(s, d->rows.states[s->index]);
    }
}

/* quiet: see mbr_decider_new_quiet. */
static mbr_status make_decider(mbr_pipeline *pipeline, const mbr_decider_options *options, bool quiet,
                               mbr_decider **out, mbr_error *err)
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
    mbr_meter_init(&d->meter, pipeline->memory);
    d->memory = &d->meter.memory;
    d->options = o;
    d->options.size = sizeof o;
    d->batch = pipeline->single ? 1 : o.batch ? o.batch : pipeline->tensor_feeds ? TENSOR_BATCH : DEFAULT_BATCH;
    mbr_arena_init(&d->arena, d->memory, 0);
    mbr_pool_init(&d->rows.pool, d->memory);
    mbr_status st = make_rows(d, err);
    if (st == MBR_OK)
        st = mbr_decider_begin_clock(d, o.times, err);
    mbr_meter_note(&d->meter, MBR_BILL_BUFFERS);
    if (st == MBR_OK)
        st = begin_steps(d, err);
    mbr_meter_note(&d->meter, MBR_BILL_STATE);
    if (st == MBR_OK)
        st = mbr_decider_begin_streams(d, err);
    if (st == MBR_OK)
        st = mbr_decider_make_session(d, &o, err);
    mbr_meter_note(&d->meter, MBR_BILL_BUFFERS);
    if (st == MBR_OK && quiet && d->clock)
        d->clock->latency.measure_only = true;
    if (st == MBR_OK && !quiet)
        st = mbr_decider_begin_drift(d, err);
    mbr_meter_note(&d->meter, MBR_BILL_DRIFT);
    if (st == MBR_OK)
        st = mbr_decider_begin_reasons(d, err);
    mbr_meter_note(&d->meter, MBR_BILL_BUFFERS);
    if (st == MBR_OK)
        st = mbr_decider_bill(d, err);
    if (st == MBR_OK)
        st = mbr_decider_begin_actions(d, o.log_path, err);
    if (st == MBR_OK)
        *out = d;
    else
        mbr_decider_release(&d);
    return st;
}

mbr_status mbr_decider_new(mbr_pipeline *pipeline, const mbr_decider_options *options, mbr_decider **out,
                           mbr_error *err)
{
    return make_decider(pipeline, options, false, out, err);
}

mbr_status mbr_decider_new_quiet(mbr_pipeline *p, const mbr_decider_options *o, mbr_decider **out, mbr_error *err)
{
    return make_decider(p, o, true, out, err);
}

void mbr_decider_release(mbr_decider **decider)
{
    if (!decider || !*decider)
        return;
    mbr_decider *d = *decider;
    *decider = NULL;
    mbr_decider_end_actions(d);
    mbr_decider_end_drift(d);
    mbr_decider_end_streams(d);
    end_steps(d);
    mbr_decider_drop_bill(d);
    mbr_clock_free(d->clock, d->memory);
    mbr_session_release(&d->session);
    for (int i = 0; d->tensors && i < d->pipeline->feed_count; i++)
        mbr_value_release(&d->tensors[i]);
    mbr_pool_destroy(&d->rows.pool);
    mbr_arena_destroy(&d->arena);
    mbr_pipeline *p = d->pipeline;
    mbr_free(p->memory, d);
    mbr_pipeline_release(&p);
}

/* ---- batches ---- */

void mbr_decider_begin_batch(mbr_decider *d)
{
    d->rows.count = 0;
    mbr_pool_reset(&d->rows.pool);
    d->late = NULL;
    if (d->clock)
        mbr_clock_begin(d->clock, d->batch == 1);
}

/* Columns that are not made for a batch would hold what an earlier one left, texts in memory that is given back. */
static void clear_steps(mbr_decider *d, const mbr_step *steps, int count)
{
    for (int i = 0; i < count; i++)
        for (int k = 0; k < steps[i].out_count; k++)
            mbr_rows_clear(&d->rows, steps[i].outs[k]);
}

static void clear_late(mbr_decider *d, bool features)
{
    const mbr_pipeline *p = d->pipeline;
    if (features)
        clear_steps(d, p->features, p->feature_count);
    for (int i = 0; i < p->fetch_count; i++)
        mbr_rows_clear(&d->rows, p->fetches[i].col);
    clear_steps(d, p->posts, p->post_count);
}

mbr_status mbr_decider_run_batch(mbr_decider *d, mbr_error *err)
{
    const mbr_pipeline *p = d->pipeline;
    mbr_clock *clock = d->clock;
    if (d->pre)
        return mbr_decider_pre_batch(d, err);
    bool late = clock && !mbr_clock_admit(clock, d->rows.count);
    mbr_decider_note_causes(d);
    for (int i = 0; i < p->feature_count && (!late || d->stateful); i++) /* what is kept sees every row */
        p->features[i].kind->run(&p->features[i], &d->rows);
    if (late) {
        clear_late(d, !d->stateful);
        mbr_decider_refuse(d, "the call was not begun: it would not be done");
        return MBR_OK;
    }
    mbr_decider_repeat_faults(d);
    mbr_status st = mbr_decider_run_model_in_time(d, err);
    if (st != MBR_OK && !mbr_decider_model_failed(d, st, err))
        return st;
    for (int i = 0; i < p->post_count && !d->late; i++)
        p->posts[i].kind->run(&p->posts[i], &d->rows);
    mbr_clock_lap(clock, MBR_STAGE_POST);
    if (d->late) {
        clear_late(d, false);
        mbr_decider_refuse(d, NULL);
    }
    mbr_decider_watch(d);
    mbr_clock_lap(clock, MBR_STAGE_DRIFT);
    if (st == MBR_OK || (p->model_fallback && st != MBR_ERR_INTERNAL))
        return MBR_OK;
    MBR_TRY(mbr_decider_decide_batch(d, err)); /* into the log, for nobody else */
    return st;
}

mbr_status mbr_decider_give_batch(mbr_decider *d, mbr_decision_fn fn, void *user, mbr_decide_totals *totals,
                                  mbr_error *err)
{
    if (d->pre)
        return MBR_OK;
    MBR_TRY(mbr_decider_decide_batch(d, err));
    for (int i = 0; i < d->rows.count; i++) {
        const mbr_decision *made = &d->actions->made[i];
        totals->rows++;
        totals->faulty += made->error != NULL;
        totals->undecided += made->action == NULL;
        mbr_status st = fn ? fn(user, made) : MBR_OK;
        if (st != MBR_OK)
            return mbr_fail(err, st, "stopped by the caller at row %llu", (unsigned long long)made->row);
    }
    return MBR_OK;
}

mbr_status mbr_decider_row(mbr_decider *d, const mbr_field *fields, size_t field_count, mbr_decision *decision,
                           mbr_error *err)
{
    if (!d || !decision || (!fields && field_count))
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_decider_row: a pointer is NULL");
    mbr_decider_begin_batch(d);
    if (d->clock && d->batch > 1)
        mbr_clock_begin(d->clock, true);
    int row = mbr_decider_begin_row(d, ++d->row_number, 0);
    mbr_decider_put_fields(d, row, fields, field_count);
    mbr_decider_end_row(d, row);
    MBR_TRY(mbr_decider_run_batch(d, err));
    MBR_TRY(mbr_decider_decide_batch(d, err));
    size_t size = decision->size;
    memcpy(decision, d->actions->made, mbr_min_size(size, sizeof *decision));
    decision->size = size;
    return MBR_OK;
}
