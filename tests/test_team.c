/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "engine/team.h"
#include "tests/threads.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MBR_NO_THREADS
#include <pthread.h>
#endif

#define MOST_TILES 5000

static mbr_memory memory;
static mbr_error err;
static mbr_team *team;

static void setup(void)
{
    mbr_memory_init(&memory);
}

static void teardown(void)
{
    mbr_team_free(team);
    team = NULL;
    ck_assert_uint_eq(memory.in_use, 0);
}

static void make_team(int threads)
{
    ck_assert_int_eq(mbr_team_new(&memory, threads, &team, &err), MBR_OK);
}

typedef struct job {
    mbr_team *team;
    atomic_int seen[MOST_TILES];
    size_t tiles, grain;
    int workers;
    atomic_int wrong;      /* ranges or workers that cannot be */
    atomic_bool cancel;
    size_t cancel_at, stop_at; /* tile at which it is cancelled or stops; MOST_TILES: never */
    atomic_int inside[64]; /* by worker: two threads must never share a number */
    bool exclusive;        /* nobody else uses the team, so numbers are unique */
} job;

static bool count_tiles(void *user, size_t first, size_t last, int worker)
{
    job *j = user;
    if (first >= last || last > j->tiles || last - first > j->grain || worker < 0 || worker >= j->workers)
        atomic_fetch_add(&j->wrong, 1);
    if (j->exclusive && atomic_fetch_add(&j->inside[worker], 1) != 0)
        atomic_fetch_add(&j->wrong, 1);
    bool stop = false;
    for (size_t i = first; i < last; i++) {
        atomic_fetch_add(&j->seen[i], 1);
        if (i == j->cancel_at)
            atomic_store(&j->cancel, true);
        stop |= i == j->stop_at;
    }
    if (j->exclusive)
        atomic_fetch_sub(&j->inside[worker], 1);
    return !stop;
}

static job *new_job(size_t tiles, size_t grain, int workers)
{
    job *j = calloc(1, sizeof *j);
    ck_assert_ptr_nonnull(j);
    *j = (job){ .team = team, .tiles = tiles, .grain = grain, .workers = workers, .cancel_at = MOST_TILES,
                .stop_at = MOST_TILES, .exclusive = true };
    return j;
}

static bool all_once(const job *j)
{
    for (size_t i = 0; i < MOST_TILES; i++)
        if (atomic_load(&j->seen[i]) != (i < j->tiles))
            return false;
    return atomic_load(&j->wrong) == 0;
}

START_TEST(every_tile_runs_once)
{
    static const int sizes[] = { 1, 2, 3, 4, 7, 16, 32 };
    static const size_t tiles[] = { 0, 1, 2, 3, 15, 16, 17, 100, 4999, 5000 }, grains[] = { 1, 2, 7, 64, 10000 };
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        make_team(sizes[s]);
        for (size_t t = 0; t < sizeof tiles / sizeof *tiles; t++)
            for (size_t g = 0; g < sizeof grains / sizeof *grains; g++)
                for (int workers = 1; workers <= sizes[s]; workers = workers * 3 + 1) {
                    job *j = new_job(tiles[t], grains[g], workers);
                    ck_assert(mbr_team_run(team, workers, tiles[t], grains[g], count_tiles, j, &j->cancel));
                    ck_assert(all_once(j));
                    free(j);
                }
        mbr_team_free(team);
        team = NULL;
    }
}
END_TEST

START_TEST(short_jobs_in_quick_succession)
{
    make_team(4);
    for (int round = 0; round < 2000; round++) {
        static job j;
        j = (job){ .team = team, .tiles = 8, .grain = 1, .workers = 4, .cancel_at = MOST_TILES, .stop_at = MOST_TILES,
                   .exclusive = true };
        ck_assert(mbr_team_run(team, 4, 8, 1, count_tiles, &j, NULL));
        ck_assert(all_once(&j));
    }
}
END_TEST

START_TEST(team_sizes)
{
    make_team(0);
    ck_assert_int_ge(mbr_team_size(team), 1);
    mbr_team_free(team);
    make_team(1);
    ck_assert_int_eq(mbr_team_size(team), 1);
    mbr_team_free(team);
    team = NULL;
    mbr_team_free(NULL);
#ifndef MBR_NO_THREADS
    ck_assert_int_eq(mbr_team_new(&memory, -1, &team, &err), MBR_ERR_ARGUMENT);
    ck_assert_ptr_null(team);
    ck_assert_int_eq(mbr_team_new(&memory, 100000, &team, &err), MBR_ERR_ARGUMENT);
#endif
    for (long allowed = 0; allowed < 2; allowed++) {
        atomic_store(&memory.fail_after, allowed);
        mbr_status st = mbr_team_new(&memory, 4, &team, &err);
        atomic_store(&memory.fail_after, -1);
        ck_assert(st == MBR_OK || (st == MBR_ERR_NO_MEMORY && !team));
        mbr_team_free(team);
        team = NULL;
        ck_assert_uint_eq(memory.in_use, 0);
    }
}
END_TEST

START_TEST(cancelling_ends_a_job)
{
    make_team(3);
    for (int workers = 1; workers <= 3; workers++) {
        job *j = new_job(MOST_TILES, 1, workers);
        atomic_store(&j->cancel, true);
        ck_assert(!mbr_team_run(team, workers, MOST_TILES, 1, count_tiles, j, &j->cancel));
        ck_assert_int_eq(atomic_load(&j->seen[0]), 0);
        free(j);
        j = new_job(MOST_TILES, 1, workers);
        j->cancel_at = 10;
        ck_assert(!mbr_team_run(team, workers, MOST_TILES, 1, count_tiles, j, &j->cancel));
        ck_assert_int_eq(atomic_load(&j->seen[10]), 1);
        ck_assert_int_eq(atomic_load(&j->seen[MOST_TILES - 1]), 0);
        free(j);
        j = new_job(100, 1, workers);
        j->stop_at = 7;
        ck_assert(!mbr_team_run(team, workers, 100, 1, count_tiles, j, NULL));
        free(j);
        j = new_job(100, 3, workers); /* and the next one is whole again */
        ck_assert(mbr_team_run(team, workers, 100, 3, count_tiles, j, &j->cancel));
        ck_assert(all_once(j));
        free(j);
    }
}
END_TEST

static bool nested(void *user, size_t first, size_t last, int worker)
{
    job *j = user;
    (void)worker;
    for (size_t i = first; i < last; i++) {
        job *inner = calloc(1, sizeof *inner);
        if (!inner)
            return false;
        inner->tiles = 20;
        inner->grain = 3;
        inner->workers = j->workers;
        inner->cancel_at = inner->stop_at = MOST_TILES;
        bool done = mbr_team_run(j->team, j->workers, 20, 3, count_tiles, inner, NULL) && all_once(inner);
        free(inner);
        if (!done)
            return false;
        atomic_fetch_add(&j->seen[i], 1);
    }
    return true;
}

START_TEST(a_job_may_run_jobs)
{
    make_team(4);
    job *j = new_job(200, 1, 4);
    ck_assert(mbr_team_run(team, 4, 200, 1, nested, j, NULL));
    ck_assert(all_once(j));
    free(j);
}
END_TEST

#ifndef MBR_NO_THREADS

static void *many_jobs(void *arg)
{
    mbr_team *t = arg;
    job *j = malloc(sizeof *j);
    if (!j)
        return arg;
    for (int round = 0; round < 400; round++) {
        memset(j, 0, sizeof *j);
        j->tiles = (size_t)(round * 13 % 300);
        j->grain = 1 + (size_t)(round % 5);
        j->workers = 4;
        j->cancel_at = j->stop_at = MOST_TILES;
        if (!mbr_team_run(t, 4, j->tiles, j->grain, count_tiles, j, NULL) || !all_once(j)) {
            free(j);
            return arg;
        }
    }
    free(j);
    return NULL;
}

START_TEST(several_callers_at_once)
{
    pthread_t callers[6];
    void *failed;
    make_team(4);
    for (int i = 0; i < 6; i++)
        ck_assert_int_eq(pthread_create(&callers[i], NULL, many_jobs, team), 0);
    for (int i = 0; i < 6; i++) {
        ck_assert_int_eq(pthread_join(callers[i], &failed), 0);
        ck_assert_ptr_null(failed);
    }
}
END_TEST

#if FORKS
/* In the child: jobs from several threads at once, which all meet the team for the first time after the fork. */
static int use_after_fork(void)
{
    pthread_t callers[3];
    void *failed;
    int wrong = 0;
    for (int i = 0; i < 3; i++)
        if (pthread_create(&callers[i], NULL, many_jobs, team) != 0)
            return 2;
    for (int i = 0; i < 3; i++)
        wrong |= pthread_join(callers[i], &failed) != 0 || failed != NULL;
    mbr_team_free(team);
    return wrong;
}

START_TEST(a_forked_child_has_a_team_of_its_own)
{
    int status = -1;
    make_team(4);
    ck_assert_ptr_null(many_jobs(team));
    pid_t child = fork();
    if (child == 0)
        _exit(use_after_fork());
    ck_assert_int_gt(child, 0);
    ck_assert_ptr_null(many_jobs(team)); /* the parent's goes on */
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}
END_TEST

static bool fork_inside(void *user, size_t first, size_t last, int worker)
{
    atomic_int *status = user;
    (void)last;
    (void)worker;
    if (first != 0)
        return true;
    pid_t child = fork();
    if (child == 0)
        _exit(many_jobs(team) != NULL);
    int st = -1;
    if (child > 0)
        waitpid(child, &st, 0);
    atomic_store(status, st);
    return true;
}

START_TEST(a_child_forked_within_a_job_may_use_the_team)
{
    atomic_int status = -1;
    make_team(3);
    ck_assert(mbr_team_run(team, 3, 10, 1, fork_inside, &status, NULL));
    ck_assert_int_eq(status, 0);
}
END_TEST

#endif

START_TEST(an_idle_team_uses_no_processor)
{
    make_team(4);
    ck_assert_ptr_null(many_jobs(team));
    rest_ms(50); /* they may spin for a moment */
    double before = cpu_seconds();
    rest_ms(200);
    double used = cpu_seconds() - before;
    ck_assert_msg(used < 0.002, "%.4f seconds of processor time in 0.2 idle ones", used);
}
END_TEST

#endif

int main(void)
{
    Suite *suite = suite_create("team");
    TCase *tc = tcase_create("team");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, every_tile_runs_once);
    tcase_add_test(tc, short_jobs_in_quick_succession);
    tcase_add_test(tc, team_sizes);
    tcase_add_test(tc, cancelling_ends_a_job);
    tcase_add_test(tc, a_job_may_run_jobs);
#ifndef MBR_NO_THREADS
    tcase_add_test(tc, several_callers_at_once);
#if FORKS
    tcase_add_test(tc, a_forked_child_has_a_team_of_its_own);
    tcase_add_test(tc, a_child_forked_within_a_job_may_use_the_team);
#endif
    tcase_add_test(tc, an_idle_team_uses_no_processor);
#endif
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
