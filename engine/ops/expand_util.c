/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/ops/expand_util.h"

#include <string.h>

mbr_status mbr_expand(mbr_ir_node *n, mbr_error *err)
{
    mbr_expansion x = { .node = n, .err = err };
    mbr_status st = n->op->expand(&x);
    MBR_TRY(st == MBR_OK ? x.status : st);
    for (uint32_t i = 0; i < n->n_outputs; i++)
        if (n->outputs[i] && n->outputs[i]->uses)
            return mbr_ir_fail(n, err, MBR_ERR_INTERNAL, "nothing was put in place of output %u", (unsigned)i);
    mbr_ir_node_remove(n);
    return MBR_OK;
}

mbr_ir_value *mbr_expand_input(const mbr_expansion *x, uint32_t i)
{
    return i < x->node->n_formal ? x->node->inputs[i] : NULL;
}

void mbr_expand_need(mbr_expansion *x, uint32_t first, uint32_t last)
{
    for (uint32_t i = first; i <= last && x->status == MBR_OK; i++)
        if (!mbr_expand_input(x, i))
            mbr_expand_fail(x, MBR_ERR_MODEL, "input %u is missing", (unsigned)i);
}

bool mbr_expand_wants(const mbr_expansion *x, uint32_t i)
{
    return i < x->node->n_outputs && x->node->outputs[i];
}

mbr_ir_node *mbr_expand_node(mbr_expansion *x, const char *domain, const char *op, int opset,
                             mbr_ir_value *const *inputs, size_t n_inputs, size_t n_outputs)
{
    mbr_ir_node *n = NULL;
    if (x->status != MBR_OK)
        return NULL;
    x->status = mbr_ir_node_new(x->node->graph, x->node, domain, op, opset, x->node->name, inputs, n_inputs, NULL,
                                n_outputs, &n, x->err);
    if (x->status == MBR_OK)
        n->origin = x->node->origin;
    return x->status == MBR_OK ? n : NULL;
}

mbr_ir_value *mbr_expand_op(mbr_expansion *x, const char *op, int opset, mbr_ir_value *a, mbr_ir_value *b)
{
    mbr_ir_value *const inputs[2] = { a, b };
    mbr_ir_node *n = mbr_expand_node(x, "", op, opset, inputs, b ? 2 : 1, 1);
    return n ? n->outputs[0] : NULL;
}

mbr_ir_value *mbr_expand_op_int(mbr_expansion *x, const char *op, int opset, mbr_ir_value *a, mbr_ir_value *b,
                                const char *attr, int64_t v)
{
    mbr_ir_value *out = mbr_expand_op(x, op, opset, a, b);
    mbr_expand_attr_int(x, out ? out->producer : NULL, attr, v);
    return out;
}

void mbr_expand_attr_int(mbr_expansion *x, mbr_ir_node *n, const char *name, int64_t v)
{
    if (x->status == MBR_OK)
        x->status = mbr_ir_attr_int(n, name, v, x->err);
}

void mbr_expand_attr_float(mbr_expansion *x, mbr_ir_node *n, const char *name, float v)
{
    if (x->status == MBR_OK)
        x->status = mbr_ir_attr_float(n, name, v, x->err);
}

void mbr_expand_attr_string(mbr_expansion *x, mbr_ir_node *n, const char *name, const char *v)
{
    if (x->status == MBR_OK)
        x->status = mbr_ir_attr_string(n, name, v, strlen(v), x->err);
}

mbr_ir_value *mbr_expand_ints(mbr_expansion *x, const int64_t *v, size_t n)
{
    mbr_ir_value *out = NULL;
    if (x->status == MBR_OK)
        x->status = mbr_ir_constant_ints(x->node->graph, v, n, &out, x->err);
    return out;
}

mbr_ir_value *mbr_expand_int(mbr_expansion *x, int64_t v)
{
    return mbr_expand_ints(x, &v, 1);
}

mbr_ir_value *mbr_expand_dequantize(mbr_expansion *x, mbr_ir_value *q, mbr_ir_value *scale, mbr_ir_value *zero)
{
    mbr_ir_value *const inputs[3] = { q, scale, zero };
    mbr_ir_node *n = mbr_expand_node(x, "", "DequantizeLinear", 13, inputs, zero ? 3 : 2, 1);
    return n ? n->outputs[0] : NULL;
}

void mbr_expand_output(mbr_expansion *x, uint32_t i, mbr_ir_value *v)
{
    if (x->status == MBR_OK && mbr_expand_wants(x, i))
        mbr_ir_replace_uses(x->node->outputs[i], v);
}

mbr_status mbr_expand_fail(mbr_expansion *x, mbr_status status, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    mbr_vfail(x->err, status, fmt, args);
    va_end(args);
    x->status = mbr_ir_fail_at(x->node, x->err, status);
    return x->status;
}
