/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Softmax on vectors. A file includes a vec_*.h, defines MBR_SOFTMAX_NAME, and MBR_SOFTMAX_SHORT where vf_sum adds halves
 * to each other, and includes this.
 *
 * NaN and infinities take care of themselves: whatever the maximum lets slip shows in an exponential, and so in the sum
 * that every element is divided by.
 */
#include "kernels/simd/math.h"
#include "kernels/softmax.h"

#include <math.h>

#ifdef MBR_SOFTMAX_SHORT
#define SOFTMAX_SHORT 8

/*
 * Short rows, a block of them side by side in vectors of columns: in vectors of their own they would leave most lanes
 * empty, and where out is in, each would wait for its neighbour to be stored. Sums are added as vf_sum adds them.
 */
static void softmax_short(const float *in, float *out, size_t n, size_t rows)
{
    _Alignas(64) float t[SOFTMAX_SHORT][MBR_VL] = {{0}};
    for (size_t r = 0; r < rows; r += MBR_VL, in += MBR_VL * n, out += MBR_VL * n) {
        size_t block = rows - r < MBR_VL ? rows - r : MBR_VL;
        for (size_t i = 0; i < block; i++)
            for (size_t k = 0; k < n; k++)
                t[k][i] = in[i * n + k];
        vf max = vf_set1(-INFINITY), e[SOFTMAX_SHORT];
        for (size_t k = 0; k < n; k++)
            max = vf_max(vf_load(t[k]), max);
        for (size_t k = 0; k < SOFTMAX_SHORT; k++)
            e[k] = vf_zero();
        for (size_t k = 0; k < n; k++) {
            e[k] = vf_sub(vf_load(t[k]), max);
            vf_exp_down_many(&e[k], 1);
            vf_store(t[k], e[k]);
        }
        for (size_t half = SOFTMAX_SHORT / 2; half; half /= 2)
            for (size_t k = 0; k < half; k++)
                e[k] = vf_add(e[k], e[k + half]);
        vf scale = vf_div(vf_set1(1.0f), e[0]);
        for (size_t k = 0; k < n; k++)
            vf_store(t[k], vf_mul(vf_load(t[k]), scale));
        for (size_t i = 0; i < block; i++)
            for (size_t k = 0; k < n; k++)
                out[i * n + k] = t[k][i];
    }
}

#endif

/* softmax_row for more than one vector and at most two, where its branches would cost more than its sums. */
MBR_INLINE void softmax_two(const float *in, float *out, size_t n)
{
    const size_t left = n - MBR_VL;
    const vm there = vm_first_n(left);
    vf e[2] = {vf_load(in), vf_select(there, vf_load_n(in + MBR_VL, left), vf_set1(-INFINITY))};
    const vf max = vf_set1(vf_hmax(vf_max(e[1], e[0])));
    e[0] = vf_sub(e[0], max);
    e[1] = vf_sub(e[1], max);
    vf_exp_down_many(e, 2);
    const vf scale = vf_set1(1.0f / vf_sum(vf_add(e[0], vf_select(there, e[1], vf_zero()))));
    vf_store(out, vf_mul(e[0], scale));
    if (left == MBR_VL)
        vf_store(out + MBR_VL, vf_mul(e[1], scale));
    else
        vf_store_parts(out + MBR_VL, vf_mul(e[1], scale), left);
}

/* One row of n dense elements. Which of them are added to which does not depend on n: what a mask adds behind a row
   changes no bit of its sum. */
static void softmax_row(const float *in, float *out, size_t n, bool log_of)
{
    size_t whole = n / MBR_VL * MBR_VL, left = n - whole;
    const vf least = vf_set1(-INFINITY);
    vf m0 = least, m1 = least;
    size_t i = 0;
    for (; i + 2 * MBR_VL <= whole; i += 2 * MBR_VL) {
        m0 = vf_max(vf_load(in + i), m0);
        m1 = vf_max(vf_load(in + i + MBR_VL), m1);
    }
    if (i < whole)
        m0 = vf_max(vf_load(in + i), m0);
    if (left)
        m1 = vf_select(vm_first_n(left), vf_max(vf_load_n(in + whole, left), m1), m1);
    const vf max = vf_set1(vf_hmax(vf_max(m0, m1)));

    vf s0 = vf_zero(), s1 = vf_zero(), tail = vf_zero();
    for (i = 0; i + 4 * MBR_VL <= whole; i += 4 * MBR_VL) {
        vf e[4];
        MBR_UNROLL(4)
        for (int v = 0; v < 4; v++)
            e[v] = vf_sub(vf_load(in + i + v * MBR_VL), max);
        vf_exp_down_many(e, 4);
        s0 = vf_add(vf_add(s0, e[0]), e[2]);
        s1 = vf_add(vf_add(s1, e[1]), e[3]);
        MBR_UNROLL(4)
        for (int v = 0; v < 4 && !log_of; v++)
            vf_store(out + i + v * MBR_VL, e[v]);
    }
    for (; i < n; i += MBR_VL) {
        size_t part = n - i < MBR_VL ? n - i : MBR_VL;
        vf e = vf_sub(vf_load_n(in + i, part), max);
        e = vf_select(vm_first_n(part), e, vf_set1(-INFINITY)); /* more than the maximum, it would be no number */
        vf_exp_down_many(&e, 1);
        if (i / MBR_VL % 2)
            s1 = vf_add(s1, e);
        else
            s0 = vf_add(s0, e);
        if (part < MBR_VL)
            tail = e;
        else if (!log_of)
            vf_store(out + i, e);
    }
    float sum = vf_sum(vf_add(s0, s1));
    if (log_of) {
        const vf shift = vf_set1(logf(sum));
        for (i = 0; i < whole; i += MBR_VL)
            vf_store(out + i, vf_sub(vf_sub(vf_load(in + i), max), shift));
        if (left)
            vf_store_n(out + whole, vf_sub(vf_sub(vf_load_n(in + whole, left), max), shift), left);
        return;
    }
    const vf scale = vf_set1(1.0f / sum);
    for (i = 0; i < whole; i += MBR_VL)
        vf_store(out + i, vf_mul(vf_load(out + i), scale));
    if (left)
        vf_store_parts(out + whole, vf_mul(tail, scale), left);
}

/* One vector of columns (the first n of it), `step` elements between the lines of the axis. */
MBR_INLINE void softmax_columns(const float *in, float *out, size_t axis, size_t step, size_t n, bool log_of)
{
    vf max = vf_set1(-INFINITY), sum = vf_zero();
    for (size_t k = 0; k < axis; k++)
        max = vf_max(vf_load_n(in + k * step, n), max);
    for (size_t k = 0; k < axis; k++) {
        vf e = vf_sub(vf_load_n(in + k * step, n), max);
        vf_exp_down_many(&e, 1);
        sum = vf_add(sum, e);
        if (!log_of)
            vf_store_n(out + k * step, e, n);
    }
    if (log_of) {
        vf shift = vf_log(sum);
        for (size_t k = 0; k < axis; k++)
            vf_store_n(out + k * step, vf_sub(vf_sub(vf_load_n(in + k * step, n), max), shift), n);
        return;
    }
    vf scale = vf_div(vf_set1(1.0f), sum);
    for (size_t k = 0; k < axis; k++)
        vf_store_n(out + k * step, vf_mul(vf_load_n(out + k * step, n), scale), n);
}

void MBR_SOFTMAX_NAME(const mbr_softmax_args *args, size_t first, size_t last)
{
    size_t axis = args->axis, inner = args->inner;
    if (inner == 1) {
#ifdef MBR_SOFTMAX_SHORT
        if (axis <= SOFTMAX_SHORT && !args->log) {
            softmax_short(args->in + first * axis, args->out + first * axis, axis, last - first);
            return;
        }
#endif
        if (axis > MBR_VL && axis <= 2 * MBR_VL && !args->log) {
            for (size_t r = first; r < last; r++)
                softmax_two(args->in + r * axis, args->out + r * axis, axis);
            return;
        }
        for (size_t r = first; r < last; r++)
            softmax_row(args->in + r * axis, args->out + r * axis, axis, args->log);
        return;
    }
    size_t strips = (inner + MBR_SOFTMAX_STRIP - 1) / MBR_SOFTMAX_STRIP;
    for (size_t t = first; t < last; t++) {
        size_t from = t % strips * MBR_SOFTMAX_STRIP, base = t / strips * axis * inner;
        size_t end = inner - from < MBR_SOFTMAX_STRIP ? inner : from + MBR_SOFTMAX_STRIP;
        for (size_t i = from; i < end; i += MBR_VL) {
            size_t n = end - i < MBR_VL ? end - i : MBR_VL;
            softmax_columns(args->in + base + i, args->out + base + i, axis, inner, n, args->log);
        }
    }
}
