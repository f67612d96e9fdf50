/* SPDX-License-Identifier: BSD-2-Clause */
/* NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss. */
#include "kernels/loss.h"

#include "engine/ops/op.h"

#include <string.h>

enum { NLL, SOFTMAX };

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *x = &c->in[0], *t = &c->in[1];
    const char *reduction = mbr_attr_string(c->node, "reduction", "mean");
    bool none = strcmp(reduction, "none") == 0;
    if (!none && strcmp(reduction, "mean") != 0 && strcmp(reduction, "sum") != 0)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "reduction '%s'", reduction);
    if (x->dtype != MBR_DTYPE_UNDEFINED && !mbr_dtype_is_float(x->dtype))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "elements of type %s; floats are needed", mbr_dtype_name(x->dtype));
    if (t->dtype != MBR_DTYPE_UNDEFINED && t->dtype != MBR_DTYPE_I32 && t->dtype != MBR_DTYPE_I64)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "targets of type %s; i32 or i64 is needed", mbr_dtype_name(t->dtype));
    if ((x->rank >= 0 && x->rank < 2) || (x->rank >= 0 && t->rank >= 0 && t->rank != x->rank - 1))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "an input of rank %d and targets of rank %d", x->rank, t->rank);
    mbr_infer_out(c, 0, x->dtype, none ? t->rank : 0, none && t->rank >= 0 ? t->dims : NULL);
    if (c->n_out > 1)
        mbr_infer_same(c, 1, 0);
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    const mbr_value *x = s->in[0], *t = s->in[1];
    bool fits = t->dims[0] == x->dims[0];
    for (int i = 1; i < t->rank; i++)
        fits &= t->dims[i] == x->dims[i + 1];
    if (!fits)
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "the shapes of input and targets do not belong together");
    if (mbr_step_has(s, 2) && (s->in[2]->dtype != x->dtype || mbr_value_count(s->in[2]) != (size_t)x->dims[1]))
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "%zu weights for %lld classes", mbr_value_count(s->in[2]),
                             (long long)x->dims[1]);
    s->cost_ns = (double)mbr_value_count(x) * 10;
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)job;
    const mbr_value *x = s->in[0];
    const char *reduction = mbr_attr_string(s->node, "reduction", "mean");
    mbr_loss_args a = {
        .dtype = x->dtype, .target_dtype = s->in[1]->dtype, .scores = s->op->param == SOFTMAX,
        .reduction = strcmp(reduction, "none") == 0 ? MBR_LOSS_NONE : strcmp(reduction, "sum") == 0 ? MBR_LOSS_SUM :
                     MBR_LOSS_MEAN,
        .has_ignored = mbr_attr(s->node, "ignore_index") != NULL,
        .ignored = mbr_attr_int(s->node, "ignore_index", 0),
        .n = (size_t)x->dims[0], .classes = (size_t)x->dims[1], .points = 1,
        .in = x->data, .target = s->in[1]->data, .weight = mbr_step_has(s, 2) ? s->in[2]->data : NULL,
        .out = s->out[0]->data, .log_prob = mbr_step_wants(s, 1) ? s->out[1]->data : NULL,
    };
    int64_t bad;
    for (int i = 2; i < x->rank; i++)
        a.points *= (size_t)x->dims[i];
    if (!mbr_loss(&a, &bad))
        return mbr_step_fail(s, err, MBR_ERR_RUN, "target %lld is none of %zu classes", (long long)bad, a.classes);
    return MBR_OK;
}

#define ROW(op_name, outs, what)                                                                                       \
    { .domain = "", .name = op_name, .since = 12, .min_in = 2, .max_in = 3, .min_out = 1, .max_out = outs,             \
      .infer = infer, .prepare = prepare, .run = run, .param = what }

const mbr_op mbr_ops_loss[] = {
    ROW("NegativeLogLikelihoodLoss", 1, NLL),
    ROW("SoftmaxCrossEntropyLoss", 2, SOFTMAX),
    { 0 },
};
