/* SPDX-License-Identifier: BSD-2-Clause */
/* ReverseSequence: the first elements of each sequence turn round; and TensorScatter, which writes into a cache. */
#include "engine/ops/op_util.h"

#include <string.h>

static mbr_status infer_reverse(mbr_infer *c)
{
    const mbr_arg *in = &c->in[0];
    int64_t time = mbr_attr_int(c->node, "time_axis", 0), batch = mbr_attr_int(c->node, "batch_axis", 1);
    MBR_TRY(mbr_op_check_rank(c, 0, 2, MBR_MAX_RANK));
    MBR_TRY(mbr_op_check_type(c, 1, MBR_TYPE_BIT(I64)));
    MBR_TRY(mbr_op_check_rank(c, 1, 1, 1));
    if (time + batch != 1 || time < 0 || time > 1)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "time and batch axes must be 0 and 1");
    if (in->rank >= 0 && c->in[1].rank == 1 && mbr_dim_is_const(in->dims[batch]) &&
        mbr_dim_is_const(c->in[1].dims[0]) && in->dims[batch] != c->in[1].dims[0])
        return mbr_infer_fail(c, MBR_ERR_MODEL, "%lld lengths for %lld sequences", (long long)c->in[1].dims[0],
                              (long long)in->dims[batch]);
    mbr_infer_same(c, 0, 0);
    return MBR_OK;
}

static mbr_status run_reverse(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const mbr_value *in = s->in[0], *lengths = s->in[1];
    int time = (int)mbr_attr_int(s->node, "time_axis", 0);
    int64_t steps = in->dims[time], batch = in->dims[1 - time];
    size_t bytes = mbr_dtype_size(in->dtype);
    (void)job;
    for (int i = 2; i < in->rank; i++)
        bytes *= (size_t)in->dims[i];
    if (lengths->dims[0] != batch)
        return mbr_step_fail(s, err, MBR_ERR_RUN, "%lld lengths for %lld sequences", (long long)lengths->dims[0],
                             (long long)batch);
    for (int64_t b = 0; b < batch; b++) {
        int64_t n = ((const int64_t *)lengths->data)[b];
        if (n < 0 || n > steps)
            return mbr_step_fail(s, err, MBR_ERR_RUN, "a length of %lld in %lld steps", (long long)n,
                                 (long long)steps);
        for (int64_t t = 0; t < steps; t++) {
            int64_t from = t < n ? n - 1 - t : t;
            size_t to_at = (size_t)(time == 0 ? t * batch + b : b * steps + t);
            size_t from_at = (size_t)(time == 0 ? from * batch + b : b * steps + from);
            memcpy((char *)s->out[0]->data + to_at * bytes, mbr_bytes_at(in->data, from_at * bytes), bytes);
        }
    }
    return MBR_OK;
}

static mbr_status infer_cache(mbr_infer *c)
{
    const mbr_arg *in = &c->in[0], *update = &c->in[1];
    const char *mode = mbr_attr_string(c->node, "mode", "linear");
    int axis;
    MBR_TRY(mbr_op_check_same(c, 0, 1));
    MBR_TRY(mbr_op_check_type(c, 2, MBR_TYPE_BIT(I64)));
    MBR_TRY(mbr_op_check_rank(c, 2, 1, 1));
    if (strcmp(mode, "linear") != 0 && strcmp(mode, "circular") != 0)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "no mode is called '%s'", mode);
    if (in->rank >= 0) {
        MBR_TRY(mbr_infer_axis(c, mbr_attr_int(c->node, "axis", -2), in->rank, &axis));
        if (axis == 0 || (update->rank >= 0 && update->rank != in->rank))
            return mbr_infer_fail(c, MBR_ERR_MODEL, "the axis must not be the batch, and the ranks must agree");
    }
    mbr_infer_same(c, 0, 0);
    return MBR_OK;
}

static mbr_status run_cache(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const mbr_value *in = s->in[0], *update = s->in[1], *out = s->out[0];
    bool circular = strcmp(mbr_attr_string(s->node, "mode", "linear"), "circular") == 0;
    int axis = mbr_op_axis(mbr_attr_int(s->node, "axis", -2), in->rank);
    size_t outer, length, inner, u_outer, steps, u_inner;
    (void)job;
    for (int i = 0; i < in->rank; i++)
        if (update->rank != in->rank ||
            (i == axis ? update->dims[i] > in->dims[i] : update->dims[i] != in->dims[i]))
            return mbr_step_fail(s, err, MBR_ERR_RUN, "axis %d of the update does not fit the cache", i);
    if (mbr_step_has(s, 2) && s->in[2]->dims[0] != in->dims[0])
        return mbr_step_fail(s, err, MBR_ERR_RUN, "%lld write indices for a batch of %lld",
                             (long long)s->in[2]->dims[0], (long long)in->dims[0]);
    mbr_op_around(in, axis, &outer, &length, &inner);
    mbr_op_around(update, axis, &u_outer, &steps, &u_inner);
    size_t bytes = inner * mbr_dtype_size(in->dtype);
    if (in->data != out->data && mbr_value_count(in) > 0)
        memcpy(out->data, in->data, mbr_value_bytes(in));
    for (size_t o = 0; o < outer && bytes; o++) {
        int64_t at = mbr_step_has(s, 2) ? ((const int64_t *)s->in[2]->data)[o / (outer / (size_t)in->dims[0])] : 0;
        if (at < 0 || (circular ? length == 0 : at > (int64_t)(length - steps)))
            return mbr_step_fail(s, err, MBR_ERR_RUN, "%zu steps from %lld on leave a cache of %zu", steps,
                                 (long long)at, length);
        for (size_t t = 0; t < steps; t++) {
            size_t to = circular ? ((size_t)at % length + t) % length : (size_t)at + t;
            memcpy((char *)out->data + (o * length + to) * bytes,
                   mbr_bytes_at(update->data, (o * steps + t) * bytes), bytes);
        }
    }
    return MBR_OK;
}

const mbr_op mbr_ops_reverse_sequence[] = {
    { .domain = "", .name = "ReverseSequence", .since = 10, .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
      .infer = infer_reverse, .run = run_reverse },
    { .domain = "", .name = "TensorScatter", .since = 24, .min_in = 2, .max_in = 3, .min_out = 1, .max_out = 1,
      .flags = MBR_OP_INPLACE0, .infer = infer_cache, .run = run_cache },
    { 0 },
};
