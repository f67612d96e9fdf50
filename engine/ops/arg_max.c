/* SPDX-License-Identifier: BSD-2-Clause */
/* ArgMax and ArgMin: where the largest or smallest lies along an axis. */
#include "engine/ops/op_util.h"

#include "kernels/cpu.h"
#include "kernels/reduce.h"

typedef struct arg_state {
    mbr_arg_args args; /* first: engine/opencl reads it */
    mbr_arg_fn *fn;
    size_t each;
} arg_state;

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *in = &c->in[0];
    mbr_dim dims[MBR_MAX_RANK];
    bool keep = mbr_attr_int(c->node, "keepdims", 1) != 0;
    int axis, rank = 0;
    MBR_TRY(mbr_op_check_type(c, 0, MBR_TYPES_NUMBER));
    if (in->rank < 0) {
        mbr_infer_out(c, 0, MBR_DTYPE_I64, -1, NULL);
        return MBR_OK;
    }
    MBR_TRY(mbr_infer_axis(c, mbr_attr_int(c->node, "axis", 0), in->rank, &axis));
    for (int i = 0; i < in->rank; i++)
        if (i != axis)
            dims[rank++] = in->dims[i];
        else if (keep)
            dims[rank++] = 1;
    mbr_infer_out(c, 0, MBR_DTYPE_I64, rank, dims);
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    arg_state *st = s->state;
    mbr_arg_args *a = &st->args;
    const mbr_value *in = s->in[0];
    a->dtype = in->dtype;
    mbr_op_around(in, mbr_op_axis(mbr_attr_int(s->node, "axis", 0), in->rank), &a->outer, &a->axis, &a->inner);
    a->min = s->op->param != 0;
    a->last = s->op->since >= 12 && mbr_attr_int(s->node, "select_last_index", 0) != 0;
    if (a->axis == 0 && a->outer * a->inner > 0)
        return mbr_step_fail(s, err, MBR_ERR_RUN, "an axis of size 0 has no largest element");
    st->fn = mbr_arg_select(mbr_cpu_tiers());
    st->each = mbr_step_split(s, a->outer * a->inner, (double)a->axis * 0.7 + (a->inner > 1 ? 5.0 : 20.0));
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const arg_state *st = s->state;
    mbr_arg_args args = st->args;
    size_t first, last;
    (void)err;
    args.in = s->in[0]->data;
    args.out = s->out[0]->data;
    mbr_op_items(job, st->each, args.outer * args.inner, &first, &last);
    if (first < last)
        st->fn(&args, first, last);
    return MBR_OK;
}

#define ROW(op_name, version, what)                                                                                    \
    { .domain = "", .name = op_name, .since = version, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,           \
      .infer = infer, .prepare = prepare, .run = run, .state_size = sizeof(arg_state), .param = what }

const mbr_op mbr_ops_arg_max[] = {
    ROW("ArgMax", 1, 0),
    ROW("ArgMax", 12, 0),
    ROW("ArgMin", 1, 1),
    ROW("ArgMin", 12, 1),
    { 0 },
};
