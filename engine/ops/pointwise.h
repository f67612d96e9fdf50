/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Elementwise operators as steps: one instruction chain for the types that chains know, else the typed loops of
 * kernels/elementwise.h; and what the chain pass asks about a node.
 *
 * A row's param says which function: mbr_pointwise_param(typed operator, chain operator).
 */
#ifndef MBR_ENGINE_OPS_POINTWISE_H
#define MBR_ENGINE_OPS_POINTWISE_H

#include "engine/ops/op.h"
#include "kernels/chain.h"
#include "kernels/elementwise.h"

#define MBR_POINTWISE_NO_CHAIN 0xfff
#define MBR_POINTWISE_PARAM(typed, chain) ((int64_t)(typed) | (int64_t)(chain) << 16)

static inline int mbr_pointwise_typed(const mbr_op *op)
{
    return (int)(op->param & 0xffff);
}
static inline bool mbr_pointwise_has_chain(const mbr_op *op)
{
    return op->param >> 16 != MBR_POINTWISE_NO_CHAIN;
}
static inline mbr_chain_op mbr_pointwise_chain(const mbr_op *op)
{
    return (mbr_chain_op)(op->param >> 16);
}

/*
 * The code of a node whose operator has the flag CHAIN, for any chain: registers 0 .. n_formal-1 stand for the node's
 * inputs, the result is in register n_formal after the last instruction, `*used` has a bit for each input that the
 * code reads (others, such as constant limits, went into immediates). Returns the number of instructions, at most
 * MBR_POINTWISE_CODE, or 0 when this node is none for a chain (types, too many inputs, legacy broadcasting).
 */
#define MBR_POINTWISE_CODE 12
int mbr_pointwise_code(const mbr_ir_node *node, mbr_chain_insn *code, uint32_t *used);

/* A chain over step inputs. */
typedef struct mbr_op_chain {
    mbr_chain chain;
    mbr_chain_space space;
    mbr_chain_fn *fn;
    uint8_t from[MBR_CHAIN_INPUTS]; /* which step input feeds each */
    size_t each;
} mbr_op_chain;

/* Once chain and from are set: types, space, tiles. Input 1 starts at axis `at` of the space (-1: ends there). */
mbr_status mbr_op_chain_prepare(mbr_step *s, mbr_op_chain *k, int at, mbr_error *err);
void mbr_op_chain_run(const mbr_step *s, const mbr_op_chain *k, const mbr_job *job);

/* The attributes that a chain operator takes as immediates, with ONNX's defaults for that version. */
void mbr_pointwise_immediates(const mbr_ir_node *node, mbr_chain_op op, float *x, float *y);

static inline bool mbr_chain_float(mbr_dtype t)
{
    return t == MBR_DTYPE_F32 || t == MBR_DTYPE_F16 || t == MBR_DTYPE_BF16;
}

/* A constant number of a node's input, where it is a single one. */
bool mbr_pointwise_constant(const mbr_ir_node *node, uint32_t i, float *v);

#endif
