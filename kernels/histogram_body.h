/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Counts into bins, stamped out for each instruction set as MBR_HISTOGRAM_NAME. Written in vectors of the compiler's own
 * rather than in the vocabulary of kernels/simd/, which has no doubles: four lanes, whatever the machine makes of them.
 * A block of values gets its places first, then the counts are raised one by one.
 */
#include "kernels/histogram.h"

#include <float.h>

typedef double histogram_f __attribute__((vector_size(32)));
typedef int64_t histogram_l __attribute__((vector_size(32)));
typedef uint64_t histogram_u __attribute__((vector_size(32)));
typedef int32_t histogram_i __attribute__((vector_size(16)));

#define HISTOGRAM_BLOCK 256

/* Where the mask is set a, else b. */
#define HISTOGRAM_PICK(mask, a, b) ((histogram_f)(((mask) & (histogram_l)(a)) | (~(mask) & (histogram_l)(b))))

mbr_histogram_fn MBR_HISTOGRAM_NAME;

void MBR_HISTOGRAM_NAME(mbr_histogram_args *args)
{
    mbr_histogram_args a = *args;
    const histogram_f zero = { 0.0, 0.0, 0.0, 0.0 };
    const histogram_f last = zero + (double)(a.bins + 1);
    histogram_f sum, squares, smallest = zero + a.smallest, largest = zero + a.largest;
    histogram_l below = { 0, 0, 0, 0 }, above = below, infinite = below;
    int32_t place[HISTOGRAM_BLOCK];
    uint64_t *odd = a.counts + (a.bins + 3);
    memcpy(&sum, a.sum, sizeof sum);
    memcpy(&squares, a.squares, sizeof squares);
    for (size_t i = 0; i < a.n; i += HISTOGRAM_BLOCK) {
        size_t n = a.n - i < HISTOGRAM_BLOCK ? a.n - i : HISTOGRAM_BLOCK;
        for (size_t k = 0; k < n; k += 4) {
            histogram_f x = zero + (double)NAN;
            if (n - k >= 4)
                memcpy(&x, a.x + i + k, sizeof x);
            else
                for (size_t t = 0; t < n - k; t++)
                    x[t] = a.x[i + k + t];
            histogram_l missing = x != x;
            histogram_f size = (histogram_f)((histogram_l)x & INT64_MAX);
            histogram_l huge = size > DBL_MAX, finite = ~(missing | huge);
            infinite -= huge;
            below -= x < zero + a.least;
            above -= x > zero + a.greatest;
            histogram_f d = (histogram_f)((histogram_l)(x - a.shift) & finite);
            sum += d;
            squares += d * d;
            smallest = HISTOGRAM_PICK(finite & (x < smallest), x, smallest);
            largest = HISTOGRAM_PICK(finite & (x > largest), x, largest);
            histogram_f key = x;
            if (a.logarithmic) {
                /* The key plus 2^31 becomes the low half of a double between 2^52 and 2^53: cheaper than a conversion. */
                histogram_l high = (histogram_l)((histogram_u)x >> 32);
                high ^= (((histogram_l)x < 0) & 0x7fffffff) ^ 0x80000000;
                key = (histogram_f)(high | 0x4330000000000000) - (0x1p52 + 0x1p31);
            }
            histogram_f at = (key - a.lo) * a.scale + 1.0;
            at = (histogram_f)((histogram_l)at & (at > zero));
            at = HISTOGRAM_PICK(at < last, at, last);
            at = HISTOGRAM_PICK(missing, last + 1.0, at);
            histogram_i where = __builtin_convertvector(at, histogram_i);
            memcpy(place + k, &where, sizeof where);
        }
        size_t k = 0;
        for (; k + 2 <= n; k += 2) {
            a.counts[place[k]]++;
            odd[place[k + 1]]++;
        }
        if (k < n)
            a.counts[place[k]]++;
    }
    for (int l = 0; l < MBR_HISTOGRAM_LANES; l++) {
        args->sum[l] = sum[l];
        args->squares[l] = squares[l];
        args->infinite += (uint64_t)infinite[l];
        args->below += (uint64_t)below[l];
        args->above += (uint64_t)above[l];
        args->smallest = smallest[l] < args->smallest ? smallest[l] : args->smallest;
        args->largest = largest[l] > args->largest ? largest[l] : args->largest;
    }
    args->smallest += 0.0;
    args->largest += 0.0;
}
