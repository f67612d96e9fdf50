/* SPDX-License-Identifier: BSD-2-Clause */
/* RotaryEmbedding of ai.onnx (X, cos, sin, positions) and com.microsoft (X, positions, cos, sin). */
#include "engine/ops/op.h"
#include "kernels/recurrence.h"

#include <string.h>

enum { ONNX, MICROSOFT };

typedef struct rotary_state {
    mbr_rotary_args args;
    size_t tokens, per_tile;
} rotary_state;

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *x = &c->in[0];
    if (x->dtype != MBR_DTYPE_UNDEFINED && !mbr_dtype_is_float(x->dtype))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "elements of type %s; floats are needed", mbr_dtype_name(x->dtype));
    if (x->rank >= 0 && x->rank != 3 && x->rank != 4)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "an input of rank %d, not 3 or 4", x->rank);
    mbr_infer_same(c, 0, 0);
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    rotary_state *st = s->state;
    mbr_rotary_args *a = &st->args;
    bool microsoft = s->op->param == MICROSOFT;
    const mbr_value *x = s->in[0], *cos = s->in[microsoft ? 2 : 1], *sin = s->in[microsoft ? 3 : 2];
    const mbr_value *pos = microsoft ? s->in[1] : mbr_step_has(s, 3) ? s->in[3] : NULL;
    memset(a, 0, sizeof *a);
    int64_t heads = mbr_attr_int(s->node, "num_heads", 0), dim = mbr_attr_int(s->node, "rotary_embedding_dim", 0);
    a->dtype = x->dtype;
    a->interleaved = mbr_attr_int(s->node, "interleaved", 0) != 0;
    a->batch = (size_t)x->dims[0];
    if (x->rank == 4) { /* (batch, heads, tokens, size) */
        a->heads = (size_t)x->dims[1];
        a->tokens = (size_t)x->dims[2];
        a->size = (size_t)x->dims[3];
        a->in_stride[0] = (ptrdiff_t)(a->heads * a->tokens * a->size);
        a->in_stride[1] = (ptrdiff_t)a->size;
        a->in_stride[2] = (ptrdiff_t)(a->tokens * a->size);
    } else {
        a->tokens = (size_t)x->dims[1];
        if (heads <= 0 && microsoft && cos->rank > 0) /* whole heads then: the cache tells their size */
            heads = cos->dims[cos->rank - 1] > 0 ? x->dims[2] / (2 * cos->dims[cos->rank - 1]) : 0;
        if (heads < 1 || x->dims[2] % heads)
            return mbr_step_fail(s, err, MBR_ERR_MODEL, "attribute num_heads is %lld for %lld elements",
                                 (long long)heads, (long long)x->dims[2]);
        a->heads = (size_t)heads;
        a->size = (size_t)x->dims[2] / a->heads;
        a->in_stride[0] = (ptrdiff_t)(a->tokens * a->heads * a->size);
        a->in_stride[1] = (ptrdiff_t)(a->heads * a->size);
        a->in_stride[2] = (ptrdiff_t)a->size;
    }
    memcpy(a->out_stride, a->in_stride, sizeof a->in_stride);
    size_t rotated = dim > 0 ? (size_t)dim : a->size;
    a->half = rotated / 2;
    if (rotated > a->size || rotated % 2 || cos->rank < 2 || (size_t)cos->dims[cos->rank - 1] != a->half ||
        mbr_value_count(sin) != mbr_value_count(cos) || cos->dtype != x->dtype || sin->dtype != x->dtype)
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "the caches do not fit %zu rotated elements of %zu", rotated,
                             a->size);
    a->rows = a->half ? mbr_value_count(cos) / a->half : 0;
    st->tokens = a->batch * a->tokens;
    if (!pos && a->rows != st->tokens)
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "%zu rows of the caches for %zu tokens", a->rows, st->tokens);
    a->one_position = microsoft && mbr_value_count(pos) == 1 && pos->rank == 1;
    if (pos && (pos->dtype != MBR_DTYPE_I64 || (!a->one_position && mbr_value_count(pos) != st->tokens)))
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "%zu positions of type %s for %zu tokens", mbr_value_count(pos),
                             mbr_dtype_name(pos->dtype), st->tokens);
    st->per_tile = mbr_step_split(s, st->tokens, (double)(a->heads * a->size) * 3);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const rotary_state *st = s->state;
    mbr_rotary_args a = st->args;
    bool microsoft = s->op->param == MICROSOFT;
    size_t last = job->last * st->per_tile;
    a.in = s->in[0]->data;
    a.out = s->out[0]->data;
    a.cos = s->in[microsoft ? 2 : 1]->data;
    a.sin = s->in[microsoft ? 3 : 2]->data;
    a.positions = microsoft ? s->in[1]->data : mbr_step_has(s, 3) ? s->in[3]->data : NULL;
    if (!mbr_rotary(&a, job->first * st->per_tile, last < st->tokens ? last : st->tokens))
        return mbr_step_fail(s, err, MBR_ERR_RUN, "a position beyond the %zu rows of the caches", a.rows);
    return MBR_OK;
}

#define ROW(dom, version, least, what)                                                                                 \
    { .domain = dom, .name = "RotaryEmbedding", .since = version, .min_in = least, .max_in = 4, .min_out = 1,          \
      .max_out = 1, .infer = infer, .prepare = prepare, .run = run, .state_size = sizeof(rotary_state), .param = what }

const mbr_op mbr_ops_rotary_embedding[] = {
    ROW("", 23, 3, ONNX),
    ROW("com.microsoft", 1, 4, MICROSOFT),
    { 0 },
};
