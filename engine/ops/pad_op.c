/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pad and CenterCropPad.
 *
 * Pad: `paddings` in version 1, `pads` in 2 (with `value`), inputs from 11 on, with axes from 18 on.
 */
#include "engine/ops/op_util.h"

#include "base/checked.h"
#include "kernels/convert.h"
#include "kernels/pad.h"

#include <string.h>

enum { PAD, CENTER };

typedef struct pad_state {
    mbr_pad_args args; /* first: engine/opencl reads it */
    size_t each; /* rows of a tile */
} pad_state;

static const char *pads_attr(const mbr_op *op)
{
    return op->since == 1 ? "paddings" : op->since < 11 ? "pads" : NULL;
}

static bool mode_of(const mbr_ir_node *node, mbr_pad_mode *mode)
{
    static const char *const names[] = { "constant", "reflect", "edge", "wrap" };
    const char *name = mbr_attr_string(node, "mode", "constant");
    for (size_t i = 0; i < MBR_COUNT_OF(names); i++)
        if (strcmp(name, names[i]) == 0) {
            *mode = (mbr_pad_mode)i;
            return true;
        }
    return false;
}

static mbr_status infer_pad(mbr_infer *c)
{
    const mbr_arg *in = &c->in[0];
    mbr_dim pads[2 * MBR_MAX_RANK], dims[MBR_MAX_RANK];
    size_t n;
    mbr_op_given given, axes_given = MBR_OP_ABSENT;
    int order[MBR_MAX_RANK], count = in->rank;
    uint32_t bits;
    mbr_pad_mode mode;
    MBR_TRY(mbr_op_check_tensor(c, 0));
    MBR_TRY(mbr_op_check_same(c, 0, 2));
    if (!mode_of(c->node, &mode))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "no mode is called '%s'", mbr_attr_string(c->node, "mode", ""));
    MBR_TRY(mbr_op_infer_ints(c, pads_attr(c->node->op), 1, pads, 2 * MBR_MAX_RANK, &n, &given));
    if (given == MBR_OP_ABSENT)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "the pads are absent");
    if (in->rank < 0) {
        mbr_infer_out(c, 0, in->dtype, -1, NULL);
        return MBR_OK;
    }
    if (c->node->op->since >= 18)
        MBR_TRY(mbr_op_infer_axes(c, NULL, 3, in->rank, &bits, order, &count, &axes_given));
    if (given == MBR_OP_UNKNOWN || axes_given == MBR_OP_UNKNOWN) {
        mbr_infer_out(c, 0, in->dtype, in->rank, NULL);
        return MBR_OK;
    }
    if (axes_given == MBR_OP_ABSENT) {
        count = in->rank;
        for (int i = 0; i < count; i++)
            order[i] = i;
    }
    if (n != 2 * (size_t)count)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "%zu pads for %d axes", n, count);
    memcpy(dims, in->dims, sizeof dims);
    for (int i = 0; i < count; i++) {
        mbr_dim d = mbr_dim_add(c->dims, mbr_dim_add(c->dims, dims[order[i]], pads[i]), pads[count + i]);
        if (mbr_dim_is_known(d) && mbr_dim_is_const(d) && d < 0)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "axis %d is cropped to %lld", order[i], (long long)d);
        dims[order[i]] = d;
    }
    mbr_infer_out(c, 0, in->dtype, in->rank, dims);
    return MBR_OK;
}

static mbr_status infer_center(mbr_infer *c)
{
    const mbr_arg *in = &c->in[0];
    mbr_dim sizes[MBR_MAX_RANK], dims[MBR_MAX_RANK];
    size_t n;
    int order[MBR_MAX_RANK], count;
    uint32_t bits;
    mbr_op_given given, axes_given;
    MBR_TRY(mbr_op_check_tensor(c, 0));
    MBR_TRY(mbr_op_infer_ints(c, NULL, 1, sizes, MBR_MAX_RANK, &n, &given));
    if (in->rank < 0) {
        mbr_infer_out(c, 0, in->dtype, -1, NULL);
        return MBR_OK;
    }
    MBR_TRY(mbr_op_infer_axes(c, "axes", 0, in->rank, &bits, order, &count, &axes_given));
    memcpy(dims, in->dims, sizeof dims);
    if (axes_given == MBR_OP_ABSENT) {
        count = in->rank;
        for (int i = 0; i < count; i++)
            order[i] = i;
    }
    if (given == MBR_OP_KNOWN && n != (size_t)count)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "%zu sizes for %d axes", n, count);
    for (int i = 0; i < count; i++) {
        dims[order[i]] = given == MBR_OP_KNOWN ? sizes[i] : MBR_DIM_UNKNOWN;
        if (mbr_dim_is_const(dims[order[i]]) && dims[order[i]] < 0)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "the size %lld", (long long)dims[order[i]]);
    }
    mbr_infer_out(c, 0, in->dtype, in->rank, dims);
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    pad_state *st = s->state;
    mbr_pad_args *a = &st->args;
    const mbr_value *in = s->in[0], *out = s->out[0];
    a->mode = MBR_PAD_CONSTANT;
    a->size = mbr_dtype_size(in->dtype);
    a->rank = mbr_op_dims(in, a->dims);
    mbr_op_dims(out, a->out_dims);
    memset(a->begin, 0, sizeof a->begin);
    mode_of(s->node, &a->mode);
    if (s->op->param == PAD && in->rank > 0) {
        int64_t pads[2 * MBR_MAX_RANK];
        int order[MBR_MAX_RANK], count = in->rank;
        uint32_t bits;
        size_t n;
        mbr_op_given given = MBR_OP_ABSENT;
        if (s->op->since >= 18)
            MBR_TRY(mbr_op_step_axes(s, NULL, 3, in->rank, &bits, order, &count, &given, err));
        if (given == MBR_OP_ABSENT)
            for (int i = 0; i < (count = in->rank); i++)
                order[i] = i;
        MBR_TRY(mbr_op_step_ints(s, pads_attr(s->op), 1, pads, 2 * MBR_MAX_RANK, &n, &given, err));
        if (n != 2 * (size_t)count)
            return mbr_step_fail(s, err, MBR_ERR_RUN, "%zu pads for %d axes", n, count);
        for (int i = 0; i < count; i++) {
            int64_t sum;
            a->begin[order[i]] = pads[i];
            if (!mbr_add_i64(pads[i], pads[count + i], &sum) || sum != out->dims[order[i]] - in->dims[order[i]])
                return mbr_step_fail(s, err, MBR_ERR_INTERNAL, "axis %d was planned with other pads", order[i]);
        }
    } else {
        for (int i = 0; i < in->rank; i++) {
            int64_t more = out->dims[i] - in->dims[i];
            a->begin[i] = more >= 0 ? more / 2 : -(-more / 2);
        }
    }
    if (a->mode != MBR_PAD_CONSTANT && mbr_value_count(in) == 0 && mbr_value_count(out) > 0)
        return mbr_step_fail(s, err, MBR_ERR_RUN, "an empty tensor has nothing to reflect or repeat");
    if (a->rank == 0) {
        a->rank = 1;
        a->dims[0] = a->out_dims[0] = 1;
    }
    mbr_pad_plan(a);
    st->each = mbr_step_split(s, a->rows, 10.0 + (double)(a->out_dims[a->rank - 1] * a->unit * a->size) * 0.15);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    static const uint64_t zero[2] = { 0, 0 };
    const pad_state *st = s->state;
    const void *value = zero;
    uint64_t element[2];
    size_t first, last;
    (void)err;
    if (s->op->param == PAD && s->op->since < 11) {
        float v = mbr_attr_float(s->node, "value", 0.0f);
        mbr_convert_args to = { .from = MBR_DTYPE_F32, .to = s->in[0]->dtype };
        if (v != 0 && mbr_convert_has(to.from, to.to)) {
            mbr_convert_ref(&to, &v, element, 1);
            value = element;
        }
    } else if (s->op->param == PAD && mbr_step_has(s, 2) && mbr_value_count(s->in[2]) > 0) {
        value = s->in[2]->data;
    }
    mbr_op_items(job, st->each, st->args.rows, &first, &last);
    mbr_pad(&st->args, s->in[0]->data, value, s->out[0]->data, first, last);
    return MBR_OK;
}

#define ROW(op_name, version, least, most, contents, function, what)                                                   \
    { .domain = "", .name = op_name, .since = version, .min_in = least, .max_in = most, .min_out = 1, .max_out = 1,    \
      .content_inputs = contents, .infer = function, .prepare = prepare, .run = run, .state_size = sizeof(pad_state),  \
      .param = what }

const mbr_op mbr_ops_pad[] = {
    ROW("CenterCropPad", 18, 2, 2, 2, infer_center, CENTER),
    ROW("Pad", 1, 1, 1, 0, infer_pad, PAD),
    ROW("Pad", 2, 1, 1, 0, infer_pad, PAD),
    ROW("Pad", 11, 2, 3, 2, infer_pad, PAD),
    ROW("Pad", 18, 2, 4, 10, infer_pad, PAD),
    { 0 },
};
