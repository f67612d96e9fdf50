/* SPDX-License-Identifier: BSD-2-Clause */
/* NonZero, Compress, Unique: how much comes out depends on the numbers. */
#include "engine/ops/op_util.h"

#include "kernels/order.h"

#include <string.h>

/* --- NonZero --- */

static mbr_status infer_non_zero(mbr_infer *c)
{
    MBR_TRY(mbr_op_check_tensor(c, 0));
    mbr_dim dims[2] = { c->in[0].rank >= 0 ? c->in[0].rank : MBR_DIM_UNKNOWN, MBR_DIM_UNKNOWN };
    mbr_infer_out(c, 0, MBR_DTYPE_I64, 2, dims);
    return MBR_OK;
}

static mbr_status run_non_zero(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const mbr_value *in = s->in[0];
    size_t dims[MBR_MAX_RANK];
    int rank = mbr_op_dims(in, dims);
    size_t count = mbr_count_nonzero(in->dtype, in->data, mbr_value_count(in));
    int64_t shape[2] = { rank, (int64_t)count };
    (void)job;
    MBR_TRY(mbr_step_resize(s, 0, 2, shape, err));
    if (count && rank)
        mbr_nonzero(in->dtype, rank, dims, in->data, count, s->out[0]->data);
    return MBR_OK;
}

/* --- Compress --- */

static mbr_status infer_compress(mbr_infer *c)
{
    const mbr_arg *in = &c->in[0];
    mbr_dim dims[MBR_MAX_RANK] = { MBR_DIM_UNKNOWN };
    int axis;
    MBR_TRY(mbr_op_check_tensor(c, 0));
    MBR_TRY(mbr_op_check_type(c, 1, MBR_TYPE_BIT(BOOL)));
    MBR_TRY(mbr_op_check_rank(c, 1, 1, 1));
    if (!mbr_attr(c->node, "axis")) {
        mbr_infer_out(c, 0, in->dtype, 1, dims);
        return MBR_OK;
    }
    if (in->rank < 0) {
        mbr_infer_out(c, 0, in->dtype, -1, NULL);
        return MBR_OK;
    }
    MBR_TRY(mbr_infer_axis(c, mbr_attr_int(c->node, "axis", 0), in->rank, &axis));
    memcpy(dims, in->dims, sizeof dims);
    dims[axis] = MBR_DIM_UNKNOWN;
    mbr_infer_out(c, 0, in->dtype, in->rank, dims);
    return MBR_OK;
}

static mbr_status run_compress(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const mbr_value *in = s->in[0], *keep = s->in[1];
    const uint8_t *wanted = keep->data;
    bool flat = !mbr_attr(s->node, "axis");
    size_t outer = 1, middle = mbr_value_count(in), inner = 1, listed = mbr_value_count(keep), count = 0;
    int64_t shape[MBR_MAX_RANK] = { 0 };
    int rank = 1, axis = 0;
    (void)job;
    if (!flat) {
        rank = in->rank;
        axis = mbr_op_axis(mbr_attr_int(s->node, "axis", 0), rank);
        mbr_op_around(in, axis, &outer, &middle, &inner);
        memcpy(shape, in->dims, sizeof(int64_t) * (size_t)rank);
    }
    if (listed > middle) {
        for (size_t i = middle; i < listed; i++)
            if (wanted[i])
                return mbr_step_fail(s, err, MBR_ERR_RUN, "element %zu of an axis of %zu is picked", i, middle);
        listed = middle;
    }
    for (size_t i = 0; i < listed; i++)
        count += wanted[i] != 0;
    shape[axis] = (int64_t)count;
    MBR_TRY(mbr_step_resize(s, 0, rank, shape, err));
    if (!s->out[0] || mbr_value_count(s->out[0]) == 0)
        return MBR_OK;
    size_t bytes = inner * mbr_dtype_size(in->dtype);
    char *to = s->out[0]->data;
    for (size_t o = 0; o < outer; o++)
        for (size_t i = 0; i < listed; i++)
            if (wanted[i]) {
                memcpy(to, mbr_bytes_at(in->data, (o * middle + i) * bytes), bytes);
                to += bytes;
            }
    return MBR_OK;
}

/* --- Unique --- */

static mbr_status infer_unique(mbr_infer *c)
{
    const mbr_arg *in = &c->in[0];
    mbr_dim dims[MBR_MAX_RANK] = { MBR_DIM_UNKNOWN }, some = MBR_DIM_UNKNOWN;
    int axis;
    MBR_TRY(mbr_op_check_tensor(c, 0));
    if (in->dtype && in->dtype != MBR_DTYPE_STRING && in->dtype != MBR_DTYPE_COMPLEX64 &&
        in->dtype != MBR_DTYPE_COMPLEX128 && !mbr_order_has(in->dtype))
        return mbr_infer_fail(c, MBR_ERR_UNSUPPORTED, "it does not take tensors of %s", mbr_dtype_name(in->dtype));
    if (!mbr_attr(c->node, "axis")) {
        mbr_infer_out(c, 0, in->dtype, 1, dims);
    } else if (in->rank < 0) {
        mbr_infer_out(c, 0, in->dtype, -1, NULL);
    } else {
        MBR_TRY(mbr_infer_axis(c, mbr_attr_int(c->node, "axis", 0), in->rank, &axis));
        memcpy(dims, in->dims, sizeof dims);
        dims[axis] = MBR_DIM_UNKNOWN;
        mbr_infer_out(c, 0, in->dtype, in->rank, dims);
    }
    for (uint32_t i = 1; i < c->n_out; i++)
        mbr_infer_out(c, i, MBR_DTYPE_I64, 1, &some);
    return MBR_OK;
}

/* The groups in the order of their first members. rank[g]: the place of group g. */
static void by_appearance(size_t n, const size_t *group, size_t groups, size_t *rank)
{
    size_t next = 0;
    for (size_t g = 0; g < groups; g++)
        rank[g] = SIZE_MAX;
    for (size_t i = 0; i < n; i++)
        if (rank[group[i]] == SIZE_MAX)
            rank[group[i]] = next++;
}

static mbr_status run_unique(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const mbr_value *in = s->in[0];
    mbr_unique_args a = { .dtype = in->dtype, .outer = 1, .axis = mbr_value_count(in), .inner = 1 };
    int64_t shape[MBR_MAX_RANK] = { 0 }, count;
    int rank = 1, axis = 0;
    (void)job;
    if (mbr_attr(s->node, "axis")) {
        rank = in->rank;
        axis = mbr_op_axis(mbr_attr_int(s->node, "axis", 0), rank);
        mbr_op_around(in, axis, &a.outer, &a.axis, &a.inner);
        memcpy(shape, in->dims, sizeof(int64_t) * (size_t)rank);
    }
    size_t n = a.axis, *room = mbr_step_alloc(s, (n + 1) * 5 * sizeof(size_t));
    if (!room)
        return mbr_no_memory(err, n * 5 * sizeof(size_t));
    size_t *order = room, *first = room + n, *group = first + n, *scratch = group + n, *place = scratch + n;
    size_t groups = mbr_unique(&a, in->data, order, first, group, scratch);
    if (mbr_attr_int(s->node, "sorted", 1))
        for (size_t g = 0; g < groups; g++)
            place[g] = g;
    else
        by_appearance(n, group, groups, place);
    count = (int64_t)groups;
    shape[axis] = count;
    MBR_TRY(mbr_step_resize(s, 0, rank, shape, err));
    for (uint32_t i = 1; i < s->n_out; i++) {
        int64_t each = i == 2 ? (int64_t)n : count;
        MBR_TRY(mbr_step_resize(s, i, 1, &each, err));
    }
    size_t bytes = a.inner * mbr_dtype_size(in->dtype);
    if (mbr_step_wants(s, 0) && bytes)
        for (size_t g = 0; g < groups; g++)
            for (size_t o = 0; o < a.outer; o++)
                memcpy((char *)s->out[0]->data + (o * groups + place[g]) * bytes,
                       mbr_bytes_at(in->data, (o * n + first[g]) * bytes), bytes);
    if (mbr_step_wants(s, 1))
        for (size_t g = 0; g < groups; g++)
            ((int64_t *)s->out[1]->data)[place[g]] = (int64_t)first[g];
    if (mbr_step_wants(s, 2))
        for (size_t i = 0; i < n; i++)
            ((int64_t *)s->out[2]->data)[i] = (int64_t)place[group[i]];
    if (mbr_step_wants(s, 3)) {
        memset(s->out[3]->data, 0, groups * sizeof(int64_t));
        for (size_t i = 0; i < n; i++)
            ((int64_t *)s->out[3]->data)[place[group[i]]]++;
    }
    return MBR_OK;
}

#define ROW(op_name, version, inputs, outputs, what)                                                                   \
    { .domain = "", .name = op_name, .since = version, .min_in = inputs, .max_in = inputs, .min_out = 1,               \
      .max_out = outputs, .flags = MBR_OP_SIZED_BY_RUN | MBR_OP_HOST, .infer = infer_##what, .run = run_##what }

const mbr_op mbr_ops_non_zero[] = {
    ROW("Compress", 9, 2, 1, compress),
    ROW("NonZero", 9, 1, 1, non_zero),
    ROW("Unique", 11, 1, 4, unique),
    { 0 },
};
