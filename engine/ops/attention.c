/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Attention of ai.onnx: any number of heads, masks, an internal cache (past and present) or an external one
 * (nonpad_kv_seqlen), windows. Phase 0 joins past and new keys and values and widens the mask where that is needed;
 * phase 1 attends.
 */
#include "engine/ops/attend.h"

#include <math.h>
#include <string.h>

enum { IN_Q, IN_K, IN_V, IN_MASK, IN_PAST_K, IN_PAST_V, IN_KEYS };
enum { OUT_Y, OUT_K, OUT_V, OUT_SCORES };

typedef struct attention_state {
    mbr_attend attend;       /* first, as in every attention: engine/opencl/ reads it */
    bool heads_inside;       /* rank 3: heads lie inside the last dimension */
    bool join;               /* keys and values go to presents first */
    bool widen;              /* the mask is copied to f32, as wide as the keys */
    bool by_sample;          /* each sample has a position of its own */
    size_t past, fresh;      /* keys from the past, and new ones */
    mbr_buffer k, v, mask, offsets;
    size_t mask_rows;        /* of the given mask */
} attention_state;

typedef struct attention_dims {
    mbr_dim batch, heads, kv_heads, lq, lk, d, dv, past;
} attention_dims;

static mbr_status read_dims(mbr_infer *c, attention_dims *a)
{
    const mbr_arg *q = &c->in[IN_Q], *k = &c->in[IN_K], *v = &c->in[IN_V];
    int64_t heads = mbr_attr_int(c->node, "q_num_heads", 0), kv = mbr_attr_int(c->node, "kv_num_heads", 0);
    if (q->rank != k->rank || q->rank != v->rank || (q->rank != 3 && q->rank != 4))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "Q, K and V have ranks %d, %d and %d; all 3 or all 4 are possible",
                              q->rank, k->rank, v->rank);
    a->batch = q->dims[0];
    if (q->rank == 4) {
        *a = (attention_dims){ .batch = q->dims[0], .heads = q->dims[1], .kv_heads = k->dims[1], .lq = q->dims[2],
                               .lk = k->dims[2], .d = q->dims[3], .dv = v->dims[3] };
    } else {
        if (heads < 1 || kv < 1)
            return mbr_infer_fail(c, MBR_ERR_MODEL,
                                  "inputs of rank 3 need the attributes q_num_heads and kv_num_heads");
        if ((mbr_dim_is_const(q->dims[2]) && q->dims[2] % heads) || (mbr_dim_is_const(v->dims[2]) && v->dims[2] % kv) ||
            (mbr_dim_is_const(k->dims[2]) && k->dims[2] % kv))
            return mbr_infer_fail(c, MBR_ERR_MODEL, "%lld and %lld heads do not divide the inputs", (long long)heads,
                                  (long long)kv);
        *a = (attention_dims){ .batch = q->dims[0], .heads = heads, .kv_heads = kv, .lq = q->dims[1], .lk = k->dims[1],
                               .d = mbr_dim_div(c->dims, q->dims[2], heads),
                               .dv = mbr_dim_div(c->dims, v->dims[2], kv) };
    }
    a->past = 0;
    if (mbr_infer_has(c, IN_PAST_K)) {
        if (c->in[IN_PAST_K].rank >= 0 && c->in[IN_PAST_K].rank != 4)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "past_key has rank %d, not 4", c->in[IN_PAST_K].rank);
        a->past = c->in[IN_PAST_K].rank == 4 ? c->in[IN_PAST_K].dims[2] : MBR_DIM_UNKNOWN;
    }
    return MBR_OK;
}

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *q = &c->in[IN_Q], *k = &c->in[IN_K], *v = &c->in[IN_V];
    for (uint32_t i = IN_Q; i <= IN_V; i++)
        if (c->in[i].dtype != MBR_DTYPE_UNDEFINED && !mbr_dtype_is_float(c->in[i].dtype))
            return mbr_infer_fail(c, MBR_ERR_MODEL, "input %u has elements of type %s; floats are needed", i,
                                  mbr_dtype_name(c->in[i].dtype));
    for (uint32_t i = 0; i < c->n_out; i++)
        mbr_infer_out(c, i, i == OUT_V ? v->dtype : q->dtype, i > OUT_Y ? 4 : q->rank, NULL);
    if (q->rank < 0 || k->rank < 0 || v->rank < 0)
        return MBR_OK;
    attention_dims a = { 0 };
    MBR_TRY(read_dims(c, &a));
    mbr_dim total = mbr_dim_add(c->dims, a.past, a.lk);
    mbr_dim y4[4] = { a.batch, a.heads, a.lq, a.dv }, y3[3] = { a.batch, a.lq, mbr_dim_mul(c->dims, a.heads, a.dv) };
    mbr_dim key[4] = { a.batch, a.kv_heads, total, a.d }, value[4] = { a.batch, a.kv_heads, total, a.dv };
    mbr_dim scores[4] = { a.batch, a.heads, a.lq, total };
    mbr_infer_out(c, OUT_Y, q->dtype, q->rank, q->rank == 4 ? y4 : y3);
    const mbr_dim *more[] = { NULL, key, value, scores };
    for (uint32_t i = 1; i < c->n_out; i++)
        mbr_infer_out(c, i, i == OUT_V ? v->dtype : q->dtype, 4, more[i]);
    return MBR_OK;
}

static mbr_status plan_mask(mbr_step *s, attention_state *st, bool want_f32, mbr_error *err)
{
    mbr_attention_any_args *a = &st->attend.any;
    const mbr_value *m = s->in[IN_MASK];
    const size_t want[4] = { a->batch, a->heads, a->lq, a->lk };
    if (m->rank < 1 || m->rank > 4 || (m->dtype != MBR_DTYPE_BOOL && !mbr_dtype_is_float(m->dtype)))
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "a mask of rank %d and type %s", m->rank, mbr_dtype_name(m->dtype));
    size_t cols = (size_t)m->dims[m->rank - 1];
    if (cols > a->lk)
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "a mask for %zu keys, there are %zu", cols, a->lk);
    bool one = cols == 1 && a->lk != 1 && s->node->opset < 24; /* broadcast; later a short mask is padded */
    st->widen = want_f32 && (m->dtype != MBR_DTYPE_F32 || (cols != a->lk && !one));
    st->mask_rows = cols ? mbr_value_count(m) / cols : 0;
    a->mask_dtype = st->widen ? MBR_DTYPE_F32 : m->dtype;
    a->mask_cols = st->widen || one ? a->lk : cols;
    a->mask_stride[3] = one ? 0 : 1;
    ptrdiff_t step = (ptrdiff_t)(st->widen && !one ? a->lk : cols);
    for (int i = 2, j = m->rank - 2; i >= 0; i--, j--) {
        a->mask_stride[i] = j >= 0 && m->dims[j] != 1 ? step : 0;
        if (j < 0)
            continue;
        if (m->dims[j] != 1 && (size_t)m->dims[j] != want[i])
            return mbr_step_fail(s, err, MBR_ERR_INPUT, "axis %d of the mask is %lld, not %zu", j,
                                 (long long)m->dims[j], want[i]);
        step *= (ptrdiff_t)m->dims[j];
    }
    return st->widen ? mbr_buffer_reserve(s, &st->mask, st->mask_rows * a->lk * sizeof(float) + 4, err) : MBR_OK;
}

/* Sizes, and where things lie. */
static mbr_status plan_shapes(mbr_step *s, attention_state *st, mbr_error *err)
{
    const mbr_value *q = s->in[IN_Q], *k = s->in[IN_K], *v = s->in[IN_V];
    mbr_attention_any_args *a = &st->attend.any;
    st->heads_inside = q->rank == 3;
    a->batch = (size_t)q->dims[0];
    a->heads = (size_t)(st->heads_inside ? mbr_attr_int(s->node, "q_num_heads", 1) : q->dims[1]);
    a->kv_heads = (size_t)(st->heads_inside ? mbr_attr_int(s->node, "kv_num_heads", 1) : k->dims[1]);
    if (!a->heads || !a->kv_heads || a->heads % a->kv_heads)
        return mbr_step_fail(s, err, MBR_ERR_MODEL, "%zu query heads for %zu key heads", a->heads, a->kv_heads);
    int rows = st->heads_inside ? 1 : 2;
    size_t dk = (size_t)k->dims[q->rank - 1] / (st->heads_inside ? a->kv_heads : 1);
    a->d = (size_t)q->dims[q->rank - 1] / (st->heads_inside ? a->heads : 1);
    a->dv = (size_t)v->dims[q->rank - 1] / (st->heads_inside ? a->kv_heads : 1);
    a->lq = (size_t)q->dims[rows];
    st->fresh = (size_t)k->dims[rows];
    st->past = mbr_step_has(s, IN_PAST_K) ? (size_t)s->in[IN_PAST_K]->dims[2] : 0;
    a->lk = st->past + st->fresh;
    if (dk != a->d || v->dims[rows] != k->dims[rows] || k->dims[0] != q->dims[0] || v->dims[0] != q->dims[0] ||
        (!st->heads_inside && v->dims[1] != k->dims[1]) || k->dtype != q->dtype || v->dtype != q->dtype)
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "the shapes or types of Q, K and V do not belong together");
    bool past_k = mbr_step_has(s, IN_PAST_K), past_v = mbr_step_has(s, IN_PAST_V);
    if (past_k != past_v)
        return mbr_step_fail(s, err, MBR_ERR_MODEL, "past_key and past_value come together or not at all");
    for (uint32_t i = IN_PAST_K; past_k && i <= IN_PAST_V; i++) {
        const mbr_value *p = s->in[i];
        if (p->rank != 4 || p->dims[0] != q->dims[0] || (size_t)p->dims[1] != a->kv_heads ||
            (size_t)p->dims[2] != st->past || (size_t)p->dims[3] != (i == IN_PAST_K ? a->d : a->dv) ||
            p->dtype != q->dtype)
            return mbr_step_fail(s, err, MBR_ERR_INPUT, "input %u, the past, has another shape or type", i);
    }
    if (mbr_step_has(s, IN_KEYS) && (s->in[IN_KEYS]->dtype != MBR_DTYPE_I64 ||
                                     mbr_value_count(s->in[IN_KEYS]) != a->batch))
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "nonpad_kv_seqlen has to hold one i64 for each sample");
    mbr_attend_strides(st->heads_inside, a->heads, a->lq, a->d, a->q_stride);
    mbr_attend_strides(st->heads_inside, a->heads, a->lq, a->dv, a->out_stride);
    st->join = past_k || mbr_step_wants(s, OUT_K) || mbr_step_wants(s, OUT_V);
    mbr_attend_strides(st->heads_inside && !st->join, a->kv_heads, a->lk, a->d, a->k_stride);
    mbr_attend_strides(st->heads_inside && !st->join, a->kv_heads, a->lk, a->dv, a->v_stride);
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    attention_state *st = s->state;
    mbr_attention_any_args *a = &st->attend.any;
    const mbr_value *q = s->in[IN_Q];
    memset(a, 0, sizeof *a);
    st->widen = false;
    MBR_TRY(plan_shapes(s, st, err));
    a->dtype = q->dtype;
    a->scale = (double)mbr_attr_float(s->node, "scale", 0);
    if (!mbr_attr(s->node, "scale"))
        a->scale = a->d ? 1 / sqrt((double)a->d) : 1;
    a->softcap = (double)mbr_attr_float(s->node, "softcap", 0);
    a->causal = mbr_attr_int(s->node, "is_causal", 0) != 0;
    a->left = mbr_attr_int(s->node, "left_window_size", -1);
    a->right = mbr_attr_int(s->node, "right_window_size", -1);
    a->offset = (int64_t)st->past;
    int64_t stage = mbr_attr_int(s->node, "qk_matmul_output_mode", 0);
    if (stage < 0 || stage > 3)
        return mbr_step_fail(s, err, MBR_ERR_MODEL, "qk_matmul_output_mode is %lld", (long long)stage);
    a->stage = (mbr_attention_stage)stage;
    a->stepwise = a->dtype == MBR_DTYPE_F16 || a->dtype == MBR_DTYPE_BF16;
    a->wide_softmax = mbr_attr_int(s->node, "softmax_precision", a->dtype) != (int64_t)a->dtype;
    st->by_sample = mbr_step_has(s, IN_KEYS) && st->past == 0 && (a->causal || a->left >= 0 || a->right >= 0);
    size_t size = mbr_dtype_size(q->dtype);
    bool scores = mbr_step_wants(s, OUT_SCORES);
    if (st->by_sample)
        MBR_TRY(mbr_buffer_reserve(s, &st->offsets, a->batch * sizeof(int64_t), err));
    if (st->join && !mbr_step_wants(s, OUT_K))
        MBR_TRY(mbr_buffer_reserve(s, &st->k, a->batch * a->kv_heads * a->lk * a->d * size, err));
    if (st->join && !mbr_step_wants(s, OUT_V))
        MBR_TRY(mbr_buffer_reserve(s, &st->v, a->batch * a->kv_heads * a->lk * a->dv * size, err));
    if (mbr_step_has(s, IN_MASK))
        MBR_TRY(plan_mask(s, st, mbr_attend_wants_f32_mask(&st->attend, scores), err));
    mbr_attend_plan(s, &st->attend, scores);
    if (st->join || st->widen || st->by_sample) {
        s->phases = 2;
        s->tiles[1] = s->tiles[0];
        s->tiles[0] = 1;
        s->cost_ns += (double)(a->batch * a->kv_heads * a->lk * (a->d + a->dv));
    }
    return MBR_OK;
}

/* past and fresh rows, one after the other, for every sample and head; there is memory for `rows` in `to`. */
static void join(const attention_state *st, size_t size, size_t cols, const mbr_value *past, const void *fresh,
                 void *to, size_t rows)
{
    const mbr_attention_any_args *a = &st->attend.any;
    size_t row = cols * size, past_rows = past ? mbr_value_entries(past, 2) : 0;
    ptrdiff_t from[3];
    mbr_attend_strides(st->heads_inside, a->kv_heads, st->fresh, cols, from);
    for (size_t i = 0; i < a->batch * a->kv_heads; i++) {
        char *out = (char *)to + i * rows * row;
        if (st->past && past->data != to)
            memcpy(out, (const char *)past->data + i * past_rows * row, st->past * row);
        out += st->past * row;
        size_t b = i / a->kv_heads, h = i % a->kv_heads;
        for (size_t r = 0; r < st->fresh; r++, out += row)
            memcpy(out, (const char *)fresh + ((ptrdiff_t)b * from[0] + (ptrdiff_t)h * from[1] +
                                               (ptrdiff_t)r * from[2]) * (ptrdiff_t)size, row);
    }
}

static void widen_mask(const mbr_step *s, const attention_state *st)
{
    const mbr_value *m = s->in[IN_MASK];
    size_t cols = (size_t)m->dims[m->rank - 1], width = st->attend.any.mask_stride[3] ? st->attend.any.lk : 1;
    float *to = st->mask.data;
    for (size_t i = 0; i < st->mask_rows; i++)
        for (size_t j = 0; j < width; j++) {
            double x = j < cols ? mbr_value_real(m, i * cols + j) : 0;
            if (m->dtype == MBR_DTYPE_BOOL)
                x = x != 0 ? 0 : -INFINITY;
            *to++ = j < cols ? (float)x : -INFINITY;
        }
}

static void run_first(mbr_step *s, attention_state *st)
{
    const mbr_attention_any_args *a = &st->attend.any;
    size_t size = mbr_dtype_size(a->dtype);
    if (st->join) {
        bool past = mbr_step_has(s, IN_PAST_K);
        const mbr_value *k = mbr_step_wants(s, OUT_K) ? s->out[OUT_K] : NULL;
        const mbr_value *v = mbr_step_wants(s, OUT_V) ? s->out[OUT_V] : NULL;
        join(st, size, a->d, past ? s->in[IN_PAST_K] : NULL, s->in[IN_K]->data, k ? k->data : st->k.data,
             k ? mbr_value_entries(k, 2) : a->lk);
        join(st, size, a->dv, past ? s->in[IN_PAST_V] : NULL, s->in[IN_V]->data, v ? v->data : st->v.data,
             v ? mbr_value_entries(v, 2) : a->lk);
    }
    if (st->widen)
        widen_mask(s, st);
    int64_t *offsets = st->offsets.data;
    for (size_t b = 0; st->by_sample && b < a->batch; b++)
        offsets[b] = ((const int64_t *)s->in[IN_KEYS]->data)[b] - (int64_t)a->lq;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    attention_state *st = s->state;
    if (s->phases == 2 && job->phase == 0) {
        run_first(s, st);
        return MBR_OK;
    }
    const int64_t *keys = mbr_step_has(s, IN_KEYS) ? s->in[IN_KEYS]->data : NULL;
    for (size_t b = 0; keys && b < st->attend.any.batch; b++)
        if (keys[b] < 0 || (size_t)keys[b] > st->attend.any.lk)
            return mbr_step_fail(s, err, MBR_ERR_RUN, "nonpad_kv_seqlen holds %lld, there are %zu keys",
                                 (long long)keys[b], st->attend.any.lk);
    mbr_attention_any_args a = st->attend.any;
    a.q = s->in[IN_Q]->data;
    a.k = !st->join ? s->in[IN_K]->data : mbr_step_wants(s, OUT_K) ? s->out[OUT_K]->data : st->k.data;
    a.v = !st->join ? s->in[IN_V]->data : mbr_step_wants(s, OUT_V) ? s->out[OUT_V]->data : st->v.data;
    if (st->join && mbr_step_wants(s, OUT_K))
        mbr_attend_cache_strides(s->out[OUT_K], a.k_stride);
    if (st->join && mbr_step_wants(s, OUT_V))
        mbr_attend_cache_strides(s->out[OUT_V], a.v_stride);
    a.mask = st->widen ? st->mask.data : mbr_step_has(s, IN_MASK) ? s->in[IN_MASK]->data : NULL;
    a.out = s->out[OUT_Y] ? s->out[OUT_Y]->data : NULL;
    a.scores = mbr_step_wants(s, OUT_SCORES) ? s->out[OUT_SCORES]->data : NULL;
    a.keys_of_batch = keys;
    a.offset_of_batch = st->by_sample ? st->offsets.data : NULL;
    mbr_attend_run(&st->attend, &a, job);
    return MBR_OK;
}

static void fini(mbr_step *s)
{
    attention_state *st = s->state;
    mbr_buffer *all[] = { &st->k, &st->v, &st->mask, &st->offsets };
    for (size_t i = 0; i < MBR_COUNT_OF(all); i++)
        mbr_buffer_free(s, all[i]);
}

const mbr_op mbr_ops_attention[] = {
    { .domain = "", .name = "Attention", .since = 23, .min_in = 3, .max_in = 7, .min_out = 1, .max_out = 4,
      .infer = infer, .prepare = prepare, .run = run, .fini = fini, .state_size = sizeof(attention_state),
      .roomy_inputs = 1u << IN_PAST_K | 1u << IN_PAST_V, .appends = { 2, OUT_K, IN_PAST_K, 2 } },
    { 0 },
};
