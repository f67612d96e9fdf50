/* SPDX-License-Identifier: BSD-2-Clause */
/* Rows of features on vectors. A file includes a vec_*.h, defines MBR_FEATURES_NAME and includes this. */
#include "kernels/features.h"
#include "kernels/simd/math.h"

#include <string.h>

static void linear_rows(const float *x, size_t rows, size_t columns, const float *w, size_t n, const float *bias,
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
            if (MBR_VL >= 8 && i < columns) {
                odd = vf_fma(vf_load_n(x + i, columns - i), vf_load_n(v + i, columns - i), odd);
                i = columns;
            }
            float sum = vf_sum(vf_add(even, odd));
            for (; i < columns; i++)
                sum += x[i] * v[i];
            *z++ = sum + (bias ? bias[k] : 0.0f);
        }
}

static void logistic_rows(float *x, size_t n)
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

static void normalize_rows(mbr_normalize norm, const float *x, size_t rows, size_t columns, float *y)
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
        if (columns < MBR_VL) {
            for (size_t i = 0; i < columns; i++)
                y[i] = x[i] / by;
            continue;
        }
        const vf all = vf_set1(by), last = vf_div(vf_load(x + columns - MBR_VL), all); /* before y covers it */
        for (size_t i = 0; i + MBR_VL < columns; i += MBR_VL)
            vf_store(y + i, vf_div(vf_load(x + i), all));
        vf_store(y + columns - MBR_VL, last);
    }
}

const mbr_features MBR_FEATURES_NAME = {linear_rows, logistic_rows, normalize_rows};
