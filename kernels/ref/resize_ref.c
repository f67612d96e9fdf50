/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/resize.h"

#include <string.h>

/* Where an output row starts: source offset of the unchanged dims, and the output positions of the changed ones. */
static size_t locate(const mbr_resize_plan *p, size_t tile, size_t *at, size_t *in_stride)
{
    size_t base = 0, step = 1;
    int last = p->axes ? p->axis[p->axes - 1].axis : p->rank;
    for (int d = p->rank - 1; d >= 0; d--) {
        in_stride[d] = step;
        step *= p->in_dims[d];
    }
    int axis = p->axes - 2;
    for (int d = last - 1; d >= 0; d--) {
        size_t i = tile % p->out_dims[d];
        tile /= p->out_dims[d];
        if (axis >= 0 && p->axis[axis].axis == d)
            at[axis--] = i;
        else
            base += i * in_stride[d];
    }
    return base;
}

static double sample(const mbr_resize_plan *p, const float *in, const size_t *at, const size_t *in_stride, int axis)
{
    if (axis == p->axes)
        return (double)*in;
    const mbr_resize_axis *a = &p->axis[axis];
    const int32_t *index = a->index + at[axis] * (size_t)a->taps;
    const float *weight = a->weight + at[axis] * (size_t)a->taps;
    if (a->taps == 1)
        return sample(p, in + (size_t)index[0] * in_stride[a->axis], at, in_stride, axis + 1);
    double sum = 0.0;
    for (int k = 0; k < a->taps; k++)
        sum += (double)weight[k] * sample(p, in + (size_t)index[k] * in_stride[a->axis], at, in_stride, axis + 1);
    return sum;
}

static bool is_outside(const mbr_resize_plan *p, const size_t *at)
{
    for (int a = 0; a < p->axes; a++)
        if (p->axis[a].index[at[a] * (size_t)p->axis[a].taps] < 0)
            return true;
    return false;
}

void mbr_resize_ref(const mbr_resize_plan *p, const float *in, float *out, size_t first, size_t last)
{
    size_t at[MBR_KERNEL_RANK] = {0}, in_stride[MBR_KERNEL_RANK];
    for (size_t t = first; t < last; t++) {
        const float *base = in + locate(p, t, at, in_stride);
        float *dst = out + t * p->row * p->inner;
        for (size_t o = 0; o < p->row; o++) {
            if (p->axes)
                at[p->axes - 1] = o;
            bool outside = p->outside && is_outside(p, at);
            for (size_t i = 0; i < p->inner; i++)
                *dst++ = outside ? p->extrapolation : (float)sample(p, base + i, at, in_stride, 0);
        }
    }
}

void mbr_resize_nearest_any(const mbr_resize_plan *p, size_t size, const void *in, void *out, size_t first, size_t last)
{
    size_t at[MBR_KERNEL_RANK] = {0}, in_stride[MBR_KERNEL_RANK];
    size_t bytes = p->inner * size;
    for (size_t t = first; t < last; t++) {
        size_t base = locate(p, t, at, in_stride);
        char *dst = (char *)out + t * p->row * bytes;
        for (int a = 0; a < p->axes - 1; a++)
            base += (size_t)p->axis[a].index[at[a]] * in_stride[p->axis[a].axis];
        const char *src = (const char *)in + base * size;
        if (p->axes == 0) {
            memcpy(dst, src, bytes);
            continue;
        }
        const mbr_resize_axis *a = &p->axis[p->axes - 1];
        for (size_t o = 0; o < p->row; o++, dst += bytes)
            memcpy(dst, src + (size_t)a->index[o] * bytes, bytes);
    }
}
