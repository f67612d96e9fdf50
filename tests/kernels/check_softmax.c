/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/softmax.h"
#include "tests/kernels/check.h"

#include <math.h>
#include <string.h>

#define KERNEL(name, tier) mbr_softmax_fn mbr_##name;
#include "kernels/softmax.def"
#undef KERNEL

static const struct {
    const char *name;
    mbr_cpu_tier tier;
    mbr_softmax_fn *run;
} rows[] = {
#define KERNEL(name, tier) {#name, MBR_TIER_##tier, mbr_##name},
#include "kernels/softmax.def"
#undef KERNEL
};

#define ROWS (sizeof rows / sizeof *rows)

static void one_case(mbr_softmax_fn *run)
{
    mbr_softmax_args a = {.outer = check_rand_range(1, 5), .axis = check_rand_range(1, 70), .inner = 1};
    if (check_rand_one_in(2))
        a.inner = check_rand_range(1, 150);
    else if (check_rand_one_in(4))
        a.axis = check_rand_range(100, 3000);
    a.log = check_rand_one_in(2);
    size_t n = a.outer * a.axis * a.inner;
    check_dist dist = check_rand_one_in(3) ? CHECK_SPECIAL : CHECK_UNIFORM;
    float *in = check_alloc_f32_filled(n, dist), *want = check_alloc_f32(n), *got = check_alloc_f32(n);
    float scale = check_rand_one_in(2) ? 1.0f : 30.0f;
    for (size_t i = 0; i < n; i++)
        in[i] *= scale;
    a.in = in;
    a.out = want;
    mbr_softmax_ref(&a, 0, mbr_softmax_tiles(&a));
    bool in_place = check_rand_one_in(2);
    check_case("outer=%zu axis=%zu inner=%zu log=%d in place=%d", a.outer, a.axis, a.inner, a.log, in_place);
    if (in_place) {
        memcpy(got, in, n * sizeof *in);
        a.in = got;
    }
    a.out = got;
    size_t tiles = mbr_softmax_tiles(&a), cut = check_rand_range(0, tiles);
    run(&a, cut, tiles);
    run(&a, 0, cut);
    check_f32(want, got, 1, n, (ptrdiff_t)n, a.log ? 8e-6 : 1e-7, 2e-6);
    check_case_end();
}

/* A row with masked elements behind it gives the bits that it gives alone, so that padded batches decide as rows do. */
static void padded_case(mbr_softmax_fn *run)
{
    size_t n = check_rand_range(1, 150), longer = n + check_rand_range(1, 150);
    float *alone = check_alloc_f32_filled(n, CHECK_UNIFORM), *padded = check_alloc_f32(longer);
    float *want = check_alloc_f32(n), *got = check_alloc_f32(longer);
    for (size_t i = 0; i < longer; i++)
        padded[i] = i < n ? alone[i] : -INFINITY;
    check_case("row of %zu, padded to %zu", n, longer);
    run(&(mbr_softmax_args){.outer = 1, .axis = n, .inner = 1, .in = alone, .out = want}, 0, 1);
    run(&(mbr_softmax_args){.outer = 1, .axis = longer, .inner = 1, .in = padded, .out = got}, 0, 1);
    check_bytes(want, got, n * sizeof *want);
    check_case_end();
}

void check_softmax(void)
{
    for (size_t r = 0; r < ROWS; r++) {
        if (!check_begin(rows[r].name, rows[r].tier))
            continue;
        for (int i = 0; i < 300 && !check_failed(); i++)
            one_case(rows[r].run);
        for (int i = 0; i < 300 && rows[r].run != mbr_softmax_ref && !check_failed(); i++)
            padded_case(rows[r].run);
        check_end();
    }
}

typedef struct bench_case {
    mbr_softmax_fn *run;
    mbr_softmax_args args;
} bench_case;

static void bench_call(void *context)
{
    bench_case *b = context;
    b->run(&b->args, 0, mbr_softmax_tiles(&b->args));
}

/* softmax outer= axis= inner= [log], in elements a nanosecond. */
void bench_softmax(const bench_shape *shape)
{
    for (size_t r = 0; r < ROWS; r++) {
        if (!bench_begin(rows[r].name, rows[r].tier))
            continue;
        bench_case b = {.run = rows[r].run};
        b.args.outer = (size_t)bench_get(shape, "outer", 1536);
        b.args.axis = (size_t)bench_get(shape, "axis", 128);
        b.args.inner = (size_t)bench_get(shape, "inner", 1);
        b.args.log = bench_has(shape, "log");
        size_t n = b.args.outer * b.args.axis * b.args.inner;
        b.args.in = check_alloc_f32_filled(n, CHECK_UNIFORM);
        b.args.out = check_alloc_f32(n);
        bench_run(bench_call, &b);
        bench_report(shape, (double)n, "elements/ns");
    }
}
