/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Constant folding: nodes whose inputs are all constants run once, now. Budgeted: a result larger than its inputs
 * and above a megabyte stays a node (Expand of a scalar to a gigabyte is cheaper to run than to hold), and so does a
 * weight in a new layout, which packing handles.
 */
#include "engine/frame.h"
#include "engine/infer.h"
#include "engine/passes/pass.h"

#define MOST_GROWTH (1u << 20)

static bool foldable(const mbr_ir_node *n)
{
    if (n->op->flags & (MBR_OP_RANDOM | MBR_OP_CONTROL))
        return false;
    size_t in = 0, out = 0;
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        const mbr_ir_value *v = n->inputs[i];
        if (!v)
            continue;
        if (!v->constant || v->has_default)
            return false;
        if (v->constant->kind == MBR_KIND_TENSOR)
            in += mbr_value_bytes(v->constant);
    }
    for (uint32_t i = 0; i < n->n_outputs; i++) {
        const mbr_ir_value *v = n->outputs[i];
        if (!v || v->type.kind != MBR_KIND_TENSOR || v->type.rank < 0)
            continue;
        double bytes = (double)mbr_dtype_size(v->type.dtype);
        for (int d = 0; d < v->type.rank; d++)
            bytes *= mbr_dim_is_const(v->type.dims[d]) ? (double)v->type.dims[d] : 1.0;
        out += bytes < 1e15 ? (size_t)bytes : (size_t)1000000000000000;
    }
    if (out > MOST_GROWTH && out > in)
        return false;
    return !(mbr_node_is(n, "", "Transpose") && in > MOST_GROWTH);
}

static mbr_status fold_node(mbr_ir_node *n, mbr_error *err)
{
    mbr_value *few[8], **outputs = few;
    mbr_memory *memory = n->graph->module->memory;
    if (n->n_outputs > MBR_COUNT_OF(few)) {
        outputs = mbr_calloc(memory, n->n_outputs, sizeof *outputs);
        if (!outputs)
            return mbr_no_memory(err, n->n_outputs * sizeof *outputs);
    }
    mbr_status st = mbr_eval_node(n, outputs, err);
    bool evaluated = st == MBR_OK;
    for (uint32_t i = 0; i < n->n_outputs && evaluated; i++) {
        mbr_ir_value *v = n->outputs[i];
        if (!v)
            continue;
        if (st != MBR_OK) {
            mbr_value_drop(outputs[i]);
            continue;
        }
        v->producer = NULL;
        v->content = NULL;
        n->outputs[i] = NULL;
        st = mbr_ir_set_constant(v, outputs[i], err);
    }
    if (outputs != few)
        mbr_free(memory, outputs);
    if (st == MBR_OK)
        mbr_ir_node_remove(n);
    return st;
}

/* A shape tensor whose numbers are all known is a constant, whatever made it. */
static mbr_status content_constant(mbr_ir_value *v, bool *changed, mbr_error *err)
{
    if (!v || !v->uses || !v->content || v->constant || v->type.rank < 0 || v->type.rank > 1 || !mbr_dtype_is_int(v->type.dtype))
        return MBR_OK;
    for (size_t i = 0; i < v->n_content; i++)
        if (!mbr_dim_is_const(v->content[i]))
            return MBR_OK;
    mbr_value *data;
    int64_t n = (int64_t)v->n_content;
    mbr_ir_value *fresh;
    MBR_TRY(mbr_value_create_tensor(v->graph->module->memory, v->type.dtype, v->type.rank, &n, &data, err));
    for (size_t i = 0; i < v->n_content; i++) {
        if (mbr_dtype_size(v->type.dtype) == 8)
            ((int64_t *)data->data)[i] = v->content[i];
        else if (mbr_dtype_size(v->type.dtype) == 4)
            ((int32_t *)data->data)[i] = (int32_t)v->content[i];
        else {
            mbr_value_drop(data);
            return MBR_OK;
        }
    }
    MBR_TRY(mbr_ir_constant(v->graph, data, &fresh, err));
    mbr_ir_replace_uses(v, fresh);
    *changed = true;
    return MBR_OK;
}

mbr_status mbr_pass_fold(mbr_ir_graph *g, bool *changed, mbr_error *err)
{
    bool folded = false;
    for (mbr_ir_node *n = g->first, *next; n; n = next) {
        next = n->next;
        if (foldable(n)) {
            mbr_error why;
            mbr_status st = fold_node(n, &why);
            if (st == MBR_ERR_NO_MEMORY) {
                if (err)
                    *err = why;
                return st;
            }
            folded |= st == MBR_OK; /* what fails now fails with a better message at the run */
            continue;
        }
        if (folded)
            MBR_TRY(mbr_infer_node(n, err));
        for (uint32_t i = 0; i < n->n_outputs; i++)
            MBR_TRY(content_constant(n->outputs[i], &folded, err));
    }
    *changed |= folded;
    return MBR_OK;
}
