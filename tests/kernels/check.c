/* SPDX-License-Identifier: BSD-2-Clause */
#define _POSIX_C_SOURCE 200809L

#include "tests/kernels/check.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define GUARD 128 /* bytes before and after a buffer; keeps the alignment */
#define GUARD_BYTE 0xc3
#define FILL_BYTE 0xff /* a NaN in every floating type */
#define BUFFERS 256

#define CHECK_FAMILY(name)                                                                                             \
    void check_##name(void);                                                                                           \
    void bench_##name(const bench_shape *shape);
#include "tests/kernels/families.def"
#undef CHECK_FAMILY

const check_family check_families[] = {
#define CHECK_FAMILY(name) {#name, check_##name, bench_##name},
#include "tests/kernels/families.def"
#undef CHECK_FAMILY
    {NULL, NULL, NULL},
};
const size_t check_family_count = sizeof check_families / sizeof *check_families - 1;

check_options check_opt = {.seed = 1, .bench_seconds = 0.3};

static struct {
    struct {
        unsigned char *block;
        size_t bytes;
    } buffers[BUFFERS];
    size_t buffer_count;
    uint64_t random;
    bool seeded;
    const char *kernel;
    char text[256];
    size_t cases, kernel_failures;
    size_t kernels_run, kernels_failed, kernels_skipped;
    double best;
} state;

uint64_t check_rand(void)
{
    if (!state.seeded) {
        state.random = check_opt.seed;
        state.seeded = true;
    }
    uint64_t z = state.random += 0x9e3779b97f4a7c15u; /* splitmix64 */
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

size_t check_rand_range(size_t low, size_t high)
{
    return low + (size_t)(check_rand() % (high - low + 1));
}

bool check_rand_one_in(unsigned n)
{
    return check_rand() % n == 0;
}

float check_rand_f32(void)
{
    return (float)((int32_t)(check_rand() >> 40) - (1 << 23)) * 0x1p-23f;
}

void check_fill_f32(float *p, size_t n, check_dist dist)
{
    for (size_t i = 0; i < n; i++) {
        float x = check_rand_f32();
        if (dist == CHECK_WIDE)
            x = ldexpf(x, (int)check_rand_range(0, 40) - 20);
        else if (dist == CHECK_HALVES)
            x = rintf(x * 8) * 0.5f;
        else if (dist == CHECK_SPECIAL && check_rand_one_in(64)) {
            const float special[] = {INFINITY, -INFINITY, NAN, 1e-40f, -1e-40f, 0.0f, -0.0f, 1e-38f};
            x = special[check_rand() % 8];
        }
        p[i] = x;
    }
}

void check_fill_random_bytes(void *p, size_t bytes)
{
    unsigned char *b = p;
    for (size_t i = 0; i < bytes; i++)
        b[i] = (unsigned char)(check_rand() >> 32);
}

void *check_alloc(size_t bytes)
{
    size_t rounded = (bytes + 63) / 64 * 64;
    unsigned char *block = aligned_alloc(64, GUARD + rounded + GUARD);
    if (!block || state.buffer_count == BUFFERS) {
        fprintf(stderr, "check: out of memory or buffers (%zu bytes)\n", bytes);
        exit(2);
    }
    memset(block, GUARD_BYTE, GUARD);
    memset(block + GUARD, FILL_BYTE, bytes);
    memset(block + GUARD + bytes, GUARD_BYTE, rounded - bytes + GUARD);
    state.buffers[state.buffer_count].block = block;
    state.buffers[state.buffer_count++].bytes = bytes;
    return block + GUARD;
}

float *check_alloc_f32(size_t n)
{
    return check_alloc(n * sizeof(float));
}

float *check_alloc_f32_filled(size_t n, check_dist dist)
{
    float *p = check_alloc_f32(n);
    check_fill_f32(p, n, dist);
    return p;
}

static void free_buffers(void)
{
    for (size_t i = 0; i < state.buffer_count; i++) {
        const unsigned char *b = state.buffers[i].block;
        size_t bytes = state.buffers[i].bytes, end = GUARD + (bytes + 63) / 64 * 64 + GUARD;
        bool before = false, after = false;
        for (size_t k = 0; k < GUARD; k++)
            before |= b[k] != GUARD_BYTE;
        for (size_t k = GUARD + bytes; k < end; k++)
            after |= b[k] != GUARD_BYTE;
        if (before || after)
            check_fail("wrote %s buffer %zu of %zu bytes", before ? "before" : "after", i, bytes);
        free(state.buffers[i].block);
    }
    state.buffer_count = 0;
}

bool check_begin(const char *kernel, mbr_cpu_tier tier)
{
    if (check_opt.filter && !strstr(kernel, check_opt.filter))
        return false;
    if (check_opt.list) {
        printf("%-40s %s\n", kernel, mbr_cpu_tier_name(tier));
        return false;
    }
    if (!(mbr_cpu_tiers() & MBR_TIER_BIT(tier))) {
        printf("%-40s skip: no %s here\n", kernel, mbr_cpu_tier_name(tier));
        state.kernels_skipped++;
        return false;
    }
    state.kernel = kernel;
    state.cases = state.kernel_failures = 0;
    state.text[0] = '\0';
    return true;
}

void check_case(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(state.text, sizeof state.text, fmt, args);
    va_end(args);
    if (check_opt.verbose)
        printf("  %s: %s\n", state.kernel, state.text);
}

void check_case_end(void)
{
    free_buffers();
    state.cases++;
}

void check_end(void)
{
    free_buffers();
    state.kernels_run++;
    state.kernels_failed += state.kernel_failures > 0;
    if (state.kernel_failures)
        printf("%-40s FAILED %zu of %zu cases (seed %" PRIu64 ")\n", state.kernel, state.kernel_failures, state.cases,
               check_opt.seed);
    else
        printf("%-40s ok, %zu cases\n", state.kernel, state.cases);
    fflush(stdout);
}

void check_fail(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    if (state.kernel_failures++ < 8) {
        printf("%s: %s: ", state.kernel, state.text);
        vprintf(fmt, args);
        printf("\n");
    }
    va_end(args);
}

bool check_failed(void)
{
    return state.kernel_failures > 0;
}

static bool close_enough(float want, float got, double abs, double rel)
{
    if (isnan(want))
        return isnan(got);
    if (isinf(want))
        return got == want;
    return fabs((double)got - want) <= abs + rel * fabs((double)want);
}

bool check_f32(const float *want, const float *got, size_t rows, size_t cols, ptrdiff_t ld, double abs, double rel)
{
    size_t bad = 0, row = 0, col = 0;
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < cols; j++) {
            size_t at = (size_t)((ptrdiff_t)i * ld) + j;
            if (!close_enough(want[at], got[at], abs, rel) && bad++ == 0) {
                row = i;
                col = j;
            }
        }
    if (!bad)
        return true;
    size_t at = (size_t)((ptrdiff_t)row * ld) + col;
    check_fail("%zu of %zu x %zu differ, first at (%zu, %zu): want %.9g, got %.9g, tolerance %.3g + %.3g |want|", bad,
               rows, cols, row, col, want[at], got[at], abs, rel);
    return false;
}

bool check_bytes(const void *want, const void *got, size_t bytes)
{
    const unsigned char *w = want, *g = got;
    for (size_t i = 0; i < bytes; i++)
        if (w[i] != g[i]) {
            check_fail("byte %zu of %zu differs: want 0x%02x, got 0x%02x", i, bytes, w[i], g[i]);
            return false;
        }
    return true;
}

bool check_bits(const float *want, const float *got, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!(isnan(want[i]) && isnan(got[i])) && !check_bytes(want + i, got + i, sizeof *want))
            return false;
    return true;
}

static const char *find_word(const char *text, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = text; (p = strstr(p, word)) != NULL; p++)
        if ((p == text || p[-1] == ' ') && (p[n] == ' ' || p[n] == '=' || p[n] == '\0'))
            return p + n;
    return NULL;
}

long bench_get(const bench_shape *shape, const char *key, long fallback)
{
    const char *end = find_word(shape->text, key);
    return end && *end == '=' ? strtol(end + 1, NULL, 10) : fallback;
}

bool bench_has(const bench_shape *shape, const char *word)
{
    return find_word(shape->text, word) != NULL;
}

bool bench_begin(const char *kernel, mbr_cpu_tier tier)
{
    if ((check_opt.filter && !strstr(kernel, check_opt.filter)) || !(mbr_cpu_tiers() & MBR_TIER_BIT(tier)))
        return false;
    state.kernel = kernel;
    return true;
}

/* The thread's own processor time: on a shared machine the turns of others do not count. */
static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

double bench_run(void (*call)(void *context), void *context)
{
    call(context); /* warms caches and pages */
    double start = now(), best = 1e30;
    size_t inner = 1;
    double t0 = now();
    call(context);
    double once = now() - t0;
    if (once < 20e-6)
        inner = (size_t)(20e-6 / (once + 1e-9)) + 1;
    for (int runs = 0; runs < 3 || now() - start < check_opt.bench_seconds; runs++) {
        t0 = now();
        for (size_t i = 0; i < inner; i++)
            call(context);
        double t = (now() - t0) / (double)inner;
        best = t < best ? t : best;
    }
    state.best = best;
    return best;
}

void bench_report(const bench_shape *shape, double work, const char *unit)
{
    printf("%-34s %-48s %10.2f us %9.2f %s\n", state.kernel, shape->text, state.best * 1e6, work / state.best * 1e-9,
           unit);
    fflush(stdout);
    free_buffers();
}

int check_summary(void)
{
    printf("%zu kernels passed, %zu failed, %zu skipped\n", state.kernels_run - state.kernels_failed,
           state.kernels_failed, state.kernels_skipped);
    return state.kernels_failed ? 1 : state.kernels_run ? 0 : 77;
}
