/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What one core can do at most: bursts of fused multiply-adds in registers, and of reading memory. Whoever calls takes
 * the time. Any thread; nothing is allocated.
 */
#ifndef MBR_KERNELS_PEAK_H
#define MBR_KERNELS_PEAK_H

#include <stddef.h>

typedef struct mbr_peak {
    const char *tier;
    int lanes;             /* of f32 in a vector */
    float (*fma)(long n);  /* n rounds of MBR_PEAK_CHAINS vectors */
} mbr_peak;

#define MBR_PEAK_CHAINS 12 /* independent sums: hides the latency of a fused multiply-add on every core so far */

/* The i-th weakest of the tiers that this machine runs (mbr_cpu_tiers); false: there are no more. There is one. */
int mbr_peak_at(int i, mbr_peak *peak);
void mbr_peak_best(mbr_peak *peak);

/* Reads every byte; the sum only keeps the compiler from dropping it. data: 64-byte aligned, bytes: a multiple of 64. */
float mbr_peak_read(const void *data, size_t bytes);

#endif
