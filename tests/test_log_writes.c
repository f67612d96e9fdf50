/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a batch reaches the log of decisions: by one write, before any of its decisions is handed out; with sync always
 * on the disk, by one sync for all threads that wait.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "mbr/decision_log.h"
#include "tests/pipeline_folder.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

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

/* ---- the disk ---- */

/* What the library calls in this program: a slow disk that may refuse. */
static atomic_int syncs, refuse_at; /* refuse_at: the sync that fails, from 1; 0: none */
static atomic_int hold;             /* the first sync takes until the log has so many records */
static atomic_llong on_disk;        /* bytes of the file that was synced last */

static int records_there(void)
{
    size_t size = 0;
    int n = 0;
    char *all = read_log(&size);
    for (size_t i = 0; all && i < size; i++)
        n += all[i] == '\n';
    free(all);
    return n;
}

int fdatasync(int fd)
{
    struct stat s;
    struct timespec slow = { 0, 3000000 };
    int n = atomic_fetch_add(&syncs, 1) + 1;
    if (fstat(fd, &s) != 0)
        return -1;
    nanosleep(&slow, NULL);
    for (int i = 0; n == 1 && i < 5000 && records_there() < atomic_load(&hold); i++)
        nanosleep(&slow, NULL);
    if (n == atomic_load(&refuse_at)) {
        errno = EIO;
        return -1;
    }
    atomic_store(&on_disk, (long long)s.st_size);
    return 0;
}

typedef struct deciding {
    pthread_t thread;
    mbr_decider *d;
    int given, unsafe, missing;
    bool rotates, failed;
    mbr_error why;
} deciding;

/* A decision that is handed out is in the file, and where there is only one file before the end of what was synced. */
static mbr_status look_at_disk(void *user, const mbr_decision *made)
{
    deciding *me = user;
    size_t size = 0;
    long long safe = atomic_load(&on_disk);
    char *all = me->rotates ? NULL : read_log(&size), *at = all ? strstr(all, made->decision_id) : NULL;
    me->given++;
    me->missing += !me->rotates && !at;
    me->unsafe += at && at - all > safe;
    free(all);
    return MBR_OK;
}

static void *decide_safely(void *user)
{
    deciding *me = user;
    text_reader r = { text, strlen(text) };
    me->failed = mbr_decider_reader(me->d, "rows", read_text, &r, MBR_ROWS_CSV, look_at_disk, me, NULL, &me->why) !=
                 MBR_OK;
    return NULL;
}

/* All rows by each of the threads; how many were handed out. */
static int run_threads(mbr_pipeline *p, int batch, bool rotates, deciding *all)
{
    int given = 0, started = 0;
    atomic_store(&syncs, 0);
    atomic_store(&on_disk, 0);
    for (int i = 0; i < THREADS; i++)
        all[i] = (deciding){ .d = logged(p, batch), .rotates = rotates };
    for (int i = 0; i < THREADS; i++)
        started += pthread_create(&all[i].thread, NULL, decide_safely, &all[i]) == 0;
    ck_assert_int_eq(started, THREADS);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(all[i].thread, NULL);
        given += all[i].given;
        ck_assert_int_eq(all[i].missing, 0);
        ck_assert_int_eq(all[i].unsafe, 0);
    }
    return given;
}

static void release_all(deciding *all)
{
    for (int i = 0; i < THREADS; i++)
        mbr_decider_release(&all[i].d);
}

/* Records of a file that go on from number *next, with gaps or without. */
static int count_records(const char *path, unsigned long long *next, bool gaps)
{
    char line[2000];
    int n = 0;
    FILE *f = fopen(path, "rb");
    for (; f && fgets(line, sizeof line, f); n++) {
        unsigned long long seq;
        ck_assert(sscanf(line, "{\"seq\":%llu,", &seq) == 1 && line[strlen(line) - 1] == '\n');
        ck_assert_msg(gaps ? seq >= *next : seq == *next, "record %llu, due %llu", seq, *next);
        *next = seq + 1;
    }
    if (f)
        fclose(f);
    return n;
}

START_TEST(one_sync_for_all_that_wait)
{
    static deciding all[THREADS];
    mbr_pipeline *p;
    unsigned long long next = 1;
    make_rows();
    OK(open_same(HEAD SIMPLE "log: {path: none, sync: always}\n", NULL, &p));
    atomic_store(&hold, THREADS * ROWS); /* all others append meanwhile */
    ck_assert_int_eq(run_threads(p, ROWS, false, all), THREADS * ROWS);
    ck_assert_int_eq(atomic_load(&syncs), 2);
    atomic_store(&hold, 0);
    ck_assert_int_eq(count_records(log_path, &next, false), THREADS * ROWS);
    release_all(all);
    mbr_pipeline_release(&p);
}
END_TEST

/* A disk that refuses once: nothing that is handed out is lost, what was refused is not left, numbers have no gap. */
START_TEST(a_refused_sync_takes_its_group_back)
{
    static deciding all[THREADS];
    mbr_pipeline *p;
    make_rows();
    OK(open_same(HEAD SIMPLE "log: {path: none, sync: always}\n", NULL, &p));
    for (int at = 1; at < 12; at += 5) {
        unsigned long long next = 1;
        unlink(log_path);
        atomic_store(&refuse_at, at);
        int given = run_threads(p, 10, false, all), failed = 0;
        for (int i = 0; i < THREADS; i++) {
            failed += all[i].failed;
            if (all[i].failed)
                ck_assert(all[i].given < ROWS && strstr(all[i].why.text, "cannot be written"));
            else
                ck_assert_int_eq(all[i].given, ROWS);
        }
        ck_assert_int_ge(failed, 1);
        ck_assert_int_eq(count_records(log_path, &next, false), given);
        atomic_store(&refuse_at, 0);
        release_all(all);
        mbr_decider *d = logged(p, 10); /* and it goes on */
        OK(decide_text(d, text, MBR_ROWS_CSV, ignore, NULL));
        mbr_decider_release(&d);
        next = 1;
        ck_assert_int_eq(count_records(log_path, &next, false), given + ROWS);
    }
    mbr_pipeline_release(&p);
}
END_TEST

START_TEST(a_refused_sync_leaves_a_gap_where_decisions_go_on)
{
    static deciding all[THREADS];
    mbr_log_facts facts = { .size = sizeof facts };
    unsigned long long next = 1;
    mbr_pipeline *p;
    make_rows();
    OK(open_same(HEAD SIMPLE "log: {path: none, sync: always, on_error: continue}\n", NULL, &p));
    atomic_store(&refuse_at, 7);
    for (int i = 0; i < THREADS; i++) {
        all[i] = (deciding){ .d = logged(p, 10), .rotates = true }; /* what is lost is not looked for */
        ck_assert_int_eq(pthread_create(&all[i].thread, NULL, decide_safely, &all[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(all[i].thread, NULL);
        ck_assert_int_eq(all[i].given, ROWS);
    }
    ck_assert_int_eq(mbr_decider_log_facts(all[0].d, &facts), MBR_OK);
    int n = count_records(log_path, &next, true);
    ck_assert_int_eq(n, (int)facts.written);
    ck_assert_int_eq(n + (int)facts.lost, THREADS * ROWS);
    ck_assert_uint_ge(facts.lost, 10);
    ck_assert_uint_le(next, THREADS * ROWS + 1);
    release_all(all);
    mbr_pipeline_release(&p);
}
END_TEST

/* Full files while others wait for the disk: nothing is lost between them, none is too long. */
START_TEST(files_change_while_others_wait)
{
    static deciding all[THREADS];
    unsigned long long next = 1;
    char path[140];
    mbr_pipeline *p;
    int n = 0;
    make_rows();
    OK(open_same(HEAD SIMPLE "log: {path: none, sync: always, rotate: {records: 25}}\n", NULL, &p));
    ck_assert_int_eq(run_threads(p, 5, true, all), THREADS * ROWS);
    for (int i = 1; i < THREADS * ROWS / 25; i++) {
        snprintf(path, sizeof path, "%s.%06d", log_path, i);
        ck_assert_int_eq(count_records(path, &next, false), 25);
        n += 25;
    }
    ck_assert_int_eq(n + count_records(log_path, &next, false), THREADS * ROWS);
    release_all(all);
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
    tcase_add_test(t, one_sync_for_all_that_wait);
    tcase_add_test(t, a_refused_sync_takes_its_group_back);
    tcase_add_test(t, a_refused_sync_leaves_a_gap_where_decisions_go_on);
    tcase_add_test(t, files_change_while_others_wait);
    suite_add_tcase(suite, t);
#endif
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
