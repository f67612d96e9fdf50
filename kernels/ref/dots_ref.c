/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/dots.h"

mbr_dots_fn mbr_dots_ref;

void mbr_dots_ref(const float *rows, size_t count, size_t width, const float *queries, size_t query_count, float *out)
{
    for (size_t q = 0; q < query_count; q++)
        for (size_t r = 0; r < count; r++) {
            double sum = 0;
            for (size_t i = 0; i < width; i++)
                sum += (double)queries[q * width + i] * (double)rows[r * width + i];
            out[q * count + r] = (float)sum;
        }
}
