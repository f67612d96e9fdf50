/* SPDX-License-Identifier: BSD-2-Clause */
/* GatherND and ScatterND: a slice for each tuple of coordinates. */
#include "engine/ops/op_util.h"

#include "kernels/index.h"

#include <string.h>

enum { GATHER, SCATTER };

typedef struct tuples_state {
    mbr_tuples_args args; /* first: engine/opencl reads it */
    mbr_binary_op op;
    size_t each;
} tuples_state;

static bool reduction(const mbr_ir_node *node, mbr_binary_op *op)
{
    const char *name = node->op->since < 16 ? "none" : mbr_attr_string(node, "reduction", "none");
    *op = strcmp(name, "none") == 0  ? MBR_INDEX_REPLACE
          : strcmp(name, "add") == 0 ? MBR_BINARY_ADD
          : strcmp(name, "mul") == 0 ? MBR_BINARY_MUL
          : strcmp(name, "max") == 0 ? MBR_BINARY_MAX
                                     : MBR_BINARY_MIN;
    return *op != MBR_BINARY_MIN || strcmp(name, "min") == 0;
}

static int batch_dims(const mbr_ir_node *node, int rank)
{
    int64_t b = node->op->param == GATHER && node->op->since >= 12 ? mbr_attr_int(node, "batch_dims", 0) : 0;
    return b < 0 || b > rank ? -1 : (int)b;
}

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *in = &c->in[0], *index = &c->in[1];
    mbr_dim dims[2 * MBR_MAX_RANK];
    mbr_binary_op op;
    MBR_TRY(mbr_op_check_tensor(c, 0));
    MBR_TRY(mbr_op_check_type(c, 1, MBR_TYPES_INDEX));
    MBR_TRY(mbr_op_check_rank(c, 1, 1, MBR_MAX_RANK));
    MBR_TRY(mbr_op_check_rank(c, 0, 1, MBR_MAX_RANK));
    if (c->node->op->param == SCATTER) {
        MBR_TRY(mbr_op_check_same(c, 0, 2));
        if (!reduction(c->node, &op))
            return mbr_infer_fail(c, MBR_ERR_MODEL, "no reduction is called '%s'",
                                  mbr_attr_string(c->node, "reduction", ""));
        if (in->dtype && !mbr_index_reduces(op, in->dtype))
            return mbr_infer_fail(c, MBR_ERR_UNSUPPORTED, "no such reduction of %s", mbr_dtype_name(in->dtype));
        mbr_infer_same(c, 0, 0);
    }
    if (in->rank < 0 || index->rank < 0) {
        if (c->node->op->param == GATHER)
            mbr_infer_out(c, 0, in->dtype, -1, NULL);
        return MBR_OK;
    }
    int batch = batch_dims(c->node, in->rank);
    if (batch < 0 || batch >= index->rank)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "batch_dims must lie below both ranks");
    mbr_dim width = index->dims[index->rank - 1];
    if (!mbr_dim_is_const(width)) {
        if (c->node->op->param == GATHER)
            mbr_infer_out(c, 0, in->dtype, -1, NULL);
        return MBR_OK;
    }
    if (width < 0 || width > in->rank - batch)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "tuples of %lld coordinates for rank %d", (long long)width, in->rank);
    if (c->node->op->param == SCATTER)
        return MBR_OK;
    int rank = index->rank - 1 + in->rank - batch - (int)width;
    if (rank > MBR_MAX_RANK)
        return mbr_infer_fail(c, MBR_ERR_UNSUPPORTED, "the result has rank %d, at most %d are possible", rank,
                              MBR_MAX_RANK);
    memcpy(dims, index->dims, sizeof(mbr_dim) * (size_t)(index->rank - 1));
    memcpy(dims + index->rank - 1, in->dims + batch + width, sizeof(mbr_dim) * (size_t)(in->rank - batch - (int)width));
    mbr_infer_out(c, 0, in->dtype, rank, dims);
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    tuples_state *st = s->state;
    mbr_tuples_args *a = &st->args;
    const mbr_value *in = s->in[0], *index = s->in[1];
    int batch = batch_dims(s->node, in->rank);
    int64_t width = index->dims[index->rank - 1];
    a->width = (size_t)width;
    a->wide = index->dtype == MBR_DTYPE_I64;
    a->dtype = in->dtype;
    a->size = mbr_dtype_size(in->dtype);
    a->tuples = a->batches = a->slice = 1;
    if (width > in->rank - batch)
        return mbr_step_fail(s, err, MBR_ERR_RUN, "tuples of %lld coordinates for rank %d", (long long)width, in->rank);
    for (int i = 0; i < index->rank - 1; i++)
        a->tuples *= (size_t)index->dims[i];
    for (int i = 0; i < batch; i++) {
        if (in->dims[i] != index->dims[i])
            return mbr_step_fail(s, err, MBR_ERR_RUN, "batch axis %d is %lld in the data, %lld in the indices", i,
                                 (long long)in->dims[i], (long long)index->dims[i]);
        a->batches *= (size_t)in->dims[i];
    }
    for (int i = 0; i < width; i++)
        a->dims[i] = (size_t)in->dims[batch + i];
    for (int i = batch + (int)width; i < in->rank; i++)
        a->slice *= (size_t)in->dims[i];
    if (s->op->param == GATHER) {
        st->each = mbr_step_split(s, a->tuples, 4.0 + (double)(a->slice * a->size) * 0.1);
        return MBR_OK;
    }
    const mbr_value *updates = s->in[2];
    bool fits = updates->rank == index->rank - 1 + in->rank - (int)width;
    for (int i = 0; fits && i < updates->rank; i++)
        fits = updates->dims[i] ==
               (i < index->rank - 1 ? index->dims[i] : in->dims[(int)width + i - (index->rank - 1)]);
    if (!fits)
        return mbr_step_fail(s, err, MBR_ERR_RUN, "the shape of the updates fits neither indices nor data");
    reduction(s->node, &st->op);
    s->cost_ns = (double)a->tuples * (8.0 + (double)(a->slice * a->size) * 0.1);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const tuples_state *st = s->state;
    mbr_tuples_args args = st->args;
    mbr_value *out = s->out[0];
    size_t first = 0, last = args.tuples, met;
    args.index = s->in[1]->data;
    if (s->op->param == SCATTER) {
        if (out->data != s->in[0]->data && mbr_value_count(out) > 0)
            memcpy(out->data, s->in[0]->data, mbr_value_bytes(out));
        met = args.slice ? mbr_scatter_tuples(&args, st->op, s->in[2]->data, out->data) : last;
    } else {
        mbr_op_items(job, st->each, args.tuples, &first, &last);
        met = args.slice ? mbr_gather_tuples(&args, s->in[0]->data, out->data, first, last) : last;
    }
    if (met < last)
        return mbr_step_fail(s, err, MBR_ERR_RUN, "the coordinates of tuple %zu are outside of the data", met);
    return MBR_OK;
}

#define ROW(op_name, version, inputs, what)                                                                            \
    { .domain = "", .name = op_name, .since = version, .min_in = inputs, .max_in = inputs, .min_out = 1, .max_out = 1, \
      .flags = (what) == SCATTER ? MBR_OP_INPLACE0 : 0, .infer = infer, .prepare = prepare, .run = run,                \
      .state_size = sizeof(tuples_state), .param = what }

const mbr_op mbr_ops_gather_nd[] = {
    ROW("GatherND", 11, 2, GATHER),
    ROW("GatherND", 12, 2, GATHER),
    ROW("ScatterND", 11, 3, SCATTER),
    ROW("ScatterND", 16, 3, SCATTER),
    { 0 },
};
