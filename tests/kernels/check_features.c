/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/features.h"
#include "kernels/post_transform.h"
#include "kernels/svm.h"
#include "tests/kernels/check.h"

#include <string.h>

#define KERNEL(name, tier) extern const mbr_features mbr_##name;
#include "kernels/features.def"
#undef KERNEL

static const struct {
    const char *name;
    mbr_cpu_tier tier;
    const mbr_features *run;
} rows[] = {
#define KERNEL(name, tier) {#name, MBR_TIER_##tier, &mbr_##name},
#include "kernels/features.def"
#undef KERNEL
};

#define ROWS (sizeof rows / sizeof *rows)

static void linear_case(const mbr_features *run)
{
    size_t m = check_rand_range(1, 6), columns = check_rand_range(1, 40), n = check_rand_range(1, 4);
    bool with_bias = check_rand_one_in(2);
    float *x = check_alloc_f32_filled(m * columns, CHECK_UNIFORM), *w = check_alloc_f32_filled(n * columns, CHECK_UNIFORM);
    float *bias = check_alloc_f32_filled(n, CHECK_UNIFORM), *want = check_alloc_f32(m * n), *got = check_alloc_f32(m * n);
    check_case("linear rows=%zu columns=%zu n=%zu bias=%d", m, columns, n, with_bias);
    for (size_t r = 0; r < m; r++)
        for (size_t k = 0; k < n; k++)
            want[r * n + k] = mbr_dot_ref(x + r * columns, w + k * columns, columns) + (with_bias ? bias[k] : 0.0f);
    run->linear(x, m, columns, w, n, with_bias ? bias : NULL, got);
    check_f32(want, got, 1, m * n, (ptrdiff_t)(m * n), 1e-5, 1e-5);
    check_case_end();
}

static void logistic_case(const mbr_features *run)
{
    size_t n = check_rand_range(0, 150);
    float *x = check_alloc_f32_filled(n, check_rand_one_in(3) ? CHECK_SPECIAL : CHECK_UNIFORM), *want = check_alloc_f32(n);
    float scale = check_rand_one_in(2) ? 1.0f : 40.0f;
    check_case("logistic n=%zu scale=%g", n, (double)scale);
    for (size_t i = 0; i < n; i++) {
        x[i] *= scale;
        want[i] = mbr_logistic(x[i]);
    }
    run->logistic(x, n);
    check_f32(want, x, 1, n, (ptrdiff_t)n, 1e-7, 1e-6);
    check_case_end();
}

static void normalize_case(const mbr_features *run)
{
    static const char *const names[] = {"MAX", "L1", "L2"};
    size_t m = check_rand_range(1, 5), columns = check_rand_range(1, 40), kind = check_rand_range(0, 2);
    bool in_place = check_rand_one_in(2);
    float *x = check_alloc_f32_filled(m * columns, CHECK_UNIFORM);
    float *want = check_alloc_f32(m * columns), *got = check_alloc_f32(m * columns);
    check_case("normalize %s rows=%zu columns=%zu in place=%d", names[kind], m, columns, in_place);
    if (check_rand_one_in(4))
        memset(x, 0, columns * sizeof *x);
    for (size_t r = 0; r < m; r++)
        mbr_normalize_ref((mbr_normalize)kind, x + r * columns, want + r * columns, columns);
    if (in_place)
        memcpy(got, x, m * columns * sizeof *x);
    run->normalize((mbr_normalize)kind, in_place ? got : x, m, columns, got);
    check_f32(want, got, 1, m * columns, (ptrdiff_t)(m * columns), 1e-6, 1e-6);
    check_case_end();
}

void check_features(void)
{
    for (size_t r = 0; r < ROWS; r++) {
        if (!check_begin(rows[r].name, rows[r].tier))
            continue;
        for (int i = 0; i < 200 && !check_failed(); i++) {
            linear_case(rows[r].run);
            logistic_case(rows[r].run);
            normalize_case(rows[r].run);
        }
        check_end();
    }
}

typedef struct bench_case {
    const mbr_features *run;
    float *x;
    size_t n;
} bench_case;

static void bench_call(void *context)
{
    bench_case *b = context;
    b->run->logistic(b->x, b->n);
}

/* features n=: logistic, in elements a nanosecond. */
void bench_features(const bench_shape *shape)
{
    for (size_t r = 0; r < ROWS; r++) {
        if (!bench_begin(rows[r].name, rows[r].tier))
            continue;
        bench_case b = {.run = rows[r].run, .n = (size_t)bench_get(shape, "n", 8192)};
        b.x = check_alloc_f32_filled(b.n, CHECK_UNIFORM);
        bench_run(bench_call, &b);
        bench_report(shape, (double)b.n, "elements/ns");
    }
}
