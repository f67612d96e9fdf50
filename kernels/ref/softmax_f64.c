/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/softmax.h"

#include <math.h>

void mbr_softmax_f64_ref(const double *in, double *out, size_t n, size_t step, bool log_of)
{
    double max = -(double)INFINITY, sum = 0.0;
    for (size_t k = 0; k < n; k++)
        max = in[k * step] > max || isnan(in[k * step]) ? in[k * step] : max;
    for (size_t k = 0; k < n; k++)
        sum += exp(in[k * step] - max);
    double log_sum = log(sum);
    for (size_t k = 0; k < n; k++) {
        double x = in[k * step] - max;
        out[k * step] = log_of ? x - log_sum : exp(x) / sum;
    }
}
