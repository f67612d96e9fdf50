/* SPDX-License-Identifier: BSD-2-Clause */
/* A pipeline as a picture: boxes from left to right, each right of all that it reads. */
#include "runtime/pipeline/pipeline_impl.h"

#include <stdio.h>
#include <string.h>

#define BOX_WIDTH 190
#define BOX_HEIGHT 40
#define STEP_X 250
#define STEP_Y 52

typedef struct box {
    char title[64], detail[96];
    const char *colour;
    int layer, place;
} box;

typedef struct drawing {
    const mbr_pipeline *p;
    mbr_arena arena;
    box *boxes;
    int count, most;
    int (*edges)[2];
    int edge_count, edge_most;
    int *of_col; /* (columns) box that makes it */
    int deepest;
    bool failed; /* no memory */
} drawing;

typedef struct output {
    mbr_write_fn write;
    void *user;
    mbr_status status;
} output;

static void put(output *to, const char *fmt, ...) MBR_PRINTF(2, 3);

static void put(output *to, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (to->status == MBR_OK && n > 0)
        to->status = to->write(to->user, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
}

/* Text inside of XML or of a quoted dot string. */
static void put_text(output *to, const char *s, bool dot)
{
    for (; *s; s++)
        if (dot && (*s == '"' || *s == '\\'))
            put(to, "\\%c", *s);
        else if (!dot && strchr("<>&\"", *s))
            put(to, "&#%d;", *s);
        else
            put(to, "%c", (unsigned char)*s < ' ' ? ' ' : *s);
}

/* ---- boxes and edges ---- */

static int add_box(drawing *d, const char *colour, int layer)
{
    if (d->count == d->most) {
        d->failed = true;
        return 0;
    }
    d->boxes[d->count] = (box){ .colour = colour, .layer = layer };
    return d->count++;
}

static void add_edge(drawing *d, int from, int to)
{
    if (from < 0)
        return;
    for (int i = 0; i < d->edge_count; i++)
        if (d->edges[i][0] == from && d->edges[i][1] == to)
            return;
    if (d->edge_count == d->edge_most) {
        int most = 2 * d->edge_most + 64;
        int (*grown)[2] = mbr_arena_calloc(&d->arena, (size_t)most, sizeof *grown);
        if (!grown) {
            d->failed = true;
            return;
        }
        if (d->edge_count)
            memcpy(grown, d->edges, (size_t)d->edge_count * sizeof *grown);
        d->edges = grown;
        d->edge_most = most;
    }
    d->edges[d->edge_count][0] = from;
    d->edges[d->edge_count++][1] = to;
    if (d->boxes[to].layer <= d->boxes[from].layer)
        d->boxes[to].layer = d->boxes[from].layer + 1;
    d->deepest = d->boxes[to].layer > d->deepest ? d->boxes[to].layer : d->deepest;
}

/* A text that was cut ends with a whole character. */
static void trim_cut(char *text)
{
    size_t n = strlen(text);
    while (n && !mbr_text_utf8(text, n))
        text[--n] = '\0';
}

static void type_text(const mbr_col *col, char *text, size_t size)
{
    if (col->type == MBR_COL_TENSOR)
        mbr_shape_text(col->dtype, col->rank, col->dims, text, size);
    else if (col->width > 1)
        snprintf(text, size, "%s[%d]", mbr_col_type_name(col->type), col->width);
    else
        snprintf(text, size, "%s", mbr_col_type_name(col->type));
}

static void add_steps(drawing *d, const mbr_step *steps, int count, const char *colour, int layer)
{
    const mbr_col *cols = d->p->scope.cols;
    for (int i = 0; i < count; i++) {
        const mbr_step *s = &steps[i];
        int at = add_box(d, colour, layer);
        char type[64];
        type_text(&cols[s->out], type, sizeof type);
        snprintf(d->boxes[at].title, sizeof d->boxes[at].title, "%.60s", s->name);
        snprintf(d->boxes[at].detail, sizeof d->boxes[at].detail, "%.30s: %.60s", s->kind->name, type);
        for (int k = 0; k < s->from_count; k++)
            add_edge(d, d->of_col[s->from[k]], at);
        for (int k = 0; k < s->out_count; k++)
            d->of_col[s->outs[k]] = at;
    }
}

static void build(drawing *d)
{
    const mbr_pipeline *p = d->p;
    const mbr_col *cols = p->scope.cols;
    for (int i = 0; i < p->input_count; i++) {
        int at = add_box(d, "#dbe9f6", 0);
        snprintf(d->boxes[at].title, sizeof d->boxes[at].title, "%.60s", p->inputs[i].name);
        type_text(&cols[p->inputs[i].col], d->boxes[at].detail, sizeof d->boxes[at].detail);
        d->of_col[p->inputs[i].col] = at;
    }
    add_steps(d, p->features, p->feature_count, "#e3f1dc", 1);
    int model = add_box(d, "#f6d9d0", d->deepest + 2);
    snprintf(d->boxes[model].title, sizeof d->boxes[model].title, "model");
    snprintf(d->boxes[model].detail, sizeof d->boxes[model].detail, "%d inputs, %d outputs",
             mbr_model_input_count(p->model), mbr_model_output_count(p->model));
    for (int i = 0; i < p->feed_count; i++) {
        const mbr_feed *feed = &p->feeds[i];
        int at = add_box(d, "#fdf0c9", d->deepest + 1);
        snprintf(d->boxes[at].title, sizeof d->boxes[at].title, "%.60s", feed->name);
        mbr_shape_text(feed->dtype, feed->rank, feed->dims, d->boxes[at].detail, sizeof d->boxes[at].detail);
        d->boxes[at].layer = d->boxes[model].layer - 1;
        for (int k = 0; k < feed->from_count; k++)
            add_edge(d, d->of_col[feed->from[k]], at);
        add_edge(d, at, model);
    }
    for (int i = 0; i < p->fetch_count; i++) {
        int at = add_box(d, "#fdf0c9", 0);
        snprintf(d->boxes[at].title, sizeof d->boxes[at].title, "%.60s", cols[p->fetches[i].col].name);
        type_text(&cols[p->fetches[i].col], d->boxes[at].detail, sizeof d->boxes[at].detail);
        d->of_col[p->fetches[i].col] = at;
        add_edge(d, model, at);
    }
    add_steps(d, p->posts, p->post_count, "#e3f1dc", d->boxes[model].layer + 2);
    int last = d->deepest + 1;
    for (int i = 0; i < p->rule_count; i++) {
        int cols_read[64], n = p->rules[i].always ? 0 : mbr_expr_columns(&p->rules[i].when, cols_read, 64);
        int at = add_box(d, "#e8def4", last);
        snprintf(d->boxes[at].title, sizeof d->boxes[at].title, "%.60s", p->rules[i].name);
        snprintf(d->boxes[at].detail, sizeof d->boxes[at].detail, "then %.80s",
                 p->rules[i].cheapest ? "the cheapest action" : p->actions[p->rules[i].action]);
        for (int k = 0; k < n; k++)
            add_edge(d, d->of_col[cols_read[k]], at);
    }
    d->deepest = last > d->deepest ? last : d->deepest;
    for (int i = 0; i < d->count; i++) {
        trim_cut(d->boxes[i].title);
        trim_cut(d->boxes[i].detail);
    }
}

/* ---- as text ---- */

static void put_dot(const drawing *d, output *to)
{
    put(to, "digraph pipeline {\n    rankdir=LR; node [shape=box, style=filled];\n");
    for (int i = 0; i < d->count; i++) {
        put(to, "    n%d [fillcolor=\"%s\", label=\"", i, d->boxes[i].colour);
        put_text(to, d->boxes[i].title, true);
        put(to, "\\n");
        put_text(to, d->boxes[i].detail, true);
        put(to, "\"];\n");
    }
    for (int i = 0; i < d->edge_count; i++)
        put(to, "    n%d -> n%d;\n", d->edges[i][0], d->edges[i][1]);
    put(to, "}\n");
}

static void put_svg(drawing *d, output *to, bool page)
{
    int used[MBR_MAX_COLUMNS] = { 0 }, tallest = 1, layers = d->deepest + 1;
    layers = layers < MBR_MAX_COLUMNS ? layers : MBR_MAX_COLUMNS;
    for (int i = 0; i < d->count; i++) {
        int layer = d->boxes[i].layer < layers ? d->boxes[i].layer : layers - 1;
        d->boxes[i].layer = layer;
        d->boxes[i].place = used[layer]++;
        tallest = used[layer] > tallest ? used[layer] : tallest;
    }
    int width = layers * STEP_X, height = tallest * STEP_Y + 20;
    if (page) {
        put(to, "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>");
        put_text(to, d->p->name, false);
        put(to, "</title>\n<h1 style=\"font: 20px sans-serif\">");
        put_text(to, d->p->name, false);
        put(to, "</h1>\n");
    }
    put(to, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" "
        "font-size=\"12\">\n", width, height);
    for (int i = 0; i < d->edge_count; i++) {
        const box *a = &d->boxes[d->edges[i][0]], *b = &d->boxes[d->edges[i][1]];
        int x1 = a->layer * STEP_X + 10 + BOX_WIDTH, y1 = a->place * STEP_Y + 10 + BOX_HEIGHT / 2;
        int x2 = b->layer * STEP_X + 10, y2 = b->place * STEP_Y + 10 + BOX_HEIGHT / 2;
        put(to, "<path d=\"M%d %dC%d %d %d %d %d %d\" fill=\"none\" stroke=\"#999\"/>\n", x1, y1, x1 + 40, y1, x2 - 40,
            y2, x2, y2);
    }
    for (int i = 0; i < d->count; i++) {
        int x = d->boxes[i].layer * STEP_X + 10, y = d->boxes[i].place * STEP_Y + 10;
        put(to, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"4\" fill=\"%s\" stroke=\"#555\"/>\n"
            "<text x=\"%d\" y=\"%d\" font-weight=\"bold\">", x, y, BOX_WIDTH, BOX_HEIGHT, d->boxes[i].colour, x + 8,
            y + 16);
        put_text(to, d->boxes[i].title, false);
        put(to, "</text>\n<text x=\"%d\" y=\"%d\">", x + 8, y + 32);
        put_text(to, d->boxes[i].detail, false);
        put(to, "</text>\n");
    }
    put(to, "</svg>\n%s", page ? "</html>\n" : "");
}

mbr_status mbr_pipeline_draw(const mbr_pipeline *p, mbr_picture how, mbr_write_fn write, void *user, mbr_error *err)
{
    drawing d = { .p = p };
    output to = { .write = write, .user = user, .status = MBR_OK };
    if (!p || !write)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_pipeline_draw: the pipeline or the writer is NULL");
    mbr_arena_init(&d.arena, p->memory, 0);
    d.most = p->input_count + p->feature_count + p->feed_count + p->fetch_count + p->post_count + p->rule_count + 1;
    d.boxes = mbr_arena_calloc(&d.arena, (size_t)d.most, sizeof *d.boxes);
    d.of_col = mbr_arena_calloc(&d.arena, (size_t)p->scope.count + 1, sizeof *d.of_col);
    d.failed = !d.boxes || !d.of_col;
    for (int i = 0; !d.failed && i < p->scope.count; i++)
        d.of_col[i] = -1;
    if (!d.failed)
        build(&d);
    mbr_status st = d.failed ? mbr_no_memory(err, (size_t)d.most * sizeof *d.boxes) : MBR_OK;
    if (st == MBR_OK && how == MBR_PICTURE_DOT)
        put_dot(&d, &to);
    else if (st == MBR_OK)
        put_svg(&d, &to, how == MBR_PICTURE_HTML);
    mbr_arena_destroy(&d.arena);
    return st == MBR_OK && to.status != MBR_OK ? mbr_fail(err, to.status, "writing the picture of a pipeline failed")
                                               : st;
}
