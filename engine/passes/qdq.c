/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Quantised networks as most tools write them: DequantizeLinear, an operator in f32, QuantizeLinear. Where scales and
 * zero points are constants, the three become one operator on bytes: QLinearConv, QGemm, QLinearMatMul, QLinearAdd and
 * their like; operators that only move bytes work on them as they are when both sides mean the same.
 *
 * Runs before folding, which would turn the bytes of weights into floats.
 */
#include "engine/infer.h"
#include "engine/ops/op.h"
#include "engine/passes/pass.h"

#include <math.h>
#include <string.h>

/* Bytes, one scale and one zero point. */
typedef struct quantised {
    mbr_ir_value *q, *scale, *zero; /* zero may be NULL */
    mbr_dtype dtype;                /* of the bytes */
    float s;
    int64_t z;
} quantised;

static const mbr_value *constant(const mbr_ir_value *v)
{
    return v && v->constant && !v->has_default && v->constant->kind == MBR_KIND_TENSOR ? v->constant : NULL;
}

static bool is_quantize(const mbr_ir_node *n, const char *name)
{
    return mbr_node_is(n, "", name) || mbr_node_is(n, "com.microsoft", name);
}

/* Reads scale and zero point of a node; one of each. */
static bool read_numbers(const mbr_ir_node *n, quantised *q)
{
    const mbr_value *scale = n->n_formal > 1 ? constant(n->inputs[1]) : NULL, *zero = NULL;
    q->zero = n->n_formal > 2 ? n->inputs[2] : NULL;
    q->scale = n->n_formal > 1 ? n->inputs[1] : NULL;
    if (q->zero)
        zero = constant(q->zero);
    if (!scale || scale->dtype != MBR_DTYPE_F32 || mbr_value_count(scale) != 1 || (q->zero && !zero) ||
        (zero && mbr_value_count(zero) != 1) || mbr_attr_int(n, "block_size", 0) != 0)
        return false;
    q->s = *(const float *)scale->data;
    q->z = zero ? mbr_value_int(zero, 0) : 0;
    return q->s > 0;
}

static bool is_byte(mbr_dtype t)
{
    return t == MBR_DTYPE_U8 || t == MBR_DTYPE_I8;
}

/* Does v come from a DequantizeLinear of bytes with one scale? */
static bool dequantised(const mbr_ir_value *v, quantised *q)
{
    mbr_ir_node *n = v ? v->producer : NULL;
    if (!n || !is_quantize(n, "DequantizeLinear") || v->type.dtype != MBR_DTYPE_F32 || !n->inputs[0])
        return false;
    q->q = n->inputs[0];
    q->dtype = n->inputs[0]->type.dtype;
    return is_byte(q->dtype) && read_numbers(n, q);
}

/* A QuantizeLinear to bytes with one scale. */
static bool quantises(const mbr_ir_node *n, quantised *q)
{
    if (!is_quantize(n, "QuantizeLinear") || !n->inputs[0] || n->inputs[0]->type.dtype != MBR_DTYPE_F32 ||
        !n->outputs[0])
        return false;
    q->q = n->outputs[0];
    q->dtype = n->outputs[0]->type.dtype;
    return is_byte(q->dtype) && !n->outputs[0]->is_output && read_numbers(n, q);
}

/* The zero point as an input: a constant of the bytes' type where the file has none. */
static mbr_status zero_of(mbr_ir_graph *g, const quantised *q, mbr_ir_value **out, mbr_error *err)
{
    mbr_value *data;
    *out = q->zero;
    if (q->zero)
        return MBR_OK;
    MBR_TRY(mbr_value_create_tensor(g->module->memory, q->dtype, 0, NULL, &data, err));
    return mbr_ir_constant(g, data, out, err);
}

/* Weights: constant bytes with one scale, or one for each index of `axis`. */
typedef struct weights {
    mbr_ir_value *q, *scale, *zero;
    const mbr_value *scales;
    size_t n; /* scales */
} weights;

static bool read_weights(const mbr_ir_value *v, int axis, weights *w)
{
    const mbr_ir_node *n = v ? v->producer : NULL;
    const mbr_value *q = n && is_quantize(n, "DequantizeLinear") ? constant(n->inputs[0]) : NULL;
    if (!q || !is_byte(q->dtype) || axis >= q->rank || mbr_attr_int(n, "block_size", 0) != 0)
        return false;
    *w = (weights){ .q = n->inputs[0], .scale = n->inputs[1], .zero = n->n_formal > 2 ? n->inputs[2] : NULL };
    w->scales = constant(w->scale);
    const mbr_value *zero = w->zero ? constant(w->zero) : NULL;
    if (!w->scales || w->scales->dtype != MBR_DTYPE_F32 || (w->zero && !zero))
        return false;
    w->n = mbr_value_count(w->scales);
    size_t length = (size_t)q->dims[axis], zeros = zero ? mbr_value_count(zero) : 1;
    int64_t given = mbr_attr_int(n, "axis", 1);
    given += given < 0 ? q->rank : 0;
    return (w->n == 1 || (w->n == length && given == axis && w->scales->rank == 1)) && (zeros == 1 || zeros == w->n);
}

/* A constant bias in f32, or dequantised, as the 32-bit integers that the sums have: over x's scale and the weights'. */
static mbr_status bias_of(mbr_ir_graph *g, const mbr_ir_value *v, float x_scale, const weights *w, size_t n, bool *fits,
                          mbr_ir_value **out, mbr_error *err)
{
    const mbr_value *b = constant(v), *scale = NULL;
    *out = NULL;
    *fits = true;
    if (!v)
        return MBR_OK;
    if (!b && v->producer && is_quantize(v->producer, "DequantizeLinear")) {
        const mbr_ir_node *d = v->producer;
        const mbr_value *zero = d->n_formal > 2 && d->inputs[2] ? constant(d->inputs[2]) : NULL;
        b = constant(d->inputs[0]);
        scale = constant(d->inputs[1]);
        *fits = scale && b && b->dtype == MBR_DTYPE_I32 && (d->n_formal < 3 || !d->inputs[2] || zero);
        for (size_t i = 0; *fits && zero && i < mbr_value_count(zero); i++)
            *fits = mbr_value_int(zero, i) == 0;
    }
    *fits = *fits && b && (b->dtype == MBR_DTYPE_F32 || scale) && b->rank == 1 && mbr_value_count(b) == n &&
            (!scale || mbr_value_count(scale) == 1 || mbr_value_count(scale) == n);
    if (!*fits)
        return MBR_OK;
    mbr_value *ints;
    const int64_t dims = (int64_t)n;
    MBR_TRY(mbr_value_create_tensor(g->module->memory, MBR_DTYPE_I32, 1, &dims, &ints, err));
    for (size_t i = 0; i < n; i++) {
        double real = mbr_value_real(b, i);
        if (scale)
            real *= mbr_value_real(scale, mbr_value_count(scale) > 1 ? i : 0);
        double units = rint(real / ((double)x_scale * mbr_value_real(w->scales, w->n > 1 ? i : 0)));
        *fits = *fits && fabs(units) < 2147483647.0;
        ((int32_t *)ints->data)[i] = fabs(units) < 2147483647.0 ? (int32_t)units : 0;
    }
    return mbr_ir_constant(g, ints, out, err);
}

/* --- what stands between the operator and QuantizeLinear --- */

/* Does an activation change nothing, since the bytes end where it would cut? */
static bool cut_anyway(const mbr_ir_node *n, const quantised *y)
{
    int64_t lowest = y->dtype == MBR_DTYPE_U8 ? 0 : -128, highest = y->dtype == MBR_DTYPE_U8 ? 255 : 127;
    float low = 0, high = INFINITY;
    if (mbr_node_is(n, "", "Clip")) {
        low = -INFINITY;
        if (n->n_formal > 1 && n->inputs[1] && !mbr_const_scalar(n->inputs[1], &low))
            return false;
        if (n->n_formal > 2 && n->inputs[2] && !mbr_const_scalar(n->inputs[2], &high))
            return false;
        if (n->op->since < 11) {
            low = mbr_attr_float(n, "min", -INFINITY);
            high = mbr_attr_float(n, "max", INFINITY);
        }
    } else if (!mbr_node_is(n, "", "Relu")) {
        return false;
    }
    float half = 0.5f * y->s; /* the last byte stands for half a step beyond it */
    return (float)(lowest - y->z) * y->s >= low - half && (float)(highest - y->z) * y->s <= high + half;
}

/* The operator before QuantizeLinear, over activations that change nothing; NULL when others read what lies between. */
static mbr_ir_node *operator_of(const mbr_ir_node *n, const quantised *y)
{
    mbr_ir_value *v = n->inputs[0];
    for (int steps = 0; steps < 3; steps++) {
        if (!v->producer || v->is_output || v->uses != 1)
            return NULL;
        if (!cut_anyway(v->producer, y))
            return v->producer;
        v = v->producer->inputs[0];
    }
    return NULL;
}

/* --- the operators --- */

/* Puts the new node's output in the place of QuantizeLinear's. */
static mbr_status take_place(mbr_ir_node *q, mbr_ir_node *op, mbr_ir_node *made, mbr_error *err)
{
    made->origin = op->origin;
    made->name = op->name;
    MBR_TRY(mbr_infer_node(made, err));
    mbr_ir_replace_uses(q->outputs[0], made->outputs[0]);
    mbr_ir_node_remove(q);
    return MBR_OK;
}

static mbr_status convert_conv(mbr_ir_node *q, const quantised *y, mbr_ir_node *op, bool *done, mbr_error *err)
{
    mbr_ir_graph *g = q->graph;
    quantised x;
    weights w;
    bool fits;
    mbr_ir_value *in[9];
    mbr_ir_node *made;
    if (!dequantised(op->inputs[0], &x) || !read_weights(op->inputs[1], 0, &w) || op->inputs[0]->type.rank < 3 ||
        op->inputs[0]->type.rank > 5)
        return MBR_OK;
    size_t filters = (size_t)w.q->constant->dims[0];
    MBR_TRY(bias_of(g, op->n_formal > 2 ? op->inputs[2] : NULL, x.s, &w, filters, &fits, &in[8], err));
    if (!fits)
        return MBR_OK;
    quantised of_w = { .zero = w.zero, .dtype = w.q->type.dtype };
    in[0] = x.q;
    in[1] = x.scale;
    in[3] = w.q;
    in[4] = w.scale;
    in[6] = y->scale;
    MBR_TRY(zero_of(g, &x, &in[2], err));
    MBR_TRY(zero_of(g, &of_w, &in[5], err));
    MBR_TRY(zero_of(g, y, &in[7], err));
    MBR_TRY(mbr_ir_node_new(g, q, "com.microsoft", "QLinearConv", 1, op->name, in, in[8] ? 9 : 8, NULL, 1, &made, err));
    MBR_TRY(mbr_ir_attrs_copy(made, op, err));
    *done = true;
    return take_place(q, op, made, err);
}

static mbr_status convert_product(mbr_ir_node *q, const quantised *y, mbr_ir_node *op, bool *done, mbr_error *err)
{
    mbr_ir_graph *g = q->graph;
    bool gemm = mbr_node_is(op, "", "Gemm"), trans = gemm && mbr_attr_int(op, "transB", 0), fits;
    quantised x;
    weights w;
    mbr_ir_value *in[9] = { 0 };
    mbr_ir_node *made;
    int rank = op->inputs[1]->type.rank;
    if (rank != 2 || !dequantised(op->inputs[0], &x) || !read_weights(op->inputs[1], trans ? 0 : 1, &w) ||
        (gemm && (mbr_attr_int(op, "transA", 0) || mbr_attr_float(op, "alpha", 1) != 1 ||
                  mbr_attr_float(op, "beta", 1) != 1)))
        return MBR_OK;
    size_t columns = (size_t)w.q->constant->dims[trans ? 0 : 1];
    MBR_TRY(bias_of(g, gemm && op->n_formal > 2 ? op->inputs[2] : NULL, x.s, &w, columns, &fits, &in[6], err));
    if (!fits)
        return MBR_OK;
    quantised of_w = { .zero = w.zero, .dtype = w.q->type.dtype };
    in[0] = x.q;
    in[1] = x.scale;
    in[3] = w.q;
    in[4] = w.scale;
    in[gemm ? 7 : 6] = y->scale;
    MBR_TRY(zero_of(g, &x, &in[2], err));
    MBR_TRY(zero_of(g, &of_w, &in[5], err));
    MBR_TRY(zero_of(g, y, &in[gemm ? 8 : 7], err));
    MBR_TRY(mbr_ir_node_new(g, q, gemm ? "com.microsoft" : "", gemm ? "QGemm" : "QLinearMatMul", gemm ? 1 : 10, op->name,
                            in, gemm ? 9 : 8, NULL, 1, &made, err));
    if (trans)
        MBR_TRY(mbr_ir_attr_int(made, "transB", 1, err));
    *done = true;
    return take_place(q, op, made, err);
}

/* Operators of one or two tensors of bytes: their names and com.microsoft's. */
static const struct {
    const char *name, *made;
    int inputs;
} simple[] = { { "Add", "QLinearAdd", 2 },
               { "Mul", "QLinearMul", 2 },
               { "Sigmoid", "QLinearSigmoid", 1 },
               { "LeakyRelu", "QLinearLeakyRelu", 1 },
               { "GlobalAveragePool", "QLinearGlobalAveragePool", 1 } };

static mbr_status convert_simple(mbr_ir_node *q, const quantised *y, mbr_ir_node *op, size_t row, bool *done,
                                 mbr_error *err)
{
    mbr_ir_value *in[8];
    mbr_ir_node *made;
    size_t n = 0;
    for (int i = 0; i < simple[row].inputs; i++) {
        quantised x;
        if (!dequantised(op->inputs[i], &x) || x.dtype != y->dtype)
            return MBR_OK;
        in[n++] = x.q;
        in[n++] = x.scale;
        MBR_TRY(zero_of(q->graph, &x, &in[n++], err));
    }
    in[n++] = y->scale;
    MBR_TRY(zero_of(q->graph, y, &in[n++], err));
    MBR_TRY(mbr_ir_node_new(q->graph, q, "com.microsoft", simple[row].made, 1, op->name, in, n, NULL, 1, &made, err));
    MBR_TRY(mbr_ir_attrs_copy(made, op, err));
    *done = true;
    return take_place(q, op, made, err);
}

static mbr_status convert_concat(mbr_ir_node *q, const quantised *y, mbr_ir_node *op, bool *done, mbr_error *err)
{
    mbr_ir_value *in[2 + 3 * 16];
    mbr_ir_node *made;
    size_t n = 2;
    if (op->n_formal > 16)
        return MBR_OK;
    for (uint32_t i = 0; i < op->n_formal; i++) {
        quantised x;
        if (!dequantised(op->inputs[i], &x) || x.dtype != y->dtype)
            return MBR_OK;
        in[n++] = x.q;
        in[n++] = x.scale;
        MBR_TRY(zero_of(q->graph, &x, &in[n++], err));
    }
    in[0] = y->scale;
    MBR_TRY(zero_of(q->graph, y, &in[1], err));
    MBR_TRY(mbr_ir_node_new(q->graph, q, "com.microsoft", "QLinearConcat", 1, op->name, in, n, NULL, 1, &made, err));
    MBR_TRY(mbr_ir_attrs_copy(made, op, err));
    *done = true;
    return take_place(q, op, made, err);
}

/* Operators that bring bytes elsewhere, or choose among them. */
static bool only_moves(const mbr_ir_node *n)
{
    static const char *const names[] = { "Flatten", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Gather",
                                         "DepthToSpace", "SpaceToDepth", "Expand" };
    for (size_t i = 0; i < MBR_COUNT_OF(names); i++)
        if (mbr_node_is(n, "", names[i]))
            return true;
    return false;
}

static mbr_status convert_move(mbr_ir_node *q, const quantised *y, mbr_ir_node *op, bool *done, mbr_error *err)
{
    quantised x;
    mbr_ir_value *in[8];
    mbr_ir_node *made;
    if (!dequantised(op->inputs[0], &x) || x.s != y->s || x.z != y->z || x.dtype != y->dtype ||
        op->n_formal > MBR_COUNT_OF(in))
        return MBR_OK;
    memcpy(in, op->inputs, op->n_formal * sizeof *in);
    in[0] = x.q;
    MBR_TRY(mbr_ir_node_new(q->graph, q, "", op->op->name, op->opset, op->name, in, op->n_formal, NULL, 1, &made, err));
    MBR_TRY(mbr_ir_attrs_copy(made, op, err));
    *done = true;
    return take_place(q, op, made, err);
}

static mbr_status convert(mbr_ir_node *q, bool *done, mbr_error *err)
{
    quantised y;
    *done = false;
    if (!quantises(q, &y))
        return MBR_OK;
    mbr_ir_node *op = operator_of(q, &y);
    if (!op || op->n_formal == 0 || op->n_formal != op->n_inputs || !op->inputs[0])
        return MBR_OK;
    if (mbr_node_is(op, "", "Conv"))
        return convert_conv(q, &y, op, done, err);
    if (mbr_node_is(op, "", "Gemm") || mbr_node_is(op, "", "MatMul"))
        return convert_product(q, &y, op, done, err);
    if (mbr_node_is(op, "", "Concat"))
        return convert_concat(q, &y, op, done, err);
    if (only_moves(op))
        return convert_move(q, &y, op, done, err);
    for (size_t i = 0; i < MBR_COUNT_OF(simple); i++)
        if (mbr_node_is(op, "", simple[i].name))
            return convert_simple(q, &y, op, i, done, err);
    return MBR_OK;
}

mbr_status mbr_pass_qdq(mbr_ir_graph *g, bool *changed, mbr_error *err)
{
    for (mbr_ir_node *n = g->first, *next; n; n = next) {
        bool done;
        next = n->next;
        MBR_TRY(convert(n, &done, err));
        *changed |= done;
    }
    for (mbr_ir_node *n = g->last, *prev; n && *changed; n = prev) { /* at once: folding need not look at them */
        bool used = false;
        prev = n->prev;
        for (uint32_t i = 0; i < n->n_outputs; i++)
            used |= n->outputs[i] && n->outputs[i]->uses;
        if (!used)
            mbr_ir_node_remove(n);
    }
    return MBR_OK;
}
