/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The prepared layout of a tree ensemble, shared by its kernels. Nodes of a tree lie in breadth-first order, the two
 * children of a branch side by side, the one of a true condition first.
 *
 * Narrow (f32 rows, ordered comparisons, no odd thresholds, moderate sizes): every mode is turned into x <= t with the
 * children swapped and t moved to the next number where needed, so that a step is node += child + !(x <= t). Rows are
 * copied: once with minus infinity for every NaN, for the branches that a NaN passes, and once with infinity, for the
 * others (only one of the two when there is but one kind); behind that stands minus infinity, which is the feature of the
 * leaves: they step onto themselves. So trees can be walked in groups without a branch.
 *
 * Leaf masks: a tree of at most 64 leaves, for many rows at once. Leaves are numbered from the true side; a branch whose
 * condition fails takes the leaves of its true child away, and the first leaf left is where the row ends. Every branch is
 * looked at, whatever the others say, with nothing but vector instructions.
 *
 * Wide: all the rest, one node at a time.
 */
#ifndef MBR_KERNELS_TREE_LAYOUT_H
#define MBR_KERNELS_TREE_LAYOUT_H

#include "kernels/tree.h"

/* Limits of the narrow layout. */
#define TREE_FEATURES 1023 /* rows are copied to the stack */
#define TREE_NODES 65536   /* of a tree: children are 16-bit offsets from their parent */
#define TREE_GROUP 8       /* trees that are walked together */
#define TREE_LEAVES 64     /* of a tree with leaf masks */

typedef struct tree_node {
    float t; /* of a leaf: its weight when the ensemble is direct, else infinity */
    uint16_t feature; /* place in the copied row */
    uint16_t child; /* places from here to the true child; 0: a leaf */
} tree_node;

typedef struct tree_wide {
    double value;
    int32_t feature; /* negative: a leaf */
    uint32_t child;  /* of a leaf: the number of the leaf */
    uint32_t source; /* MEMBER: index into member_first */
    uint8_t mode, missing_true;
} tree_wide;

typedef struct tree_mask {
    float t;
    uint32_t feature;
    uint32_t keep_low, keep_high; /* leaves that stay when the condition fails */
} tree_mask;

typedef struct tree_root {
    uint32_t node;        /* the root, in the nodes of all trees */
    uint32_t mask;        /* its branches in `masks`: first those that touch leaves 0 to 31 only, then 32 to 63 only, */
    uint32_t masks[3];    /* then both; how many of each */
    uint32_t leaf;        /* its first leaf in leaf_value and leaf_node */
    uint32_t leaves, depth;
    int32_t target; /* direct: where the whole tree adds to */
} tree_root;

struct mbr_tree_ensemble {
    size_t trees, features, targets, nodes;
    mbr_tree_aggregate aggregate;
    bool f64, narrow;
    bool direct; /* every leaf has at most one weight, all leaves of a tree the same target; sums or averages */
    bool masked; /* all trees have leaf masks */
    size_t copies;    /* narrow: 1 or 2 */
    float nan_as[2];  /* what stands for NaN in each copy */
    tree_root *roots;
    uint32_t *group_nodes; /* narrow: roots by TREE_GROUP, the last group filled up with its last tree */
    uint32_t *group_depth; /* narrow: of the deepest tree of the group */
    tree_node *narrow_nodes;
    tree_wide *wide_nodes;
    uint32_t *leaf_number; /* narrow, not direct: (nodes) leaf of the node */
    tree_mask *masks;
    float *leaf_value;  /* direct: weights of the leaves of masked trees, in mask order */
    uint32_t *leaf_node; /* not direct: the leaf numbers, in mask order */
    /* of leaf l: weights first[l] .. first[l + 1] - 1 */
    uint32_t *weight_first;
    int32_t *weight_target;
    double *weight;
    uint32_t *member_first; /* by tree_wide.source */
    double *member;
    double *base;
};

/* The weights of a leaf, one by one, into a row's scores. */
static inline void tree_add_leaf(const struct mbr_tree_ensemble *e, uint32_t leaf, void *scores)
{
    for (uint32_t k = e->weight_first[leaf]; k < e->weight_first[leaf + 1]; k++) {
        if (e->f64) {
            double w = e->weight[k], *s = (double *)scores + e->weight_target[k];
            if (e->aggregate <= MBR_TREE_AVERAGE)
                *s += w;
            else if (e->aggregate == MBR_TREE_MIN ? w < *s : w > *s)
                *s = w;
        } else {
            float w = (float)e->weight[k], *s = (float *)scores + e->weight_target[k];
            if (e->aggregate <= MBR_TREE_AVERAGE)
                *s += w;
            else if (e->aggregate == MBR_TREE_MIN ? w < *s : w > *s)
                *s = w;
        }
    }
}

/* Scores before the first tree, and after the last. */
void mbr_tree_start(const struct mbr_tree_ensemble *e, void *scores, size_t rows);
void mbr_tree_finish(const struct mbr_tree_ensemble *e, void *scores, size_t rows);

#endif
