/* SPDX-License-Identifier: BSD-2-Clause */
/* Checks a tree ensemble and lays it out. */
#include "base/checked.h"
#include "kernels/tree_layout.h"

#include <math.h>
#include <string.h>

#define ALIGN 64

/* A tree as it was found. */
typedef struct tree_extent {
    uint32_t at, nodes; /* its positions */
    uint32_t depth;
    uint32_t steps; /* of its jumps */
} tree_extent;

/* Thresholds of the features that are in use, ascending. */
typedef struct tree_cuts {
    uint16_t place[TREE_FEATURES + 1]; /* of the feature, from 1 on; 0: not used */
    uint16_t feature[TREE_PLACES];
    uint16_t count[TREE_PLACES];
    float t[TREE_PLACES][TREE_RANKS - 1];
} tree_cuts;

/* work, taken apart. Positions are breadth first, tree after tree. */
typedef struct scratch {
    uint32_t *order; /* (nodes) source nodes, by position */
    uint32_t *child; /* (nodes) position of the first child, the one of a true narrow condition, by position */
    tree_extent *tree;
    uint32_t *sorted; /* (trees) in the order in which they are laid out */
    tree_cuts *cuts;
    uint64_t *seen; /* a bit for each source node */
} scratch;

static size_t seen_words(const mbr_tree_source *s)
{
    return s->nodes / 64 + 1;
}

size_t mbr_tree_work(const mbr_tree_source *s)
{
    if (s->nodes > INT32_MAX || s->trees > INT32_MAX || s->nodes > SIZE_MAX / 64 || s->trees > SIZE_MAX / 64)
        return 0;
    return sizeof(tree_cuts) + seen_words(s) * sizeof(uint64_t) + s->trees * (sizeof(tree_extent) + sizeof(uint32_t)) +
           2 * s->nodes * sizeof(uint32_t);
}

static scratch scratch_of(const mbr_tree_source *s, void *work)
{
    scratch w;
    w.seen = work;
    w.cuts = (tree_cuts *)(void *)(w.seen + seen_words(s));
    w.tree = (tree_extent *)(void *)(w.cuts + 1);
    w.sorted = (uint32_t *)(void *)(w.tree + s->trees);
    w.order = w.sorted + s->trees;
    w.child = w.order + s->nodes;
    return w;
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

static float next_below(float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    bits = v == 0 ? 0x80000001u : v > 0 ? bits - 1 : bits + 1;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/*
 * x <= t says what x <mode> value says for f32 x, but for NaN; after the children are swapped for GTE and GT. The copies of
 * a row have infinities for NaN: they need a t below infinity. NaN: there is no such t.
 */
static float narrow_threshold(uint8_t mode, double v)
{
    bool strict = mode == MBR_TREE_LT || mode == MBR_TREE_GTE; /* x < v */
    float t = (float)v;
    if (strict && v == -(double)INFINITY)
        return NAN;
    if ((double)t > v || (strict && (double)t == v))
        t = next_below(t);
    return t == INFINITY ? NAN : t;
}

/* Does x <= t hold for a NaN? */
static bool nan_passes(const mbr_tree_source *s, size_t node)
{
    return (s->missing_true && s->missing_true[node]) != is_swapped(s->mode[node]);
}

/* --- checking --- */

static mbr_tree_fault look_at_leaf(const mbr_tree_source *s, size_t node, int64_t *target, mbr_tree_shape *z)
{
    size_t first = s->weight_first[node], last = s->weight_first[node + 1];
    z->leaves++;
    z->weights += last - first;
    for (size_t k = first; k < last; k++)
        if (s->weight_target[k] < 0 || (size_t)s->weight_target[k] >= s->targets)
            return MBR_TREE_BAD_TARGET;
    if (last == first)
        return MBR_TREE_OK;
    if (last - first > 1 || (double)(float)s->weight[first] != s->weight[first])
        z->direct = false;
    if (*target >= 0 && *target != s->weight_target[first])
        z->direct = false;
    *target = s->weight_target[first];
    return MBR_TREE_OK;
}

static mbr_tree_fault look_at_branch(const mbr_tree_source *s, size_t node, mbr_tree_shape *z)
{
    uint8_t mode = s->mode[node];
    if (mode > MBR_TREE_LEAF || (mode == MBR_TREE_MEMBER && !s->member_first))
        return MBR_TREE_BAD_MODE;
    if (s->feature[node] < 0 || (size_t)s->feature[node] >= s->features)
        return MBR_TREE_BAD_FEATURE;
    if (mode > MBR_TREE_GT || isnan(narrow_threshold(mode, s->value[node])))
        z->narrow = false;
    if (mode == MBR_TREE_MEMBER)
        z->members += s->member_first[node + 1] - s->member_first[node];
    *(nan_passes(s, node) ? &z->passes : &z->fails) = true;
    return MBR_TREE_OK;
}

/* Appends a node to the positions, unless it stands there already. */
static mbr_tree_fault list_node(const mbr_tree_source *s, const scratch *w, int32_t node, size_t *end,
                                size_t *culprit)
{
    if (node < 0 || (size_t)node >= s->nodes)
        return MBR_TREE_BAD_CHILD;
    uint64_t bit = (uint64_t)1 << (node & 63), *seen = &w->seen[node >> 6];
    if (*seen & bit) {
        *culprit = (size_t)node;
        return MBR_TREE_SHARED_NODE;
    }
    *seen |= bit;
    w->order[(*end)++] = (uint32_t)node;
    return MBR_TREE_OK;
}

/* Lists a tree breadth first behind those before it, and notes what it means for the layout. */
static mbr_tree_fault walk_tree(const mbr_tree_source *s, const scratch *w, size_t tree, mbr_tree_shape *z,
                                size_t *culprit)
{
    size_t at = z->nodes, end = at, leaves = z->leaves;
    int64_t target = -1;
    tree_extent *x = &w->tree[tree];
    *x = (tree_extent){.at = (uint32_t)at};
    *culprit = tree;
    mbr_tree_fault fault = list_node(s, w, s->root[tree], &end, culprit);
    if (fault != MBR_TREE_OK)
        return fault == MBR_TREE_BAD_CHILD ? MBR_TREE_BAD_ROOT : fault;
    size_t level = end; /* where the next level begins */
    for (size_t p = at; p < end; p++) {
        size_t node = w->order[p];
        if (p == level) {
            x->depth++;
            level = end;
        }
        *culprit = node;
        fault = is_leaf(s, node) ? look_at_leaf(s, node, &target, z) : look_at_branch(s, node, z);
        if (fault != MBR_TREE_OK)
            return fault;
        if (is_leaf(s, node))
            continue;
        bool turn = is_swapped(s->mode[node]);
        w->child[p] = (uint32_t)end;
        fault = list_node(s, w, turn ? s->false_child[node] : s->true_child[node], &end, culprit);
        if (fault == MBR_TREE_OK)
            fault = list_node(s, w, turn ? s->true_child[node] : s->false_child[node], &end, culprit);
        if (fault != MBR_TREE_OK)
            return fault;
    }
    leaves = z->leaves - leaves;
    x->nodes = (uint32_t)(end - at);
    z->nodes = end;
    z->narrow &= end - at <= TREE_NODES;
    z->masked &= leaves <= TREE_LEAVES;
    z->masks += end - at - leaves;
    z->vectors += leaves <= 32 ? 1 : 2;
    return MBR_TREE_OK;
}

/* What lies below the nodes of a tree of at most TREE_LEAVES leaves, by position in the tree. */
typedef struct subtrees {
    uint8_t leaves[2 * TREE_LEAVES];
    uint8_t steps[2 * TREE_LEAVES]; /* light children on a path, at most */
    bool first_light[2 * TREE_LEAVES];
} subtrees;

static void look_below(const mbr_tree_source *s, const scratch *w, const tree_extent *x, subtrees *b)
{
    for (size_t p = x->nodes; p-- > 0;) {
        b->leaves[p] = 1;
        b->steps[p] = 0;
        if (is_leaf(s, w->order[x->at + p]))
            continue;
        size_t c = w->child[x->at + p] - x->at, d = c + 1;
        b->leaves[p] = (uint8_t)(b->leaves[c] + b->leaves[d]);
        b->first_light[p] = b->steps[c] != b->steps[d] ? b->steps[c] < b->steps[d] : b->leaves[c] < b->leaves[d];
        size_t light = b->first_light[p] ? c : d, heavy = b->first_light[p] ? d : c;
        b->steps[p] = b->steps[light] + 1 > b->steps[heavy] ? (uint8_t)(b->steps[light] + 1) : b->steps[heavy];
    }
}

/* How many of n ascending thresholds are below v; without a branch that no processor foresees. */
static inline size_t rank_of(const float *t, size_t n, float v)
{
    const float *from = t;
    while (n > 1) {
        size_t half = n / 2;
        from += half & -(size_t)(from[half - 1] < v);
        n -= half;
    }
    return (size_t)(from - t) + (n && *from < v);
}

/* Adds the threshold of a branch to those of its feature. Returns false when there are too many. */
static bool add_cut(const mbr_tree_source *s, tree_cuts *cuts, size_t node, size_t *places, size_t *most)
{
    uint16_t *place = &cuts->place[s->feature[node]];
    if (!*place) {
        if (*places == TREE_PLACES)
            return false;
        cuts->feature[*places] = (uint16_t)s->feature[node];
        cuts->count[*places] = 0;
        *place = (uint16_t)++*places;
    }
    float *t = cuts->t[*place - 1], v = narrow_threshold(s->mode[node], s->value[node]);
    size_t n = cuts->count[*place - 1], low = rank_of(t, n, v);
    if (low < n && t[low] == v)
        return true;
    if (n == TREE_RANKS - 1)
        return false;
    memmove(t + low + 1, t + low, (n - low) * sizeof *t);
    t[low] = v;
    cuts->count[*place - 1] = (uint16_t)++n;
    *most = n > *most ? n : *most;
    return true;
}

/* Whether the trees can have jumps, and will be faster for it; in cycles of some processor. */
static void plan_jumps(const mbr_tree_source *s, const scratch *w, mbr_tree_shape *z)
{
    size_t places = 0, most = 0, jumping = 0, walking = 0;
    z->jumps = false;
    if (!z->masked)
        return;
    for (size_t t = 0; t < s->trees; t++) {
        subtrees below;
        look_below(s, w, &w->tree[t], &below);
        w->tree[t].steps = below.steps[0] ? below.steps[0] : 1;
        jumping += 3 * w->tree[t].steps;
        walking += 3 * w->tree[t].depth;
    }
    memset(w->cuts->place, 0, sizeof w->cuts->place);
    for (size_t p = 0; p < z->nodes; p++)
        if (!is_leaf(s, w->order[p]) && !add_cut(s, w->cuts, w->order[p], &places, &most))
            return;
    size_t room = 1, bits = 0;
    while (room < most + 1) {
        room *= 2;
        bits++;
    }
    jumping += z->vectors * (places / 16 + 2) + (places + 31) / 32 * bits * 50;
    if (places == 0 || jumping > walking)
        return;
    z->jumps = true;
    z->places = (places + 31) / 32 * 32;
    z->room = room;
    for (; places < z->places; places++) {
        w->cuts->feature[places] = w->cuts->feature[0];
        w->cuts->count[places] = 0;
    }
}

/* Trees of like shape stand together: by size and number of jumps, or by depth. */
static void sort_trees(const mbr_tree_source *s, const scratch *w, const mbr_tree_shape *z)
{
    enum { KEYS = 256 };
    size_t from[KEYS + 1] = {0};
    for (int pass = 0; pass < 2; pass++) {
        for (size_t t = 0; t < s->trees; t++) {
            const tree_extent *x = &w->tree[t];
            size_t key = !z->narrow ? 0 : z->jumps ? (x->nodes > 63) * (TREE_STEPS + 1) + x->steps : x->depth;
            key = key < KEYS ? key : KEYS - 1;
            if (pass)
                w->sorted[from[key]++] = (uint32_t)t;
            else
                from[key + 1]++;
        }
        for (size_t k = 1; !pass && k <= KEYS; k++)
            from[k] += from[k - 1];
    }
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

static void carve_all(carve *c, const mbr_tree_source *s, const mbr_tree_shape *z, mbr_tree_ensemble *e)
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
    if (z->jumps) {
        e->place_feature = take(c, z->places, sizeof *e->place_feature);
        e->place_cuts = take(c, z->places * z->room, sizeof *e->place_cuts);
        e->jump_place = take(c, z->vectors, 32);
        e->jump_cut = take(c, z->vectors, 32);
        e->jump = take(c, s->trees, sizeof *e->jump);
        e->jump_next = take(c, z->leaves, sizeof *e->jump_next);
        e->jump_value = z->direct ? take(c, z->leaves, sizeof *e->jump_value) : NULL;
        e->jump_leaf = z->direct ? NULL : take(c, z->leaves, sizeof *e->jump_leaf);
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

mbr_tree_fault mbr_tree_measure(const mbr_tree_source *s, void *work, mbr_tree_shape *z, size_t *node)
{
    scratch w = scratch_of(s, work);
    *z = (mbr_tree_shape){.narrow = !s->f64 && s->features <= TREE_FEATURES, .masked = true,
                          .direct = s->aggregate <= MBR_TREE_AVERAGE};
    *node = 0;
    if (s->features > INT32_MAX || s->targets > INT32_MAX)
        return MBR_TREE_TOO_LARGE;
    memset(w.seen, 0, seen_words(s) * sizeof *w.seen);
    for (size_t t = 0; t < s->trees; t++) {
        mbr_tree_fault fault = walk_tree(s, &w, t, z, node);
        if (fault != MBR_TREE_OK)
            return fault;
    }
    if (z->weights > UINT32_MAX || z->members > UINT32_MAX)
        return MBR_TREE_TOO_LARGE;
    z->direct &= z->narrow;
    z->masked &= z->narrow;
    if (!z->masked)
        z->masks = 0;
    plan_jumps(s, &w, z);
    sort_trees(s, &w, z);
    mbr_tree_ensemble e = {0};
    carve c = {0};
    carve_all(&c, s, z, &e);
    z->bytes = c.used;
    return c.overflow ? MBR_TREE_TOO_LARGE : MBR_TREE_OK;
}

/* --- filling --- */

typedef struct fill {
    const mbr_tree_source *s;
    mbr_tree_ensemble *e;
    scratch w;
    uint32_t node, leaf, weight, mask, mask_leaf, member, vector;
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

static void fill_narrow(fill *f, const tree_extent *x, tree_root *root)
{
    const mbr_tree_source *s = f->s;
    mbr_tree_ensemble *e = f->e;
    for (uint32_t p = 0; p < x->nodes; p++) {
        size_t node = f->w.order[x->at + p];
        tree_node *out = &e->narrow_nodes[f->node + p];
        if (is_leaf(s, node)) {
            uint32_t leaf = fill_leaf(f, node);
            *out = (tree_node){e->direct ? leaf_weight(s, node) : INFINITY, (uint16_t)(s->features * e->copies), 0};
            if (!e->direct)
                e->leaf_number[f->node + p] = leaf;
            else if (s->weight_first[node] < s->weight_first[node + 1])
                root->target = s->weight_target[s->weight_first[node]];
            continue;
        }
        size_t copy = nan_passes(s, node) ? 0 : e->copies - 1;
        out->t = narrow_threshold(s->mode[node], s->value[node]);
        out->feature = (uint16_t)((size_t)s->feature[node] + copy * s->features);
        out->child = (uint16_t)(f->w.child[x->at + p] - (x->at + p));
    }
}

/* After fill_narrow. */
static void fill_masks(fill *f, const tree_extent *x, const subtrees *below, tree_root *root)
{
    uint8_t start[2 * TREE_LEAVES] = {0}; /* number of the subtree's first leaf */
    mbr_tree_ensemble *e = f->e;
    tree_mask made[TREE_LEAVES];
    uint8_t kinds[TREE_LEAVES];
    size_t branches = 0;
    root->leaf = f->mask_leaf;
    root->mask = f->mask;
    for (uint32_t p = 0; p < x->nodes; p++) {
        const tree_node *n = &e->narrow_nodes[f->node + p];
        if (!n->child) {
            if (e->direct)
                e->leaf_value[f->mask_leaf + start[p]] = (double)n->t;
            else
                e->leaf_node[f->mask_leaf + start[p]] = e->leaf_number[f->node + p];
            continue;
        }
        uint32_t c = p + n->child, count = below->leaves[c];
        start[c] = start[p];
        start[c + 1] = (uint8_t)(start[p] + count);
        uint64_t gone = (((uint64_t)1 << count) - 1) << start[p]; /* the other child has a leaf: count < 64 */
        uint32_t low = (uint32_t)gone, high = (uint32_t)(gone >> 32);
        kinds[branches] = !high ? 0 : !low ? 1 : 2;
        root->masks[kinds[branches]]++;
        made[branches++] = (tree_mask){n->t, n->feature, ~low, ~high};
    }
    uint32_t at[3] = {f->mask, f->mask + root->masks[0], f->mask + root->masks[0] + root->masks[1]};
    for (size_t i = 0; i < branches; i++)
        e->masks[at[kinds[i]]++] = made[i];
    f->mask += (uint32_t)branches;
    f->mask_leaf += root->leaves;
}

/* After fill_narrow; f->mask_leaf is that of this tree. */
static void fill_jumps(fill *f, const tree_extent *x, const subtrees *below, tree_jump *jump)
{
    mbr_tree_ensemble *e = f->e;
    const tree_cuts *cuts = f->w.cuts;
    uint8_t start[2 * TREE_LEAVES] = {0};
    uint64_t path[2 * TREE_LEAVES] = {0}; /* bits of the heavy path to the node */
    const size_t vectors = below->leaves[0] > 32 ? 2 : 1;
    uint8_t *place = e->jump_place + 32 * (size_t)f->vector;
    int8_t *cut = e->jump_cut + 32 * (size_t)f->vector;
    memset(place, 0, 32 * vectors);
    memset(cut, 127, 32 * vectors); /* no rank is above it */
    *jump = (tree_jump){.leaf = f->mask_leaf};
    for (uint32_t p = 0; p < x->nodes; p++) {
        const tree_node *n = &e->narrow_nodes[f->node + p];
        if (!n->child) {
            if (e->direct)
                e->jump_value[jump->leaf + start[p]] = n->t;
            else
                e->jump_leaf[jump->leaf + start[p]] = e->leaf_number[f->node + p];
            e->jump_next[jump->leaf + start[p]] = path[p] | (uint64_t)1 << start[p];
            continue;
        }
        size_t node = f->w.order[x->at + p];
        uint32_t c = p + n->child, light = below->first_light[p] ? c : c + 1, heavy = below->first_light[p] ? c + 1 : c;
        uint32_t bit = start[p] + below->leaves[light] - 1u;
        start[light] = start[p];
        start[heavy] = (uint8_t)(bit + 1);
        path[heavy] = path[p] | (uint64_t)1 << bit;
        jump->turned |= (uint64_t)below->first_light[p] << bit;
        jump->nan_holds |= (uint64_t)nan_passes(f->s, node) << bit;
        place[bit] = (uint8_t)(cuts->place[f->s->feature[node]] - 1);
        cut[bit] = (int8_t)((int)rank_of(cuts->t[place[bit]], cuts->count[place[bit]], n->t) - 128);
    }
    uint32_t last = below->leaves[0] - 1u;
    jump->turned |= (uint64_t)1 << last;
    jump->first = e->jump_next[jump->leaf + last];
    f->vector += (uint32_t)vectors;
}

/* What the jumps of all trees share. */
static void fill_places(mbr_tree_ensemble *e, const mbr_tree_shape *z, const scratch *w)
{
    e->places = z->places;
    e->room = z->room;
    for (size_t i = 0; i < z->places; i++) {
        float *cuts = e->place_cuts + i * z->room;
        e->place_feature[i] = w->cuts->feature[i];
        memcpy(cuts, w->cuts->t[i], w->cuts->count[i] * sizeof *cuts);
        for (size_t k = w->cuts->count[i]; k < z->room; k++)
            cuts[k] = INFINITY;
    }
    for (size_t t = 0; t < e->trees; t++) {
        const tree_extent *x = &w->tree[w->sorted[t]], *before = t ? &w->tree[w->sorted[t - 1]] : NULL;
        bool small = x->nodes <= 63;
        e->small += small;
        if (!before || before->steps != x->steps || (before->nodes <= 63) != small)
            e->runs[e->run_count++].steps = x->steps;
        e->runs[e->run_count - 1].last = (uint32_t)t + 1;
    }
}

static void fill_wide(fill *f, const tree_extent *x)
{
    const mbr_tree_source *s = f->s;
    mbr_tree_ensemble *e = f->e;
    for (uint32_t p = 0; p < x->nodes; p++) {
        uint32_t at = f->node + p;
        size_t node = f->w.order[x->at + p];
        tree_wide *out = &e->wide_nodes[at];
        *out = (tree_wide){.mode = s->mode[node], .source = at, .turned = is_swapped(s->mode[node])};
        e->member_first[at] = f->member;
        if (is_leaf(s, node)) {
            out->feature = -1;
            out->child = fill_leaf(f, node);
        } else {
            out->value = s->value[node];
            out->feature = s->feature[node];
            out->child = f->node + (f->w.child[x->at + p] - x->at);
            out->missing_true = s->missing_true && s->missing_true[node];
            if (s->mode[node] == MBR_TREE_MEMBER)
                for (size_t k = s->member_first[node]; k < s->member_first[node + 1]; k++)
                    e->member[f->member++] = s->member[k];
        }
        e->member_first[at + 1] = f->member;
    }
}

mbr_tree_ensemble *mbr_tree_prepare(const mbr_tree_source *s, const mbr_tree_shape *z, void *work, void *memory)
{
    mbr_tree_ensemble *e = memory;
    carve room = {.base = memory};
    *e = (mbr_tree_ensemble){.trees = s->trees, .features = s->features, .targets = s->targets, .nodes = z->nodes,
                             .aggregate = s->aggregate, .f64 = s->f64, .narrow = z->narrow, .direct = z->direct,
                             .one = z->direct, .masked = z->masked, .jumps = z->jumps,
                             .copies = z->passes && z->fails ? 2 : 1};
    e->nan_as[0] = z->passes ? -INFINITY : INFINITY;
    e->nan_as[1] = INFINITY;
    carve_all(&room, s, z, e);
    if (s->base)
        memcpy(e->base, s->base, s->targets * sizeof *s->base);
    fill f = {.s = s, .e = e, .w = scratch_of(s, work)};
    if (!e->direct)
        e->weight_first[0] = 0;
    if (e->jumps)
        fill_places(e, z, &f.w);
    for (size_t t = 0; t < s->trees; t++) {
        const tree_extent *x = &f.w.tree[f.w.sorted[t]];
        tree_root *root = &e->roots[t];
        *root = (tree_root){.node = f.node, .leaves = (x->nodes + 1) / 2};
        if (z->narrow) {
            uint32_t *depth = &e->group_depth[t / TREE_GROUP];
            *depth = t % TREE_GROUP && *depth > x->depth ? *depth : x->depth;
            e->group_nodes[t] = root->node;
            for (size_t k = t + 1; k % TREE_GROUP && t + 1 == s->trees; k++)
                e->group_nodes[k] = root->node;
            fill_narrow(&f, x, root);
        } else {
            fill_wide(&f, x);
        }
        if (z->masked) {
            subtrees below;
            look_below(s, &f.w, x, &below);
            if (z->jumps)
                fill_jumps(&f, x, &below, &e->jump[t]);
            fill_masks(&f, x, &below, root);
        }
        f.node += x->nodes;
        e->one &= root->target == e->roots[0].target;
    }
    return e;
}

_Static_assert(sizeof(mbr_tree_ensemble) <= MBR_TREE_HEAD, "the head of a layout");

mbr_tree_ensemble *mbr_tree_move(const mbr_tree_ensemble *ensemble, uintptr_t moved, void *memory)
{
    mbr_tree_ensemble *e = memory;
    *e = *ensemble;
#define MOVE(field) e->field = e->field ? (void *)((uintptr_t)e->field + moved) : NULL
    MOVE(roots);
    MOVE(group_nodes);
    MOVE(group_depth);
    MOVE(narrow_nodes);
    MOVE(wide_nodes);
    MOVE(leaf_number);
    MOVE(masks);
    MOVE(leaf_value);
    MOVE(leaf_node);
    MOVE(place_feature);
    MOVE(place_cuts);
    MOVE(jump_place);
    MOVE(jump_cut);
    MOVE(jump);
    MOVE(jump_next);
    MOVE(jump_value);
    MOVE(jump_leaf);
    MOVE(weight_first);
    MOVE(weight_target);
    MOVE(weight);
    MOVE(member_first);
    MOVE(member);
    MOVE(base);
#undef MOVE
    return e;
}

void mbr_tree_costs(const mbr_tree_ensemble *e, mbr_tree_cost *to)
{
    const double near = 262144; /* bytes */
    double visits = 0, branches = 0, trees = (double)e->trees, bytes = (double)(e->nodes * sizeof(tree_node));
    for (size_t t = 0; t < e->trees && e->narrow; t += TREE_GROUP)
        visits += (e->group_depth[t / TREE_GROUP] + 1) * (e->trees - t < TREE_GROUP ? e->trees - t : TREE_GROUP);
    for (size_t t = 0; t < e->trees && e->masked; t++) /* finding the leaf is like so many branches */
        branches += e->roots[t].masks[0] + e->roots[t].masks[1] + 2 * e->roots[t].masks[2] + 12;
    to->ns[MBR_TREE_WALK] = e->narrow || !e->trees ? 0.8 * visits : 4 * trees * log2((double)e->nodes / trees + 1);
    to->ns[MBR_TREE_MASKS] = 0.06 * branches;
    to->ns[MBR_TREE_JUMPS] = e->jumps ? 4 * trees + 100 : 0; /* ranks */
    to->first = bytes < near ? bytes / near : 1;
}

mbr_tree_way mbr_tree_way_of(const mbr_tree_cost *c, unsigned tiers, size_t rows, double *ns)
{
    mbr_tree_way way = rows >= 8 && c->ns[MBR_TREE_MASKS] > 0 ? MBR_TREE_MASKS :
                       c->ns[MBR_TREE_JUMPS] > 0 && (tiers & (MBR_TIER_AVX2 | MBR_TIER_NEON)) ? MBR_TREE_JUMPS :
                       MBR_TREE_WALK;
    *ns = c->ns[way] * ((double)rows + (way == MBR_TREE_WALK && rows ? c->first : 0));
    return way;
}

size_t mbr_tree_targets(const mbr_tree_ensemble *ensemble)
{
    return ensemble->targets;
}

size_t mbr_tree_features(const mbr_tree_ensemble *ensemble)
{
    return ensemble->features;
}

void mbr_tree_start(const mbr_tree_ensemble *e, double *scores, size_t rows)
{
    double x = e->aggregate == MBR_TREE_MIN ? (double)INFINITY : e->aggregate == MBR_TREE_MAX ? -(double)INFINITY : 0.0;
    for (size_t i = 0; i < rows * e->targets; i++)
        scores[i] = x;
}

void mbr_tree_finish(const mbr_tree_ensemble *e, double *scores, size_t rows)
{
    bool extreme = e->aggregate > MBR_TREE_AVERAGE;
    double divisor = e->aggregate == MBR_TREE_AVERAGE && e->trees ? (double)e->trees : 1.0;
    for (size_t i = 0; i < rows * e->targets; i++) {
        double base = e->base ? e->base[i % e->targets] : 0.0, *s = scores + i;
        *s = extreme && isinf(*s) ? base : *s / divisor + base;
    }
}
