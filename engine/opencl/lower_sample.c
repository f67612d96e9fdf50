/* SPDX-License-Identifier: BSD-2-Clause */
/* GridSample and its kin, DeformConv, Einsum, TopK, Det: by the arguments that their operators have prepared for the CPU. */
#include "engine/opencl/lower_util.h"
#include "kernels/einsum.h"
#include "kernels/order.h"
#include "kernels/sample.h"

#include <stdio.h>

static bool whole(mbr_dtype t)
{
    return mbr_dtype_is_int(t) || t == MBR_DTYPE_BOOL;
}

/* more: a macro that gets the value, others may come before it. */
static void kernel(mbr_cl_lower *l, const char *name, mbr_dtype t, const char *more, int value)
{
    char options[96];
    snprintf(options, sizeof options, "-DT=%s -DC=%s -D%s=%d", mbr_cl_name(t),
             t == MBR_DTYPE_F64 ? "double" : whole(t) ? "long" : "float", more, value);
    mbr_cl_kernel(l, "sample", name, options);
}

static bool fits(const mbr_step *s)
{
    for (uint32_t i = 0; i < s->n_in; i++)
        if (s->in[i] && mbr_value_count(s->in[i]) > INT32_MAX)
            return false;
    return !s->out[0] || mbr_value_count(s->out[0]) <= INT32_MAX;
}

static mbr_status lower_grid(mbr_cl_lower *l)
{
    const mbr_step *s = l->step;
    const mbr_grid_sample_args *a = s->state;
    struct {
        cl_int dims[3], rank, channels, points, count, padding, align;
    } g = { .rank = a->rank, .channels = (cl_int)a->channels, .points = (cl_int)a->points, .count = (cl_int)a->n,
            .padding = (cl_int)a->padding, .align = a->align_corners };
    if (mbr_value_count(s->out[0]) == 0)
        return l->status;
    if (a->rank > 3 || !fits(s) || a->dtype == MBR_DTYPE_F64 || a->grid_dtype == MBR_DTYPE_F64 ||
        (whole(a->dtype) && a->mode != MBR_GRID_NEAREST))
        return mbr_cl_decline(l, "types or axes that its kernel does not have");
    for (int i = 0; i < a->rank; i++)
        g.dims[i] = (cl_int)a->dims[i];
    char grid[32];
    snprintf(grid, sizeof grid, "G=%s -DTAPS", mbr_cl_name(a->grid_dtype));
    kernel(l, "sample", a->dtype, grid, a->mode == MBR_GRID_NEAREST ? 1 : a->mode == MBR_GRID_LINEAR ? 2 : 4);
    mbr_cl_in(l, 0);
    mbr_cl_in(l, 1);
    mbr_cl_out(l, 0);
    mbr_cl_bytes(l, &g, sizeof g);
    mbr_cl_go_rows(l, a->points, a->channels, a->n);
    return l->status;
}

static mbr_status lower_affine(mbr_cl_lower *l)
{
    const mbr_affine_grid_args *a = l->step->state;
    size_t points = mbr_dims_count(a->rank, a->dims), n = (size_t)l->step->out[0]->dims[0];
    kernel(l, "affine", a->dtype, "AFFINE", 1);
    mbr_cl_in(l, 0);
    mbr_cl_out(l, 0);
    for (int i = 0; i < 3; i++)
        mbr_cl_int(l, i < a->rank ? (int64_t)a->dims[a->rank - 1 - i] : 1);
    mbr_cl_int(l, a->rank);
    mbr_cl_int(l, a->align_corners);
    mbr_cl_int(l, (int64_t)points);
    mbr_cl_int(l, (int64_t)n);
    mbr_cl_go_rows(l, points, n, 1);
    return l->status;
}

static mbr_status lower_roi(mbr_cl_lower *l)
{
    const mbr_step *s = l->step;
    const mbr_roi_align_args *a = s->state;
    struct {
        cl_int in[2], out[2], channels, ratio, half_pixel, images, count;
        cl_float scale;
    } g = { { (cl_int)a->in_dims[0], (cl_int)a->in_dims[1] }, { (cl_int)a->out_dims[0], (cl_int)a->out_dims[1] },
            (cl_int)a->channels, a->sampling_ratio > 4096 ? 4096 : (cl_int)a->sampling_ratio, a->half_pixel,
            (cl_int)s->in[0]->dims[0], (cl_int)a->rois, (cl_float)a->spatial_scale };
    if (mbr_value_count(s->out[0]) == 0)
        return l->status;
    if (!fits(s))
        return mbr_cl_decline(l, "it is too large");
    kernel(l, "roi_align", a->dtype, "ROI", 1 + a->max);
    for (uint32_t i = 0; i < 3; i++)
        mbr_cl_in(l, i);
    mbr_cl_out(l, 0);
    mbr_cl_flag(l);
    mbr_cl_bytes(l, &g, sizeof g);
    mbr_cl_go_rows(l, a->out_dims[0] * a->out_dims[1], a->channels, a->rois);
    return l->status;
}

static mbr_status lower_col2im(mbr_cl_lower *l)
{
    const mbr_step *s = l->step;
    const mbr_col2im_args *a = s->state;
    struct {
        cl_int image[6], block[6], blocks[6], stride[6], dilation[6], pad[6], rank, taps, all, points, planes;
    } g = { .rank = a->rank };
    if (mbr_value_count(s->out[0]) == 0)
        return l->status;
    if (a->rank > 6 || !fits(s))
        return mbr_cl_decline(l, "it is too large");
    for (int i = 0; i < a->rank; i++) {
        g.image[i] = (cl_int)a->image[i];
        g.block[i] = (cl_int)a->block[i];
        g.blocks[i] = (cl_int)a->blocks[i];
        g.stride[i] = (cl_int)a->stride[i];
        g.dilation[i] = (cl_int)a->dilation[i];
        g.pad[i] = (cl_int)a->pad[i];
    }
    g.taps = (cl_int)mbr_dims_count(a->rank, a->block);
    g.all = (cl_int)mbr_dims_count(a->rank, a->blocks);
    g.points = (cl_int)mbr_dims_count(a->rank, a->image);
    g.planes = (cl_int)(s->out[0]->dims[0] * s->out[0]->dims[1]);
    kernel(l, "col2im", a->dtype, "COL2IM", 1);
    mbr_cl_in(l, 0);
    mbr_cl_out(l, 0);
    mbr_cl_bytes(l, &g, sizeof g);
    mbr_cl_go_rows(l, (size_t)g.points, (size_t)g.planes, 1);
    return l->status;
}

#define LABELS 10
#define OPERANDS 4

static mbr_status lower_einsum(mbr_cl_lower *l)
{
    const mbr_step *s = l->step;
    const mbr_einsum_args *a = s->state;
    int labels = a->kept + a->summed;
    size_t count = mbr_value_count(s->out[0]), sums = mbr_dims_count(a->summed, a->dims + a->kept);
    struct {
        cl_int kept, labels, sums, count, dims[LABELS], strides[OPERANDS][LABELS];
    } g = { .kept = a->kept, .labels = labels, .sums = (cl_int)sums, .count = (cl_int)count };
    if (count == 0)
        return l->status;
    if (a->operands > OPERANDS || labels > LABELS || !fits(s) || sums > INT32_MAX)
        return mbr_cl_decline(l, "more operands or labels than its kernel takes");
    for (int d = 0; d < labels; d++)
        g.dims[d] = (cl_int)a->dims[d];
    cl_int *to = g.strides[0];
    for (int i = 0; i < a->operands; i++)
        for (int d = 0; d < LABELS; d++)
            to[i * LABELS + d] = d < labels ? (cl_int)a->strides[i][d] : 0;
    kernel(l, "sums", a->dtype, "EINSUM -DOPERANDS", a->operands);
    for (uint32_t i = 0; i < OPERANDS; i++)
        mbr_cl_in_or_none(l, i);
    mbr_cl_out(l, 0);
    mbr_cl_bytes(l, &g, sizeof g - (size_t)(OPERANDS - a->operands) * sizeof g.strides[0]);
    mbr_cl_go_flat(l, count);
    return l->status;
}

/* Every element looks at its whole line: lines are short, or few. */
static mbr_status lower_top(mbr_cl_lower *l)
{
    const mbr_step *s = l->step;
    const mbr_top_args *a = s->state;
    size_t lines = a->outer * a->inner;
    bool values = s->out[0] != NULL, index = mbr_step_wants(s, 1);
    if (lines == 0 || a->axis == 0 || a->k == 0)
        return l->status;
    if (!fits(s) || (a->axis > 1024 && (double)a->axis * (double)a->axis * (double)lines > 1e9))
        return mbr_cl_decline(l, "its lines are too long");
    kernel(l, "top", a->dtype, "TOP", a->smallest | values << 1 | index << 2);
    mbr_cl_in(l, 0);
    mbr_cl_out(l, values ? 0 : 1);
    mbr_cl_out(l, index);
    mbr_cl_int(l, (int64_t)a->axis);
    mbr_cl_int(l, (int64_t)a->inner);
    mbr_cl_int(l, (int64_t)lines);
    mbr_cl_int(l, (int64_t)a->k);
    mbr_cl_go_rows(l, a->axis, lines, 1);
    return l->status;
}

static mbr_status lower_det(mbr_cl_lower *l)
{
    const mbr_step *s = l->step;
    const mbr_value *x = s->in[0];
    size_t n = (size_t)x->dims[x->rank - 1], count = mbr_value_count(s->out[0]);
    if (n > 1024 || !fits(s))
        return mbr_cl_decline(l, "it is too large");
    if (count == 0)
        return l->status;
    kernel(l, "det", x->dtype, "DET", 1);
    mbr_cl_in(l, 0);
    mbr_cl_out(l, 0);
    mbr_cl_scratch(l, 0, mbr_value_count(x) * (x->dtype == MBR_DTYPE_F64 ? 8 : 4) + 8);
    mbr_cl_int(l, (int64_t)n);
    mbr_cl_int(l, (int64_t)count);
    mbr_cl_go_flat(l, count);
    return l->status;
}

static mbr_status lower_deform(mbr_cl_lower *l)
{
    const mbr_step *s = l->step;
    const mbr_deform_conv_args *a = s->state;
    struct {
        cl_int in[2], out[2], taps[2], stride[2], dilation[2], pad[2], in_channels, out_channels, groups, offset_groups;
        cl_int bias, mask;
    } g = { .in_channels = (cl_int)a->in_channels, .out_channels = (cl_int)a->out_channels, .groups = (cl_int)a->groups,
            .offset_groups = (cl_int)a->offset_groups, .bias = mbr_step_has(s, 3), .mask = mbr_step_has(s, 4) };
    if (mbr_value_count(s->out[0]) == 0)
        return l->status;
    if (!fits(s))
        return mbr_cl_decline(l, "it is too large");
    for (int i = 0; i < 2; i++) {
        g.in[i] = (cl_int)a->in_dims[i];
        g.out[i] = (cl_int)a->out_dims[i];
        g.taps[i] = (cl_int)a->kernel[i];
        g.stride[i] = (cl_int)a->stride[i];
        g.dilation[i] = (cl_int)a->dilation[i];
        g.pad[i] = (cl_int)a->pad[i];
    }
    kernel(l, "deform_conv", a->dtype, "DEFORM", 1);
    for (uint32_t i = 0; i < 5; i++)
        mbr_cl_in_or_none(l, i);
    mbr_cl_out(l, 0);
    mbr_cl_bytes(l, &g, sizeof g);
    mbr_cl_go_rows(l, a->out_dims[0] * a->out_dims[1], a->out_channels, a->n);
    return l->status;
}

const mbr_cl_op mbr_cl_ops_sample[] = {
    { "", "GridSample", mbr_cl_takes_numbers, lower_grid, 0 },
    { "", "AffineGrid", mbr_cl_takes_numbers, lower_affine, 0 },
    { "", "RoiAlign", mbr_cl_takes_numbers, lower_roi, 0 },
    { "", "Col2Im", mbr_cl_takes_numbers, lower_col2im, 0 },
    { "", "DeformConv", mbr_cl_takes_numbers, lower_deform, 0 },
    { "", "Det", mbr_cl_takes_numbers, lower_det, 0 },
    { "", "Einsum", mbr_cl_takes_numbers, lower_einsum, 0 },
    { "", "TopK", mbr_cl_takes_numbers, lower_top, 0 },
    { 0 },
};
