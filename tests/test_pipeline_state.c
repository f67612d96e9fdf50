/* SPDX-License-Identifier: BSD-2-Clause */
/* Models with state, of each key: the same whatever the batch, in bounded memory, saved, restored and forked. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "base/env.h"
#include "mbr/decision_log.h"
#include "runtime/pipeline/decider.h"
#include "tests/pipeline_file.h"

#include <math.h>
#include <stdlib.h>

#ifdef HAVE_YAML

/*
 * x (N, 1), sum (1, N, 1), seen (N, S) -> more = sum + x, kept = [seen, x], y = more, z = the sum of kept: sums of all
 * that a key has brought, by a state of fixed size and by one that grows.
 */
static wire summing_model(int64_t rows)
{
    static const int64_t axis = 1;
    static const int64_t to_sum[] = { 1, -1, 1 }, to_rows[] = { -1, 1 };
    wire g = { 0 }, a = { 0 };
    add_input(&g, "x", 1, DIMS(rows, 1));
    add_input(&g, "sum", 1, DIMS(1, rows, 1));
    add_input(&g, "seen", 1, DIMS(rows, -3));
    add_constant(&g, "axes", 7, DIMS(1), &axis, sizeof axis);
    add_constant(&g, "as_sum", 7, DIMS(3), to_sum, sizeof to_sum);
    add_constant(&g, "as_rows", 7, DIMS(2), to_rows, sizeof to_rows);
    wire_add_node(&g, "", "Reshape", "x as_sum", "x3");
    wire_add_node(&g, "", "Add", "sum x3", "more");
    wire_add_node(&g, "", "Reshape", "more as_rows", "y");
    wire n = wire_node("", "", "Concat", "seen x", "kept");
    wire_text(&a, 1, "axis");
    wire_int(&a, 3, 1);
    wire_int(&a, 20, 2);
    wire_message(&n, 5, &a);
    wire_message(&g, 1, &n);
    wire_add_node(&g, "", "ReduceSum", "kept axes", "z");
    add_output(&g, "y", 1, DIMS(rows, 1));
    add_output(&g, "z", 1, DIMS(rows, 1));
    add_output(&g, "more", 1, DIMS(1, rows, 1));
    add_output(&g, "kept", 1, DIMS(rows, -4));
    return wire_model(8, 13, &g);
}

#define SUMS(key, more) \
    "version: 1\nname: sums\nmodel: {path: m}\ninputs:\n  who: {type: string, missing: keep}\n  x: {type: number}\n" \
    "  at: {type: time, format: epoch, default: 1970-01-01, optional: true}\ntensors: [{input: x, from: x}]\nstate:\n" \
    "  edges:\n    - {output: more, input: sum, initial: zeros, axis: 1}\n    - {output: kept, input: seen}\n" key more \
    "outputs:\n  - {name: y, output: y}\n  - {name: z, output: z}\nrules: [{then: A}]\nfallback: F\n"

typedef struct collected {
    int count;
    double y[64], z[64];
    char error[64][160];
} collected;

static mbr_status collect(void *user, const mbr_decision *d)
{
    collected *c = user;
    ck_assert_int_lt(c->count, 64);
    c->y[c->count] = d->scores[0];
    c->z[c->count] = d->scores[1];
    snprintf(c->error[c->count++], sizeof c->error[0], "%s", d->error ? d->error : "");
    return MBR_OK;
}

static mbr_decider *open_sums(const char *text, int64_t rows, int batch)
{
    return open_decider(text, summing_model(rows), batch);
}

static void expect(mbr_decider *d, const char *rows, const double *want, int count)
{
    collected c = { 0 };
    OK(decide_text(d, rows, MBR_ROWS_CSV, collect, &c));
    ck_assert_int_eq(c.count, count);
    for (int i = 0; i < count; i++) {
        bool same = isnan(want[i]) ? isnan(c.y[i]) && isnan(c.z[i]) : c.y[i] == want[i] && c.z[i] == want[i];
        ck_assert_msg(same, "batch %d, row %d: %g and %g, not %g; %s", d->batch, i, c.y[i], c.z[i], want[i], c.error[i]);
    }
}

#define EXPECT(d, rows, ...) \
    expect(d, rows, (const double[]){ __VA_ARGS__ }, (int)MBR_COUNT_OF(((const double[]){ __VA_ARGS__ })))

START_TEST(every_key_has_its_own)
{
    for (int batch = 1; batch < 10; batch++)
        for (int64_t rows = -1; rows < 2; rows += 2) {
            mbr_decider *d = open_sums(SUMS("  key: who\n", ""), rows, batch);
            EXPECT(d, "who,x\na,1\nb,10\na,2\na,3\n,7\nc,100\nb,no\nb,20\na,4\n", 1, 10, 3, 6, NAN, 100, NAN, 30, 10);
            EXPECT(d, "who,x\nc,1\na,1\n", 101, 11);
            ck_assert_uint_eq(mbr_decider_key_count(d), 3);
            mbr_decider_release(&d);
            d = open_sums(SUMS("", ""), rows, batch);
            EXPECT(d, "who,x\na,1\nb,10\na,2\na,3\n", 1, 11, 13, 16);
            ck_assert_uint_eq(mbr_decider_key_count(d), 1);
            mbr_decider_release(&d);
            d = open_sums(SUMS("  key: x\n", ""), rows, batch);
            EXPECT(d, "who,x\na,1\nb,10\na,1\na,10\n", 1, 10, 2, 20);
            mbr_decider_release(&d);
        }
}
END_TEST

/* The least recently used key goes, and what is too old; both by the order of the rows alone. */
START_TEST(memory_is_bounded)
{
    for (int batch = 1; batch < 12; batch++) {
        mbr_decider *d = open_sums(SUMS("  key: who\n", "  most: 2\n"), -1, batch);
        EXPECT(d, "who,x\na,1\nb,1\na,1\nc,1\nb,1\na,1\na,1\nc,1\nd,1\na,1\n", 1, 1, 2, 1, 1, 1, 2, 1, 1, 1);
        ck_assert_uint_eq(mbr_decider_key_count(d), 2);
        mbr_decider_release(&d);
        d = open_sums(SUMS("  key: who\n", "  time: at\n  expires: 10\n"), -1, batch);
        EXPECT(d, "who,x,at\na,1,100\nb,1,105\na,1,110\nb,1,116\na,1,121\na,1,121\nb,1,90\n", 1, 1, 2, 1, 1, 2, 2);
        ck_assert_uint_eq(mbr_decider_expire(d, 101), 1);
        ck_assert_uint_eq(mbr_decider_key_count(d), 1);
        ck_assert_uint_eq(mbr_decider_expire(d, 1000), 1);
        mbr_decider_release(&d);
        /* 4 bytes of sum, 4 for each value seen: the third row would need 16 */
        d = open_sums(SUMS("  key: who\n", "  bytes: 12\n"), -1, batch);
        collected c = { 0 };
        OK(decide_text(d, "who,x\na,1\na,1\na,1\na,1\n", MBR_ROWS_CSV, collect, &c));
        ck_assert_msg(strstr(c.error[2], "the state of this key would be 16 bytes") != NULL, "%s", c.error[2]);
        ck_assert(c.y[0] == 1 && c.y[1] == 2 && c.y[3] == 1 && !c.error[3][0]);
        mbr_decider_release(&d);
    }
}
END_TEST

START_TEST(saved_restored_and_forked)
{
    char path[] = "/tmp/mbr-state-XXXXXX", bytes[4096];
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    mbr_decider *d = open_sums(SUMS("  key: who\n", "  most: 3\n"), -1, 4), *other, *fork;
    EXPECT(d, "who,x\na,1\nb,10\na,2\n", 1, 10, 3);
    OK(mbr_decider_save(d, path, &err));
    OK(mbr_decider_fork(d, &fork, &err));
    EXPECT(d, "who,x\na,1\n", 4);
    other = open_sums(SUMS("  key: who\n", "  most: 3\n"), -1, 2);
    EXPECT(other, "who,x\nz,5\n", 5);
    OK(mbr_decider_restore(other, path, &err));
    ck_assert_uint_eq(mbr_decider_key_count(other), 2);
    EXPECT(other, "who,x\nz,5\na,1\nb,1\n", 5, 4, 11);
    EXPECT(fork, "who,x\na,100\nb,100\n", 103, 110);
    OK(mbr_decider_fork_key(fork, "a", 1, "new", 3, &err));
    EXPECT(fork, "who,x\na,1\nnew,2\n", 104, 105);
    ck_assert_int_eq(mbr_decider_fork_key(fork, "nobody", 6, "x", 1, &err), MBR_ERR_ARGUMENT);
    ck_assert_int_eq(mbr_decider_forget(fork, "a", 1), 1);
    ck_assert_int_eq(mbr_decider_forget(fork, "a", 1), 0);
    EXPECT(fork, "who,x\na,1\n", 1);
    mbr_decider_release(&fork);
    /* A model with fewer states, a damaged file: refused, and the decider is empty but sound. */
    FILE *f = fopen(path, "rb");
    size_t size = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    ck_assert_uint_gt(size, 100);
    for (size_t i = 0; i < size; i += 7) {
        bytes[i] ^= 1;
        f = fopen(path, "wb");
        fwrite(bytes, 1, size, f);
        fclose(f);
        bytes[i] ^= 1;
        ck_assert_int_ne(mbr_decider_restore(other, path, &err), MBR_OK);
        f = fopen(path, "wb");
        fwrite(bytes, 1, i, f);
        fclose(f);
        ck_assert_int_ne(mbr_decider_restore(other, path, &err), MBR_OK);
    }
    mbr_decider_release(&other);
    ck_assert_int_eq(mbr_decider_save(d, "/nowhere/at/all", &err), MBR_ERR_IO);
    OK(mbr_decider_save(d, path, &err));
    mbr_decider_release(&d);
    d = open_sums(SUMS("", ""), -1, 2);
    OK(mbr_decider_restore(d, path, &err)); /* the same states; the key is the application's */
    mbr_decider_release(&d);
    unlink(path);
}
END_TEST

/*
 * A key that expired by the clock of the machine is not seen to expire when its log is repeated, which is then told as a
 * difference; by a column of time the same rows repeat.
 */
START_TEST(expiry_and_replay)
{
    static const struct {
        const char *more;
        uint64_t different;
        double last; /* of 1 and 2 */
    } cases[] = { { "  expires: 0.05\n", 1, 2 }, { "  expires: 0.05\n  time: at\n", 0, 2 }, { "", 0, 3 } };
    char path[] = "/tmp/mbr-state-log-XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    for (size_t i = 0; i < MBR_COUNT_OF(cases); i++) {
        char text[1200];
        wire model = summing_model(-1);
        mbr_pipeline *p;
        mbr_decider *d;
        mbr_decider_options o = { .size = sizeof o, .batch = 1, .log_path = path };
        mbr_replay_result r = { .size = sizeof r };
        unlink(path);
        snprintf(text, sizeof text, SUMS("  key: who\n", "%s"), cases[i].more);
        OK(open_text(text, &model, &p));
        OK(mbr_decider_new(p, &o, &d, &err));
        EXPECT(d, "who,x,at\na,1,100\n", 1);
        usleep(200000);
        EXPECT(d, "who,x,at\na,2,200\n", cases[i].last);
        mbr_decider_release(&d);
        OK(mbr_replay(p, path, NULL, &r, &err));
        ck_assert_uint_eq(r.records, 2);
        ck_assert_msg(r.different == cases[i].different, "case %zu: %llu differ, %s", i, (unsigned long long)r.different,
                      r.what);
        if (r.different)
            ck_assert_msg(strstr(r.what, "\"scores\"") != NULL, "%s", r.what);
        mbr_pipeline_release(&p);
    }
    unlink(path);
}
END_TEST

static void refused(const char *text, const char *message)
{
    expect_refusal(text, summing_model(-1), message);
}

START_TEST(states_that_are_refused)
{
    refused(SUMS("  key: whom\n", ""), "'key' of 'state': there is no column 'whom'");
    refused(SUMS("  key: who\n", "  time: x\n"), "'time' of 'state': 'x' is a number");
    refused(SUMS("  key: who\n", "  most: 0\n"), "must be 1 to");
    refused(SUMS("  key: who\n", "  expires: -1\n"), "'expires' of 'state' must be above 0");
    refused(SUMS("    - {output: more, input: summ}\n", ""), "the model has no input 'summ'");
    refused(SUMS("    - {output: moar, input: x}\n", ""), "the model has no output 'moar'");
    refused(SUMS("    - {output: more, input: sum}\n", ""), "has two edges");
    refused(SUMS("    - {output: y, input: x}\n", ""), "the input 'x' is a state; it has no entry in 'tensors'");
    refused(SUMS("    - {output: y, input: x, axis: 2}\n", ""), "'axis' of state 'x' must be that of the rows");
    refused(SUMS("    - {output: y, input: x, shape: [1, 2]}\n", ""), "dimension 1 of state 'x' cannot be 2");
    refused(SUMS("    - {output: y, input: x, shape: [1]}\n", ""), "has 1 dimensions");
}
END_TEST

START_TEST(without_memory)
{
    mbr_memory *memory = mbr_env_heap(env);
    size_t before = atomic_load(&memory->in_use);
    for (long n = 0;; n++) {
        wire model = summing_model(-1);
        mbr_pipeline *p = NULL;
        mbr_decider *d = NULL, *fork = NULL;
        atomic_store(&memory->fail_after, n);
        mbr_status st = open_text(SUMS("  key: who\n", "  most: 2\n"), &model, &p);
        if (st == MBR_OK)
            st = mbr_decider_new(p, NULL, &d, &err);
        if (st == MBR_OK)
            st = decide_text(d, "who,x\na,1\na,2\nb,1\nc,1\n", MBR_ROWS_CSV, ignore, NULL);
        if (st == MBR_OK)
            st = mbr_decider_fork(d, &fork, &err);
        bool none = atomic_load(&memory->fail_after) != 0;
        atomic_store(&memory->fail_after, -1);
        mbr_decider_release(&fork);
        mbr_decider_release(&d);
        mbr_pipeline_release(&p);
        ck_assert_uint_eq(atomic_load(&memory->in_use), before);
        if (none)
            break;
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pipeline state");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, every_key_has_its_own);
    tcase_add_test(t, memory_is_bounded);
    tcase_add_test(t, saved_restored_and_forked);
    tcase_add_test(t, expiry_and_replay);
    tcase_add_test(t, states_that_are_refused);
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
