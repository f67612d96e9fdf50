/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How often windows without drift raise the level, and how soon a shift does: 1,000 windows of 2,000 rows and 30
 * features, 200 shifts of half a standard deviation. MBR_SEED=number repeats a run.
 */
#include "mbr/drift.h"
#include "tests/random.h"

#include <check.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { FEATURES = 30, NUMBERS = 24, ROWS = 2000, BASE_ROWS = 20000, COLUMNS = FEATURES + 1 };

static mbr_env *env;
static mbr_error err;
static double *numbers[COLUMNS];
static mbr_string *texts[COLUMNS];
static mbr_drift_cells cells[COLUMNS];
static char names[COLUMNS][16];

static double uniform(void)
{
    return (double)((random_bits() >> 11) + 1) * 0x1p-53;
}

static double normal(void)
{
    return sqrt(-2.0 * log(uniform())) * cos(6.283185307179586 * uniform());
}

/* Features of many kinds: normal, skewed, correlated, integer, mostly zero, with missing values; texts; a score. */
static void fill(size_t rows, int shifted, double shift)
{
    static const mbr_string words[] = { { "red", 3 }, { "green", 5 }, { "blue", 4 }, { "white", 5 }, { "black", 5 },
                                        { "grey", 4 }, { "pink", 4 }, { "rare", 4 } };
    for (size_t r = 0; r < rows; r++) {
        double common = normal();
        for (int i = 0; i < NUMBERS; i++) {
            double z = i % 3 == 0 ? 0.7 * common + 0.714 * normal() : normal();
            z += i == shifted ? shift : 0.0;
            double x = i % 6 == 1 ? exp(1.5 * z) : i % 6 == 2 ? floor(10.0 * z) : i % 6 == 4 ? fmax(z, 0.0) : z;
            numbers[i][r] = i % 8 == 7 && random_below(20) == 0 ? (double)NAN : x;
        }
        for (int i = NUMBERS; i < FEATURES; i++) {
            double u = uniform();
            texts[i][r] = words[(int)(8.0 * u * u * (i % 2 ? 1.0 : u))];
            if (i == FEATURES - 1 && random_below(10) == 0)
                texts[i][r] = (mbr_string){ 0 };
        }
        numbers[FEATURES][r] = 1.0 / (1.0 + exp(-common - 0.5 * normal()));
    }
}

static mbr_drift_baseline *make_baseline(void)
{
    mbr_drift_column columns[COLUMNS];
    for (int i = 0; i < COLUMNS; i++) {
        bool number = i < NUMBERS || i == FEATURES;
        snprintf(names[i], sizeof names[i], "f%d", i);
        columns[i] = (mbr_drift_column){ names[i], number ? MBR_DRIFT_NUMBER : MBR_DRIFT_CATEGORY,
                                         i == FEATURES ? MBR_DRIFT_OUTPUT : MBR_DRIFT_FEATURE };
        numbers[i] = malloc(BASE_ROWS * sizeof *numbers[i]);
        texts[i] = malloc(BASE_ROWS * sizeof *texts[i]);
        cells[i] = (mbr_drift_cells){ .numbers = number ? numbers[i] : NULL, .texts = number ? NULL : texts[i] };
    }
    mbr_drift_fit_options how = { .size = sizeof how, .columns = columns, .column_count = COLUMNS };
    mbr_drift_fit *fit;
    mbr_drift_baseline *baseline;
    ck_assert_int_eq(mbr_drift_fit_new(env, &how, &fit, &err), MBR_OK);
    fill(BASE_ROWS, -1, 0.0);
    ck_assert_int_eq(mbr_drift_fit_rows(fit, cells, BASE_ROWS, &err), MBR_OK);
    ck_assert_int_eq(mbr_drift_fit_finish(fit, &baseline, &err), MBR_OK);
    mbr_drift_fit_release(&fit);
    return baseline;
}

static void drop(mbr_drift_baseline *baseline)
{
    mbr_drift_baseline_release(&baseline);
    for (int i = 0; i < COLUMNS; i++) {
        free(numbers[i]);
        free(texts[i]);
    }
}

typedef struct seen {
    int windows, alarmed, print;
    mbr_drift_level worst;
} seen;

static void watch(void *user, const mbr_drift_event *e)
{
    seen *s = user;
    if (e->kind == MBR_DRIFT_EVENT_WINDOW) {
        s->windows++;
        if (e->p < 0.005) {
            s->alarmed++;
            if (s->print)
                printf("window %llu: %s of %s, p %g\n", (unsigned long long)e->window, e->reason, e->subject,
                       e->p);
        }
    }
    if (e->level > s->worst)
        s->worst = e->level;
}

START_TEST(windows_without_drift_are_quiet)
{
    enum { BASELINES = 10, WINDOWS = 100 };
    for (int control = 0; control < 2; control++) {
        int windows = 0, alarmed = 0;
        for (int k = 0; k < BASELINES; k++) {
            mbr_drift_baseline *baseline = make_baseline();
            seen s = { .print = 1 };
            mbr_drift_options o = { .size = sizeof o, .window_rows = ROWS, .on_event = watch, .user = &s,
                                    .control = (mbr_drift_control)control, .seed = (uint64_t)k };
            mbr_drift_monitor *m;
            ck_assert_int_eq(mbr_drift_monitor_new(baseline, &o, &m, &err), MBR_OK);
            for (int w = 0; w < WINDOWS / (control ? 4 : 1); w++) {
                fill(ROWS, -1, 0.0);
                ck_assert_int_eq(mbr_drift_monitor_rows(m, cells, ROWS, w, &err), MBR_OK);
            }
            windows += s.windows;
            alarmed += s.alarmed;
            mbr_drift_monitor_release(&m);
            drop(baseline);
        }
        printf("%s: %d of %d windows without drift raise the level\n", control ? "Bonferroni" : "Benjamini-Hochberg",
               alarmed, windows);
        ck_assert_int_eq(windows, BASELINES * WINDOWS / (control ? 4 : 1));
        ck_assert_int_lt(alarmed * 100, windows);
    }
}
END_TEST

START_TEST(a_shift_is_raised_within_two_windows)
{
    enum { RUNS = 200 };
    mbr_drift_baseline *baseline = make_baseline();
    int warned = 0, alarmed = 0, named = 0;
    for (int run = 0; run < RUNS; run++) {
        seen s = { 0 };
        mbr_drift_options o = { .size = sizeof o, .window_rows = ROWS, .on_event = watch, .user = &s };
        mbr_drift_monitor *m;
        int feature = random_below(NUMBERS);
        ck_assert_int_eq(mbr_drift_monitor_new(baseline, &o, &m, &err), MBR_OK);
        for (int w = 0; w < 2; w++) {
            fill(ROWS, feature, 0.5);
            ck_assert_int_eq(mbr_drift_monitor_rows(m, cells, ROWS, w, &err), MBR_OK);
        }
        mbr_drift_result r = { .size = sizeof r };
        ck_assert_int_eq(mbr_drift_monitor_result(m, feature, &r, &err), MBR_OK);
        warned += s.worst >= MBR_DRIFT_WARN;
        alarmed += s.worst == MBR_DRIFT_ALARM;
        named += r.level >= MBR_DRIFT_WARN;
        mbr_drift_monitor_release(&m);
    }
    printf("of %d shifts by half a deviation, %d warned and %d alarmed within two windows, %d named the feature\n", RUNS,
           warned, alarmed, named);
    ck_assert_int_ge(alarmed * 100, RUNS * 95);
    ck_assert_int_ge(named * 100, RUNS * 95);
    drop(baseline);
}
END_TEST

int main(void)
{
    random_seed("test_drift_power");
    if (mbr_env_new(NULL, &env, NULL) != MBR_OK)
        return 1;
    Suite *s = suite_create("drift_power");
    TCase *t = tcase_create("all");
    tcase_add_test(t, windows_without_drift_are_quiet);
    tcase_add_test(t, a_shift_is_raised_within_two_windows);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    mbr_env_release(&env);
    return failed ? 1 : 0;
}
