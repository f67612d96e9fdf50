/* SPDX-License-Identifier: BSD-2-Clause */
/* What is known about drift, as one page of HTML with its pictures inside: no script, nothing from a network. */
#include "runtime/drift/drift_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_CARDS 60
#define MOST_ROWS 500

typedef struct page {
    mbr_words words;
    mbr_write_fn write;
    void *user;
    const mbr_drift_baseline *b;
    const mbr_drift_monitor *m; /* NULL: the baseline alone */
    bool judged;
} page;

static const char style[] =
    "<style>"
    ":root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#1c2430;--dim:#667085;--line:#e3e7ee;--base:#b8c2d0;"
    "--live:#2f6fed;--ok:#1a9d5a;--warn:#d98a00;--alarm:#d63a3a}"
    "@media(prefers-color-scheme:dark){:root{--bg:#12161c;--card:#1a2029;--ink:#e6eaf0;--dim:#93a0b4;--line:#2b3440;"
    "--base:#4d5a6c;--live:#6ea0ff;--ok:#3ecb84;--warn:#f0b13c;--alarm:#ff6b6b}}"
    "*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);"
    "font:15px/1.45 system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}"
    "main{max-width:1180px;margin:0 auto;padding:28px 20px 60px}h1{font-size:26px;margin:0}h2{font-size:18px;"
    "margin:34px 0 12px}p.dim,.dim{color:var(--dim)}"
    ".top{display:flex;gap:14px;align-items:center;flex-wrap:wrap}"
    ".pill{display:inline-block;padding:2px 11px;border-radius:999px;font-size:13px;font-weight:600;color:#fff}"
    ".ok{background:var(--ok)}.warn{background:var(--warn)}.alarm{background:var(--alarm)}"
    ".facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(165px,1fr));gap:12px;margin-top:18px}"
    ".fact,.card,.wide{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px 16px}"
    ".fact b{display:block;font-size:22px;font-weight:650;font-variant-numeric:tabular-nums}.fact span{color:var(--dim);"
    "font-size:13px}.wide{overflow-x:auto}"
    ".cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(340px,1fr));gap:14px}"
    ".card h3{font-size:15px;margin:0 0 2px;display:flex;justify-content:space-between;gap:8px}"
    ".card h3 span:first-child{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}"
    ".card p{margin:0 0 8px;color:var(--dim);font-size:13px}svg{display:block;width:100%;height:auto}"
    "svg text{fill:var(--dim);font-size:11px;font-family:inherit}"
    "table{border-collapse:collapse;width:100%;font-size:14px}th,td{padding:6px 9px;text-align:right;"
    "border-bottom:1px solid var(--line);font-variant-numeric:tabular-nums;white-space:nowrap}"
    "th{color:var(--dim);font-weight:600;font-size:12.5px}tr:last-child td{border-bottom:0}"
    "td.l,th.l{text-align:left;max-width:260px;overflow:hidden;text-overflow:ellipsis}td svg{width:110px;height:24px}"
    ".key{display:inline-block;width:11px;height:11px;border-radius:3px;margin:0 5px 0 12px;vertical-align:-1px}"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 16px;font-size:13.5px;color:var(--dim);margin:0}"
    "dt{color:var(--ink)}dd{margin:0}</style>";

static mbr_status flush(page *p, mbr_error *err)
{
    if (p->words.failed)
        return mbr_no_memory(err, p->words.used);
    mbr_status st = p->words.used ? p->write(p->user, p->words.text, p->words.used) : MBR_OK;
    p->words.used = 0;
    return st == MBR_OK ? st : mbr_fail(err, st, "the report could not be written");
}

/* A number for people: four digits at most, a dash where there is none. */
static const char *number_text(char *room, size_t size, double x)
{
    if (isnan(x))
        snprintf(room, size, "&ndash;");
    else if (x == 0.0 || (fabs(x) >= 0.001 && fabs(x) < 1e6))
        snprintf(room, size, fabs(x) >= 1000.0 ? "%.0f" : fabs(x) >= 10.0 ? "%.1f" : fabs(x) >= 0.1 ? "%.3g" : "%.2g", x);
    else
        snprintf(room, size, "%.1e", x);
    return room;
}

static const char *chance_text(char *room, size_t size, double p)
{
    if (isnan(p))
        snprintf(room, size, "&ndash;");
    else if (p < 1e-99)
        snprintf(room, size, "&lt;1e-99");
    else
        snprintf(room, size, p < 0.001 ? "%.0e" : "%.2g", p);
    return room;
}

static void add_fact(page *p, const char *value, const char *what)
{
    mbr_words_add(&p->words, "<div class=fact><b>%s</b><span>%s</span></div>", value, what);
}

static void add_pill(page *p, mbr_drift_level level)
{
    static const char *const words[] = { "OK", "Warning", "Alarm" };
    mbr_words_add(&p->words, "<span class=\"pill %s\">%s</span>", mbr_drift_level_name(level), words[level]);
}

static void add_count(char *room, size_t size, uint64_t n)
{
    char digits[32];
    int k = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n);
    size_t at = 0;
    for (int i = 0; i < k && at + 8 < size; i++) {
        if (i && (k - i) % 3 == 0)
            at += (size_t)snprintf(room + at, size - at, "&#8239;");
        room[at++] = digits[i];
    }
    room[at] = '\0';
}

/* ---- head ---- */

static void add_head(page *p)
{
    mbr_words *w = &p->words;
    char room[64], more[128];
    mbr_words_add(w, "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport "
                  "content=\"width=device-width,initial-scale=1\"><title>Drift report</title>%s<main><div class=top>"
                  "<h1>Drift report</h1>", style);
    if (p->m)
        add_pill(p, p->m->level);
    if (p->m && p->m->fallback)
        mbr_words_add(w, "<span class=\"pill alarm\">fallback in force</span>");
    mbr_words_add(w, "</div><p class=dim>");
    if (!p->m)
        mbr_words_add(w, "The baseline alone; no live data.");
    else if (!p->judged)
        mbr_words_add(w, "No window has been judged yet.");
    else
        mbr_words_add(w, "Last window against the baseline, all columns considered together.");
    mbr_words_add(w, "</p><div class=facts>");
    add_count(room, sizeof room, p->b->rows);
    add_fact(p, room, "rows in the baseline");
    snprintf(room, sizeof room, "%d", p->b->col_count);
    add_fact(p, room, "columns");
    if (p->judged) {
        int drifted = 0;
        for (int i = 0; i < p->b->col_count; i++)
            drifted += p->m->judged.results[i].adjusted < p->m->options.warn;
        snprintf(room, sizeof room, "%d", drifted);
        add_fact(p, room, "columns drifted in the last window");
        add_count(room, sizeof room, p->m->last.rows);
        snprintf(more, sizeof more, "rows in window %llu", (unsigned long long)p->m->windows);
        add_fact(p, room, more);
        const mbr_drift_quality *q = &p->m->judged.quality;
        if (!isnan(q->accuracy)) {
            snprintf(room, sizeof room, "%.1f&#8239;%%", 100.0 * q->accuracy);
            snprintf(more, sizeof more, "estimated accuracy, %.1f&#8239;%% in the baseline", 100.0 * q->baseline_accuracy);
            add_fact(p, room, more);
        }
    }
    if (p->m && p->m->concept.taken) {
        snprintf(room, sizeof room, "%.2f&#8239;%%", 100.0 * mbr_adwin_mean(&p->m->concept.adwin));
        char taken[64];
        add_count(taken, sizeof taken, p->m->concept.taken);
        snprintf(more, sizeof more, "error rate now, of %s labels", taken);
        add_fact(p, room, more);
    }
    mbr_words_add(w, "</div>");
}

/* ---- timeline ---- */

static double depth(double chance)
{
    double d = chance > 0.0 ? -log10(chance) : 12.0;
    return d > 12.0 ? 12.0 : d < 0.0 ? 0.0 : d;
}

static void add_timeline(page *p)
{
    enum { WIDE = 1100, HIGH = 190, LEFT = 46, BOTTOM = 26, TOP = 12 };
    mbr_words *w = &p->words;
    const mbr_drift_monitor *m = p->m;
    uint64_t first = m->windows > MBR_DRIFT_TIMELINE ? m->windows - MBR_DRIFT_TIMELINE : 0;
    double count = (double)(m->windows - first), slot = (WIDE - LEFT - 10) / count;
    slot = slot > 40.0 ? 40.0 : slot;
    double high = HIGH - BOTTOM - TOP;
    mbr_words_add(w, "<h2>Timeline</h2><div class=wide><svg viewBox=\"0 0 %d %d\" role=img aria-label=\"How unlikely each "
                  "window is without drift\">", WIDE, HIGH);
    for (int d = 0; d <= 12; d += 3) {
        double y = HIGH - BOTTOM - high * d / 12.0;
        mbr_words_add(w, "<line x1=%d x2=%d y1=%.1f y2=%.1f stroke=\"var(--line)\"/><text x=%d y=%.1f "
                      "text-anchor=end>%s</text>", LEFT, WIDE, y, y, LEFT - 6, y + 4.0,
                      d == 0 ? "1" : d == 3 ? "10&#8315;&#179;" : d == 6 ? "10&#8315;&#8310;"
                      : d == 9 ? "10&#8315;&#8313;" : "10&#8315;&#185;&#178;");
    }
    for (uint64_t i = first; i < m->windows; i++) {
        const mbr_drift_past *past = &m->timeline[i % MBR_DRIFT_TIMELINE];
        double h = high * depth(past->p) / 12.0, x = LEFT + 4 + slot * (double)(i - first);
        char chance[32];
        chance_text(chance, sizeof chance, past->p);
        mbr_words_add(w, "<rect x=%.1f y=%.1f width=%.1f height=%.1f rx=1.5 fill=\"var(--%s)\"><title>window %llu: %s, "
                      "p %s, %d columns drifted</title></rect>", x, HIGH - BOTTOM - h - 2.0,
                      slot > 3.0 ? slot - 2.0 : slot * 0.8, h + 2.0, mbr_drift_level_name(past->level),
                      (unsigned long long)past->number, mbr_drift_level_name(past->level), chance, past->drifted);
    }
    const double marks[] = { m->options.warn, m->options.alarm };
    for (int i = 0; i < 2; i++) {
        double y = HIGH - BOTTOM - high * depth(marks[i]) / 12.0;
        mbr_words_add(w, "<line x1=%d x2=%d y1=%.1f y2=%.1f stroke=\"var(--%s)\" stroke-dasharray=\"5 4\"/>", LEFT, WIDE, y,
                      y, i ? "alarm" : "warn");
    }
    mbr_words_add(w, "<text x=%d y=%d>window %llu</text><text x=%.1f y=%d text-anchor=end>%llu</text></svg>"
                  "<p class=dim style=\"margin:6px 0 0\">Bars: how unlikely the window's strangest column is without drift, "
                  "all columns considered; taller is stranger. Dashes: warning and alarm. Colours: the level, with "
                  "hysteresis.</p></div>", LEFT + 4, HIGH - 8, (unsigned long long)(first + 1),
                  LEFT + 4 + slot * count, HIGH - 8, (unsigned long long)m->windows);
}

/* A small line of a column's distance over the windows. */
static void add_spark(page *p, int column)
{
    const mbr_drift_monitor *m = p->m;
    size_t cols = (size_t)p->b->col_count;
    uint64_t first = m->windows > 60 ? m->windows - 60 : 0;
    double most = 0.1;
    for (uint64_t i = first; i < m->windows; i++) {
        double y = (double)m->past_ks[i % MBR_DRIFT_TIMELINE * cols + (size_t)column];
        most = y > most ? y : most;
    }
    mbr_words_add(&p->words, "<svg viewBox=\"0 0 110 24\"><polyline fill=none stroke=\"var(--live)\" stroke-width=1.5 "
                  "points=\"");
    double step = m->windows - first > 1 ? 106.0 / (double)(m->windows - first - 1) : 0.0, x = 2.0, y = 22.0;
    for (uint64_t i = first; i < m->windows; i++) {
        double v = (double)m->past_ks[i % MBR_DRIFT_TIMELINE * cols + (size_t)column];
        x = 2.0 + step * (double)(i - first);
        y = 22.0 - 20.0 * (isnan(v) ? 0.0 : v) / most;
        mbr_words_add(&p->words, "%.1f,%.1f ", x, y);
    }
    mbr_words_add(&p->words, "\"/><circle cx=%.1f cy=%.1f r=2.2 fill=\"var(--live)\"/></svg>", x, y);
}

/* ---- the table ---- */

static double share(uint64_t part, uint64_t whole)
{
    return whole ? 100.0 * (double)part / (double)whole : 0.0;
}

static mbr_status add_table(page *p, const int *order, mbr_error *err)
{
    mbr_words *w = &p->words;
    char a[32], b[32], c[32];
    mbr_words_add(w, "<h2>Columns, the strangest first</h2><div class=wide><table><tr><th class=l>column<th class=l>level"
                  "<th class=l>strangest test<th>distance<th>PSI<th>p, adjusted<th>missing<th>mean, deviation<th>windows");
    for (int i = 0; i < p->b->col_count && i < MOST_ROWS; i++) {
        const mbr_base_col *base = &p->b->cols[order[i]];
        const mbr_drift_result *r = &p->m->judged.results[order[i]];
        bool number = base->type == MBR_DRIFT_NUMBER;
        mbr_words_add(w, "<tr><td class=l title=\"");
        mbr_words_html(w, base->name, strlen(base->name));
        mbr_words_add(w, "\">");
        mbr_words_html(w, base->name, strlen(base->name));
        mbr_words_add(w, "%s<td class=l>", base->role == MBR_DRIFT_OUTPUT ? " <span class=dim>output</span>" : "");
        add_pill(p, r->level);
        mbr_words_add(w, "<td class=l>%s<td>%s<td>%s<td>%s<td>%.3g&#8239;%% <span class=dim>&larr; %.3g&#8239;%%</span>",
                      r->reason && r->p < 1.0 ? r->reason : "&ndash;",
                      number_text(a, sizeof a, number ? r->ks : r->js), number_text(b, sizeof b, r->psi),
                      chance_text(c, sizeof c, r->adjusted), share(r->missing, r->rows), share(base->missing, base->rows));
        if (number)
            mbr_words_add(w, "<td>%s &plusmn; %s", number_text(a, sizeof a, r->mean),
                          number_text(b, sizeof b, r->deviation));
        else
            mbr_words_add(w, "<td>&ndash;");
        mbr_words_add(w, "<td>");
        add_spark(p, order[i]);
        MBR_TRY(flush(p, err));
    }
    mbr_words_add(w, "</table></div>");
    return MBR_OK;
}

/* ---- pictures of columns ---- */

enum { PLOT_WIDE = 320, PLOT_HIGH = 120, PLOT_BOTTOM = 18 };

static void add_histogram(page *p, const mbr_base_col *c, const mbr_live_col *live)
{
    mbr_words *w = &p->words;
    size_t bins = (size_t)c->bins + 2, together = bins > 36 ? (bins + 35) / 36 : 1;
    double total = 0.0, live_total = 0.0, most = 0.0;
    for (size_t i = 0; i < bins; i++) {
        total += (double)c->counts[i];
        live_total += live ? (double)mbr_live_count(live, c, i) : 0.0;
    }
    size_t bars = (bins + together - 1) / together;
    double base_share[80], live_share[80];
    for (size_t k = 0; k < bars; k++) {
        base_share[k] = live_share[k] = 0.0;
        for (size_t i = k * together; i < bins && i < (k + 1) * together; i++) {
            base_share[k] += total > 0.0 ? (double)c->counts[i] / total : 0.0;
            live_share[k] += live_total > 0.0 ? (double)mbr_live_count(live, c, i) / live_total : 0.0;
        }
        most = base_share[k] > most ? base_share[k] : most;
        most = live_share[k] > most ? live_share[k] : most;
    }
    double bar = (double)PLOT_WIDE / (double)bars, floor_y = PLOT_HIGH - PLOT_BOTTOM, scale = most > 0.0 ? 96.0 / most : 0.0;
    mbr_words_add(w, "<svg viewBox=\"0 0 %d %d\">", PLOT_WIDE, PLOT_HIGH);
    mbr_words_add(w, "<path fill=\"var(--base)\" d=\"");
    for (size_t k = 0; k < bars; k++)
        mbr_words_add(w, "M%.1f %.1fh%.1fV%.1fh-%.1fz", bar * (double)k, floor_y, bar * 0.94,
                      floor_y - scale * base_share[k], bar * 0.94);
    mbr_words_add(w, "\"/>");
    if (live_total > 0.0) {
        mbr_words_add(w, "<path fill=\"var(--live)\" fill-opacity=.16 stroke=\"var(--live)\" stroke-width=1.6 d=\"M0 %.1f",
                      floor_y);
        for (size_t k = 0; k < bars; k++)
            mbr_words_add(w, "V%.1fH%.1f", floor_y - scale * live_share[k], bar * (double)(k + 1));
        mbr_words_add(w, "V%.1fz\"/>", floor_y);
    }
    char a[32], b[32], d[32];
    mbr_words_add(w, "<line x1=0 x2=%d y1=%.1f y2=%.1f stroke=\"var(--dim)\" stroke-opacity=.5 /><text x=%.1f y=%d>%s</text>"
                  "<text x=%d y=%d text-anchor=middle>%s%s</text><text x=%.1f y=%d text-anchor=end>%s</text></svg>",
                  PLOT_WIDE, floor_y, floor_y, bar, PLOT_HIGH - 4, number_text(a, sizeof a, mbr_base_col_edge(c, 0)),
                  PLOT_WIDE / 2, PLOT_HIGH - 4, number_text(b, sizeof b, mbr_base_col_edge(c, c->bins / 2)),
                  c->logarithmic ? " (logarithmic)" : "", PLOT_WIDE - bar, PLOT_HIGH - 4,
                  number_text(d, sizeof d, mbr_base_col_edge(c, c->bins)));
}

static void add_bar(page *p, int row, const char *name, size_t size, double base, double now, double most)
{
    mbr_words *w = &p->words;
    double y = 4.0 + 22.0 * row;
    size_t shown = size;
    for (size_t i = 0, letters = 0; i < size; i++) /* at most so many characters */
        if (((unsigned char)name[i] & 0xc0) != 0x80 && letters++ == 15) {
            shown = i;
            break;
        }
    mbr_words_add(w, "<text x=104 y=%.1f text-anchor=end>", y + 13.0);
    mbr_words_html(w, name, shown);
    mbr_words_add(w, "%s</text><rect x=110 y=%.1f width=%.1f height=8 rx=1.5 fill=\"var(--base)\"/>",
                  shown < size ? "&hellip;" : "", y, 160.0 * base / most + 0.5);
    if (!isnan(now))
        mbr_words_add(w, "<rect x=110 y=%.1f width=%.1f height=8 rx=1.5 fill=\"var(--live)\"/><text x=%.1f y=%.1f>%.1f"
                      "&#8239;%%</text>", y + 9.0, 160.0 * now / most + 0.5,
                      116.0 + 160.0 * (now > base ? now : base) / most, y + 13.0, 100.0 * now);
}

static void add_categories(page *p, const mbr_base_col *c, const mbr_live_col *live, uint64_t rows)
{
    enum { SHOWN = 6 };
    mbr_words *w = &p->words;
    double total = (double)(c->rows - c->missing), now = live ? (double)(rows - live->missing) : 0.0, most = 1e-9;
    size_t n = c->name_count < SHOWN ? c->name_count : SHOWN;
    total = total > 0.0 ? total : 1.0;
    double rest = total, live_rest = now;
    for (size_t i = 0; i < n; i++) {
        double a = (double)c->name_counts[i] / total, b = now > 0.0 ? (double)live->counts[i] / now : 0.0;
        most = a > most ? a : most;
        most = b > most ? b : most;
        rest -= (double)c->name_counts[i];
        live_rest -= now > 0.0 ? (double)live->counts[i] : 0.0;
    }
    most = rest / total > most ? rest / total : most;
    most = now > 0.0 && live_rest / now > most ? live_rest / now : most;
    bool has_rest = rest > 0.5 || live_rest > 0.5;
    mbr_words_add(w, "<svg viewBox=\"0 0 %d %d\">", PLOT_WIDE, 6 + 22 * (int)(n + has_rest));
    for (size_t i = 0; i < n; i++)
        add_bar(p, (int)i, c->names[i].data, c->names[i].size, (double)c->name_counts[i] / total,
                now > 0.0 ? (double)live->counts[i] / now : (double)NAN, most);
    if (has_rest)
        add_bar(p, (int)n, "all others", 10, rest / total, now > 0.0 ? live_rest / now : (double)NAN, most);
    mbr_words_add(w, "</svg>");
}

static mbr_status add_cards(page *p, const int *order, mbr_error *err)
{
    mbr_words *w = &p->words;
    mbr_words_add(w, "<h2>Distributions<span class=dim style=\"font-size:13px;font-weight:400\"><i class=key "
                  "style=\"background:var(--base)\"></i>baseline%s</span></h2><div class=cards>",
                  p->judged ? "<i class=key style=\"background:var(--live)\"></i>last window" : "");
    for (int i = 0; i < p->b->col_count && i < MOST_CARDS; i++) {
        const mbr_base_col *c = &p->b->cols[order[i]];
        const mbr_live_col *live = p->judged ? &p->m->last.cols[order[i]] : NULL;
        char a[32], b[32];
        mbr_words_add(w, "<div class=card><h3><span>");
        mbr_words_html(w, c->name, strlen(c->name));
        mbr_words_add(w, "</span>");
        if (p->judged)
            add_pill(p, p->m->judged.results[order[i]].level);
        mbr_words_add(w, "</h3><p>");
        if (p->judged) {
            const mbr_drift_result *r = &p->m->judged.results[order[i]];
            mbr_words_add(w, "%s %s, PSI %s", c->type == MBR_DRIFT_NUMBER ? "KS" : "Jensen-Shannon",
                          number_text(a, sizeof a, c->type == MBR_DRIFT_NUMBER ? r->ks : r->js),
                          number_text(b, sizeof b, r->psi));
            if (r->missing || c->missing)
                mbr_words_add(w, ", missing %.3g&#8239;%%", share(r->missing, r->rows));
            if (r->below + r->above)
                mbr_words_add(w, ", out of range %.3g&#8239;%%", share(r->below + r->above, r->rows));
            if (r->unknown)
                mbr_words_add(w, ", unknown %.3g&#8239;%%", share(r->unknown, r->rows));
        } else if (c->type == MBR_DRIFT_NUMBER) {
            mbr_words_add(w, "mean %s, deviation %s", number_text(a, sizeof a, c->mean),
                          number_text(b, sizeof b, c->deviation));
        } else {
            mbr_words_add(w, "%zu categories by name", c->name_count);
        }
        mbr_words_add(w, "</p>");
        if (c->type == MBR_DRIFT_NUMBER)
            add_histogram(p, c, live);
        else
            add_categories(p, c, live, p->judged ? p->m->last.rows : 0);
        mbr_words_add(w, "</div>");
        MBR_TRY(flush(p, err));
    }
    mbr_words_add(w, "</div>");
    if (p->b->col_count > MOST_CARDS)
        mbr_words_add(w, "<p class=dim>The %d strangest of %d columns; <code>--json</code> has all of them.</p>", MOST_CARDS,
                      p->b->col_count);
    return MBR_OK;
}

/* ---- the rest ---- */

static void add_model(page *p)
{
    mbr_words *w = &p->words;
    const mbr_drift_judged *j = &p->m->judged;
    const mbr_drift_quality *q = &j->quality;
    const mbr_concept *c = &p->m->concept;
    char a[32], b[32], d[32];
    bool estimated = p->judged && !isnan(q->accuracy), related = p->judged && j->related[0] >= 0;
    if (!estimated && !related && !c->taken)
        return;
    mbr_words_add(w, "<h2>The model and the relations</h2><div class=wide><dl>");
    if (estimated)
        mbr_words_add(w, "<dt>estimated without labels<dd>accuracy %.2f&#8239;%% (baseline %.2f&#8239;%%, p %s), precision %s, "
                      "recall %s, area under the curve %s", 100.0 * q->accuracy, 100.0 * q->baseline_accuracy,
                      chance_text(a, sizeof a, j->adjusted[MBR_EXTRA_ACCURACY]),
                      number_text(b, sizeof b, q->precision), number_text(d, sizeof d, q->recall),
                      number_text((char[32]){ 0 }, 32, q->auc));
    if (c->taken)
        mbr_words_add(w, "<dt>with labels<dd>%llu outcomes, error rate %.2f&#8239;%%; changes found: ADWIN %llu, DDM %llu, "
                      "Page-Hinkley %llu", (unsigned long long)c->taken, 100.0 * mbr_adwin_mean(&c->adwin),
                      (unsigned long long)c->found[MBR_CONCEPT_ADWIN], (unsigned long long)c->found[MBR_CONCEPT_DDM],
                      (unsigned long long)c->found[MBR_CONCEPT_PAGE_HINKLEY]);
    if (related) {
        mbr_words_add(w, "<dt>most changed correlation<dd>");
        for (int i = 0; i < 2; i++) {
            const char *name = p->b->cols[j->related[i]].name;
            mbr_words_html(w, name, strlen(name));
            mbr_words_add(w, i ? ": " : " and ");
        }
        mbr_words_add(w, "%.2f, was %.2f (p %s)", j->correlation[1], j->correlation[0],
                      chance_text(a, sizeof a, j->adjusted[MBR_EXTRA_RELATED]));
    }
    mbr_words_add(w, "</dl></div>");
}

static void add_words(page *p)
{
    mbr_words_add(&p->words,
                  "<h2>Words</h2><div class=wide><dl>"
                  "<dt>distance<dd>numbers: the largest difference of the two cumulative distributions "
                  "(Kolmogorov-Smirnov); categories: Jensen-Shannon distance. From 0, the same, to 1, nothing in common."
                  "<dt>PSI<dd>population stability index; below 0.1 is usually called stable, above 0.25 a shift."
                  "<dt>p, adjusted<dd>the chance of a window as strange as this, without drift, when all columns are "
                  "looked at together.<dt>level<dd>goes up at once, and down after some quiet windows.</dl></div></main>"
                  "</html>\n");
}

static int by_strangeness(const void *a, const void *b)
{
    const mbr_drift_result *x = *(const mbr_drift_result *const *)a, *y = *(const mbr_drift_result *const *)b;
    if (x->p != y->p)
        return x->p < y->p ? -1 : 1;
    double dx = isnan(x->js) ? 0.0 : x->js, dy = isnan(y->js) ? 0.0 : y->js;
    if (dx != dy)
        return dx > dy ? -1 : 1;
    return (x > y) - (x < y);
}

mbr_status mbr_drift_report_html(const mbr_drift_baseline *b, const mbr_drift_monitor *m, mbr_write_fn write,
                                 void *user, mbr_error *err)
{
    page p = { .words = { .memory = b->memory }, .write = write, .user = user, .b = b, .m = m,
               .judged = m && m->has_judged };
    size_t n = (size_t)b->col_count;
    int *order = mbr_alloc(b->memory, n * sizeof *order);
    const mbr_drift_result **ranked = mbr_alloc(b->memory, n * sizeof *ranked);
    mbr_status st = order && ranked ? MBR_OK : mbr_no_memory(err, n * sizeof *ranked);
    if (st == MBR_OK) {
        for (size_t i = 0; i < n; i++) {
            order[i] = (int)i;
            ranked[i] = p.judged ? &m->judged.results[i] : NULL;
        }
        if (p.judged) {
            qsort(ranked, n, sizeof *ranked, by_strangeness);
            for (size_t i = 0; i < n; i++)
                order[i] = (int)(ranked[i] - m->judged.results);
        }
        add_head(&p);
        if (p.judged) {
            add_timeline(&p);
            st = add_table(&p, order, err);
        }
    }
    if (st == MBR_OK && m)
        add_model(&p);
    if (st == MBR_OK)
        st = add_cards(&p, order, err);
    if (st == MBR_OK) {
        add_words(&p);
        st = flush(&p, err);
    }
    mbr_words_free(&p.words);
    mbr_free(b->memory, order);
    mbr_free(b->memory, ranked);
    return st;
}
