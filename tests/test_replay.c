/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log of decisions and its replay: files that are full, too old, cut short or locked; what of a decision is
 * repeated; a failing model; memory that runs out.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "base/env.h"
#include "mbr/deadline.h"
#include "mbr/decision_log.h"
#include "mbr/drift.h"
#include "mbr/mbr.h"
#include "runtime/actions/line.h"
#include "runtime/actions/log.h"
#include "tests/pipeline_folder.h"
#include "tests/random.h"

/* ---- the file ---- */

static void write_line(mbr_log *log, int64_t now)
{
    char time[MBR_TIME_TEXT], text[200];
    uint64_t seq = mbr_log_begin(log);
    mbr_format_time(time, now);
    int n = snprintf(text, sizeof text, "{\"seq\":%llu,\"time\":\"%s\"}\n", (unsigned long long)seq, time);
    ck_assert_int_eq(mbr_log_end(log, text, (size_t)n, 1, now, NULL), MBR_OK);
}

START_TEST(logs_go_on)
{
    mbr_memory m;
    mbr_log *log, *other;
    uint64_t *numbers;
    size_t count;
    make_folder_of_test();
    mbr_memory_init(&m);
    mbr_log_config c = { .path = log_path, .most_records = 3, .most_age = 1000000 };
    ck_assert_int_eq(mbr_log_open(&m, &c, &log, &err), MBR_OK);
    ck_assert_int_eq(mbr_log_open(&m, &c, &other, &err), MBR_ERR_INPUT); /* locked */
    for (int i = 0; i < 4; i++)
        write_line(log, 1000);
    mbr_log_close(&log);
    append_text(log_path, "{\"seq\":5,\"time\":\"2024-0"); /* cut short */
    ck_assert_int_eq(mbr_log_open(&m, &c, &log, &err), MBR_OK);
    ck_assert_uint_eq(mbr_log_begin(log), 5);
    ck_assert_int_eq(mbr_log_end(log, NULL, 0, 0, 0, NULL), MBR_OK);
    write_line(log, 500);     /* the clock stepped back: the age counts from here */
    write_line(log, 1000499);
    write_line(log, 1000500); /* full of records */
    write_line(log, 1000501);
    write_line(log, 3000501); /* too old */
    mbr_log_close(&log);
    ck_assert_int_eq(mbr_log_files(&m, log_path, &numbers, &count, &err), MBR_OK);
    ck_assert_uint_eq(count, 3);
    ck_assert_uint_eq(numbers[2], 3);
    mbr_free(&m, numbers);
    ck_assert_int_eq(unlink(log_path), 0); /* died between two files: the number is in the last full one */
    ck_assert_int_eq(mbr_log_open(&m, &c, &log, &err), MBR_OK);
    ck_assert_uint_eq(mbr_log_begin(log), 9);
    ck_assert_int_eq(mbr_log_end(log, NULL, 0, 0, 0, NULL), MBR_OK);
    mbr_log_close(&log);
    for (long fail = 0; fail < 20; fail++) {
        atomic_store(&m.fail_after, fail);
        mbr_status st = mbr_log_open(&m, &c, &log, &err);
        atomic_store(&m.fail_after, -1);
        ck_assert(st == MBR_OK || st == MBR_ERR_NO_MEMORY);
        mbr_log_close(&log);
        ck_assert_uint_eq(atomic_load(&m.in_use), 0);
    }
    append_text(log_path, "something else\n");
    ck_assert_int_eq(mbr_log_open(&m, &c, &log, &err), MBR_ERR_INPUT);
    drop_folder();
}
END_TEST

#ifdef HAVE_YAML

/* ---- pipelines ---- */

#define LOGGED \
    HEAD STICKY CLOCK "log: {path: log, rotate: {records: 40}}\nfallback: ASK\ntexts: [key, y, amount, t]\n" \
    "actions: {ALARM: {cap: {most: 3, per: 5m, key: key}, instead: QUIET}}\n"

static void many_rows(char *to, size_t size, int n)
{
    size_t at = (size_t)snprintf(to, size, "id,key,p,t,amount\n");
    for (int i = 0; i < n; i++)
        at += (size_t)snprintf(to + at, size - at, "r%d,k%d,%s,%d,%.17g\n", i, (int)(random_bits() % 4),
                               i % 17 == 0 ? "oops" : i % 5 == 0 ? "" : i % 3 == 0 ? "0.95" : "0.6", i * 10 - i % 7 * 40,
                               (double)random_bits() / 3e17);
    ck_assert_uint_lt(at, size);
}

static void check_replay(uint64_t records)
{
    mbr_pipeline *p;
    OK(open_same(LOGGED, NULL, &p));
    for (int batch = 1; batch <= 256; batch *= 16) {
        mbr_replay_options o = { .size = sizeof o, .batch = batch };
        mbr_replay_result r = { .size = sizeof r };
        OK(mbr_replay(p, log_path, &o, &r, &err));
        ck_assert_msg(r.different == 0, "%s", r.what);
        ck_assert_uint_eq(r.records, records);
        ck_assert_uint_eq(r.first, 1);
        ck_assert_uint_eq(r.gaps, 0);
    }
    mbr_pipeline_release(&p);
}

START_TEST(a_log_is_repeated)
{
    static char rows[20000];
    char out[2000];
    mbr_log_facts facts = { .size = sizeof facts };
    many_rows(rows, sizeof rows, 100);
    mbr_pipeline *p;
    mbr_decider *a, *b;
    mbr_decider_options o = { .size = sizeof o, .batch = 7 };
    OK(open_same(LOGGED, NULL, &p));
    OK(mbr_decider_new(p, &o, &a, &err));
    o.batch = 1;
    OK(mbr_decider_new(p, &o, &b, &err)); /* they share the log */
    mbr_pipeline_release(&p);
    OK(decide(a, rows, out));
    OK(decide(b, rows, out));
    OK(decide(a, rows, out));
    OK(mbr_decider_log_facts(b, &facts));
    ck_assert_uint_eq(facts.written, 300);
    ck_assert_uint_eq(facts.lost, 0);
    ck_assert_str_eq(facts.path, log_path);
    mbr_decider_release(&a);
    mbr_decider_release(&b);
    check_replay(300);
    a = same_decider(LOGGED, 3);
    OK(decide(a, rows, out));
    mbr_decider_release(&a);
    check_replay(400);
}
END_TEST

/*
 * A fallback that is limited keeps its cause. Late rows have no features, so that a limit by one of those takes them as
 * one; nor is a replay late where the decisions were not.
 */
START_TEST(fallbacks_are_repeated)
{
    char out[2000];
    mbr_decider *d = same_decider(HEAD SIMPLE CLOCK "latency: {budget: 1 ns}\nlog: {path: log}\nfallback: ASK\n"
                                  "features: [{name: twice, kind: expr, expr: 2 * amount}]\n"
                                  "actions: {ASK: {cap: {most: 1, per: 1d, key: twice}, instead: LOW}}\n", 2);
    mbr_replay_result r = { .size = sizeof r };
    mbr_pipeline *p = NULL;
    OK(mbr_decider_set_budget(d, 3600u * (uint64_t)1000000000, &err));
    OK(decide(d, "id,key,p,amount,t\n1,,1,1,0\n2,,x,2,0\n3,,x,2,0\n4,,,3,0\n5,,,3,0\n", out));
    ck_assert_str_eq(out, "HIGH ASK/input LOW/input LOW LOW");
    OK(mbr_decider_set_budget(d, 1, &err));
    OK(decide(d, "id,key,p,amount,t\n6,,1,7,0\n7,,1,8,0\n8,,x,9,0\n", out));
    ck_assert_str_eq(out, "LOW/late LOW/late LOW/input");
    mbr_decider_release(&d);
    OK(open_same(HEAD SIMPLE CLOCK "latency: {budget: 1 ns}\nlog: {path: log}\nfallback: ASK\n"
                 "features: [{name: twice, kind: expr, expr: 2 * amount}]\n"
                 "actions: {ASK: {cap: {most: 1, per: 1d, key: twice}, instead: LOW}}\n", NULL, &p));
    OK(mbr_replay(p, log_path, NULL, &r, &err));
    ck_assert_msg(r.different == 0, "%s", r.what);
    ck_assert_uint_eq(r.records, 8);
    mbr_pipeline_release(&p);
}
END_TEST

/* y = x * 0 + the last of Range(the largest x): what needs too much memory makes the call fail. */
static void write_long_model(void)
{
    static const double zero = 0, one = 1;
    wire g = { 0 }, info, t, node = wire_node("", "", "ReduceMax", "x", "end"), keep = { 0 };
    wire_text(&keep, 1, "keepdims");
    wire_int(&keep, 20, 2);
    wire_int(&keep, 3, 0);
    wire_message(&node, 5, &keep);
    wire_message(&g, 1, &node);
    wire_add_node(&g, "", "Range", "zero end one", "all");
    wire_add_node(&g, "", "ReduceMax", "all", "last");
    wire_add_node(&g, "", "Mul", "x zero", "none");
    wire_add_node(&g, "", "Add", "none last", "y");
    wire_text(&g, 2, "g");
    t = wire_tensor("zero", 11, (const int64_t[]){ -2 });
    wire_bytes(&t, 9, &zero, sizeof zero);
    wire_message(&g, 5, &t);
    t = wire_tensor("one", 11, (const int64_t[]){ -2 });
    wire_bytes(&t, 9, &one, sizeof one);
    wire_message(&g, 5, &t);
    info = wire_value_info("x", 11, (const int64_t[]){ -1, 1, -2 });
    wire_message(&g, 11, &info);
    info = wire_value_info("y", 11, (const int64_t[]){ -1, 1, -2 });
    wire_message(&g, 12, &info);
    wire m = wire_model(8, 17, &g);
    write_model_file(&m);
}

/*
 * A model that fails is the row's fault with a fallback for that, else the call's; what steps and limits have seen is in
 * the log either way, and what the model has run for is decided.
 */
START_TEST(a_failing_model_is_repeated)
{
    static const char counts[] =
        HEAD "features: [{name: n, kind: aggregate, key: key, time: t, op: count, window: 1h}]\nlog: {path: log}\n"
        "scores: [y, n]\nrules: [{name: high, when: y + n > 6, then: HIGH}, {name: rest, then: LOW}]\n" CLOCK
        "actions: {HIGH: {cap: {most: 2, per: 1h}, instead: LOW}}\n";
    static const struct {
        const char *fallback, *first, *rest;
        bool goes_on;
    } cases[] = {
        { "fallback: ASK\n", "", "HIGH HIGH", false },
        { "", "", "HIGH HIGH", false },
        { "fallback: {action: ASK, model: HIGH}\n", "HIGH/model HIGH/model LOW/model LOW/model LOW/model", "LOW/cap LOW/cap",
          true },
    };
    mbr_env_options limited = { .size = sizeof limited, .threads = 1, .memory_limit = (size_t)64 << 20 };
    mbr_env_release(&env);
    OK(mbr_env_new(&limited, &env, &err));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[2000], text[2000];
        mbr_replay_result r = { .size = sizeof r };
        mbr_decider_options o = { .size = sizeof o, .batch = 8 };
        mbr_log_facts facts = { .size = sizeof facts };
        mbr_pipeline *p;
        mbr_decider *d;
        write_long_model();
        snprintf(text, sizeof text, "%s%s", counts, cases[i].fallback);
        OK(open_same(text, NULL, &p));
        OK(mbr_decider_new(p, &o, &d, &err));
        mbr_status st = decide(d, "id,key,p,t\n1,a,2,0\n2,a,3,0\n3,a,1e9,0\n4,a,4,0\n5,b,9,0\n", out);
        ck_assert_int_eq(st == MBR_OK, cases[i].goes_on);
        ck_assert_str_eq(out, cases[i].first);
        OK(decide(d, "id,key,p,t\n6,b,3,0\n", out));
        ck_assert_str_eq(out, "LOW");
        OK(decide(d, "id,key,p,t\n7,a,4,0\n8,a,4,0\n", out));
        ck_assert_str_eq(out, cases[i].rest);
        OK(mbr_decider_log_facts(d, &facts));
        ck_assert_uint_eq(facts.written, 8);
        mbr_decider_release(&d);
        mbr_replay_options single = { .size = sizeof single, .batch = 1 }; /* the model looks at all rows of a run */
        OK(mbr_replay(p, log_path, &single, &r, &err));
        ck_assert_msg(r.different == 0, "%zu: %s", i, r.what);
        ck_assert_uint_eq(r.records, 8);
        mbr_pipeline_release(&p);
        ck_assert_int_eq(unlink(log_path), 0);
    }
}
END_TEST

/* However its path is written, a log of one pipeline is one. */
START_TEST(a_log_by_two_names)
{
    char path[160], out[2000];
    mbr_pipeline *p;
    mbr_decider *a, *b;
    mbr_decider_options o = { .size = sizeof o };
    mbr_log_facts facts = { .size = sizeof facts };
    OK(open_same(HEAD SIMPLE "log: {path: log, rotate: {records: 1}}\n", NULL, &p));
    OK(mbr_decider_new(p, &o, &a, &err));
    snprintf(path, sizeof path, "%s/../%s/./log", folder, strrchr(folder, '/') + 1);
    o.log_path = path;
    OK(mbr_decider_new(p, &o, &b, &err));
    for (int i = 0; i < 3; i++) {
        OK(decide(a, "id,key,p,t\n1,a,1,0\n", out));
        OK(decide(b, "id,key,p,t\n1,a,1,0\n", out));
    }
    OK(mbr_decider_log_facts(b, &facts));
    ck_assert_uint_eq(facts.written, 6);
    mbr_decider_release(&a);
    mbr_decider_release(&b);
    mbr_pipeline_release(&p);
}
END_TEST

/* What would make a record too long for a log is a fault of the row. */
START_TEST(long_texts_are_refused)
{
    enum { LONG = 4 << 20 };
    char *text = malloc(LONG + 1);
    mbr_pipeline *p;
    mbr_replay_result r = { .size = sizeof r };
    mbr_decider *d = same_decider(HEAD SIMPLE "log: {path: log}\nfallback: ASK\n", 1);
    mbr_field fields[] = { { .name = "id", .kind = MBR_FIELD_TEXT, .text = text, .text_size = LONG },
                           { .name = "key", .kind = MBR_FIELD_TEXT, .text = text, .text_size = 1 } };
    mbr_decision made = { .size = sizeof made };
    ck_assert_ptr_nonnull(text);
    memset(text, 1, LONG + 1);
    OK(mbr_decider_row(d, fields, 1, &made, &err));
    ck_assert_str_eq(made.action, "LOW");
    OK(mbr_decider_row(d, fields, 2, &made, &err));
    ck_assert_str_eq(made.action, "ASK");
    ck_assert_msg(strstr(made.error, "column 'key': the texts of the row have more than 4194304 bytes"), "%s", made.error);
    mbr_decider_release(&d);
    OK(open_same(HEAD SIMPLE "log: {path: log}\nfallback: ASK\n", NULL, &p));
    OK(mbr_replay(p, log_path, NULL, &r, &err));
    ck_assert_msg(r.different == 0, "%s", r.what);
    ck_assert_uint_eq(r.records, 2);
    mbr_pipeline_release(&p);
    free(text);
}
END_TEST

/* A replay holds 64 deciders; what it could not repeat is said, unless nothing is remembered. */
START_TEST(many_deciders_of_one_log)
{
    enum { MANY = 65 };
    static const char *const texts[] = { HEAD SIMPLE "log: {path: log}\n", HEAD STICKY "log: {path: log}\n" };
    for (int k = 0; k < 2; k++) {
        char out[2000];
        mbr_decider *d[MANY];
        mbr_pipeline *p;
        mbr_decider_options o = { .size = sizeof o, .batch = 1 };
        mbr_replay_result r = { .size = sizeof r };
        OK(open_same(texts[k], NULL, &p));
        for (int i = 0; i < MANY; i++)
            OK(mbr_decider_new(p, &o, &d[i], &err));
        for (int i = 0; i < 2 * MANY; i++)
            OK(decide(d[i % MANY], "id,key,p,t\n1,a,.6,0\n", out));
        for (int i = 0; i < MANY; i++)
            mbr_decider_release(&d[i]);
        mbr_status st = mbr_replay(p, log_path, NULL, &r, &err);
        ck_assert_int_eq(st, k ? MBR_ERR_LIMIT : MBR_OK);
        if (k)
            ck_assert_msg(strstr(err.text, "more than 64 deciders"), "%s", err.text);
        else
            ck_assert_uint_eq(r.different, 0);
        mbr_pipeline_release(&p);
        ck_assert_int_eq(unlink(log_path), 0);
    }
}
END_TEST

/* Rows that something is learned from are no decisions: neither in the log, nor late. */
START_TEST(fitting_is_not_logged)
{
    char rows[120];
    mbr_pipeline *p = NULL;
    mbr_drift_baseline *baseline = NULL;
    uint64_t faulty = 9;
    snprintf(rows, sizeof rows, "%s/rows.csv", folder);
    append_text(rows, "id,key,p,t\n1,a,.9,0\n2,b,.8,0\n3,a,.1,0\n4,b,.2,0\n");
    OK(open_same(HEAD SIMPLE "latency: {budget: 1 ns}\nlog: {path: log}\n", NULL, &p));
    OK(mbr_drift_fit_pipeline(p, rows, MBR_ROWS_AUTO, NULL, &baseline, &faulty, &err));
    ck_assert_uint_eq(faulty, 0);
    ck_assert_int_ne(access(log_path, F_OK), 0);
    mbr_drift_baseline_release(&baseline);
    mbr_pipeline_release(&p);
    atomic_store(&mbr_env_heap(env)->fail_after, 1); /* without memory, and without a name */
    ck_assert_int_eq(mbr_pipeline_open_memory(env, HEAD SIMPLE, strlen(HEAD SIMPLE), NULL, NULL, &p, &err),
                     MBR_ERR_NO_MEMORY);
    atomic_store(&mbr_env_heap(env)->fail_after, -1);
}
END_TEST

/* Every allocation fails in turn; what the log holds is then still whole, and repeats. */
START_TEST(without_memory)
{
    static char rows[20000];
    mbr_memory *memory = mbr_env_heap(env);
    size_t before = atomic_load(&memory->in_use);
    bool done = false;
    many_rows(rows, sizeof rows, 20);
    for (long fail = 0; !done; fail++) {
        mbr_pipeline *p = NULL;
        mbr_decider *d = NULL;
        mbr_decider_options o = { .size = sizeof o, .batch = 8 };
        mbr_replay_result r = { .size = sizeof r };
        char out[2000];
        ck_assert_int_lt(fail, 100000);
        atomic_store(&memory->fail_after, fail);
        mbr_status st = open_same(LOGGED, NULL, &p);
        if (st == MBR_OK)
            st = mbr_decider_new(p, &o, &d, &err);
        if (st == MBR_OK)
            st = decide(d, rows, out);
        mbr_decider_release(&d);
        if (st == MBR_OK)
            st = mbr_replay(p, log_path, NULL, &r, &err);
        atomic_store(&memory->fail_after, -1);
        ck_assert_msg(st == MBR_OK || st == MBR_ERR_NO_MEMORY, "allocation %ld: %s", fail, err.text);
        done = st == MBR_OK && !strstr(out, "memory");
        mbr_pipeline_release(&p);
        ck_assert_uint_eq(atomic_load(&memory->in_use), before);
        drop_folder();
        make_folder_of_test();
        write_model();
    }
}
END_TEST

#endif

int main(void)
{
    random_seed("test_replay");
    Suite *suite = suite_create("replay");
    TCase *parts = tcase_create("parts");
    tcase_add_test(parts, logs_go_on);
    suite_add_tcase(suite, parts);
#ifdef HAVE_YAML
    TCase *t = tcase_create("pipelines");
    tcase_add_checked_fixture(t, setup_folder, teardown_folder);
    tcase_add_test(t, a_log_is_repeated);
    tcase_add_test(t, fallbacks_are_repeated);
    tcase_add_test(t, a_failing_model_is_repeated);
    tcase_add_test(t, a_log_by_two_names);
    tcase_add_test(t, long_texts_are_refused);
    tcase_add_test(t, many_deciders_of_one_log);
    tcase_add_test(t, fitting_is_not_logged);
    tcase_add_test(t, without_memory);
    suite_add_tcase(suite, t);
#endif
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
