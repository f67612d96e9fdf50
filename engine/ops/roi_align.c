/* SPDX-License-Identifier: BSD-2-Clause */
/* RoiAlign, and MaxRoiPool, its older form. */
#include "engine/ops/op.h"
#include "kernels/sample.h"

#include <string.h>

enum { ALIGN_10, ALIGN, MAX_POOL };

typedef struct roi_state {
    mbr_roi_align_args align;
    mbr_max_roi_pool_args pool;
    size_t all, per_tile;
} roi_state;

/* Height and width of the output. */
static bool read_size(const mbr_ir_node *n, int64_t *size)
{
    size_t count = 2;
    const int64_t *pooled = mbr_attr_ints(n, "pooled_shape", &count);
    size[0] = n->op->param == MAX_POOL ? (pooled && count == 2 ? pooled[0] : 0) : mbr_attr_int(n, "output_height", 1);
    size[1] = n->op->param == MAX_POOL ? (pooled && count == 2 ? pooled[1] : 0) : mbr_attr_int(n, "output_width", 1);
    return size[0] > 0 && size[1] > 0 && size[0] <= INT32_MAX && size[1] <= INT32_MAX;
}

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *x = &c->in[0], *rois = &c->in[1];
    int64_t size[2];
    if (x->dtype != MBR_DTYPE_UNDEFINED && !mbr_dtype_is_float(x->dtype))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "elements of type %s; floats are needed", mbr_dtype_name(x->dtype));
    if (!read_size(c->node, size))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "the output's height and width have to be positive");
    if ((x->rank >= 0 && x->rank != 4) || (rois->rank >= 0 && rois->rank != 2))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "an input of rank %d and regions of rank %d", x->rank, rois->rank);
    if (c->node->op->param != MAX_POOL && mbr_attr_int(c->node, "sampling_ratio", 0) < 0)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "sampling_ratio is %lld",
                              (long long)mbr_attr_int(c->node, "sampling_ratio", 0));
    mbr_dim dims[4] = { rois->rank == 2 ? rois->dims[0] : MBR_DIM_UNKNOWN, x->rank == 4 ? x->dims[1] : MBR_DIM_UNKNOWN,
                        size[0], size[1] };
    mbr_infer_out(c, 0, x->dtype, 4, dims);
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    roi_state *st = s->state;
    const mbr_value *x = s->in[0], *rois = s->in[1];
    bool max_pool = s->op->param == MAX_POOL;
    double scale = (double)mbr_attr_float(s->node, "spatial_scale", 1);
    size_t n = (size_t)rois->dims[0], channels = (size_t)x->dims[1];
    if (rois->dims[1] != (max_pool ? 5 : 4) || rois->dtype != x->dtype)
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "regions of %lld numbers of type %s", (long long)rois->dims[1],
                             mbr_dtype_name(rois->dtype));
    if (!max_pool && (s->in[2]->dtype != MBR_DTYPE_I64 || mbr_value_count(s->in[2]) != n))
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "batch_indices has to hold one i64 for each region");
    st->all = mbr_value_count(s->out[0]) ? n * channels : 0;
    if (st->all && mbr_value_count(x) == 0)
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "an empty image has nothing to pool");
    const mbr_value *y = s->out[0];
    size_t in[2] = { (size_t)x->dims[2], (size_t)x->dims[3] }, out[2] = { (size_t)y->dims[2], (size_t)y->dims[3] };
    if (max_pool) {
        st->pool = (mbr_max_roi_pool_args){
            .dtype = x->dtype, .rois = n, .channels = channels, .spatial_scale = scale
        };
        memcpy(st->pool.in_dims, in, sizeof in);
        memcpy(st->pool.out_dims, out, sizeof out);
    } else {
        const char *coord = mbr_attr_string(s->node, "coordinate_transformation_mode",
                                            s->op->param == ALIGN ? "half_pixel" : "output_half_pixel");
        const char *mode = mbr_attr_string(s->node, "mode", "avg");
        if (strcmp(mode, "avg") != 0 && strcmp(mode, "max") != 0)
            return mbr_step_fail(s, err, MBR_ERR_MODEL, "mode '%s'", mode);
        st->align = (mbr_roi_align_args){ .dtype = x->dtype, .rois = n, .channels = channels, .spatial_scale = scale,
                                          .sampling_ratio = mbr_attr_int(s->node, "sampling_ratio", 0),
                                          .half_pixel = strcmp(coord, "half_pixel") == 0,
                                          .max = strcmp(mode, "max") == 0 };
        memcpy(st->align.in_dims, in, sizeof in);
        memcpy(st->align.out_dims, out, sizeof out);
    }
    st->per_tile = mbr_step_split(s, st->all, (double)(out[0] * out[1]) * 100);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const roi_state *st = s->state;
    const mbr_value *x = s->in[0];
    size_t first = job->first * st->per_tile, last = job->last * st->per_tile;
    last = last < st->all ? last : st->all;
    for (size_t i = first; i < last; i++) {
        size_t r = i / (size_t)x->dims[1];
        double image = s->op->param == MAX_POOL ? mbr_value_real(s->in[1], 5 * r) : (double)mbr_value_int(s->in[2], r);
        if (!(image >= 0 && image < (double)x->dims[0]))
            return mbr_step_fail(s, err, MBR_ERR_RUN, "region %zu lies in image %g of %lld", r, image,
                                 (long long)x->dims[0]);
    }
    if (first >= last)
        return MBR_OK;
    if (s->op->param == MAX_POOL) {
        mbr_max_roi_pool_args a = st->pool;
        a.in = x->data;
        a.boxes = s->in[1]->data;
        a.out = s->out[0]->data;
        mbr_max_roi_pool(&a, first, last);
    } else {
        mbr_roi_align_args a = st->align;
        a.in = x->data;
        a.boxes = s->in[1]->data;
        a.batch = s->in[2]->data;
        a.out = s->out[0]->data;
        mbr_roi_align(&a, first, last);
    }
    return MBR_OK;
}

#define ROW(op_name, version, inputs, what)                                                                            \
    { .domain = "", .name = op_name, .since = version, .min_in = inputs, .max_in = inputs, .min_out = 1, .max_out = 1, \
      .infer = infer, .prepare = prepare, .run = run, .state_size = sizeof(roi_state), .param = what }

const mbr_op mbr_ops_roi_align[] = {
    ROW("RoiAlign", 10, 3, ALIGN_10),
    ROW("RoiAlign", 16, 3, ALIGN),
    ROW("MaxRoiPool", 1, 2, MAX_POOL),
    { 0 },
};
