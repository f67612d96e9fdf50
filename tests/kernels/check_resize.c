/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/resize.h"
#include "tests/kernels/check.h"

#define KERNEL(name, tier) mbr_resize_fn mbr_##name;
#include "kernels/resize.def"
#undef KERNEL

static const struct {
    const char *name;
    mbr_cpu_tier tier;
    mbr_resize_fn *run;
} rows[] = {
#define KERNEL(name, tier) {#name, MBR_TIER_##tier, mbr_##name},
#include "kernels/resize.def"
#undef KERNEL
};

#define ROWS (sizeof rows / sizeof *rows)

static void one_case(mbr_resize_fn *run)
{
    mbr_resize_desc d = {.cubic_a = -0.75f, .extrapolation = 9.0f, .rank = (int)check_rand_range(1, 4)};
    d.mode = (mbr_resize_mode)check_rand_range(0, 2);
    d.coord = (mbr_resize_coord)check_rand_range(0, MBR_RESIZE_TF_CROP);
    d.nearest = (mbr_resize_nearest)check_rand_range(0, MBR_RESIZE_CEIL_DOWN);
    d.exclude_outside = d.mode == MBR_RESIZE_CUBIC && check_rand_one_in(2);
    d.antialias = d.mode != MBR_RESIZE_NEAREST && check_rand_one_in(3);
    for (int a = 0; a < d.rank; a++) {
        d.in_dims[a] = check_rand_range(1, 12);
        d.out_dims[a] = check_rand_one_in(2) ? d.in_dims[a] : check_rand_range(1, 20);
        d.scale[a] = (double)d.out_dims[a] / (double)d.in_dims[a];
        bool crop = check_rand_one_in(2) && d.out_dims[a] != d.in_dims[a];
        d.roi_begin[a] = crop ? 0.25f * check_rand_f32() : 0.0f;
        d.roi_end[a] = crop ? 1.0f + 0.25f * check_rand_f32() : 1.0f;
    }
    size_t in = mbr_dims_count(d.rank, d.in_dims), out = mbr_dims_count(d.rank, d.out_dims);
    float *x = check_alloc_f32_filled(in, CHECK_UNIFORM), *want = check_alloc_f32(out), *got = check_alloc_f32(out);
    check_case("mode=%d coord=%d rank=%d in=%zu %zu %zu %zu out=%zu %zu %zu %zu", (int)d.mode, (int)d.coord, d.rank,
               d.in_dims[0], d.in_dims[1], d.in_dims[2], d.in_dims[3], d.out_dims[0], d.out_dims[1], d.out_dims[2],
               d.out_dims[3]);
    size_t bytes = mbr_resize_table_size(&d);
    if (bytes == 0)
        check_fail("no table size");
    mbr_resize_plan plan;
    mbr_resize_plan_init(&plan, &d, check_alloc(bytes));
    mbr_resize_ref(&plan, x, want, 0, plan.tiles);
    size_t cut = check_rand_range(0, plan.tiles);
    run(&plan, x, got, cut, plan.tiles);
    run(&plan, x, got, 0, cut);
    check_f32(want, got, 1, out, 0, 2e-6, 2e-6);
    check_case_end();
}

void check_resize(void)
{
    for (size_t r = 0; r < ROWS; r++) {
        if (!check_begin(rows[r].name, rows[r].tier))
            continue;
        for (int i = 0; i < 600 && !check_failed(); i++)
            one_case(rows[r].run);
        check_end();
    }
}

typedef struct bench_case {
    mbr_resize_fn *run;
    mbr_resize_plan plan;
    const float *in;
    float *out;
} bench_case;

static void bench_call(void *context)
{
    bench_case *b = context;
    b->run(&b->plan, b->in, b->out, 0, b->plan.tiles);
}

/* resize c= in= out= [nchw] [nearest] [cubic], a square image, in outputs a nanosecond. */
void bench_resize(const bench_shape *shape)
{
    for (size_t r = 0; r < ROWS; r++) {
        if (!bench_begin(rows[r].name, rows[r].tier))
            continue;
        bench_case b = {.run = rows[r].run};
        size_t c = (size_t)bench_get(shape, "c", 64), in = (size_t)bench_get(shape, "in", 28);
        size_t out = (size_t)bench_get(shape, "out", 56);
        bool planes = bench_has(shape, "nchw");
        mbr_resize_desc d = {.cubic_a = -0.75f, .rank = 3, .mode = MBR_RESIZE_LINEAR};
        d.mode = bench_has(shape, "nearest") ? MBR_RESIZE_NEAREST : bench_has(shape, "cubic") ? MBR_RESIZE_CUBIC : d.mode;
        for (int k = 0; k < 3; k++) {
            bool channel = planes ? k == 0 : k == 2;
            d.in_dims[k] = channel ? c : in;
            d.out_dims[k] = channel ? c : out;
            d.scale[k] = channel ? 1.0 : (double)out / (double)in;
        }
        mbr_resize_plan_init(&b.plan, &d, check_alloc(mbr_resize_table_size(&d)));
        b.in = check_alloc_f32_filled(c * in * in, CHECK_UNIFORM);
        b.out = check_alloc_f32(c * out * out);
        bench_run(bench_call, &b);
        bench_report(shape, (double)(c * out * out), "outputs/ns");
    }
}
