/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/histogram.h"
#include "tests/kernels/check.h"

#define KERNEL(name, tier) mbr_histogram_fn mbr_##name;
#include "kernels/histogram.def"
#undef KERNEL

static const struct {
    const char *name;
    mbr_cpu_tier tier;
    mbr_histogram_fn *run;
} rows[] = {
#define KERNEL(name, tier) {#name, MBR_TIER_##tier, mbr_##name},
#include "kernels/histogram.def"
#undef KERNEL
};

#define ROWS (sizeof rows / sizeof *rows)

static void fill(double *x, size_t n, bool special)
{
    static const double odd[] = { NAN, INFINITY, -INFINITY, 0.0, -0.0, 1e308, -1e308, 5e-324, 1.0, -1.0 };
    for (size_t i = 0; i < n; i++)
        x[i] = special && check_rand_one_in(6) ? odd[check_rand_range(0, 9)] : exp(3.0 * (double)check_rand_f32());
}

static mbr_histogram_args make(const double *x, size_t n, int bins, bool logarithmic, uint64_t *counts)
{
    double lo = mbr_histogram_key(logarithmic, 0.1), hi = mbr_histogram_key(logarithmic, 15.0);
    memset(counts, 0, MBR_HISTOGRAM_TABLES * (size_t)(bins + 3) * sizeof *counts);
    return (mbr_histogram_args){ .x = x, .n = n, .logarithmic = logarithmic, .bins = bins, .lo = lo,
                                 .scale = bins / (hi - lo), .least = 0.07, .greatest = 18.0, .shift = 1.0,
                                 .counts = counts, .smallest = (double)INFINITY, .largest = -(double)INFINITY };
}

static void one_case(mbr_histogram_fn *run)
{
    size_t n = check_rand_one_in(3) ? check_rand_range(0, 9) : check_rand_range(0, 1000);
    int bins = (int)check_rand_range(1, 100);
    bool logarithmic = check_rand_one_in(2), special = check_rand_one_in(2);
    size_t cells = MBR_HISTOGRAM_TABLES * (size_t)(bins + 3);
    double *x = check_alloc(n * sizeof *x);
    uint64_t *want = check_alloc(cells * sizeof *want), *got = check_alloc(cells * sizeof *got);
    fill(x, n, special);
    check_case("n=%zu bins=%d logarithmic=%d special=%d", n, bins, (int)logarithmic, (int)special);
    mbr_histogram_args a = make(x, n, bins, logarithmic, want), b = make(x, n, bins, logarithmic, got);
    mbr_histogram_ref(&a);
    run(&b);
    check_bytes(want, got, cells * sizeof *want);
    uint64_t some[3] = { a.infinite, a.below, a.above }, others[3] = { b.infinite, b.below, b.above };
    check_bytes(some, others, sizeof some);
    check_bytes(a.sum, b.sum, sizeof a.sum);
    check_bytes(a.squares, b.squares, sizeof a.squares);
    double ends[2] = { a.smallest, a.largest }, other_ends[2] = { b.smallest, b.largest };
    check_bytes(ends, other_ends, sizeof ends);
    check_case_end();
}

void check_histogram(void)
{
    for (size_t r = 0; r < ROWS; r++) {
        if (!check_begin(rows[r].name, rows[r].tier))
            continue;
        for (int i = 0; i < 1000 && !check_failed(); i++)
            one_case(rows[r].run);
        check_end();
    }
}

typedef struct bench_case {
    mbr_histogram_fn *run;
    mbr_histogram_args args;
} bench_case;

static void bench_call(void *context)
{
    bench_case *b = context;
    b->run(&b->args);
}

/* histogram n= bins= log=, in values a nanosecond. */
void bench_histogram(const bench_shape *shape)
{
    size_t n = (size_t)bench_get(shape, "n", 2000);
    int bins = (int)bench_get(shape, "bins", 64);
    for (size_t r = 0; r < ROWS; r++) {
        if (!bench_begin(rows[r].name, rows[r].tier))
            continue;
        double *x = check_alloc(n * sizeof *x);
        fill(x, n, false);
        uint64_t *counts = check_alloc(MBR_HISTOGRAM_TABLES * (size_t)(bins + 3) * sizeof *counts);
        bench_case b = { rows[r].run, make(x, n, bins, bench_get(shape, "log", 0) != 0, counts) };
        bench_run(bench_call, &b);
        bench_report(shape, (double)n, "values/ns");
    }
}
