/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operators that others make up. A row's expand function builds the graph of nodes that stands for one of its nodes;
 * the passes then fuse and fold them like any other. A failure of one step makes the steps after it do nothing, so that
 * an expand function reads as a list of operators.
 */
#ifndef MBR_ENGINE_OPS_EXPAND_UTIL_H
#define MBR_ENGINE_OPS_EXPAND_UTIL_H

#include "engine/ops/op.h"

typedef struct mbr_expansion {
    mbr_ir_node *node; /* what is to be replaced; types of its inputs are inferred as far as they can be */
    mbr_status status; /* of the first step that failed */
    mbr_error *err;
} mbr_expansion;

/* Replaces a node whose row has an expand function. */
mbr_status mbr_expand(mbr_ir_node *n, mbr_error *err);

/* --- for expand functions --- */

/* Input i of the node, NULL where it is left out. */
mbr_ir_value *mbr_expand_input(const mbr_expansion *x, uint32_t i);
/* Fails unless the inputs first to last are there; optional ones may lie before them. */
void mbr_expand_need(mbr_expansion *x, uint32_t first, uint32_t last);
bool mbr_expand_wants(const mbr_expansion *x, uint32_t i); /* output i is there */

/* A new node before the old one, with fresh outputs; NULL after a failure. Domain "" is ai.onnx. */
mbr_ir_node *mbr_expand_node(mbr_expansion *x, const char *domain, const char *op, int opset,
                             mbr_ir_value *const *inputs, size_t n_inputs, size_t n_outputs);
/* One of ai.onnx with one or two inputs (b may be NULL) and one output: the output. */
mbr_ir_value *mbr_expand_op(mbr_expansion *x, const char *op, int opset, mbr_ir_value *a, mbr_ir_value *b);
/* The same with an integer attribute. */
mbr_ir_value *mbr_expand_op_int(mbr_expansion *x, const char *op, int opset, mbr_ir_value *a, mbr_ir_value *b,
                                const char *attr, int64_t v);
void mbr_expand_attr_int(mbr_expansion *x, mbr_ir_node *n, const char *name, int64_t v);
void mbr_expand_attr_float(mbr_expansion *x, mbr_ir_node *n, const char *name, float v);
void mbr_expand_attr_string(mbr_expansion *x, mbr_ir_node *n, const char *name, const char *v);
mbr_ir_value *mbr_expand_ints(mbr_expansion *x, const int64_t *v, size_t n); /* a constant, 1-D i64 */
mbr_ir_value *mbr_expand_int(mbr_expansion *x, int64_t v);                   /* one of one number */

/* (q - zero) * scale in f32; zero may be NULL. */
mbr_ir_value *mbr_expand_dequantize(mbr_expansion *x, mbr_ir_value *q, mbr_ir_value *scale, mbr_ir_value *zero);

/* v becomes output i of the old node. */
void mbr_expand_output(mbr_expansion *x, uint32_t i, mbr_ir_value *v);

/* Fails the expansion; use as `return mbr_expand_fail(x, ...)`. */
mbr_status mbr_expand_fail(mbr_expansion *x, mbr_status status, const char *fmt, ...) MBR_PRINTF(3, 4);

#endif
