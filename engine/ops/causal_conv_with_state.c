/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/ops/op.h"
#include "kernels/recurrence.h"

#include <string.h>

typedef struct causal_state {
    mbr_causal_conv_args args;
    size_t tiles, per_tile;
} causal_state;

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *x = &c->in[0], *w = &c->in[1];
    if (x->dtype != MBR_DTYPE_UNDEFINED && !mbr_dtype_is_float(x->dtype))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "elements of type %s; floats are needed", mbr_dtype_name(x->dtype));
    if ((x->rank >= 0 && x->rank != 3) || (w->rank >= 0 && w->rank != 3))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "an input of rank %d and a weight of rank %d; both have 3", x->rank,
                              w->rank);
    mbr_infer_same(c, 0, 0);
    mbr_dim dims[3] = { MBR_DIM_UNKNOWN, MBR_DIM_UNKNOWN, MBR_DIM_UNKNOWN };
    if (x->rank == 3) {
        dims[0] = x->dims[0];
        dims[1] = x->dims[1];
    }
    if (w->rank == 3) {
        if (w->dims[2] == 0)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "an empty kernel");
        dims[2] = mbr_dim_sub(c->dims, w->dims[2], 1);
    }
    if (c->n_out > 1)
        mbr_infer_out(c, 1, x->dtype, 3, dims);
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    causal_state *st = s->state;
    mbr_causal_conv_args *a = &st->args;
    const mbr_value *x = s->in[0], *w = s->in[1];
    const char *activation = mbr_attr_string(s->node, "activation", "none");
    memset(a, 0, sizeof *a);
    a->silu = strcmp(activation, "silu") == 0 || strcmp(activation, "swish") == 0;
    if (!a->silu && strcmp(activation, "none") != 0)
        return mbr_step_fail(s, err, MBR_ERR_MODEL, "activation '%s'", activation);
    a->dtype = x->dtype;
    a->batch = (size_t)x->dims[0];
    a->channels = (size_t)x->dims[1];
    a->steps = (size_t)x->dims[2];
    a->taps = (size_t)w->dims[2];
    const size_t want[4] = { 0, a->channels * a->taps, a->channels, a->batch * a->channels * (a->taps - 1) };
    for (uint32_t i = 1; i < 4; i++)
        if (mbr_step_has(s, i) && (mbr_value_count(s->in[i]) != want[i] || s->in[i]->dtype != x->dtype))
            return mbr_step_fail(s, err, MBR_ERR_INPUT, "input %u has %zu elements, %zu of type %s are needed", i,
                                 mbr_value_count(s->in[i]), want[i], mbr_dtype_name(x->dtype));
    st->tiles = a->batch * a->channels;
    st->per_tile = mbr_step_split(s, st->tiles, (double)(a->steps * a->taps) * 3);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)err;
    const causal_state *st = s->state;
    mbr_causal_conv_args a = st->args;
    size_t last = job->last * st->per_tile;
    a.in = s->in[0]->data;
    a.weight = s->in[1]->data;
    a.bias = mbr_step_has(s, 2) ? s->in[2]->data : NULL;
    a.past = mbr_step_has(s, 3) ? s->in[3]->data : NULL;
    a.out = s->out[0] ? s->out[0]->data : NULL;
    a.present = mbr_step_wants(s, 1) ? s->out[1]->data : NULL;
    mbr_causal_conv(&a, job->first * st->per_tile, last < st->tiles ? last : st->tiles);
    return MBR_OK;
}

const mbr_op mbr_ops_causal_conv_with_state[] = {
    { .domain = "", .name = "CausalConvWithState", .since = 27, .min_in = 2, .max_in = 4, .min_out = 1, .max_out = 2,
      .infer = infer, .prepare = prepare, .run = run, .state_size = sizeof(causal_state) },
    { 0 },
};
