/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * com.microsoft's MultiHeadAttention. Queries (batch, tokens, hidden), or all packed (batch, tokens, heads, 3, size);
 * keys and values likewise, packed as (batch, tokens, heads, 2, size), or as (batch, heads, tokens, size). Phase 0 brings
 * keys and values, with their biases and the past before them, to (batch, heads, tokens, size), adds the bias of the
 * queries, and makes one mask of the padding and the attention bias; phase 1 attends.
 */
#include "engine/ops/multi_head.h"
#include "kernels/real.h"

#include <math.h>
#include <string.h>

enum { IN_Q, IN_K, IN_V, IN_BIAS, IN_PADDING, IN_MASK, IN_PAST_K, IN_PAST_V };

typedef mbr_mha_operand operand;
typedef mbr_mha mha_state;

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *q = &c->in[IN_Q], *k = mbr_infer_has(c, IN_K) ? &c->in[IN_K] : NULL;
    const mbr_arg *v = mbr_infer_has(c, IN_V) ? &c->in[IN_V] : NULL;
    int64_t heads = mbr_attr_int(c->node, "num_heads", 0);
    if (heads < 1)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "num_heads is %lld", (long long)heads);
    if (q->dtype != MBR_DTYPE_UNDEFINED && !mbr_dtype_is_float(q->dtype))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "elements of type %s; floats are needed", mbr_dtype_name(q->dtype));
    mbr_dim out[3] = { MBR_DIM_UNKNOWN, MBR_DIM_UNKNOWN, MBR_DIM_UNKNOWN };
    mbr_dim kd[4] = { MBR_DIM_UNKNOWN, heads, MBR_DIM_UNKNOWN, MBR_DIM_UNKNOWN }, vd[4];
    mbr_dim fresh = MBR_DIM_UNKNOWN, past = mbr_infer_has(c, IN_PAST_K) ? MBR_DIM_UNKNOWN : 0;
    if ((q->rank >= 0 && q->rank != 3 && q->rank != 5) || (q->rank == 3 && !k))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "a query of rank %d %s", q->rank, k ? "" : "without a key");
    memcpy(vd, kd, sizeof kd);
    if (q->rank >= 0) {
        out[0] = kd[0] = vd[0] = q->dims[0];
        out[1] = q->dims[1];
        kd[3] = q->rank == 5 ? q->dims[4] : mbr_dim_div(c->dims, q->dims[2], heads);
        if (q->rank == 5 || (k && k->rank == 5)) {
            vd[3] = kd[3];
            fresh = q->rank == 5 ? q->dims[1] : k->dims[1];
        } else if (v && v->rank == 4) {
            vd[3] = v->dims[3];
            fresh = v->dims[2];
        } else if (v && v->rank == 3) {
            vd[3] = mbr_dim_div(c->dims, v->dims[2], heads);
            fresh = v->dims[1];
        }
        out[2] = mbr_dim_mul(c->dims, vd[3], heads);
    }
    if (mbr_infer_has(c, IN_PAST_K) && c->in[IN_PAST_K].rank == 4)
        past = c->in[IN_PAST_K].dims[2];
    kd[2] = vd[2] = mbr_dim_add(c->dims, past, fresh);
    mbr_infer_out(c, 0, q->dtype, 3, out);
    if (c->n_out > 1)
        mbr_infer_out(c, 1, q->dtype, 4, kd);
    if (c->n_out > 2)
        mbr_infer_out(c, 2, q->dtype, 4, vd);
    return MBR_OK;
}

/* An operand in one of its layouts. part, parts: its place when packed with others. *size: what a head has. */
static bool place(const mbr_step *s, uint32_t slot, size_t heads, size_t part, size_t parts, operand *o, size_t *size)
{
    const mbr_value *v = s->in[slot];
    *o = (operand){ .slot = slot };
    if (v->rank == 5 && parts > 1) {
        *size = (size_t)v->dims[4];
        o->tokens = (size_t)v->dims[1];
        o->at = part * *size;
        o->head = (ptrdiff_t)(parts * *size);
        o->token = (ptrdiff_t)heads * o->head;
        o->batch = (ptrdiff_t)o->tokens * o->token;
        return (size_t)v->dims[2] == heads && (size_t)v->dims[3] == parts;
    }
    if (v->rank == 4) {
        *size = (size_t)v->dims[3];
        o->tokens = (size_t)v->dims[2];
        o->token = (ptrdiff_t)*size;
        o->head = (ptrdiff_t)(o->tokens * *size);
        o->batch = (ptrdiff_t)heads * o->head;
        return (size_t)v->dims[1] == heads;
    }
    if (v->rank != 3)
        return false;
    *size = (size_t)v->dims[2] / heads;
    o->tokens = (size_t)v->dims[1];
    o->head = (ptrdiff_t)*size;
    o->token = (ptrdiff_t)v->dims[2];
    o->batch = (ptrdiff_t)o->tokens * o->token;
    return (size_t)v->dims[2] == heads * *size;
}

static mbr_status plan_mask(mbr_step *s, mha_state *st, mbr_error *err)
{
    mbr_attention_any_args *a = &st->attend.any;
    const mbr_value *pad = mbr_step_has(s, IN_PADDING) ? s->in[IN_PADDING] : NULL;
    const mbr_value *bias = mbr_step_has(s, IN_MASK) ? s->in[IN_MASK] : NULL;
    if (!pad && !bias)
        return MBR_OK;
    size_t batch = 1, heads = 1, rows = 1;
    if (bias) {
        if (bias->rank != 4 || bias->dtype != a->dtype || (bias->dims[0] != 1 && (size_t)bias->dims[0] != a->batch) ||
            (bias->dims[1] != 1 && (size_t)bias->dims[1] != a->heads) || (size_t)bias->dims[2] != a->lq ||
            (size_t)bias->dims[3] != a->lk)
            return mbr_step_fail(s, err, MBR_ERR_INPUT, "attention_bias has another shape or type");
        batch = (size_t)bias->dims[0];
        heads = (size_t)bias->dims[1];
        rows = a->lq;
    }
    if (pad) {
        /* ends, or (Attention's) ends and then starts */
        bool lengths = pad->rank == 1 && ((size_t)pad->dims[0] == a->batch || (size_t)pad->dims[0] == 2 * a->batch);
        bool keys = pad->rank == 2 && (size_t)pad->dims[0] == a->batch && (size_t)pad->dims[1] == a->lk;
        bool pairs = pad->rank == 3 && (size_t)pad->dims[0] == a->batch && (size_t)pad->dims[1] == a->lq &&
                     (size_t)pad->dims[2] == a->lk;
        if (pad->dtype != MBR_DTYPE_I32 || (!lengths && !keys && !pairs))
            return mbr_step_fail(s, err, MBR_ERR_UNSUPPORTED, "this form of key_padding_mask");
        batch = a->batch;
        rows = pairs ? a->lq : rows;
    }
    a->mask_dtype = MBR_DTYPE_F32;
    a->mask_cols = a->lk;
    a->mask_stride[3] = 1;
    a->mask_stride[2] = rows > 1 || a->lq == 1 ? (ptrdiff_t)a->lk : 0;
    a->mask_stride[1] = heads > 1 ? (ptrdiff_t)(rows * a->lk) : 0;
    a->mask_stride[0] = batch > 1 ? (ptrdiff_t)(heads * rows * a->lk) : 0;
    return mbr_buffer_reserve(s, &st->mask, batch * heads * rows * a->lk * sizeof(float) + 4, err);
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    mha_state *st = s->state;
    mbr_attention_any_args *a = &st->attend.any;
    const mbr_value *q = s->in[IN_Q];
    memset(a, 0, sizeof *a);
    a->dtype = q->dtype;
    a->batch = (size_t)q->dims[0];
    a->heads = a->kv_heads = (size_t)mbr_attr_int(s->node, "num_heads", 1);
    size_t parts = q->rank == 5 ? 3 : mbr_step_has(s, IN_K) && s->in[IN_K]->rank == 5 ? 2 : 1, dk = 0;
    uint32_t k_slot = parts == 3 ? IN_Q : IN_K, v_slot = parts == 3 ? IN_Q : parts == 2 ? IN_K : IN_V;
    if (v_slot == IN_V && !mbr_step_has(s, IN_V))
        return mbr_step_fail(s, err, MBR_ERR_MODEL, "there is a key but no value");
    if (!place(s, IN_Q, a->heads, 0, parts == 3 ? 3 : 1, &st->q, &a->d) ||
        !place(s, k_slot, a->heads, parts - 2 + (parts == 1), parts, &st->k, &dk) ||
        !place(s, v_slot, a->heads, parts - 1, parts, &st->v, &a->dv) || dk != a->d || st->k.tokens != st->v.tokens ||
        s->in[k_slot]->dims[0] != q->dims[0] || s->in[v_slot]->dims[0] != q->dims[0] ||
        s->in[k_slot]->dtype != a->dtype || s->in[v_slot]->dtype != a->dtype)
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "the shapes or types of query, key and value do not fit together");
    st->past = mbr_step_has(s, IN_PAST_K) ? (size_t)s->in[IN_PAST_K]->dims[2] : 0;
    a->lq = st->q.tokens;
    a->lk = st->past + st->k.tokens;
    if (mbr_step_has(s, IN_PAST_K) != mbr_step_has(s, IN_PAST_V))
        return mbr_step_fail(s, err, MBR_ERR_MODEL, "past_key and past_value come together");
    for (uint32_t i = IN_PAST_K; mbr_step_has(s, IN_PAST_K) && i <= IN_PAST_V; i++)
        if (s->in[i]->dtype != a->dtype ||
            mbr_value_count(s->in[i]) != a->batch * a->heads * st->past * (i == IN_PAST_K ? a->d : a->dv))
            return mbr_step_fail(s, err, MBR_ERR_INPUT, "input %u, the past, has another shape or type", i);
    bool bias = mbr_step_has(s, IN_BIAS);
    if (bias && (s->in[IN_BIAS]->dtype != a->dtype || mbr_value_count(s->in[IN_BIAS]) != a->heads * (2 * a->d + a->dv)))
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "the bias does not have a number for each element");
    st->k.bias_at = a->heads * a->d;
    st->v.bias_at = 2 * a->heads * a->d;
    a->scale = (double)mbr_attr_float(s->node, "scale", 0);
    if (a->scale == 0)
        a->scale = a->d ? 1 / sqrt((double)a->d) : 1;
    a->causal = mbr_attr_int(s->node, "unidirectional", 0) != 0;
    a->offset = (int64_t)st->past;
    a->left = a->right = -1;
    size_t size = mbr_dtype_size(a->dtype), rows = a->batch * a->heads;
    st->copy_q = bias;
    mbr_attend_strides(false, a->heads, a->lk, a->d, a->k_stride);
    mbr_attend_strides(false, a->heads, a->lk, a->dv, a->v_stride);
    mbr_attend_strides(true, a->heads, a->lq, a->dv, a->out_stride);
    if (st->copy_q) {
        mbr_attend_strides(false, a->heads, a->lq, a->d, a->q_stride);
        MBR_TRY(mbr_buffer_reserve(s, &st->bq, rows * a->lq * a->d * size, err));
    } else {
        a->q_stride[0] = st->q.batch;
        a->q_stride[1] = st->q.head;
        a->q_stride[2] = st->q.token;
    }
    if (!mbr_step_wants(s, 1))
        MBR_TRY(mbr_buffer_reserve(s, &st->bk, rows * a->lk * a->d * size, err));
    if (!mbr_step_wants(s, 2))
        MBR_TRY(mbr_buffer_reserve(s, &st->bv, rows * a->lk * a->dv * size, err));
    MBR_TRY(plan_mask(s, st, err));
    mbr_attend_plan(s, &st->attend, false);
    s->phases = 2;
    s->tiles[1] = s->tiles[0];
    s->tiles[0] = 1;
    s->cost_ns += (double)(rows * a->lk * (a->d + a->dv));
    return MBR_OK;
}

/* An operand, past before it and bias added, to (batch, heads, past + tokens, size); memory is for `rows` a head. */
static void gather(const mbr_step *s, const mha_state *st, const operand *o, size_t cols, const mbr_value *past_value,
                   size_t past, char *first, size_t rows)
{
    const mbr_attention_any_args *a = &st->attend.any;
    size_t size = mbr_dtype_size(a->dtype), row = cols * size, apart = past ? mbr_value_entries(past_value, 2) : 0;
    const char *from = s->in[o->slot]->data;
    const void *bias = mbr_step_has(s, IN_BIAS) ? s->in[IN_BIAS]->data : NULL;
    for (size_t i = 0; i < a->batch * a->heads; i++) {
        size_t b = i / a->heads, h = i % a->heads;
        char *to = first + i * rows * row;
        if (past && past_value->data != first)
            memcpy(to, (const char *)past_value->data + i * apart * row, past * row);
        to += past * row;
        for (size_t t = 0; t < o->tokens; t++, to += row) {
            ptrdiff_t at = (ptrdiff_t)o->at + (ptrdiff_t)b * o->batch + (ptrdiff_t)t * o->token +
                           (ptrdiff_t)h * o->head;
            if (!bias) {
                memcpy(to, from + at * (ptrdiff_t)size, row);
                continue;
            }
            for (size_t c = 0; c < cols; c++)
                mbr_real_set(a->dtype, to, c, mbr_real_get(a->dtype, from, (size_t)at + c) +
                             mbr_real_get(a->dtype, bias, o->bias_at + h * cols + c));
        }
    }
}

static void fill_mask(const mbr_step *s, const mha_state *st)
{
    const mbr_attention_any_args *a = &st->attend.any;
    const mbr_value *pad = mbr_step_has(s, IN_PADDING) ? s->in[IN_PADDING] : NULL;
    const mbr_value *bias = mbr_step_has(s, IN_MASK) ? s->in[IN_MASK] : NULL;
    float filter = mbr_attr_float(s->node, "mask_filter_value", -10000.0f), *to = st->mask.data;
    size_t batch = a->mask_stride[0] ? a->batch : 1, heads = a->mask_stride[1] ? a->heads : 1;
    size_t rows = a->mask_stride[2] ? a->lq : 1;
    for (size_t b = 0; b < batch; b++)
        for (size_t h = 0; h < heads; h++)
            for (size_t i = 0; i < rows; i++)
                for (size_t j = 0; j < a->lk; j++) {
                    float x = 0;
                    bool keep = true;
                    if (bias)
                        x = (float)mbr_value_real(bias, (((bias->dims[0] == 1 ? 0 : b) * (size_t)bias->dims[1] +
                                                          (bias->dims[1] == 1 ? 0 : h)) * a->lq + i) * a->lk + j);
                    if (pad && pad->rank == 1)
                        keep = (int64_t)j < mbr_value_int(pad, b) &&
                               ((size_t)pad->dims[0] < 2 * a->batch || (int64_t)j >= mbr_value_int(pad, a->batch + b));
                    else if (pad && pad->rank == 2)
                        keep = mbr_value_int(pad, b * a->lk + j) != 0;
                    else if (pad)
                        keep = mbr_value_int(pad, (b * a->lq + i) * a->lk + j) != 0;
                    *to++ = keep ? x : x + filter;
                }
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)err;
    mha_state *st = s->state;
    mbr_attention_any_args a = st->attend.any;
    char *k = mbr_step_wants(s, 1) ? s->out[1]->data : st->bk.data;
    char *v = mbr_step_wants(s, 2) ? s->out[2]->data : st->bv.data;
    if (mbr_step_wants(s, 1))
        mbr_attend_cache_strides(s->out[1], a.k_stride);
    if (mbr_step_wants(s, 2))
        mbr_attend_cache_strides(s->out[2], a.v_stride);
    if (job->phase == 0) {
        gather(s, st, &st->k, a.d, st->past ? s->in[IN_PAST_K] : NULL, st->past, k,
               mbr_step_wants(s, 1) ? mbr_value_entries(s->out[1], 2) : a.lk);
        gather(s, st, &st->v, a.dv, st->past ? s->in[IN_PAST_V] : NULL, st->past, v,
               mbr_step_wants(s, 2) ? mbr_value_entries(s->out[2], 2) : a.lk);
        if (st->copy_q)
            gather(s, st, &st->q, a.d, NULL, 0, st->bq.data, a.lq);
        if (a.mask_cols)
            fill_mask(s, st);
        return MBR_OK;
    }
    a.q = st->copy_q ? st->bq.data : s->in[IN_Q]->data;
    a.k = k;
    a.v = v;
    a.mask = a.mask_cols ? st->mask.data : NULL;
    a.out = s->out[0]->data;
    mbr_attend_run(&st->attend, &a, job);
    return MBR_OK;
}

static void fini(mbr_step *s)
{
    mha_state *st = s->state;
    mbr_buffer *all[] = { &st->bq, &st->bk, &st->bv, &st->mask };
    for (size_t i = 0; i < MBR_COUNT_OF(all); i++)
        mbr_buffer_free(s, all[i]);
}

const mbr_op mbr_ops_multi_head_attention[] = {
    { .domain = "com.microsoft", .name = "MultiHeadAttention", .since = 1, .min_in = 1, .max_in = 8, .min_out = 1,
      .max_out = 3, .infer = infer, .prepare = prepare, .run = run, .fini = fini, .state_size = sizeof(mha_state),
      .roomy_inputs = 1u << IN_PAST_K | 1u << IN_PAST_V, .appends = { 2, 1, IN_PAST_K, 2 } },
    { 0 },
};
