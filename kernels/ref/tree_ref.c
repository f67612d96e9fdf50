/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Trees in breadth-first order, siblings side by side. All four orders of comparison become `x <= value`: `<` with
 * the number before, `>=` and `>` with the children swapped; where a NaN goes is a bit of its own.
 */
#include "kernels/tree.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 64

enum {
    KIND_MODE = 3,
    KIND_THRESHOLD = 0,
    KIND_EQUAL = 1,
    KIND_DIFFERENT = 2,
    KIND_MEMBER = 3,
    KIND_LEAF = 4,
    KIND_NAN_ASIDE = 8 /* NaN goes to the second child */
};

typedef struct tree {
    uint32_t first, depth;
    int32_t target; /* of all leaves, each with one weight; -1: see weight_first */
} tree;

/* Few features, small trees: what most ensembles are. */
typedef struct packed_node {
    float value;
    uint32_t link; /* feature, and the true child << LINK_SHIFT */
} packed_node;

typedef struct node_f32 {
    float value;
    uint32_t feature, left;
} node_f32;

typedef struct node_f64 {
    double value;
    uint32_t feature, left;
} node_f64;

#define PART_ALIGN 64
#define LINK_SHIFT 12
#define LINK_FEATURES ((size_t)1 << LINK_SHIFT)
#define LINK_NODES ((size_t)1 << (32 - LINK_SHIFT))

struct mbr_tree_ensemble {
    size_t features, targets, n_trees;
    mbr_tree_aggregate aggregate;
    bool f64, packed, plain; /* plain: thresholds only */
    tree *trees;             /* (n_trees) */
    void *nodes;             /* (nodes) packed_node, node_f32 or node_f64 */
    uint8_t *kinds;          /* (nodes) */
    void *single;            /* (nodes) the weight of a leaf that has one, f32 or f64 */
    uint32_t *weight_first;  /* (nodes + 1) */
    uint32_t *weight_target; /* (weights) */
    void *weights;           /* (weights) */
    uint32_t *member_first;  /* (nodes + 1) or NULL */
    void *members;           /* ascending in each set */
    void *base;              /* (targets) or NULL */
};

#define NAME(x) x##_packed
#define REAL float
#define NODE packed_node
#define FEATURE(n) ((n)->link & (LINK_FEATURES - 1))
#define LEFT(n) ((n)->link >> LINK_SHIFT)
#include "kernels/ref/tree_walk.h"
#undef NAME
#undef NODE
#undef FEATURE
#undef LEFT

#define NAME(x) x##_f32
#define NODE node_f32
#define FEATURE(n) ((n)->feature)
#define LEFT(n) ((n)->left)
#include "kernels/ref/tree_walk.h"
#undef NAME
#undef REAL
#undef NODE

#define NAME(x) x##_f64
#define REAL double
#define NODE node_f64
#include "kernels/ref/tree_walk.h"
#undef NAME
#undef REAL
#undef NODE
#undef FEATURE
#undef LEFT

void mbr_tree_ref(const mbr_tree_ensemble *ensemble, const void *rows, ptrdiff_t row_stride, void *scores,
                  size_t first, size_t last)
{
    if (ensemble->f64)
        run_f64(ensemble, rows, row_stride, scores, first, last);
    else if (ensemble->packed)
        run_packed(ensemble, rows, row_stride, scores, first, last);
    else
        run_f32(ensemble, rows, row_stride, scores, first, last);
}

mbr_tree_fn *mbr_tree_select(unsigned tiers)
{
    (void)tiers;
    return mbr_tree_ref;
}

size_t mbr_tree_targets(const mbr_tree_ensemble *ensemble)
{
    return ensemble->targets;
}

size_t mbr_tree_features(const mbr_tree_ensemble *ensemble)
{
    return ensemble->features;
}

/* --- laying out --- */

/* Offsets of the parts in the ensemble's memory. */
typedef struct plan {
    size_t trees, nodes, kinds, single, weight_first, weight_target, weights, member_first, members, base, bytes;
} plan;

static size_t place(plan *p, size_t count, size_t size)
{
    size_t at = p->bytes;
    p->bytes += (count * size + PART_ALIGN - 1) & ~(size_t)(PART_ALIGN - 1);
    return at;
}

/* Is the first child that of the condition's failing? */
static bool swapped(const mbr_tree_source *s, size_t node)
{
    return (s->mode[node] == MBR_TREE_GTE || s->mode[node] == MBR_TREE_GT) && s->value[node] == s->value[node];
}

/* Walks a tree breadth first: order[i] is the source's node at place i. Returns the number of nodes. */
static size_t walk_tree(const mbr_tree_source *s, int32_t root, uint32_t *order, uint32_t *depth)
{
    size_t count = 1, level_end = 1;
    order[0] = (uint32_t)root;
    *depth = 0;
    for (size_t i = 0; i < count; i++) {
        size_t from = order[i];
        if (i == level_end) {
            ++*depth;
            level_end = count;
        }
        if (s->mode[from] == MBR_TREE_LEAF)
            continue;
        bool turn = swapped(s, from);
        order[count++] = (uint32_t)(turn ? s->false_child[from] : s->true_child[from]);
        order[count++] = (uint32_t)(turn ? s->true_child[from] : s->false_child[from]);
    }
    return count;
}

/* Do feature and child fit one word? */
static bool fits_packed(const mbr_tree_source *s, uint32_t *order)
{
    uint32_t depth;
    bool fits = !s->f64 && s->features <= LINK_FEATURES;
    for (size_t i = 0; fits && i < s->trees && s->nodes >= LINK_NODES; i++)
        fits = walk_tree(s, s->root[i], order, &depth) < LINK_NODES;
    return fits;
}

static plan lay_out(const mbr_tree_source *s, bool packed)
{
    size_t real = s->f64 ? sizeof(double) : sizeof(float);
    size_t node = s->f64 ? sizeof(node_f64) : packed ? sizeof(packed_node) : sizeof(node_f32);
    size_t weights = s->weight_first[s->nodes], members = s->member_first ? s->member_first[s->nodes] : 0;
    plan p = { 0 };
    place(&p, 1, sizeof(mbr_tree_ensemble));
    p.trees = place(&p, s->trees, sizeof(tree));
    p.nodes = place(&p, s->nodes, node);
    p.kinds = place(&p, s->nodes, 1);
    p.single = place(&p, s->nodes, real);
    p.weight_first = place(&p, s->nodes + 1, sizeof(uint32_t));
    p.weight_target = place(&p, weights, sizeof(uint32_t));
    p.weights = place(&p, weights, real);
    p.member_first = place(&p, s->member_first ? s->nodes + 1 : 0, sizeof(uint32_t));
    p.members = place(&p, members, real);
    p.base = place(&p, s->base ? s->targets : 0, real);
    return p;
}

mbr_tree_fault mbr_tree_measure(const mbr_tree_source *s, void *work, size_t *bytes, size_t *node)
{
    uint8_t *referenced = work;
    *bytes = 0;
    *node = 0;
    if (s->nodes > INT32_MAX || s->trees > INT32_MAX || s->features > INT32_MAX || s->targets > INT32_MAX ||
        s->weight_first[s->nodes] > INT32_MAX || (s->member_first && s->member_first[s->nodes] > INT32_MAX))
        return MBR_TREE_TOO_LARGE;
    memset(referenced, 0, s->nodes);
    for (size_t i = 0; i < s->nodes; i++) {
        *node = i;
        if (s->mode[i] > MBR_TREE_LEAF || (s->mode[i] == MBR_TREE_MEMBER && !s->member_first))
            return MBR_TREE_BAD_MODE;
        for (size_t w = s->weight_first[i]; w < s->weight_first[i + 1]; w++)
            if (s->weight_target[w] < 0 || (size_t)s->weight_target[w] >= s->targets)
                return MBR_TREE_BAD_TARGET;
        if (s->mode[i] == MBR_TREE_LEAF)
            continue;
        if (s->feature[i] < 0 || (size_t)s->feature[i] >= s->features)
            return MBR_TREE_BAD_FEATURE;
        const int32_t children[2] = { s->true_child[i], s->false_child[i] };
        for (int k = 0; k < 2; k++) {
            if (children[k] < 0 || (size_t)children[k] >= s->nodes)
                return MBR_TREE_BAD_CHILD;
            if (referenced[children[k]])
                return MBR_TREE_SHARED_NODE;
            referenced[children[k]] = 1;
        }
    }
    /* with every node named once and no root named at all, what a root reaches is a tree */
    for (size_t i = 0; i < s->trees; i++) {
        if (s->root[i] < 0 || (size_t)s->root[i] >= s->nodes)
            return MBR_TREE_BAD_ROOT;
        *node = (size_t)s->root[i];
        if (referenced[s->root[i]])
            return MBR_TREE_SHARED_NODE;
        referenced[s->root[i]] = 1;
    }
    *bytes = lay_out(s, fits_packed(s, work)).bytes;
    return MBR_TREE_OK;
}

static double below(double v, bool f64)
{
    if (v == -INFINITY)
        return NAN; /* nothing is below */
    return f64 ? nextafter(v, -INFINITY) : (double)nextafterf((float)v, -INFINITY);
}

/* The number that a node compares with. */
static double threshold(const mbr_tree_source *s, size_t node)
{
    double v = s->f64 ? s->value[node] : (double)(float)s->value[node];
    switch (s->mode[node]) {
    case MBR_TREE_LT:
    case MBR_TREE_GTE: return v == v ? below(v, s->f64) : v;
    default: return v;
    }
}

static uint8_t kind_of(const mbr_tree_source *s, size_t node)
{
    bool nan_true = s->missing_true && s->missing_true[node];
    uint8_t kind;
    switch (s->mode[node]) {
    case MBR_TREE_LEAF: return KIND_LEAF | KIND_NAN_ASIDE;
    case MBR_TREE_EQ: kind = KIND_EQUAL; break;
    case MBR_TREE_NEQ: kind = KIND_DIFFERENT, nan_true = true; break;
    case MBR_TREE_MEMBER: kind = KIND_MEMBER; break;
    default: kind = KIND_THRESHOLD; break;
    }
    return (uint8_t)(kind | (nan_true == swapped(s, node) ? KIND_NAN_ASIDE : 0));
}

static void set_real(bool f64, void *array, size_t i, double v)
{
    if (f64)
        ((double *)array)[i] = v;
    else
        ((float *)array)[i] = (float)v;
}

static void set_node(mbr_tree_ensemble *e, size_t i, double value, uint32_t feature, uint32_t left)
{
    if (e->f64)
        ((node_f64 *)e->nodes)[i] = (node_f64){ value, feature, left };
    else if (e->packed)
        ((packed_node *)e->nodes)[i] = (packed_node){ (float)value, feature | left << LINK_SHIFT };
    else
        ((node_f32 *)e->nodes)[i] = (node_f32){ (float)value, feature, left };
}

static int compare_f32(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static int compare_f64(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void copy_members(mbr_tree_ensemble *e, const mbr_tree_source *s, size_t to, size_t from)
{
    uint32_t at = e->member_first[to];
    if (s->mode[from] == MBR_TREE_MEMBER)
        for (size_t m = s->member_first[from]; m < s->member_first[from + 1]; m++)
            if (s->member[m] == s->member[m])
                set_real(s->f64, e->members, at++, s->member[m]);
    size_t size = s->f64 ? sizeof(double) : sizeof(float);
    qsort((char *)e->members + e->member_first[to] * size, at - e->member_first[to], size,
          s->f64 ? compare_f64 : compare_f32);
    e->member_first[to + 1] = at;
}

/* Fills the places of one tree from t->first on. order: as walk_tree made it. */
static void place_tree(mbr_tree_ensemble *e, const mbr_tree_source *s, tree *t, const uint32_t *order, size_t count)
{
    bool single = s->aggregate == MBR_TREE_SUM || s->aggregate == MBR_TREE_AVERAGE;
    size_t child = 1; /* place of the next first child */
    t->target = -1;
    for (size_t i = 0; i < count; i++) {
        size_t from = order[i], to = t->first + i;
        bool leaf = s->mode[from] == MBR_TREE_LEAF;
        e->kinds[to] = kind_of(s, from);
        e->plain &= (e->kinds[to] & KIND_MODE) == KIND_THRESHOLD;
        if (!leaf)
            set_node(e, to, threshold(s, from), (uint32_t)s->feature[from], (uint32_t)child);
        else if (i == 0)
            set_node(e, to, INFINITY, 0, 0); /* nothing lies before a root: it stays by being true */
        else
            set_node(e, to, NAN, 0, (uint32_t)(i - 1));
        child += leaf ? 0 : 2;
        if (e->member_first)
            copy_members(e, s, to, from);
        size_t first = leaf ? s->weight_first[from] : 0, last = leaf ? s->weight_first[from + 1] : 0;
        uint32_t at = e->weight_first[to];
        for (size_t w = first; w < last; w++, at++) {
            e->weight_target[at] = (uint32_t)s->weight_target[w];
            set_real(s->f64, e->weights, at, s->weight[w]);
        }
        e->weight_first[to + 1] = at;
        set_real(s->f64, e->single, to, last - first == 1 ? s->weight[first] : 0);
        if (last - first > 1 || (last > first && t->target >= 0 && t->target != s->weight_target[first]))
            single = false;
        else if (last > first)
            t->target = s->weight_target[first];
    }
    if (!single)
        t->target = -1;
}

mbr_tree_ensemble *mbr_tree_prepare(const mbr_tree_source *s, void *work, void *memory)
{
    bool packed = fits_packed(s, work);
    plan p = lay_out(s, packed);
    char *m = memory;
    mbr_tree_ensemble *e = memory;
    *e = (mbr_tree_ensemble){ .features = s->features, .targets = s->targets, .n_trees = s->trees,
                              .aggregate = s->aggregate, .f64 = s->f64, .plain = true, .packed = packed,
                              .trees = (tree *)(void *)(m + p.trees), .nodes = m + p.nodes,
                              .kinds = (uint8_t *)(m + p.kinds), .single = m + p.single,
                              .weight_first = (uint32_t *)(void *)(m + p.weight_first),
                              .weight_target = (uint32_t *)(void *)(m + p.weight_target), .weights = m + p.weights,
                              .member_first = s->member_first ? (uint32_t *)(void *)(m + p.member_first) : NULL,
                              .members = m + p.members, .base = s->base ? m + p.base : NULL };
    e->weight_first[0] = 0;
    if (e->member_first)
        e->member_first[0] = 0;
    uint32_t place = 0;
    for (size_t i = 0; i < s->trees; i++) {
        e->trees[i].first = place;
        size_t count = walk_tree(s, s->root[i], work, &e->trees[i].depth);
        place_tree(e, s, &e->trees[i], work, count);
        place += (uint32_t)count;
    }
    for (size_t k = 0; s->base && k < s->targets; k++)
        set_real(s->f64, e->base, k, s->base[k]);
    return e;
}
