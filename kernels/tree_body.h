/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tree ensembles: few rows jump or walk through the trees; many rows go through the leaf masks, a row in each lane. A
 * file includes a vec_*.h, defines MBR_TREE_NAME and includes this.
 */
#include "kernels/simd/vec_common.h"
#include "kernels/tree_jump.h"
#include "kernels/tree_layout.h"

#include <math.h>
#include <string.h>

#define TREE_SHALLOW 8   /* depth of a group up to which all its levels are walked */
#define TREE_ROWS 64      /* rows that meet the same trees before the next ones are loaded */
#define TREE_BUFFER 16384 /* floats on the stack for them */
#define TREE_SUMS 2048    /* doubles on the stack for their scores */
#define TREE_CHUNK 1024   /* branches, of 16 bytes, of the trees that meet some blocks of rows in turn */
#define TREE_BLOCKS 8     /* of rows that do so */
#define TREE_VECTORS 4    /* of rows that go through the masks together, at most */
#define TREE_WIDTH (TREE_VECTORS * MBR_VL)

/*
 * Walks the trees of a group, none deeper than `depth`, to their leaves. `early` looks whether all
 * have arrived: worth a branch that is hard to predict in deep trees only. Without leaf, the leaves' weights are added
 * to *sum: in a register, for through memory each would wait for the one before. Both are constants where this is expanded.
 */
MBR_INLINE void tree_walk(const tree_node *nodes, const uint32_t *root, const float *row, uint32_t depth, bool early,
                          const tree_node **leaf, double *sum)
{
    const tree_node *n0 = nodes + root[0], *n1 = nodes + root[1], *n2 = nodes + root[2], *n3 = nodes + root[3];
    const tree_node *n4 = nodes + root[4], *n5 = nodes + root[5], *n6 = nodes + root[6], *n7 = nodes + root[7];
    unsigned moved = 1;
#define STEP(n)                                                                                                        \
    do {                                                                                                               \
        unsigned step = n->child + (unsigned)!(row[n->feature] <= n->t);                                               \
        n += step;                                                                                                     \
        moved |= step;                                                                                                 \
    } while (0)
    for (; depth > 0 && (moved || !early); depth--) {
        moved = 0;
        STEP(n0);
        STEP(n1);
        STEP(n2);
        STEP(n3);
        STEP(n4);
        STEP(n5);
        STEP(n6);
        STEP(n7);
    }
#undef STEP
    if (!leaf) {
        double t = *sum + (double)n0->t + (double)n1->t + (double)n2->t + (double)n3->t;
        *sum = t + (double)n4->t + (double)n5->t + (double)n6->t + (double)n7->t;
        return;
    }
    leaf[0] = n0;
    leaf[1] = n1;
    leaf[2] = n2;
    leaf[3] = n3;
    leaf[4] = n4;
    leaf[5] = n5;
    leaf[6] = n6;
    leaf[7] = n7;
}

static void tree_add(const mbr_tree_ensemble *e, size_t tree, const tree_node *leaf, double *scores)
{
    if (e->direct)
        scores[e->roots[tree].target] += (double)leaf->t;
    else
        tree_add_leaf(e, e->leaf_number[leaf - e->narrow_nodes], scores);
}

/* A row as the nodes want it. */
static void tree_copy_row(const mbr_tree_ensemble *e, const float *row, float *copy)
{
    for (size_t c = 0; c < e->copies; c++) {
        const vf instead = vf_set1(e->nan_as[c]);
        for (size_t i = 0; i < e->features; i += MBR_VL) {
            size_t n = e->features - i < MBR_VL ? e->features - i : MBR_VL;
            vf x = vf_load_n(row + i, n);
            vf_store_n(copy + i, vf_select(vf_is_nan(x), instead, x), n);
        }
        copy += e->features;
    }
    *copy = -INFINITY;
}

/* Rows 0 .. n-1 (at most TREE_ROWS and what fits the buffer). */
static void tree_walk_rows(const mbr_tree_ensemble *e, const float *rows, ptrdiff_t row_stride, double *scores, size_t n)
{
    float buffer[TREE_BUFFER];
    size_t width = e->features * e->copies + 1, targets = e->targets;
    for (size_t r = 0; r < n; r++)
        tree_copy_row(e, rows + (ptrdiff_t)r * row_stride, buffer + r * width);
    for (size_t t = 0; t < e->trees; t += TREE_GROUP) {
        size_t count = e->trees - t < TREE_GROUP ? e->trees - t : TREE_GROUP;
        const uint32_t *roots = e->group_nodes + t;
        uint32_t depth = e->group_depth[t / TREE_GROUP];
        bool shallow = depth <= TREE_SHALLOW;
        for (size_t r = 0; r < n; r++) {
            const float *row = buffer + r * width;
            double *to = scores + r * targets;
            const tree_node *leaf[TREE_GROUP];
            if (e->one && count == TREE_GROUP) {
                if (shallow)
                    tree_walk(e->narrow_nodes, roots, row, depth, false, NULL, to + e->roots[0].target);
                else
                    tree_walk(e->narrow_nodes, roots, row, depth, true, NULL, to + e->roots[0].target);
                continue;
            }
            tree_walk(e->narrow_nodes, roots, row, depth, true, leaf, NULL);
            for (size_t k = 0; k < count; k++)
                tree_add(e, t + k, leaf[k], to);
        }
    }
}

/* The number of the lowest bit of each lane; anything for a lane without one. */
MBR_INLINE vi tree_lowest(vi mask)
{
    vi lowest = vi_and(mask, vi_sub(vi_zero(), mask));
    vi exponent = vi_and(vi_shr(vf_as_vi(vi_to_vf(lowest)), 23), vi_set1(0xff));
    return vi_sub(exponent, vi_set1(127));
}

/* n branches upon the masks of leaves of `vectors` times MBR_VL rows; x is (places of the copied row, those rows). */
MBR_INLINE void tree_mask_steps(const tree_mask *masks, size_t n, const float *x, vi *low, vi *high, int vectors,
                                bool in_low, bool in_high)
{
    for (size_t k = 0; k < n; k++) {
        const float *feature = x + masks[k].feature * (size_t)(vectors * MBR_VL);
        const vf t = vf_set1(masks[k].t);
        const vi keep_low = in_low ? vi_set1((int32_t)masks[k].keep_low) : vi_zero();
        const vi keep_high = in_high ? vi_set1((int32_t)masks[k].keep_high) : vi_zero();
        MBR_UNROLL(4)
        for (int v = 0; v < vectors; v++) {
            vm yes = vf_le(vf_load(feature + v * MBR_VL), t);
            if (in_low)
                low[v] = vi_select(yes, low[v], vi_and(low[v], keep_low));
            if (in_high)
                high[v] = vi_select(yes, high[v], vi_and(high[v], keep_high));
        }
    }
}

/* The leaves where they end. wide: the tree has more than 32 leaves. */
MBR_INLINE void tree_mask_leaves(const tree_root *root, const tree_mask *masks, const float *x, vi *leaf, int vectors,
                                 bool wide)
{
    vi low[TREE_VECTORS], high[TREE_VECTORS];
    MBR_UNROLL(4)
    for (int v = 0; v < vectors; v++)
        low[v] = high[v] = vi_set1(-1);
    masks += root->mask;
    tree_mask_steps(masks, root->masks[0], x, low, high, vectors, true, false);
    if (wide) {
        tree_mask_steps(masks + root->masks[0], root->masks[1], x, low, high, vectors, false, true);
        masks += root->masks[0] + root->masks[1];
        tree_mask_steps(masks, root->masks[2], x, low, high, vectors, true, true);
    }
    MBR_UNROLL(4)
    for (int v = 0; v < vectors; v++) {
        leaf[v] = tree_lowest(low[v]);
        if (wide)
            leaf[v] = vi_select(vi_eq(low[v], vi_zero()), vi_add(tree_lowest(high[v]), vi_set1(32)), leaf[v]);
    }
}

/*
 * Trees first .. last-1 for one block of vectors * MBR_VL rows, of which n count. sums: (targets, rows of the block), for
 * direct ensembles; otherwise NULL, and the leaves go to scores.
 */
MBR_INLINE void tree_mask_trees(const mbr_tree_ensemble *e, size_t first, size_t last, const float *x, double *sums,
                                double *scores, size_t n, int vectors)
{
    for (size_t t = first; t < last; t++) {
        const tree_root *root = &e->roots[t];
        vi leaf[TREE_VECTORS];
        if (root->leaves <= 32)
            tree_mask_leaves(root, e->masks, x, leaf, vectors, false);
        else
            tree_mask_leaves(root, e->masks, x, leaf, vectors, true);
        if (sums) {
            double *sum = sums + root->target * (vectors * MBR_VL);
            MBR_UNROLL(4)
            for (int v = 0; v < vectors; v++)
                vi_gather_add_f64(sum + v * MBR_VL, e->leaf_value + root->leaf, leaf[v]);
            continue;
        }
        int32_t at[TREE_WIDTH];
        MBR_UNROLL(4)
        for (int v = 0; v < vectors; v++)
            vi_store(at + v * MBR_VL, leaf[v]);
        for (size_t r = 0; r < n; r++) {
            size_t place = root->leaf + (size_t)at[r];
            if (e->direct)
                scores[r * e->targets + (size_t)root->target] += e->leaf_value[place];
            else
                tree_add_leaf(e, e->leaf_node[place], scores + r * e->targets);
        }
    }
}

/* A block of rows, copied so that a place's values lie side by side. */
static void tree_mask_copy(const mbr_tree_ensemble *e, const float *rows, ptrdiff_t row_stride, float *x, size_t n,
                           size_t width)
{
    for (size_t c = 0; c < e->copies; c++) {
        float *to = x + c * e->features * width, instead = e->nan_as[c];
        for (size_t r = 0; r < width; r++) {
            const float *row = rows + (ptrdiff_t)(r < n ? r : 0) * row_stride;
            for (size_t f = 0; f < e->features; f++)
                to[f * width + r] = row[f] != row[f] ? instead : row[f];
        }
    }
}

/* Trees from `first` whose masks stay in the first-level cache together. */
static size_t tree_mask_chunk(const mbr_tree_ensemble *e, size_t first)
{
    size_t last = first, masks = 0;
    while (last < e->trees && (last == first || masks < TREE_CHUNK)) {
        const tree_root *root = &e->roots[last++];
        masks += root->masks[0] + root->masks[1] + root->masks[2];
    }
    return last;
}

/* n rows through the leaf masks, a few blocks of them for each chunk of trees; what fits the buffers. */
static void tree_mask_rows(const mbr_tree_ensemble *e, const float *rows, ptrdiff_t row_stride, double *scores, size_t n)
{
    _Alignas(64) float x[TREE_BUFFER];
    _Alignas(64) double sums[TREE_SUMS];
    size_t width = n > TREE_WIDTH / 2 ? TREE_WIDTH : TREE_WIDTH / 2, size = e->features * e->copies * width;
    size_t blocks = (n + width - 1) / width, targets = e->targets;
    bool summed = e->direct && targets * width * blocks <= TREE_SUMS;
    for (size_t b = 0; b < blocks; b++)
        tree_mask_copy(e, rows + (ptrdiff_t)(b * width) * row_stride, row_stride, x + b * size, n - b * width, width);
    for (size_t i = 0; summed && i < blocks * targets * width; i++)
        sums[i] = 0.0;
    for (size_t t = 0; t < e->trees;) {
        size_t last = tree_mask_chunk(e, t);
        for (size_t b = 0; b < blocks; b++) {
            size_t part = n - b * width < width ? n - b * width : width;
            double *to = scores + b * width * targets, *sum = summed ? sums + b * targets * width : NULL;
            if (width == TREE_WIDTH)
                tree_mask_trees(e, t, last, x + b * size, sum, to, part, TREE_VECTORS);
            else
                tree_mask_trees(e, t, last, x + b * size, sum, to, part, TREE_VECTORS / 2);
        }
        t = last;
    }
    for (size_t r = 0; summed && r < n; r++)
        for (size_t k = 0; k < targets; k++)
            scores[r * targets + k] = sums[(r / width * targets + k) * width + r % width];
}

void MBR_TREE_NAME(const mbr_tree_ensemble *e, const void *rows, ptrdiff_t row_stride, double *scores, size_t first,
                   size_t last)
{
    if (!e->narrow || e->trees == 0) {
        mbr_tree_ref(e, rows, row_stride, scores, first, last);
        return;
    }
    double *out = scores + first * e->targets;
    mbr_tree_start(e, out, last - first);
    size_t places = e->features * e->copies, fit = TREE_BUFFER / (places + 1);
    size_t blocks = TREE_BUFFER / (places ? places * TREE_WIDTH : 1), wanted = TREE_SUMS / (e->targets * TREE_WIDTH);
    bool masks = e->masked && blocks > 0;
    if (wanted > 0 && wanted < blocks)
        blocks = wanted;
    if (blocks > TREE_BLOCKS)
        blocks = TREE_BLOCKS;
    for (size_t r = first; r < last;) {
        const float *from = (const float *)rows + (ptrdiff_t)r * row_stride;
        double *to = scores + r * e->targets;
        size_t n = last - r;
        if (masks && n >= MBR_VL) {
            n = n < TREE_WIDTH ? n : n < blocks * TREE_WIDTH ? n / TREE_WIDTH * TREE_WIDTH : blocks * TREE_WIDTH;
            tree_mask_rows(e, from, row_stride, to, n);
#if TREE_JUMPS
        } else if (e->jumps) {
            n = 1;
            tree_jump_row(e, from, to);
#endif
        } else {
            n = n < TREE_ROWS ? n : TREE_ROWS;
            n = n < fit ? n : fit;
            tree_walk_rows(e, from, row_stride, to, n);
        }
        r += n;
    }
    mbr_tree_finish(e, out, last - first);
}
