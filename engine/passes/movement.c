/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A Transpose of what a Transpose made, with Reshapes between the two, is one Transpose, or none: cut axes so finely
 * that the Reshapes only split and merge whole ones, and both only change the order of these.
 *
 *     x -> mbr.Regroup (splits axes, a view) -> Transpose -> mbr.Regroup (merges axes, a view)
 *
 * DepthToSpace and SpaceToDepth are such orders, too. Axes of size 1 move for free: a Transpose of nothing else is a
 * view. Sizes may be symbols where they are provably the same.
 */
#include "engine/infer.h"
#include "engine/ops/op.h"
#include "engine/passes/pass.h"

#include <string.h>

/* What a node moves: parts of its input's axes, in another order. Those of size 1 are left out. */
typedef struct movement {
    int n;
    mbr_dim dims[MBR_MAX_RANK];
    int of[MBR_MAX_RANK];   /* the axis of the input that it is a part of */
    int perm[MBR_MAX_RANK]; /* part i of the output is part perm[i] of the input */
    int to[MBR_MAX_RANK];   /* the axis of the output that this is a part of */
} movement;

/* From n parts, without those of size 1. False where a size is 0 or unknown. */
static bool set(movement *m, int n, const mbr_dim *dims, const int *of, const int *perm, const int *to)
{
    int place[MBR_MAX_RANK], k = 0;
    m->n = 0;
    for (int i = 0; i < n; i++) {
        if (dims[i] == 0 || !mbr_dim_is_known(dims[i]))
            return false;
        place[i] = m->n;
        m->dims[m->n] = dims[i];
        m->of[m->n] = of[i];
        m->n += dims[i] != 1;
    }
    for (int i = 0; i < n; i++)
        if (dims[perm[i]] != 1) {
            m->perm[k] = place[perm[i]];
            m->to[k++] = to[i];
        }
    return true;
}

static bool of_transpose(const mbr_ir_node *n, movement *m)
{
    const mbr_ir_type *x = &n->inputs[0]->type;
    int each[MBR_MAX_RANK], perm[MBR_MAX_RANK];
    size_t count;
    const int64_t *list = mbr_attr_ints(n, "perm", &count);
    for (int i = 0; i < x->rank; i++) {
        each[i] = i;
        perm[i] = list ? (int)(list[i] < 0 ? list[i] + x->rank : list[i]) : x->rank - 1 - i;
    }
    return set(m, x->rank, x->dims, each, perm, each);
}

static bool of_blocks(const mbr_ir_node *n, bool to_space, movement *m)
{
    static const int perm[2][2][6] = { { { 0, 3, 5, 1, 2, 4 }, { 0, 1, 3, 5, 2, 4 } },
                                       { { 0, 3, 4, 1, 5, 2 }, { 0, 1, 4, 2, 5, 3 } } };
    static const int wide[6] = { 0, 1, 2, 2, 3, 3 }, deep[6] = { 0, 1, 1, 1, 2, 3 };
    const mbr_dim *x = n->inputs[0]->type.dims, *y = n->outputs[0]->type.dims, b = mbr_attr_int(n, "blocksize", 1);
    bool crd = strcmp(mbr_attr_string(n, "mode", "DCR"), "CRD") == 0;
    const mbr_dim dims[2][6] = { { x[0], x[1], y[2], b, y[3], b },
                                 { x[0], crd ? y[1] : b, b, crd ? b : y[1], x[2], x[3] } };
    return set(m, 6, dims[to_space], to_space ? deep : wide, perm[to_space][crd], to_space ? wide : deep);
}

static bool movement_of(const mbr_ir_node *n, movement *m)
{
    bool transpose = mbr_node_is(n, "", "Transpose"), to_space = mbr_node_is(n, "", "DepthToSpace");
    if (!transpose && !to_space && !mbr_node_is(n, "", "SpaceToDepth"))
        return false;
    const mbr_ir_value *x = n->inputs[0], *y = n->outputs[0];
    return x && y && x->type.kind == MBR_KIND_TENSOR && x->type.rank >= 0 && y->type.rank >= 0 &&
           (transpose ? of_transpose(n, m) : of_blocks(n, to_space, m));
}

static bool moves_nothing(const movement *m)
{
    for (int i = 0; i < m->n; i++)
        if (m->perm[i] != i)
            return false;
    return true;
}

/* --- one after the other --- */

/* Parts of two lists of axes over the same numbers; each is a part of axis a of one and b of the other. */
typedef struct parts {
    int n;
    mbr_dim dims[MBR_MAX_RANK];
    int a[MBR_MAX_RANK], b[MBR_MAX_RANK];
} parts;

static bool add_part(parts *p, mbr_dim size, int a, int b)
{
    if (p->n == MBR_MAX_RANK)
        return false;
    p->dims[p->n] = size;
    p->a[p->n] = a;
    p->b[p->n++] = b;
    return true;
}

/* The parts of a[i .. i_end-1] and b[k .. k_end-1], whose products are the same. */
static bool cut(parts *p, const mbr_dim *a, int i, int i_end, const mbr_dim *b, int k, int k_end)
{
    bool one = i_end - i == 1, other = k_end - k == 1, fits = true;
    if (one || other) {
        for (; i < i_end && k < k_end && fits; one ? k++ : i++)
            fits = add_part(p, one ? b[k] : a[i], i, k);
        return fits;
    }
    for (mbr_dim x = a[i], y = b[k];;) { /* what is left of either; the smaller one cuts the other */
        mbr_dim least = x < y ? x : y;
        if (!mbr_dim_is_const(least) || x % least || y % least || !add_part(p, least, i, k))
            return false;
        x /= least;
        y /= least;
        if (x == 1 && ++i < i_end)
            x = a[i];
        if (y == 1 && ++k < k_end)
            y = b[k];
        if (i == i_end || k == k_end)
            return true;
    }
}

static mbr_dim product(mbr_dim_table *t, const mbr_dim *dims, int from, int end)
{
    mbr_dim p = 1;
    for (; from < end; from++)
        p = mbr_dim_mul(t, p, dims[from]);
    return p;
}

/* The parts of a and b: in each of the shortest stretches whose products are the same. */
static bool cut_all(mbr_dim_table *t, const mbr_dim *a, int na, const mbr_dim *b, int nb, parts *p)
{
    int i = 0, k = 0;
    p->n = 0;
    while (i < na && k < nb) {
        int taken = 0, most = na - i + nb - k, of_a = 0;
        for (int both = 2; both <= most && !taken; both++)
            for (int u = 1; u < both && !taken; u++)
                if (i + u <= na && k + both - u <= nb) {
                    mbr_dim x = product(t, a, i, i + u);
                    if (mbr_dim_is_known(x) && x == product(t, b, k, k + both - u)) {
                        taken = both;
                        of_a = u;
                    }
                }
        if (!taken || !cut(p, a, i, i + of_a, b, k, k + taken - of_a))
            return false;
        i += of_a;
        k += taken - of_a;
    }
    return i == na && k == nb;
}

/* first, then second; parts that stay side by side in one axis are one. */
static bool compose(mbr_dim_table *t, const movement *first, const movement *second, movement *m)
{
    mbr_dim between[MBR_MAX_RANK];
    int place[MBR_MAX_RANK], n = 0;
    parts p;
    movement fine = { .n = 0 };
    for (int i = 0; i < first->n; i++)
        between[i] = first->dims[first->perm[i]];
    if (!cut_all(t, between, first->n, second->dims, second->n, &p))
        return false;
    for (int a = 0; a < first->n; a++)
        for (int k = 0; k < p.n; k++)
            if (first->perm[p.a[k]] == a) {
                place[k] = fine.n;
                fine.dims[fine.n] = p.dims[k];
                fine.of[fine.n++] = first->of[a];
            }
    for (int i = 0; i < second->n; i++)
        for (int k = 0; k < p.n; k++)
            if (p.b[k] == second->perm[i]) {
                fine.perm[n] = place[k];
                fine.to[n++] = second->to[i];
            }
    bool joins[MBR_MAX_RANK] = { false }; /* part i of the input is behind its neighbour afterwards, too */
    int at[MBR_MAX_RANK];
    for (int i = 1; i < n; i++) {
        int x = fine.perm[i];
        joins[x] = x && fine.perm[i - 1] == x - 1 && fine.of[x] == fine.of[x - 1] && fine.to[i] == fine.to[i - 1];
    }
    m->n = 0;
    for (int x = 0; x < n; x++) {
        if (joins[x]) {
            m->dims[m->n - 1] = mbr_dim_mul(t, m->dims[m->n - 1], fine.dims[x]);
            continue;
        }
        at[x] = m->n;
        m->dims[m->n] = fine.dims[x];
        m->of[m->n++] = fine.of[x];
    }
    n = 0;
    for (int i = 0; i < fine.n; i++)
        if (!joins[fine.perm[i]]) {
            m->perm[n] = at[fine.perm[i]];
            m->to[n++] = fine.to[i];
        }
    return true;
}

/* --- as nodes --- */

/*
 * Can mbr.Regroup split the axes of x like this, and merge parts to those of y? Of what an axis is split into only one
 * size may be a symbol.
 */
static bool splits(mbr_dim_table *t, const movement *m, const mbr_ir_type *x, int64_t *counts, int64_t *sizes)
{
    for (int axis = 0, i = 0; axis < x->rank; axis++) {
        mbr_dim fixed = 1, open = 1;
        counts[axis] = 0;
        for (; i < m->n && m->of[i] == axis; i++, counts[axis]++) {
            sizes[i] = mbr_dim_is_const(m->dims[i]) ? m->dims[i] : -1;
            if (sizes[i] < 0 && open != 1)
                return false;
            *(sizes[i] < 0 ? &open : &fixed) = sizes[i] < 0 ? m->dims[i] : mbr_dim_mul(t, fixed, m->dims[i]);
        }
        if (open != 1 ? mbr_dim_div(t, x->dims[axis], fixed) != open : fixed != x->dims[axis])
            return false;
    }
    return true;
}

static bool merges(mbr_dim_table *t, const movement *m, const mbr_ir_type *y, int64_t *counts)
{
    for (int axis = 0, i = 0; axis < y->rank; axis++) {
        mbr_dim size = 1;
        for (counts[axis] = 0; i < m->n && m->to[i] == axis; i++, counts[axis]++)
            size = mbr_dim_mul(t, size, m->dims[m->perm[i]]);
        if (size != y->dims[axis])
            return false;
    }
    return true;
}

static bool all_one(const int64_t *counts, int n)
{
    for (int i = 0; i < n; i++)
        if (counts[i] != 1)
            return false;
    return true;
}

/* What v becomes by a node before `before`; lists that are NULL are left out. */
static mbr_status regroup(mbr_ir_node *before, const int64_t *split, int n_split, const int64_t *sizes, int n_sizes,
                          const int64_t *merge, int n_merge, mbr_ir_value **v, mbr_error *err)
{
    mbr_ir_node *made;
    MBR_TRY(mbr_ir_node_new(before->graph, before, "mbr", "Regroup", 1, NULL, v, 1, NULL, 1, &made, err));
    if (split) {
        MBR_TRY(mbr_ir_attr_ints(made, "split", split, (size_t)n_split, err));
        MBR_TRY(mbr_ir_attr_ints(made, "sizes", sizes, (size_t)n_sizes, err));
    }
    if (merge)
        MBR_TRY(mbr_ir_attr_ints(made, "merge", merge, (size_t)n_merge, err));
    made->origin = before->origin;
    *v = made->outputs[0];
    return mbr_infer_node(made, err);
}

/* Does what m says to x in the place of n. */
static mbr_status replace(mbr_ir_node *n, mbr_ir_value *x, const movement *m, bool *changed, mbr_error *err)
{
    int64_t split[MBR_MAX_RANK], sizes[MBR_MAX_RANK], perm[MBR_MAX_RANK], merge[MBR_MAX_RANK];
    mbr_dim_table *t = &n->graph->module->dims;
    const mbr_ir_value *source = x;
    const mbr_ir_type *y = &n->outputs[0]->type;
    int rank = x->type.rank;
    if (!splits(t, m, &x->type, split, sizes) || !merges(t, m, y, merge))
        return MBR_OK;
    bool splits_any = !all_one(split, rank), merges_any = !all_one(merge, y->rank), moves = !moves_nothing(m);
    if (n->outputs[0]->is_output && !splits_any && !merges_any && !moves && (!x->producer || x->is_output))
        return MBR_OK; /* an output has a producer of its own */
    if (splits_any || (merges_any && !moves))
        MBR_TRY(regroup(n, splits_any ? split : NULL, rank, sizes, m->n, merges_any && !moves ? merge : NULL, y->rank,
                        &x, err));
    if (moves) {
        mbr_ir_node *made;
        for (int i = 0; i < m->n; i++)
            perm[i] = m->perm[i];
        MBR_TRY(mbr_ir_node_new(n->graph, n, "", "Transpose", 13, NULL, &x, 1, NULL, 1, &made, err));
        MBR_TRY(mbr_ir_attr_ints(made, "perm", perm, (size_t)m->n, err));
        made->origin = n->origin;
        x = made->outputs[0];
        MBR_TRY(mbr_infer_node(made, err));
        if (merges_any)
            MBR_TRY(regroup(n, NULL, 0, NULL, 0, merge, y->rank, &x, err));
    }
    mbr_ir_value *read = n->inputs[0];
    mbr_ir_replace_uses(n->outputs[0], x);
    mbr_ir_node_remove(n);
    while (read != source && !read->uses) { /* what led to it */
        mbr_ir_node *gone = read->producer;
        read = gone->inputs[0];
        mbr_ir_node_remove(gone);
    }
    *changed = true;
    return MBR_OK;
}

mbr_status mbr_pass_movement(mbr_ir_graph *g, bool *changed, mbr_error *err)
{
    for (mbr_ir_node *n = g->first, *next; n; n = next) {
        movement last, before, both;
        next = n->next;
        if (!movement_of(n, &last) || !n->outputs[0]->uses)
            continue;
        mbr_ir_value *v = n->inputs[0];
        bool alone = v->uses == 1;
        while (v->producer && (v->producer->op->flags & MBR_OP_VIEW) && v->producer->inputs[0]) {
            v = v->producer->inputs[0];
            alone &= v->uses == 1;
        }
        if (movement_of(v->producer, &before) && compose(&g->module->dims, &before, &last, &both) &&
            (alone || moves_nothing(&both)))
            MBR_TRY(replace(n, v->producer->inputs[0], &both, changed, err));
        else if (moves_nothing(&last))
            MBR_TRY(replace(n, n->inputs[0], &last, changed, err));
    }
    return MBR_OK;
}
