/* SPDX-License-Identifier: BSD-2-Clause */
/* SwiGLU: a * sigmoid(alpha * a) * b. */
#include "engine/ops/op_util.h"
#include "engine/ops/pointwise.h"

typedef struct glu_state {
    mbr_op_chain chain;
    size_t each; /* f64: elements of a tile */
} glu_state;

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *a = &c->in[0], *b = &c->in[1];
    MBR_TRY(mbr_op_check_type(c, 0, MBR_TYPES_FLOAT));
    if (a->dtype != MBR_DTYPE_UNDEFINED && !mbr_chain_float(a->dtype) && a->dtype != MBR_DTYPE_F64)
        return mbr_infer_fail(c, MBR_ERR_UNSUPPORTED, "elements of type %s", mbr_dtype_name(a->dtype));
    if (b->dtype != MBR_DTYPE_UNDEFINED && a->dtype != MBR_DTYPE_UNDEFINED && a->dtype != b->dtype)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "inputs of type %s and %s", mbr_dtype_name(a->dtype),
                              mbr_dtype_name(b->dtype));
    mbr_infer_same(c, 0, 0);
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    glu_state *st = s->state;
    const mbr_value *a = s->in[0], *b = s->in[1];
    bool same = a->rank == b->rank;
    for (int i = 0; same && i < a->rank; i++)
        same = a->dims[i] == b->dims[i];
    if (!same)
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "the inputs differ in shape");
    if (a->dtype == MBR_DTYPE_F64) {
        st->each = mbr_step_split(s, mbr_value_count(a), 20);
        return MBR_OK;
    }
    mbr_chain *c = &st->chain.chain;
    c->inputs = 2;
    c->outputs = 1;
    c->length = 2;
    c->code[0] = (mbr_chain_insn){ .op = MBR_CHAIN_SWISH, .dst = 2, .a = 0, .x = mbr_attr_float(s->node, "alpha", 1) };
    c->code[1] = (mbr_chain_insn){ .op = MBR_CHAIN_MUL, .dst = 2, .a = 2, .b = 1 };
    c->output_reg[0] = 2;
    st->chain.from[0] = 0;
    st->chain.from[1] = 1;
    return mbr_op_chain_prepare(s, &st->chain, -1, err);
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const glu_state *st = s->state;
    (void)err;
    if (s->in[0]->dtype != MBR_DTYPE_F64) {
        mbr_op_chain_run(s, &st->chain, job);
        return MBR_OK;
    }
    size_t first, last;
    mbr_op_items(job, st->each, mbr_value_count(s->in[0]), &first, &last);
    size_t n = last > first ? last - first : 0;
    const ptrdiff_t one = 1;
    const double *a = (const double *)s->in[0]->data + first, *b = (const double *)s->in[1]->data + first;
    double *y = (double *)s->out[0]->data + first;
    mbr_elementwise_unary_ref(MBR_UNARY_SWISH, MBR_DTYPE_F64, mbr_attr_float(s->node, "alpha", 1), 0, 1, &n, a, &one, y,
                              &one);
    mbr_elementwise_binary_ref(MBR_BINARY_MUL, MBR_DTYPE_F64, 1, &n, y, &one, b, &one, y, &one);
    return MBR_OK;
}

const mbr_op mbr_ops_swi_glu[] = {
    { .domain = "", .name = "SwiGLU", .since = 28, .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
      .infer = infer, .prepare = prepare, .run = run, .state_size = sizeof(glu_state) },
    { 0 },
};
