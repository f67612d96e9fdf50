/* SPDX-License-Identifier: BSD-2-Clause */
/* Budgets against reality, as text, JSON or a page. */
#include "runtime/deadline/deadline.h"

#include "runtime/pipeline/decider.h"
#include "runtime/rows/words.h"

#include <string.h>

/* "24.1 us"; "-" for nothing. */
static void add_time(mbr_words *w, uint64_t ns, const char *before, int width)
{
    static const char *const units[] = { "ns", "us", "ms", "s" };
    double x = (double)ns;
    int u = 0;
    for (; x >= 1000.0 && u < 3; u++)
        x /= 1000.0;
    if (ns)
        mbr_words_add(w, "%s%*.*f %-2s", before, width, x < 10.0 ? 2 : x < 100.0 ? 1 : 0, x, units[u]);
    else
        mbr_words_add(w, "%s%*s", before, width + 3, "-   ");
}

static void add_text(mbr_words *w, const mbr_stage_times *times, const mbr_call_counts *n, const char *name)
{
    mbr_words_add(w, "%s: %llu calls of %llu rows; %llu not begun, %llu cut short, %llu done too late\n", name,
                  (unsigned long long)n->calls, (unsigned long long)n->rows, (unsigned long long)n->refused,
                  (unsigned long long)n->cut, (unsigned long long)n->over);
    mbr_words_add(w, "%-9s %10s %10s %10s %10s %10s %10s %10s %10s\n", "stage", "timed", "p50  ", "p90  ", "p99  ",
                  "p99.9  ", "max  ", "budget  ", "misses");
    for (int i = 0; i < MBR_STAGE_COUNT; i++) {
        const mbr_stage_times *t = &times[i];
        const uint64_t all[] = { t->p50, t->p90, t->p99, t->p999, t->max, t->budget };
        mbr_words_add(w, "%-9s %10llu", t->name, (unsigned long long)t->calls);
        for (size_t k = 0; k < sizeof all / sizeof *all; k++)
            add_time(w, all[k], " ", 7);
        mbr_words_add(w, " %10llu\n", (unsigned long long)t->misses);
    }
}

static void add_json(mbr_words *w, const mbr_stage_times *times, const mbr_call_counts *n, const char *name)
{
    mbr_words_add(w, "{\"pipeline\": ");
    mbr_words_json(w, name, strlen(name));
    mbr_words_add(w, ", \"calls\": %llu, \"rows\": %llu, \"refused\": %llu, \"cut\": %llu, \"over\": %llu,\n\"stages\": {",
                  (unsigned long long)n->calls, (unsigned long long)n->rows, (unsigned long long)n->refused,
                  (unsigned long long)n->cut, (unsigned long long)n->over);
    for (int i = 0; i < MBR_STAGE_COUNT; i++) {
        const mbr_stage_times *t = &times[i];
        mbr_words_add(w, "%s\n\"%s\": {\"timed\": %llu, \"mean_ns\": ", i ? "," : "", t->name,
                      (unsigned long long)t->calls);
        mbr_words_number(w, t->mean);
        mbr_words_add(w, ", \"p50_ns\": %llu, \"p90_ns\": %llu, \"p99_ns\": %llu, \"p99.9_ns\": %llu, \"max_ns\": %llu, ",
                      (unsigned long long)t->p50, (unsigned long long)t->p90, (unsigned long long)t->p99,
                      (unsigned long long)t->p999, (unsigned long long)t->max);
        if (t->budget)
            mbr_words_add(w, "\"budget_ns\": %llu, ", (unsigned long long)t->budget);
        mbr_words_add(w, "\"misses\": %llu}", (unsigned long long)t->misses);
    }
    mbr_words_add(w, "}}\n");
}

static void add_html(mbr_words *w, const mbr_stage_times *times, const mbr_call_counts *n, const char *name)
{
    mbr_words_add(w, "<!DOCTYPE html>\n<html lang=en><meta charset=utf-8><title>Latency</title><style>"
                  "body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:60em;padding:0 1em;color:#222}"
                  "table{border-collapse:collapse}td,th{padding:.3em .8em;text-align:right;border-bottom:1px solid #ddd}"
                  "td:first-child,th:first-child{text-align:left}.late{color:#b00020;font-weight:600}</style>\n<h1>Latency of ");
    mbr_words_html(w, name, strlen(name));
    mbr_words_add(w, "</h1>\n<p>%llu calls of %llu rows; %llu not begun, %llu cut short, %llu done too late</p>\n<table>"
                  "<tr><th>stage<th>timed<th>p50<th>p90<th>p99<th>p99.9<th>max<th>budget<th>misses\n",
                  (unsigned long long)n->calls, (unsigned long long)n->rows, (unsigned long long)n->refused,
                  (unsigned long long)n->cut, (unsigned long long)n->over);
    for (int i = 0; i < MBR_STAGE_COUNT; i++) {
        const mbr_stage_times *t = &times[i];
        const uint64_t all[] = { t->p50, t->p90, t->p99, t->p999, t->max, t->budget };
        mbr_words_add(w, "<tr><td>%s<td>%llu", t->name, (unsigned long long)t->calls);
        for (size_t k = 0; k < sizeof all / sizeof *all; k++)
            add_time(w, all[k], t->budget && k < 5 && all[k] > t->budget ? "<td class=late>" : "<td>", 0);
        mbr_words_add(w, "<td>%llu\n", (unsigned long long)t->misses);
    }
    mbr_words_add(w, "</table></html>\n");
}

mbr_status mbr_decider_report(const mbr_decider *d, mbr_report_format format, mbr_write_fn write, void *user,
                              mbr_error *err)
{
    mbr_call_counts n = { .size = sizeof n };
    mbr_stage_times times[MBR_STAGE_COUNT];
    MBR_TRY(mbr_decider_call_counts(d, &n, err));
    if (!write || (unsigned)format > MBR_REPORT_HTML)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_decider_report: no such format, or no function to write with");
    for (int i = 0; i < MBR_STAGE_COUNT; i++) {
        times[i].size = sizeof times[i];
        MBR_TRY(mbr_decider_stage_times(d, (mbr_stage)i, &times[i], err));
    }
    mbr_words w = { .memory = d->pipeline->memory };
    (format == MBR_REPORT_JSON ? add_json : format == MBR_REPORT_HTML ? add_html : add_text)(&w, times, &n,
                                                                                            d->pipeline->name);
    mbr_status st = w.failed ? mbr_no_memory(err, w.capacity) : write(user, w.text, w.used);
    if (st != MBR_OK && !w.failed)
        st = mbr_fail(err, st, "the report cannot be written");
    mbr_words_free(&w);
    return st;
}
