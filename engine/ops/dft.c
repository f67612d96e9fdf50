/* SPDX-License-Identifier: BSD-2-Clause */
/* DFT and STFT. */
#include "engine/ops/op.h"
#include "kernels/signal.h"

#include <string.h>

enum { DFT_17, DFT_20, STFT };

typedef struct dft_state {
    mbr_dft_args args;
    size_t lines, per_tile;
    size_t outer, inner; /* DFT: (outer, axis, inner) */
    size_t frames, step, signal; /* STFT */
} dft_state;

/* A scalar input, where it is known. */
static bool known_scalar(const mbr_infer *c, uint32_t i, int64_t *v)
{
    size_t n;
    return mbr_infer_has(c, i) && mbr_infer_const_ints(c, i, v, 1, &n) && n == 1;
}

static mbr_status resolve(mbr_infer *c, int64_t axis, int rank, int *out)
{
    MBR_TRY(mbr_infer_axis(c, axis, rank, out));
    if (*out == rank - 1)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "the last axis holds real and imaginary parts, nothing to transform");
    return MBR_OK;
}

static mbr_status infer_dft(mbr_infer *c)
{
    const mbr_arg *x = &c->in[0];
    if (x->dtype != MBR_DTYPE_UNDEFINED && !mbr_dtype_is_float(x->dtype))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "elements of type %s; floats are needed", mbr_dtype_name(x->dtype));
    mbr_infer_out(c, 0, x->dtype, x->rank, NULL);
    if (x->rank < 0)
        return MBR_OK;
    if (x->rank < 2)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "an input of rank %d; 2 or more is needed", x->rank);
    bool inverse = mbr_attr_int(c->node, "inverse", 0) != 0, onesided = mbr_attr_int(c->node, "onesided", 0) != 0;
    int64_t axis = -2, length = 0;
    int at;
    if (c->node->op->param == DFT_17)
        axis = mbr_attr_int(c->node, "axis", 1);
    else if (mbr_infer_has(c, 2) && !known_scalar(c, 2, &axis))
        return MBR_OK;
    MBR_TRY(resolve(c, axis, x->rank, &at));
    mbr_dim n = x->dims[at], dims[MBR_MAX_RANK];
    if (inverse && onesided)
        n = mbr_dim_mul(c->dims, mbr_dim_sub(c->dims, n, 1), 2);
    if (mbr_infer_has(c, 1)) {
        n = MBR_DIM_UNKNOWN;
        if (known_scalar(c, 1, &length)) {
            if (length < 1 || length > INT32_MAX)
                return mbr_infer_fail(c, MBR_ERR_MODEL, "a dft_length of %lld", (long long)length);
            n = length;
        }
    }
    memcpy(dims, x->dims, sizeof dims);
    dims[at] = onesided && !inverse ? mbr_dim_add(c->dims, mbr_dim_div(c->dims, n, 2), 1) : n;
    dims[x->rank - 1] = inverse && onesided ? 1 : 2;
    mbr_infer_out(c, 0, x->dtype, x->rank, dims);
    return MBR_OK;
}

static mbr_status infer_stft(mbr_infer *c)
{
    const mbr_arg *x = &c->in[0];
    mbr_dim dims[4] = { x->rank >= 0 ? x->dims[0] : MBR_DIM_UNKNOWN, MBR_DIM_UNKNOWN, MBR_DIM_UNKNOWN, 2 };
    int64_t step, length = 0;
    if (x->dtype != MBR_DTYPE_UNDEFINED && !mbr_dtype_is_float(x->dtype))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "elements of type %s; floats are needed", mbr_dtype_name(x->dtype));
    if (x->rank >= 0 && x->rank != 3 && x->rank != 2)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "a signal of rank %d; 3 is needed", x->rank);
    mbr_dim n = MBR_DIM_UNKNOWN;
    if (known_scalar(c, 3, &length))
        n = length;
    else if (mbr_infer_has(c, 2) && !mbr_infer_has(c, 3) && c->in[2].rank == 1)
        n = c->in[2].dims[0];
    if (mbr_dim_is_const(n) && (n < 1 || n > INT32_MAX))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "a frame_length of %lld", (long long)n);
    if (mbr_dim_is_known(n)) {
        bool onesided = mbr_attr_int(c->node, "onesided", 1) != 0;
        dims[2] = onesided ? mbr_dim_add(c->dims, mbr_dim_div(c->dims, n, 2), 1) : n;
        if (known_scalar(c, 1, &step) && x->rank >= 2) {
            if (step < 1)
                return mbr_infer_fail(c, MBR_ERR_MODEL, "a frame_step of %lld", (long long)step);
            dims[1] = mbr_dim_add(c->dims, mbr_dim_div(c->dims, mbr_dim_sub(c->dims, x->dims[1], n), step), 1);
            if (mbr_dim_is_const(dims[1]) && dims[1] < 0)
                return mbr_infer_fail(c, MBR_ERR_MODEL, "the signal is shorter than a frame");
        }
    }
    mbr_infer_out(c, 0, x->dtype, 4, dims);
    return MBR_OK;
}

static mbr_status infer(mbr_infer *c)
{
    return c->node->op->param == STFT ? infer_stft(c) : infer_dft(c);
}

static mbr_status scalar(mbr_step *s, uint32_t i, int64_t *v, mbr_error *err)
{
    size_t n;
    MBR_TRY(mbr_step_ints(s, i, v, 1, &n, err));
    return n == 1 ? MBR_OK : mbr_step_fail(s, err, MBR_ERR_INPUT, "input %u is no scalar", i);
}

static mbr_status prepare_dft(mbr_step *s, dft_state *st, mbr_error *err)
{
    mbr_dft_args *a = &st->args;
    const mbr_value *x = s->in[0], *y = s->out[0];
    int64_t axis = s->op->param == DFT_17 ? mbr_attr_int(s->node, "axis", 1) : -2, length;
    if (s->op->param == DFT_20 && mbr_step_has(s, 2))
        MBR_TRY(scalar(s, 2, &axis, err));
    axis += axis < 0 ? x->rank : 0;
    if (axis < 0 || axis > x->rank - 2)
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "axis %lld of a tensor of rank %d", (long long)axis, x->rank);
    bool onesided = mbr_attr_int(s->node, "onesided", 0) != 0;
    a->inverse = mbr_attr_int(s->node, "inverse", 0) != 0;
    a->half = a->inverse && onesided;
    /* The reference is numpy's FFT, which computed in double before numpy 2 and in the signal's type since. ONNX's data for
       opsets 17 and 18 is of the first kind, for 19 and later of the second; where a sum cancels, only arithmetic of the
       same width agrees within ONNX's absolute tolerance of 1e-7. */
    a->single = s->node->opset >= 19;
    a->in_count = (size_t)x->dims[axis];
    length = a->half ? 2 * (x->dims[axis] - 1) : x->dims[axis];
    if (mbr_step_has(s, 1))
        MBR_TRY(scalar(s, 1, &length, err));
    if (length < 1 || length > INT32_MAX)
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "a transform of length %lld", (long long)length);
    if (x->dims[x->rank - 1] != 1 && x->dims[x->rank - 1] != 2)
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "the last axis has %lld elements, not 1 or 2",
                             (long long)x->dims[x->rank - 1]);
    a->n = (size_t)length;
    a->bins = (size_t)y->dims[axis];
    a->in_complex = x->dims[x->rank - 1] == 2;
    a->out_complex = y->dims[y->rank - 1] == 2;
    if (a->bins > a->n)
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "more bins than the transform has");
    st->outer = st->inner = 1;
    for (int i = 0; i < x->rank - 1; i++)
        if (i != axis)
            *(i < axis ? &st->outer : &st->inner) *= (size_t)x->dims[i];
    a->in_stride = a->out_stride = (ptrdiff_t)st->inner;
    st->lines = st->outer * st->inner;
    return MBR_OK;
}

static mbr_status prepare_stft(mbr_step *s, dft_state *st, mbr_error *err)
{
    mbr_dft_args *a = &st->args;
    const mbr_value *x = s->in[0], *y = s->out[0];
    int64_t step, length;
    MBR_TRY(scalar(s, 1, &step, err));
    if (mbr_step_has(s, 3))
        MBR_TRY(scalar(s, 3, &length, err));
    else if (mbr_step_has(s, 2))
        length = (int64_t)mbr_value_count(s->in[2]);
    else
        return mbr_step_fail(s, err, MBR_ERR_MODEL, "neither a window nor a frame_length");
    if (length < 1 || length > INT32_MAX || step < 1 || length > x->dims[1])
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "frames of %lld samples, one every %lld", (long long)length,
                             (long long)step);
    if (mbr_step_has(s, 2) && (mbr_value_count(s->in[2]) != (size_t)length || !mbr_dtype_is_float(s->in[2]->dtype)))
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "the window has %zu samples, a frame %lld",
                             mbr_value_count(s->in[2]), (long long)length);
    if (x->rank == 3 && x->dims[2] != 1 && x->dims[2] != 2)
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "the last axis has %lld elements, not 1 or 2",
                             (long long)x->dims[2]);
    a->n = a->in_count = (size_t)length;
    a->bins = (size_t)y->dims[2];
    a->in_complex = x->rank == 3 && x->dims[2] == 2;
    a->out_complex = true;
    a->in_stride = a->out_stride = 1;
    a->window_dtype = mbr_step_has(s, 2) ? s->in[2]->dtype : MBR_DTYPE_F32;
    st->frames = (size_t)y->dims[1];
    st->step = (size_t)step;
    st->signal = (size_t)x->dims[1];
    st->lines = (size_t)x->dims[0] * st->frames;
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    dft_state *st = s->state;
    memset(st, 0, sizeof *st);
    st->args.dtype = s->in[0]->dtype;
    MBR_TRY(s->op->param == STFT ? prepare_stft(s, st, err) : prepare_dft(s, st, err));
    s->scratch = mbr_dft_scratch(st->args.n);
    if (s->scratch == 0)
        return mbr_no_memory(err, SIZE_MAX);
    st->per_tile = mbr_step_split(s, st->lines, (double)st->args.n * 60);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)err;
    const dft_state *st = s->state;
    mbr_dft_args a = st->args;
    size_t first = job->first * st->per_tile, last = job->last * st->per_tile, size = mbr_dtype_size(a.dtype);
    size_t in_parts = a.in_complex ? 2 : 1, out_parts = a.out_complex ? 2 : 1;
    const char *in = s->in[0]->data;
    char *out = s->out[0]->data;
    last = last < st->lines ? last : st->lines;
    a.window = s->op->param == STFT && mbr_step_has(s, 2) ? s->in[2]->data : NULL;
    if (first < last)
        mbr_dft_init(&a, job->scratch);
    for (size_t i = first; i < last; i++) {
        size_t from, to;
        if (s->op->param == STFT) {
            from = i / st->frames * st->signal + i % st->frames * st->step;
            to = i * a.bins;
        } else {
            from = i / st->inner * a.in_count * st->inner + i % st->inner;
            to = i / st->inner * a.bins * st->inner + i % st->inner;
        }
        mbr_dft(&a, job->scratch, in + from * in_parts * size, out + to * out_parts * size);
    }
    return MBR_OK;
}

#define ROW(op_name, version, least, most, content, what)                                                              \
    { .domain = "", .name = op_name, .since = version, .min_in = least, .max_in = most, .min_out = 1, .max_out = 1,    \
      .content_inputs = content, .infer = infer, .prepare = prepare, .run = run, .state_size = sizeof(dft_state),      \
      .param = what }

const mbr_op mbr_ops_dft[] = {
    ROW("DFT", 17, 1, 2, 1u << 1, DFT_17),
    ROW("DFT", 20, 1, 3, 1u << 1 | 1u << 2, DFT_20),
    ROW("STFT", 17, 2, 4, 1u << 1 | 1u << 3, STFT),
    { 0 },
};
