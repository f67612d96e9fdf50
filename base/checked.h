/* SPDX-License-Identifier: BSD-2-Clause */
/* Arithmetic on sizes that come from files and callers: each function returns false on overflow. */
#ifndef MBR_BASE_CHECKED_H
#define MBR_BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool mbr_add_size(size_t a, size_t b, size_t *sum)
{
    *sum = a + b;
    return *sum >= a;
}

static inline bool mbr_mul_size(size_t a, size_t b, size_t *product)
{
#if defined(__GNUC__) || defined(__clang__)
    return !__builtin_mul_overflow(a, b, product);
#else
    *product = a * b;
    return a == 0 || *product / a == b;
#endif
}

static inline bool mbr_add_i64(int64_t a, int64_t b, int64_t *sum)
{
    if ((b > 0 && a > INT64_MAX - b) || (b < 0 && a < INT64_MIN - b))
        return false;
    *sum = a + b;
    return true;
}

static inline bool mbr_mul_i64(int64_t a, int64_t b, int64_t *product)
{
#if defined(__GNUC__) || defined(__clang__)
    return !__builtin_mul_overflow(a, b, product);
#else
    if (a > 0 ? (b > 0 ? a > INT64_MAX / b : b < INT64_MIN / a)
              : (b > 0 ? a < INT64_MIN / b : (a != 0 && b < INT64_MAX / a)))
        return false;
    *product = a * b;
    return true;
#endif
}

/* Rounds up to a multiple of a power of two. */
static inline bool mbr_round_up(size_t n, size_t unit, size_t *rounded)
{
    if (!mbr_add_size(n, unit - 1, rounded))
        return false;
    *rounded &= ~(unit - 1);
    return true;
}

/* The number of elements of a shape; false on a negative dimension or when the product passes PTRDIFF_MAX. */
static inline bool mbr_shape_count(const int64_t *dims, int rank, size_t *count)
{
    size_t n = 1;
    bool zero = false;
    for (int i = 0; i < rank; i++) {
        if (dims[i] < 0)
            return false;
        zero |= dims[i] == 0;
    }
    if (zero) {
        *count = 0;
        return true;
    }
    for (int i = 0; i < rank; i++)
        if ((uint64_t)dims[i] > PTRDIFF_MAX || !mbr_mul_size(n, (size_t)dims[i], &n) || n > PTRDIFF_MAX)
            return false;
    *count = n;
    return true;
}

static inline size_t mbr_min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline size_t mbr_max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

#endif
