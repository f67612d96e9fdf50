/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/ops/tree_source.h"

#include "base/checked.h"
#include "engine/coded.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- attributes --- */

/* Reals from floats or, with the suffix _as_tensor, a tensor; read in order. */
typedef struct reals {
    const float *f;
    const mbr_value *t;
    mbr_coded_cursor coded; /* where both are NULL */
    size_t n, next;
} reals;

static double real_at(const reals *r, size_t i)
{
    return r->f ? (double)r->f[i] : mbr_value_real(r->t, i);
}

static inline double next_real(reals *r)
{
    return !r->f && !r->t ? (double)mbr_coded_float(&r->coded) : real_at(r, r->next++);
}

static bool numeric(const mbr_value *v)
{
    return v->kind == MBR_KIND_TENSOR && (mbr_dtype_is_float(v->dtype) || mbr_dtype_is_int(v->dtype));
}

/* A coded array of that code; n: its elements. */
static bool read_coded(const mbr_ir_node *n, const char *name, mbr_code code, mbr_coded_cursor *c, size_t *count)
{
    const mbr_coded *a = mbr_attr_coded(n, name, count);
    if (a && a->code == code)
        *c = mbr_coded_begin(a);
    return a && a->code == code;
}

static mbr_status read_reals(const mbr_ir_node *n, const char *prefix, const char *name, reals *r, mbr_error *err)
{
    char attr[64];
    *r = (reals){ 0 };
    snprintf(attr, sizeof attr, "%s%s", prefix, name);
    if (read_coded(n, attr, MBR_CODE_FLOATS, &r->coded, &r->n))
        return MBR_OK;
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

/* Whole numbers, read in order. */
typedef struct whole {
    const int64_t *wide; /* the next one; NULL: they are coded */
    mbr_coded_cursor coded;
    size_t n;
} whole;

static inline int64_t next_whole(whole *w)
{
    return w->wide ? *w->wide++ : mbr_coded_int(&w->coded);
}

static whole read_ints(const mbr_ir_node *n, const char *prefix, const char *name)
{
    char attr[64];
    whole w = { 0 };
    snprintf(attr, sizeof attr, "%s%s", prefix, name);
    if (!read_coded(n, attr, MBR_CODE_INTS, &w.coded, &w.n))
        w.wide = mbr_attr_ints(n, attr, &w.n);
    return w;
}

/* All at once, in the arena; NULL: no memory. */
static const int64_t *all_whole(whole w, mbr_arena *a)
{
    if (w.wide)
        return w.wide;
    int64_t *to = mbr_arena_alloc(a, (w.n + 1) * sizeof *to);
    for (size_t i = 0; to && i < w.n; i++)
        to[i] = next_whole(&w);
    return to;
}

/* Texts, read in order. */
typedef struct texts {
    const mbr_string *s; /* the next one; NULL: they are coded */
    mbr_coded_cursor coded;
    size_t n;
} texts;

static inline mbr_string next_text(texts *t)
{
    if (t->s)
        return *t->s++;
    mbr_string s;
    s.data = mbr_coded_string(&t->coded, &s.size);
    return s;
}

static mbr_status size_fault(const mbr_ir_node *n, const char *what, size_t is, size_t due, mbr_error *err)
{
    return mbr_ir_fail(n, err, MBR_ERR_MODEL, "%s has %zu entries where %zu are due", what, is, due);
}

static mbr_status broken(const mbr_ir_node *n, mbr_error *err)
{
    return mbr_ir_fail(n, err, MBR_ERR_FORMAT, "an array of its attributes holds a broken number; the file is damaged");
}

static inline bool mode_of(mbr_string s, uint8_t *mode)
{
    static const char names[][4] = { [MBR_TREE_LEQ] = "LEQ", [MBR_TREE_LT] = "LT", [MBR_TREE_GTE] = "GTE",
                                     [MBR_TREE_GT] = "GT",   [MBR_TREE_EQ] = "EQ", [MBR_TREE_NEQ] = "NEQ" };
    if (s.size == 4 && memcmp(s.data, "LEAF", 4) == 0) {
        *mode = MBR_TREE_LEAF;
        return true;
    }
    if (s.size < 9 || s.size > 10 || memcmp(s.data, "BRANCH_", 7) != 0)
        return false;
    for (size_t i = 0; i < MBR_COUNT_OF(names); i++) {
        bool three = names[i][2] != 0;
        if (s.size == 9u + three && memcmp(s.data + 7, names[i], 2) == 0 && (!three || s.data[9] == names[i][2])) {
            *mode = (uint8_t)i;
            return true;
        }
    }
    return false;
}

/* --- node ids --- */

/* Nodes of one tree that stand together, and whose ids count up by one. */
typedef struct tree_range {
    int64_t tree, id; /* of its first node */
    uint32_t begin, end;
} tree_range;

/*
 * Nodes by (tree, id). Mostly the trees stand one behind the other, and the ids of each count up: then a place follows
 * from an id. Else the arrays are sorted through `order`.
 */
typedef struct node_index {
    tree_range *ranges; /* (n_ranges) ascending; NULL: not so */
    size_t n_ranges, at; /* at: the range of the last question */
    const int64_t *tree, *id; /* without ranges */
    uint32_t *order;          /* likewise: which entry is the i-th */
    size_t n;
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

/* In a range: where an id is; SIZE_MAX: nowhere. */
static inline size_t place(const tree_range *r, int64_t id)
{
    int64_t steps;
    bool inside = !__builtin_sub_overflow(id, r->id, &steps) && steps >= 0 && (uint64_t)steps < r->end - r->begin;
    return inside ? r->begin + (size_t)steps : SIZE_MAX;
}

/* SIZE_MAX: no such node. */
static size_t find(node_index *x, int64_t tree, int64_t id)
{
    if (x->ranges && x->ranges[x->at].tree == tree)
        return place(&x->ranges[x->at], id);
    size_t low = 0, high = x->ranges ? x->n_ranges : x->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2, n = x->ranges ? middle : x->order[middle];
        int64_t this_tree = x->ranges ? x->ranges[n].tree : x->tree[n];
        if (x->ranges && this_tree == tree) {
            x->at = middle;
            return place(&x->ranges[middle], id);
        }
        if (this_tree == tree && x->id[n] == id)
            return n;
        if (this_tree < tree || (this_tree == tree && x->id[n] < id))
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
        keys[i] = (key){ x->tree[i], x->id[i], (uint32_t)i };
    qsort(keys, x->n, sizeof *keys, compare_keys);
    for (size_t i = 0; i < x->n; i++)
        x->order[i] = keys[i].node;
    mbr_free(memory, keys);
    return MBR_OK;
}

/* Sets x->ranges where nodes are in order and ids without gaps. */
static mbr_status find_ranges(whole trees, whole ids, node_index *x, mbr_arena *a, mbr_error *err)
{
    size_t room = 0;
    tree_range *r = NULL, *last = NULL;
    for (size_t i = 0; i < x->n; i++) {
        int64_t tree = next_whole(&trees), id = next_whole(&ids), due;
        if (last && last->tree == tree) {
            if (__builtin_add_overflow(last->id, (int64_t)(i - last->begin), &due) || due != id)
                return MBR_OK;
            last->end++;
            continue;
        }
        if (last && last->tree > tree)
            return MBR_OK;
        if (x->n_ranges == room) {
            size_t more = room ? 2 * room : 64;
            tree_range *bigger = mbr_arena_alloc(a, more * sizeof *bigger);
            if (!bigger)
                return mbr_no_memory(err, more * sizeof *bigger);
            if (room)
                memcpy(bigger, r, room * sizeof *r);
            r = bigger;
            room = more;
        }
        last = &r[x->n_ranges++];
        *last = (tree_range){ .tree = tree, .id = id, .begin = (uint32_t)i, .end = (uint32_t)i + 1 };
    }
    if (!trees.coded.broken && !ids.coded.broken)
        x->ranges = r;
    return MBR_OK;
}

static mbr_status make_index(const mbr_ir_node *n, const whole *trees, const whole *ids, size_t nodes, mbr_arena *a,
                             mbr_memory *memory, node_index *x, mbr_error *err)
{
    *x = (node_index){ .n = nodes };
    MBR_TRY(find_ranges(*trees, *ids, x, a, err));
    if (x->ranges)
        return MBR_OK;
    x->tree = all_whole(*trees, a);
    x->id = all_whole(*ids, a);
    if (!x->tree || !x->id)
        return mbr_no_memory(err, nodes * sizeof *x->id);
    MBR_TRY(sort_index(x, a, memory, err));
    for (size_t i = 1; i < nodes; i++) {
        size_t node = x->order[i], before = x->order[i - 1];
        if (x->tree[node] == x->tree[before] && x->id[node] == x->id[before])
            return mbr_ir_fail(n, err, MBR_ERR_MODEL, "tree %lld has two nodes %lld", (long long)x->tree[node],
                               (long long)x->id[node]);
    }
    return MBR_OK;
}

/* Which tree each node is of, counted from 0 in the order of their numbers; also counts them. */
static mbr_status number_trees(node_index *x, size_t *count, uint32_t **out, mbr_arena *a, mbr_error *err)
{
    uint32_t *trees = mbr_arena_alloc(a, x->n * sizeof *trees);
    if (!trees)
        return mbr_no_memory(err, x->n * sizeof *trees);
    *out = trees;
    *count = 0;
    for (size_t t = 0; x->ranges && t < x->n_ranges; t++, ++*count)
        for (uint32_t i = x->ranges[t].begin; i < x->ranges[t].end; i++)
            trees[i] = (uint32_t)t;
    for (size_t i = 0; !x->ranges && i < x->n; i++) {
        *count += i == 0 || x->tree[x->order[i]] != x->tree[x->order[i - 1]];
        trees[x->order[i]] = (uint32_t)(*count - 1);
    }
    return MBR_OK;
}

/* --- votes --- */

typedef struct vote {
    whole tree, id, target;
    reals weight;
    size_t n;
} vote;

/* The target and the weight of the next vote. */
static inline void take_vote(mbr_tree_attrs *t, vote *v, size_t at, int32_t *target, double *weight, uint8_t *used)
{
    int64_t k = next_whole(&v->target);
    target[at] = k < 0 || (uint64_t)k >= t->source.targets ? -1 : (int32_t)k;
    weight[at] = next_real(&v->weight);
    t->negative |= weight[at] < 0;
    if (target[at] >= 0 && !used[k]) {
        used[k] = 1;
        t->used_targets++;
    }
}

static mbr_status vote_fault(const mbr_ir_node *n, const vote *v, int64_t tree, int64_t id, mbr_error *err)
{
    if (v->tree.coded.broken || v->id.coded.broken)
        return broken(n, err);
    return mbr_ir_fail(n, err, MBR_ERR_MODEL, "a weight is for node %lld of tree %lld, which is not there",
                       (long long)id, (long long)tree);
}

/* Votes whose nodes are in no order: sorted by node, those of a node as they are in the file. */
static mbr_status sort_votes(const mbr_ir_node *n, mbr_tree_attrs *t, node_index *x, vote v, uint32_t *first,
                             int32_t *target, double *weight, uint8_t *used, mbr_error *err)
{
    size_t nodes = t->source.nodes;
    uint32_t *node = mbr_arena_alloc(&t->arena, (v.n + 1) * sizeof *node);
    uint32_t *next = mbr_arena_alloc(&t->arena, (nodes + 1) * sizeof *next);
    if (!node || !next)
        return mbr_no_memory(err, v.n * sizeof *node);
    memset(first, 0, (nodes + 1) * sizeof *first);
    for (size_t i = 0; i < v.n; i++) {
        int64_t tree = next_whole(&v.tree), id = next_whole(&v.id);
        size_t at = find(x, tree, id);
        if (at == SIZE_MAX)
            return vote_fault(n, &v, tree, id, err);
        node[i] = (uint32_t)at;
        first[at + 1]++;
    }
    for (size_t i = 0; i < nodes; i++)
        first[i + 1] += first[i];
    memcpy(next, first, (nodes + 1) * sizeof *next);
    for (size_t i = 0; i < v.n; i++)
        take_vote(t, &v, next[node[i]]++, target, weight, used);
    return v.target.coded.broken || v.weight.coded.broken ? broken(n, err) : MBR_OK;
}

static mbr_status put_votes(const mbr_ir_node *n, mbr_tree_attrs *t, node_index *x, const vote *votes, mbr_error *err)
{
    mbr_tree_source *s = &t->source;
    vote v = *votes;
    uint32_t *first = mbr_arena_alloc(&t->arena, (s->nodes + 1) * sizeof *first);
    int32_t *target = mbr_arena_alloc(&t->arena, (v.n + 1) * sizeof *target);
    double *weight = mbr_arena_alloc(&t->arena, (v.n + 1) * sizeof *weight);
    uint8_t *used = mbr_arena_calloc(&t->arena, s->targets + 1, 1);
    if (!first || !target || !weight || !used)
        return mbr_no_memory(err, v.n * sizeof *weight);
    size_t filled = 0, i = 0; /* entries of `first` */
    for (; i < v.n; i++) {
        int64_t tree = next_whole(&v.tree), id = next_whole(&v.id);
        size_t node = find(x, tree, id);
        if (node == SIZE_MAX)
            return vote_fault(n, &v, tree, id, err);
        if (node + 1 < filled)
            break;
        while (filled <= node)
            first[filled++] = (uint32_t)i;
        take_vote(t, &v, i, target, weight, used);
    }
    if (i < v.n)
        MBR_TRY(sort_votes(n, t, x, *votes, first, target, weight, used, err));
    else
        while (filled <= s->nodes)
            first[filled++] = (uint32_t)i;
    if (v.target.coded.broken || v.weight.coded.broken)
        return broken(n, err);
    s->weight_first = first;
    s->weight_target = target;
    s->weight = weight;
    return MBR_OK;
}

/* Which targets every row gets a vote for: those that all leaves of some tree name. */
static mbr_status find_votes(mbr_tree_attrs *t, node_index *x, mbr_error *err)
{
    const mbr_tree_source *s = &t->source;
    uint32_t *trees;
    size_t *leaves = mbr_arena_calloc(&t->arena, s->trees + 1, sizeof *leaves), n_trees;
    size_t *seen = mbr_arena_calloc(&t->arena, s->targets + 1, sizeof *seen); /* leaves of the tree at hand */
    size_t *of = mbr_arena_calloc(&t->arena, s->targets + 1, sizeof *of);     /* which tree that is, from 1 on */
    size_t *leaf = mbr_arena_calloc(&t->arena, s->targets + 1, sizeof *leaf); /* the last one counted, from 1 on */
    t->votes = mbr_arena_calloc(&t->arena, s->targets + 1, 1);
    if (!leaves || !seen || !of || !leaf || !t->votes)
        return mbr_no_memory(err, s->targets * sizeof *seen);
    MBR_TRY(number_trees(x, &n_trees, &trees, &t->arena, err));
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

typedef struct node_arrays {
    whole tree, id, feature, yes, no, missing;
    texts mode;
    reals value;
} node_arrays;

static mbr_status read_node_arrays(const mbr_ir_node *n, node_arrays *r, mbr_error *err)
{
    r->tree = read_ints(n, "nodes_", "treeids");
    r->id = read_ints(n, "nodes_", "nodeids");
    r->feature = read_ints(n, "nodes_", "featureids");
    r->yes = read_ints(n, "nodes_", "truenodeids");
    r->no = read_ints(n, "nodes_", "falsenodeids");
    r->missing = read_ints(n, "nodes_", "missing_value_tracks_true");
    r->mode = (texts){ 0 };
    if (!read_coded(n, "nodes_modes", MBR_CODE_STRINGS, &r->mode.coded, &r->mode.n))
        r->mode.s = mbr_attr_strings(n, "nodes_modes", &r->mode.n);
    MBR_TRY(read_reals(n, "nodes_", "values", &r->value, err));
    size_t nodes = r->id.n;
    if (nodes == 0)
        return mbr_ir_fail(n, err, MBR_ERR_MODEL, "there are no nodes");
    if (nodes > INT32_MAX)
        return mbr_ir_fail(n, err, MBR_ERR_LIMIT, "%zu nodes; at most %d are possible", nodes, INT32_MAX);
    if (r->tree.n != nodes)
        return size_fault(n, "nodes_treeids", r->tree.n, nodes, err);
    if (r->feature.n != nodes)
        return size_fault(n, "nodes_featureids", r->feature.n, nodes, err);
    if (r->value.n != nodes)
        return size_fault(n, "nodes_values", r->value.n, nodes, err);
    if (r->mode.n != nodes)
        return size_fault(n, "nodes_modes", r->mode.n, nodes, err);
    if (r->yes.n != nodes || r->no.n != nodes)
        return size_fault(n, "nodes_truenodeids or nodes_falsenodeids", r->yes.n != nodes ? r->yes.n : r->no.n, nodes,
                          err);
    if (r->missing.n != nodes && r->missing.n != 0)
        return size_fault(n, "nodes_missing_value_tracks_true", r->missing.n, nodes, err);
    return MBR_OK;
}

static mbr_status child_fault(const mbr_ir_node *n, const node_arrays *r, const node_index *x, size_t node, int64_t to,
                              mbr_error *err)
{
    int64_t tree = 0, id = 0;
    if (r->yes.coded.broken || r->no.coded.broken)
        return broken(n, err);
    if (x->ranges) {
        tree = x->ranges[x->at].tree;
        id = x->ranges[x->at].id + (int64_t)(node - x->ranges[x->at].begin);
    } else {
        tree = x->tree[node];
        id = x->id[node];
    }
    return mbr_ir_fail(n, err, MBR_ERR_MODEL, "node %lld of tree %lld leads to node %lld, which is not there",
                       (long long)id, (long long)tree, (long long)to);
}

/* A root is the first node of its tree that nothing leads to. */
static mbr_status find_roots(mbr_tree_source *s, node_index *x, const uint8_t *child, mbr_arena *a, mbr_error *err)
{
    uint32_t *trees = NULL;
    s->trees = x->n_ranges;
    if (!x->ranges)
        MBR_TRY(number_trees(x, &s->trees, &trees, a, err));
    int32_t *roots = mbr_arena_alloc(a, s->trees * sizeof *roots);
    if (!roots)
        return mbr_no_memory(err, s->trees * sizeof *roots);
    for (size_t i = 0; i < s->trees; i++)
        roots[i] = -1;
    for (size_t t = 0; x->ranges && t < s->trees; t++)
        for (uint32_t i = x->ranges[t].begin; i < x->ranges[t].end && roots[t] < 0; i++)
            roots[t] = child[i] ? -1 : (int32_t)i;
    for (size_t i = 0; !x->ranges && i < x->n; i++)
        if (!child[i] && roots[trees[i]] < 0)
            roots[trees[i]] = (int32_t)i;
    s->root = roots;
    return MBR_OK;
}

static mbr_status read_nodes(const mbr_ir_node *n, mbr_memory *memory, mbr_tree_attrs *t, node_index *x, mbr_error *err)
{
    mbr_tree_source *s = &t->source;
    node_arrays r;
    MBR_TRY(read_node_arrays(n, &r, err));
    const size_t nodes = r.id.n;
    mbr_arena *a = &t->arena;
    uint8_t *mode = mbr_arena_alloc(a, nodes), *missing_true = r.missing.n ? mbr_arena_alloc(a, nodes) : NULL;
    uint8_t *child = mbr_arena_calloc(a, nodes, 1);
    int32_t *features = mbr_arena_alloc(a, nodes * sizeof *features);
    int32_t *children[2] = { mbr_arena_alloc(a, nodes * sizeof(int32_t)), mbr_arena_alloc(a, nodes * sizeof(int32_t)) };
    double *values = mbr_arena_alloc(a, nodes * sizeof *values);
    if (!mode || (r.missing.n && !missing_true) || !child || !features || !children[0] || !children[1] || !values)
        return mbr_no_memory(err, nodes * sizeof *values);
    MBR_TRY(make_index(n, &r.tree, &r.id, nodes, a, memory, x, err));
    int64_t most = -1; /* feature */
    for (size_t i = 0; i < nodes; i++) {
        if (x->ranges && i == x->ranges[x->at].end)
            x->at++;
        mbr_string name = next_text(&r.mode);
        if (!mode_of(name, &mode[i]))
            return r.mode.coded.broken ? broken(n, err)
                                       : mbr_ir_fail(n, err, MBR_ERR_MODEL, "nodes_modes: '%.*s' is no mode",
                                                     (int)mbr_min_size(name.size, 40), name.data);
        values[i] = next_real(&r.value);
        if (missing_true)
            missing_true[i] = next_whole(&r.missing) != 0;
        int64_t column = next_whole(&r.feature), to[2];
        to[0] = next_whole(&r.yes);
        to[1] = next_whole(&r.no);
        features[i] = children[0][i] = children[1][i] = 0;
        if (mode[i] == MBR_TREE_LEAF)
            continue;
        if (column < 0 || column >= INT32_MAX)
            return mbr_ir_fail(n, err, MBR_ERR_MODEL, "nodes_featureids: %lld", (long long)column);
        features[i] = (int32_t)column;
        most = column > most ? column : most;
        for (int k = 0; k < 2; k++) {
            size_t at = x->ranges ? place(&x->ranges[x->at], to[k]) : find(x, x->tree[i], to[k]);
            if (at == SIZE_MAX)
                return child_fault(n, &r, x, i, to[k], err);
            children[k][i] = (int32_t)at;
            child[at] = 1;
        }
    }
    if (r.missing.coded.broken || r.feature.coded.broken || r.yes.coded.broken || r.no.coded.broken ||
        r.value.coded.broken)
        return broken(n, err);
    x->at = 0;
    s->nodes = nodes;
    s->features = (size_t)(most + 1);
    s->mode = mode;
    s->feature = features;
    s->value = values;
    s->true_child = children[0];
    s->false_child = children[1];
    s->missing_true = missing_true;
    return find_roots(s, x, child, a, err);
}

static mbr_status read_votes(const mbr_ir_node *n, const char *prefix, mbr_tree_attrs *t, node_index *x, mbr_error *err)
{
    char lead[16];
    vote v;
    snprintf(lead, sizeof lead, "%s_", prefix);
    v.tree = read_ints(n, lead, "treeids");
    v.id = read_ints(n, lead, "nodeids");
    v.target = read_ints(n, lead, "ids");
    v.n = v.target.n;
    MBR_TRY(read_reals(n, lead, "weights", &v.weight, err));
    if (v.tree.n != v.n || v.id.n != v.n || v.weight.n != v.n)
        return mbr_ir_fail(n, err, MBR_ERR_MODEL, "%s_ids, _treeids, _nodeids and _weights differ in length", prefix);
    if (v.n > INT32_MAX)
        return mbr_ir_fail(n, err, MBR_ERR_LIMIT, "%zu weights; at most %d are possible", v.n, INT32_MAX);
    return put_votes(n, t, x, &v, err);
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
        t->base[i] = next_real(&base);
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
    *t = (mbr_tree_attrs){ .source = { .targets = targets } };
    mbr_arena_init(&t->arena, memory, 0);
    MBR_TRY(read_aggregate(n, &t->source, err));
    MBR_TRY(read_nodes(n, memory, t, &x, err));
    MBR_TRY(read_votes(n, prefix, t, &x, err));
    if (strcmp(prefix, "class") == 0)
        MBR_TRY(find_votes(t, &x, err));
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
    uint32_t *first = mbr_arena_calloc(a, most + 1, sizeof *first);
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
            first[nodes] = (uint32_t)votes;
            target[votes] = of < 0 || (uint64_t)of >= s->targets ? -1 : (int32_t)of;
            weight[votes++] = real_at(&r->weight, (size_t)to);
            child[k][i] = (int32_t)nodes++;
        }
    }
    first[nodes] = (uint32_t)votes;
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
    if (targets < 1 || targets > MBR_TREE_MOST_TARGETS)
        return mbr_ir_fail(n, err, MBR_ERR_MODEL, "n_targets is %lld; 1 to %d are due", (long long)targets,
                           MBR_TREE_MOST_TARGETS);
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
