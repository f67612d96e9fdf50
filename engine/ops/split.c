/* SPDX-License-Identifier: BSD-2-Clause */
/* Split: a tensor cut along an axis. The sizes are an attribute up to version 11, an input from 13 on (and in 1). */
#include "engine/ops/op_util.h"

#include <string.h>

typedef struct split_state {
    size_t outer, row; /* rows of the input, bytes of one */
    size_t each;       /* bytes of a tile */
} split_state;

/* The size of output i of n when nobody says: equal parts, the last one smaller. */
static mbr_dim part(mbr_infer *c, mbr_dim size, uint32_t i, uint32_t n)
{
    mbr_dim each = mbr_dim_div(c->dims, mbr_dim_add(c->dims, size, n - 1), n);
    if (mbr_dim_is_const(size)) {
        int64_t left = size - (int64_t)i * each;
        return left < 0 ? 0 : left < each ? left : each;
    }
    if (i + 1 < n || !mbr_dim_is_known(each))
        return each;
    return mbr_dim_sub(c->dims, size, mbr_dim_mul(c->dims, each, n - 1));
}

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *in = &c->in[0];
    mbr_dim sizes[MBR_OP_CONTENT], numbers[MBR_OP_CONTENT], dims[MBR_MAX_RANK];
    size_t n, count;
    mbr_op_given given;
    int axis = 0;
    uint32_t outputs = c->n_out;
    MBR_TRY(mbr_op_check_tensor(c, 0));
    const char *attr = c->node->op->since < 13 ? "split" : NULL;
    if (c->node->op->since == 1 && mbr_infer_has(c, 1))
        attr = NULL;
    MBR_TRY(mbr_op_infer_ints(c, attr, 1, sizes, MBR_OP_CONTENT, &n, &given));
    if (outputs > MBR_OP_CONTENT)
        return mbr_infer_fail(c, MBR_ERR_UNSUPPORTED, "%u outputs, at most %d are possible", (unsigned)outputs,
                              MBR_OP_CONTENT);
    if (given == MBR_OP_KNOWN && n != outputs)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "%zu sizes for %u outputs", n, (unsigned)outputs);
    if (mbr_attr(c->node, "num_outputs") && mbr_attr_int(c->node, "num_outputs", 0) != (int64_t)outputs)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "num_outputs is %lld, the node has %u",
                              (long long)mbr_attr_int(c->node, "num_outputs", 0), (unsigned)outputs);
    if (in->rank < 0) {
        for (uint32_t i = 0; i < outputs; i++)
            mbr_infer_out(c, i, in->dtype, -1, NULL);
        return MBR_OK;
    }
    MBR_TRY(mbr_infer_axis(c, mbr_attr_int(c->node, "axis", 0), in->rank, &axis));
    memcpy(dims, in->dims, sizeof dims);
    bool content = in->rank == 1 && given != MBR_OP_UNKNOWN && mbr_infer_ints(c, 0, numbers, MBR_OP_CONTENT, &count);
    int64_t begin = 0;
    for (uint32_t i = 0; i < outputs; i++) {
        dims[axis] = given == MBR_OP_KNOWN     ? sizes[i]
                     : given == MBR_OP_UNKNOWN ? MBR_DIM_UNKNOWN
                                               : part(c, in->dims[axis], i, outputs);
        if (mbr_dim_is_const(dims[axis])) {
            if (dims[axis] < 0 || dims[axis] > INT64_MAX - begin)
                return mbr_infer_fail(c, MBR_ERR_MODEL, "output %u gets the size %lld", (unsigned)i,
                                      (long long)dims[axis]);
        } else {
            content = false;
        }
        mbr_infer_out(c, i, in->dtype, in->rank, dims);
        if (content && begin + dims[axis] <= (int64_t)count)
            mbr_infer_set_content(c, i, numbers + begin, (size_t)dims[axis]);
        begin = mbr_dim_is_const(dims[axis]) && begin >= 0 ? begin + dims[axis] : -1;
        if (begin < 0)
            begin = 0, content = false;
    }
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    split_state *st = s->state;
    const mbr_value *in = s->in[0];
    int axis = mbr_op_axis(mbr_attr_int(s->node, "axis", 0), in->rank);
    size_t middle, inner, n;
    int64_t sum = 0, sizes[MBR_OP_CONTENT];
    mbr_op_given given = MBR_OP_ABSENT;
    for (uint32_t i = 0; i < s->n_out; i++)
        sum += s->out[i] ? s->out[i]->dims[axis] : 0;
    if (s->op->since < 13 && !mbr_step_has(s, 1))
        MBR_TRY(mbr_op_step_ints(s, "split", 1, sizes, MBR_OP_CONTENT, &n, &given, err));
    else if (mbr_step_known(s, 1))
        MBR_TRY(mbr_op_step_ints(s, NULL, 1, sizes, MBR_OP_CONTENT, &n, &given, err));
    if (given == MBR_OP_KNOWN) {
        sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += sizes[i];
    }
    bool all = true;
    for (uint32_t i = 0; i < s->n_out; i++)
        all = all && s->out[i];
    if ((all || given == MBR_OP_KNOWN) ? sum != in->dims[axis] : sum > in->dims[axis])
        return mbr_step_fail(s, err, MBR_ERR_RUN, "the parts sum to %lld, the axis has %lld", (long long)sum,
                             (long long)in->dims[axis]);
    mbr_op_around(in, axis, &st->outer, &middle, &inner);
    st->row = middle * inner * mbr_dtype_size(in->dtype);
    st->each = mbr_op_split_bytes(s, st->outer * st->row, 64);
    return MBR_OK;
}

/* The size of output i along the axis, wanted or not. */
static int64_t size_of(const mbr_step *s, const int64_t *sizes, bool given, uint32_t i, int axis)
{
    int64_t total = s->in[0]->dims[axis], n = s->n_out, each = (total + n - 1) / n, left = total - (int64_t)i * each;
    if (s->out[i])
        return s->out[i]->dims[axis];
    return given ? sizes[i] : left < 0 ? 0 : left < each ? left : each;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const split_state *st = s->state;
    const mbr_value *in = s->in[0];
    int axis = mbr_op_axis(mbr_attr_int(s->node, "axis", 0), in->rank);
    int64_t sizes[MBR_OP_CONTENT];
    size_t first, last, n, bytes[MBR_OP_CONTENT];
    void *pieces[MBR_OP_CONTENT];
    mbr_op_given given = MBR_OP_ABSENT;
    bool all = true;
    for (uint32_t i = 0; i < s->n_out; i++)
        all = all && s->out[i];
    if (!all)
        MBR_TRY(mbr_op_step_ints(s, s->op->since < 13 && !mbr_step_has(s, 1) ? "split" : NULL, 1, sizes, MBR_OP_CONTENT,
                                 &n, &given, err));
    if (given == MBR_OP_KNOWN) { /* what the outputs that nobody wants would have */
        int64_t sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += sizes[i] < 0 || sizes[i] > in->dims[axis] ? in->dims[axis] + 1 : sizes[i];
        if (n != s->n_out || sum != in->dims[axis])
            return mbr_step_fail(s, err, MBR_ERR_RUN, "the parts do not cover the axis");
    }
    mbr_op_items(job, st->each, st->outer * st->row, &first, &last);
    if (first == last)
        return MBR_OK;
    for (uint32_t i = 0; i < s->n_out; i++) {
        pieces[i] = s->out[i] ? s->out[i]->data : NULL;
        bytes[i] = st->row / (size_t)in->dims[axis] * (size_t)size_of(s, sizes, given == MBR_OP_KNOWN, i, axis);
    }
    if (!mbr_op_pieces(in->data, st->row, s->n_out, pieces, bytes, false, first, last))
        return mbr_step_fail(s, err, MBR_ERR_RUN, "the parts do not cover the axis");
    return MBR_OK;
}

#define ROW(version, most)                                                                                             \
    { .domain = "", .name = "Split", .since = version, .min_in = 1, .max_in = most, .min_out = 1,                      \
      .max_out = MBR_OP_MANY, .content_inputs = (most) == 2 ? 2 : 0, .infer = infer, .prepare = prepare, .run = run,   \
      .state_size = sizeof(split_state) }

const mbr_op mbr_ops_split[] = {
    ROW(1, 2),
    ROW(2, 1),
    ROW(13, 2),
    { 0 },
};
