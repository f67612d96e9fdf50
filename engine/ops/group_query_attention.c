/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * com.microsoft's GroupQueryAttention: causal attention with a cache, rotary positions on the way. Phase 0 rotates the
 * queries and joins the cache with the new keys and values; phase 1 attends.
 *
 * Query (batch, tokens, heads * size), or with no key the three packed one after the other in the last dimension.
 * seqlens_k tells each sample's keys less one: its new tokens follow those of the past.
 */
#include "engine/ops/multi_head.h"
#include "kernels/recurrence.h"

#include <math.h>
#include <string.h>

enum { IN_Q, IN_K, IN_V, IN_PAST_K, IN_PAST_V, IN_LENGTHS, IN_TOTAL, IN_COS, IN_SIN, IN_POSITIONS, IN_BIAS, IN_SINK };

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *q = &c->in[IN_Q];
    int64_t heads = mbr_attr_int(c->node, "num_heads", 0), kv = mbr_attr_int(c->node, "kv_num_heads", 0);
    if (heads < 1 || kv < 1 || heads % kv)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "num_heads is %lld, kv_num_heads %lld", (long long)heads,
                              (long long)kv);
    if ((q->rank >= 0 && q->rank != 3) || (q->dtype != MBR_DTYPE_UNDEFINED && !mbr_dtype_is_float(q->dtype)))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "a query of rank %d and type %s", q->rank, mbr_dtype_name(q->dtype));
    mbr_dim out[3] = { MBR_DIM_UNKNOWN, MBR_DIM_UNKNOWN, MBR_DIM_UNKNOWN };
    mbr_dim cache[4] = { MBR_DIM_UNKNOWN, kv, MBR_DIM_UNKNOWN, MBR_DIM_UNKNOWN }, total;
    size_t n;
    if (q->rank == 3) {
        cache[0] = out[0] = q->dims[0];
        out[1] = q->dims[1];
        cache[3] = mbr_dim_div(c->dims, q->dims[2], mbr_infer_has(c, IN_K) ? heads : heads + 2 * kv);
        out[2] = mbr_dim_mul(c->dims, cache[3], heads);
    }
    if (mbr_infer_ints(c, IN_TOTAL, &total, 1, &n) && n == 1) {
        mbr_dim past = !mbr_infer_has(c, IN_PAST_K) ? 0 : c->in[IN_PAST_K].rank == 4 ? c->in[IN_PAST_K].dims[2] :
                       MBR_DIM_UNKNOWN;
        cache[2] = mbr_dim_max(c->dims, past, total);
        if (mbr_dim_is_const(cache[2]) && (cache[2] < 0 || cache[2] > INT32_MAX))
            return mbr_infer_fail(c, MBR_ERR_MODEL, "a total length of %lld", (long long)cache[2]);
    }
    mbr_infer_out(c, 0, q->dtype, 3, out);
    for (uint32_t i = 1; i < c->n_out && i < 3; i++)
        mbr_infer_out(c, i, q->dtype, 4, cache);
    return MBR_OK;
}

static mbr_status check_caches(mbr_step *s, const mbr_gqa *st, mbr_error *err)
{
    const mbr_attention_any_args *a = &st->attend.any;
    for (uint32_t i = IN_PAST_K; i <= IN_PAST_V; i++) {
        const mbr_value *v = mbr_step_has(s, i) ? s->in[i] : NULL;
        if (v && (v->rank != 4 || (size_t)v->dims[0] != a->batch || (size_t)v->dims[1] != a->kv_heads ||
                  (size_t)v->dims[2] != st->past || (size_t)v->dims[3] != a->d || v->dtype != a->dtype))
            return mbr_step_fail(s, err, MBR_ERR_INPUT, "input %u, the past, has another shape or type", i);
    }
    if (mbr_step_has(s, IN_PAST_K) != mbr_step_has(s, IN_PAST_V))
        return mbr_step_fail(s, err, MBR_ERR_MODEL, "past_key and past_value come together");
    if (!mbr_step_has(s, IN_LENGTHS) || s->in[IN_LENGTHS]->dtype != MBR_DTYPE_I32 ||
        mbr_value_count(s->in[IN_LENGTHS]) != a->batch)
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "seqlens_k has to hold one i32 for each sample");
    for (uint32_t i = IN_COS; st->rotate && i <= IN_SIN; i++)
        if (!mbr_step_has(s, i) || s->in[i]->rank != 2 || s->in[i]->dtype != a->dtype ||
            (size_t)s->in[i]->dims[1] * 2 > a->d || s->in[i]->dims[0] != s->in[IN_COS]->dims[0] ||
            s->in[i]->dims[1] != s->in[IN_COS]->dims[1])
            return mbr_step_fail(s, err, MBR_ERR_INPUT, "do_rotary needs fitting cos_cache and sin_cache");
    if (mbr_step_has(s, IN_POSITIONS) && (s->in[IN_POSITIONS]->dtype != MBR_DTYPE_I64 ||
                                          mbr_value_count(s->in[IN_POSITIONS]) != a->batch * st->tokens))
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "position_ids have to hold one i64 for each token");
    if (mbr_step_has(s, IN_SINK) && (s->in[IN_SINK]->dtype != a->dtype ||
                                     mbr_value_count(s->in[IN_SINK]) != a->heads))
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "head_sink has to hold one number for each head");
    return MBR_OK;
}

static mbr_status plan_bias(mbr_step *s, mbr_gqa *st, mbr_error *err)
{
    mbr_attention_any_args *a = &st->attend.any;
    const mbr_value *m = s->in[IN_BIAS];
    if (m->rank != 4 || m->dtype != a->dtype || (size_t)m->dims[3] > a->lk || (size_t)m->dims[2] != a->lq ||
        (m->dims[0] != 1 && (size_t)m->dims[0] != a->batch) || (m->dims[1] != 1 && (size_t)m->dims[1] != a->heads))
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "attention_bias has another shape or type");
    a->mask_dtype = m->dtype;
    a->mask_cols = (size_t)m->dims[3];
    ptrdiff_t plane = (ptrdiff_t)(m->dims[2] * m->dims[3]);
    a->mask_stride[3] = 1;
    a->mask_stride[2] = (ptrdiff_t)m->dims[3];
    a->mask_stride[1] = m->dims[1] == 1 ? 0 : plane;
    a->mask_stride[0] = m->dims[0] == 1 ? 0 : plane * (ptrdiff_t)m->dims[1];
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    mbr_gqa *st = s->state;
    mbr_attention_any_args *a = &st->attend.any;
    const mbr_value *q = s->in[IN_Q];
    memset(a, 0, sizeof *a);
    st->packed = !mbr_step_has(s, IN_K);
    st->rotate = mbr_attr_int(s->node, "do_rotary", 0) != 0;
    a->dtype = q->dtype;
    a->batch = (size_t)q->dims[0];
    a->heads = (size_t)mbr_attr_int(s->node, "num_heads", 1);
    a->kv_heads = (size_t)mbr_attr_int(s->node, "kv_num_heads", 1);
    st->tokens = a->lq = (size_t)q->dims[1];
    a->d = a->dv = (size_t)q->dims[2] / (st->packed ? a->heads + 2 * a->kv_heads : a->heads);
    if (!mbr_step_wants(s, 1) || !mbr_step_wants(s, 2))
        return mbr_step_fail(s, err, MBR_ERR_UNSUPPORTED, "present_key and present_value have to be outputs");
    a->lk = (size_t)s->out[1]->dims[2];
    st->past = mbr_step_has(s, IN_PAST_K) ? (size_t)s->in[IN_PAST_K]->dims[2] : 0;
    for (uint32_t i = IN_K; !st->packed && i <= IN_V; i++)
        if (!mbr_step_has(s, i) || s->in[i]->dtype != q->dtype ||
            mbr_value_count(s->in[i]) != a->batch * st->tokens * a->kv_heads * a->d)
            return mbr_step_fail(s, err, MBR_ERR_INPUT, "input %u has another shape or type than the query asks for",
                                 i);
    MBR_TRY(check_caches(s, st, err));
    a->scale = (double)mbr_attr_float(s->node, "scale", 0);
    if (a->scale == 0)
        a->scale = a->d ? 1 / sqrt((double)a->d) : 1;
    a->softcap = (double)mbr_attr_float(s->node, "softcap", 0);
    a->one_in_sum = mbr_attr_int(s->node, "smooth_softmax", 0) > 0;
    a->causal = true;
    int64_t window = mbr_attr_int(s->node, "local_window_size", -1);
    a->left = window > 0 ? window - 1 : -1;
    a->right = -1;
    mbr_attend_strides(false, a->kv_heads, a->lk, a->d, a->k_stride);
    mbr_attend_strides(false, a->kv_heads, a->lk, a->d, a->v_stride);
    mbr_attend_strides(true, a->heads, a->lq, a->d, a->q_stride);
    mbr_attend_strides(true, a->heads, a->lq, a->d, a->out_stride);
    if (st->packed && !st->rotate) {
        a->q_stride[0] = (ptrdiff_t)(q->dims[1] * q->dims[2]);
        a->q_stride[2] = (ptrdiff_t)q->dims[2];
    }
    if (st->rotate)
        MBR_TRY(mbr_buffer_reserve(s, &st->q, a->batch * a->heads * a->lq * a->d * mbr_dtype_size(a->dtype), err));
    MBR_TRY(mbr_buffer_reserve(s, &st->offsets, a->batch * sizeof(int64_t), err));
    MBR_TRY(mbr_buffer_reserve(s, &st->keys, a->batch * sizeof(int64_t), err));
    MBR_TRY(mbr_buffer_reserve(s, &st->positions, a->batch * st->tokens * sizeof(int64_t), err));
    bool plain = mbr_step_has(s, IN_SINK);
    if (mbr_step_has(s, IN_BIAS)) {
        MBR_TRY(plan_bias(s, st, err));
        plain |= a->mask_cols != a->lk;
    }
    mbr_attend_plan(s, &st->attend, plain);
    s->phases = 2;
    s->tiles[1] = s->tiles[0];
    s->tiles[0] = 1;
    s->cost_ns += (double)(a->batch * a->kv_heads * a->lk * a->d) * 2;
    return MBR_OK;
}

/* The numbers of every sample: keys, the first query's position, positions for the rotation. */
static mbr_status read_lengths(mbr_step *s, const mbr_gqa *st, mbr_error *err)
{
    const mbr_attention_any_args *a = &st->attend.any;
    int64_t *offsets = st->offsets.data, *keys = st->keys.data, *positions = st->positions.data;
    for (size_t b = 0; b < a->batch; b++) {
        keys[b] = (int64_t)((const int32_t *)s->in[IN_LENGTHS]->data)[b] + 1;
        offsets[b] = keys[b] - (int64_t)st->tokens;
        if (offsets[b] < 0 || st->past == 0) /* a prompt; what lies behind a short one is padding */
            offsets[b] = 0;
        if (keys[b] < 1 || keys[b] > (int64_t)a->lk || offsets[b] > (int64_t)st->past ||
            offsets[b] + (int64_t)st->tokens > (int64_t)a->lk)
            return mbr_step_fail(s, err, MBR_ERR_RUN, "seqlens_k holds %lld, there is room for %zu keys",
                                 (long long)keys[b] - 1, a->lk);
        for (size_t t = 0; t < st->tokens; t++)
            positions[b * st->tokens + t] = mbr_step_has(s, IN_POSITIONS) ?
                ((const int64_t *)s->in[IN_POSITIONS]->data)[b * st->tokens + t] : offsets[b] + (int64_t)t;
    }
    return MBR_OK;
}

/* The new rows of one cache, behind the sample's past. rotary: for keys, else NULL. False: a bad position. */
static bool fill_cache(const mbr_step *s, const mbr_gqa *st, uint32_t past_slot, const char *fresh, ptrdiff_t row,
                       mbr_rotary_args *rotary, const mbr_value *present)
{
    const mbr_attention_any_args *a = &st->attend.any;
    const int64_t *offsets = st->offsets.data;
    size_t size = mbr_dtype_size(a->dtype), head = a->d * size;
    const char *past = mbr_step_has(s, past_slot) ? s->in[past_slot]->data : NULL;
    char *to = present->data;
    size_t rows = mbr_value_entries(present, 2), past_rows = past ? mbr_value_entries(s->in[past_slot], 2) : 0;
    for (size_t b = 0; b < a->batch; b++) {
        size_t before = (size_t)offsets[b];
        for (size_t h = 0; h < a->kv_heads; h++) {
            char *at = to + (b * a->kv_heads + h) * rows * head;
            if (past && past != to)
                memcpy(at, past + (b * a->kv_heads + h) * past_rows * head, before * head);
            size_t end = before + st->tokens;
            if (past != to || present->room)
                memset(at + end * head, 0, (a->lk - end) * head);
            for (size_t t = 0; !rotary && t < st->tokens; t++)
                memcpy(at + (before + t) * head,
                       fresh + ((ptrdiff_t)(b * st->tokens + t) * row + (ptrdiff_t)(h * a->d)) * (ptrdiff_t)size, head);
        }
        if (!rotary)
            continue;
        mbr_rotary_args one = *rotary;
        one.batch = 1;
        one.positions += b * st->tokens;
        one.in = fresh + (ptrdiff_t)(b * st->tokens) * row * (ptrdiff_t)size;
        one.out = to + (b * a->kv_heads * rows + before) * head;
        one.out_stride[2] = (ptrdiff_t)(rows * a->d);
        if (!mbr_rotary(&one, 0, st->tokens))
            return false;
    }
    return true;
}

static mbr_status run_first(mbr_step *s, mbr_gqa *st, mbr_error *err)
{
    const mbr_attention_any_args *a = &st->attend.any;
    const mbr_value *q = s->in[IN_Q];
    size_t size = mbr_dtype_size(a->dtype);
    MBR_TRY(read_lengths(s, st, err));
    ptrdiff_t q_row = (ptrdiff_t)q->dims[2], row = st->packed ? q_row : (ptrdiff_t)(a->kv_heads * a->d);
    const char *k = st->packed ? (const char *)q->data + a->heads * a->d * size : s->in[IN_K]->data;
    const char *v = st->packed ? k + a->kv_heads * a->d * size : s->in[IN_V]->data;
    mbr_rotary_args r = { .dtype = a->dtype, .interleaved = mbr_attr_int(s->node, "rotary_interleaved", 0) != 0,
                          .batch = a->batch, .tokens = st->tokens, .heads = a->heads, .size = a->d,
                          .positions = st->positions.data };
    bool good = true;
    if (st->rotate) {
        r.half = (size_t)s->in[IN_COS]->dims[1];
        r.rows = (size_t)s->in[IN_COS]->dims[0];
        r.cos = s->in[IN_COS]->data;
        r.sin = s->in[IN_SIN]->data;
        r.in = q->data;
        r.out = st->q.data;
        r.in_stride[0] = (ptrdiff_t)st->tokens * q_row;
        r.in_stride[1] = q_row;
        r.in_stride[2] = (ptrdiff_t)a->d;
        r.out_stride[0] = a->q_stride[0];
        r.out_stride[1] = a->q_stride[2];
        r.out_stride[2] = a->q_stride[1];
        good = mbr_rotary(&r, 0, a->batch * st->tokens);
        r.heads = a->kv_heads;
        r.in_stride[1] = row;
        r.out_stride[1] = (ptrdiff_t)a->d;
    }
    good = good && fill_cache(s, st, IN_PAST_K, k, row, st->rotate ? &r : NULL, s->out[1]);
    good = good && fill_cache(s, st, IN_PAST_V, v, row, NULL, s->out[2]);
    if (!good)
        return mbr_step_fail(s, err, MBR_ERR_RUN, "a position beyond the %zu rows of the caches", r.rows);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    mbr_gqa *st = s->state;
    if (job->phase == 0)
        return run_first(s, st, err);
    mbr_attention_any_args a = st->attend.any;
    a.q = st->rotate ? st->q.data : s->in[IN_Q]->data;
    a.k = s->out[1]->data;
    a.v = s->out[2]->data;
    mbr_attend_cache_strides(s->out[1], a.k_stride);
    mbr_attend_cache_strides(s->out[2], a.v_stride);
    a.mask = mbr_step_has(s, IN_BIAS) ? s->in[IN_BIAS]->data : NULL;
    a.sink = mbr_step_has(s, IN_SINK) ? s->in[IN_SINK]->data : NULL;
    a.out = s->out[0]->data;
    a.keys_of_batch = st->keys.data;
    a.offset_of_batch = st->offsets.data;
    mbr_attend_run(&st->attend, &a, job);
    return MBR_OK;
}

static void fini(mbr_step *s)
{
    mbr_gqa *st = s->state;
    mbr_buffer *all[] = { &st->q, &st->offsets, &st->keys, &st->positions };
    for (size_t i = 0; i < MBR_COUNT_OF(all); i++)
        mbr_buffer_free(s, all[i]);
}

const mbr_op mbr_ops_group_query_attention[] = {
    { .domain = "com.microsoft", .name = "GroupQueryAttention", .since = 1, .min_in = 1, .max_in = 12, .min_out = 3,
      .max_out = 3, .content_inputs = 1u << IN_TOTAL, .infer = infer, .prepare = prepare, .run = run, .fini = fini,
      .state_size = sizeof(mbr_gqa), .roomy_inputs = 1u << IN_PAST_K | 1u << IN_PAST_V,
      .appends = { 2, 1, IN_PAST_K, 2 } },
    { 0 },
};
