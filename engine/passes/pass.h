/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Passes: small rewrites of the IR, run in the order of the table in passes.c. Each keeps the graph valid and its
 * types inferred, and does nothing where it finds nothing. A pass is tested on the text form: before and after.
 */
#ifndef MBR_ENGINE_PASSES_PASS_H
#define MBR_ENGINE_PASSES_PASS_H

#include "engine/ir.h"

typedef struct mbr_pass {
    const char *name; /* for MBR_PASSES, --passes and dumps */
    const char *what; /* one line for --help */
    mbr_status (*run)(mbr_ir_graph *g, bool *changed, mbr_error *err); /* one graph; the driver visits subgraphs */
} mbr_pass;

/* The table, ended by a row without a name. */
extern const mbr_pass mbr_pass_table[];

/* Which passes are on: bit i is row i of the table. */
typedef struct mbr_pass_set {
    uint64_t on;
    bool exact; /* convolutions keep off kernels that spread a non-finite value (Winograd); off after parsing */
} mbr_pass_set;

/* Parses "none", "all", "+name", "-name", "name", separated by commas, applied in turn to all; NULL: all. Fails with
   MBR_ERR_ARGUMENT and a message that lists the names when one is unknown. */
mbr_status mbr_pass_set_parse(const char *text, mbr_pass_set *set, mbr_error *err);

/* Leaves out what pays on the CPU's caches alone. */
void mbr_passes_for_device(mbr_pass_set *set);

/*
 * Infers, then runs the passes that are on, in order, over the main graph and all subgraphs. until: the name of the
 * last pass to run ("import": none of them), NULL: all.
 */
mbr_status mbr_passes_run(mbr_ir_module *m, const mbr_pass_set *set, const char *until, mbr_error *err);

/* The functions of the table: mbr_pass_NAME. */
#define MBR_PASS(id, text) mbr_status mbr_pass_##id(mbr_ir_graph *g, bool *changed, mbr_error *err);
#include "engine/passes/list.h"
#undef MBR_PASS

/* --- for passes --- */

/* Calls fn for g and every graph in attributes of its nodes, inner ones first. */
mbr_status mbr_each_graph(mbr_ir_graph *g, mbr_status (*fn)(mbr_ir_graph *g, void *user, mbr_error *err), void *user,
                          mbr_error *err);

/* The number at a constant scalar (or one-element) float tensor; false where v is none. */
bool mbr_const_scalar(const mbr_ir_value *v, float *x);

/* Is it the operator of that domain and name? */
bool mbr_node_is(const mbr_ir_node *n, const char *domain, const char *name);

/* n also stands for the file's nodes that `origin` names, from now on. */
mbr_status mbr_join_origin(mbr_ir_node *n, const char *origin, mbr_error *err);

#endif
