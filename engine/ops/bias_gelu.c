/* SPDX-License-Identifier: BSD-2-Clause */
/* com.microsoft's Gelu, FastGelu, BiasGelu and QuickGelu: act(x + bias), the bias along the last axis. */
#include "engine/ops/op_util.h"
#include "engine/ops/pointwise.h"

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *x = &c->in[0];
    MBR_TRY(mbr_op_check_tensor(c, 0));
    if (x->dtype != MBR_DTYPE_UNDEFINED && !mbr_chain_float(x->dtype))
        return mbr_infer_fail(c, MBR_ERR_UNSUPPORTED, "elements of type %s", mbr_dtype_name(x->dtype));
    if (mbr_infer_has(c, 1) && c->in[1].rank >= 0 && c->in[1].rank != 1)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "a bias of rank %d, not 1", c->in[1].rank);
    mbr_infer_same(c, 0, 0);
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    mbr_op_chain *k = s->state;
    const mbr_value *x = s->in[0];
    bool bias = mbr_step_has(s, 1);
    if (bias && (s->in[1]->dtype != x->dtype || x->rank == 0 || s->in[1]->dims[0] != x->dims[x->rank - 1]))
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "the bias does not fit the last axis");
    mbr_chain *c = &k->chain;
    uint8_t y = bias ? 2 : 1;
    c->inputs = bias ? 2 : 1;
    c->outputs = 1;
    c->length = 0;
    if (bias)
        c->code[c->length++] = (mbr_chain_insn){ .op = MBR_CHAIN_ADD, .dst = y, .a = 0, .b = 1 };
    c->code[c->length++] = (mbr_chain_insn){ .op = (uint8_t)s->op->param, .dst = y, .a = bias ? y : 0,
                                             .x = mbr_attr_float(s->node, "alpha", 1.702f) };
    c->output_reg[0] = y;
    k->from[0] = 0;
    k->from[1] = 1;
    return mbr_op_chain_prepare(s, k, -1, err);
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)err;
    mbr_op_chain_run(s, s->state, job);
    return MBR_OK;
}

#define ROW(op_name, least, most, what)                                                                                \
    { .domain = "com.microsoft", .name = op_name, .since = 1, .min_in = least, .max_in = most, .min_out = 1,           \
      .max_out = 1, .infer = infer, .prepare = prepare, .run = run, .state_size = sizeof(mbr_op_chain), .param = what }

const mbr_op mbr_ops_bias_gelu[] = {
    ROW("BiasGelu", 2, 2, MBR_CHAIN_GELU),
    ROW("FastGelu", 1, 2, MBR_CHAIN_GELU_TANH),
    ROW("Gelu", 1, 1, MBR_CHAIN_GELU),
    ROW("QuickGelu", 1, 1, MBR_CHAIN_SWISH),
    { 0 },
};
