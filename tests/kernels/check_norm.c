/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/norm.h"
#include "tests/kernels/check.h"

#include <string.h>

#define KERNEL(name, group, tier)                                                                                      \
    mbr_norm_fn mbr_##name;                                                                                            \
    mbr_group_norm_fn mbr_##group;
#include "kernels/norm.def"
#undef KERNEL

static const struct {
    const char *name;
    mbr_cpu_tier tier;
    mbr_norm_fn *run;
    mbr_group_norm_fn *group;
} rows[] = {
#define KERNEL(name, group, tier) {#name, MBR_TIER_##tier, mbr_##name, mbr_##group},
#include "kernels/norm.def"
#undef KERNEL
};

#define ROWS (sizeof rows / sizeof *rows)

static float *some(size_t n)
{
    return check_rand_one_in(3) ? NULL : check_alloc_f32_filled(n, CHECK_UNIFORM);
}

static void row_case(mbr_norm_fn *run)
{
    mbr_norm_args a = {.rows = check_rand_range(1, 6), .cols = check_rand_range(1, 100), .epsilon = 1e-5f};
    if (check_rand_one_in(3))
        a.cols = check_rand_range(100, 9000);
    a.rms = check_rand_one_in(2);
    size_t n = a.rows * a.cols;
    float *in = check_alloc_f32_filled(n, CHECK_UNIFORM);
    float offset = check_rand_one_in(3) ? 100.0f : 0.0f;
    for (size_t i = 0; i < n; i++)
        in[i] += offset;
    a.in = in;
    a.residual = some(n);
    a.scale = some(a.cols);
    a.bias = some(a.cols);
    bool sums = check_rand_one_in(2), in_place = check_rand_one_in(3);
    float *want[4], *got[4];
    for (int k = 0; k < 4; k++) {
        want[k] = check_alloc_f32(k < 2 ? n : a.rows);
        got[k] = check_alloc_f32(k < 2 ? n : a.rows);
    }
    check_case("rows=%zu cols=%zu rms=%d residual=%d scale=%d bias=%d sum=%d in place=%d", a.rows, a.cols, a.rms,
               a.residual != NULL, a.scale != NULL, a.bias != NULL, sums, in_place);
    a.mean_out = want[2];
    a.inv_std_out = want[3];
    a.out = want[0];
    a.sum_out = want[1];
    mbr_norm_ref(&a, 0, a.rows);
    a.mean_out = got[2];
    a.inv_std_out = got[3];
    a.out = got[0];
    a.sum_out = sums ? got[1] : NULL;
    if (in_place) {
        memcpy(got[0], in, n * sizeof *in);
        a.in = got[0];
    }
    size_t cut = check_rand_range(0, a.rows);
    run(&a, cut, a.rows);
    run(&a, 0, cut);
    check_f32(want[0], got[0], a.rows, a.cols, (ptrdiff_t)a.cols, offset != 0.0f ? 1e-4 : 1e-5, 1e-5);
    if (sums)
        check_f32(want[1], got[1], a.rows, a.cols, (ptrdiff_t)a.cols, 0, 0);
    check_f32(want[2], got[2], 1, a.rows, 0, 1e-5, 1e-5);
    check_f32(want[3], got[3], 1, a.rows, 0, 1e-5, 1e-4);
    check_case_end();
}

static void group_case(mbr_group_norm_fn *run)
{
    mbr_group_norm_args a = {.n = check_rand_range(1, 3), .groups = check_rand_range(1, 70), .epsilon = 1e-5f};
    a.channels = a.groups * (check_rand_one_in(2) ? 1 : check_rand_range(1, 9));
    if (check_rand_one_in(5)) {
        a.groups = 2;
        a.channels = 2 * check_rand_range(60, 140);
    }
    a.spatial = check_rand_range(2, 50);
    a.channels_last = check_rand_one_in(2);
    size_t n = a.n * a.channels * a.spatial;
    a.in = check_alloc_f32_filled(n, CHECK_UNIFORM);
    a.scale = some(a.channels);
    a.bias = some(a.channels);
    float *want = check_alloc_f32(n), *got = check_alloc_f32(n);
    check_case("n=%zu channels=%zu groups=%zu spatial=%zu last=%d", a.n, a.channels, a.groups, a.spatial,
               a.channels_last);
    a.out = want;
    mbr_group_norm_ref(&a, 0, a.n * a.groups);
    if (check_rand_one_in(2)) {
        memcpy(got, a.in, n * sizeof *got);
        a.in = got;
    }
    a.out = got;
    size_t cut = check_rand_range(0, a.n * a.groups);
    run(&a, cut, a.n * a.groups);
    run(&a, 0, cut);
    check_f32(want, got, 1, n, (ptrdiff_t)n, 1e-4, 1e-5);
    check_case_end();
}

void check_norm(void)
{
    for (size_t r = 0; r < ROWS; r++) {
        if (!check_begin(rows[r].name, rows[r].tier))
            continue;
        for (int i = 0; i < 300 && !check_failed(); i++) {
            row_case(rows[r].run);
            group_case(rows[r].group);
        }
        check_end();
    }
}

typedef struct bench_case {
    mbr_norm_fn *run;
    mbr_norm_args args;
} bench_case;

static void bench_call(void *context)
{
    bench_case *b = context;
    b->run(&b->args, 0, b->args.rows);
}

/* norm rows= cols= [rms] [residual], in elements a nanosecond. */
void bench_norm(const bench_shape *shape)
{
    for (size_t r = 0; r < ROWS; r++) {
        if (!bench_begin(rows[r].name, rows[r].tier))
            continue;
        bench_case b = {.run = rows[r].run, .args = {.epsilon = 1e-5f}};
        mbr_norm_args *a = &b.args;
        a->rows = (size_t)bench_get(shape, "rows", 128);
        a->cols = (size_t)bench_get(shape, "cols", 768);
        a->rms = bench_has(shape, "rms");
        size_t n = a->rows * a->cols;
        a->in = check_alloc_f32_filled(n, CHECK_UNIFORM);
        a->residual = bench_has(shape, "residual") ? check_alloc_f32_filled(n, CHECK_UNIFORM) : NULL;
        a->scale = check_alloc_f32_filled(a->cols, CHECK_UNIFORM);
        a->bias = check_alloc_f32_filled(a->cols, CHECK_UNIFORM);
        a->out = check_alloc_f32(n);
        bench_run(bench_call, &b);
        bench_report(shape, (double)n, "elements/ns");
    }
}
