/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/conv.h"
#include "tests/kernels/check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const mbr_conv_f32_kernel *kernel;
    double tol;
} rows[] = {
#define KERNEL(name, tier, tol) {&mbr_##name, tol},
#include "kernels/conv.def"
#undef KERNEL
};

#define ROWS (sizeof rows / sizeof *rows)

static size_t out_size(const mbr_conv_args *a, int d, ptrdiff_t pad_behind)
{
    ptrdiff_t reach = (ptrdiff_t)((a->kernel[d] - 1) * a->dilation[d]) + 1, in = (ptrdiff_t)a->in[d],
              s = (ptrdiff_t)a->stride[d];
    ptrdiff_t n =
        a->transposed ? (in - 1) * s + reach - a->pad[d] - pad_behind : (in + a->pad[d] + pad_behind - reach) / s + 1;
    return in + a->pad[d] + pad_behind < reach && !a->transposed ? 0 : n < 0 ? 0 : (size_t)n;
}

static void random_epilogue(mbr_conv_args *a, size_t y_floats)
{
    mbr_gemm_epilogue *e = &a->epilogue;
    if (check_rand_one_in(2))
        e->bias = check_alloc_f32_filled(a->filters, CHECK_UNIFORM);
    if (check_rand_one_in(2)) {
        e->act.kind = (mbr_act_kind)check_rand_range(0, MBR_ACT_COUNT - 1);
        e->act.a = e->act.kind == MBR_ACT_CLIP ? -0.5f : 0.2f;
        e->act.b = 0.5f;
    }
    if (check_rand_one_in(3)) {
        e->other_is = (mbr_gemm_other)check_rand_range(1, 3);
        e->ld_other = a->ldy;
        e->other = check_alloc_f32_filled(y_floats, CHECK_UNIFORM);
    }
}

/* Random sizes; kind picks: 0 anything, 1 pointwise, 2 depthwise, 3 a 3x3 of stride 1, 4 few filters, 5 few planes,
   6 long lines. */
static mbr_conv_args make_args(int kind)
{
    mbr_conv_args a = {.n = check_rand_range(1, 2), .groups = 1};
    a.channels = check_rand_range(1, check_rand_one_in(2) ? 8 : 40);
    a.filters = check_rand_range(1, check_rand_one_in(2) ? 8 : 40);
    if (kind == 0 && check_rand_one_in(4)) {
        a.groups = check_rand_range(2, 4);
        a.channels = a.groups * check_rand_range(1, 9);
        a.filters = a.groups * check_rand_range(1, 20);
    }
    if (kind == 2) {
        a.channels = a.groups = check_rand_range(1, 70);
        a.filters = a.channels * (check_rand_one_in(3) ? check_rand_range(2, 3) : 1);
    }
    a.transposed = (kind == 0 || kind == 6) && check_rand_one_in(3);
    a.x_planes = (kind == 0 || kind == 4) && !a.transposed && check_rand_one_in(3);
    if (kind == 5) { /* what the first layer of a network has */
        a.channels = check_rand_range(1, 4);
        a.filters = check_rand_range(9, 70);
        a.x_planes = true;
    }
    if (kind == 3) { /* what Winograd's method wants */
        a.channels = check_rand_range(16, 50);
        a.filters = check_rand_range(16, 90);
    }
    if (kind == 4) {
        a.groups = check_rand_range(1, 2);
        a.channels = a.groups * check_rand_range(1, 40);
        a.filters = a.groups * check_rand_range(1, 4);
    }
    bool few = kind == 1 && check_rand_one_in(3); /* points and many channels, as where a network weighs its planes */
    if (few) {
        a.groups = check_rand_range(1, 2);
        a.channels = a.groups * check_rand_range(100, 700);
        a.filters = a.groups * check_rand_range(50, 400);
    }
    if (kind == 6) /* of which whole tiles have all their taps */
        a.filters = a.groups * check_rand_range(5, 70);
    int rank = kind == 3 ? 2 : (int)check_rand_range(1, kind == 6 ? 2 : 3);
    for (int d = 0; d < 3; d++) {
        a.kernel[d] = a.stride[d] = a.dilation[d] = a.in[d] = a.out[d] = 1;
        if (d < 3 - rank)
            continue;
        a.in[d] = kind == 3 ? check_rand_range(4, check_rand_one_in(2) ? 9 : 30)
                            : check_rand_range(1, few ? 2 : rank == 3 ? 6 : 17);
        if (kind == 5 && d == 2 && check_rand_one_in(3))
            a.in[d] = check_rand_range(100, 2500); /* more than is copied at once */
        if (kind == 6)
            a.in[d] = d == 2 ? check_rand_range(60, 500) : check_rand_range(1, 4);
        a.kernel[d] = kind == 1 ? 1 : kind == 3 ? 3 : check_rand_range(1, 5);
        a.stride[d] = kind == 3 ? 1 : check_rand_one_in(2) ? 1 : check_rand_range(1, 3);
        a.dilation[d] = kind == 3 || check_rand_one_in(2) ? 1 : check_rand_range(1, 3);
        a.pad[d] = kind == 1 ? 0 : (ptrdiff_t)check_rand_range(0, 3);
        if (check_rand_one_in(10))
            a.pad[d] = -1;
        a.out[d] = out_size(&a, d, kind == 1 ? 0 : (ptrdiff_t)check_rand_range(0, 3));
    }
    return a;
}

static void check_one(const mbr_conv_f32_kernel *kernel, double tol, int kind, check_dist dist)
{
    mbr_conv_args a = make_args(kind);
    if (!kernel->fits(&a))
        return;
    check_case("n %zu channels %zu filters %zu groups %zu in %zux%zux%zu out %zux%zux%zu kernel %zux%zux%zu stride "
               "%zux%zux%zu "
               "dilation %zux%zux%zu pad %td,%td,%td%s%s",
               a.n, a.channels, a.filters, a.groups, a.in[0], a.in[1], a.in[2], a.out[0], a.out[1], a.out[2],
               a.kernel[0], a.kernel[1], a.kernel[2], a.stride[0], a.stride[1], a.stride[2], a.dilation[0],
               a.dilation[1], a.dilation[2], a.pad[0], a.pad[1], a.pad[2], a.transposed ? " transposed" : "",
               a.x_planes ? " planes" : "");
    a.ldx = (ptrdiff_t)(a.channels + (check_rand_one_in(3) ? check_rand_range(1, 5) : 0));
    a.ldy = (ptrdiff_t)(a.filters + (check_rand_one_in(3) ? check_rand_range(1, 5) : 0));
    if (a.x_planes)
        a.ldx = (ptrdiff_t)a.channels;
    size_t points = a.out[0] * a.out[1] * a.out[2], taps = a.kernel[0] * a.kernel[1] * a.kernel[2];
    size_t x_floats = a.n * a.in[0] * a.in[1] * a.in[2] * (size_t)a.ldx, y_floats = a.n * points * (size_t)a.ldy;
    size_t w_floats = a.filters * (a.channels / a.groups) * taps;
    a.x = check_alloc_f32_filled(x_floats, dist);
    random_epilogue(&a, y_floats);
    float *weights = check_alloc_f32_filled(w_floats, CHECK_UNIFORM);
    float *want = check_alloc_f32(y_floats), *got = check_alloc_f32(y_floats),
          *packed = check_alloc(kernel->pack_size(&a));
    size_t units = kernel->pack_units(&a), split = check_rand_range(0, units);
    kernel->pack(&a, weights, packed, split, units);
    kernel->pack(&a, weights, packed, 0, split);
    a.w = weights;
    a.y = want;
    mbr_conv_f32_ref.run(&a, NULL, 0, mbr_conv_f32_ref.tiles(&a));
    a.w = packed;
    a.y = got;
    size_t tiles = kernel->tiles(&a);
    float *scratch = check_alloc(kernel->scratch(&a));
    for (size_t t = tiles; t > 0;) {
        size_t first = check_rand_range(0, t - 1);
        kernel->run(&a, scratch, first, t);
        t = first;
    }
    double abs = tol * (double)(a.channels / a.groups * taps + 20);
    check_f32(want, got, a.n * points, a.filters, a.ldy, abs, 1e-6);
    for (size_t i = 0; i < y_floats; i++)
        if (i % (size_t)a.ldy >= a.filters && !isnan(got[i])) {
            check_fail("wrote between the points of y");
            break;
        }
    if (a.n > 1 && points) { /* the last sample alone has the same bits */
        mbr_conv_args one = a;
        one.n = 1;
        one.x += x_floats / a.n * (a.n - 1);
        one.y = check_alloc_f32(y_floats / a.n);
        if (one.epilogue.other)
            one.epilogue.other += y_floats / a.n * (a.n - 1);
        kernel->run(&one, check_alloc(kernel->scratch(&one)), 0, kernel->tiles(&one));
        if (dist != CHECK_SPECIAL)
            check_bytes(got + y_floats / a.n * (a.n - 1), one.y, y_floats / a.n * sizeof(float));
    }
    check_case_end();
}

void check_conv(void)
{
    for (size_t i = 0; i < ROWS; i++) {
        const mbr_conv_f32_kernel *kernel = rows[i].kernel;
        if (!check_begin(kernel->name, kernel->tier))
            continue;
        for (int n = 0; n < 560 && !check_failed(); n++)
            check_one(kernel, rows[i].tol, n % 7, kernel->exact && n % 8 == 4 ? CHECK_SPECIAL : CHECK_UNIFORM);
        check_end();
    }
}

typedef struct timed {
    const mbr_conv_f32_kernel *kernel;
    mbr_conv_args args;
    void *scratch;
} timed;

static void call(void *context)
{
    timed *t = context;
    t->kernel->run(&t->args, t->scratch, 0, t->kernel->tiles(&t->args));
}

/* conv c= o= [g=] h= [w=] k= [kh=] [s=] [d=] [p=] [n=] [planes] [relu|silu]: square kernels, or kh high; the pad is k / 2
   unless given */
void bench_conv(const bench_shape *shape)
{
    for (size_t i = 0; i < ROWS; i++) {
        const mbr_conv_f32_kernel *kernel = rows[i].kernel;
        size_t k = (size_t)bench_get(shape, "k", 3), kh = (size_t)bench_get(shape, "kh", (long)k),
               s = (size_t)bench_get(shape, "s", 1), h = (size_t)bench_get(shape, "h", 56);
        size_t dil = (size_t)bench_get(shape, "d", 1), w = (size_t)bench_get(shape, "w", (long)h);
        mbr_conv_args a = {
            .n = (size_t)bench_get(shape, "n", 1),
            .channels = (size_t)bench_get(shape, "c", 64),
            .filters = (size_t)bench_get(shape, "o", 64),
            .groups = (size_t)bench_get(shape, "g", 1),
            .in = {1, h, w},
            .kernel = {1, kh, k},
            .stride = {1, s, s},
            .dilation = {1, dil, dil},
            .x_planes = bench_has(shape, "planes"),
            .transposed = bench_has(shape, "transposed"),
        };
        a.pad[1] = bench_get(shape, "p", (long)(kh / 2 * dil));
        a.pad[2] = bench_get(shape, "p", (long)(k / 2 * dil));
        for (int d = 0; d < 3; d++)
            a.out[d] = out_size(&a, d, a.pad[d]);
        if (kernel == &mbr_conv_f32_ref || !bench_begin(kernel->name, kernel->tier) || !kernel->fits(&a))
            continue;
        a.ldx = (ptrdiff_t)a.channels;
        a.ldy = (ptrdiff_t)a.filters;
        a.epilogue.act.kind = bench_has(shape, "relu")   ? MBR_ACT_RELU
                              : bench_has(shape, "silu") ? MBR_ACT_SILU
                                                         : MBR_ACT_NONE;
        a.epilogue.act.a = 1;
        size_t points = a.n * a.out[1] * a.out[2];
        float *weights = check_alloc_f32_filled(a.filters * a.channels / a.groups * kh * k, CHECK_UNIFORM);
        float *packed = check_alloc(kernel->pack_size(&a));
        a.x = check_alloc_f32_filled(a.n * h * w * a.channels, CHECK_UNIFORM);
        a.epilogue.bias = check_alloc_f32_filled(a.filters, CHECK_UNIFORM);
        a.y = check_alloc_f32(points * a.filters);
        kernel->pack(&a, weights, packed, 0, kernel->pack_units(&a));
        a.w = packed;
        timed t = {.kernel = kernel, .args = a, .scratch = check_alloc(kernel->scratch(&a))};
        bench_run(call, &t);
        size_t worked = a.transposed ? a.n * h * w : points;
        bench_report(shape, 2.0 * (double)worked * (double)a.filters * (double)(a.channels / a.groups * kh * k),
                     "GFLOP/s");
    }
}
