/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MaxPool, AveragePool, LpPool; with channels last, (n, spatial..., c): mbr.MaxPool, mbr.AveragePool, NhwcMaxPool.
 */
#include "engine/ops/op.h"
#include "engine/ops/window.h"
#include "kernels/pool.h"

#include <string.h>

#define CHANNELS_LAST 256 /* in param, beside the mbr_pool_op */

typedef struct pool_state {
    mbr_pool_args args; /* first: engine/opencl/ reads it */
    mbr_window window;
    size_t per_tile;
} pool_state;

static bool is_channels_last(const mbr_op *op)
{
    return (op->param & CHANNELS_LAST) != 0;
}

static bool pool_has(int64_t op, mbr_dtype t)
{
    return mbr_dtype_is_float(t) || (op == MBR_POOL_MAX && (t == MBR_DTYPE_I8 || t == MBR_DTYPE_U8));
}

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *x = &c->in[0];
    int64_t op = c->node->op->param & 255;
    if (x->dtype != MBR_DTYPE_UNDEFINED && !pool_has(op, x->dtype))
        return mbr_infer_fail(c, MBR_ERR_UNSUPPORTED, "elements of type %s; floats are needed",
                              mbr_dtype_name(x->dtype));
    if (x->rank < 0) {
        mbr_infer_out(c, 0, x->dtype, -1, NULL);
        if (c->n_out > 1)
            mbr_infer_out(c, 1, MBR_DTYPE_I64, -1, NULL);
        return MBR_OK;
    }
    if (x->rank < 3 || x->rank > 5)
        return mbr_infer_fail(c, x->rank < 3 ? MBR_ERR_MODEL : MBR_ERR_UNSUPPORTED,
                              "an input of rank %d; 3 to 5 are possible", x->rank);
    mbr_window w;
    MBR_TRY(mbr_window_read(c->node, x->rank - 2, NULL, &w, c->err));
    mbr_dim dims[MBR_MAX_RANK];
    int first = is_channels_last(c->node->op) ? 1 : 2;
    memcpy(dims, x->dims, sizeof dims);
    for (int i = 0; i < w.rank; i++) {
        dims[first + i] = mbr_window_out(c->dims, &w, i, x->dims[first + i]);
        if (mbr_dim_is_const(dims[first + i]) && dims[first + i] < 0)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "a window of %lld does not fit into spatial axis %d",
                                  (long long)w.kernel[i], i);
    }
    mbr_infer_out(c, 0, x->dtype, x->rank, dims);
    if (c->n_out > 1)
        mbr_infer_out(c, 1, MBR_DTYPE_I64, x->rank, dims);
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    pool_state *st = s->state;
    mbr_pool_args *a = &st->args;
    const mbr_value *x = s->in[0], *y = s->out[0] ? s->out[0] : s->out[1];
    int spatial = x->rank - 2, first = is_channels_last(s->op) ? 1 : 2, lead = 3 - spatial;
    MBR_TRY(mbr_window_read(s->node, spatial, NULL, &st->window, err));
    mbr_window *w = &st->window;
    mbr_window_pads(w, x->dims + first, y->dims + first);
    memset(a, 0, sizeof *a);
    a->op = (mbr_pool_op)(s->op->param & 255);
    a->dtype = x->dtype;
    a->channels_last = is_channels_last(s->op);
    a->count_include_pad = mbr_attr_int(s->node, "count_include_pad", 0) != 0;
    a->column_major = mbr_attr_int(s->node, "storage_order", 0) != 0;
    a->n = (size_t)x->dims[0];
    a->channels = (size_t)x->dims[a->channels_last ? x->rank - 1 : 1];
    /* p is an integer; version 1 wrote it as a float */
    a->p = (int)mbr_attr_int(s->node, "p", (int64_t)mbr_attr_float(s->node, "p", 2.0f));
    if (a->op == MBR_POOL_LP && a->p < 1)
        return mbr_step_fail(s, err, MBR_ERR_MODEL, "attribute p is %d; 1 or more is needed", a->p);
    a->pass_nan = true; /* so does the reference, which has one code for these windows and another for all else */
    for (int i = 0; i < spatial; i++)
        a->pass_nan = a->pass_nan && w->stride[i] == 1 && w->dilation[i] == 1;
    double window = 1;
    for (int i = 0; i < lead; i++)
        a->in_dims[i] = a->out_dims[i] = a->kernel[i] = a->stride[i] = a->dilation[i] = 1;
    for (int i = 0; i < spatial; i++) {
        a->in_dims[lead + i] = (size_t)x->dims[first + i];
        a->out_dims[lead + i] = (size_t)y->dims[first + i];
        a->kernel[lead + i] = (size_t)w->kernel[i];
        a->stride[lead + i] = (size_t)w->stride[i];
        a->dilation[lead + i] = (size_t)w->dilation[i];
        a->pad_begin[lead + i] = (size_t)w->pad_begin[i];
        a->pad_end[lead + i] = (size_t)w->pad_end[i];
        window *= (double)w->kernel[i];
    }
    size_t tiles = mbr_value_count(y) ? mbr_pool_tiles(a) : 0;
    double each = tiles ? (double)mbr_value_count(y) / (double)tiles : 0;
    bool fast = a->channels_last && a->dtype == MBR_DTYPE_F32;
    st->per_tile = mbr_step_split(s, tiles, each * window * (fast ? 0.1 : 1.5));
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)err;
    const pool_state *st = s->state;
    mbr_pool_args a = st->args;
    if (mbr_value_count(s->out[0] ? s->out[0] : s->out[1]) == 0)
        return MBR_OK;
    size_t tiles = mbr_pool_tiles(&a), last = job->last * st->per_tile;
    a.in = s->in[0]->data;
    a.out = s->out[0] ? s->out[0]->data : NULL;
    a.indices = mbr_step_wants(s, 1) ? s->out[1]->data : NULL;
    mbr_pool_fn *fn = a.indices ? mbr_pool_ref : mbr_pool_select(mbr_cpu_tiers());
    fn(&a, job->first * st->per_tile, last < tiles ? last : tiles);
    return MBR_OK;
}

#define ROW(dom, op_name, version, outputs, what)                                                                      \
    { .domain = dom, .name = op_name, .since = version, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = outputs,    \
      .infer = infer, .prepare = prepare, .run = run, .state_size = sizeof(pool_state), .param = what }

/* Later versions added attributes and types, all read above: one row stands for them. */
const mbr_op mbr_ops_pools[] = {
    ROW("", "MaxPool", 1, 2, MBR_POOL_MAX),
    ROW("", "AveragePool", 1, 1, MBR_POOL_AVERAGE),
    ROW("", "LpPool", 1, 1, MBR_POOL_LP),
    ROW("com.microsoft", "NhwcMaxPool", 1, 1, MBR_POOL_MAX | CHANNELS_LAST),
    ROW("mbr", "MaxPool", 1, 1, MBR_POOL_MAX | CHANNELS_LAST),
    ROW("mbr", "AveragePool", 1, 1, MBR_POOL_AVERAGE | CHANNELS_LAST),
    { 0 },
};
