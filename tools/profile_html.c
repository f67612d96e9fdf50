/* SPDX-License-Identifier: BSD-2-Clause */
/* One page without anything from outside: a roofline picture (SVG) and tables, which a few lines of script sort. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "tools/profile.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- the picture's frame, in its own units --- */

#define WIDTH 960.0
#define HEIGHT 460.0
#define LEFT 70.0
#define RIGHT 20.0
#define TOP 16.0
#define BOTTOM 52.0

typedef struct axes {
    double x0, x1, y0, y1; /* decimal logarithms: FLOP a byte, FLOP a second */
} axes;

static const char style[] =
    ":root{--bg:#fbfbfd;--fg:#1d2330;--dim:#667085;--line:#dfe3ea;--card:#fff;--roof:#344054;--bar:#b9d2f4}"
    "@media(prefers-color-scheme:dark){:root{--bg:#12151c;--fg:#e5e8ee;--dim:#98a2b3;--line:#2b313d;--card:#191e28;"
    "--roof:#cfd5e0;--bar:#2c4a77}}"
    "*{box-sizing:border-box}body{margin:0 auto;max-width:1240px;padding:28px 24px;background:var(--bg);color:var(--fg);"
    "font:14px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}"
    "h1{font-size:21px;margin:0 0 2px;word-break:break-all}h2{font-size:16px;margin:30px 0 8px}"
    "p{margin:4px 0 10px;color:var(--dim);max-width:85ch}"
    ".facts{display:flex;flex-wrap:wrap;gap:10px;margin:16px 0}"
    ".fact{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:8px 14px}"
    ".fact b{display:block;font-size:17px;font-weight:600}.fact span{color:var(--dim);font-size:12px}"
    ".card{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:8px;overflow-x:auto}"
    "svg{display:block;width:100%;height:auto}svg text{fill:var(--dim);font-size:12px;paint-order:stroke;stroke:var(--card);"
    "stroke-width:4px}"
    "a{color:#2f6fde}"
    ".grid{stroke:var(--line);stroke-width:1}.roof{stroke:var(--roof);stroke-width:1.6;fill:none}"
    ".slope{stroke-dasharray:5 4}svg .name{fill:var(--fg)}"
    "circle{fill-opacity:.62;stroke-width:1}a:hover circle,a:focus circle{fill-opacity:1;stroke-width:3}"
    ".k0{fill:#2f6fde;stroke:#2f6fde}.k1{fill:#e0662b;stroke:#e0662b}.k2{fill:#2a9d6f;stroke:#2a9d6f}"
    ".k3{fill:#9757d6;stroke:#9757d6}.k4{fill:#8a93a3;stroke:#8a93a3}"
    ".legend{display:flex;flex-wrap:wrap;gap:16px;padding:2px 10px 6px;color:var(--dim);font-size:12.5px}"
    ".legend svg{display:inline;width:11px;height:11px;margin-right:5px;vertical-align:-1px}"
    "table{border-collapse:collapse;width:100%;font-size:13px}"
    "th{position:sticky;top:0;background:var(--card);text-align:left;font-weight:600;border-bottom:1px solid var(--line);"
    "padding:6px 9px;white-space:nowrap}th.n,td.n{text-align:right;font-variant-numeric:tabular-nums}"
    "td{padding:4px 9px;border-bottom:1px solid var(--line);vertical-align:top}td.w{word-break:break-all;min-width:16ch}"
    "tr.zero td{color:var(--dim)}tr:target td{background:rgba(255,196,0,.22)}"
    ".scripted th{cursor:pointer}.scripted th:hover{text-decoration:underline}"
    "td.bar{background-image:linear-gradient(var(--bar),var(--bar));background-repeat:no-repeat;"
    "background-position:100% 50%}"
    ".scroll{max-height:640px;overflow:auto}";

/* A click on a column's head sorts by it, the next one the other way. */
static const char script[] =
    "document.querySelectorAll('table').forEach(function(t){t.classList.add('scripted');"
    "t.querySelectorAll('th').forEach(function(h,i){h.title='sort';h.onclick=function(){"
    "var b=t.tBodies[0],r=[].slice.call(b.rows),d=h.dataset.d=h.dataset.d==='1'?'-1':"
    "h.dataset.d==='-1'?'1':h.classList.contains('n')?'-1':'1';"
    "r.sort(function(p,q){var x=p.cells[i],y=q.cells[i],v=x.dataset.v,w=y.dataset.v;"
    "return d*(v!==undefined&&w!==undefined?v-w:x.textContent.localeCompare(y.textContent))});"
    "r.forEach(function(x){b.appendChild(x)})}})});";

static void text_of(FILE *f, const char *s)
{
    for (size_t n; *s; s += n) {
        unsigned char c = (unsigned char)*s;
        n = 1;
        if (c == '&')
            fputs("&amp;", f);
        else if (c == '<')
            fputs("&lt;", f);
        else if (c == '>')
            fputs("&gt;", f);
        else if (c == '"')
            fputs("&quot;", f);
        else if (c < 0x20)
            fputc(' ', f);
        else
            n = put_character(f, s);
    }
}

/* Colours: products, convolutions, attention and recurrent layers, chains and elementwise, the rest. */
static int kind_of(const char *op)
{
    static const char *const names[][6] = { { "MatMul", "Gemm", "Einsum" },
                                            { "Conv" },
                                            { "Attention", "LSTM", "GRU", "RNN" },
                                            { "Chain", "Norm", "Softmax", "Add", "Mul" } };
    static const int order[] = { 2, 1, 0, 3 };
    for (size_t k = 0; k < sizeof order / sizeof *order; k++)
        for (int i = 0; i < 6 && names[order[k]][i]; i++)
            if (strstr(op, names[order[k]][i]))
                return order[k];
    return 4;
}

static double per(double a, double b)
{
    return b > 0 ? a / b : 0;
}

/* --- the roofline --- */

static double at_x(const axes *a, double intensity)
{
    return LEFT + (log10(intensity) - a->x0) / (a->x1 - a->x0) * (WIDTH - LEFT - RIGHT);
}

static double at_y(const axes *a, double flops)
{
    return HEIGHT - BOTTOM - (log10(flops) - a->y0) / (a->y1 - a->y0) * (HEIGHT - TOP - BOTTOM);
}

static bool on_picture(const profile *p, const mbr_profile_row *r)
{
    return r->calls && r->ns > 0.001 * p->wall_ns && r->flop > 0 && r->bytes > 0;
}

static axes axes_for(const profile *p)
{
    double top = p->limits.flops > 1e6 ? p->limits.flops : 1e9;
    axes a = { -1, 2, floor(log10(top)) - 2, log10(top) + 0.35 };
    for (int i = 0; i < p->n_rows; i++) {
        const mbr_profile_row *r = &p->rows[i];
        if (!on_picture(p, r))
            continue;
        double x = log10(r->flop / r->bytes), y = log10(r->flop / r->ns * 1e9);
        a.x0 = x - 0.1 < a.x0 ? floor(x - 0.1) : a.x0;
        a.x1 = x + 0.1 > a.x1 ? ceil(x + 0.1) : a.x1;
        a.y0 = y - 0.1 < a.y0 ? floor(y - 0.1) : a.y0;
        a.y1 = y + 0.2 > a.y1 ? y + 0.2 : a.y1;
    }
    return a;
}

static void print_grid(FILE *f, const axes *a)
{
    double bottom = HEIGHT - BOTTOM;
    for (double e = ceil(a->x0); e <= a->x1; e++) {
        double x = at_x(a, pow(10, e));
        fprintf(f, "<line class=grid x1=%.1f x2=%.1f y1=%.1f y2=%.1f /><text x=%.1f y=%.1f text-anchor=middle>%g</text>\n",
                x, x, TOP, bottom, x, bottom + 18, pow(10, e));
    }
    for (double e = ceil(a->y0); e <= a->y1; e++) {
        double y = at_y(a, pow(10, e));
        fprintf(f, "<line class=grid x1=%.1f x2=%.1f y1=%.1f y2=%.1f /><text x=%.1f y=%.1f text-anchor=end>%g</text>\n",
                LEFT, WIDTH - RIGHT, y, y, LEFT - 8, y + 4, pow(10, e - 9));
    }
    fprintf(f, "<text class=name x=%.1f y=%.1f text-anchor=middle>operations a byte</text>\n", (LEFT + WIDTH - RIGHT) / 2,
            HEIGHT - 10);
    fprintf(f, "<text class=name transform='translate(16 %.1f) rotate(-90)' text-anchor=middle>GFLOP/s</text>\n",
            (TOP + bottom) / 2);
}

static void print_roofs(FILE *f, const profile *p, const axes *a)
{
    static const char *const names[] = { "own caches", "shared cache", "memory" };
    double top = p->limits.flops;
    if (!(top > 0))
        return;
    double y = at_y(a, top);
    fprintf(f, "<line class=roof x1=%.1f x2=%.1f y1=%.1f y2=%.1f /><text class=name x=%.1f y=%.1f text-anchor=end>"
               "%.1f GFLOP/s, %s, %d thread%s</text>\n",
            at_x(a, pow(10, a->x0)), WIDTH - RIGHT, y, y, WIDTH - RIGHT - 4, y - 6, top * 1e-9, p->limits.tier,
            p->limits.threads, p->limits.threads == 1 ? "" : "s");
    for (int i = 0; i < 3; i++) {
        double rate = p->limits.read[i];
        if (!(rate > 0))
            continue;
        double from = fmax(pow(10, a->x0), pow(10, a->y0) / rate), to = top / rate;
        if (from >= to)
            continue;
        double x0 = at_x(a, from), y0 = at_y(a, from * rate), x1 = at_x(a, to), y1 = at_y(a, to * rate);
        double slope = atan2(y1 - y0, x1 - x0) * 57.29578, share = 0.14 + 0.2 * i;
        fprintf(f, "<line class='roof slope' x1=%.1f y1=%.1f x2=%.1f y2=%.1f />", x0, y0, x1, y1);
        fprintf(f, "<text transform='translate(%.1f %.1f) rotate(%.1f)'>%s, %.0f GB/s</text>\n",
                x0 + share * (x1 - x0), y0 + share * (y1 - y0) - 5, slope, names[i], rate * 1e-9);
    }
}

static void print_points(FILE *f, const profile *p, const axes *a)
{
    char op[96], shape[160];
    double runs = (double)p->runs;
    for (int i = 0; i < p->n_rows; i++) {
        const mbr_profile_row *r = &p->rows[i];
        if (!on_picture(p, r))
            continue;
        double share = r->ns / p->wall_ns;
        op_text(r->domain, r->op, op, sizeof op);
        shape_text(r, shape, sizeof shape);
        fprintf(f, "<a href='#s%d'><circle class=k%d cx=%.1f cy=%.1f r=%.1f><title>", i, kind_of(r->op),
                at_x(a, r->flop / r->bytes), at_y(a, r->flop / r->ns * 1e9), 3.5 + 26 * sqrt(share));
        text_of(f, *r->node ? r->node : "(no name)");
        fputs("\n", f);
        text_of(f, op);
        fprintf(f, " %s, %s\n%.2f us a run, %.1f %%\n%.1f GFLOP/s, %.1f GB/s, %.0f %% of the limit</title></circle></a>\n",
                shape, *r->kernel ? r->kernel : "plain code", r->ns / runs / 1e3, 100 * share, r->flop / r->ns,
                r->bytes / r->ns, 100 * per(least_ns(p, r->op, row_cost(r)) * runs, r->ns));
    }
}

static void print_picture(FILE *f, const profile *p)
{
    static const char *const names[] = { "products", "convolutions", "attention, recurrent",
                                         "elementwise, norms, softmax", "other" };
    axes a = axes_for(p);
    fprintf(f, "<h2>Roofline</h2><p>Each circle is a step of the program, as large as its share of the time: the higher, the "
               "more work in a second; the lines are what this machine was measured to do. Point at a circle for its name, "
               "click for its row.</p><div class=card><svg viewBox='0 0 %.0f %.0f' role=img "
               "aria-label='roofline of the steps'>\n", WIDTH, HEIGHT);
    print_grid(f, &a);
    print_roofs(f, p, &a);
    print_points(f, p, &a);
    fputs("</svg><div class=legend>", f);
    for (int k = 0; k < 5; k++)
        fprintf(f, "<span><svg viewBox='0 0 10 10'><circle class=k%d cx=5 cy=5 r=4 /></svg>%s</span>", k, names[k]);
    fputs("</div></div>\n", f);
}

/* --- tables --- */

static void cell(FILE *f, double v, int digits, bool shown)
{
    fprintf(f, "<td class=n data-v=%.9g>", v);
    if (shown)
        fprintf(f, "%.*f", digits, v);
    fputs("</td>", f);
}

static void cost_cells(FILE *f, const profile *p, const char *op, cost c)
{
    double runs = (double)p->runs, share = 100 * per(c.ns, p->wall_ns);
    bool shown = c.ns > 0;
    cell(f, c.ns / runs / 1e3, 2, shown);
    fprintf(f, "<td class='n bar' style='background-size:%.1f%% 70%%' data-v=%.9g>%.1f %%</td>", 100 * per(c.ns, p->largest_ns),
            share, share);
    cell(f, 100 * per(least_ns(p, op, c) * runs, c.ns), 0, shown);
    cell(f, per(c.flop, c.ns), 1, shown);
    cell(f, per(c.bytes, c.ns), 1, shown);
    cell(f, c.flop / runs * 1e-6, 3, shown);
    cell(f, c.bytes / runs * 1e-6, 3, shown);
}

#define COST_HEADS                                                                                                       \
    "<th class=n>us a run<th class=n>share<th class=n>% of limit<th class=n>GFLOP/s<th class=n>GB/s<th class=n>MFLOP"    \
    "<th class=n>MB"

static const mbr_profile_node *sorted_nodes;
static const mbr_profile_row *sorted_rows;

static int by_node_time(const void *a, const void *b)
{
    int i = *(const int *)a, k = *(const int *)b;
    double x = sorted_nodes[i].ns, y = sorted_nodes[k].ns;
    return x > y ? -1 : x < y ? 1 : (i > k) - (i < k);
}

static int by_row_time(const void *a, const void *b)
{
    int i = *(const int *)a, k = *(const int *)b;
    double x = sorted_rows[i].ns, y = sorted_rows[k].ns;
    return x > y ? -1 : x < y ? 1 : (i > k) - (i < k);
}

static void node_line(FILE *f, const profile *p, const mbr_profile_node *n)
{
    char op[96];
    const mbr_profile_row *r = n->row >= 0 ? &p->rows[n->row] : NULL;
    fprintf(f, "<tr%s>", n->ns > 0 ? "" : " class=zero");
    cost_cells(f, p, r ? r->op : n->op, node_cost(n));
    op_text(n->domain, n->op, op, sizeof op);
    fputs("<td>", f);
    text_of(f, op);
    fputs("</td><td class=w>", f);
    text_of(f, n->node);
    fputs("</td><td>", f);
    text_of(f, n->how);
    fputs("</td><td class=w>", f);
    if (r) {
        op_text(r->domain, r->op, op, sizeof op);
        fprintf(f, "<a href='#s%d'>", n->row);
        text_of(f, op);
        fputs("</a> ", f);
        text_of(f, r->kernel);
    }
    fputs("</td></tr>\n", f);
}

static void row_line(FILE *f, const profile *p, int i)
{
    char op[96], shape[160];
    const mbr_profile_row *r = &p->rows[i];
    fprintf(f, "<tr id=s%d%s>", i, r->ns > 0 ? "" : " class=zero");
    cost_cells(f, p, r->op, row_cost(r));
    op_text(r->domain, r->op, op, sizeof op);
    shape_text(r, shape, sizeof shape);
    cell(f, (double)r->calls / (double)p->runs, 0, true);
    fputs("<td>", f);
    text_of(f, op);
    fputs("</td><td>", f);
    text_of(f, r->kernel);
    fprintf(f, "</td><td>%s</td><td class=w>", shape);
    text_of(f, r->node);
    fputs("</td></tr>\n", f);
}

static bool print_tables(FILE *f, const profile *p)
{
    int most = p->n_nodes > p->n_rows ? p->n_nodes : p->n_rows;
    int *order = malloc(((size_t)most + 1) * sizeof *order);
    if (!order)
        return false;
    sorted_nodes = p->nodes;
    sorted_rows = p->rows;
    fputs("<h2>Nodes of the model</h2><p>A node without a step of its own is listed with the step that does its work and "
          "the passes and rules that took it there. A step of several nodes counts with those that do the bulk of it, "
          "else in equal parts.</p><div class='card scroll'><table><thead><tr>" COST_HEADS
          "<th>operator<th>node<th>taken by<th>step</tr></thead><tbody>\n", f);
    for (int i = 0; i < most; i++)
        order[i] = i;
    qsort(order, (size_t)p->n_nodes, sizeof *order, by_node_time);
    for (int i = 0; i < p->n_nodes; i++)
        node_line(f, p, &p->nodes[order[i]]);
    fputs("</tbody></table></div>\n<h2>Steps of the program</h2><p>In the order of the most time; bytes count inputs, "
          "weights and outputs once each.</p><div class='card scroll'><table><thead><tr>" COST_HEADS
          "<th class=n>calls<th>operator<th>kernel<th>output<th>node</tr></thead><tbody>\n", f);
    for (int i = 0; i < most; i++)
        order[i] = i;
    qsort(order, (size_t)p->n_rows, sizeof *order, by_row_time);
    for (int i = 0; i < p->n_rows; i++)
        row_line(f, p, order[i]);
    fputs("</tbody></table></div>\n", f);
    free(order);
    return true;
}

static void fact(FILE *f, const char *what, const char *unit, double v, int digits)
{
    fprintf(f, "<div class=fact><b>%.*f %s</b><span>%s</span></div>", digits, v, unit, what);
}

static bool print_page(FILE *f, const profile *p)
{
    double runs = (double)p->runs, least = 0, flop = 0, wall_us = p->wall_ns / runs / 1e3;
    for (int i = 0; i < p->n_rows; i++) {
        least += least_ns(p, p->rows[i].op, row_cost(&p->rows[i]));
        flop += p->rows[i].flop / runs;
    }
    fputs("<!DOCTYPE html><html lang=en><head><meta charset=utf-8><meta name=viewport content='width=device-width'>"
          "<title>mbr profile ", f);
    text_of(f, p->o->positional[0]);
    fprintf(f, "</title><style>%s</style></head><body>\n<h1>", style);
    text_of(f, p->o->positional[0]);
    fprintf(f, "</h1><p>mbr %s profile of %zu runs on %d thread%s</p><div class=facts>", mbr_version(), p->runs,
            p->limits.threads, p->limits.threads == 1 ? "" : "s");
    fact(f, "a run", wall_us < 1000 ? "us" : "ms", wall_us < 1000 ? wall_us : wall_us / 1e3, 2);
    fact(f, "between the steps", "us", (p->wall_ns - p->steps_ns) / runs / 1e3, 2);
    fact(f, "GFLOP a run", "", flop * 1e-9, 3);
    fact(f, "over the whole run", "GFLOP/s", per(flop, p->wall_ns / runs), 1);
    fact(f, "of a run is the least that the machine needs", "%", 100 * per(least, p->wall_ns / runs), 0);
    fact(f, "of weights read in a run", "MB", p->weight_bytes * 1e-6, 1);
    fputs("</div>\n", f);
    print_picture(f, p);
    if (!print_tables(f, p))
        return false;
    fprintf(f, "<script>%s</script></body></html>\n", script);
    return true;
}

int write_html(const profile *p, const char *path)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    bool whole = f && print_page(f, p) && !ferror(f);
    if (!f || fclose(f) != 0 || !whole) {
        say_error("%s: out of memory", path);
        free(text);
        return EXIT_RESOURCES;
    }
    int st = write_file(path, text, size) ? EXIT_DONE : EXIT_RESOURCES;
    free(text);
    return st;
}
