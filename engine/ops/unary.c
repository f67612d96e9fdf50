/* SPDX-License-Identifier: BSD-2-Clause */
/* Elementwise functions of one tensor: Abs ... Tanh. */
#include "engine/ops/op_util.h"
#include "engine/ops/pointwise.h"

#include <string.h>

typedef struct unary_state {
    mbr_op_chain chain; /* fn NULL: the typed loop; first: engine/opencl reads it */
    size_t each;
    float alpha, beta;
    int op;
} unary_state;

static mbr_unary_op typed(const mbr_ir_node *node)
{
    mbr_unary_op op = (mbr_unary_op)mbr_pointwise_typed(node->op);
    if (op == MBR_UNARY_GELU && strcmp(mbr_attr_string(node, "approximate", "none"), "tanh") == 0)
        return MBR_UNARY_GELU_TANH;
    return op;
}

static bool chains(const mbr_op *op, mbr_dtype t)
{
    if (!mbr_pointwise_has_chain(op))
        return false;
    return mbr_pointwise_chain(op) == MBR_CHAIN_NOT ? t == MBR_DTYPE_BOOL : mbr_chain_float(t);
}

static mbr_status infer(mbr_infer *c)
{
    mbr_unary_op op = typed(c->node);
    const mbr_arg *in = &c->in[0];
    MBR_TRY(mbr_op_check_tensor(c, 0));
    if (in->dtype && !mbr_elementwise_unary_has(op, in->dtype) && !chains(c->node->op, in->dtype))
        return mbr_infer_fail(c, MBR_ERR_UNSUPPORTED, "it does not take tensors of %s", mbr_dtype_name(in->dtype));
    mbr_infer_out(c, 0, mbr_unary_gives_bool(op) ? MBR_DTYPE_BOOL : in->dtype, in->rank, in->dims);
    if (op == MBR_UNARY_NEG || op == MBR_UNARY_ABS || op == MBR_UNARY_NOT) {
        mbr_dim v[MBR_OP_CONTENT];
        size_t n;
        if (!mbr_infer_ints(c, 0, v, MBR_OP_CONTENT, &n))
            return MBR_OK;
        for (size_t i = 0; i < n; i++) {
            if (op == MBR_UNARY_NOT)
                v[i] = mbr_dim_is_const(v[i]) ? v[i] == 0 : MBR_DIM_UNKNOWN;
            else if (op == MBR_UNARY_NEG)
                v[i] = mbr_dim_sub(c->dims, 0, v[i]);
            else
                v[i] = mbr_dim_max(c->dims, v[i], mbr_dim_sub(c->dims, 0, v[i]));
            if (!mbr_dim_is_known(v[i]))
                return MBR_OK;
        }
        mbr_infer_set_content(c, 0, v, n);
    }
    return MBR_OK;
}

static mbr_status init(mbr_step *s, mbr_error *err)
{
    unary_state *st = s->state;
    (void)err;
    st->op = typed(s->node);
    if (mbr_pointwise_has_chain(s->op))
        mbr_pointwise_immediates(s->node, mbr_pointwise_chain(s->op), &st->alpha, &st->beta);
    if (st->op == MBR_UNARY_ISINF) {
        st->alpha = mbr_attr_int(s->node, "detect_negative", 1) != 0;
        st->beta = mbr_attr_int(s->node, "detect_positive", 1) != 0;
    }
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    unary_state *st = s->state;
    (void)err;
    mbr_dtype t = s->in[0]->dtype;
    st->chain.fn = NULL;
    if (chains(s->op, t)) {
        mbr_chain_op op = st->op == MBR_UNARY_GELU_TANH ? MBR_CHAIN_GELU_TANH : mbr_pointwise_chain(s->op);
        st->chain.chain.inputs = st->chain.chain.outputs = st->chain.chain.length = 1;
        st->chain.chain.output_reg[0] = 1;
        st->chain.chain.code[0] =
            (mbr_chain_insn){ .op = (uint8_t)op, .dst = 1, .a = 0, .x = st->alpha, .y = st->beta };
        st->chain.from[0] = 0;
        return mbr_op_chain_prepare(s, &st->chain, -1, err);
    }
    size_t n = mbr_value_count(s->in[0]);
    st->each = 4096 * mbr_step_split(s, (n + 4095) / 4096, 4096 * 4.0);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const unary_state *st = s->state;
    (void)err;
    if (st->chain.fn) {
        mbr_op_chain_run(s, &st->chain, job);
        return MBR_OK;
    }
    const mbr_value *in = s->in[0];
    mbr_value *out = s->out[0];
    size_t first, last;
    ptrdiff_t one = 1;
    mbr_op_items(job, st->each, mbr_value_count(in), &first, &last);
    if (first == last)
        return MBR_OK;
    size_t n = last - first;
    mbr_elementwise_unary_ref((mbr_unary_op)st->op, in->dtype, st->alpha, st->beta, 1, &n,
                              (const char *)in->data + first * mbr_dtype_size(in->dtype), &one,
                              (char *)out->data + first * mbr_dtype_size(out->dtype), &one);
    return MBR_OK;
}

#define UNARY(op_name, version, typed_op, chain_op, more)                                                              \
    { .domain = "", .name = op_name, .since = version, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,           \
      .flags = MBR_OP_INPLACE0 | (more), .infer = infer, .init = init, .prepare = prepare, .run = run,                 \
      .state_size = sizeof(unary_state), .param = MBR_POINTWISE_PARAM(MBR_UNARY_##typed_op, chain_op) }
#define CHAINED(op_name, version, op) UNARY(op_name, version, op, MBR_CHAIN_##op, MBR_OP_CHAIN)
#define TYPED(op_name, version, op) UNARY(op_name, version, op, MBR_POINTWISE_NO_CHAIN, 0)

const mbr_op mbr_ops_unary[] = {
    CHAINED("Abs", 1, ABS),
    TYPED("Acos", 7, ACOS),
    TYPED("Acosh", 9, ACOSH),
    TYPED("Asin", 7, ASIN),
    TYPED("Asinh", 9, ASINH),
    TYPED("Atan", 7, ATAN),
    TYPED("Atanh", 9, ATANH),
    TYPED("BitwiseNot", 18, BITNOT),
    CHAINED("Ceil", 1, CEIL),
    CHAINED("Celu", 12, CELU),
    CHAINED("Cos", 7, COS),
    TYPED("Cosh", 9, COSH),
    CHAINED("Elu", 1, ELU),
    CHAINED("Erf", 9, ERF),
    CHAINED("Exp", 1, EXP),
    CHAINED("Floor", 1, FLOOR),
    CHAINED("Gelu", 20, GELU),
    CHAINED("HardSigmoid", 1, HARD_SIGMOID),
    CHAINED("HardSwish", 14, HARD_SWISH),
    TYPED("IsInf", 10, ISINF),
    CHAINED("IsNaN", 9, ISNAN),
    CHAINED("LeakyRelu", 1, LEAKY_RELU),
    CHAINED("Log", 1, LOG),
    CHAINED("Mish", 18, MISH),
    CHAINED("Neg", 1, NEG),
    CHAINED("Not", 1, NOT),
    CHAINED("Reciprocal", 1, RECIPROCAL),
    CHAINED("Relu", 1, RELU),
    CHAINED("Round", 11, ROUND),
    CHAINED("Selu", 1, SELU),
    CHAINED("Selu", 6, SELU),
    CHAINED("Shrink", 9, SHRINK),
    CHAINED("Sigmoid", 1, SIGMOID),
    CHAINED("Sign", 9, SIGN),
    CHAINED("Sin", 7, SIN),
    TYPED("Sinh", 9, SINH),
    CHAINED("Softplus", 1, SOFTPLUS),
    CHAINED("Softsign", 1, SOFTSIGN),
    CHAINED("Sqrt", 1, SQRT),
    CHAINED("Swish", 24, SWISH),
    TYPED("Tan", 7, TAN),
    CHAINED("Tanh", 1, TANH),
    CHAINED("ThresholdedRelu", 10, THRESHOLDED_RELU),
    { 0 },
};
