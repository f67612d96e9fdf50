/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mbr.Attention, Attention of ai.onnx with masks, windows, and caches inside and outside, MultiHeadAttention and
 * GroupQueryAttention.
 */
#include "engine/opencl/lower_util.h"
#include "engine/opencl/product.h"
#include "engine/ops/multi_head.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { FUSED, ONNX };
enum { IN_Q, IN_K, IN_V, IN_MASK, IN_PAST_K, IN_PAST_V, IN_KEYS };
enum { IN_MHA_BIAS = 3, IN_MHA_PADDING, IN_MHA_MASK, IN_MHA_PAST }; /* MultiHeadAttention's */
enum { IN_GQA_PAST = 3, IN_GQA_LENGTHS = 5, IN_GQA_COS = 7, IN_GQA_SIN, IN_GQA_POSITIONS, IN_GQA_BIAS, IN_GQA_SINK };
enum { OUT_Y, OUT_K, OUT_V, OUT_SCORES };

/* As in attention.cl. */
typedef struct attend {
    cl_long q[3], k[3], v[3], o[3], mask[4];
    cl_int heads, group, lq, lk, d, dv, mask_cols;
    cl_int causal, left, right, offset, by_sample;
    cl_float scale, softcap, empty;
    cl_int clean;
} attend;

typedef struct copy {
    cl_long to[3], from[3];
    cl_long first, bias;
    cl_int heads, rows, cols, pad;
} copy;

static size_t aligned(size_t bytes)
{
    return (bytes + MBR_ALIGN - 1) & ~(size_t)(MBR_ALIGN - 1);
}

static void longs(cl_long *to, const ptrdiff_t *from, int n)
{
    for (int i = 0; i < n; i++)
        to[i] = from[i];
}

/* Rows to (batch, heads, lk, cols), from row `at` on. c: from and first; with_bias: c->bias, too, of input 3. */
static void join(mbr_cl_lower *l, uint32_t from, const mbr_cl_operand *to, copy *c, bool with_bias, size_t at, size_t lk)
{
    const mbr_value *v = l->step->in[from];
    char options[32];
    ptrdiff_t strides[3];
    static const char *const by_size[] = { [2] = "ushort", [4] = "uint", [8] = "ulong" };
    mbr_attend_strides(false, (size_t)c->heads, lk, (size_t)c->cols, strides);
    longs(c->to, strides, 3);
    if (with_bias)
        snprintf(options, sizeof options, "-DT=%s -DJOIN=MEM(T)", mbr_dtype_name(v->dtype));
    else
        snprintf(options, sizeof options, "-DJOIN=%s", by_size[mbr_dtype_size(v->dtype)]);
    mbr_cl_kernel(l, "attention", "attention_join", options);
    mbr_cl_in(l, from);
    mbr_cl_operand_arg(l, to);
    mbr_cl_in(l, with_bias ? IN_MHA_BIAS : from);
    mbr_cl_long(l, (int64_t)at);
    mbr_cl_bytes(l, c, sizeof *c);
    mbr_cl_go_rows(l, (size_t)c->cols, (size_t)c->rows, (size_t)c->heads * (size_t)v->dims[0]);
}

/* (batch, heads, rows, cols), or, heads inside, (batch, rows, heads * cols). */
static copy copy_of(bool heads_inside, size_t heads, size_t rows, size_t cols)
{
    ptrdiff_t strides[3];
    copy c = { .heads = (cl_int)heads, .rows = (cl_int)rows, .cols = (cl_int)cols };
    mbr_attend_strides(heads_inside, heads, rows, cols, strides);
    longs(c.from, strides, 3);
    return c;
}

/*
 * Keys, values or queries in one piece, (batch, heads, rows, cols): c's of input `from` behind those of input past_slot (0:
 * there is none), in output `out` where it is wanted, else (0: never) in scratch memory.
 */
static mbr_cl_operand joined(mbr_cl_lower *l, uint32_t from, copy *c, bool with_bias, uint32_t past_slot, uint32_t out,
                             size_t *at)
{
    const mbr_step *s = l->step;
    const mbr_value *v = s->in[from];
    size_t heads = (size_t)c->heads, cols = (size_t)c->cols;
    size_t past = past_slot && mbr_step_has(s, past_slot) ? (size_t)s->in[past_slot]->dims[2] : 0;
    size_t rows = past + (size_t)c->rows;
    mbr_cl_operand to = { .from = MBR_CL_OUTPUT, .i = out };
    if (!out || !mbr_step_wants(s, out)) {
        to = (mbr_cl_operand){ .from = MBR_CL_SCRATCH, .at = *at,
                               .bytes = (size_t)v->dims[0] * heads * rows * cols * mbr_dtype_size(v->dtype) };
        *at += aligned(to.bytes);
    }
    if (past) {
        copy before = copy_of(false, heads, past, cols);
        join(l, past_slot, &to, &before, false, 0, rows);
    }
    join(l, from, &to, c, with_bias, past, rows);
    return to;
}

/* The mask as it lies: false where the kernel cannot read it. */
static bool mask_of(const mbr_step *s, attend *g, int *kind)
{
    const mbr_value *m = s->in[IN_MASK];
    cl_long cols = m->rank ? m->dims[m->rank - 1] : 1, step = cols;
    bool one = cols == 1 && g->lk != 1 && s->node->opset < 24;
    *kind = m->dtype == MBR_DTYPE_BOOL ? 2 : 1; /* as in attention.cl */
    g->mask_cols = one ? g->lk : (cl_int)cols;
    g->mask[3] = !one;
    for (int i = 2, j = m->rank - 2; i >= 0; i--, j--) {
        g->mask[i] = j >= 0 && m->dims[j] != 1 ? step : 0;
        step *= j >= 0 ? m->dims[j] : 1;
    }
    return m->dtype == MBR_DTYPE_BOOL || m->dtype == s->in[IN_Q]->dtype;
}

/* What is left to do once keys and values are in one piece each. */
typedef struct task {
    attend g;
    mbr_cl_operand q, k, v, mask;
    mbr_dtype mask_dtype;
    int kind;                     /* of the mask, as in attention.cl */
    uint32_t keys;                /* the input with the number of keys */
    size_t at;                    /* scratch memory is free from here on */
    bool plain_one, scores, steps;
    uint32_t sink;                /* the input, 0: none */
} task;

static void sizes_of(const mbr_attention_any_args *p, attend *g)
{
    *g = (attend){ .heads = (cl_int)p->heads, .group = (cl_int)(p->heads / p->kv_heads), .lq = (cl_int)p->lq,
                   .lk = (cl_int)p->lk, .d = (cl_int)p->d, .dv = (cl_int)p->dv, .mask_cols = (cl_int)p->lk,
                   .causal = p->causal, .left = p->left < 0 ? -1 : (cl_int)p->left,
                   .right = p->right < 0 ? -1 : (cl_int)p->right, .offset = (cl_int)p->offset,
                   .scale = (float)p->scale, .softcap = (float)p->softcap };
    longs(g->q, p->q_stride, 3);
    longs(g->k, p->k_stride, 3);
    longs(g->v, p->v_stride, 3);
    longs(g->o, p->out_stride, 3);
    longs(g->mask, p->mask_stride, 4);
}

/* Is the type one that attention_rows and attention_tiles take? */
static bool fast(mbr_dtype t)
{
    return t == MBR_DTYPE_F16 || t == MBR_DTYPE_F32;
}

static void operands(mbr_cl_lower *l, const task *t, const mbr_cl_operand *k)
{
    mbr_cl_operand_arg(l, &t->q);
    mbr_cl_operand_arg(l, k);
    mbr_cl_operand_arg(l, &t->v);
    mbr_cl_operand_arg(l, &t->mask);
    if (t->g.by_sample)
        mbr_cl_in(l, t->keys);
    else
        mbr_cl_out(l, 0);
}

static mbr_status lower_task(mbr_cl_lower *l, const mbr_attention_any_args *p, const task *t)
{
    const mbr_cl_device *d = l->device;
    bool half = p->dtype == MBR_DTYPE_F16;
    size_t size = mbr_dtype_size(p->dtype);
    char options[96], plain[32];
    mbr_cl_operand k = t->k;
    snprintf(plain, sizeof plain, "-DREAL -DMASK=%d%s", t->kind, half ? " -DHALF" : "");
    if (t->plain_one) {
        size_t number = p->dtype == MBR_DTYPE_F64 ? 8 : 4;
        snprintf(options, sizeof options, "-DT=%s -DC=%s -DM=%s -DMASK=%d -DSTAGE=%d -DFLAGS=%d%s", mbr_dtype_name(p->dtype),
                 number == 8 ? "double" : "float", mbr_dtype_name(t->kind ? t->mask_dtype : MBR_DTYPE_F32), t->kind,
                 t->scores ? (int)p->stage : -1, t->steps | p->wide_softmax << 1 | (t->sink != 0) << 2 | p->one_in_sum << 3,
                 t->steps && !p->wide_softmax && p->dtype == MBR_DTYPE_BF16 ? " -DSUM_STEPS" : "");
        mbr_cl_kernel(l, "attention", "attention_plain", options);
        operands(l, t, &t->k);
        if (t->sink)
            mbr_cl_in(l, t->sink);
        else
            mbr_cl_out(l, 0);
        mbr_cl_out(l, 0);
        mbr_cl_out(l, t->scores ? OUT_SCORES : 0);
        mbr_cl_scratch(l, t->at, p->batch * p->heads * p->lq * p->lk * number);
        mbr_cl_bytes(l, &t->g, sizeof t->g);
        mbr_cl_go(l, 3, (size_t[]){ p->lq, p->heads, p->batch }, (size_t[]){ mbr_cl_by_rows(d) ? 1 : 64, 1, 1 });
        return l->status;
    }
    size_t dv = (p->dv + 15) / 16 * 16, dk = (p->d + 3) / 4 * 4, block = 32;
    while (block >= 16 && (dk * block * 2 + dv * block + block * (block + 1)) * sizeof(float) > d->local_bytes)
        block /= 2;
    bool rows = mbr_cl_by_rows(d) || block < 16;
    if (rows) {
        unsigned width = d->vector_f32 >= 16 ? 16 : d->vector_f32 >= 8 ? 8 : 4, rq = p->lq == 1 ? 1 : 6;
        size_t keys = (p->lk + 15) / 16 * 16;
        mbr_cl_operand panels = { .from = MBR_CL_SCRATCH, .at = t->at,
                                  .bytes = p->batch * p->kv_heads * keys * p->d * size };
        mbr_cl_kernel(l, "attention", "attention_pack", plain);
        mbr_cl_operand_arg(l, &k);
        mbr_cl_operand_arg(l, &panels);
        mbr_cl_bytes(l, &t->g, sizeof t->g);
        mbr_cl_go(l, 3, (size_t[]){ keys, p->kv_heads, p->batch }, (size_t[]){ d->max_group < 16 ? 1 : 16, 1, 1 });
        k = panels;
        snprintf(options, sizeof options, "%s -DVF=%u -DRQ=%u -DDV=%u", plain, width, rq, (unsigned)dv);
        mbr_cl_kernel(l, "attention", "attention_rows", options);
        block = rq;
    } else {
        snprintf(options, sizeof options, "%s -DB=%u -DD=%u -DDV=%u", plain, (unsigned)block, (unsigned)dk, (unsigned)dv);
        mbr_cl_kernel(l, "attention", "attention_tiles", options);
    }
    operands(l, t, &k);
    mbr_cl_out(l, 0);
    mbr_cl_bytes(l, &t->g, sizeof t->g);
    size_t blocks = (p->lq + block - 1) / block, side = rows ? 1 : block / 4;
    mbr_cl_go(l, 3, (size_t[]){ blocks * side, p->heads * side, p->batch }, (size_t[]){ side, side, 1 });
    return l->status;
}

static mbr_status lower_attention(mbr_cl_lower *l)
{
    const mbr_step *s = l->step;
    const mbr_attend *a = s->state;
    const mbr_attention_any_args *p = &a->any;
    bool onnx = mbr_cl_param(l) == ONNX;
    task t = { .q = { .from = MBR_CL_INPUT }, .k = { .from = MBR_CL_INPUT, .i = IN_K },
               .v = { .from = MBR_CL_INPUT, .i = IN_V }, .mask = { .from = MBR_CL_NONE }, .keys = IN_KEYS,
               .scores = mbr_step_wants(s, OUT_SCORES) };
    sizes_of(p, &t.g);
    t.steps = p->stepwise && p->lk <= MBR_ATTENTION_STEPWISE && p->scale >= 0;
    t.plain_one = t.scores || t.steps || !fast(p->dtype);
    if (!s->out[OUT_Y])
        return mbr_cl_decline(l, "only caches are wanted");
    if (mbr_value_count(s->out[OUT_Y]) == 0)
        return MBR_OK;
    t.g.clean = !onnx && mbr_attr_int(s->node, "clean", 0) != 0;
    t.g.empty = onnx || t.g.clean ? 0.0f : NAN;
    if (mbr_step_has(s, IN_MASK)) {
        t.mask = (mbr_cl_operand){ .from = MBR_CL_INPUT, .i = IN_MASK };
        t.mask_dtype = s->in[IN_MASK]->dtype;
        t.kind = 1;
        t.plain_one |= onnx && !mask_of(s, &t.g, &t.kind);
    }
    if (onnx && mbr_step_has(s, IN_KEYS))
        t.g.by_sample = !mbr_step_has(s, IN_PAST_K) && (p->causal || p->left >= 0 || p->right >= 0) ? 2 : 1;
    if (onnx && (mbr_step_has(s, IN_PAST_K) || mbr_step_wants(s, OUT_K) || mbr_step_wants(s, OUT_V))) {
        bool inside = s->in[IN_Q]->rank == 3;
        size_t rows = p->lk - (mbr_step_has(s, IN_PAST_K) ? (size_t)s->in[IN_PAST_K]->dims[2] : 0);
        copy k = copy_of(inside, p->kv_heads, rows, p->d), v = copy_of(inside, p->kv_heads, rows, p->dv);
        t.k = joined(l, IN_K, &k, false, IN_PAST_K, OUT_K, &t.at);
        t.v = joined(l, IN_V, &v, false, IN_PAST_V, OUT_V, &t.at);
    }
    return lower_task(l, p, &t);
}

/* An operand of MultiHeadAttention behind its past, with its bias; `out`: where it is wanted, 0: nowhere. */
static mbr_cl_operand gathered(mbr_cl_lower *l, const mbr_mha_operand *o, uint32_t past_slot, size_t cols, uint32_t out,
                               size_t *at)
{
    const mbr_attention_any_args *p = &((const mbr_mha *)l->step->state)->attend.any;
    copy c = { .from = { o->batch, o->head, o->token }, .first = (cl_long)o->at, .bias = (cl_long)o->bias_at,
               .heads = (cl_int)p->heads, .rows = (cl_int)o->tokens, .cols = (cl_int)cols };
    return joined(l, o->slot, &c, mbr_step_has(l->step, IN_MHA_BIAS), past_slot, out, at);
}

/* As in attention.cl. */
typedef struct padding {
    cl_long bias[2];
    cl_int heads, rows, cols, batch, pad, pads, starts, has;
    cl_float filter;
    cl_int end;
} padding;

static void lower_padding(mbr_cl_lower *l, task *t)
{
    const mbr_step *s = l->step;
    const mbr_attention_any_args *p = &((const mbr_mha *)s->state)->attend.any;
    const mbr_value *pad = s->in[IN_MHA_PADDING], *bias = mbr_step_has(s, IN_MHA_MASK) ? s->in[IN_MHA_MASK] : NULL;
    size_t heads = p->mask_stride[1] ? p->heads : 1, rows = p->mask_stride[2] ? p->lq : 1;
    size_t batch = p->mask_stride[0] ? p->batch : 1, plane = p->lq * p->lk;
    padding g = { .heads = (cl_int)heads, .rows = (cl_int)rows, .cols = (cl_int)p->lk, .batch = (cl_int)p->batch,
                  .pad = pad->rank, .pads = pad->rank == 3 ? (cl_int)p->lq : 1, .has = bias != NULL,
                  .starts = pad->rank == 1 && (size_t)pad->dims[0] == 2 * p->batch,
                  .filter = mbr_attr_float(s->node, "mask_filter_value", -10000.0f) };
    char options[16];
    if (bias) {
        g.bias[1] = bias->dims[1] == 1 ? 0 : (cl_long)plane;
        g.bias[0] = bias->dims[0] == 1 ? 0 : (cl_long)plane * bias->dims[1];
    }
    t->mask = (mbr_cl_operand){ .from = MBR_CL_SCRATCH, .at = t->at,
                                .bytes = batch * heads * rows * p->lk * mbr_dtype_size(p->dtype) };
    t->at += aligned(t->mask.bytes);
    snprintf(options, sizeof options, "-DFILTER=%s", mbr_dtype_name(p->dtype));
    mbr_cl_kernel(l, "attention", "attention_mask", options);
    mbr_cl_in(l, IN_MHA_PADDING);
    mbr_cl_in_or_none(l, IN_MHA_MASK);
    mbr_cl_operand_arg(l, &t->mask);
    mbr_cl_bytes(l, &g, sizeof g);
    mbr_cl_go_rows(l, p->lk, rows, batch * heads);
}

static mbr_status lower_multi_head(mbr_cl_lower *l)
{
    const mbr_step *s = l->step;
    const mbr_mha *a = s->state;
    const mbr_attention_any_args *p = &a->attend.any;
    task t = { .q = { .from = MBR_CL_INPUT }, .mask = { .from = MBR_CL_NONE }, .mask_dtype = p->dtype,
               .plain_one = !fast(p->dtype) };
    if (!s->out[OUT_Y])
        return mbr_cl_decline(l, "only caches are wanted");
    if (mbr_value_count(s->out[OUT_Y]) == 0)
        return MBR_OK;
    sizes_of(p, &t.g);
    t.k = gathered(l, &a->k, IN_MHA_PAST, p->d, OUT_K, &t.at);
    t.v = gathered(l, &a->v, IN_MHA_PAST + 1, p->dv, OUT_V, &t.at);
    if (a->copy_q)
        t.q = gathered(l, &a->q, 0, p->d, 0, &t.at);
    t.kind = p->mask_cols != 0;
    if (mbr_step_has(s, IN_MHA_PADDING))
        lower_padding(l, &t);
    else if (t.kind)
        t.mask = (mbr_cl_operand){ .from = MBR_CL_INPUT, .i = IN_MHA_MASK };
    return lower_task(l, p, &t);
}

/* As in attention.cl. */
typedef struct cache {
    cl_long past[3], from[3], to[3];
    cl_long first;
    cl_int heads, rows, cols, tokens, past_rows, lk;
    cl_int pairs, table_rows, interleaved, positions, queries;
} cache;

/* Keys, values (i: 0, 1) with their past, or (2) queries, turned, of GroupQueryAttention. */
static void lower_cache(mbr_cl_lower *l, unsigned i, const mbr_cl_operand *to)
{
    const mbr_step *s = l->step;
    const mbr_gqa *a = s->state;
    const mbr_attention_any_args *p = &a->attend.any;
    size_t heads = i == 2 ? p->heads : p->kv_heads, across = (size_t)s->in[IN_Q]->dims[2];
    cache g = { .heads = (cl_int)heads, .rows = (cl_int)(i == 2 ? p->lq : p->lk), .cols = (cl_int)p->d,
                .tokens = (cl_int)p->lq, .past_rows = (cl_int)a->past, .lk = (cl_int)p->lk, .queries = i == 2,
                .interleaved = mbr_attr_int(s->node, "rotary_interleaved", 0) != 0,
                .positions = mbr_step_has(s, IN_GQA_POSITIONS) };
    char options[16];
    ptrdiff_t past[3];
    if (!a->packed && i < 2)
        across = p->kv_heads * p->d;
    if (a->packed && i < 2)
        g.first = (cl_long)((p->heads + i * p->kv_heads) * p->d);
    mbr_attend_strides(false, heads, a->past, p->d, past);
    longs(g.past, past, 3);
    longs(g.from, (const ptrdiff_t[]){ (ptrdiff_t)(p->lq * across), (ptrdiff_t)p->d, (ptrdiff_t)across }, 3);
    longs(g.to, i == 2 ? p->q_stride : p->k_stride, 3);
    if (a->rotate && i != 1) {
        g.pairs = (cl_int)s->in[IN_GQA_COS]->dims[1];
        g.table_rows = (cl_int)s->in[IN_GQA_COS]->dims[0];
    }
    snprintf(options, sizeof options, "-DCACHE=%s", mbr_dtype_name(p->dtype));
    mbr_cl_kernel(l, "attention", "attention_cache", options);
    mbr_cl_in(l, a->packed || i == 2 ? IN_Q : IN_K + i);
    mbr_cl_in_or_none(l, IN_GQA_PAST + i % 2);
    mbr_cl_in(l, IN_GQA_LENGTHS);
    mbr_cl_in_or_none(l, IN_GQA_COS);
    mbr_cl_in_or_none(l, IN_GQA_SIN);
    mbr_cl_in_or_none(l, IN_GQA_POSITIONS);
    mbr_cl_operand_arg(l, to);
    mbr_cl_flag(l);
    mbr_cl_bytes(l, &g, sizeof g);
    mbr_cl_go_rows(l, p->d, (size_t)g.rows, p->batch * heads);
}

static mbr_status lower_group_query(mbr_cl_lower *l)
{
    const mbr_step *s = l->step;
    const mbr_gqa *a = s->state;
    const mbr_attention_any_args *p = &a->attend.any;
    task t = { .q = { .from = MBR_CL_INPUT }, .k = { .from = MBR_CL_OUTPUT, .i = OUT_K },
               .v = { .from = MBR_CL_OUTPUT, .i = OUT_V }, .mask = { .from = MBR_CL_NONE }, .mask_dtype = p->dtype,
               .keys = IN_GQA_LENGTHS, .sink = mbr_step_has(s, IN_GQA_SINK) ? IN_GQA_SINK : 0 };
    if (!s->out[OUT_Y])
        return mbr_cl_decline(l, "only caches are wanted");
    t.plain_one = !fast(p->dtype) || t.sink || p->one_in_sum;
    sizes_of(p, &t.g);
    t.g.by_sample = 3;
    t.g.offset = a->past > 0;
    if (a->rotate) {
        t.q = (mbr_cl_operand){ .from = MBR_CL_SCRATCH };
        t.q.bytes = p->batch * p->heads * p->lq * p->d * mbr_dtype_size(p->dtype);
        t.at = aligned(t.q.bytes);
        lower_cache(l, 2, &t.q);
    }
    lower_cache(l, 0, &t.k);
    lower_cache(l, 1, &t.v);
    if (mbr_step_has(s, IN_GQA_BIAS)) {
        t.mask = (mbr_cl_operand){ .from = MBR_CL_INPUT, .i = IN_GQA_BIAS };
        t.kind = 1;
        t.g.mask_cols = (cl_int)p->mask_cols;
    }
    return mbr_value_count(s->out[OUT_Y]) ? lower_task(l, p, &t) : l->status;
}

static bool takes_attention(const mbr_ir_node *n, const mbr_cl_device *d)
{
    return mbr_dtype_is_float(n->inputs[0]->type.dtype) && mbr_cl_takes_numbers(n, d);
}

const mbr_cl_op mbr_cl_ops_attention[] = {
    { "mbr", "Attention", takes_attention, lower_attention, FUSED },
    { "", "Attention", takes_attention, lower_attention, ONNX },
    { "com.microsoft", "MultiHeadAttention", takes_attention, lower_multi_head, 0 },
    { "com.microsoft", "GroupQueryAttention", takes_attention, lower_group_query, 0 },
    { 0 },
};
