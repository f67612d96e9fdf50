/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/norm_any.h"

#include "kernels/real.h"

#include <math.h>

void mbr_norm_any(const mbr_norm_any_args *a, size_t first_row, size_t last_row)
{
    size_t cols = 1;
    for (int i = a->axis; i < a->rank; i++)
        cols *= a->dims[i];
    for (size_t row = first_row; row < last_row; row++) {
        size_t base = row * cols, base2 = a->residual ? row % a->residual_rows * cols : 0;
#define SUM_AT(j)                                                                                                      \
    (mbr_real_get(a->dtype, a->in, base + (j)) + (a->residual ? mbr_real_get(a->dtype, a->residual, base2 + (j)) : 0) +\
     (a->add ? mbr_real_get(a->dtype, a->add, j) : 0))
        double mean = 0, square = 0;
        for (size_t j = 0; !a->rms && j < cols; j++)
            mean += SUM_AT(j);
        mean /= (double)cols;
        if (a->rms)
            mean = 0;
        for (size_t j = 0; j < cols; j++) {
            double d = SUM_AT(j) - mean;
            square += d * d;
        }
        double inv = 1 / sqrt(square / (double)cols + a->epsilon);
        /* the odometer over all dimensions, for the offsets of scale and bias */
        size_t at[MBR_KERNEL_RANK] = { 0 }, rest = row;
        ptrdiff_t scale_at = 0, bias_at = 0;
        for (int i = a->axis - 1; i >= 0; i--) {
            at[i] = rest % a->dims[i];
            rest /= a->dims[i];
            scale_at += (ptrdiff_t)at[i] * a->scale_strides[i];
            bias_at += (ptrdiff_t)at[i] * a->bias_strides[i];
        }
        for (size_t j = 0; j < cols; j++) {
            double s = SUM_AT(j), y = (s - mean) * inv;
            if (a->scale)
                y *= mbr_real_get(a->scale_dtype, a->scale, (size_t)scale_at);
            if (a->bias)
                y += mbr_real_get(a->scale_dtype, a->bias, (size_t)bias_at);
            if (a->sum_out)
                mbr_real_set(a->dtype, a->sum_out, base + j, s);
            if (a->out)
                mbr_real_set(a->dtype, a->out, base + j, y);
            for (int i = a->rank - 1; i >= a->axis; i--) {
                scale_at += a->scale_strides[i];
                bias_at += a->bias_strides[i];
                if (++at[i] < a->dims[i])
                    break;
                scale_at -= (ptrdiff_t)a->dims[i] * a->scale_strides[i];
                bias_at -= (ptrdiff_t)a->dims[i] * a->bias_strides[i];
                at[i] = 0;
            }
        }
#undef SUM_AT
        if (a->mean_out)
            mbr_real_set(a->stat_dtype, a->mean_out, row, mean);
        if (a->inv_std_out)
            mbr_real_set(a->stat_dtype, a->inv_std_out, row, inv);
    }
}

static void put(mbr_dtype t, void *to, size_t i, double x)
{
    if (to)
        mbr_real_set(t, to, i, x);
}

void mbr_batch_norm(const mbr_batch_norm_args *a, size_t first, size_t last)
{
    for (size_t c = first; c < last; c++) {
        double mean = mbr_real_get(a->stat_dtype, a->mean, c), var = mbr_real_get(a->stat_dtype, a->var, c);
        if (a->train) {
            double m = 0, v = 0, count = (double)a->n * (double)a->points;
            for (size_t i = 0; i < a->n; i++)
                for (size_t p = 0; p < a->points; p++)
                    m += mbr_real_get(a->dtype, a->in, (i * a->channels + c) * a->points + p);
            m /= count;
            for (size_t i = 0; i < a->n; i++)
                for (size_t p = 0; p < a->points; p++) {
                    double d = mbr_real_get(a->dtype, a->in, (i * a->channels + c) * a->points + p) - m;
                    v += d * d;
                }
            v /= count;
            put(a->stat_dtype, a->run_mean, c, mean * a->momentum + m * (1 - a->momentum));
            put(a->stat_dtype, a->run_var, c, var * a->momentum + v * (1 - a->momentum));
            put(a->stat_dtype, a->saved_mean, c, m);
            put(a->stat_dtype, a->saved_var, c, v);
            mean = m;
            var = v;
        }
        double scale = mbr_real_get(a->scale_dtype, a->scale, c) / sqrt(var + a->epsilon);
        double shift = mbr_real_get(a->scale_dtype, a->bias, c) - mean * scale;
        for (size_t i = 0; a->out && i < a->n; i++) {
            size_t base = (i * a->channels + c) * a->points;
            if (a->dtype == MBR_DTYPE_F32) {
                const float *x = (const float *)a->in + base;
                float *y = (float *)a->out + base, k = (float)scale, b = (float)shift;
                for (size_t p = 0; p < a->points; p++)
                    y[p] = x[p] * k + b;
            } else {
                for (size_t p = 0; p < a->points; p++)
                    mbr_real_set(a->dtype, a->out, base + p, mbr_real_get(a->dtype, a->in, base + p) * scale + shift);
            }
        }
    }
}

size_t mbr_mvn_tiles(const mbr_mvn_args *a)
{
    size_t n = 1;
    for (int i = 0; i < a->rank; i++)
        n *= a->over[i] ? 1 : a->dims[i];
    return n;
}

void mbr_mvn(const mbr_mvn_args *a, size_t first, size_t last)
{
    ptrdiff_t strides[MBR_KERNEL_RANK];
    mbr_dense_strides(a->rank, a->dims, strides);
    size_t count = 1;
    for (int i = 0; i < a->rank; i++)
        count *= a->over[i] ? a->dims[i] : 1;
    for (size_t tile = first; tile < last; tile++) {
        size_t base = 0, rest = tile;
        for (int i = a->rank - 1; i >= 0; i--)
            if (!a->over[i]) {
                base += rest % a->dims[i] * (size_t)strides[i];
                rest /= a->dims[i];
            }
        double mean = 0, var = 0;
        for (int pass = 0; pass < 3; pass++) {
            for (size_t k = 0; k < count; k++) {
                size_t at = base, left = k;
                for (int i = a->rank - 1; i >= 0; i--)
                    if (a->over[i]) {
                        at += left % a->dims[i] * (size_t)strides[i];
                        left /= a->dims[i];
                    }
                double x = mbr_real_get(a->dtype, a->in, at);
                if (pass == 0)
                    mean += x;
                else if (pass == 1)
                    var += (x - mean) * (x - mean);
                else
                    mbr_real_set(a->dtype, a->out, at, (x - mean) / (var + a->tiny));
            }
            if (pass == 0)
                mean /= (double)count;
            else if (pass == 1)
                var = sqrt(var / (double)count);
        }
    }
}

void mbr_lp_norm(const mbr_lp_norm_args *a, size_t first, size_t last)
{
    for (size_t line = first; line < last; line++) {
        size_t base = line / a->inner * a->axis * a->inner + line % a->inner;
        double sum = 0;
        for (size_t k = 0; k < a->axis; k++) {
            double x = mbr_real_get(a->dtype, a->in, base + k * a->inner);
            /* Squares overflow and vanish as those of the type do; what is summed is exact. */
            double square = a->dtype == MBR_DTYPE_F32 ? (double)(float)(x * x) : x * x;
            sum += a->p == 1 ? fabs(x) : square;
        }
        double norm = a->p == 1 ? sum : sqrt(sum);
        for (size_t k = 0; k < a->axis; k++) {
            double x = mbr_real_get(a->dtype, a->in, base + k * a->inner);
            mbr_real_set(a->dtype, a->out, base + k * a->inner, norm == 0 ? 0 : x / norm);
        }
    }
}

void mbr_lrn(const mbr_lrn_args *a, size_t first, size_t last)
{
    size_t before = (a->size - 1) / 2, after = a->size / 2;
    for (size_t plane = first; plane < last; plane++) {
        size_t c = plane % a->channels, lo = c > before ? c - before : 0, sample = plane - c;
        size_t hi = after < a->channels - c ? c + after : a->channels - 1;
        for (size_t p = 0; p < a->points; p++) {
            double sum = 0;
            for (size_t k = lo; k <= hi; k++) {
                double x = mbr_real_get(a->dtype, a->in, (sample + k) * a->points + p);
                sum += x * x;
            }
            double x = mbr_real_get(a->dtype, a->in, plane * a->points + p);
            double scale = a->bias + a->alpha / (double)a->size * sum;
            mbr_real_set(a->dtype, a->out, plane * a->points + p, x / pow(scale, a->beta));
        }
    }
}
