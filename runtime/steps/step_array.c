/* SPDX-License-Identifier: BSD-2-Clause */
/* Lists of lists of numbers, written as JSON, to tensors. */
#include "runtime/pipeline/element.h"
#include "runtime/steps/step.h"

#include <string.h>

typedef struct array_params {
    mbr_numbers shape;
    mbr_string dtype;
} array_params;

const mbr_param mbr_params_array[] = {
    { .name = "shape", .type = MBR_PARAM_NUMBERS, .offset = offsetof(array_params, shape) },
    { .name = "dtype", .type = MBR_PARAM_STRING, .offset = offsetof(array_params, dtype) },
    { .name = NULL }
};

mbr_status mbr_compile_array(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    const array_params *p = s->params;
    *out = (mbr_col){ .name = out->name, .line = out->line, .type = MBR_COL_TENSOR, .width = 1,
                      .dtype = MBR_DTYPE_F32, .rank = p->shape.count ? (int)p->shape.count : -1 };
    if (p->dtype.data)
        out->dtype = mbr_dtype_from_name(p->dtype.data);
    if (!mbr_element_numeric(out->dtype))
        return mbr_node_fail(&c->read, at, "step '%s': 'dtype' must be f32, f64, i64, i32, i16, i8, u8 or bool",
                             s->name);
    if (p->shape.count > MBR_MAX_RANK)
        return mbr_node_fail(&c->read, at, "step '%s': a tensor has at most %d dimensions", s->name, MBR_MAX_RANK);
    for (size_t i = 0; i < p->shape.count; i++) {
        double d = p->shape.items[i];
        if (!(d >= -1 && d <= (double)MBR_CELL_BYTES && d == floor(d)))
            return mbr_node_fail(&c->read, at, "step '%s': %g in 'shape' is no dimension; -1 stands for one that "
                                 "differs from row to row", s->name, d);
        out->dims[i] = (int64_t)d;
    }
    return MBR_OK;
}

typedef struct array_text {
    const char *at, *end;
    mbr_cell shape;      /* found out on the way */
    int64_t counts[MBR_MAX_RANK];
    int depth, deepest;
    bool has_rank;       /* a number was there: no list goes deeper */
    mbr_dtype dtype;
    void *data;          /* NULL: only the shape is asked for */
    size_t stored;
    double odd;          /* a value that the tensor cannot hold */
} array_text;

static void skip_white(array_text *t)
{
    while (t->at < t->end && strchr(" \t\r\n", *t->at) && *t->at)
        t->at++;
}

/* A number, true, false or null. The reason why it is none, or NULL. */
static const char *take_number(array_text *t)
{
    const char *from = t->at;
    double x = NAN;
    while (t->at < t->end && !strchr(",] \t\r\n[", *t->at))
        t->at++;
    size_t n = (size_t)(t->at - from);
    bool known = mbr_text_is(from, n, "null");
    if (mbr_text_is(from, n, "true") || mbr_text_is(from, n, "false")) {
        x = n == 4;
        known = true;
    }
    if (!n || (!known && !mbr_text_number(from, n, &x))) {
        t->at = from;
        return "a number or a list is due";
    }
    if (t->has_rank ? t->depth != t->shape.rank : t->deepest > t->depth)
        return "a number stands where a list is due";
    t->has_rank = true;
    t->shape.rank = t->depth;
    if (!mbr_element_holds(t->dtype, x)) {
        t->odd = x;
        return "";
    }
    if (t->data)
        mbr_element_store(t->dtype, t->data, t->stored, x);
    t->stored++;
    return NULL;
}

static const char *open_list(array_text *t)
{
    if (t->has_rank && t->depth == t->shape.rank)
        return "a list stands where a number is due";
    if (t->depth == MBR_MAX_RANK)
        return "too many lists in one another";
    t->at++;
    t->counts[t->depth++] = 0;
    t->deepest = t->depth > t->deepest ? t->depth : t->deepest;
    return NULL;
}

static const char *close_list(array_text *t)
{
    int64_t *dim = &t->shape.dims[--t->depth], count = t->counts[t->depth];
    t->at++;
    if (*dim >= 0 && *dim != count)
        return "lists side by side differ in length";
    *dim = count;
    return NULL;
}

/* All of the text. The reason why it is no array, with t->at where that is, or NULL. */
static const char *take_array(array_text *t)
{
    bool due = true; /* a value, else what follows one */
    const char *why = NULL;
    for (int i = 0; i < MBR_MAX_RANK; i++)
        t->shape.dims[i] = -1;
    for (;;) {
        skip_white(t);
        char c = t->at < t->end ? *t->at : '\0';
        bool closes = c == ']' && t->depth && (!due || t->counts[t->depth - 1] == 0);
        if (due && c == '[') {
            why = open_list(t);
        } else if (closes || due) {
            why = closes ? close_list(t) : take_number(t);
            due = false;
            if (t->depth)
                t->counts[t->depth - 1]++;
        } else if (c == ',' && t->depth) {
            t->at++;
            due = true;
        } else {
            break;
        }
        if (why)
            return why;
    }
    if (t->depth || t->at < t->end)
        return t->depth ? "',' or ']' is due" : "there is more than one array";
    if (!t->has_rank)
        t->shape.rank = t->deepest;
    return NULL;
}

static bool fits(const mbr_col *col, const mbr_cell *cell)
{
    bool same = col->rank < 0 || col->rank == cell->rank;
    for (int i = 0; same && i < col->rank; i++)
        same = col->dims[i] < 0 || col->dims[i] == cell->dims[i];
    return same;
}

static void run_row(const mbr_step *s, mbr_rows *rows, int row, const mbr_string *text)
{
    const mbr_col *out = &rows->cols[s->out];
    const char *name = rows->cols[s->from[0]].name;
    array_text t = { .at = text->data, .end = text->data + text->size, .dtype = out->dtype };
    const char *why = take_array(&t);
    if (why && !*why)
        mbr_rows_fail(rows, row, "step '%s': %.17g in column '%s' does not fit a tensor of %s", s->name, t.odd, name,
                      mbr_dtype_name(out->dtype));
    else if (why)
        mbr_rows_fail(rows, row, "step '%s': column '%s', byte %zu: %s", s->name, name,
                      (size_t)(t.at - text->data) + 1, why);
    else if (!fits(out, &t.shape)) {
        char have[160], want[160];
        mbr_shape_text(out->dtype, t.shape.rank, t.shape.dims, have, sizeof have);
        mbr_shape_text(out->dtype, out->rank, out->dims, want, sizeof want);
        mbr_rows_fail(rows, row, "step '%s': column '%s' is an array %s, and %s is due", s->name, name, have, want);
    }
    if (rows->fault[row])
        return;
    t = (array_text){ .at = text->data, .end = t.end, .dtype = out->dtype, .shape = t.shape };
    t.data = mbr_rows_cell(rows, row, s->out, t.shape.rank, t.shape.dims);
    if (t.data)
        (void)take_array(&t);
}

void mbr_run_array(const mbr_step *s, mbr_rows *rows)
{
    mbr_rows_clear(rows, s->out);
    for (int i = 0; i < rows->count; i++) {
        const mbr_string *text = &rows->lanes[s->from[0]].str[i];
        if (!rows->fault[i] && text->data)
            run_row(s, rows, i, text);
    }
}

_Static_assert(sizeof(array_params) <= MBR_STEP_PARAMS, "room for parameters");
