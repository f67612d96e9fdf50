/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How long one decision takes: a row of CSV goes in, the action comes out, with all that the pipeline says (features,
 * state, model, reasons, log, drift) in between.
 *
 *     bench-decide PIPELINE ROWS.csv [--rows 200000] [--threads 1] [--batch 1] [--log FILE|off]
 *         [--time COLUMN=SECONDS] [--keys COLUMN=COUNT]...
 *
 * The file's rows are repeated until there are enough of them. --keys gives a column so many different values in turn:
 * that many keys are alive in the pipeline's state. --time counts a column of times on by so many seconds a row. Rows
 * are made before the clock runs; as many as there are keys go through the decider before it is watched. --log writes
 * the log of decisions there in place of what the pipeline says, or with off nowhere. With --batch above 1 so many rows
 * come at once, each timed from there until it is handed out.
 */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "mbr/mbr.h"
#include "mbr/pipeline.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_KEYS = 8, MOST_THREADS = 64, MOST_COLUMNS = 256, LINE = 4096 };

typedef struct varied {
    const char *name;
    long count; /* of keys; 0: the time */
    double seconds;
    int column;
} varied;

typedef struct stream {
    pthread_t thread;
    mbr_pipeline *pipeline;
    char **lines; /* (1 + rows), the header first */
    size_t count, given, warm, decided, undecided;
    const char *log; /* NULL: what the pipeline says; "": none */
    int batch;
    size_t used;  /* bytes of the line that were given */
    uint64_t began, watched, *took;
    double busy, cpu; /* seconds */
    char problem[512];
} stream;

static varied columns[MOST_KEYS];
static int column_count;
static pthread_barrier_t all_warm;

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* What the thread has run: what else the machine does is not in it. */
static double own_time(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void die(const char *what, const char *which)
{
    fprintf(stderr, "bench-decide: %s%s\n", what, which);
    exit(2);
}

static void *need(void *memory)
{
    if (!memory)
        die("out of memory", "");
    return memory;
}

/* ---- rows ---- */

static char **read_lines(const char *path, size_t *count)
{
    FILE *f = fopen(path, "r");
    char line[LINE], **lines = NULL;
    size_t n = 0, room = 0;
    if (!f)
        die("cannot read ", path);
    while (fgets(line, sizeof line, f)) {
        if (n == room)
            lines = need(realloc(lines, (room = room ? room * 2 : 1024) * sizeof *lines));
        lines[n++] = need(strdup(line));
    }
    fclose(f);
    if (n < 2)
        die("no rows in ", path);
    *count = n;
    return lines;
}

/* The field that begins at p ends there: at a comma, the line's end or the text's. */
static const char *field_end(const char *p)
{
    bool quoted = false;
    for (; *p && *p != '\n' && (quoted || *p != ','); p++)
        quoted ^= *p == '"';
    return p;
}

static int column_of(const char *header, const char *name)
{
    const char *p = header;
    for (int i = 0; i < MOST_COLUMNS; i++) {
        const char *end = field_end(p);
        if ((size_t)(end - p) == strlen(name) && memcmp(p, name, strlen(name)) == 0)
            return i;
        if (*end != ',')
            break;
        p = end + 1;
    }
    die("the file has no column ", name);
    return -1;
}

/* Row number k of a stream that is one of `streams`: a line of the file with its keys and time replaced. */
static char *make_row(const char *line, size_t k, int mine, int streams)
{
    char out[LINE + 64 * MOST_KEYS];
    size_t used = 0;
    const char *p = line;
    for (int i = 0;; i++) {
        const char *end = field_end(p);
        const varied *v = columns;
        while (v < columns + column_count && v->column != i)
            v++;
        if (v == columns + column_count) {
            memcpy(out + used, p, (size_t)(end - p));
            used += (size_t)(end - p);
        } else if (v->count) {
            /* An odd stride that is prime to most counts: neighbours in time are not neighbours in memory. */
            unsigned long key = (unsigned long)(k * 7919u * (size_t)streams + (size_t)mine) % (unsigned long)v->count;
            used += (size_t)sprintf(out + used, "%s-%06lu", v->name, key);
        } else {
            time_t t = (time_t)(1709251200.0 + (double)k * v->seconds);
            struct tm when;
            used += strftime(out + used, 32, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &when));
        }
        if (*end != ',')
            break;
        out[used++] = ',';
        p = end + 1;
    }
    out[used++] = '\n';
    out[used] = '\0';
    return need(strdup(out));
}

/* ---- deciding ---- */

/* One line a call, so that a row is timed from where it is there; of a batch its rows, the header before the first. */
static ptrdiff_t give(void *user, void *to, size_t bytes)
{
    stream *s = user;
    size_t done = 0, rows = s->given ? (s->given - 1) % (size_t)s->batch : 0;
    if (s->given == s->count + 1)
        return 0;
    if (s->given == s->warm + 1 && s->used == 0) {
        pthread_barrier_wait(&all_warm);
        s->cpu = own_time();
        s->watched = now();
    }
    while (s->given <= s->count && done < bytes) {
        const char *line = s->lines[s->given] + s->used;
        size_t n = strlen(line);
        n = n < bytes - done ? n : bytes - done;
        memcpy((char *)to + done, line, n);
        done += n;
        s->used += n;
        if (line[n])
            break;
        rows += s->given++ > 0;
        s->used = 0;
        if (rows % (size_t)s->batch == 0 || s->given == s->warm + 1)
            break;
    }
    s->began = now();
    return (ptrdiff_t)done;
}

static mbr_status take(void *user, const mbr_decision *d)
{
    stream *s = user;
    s->took[s->decided++] = now() - s->began;
    s->undecided += !d->action || d->error;
    return MBR_OK;
}

static void *run(void *user)
{
    stream *s = user;
    mbr_error err;
    mbr_decider *d = NULL;
    mbr_decider_options o = { .size = sizeof o, .batch = s->batch, .threads = 1, .log_path = s->log };
    if (mbr_decider_new(s->pipeline, &o, &d, &err) != MBR_OK ||
        mbr_decider_reader(d, "rows", give, s, MBR_ROWS_CSV, take, s, NULL, &err) != MBR_OK) {
        snprintf(s->problem, sizeof s->problem, "%s", err.text);
        fprintf(stderr, "bench-decide: %s\n", s->problem);
        exit(3); /* the other threads wait for this one */
    }
    s->cpu = own_time() - s->cpu;
    s->busy = (double)(now() - s->watched) * 1e-9;
    if (s->batch == 1) { /* of each row from where it is there */
        s->busy = 0;
        for (size_t i = s->warm; i < s->count; i++)
            s->busy += (double)s->took[i] * 1e-9;
    }
    mbr_decider_release(&d);
    return NULL;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void add_column(const char *text, bool keys)
{
    char *at = strchr(text, '=');
    if (!at || column_count == MOST_KEYS)
        die("COLUMN=NUMBER is due: ", text);
    *at = '\0';
    columns[column_count++] = (varied){ .name = text, .count = keys ? atol(at + 1) : 0, .seconds = atof(at + 1) };
}

int main(int argc, char **argv)
{
    size_t rows = 200000, lines = 0, warm = 2000;
    int threads = 1, batch = 1;
    const char *log = NULL;
    for (int i = 3; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--rows") == 0)
            rows = (size_t)atol(argv[i + 1]);
        else if (strcmp(argv[i], "--threads") == 0)
            threads = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--batch") == 0)
            batch = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--log") == 0)
            log = strcmp(argv[i + 1], "off") == 0 ? "" : argv[i + 1];
        else if (strcmp(argv[i], "--keys") == 0 || strcmp(argv[i], "--time") == 0)
            add_column(argv[i + 1], argv[i][2] == 'k');
        else
            die("unknown option ", argv[i]);
    }
    if (argc < 3 || argc % 2 == 0 || rows == 0 || threads < 1 || threads > MOST_THREADS || batch < 1)
        die("usage: bench-decide PIPELINE ROWS.csv [--rows N] [--threads N] [--batch N] [--log FILE|off] "
            "[--time COLUMN=SECONDS] [--keys COLUMN=COUNT]", "");
    char **file = read_lines(argv[2], &lines);
    for (int i = 0; i < column_count; i++) {
        columns[i].column = column_of(file[0], columns[i].name);
        if ((size_t)columns[i].count > warm)
            warm = (size_t)columns[i].count;
    }

    mbr_env *env = NULL;
    mbr_pipeline *pipeline = NULL;
    mbr_error err;
    mbr_env_options o = { .size = sizeof o, .threads = 1 };
    if (mbr_env_new(&o, &env, &err) != MBR_OK || mbr_pipeline_open(env, argv[1], NULL, &pipeline, &err) != MBR_OK)
        die(err.text, "");
    stream *streams = need(calloc((size_t)threads, sizeof *streams));
    pthread_barrier_init(&all_warm, NULL, (unsigned)threads);
    for (int t = 0; t < threads; t++) {
        stream *s = &streams[t];
        s->pipeline = pipeline;
        s->batch = batch;
        s->log = log;
        s->warm = (warm / (size_t)threads + (size_t)batch - 1) / (size_t)batch * (size_t)batch;
        s->count = s->warm + rows / (size_t)threads;
        s->lines = need(malloc((s->count + 1) * sizeof *s->lines));
        s->took = need(calloc(s->count, sizeof *s->took));
        s->lines[0] = file[0];
        for (size_t k = 0; k < s->count; k++)
            s->lines[k + 1] = make_row(file[1 + k % (lines - 1)], k, t, threads);
    }
    for (int t = 0; t < threads; t++)
        if (pthread_create(&streams[t].thread, NULL, run, &streams[t]) != 0)
            die("no thread is to be had", "");
    size_t n = 0, faulty = 0;
    double rate = 0, cpu = 0;
    uint64_t *all = need(malloc(rows * sizeof *all));
    for (int t = 0; t < threads; t++) {
        pthread_join(streams[t].thread, NULL);
        for (size_t i = streams[t].warm; i < streams[t].count; i++)
            all[n++] = streams[t].took[i];
        rate += (double)(streams[t].count - streams[t].warm) / streams[t].busy;
        faulty += streams[t].undecided;
        cpu += streams[t].cpu;
    }
    qsort(all, n, sizeof *all, by_size);
    printf("%zu decisions, %d thread%s, batch %d%s: p50 %.2f us, mean %.2f of CPU, p90 %.2f, p99 %.1f, p99.9 %.1f, "
           "most %.1f; %.0f a second; %zu faulty\n", n, threads, threads > 1 ? "s" : "", batch,
           !log ? "" : *log ? ", with log" : ", without log", (double)all[n / 2] * 1e-3,
           cpu * 1e6 / (double)n, (double)all[n * 90 / 100] * 1e-3, (double)all[n * 99 / 100] * 1e-3,
           (double)all[n * 999 / 1000] * 1e-3, (double)all[n - 1] * 1e-3, rate, faulty);
    mbr_pipeline_release(&pipeline);
    mbr_env_release(&env);
    return 0;
}
