/* SPDX-License-Identifier: BSD-2-Clause */
#define _POSIX_C_SOURCE 200809L

#include "bench/peak.h"

#include "kernels/peak.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STEPS 200000
#define TRIES 40

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static volatile float sink;

static void print_fma(const mbr_peak *peak)
{
    double best = 1e30;
    for (int i = 0; i < TRIES; i++) {
        double t = now();
        sink = peak->fma(STEPS);
        t = now() - t;
        best = t < best ? t : best;
    }
    printf("# f32 fused multiply-adds, %s, one core: %.1f GFLOP/s\n", peak->tier,
           (double)STEPS * MBR_PEAK_CHAINS * peak->lanes * 2 / best * 1e-9);
}

static void print_read(void)
{
    size_t bytes = (size_t)256 << 20;
    void *p = aligned_alloc(64, bytes);
    if (!p)
        return;
    memset(p, 1, bytes);
    double best = 1e30;
    for (int i = 0; i < 5; i++) {
        double t = now();
        sink = mbr_peak_read(p, bytes);
        t = now() - t;
        best = t < best ? t : best;
    }
    free(p);
    printf("# memory read, one core: %.1f GB/s\n", (double)bytes / best * 1e-9);
}

void bench_print_peaks(void)
{
    mbr_peak peak;
    for (int i = 0; mbr_peak_at(i, &peak); i++)
        if (i || !mbr_peak_at(1, &peak))
            print_fma(&peak);
    print_read();
}
