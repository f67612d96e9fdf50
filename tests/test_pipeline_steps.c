/* SPDX-License-Identifier: BSD-2-Clause */
/* Every kind of step, on values worked out by hand or by numpy and scikit-learn; YAML and the complaints about it. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "runtime/pipeline/node.h"
#include "tests/pipeline_rows.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef HAVE_YAML

static bench b;
static mbr_step step;

static void setup(void)
{
    static const double x[] = { 0, 2, -3, NAN }, y[] = { 4, 0, 1.5, 2 }, flag[] = { 1, 0, 1, NAN };
    static const double wide[] = { 1, 2, 0, 0, -1, 1, NAN, 3 };
    static const double when[] = { 1709209859.25, 0, -1, NAN }, then[] = { 1709206259.25, 3600, -86401, 5 };
    static const char *const city[] = { "Rome", "Oslo", "Bonn", NULL }, *const kind[] = { "a", "", "c", "d" };
    bench_open(&b);
    bench_numbers(&b, "x", MBR_COL_NUMBER, 1, 4, x);
    bench_numbers(&b, "y", MBR_COL_NUMBER, 1, 4, y);
    bench_numbers(&b, "flag", MBR_COL_BOOL, 1, 4, flag);
    bench_numbers(&b, "wide", MBR_COL_NUMBER, 2, 4, wide);
    bench_numbers(&b, "when", MBR_COL_TIME, 1, 4, when);
    bench_numbers(&b, "then", MBR_COL_TIME, 1, 4, then);
    bench_texts(&b, "city", 4, city);
    bench_texts(&b, "kind", 4, kind);
}

static void teardown(void)
{
    bench_close(&b);
}

static mbr_status compile(const char *text)
{
    mbr_compiling c = { .read = { .arena = &b.arena, .file = "p.yaml", .err = &b.err }, .scope = &b.scope };
    mbr_node *n;
    b.err.text[0] = '\0';
    MBR_TRY(mbr_yaml_read(&c.read, text, strlen(text), &n));
    return mbr_step_compile(&c, n, &step);
}

/* Compiles and runs "{name: out, ...}". */
static void run(const char *text)
{
    b.scope.count = 8; /* forget an earlier step */
    memset(b.fault, 0, sizeof b.fault);
    ck_assert_msg(compile(text) == MBR_OK, "%s: %s", text, b.err.text);
    bench_lane(&b, step.out);
    step.kind->run(&step, &b.rows);
}

static void expect_numbers(const char *text, int width, const double *want)
{
    run(text);
    ck_assert_int_eq(b.scope.cols[step.out].width, width);
    for (int i = 0; i < 4 * width; i++) {
        double got = b.lanes[step.out].num[i];
        bool same = isnan(want[i]) ? isnan(got) : fabs(got - want[i]) <= 1e-15 * fabs(want[i]) || got == want[i];
        ck_assert_msg(same, "%s: value %d is %.17g, not %.17g", text, i, got, want[i]);
    }
}

static void expect_faults(const char *text, const char *faults)
{
    run(text);
    for (int i = 0; i < 4; i++)
        ck_assert_msg((b.fault[i] != NULL) == (faults[i] == '!'), "%s: row %d: %s", text, i,
                      b.fault[i] ? b.fault[i] : "no fault");
}

#define EXPECT(text, width, ...) expect_numbers(text, width, (const double[]){ __VA_ARGS__ })

START_TEST(number_steps)
{
    EXPECT("{name: out, kind: impute, from: x, value: 7}", 1, 0, 2, -3, 7);
    EXPECT("{name: out, kind: standardize, from: x, mean: 1, scale: 4}", 1, -0.25, 0.25, -1, NAN);
    EXPECT("{name: out, kind: min_max, from: x, min: -3, max: 2}", 1, 0.6000000000000001, 1, 0, NAN);
    EXPECT("{name: out, kind: log, from: x, offset: 1}", 1, 0, 1.0986122886681098, NAN, NAN);
    EXPECT("{name: out, kind: log, from: y}", 1, 1.3862943611198906, -INFINITY, 0.4054651081081644, 0.6931471805599453);
    EXPECT("{name: out, kind: clip, from: x, min: -1, max: 1}", 1, 0, 1, -1, NAN);
    EXPECT("{name: out, kind: clip, from: x, max: 1}", 1, 0, 1, -3, NAN);
    EXPECT("{name: out, kind: bucket, from: x, edges: [-3, 0, 1]}", 1, 2, 3, 1, NAN);
    EXPECT("{name: out, kind: affine, from: x, multiply: 2, add: 1}", 1, 1, 5, -5, NAN);
    EXPECT("{name: out, kind: ratio, from: [x, y]}", 1, 0, NAN, -2, NAN);
    EXPECT("{name: out, kind: ratio, from: [x, y], when_zero: 9}", 1, 0, 9, -2, NAN);
    expect_faults("{name: out, kind: ratio, from: [x, y], when_zero: error}", ".!..");
    EXPECT("{name: out, kind: cyclic, from: x, period: 8}", 2, 0, 1, 1, 6.123233995736766e-17, -0.7071067811865476,
           -0.7071067811865475, NAN, NAN);
    EXPECT("{name: out, kind: quantile, from: x, quantiles: [-3, -1, 1, 3]}", 1, 0.5, 0.8333333333333333, 0, NAN);
    EXPECT("{name: out, kind: quantile, from: y, quantiles: [0, 0, 2, 2]}", 1, 1, 0, 0.5833333333333333, 1);
    EXPECT("{name: out, kind: quantile, from: x, quantiles: [-3, 5], output: normal}", 1, -0.31863936396437514,
           0.31863936396437514, -5.199337582605575, NAN);
    EXPECT("{name: out, kind: quantile, from: x, quantiles: [0, 0]}", 1, 0, 1, 0, NAN);
    EXPECT("{name: out, kind: power, from: x, lambda: 0}", 1, 0, 1.0986122886681098, -7.5, NAN);
    EXPECT("{name: out, kind: power, from: x, lambda: 2, mean: 1, scale: 2}", 1, -0.5, 1.5, -1.1931471805599454, NAN);
    EXPECT("{name: out, kind: power, from: y, lambda: 2, method: box_cox}", 1, 7.5, -0.5, 0.625, 1.5);
    EXPECT("{name: out, kind: polynomial, from: [x, y], degree: 2}", 6, 1, 0, 4, 0, 0, 16, 1, 2, 0, 4, 0, 0, 1, -3, 1.5,
           9, -4.5, 2.25, 1, NAN, 2, NAN, NAN, 4);
    EXPECT("{name: out, kind: polynomial, from: [x, wide], degree: 3, interaction_only: true, bias: false}", 7, 0, 1, 2,
           0, 0, 2, 0, 2, 0, 0, 0, 0, 0, 0, -3, -1, 1, 3, -3, -1, 3, NAN, NAN, 3, NAN, NAN, NAN, NAN);
    EXPECT("{name: out, kind: sigmoid, from: x}", 1, 0.5, 0.8807970779778823, 0.04742587317756678, NAN);
    EXPECT("{name: out, kind: platt, from: x, a: -1, b: 0}", 1, 0.5, 0.8807970779778823, 0.04742587317756678, NAN);
    EXPECT("{name: out, kind: softmax, from: wide}", 2, 0.2689414213699951, 0.7310585786300049, 0.5, 0.5,
           0.11920292202211755, 0.8807970779778824, NAN, NAN);
}
END_TEST

START_TEST(wide_columns)
{
    EXPECT("{name: out, kind: impute, from: wide, value: 5}", 2, 1, 2, 0, 0, -1, 1, 5, 3);
    EXPECT("{name: out, kind: is_missing, from: wide}", 2, 0, 0, 0, 0, 0, 0, 1, 0);
    ck_assert_int_eq(b.scope.cols[step.out].type, MBR_COL_BOOL);
}
END_TEST

START_TEST(missing_and_expressions)
{
    EXPECT("{name: out, kind: is_missing, from: x}", 1, 0, 0, 0, 1);
    EXPECT("{name: out, kind: is_missing, from: city}", 1, 0, 0, 0, 1);
    EXPECT("{name: out, kind: expr, expr: 'x * y'}", 1, 0, 0, -4.5, NAN);
    EXPECT("{name: out, kind: expr, expr: \"city == 'Oslo' or x < 0\"}", 1, 0, 1, 1, 0);
    ck_assert_int_eq(b.scope.cols[step.out].type, MBR_COL_BOOL);
    expect_faults("{name: out, kind: expr, expr: 1 / y}", ".!..");
    ck_assert_str_eq(b.fault[1], "step 'out': division by zero");
    ck_assert(isnan(b.lanes[step.out].num[1]));
    run("{name: out, kind: expr, expr: \"if(x > 1, city, 'none')\"}");
    ck_assert_int_eq(b.scope.cols[step.out].type, MBR_COL_STRING);
    ck_assert_uint_eq(b.lanes[step.out].str[1].size, 4);
    ck_assert_int_eq(memcmp(b.lanes[step.out].str[1].data, "Oslo", 4), 0);
    run("{name: out, kind: impute, from: city, value: Ulm}");
    ck_assert_int_eq(memcmp(b.lanes[step.out].str[3].data, "Ulm", 3), 0);
}
END_TEST

START_TEST(category_steps)
{
    EXPECT("{name: out, kind: one_hot, from: city, values: [Oslo, Rome], unknown: zeros}", 2, 0, 1, 1, 0, 0, 0, 0, 0);
    expect_faults("{name: out, kind: one_hot, from: city, values: [Oslo, Rome]}", "..!.");
    ck_assert_str_eq(b.fault[2], "column 'city': the value 'Bonn' is not known to step 'out'");
    expect_faults("{name: out, kind: one_hot, from: city, values: [Oslo, Rome, Bonn], missing: error}", "...!");
    EXPECT("{name: out, kind: one_hot, from: x, values: [0, 2], unknown: zeros}", 2, 1, 0, 0, 1, 0, 0, 0, 0);
    expect_faults("{name: out, kind: one_hot, from: x, values: [0, 2]}", "..!.");
    EXPECT("{name: out, kind: ordinal, from: city, values: [Oslo, Rome], unknown: -1}", 1, 1, 0, -1, NAN);
    EXPECT("{name: out, kind: ordinal, from: city, values: [Oslo, Rome], unknown: missing, missing: 7}", 1, 1, 0, NAN,
           7);
    expect_faults("{name: out, kind: ordinal, from: city, values: [Oslo, Rome], missing: error}", "..!!");
    EXPECT("{name: out, kind: lookup, from: city, table: {Oslo: 0.5, Rome: -2}, unknown: 9, missing: 8}", 1, -2, 0.5, 9,
           8);
    expect_faults("{name: out, kind: lookup, from: city, table: {Oslo: 0.5, Rome: -2}}", "..!.");
    EXPECT("{name: out, kind: ordinal, from: x, values: [2, 0], unknown: -1, missing: 5}", 1, 1, 0, -1, 5);
    expect_faults("{name: out, kind: ordinal, from: x, values: [2, 0]}", "..!.");
    ck_assert_str_eq(b.fault[2], "column 'x': the value -3 is not known to step 'out'");
    /* sklearn.feature_extraction.FeatureHasher */
    EXPECT("{name: out, kind: hash, from: city, buckets: 4}", 4, 0, 0, -1, 0, 0, 0, 0, -1, 0, 0, 0, 1, 0, 0, 0, 0);
    EXPECT("{name: out, kind: hash, from: city, buckets: 1000, make: index}", 1, 590, 211, 863, NAN);
    run("{name: out, kind: cross, from: [city, kind]}");
    static const char *const crossed[] = { "Rome|a", "Oslo|", "Bonn|c", "|d" };
    for (int i = 0; i < 4; i++) {
        ck_assert_uint_eq(b.lanes[step.out].str[i].size, strlen(crossed[i]));
        ck_assert_int_eq(memcmp(b.lanes[step.out].str[i].data, crossed[i], strlen(crossed[i])), 0);
    }
    run("{name: out, kind: cross, from: [city, kind, city], separator: ' x '}");
    ck_assert_int_eq(memcmp(b.lanes[step.out].str[0].data, "Rome x a x Rome", 15), 0);
}
END_TEST

START_TEST(time_steps)
{
    EXPECT("{name: out, kind: date_part, from: when, part: hour}", 1, 12, 0, 23, NAN);
    EXPECT("{name: out, kind: date_part, from: when, part: minute}", 1, 30, 0, 59, NAN);
    EXPECT("{name: out, kind: date_part, from: when, part: second}", 1, 59.25, 0, 59, NAN);
    EXPECT("{name: out, kind: date_part, from: when, part: weekday}", 1, 3, 3, 2, NAN);
    EXPECT("{name: out, kind: date_part, from: when, part: day}", 1, 29, 1, 31, NAN);
    EXPECT("{name: out, kind: date_part, from: when, part: day_of_year}", 1, 60, 1, 365, NAN);
    EXPECT("{name: out, kind: date_part, from: when, part: month}", 1, 2, 1, 12, NAN);
    EXPECT("{name: out, kind: date_part, from: when, part: year}", 1, 2024, 1970, 1969, NAN);
    EXPECT("{name: out, kind: date_part, from: when, part: epoch_day}", 1, 19782, 0, -1, NAN);
    EXPECT("{name: out, kind: date_part, from: when, part: epoch}", 1, 1709209859.25, 0, -1, NAN);
    EXPECT("{name: out, kind: date_part, from: when, part: iso_week}", 1, 9, 1, 1, NAN);
    EXPECT("{name: out, kind: date_part, from: when, part: iso_year}", 1, 2024, 1970, 1970, NAN);
    EXPECT("{name: out, kind: date_part, from: when, part: quarter}", 1, 1, 1, 4, NAN);
    EXPECT("{name: out, kind: date_part, from: when, part: days_in_month}", 1, 29, 31, 31, NAN);
    EXPECT("{name: out, kind: date_part, from: when, part: hour, utc_offset: 90}", 1, 14, 1, 1, NAN);
    EXPECT("{name: out, kind: elapsed, from: [when, then]}", 1, 3600, -3600, 86400, NAN);
    EXPECT("{name: out, kind: elapsed, from: [when, then], unit: days}", 1, 1.0 / 24, -1.0 / 24, 1, NAN);
}
END_TEST

START_TEST(mistakes_name_line_and_fix)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        { "name: a\nkind: logg\nfrom: x", "p.yaml:2: there is no kind of step 'logg'; did you mean 'log'?" },
        { "name: a\nkind: zzzzzz\nfrom: x", "there are impute, standardize" },
        { "name: a\nfrom: x", "p.yaml:1: a step needs the keys 'name' and 'kind'" },
        { "name: a\nkind: log\nfrom: xx", "p.yaml:3: step 'a': there is no column 'xx' before it; did you mean 'x'?" },
        { "name: a\nkind: log", "step 'a' needs the key 'from'" },
        { "name: a\nkind: log\nfrom: [x, y]", "log reads 1 to 1 columns, not 2" },
        { "name: a\nkind: log\nfrom: city", "p.yaml:3: step 'a': log reads numbers, and 'city' is a string" },
        { "name: a\nkind: ratio\nfrom: [x, wide]", "ratio reads single values, and 'wide' has 2 a row" },
        { "name: a\nkind: date_part\nfrom: x\npart: hour", "date_part reads times, and 'x' is a number" },
        { "name: x\nkind: log\nfrom: y", "p.yaml:1: there is a column 'x' already" },
        { "name: a-b\nkind: log\nfrom: y", "must be a letter" },
        { "name: a\nkind: log\nfrom: y\nofset: 1",
          "p.yaml:4: step 'a' (log) has no key 'ofset'; did you mean 'offset'?" },
        { "name: a\nkind: log\nfrom: y\noffset: one",
          "p.yaml:4: 'offset' of step 'a' (log) must be a number, not 'one'" },
        { "name: a\nkind: log\nfrom: y\noffset: '1'", "must be a number" },
        { "name: a\nkind: log\nfrom: y\noffset: [1]", "must be one value" },
        { "name: a\nkind: clip\nfrom: y\nmin: 2\nmax: 1", "min is above max" },
        { "name: a\nkind: clip\nfrom: y", "needs the key 'min' or 'max'" },
        { "name: a\nkind: standardize\nfrom: y\nmean: 1", "needs the key 'scale'" },
        { "name: a\nkind: standardize\nfrom: y\nmean: 1\nscale: 0", "the scale is 0" },
        { "name: a\nkind: min_max\nfrom: y\nmin: 1\nmax: 1", "min must be below max" },
        { "name: a\nkind: bucket\nfrom: y\nedges: [1, 1]", "the edges must ascend" },
        { "name: a\nkind: bucket\nfrom: y\nedges: []", "'edges' of step 'a' (bucket) is empty" },
        { "name: a\nkind: bucket\nfrom: y\nedges: {a: 1}", "must be a list" },
        { "name: a\nkind: one_hot\nfrom: city\nvalues: [a, b, a]", "the value 'a' is listed twice" },
        { "name: a\nkind: one_hot\nfrom: x\nvalues: [a]", "the value 'a' is no number" },
        { "name: a\nkind: one_hot\nfrom: city\nvalues: [a]\nunknown: maybe",
          "must be one of zeros|error|infrequent, not 'maybe'" },
        { "name: a\nkind: ordinal\nfrom: city\nvalues: [a]\nunknown: maybe", "a number or one of missing|error" },
        { "name: a\nkind: lookup\nfrom: city\ntable: {a: b}", "must be a number, not 'b'" },
        { "name: a\nkind: lookup\nfrom: city\ntable: [a]", "must be a table" },
        { "name: a\nkind: lookup\nfrom: city", "needs the key 'table', or 'file', 'key' and 'value'" },
        { "name: a\nkind: lookup\nfrom: city\nfile: x.csv\nkey: k", "needs the key 'table', or 'file', 'key' and" },
        { "name: a\nkind: lookup\nfrom: city\ntable: {a: 1}\nkey: k", "needs the key 'table', or 'file', 'key' and" },
        { "name: a\nkind: quantile\nfrom: x\nquantiles: [1, 0]", "must not descend" },
        { "name: a\nkind: power\nfrom: x\nlambda: 1\nscale: 0", "the scale is 0" },
        { "name: a\nkind: power\nfrom: x", "needs the key 'lambda'" },
        { "name: a\nkind: polynomial\nfrom: x\ndegree: 9", "the degree must be 1 to 8" },
        { "name: a\nkind: hash\nfrom: city\nbuckets: 0", "'buckets' must be 1 to 65536" },
        { "name: a\nkind: hash\nfrom: [city, kind]\nbuckets: 9\nmake: index", "an index is made of one column" },
        { "name: a\nkind: ordinal\nfrom: x\nvalues: [a]", "the value 'a' is no number" },
        { "name: a\nkind: date_part\nfrom: when\npart: week", "must be one of second|minute" },
        { "name: a\nkind: date_part\nfrom: when\npart: day\nutc_offset: 0.5", "must be a whole number" },
        { "name: a\nkind: date_part\nfrom: when\npart: day\nutc_offset: 2000", "in minutes" },
        { "name: a\nkind: expr\nexpr: x +", "p.yaml:1: step 'a': a value is missing" },
        { "name: a\nkind: expr\nfrom: x\nexpr: x", "expr has no 'from'" },
        { "name: a\nkind: softmax\nfrom: x", "softmax needs a column of two values" },
        { "name: a\nkind: cyclic\nfrom: x\nperiod: 0", "the period must be above 0" },
        { "name: a\nkind: impute\nfrom: x\nvalue: blue", "must be a number" },
        { "name: a\nkind: impute\nfrom: x\nvalue:", "must be a number" },
        { "- a", "a step must be a table" },
        { "just text", "a step must be a table" },
    };
    for (size_t i = 0; i < MBR_COUNT_OF(cases); i++) {
        b.scope.count = 8;
        ck_assert_msg(compile(cases[i].text) == MBR_ERR_FORMAT, "%s", cases[i].text);
        ck_assert_msg(strstr(b.err.text, cases[i].message) != NULL, "%s\n'%s' does not say '%s'", cases[i].text,
                      b.err.text, cases[i].message);
    }
}
END_TEST

START_TEST(yaml_that_is_refused)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        { "", "p.yaml:1: the file is empty" }, { "a: 1\na: 2", "p.yaml:2: 'a' stands here twice" },
        { "a: &x 1\nb: *x", "anchors and aliases" }, { "a: &x [*x]", "anchors and aliases" },
        { "a: [1, 2", "p.yaml:2: not valid YAML" }, { "a:\n\tb: 1", "not valid YAML" },
        { "[a]: 1", "a key must be plain" },
        { "a: 1\n---\nb: 2", "a second document" }, { "a: \"\\0\"", "zero byte" }, { "a: \xff", "must be UTF-8" },
        { "a: 'x", "not valid YAML" }, { "%YAML 9.9\n---\na: 1", "not valid YAML" },
    };
    mbr_reading r = { .arena = &b.arena, .file = "p.yaml", .err = &b.err };
    mbr_node *n;
    for (size_t i = 0; i < MBR_COUNT_OF(cases); i++) {
        mbr_status st = mbr_yaml_read(&r, cases[i].text, strlen(cases[i].text), &n);
        ck_assert_msg(st == MBR_ERR_FORMAT, "%s", cases[i].text);
        ck_assert_msg(strstr(b.err.text, cases[i].message) != NULL, "'%s' does not say '%s'", b.err.text,
                      cases[i].message);
    }
    size_t deep = 100000;
    char *text = malloc(deep + 1);
    memset(text, '[', deep);
    ck_assert_int_eq(mbr_yaml_read(&r, text, deep, &n), MBR_ERR_FORMAT);
    memset(text, '\n', deep);
    ck_assert_int_eq(mbr_yaml_read(&r, text, deep, &n), MBR_ERR_FORMAT);
    ck_assert_int_eq(mbr_yaml_read(&r, text, MBR_PIPELINE_BYTES + 1, &n), MBR_ERR_LIMIT);
    free(text);
}
END_TEST

START_TEST(json_is_read_too)
{
    static const char text[] = "{\"a\": [1, \"x\", true, null],\n \"b\": {\"c\": \"\\u00e9\"}}";
    mbr_reading r = { .arena = &b.arena, .file = "p.json", .err = &b.err };
    mbr_node *n;
    ck_assert_int_eq(mbr_yaml_read(&r, text, sizeof text - 1, &n), MBR_OK);
    const mbr_node *a = mbr_node_get(n, "a"), *c = mbr_node_get(mbr_node_get(n, "b"), "c");
    ck_assert_uint_eq(a->count, 4);
    ck_assert(!a->items[0]->quoted && a->items[1]->quoted);
    ck_assert_str_eq(c->text.data, "\xc3\xa9");
    ck_assert_int_eq(c->line, 2);
    ck_assert_ptr_null(mbr_node_get(n, "z"));
}
END_TEST

/* Every kind of the table is documented and was run above. */
START_TEST(every_kind_is_in_the_manual)
{
    const char *folder = getenv("srcdir");
    char path[500], *text;
    snprintf(path, sizeof path, "%s/docs/pipeline.md", folder ? folder : ".");
    FILE *f = fopen(path, "rb");
    ck_assert_msg(f != NULL, "%s", path);
    text = calloc(1, 1 << 20);
    ck_assert_uint_gt(fread(text, 1, (1 << 20) - 1, f), 0);
    fclose(f);
    for (const mbr_step_kind *k = mbr_step_kinds; k->name; k++) {
        char word[64];
        snprintf(word, sizeof word, "| `%s` |", k->name);
        ck_assert_msg(strstr(text, word) != NULL, "docs/pipeline.md has no row for %s", k->name);
        for (const mbr_param *p = k->params; p->name; p++) {
            snprintf(word, sizeof word, "`%s", p->name);
            ck_assert_msg(strstr(text, word) != NULL, "docs/pipeline.md does not name the key %s of %s", p->name,
                          k->name);
        }
    }
    free(text);
}
END_TEST

START_TEST(without_memory)
{
    static const char text[] = "{name: out, kind: lookup, from: city, table: {Oslo: 0.5, Rome: -2}, unknown: 1}";
    mbr_status st = MBR_ERR_NO_MEMORY;
    for (long fail = 0; st != MBR_OK; fail++) {
        ck_assert_int_lt(fail, 1000);
        mbr_memory memory;
        mbr_arena arena;
        mbr_error err;
        mbr_node *n;
        mbr_memory_init(&memory);
        mbr_arena_init(&arena, &memory, 32);
        mbr_scope scope = b.scope;
        scope.capacity = scope.count; /* the next column needs memory */
        scope.arena = &arena;
        mbr_compiling c = { .read = { .arena = &arena, .file = "p.yaml", .err = &err }, .scope = &scope };
        atomic_store(&memory.fail_after, fail);
        st = mbr_yaml_read(&c.read, text, sizeof text - 1, &n);
        if (st == MBR_OK)
            st = mbr_step_compile(&c, n, &step);
        ck_assert(st == MBR_OK || st == MBR_ERR_NO_MEMORY);
        mbr_arena_destroy(&arena);
        ck_assert_uint_eq(atomic_load(&memory.in_use), 0);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pipeline_steps");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, number_steps);
    tcase_add_test(t, wide_columns);
    tcase_add_test(t, missing_and_expressions);
    tcase_add_test(t, category_steps);
    tcase_add_test(t, time_steps);
    tcase_add_test(t, mistakes_name_line_and_fix);
    tcase_add_test(t, yaml_that_is_refused);
    tcase_add_test(t, json_is_read_too);
    tcase_add_test(t, every_kind_is_in_the_manual);
    tcase_add_test(t, without_memory);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#else

int main(void)
{
    printf("built without libyaml\n");
    return 77;
}

#endif
