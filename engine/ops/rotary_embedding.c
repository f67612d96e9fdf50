/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RotaryEmbedding of ai.onnx (X, cos, sin, positions) and com.microsoft (X, positions, cos, sin), and mbr.Rotary (x,
 * cos, sin), which rules make of what exporters spell out: x cos + (-x2, x1) sin, with (x1, x2) the halves of the last
 * axis, or, interleaved, the elements of each pair of neighbours there; x is what a Transpose by `axes`, where there is
 * such an attribute, makes of the input; cos and sin broadcast to it.
 */
#include "engine/ops/op_util.h"
#include "base/checked.h"
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

/* --- mbr.Rotary --- */

typedef struct turn_state {
    mbr_turn_args args; /* first */
    size_t rows, per_tile;
} turn_state;

/* The order of x's axes; false: the attribute does not fit, or moves the last one. */
static bool turn_axes(const mbr_ir_node *node, int rank, int *axes)
{
    size_t n;
    uint32_t seen = 0;
    const int64_t *list = mbr_attr_ints(node, "axes", &n);
    if (rank < 1 || rank > 4 || (list && n != (size_t)rank))
        return false;
    for (int i = 0; i < rank; i++) {
        axes[i] = list ? (int)list[i] & 7 : i;
        seen |= 1u << axes[i];
    }
    return seen == (1u << rank) - 1 && axes[rank - 1] == rank - 1;
}

static mbr_status turn_infer(mbr_infer *c)
{
    const mbr_arg *x = &c->in[0];
    mbr_dim dims[4];
    int axes[4];
    for (uint32_t i = 0; i < 3; i++)
        if (c->in[i].dtype != MBR_DTYPE_F32 || c->in[i].rank < 1 || c->in[i].rank > x->rank)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "input %u: f32 of at most the first one's rank is due", (unsigned)i);
    if (!turn_axes(c->node, x->rank, axes))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "axes do not fit an input of rank %d", x->rank);
    for (int d = 0; d < x->rank; d++)
        dims[d] = x->dims[axes[d]];
    if (!mbr_dim_is_const(dims[x->rank - 1]) || dims[x->rank - 1] % 2)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "the last axis has no halves");
    for (uint32_t i = 1; i < 3; i++)
        for (int d = 0; d < c->in[i].rank; d++) {
            mbr_dim at = c->in[i].dims[d], of = dims[x->rank - c->in[i].rank + d];
            if ((!mbr_dim_is_known(of) || at != of) && (d == c->in[i].rank - 1 || at != 1))
                return mbr_infer_fail(c, MBR_ERR_MODEL, "axis %d of input %u does not broadcast", d, (unsigned)i);
        }
    mbr_infer_out(c, 0, MBR_DTYPE_F32, x->rank, dims);
    return MBR_OK;
}

/* The strides of a dense value as the answer's rows walk it; false: it does not broadcast to them. */
static bool turn_strides(const mbr_value *v, const int *axes, const mbr_value *out, ptrdiff_t *stride)
{
    size_t dims[4] = { 0 };
    ptrdiff_t dense[4];
    int lead = out->rank - v->rank;
    for (int d = 0; d < v->rank; d++)
        dims[d] = (size_t)v->dims[d];
    mbr_dense_strides(v->rank, dims, dense);
    for (int d = lead; d < out->rank; d++) {
        int from = axes ? axes[d] : d - lead;
        if (v->dims[from] != out->dims[d] && (axes || v->dims[from] != 1 || d == out->rank - 1))
            return false;
        if (d < out->rank - 1 && v->dims[from] != 1)
            stride[4 - out->rank + d] = dense[from];
    }
    return true;
}

static mbr_status turn_prepare(mbr_step *s, mbr_error *err)
{
    turn_state *st = s->state;
    mbr_turn_args *a = &st->args;
    const mbr_value *out = s->out[0];
    int axes[4];
    *a = (mbr_turn_args){ .dims = { 1, 1, 1 }, .pairs = mbr_attr_int(s->node, "interleaved", 0) != 0,
                          .half = (size_t)out->dims[out->rank - 1] / 2 };
    for (int d = 0; d < out->rank - 1; d++)
        a->dims[4 - out->rank + d] = (size_t)out->dims[d];
    if (!turn_axes(s->node, out->rank, axes) || !turn_strides(s->in[0], axes, out, a->x_stride) ||
        !turn_strides(s->in[1], NULL, out, a->cos_stride) || !turn_strides(s->in[2], NULL, out, a->sin_stride))
        return mbr_step_fail(s, err, MBR_ERR_RUN, "the shapes of its inputs do not fit each other");
    st->rows = a->dims[0] * a->dims[1] * a->dims[2];
    st->per_tile = mbr_step_split(s, st->rows, (double)a->half);
    return MBR_OK;
}

static mbr_status turn_run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const turn_state *st = s->state;
    mbr_turn_args a = st->args;
    (void)err;
    a.x = s->in[0]->data;
    a.cos = s->in[1]->data;
    a.sin = s->in[2]->data;
    a.out = s->out[0]->data;
    mbr_turn(&a, job->first * st->per_tile, mbr_min_size(job->last * st->per_tile, st->rows));
    return MBR_OK;
}

#define ROW(dom, version, least, what)                                                                                 \
    { .domain = dom, .name = "RotaryEmbedding", .since = version, .min_in = least, .max_in = 4, .min_out = 1,          \
      .max_out = 1, .infer = infer, .prepare = prepare, .run = run, .state_size = sizeof(rotary_state), .param = what }

const mbr_op mbr_ops_rotary_embedding[] = {
    ROW("", 23, 3, ONNX),
    ROW("com.microsoft", 1, 4, MICROSOFT),
    { .domain = "mbr", .name = "Rotary", .since = 1, .min_in = 3, .max_in = 3, .min_out = 1, .max_out = 1,
      .infer = turn_infer, .prepare = turn_prepare, .run = turn_run, .state_size = sizeof(turn_state) },
    { 0 },
};
