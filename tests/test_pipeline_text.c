/* SPDX-License-Identifier: BSD-2-Clause */
/* What reads text for pipelines: numbers, times, UTF-8, name tables, CSV, JSON lines. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "runtime/pipeline/column.h"
#include "runtime/rows/csv.h"
#include "runtime/rows/jsonl.h"
#include "runtime/rows/text.h"

#include <check.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mbr_memory memory;

static void setup(void)
{
    mbr_memory_init(&memory);
}

static void teardown(void)
{
    ck_assert_uint_eq(atomic_load(&memory.in_use), 0);
}

static double number(const char *s)
{
    double x = -12345;
    ck_assert_msg(mbr_text_number(s, strlen(s), &x), "'%s' is a number", s);
    return x;
}

START_TEST(numbers_are_read_as_strtod_reads_them)
{
    static const char *const good[] = {
        "0", "-0", "1", "-1", "+7", ".5", "5.", "1e3", "1E-3", "12.75", "0.1", "1e22", "1e23", "9007199254740993",
        "179769313486231570814527423731704356798070567525844996598917476803157260780028538760589558632766878e208",
        "2.2250738585072011e-308", "4.9e-324", "1e-400", "0.000000000000000000000000000000000000000001",
        "123456789012345678901234567890", "3.14159265358979323846264338327950288419716939937510582097494459",
        "8.5e-1", "100000000000000000000000", "0000000000000000000000000000001.5", "6.62607015e-34",
    };
    for (size_t i = 0; i < MBR_COUNT_OF(good); i++) {
        double want = strtod(good[i], NULL), got = number(good[i]);
        ck_assert_msg(memcmp(&want, &got, sizeof got) == 0, "%s: %.17g, not %.17g", good[i], got, want);
    }
    static const char *const bad[] = { "", "-", ".", "e5", "1e", "1e+", "0x10", "inf", "1,5", "1 ", " 1", "1.2.3",
                                       "--1", "1e400", "abc", "1f" };
    for (size_t i = 0; i < MBR_COUNT_OF(bad); i++) {
        double x;
        ck_assert_msg(!mbr_text_number(bad[i], strlen(bad[i]), &x), "'%s' is no number", bad[i]);
    }
    ck_assert(isnan(number("NaN")) && isnan(number("nan")));
}
END_TEST

START_TEST(random_numbers_are_rounded_correctly)
{
    unsigned seed = 20240229;
    for (int round = 0; round < 20000; round++) {
        char text[64];
        seed = seed * 1103515245 + 12345;
        unsigned a = seed >> 8;
        seed = seed * 1103515245 + 12345;
        int e = (int)(seed >> 16) % 40 - 20;
        snprintf(text, sizeof text, "%s%u.%07u%ue%d", a & 1 ? "-" : "", a % 1000000, seed % 9999999, a, e);
        double want = strtod(text, NULL), got = number(text);
        ck_assert_msg(want == got, "%s: %.17g, not %.17g", text, got, want);
    }
}
END_TEST

START_TEST(many_digits_still_round_correctly)
{
    /* A tie that a digit after a thousand zeros decides. */
    char text[1300] = "9007199254740993.";
    size_t n = strlen(text);
    memset(text + n, '0', 1000);
    text[n + 1000] = '\0';
    ck_assert_double_eq(number(text), 9007199254740992.0);
    strcat(text, "1");
    ck_assert_double_eq(number(text), 9007199254740994.0);
}
END_TEST

START_TEST(the_locale_does_not_matter)
{
    static const char *const names[] = { "de_DE.UTF-8", "fr_FR.UTF-8", "de_DE.utf8" };
    for (size_t i = 0; i < MBR_COUNT_OF(names); i++)
        if (setlocale(LC_NUMERIC, names[i]))
            break;
    ck_assert_double_eq(number("1.5"), 1.5);
    ck_assert_double_eq(number("1234567890123456789.25"), 1234567890123456789.25);
    double x;
    ck_assert(!mbr_text_number("1,5", 3, &x));
    mbr_memory m; /* what is wrong with a row stands in the log of decisions */
    const char *fault = NULL;
    mbr_rows rows = { .count = 1, .fault = &fault };
    mbr_memory_init(&m);
    mbr_pool_init(&rows.pool, &m);
    mbr_rows_fail(&rows, 0, "%g", 1.5);
    ck_assert_str_eq(fault, "1.5");
    mbr_pool_destroy(&rows.pool);
    setlocale(LC_NUMERIC, "C");
}
END_TEST

START_TEST(times)
{
    static const struct {
        const char *text;
        double want;
    } good[] = {
        { "1970-01-01", 0 }, { "1970-01-01T00:00:01Z", 1 }, { "2024-02-29", 1709164800 },
        { "2024-02-29T12:30", 1709209800 }, { "2024-02-29 12:30:59.25", 1709209859.25 },
        { "2024-02-29T12:30:00+01:00", 1709206200 }, { "2024-02-29T12:30:00-0530", 1709229600 },
        { "1969-12-31T23:59:59Z", -1 }, { "0001-01-01", -62135596800.0 }, { "9999-12-31T23:59:59", 253402300799.0 },
        { "2016-12-31T23:59:60Z", 1483228800 }, { "1900-03-01", -2203891200.0 },
        { "2024-02-29T12:30:00+01", 1709206200 },
    };
    static const char *const bad[] = { "", "2023-02-29", "2024-13-01", "2024-00-10", "2024-04-31", "1900-02-29",
                                       "24-01-01", "2024-1-1", "2024-01-01T24:00", "2024-01-01T12:60",
                                       "2024-01-01T12:00:61",
                                       "2024-01-01T12:00:00.", "2024-01-01T12:00:00x", "2024-01-01T", "0000-01-01",
                                       "2024-01-01T12:00+25:00", "2024-01-01T12:00+1:00", "1709164800", "2024/01/01" };
    for (size_t i = 0; i < MBR_COUNT_OF(good); i++) {
        double t = NAN;
        ck_assert_msg(mbr_text_time(good[i].text, strlen(good[i].text), &t), "%s", good[i].text);
        ck_assert_msg(t == good[i].want, "%s: %.3f, not %.3f", good[i].text, t, good[i].want);
    }
    for (size_t i = 0; i < MBR_COUNT_OF(bad); i++) {
        double t;
        ck_assert_msg(!mbr_text_time(bad[i], strlen(bad[i]), &t), "'%s' is no time", bad[i]);
    }
}
END_TEST

START_TEST(dates_come_back)
{
    for (int64_t day = -800000; day < 800000; day += 37) {
        int64_t year;
        int month, date;
        mbr_date_from_days(day, &year, &month, &date);
        ck_assert(month >= 1 && month <= 12 && date >= 1 && date <= 31);
        ck_assert_int_eq(mbr_days_from_date(year, month, date), day);
    }
}
END_TEST

START_TEST(utf8)
{
    static const char *const good[] = { "", "abc", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf" };
    static const char *const bad[] = { "\x80", "\xc0\xaf", "\xc3", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                       "\xf8\x88\x80\x80\x80", "a\xffz", "\xe2\x82", "\xf0\x9f\x98" };
    for (size_t i = 0; i < MBR_COUNT_OF(good); i++)
        ck_assert(mbr_text_utf8(good[i], strlen(good[i])));
    for (size_t i = 0; i < MBR_COUNT_OF(bad); i++)
        ck_assert_msg(!mbr_text_utf8(bad[i], strlen(bad[i])), "bad text %zu", i);
}
END_TEST

START_TEST(name_tables)
{
    static const mbr_string keys[] = { { "a", 1 }, { "bb", 2 }, { "", 0 }, { "ccc", 3 }, { "bb", 2 } };
    mbr_arena arena;
    mbr_names t;
    size_t twin;
    mbr_arena_init(&arena, &memory, 0);
    ck_assert_int_eq(mbr_names_build(&t, &arena, keys, 4, &twin, NULL), MBR_OK);
    ck_assert(twin == SIZE_MAX);
    for (size_t i = 0; i < 4; i++)
        ck_assert_uint_eq(mbr_names_find(&t, keys[i].data, keys[i].size), i);
    ck_assert(mbr_names_find(&t, "b", 1) == SIZE_MAX);
    ck_assert(mbr_names_find(&t, "cccc", 4) == SIZE_MAX);
    ck_assert_int_eq(mbr_names_build(&t, &arena, keys, 5, &twin, NULL), MBR_OK);
    ck_assert_uint_eq(twin, 4);
    ck_assert_int_eq(mbr_names_build(&t, &arena, keys, 0, &twin, NULL), MBR_OK);
    ck_assert(mbr_names_find(&t, "a", 1) == SIZE_MAX);
    mbr_arena_destroy(&arena);
}
END_TEST

START_TEST(pools_reuse_their_memory)
{
    mbr_pool p;
    mbr_pool_init(&p, &memory);
    for (int round = 0; round < 3; round++) {
        size_t before = atomic_load(&memory.count);
        for (int i = 0; i < 1000; i++)
            memset(mbr_pool_alloc(&p, 100), i, 100);
        memset(mbr_pool_alloc(&p, 50000), 1, 50000);
        if (round)
            ck_assert_uint_eq(atomic_load(&memory.count), before);
        mbr_pool_reset(&p);
    }
    mbr_pool_destroy(&p);
}
END_TEST

/* ---- CSV ---- */

/* Hands out text a few bytes at a time, so that every boundary of the buffer is met. */
typedef struct feeder {
    const char *text;
    size_t left, step;
    int fail;
} feeder;

static ptrdiff_t feed(void *user, void *to, size_t bytes)
{
    feeder *f = user;
    size_t n = f->step < bytes ? f->step : bytes;
    if (f->fail)
        return -1;
    n = n < f->left ? n : f->left;
    memcpy(to, f->text, n);
    f->text += n;
    f->left -= n;
    return (ptrdiff_t)n;
}

/* Prints all records as "[a][b]" or "!line: fault", one a line. */
static void read_csv(const char *text, size_t size, size_t step, char *out, size_t room)
{
    feeder f = { text, size, step, 0 };
    mbr_source s;
    mbr_csv c;
    bool more = true;
    ck_assert_int_eq(mbr_source_open(&s, &memory, feed, &f, NULL), MBR_OK);
    ck_assert_int_eq(mbr_source_skip_mark(&s, NULL), MBR_OK);
    mbr_csv_init(&c, &s, ',');
    out[0] = '\0';
    for (;;) {
        ck_assert_int_eq(mbr_csv_next(&c, &more, NULL), MBR_OK);
        if (!more)
            break;
        size_t used = strlen(out);
        used += (size_t)snprintf(out + used, room - used, "%llu:", (unsigned long long)c.line);
        if (c.fault)
            used += (size_t)snprintf(out + used, room - used, "!%llu", (unsigned long long)c.fault_line);
        for (size_t i = 0; i < c.field_count; i++)
            used += (size_t)snprintf(out + used, room - used, "[%.*s]", (int)c.fields[i].size, c.fields[i].data);
        snprintf(out + used, room - used, "\n");
    }
    mbr_csv_destroy(&c);
    mbr_source_close(&s);
}

static const struct {
    const char *text, *want;
} csv_cases[] = {
    { "a,b\n1,2\n", "1:[a][b]\n2:[1][2]\n" },
    { "a,b\r\n1,2\r\n", "1:[a][b]\n2:[1][2]\n" },
    { "a,b\n1,2", "1:[a][b]\n2:[1][2]\n" },
    { "\xef\xbb\xbf" "a\n1\n", "1:[a]\n2:[1]\n" },
    { "a,,c,\n", "1:[a][][c][]\n" },
    { "\"a,b\",\"c\"\"d\",\"\"\n", "1:[a,b][c\"d][]\n" },
    { "\"two\nlines\",x\nnext,y\n", "1:[two\nlines][x]\n3:[next][y]\n" },
    { "\"cr\r\nlf\",x\n", "1:[cr\r\nlf][x]\n" },
    { "a\n\n\nb\n\n", "1:[a]\n4:[b]\n" },
    { "", "" },
    { "\n\n", "" },
    { "a \"b\" c,d\nnext,e\n", "1:!1\n2:[next][e]\n" },
    { "\"a\"b,c\nnext,d\n", "1:!1\n2:[next][d]\n" },
    { "a,\"open\nb,c\n", "1:!3\n" },
    { "\"x", "1:!1\n" },
    { "a\rb\nc\n", "1:!1\n2:[c]\n" },
    { "a,b\r", "1:[a][b]\n" },
    { "\xc3\xa9,\xf0\x9f\x98\x80\n", "1:[\xc3\xa9][\xf0\x9f\x98\x80]\n" },
};

START_TEST(csv_records)
{
    char out[400];
    for (size_t i = 0; i < MBR_COUNT_OF(csv_cases); i++)
        for (size_t step = 1; step < 8; step++) {
            read_csv(csv_cases[i].text, strlen(csv_cases[i].text), step, out, sizeof out);
            ck_assert_msg(strcmp(out, csv_cases[i].want) == 0, "case %zu, %zu bytes at a time:\n%sinstead of\n%s", i,
                          step, out, csv_cases[i].want);
        }
    read_csv("a,b\0c,d\ne,f\n", 12, 3, out, sizeof out);
    ck_assert_str_eq(out, "1:!1\n2:[e][f]\n");
}
END_TEST

START_TEST(csv_records_that_are_too_long)
{
    size_t n = 3 * MBR_CSV_RECORD;
    char *text = malloc(n + 16), out[400];
    memset(text, 'x', n);
    text[0] = '"';
    strcpy(text + n, "\nlast,one\n");
    read_csv(text, n + 10, 65536, out, sizeof out);
    ck_assert_str_eq(out, "1:!1\n2:[last][one]\n");
    memset(text, ',', MBR_CSV_FIELDS + 10);
    strcpy(text + MBR_CSV_FIELDS + 10, "\na\n");
    read_csv(text, strlen(text), 65536, out, sizeof out);
    ck_assert_str_eq(out, "1:!1\n2:[a]\n");
    free(text);
}
END_TEST

START_TEST(csv_refusals)
{
    mbr_error err = { 0 };
    feeder wide = { "\xff\xfe" "a\0", 4, 4, 0 }, broken = { "", 0, 1, 1 };
    mbr_source s;
    mbr_csv c;
    bool more;
    ck_assert_int_eq(mbr_source_open(&s, &memory, feed, &wide, &err), MBR_OK);
    ck_assert_int_eq(mbr_source_skip_mark(&s, &err), MBR_ERR_FORMAT);
    ck_assert_ptr_nonnull(strstr(err.text, "UTF-16"));
    mbr_source_close(&s);
    ck_assert_int_eq(mbr_source_open(&s, &memory, feed, &broken, &err), MBR_OK);
    mbr_csv_init(&c, &s, ',');
    ck_assert_int_eq(mbr_csv_next(&c, &more, &err), MBR_ERR_IO);
    mbr_csv_destroy(&c);
    mbr_source_close(&s);
}
END_TEST

/* Whatever the bytes: no crash, and as many bytes consumed as there are. */
START_TEST(csv_of_random_bytes)
{
    static const char alphabet[] = "a,\"\n\r1;\xc3\xa9\0b,\"\n";
    char text[300], out[4000];
    unsigned seed = 7;
    for (int round = 0; round < 3000; round++) {
        size_t n = (seed >> 16) % sizeof text;
        for (size_t i = 0; i < n; i++) {
            seed = seed * 1103515245 + 12345;
            text[i] = alphabet[(seed >> 16) % (sizeof alphabet - 1)];
        }
        read_csv(text, n, 1 + (seed >> 20) % 90, out, sizeof out);
    }
}
END_TEST

START_TEST(csv_without_memory)
{
    static const char text[] = "a,b,c\n\"d\",e,f\n";
    for (long fail = 0; fail < 8; fail++) {
        feeder f = { text, sizeof text - 1, 3, 0 };
        mbr_source s;
        mbr_csv c;
        bool more = true;
        mbr_status st;
        atomic_store(&memory.fail_after, fail);
        if (mbr_source_open(&s, &memory, feed, &f, NULL) == MBR_OK) {
            mbr_csv_init(&c, &s, ',');
            do
                st = mbr_csv_next(&c, &more, NULL);
            while (st == MBR_OK && more);
            ck_assert(st == MBR_OK || st == MBR_ERR_NO_MEMORY);
            if (fail == 7)
                ck_assert_int_eq(st, MBR_OK);
            mbr_csv_destroy(&c);
        }
        mbr_source_close(&s);
        atomic_store(&memory.fail_after, -1);
    }
}
END_TEST

/* ---- JSON lines ---- */

#ifdef HAVE_JANSSON

static void read_json(const char *text, char *out, size_t room)
{
    feeder f = { text, strlen(text), 5, 0 };
    mbr_source s;
    mbr_jsonl j;
    bool more = true;
    ck_assert_int_eq(mbr_source_open(&s, &memory, feed, &f, NULL), MBR_OK);
    ck_assert_int_eq(mbr_jsonl_init(&j, &s, NULL), MBR_OK);
    out[0] = '\0';
    for (;;) {
        ck_assert_int_eq(mbr_jsonl_next(&j, &more, NULL), MBR_OK);
        if (!more)
            break;
        size_t used = strlen(out);
        used += (size_t)snprintf(out + used, room - used, "%llu:%s", (unsigned long long)j.line, j.fault ? "!" : "");
        for (size_t i = 0; i < j.field_count; i++) {
            const mbr_field *p = &j.fields[i];
            if (p->kind == MBR_FIELD_TEXT)
                used += (size_t)snprintf(out + used, room - used, "[%s='%.*s']", p->name, (int)p->text_size, p->text);
            else if (p->kind == MBR_FIELD_NUMBER)
                used += (size_t)snprintf(out + used, room - used, "[%s=%g%s]", p->name, p->number, p->text ? "i" : "");
            else
                used += (size_t)snprintf(out + used, room - used, p->kind == MBR_FIELD_NESTED ? "[%s+]" : "[%s]",
                                         p->name);
        }
        snprintf(out + used, room - used, "\n");
    }
    mbr_jsonl_destroy(&j);
    mbr_source_close(&s);
}

START_TEST(json_lines)
{
    char out[600];
    read_json("{\"a\": 1, \"b\": \"x\", \"c\": null}\n\n{\"a\": 2.5, \"b\": true}", out, sizeof out);
    ck_assert_str_eq(out, "1:[a=1i][b='x'][c]\n3:[a=2.5][b=1]\n");
    read_json("{\"a\": [1], \"b\": {}}\n[1]\n{\"a\"\n{\"a\": 1, \"a\": 2}\n{\"z\": 0}\n", out, sizeof out);
    ck_assert_str_eq(out, "1:[a+][b+]\n2:!\n3:!\n4:!\n5:[z=0i]\n");
    read_json("\n\n{\"a\": 1}\n", out, sizeof out);
    ck_assert_str_eq(out, "3:[a=1i]\n");
}
END_TEST

START_TEST(json_nested_deep_or_too_long)
{
    size_t n = 3 * MBR_JSONL_LINE;
    char *text = malloc(n + 32), out[400];
    memset(text, '[', n);
    strcpy(text + n, "\n{\"a\": 1}\n");
    read_json(text, out, sizeof out);
    ck_assert_str_eq(out, "1:!\n2:[a=1i]\n");
    memset(text, '[', 100000);
    strcpy(text + 100000, "\n{\"a\": 1}\n");
    read_json(text, out, sizeof out);
    ck_assert_str_eq(out, "1:!\n2:[a=1i]\n");
    free(text);
}
END_TEST

#endif

int main(void)
{
    Suite *suite = suite_create("pipeline_text");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, numbers_are_read_as_strtod_reads_them);
    tcase_add_test(t, random_numbers_are_rounded_correctly);
    tcase_add_test(t, many_digits_still_round_correctly);
    tcase_add_test(t, the_locale_does_not_matter);
    tcase_add_test(t, times);
    tcase_add_test(t, dates_come_back);
    tcase_add_test(t, utf8);
    tcase_add_test(t, name_tables);
    tcase_add_test(t, pools_reuse_their_memory);
    tcase_add_test(t, csv_records);
    tcase_add_test(t, csv_records_that_are_too_long);
    tcase_add_test(t, csv_refusals);
    tcase_add_test(t, csv_of_random_bytes);
    tcase_add_test(t, csv_without_memory);
#ifdef HAVE_JANSSON
    tcase_add_test(t, json_lines);
    tcase_add_test(t, json_nested_deep_or_too_long);
#endif
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
