/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/reduce.h"
#include "tests/kernels/check.h"

#define KERNEL(name, tier) mbr_arg_fn mbr_##name;
#include "kernels/arg.def"
#undef KERNEL

static const struct {
    const char *name;
    mbr_cpu_tier tier;
    mbr_arg_fn *run;
} rows[] = {
#define KERNEL(name, tier) {#name, MBR_TIER_##tier, mbr_##name},
#include "kernels/arg.def"
#undef KERNEL
};

#define ROWS (sizeof rows / sizeof *rows)

static void one_case(mbr_arg_fn *run)
{
    mbr_arg_args a = {.dtype = MBR_DTYPE_F32, .outer = check_rand_range(1, 4), .axis = check_rand_range(1, 60)};
    a.inner = check_rand_one_in(2) ? 1 : check_rand_range(1, 40);
    a.min = check_rand_one_in(2);
    a.last = check_rand_one_in(2);
    size_t n = a.outer * a.axis * a.inner, results = a.outer * a.inner;
    float *in = check_alloc_f32_filled(n, check_rand_one_in(2) ? CHECK_SPECIAL : CHECK_UNIFORM);
    for (size_t i = 0; i < n; i++)
        if (in[i] > -8.0f && in[i] < 8.0f && check_rand_one_in(2))
            in[i] = (float)(int)(in[i] * 3.0f); /* many equal ones */
    int64_t *want = check_alloc(results * sizeof *want), *got = check_alloc(results * sizeof *got);
    check_case("outer=%zu axis=%zu inner=%zu min=%d last=%d", a.outer, a.axis, a.inner, a.min, a.last);
    a.in = in;
    a.out = want;
    mbr_arg_ref(&a, 0, results);
    a.out = got;
    size_t cut = check_rand_range(0, results);
    run(&a, cut, results);
    run(&a, 0, cut);
    check_bytes(want, got, results * sizeof *want);
    check_case_end();
}

void check_arg(void)
{
    for (size_t r = 0; r < ROWS; r++) {
        if (!check_begin(rows[r].name, rows[r].tier))
            continue;
        for (int i = 0; i < 400 && !check_failed(); i++)
            one_case(rows[r].run);
        check_end();
    }
}

typedef struct bench_case {
    mbr_arg_fn *run;
    mbr_arg_args args;
} bench_case;

static void bench_call(void *context)
{
    bench_case *b = context;
    b->run(&b->args, 0, b->args.outer * b->args.inner);
}

/* arg outer= axis= inner=, in elements a nanosecond. */
void bench_arg(const bench_shape *shape)
{
    for (size_t r = 0; r < ROWS; r++) {
        if (!bench_begin(rows[r].name, rows[r].tier))
            continue;
        bench_case b = {.run = rows[r].run, .args = {.dtype = MBR_DTYPE_F32}};
        b.args.outer = (size_t)bench_get(shape, "outer", 1);
        b.args.axis = (size_t)bench_get(shape, "axis", 50257);
        b.args.inner = (size_t)bench_get(shape, "inner", 1);
        size_t n = b.args.outer * b.args.axis * b.args.inner;
        b.args.in = check_alloc_f32_filled(n, CHECK_UNIFORM);
        b.args.out = check_alloc(b.args.outer * b.args.inner * sizeof(int64_t));
        bench_run(bench_call, &b);
        bench_report(shape, (double)n, "elements/ns");
    }
}
