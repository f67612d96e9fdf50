/* SPDX-License-Identifier: BSD-2-Clause */
/* Pictures of a plan: the graph for Graphviz, and the run as lanes of devices over time as SVG. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "tools/plan.h"

#include <stdlib.h>
#include <string.h>

static const char *const colours[] = { "#2f6fde", "#e0662b", "#2a9d6f", "#9757d6", "#8a93a3", "#c2b30d" };
#define COLOUR(device) colours[(device) % (int)(sizeof colours / sizeof *colours)]

/* What XML and DOT's HTML-free strings cannot hold. */
static void put_text(FILE *f, const char *text, bool xml)
{
    for (size_t n = 1; *text; text += n) {
        n = 1;
        if (xml && strchr("<>&\"", *text))
            fprintf(f, "&#%d;", *text);
        else if (!xml && (*text == '"' || *text == '\\'))
            fprintf(f, "\\%c", *text);
        else if ((unsigned char)*text >= ' ')
            n = put_character(f, text);
    }
}

/* What a memory stream holds is there when it is closed. */
static int finish(FILE *f, const char *path, char **data, const size_t *size)
{
    bool fine = fclose(f) == 0 && write_file(path, *data, *size);
    free(*data);
    return fine ? EXIT_DONE : EXIT_BAD_INPUT;
}

int write_dot(const shown_plan *p, const char *path)
{
    char *data = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&data, &size);
    if (!f) {
        say_error("out of memory for a picture");
        return EXIT_RESOURCES;
    }
    fputs("digraph plan {\n  node [shape=box, style=\"rounded,filled\", fontname=\"sans-serif\", fontcolor=white];\n", f);
    for (int i = 0; i < p->n; i++) {
        const mbr_plan_row *r = &p->rows[i];
        fprintf(f, "  s%d [fillcolor=\"%s\", label=\"", i, COLOUR(r->device_index));
        put_text(f, r->op, false);
        fputs("\\n", f);
        put_text(f, r->device, false);
        if (!r->device_index)
            fprintf(f, " x%d", r->threads);
        fprintf(f, ", %.1f us\", tooltip=\"", r->us);
        put_text(f, r->node, false);
        fputs(": ", f);
        put_text(f, r->why, false);
        fputs("\"];\n", f);
        for (int k = 0; k < r->n_inputs; k++) {
            bool crosses = p->rows[r->inputs[k]].device_index != r->device_index;
            fprintf(f, "  s%d -> s%d%s;\n", r->inputs[k], i, crosses ? " [style=bold, color=\"#c0392b\"]" : "");
        }
    }
    fputs("}\n", f);
    return finish(f, path, &data, &size);
}

#define WIDTH 1100.0
#define LEFT 110.0
#define LANE 46.0
#define TOP 46.0

int write_svg(const shown_plan *p, const char *path)
{
    const mbr_plan_totals *t = &p->totals;
    char *data = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&data, &size);
    if (!f) {
        say_error("out of memory for a picture");
        return EXIT_RESOURCES;
    }
    double us = t->us > 0 ? t->us : 1, scale = (WIDTH - LEFT - 20) / us, height = TOP + LANE * t->n_devices + 40;
    fprintf(f, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" font-family=\"sans-serif\" "
            "font-size=\"13\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fbfbfd\"/>\n<text x=\"12\" y=\"24\" "
            "fill=\"#1d2330\" font-size=\"15\">", WIDTH, height);
    put_text(f, p->model, true);
    fprintf(f, ": %.1f us a run</text>\n", t->us);
    for (int d = 0; d < t->n_devices; d++) {
        double y = TOP + LANE * d;
        fputs("<text x=\"12\" ", f);
        fprintf(f, "y=\"%.1f\" fill=\"#1d2330\">", y + LANE / 2 + 3);
        put_text(f, t->devices[d], true);
        fprintf(f, "</text>\n<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"#eef1f6\"/>\n", LEFT, y + 4,
                us * scale, LANE - 8);
    }
    int most = t->threads > 0 ? t->threads : 1;
    for (int i = 0; i < p->n; i++) {
        const mbr_plan_row *r = &p->rows[i];
        /* the taller, the more of the team */
        double share = r->device_index ? 1 : 0.25 + 0.75 * r->threads / most, high = (LANE - 8) * share;
        double y = TOP + LANE * r->device_index + 4 + (LANE - 8 - high), own = r->us * scale;
        fprintf(f, "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" fill=\"%s\" stroke=\"#fbfbfd\" "
                "stroke-width=\"%.2f\"><title>", LEFT + r->begin_us * scale, y, own > 0.3 ? own : 0.3, high,
                COLOUR(r->device_index), own > 3 ? 0.6 : 0);
        put_text(f, r->op, true);
        fputc(' ', f);
        put_text(f, r->node, true);
        fprintf(f, ": %.2f us, ", r->us);
        put_text(f, r->device, true);
        if (!r->device_index)
            fprintf(f, " x%d", r->threads);
        fputs("; ", f);
        put_text(f, r->why, true);
        fputs("</title></rect>\n", f);
    }
    double y = TOP + LANE * t->n_devices + 18;
    for (int i = 0; i <= 4; i++)
        fprintf(f, "<text x=\"%.1f\" y=\"%.1f\" fill=\"#667085\" text-anchor=\"middle\">%.4g us</text>\n",
                LEFT + us * scale * i / 4, y, us * i / 4);
    fputs("</svg>\n", f);
    return finish(f, path, &data, &size);
}
