/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs the AVX-512 tier on a machine without it: compile the tree with -DMBR_TEST_SIMDE, the files of that tier with
 * AVX2 flags and -include tests/kernels/simde.h (SIMDe's headers, Debian's libsimde-dev, and the few instructions they
 * lack). Slow; for finding mistakes only.
 */
#ifndef MBR_TESTS_KERNELS_SIMDE_H
#define MBR_TESTS_KERNELS_SIMDE_H

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <simde/x86/f16c.h>
#include <simde/x86/fma.h>

#include <math.h>
#include <stdint.h>
#include <string.h>

typedef union emu {
    __m512 f;
    __m512i i;
    float f32[16];
    int32_t s32[16];
    uint32_t u32[16];
} emu;

#define EMU_EACH for (int i = 0; i < 16; i++)
#define EMU(result, name, ...) static inline result emu_##name(__VA_ARGS__)

EMU(__m512, loadu_ps, uint16_t m, const void *p)
{
    emu r = {0};
    EMU_EACH if (m >> i & 1) memcpy(&r.f32[i], (const float *)p + i, 4);
    return r.f;
}
EMU(__m512i, loadu_si, uint16_t m, const void *p)
{
    emu r = {0};
    EMU_EACH if (m >> i & 1) memcpy(&r.s32[i], (const int32_t *)p + i, 4);
    return r.i;
}
EMU(void, storeu_si, void *p, uint16_t m, __m512i v)
{
    emu r;
    r.i = v;
    EMU_EACH if (m >> i & 1) memcpy((int32_t *)p + i, &r.s32[i], 4);
}
EMU(void, storeu_ps, void *p, uint16_t m, __m512 v)
{
    emu r;
    r.f = v;
    EMU_EACH if (m >> i & 1) memcpy((float *)p + i, &r.f32[i], 4);
}
EMU(__m512, to_ps, __m512i a)
{
    emu r;
    r.i = a;
    EMU_EACH r.f32[i] = (float)r.s32[i];
    return r.f;
}
static inline int32_t emu_int(float x)
{
    return x >= -2147483648.0f && x < 2147483648.0f ? (int32_t)x : INT32_MIN;
}
EMU(__m512i, round, __m512 a)
{
    emu r;
    r.f = a;
    EMU_EACH r.s32[i] = emu_int(rintf(r.f32[i]));
    return r.i;
}
EMU(__m512i, trunc, __m512 a)
{
    emu r;
    r.f = a;
    EMU_EACH r.s32[i] = emu_int(r.f32[i]);
    return r.i;
}
EMU(__m512i, sar, __m512i a, int n)
{
    emu r;
    r.i = a;
    EMU_EACH r.s32[i] >>= n;
    return r.i;
}
EMU(__m512, gather, __m512i index, const float *p)
{
    emu r;
    r.i = index;
    EMU_EACH r.f32[i] = p[r.s32[i]];
    return r.f;
}
EMU(__m512d, gather_f64, __m256i index, const double *p)
{
    int32_t at[8];
    double v[8];
    memcpy(at, &index, sizeof at);
    for (int i = 0; i < 8; i++)
        v[i] = p[at[i]];
    return _mm512_loadu_pd(v);
}
#define EMU_WIDEN(name, vec, type)                                                                                     \
    EMU(__m512i, name, vec a)                                                                                          \
    {                                                                                                                  \
        type t[16];                                                                                                    \
        emu r;                                                                                                         \
        memcpy(t, &a, sizeof t);                                                                                       \
        EMU_EACH r.s32[i] = t[i];                                                                                      \
        return r.i;                                                                                                    \
    }
EMU_WIDEN(s8, __m128i, int8_t)
EMU_WIDEN(u8, __m128i, uint8_t)
EMU_WIDEN(u16, __m256i, uint16_t)
#define EMU_NARROW(name, vec, type)                                                                                    \
    EMU(vec, name, __m512i a)                                                                                          \
    {                                                                                                                  \
        type t[16];                                                                                                    \
        emu r;                                                                                                         \
        vec v;                                                                                                         \
        r.i = a;                                                                                                       \
        EMU_EACH t[i] = (type)r.s32[i];                                                                                \
        memcpy(&v, t, sizeof v);                                                                                       \
        return v;                                                                                                      \
    }
EMU_NARROW(to_8, __m128i, uint8_t)
EMU_NARROW(to_16, __m256i, uint16_t)
EMU(__m512, from_half, __m256i a)
{
    __m128i h[2];
    __m256 f[2];
    emu r;
    memcpy(h, &a, sizeof h);
    f[0] = _mm256_cvtph_ps(h[0]);
    f[1] = _mm256_cvtph_ps(h[1]);
    memcpy(&r, f, sizeof r);
    return r.f;
}
EMU(__m256i, to_half, __m512 a)
{
    __m256 f[2];
    __m128i h[2];
    __m256i r;
    memcpy(f, &a, sizeof f);
    h[0] = _mm256_cvtps_ph(f[0], 0);
    h[1] = _mm256_cvtps_ph(f[1], 0);
    memcpy(&r, h, sizeof r);
    return r;
}
EMU(__m256, upper, __m512 a)
{
    __m256 f[2];
    memcpy(f, &a, sizeof f);
    return f[1];
}

#undef _mm512_madd_epi16 /* an alias with the wrong number of parameters in some versions */
#define _mm512_madd_epi16(a, b) simde_mm512_madd_epi16(a, b)
#define _mm512_maskz_loadu_ps(m, p) emu_loadu_ps(m, p)
#define _mm512_maskz_loadu_epi32(m, p) emu_loadu_si(m, p)
#define _mm512_mask_storeu_ps(p, m, v) emu_storeu_ps(p, m, v)
#define _mm512_mask_storeu_epi32(p, m, v) emu_storeu_si(p, m, v)
#define _mm512_cvtepi32_ps(a) emu_to_ps(a)
#define _mm512_cvtps_epi32(a) emu_round(a)
#define _mm512_cvttps_epi32(a) emu_trunc(a)
#define _mm512_srai_epi32(a, n) emu_sar(a, n)
#define _mm512_i32gather_ps(i, p, s) emu_gather(i, p)
#define _mm512_i32gather_pd(i, p, s) emu_gather_f64(i, p)
#define _mm512_cvtepi8_epi32(a) emu_s8(a)
#define _mm512_cvtepu8_epi32(a) emu_u8(a)
#define _mm512_cvtepu16_epi32(a) emu_u16(a)
#define _mm512_cvtepi32_epi8(a) emu_to_8(a)
#define _mm512_cvtepi32_epi16(a) emu_to_16(a)
#define _mm512_cvtph_ps(a) emu_from_half(a)
#define _mm512_cvtps_ph(a, r) emu_to_half(a)
#define _mm512_extractf32x8_ps(a, n) emu_upper(a)

#endif
