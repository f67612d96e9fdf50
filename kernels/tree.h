/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tree ensembles: a layout made once from flat node arrays, then rows evaluated one at a time or in blocks.
 *
 * A row goes from a tree's root to a leaf: at a node it takes the true child when `x[feature] <mode> value` holds, as
 * IEEE compares (so with NaN only NEQ holds), or when x is NaN and missing_true is set. Leaves add weights to targets.
 */
#ifndef MBR_KERNELS_TREE_H
#define MBR_KERNELS_TREE_H

#include "kernels/cpu.h"
#include "kernels/view.h"

typedef enum mbr_tree_mode {
    MBR_TREE_LEQ, /* x <= value, as in the others */
    MBR_TREE_LT,
    MBR_TREE_GTE,
    MBR_TREE_GT,
    MBR_TREE_EQ,
    MBR_TREE_NEQ,
    MBR_TREE_MEMBER, /* x is in the set of the node */
    MBR_TREE_LEAF
} mbr_tree_mode;

typedef enum mbr_tree_aggregate { MBR_TREE_SUM, MBR_TREE_AVERAGE, MBR_TREE_MIN, MBR_TREE_MAX } mbr_tree_aggregate;

/*
 * The ensemble as the importer or operator hands it over. Children are node numbers. `value`, `member` and the leaves'
 * `weight` are exact in f64 whatever the model stored. Every tree is checked: children in range, no node reached
 * twice.
 */
typedef struct mbr_tree_source {
    size_t nodes, trees, features, targets;
    const uint8_t *mode;         /* (nodes) mbr_tree_mode */
    const int32_t *feature;      /* (nodes) below `features` for branches */
    const double *value;         /* (nodes) */
    const int32_t *true_child;   /* (nodes) */
    const int32_t *false_child;  /* (nodes) */
    const uint8_t *missing_true; /* (nodes) or NULL: all 0 */
    const int32_t *root;         /* (trees) */
    /* what leaves vote: weights weight_first[node] .. weight_first[node + 1] - 1 */
    const uint32_t *weight_first; /* (nodes + 1) */
    const int32_t *weight_target; /* below `targets` */
    const double *weight;
    /* MEMBER: set of the node, member_first[node] .. member_first[node + 1] - 1; NULL without MEMBER nodes */
    const size_t *member_first;
    const double *member;
    mbr_tree_aggregate aggregate;
    const double *base; /* (targets), added at the end; or NULL */
    bool f64;           /* rows are f64, else f32; a comparison is exact in either case */
} mbr_tree_source;

typedef struct mbr_tree_ensemble mbr_tree_ensemble;

/* Why a source is refused. */
typedef enum mbr_tree_fault {
    MBR_TREE_OK,
    MBR_TREE_BAD_CHILD,
    MBR_TREE_SHARED_NODE, /* a node is reached twice: a loop or a shared subtree */
    MBR_TREE_BAD_FEATURE,
    MBR_TREE_BAD_TARGET,
    MBR_TREE_BAD_MODE,
    MBR_TREE_BAD_ROOT,
    MBR_TREE_TOO_LARGE
} mbr_tree_fault;

/* What a check found; prepare goes by it. */
typedef struct mbr_tree_shape {
    size_t bytes; /* of the prepared layout; the rest is for prepare only */
    size_t nodes, leaves, weights, masks, members, places, room, vectors;
    bool narrow, direct, masked, jumps, passes, fails;
} mbr_tree_shape;

/* Bytes of the work space of the two calls below, aligned to 8; 0: more nodes or trees than are possible. */
size_t mbr_tree_work(const mbr_tree_source *source);

/* Checks the source and tells the shape of the prepared layout; on a fault, *node is the culprit. */
mbr_tree_fault mbr_tree_measure(const mbr_tree_source *source, void *work, mbr_tree_shape *shape, size_t *node);

/*
 * Lays the ensemble out in `memory` (of shape->bytes, aligned to MBR_ALIGN) after measure filled work and shape; the
 * source is no longer needed then.
 */
mbr_tree_ensemble *mbr_tree_prepare(const mbr_tree_source *source, const mbr_tree_shape *shape, void *work,
                                    void *memory);

/*
 * scores[row][target] for rows first .. last-1: the aggregate over all trees plus base, in f64: what a caller rounds is
 * rounded once. A target that no leaf adds to has 0 before base. Rows of `row_stride` elements, scores dense. The same
 * row gives the same bits whatever the number of rows.
 */
typedef void mbr_tree_fn(const mbr_tree_ensemble *ensemble, const void *rows, ptrdiff_t row_stride, double *scores,
                         size_t first, size_t last);

mbr_tree_fn mbr_tree_ref;
mbr_tree_fn *mbr_tree_select(unsigned tiers);

/*
 * A prepared layout that lies elsewhere than it was made, such as in a file: its head with the addresses put right, in
 * `memory` of MBR_TREE_HEAD bytes. `moved`: where the layout lies now less where it was made. The rest is read in place.
 */
#define MBR_TREE_HEAD 1024
mbr_tree_ensemble *mbr_tree_move(const mbr_tree_ensemble *ensemble, uintptr_t moved, void *memory);

/*
 * How rows go through the trees: walking, under leaf masks where there are enough rows for vectors, by jumps; and what a
 * row takes on some processor with 256-bit vectors. 0: the ensemble has not got that way.
 */
typedef enum mbr_tree_way { MBR_TREE_WALK, MBR_TREE_MASKS, MBR_TREE_JUMPS, MBR_TREE_WAYS } mbr_tree_way;
typedef struct mbr_tree_cost {
    double ns[MBR_TREE_WAYS];
    double first; /* walking: in rows, what the first one waits for nodes that the others find in a cache */
} mbr_tree_cost;
void mbr_tree_costs(const mbr_tree_ensemble *ensemble, mbr_tree_cost *to);
/* The way that a call with so many rows takes, and what it takes all in all. */
mbr_tree_way mbr_tree_way_of(const mbr_tree_cost *cost, unsigned tiers, size_t rows, double *ns);

size_t mbr_tree_targets(const mbr_tree_ensemble *ensemble);
size_t mbr_tree_features(const mbr_tree_ensemble *ensemble);

#endif
