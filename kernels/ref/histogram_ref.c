/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/histogram.h"

mbr_histogram_fn mbr_histogram_ref;

void mbr_histogram_ref(mbr_histogram_args *a)
{
    for (size_t i = 0; i < a->n; i++) {
        double x = a->x[i];
        uint64_t *counts = a->counts + i % MBR_HISTOGRAM_TABLES * (size_t)(a->bins + 3);
        if (isnan(x)) {
            counts[a->bins + 2]++;
            continue;
        }
        double at = (mbr_histogram_key(a->logarithmic, x) - a->lo) * a->scale + 1.0;
        counts[at < 1.0 ? 0 : at >= a->bins + 1 ? a->bins + 1 : (int)at]++;
        a->below += x < a->least;
        a->above += x > a->greatest;
        a->infinite += isinf(x) != 0;
        if (isinf(x))
            continue;
        double d = x - a->shift;
        a->sum[i % MBR_HISTOGRAM_LANES] += d;
        a->squares[i % MBR_HISTOGRAM_LANES] += d * d;
        a->smallest = x < a->smallest ? x : a->smallest;
        a->largest = x > a->largest ? x : a->largest;
    }
    a->smallest += 0.0;
    a->largest += 0.0;
}
