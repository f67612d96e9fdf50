/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/ops/op.h"
#include "kernels/norm_any.h"

#include <string.h>

/* Outputs besides Y: 14 and later have the running ones, before that the saved ones followed. */
typedef struct batch_state {
    mbr_batch_norm_args args; /* first: engine/opencl reads it */
    size_t per_tile;
} batch_state;

static bool trains(const mbr_ir_node *n, uint32_t n_out)
{
    if (n->opset >= 14)
        return mbr_attr_int(n, "training_mode", 0) != 0;
    return n_out > 1 && mbr_attr_int(n, "is_test", 0) == 0;
}

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *x = &c->in[0];
    if (x->dtype != MBR_DTYPE_UNDEFINED && !mbr_dtype_is_float(x->dtype))
        return mbr_infer_fail(c, MBR_ERR_UNSUPPORTED, "elements of type %s; floats are needed",
                              mbr_dtype_name(x->dtype));
    if (x->rank == 0)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "the input is a scalar");
    mbr_infer_same(c, 0, 0);
    for (uint32_t i = 1; i < c->n_out; i++)
        mbr_infer_same(c, i, 3 + (i + 1) % 2);
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    batch_state *st = s->state;
    mbr_batch_norm_args *a = &st->args;
    const mbr_value *x = s->in[0];
    memset(a, 0, sizeof *a);
    a->n = (size_t)x->dims[0];
    a->channels = x->rank > 1 ? (size_t)x->dims[1] : 1;
    a->points = 1;
    for (int i = 2; i < x->rank; i++)
        a->points *= (size_t)x->dims[i];
    if (s->node->opset < 9 && mbr_attr_int(s->node, "spatial", 1) == 0) {
        a->channels *= a->points;
        a->points = 1;
    }
    a->dtype = x->dtype;
    a->scale_dtype = s->in[1]->dtype;
    a->stat_dtype = s->in[3]->dtype;
    if (s->in[2]->dtype != a->scale_dtype || s->in[4]->dtype != a->stat_dtype || !mbr_dtype_is_float(a->scale_dtype) ||
        !mbr_dtype_is_float(a->stat_dtype))
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "scale and bias, or mean and variance, differ in type");
    for (uint32_t i = 1; i < 5; i++)
        if (mbr_value_count(s->in[i]) != a->channels)
            return mbr_step_fail(s, err, MBR_ERR_INPUT, "input %u has %zu elements for %zu channels", i,
                                 mbr_value_count(s->in[i]), a->channels);
    a->epsilon = (double)mbr_attr_float(s->node, "epsilon", 1e-5f);
    a->momentum = (double)mbr_attr_float(s->node, "momentum", 0.9f);
    a->train = trains(s->node, s->n_out);
    st->per_tile = mbr_step_split(s, a->channels, (double)(a->n * a->points) * (a->dtype == MBR_DTYPE_F32 ? 0.4 : 6));
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)err;
    const batch_state *st = s->state;
    mbr_batch_norm_args a = st->args;
    size_t first = job->first * st->per_tile, last = job->last * st->per_tile;
    a.in = s->in[0]->data;
    a.out = s->out[0] ? s->out[0]->data : NULL;
    a.scale = s->in[1]->data;
    a.bias = s->in[2]->data;
    a.mean = s->in[3]->data;
    a.var = s->in[4]->data;
    a.run_mean = mbr_step_wants(s, 1) ? s->out[1]->data : NULL;
    a.run_var = mbr_step_wants(s, 2) ? s->out[2]->data : NULL;
    a.saved_mean = mbr_step_wants(s, 3) ? s->out[3]->data : NULL;
    a.saved_var = mbr_step_wants(s, 4) ? s->out[4]->data : NULL;
    mbr_batch_norm(&a, first, last < a.channels ? last : a.channels);
    return MBR_OK;
}

const mbr_op mbr_ops_batch_normalization[] = {
    { .domain = "", .name = "BatchNormalization", .since = 1, .min_in = 5, .max_in = 5, .min_out = 1, .max_out = 5,
      .flags = MBR_OP_INPLACE0, .infer = infer, .prepare = prepare, .run = run, .state_size = sizeof(batch_state) },
    { 0 },
};
