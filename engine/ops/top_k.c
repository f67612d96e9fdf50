/* SPDX-License-Identifier: BSD-2-Clause */
/* TopK: k is an attribute in version 1, an input from 10 on. */
#include "engine/ops/op_util.h"

#include "kernels/order.h"

#include <string.h>

typedef struct top_state {
    mbr_top_args args;
    size_t each;
} top_state;

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *in = &c->in[0];
    mbr_dim dims[MBR_MAX_RANK], k = MBR_DIM_UNKNOWN;
    size_t n;
    int axis;
    MBR_TRY(mbr_op_check_type(c, 0, MBR_TYPES_NUMBER));
    if (c->node->op->since < 10) {
        if (!mbr_attr(c->node, "k"))
            return mbr_infer_fail(c, MBR_ERR_MODEL, "the attribute 'k' is absent");
        k = mbr_dim_const(mbr_attr_int(c->node, "k", 0));
    } else {
        MBR_TRY(mbr_op_check_type(c, 1, MBR_TYPE_BIT(I64)));
        if (mbr_infer_ints(c, 1, &k, 1, &n) && n != 1)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "K must be one number");
        if (n != 1)
            k = MBR_DIM_UNKNOWN;
    }
    if (in->rank < 0) {
        mbr_infer_out(c, 0, in->dtype, -1, NULL);
        mbr_infer_out(c, 1, MBR_DTYPE_I64, -1, NULL);
        return MBR_OK;
    }
    MBR_TRY(mbr_infer_axis(c, mbr_attr_int(c->node, "axis", -1), in->rank, &axis));
    if (mbr_dim_is_const(k) && (k < 0 || (mbr_dim_is_const(in->dims[axis]) && k > in->dims[axis])))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "the %lld first of %lld", (long long)k, (long long)in->dims[axis]);
    memcpy(dims, in->dims, sizeof dims);
    dims[axis] = k;
    mbr_infer_out(c, 0, in->dtype, in->rank, dims);
    mbr_infer_out(c, 1, MBR_DTYPE_I64, in->rank, dims);
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    top_state *st = s->state;
    mbr_top_args *a = &st->args;
    const mbr_value *in = s->in[0], *out = s->out[0] ? s->out[0] : s->out[1];
    int axis = mbr_op_axis(mbr_attr_int(s->node, "axis", -1), in->rank);
    a->dtype = in->dtype;
    mbr_op_around(in, axis, &a->outer, &a->axis, &a->inner);
    a->k = out ? (size_t)out->dims[axis] : 0;
    a->smallest = s->op->since >= 11 && mbr_attr_int(s->node, "largest", 1) == 0;
    if (a->k > a->axis)
        return mbr_step_fail(s, err, MBR_ERR_RUN, "the %zu first of %zu", a->k, a->axis);
    s->scratch = mbr_top_scratch(a);
    st->each = mbr_step_split(s, a->outer * a->inner, (double)a->axis * 3.0 + (double)a->k * 20.0);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const top_state *st = s->state;
    size_t first, last;
    (void)err;
    mbr_op_items(job, st->each, st->args.outer * st->args.inner, &first, &last);
    mbr_top_k(&st->args, s->in[0]->data, s->out[0] ? s->out[0]->data : NULL,
              mbr_step_wants(s, 1) ? s->out[1]->data : NULL, job->scratch, first, last);
    return MBR_OK;
}

#define ROW(version, inputs)                                                                                           \
    { .domain = "", .name = "TopK", .since = version, .min_in = inputs, .max_in = inputs, .min_out = 1, .max_out = 2,  \
      .content_inputs = (inputs) == 2 ? 2 : 0, .infer = infer, .prepare = prepare, .run = run,                         \
      .state_size = sizeof(top_state) }

const mbr_op mbr_ops_top_k[] = {
    ROW(1, 1),
    ROW(10, 2),
    ROW(11, 2),
    { 0 },
};
