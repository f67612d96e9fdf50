/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/half.h"
#include "kernels/convert.h"
#include "kernels/elementwise.h"
#include "tests/random.h"

#include <check.h>
#include <math.h>
#include <string.h>

#define ONE ((const ptrdiff_t[]){1})

/* One element of any type, from and to a double. */
static void put(mbr_dtype t, void *p, double x)
{
    mbr_convert_args a = {.from = MBR_DTYPE_F64, .to = t};
    mbr_convert_ref(&a, &x, p, 1);
}

static double get(mbr_dtype t, const void *p)
{
    double x;
    mbr_convert_args a = {.from = t, .to = MBR_DTYPE_F64};
    mbr_convert_ref(&a, p, &x, 1);
    return x;
}

static double binary(mbr_binary_op op, mbr_dtype t, double a, double b, unsigned *flags)
{
    uint64_t x, y, z = 0;
    put(t, &x, a);
    put(t, &y, b);
    unsigned f = mbr_elementwise_binary_ref(op, t, 1, (const size_t[]){1}, &x, ONE, &y, ONE, &z, ONE);
    if (flags)
        *flags = f;
    return get(mbr_binary_gives_bool(op) ? MBR_DTYPE_BOOL : t, &z);
}

START_TEST(integers_wrap_and_divide)
{
    static const struct {
        mbr_binary_op op;
        mbr_dtype type;
        double a, b, want;
    } rows[] = {
        {MBR_BINARY_ADD, MBR_DTYPE_I8, 127, 1, -128},      {MBR_BINARY_SUB, MBR_DTYPE_U8, 0, 1, 255},
        {MBR_BINARY_MUL, MBR_DTYPE_I16, 300, 300, 24464},  {MBR_BINARY_DIV, MBR_DTYPE_I32, -7, 2, -3},
        {MBR_BINARY_DIV, MBR_DTYPE_I8, -128, -1, -128},    {MBR_BINARY_DIV, MBR_DTYPE_I64, -0x1p63, -1, -0x1p63},
        {MBR_BINARY_MOD, MBR_DTYPE_I32, -7, 3, 2},         {MBR_BINARY_MOD, MBR_DTYPE_I32, 7, -3, -2},
        {MBR_BINARY_FMOD, MBR_DTYPE_I32, -7, 3, -1},       {MBR_BINARY_MOD, MBR_DTYPE_I64, -0x1p63, -1, 0},
        {MBR_BINARY_MOD, MBR_DTYPE_F32, -7.5, 2, 0.5},     {MBR_BINARY_FMOD, MBR_DTYPE_F32, -7.5, 2, -1.5},
        {MBR_BINARY_POW, MBR_DTYPE_I32, -3, 3, -27},       {MBR_BINARY_POW, MBR_DTYPE_I32, 2, -1, 0},
        {MBR_BINARY_SHL, MBR_DTYPE_U8, 3, 7, 128},         {MBR_BINARY_SHR, MBR_DTYPE_I8, -8, 1, -4},
        {MBR_BINARY_SHL, MBR_DTYPE_U8, 3, 8, 0},           {MBR_BINARY_SHR, MBR_DTYPE_U16, 8, 16, 0},
        {MBR_BINARY_MAX, MBR_DTYPE_I64, -5, 3, 3},         {MBR_BINARY_LT, MBR_DTYPE_U64, 0x1p63, 1, 0},
        {MBR_BINARY_BITXOR, MBR_DTYPE_U8, 0xf0, 0xff, 15}, {MBR_BINARY_PRELU, MBR_DTYPE_I8, -4, 2, -8},
        {MBR_BINARY_ADD, MBR_DTYPE_F16, 2048, 1, 2048},    {MBR_BINARY_ADD, MBR_DTYPE_BF16, 256, 1, 256},
    };
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        unsigned flags;
        ck_assert(mbr_elementwise_binary_has(rows[r].op, rows[r].type));
        double got = binary(rows[r].op, rows[r].type, rows[r].a, rows[r].b, &flags);
        ck_assert_msg(got == rows[r].want, "row %zu: got %g", r, got);
        ck_assert_uint_eq(flags, 0);
    }
}
END_TEST

START_TEST(a_zero_divisor_is_told)
{
    static const mbr_binary_op ops[] = {MBR_BINARY_DIV, MBR_BINARY_MOD, MBR_BINARY_FMOD};
    static const mbr_dtype types[] = {MBR_DTYPE_I8, MBR_DTYPE_I64, MBR_DTYPE_U8, MBR_DTYPE_U64};
    for (int o = 0; o < 3; o++)
        for (int t = 0; t < 4; t++) {
            unsigned flags;
            ck_assert(binary(ops[o], types[t], 5, 0, &flags) == 0.0);
            ck_assert_uint_eq(flags, MBR_ELEMENTWISE_ZERO_DIVISOR);
        }
    unsigned flags;
    ck_assert(isinf(binary(MBR_BINARY_DIV, MBR_DTYPE_F32, 1, 0, &flags)));
    ck_assert_uint_eq(flags, 0);
}
END_TEST

START_TEST(nan_wins_and_compares_false)
{
    ck_assert(isnan(binary(MBR_BINARY_MIN, MBR_DTYPE_F32, (double)NAN, 1, NULL)));
    ck_assert(isnan(binary(MBR_BINARY_MAX, MBR_DTYPE_F16, 1, (double)NAN, NULL)));
    ck_assert(binary(MBR_BINARY_LE, MBR_DTYPE_F64, (double)NAN, 1, NULL) == 0.0);
    ck_assert(binary(MBR_BINARY_NE, MBR_DTYPE_F64, (double)NAN, 1, NULL) == 1.0);
}
END_TEST

/* (2, 1, 3) with (4, 1): broadcast on both sides, the output transposed in memory. */
START_TEST(views_broadcast)
{
    const float a[6] = {0, 1, 2, 3, 4, 5}, b[4] = {0, 10, 20, 30};
    float out[24];
    const size_t dims[3] = {2, 4, 3};
    const ptrdiff_t as[3] = {3, 0, 1}, bs[3] = {0, 1, 0}, os[3] = {1, 2, 8};
    mbr_elementwise_binary_ref(MBR_BINARY_ADD, MBR_DTYPE_F32, 3, dims, a, as, b, bs, out, os);
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 4; j++)
            for (int k = 0; k < 3; k++)
                ck_assert(out[i + 2 * j + 8 * k] == a[3 * i + k] + b[j]);
}
END_TEST

/* Dense rows have loops of their own; numbers that lie apart do not. */
START_TEST(dense_rows_equal_scattered_ones)
{
    enum { N = 1100 };
    static const mbr_dtype types[] = {MBR_DTYPE_I32, MBR_DTYPE_I64, MBR_DTYPE_BOOL};
    random_seed("dense rows");
    for (size_t t = 0; t < 3; t++)
        for (int op = 0; op < MBR_BINARY_COUNT; op++)
            for (int form = 0; form < 3; form++) {
                size_t size = mbr_dtype_size(types[t]), n = N;
                size_t out_size = mbr_binary_gives_bool((mbr_binary_op)op) ? 1 : size;
                ptrdiff_t sa = form != 1, sb = form != 2, a3 = 3 * sa, b3 = 3 * sb, three = 3;
                uint64_t a[N], b[N], far_a[3 * N] = {0}, far_b[3 * N] = {0}, got[N], want[3 * N];
                if (!mbr_elementwise_binary_has((mbr_binary_op)op, types[t]))
                    continue;
                for (size_t i = 0; i < n; i++) {
                    int64_t x = (int64_t)(random_bits() >> (i % 3 ? 62 : 0));
                    int64_t y = (int64_t)(random_bits() >> 62);
                    char *to[2] = {(char *)a + i * size, (char *)b + i * size};
                    memcpy(to[0], &x, size);
                    memcpy(to[1], &y, size);
                    memcpy((char *)far_a + 3 * i * size, to[0], size);
                    memcpy((char *)far_b + 3 * i * size, to[1], size);
                }
                mbr_binary_op what = (mbr_binary_op)op;
                unsigned flags = mbr_elementwise_binary_ref(what, types[t], 1, &n, a, &sa, b, &sb, got, ONE);
                unsigned due = mbr_elementwise_binary_ref(what, types[t], 1, &n, far_a, &a3, far_b, &b3, want, &three);
                ck_assert_uint_eq(flags, due);
                for (size_t i = 0; i < n; i++)
                    ck_assert_msg(memcmp((char *)got + i * out_size, (char *)want + 3 * i * out_size, out_size) == 0,
                                  "op %d of %s, form %d, element %zu", op, mbr_dtype_name(types[t]), form, i);
            }
}
END_TEST

START_TEST(casts_to_integers)
{
    static const struct {
        mbr_dtype to;
        double x, want;
    } rows[] = {
        {MBR_DTYPE_I8, 300.0, 44},      {MBR_DTYPE_U8, -1.0, 255},   {MBR_DTYPE_I32, 3e9, INT32_MIN},
        {MBR_DTYPE_I8, (double)NAN, 0}, {MBR_DTYPE_I32, -2.9, -2},   {MBR_DTYPE_U32, 3e9, 3e9},
        {MBR_DTYPE_BOOL, 0.25, 1},      {MBR_DTYPE_BOOL, -0.0, 0},   {MBR_DTYPE_BOOL, (double)NAN, 1},
        {MBR_DTYPE_U64, 0x1p63, 0x1p63}, {MBR_DTYPE_I4, 9.0, -7},    {MBR_DTYPE_U4, -1.0, 15},
        {MBR_DTYPE_I2, 2.0, -2},        {MBR_DTYPE_I64, 1e30, -0x1p63},
    };
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        uint64_t z = 0;
        put(rows[r].to, &z, rows[r].x);
        ck_assert_msg(get(rows[r].to, &z) == rows[r].want, "row %zu: got %g", r, get(rows[r].to, &z));
    }
}
END_TEST

/* 2^24 + 1 and the like: one rounding, not two. */
START_TEST(casts_from_integers_round_once)
{
    const int64_t in[3] = {INT64_C(0x4000004000000001), INT64_C(-0x4000004000000001), INT64_C(0x4000004000000000)};
    float out[3];
    mbr_convert_args a = {.from = MBR_DTYPE_I64, .to = MBR_DTYPE_F32};
    mbr_convert_ref(&a, in, out, 3);
    for (int i = 0; i < 3; i++)
        ck_assert(out[i] == (float)in[i]);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("elementwise");
    TCase *c = tcase_create("reference");
    tcase_add_test(c, integers_wrap_and_divide);
    tcase_add_test(c, a_zero_divisor_is_told);
    tcase_add_test(c, nan_wins_and_compares_false);
    tcase_add_test(c, views_broadcast);
    tcase_add_test(c, dense_rows_equal_scattered_ones);
    tcase_add_test(c, casts_to_integers);
    tcase_add_test(c, casts_from_integers_round_once);
    suite_add_tcase(s, c);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
