/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/quantize.h"
#include "tests/kernels/check.h"

static const mbr_quantize_kernel *const rows[] = {
#define KERNEL(name, tier) &mbr_##name,
#include "kernels/quantize.def"
#undef KERNEL
};

#define ROWS (sizeof rows / sizeof *rows)

static const mbr_dtype narrow[] = { MBR_DTYPE_U8, MBR_DTYPE_I8, MBR_DTYPE_U16, MBR_DTYPE_I16, MBR_DTYPE_U4, MBR_DTYPE_I2,
                                    MBR_DTYPE_F8E4M3FN, MBR_DTYPE_F4E2M1 };

static void fill_narrow(mbr_dtype t, void *p, size_t n)
{
    unsigned char *bytes = p;
    check_fill_random_bytes(p, n * mbr_dtype_size(t));
    for (size_t i = 0; i < n; i++) {
        if (t == MBR_DTYPE_U4 || t == MBR_DTYPE_F4E2M1)
            bytes[i] &= 15;
        else if (t == MBR_DTYPE_I2)
            bytes[i] = (unsigned char)((bytes[i] & 3) - 2);
        else if (t == MBR_DTYPE_F8E4M3FN && (bytes[i] & 127) == 127)
            bytes[i] = 0;
    }
}

static void fill_scales(float *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        s[i] = 0.001f + (check_rand_f32() + 1.0f) * 0.1f;
}

static void one_case(const mbr_quantize_kernel *kernel, mbr_dtype t)
{
    size_t n = check_rand_range(1, 700), step = check_rand_range(0, 1), scales = step ? n : 1;
    size_t size = mbr_dtype_size(t);
    bool with_zero = check_rand_one_in(2);
    float *x = check_alloc_f32_filled(n, check_rand_one_in(2) ? CHECK_SPECIAL : CHECK_WIDE), *s = check_alloc_f32(scales);
    void *zero = check_alloc(scales * size), *want = check_alloc(n * size), *got = check_alloc(n * size);
    float *real_want = check_alloc_f32(n), *real_got = check_alloc_f32(n);
    fill_narrow(t, zero, scales);
    fill_scales(s, scales);
    mbr_quantize_args args = { .x = MBR_DTYPE_F32, .scale = MBR_DTYPE_F32, .y = t, .precision = MBR_DTYPE_F32,
                               .saturate = check_rand_one_in(2) };
    check_case("quantize to %s, n=%zu, step=%zu, zero=%d", mbr_dtype_name(t), n, step, with_zero);
    mbr_quantize_ref.quantize(&args, x, s, with_zero ? zero : NULL, step, want, n);
    kernel->quantize(&args, x, s, with_zero ? zero : NULL, step, got, n);
    check_bytes(want, got, n * size);
    args.x = t;
    args.y = MBR_DTYPE_F32;
    fill_narrow(t, want, n);
    mbr_quantize_ref.dequantize(&args, want, s, with_zero ? zero : NULL, step, real_want, n);
    kernel->dequantize(&args, want, s, with_zero ? zero : NULL, step, real_got, n);
    check_bytes(real_want, real_got, n * sizeof *real_want);
    float low_want, high_want, low_got, high_got;
    mbr_quantize_ref.range(x, n, &low_want, &high_want);
    kernel->range(x, n, &low_got, &high_got);
    if (low_want != low_got || high_want != high_got)
        check_fail("range %g .. %g instead of %g .. %g", (double)low_got, (double)high_got, (double)low_want,
                   (double)high_want);
    check_case_end();
}

static void one_binary(const mbr_quantize_kernel *kernel)
{
    size_t n = check_rand_range(1, 300), a_step = !check_rand_one_in(4), b_step = !check_rand_one_in(4);
    bool is_signed = check_rand_one_in(2), multiply = check_rand_one_in(2);
    mbr_qlinear q[3];
    for (int i = 0; i < 3; i++)
        q[i] = (mbr_qlinear){ .scale = 0.01f + (check_rand_f32() + 1.0f) * 0.05f,
                              .zero = (int32_t)check_rand_range(0, 255) - (is_signed ? 128 : 0),
                              .is_signed = is_signed };
    uint8_t *a = check_alloc(n), *b = check_alloc(n), *want = check_alloc(n), *got = check_alloc(n);
    check_fill_random_bytes(a, n);
    check_fill_random_bytes(b, n);
    check_case("%s of bytes, n=%zu", multiply ? "product" : "sum", n);
    mbr_qlinear_binary_ref(multiply, &q[0], a, a_step, &q[1], b, b_step, &q[2], want, n);
    kernel->binary(multiply, &q[0], a, a_step, &q[1], b, b_step, &q[2], got, n);
    check_bytes(want, got, n);
    check_case_end();
}

/* What the reference must give: halves to even, saturation, NaN to the lowest. */
static void known_numbers(void)
{
    static const float x[] = { 0.5f, 1.5f, 2.5f, -0.5f, 300.0f, -300.0f, 0.0f };
    static const uint8_t zero = 10, want[] = { 10, 12, 12, 10, 255, 0, 10 };
    const float one = 1;
    uint8_t got[sizeof want];
    const mbr_quantize_args args = { .x = MBR_DTYPE_F32, .scale = MBR_DTYPE_F32, .y = MBR_DTYPE_U8,
                                     .precision = MBR_DTYPE_F32 };
    check_case("known numbers");
    mbr_quantize_ref.quantize(&args, x, &one, &zero, 0, got, sizeof want);
    check_bytes(want, got, sizeof want);
    check_case_end();
}

void check_quantize(void)
{
    for (size_t r = 0; r < ROWS; r++) {
        if (!check_begin(rows[r]->name, rows[r]->tier))
            continue;
        known_numbers();
        for (int round = 0; round < 100 && !check_failed(); round++)
            one_binary(rows[r]);
        for (int round = 0; round < 20; round++)
            for (size_t t = 0; t < sizeof narrow / sizeof *narrow && !check_failed(); t++)
                one_case(rows[r], narrow[t]);
        check_end();
    }
}

typedef struct bench_case {
    const mbr_quantize_kernel *kernel;
    mbr_quantize_args args;
    const void *x;
    void *y;
    size_t n;
    bool back;
} bench_case;

static void call(void *context)
{
    static const float scale = 0.05f;
    static const uint8_t zero = 3;
    const bench_case *b = context;
    (b->back ? b->kernel->dequantize : b->kernel->quantize)(&b->args, b->x, &scale, &zero, 0, b->y, b->n);
}

void bench_quantize(const bench_shape *shape)
{
    for (size_t r = 0; r < ROWS; r++) {
        if (!bench_begin(rows[r]->name, rows[r]->tier))
            continue;
        size_t n = (size_t)bench_get(shape, "n", 65536);
        bool back = bench_has(shape, "dequantize");
        float *x = check_alloc_f32_filled(n, CHECK_UNIFORM), *y = check_alloc_f32(n);
        bench_case b = { .kernel = rows[r],
                         .args = { .x = back ? MBR_DTYPE_U8 : MBR_DTYPE_F32, .scale = MBR_DTYPE_F32,
                                   .y = back ? MBR_DTYPE_F32 : MBR_DTYPE_U8, .precision = MBR_DTYPE_F32 },
                         .x = x, .y = y, .n = n, .back = back };
        bench_run(call, &b);
        bench_report(shape, (double)n, "G/s");
    }
}
