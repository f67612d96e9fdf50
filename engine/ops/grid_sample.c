/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/ops/op.h"
#include "kernels/sample.h"

#include <string.h>

typedef struct grid_state {
    mbr_grid_sample_args args;
    size_t per_tile;
} grid_state;

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *x = &c->in[0], *g = &c->in[1];
    if (x->dtype == MBR_DTYPE_STRING && strcmp(mbr_attr_string(c->node, "mode", "linear"), "nearest") != 0)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "texts cannot be interpolated; the mode must be nearest");
    if (g->dtype != MBR_DTYPE_UNDEFINED && !mbr_dtype_is_float(g->dtype))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "a grid of type %s; floats are needed", mbr_dtype_name(g->dtype));
    mbr_infer_out(c, 0, x->dtype, x->rank >= 0 ? x->rank : g->rank, NULL);
    if (x->rank < 0 || g->rank < 0)
        return MBR_OK;
    if (x->rank < 3 || x->rank != g->rank || x->rank - 2 > MBR_GRID_RANK)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "an input of rank %d and a grid of rank %d", x->rank, g->rank);
    if (mbr_dim_is_const(g->dims[g->rank - 1]) && g->dims[g->rank - 1] != x->rank - 2)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "a grid of %lld coordinates for %d spatial dimensions",
                              (long long)g->dims[g->rank - 1], x->rank - 2);
    mbr_dim dims[MBR_MAX_RANK] = { x->dims[0], x->dims[1] };
    for (int i = 2; i < x->rank; i++)
        dims[i] = g->dims[i - 1];
    mbr_infer_out(c, 0, x->dtype, x->rank, dims);
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    grid_state *st = s->state;
    mbr_grid_sample_args *a = &st->args;
    const mbr_value *x = s->in[0], *g = s->in[1];
    const char *mode = mbr_attr_string(s->node, "mode", "linear");
    const char *padding = mbr_attr_string(s->node, "padding_mode", "zeros");
    memset(a, 0, sizeof *a);
    if (strcmp(mode, "linear") == 0 || strcmp(mode, "bilinear") == 0)
        a->mode = MBR_GRID_LINEAR;
    else if (strcmp(mode, "cubic") == 0 || strcmp(mode, "bicubic") == 0)
        a->mode = MBR_GRID_CUBIC;
    else if (strcmp(mode, "nearest") == 0)
        a->mode = MBR_GRID_NEAREST;
    else
        return mbr_step_fail(s, err, MBR_ERR_MODEL, "mode '%s'", mode);
    if (strcmp(padding, "border") == 0)
        a->padding = MBR_GRID_BORDER;
    else if (strcmp(padding, "reflection") == 0)
        a->padding = MBR_GRID_REFLECTION;
    else if (strcmp(padding, "zeros") != 0)
        return mbr_step_fail(s, err, MBR_ERR_MODEL, "padding_mode '%s'", padding);
    a->align_corners = mbr_attr_int(s->node, "align_corners", 0) != 0;
    a->dtype = x->dtype == MBR_DTYPE_COMPLEX64 ? MBR_DTYPE_F32 : x->dtype == MBR_DTYPE_COMPLEX128 ? MBR_DTYPE_F64 : x->dtype;
    a->parts = a->dtype == x->dtype ? 1 : 2;
    a->bytes = mbr_dtype_size(x->dtype);
    a->grid_dtype = g->dtype;
    a->rank = x->rank - 2;
    a->n = (size_t)x->dims[0];
    a->channels = (size_t)x->dims[1];
    a->points = 1;
    double taps = 1;
    for (int i = 0; i < a->rank; i++) {
        a->dims[i] = (size_t)x->dims[2 + i];
        a->points *= (size_t)g->dims[1 + i];
        taps *= a->mode == MBR_GRID_NEAREST ? 1 : a->mode == MBR_GRID_LINEAR ? 2 : 4;
    }
    if (g->dims[0] != x->dims[0] || g->dims[g->rank - 1] != a->rank)
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "the grid does not fit the input");
    if (mbr_value_count(s->out[0]) && mbr_dims_count(a->rank, a->dims) == 0)
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "an empty image has nothing to sample");
    st->per_tile = mbr_step_split(s, mbr_value_count(s->out[0]) ? a->n * a->points : 0,
                                  20 + (double)a->channels * taps * 5);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)err;
    const grid_state *st = s->state;
    mbr_grid_sample_args a = st->args;
    size_t all = a.n * a.points, last = job->last * st->per_tile;
    a.in = s->in[0]->data;
    a.grid = s->in[1]->data;
    a.out = s->out[0]->data;
    if (job->first < job->last)
        mbr_grid_sample(&a, job->first * st->per_tile, last < all ? last : all);
    return MBR_OK;
}

const mbr_op mbr_ops_grid_sample[] = {
    { .domain = "", .name = "GridSample", .since = 16, .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
      .infer = infer, .prepare = prepare, .run = run, .state_size = sizeof(grid_state) },
    { 0 },
};
