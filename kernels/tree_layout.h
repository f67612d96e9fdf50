/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The prepared layout of a tree ensemble, shared by its kernels. Nodes of a tree lie in breadth-first order, the two
 * children of a branch side by side, the one of a true condition first.
 *
 * Narrow (f32 rows, ordered comparisons, no odd thresholds, moderate sizes): every mode is turned into x <= t with the
 * children swapped and t moved to the next f32 below where needed, so that a step is node += child + !(x <= t). Rows are
 * copied: once with minus infinity for every NaN, for the branches that a NaN passes, and once with infinity, for the
 * others (only one of the two when there is but one kind); behind that stands minus infinity, which is the feature of the
 * leaves: they step onto themselves. So trees can be walked in groups without a branch. Trees of like shape stand
 * together; which one is added first cannot be seen in sums of f32 weights in f64.
 *
 * Leaf masks: a tree of at most 64 leaves, for many rows at once. Leaves are numbered from the true side; a branch whose
 * condition fails takes the leaves of its true child away, and the first leaf left is where the row ends. Every branch is
 * looked at, whatever the others say, with nothing but vector instructions.
 *
 * Jumps: the same trees for a row alone, when a feature has at most 255 thresholds. A value becomes its rank among the
 * thresholds of its feature, a byte, so that 32 branches are compared in a few instructions: a byte shuffle for every 16
 * features fetches the ranks. The outcomes of a tree are one word. Of the two children of a branch the one whose
 * subtree branches less is the light one, and the branch's bit says that the row goes there. Leaves are numbered light
 * subtrees first; the bit's number is that of the last leaf of the light subtree, which the row reaches when it only goes
 * to heavy children from there. next[leaf] is what may turn a row away on the heavy path to that leaf, and the leaf's
 * own bit: the lowest bit of outcomes & next[leaf] is the next such leaf, and after as many steps as a path can have
 * light children, six at most whatever the depth, it is the row's own.
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
#define TREE_PLACES 256    /* features with jumps, */
#define TREE_RANKS 256     /* ranks of a value, one more than thresholds of a feature */
#define TREE_STEPS 6       /* jumps to a leaf of TREE_LEAVES at most */

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
    bool turned; /* the false child comes first */
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
    uint32_t leaves;
    int32_t target; /* direct: where the whole tree adds to */
} tree_root;

typedef struct tree_jump {
    uint64_t turned;    /* outcomes to negate: x <= t leads to the light child; and the bit of the last leaf */
    uint64_t first;     /* next of the last leaf */
    uint64_t nan_holds; /* branches where a NaN counts as x <= t */
    uint32_t leaf;      /* its first leaf in next, jump_value and jump_leaf */
} tree_jump;

/* The jumps of all trees of the same size class and number of steps. */
typedef struct tree_run {
    uint32_t last; /* one behind the run's last tree */
    uint32_t steps;
} tree_run;

/* Each address in it is put right by mbr_tree_move. */
struct mbr_tree_ensemble {
    size_t trees, features, targets, nodes;
    mbr_tree_aggregate aggregate;
    bool f64, narrow;
    bool direct; /* every leaf has at most one weight, in f32, all leaves of a tree the same target; sums or averages */
    bool one;    /* direct, and all trees have the same target */
    bool masked; /* all trees have leaf masks */
    bool jumps;  /* all trees have jumps, and they are faster than walking */
    size_t copies;    /* narrow: 1 or 2 */
    float nan_as[2];  /* what stands for NaN in each copy */
    tree_root *roots;
    uint32_t *group_nodes; /* narrow: roots by TREE_GROUP, the last group filled up with its last tree */
    uint32_t *group_depth; /* narrow: of the deepest tree of the group */
    tree_node *narrow_nodes;
    tree_wide *wide_nodes;
    uint32_t *leaf_number; /* narrow, not direct: (nodes) leaf of the node */
    tree_mask *masks;
    double *leaf_value; /* direct: weights of the leaves of masked trees, in mask order */
    uint32_t *leaf_node; /* not direct: the leaf numbers, in mask order */
    size_t places, room;  /* jumps: features in use, rounded up to 32; ranks, rounded up to a power of two */
    uint16_t *place_feature; /* (places) */
    float *place_cuts;    /* (places, room) thresholds, ascending, then infinity */
    size_t small;         /* trees of at most 32 leaves, the first ones: one vector of 32 branches each, the others two */
    uint8_t *jump_place;  /* (vectors, 32) of the branch with that bit */
    int8_t *jump_cut;     /* (vectors, 32) the highest rank with x <= t, less 128 */
    tree_jump *jump;
    uint64_t *jump_next;
    float *jump_value;   /* direct: weights of the leaves, in jump order */
    uint32_t *jump_leaf; /* not direct: the leaf numbers */
    tree_run runs[2 * TREE_STEPS];
    size_t run_count;
    /* of leaf l: weights first[l] .. first[l + 1] - 1 */
    uint32_t *weight_first;
    int32_t *weight_target;
    double *weight;
    uint32_t *member_first; /* by tree_wide.source */
    double *member;
    double *base;
};

/* The weights of a leaf, one by one, into a row's scores. */
static inline void tree_add_leaf(const struct mbr_tree_ensemble *e, uint32_t leaf, double *scores)
{
    for (uint32_t k = e->weight_first[leaf]; k < e->weight_first[leaf + 1]; k++) {
        double w = e->weight[k], *s = scores + e->weight_target[k];
        if (e->aggregate <= MBR_TREE_AVERAGE)
            *s += w;
        else if (e->aggregate == MBR_TREE_MIN ? w < *s : w > *s)
            *s = w;
    }
}

/* Scores before the first tree, and after the last. */
void mbr_tree_start(const struct mbr_tree_ensemble *e, double *scores, size_t rows);
void mbr_tree_finish(const struct mbr_tree_ensemble *e, double *scores, size_t rows);

#endif
