/* SPDX-License-Identifier: BSD-2-Clause */
/* The index of the largest or smallest on vectors, f32. A file includes a vec_*.h, defines MBR_ARG_NAME, includes this. */
#include "kernels/reduce.h"
#include "kernels/simd/math_nn.h"

#include <math.h>

/* A dense row: the extreme value first, then where it stands. */
static int64_t arg_row(const float *x, size_t n, bool min, bool last)
{
    vf best = vf_set1(min ? INFINITY : -INFINITY);
    for (size_t i = 0; i < n; i += MBR_VL) {
        size_t part = n - i < MBR_VL ? n - i : MBR_VL;
        vf v = vf_load_n(x + i, part);
        v = min ? vf_min_nan(best, v) : vf_max_nan(best, v);
        best = part == MBR_VL ? v : vf_select(vm_first_n(part), v, best);
    }
    float lane[MBR_VL], value;
    vf_store(lane, best);
    value = lane[0];
    for (int k = 1; k < MBR_VL; k++)
        if (!isnan(value) && (isnan(lane[k]) || (min ? lane[k] < value : lane[k] > value)))
            value = lane[k];
    bool nan = isnan(value);
    for (size_t k = 0; k < n; k++) {
        size_t i = last ? n - 1 - k : k;
        if (x[i] == value || (nan && isnan(x[i])))
            return (int64_t)i;
    }
    return 0;
}

/* The first n columns of a vector, `step` elements between the lines of the axis (at most INT32_MAX of them). */
static void arg_columns(const float *x, int64_t *out, size_t axis, size_t step, size_t n, bool min, bool last)
{
    vf best = vf_load_n(x, n);
    vi at = vi_zero();
    for (size_t k = 1; k < axis; k++) {
        vf v = vf_load_n(x + k * step, n);
        vm nan = vf_is_nan(v), best_nan = vf_is_nan(best);
        vm better = vm_or(min ? vf_lt(v, best) : vf_gt(v, best), vm_and(nan, vm_not(best_nan)));
        if (last)
            better = vm_or(better, vm_or(vf_eq(v, best), vm_and(nan, best_nan)));
        best = vf_select(better, v, best);
        at = vi_select(better, vi_set1((int32_t)k), at);
    }
    int32_t index[MBR_VL];
    vi_store(index, at);
    for (size_t k = 0; k < n; k++)
        out[k] = index[k];
}

void MBR_ARG_NAME(const mbr_arg_args *a, size_t first, size_t last)
{
    if (a->dtype != MBR_DTYPE_F32 || a->axis > INT32_MAX) {
        mbr_arg_ref(a, first, last);
        return;
    }
    const float *in = a->in;
    if (a->inner == 1) {
        for (size_t t = first; t < last; t++)
            a->out[t] = arg_row(in + t * a->axis, a->axis, a->min, a->last);
        return;
    }
    for (size_t t = first; t < last;) {
        size_t row = t / a->inner, col = t % a->inner;
        size_t n = a->inner - col < MBR_VL ? a->inner - col : MBR_VL;
        n = n < last - t ? n : last - t;
        arg_columns(in + row * a->axis * a->inner + col, a->out + t, a->axis, a->inner, n, a->min, a->last);
        t += n;
    }
}
