/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/env.h"
#include "engine/infer.h"

#include <stdio.h>
#include <string.h>

/* A node of the row alone, its required inputs there but of unknown type. */
static mbr_status lone_node(mbr_ir_graph *g, const mbr_op *op, mbr_ir_node **n, mbr_error *err)
{
    mbr_ir_value *in[MBR_OP_MANY];
    size_t count = op->min_in ? op->min_in : op->max_in ? 1 : 0;
    for (size_t i = 0; i < count; i++)
        MBR_TRY(mbr_ir_value_new(g, NULL, &in[i], err));
    return mbr_ir_node_new(g, NULL, op->domain, op->name, op->since, "", in, count, NULL, op->min_out, n, err);
}

/* The types of input 0 that the row's inference takes while it knows nothing else; 0 where it cannot tell. */
static mbr_status row_types(mbr_env *env, const mbr_op *op, uint64_t *types, mbr_error *err)
{
    mbr_ir_module *m;
    mbr_ir_graph *g;
    mbr_ir_node *n;
    *types = 0;
    MBR_TRY(mbr_ir_module_new(&env->memory, NULL, "", &m, err));
    mbr_status st = mbr_ir_graph_new(m, "main", &g, err);
    if (st == MBR_OK)
        st = lone_node(g, op, &n, err);
    if (st == MBR_OK && op->infer && n->n_inputs) {
        mbr_error unfit;
        for (int t = 1; t < MBR_DTYPE_COUNT && st == MBR_OK; t++) {
            st = mbr_ir_set_tensor_type(n->inputs[0], (mbr_dtype)t, -1, NULL, err);
            if (st == MBR_OK && mbr_infer_node(n, &unfit) == MBR_OK)
                *types |= (uint64_t)1 << t;
        }
    }
    mbr_ir_module_free(m);
    return st;
}

/* The names of a set of tiers, a blank between them. */
static void tier_names(unsigned tiers, char *text, size_t size)
{
    size_t at = 0;
    *text = 0;
    for (int t = 0; t < MBR_TIER_COUNT; t++)
        if (tiers >> t & 1 && at < size)
            at += (size_t)snprintf(text + at, size - at, "%s%s", at ? " " : "", mbr_cpu_tier_name((mbr_cpu_tier)t));
}

mbr_status mbr_env_each_op(mbr_env *env, mbr_op_row_fn fn, void *user, mbr_error *err)
{
    const mbr_op *op;
    for (size_t i = 0; (op = mbr_op_at(i)); i++) {
        mbr_op_row row = { .size = sizeof row, .domain = *op->domain ? op->domain : "ai.onnx", .name = op->name,
                           .since = op->since, .until = op->until, .min_inputs = op->min_in,
                           .max_inputs = op->max_in == MBR_OP_MANY ? -1 : op->max_in };
        if (strcmp(op->domain, "mbr") == 0)
            continue;
        MBR_TRY(row_types(env, op, &row.types, err));
        mbr_family family = mbr_op_family(op);
        char tiers[128];
        tier_names(op->expand ? 0 : mbr_family_tiers(family), tiers, sizeof tiers);
        row.kernels = op->expand ? "parts" : family == MBR_FAMILY_NONE ? "ref" : mbr_family_name(family);
        row.tiers = tiers;
        fn(user, &row);
    }
    for (const mbr_custom *o = env->ops.first; o; o = o->next) {
        mbr_op_row row = { .size = sizeof row, .domain = o->row.domain, .name = o->row.name, .since = o->row.since,
                           .min_inputs = o->spec.min_inputs, .max_inputs = o->spec.max_inputs,
                           .kernels = "plug-in", .tiers = "" };
        fn(user, &row);
    }
    return MBR_OK;
}
