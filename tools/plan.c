/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/plan.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int collect(const mbr_plan *plan, shown_plan *p)
{
    mbr_error err;
    p->n = mbr_plan_count(plan);
    p->rows = calloc((size_t)p->n + 1, sizeof *p->rows);
    p->totals.size = sizeof p->totals;
    if (!p->rows) {
        say_error("out of memory for %d rows", p->n);
        return EXIT_RESOURCES;
    }
    for (int i = 0; i < p->n; i++) {
        p->rows[i].size = sizeof *p->rows;
        if (mbr_plan_at(plan, i, &p->rows[i], &err) != MBR_OK)
            return fail_with(&err);
    }
    if (mbr_plan_get_totals(plan, &p->totals, &err) != MBR_OK)
        return fail_with(&err);
    return EXIT_DONE;
}

static void shape_of(const mbr_plan_row *r, char *text, size_t size)
{
    size_t at = (size_t)snprintf(text, size, "%s", r->rank < 0 ? "?" : r->rank ? "" : "1");
    for (int d = 0; d < r->rank && at + 24 < size; d++)
        at += (size_t)snprintf(text + at, size - at, "%s%" PRId64, d ? "x" : "", r->dims[d]);
}

/* --- text --- */

static void print_brief(const shown_plan *p)
{
    printf("machine: %s\nteam: %s\nweights: %s\n", p->totals.machine, p->totals.team, p->totals.weights);
    for (int i = 0; i < p->n; i++) {
        const mbr_plan_row *r = &p->rows[i];
        char place[32];
        snprintf(place, sizeof place, "cpu x%d", r->threads);
        printf("%-12s %-20s %-24s %s\n", r->device_index ? r->device : place, r->op, r->node, r->why);
    }
}

static void print_text(const shown_plan *p)
{
    const mbr_plan_totals *t = &p->totals;
    printf("machine: %s\nteam:    %s\nweights: %s\nrates:   %s\n\n", t->machine, t->team, t->weights, t->rates);
    printf("%10s %10s  %-12s %5s %-24s %-20s %-32s %s\n", "begin us", "us", "device", "cores", "operator", "output",
           "node", "why");
    for (int i = 0; i < p->n; i++) {
        const mbr_plan_row *r = &p->rows[i];
        char shape[160], cores[16];
        shape_of(r, shape, sizeof shape);
        snprintf(cores, sizeof cores, r->device_index ? "-" : "%d", r->threads);
        printf("%10.2f %10.2f  %-12s %5s %-24s %-20s %-32s %s\n", r->begin_us, r->us, r->device, cores, r->op, shape,
               r->node, r->why);
    }
    printf("\n%-12s %7s %12s %12s %14s %16s\n", "device", "steps", "busy us", "GFLOP", "weights MB", "activations MB");
    for (int d = 0; d < t->n_devices; d++)
        printf("%-12s %7.0f %12.2f %12.3f %14.3f %16.3f\n", t->devices[d], t->steps[d], t->busy_us[d], t->flop[d] / 1e9,
               t->weight_bytes[d] / 1e6, t->activation_bytes[d] / 1e6);
    printf("a run: %.2f us", t->us);
    if (t->n_devices > 1)
        printf("; on the processor alone %.2f us; %.3f MB are transferred", t->cpu_us, t->transfer_bytes / 1e6);
    printf("\nmemory: packed weights %.3f MB, copies of weights %.3f MB\n", t->packed_bytes / 1e6, t->replica_bytes / 1e6);
}

/* --- JSON --- */

static void print_json(const shown_plan *p)
{
    const mbr_plan_totals *t = &p->totals;
    printf("{\"model\": ");
    print_json_string(stdout, p->model);
    printf(", \"machine\": ");
    print_json_string(stdout, t->machine);
    printf(", \"team\": ");
    print_json_string(stdout, t->team);
    printf(", \"weights\": ");
    print_json_string(stdout, t->weights);
    printf(",\n \"rates\": \"%s\", \"threads\": %d, \"us\": %.3f, \"cpu_us\": %.3f, \"transfer_bytes\": %.0f, "
           "\"packed_bytes\": %.0f, \"replica_bytes\": %.0f,\n \"devices\": [", t->rates, t->threads, t->us, t->cpu_us,
           t->transfer_bytes, t->packed_bytes, t->replica_bytes);
    for (int d = 0; d < t->n_devices; d++) {
        printf("%s\n  {\"name\": ", d ? "," : "");
        print_json_string(stdout, t->devices[d]);
        printf(", \"steps\": %.0f, \"busy_us\": %.3f, \"flop\": %.0f, \"weight_bytes\": %.0f, "
               "\"activation_bytes\": %.0f}", t->steps[d], t->busy_us[d], t->flop[d], t->weight_bytes[d],
               t->activation_bytes[d]);
    }
    printf("],\n \"steps\": [");
    for (int i = 0; i < p->n; i++) {
        const mbr_plan_row *r = &p->rows[i];
        printf("%s\n  {\"domain\": \"%s\", \"op\": \"%s\", \"node\": ", i ? "," : "", r->domain, r->op);
        print_json_string(stdout, r->node);
        printf(", \"kernel\": \"%s\", \"device\": ", r->kernel);
        print_json_string(stdout, r->device);
        printf(", \"threads\": %d, \"why\": ", r->threads);
        print_json_string(stdout, r->why);
        printf(", \"begin_us\": %.3f, \"us\": %.3f, \"cpu_us\": %.3f, \"device_us\": %.3f, \"transfer_bytes\": %.0f, "
               "\"transfer_us\": %.3f, \"flop\": %.0f, \"bytes\": %.0f, \"weight_bytes\": %.0f, \"inputs\": [",
               r->begin_us, r->us, r->cpu_us, r->device_us, r->transfer_bytes, r->transfer_us, r->flop, r->bytes,
               r->weight_bytes);
        for (int k = 0; k < r->n_inputs; k++)
            printf("%s%d", k ? ", " : "", r->inputs[k]);
        printf("], \"shape\": [");
        for (int d = 0; d < r->rank; d++)
            printf("%s%" PRId64, d ? ", " : "", r->dims[d]);
        printf("]}");
    }
    printf("\n]}\n");
}

/* --- the command --- */

/* The whole graph in one program: what is cut into batches for the caches' sake has its steps in bodies. */
static int open_session(const command_options *o, loaded *l)
{
    char passes[1024];
    command_options whole = *o;
    snprintf(passes, sizeof passes, "%s%s-batch", o->passes ? o->passes : "", o->passes ? "," : "");
    if (!is_automatic(o)) { /* else it is what a session runs */
        whole.passes = passes;
        whole.placement = whole.devices = NULL;
    }
    mbr_error err;
    int st = open_env(&whole, &l->env);
    if (st == EXIT_DONE)
        st = open_model(&whole, l->env, o->positional[0], &l->model);
    if (st == EXIT_DONE && mbr_session_new(l->model, NULL, &l->session, &err) != MBR_OK)
        st = fail_with(&err);
    if (st != EXIT_DONE || (!o->n_data && !o->n_named))
        return st;
    l->n_sets = 1;
    if (!value_set_new(&l->sets[0], mbr_model_input_count(l->model)))
        return EXIT_RESOURCES;
    if (o->n_data)
        st = load_folder(l->env, l->model, o->data[0], &l->sets[0]);
    for (int i = 0; i < o->n_named && st == EXIT_DONE; i++)
        st = load_named(l->env, l->model, o->named[i], &l->sets[0]);
    if (st == EXIT_DONE)
        st = require_inputs(l->model, o->positional[0], &l->sets[0]);
    if (st == EXIT_DONE)
        st = bind_set(l->session, &l->sets[0]);
    if (st == EXIT_DONE && mbr_session_run(l->session, &err) != MBR_OK) /* sizes that only a run tells */
        st = fail_with(&err);
    return st;
}

static int show(const command_options *o, const shown_plan *p)
{
    int st = EXIT_DONE;
    if (o->dot)
        st = write_dot(p, o->dot);
    if (o->svg && st == EXIT_DONE)
        st = write_svg(p, o->svg);
    if (st == EXIT_DONE)
        o->json ? print_json(p) : o->brief ? print_brief(p) : print_text(p);
    return st;
}

static int run(const command_options *o)
{
    static loaded l;
    static mbr_plan_device devices[MOST_DEVICES];
    mbr_plan_options po = { .size = sizeof po, .topology = o->topology, .devices = devices, .threads = o->threads,
                            .cache_dir = o->cache, .replica_bytes = (double)o->replicas, .free_size = o->free_size };
    mbr_plan *plan = NULL;
    mbr_error err;
    shown_plan p = { .model = o->positional[0] };
    void *kept = NULL;
    bool chosen = is_automatic(o); /* then pins and devices are the model's */
    char *pins = o->placement && !chosen ? read_text(o->placement) : NULL, *rates = o->rates ? read_text(o->rates) : NULL;
    int st = (o->placement && !chosen && !pins) || (o->rates && !rates) ? EXIT_BAD_INPUT : EXIT_DONE;
    po.placement = pins;
    po.rates = rates;
    if (st == EXIT_DONE && o->devices && !chosen)
        st = read_devices(o->devices, devices, &po.n_devices, &kept);
    if (st == EXIT_DONE)
        st = open_session(o, &l);
    if (st == EXIT_DONE && mbr_session_plan(l.session, &po, &plan, &err) != MBR_OK)
        st = fail_with(&err);
    if (st == EXIT_DONE)
        st = collect(plan, &p);
    if (st == EXIT_DONE)
        st = show(o, &p);
    free(p.rows);
    mbr_plan_release(&plan);
    unload_all(&l);
    drop_devices(kept);
    free(pins);
    free(rates);
    return st;
}

const command command_plan = {
    .name = "plan",
    .synopsis = "MODEL [--data DIR] [--topology FILE] [--devices FILE.json] [--placement FILE] [--json] [--dot FILE] "
                "[--svg FILE] [options]",
    .what = "tells where each step of a model would run, on how many cores, why, and how long it should take",
    .help = "One line for each step of the program in its order. Times are estimates, from rates that were measured on this\n"
            "machine's cores once (in less than two seconds, kept in MBR_CACHE or ~/.cache/mbr), or from --rates. With\n"
            "--data the model runs once, so that sizes are known which follow from data.\n",
    .accepts = OPT_DATA | OPT_INPUT | OPT_THREADS | OPT_JSON | OPT_PASSES | OPT_PLAN | OPT_PLACE,
    .min_positional = 1,
    .max_positional = 1,
    .run = run,
};
