/* SPDX-License-Identifier: BSD-2-Clause */
/* mbr/aggregates.h: against a plain look at all rows, files, bounds, refusals, and memory that runs out. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "mbr/aggregates.h"

#include "base/env.h"
#include "tests/random.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROWS = 600, KEYS = 5, COLUMNS = 12 };

static const mbr_aggregate_column columns[COLUMNS] = {
    { MBR_AGGREGATE_COUNT, -1, 60, 0 },       { MBR_AGGREGATE_COUNT, 0, 600, 1 },  { MBR_AGGREGATE_SUM, 0, 60, 0 },
    { MBR_AGGREGATE_SUM, 1, 600, 1 },         { MBR_AGGREGATE_MEAN, 0, 600, 0 },   { MBR_AGGREGATE_MIN, 0, 60, 0 },
    { MBR_AGGREGATE_MAX, 1, 600, 1 },         { MBR_AGGREGATE_STD, 0, 600, 0 },    { MBR_AGGREGATE_DISTINCT, 0, 60, 0 },
    { MBR_AGGREGATE_LAST, 1, 0, 0 },          { MBR_AGGREGATE_SINCE_LAST, -1, 0, 0 },
    { MBR_AGGREGATE_RATE, -1, 600, 1 },
};

typedef struct row {
    char key[8];
    double time, numbers[2];
    mbr_aggregate_text text;
} row;

static mbr_env *env;
static mbr_error err;
static row rows[ROWS];

static void begin(void)
{
    mbr_env_options options = { .size = sizeof options, .threads = 1 };
    ck_assert_int_eq(mbr_env_new(&options, &env, &err), MBR_OK);
}

static void end(void)
{
    mbr_env_release(&env);
}

static mbr_aggregates_options plain(void)
{
    return (mbr_aggregates_options){ .size = sizeof(mbr_aggregates_options), .columns = columns, .events = 1000,
                                     .column_count = COLUMNS, .numbers = 2, .texts = 1, .keys = 100 };
}

static mbr_aggregates *make(const mbr_aggregates_options *o)
{
    mbr_aggregates *a = NULL;
    ck_assert_msg(mbr_aggregates_new(env, o, &a, &err) == MBR_OK, "%s", err.text);
    return a;
}

static void draw_rows(void)
{
    static const char *const shops[] = { "x", "yy", "", "x\0z" };
    double clock = 1.7e9;
    for (int i = 0; i < ROWS; i++) {
        row *r = &rows[i];
        int shop = random_below(5);
        clock += random_below(5) * 4;
        snprintf(r->key, sizeof r->key, "key%d", random_below(KEYS));
        r->time = clock;
        r->numbers[0] = random_below(6) ? 1000 + (double)random_real() : NAN;
        r->numbers[1] = random_below(9) ? random_below(7) : NAN;
        r->text = (mbr_aggregate_text){ NULL, 0 };
        if (shop < 4)
            r->text = (mbr_aggregate_text){ shops[shop], shop == 3 ? 3 : strlen(shops[shop]) };
    }
}

/* What column c of row n is, by a look at all rows before it. look: row n itself is only a time. */
static double due(int n, const mbr_aggregate_column *c, bool look)
{
    double count = 0, rows_in = 0, sum = 0, low = INFINITY, high = -INFINITY, squares = 0, last = NAN, since = NAN;
    int distinct = 0;
    const row *seen[ROWS];
    for (int i = 0; i <= n; i++) {
        const row *r = &rows[i];
        bool itself = i == n, in = !c->window || r->time > rows[n].time - c->window;
        if (strcmp(r->key, rows[n].key) != 0 || !in)
            continue;
        if (!itself) {
            since = rows[n].time - r->time;
            last = c->op == MBR_AGGREGATE_LAST && !isnan(r->numbers[c->value]) ? r->numbers[c->value] : last;
        }
        if (itself && (c->earlier || look))
            continue;
        rows_in++;
        if (c->op == MBR_AGGREGATE_DISTINCT) {
            int k = 0;
            while (r->text.data && k < distinct && (seen[k]->text.size != r->text.size ||
                                                    memcmp(seen[k]->text.data, r->text.data, r->text.size) != 0))
                k++;
            if (r->text.data && k == distinct)
                seen[distinct++] = r;
        } else if (c->value >= 0 && !isnan(r->numbers[c->value])) {
            double x = r->numbers[c->value], d = x - (count ? sum / count : 0);
            count++;
            sum += x;
            squares += d * (x - sum / count);
            low = x < low ? x : low;
            high = x > high ? x : high;
        }
    }
    switch (c->op) {
    case MBR_AGGREGATE_COUNT: return c->value < 0 ? rows_in : count;
    case MBR_AGGREGATE_SUM: return sum;
    case MBR_AGGREGATE_MEAN: return count ? sum / count : NAN;
    case MBR_AGGREGATE_MIN: return count ? low : NAN;
    case MBR_AGGREGATE_MAX: return count ? high : NAN;
    case MBR_AGGREGATE_STD: return count > 1 ? sqrt(squares / (count - 1)) : NAN;
    case MBR_AGGREGATE_DISTINCT: return distinct;
    case MBR_AGGREGATE_LAST: return last;
    case MBR_AGGREGATE_SINCE_LAST: return since;
    default: return rows_in / c->window;
    }
}

static void expect(const double *got, int n, bool look)
{
    for (int c = 0; c < COLUMNS; c++) {
        double want = due(n, &columns[c], look);
        ck_assert_msg((isnan(want) && isnan(got[c])) || fabs(want - got[c]) <= 1e-9 * (1 + fabs(want)),
                      "row %d, column %d%s: %.17g, due %.17g", n, c, look ? " looked at" : "", got[c], want);
    }
}

static void give(mbr_aggregates *a, int n, double *results)
{
    const row *r = &rows[n];
    ck_assert_msg(mbr_aggregates_row(a, r->key, strlen(r->key), r->time, r->numbers, &r->text, results, &err) == MBR_OK,
                  "%s", err.text);
}

START_TEST(as_a_look_at_all_rows)
{
    mbr_aggregates_options o = plain();
    mbr_aggregates *a = make(&o);
    double results[COLUMNS];
    random_seed("rows");
    draw_rows();
    for (int i = 0; i < ROWS; i++) {
        const row *r = &rows[i];
        ck_assert_int_eq(mbr_aggregates_look(a, r->key, strlen(r->key), r->time, results, &err), MBR_OK);
        expect(results, i, true);
        give(a, i, results);
        expect(results, i, false);
    }
    mbr_aggregates_info info = { .size = sizeof info };
    mbr_aggregates_tell(a, &info);
    ck_assert_uint_eq(info.keys, KEYS);
    ck_assert_uint_eq(info.most_keys, 100);
    ck_assert_uint_eq(info.evicted, 0);
    mbr_aggregates_release(&a);
    mbr_aggregates_release(&a);
    mbr_aggregates_release(NULL);
}
END_TEST

START_TEST(saved_and_restored)
{
    static char path[] = "/tmp/mbr-aggregates-XXXXXX", bytes[1 << 20];
    mbr_aggregates_options o = plain(), other = plain();
    mbr_aggregates *a = make(&o), *b = make(&o), *c;
    mbr_aggregates_info info = { .size = sizeof info };
    double x[COLUMNS], y[COLUMNS];
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    random_seed("saved");
    draw_rows();
    for (int i = 0; i < ROWS / 2; i++)
        give(a, i, NULL);
    for (int i = ROWS / 2; i < ROWS; i++) /* what is there is replaced */
        give(b, i, NULL);
    ck_assert_msg(mbr_aggregates_save(a, path, &err) == MBR_OK, "%s", err.text);
    ck_assert_msg(mbr_aggregates_restore(b, path, &err) == MBR_OK, "%s", err.text);
    for (int i = ROWS / 2; i < ROWS; i++) {
        give(a, i, x);
        give(b, i, y);
        ck_assert_msg(memcmp(x, y, sizeof x) == 0, "row %d", i);
    }
    /* Fewer keys: the newest stay. Other columns: refused, and nothing is left. */
    other.keys = 2;
    c = make(&other);
    ck_assert_int_eq(mbr_aggregates_restore(c, path, &err), MBR_OK);
    mbr_aggregates_tell(c, &info);
    ck_assert_uint_eq(info.keys, 2);
    mbr_aggregates_release(&c);
    other = plain();
    other.column_count--;
    other.events = 999;
    c = make(&other);
    ck_assert_int_eq(mbr_aggregates_restore(c, path, &err), MBR_ERR_INPUT);
    mbr_aggregates_release(&c);
    ck_assert_int_eq(mbr_aggregates_restore(b, "/nowhere/at/all", &err), MBR_ERR_IO);
    ck_assert_int_eq(mbr_aggregates_save(b, "/nowhere/at/all", &err), MBR_ERR_IO);
    /* Damaged. */
    FILE *f = fopen(path, "rb");
    size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    ck_assert_uint_lt(n, sizeof bytes);
    for (int round = 0; round < 60; round++) {
        size_t cut = round < 20 ? (size_t)random_below((int)n) : n, at = (size_t)random_below((int)n);
        bytes[at] ^= 16;
        f = fopen(path, "wb");
        ck_assert_uint_eq(fwrite(bytes, 1, cut, f), cut);
        fclose(f);
        mbr_status st = mbr_aggregates_restore(b, path, &err);
        ck_assert_msg(st != MBR_OK && err.text[0], "round %d", round);
        mbr_aggregates_tell(b, &info);
        ck_assert_uint_eq(info.keys, 0);
        bytes[at] ^= 16;
    }
    unlink(path);
    mbr_aggregates_release(&a);
    mbr_aggregates_release(&b);
}
END_TEST

START_TEST(bounded)
{
    mbr_aggregates_options o = plain();
    mbr_aggregates_info info = { .size = sizeof info };
    double results[COLUMNS], numbers[2] = { 1, 2 };
    mbr_aggregate_text text = { "x", 1 };
    char key[32];
    o.events = 8;
    o.bytes = 100000;
    o.keys = 1000000;
    o.expiry = 1e6;
    mbr_memory *memory = mbr_env_heap(env);
    size_t before = atomic_load(&memory->in_use);
    mbr_aggregates *a = make(&o);
    size_t made = atomic_load(&memory->in_use);
    mbr_aggregates_tell(a, &info);
    ck_assert_uint_le(info.most_keys, 1000);
    ck_assert_uint_ge(info.most_keys, 10);
    ck_assert_uint_ge(info.bytes, made - before - 4096);
    for (int i = 0; i < 50000; i++) {
        snprintf(key, sizeof key, "key %d", i % 5000);
        ck_assert_int_eq(mbr_aggregates_row(a, key, strlen(key), i, numbers, &text, results, &err), MBR_OK);
    }
    ck_assert_uint_eq(atomic_load(&memory->in_use), made);
    mbr_aggregates_tell(a, &info);
    ck_assert_uint_eq(info.keys, info.most_keys);
    ck_assert_uint_eq(info.evicted, 50000 - info.most_keys);
    /* One key with far more rows than entries: counts stay right, of the window that holds them all. */
    mbr_aggregates_clear(a);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(mbr_aggregates_row(a, "k", 1, i * 0.5, numbers, &text, results, &err), MBR_OK);
    ck_assert_double_eq(results[1], 999);
    ck_assert_double_eq(results[8], 1);
    /* Long untouched: new. */
    ck_assert_int_eq(mbr_aggregates_row(a, "k", 1, 3e6, numbers, &text, results, &err), MBR_OK);
    ck_assert(isnan(results[10]));
    mbr_aggregates_tell(a, &info);
    ck_assert_uint_eq(info.expired, 1);
    ck_assert_int_eq(mbr_aggregates_forget(a, "k", 1), 1);
    ck_assert_int_eq(mbr_aggregates_forget(a, "k", 1), 0);
    ck_assert_int_eq(mbr_aggregates_look(a, "k", 1, 3e6, results, &err), MBR_OK);
    ck_assert_double_eq(results[0], 0);
    mbr_aggregates_release(&a);
    ck_assert_uint_eq(atomic_load(&memory->in_use), before);
}
END_TEST

START_TEST(refused)
{
    static const mbr_aggregate_column bad[] = {
        { (mbr_aggregate_op)10, 0, 1, 0 },      { (mbr_aggregate_op)-1, 0, 1, 0 }, { MBR_AGGREGATE_SUM, 2, 1, 0 },
        { MBR_AGGREGATE_SUM, -1, 1, 0 },        { MBR_AGGREGATE_SUM, -2, 1, 0 },   { MBR_AGGREGATE_DISTINCT, 1, 1, 0 },
        { MBR_AGGREGATE_DISTINCT, -1, 1, 0 },   { MBR_AGGREGATE_SUM, 0, 0, 0 },    { MBR_AGGREGATE_SUM, 0, -1, 0 },
        { MBR_AGGREGATE_SUM, 0, NAN, 0 },       { MBR_AGGREGATE_SUM, 0, INFINITY, 0 },
    };
    mbr_aggregate_column many[17];
    mbr_aggregates_options o = plain();
    mbr_aggregates *a = (mbr_aggregates *)&o;
    double results[COLUMNS], numbers[2] = { 1, 2 };
    mbr_aggregate_text text = { "x", 1 };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        o = plain();
        o.columns = &bad[i];
        o.column_count = 1;
        ck_assert_msg(mbr_aggregates_new(env, &o, &a, &err) != MBR_OK && err.text[0] && !a, "column %zu", i);
    }
    for (int i = 0; i < 17; i++)
        many[i] = (mbr_aggregate_column){ MBR_AGGREGATE_COUNT, -1, 1 + i, 0 };
    o = plain();
    o.columns = many;
    o.column_count = 17;
    ck_assert_int_eq(mbr_aggregates_new(env, &o, &a, &err), MBR_ERR_LIMIT);
#define REFUSED(change, status) \
    o = plain(); \
    change; \
    ck_assert_int_eq(mbr_aggregates_new(env, &o, &a, &err), status); \
    ck_assert_ptr_null(a)
    REFUSED(o.size = 0, MBR_ERR_ARGUMENT);
    REFUSED(o.columns = NULL, MBR_ERR_ARGUMENT);
    REFUSED(o.column_count = 0, MBR_ERR_ARGUMENT);
    REFUSED(o.column_count = 129, MBR_ERR_ARGUMENT);
    REFUSED(o.numbers = 17, MBR_ERR_ARGUMENT);
    REFUSED(o.texts = -1, MBR_ERR_ARGUMENT);
    REFUSED(o.events = 3, MBR_ERR_LIMIT);
    REFUSED(o.events = 4097, MBR_ERR_LIMIT);
    REFUSED(o.events = -1, MBR_ERR_ARGUMENT);
    REFUSED(o.key_bytes = 4097, MBR_ERR_ARGUMENT);
    REFUSED(o.keys = SIZE_MAX, MBR_ERR_LIMIT);
    REFUSED(o.bytes = 10, MBR_ERR_LIMIT);
    REFUSED(o.expiry = NAN, MBR_ERR_ARGUMENT);
    ck_assert_int_eq(mbr_aggregates_new(NULL, &o, &a, &err), MBR_ERR_ARGUMENT);
    ck_assert_int_eq(mbr_aggregates_new(env, NULL, &a, &err), MBR_ERR_ARGUMENT);
    ck_assert_int_eq(mbr_aggregates_new(env, &o, NULL, &err), MBR_ERR_ARGUMENT);
    o = plain();
    a = make(&o);
#define ROW(key, size, time) mbr_aggregates_row(a, key, size, time, numbers, &text, results, &err)
    ck_assert_int_eq(ROW("k", 1, 1), MBR_OK);
    ck_assert_int_eq(ROW("a key of more bytes than the forty that there are", 49, 1), MBR_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "49 bytes"));
    ck_assert_int_eq(ROW("k", 1, NAN), MBR_ERR_INPUT);
    ck_assert_int_eq(ROW("k", 1, INFINITY), MBR_ERR_INPUT);
    ck_assert_int_eq(ROW(NULL, 1, 1), MBR_ERR_ARGUMENT);
    ck_assert_int_eq(ROW(NULL, 0, 1), MBR_OK); /* no bytes are a key, too */
    numbers[1] = -INFINITY;
    ck_assert_int_eq(ROW("k", 1, 2), MBR_ERR_INPUT);
    numbers[1] = 1;
    ck_assert_int_eq(mbr_aggregates_row(a, "k", 1, 2, NULL, &text, results, &err), MBR_ERR_ARGUMENT);
    ck_assert_int_eq(mbr_aggregates_row(a, "k", 1, 2, numbers, NULL, results, &err), MBR_ERR_ARGUMENT);
    ck_assert_int_eq(mbr_aggregates_row(NULL, "k", 1, 2, numbers, &text, results, &err), MBR_ERR_ARGUMENT);
    ck_assert_int_eq(mbr_aggregates_look(a, "k", 1, 2, NULL, &err), MBR_ERR_ARGUMENT);
    ck_assert_int_eq(mbr_aggregates_look(a, "k", 1, NAN, results, &err), MBR_ERR_INPUT);
    ck_assert_int_eq(ROW("k", 1, 2), MBR_OK); /* of all these only the first row entered */
    ck_assert_double_eq(results[0], 2);
    ck_assert_int_eq(mbr_aggregates_forget(a, "a key of more bytes than the forty that there are", 49), 0);
    ck_assert_int_eq(mbr_aggregates_forget(NULL, "k", 1), 0);
    ck_assert_int_eq(mbr_aggregates_save(a, NULL, &err), MBR_ERR_ARGUMENT);
    ck_assert_int_eq(mbr_aggregates_restore(NULL, "x", &err), MBR_ERR_ARGUMENT);
    mbr_aggregates_clear(NULL);
    mbr_aggregates_tell(NULL, NULL);
    mbr_aggregates_release(&a);
}
END_TEST

/* Each allocation in turn is refused: of making, saving and restoring; rows take none. */
START_TEST(without_memory)
{
    static char path[] = "/tmp/mbr-aggregates-XXXXXX";
    mbr_aggregates_options o = plain();
    mbr_memory *memory = mbr_env_heap(env);
    size_t before = atomic_load(&memory->in_use);
    mbr_status st = MBR_ERR_NO_MEMORY;
    mbr_aggregates *a = NULL;
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    random_seed("memory");
    draw_rows();
    for (long fail = 0; st != MBR_OK; fail++) {
        atomic_store(&memory->fail_after, fail);
        st = mbr_aggregates_new(env, &o, &a, &err);
        atomic_store(&memory->fail_after, -1);
        ck_assert(st == MBR_OK || (st == MBR_ERR_NO_MEMORY && !a && err.text[0]));
        ck_assert(st == MBR_OK || atomic_load(&memory->in_use) == before);
        ck_assert_int_lt(fail, 20);
    }
    atomic_store(&memory->fail_after, 0);
    for (int i = 0; i < ROWS; i++) {
        double results[COLUMNS];
        give(a, i, results);
        ck_assert_int_eq(mbr_aggregates_look(a, rows[i].key, 4, rows[i].time, results, &err), MBR_OK);
    }
    atomic_store(&memory->fail_after, -1);
    size_t full = atomic_load(&memory->in_use);
    for (int which = 0; which < 2; which++) {
        st = MBR_ERR_NO_MEMORY;
        for (long fail = 0; st != MBR_OK; fail++) {
            atomic_store(&memory->fail_after, fail);
            st = which ? mbr_aggregates_restore(a, path, &err) : mbr_aggregates_save(a, path, &err);
            atomic_store(&memory->fail_after, -1);
            ck_assert_msg(st == MBR_OK || (st == MBR_ERR_NO_MEMORY && err.text[0]), "%d: %s", (int)st, err.text);
            ck_assert_uint_eq(atomic_load(&memory->in_use), full);
            ck_assert_int_lt(fail, 60);
        }
    }
    mbr_aggregates_info info = { .size = sizeof info };
    mbr_aggregates_tell(a, &info);
    ck_assert_uint_eq(info.keys, KEYS);
    unlink(path);
    mbr_aggregates_release(&a);
    ck_assert_uint_eq(atomic_load(&memory->in_use), before);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("aggregates");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, as_a_look_at_all_rows);
    tcase_add_test(t, saved_and_restored);
    tcase_add_test(t, bounded);
    tcase_add_test(t, refused);
    tcase_add_test(t, without_memory);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
