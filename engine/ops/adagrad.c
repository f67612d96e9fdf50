/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Adagrad, Adam, Momentum: R, T, then n tensors of each kind (x, gradient, accumulators); n new tensors of each kind
 * but the gradient come out.
 */
#include "engine/ops/op_util.h"

#include "kernels/optimizer.h"

#include <string.h>

/* Kinds of inputs. */
static uint32_t kinds(const mbr_op *op)
{
    return op->param == MBR_ADAM ? 4 : 3;
}

static mbr_status infer(mbr_infer *c)
{
    uint32_t k = kinds(c->node->op), n = (c->n_in - 2) / k;
    const char *mode = mbr_attr_string(c->node, "mode", "standard");
    MBR_TRY(mbr_op_check_type(c, 0, MBR_TYPE_BIT(F32) | MBR_TYPE_BIT(F64)));
    MBR_TRY(mbr_op_check_type(c, 1, MBR_TYPE_BIT(I64)));
    if (n * k + 2 != c->n_in || c->n_out > n * (k - 1))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "%u inputs and %u outputs", (unsigned)c->n_in, (unsigned)c->n_out);
    if (strcmp(mode, "standard") != 0 && strcmp(mode, "nesterov") != 0)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "no mode is called '%s'", mode);
    for (uint32_t i = 2; i < c->n_in; i++) {
        if (!c->in[i].present)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "input %u is absent", (unsigned)i);
        MBR_TRY(mbr_op_check_type(c, i, MBR_TYPE_BIT(F32) | MBR_TYPE_BIT(F64)));
        MBR_TRY(mbr_op_check_same(c, i, 2 + (i - 2) % n));
    }
    for (uint32_t i = 0; i < c->n_out; i++)
        mbr_infer_same(c, i, 2 + i % n);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    uint32_t n = (s->n_in - 2) / kinds(s->op);
    const mbr_ir_node *node = s->node;
    (void)job;
    if (mbr_value_count(s->in[0]) != 1 || mbr_value_count(s->in[1]) != 1)
        return mbr_step_fail(s, err, MBR_ERR_RUN, "the rate and the step must be single numbers");
    for (uint32_t i = 0; i < n; i++) {
        mbr_value *const *in = s->in + 2 + i;
        mbr_value *out[3] = { 0 };
        mbr_optimizer_args a = { .what = (mbr_optimizer)s->op->param, .dtype = in[0]->dtype,
                                 .rate = mbr_value_real(s->in[0], 0), .step = mbr_value_int(s->in[1], 0),
                                 .norm = mbr_attr_float(node, "norm_coefficient", 0.0f),
                                 .norm_post = mbr_attr_float(node, "norm_coefficient_post", 0.0f),
                                 .decay = mbr_attr_float(node, "decay_factor", 0.0f), .n = mbr_value_count(in[0]) };
        a.alpha = mbr_attr_float(node, "alpha", 0.9f);
        a.beta = mbr_attr_float(node, "beta", 0.999f);
        a.epsilon = mbr_attr_float(node, "epsilon", 1e-6f);
        a.nesterov = strcmp(mbr_attr_string(node, "mode", "standard"), "nesterov") == 0;
        for (uint32_t k = 1; k < kinds(s->op); k++)
            if (mbr_value_count(in[k * n]) != a.n)
                return mbr_step_fail(s, err, MBR_ERR_RUN, "tensor %u and its companions differ in size", (unsigned)i);
        for (uint32_t k = 0; k < kinds(s->op) - 1; k++)
            out[k] = mbr_step_wants(s, k * n + i) ? s->out[k * n + i] : NULL;
        a.x = in[0]->data;
        a.gradient = in[n]->data;
        a.new_x = out[0] ? out[0]->data : NULL;
        const void *second = in[2 * n]->data;
        void *new_second = out[1] ? out[1]->data : NULL;
        if (a.what == MBR_ADAGRAD) {
            a.h = second;
            a.new_h = new_second;
        } else {
            a.v = second;
            a.new_v = new_second;
        }
        if (a.what == MBR_ADAM) {
            a.h = in[3 * n]->data;
            a.new_h = out[2] ? out[2]->data : NULL;
        }
        mbr_optimizer_step(&a);
    }
    return MBR_OK;
}

#define ROW(op_name, least, what)                                                                                      \
    { .domain = "ai.onnx.preview.training", .name = op_name, .since = 1, .min_in = least, .max_in = MBR_OP_MANY,       \
      .min_out = 1, .max_out = MBR_OP_MANY, .infer = infer, .run = run, .param = what }

const mbr_op mbr_ops_adagrad[] = {
    ROW("Adagrad", 5, MBR_ADAGRAD),
    ROW("Adam", 6, MBR_ADAM),
    ROW("Momentum", 5, MBR_MOMENTUM),
    { 0 },
};
