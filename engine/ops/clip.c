/* SPDX-License-Identifier: BSD-2-Clause */
/* Clip: limits are attributes up to version 6, inputs from 11 on. */
#include "engine/ops/op_util.h"
#include "engine/ops/pointwise.h"

#include <float.h>
#include <math.h>
#include <string.h>

typedef struct clip_state {
    mbr_op_chain chain; /* fn NULL: the typed loop; first: engine/opencl reads it */
    size_t each;
} clip_state;

static mbr_status infer(mbr_infer *c)
{
    MBR_TRY(mbr_op_check_type(c, 0, MBR_TYPES_NUMBER));
    for (uint32_t i = 1; i < 3; i++) {
        MBR_TRY(mbr_op_check_same(c, 0, i));
        if (mbr_infer_has(c, i) && c->in[i].rank > 0) { /* one number; some exporters write a list of one */
            for (int k = 0; k < c->in[i].rank; k++)
                if (mbr_dim_is_const(c->in[i].dims[k]) && c->in[i].dims[k] != 1)
                    return mbr_infer_fail(c, MBR_ERR_MODEL, "the limit (input %u) must be a single number",
                                          (unsigned)i);
        }
    }
    mbr_infer_same(c, 0, 0);
    mbr_dim v[MBR_OP_CONTENT], low = 0, high = 0;
    size_t n, one;
    bool has_low = mbr_infer_has(c, 1), has_high = mbr_infer_has(c, 2);
    if (!mbr_infer_ints(c, 0, v, MBR_OP_CONTENT, &n) || (has_low && !mbr_infer_ints(c, 1, &low, 1, &one)) ||
        (has_high && !mbr_infer_ints(c, 2, &high, 1, &one)))
        return MBR_OK;
    for (size_t i = 0; i < n; i++) {
        if (has_low)
            v[i] = mbr_dim_max(c->dims, v[i], low);
        if (has_high)
            v[i] = mbr_dim_min(c->dims, v[i], high);
    }
    mbr_infer_set_content(c, 0, v, n);
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    clip_state *st = s->state;
    mbr_chain *chain = &st->chain.chain;
    uint32_t used;
    for (uint32_t i = 1; i < 3; i++)
        if (mbr_step_has(s, i) && mbr_value_count(s->in[i]) != 1)
            return mbr_step_fail(s, err, MBR_ERR_RUN, "the limit (input %u) must be a single number", (unsigned)i);
    st->chain.fn = NULL;
    if (mbr_chain_float(s->in[0]->dtype)) {
        /* the node's code speaks of its inputs; a limit that it does not read needs no register */
        uint32_t n = s->node->n_formal;
        chain->length = mbr_pointwise_code(s->node, chain->code, &used);
        uint8_t number[3] = { 0 };
        chain->inputs = 0;
        for (uint32_t i = 0; i < n; i++)
            if (used >> i & 1) {
                number[i] = (uint8_t)chain->inputs;
                st->chain.from[chain->inputs++] = (uint8_t)i;
            }
        uint8_t to = (uint8_t)chain->inputs;
        for (int k = 0; k < chain->length; k++) {
            mbr_chain_insn *insn = &chain->code[k];
            insn->dst = to;
            insn->a = k ? to : 0;
            insn->b = insn->b < 3 ? number[insn->b] : 0;
        }
        chain->outputs = 1;
        chain->output_reg[0] = to;
        return mbr_op_chain_prepare(s, &st->chain, -1, err);
    }
    size_t n = mbr_value_count(s->in[0]);
    st->each = 4096 * mbr_step_split(s, (n + 4095) / 4096, 4096 * 4.0);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const clip_state *st = s->state;
    (void)err;
    if (st->chain.fn) {
        mbr_op_chain_run(s, &st->chain, job);
        return MBR_OK;
    }
    const mbr_value *in = s->in[0];
    size_t first, last, size = mbr_dtype_size(in->dtype);
    static const ptrdiff_t one = 1, still = 0;
    mbr_op_items(job, st->each, mbr_value_count(in), &first, &last);
    if (first == last)
        return MBR_OK;
    size_t n = last - first;
    const void *from = mbr_bytes_at(in->data, first * size);
    char *to = (char *)s->out[0]->data + first * size;
    double low, high; /* the attributes of version 1, where the tensor is f64 */
    const void *limit[2] = { mbr_step_has(s, 1) ? s->in[1]->data : NULL, mbr_step_has(s, 2) ? s->in[2]->data : NULL };
    if (s->op->since < 11 && in->dtype == MBR_DTYPE_F64) {
        low = mbr_attr_float(s->node, "min", s->op->since < 6 ? -INFINITY : -FLT_MAX);
        high = mbr_attr_float(s->node, "max", s->op->since < 6 ? INFINITY : FLT_MAX);
        limit[0] = &low;
        limit[1] = &high;
    }
    for (int k = 0; k < 2; k++)
        if (limit[k]) {
            mbr_elementwise_binary_ref(k ? MBR_BINARY_MIN : MBR_BINARY_MAX, in->dtype, 1, &n, from, &one, limit[k],
                                       &still, to, &one);
            from = to;
        }
    if (from != to)
        memcpy(to, from, n * size);
    return MBR_OK;
}

#define CLIP(version, most)                                                                                            \
    { .domain = "", .name = "Clip", .since = version, .min_in = 1, .max_in = most, .min_out = 1, .max_out = 1,         \
      .flags = MBR_OP_INPLACE0 | MBR_OP_CHAIN, .infer = infer, .prepare = prepare, .run = run,                         \
      .state_size = sizeof(clip_state), .param = MBR_POINTWISE_PARAM(0, MBR_CHAIN_CLIP) }

const mbr_op mbr_ops_clip[] = {
    CLIP(1, 1),
    CLIP(6, 1), /* limits that are absent are those of f32 */
    CLIP(11, 3),
    { 0 },
};
