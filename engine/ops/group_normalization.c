/* SPDX-License-Identifier: BSD-2-Clause */
/* GroupNormalization and InstanceNormalization (a group for each channel). */
#include "engine/ops/op.h"
#include "kernels/norm.h"
#include "kernels/norm_any.h"

#include <string.h>

enum { INSTANCE, GROUP_BY_GROUP, GROUP_BY_CHANNEL }; /* what scale and bias belong to */

typedef struct group_state {
    mbr_norm_any_args any; /* first: engine/opencl reads it */
    bool fast;
    mbr_group_norm_args f32;
    size_t tiles, per_tile;
} group_state;

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *x = &c->in[0];
    if (x->dtype != MBR_DTYPE_UNDEFINED && !mbr_dtype_is_float(x->dtype))
        return mbr_infer_fail(c, MBR_ERR_UNSUPPORTED, "elements of type %s; floats are needed",
                              mbr_dtype_name(x->dtype));
    if (x->rank >= 0 && x->rank < 2)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "an input of rank %d; 2 or more is needed", x->rank);
    if (c->node->op->param != INSTANCE && mbr_attr_int(c->node, "num_groups", 0) < 1)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "attribute num_groups is missing or less than 1");
    mbr_infer_same(c, 0, 0);
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    group_state *st = s->state;
    const mbr_value *x = s->in[0];
    size_t n = (size_t)x->dims[0], channels = (size_t)x->dims[1], points = 1;
    for (int i = 2; i < x->rank; i++)
        points *= (size_t)x->dims[i];
    int64_t groups = s->op->param == INSTANCE ? x->dims[1] : mbr_attr_int(s->node, "num_groups", 1);
    if (channels && (groups > x->dims[1] || x->dims[1] % groups))
        return mbr_step_fail(s, err, MBR_ERR_MODEL, "%lld groups do not divide %zu channels", (long long)groups,
                             channels);
    size_t g = (size_t)(groups ? groups : 1), want = s->op->param == GROUP_BY_GROUP ? g : channels;
    for (uint32_t i = 1; i < 3; i++)
        if (mbr_value_count(s->in[i]) != want || s->in[i]->dtype != x->dtype)
            return mbr_step_fail(s, err, MBR_ERR_INPUT,
                                 "input %u has %zu elements of type %s; %zu of type %s are needed", i,
                                 mbr_value_count(s->in[i]), mbr_dtype_name(s->in[i]->dtype), want,
                                 mbr_dtype_name(x->dtype));
    float epsilon = mbr_attr_float(s->node, "epsilon", 1e-5f);
    memset(st, 0, sizeof *st);
    st->fast = x->dtype == MBR_DTYPE_F32 && want == channels;
    st->f32 = (mbr_group_norm_args){ .n = n, .channels = channels, .groups = g, .spatial = points, .epsilon = epsilon };
    st->any = (mbr_norm_any_args){ .dtype = x->dtype, .scale_dtype = x->dtype, .stat_dtype = MBR_DTYPE_F32, .rank = 4,
                                   .axis = 2, .dims = { n, g, channels / g, points }, .epsilon = (double)epsilon };
    ptrdiff_t by_channel = want == channels;
    st->any.scale_strides[1] = st->any.bias_strides[1] = by_channel ? (ptrdiff_t)(channels / g) : 1;
    st->any.scale_strides[2] = st->any.bias_strides[2] = by_channel;
    st->tiles = mbr_value_count(x) ? n * g : 0;
    st->per_tile = mbr_step_split(s, st->tiles, (double)(channels / g * points) * (st->fast ? 0.4 : 12));
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)err;
    const group_state *st = s->state;
    size_t first = job->first * st->per_tile, last = job->last * st->per_tile;
    last = last < st->tiles ? last : st->tiles;
    if (st->fast) {
        mbr_group_norm_args a = st->f32;
        a.in = s->in[0]->data;
        a.scale = s->in[1]->data;
        a.bias = s->in[2]->data;
        a.out = s->out[0]->data;
        if (first < last)
            mbr_norm_select(mbr_cpu_tiers()).group(&a, first, last);
    } else {
        mbr_norm_any_args a = st->any;
        a.in = s->in[0]->data;
        a.scale = s->in[1]->data;
        a.bias = s->in[2]->data;
        a.out = s->out[0]->data;
        if (first < last)
            mbr_norm_any(&a, first, last);
    }
    return MBR_OK;
}

#define ROW(op_name, version, what)                                                                                    \
    { .domain = "", .name = op_name, .since = version, .min_in = 3, .max_in = 3, .min_out = 1, .max_out = 1,           \
      .infer = infer, .prepare = prepare, .run = run, .state_size = sizeof(group_state), .param = what }

const mbr_op mbr_ops_group_normalization[] = {
    ROW("InstanceNormalization", 1, INSTANCE),
    ROW("GroupNormalization", 18, GROUP_BY_GROUP),
    ROW("GroupNormalization", 21, GROUP_BY_CHANNEL),
    { 0 },
};
