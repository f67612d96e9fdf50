/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Transposing a square of 4-byte elements in registers: `in` holds its columns, in_step bytes apart, out its rows,
 * out_step bytes apart. MBR_SQUARE is its size. Written with the vectors of the compiler, any alignment.
 */
#ifndef MBR_KERNELS_SIMD_SQUARE_H
#define MBR_KERNELS_SIMD_SQUARE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __AVX2__
#include <immintrin.h>

#define MBR_SQUARE 8
static inline void mbr_square(const char *in, ptrdiff_t in_step, char *out, ptrdiff_t out_step)
{
    __m256 a[8], b[8];
    for (int i = 0; i < 8; i++)
        a[i] = _mm256_loadu_ps((const float *)(const void *)(in + i * in_step));
    for (int i = 0; i < 8; i += 2) {
        b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
        b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        a[i] = _mm256_shuffle_ps(b[i], b[i + 2], 0x44);
        a[i + 1] = _mm256_shuffle_ps(b[i], b[i + 2], 0xee);
        a[i + 2] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0x44);
        a[i + 3] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0xee);
    }
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps((float *)(void *)(out + i * out_step), _mm256_permute2f128_ps(a[i], a[i + 4], 0x20));
        _mm256_storeu_ps((float *)(void *)(out + (i + 4) * out_step), _mm256_permute2f128_ps(a[i], a[i + 4], 0x31));
    }
}
#else
#define MBR_SQUARE 4
typedef uint32_t mbr_square_vec __attribute__((vector_size(16)));
#if defined(__clang__)
#define MBR_SQUARE_SHUFFLE(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
#define MBR_SQUARE_SHUFFLE(a, b, i, j, k, l) __builtin_shuffle(a, b, (mbr_square_vec){i, j, k, l})
#endif
static inline void mbr_square(const char *in, ptrdiff_t in_step, char *out, ptrdiff_t out_step)
{
    mbr_square_vec a[4], b[4], r;
    for (int i = 0; i < 4; i++)
        memcpy(&a[i], in + i * in_step, sizeof a[i]);
    for (int i = 0; i < 4; i += 2) {
        b[i] = MBR_SQUARE_SHUFFLE(a[i], a[i + 1], 0, 4, 1, 5);
        b[i + 1] = MBR_SQUARE_SHUFFLE(a[i], a[i + 1], 2, 6, 3, 7);
    }
    for (int i = 0; i < 2; i++) {
        r = MBR_SQUARE_SHUFFLE(b[i], b[i + 2], 0, 1, 4, 5);
        memcpy(out + 2 * i * out_step, &r, sizeof r);
        r = MBR_SQUARE_SHUFFLE(b[i], b[i + 2], 2, 3, 6, 7);
        memcpy(out + (2 * i + 1) * out_step, &r, sizeof r);
    }
}
#endif

#endif
