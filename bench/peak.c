/* SPDX-License-Identifier: BSD-2-Clause */
#define _POSIX_C_SOURCE 200809L

#include "bench/peak.h"

#include "kernels/cpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if MBR_ARCH_X86
#include <immintrin.h>
#elif MBR_ARCH_ARM
#include <arm_neon.h>
#endif

#define CHAINS 12 /* independent sums: hides the latency of a fused multiply-add on every core so far */
#if defined(__clang__)
#define UNROLL_CHAINS _Pragma("clang loop unroll(full)")
#else
#define UNROLL_CHAINS _Pragma("GCC unroll 12")
#endif
#define STEPS 200000
#define TRIES 40

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* A function that does STEPS * CHAINS fused multiply-adds on vectors; the sum is returned so that it cannot be dropped.
 */
#define PEAK(name, attribute, vec, set1, fma, first)                                                                   \
    attribute static float name(void)                                                                                  \
    {                                                                                                                  \
        vec a[CHAINS], x = set1(0.999f), y = set1(1e-7f);                                                              \
        for (int i = 0; i < CHAINS; i++)                                                                               \
            a[i] = set1(1e-9f * (float)i);                                                                             \
        for (long k = 0; k < STEPS; k++)                                                                               \
            UNROLL_CHAINS for (int i = 0; i < CHAINS; i++) a[i] = fma(a[i], x, y);                                     \
        float s = 0;                                                                                                   \
        for (int i = 0; i < CHAINS; i++)                                                                               \
            s += first(a[i]);                                                                                          \
        return s;                                                                                                      \
    }

#if MBR_ARCH_X86
PEAK(fma_avx2, __attribute__((target("avx2,fma"))), __m256, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_cvtss_f32)
PEAK(fma_avx512, __attribute__((target("avx512f"))), __m512, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_cvtss_f32)
#elif MBR_ARCH_ARM
#define NEON_FMA(a, x, y) vfmaq_f32(y, a, x)
#define NEON_FIRST(a) vgetq_lane_f32(a, 0)
PEAK(fma_neon, , float32x4_t, vdupq_n_f32, NEON_FMA, NEON_FIRST)
#endif

#if MBR_ARCH_X86 || MBR_ARCH_ARM
static volatile float sink;

static void print_fma(const char *tier, float (*fma)(void), int lanes)
{
    double best = 1e30;
    for (int i = 0; i < TRIES; i++) {
        double t = now();
        sink = fma();
        t = now() - t;
        best = t < best ? t : best;
    }
    printf("# f32 fused multiply-adds, %s, one core: %.1f GFLOP/s\n", tier,
           (double)STEPS * CHAINS * lanes * 2 / best * 1e-9);
}
#endif

static void print_read(void)
{
    size_t n = (size_t)256 << 17; /* 256 MiB */
    unsigned long long *p = malloc(n * sizeof *p), sum = 0;
    if (!p)
        return;
    memset(p, 1, n * sizeof *p);
    double best = 1e30;
    for (int i = 0; i < 5; i++) {
        double t = now();
        unsigned long long s[8] = {0};
        for (size_t k = 0; k < n; k += 8)
            for (int j = 0; j < 8; j++)
                s[j] += p[k + (size_t)j];
        t = now() - t;
        for (int j = 0; j < 8; j++)
            sum += s[j];
        best = t < best ? t : best;
    }
    volatile unsigned long long keep = sum;
    (void)keep;
    free(p);
    printf("# memory read, one core: %.1f GB/s\n", (double)n * sizeof *p / best * 1e-9);
}

void bench_print_peaks(void)
{
    unsigned tiers = mbr_cpu_tiers();
#if MBR_ARCH_X86
    if (tiers & MBR_TIER_BIT(MBR_TIER_AVX2))
        print_fma("avx2", fma_avx2, 8);
    if (tiers & MBR_TIER_BIT(MBR_TIER_AVX512))
        print_fma("avx512", fma_avx512, 16);
#elif MBR_ARCH_ARM
    if (tiers & MBR_TIER_BIT(MBR_TIER_NEON))
        print_fma("neon", fma_neon, 4);
#else
    (void)tiers;
#endif
    print_read();
}
