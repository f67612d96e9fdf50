/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Path attribution. The deltas of a node, its value less its parent's, are laid beside its threshold: a row walks trees
 * in groups, as kernels/tree_layout.h tells, and every step adds one delta to the feature that was asked.
 */
#include "api/explain_impl.h"

#include "base/checked.h"
#include "base/hash.h"

#include <math.h>
#include <string.h>

#define GROUP 8
#define MOST_FEATURES 1023 /* of the narrow layout: a row is copied to the stack, twice */
#define MOST_NODES 65536   /* of a tree: children are 16-bit offsets */

typedef struct narrow_node {
    float t;          /* goes on to the first child when x <= t; of a leaf infinity: it steps onto itself */
    uint16_t feature; /* place in the copied row */
    uint16_t child;   /* places from here to the first child; 0: a leaf */
    double delta;     /* of the step to here */
} narrow_node;

typedef struct group {
    uint32_t root[GROUP]; /* the last group is filled up with the node that adds nothing */
    uint32_t depth;
} group;

struct mbr_explain_trees {
    size_t trees;
    double scale;       /* of an average: 1 / trees */
    bool narrow;
    narrow_node *nodes; /* narrow */
    group *groups;
    size_t n_groups;
    double *delta;      /* (nodes) wide: by node of the source */
};

/* What is known of a node while the walk is prepared. */
typedef struct expectation {
    double value;  /* mean of the leaves below */
    double weight; /* by rows or hits */
    double leaves; /* how many there are, for where no row ever came */
} expectation;

typedef struct tree_order {
    uint32_t *node;   /* (nodes) breadth first, tree after tree */
    uint32_t *first;  /* (trees + 1) into node */
    uint32_t *depth;  /* (trees) */
} tree_order;

static bool is_leaf(const mbr_tree_source *s, size_t node)
{
    return s->mode[node] == MBR_TREE_LEAF;
}

static bool is_swapped(const mbr_tree_source *s, size_t node)
{
    return s->mode[node] == MBR_TREE_GTE || s->mode[node] == MBR_TREE_GT;
}

/* ---- checking and order ---- */

/* The trees are checked by the measure that their kernel has. */
static mbr_status check_trees(mbr_explainer *e, const mbr_ir_node *n, mbr_error *err)
{
    mbr_tree_source *s = &e->attrs.source;
    mbr_tree_shape shape;
    size_t node = 0, bytes;
    s->f64 = e->wide;
    bytes = mbr_tree_work(s);
    void *work = bytes ? mbr_alloc(e->memory, bytes) : NULL;
    if (!work)
        return bytes ? mbr_no_memory(err, bytes) : mbr_ir_fail(n, err, MBR_ERR_LIMIT, "too many nodes");
    mbr_tree_fault fault = mbr_tree_measure(s, work, &shape, &node);
    mbr_free(e->memory, work);
    return fault == MBR_TREE_OK ? MBR_OK : mbr_ir_fail(n, err, MBR_ERR_MODEL, "its trees are broken at node %zu", node);
}

static mbr_status order_trees(const mbr_tree_source *s, mbr_arena *a, tree_order *o, mbr_error *err)
{
    o->node = mbr_arena_alloc(a, (s->nodes + 1) * sizeof *o->node);
    o->first = mbr_arena_alloc(a, (s->trees + 1) * sizeof *o->first);
    o->depth = mbr_arena_calloc(a, s->trees + 1, sizeof *o->depth);
    if (!o->node || !o->first || !o->depth)
        return mbr_no_memory(err, s->nodes * sizeof *o->node);
    uint32_t end = 0;
    for (size_t t = 0; t < s->trees; t++) {
        uint32_t at = o->first[t] = end;
        o->node[end++] = (uint32_t)s->root[t];
        for (uint32_t level = end; at < end; at++) {
            uint32_t node = o->node[at];
            if (at == level) {
                o->depth[t]++;
                level = end;
            }
            if (is_leaf(s, node))
                continue;
            bool swap = is_swapped(s, node);
            o->node[end++] = (uint32_t)(swap ? s->false_child : s->true_child)[node];
            o->node[end++] = (uint32_t)(swap ? s->true_child : s->false_child)[node];
        }
    }
    o->first[s->trees] = end;
    return MBR_OK;
}

/* ---- the values of nodes ---- */

/* nodes_hitrates, where they say anything: finite, not negative, not all the same. NULL: they do not. */
static const float *read_hits(const mbr_ir_node *n, const mbr_tree_source *s)
{
    size_t count;
    const float *hits = mbr_attr_floats(n, "nodes_hitrates", &count);
    bool differ = false;
    if (!hits || count != s->nodes)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        if (!(hits[i] >= 0) || isinf(hits[i]))
            return NULL;
        differ |= hits[i] != hits[0];
    }
    return differ ? hits : NULL;
}

static void expect(const mbr_tree_source *s, const tree_order *o, size_t target, const uint32_t *counts,
                   const float *hits, expectation *x)
{
    for (uint32_t at = o->first[s->trees]; at-- > 0;) {
        uint32_t node = o->node[at];
        expectation *e = &x[node];
        double weight = counts ? (double)counts[node] : hits ? (double)hits[node] : 1;
        if (is_leaf(s, node)) {
            *e = (expectation){ .weight = weight, .leaves = 1 };
            for (size_t w = s->weight_first[node]; w < s->weight_first[node + 1]; w++)
                if ((size_t)s->weight_target[w] == target)
                    e->value += s->weight[w];
            continue;
        }
        const expectation *a = &x[s->true_child[node]], *b = &x[s->false_child[node]];
        e->leaves = a->leaves + b->leaves;
        e->weight = counts || hits ? weight : e->leaves;
        double wa = a->weight, wb = b->weight;
        if (!(wa + wb > 0)) { /* no row came here: all leaves alike */
            wa = a->leaves;
            wb = b->leaves;
        }
        e->value = (wa * a->value + wb * b->value) / (wa + wb);
    }
}

/* ---- the narrow layout ---- */

/* As in kernels/tree_plan.c: x <= t says for f32 x what x <mode> value says, children swapped. NaN: there is none. */
static float threshold(uint8_t mode, double v)
{
    bool strict = mode == MBR_TREE_LT || mode == MBR_TREE_GTE;
    float t = (float)v;
    if (v != v || (strict && v == -(double)INFINITY))
        return NAN;
    if ((double)t > v || (strict && (double)t == v))
        t = nextafterf(t, -INFINITY);
    return t == INFINITY ? NAN : t;
}

static bool can_be_narrow(const mbr_explainer *e, const mbr_tree_source *s, const tree_order *o)
{
    if (s->f64 || e->features > MOST_FEATURES)
        return false;
    for (size_t t = 0; t < s->trees; t++)
        if (o->first[t + 1] - o->first[t] > MOST_NODES)
            return false;
    for (uint32_t at = 0; at < o->first[s->trees]; at++) {
        uint32_t node = o->node[at];
        if (!is_leaf(s, node) && (s->mode[node] > MBR_TREE_GT || isnan(threshold(s->mode[node], s->value[node]))))
            return false;
    }
    return true;
}

/* Trees of like depth stand together. */
static mbr_status make_groups(mbr_explain_trees *x, const mbr_tree_source *s, const tree_order *o, mbr_arena *a,
                              uint32_t nothing, mbr_error *err)
{
    uint32_t most = 0;
    x->n_groups = (s->trees + GROUP - 1) / GROUP;
    x->groups = mbr_arena_calloc(a, x->n_groups + 1, sizeof *x->groups);
    if (!x->groups)
        return mbr_no_memory(err, x->n_groups * sizeof *x->groups);
    for (size_t t = 0; t < s->trees; t++)
        most = o->depth[t] > most ? o->depth[t] : most;
    /* depths of broken-looking chains go up to 32,768: count them rather than look for each */
    uint32_t *place = mbr_arena_calloc(a, (size_t)most + 2, sizeof *place);
    if (!place)
        return mbr_no_memory(err, most * sizeof *place);
    for (size_t t = 0; t < s->trees; t++)
        place[o->depth[t] + 1]++;
    for (uint32_t d = 1; d <= most + 1; d++)
        place[d] += place[d - 1];
    for (size_t t = 0; t < s->trees; t++) {
        uint32_t at = place[o->depth[t]]++;
        group *g = &x->groups[at / GROUP];
        g->root[at % GROUP] = o->first[t];
        g->depth = o->depth[t] > g->depth ? o->depth[t] : g->depth;
    }
    for (size_t i = s->trees; i % GROUP; i++)
        x->groups[i / GROUP].root[i % GROUP] = nothing;
    return MBR_OK;
}

static mbr_status make_narrow(mbr_explainer *e, mbr_explain_trees *x, const tree_order *o, const expectation *values,
                              mbr_error *err)
{
    const mbr_tree_source *s = &e->attrs.source;
    uint32_t count = o->first[s->trees];
    x->nodes = mbr_arena_alloc_aligned(&e->arena, ((size_t)count + 1) * sizeof *x->nodes);
    if (!x->nodes)
        return mbr_no_memory(err, count * sizeof *x->nodes);
    uint32_t next = 0; /* children of the nodes so far come in the same order */
    for (size_t t = 0; t < s->trees; t++) {
        x->nodes[o->first[t]].delta = 0;
        next = o->first[t] + 1;
        for (uint32_t at = o->first[t]; at < o->first[t + 1]; at++) {
            uint32_t node = o->node[at];
            narrow_node *n = &x->nodes[at];
            n->t = INFINITY;
            n->feature = (uint16_t)(2 * e->features);
            n->child = 0;
            if (is_leaf(s, node))
                continue;
            bool nan_first = (s->missing_true && s->missing_true[node]) != is_swapped(s, node);
            n->t = threshold(s->mode[node], s->value[node]);
            n->feature = (uint16_t)((size_t)s->feature[node] + (nan_first ? 0 : e->features));
            n->child = (uint16_t)(next - at);
            for (int k = 0; k < 2; k++, next++)
                x->nodes[next].delta = (values[o->node[next]].value - values[node].value) * x->scale;
        }
    }
    x->nodes[count] = (narrow_node){ .t = INFINITY, .feature = (uint16_t)(2 * e->features) };
    return make_groups(x, s, o, &e->arena, count, err);
}

static mbr_status make_wide(mbr_explainer *e, mbr_explain_trees *x, const tree_order *o, const expectation *values,
                            mbr_error *err)
{
    const mbr_tree_source *s = &e->attrs.source;
    x->delta = mbr_arena_calloc(&e->arena, s->nodes + 1, sizeof *x->delta);
    if (!x->delta)
        return mbr_no_memory(err, s->nodes * sizeof *x->delta);
    for (uint32_t at = 0; at < o->first[s->trees]; at++) {
        uint32_t node = o->node[at];
        if (is_leaf(s, node))
            continue;
        int32_t a = s->true_child[node], b = s->false_child[node];
        x->delta[a] = (values[a].value - values[node].value) * x->scale;
        x->delta[b] = (values[b].value - values[node].value) * x->scale;
    }
    return MBR_OK;
}

mbr_status mbr_explain_trees_make(mbr_explainer *e, const mbr_ir_node *n, size_t target, const uint32_t *counts,
                                  bool learning, mbr_error *err)
{
    mbr_tree_source *s = &e->attrs.source;
    tree_order o;
    mbr_arena scratch;
    if (s->aggregate > MBR_TREE_AVERAGE)
        return mbr_ir_fail(n, err, MBR_ERR_UNSUPPORTED, "the least or largest of the trees is no sum that features add "
                           "to; only SUM and AVERAGE can be explained");
    MBR_TRY(check_trees(e, n, err));
    mbr_arena_init(&scratch, e->memory, 0);
    mbr_explain_trees *x = e->trees = mbr_arena_calloc(&e->arena, 1, sizeof *x);
    expectation *values = mbr_arena_calloc(&scratch, s->nodes + 1, sizeof *values);
    mbr_status st = MBR_OK;
    if (!x || !values)
        MBR_TRY_GOTO(mbr_no_memory(err, s->nodes * sizeof *values), end);
    MBR_TRY_GOTO(order_trees(s, &scratch, &o, err), end);
    const float *hits = counts ? NULL : read_hits(n, s);
    e->weights = counts ? MBR_EXPLAIN_ROWS : hits ? MBR_EXPLAIN_HITS : MBR_EXPLAIN_UNIFORM;
    expect(s, &o, target, counts, hits, values);
    x->trees = s->trees;
    x->scale = s->aggregate == MBR_TREE_AVERAGE && s->trees ? 1 / (double)s->trees : 1;
    for (size_t t = 0; t < s->trees; t++)
        e->base += values[s->root[t]].value * x->scale;
    x->narrow = can_be_narrow(e, s, &o);
    st = x->narrow ? make_narrow(e, x, &o, values, err) : make_wide(e, x, &o, values, err);
    if (st == MBR_OK && learning) {
        e->counts = mbr_arena_calloc(&e->arena, s->nodes + 1, sizeof *e->counts);
        if (!e->counts)
            st = mbr_no_memory(err, s->nodes * sizeof *e->counts);
    }
    if (st == MBR_OK && x->narrow && !learning) {
        mbr_tree_attrs_free(&e->attrs);
        e->has_attrs = false;
    }
end:
    mbr_arena_destroy(&scratch);
    return st;
}

int mbr_explain_trees_count(const mbr_explainer *e)
{
    return e->trees ? (int)e->trees->trees : 0;
}

/* ---- rows ---- */

static inline const narrow_node *step(const narrow_node *n, const float *row, double *sums)
{
    unsigned feature = n->feature;
    n += n->child + !(row[feature] <= n->t);
    sums[feature] += n->delta;
    return n;
}

static void walk_narrow(const mbr_explainer *e, const double *values, double *contributions)
{
    /* NaN as minus infinity, NaN as infinity, and what leaves compare */
    float row[2 * MOST_FEATURES + 1];
    double sums[2 * MOST_FEATURES + 1];
    const mbr_explain_trees *x = e->trees;
    size_t features = e->features;
    for (size_t i = 0; i < features; i++) {
        float v = e->plain ? (float)values[i] : (float)mbr_explain_value(e, values, i);
        row[i] = isnan(v) ? -INFINITY : v;
        row[features + i] = isnan(v) ? INFINITY : v;
    }
    row[2 * features] = -INFINITY;
    memset(sums, 0, (2 * features + 1) * sizeof *sums);
    for (size_t k = 0; k < x->n_groups; k++) {
        const group *g = &x->groups[k];
        const uint32_t *root = g->root;
        const narrow_node *n0 = x->nodes + root[0], *n1 = x->nodes + root[1], *n2 = x->nodes + root[2];
        const narrow_node *n3 = x->nodes + root[3], *n4 = x->nodes + root[4], *n5 = x->nodes + root[5];
        const narrow_node *n6 = x->nodes + root[6], *n7 = x->nodes + root[7];
        for (uint32_t d = 0; d < g->depth; d++) { /* in registers: three times as fast as a loop over the group */
            n0 = step(n0, row, sums);
            n1 = step(n1, row, sums);
            n2 = step(n2, row, sums);
            n3 = step(n3, row, sums);
            n4 = step(n4, row, sums);
            n5 = step(n5, row, sums);
            n6 = step(n6, row, sums);
            n7 = step(n7, row, sums);
        }
    }
    for (size_t i = 0; i < features; i++)
        contributions[i] = sums[i] + sums[features + i];
}

static bool holds(const mbr_tree_source *s, size_t node, double v)
{
    if (isnan(v) && s->missing_true && s->missing_true[node])
        return true;
    switch ((mbr_tree_mode)s->mode[node]) {
    case MBR_TREE_LEQ: return v <= s->value[node];
    case MBR_TREE_LT: return v < s->value[node];
    case MBR_TREE_GTE: return v >= s->value[node];
    case MBR_TREE_GT: return v > s->value[node];
    case MBR_TREE_EQ: return v == s->value[node];
    case MBR_TREE_NEQ: return v != s->value[node];
    case MBR_TREE_MEMBER:
        for (size_t k = s->member_first[node]; k < s->member_first[node + 1]; k++)
            if (s->member[k] == v)
                return true;
        return false;
    case MBR_TREE_LEAF: break;
    }
    return false;
}

static void walk_wide(const mbr_explainer *e, const double *values, double *contributions, uint32_t *counts)
{
    const mbr_tree_source *s = &e->attrs.source;
    for (size_t t = 0; t < s->trees; t++) {
        size_t node = (size_t)s->root[t];
        if (counts)
            counts[node]++;
        while (!is_leaf(s, node)) {
            size_t feature = (size_t)s->feature[node];
            double v = mbr_explain_value(e, values, feature);
            node = (size_t)(holds(s, node, v) ? s->true_child : s->false_child)[node];
            if (counts)
                counts[node]++;
            else
                contributions[feature] += e->trees->delta[node];
        }
    }
}

void mbr_explain_trees_row(const mbr_explainer *e, const double *values, double *contributions)
{
    if (e->trees->narrow)
        walk_narrow(e, values, contributions);
    else
        walk_wide(e, values, contributions, NULL);
}

void mbr_explain_trees_learn(mbr_explainer *e, const double *values)
{
    walk_wide(e, values, NULL, e->counts);
}

uint64_t mbr_explain_trees_digest(const mbr_tree_source *s)
{
    mbr_hash h = { 1, 2 };
    h = mbr_hash_bytes(s->mode, s->nodes, h);
    h = mbr_hash_bytes(s->feature, s->nodes * sizeof *s->feature, h);
    h = mbr_hash_bytes(s->value, s->nodes * sizeof *s->value, h);
    h = mbr_hash_bytes(s->true_child, s->nodes * sizeof *s->true_child, h);
    h = mbr_hash_bytes(s->false_child, s->nodes * sizeof *s->false_child, h);
    h = mbr_hash_bytes(s->weight, s->weight_first[s->nodes] * sizeof *s->weight, h);
    return h.a ^ h.b;
}
