/* SPDX-License-Identifier: BSD-2-Clause */
/* SequenceMap: a subgraph for each item of a sequence; further sequences go along, tensors are given whole. */
#include "engine/ops/control.h"
#include "engine/ops/op_util.h"

#include <string.h>

static mbr_status infer(mbr_infer *c)
{
    mbr_ir_graph *g;
    MBR_TRY(mbr_control_graph(c, "body", &g));
    uint32_t n = c->node->n_formal;
    if (c->in[0].kind != MBR_KIND_SEQUENCE)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "input 0 must be a sequence");
    if (g->n_inputs != n || g->n_outputs < c->n_out)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "the body has %zu inputs and %zu outputs, the node %u and %u",
                              g->n_inputs, g->n_outputs, (unsigned)n, (unsigned)c->n_out);
    for (uint32_t i = 0; i < n; i++) {
        mbr_arg a = c->in[i];
        if (!a.present)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "input %u is absent", (unsigned)i);
        a.data = NULL;
        a.content = NULL;
        if (a.kind == MBR_KIND_SEQUENCE) {
            const mbr_ir_type *item = a.item;
            a.kind = item ? item->kind : MBR_KIND_TENSOR;
            a.item = item ? item->item : NULL;
            a.rank = item && item->kind == MBR_KIND_TENSOR ? item->rank : -1;
            if (a.rank > 0)
                memcpy(a.dims, item->dims, sizeof(mbr_dim) * (size_t)a.rank);
        }
        MBR_TRY(mbr_infer_feed(c, g, i, &a));
    }
    MBR_TRY(mbr_infer_subgraph(c, g));
    for (uint32_t i = 0; i < c->n_out; i++) {
        mbr_arg made = { 0 };
        mbr_control_result(c, g, i, &made);
        c->out[i].kind = MBR_KIND_SEQUENCE;
        c->out[i].dtype = made.dtype;
        c->out[i].rank = -1;
        if (c->arena) { /* items of all shapes */
            mbr_ir_type *t = mbr_arena_calloc(c->arena, 1, sizeof *t);
            if (t)
                *t = (mbr_ir_type){ .kind = made.kind, .dtype = made.dtype, .item = made.item, .rank = -1 };
            c->out[i].item = t;
        }
    }
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    struct mbr_frame *f = mbr_step_subframe(s, "body");
    uint32_t n = s->node->n_formal;
    (void)job;
    MBR_TRY(mbr_subframe_bind_captures(s, f, err));
    for (uint32_t i = 0; i < s->n_out; i++)
        if (s->out[i]) {
            mbr_value_empty(s->out[i]);
            s->out[i]->kind = MBR_KIND_SEQUENCE;
        }
    for (uint32_t i = 1; i < n; i++)
        if (s->in[i]->kind == MBR_KIND_SEQUENCE && s->in[i]->n_items != s->in[0]->n_items)
            return mbr_step_fail(s, err, MBR_ERR_RUN, "sequences of %zu and %zu items", s->in[0]->n_items,
                                 s->in[i]->n_items);
    for (size_t k = 0; k < s->in[0]->n_items; k++) {
        if (mbr_step_cancelled(s))
            return mbr_step_fail(s, err, MBR_ERR_CANCELLED, "the run was cancelled");
        for (uint32_t i = 0; i < n; i++)
            MBR_TRY(mbr_frame_bind(f, i, s->in[i]->kind == MBR_KIND_SEQUENCE ? s->in[i]->items[k] : s->in[i], err));
        MBR_TRY(mbr_frame_run(f, err));
        for (uint32_t i = 0; i < s->n_out; i++) {
            mbr_value *item;
            if (!s->out[i])
                continue;
            const mbr_value *made = mbr_frame_output(f, i);
            MBR_TRY(mbr_value_create(mbr_step_memory(s), made->kind, made->dtype, &item, err));
            mbr_status st = mbr_value_assign(item, made, err);
            if (st == MBR_OK)
                st = mbr_value_push(s->out[i], item, err);
            mbr_value_drop(item);
            MBR_TRY(st);
            s->out[i]->dtype = made->dtype;
        }
    }
    return MBR_OK;
}

const mbr_op mbr_ops_sequence_map[] = {
    { .domain = "", .name = "SequenceMap", .since = 17, .min_in = 1, .max_in = MBR_OP_MANY, .min_out = 1,
      .max_out = MBR_OP_MANY, .flags = MBR_CONTROL_FLAGS, .infer = infer, .run = run },
    { 0 },
};
