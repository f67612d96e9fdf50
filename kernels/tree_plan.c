/* SPDX-License-Identifier: BSD-2-Clause */
/* Checks a tree ensemble and lays it out. */
#include "base/checked.h"
#include "kernels/tree_layout.h"

#include <math.h>
#include <string.h>

#define ALIGN 64

/* work, taken apart: four numbers a node. */
typedef struct scratch {
    uint32_t *order;  /* source nodes, breadth first, tree after tree */
    uint32_t *child;  /* position of the true child, by position */
    uint32_t *leaves; /* of the subtree, by position */
    uint32_t *start;  /* number of its first leaf; before that, the depth below it */
} scratch;

static scratch scratch_of(const mbr_tree_source *s, void *work)
{
    uint32_t *w = work;
    return (scratch){w, w + s->nodes, w + 2 * s->nodes, w + 3 * s->nodes};
}

static bool is_leaf(const mbr_tree_source *s, size_t node)
{
    return s->mode[node] == MBR_TREE_LEAF;
}

/* Does the narrow form of the condition hold when the original one does not? */
static bool is_swapped(uint8_t mode)
{
    return mode == MBR_TREE_GTE || mode == MBR_TREE_GT;
}

/*
 * x <= t says what x <mode> value says, but for NaN; after the children are swapped for GTE and GT. The copies of a row
 * have infinities for NaN: they need a t below infinity. NaN: there is no such t.
 */
static float narrow_threshold(uint8_t mode, float v)
{
    bool strict = mode == MBR_TREE_LT || mode == MBR_TREE_GTE; /* x < v */
    if (strict)
        return v == -INFINITY ? NAN : nextafterf(v, -INFINITY);
    return v == INFINITY ? NAN : v;
}

/* Does x <= t hold for a NaN? */
static bool nan_passes(const mbr_tree_source *s, size_t node)
{
    return (s->missing_true && s->missing_true[node]) != is_swapped(s->mode[node]);
}

/* Lists a tree breadth first from position `at`. Returns the number of its nodes; 0 on a fault. */
static size_t walk_tree(const mbr_tree_source *s, const scratch *w, size_t root, size_t at, size_t total, bool swap,
                        mbr_tree_fault *fault, size_t *culprit)
{
    size_t end = at + 1;
    *culprit = root;
    if (at >= total) {
        *fault = MBR_TREE_SHARED_NODE; /* more nodes were reached than there are: one of them twice */
        return 0;
    }
    w->order[at] = (uint32_t)root;
    for (size_t p = at; p < end; p++) {
        size_t node = w->order[p];
        if (is_leaf(s, node))
            continue;
        int32_t first = s->true_child[node], second = s->false_child[node];
        *culprit = node;
        if (first < 0 || second < 0 || (size_t)first >= s->nodes || (size_t)second >= s->nodes) {
            *fault = MBR_TREE_BAD_CHILD;
            return 0;
        }
        if (end + 2 > total) {
            *fault = MBR_TREE_SHARED_NODE;
            return 0;
        }
        bool turn = swap && is_swapped(s->mode[node]);
        w->child[p] = (uint32_t)end;
        w->order[end++] = (uint32_t)(turn ? second : first);
        w->order[end++] = (uint32_t)(turn ? first : second);
    }
    return end - at;
}

typedef struct shape {
    bool narrow, direct, masked;
    bool passes, fails; /* narrow: some branch is passed by NaN, some is not */
    size_t nodes, leaves, weights, masks, members;
} shape;

static mbr_tree_fault check_node(const mbr_tree_source *s, size_t n)
{
    if (s->mode[n] > MBR_TREE_LEAF || (s->mode[n] == MBR_TREE_MEMBER && !s->member_first))
        return MBR_TREE_BAD_MODE;
    if (!is_leaf(s, n))
        return s->feature[n] < 0 || (size_t)s->feature[n] >= s->features ? MBR_TREE_BAD_FEATURE : MBR_TREE_OK;
    for (size_t k = s->weight_first[n]; k < s->weight_first[n + 1]; k++)
        if (s->weight_target[k] < 0 || (size_t)s->weight_target[k] >= s->targets)
            return MBR_TREE_BAD_TARGET;
    return MBR_TREE_OK;
}

/* What one tree, at positions at .. at+n-1, means for the layout. */
static void look_at_tree(const mbr_tree_source *s, const scratch *w, size_t at, size_t n, shape *z)
{
    size_t leaves = 0;
    int64_t target = -1;
    for (size_t p = at; p < at + n; p++) {
        size_t node = w->order[p];
        if (!is_leaf(s, node)) {
            if (s->mode[node] > MBR_TREE_GT || isnan(narrow_threshold(s->mode[node], (float)s->value[node])))
                z->narrow = false;
            *(nan_passes(s, node) ? &z->passes : &z->fails) = true;
            if (s->mode[node] == MBR_TREE_MEMBER)
                z->members += s->member_first[node + 1] - s->member_first[node];
            continue;
        }
        size_t first = s->weight_first[node], last = s->weight_first[node + 1];
        leaves++;
        z->weights += last - first;
        if (last - first > 1 || (last > first && isnan((float)s->weight[first])))
            z->direct = false;
        if (last > first) {
            if (target >= 0 && target != s->weight_target[first])
                z->direct = false;
            target = s->weight_target[first];
        }
    }
    z->leaves += leaves;
    z->nodes += n;
    z->narrow &= n <= TREE_NODES;
    z->masked &= leaves <= TREE_LEAVES;
    z->masks += n - leaves;
}

static mbr_tree_fault measure(const mbr_tree_source *s, void *work, shape *z, size_t *node)
{
    mbr_tree_fault fault = MBR_TREE_OK;
    scratch w = scratch_of(s, work);
    *z = (shape){.narrow = !s->f64 && s->features <= TREE_FEATURES, .masked = true,
                 .direct = s->aggregate <= MBR_TREE_AVERAGE};
    if (s->nodes > INT32_MAX || s->trees > INT32_MAX || s->features > INT32_MAX || s->targets > INT32_MAX)
        return MBR_TREE_TOO_LARGE;
    for (size_t n = 0; n < s->nodes; n++) {
        fault = check_node(s, n);
        *node = n;
        if (fault != MBR_TREE_OK)
            return fault;
    }
    for (size_t t = 0; t < s->trees; t++) {
        if (s->root[t] < 0 || (size_t)s->root[t] >= s->nodes) {
            *node = t;
            return MBR_TREE_BAD_ROOT;
        }
        size_t n = walk_tree(s, &w, (size_t)s->root[t], z->nodes, s->nodes, false, &fault, node);
        if (n == 0)
            return fault;
        look_at_tree(s, &w, z->nodes, n, z);
    }
    /* no node twice: as many different ones as were listed */
    memset(w.start, 0, s->nodes * sizeof *w.start);
    for (size_t p = 0; p < z->nodes; p++) {
        *node = w.order[p];
        if (w.start[w.order[p]]++)
            return MBR_TREE_SHARED_NODE;
    }
    if (z->weights > UINT32_MAX || z->members > UINT32_MAX)
        return MBR_TREE_TOO_LARGE;
    z->direct &= z->narrow;
    z->masked &= z->narrow;
    if (!z->masked)
        z->masks = 0;
    return MBR_TREE_OK;
}

/* Hands out pieces of the layout; with a NULL base it only counts. */
typedef struct carve {
    char *base;
    size_t used;
    bool overflow;
} carve;

static void *take(carve *c, size_t count, size_t size)
{
    size_t bytes, at = c->used;
    if (!mbr_mul_size(count, size, &bytes) || !mbr_round_up(bytes, ALIGN, &bytes) ||
        !mbr_add_size(c->used, bytes, &c->used))
        c->overflow = true;
    return c->base ? c->base + at : NULL;
}

static void carve_all(carve *c, const mbr_tree_source *s, const shape *z, mbr_tree_ensemble *e)
{
    take(c, 1, sizeof *e);
    e->roots = take(c, s->trees, sizeof *e->roots);
    if (z->narrow) {
        e->narrow_nodes = take(c, z->nodes, sizeof *e->narrow_nodes);
        size_t groups = (s->trees + TREE_GROUP - 1) / TREE_GROUP;
        e->group_nodes = take(c, groups * TREE_GROUP, sizeof *e->group_nodes);
        e->group_depth = take(c, groups, sizeof *e->group_depth);
        e->masks = take(c, z->masks, sizeof *e->masks);
    } else {
        e->wide_nodes = take(c, z->nodes, sizeof *e->wide_nodes);
        e->member_first = take(c, z->nodes + 1, sizeof *e->member_first);
        e->member = take(c, z->members, sizeof *e->member);
    }
    if (z->direct) {
        e->leaf_value = take(c, z->masked ? z->leaves : 0, sizeof *e->leaf_value);
    } else {
        e->leaf_number = z->narrow ? take(c, z->nodes, sizeof *e->leaf_number) : NULL;
        e->leaf_node = z->masked ? take(c, z->leaves, sizeof *e->leaf_node) : NULL;
        e->weight_first = take(c, z->leaves + 1, sizeof *e->weight_first);
        e->weight_target = take(c, z->weights, sizeof *e->weight_target);
        e->weight = take(c, z->weights, sizeof *e->weight);
    }
    e->base = s->base ? take(c, s->targets, sizeof *e->base) : NULL;
}

mbr_tree_fault mbr_tree_measure(const mbr_tree_source *source, void *work, size_t *bytes, size_t *node)
{
    shape z;
    mbr_tree_ensemble e = {0};
    carve c = {0};
    mbr_tree_fault fault = measure(source, work, &z, node);
    if (fault != MBR_TREE_OK)
        return fault;
    carve_all(&c, source, &z, &e);
    *bytes = c.used;
    return c.overflow ? MBR_TREE_TOO_LARGE : MBR_TREE_OK;
}

typedef struct fill {
    const mbr_tree_source *s;
    mbr_tree_ensemble *e;
    scratch w;
    uint32_t leaf, weight, mask, mask_leaf, member;
} fill;

/* Notes the weights of a leaf and returns its number. */
static uint32_t fill_leaf(fill *f, size_t node)
{
    const mbr_tree_source *s = f->s;
    mbr_tree_ensemble *e = f->e;
    if (e->direct)
        return f->leaf++;
    e->weight_first[f->leaf] = f->weight;
    for (size_t k = s->weight_first[node]; k < s->weight_first[node + 1]; k++) {
        e->weight_target[f->weight] = s->weight_target[k];
        e->weight[f->weight++] = s->weight[k];
    }
    e->weight_first[f->leaf + 1] = f->weight;
    return f->leaf++;
}

static float leaf_weight(const mbr_tree_source *s, size_t node)
{
    return s->weight_first[node] < s->weight_first[node + 1] ? (float)s->weight[s->weight_first[node]] : 0.0f;
}

static void fill_narrow(fill *f, size_t at, size_t n)
{
    const mbr_tree_source *s = f->s;
    mbr_tree_ensemble *e = f->e;
    for (size_t p = at; p < at + n; p++) {
        size_t node = f->w.order[p];
        tree_node *out = &e->narrow_nodes[p];
        if (is_leaf(s, node)) {
            uint32_t leaf = fill_leaf(f, node);
            if (e->direct)
                out->t = leaf_weight(s, node);
            else
                out->t = INFINITY;
            out->feature = (uint16_t)(s->features * e->copies);
            out->child = 0;
            if (!e->direct)
                e->leaf_number[p] = leaf;
            continue;
        }
        size_t copy = nan_passes(s, node) ? 0 : e->copies - 1;
        out->t = narrow_threshold(s->mode[node], (float)s->value[node]);
        out->feature = (uint16_t)((size_t)s->feature[node] + copy * s->features);
        out->child = (uint16_t)(f->w.child[p] - p);
    }
}

/* The mask of the branch at p, if it is of the kind: 0 low leaves only, 1 high ones only, 2 both. */
static bool put_mask(fill *f, size_t p, int kind)
{
    uint32_t from = f->w.start[p], count = f->w.leaves[f->w.child[p]];
    uint64_t gone = (count == 64 ? ~(uint64_t)0 : ((uint64_t)1 << count) - 1) << from;
    uint32_t low = (uint32_t)gone, high = (uint32_t)(gone >> 32);
    if (kind != (!high ? 0 : !low ? 1 : 2))
        return false;
    const tree_node *n = &f->e->narrow_nodes[p];
    f->e->masks[f->mask++] = (tree_mask){n->t, n->feature, ~low, ~high};
    return true;
}

/* After fill_narrow. */
static void fill_masks(fill *f, size_t at, size_t n, tree_root *root)
{
    const scratch *w = &f->w;
    mbr_tree_ensemble *e = f->e;
    root->leaf = f->mask_leaf;
    root->mask = f->mask;
    w->start[at] = 0;
    for (size_t p = at; p < at + n; p++) {
        size_t node = w->order[p];
        if (is_leaf(f->s, node)) {
            uint32_t place = f->mask_leaf + w->start[p];
            if (e->direct)
                e->leaf_value[place] = e->narrow_nodes[p].t;
            else
                e->leaf_node[place] = e->leaf_number[p];
            continue;
        }
        uint32_t c = w->child[p], from = w->start[p];
        w->start[c] = from;
        w->start[c + 1] = from + w->leaves[c];
    }
    for (int kind = 0; kind < 3; kind++)
        for (size_t p = at; p < at + n; p++)
            if (!is_leaf(f->s, w->order[p]) && put_mask(f, p, kind))
                root->masks[kind]++;
    f->mask_leaf += root->leaves;
}

static void fill_wide(fill *f, size_t at, size_t n)
{
    const mbr_tree_source *s = f->s;
    mbr_tree_ensemble *e = f->e;
    for (size_t p = at; p < at + n; p++) {
        size_t node = f->w.order[p];
        tree_wide *out = &e->wide_nodes[p];
        *out = (tree_wide){.mode = s->mode[node], .source = (uint32_t)p};
        e->member_first[p] = f->member;
        if (is_leaf(s, node)) {
            out->feature = -1;
            out->child = fill_leaf(f, node);
        } else {
            out->value = s->f64 ? s->value[node] : (double)(float)s->value[node];
            out->feature = s->feature[node];
            out->child = f->w.child[p];
            out->missing_true = s->missing_true && s->missing_true[node];
            if (s->mode[node] == MBR_TREE_MEMBER)
                for (size_t k = s->member_first[node]; k < s->member_first[node + 1]; k++)
                    e->member[f->member++] = s->f64 ? s->member[k] : (double)(float)s->member[k];
        }
        e->member_first[p + 1] = f->member;
    }
}

mbr_tree_ensemble *mbr_tree_prepare(const mbr_tree_source *s, void *work, void *memory)
{
    shape z;
    size_t node = 0;
    mbr_tree_fault fault = measure(s, work, &z, &node);
    if (fault != MBR_TREE_OK)
        return NULL;
    mbr_tree_ensemble *e = memory;
    carve room = {.base = memory};
    *e = (mbr_tree_ensemble){.trees = s->trees, .features = s->features, .targets = s->targets, .nodes = z.nodes,
                             .aggregate = s->aggregate, .f64 = s->f64, .narrow = z.narrow, .direct = z.direct,
                             .masked = z.masked, .copies = z.passes && z.fails ? 2 : 1};
    e->nan_as[0] = z.passes ? -INFINITY : INFINITY;
    e->nan_as[1] = INFINITY;
    carve_all(&room, s, &z, e);
    if (s->base)
        memcpy(e->base, s->base, s->targets * sizeof *s->base);
    fill f = {.s = s, .e = e, .w = scratch_of(s, work)};
    if (!e->direct)
        e->weight_first[0] = 0;
    size_t at = 0;
    for (size_t t = 0; t < s->trees; t++) {
        size_t n = walk_tree(s, &f.w, (size_t)s->root[t], at, s->nodes, z.narrow, &fault, &node);
        tree_root *root = &e->roots[t];
        *root = (tree_root){.node = (uint32_t)at};
        for (size_t p = at + n; p-- > at;) {
            size_t k = f.w.order[p];
            bool leaf = is_leaf(s, k);
            uint32_t c = leaf ? 0 : f.w.child[p];
            uint32_t deeper = leaf || f.w.start[c] > f.w.start[c + 1] ? f.w.start[c] : f.w.start[c + 1];
            f.w.leaves[p] = leaf ? 1 : f.w.leaves[c] + f.w.leaves[c + 1];
            f.w.start[p] = leaf ? 0 : deeper + 1;
            if (leaf && s->weight_first[k] < s->weight_first[k + 1])
                root->target = s->weight_target[s->weight_first[k]];
        }
        root->leaves = f.w.leaves[at];
        root->depth = f.w.start[at];
        if (z.narrow) {
            uint32_t *depth = &e->group_depth[t / TREE_GROUP];
            *depth = t % TREE_GROUP && *depth > root->depth ? *depth : root->depth;
            e->group_nodes[t] = root->node;
            for (size_t k = t + 1; k % TREE_GROUP && t + 1 == s->trees; k++)
                e->group_nodes[k] = root->node;
            fill_narrow(&f, at, n);
            if (z.masked)
                fill_masks(&f, at, n, root);
        } else {
            fill_wide(&f, at, n);
        }
        at += n;
    }
    return e;
}

size_t mbr_tree_targets(const mbr_tree_ensemble *ensemble)
{
    return ensemble->targets;
}

size_t mbr_tree_features(const mbr_tree_ensemble *ensemble)
{
    return ensemble->features;
}

void mbr_tree_start(const mbr_tree_ensemble *e, void *scores, size_t rows)
{
    double x = e->aggregate == MBR_TREE_MIN ? (double)INFINITY : e->aggregate == MBR_TREE_MAX ? -(double)INFINITY : 0.0;
    for (size_t i = 0; i < rows * e->targets; i++) {
        if (e->f64)
            ((double *)scores)[i] = x;
        else
            ((float *)scores)[i] = (float)x;
    }
}

void mbr_tree_finish(const mbr_tree_ensemble *e, void *scores, size_t rows)
{
    bool extreme = e->aggregate > MBR_TREE_AVERAGE;
    double divisor = e->aggregate == MBR_TREE_AVERAGE && e->trees ? (double)e->trees : 1.0;
    for (size_t i = 0; i < rows * e->targets; i++) {
        double base = e->base ? e->base[i % e->targets] : 0.0;
        if (e->f64) {
            double *s = (double *)scores + i;
            *s = extreme && isinf(*s) ? base : *s / divisor + base;
        } else {
            float *s = (float *)scores + i;
            *s = extreme && isinf(*s) ? (float)base : *s / (float)divisor + (float)base;
        }
    }
}
