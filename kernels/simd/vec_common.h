/* SPDX-License-Identifier: BSD-2-Clause */
/* The part of the vector vocabulary that is the same for every instruction set; included at the end of each vec_*.h. */
#ifndef MBR_KERNELS_SIMD_VEC_COMMON_H
#define MBR_KERNELS_SIMD_VEC_COMMON_H

#define MBR_INLINE static inline __attribute__((always_inline))
#define MBR_NOINLINE __attribute__((noinline))

/* Unrolls the loop that follows; the count must be a literal or a macro. */
#define MBR_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define MBR_UNROLL(n) MBR_PRAGMA(clang loop unroll(full))
#else
#define MBR_UNROLL(n) MBR_PRAGMA(GCC unroll n)
#endif

#ifndef MBR_VEC_STORE_PARTS
static inline void vf_store_parts(float *p, vf v, size_t n)
{
    vf_store_n(p, v, n);
}
#endif

static inline vf vf_abs(vf a)
{
    return vf_and(a, vi_as_vf(vi_set1(0x7fffffff)));
}
static inline vf vf_neg(vf a)
{
    return vf_xor(a, vi_as_vf(vi_set1((int32_t)0x80000000u)));
}
/* The size of a with the sign of b. */
static inline vf vf_copysign(vf a, vf b)
{
    vf sign = vi_as_vf(vi_set1((int32_t)0x80000000u));
    return vf_or(vf_abs(a), vf_and(b, sign));
}
static inline vm vf_gt(vf a, vf b)
{
    return vf_lt(b, a);
}
static inline vm vf_ge(vf a, vf b)
{
    return vf_le(b, a);
}
static inline vm vf_is_nan(vf a)
{
    return vf_ne(a, a);
}
static inline vm vi_lt(vi a, vi b)
{
    return vi_gt(b, a);
}
static inline vi vi_zero(void)
{
    return vi_set1(0);
}

/* Round to nearest even; a NaN stays a quiet NaN. */
static inline void vf_store_bf16(uint16_t *p, vf v)
{
    vi u = vf_as_vi(v);
    vi odd = vi_and(vi_shr(u, 16), vi_set1(1));
    vi rounded = vi_shr(vi_add(u, vi_add(odd, vi_set1(0x7fff))), 16);
    vi nan = vi_or(vi_shr(u, 16), vi_set1(0x40));
    vi_store_low16(p, vi_select(vf_is_nan(v), nan, rounded));
}

/* Partial loads and stores of the narrow types go through a small buffer: they serve tails only. */
#define MBR_VEC_PARTIAL(load, store, load_n, store_n, vec, type)                                                       \
    static inline vec load_n(const type *p, size_t n)                                                                  \
    {                                                                                                                  \
        type t[MBR_VL] = {0};                                                                                          \
        memcpy(t, p, n * sizeof *p);                                                                                   \
        return load(t);                                                                                                \
    }                                                                                                                  \
    static inline void store_n(type *p, vec v, size_t n)                                                               \
    {                                                                                                                  \
        type t[MBR_VL];                                                                                                \
        store(t, v);                                                                                                   \
        memcpy(p, t, n * sizeof *p);                                                                                   \
    }
MBR_VEC_PARTIAL(vi_load_u8, vi_store_u8, vi_load_u8_n, vi_store_u8_n, vi, uint8_t)
MBR_VEC_PARTIAL(vi_load_s8, vi_store_s8, vi_load_s8_n, vi_store_s8_n, vi, int8_t)
MBR_VEC_PARTIAL(vf_load_f16, vf_store_f16, vf_load_f16_n, vf_store_f16_n, vf, uint16_t)
MBR_VEC_PARTIAL(vf_load_bf16, vf_store_bf16, vf_load_bf16_n, vf_store_bf16_n, vf, uint16_t)
#undef MBR_VEC_PARTIAL

#endif
