/* SPDX-License-Identifier: BSD-2-Clause */
/* On vectors that every machine has: memory is the limit. */
#include "kernels/simd/vec_generic.h"

#include "kernels/features.h"

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
