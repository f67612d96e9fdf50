/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a pipeline meets its model: columns to input tensors, output tensors to columns. */
#include "runtime/pipeline/pipeline_impl.h"

#include "base/checked.h"
#include "runtime/pipeline/element.h"

#include <stdio.h>
#include <string.h>

/* The names of the model's inputs or outputs, for a message. */
static void list_ports(const mbr_model *model, bool inputs, char *text, size_t size)
{
    int n = inputs ? mbr_model_input_count(model) : mbr_model_output_count(model);
    text[0] = '\0';
    for (int i = 0; i < n; i++) {
        mbr_port port = { .size = sizeof port };
        size_t used = strlen(text);
        mbr_status st = inputs ? mbr_model_input(model, i, &port, NULL) : mbr_model_output(model, i, &port, NULL);
        if (st == MBR_OK)
            snprintf(text + used, size - used, "%s'%s'", used ? ", " : "", port.name);
    }
}

/* Prints "[rows, 38]". */
static void shape_text(const mbr_port *port, char *text, size_t size)
{
    snprintf(text, size, "%s", port->rank < 0 ? "unknown" : "[");
    for (int i = 0; i < port->rank; i++) {
        size_t used = strlen(text);
        if (port->dims[i] < 0)
            snprintf(text + used, size - used, "%s%s", i ? ", " : "", port->symbols[i] ? port->symbols[i] : "?");
        else
            snprintf(text + used, size - used, "%s%lld", i ? ", " : "", (long long)port->dims[i]);
    }
    if (port->rank >= 0) {
        size_t used = strlen(text);
        snprintf(text + used, size - used, "]");
    }
}

/* ---- inputs of the model ---- */

typedef struct feed_keys {
    mbr_string input;
    mbr_strings from;
    const mbr_node *value;
    double pad; /* NaN: none */
    int missing;
} feed_keys;

static const mbr_param feed_params[] = {
    { .name = "input", .type = MBR_PARAM_STRING, .required = true, .offset = offsetof(feed_keys, input) },
    { .name = "from", .type = MBR_PARAM_STRINGS, .offset = offsetof(feed_keys, from) },
    { .name = "value", .type = MBR_PARAM_NODE, .offset = offsetof(feed_keys, value) },
    { .name = "pad", .type = MBR_PARAM_NUMBER, .offset = offsetof(feed_keys, pad) },
    { .name = "missing", .type = MBR_PARAM_CHOICE, .words = "keep|skip", .offset = offsetof(feed_keys, missing) },
    { .name = NULL }
};

/* Which columns an element type can hold. */
static bool feeds_dtype(mbr_dtype dtype, bool *text)
{
    *text = dtype == MBR_DTYPE_STRING;
    return *text || dtype == MBR_DTYPE_F32 || dtype == MBR_DTYPE_F64 || dtype == MBR_DTYPE_I64 ||
           dtype == MBR_DTYPE_I32 || dtype == MBR_DTYPE_BOOL;
}

static mbr_status read_feed_columns(const mbr_compiling *c, const mbr_node *n, const mbr_strings *names, bool text,
                                    mbr_feed *feed)
{
    const mbr_reading *r = &c->read;
    feed->from = mbr_arena_calloc(r->arena, names->count, sizeof *feed->from);
    if (!feed->from)
        return mbr_no_memory(r->err, names->count * sizeof *feed->from);
    for (size_t i = 0; i < names->count; i++) {
        const char *name = names->items[i].data;
        int col = mbr_scope_find(c->scope, name, names->items[i].size);
        if (col < 0) {
            const char *near = mbr_scope_near(c->scope, name);
            return mbr_node_fail(r, n, "tensor '%s': there is no column '%s'%s%s%s", feed->name, name,
                                 near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
        }
        const mbr_col *column = &c->scope->cols[col];
        if (column->type == MBR_COL_TENSOR) {
            if (names->count > 1)
                return mbr_node_fail(r, n, "tensor '%s': '%s' is a tensor, and must then be the only column",
                                     feed->name, name);
            feed->tensor = true;
            feed->from[feed->from_count++] = col;
            return MBR_OK;
        }
        if ((column->type == MBR_COL_STRING) != text)
            return mbr_node_fail(r, n, "tensor '%s': column '%s' is a %s, and the model takes %s; %s", feed->name, name,
                                 mbr_col_type_name(column->type), mbr_dtype_name(feed->dtype),
                                 text ? "name a string column" : "make numbers of it by one_hot, ordinal or lookup");
        if (column->width > MBR_MAX_WIDTH - feed->width)
            return mbr_node_fail(r, n, "tensor '%s': more than %d values a row", feed->name, MBR_MAX_WIDTH);
        feed->width += column->width;
        feed->from[feed->from_count++] = col;
    }
    return MBR_OK;
}

/* Fits [rows, width] into the declared shape. */
static mbr_status fit_shape(mbr_pipeline *p, const mbr_reading *r, const mbr_node *n, const mbr_port *port,
                            mbr_feed *feed)
{
    char shape[160];
    int64_t fixed = 1;
    int open = -1, begin = 1;
    shape_text(port, shape, sizeof shape);
    feed->batched = true;
    feed->rank = port->rank < 0 ? 2 : port->rank;
    if (port->rank < 0) {
        feed->dims[0] = -1;
        feed->dims[1] = feed->width;
        return MBR_OK;
    }
    if (port->rank == 0 || (port->rank == 1 && port->dims[0] > 1)) {
        feed->batched = false; /* the model knows no rows: one at a time */
        begin = 0;
    } else if (port->dims[0] > 1) {
        return mbr_node_refuse(r, n, MBR_ERR_INPUT, "input '%s' of the model has the shape %s: it always takes %lld "
                               "rows; export it with a free first dimension", feed->name, shape,
                               (long long)port->dims[0]);
    }
    for (int i = begin; i < port->rank; i++) {
        feed->dims[i] = port->dims[i];
        if (port->dims[i] < 0) {
            open = open < 0 ? i : MBR_MAX_RANK;
            continue;
        }
        if (!mbr_mul_i64(fixed, port->dims[i], &fixed))
            fixed = INT64_MAX;
    }
    bool fits = open < 0 ? fixed == feed->width : open < MBR_MAX_RANK && fixed > 0 && feed->width % fixed == 0;
    if (!fits)
        return mbr_node_refuse(r, n, MBR_ERR_INPUT, "the columns of tensor '%s' are %d values a row, and the model "
                               "wants the shape %s; compare the list with what the model was trained on", feed->name,
                               feed->width, shape);
    if (open >= 0)
        feed->dims[open] = feed->width / fixed;
    if (!feed->batched || port->dims[0] == 1)
        p->single = true;
    return MBR_OK;
}

/* Fits the tensors of one column, one a row, into the declared shape. */
static mbr_status fit_cells(mbr_pipeline *p, const mbr_compiling *c, const mbr_node *n, const mbr_port *port,
                            mbr_feed *feed)
{
    const mbr_reading *r = &c->read;
    const mbr_col *col = &c->scope->cols[feed->from[0]];
    char have[160], want[160];
    bool fits = true;
    shape_text(port, want, sizeof want);
    mbr_shape_text(col->dtype, col->rank, col->dims, have, sizeof have);
    if (col->dtype != port->dtype && (!mbr_element_numeric(col->dtype) || !mbr_element_numeric(port->dtype)))
        return mbr_node_refuse(r, n, MBR_ERR_INPUT, "tensor '%s': column '%s' is a tensor %s, and the model takes %s",
                               feed->name, col->name, have, mbr_dtype_name(port->dtype));
    if (feed->padded && !(mbr_element_numeric(port->dtype) && mbr_element_holds(port->dtype, feed->pad)))
        return mbr_node_refuse(r, n, MBR_ERR_INPUT, "tensor '%s': the value of 'pad' cannot be an element of %s",
                               feed->name, mbr_dtype_name(port->dtype));
    p->tensor_feeds++;
    feed->batched = true;
    feed->rank = port->rank < 0 && col->rank >= 0 ? col->rank + 1 : port->rank;
    for (int i = 0; i < MBR_MAX_RANK; i++)
        feed->dims[i] = i < port->rank ? port->dims[i] : -1;
    if (feed->rank < 0)
        return MBR_OK;
    /* Without a dimension for rows a row is the whole input. */
    if (feed->rank == 0 || col->rank == feed->rank || (col->rank < 0 && port->dims[0] > 1))
        feed->batched = false;
    int rows = feed->batched;
    if (feed->rank > MBR_MAX_RANK || (col->rank >= 0 && col->rank != feed->rank - rows))
        fits = false;
    for (int i = 0; fits && i < col->rank; i++) {
        int64_t a = col->dims[i], b = feed->dims[i + rows];
        fits = a < 0 || b < 0 || a == b || (feed->padded && a < b);
    }
    if (!fits)
        return mbr_node_refuse(r, n, MBR_ERR_INPUT, "column '%s' is a tensor %s a row, and input '%s' of the model has "
                               "the shape %s; compare with what the model was trained on", col->name, have, feed->name,
                               want);
    if (rows && feed->dims[0] > 1)
        return mbr_node_refuse(r, n, MBR_ERR_INPUT, "input '%s' of the model has the shape %s: it always takes %lld "
                               "rows; export it with a free first dimension", feed->name, want,
                               (long long)feed->dims[0]);
    if (!rows || feed->dims[0] == 1)
        p->single = true;
    return MBR_OK;
}

/* An input that is the same for every run: a number, or a list of them. */
static mbr_status read_value(const mbr_reading *r, const mbr_node *n, const mbr_node *value, const mbr_port *port,
                             mbr_feed *feed)
{
    size_t count = value->kind == MBR_NODE_LIST ? value->count : 1, fixed = 1;
    mbr_numbers *numbers = mbr_arena_calloc(r->arena, 1, sizeof *numbers);
    int open = -1;
    if (numbers)
        numbers->items = mbr_arena_calloc(r->arena, count + 1, sizeof *numbers->items);
    if (!numbers || !numbers->items)
        return mbr_no_memory(r->err, count * sizeof *numbers->items);
    for (size_t i = 0; i < count; i++) {
        double *x = &numbers->items[i];
        MBR_TRY(mbr_node_number(r, value->kind == MBR_NODE_LIST ? value->items[i] : value, "'value'", x));
        if (!mbr_element_numeric(port->dtype) || !mbr_element_holds(port->dtype, *x))
            return mbr_node_refuse(r, n, MBR_ERR_INPUT, "input '%s' of the model is of %s and cannot be %.17g",
                                   feed->name, mbr_dtype_name(port->dtype), *x);
    }
    numbers->count = count;
    feed->value = numbers;
    feed->rank = port->rank < 0 ? value->kind == MBR_NODE_LIST : port->rank;
    for (int i = 0; i < feed->rank; i++) {
        feed->dims[i] = port->rank < 0 ? -1 : port->dims[i];
        if (feed->dims[i] >= 0)
            fixed *= (size_t)feed->dims[i] <= MBR_MAX_WIDTH && fixed <= MBR_MAX_WIDTH ? (size_t)feed->dims[i] : 0;
        else
            open = open < 0 ? i : MBR_MAX_RANK;
    }
    if (open == MBR_MAX_RANK || (open < 0 ? fixed != count : !fixed || count % fixed))
        return mbr_node_refuse(r, n, MBR_ERR_INPUT, "%zu values do not fill the model's input '%s'", count, feed->name);
    if (open >= 0)
        feed->dims[open] = (int64_t)(count / fixed);
    return MBR_OK;
}

static mbr_status read_feed(mbr_pipeline *p, const mbr_compiling *c, const mbr_node *n, mbr_feed *feed)
{
    const mbr_reading *r = &c->read;
    feed_keys keys;
    mbr_port port = { .size = sizeof port };
    bool text;
    MBR_TRY(mbr_node_read(r, n, "an entry of 'tensors'", feed_params, NULL, &keys));
    feed->name = keys.input.data;
    feed->port = mbr_model_find_input(p->model, feed->name);
    if (feed->port < 0) {
        char names[300];
        list_ports(p->model, true, names, sizeof names);
        return mbr_node_refuse(r, n, MBR_ERR_INPUT, "the model has no input '%s'; it has %s", feed->name, names);
    }
    for (const mbr_feed *other = p->feeds; other < feed; other++)
        if (other->port == feed->port)
            return mbr_node_fail(r, n, "the input '%s' has two entries in 'tensors'", feed->name);
    MBR_TRY(mbr_model_input(p->model, feed->port, &port, r->err));
    feed->dtype = port.dtype;
    for (int i = 0; p->state && i < p->state->count; i++)
        if (p->state->edges[i].input == feed->port)
            return mbr_node_fail(r, n, "the input '%s' is a state; it has no entry in 'tensors'", feed->name);
    if ((keys.from.count > 0) == (keys.value != NULL))
        return mbr_node_fail(r, n, "tensor '%s' needs 'from' (columns) or 'value' (the same for every run)",
                             feed->name);
    if (keys.value && (mbr_node_get(n, "pad") || mbr_node_get(n, "missing")))
        return mbr_node_fail(r, n, "the tensor for input '%s' is a `value`; 'pad' and 'missing' are for columns",
                             keys.input.data);
    if (keys.value)
        return read_value(r, n, keys.value, &port, feed);
    feed->padded = mbr_node_get(n, "pad") != NULL;
    feed->pad = keys.pad;
    feed->skips = keys.missing != 0;
    bool plain = feeds_dtype(port.dtype, &text);
    if (port.kind == MBR_KIND_TENSOR)
        MBR_TRY(read_feed_columns(c, n, &keys.from, text, feed));
    if (port.kind == MBR_KIND_TENSOR && feed->tensor)
        return fit_cells(p, c, n, &port, feed);
    if (feed->padded)
        return mbr_node_fail(r, n, "tensor '%s': only tensor columns have 'pad'", feed->name);
    if (port.kind != MBR_KIND_TENSOR || !plain)
        return mbr_node_refuse(r, n, MBR_ERR_UNSUPPORTED, "input '%s' of the model is a %s of %s; pipelines make "
                               "tensors of f32, f64, i32, i64, bool and string", feed->name,
                               port.kind == MBR_KIND_TENSOR ? "tensor" : "container", mbr_dtype_name(port.dtype));
    return fit_shape(p, r, n, &port, feed);
}

mbr_status mbr_pipeline_read_feeds(mbr_pipeline *p, const mbr_compiling *c, const mbr_node *n)
{
    const mbr_reading *r = &c->read;
    MBR_TRY(mbr_node_expect(r, n, MBR_NODE_LIST, "'tensors'"));
    if (n->count > MBR_MAX_COLUMNS)
        return mbr_node_fail(r, n, "'tensors' has more than %d entries", MBR_MAX_COLUMNS);
    p->feeds = mbr_arena_calloc(r->arena, n->count + 1, sizeof *p->feeds);
    if (!p->feeds)
        return mbr_no_memory(r->err, (n->count + 1) * sizeof *p->feeds);
    for (; (size_t)p->feed_count < n->count; p->feed_count++)
        MBR_TRY(read_feed(p, c, n->items[p->feed_count], &p->feeds[p->feed_count]));
    for (int i = 0; i < mbr_model_input_count(p->model); i++) {
        mbr_port port = { .size = sizeof port };
        bool fed = false;
        MBR_TRY(mbr_model_input(p->model, i, &port, r->err));
        for (int k = 0; k < p->feed_count; k++)
            fed |= p->feeds[k].port == i;
        for (int k = 0; p->state && k < p->state->count; k++)
            fed |= p->state->edges[k].input == i;
        if (!fed && !port.optional)
            return mbr_node_refuse(r, n, MBR_ERR_INPUT, "'tensors' has no entry for the model's input '%s'; add "
                                   "'- {input: %s, from: [...]}'", port.name, port.name);
    }
    return MBR_OK;
}

/* ---- outputs of the model ---- */

typedef struct fetch_keys {
    const mbr_node *name;
    mbr_string output;
    int64_t column;
    int tensor;
} fetch_keys;

enum { FETCH_VALUES, FETCH_TENSOR, FETCH_WHOLE };

static const mbr_param fetch_params[] = {
    { .name = "name", .type = MBR_PARAM_NODE, .required = true, .offset = offsetof(fetch_keys, name) },
    { .name = "output", .type = MBR_PARAM_STRING, .required = true, .offset = offsetof(fetch_keys, output) },
    { .name = "column", .type = MBR_PARAM_INT, .offset = offsetof(fetch_keys, column), .preset = -1 },
    { .name = "tensor", .type = MBR_PARAM_CHOICE, .words = "false|true|whole", .offset = offsetof(fetch_keys, tensor) },
    { .name = NULL }
};

static bool fetches_dtype(mbr_dtype dtype)
{
    bool text;
    return feeds_dtype(dtype, &text);
}

/* Values a row of an output; -1 where only a run can tell. */
static int64_t values_a_row(const mbr_port *port)
{
    int64_t n = 1;
    for (int i = 1; i < port->rank; i++)
        if (port->dims[i] < 0 || !mbr_mul_i64(n, port->dims[i], &n))
            return -1;
    return port->rank < 0 ? -1 : n;
}

/* The column of an output that is taken as tensors. */
static mbr_status fetch_cells(mbr_pipeline *p, const mbr_reading *r, const mbr_node *n, const mbr_port *port,
                              bool whole, mbr_fetch *fetch, mbr_col *col)
{
    char shape[160];
    int rows = !whole;
    shape_text(port, shape, sizeof shape);
    if (mbr_node_get(n, "column"))
        return mbr_node_fail(r, n, "output '%s': 'column' and 'tensor' exclude each other", fetch->name);
    if (port->kind != MBR_KIND_TENSOR || !mbr_dtype_size(port->dtype))
        return mbr_node_refuse(r, n, MBR_ERR_UNSUPPORTED, "output '%s' of the model is no tensor of a known type",
                               fetch->name);
    if (!whole && (port->rank == 0 || (port->rank > 0 && port->dims[0] > 1)))
        return mbr_node_refuse(r, n, MBR_ERR_INPUT, "output '%s' of the model has the shape %s: there is no first "
                               "dimension for rows; say 'tensor: whole'", fetch->name, shape);
    fetch->whole = whole;
    p->single |= whole;
    col->type = MBR_COL_TENSOR;
    col->dtype = port->dtype;
    col->rank = port->rank < 0 ? -1 : port->rank - rows;
    for (int i = 0; i < col->rank; i++)
        col->dims[i] = port->dims[i + rows];
    return MBR_OK;
}

/* The column of an output that is taken as values. */
static mbr_status fetch_values(const mbr_reading *r, const mbr_node *n, const fetch_keys *keys, const mbr_port *port,
                               mbr_fetch *fetch, mbr_col *col)
{
    if (port->kind != MBR_KIND_TENSOR || !fetches_dtype(port->dtype))
        return mbr_node_refuse(r, n, MBR_ERR_UNSUPPORTED, "output '%s' of the model is a %s of %s; pipelines read "
                               "tensors of f32, f64, i32, i64, bool and string (export scikit-learn models without "
                               "ZipMap)", fetch->name, port->kind == MBR_KIND_TENSOR ? "tensor" : "container",
                               mbr_dtype_name(port->dtype));
    int64_t values = values_a_row(port);
    bool text = port->dtype == MBR_DTYPE_STRING;
    if (port->dtype == MBR_DTYPE_BOOL)
        col->type = MBR_COL_BOOL;
    if (text)
        col->type = MBR_COL_STRING;
    if (mbr_node_get(n, "column")) {
        if (keys->column < 0 || (values >= 0 && keys->column >= values))
            return mbr_node_fail(r, n, "output '%s' has %lld values a row; 'column' counts from 0", fetch->name,
                                 (long long)values);
        fetch->column = keys->column;
    } else if (values > 1) {
        if (text || values > MBR_MAX_WIDTH)
            return mbr_node_fail(r, n, "output '%s' has %lld values a row; name one by 'column'", fetch->name,
                                 (long long)values);
        col->width = (int)values;
    }
    return MBR_OK;
}

static mbr_status read_fetch(mbr_pipeline *p, const mbr_compiling *c, const mbr_node *n, mbr_fetch *fetch)
{
    const mbr_reading *r = &c->read;
    fetch_keys keys;
    mbr_port port = { .size = sizeof port };
    mbr_col col = { .type = MBR_COL_NUMBER, .width = 1, .line = n->line };
    MBR_TRY(mbr_node_read(r, n, "an entry of 'outputs'", fetch_params, NULL, &keys));
    MBR_TRY(mbr_node_name(r, keys.name, "an output's name", &col.name));
    int twin = mbr_scope_find(c->scope, col.name, strlen(col.name));
    if (twin >= 0)
        return mbr_node_fail(r, keys.name, "there is a column '%s' already, from line %d", col.name,
                             c->scope->cols[twin].line);
    fetch->name = keys.output.data;
    fetch->port = mbr_model_find_output(p->model, fetch->name);
    if (fetch->port < 0) {
        char names[300];
        list_ports(p->model, false, names, sizeof names);
        return mbr_node_refuse(r, n, MBR_ERR_INPUT, "the model has no output '%s'; it has %s", fetch->name, names);
    }
    MBR_TRY(mbr_model_output(p->model, fetch->port, &port, r->err));
    MBR_TRY(keys.tensor == FETCH_VALUES ? fetch_values(r, n, &keys, &port, fetch, &col)
                                        : fetch_cells(p, r, n, &port, keys.tensor == FETCH_WHOLE, fetch, &col));
    mbr_status st = mbr_scope_add(c->scope, &col, &fetch->col, r->err);
    return st == MBR_OK ? MBR_OK : mbr_fail_at(r->err, st, "%s:%d: ", r->file, n->line);
}

mbr_status mbr_pipeline_read_fetches(mbr_pipeline *p, const mbr_compiling *c, const mbr_node *n)
{
    const mbr_reading *r = &c->read;
    MBR_TRY(mbr_node_expect(r, n, MBR_NODE_LIST, "'outputs'"));
    if (!n->count || n->count > MBR_MAX_COLUMNS)
        return mbr_node_fail(r, n, "'outputs' must have 1 to %d entries", MBR_MAX_COLUMNS);
    p->fetches = mbr_arena_calloc(r->arena, n->count, sizeof *p->fetches);
    if (!p->fetches)
        return mbr_no_memory(r->err, n->count * sizeof *p->fetches);
    for (; (size_t)p->fetch_count < n->count; p->fetch_count++)
        MBR_TRY(read_fetch(p, c, n->items[p->fetch_count], &p->fetches[p->fetch_count]));
    return MBR_OK;
}
