/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/ops/tree_source.h"

#include "base/checked.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- attributes --- */

/* Reals from floats or, with the suffix _as_tensor, a tensor. */
typedef struct reals {
    const float *f;
    const mbr_value *t;
    size_t n;
} reals;

static double real_at(const reals *r, size_t i)
{
    return r->f ? (double)r->f[i] : mbr_value_real(r->t, i);
}

static bool numeric(const mbr_value *v)
{
    return v->kind == MBR_KIND_TENSOR && (mbr_dtype_is_float(v->dtype) || mbr_dtype_is_int(v->dtype));
}

static mbr_status read_reals(const mbr_ir_node *n, const char *prefix, const char *name, reals *r, mbr_error *err)
{
    char attr[64];
    *r = (reals){ 0 };
    snprintf(attr, sizeof attr, "%s%s", prefix, name);
    r->f = mbr_attr_floats(n, attr, &r->n);
    if (r->f)
        return MBR_OK;
    r->t = mbr_attr_tensor(n, attr);
    if (!r->t) {
        snprintf(attr, sizeof attr, "%s%s_as_tensor", prefix, name);
        r->t = mbr_attr_tensor(n, attr);
    }
    if (r->t && !numeric(r->t))
        return mbr_ir_fail(n, err, MBR_ERR_MODEL, "%s holds %s; numbers are due", attr, mbr_dtype_name(r->t->dtype));
    r->n = r->t ? mbr_value_count(r->t) : 0;
    return MBR_OK;
}

/* Whole numbers, of large forests in 32 bits. */
typedef struct whole {
    const int64_t *wide;
    const int32_t *small; /* or NULL */
    size_t n;
} whole;

static inline int64_t whole_at(const whole *w, size_t i)
{
    return w->small ? w->small[i] : w->wide[i];
}

static whole read_ints(const mbr_ir_node *n, const char *prefix, const char *name)
{
    char attr[64];
    whole w = { 0 };
    snprintf(attr, sizeof attr, "%s%s", prefix, name);
    w.small = mbr_attr_ints32(n, attr, &w.n);
    if (!w.small)
        w.wide = mbr_attr_ints(n, attr, &w.n);
    return w;
}

static mbr_status size_fault(const mbr_ir_node *n, const char *what, size_t is, size_t due, mbr_error *err)
{
    return mbr_ir_fail(n, err, MBR_ERR_MODEL, "%s has %zu entries where %zu are due", what, is, due);
}

static bool mode_of(const mbr_string *s, uint8_t *mode)
{
    static const struct {
        size_t size;
        char name[12];
    } modes[] = { [MBR_TREE_LEQ] = { 10, "BRANCH_LEQ" }, [MBR_TREE_LT] = { 9, "BRANCH_LT" },
                  [MBR_TREE_GTE] = { 10, "BRANCH_GTE" }, [MBR_TREE_GT] = { 9, "BRANCH_GT" },
                  [MBR_TREE_EQ] = { 9, "BRANCH_EQ" },    [MBR_TREE_NEQ] = { 10, "BRANCH_NEQ" },
                  [MBR_TREE_LEAF] = { 4, "LEAF" } };
    for (size_t i = 0; i < MBR_COUNT_OF(modes); i++)
        if (s->size == modes[i].size && s->size && memcmp(s->data, modes[i].name, s->size) == 0) {
            *mode = (uint8_t)i;
            return true;
        }
    return false;
}

/* --- node ids --- */

/*
 * Nodes by (tree, id): the file's own arrays where they are in order, as all converters write them; else `order` says
 * which entry is the i-th. And the place where the search last ended: neighbours mostly follow one another.
 */
typedef struct node_index {
    whole tree, id;
    uint32_t *order; /* or NULL */
    size_t n, hint;
    bool dense;      /* no order, and the ids of a tree count up by one: a place follows from an id */
} node_index;

typedef struct key {
    int64_t tree, id;
    uint32_t node;
} key;

static int compare_keys(const void *a, const void *b)
{
    const key *x = a, *y = b;
    if (x->tree != y->tree)
        return x->tree < y->tree ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

static inline size_t index_node(const node_index *x, size_t i)
{
    return x->order ? x->order[i] : i;
}

static inline int compare_at(const node_index *x, size_t i, int64_t tree, int64_t id)
{
    size_t n = index_node(x, i);
    int64_t this_tree = whole_at(&x->tree, n), this_id = whole_at(&x->id, n);
    if (this_tree != tree)
        return this_tree < tree ? -1 : 1;
    return (this_id > id) - (this_id < id);
}

/* In a dense index: where an id of the tree at begin .. end - 1 is; SIZE_MAX: nowhere. */
static inline size_t place(const whole *ids, size_t begin, size_t end, int64_t id)
{
    int64_t steps;
    bool inside = !__builtin_sub_overflow(id, whole_at(ids, begin), &steps) && steps >= 0 &&
                  (uint64_t)steps < (uint64_t)(end - begin);
    return inside ? begin + (size_t)steps : SIZE_MAX;
}

/* SIZE_MAX: no such node. */
static size_t find(node_index *x, int64_t tree, int64_t id)
{
    size_t near = index_node(x, x->hint);
    if (whole_at(&x->tree, near) == tree) { /* consecutive ids: a step away by the difference */
        int64_t guess = (int64_t)x->hint;
        if (!__builtin_add_overflow(guess, id, &guess) && !__builtin_sub_overflow(guess, whole_at(&x->id, near), &guess) &&
            guess >= 0 && (size_t)guess < x->n && compare_at(x, (size_t)guess, tree, id) == 0) {
            x->hint = (size_t)guess;
            return index_node(x, x->hint);
        }
    }
    size_t low = 0, high = x->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_at(x, middle, tree, id);
        if (order == 0) {
            x->hint = middle;
            return index_node(x, middle);
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return SIZE_MAX;
}

static mbr_status sort_index(node_index *x, mbr_arena *a, mbr_memory *memory, mbr_error *err)
{
    x->order = mbr_arena_alloc(a, x->n * sizeof *x->order);
    key *keys = mbr_alloc(memory, x->n * sizeof *keys);
    if (!x->order || !keys) {
        mbr_free(memory, keys);
        return mbr_no_memory(err, x->n * sizeof *keys);
    }
    for (size_t i = 0; i < x->n; i++)
        keys[i] = (key){ whole_at(&x->tree, i), whole_at(&x->id, i), (uint32_t)i };
    qsort(keys, x->n, sizeof *keys, compare_keys);
    for (size_t i = 0; i < x->n; i++)
        x->order[i] = keys[i].node;
    mbr_free(memory, keys);
    return MBR_OK;
}

static mbr_status make_index(const mbr_ir_node *n, const whole *trees, const whole *ids, size_t nodes, mbr_arena *a,
                             mbr_memory *memory, node_index *x, mbr_error *err)
{
    *x = (node_index){ .tree = *trees, .id = *ids, .n = nodes };
    bool sorted = true;
    x->dense = true;
    for (size_t i = 1; i < nodes && sorted; i++) {
        int64_t tree = whole_at(trees, i), id = whole_at(ids, i);
        sorted = compare_at(x, i - 1, tree, id) < 0;
        x->dense = x->dense && sorted && (whole_at(trees, i - 1) != tree || whole_at(ids, i - 1) == id - 1);
    }
    if (sorted)
        return MBR_OK;
    x->dense = false;
    MBR_TRY(sort_index(x, a, memory, err));
    for (size_t i = 1; i < nodes; i++) {
        int64_t tree = whole_at(trees, x->order[i]), id = whole_at(ids, x->order[i]);
        if (compare_at(x, i - 1, tree, id) == 0)
            return mbr_ir_fail(n, err, MBR_ERR_MODEL, "tree %lld has two nodes %lld", (long long)tree, (long long)id);
    }
    return MBR_OK;
}

/* --- votes --- */

typedef struct vote {
    whole target;
    reals weight;
    uint32_t *node; /* (n) */
    size_t n;
} vote;

/* Sorts votes by node into the source's arrays, in the order of the file within a node. */
static mbr_status sort_votes(mbr_tree_attrs *t, const vote *v, mbr_error *err)
{
    mbr_tree_source *s = &t->source;
    size_t *first = mbr_arena_calloc(&t->arena, s->nodes + 2, sizeof *first);
    int32_t *target = mbr_arena_alloc(&t->arena, (v->n + 1) * sizeof *target);
    double *weight = mbr_arena_alloc(&t->arena, (v->n + 1) * sizeof *weight);
    uint8_t *used = mbr_arena_calloc(&t->arena, s->targets + 1, 1);
    if (!first || !target || !weight || !used)
        return mbr_no_memory(err, v->n * sizeof *weight);
    for (size_t i = 0; i < v->n; i++)
        first[v->node[i] + 2]++;
    for (size_t i = 2; i < s->nodes + 2; i++)
        first[i] += first[i - 1];
    for (size_t i = 0; i < v->n; i++) {
        size_t at = first[v->node[i] + 1]++;
        int64_t k = whole_at(&v->target, i);
        target[at] = k < 0 || (uint64_t)k >= s->targets ? -1 : (int32_t)k;
        weight[at] = real_at(&v->weight, i);
        t->negative |= weight[at] < 0;
        if (target[at] >= 0 && !used[k]) {
            used[k] = 1;
            t->used_targets++;
        }
    }
    s->weight_first = first;
    s->weight_target = target;
    s->weight = weight;
    return MBR_OK;
}

/* Which targets every row gets a vote for: those that all leaves of some tree name. `trees` numbers the nodes' trees. */
static mbr_status find_votes(mbr_tree_attrs *t, const uint32_t *trees, mbr_error *err)
{
    const mbr_tree_source *s = &t->source;
    size_t *leaves = mbr_arena_calloc(&t->arena, s->trees + 1, sizeof *leaves);
    size_t *seen = mbr_arena_calloc(&t->arena, s->targets + 1, sizeof *seen); /* leaves of the tree at hand */
    size_t *of = mbr_arena_calloc(&t->arena, s->targets + 1, sizeof *of);     /* which tree that is, from 1 on */
    size_t *leaf = mbr_arena_calloc(&t->arena, s->targets + 1, sizeof *leaf); /* the last one counted, from 1 on */
    t->votes = mbr_arena_calloc(&t->arena, s->targets + 1, 1);
    if (!leaves || !seen || !of || !leaf || !t->votes)
        return mbr_no_memory(err, s->targets * sizeof *seen);
    for (size_t i = 0; i < s->nodes; i++)
        leaves[trees[i]] += s->mode[i] == MBR_TREE_LEAF;
    for (size_t i = 0; i < s->nodes; i++)
        for (size_t w = s->weight_first[i]; s->mode[i] == MBR_TREE_LEAF && w < s->weight_first[i + 1]; w++) {
            int32_t k = s->weight_target[w];
            if (k < 0 || leaf[k] == i + 1)
                continue;
            leaf[k] = i + 1;
            if (of[k] != trees[i] + (size_t)1) {
                of[k] = trees[i] + (size_t)1;
                seen[k] = 0;
            }
            if (++seen[k] == leaves[trees[i]])
                t->votes[k] = MBR_TREE_VOTES_ALWAYS;
            else if (t->votes[k] == MBR_TREE_VOTES_NEVER)
                t->votes[k] = MBR_TREE_VOTES_SOMETIMES;
        }
    return MBR_OK;
}

/* --- versions 1 and 3 --- */

static mbr_status read_nodes(const mbr_ir_node *n, mbr_memory *memory, mbr_tree_attrs *t, node_index *x,
                             uint32_t **trees, mbr_error *err)
{
    mbr_tree_source *s = &t->source;
    const whole tree = read_ints(n, "nodes_", "treeids"), id = read_ints(n, "nodes_", "nodeids");
    const whole feature = read_ints(n, "nodes_", "featureids"), yes = read_ints(n, "nodes_", "truenodeids");
    const whole no = read_ints(n, "nodes_", "falsenodeids");
    const whole missing = read_ints(n, "nodes_", "missing_value_tracks_true");
    size_t n_modes;
    const mbr_string *modes = mbr_attr_strings(n, "nodes_modes", &n_modes);
    reals value;
    MBR_TRY(read_reals(n, "nodes_", "values", &value, err));
    size_t nodes = id.n;
    if (nodes == 0)
        return mbr_ir_fail(n, err, MBR_ERR_MODEL, "there are no nodes");
    if (nodes > INT32_MAX)
        return mbr_ir_fail(n, err, MBR_ERR_LIMIT, "%zu nodes; at most %d are possible", nodes, INT32_MAX);
    if (tree.n != nodes)
        return size_fault(n, "nodes_treeids", tree.n, nodes, err);
    if (feature.n != nodes)
        return size_fault(n, "nodes_featureids", feature.n, nodes, err);
    if (value.n != nodes)
        return size_fault(n, "nodes_values", value.n, nodes, err);
    if (n_modes != nodes)
        return size_fault(n, "nodes_modes", n_modes, nodes, err);
    if (yes.n != nodes || no.n != nodes)
        return size_fault(n, "nodes_truenodeids or nodes_falsenodeids", yes.n != nodes ? yes.n : no.n, nodes, err);
    if (missing.n != nodes && missing.n != 0)
        return size_fault(n, "nodes_missing_value_tracks_true", missing.n, nodes, err);
    mbr_arena *a = &t->arena;
    uint8_t *mode = mbr_arena_alloc(a, nodes), *missing_true = missing.n ? mbr_arena_alloc(a, nodes) : NULL;
    uint8_t *child = mbr_arena_calloc(a, nodes, 1);
    int32_t *features = mbr_arena_calloc(a, nodes, sizeof *features);
    int32_t *children[2] = { mbr_arena_alloc(a, nodes * sizeof(int32_t)), mbr_arena_alloc(a, nodes * sizeof(int32_t)) };
    int32_t *roots;
    double *values = mbr_arena_alloc(a, nodes * sizeof *values);
    *trees = mbr_arena_alloc(a, nodes * sizeof **trees);
    if (!mode || (missing.n && !missing_true) || !child || !features || !children[0] || !children[1] || !values ||
        !*trees)
        return mbr_no_memory(err, nodes * sizeof *values);
    MBR_TRY(make_index(n, &tree, &id, nodes, a, memory, x, err));
    size_t begin = 0, end = 0; /* of the tree of node i, where the index is dense */
    for (size_t i = 0; i < nodes; i++) {
        if (x->dense && i == end)
            for (begin = end++; end < nodes && whole_at(&tree, end) == whole_at(&tree, begin);)
                end++;
        if (!mode_of(&modes[i], &mode[i]))
            return mbr_ir_fail(n, err, MBR_ERR_MODEL, "nodes_modes: '%.*s' is no mode", (int)mbr_min_size(modes[i].size, 40),
                               modes[i].data);
        values[i] = real_at(&value, i);
        if (missing_true)
            missing_true[i] = whole_at(&missing, i) != 0;
        children[0][i] = children[1][i] = 0;
        if (mode[i] == MBR_TREE_LEAF)
            continue;
        int64_t column = whole_at(&feature, i), of = whole_at(&tree, i);
        if (column < 0 || column >= INT32_MAX)
            return mbr_ir_fail(n, err, MBR_ERR_MODEL, "nodes_featureids: %lld", (long long)column);
        features[i] = (int32_t)column;
        s->features = mbr_max_size(s->features, (size_t)column + 1);
        for (int k = 0; k < 2; k++) {
            int64_t child_id = whole_at(k ? &no : &yes, i);
            size_t to = x->dense ? place(&id, begin, end, child_id) : find(x, of, child_id);
            if (to == SIZE_MAX)
                return mbr_ir_fail(n, err, MBR_ERR_MODEL, "node %lld of tree %lld leads to node %lld, which is not there",
                                   (long long)whole_at(&id, i), (long long)of, (long long)child_id);
            children[k][i] = (int32_t)to;
            child[to] = 1;
        }
    }
    /* a root is the first node of its tree that nothing leads to */
    for (size_t i = 0; i < nodes; i++) {
        size_t at = index_node(x, i);
        s->trees += i == 0 || whole_at(&tree, at) != whole_at(&tree, index_node(x, i - 1));
        (*trees)[at] = (uint32_t)(s->trees - 1);
    }
    roots = mbr_arena_alloc(a, s->trees * sizeof *roots);
    if (!roots)
        return mbr_no_memory(err, s->trees * sizeof *roots);
    for (size_t i = 0; i < s->trees; i++)
        roots[i] = -1;
    for (size_t i = 0; i < nodes; i++)
        if (!child[i] && roots[(*trees)[i]] < 0)
            roots[(*trees)[i]] = (int32_t)i;
    s->nodes = nodes;
    s->mode = mode;
    s->feature = features;
    s->value = values;
    s->true_child = children[0];
    s->false_child = children[1];
    s->missing_true = missing_true;
    s->root = roots;
    return MBR_OK;
}

static mbr_status read_votes(const mbr_ir_node *n, const char *prefix, mbr_tree_attrs *t, node_index *x, mbr_error *err)
{
    char lead[16];
    vote v;
    snprintf(lead, sizeof lead, "%s_", prefix);
    const whole tree = read_ints(n, lead, "treeids"), id = read_ints(n, lead, "nodeids");
    v.target = read_ints(n, lead, "ids");
    v.n = v.target.n;
    MBR_TRY(read_reals(n, lead, "weights", &v.weight, err));
    if (tree.n != v.n || id.n != v.n || v.weight.n != v.n)
        return mbr_ir_fail(n, err, MBR_ERR_MODEL, "%s_ids, _treeids, _nodeids and _weights differ in length", prefix);
    v.node = mbr_arena_alloc(&t->arena, (v.n + 1) * sizeof *v.node);
    if (!v.node)
        return mbr_no_memory(err, v.n * sizeof *v.node);
    for (size_t i = 0; i < v.n; i++) {
        size_t node = find(x, whole_at(&tree, i), whole_at(&id, i));
        if (node == SIZE_MAX)
            return mbr_ir_fail(n, err, MBR_ERR_MODEL, "a weight is for node %lld of tree %lld, which is not there",
                               (long long)whole_at(&id, i), (long long)whole_at(&tree, i));
        v.node[i] = (uint32_t)node;
    }
    return sort_votes(t, &v, err);
}

static mbr_status read_base(const mbr_ir_node *n, mbr_tree_attrs *t, mbr_error *err)
{
    reals base;
    MBR_TRY(read_reals(n, "", "base_values", &base, err));
    t->n_base = base.n;
    if (!base.n)
        return MBR_OK;
    t->base = mbr_arena_alloc(&t->arena, base.n * sizeof *t->base);
    if (!t->base)
        return mbr_no_memory(err, base.n * sizeof *t->base);
    for (size_t i = 0; i < base.n; i++)
        t->base[i] = real_at(&base, i);
    return MBR_OK;
}

static mbr_status read_aggregate(const mbr_ir_node *n, mbr_tree_source *s, mbr_error *err)
{
    static const char *const names[] = { "SUM", "AVERAGE", "MIN", "MAX" };
    const char *name = mbr_attr_string(n, "aggregate_function", "SUM");
    for (size_t i = 0; i < MBR_COUNT_OF(names); i++)
        if (strcmp(name, names[i]) == 0) {
            s->aggregate = (mbr_tree_aggregate)i;
            return MBR_OK;
        }
    return mbr_ir_fail(n, err, MBR_ERR_MODEL, "aggregate_function '%s' is none of SUM, AVERAGE, MIN, MAX", name);
}

mbr_status mbr_tree_attrs_read(const mbr_ir_node *n, const char *prefix, size_t targets, mbr_memory *memory,
                               mbr_tree_attrs *t, mbr_error *err)
{
    node_index x;
    uint32_t *trees = NULL;
    *t = (mbr_tree_attrs){ .source = { .targets = targets } };
    mbr_arena_init(&t->arena, memory, 0);
    MBR_TRY(read_aggregate(n, &t->source, err));
    MBR_TRY(read_nodes(n, memory, t, &x, &trees, err));
    MBR_TRY(read_votes(n, prefix, t, &x, err));
    MBR_TRY(find_votes(t, trees, err));
    return read_base(n, t, err);
}

/* --- version 5 --- */

typedef struct attrs_5 {
    const int64_t *feature, *yes, *no, *yes_leaf, *no_leaf, *root, *missing, *target;
    const mbr_value *mode;
    reals value, weight, member;
    size_t nodes, leaves, roots;
} attrs_5;

static mbr_status read_attrs_5(const mbr_ir_node *n, attrs_5 *r, mbr_error *err)
{
    const struct {
        const char *name;
        const int64_t **to;
        bool leaf, optional;
    } ints[] = { { "nodes_featureids", &r->feature, false, false },
                 { "nodes_truenodeids", &r->yes, false, false },
                 { "nodes_falsenodeids", &r->no, false, false },
                 { "nodes_trueleafs", &r->yes_leaf, false, false },
                 { "nodes_falseleafs", &r->no_leaf, false, false },
                 { "nodes_missing_value_tracks_true", &r->missing, false, true },
                 { "leaf_targetids", &r->target, true, false } };
    r->root = mbr_attr_ints(n, "tree_roots", &r->roots);
    (void)mbr_attr_ints(n, "nodes_featureids", &r->nodes);
    MBR_TRY(read_reals(n, "leaf_", "weights", &r->weight, err));
    MBR_TRY(read_reals(n, "nodes_", "splits", &r->value, err));
    MBR_TRY(read_reals(n, "", "membership_values", &r->member, err));
    r->leaves = r->weight.n;
    for (size_t i = 0; i < MBR_COUNT_OF(ints); i++) {
        size_t count, due = ints[i].leaf ? r->leaves : r->nodes;
        *ints[i].to = mbr_attr_ints(n, ints[i].name, &count);
        if (count != due && !(ints[i].optional && count == 0))
            return size_fault(n, ints[i].name, count, due, err);
    }
    r->mode = mbr_attr_tensor(n, "nodes_modes");
    if (!r->mode || r->mode->kind != MBR_KIND_TENSOR || !mbr_dtype_is_int(r->mode->dtype))
        return mbr_ir_fail(n, err, MBR_ERR_MODEL, "nodes_modes must be a tensor of small integers");
    if (mbr_value_count(r->mode) != r->nodes)
        return size_fault(n, "nodes_modes", mbr_value_count(r->mode), r->nodes, err);
    if (r->value.n != r->nodes)
        return size_fault(n, "nodes_splits", r->value.n, r->nodes, err);
    if (r->nodes == 0 || r->roots == 0)
        return mbr_ir_fail(n, err, MBR_ERR_MODEL, "there are no trees");
    if (r->nodes > INT32_MAX / 4 || r->roots > INT32_MAX)
        return mbr_ir_fail(n, err, MBR_ERR_LIMIT, "%zu nodes are too many", r->nodes);
    return MBR_OK;
}

/* Sets of the MEMBER nodes, in the order of the nodes, each ended by a NaN. */
static mbr_status read_members(const mbr_ir_node *n, const attrs_5 *r, mbr_tree_attrs *t, mbr_error *err)
{
    mbr_tree_source *s = &t->source;
    size_t *first = mbr_arena_calloc(&t->arena, s->nodes + 1, sizeof *first);
    double *member = mbr_arena_alloc(&t->arena, (r->member.n + 1) * sizeof *member);
    size_t from = 0, at = 0;
    if (!first || !member)
        return mbr_no_memory(err, r->member.n * sizeof *member);
    for (size_t i = 0; i < s->nodes; i++) {
        first[i] = at;
        if (s->mode[i] != MBR_TREE_MEMBER)
            continue;
        bool ended = false;
        while (from < r->member.n && !ended) {
            double v = real_at(&r->member, from++);
            ended = v != v;
            if (!ended)
                member[at++] = v;
        }
        if (!ended && from == r->member.n && at == first[i])
            return mbr_ir_fail(n, err, MBR_ERR_MODEL, "membership_values has no set for node %zu", i);
    }
    first[s->nodes] = at;
    s->member_first = first;
    s->member = member;
    return MBR_OK;
}

/* Interior nodes keep their numbers; each branch to a leaf gets a node of its own behind them. */
static mbr_status build_5(const mbr_ir_node *n, const attrs_5 *r, mbr_tree_attrs *t, mbr_error *err)
{
    mbr_tree_source *s = &t->source;
    mbr_arena *a = &t->arena;
    size_t most = 3 * r->nodes;
    uint8_t *mode = mbr_arena_alloc(a, most), *missing = mbr_arena_calloc(a, most, 1);
    int32_t *feature = mbr_arena_calloc(a, most, sizeof *feature);
    int32_t *child[2] = { mbr_arena_calloc(a, most, sizeof(int32_t)), mbr_arena_calloc(a, most, sizeof(int32_t)) };
    double *value = mbr_arena_calloc(a, most, sizeof *value), *weight = mbr_arena_calloc(a, most, sizeof *weight);
    size_t *first = mbr_arena_calloc(a, most + 1, sizeof *first);
    int32_t *target = mbr_arena_calloc(a, most, sizeof *target), *root = mbr_arena_alloc(a, r->roots * sizeof *root);
    if (!mode || !missing || !feature || !child[0] || !child[1] || !value || !weight || !first || !target || !root)
        return mbr_no_memory(err, most * sizeof *value);
    size_t nodes = r->nodes, votes = 0;
    for (size_t i = 0; i < r->nodes; i++) {
        int64_t m = mbr_value_int(r->mode, i);
        if (m < 0 || m > MBR_TREE_MEMBER)
            return mbr_ir_fail(n, err, MBR_ERR_MODEL, "nodes_modes: %lld is no mode", (long long)m);
        if (r->feature[i] < 0 || r->feature[i] >= INT32_MAX)
            return mbr_ir_fail(n, err, MBR_ERR_MODEL, "nodes_featureids: %lld", (long long)r->feature[i]);
        mode[i] = (uint8_t)m;
        feature[i] = (int32_t)r->feature[i];
        value[i] = real_at(&r->value, i);
        missing[i] = r->missing && r->missing[i];
        s->features = mbr_max_size(s->features, (size_t)r->feature[i] + 1);
        for (int k = 0; k < 2; k++) {
            int64_t to = (k ? r->no : r->yes)[i];
            bool leaf = (k ? r->no_leaf : r->yes_leaf)[i] != 0;
            if (to < 0 || (uint64_t)to >= (leaf ? r->leaves : r->nodes))
                return mbr_ir_fail(n, err, MBR_ERR_MODEL, "node %zu leads to %s %lld, which is not there", i,
                                   leaf ? "leaf" : "node", (long long)to);
            if (!leaf) {
                child[k][i] = (int32_t)to;
                continue;
            }
            int64_t of = r->target[to];
            mode[nodes] = MBR_TREE_LEAF;
            first[nodes] = votes;
            target[votes] = of < 0 || (uint64_t)of >= s->targets ? -1 : (int32_t)of;
            weight[votes++] = real_at(&r->weight, (size_t)to);
            child[k][i] = (int32_t)nodes++;
        }
    }
    first[nodes] = votes;
    for (size_t i = 0; i < r->roots; i++)
        root[i] = r->root[i] < 0 || r->root[i] >= INT32_MAX ? -1 : (int32_t)r->root[i];
    s->nodes = nodes;
    s->trees = r->roots;
    s->mode = mode;
    s->feature = feature;
    s->value = value;
    s->true_child = child[0];
    s->false_child = child[1];
    s->missing_true = r->missing ? missing : NULL;
    s->root = root;
    s->weight_first = first;
    s->weight_target = target;
    s->weight = weight;
    return r->member.n ? read_members(n, r, t, err) : MBR_OK;
}

mbr_status mbr_tree_attrs_read_5(const mbr_ir_node *n, mbr_memory *memory, mbr_tree_attrs *t, mbr_error *err)
{
    static const mbr_tree_aggregate functions[] = { MBR_TREE_AVERAGE, MBR_TREE_SUM, MBR_TREE_MIN, MBR_TREE_MAX };
    int64_t targets = mbr_attr_int(n, "n_targets", 0), aggregate = mbr_attr_int(n, "aggregate_function", 1);
    attrs_5 r = { 0 };
    *t = (mbr_tree_attrs){ 0 };
    mbr_arena_init(&t->arena, memory, 0);
    if (targets < 1 || targets > INT32_MAX)
        return mbr_ir_fail(n, err, MBR_ERR_MODEL, "n_targets is %lld", (long long)targets);
    if (aggregate < 0 || aggregate > 3)
        return mbr_ir_fail(n, err, MBR_ERR_MODEL, "aggregate_function is %lld", (long long)aggregate);
    t->source.targets = (size_t)targets;
    t->source.aggregate = functions[aggregate];
    MBR_TRY(read_attrs_5(n, &r, err));
    return build_5(n, &r, t, err);
}

void mbr_tree_attrs_free(mbr_tree_attrs *t)
{
    mbr_arena_destroy(&t->arena);
}
