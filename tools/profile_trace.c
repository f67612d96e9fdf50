/* SPDX-License-Identifier: BSD-2-Clause */
/* The trace format of Chrome, which Perfetto reads: complete events ("X") in microseconds, a track for each thread. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "tools/profile.h"

#include <stdlib.h>

#define MOST_RUNS 5
#define MOST_SPANS 200000 /* a thread */
#define TRACE_MS 2000.0

typedef struct stretch {
    double begin, end; /* ns */
} stretch;

static void track(FILE *f, int tid, const char *name, int number)
{
    fprintf(f, ",\n{\"ph\": \"M\", \"pid\": 1, \"tid\": %d, \"name\": \"thread_name\", \"args\": {\"name\": \"%s", tid,
            name);
    if (number >= 0)
        fprintf(f, " %d", number);
    fprintf(f, "\"}},\n{\"ph\": \"M\", \"pid\": 1, \"tid\": %d, \"name\": \"thread_sort_index\", \"args\": "
               "{\"sort_index\": %d}}", tid, tid);
}

static void event(FILE *f, const profile *p, const mbr_profile_span *s, double origin)
{
    const mbr_profile_row *r = &p->rows[s->row];
    char shape[160], op[96];
    shape_text(r, shape, sizeof shape);
    op_text(r->domain, r->op, op, sizeof op);
    fprintf(f, ",\n{\"ph\": \"X\", \"pid\": 1, \"tid\": %d, \"ts\": %.3f, \"dur\": %.3f, \"name\": \"%s\", \"cat\": ",
            s->worker >= -1 ? s->worker + 1 : p->limits.threads - 1 - s->worker, (s->begin_ns - origin) / 1e3,
            (s->end_ns - s->begin_ns) / 1e3, op);
    static const char *const kinds[] = { "\"launch\"", "\"transfer\"", "\"step\"", "\"tiles\"" };
    fputs(kinds[s->worker >= 0 ? 3 : s->worker + 3], f);
    fprintf(f, ", \"args\": {\"node\": ");
    print_json_string(f, r->node);
    fprintf(f, ", \"kernel\": \"%s\", \"output\": \"%s\", \"step\": %d", r->kernel, shape, s->row);
    if (s->worker >= 0)
        fprintf(f, ", \"phase\": %d, \"tiles\": %zu", s->phase, s->tiles);
    fputs("}}", f);
}

static int print_trace(FILE *f, const profile *p, const stretch *runs, int n_runs)
{
    mbr_error err;
    double origin = n_runs ? runs[0].begin : 0;
    fputs("{\"displayTimeUnit\": \"ns\", \"traceEvents\": [\n"
          "{\"ph\": \"M\", \"pid\": 1, \"name\": \"process_name\", \"args\": {\"name\": ", f);
    print_json_string(f, p->o->positional[0]);
    fputs("}}", f);
    track(f, 0, "steps", -1);
    for (int i = 0; i < p->limits.threads; i++)
        track(f, i + 1, "thread", i);
    int n = mbr_session_profile_span_count(p->l.session), tracks[] = { 0, 0 };
    for (int i = 0; i < n; i++) {
        mbr_profile_span s = { .size = sizeof s };
        if (mbr_session_profile_span(p->l.session, i, &s, &err) == MBR_OK && s.worker <= -2)
            tracks[-2 - s.worker] = 1;
    }
    if (tracks[0])
        track(f, p->limits.threads + 1, "transfers", -1);
    if (tracks[1])
        track(f, p->limits.threads + 2, "device", -1);
    for (int i = 0; i < n_runs; i++)
        fprintf(f, ",\n{\"ph\": \"X\", \"pid\": 1, \"tid\": 0, \"ts\": %.3f, \"dur\": %.3f, \"name\": \"run %d\", "
                   "\"cat\": \"run\"}",
                (runs[i].begin - origin) / 1e3, (runs[i].end - runs[i].begin) / 1e3, i);
    for (int i = 0; i < n; i++) {
        mbr_profile_span s = { .size = sizeof s };
        if (mbr_session_profile_span(p->l.session, i, &s, &err) != MBR_OK)
            return fail_with(&err);
        event(f, p, &s, origin);
    }
    fputs("\n]}\n", f);
    return EXIT_DONE;
}

int write_trace(profile *p, const char *path)
{
    mbr_error err;
    stretch runs[MOST_RUNS];
    int n_runs = 0;
    if (mbr_session_profile_spans(p->l.session, MOST_SPANS, &err) != MBR_OK)
        return fail_with(&err);
    double end = now_ms() + TRACE_MS;
    while (n_runs < MOST_RUNS && (n_runs == 0 || now_ms() < end)) {
        stretch *s = &runs[n_runs++];
        s->begin = now_ms() * 1e6;
        if (mbr_session_run(p->l.session, &err) != MBR_OK)
            return fail_with(&err);
        s->end = now_ms() * 1e6;
    }
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (!f) {
        say_error("%s: out of memory", path);
        return EXIT_RESOURCES;
    }
    int st = print_trace(f, p, runs, n_runs);
    bool whole = !ferror(f);
    if ((fclose(f) != 0 || !whole) && st == EXIT_DONE) {
        say_error("%s: out of memory", path);
        st = EXIT_RESOURCES;
    }
    if (st == EXIT_DONE && !write_file(path, text, size))
        st = EXIT_RESOURCES;
    free(text);
    return st;
}
