/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Type and shape inference. One function an operator serves two masters: at plan time it computes with
 * symbols, at run time (for values whose shapes only a run can tell) with plain numbers.
 */
#ifndef MBR_ENGINE_INFER_H
#define MBR_ENGINE_INFER_H

#include "engine/ir.h"

/* What is known of an input, and what the operator says of an output. */
typedef struct mbr_arg {
    bool present;
    mbr_kind kind;
    mbr_dtype dtype;
    mbr_dtype key;
    const mbr_ir_type *item;
    int rank;                     /* -1: unknown */
    mbr_dim dims[MBR_MAX_RANK];
    const mbr_value *data;        /* input: known now (constant, or the run's own data); else NULL */
    const mbr_dim *content;       /* numbers of a small integer tensor, row-major; else NULL */
    size_t n_content;
} mbr_arg;

typedef struct mbr_infer {
    const mbr_ir_node *node;
    mbr_dim_table *dims;          /* NULL at run time: all dims are constants then */
    mbr_arena *arena;             /* for contents and item types that live as long as the module; NULL at run time */
    mbr_error *err;
    uint32_t n_in, n_out;
    mbr_arg *in, *out;            /* outputs start absent of type; present says whether it is wanted */
} mbr_infer;

/* Runs inference over a graph and its subgraphs, in order; fills types and contents. Repeats are harmless. */
mbr_status mbr_infer_graph(mbr_ir_graph *g, mbr_error *err);
/* One node (its inputs are done). */
mbr_status mbr_infer_node(mbr_ir_node *n, mbr_error *err);

/* --- for operators' infer functions --- */

/* A failure that names the node; use as `return mbr_infer_fail(c, MBR_ERR_MODEL, ...)`. */
mbr_status mbr_infer_fail(mbr_infer *c, mbr_status status, const char *fmt, ...) MBR_PRINTF(3, 4);

static inline bool mbr_infer_has(const mbr_infer *c, uint32_t i)
{
    return i < c->n_in && c->in[i].present;
}

/* Sets a tensor output. dims NULL with rank >= 0: all sizes unknown. rank -1: unknown rank. Absent outputs are fine. */
void mbr_infer_out(mbr_infer *c, uint32_t i, mbr_dtype dtype, int rank, const mbr_dim *dims);
/* Output i has the dtype and shape of input j. */
void mbr_infer_same(mbr_infer *c, uint32_t i, uint32_t j);
/* Numpy broadcasting of shapes into out (MBR_MAX_RANK); *rank -1 if any is unknown. Fails when they cannot match. */
mbr_status mbr_infer_broadcast(mbr_infer *c, const mbr_arg *const *args, size_t n, int *rank, mbr_dim *out);

/*
 * The numbers of integer input i, wherever they come from. True: *n numbers (at most max) are in v, each const or expr.
 * False: not known yet (or more than max): leave the output's sizes unknown.
 */
bool mbr_infer_ints(const mbr_infer *c, uint32_t i, mbr_dim *v, size_t max, size_t *n);
/* The same when all must be plain numbers. */
bool mbr_infer_const_ints(const mbr_infer *c, uint32_t i, int64_t *v, size_t max, size_t *n);
/* Reals of a float input known now (Resize scales ...). */
bool mbr_infer_reals(const mbr_infer *c, uint32_t i, double *v, size_t max, size_t *n);
/* Says that output i holds these numbers (copied); does nothing at run time. n must match its shape. */
void mbr_infer_set_content(mbr_infer *c, uint32_t i, const mbr_dim *v, size_t n);

/* Resolves a negative axis; fails with a message when it is outside [-rank, rank). */
mbr_status mbr_infer_axis(mbr_infer *c, int64_t axis, int rank, int *out);

/*
 * Subgraphs, for control flow. feed: what input i of the subgraph will get; sizes that are unknown become symbols of
 * the subgraph's own. subgraph: passes on what the node knows of the captures, then infers. result: what the inferred
 * subgraph says of its output i, with the sizes that only the subgraph knows turned unknown. At run time (dims NULL)
 * control flow operators are not inferred: they are SIZED_BY_RUN.
 */
mbr_status mbr_infer_feed(mbr_infer *c, mbr_ir_graph *g, size_t i, const mbr_arg *a);
mbr_status mbr_infer_subgraph(mbr_infer *c, mbr_ir_graph *g);
void mbr_infer_result(const mbr_infer *c, const mbr_ir_graph *g, size_t i, mbr_arg *a);
/* What a and b have in common, in a: differing sizes turn unknown, a differing rank too. */
void mbr_infer_unify(mbr_arg *a, const mbr_arg *b);

/* Common shapes, usable directly as an operator's infer. */
mbr_status mbr_infer_elementwise(mbr_infer *c);  /* out 0: broadcast of all inputs, dtype of input 0 */
mbr_status mbr_infer_compare(mbr_infer *c);      /* the same with bool */
mbr_status mbr_infer_unary(mbr_infer *c);        /* out 0 as input 0 */

#endif
