/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/pixels.h"
#include "tests/kernels/check.h"

#include <string.h>

#define KERNEL(name, tier) extern const mbr_pixels mbr_##name;
#include "kernels/pixels.def"
#undef KERNEL

static const struct {
    const char *name;
    mbr_cpu_tier tier;
    const mbr_pixels *with;
} rows[] = {
#define KERNEL(name, tier) {#name, MBR_TIER_##tier, &mbr_##name},
#include "kernels/pixels.def"
#undef KERNEL
};

#define ROWS (sizeof rows / sizeof *rows)

static void fill(uint8_t *p, size_t n)
{
    bool edges = check_rand_one_in(3);
    for (size_t i = 0; i < n; i++)
        p[i] = edges ? (uint8_t)(check_rand_one_in(2) ? 255 : 0) : (uint8_t)check_rand_range(0, 255);
}

/* Inputs, bounds and weights of some outputs; the weights are of both kinds. */
static mbr_pixels_args make(size_t n, size_t count, size_t inputs, int most, int32_t **fixed, float **real)
{
    size_t step = n + (check_rand_one_in(2) ? 0 : check_rand_range(0, 40));
    uint8_t *src = check_alloc((inputs - 1) * step + n);
    int32_t *first = check_alloc(count * sizeof *first), *taps = check_alloc(count * sizeof *taps);
    fill(src, (inputs - 1) * step + n);
    *fixed = check_alloc(count * (size_t)most * sizeof **fixed);
    *real = check_alloc(count * (size_t)most * sizeof **real);
    for (size_t o = 0; o < count; o++) {
        taps[o] = (int32_t)check_rand_range(0, (size_t)most);
        first[o] = (int32_t)check_rand_range(0, inputs - (size_t)taps[o]);
        if (first[o] == (int32_t)inputs)
            first[o]--;
        for (int k = 0; k < most; k++) {
            (*real)[o * (size_t)most + (size_t)k] = check_rand_f32();
            (*fixed)[o * (size_t)most + (size_t)k] = (int32_t)(check_rand_f32() * (float)(1 << MBR_PIXELS_BITS));
        }
    }
    return (mbr_pixels_args){ .src = src, .step = step, .n = n, .count = count, .first = first, .taps = taps,
                              .dst_step = n + check_rand_range(0, 5), .stride = (size_t)most };
}

static void sums(const mbr_pixels *with)
{
    size_t n = check_rand_one_in(2) ? MBR_PIXELS_LANES : check_rand_range(1, 150), count = check_rand_range(1, 20);
    int most = (int)check_rand_range(1, 9);
    int32_t *fixed;
    float *real;
    check_case("sums n=%zu count=%zu most=%d", n, count, most);
    mbr_pixels_args a = make(n, count, (size_t)most + check_rand_range(0, 5), most, &fixed, &real);
    size_t values = (count - 1) * a.dst_step + n;
    uint8_t *want = check_alloc(values), *got = check_alloc(values);
    float *want_real = check_alloc(values * sizeof *want_real), *got_real = check_alloc(values * sizeof *got_real);
    memset(want, 1, values);
    memset(got, 1, values);
    memset(want_real, 0, values * sizeof *want_real);
    memset(got_real, 0, values * sizeof *got_real);
    a.weights = fixed;
    a.dst = want;
    mbr_pixels_ref.fixed(&a);
    a.dst = got;
    with->fixed(&a);
    check_bytes(want, got, values);
    a.weights = real;
    a.dst = want_real;
    mbr_pixels_ref.real(&a);
    a.dst = got_real;
    with->real(&a);
    check_bytes(want_real, got_real, values * sizeof *want_real);
    mbr_pixels_ref.add(want_real, got_real, real[0], values);
    float *copy = check_alloc(values * sizeof *copy);
    memcpy(copy, got_real, values * sizeof *copy);
    with->add(got_real, copy, real[0], values);
    check_bytes(want_real, got_real, values * sizeof *want_real);
    check_case_end();
}

static void lerps(const mbr_pixels *with)
{
    size_t channels = check_rand_range(1, 6), width = check_rand_range(1, 40), count = check_rand_range(1, 60);
    size_t n = count * channels;
    check_case("lerps channels=%zu width=%zu count=%zu", channels, width, count);
    uint8_t *row = check_alloc(width * channels), *want = check_alloc(n), *got = check_alloc(n);
    int32_t *at = check_alloc(count * sizeof *at);
    int16_t *weights = check_alloc(2 * count * sizeof *weights);
    int16_t *want_row = check_alloc((n + 4) * sizeof *want_row), *got_row = check_alloc((n + 4) * sizeof *got_row);
    fill(row, width * channels);
    for (size_t x = 0; x < count; x++) {
        at[x] = (int32_t)(width < 2 ? 0 : x * (width - 1) / count * channels);
        weights[2 * x] = (int16_t)check_rand_range(0, 2048);
        weights[2 * x + 1] = (int16_t)(2048 - weights[2 * x]);
    }
    mbr_pixels_lerp a = { row, width * channels, width < 2 ? 0 : channels, channels, count, at, weights, want_row };
    mbr_pixels_ref.lerp_across(&a);
    a.out = got_row;
    with->lerp_across(&a);
    check_bytes(want_row, got_row, n * sizeof *want_row);
    int w = (int)check_rand_range(0, 2048);
    for (size_t i = 0; i < n; i++)
        got_row[i] = (int16_t)(check_rand_range(0, 255) << 7);
    mbr_pixels_ref.lerp_down(want_row, got_row, w, 2048 - w, want, n);
    with->lerp_down(want_row, got_row, w, 2048 - w, got, n);
    check_bytes(want, got, n);
    check_case_end();
}

void check_pixels(void)
{
    for (size_t r = 0; r < ROWS; r++) {
        if (!check_begin(rows[r].name, rows[r].tier))
            continue;
        for (int i = 0; i < 500 && !check_failed(); i++) {
            sums(rows[r].with);
            lerps(rows[r].with);
        }
        check_end();
    }
}

typedef struct bench_case {
    const mbr_pixels *with;
    mbr_pixels_args args;
} bench_case;

static void bench_call(void *context)
{
    bench_case *b = context;
    b->with->fixed(&b->args);
}

/* pixels n= count= taps=, in weighed values a nanosecond. */
void bench_pixels(const bench_shape *shape)
{
    size_t n = (size_t)bench_get(shape, "n", 16), count = (size_t)bench_get(shape, "count", 224);
    int most = (int)bench_get(shape, "taps", 16);
    for (size_t r = 0; r < ROWS; r++) {
        if (!bench_begin(rows[r].name, rows[r].tier))
            continue;
        int32_t *fixed;
        float *real;
        bench_case b = { rows[r].with, make(n, count, count + (size_t)most, most, &fixed, &real) };
        for (size_t o = 0; o < count; o++)
            ((int32_t *)b.args.taps)[o] = most, ((int32_t *)b.args.first)[o] = (int32_t)o;
        b.args.weights = fixed;
        b.args.dst = check_alloc(count * b.args.dst_step);
        bench_run(bench_call, &b);
        bench_report(shape, (double)(n * count) * most, "values/ns");
    }
}
