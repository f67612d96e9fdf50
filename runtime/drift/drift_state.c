/* SPDX-License-Identifier: BSD-2-Clause */
/* The state of a monitor as bytes: saved, restored, merged across processes. */
#include "runtime/drift/drift_impl.h"

#include "base/checked.h"
#include "base/filemap.h"
#include "runtime/rows/text.h"

#include <string.h>

/* What a result's reason can be: its number is written. The first is none. */
static const char *const reasons[] = { "", "quantiles", "missing", "infinite", "range", "categories", "invalid text",
                                       "unknown categories" };

/* ---- writing ---- */

#define SAMPLED 64 /* and above, where the number of levels stands: a sample of so many bits less */

static void write_sketch(const mbr_sketch *s, mbr_out *out)
{
    mbr_out_u64(out, s->bits ? (uint64_t)(SAMPLED + s->bits) : (uint64_t)s->levels);
    mbr_out_u64(out, s->count);
    mbr_out_u64(out, s->random);
    if (s->bits) {
        mbr_out_u64(out, s->at);
        mbr_out_u64(out, s->pick);
    }
    for (int h = 0; h < (s->levels ? s->levels : 1); h++) {
        mbr_out_u64(out, s->level[h].count);
        mbr_out_f64s(out, s->level[h].items, s->level[h].count);
    }
}

static void write_tally(const mbr_tally *t, mbr_out *out)
{
    mbr_out_u64(out, t->used);
    for (size_t i = 0; i < t->slot_count; i++)
        if (t->slots[i].text) {
            mbr_out_text(out, t->slots[i].text, t->slots[i].size);
            mbr_out_u64(out, t->slots[i].count);
        }
    mbr_out_u64(out, t->lost);
    mbr_out_u64(out, t->total);
}

static void write_window(const mbr_window *w, const mbr_drift_baseline *b, mbr_out *out)
{
    mbr_out_u64(out, w->rows);
    mbr_out_f64(out, w->begin);
    mbr_out_f64(out, w->end);
    for (int i = 0; i < b->col_count; i++) {
        const mbr_live_col *c = &w->cols[i];
        mbr_out_u64(out, c->missing);
        mbr_out_u64(out, c->infinite);
        mbr_out_u64(out, c->below);
        mbr_out_u64(out, c->above);
        mbr_out_f64s(out, c->sum, MBR_HISTOGRAM_LANES);
        mbr_out_f64s(out, c->squares, MBR_HISTOGRAM_LANES);
        mbr_out_f64(out, c->smallest);
        mbr_out_f64(out, c->largest);
        for (size_t k = 0; k < c->count_count; k++)
            mbr_out_u64(out, c->counts[k]);
        if (b->cols[i].type == MBR_DRIFT_CATEGORY)
            write_tally(&c->strange, out);
    }
    const mbr_reservoir *r = &w->reservoir;
    mbr_out_u64(out, r->seen);
    mbr_out_u64(out, r->next);
    mbr_out_f64(out, r->w);
    mbr_out_u64(out, r->random);
    mbr_out_u64(out, r->count);
    mbr_out_f64s(out, w->sample, r->count * (size_t)b->col_count);
    const mbr_live_quality *q = &w->quality;
    mbr_out_u64(out, q->rows);
    mbr_out_f64s(out, (const double[]){ q->tp, q->fp, q->tn, q->fn, q->confidence, q->confidence_squares }, 6);
    mbr_out_f64s(out, q->yes, q->rows ? MBR_DRIFT_SCORE_BINS : 0);
    mbr_out_f64s(out, q->no, q->rows ? MBR_DRIFT_SCORE_BINS : 0);
}

static void write_result(const mbr_drift_result *r, mbr_out *out)
{
    uint64_t reason = 0;
    for (size_t i = 1; r->reason && i < MBR_COUNT_OF(reasons); i++)
        reason = strcmp(reasons[i], r->reason) == 0 ? i : reason;
    const uint64_t counts[] = { r->level, r->rows, r->missing, r->infinite, r->below, r->above, r->invalid, r->unknown,
                                reason };
    const double numbers[] = { r->mean, r->deviation, r->ks, r->ks_p, r->psi, r->js, r->wasserstein, r->chi2,
                               r->chi2_p, r->chi2_fit, r->chi2_fit_p, r->baseline_deviation, r->rank_error, r->p,
                               r->adjusted };
    for (size_t i = 0; i < MBR_COUNT_OF(counts); i++)
        mbr_out_u64(out, counts[i]);
    mbr_out_f64s(out, numbers, MBR_COUNT_OF(numbers));
}

static void write_judged(const mbr_drift_judged *j, int cols, mbr_out *out)
{
    for (int i = 0; i < cols; i++)
        write_result(&j->results[i], out);
    const mbr_drift_quality *q = &j->quality;
    mbr_out_u64(out, q->rows);
    mbr_out_f64s(out, (const double[]){ q->accuracy, q->precision, q->recall, q->f1, q->auc, q->baseline_accuracy,
                                        q->baseline_auc, q->p }, 8);
    mbr_out_f64s(out, j->p, MBR_EXTRA_COUNT);
    mbr_out_f64s(out, j->adjusted, MBR_EXTRA_COUNT);
    for (int i = 0; i < 2; i++)
        mbr_out_u64(out, (uint64_t)(j->related[i] + 1));
    mbr_out_f64s(out, j->correlation, 2);
}

mbr_status mbr_drift_write_state(mbr_drift_monitor *m, mbr_out *out, mbr_error *err)
{
    const mbr_drift_baseline *b = m->baseline;
    size_t cols = (size_t)b->col_count;
    mbr_out_begin(out, m->memory, MBR_DRIFT_KIND_STATE);
    mbr_out_u64(out, b->digest);
    mbr_out_u64(out, m->windows);
    mbr_out_u64(out, m->total_rows);
    mbr_out_u64(out, m->level);
    mbr_out_u64(out, m->fallback);
    mbr_out_u64(out, m->concept_level);
    mbr_out_u64(out, (uint64_t)m->concept_quiet);
    mbr_out_f64(out, m->clock);
    mbr_out_f64(out, m->elapsed);
    mbr_out_u64(out, m->has_judged);
    for (size_t i = 0; i < cols + MBR_EXTRA_COUNT; i++) {
        mbr_out_u64(out, m->col_states[i].level);
        mbr_out_u64(out, (uint64_t)m->col_states[i].quiet);
        mbr_out_u64(out, (uint64_t)m->col_states[i].warned);
    }
    mbr_concept_write(&m->concept, out);
    write_window(&m->open, b, out);
    for (size_t i = 0; i < cols; i++)
        if (b->cols[i].type == MBR_DRIFT_NUMBER)
            write_sketch(&m->sketches[i], out);
    if (m->has_judged) {
        write_window(&m->last, b, out);
        write_judged(&m->judged, b->col_count, out);
    }
    uint64_t first = m->windows > MBR_DRIFT_TIMELINE ? m->windows - MBR_DRIFT_TIMELINE : 0;
    for (uint64_t w = first; w < m->windows; w++) {
        size_t at = (size_t)(w % MBR_DRIFT_TIMELINE);
        const mbr_drift_past *p = &m->timeline[at];
        mbr_out_u64(out, p->rows);
        mbr_out_u64(out, p->level);
        mbr_out_u64(out, (uint64_t)p->drifted);
        mbr_out_u64(out, (uint64_t)(p->top + 1));
        mbr_out_f64s(out, (const double[]){ p->time, p->p, p->psi, p->accuracy, p->error_rate }, 5);
        for (size_t i = 0; i < cols; i++)
            mbr_out_f64s(out, (const double[]){ (double)m->past_psi[at * cols + i],
                                                (double)m->past_ks[at * cols + i] }, 2);
    }
    mbr_out_u64(out, m->waiting_count);
    for (size_t i = 0; i < m->waiting_count; i++) {
        uint64_t id = m->waiting_order[(m->waiting_first + i) % (size_t)m->options.pending];
        size_t at = id & (m->waiting_slots - 1);
        while (m->waiting[at].id && m->waiting[at].id != id)
            at = (at + 1) & (m->waiting_slots - 1);
        mbr_out_u64(out, id);
        mbr_out_u64(out, m->waiting[at].id != 0);
        mbr_out_f64(out, m->waiting[at].id ? m->waiting[at].score : 0.0);
    }
    return mbr_out_end(out, NULL, err);
}

mbr_status mbr_drift_monitor_save(mbr_drift_monitor *m, const char *path, mbr_error *err)
{
    MBR_TRY(mbr_drift_settle(m, err));
    mbr_status flushed = mbr_drift_flush(m, err);
    MBR_TRY(mbr_drift_write_state(m, &m->out, err));
    MBR_TRY(mbr_write_atomically(path, m->out.data, m->out.used, m->options.durable != 0, err));
    return flushed;
}

/* ---- reading, into a monitor that has observed nothing ---- */

/* Zero is no state of a generator; any other goes on as it was. */
static uint64_t read_random(mbr_in *in)
{
    uint64_t state = mbr_in_u64(in);
    return state ? state : 1;
}

static mbr_status read_sketch(mbr_sketch *s, mbr_in *in, mbr_error *err)
{
    int levels = (int)mbr_in_range(in, 0, SAMPLED + 62);
    uint64_t count = mbr_in_u64(in), found = 0;
    s->random = read_random(in);
    s->bits = levels > SAMPLED ? levels - SAMPLED : 0;
    in->bad |= levels > MBR_SKETCH_LEVELS && !s->bits;
    if (s->bits) {
        levels = 0;
        s->sampled = true;
        s->at = mbr_in_range(in, 0, ((uint64_t)1 << s->bits) - 1);
        s->pick = mbr_in_range(in, 0, ((uint64_t)1 << s->bits) - 1);
    }
    mbr_sketch_set_levels(s, levels);
    for (int h = 0; h < (levels ? levels : 1) && !in->bad; h++) {
        size_t n = mbr_in_count(in, SIZE_MAX / 16, 8);
        double *items = mbr_alloc(s->memory, (n + 1) * sizeof *items);
        if (!items)
            return mbr_no_memory(err, (n + 1) * sizeof *items);
        mbr_in_f64s(in, items, n);
        for (size_t i = 0; i < n; i++)
            in->bad |= !isfinite(items[i]) || (h > 0 && i > 0 && items[i - 1] > items[i]);
        mbr_free(s->memory, s->level[h].items);
        s->level[h] = (mbr_sketch_level){ items, n, n + 1 };
        in->bad |= (uint64_t)n > UINT64_MAX >> h >> 1;
        found += (uint64_t)n << h;
    }
    in->bad |= found != count || (levels > 1 && s->level[levels - 1].count == 0);
    s->count = in->bad ? 0 : count;
    /* More than this monitor keeps whole. */
    if (!in->bad && levels == 0 && !s->sampled && s->level[0].count > s->whole)
        mbr_sketch_set_levels(s, 1);
    return MBR_OK;
}

static mbr_status read_tally(mbr_tally *t, mbr_in *in, mbr_error *err)
{
    size_t n = mbr_in_count(in, t->slot_count / 4 * 3, 16);
    for (size_t i = 0; i < n && !in->bad; i++) {
        mbr_string text = mbr_in_text(in, MBR_DRIFT_TEXT);
        uint64_t count = mbr_in_range(in, 1, UINT64_MAX >> 8);
        if (!mbr_text_utf8(text.data, text.size))
            in->bad = true;
        if (!in->bad)
            MBR_TRY(mbr_tally_add(t, text.data, text.size, count, err));
    }
    in->bad |= t->used != n;
    t->lost = mbr_in_u64(in);
    t->total = mbr_in_u64(in);
    return MBR_OK;
}

static mbr_status read_window(mbr_window *w, const mbr_drift_baseline *b, mbr_in *in, mbr_error *err)
{
    w->rows = mbr_in_range(in, 0, UINT64_MAX >> 8);
    w->begin = mbr_in_f64(in);
    w->end = mbr_in_f64(in);
    for (int i = 0; i < b->col_count && !in->bad; i++) {
        mbr_live_col *c = &w->cols[i];
        uint64_t sum = 0;
        c->missing = mbr_in_range(in, 0, w->rows);
        c->infinite = mbr_in_range(in, 0, w->rows);
        c->below = mbr_in_range(in, 0, w->rows);
        c->above = mbr_in_range(in, 0, w->rows);
        mbr_in_f64s(in, c->sum, MBR_HISTOGRAM_LANES);
        mbr_in_f64s(in, c->squares, MBR_HISTOGRAM_LANES);
        c->smallest = mbr_in_f64(in);
        c->largest = mbr_in_f64(in);
        for (size_t k = 0; k < c->count_count; k++) {
            c->counts[k] = mbr_in_range(in, 0, w->rows - sum);
            sum += c->counts[k];
        }
        if (b->cols[i].type == MBR_DRIFT_CATEGORY) {
            in->bad |= sum + c->missing != w->rows;
            MBR_TRY(read_tally(&c->strange, in, err));
        } else {
            in->bad |= sum != w->rows || c->infinite > w->rows - mbr_live_count(c, &b->cols[i],
                                                                               (size_t)b->cols[i].bins + 2);
        }
    }
    mbr_reservoir *r = &w->reservoir;
    r->seen = mbr_in_u64(in);
    r->next = mbr_in_u64(in);
    r->w = mbr_in_f64(in);
    r->random = read_random(in);
    r->count = (size_t)mbr_in_range(in, 0, r->size);
    in->bad |= !(r->w > 0.0 && r->w <= 1.0) || r->count > r->seen || r->seen != w->rows;
    mbr_in_f64s(in, w->sample, r->count * (size_t)b->col_count);
    for (size_t i = 0; i < r->count && !in->bad; i++)
        for (int k = 0; k < b->col_count; k++) { /* places of categories must exist */
            double x = w->sample[i * (size_t)b->col_count + (size_t)k];
            if (b->cols[k].type == MBR_DRIFT_CATEGORY && !isnan(x))
                in->bad |= !(x >= 0.0 && x <= (double)b->cols[k].name_count + 1.0 && x == floor(x));
        }
    mbr_live_quality *q = &w->quality;
    double x[6];
    q->rows = mbr_in_range(in, 0, w->rows);
    mbr_in_f64s(in, x, 6);
    q->tp = x[0];
    q->fp = x[1];
    q->tn = x[2];
    q->fn = x[3];
    q->confidence = x[4];
    q->confidence_squares = x[5];
    mbr_in_f64s(in, q->yes, q->rows ? MBR_DRIFT_SCORE_BINS : 0);
    mbr_in_f64s(in, q->no, q->rows ? MBR_DRIFT_SCORE_BINS : 0);
    return MBR_OK;
}

static void read_result(mbr_drift_result *r, mbr_in *in)
{
    double x[15];
    r->size = sizeof *r;
    r->level = (mbr_drift_level)mbr_in_range(in, 0, MBR_DRIFT_ALARM);
    r->rows = mbr_in_u64(in);
    r->missing = mbr_in_u64(in);
    r->infinite = mbr_in_u64(in);
    r->below = mbr_in_u64(in);
    r->above = mbr_in_u64(in);
    r->invalid = mbr_in_u64(in);
    r->unknown = mbr_in_u64(in);
    size_t reason = (size_t)mbr_in_range(in, 0, MBR_COUNT_OF(reasons) - 1);
    r->reason = reason ? reasons[reason] : NULL;
    mbr_in_f64s(in, x, 15);
    r->mean = x[0];
    r->deviation = x[1];
    r->ks = x[2];
    r->ks_p = x[3];
    r->psi = x[4];
    r->js = x[5];
    r->wasserstein = x[6];
    r->chi2 = x[7];
    r->chi2_p = x[8];
    r->chi2_fit = x[9];
    r->chi2_fit_p = x[10];
    r->baseline_deviation = x[11];
    r->rank_error = x[12];
    r->p = x[13];
    r->adjusted = x[14];
}

static void read_judged(mbr_drift_judged *j, int cols, mbr_in *in)
{
    double x[8];
    for (int i = 0; i < cols; i++)
        read_result(&j->results[i], in);
    uint64_t rows = mbr_in_u64(in);
    mbr_in_f64s(in, x, 8);
    j->quality = (mbr_drift_quality){ .size = sizeof j->quality, .rows = rows, .accuracy = x[0], .precision = x[1],
                                      .recall = x[2], .f1 = x[3], .auc = x[4], .baseline_accuracy = x[5],
                                      .baseline_auc = x[6], .p = x[7] };
    mbr_in_f64s(in, j->p, MBR_EXTRA_COUNT);
    mbr_in_f64s(in, j->adjusted, MBR_EXTRA_COUNT);
    for (int i = 0; i < 2; i++)
        j->related[i] = (int)mbr_in_range(in, 0, (uint64_t)cols) - 1;
    mbr_in_f64s(in, j->correlation, 2);
}

static void read_past(mbr_drift_monitor *m, uint64_t window, mbr_in *in)
{
    size_t cols = (size_t)m->baseline->col_count, at = (size_t)(window % MBR_DRIFT_TIMELINE);
    mbr_drift_past *p = &m->timeline[at];
    double x[5], pair[2];
    p->number = window + 1;
    p->rows = mbr_in_u64(in);
    p->level = (mbr_drift_level)mbr_in_range(in, 0, MBR_DRIFT_ALARM);
    p->drifted = (int)mbr_in_range(in, 0, cols);
    p->top = (int)mbr_in_range(in, 0, cols) - 1;
    mbr_in_f64s(in, x, 5);
    p->time = x[0];
    p->p = x[1];
    p->psi = x[2];
    p->accuracy = x[3];
    p->error_rate = x[4];
    for (size_t i = 0; i < cols; i++) {
        mbr_in_f64s(in, pair, 2);
        m->past_psi[at * cols + i] = (float)pair[0];
        m->past_ks[at * cols + i] = (float)pair[1];
    }
}

static void read_waiting(mbr_drift_monitor *m, mbr_in *in)
{
    size_t n = mbr_in_count(in, SIZE_MAX, 24), pending = (size_t)m->options.pending;
    in->bad |= n > 0 && !m->waiting;
    for (size_t i = 0; i < n && !in->bad; i++) {
        uint64_t id = mbr_in_range(in, 1, UINT64_MAX);
        bool waits = mbr_in_range(in, 0, 1) != 0;
        double score = mbr_in_f64(in);
        if (n - i > pending) /* this monitor keeps fewer */
            continue;
        size_t at = id & (m->waiting_slots - 1);
        while (m->waiting[at].id && m->waiting[at].id != id)
            at = (at + 1) & (m->waiting_slots - 1);
        if (waits)
            m->waiting[at] = (mbr_waiting){ id, score };
        m->waiting_order[m->waiting_count++] = id;
    }
}

mbr_status mbr_drift_read_state(mbr_drift_monitor *m, const void *data, size_t bytes, const char *name, mbr_error *err)
{
    const mbr_drift_baseline *b = m->baseline;
    mbr_in in;
    MBR_TRY(mbr_in_begin(&in, MBR_DRIFT_KIND_STATE, data, bytes, name, NULL, err));
    if (mbr_in_u64(&in) != b->digest)
        return mbr_fail(err, MBR_ERR_INPUT, "%s: this state belongs to another baseline", name);
    m->windows = mbr_in_range(&in, 0, UINT64_MAX >> 8);
    m->total_rows = mbr_in_u64(&in);
    m->level = (mbr_drift_level)mbr_in_range(&in, 0, MBR_DRIFT_ALARM);
    m->fallback = mbr_in_range(&in, 0, 1) != 0;
    m->concept_level = (mbr_drift_level)mbr_in_range(&in, 0, MBR_DRIFT_ALARM);
    m->concept_quiet = (int)mbr_in_range(&in, 0, INT32_MAX / 2);
    m->clock = mbr_in_f64(&in);
    m->elapsed = mbr_in_f64(&in);
    m->has_judged = mbr_in_range(&in, 0, 1) != 0;
    in.bad |= m->has_judged != (m->windows > 0) || !(m->elapsed >= 0.0);
    for (int i = 0; i < b->col_count + MBR_EXTRA_COUNT; i++) {
        m->col_states[i].level = (mbr_drift_level)mbr_in_range(&in, 0, MBR_DRIFT_ALARM);
        m->col_states[i].quiet = (int)mbr_in_range(&in, 0, INT32_MAX / 2);
        m->col_states[i].warned = (int)mbr_in_range(&in, 0, INT32_MAX / 2);
    }
    mbr_concept_read(&m->concept, &in);
    MBR_TRY(read_window(&m->open, b, &in, err));
    for (int i = 0; i < b->col_count && !in.bad; i++)
        if (b->cols[i].type == MBR_DRIFT_NUMBER) {
            MBR_TRY(read_sketch(&m->sketches[i], &in, err));
            in.bad |= m->sketches[i].count > m->open.rows;
        }
    if (m->has_judged && !in.bad) {
        MBR_TRY(read_window(&m->last, b, &in, err));
        read_judged(&m->judged, b->col_count, &in);
    }
    uint64_t first = m->windows > MBR_DRIFT_TIMELINE ? m->windows - MBR_DRIFT_TIMELINE : 0;
    for (uint64_t w = first; w < m->windows && !in.bad; w++)
        read_past(m, w, &in);
    read_waiting(m, &in);
    if (in.bad || in.left)
        return mbr_fail(err, MBR_ERR_FORMAT, "%s: the content of this state contradicts itself", name);
    return MBR_OK;
}

/* A monitor of what a file holds. */
static mbr_status open_state(const mbr_drift_monitor *m, const char *path, mbr_drift_monitor **out, mbr_error *err)
{
    mbr_filemap map;
    mbr_drift_options o = m->options;
    o.size = sizeof o;
    if (o.window_rows == UINT64_MAX)
        o.window_rows = 0;
    *out = NULL;
    MBR_TRY(mbr_filemap_open(&map, m->memory, path, err));
    mbr_status st = mbr_drift_monitor_make(m->memory, m->baseline, &o, true, out, err);
    if (st == MBR_OK)
        st = mbr_drift_read_state(*out, map.data, map.size, path, err);
    mbr_filemap_close(&map);
    if (st != MBR_OK)
        mbr_drift_monitor_release(out);
    return st;
}

mbr_status mbr_drift_monitor_restore(mbr_drift_monitor *m, const char *path, mbr_error *err)
{
    mbr_drift_monitor *read;
    MBR_TRY(mbr_drift_settle(m, err));
    MBR_TRY(open_state(m, path, &read, err));
    mbr_drift_monitor old = *m;
    mbr_arena arena = read->arena;
    *m = *read;
    *read = old;
    /* What was observed has changed places; all else goes back. */
    m->options = old.options;
    m->arena = old.arena;
    m->actions = old.actions;
    m->values = old.values;
    m->weights = old.weights;
    m->places = old.places;
    m->item_count = old.item_count;
    m->out = old.out;
    read->actions = NULL;
    read->values = read->weights = NULL;
    read->places = NULL;
    read->out = (mbr_out){ 0 };
    read->options.state_path = NULL;
    read->arena = arena;
    mbr_drift_monitor_release(&read);
    return MBR_OK;
}

mbr_status mbr_drift_monitor_merge(mbr_drift_monitor *m, mbr_drift_monitor *from, mbr_error *err)
{
    if (m == from || m->baseline->digest != from->baseline->digest)
        return mbr_fail(err, MBR_ERR_ARGUMENT, m == from ? "a monitor cannot take itself in"
                                                         : "the two monitors have different baselines");
    MBR_TRY(mbr_drift_settle(m, err));
    MBR_TRY(mbr_drift_settle(from, err));
    MBR_TRY(mbr_drift_absorb(m, from, err));
    m->total_rows += from->open.rows;
    mbr_window_clear(&from->open, from->baseline);
    for (int i = 0; i < from->baseline->col_count; i++)
        mbr_sketch_clear(&from->sketches[i]);
    if (!m->options.accumulate && m->open.rows >= m->options.window_rows)
        return mbr_drift_monitor_close_window(m, err);
    return MBR_OK;
}

mbr_status mbr_drift_monitor_merge_file(mbr_drift_monitor *m, const char *path, mbr_error *err)
{
    mbr_drift_monitor *read;
    MBR_TRY(open_state(m, path, &read, err));
    mbr_status st = mbr_drift_monitor_merge(m, read, err);
    mbr_drift_monitor_release(&read);
    return st;
}
