/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/ops/op.h"
#include "engine/ops/window.h"
#include "kernels/sample.h"

#include <string.h>

typedef struct deform_state {
    mbr_deform_conv_args args;
    size_t per_tile;
} deform_state;

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *x = &c->in[0], *w = &c->in[1];
    if (x->dtype != MBR_DTYPE_UNDEFINED && !mbr_dtype_is_float(x->dtype))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "elements of type %s; floats are needed", mbr_dtype_name(x->dtype));
    mbr_infer_out(c, 0, x->dtype, x->rank, NULL);
    if (x->rank < 0 || w->rank < 0)
        return MBR_OK;
    if (x->rank != 4 || w->rank != 4)
        return mbr_infer_fail(c, MBR_ERR_UNSUPPORTED, "an input of rank %d; images have rank 4", x->rank);
    mbr_dim dims[4] = { x->dims[0], w->dims[0], MBR_DIM_UNKNOWN, MBR_DIM_UNKNOWN };
    if (mbr_dim_is_const(w->dims[2]) && mbr_dim_is_const(w->dims[3])) {
        mbr_window window;
        MBR_TRY(mbr_window_read(c->node, 2, w->dims + 2, &window, c->err));
        for (int i = 0; i < 2; i++) {
            dims[2 + i] = mbr_window_out(c->dims, &window, i, x->dims[2 + i]);
            if (mbr_dim_is_const(dims[2 + i]) && dims[2 + i] < 0)
                return mbr_infer_fail(c, MBR_ERR_MODEL, "the window does not fit into spatial axis %d", i);
        }
    }
    mbr_infer_out(c, 0, x->dtype, 4, dims);
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    deform_state *st = s->state;
    mbr_deform_conv_args *a = &st->args;
    const mbr_value *x = s->in[0], *w = s->in[1], *y = s->out[0];
    mbr_window window;
    MBR_TRY(mbr_window_read(s->node, 2, w->dims + 2, &window, err));
    memset(a, 0, sizeof *a);
    int64_t groups = mbr_attr_int(s->node, "group", 1), offsets = mbr_attr_int(s->node, "offset_group", 1);
    if (groups < 1 || offsets < 1 || w->dims[0] % groups || x->dims[1] % offsets || x->dims[1] % groups ||
        w->dims[1] != x->dims[1] / groups)
        return mbr_step_fail(s, err, MBR_ERR_MODEL, "the groups do not divide the channels");
    a->dtype = x->dtype;
    a->n = (size_t)x->dims[0];
    a->in_channels = (size_t)x->dims[1];
    a->out_channels = (size_t)w->dims[0];
    a->groups = (size_t)groups;
    a->offset_groups = (size_t)offsets;
    for (int i = 0; i < 2; i++) {
        a->in_dims[i] = (size_t)x->dims[2 + i];
        a->out_dims[i] = (size_t)y->dims[2 + i];
        a->kernel[i] = (size_t)window.kernel[i];
        a->stride[i] = (size_t)window.stride[i];
        a->dilation[i] = (size_t)window.dilation[i];
        a->pad[i] = (ptrdiff_t)window.pad_begin[i];
    }
    size_t taps = a->kernel[0] * a->kernel[1], outs = a->out_dims[0] * a->out_dims[1];
    size_t offset = a->n * a->offset_groups * taps * outs;
    const size_t want[5] = { mbr_value_count(x), mbr_value_count(w), 2 * offset, a->out_channels, offset };
    for (uint32_t i = 1; i < 5; i++)
        if (mbr_step_has(s, i) && (mbr_value_count(s->in[i]) != want[i] || s->in[i]->dtype != x->dtype))
            return mbr_step_fail(s, err, MBR_ERR_INPUT, "input %u has %zu elements, %zu of type %s are needed", i,
                                 mbr_value_count(s->in[i]), want[i], mbr_dtype_name(x->dtype));
    st->per_tile = mbr_step_split(s, outs ? a->n * a->out_channels : 0,
                                  (double)(outs * taps * a->in_channels / a->groups) * 30);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)err;
    const deform_state *st = s->state;
    mbr_deform_conv_args a = st->args;
    size_t all = a.n * a.out_channels, last = job->last * st->per_tile;
    a.in = s->in[0]->data;
    a.weight = s->in[1]->data;
    a.offset = s->in[2]->data;
    a.bias = mbr_step_has(s, 3) ? s->in[3]->data : NULL;
    a.mask = mbr_step_has(s, 4) ? s->in[4]->data : NULL;
    a.out = s->out[0]->data;
    mbr_deform_conv(&a, job->first * st->per_tile, last < all ? last : all);
    return MBR_OK;
}

const mbr_op mbr_ops_deform_conv[] = {
    { .domain = "", .name = "DeformConv", .since = 19, .min_in = 3, .max_in = 5, .min_out = 1, .max_out = 1,
      .infer = infer, .prepare = prepare, .run = run, .state_size = sizeof(deform_state) },
    { 0 },
};
