/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Many threads, one model: sessions that run at once give the very bits that one gives alone, whatever the team; a
 * forked child goes on; a process that waits uses no processor.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "mbr/mbr.h"
#include "tests/onnx_writer.h"
#include "tests/threads.h"

#include <check.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MBR_NO_THREADS
#include <pthread.h>
#endif

#define WIDTH 96
#define MOST_ROWS 700
#define SIZES 6

static mbr_env *env;
static mbr_model *model;
static mbr_error err;
static wire bytes;
static size_t held;
static const int64_t rows_of[SIZES] = { 1, 3, 17, 120, 512, MOST_ROWS };
static float *given, *due[SIZES]; /* (MOST_ROWS, WIDTH) and, of each size, what comes out */

#define OK(call) ck_assert_msg((call) == MBR_OK, "%s: %s", #call, err.text)

static void add_weight(wire *g, const char *name)
{
    static float w[WIDTH * WIDTH];
    for (size_t i = 0; i < WIDTH * WIDTH; i++)
        w[i] = (float)((i * 7919 + (size_t)name[1]) % 201) / 1000 - 0.1f;
    wire t = wire_tensor(name, 1, (const int64_t[]){ WIDTH, WIDTH, -2 });
    wire_bytes(&t, 9, w, sizeof w);
    wire_message(g, 5, &t);
}

/* x [N, WIDTH] -> three layers -> y, and the same three times in a loop -> z */
static wire make_model(void)
{
    static const int64_t dims[] = { -1, WIDTH, -2 }, none[] = { -2 };
    static const int64_t three = 3;
    wire g = { 0 }, b = { 0 }, t, n, a = { 0 };
    for (int i = 0; i < 3; i++)
        add_weight(&g, (const char *[]){ "w0", "w1", "w2" }[i]);
    wire_add_node(&g, "", "MatMul", "x w0", "a0");
    wire_add_node(&g, "", "Relu", "a0", "b0");
    wire_add_node(&g, "", "MatMul", "b0 w1", "a1");
    wire_add_node(&g, "", "Softmax", "a1", "b1");
    wire_add_node(&g, "", "MatMul", "b1 w2", "y");
    wire_add_node(&b, "", "MatMul", "v w1", "p");
    wire_add_node(&b, "", "Tanh", "p", "q");
    wire_add_node(&b, "", "Identity", "go", "still");
    wire_text(&b, 2, "body");
    for (int i = 0; i < 5; i++) {
        wire info = wire_value_info((const char *[]){ "i", "go", "v", "still", "q" }[i], (const int[]){ 7, 9, 1, 9, 1 }[i],
                                    i == 2 || i == 4 ? dims : none);
        wire_message(&b, i < 3 ? 11 : 12, &info);
    }
    t = wire_tensor("trips", 7, none);
    wire_bytes(&t, 9, &three, sizeof three);
    wire_message(&g, 5, &t);
    n = wire_node("loop", "", "Loop", "trips", "z");
    wire_text(&n, 1, ""); /* no condition */
    wire_text(&n, 1, "y");
    wire_text(&a, 1, "body");
    wire_message(&a, 6, &b);
    wire_int(&a, 20, 5); /* a graph */
    wire_message(&n, 5, &a);
    wire_message(&g, 1, &n);
    wire_text(&g, 2, "g");
    for (int i = 0; i < 3; i++) {
        wire info = wire_value_info((const char *[]){ "x", "y", "z" }[i], 1, dims);
        wire_message(&g, i < 1 ? 11 : 12, &info);
    }
    return wire_model(8, 17, &g);
}

/* A session of its own, and its input. */
typedef struct stream {
    mbr_session *session;
    mbr_value *x;
    mbr_error err;
} stream;

static bool open_stream(stream *s)
{
    *s = (stream){ 0 };
    return mbr_session_new(model, NULL, &s->session, &s->err) == MBR_OK &&
           mbr_tensor_new(env, MBR_DTYPE_F32, 2, (int64_t[]){ MOST_ROWS, WIDTH }, &s->x, &s->err) == MBR_OK;
}

static void close_stream(stream *s)
{
    mbr_session_release(&s->session);
    mbr_value_release(&s->x);
}

static mbr_status run_stream(stream *s, int size)
{
    mbr_status st = mbr_tensor_set_shape(s->x, 2, (int64_t[]){ rows_of[size], WIDTH }, &s->err);
    if (st == MBR_OK)
        memcpy(mbr_tensor_data(s->x), given, (size_t)rows_of[size] * WIDTH * sizeof *given);
    if (st == MBR_OK)
        st = mbr_session_bind_input(s->session, 0, s->x, &s->err);
    return st == MBR_OK ? mbr_session_run(s->session, &s->err) : st;
}

static bool same_bits(const stream *s, int size)
{
    size_t n = (size_t)rows_of[size] * WIDTH;
    for (int o = 0; o < 2; o++) {
        const mbr_value *out = mbr_session_output(s->session, o);
        if (!out || mbr_tensor_count(out) != n ||
            memcmp(mbr_tensor_const_data(out), due[size] + (size_t)o * n, n * sizeof *given) != 0)
            return false;
    }
    return true;
}

static void make_env(int threads)
{
    mbr_env_options options = { .size = sizeof options, .threads = threads };
    mbr_memory_use use;
    OK(mbr_env_new(&options, &env, &err));
    mbr_env_memory(env, &use);
    held = use.in_use;
    OK(mbr_model_open_memory(env, bytes.data, bytes.size, NULL, &model, &err));
}

static void end_env(void)
{
    mbr_memory_use use;
    mbr_model_release(&model);
    mbr_env_memory(env, &use);
    ck_assert_uint_eq(use.in_use, held);
    mbr_env_release(&env);
}

/* What is due comes from one thread. */
static void setup(void)
{
    bytes = make_model();
    given = calloc(MOST_ROWS * WIDTH, sizeof *given);
    ck_assert_ptr_nonnull(given);
    for (size_t i = 0; i < MOST_ROWS * WIDTH; i++)
        given[i] = (float)((i * 31) % 97) / 97 - 0.5f;
    make_env(1);
    stream s;
    ck_assert(open_stream(&s));
    for (int size = 0; size < SIZES; size++) {
        size_t n = (size_t)rows_of[size] * WIDTH;
        due[size] = calloc(2 * n, sizeof *given);
        ck_assert_ptr_nonnull(due[size]);
        ck_assert_msg(run_stream(&s, size) == MBR_OK, "%s", s.err.text);
        for (int o = 0; o < 2; o++)
            memcpy(due[size] + (size_t)o * n, mbr_tensor_const_data(mbr_session_output(s.session, o)), n * sizeof *given);
    }
    close_stream(&s);
    end_env();
    make_env(3);
}

static void teardown(void)
{
    end_env();
    wire_free(&bytes);
    free(given);
    for (int size = 0; size < SIZES; size++)
        free(due[size]);
}

START_TEST(a_team_changes_no_bit)
{
    stream s;
    ck_assert(open_stream(&s));
    for (int round = 0; round < 24; round++) {
        ck_assert_msg(run_stream(&s, round * 5 % SIZES) == MBR_OK, "%s", s.err.text);
        ck_assert(same_bits(&s, round * 5 % SIZES));
    }
    close_stream(&s);
}
END_TEST

#ifndef MBR_NO_THREADS

#define CALLERS 5

/* One session, many sizes; what is wrong, or NULL. */
static void *run_one(void *arg)
{
    stream s;
    int k = *(const int *)arg;
    const char *wrong = open_stream(&s) ? NULL : "no session";
    for (int round = 0; round < 30 && !wrong; round++) {
        int size = (round * 5 + k) % SIZES;
        wrong = run_stream(&s, size) != MBR_OK ? "a run failed" : same_bits(&s, size) ? NULL : "other bits";
    }
    close_stream(&s);
    return (void *)(uintptr_t)wrong;
}

/* Sessions and models come and go. */
static void *run_short(void *arg)
{
    int k = *(const int *)arg;
    const char *wrong = NULL;
    for (int round = 0; round < 12 && !wrong; round++) {
        stream s;
        mbr_model *other = NULL;
        wrong = open_stream(&s) ? NULL : "no session";
        if (!wrong && round % 4 == 0 && mbr_model_open_memory(env, bytes.data, bytes.size, NULL, &other, &s.err) != MBR_OK)
            wrong = "no model";
        if (!wrong && (run_stream(&s, (round + k) % SIZES) != MBR_OK || !same_bits(&s, (round + k) % SIZES)))
            wrong = "a run went wrong";
        mbr_model_release(&other);
        close_stream(&s);
    }
    return (void *)(uintptr_t)wrong;
}

static void at_once(void *(*fn)(void *))
{
    pthread_t callers[CALLERS];
    int numbers[CALLERS];
    void *wrong;
    for (int i = 0; i < CALLERS; i++) {
        numbers[i] = i;
        ck_assert_int_eq(pthread_create(&callers[i], NULL, fn, &numbers[i]), 0);
    }
    for (int i = 0; i < CALLERS; i++) {
        ck_assert_int_eq(pthread_join(callers[i], &wrong), 0);
        ck_assert_msg(wrong == NULL, "caller %d: %s", i, (const char *)wrong);
    }
}

START_TEST(sessions_of_one_model_run_at_once)
{
    at_once(run_one);
}
END_TEST

START_TEST(sessions_come_and_go_while_others_run)
{
    at_once(run_short);
}
END_TEST

typedef struct canceller {
    mbr_session *session;
    atomic_bool enough;
} canceller;

static void *cancel_often(void *arg)
{
    canceller *c = arg;
    while (!atomic_load(&c->enough)) {
        mbr_session_cancel(c->session);
        rest_ms(1);
    }
    return NULL;
}

START_TEST(cancelling_from_another_thread_leaves_the_session_whole)
{
    stream s;
    pthread_t other;
    ck_assert(open_stream(&s));
    canceller c = { .session = s.session };
    ck_assert_int_eq(pthread_create(&other, NULL, cancel_often, &c), 0);
    int done = 0, cancelled = 0;
    for (int round = 0; round < 400 && (!done || !cancelled || round < 40); round++) {
        mbr_status st = run_stream(&s, round % SIZES);
        ck_assert_msg(st == MBR_OK || st == MBR_ERR_CANCELLED, "%s", s.err.text);
        if (st == MBR_OK)
            ck_assert(same_bits(&s, round % SIZES));
        done += st == MBR_OK;
        cancelled += st != MBR_OK;
    }
    atomic_store(&c.enough, true);
    ck_assert_int_eq(pthread_join(other, NULL), 0);
    ck_assert_int_eq(run_stream(&s, SIZES - 1), MBR_OK);
    ck_assert(same_bits(&s, SIZES - 1));
    ck_assert_int_gt(done, 0);
    close_stream(&s);
}
END_TEST

#if FORKS
START_TEST(a_forked_child_goes_on_with_the_session)
{
    stream s;
    int status = -1, zero = 0;
    ck_assert(open_stream(&s));
    ck_assert_int_eq(run_stream(&s, SIZES - 1), MBR_OK);
    pid_t child = fork();
    if (child == 0) {
        bool good = run_stream(&s, SIZES - 2) == MBR_OK && same_bits(&s, SIZES - 2);
        _exit(good && run_one(&zero) == NULL ? 0 : 1);
    }
    ck_assert_int_gt(child, 0);
    ck_assert_int_eq(run_stream(&s, SIZES - 1), MBR_OK);
    ck_assert(same_bits(&s, SIZES - 1));
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    close_stream(&s);
}
END_TEST
#endif

START_TEST(waiting_uses_no_processor)
{
    stream s;
    ck_assert(open_stream(&s));
    ck_assert_int_eq(run_stream(&s, SIZES - 1), MBR_OK);
    rest_ms(50); /* the team may spin for a moment */
    double before = cpu_seconds();
    rest_ms(300);
    double used = cpu_seconds() - before;
    ck_assert_msg(used < 0.003, "%.4f seconds of processor time in 0.3 idle ones", used);
    close_stream(&s);
}
END_TEST

#endif

int main(void)
{
    Suite *suite = suite_create("sessions");
    TCase *tc = tcase_create("sessions");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_team_changes_no_bit);
#ifndef MBR_NO_THREADS
    tcase_add_test(tc, sessions_of_one_model_run_at_once);
    tcase_add_test(tc, sessions_come_and_go_while_others_run);
    tcase_add_test(tc, cancelling_from_another_thread_leaves_the_session_whole);
#if FORKS
    tcase_add_test(tc, a_forked_child_goes_on_with_the_session);
#endif
    tcase_add_test(tc, waiting_uses_no_processor);
#endif
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
