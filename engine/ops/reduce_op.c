/* SPDX-License-Identifier: BSD-2-Clause */
/* ReduceSum and its kin: the axes are an attribute up to version 17 (ReduceSum: 12), an input later. */
#include "engine/ops/op_util.h"

#include "kernels/cpu.h"
#include "kernels/reduce.h"

#include <string.h>

typedef struct reduce_state {
    mbr_reduce_args args; /* first: engine/opencl reads it */
    mbr_reduce_fn *fn;
    size_t each;
    bool copies; /* no axes: the tensor itself */
} reduce_state;

static const char *axes_attr(const mbr_op *op)
{
    int inputs_since = op->param == MBR_REDUCE_SUM ? 13 : 18;
    return op->since < inputs_since ? "axes" : NULL;
}

/* An empty or absent list means all axes, or none. */
static uint32_t resolve(const mbr_ir_node *node, mbr_op_given given, int listed, uint32_t bits, int rank)
{
    if (given == MBR_OP_KNOWN && listed > 0)
        return bits;
    bool none = mbr_attr_int(node, "noop_with_empty_axes", 0) != 0 && !axes_attr(node->op);
    return none ? 0 : (uint32_t)((UINT64_C(1) << rank) - 1);
}

static void content(mbr_infer *c, mbr_reduce_op op)
{
    mbr_dim v[MBR_OP_CONTENT], sum;
    size_t n;
    mbr_dtype t = c->in[0].dtype;
    if ((t != MBR_DTYPE_I64 && t != MBR_DTYPE_I32) || !mbr_infer_ints(c, 0, v, MBR_OP_CONTENT, &n) || n == 0)
        return;
    sum = v[0];
    for (size_t i = 1; i < n; i++)
        sum = op == MBR_REDUCE_SUM    ? mbr_dim_add(c->dims, sum, v[i])
              : op == MBR_REDUCE_PROD ? mbr_dim_mul(c->dims, sum, v[i])
              : op == MBR_REDUCE_MAX  ? mbr_dim_max(c->dims, sum, v[i])
              : op == MBR_REDUCE_MIN  ? mbr_dim_min(c->dims, sum, v[i])
                                      : MBR_DIM_UNKNOWN;
    if (mbr_dim_is_known(sum))
        mbr_infer_set_content(c, 0, &sum, 1);
}

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *in = &c->in[0];
    mbr_reduce_op op = (mbr_reduce_op)c->node->op->param;
    uint32_t bits;
    int listed, rank = 0;
    mbr_op_given given;
    mbr_dim dims[MBR_MAX_RANK];
    bool keep = mbr_attr_int(c->node, "keepdims", 1) != 0;
    MBR_TRY(mbr_op_check_tensor(c, 0));
    if (in->dtype && !mbr_reduce_has(op, in->dtype))
        return mbr_infer_fail(c, MBR_ERR_UNSUPPORTED, "it does not take tensors of %s", mbr_dtype_name(in->dtype));
    MBR_TRY(mbr_op_infer_axes(c, axes_attr(c->node->op), 1, in->rank, &bits, NULL, &listed, &given));
    if (in->rank < 0 || (given == MBR_OP_UNKNOWN && in->rank > 0)) {
        bool one = given == MBR_OP_UNKNOWN && !keep && in->rank > 0 && c->in[1].rank == 1 && c->in[1].dims[0] == 1;
        mbr_infer_out(c, 0, in->dtype, keep ? in->rank : one ? in->rank - 1 : -1, NULL);
        return MBR_OK;
    }
    bits = resolve(c->node, given, listed, bits, in->rank);
    for (int i = 0; i < in->rank; i++)
        if (!(bits >> i & 1))
            dims[rank++] = in->dims[i];
        else if (keep)
            dims[rank++] = 1;
    mbr_infer_out(c, 0, in->dtype, rank, dims);
    if (in->rank == 1 && bits == 1)
        content(c, op);
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    reduce_state *st = s->state;
    const mbr_value *in = s->in[0];
    size_t dims[MBR_MAX_RANK], count = mbr_value_count(in);
    uint32_t bits;
    int listed, rank = mbr_op_dims(in, dims);
    mbr_op_given given = MBR_OP_ABSENT;
    bits = 0;
    listed = 0;
    if (rank > 0) /* a single number has no axes; their list may not be computed yet */
        MBR_TRY(mbr_op_step_axes(s, axes_attr(s->op), 1, rank, &bits, NULL, &listed, &given, err));
    /* with noop_with_empty_axes each element is reduced alone: mostly the tensor itself */
    mbr_reduce_op op = (mbr_reduce_op)s->op->param;
    bits = resolve(s->node, given, listed, bits, rank);
    st->copies = bits == 0 && rank > 0;
    if (st->copies && (op == MBR_REDUCE_L1 || op == MBR_REDUCE_L2 || op == MBR_REDUCE_SUM_SQUARE || op == MBR_REDUCE_LOG_SUM)) {
        st->copies = false;
        dims[0] = count;
        dims[1] = 1;
        rank = 2;
        bits = 2;
    }
    mbr_reduce_plan(&st->args, op, in->dtype, rank, dims, bits);
    if (st->copies) {
        st->each = mbr_op_split_bytes(s, mbr_value_bytes(in), 64);
        return MBR_OK;
    }
    st->fn = mbr_reduce_select(mbr_cpu_tiers());
    if (st->args.tiles == 0) {
        s->tiles[0] = 0;
        st->each = 1;
        return MBR_OK;
    }
    st->each = mbr_step_split(s, st->args.tiles, (double)count / (double)st->args.tiles * 0.3 + 20.0);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const reduce_state *st = s->state;
    const mbr_value *in = s->in[0];
    size_t first, last;
    (void)err;
    if (st->copies) {
        mbr_op_items(job, st->each, mbr_value_bytes(in), &first, &last);
        if (first < last && in->data != s->out[0]->data)
            memcpy((char *)s->out[0]->data + first, mbr_bytes_at(in->data, first), last - first);
        return MBR_OK;
    }
    mbr_reduce_args args = st->args;
    args.in = in->data;
    args.out = s->out[0]->data;
    mbr_op_items(job, st->each, args.tiles, &first, &last);
    if (first < last)
        st->fn(&args, first, last);
    return MBR_OK;
}

#define ROW(op_name, version, most, what)                                                                              \
    { .domain = "", .name = op_name, .since = version, .min_in = 1, .max_in = most, .min_out = 1, .max_out = 1,        \
      .content_inputs = (most) == 2 ? 2 : 0, .infer = infer, .prepare = prepare, .run = run,                           \
      .state_size = sizeof(reduce_state), .param = MBR_REDUCE_##what }
#define BOTH(name, what) ROW(name, 1, 1, what), ROW(name, 18, 2, what)

const mbr_op mbr_ops_reduce[] = {
    BOTH("ReduceL1", L1),
    BOTH("ReduceL2", L2),
    BOTH("ReduceLogSum", LOG_SUM),
    BOTH("ReduceLogSumExp", LOG_SUM_EXP),
    BOTH("ReduceMax", MAX),
    BOTH("ReduceMean", MEAN),
    BOTH("ReduceMin", MIN),
    BOTH("ReduceProd", PROD),
    ROW("ReduceSum", 1, 1, SUM),
    ROW("ReduceSum", 13, 2, SUM),
    BOTH("ReduceSumSquare", SUM_SQUARE),
    { 0 },
};
