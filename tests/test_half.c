/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/half.h"

#include <check.h>
#include <math.h>

static const mbr_dtype formats[] = {MBR_DTYPE_F16,        MBR_DTYPE_BF16,   MBR_DTYPE_F8E4M3FN,   MBR_DTYPE_F8E4M3FNUZ,
                                    MBR_DTYPE_F8E5M2,     MBR_DTYPE_F4E2M1, MBR_DTYPE_F8E5M2FNUZ, MBR_DTYPE_F8E8M0};

#define FORMATS (sizeof formats / sizeof *formats)

static unsigned patterns(mbr_dtype t)
{
    return t == MBR_DTYPE_F4E2M1 ? 16 : mbr_dtype_size(t) == 1 ? 256 : 65536;
}

/* An assertion that costs nothing while it holds: there are hundreds of thousands. */
static void same(unsigned got, unsigned want, double x)
{
    if (got != want)
        ck_abort_msg("%a: got %#x, want %#x", x, got, want);
}

/* Every value comes back as the same bits. */
START_TEST(every_pattern_round_trips)
{
    mbr_dtype t = formats[_i];
    for (unsigned bits = 0; bits < patterns(t); bits++) {
        double x = mbr_small_float_to_f64(t, (uint16_t)bits);
        uint16_t back = mbr_small_float_from_f64(t, x, false);
        if (isnan(x))
            same(isnan(mbr_small_float_to_f64(t, back)) != 0, 1, x);
        else
            same(back, bits, x);
    }
}
END_TEST

/* Between two neighbours: nearest, ties to even; f8e8m0 has its own rule. */
START_TEST(halfway_goes_to_even)
{
    mbr_dtype t = formats[_i];
    if (t == MBR_DTYPE_F8E8M0)
        return;
    unsigned positive = patterns(t) / 2;
    for (unsigned bits = 0; bits + 1 < positive; bits++) {
        double a = mbr_small_float_to_f64(t, (uint16_t)bits), b = mbr_small_float_to_f64(t, (uint16_t)(bits + 1));
        if (!isfinite(a) || !isfinite(b))
            break;
        double middle = a / 2 + b / 2;
        same(mbr_small_float_from_f64(t, middle, false), bits & 1 ? bits + 1 : bits, middle);
        same(mbr_small_float_from_f64(t, nextafter(middle, 0.0), false), bits, middle);
        same(mbr_small_float_from_f64(t, nextafter(middle, 1e300), false), bits + 1, middle);
    }
}
END_TEST

START_TEST(fast_halves_agree_with_the_exact_ones)
{
    uint32_t state = 1;
    for (int i = 0; i < 300000; i++) {
        state = state * 1664525u + 1013904223u;
        float x = mbr_f32_from_bits(state);
        if (isnan(x)) {
            same(isnan(mbr_f16_to_f32(mbr_f32_to_f16(x))) && isnan(mbr_bf16_to_f32(mbr_f32_to_bf16(x))), 1, (double)x);
            continue;
        }
        same(mbr_f32_to_f16(x), mbr_small_float_from_f64(MBR_DTYPE_F16, (double)x, false), (double)x);
        same(mbr_f32_to_bf16(x), mbr_small_float_from_f64(MBR_DTYPE_BF16, (double)x, false), (double)x);
    }
    for (unsigned bits = 0; bits < 65536; bits++) {
        float a = mbr_f16_to_f32((uint16_t)bits);
        double b = mbr_small_float_to_f64(MBR_DTYPE_F16, (uint16_t)bits);
        same(isnan(b) ? isnan(a) != 0 : (double)a == b, 1, b);
    }
}
END_TEST

START_TEST(overflow_and_specials)
{
    static const struct {
        mbr_dtype type;
        double x;
        bool saturate;
        unsigned bits;
    } rows[] = {
        {MBR_DTYPE_F8E4M3FN, 464.0, false, 0x7e},      {MBR_DTYPE_F8E4M3FN, 465.0, false, 0x7f},
        {MBR_DTYPE_F8E4M3FN, 465.0, true, 0x7e},       {MBR_DTYPE_F8E4M3FN, -INFINITY, true, 0xfe},
        {MBR_DTYPE_F8E4M3FN, -INFINITY, false, 0xff},  {MBR_DTYPE_F8E4M3FNUZ, -0.0, false, 0x00},
        {MBR_DTYPE_F8E4M3FNUZ, INFINITY, false, 0x80}, {MBR_DTYPE_F8E4M3FNUZ, INFINITY, true, 0x7f},
        {MBR_DTYPE_F8E5M2, 61440.0, false, 0x7c},      {MBR_DTYPE_F8E5M2, 61440.0, true, 0x7b},
        {MBR_DTYPE_F8E5M2, -1e30, false, 0xfc},        {MBR_DTYPE_F8E5M2FNUZ, 1e30, false, 0x80},
        {MBR_DTYPE_F4E2M1, 100.0, false, 0x7},         {MBR_DTYPE_F4E2M1, -INFINITY, false, 0xf},
        {MBR_DTYPE_F4E2M1, NAN, false, 0x8},           {MBR_DTYPE_F8E8M0, 1.5, false, 0x80},
        {MBR_DTYPE_F8E8M0, 0.0, false, 0xff},          {MBR_DTYPE_F8E8M0, 1e300, true, 0xfe},
        {MBR_DTYPE_F16, 65519.99, false, 0x7bff},      {MBR_DTYPE_F16, 65520.0, false, 0x7c00},
    };
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
        ck_assert_msg(mbr_small_float_from_f64(rows[r].type, rows[r].x, rows[r].saturate) == rows[r].bits,
                      "row %zu: %s of %g", r, mbr_dtype_name(rows[r].type), rows[r].x);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("half");
    TCase *c = tcase_create("formats");
    tcase_add_loop_test(c, every_pattern_round_trips, 0, (int)FORMATS);
    tcase_add_loop_test(c, halfway_goes_to_even, 0, (int)FORMATS);
    tcase_add_test(c, fast_halves_agree_with_the_exact_ones);
    tcase_add_test(c, overflow_and_specials);
    suite_add_tcase(s, c);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
