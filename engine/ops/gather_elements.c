/* SPDX-License-Identifier: BSD-2-Clause */
/* GatherElements, and ScatterElements with its old name Scatter: one element for each index, along an axis. */
#include "engine/ops/op_util.h"

#include "kernels/index.h"

#include <string.h>

enum { GATHER, SCATTER };

typedef struct elements_state {
    mbr_elements_args args; /* first: engine/opencl reads it */
    mbr_binary_op op;
    size_t each;
} elements_state;

/* "none", "add" ...; false: no such reduction */
static bool reduction(const mbr_ir_node *node, mbr_binary_op *op)
{
    static const struct {
        const char *name;
        mbr_binary_op op;
    } names[] = { { "none", MBR_INDEX_REPLACE }, { "add", MBR_BINARY_ADD }, { "mul", MBR_BINARY_MUL },
                  { "max", MBR_BINARY_MAX },     { "min", MBR_BINARY_MIN } };
    const char *name = node->op->since < 16 ? "none" : mbr_attr_string(node, "reduction", "none");
    for (size_t i = 0; i < MBR_COUNT_OF(names); i++)
        if (strcmp(names[i].name, name) == 0) {
            *op = names[i].op;
            return true;
        }
    return false;
}

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *in = &c->in[0], *index = &c->in[1];
    bool scatter = c->node->op->param == SCATTER;
    int axis = 0;
    mbr_binary_op op;
    MBR_TRY(mbr_op_check_tensor(c, 0));
    MBR_TRY(mbr_op_check_type(c, 1, MBR_TYPES_INDEX));
    if (in->rank >= 0)
        MBR_TRY(mbr_infer_axis(c, mbr_attr_int(c->node, "axis", 0), in->rank, &axis));
    if (in->rank >= 0 && index->rank >= 0 && in->rank != index->rank)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "data has rank %d, the indices have %d", in->rank, index->rank);
    if (!scatter) {
        mbr_infer_out(c, 0, in->dtype, index->rank, index->dims);
        return MBR_OK;
    }
    MBR_TRY(mbr_op_check_same(c, 0, 2));
    if (!reduction(c->node, &op))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "no reduction is called '%s'",
                              mbr_attr_string(c->node, "reduction", ""));
    if (in->dtype && !mbr_index_reduces(op, in->dtype))
        return mbr_infer_fail(c, MBR_ERR_UNSUPPORTED, "no such reduction of %s", mbr_dtype_name(in->dtype));
    mbr_infer_same(c, 0, 0);
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    elements_state *st = s->state;
    const mbr_value *in = s->in[0], *index = s->in[1];
    st->args.rank = mbr_op_dims(in, st->args.dims);
    mbr_op_dims(index, st->args.index_dims);
    st->args.axis = mbr_op_axis(mbr_attr_int(s->node, "axis", 0), in->rank);
    st->args.wide = index->dtype == MBR_DTYPE_I64;
    st->args.dtype = in->dtype;
    st->args.size = mbr_dtype_size(in->dtype);
    for (int i = 0; i < in->rank; i++)
        if (index->rank != in->rank || (i != st->args.axis && index->dims[i] > in->dims[i]))
            return mbr_step_fail(s, err, MBR_ERR_RUN, "axis %d of the indices is larger than that of the data", i);
    if (s->op->param == GATHER) {
        st->each = mbr_step_split(s, mbr_value_count(index), 4.0);
        return MBR_OK;
    }
    const mbr_value *updates = s->in[2];
    if (updates->rank != index->rank || memcmp(updates->dims, index->dims, sizeof(int64_t) * (size_t)index->rank) != 0)
        return mbr_step_fail(s, err, MBR_ERR_RUN, "indices and updates differ in shape");
    reduction(s->node, &st->op);
    s->cost_ns = (double)mbr_value_count(index) * 8.0;
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const elements_state *st = s->state;
    mbr_elements_args args = st->args;
    const mbr_value *index = s->in[1];
    mbr_value *out = s->out[0];
    size_t first = 0, last = mbr_value_count(index), met;
    args.index = index->data;
    if (s->op->param == GATHER) {
        mbr_op_items(job, st->each, mbr_value_count(index), &first, &last);
        met = mbr_gather_elements(&args, s->in[0]->data, out->data, first, last);
    } else {
        if (out->data != s->in[0]->data && mbr_value_count(out) > 0)
            memcpy(out->data, s->in[0]->data, mbr_value_bytes(out));
        met = mbr_scatter_elements(&args, st->op, s->in[2]->data, out->data);
    }
    if (met < last)
        return mbr_step_fail(s, err, MBR_ERR_RUN, "index %lld is outside of an axis of %zu",
                             (long long)mbr_value_int(index, met), args.dims[args.axis]);
    return MBR_OK;
}

#define ROW(op_name, version, inputs, last_version, what)                                                              \
    { .domain = "", .name = op_name, .since = version, .min_in = inputs, .max_in = inputs, .min_out = 1, .max_out = 1, \
      .flags = (what) == SCATTER ? MBR_OP_INPLACE0 : 0, .infer = infer, .prepare = prepare, .run = run,                \
      .state_size = sizeof(elements_state), .param = what, .until = last_version }

const mbr_op mbr_ops_gather_elements[] = {
    ROW("GatherElements", 11, 2, 0, GATHER),
    ROW("Scatter", 9, 3, 0, SCATTER),
    ROW("ScatterElements", 11, 3, 0, SCATTER),
    ROW("ScatterElements", 16, 3, 0, SCATTER),
    { 0 },
};
