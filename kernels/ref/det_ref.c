/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/det.h"

#include "kernels/real.h"

#include <math.h>

static double determinant(double *a, size_t n)
{
    double det = 1;
    for (size_t k = 0; k < n; k++) {
        size_t pivot = k;
        for (size_t i = k + 1; i < n; i++)
            if (fabs(a[i * n + k]) > fabs(a[pivot * n + k]))
                pivot = i;
        if (a[pivot * n + k] == 0)
            return 0;
        if (pivot != k) {
            for (size_t j = 0; j < n; j++) {
                double swap = a[k * n + j];
                a[k * n + j] = a[pivot * n + j];
                a[pivot * n + j] = swap;
            }
            det = -det;
        }
        det *= a[k * n + k];
        for (size_t i = k + 1; i < n; i++) {
            double f = a[i * n + k] / a[k * n + k];
            for (size_t j = k + 1; j < n; j++)
                a[i * n + j] -= f * a[k * n + j];
        }
    }
    return det;
}

void mbr_det(mbr_dtype dtype, size_t n, const void *in, void *out, double *room, size_t first, size_t last)
{
    for (size_t m = first; m < last; m++) {
        for (size_t i = 0; i < n * n; i++)
            room[i] = mbr_real_get(dtype, in, m * n * n + i);
        mbr_real_set(dtype, out, m, determinant(room, n));
    }
}
