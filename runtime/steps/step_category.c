/* SPDX-License-Identifier: BSD-2-Clause */
/* Steps over categories: text (or numbers) out of a known set, and what to do with the rest. */
#include "runtime/steps/step.h"

#include <math.h>
#include <string.h>

static mbr_status index_values(const mbr_compiling *c, const mbr_node *at, const mbr_step *s, const mbr_strings *values,
                               mbr_names *names)
{
    size_t twin;
    MBR_TRY(mbr_names_build(names, c->read.arena, values->items, values->count, &twin, c->read.err));
    if (twin != SIZE_MAX)
        return mbr_node_fail(&c->read, at, "step '%s': the value '%s' is listed twice", s->name,
                             values->items[twin].data);
    return MBR_OK;
}

static void fail_unknown(mbr_rows *rows, int row, const mbr_step *s, const mbr_string *x)
{
    if (x->data)
        mbr_rows_fail(rows, row, "column '%s': the value '%.*s' is not known to step '%s'", rows->cols[s->from[0]].name,
                      (int)(x->size > 100 ? 100 : x->size), x->data, s->name);
    else
        mbr_rows_fail(rows, row, "column '%s' is missing, and step '%s' needs it", rows->cols[s->from[0]].name,
                      s->name);
}

/* ---- one_hot ---- */

typedef struct one_hot {
    mbr_strings values;
    int unknown, missing;
    mbr_names names;   /* of a text column */
    double *numbers;   /* (values.count), of a number column */
} one_hot;

enum { ONE_HOT_ZEROS, ONE_HOT_ERROR };

const mbr_param mbr_params_one_hot[] = {
    { .name = "values", .type = MBR_PARAM_STRINGS, .required = true, .offset = offsetof(one_hot, values) },
    { .name = "unknown", .type = MBR_PARAM_CHOICE, .words = "zeros|error", .offset = offsetof(one_hot, unknown),
      .preset = ONE_HOT_ERROR },
    { .name = "missing", .type = MBR_PARAM_CHOICE, .words = "zeros|error", .offset = offsetof(one_hot, missing),
      .preset = ONE_HOT_ZEROS },
    { .name = NULL }
};

mbr_status mbr_compile_one_hot(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    one_hot *p = s->params;
    if (p->values.count > MBR_MAX_WIDTH)
        return mbr_node_fail(&c->read, at, "step '%s': more than %d values", s->name, MBR_MAX_WIDTH);
    out->width = (int)p->values.count;
    MBR_TRY(index_values(c, at, s, &p->values, &p->names));
    if (c->scope->cols[s->from[0]].type == MBR_COL_STRING)
        return MBR_OK;
    p->numbers = mbr_arena_calloc(c->read.arena, p->values.count, sizeof *p->numbers);
    if (!p->numbers)
        return mbr_no_memory(c->read.err, p->values.count * sizeof *p->numbers);
    for (size_t i = 0; i < p->values.count; i++)
        if (!mbr_text_number(p->values.items[i].data, p->values.items[i].size, &p->numbers[i]))
            return mbr_node_fail(&c->read, at, "step '%s' reads a number column; the value '%s' is no number", s->name,
                                 p->values.items[i].data);
    return MBR_OK;
}

static size_t find_number(const one_hot *p, double x)
{
    for (size_t i = 0; i < p->values.count; i++)
        if (p->numbers[i] == x)
            return i;
    return SIZE_MAX;
}

void mbr_run_one_hot(const mbr_step *s, mbr_rows *rows)
{
    const one_hot *p = s->params;
    double *y = mbr_step_out(s, rows);
    size_t width = p->values.count;
    bool text = !p->numbers;
    memset(y, 0, mbr_step_count(s, rows) * sizeof *y);
    for (int i = 0; i < rows->count; i++) {
        mbr_string x = { NULL, 0 };
        double number = 0;
        if (text)
            x = rows->lanes[s->from[0]].str[i];
        else
            number = mbr_step_in(s, rows, 0)[i];
        bool missing = text ? !x.data : isnan(number);
        size_t at = missing ? SIZE_MAX : text ? mbr_names_find(&p->names, x.data, x.size) : find_number(p, number);
        if (at != SIZE_MAX)
            y[(size_t)i * width + at] = 1;
        else if ((missing ? p->missing : p->unknown) == ONE_HOT_ERROR && (text || missing))
            fail_unknown(rows, i, s, &x);
        else if (!missing && p->unknown == ONE_HOT_ERROR)
            mbr_rows_fail(rows, i, "column '%s': the value %.17g is not known to step '%s'",
                          rows->cols[s->from[0]].name, number, s->name);
    }
}

/* ---- ordinal: the place in a list ---- */

typedef struct ordinal {
    mbr_strings values;
    mbr_policy unknown, missing;
    mbr_names names;
} ordinal;

enum { CATEGORY_MISSING, CATEGORY_ERROR };

const mbr_param mbr_params_ordinal[] = {
    { .name = "values", .type = MBR_PARAM_STRINGS, .required = true, .offset = offsetof(ordinal, values) },
    { .name = "unknown", .type = MBR_PARAM_POLICY, .words = "missing|error", .offset = offsetof(ordinal, unknown),
      .preset = CATEGORY_ERROR },
    { .name = "missing", .type = MBR_PARAM_POLICY, .words = "missing|error", .offset = offsetof(ordinal, missing),
      .preset = CATEGORY_MISSING },
    { .name = NULL }
};

mbr_status mbr_compile_ordinal(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    ordinal *p = s->params;
    (void)out;
    return index_values(c, at, s, &p->values, &p->names);
}

/* What stands for a value that is not in the set. */
static double stand_in(const mbr_step *s, mbr_rows *rows, int row, const mbr_string *x, const mbr_policy *unknown,
                       const mbr_policy *missing)
{
    const mbr_policy *policy = x->data ? unknown : missing;
    if (policy->word == CATEGORY_ERROR)
        fail_unknown(rows, row, s, x);
    return policy->number; /* NaN with a word */
}

void mbr_run_ordinal(const mbr_step *s, mbr_rows *rows)
{
    const ordinal *p = s->params;
    const mbr_string *x = rows->lanes[s->from[0]].str;
    double *y = mbr_step_out(s, rows);
    for (int i = 0; i < rows->count; i++) {
        size_t at = x[i].data ? mbr_names_find(&p->names, x[i].data, x[i].size) : SIZE_MAX;
        y[i] = at != SIZE_MAX ? (double)at : stand_in(s, rows, i, &x[i], &p->unknown, &p->missing);
    }
}

/* ---- lookup: a number for each value (rates, target encodings, exchange rates) ---- */

typedef struct lookup {
    mbr_table table;
    mbr_policy unknown, missing;
    mbr_names names;
} lookup;

const mbr_param mbr_params_lookup[] = {
    { .name = "table", .type = MBR_PARAM_TABLE, .required = true, .offset = offsetof(lookup, table) },
    { .name = "unknown", .type = MBR_PARAM_POLICY, .words = "missing|error", .offset = offsetof(lookup, unknown),
      .preset = CATEGORY_ERROR },
    { .name = "missing", .type = MBR_PARAM_POLICY, .words = "missing|error", .offset = offsetof(lookup, missing),
      .preset = CATEGORY_MISSING },
    { .name = NULL }
};

mbr_status mbr_compile_lookup(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    lookup *p = s->params;
    mbr_strings keys = { p->table.keys, p->table.count };
    (void)out;
    return index_values(c, at, s, &keys, &p->names);
}

void mbr_run_lookup(const mbr_step *s, mbr_rows *rows)
{
    const lookup *p = s->params;
    const mbr_string *x = rows->lanes[s->from[0]].str;
    double *y = mbr_step_out(s, rows);
    for (int i = 0; i < rows->count; i++) {
        size_t at = x[i].data ? mbr_names_find(&p->names, x[i].data, x[i].size) : SIZE_MAX;
        y[i] = at != SIZE_MAX ? p->table.values[at] : stand_in(s, rows, i, &x[i], &p->unknown, &p->missing);
    }
}

/* ---- cross: several texts as one; a missing part is empty ---- */

typedef struct cross {
    mbr_string separator;
} cross;

const mbr_param mbr_params_cross[] = {
    { .name = "separator", .type = MBR_PARAM_STRING, .offset = offsetof(cross, separator) },
    { .name = NULL }
};

mbr_status mbr_compile_cross(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    cross *p = s->params;
    (void)c;
    (void)at;
    if (!p->separator.data)
        p->separator = (mbr_string){ "|", 1 };
    out->type = MBR_COL_STRING;
    return MBR_OK;
}

void mbr_run_cross(const mbr_step *s, mbr_rows *rows)
{
    const cross *p = s->params;
    mbr_string *y = rows->lanes[s->out].str;
    for (int i = 0; i < rows->count; i++) {
        size_t size = p->separator.size * (size_t)(s->from_count - 1), at = 0;
        for (int k = 0; k < s->from_count; k++)
            size += rows->lanes[s->from[k]].str[i].size;
        char *text = mbr_pool_alloc(&rows->pool, size + 1);
        y[i] = (mbr_string){ text, text ? size : 0 };
        if (!text) {
            mbr_rows_fail(rows, i, "step '%s': out of memory", s->name);
            continue;
        }
        for (int k = 0; k < s->from_count; k++) {
            const mbr_string *part = &rows->lanes[s->from[k]].str[i];
            if (k)
                memcpy(text + at, p->separator.data, p->separator.size);
            at += k ? p->separator.size : 0;
            if (part->size)
                memcpy(text + at, part->data, part->size);
            at += part->size;
        }
    }
}

_Static_assert(sizeof(one_hot) <= MBR_STEP_PARAMS && sizeof(ordinal) <= MBR_STEP_PARAMS &&
               sizeof(lookup) <= MBR_STEP_PARAMS, "room for parameters");
