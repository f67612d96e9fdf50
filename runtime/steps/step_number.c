/* SPDX-License-Identifier: BSD-2-Clause */
/* Steps over numbers and scores. A missing value (NaN) stays missing unless said otherwise. */
#include "runtime/pipeline/expr.h"
#include "runtime/steps/step.h"

#include <math.h>
#include <string.h>

static const double two_pi = 6.283185307179586;

/* ---- impute: puts a value where one is missing ---- */

typedef struct impute {
    const mbr_node *node;
    double number;
    mbr_string text;
} impute;

const mbr_param mbr_params_impute[] = {
    { .name = "value", .type = MBR_PARAM_NODE, .required = true, .offset = offsetof(impute, node) },
    { .name = NULL }
};

mbr_status mbr_compile_impute(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    impute *p = s->params;
    (void)at;
    out->type = c->scope->cols[s->from[0]].type;
    if (out->type == MBR_COL_STRING)
        return mbr_node_string(&c->read, p->node, "'value' of an impute step", &p->text);
    return mbr_node_number(&c->read, p->node, "'value' of an impute step", &p->number);
}

void mbr_run_impute(const mbr_step *s, mbr_rows *rows)
{
    const impute *p = s->params;
    size_t n = mbr_step_count(s, rows);
    if (rows->cols[s->out].type == MBR_COL_STRING) {
        const mbr_string *x = rows->lanes[s->from[0]].str;
        mbr_string *y = rows->lanes[s->out].str;
        for (size_t i = 0; i < n; i++)
            y[i] = x[i].data ? x[i] : p->text;
        return;
    }
    const double *x = mbr_step_in(s, rows, 0);
    double *y = mbr_step_out(s, rows);
    for (size_t i = 0; i < n; i++)
        y[i] = isnan(x[i]) ? p->number : x[i];
}

/* ---- standardize: (x - mean) / scale ---- */

typedef struct standardize {
    double mean, scale;
} standardize;

const mbr_param mbr_params_standardize[] = {
    { .name = "mean", .type = MBR_PARAM_NUMBER, .required = true, .offset = offsetof(standardize, mean) },
    { .name = "scale", .type = MBR_PARAM_NUMBER, .required = true, .offset = offsetof(standardize, scale) },
    { .name = NULL }
};

mbr_status mbr_compile_standardize(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    standardize *p = s->params;
    (void)out;
    if (p->scale == 0)
        return mbr_node_fail(&c->read, at, "step '%s': the scale is 0; use 1 for a column that does not vary", s->name);
    return MBR_OK;
}

void mbr_run_standardize(const mbr_step *s, mbr_rows *rows)
{
    const standardize *p = s->params;
    const double *x = mbr_step_in(s, rows, 0);
    double *y = mbr_step_out(s, rows);
    size_t n = mbr_step_count(s, rows);
    for (size_t i = 0; i < n; i++)
        y[i] = (x[i] - p->mean) / p->scale;
}

/* ---- min_max: to 0 .. 1, in the order of arithmetic of scikit-learn's MinMaxScaler ---- */

typedef struct min_max {
    double min, max;
    double scale, shift; /* made by compile */
} min_max;

const mbr_param mbr_params_min_max[] = {
    { .name = "min", .type = MBR_PARAM_NUMBER, .required = true, .offset = offsetof(min_max, min) },
    { .name = "max", .type = MBR_PARAM_NUMBER, .required = true, .offset = offsetof(min_max, max) },
    { .name = NULL }
};

mbr_status mbr_compile_min_max(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    min_max *p = s->params;
    (void)out;
    if (!(p->min < p->max))
        return mbr_node_fail(&c->read, at, "step '%s': min must be below max", s->name);
    p->scale = 1 / (p->max - p->min);
    p->shift = 0 - p->min * p->scale;
    return MBR_OK;
}

void mbr_run_min_max(const mbr_step *s, mbr_rows *rows)
{
    const min_max *p = s->params;
    const double *x = mbr_step_in(s, rows, 0);
    double *y = mbr_step_out(s, rows);
    size_t n = mbr_step_count(s, rows);
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * p->scale + p->shift;
}

/* ---- log: log(x + offset); of 0 it is -infinity, of less it is missing ---- */

typedef struct log_params {
    double offset;
} log_params;

const mbr_param mbr_params_log[] = {
    { .name = "offset", .type = MBR_PARAM_NUMBER, .offset = offsetof(log_params, offset), .preset = 0 },
    { .name = NULL }
};

void mbr_run_log(const mbr_step *s, mbr_rows *rows)
{
    const log_params *p = s->params;
    const double *x = mbr_step_in(s, rows, 0);
    double *y = mbr_step_out(s, rows);
    size_t n = mbr_step_count(s, rows);
    for (size_t i = 0; i < n; i++)
        y[i] = p->offset == 1 ? log1p(x[i]) : log(x[i] + p->offset);
}

/* ---- clip ---- */

typedef struct clip {
    double min, max;
} clip;

const mbr_param mbr_params_clip[] = {
    { .name = "min", .type = MBR_PARAM_NUMBER, .offset = offsetof(clip, min), .preset = -INFINITY },
    { .name = "max", .type = MBR_PARAM_NUMBER, .offset = offsetof(clip, max), .preset = INFINITY },
    { .name = NULL }
};

mbr_status mbr_compile_clip(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    clip *p = s->params;
    (void)out;
    if (p->min > p->max)
        return mbr_node_fail(&c->read, at, "step '%s': min is above max", s->name);
    if (isinf(p->min) && isinf(p->max))
        return mbr_node_fail(&c->read, at, "step '%s' needs the key 'min' or 'max'", s->name);
    return MBR_OK;
}

void mbr_run_clip(const mbr_step *s, mbr_rows *rows)
{
    const clip *p = s->params;
    const double *x = mbr_step_in(s, rows, 0);
    double *y = mbr_step_out(s, rows);
    size_t n = mbr_step_count(s, rows);
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] < p->min ? p->min : x[i] > p->max ? p->max : x[i];
}

/* ---- bucket: how many edges are not above x ---- */

typedef struct bucket {
    mbr_numbers edges;
} bucket;

const mbr_param mbr_params_bucket[] = {
    { .name = "edges", .type = MBR_PARAM_NUMBERS, .required = true, .offset = offsetof(bucket, edges) },
    { .name = NULL }
};

mbr_status mbr_compile_bucket(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    const bucket *p = s->params;
    (void)out;
    for (size_t i = 1; i < p->edges.count; i++)
        if (!(p->edges.items[i - 1] < p->edges.items[i]))
            return mbr_node_fail(&c->read, at, "step '%s': the edges must ascend", s->name);
    return MBR_OK;
}

void mbr_run_bucket(const mbr_step *s, mbr_rows *rows)
{
    const bucket *p = s->params;
    const double *x = mbr_step_in(s, rows, 0);
    double *y = mbr_step_out(s, rows);
    size_t n = mbr_step_count(s, rows);
    for (size_t i = 0; i < n; i++) {
        size_t low = 0, high = p->edges.count;
        while (low < high) {
            size_t mid = low + (high - low) / 2;
            if (p->edges.items[mid] <= x[i])
                low = mid + 1;
            else
                high = mid;
        }
        y[i] = isnan(x[i]) ? NAN : (double)low;
    }
}

/* ---- affine: x * multiply + add ---- */

typedef struct affine {
    double multiply, add;
} affine;

const mbr_param mbr_params_affine[] = {
    { .name = "multiply", .type = MBR_PARAM_NUMBER, .offset = offsetof(affine, multiply), .preset = 1 },
    { .name = "add", .type = MBR_PARAM_NUMBER, .offset = offsetof(affine, add), .preset = 0 },
    { .name = NULL }
};

void mbr_run_affine(const mbr_step *s, mbr_rows *rows)
{
    const affine *p = s->params;
    const double *x = mbr_step_in(s, rows, 0);
    double *y = mbr_step_out(s, rows);
    size_t n = mbr_step_count(s, rows);
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * p->multiply + p->add;
}

/* ---- ratio: a / b ---- */

typedef struct ratio {
    mbr_policy when_zero;
} ratio;

enum { RATIO_MISSING, RATIO_ERROR };

const mbr_param mbr_params_ratio[] = {
    { .name = "when_zero", .type = MBR_PARAM_POLICY, .words = "missing|error", .offset = offsetof(ratio, when_zero),
      .preset = RATIO_MISSING },
    { .name = NULL }
};

void mbr_run_ratio(const mbr_step *s, mbr_rows *rows)
{
    const ratio *p = s->params;
    const double *a = mbr_step_in(s, rows, 0), *b = mbr_step_in(s, rows, 1);
    double *y = mbr_step_out(s, rows);
    for (int i = 0; i < rows->count; i++) {
        if (b[i] == 0 && p->when_zero.word == RATIO_ERROR)
            mbr_rows_fail(rows, i, "step '%s': '%s' is 0", s->name, rows->cols[s->from[1]].name);
        y[i] = b[i] == 0 ? p->when_zero.number : a[i] / b[i];
    }
}

/* ---- cyclic: sine and cosine of the place in a period ---- */

typedef struct cyclic {
    double period;
} cyclic;

const mbr_param mbr_params_cyclic[] = {
    { .name = "period", .type = MBR_PARAM_NUMBER, .required = true, .offset = offsetof(cyclic, period) },
    { .name = NULL }
};

mbr_status mbr_compile_cyclic(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    const cyclic *p = s->params;
    if (!(p->period > 0))
        return mbr_node_fail(&c->read, at, "step '%s': the period must be above 0", s->name);
    out->width = 2;
    return MBR_OK;
}

void mbr_run_cyclic(const mbr_step *s, mbr_rows *rows)
{
    const cyclic *p = s->params;
    const double *x = mbr_step_in(s, rows, 0);
    double *y = mbr_step_out(s, rows);
    for (int i = 0; i < rows->count; i++) {
        double angle = two_pi * x[i] / p->period;
        y[2 * i] = sin(angle);
        y[2 * i + 1] = cos(angle);
    }
}

/* ---- is_missing ---- */

const mbr_param mbr_params_is_missing[] = { { .name = NULL } };

mbr_status mbr_compile_is_missing(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    (void)c;
    (void)at;
    (void)s;
    out->type = MBR_COL_BOOL;
    return MBR_OK;
}

void mbr_run_is_missing(const mbr_step *s, mbr_rows *rows)
{
    double *y = mbr_step_out(s, rows);
    size_t n = mbr_step_count(s, rows);
    bool text = rows->cols[s->from[0]].type == MBR_COL_STRING;
    for (size_t i = 0; i < n; i++)
        y[i] = text ? !rows->lanes[s->from[0]].str[i].data : isnan(rows->lanes[s->from[0]].num[i]);
}

/* ---- expr ---- */

typedef struct expr_params {
    mbr_string text;
    mbr_expr code;
} expr_params;

const mbr_param mbr_params_expr[] = {
    { .name = "expr", .type = MBR_PARAM_STRING, .required = true, .offset = offsetof(expr_params, text) },
    { .name = NULL }
};

mbr_status mbr_compile_expr(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    expr_params *p = s->params;
    mbr_status st = mbr_expr_compile(p->text.data, p->text.size, c->scope, &p->code, c->read.err);
    if (st != MBR_OK)
        return mbr_fail_at(c->read.err, st, "%s:%d: step '%s': ", c->read.file, at->line, s->name);
    out->type = p->code.type;
    s->from = mbr_arena_calloc(c->read.arena, MBR_STEP_INPUTS, sizeof *s->from); /* for who looks at the pipeline */
    if (!s->from)
        return mbr_no_memory(c->read.err, MBR_STEP_INPUTS * sizeof *s->from);
    s->from_count = mbr_expr_columns(&p->code, s->from, MBR_STEP_INPUTS);
    return MBR_OK;
}

void mbr_run_expr(const mbr_step *s, mbr_rows *rows)
{
    const expr_params *p = s->params;
    bool text = rows->cols[s->out].type == MBR_COL_STRING;
    for (int i = 0; i < rows->count; i++) {
        const char *fault = NULL;
        mbr_slot slot;
        bool fine = mbr_expr_eval(&p->code, rows->lanes, (size_t)i, &slot, &fault);
        if (!fine) {
            memset(&slot, 0, sizeof slot);
            mbr_rows_fail(rows, i, "step '%s': %s", s->name, fault);
        }
        if (text)
            rows->lanes[s->out].str[i] = slot.str;
        else
            rows->lanes[s->out].num[i] = fine ? slot.num : NAN;
    }
}

/* ---- sigmoid, platt: 1 / (1 + exp(-x)), 1 / (1 + exp(a x + b)) ---- */

const mbr_param mbr_params_sigmoid[] = { { .name = NULL } };

void mbr_run_sigmoid(const mbr_step *s, mbr_rows *rows)
{
    const double *x = mbr_step_in(s, rows, 0);
    double *y = mbr_step_out(s, rows);
    size_t n = mbr_step_count(s, rows);
    for (size_t i = 0; i < n; i++)
        y[i] = 1 / (1 + exp(-x[i]));
}

typedef struct platt {
    double a, b;
} platt;

const mbr_param mbr_params_platt[] = {
    { .name = "a", .type = MBR_PARAM_NUMBER, .required = true, .offset = offsetof(platt, a) },
    { .name = "b", .type = MBR_PARAM_NUMBER, .required = true, .offset = offsetof(platt, b) },
    { .name = NULL }
};

void mbr_run_platt(const mbr_step *s, mbr_rows *rows)
{
    const platt *p = s->params;
    const double *x = mbr_step_in(s, rows, 0);
    double *y = mbr_step_out(s, rows);
    size_t n = mbr_step_count(s, rows);
    for (size_t i = 0; i < n; i++)
        y[i] = 1 / (1 + exp(p->a * x[i] + p->b));
}

/* ---- softmax over the values of a row ---- */

const mbr_param mbr_params_softmax[] = { { .name = NULL } };

mbr_status mbr_compile_softmax(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    if (out->width < 2)
        return mbr_node_fail(&c->read, at, "step '%s': softmax needs a column of two values a row or more", s->name);
    return MBR_OK;
}

void mbr_run_softmax(const mbr_step *s, mbr_rows *rows)
{
    const double *x = mbr_step_in(s, rows, 0);
    double *y = mbr_step_out(s, rows);
    int width = rows->cols[s->out].width;
    for (int i = 0; i < rows->count; i++, x += width, y += width) {
        double max = x[0], sum = 0;
        for (int k = 1; k < width; k++)
            max = x[k] > max ? x[k] : max;
        for (int k = 0; k < width; k++)
            sum += y[k] = exp(x[k] - max);
        for (int k = 0; k < width; k++)
            y[k] /= sum;
    }
}

_Static_assert(sizeof(impute) <= MBR_STEP_PARAMS && sizeof(standardize) <= MBR_STEP_PARAMS &&
               sizeof(min_max) <= MBR_STEP_PARAMS && sizeof(expr_params) <= MBR_STEP_PARAMS, "room for parameters");
