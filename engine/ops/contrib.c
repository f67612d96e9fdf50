/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operators of com.microsoft that are others under another name, or a few others in a row: what tools around
 * ONNX Runtime (skl2onnx, the quantizer, transformers' optimiser, older PyTorch exports) write.
 */
#include "engine/ops/expand_util.h"

#include <string.h>

/* --- the same under another name --- */

typedef struct alias {
    const char *domain, *is;
    int opset;
} alias;

enum { GATHER_ND, PAD, GRID_SAMPLE, TRANSPOSE_MATMUL };

static const alias aliases[] = {
    [GATHER_ND] = { "", "GatherND", 11 },
    [PAD] = { "", "Pad", 13 },
    [GRID_SAMPLE] = { "", "GridSample", 16 },
    [TRANSPOSE_MATMUL] = { "com.microsoft", "FusedMatMul", 1 },
};

static mbr_status expand_alias(mbr_expansion *x)
{
    const alias *a = &aliases[x->node->op->param];
    mbr_ir_node *n = mbr_expand_node(x, a->domain, a->is, a->opset, x->node->inputs, x->node->n_formal, 1);
    if (n && x->status == MBR_OK)
        x->status = mbr_ir_attrs_copy(n, x->node, x->err);
    if (n)
        mbr_expand_output(x, 0, n->outputs[0]);
    return x->status;
}

/* Values in the order in which they first come, where each input value went, how often each is there. */
static mbr_status expand_unique(mbr_expansion *x)
{
    mbr_ir_node *n = mbr_expand_node(x, "", "Unique", 11, x->node->inputs, 1, 4);
    static const uint32_t from[3] = { 0, 2, 3 };
    mbr_expand_attr_int(x, n, "sorted", 0);
    for (uint32_t i = 0; i < 3 && n; i++)
        mbr_expand_output(x, i, n->outputs[from[i]]);
    return x->status;
}

/* Gemm, and then an activation by ONNX's name, with its attributes after "activation_". */
static mbr_status expand_gemm(mbr_expansion *x)
{
    static const char *const of_gemm[] = { "transA", "transB", "alpha", "beta" };
    static const char *const given[] = { "activation_alpha", "activation_beta", "activation_gamma" };
    const char *activation = mbr_attr_string(x->node, "activation", "");
    mbr_ir_node *n = mbr_expand_node(x, "", "Gemm", 13, x->node->inputs, x->node->n_formal, 1);
    for (size_t i = 0; i < MBR_COUNT_OF(of_gemm); i++) {
        const mbr_ir_attr *a = mbr_attr(x->node, of_gemm[i]);
        if (a && n && x->status == MBR_OK)
            x->status = mbr_ir_attr_add(n, a, x->err);
    }
    if (n && *activation) {
        n = mbr_expand_node(x, "", activation, 13, n->outputs, 1, 1);
        for (size_t i = 0; i < MBR_COUNT_OF(given); i++)
            if (mbr_attr(x->node, given[i]))
                mbr_expand_attr_float(x, n, given[i] + strlen("activation_"), mbr_attr_float(x->node, given[i], 0));
    }
    if (n)
        mbr_expand_output(x, 0, n->outputs[0]);
    return x->status;
}

/* --- distances --- */

/* |a|^2 + |b|^2 - 2 a b, as one product; never below 0. */
static mbr_status expand_cdist(mbr_expansion *x)
{
    const char *metric = mbr_attr_string(x->node, "metric", "sqeuclidean");
    mbr_ir_value *a = mbr_expand_input(x, 0), *b = mbr_expand_input(x, 1), *axis = mbr_expand_int(x, 1);
    if (strcmp(metric, "sqeuclidean") != 0 && strcmp(metric, "euclidean") != 0)
        return mbr_expand_fail(x, MBR_ERR_UNSUPPORTED, "metric '%s'; euclidean and sqeuclidean are there", metric);
    mbr_ir_value *const both[2] = { a, b };
    mbr_ir_node *product = mbr_expand_node(x, "com.microsoft", "FusedMatMul", 1, both, 2, 1);
    mbr_expand_attr_int(x, product, "transB", 1);
    mbr_expand_attr_float(x, product, "alpha", -2);
    mbr_ir_value *aa = mbr_expand_op_int(x, "ReduceSumSquare", 18, a, axis, "keepdims", 1);
    mbr_ir_value *bb = mbr_expand_op_int(x, "ReduceSumSquare", 18, b, axis, "keepdims", 0);
    mbr_ir_value *sum = mbr_expand_op(x, "Add", 14, mbr_expand_op(x, "Add", 14, product ? product->outputs[0] : NULL, aa),
                                      bb);
    mbr_ir_value *distance = mbr_expand_op(x, "Relu", 14, sum, NULL);
    if (strcmp(metric, "euclidean") == 0)
        distance = mbr_expand_op(x, "Sqrt", 13, distance, NULL);
    mbr_expand_output(x, 0, distance);
    return x->status;
}

/* --- on bytes: computed in f32 --- */

static mbr_ir_value *quantize(mbr_expansion *x, mbr_ir_value *v, mbr_ir_value *scale, mbr_ir_value *zero)
{
    mbr_ir_value *const in[3] = { v, scale, zero };
    mbr_ir_node *n = mbr_expand_node(x, "", "QuantizeLinear", 13, in, zero ? 3 : 2, 1);
    return n ? n->outputs[0] : NULL;
}

static mbr_status expand_where(mbr_expansion *x)
{
    mbr_ir_value *in[9];
    for (uint32_t i = 0; i < 9; i++)
        in[i] = mbr_expand_input(x, i);
    mbr_ir_value *const pick[3] = { in[0], mbr_expand_dequantize(x, in[1], in[2], in[3]),
                                    mbr_expand_dequantize(x, in[4], in[5], in[6]) };
    mbr_ir_node *where = mbr_expand_node(x, "", "Where", 16, pick, 3, 1);
    mbr_expand_output(x, 0, quantize(x, where ? where->outputs[0] : NULL, in[7], in[8]));
    return x->status;
}

static mbr_status expand_reduce_mean(mbr_expansion *x)
{
    size_t n_axes;
    const int64_t *axes = mbr_attr_ints(x->node, "axes", &n_axes);
    mbr_expand_need(x, 3, 3);
    if (x->status != MBR_OK)
        return x->status;
    mbr_ir_value *v = mbr_expand_dequantize(x, mbr_expand_input(x, 0), mbr_expand_input(x, 1), mbr_expand_input(x, 2));
    v = mbr_expand_op_int(x, "ReduceMean", 18, v, axes ? mbr_expand_ints(x, axes, n_axes) : NULL, "keepdims",
                          mbr_attr_int(x->node, "keepdims", 1));
    mbr_expand_output(x, 0, quantize(x, v, mbr_expand_input(x, 3), mbr_expand_input(x, 4)));
    return x->status;
}

/* A weight (directions, in, 4 hidden) of bytes, with scales (directions) or (directions, 4 hidden), as LSTM wants it. */
static mbr_ir_value *lstm_weight(mbr_expansion *x, uint32_t weight, uint32_t scale)
{
    static const int64_t whole[2] = { 1, 2 }, turned[3] = { 0, 2, 1 };
    mbr_ir_value *w = mbr_expand_op_int(x, "Cast", 13, mbr_expand_input(x, weight), NULL, "to", MBR_DTYPE_F32);
    const mbr_ir_value *s = mbr_expand_input(x, scale);
    mbr_ir_value *axes = mbr_expand_ints(x, whole, s->type.rank == 1 ? 2 : 1);
    if (mbr_expand_input(x, scale + 1)) {
        mbr_ir_value *zero = mbr_expand_op_int(x, "Cast", 13, mbr_expand_input(x, scale + 1), NULL, "to", MBR_DTYPE_F32);
        w = mbr_expand_op(x, "Sub", 14, w, mbr_expand_op(x, "Unsqueeze", 13, zero, axes));
    }
    w = mbr_expand_op(x, "Mul", 14, w, mbr_expand_op(x, "Unsqueeze", 13, mbr_expand_input(x, scale), axes));
    w = mbr_expand_op(x, "Transpose", 13, w, NULL);
    if (w && x->status == MBR_OK)
        x->status = mbr_ir_attr_ints(w->producer, "perm", turned, 3, x->err);
    return w;
}

/* Weights are put back into floats ahead of time; what comes in stays in floats, too. */
static mbr_status expand_lstm(mbr_expansion *x)
{
    mbr_ir_value *in[8];
    for (uint32_t i = 8; i < 11; i += 2)
        if (!mbr_expand_input(x, i) || mbr_expand_input(x, i)->type.rank < 1 || mbr_expand_input(x, i)->type.rank > 2)
            return mbr_expand_fail(x, MBR_ERR_MODEL, "input %u, a scale, needs one or two axes", (unsigned)i);
    for (uint32_t i = 0; i < 8; i++)
        in[i] = i == 1 ? lstm_weight(x, 1, 8) : i == 2 ? lstm_weight(x, 2, 10) : mbr_expand_input(x, i);
    mbr_ir_node *n = mbr_expand_node(x, "", "LSTM", 7, in, 8, 3);
    if (n && x->status == MBR_OK)
        x->status = mbr_ir_attrs_copy(n, x->node, x->err);
    for (uint32_t i = 0; i < 3 && n; i++)
        mbr_expand_output(x, i, n->outputs[i]);
    return x->status;
}

#define ROW(op_name, least, most, outs, fn, what)                                                                      \
    { .domain = "com.microsoft", .name = op_name, .since = 1, .min_in = least, .max_in = most, .min_out = 1,           \
      .max_out = outs, .expand = fn, .param = what }

const mbr_op mbr_ops_contrib[] = {
    ROW("CDist", 2, 2, 1, expand_cdist, 0),
    ROW("DynamicQuantizeLSTM", 3, 12, 3, expand_lstm, 0),
    ROW("FusedGemm", 2, 3, 1, expand_gemm, 0),
    ROW("GatherND", 2, 2, 1, expand_alias, GATHER_ND),
    ROW("GridSample", 2, 2, 1, expand_alias, GRID_SAMPLE),
    ROW("Pad", 2, 3, 1, expand_alias, PAD),
    ROW("QLinearReduceMean", 2, 5, 1, expand_reduce_mean, 0),
    ROW("QLinearWhere", 9, 9, 1, expand_where, 0),
    ROW("TransposeMatMul", 2, 2, 1, expand_alias, TRANSPOSE_MATMUL),
    ROW("Unique", 1, 1, 3, expand_unique, 0),
    { 0 },
};
