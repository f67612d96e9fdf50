/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The walk through trees, stamped out by tree_ref.c for each layout of a node. Before each inclusion:
 *   NAME(x)          the names of this layout's functions
 *   REAL             float or double
 *   NODE             a struct with `REAL value`
 *   FEATURE(n), LEFT(n)  of a node: its feature, and its true child, counted from the root; the false child is next
 *
 * A leaf has the value NaN and LEFT one before itself, so that every comparison fails and a walk stays there.
 * Several walks go side by side: each waits for memory most of the time.
 */

#define LANES 8

/* Rows without NaN in trees of thresholds. Lane k walks the tree at `nodes + k * node_step` with the row x + k * x_step. */
static inline void NAME(walk)(const NODE *const *nodes, const REAL *const *x, size_t lanes, uint32_t depth,
                              uint32_t *at)
{
    for (size_t k = 0; k < lanes; k++)
        at[k] = 0;
    for (uint32_t d = 0; d < depth; d++) {
        uint32_t moved = 0;
        for (size_t k = 0; k < lanes; k++) {
            const NODE *n = nodes[k] + at[k];
            uint32_t next = LEFT(n) + !(x[k][FEATURE(n)] <= n->value);
            moved |= next ^ at[k];
            at[k] = next;
        }
        if (!moved)
            break;
    }
}

static bool NAME(is_member)(const mbr_tree_ensemble *e, size_t node, REAL x)
{
    const REAL *set = e->members;
    size_t low = e->member_first[node], high = e->member_first[node + 1];
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (set[middle] == x)
            return true;
        if (set[middle] < x)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

/* Any row, any mode. Returns the leaf, counted from the root. */
static uint32_t NAME(walk_any)(const mbr_tree_ensemble *e, const tree *t, const REAL *x)
{
    const NODE *nodes = (const NODE *)e->nodes + t->first;
    const uint8_t *kinds = e->kinds + t->first;
    uint32_t at = 0;
    for (;;) {
        const NODE *n = nodes + at;
        uint8_t kind = kinds[at];
        REAL v = x[FEATURE(n)];
        bool aside; /* to the second child */
        if (kind & KIND_LEAF)
            return at;
        if (v != v)
            aside = (kind & KIND_NAN_ASIDE) != 0;
        else if ((kind & KIND_MODE) == KIND_THRESHOLD)
            aside = !(v <= n->value);
        else if ((kind & KIND_MODE) == KIND_EQUAL)
            aside = !(v == n->value);
        else if ((kind & KIND_MODE) == KIND_DIFFERENT)
            aside = v == n->value;
        else
            aside = !NAME(is_member)(e, t->first + at, v);
        at = LEFT(n) + aside;
    }
}

/* Adds what a leaf says to the scores of its row. */
static inline void NAME(vote)(const mbr_tree_ensemble *e, const tree *t, uint32_t leaf, REAL *scores)
{
    size_t node = t->first + leaf;
    if (t->target >= 0) {
        scores[t->target] += ((const REAL *)e->single)[node];
        return;
    }
    const REAL *weights = e->weights;
    for (size_t w = e->weight_first[node]; w < e->weight_first[node + 1]; w++) {
        REAL *score = &scores[e->weight_target[w]];
        if (e->aggregate == MBR_TREE_MIN)
            *score = *score <= weights[w] ? *score : weights[w]; /* NaN: none yet */
        else if (e->aggregate == MBR_TREE_MAX)
            *score = *score >= weights[w] ? *score : weights[w];
        else
            *score += weights[w];
    }
}

static bool NAME(has_nan)(const REAL *x, size_t n)
{
    REAL sum = 0; /* x - x is NaN for infinities too: they take the longer way */
    for (size_t i = 0; i < n; i++)
        sum += x[i] - x[i];
    return sum != sum;
}

static void NAME(finish)(const mbr_tree_ensemble *e, REAL *scores)
{
    const REAL *base = e->base;
    for (size_t k = 0; k < e->targets; k++) {
        REAL v = scores[k];
        if (e->aggregate == MBR_TREE_AVERAGE)
            v /= (REAL)e->n_trees;
        else if ((e->aggregate == MBR_TREE_MIN || e->aggregate == MBR_TREE_MAX) && v != v)
            v = 0;
        scores[k] = base ? v + base[k] : v;
    }
}

static void NAME(one_row)(const mbr_tree_ensemble *e, const REAL *x, REAL *scores)
{
    bool plain = e->plain && !NAME(has_nan)(x, e->features);
    size_t i = 0;
    for (; plain && i + LANES <= e->n_trees; i += LANES) {
        const NODE *nodes[LANES];
        const REAL *rows[LANES];
        uint32_t at[LANES], depth = 0;
        for (size_t k = 0; k < LANES; k++) {
            nodes[k] = (const NODE *)e->nodes + e->trees[i + k].first;
            rows[k] = x;
            depth = depth < e->trees[i + k].depth ? e->trees[i + k].depth : depth;
        }
        NAME(walk)(nodes, rows, LANES, depth, at);
        for (size_t k = 0; k < LANES; k++)
            NAME(vote)(e, &e->trees[i + k], at[k], scores);
    }
    for (; i < e->n_trees; i++)
        NAME(vote)(e, &e->trees[i], NAME(walk_any)(e, &e->trees[i], x), scores);
    NAME(finish)(e, scores);
}

/* Up to BLOCK rows: each tree meets all of them while it is in the cache. */
static void NAME(block)(const mbr_tree_ensemble *e, const REAL *x, ptrdiff_t stride, REAL *scores, size_t n)
{
    const REAL *rows[BLOCK];
    REAL *results[BLOCK];
    size_t plain = 0, other = n;
    for (size_t r = 0; r < n; r++) { /* plain rows in front, the others behind */
        const REAL *row = x + (ptrdiff_t)r * stride;
        size_t place = e->plain && !NAME(has_nan)(row, e->features) ? plain++ : --other;
        rows[place] = row;
        results[place] = scores + r * e->targets;
    }
    for (size_t i = 0; i < e->n_trees; i++) {
        const tree *t = &e->trees[i];
        const NODE *nodes[LANES];
        uint32_t at[LANES];
        for (size_t k = 0; k < LANES; k++)
            nodes[k] = (const NODE *)e->nodes + t->first;
        size_t r = 0;
        for (; r + LANES <= plain; r += LANES) {
            NAME(walk)(nodes, rows + r, LANES, t->depth, at);
            for (size_t k = 0; k < LANES; k++)
                NAME(vote)(e, t, at[k], results[r + k]);
        }
        for (; r < n; r++)
            NAME(vote)(e, t, NAME(walk_any)(e, t, rows[r]), results[r]);
    }
    for (size_t r = 0; r < n; r++)
        NAME(finish)(e, scores + r * e->targets);
}

static void NAME(run)(const mbr_tree_ensemble *e, const REAL *rows, ptrdiff_t stride, REAL *scores, size_t first,
                      size_t last)
{
    REAL start = e->aggregate == MBR_TREE_MIN || e->aggregate == MBR_TREE_MAX ? (REAL)NAN : (REAL)0;
    for (size_t i = first * e->targets; i < last * e->targets; i++)
        scores[i] = start;
    for (size_t r = first; r < last;) {
        size_t n = last - r < BLOCK ? last - r : BLOCK;
        if (n < LANES) {
            NAME(one_row)(e, rows + (ptrdiff_t)r * stride, scores + r * e->targets);
            r++;
        } else {
            NAME(block)(e, rows + (ptrdiff_t)r * stride, stride, scores + r * e->targets, n);
            r += n;
        }
    }
}

#undef LANES
