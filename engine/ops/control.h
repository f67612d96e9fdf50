/* SPDX-License-Identifier: BSD-2-Clause */
/* What If, Loop and Scan share: types across the border of a subgraph, and values across the border of its frame. */
#ifndef MBR_ENGINE_OPS_CONTROL_H
#define MBR_ENGINE_OPS_CONTROL_H

#include "engine/ops/op.h"

/* All rows of control flow. */
#define MBR_CONTROL_FLAGS (MBR_OP_CONTROL | MBR_OP_HOST | MBR_OP_SIZED_BY_RUN | MBR_OP_ANY_KIND)

/* --- inference --- */

/* The subgraph of that name; fails when it is missing. */
mbr_status mbr_control_graph(mbr_infer *c, const char *attr, mbr_ir_graph **g);

/* What the subgraph says of its output i. */
void mbr_control_result(const mbr_infer *c, const mbr_ir_graph *g, size_t i, mbr_arg *a);

/*
 * Widens `into` until it covers `other`: sizes that differ become unknown, so does a rank that differs. An optional
 * covers its item. Fails when kinds or element types differ. *changed is set when `into` changed.
 */
mbr_status mbr_control_join(mbr_infer *c, mbr_arg *into, const mbr_arg *other, const char *what, bool *changed);

/*
 * The types of the state of a loop: the join of the `n` initial ones and what the body makes of them. Body inputs
 * from first_in on and outputs from first_out on are the state. The other inputs have been set.
 */
mbr_status mbr_control_fixpoint(mbr_infer *c, mbr_ir_graph *g, mbr_arg *state, size_t n, size_t first_in,
                                size_t first_out);

/* --- running --- */

/* `to` becomes a copy of `from` that shares items of containers; a value for an optional is wrapped. */
mbr_status mbr_control_carry(mbr_value *to, const mbr_value *from, mbr_kind kind, mbr_error *err);

/* Output i of the step becomes a copy of `from`. */
mbr_status mbr_control_deliver(mbr_step *s, uint32_t i, const mbr_value *from, mbr_error *err);

/* The same from a frame's output, without a copy where storage can change hands. */
mbr_status mbr_control_deliver_output(mbr_step *s, uint32_t i, struct mbr_frame *f, size_t output, mbr_error *err);

/* mbr_control_carry from a frame's output, without a copy where storage can change hands. */
mbr_status mbr_control_carry_output(mbr_value *to, struct mbr_frame *f, size_t output, mbr_kind kind, mbr_error *err);

/*
 * For rounds (see op.h): *settled when the frame ran on values of the types and shapes of the n values of `from`, its
 * results, as inputs first_in .. and is one that rounds are for. Gives `to` the same shapes then.
 */
mbr_status mbr_control_rounds(const mbr_value *from, mbr_value *to, size_t n, struct mbr_frame *f, size_t first_in,
                              bool *settled, mbr_error *err);

/* A round that reads the state from `from` and leaves it in `to`. */
mbr_status mbr_control_round(const mbr_value *from, const mbr_value *to, size_t n, struct mbr_frame *f, size_t first_in,
                             size_t first_out, mbr_error *err);

/* Copies elements; text of strings goes into memory of the run. */
mbr_status mbr_control_copy(mbr_step *s, mbr_dtype dtype, void *to, const void *from, size_t n, mbr_error *err);

/* The bool in a tensor of one element. */
mbr_status mbr_control_condition(const mbr_step *s, const mbr_value *v, bool *holds, mbr_error *err);

#endif
