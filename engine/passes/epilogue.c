/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What follows a convolution or matrix product joins it: bias, an addition of another tensor of the same shape, and
 * an activation are applied to each tile while it is in registers.
 *
 *     MatMul, Gemm, mbr.MatMul, mbr.Conv, mbr.ConvTranspose  ->  act(product + bias (+ or *) other)
 */
#include "engine/infer.h"
#include "engine/ops/op.h"
#include "engine/passes/pass.h"

#include <string.h>

static bool is_conv(const mbr_ir_node *n)
{
    return mbr_node_is(n, "mbr", "Conv") || mbr_node_is(n, "mbr", "ConvTranspose");
}

static bool is_product(const mbr_ir_node *n)
{
    return is_conv(n) || mbr_node_is(n, "mbr", "MatMul");
}

/* --- products of ONNX become mbr.MatMul --- */

static bool f32_tensor(const mbr_ir_value *v)
{
    return v && v->type.kind == MBR_KIND_TENSOR && v->type.dtype == MBR_DTYPE_F32 && v->type.rank >= 0;
}

/* A bias is one number for each column: (n), or a constant (1, ..., n). */
static bool is_bias(const mbr_ir_value *v, mbr_dim columns)
{
    if (!f32_tensor(v) || v->type.rank < 1 || !mbr_dim_is_known(columns) || v->type.dims[v->type.rank - 1] != columns)
        return false;
    if (v->type.rank > 1 && (!v->constant || v->has_default))
        return false;
    for (int d = 0; d < v->type.rank - 1; d++)
        if (v->type.dims[d] != 1)
            return false;
    return true;
}

static mbr_dim last_dim(const mbr_ir_value *v)
{
    return v->type.rank > 0 ? v->type.dims[v->type.rank - 1] : MBR_DIM_UNKNOWN;
}

/* (1, ..., n) as (n): the same data under another shape. */
static mbr_status flat_bias(mbr_ir_value *v, mbr_ir_value **out, mbr_error *err)
{
    *out = v;
    if (v->type.rank == 1)
        return MBR_OK;
    mbr_value *flat;
    int64_t n = (int64_t)mbr_value_count(v->constant);
    MBR_TRY(mbr_value_create_tensor(v->graph->module->memory, MBR_DTYPE_F32, 1, &n, &flat, err));
    if (n)
        memcpy(flat->data, v->constant->data, (size_t)n * sizeof(float));
    return mbr_ir_constant(v->graph, flat, out, err);
}

static mbr_status lower_gemm(mbr_ir_node *n, mbr_error *err)
{
    mbr_ir_value *inputs[3] = { n->inputs[0], n->inputs[1], NULL };
    bool gemm = mbr_node_is(n, "", "Gemm");
    mbr_ir_node *made;
    if (gemm && n->n_formal > 2 && n->inputs[2])
        MBR_TRY(flat_bias(n->inputs[2], &inputs[2], err));
    MBR_TRY(mbr_ir_node_new(n->graph, n, "mbr", "MatMul", 1, n->name, inputs, inputs[2] ? 3 : 2, NULL, 1, &made, err));
    if (gemm) {
        MBR_TRY(mbr_ir_attr_int(made, "transA", mbr_attr_int(n, "transA", 0), err));
        MBR_TRY(mbr_ir_attr_int(made, "transB", mbr_attr_int(n, "transB", 0), err));
        MBR_TRY(mbr_ir_attr_float(made, "alpha", mbr_attr_float(n, "alpha", 1.0f), err));
    }
    made->origin = n->origin;
    MBR_TRY(mbr_infer_node(made, err));
    mbr_ir_replace_uses(n->outputs[0], made->outputs[0]);
    mbr_ir_node_remove(n);
    return MBR_OK;
}

static bool lowers_gemm(const mbr_ir_node *n)
{
    bool gemm = mbr_node_is(n, "", "Gemm");
    if (!(gemm || mbr_node_is(n, "", "MatMul")) || !f32_tensor(n->inputs[0]) || !f32_tensor(n->inputs[1]) ||
        !f32_tensor(n->outputs[0]))
        return false;
    if (!gemm)
        return true;
    if (n->n_formal < 3 || !n->inputs[2])
        return true;
    return mbr_attr_float(n, "beta", 1.0f) == 1.0f && is_bias(n->inputs[2], last_dim(n->outputs[0]));
}

/* A Transpose of the last two axes of an operand becomes transA or transB. */
static mbr_status take_transpose(mbr_ir_node *n, uint32_t slot, bool *changed, mbr_error *err)
{
    size_t count;
    mbr_ir_value *v = n->inputs[slot];
    if (!v || !mbr_node_is(v->producer, "", "Transpose"))
        return MBR_OK;
    const int64_t *perm = mbr_attr_ints(v->producer, "perm", &count);
    int rank = v->type.rank;
    if (rank < 2 || (perm && count != (size_t)rank) || (!perm && rank != 2))
        return MBR_OK;
    for (int i = 0; perm && i < rank; i++)
        if (perm[i] != (i == rank - 1 ? rank - 2 : i == rank - 2 ? rank - 1 : i))
            return MBR_OK;
    const char *attr = slot ? "transB" : "transA";
    mbr_ir_set_input(n, slot, v->producer->inputs[0]);
    *changed = true;
    return mbr_ir_attr_int(n, attr, !mbr_attr_int(n, attr, 0), err);
}

/* --- bias, other, activation --- */

static bool has_act(const mbr_ir_node *n)
{
    return mbr_attr(n, "act") != NULL;
}

static bool has_input(const mbr_ir_node *n, uint32_t i)
{
    return n->n_formal > i && n->inputs[i];
}

static mbr_status set_slot(mbr_ir_node *n, uint32_t slot, mbr_ir_value *v, mbr_error *err)
{
    while (n->n_formal <= slot)
        MBR_TRY(mbr_ir_add_node_input(n, NULL, err));
    mbr_ir_set_input(n, slot, v);
    return MBR_OK;
}

/* n takes over user's output; user goes. Operands that come later than n must be there before it runs. */
static mbr_status absorb(mbr_ir_node *n, mbr_ir_node *user, mbr_error *err)
{
    MBR_TRY(mbr_join_origin(n, user->origin, err));
    mbr_ir_node_move_before(n, user);
    mbr_ir_replace_uses(user->outputs[0], n->outputs[0]);
    mbr_ir_node_remove(user);
    return MBR_OK;
}

static bool same_shape(const mbr_ir_value *a, const mbr_ir_value *b)
{
    if (!f32_tensor(a) || !f32_tensor(b) || a->type.rank != b->type.rank)
        return false;
    for (int d = 0; d < a->type.rank; d++)
        if (a->type.dims[d] != b->type.dims[d] || !mbr_dim_is_known(a->type.dims[d]))
            return false;
    return true;
}

static mbr_status take_add(mbr_ir_node *n, mbr_ir_node *user, bool *taken, mbr_error *err)
{
    if (!mbr_node_is(user, "", "Add") || user->op->since < 7 || user->n_formal != 2)
        return MBR_OK;
    mbr_ir_value *y = n->outputs[0], *other = user->inputs[user->inputs[0] == y];
    if (other == y)
        return MBR_OK;
    if (!has_act(n) && !has_input(n, 2) && !has_input(n, 3) && is_bias(other, last_dim(y)) &&
        (other->constant || !is_conv(n)) &&
        other->type.rank <= y->type.rank) {
        mbr_ir_value *flat;
        MBR_TRY(flat_bias(other, &flat, err));
        MBR_TRY(set_slot(n, 2, flat, err));
    } else if (!has_input(n, 3) && same_shape(other, y)) {
        if (has_act(n))
            MBR_TRY(mbr_ir_attr_string(n, "other_is", "add_after", 9, err));
        MBR_TRY(set_slot(n, 3, other, err));
    } else {
        return MBR_OK;
    }
    *taken = true;
    return absorb(n, user, err);
}

static mbr_status take_mul(mbr_ir_node *n, mbr_ir_node *user, bool *taken, mbr_error *err)
{
    if (!mbr_node_is(user, "", "Mul") || user->op->since < 7 || has_input(n, 3) || !has_act(n))
        return MBR_OK;
    mbr_ir_value *y = n->outputs[0], *other = user->inputs[user->inputs[0] == y];
    if (other == y || !same_shape(other, y))
        return MBR_OK;
    MBR_TRY(mbr_ir_attr_string(n, "other_is", "mul_after", 9, err));
    MBR_TRY(set_slot(n, 3, other, err));
    *taken = true;
    return absorb(n, user, err);
}

/* Activations as the products know them. */
typedef struct act {
    const char *name;
    bool two;
    float alpha, beta;
} act;

static bool limit(const mbr_ir_node *n, uint32_t i, const char *attr, float *v)
{
    if (n->op->since < 11) {
        *v = mbr_attr_float(n, attr, *v);
        return true;
    }
    return !has_input(n, i) || mbr_const_scalar(n->inputs[i], v);
}

static bool activation_of(const mbr_ir_node *n, act *a)
{
    static const char *const plain[] = { "Relu", "Sigmoid", "Tanh", "HardSwish" };
    if (*n->op->domain)
        return false;
    for (size_t i = 0; i < MBR_COUNT_OF(plain); i++)
        if (strcmp(n->op->name, plain[i]) == 0) {
            *a = (act){ .name = plain[i] };
            return true;
        }
    if (mbr_node_is(n, "", "LeakyRelu")) {
        *a = (act){ "LeakyRelu", true, mbr_attr_float(n, "alpha", 0.01f), 0.0f };
        return true;
    }
    if (mbr_node_is(n, "", "HardSigmoid")) {
        *a = (act){ "HardSigmoid", true, mbr_attr_float(n, "alpha", 0.2f), mbr_attr_float(n, "beta", 0.5f) };
        return true;
    }
    if (mbr_node_is(n, "", "Clip")) {
        *a = (act){ "Clip", true, -3.402823466e+38f, 3.402823466e+38f };
        return limit(n, 1, "min", &a->alpha) && limit(n, 2, "max", &a->beta);
    }
    if (mbr_node_is(n, "", "Gelu")) {
        *a = (act){ .name = strcmp(mbr_attr_string(n, "approximate", "none"), "tanh") == 0 ? "GeluTanh" : "Gelu" };
        return true;
    }
    if (mbr_node_is(n, "", "Swish") && mbr_attr_float(n, "alpha", 1.0f) == 1.0f) {
        *a = (act){ .name = "SiLU" };
        return true;
    }
    return false;
}

static mbr_status take_activation(mbr_ir_node *n, mbr_ir_node *user, bool *taken, mbr_error *err)
{
    act a;
    if (has_act(n) || user->inputs[0] != n->outputs[0] || !activation_of(user, &a))
        return MBR_OK;
    MBR_TRY(mbr_ir_attr_string(n, "act", a.name, strlen(a.name), err));
    if (a.two) {
        MBR_TRY(mbr_ir_attr_float(n, "act_alpha", a.alpha, err));
        MBR_TRY(mbr_ir_attr_float(n, "act_beta", a.beta, err));
    }
    *taken = true;
    return absorb(n, user, err);
}

mbr_status mbr_pass_epilogue(mbr_ir_graph *g, bool *changed, mbr_error *err)
{
    for (mbr_ir_node *n = g->first, *next; n; n = next) {
        next = n->next;
        if (lowers_gemm(n)) {
            MBR_TRY(lower_gemm(n, err));
            *changed = true;
        }
    }
    for (mbr_ir_node *n = g->first, *next; n; n = next) {
        next = n->next;
        if (!is_product(n))
            continue;
        if (!is_conv(n))
            for (uint32_t slot = 0; slot < 2; slot++)
                MBR_TRY(take_transpose(n, slot, changed, err));
        for (bool taken = true; taken;) {
            taken = false;
            mbr_ir_node *user = mbr_ir_single_user(n->outputs[0]);
            if (!user || user->graph != g)
                break;
            mbr_ir_node *after = user == next ? user->next : next;
            MBR_TRY(take_add(n, user, &taken, err));
            if (!taken)
                MBR_TRY(take_mul(n, user, &taken, err));
            if (!taken)
                MBR_TRY(take_activation(n, user, &taken, err));
            if (taken)
                next = after;
            *changed |= taken;
        }
    }
    return MBR_OK;
}
