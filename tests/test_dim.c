/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "engine/dim.h"
#include "tests/random.h"

#include <check.h>
#include <string.h>

static mbr_memory memory;
static mbr_dim_table table;
static mbr_error err;

static void setup(void)
{
    mbr_memory_init(&memory);
    mbr_dim_table_init(&table, &memory);
}

static void teardown(void)
{
    mbr_dim_table_destroy(&table);
    ck_assert_uint_eq(memory.in_use, 0);
}

static mbr_dim make(mbr_dim_op op, mbr_dim a, mbr_dim b)
{
    return mbr_dim_make(&table, op, a, b);
}

static const char *shown(mbr_dim d)
{
    static char text[256];
    mbr_dim_print(&table, d, text, sizeof text);
    return text;
}

START_TEST(constants_fold_without_a_table)
{
    ck_assert_int_eq(mbr_dim_add(NULL, 3, 4), 7);
    ck_assert_int_eq(mbr_dim_sub(NULL, 3, 4), -1);
    ck_assert_int_eq(mbr_dim_mul(NULL, -3, 4), -12);
    ck_assert_int_eq(mbr_dim_div(NULL, -7, 2), -4);
    ck_assert_int_eq(mbr_dim_div(NULL, 7, -2), -4);
    ck_assert_int_eq(mbr_dim_make(NULL, MBR_DIM_MOD, -7, 3), 2);
    ck_assert_int_eq(mbr_dim_make(NULL, MBR_DIM_MOD, 7, -3), -2);
    ck_assert_int_eq(mbr_dim_min(NULL, 3, 4), 3);
    ck_assert_int_eq(mbr_dim_max(NULL, 3, 4), 4);
    ck_assert_int_eq(mbr_dim_make(NULL, MBR_DIM_BROADCAST, 1, 4), 4);
    ck_assert(!mbr_dim_is_known(mbr_dim_make(NULL, MBR_DIM_BROADCAST, 2, 4)));
    ck_assert(!mbr_dim_is_known(mbr_dim_div(NULL, 1, 0)));
    ck_assert(!mbr_dim_is_known(mbr_dim_add(NULL, INT64_MAX, 1)));
    ck_assert(!mbr_dim_is_known(mbr_dim_mul(NULL, INT64_MAX, 2)));
    ck_assert(!mbr_dim_is_known(mbr_dim_add(NULL, MBR_DIM_UNKNOWN, 1)));
    ck_assert_int_eq(mbr_dim_const(INT64_MIN), MBR_DIM_LEAST_CONST);
}
END_TEST

START_TEST(equal_sizes_are_equal_handles)
{
    mbr_dim n = mbr_dim_symbol(&table, "n"), m = mbr_dim_symbol(&table, "m");
    ck_assert(mbr_dim_is_expr(n) && mbr_dim_is_expr(m) && n != m);
    ck_assert_int_eq(mbr_dim_symbol(&table, "n"), n);
    ck_assert_int_ne(mbr_dim_symbol(&table, NULL), mbr_dim_symbol(&table, NULL));
    mbr_dim sum = mbr_dim_add(&table, n, m);
    ck_assert_int_eq(mbr_dim_add(&table, m, n), sum);
    ck_assert_int_eq(mbr_dim_sub(&table, sum, m), n);
    ck_assert_int_eq(mbr_dim_sub(&table, sum, n), m);
    ck_assert_int_eq(mbr_dim_sub(&table, n, n), 0);
    ck_assert_int_eq(mbr_dim_add(&table, mbr_dim_sub(&table, n, m), m), n);
    ck_assert_int_eq(mbr_dim_add(&table, n, 0), n);
    ck_assert_int_eq(mbr_dim_mul(&table, n, 1), n);
    ck_assert_int_eq(mbr_dim_mul(&table, n, 0), 0);
    ck_assert_int_eq(mbr_dim_add(&table, n, n), mbr_dim_mul(&table, n, 2));
    ck_assert_int_eq(mbr_dim_add(&table, mbr_dim_add(&table, n, 3), -3), n);
    ck_assert_int_eq(mbr_dim_div(&table, mbr_dim_mul(&table, n, 6), 3), mbr_dim_mul(&table, n, 2));
    ck_assert_int_eq(mbr_dim_div(&table, mbr_dim_mul(&table, n, m), m), n);
    ck_assert_int_eq(mbr_dim_div(&table, n, 1), n);
    ck_assert_int_eq(mbr_dim_min(&table, n, mbr_dim_add(&table, n, 2)), n);
    ck_assert_int_eq(mbr_dim_max(&table, n, 0), n);
    ck_assert_int_eq(make(MBR_DIM_BROADCAST, n, 1), n);
    ck_assert_int_eq(make(MBR_DIM_BROADCAST, n, n), n);
    ck_assert_int_eq(make(MBR_DIM_BROADCAST, n, 7), 7);
    ck_assert_int_eq(make(MBR_DIM_MOD, n, 1), 0);
    ck_assert(!mbr_dim_is_known(mbr_dim_div(&table, n, 0)));
    ck_assert_str_eq(shown(mbr_dim_add(&table, n, 1)), "(n + 1)");
    ck_assert_str_eq(shown(MBR_DIM_UNKNOWN), "?");
    ck_assert_str_eq(shown(-5), "-5");
    char cut[4];
    ck_assert_int_eq(mbr_dim_print(&table, mbr_dim_add(&table, n, 1), cut, sizeof cut), 7);
    ck_assert_str_eq(cut, "(n ");
}
END_TEST

/* --- random expressions against plain evaluation --- */

#define SYMBOLS 4
#define TREES 60

typedef struct tree {
    mbr_dim_op op;
    int a, b;      /* operands: earlier trees */
    int symbol;    /* op SYMBOL: which; -1: a constant */
    int64_t value; /* of the constant */
    mbr_dim dim;
} tree;

/* The value of a tree; false where it has none (a division by zero, axes that do not broadcast). */
static bool evaluate(const tree *t, int i, const int64_t *sizes, int64_t *v)
{
    int64_t a, b;
    if (t[i].op == MBR_DIM_SYMBOL) {
        *v = t[i].symbol < 0 ? t[i].value : sizes[t[i].symbol];
        return true;
    }
    if (!evaluate(t, t[i].a, sizes, &a) || !evaluate(t, t[i].b, sizes, &b))
        return false;
    switch (t[i].op) {
    case MBR_DIM_ADD:
        return !__builtin_add_overflow(a, b, v);
    case MBR_DIM_SUB:
        return !__builtin_sub_overflow(a, b, v);
    case MBR_DIM_MUL:
        return !__builtin_mul_overflow(a, b, v) && *v < INT64_C(1) << 50 && *v > -(INT64_C(1) << 50);
    case MBR_DIM_FLOOR_DIV:
    case MBR_DIM_MOD: {
        if (b == 0)
            return false;
        int64_t q = a / b - (a % b != 0 && (a < 0) != (b < 0));
        *v = t[i].op == MBR_DIM_MOD ? a - b * q : q;
        return true;
    }
    case MBR_DIM_MIN:
        *v = a < b ? a : b;
        return true;
    case MBR_DIM_MAX:
        *v = a < b ? b : a;
        return true;
    case MBR_DIM_BROADCAST:
        *v = a == 1 ? b : a;
        return a >= 0 && b >= 0 && (a == b || a == 1 || b == 1);
    case MBR_DIM_SYMBOL:
        break;
    }
    return false;
}

static int random_tree(tree *t, int n)
{
    static const mbr_dim_op ops[] = { MBR_DIM_ADD, MBR_DIM_ADD, MBR_DIM_SUB, MBR_DIM_SUB, MBR_DIM_MUL, MBR_DIM_MUL,
                                      MBR_DIM_FLOOR_DIV, MBR_DIM_FLOOR_DIV, MBR_DIM_MOD, MBR_DIM_MIN, MBR_DIM_MAX,
                                      MBR_DIM_BROADCAST };
    if (n < SYMBOLS) {
        t[n] = (tree){ .op = MBR_DIM_SYMBOL, .symbol = n };
        t[n].dim = mbr_dim_symbol(&table, (const char *[]){ "a", "b", "c", "d" }[n]);
    } else if (random_below(3) == 0) {
        t[n] = (tree){ .op = MBR_DIM_SYMBOL, .symbol = -1, .value = random_below(9) - 3 };
        t[n].dim = t[n].value;
    } else {
        t[n] = (tree){ .op = ops[random_below(sizeof ops / sizeof *ops)], .a = random_below(n), .b = random_below(n) };
        t[n].dim = make(t[n].op, t[t[n].a].dim, t[t[n].b].dim);
    }
    return n + 1;
}

START_TEST(random_expressions_against_plain_evaluation)
{
    tree t[TREES];
    size_t compared = 0;
    random_seed("dim");
    for (int round = 0; round < 400; round++) {
        mbr_dim_table_destroy(&table);
        for (int n = 0; n < TREES;)
            n = random_tree(t, n);
        int64_t *values = calloc(table.n + 1, sizeof *values);
        ck_assert_ptr_nonnull(values);
        for (int trial = 0; trial < 12; trial++) {
            int64_t sizes[SYMBOLS], due;
            for (int i = 0; i < SYMBOLS; i++) {
                sizes[i] = trial == 0 ? 1 : random_below(trial < 6 ? 4 : 40);
                values[mbr_dim_index(t[i].dim)] = sizes[i];
            }
            if (mbr_dim_table_eval(&table, 0, values, &err) != MBR_OK)
                continue; /* something overflowed */
            for (int i = 0; i < TREES; i++) {
                if (!mbr_dim_is_known(t[i].dim) || !evaluate(t, i, sizes, &due))
                    continue;
                int64_t got = mbr_dim_value(t[i].dim, values), low = mbr_dim_lower_bound(&table, t[i].dim);
                ck_assert_msg(got == due, "%s is %lld, %lld is due, at a=%lld b=%lld c=%lld d=%lld", shown(t[i].dim),
                              (long long)got, (long long)due, (long long)sizes[0], (long long)sizes[1],
                              (long long)sizes[2], (long long)sizes[3]);
                ck_assert_msg(low <= got, "%s is %lld, below its bound %lld", shown(t[i].dim), (long long)got,
                              (long long)low);
                compared++;
            }
        }
        free(values);
    }
    ck_assert_uint_gt(compared, 50000);
}
END_TEST

START_TEST(evaluation_says_what_fails)
{
    mbr_dim n = mbr_dim_symbol(&table, "n"), m = mbr_dim_symbol(&table, "m");
    mbr_dim quotient = mbr_dim_div(&table, n, m), shared = make(MBR_DIM_BROADCAST, n, m);
    mbr_dim product = mbr_dim_mul(&table, n, m);
    int64_t values[8] = { 6, 0 };
    ck_assert_uint_le(table.n, 8);
    ck_assert_int_eq(mbr_dim_table_eval(&table, 0, values, &err), MBR_OK);
    ck_assert_int_eq(mbr_dim_value(quotient, values), -1);
    ck_assert_int_eq(mbr_dim_value(shared, values), -1);
    values[0] = values[1] = INT64_C(1) << 40;
    ck_assert_int_eq(mbr_dim_table_eval(&table, 0, values, &err), MBR_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "overflows"));
    ck_assert(mbr_dim_is_expr(product));
}
END_TEST

START_TEST(scopes_are_those_of_the_innermost_symbol)
{
    mbr_dim n = mbr_dim_symbol(&table, "n");
    table.scope = 3;
    mbr_dim inner = mbr_dim_symbol(&table, NULL), sum = mbr_dim_add(&table, n, inner);
    mbr_dim outer = mbr_dim_mul(&table, n, 5);
    table.scope = 0;
    ck_assert_uint_eq(mbr_dim_scope(&table, n), 0);
    ck_assert_uint_eq(mbr_dim_scope(&table, inner), 3);
    ck_assert_uint_eq(mbr_dim_scope(&table, sum), 3);
    ck_assert_uint_eq(mbr_dim_scope(&table, outer), 0);
    int64_t values[8] = { 0 };
    values[mbr_dim_index(n)] = 4;
    ck_assert_int_eq(mbr_dim_table_eval(&table, 0, values, &err), MBR_OK);
    ck_assert_int_eq(mbr_dim_value(outer, values), 20);
    values[mbr_dim_index(inner)] = 7;
    ck_assert_int_eq(mbr_dim_table_eval(&table, 3, values, &err), MBR_OK);
    ck_assert_int_eq(mbr_dim_value(sum, values), 11);
}
END_TEST

START_TEST(without_memory_a_size_is_unknown)
{
    for (long allowed = 0; allowed < 12; allowed++) {
        atomic_store(&memory.fail_after, allowed);
        mbr_dim d = mbr_dim_symbol(&table, "n");
        for (int i = 1; i < 100; i++)
            d = mbr_dim_add(&table, mbr_dim_mul(&table, d, mbr_dim_symbol(&table, NULL)), i);
        if (allowed < 3)
            ck_assert(!mbr_dim_is_known(d));
        atomic_store(&memory.fail_after, -1);
        mbr_dim_table_destroy(&table);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dim");
    TCase *tc = tcase_create("dim");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, constants_fold_without_a_table);
    tcase_add_test(tc, equal_sizes_are_equal_handles);
    tcase_add_test(tc, random_expressions_against_plain_evaluation);
    tcase_add_test(tc, evaluation_says_what_fails);
    tcase_add_test(tc, scopes_are_those_of_the_innermost_symbol);
    tcase_add_test(tc, without_memory_a_size_is_unknown);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
