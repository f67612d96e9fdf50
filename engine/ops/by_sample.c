/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mbr.BySample: runs its body once for each sample of a batch. The pass `batch` makes it.
 *
 * Each input and output of the node has the batch as its first axis; the body sees the same with a batch of one, in
 * place: samples are not copied.
 */
#include "engine/frame.h"
#include "engine/ops/control.h"

#include <string.h>

static mbr_status infer(mbr_infer *c)
{
    mbr_ir_graph *g;
    MBR_TRY(mbr_control_graph(c, "body", &g));
    mbr_dim samples = c->in[0].rank > 0 ? c->in[0].dims[0] : MBR_DIM_UNKNOWN;
    if (c->node->n_formal != g->n_inputs || c->n_out != g->n_outputs)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "the body has %zu inputs and %zu outputs, the node %u and %u",
                              g->n_inputs, g->n_outputs, c->node->n_formal, c->n_out);
    for (uint32_t i = 0; i < c->node->n_formal; i++) {
        mbr_arg *a = &c->in[i]; /* changed in place: nobody reads the inputs after this */
        if (!a->present || a->kind != MBR_KIND_TENSOR || a->rank < 1 || a->dims[0] != samples)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "input %u has another batch", i);
        a->dims[0] = mbr_dim_const(1);
        a->data = NULL;
        MBR_TRY(mbr_infer_feed(c, g, i, a));
    }
    MBR_TRY(mbr_infer_subgraph(c, g));
    for (uint32_t i = 0; i < c->n_out; i++) {
        mbr_control_result(c, g, i, &c->out[i]);
        if (c->out[i].kind != MBR_KIND_TENSOR || c->out[i].rank < 1 || c->out[i].dims[0] != mbr_dim_const(1))
            return mbr_infer_fail(c, MBR_ERR_MODEL, "output %u of the body is not one sample", i);
        c->out[i].dims[0] = samples;
        c->out[i].content = NULL;
    }
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    for (uint32_t i = 1; i < s->n_in; i++)
        if (s->in[i]->dims[0] != s->in[0]->dims[0])
            return mbr_step_fail(s, err, MBR_ERR_INPUT, "input %u has %lld samples, the first one %lld", i,
                                 (long long)s->in[i]->dims[0], (long long)s->in[0]->dims[0]);
    s->cost_ns = 1e6; /* its steps split themselves, among whoever the team has */
    return MBR_OK;
}

/* One sample of a value, at its place. */
static mbr_value sample_of(const mbr_value *v, size_t at)
{
    mbr_value one = *v;
    one.dims[0] = 1;
    one.capacity = mbr_value_bytes(&one);
    one.data = (char *)v->data + at * one.capacity;
    return one;
}

static mbr_status bind(mbr_step *s, struct mbr_frame *f, size_t at, mbr_error *err)
{
    for (uint32_t i = 0; i < s->n_in; i++) {
        mbr_value one = sample_of(s->in[i], at);
        MBR_TRY(mbr_frame_bind(f, i, &one, err));
    }
    return MBR_OK;
}

/* Where the frame's sizes cannot settle: under a profile. */
static mbr_status run_apart(mbr_step *s, struct mbr_frame *f, size_t at, mbr_error *err)
{
    MBR_TRY(bind(s, f, at, err));
    MBR_TRY(mbr_frame_run(f, err));
    for (uint32_t i = 0; i < s->n_out; i++) {
        mbr_value one = sample_of(s->out[i], at);
        memcpy(one.data, mbr_frame_output(f, i)->data, one.capacity);
    }
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)job;
    struct mbr_frame *f = mbr_step_subframe(s, "body");
    size_t samples = (size_t)s->in[0]->dims[0];
    bool settled = false;
    if (samples) {
        MBR_TRY(bind(s, f, 0, err));
        MBR_TRY(mbr_frame_prepare(f, err));
        MBR_TRY(mbr_frame_settle(f, &settled, err));
    }
    for (size_t at = 0; at < samples; at++) {
        if (mbr_step_cancelled(s))
            return MBR_ERR_CANCELLED;
        if (!settled) {
            MBR_TRY(run_apart(s, f, at, err));
            continue;
        }
        uint64_t placed = 0;
        for (uint32_t i = 0; i < s->n_in; i++)
            mbr_frame_point_input(f, i, sample_of(s->in[i], at).data);
        for (uint32_t i = 0; i < s->n_out; i++)
            placed |= (uint64_t)mbr_frame_point_output(f, i, sample_of(s->out[i], at).data) << (i & 63);
        MBR_TRY(mbr_frame_round(f, err));
        for (uint32_t i = 0; i < s->n_out; i++)
            if (!(placed >> (i & 63) & 1)) {
                mbr_value one = sample_of(s->out[i], at);
                memcpy(one.data, mbr_frame_made(f, i)->data, one.capacity);
            }
    }
    return MBR_OK;
}

const mbr_op mbr_ops_by_sample[] = {
    { .domain = "mbr", .name = "BySample", .since = 1, .min_in = 1, .max_in = MBR_OP_MANY, .min_out = 1,
      .max_out = MBR_OP_MANY, .flags = MBR_OP_CONTROL | MBR_OP_HOST | MBR_OP_BODY_FORGETS, .infer = infer,
      .prepare = prepare, .run = run },
    { 0 },
};
