/* SPDX-License-Identifier: BSD-2-Clause */
/* What a policy test found: text, JSON, and one page of HTML with its pictures inside, without a script. */
#include "runtime/actions/policy.h"
#include "runtime/drift/drift_impl.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static mbr_status hand_out(mbr_words *w, mbr_write_fn write, void *user, mbr_error *err)
{
    mbr_status st = w->failed ? mbr_no_memory(err, w->used) : write(user, w->text, w->used);
    if (st != MBR_OK && !w->failed)
        (void)mbr_fail(err, st, "the report could not be written");
    mbr_words_free(w);
    return st;
}

static uint64_t met(const mbr_policy_test *t, int action, int label)
{
    return t->confusion[action * t->label_count + label];
}

static uint64_t given(const mbr_policy_test *t, int action)
{
    uint64_t n = 0;
    for (int k = 0; k < t->label_count; k++)
        n += met(t, action, k);
    return n;
}

static const char *action_name(const mbr_policy_test *t, int action)
{
    return action < t->pipeline->action_count ? t->pipeline->actions[action] : "(no action)";
}

static bool shown(const mbr_policy_test *t, int action)
{
    return action < t->pipeline->action_count || given(t, action);
}

static double action_cost(const mbr_policy_test *t, int action)
{
    double sum = 0.0;
    for (size_t i = 0; i < t->count; i++)
        if (t->rows[i].action == action && !isnan(t->rows[i].cost))
            sum += t->rows[i].cost;
    return sum;
}

static double part(uint64_t a, uint64_t b)
{
    return b ? (double)a / (double)b : (double)NAN;
}

static const char *side(const mbr_policy_test *t, int which)
{
    return which < 0 ? "" : t->pipeline->actions[t->pipeline->actions_of->costs.actions[which]];
}

/* Which points a table shows: not all of the curve. */
static bool in_table(const mbr_policy_test *t, int i)
{
    return i > 0 && (i % 5 == 0 || i < 5 || i + 1 == t->point_count);
}

/* ---- text ---- */

mbr_status mbr_policy_test_text(const mbr_policy_test *t, mbr_write_fn write, void *user, mbr_error *err)
{
    mbr_words w = { .memory = t->memory };
    const mbr_policy_facts *f = &t->facts;
    mbr_words_add(&w, "%llu rows, %llu of them '%s'; %llu faulty, %llu without a label\n\n",
                  (unsigned long long)f->rows,
                  (unsigned long long)f->positives, t->labels[t->positive].data, (unsigned long long)f->faulty,
                  (unsigned long long)f->unlabelled);
    mbr_words_add(&w, "%-20s %8s", "action", "share");
    for (int k = 0; k < t->label_count; k++)
        mbr_words_add(&w, " %12.12s", t->labels[k].data);
    mbr_words_add(&w, isnan(f->cost) ? "\n" : " %14s\n", "cost");
    for (int a = 0; a <= t->pipeline->action_count; a++) {
        if (!shown(t, a))
            continue;
        mbr_words_add(&w, "%-20.20s %7.2f%%", action_name(t, a), 100.0 * part(given(t, a), f->rows));
        for (int k = 0; k < t->label_count; k++)
            mbr_words_add(&w, " %12llu", (unsigned long long)met(t, a, k));
        if (!isnan(f->cost))
            mbr_words_add(&w, " %14.2f", action_cost(t, a));
        mbr_words_add(&w, "\n");
    }
    if (!isnan(f->cost))
        mbr_words_add(&w, "cost %.2f, %.6f a row; one threshold at %.6g (%s above, %s below): %.2f\n", f->cost,
                      f->cost_mean,
                      f->best_threshold, side(t, t->yes), side(t, t->no), f->best_cost);
    mbr_words_add(&w, "\nROC-AUC %.4f, average precision %.4f, Brier %.6f, calibration error %.6f\nbest F1 %.4f at %.6g\n\n"
                  "%12s %10s %10s %10s %10s%s\n", f->roc_auc, f->average_precision, f->brier, f->calibration_error, f->f1,
                  f->f1_threshold, "threshold", "rows", "precision", "recall", "false pos.",
                  isnan(f->cost) ? "" : "           cost");
    for (int i = 0; i < t->point_count; i++) {
        const mbr_policy_point *p = &t->points[i];
        if (!in_table(t, i))
            continue;
        mbr_words_add(&w, "%12.6g %10llu %10.4f %10.4f %10.4f", p->threshold, (unsigned long long)p->yes,
                      part(p->hits, p->yes), part(p->hits, t->scored_positives),
                      part(p->yes - p->hits, t->scored - t->scored_positives));
        mbr_words_add(&w, isnan(f->cost) ? "\n" : " %14.2f\n", p->cost);
    }
    mbr_words_add(&w, "\n%12s %12s %10s   calibration\n", "mean score", "rate", "rows");
    for (int b = 0; b < MBR_POLICY_BINS; b++)
        if (t->bins[b].rows)
            mbr_words_add(&w, "%12.6f %12.6f %10llu\n", t->bins[b].score, part(t->bins[b].positives, t->bins[b].rows),
                          (unsigned long long)t->bins[b].rows);
    return hand_out(&w, write, user, err);
}

/* ---- JSON ---- */

static void add_number(mbr_words *w, const char *key, double x)
{
    mbr_words_add(w, "%s", key);
    mbr_words_number(w, x);
}

static void add_points(mbr_words *w, const mbr_policy_test *t)
{
    for (int i = 0; i < t->point_count; i++) {
        const mbr_policy_point *p = &t->points[i];
        add_number(w, i ? ", {\"threshold\": " : "{\"threshold\": ", p->threshold);
        mbr_words_add(w, ", \"rows\": %llu, \"positives\": %llu", (unsigned long long)p->yes,
                      (unsigned long long)p->hits);
        add_number(w, ", \"precision\": ", part(p->hits, p->yes));
        add_number(w, ", \"recall\": ", part(p->hits, t->scored_positives));
        add_number(w, ", \"cost\": ", p->cost);
        mbr_words_add(w, "}");
    }
}

mbr_status mbr_policy_test_json(const mbr_policy_test *t, mbr_write_fn write, void *user, mbr_error *err)
{
    mbr_words w = { .memory = t->memory };
    const mbr_policy_facts *f = &t->facts;
    mbr_words_add(&w, "{\"rows\": %llu, \"positives\": %llu, \"faulty\": %llu, \"unlabelled\": %llu, \"positive\": ",
                  (unsigned long long)f->rows, (unsigned long long)f->positives, (unsigned long long)f->faulty,
                  (unsigned long long)f->unlabelled);
    mbr_words_json(&w, t->labels[t->positive].data, t->labels[t->positive].size);
    add_number(&w, ", \"roc_auc\": ", f->roc_auc);
    add_number(&w, ", \"average_precision\": ", f->average_precision);
    add_number(&w, ", \"brier\": ", f->brier);
    add_number(&w, ", \"calibration_error\": ", f->calibration_error);
    add_number(&w, ", \"f1\": ", f->f1);
    add_number(&w, ", \"f1_threshold\": ", f->f1_threshold);
    add_number(&w, ", \"cost\": ", f->cost);
    add_number(&w, ", \"cost_mean\": ", f->cost_mean);
    add_number(&w, ", \"best_threshold\": ", f->best_threshold);
    add_number(&w, ", \"best_cost\": ", f->best_cost);
    mbr_words_add(&w, ", \"actions\": [");
    for (int a = 0, first = 1; a <= t->pipeline->action_count; a++) {
        if (!shown(t, a))
            continue;
        mbr_words_add(&w, first ? "{\"action\": " : ", {\"action\": ");
        first = 0;
        mbr_words_json(&w, action_name(t, a), strlen(action_name(t, a)));
        add_number(&w, ", \"share\": ", part(given(t, a), f->rows));
        add_number(&w, ", \"cost\": ", isnan(f->cost) ? f->cost : action_cost(t, a));
        mbr_words_add(&w, ", \"labels\": {");
        for (int k = 0; k < t->label_count; k++) {
            mbr_words_add(&w, k ? ", " : "");
            mbr_words_json(&w, t->labels[k].data, t->labels[k].size);
            mbr_words_add(&w, ": %llu", (unsigned long long)met(t, a, k));
        }
        mbr_words_add(&w, "}}");
    }
    mbr_words_add(&w, "], \"thresholds\": [");
    add_points(&w, t);
    mbr_words_add(&w, "], \"calibration\": [");
    for (int b = 0, first = 1; b < MBR_POLICY_BINS; b++) {
        if (!t->bins[b].rows)
            continue;
        add_number(&w, first ? "{\"score\": " : ", {\"score\": ", t->bins[b].score);
        first = 0;
        add_number(&w, ", \"rate\": ", part(t->bins[b].positives, t->bins[b].rows));
        mbr_words_add(&w, ", \"rows\": %llu}", (unsigned long long)t->bins[b].rows);
    }
    mbr_words_add(&w, "]}\n");
    return hand_out(&w, write, user, err);
}

/* ---- the page ---- */

static const char style[] =
    "<style>:root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#1c2430;--dim:#667085;--line:#e3e7ee;"
    "--live:#2f6fed;--other:#d98a00;--bad:#d63a3a}"
    "@media(prefers-color-scheme:dark){:root{--bg:#12161c;--card:#1a2029;--ink:#e6eaf0;--dim:#93a0b4;--line:#2b3440;"
    "--live:#6ea0ff;--other:#f0b13c;--bad:#ff6b6b}}"
    "*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);"
    "font:15px/1.45 system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}"
    "main{max-width:1180px;margin:0 auto;padding:28px 20px 60px}h1{font-size:26px;margin:0}h2{font-size:18px;"
    "margin:34px 0 12px}.dim{color:var(--dim)}"
    ".facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(165px,1fr));gap:12px;margin-top:18px}"
    ".fact,.card,.wide{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px 16px}"
    ".fact b{display:block;font-size:22px;font-weight:650;font-variant-numeric:tabular-nums}"
    ".fact span{color:var(--dim);font-size:13px}.wide{overflow-x:auto}"
    ".cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(380px,1fr));"
    "gap:14px}.card h3{font-size:15px;margin:0 0 6px}svg{display:block;width:100%;height:auto}"
    "svg text{fill:var(--dim);font-size:11px;font-family:inherit}"
    "table{border-collapse:collapse;width:100%;font-size:14px}th,td{padding:6px 9px;text-align:right;"
    "border-bottom:1px solid var(--line);font-variant-numeric:tabular-nums;white-space:nowrap}"
    "th{color:var(--dim);font-weight:600;font-size:12.5px}tr:last-child td{border-bottom:0}td.l,th.l{text-align:left}"
    "</style>";

enum { WIDE = 360, HIGH = 250, LEFT = 44, TOP = 10, BOTTOM = 30 };

static double place_x(double x)
{
    return LEFT + (WIDE - LEFT - 12) * x;
}

static double place_y(double y)
{
    return HIGH - BOTTOM - (HIGH - BOTTOM - TOP) * y;
}

/* A frame from 0 to 1 on both sides; `most`: what the top stands for. */
static void begin_plot(mbr_words *w, const char *title, const char *below, const char *beside, double least,
                       double most)
{
    mbr_words_add(w, "<div class=card><h3>%s</h3><svg viewBox=\"0 0 %d %d\" role=img aria-label=\"%s\">", title, WIDE,
                  HIGH,
                  title);
    for (int i = 0; i <= 4; i++) {
        double v = i / 4.0, y = place_y(v), at = least + (most - least) * v;
        mbr_words_add(w, "<line x1=%d x2=%d y1=%.1f y2=%.1f stroke=\"var(--line)\"/><text x=%d y=%.1f text-anchor=end>%.3g"
                      "</text>", LEFT, WIDE - 12, y, y, LEFT - 5, y + 4.0, at);
        mbr_words_add(w, "<text x=%.1f y=%d text-anchor=middle>%.2g</text>", place_x(v), HIGH - BOTTOM + 13, v);
    }
    mbr_words_add(w, "<text x=%d y=%d text-anchor=middle>%s</text><text x=%d y=%d>%s</text>", (WIDE + LEFT) / 2,
                  HIGH - 3,
                  below, LEFT + 4, TOP + 8, beside);
}

static void begin_line(mbr_words *w, const char *colour)
{
    mbr_words_add(w, "<polyline fill=none stroke=\"var(--%s)\" stroke-width=1.8 points=\"", colour);
}

static void add_place(mbr_words *w, double x, double y)
{
    if (!isnan(x) && !isnan(y))
        mbr_words_add(w, "%.1f,%.1f ", place_x(x), place_y(y));
}

static void add_curves(mbr_words *w, const mbr_policy_test *t)
{
    uint64_t negatives = t->scored - t->scored_positives;
    begin_plot(w, "ROC", "false positive rate", "true positive rate", 0, 1);
    mbr_words_add(w, "<line x1=%.1f y1=%.1f x2=%.1f y2=%.1f stroke=\"var(--line)\" stroke-dasharray=\"4 3\"/>",
                  place_x(0),
                  place_y(0), place_x(1), place_y(1));
    begin_line(w, "live");
    for (int i = 0; i < t->point_count; i++)
        add_place(w, part(t->points[i].yes - t->points[i].hits, negatives), part(t->points[i].hits,
                                                                                 t->scored_positives));
    mbr_words_add(w, "\"/></svg></div>");
    begin_plot(w, "Precision over recall", "recall", "precision", 0, 1);
    begin_line(w, "live");
    for (int i = 1; i < t->point_count; i++)
        add_place(w, part(t->points[i].hits, t->scored_positives), part(t->points[i].hits, t->points[i].yes));
    mbr_words_add(w, "\"/></svg></div>");
    if (!isnan(t->facts.cost)) {
        double least = INFINITY, most = -INFINITY;
        for (int i = 0; i < t->point_count; i++) {
            least = fmin(least, t->points[i].cost);
            most = fmax(most, t->points[i].cost);
        }
        least = fmin(least, t->facts.cost);
        most = fmax(most, t->facts.cost);
        double range = most > least ? most - least : 1.0;
        begin_plot(w, "Cost of one threshold", "share of rows above it", "cost; dashes: this policy", least,
                   least + range);
        double y = place_y((t->facts.cost - least) / range);
        mbr_words_add(w, "<line x1=%d x2=%d y1=%.1f y2=%.1f stroke=\"var(--other)\" stroke-dasharray=\"5 4\"/>", LEFT,
                      WIDE - 12, y, y);
        begin_line(w, "live");
        for (int i = 0; i < t->point_count; i++)
            add_place(w, part(t->points[i].yes, t->scored), (t->points[i].cost - least) / range);
        mbr_words_add(w, "\"/></svg></div>");
    }
    double most = 1e-9;
    for (int b = 0; b < MBR_POLICY_BINS; b++)
        if (t->bins[b].rows)
            most = fmax(most, fmax(t->bins[b].score, part(t->bins[b].positives, t->bins[b].rows)));
    begin_plot(w, "Calibration", "mean score, of the largest", "rate of positives", 0, most);
    mbr_words_add(w, "<line x1=%.1f y1=%.1f x2=%.1f y2=%.1f stroke=\"var(--line)\" stroke-dasharray=\"4 3\"/>",
                  place_x(0),
                  place_y(0), place_x(1), place_y(1));
    begin_line(w, "live");
    for (int b = 0; b < MBR_POLICY_BINS; b++)
        if (t->bins[b].rows)
            add_place(w, t->bins[b].score / most, part(t->bins[b].positives, t->bins[b].rows) / most);
    mbr_words_add(w, "\"/></svg></div>");
}

static void add_fact(mbr_words *w, const char *what, const char *format, double x)
{
    if (isnan(x))
        return;
    char text[64];
    snprintf(text, sizeof text, format, x);
    mbr_words_add(w, "<div class=fact><b>%s</b><span>%s</span></div>", text, what);
}

static void add_confusion(mbr_words *w, const mbr_policy_test *t)
{
    mbr_words_add(w, "<h2>Actions and what they met</h2><div class=wide><table><tr><th class=l>action<th>share");
    for (int k = 0; k < t->label_count; k++) {
        mbr_words_add(w, "<th>");
        mbr_words_html(w, t->labels[k].data, t->labels[k].size);
    }
    mbr_words_add(w, isnan(t->facts.cost) ? "" : "<th>cost");
    for (int a = 0; a <= t->pipeline->action_count; a++) {
        if (!shown(t, a))
            continue;
        mbr_words_add(w, "<tr><td class=l>");
        mbr_words_html(w, action_name(t, a), strlen(action_name(t, a)));
        mbr_words_add(w, "<td>%.2f&#8239;%%", 100.0 * part(given(t, a), t->facts.rows));
        for (int k = 0; k < t->label_count; k++)
            mbr_words_add(w, "<td>%llu", (unsigned long long)met(t, a, k));
        if (!isnan(t->facts.cost))
            mbr_words_add(w, "<td>%.2f", action_cost(t, a));
    }
    mbr_words_add(w, "</table></div>");
}

static void add_thresholds(mbr_words *w, const mbr_policy_test *t)
{
    mbr_words_add(w, "<h2>Thresholds</h2><div class=wide><table><tr><th>score at least<th>rows<th>precision<th>recall"
                  "<th>false positives%s", isnan(t->facts.cost) ? "" : "<th>cost");
    for (int i = 0; i < t->point_count; i++) {
        const mbr_policy_point *p = &t->points[i];
        if (!in_table(t, i))
            continue;
        mbr_words_add(w, "<tr><td>%.6g<td>%llu<td>%.4f<td>%.4f<td>%.4f", p->threshold, (unsigned long long)p->yes,
                      part(p->hits, p->yes), part(p->hits, t->scored_positives),
                      part(p->yes - p->hits, t->scored - t->scored_positives));
        if (!isnan(t->facts.cost))
            mbr_words_add(w, "<td>%.2f", p->cost);
    }
    mbr_words_add(w, "</table></div>");
}

mbr_status mbr_policy_test_html(const mbr_policy_test *t, mbr_write_fn write, void *user, mbr_error *err)
{
    mbr_words w = { .memory = t->memory };
    const mbr_policy_facts *f = &t->facts;
    mbr_words_add(&w, "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport "
                  "content=\"width=device-width,initial-scale=1\"><title>Policy test</title>%s<main><h1>Policy test: ", style);
    mbr_words_html(&w, t->pipeline->name, strlen(t->pipeline->name));
    mbr_words_add(&w, "</h1><p class=dim>%llu rows, %llu of them &lsquo;", (unsigned long long)f->rows,
                  (unsigned long long)f->positives);
    mbr_words_html(&w, t->labels[t->positive].data, t->labels[t->positive].size);
    mbr_words_add(&w, "&rsquo;; %llu faulty, %llu without a label.", (unsigned long long)f->faulty,
                  (unsigned long long)f->unlabelled);
    if (t->yes >= 0) {
        mbr_words_add(&w, " One threshold: ");
        mbr_words_html(&w, side(t, t->yes), strlen(side(t, t->yes)));
        mbr_words_add(&w, " from it on, ");
        mbr_words_html(&w, side(t, t->no), strlen(side(t, t->no)));
        mbr_words_add(&w, " below.");
    }
    mbr_words_add(&w, "</p><div class=facts>");
    add_fact(&w, "cost of this policy", "%.2f", f->cost);
    add_fact(&w, "cost a row", "%.4f", f->cost_mean);
    add_fact(&w, "cost of the best single threshold", "%.2f", f->best_cost);
    add_fact(&w, "the best threshold by cost", "%.4g", f->best_threshold);
    add_fact(&w, "ROC-AUC", "%.4f", f->roc_auc);
    add_fact(&w, "average precision", "%.4f", f->average_precision);
    add_fact(&w, "Brier score", "%.5f", f->brier);
    add_fact(&w, "calibration error", "%.5f", f->calibration_error);
    add_fact(&w, "best F1", "%.4f", f->f1);
    add_fact(&w, "its threshold", "%.4g", f->f1_threshold);
    mbr_words_add(&w, "</div>");
    add_confusion(&w, t);
    mbr_words_add(&w, "<h2>The main score</h2><div class=cards>");
    add_curves(&w, t);
    mbr_words_add(&w, "</div>");
    add_thresholds(&w, t);
    mbr_words_add(&w, "</main></html>\n");
    return hand_out(&w, write, user, err);
}
