/* SPDX-License-Identifier: BSD-2-Clause */
/* The section `reasons`, on the card payments: sums, groups, actions, what is learned, and complaints. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "mbr/explain.h"
#include "mbr/mbr.h"
#include "mbr/pipeline.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef HAVE_YAML

static mbr_env *env;
static mbr_error err;
static char folder[400], text[40000];

static void setup(void)
{
    const char *srcdir = getenv("srcdir");
    mbr_env_options o = { .size = sizeof o, .threads = 1 };
    snprintf(folder, sizeof folder, "%s/tests/payments", srcdir ? srcdir : ".");
    ck_assert_int_eq(mbr_env_new(&o, &env, &err), MBR_OK);
}

static void teardown(void)
{
    mbr_env_release(&env);
}

/* The pipeline with a section more. */
static mbr_status open_with(const char *section, int fitting, mbr_pipeline **p)
{
    char path[500];
    mbr_pipeline_options o = { .size = sizeof o, .fitting = fitting };
    snprintf(path, sizeof path, "%s/pipeline.yaml", folder);
    FILE *f = fopen(path, "rb");
    ck_assert_ptr_nonnull(f);
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    ck_assert_uint_lt(n + strlen(section), sizeof text);
    strcpy(text + n, section);
    return mbr_pipeline_open_memory(env, text, strlen(text), path, &o, p, &err);
}

typedef struct seen {
    const char *action; /* whose decisions have reasons; NULL: all */
    int rows, with, most, repeats;
    double sums[600], base, worst;
    const char *want;
} seen;

static mbr_status look(void *user, const mbr_decision *d)
{
    seen *s = user;
    double sum = 0;
    ck_assert_int_le(d->reason_count, s->most);
    ck_assert(!s->action || strcmp(d->action, s->action) == 0 || d->reason_count == 0);
    for (int i = 0; i < d->reason_count; i++) {
        const mbr_reason *r = &d->reasons[i];
        sum += r->contribution;
        ck_assert(i == 0 || fabs(d->reasons[i - 1].contribution) >= fabs(r->contribution));
        if (s->want && strcmp(r->name, s->want) == 0)
            s->repeats++;
    }
    s->with += d->reason_count > 0;
    if (!isnan(s->base))
        s->worst = fmax(s->worst, fabs(1 / (1 + exp(-(s->base + sum))) - d->scores[0]));
    ck_assert_int_lt(s->rows, 600);
    s->sums[s->rows++] = sum;
    return MBR_OK;
}

static void decide(const char *section, int batch, seen *s)
{
    mbr_pipeline *p;
    mbr_decider *d;
    char path[500];
    mbr_decider_options o = { .size = sizeof o, .batch = batch };
    snprintf(path, sizeof path, "%s/sample.csv", folder);
    ck_assert_msg(open_with(section, 0, &p) == MBR_OK, "%s", err.text);
    ck_assert_msg(mbr_decider_new(p, &o, &d, &err) == MBR_OK, "%s", err.text);
    mbr_pipeline_release(&p);
    ck_assert_msg(mbr_decider_file(d, path, MBR_ROWS_AUTO, look, s, NULL, &err) == MBR_OK, "%s", err.text);
    mbr_decider_release(&d);
}

static double base_of_model(void)
{
    char path[500];
    mbr_model *m;
    mbr_explainer *e;
    mbr_explainer_facts f = { .size = sizeof f };
    snprintf(path, sizeof path, "%s/model.onnx", folder);
    ck_assert_int_eq(mbr_model_open(env, path, NULL, &m, &err), MBR_OK);
    ck_assert_msg(mbr_explainer_new(m, NULL, &e, &err) == MBR_OK, "%s", err.text);
    mbr_explainer_get_facts(e, &f);
    mbr_explainer_release(&e);
    mbr_model_release(&m);
    return f.base;
}

/* Base and all reasons together are the model's own score; batches do not matter. */
START_TEST(reasons_add_up)
{
    static seen a, b;
    a = b = (seen){ .most = 64, .base = base_of_model() };
    decide("\nreasons: {top: 64, direction: both}\n", 256, &a);
    decide("\nreasons: {top: 64, direction: both}\n", 1, &b);
    ck_assert_int_gt(a.rows, 500);
    ck_assert_double_lt(a.worst, 1e-6);
    ck_assert(a.rows == b.rows && memcmp(a.sums, b.sums, sizeof a.sums) == 0);
}
END_TEST

START_TEST(actions_groups_and_directions)
{
    static seen s;
    s = (seen){ .most = 2, .base = NAN, .action = "DECLINE" };
    decide("\nreasons: {top: 2, actions: [DECLINE]}\n", 0, &s);
    ck_assert(s.with > 0 && s.with < s.rows);
    for (int i = 0; i < s.rows; i++)
        ck_assert_double_ge(s.sums[i], 0);
    s = (seen){ .most = 64, .base = NAN };
    decide("\nreasons: {top: 64, direction: lowers}\n", 0, &s);
    for (int i = 0; i < s.rows; i++)
        ck_assert_double_le(s.sums[i], 0);
    /* three columns of one text are one reason, and nothing else is shown */
    s = (seen){ .most = 1, .base = NAN, .want = "when it was" };
    decide("\nreasons:\n  top: 64\n  direction: both\n  unnamed: hide\n"
           "  columns: {hour: when it was, weekday: when it was, hour_circle: when it was}\n", 0, &s);
    ck_assert_int_eq(s.repeats, s.with);
    ck_assert_int_gt(s.with, 0);
}
END_TEST

START_TEST(learned_from_a_file)
{
    static seen s;
    mbr_pipeline *p;
    char learned[100], section[500], rows_path[500], cwd[300];
    uint64_t rows = 0;
    ck_assert_ptr_nonnull(getcwd(cwd, sizeof cwd - 1));
    snprintf(learned, sizeof learned, "test_reasons.%ld.tmp", (long)getpid());
    snprintf(section, sizeof section, "\nreasons: {top: 3, learned: %s/%s}\n", cwd, learned);
    snprintf(rows_path, sizeof rows_path, "%s/sample.csv", folder);
    ck_assert_int_eq(open_with(section, 0, &p), MBR_ERR_IO); /* not yet there */
    ck_assert_msg(open_with(section, 1, &p) == MBR_OK, "%s", err.text);
    ck_assert_msg(mbr_explain_fit(p, rows_path, MBR_ROWS_AUTO, learned, &rows, &err) == MBR_OK, "%s", err.text);
    ck_assert_int_eq(mbr_explain_fit(p, "there-is-none.csv", MBR_ROWS_AUTO, learned, NULL, &err), MBR_ERR_IO);
    ck_assert_int_eq(mbr_explain_fit(p, rows_path, MBR_ROWS_AUTO, "no/such/folder", NULL, &err), MBR_ERR_IO);
    mbr_pipeline_release(&p);
    s = (seen){ .most = 3, .base = NAN };
    decide(section, 0, &s);
    ck_assert_int_eq((int)rows, s.rows);
    ck_assert_int_gt(s.with, s.rows / 2);
    remove(learned);
}
END_TEST

START_TEST(complaints)
{
    static const char *const bad[] = {
        "\nreasons: {top: 0}\n", "'top'",
        "\nreasons: {tip: 3}\n", "top",
        "\nreasons: {columns: {hoor: x}}\n", "hoor",
        "\nreasons: {columns: {amount: x}}\n", "no column of the explained tensor",
        "\nreasons: {actions: [HOLD]}\n", "HOLD",
        "\nreasons: {node: other}\n", "other",
        "\nreasons: {target: 7}\n", "target 7",
        "\nreasons: {direction: up}\n", "direction",
    };
    mbr_pipeline *p;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i += 2) {
        ck_assert_int_ne(open_with(bad[i], 0, &p), MBR_OK);
        ck_assert_ptr_null(p);
        ck_assert_msg(strstr(err.text, bad[i + 1]) && strstr(err.text, "pipeline.yaml:"), "%s: %s", bad[i], err.text);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reasons");
    TCase *c = tcase_create("reasons");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, reasons_add_up);
    tcase_add_test(c, actions_groups_and_directions);
    tcase_add_test(c, learned_from_a_file);
    tcase_add_test(c, complaints);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

#else

int main(void)
{
    return 77;
}

#endif
