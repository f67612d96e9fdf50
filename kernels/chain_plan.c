/* SPDX-License-Identifier: BSD-2-Clause */
/* Chains: the program check and the walk over the space; independent of the instruction set. */
#include "kernels/chain.h"

#include <string.h>

static const struct {
    const char *name;
    uint8_t operands, immediates;
    uint8_t cost; /* tenths of a nanosecond for ten elements, roughly */
} ops[MBR_CHAIN_OP_COUNT] = {
#define MBR_CHAIN_ROW(id, regs, imms, text) [MBR_CHAIN_##id] = {#id, regs, imms, sizeof(text) > 1 ? 8 : 0},
    MBR_CHAIN_OPS(MBR_CHAIN_ROW)
#undef MBR_CHAIN_ROW
};

const char *mbr_chain_op_name(mbr_chain_op op)
{
    return (unsigned)op < MBR_CHAIN_OP_COUNT ? ops[op].name : "?";
}

int mbr_chain_op_operands(mbr_chain_op op)
{
    return (unsigned)op < MBR_CHAIN_OP_COUNT ? ops[op].operands : 0;
}

int mbr_chain_op_immediates(mbr_chain_op op)
{
    return (unsigned)op < MBR_CHAIN_OP_COUNT ? ops[op].immediates : 0;
}

static bool type_allowed(mbr_dtype t)
{
    switch (t) {
    case MBR_DTYPE_UNDEFINED:
    case MBR_DTYPE_F32:
    case MBR_DTYPE_F16:
    case MBR_DTYPE_BF16:
    case MBR_DTYPE_U8:
    case MBR_DTYPE_I8:
    case MBR_DTYPE_BOOL:
    case MBR_DTYPE_I32:
        return true;
    default:
        return false;
    }
}

const char *mbr_chain_check(const mbr_chain *chain)
{
    if (chain->inputs < 0 || chain->inputs > MBR_CHAIN_INPUTS)
        return "number of inputs";
    if (chain->outputs < 1 || chain->outputs > MBR_CHAIN_OUTPUTS)
        return "number of outputs";
    if (chain->length < 0 || chain->length > MBR_CHAIN_CODE)
        return "length";
    uint32_t written = (1u << chain->inputs) - 1;
    for (int i = 0; i < chain->length; i++) {
        const mbr_chain_insn *n = &chain->code[i];
        if (n->op >= MBR_CHAIN_OP_COUNT)
            return "operator";
        if (n->dst >= MBR_CHAIN_REGS || n->dst < chain->inputs)
            return "destination register";
        const uint8_t use[3] = {n->a, n->b, n->c};
        for (int k = 0; k < ops[n->op].operands; k++)
            if (use[k] >= MBR_CHAIN_REGS || !(written >> use[k] & 1))
                return "operand register read before it is written";
        written |= 1u << n->dst;
    }
    for (int i = 0; i < chain->inputs; i++)
        if (!type_allowed(chain->input_type[i]))
            return "input type";
    for (int i = 0; i < chain->outputs; i++) {
        if (!type_allowed(chain->output_type[i]))
            return "output type";
        if (chain->output_reg[i] >= MBR_CHAIN_REGS || !(written >> chain->output_reg[i] & 1))
            return "output register never written";
    }
    return NULL;
}

static mbr_chain_pattern classify(const mbr_chain_space *s, const ptrdiff_t *strides)
{
    ptrdiff_t dense = 1;
    bool all_dense = true, all_zero = true, outer_zero = true;
    for (int d = s->rank - 1; d >= 0; d--) {
        all_dense &= strides[d] == dense;
        all_zero &= strides[d] == 0;
        if (d < s->rank - 1)
            outer_zero &= strides[d] == 0;
        dense *= (ptrdiff_t)s->dims[d];
    }
    if (all_dense)
        return MBR_CHAIN_DENSE;
    if (all_zero)
        return MBR_CHAIN_SCALAR;
    if (outer_zero && strides[s->rank - 1] == 1)
        return MBR_CHAIN_COLUMN;
    return strides[s->rank - 1] == 0 ? MBR_CHAIN_ROW : MBR_CHAIN_STRIDED;
}

static bool is_f32(mbr_dtype t)
{
    return t == MBR_DTYPE_UNDEFINED || t == MBR_DTYPE_F32;
}

/*
 * An output may be written in place by the last instruction that writes its register, if nothing after that reads an
 * input: an output may share the buffer of one.
 */
static void find_direct(mbr_chain_space *s, const mbr_chain *c)
{
    int last_input_use = -1;
    for (int i = 0; i < c->length; i++) {
        const uint8_t use[3] = {c->code[i].a, c->code[i].b, c->code[i].c};
        for (int k = 0; k < mbr_chain_op_operands(c->code[i].op); k++)
            if (use[k] < c->inputs)
                last_input_use = i;
    }
    for (int o = 0; o < c->outputs; o++)
        s->direct_from[o] = -1;
    for (int o = 0; o < c->outputs; o++)
        if (c->output_reg[o] < c->inputs)
            return; /* copied at the end, so that no output may be written before that */
    for (int o = 0; o < c->outputs; o++) {
        if (s->out_pattern[o] != MBR_CHAIN_DENSE || !is_f32(c->output_type[o]))
            continue;
        for (int i = c->length - 1; i >= last_input_use && i >= 0; i--)
            if (c->code[i].dst == c->output_reg[o]) {
                s->direct_from[o] = (int16_t)i;
                break;
            }
        for (int k = 0; k < o; k++) /* one register, two outputs: the second is a copy */
            if (c->output_reg[k] == c->output_reg[o])
                s->direct_from[o] = -1;
    }
}

static bool is_plain(const mbr_chain_space *s, const mbr_chain *c)
{
    bool plain = s->tiles == 1 && s->row_tiles == 0 && c->inputs > 0;
    for (int i = 0; i < c->inputs; i++)
        plain = plain && is_f32(c->input_type[i]) &&
                (s->in_pattern[i] == MBR_CHAIN_DENSE || s->in_pattern[i] == MBR_CHAIN_SCALAR ||
                 s->in_pattern[i] == MBR_CHAIN_COLUMN);
    for (int o = 0; o < c->outputs; o++)
        plain = plain && s->direct_from[o] >= 0;
    return plain;
}

void mbr_chain_space_init(mbr_chain_space *space, const mbr_chain *chain, int rank, const size_t *dims,
                          const ptrdiff_t *const *in_strides, const ptrdiff_t *const *out_strides)
{
    ptrdiff_t *views[MBR_CHAIN_INPUTS + MBR_CHAIN_OUTPUTS];
    ptrdiff_t dense[MBR_KERNEL_RANK];
    size_t bytes = (size_t)rank * sizeof *dense;
    int n = 0;
    mbr_dense_strides(rank, dims, dense);
    if (rank > 0)
        memcpy(space->dims, dims, (size_t)rank * sizeof *dims);
    for (int i = 0; i < chain->inputs; i++) {
        views[n++] = space->in_strides[i];
        memcpy(space->in_strides[i], in_strides && in_strides[i] ? in_strides[i] : dense, bytes);
    }
    for (int i = 0; i < chain->outputs; i++) {
        views[n++] = space->out_strides[i];
        memcpy(space->out_strides[i], out_strides && out_strides[i] ? out_strides[i] : dense, bytes);
    }
    space->count = mbr_dims_count(rank, dims);
    space->rank = mbr_collapse_dims(rank, space->dims, n, views);
    if (space->rank == 0) {
        space->rank = 1;
        space->dims[0] = 1;
        for (int k = 0; k < n; k++)
            views[k][0] = 1;
    }
    for (int i = 0; i < chain->inputs; i++)
        space->in_pattern[i] = classify(space, space->in_strides[i]);
    for (int i = 0; i < chain->outputs; i++)
        space->out_pattern[i] =
            classify(space, space->out_strides[i]) == MBR_CHAIN_DENSE ? MBR_CHAIN_DENSE : MBR_CHAIN_STRIDED;

    space->inner = space->dims[space->rank - 1];
    if (space->count == 0) {
        space->tile = space->row_tiles = space->tiles = 0;
    } else if (space->inner <= MBR_CHAIN_TILE) {
        space->tile = MBR_CHAIN_TILE / space->inner * space->inner;
        space->row_tiles = 0;
        space->tiles = (space->count + space->tile - 1) / space->tile;
    } else {
        space->tile = MBR_CHAIN_TILE;
        space->row_tiles = (space->inner + MBR_CHAIN_TILE - 1) / MBR_CHAIN_TILE;
        space->tiles = space->count / space->inner * space->row_tiles;
    }
    find_direct(space, chain);
    space->plain = is_plain(space, chain);
}

unsigned mbr_chain_cost(const mbr_chain *chain)
{
    unsigned cost = 1;
    for (int i = 0; i < chain->length; i++)
        cost += ops[chain->code[i].op].cost;
    return cost;
}
