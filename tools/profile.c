/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "tools/profile.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define WARM_RUNS 3
#define LEAST_RUNS 5

static int measure(profile *p)
{
    mbr_error err;
    int st = bind_set(p->l.session, &p->l.sets[0]);
    p->limits.size = sizeof p->limits;
    if (st == EXIT_DONE && mbr_env_measure(p->l.env, &p->limits, &err) != MBR_OK)
        st = fail_with(&err);
    for (int i = 0; i < WARM_RUNS && st == EXIT_DONE; i++)
        if (mbr_session_run(p->l.session, &err) != MBR_OK)
            st = fail_with(&err);
    if (st == EXIT_DONE && mbr_session_profile_start(p->l.session, &err) != MBR_OK)
        st = fail_with(&err);
    double end = now_ms() + p->o->seconds * 1e3;
    while (st == EXIT_DONE && (now_ms() < end || p->runs < LEAST_RUNS)) {
        double t = now_ms();
        if (mbr_session_run(p->l.session, &err) != MBR_OK)
            st = fail_with(&err);
        p->wall_ns += (now_ms() - t) * 1e6;
        p->runs++;
    }
    return st;
}

static int collect(profile *p)
{
    mbr_error err;
    p->n_rows = mbr_session_profile_count(p->l.session);
    p->n_nodes = mbr_session_profile_node_count(p->l.session);
    p->rows = calloc((size_t)p->n_rows + 1, sizeof *p->rows);
    p->nodes = calloc((size_t)p->n_nodes + 1, sizeof *p->nodes);
    if (!p->rows || !p->nodes) {
        say_error("out of memory for %d rows", p->n_rows + p->n_nodes);
        return EXIT_RESOURCES;
    }
    for (int i = 0; i < p->n_rows; i++) {
        p->rows[i].size = sizeof *p->rows;
        if (mbr_session_profile_row(p->l.session, i, &p->rows[i], &err) != MBR_OK)
            return fail_with(&err);
        p->steps_ns += p->rows[i].ns;
        p->largest_ns = p->rows[i].ns > p->largest_ns ? p->rows[i].ns : p->largest_ns;
        p->weight_bytes += p->rows[i].weight_bytes / (double)p->runs;
    }
    for (int i = 0; i < p->n_nodes; i++) {
        p->nodes[i].size = sizeof *p->nodes;
        if (mbr_session_profile_node(p->l.session, i, &p->nodes[i], &err) != MBR_OK)
            return fail_with(&err);
    }
    return EXIT_DONE;
}

/* --- costs --- */

cost row_cost(const mbr_profile_row *r)
{
    return (cost){ r->ns, r->flop, r->bytes, r->weight_bytes };
}

cost node_cost(const mbr_profile_node *n)
{
    return (cost){ n->ns, n->flop, n->bytes, n->weight_bytes };
}

static double read_ns(const profile *p, double bytes, double footprint)
{
    int level = 0;
    while (level < 2 && footprint > (double)p->limits.read_bytes[level])
        level++;
    return p->limits.read[level] > 0 ? bytes / p->limits.read[level] * 1e9 : 0;
}

double least_ns(const profile *p, const char *op, cost c)
{
    double runs = (double)p->runs, values = c.bytes - c.weight_bytes;
    bool bytes_only = strstr(op, "QLinear") || strstr(op, "Integer") || strstr(op, "QGemm");
    double compute = bytes_only || !(p->limits.flops > 0) ? 0 : c.flop / p->limits.flops * 1e9;
    double memory = read_ns(p, c.weight_bytes, p->weight_bytes) + read_ns(p, values, values / runs);
    return (compute > memory ? compute : memory) / runs;
}

void shape_text(const mbr_profile_row *r, char *text, size_t size)
{
    size_t at = 0;
    text[0] = '\0';
    for (int d = 0; d < r->rank && at + 24 < size; d++)
        at += (size_t)snprintf(text + at, size - at, "%s%" PRId64, d ? "x" : "", r->dims[d]);
}

void op_text(const char *domain, const char *op, char *text, size_t size)
{
    bool plain = strcmp(domain, "ai.onnx") == 0 || !*domain;
    snprintf(text, size, "%s%s%s", plain ? "" : domain, plain ? "" : ".", *op ? op : "(added)");
}

/* --- text --- */

static double per(double a, double b)
{
    return b > 0 ? a / b : 0;
}

static void print_costs(const profile *p, const char *op, cost c)
{
    double runs = (double)p->runs;
    printf("%9.2f %5.1f%% %5.0f%% %8.1f %7.1f  ", c.ns / runs / 1e3, 100 * per(c.ns, p->wall_ns),
           100 * per(least_ns(p, op, c) * runs, c.ns), per(c.flop, c.ns), per(c.bytes, c.ns));
}

static const mbr_profile_node *sorted_nodes;
static const mbr_profile_row *sorted_rows;

static int by_node_time(const void *a, const void *b)
{
    int i = *(const int *)a, k = *(const int *)b;
    double x = sorted_nodes[i].ns, y = sorted_nodes[k].ns;
    return x > y ? -1 : x < y ? 1 : (i > k) - (i < k);
}

static int by_row_time(const void *a, const void *b)
{
    int i = *(const int *)a, k = *(const int *)b;
    double x = sorted_rows[i].ns, y = sorted_rows[k].ns;
    return x > y ? -1 : x < y ? 1 : (i > k) - (i < k);
}

static void print_node(const profile *p, const mbr_profile_node *n)
{
    char op[96], step[96], at[160];
    op_text(n->domain, n->op, op, sizeof op);
    const mbr_profile_row *r = n->row >= 0 ? &p->rows[n->row] : NULL;
    if (n->ns > 0)
        print_costs(p, r ? r->op : n->op, node_cost(n));
    else
        printf("%9s %5.1f%% %6s %8s %7s  ", "0", 0.0, "", "", "");
    step[0] = '\0';
    if (r && *n->how && strcmp(n->how, "view") != 0) {
        op_text(r->domain, r->op, step, sizeof step);
        snprintf(at, sizeof at, "%s of %s, by %s", step, *r->node ? r->node : "(no name)", n->how);
    } else {
        snprintf(at, sizeof at, "%s", n->how);
    }
    printf("%-22s %-24s %-32s %s\n", op, r && *r->kernel && r->calls ? r->kernel : "-", n->node, at);
}

static void print_row(const profile *p, const mbr_profile_row *r)
{
    char shape[160], op[96];
    shape_text(r, shape, sizeof shape);
    op_text(r->domain, r->op, op, sizeof op);
    print_costs(p, r->op, row_cost(r));
    printf("%7.0f  %-28s %-26s %-18s %s\n", (double)r->calls / (double)p->runs, op, r->kernel[0] ? r->kernel : "-",
           shape, r->node);
}

static void print_end(const profile *p)
{
    double runs = (double)p->runs;
    printf("%9.2f us in steps of %.2f us a run, %.2f us between them (%zu runs, %d threads)\n",
           p->steps_ns / runs / 1e3, p->wall_ns / runs / 1e3, (p->wall_ns - p->steps_ns) / runs / 1e3, p->runs,
           p->limits.threads);
    printf("limits measured: %.1f GFLOP/s f32 (%s), %.1f GB/s from own caches, %.1f shared, %.1f memory\n",
           p->limits.flops * 1e-9, p->limits.tier, p->limits.read[0] * 1e-9, p->limits.read[1] * 1e-9,
           p->limits.read[2] * 1e-9);
}

static int print_text(const profile *p)
{
    int n = p->o->steps ? p->n_rows : p->n_nodes;
    int *order = malloc(((size_t)n + 1) * sizeof *order);
    if (!order) {
        say_error("out of memory for %d rows", n);
        return EXIT_RESOURCES;
    }
    for (int i = 0; i < n; i++)
        order[i] = i;
    sorted_nodes = p->nodes;
    sorted_rows = p->rows;
    qsort(order, (size_t)n, sizeof *order, p->o->steps ? by_row_time : by_node_time);
    printf("%9s %6s %6s %8s %7s  ", "us/run", "share", "limit", "GFLOP/s", "GB/s");
    if (p->o->steps)
        printf("%7s  %-28s %-26s %-18s %s\n", "calls", "operator", "kernel", "output", "node");
    else
        printf("%-22s %-24s %-32s %s\n", "operator", "kernel", "node", "taken by");
    for (int i = 0; i < n; i++) {
        if (!p->o->steps)
            print_node(p, &p->nodes[order[i]]);
        else if (p->rows[order[i]].calls)
            print_row(p, &p->rows[order[i]]);
    }
    print_end(p);
    free(order);
    return EXIT_DONE;
}

/* --- JSON --- */

static void json_costs(const profile *p, const char *op, cost c)
{
    double runs = (double)p->runs;
    printf(", \"us\": %.4f, \"share\": %.5f, \"limit_us\": %.4f, \"flop\": %.0f, \"bytes\": %.0f, \"weight_bytes\": %.0f",
           c.ns / runs / 1e3, per(c.ns, p->wall_ns), least_ns(p, op, c) / 1e3, c.flop / runs, c.bytes / runs,
           c.weight_bytes / runs);
}

static void print_json(const profile *p)
{
    double runs = (double)p->runs;
    printf("{\"model\": ");
    print_json_string(stdout, p->o->positional[0]);
    printf(", \"runs\": %zu, \"threads\": %d, \"wall_us\": %.3f, \"steps_us\": %.3f, \"outside_us\": %.3f,\n"
           " \"limits\": {\"tier\": \"%s\", \"gflops\": %.2f, \"read_gbps\": [%.2f, %.2f, %.2f]},\n \"steps\": [",
           p->runs, p->limits.threads, p->wall_ns / runs / 1e3, p->steps_ns / runs / 1e3,
           (p->wall_ns - p->steps_ns) / runs / 1e3, p->limits.tier, p->limits.flops * 1e-9, p->limits.read[0] * 1e-9,
           p->limits.read[1] * 1e-9, p->limits.read[2] * 1e-9);
    for (int i = 0; i < p->n_rows; i++) {
        const mbr_profile_row *r = &p->rows[i];
        printf("%s\n  {\"domain\": \"%s\", \"op\": \"%s\", \"node\": ", i ? "," : "", r->domain, r->op);
        print_json_string(stdout, r->node);
        printf(", \"kernel\": \"%s\", \"device\": \"%s\", \"calls\": %.3f", r->kernel, r->device, (double)r->calls / runs);
        json_costs(p, r->op, row_cost(r));
        printf(", \"least_us\": %.4f, \"shape\": [", r->least_ns / 1e3);
        for (int d = 0; d < r->rank; d++)
            printf("%s%" PRId64, d ? ", " : "", r->dims[d]);
        printf("]}");
    }
    printf("\n],\n \"nodes\": [");
    for (int i = 0; i < p->n_nodes; i++) {
        const mbr_profile_node *n = &p->nodes[i];
        printf("%s\n  {\"domain\": \"%s\", \"op\": \"%s\", \"node\": ", i ? "," : "", n->domain, n->op);
        print_json_string(stdout, n->node);
        printf(", \"step\": %d, \"how\": \"%s\", \"kernel\": \"%s\"", n->row, n->how,
               n->row >= 0 ? p->rows[n->row].kernel : "");
        json_costs(p, n->row >= 0 ? p->rows[n->row].op : n->op, node_cost(n));
        printf("}");
    }
    printf("\n]}\n");
}

static int run(const command_options *o)
{
    static profile p;
    p.o = o;
    command_options afresh = *o; /* what became of each node is known only where the passes ran */
    afresh.cache = "off";
    int st = load_all(&afresh, &p.l);
    if (st == EXIT_DONE)
        st = measure(&p);
    if (st == EXIT_DONE)
        st = collect(&p);
    if (st == EXIT_DONE && o->html)
        st = write_html(&p, o->html);
    if (st == EXIT_DONE && o->json)
        print_json(&p);
    else if (st == EXIT_DONE)
        st = print_text(&p);
    if (st == EXIT_DONE && o->trace)
        st = write_trace(&p, o->trace);
    free(p.rows);
    free(p.nodes);
    unload_all(&p.l);
    return st;
}

const command command_profile = {
    .name = "profile",
    .synopsis = "MODEL [--data DIR] [--threads N] [--seconds S] [--steps] [--json] [--trace FILE] [--html FILE] [options]",
    .what = "tells where the time of a model's runs goes",
    .help = "One line for each node of the model, the slowest first: microseconds in a run, share of the run, least time\n"
            "that the machine needs (as measured at the start) in per cent of it, estimated arithmetic and bytes over\n"
            "the time, operator, kernel, name; and for a node that has no step of its own which step does its work, and\n"
            "the passes and fusion rules that saw to it. A step of several nodes counts with those that do the bulk of\n"
            "it (products, convolutions), else in equal parts. A limit above 100 per cent: Winograd does less arithmetic\n"
            "than is counted, or data came from a nearer cache than its size lets expect.\n",
    .accepts = OPT_DATA | OPT_INPUT | OPT_THREADS | OPT_SECONDS | OPT_JSON | OPT_PASSES | OPT_PROFILE | OPT_PLACE,
    .min_positional = 1,
    .max_positional = 1,
    .run = run,
};
