/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/command.h"

#include <stdlib.h>
#include <string.h>

#define LEAST_RUNS 6
#define WARM_RUNS 4

typedef struct bench {
    loaded l;
    double first_ms;
    double *times;
    size_t runs, room;
    size_t allocations; /* in the timed runs */
} bench;

/* One call as a user makes it: inputs bound anew, outputs left complete. */
static int call(bench *b, int set, double *ms)
{
    mbr_error err;
    double t = now_ms();
    int st = bind_set(b->l.session, &b->l.sets[set]);
    if (st == EXIT_DONE && mbr_session_run(b->l.session, &err) != MBR_OK)
        st = fail_with(&err);
    *ms = now_ms() - t;
    return st;
}

static int by_time(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static int timed_call(bench *b, int set)
{
    if (b->runs == b->room) {
        size_t room = b->room ? b->room * 2 : 4096;
        double *times = realloc(b->times, room * sizeof *times);
        if (!times) {
            say_error("out of memory for %zu times", room);
            return EXIT_RESOURCES;
        }
        b->times = times;
        b->room = room;
    }
    return call(b, set, &b->times[b->runs++]);
}

static int measure(const command_options *o, bench *b)
{
    mbr_memory_use before, after;
    double ms;
    int st = call(b, 0, &b->first_ms);
    for (int i = 0; i < WARM_RUNS && st == EXIT_DONE; i++)
        st = call(b, i % b->l.n_sets, &ms);
    mbr_env_memory(b->l.env, &before);
    double end = now_ms() + o->seconds * 1e3;
    while (st == EXIT_DONE && (now_ms() < end || b->runs < LEAST_RUNS))
        st = timed_call(b, (int)(b->runs % (size_t)b->l.n_sets));
    mbr_env_memory(b->l.env, &after);
    b->allocations = after.allocations - before.allocations;
    return st;
}

static double quantile(const double *sorted, size_t n, double q)
{
    double at = q * (double)(n - 1);
    size_t i = (size_t)at;
    return i + 1 < n ? sorted[i] + (at - (double)i) * (sorted[i + 1] - sorted[i]) : sorted[n - 1];
}

static void report(const command_options *o, bench *b, double rss)
{
    qsort(b->times, b->runs, sizeof *b->times, by_time);
    double median = quantile(b->times, b->runs, 0.5), p99 = quantile(b->times, b->runs, 0.99);
    if (o->json) {
        printf("{\"engine\": \"mbr\", \"model\": ");
        print_json_string(stdout, o->positional[0]);
        printf(", \"load_ms\": %.3f, \"first_ms\": %.4f, \"median_ms\": %.5f, \"p99_ms\": %.5f, \"min_ms\": %.5f, "
               "\"runs\": %zu, \"peak_rss_mb\": %.2f, \"threads\": %d, \"allocations\": %zu}\n",
               b->l.load_ms, b->first_ms, median, p99, b->times[0], b->runs, rss, mbr_env_threads(b->l.env),
               b->allocations);
        return;
    }
    printf("load %.2f ms, first run %.3f ms\n", b->l.load_ms, b->first_ms);
    printf("median %.4f ms, p99 %.4f, min %.4f (%zu runs, %d threads)\n", median, p99, b->times[0], b->runs,
           mbr_env_threads(b->l.env));
    printf("peak memory %.1f MB, %zu allocations in the timed runs\n", rss, b->allocations);
}

/* The last timed call on each set, and its outputs. */
static int save(const command_options *o, bench *b)
{
    int st = EXIT_DONE;
    for (int i = 0; i < b->l.n_sets && st == EXIT_DONE; i++) {
        const char *folder = o->n_data ? o->data[i] : "data";
        size_t n = strlen(folder);
        while (n > 1 && folder[n - 1] == '/')
            n--;
        size_t first = n;
        while (first > 0 && folder[first - 1] != '/')
            first--;
        char name[256];
        snprintf(name, sizeof name, "%.*s", (int)(n - first), folder + first);
        char *path = join_path(o->save, name);
        if (!path)
            return fail_input("out of memory");
        st = timed_call(b, i);
        if (st == EXIT_DONE)
            st = save_outputs(b->l.env, b->l.model, b->l.session, path);
        free(path);
    }
    return st;
}

static int run(const command_options *o)
{
    static bench b;
    int st = load_all(o, &b.l);
    if (st == EXIT_DONE)
        st = measure(o, &b);
    double rss = peak_rss_mb(); /* before the outputs are written out */
    if (st == EXIT_DONE && o->save)
        st = save(o, &b);
    if (st == EXIT_DONE)
        report(o, &b, rss);
    free(b.times);
    unload_all(&b.l);
    return st;
}

const command command_bench = {
    .name = "bench",
    .synopsis = "MODEL [--data DIR]... [--threads N] [--seconds S] [--json] [--save DIR] [options]",
    .what = "loads a model, warms it and times its runs",
    .help = "Each call binds its inputs anew and leaves every output complete. Calls alternate between the data\n"
            "folders; --save writes the outputs of each to DIR/<name of that folder>/output_K.pb.\n",
    .accepts = OPT_DATA | OPT_INPUT | OPT_SAVE | OPT_THREADS | OPT_SECONDS | OPT_JSON | OPT_PASSES | OPT_PLACE,
    .min_positional = 1,
    .max_positional = 1,
    .run = run,
};
