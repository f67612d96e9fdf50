/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Counting values into bins: a histogram, what is missing or infinite, what lies outside of a range, and the moments,
 * in one pass. Bins are equally wide, of the values or of their logarithm, so that a bin is found by a multiplication.
 */
#ifndef MBR_KERNELS_HISTOGRAM_H
#define MBR_KERNELS_HISTOGRAM_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MBR_HISTOGRAM_TABLES 2 /* counts that take turns, so that neighbours in one bin do not wait for each other */
#define MBR_HISTOGRAM_LANES 4  /* sums that take turns: value i goes to lane i % 4 of its call */

/* A place on the axis: the value itself or, in a logarithmic histogram, nearly 2^20 times the logarithm of base two:
 * the upper half of the double's bits, which rises with the value (exponent, then the mantissa in a straight line). */
static inline double mbr_histogram_key(bool logarithmic, double x)
{
    if (!logarithmic)
        return x;
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int32_t high = (int32_t)(uint32_t)(bits >> 32);
    return (double)(high ^ (high >> 31 & 0x7fffffff));
}

/* The value at a place; of a logarithmic axis the least one there. */
static inline double mbr_histogram_value(bool logarithmic, double key)
{
    if (!logarithmic)
        return key;
    int32_t high = (int32_t)ceil(key);
    uint64_t bits = (uint64_t)(uint32_t)(high ^ (high >> 31 & 0x7fffffff)) << 32;
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/*
 * counts has MBR_HISTOGRAM_TABLES tables of bins + 3: below the first bin, the bins, from the end of the last bin on,
 * missing (NaN). Infinities are counted in the outer ones too. A value is in bin 1 + floor((key - lo) * scale).
 */
typedef struct mbr_histogram_args {
    const double *x; /* (n) */
    size_t n;
    bool logarithmic;
    int bins;
    double lo, scale;
    double least, greatest; /* the range; a NaN is never outside of it */
    double shift;           /* taken off before sums, near the mean */
    uint64_t *counts;
    /* added to */
    uint64_t infinite, below, above;
    double sum[MBR_HISTOGRAM_LANES], squares[MBR_HISTOGRAM_LANES]; /* of finite values less the shift */
    double smallest, largest; /* finite ones, a zero without a sign; start with +-INFINITY */
} mbr_histogram_args;

typedef void mbr_histogram_fn(mbr_histogram_args *args);

/* The fastest for this machine. */
mbr_histogram_fn *mbr_histogram_best(void);

#endif
