/* SPDX-License-Identifier: BSD-2-Clause */
/* The inside of an explainer: explain.c finds the node and its features, explain_trees.c walks trees. */
#ifndef MBR_API_EXPLAIN_IMPL_H
#define MBR_API_EXPLAIN_IMPL_H

#include "engine/ops/tree_source.h"
#include "mbr/explain.h"

/* Elementwise steps between the model's input and the node; each has two numbers a feature. */
#define MBR_EXPLAIN_PRE 4

/* Features at most. */
#define MBR_EXPLAIN_WIDTH 65536

typedef enum mbr_pre_kind {
    MBR_PRE_SCALE, /* (x - a) * b */
    MBR_PRE_IMPUTE /* b where x is a (also where both are NaN) */
} mbr_pre_kind;

/* A feature: an element of an input of the model, and what happens to it on the way. */
typedef struct mbr_origin {
    int input, element;
    int n_pre;
    struct {
        mbr_pre_kind kind;
        float a, b;
    } pre[MBR_EXPLAIN_PRE];
} mbr_origin;

typedef struct mbr_explain_trees mbr_explain_trees;

struct mbr_explainer {
    mbr_memory *memory;
    mbr_arena arena;
    const char *node, *op;
    size_t features;
    mbr_origin *origins;   /* (features) */
    bool plain;            /* nothing happens to any feature on the way */
    bool wide;             /* the node reads f64, else f32 */
    double base;
    mbr_explain_weights weights;
    uint64_t rows;         /* learned, now or in the file */
    uint64_t digest;       /* of what the node is: a file of another one is refused */
    double *coefficient;   /* (features) linear; NULL: trees */
    double *mean;          /* (features) linear */
    double *sum;           /* (features) learning */
    uint32_t *counts;      /* (nodes) learning: rows that came by, in the order of the source's nodes */
    size_t nodes;
    mbr_tree_attrs attrs;  /* trees, while they are needed: to learn, and to walk what is not narrow */
    bool has_attrs;
    mbr_explain_trees *trees;
};

/* A feature as the node sees it. */
static inline double mbr_explain_value(const mbr_explainer *e, const double *values, size_t i)
{
    const mbr_origin *o = &e->origins[i];
    double x = e->wide ? values[i] : (double)(float)values[i];
    for (int k = 0; k < o->n_pre; k++) {
        float a = o->pre[k].a, b = o->pre[k].b, y = (float)x;
        if (o->pre[k].kind == MBR_PRE_SCALE)
            y = (y - a) * b;
        else if (y == a || (y != y && a != a))
            y = b;
        x = (double)y;
    }
    return x;
}

/*
 * From e->attrs, for one target: the base, and what the walk reads. counts: (nodes) what mbr_explainer_save kept, or
 * NULL. Frees attrs when they are not needed any more.
 */
mbr_status mbr_explain_trees_make(mbr_explainer *e, const mbr_ir_node *n, size_t target, const uint32_t *counts,
                                  bool learning, mbr_error *err);
int mbr_explain_trees_count(const mbr_explainer *e);

/* Adds to contributions, which are 0. */
void mbr_explain_trees_row(const mbr_explainer *e, const double *values, double *contributions);

/* Counts the nodes that a row comes by. */
void mbr_explain_trees_learn(mbr_explainer *e, const double *values);

/* A number that changes with the trees. */
uint64_t mbr_explain_trees_digest(const mbr_tree_source *s);

#endif
