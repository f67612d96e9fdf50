/* SPDX-License-Identifier: BSD-2-Clause */
/* The tables of a resize: where each output position takes its samples, and their weights. */
#include "kernels/resize.h"

#include "base/checked.h"

#include <math.h>
#include <string.h>

#define MAX_TAPS 4096

static bool axis_changes(const mbr_resize_desc *d, int a)
{
    return d->in_dims[a] != d->out_dims[a] || d->scale[a] != 1.0 ||
           (d->coord == MBR_RESIZE_TF_CROP && (d->roi_begin[a] != 0.0f || d->roi_end[a] != 1.0f));
}

/* The first tap relative to the sample left of the position, and how many there are; 0 when there are absurdly many. */
static int axis_taps(const mbr_resize_desc *d, int a, int *start)
{
    double scale = d->antialias && d->scale[a] < 1.0 ? d->scale[a] : 1.0;
    if (!(scale > 0.0))
        return 0;
    if (d->mode == MBR_RESIZE_NEAREST) {
        *start = 0;
        return 1;
    }
    int reach = d->mode == MBR_RESIZE_LINEAR ? 1 : 2;
    double from = floor(-reach / scale) + 1.0;
    if (from < -MAX_TAPS / 2)
        return 0;
    *start = (int)from;
    return 2 - 2 * *start;
}

size_t mbr_resize_table_size(const mbr_resize_desc *desc)
{
    size_t bytes = 8;
    for (int a = 0; a < desc->rank; a++) {
        int start;
        size_t n;
        int taps = axis_taps(desc, a, &start);
        if (!axis_changes(desc, a))
            continue;
        if (taps == 0 || desc->in_dims[a] > INT32_MAX)
            return 0;
        if (!mbr_mul_size(desc->out_dims[a], (size_t)taps * (sizeof(int32_t) + sizeof(float)), &n) ||
            !mbr_add_size(bytes, n, &bytes))
            return 0;
    }
    return bytes;
}

/* v / scale, where a scale of 0 stands for out / in exactly. */
static double back(double v, double in, double out, double scale)
{
    return scale == 0.0 ? v * in / out : v / scale;
}

static double source_position(const mbr_resize_desc *d, int a, size_t o, bool *outside)
{
    double in = (double)d->in_dims[a], scale = d->scale[a], out = scale * in, y = (double)o, x;
    if (fabs(out - (double)d->out_dims[a]) < 1e-6 * out) { /* the ratio of the sizes, but for a rounding */
        out = (double)d->out_dims[a];
        scale = 0.0;
    }
    *outside = false;
    switch (d->coord) {
    case MBR_RESIZE_ALIGN_CORNERS:
        return out == 1.0 ? 0.0 : y * (in - 1.0) / (out - 1.0);
    case MBR_RESIZE_ASYMMETRIC:
        return back(y, in, out, scale);
    case MBR_RESIZE_TF_HALF_PIXEL:
        return back(y + 0.5, in, out, scale);
    case MBR_RESIZE_PYTORCH_HALF_PIXEL:
        return out == 1.0 ? -0.5 : back(y + 0.5, in, out, scale) - 0.5;
    case MBR_RESIZE_HALF_PIXEL_SYMMETRIC:
        return in / 2.0 * (1.0 - (double)d->out_dims[a] / out) + back(y + 0.5, in, out, scale) - 0.5;
    case MBR_RESIZE_TF_CROP: {
        double begin = (double)d->roi_begin[a], end = (double)d->roi_end[a];
        x = out == 1.0 ? (end - begin) * (in - 1.0) / 2.0 : y * (end - begin) * (in - 1.0) / (out - 1.0);
        x += begin * (in - 1.0);
        *outside = !(x >= 0.0 && x <= in - 1.0);
        return x;
    }
    default:
        return back(y + 0.5, in, out, scale) - 0.5;
    }
}

/* For NEAREST: is the right one of the two neighbours taken? ratio in (0, 1]. */
static bool takes_right(mbr_resize_nearest nearest, double ratio, double scale)
{
    if (ratio == 1.0)
        return true;
    switch (nearest) {
    case MBR_RESIZE_CEIL_DOWN:
        return scale < 1.0;
    case MBR_RESIZE_ROUND_PREFER_FLOOR:
        return ratio > 0.5;
    case MBR_RESIZE_ROUND_PREFER_CEIL:
        return ratio >= 0.5;
    case MBR_RESIZE_FLOOR:
        return false;
    default:
        return true;
    }
}

static double cubic(double x, double a)
{
    x = fabs(x);
    if (x <= 1.0)
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
    return x < 2.0 ? ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a : 0.0;
}

static double tap_weight(const mbr_resize_desc *d, int a, double distance)
{
    if (d->antialias && d->scale[a] < 1.0)
        distance *= d->scale[a];
    if (d->mode == MBR_RESIZE_CUBIC)
        return cubic(distance, (double)d->cubic_a);
    double w = 1.0 - fabs(distance);
    return w > 0.0 ? w : 0.0;
}

static void fill_position(const mbr_resize_desc *d, int a, int taps, int start, double x, int32_t *index, float *weight)
{
    double limit = (double)d->in_dims[a] + (double)taps; /* far outside, all taps are the edge anyway */
    x = x < -limit ? -limit : x > 2.0 * limit ? 2.0 * limit : x;
    int64_t left = (int64_t)ceil(x) - 1, last = (int64_t)d->in_dims[a] - 1;
    double ratio = x - (double)left, sum = 0.0;
    if (d->mode == MBR_RESIZE_NEAREST) {
        int64_t at = left + takes_right(d->nearest, ratio, d->scale[a]);
        index[0] = (int32_t)(at < 0 ? 0 : at > last ? last : at);
        weight[0] = 1.0f;
        return;
    }
    for (int pass = 0; pass < 2; pass++)
        for (int k = 0; k < taps; k++) {
            int64_t at = left + start + k;
            bool out = at < 0 || at > last;
            double w = d->exclude_outside && out ? 0.0 : tap_weight(d, a, (double)(start + k) - ratio);
            if (pass == 0) {
                sum += w;
                continue;
            }
            index[k] = (int32_t)(at < 0 ? 0 : at > last ? last : at);
            weight[k] = (float)(d->antialias || d->exclude_outside ? w / sum : w);
        }
}

void mbr_resize_plan_init(mbr_resize_plan *plan, const mbr_resize_desc *desc, void *table)
{
    memset(plan, 0, sizeof *plan);
    plan->mode = desc->mode;
    plan->extrapolation = desc->extrapolation;
    plan->inner = plan->tiles = 1;
    char *place = table;
    bool merge = false;
    for (int a = 0; a < desc->rank; a++) {
        if (!axis_changes(desc, a)) {
            if (!merge) {
                plan->in_dims[plan->rank] = plan->out_dims[plan->rank] = 1;
                plan->rank++;
            }
            plan->in_dims[plan->rank - 1] *= desc->in_dims[a];
            plan->out_dims[plan->rank - 1] *= desc->out_dims[a];
            plan->inner *= desc->out_dims[a];
            merge = true;
            continue;
        }
        merge = false;
        plan->in_dims[plan->rank] = desc->in_dims[a];
        plan->out_dims[plan->rank] = desc->out_dims[a];
        plan->inner = 1;
        mbr_resize_axis *axis = &plan->axis[plan->axes++];
        int start = 0, taps = axis_taps(desc, a, &start);
        size_t n = desc->out_dims[a] * (size_t)taps;
        int32_t *index = (int32_t *)(void *)place;
        float *weight = (float *)(void *)(place + n * sizeof *index);
        place += n * (sizeof *index + sizeof *weight);
        *axis = (mbr_resize_axis){plan->rank++, taps, index, weight};
        for (size_t o = 0; o < desc->out_dims[a]; o++) {
            bool outside;
            double x = source_position(desc, a, o, &outside);
            fill_position(desc, a, taps, start, x, index + o * (size_t)taps, weight + o * (size_t)taps);
            if (outside)
                index[o * (size_t)taps] = -1;
            plan->outside |= outside;
        }
    }
    plan->row = plan->axes ? plan->out_dims[plan->axis[plan->axes - 1].axis] : 1;
    for (int d = 0; d < plan->rank; d++)
        plan->tiles *= plan->out_dims[d];
    plan->tiles = plan->tiles ? plan->tiles / (plan->row * plan->inner) : 0;
}
