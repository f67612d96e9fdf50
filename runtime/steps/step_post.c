/* SPDX-License-Identifier: BSD-2-Clause */
/* Steps over scores: calibration, the best of many, labels, points. A score that is missing stays missing. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "runtime/steps/step_post.h"

#include "mbr/post.h"
#include "runtime/pipeline/element.h"
#include "runtime/pipeline/pipeline_impl.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- what the kinds share ---- */

mbr_row_doubles mbr_post_doubles(const mbr_step *s, mbr_rows *rows, int col, int row)
{
    const mbr_col *c = &rows->cols[col];
    mbr_row_doubles v = { .count = (size_t)c->width };
    if (c->type != MBR_COL_TENSOR) {
        v.data = rows->lanes[col].num + (size_t)row * (size_t)c->width;
        return v;
    }
    const mbr_cell *cell = &rows->lanes[col].cell[row];
    if (!cell->data)
        return v;
    v.count = mbr_cell_count(cell);
    double *to = v.count < MBR_CELL_BYTES ? mbr_pool_alloc(&rows->pool, (v.count + 1) * sizeof *to) : NULL;
    if (!to) {
        mbr_rows_fail(rows, row, "step '%s': out of memory", s->name);
        return v;
    }
    for (size_t i = 0; i < v.count; i++)
        to[i] = mbr_element_load(c->dtype, cell->data, i);
    v.data = to;
    return v;
}

mbr_row_floats mbr_post_floats(const mbr_step *s, mbr_rows *rows, int col, int row)
{
    const mbr_col *c = &rows->cols[col];
    mbr_row_floats v = { .count = (size_t)c->width, .rank = 1, .dims = { c->width } };
    const void *data = NULL;
    if (c->type == MBR_COL_TENSOR) {
        const mbr_cell *cell = &rows->lanes[col].cell[row];
        data = cell->data;
        v.count = data ? mbr_cell_count(cell) : 0;
        v.rank = cell->rank;
        memcpy(v.dims, cell->dims, sizeof v.dims);
        if (!data || c->dtype == MBR_DTYPE_F32) {
            v.data = data;
            return v;
        }
    }
    float *to = v.count < MBR_CELL_BYTES ? mbr_pool_alloc(&rows->pool, (v.count + 1) * sizeof *to) : NULL;
    if (!to) {
        mbr_rows_fail(rows, row, "step '%s': out of memory", s->name);
        return v;
    }
    for (size_t i = 0; i < v.count; i++)
        to[i] = (float)(data ? mbr_element_load(c->dtype, data, i)
                             : rows->lanes[col].num[(size_t)row * (size_t)c->width + i]);
    v.data = to;
    return v;
}

mbr_status mbr_post_check(const mbr_compiling *c, const mbr_node *at, const mbr_step *s)
{
    for (int i = 0; i < s->from_count; i++) {
        const mbr_col *col = &c->scope->cols[s->from[i]];
        if (col->type == MBR_COL_TENSOR && !mbr_element_numeric(col->dtype))
            return mbr_node_fail(&c->read, at, "step '%s': %s reads numbers, and '%s' is of %s", s->name, s->kind->name,
                                 col->name, mbr_dtype_name(col->dtype));
    }
    return MBR_OK;
}

mbr_status mbr_post_column(const mbr_compiling *c, const mbr_node *at, const mbr_step *s, const char *key,
                           const mbr_string *name, unsigned types, int *out)
{
    *out = -1;
    if (!name->data)
        return MBR_OK;
    int col = mbr_scope_find(c->scope, name->data, name->size);
    if (col < 0)
        return mbr_node_fail(&c->read, at, "step '%s': there is no column '%s' before it", s->name, name->data);
    const mbr_col *found = &c->scope->cols[col];
    if (!(types & MBR_TYPE_BIT(found->type)) ||
        (found->type == MBR_COL_TENSOR && !mbr_element_numeric(found->dtype)))
        return mbr_node_fail(&c->read, at, "step '%s': '%s' cannot be a %s", s->name, key,
                             mbr_col_type_name(found->type));
    *out = col;
    return MBR_OK;
}

size_t mbr_post_width(const mbr_col *col)
{
    if (col->type != MBR_COL_TENSOR)
        return (size_t)col->width;
    mbr_cell shape = { .rank = col->rank };
    memcpy(shape.dims, col->dims, sizeof shape.dims);
    size_t n = col->rank >= 0 ? mbr_cell_count(&shape) : SIZE_MAX;
    return n == SIZE_MAX ? 0 : n;
}

#define LABEL_BYTES ((size_t)64 << 20)

/* The lines of a file. */
static mbr_status read_lines(const mbr_compiling *c, const char *path, mbr_strings *lines)
{
    mbr_error *err = c->read.err;
    FILE *f = fopen(path, "rb");
    if (!f)
        return mbr_fail(err, MBR_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
    size_t size = 0, room = 4096, n = 0;
    char *text = mbr_alloc(c->read.arena->memory, room);
    while (text) {
        size += fread(text + size, 1, room - size, f);
        if (size < room || room >= LABEL_BYTES)
            break;
        char *more = mbr_grow(c->read.arena->memory, text, size, 2 * room);
        if (!more)
            mbr_free(c->read.arena->memory, text);
        text = more;
        room *= 2;
    }
    mbr_status st = !text ? mbr_no_memory(err, room)
                    : ferror(f) ? mbr_fail(err, MBR_ERR_IO, "%s: cannot be read: %s", path, strerror(errno))
                    : size >= LABEL_BYTES ? mbr_fail(err, MBR_ERR_LIMIT, "%s: more than %zu bytes of labels", path,
                                                     LABEL_BYTES)
                    : !mbr_text_utf8(text, size) ? mbr_fail(err, MBR_ERR_FORMAT, "%s: not UTF-8 text", path) : MBR_OK;
    fclose(f);
    for (size_t i = 0; st == MBR_OK && i < size; i++)
        n += text[i] == '\n' || i + 1 == size;
    char *kept = st == MBR_OK ? mbr_arena_strndup(c->read.arena, text, size) : NULL;
    lines->items = st == MBR_OK ? mbr_arena_calloc(c->read.arena, n + 1, sizeof *lines->items) : NULL;
    if (st == MBR_OK && (!kept || !lines->items))
        st = mbr_no_memory(err, size);
    mbr_free(c->read.arena->memory, text);
    for (size_t i = 0, from = 0; st == MBR_OK && i < size; i++) {
        if (kept[i] != '\n' && i + 1 < size)
            continue;
        size_t end = kept[i] == '\n' ? i : i + 1;
        if (end > from && kept[end - 1] == '\r')
            end--;
        kept[end] = '\0'; /* there is room: strndup ends with one */
        lines->items[lines->count++] = (mbr_string){ kept + from, end - from };
        from = i + 1;
    }
    return st;
}

mbr_status mbr_post_labels(const mbr_compiling *c, const mbr_node *at, const mbr_step *s, mbr_strings *labels,
                           const mbr_string *file)
{
    if (!file->data)
        return MBR_OK;
    if (labels->count)
        return mbr_node_fail(&c->read, at, "step '%s': 'labels' and 'labels_file' exclude each other", s->name);
    const char *path = mbr_pipeline_beside(c->read.arena, c->read.file, file->data);
    if (!path)
        return mbr_no_memory(c->read.err, file->size);
    mbr_status st = read_lines(c, path, labels);
    return st == MBR_OK ? MBR_OK : mbr_fail_at(c->read.err, st, "%s:%d: step '%s': ", c->read.file, at->line, s->name);
}

mbr_status mbr_post_ranks(const mbr_compiling *c, const mbr_node *at, mbr_step *s, size_t k, bool labels, mbr_col *out)
{
    char part[32];
    if (k < 1 || k > MBR_STEP_OUTPUTS / 2)
        return mbr_node_fail(&c->read, at, "step '%s': 'k' must be 1 to %d", s->name, MBR_STEP_OUTPUTS / 2);
    for (size_t i = 0; i < 2 * k; i++) {
        snprintf(part, sizeof part, "%s_%zu", i % 2 ? "score" : labels ? "label" : "index", i / 2 + 1);
        mbr_col *col = out;
        if (i)
            col = mbr_step_part(c, s, part);
        else
            *out = (mbr_col){ .name = mbr_step_part_name(c, s, part), .line = out->line, .width = 1 };
        if (!col || !col->name)
            return c->read.err->status;
        col->type = labels && i % 2 == 0 ? MBR_COL_STRING : MBR_COL_NUMBER;
    }
    return MBR_OK;
}

void mbr_post_put_rank(const mbr_step *s, mbr_rows *rows, int row, size_t rank, const mbr_strings *labels, size_t index,
                       double score)
{
    int first = s->outs[2 * rank], second = s->outs[2 * rank + 1];
    bool none = index == SIZE_MAX;
    if (labels->count)
        rows->lanes[first].str[row] = none ? (mbr_string){ NULL, 0 } : labels->items[index];
    else
        rows->lanes[first].num[row] = none ? (double)NAN : (double)index;
    rows->lanes[second].num[row] = none ? (double)NAN : score;
}

/* ---- isotonic: scikit-learn's IsotonicRegression ---- */

typedef struct isotonic {
    mbr_numbers x, y;
} isotonic;

const mbr_param mbr_params_isotonic[] = {
    { .name = "x", .type = MBR_PARAM_NUMBERS, .required = true, .offset = offsetof(isotonic, x) },
    { .name = "y", .type = MBR_PARAM_NUMBERS, .required = true, .offset = offsetof(isotonic, y) },
    { .name = NULL }
};

mbr_status mbr_compile_isotonic(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    const isotonic *p = s->params;
    (void)out;
    if (p->x.count != p->y.count)
        return mbr_node_fail(&c->read, at, "step '%s': %zu numbers in 'x' and %zu in 'y'", s->name, p->x.count,
                             p->y.count);
    for (size_t i = 1; i < p->x.count; i++)
        if (!(p->x.items[i - 1] < p->x.items[i]))
            return mbr_node_fail(&c->read, at, "step '%s': 'x' must ascend", s->name);
    return MBR_OK;
}

void mbr_run_isotonic(const mbr_step *s, mbr_rows *rows)
{
    const isotonic *p = s->params;
    const double *x = mbr_step_in(s, rows, 0);
    double *y = mbr_step_out(s, rows);
    size_t n = mbr_step_count(s, rows);
    for (size_t i = 0; i < n; i++)
        y[i] = mbr_isotonic(p->x.items, p->y.items, p->x.count, x[i]);
}

/* ---- temperature: x / value ---- */

typedef struct temperature {
    double value;
} temperature;

const mbr_param mbr_params_temperature[] = {
    { .name = "value", .type = MBR_PARAM_NUMBER, .required = true, .offset = offsetof(temperature, value) },
    { .name = NULL }
};

mbr_status mbr_compile_temperature(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    const temperature *p = s->params;
    (void)out;
    if (!(p->value > 0))
        return mbr_node_fail(&c->read, at, "step '%s': the temperature must be above 0", s->name);
    return MBR_OK;
}

void mbr_run_temperature(const mbr_step *s, mbr_rows *rows)
{
    const temperature *p = s->params;
    const double *x = mbr_step_in(s, rows, 0);
    double *y = mbr_step_out(s, rows);
    size_t n = mbr_step_count(s, rows);
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] / p->value;
}

/* ---- top_k, argmax ---- */

typedef struct best {
    int64_t k;
    mbr_strings labels;
    mbr_string labels_file;
} best;

const mbr_param mbr_params_top_k[] = {
    { .name = "k", .type = MBR_PARAM_INT, .required = true, .offset = offsetof(best, k) },
    { .name = "labels", .type = MBR_PARAM_STRINGS, .offset = offsetof(best, labels) },
    { .name = "labels_file", .type = MBR_PARAM_STRING, .offset = offsetof(best, labels_file) },
    { .name = NULL }
};

static mbr_status best_labels(const mbr_compiling *c, const mbr_node *at, mbr_step *s, best *p)
{
    MBR_TRY(mbr_post_check(c, at, s));
    MBR_TRY(mbr_post_labels(c, at, s, &p->labels, &p->labels_file));
    size_t width = mbr_post_width(&c->scope->cols[s->from[0]]);
    if (p->labels.count && width && p->labels.count != width)
        return mbr_node_fail(&c->read, at, "step '%s': %zu labels, and '%s' has %zu values a row", s->name,
                             p->labels.count, c->scope->cols[s->from[0]].name, width);
    return MBR_OK;
}

mbr_status mbr_compile_top_k(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    best *p = s->params;
    MBR_TRY(best_labels(c, at, s, p));
    return mbr_post_ranks(c, at, s, p->k < 0 ? 0 : (size_t)p->k, p->labels.count != 0, out);
}

/* The best of a row; none when it is missing, or has not as many values as there are labels. */
static size_t find_best(const mbr_step *s, mbr_rows *rows, int row, size_t k, mbr_row_doubles *v, size_t *index)
{
    const best *p = s->params;
    *v = mbr_post_doubles(s, rows, s->from[0], row);
    if (!v->data)
        return 0;
    if (p->labels.count && p->labels.count != v->count) {
        if (!rows->fault[row])
            mbr_rows_fail(rows, row, "step '%s': %zu values, and there are %zu labels", s->name, v->count,
                          p->labels.count);
        return 0;
    }
    return mbr_best_k(v->data, v->count, k, index);
}

void mbr_run_top_k(const mbr_step *s, mbr_rows *rows)
{
    const best *p = s->params;
    for (int i = 0; i < rows->count; i++) {
        size_t index[MBR_STEP_OUTPUTS / 2];
        mbr_row_doubles v;
        size_t n = find_best(s, rows, i, (size_t)p->k, &v, index);
        for (size_t k = 0; k < (size_t)p->k; k++)
            mbr_post_put_rank(s, rows, i, k, &p->labels, k < n ? index[k] : SIZE_MAX, k < n ? v.data[index[k]] : 0);
    }
}

const mbr_param mbr_params_argmax[] = {
    { .name = "labels", .type = MBR_PARAM_STRINGS, .offset = offsetof(best, labels) },
    { .name = "labels_file", .type = MBR_PARAM_STRING, .offset = offsetof(best, labels_file) },
    { .name = NULL }
};

mbr_status mbr_compile_argmax(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    best *p = s->params;
    MBR_TRY(best_labels(c, at, s, p));
    *out = (mbr_col){ .name = out->name, .line = out->line, .width = 1,
                      .type = p->labels.count ? MBR_COL_STRING : MBR_COL_NUMBER };
    return mbr_step_part(c, s, "score") ? MBR_OK : c->read.err->status;
}

void mbr_run_argmax(const mbr_step *s, mbr_rows *rows)
{
    const best *p = s->params;
    for (int i = 0; i < rows->count; i++) {
        size_t index[1];
        mbr_row_doubles v;
        size_t n = find_best(s, rows, i, 1, &v, index);
        mbr_post_put_rank(s, rows, i, 0, &p->labels, n ? index[0] : SIZE_MAX, n ? v.data[index[0]] : 0);
    }
}

/* ---- threshold: a label for each range ---- */

typedef struct threshold {
    mbr_numbers edges;
    mbr_strings labels;
} threshold;

const mbr_param mbr_params_threshold[] = {
    { .name = "edges", .type = MBR_PARAM_NUMBERS, .required = true, .offset = offsetof(threshold, edges) },
    { .name = "labels", .type = MBR_PARAM_STRINGS, .required = true, .offset = offsetof(threshold, labels) },
    { .name = NULL }
};

mbr_status mbr_compile_threshold(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    const threshold *p = s->params;
    if (p->labels.count != p->edges.count + 1)
        return mbr_node_fail(&c->read, at, "step '%s': %zu edges part %zu ranges, and there are %zu labels", s->name,
                             p->edges.count, p->edges.count + 1, p->labels.count);
    for (size_t i = 1; i < p->edges.count; i++)
        if (!(p->edges.items[i - 1] < p->edges.items[i]))
            return mbr_node_fail(&c->read, at, "step '%s': the edges must ascend", s->name);
    out->type = MBR_COL_STRING;
    return MBR_OK;
}

void mbr_run_threshold(const mbr_step *s, mbr_rows *rows)
{
    const threshold *p = s->params;
    const double *x = mbr_step_in(s, rows, 0);
    mbr_string *y = rows->lanes[s->out].str;
    for (int i = 0; i < rows->count; i++) {
        size_t k = 0;
        while (k < p->edges.count && p->edges.items[k] <= x[i])
            k++;
        y[i] = isnan(x[i]) ? (mbr_string){ NULL, 0 } : p->labels.items[k];
    }
}

/* ---- points: a score as people read it ---- */

enum { LINEAR, LOG_ODDS };
enum { NEAREST, DOWN, UP, KEEP };

typedef struct points {
    int method, round, higher_is, input;
    double from_min, from_max, to_min, to_max; /* linear */
    double base, odds, double_after;           /* log odds */
    double min, max;
} points;

const mbr_param mbr_params_points[] = {
    { .name = "method", .type = MBR_PARAM_CHOICE, .words = "linear|log_odds", .required = true,
      .offset = offsetof(points, method) },
    { .name = "from_min", .type = MBR_PARAM_NUMBER, .offset = offsetof(points, from_min), .preset = 0 },
    { .name = "from_max", .type = MBR_PARAM_NUMBER, .offset = offsetof(points, from_max), .preset = 1 },
    { .name = "to_min", .type = MBR_PARAM_NUMBER, .offset = offsetof(points, to_min), .preset = 0 },
    { .name = "to_max", .type = MBR_PARAM_NUMBER, .offset = offsetof(points, to_max), .preset = 100 },
    { .name = "base", .type = MBR_PARAM_NUMBER, .offset = offsetof(points, base), .preset = 600 },
    { .name = "odds", .type = MBR_PARAM_NUMBER, .offset = offsetof(points, odds), .preset = 50 },
    { .name = "double_after", .type = MBR_PARAM_NUMBER, .offset = offsetof(points, double_after), .preset = 20 },
    { .name = "higher_is", .type = MBR_PARAM_CHOICE, .words = "better|worse", .offset = offsetof(points, higher_is) },
    { .name = "input", .type = MBR_PARAM_CHOICE, .words = "probability|logit", .offset = offsetof(points, input) },
    { .name = "round", .type = MBR_PARAM_CHOICE, .words = "nearest|down|up|none", .offset = offsetof(points, round) },
    { .name = "min", .type = MBR_PARAM_NUMBER, .offset = offsetof(points, min), .preset = -INFINITY },
    { .name = "max", .type = MBR_PARAM_NUMBER, .offset = offsetof(points, max), .preset = INFINITY },
    { .name = NULL }
};

mbr_status mbr_compile_points(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    points *p = s->params;
    (void)out;
    if (p->method == LINEAR && !(p->from_min < p->from_max))
        return mbr_node_fail(&c->read, at, "step '%s': 'from_min' must be below 'from_max'", s->name);
    if (p->method == LOG_ODDS && !(p->odds > 0 && p->double_after > 0))
        return mbr_node_fail(&c->read, at, "step '%s': 'odds' and 'double_after' must be above 0", s->name);
    if (p->min > p->max)
        return mbr_node_fail(&c->read, at, "step '%s': 'min' is above 'max'", s->name);
    return MBR_OK;
}

static double points_of(const points *p, double x)
{
    double y;
    if (p->method == LINEAR) {
        double clipped = x < p->from_min ? p->from_min : x > p->from_max ? p->from_max : x;
        y = p->to_min + (clipped - p->from_min) * (p->to_max - p->to_min) / (p->from_max - p->from_min);
    } else {
        double logit = p->input ? x : log(x / (1 - x));
        y = p->base + p->double_after / log(2) * ((p->higher_is ? logit : -logit) - log(p->odds));
    }
    y = y < p->min ? p->min : y > p->max ? p->max : y;
    return p->round == NEAREST ? rint(y) : p->round == DOWN ? floor(y) : p->round == UP ? ceil(y) : y;
}

void mbr_run_points(const mbr_step *s, mbr_rows *rows)
{
    const double *x = mbr_step_in(s, rows, 0);
    double *y = mbr_step_out(s, rows);
    size_t n = mbr_step_count(s, rows);
    for (size_t i = 0; i < n; i++)
        y[i] = points_of(s->params, x[i]);
}

_Static_assert(sizeof(points) <= MBR_STEP_PARAMS && sizeof(best) <= MBR_STEP_PARAMS, "room for parameters");
