/* SPDX-License-Identifier: BSD-2-Clause */
/* How a batch reaches the log of decisions: by one write, before any of its decisions is handed out. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "tests/pipeline_folder.h"

#include <pthread.h>
#include <stdlib.h>

#ifdef HAVE_YAML

enum { ROWS = 250, THREADS = 3 };

static char text[ROWS * 24];

static void make_rows(void)
{
    size_t used = (size_t)snprintf(text, sizeof text, "id,key,p,t\n");
    for (int i = 0; i < ROWS; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "r%d,k,0.%d,%d\n", i, i % 10, i);
}

/* Calls of write(2) by this process; -1: the system does not tell. */
static long writes(void)
{
    char line[64];
    long n = -1;
    FILE *f = fopen("/proc/self/io", "r");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "syscw:", 6) == 0)
            n = atol(line + 6);
    if (f)
        fclose(f);
    return n;
}

static mbr_decider *logged(mbr_pipeline *p, int batch)
{
    mbr_decider *d;
    mbr_decider_options o = { .size = sizeof o, .batch = batch, .log_path = log_path };
    OK(mbr_decider_new(p, &o, &d, &err));
    return d;
}

/* The whole log, which the caller frees. */
static char *read_log(size_t *size)
{
    FILE *f = fopen(log_path, "rb");
    char *all = malloc(1 << 20);
    if (f && all) {
        *size = fread(all, 1, (1 << 20) - 1, f);
        all[*size] = '\0';
        fclose(f);
    }
    return all;
}

START_TEST(a_batch_is_one_write)
{
    static const int batches[] = { 1, 7, 100, 250, 1000 };
    mbr_pipeline *p;
    make_rows();
    OK(open_same(HEAD SIMPLE, NULL, &p));
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
        mbr_decider *d = logged(p, batches[i]);
        long before = writes();
        mbr_status st = decide_text(d, text, MBR_ROWS_CSV, ignore, NULL); /* Check's assertions would write, too */
        long after = writes();
        ck_assert_msg(st == MBR_OK, "%s", err.text);
        if (before >= 0)
            ck_assert_msg(after - before == (ROWS + batches[i] - 1) / batches[i], "batch %d: %ld writes", batches[i],
                          after - before);
        mbr_decider_release(&d);
    }
    mbr_pipeline_release(&p);
}
END_TEST

static mbr_status look_for(void *user, const mbr_decision *d)
{
    int *missing = user;
    size_t size = 0;
    char *all = read_log(&size);
    if (!all || !strstr(all, d->decision_id) || all[size - 1] != '\n')
        ++*missing;
    free(all);
    return MBR_OK;
}

START_TEST(a_decision_handed_out_is_in_the_log)
{
    mbr_pipeline *p;
    make_rows();
    OK(open_same(HEAD SIMPLE, NULL, &p));
    for (int batch = 1; batch < 200; batch += 90) {
        int missing = 0;
        mbr_decider *d = logged(p, batch);
        OK(decide_text(d, text, MBR_ROWS_CSV, look_for, &missing));
        ck_assert_int_eq(missing, 0);
        mbr_decider_release(&d);
    }
    mbr_pipeline_release(&p);
}
END_TEST

static void *decide_all(void *user)
{
    mbr_decider *d = user;
    mbr_error why;
    text_reader r = { text, strlen(text) };
    return mbr_decider_reader(d, "rows", read_text, &r, MBR_ROWS_CSV, ignore, NULL, NULL, &why) == MBR_OK ? d : NULL;
}

/* Threads that share a log: batches whole, numbers in order, as many writes as batches. */
START_TEST(threads_write_whole_batches)
{
    enum { BATCH = 20 };
    pthread_t threads[THREADS];
    mbr_decider *d[THREADS];
    mbr_pipeline *p;
    int failed = 0;
    size_t size = 0;
    make_rows();
    OK(open_same(HEAD SIMPLE, NULL, &p));
    for (int i = 0; i < THREADS; i++)
        d[i] = logged(p, BATCH);
    long before = writes();
    for (int i = 0; i < THREADS; i++)
        failed += pthread_create(&threads[i], NULL, decide_all, d[i]) != 0;
    for (int i = 0; i < THREADS && !failed; i++) {
        void *done = NULL;
        pthread_join(threads[i], &done);
        failed += !done;
    }
    long after = writes();
    ck_assert_int_eq(failed, 0);
    if (before >= 0)
        ck_assert_int_eq(after - before, THREADS * ((ROWS + BATCH - 1) / BATCH));
    char *all = read_log(&size), *line = all;
    unsigned long long seq, row, before_row = 0;
    for (unsigned long long n = 1; n <= THREADS * ROWS; n++) {
        char *at = strstr(line, "\"row\":");
        ck_assert_msg(sscanf(line, "{\"seq\":%llu,", &seq) == 1 && seq == n, "record %llu: %.40s", n, line);
        ck_assert(at && sscanf(at, "\"row\":%llu", &row) == 1);
        ck_assert_msg(row == before_row + 1 || row % BATCH == 1, "record %llu is of row %llu, after %llu", n, row,
                      before_row);
        before_row = row;
        line = strchr(line, '\n') + 1;
    }
    ck_assert_int_eq(*line, '\0');
    free(all);
    for (int i = 0; i < THREADS; i++)
        mbr_decider_release(&d[i]);
    mbr_pipeline_release(&p);
}
END_TEST

#endif

int main(void)
{
    Suite *suite = suite_create("log writes");
#ifdef HAVE_YAML
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup_folder, teardown_folder);
    tcase_add_test(t, a_batch_is_one_write);
    tcase_add_test(t, a_decision_handed_out_is_in_the_log);
    tcase_add_test(t, threads_write_whole_batches);
    suite_add_tcase(suite, t);
#endif
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
