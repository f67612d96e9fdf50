/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Actions: numbers as text and back, bounded memory of keys, caps and cool-downs under a clock that steps back,
 * hysteresis, costs, fallbacks, what deciders remember, policy tests.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "base/env.h"
#include "mbr/decision_log.h"
#include "mbr/mbr.h"
#include "mbr/policy.h"
#include "runtime/actions/line.h"
#include "runtime/actions/limits.h"
#include "runtime/rows/text.h"
#include "tests/pipeline_folder.h"
#include "tests/random.h"

#include <math.h>
#include <pthread.h>

/* ---- text ---- */

static void same_number(double x)
{
    char text[MBR_NUMBER_TEXT + 1];
    double back;
    size_t n = mbr_format_number(text, x);
    ck_assert_uint_lt(n, MBR_NUMBER_TEXT);
    text[n] = '\0';
    ck_assert_msg(mbr_text_number(text, n, &back), "%s is no number", text);
    ck_assert_msg(memcmp(&x, &back, sizeof x) == 0, "%.17g was written as %s", x, text);
}

START_TEST(numbers_read_back)
{
    static const struct {
        double x;
        const char *text;
    } cases[] = { { 0, "0" }, { -0.0, "-0" }, { 1, "1" }, { -12.5, "-12.5" }, { 0.1, "0.1" }, { 1894.54, "1894.54" },
                  { 1e16, "10000000000000000" }, { 123456.789012, "123456.789012" }, { 0.00001, "0.00001" },
                  { 1.0 / 3, "0.3333333333333333" }, { 4503599627370495.5, "4503599627370495.5" } };
    char text[MBR_NUMBER_TEXT + 1];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        text[mbr_format_number(text, cases[i].x)] = '\0';
        ck_assert_str_eq(text, cases[i].text);
        same_number(cases[i].x);
    }
    for (int i = 0; i < 10000; i++) {
        uint64_t bits = random_bits();
        double x, y = (double)(int64_t)random_bits() / 9223372036854775808.0;
        memcpy(&x, &bits, sizeof x);
        if (isfinite(x))
            same_number(x);
        same_number(y);
        same_number((double)(float)y);
        same_number(y * pow(10, (int)(bits % 24) - 6));
        same_number(floor(y * 1e9) / pow(10, (int)(bits % 9)));
        same_number(nextafter(floor(y * 1e6) / 1e3, 1e9));
    }
}
END_TEST

START_TEST(text_and_times)
{
    mbr_memory m;
    mbr_memory_init(&m);
    mbr_line o = { .memory = &m };
    char time[MBR_TIME_TEXT];
    mbr_line_string(&o, "a\"b\\c\n\x01\xc3\xa9", 9);
    mbr_line_number(&o, (double)NAN);
    ck_assert_uint_eq(o.used, strlen("\"a\\\"b\\\\c\\n\\u0001\xc3\xa9\"null"));
    ck_assert_int_eq(memcmp(o.text, "\"a\\\"b\\\\c\\n\\u0001\xc3\xa9\"null", o.used), 0);
    mbr_line_free(&o);
    mbr_format_time(time, 1709209799123456);
    ck_assert_str_eq(time, "2024-02-29T12:29:59.123456Z");
    mbr_format_time(time, -1);
    ck_assert_str_eq(time, "1969-12-31T23:59:59.999999Z");
    for (int i = 0; i < 10000; i++) { /* a time reads back as the same microsecond */
        int64_t t = (int64_t)(random_bits() % 4000000000000000u);
        double seconds;
        mbr_format_time(time, t);
        ck_assert(mbr_text_time(time, strlen(time), &seconds));
        ck_assert_int_eq(llround(seconds * 1e6), t);
    }
}
END_TEST

/* ---- memory of keys ---- */

/* A table does what a plain list with the same rule does. */
START_TEST(keys_are_bounded)
{
    enum { MOST = 7, KEYS = 20 };
    mbr_memory m;
    mbr_arena arena;
    mbr_keeps k;
    int order[KEYS], count = 0;
    double value[KEYS] = { 0 };
    mbr_memory_init(&m);
    mbr_arena_init(&arena, &m, 0);
    ck_assert_int_eq(mbr_keeps_init(&k, &arena, MOST, NULL), MBR_OK);
    for (int i = 0; i < 100000; i++) {
        int key = (int)(random_bits() % KEYS), at = 0;
        mbr_keep *keep = mbr_keeps_use(&k, (mbr_hash){ (uint64_t)key % 3, (uint64_t)key });
        while (at < count && order[at] != key)
            at++;
        if (at == count) {
            value[key] = 0;
            count = count < MOST ? count + 1 : count;
            at = count - 1;
        }
        memmove(order + 1, order, (size_t)at * sizeof *order);
        order[0] = key;
        ck_assert_double_eq(keep->left, value[key]);
        keep->left = value[key] = i + 1;
    }
    mbr_arena_destroy(&arena);
}
END_TEST

START_TEST(buckets_and_clocks)
{
    mbr_keep k = { .on = false };
    int taken = 0;
    for (int i = 0; i < 10; i++) /* three at once */
        if (mbr_bucket_has(&k, 1000, 3, 60))
            mbr_bucket_take(&k), taken++;
    ck_assert_int_eq(taken, 3);
    ck_assert(!mbr_bucket_has(&k, 1019, 3, 60));
    ck_assert(mbr_bucket_has(&k, 1020, 3, 60)); /* one each 20 seconds */
    mbr_bucket_take(&k);
    ck_assert(!mbr_bucket_has(&k, 1010, 3, 60)); /* a row out of order brings nothing */
    ck_assert(!mbr_bucket_has(&k, 1020, 3, 60));
    ck_assert(!mbr_bucket_has(&k, 1030, 3, 60));
    ck_assert(!mbr_bucket_has(&k, 500, 3, 60)); /* a clock that was set back goes on from there */
    ck_assert(mbr_bucket_has(&k, 520, 3, 60));
    ck_assert(mbr_bucket_has(&k, 1e9, 3, 60));
    for (taken = 0; mbr_bucket_has(&k, 1e9, 3, 60); taken++)
        mbr_bucket_take(&k);
    ck_assert_int_eq(taken, 3); /* never more than it holds */
    k = (mbr_keep){ .on = false };
    ck_assert(!mbr_cooling(&k, 100, 10));
    mbr_cooling_begin(&k, 100);
    ck_assert(mbr_cooling(&k, 109.9, 10));
    ck_assert(mbr_cooling(&k, 95, 10));
    ck_assert(!mbr_cooling(&k, 110, 10));
    ck_assert(!mbr_cooling(&k, 80, 10)); /* set back */
}
END_TEST

#ifdef HAVE_YAML

/* ---- pipelines ---- */

/* The same actions whatever the batch. */
static void expect_actions(const char *pipeline, const char *rows, const char *want)
{
    static const int batches[] = { 1, 2, 256 };
    for (size_t i = 0; i < 3; i++) {
        char out[2000];
        mbr_decider *d = same_decider(pipeline, batches[i]);
        OK(decide(d, rows, out));
        ck_assert_str_eq(out, want);
        mbr_decider_release(&d);
    }
}

START_TEST(rules_that_stay_on)
{
    expect_actions(HEAD STICKY, "id,key,p,t\n1,a,.7,\n2,a,.95,\n3,a,.7,\n4,b,.7,\n5,a,,\n6,a,.4,\n7,a,.7,\n8,,.95,\n9,,.6,\n",
                   "QUIET ALARM ALARM QUIET ALARM QUIET QUIET ALARM ALARM");
    /* Room for two keys: the third pushes out the one that was used longest ago. */
    expect_actions(HEAD STICKY "limits: {keys: 2}\n",
                   "id,key,p,t\n1,a,.95,\n2,b,.7,\n3,c,.7,\n4,a,.7,\n5,c,.95,\n6,a,.7,\n7,c,.7,\n",
                   "ALARM QUIET QUIET QUIET ALARM QUIET ALARM");
}
END_TEST

START_TEST(actions_with_limits)
{
    expect_actions(HEAD SIMPLE CLOCK "actions: {HIGH: {cap: {most: 2, per: 1m}, instead: ASK}}\n",
                   "id,key,p,t\n1,,1,0\n2,,1,1\n3,,1,2\n4,,0,2\n5,,1,31\n6,,1,32\n7,,1,\n",
                   "HIGH HIGH ASK/cap LOW HIGH ASK/cap ASK/cap");
    expect_actions(HEAD SIMPLE CLOCK "actions: {HIGH: {cool_down: {time: 10, key: key}, instead: ASK}}\n",
                   "id,key,p,t\n1,a,1,0\n2,b,1,1\n3,a,1,9\n4,a,1,10\n5,b,1,10\n6,b,1,11\n7,b,1,-100\n",
                   "HIGH HIGH ASK/cool_down HIGH ASK/cool_down HIGH HIGH");
    /* One after the other; what stands in has limits of its own; a cap of all and one of each key. */
    expect_actions(HEAD SIMPLE CLOCK "actions:\n  HIGH: {cap: [{most: 3, per: hour}, {most: 1, per: hour, key: key}], "
                   "instead: ASK}\n  ASK: {cap: {most: 1, per: hour}, instead: LOW}\n",
                   "id,key,p,t\n1,a,1,0\n2,a,1,0\n3,a,1,0\n4,b,1,0\n5,c,1,0\n6,d,1,0\n",
                   "HIGH ASK/cap LOW/cap HIGH HIGH LOW/cap");
}
END_TEST

START_TEST(the_cheapest_action)
{
    expect_actions(HEAD "rules: [{name: cost, cheapest: {fraud: y, legit: 1 - y}}]\nfallback: ASK\n"
                   "costs: {STOP: {fraud: 0, legit: 10}, GO: {fraud: amount, legit: 0}}\n",
                   "id,key,p,amount,t\n1,,.5,5,\n2,,.5,20,\n3,,.5,10,\n4,,.01,500,\n5,,,1,\n", "GO STOP STOP GO ASK/row");
}
END_TEST

START_TEST(fallbacks_by_cause)
{
    expect_actions(HEAD "rules: [{name: high, when: 1 / y > 2, then: HIGH}, {name: rest, then: LOW}]\n"
                   "fallback: {action: ASK, input: RETRY}\n", "id,key,p,t\n1,,x,\n2,,0,\n3,,.1,\n\"\n",
                   "RETRY/input ASK/row HIGH RETRY/input");
}
END_TEST

START_TEST(pipelines_that_are_refused)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        { HEAD SIMPLE "actions: {HIGH: {cap: {most: 2, per: 1h}}}\n", "needs 'instead'" },
        { HEAD SIMPLE "actions: {HIGH: {instead: LOW}}\n", "has an 'instead'" },
        { HEAD SIMPLE "actions: {HIGH: {cap: {most: 0, per: 1h}, instead: LOW}}\n", "'most' of 'cap'" },
        { HEAD SIMPLE "actions: {HIGH: {cap: {most: 1, per: 1y}, instead: LOW}}\n", "such as 90 (seconds)" },
        { HEAD SIMPLE "actions: {HIGH: {cap: {most: 1, per: 1h, key: kye}, instead: LOW}}\n", "did you mean 'key'" },
        { HEAD SIMPLE "actions: {HIGH: {cap: {most: 1, per: h}, instead: LOW}}\n", "above 0" },
        { HEAD SIMPLE "actions: {HIGH: {cool_down: 5, instead: LOW}, LOW: {cool_down: 5, instead: HIGH}}\n",
          "come back to it" },
        { HEAD SIMPLE "actions: {HIGH: {cup: 1}}\n", "did you mean 'cap'" },
        { HEAD SIMPLE "limits: {clock: key}\n", "that is a time" },
        { HEAD SIMPLE "limits: {keys: 0}\n", "'keys' of 'limits'" },
        { HEAD SIMPLE "costs: {HIGH: {a: 1}}\n", "2 to 16 classes" },
        { HEAD SIMPLE "costs: {HIGHER: {a: 1, b: 2}}\n", "gives the action 'HIGHER'" },
        { HEAD SIMPLE "costs: {HIGH: {a: 1, b: 2}, LOW: {a: 1, c: 2}}\n", "class 'c'" },
        { HEAD SIMPLE "costs: {HIGH: {a: 1, b: 2}, LOW: {a: 1}}\n", "each of the 2 classes" },
        { HEAD SIMPLE "costs: {HIGH: {a: 1, b: key}}\n", "a number is due" },
        { HEAD "rules: [{cheapest: {a: y, b: 1 - y}}]\n", "there are no 'costs'" },
        { HEAD "rules: [{cheapest: {a: y}}]\ncosts: {HIGH: {a: 1, b: 2}}\n", "chance of each" },
        { HEAD "rules: [{when: y > 1}, {then: LOW}]\n", "must have 'then'" },
        { HEAD "rules: [{when: y > 1, key: key, then: A}, {then: LOW}]\n", "only a rule with 'leave'" },
        { HEAD "rules: [{leave: y > 1, then: A}]\n", "without a 'when'" },
        { HEAD SIMPLE "fallback: {late: A}\n", "needs the key 'action'" },
        { HEAD SIMPLE "texts: [kye]\n", "did you mean 'key'" },
        { HEAD SIMPLE "texts: [z*]\n", "no column begins" },
        { HEAD SIMPLE "texts: [y, key, y*]\n", "'y' is there twice" },
        { HEAD SIMPLE "features: [{name: z, kind: tensor, from: p}]\ntexts: [z]\n", "'z' is a tensor" },
        { HEAD SIMPLE "log: {}\n", "path" },
        { HEAD SIMPLE "log: {path: x, sync: daily}\n", "never|rotate|always" },
        { HEAD SIMPLE "log: {path: x, rotate: {size: 5 cows}}\n", "'size' of 'rotate'" },
        { HEAD SIMPLE "log: {path: x, rotate: {keep: -1}}\n", "not negative" },
    };
    mbr_pipeline *p;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_msg(open_same(cases[i].text, NULL, &p) == MBR_ERR_FORMAT, "%zu: %s", i, err.text);
        ck_assert_msg(strstr(err.text, cases[i].message) != NULL, "'%s' does not say '%s'", err.text, cases[i].message);
        ck_assert_msg(strstr(err.text, "same.yaml:") != NULL, "%s", err.text);
    }
}
END_TEST

/* ---- pictures ---- */

static mbr_status append_picture(void *user, const char *text, size_t bytes)
{
    char *out = user;
    ck_assert_uint_lt(strlen(out) + bytes, 20000);
    strncat(out, text, bytes);
    return MBR_OK;
}

/* Texts too long for their box end with a whole character, and none ends a tag or a string. */
START_TEST(pictures_of_odd_names)
{
    static char text[4000], out[20000];
    char longest[200] = "";
    mbr_pipeline *p;
    for (int i = 0; i < 30; i++)
        strcat(longest, "\xc3\xa9\xe2\x82\xac");
    for (int shift = 0; shift < 4; shift++) {
        snprintf(text, sizeof text, "%srules:\n- {name: \"%.*s%s\", when: y > 0.5, then: \"%.*s%s\"}\n"
                 "- {name: \"<&\\\"\\x01\\\\\", then: \"]]>\\n\"}\n", HEAD, shift, "abc", longest, shift, "abc", longest);
        OK(open_same(text, NULL, &p));
        for (int how = MBR_PICTURE_SVG; how <= MBR_PICTURE_HTML; how++) {
            out[0] = '\0';
            OK(mbr_pipeline_draw(p, (mbr_picture)how, append_picture, out, &err));
            ck_assert_msg(mbr_text_utf8(out, strlen(out)), "shift %d", shift);
            for (const char *c = out; *c; c++)
                ck_assert((unsigned char)*c >= ' ' || *c == '\n');
            ck_assert_ptr_nonnull(strstr(out, how == MBR_PICTURE_DOT ? "label=\"<&\\\" \\\\\\n" : ">&#60;&#38;&#34; \\</text>"));
        }
        mbr_pipeline_release(&p);
    }
}
END_TEST

/* ---- texts ---- */

/* "a,true,-" for each row */
static mbr_status collect_texts(void *user, const mbr_decision *d)
{
    char *out = user;
    ck_assert_int_eq(d->text_count, 6);
    for (int i = 0; i < d->text_count; i++) {
        strcat(out, i ? "," : "");
        strcat(out, d->texts[i] ? d->texts[i] : "-");
    }
    strcat(out, "; ");
    return MBR_OK;
}

START_TEST(decisions_carry_texts)
{
    static const char rows[] = "id,key,p,t,amount\n1,\"a, b\",1,0,12.5\n2,,0.5,,3\n3,c,oops,0,1\n4,d,,5,1\n";
    static const char *const names[] = { "key", "w[0]", "w[1]", "high", "amount", "t" };
    static const int batches[] = { 1, 3, 256 };
    for (size_t i = 0; i < 3; i++) {
        char out[400] = "";
        text_reader r = { rows, strlen(rows) };
        mbr_pipeline *p;
        mbr_decider *d;
        mbr_decider_options o = { .size = sizeof o, .batch = batches[i] };
        OK(open_same(HEAD SIMPLE "fallback: ASK\nfeatures:\n- {name: w, kind: cyclic, from: p, period: 2}\n"
                     "- {name: high, kind: expr, expr: p > 0.7}\ntexts: [key, w, hi*, amount, t]\n", NULL, &p));
        ck_assert_int_eq(mbr_pipeline_text_count(p), 6);
        for (int k = 0; k < 6; k++)
            ck_assert_str_eq(mbr_pipeline_text_name(p, k), names[k]);
        ck_assert_ptr_null(mbr_pipeline_text_name(p, 6));
        OK(mbr_decider_new(p, &o, &d, &err));
        mbr_pipeline_release(&p);
        OK(mbr_decider_reader(d, "rows", read_text, &r, MBR_ROWS_CSV, collect_texts, out, NULL, &err));
        ck_assert_str_eq(out, "a, b,1.2246467991473532e-16,-1,true,12.5,0; -,1,6.123233995736766e-17,false,3,-; "
                         "-,-,-,-,-,-; d,-,-,false,1,5; ");
        mbr_decider_release(&d);
    }
}
END_TEST

/* ---- rows without the model ---- */

#define SKIPPING \
    "version: 1\nname: same\nmodel: {path: same.onnx}\nlog: {path: log}\n" \
    "inputs:\n  id: {type: string, role: id}\n  key: {type: string, missing: keep}\n" \
    "  p: {type: number, missing: keep}\nfeatures: [{name: gone, kind: is_missing, from: p}]\n" \
    "outputs: [{name: y, output: y}]\nfallback: ASK\nrules:\n- {name: high, when: y > 0.5, then: HIGH}\n" \
    "- {name: nothing, when: gone and key == 'a', then: WAIT}\n- {name: rest, then: LOW}\n"

static mbr_status collect_tensor(void *user, int input, const char *name, const mbr_value *tensor)
{
    (void)input, (void)name, (void)tensor;
    ++*(int *)user;
    return MBR_OK;
}

/* A missing number is NaN for the model, or with `skip` what keeps the model from the row: here the same decisions. */
START_TEST(rows_without_the_model)
{
    static const char rows[] = "id,key,p\n1,a,1\n2,a,\n3,b,\n4,a,oops\n5,a,0\n6,b,0.75\n";
    static const struct {
        const char *text, *want;
        unsigned faulty;
    } cases[] = {
        { SKIPPING "tensors: [{input: x, from: [p], missing: skip}]\n", "HIGH WAIT LOW ASK/input LOW HIGH", 1 },
        { SKIPPING "tensors: [{input: x, from: [p], missing: keep}]\n", "HIGH WAIT LOW ASK/input LOW HIGH", 1 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int batch = 1; batch <= 16; batch += 5) {
            char out[2000] = "";
            int seen = 0;
            text_reader r = { rows, strlen(rows) };
            mbr_decide_totals totals = { .size = sizeof totals };
            mbr_replay_result again = { .size = sizeof again };
            mbr_pipeline *p;
            mbr_decider *d = same_decider(cases[i].text, batch);
            OK(mbr_decider_reader(d, "rows", read_text, &r, MBR_ROWS_CSV, collect, out, &totals, &err));
            ck_assert_str_eq(out, cases[i].want);
            ck_assert_uint_eq(totals.faulty, cases[i].faulty);
            r = (text_reader){ rows, strlen(rows) };
            mbr_status st = mbr_decider_tensors(d, "rows", read_text, &r, MBR_ROWS_CSV, 2, collect_tensor, &seen, &err);
            ck_assert_msg(st == (i == 1 ? MBR_OK : MBR_ERR_INPUT), "%zu, %d: %s", i, batch, err.text);
            ck_assert_msg(seen == (i == 1), "%zu, %d", i, batch);
            mbr_decider_release(&d);
            OK(open_same(cases[i].text, NULL, &p));
            OK(mbr_replay(p, log_path, NULL, &again, &err));
            ck_assert_msg(again.different == 0, "%s", again.what);
            ck_assert_uint_eq(again.records, 6);
            mbr_pipeline_release(&p);
            ck_assert_int_eq(unlink(log_path), 0);
        }
}
END_TEST

/* ---- what deciders remember ---- */

static void *save_often(void *user)
{
    char path[120];
    mbr_error why;
    snprintf(path, sizeof path, "%s/state", folder);
    for (int i = 0; i < 30; i++)
        ck_assert_msg(mbr_decider_save(user, path, &why) == MBR_OK, "%s", why.text);
    return NULL;
}

/* Two that save to one path: each time one of them is there, whole. */
START_TEST(two_save_to_one_path)
{
    char out[2000], path[120];
    pthread_t other;
    mbr_decider *a = same_decider(HEAD STICKY, 1), *b = same_decider(HEAD STICKY, 1);
    snprintf(path, sizeof path, "%s/state", folder);
    OK(decide(a, "id,key,p,t\n1,a,.95,0\n", out));
    OK(decide(b, "id,key,p,t\n1,a,.95,0\n2,b,.95,0\n3,c,.95,0\n", out));
    OK(mbr_decider_save(a, path, &err));
    ck_assert_int_eq(pthread_create(&other, NULL, save_often, b), 0);
    save_often(a);
    ck_assert_int_eq(pthread_join(other, NULL), 0);
    OK(mbr_decider_restore(a, path, &err));
    OK(decide(a, "id,key,p,t\n1,a,.6,0\n", out));
    ck_assert_str_eq(out, "ALARM");
    snprintf(path, sizeof path, "%s/state.new", folder);
    ck_assert_int_ne(access(path, F_OK), 0);
    mbr_decider_release(&a);
    mbr_decider_release(&b);
}
END_TEST

/* What a decider remembers is saved and restored, and forked. */
START_TEST(memory_is_kept)
{
    char out[2000], path[120];
    mbr_decider *d = same_decider(HEAD STICKY CLOCK "actions: {ALARM: {cap: {most: 2, per: 1d}, instead: ASK}}\n", 4);
    mbr_decider *fork, *fresh;
    snprintf(path, sizeof path, "%s/state", folder);
    OK(decide(d, "id,key,p,t\n1,a,.95,0\n2,b,.2,0\n", out));
    ck_assert_str_eq(out, "ALARM QUIET");
    OK(mbr_decider_save(d, path, &err));
    OK(mbr_decider_fork(d, &fork, &err));
    fresh = same_decider(HEAD STICKY CLOCK "actions: {ALARM: {cap: {most: 2, per: 1d}, instead: ASK}}\n", 1);
    OK(mbr_decider_restore(fresh, path, &err));
    mbr_decider *all[] = { d, fork, fresh };
    for (int i = 0; i < 3; i++) {
        OK(decide(all[i], "id,key,p,t\n1,a,.6,0\n2,b,.6,0\n3,a,.6,0\n", out));
        ck_assert_str_eq(out, "ALARM QUIET ASK/cap");
        mbr_decider_release(&all[i]);
    }
}
END_TEST

/* ---- policies ---- */

static mbr_status count_bytes(void *user, const char *text, size_t bytes)
{
    (void)text;
    *(size_t *)user += bytes;
    return MBR_OK;
}

START_TEST(policies)
{
    char path[120];
    mbr_pipeline *p;
    mbr_policy_test *t;
    mbr_policy_facts f = { .size = sizeof f };
    size_t bytes = 0;
    snprintf(path, sizeof path, "%s/labelled.csv", folder);
    append_text(path, "id,key,p,t,truth\n1,,.9,,1\n2,,.8,,0\n3,,.7,,1\n4,,.7,,0\n5,,.2,,0\n6,,.1,,0\n7,,x,,1\n8,,.3,,\n");
    OK(open_same(HEAD SIMPLE "costs: {HIGH: {bad: 0, good: 5}, LOW: {bad: 100, good: 0}}\n", "truth", &p));
    OK(mbr_policy_test_file(p, path, NULL, &t, &err));
    OK(mbr_policy_test_facts(t, &f));
    ck_assert_uint_eq(f.rows, 7);
    ck_assert_uint_eq(f.positives, 3);
    ck_assert_uint_eq(f.faulty, 1);
    ck_assert_uint_eq(f.unlabelled, 1);
    ck_assert_double_eq_tol(f.roc_auc, 6.5 / 8, 1e-12);                 /* .9 above 4, .7 above 2 and beside 1 */
    ck_assert_double_eq_tol(f.average_precision, 0.5 + 0.5 * 0.5, 1e-12); /* 1/1, then 2/4 */
    ck_assert_double_eq_tol(f.brier, (.01 + .64 + .09 + .49 + .04 + .01) / 6, 1e-12);
    ck_assert_double_eq(f.cost, 10);
    ck_assert_double_eq(f.best_threshold, 0.7);
    ck_assert_double_eq(f.best_cost, 10);
    ck_assert_double_eq_tol(f.f1, 2.0 * 2 / 6, 1e-12);
    OK(mbr_policy_test_text(t, count_bytes, &bytes, &err));
    OK(mbr_policy_test_json(t, count_bytes, &bytes, &err));
    OK(mbr_policy_test_html(t, count_bytes, &bytes, &err));
    ck_assert_uint_gt(bytes, 5000);
    mbr_policy_test_release(&t);
    mbr_policy_options o = { .size = sizeof o, .positive = "2" };
    ck_assert_int_eq(mbr_policy_test_file(p, path, &o, &t, &err), MBR_ERR_INPUT);
    mbr_pipeline_release(&p);
    OK(open_same(HEAD SIMPLE, "nothing", &p));
    ck_assert_int_eq(mbr_policy_test_file(p, path, NULL, &t, &err), MBR_ERR_INPUT);
    ck_assert_ptr_null(t);
    mbr_pipeline_release(&p);
    OK(open_same(HEAD SIMPLE, NULL, &p));
    ck_assert_int_eq(mbr_policy_test_file(p, path, NULL, &t, &err), MBR_ERR_ARGUMENT);
    mbr_pipeline_release(&p);
    /* No memory, allocation by allocation. */
    mbr_memory *memory = mbr_env_heap(env);
    size_t before = atomic_load(&memory->in_use);
    bool done = false;
    for (long fail = 0; !done; fail++) {
        atomic_store(&memory->fail_after, fail);
        mbr_status st = open_same(HEAD SIMPLE, "truth", &p);
        if (st == MBR_OK)
            st = mbr_policy_test_file(p, path, NULL, &t, &err);
        done = st == MBR_OK && mbr_policy_test_html(t, count_bytes, &bytes, &err) == MBR_OK;
        if (st == MBR_OK)
            mbr_policy_test_release(&t);
        atomic_store(&memory->fail_after, -1);
        mbr_pipeline_release(&p);
        ck_assert_uint_eq(atomic_load(&memory->in_use), before);
        ck_assert_int_lt(fail, 100000);
    }
}
END_TEST

#endif

int main(void)
{
    random_seed("test_actions");
    Suite *suite = suite_create("actions");
    TCase *parts = tcase_create("parts");
    tcase_add_test(parts, numbers_read_back);
    tcase_add_test(parts, text_and_times);
    tcase_add_test(parts, keys_are_bounded);
    tcase_add_test(parts, buckets_and_clocks);
    suite_add_tcase(suite, parts);
#ifdef HAVE_YAML
    TCase *t = tcase_create("pipelines");
    tcase_add_checked_fixture(t, setup_folder, teardown_folder);
    tcase_add_test(t, rules_that_stay_on);
    tcase_add_test(t, actions_with_limits);
    tcase_add_test(t, the_cheapest_action);
    tcase_add_test(t, fallbacks_by_cause);
    tcase_add_test(t, pipelines_that_are_refused);
    tcase_add_test(t, pictures_of_odd_names);
    tcase_add_test(t, decisions_carry_texts);
    tcase_add_test(t, rows_without_the_model);
    tcase_add_test(t, two_save_to_one_path);
    tcase_add_test(t, memory_is_kept);
    tcase_add_test(t, policies);
    suite_add_tcase(suite, t);
#endif
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
