/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pipelines end to end, on a small one of card payments (tests/payments): the same actions as its trainer's own,
 * whatever the batch; faults of rows, of files and of pipelines; no memory.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "base/env.h"
#include "mbr/mbr.h"
#include "mbr/pipeline.h"
#include "runtime/rows/csv.h"
#include "runtime/rows/text.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef HAVE_YAML

#define ROWS 582

static mbr_env *env;
static mbr_error err;
static char folder[400];

static const char *path_of(const char *name)
{
    static char path[2][500];
    static int turn;
    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static void setup(void)
{
    const char *srcdir = getenv("srcdir");
    mbr_env_options o = { .size = sizeof o, .threads = 1 };
    snprintf(folder, sizeof folder, "%s/tests/payments", srcdir ? srcdir : ".");
    memset(&err, 0, sizeof err);
    ck_assert_msg(mbr_env_new(&o, &env, &err) == MBR_OK, "%s", err.text);
}

static void teardown(void)
{
    mbr_env_release(&env);
}

static mbr_decider *open_fraud(int batch)
{
    mbr_pipeline *p;
    mbr_decider *d;
    mbr_decider_options o = { .size = sizeof o, .batch = batch };
    ck_assert_msg(mbr_pipeline_open(env, path_of("pipeline.yaml"), NULL, &p, &err) == MBR_OK, "%s", err.text);
    ck_assert_msg(mbr_decider_new(p, &o, &d, &err) == MBR_OK, "%s", err.text);
    mbr_pipeline_release(&p); /* the decider keeps it */
    return d;
}

/* ---- the trainer's own answers ---- */

typedef struct expected {
    char id[16], action[16], rule[32];
    double score;
    int fraud;
} expected;

static ptrdiff_t read_file(void *user, void *to, size_t bytes)
{
    return (ptrdiff_t)fread(to, 1, bytes, user);
}

static void copy_field(char *to, size_t room, const mbr_string *s)
{
    ck_assert_uint_lt(s->size, room);
    memcpy(to, s->data, s->size);
    to[s->size] = '\0';
}

static int read_expected(expected *rows)
{
    mbr_memory *memory = mbr_env_heap(env);
    mbr_source s;
    mbr_csv csv;
    bool more;
    int n = 0;
    FILE *f = fopen(path_of("expected.csv"), "rb");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(mbr_source_open(&s, memory, read_file, f, &err), MBR_OK);
    mbr_csv_init(&csv, &s, ',');
    ck_assert_int_eq(mbr_csv_next(&csv, &more, &err), MBR_OK);
    while (mbr_csv_next(&csv, &more, &err) == MBR_OK && more) {
        expected *e = &rows[n++];
        ck_assert_int_le(n, ROWS);
        ck_assert_uint_eq(csv.field_count, 5);
        copy_field(e->id, sizeof e->id, &csv.fields[0]);
        copy_field(e->action, sizeof e->action, &csv.fields[1]);
        copy_field(e->rule, sizeof e->rule, &csv.fields[2]);
        ck_assert(mbr_text_number(csv.fields[3].data, csv.fields[3].size, &e->score));
        e->fraud = csv.fields[4].data[0] == '1';
    }
    mbr_csv_destroy(&csv);
    mbr_source_close(&s);
    fclose(f);
    return n;
}

typedef struct comparison {
    expected want[ROWS];
    float scores[ROWS];
    int count, seen;
    double worst;
} comparison;

static mbr_status compare(void *user, const mbr_decision *d)
{
    comparison *c = user;
    ck_assert_int_lt(c->seen, c->count);
    const expected *e = &c->want[c->seen];
    ck_assert_msg(d->error == NULL, "%s", d->error);
    ck_assert_str_eq(d->id, e->id);
    ck_assert_msg(strcmp(d->action, e->action) == 0 && strcmp(d->rule, e->rule) == 0,
                  "%s: %s by %s, and the trainer said %s by %s", e->id, d->action, d->rule, e->action, e->rule);
    ck_assert_uint_eq(d->row, (uint64_t)c->seen + 1);
    ck_assert_uint_eq(d->line, (uint64_t)c->seen + 2);
    ck_assert_int_eq(d->score_count, 1);
    c->worst = fmax(c->worst, fabs(d->scores[0] - e->score));
    c->scores[c->seen++] = (float)d->scores[0];
    return MBR_OK;
}

/* The chance that a fraud scores above a good transaction. */
static double roc_auc(const expected *rows, const float *scores, int n)
{
    double above = 0, pairs = 0;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < n; k++)
            if (rows[i].fraud && !rows[k].fraud) {
                double a = scores ? (double)scores[i] : rows[i].score, b = scores ? (double)scores[k] : rows[k].score;
                pairs++;
                above += a > b ? 1 : a == b ? 0.5 : 0;
            }
    return above / pairs;
}

/* The same actions as the trainer's, and the same bits for every batch size. */
START_TEST(decisions_are_the_trainers)
{
    static comparison c, first;
    int sizes[] = { 1, 2, 100, 256, 1000 };
    memset(&c, 0, sizeof c);
    c.count = read_expected(c.want);
    ck_assert_int_eq(c.count, ROWS);
    for (size_t i = 0; i < MBR_COUNT_OF(sizes); i++) {
        mbr_decider *d = open_fraud(sizes[i]);
        mbr_decide_totals totals = { .size = sizeof totals };
        c.seen = 0;
        mbr_status st = mbr_decider_file(d, path_of("sample.csv"), MBR_ROWS_AUTO, compare, &c, &totals, &err);
        ck_assert_msg(st == MBR_OK, "%s", err.text);
        ck_assert_int_eq(c.seen, ROWS);
        ck_assert_uint_eq(totals.rows, ROWS);
        ck_assert_uint_eq(totals.faulty + totals.undecided, 0);
        ck_assert_double_lt(c.worst, 1e-6);
        if (i == 0)
            first = c;
        else
            ck_assert_msg(memcmp(first.scores, c.scores, sizeof c.scores) == 0, "batch %d gives other bits", sizes[i]);
        mbr_decider_release(&d);
    }
    double ours = roc_auc(c.want, c.scores, ROWS), theirs = roc_auc(c.want, NULL, ROWS);
    printf("fraud sample: ROC-AUC %.4f, the trainer's own %.4f\n", ours, theirs);
    ck_assert_double_le(fabs(ours - theirs), 0.002);
    ck_assert_double_gt(ours, 0.9);
}
END_TEST

/* ---- rows from memory ---- */

/* A transaction that has everything; the first fields may be overwritten. */
static const mbr_field whole_row[] = {
    { .name = "amount", .kind = MBR_FIELD_NUMBER, .number = 20 },
    { .name = "currency", .kind = MBR_FIELD_TEXT, .text = "EUR", .text_size = 3 },
    { .name = "timestamp", .kind = MBR_FIELD_TEXT, .text = "2024-05-01T12:00:00Z", .text_size = 20 },
    { .name = "country", .kind = MBR_FIELD_TEXT, .text = "DE", .text_size = 2 },
    { .name = "home_country", .kind = MBR_FIELD_TEXT, .text = "DE", .text_size = 2 },
    { .name = "channel", .kind = MBR_FIELD_TEXT, .text = "pos", .text_size = 3 },
    { .name = "card_present", .kind = MBR_FIELD_NUMBER, .number = 1 },
    { .name = "transaction_id", .kind = MBR_FIELD_TEXT, .text = "T1", .text_size = 2 },
    { .name = "something_else", .kind = MBR_FIELD_NUMBER, .number = 3 },
};

START_TEST(rows_from_memory)
{
    mbr_decider *d = open_fraud(0);
    mbr_decision got = { .size = sizeof got };
    mbr_field row[MBR_COUNT_OF(whole_row)];
    memcpy(row, whole_row, sizeof row);
    ck_assert_msg(mbr_decider_row(d, row, MBR_COUNT_OF(row), &got, &err) == MBR_OK, "%s", err.text);
    ck_assert_msg(got.error == NULL, "%s", got.error);
    ck_assert_str_eq(got.id, "T1");
    ck_assert_str_eq(got.action, "APPROVE");
    ck_assert(got.scores[0] > 0 && got.scores[0] < 0.5);
    double score = got.scores[0];

    row[0] = (mbr_field){ .name = "amount", .kind = MBR_FIELD_TEXT, .text = " 20.0 ", .text_size = 6 };
    ck_assert_int_eq(mbr_decider_row(d, row, MBR_COUNT_OF(row), &got, &err), MBR_OK);
    ck_assert_double_eq(got.scores[0], score);
    ck_assert_uint_eq(got.row, 2);

    static const struct {
        mbr_field field;
        const char *message;
    } cases[] = {
        { { .name = "amount", .kind = MBR_FIELD_TEXT, .text = "12,50", .text_size = 5 },
          "must be a number, not '12,50'" },
        { { .name = "amount", .kind = MBR_FIELD_TEXT, .text = "-1", .text_size = 2 }, "below the 'min'" },
        { { .name = "amount", .kind = MBR_FIELD_NUMBER, .number = INFINITY }, "must be a number" },
        { { .name = "amount", .kind = MBR_FIELD_NUMBER, .number = NAN }, "column 'amount' is missing" },
        { { .name = "amount", .kind = MBR_FIELD_TEXT, .text = "nan", .text_size = 3 }, "column 'amount' is missing" },
        { { .name = "amount", .kind = MBR_FIELD_MISSING }, "column 'amount' is missing" },
        { { .name = "amount", .kind = MBR_FIELD_TEXT, .text = "1e999", .text_size = 5 }, "must be a number" },
        { { .name = "timestamp", .kind = MBR_FIELD_TEXT, .text = "1066-10-14", .text_size = 10 }, "below the 'min'" },
        { { .name = "timestamp", .kind = MBR_FIELD_TEXT, .text = "yesterday", .text_size = 9 }, "must be a time" },
        { { .name = "card_present", .kind = MBR_FIELD_TEXT, .text = "maybe", .text_size = 5 }, "true or false" },
        { { .name = "card_present", .kind = MBR_FIELD_NUMBER, .number = 2 }, "true or false" },
        { { .name = "country", .kind = MBR_FIELD_TEXT, .text = "\xff\xfe", .text_size = 2 }, "not valid UTF-8" },
        { { .name = "country", .kind = MBR_FIELD_NUMBER, .number = 49 }, "is text, and 49 is a number" },
        { { .name = "customer_age", .kind = MBR_FIELD_NUMBER, .number = 200 }, "above the 'max'" },
    };
    for (size_t i = 0; i < MBR_COUNT_OF(cases); i++) {
        size_t at = 0;
        memcpy(row, whole_row, sizeof row);
        while (at + 1 < MBR_COUNT_OF(row) && strcmp(row[at].name, cases[i].field.name) != 0)
            at++;
        row[at] = cases[i].field;
        ck_assert_int_eq(mbr_decider_row(d, row, MBR_COUNT_OF(row), &got, &err), MBR_OK);
        ck_assert_str_eq(got.action, "REVIEW");
        ck_assert_str_eq(got.rule, "fallback");
        ck_assert_msg(got.error && strstr(got.error, cases[i].message), "'%s' does not say '%s'",
                      got.error ? got.error : "no error", cases[i].message);
        ck_assert_int_eq(strncmp(got.error, "row ", 4), 0);
        ck_assert(isnan(got.scores[0]));
    }
    /* What is unknown or missing where that is allowed changes the score, not the soundness. */
    memcpy(row, whole_row, sizeof row);
    row[3] = (mbr_field){ .name = "country", .kind = MBR_FIELD_TEXT, .text = "Mars", .text_size = 4 };
    ck_assert_int_eq(mbr_decider_row(d, row, MBR_COUNT_OF(row), &got, &err), MBR_OK);
    ck_assert_ptr_null(got.error);
    mbr_decider_release(&d);
}
END_TEST

/* ---- streams with faults ---- */

typedef struct text_reader {
    const char *text;
    size_t left;
    int fail_at_end;
} text_reader;

static ptrdiff_t read_text(void *user, void *to, size_t bytes)
{
    text_reader *r = user;
    size_t n = bytes < 100 ? bytes : 100;
    n = n < r->left ? n : r->left;
    if (!n && r->fail_at_end)
        return -1;
    memcpy(to, r->text, n);
    r->text += n;
    r->left -= n;
    return (ptrdiff_t)n;
}

static mbr_status collect(void *user, const mbr_decision *d)
{
    char *out = user;
    size_t used = strlen(out);
    ck_assert_uint_lt(used, 9000);
    snprintf(out + used, 10000 - used, "%llu %s %s %s\n", (unsigned long long)d->line, d->id ? d->id : "-",
             d->action ? d->action : "-", d->error ? d->error : "");
    return MBR_OK;
}

/* A small pipeline on the fraud model, without a fallback. The model's 38 values are all the amount. */
#define SMALL_HEAD "version: 1\nname: small\nmodel: {path: model.onnx}\n"
#define SMALL_INPUTS "inputs:\n  id: {type: string, role: id}\n  amount: {type: number}\n" \
    "  limit: {type: number, missing: keep}\n"
#define FOUR "amount, amount, amount, amount, "
#define SMALL_TENSORS "tensors:\n- input: features\n  from: [" FOUR FOUR FOUR FOUR FOUR FOUR FOUR FOUR FOUR \
    "amount, amount]\n"
#define SMALL_OUTPUTS "outputs: [{name: p, output: probability}]\n"
#define SMALL_RULES "rules:\n- {name: over, when: amount / limit > 2, then: BAD}\n- {then: GOOD}\n"
#define SMALL SMALL_HEAD SMALL_INPUTS SMALL_TENSORS SMALL_OUTPUTS SMALL_RULES

static mbr_status open_text(const char *text, mbr_pipeline **p)
{
    err.text[0] = '\0';
    return mbr_pipeline_open_memory(env, text, strlen(text), path_of("small.yaml"), NULL, p, &err);
}

static mbr_decider *open_small(const char *text, int batch)
{
    mbr_pipeline *p;
    mbr_decider *d;
    mbr_decider_options o = { .size = sizeof o, .batch = batch };
    ck_assert_msg(open_text(text, &p) == MBR_OK, "%s", err.text);
    ck_assert_msg(mbr_decider_new(p, &o, &d, &err) == MBR_OK, "%s", err.text);
    mbr_pipeline_release(&p);
    return d;
}

static mbr_status decide_text(mbr_decider *d, const char *rows, size_t n, char *out, mbr_decide_totals *totals)
{
    text_reader r = { rows, n, 0 };
    out[0] = '\0';
    err.text[0] = '\0';
    totals->size = sizeof *totals;
    return mbr_decider_reader(d, "rows", read_text, &r, MBR_ROWS_AUTO, collect, out, totals, &err);
}

START_TEST(faulty_rows_do_not_stop_the_rest)
{
    static const char rows[] = "id,amount,limit\n"
                               "a,1,1\n"
                               "b,5,1\n"
                               "c,5,0\n"
                               "d,5,\n"
                               "e,x,1\n"
                               "f,5\n"
                               "g,5,1,1\n"
                               "h,\"5\"x,1\n"
                               "\xff,5,1\n"
                               "j,1,1\n";
    static const char want[] = "2 a GOOD \n"
                               "3 b BAD \n"
                               "4 c - rows:4: rule 'over': division by zero\n"
                               "5 d GOOD \n"
                               "6 e - rows:6: column 'amount' must be a number, not 'x'\n"
                               "7 f - rows:7: 2 fields, and the header has 3\n"
                               "8 g - rows:8: 4 fields, and the header has 3\n"
                               "9 - - rows:9: text after the closing quote of a field; a quote inside quotes must be "
                               "doubled\n"
                               "10 - - rows:10: column 'id' is not valid UTF-8 text\n"
                               "11 j GOOD \n";
    for (int batch = 1; batch < 12; batch++) {
        char out[10000];
        mbr_decide_totals totals;
        mbr_decider *d = open_small(SMALL, batch);
        ck_assert_msg(decide_text(d, rows, sizeof rows - 1, out, &totals) == MBR_OK, "%s", err.text);
        ck_assert_str_eq(out, want);
        ck_assert_uint_eq(totals.rows, 10);
        ck_assert_uint_eq(totals.faulty, 6);
        ck_assert_uint_eq(totals.undecided, 6);
        mbr_decider_release(&d);
        d = open_small(SMALL "fallback: ASK\n", batch);
        ck_assert_int_eq(decide_text(d, rows, sizeof rows - 1, out, &totals), MBR_OK);
        ck_assert_uint_eq(totals.faulty, 6);
        ck_assert_uint_eq(totals.undecided, 0);
        ck_assert_ptr_nonnull(strstr(out, "4 c ASK rows:4: rule 'over': division by zero\n"));
        mbr_decider_release(&d);
    }
}
END_TEST

#ifdef HAVE_JANSSON
START_TEST(json_lines)
{
    static const char rows[] = "{\"id\": \"a\", \"amount\": 1, \"limit\": 1}\n"
                               "{\"id\": 7, \"amount\": \"5\", \"limit\": 1.0}\n"
                               "{\"id\": \"c\", \"limit\": 1}\n"
                               "{\"id\": \"d\", \"amount\": 5, \"limit\": [1], \"extra\": [1]}\n"
                               "nonsense\n"
                               "{\"amount\": 1, \"limit\": 1, \"id\": \"f\", \"more\": 1}\n";
    char out[10000];
    mbr_decide_totals totals;
    mbr_decider *d = open_small(SMALL, 4);
    ck_assert_msg(decide_text(d, rows, sizeof rows - 1, out, &totals) == MBR_OK, "%s", err.text);
    ck_assert_msg(strstr(out, "1 a GOOD \n2 7 BAD \n3 c - rows:3: column 'amount' is missing\n"
                         "4 d - rows:4: column 'limit' is a list") == out, "%s", out);
    ck_assert_ptr_nonnull(strstr(out, "5 - - rows:5: not valid JSON"));
    ck_assert_ptr_nonnull(strstr(out, "6 f GOOD \n"));
    mbr_decider_release(&d);
    d = open_small(SMALL "extra_columns: error\n", 4);
    ck_assert_int_eq(decide_text(d, rows, sizeof rows - 1, out, &totals), MBR_OK);
    ck_assert_ptr_nonnull(strstr(out, "6 f - rows:6: the pipeline has no input 'more'\n"));
    mbr_decider_release(&d);
}
END_TEST
#endif

START_TEST(inputs_that_are_refused)
{
    static const struct {
        const char *pipeline, *rows;
        mbr_status status;
        const char *message;
    } cases[] = {
        { SMALL, "", MBR_ERR_FORMAT, "rows: the file is empty" },
        { SMALL, "id,amount\na,1\n", MBR_ERR_INPUT, "rows:1: the header has no column 'limit'" },
        { SMALL, "id,amount,limit,amount\n", MBR_ERR_INPUT, "'amount' stands in the header twice" },
        { SMALL "extra_columns: error\n", "id,amount,limit,more\n", MBR_ERR_INPUT, "the pipeline has no input 'more'" },
        { SMALL, "id,\"amount\"x,limit\n", MBR_ERR_FORMAT, "rows: line 1: text after" },
        { SMALL, "\xff\xfei\0d\0", MBR_ERR_FORMAT, "UTF-16" },
    };
    char out[10000];
    mbr_decide_totals totals;
    for (size_t i = 0; i < MBR_COUNT_OF(cases); i++) {
        mbr_decider *d = open_small(cases[i].pipeline, 4);
        ck_assert_int_eq(decide_text(d, cases[i].rows, strlen(cases[i].rows), out, &totals), cases[i].status);
        ck_assert_msg(strstr(err.text, cases[i].message) != NULL, "'%s' does not say '%s'", err.text, cases[i].message);
        ck_assert_uint_eq(totals.rows, 0);
        mbr_decider_release(&d);
    }
    mbr_decider *d = open_small(SMALL, 4);
    ck_assert_int_eq(mbr_decider_file(d, path_of("nowhere.csv"), MBR_ROWS_AUTO, collect, out, NULL, &err), MBR_ERR_IO);
    ck_assert_int_eq(mbr_decider_file(d, folder, MBR_ROWS_AUTO, collect, out, NULL, &err), MBR_ERR_IO);
    text_reader broken = { "id,amount,limit\na,1,1\n", 22, 1 };
    out[0] = '\0';
    mbr_status st = mbr_decider_reader(d, "rows", read_text, &broken, MBR_ROWS_CSV, collect, out, NULL, &err);
    ck_assert_int_eq(st, MBR_ERR_IO);
    mbr_decider_release(&d);
}
END_TEST

static mbr_status stop(void *user, const mbr_decision *d)
{
    ++*(int *)user;
    return d->row == 3 ? MBR_ERR_CANCELLED : MBR_OK;
}

START_TEST(a_callback_ends_the_call)
{
    int calls = 0;
    mbr_decide_totals totals = { .size = sizeof totals };
    mbr_decider *d = open_fraud(2);
    ck_assert_int_eq(mbr_decider_file(d, path_of("sample.csv"), MBR_ROWS_CSV, stop, &calls, &totals, &err),
                     MBR_ERR_CANCELLED);
    ck_assert_int_eq(calls, 3);
    ck_assert_uint_eq(totals.rows, 3);
    /* The decider goes on as if nothing had been. */
    ck_assert_int_eq(mbr_decider_file(d, path_of("sample.csv"), MBR_ROWS_CSV, NULL, NULL, &totals, &err), MBR_OK);
    ck_assert_uint_eq(totals.rows, ROWS);
    mbr_decider_release(&d);
}
END_TEST

/* ---- pipelines ---- */

START_TEST(pipelines_that_are_refused)
{
    static const struct {
        const char *text;
        mbr_status status;
        const char *message;
    } cases[] = {
        { "", MBR_ERR_FORMAT, "small.yaml:1: the file is empty" },
        { "- a\n", MBR_ERR_FORMAT, "a pipeline file must be a table" },
        { "name: x\n", MBR_ERR_FORMAT, "a pipeline needs the key 'version'" },
        { SMALL "drift: {}\n", MBR_ERR_FORMAT, "baseline" },
        { SMALL "drift: {baseline: none.drift}\n", MBR_ERR_IO, "none.drift" },
        { SMALL "drift: {baseline: none.drift, widow: 5}\n", MBR_ERR_FORMAT, "window" },
        { SMALL "drift: {baseline: none.drift, clock: amount}\n", MBR_ERR_FORMAT, "no column 'amount' that is a time" },
        { SMALL "drift: {baseline: none.drift, sample: 10}\n", MBR_ERR_FORMAT, "a sample has 100 to" },
        /* A fallback for a model that fails is none for one that never was there. */
        { "version: 1\nname: x\nmodel: {path: gone.onnx}\n" SMALL_INPUTS SMALL_TENSORS SMALL_OUTPUTS SMALL_RULES
          "fallback: {action: A, model: A}\n", MBR_ERR_IO, "gone.onnx" },
        { SMALL "rulez: []\n", MBR_ERR_FORMAT, "did you mean 'rules'?" },
        { "version: 2\nname: x\nmodel: {path: a}\ninputs: {}\ntensors: []\noutputs: []\nrules: []\n", MBR_ERR_FORMAT,
          "version 2 of the pipeline format" },
        { SMALL_HEAD "inputs:\n  a b: {type: number}\n" SMALL_TENSORS SMALL_OUTPUTS SMALL_RULES, MBR_ERR_FORMAT,
          "small.yaml:5: an input's name 'a b' must be" },
        { SMALL_HEAD "inputs:\n  a: {type: float}\n" SMALL_TENSORS SMALL_OUTPUTS SMALL_RULES, MBR_ERR_FORMAT,
          "must be one of number|bool|time|string|array, not 'float'" },
        { SMALL_HEAD "inputs:\n  a: {type: number, default: 1, missing: keep}\n" SMALL_TENSORS SMALL_OUTPUTS
          SMALL_RULES, MBR_ERR_FORMAT, "contradict each other" },
        { SMALL_HEAD "inputs:\n  a: {type: number, optional: true}\n" SMALL_TENSORS SMALL_OUTPUTS SMALL_RULES,
          MBR_ERR_FORMAT, "say what a missing value means" },
        { SMALL_HEAD "inputs:\n  a: {type: number, role: id}\n" SMALL_TENSORS SMALL_OUTPUTS SMALL_RULES, MBR_ERR_FORMAT,
          "the id must be a string" },
        { SMALL_HEAD "inputs:\n  a: {type: time, min: 5}\n" SMALL_TENSORS SMALL_OUTPUTS SMALL_RULES, MBR_ERR_FORMAT,
          "must be a time such as" },
        { SMALL_HEAD "inputs:\n  a: {type: number, min: 5, max: 4}\n" SMALL_TENSORS SMALL_OUTPUTS SMALL_RULES,
          MBR_ERR_FORMAT, "'min' is above 'max'" },
        { SMALL_HEAD SMALL_INPUTS "tensors: []\n" SMALL_OUTPUTS SMALL_RULES, MBR_ERR_INPUT,
          "no entry for the model's input 'features'" },
        { SMALL_HEAD SMALL_INPUTS "tensors: [{input: feature, from: amount}]\n" SMALL_OUTPUTS SMALL_RULES,
          MBR_ERR_INPUT, "the model has no input 'feature'; it has 'features'" },
        { SMALL_HEAD SMALL_INPUTS "tensors: [{input: features, from: [amount, limit]}]\n" SMALL_OUTPUTS SMALL_RULES,
          MBR_ERR_INPUT, "are 2 values a row, and the model wants the shape [rows, 38]" },
        { SMALL_HEAD SMALL_INPUTS "tensors: [{input: features, from: [id]}]\n" SMALL_OUTPUTS SMALL_RULES,
          MBR_ERR_FORMAT, "column 'id' is a string, and the model takes f32" },
        { SMALL_HEAD SMALL_INPUTS "tensors: [{input: features, from: [amont]}]\n" SMALL_OUTPUTS SMALL_RULES,
          MBR_ERR_FORMAT, "no column 'amont'; did you mean 'amount'?" },
        { SMALL_HEAD SMALL_INPUTS SMALL_TENSORS "outputs: [{name: p, output: q}]\n" SMALL_RULES, MBR_ERR_INPUT,
          "the model has no output 'q'; it has 'probability'" },
        { SMALL_HEAD SMALL_INPUTS SMALL_TENSORS "outputs: [{name: p, output: probability, column: 1}]\n" SMALL_RULES,
          MBR_ERR_FORMAT, "'column' counts from 0" },
        { SMALL_HEAD SMALL_INPUTS SMALL_TENSORS "outputs: [{name: amount, output: probability}]\n" SMALL_RULES,
          MBR_ERR_FORMAT, "there is a column 'amount' already" },
        { SMALL_HEAD SMALL_INPUTS SMALL_TENSORS SMALL_OUTPUTS "rules: []\n", MBR_ERR_FORMAT, "must have 1 to" },
        { SMALL_HEAD SMALL_INPUTS SMALL_TENSORS SMALL_OUTPUTS "rules: [{when: p > 1, then: A}]\n", MBR_ERR_FORMAT,
          "the last rule must have no 'when'" },
        { SMALL_HEAD SMALL_INPUTS SMALL_TENSORS SMALL_OUTPUTS "rules: [{then: A}, {then: B}]\n", MBR_ERR_FORMAT,
          "the rules after it never fire" },
        { SMALL_HEAD SMALL_INPUTS SMALL_TENSORS SMALL_OUTPUTS "rules:\n- {when: p, then: A}\n- {then: B}\n",
          MBR_ERR_FORMAT, "small.yaml:13: rule 'rule_1': the expression gives a number; a rule needs a condition" },
        { SMALL_HEAD SMALL_INPUTS SMALL_TENSORS SMALL_OUTPUTS "rules:\n- {when: q > 1, then: A}\n- {then: B}\n",
          MBR_ERR_FORMAT, "rule 'rule_1': there is no column 'q'" },
        { SMALL_HEAD SMALL_INPUTS SMALL_TENSORS SMALL_OUTPUTS
          "rules: [{name: a, when: p > 1, then: A}, {name: a, then: B}]\n", MBR_ERR_FORMAT, "two rules 'a'" },
        { SMALL "scores: [id]\n", MBR_ERR_FORMAT, "'id' is not a single number" },
        { SMALL "scores: [none]\n", MBR_ERR_FORMAT, "there is no column 'none'" },
        { SMALL "csv: {delimiter: ab}\n", MBR_ERR_FORMAT, "'delimiter' of 'csv' must be" },
        { SMALL "extra_columns: maybe\n", MBR_ERR_FORMAT, "must be one of ignore|error" },
        { "version: 1\nname: x\nmodel: {path: nowhere.onnx}\n" SMALL_INPUTS SMALL_TENSORS SMALL_OUTPUTS SMALL_RULES,
          MBR_ERR_IO, "small.yaml:3: model:" },
    };
    mbr_pipeline *p = NULL;
    for (size_t i = 0; i < MBR_COUNT_OF(cases); i++) {
        mbr_status st = open_text(cases[i].text, &p);
        ck_assert_msg(st == cases[i].status, "%zu: %s: %s", i, mbr_status_name(st), err.text);
        ck_assert_msg(strstr(err.text, cases[i].message) != NULL, "'%s' does not say '%s'", err.text, cases[i].message);
        ck_assert_ptr_null(p);
    }
    ck_assert_int_eq(mbr_pipeline_open(env, path_of("nowhere.yaml"), NULL, &p, &err), MBR_ERR_IO);
    ck_assert_int_eq(mbr_pipeline_open(env, folder, NULL, &p, &err), MBR_ERR_IO);
    ck_assert_int_eq(mbr_pipeline_open(env, path_of("model.onnx"), NULL, &p, &err), MBR_ERR_FORMAT);
    ck_assert_int_eq(mbr_pipeline_open(NULL, "x", NULL, &p, &err), MBR_ERR_ARGUMENT);
}
END_TEST

static mbr_status append(void *user, const char *text, size_t bytes)
{
    char *out = user;
    size_t used = strlen(out);
    ck_assert_uint_lt(used + bytes, 20000);
    memcpy(out + used, text, bytes);
    out[used + bytes] = '\0';
    return MBR_OK;
}

START_TEST(looking_inside)
{
    mbr_pipeline *p;
    char text[20000] = "";
    ck_assert_int_eq(mbr_pipeline_open(env, path_of("pipeline.yaml"), NULL, &p, &err), MBR_OK);
    ck_assert_str_eq(mbr_pipeline_name(p), "card-fraud");
    ck_assert_ptr_nonnull(mbr_pipeline_model(p));
    ck_assert_int_eq(mbr_pipeline_input_count(p), 17);
    ck_assert_str_eq(mbr_pipeline_input_name(p, 2), "amount");
    ck_assert_str_eq(mbr_pipeline_input_type(p, 1), "time");
    ck_assert_ptr_null(mbr_pipeline_input_name(p, 17));
    ck_assert_int_eq(mbr_pipeline_score_count(p), 1);
    ck_assert_str_eq(mbr_pipeline_score_name(p, 0), "fraud");
    ck_assert_int_eq(mbr_pipeline_action_count(p), 3);
    ck_assert_str_eq(mbr_pipeline_action_name(p, 0), "DECLINE");
    ck_assert_int_eq(mbr_pipeline_describe(p, append, text, &err), MBR_OK);
    ck_assert_ptr_nonnull(strstr(text, "    category: number[12] = one_hot(merchant_category)\n"));
    ck_assert_ptr_nonnull(strstr(text, "    features: f32, 38 values a row: log_amount, "));
    ck_assert_ptr_nonnull(strstr(text, "fallback\n    REVIEW\n"));
    mbr_pipeline_release(&p);
    ck_assert_ptr_null(p);
}
END_TEST

START_TEST(wrong_use)
{
    mbr_pipeline *p;
    mbr_decider *d = NULL;
    mbr_decider_options o = { .size = sizeof o, .batch = -1 };
    ck_assert_int_eq(mbr_pipeline_open(env, path_of("pipeline.yaml"), NULL, &p, &err), MBR_OK);
    ck_assert_int_eq(mbr_decider_new(p, &o, &d, &err), MBR_ERR_ARGUMENT);
    o.batch = 5000;
    ck_assert_int_eq(mbr_decider_new(p, &o, &d, &err), MBR_ERR_ARGUMENT);
    o.size = 0;
    ck_assert_int_eq(mbr_decider_new(p, &o, &d, &err), MBR_ERR_ARGUMENT);
    ck_assert_int_eq(mbr_decider_new(NULL, NULL, &d, &err), MBR_ERR_ARGUMENT);
    ck_assert_ptr_null(d);
    mbr_pipeline_options po = { 0 };
    mbr_pipeline *q;
    ck_assert_int_eq(mbr_pipeline_open(env, path_of("pipeline.yaml"), &po, &q, &err), MBR_ERR_ARGUMENT);
    mbr_pipeline_release(&p);
    mbr_pipeline_release(&p);
    mbr_pipeline_release(NULL);
    mbr_decider_release(&d);
}
END_TEST

/* ---- memory ---- */

/* Fails every allocation in turn: nothing crashes, nothing leaks, and in the end it works. */
START_TEST(without_memory)
{
    static const char rows[] = "id,amount,limit\na,1,1\nb,5,1\nc,x,1\n";
    mbr_memory *memory = mbr_env_heap(env);
    size_t before = atomic_load(&memory->in_use);
    bool done = false;
    long fail = 0;
    for (; !done; fail++) {
        mbr_pipeline *p = NULL;
        mbr_decider *d = NULL;
        mbr_decider_options o = { .size = sizeof o, .batch = 2 };
        char out[10000];
        mbr_decide_totals totals;
        ck_assert_int_lt(fail, 100000);
        atomic_store(&memory->fail_after, fail);
        mbr_status st = open_text(SMALL, &p);
        if (st == MBR_OK)
            st = mbr_decider_new(p, &o, &d, &err);
        if (st == MBR_OK)
            st = decide_text(d, rows, sizeof rows - 1, out, &totals);
        atomic_store(&memory->fail_after, -1);
        ck_assert_msg(st == MBR_OK || st == MBR_ERR_NO_MEMORY, "allocation %ld: %s: %s", fail, mbr_status_name(st),
                      err.text);
        /* Done when no row complained of memory either. */
        done = st == MBR_OK && strstr(out, "2 a GOOD \n3 b BAD \n4 c - rows:4: column 'amount' must be") == out;
        mbr_decider_release(&d);
        mbr_pipeline_release(&p);
        ck_assert_uint_eq(atomic_load(&memory->in_use), before);
    }
    printf("%ld allocations failed in turn\n", fail - 1);
}
END_TEST

START_TEST(a_steady_stream_allocates_nothing)
{
    mbr_decider *d = open_fraud(1);
    mbr_decision got = { .size = sizeof got };
    mbr_memory *memory = mbr_env_heap(env);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(mbr_decider_row(d, whole_row, MBR_COUNT_OF(whole_row), &got, &err), MBR_OK);
    size_t before = atomic_load(&memory->count);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(mbr_decider_row(d, whole_row, MBR_COUNT_OF(whole_row), &got, &err), MBR_OK);
    ck_assert_uint_eq(atomic_load(&memory->count), before);
    mbr_decider_release(&d);
}
END_TEST

/* Pipelines and rows with random damage: opened or refused, decided or faulty, never a crash. */
START_TEST(damaged_files)
{
    static const char rows[] = "id,amount,limit\na,1,1\n\"b\",5,1\nc,x,1\n";
    unsigned seed = 12345;
    int opened = 0;
    for (int round = 0; round < 400; round++) {
        char text[sizeof SMALL], data[sizeof rows], out[10000];
        mbr_pipeline *p = NULL;
        memcpy(text, SMALL, sizeof SMALL);
        memcpy(data, rows, sizeof rows);
        for (int k = 0; k < 1 + round % 3; k++) {
            seed = seed * 1103515245 + 12345;
            text[(seed >> 8) % (sizeof SMALL - 1)] = "[]{}:,'\"-x0\n \t&*\xff"[(seed >> 24) % 17];
            data[(seed >> 8) % (sizeof rows - 1)] = ",\"\n\r\0x9\xff"[(seed >> 26) % 8];
        }
        mbr_status st = mbr_pipeline_open_memory(env, text, sizeof SMALL - 1, path_of("small.yaml"), NULL, &p, &err);
        ck_assert(st == MBR_OK ? p != NULL : p == NULL && err.text[0]);
        opened += st == MBR_OK;
        mbr_pipeline_release(&p);
        mbr_decider *d = open_small(SMALL, 3);
        mbr_decide_totals totals;
        st = decide_text(d, data, sizeof rows - 1, out, &totals);
        ck_assert(st == MBR_OK || st == MBR_ERR_INPUT || st == MBR_ERR_FORMAT);
        mbr_decider_release(&d);
    }
    ck_assert_int_gt(opened, 2);
    /* and where nobody asks why */
    static const char sound[] = "version: 1\nname: t\nmodel: {path: m}\ninputs:\n  file: {type: string}\nfeatures:\n"
                                "  - {name: s, kind: audio, from: file, folder: .}\n"
                                "  - {name: x, kind: mel, from: s, n_fft: 1}\ntensors: [{input: x, from: x}]\n"
                                "outputs: [{name: y, output: y}]\nscores: [y]\nrules: [{then: A}]\nfallback: F\n";
    mbr_pipeline *p = NULL;
    ck_assert_int_eq(mbr_pipeline_open_memory(env, sound, sizeof sound - 1, "p", NULL, &p, NULL), MBR_ERR_FORMAT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pipeline");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, decisions_are_the_trainers);
    tcase_add_test(t, rows_from_memory);
    tcase_add_test(t, faulty_rows_do_not_stop_the_rest);
#ifdef HAVE_JANSSON
    tcase_add_test(t, json_lines);
#endif
    tcase_add_test(t, inputs_that_are_refused);
    tcase_add_test(t, a_callback_ends_the_call);
    tcase_add_test(t, pipelines_that_are_refused);
    tcase_add_test(t, looking_inside);
    tcase_add_test(t, wrong_use);
    tcase_add_test(t, without_memory);
    tcase_add_test(t, a_steady_stream_allocates_nothing);
    tcase_add_test(t, damaged_files);
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
