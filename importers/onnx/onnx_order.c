/* SPDX-License-Identifier: BSD-2-Clause */
#include "importers/onnx/onnx_import.h"

#include <string.h>

/* The names that a subgraph defines, and those of the subgraphs around it. */
typedef struct inner {
    mbr_onnx_names names;
    const struct inner *outer;
} inner;

/* Which nodes a node waits for. Producers are stored as pointers into the list of nodes. */
typedef struct visit {
    mbr_arena *scratch;
    Mbr__Onnx__NodeProto *const *nodes;
    mbr_onnx_names producers;
    /* what is done with each producer found */
    void (*found)(struct visit *v, size_t producer);
    size_t node;      /* the one that is looked at */
    bool out_of_order;
    uint32_t *waiting; /* (n) producers that a node still waits for, each counted as often as it is named */
    uint32_t *first;   /* (n + 1) where a node's readers begin */
    uint32_t *readers; /* (first[n]) */
    mbr_error *err;
} visit;

static void check_order(visit *v, size_t producer)
{
    v->out_of_order |= producer >= v->node;
}

static void count_reader(visit *v, size_t producer)
{
    v->waiting[v->node]++;
    v->first[producer + 1]++;
}

static void note_reader(visit *v, size_t producer)
{
    v->readers[v->first[producer]++] = (uint32_t)v->node;
}

static void use(visit *v, const char *name, const inner *scope)
{
    if (!name[0])
        return;
    for (; scope; scope = scope->outer)
        if (mbr_onnx_names_get(&scope->names, name))
            return;
    Mbr__Onnx__NodeProto *const *producer = mbr_onnx_names_get(&v->producers, name);
    if (producer)
        v->found(v, (size_t)(producer - v->nodes));
}

static mbr_status define(visit *v, inner *scope, const char *name)
{
    return name && name[0] ? mbr_onnx_names_put(&scope->names, name, scope, v->err) : MBR_OK;
}

/* Recursion is bounded by the depth that the pre-scan allows. */
static mbr_status visit_node(visit *v, const Mbr__Onnx__NodeProto *node, const inner *scope);

static mbr_status visit_graph(visit *v, const Mbr__Onnx__GraphProto *g, const inner *outer)
{
    inner scope = { .names = { .arena = v->scratch }, .outer = outer };
    for (size_t i = 0; i < g->n_input; i++)
        MBR_TRY(define(v, &scope, g->input[i]->name));
    for (size_t i = 0; i < g->n_initializer; i++)
        MBR_TRY(define(v, &scope, g->initializer[i]->name));
    for (size_t i = 0; i < g->n_sparse_initializer; i++)
        if (g->sparse_initializer[i]->values)
            MBR_TRY(define(v, &scope, g->sparse_initializer[i]->values->name));
    for (size_t i = 0; i < g->n_node; i++)
        for (size_t k = 0; k < g->node[i]->n_output; k++)
            MBR_TRY(define(v, &scope, g->node[i]->output[k]));
    for (size_t i = 0; i < g->n_node; i++)
        MBR_TRY(visit_node(v, g->node[i], &scope));
    for (size_t i = 0; i < g->n_output; i++)
        use(v, mbr_onnx_text(g->output[i]->name), &scope);
    return MBR_OK;
}

static mbr_status visit_node(visit *v, const Mbr__Onnx__NodeProto *node, const inner *scope)
{
    for (size_t i = 0; i < node->n_input; i++)
        use(v, node->input[i], scope);
    for (size_t i = 0; i < node->n_attribute; i++) {
        const Mbr__Onnx__AttributeProto *a = node->attribute[i];
        if (a->g)
            MBR_TRY(visit_graph(v, a->g, scope));
        for (size_t k = 0; k < a->n_graphs; k++)
            MBR_TRY(visit_graph(v, a->graphs[k], scope));
    }
    return MBR_OK;
}

static mbr_status visit_all(visit *v, size_t n, void (*found)(visit *, size_t))
{
    v->found = found;
    for (v->node = 0; v->node < n; v->node++)
        MBR_TRY(visit_node(v, v->nodes[v->node], NULL));
    return MBR_OK;
}

/* Names a node of a cycle: from any node that is left, going back along what it waits for ends in one. */
static mbr_status report_cycle(visit *v, size_t n)
{
    uint32_t *before = mbr_arena_calloc(v->scratch, n, sizeof *before);
    if (!before)
        return mbr_no_memory(v->err, n * sizeof *before);
    size_t at = n;
    for (size_t i = 0; i < n; i++) {
        if (!v->waiting[i])
            continue;
        at = i;
        for (uint32_t k = i ? v->first[i - 1] : 0; k < v->first[i]; k++)
            if (v->waiting[v->readers[k]])
                before[v->readers[k]] = (uint32_t)i;
    }
    for (size_t i = 0; i < n; i++)
        at = before[at];
    const Mbr__Onnx__NodeProto *node = v->nodes[at];
    return mbr_fail(v->err, MBR_ERR_MODEL,
                    "the graph has a cycle: node '%s' (%s) depends on its own output '%s'; export the model again",
                    mbr_onnx_text(node->name), mbr_onnx_text(node->op_type), node->n_output ? node->output[0] : "");
}

mbr_status mbr_onnx_order(mbr_arena *scratch, Mbr__Onnx__NodeProto *const *nodes, size_t n, const uint32_t **order,
                          mbr_error *err)
{
    *order = NULL;
    visit v = { .scratch = scratch, .nodes = nodes, .producers = { .arena = scratch }, .err = err };
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < nodes[i]->n_output; k++)
            if (nodes[i]->output[k][0])
                MBR_TRY(mbr_onnx_names_put(&v.producers, nodes[i]->output[k], (void *)(uintptr_t)&nodes[i], err));
    MBR_TRY(visit_all(&v, n, check_order));
    if (!v.out_of_order)
        return MBR_OK;

    v.waiting = mbr_arena_calloc(scratch, n, sizeof *v.waiting);
    v.first = mbr_arena_calloc(scratch, n + 1, sizeof *v.first);
    if (!v.waiting || !v.first)
        return mbr_no_memory(err, n * sizeof *v.waiting);
    MBR_TRY(visit_all(&v, n, count_reader));
    for (size_t i = 0; i < n; i++)
        v.first[i + 1] += v.first[i];
    v.readers = mbr_arena_calloc(scratch, (size_t)v.first[n] + 1, sizeof *v.readers);
    uint32_t *sorted = mbr_arena_calloc(scratch, n, sizeof *sorted);
    if (!v.readers || !sorted)
        return mbr_no_memory(err, v.first[n] * sizeof *v.readers);
    MBR_TRY(visit_all(&v, n, note_reader)); /* afterwards first[i] is where the readers of i end */

    size_t done = 0, ready = 0;
    for (size_t i = 0; i < n; i++)
        if (!v.waiting[i])
            sorted[ready++] = (uint32_t)i;
    for (; done < ready; done++) {
        uint32_t i = sorted[done];
        for (uint32_t k = i ? v.first[i - 1] : 0; k < v.first[i]; k++)
            if (--v.waiting[v.readers[k]] == 0)
                sorted[ready++] = v.readers[k];
    }
    if (ready < n)
        return report_cycle(&v, n);
    *order = sorted;
    return MBR_OK;
}
