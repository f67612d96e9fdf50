/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a convolution is walked as a matrix product, whatever the element type and instruction set: which taps an output
 * point has (all, or transposed those of its phase), and which stretches of the input a row of the matrix consists of.
 */
#ifndef MBR_KERNELS_CONV_WALK_H
#define MBR_KERNELS_CONV_WALK_H

#include "kernels/conv.h"

#include "base/checked.h"

/* A stretch of k that is contiguous in x: `run` points in a row, `unit` elements each. */
typedef struct conv_segment {
    uint32_t at; /* first k, from the beginning of the block */
    uint32_t run, unit;
    ptrdiff_t offset;  /* elements from the point's first to the segment's */
    ptrdiff_t step[3]; /* from stride * (output point) to the first input point */
} conv_segment;

/* The taps of one dimension that reach the output points r, r + stride, ...: t0, t0 + dt, ... */
typedef struct conv_phase_taps {
    size_t first, every, count;
} conv_phase_taps;

/* One convolution of stride `scale`: the whole, or a phase. */
typedef struct conv_phase {
    conv_phase_taps taps[3];
    ptrdiff_t scale[3];
    size_t r[3];
    size_t k, k_before; /* steps, and those of the phases before it in a panel */
} conv_phase;

static inline size_t conv_phases(const mbr_conv_args *a)
{
    return a->transposed ? a->stride[0] * a->stride[1] * a->stride[2] : 1;
}

static inline conv_phase_taps conv_taps_of(const mbr_conv_args *a, int d, size_t r)
{
    conv_phase_taps taps = {0, 1, 0};
    size_t seen = 0;
    for (size_t t = 0; t < a->kernel[d]; t++)
        if (((ptrdiff_t)r + a->pad[d] - (ptrdiff_t)(t * a->dilation[d])) % (ptrdiff_t)a->stride[d] == 0) {
            if (seen == 0)
                taps.first = t;
            else if (seen == 1)
                taps.every = t - taps.first;
            seen++;
        }
    taps.count = seen;
    return taps;
}

static inline conv_phase conv_phase_of(const mbr_conv_args *a, size_t index)
{
    conv_phase p = {.k_before = 0};
    size_t cg = a->channels / a->groups;
    if (!a->transposed) {
        p.k = cg;
        for (int d = 0; d < 3; d++) {
            p.taps[d] = (conv_phase_taps){0, 1, a->kernel[d]};
            p.scale[d] = (ptrdiff_t)a->stride[d];
            p.k *= a->kernel[d];
        }
        return p;
    }
    for (size_t i = 0; i <= index; i++) {
        size_t rest = i;
        p.k_before += i ? p.k : 0;
        p.k = cg;
        for (int d = 2; d >= 0; d--) {
            p.r[d] = rest % a->stride[d];
            rest /= a->stride[d];
            p.taps[d] = conv_taps_of(a, d, p.r[d]);
            p.scale[d] = 1;
            p.k *= p.taps[d].count;
        }
    }
    return p;
}

/* The first input point that tap number i of dimension d reads, from the scaled output point. */
static inline ptrdiff_t conv_step(const mbr_conv_args *a, const conv_phase *p, int d, size_t i)
{
    size_t t = p->taps[d].first + i * p->taps[d].every;
    if (!a->transposed)
        return (ptrdiff_t)(t * a->dilation[d]) - a->pad[d];
    return ((ptrdiff_t)p->r[d] + a->pad[d] - (ptrdiff_t)(t * a->dilation[d])) / (ptrdiff_t)a->stride[d];
}

/* The segments of the steps k0 .. k0 + kc - 1, in order; at most kc. */
static inline size_t conv_segments(const mbr_conv_args *a, const conv_phase *p, size_t group, size_t k0, size_t kc,
                                   conv_segment *seg)
{
    size_t count = 0, cg = a->channels / a->groups, kw = p->taps[2].count, plane = a->in[0] * a->in[1] * a->in[2];
    size_t taps = p->taps[0].count * p->taps[1].count * kw;
    bool rows = !a->transposed && a->dilation[2] == 1 && (a->x_planes || (size_t)a->ldx == cg);
    for (size_t k = k0; k < k0 + kc;) {
        size_t left = k0 + kc - k, tap, c, unit, run = 1;
        if (a->x_planes) {
            tap = k % taps;
            c = k / taps;
            unit = 1;
            if (rows)
                run = mbr_min_size(kw - tap % kw, left);
        } else {
            tap = k / cg;
            c = k % cg;
            unit = mbr_min_size(cg - c, left);
            if (rows && unit == cg)
                run = mbr_min_size(kw - tap % kw, left / cg);
        }
        conv_segment *s = &seg[count++];
        s->at = (uint32_t)(k - k0);
        s->run = (uint32_t)run;
        s->unit = (uint32_t)unit;
        s->offset = (ptrdiff_t)(a->x_planes ? (group * cg + c) * plane : group * cg + c);
        s->step[0] = conv_step(a, p, 0, tap / (kw * p->taps[1].count));
        s->step[1] = conv_step(a, p, 1, tap / kw % p->taps[1].count);
        s->step[2] = conv_step(a, p, 2, tap % kw);
        k += run * unit;
    }
    return count;
}

/* Smallest i >= 0 with first + i * step >= least. */
static inline size_t conv_first_at(ptrdiff_t first, ptrdiff_t step, ptrdiff_t least)
{
    return first >= least ? 0 : (size_t)((least - first + step - 1) / step);
}

#endif
