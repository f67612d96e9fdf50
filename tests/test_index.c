/* SPDX-License-Identifier: BSD-2-Clause */
/* GatherElements and ScatterElements against loops that do nothing clever, on random shapes. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "kernels/index.h"
#include "tests/random.h"

#include <check.h>
#include <math.h>
#include <string.h>

enum { MOST = 6 * 6 * 6 * 40 };

static mbr_elements_args args;
static int64_t indices[MOST];
static size_t count, places;

static void draw_shapes(void)
{
    args = (mbr_elements_args){ .rank = 1 + random_below(4), .wide = true, .index = indices };
    args.axis = random_below(args.rank);
    for (int d = 0; d < args.rank; d++) {
        args.dims[d] = (size_t)(1 + random_below(d == args.rank - 1 ? 40 : 6));
        args.index_dims[d] = (size_t)(d == args.axis ? 1 + random_below(6) : 1 + random_below((int)args.dims[d]));
    }
    count = mbr_dims_count(args.rank, args.index_dims);
    places = mbr_dims_count(args.rank, args.dims);
    size_t width = args.index_dims[args.rank - 1];
    int n = (int)args.dims[args.axis];
    for (size_t row = 0; row < count; row += width) {
        bool same = random_below(3) > 0; /* one index for all of a row, as expanded indices have */
        int64_t k = random_below(2 * n) - n;
        for (size_t i = 0; i < width; i++)
            indices[row + i] = same ? k : random_below(2 * n) - n;
        if (same && random_below(4) == 0)
            indices[row + width - 1] = random_below(n);
    }
}

/* The element of the data that entry i of the indices stands for. */
static size_t place_of(size_t i)
{
    size_t offset = 0, stride = 1;
    int64_t k = indices[i], n = (int64_t)args.dims[args.axis];
    for (int d = args.rank - 1; d >= 0; d--) {
        size_t at = i % args.index_dims[d];
        i /= args.index_dims[d];
        offset += (d == args.axis ? (size_t)(k < 0 ? k + n : k) : at) * stride;
        stride *= args.dims[d];
    }
    return offset;
}

START_TEST(elements_are_gathered)
{
    static int32_t data[MOST], out[MOST];
    random_seed("gathered");
    for (int round = 0; round < 400; round++) {
        draw_shapes();
        args.dtype = MBR_DTYPE_I32;
        args.size = sizeof *data;
        for (size_t i = 0; i < places; i++)
            data[i] = (int32_t)i;
        memset(out, -1, sizeof out);
        size_t middle = (size_t)random_below((int)count + 1);
        ck_assert_uint_eq(mbr_gather_elements(&args, data, out, 0, middle), middle);
        ck_assert_uint_eq(mbr_gather_elements(&args, data, out, middle, count), count);
        for (size_t i = 0; i < count; i++)
            ck_assert_msg(out[i] == (int32_t)place_of(i), "round %d, rank %d, axis %d, element %zu: %d, %zu is due",
                          round, args.rank, args.axis, i, (int)out[i], place_of(i));
        ck_assert_int_eq(out[count], -1);
    }
}
END_TEST

static double combined(mbr_binary_op op, double x, double y)
{
    switch (op) {
    case MBR_BINARY_ADD:
        return x + y;
    case MBR_BINARY_MUL:
        return x * y;
    case MBR_BINARY_MIN:
        return isnan(x) || isnan(y) ? NAN : fmin(x, y);
    case MBR_BINARY_MAX:
        return isnan(x) || isnan(y) ? NAN : fmax(x, y);
    default:
        return y;
    }
}

START_TEST(elements_are_scattered)
{
    static const mbr_binary_op ops[] = { MBR_INDEX_REPLACE, MBR_BINARY_ADD, MBR_BINARY_MUL, MBR_BINARY_MIN,
                                         MBR_BINARY_MAX };
    static float data[MOST], due[MOST], updates[MOST];
    random_seed("scattered");
    for (int round = 0; round < 1000; round++) {
        mbr_binary_op op = ops[round % 5];
        draw_shapes();
        args.dtype = MBR_DTYPE_F32;
        args.size = sizeof *data;
        for (size_t i = 0; i < places; i++)
            data[i] = due[i] = random_below(30) ? random_real() : NAN;
        for (size_t i = 0; i < count; i++)
            updates[i] = random_below(30) ? random_real() : NAN;
        for (size_t i = 0; i < count; i++)
            due[place_of(i)] = (float)combined(op, (double)due[place_of(i)], (double)updates[i]);
        ck_assert_uint_eq(mbr_scatter_elements(&args, op, updates, data), count);
        for (size_t i = 0; i < places; i++)
            ck_assert_msg(data[i] == due[i] || (isnan(data[i]) && isnan(due[i])),
                          "round %d, op %d, element %zu: %g for %g", round, (int)op, i, (double)data[i], (double)due[i]);
    }
}
END_TEST

START_TEST(an_index_outside_is_told)
{
    random_seed("outside");
    for (int round = 0; round < 200; round++) {
        static float data[MOST], updates[MOST];
        draw_shapes();
        args.dtype = MBR_DTYPE_F32;
        args.size = sizeof *data;
        size_t bad = (size_t)random_below((int)count);
        int64_t n = (int64_t)args.dims[args.axis];
        indices[bad] = random_below(2) ? n : -n - 1;
        ck_assert_uint_eq(mbr_gather_elements(&args, data, updates, 0, count), bad);
        ck_assert_uint_eq(mbr_scatter_elements(&args, MBR_BINARY_ADD, updates, data), bad);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("index");
    TCase *c = tcase_create("elements");
    tcase_add_test(c, elements_are_gathered);
    tcase_add_test(c, elements_are_scattered);
    tcase_add_test(c, an_index_outside_is_told);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
