/* SPDX-License-Identifier: BSD-2-Clause */
/* Expand and Tile: a tensor repeated to a larger shape. */
#include "engine/ops/op_util.h"

#include "base/checked.h"

#include <string.h>

static mbr_status infer_expand(mbr_infer *c)
{
    const mbr_arg *in = &c->in[0];
    mbr_arg shape = { .present = true };
    const mbr_arg *args[2] = { in, &shape };
    mbr_dim dims[MBR_MAX_RANK], v[MBR_OP_CONTENT];
    size_t n;
    int rank;
    mbr_op_given given;
    MBR_TRY(mbr_op_check_tensor(c, 0));
    MBR_TRY(mbr_op_infer_ints(c, NULL, 1, shape.dims, MBR_MAX_RANK, &n, &given));
    if (given == MBR_OP_UNKNOWN) {
        bool counted = c->in[1].rank == 1 && mbr_dim_is_const(c->in[1].dims[0]) && in->rank >= 0;
        rank = counted ? (int)c->in[1].dims[0] : -1;
        mbr_infer_out(c, 0, in->dtype, counted && rank < in->rank ? in->rank : rank, NULL);
        return MBR_OK;
    }
    shape.rank = (int)n;
    for (size_t i = 0; i < n; i++)
        if (mbr_dim_is_const(shape.dims[i]) && shape.dims[i] < 0)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "the shape holds %lld", (long long)shape.dims[i]);
    MBR_TRY(mbr_infer_broadcast(c, args, 2, &rank, dims));
    mbr_infer_out(c, 0, in->dtype, rank, dims);
    if (rank == 1 && mbr_dim_is_const(dims[0]) && dims[0] <= MBR_OP_CONTENT &&
        mbr_infer_ints(c, 0, v, MBR_OP_CONTENT, &n)) {
        if (n == 1)
            for (int i = 1; i < dims[0]; i++)
                v[i] = v[0];
        if (n == 1 || (mbr_dim)n == dims[0])
            mbr_infer_set_content(c, 0, v, (size_t)dims[0]);
    }
    return MBR_OK;
}

static mbr_status prepare_expand(mbr_step *s, mbr_error *err)
{
    mbr_op_copy *st = s->state;
    const mbr_value *in = s->in[0], *out = s->out[0];
    size_t dims[MBR_MAX_RANK];
    ptrdiff_t from[MBR_MAX_RANK], to[MBR_MAX_RANK];
    int rank = mbr_op_dims(out, dims);
    for (int i = 0; i < in->rank; i++)
        if (in->dims[i] != 1 && in->dims[i] != out->dims[rank - in->rank + i])
            return mbr_step_fail(s, err, MBR_ERR_RUN, "axis %d of size %lld does not spread to %lld", i,
                                 (long long)in->dims[i], (long long)out->dims[rank - in->rank + i]);
    mbr_op_strides(in, rank, from);
    mbr_dense_strides(rank, dims, to);
    mbr_copy_plan_init(&st->plan, mbr_dtype_size(in->dtype), rank, dims, from, to);
    mbr_op_copy_prepare(s, st);
    return MBR_OK;
}

/* version 1: `tiles` and `axis`, two numbers; from 6 on a list */
static mbr_status infer_tile(mbr_infer *c)
{
    const mbr_arg *in = &c->in[0];
    mbr_dim repeats[MBR_MAX_RANK], dims[MBR_MAX_RANK], v[MBR_OP_CONTENT], times, at;
    size_t n;
    mbr_op_given given;
    MBR_TRY(mbr_op_check_tensor(c, 0));
    if (in->rank < 0) {
        mbr_infer_out(c, 0, in->dtype, -1, NULL);
        return MBR_OK;
    }
    if (c->node->op->since < 6) {
        int axis;
        if (!mbr_infer_ints(c, 1, &times, 1, &n) || !mbr_infer_ints(c, 2, &at, 1, &n) || !mbr_dim_is_const(at)) {
            mbr_infer_out(c, 0, in->dtype, in->rank, NULL);
            return MBR_OK;
        }
        MBR_TRY(mbr_infer_axis(c, at, in->rank, &axis));
        for (int i = 0; i < in->rank; i++)
            repeats[i] = i == axis ? times : 1;
    } else {
        MBR_TRY(mbr_op_infer_ints(c, NULL, 1, repeats, MBR_MAX_RANK, &n, &given));
        if (given != MBR_OP_KNOWN) {
            mbr_infer_out(c, 0, in->dtype, in->rank, NULL);
            return MBR_OK;
        }
        if ((int)n != in->rank)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "%zu repeats for rank %d", n, in->rank);
    }
    for (int i = 0; i < in->rank; i++) {
        if (mbr_dim_is_const(repeats[i]) && repeats[i] < 0)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "axis %d is repeated %lld times", i, (long long)repeats[i]);
        dims[i] = mbr_dim_mul(c->dims, in->dims[i], repeats[i]);
    }
    mbr_infer_out(c, 0, in->dtype, in->rank, dims);
    if (in->rank == 1 && mbr_dim_is_const(dims[0]) && dims[0] <= MBR_OP_CONTENT &&
        mbr_infer_ints(c, 0, v, MBR_OP_CONTENT, &n) && n > 0) {
        for (size_t i = n; i < (size_t)dims[0]; i++)
            v[i] = v[i - n];
        mbr_infer_set_content(c, 0, v, (size_t)dims[0]);
    }
    return MBR_OK;
}

static mbr_status prepare_tile(mbr_step *s, mbr_error *err)
{
    mbr_op_copy *st = s->state;
    const mbr_value *in = s->in[0], *out = s->out[0];
    size_t dims[2 * MBR_MAX_RANK], inner[MBR_MAX_RANK];
    ptrdiff_t from[2 * MBR_MAX_RANK], to[2 * MBR_MAX_RANK], dense[MBR_MAX_RANK], out_dense[MBR_MAX_RANK];
    int rank = 0;
    mbr_op_dims(in, inner);
    mbr_dense_strides(in->rank, inner, dense);
    mbr_op_dims(out, dims);
    mbr_dense_strides(out->rank, dims, out_dense);
    st->plan.tiles = 0;
    if (mbr_value_count(out) > 0) {
        /* each axis becomes (repeats, size); what is one of both needs one loop only */
        for (int i = 0; i < in->rank; i++) {
            size_t repeats = (size_t)out->dims[i] / inner[i];
            if (repeats > 1) {
                dims[rank] = repeats;
                from[rank] = 0;
                to[rank++] = out_dense[i] * (ptrdiff_t)inner[i];
            }
            if (inner[i] > 1) {
                dims[rank] = inner[i];
                from[rank] = dense[i];
                to[rank++] = out_dense[i];
            }
        }
        ptrdiff_t *const both[2] = { from, to };
        rank = mbr_collapse_dims(rank, dims, 2, both);
        if (rank > MBR_KERNEL_RANK)
            return mbr_step_fail(s, err, MBR_ERR_UNSUPPORTED, "too many axes are repeated");
        mbr_copy_plan_init(&st->plan, mbr_dtype_size(in->dtype), rank, dims, from, to);
    }
    mbr_op_copy_prepare(s, st);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)err;
    if (mbr_value_count(s->out[0]) > 0)
        mbr_op_copy_run(s->state, s->in[0]->data, s->out[0]->data, job);
    return MBR_OK;
}

#define ROW(op_name, version, inputs, what, contents)                                                                  \
    { .domain = "", .name = op_name, .since = version, .min_in = inputs, .max_in = inputs, .min_out = 1, .max_out = 1, \
      .content_inputs = contents, .infer = infer_##what, .prepare = prepare_##what, .run = run,                        \
      .state_size = sizeof(mbr_op_copy) }

const mbr_op mbr_ops_expand[] = {
    ROW("Expand", 8, 2, expand, 2),
    ROW("Tile", 1, 3, tile, 6),
    ROW("Tile", 6, 2, tile, 2),
    { 0 },
};
