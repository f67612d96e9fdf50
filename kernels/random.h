/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random numbers by position: number i of a seed is a hash of both, so that a tensor can be filled in any order and in
 * any pieces, with the same result.
 */
#ifndef MBR_KERNELS_RANDOM_H
#define MBR_KERNELS_RANDOM_H

#include <math.h>
#include <stdint.h>

static inline uint64_t mbr_random_mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static inline uint64_t mbr_random_bits(uint64_t seed, uint64_t i)
{
    return mbr_random_mix(mbr_random_mix(seed) + (i + 1) * UINT64_C(0x9e3779b97f4a7c15));
}

/* In [0, 1). */
static inline double mbr_random_uniform(uint64_t seed, uint64_t i)
{
    return (double)(mbr_random_bits(seed, i) >> 11) * 0x1p-53;
}

/* Mean 0, deviation 1 (Box and Muller). */
static inline double mbr_random_normal(uint64_t seed, uint64_t i)
{
    double u = 1.0 - mbr_random_uniform(seed, i & ~UINT64_C(1));
    double turn = 6.283185307179586 * mbr_random_uniform(seed, i | 1);
    return sqrt(-2.0 * log(u)) * (i & 1 ? sin(turn) : cos(turn));
}

#endif
