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

/* Gauss and Jordan: a becomes the identity, b, which was it, the inverse. */
static void invert(double *a, double *b, size_t n)
{
    for (size_t i = 0; i < n * n; i++)
        b[i] = i % (n + 1) == 0;
    for (size_t k = 0; k < n; k++) {
        size_t pivot = k;
        for (size_t i = k + 1; i < n; i++)
            if (fabs(a[i * n + k]) > fabs(a[pivot * n + k]))
                pivot = i;
        double scale = 1 / a[pivot * n + k];
        for (size_t j = 0; j < n; j++) {
            double x = a[pivot * n + j], y = b[pivot * n + j];
            a[pivot * n + j] = a[k * n + j];
            b[pivot * n + j] = b[k * n + j];
            a[k * n + j] = x * scale;
            b[k * n + j] = y * scale;
        }
        for (size_t i = 0; i < n; i++) {
            double f = a[i * n + k];
            for (size_t j = 0; j < n && i != k; j++) {
                a[i * n + j] -= f * a[k * n + j];
                b[i * n + j] -= f * b[k * n + j];
            }
        }
    }
}

void mbr_inverse(mbr_dtype dtype, size_t n, const void *in, void *out, double *room, size_t first, size_t last)
{
    for (size_t m = first; m < last; m++) {
        for (size_t i = 0; i < n * n; i++)
            room[i] = mbr_real_get(dtype, in, m * n * n + i);
        invert(room, room + n * n, n);
        for (size_t i = 0; i < n * n; i++)
            mbr_real_set(dtype, out, m * n * n + i, room[n * n + i]);
    }
}
