/* SPDX-License-Identifier: BSD-2-Clause */
/* What is known about drift, as one JSON object. */
#include "runtime/drift/drift_impl.h"

#include <string.h>

typedef struct json {
    mbr_words words;
    mbr_write_fn write;
    void *user;
} json;

/* Hands over what is there, so that a page never needs to be whole in memory. */
static mbr_status flush(json *j, mbr_error *err)
{
    if (j->words.failed)
        return mbr_no_memory(err, j->words.used);
    mbr_status st = j->words.used ? j->write(j->user, j->words.text, j->words.used) : MBR_OK;
    j->words.used = 0;
    return st == MBR_OK ? st : mbr_fail(err, st, "the report could not be written");
}

static void number(mbr_words *w, const char *name, double x)
{
    mbr_words_add(w, ", \"%s\": ", name);
    mbr_words_number(w, x);
}

static void count(mbr_words *w, const char *name, uint64_t x)
{
    mbr_words_add(w, ", \"%s\": %llu", name, (unsigned long long)x);
}

static void add_result(mbr_words *w, const mbr_base_col *c, const mbr_drift_result *r)
{
    mbr_words_add(w, ", \"level\": \"%s\"", mbr_drift_level_name(r->level));
    count(w, "rows", r->rows);
    count(w, "missing", r->missing);
    if (c->type == MBR_DRIFT_NUMBER) {
        count(w, "infinite", r->infinite);
        count(w, "below", r->below);
        count(w, "above", r->above);
        number(w, "mean", r->mean);
        number(w, "deviation", r->deviation);
        number(w, "ks", r->ks);
        number(w, "ks_p", r->ks_p);
        number(w, "wasserstein", r->wasserstein);
        number(w, "rank_error", r->rank_error);
    } else {
        count(w, "invalid", r->invalid);
        count(w, "unknown", r->unknown);
    }
    number(w, "psi", r->psi);
    number(w, "js", r->js);
    number(w, "chi2", r->chi2);
    number(w, "chi2_p", r->chi2_p);
    number(w, "chi2_fit", r->chi2_fit);
    number(w, "chi2_fit_p", r->chi2_fit_p);
    number(w, "p", r->p);
    number(w, "adjusted", r->adjusted);
    if (r->reason)
        mbr_words_add(w, ", \"reason\": \"%s\"", r->reason);
}

static void add_histogram(mbr_words *w, const mbr_base_col *c, const mbr_live_col *live)
{
    mbr_words_add(w, ", \"histogram\": {\"edges\": [");
    for (int i = 0; i <= c->bins; i++) {
        mbr_words_add(w, i ? ", " : "");
        mbr_words_number(w, mbr_base_col_edge(c, i));
    }
    mbr_words_add(w, "], \"baseline\": [");
    for (size_t i = 0; i < (size_t)c->bins + 2; i++)
        mbr_words_add(w, "%s%llu", i ? ", " : "", (unsigned long long)c->counts[i]);
    if (live)
        mbr_words_add(w, "], \"live\": [");
    for (size_t i = 0; live && i < (size_t)c->bins + 2; i++)
        mbr_words_add(w, "%s%llu", i ? ", " : "", (unsigned long long)mbr_live_count(live, c, i));
    mbr_words_add(w, "]}");
}

static void add_categories(mbr_words *w, const mbr_base_col *c, const mbr_live_col *live)
{
    mbr_words_add(w, ", \"categories\": [");
    for (size_t i = 0; i < c->name_count; i++) {
        mbr_words_add(w, i ? ", {\"name\": " : "{\"name\": ");
        mbr_words_json(w, c->names[i].data, c->names[i].size);
        count(w, "baseline", c->name_counts[i]);
        if (live)
            count(w, "live", live->counts[i]);
        mbr_words_add(w, "}");
    }
    mbr_words_add(w, "], \"other\": %llu", (unsigned long long)c->other);
    bool first = true;
    mbr_words_add(w, ", \"new\": [");
    for (size_t i = 0; live && i < live->strange.slot_count; i++) {
        const mbr_tally_slot *s = &live->strange.slots[i];
        if (!s->text)
            continue;
        mbr_words_add(w, first ? "{\"name\": " : ", {\"name\": ");
        first = false;
        mbr_words_json(w, s->text, s->size);
        count(w, "live", s->count);
        mbr_words_add(w, "}");
    }
    mbr_words_add(w, "]");
}

static void add_quality(mbr_words *w, const mbr_drift_monitor *m)
{
    mbr_drift_quality q = { .size = sizeof q };
    if (mbr_drift_monitor_quality(m, &q, NULL) != MBR_OK)
        return;
    mbr_words_add(w, ",\n\"quality\": {\"labelled\": %llu", (unsigned long long)q.labelled);
    number(w, "accuracy", q.accuracy);
    number(w, "precision", q.precision);
    number(w, "recall", q.recall);
    number(w, "f1", q.f1);
    number(w, "auc", q.auc);
    number(w, "baseline_accuracy", q.baseline_accuracy);
    number(w, "baseline_auc", q.baseline_auc);
    number(w, "p", q.p);
    number(w, "error_rate", q.error_rate);
    count(w, "adwin", q.adwin);
    count(w, "ddm", q.ddm);
    count(w, "page_hinkley", q.page_hinkley);
    mbr_words_add(w, "}");
}

static void add_timeline(mbr_words *w, const mbr_drift_monitor *m)
{
    uint64_t first = m->windows > MBR_DRIFT_TIMELINE ? m->windows - MBR_DRIFT_TIMELINE : 0;
    mbr_words_add(w, ",\n\"timeline\": [");
    for (uint64_t i = first; i < m->windows; i++) {
        const mbr_drift_past *p = &m->timeline[i % MBR_DRIFT_TIMELINE];
        mbr_words_add(w, "%s{\"window\": %llu, \"level\": \"%s\"", i > first ? ",\n" : "\n",
                      (unsigned long long)p->number, mbr_drift_level_name(p->level));
        count(w, "rows", p->rows);
        number(w, "time", p->time);
        number(w, "p", p->p);
        number(w, "psi", p->psi);
        count(w, "drifted", (uint64_t)p->drifted);
        if (p->top >= 0) {
            mbr_words_add(w, ", \"top\": ");
            mbr_words_json(w, m->baseline->cols[p->top].name, strlen(m->baseline->cols[p->top].name));
        }
        number(w, "accuracy", p->accuracy);
        number(w, "error_rate", p->error_rate);
        mbr_words_add(w, "}");
    }
    mbr_words_add(w, "]");
}

static void add_column(mbr_words *w, const mbr_drift_baseline *b, const mbr_drift_monitor *m, int i)
{
    const mbr_base_col *c = &b->cols[i];
    bool judged = m && m->has_judged;
    mbr_words_add(w, i ? ",\n{\"name\": " : "\n{\"name\": ");
    mbr_words_json(w, c->name, strlen(c->name));
    mbr_words_add(w, ", \"type\": \"%s\", \"role\": \"%s\", \"baseline\": {\"missing\": %llu",
                  c->type == MBR_DRIFT_NUMBER ? "number" : "category",
                  c->role == MBR_DRIFT_OUTPUT ? "output" : "feature", (unsigned long long)c->missing);
    if (c->type == MBR_DRIFT_NUMBER) {
        count(w, "infinite", c->infinite);
        number(w, "least", c->least);
        number(w, "greatest", c->greatest);
        number(w, "mean", c->mean);
        number(w, "deviation", c->deviation);
        number(w, "rank_error", c->rank_error);
    }
    mbr_words_add(w, "}");
    if (judged)
        add_result(w, c, &m->judged.results[i]);
    if (c->type == MBR_DRIFT_NUMBER)
        add_histogram(w, c, judged ? &m->last.cols[i] : NULL);
    else
        add_categories(w, c, judged ? &m->last.cols[i] : NULL);
    mbr_words_add(w, "}");
}

mbr_status mbr_drift_report_json(const mbr_drift_baseline *b, const mbr_drift_monitor *m, mbr_write_fn write,
                                 void *user, mbr_error *err)
{
    json j = { .words = { .memory = b->memory }, .write = write, .user = user };
    mbr_words *w = &j.words;
    mbr_status st = MBR_OK;
    mbr_words_add(w, "{\"baseline_rows\": %llu", (unsigned long long)b->rows);
    if (m) {
        mbr_words_add(w, ", \"level\": \"%s\", \"fallback\": %s", mbr_drift_level_name(m->level),
                      m->fallback ? "true" : "false");
        count(w, "windows", m->windows);
        count(w, "rows", m->total_rows);
        count(w, "open_rows", m->open.rows + m->fill);
        add_quality(w, m);
        const mbr_drift_judged *d = &m->judged;
        if (m->has_judged && d->related[0] >= 0) {
            mbr_words_add(w, ",\n\"correlation\": {\"columns\": [");
            mbr_words_json(w, b->cols[d->related[0]].name, strlen(b->cols[d->related[0]].name));
            mbr_words_add(w, ", ");
            mbr_words_json(w, b->cols[d->related[1]].name, strlen(b->cols[d->related[1]].name));
            mbr_words_add(w, "]");
            number(w, "baseline", d->correlation[0]);
            number(w, "live", d->correlation[1]);
            number(w, "p", d->p[MBR_EXTRA_RELATED]);
            number(w, "adjusted", d->adjusted[MBR_EXTRA_RELATED]);
            mbr_words_add(w, "}");
        }
        add_timeline(w, m);
    }
    mbr_words_add(w, ",\n\"columns\": [");
    for (int i = 0; st == MBR_OK && i < b->col_count; i++) {
        add_column(w, b, m, i);
        st = flush(&j, err);
    }
    mbr_words_add(w, "\n]}\n");
    if (st == MBR_OK)
        st = flush(&j, err);
    mbr_words_free(w);
    return st;
}
