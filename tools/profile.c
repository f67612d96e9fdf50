/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/command.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define WARM_RUNS 3
#define LEAST_RUNS 5

typedef struct profile {
    mbr_env *env;
    mbr_model *model;
    mbr_session *session;
    value_set set;
    size_t runs;
    double wall_ms; /* of all runs */
} profile;

static int load(const command_options *o, profile *p)
{
    mbr_error err;
    int st = open_env(o, &p->env);
    if (st == EXIT_DONE)
        st = open_model(o, p->env, o->positional[0], &p->model);
    if (st != EXIT_DONE)
        return st;
    if (mbr_session_new(p->model, NULL, &p->session, &err) != MBR_OK)
        return fail_with(&err);
    if (!value_set_new(&p->set, mbr_model_input_count(p->model)))
        return EXIT_RESOURCES;
    if (o->n_data)
        st = load_folder(p->env, p->model, o->data[0], &p->set);
    for (int k = 0; k < o->n_named && st == EXIT_DONE; k++)
        st = load_named(p->env, p->model, o->named[k], &p->set);
    return st == EXIT_DONE ? require_inputs(p->model, o->positional[0], &p->set) : st;
}

static int measure(const command_options *o, profile *p)
{
    mbr_error err;
    int st = bind_set(p->session, &p->set);
    for (int i = 0; i < WARM_RUNS && st == EXIT_DONE; i++)
        if (mbr_session_run(p->session, &err) != MBR_OK)
            st = fail_with(&err);
    if (st == EXIT_DONE && mbr_session_profile_start(p->session, &err) != MBR_OK)
        st = fail_with(&err);
    double end = now_ms() + o->seconds * 1e3;
    while (st == EXIT_DONE && (now_ms() < end || p->runs < LEAST_RUNS)) {
        double t = now_ms();
        if (mbr_session_run(p->session, &err) != MBR_OK)
            st = fail_with(&err);
        p->wall_ms += now_ms() - t;
        p->runs++;
    }
    return st;
}

static int by_time(const void *a, const void *b)
{
    double x = ((const mbr_profile_row *)a)->ns, y = ((const mbr_profile_row *)b)->ns;
    return x > y ? -1 : x < y;
}

static void shape_text(const mbr_profile_row *r, char *text, size_t size)
{
    size_t at = 0;
    text[0] = '\0';
    for (int d = 0; d < r->rank && at + 24 < size; d++)
        at += (size_t)snprintf(text + at, size - at, "%s%" PRId64, d ? "x" : "", r->dims[d]);
}

static void print_rows(const profile *p, const mbr_profile_row *rows, int n, double total)
{
    double runs = (double)p->runs, shown = 0;
    printf("%9s %6s %8s %7s %7s  %-28s %-26s %-18s %s\n", "us/run", "share", "calls", "GFLOP/s", "GB/s", "operator",
           "kernel", "output", "node");
    for (int i = 0; i < n && rows[i].calls; i++) {
        const mbr_profile_row *r = &rows[i];
        char shape[160], op[64];
        shape_text(r, shape, sizeof shape);
        snprintf(op, sizeof op, "%s%s%s", strcmp(r->domain, "ai.onnx") ? r->domain : "",
                 strcmp(r->domain, "ai.onnx") ? "." : "", r->op);
        printf("%9.2f %5.1f%% %8.0f %7.1f %7.1f  %-28s %-26s %-18s %s\n", r->ns / runs / 1e3, 100 * r->ns / total,
               (double)r->calls / runs, r->ns > 0 ? r->flop / r->ns : 0, r->ns > 0 ? r->bytes / r->ns : 0, op,
               r->kernel[0] ? r->kernel : "-", shape, r->node);
        shown += r->ns;
    }
    printf("%9.2f us in steps of %.2f us a run (%zu runs)\n", shown / runs / 1e3, p->wall_ms * 1e3 / runs, p->runs);
}

static void print_json(const profile *p, const command_options *o, const mbr_profile_row *rows, int n)
{
    double runs = (double)p->runs;
    printf("{\"model\": ");
    print_json_string(stdout, o->positional[0]);
    printf(", \"runs\": %zu, \"wall_us\": %.3f, \"steps\": [", p->runs, p->wall_ms * 1e3 / runs);
    for (int i = 0; i < n; i++) {
        const mbr_profile_row *r = &rows[i];
        printf("%s\n  {\"domain\": \"%s\", \"op\": \"%s\", \"node\": ", i ? "," : "", r->domain, r->op);
        print_json_string(stdout, r->node);
        printf(", \"kernel\": \"%s\", \"calls\": %.3f, \"us\": %.4f, \"flop\": %.0f, \"bytes\": %.0f, \"shape\": [",
               r->kernel, (double)r->calls / runs, r->ns / runs / 1e3, r->flop / runs, r->bytes / runs);
        for (int d = 0; d < r->rank; d++)
            printf("%s%" PRId64, d ? ", " : "", r->dims[d]);
        printf("]}");
    }
    printf("\n]}\n");
}

static int report(const command_options *o, const profile *p)
{
    mbr_error err;
    int n = mbr_session_profile_count(p->session);
    double total = 0;
    mbr_profile_row *rows = calloc((size_t)n + 1, sizeof *rows);
    if (!rows) {
        say_error("out of memory for %d rows", n);
        return EXIT_RESOURCES;
    }
    for (int i = 0; i < n; i++) {
        rows[i].size = sizeof *rows;
        if (mbr_session_profile_row(p->session, i, &rows[i], &err) != MBR_OK) {
            free(rows);
            return fail_with(&err);
        }
        total += rows[i].ns;
    }
    if (o->json) {
        print_json(p, o, rows, n);
    } else {
        qsort(rows, (size_t)n, sizeof *rows, by_time);
        print_rows(p, rows, n, total);
    }
    free(rows);
    return EXIT_DONE;
}

static int run(const command_options *o)
{
    profile p = { 0 };
    int st = load(o, &p);
    if (st == EXIT_DONE)
        st = measure(o, &p);
    if (st == EXIT_DONE)
        st = report(o, &p);
    mbr_session_release(&p.session);
    value_set_free(&p.set);
    mbr_model_release(&p.model);
    mbr_env_release(&p.env);
    return st;
}

const command command_profile = {
    .name = "profile",
    .synopsis = "MODEL [--data DIR] [--input NAME=FILE]... [--threads N] [--seconds S] [--json] [options]",
    .what = "tells where the time of a model's runs goes",
    .help = "One line for each step of the program, the slowest first: microseconds in a run, share, calls in a run,\n"
            "estimated arithmetic and bytes over the time, operator after fusion, kernel, shape of the output, and the\n"
            "name of the node that it stands for. --json prints the steps in their order.\n",
    .accepts = OPT_DATA | OPT_INPUT | OPT_THREADS | OPT_SECONDS | OPT_JSON | OPT_PASSES,
    .min_positional = 1,
    .max_positional = 1,
    .run = run,
};
