/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The harness that checks kernels against kernels/ref and times them.
 *
 * A family adds one row to families.def and one file, check_<family>.c, with two functions:
 *
 *   void check_<family>(void)            walks the rows of its .def list:
 *       for each row: if (!check_begin("gemm_f32_avx2_6x16", MBR_TIER_AVX2)) continue;
 *           for each shape: make buffers with check_alloc, fill them, run reference and candidate,
 *                           check_f32 / check_bytes, then check_case_end()
 *           check_end();
 *   void bench_<family>(const bench_shape *shape)   times every row on one line of a shape file:
 *       if (bench_begin(name, tier)) { ... bench_run(call, context); bench_report(work, "GFLOP/s"); }
 *
 * Both programs (tests/kernels/check_main.c and bench/bench_kernels.c) link the same files, so that a kernel cannot be
 * timed without being checked. Random numbers come from one seed, printed and accepted back.
 */
#ifndef MBR_TESTS_KERNELS_CHECK_H
#define MBR_TESTS_KERNELS_CHECK_H

#include "kernels/cpu.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- options, set by the programs ---- */
typedef struct check_options {
    uint64_t seed;
    const char *filter;   /* part of a kernel's name, or NULL */
    bool verbose;         /* one line a case */
    bool list;            /* name the kernels only */
    double bench_seconds; /* how long one measurement may take */
} check_options;

extern check_options check_opt;

/* ---- random data: the same seed gives the same data on every machine ---- */
uint64_t check_rand(void);
size_t check_rand_range(size_t low, size_t high); /* both included */
bool check_rand_one_in(unsigned n);
float check_rand_f32(void); /* in [-1, 1) */

typedef enum check_dist {
    CHECK_UNIFORM, /* [-1, 1) */
    CHECK_WIDE,    /* both signs, sizes from 2^-20 to 2^20 */
    CHECK_HALVES,  /* multiples of 1/2: products and short sums are exact */
    CHECK_SPECIAL  /* uniform, now and then an infinity, a NaN, a denormal, a zero of either sign */
} check_dist;

void check_fill_f32(float *p, size_t n, check_dist dist);
void check_fill_random_bytes(void *p, size_t bytes);

/* ---- buffers: 64-byte aligned, guard bytes before and after, filled with a pattern (a NaN as float) ---- */
void *check_alloc(size_t bytes);
float *check_alloc_f32(size_t n);
float *check_alloc_f32_filled(size_t n, check_dist dist);

/* ---- a kernel under test ---- */
/* False when the filter, --list or the machine leaves this kernel out. */
bool check_begin(const char *kernel, mbr_cpu_tier tier);
/* Describes the case at hand, for messages. */
void check_case(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Looks at the guards and frees every buffer of the case. */
void check_case_end(void);
void check_end(void);
void check_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* True when the kernel under test has failed: a family may stop early. */
bool check_failed(void);

/* Each element within abs + rel * |want|; a NaN wants a NaN, an infinity the same infinity. rows x cols, ld elements
 * between rows of both. */
bool check_f32(const float *want, const float *got, size_t rows, size_t cols, ptrdiff_t ld, double abs, double rel);
bool check_bytes(const void *want, const void *got, size_t bytes);
/* The same bits, where a NaN is as good as any other: which operand's comes out depends on the order of the operands. */
bool check_bits(const float *want, const float *got, size_t count);

/* ---- timing ---- */
typedef struct bench_shape {
    char family[32];
    char text[256]; /* "m=128 n=128 k=128", as printed */
} bench_shape;

/* The number after "key=" in the shape, or the default. */
long bench_get(const bench_shape *shape, const char *key, long fallback);
/* Whether the word stands in the shape by itself. */
bool bench_has(const bench_shape *shape, const char *word);
bool bench_begin(const char *kernel, mbr_cpu_tier tier);
/* Calls until the time is up, at least three times; returns and keeps the shortest seconds of one call. */
double bench_run(void (*call)(void *context), void *context);
/* Prints the line: work / seconds / 1e9 in that unit. Frees buffers. */
void bench_report(const bench_shape *shape, double work, const char *unit);

/* ---- for the programs ---- */
typedef struct check_family {
    const char *name;
    void (*check)(void);
    void (*bench)(const bench_shape *shape);
} check_family;

extern const check_family check_families[];
extern const size_t check_family_count;

/* 0 all passed, 1 a failure, 77 nothing ran. */
int check_summary(void);

#endif
