/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/pool.h"
#include "tests/kernels/check.h"

#define KERNEL(name, tier) mbr_pool_fn mbr_##name;
#include "kernels/pool.def"
#undef KERNEL

static const struct {
    const char *name;
    mbr_cpu_tier tier;
    mbr_pool_fn *run;
} rows[] = {
#define KERNEL(name, tier) {#name, MBR_TIER_##tier, mbr_##name},
#include "kernels/pool.def"
#undef KERNEL
};

#define ROWS (sizeof rows / sizeof *rows)

/* Output positions, with ceil mode or not; the last window starts inside the input or its left padding. */
static size_t out_size(size_t in, size_t kernel, size_t stride, size_t dilation, size_t pads, bool ceil, size_t begin)
{
    size_t reach = dilation * (kernel - 1) + 1;
    if (in + pads < reach)
        return 0;
    size_t n = (in + pads - reach + (ceil ? stride - 1 : 0)) / stride + 1;
    return (n - 1) * stride >= in + begin ? n - 1 : n;
}

static void one_case(mbr_pool_fn *run)
{
    mbr_pool_args a = {.op = check_rand_one_in(2) ? MBR_POOL_MAX : MBR_POOL_AVERAGE, .dtype = MBR_DTYPE_F32};
    a.channels_last = !check_rand_one_in(3);
    a.count_include_pad = check_rand_one_in(2);
    a.pass_nan = check_rand_one_in(2);
    a.n = check_rand_range(1, 2);
    a.channels = check_rand_one_in(2) ? check_rand_range(1, 80) : check_rand_range(1, 9);
    int spatial = (int)check_rand_range(1, 3);
    bool ceil = check_rand_one_in(2);
    for (int d = 0; d < 3; d++) {
        bool used = d >= 3 - spatial;
        do {
            a.in_dims[d] = used ? check_rand_range(1, 12) : 1;
            a.kernel[d] = used ? check_rand_range(1, 4) : 1;
            a.stride[d] = used ? check_rand_range(1, 3) : 1;
            a.dilation[d] = used ? check_rand_range(1, 3) : 1;
            a.pad_begin[d] = used ? check_rand_range(0, a.kernel[d] - 1) : 0;
            a.pad_end[d] = used ? check_rand_range(0, a.kernel[d] - 1) : 0;
            a.out_dims[d] = out_size(a.in_dims[d], a.kernel[d], a.stride[d], a.dilation[d],
                                     a.pad_begin[d] + a.pad_end[d], ceil, a.pad_begin[d]);
        } while (a.out_dims[d] == 0);
    }
    size_t in = a.n * a.channels * mbr_dims_count(3, a.in_dims), out = a.n * a.channels * mbr_dims_count(3, a.out_dims);
    float *want = check_alloc_f32(out), *got = check_alloc_f32(out);
    a.in = check_alloc_f32_filled(in, check_rand_one_in(4) ? CHECK_SPECIAL : CHECK_UNIFORM);
    check_case("op=%d last=%d c=%zu in=%zu %zu %zu out=%zu %zu %zu kernel=%zu %zu %zu", (int)a.op, a.channels_last,
               a.channels, a.in_dims[0], a.in_dims[1], a.in_dims[2], a.out_dims[0], a.out_dims[1], a.out_dims[2],
               a.kernel[0], a.kernel[1], a.kernel[2]);
    a.out = want;
    mbr_pool_ref(&a, 0, mbr_pool_tiles(&a));
    a.out = got;
    size_t cut = check_rand_range(0, mbr_pool_tiles(&a));
    run(&a, cut, mbr_pool_tiles(&a));
    run(&a, 0, cut);
    check_f32(want, got, 1, out, 0, a.op == MBR_POOL_MAX ? 0 : 2e-6, a.op == MBR_POOL_MAX ? 0 : 2e-6);
    check_case_end();
}

void check_pool(void)
{
    for (size_t r = 0; r < ROWS; r++) {
        if (!check_begin(rows[r].name, rows[r].tier))
            continue;
        for (int i = 0; i < 300 && !check_failed(); i++)
            one_case(rows[r].run);
        check_end();
    }
}

typedef struct bench_case {
    mbr_pool_fn *run;
    mbr_pool_args args;
} bench_case;

static void bench_call(void *context)
{
    bench_case *b = context;
    b->run(&b->args, 0, mbr_pool_tiles(&b->args));
}

/* pool c= size= kernel= stride= pad= [average] [nchw], in outputs a nanosecond. */
void bench_pool(const bench_shape *shape)
{
    for (size_t r = 0; r < ROWS; r++) {
        if (!bench_begin(rows[r].name, rows[r].tier))
            continue;
        bench_case b = {.run = rows[r].run};
        mbr_pool_args *a = &b.args;
        a->op = bench_has(shape, "average") ? MBR_POOL_AVERAGE : MBR_POOL_MAX;
        a->dtype = MBR_DTYPE_F32;
        a->channels_last = !bench_has(shape, "nchw");
        a->n = 1;
        a->channels = (size_t)bench_get(shape, "c", 64);
        for (int d = 0; d < 3; d++) {
            size_t size = (size_t)bench_get(shape, "size", 112);
            a->in_dims[d] = d ? size : 1;
            a->kernel[d] = d ? (size_t)bench_get(shape, "kernel", 3) : 1;
            a->stride[d] = d ? (size_t)bench_get(shape, "stride", 2) : 1;
            a->dilation[d] = 1;
            a->pad_begin[d] = a->pad_end[d] = d ? (size_t)bench_get(shape, "pad", 1) : 0;
            a->out_dims[d] = out_size(a->in_dims[d], a->kernel[d], a->stride[d], 1, 2 * a->pad_begin[d], false,
                                      a->pad_begin[d]);
        }
        a->in = check_alloc_f32_filled(a->channels * mbr_dims_count(3, a->in_dims), CHECK_UNIFORM);
        size_t outputs = a->channels * mbr_dims_count(3, a->out_dims);
        a->out = check_alloc_f32(outputs);
        bench_run(bench_call, &b);
        bench_report(shape, (double)outputs, "outputs/ns");
    }
}
