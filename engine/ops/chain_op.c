/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mbr.Chain: a program of elementwise instructions (kernels/chain.h) over inputs that broadcast to one shape; every
 * output has that shape. Made by the chain pass.
 *
 *   code   5 numbers an instruction: operator, destination, operands a, b, c (registers; 0 .. inputs-1 are the inputs)
 *   imm    2 numbers an instruction: immediates x, y
 *   out    the register of each output
 *   types  the element type of each output
 */
#include "engine/ops/op_util.h"
#include "engine/ops/pointwise.h"

#include "kernels/cpu.h"

#include <string.h>

typedef struct chain_state { /* begins as mbr_op_chain does: engine/opencl reads it */
    mbr_chain chain;
    mbr_chain_space space;
    mbr_chain_fn *fn;
    size_t each;
    uint32_t slots[MBR_CHAIN_OUTPUTS]; /* the step's outputs that somebody wants */
} chain_state;

/* Fills all but the input types; false: the attributes do not describe a chain. */
static bool read_chain(const mbr_ir_node *n, mbr_chain *c)
{
    size_t n_code, n_imm, n_out, n_types;
    const int64_t *code = mbr_attr_ints(n, "code", &n_code), *out = mbr_attr_ints(n, "out", &n_out);
    const int64_t *types = mbr_attr_ints(n, "types", &n_types);
    const float *imm = mbr_attr_floats(n, "imm", &n_imm);
    memset(c, 0, sizeof *c);
    if (n->n_formal == 0 || n->n_formal > MBR_CHAIN_INPUTS || n_code % 5 || n_code / 5 > MBR_CHAIN_CODE ||
        n_imm != n_code / 5 * 2 || n_out != n->n_outputs || n_types != n_out || n_out > MBR_CHAIN_OUTPUTS)
        return false;
    c->inputs = (int)n->n_formal;
    c->outputs = (int)n_out;
    c->length = (int)(n_code / 5);
    for (size_t i = 0; i < n_code; i++)
        if (code[i] < 0 || code[i] > 255)
            return false;
    for (size_t i = 0; i < n_code / 5; i++)
        c->code[i] = (mbr_chain_insn){ .op = (uint8_t)code[5 * i],
                                       .dst = (uint8_t)code[5 * i + 1],
                                       .a = (uint8_t)code[5 * i + 2],
                                       .b = (uint8_t)code[5 * i + 3],
                                       .c = (uint8_t)code[5 * i + 4],
                                       .x = imm[2 * i],
                                       .y = imm[2 * i + 1] };
    for (size_t i = 0; i < n_out; i++) {
        if (out[i] < 0 || out[i] >= MBR_CHAIN_REGS || types[i] < 0 || types[i] >= MBR_DTYPE_COUNT)
            return false;
        c->output_reg[i] = (uint8_t)out[i];
        c->output_type[i] = (mbr_dtype)types[i];
    }
    for (uint32_t i = 0; i < n->n_formal; i++)
        if (!n->inputs[i])
            return false;
    return true;
}

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *args[MBR_CHAIN_INPUTS];
    mbr_dim dims[MBR_MAX_RANK];
    mbr_chain chain;
    int rank;
    if (!read_chain(c->node, &chain))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "its attributes do not describe a chain");
    for (int i = 0; i < chain.inputs; i++) {
        args[i] = &c->in[i];
        chain.input_type[i] = c->in[i].dtype;
    }
    const char *mistake = mbr_chain_check(&chain);
    if (mistake)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "%s", mistake);
    MBR_TRY(mbr_infer_broadcast(c, args, (size_t)chain.inputs, &rank, dims));
    for (int i = 0; i < chain.outputs; i++)
        mbr_infer_out(c, (uint32_t)i, chain.output_type[i], rank, dims);
    return MBR_OK;
}

static mbr_status init(mbr_step *s, mbr_error *err)
{
    chain_state *st = s->state;
    if (!read_chain(s->node, &st->chain))
        return mbr_step_fail(s, err, MBR_ERR_MODEL, "its attributes do not describe a chain");
    mbr_chain *c = &st->chain;
    int wanted = 0;
    for (uint32_t i = 0; i < s->n_out; i++) /* a pass may have taken an output's readers away */
        if (s->out[i]) {
            c->output_reg[wanted] = c->output_reg[i];
            c->output_type[wanted] = c->output_type[i];
            st->slots[wanted++] = i;
        }
    c->outputs = wanted;
    st->fn = mbr_chain_select(mbr_cpu_tiers());
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    chain_state *st = s->state;
    size_t dims[MBR_MAX_RANK];
    ptrdiff_t strides[MBR_CHAIN_INPUTS][MBR_MAX_RANK];
    const ptrdiff_t *in[MBR_CHAIN_INPUTS], *dense[MBR_CHAIN_OUTPUTS] = { NULL };
    const mbr_value *shape = NULL;
    for (uint32_t i = 0; i < s->n_out && !shape; i++)
        shape = s->out[i];
    if (!shape)
        return MBR_OK;
    int rank = mbr_op_dims(shape, dims);
    for (int i = 0; i < st->chain.inputs; i++) {
        st->chain.input_type[i] = s->in[i]->dtype;
        MBR_TRY(mbr_op_check_spread(s, (uint32_t)i, shape, rank - s->in[i]->rank, err));
        mbr_op_strides_at(s->in[i], rank, rank - s->in[i]->rank, strides[i]);
        in[i] = strides[i];
    }
    mbr_chain_space_init(&st->space, &st->chain, rank, dims, in, dense);
    st->each = 1;
    s->tiles[0] = 0;
    if (st->space.tiles)
        st->each = mbr_step_split(s, st->space.tiles,
                                  (double)st->space.count / (double)st->space.tiles * mbr_chain_cost(&st->chain) * 0.1);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const chain_state *st = s->state;
    const void *in[MBR_CHAIN_INPUTS];
    void *out[MBR_CHAIN_OUTPUTS];
    size_t first, last;
    (void)err;
    mbr_op_items(job, st->each, st->space.tiles, &first, &last);
    if (first >= last)
        return MBR_OK;
    for (int i = 0; i < st->chain.inputs; i++)
        in[i] = s->in[i]->data;
    for (int i = 0; i < st->chain.outputs; i++)
        out[i] = s->out[st->slots[i]]->data;
    st->fn(&st->chain, &st->space, in, out, first, last);
    return MBR_OK;
}

const mbr_op mbr_ops_chain_op[] = {
    { .domain = "mbr", .name = "Chain", .since = 1, .min_in = 1, .max_in = MBR_CHAIN_INPUTS, .min_out = 1,
      .max_out = MBR_CHAIN_OUTPUTS, .flags = MBR_OP_INPLACE0 | MBR_OP_INPLACE1, .infer = infer, .init = init,
      .prepare = prepare, .run = run, .state_size = sizeof(chain_state) },
    { 0 },
};
