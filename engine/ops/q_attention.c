/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * com.microsoft's QAttention: queries, keys and values as one product of quantised matrices, then attention in f32.
 * Phases: scales (and packing of the weight where it is no constant), the product, what has to be brought together
 * (a mask of the mask index, keys and values with the past before them), the attention.
 */
#include "base/checked.h"
#include "engine/ops/attend.h"
#include "kernels/packed.h"
#include "kernels/qgemm.h"

#include <math.h>
#include <string.h>

enum { IN_X, IN_WEIGHT, IN_BIAS, IN_X_SCALE, IN_WEIGHT_SCALE, IN_MASK, IN_X_ZERO, IN_WEIGHT_ZERO, IN_PAST };
enum { PHASE_PACK, PHASE_PRODUCT, PHASE_GATHER, PHASE_ATTEND };

/* What pack leaves: this header, then the weight. */
typedef struct packed_b {
    uint32_t kernel; /* kernels/packed.h */
} packed_b;

typedef struct state {
    mbr_attend attend;
    const mbr_qgemm_kernel *kernel;
    mbr_qgemm_args gemm;
    mbr_buffer weight, qkv, scale, mask, keys;
    size_t batch, tokens, past, heads, size, panels; /* size: of a head */
    size_t per_tile[2]; /* of the first two phases */
    bool together;      /* keys and values are copied behind the past */
    size_t mask_rows;   /* 0: no mask; 1 or tokens */
} state;

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *x = &c->in[IN_X], *w = &c->in[IN_WEIGHT];
    int64_t heads = mbr_attr_int(c->node, "num_heads", 0);
    mbr_dim out[3] = { MBR_DIM_UNKNOWN, MBR_DIM_UNKNOWN, MBR_DIM_UNKNOWN };
    mbr_dim present[5] = { 2, MBR_DIM_UNKNOWN, heads, MBR_DIM_UNKNOWN, MBR_DIM_UNKNOWN };
    for (uint32_t i = 0; i < 2; i++)
        if (c->in[i].dtype && c->in[i].dtype != MBR_DTYPE_U8 && c->in[i].dtype != MBR_DTYPE_I8)
            return mbr_infer_fail(c, MBR_ERR_UNSUPPORTED, "input %u is %s; bytes are due", i,
                                  mbr_dtype_name(c->in[i].dtype));
    if (heads < 1 || heads > INT32_MAX)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "num_heads is %lld", (long long)heads);
    if ((x->rank >= 0 && x->rank != 3) || (w->rank >= 0 && w->rank != 2))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "an input of rank %d and a weight of rank %d", x->rank, w->rank);
    if (w->rank == 2 && mbr_dim_is_const(w->dims[1])) {
        if (w->dims[1] % (3 * heads))
            return mbr_infer_fail(c, MBR_ERR_MODEL, "%lld columns for 3 times %lld heads", (long long)w->dims[1],
                                  (long long)heads);
        out[2] = w->dims[1] / 3;
        present[4] = out[2] / heads;
    }
    if (x->rank == 3) {
        out[0] = present[1] = x->dims[0];
        out[1] = x->dims[1];
        present[3] = !mbr_infer_has(c, IN_PAST)    ? x->dims[1]
                     : c->in[IN_PAST].rank == 5 ? mbr_dim_add(c->dims, x->dims[1], c->in[IN_PAST].dims[3])
                                                   : MBR_DIM_UNKNOWN;
    }
    mbr_infer_out(c, 0, MBR_DTYPE_F32, 3, out);
    mbr_infer_out(c, 1, MBR_DTYPE_F32, 5, present);
    return MBR_OK;
}

/* How the mask index is meant follows from its shape. */
static mbr_status check_mask(mbr_step *s, state *t, mbr_error *err)
{
    const mbr_value *m = mbr_step_has(s, IN_MASK) ? s->in[IN_MASK] : NULL;
    size_t total = t->past + t->tokens;
    t->mask_rows = 0;
    if (!m)
        return MBR_OK;
    bool ends = m->rank == 1 && ((size_t)m->dims[0] == t->batch || (size_t)m->dims[0] == 2 * t->batch);
    bool keys = m->rank == 2 && (size_t)m->dims[0] == t->batch && (size_t)m->dims[1] == total;
    bool pairs = m->rank == 3 && (size_t)m->dims[0] == t->batch && (size_t)m->dims[1] == t->tokens &&
                 (size_t)m->dims[2] == total;
    if (m->dtype != MBR_DTYPE_I32 || (!ends && !keys && !pairs))
        return mbr_step_fail(s, err, MBR_ERR_UNSUPPORTED, "a mask index of this shape or type");
    t->mask_rows = pairs ? t->tokens : 1;
    return mbr_buffer_reserve(s, &t->mask, t->batch * t->mask_rows * total * sizeof(float) + 1, err);
}

static mbr_status check(mbr_step *s, state *t, size_t columns, mbr_error *err)
{
    const mbr_value *x = s->in[IN_X], *w = s->in[IN_WEIGHT], *past = mbr_step_has(s, IN_PAST) ? s->in[IN_PAST] : NULL;
    size_t scales = mbr_value_count(s->in[IN_WEIGHT_SCALE]);
    size_t zeros = mbr_step_has(s, IN_WEIGHT_ZERO) ? mbr_value_count(s->in[IN_WEIGHT_ZERO]) : 1;
    if (w->dims[0] != x->dims[2] || columns % (3 * t->heads) || s->in[IN_BIAS]->dtype != MBR_DTYPE_F32 ||
        mbr_value_count(s->in[IN_BIAS]) != columns || mbr_value_count(s->in[IN_X_SCALE]) != 1 ||
        (scales != 1 && scales != columns) || (zeros != 1 && zeros != columns) ||
        (mbr_step_has(s, IN_X_ZERO) && mbr_value_count(s->in[IN_X_ZERO]) != 1))
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "weight, bias, scales or zero points do not fit each other");
    if (past && (past->rank != 5 || past->dtype != MBR_DTYPE_F32 || past->dims[0] != 2 ||
                 (size_t)past->dims[1] != t->batch || (size_t)past->dims[2] != t->heads ||
                 (size_t)past->dims[4] != t->size))
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "the past does not fit");
    t->past = past ? (size_t)past->dims[3] : 0;
    return check_mask(s, t, err);
}

/* Sizes, strides and options of the attention over what the product leaves. */
static void plan_attention(mbr_step *s, state *t)
{
    mbr_attention_any_args *a = &t->attend.any;
    size_t total = t->past + t->tokens, hidden = t->heads * t->size;
    float scale = mbr_attr_float(s->node, "scale", 0);
    *a = (mbr_attention_any_args){ .dtype = MBR_DTYPE_F32, .mask_dtype = MBR_DTYPE_F32, .batch = t->batch,
                                   .heads = t->heads, .kv_heads = t->heads, .lq = t->tokens, .lk = total, .d = t->size,
                                   .dv = t->size, .left = -1, .right = -1, .mask_cols = total,
                                   .causal = mbr_attr_int(s->node, "unidirectional", 0) != 0,
                                   .offset = (int64_t)t->past,
                                   .scale = scale != 0 ? (double)scale : 1.0 / sqrt((double)t->size) };
    const ptrdiff_t inside[3] = { (ptrdiff_t)(t->tokens * 3 * hidden), (ptrdiff_t)t->size, (ptrdiff_t)(3 * hidden) };
    memcpy(a->q_stride, inside, sizeof inside);
    memcpy(a->k_stride, inside, sizeof inside);
    memcpy(a->v_stride, inside, sizeof inside);
    if (t->together) {
        mbr_attend_strides(false, t->heads, total, t->size, a->k_stride);
        mbr_attend_strides(false, t->heads, total, t->size, a->v_stride);
    }
    mbr_attend_strides(true, t->heads, t->tokens, t->size, a->out_stride);
    if (t->mask_rows) {
        a->mask_stride[0] = (ptrdiff_t)(t->mask_rows * total);
        a->mask_stride[2] = t->mask_rows > 1 ? (ptrdiff_t)total : 0;
        a->mask_stride[3] = 1;
    }
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    state *t = s->state;
    const packed_b *packed = s->packed;
    const mbr_value *x = s->in[IN_X], *w = s->in[IN_WEIGHT];
    size_t columns = (size_t)w->dims[1], depth = (size_t)w->dims[0], tiles[MBR_MAX_PHASES], bytes;
    t->heads = (size_t)mbr_attr_int(s->node, "num_heads", 1);
    t->batch = (size_t)x->dims[0];
    t->tokens = (size_t)x->dims[1];
    t->size = columns / 3 / t->heads;
    MBR_TRY(check(s, t, columns, err));
    t->together = t->past || mbr_step_wants(s, 1);
    size_t rows = t->batch * t->tokens, total = t->past + t->tokens;
    t->kernel = packed ? mbr_packed_kernel(packed->kernel) : mbr_qgemm_select(mbr_cpu_tiers());
    t->panels = packed ? 0 : (columns + t->kernel->nr - 1) / t->kernel->nr;
    if (!mbr_mul_size(rows, columns * sizeof(float), &bytes))
        return mbr_no_memory(err, SIZE_MAX);
    MBR_TRY(mbr_buffer_reserve(s, &t->qkv, bytes + 1, err));
    MBR_TRY(mbr_buffer_reserve(s, &t->scale, columns * sizeof(float) + 1, err));
    if (!packed)
        MBR_TRY(mbr_buffer_reserve(s, &t->weight, t->kernel->pack_size(depth, columns) + 1, err));
    if (t->together)
        MBR_TRY(mbr_buffer_reserve(s, &t->keys, 2 * t->batch * t->heads * total * t->size * sizeof(float) + 1, err));
    mbr_qgemm_args *g = &t->gemm;
    *g = (mbr_qgemm_args)MBR_QGEMM_ARGS_INIT;
    g->m = rows;
    g->n = columns;
    g->k = depth;
    g->a_signed = x->dtype == MBR_DTYPE_I8;
    g->lda = (ptrdiff_t)depth;
    g->ldc = (ptrdiff_t)columns;
    g->out.type = MBR_DTYPE_F32;
    plan_attention(s, t);
    mbr_attend_plan(s, &t->attend, false);
    tiles[PHASE_ATTEND] = s->tiles[0];
    double cost = s->cost_ns;
    size_t attend_scratch = s->scratch, units = rows && columns ? t->kernel->tiles(g) : 0;
    t->per_tile[PHASE_PRODUCT] =
        mbr_step_split(s, units, units ? (double)rows * (double)columns * (double)depth / 50 / (double)units : 0);
    tiles[PHASE_PRODUCT] = s->tiles[0];
    cost += s->cost_ns;
    t->per_tile[PHASE_PACK] = 1 + t->panels;
    tiles[PHASE_PACK] = 1;
    tiles[PHASE_GATHER] = t->batch;
    s->phases = 4;
    memcpy(s->tiles, tiles, sizeof tiles);
    s->cost_ns = cost;
    s->scratch = units ? mbr_max_size(attend_scratch, t->kernel->scratch(g)) : attend_scratch;
    return MBR_OK;
}

/* Scales, zero points, and the packed weight where it is no constant. */
static void pack_now(mbr_step *s, state *t)
{
    const mbr_value *w = s->in[IN_WEIGHT], *ws = s->in[IN_WEIGHT_SCALE];
    const mbr_value *wz = mbr_step_has(s, IN_WEIGHT_ZERO) ? s->in[IN_WEIGHT_ZERO] : NULL;
    float *scale = t->scale.data, xs = (float)mbr_value_real(s->in[IN_X_SCALE], 0);
    size_t n = t->gemm.n;
    bool one = mbr_value_count(ws) == 1;
    for (size_t j = 0; j < n; j++)
        scale[j] = xs * (float)mbr_value_real(ws, one ? 0 : j);
    t->gemm.a_zero = mbr_step_has(s, IN_X_ZERO) ? (int32_t)mbr_value_int(s->in[IN_X_ZERO], 0) : 0;
    t->gemm.out.scale = scale;
    t->gemm.out.real_bias = s->in[IN_BIAS]->data;
    if (s->packed)
        return;
    const mbr_qgemm_b b = { .is_signed = w->dtype == MBR_DTYPE_I8, .b = w->data, .stride_p = (ptrdiff_t)n,
                            .stride_j = 1, .zero = wz ? wz->data : NULL, .zero_step = wz && mbr_value_count(wz) > 1 };
    t->kernel->pack(t->weight.data, t->gemm.k, n, &b, 0, n);
}

/* Is key j of batch entry b, seen by query i, there? */
static bool allowed(const mbr_value *m, const state *t, size_t b, size_t i, size_t j)
{
    const int32_t *v = m->data;
    size_t total = t->past + t->tokens;
    if (m->rank == 2)
        return v[b * total + j] != 0;
    if (m->rank == 3)
        return v[(b * t->tokens + i) * total + j] != 0;
    bool starts = (size_t)m->dims[0] == 2 * t->batch && t->batch > 0;
    return (int64_t)j < v[b] && (!starts || (int64_t)j >= v[t->batch + b]);
}

/* One batch entry: the mask, and keys and values behind the past. */
static void gather(mbr_step *s, state *t, size_t b)
{
    size_t total = t->past + t->tokens, hidden = t->heads * t->size;
    if (t->mask_rows) {
        float *mask = (float *)t->mask.data + b * t->mask_rows * total;
        const float filter = mbr_attr_float(s->node, "mask_filter_value", -10000.0f);
        for (size_t i = 0; i < t->mask_rows; i++)
            for (size_t j = 0; j < total; j++)
                mask[i * total + j] = allowed(s->in[IN_MASK], t, b, i, j) ? 0.0f : filter;
    }
    const float *past = mbr_step_has(s, IN_PAST) ? s->in[IN_PAST]->data : NULL;
    for (size_t part = 0; t->together && part < 2; part++)
        for (size_t h = 0; h < t->heads; h++) {
            size_t head = (part * t->batch + b) * t->heads + h;
            float *to = (float *)t->keys.data + head * total * t->size;
            if (past && t->past)
                memcpy(to, past + head * t->past * t->size, t->past * t->size * sizeof *to);
            for (size_t i = 0; i < t->tokens; i++)
                memcpy(to + (t->past + i) * t->size,
                       (const float *)t->qkv.data + (b * t->tokens + i) * 3 * hidden + (part + 1) * hidden + h * t->size,
                       t->size * sizeof *to);
            if (mbr_step_wants(s, 1))
                memcpy((float *)s->out[1]->data + head * total * t->size, to, total * t->size * sizeof *to);
        }
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)err;
    state *t = s->state;
    size_t hidden = t->heads * t->size;
    switch (job->phase) {
    case PHASE_PACK:
        pack_now(s, t);
        break;
    case PHASE_PRODUCT: {
        mbr_qgemm_args g = t->gemm;
        size_t per = t->per_tile[PHASE_PRODUCT], units = t->kernel->tiles(&g), last = job->last * per;
        g.a = s->in[IN_X]->data;
        g.b = s->packed ? (const char *)s->packed + MBR_ALIGN : t->weight.data;
        g.c = t->qkv.data;
        t->kernel->run(&g, job->scratch, job->first * per, last < units ? last : units);
        break;
    }
    case PHASE_GATHER:
        for (size_t b = job->first; b < job->last; b++)
            gather(s, t, b);
        break;
    default: {
        mbr_attention_any_args now = t->attend.any;
        size_t values = t->batch * t->heads * (t->past + t->tokens) * t->size;
        now.q = t->qkv.data;
        now.k = t->together ? (const float *)t->keys.data : (const float *)t->qkv.data + hidden;
        now.v = t->together ? (const float *)t->keys.data + values : (const float *)t->qkv.data + 2 * hidden;
        now.mask = t->mask_rows ? t->mask.data : NULL;
        now.out = s->out[0]->data;
        mbr_attend_run(&t->attend, &now, job);
        break;
    }
    }
    return MBR_OK;
}

static mbr_status pack(mbr_pack *p)
{
    const mbr_ir_node *n = p->node;
    const mbr_value *w = n->inputs[IN_WEIGHT]->has_default ? NULL : n->inputs[IN_WEIGHT]->constant, *zero = NULL;
    bool has_zero = n->n_formal > IN_WEIGHT_ZERO && n->inputs[IN_WEIGHT_ZERO];
    if (has_zero && !n->inputs[IN_WEIGHT_ZERO]->has_default)
        zero = n->inputs[IN_WEIGHT_ZERO]->constant;
    if (!w || w->rank != 2 || mbr_value_count(w) == 0 || (has_zero && !zero) ||
        (zero && mbr_value_count(zero) != 1 && mbr_value_count(zero) != (size_t)w->dims[1]))
        return MBR_OK;
    const mbr_qgemm_kernel *kernel = mbr_qgemm_select(mbr_cpu_tiers());
    size_t k = (size_t)w->dims[0], cols = (size_t)w->dims[1], bytes = kernel->pack_size(k, cols);
    char *block = bytes && bytes < SIZE_MAX - MBR_ALIGN ? mbr_alloc(p->memory, bytes + MBR_ALIGN) : NULL;
    if (!block)
        return mbr_no_memory(p->err, bytes);
    *(packed_b *)(void *)block = (packed_b){ mbr_packed_kernel_number(kernel) };
    const mbr_qgemm_b b = { .is_signed = w->dtype == MBR_DTYPE_I8, .b = w->data, .stride_p = (ptrdiff_t)cols,
                            .stride_j = 1, .zero = zero ? zero->data : NULL,
                            .zero_step = zero && mbr_value_count(zero) > 1 };
    kernel->pack(block + MBR_ALIGN, k, cols, &b, 0, cols);
    p->packed = block;
    p->bytes = bytes + MBR_ALIGN;
    p->packed_inputs = 1u << IN_WEIGHT;
    return MBR_OK;
}

static void fini(mbr_step *s)
{
    state *t = s->state;
    mbr_buffer *all[] = { &t->weight, &t->qkv, &t->scale, &t->mask, &t->keys };
    for (size_t i = 0; i < MBR_COUNT_OF(all); i++)
        mbr_buffer_free(s, all[i]);
}

const mbr_op mbr_ops_q_attention[] = {
    { .domain = "com.microsoft", .name = "QAttention", .since = 1, .min_in = 5, .max_in = 9, .min_out = 1, .max_out = 2,
      .infer = infer, .prepare = prepare, .run = run, .pack = pack, .fini = fini, .state_size = sizeof(state) },
    { 0 },
};
