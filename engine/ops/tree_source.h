/* SPDX-License-Identifier: BSD-2-Clause */
/* The attributes of the three tree operators as the flat arrays that kernels/tree.h takes. */
#ifndef MBR_ENGINE_OPS_TREE_SOURCE_H
#define MBR_ENGINE_OPS_TREE_SOURCE_H

#include "engine/ops/op.h"
#include "kernels/tree.h"

typedef struct mbr_tree_attrs {
    mbr_tree_source source; /* base is not set: what it means is the operator's business */
    uint8_t *votes;         /* (targets) of classifiers: does a row always, sometimes, never get a vote for a target? */
    bool negative;          /* some weight is below 0 */
    size_t used_targets;    /* targets that some vote names, leaf or not */
    double *base;           /* (n_base) or NULL */
    size_t n_base;
    mbr_arena arena;        /* all of it */
} mbr_tree_attrs;

enum { MBR_TREE_VOTES_NEVER, MBR_TREE_VOTES_SOMETIMES, MBR_TREE_VOTES_ALWAYS };

/* More are no forest: each takes memory of its own, whether a leaf names it or not. */
#define MBR_TREE_MOST_TARGETS (1 << 20)

/*
 * Reads TreeEnsembleClassifier (prefix "class") or TreeEnsembleRegressor ("target") of any version. targets: how many
 * there are. Free with mbr_tree_attrs_free, also after a failure.
 */
mbr_status mbr_tree_attrs_read(const mbr_ir_node *n, const char *prefix, size_t targets, mbr_memory *memory,
                               mbr_tree_attrs *t, mbr_error *err);
/* Reads TreeEnsemble (5). */
mbr_status mbr_tree_attrs_read_5(const mbr_ir_node *n, mbr_memory *memory, mbr_tree_attrs *t, mbr_error *err);
void mbr_tree_attrs_free(mbr_tree_attrs *t);

#endif
