/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The vector vocabulary, on the vector extensions of GCC and Clang, at any width: define MBR_VEC_BYTES (16, 32, 64)
 * before including, or get 16. One translation unit includes one vec_*.h; kernel bodies (gemm_body.h ...) are written
 * in these words and stamped out once per instruction set.
 *
 *   vf, vi, vm          vectors of MBR_VL floats, 32-bit integers, and a mask of as many lanes
 *   v?_load, _store     any alignment;  _load_n, _store_n: the first n lanes (0 to MBR_VL), other memory is not touched,
 *                       other lanes load as zero;  vf_load1: one element into all lanes;
 *                       vf_store_parts: _store_n, fewer than MBR_VL, where what follows is about to be loaded
 *   vf_fma(a,b,c)       a * b + c;  vf_fnma(a,b,c): c - a * b;  fused wherever the instruction set can
 *   vf_min, vf_max      a < b ? a : b, a > b ? a : b: the second operand when either is NaN
 *   vf_round            to nearest even;  vf_to_vi: the same, to integers;  vf_trunc_to_vi: towards zero. Out of range: any value
 *   vf_lt, le, eq, ne, gt, ge, vi_eq, vi_gt -> vm;  false on NaN but for ne
 *   vf_select(m, a, b)  a where m is on
 *   vi_shl, shr, sar    by a constant: left, right with zeros, right with the sign
 *   vi_load_u8 ...      widening loads of MBR_VL elements, and saturating stores; vi_store_low16: values of 0 to 65535
 *   vf_load_f16 ...     half and bfloat16 to float and back, to nearest even
 *   vf_gather(p, i)     p[i] lane by lane;  vi_gather_add_f64(p, q, i): p[lane] += q[i] in f64
 *   vf_sum, vf_hmax, vf_hmin, vi_sum: over the lanes
 *   and those of vec_common.h
 */
#ifndef MBR_KERNELS_SIMD_VEC_H
#define MBR_KERNELS_SIMD_VEC_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifndef MBR_VEC_BYTES
#define MBR_VEC_BYTES 16
#endif
#define MBR_VL (MBR_VEC_BYTES / 4)
#define MBR_VEC_NAME "generic"
#define MBR_VEC_REGS 16

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wpsabi" /* vectors wider than the registers are passed in memory; all is inlined */
#endif

typedef float vf __attribute__((vector_size(MBR_VEC_BYTES)));
typedef int32_t vi __attribute__((vector_size(MBR_VEC_BYTES)));
typedef vi vm;
typedef uint32_t vec_u __attribute__((vector_size(MBR_VEC_BYTES)));

static inline vi vi_set1(int32_t x)
{
    return (vi){0} + x;
}
static inline vm vm_first_n(size_t n)
{
    vm m = {0};
    for (size_t i = 0; i < MBR_VL; i++)
        m[i] = i < n ? -1 : 0;
    return m;
}

static inline vf vf_load(const float *p)
{
    vf v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline void vf_store(float *p, vf v)
{
    memcpy(p, &v, sizeof v);
}
static inline vf vf_load_n(const float *p, size_t n)
{
    vf v = {0};
    memcpy(&v, p, n * sizeof *p);
    return v;
}
static inline void vf_store_n(float *p, vf v, size_t n)
{
    memcpy(p, &v, n * sizeof *p);
}
static inline vf vf_set1(float x)
{
    vf v = {0};
    for (int i = 0; i < MBR_VL; i++)
        v[i] = x;
    return v;
}
static inline vf vf_load1(const float *p)
{
    return vf_set1(*p);
}
static inline vf vf_zero(void)
{
    return (vf){0};
}
static inline vf vf_add(vf a, vf b)
{
    return a + b;
}
static inline vf vf_sub(vf a, vf b)
{
    return a - b;
}
static inline vf vf_mul(vf a, vf b)
{
    return a * b;
}
static inline vf vf_div(vf a, vf b)
{
    return a / b;
}
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
static inline vf vf_fma(vf a, vf b, vf c)
{
    vf r = {0};
    for (int i = 0; i < MBR_VL; i++)
        r[i] = __builtin_fmaf(a[i], b[i], c[i]);
    return r;
}
static inline vf vf_fnma(vf a, vf b, vf c)
{
    vf r = {0};
    for (int i = 0; i < MBR_VL; i++)
        r[i] = __builtin_fmaf(-a[i], b[i], c[i]);
    return r;
}
#else
static inline vf vf_fma(vf a, vf b, vf c)
{
    return a * b + c;
}
static inline vf vf_fnma(vf a, vf b, vf c)
{
    return c - a * b;
}
#endif
static inline vi vf_as_vi(vf a)
{
    return (vi)a;
}
static inline vf vi_as_vf(vi a)
{
    return (vf)a;
}
static inline vf vf_and(vf a, vf b)
{
    return (vf)((vi)a & (vi)b);
}
static inline vf vf_or(vf a, vf b)
{
    return (vf)((vi)a | (vi)b);
}
static inline vf vf_xor(vf a, vf b)
{
    return (vf)((vi)a ^ (vi)b);
}
static inline vm vf_lt(vf a, vf b)
{
    return a < b;
}
static inline vm vf_le(vf a, vf b)
{
    return a <= b;
}
static inline vm vf_eq(vf a, vf b)
{
    return a == b;
}
static inline vm vf_ne(vf a, vf b)
{
    return a != b;
}
static inline vm vm_and(vm a, vm b)
{
    return a & b;
}
static inline vm vm_or(vm a, vm b)
{
    return a | b;
}
static inline vm vm_not(vm a)
{
    return ~a;
}
static inline int vm_any(vm a)
{
    int32_t any = 0;
    for (int i = 0; i < MBR_VL; i++)
        any |= a[i];
    return any != 0;
}
static inline int vm_all(vm a)
{
    int32_t all = -1;
    for (int i = 0; i < MBR_VL; i++)
        all &= a[i];
    return all != 0;
}
static inline vf vf_select(vm m, vf a, vf b)
{
    return (vf)((m & (vi)a) | (~m & (vi)b));
}
static inline vi vi_select(vm m, vi a, vi b)
{
    return (m & a) | (~m & b);
}
static inline vf vf_min(vf a, vf b)
{
    return vf_select(a < b, a, b);
}
static inline vf vf_max(vf a, vf b)
{
    return vf_select(a > b, a, b);
}

#define MBR_VEC_LANES(name, call)                                                                                      \
    static inline vf name(vf a)                                                                                        \
    {                                                                                                                  \
        vf r = a;                                                                                                      \
        for (int i = 0; i < MBR_VL; i++)                                                                               \
            r[i] = call(a[i]);                                                                                         \
        return r;                                                                                                      \
    }
MBR_VEC_LANES(vf_sqrt, sqrtf)
MBR_VEC_LANES(vf_round, rintf)
MBR_VEC_LANES(vf_floor, floorf)
MBR_VEC_LANES(vf_ceil, ceilf)
MBR_VEC_LANES(vf_trunc, truncf)
#undef MBR_VEC_LANES

/* A float that no int32_t can hold becomes INT32_MIN here, as on x86: the conversion itself would be undefined. */
static inline int32_t vec_int(float x)
{
    return x >= -2147483648.0f && x < 2147483648.0f ? (int32_t)x : INT32_MIN;
}
static inline vi vf_to_vi(vf a)
{
    vi r = {0};
    for (int i = 0; i < MBR_VL; i++)
        r[i] = vec_int(rintf(a[i]));
    return r;
}
static inline vi vf_trunc_to_vi(vf a)
{
    vi r = {0};
    for (int i = 0; i < MBR_VL; i++)
        r[i] = vec_int(a[i]);
    return r;
}
static inline vf vi_to_vf(vi a)
{
    return __builtin_convertvector(a, vf);
}

static inline vi vi_load(const int32_t *p)
{
    vi v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline void vi_store(int32_t *p, vi v)
{
    memcpy(p, &v, sizeof v);
}
static inline vi vi_load_n(const int32_t *p, size_t n)
{
    vi v = {0};
    memcpy(&v, p, n * sizeof *p);
    return v;
}
static inline void vi_store_n(int32_t *p, vi v, size_t n)
{
    memcpy(p, &v, n * sizeof *p);
}
static inline vi vi_add(vi a, vi b)
{
    return (vi)((vec_u)a + (vec_u)b);
}
static inline vi vi_sub(vi a, vi b)
{
    return (vi)((vec_u)a - (vec_u)b);
}
static inline vi vi_mul(vi a, vi b)
{
    return (vi)((vec_u)a * (vec_u)b);
}
static inline vi vi_and(vi a, vi b)
{
    return a & b;
}
static inline vi vi_or(vi a, vi b)
{
    return a | b;
}
static inline vi vi_xor(vi a, vi b)
{
    return a ^ b;
}
static inline vi vi_shl(vi a, int n)
{
    return (vi)((vec_u)a << (uint32_t)n);
}
static inline vi vi_shr(vi a, int n)
{
    return (vi)((vec_u)a >> (uint32_t)n);
}
static inline vi vi_sar(vi a, int n)
{
    return a >> n;
}
static inline vm vi_eq(vi a, vi b)
{
    return a == b;
}
static inline vm vi_gt(vi a, vi b)
{
    return a > b;
}
static inline vi vi_min(vi a, vi b)
{
    return vi_select(a < b, a, b);
}
static inline vi vi_max(vi a, vi b)
{
    return vi_select(a > b, a, b);
}

static inline vi vi_load_u8(const uint8_t *p)
{
    vi r = {0}; /* compilers do not see that the loop writes every lane */
    for (int i = 0; i < MBR_VL; i++)
        r[i] = p[i];
    return r;
}
static inline vi vi_load_s8(const int8_t *p)
{
    vi r = {0};
    for (int i = 0; i < MBR_VL; i++)
        r[i] = p[i];
    return r;
}
static inline void vi_store_u8(uint8_t *p, vi v)
{
    for (int i = 0; i < MBR_VL; i++)
        p[i] = (uint8_t)(v[i] < 0 ? 0 : v[i] > 255 ? 255 : v[i]);
}
static inline void vi_store_s8(int8_t *p, vi v)
{
    for (int i = 0; i < MBR_VL; i++)
        p[i] = (int8_t)(v[i] < -128 ? -128 : v[i] > 127 ? 127 : v[i]);
}
static inline vf vf_load_bf16(const uint16_t *p)
{
    vi r = {0};
    for (int i = 0; i < MBR_VL; i++)
        r[i] = (int32_t)((uint32_t)p[i] << 16);
    return (vf)r;
}
static inline void vi_store_low16(uint16_t *p, vi v)
{
    for (int i = 0; i < MBR_VL; i++)
        p[i] = (uint16_t)v[i];
}

/* A multiplication by 2^112 puts the exponent right, denormals included; infinities and NaN are put right by hand. */
static inline vf vf_load_f16(const uint16_t *p)
{
    vi h = {0};
    for (int i = 0; i < MBR_VL; i++)
        h[i] = p[i];
    vi sign = vi_shl(h & vi_set1(0x8000), 16), rest = vi_shl(h & vi_set1(0x7fff), 13);
    vf v = (vf)rest * vf_set1(0x1p112f);
    vi special = (vi)v | vi_set1(0x7f800000);
    return (vf)(vi_select((h & vi_set1(0x7c00)) == vi_set1(0x7c00), special, (vi)v) | sign);
}
static inline void vf_store_f16(uint16_t *p, vf v)
{
    for (int i = 0; i < MBR_VL; i++) {
        uint32_t u;
        float f = v[i];
        memcpy(&u, &f, 4);
        uint32_t sign = u >> 16 & 0x8000, size = u & 0x7fffffff, h;
        if (size > 0x7f800000)
            h = 0x7e00 | (size >> 13 & 0x3ff);
        else if (size >= 0x477ff000)
            h = 0x7c00;
        else if (size >= 0x38800000)
            h = (size - 0x38000000 + 0xfff + (size >> 13 & 1)) >> 13;
        else {
            float scaled = fabsf(f) + 0.5f; /* the sum's last bit is 2^-24, the unit of half's denormals */
            memcpy(&u, &scaled, 4);
            h = u - 0x3f000000;
        }
        p[i] = (uint16_t)(sign | h);
    }
}
static inline vf vf_gather(const float *p, vi index)
{
    vf r = {0};
    for (int i = 0; i < MBR_VL; i++)
        r[i] = p[index[i]];
    return r;
}
static inline void vi_gather_add_f64(double *p, const double *from, vi index)
{
    for (int i = 0; i < MBR_VL; i++)
        p[i] += from[index[i]];
}

static inline float vf_sum(vf a)
{
    float s = 0;
    for (int i = 0; i < MBR_VL; i++)
        s += a[i];
    return s;
}
static inline float vf_hmax(vf a)
{
    float s = a[0];
    for (int i = 1; i < MBR_VL; i++)
        s = a[i] > s ? a[i] : s;
    return s;
}
static inline float vf_hmin(vf a)
{
    float s = a[0];
    for (int i = 1; i < MBR_VL; i++)
        s = a[i] < s ? a[i] : s;
    return s;
}
static inline int32_t vi_sum(vi a)
{
    uint32_t s = 0;
    for (int i = 0; i < MBR_VL; i++)
        s += (uint32_t)a[i];
    return (int32_t)s;
}

#include "kernels/simd/vec_common.h"

#endif
