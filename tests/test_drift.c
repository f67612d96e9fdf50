/* SPDX-License-Identifier: BSD-2-Clause */
/* Drift through its public interface: baselines, windows, levels, labels, merging, state, actions, bad input. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "mbr/drift.h"
#include "base/env.h"
#include "runtime/drift/drift_impl.h"
#include "tests/random.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROWS 4000

static mbr_env *env;
static mbr_error err;
static double amount[ROWS], score[ROWS], label[ROWS];
static mbr_string country[ROWS];
static char folder[64], path[128], other_path[128];

static const mbr_drift_column columns[] = { { "amount", MBR_DRIFT_NUMBER, MBR_DRIFT_FEATURE },
                                            { "country", MBR_DRIFT_CATEGORY, MBR_DRIFT_FEATURE },
                                            { "score", MBR_DRIFT_NUMBER, MBR_DRIFT_OUTPUT },
                                            { "label", MBR_DRIFT_NUMBER, MBR_DRIFT_LABEL } };
static const mbr_drift_cells cells[] = { { .numbers = amount }, { .texts = country }, { .numbers = score },
                                         { .numbers = label } };

static void fill(double shift)
{
    static const mbr_string names[] = { { "DE", 2 }, { "FR", 2 }, { "IT", 2 }, { "PL", 2 } };
    for (int i = 0; i < ROWS; i++) {
        double z = 0.0;
        for (int k = 0; k < 12; k++)
            z += (double)random_real() / 2.0;
        amount[i] = 10.0 + z + shift;
        country[i] = names[random_below(4)];
        double p = (double)(random_below(1000)) / 1000.0;
        score[i] = p;
        label[i] = random_below(1000) < (int)(1000.0 * p);
    }
}

static mbr_drift_baseline *fit(void)
{
    mbr_drift_fit_options how = { .size = sizeof how, .columns = columns, .column_count = 4 };
    mbr_drift_fit *f;
    mbr_drift_baseline *b;
    ck_assert_int_eq(mbr_drift_fit_new(env, &how, &f, &err), MBR_OK);
    fill(0.0);
    ck_assert_int_eq(mbr_drift_fit_rows(f, cells, ROWS, &err), MBR_OK);
    ck_assert_int_eq(mbr_drift_fit_finish(f, &b, &err), MBR_OK);
    mbr_drift_fit_release(&f);
    return b;
}

static mbr_drift_monitor *watch(mbr_drift_baseline *b, mbr_drift_options o)
{
    mbr_drift_monitor *m;
    o.size = sizeof o;
    o.window_rows = o.window_rows ? o.window_rows : 1000;
    ck_assert_msg(mbr_drift_monitor_new(b, &o, &m, &err) == MBR_OK, "%s", err.text);
    return m;
}

static void rows(mbr_drift_monitor *m, size_t n, double time)
{
    ck_assert_msg(mbr_drift_monitor_rows(m, cells, n, time, &err) == MBR_OK, "%s", err.text);
}

static void setup(void)
{
    strcpy(folder, "/tmp/mbr-drift-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/one", folder);
    snprintf(other_path, sizeof other_path, "%s/two", folder);
    ck_assert_int_eq(mbr_env_new(NULL, &env, NULL), MBR_OK);
}

static void teardown(void)
{
    mbr_memory_use use;
    mbr_env_memory(env, &use);
    size_t left = use.in_use;
    mbr_env *fresh;
    mbr_env_release(&env);
    ck_assert_int_eq(mbr_env_new(NULL, &fresh, NULL), MBR_OK);
    mbr_env_memory(fresh, &use);
    ck_assert_uint_eq(left, use.in_use);
    mbr_env_release(&fresh);
    char command[160];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    ck_assert_int_eq(system(command), 0);
}

typedef struct told {
    int windows, levels, concepts, problems;
    mbr_drift_level last;
    char subject[64], message[512];
} told;

static void tell(void *user, const mbr_drift_event *e)
{
    told *t = user;
    t->windows += e->kind == MBR_DRIFT_EVENT_WINDOW;
    t->levels += e->kind == MBR_DRIFT_EVENT_LEVEL;
    t->concepts += e->kind == MBR_DRIFT_EVENT_CONCEPT;
    t->problems += e->kind == MBR_DRIFT_EVENT_PROBLEM;
    ck_assert(e->json[0] == '{' && e->message[0]);
    if (e->kind == MBR_DRIFT_EVENT_LEVEL) {
        t->last = e->level;
        snprintf(t->subject, sizeof t->subject, "%s", e->subject ? e->subject : "");
    }
    if (e->kind == MBR_DRIFT_EVENT_PROBLEM)
        snprintf(t->message, sizeof t->message, "%s", e->message);
}

START_TEST(levels_go_up_at_once_and_down_after_quiet_windows)
{
    mbr_drift_baseline *b = fit();
    told t = { 0 };
    mbr_drift_action fallback = { .kind = MBR_DRIFT_ACTION_FALLBACK };
    mbr_drift_monitor *m = watch(b, (mbr_drift_options){ .on_event = tell, .user = &t, .actions = &fallback,
                                                         .action_count = 1 });
    mbr_drift_result r = { .size = sizeof r };
    ck_assert_int_eq(mbr_drift_monitor_result(m, 0, &r, &err), MBR_ERR_INPUT);
    fill(0.0);
    rows(m, 2000, 0);
    ck_assert_int_eq(t.windows, 2);
    ck_assert_int_eq(mbr_drift_monitor_level(m), MBR_DRIFT_OK);
    fill(0.6);
    rows(m, 1000, 0);
    ck_assert_int_eq(mbr_drift_monitor_level(m), MBR_DRIFT_ALARM);
    ck_assert_int_eq(t.levels, 1);
    ck_assert_str_eq(t.subject, "amount");
    ck_assert_int_ne(mbr_drift_monitor_fallback(m), 0);
    ck_assert_int_eq(mbr_drift_monitor_result(m, 0, &r, &err), MBR_OK);
    ck_assert(r.level == MBR_DRIFT_ALARM && r.ks > 0.15 && r.adjusted < 1e-6 && r.rows == 1000);
    ck_assert_str_eq(r.reason, "quantiles");
    ck_assert_int_eq(mbr_drift_monitor_result(m, 1, &r, &err), MBR_OK);
    ck_assert(r.level == MBR_DRIFT_OK && isnan(r.ks) && r.psi >= 0.0);
    fill(0.0);
    rows(m, 2999, 0);
    ck_assert_int_eq(mbr_drift_monitor_level(m), MBR_DRIFT_ALARM);
    rows(m, 1, 0);
    ck_assert_int_eq(mbr_drift_monitor_level(m), MBR_DRIFT_OK);
    ck_assert_int_eq(mbr_drift_monitor_fallback(m), 0);
    ck_assert_int_eq(t.levels, 2);
    mbr_drift_monitor_release(&m);
    mbr_drift_baseline_release(&b);
}
END_TEST

START_TEST(single_rows_and_batches_say_the_same)
{
    mbr_drift_baseline *b = fit();
    mbr_drift_monitor *one = watch(b, (mbr_drift_options){ .seed = 1 }), *all = watch(b, (mbr_drift_options){ .seed = 1 });
    fill(0.2);
    rows(all, 1000, 0);
    for (size_t i = 0; i < 1000; i++) {
        mbr_drift_cells row[] = { { .numbers = amount + i, .stride = 7 }, { .texts = country + i },
                                  { .numbers = score + i } };
        ck_assert_int_eq(mbr_drift_monitor_rows(one, row, 1, 0, &err), MBR_OK);
    }
    for (int c = 0; c < 3; c++) {
        mbr_drift_result x = { .size = sizeof x }, y = x;
        ck_assert_int_eq(mbr_drift_monitor_result(one, c, &x, &err), MBR_OK);
        ck_assert_int_eq(mbr_drift_monitor_result(all, c, &y, &err), MBR_OK);
        ck_assert(x.p == y.p && x.psi == y.psi && (c == 1 || fabs(x.mean - y.mean) < 1e-9));
    }
    mbr_drift_monitor_release(&one);
    mbr_drift_monitor_release(&all);
    mbr_drift_baseline_release(&b);
}
END_TEST

START_TEST(merged_windows_say_what_one_would)
{
    mbr_drift_baseline *b = fit();
    for (int by_file = 0; by_file < 2; by_file++) {
        mbr_drift_monitor *whole = watch(b, (mbr_drift_options){ .window_rows = ROWS });
        mbr_drift_monitor *sum = watch(b, (mbr_drift_options){ .window_rows = ROWS });
        fill(0.1);
        country[5] = (mbr_string){ "new", 3 };
        amount[7] = (double)NAN;
        rows(whole, ROWS, 0);
        for (int part = 0; part < 4; part++) {
            mbr_drift_monitor *m = watch(b, (mbr_drift_options){ .accumulate = 1, .seed = 10 });
            size_t at = (size_t)part * ROWS / 4;
            mbr_drift_cells some[] = { { .numbers = amount + at }, { .texts = country + at }, { .numbers = score + at } };
            ck_assert_int_eq(mbr_drift_monitor_rows(m, some, ROWS / 4, 0, &err), MBR_OK);
            if (by_file) {
                ck_assert_int_eq(mbr_drift_monitor_save(m, path, &err), MBR_OK);
                ck_assert_msg(mbr_drift_monitor_merge_file(sum, path, &err) == MBR_OK, "%s", err.text);
            } else {
                ck_assert_int_eq(mbr_drift_monitor_merge(sum, m, &err), MBR_OK);
            }
            mbr_drift_monitor_release(&m);
        }
        for (int c = 0; c < 3; c++) {
            mbr_drift_result x = { .size = sizeof x }, y = x;
            ck_assert_int_eq(mbr_drift_monitor_result(whole, c, &x, &err), MBR_OK);
            ck_assert_int_eq(mbr_drift_monitor_result(sum, c, &y, &err), MBR_OK);
            ck_assert(x.rows == y.rows && x.missing == y.missing && x.psi == y.psi && x.unknown == y.unknown);
            ck_assert(c == 1 || (x.ks == y.ks && x.p == y.p));
        }
        mbr_drift_monitor_release(&whole);
        mbr_drift_monitor_release(&sum);
    }
    mbr_drift_baseline_release(&b);
}
END_TEST

START_TEST(windows_by_time_bear_a_clock_that_steps_back)
{
    mbr_drift_baseline *b = fit();
    told t = { 0 };
    mbr_drift_options o = { .size = sizeof o, .window_seconds = 60, .on_event = tell, .user = &t };
    mbr_drift_monitor *m;
    ck_assert_int_eq(mbr_drift_monitor_new(b, &o, &m, &err), MBR_OK);
    fill(0.0);
    for (int i = 0; i < 60; i++)
        rows(m, 10, 1000.0 + i);
    ck_assert_int_eq(t.windows, 0);
    rows(m, 10, 1060.0);
    ck_assert_int_eq(t.windows, 1);
    for (int i = 0; i < 30; i++)
        rows(m, 10, 1060.0 + i);
    rows(m, 10, 5.0); /* back by far: the half minute stays counted, the rest is counted from here */
    for (int i = 0; i < 29; i++)
        rows(m, 10, 5.0 + i);
    ck_assert_int_eq(t.windows, 1);
    rows(m, 10, 36.0);
    ck_assert_int_eq(t.windows, 2);
    rows(m, 10, 1e12); /* years at once: ten rows are too few, and the window goes on */
    ck_assert_int_eq(t.windows, 2);
    mbr_drift_monitor_release(&m);
    mbr_drift_baseline_release(&b);
}
END_TEST

/* Row by row, a slice with each: the answers of a window that is judged at once, so many rows later. */
START_TEST(windows_judged_bit_by_bit_say_the_same)
{
    mbr_drift_baseline *b = fit();
    told at_once = { 0 }, spread = { 0 };
    mbr_drift_monitor *one = watch(b, (mbr_drift_options){ .on_event = tell, .user = &at_once });
    mbr_drift_monitor *two = watch(b, (mbr_drift_options){ .on_event = tell, .user = &spread, .spread = 1 });
    mbr_drift_monitor *read = watch(b, (mbr_drift_options){ .on_event = tell, .user = &(told){ 0 }, .spread = 1 });
    int slices = mbr_drift_slices(two);
    ck_assert_int_gt(slices, 4);
    fill(0.6);
    for (int i = 0; i < 1000 + slices; i++) {
        mbr_drift_cells at[] = { { .numbers = amount + i }, { .texts = country + i }, { .numbers = score + i } };
        ck_assert_int_eq(mbr_drift_monitor_rows(one, at, 1, i, &err), MBR_OK);
        ck_assert_int_eq(mbr_drift_monitor_rows(two, at, 1, i, &err), MBR_OK);
        ck_assert_int_eq(at_once.windows, i + 1 >= 1000);
        ck_assert_int_eq(spread.windows, i + 1 >= 1000 + slices);
    }
    for (int i = 0; i < 3; i++) {
        mbr_drift_result x = { .size = sizeof x }, y = x;
        ck_assert_int_eq(mbr_drift_monitor_result(one, i, &x, &err), MBR_OK);
        ck_assert_int_eq(mbr_drift_monitor_result(two, i, &y, &err), MBR_OK);
        ck_assert(memcmp(&x.ks, &y.ks, sizeof x.ks) == 0 && memcmp(&x.adjusted, &y.adjusted, sizeof x.adjusted) == 0 &&
                  memcmp(&x.psi, &y.psi, sizeof x.psi) == 0 && x.level == y.level);
    }
    ck_assert_int_eq(at_once.last, MBR_DRIFT_ALARM);
    ck_assert_int_eq(spread.last, MBR_DRIFT_ALARM);
    /* The next window of both: saved in the middle of judging it, the rest is judged, and the file goes on from there. */
    int most = 2000 + slices / 2;
    for (int i = 1000 + slices; i < most; i++) {
        mbr_drift_cells at[] = { { .numbers = amount + i }, { .texts = country + i }, { .numbers = score + i } };
        ck_assert_int_eq(mbr_drift_monitor_rows(one, at, 1, i, &err), MBR_OK);
        ck_assert_int_eq(mbr_drift_monitor_rows(two, at, 1, i, &err), MBR_OK);
    }
    ck_assert_int_eq(spread.windows, 1);
    ck_assert_int_eq(mbr_drift_monitor_save(two, path, &err), MBR_OK);
    ck_assert_int_eq(spread.windows, 2);
    ck_assert_int_eq(mbr_drift_monitor_restore(read, path, &err), MBR_OK);
    ck_assert_int_eq(mbr_drift_monitor_save(read, other_path, &err), MBR_OK);
    char command[300];
    snprintf(command, sizeof command, "cmp %s %s", path, other_path);
    ck_assert_int_eq(system(command), 0);
    ck_assert_int_eq(mbr_drift_monitor_save(one, other_path, &err), MBR_OK);
    ck_assert_int_eq(system(command), 0);
    /* A window whose judgement is under way when the monitor ends is told all the same. */
    rows(two, (size_t)(3000 - most), 1e6);
    ck_assert_int_eq(spread.windows, 2);
    mbr_drift_monitor_release(&two);
    ck_assert_int_eq(spread.windows, 3);
    mbr_drift_monitor_release(&one);
    mbr_drift_monitor_release(&read);
    mbr_drift_baseline_release(&b);
}
END_TEST

/* Quantiles of a sample: near those of all rows, in memory that does not grow; saved in the middle it goes on alike. */
START_TEST(samples_stand_for_long_windows)
{
    mbr_drift_baseline *b = fit();
    told t = { 0 };
    mbr_drift_options o = { .window_rows = 60000, .sample = 1000, .on_event = tell, .user = &t };
    mbr_drift_monitor *m = watch(b, o), *again = watch(b, o), *other = watch(b, o);
    mbr_memory_use use;
    size_t early = 0;
    for (int i = 0; i < 15; i++) {
        fill(i < 8 ? 0.0 : 1.0);
        rows(m, ROWS, i);
        if (i >= 7)
            rows(again, ROWS, i);
        if (i == 6) {
            ck_assert_int_eq(mbr_drift_monitor_save(m, path, &err), MBR_OK);
            ck_assert_int_eq(mbr_drift_monitor_restore(again, path, &err), MBR_OK);
            mbr_env_memory(env, &use);
            early = use.in_use;
        }
    }
    mbr_env_memory(env, &use);
    ck_assert_uint_le(use.in_use, early + early / 4);
    ck_assert_int_eq(t.windows, 2);
    ck_assert_int_eq(t.last, MBR_DRIFT_ALARM);
    mbr_drift_result r = { .size = sizeof r }, same = r;
    ck_assert_int_eq(mbr_drift_monitor_result(m, 0, &r, &err), MBR_OK);
    ck_assert_int_eq(mbr_drift_monitor_result(again, 0, &same, &err), MBR_OK);
    ck_assert(memcmp(&r.ks, &same.ks, sizeof r.ks) == 0 && memcmp(&r.wasserstein, &same.wasserstein, sizeof r.ks) == 0);
    ck_assert_uint_eq(r.rows, 60000);
    /* Seven of fifteen rows are one further: the distance is 7/15 of that, the shift 7/15 in the mean. */
    ck_assert_msg(fabs(r.wasserstein - 7.0 / 15.0) < 0.12, "%g", r.wasserstein);
    ck_assert(r.ks > 0.1 && r.ks < 0.3);
    /* Two halves together. */
    fill(0.0);
    for (int i = 0; i < 3; i++)
        rows(other, ROWS, i);
    ck_assert_int_eq(mbr_drift_monitor_merge(again, other, &err), MBR_OK);
    mbr_drift_monitor *sketch = watch(b, (mbr_drift_options){ .window_rows = 60000, .whole = 1000 });
    for (int i = 0; i < 3; i++)
        rows(sketch, ROWS, i);
    for (int i = 0; i < 3; i++)
        rows(other, ROWS, i);
    ck_assert_int_eq(mbr_drift_monitor_merge(sketch, other, &err), MBR_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "same options"));
    mbr_drift_monitor_release(&sketch);
    mbr_drift_monitor_release(&m);
    mbr_drift_monitor_release(&again);
    mbr_drift_monitor_release(&other);
    mbr_drift_options few = { .size = sizeof few, .sample = 50 };
    ck_assert_int_eq(mbr_drift_monitor_new(b, &few, &m, &err), MBR_ERR_ARGUMENT);
    mbr_drift_baseline_release(&b);
}
END_TEST

START_TEST(what_is_no_number_or_text_has_an_answer)
{
    mbr_drift_baseline *b = fit();
    mbr_drift_monitor *m = watch(b, (mbr_drift_options){ .window_rows = 1000 });
    static char huge[100000];
    memset(huge, 'x', sizeof huge);
    fill(0.0);
    amount[0] = (double)NAN;
    amount[1] = (double)INFINITY;
    amount[2] = -(double)INFINITY;
    amount[3] = 1e300;
    amount[4] = -1e300;
    country[0] = (mbr_string){ 0 };
    country[1] = (mbr_string){ "\xff\xfe", 2 };
    country[2] = (mbr_string){ huge, sizeof huge };
    country[3] = (mbr_string){ huge, sizeof huge - 1 };
    country[4] = (mbr_string){ "a\0b", 3 };
    country[5] = (mbr_string){ "", 0 };
    score[0] = (double)NAN;
    rows(m, 1000, (double)NAN);
    mbr_drift_result r = { .size = sizeof r };
    ck_assert_int_eq(mbr_drift_monitor_result(m, 0, &r, &err), MBR_OK);
    ck_assert(r.missing == 1 && r.infinite == 2 && r.below >= 2 && r.above >= 2 && isfinite(r.ks));
    ck_assert_int_eq(mbr_drift_monitor_result(m, 1, &r, &err), MBR_OK);
    ck_assert(r.missing == 1 && r.invalid == 2 && r.unknown == 3);
    mbr_drift_monitor_release(&m);
    mbr_drift_baseline_release(&b);
}
END_TEST

/* Nothing but one value; nothing at all; two rows. */
START_TEST(poor_baselines_work)
{
    double same[100], none[100];
    for (int i = 0; i < 100; i++) {
        same[i] = 7.0;
        none[i] = (double)NAN;
    }
    mbr_string texts[100] = { { NULL, 0 } };
    mbr_drift_column poor[] = { { "same", MBR_DRIFT_NUMBER, MBR_DRIFT_FEATURE },
                                { "none", MBR_DRIFT_NUMBER, MBR_DRIFT_FEATURE },
                                { "no texts", MBR_DRIFT_CATEGORY, MBR_DRIFT_FEATURE } };
    mbr_drift_cells some[] = { { .numbers = same }, { .numbers = none }, { .texts = texts } };
    for (size_t n = 2; n <= 100; n += 98) {
        mbr_drift_fit_options how = { .size = sizeof how, .columns = poor, .column_count = 3 };
        mbr_drift_fit *f;
        mbr_drift_baseline *b;
        ck_assert_int_eq(mbr_drift_fit_new(env, &how, &f, &err), MBR_OK);
        ck_assert_int_eq(mbr_drift_fit_finish(f, &b, &err), MBR_ERR_INPUT);
        ck_assert_int_eq(mbr_drift_fit_rows(f, some, n, &err), MBR_OK);
        ck_assert_msg(mbr_drift_fit_finish(f, &b, &err) == MBR_OK, "%s", err.text);
        mbr_drift_fit_release(&f);
        mbr_drift_monitor *m = watch(b, (mbr_drift_options){ .window_rows = 100 });
        ck_assert_int_eq(mbr_drift_monitor_rows(m, some, 100, 0, &err), MBR_OK);
        ck_assert_int_eq(mbr_drift_monitor_level(m), MBR_DRIFT_OK);
        mbr_drift_cells swapped[] = { { .numbers = none }, { .numbers = same }, { .texts = texts } };
        ck_assert_int_eq(mbr_drift_monitor_rows(m, swapped, 100, 0, &err), MBR_OK);
        if (n == 100)
            ck_assert_int_eq(mbr_drift_monitor_level(m), MBR_DRIFT_ALARM);
        mbr_drift_monitor_release(&m);
        mbr_drift_baseline_release(&b);
    }
}
END_TEST

START_TEST(extreme_numbers_make_a_baseline)
{
    static const double ends[] = { -1.7e308, 1.7e308, 5e-324, 1e-300, -0.0, 1e300 };
    double x[600];
    mbr_drift_column one = { "x", MBR_DRIFT_NUMBER, MBR_DRIFT_FEATURE };
    for (int kind = 0; kind < 3; kind++) {
        for (int i = 0; i < 600; i++)
            x[i] = kind == 0 ? ends[i % 6] : kind == 1 ? 1e308 * (i % 2 ? 1.0 : 0.999) : 1e-310 * i;
        mbr_drift_fit_options how = { .size = sizeof how, .columns = &one, .column_count = 1 };
        mbr_drift_cells some = { .numbers = x };
        mbr_drift_fit *f;
        mbr_drift_baseline *b;
        ck_assert_int_eq(mbr_drift_fit_new(env, &how, &f, &err), MBR_OK);
        ck_assert_int_eq(mbr_drift_fit_rows(f, &some, 600, &err), MBR_OK);
        mbr_status st = mbr_drift_fit_finish(f, &b, &err);
        ck_assert_msg(st == MBR_OK, "kind %d: %s", kind, err.text);
        mbr_drift_monitor *m = watch(b, (mbr_drift_options){ .window_rows = 600 });
        ck_assert_int_eq(mbr_drift_monitor_rows(m, &some, 600, 0, &err), MBR_OK);
        ck_assert_int_eq(mbr_drift_monitor_level(m), MBR_DRIFT_OK);
        mbr_drift_monitor_release(&m);
        mbr_drift_baseline_release(&b);
        mbr_drift_fit_release(&f);
    }
}
END_TEST

START_TEST(wrong_calls_are_refused)
{
    mbr_drift_fit *f;
    mbr_drift_monitor *m;
    mbr_drift_column twice[] = { columns[0], columns[0] };
    mbr_drift_fit_options how = { .size = sizeof how, .columns = twice, .column_count = 2 };
    ck_assert_int_eq(mbr_drift_fit_new(env, &how, &f, &err), MBR_ERR_ARGUMENT);
    ck_assert_ptr_null(f);
    how.columns = columns;
    how.bins = 3;
    ck_assert_int_eq(mbr_drift_fit_new(env, &how, &f, &err), MBR_ERR_ARGUMENT);
    ck_assert_int_eq(mbr_drift_fit_new(env, NULL, &f, &err), MBR_ERR_ARGUMENT);
    mbr_drift_column only_label = columns[3];
    how = (mbr_drift_fit_options){ .size = sizeof how, .columns = &only_label, .column_count = 1 };
    ck_assert_int_eq(mbr_drift_fit_new(env, &how, &f, &err), MBR_ERR_ARGUMENT);
    mbr_drift_baseline *b = fit();
    mbr_drift_action bad[] = { { .kind = MBR_DRIFT_ACTION_COMMAND }, { .kind = MBR_DRIFT_ACTION_WEBHOOK, .target = "ftp:x" },
                               { .kind = MBR_DRIFT_ACTION_RETRAIN }, { .kind = (mbr_drift_action_kind)9 } };
    for (int i = 0; i < 4; i++) {
        mbr_drift_options o = { .size = sizeof o, .actions = &bad[i], .action_count = 1 };
        ck_assert_int_eq(mbr_drift_monitor_new(b, &o, &m, &err), MBR_ERR_ARGUMENT);
    }
    mbr_drift_options o = { .size = sizeof o, .warn = 0.01, .alarm = 0.02 };
    ck_assert_int_eq(mbr_drift_monitor_new(b, &o, &m, &err), MBR_ERR_ARGUMENT);
    m = watch(b, (mbr_drift_options){ 0 });
    mbr_drift_cells lacking[] = { { .numbers = amount }, { .numbers = amount }, { .numbers = score } };
    ck_assert_int_eq(mbr_drift_monitor_rows(m, lacking, 1, 0, &err), MBR_ERR_ARGUMENT);
    ck_assert_int_eq(mbr_drift_monitor_merge(m, m, &err), MBR_ERR_ARGUMENT);
    ck_assert_int_eq(mbr_drift_monitor_outcome(m, 0.5, 2.0, &err), MBR_ERR_INPUT);
    ck_assert_int_eq(mbr_drift_monitor_label(m, "nobody", 1.0, &err), MBR_ERR_INPUT);
    mbr_drift_baseline *different = fit();
    mbr_drift_monitor *stranger = watch(different, (mbr_drift_options){ 0 });
    ck_assert_int_eq(mbr_drift_monitor_merge(m, stranger, &err), MBR_ERR_ARGUMENT);
    ck_assert_int_eq(mbr_drift_monitor_save(stranger, path, &err), MBR_OK);
    ck_assert_int_eq(mbr_drift_monitor_restore(m, path, &err), MBR_ERR_INPUT);
    ck_assert_int_eq(mbr_drift_monitor_save(m, "/nowhere/at/all", &err), MBR_ERR_IO);
    ck_assert_int_eq(mbr_drift_baseline_save(b, "/nowhere/at/all", &err), MBR_ERR_IO);
    mbr_drift_monitor_release(&stranger);
    mbr_drift_baseline_release(&different);
    mbr_drift_monitor_release(&m);
    mbr_drift_baseline_release(&b);
}
END_TEST

static uint8_t *slurp(const char *from, size_t *n)
{
    FILE *file = fopen(from, "rb");
    ck_assert_ptr_nonnull(file);
    uint8_t *data = malloc(1 << 24);
    *n = fread(data, 1, 1 << 24, file);
    fclose(file);
    return data;
}

START_TEST(damaged_files_are_refused)
{
    mbr_drift_baseline *b = fit(), *again;
    mbr_drift_monitor *m = watch(b, (mbr_drift_options){ .window_rows = 900 });
    size_t n;
    rows(m, 1000, 0);
    ck_assert_int_eq(mbr_drift_baseline_save(b, path, &err), MBR_OK);
    ck_assert_int_eq(mbr_drift_monitor_save(m, other_path, &err), MBR_OK);
    for (int kind = 0; kind < 2; kind++) {
        uint8_t *data = slurp(kind ? other_path : path, &n);
        for (int i = 0; i < 400; i++) {
            size_t at = (size_t)(random_bits() % n), cut = (size_t)(random_bits() % n);
            uint8_t bit = (uint8_t)(1u << random_below(8));
            data[at] ^= bit;
            mbr_status st = kind ? mbr_drift_read_state(m, data, n, "state", &err)
                                 : mbr_drift_baseline_open_memory(env, data, n, "baseline", &again, &err);
            ck_assert_int_eq(st, MBR_ERR_FORMAT);
            data[at] ^= bit;
            st = kind ? mbr_drift_read_state(m, data, cut, "state", &err)
                      : mbr_drift_baseline_open_memory(env, data, cut, "baseline", &again, &err);
            ck_assert_int_eq(st, MBR_ERR_FORMAT);
        }
        free(data);
    }
    ck_assert_int_eq(mbr_drift_baseline_open(env, other_path, &again, &err), MBR_ERR_FORMAT);
    ck_assert_int_eq(mbr_drift_monitor_restore(m, path, &err), MBR_ERR_FORMAT);
    ck_assert_int_eq(mbr_drift_baseline_open(env, "/nowhere", &again, &err), MBR_ERR_IO);
    mbr_drift_monitor_release(&m);
    mbr_drift_baseline_release(&b);
}
END_TEST

START_TEST(state_goes_on_where_it_stopped)
{
    mbr_drift_baseline *b = fit(), *again;
    ck_assert_int_eq(mbr_drift_baseline_save(b, path, &err), MBR_OK);
    ck_assert_int_eq(mbr_drift_baseline_open(env, path, &again, &err), MBR_OK);
    mbr_drift_options o = { .state_path = other_path, .pending = 8 };
    mbr_drift_monitor *steady = watch(b, (mbr_drift_options){ .pending = 8 }), *m = watch(again, o);
    for (int round = 0; round < 12; round++) {
        fill(round > 6 ? 0.4 : 0.0);
        rows(steady, 777, round);
        rows(m, 777, round);
        for (int i = 0; i < 300; i++) {
            ck_assert_int_eq(mbr_drift_monitor_outcome(steady, score[i], label[i], &err), MBR_OK);
            ck_assert_int_eq(mbr_drift_monitor_outcome(m, score[i], label[i], &err), MBR_OK);
        }
        ck_assert_int_eq(mbr_drift_monitor_predicted(m, round % 2 ? "odd" : "even", 0.9, &err), MBR_OK);
        mbr_drift_monitor_release(&m); /* saves */
        m = watch(again, o);
    }
    ck_assert_int_eq(mbr_drift_monitor_level(m), mbr_drift_monitor_level(steady));
    for (int c = 0; c < 3; c++) {
        mbr_drift_result x = { .size = sizeof x }, y = x;
        ck_assert_int_eq(mbr_drift_monitor_result(steady, c, &x, &err), MBR_OK);
        ck_assert_int_eq(mbr_drift_monitor_result(m, c, &y, &err), MBR_OK);
        ck_assert(x.p == y.p && x.level == y.level && x.psi == y.psi && x.rows == y.rows);
        ck_assert(x.reason == y.reason || strcmp(x.reason, y.reason) == 0);
    }
    mbr_drift_quality p = { .size = sizeof p }, q = p;
    ck_assert_int_eq(mbr_drift_monitor_quality(steady, &p, &err), MBR_OK);
    ck_assert_int_eq(mbr_drift_monitor_quality(m, &q, &err), MBR_OK);
    ck_assert(p.labelled == q.labelled && p.error_rate == q.error_rate && p.accuracy == q.accuracy);
    ck_assert_int_eq(mbr_drift_monitor_label(m, "odd", 1.0, &err), MBR_OK);
    ck_assert_int_eq(mbr_drift_monitor_label(m, "odd", 1.0, &err), MBR_ERR_INPUT);
    mbr_drift_monitor_release(&m);
    mbr_drift_monitor_release(&steady);
    mbr_drift_baseline_release(&b);
    mbr_drift_baseline_release(&again);
}
END_TEST

START_TEST(labels_find_changed_errors)
{
    mbr_drift_baseline *b = fit();
    told t = { 0 };
    mbr_drift_monitor *m = watch(b, (mbr_drift_options){ .on_event = tell, .user = &t, .pending = 100 });
    for (int i = 0; i < 6000; i++) {
        char id[16];
        snprintf(id, sizeof id, "n%d", i);
        ck_assert_int_eq(mbr_drift_monitor_predicted(m, id, 0.9, &err), MBR_OK);
        snprintf(id, sizeof id, "n%d", i - 50);
        if (i >= 50) /* right nine times of ten; from 3000 on six times */
            ck_assert_int_eq(mbr_drift_monitor_label(m, id, random_below(10) < (i < 3000 ? 9 : 6), &err), MBR_OK);
        ck_assert_int_eq(t.concepts > 0 && i < 3000 && mbr_drift_monitor_level(m) != MBR_DRIFT_OK, 0);
    }
    ck_assert_int_eq(mbr_drift_monitor_label(m, "n1", 1.0, &err), MBR_ERR_INPUT);
    ck_assert_int_eq(mbr_drift_monitor_level(m), MBR_DRIFT_ALARM);
    mbr_drift_quality q = { .size = sizeof q };
    ck_assert_int_eq(mbr_drift_monitor_quality(m, &q, &err), MBR_OK);
    ck_assert(q.adwin >= 1 && q.labelled == 5950 && q.error_rate > 0.3 && isnan(q.accuracy));
    mbr_drift_monitor_release(&m);
    mbr_drift_baseline_release(&b);
}
END_TEST

START_TEST(actions_are_set_off)
{
    mbr_drift_baseline *b = fit();
    told t = { 0 };
    char made[160], script[200];
    snprintf(made, sizeof made, "%s/made", folder);
    snprintf(script, sizeof script, "printf %%s \"$0\" > %s", made);
    const char *good[] = { "sh", "-c", script, NULL }, *failing[] = { "false", NULL }, *none[] = { "/no/such", NULL };
    mbr_drift_action actions[] = { { .kind = MBR_DRIFT_ACTION_LOG }, { .kind = MBR_DRIFT_ACTION_COMMAND, .argv = good },
                                   { .kind = MBR_DRIFT_ACTION_COMMAND, .argv = failing },
                                   { .kind = MBR_DRIFT_ACTION_COMMAND, .argv = none },
                                   { .kind = MBR_DRIFT_ACTION_RETRAIN, .target = path },
                                   { .kind = MBR_DRIFT_ACTION_RETRAIN, .target = "/nowhere/at/all" },
                                   { .kind = MBR_DRIFT_ACTION_WEBHOOK, .target = "http://127.0.0.1:9/", .timeout_ms = 300 } };
    mbr_drift_monitor *m = watch(b, (mbr_drift_options){ .on_event = tell, .user = &t, .actions = actions,
                                                         .action_count = 7 });
    fill(1.0);
    country[3] = (mbr_string){ "<\"new\">", 7 };
    rows(m, 1000, 0);
    ck_assert_int_eq(mbr_drift_monitor_level(m), MBR_DRIFT_ALARM);
    ck_assert_int_ge(t.problems, 2); /* no such program, no such folder */
    for (int i = 0; i < 500 && (access(made, F_OK) != 0 || t.problems < 4); i++) {
        usleep(20000);
        rows(m, 1000, 0); /* what went wrong later is told with the next event */
    }
    ck_assert_int_ge(t.problems, 4); /* and false's status, and the webhook that nobody listens to */
    mbr_drift_monitor_release(&m);
    size_t n;
    uint8_t *text = slurp(made, &n);
    ck_assert_msg(n > 20 && text[0] == '{' && text[n - 1] == '}', "%.*s", (int)n, (char *)text);
    free(text);
    text = slurp(path, &n);
    text[n] = '\0';
    ck_assert_ptr_nonnull(strstr((char *)text, "\"sample\": ["));
    free(text);
    mbr_drift_baseline_release(&b);
}
END_TEST

static mbr_status count_text(void *user, const char *text, size_t bytes)
{
    (void)text;
    *(size_t *)user += bytes;
    return MBR_OK;
}

static mbr_status refuse_text(void *user, const char *text, size_t bytes)
{
    (void)user;
    (void)text;
    (void)bytes;
    return MBR_ERR_IO;
}

/* Everything once, with the nth allocation failing: no leak, no crash, a status. */
START_TEST(every_allocation_may_fail)
{
    mbr_memory *memory = NULL;
    mbr_drift_baseline *b = fit();
    ck_assert_int_eq(mbr_drift_baseline_save(b, path, &err), MBR_OK);
    mbr_drift_baseline_release(&b);
    memory = mbr_env_heap(env);
    fill(0.5);
    country[1] = (mbr_string){ "unheard of", 10 };
    int done = 0;
    for (long fail = 0; !done && fail < 2000; fail++) {
        mbr_drift_fit_options how = { .size = sizeof how, .columns = columns, .column_count = 4 };
        mbr_drift_options o = { .size = sizeof o, .window_rows = 300, .whole = 100, .pending = 16 };
        mbr_drift_fit *f = NULL;
        mbr_drift_monitor *m = NULL, *other = NULL;
        mbr_drift_baseline *fresh = NULL;
        size_t text = 0;
        b = NULL;
        atomic_store(&memory->fail_after, fail);
        done = mbr_drift_fit_new(env, &how, &f, &err) == MBR_OK && mbr_drift_fit_rows(f, cells, 400, &err) == MBR_OK &&
               mbr_drift_fit_finish(f, &fresh, &err) == MBR_OK && mbr_drift_baseline_open(env, path, &b, &err) == MBR_OK &&
               mbr_drift_monitor_new(b, &o, &m, &err) == MBR_OK && mbr_drift_monitor_new(b, &o, &other, &err) == MBR_OK &&
               mbr_drift_monitor_rows(m, cells, 400, 0, &err) == MBR_OK &&
               mbr_drift_monitor_rows(other, cells, 200, 0, &err) == MBR_OK &&
               mbr_drift_monitor_merge(m, other, &err) == MBR_OK &&
               mbr_drift_monitor_save(m, other_path, &err) == MBR_OK &&
               mbr_drift_monitor_restore(other, other_path, &err) == MBR_OK &&
               mbr_drift_report_html(b, other, count_text, &text, &err) == MBR_OK &&
               mbr_drift_report_json(b, other, count_text, &text, &err) == MBR_OK;
        atomic_store(&memory->fail_after, -1);
        ck_assert_msg(done || err.status == MBR_ERR_NO_MEMORY, "allocation %ld: %s", fail, err.text);
        mbr_drift_fit_release(&f);
        mbr_drift_monitor_release(&m);
        mbr_drift_monitor_release(&other);
        mbr_drift_baseline_release(&fresh);
        mbr_drift_baseline_release(&b);
    }
    ck_assert(done);
}
END_TEST

START_TEST(reports_are_written)
{
    mbr_drift_baseline *b = fit();
    mbr_drift_monitor *m = watch(b, (mbr_drift_options){ 0 });
    size_t n = 0;
    ck_assert_int_eq(mbr_drift_report_html(b, NULL, count_text, &n, &err), MBR_OK);
    ck_assert_int_eq(mbr_drift_report_json(b, m, count_text, &n, &err), MBR_OK);
    for (int i = 0; i < 300; i++) /* more than the timeline remembers */
        rows(m, 1000, i);
    ck_assert_int_eq(mbr_drift_report_html(b, m, count_text, &n, &err), MBR_OK);
    ck_assert_int_eq(mbr_drift_report_json(b, m, count_text, &n, &err), MBR_OK);
    ck_assert_uint_gt(n, 20000);
    ck_assert_int_eq(mbr_drift_report_html(b, m, refuse_text, NULL, &err), MBR_ERR_IO);
    ck_assert_int_eq(mbr_drift_report_json(b, m, refuse_text, NULL, &err), MBR_ERR_IO);
    mbr_drift_monitor_release(&m);
    mbr_drift_baseline_release(&b);
}
END_TEST

int main(void)
{
    random_seed("test_drift");
    Suite *s = suite_create("drift");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, levels_go_up_at_once_and_down_after_quiet_windows);
    tcase_add_test(t, single_rows_and_batches_say_the_same);
    tcase_add_test(t, merged_windows_say_what_one_would);
    tcase_add_test(t, windows_by_time_bear_a_clock_that_steps_back);
    tcase_add_test(t, windows_judged_bit_by_bit_say_the_same);
    tcase_add_test(t, samples_stand_for_long_windows);
    tcase_add_test(t, what_is_no_number_or_text_has_an_answer);
    tcase_add_test(t, poor_baselines_work);
    tcase_add_test(t, extreme_numbers_make_a_baseline);
    tcase_add_test(t, wrong_calls_are_refused);
    tcase_add_test(t, damaged_files_are_refused);
    tcase_add_test(t, state_goes_on_where_it_stopped);
    tcase_add_test(t, labels_find_changed_errors);
    tcase_add_test(t, actions_are_set_off);
    tcase_add_test(t, every_allocation_may_fail);
    tcase_add_test(t, reports_are_written);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
