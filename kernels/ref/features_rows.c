/* SPDX-License-Identifier: BSD-2-Clause */
/* Rows of features on vectors that every machine has: rows are short, and memory is the limit. */
#include "kernels/simd/vec_generic.h"

#include "kernels/features.h"
#include "kernels/simd/math.h"

#include <string.h>

void mbr_linear_rows_vec(const float *x, size_t rows, size_t columns, const float *w, size_t n, const float *bias,
                         float *z)
{
    for (size_t r = 0; r < rows; r++, x += columns)
        for (size_t k = 0; k < n; k++) {
            const float *v = w + k * columns;
            vf even = vf_zero(), odd = vf_zero();
            size_t i = 0;
            for (; i + 2 * MBR_VL <= columns; i += 2 * MBR_VL) {
                even = vf_fma(vf_load(x + i), vf_load(v + i), even);
                odd = vf_fma(vf_load(x + i + MBR_VL), vf_load(v + i + MBR_VL), odd);
            }
            if (i + MBR_VL <= columns) {
                even = vf_fma(vf_load(x + i), vf_load(v + i), even);
                i += MBR_VL;
            }
            float sum = vf_sum(vf_add(even, odd));
            for (; i < columns; i++)
                sum += x[i] * v[i];
            *z++ = sum + (bias ? bias[k] : 0.0f);
        }
}

void mbr_logistic_rows_vec(float *x, size_t n)
{
    const vf one = vf_set1(1.0f);
    size_t i = 0;
    for (; i + MBR_MANY * MBR_VL <= n; i += MBR_MANY * MBR_VL) {
        vf e[MBR_MANY];
        MBR_UNROLL(4)
        for (size_t k = 0; k < MBR_MANY; k++)
            e[k] = vf_neg(vf_load(x + i + k * MBR_VL));
        vf_exp_many(e, MBR_MANY);
        MBR_UNROLL(4)
        for (size_t k = 0; k < MBR_MANY; k++)
            vf_store(x + i + k * MBR_VL, vf_div(one, vf_add(one, e[k])));
    }
    for (; i < n; i += MBR_VL) {
        size_t left = n - i < MBR_VL ? n - i : MBR_VL;
        vf_store_n(x + i, vf_sigmoid(vf_load_n(x + i, left)), left);
    }
}

void mbr_cubes_vec(float *x, size_t n)
{
    size_t i = 0;
    for (; i + MBR_VL <= n; i += MBR_VL) {
        vf v = vf_load(x + i);
        vf_store(x + i, vf_mul(vf_mul(v, v), v));
    }
    for (; i < n; i++)
        x[i] = x[i] * x[i] * x[i];
}

void mbr_impute_f32_vec(const float *x, size_t rows, size_t columns, float missing, const float *with, bool each,
                        float *y)
{
    const bool nan = missing != missing;
    const vf gone = vf_set1(missing), one = vf_set1(with[0]);
    for (size_t r = 0; r < rows; r++, x += columns, y += columns) {
        size_t i = 0;
        for (; i + MBR_VL <= columns; i += MBR_VL) {
            vf v = vf_load(x + i);
            vm is = nan ? vf_ne(v, v) : vf_eq(v, gone);
            vf_store(y + i, vf_select(is, each ? vf_load(with + i) : one, v));
        }
        for (; i < columns; i++)
            y[i] = x[i] == missing || (nan && x[i] != x[i]) ? with[each ? i : 0] : x[i];
    }
}

/* The largest; of NaN as the reference: only one in front counts. */
static float largest(const float *x, size_t n)
{
    float most = x[0];
    if (n < MBR_VL) {
        for (size_t i = 1; i < n; i++)
            most = x[i] > most ? x[i] : most;
        return most;
    }
    vf all = vf_set1(most);
    for (size_t i = 0; i + MBR_VL <= n; i += MBR_VL)
        all = vf_max(vf_load(x + i), all);
    float lane[MBR_VL];
    vf_store(lane, vf_max(vf_load(x + n - MBR_VL), all)); /* some of it once more */
    for (size_t width = MBR_VL / 2; width; width /= 2)
        for (size_t k = 0; k < width; k++)
            lane[k] = lane[k + width] > lane[k] ? lane[k + width] : lane[k];
    return lane[0];
}

static float sum_of_sizes(const float *x, size_t n)
{
    vf even = vf_zero(), odd = even;
    size_t i = 0;
    for (; i + 2 * MBR_VL <= n; i += 2 * MBR_VL) {
        even = vf_add(even, vf_abs(vf_load(x + i)));
        odd = vf_add(odd, vf_abs(vf_load(x + i + MBR_VL)));
    }
    if (i + MBR_VL <= n) {
        even = vf_add(even, vf_abs(vf_load(x + i)));
        i += MBR_VL;
    }
    float sum = vf_sum(vf_add(even, odd));
    for (; i < n; i++)
        sum += x[i] < 0 ? -x[i] : x[i];
    return sum;
}

void mbr_normalize_vec(mbr_normalize norm, const float *x, size_t rows, size_t columns, float *y)
{
    for (size_t r = 0; columns && r < rows; r++, x += columns, y += columns) {
        if (norm == MBR_NORMALIZE_L2) {
            mbr_normalize_ref(norm, x, y, columns);
            continue;
        }
        float by = norm == MBR_NORMALIZE_MAX ? largest(x, columns) : sum_of_sizes(x, columns);
        if (by == 0) {
            memmove(y, x, columns * sizeof *y);
            continue;
        }
        const vf all = vf_set1(by);
        size_t i = 0;
        for (; i + MBR_VL <= columns; i += MBR_VL)
            vf_store(y + i, vf_div(vf_load(x + i), all));
        for (; i < columns; i++)
            y[i] = x[i] / by;
    }
}
