/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/ops/op.h"
#include "engine/passes/pass.h"

#include <string.h>

/* Are the types of a view's input and output the same, so that it does nothing at all? */
static bool same_type(const mbr_ir_value *a, const mbr_ir_value *b)
{
    if (a->type.kind != b->type.kind || a->type.dtype != b->type.dtype || a->type.rank != b->type.rank)
        return false;
    for (int d = 0; d < a->type.rank; d++)
        if (a->type.dims[d] != b->type.dims[d] || !mbr_dim_is_known(a->type.dims[d]))
            return false;
    return a->type.rank >= 0;
}

/* A node whose output 0 is its input 0. */
static bool does_nothing(const mbr_ir_node *n)
{
    if (n->n_inputs == 0 || !n->inputs[0] || !n->outputs[0])
        return false;
    if (mbr_node_is(n, "", "Identity"))
        return true;
    for (uint32_t i = 1; i < n->n_outputs; i++)
        if (n->outputs[i] && n->outputs[i]->uses)
            return false;
    if (mbr_node_is(n, "", "Dropout")) /* training mode is an input, or an attribute in old versions */
        return (n->n_inputs < 3 || !n->inputs[2]) && !mbr_attr(n, "training_mode") &&
               (n->op->since >= 7 || mbr_attr_int(n, "is_test", 0));
    if (mbr_node_is(n, "", "Cast") || mbr_node_is(n, "", "Reshape") || mbr_node_is(n, "", "Flatten") ||
        mbr_node_is(n, "", "Squeeze") || mbr_node_is(n, "", "Unsqueeze") || mbr_node_is(n, "", "Expand"))
        return same_type(n->inputs[0], n->outputs[0]);
    if (mbr_node_is(n, "", "Transpose")) {
        size_t count;
        const int64_t *perm = mbr_attr_ints(n, "perm", &count);
        for (size_t i = 0; i < count; i++)
            if (perm[i] != (int64_t)i)
                return false;
        return count > 0 || (n->inputs[0]->type.kind == MBR_KIND_TENSOR && n->inputs[0]->type.rank == 1);
    }
    return (mbr_node_is(n, "", "Concat") || mbr_node_is(n, "", "Sum") || mbr_node_is(n, "", "Max") ||
            mbr_node_is(n, "", "Min") || mbr_node_is(n, "", "Mean")) &&
           n->n_formal == 1;
}

mbr_status mbr_pass_identity(mbr_ir_graph *g, bool *changed, mbr_error *err)
{
    (void)err;
    for (mbr_ir_node *n = g->first, *next; n; n = next) {
        next = n->next;
        if (!does_nothing(n))
            continue;
        mbr_ir_value *in = n->inputs[0], *out = n->outputs[0];
        /* a graph output must keep a producer of its own: inputs and constants are copied out by the Identity */
        if (out->is_output && (!in->producer || in->is_output))
            continue;
        mbr_ir_replace_uses(out, in);
        mbr_ir_node_remove(n);
        *changed = true;
    }
    return MBR_OK;
}
