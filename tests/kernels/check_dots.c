/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/dots.h"
#include "tests/kernels/check.h"

#define KERNEL(name, tier) mbr_dots_fn mbr_##name;
#include "kernels/dots.def"
#undef KERNEL

static const struct {
    const char *name;
    mbr_cpu_tier tier;
    mbr_dots_fn *run;
} rows[] = {
#define KERNEL(name, tier) {#name, MBR_TIER_##tier, mbr_##name},
#include "kernels/dots.def"
#undef KERNEL
};

#define ROWS (sizeof rows / sizeof *rows)

static void one_case(mbr_dots_fn *run)
{
    size_t count = check_rand_range(0, 13), queries = check_rand_range(0, 9), width = check_rand_range(1, 70);
    check_dist dist = check_rand_one_in(3) ? CHECK_SPECIAL : CHECK_UNIFORM;
    float *table = check_alloc_f32_filled(count * width, dist), *q = check_alloc_f32_filled(queries * width, dist);
    float *want = check_alloc_f32(count * queries), *got = check_alloc_f32(count * queries);
    float *one = check_alloc_f32(count);
    check_case("rows=%zu width=%zu queries=%zu", count, width, queries);
    mbr_dots_ref(table, count, width, q, queries, want);
    run(table, count, width, q, queries, got);
    check_f32(want, got, queries, count, (ptrdiff_t)count, 1e-6 * (double)width, 1e-6);
    if (queries) { /* the same bits alone */
        size_t k = check_rand_range(0, queries - 1);
        run(table, count, width, q + k * width, 1, one);
        check_bits(got + k * count, one, count);
    }
    check_case_end();
}

void check_dots(void)
{
    for (size_t r = 0; r < ROWS; r++) {
        if (!check_begin(rows[r].name, rows[r].tier))
            continue;
        for (int i = 0; i < 500 && !check_failed(); i++)
            one_case(rows[r].run);
        check_end();
    }
}

typedef struct bench_case {
    mbr_dots_fn *run;
    const float *table, *q;
    size_t count, width, queries;
    float *out;
} bench_case;

static void bench_call(void *context)
{
    bench_case *b = context;
    b->run(b->table, b->count, b->width, b->q, b->queries, b->out);
}

/* dots rows= width= queries=, in products and sums a nanosecond. */
void bench_dots(const bench_shape *shape)
{
    size_t count = (size_t)bench_get(shape, "rows", 64), width = (size_t)bench_get(shape, "width", 384);
    size_t queries = (size_t)bench_get(shape, "queries", 1);
    for (size_t r = 0; r < ROWS; r++) {
        if (!bench_begin(rows[r].name, rows[r].tier))
            continue;
        bench_case b = { rows[r].run, check_alloc_f32_filled(count * width, CHECK_UNIFORM),
                         check_alloc_f32_filled(queries * width, CHECK_UNIFORM), count, width, queries,
                         check_alloc_f32(count * queries) };
        bench_run(bench_call, &b);
        bench_report(shape, 2.0 * (double)(count * width * queries), "GFLOP/s");
    }
}
