/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Scalar products on vectors. A file includes a vec_*.h, defines MBR_DOTS_NAME and includes this. Four queries meet two
 * rows, or one query four rows; each pair has one sum that takes its elements in the same order in either case.
 */
#include "kernels/dots.h"

static inline void dots_4x2(const float *r, size_t width, const float *q, float *out, size_t count)
{
    const float *r1 = r + width, *q1 = q + width, *q2 = q1 + width, *q3 = q2 + width;
    vf a0 = vf_zero(), a1 = vf_zero(), b0 = vf_zero(), b1 = vf_zero();
    vf c0 = vf_zero(), c1 = vf_zero(), d0 = vf_zero(), d1 = vf_zero();
    size_t i = 0;
    for (; i + MBR_VL <= width; i += MBR_VL) {
        vf x0 = vf_load(r + i), x1 = vf_load(r1 + i), y = vf_load(q + i);
        a0 = vf_fma(x0, y, a0);
        a1 = vf_fma(x1, y, a1);
        y = vf_load(q1 + i);
        b0 = vf_fma(x0, y, b0);
        b1 = vf_fma(x1, y, b1);
        y = vf_load(q2 + i);
        c0 = vf_fma(x0, y, c0);
        c1 = vf_fma(x1, y, c1);
        y = vf_load(q3 + i);
        d0 = vf_fma(x0, y, d0);
        d1 = vf_fma(x1, y, d1);
    }
    if (i < width) {
        size_t n = width - i;
        vf x0 = vf_load_n(r + i, n), x1 = vf_load_n(r1 + i, n), y = vf_load_n(q + i, n);
        a0 = vf_fma(x0, y, a0);
        a1 = vf_fma(x1, y, a1);
        y = vf_load_n(q1 + i, n);
        b0 = vf_fma(x0, y, b0);
        b1 = vf_fma(x1, y, b1);
        y = vf_load_n(q2 + i, n);
        c0 = vf_fma(x0, y, c0);
        c1 = vf_fma(x1, y, c1);
        y = vf_load_n(q3 + i, n);
        d0 = vf_fma(x0, y, d0);
        d1 = vf_fma(x1, y, d1);
    }
    out[0] = vf_sum(a0);
    out[1] = vf_sum(a1);
    out[count] = vf_sum(b0);
    out[count + 1] = vf_sum(b1);
    out[2 * count] = vf_sum(c0);
    out[2 * count + 1] = vf_sum(c1);
    out[3 * count] = vf_sum(d0);
    out[3 * count + 1] = vf_sum(d1);
}

static inline void dots_1x4(const float *r, size_t width, const float *q, float *out)
{
    const float *r1 = r + width, *r2 = r1 + width, *r3 = r2 + width;
    vf a = vf_zero(), b = vf_zero(), c = vf_zero(), d = vf_zero();
    size_t i = 0;
    for (; i + MBR_VL <= width; i += MBR_VL) {
        vf y = vf_load(q + i);
        a = vf_fma(vf_load(r + i), y, a);
        b = vf_fma(vf_load(r1 + i), y, b);
        c = vf_fma(vf_load(r2 + i), y, c);
        d = vf_fma(vf_load(r3 + i), y, d);
    }
    if (i < width) {
        size_t n = width - i;
        vf y = vf_load_n(q + i, n);
        a = vf_fma(vf_load_n(r + i, n), y, a);
        b = vf_fma(vf_load_n(r1 + i, n), y, b);
        c = vf_fma(vf_load_n(r2 + i, n), y, c);
        d = vf_fma(vf_load_n(r3 + i, n), y, d);
    }
    out[0] = vf_sum(a);
    out[1] = vf_sum(b);
    out[2] = vf_sum(c);
    out[3] = vf_sum(d);
}

static inline float dots_1x1(const float *r, size_t width, const float *q)
{
    vf a = vf_zero();
    size_t i = 0;
    for (; i + MBR_VL <= width; i += MBR_VL)
        a = vf_fma(vf_load(r + i), vf_load(q + i), a);
    if (i < width)
        a = vf_fma(vf_load_n(r + i, width - i), vf_load_n(q + i, width - i), a);
    return vf_sum(a);
}

mbr_dots_fn MBR_DOTS_NAME;

void MBR_DOTS_NAME(const float *rows, size_t count, size_t width, const float *queries, size_t query_count, float *out)
{
    size_t q = 0;
    for (; q + 4 <= query_count; q += 4) {
        size_t r = 0;
        for (; r + 2 <= count; r += 2)
            dots_4x2(rows + r * width, width, queries + q * width, out + q * count + r, count);
        for (size_t k = q; k < q + 4 && r < count; k++)
            out[k * count + r] = dots_1x1(rows + r * width, width, queries + k * width);
    }
    for (; q < query_count; q++) {
        size_t r = 0;
        for (; r + 4 <= count; r += 4)
            dots_1x4(rows + r * width, width, queries + q * width, out + q * count + r);
        for (; r < count; r++)
            out[q * count + r] = dots_1x1(rows + r * width, width, queries + q * width);
    }
}
