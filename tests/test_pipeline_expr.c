/* SPDX-License-Identifier: BSD-2-Clause */
/* The expression language: values, types, missing values, faults, limits. */
#include "runtime/pipeline/expr.h"
#include "tests/pipeline_rows.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static bench b;

static void setup(void)
{
    static const double amount[] = { 120, 0, NAN }, limit[] = { 50, 0, 4 }, yes[] = { 1, 0, NAN };
    static const double wide[] = { 1, 2, 3, 4, 5, 6 };
    static const char *const country[] = { "DE", "", NULL };
    bench_open(&b);
    bench_numbers(&b, "amount", MBR_COL_NUMBER, 1, 3, amount);
    bench_numbers(&b, "limit", MBR_COL_NUMBER, 1, 3, limit);
    bench_numbers(&b, "yes", MBR_COL_BOOL, 1, 3, yes);
    bench_numbers(&b, "wide", MBR_COL_NUMBER, 2, 3, wide);
    bench_texts(&b, "country", 3, country);
}

static void teardown(void)
{
    bench_close(&b);
}

static mbr_status compile(const char *text, mbr_expr *e)
{
    b.err.text[0] = '\0';
    return mbr_expr_compile(text, strlen(text), &b.scope, e, &b.err);
}

static double eval(const char *text, size_t row)
{
    mbr_expr e;
    mbr_slot slot;
    const char *fault = NULL;
    ck_assert_msg(compile(text, &e) == MBR_OK, "%s: %s", text, b.err.text);
    ck_assert_msg(mbr_expr_eval(&e, b.lanes, row, &slot, &fault), "%s: %s", text, fault);
    return slot.num;
}

START_TEST(values)
{
    static const struct {
        const char *text;
        double want;
    } cases[] = {
        { "1 + 2 * 3", 7 }, { "(1 + 2) * 3", 9 }, { "-2 - -3", 1 }, { "10 / 4", 2.5 }, { "7 % 4", 3 }, { "-7 % 4", -3 },
        { "2 - 1 - 1", 0 }, { "8 / 2 / 2", 2 }, { "- (1 + 1)", -2 }, { "1e2 + .5", 100.5 },
        { "amount > 100", 1 }, { "amount > 120", 0 }, { "amount >= 120 and limit == 50", 1 },
        { "amount < 1 or limit < 1", 0 }, { "not amount < 1", 1 }, { "not not true", 1 }, { "true and false", 0 },
        { "1 < 2 and 2 < 1 or 3 > 2", 1 }, { "false or true and false", 0 },
        { "country == 'DE'", 1 }, { "country == \"DE\"", 1 }, { "country != 'DE'", 0 }, { "country < 'DF'", 1 },
        { "country in ['FR', \"DE\"]", 1 }, { "country not in ['FR']", 1 }, { "amount in [1, 120, -3]", 1 },
        { "-3 in [1, -3]", 1 }, { "not (country in ['FR'])", 1 },
        { "max(amount, limit)", 120 }, { "min(amount, limit)", 50 }, { "abs(-3)", 3 }, { "floor(-1.5)", -2 },
        { "ceil(1.2)", 2 }, { "round(2.5)", 3 }, { "sqrt(16)", 4 }, { "log(1)", 0 }, { "exp(0)", 1 },
        { "length('h\xc3\xa9')", 2 }, { "starts_with(country, 'D')", 1 }, { "ends_with(country, 'D')", 0 },
        { "ends_with(country, '')", 1 }, { "if(amount > 1, 10, 20)", 10 }, { "if(amount < 1, 10, 20) + 1", 21 },
        { "wide[0] + wide[1]", 3 }, { "yes", 1 }, { "yes == true", 1 }, { "missing(amount)", 0 },
        { "pow(2, 10)", 1024 }, { "between(amount, 120, 121)", 1 }, { "between(amount, 1, 119)", 0 },
        { "contains(country, 'E')", 1 }, { "contains(country, 'ED')", 0 }, { "contains('', '')", 1 },
        { "between(2, 1, 3) and not contains('ab', 'abc')", 1 },
        { "'a\\'b' == \"a'b\"", 1 }, { "default(amount, 5)", 120 }, { "default(country, 'x') == 'DE'", 1 },
    };
    for (size_t i = 0; i < MBR_COUNT_OF(cases); i++) {
        double got = eval(cases[i].text, 0);
        ck_assert_msg(got == cases[i].want, "%s gives %g, not %g", cases[i].text, got, cases[i].want);
    }
    ck_assert_double_eq(eval("wide[1]", 2), 6);
}
END_TEST

START_TEST(missing_values)
{
    static const struct {
        const char *text;
        double want;
    } cases[] = {
        { "amount > 1", 0 }, { "amount <= 1", 0 }, { "amount == amount", 0 }, { "amount != 1", 0 },
        { "amount in [1]", 0 }, { "between(amount, 0, 1)", 0 }, { "between(1, 0, amount)", 0 },
        { "contains(country, '')", 0 },
        { "amount not in [1]", 0 }, { "country == 'DE'", 0 }, { "country != 'DE'", 0 }, { "country not in ['DE']", 0 },
        { "missing(amount)", 1 }, { "missing(country)", 1 }, { "not missing(limit)", 1 }, { "yes and true", 0 },
        { "yes or true", 1 }, { "not yes", 1 }, { "default(amount, 7)", 7 }, { "default(country, 'x') == 'x'", 1 },
        { "if(yes, 1, 2)", 2 }, { "starts_with(country, '')", 0 }, { "default(default(amount, sqrt(-1)), 3)", 3 },
    };
    for (size_t i = 0; i < MBR_COUNT_OF(cases); i++) {
        double got = eval(cases[i].text, 2);
        ck_assert_msg(got == cases[i].want, "%s gives %g, not %g", cases[i].text, got, cases[i].want);
    }
    ck_assert(isnan(eval("amount + 1", 2)));
    ck_assert(isnan(eval("max(amount, 1)", 2)));
    ck_assert(isnan(eval("min(1, amount)", 2)));
    ck_assert(isnan(eval("amount / 2 * 0", 2)));
    ck_assert(isnan(eval("length(country)", 2)));
}
END_TEST

START_TEST(division_by_zero_is_a_fault)
{
    static const char *const bad[] = { "limit / amount > 1", "1 % amount == 0", "true and 1 / limit > 0",
                                       "false or 1 / limit > 0", "if(true, 1 / limit, 2) > 1", "0 / 0 > 1",
                                       "default(1 / limit, 2) > 1", "missing(country) or 1 / amount > 1" };
    for (size_t i = 0; i < MBR_COUNT_OF(bad); i++) {
        mbr_expr e;
        mbr_slot slot;
        const char *fault = NULL;
        ck_assert_int_eq(compile(bad[i], &e), MBR_OK);
        ck_assert_msg(!mbr_expr_eval(&e, b.lanes, 1, &slot, &fault), "%s", bad[i]);
        ck_assert_str_eq(fault, "division by zero");
    }
    /* What is not needed is not evaluated. */
    ck_assert_double_eq(eval("limit != 0 and 1 / limit > 0", 1), 0);
    ck_assert_double_eq(eval("limit == 0 or 1 / limit > 0", 1), 1);
    ck_assert_double_eq(eval("if(limit == 0, 5, 1 / limit)", 1), 5);
    ck_assert_double_eq(eval("default(3, 1 / limit)", 1), 3);
}
END_TEST

START_TEST(mistakes_are_named)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        { "", "a value is missing" }, { "1 +", "at the end of the expression" },
        { "amout > 1", "did you mean 'amount'" },
        { "nothing > 1", "no column 'nothing'" }, { "amount = 1", "write '=='" },
        { "amount > 1 && yes", "write 'and'" },
        { "amount > '1'", "of one type" }, { "country > 1", "of one type" }, { "country + 1", "a number is needed" },
        { "amount and yes", "a condition is needed" }, { "not amount", "a condition is needed" },
        { "1 < amount < 3", "do not chain" }, { "(1 + 2", "')' is missing" }, { "1 + 2)", "should end here" },
        { "amount in 'x'", "a list is needed" }, { "amount in ['x']", "must hold numbers" },
        { "country in [1]", "texts" },
        { "amount in []", "must hold numbers" }, { "amount in [1,]", "must hold numbers" },
        { "'open", "closing quote" },
        { "'\\n'", "backslash" }, { "1.2.3", "not a number" }, { "12abc", "not a number" }, { "wide > 1", "take one" },
        { "wide[2]", "below the column's width" }, { "wide[-1]", "index" }, { "wide[0.5]", "index" },
        { "missing(1)", "name of a column" }, { "nope(1)", "no such function" }, { "max(1)", "',' and a second" },
        { "abs()", "a value is missing" }, { "abs(country)", "a number is needed" },
        { "yes < true", "only be compared" },
        { "if(1, 2, 3)", "a condition is needed" }, { "if(yes, 1, 'a')", "of one type" }, { "a b", "no column" },
        { "amount $ 1", "a sign" }, { "1 2", "should end here" }, { "not", "a value is missing" }, { "in", "a value" },
    };
    for (size_t i = 0; i < MBR_COUNT_OF(cases); i++) {
        mbr_expr e;
        ck_assert_msg(compile(cases[i].text, &e) == MBR_ERR_FORMAT, "%s", cases[i].text);
        ck_assert_msg(strstr(b.err.text, cases[i].message) != NULL, "%s: '%s' does not say '%s'", cases[i].text,
                      b.err.text, cases[i].message);
    }
}
END_TEST

/* n times `unit`, then middle, then n times `after`. */
static char *repeat(const char *unit, const char *middle, const char *after, int n)
{
    char *text = malloc((strlen(unit) + strlen(after)) * (size_t)n + strlen(middle) + 1);
    text[0] = '\0';
    for (int i = 0; i < n; i++)
        strcat(text, unit);
    strcat(text, middle);
    for (int i = 0; i < n; i++)
        strcat(text, after);
    return text;
}

START_TEST(depth_and_length_are_bounded)
{
    static const struct {
        const char *unit, *middle, *after;
        int fine, too_much;
    } cases[] = {
        { "(", "1", ")", 60, 100 },   { "-", "1", "", 60, 100 },       { "not ", "yes", "", 60, 100 },
        { "abs(", "1", ")", 60, 100 }, { "1 + ", "1", "", 1000, 3000 }, { "(1 + ", "1", ")", 60, 100 },
        { "yes or ", "yes", "", 1000, 2000 }, { "max(1, ", "1", ")", 60, 4000 }, { "if(yes, 1, ", "1", ")", 60, 100 },
        { "(", "", "", 0, 8000 }, { "[", "", "", 0, 8000 }, { "default(amount, ", "1", ")", 60, 100 },
    };
    for (size_t i = 0; i < MBR_COUNT_OF(cases); i++) {
        mbr_expr e;
        mbr_slot slot;
        const char *fault = NULL;
        char *text = repeat(cases[i].unit, cases[i].middle, cases[i].after, cases[i].fine);
        if (cases[i].fine) {
            ck_assert_msg(compile(text, &e) == MBR_OK, "%s: %s", cases[i].unit, b.err.text);
            ck_assert(mbr_expr_eval(&e, b.lanes, 0, &slot, &fault));
        }
        free(text);
        text = repeat(cases[i].unit, cases[i].middle, cases[i].after, cases[i].too_much);
        ck_assert_int_eq(compile(text, &e), MBR_ERR_FORMAT);
        free(text);
    }
}
END_TEST

/* Pieces of the language in any order: compiles or complains, and what compiles evaluates. */
START_TEST(random_expressions)
{
    static const char *const pieces[] = { "amount", "limit", "yes", "country", "wide[0]", "wide", "1", "0", "'a'",
                                          "(", ")",
                                          "[", "]", ",", "+", "-", "*", "/", "%", "<", "==", "!=", ">=", " and ",
                                              " or ",
                                          "not ", " in ", "max(", "if(", "missing(", "default(", "length(", "true" };
    unsigned seed = 99;
    int compiled = 0;
    for (int round = 0; round < 60000; round++) {
        char text[200] = "";
        int n = 1 + round % 9;
        mbr_expr e;
        for (int i = 0; i < n; i++) {
            seed = seed * 1103515245 + 12345;
            strcat(text, pieces[(seed >> 16) % MBR_COUNT_OF(pieces)]);
        }
        if (compile(text, &e) == MBR_OK) {
            for (size_t row = 0; row < 3; row++) {
                mbr_slot slot;
                const char *fault = NULL;
                ck_assert(mbr_expr_eval(&e, b.lanes, row, &slot, &fault) || fault);
            }
            compiled++;
        } else {
            ck_assert_str_ne(b.err.text, "");
        }
    }
    ck_assert_int_gt(compiled, 1000);
}
END_TEST

START_TEST(without_memory)
{
    static const char text[] = "country in ['a', 'b'] or amount + limit * 2 > 3 and not missing(country) or 1 in [1]";
    for (long fail = 0; fail < 40; fail++) {
        bench one = b;
        mbr_expr e;
        mbr_arena_init(&one.arena, &one.memory, 64);
        mbr_scope scope = b.scope;
        scope.arena = &one.arena;
        atomic_store(&one.memory.fail_after, fail);
        mbr_status st = mbr_expr_compile(text, strlen(text), &scope, &e, NULL);
        ck_assert(st == MBR_OK || st == MBR_ERR_NO_MEMORY);
        ck_assert(fail > 0 || st == MBR_ERR_NO_MEMORY);
        ck_assert(fail < 39 || st == MBR_OK);
        mbr_arena_destroy(&one.arena);
    }
}
END_TEST

START_TEST(names)
{
    ck_assert(mbr_expr_is_name("a", 1) && mbr_expr_is_name("_x9", 3) && mbr_expr_is_name("inn", 3));
    ck_assert(!mbr_expr_is_name("", 0) && !mbr_expr_is_name("9a", 2) && !mbr_expr_is_name("a-b", 3));
    ck_assert(!mbr_expr_is_name("and", 3) && !mbr_expr_is_name("true", 4) && !mbr_expr_is_name("a b", 3));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pipeline_expr");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, values);
    tcase_add_test(t, missing_values);
    tcase_add_test(t, division_by_zero_is_a_fault);
    tcase_add_test(t, mistakes_are_named);
    tcase_add_test(t, depth_and_length_are_bounded);
    tcase_add_test(t, random_expressions);
    tcase_add_test(t, without_memory);
    tcase_add_test(t, names);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
