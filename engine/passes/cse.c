/* SPDX-License-Identifier: BSD-2-Clause */
/* Common subexpressions: two nodes of the same operator, inputs and attributes are one. Constants count as equal when
   they are the same data. */
#include "engine/ops/op.h"
#include "engine/passes/pass.h"

#include <string.h>

static bool same_input(const mbr_ir_value *a, const mbr_ir_value *b)
{
    if (a == b)
        return true;
    if (!a || !b || !a->constant || !b->constant || a->has_default || b->has_default)
        return false;
    return a->constant == b->constant ||
           (a->constant->kind == MBR_KIND_TENSOR && b->constant->kind == MBR_KIND_TENSOR &&
            mbr_value_count(a->constant) <= 64 && mbr_value_equal(a->constant, b->constant));
}

static bool same_node(const mbr_ir_node *a, const mbr_ir_node *b)
{
    if (a->op != b->op || a->n_inputs != b->n_inputs || a->n_outputs != b->n_outputs || a->n_attrs != b->n_attrs)
        return false;
    for (uint32_t i = 0; i < a->n_inputs; i++)
        if (!same_input(a->inputs[i], b->inputs[i]))
            return false;
    for (uint32_t i = 0; i < a->n_attrs; i++)
        if (!mbr_ir_attr_equal(&a->attrs[i], &b->attrs[i]))
            return false;
    return true;
}

static uint32_t hash_node(const mbr_ir_node *n)
{
    uint32_t h = (uint32_t)((uintptr_t)n->op >> 4);
    for (uint32_t i = 0; i < n->n_inputs; i++) /* small constants may be equal without being the same */
        h = h * 31 + (n->inputs[i] ? n->inputs[i]->constant ? 7 : n->inputs[i]->id + 11 : 3);
    h ^= h >> 15;
    h *= 0x9E3779B1u;
    return h ^ (h >> 13);
}

static bool mergeable(const mbr_ir_node *n)
{
    if (n->op->flags & (MBR_OP_RANDOM | MBR_OP_CONTROL))
        return false;
    for (uint32_t i = 0; i < n->n_outputs; i++)
        if (n->outputs[i] && n->outputs[i]->is_output)
            return false;
    return true;
}

/* Every output that b's readers want exists in a. */
static bool covers(const mbr_ir_node *a, const mbr_ir_node *b)
{
    for (uint32_t i = 0; i < b->n_outputs; i++)
        if (b->outputs[i] && b->outputs[i]->uses && !a->outputs[i])
            return false;
    return true;
}

mbr_status mbr_pass_cse(mbr_ir_graph *g, bool *changed, mbr_error *err)
{
    size_t nodes = 0, room = 64;
    for (const mbr_ir_node *n = g->first; n; n = n->next)
        nodes++;
    while (room < nodes * 2)
        room *= 2;
    mbr_ir_node **seen = mbr_calloc(g->module->memory, room, sizeof *seen);
    if (!seen)
        return mbr_no_memory(err, room * sizeof *seen);
    for (mbr_ir_node *n = g->first, *next; n; n = next) {
        next = n->next;
        if (!mergeable(n))
            continue;
        size_t at = hash_node(n) & (room - 1);
        while (seen[at] && !(same_node(seen[at], n) && covers(seen[at], n)))
            at = (at + 1) & (room - 1);
        if (!seen[at]) {
            seen[at] = n;
            continue;
        }
        for (uint32_t i = 0; i < n->n_outputs; i++)
            if (n->outputs[i] && seen[at]->outputs[i])
                mbr_ir_replace_uses(n->outputs[i], seen[at]->outputs[i]);
        mbr_ir_node_remove(n);
        *changed = true;
    }
    mbr_free(g->module->memory, seen);
    return MBR_OK;
}
