/* SPDX-License-Identifier: BSD-2-Clause */
/* CumSum and CumProd. */
#include "engine/ops/op_util.h"

#include "kernels/scan.h"

enum { SUM, PRODUCT };

typedef struct scan_state {
    mbr_scan_args args;
    size_t each;  /* 0: the axis is known in run only, one tile */
} scan_state;

static mbr_status infer(mbr_infer *c)
{
    mbr_dim v;
    size_t n;
    int axis;
    MBR_TRY(mbr_op_check_tensor(c, 0));
    MBR_TRY(mbr_op_check_type(c, 1, MBR_TYPES_INDEX));
    if (c->in[0].dtype && !mbr_scan_has(c->in[0].dtype))
        return mbr_infer_fail(c, MBR_ERR_UNSUPPORTED, "it does not take tensors of %s",
                              mbr_dtype_name(c->in[0].dtype));
    if (c->in[0].rank >= 0 && mbr_infer_ints(c, 1, &v, 1, &n) && n == 1 && mbr_dim_is_const(v))
        MBR_TRY(mbr_infer_axis(c, v, c->in[0].rank, &axis));
    mbr_infer_same(c, 0, 0);
    return MBR_OK;
}

static mbr_status shape(mbr_step *s, mbr_scan_args *a, mbr_error *err)
{
    int64_t axis;
    const mbr_value *in = s->in[0];
    MBR_TRY(mbr_op_step_int(s, 1, 0, &axis, err));
    if (axis < -in->rank || axis >= in->rank)
        return mbr_step_fail(s, err, MBR_ERR_RUN, "axis %lld does not exist in rank %d", (long long)axis, in->rank);
    a->dtype = in->dtype;
    a->product = s->op->param == PRODUCT;
    a->exclusive = mbr_attr_int(s->node, "exclusive", 0) != 0;
    a->reverse = mbr_attr_int(s->node, "reverse", 0) != 0;
    mbr_op_around(in, mbr_op_axis(axis, in->rank), &a->outer, &a->axis, &a->inner);
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    scan_state *st = s->state;
    st->each = 0;
    s->cost_ns = (double)mbr_value_count(s->in[0]) * 1.5;
    if (!mbr_step_known(s, 1))
        return MBR_OK;
    MBR_TRY(shape(s, &st->args, err));
    st->each = mbr_step_split(s, st->args.outer, (double)(st->args.axis * st->args.inner) * 1.5);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const scan_state *st = s->state;
    mbr_scan_args args = st->args;
    size_t first = 0, last;
    if (st->each) {
        mbr_op_items(job, st->each, args.outer, &first, &last);
    } else {
        MBR_TRY(shape(s, &args, err));
        last = args.outer;
    }
    mbr_scan(&args, s->in[0]->data, s->out[0]->data, first, last);
    return MBR_OK;
}

#define ROW(op_name, version, what)                                                                                    \
    { .domain = "", .name = op_name, .since = version, .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,           \
      .content_inputs = 2, .infer = infer, .prepare = prepare, .run = run, .state_size = sizeof(scan_state),           \
      .param = what }

const mbr_op mbr_ops_cum_sum[] = {
    ROW("CumProd", 26, PRODUCT),
    ROW("CumSum", 11, SUM),
    { 0 },
};
