/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/post/post.h"

#include <math.h>

/* In the order of arithmetic of numpy.interp, which is what scikit-learn's prediction comes down to. */
double mbr_isotonic(const double *x, const double *y, size_t count, double value)
{
    if (isnan(value))
        return value;
    if (value <= x[0])
        return y[0];
    if (value >= x[count - 1])
        return y[count - 1];
    size_t low = 0, high = count - 1; /* x[low] <= value < x[high] */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (x[middle] <= value)
            low = middle;
        else
            high = middle;
    }
    if (x[low] == value)
        return y[low];
    double slope = (y[low + 1] - y[low]) / (x[low + 1] - x[low]);
    return slope * (value - x[low]) + y[low];
}

size_t mbr_best_k(const double *values, size_t count, size_t k, size_t *index)
{
    size_t found = 0;
    for (size_t i = 0; i < count && k; i++) {
        if (isnan(values[i]) || (found == k && !(values[i] > values[index[k - 1]])))
            continue;
        size_t at = found < k ? found++ : k - 1;
        for (; at && values[i] > values[index[at - 1]]; at--)
            index[at] = index[at - 1];
        index[at] = i;
    }
    return found;
}

int mbr_best_span(const double *start, const double *end, const unsigned char *allowed, size_t count, size_t longest,
                  size_t *from, size_t *to, double *score)
{
    int found = 0;
    for (size_t i = 0; i < count; i++) {
        if (isnan(start[i]) || (allowed && !allowed[i]))
            continue;
        for (size_t k = i; k < count && k - i < longest; k++) {
            double sum = start[i] + end[k];
            if (isnan(sum) || (allowed && !allowed[k]) || (found && !(sum > *score)))
                continue;
            *from = i;
            *to = k;
            *score = sum;
            found = 1;
        }
    }
    return found;
}
