/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * LayerNormalization, RMSNormalization, and com.microsoft's variants that add a residual first. Inputs and outputs of
 * the family differ in place only; `forms` says where each one lies.
 */
#include "engine/ops/op.h"
#include "kernels/norm.h"
#include "kernels/norm_any.h"

#include <string.h>

enum { LAYER, RMS, SIMPLIFIED, SKIP_LAYER, SKIP_SIMPLIFIED };

/* Slots; 31: none. */
static const struct form {
    bool rms;
    uint8_t skip, scale, bias, add;
    uint8_t mean, inv_std, sum;
} forms[] = {
    [LAYER] = { false, 31, 1, 2, 31, 1, 2, 31 },
    [RMS] = { true, 31, 1, 31, 31, 31, 31, 31 },
    [SIMPLIFIED] = { true, 31, 1, 31, 31, 31, 1, 31 },
    [SKIP_LAYER] = { false, 1, 2, 3, 4, 1, 2, 3 },
    [SKIP_SIMPLIFIED] = { true, 1, 2, 31, 3, 1, 2, 3 },
};

typedef struct norm_state {
    mbr_norm_any_args any; /* first: engine/opencl reads it */
    bool fast;
    mbr_norm_args f32;
    size_t rows, per_tile;
} norm_state;

static bool is_skip(const mbr_op *op)
{
    return forms[op->param].skip != 31;
}

static mbr_status infer(mbr_infer *c)
{
    const struct form *f = &forms[c->node->op->param];
    const mbr_arg *x = &c->in[0];
    if (x->dtype != MBR_DTYPE_UNDEFINED && !mbr_dtype_is_float(x->dtype))
        return mbr_infer_fail(c, MBR_ERR_UNSUPPORTED, "elements of type %s; floats are needed",
                              mbr_dtype_name(x->dtype));
    /* RMSNormalization's output takes the type of its scale */
    mbr_dtype type = c->node->op->param == RMS ? c->in[1].dtype : x->dtype;
    mbr_infer_out(c, 0, type, x->rank, x->rank >= 0 ? x->dims : NULL);
    if (f->sum < c->n_out)
        mbr_infer_same(c, f->sum, 0);
    if (x->rank < 0) {
        if (f->mean < c->n_out)
            mbr_infer_out(c, f->mean, MBR_DTYPE_F32, -1, NULL);
        if (f->inv_std < c->n_out)
            mbr_infer_out(c, f->inv_std, MBR_DTYPE_F32, -1, NULL);
        return MBR_OK;
    }
    int axis;
    MBR_TRY(mbr_infer_axis(c, is_skip(c->node->op) ? -1 : mbr_attr_int(c->node, "axis", -1), x->rank, &axis));
    mbr_dim dims[MBR_MAX_RANK];
    for (int i = 0; i < x->rank; i++)
        dims[i] = i < axis ? x->dims[i] : 1;
    mbr_dtype stat = x->dtype == MBR_DTYPE_F64 && mbr_attr_int(c->node, "stash_type", 1) == MBR_DTYPE_F64 ?
                     MBR_DTYPE_F64 : MBR_DTYPE_F32;
    if (f->mean < c->n_out)
        mbr_infer_out(c, f->mean, stat, x->rank, dims);
    if (f->inv_std < c->n_out)
        mbr_infer_out(c, f->inv_std, stat, x->rank, dims);
    return MBR_OK;
}

/* Strides that broadcast v to the shape of x; false when it does not fit. */
static bool broadcast_strides(const mbr_value *x, const mbr_value *v, ptrdiff_t *strides)
{
    ptrdiff_t step = 1;
    if (v->rank > x->rank)
        return false;
    for (int i = x->rank - 1, j = v->rank - 1; i >= 0; i--, j--) {
        strides[i] = j >= 0 && v->dims[j] != 1 ? step : 0;
        if (j < 0)
            continue;
        if (v->dims[j] != 1 && v->dims[j] != x->dims[i])
            return false;
        step *= (ptrdiff_t)v->dims[j];
    }
    return true;
}

/* Does v, which broadcasts to x, hold one value for each column and the same for all rows? */
static bool covers_columns(const mbr_value *x, int axis, const mbr_value *v, size_t cols)
{
    for (int i = 0; i < v->rank - (x->rank - axis); i++)
        if (v->dims[i] != 1)
            return false;
    return mbr_value_count(v) == cols;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    const struct form *f = &forms[s->op->param];
    norm_state *st = s->state;
    const mbr_value *x = s->in[0];
    int64_t axis = is_skip(s->op) ? -1 : mbr_attr_int(s->node, "axis", -1);
    memset(st, 0, sizeof *st);
    if (axis < 0)
        axis += x->rank;
    mbr_norm_any_args *a = &st->any;
    a->dtype = x->dtype;
    a->rank = x->rank;
    a->axis = (int)axis;
    a->rms = f->rms;
    a->epsilon = mbr_attr_float(s->node, "epsilon", is_skip(s->op) ? 1e-12f : 1e-5f);
    size_t rows = 1, cols = 1;
    for (int i = 0; i < x->rank; i++) {
        a->dims[i] = (size_t)x->dims[i];
        *(i < axis ? &rows : &cols) *= a->dims[i];
    }
    bool fast = x->dtype == MBR_DTYPE_F32;
    const mbr_value *scale = mbr_step_has(s, f->scale) ? s->in[f->scale] : NULL;
    const mbr_value *bias = mbr_step_has(s, f->bias) ? s->in[f->bias] : NULL;
    if (scale) {
        a->scale_dtype = scale->dtype;
        if (!mbr_dtype_is_float(scale->dtype) || !broadcast_strides(x, scale, a->scale_strides))
            return mbr_step_fail(s, err, MBR_ERR_INPUT, "the scale does not broadcast to the input");
        fast &= covers_columns(x, a->axis, scale, cols) && scale->dtype == MBR_DTYPE_F32;
    }
    if (bias) {
        if ((scale && bias->dtype != scale->dtype) || !broadcast_strides(x, bias, a->bias_strides))
            return mbr_step_fail(s, err, MBR_ERR_INPUT, "the bias does not broadcast to the input");
        a->scale_dtype = bias->dtype;
        fast &= covers_columns(x, a->axis, bias, cols) && bias->dtype == MBR_DTYPE_F32;
    }
    if (mbr_step_has(s, f->skip)) {
        const mbr_value *skip = s->in[f->skip];
        size_t count = mbr_value_count(skip);
        if (skip->dtype != x->dtype || (cols && (count % cols || (count && rows % (count / cols)))) ||
            (count == 0 && mbr_value_count(x) != 0))
            return mbr_step_fail(s, err, MBR_ERR_INPUT, "the residual does not fit the input");
        a->residual_rows = cols ? count / cols : 1;
        fast &= a->residual_rows == rows;
    }
    if (mbr_step_has(s, f->add)) {
        if (s->in[f->add]->dtype != x->dtype || mbr_value_count(s->in[f->add]) != cols)
            return mbr_step_fail(s, err, MBR_ERR_INPUT, "the bias has %zu elements, not %zu",
                                 mbr_value_count(s->in[f->add]), cols);
        fast = false;
    }
    a->stat_dtype = mbr_step_wants(s, f->mean) ? s->out[f->mean]->dtype : mbr_step_wants(s, f->inv_std) ?
                    s->out[f->inv_std]->dtype : MBR_DTYPE_F32;
    fast &= a->stat_dtype == MBR_DTYPE_F32 && s->out[0] && s->out[0]->dtype == MBR_DTYPE_F32;
    if (s->out[0] && s->out[0]->dtype != x->dtype)
        return mbr_step_fail(s, err, MBR_ERR_UNSUPPORTED, "a scale of another type than the input");
    st->fast = fast;
    st->f32 = (mbr_norm_args){ .rows = rows, .cols = cols, .epsilon = (float)a->epsilon, .rms = f->rms };
    st->rows = cols ? rows : 0;
    st->per_tile = mbr_step_split(s, st->rows, (double)cols * (fast ? 0.3 : 12));
    return MBR_OK;
}

static const void *input(const mbr_step *s, uint8_t slot)
{
    return mbr_step_has(s, slot) ? s->in[slot]->data : NULL;
}

static void *output(const mbr_step *s, uint8_t slot)
{
    return mbr_step_wants(s, slot) ? s->out[slot]->data : NULL;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)err;
    const struct form *f = &forms[s->op->param];
    const norm_state *st = s->state;
    size_t first = job->first * st->per_tile, last = job->last * st->per_tile;
    last = last < st->rows ? last : st->rows;
    if (st->fast) {
        mbr_norm_args a = st->f32;
        a.in = s->in[0]->data;
        a.residual = input(s, f->skip);
        a.scale = input(s, f->scale);
        a.bias = input(s, f->bias);
        a.out = output(s, 0);
        a.sum_out = output(s, f->sum);
        a.mean_out = output(s, f->mean);
        a.inv_std_out = output(s, f->inv_std);
        mbr_norm_select(mbr_cpu_tiers()).rows(&a, first, last);
    } else {
        mbr_norm_any_args a = st->any;
        a.in = s->in[0]->data;
        a.residual = input(s, f->skip);
        a.add = input(s, f->add);
        a.scale = input(s, f->scale);
        a.bias = input(s, f->bias);
        a.out = output(s, 0);
        a.sum_out = output(s, f->sum);
        a.mean_out = output(s, f->mean);
        a.inv_std_out = output(s, f->inv_std);
        mbr_norm_any(&a, first, last);
    }
    return MBR_OK;
}

#define ROW(dom, op_name, version, least, most, outs, what)                                                            \
    { .domain = dom, .name = op_name, .since = version, .min_in = least, .max_in = most, .min_out = 1, .max_out = outs,\
      .infer = infer, .prepare = prepare, .run = run, .state_size = sizeof(norm_state), .param = what }

const mbr_op mbr_ops_layer_normalization[] = {
    ROW("", "LayerNormalization", 1, 2, 3, 3, LAYER), /* 17; written as version 1 by older exporters */
    ROW("", "RMSNormalization", 23, 2, 2, 1, RMS),
    ROW("", "SimplifiedLayerNormalization", 1, 2, 2, 2, SIMPLIFIED),
    ROW("com.microsoft", "SimplifiedLayerNormalization", 1, 2, 2, 2, SIMPLIFIED),
    ROW("com.microsoft", "SkipLayerNormalization", 1, 3, 5, 4, SKIP_LAYER),
    ROW("com.microsoft", "SkipSimplifiedLayerNormalization", 1, 3, 4, 4, SKIP_SIMPLIFIED),
    { 0 },
};
