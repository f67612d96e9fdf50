/* SPDX-License-Identifier: BSD-2-Clause */
/* Random numbers for tests. The seed is printed; MBR_SEED=number repeats a run. */
#ifndef MBR_TESTS_RANDOM_H
#define MBR_TESTS_RANDOM_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint64_t random_state = 1;

static inline void random_seed(const char *what)
{
    const char *given = getenv("MBR_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    printf("%s: MBR_SEED=%llu\n", what, (unsigned long long)seed);
    fflush(stdout);
    random_state = seed * 0x9E3779B97F4A7C15u + 0x2545F4914F6CDD1Du;
}

static inline uint64_t random_bits(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * 0x2545F4914F6CDD1Du;
}

/* 0 .. n - 1 */
static inline int random_below(int n)
{
    return (int)((random_bits() >> 33) % (unsigned)n);
}

/* -1 .. 1 */
static inline float random_real(void)
{
    return (float)((double)(random_bits() >> 40) / (1 << 23) - 1);
}

#endif
