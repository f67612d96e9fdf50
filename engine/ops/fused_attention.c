/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mbr.Attention: softmax(scale * q k^T + mask) v of f32 as exporters spell it out, in one pass; rules make it.
 *
 *     q, k, v, mask (absent: none) -> y
 *
 * Q (batch, heads, lq, d), K^T (batch, kv_heads, d, lk), V (batch, kv_heads, lk, dv) and the answer
 * (batch, heads, lq, dv), or all of them without heads, are what Transposes by q_axes, k_axes and v_axes make of the
 * inputs, and y what one by y_axes makes of the answer: the kernel reads and writes through strides, so that none is
 * done. An absent list is no Transpose. d and dv are the last axes of what lies in memory. Query head h uses key head
 * h / (heads / kv_heads). The mask is added to (batch, heads, lq, lk), where its axes of 1 repeat.
 *
 * A row whose scores are all -inf becomes NaN, as softmax has it; with clean = 1 such a row, and one with a NaN among its
 * weights, become zeros.
 */
#include "engine/ops/attend.h"
#include "base/checked.h"

#include <math.h>
#include <string.h>

typedef struct fused_state {
    mbr_attend attend; /* first */
    mbr_buffer panels;
    size_t blocks, per_tile; /* of one sample, 0: no panels; of the first phase */
} fused_state;

enum { IN_Q, IN_K, IN_V, IN_MASK };
enum { BATCH, HEADS, ROWS, COLS }; /* of the four: K^T has d in ROWS and lk in COLS */

/* The lists of inputs and answer, and which of the four is the last axis in memory. */
static const struct {
    const char *name;
    int dense;
} lists[] = { { "q_axes", COLS }, { "k_axes", ROWS }, { "v_axes", COLS }, { "y_axes", COLS } };

/* Axis i of rank 3 or 4 as one of the four. */
static int one_of_four(int rank, int i)
{
    return rank == 3 && i > 0 ? i + 1 : i;
}

/* Where the four lie in memory: axes[HEADS] is -1 where there is none. False: the list does not fit. */
static bool axes_of(const mbr_ir_node *node, size_t list, int rank, int *axes)
{
    size_t n;
    const int64_t *axis = mbr_attr_ints(node, lists[list].name, &n);
    uint32_t seen = 0;
    if ((rank != 3 && rank != 4) || (axis && n != (size_t)rank))
        return false;
    axes[HEADS] = -1;
    for (int i = 0; i < rank; i++) {
        int a = axis && axis[i] >= 0 && axis[i] < rank ? (int)axis[i] : axis ? 0 : i;
        if (list == 3) /* from the answer to y */
            axes[one_of_four(rank, a)] = i;
        else
            axes[one_of_four(rank, i)] = a;
        seen |= 1u << a;
    }
    return seen == (1u << rank) - 1 && axes[lists[list].dense] == rank - 1;
}

static bool heads_fit(mbr_dim q, mbr_dim k)
{
    return q == k || (mbr_dim_is_known(q) && mbr_dim_is_const(q) && mbr_dim_is_const(k) && k != 0 && q % k == 0);
}

static mbr_status infer(mbr_infer *c)
{
    mbr_dim d[3][4], out[4];
    int rank = c->in[IN_Q].rank, axes[4];
    for (uint32_t i = 0; i < c->n_in; i++)
        if (c->in[i].present && c->in[i].dtype != MBR_DTYPE_F32)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "input %u is %s; f32 is due", (unsigned)i,
                                  mbr_dtype_name(c->in[i].dtype));
    for (size_t i = 0; i < 3; i++) {
        if (c->in[i].rank != rank || !axes_of(c->node, i, rank, axes))
            return mbr_infer_fail(c, MBR_ERR_MODEL, "%s does not fit an input of rank %d", lists[i].name,
                                  c->in[i].rank);
        for (int k = 0; k < 4; k++)
            d[i][k] = axes[k] < 0 ? 1 : c->in[i].dims[axes[k]];
    }
    if (!axes_of(c->node, 3, rank, axes))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "y_axes does not fit rank %d", rank);
    if (!mbr_dim_is_known(d[IN_Q][BATCH]) || d[IN_Q][BATCH] != d[IN_K][BATCH] || d[IN_K][BATCH] != d[IN_V][BATCH] ||
        !mbr_dim_is_known(d[IN_K][HEADS]) || d[IN_K][HEADS] != d[IN_V][HEADS] ||
        !heads_fit(d[IN_Q][HEADS], d[IN_K][HEADS]))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "batch or heads of Q, K and V do not agree");
    if (mbr_infer_has(c, IN_MASK) && (c->in[IN_MASK].rank < 0 || c->in[IN_MASK].rank > rank))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "a mask of rank %d", c->in[IN_MASK].rank);
    d[IN_Q][COLS] = d[IN_V][COLS];
    for (int k = 0; k < 4; k++)
        if (axes[k] >= 0)
            out[axes[k]] = d[IN_Q][k];
    mbr_infer_out(c, 0, MBR_DTYPE_F32, rank, out);
    return MBR_OK;
}

/* Sizes and strides of the four of a value. */
static void view(const mbr_step *s, const mbr_value *v, size_t list, size_t *dims, ptrdiff_t *stride)
{
    ptrdiff_t dense[4];
    size_t all[4] = { 0 };
    int axes[4];
    axes_of(s->node, list, v->rank, axes);
    for (int i = 0; i < v->rank; i++)
        all[i] = mbr_value_entries(v, i);
    mbr_dense_strides(v->rank, all, dense);
    for (int k = 0; k < 4; k++) {
        dims[k] = axes[k] < 0 ? 1 : (size_t)v->dims[axes[k]];
        stride[k] = axes[k] < 0 ? 0 : dense[axes[k]];
    }
}

static void set_key_strides(const mbr_step *s, mbr_attention_any_args *a)
{
    ptrdiff_t k[4], v[4];
    size_t dims[4];
    view(s, s->in[IN_K], 1, dims, k);
    view(s, s->in[IN_V], 2, dims, v);
    memcpy(a->k_stride, k, sizeof a->k_stride);
    a->k_stride[2] = k[COLS];
    memcpy(a->v_stride, v, sizeof a->v_stride);
}

static mbr_status plan_mask(mbr_step *s, mbr_attention_any_args *a, int rank, mbr_error *err)
{
    const mbr_value *m = s->in[IN_MASK];
    const size_t want[4] = { a->batch, a->heads, a->lq, a->lk };
    ptrdiff_t step = 1;
    for (int j = m->rank - 1; j >= 0; j--) {
        int k = one_of_four(rank, j + rank - m->rank);
        size_t n = (size_t)m->dims[j];
        if (n != 1 && n != want[k])
            return mbr_step_fail(s, err, MBR_ERR_RUN, "axis %d of the mask is %zu, not %zu", j, n, want[k]);
        a->mask_stride[k] = n == 1 ? 0 : step;
        step *= (ptrdiff_t)n;
    }
    return MBR_OK;
}

/* Where keys are packed once for all, a first phase does it. */
static mbr_status plan_panels(mbr_step *s, fused_state *st, mbr_error *err)
{
    mbr_attention_args *one = &st->attend.one;
    const mbr_attention_any_args *a = &st->attend.any;
    size_t each = st->attend.fast ? mbr_attention_panels(one) : 0, bytes, tiles = s->tiles[0];
    double cost = s->cost_ns;
    st->blocks = 0;
    if (each == 0 || a->batch == 0)
        return MBR_OK;
    if (!mbr_mul_size(each, a->batch, &bytes))
        return mbr_no_memory(err, SIZE_MAX);
    MBR_TRY(mbr_buffer_reserve(s, &st->panels, bytes, err));
    one->panels = st->panels.data;
    st->blocks = mbr_attention_blocks(one);
    st->per_tile = mbr_step_split(s, st->blocks * a->batch, (double)bytes / (double)(st->blocks * a->batch) / 10);
    s->phases = 2;
    s->tiles[1] = tiles;
    s->cost_ns += cost;
    return MBR_OK;
}

/* Packs blocks of keys and values, counted over all samples. */
static void pack_blocks(const fused_state *st, const mbr_attention_any_args *now, size_t first, size_t last)
{
    mbr_attention_args f = st->attend.one;
    f.pack = true;
    memcpy(f.k_stride, now->k_stride, sizeof f.k_stride);
    memcpy(f.v_stride, now->v_stride, sizeof f.v_stride);
    for (; first < last; first++) {
        size_t b = first / st->blocks, i = first % st->blocks;
        f.k = (const float *)now->k + (ptrdiff_t)b * f.k_stride[0];
        f.v = (const float *)now->v + (ptrdiff_t)b * f.v_stride[0];
        f.panels = st->attend.one.panels + b * (mbr_attention_panels(&f) / sizeof(float));
        mbr_attention_select(mbr_cpu_tiers())(&f, NULL, i, i + 1);
    }
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    fused_state *st = s->state;
    mbr_attend *attend = &st->attend;
    mbr_attention_any_args *a = &attend->any;
    size_t q[4], k[4], v[4], y[4];
    ptrdiff_t stride[4][4];
    memset(a, 0, sizeof *a);
    view(s, s->in[IN_Q], 0, q, stride[0]);
    view(s, s->in[IN_K], 1, k, stride[1]);
    view(s, s->in[IN_V], 2, v, stride[2]);
    view(s, s->out[0], 3, y, stride[3]);
    if (q[COLS] != k[ROWS] || k[COLS] != v[ROWS] || q[BATCH] != k[BATCH] || k[BATCH] != v[BATCH] ||
        k[HEADS] != v[HEADS] || k[HEADS] == 0 || q[HEADS] % k[HEADS])
        return mbr_step_fail(s, err, MBR_ERR_RUN, "the shapes of Q, K and V do not belong together");
    *a = (mbr_attention_any_args){ .dtype = MBR_DTYPE_F32, .mask_dtype = MBR_DTYPE_F32, .batch = q[BATCH],
                                   .heads = q[HEADS], .kv_heads = k[HEADS], .lq = q[ROWS], .lk = k[COLS],
                                   .d = q[COLS], .dv = v[COLS], .left = -1, .right = -1, .mask_cols = k[COLS],
                                   .scale = (double)mbr_attr_float(s->node, "scale", 1.0f) };
    memcpy(a->q_stride, stride[0], sizeof a->q_stride);
    set_key_strides(s, a);
    memcpy(a->out_stride, stride[3], sizeof a->out_stride);
    if (mbr_step_has(s, IN_MASK))
        MBR_TRY(plan_mask(s, a, s->in[IN_Q]->rank, err));
    mbr_attend_plan(s, attend, false);
    attend->one.clean = mbr_attr_int(s->node, "clean", 0) != 0;
    attend->one.empty = attend->one.clean ? 0.0f : NAN;
    return plan_panels(s, st, err);
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const fused_state *st = s->state;
    mbr_attention_any_args a = st->attend.any;
    (void)err;
    a.k = s->in[IN_K]->data;
    a.v = s->in[IN_V]->data;
    set_key_strides(s, &a); /* room comes and goes with no shape changed */
    if (s->phases == 2 && job->phase == 0) {
        size_t all = st->blocks * a.batch, last = job->last * st->per_tile;
        pack_blocks(st, &a, job->first * st->per_tile, last < all ? last : all);
        return MBR_OK;
    }
    a.q = s->in[IN_Q]->data;
    a.mask = mbr_step_has(s, IN_MASK) ? s->in[IN_MASK]->data : NULL;
    a.out = s->out[0]->data;
    mbr_attend_run(&st->attend, &a, job);
    return MBR_OK;
}

static void fini(mbr_step *s)
{
    fused_state *st = s->state;
    mbr_buffer_free(s, &st->panels);
}

const mbr_op mbr_ops_fused_attention[] = {
    { .domain = "mbr", .name = "Attention", .since = 1, .min_in = 3, .max_in = 4, .min_out = 1, .max_out = 1,
      .infer = infer, .prepare = prepare, .run = run, .fini = fini, .state_size = sizeof(fused_state),
      .roomy_inputs = 1u << IN_K | 1u << IN_V },
    { 0 },
};
