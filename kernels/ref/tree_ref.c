/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/tree_layout.h"

#include <math.h>

static bool holds(const mbr_tree_ensemble *e, const tree_wide *n, double x)
{
    if (isnan(x) && n->missing_true)
        return true;
    switch ((mbr_tree_mode)n->mode) {
    case MBR_TREE_LEQ: return x <= n->value;
    case MBR_TREE_LT: return x < n->value;
    case MBR_TREE_GTE: return x >= n->value;
    case MBR_TREE_GT: return x > n->value;
    case MBR_TREE_EQ: return x == n->value;
    case MBR_TREE_NEQ: return x != n->value;
    case MBR_TREE_MEMBER:
        for (uint32_t k = e->member_first[n->source]; k < e->member_first[n->source + 1]; k++)
            if (e->member[k] == x)
                return true;
        return false;
    case MBR_TREE_LEAF: break;
    }
    return false;
}

static void wide_tree(const mbr_tree_ensemble *e, size_t tree, const void *row, double *scores)
{
    const tree_wide *n = &e->wide_nodes[e->roots[tree].node];
    while (n->feature >= 0) {
        double x = e->f64 ? ((const double *)row)[n->feature] : (double)((const float *)row)[n->feature];
        n = &e->wide_nodes[n->child + (holds(e, n, x) == n->turned)];
    }
    tree_add_leaf(e, n->child, scores);
}

static void narrow_tree(const mbr_tree_ensemble *e, size_t tree, const float *row, double *scores)
{
    const tree_node *n = e->narrow_nodes + e->roots[tree].node;
    while (n->child) {
        size_t copy = n->feature / e->features;
        float x = row[n->feature - copy * e->features];
        if (isnan(x))
            x = e->nan_as[copy];
        n += n->child + !(x <= n->t);
    }
    if (e->direct)
        scores[e->roots[tree].target] += (double)n->t;
    else
        tree_add_leaf(e, e->leaf_number[n - e->narrow_nodes], scores);
}

void mbr_tree_ref(const mbr_tree_ensemble *e, const void *rows, ptrdiff_t row_stride, double *scores, size_t first,
                  size_t last)
{
    size_t size = e->f64 ? sizeof(double) : sizeof(float);
    for (size_t r = first; r < last; r++) {
        const void *row = (const char *)rows + (ptrdiff_t)r * row_stride * (ptrdiff_t)size;
        double *out = scores + r * e->targets;
        mbr_tree_start(e, out, 1);
        for (size_t t = 0; t < e->trees; t++) {
            if (e->narrow)
                narrow_tree(e, t, row, out);
            else
                wide_tree(e, t, row, out);
        }
        mbr_tree_finish(e, out, 1);
    }
}
