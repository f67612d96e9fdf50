/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The small float formats: IEEE binary16, bfloat16, the float8 family and float4 e2m1.
 *
 * Every narrowing conversion rounds to nearest, ties to even, once, from the exact value of the argument;
 * NaN stays NaN where the format has one. Every widening conversion is exact.
 */
#ifndef MBR_BASE_HALF_H
#define MBR_BASE_HALF_H

#include "mbr/dtype.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t mbr_f32_bits(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline float mbr_f32_from_bits(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static inline float mbr_bf16_to_f32(uint16_t h)
{
    return mbr_f32_from_bits((uint32_t)h << 16);
}

static inline uint16_t mbr_f32_to_bf16(float x)
{
    uint32_t u = mbr_f32_bits(x);
    if ((u & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)((u >> 16 & 0x8000u) | 0x7fc0u);
    return (uint16_t)((u + 0x7fffu + (u >> 16 & 1)) >> 16);
}

static inline float mbr_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    uint32_t rest = h & 0x7fffu;
    if (rest >= 0x7c00u) /* infinity and NaN, payload kept, quiet */
        return mbr_f32_from_bits(sign | 0x7f800000u | (rest & 0x3ffu) << 13 | (rest > 0x7c00u ? 0x400000u : 0));
    if (rest >= 0x400u)
        return mbr_f32_from_bits(sign | ((rest << 13) + (112u << 23)));
    /* subnormal: rest * 2^-24, exact in f32 */
    return mbr_f32_from_bits(sign | mbr_f32_bits((float)rest * 0x1p-24f));
}

static inline uint16_t mbr_f32_to_f16(float x)
{
    uint32_t u = mbr_f32_bits(x);
    uint32_t sign = u >> 16 & 0x8000u;
    u &= 0x7fffffffu;
    if (u > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u | (u >> 13 & 0x3ffu));
    if (u >= 0x477ff000u) /* 65520 and more */
        return (uint16_t)(sign | 0x7c00u);
    if (u < 0x38800000u) { /* below 2^-14: let the adder round at 2^-24 */
        float r = mbr_f32_from_bits(u) + 0.5f;
        return (uint16_t)(sign | (mbr_f32_bits(r) - 0x3f000000u));
    }
    u += 0xfffu + (u >> 13 & 1);
    return (uint16_t)(sign | ((u - (112u << 23)) >> 13));
}

/* True for f16, bf16, the float8 types and float4. */
bool mbr_is_small_float(mbr_dtype dtype);

/*
 * A small float's value from its bits (in the low part) and back. `saturate` matters for float8 and float4 (which has
 * nothing to overflow to and always saturates): a value beyond the largest, infinity included, becomes the largest;
 * without it, infinity where the format has one, else NaN. f8e8m0 (powers of two, halfway goes up) has no sign and no zero:
 * positive numbers below its smallest become the smallest, zero and negative ones NaN. NaN becomes negative zero in float4.
 */
double mbr_small_float_to_f64(mbr_dtype dtype, uint16_t bits);
uint16_t mbr_small_float_from_f64(mbr_dtype dtype, double x, bool saturate);

#endif
