/* SPDX-License-Identifier: BSD-2-Clause */
/* mbr.Attention, and Attention of ai.onnx with masks, windows, and caches inside and outside. */
#include "engine/opencl/lower_util.h"
#include "engine/opencl/product.h"
#include "engine/ops/attend.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { FUSED, ONNX };
enum { IN_Q, IN_K, IN_V, IN_MASK, IN_PAST_K, IN_PAST_V, IN_KEYS };
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

/* One more part of keys or values behind those that are there. */
static void join(mbr_cl_lower *l, uint32_t from, const mbr_cl_operand *to, bool heads_inside, size_t at, size_t rows,
                 size_t cols, const attend *g)
{
    const mbr_value *v = l->step->in[from];
    size_t heads = (size_t)(g->heads / g->group);
    ptrdiff_t a[3], b[3];
    copy c = { .heads = (cl_int)heads, .rows = (cl_int)rows, .cols = (cl_int)cols };
    mbr_attend_strides(heads_inside, heads, rows, cols, a);
    mbr_attend_strides(false, heads, (size_t)g->lk, cols, b);
    longs(c.from, a, 3);
    longs(c.to, b, 3);
    static const char *const by_size[] = { [2] = "-DJOIN=ushort", [4] = "-DJOIN=uint", [8] = "-DJOIN=ulong" };
    mbr_cl_kernel(l, "attention", "attention_join", by_size[mbr_dtype_size(v->dtype)]);
    mbr_cl_in(l, from);
    mbr_cl_operand_arg(l, to);
    mbr_cl_long(l, (int64_t)at); /* row */
    mbr_cl_bytes(l, &c, sizeof c);
    mbr_cl_go_rows(l, cols, rows, heads * (size_t)v->dims[0]);
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

static mbr_status lower_attention(mbr_cl_lower *l)
{
    const mbr_step *s = l->step;
    const mbr_attend *a = s->state;
    const mbr_attention_any_args *p = &a->any;
    const mbr_cl_device *d = l->device;
    bool onnx = mbr_cl_param(l) == ONNX, half = p->dtype == MBR_DTYPE_F16, scores = mbr_step_wants(s, OUT_SCORES);
    bool steps = p->stepwise && p->lk <= MBR_ATTENTION_STEPWISE && p->scale >= 0 && !p->sink && !p->one_in_sum;
    bool plain_one = scores || steps || (!half && p->dtype != MBR_DTYPE_F32);
    attend g = { .heads = (cl_int)p->heads, .group = (cl_int)(p->heads / p->kv_heads), .lq = (cl_int)p->lq,
                 .lk = (cl_int)p->lk, .d = (cl_int)p->d, .dv = (cl_int)p->dv, .mask_cols = (cl_int)p->lk,
                 .causal = p->causal, .left = p->left < 0 ? -1 : (cl_int)p->left,
                 .right = p->right < 0 ? -1 : (cl_int)p->right, .offset = (cl_int)p->offset,
                 .scale = (float)p->scale, .softcap = (float)p->softcap };
    int kind = 0;
    char options[96], plain[32];
    size_t at = 0, size = mbr_dtype_size(p->dtype);
    mbr_cl_operand k = { .from = MBR_CL_INPUT, .i = IN_K }, v = { .from = MBR_CL_INPUT, .i = IN_V };
    longs(g.q, p->q_stride, 3);
    longs(g.k, p->k_stride, 3);
    longs(g.v, p->v_stride, 3);
    longs(g.o, p->out_stride, 3);
    longs(g.mask, p->mask_stride, 4);
    if (!s->out[OUT_Y] || p->one_in_sum || p->sink)
        return mbr_cl_decline(l, "sinks are wanted");
    if (mbr_value_count(s->out[OUT_Y]) == 0)
        return MBR_OK;
    g.clean = !onnx && mbr_attr_int(s->node, "clean", 0) != 0;
    g.empty = onnx || g.clean ? 0.0f : NAN;
    if (mbr_step_has(s, IN_MASK)) {
        kind = 1;
        plain_one |= onnx && !mask_of(s, &g, &kind);
    }
    if (onnx && mbr_step_has(s, IN_KEYS))
        g.by_sample = !mbr_step_has(s, IN_PAST_K) && (g.causal || g.left >= 0 || g.right >= 0) ? 2 : 1;
    snprintf(plain, sizeof plain, "-DREAL -DMASK=%d%s", kind, half ? " -DHALF" : "");
    if (onnx && (mbr_step_has(s, IN_PAST_K) || mbr_step_wants(s, OUT_K) || mbr_step_wants(s, OUT_V))) {
        bool inside = s->in[IN_Q]->rank == 3, has = mbr_step_has(s, IN_PAST_K);
        size_t past = has ? (size_t)s->in[IN_PAST_K]->dims[2] : 0, rows = p->batch * p->kv_heads * p->lk;
        for (uint32_t i = 0; i < 2; i++) {
            mbr_cl_operand *o = i ? &v : &k;
            size_t cols = i ? p->dv : p->d;
            if (mbr_step_wants(s, OUT_K + i)) {
                *o = (mbr_cl_operand){ .from = MBR_CL_OUTPUT, .i = OUT_K + i };
            } else {
                *o = (mbr_cl_operand){ .from = MBR_CL_SCRATCH, .at = at, .bytes = rows * cols * size };
                at += aligned(o->bytes);
            }
            if (has)
                join(l, IN_PAST_K + i, o, false, 0, past, cols, &g);
            join(l, IN_K + i, o, inside, past, p->lk - past, cols, &g);
        }
    }
    if (plain_one) {
        size_t number = p->dtype == MBR_DTYPE_F64 ? 8 : 4;
        snprintf(options, sizeof options, "-DT=%s -DC=%s -DM=%s -DMASK=%d -DSTAGE=%d -DFLAGS=%d%s", mbr_dtype_name(p->dtype),
                 number == 8 ? "double" : "float", mbr_dtype_name(kind ? s->in[IN_MASK]->dtype : MBR_DTYPE_F32), kind,
                 scores ? (int)p->stage : -1, steps | p->wide_softmax << 1,
                 steps && !p->wide_softmax && p->dtype == MBR_DTYPE_BF16 ? " -DSUM_STEPS" : "");
        mbr_cl_kernel(l, "attention", "attention_plain", options);
        mbr_cl_in(l, IN_Q);
        mbr_cl_operand_arg(l, &k);
        mbr_cl_operand_arg(l, &v);
        mbr_cl_in_or_none(l, IN_MASK);
        mbr_cl_in_or_none(l, IN_KEYS);
        mbr_cl_in(l, IN_Q); /* no sink */
        mbr_cl_out(l, 0);
        mbr_cl_out(l, scores ? OUT_SCORES : 0);
        mbr_cl_scratch(l, at, p->batch * p->heads * p->lq * p->lk * number);
        mbr_cl_bytes(l, &g, sizeof g);
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
        mbr_cl_operand panels = { .from = MBR_CL_SCRATCH, .at = at,
                                  .bytes = p->batch * p->kv_heads * keys * p->d * size };
        mbr_cl_kernel(l, "attention", "attention_pack", plain);
        mbr_cl_operand_arg(l, &k);
        mbr_cl_operand_arg(l, &panels);
        mbr_cl_bytes(l, &g, sizeof g);
        mbr_cl_go(l, 3, (size_t[]){ keys, p->kv_heads, p->batch }, (size_t[]){ d->max_group < 16 ? 1 : 16, 1, 1 });
        k = panels;
        snprintf(options, sizeof options, "%s -DVF=%u -DRQ=%u -DDV=%u", plain, width, rq, (unsigned)dv);
        mbr_cl_kernel(l, "attention", "attention_rows", options);
        block = rq;
    } else {
        snprintf(options, sizeof options, "%s -DB=%u -DD=%u -DDV=%u", plain, (unsigned)block, (unsigned)dk, (unsigned)dv);
        mbr_cl_kernel(l, "attention", "attention_tiles", options);
    }
    mbr_cl_in(l, IN_Q);
    mbr_cl_operand_arg(l, &k);
    mbr_cl_operand_arg(l, &v);
    mbr_cl_in_or_none(l, IN_MASK);
    mbr_cl_in_or_none(l, IN_KEYS);
    mbr_cl_out(l, 0);
    mbr_cl_bytes(l, &g, sizeof g);
    size_t blocks = (p->lq + block - 1) / block, side = rows ? 1 : block / 4;
    mbr_cl_go(l, 3, (size_t[]){ blocks * side, p->heads * side, p->batch }, (size_t[]){ side, side, 1 });
    return l->status;
}

static bool takes_attention(const mbr_ir_node *n, const mbr_cl_device *d)
{
    return mbr_dtype_is_float(n->inputs[0]->type.dtype) && mbr_cl_takes_numbers(n, d);
}

const mbr_cl_op mbr_cl_ops_attention[] = {
    { "mbr", "Attention", takes_attention, lower_attention, FUSED },
    { "", "Attention", takes_attention, lower_attention, ONNX },
    { 0 },
};
