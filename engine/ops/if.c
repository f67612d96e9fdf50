/* SPDX-License-Identifier: BSD-2-Clause */
/* If: runs one of two subgraphs. */
#include "engine/ops/control.h"

static mbr_status check(mbr_infer *c, const mbr_ir_graph *g, const char *attr)
{
    if (g->n_inputs != 0)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "%s has inputs", attr);
    if (g->n_outputs < c->n_out)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "%s has %zu outputs, the node has %u", attr, g->n_outputs, c->n_out);
    return MBR_OK;
}

static mbr_status infer(mbr_infer *c)
{
    mbr_ir_graph *then_branch, *else_branch;
    MBR_TRY(mbr_control_graph(c, "then_branch", &then_branch));
    MBR_TRY(mbr_control_graph(c, "else_branch", &else_branch));
    MBR_TRY(check(c, then_branch, "then_branch"));
    MBR_TRY(check(c, else_branch, "else_branch"));
    int64_t cond;
    size_t n;
    bool known = mbr_infer_const_ints(c, 0, &cond, 1, &n) && n == 1;
    mbr_status then_status = mbr_infer_subgraph(c, then_branch), else_status = mbr_infer_subgraph(c, else_branch);
    /* a branch that never runs may be nonsense for these shapes */
    if (!known || cond)
        MBR_TRY(then_status);
    if (!known || !cond)
        MBR_TRY(else_status);
    for (uint32_t i = 0; i < c->n_out; i++) {
        if (!c->out[i].present)
            continue;
        mbr_control_result(c, known && !cond ? else_branch : then_branch, i, &c->out[i]);
        if (known)
            continue;
        mbr_arg other = { 0 };
        bool changed = false;
        mbr_control_result(c, else_branch, i, &other);
        c->out[i].content = NULL; /* of one branch */
        MBR_TRY(mbr_control_join(c, &c->out[i], &other, then_branch->outputs[i]->name, &changed));
    }
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)job;
    bool holds;
    MBR_TRY(mbr_control_condition(s, s->in[0], &holds, err));
    struct mbr_frame *f = mbr_step_subframe(s, holds ? "then_branch" : "else_branch");
    MBR_TRY(mbr_subframe_bind_captures(s, f, err));
    MBR_TRY(mbr_frame_run(f, err));
    for (uint32_t i = 0; i < s->n_out; i++)
        MBR_TRY(mbr_control_deliver_output(s, i, f, i, err));
    return MBR_OK;
}

#define ROW(version)                                                                                                   \
    { .domain = "", .name = "If", .since = version, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = MBR_OP_MANY,    \
      .flags = MBR_CONTROL_FLAGS, .infer = infer, .run = run }

const mbr_op mbr_ops_if[] = {
    ROW(1),  /* tensors of one shape from both branches */
    ROW(11), /* any shapes */
    ROW(13), /* sequences */
    ROW(16), /* optionals */
    { 0 },
};
