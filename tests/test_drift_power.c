/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How often windows without drift raise the level, and how soon a shift does: 1,000 windows of 2,000 rows and 30
 * features, 200 shifts of half a standard deviation; and the same of windows of 20,000 rows for which a sample of 2,000
 * stands, of which there are 100 and 20 unless MBR_TEST_WINDOWS=1000. Then how much memory a monitor takes for
 * MBR_TEST_VALUES (5,000,000) values. MBR_SEED=number repeats a run.
 */
#include "mbr/drift.h"
#include "tests/random.h"

#include <check.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { FEATURES = 30, NUMBERS = 24, BASE_ROWS = 20000, COLUMNS = FEATURES + 1 };

static const struct {
    int rows, sample; /* of a window */
} ways[] = { { 2000, 0 }, { BASE_ROWS, 2000 } };


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

/* How many windows one way is tried with. */
static int window_count(int way)
{
    const char *asked = getenv("MBR_TEST_WINDOWS");
    int n = asked ? atoi(asked) : way ? 100 : 1000;
    return n < 10 ? 10 : n;
}

START_TEST(windows_without_drift_are_quiet)
{
    enum { BASELINES = 10 };
    for (int control = 0; control < 2; control++) {
        int windows = 0, alarmed = 0, each = window_count(_i) / BASELINES / (control ? 4 : 1), rows = ways[_i].rows;
        for (int k = 0; k < BASELINES; k++) {
            mbr_drift_baseline *baseline = make_baseline();
            seen s = { .print = 1 };
            mbr_drift_options o = { .size = sizeof o, .window_rows = (uint64_t)rows, .sample = ways[_i].sample,
                                    .on_event = watch, .user = &s, .control = (mbr_drift_control)control,
                                    .seed = (uint64_t)k };
            mbr_drift_monitor *m;
            ck_assert_int_eq(mbr_drift_monitor_new(baseline, &o, &m, &err), MBR_OK);
            for (int w = 0; w < each; w++) {
                fill((size_t)rows, -1, 0.0);
                ck_assert_int_eq(mbr_drift_monitor_rows(m, cells, (size_t)rows, w, &err), MBR_OK);
            }
            windows += s.windows;
            alarmed += s.alarmed;
            mbr_drift_monitor_release(&m);
            drop(baseline);
        }
        printf("%s, windows of %d rows, sample %d: %d of %d windows without drift raise the level\n",
               control ? "Bonferroni" : "Benjamini-Hochberg", rows, ways[_i].sample, alarmed, windows);
        ck_assert_int_eq(windows, BASELINES * each);
        if (windows >= 1000)
            ck_assert_int_lt(alarmed * 100, windows);
        else /* too few to tell a hundredth: at the stated 0.005 more than this is one chance in 500 */
            ck_assert_int_le(alarmed, 3 + windows / 100);
    }
}
END_TEST

START_TEST(a_shift_is_raised_within_two_windows)
{
    mbr_drift_baseline *baseline = make_baseline();
    int warned = 0, alarmed = 0, named = 0, runs = window_count(_i) / 5, rows = ways[_i].rows;
    for (int run = 0; run < runs; run++) {
        seen s = { 0 };
        mbr_drift_options o = { .size = sizeof o, .window_rows = (uint64_t)rows, .sample = ways[_i].sample,
                                .on_event = watch, .user = &s };
        mbr_drift_monitor *m;
        int feature = random_below(NUMBERS);
        ck_assert_int_eq(mbr_drift_monitor_new(baseline, &o, &m, &err), MBR_OK);
        for (int w = 0; w < 2; w++) {
            fill((size_t)rows, feature, 0.5);
            ck_assert_int_eq(mbr_drift_monitor_rows(m, cells, (size_t)rows, w, &err), MBR_OK);
        }
        mbr_drift_result r = { .size = sizeof r };
        ck_assert_int_eq(mbr_drift_monitor_result(m, feature, &r, &err), MBR_OK);
        warned += s.worst >= MBR_DRIFT_WARN;
        alarmed += s.worst == MBR_DRIFT_ALARM;
        named += r.level >= MBR_DRIFT_WARN;
        mbr_drift_monitor_release(&m);
    }
    printf("windows of %d rows, sample %d: of %d shifts by half a deviation, %d warned and %d alarmed within two windows, "
           "%d named the feature\n", rows, ways[_i].sample, runs, warned, alarmed, named);
    ck_assert_int_ge(alarmed * 100, runs * 95);
    ck_assert_int_ge(named * 100, runs * 95);
    drop(baseline);
}
END_TEST

static long resident(void)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return use.ru_maxrss;
}

/* Texts never end, one column has a new one in each row; labels come, too. What a tenth of all takes is enough for all. */
START_TEST(memory_has_a_bound)
{
    enum { BLOCK = 1000 };
    static const struct {
        const char *name;
        uint64_t rows;
        size_t sample;
    } kinds[] = { { "windows of 2,000 rows", 2000, 0 },
                  { "windows of 1,000,000 rows", 1000000, 0 },
                  { "windows of 1,000,000 rows, sample 2,000", 1000000, 2000 },
                  { "one window", UINT64_MAX, 0 } };
    const char *asked = getenv("MBR_TEST_VALUES");
    long blocks = (long)((asked ? atof(asked) : 5e6) / COLUMNS / BLOCK / 10) * 10;
    static mbr_string new_texts[BLOCK];
    static char text[BLOCK][24];
    mbr_drift_baseline *baseline = make_baseline();
    mbr_drift_options o = { .size = sizeof o, .window_rows = kinds[_i].rows, .sample = kinds[_i].sample };
    mbr_drift_monitor *m;
    mbr_memory_use use;
    size_t most = 0, early = 0;
    long early_resident = 0;
    ck_assert_int_gt(blocks, 0);
    ck_assert_int_eq(mbr_drift_monitor_new(baseline, &o, &m, &err), MBR_OK);
    fill(BASE_ROWS, -1, 0.0);
    for (long b = 0; b < blocks; b++) {
        mbr_drift_cells part[COLUMNS];
        int from = random_below(BASE_ROWS - BLOCK + 1);
        for (int r = 0; r < BLOCK; r++)
            new_texts[r] = (mbr_string){ text[r], (size_t)snprintf(text[r], sizeof text[r], "t%ld", b * BLOCK + r) };
        for (int i = 0; i < COLUMNS; i++)
            part[i] = (mbr_drift_cells){ .numbers = cells[i].numbers ? numbers[i] + from : NULL,
                                         .texts = cells[i].texts ? texts[i] + from : NULL };
        part[NUMBERS].texts = new_texts;
        ck_assert_int_eq(mbr_drift_monitor_rows(m, part, BLOCK, (double)b, &err), MBR_OK);
        for (int r = 0; r < BLOCK; r++)
            ck_assert_int_eq(mbr_drift_monitor_outcome(m, numbers[FEATURES][from + r], random_below(2), &err), MBR_OK);
        mbr_env_memory(env, &use);
        most = use.in_use > most ? use.in_use : most;
        if (b + 1 == blocks / 10) {
            early = most;
            early_resident = resident();
        }
    }
    printf("%s: %.3g values take %zu KiB at most, a tenth of them %zu; peak of the process %ld and %ld KiB\n",
           kinds[_i].name, (double)blocks * BLOCK * COLUMNS, most >> 10, early >> 10, resident(), early_resident);
    ck_assert_uint_le(most, early + early / 4);
    mbr_drift_monitor_release(&m);
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
    tcase_add_loop_test(t, windows_without_drift_are_quiet, 0, (int)(sizeof ways / sizeof *ways));
    tcase_add_loop_test(t, a_shift_is_raised_within_two_windows, 0, (int)(sizeof ways / sizeof *ways));
    tcase_add_loop_test(t, memory_has_a_bound, 0, 4);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    mbr_env_release(&env);
    return failed ? 1 : 0;
}
