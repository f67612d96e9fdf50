/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Softmax, LogSoftmax, Hardmax. Up to version 12 the tensor is seen as a matrix, cut before `axis` (1 when nothing is
 * said); from 13 on they work along `axis` (the last one).
 */
#include "engine/ops/op_util.h"

#include "kernels/convert.h"
#include "kernels/cpu.h"
#include "kernels/reduce.h"
#include "kernels/softmax.h"

#include <string.h>

enum { SOFT, LOG, HARD };

typedef struct softmax_state {
    mbr_softmax_args args; /* the shape; first: engine/opencl reads it */
    mbr_softmax_fn *fn;
    size_t each;           /* kernel tiles, or slices where the type is not f32 */
} softmax_state;

static int64_t axis_of(const mbr_ir_node *node)
{
    return mbr_attr_int(node, "axis", node->op->since < 13 ? 1 : -1);
}

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *in = &c->in[0];
    int64_t axis = axis_of(c->node);
    MBR_TRY(mbr_op_check_type(c, 0, MBR_TYPES_FLOAT));
    /* a scalar, and before version 13 the cut after the last axis, are fine */
    if (in->rank >= 0 && (axis < -in->rank || axis >= in->rank) &&
        !(axis == in->rank && c->node->op->since < 13) && !(in->rank == 0 && (axis == 0 || axis == -1)))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "axis %lld does not exist in rank %d", (long long)axis, in->rank);
    mbr_infer_same(c, 0, 0);
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    softmax_state *st = s->state;
    mbr_softmax_args *a = &st->args;
    const mbr_value *in = s->in[0];
    size_t middle, inner, count = mbr_value_count(in);
    int axis = mbr_op_axis(axis_of(s->node), in->rank);
    (void)err;
    axis = axis < 0 ? 0 : axis;
    mbr_op_around(in, axis, &a->outer, &middle, &inner);
    a->axis = s->op->since < 13 ? middle * inner : middle;
    a->inner = s->op->since < 13 ? 1 : inner;
    a->log = s->op->param == LOG;
    if (count == 0) {
        s->tiles[0] = 0;
        st->each = 1;
        return MBR_OK;
    }
    if (s->op->param != HARD && in->dtype == MBR_DTYPE_F32) {
        size_t tiles = mbr_softmax_tiles(a);
        st->fn = mbr_softmax_select(mbr_cpu_tiers());
        st->each = mbr_step_split(s, tiles, (double)count / (double)tiles * 1.0 + 10.0);
        return MBR_OK;
    }
    st->each = mbr_step_split(s, a->outer * a->inner, (double)a->axis * 10.0);
    /* halves are widened slice by slice */
    s->scratch = s->op->param != HARD && in->dtype != MBR_DTYPE_F64 ? a->axis * 2 * sizeof(float) : 0;
    return MBR_OK;
}

/* One slice of a type without a kernel. */
static void slice(const mbr_step *s, const softmax_state *st, size_t i, void *scratch)
{
    const mbr_softmax_args *a = &st->args;
    const mbr_value *in = s->in[0];
    size_t size = mbr_dtype_size(in->dtype), at = i / a->inner * a->axis * a->inner + i % a->inner;
    const char *from = mbr_bytes_at(in->data, at * size);
    char *to = (char *)s->out[0]->data + at * size;
    if (in->dtype == MBR_DTYPE_F64) {
        mbr_softmax_f64_ref((const double *)(const void *)from, (double *)(void *)to, a->axis, a->inner, a->log);
        return;
    }
    if (!a->log && a->axis <= MBR_SOFTMAX_STEPWISE) {
        mbr_softmax_half_ref(in->dtype, from, to, a->axis, a->inner);
        return;
    }
    float *x = scratch;
    mbr_convert_args widen = { .from = in->dtype, .to = MBR_DTYPE_F32 };
    mbr_convert_args narrow = { .from = MBR_DTYPE_F32, .to = in->dtype };
    for (size_t k = 0; k < a->axis; k++)
        mbr_convert_ref(&widen, from + k * a->inner * size, x + k, 1);
    mbr_softmax_args one = { .in = x, .out = x + a->axis, .outer = 1, .axis = a->axis, .inner = 1, .log = a->log };
    mbr_softmax_ref(&one, 0, mbr_softmax_tiles(&one));
    for (size_t k = 0; k < a->axis; k++)
        mbr_convert_ref(&narrow, x + a->axis + k, to + k * a->inner * size, 1);
}

static void hard(const mbr_step *s, const softmax_state *st, size_t first, size_t last)
{
    const mbr_softmax_args *a = &st->args;
    const mbr_value *in = s->in[0];
    size_t size = mbr_dtype_size(in->dtype);
    mbr_convert_args to = { .from = MBR_DTYPE_F32, .to = in->dtype };
    float values[2] = { 0.0f, 1.0f };
    uint64_t zero, one;
    mbr_convert_ref(&to, &values[0], &zero, 1);
    mbr_convert_ref(&to, &values[1], &one, 1);
    for (size_t i = first; i < last; i++) {
        int64_t most;
        size_t at = i / a->inner * a->axis * a->inner + i % a->inner;
        mbr_arg_args arg = { .dtype = in->dtype, .in = mbr_bytes_at(in->data, at * size), .out = &most, .outer = 1,
                             .axis = a->axis, .inner = a->inner };
        mbr_arg_ref(&arg, 0, 1);
        for (size_t k = 0; k < a->axis; k++)
            memcpy((char *)s->out[0]->data + (at + k * a->inner) * size, k == (size_t)most ? &one : &zero, size);
    }
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const softmax_state *st = s->state;
    mbr_softmax_args args = st->args;
    size_t first, last;
    (void)err;
    if (mbr_value_count(s->in[0]) == 0)
        return MBR_OK;
    if (s->op->param != HARD && s->in[0]->dtype == MBR_DTYPE_F32) {
        args.in = s->in[0]->data;
        args.out = s->out[0]->data;
        mbr_op_items(job, st->each, mbr_softmax_tiles(&args), &first, &last);
        st->fn(&args, first, last);
        return MBR_OK;
    }
    mbr_op_items(job, st->each, args.outer * args.inner, &first, &last);
    if (s->op->param == HARD)
        hard(s, st, first, last);
    else
        for (size_t i = first; i < last; i++)
            slice(s, st, i, job->scratch);
    return MBR_OK;
}

#define ROW(op_name, version, more, what)                                                                              \
    { .domain = "", .name = op_name, .since = version, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,           \
      .flags = more, .infer = infer, .prepare = prepare, .run = run, .state_size = sizeof(softmax_state),              \
      .param = what }

const mbr_op mbr_ops_softmax[] = {
    ROW("Hardmax", 1, 0, HARD),
    ROW("Hardmax", 13, 0, HARD),
    ROW("LogSoftmax", 1, MBR_OP_INPLACE0, LOG),
    ROW("LogSoftmax", 13, MBR_OP_INPLACE0, LOG),
    ROW("Softmax", 1, MBR_OP_INPLACE0, SOFT),
    ROW("Softmax", 13, MBR_OP_INPLACE0, SOFT),
    { 0 },
};
