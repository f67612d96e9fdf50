/* SPDX-License-Identifier: BSD-2-Clause */
/* What a full window says: statistics of each column, chances, all of them together. */
#include "runtime/drift/drift_impl.h"

#include "base/checked.h"
#include "runtime/drift/drift_stats.h"

#include <string.h>

/* A column's tests: the least chance counts, times the number of tests that were made. */
typedef struct verdict {
    double p;
    const char *reason;
    int tests;
} verdict;

static void add_test(verdict *v, double p, const char *reason)
{
    if (isnan(p))
        return;
    v->tests++;
    if (p < v->p) {
        v->p = p;
        v->reason = reason;
    }
}

/* The change of a share, unless it is too small to be of interest. */
static void add_share(verdict *v, const mbr_drift_options *o, uint64_t hits_n, uint64_t n, uint64_t hits_m, uint64_t m,
                      const char *reason)
{
    double change = n && m ? fabs((double)hits_n / (double)n - (double)hits_m / (double)m) : 0.0;
    add_test(v, change < o->least_distance / 4.0 ? 1.0 : mbr_stat_share_p(hits_n, n, hits_m, m), reason);
}

/* ---- both sides whole: in the bins that numpy and evidently make ---- */

static size_t distinct_values(const double *x, size_t n, size_t most)
{
    size_t count = n > 0;
    for (size_t i = 1; i < n && count <= most; i++)
        count += x[i] != x[i - 1];
    return count;
}

static size_t below(const double *x, size_t n, double edge, bool or_equal)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (x[middle] < edge || (or_equal && x[middle] == edge))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Shares of equally wide bins over both, as many as Sturges says; of few values one for each value. */
static mbr_status whole_shares(mbr_memory *memory, const mbr_sample *a, const mbr_sample *b, double **shares,
                               size_t *count, mbr_error *err)
{
    enum { FEW = 20 };
    size_t n = a->size, m = b->size;
    double first = a->values[0] < b->values[0] ? a->values[0] : b->values[0];
    double last = a->values[n - 1] > b->values[m - 1] ? a->values[n - 1] : b->values[m - 1];
    bool each = distinct_values(a->values, n, FEW) <= FEW;
    double width = (last - first) / (log2((double)(n + m)) + 1.0);
    size_t bins = each ? n + m : width > 0.0 && isfinite(width) ? (size_t)ceil((last - first) / width) : 1;
    double *x = mbr_calloc(memory, 2 * bins, sizeof *x);
    *shares = x;
    *count = 0;
    if (!x)
        return mbr_no_memory(err, 2 * bins * sizeof *x);
    for (size_t i = 0, k = 0; each && (i < n || k < m); ++*count) {
        double v = k == m || (i < n && a->values[i] <= b->values[k]) ? a->values[i] : b->values[k];
        for (; i < n && a->values[i] == v; i++)
            x[*count] += 1.0 / (double)n;
        for (; k < m && b->values[k] == v; k++)
            x[bins + *count] += 1.0 / (double)m;
    }
    if (each) {
        memmove(x + *count, x + bins, *count * sizeof *x);
        return MBR_OK;
    }
    double step = (last - first) / (double)bins;
    for (size_t i = 0, at_a = 0, at_b = 0; i < bins; i++) {
        bool end = i + 1 == bins;
        double edge = end ? last : (double)(i + 1) * step + first;
        size_t to_a = below(a->values, n, edge, end), to_b = below(b->values, m, edge, end);
        x[i] = (double)(to_a - at_a) / (double)n;
        x[bins + i] = (double)(to_b - at_b) / (double)m;
        at_a = to_a;
        at_b = to_b;
    }
    *count = bins;
    return MBR_OK;
}

/* Otherwise in the baseline's bins, neighbours together until the baseline has a twentieth in them. */
static mbr_status binned_shares(mbr_memory *memory, const mbr_base_col *base, const mbr_live_col *live, double **shares,
                                size_t *count, mbr_error *err)
{
    size_t bins = (size_t)base->bins + 2, k = 0;
    double *x = mbr_calloc(memory, 2 * bins, sizeof *x), a = 0.0, b = 0.0, total_a = 0.0, total_b = 0.0;
    *shares = x;
    if (!x)
        return mbr_no_memory(err, 2 * bins * sizeof *x);
    for (size_t i = 0; i < bins; i++) {
        total_a += (double)base->counts[i];
        total_b += (double)mbr_live_count(live, base, i);
    }
    for (size_t i = 0; i < bins; i++) {
        a += (double)base->counts[i] / total_a;
        b += (double)mbr_live_count(live, base, i) / total_b;
        if (a >= 0.05 || i + 1 == bins) {
            x[k] = a;
            x[bins + k++] = b;
            a = b = 0.0;
        }
    }
    memmove(x + k, x + bins, k * sizeof *x);
    *count = k;
    return MBR_OK;
}

/* ---- columns ---- */

#define LEAST_ALONG 256 /* values that are worth buckets */

static mbr_status reserve_items(mbr_drift_monitor *m, size_t size, mbr_error *err)
{
    if (size <= m->item_count)
        return MBR_OK;
    mbr_free(m->memory, m->values);
    mbr_free(m->memory, m->weights);
    mbr_free(m->memory, m->places);
    m->values = mbr_alloc(m->memory, size * sizeof *m->values);
    m->weights = mbr_alloc(m->memory, size * sizeof *m->weights);
    m->places = mbr_alloc(m->memory, (size + MBR_DRIFT_BUCKETS + 2) * sizeof *m->places);
    m->item_count = m->values && m->weights && m->places ? size : 0;
    return m->item_count ? MBR_OK : mbr_no_memory(err, size * sizeof *m->values);
}

/* Values of a window that is kept whole, or a sample, in order: they lie where the baseline's lie, more or less. */
static void sort_plain(mbr_drift_monitor *m, const mbr_base_col *base, const mbr_sketch *s)
{
    size_t n = s->level[0].count;
    int buckets = 256;
    while (buckets < MBR_DRIFT_BUCKETS && (size_t)buckets < 2 * n)
        buckets *= 2;
    mbr_sort_axis axis = { .logarithmic = base->logarithmic, .lo = base->lo,
                           .scale = base->scale * (double)buckets / (double)base->bins, .buckets = buckets,
                           .counts = m->places + n, .places = (int32_t *)m->places };
    mbr_sort_along(&axis, s->level[0].items, m->values, m->weights, n);
}

static mbr_status judge_number(mbr_drift_monitor *m, int index, mbr_drift_result *r, verdict *v, mbr_error *err)
{
    const mbr_base_col *base = &m->baseline->cols[index];
    const mbr_live_col *live = &m->full.cols[index];
    const mbr_drift_options *o = &m->options;
    mbr_sketch *s = &m->full_sketches[index];
    r->infinite = live->infinite;
    r->below = live->below;
    r->above = live->above;
    r->missing = mbr_live_count(live, base, (size_t)base->bins + 2);
    r->baseline_deviation = base->deviation;
    double n = (double)(r->rows - r->missing - r->infinite), sum = 0.0, squares = 0.0;
    for (int k = 0; k < MBR_HISTOGRAM_LANES; k++) {
        sum += live->sum[k];
        squares += live->squares[k];
    }
    if (n > 0.0) {
        double variance = (squares - sum * sum / n) / n;
        r->mean = (base->values ? base->mean : 0.0) + sum / n;
        r->deviation = sqrt(variance > 0.0 ? variance : 0.0);
    }
    add_share(v, o, base->missing, base->rows, r->missing, r->rows, "missing");
    add_share(v, o, base->infinite, base->rows, r->infinite, r->rows, "infinite");
    if (!base->values || !s->count)
        return MBR_OK;
    size_t size = mbr_sketch_size(s);
    bool plain = mbr_sketch_is_plain(s);
    MBR_TRY(reserve_items(m, size, err));
    if (plain && size >= LEAST_ALONG)
        sort_plain(m, base, s);
    else
        MBR_TRY(mbr_sketch_items(s, m->values, m->weights, err));
    mbr_sample a = { base->quantiles, NULL, base->quantile_count, (double)base->values / (double)base->quantile_count,
                     (double)base->values };
    mbr_sample b = { m->values, plain ? NULL : m->weights, size, 1.0, (double)s->count };
    mbr_stat_distances(&a, &b, &r->ks, &r->wasserstein);
    r->rank_error = base->rank_error + (plain ? 0.0 : MBR_SKETCH_ERROR);
    r->ks_p = mbr_stat_ks_p(r->ks, (double)base->values, (double)s->count);
    double certain = r->ks - r->rank_error;
    add_test(v, certain < o->least_distance ? 1.0
                                            : mbr_stat_ks_p(certain, (double)base->values, (double)s->count),
             "quantiles");
    double beyond = mbr_stat_beyond_p(live->below, base->values, (uint64_t)n);
    double above = mbr_stat_beyond_p(live->above, base->values, (uint64_t)n);
    beyond = 2.0 * (above < beyond ? above : beyond);
    add_test(v, beyond < 1.0 ? beyond : 1.0, "range");
    double *shares;
    size_t count = 0;
    mbr_status st = r->rank_error == 0.0 && mbr_sketch_is_whole(s) ? whole_shares(m->memory, &a, &b, &shares, &count, err)
                                                                   : binned_shares(m->memory, base, live, &shares, &count, err);
    if (st == MBR_OK) {
        r->psi = mbr_stat_psi(shares, shares + count, count);
        r->js = mbr_stat_js(shares, shares + count, count);
        for (size_t i = 0; i < count; i++) {
            shares[i] *= (double)base->values;
            shares[count + i] *= n;
        }
        r->chi2 = mbr_stat_chi2(shares, shares + count, count, &r->chi2_p);
        r->chi2_fit = mbr_stat_chi2_fit(shares, shares + count, count, &r->chi2_fit_p);
    }
    mbr_free(m->memory, shares);
    return st;
}

/* The chance of the whole table, where cells that expect fewer than five are taken together. */
static double merged_chi2_p(double *a, double *b, size_t n)
{
    double total_a = 0.0, total_b = 0.0, rest_a = 0.0, rest_b = 0.0, p;
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        total_a += a[i];
        total_b += b[i];
    }
    double smaller = (total_a < total_b ? total_a : total_b) / (total_a + total_b);
    for (size_t i = 0; i < n; i++) {
        if ((a[i] + b[i]) * smaller >= 5.0) {
            a[k] = a[i];
            b[k++] = b[i];
        } else {
            rest_a += a[i];
            rest_b += b[i];
        }
    }
    if ((rest_a + rest_b) * smaller >= 5.0) {
        a[k] = rest_a;
        b[k++] = rest_b;
    }
    mbr_stat_chi2(a, b, k, &p);
    return p;
}

static mbr_status judge_category(mbr_drift_monitor *m, int index, mbr_drift_result *r, verdict *v, mbr_error *err)
{
    const mbr_base_col *base = &m->baseline->cols[index];
    const mbr_live_col *live = &m->full.cols[index];
    const mbr_drift_options *o = &m->options;
    size_t named = base->name_count, most = named + 1 + live->strange.used;
    uint64_t present = r->rows - live->missing - live->counts[named + 1];
    uint64_t base_present = base->rows - base->missing - base->invalid;
    r->missing = live->missing;
    r->unknown = live->counts[named];
    r->invalid = live->counts[named + 1];
    add_share(v, o, base->missing, base->rows, r->missing, r->rows, "missing");
    add_share(v, o, base->invalid, base->rows, r->invalid, r->rows, "invalid text");
    add_share(v, o, base->other, base_present, r->unknown, present, "unknown categories");
    if (!present || !base_present)
        return MBR_OK;
    double *a = mbr_calloc(m->memory, 4 * most, sizeof *a);
    if (!a)
        return mbr_no_memory(err, 4 * most * sizeof *a);
    double *b = a + most, *shares_a = b + most, *shares_b = shares_a + most, distance = 0.0;
    size_t n = 0;
    for (; n < named; n++) {
        a[n] = (double)base->name_counts[n];
        b[n] = (double)live->counts[n];
    }
    /* New categories by themselves where all of them are known, else together with the baseline's rest. */
    bool apart = base->other == 0 && live->strange.lost == 0 && live->strange.total == r->unknown;
    for (size_t i = 0; apart && i < live->strange.slot_count; i++)
        if (live->strange.slots[i].text)
            b[n++] = (double)live->strange.slots[i].count;
    if (!apart) {
        a[n] = (double)base->other;
        b[n++] = (double)r->unknown;
    }
    for (size_t i = 0; i < n; i++) {
        shares_a[i] = a[i] / (double)base_present;
        shares_b[i] = b[i] / (double)present;
        distance += fabs(shares_a[i] - shares_b[i]) / 2.0;
    }
    r->psi = mbr_stat_psi(shares_a, shares_b, n);
    r->js = mbr_stat_js(shares_a, shares_b, n);
    r->chi2 = mbr_stat_chi2(a, b, n, &r->chi2_p);
    r->chi2_fit = mbr_stat_chi2_fit(a, b, n, &r->chi2_fit_p);
    add_test(v, distance < o->least_distance ? 1.0 : merged_chi2_p(a, b, n), "categories");
    mbr_free(m->memory, a);
    return MBR_OK;
}

/* ---- all columns together ---- */

/* Whether there are enough rows for correlations to be told from chance. */
static bool are_related(const mbr_drift_monitor *m)
{
    return m->baseline->related_count > 1 && m->full.reservoir.count >= 30 && m->baseline->related_rows >= 30.0;
}

static mbr_status relate(mbr_drift_monitor *m, int column, mbr_error *err)
{
    const mbr_drift_baseline *b = m->baseline;
    if (!are_related(m))
        return MBR_OK;
    if (column == 0) {
        mbr_correlating_end(&m->correlating, m->memory);
        MBR_TRY(mbr_correlating_begin(&m->correlating, m->memory, m->full.reservoir.count, b->related_count, err));
    }
    mbr_correlating_column(&m->correlating, m->full.sample, (size_t)b->col_count, b->related, b->related_count, column,
                           m->correlations);
    if (column == b->related_count - 1)
        mbr_correlating_end(&m->correlating, m->memory);
    return MBR_OK;
}

/* The largest change of a rank correlation, in Fisher's scale with Bonett and Wright's variance (2000). */
static void judge_related(mbr_drift_monitor *m, mbr_drift_judged *j)
{
    const mbr_drift_baseline *b = m->baseline;
    size_t n = m->full.reservoir.count, k = (size_t)b->related_count, tests = 0;
    double least = 1.0;
    j->p[MBR_EXTRA_RELATED] = (double)NAN;
    j->related[0] = j->related[1] = -1;
    for (size_t i = 1; are_related(m) && i < k; i++)
        for (size_t h = 0; h < i; h++) {
            double r = b->correlations[i * (i - 1) / 2 + h], s = m->correlations[i * (i - 1) / 2 + h];
            if (isnan(r) || isnan(s))
                continue;
            tests++;
            r = r > 0.999 ? 0.999 : r < -0.999 ? -0.999 : r;
            s = s > 0.999 ? 0.999 : s < -0.999 ? -0.999 : s;
            double variance = (1.0 + r * r / 2.0) * (1.0 / (b->related_rows - 3.0) + 1.0 / ((double)n - 3.0));
            double p = mbr_stat_normal_p((atanh(r) - atanh(s)) / sqrt(variance));
            if (p < least) {
                least = p;
                j->related[0] = b->related[h];
                j->related[1] = b->related[i];
                j->correlation[0] = r;
                j->correlation[1] = s;
            }
        }
    if (tests)
        j->p[MBR_EXTRA_RELATED] = least * (double)tests < 1.0 ? least * (double)tests : 1.0;
}

/* Confidence-based estimation: calibrated scores are chances, so that the confusion matrix can be expected. */
static void judge_quality(mbr_drift_monitor *m, mbr_drift_judged *j)
{
    const mbr_live_quality *q = &m->full.quality;
    const mbr_calibration *c = &m->baseline->calibration;
    mbr_drift_quality *r = &j->quality;
    double nothing = (double)NAN, n = (double)q->rows;
    *r = (mbr_drift_quality){ .size = sizeof *r, .rows = q->rows, .accuracy = nothing, .precision = nothing,
                              .recall = nothing, .f1 = nothing, .auc = nothing, .baseline_accuracy = nothing,
                              .baseline_auc = nothing, .p = nothing, .error_rate = nothing };
    j->p[MBR_EXTRA_ACCURACY] = nothing;
    if (!c->count)
        return;
    r->baseline_accuracy = c->accuracy;
    r->baseline_auc = c->auc;
    if (!q->rows)
        return;
    r->accuracy = (q->tp + q->tn) / n;
    r->precision = q->tp + q->fp > 0.0 ? q->tp / (q->tp + q->fp) : nothing;
    r->recall = q->tp + q->fn > 0.0 ? q->tp / (q->tp + q->fn) : nothing;
    r->f1 = q->tp > 0.0 ? 2.0 * q->tp / (2.0 * q->tp + q->fp + q->fn) : nothing;
    double yes = 0.0, no = 0.0, area = 0.0;
    for (int i = 0; i < MBR_DRIFT_SCORE_BINS; i++) {
        area += q->yes[i] * (no + q->no[i] / 2.0);
        yes += q->yes[i];
        no += q->no[i];
    }
    r->auc = yes > 0.0 && no > 0.0 ? area / (yes * no) : nothing;
    double mean = q->confidence / n, variance = q->confidence_squares / n - mean * mean;
    double spread = (variance > 0.0 ? variance : 0.0) / n + c->confidence_variance / c->labelled;
    if (q->rows >= 30 && spread > 0.0)
        r->p = mbr_stat_normal_p((mean - c->confidence) / sqrt(spread));
    j->p[MBR_EXTRA_ACCURACY] = fabs(mean - c->confidence) < m->options.least_distance / 2.0 && !isnan(r->p) ? 1.0 : r->p;
}

static mbr_status judge_column(mbr_drift_monitor *m, int i, mbr_error *err)
{
    double nothing = (double)NAN;
    mbr_drift_result *r = &m->judging.results[i];
    verdict v = { .p = 2.0 };
    *r = (mbr_drift_result){ .size = sizeof *r, .rows = m->full.rows, .mean = nothing, .deviation = nothing,
                             .ks = nothing, .ks_p = nothing, .psi = nothing, .js = nothing, .wasserstein = nothing,
                             .chi2 = nothing, .chi2_p = nothing, .chi2_fit = nothing, .chi2_fit_p = nothing,
                             .baseline_deviation = nothing };
    MBR_TRY(m->texts[i] ? judge_category(m, i, r, &v, err) : judge_number(m, i, r, &v, err));
    double p = v.p * v.tests;
    r->p = v.tests && p < 1.0 ? p : 1.0;
    r->reason = v.tests ? v.reason : NULL;
    return MBR_OK;
}

/* What belongs to no column, and all chances together. */
static mbr_status judge_all(mbr_drift_monitor *m, mbr_error *err)
{
    mbr_drift_judged *j = &m->judging;
    size_t cols = (size_t)m->baseline->col_count, n = 0;
    double *p = mbr_alloc(m->memory, 2 * (cols + MBR_EXTRA_COUNT) * sizeof *p);
    size_t *order = mbr_alloc(m->memory, (cols + MBR_EXTRA_COUNT) * sizeof *order);
    mbr_status st = p && order ? MBR_OK : mbr_no_memory(err, 2 * (cols + MBR_EXTRA_COUNT) * sizeof *p);
    if (st == MBR_OK) {
        double *adjusted = p + cols + MBR_EXTRA_COUNT;
        judge_related(m, j);
        judge_quality(m, j);
        for (; n < cols; n++)
            p[n] = j->results[n].p;
        for (int i = 0; i < MBR_EXTRA_COUNT; i++)
            p[n++] = isnan(j->p[i]) ? 1.0 : j->p[i];
        mbr_stat_adjust(p, adjusted, order, n, m->options.control == MBR_DRIFT_BONFERRONI);
        for (size_t i = 0; i < cols; i++)
            j->results[i].adjusted = adjusted[i];
        for (int i = 0; i < MBR_EXTRA_COUNT; i++)
            j->adjusted[i] = adjusted[cols + (size_t)i];
    }
    mbr_free(m->memory, p);
    mbr_free(m->memory, order);
    return st;
}

int mbr_drift_slices(const mbr_drift_monitor *m)
{
    return m->baseline->col_count + m->baseline->related_count + 1;
}

mbr_status mbr_drift_judge(mbr_drift_monitor *m, int slice, mbr_error *err)
{
    int cols = m->baseline->col_count;
    if (slice < cols)
        return judge_column(m, slice, err);
    return slice + 1 < mbr_drift_slices(m) ? relate(m, slice - cols, err) : judge_all(m, err);
}

/* Up at once, and to an alarm also by a second warning in a row; down after enough quiet windows. */
mbr_drift_level mbr_col_state_step(mbr_col_state *s, double p, const mbr_drift_options *o)
{
    bool warned = p < o->warn;
    s->warned = warned ? s->warned + 1 : 0;
    s->quiet = warned ? 0 : s->quiet + 1;
    if (p < o->alarm || s->warned >= 2)
        s->level = MBR_DRIFT_ALARM;
    else if (warned && s->level == MBR_DRIFT_OK)
        s->level = MBR_DRIFT_WARN;
    else if (s->quiet >= o->clear_after)
        s->level = MBR_DRIFT_OK;
    return s->level;
}
