/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/ops/op.h"
#include "engine/passes/pass.h"

/* Backwards, so that a node's own readers are gone when it is looked at. */
mbr_status mbr_pass_dce(mbr_ir_graph *g, bool *changed, mbr_error *err)
{
    (void)err;
    for (mbr_ir_node *n = g->last, *prev; n; n = prev) {
        prev = n->prev;
        bool used = false;
        for (uint32_t i = 0; i < n->n_outputs; i++)
            used |= n->outputs[i] && n->outputs[i]->uses;
        if (used)
            continue;
        mbr_ir_node_remove(n);
        *changed = true;
    }
    if (g->owner && mbr_ir_drop_captures(g)) /* the graph around is looked at after this one */
        *changed = true;
    return MBR_OK;
}

mbr_status mbr_pass_clean(mbr_ir_graph *g, bool *changed, mbr_error *err)
{
    return mbr_pass_dce(g, changed, err);
}
