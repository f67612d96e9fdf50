/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/qgemm.h"
#include "tests/kernels/check.h"

#include <math.h>
#include <string.h>

static const mbr_qgemm_kernel *const gemm_rows[] = {
#define KERNEL(name, tier) &mbr_##name,
#include "kernels/qgemm.def"
#undef KERNEL
};

static const mbr_qconv_kernel *const conv_rows[] = {
#define KERNEL(name, tier) &mbr_##name,
#include "kernels/qconv.def"
#undef KERNEL
};

#define GEMM_ROWS (sizeof gemm_rows / sizeof *gemm_rows)
#define CONV_ROWS (sizeof conv_rows / sizeof *conv_rows)

static void *random_bytes(size_t n)
{
    void *p = check_alloc(n);
    check_fill_random_bytes(p, n);
    if (check_rand_one_in(4)) /* the ends of the range, where sums saturate in a careless kernel */
        for (size_t i = 0; i < n; i++)
            ((unsigned char *)p)[i] = ((unsigned char *)p)[i] & 1 ? 0xff : ((unsigned char *)p)[i] & 2 ? 0x80 : 0x7f;
    return p;
}

static size_t element(mbr_dtype type)
{
    return type == MBR_DTYPE_I8 || type == MBR_DTYPE_U8 ? 1 : 4;
}

/* The way out for n columns; other has `cells` floats. */
static mbr_quant_out random_out(size_t n, size_t cells, ptrdiff_t ld)
{
    const mbr_dtype types[] = {MBR_DTYPE_I32, MBR_DTYPE_F32, MBR_DTYPE_U8, MBR_DTYPE_I8};
    mbr_quant_out out = {.type = types[check_rand_range(0, 3)], .inverse_scale = 20, .ld_other = ld};
    out.zero = out.type == MBR_DTYPE_U8 ? (int32_t)check_rand_range(0, 255) : (int32_t)check_rand_range(0, 255) - 128;
    float *scale = check_alloc_f32(n);
    for (size_t j = 0; j < n; j++)
        scale[j] = 1e-4f * (1.5f + check_rand_f32());
    out.scale = scale;
    if (check_rand_one_in(2)) {
        int32_t *bias = check_alloc(n * sizeof *bias);
        for (size_t j = 0; j < n; j++)
            bias[j] = (int32_t)(check_rand() % 20001) - 10000;
        out.bias = bias;
    }
    if (check_rand_one_in(2))
        out.real_bias = check_alloc_f32_filled(n, CHECK_UNIFORM);
    if (check_rand_one_in(2))
        out.act = (mbr_act){(mbr_act_kind)check_rand_range(0, MBR_ACT_COUNT - 1), -0.5f, 1.5f};
    if (check_rand_one_in(3) && out.type != MBR_DTYPE_I32) {
        out.other_is = (mbr_gemm_other)check_rand_range(1, 3);
        out.other = check_alloc_f32_filled(cells, CHECK_UNIFORM);
    }
    return out;
}

/* Integers exactly; bytes may be off by one where an activation rounds otherwise; floats closely. */
static void compare(const mbr_quant_out *out, const void *want, const void *got, size_t rows, size_t cols, ptrdiff_t ld)
{
    bool exact = out->act.kind <= MBR_ACT_LEAKY;
    if (out->type == MBR_DTYPE_F32) {
        check_f32(want, got, rows, cols, ld, exact ? 0 : 1e-6, exact ? 0 : 1e-5);
        return;
    }
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < cols; j++) {
            size_t at = i * (size_t)ld + j;
            int64_t w, g;
            if (out->type == MBR_DTYPE_I32) {
                w = ((const int32_t *)want)[at];
                g = ((const int32_t *)got)[at];
            } else {
                w = out->type == MBR_DTYPE_U8 ? ((const uint8_t *)want)[at] : ((const int8_t *)want)[at];
                g = out->type == MBR_DTYPE_U8 ? ((const uint8_t *)got)[at] : ((const int8_t *)got)[at];
            }
            int64_t off = w > g ? w - g : g - w;
            if (off > (exact || out->type == MBR_DTYPE_I32 ? 0 : 1)) {
                check_fail("(%zu, %zu): want %lld, got %lld", i, j, (long long)w, (long long)g);
                return;
            }
        }
}

static void check_product(const mbr_qgemm_kernel *kernel)
{
    mbr_qgemm_args g = MBR_QGEMM_ARGS_INIT;
    g.m = check_rand_range(1, 40);
    g.n = check_rand_range(1, 3 * kernel->nr + 2);
    g.k = check_rand_one_in(20) ? 0 : check_rand_range(1, check_rand_one_in(4) ? 1500 : 70);
    g.batch[1] = check_rand_one_in(4) ? 3 : 1;
    size_t pad = check_rand_one_in(2) ? 0 : check_rand_range(1, 5), matrices = g.batch[1];
    g.lda = (ptrdiff_t)(g.k + pad);
    g.ldc = (ptrdiff_t)(g.n + pad);
    g.a_batch[1] = (ptrdiff_t)g.m * g.lda;
    g.c_batch[1] = g.other_batch[1] = (ptrdiff_t)g.m * g.ldc;
    g.a_signed = check_rand_one_in(2);
    g.a_zero = check_rand_one_in(3) ? 0 : (int32_t)check_rand_range(0, 255) - (g.a_signed ? 128 : 0);
    mbr_qgemm_b b = {.is_signed = check_rand_one_in(2), .zero_step = check_rand_one_in(2)};
    bool cols = check_rand_one_in(2);
    size_t ldb = (cols ? g.k : g.n) + pad, cells = g.m * (size_t)g.ldc * matrices;
    b.stride_p = cols ? 1 : (ptrdiff_t)ldb;
    b.stride_j = cols ? (ptrdiff_t)ldb : 1;
    b.b = random_bytes((cols ? g.n : g.k) * ldb);
    if (check_rand_one_in(2))
        b.zero = random_bytes(b.zero_step ? g.n : 1);
    g.a = random_bytes(g.m * (size_t)g.lda * matrices);
    g.out = random_out(g.n, cells, g.ldc);
    check_case(
        "m %zu n %zu k %zu matrices %zu lda %td ldc %td a_signed %d a_zero %d b_signed %d zeros %d type %d act %d", g.m,
        g.n, g.k, matrices, g.lda, g.ldc, g.a_signed, (int)g.a_zero, b.is_signed, b.zero ? 1 + (int)b.zero_step : 0,
        (int)g.out.type, (int)g.out.act.kind);
    void *want = check_alloc(cells * element(g.out.type)), *got = check_alloc(cells * element(g.out.type));
    void *plain = check_alloc(mbr_qgemm_ref.pack_size(g.k, g.n)), *packed = check_alloc(kernel->pack_size(g.k, g.n));
    mbr_qgemm_ref.pack(plain, g.k, g.n, &b, 0, g.n);
    size_t split = g.n / 2 / kernel->nr * kernel->nr;
    kernel->pack(packed, g.k, g.n, &b, split, g.n);
    kernel->pack(packed, g.k, g.n, &b, 0, split);
    g.b = plain;
    g.c = want;
    mbr_qgemm_ref.run(&g, NULL, 0, mbr_qgemm_ref.tiles(&g));
    g.b = packed;
    g.c = got;
    void *scratch = check_alloc(kernel->scratch(&g));
    for (size_t t = kernel->tiles(&g); t-- > 0;)
        kernel->run(&g, scratch, t, t + 1);
    compare(&g.out, want, got, g.m * matrices, g.n, g.ldc);
    check_case_end();
}

void check_qgemm(void)
{
    for (size_t i = 0; i < GEMM_ROWS; i++) {
        if (!check_begin(gemm_rows[i]->name, gemm_rows[i]->tier))
            continue;
        for (int n = 0; n < 400 && !check_failed(); n++)
            check_product(gemm_rows[i]);
        check_end();
    }
}

static mbr_conv_args random_shape(void)
{
    mbr_conv_args s = {.n = check_rand_range(1, 2),
                       .groups = 1,
                       .in = {1, 1, 1},
                       .out = {1, 1, 1},
                       .kernel = {1, 1, 1},
                       .stride = {1, 1, 1},
                       .dilation = {1, 1, 1}};
    s.channels = check_rand_range(1, 40);
    s.filters = check_rand_range(1, 70);
    if (check_rand_one_in(3)) {
        s.groups = check_rand_range(2, 40);
        s.channels = s.filters = s.groups;
        if (check_rand_one_in(2)) {
            s.channels *= check_rand_range(1, 9);
            s.filters *= check_rand_range(1, 9);
        }
    }
    for (int d = (int)check_rand_range(0, 2); d < 3; d++) {
        s.in[d] = check_rand_range(1, 12);
        s.kernel[d] = check_rand_range(1, 5);
        s.stride[d] = check_rand_range(1, 2);
        s.dilation[d] = check_rand_one_in(3) ? 2 : 1;
        s.pad[d] = (ptrdiff_t)check_rand_range(0, 3);
        size_t reach = (s.kernel[d] - 1) * s.dilation[d] + 1,
               padded = s.in[d] + (size_t)s.pad[d] + check_rand_range(0, 3);
        s.out[d] = padded < reach ? 0 : (padded - reach) / s.stride[d] + 1;
    }
    s.ldx = (ptrdiff_t)(s.channels + (check_rand_one_in(3) ? 3 : 0));
    s.ldy = (ptrdiff_t)(s.filters + (check_rand_one_in(3) ? 3 : 0));
    return s;
}

static void check_convolution(const mbr_qconv_kernel *kernel)
{
    mbr_qconv_args a = {.shape = random_shape()};
    mbr_conv_args *s = &a.shape;
    if (!kernel->fits(s))
        return;
    size_t in = s->n * s->in[0] * s->in[1] * s->in[2], points = s->n * s->out[0] * s->out[1] * s->out[2];
    size_t weights_n = s->filters * (s->channels / s->groups) * s->kernel[0] * s->kernel[1] * s->kernel[2];
    a.x_signed = check_rand_one_in(2);
    a.x_zero = check_rand_one_in(3) ? 0 : (int32_t)check_rand_range(0, 255) - (a.x_signed ? 128 : 0);
    a.x = random_bytes(in * (size_t)s->ldx);
    a.out = random_out(s->filters, points * (size_t)s->ldy, s->ldy);
    bool w_signed = check_rand_one_in(2);
    size_t zero_step = check_rand_one_in(2);
    const void *weights = random_bytes(weights_n), *zero = check_rand_one_in(2) ? random_bytes(s->filters) : NULL;
    check_case("n %zu channels %zu filters %zu groups %zu in %zux%zux%zu out %zux%zux%zu kernel %zux%zux%zu stride %zu "
               "x_signed %d x_zero %d w_signed %d zeros %d type %d act %d",
               s->n, s->channels, s->filters, s->groups, s->in[0], s->in[1], s->in[2], s->out[0], s->out[1], s->out[2],
               s->kernel[0], s->kernel[1], s->kernel[2], s->stride[2], a.x_signed, (int)a.x_zero, w_signed,
               zero ? 1 + (int)zero_step : 0, (int)a.out.type, (int)a.out.act.kind);
    void *want = check_alloc(points * (size_t)s->ldy * element(a.out.type));
    void *got = check_alloc(points * (size_t)s->ldy * element(a.out.type));
    void *plain = check_alloc(mbr_qconv_ref.pack_size(s)), *packed = check_alloc(kernel->pack_size(s));
    mbr_qconv_ref.pack(s, weights, w_signed, zero, zero_step, plain, 0, mbr_qconv_ref.pack_units(s));
    size_t units = kernel->pack_units(s), split = check_rand_range(0, units);
    kernel->pack(s, weights, w_signed, zero, zero_step, packed, split, units);
    kernel->pack(s, weights, w_signed, zero, zero_step, packed, 0, split);
    a.w = plain;
    a.y = want;
    mbr_qconv_ref.run(&a, NULL, 0, mbr_qconv_ref.tiles(&a));
    a.w = packed;
    a.y = got;
    void *scratch = check_alloc(kernel->scratch(&a));
    for (size_t t = kernel->tiles(&a); t-- > 0;)
        kernel->run(&a, scratch, t, t + 1);
    compare(&a.out, want, got, points, s->filters, s->ldy);
    check_case_end();
}

void check_qconv(void)
{
    for (size_t i = 0; i < CONV_ROWS; i++) {
        if (!check_begin(conv_rows[i]->name, conv_rows[i]->tier))
            continue;
        for (int n = 0; n < 400 && !check_failed(); n++)
            check_convolution(conv_rows[i]);
        check_end();
    }
}

static mbr_quant_out byte_out(size_t n)
{
    float *scale = check_alloc_f32(n);
    for (size_t j = 0; j < n; j++)
        scale[j] = 1e-3f;
    return (mbr_quant_out){.type = MBR_DTYPE_U8, .scale = scale, .inverse_scale = 1, .zero = 3};
}

typedef struct timed {
    const mbr_qgemm_kernel *gemm;
    mbr_qgemm_args gemm_args;
    const mbr_qconv_kernel *conv;
    mbr_qconv_args conv_args;
    void *scratch;
} timed;

static void call(void *context)
{
    timed *t = context;
    if (t->gemm)
        t->gemm->run(&t->gemm_args, t->scratch, 0, t->gemm->tiles(&t->gemm_args));
    else
        t->conv->run(&t->conv_args, t->scratch, 0, t->conv->tiles(&t->conv_args));
}

/* qgemm m= n= k= */
void bench_qgemm(const bench_shape *shape)
{
    size_t m = (size_t)bench_get(shape, "m", 128), n = (size_t)bench_get(shape, "n", 128),
           k = (size_t)bench_get(shape, "k", 128);
    for (size_t i = 1; i < GEMM_ROWS; i++) {
        const mbr_qgemm_kernel *kernel = gemm_rows[i];
        if (!bench_begin(kernel->name, kernel->tier))
            continue;
        timed t = {.gemm = kernel, .gemm_args = MBR_QGEMM_ARGS_INIT};
        mbr_qgemm_args *g = &t.gemm_args;
        mbr_qgemm_b b = {.is_signed = true, .b = random_bytes(n * k), .stride_p = (ptrdiff_t)n, .stride_j = 1};
        void *packed = check_alloc(kernel->pack_size(k, n));
        kernel->pack(packed, k, n, &b, 0, n);
        g->m = m;
        g->n = n;
        g->k = k;
        g->lda = (ptrdiff_t)k;
        g->ldc = (ptrdiff_t)n;
        g->a = random_bytes(m * k);
        g->b = packed;
        g->c = check_alloc(m * n);
        g->out = byte_out(n);
        t.scratch = check_alloc(kernel->scratch(g));
        bench_run(call, &t);
        bench_report(shape, 2.0 * (double)m * (double)n * (double)k, "GOP/s");
    }
}

/* qconv c= o= [g=] h= k= [s=]: square, padded by k / 2 */
void bench_qconv(const bench_shape *shape)
{
    for (size_t i = 0; i < CONV_ROWS; i++) {
        const mbr_qconv_kernel *kernel = conv_rows[i];
        size_t h = (size_t)bench_get(shape, "h", 56), k = (size_t)bench_get(shape, "k", 3),
               s = (size_t)bench_get(shape, "s", 1);
        size_t out = (h + k / 2 * 2 - k) / s + 1;
        mbr_conv_args c = {.n = 1,
                           .channels = (size_t)bench_get(shape, "c", 64),
                           .filters = (size_t)bench_get(shape, "o", 64),
                           .groups = (size_t)bench_get(shape, "g", 1),
                           .in = {1, h, h},
                           .out = {1, out, out},
                           .kernel = {1, k, k},
                           .stride = {1, s, s},
                           .dilation = {1, 1, 1},
                           .pad = {0, (ptrdiff_t)(k / 2), (ptrdiff_t)(k / 2)}};
        c.ldx = (ptrdiff_t)c.channels;
        c.ldy = (ptrdiff_t)c.filters;
        if (kernel == &mbr_qconv_ref || !bench_begin(kernel->name, kernel->tier) || !kernel->fits(&c))
            continue;
        size_t weights_n = c.filters * (c.channels / c.groups) * k * k;
        timed t = {.conv = kernel, .conv_args = {.shape = c, .x = random_bytes(h * h * c.channels), .x_zero = 7}};
        void *packed = check_alloc(kernel->pack_size(&c));
        kernel->pack(&c, random_bytes(weights_n), true, NULL, 0, packed, 0, kernel->pack_units(&c));
        t.conv_args.w = packed;
        t.conv_args.y = check_alloc(out * out * c.filters);
        t.conv_args.out = byte_out(c.filters);
        t.scratch = check_alloc(kernel->scratch(&t.conv_args));
        bench_run(call, &t);
        bench_report(shape, 2.0 * (double)(out * out) * (double)weights_n, "GOP/s");
    }
}
