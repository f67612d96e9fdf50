/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/peak.h"

#include "kernels/cpu.h"

#if MBR_ARCH_X86
#include <immintrin.h>
#elif MBR_ARCH_ARM
#include <arm_neon.h>
#endif

#if defined(__clang__)
#define UNROLL_CHAINS _Pragma("clang loop unroll(full)")
#else
#define UNROLL_CHAINS _Pragma("GCC unroll 12")
#endif

#define FMA(name, attribute, vec, set1, fma, first)                                                                    \
    attribute static float name(long n)                                                                                \
    {                                                                                                                  \
        vec a[MBR_PEAK_CHAINS], x = set1(0.999f), y = set1(1e-7f);                                                     \
        for (int i = 0; i < MBR_PEAK_CHAINS; i++)                                                                      \
            a[i] = set1(1e-9f * (float)i);                                                                             \
        for (long k = 0; k < n; k++)                                                                                   \
            UNROLL_CHAINS for (int i = 0; i < MBR_PEAK_CHAINS; i++) a[i] = fma(a[i], x, y);                            \
        float s = 0;                                                                                                   \
        for (int i = 0; i < MBR_PEAK_CHAINS; i++)                                                                      \
            s += first(a[i]);                                                                                          \
        return s;                                                                                                      \
    }

#define READ(name, attribute, vec, zero, load, add, first, lanes)                                                      \
    attribute static float name(const float *p, size_t n)                                                              \
    {                                                                                                                  \
        vec a = zero, b = zero;                                                                                        \
        for (size_t i = 0; i < n; i += 2 * (lanes)) {                                                                  \
            a = add(a, load(p + i));                                                                                   \
            b = add(b, load(p + i + (lanes)));                                                                         \
        }                                                                                                              \
        return first(add(a, b));                                                                                       \
    }

#if MBR_ARCH_X86
#define AVX2 __attribute__((target("avx2,fma")))
#define AVX512 __attribute__((target("avx512f")))
#define SSE_FMA(a, x, y) _mm_add_ps(_mm_mul_ps(a, x), y)
FMA(fma_base, , __m128, _mm_set1_ps, SSE_FMA, _mm_cvtss_f32)
READ(read_base, , __m128, _mm_setzero_ps(), _mm_load_ps, _mm_add_ps, _mm_cvtss_f32, 4)
#define BASE_LANES 4
#if MBR_WITH_AVX2
FMA(fma_avx2, AVX2, __m256, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_cvtss_f32)
READ(read_avx2, AVX2, __m256, _mm256_setzero_ps(), _mm256_load_ps, _mm256_add_ps, _mm256_cvtss_f32, 8)
#endif
#if MBR_WITH_AVX512
FMA(fma_avx512, AVX512, __m512, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_cvtss_f32)
#endif
#elif MBR_ARCH_ARM
#define NEON_FMA(a, x, y) vfmaq_f32(y, a, x)
#define NEON_FIRST(a) vgetq_lane_f32(a, 0)
FMA(fma_base, , float32x4_t, vdupq_n_f32, NEON_FMA, NEON_FIRST)
READ(read_base, , float32x4_t, vdupq_n_f32(0), vld1q_f32, vaddq_f32, NEON_FIRST, 4)
#define BASE_LANES 4
#else
#define PLAIN_SET(x) (x)
#define PLAIN_LOAD(p) (*(p))
#define PLAIN_ADD(a, b) ((a) + (b))
#define PLAIN_FMA(a, x, y) ((a) * (x) + (y))
FMA(fma_base, , float, PLAIN_SET, PLAIN_FMA, PLAIN_SET)
READ(read_base, , float, 0, PLAIN_LOAD, PLAIN_ADD, PLAIN_SET, 1)
#define BASE_LANES 1
#endif

static const struct {
    mbr_cpu_tier tier;
    mbr_peak peak;
} peaks[] = {
    { MBR_TIER_BASE, { "base", BASE_LANES, fma_base } },
#if MBR_ARCH_X86 && MBR_WITH_AVX2
    { MBR_TIER_AVX2, { "avx2", 8, fma_avx2 } },
#endif
#if MBR_ARCH_X86 && MBR_WITH_AVX512
    { MBR_TIER_AVX512, { "avx512", 16, fma_avx512 } },
#endif
};

int mbr_peak_at(int i, mbr_peak *peak)
{
    unsigned tiers = mbr_cpu_tiers();
    for (size_t k = 0; k < sizeof peaks / sizeof *peaks; k++)
        if ((tiers & MBR_TIER_BIT(peaks[k].tier)) && i-- == 0) {
            *peak = peaks[k].peak;
            return 1;
        }
    return 0;
}

void mbr_peak_best(mbr_peak *peak)
{
    for (int i = 0; mbr_peak_at(i, peak); i++)
        continue;
}

float mbr_peak_read(const void *data, size_t bytes)
{
#if MBR_ARCH_X86 && MBR_WITH_AVX2
    if (mbr_cpu_tiers() & MBR_TIER_BIT(MBR_TIER_AVX2))
        return read_avx2(data, bytes / sizeof(float));
#endif
    return read_base(data, bytes / sizeof(float));
}
