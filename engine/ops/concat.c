/* SPDX-License-Identifier: BSD-2-Clause */
/* Concat: tensors joined along an axis. */
#include "engine/ops/op_util.h"

#include <string.h>

typedef struct concat_state {
    size_t outer, row; /* rows of the output, bytes of one */
    size_t each;       /* bytes of a tile */
} concat_state;

static int64_t axis_of(const mbr_ir_node *node)
{
    return mbr_attr_int(node, "axis", 1); /* the default is version 1's; later it must be there */
}

static mbr_status infer(mbr_infer *c)
{
    mbr_dim dims[MBR_MAX_RANK], content[MBR_OP_CONTENT];
    int rank = -1, axis = 0;
    size_t have = 0;
    bool numbers = true;
    if (c->n_in > MBR_OP_MANY)
        return mbr_infer_fail(c, MBR_ERR_UNSUPPORTED, "%u tensors, at most %d can be joined", (unsigned)c->n_in,
                              MBR_OP_MANY);
    if (c->node->op->since >= 4 && !mbr_attr(c->node, "axis"))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "the attribute 'axis' is absent");
    for (uint32_t i = 0; i < c->n_in; i++) {
        if (!c->in[i].present)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "input %u is absent", (unsigned)i);
        MBR_TRY(mbr_op_check_same(c, 0, i));
        if (c->in[i].rank < 0)
            continue;
        if (rank >= 0 && c->in[i].rank != rank)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "input %u has rank %d, another has %d", (unsigned)i,
                                  c->in[i].rank, rank);
        rank = c->in[i].rank;
    }
    if (rank < 0) {
        mbr_infer_out(c, 0, c->in[0].dtype, -1, NULL);
        return MBR_OK;
    }
    MBR_TRY(mbr_infer_axis(c, axis_of(c->node), rank, &axis));
    for (int d = 0; d < rank; d++)
        dims[d] = d == axis ? 0 : MBR_DIM_UNKNOWN;
    for (uint32_t i = 0; i < c->n_in; i++) {
        const mbr_arg *in = &c->in[i];
        size_t n;
        for (int d = 0; d < rank; d++) {
            mbr_dim size = in->rank < 0 ? MBR_DIM_UNKNOWN : in->dims[d];
            if (d == axis) {
                dims[d] = mbr_dim_add(c->dims, dims[d], size);
            } else if (mbr_dim_is_const(size)) {
                if (mbr_dim_is_known(dims[d]) && mbr_dim_is_const(dims[d]) && dims[d] != size)
                    return mbr_infer_fail(c, MBR_ERR_MODEL, "axis %d of input %u has size %lld, another has %lld", d,
                                          (unsigned)i, (long long)size, (long long)dims[d]);
                dims[d] = size;
            } else if (!mbr_dim_is_known(dims[d])) {
                dims[d] = size;
            }
        }
        numbers = numbers && rank == 1 && mbr_infer_ints(c, i, content + have, MBR_OP_CONTENT - have, &n);
        have += numbers ? n : 0;
    }
    mbr_infer_out(c, 0, c->in[0].dtype, rank, dims);
    if (numbers)
        mbr_infer_set_content(c, 0, content, have);
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    concat_state *st = s->state;
    const mbr_value *out = s->out[0];
    int axis = mbr_op_axis(axis_of(s->node), out->rank);
    size_t middle, inner;
    int64_t sum = 0;
    for (uint32_t i = 0; i < s->n_in; i++) {
        const mbr_value *in = s->in[i];
        for (int d = 0; d < out->rank; d++)
            if (in->rank != out->rank || (d != axis && in->dims[d] != out->dims[d]))
                return mbr_step_fail(s, err, MBR_ERR_RUN, "the shape of input %u does not fit the others", (unsigned)i);
        sum += in->dims[axis];
    }
    if (sum != out->dims[axis])
        return mbr_step_fail(s, err, MBR_ERR_INTERNAL, "the joined axis is %lld, not %lld", (long long)sum,
                             (long long)out->dims[axis]);
    mbr_op_around(out, axis, &st->outer, &middle, &inner);
    st->row = middle * inner * mbr_dtype_size(out->dtype);
    if (s->in[0]->room) /* little to do */
        st->each = st->outer * st->row;
    else
        st->each = mbr_op_split_bytes(s, st->outer * st->row, 64);
    return MBR_OK;
}

/* With room behind the past: only what is new, where the past is there already. */
static void append(const mbr_step *s)
{
    const mbr_value *out = s->out[0];
    int axis = mbr_op_axis(axis_of(s->node), out->rank);
    size_t outer, middle, inner, at = 0;
    mbr_op_around(out, axis, &outer, &middle, &inner);
    inner *= mbr_dtype_size(out->dtype);
    for (uint32_t i = 0; i < s->n_in; i++) {
        const mbr_value *in = s->in[i];
        size_t bytes = (size_t)in->dims[axis] * inner;
        for (size_t o = 0; o < outer && bytes && in->data != out->data; o++)
            memcpy((char *)out->data + o * mbr_value_entries(out, axis) * inner + at,
                   (const char *)in->data + o * mbr_value_entries(in, axis) * inner, bytes);
        at += bytes;
    }
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const concat_state *st = s->state;
    void *pieces[MBR_OP_MANY];
    size_t bytes[MBR_OP_MANY], first, last;
    (void)err;
    if (s->out[0]->room || s->in[0]->room || s->out[0]->data == s->in[0]->data) {
        if (job->first == 0)
            append(s);
        return MBR_OK;
    }
    mbr_op_items(job, st->each, st->outer * st->row, &first, &last);
    if (first == last)
        return MBR_OK;
    for (uint32_t i = 0; i < s->n_in; i++) {
        pieces[i] = s->in[i]->data;
        bytes[i] = mbr_value_bytes(s->in[i]) / st->outer;
    }
    mbr_op_pieces(s->out[0]->data, st->row, s->n_in, pieces, bytes, true, first, last);
    return MBR_OK;
}

#define ROW(version)                                                                                                   \
    { .domain = "", .name = "Concat", .since = version, .min_in = 1, .max_in = MBR_OP_MANY, .min_out = 1,              \
      .max_out = 1, .infer = infer, .prepare = prepare, .run = run, .state_size = sizeof(concat_state),               \
      .roomy_inputs = 1, .appends = { .n = 1 } }

const mbr_op mbr_ops_concat[] = {
    ROW(1),
    ROW(4),
    { 0 },
};
