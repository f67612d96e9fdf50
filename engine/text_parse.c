/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Parsing of the IR's text form: recursive descent over the bytes, with capped depth. Operators and captures go through
 * the builder, so what it refuses is refused here, with line and column in front.
 */
#include "base/checked.h"
#include "base/half.h"
#include "engine/ops/op.h"
#include "engine/text.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST_GRAPHS 64 /* nested in each other */
#define MOST_PARENTHESES 64
#define MOST_TYPES 16

typedef struct parser {
    const char *text, *at, *end;
    mbr_memory *memory;
    mbr_ir_module *m;
    mbr_arena scratch; /* lists on their way into the module */
    mbr_error *err;
} parser;

/* A list that grows in the scratch arena. */
typedef struct list {
    void *items;
    size_t n, room;
} list;

/* --- messages --- */

static void position(const parser *p, unsigned *line, unsigned *column)
{
    const char *begin = p->text;
    *line = 1;
    for (const char *c = p->text; c < p->at && c < p->end; c++)
        if (*c == '\n') {
            ++*line;
            begin = c + 1;
        }
    *column = (unsigned)(p->at - begin) + 1;
}

MBR_PRINTF(2, 3) static mbr_status wrong(parser *p, const char *fmt, ...)
{
    unsigned line, column;
    va_list args;
    va_start(args, fmt);
    mbr_vfail(p->err, MBR_ERR_FORMAT, fmt, args);
    va_end(args);
    position(p, &line, &column);
    return mbr_fail_at(p->err, MBR_ERR_FORMAT, "line %u, column %u: ", line, column);
}

/* Puts the place before what the builder complained about. */
static mbr_status here(parser *p, mbr_status st)
{
    unsigned line, column;
    if (st == MBR_OK || st == MBR_ERR_NO_MEMORY)
        return st;
    position(p, &line, &column);
    return mbr_fail_at(p->err, st, "line %u, column %u: ", line, column);
}

static mbr_status add(parser *p, list *l, const void *item, size_t size)
{
    if (l->n == l->room) {
        size_t room = l->room ? l->room * 2 : 8, bytes;
        void *items = mbr_mul_size(room, size, &bytes) ? mbr_arena_alloc(&p->scratch, bytes) : NULL;
        if (!items)
            return mbr_no_memory(p->err, room);
        if (l->n)
            memcpy(items, l->items, l->n * size);
        l->items = items;
        l->room = room;
    }
    memcpy((char *)l->items + l->n++ * size, item, size);
    return MBR_OK;
}

/* --- tokens --- */

static void skip(parser *p)
{
    while (p->at < p->end) {
        if (*p->at == '#') /* to the end of the line */
            while (p->at < p->end && *p->at != '\n')
                p->at++;
        else if (*p->at == ' ' || *p->at == '\n' || *p->at == '\t' || *p->at == '\r')
            p->at++;
        else
            break;
    }
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Takes the mark if it comes next; one that ends in a letter must end there. */
static bool take(parser *p, const char *mark)
{
    size_t n = strlen(mark);
    skip(p);
    if ((size_t)(p->end - p->at) < n || memcmp(p->at, mark, n) != 0)
        return false;
    if (is_word(mark[n - 1]) && p->at + n < p->end && is_word(p->at[n]))
        return false;
    p->at += n;
    return true;
}

static mbr_status need(parser *p, const char *mark)
{
    return take(p, mark) ? MBR_OK : wrong(p, "'%s' is due", mark);
}

static bool next_is(parser *p, char c)
{
    skip(p);
    return p->at < p->end && *p->at == c;
}

/* Copies the bytes that `part` accepts, as text in the module's arena. */
static mbr_status word(parser *p, bool (*part)(const parser *p), const char *what, const char **out)
{
    skip(p);
    const char *begin = p->at;
    while (p->at < p->end && part(p))
        p->at++;
    if (p->at == begin)
        return wrong(p, "%s is due", what);
    *out = mbr_arena_strndup(&p->m->arena, begin, (size_t)(p->at - begin));
    return *out ? MBR_OK : mbr_no_memory(p->err, (size_t)(p->at - begin));
}

static bool part_of_word(const parser *p)
{
    return is_word(*p->at);
}

/* Operators, domains and symbols have dots and the like as well. */
static bool part_of_name(const parser *p)
{
    char c = *p->at;
    return is_word(c) || c == '.' || c == '/' || c == '-';
}

/* A colon belongs to a value's name unless a blank follows it. */
static bool part_of_value(const parser *p)
{
    char c = *p->at;
    return part_of_name(p) || c == '%' || (c == ':' && p->at + 1 < p->end && p->at[1] != ' ');
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static mbr_status quoted(parser *p, const char **out, size_t *size)
{
    MBR_TRY(need(p, "\""));
    const char *close = p->at;
    while (close < p->end && *close != '"')
        close += 1 + (*close == '\\');
    if (close >= p->end)
        return wrong(p, "a text without a closing quote");
    char *text = mbr_arena_alloc(&p->m->arena, (size_t)(close - p->at) + 1);
    size_t n = 0;
    if (!text)
        return mbr_no_memory(p->err, (size_t)(close - p->at));
    for (; p->at < close; p->at++) {
        char c = *p->at;
        if (c == '\\' && p->at[1] == 'x') {
            int high = close - p->at > 3 ? hex_digit(p->at[2]) : -1, low = high >= 0 ? hex_digit(p->at[3]) : -1;
            if (low < 0)
                return wrong(p, "two hexadecimal digits are due after \\x");
            c = (char)(high * 16 + low);
            p->at += 3;
        } else if (c == '\\') {
            c = *++p->at;
        }
        text[n++] = c;
    }
    text[n] = '\0';
    p->at++;
    *out = text;
    if (size)
        *size = n;
    else if (strlen(text) != n)
        return wrong(p, "a name with a zero byte");
    return MBR_OK;
}

/* The bytes of a number, terminated. */
static mbr_status digits(parser *p, char *copy, size_t room)
{
    skip(p);
    size_t n = 0;
    while (p->at + n < p->end && n + 1 < room && (is_word(p->at[n]) || p->at[n] == '.' || p->at[n] == '+' || p->at[n] == '-'))
        n++;
    memcpy(copy, p->at, n);
    copy[n] = '\0';
    return n ? MBR_OK : wrong(p, "a number is due");
}

static mbr_status integer(parser *p, int64_t *v)
{
    char copy[64], *stop;
    MBR_TRY(digits(p, copy, sizeof copy));
    errno = 0;
    *v = copy[0] == '-' ? strtoll(copy, &stop, 10) : (int64_t)strtoull(copy, &stop, 10);
    if (*stop || errno)
        return wrong(p, "'%s' is no whole number", copy);
    p->at += strlen(copy);
    return MBR_OK;
}

static mbr_status real(parser *p, double *v)
{
    char copy[64], *stop;
    MBR_TRY(digits(p, copy, sizeof copy));
    *v = strtod(copy, &stop);
    if (*stop)
        return wrong(p, "'%s' is no number", copy);
    p->at += strlen(copy);
    return MBR_OK;
}

/* --- types --- */

static mbr_status dim(parser *p, int depth, mbr_dim *out)
{
    static const struct {
        const char *mark;
        mbr_dim_op op;
    } ops[] = {
        { "+", MBR_DIM_ADD }, { "-", MBR_DIM_SUB },   { "*", MBR_DIM_MUL },   { "/", MBR_DIM_FLOOR_DIV },
        { "%", MBR_DIM_MOD }, { "min", MBR_DIM_MIN }, { "max", MBR_DIM_MAX }, { "bc", MBR_DIM_BROADCAST },
    };
    const char *name;
    mbr_dim b;
    if (depth > MOST_PARENTHESES)
        return wrong(p, "more than %d parentheses in each other", MOST_PARENTHESES);
    if (take(p, "(")) {
        MBR_TRY(dim(p, depth + 1, out));
        size_t i = 0;
        while (i < MBR_COUNT_OF(ops) && !take(p, ops[i].mark))
            i++;
        if (i == MBR_COUNT_OF(ops))
            return wrong(p, "an operator on sizes is due: + - * / %% min max bc");
        MBR_TRY(dim(p, depth + 1, &b));
        *out = mbr_dim_make(&p->m->dims, ops[i].op, *out, b);
        return need(p, ")");
    }
    if (take(p, "?")) {
        *out = MBR_DIM_UNKNOWN;
        return MBR_OK;
    }
    skip(p);
    if (p->at < p->end && (*p->at == '-' || (*p->at >= '0' && *p->at <= '9'))) {
        int64_t v;
        MBR_TRY(integer(p, &v));
        *out = mbr_dim_const(v);
        return MBR_OK;
    }
    if (next_is(p, '"'))
        MBR_TRY(quoted(p, &name, NULL));
    else
        MBR_TRY(word(p, part_of_name, "a size", &name));
    *out = mbr_dim_symbol(&p->m->dims, name);
    return mbr_dim_is_known(*out) ? MBR_OK : mbr_no_memory(p->err, sizeof(mbr_dim_expr));
}

static mbr_status dtype(parser *p, mbr_dtype *out)
{
    const char *name;
    MBR_TRY(word(p, part_of_word, "a type", &name));
    *out = mbr_dtype_from_name(name);
    return *out || strcmp(name, mbr_dtype_name(MBR_DTYPE_UNDEFINED)) == 0 ? MBR_OK : wrong(p, "'%s' is no element type", name);
}

/* After the dtype: [*] or [dim, ...]. dims has room for MBR_MAX_RANK. */
static mbr_status shape(parser *p, int *rank, mbr_dim *dims)
{
    MBR_TRY(need(p, "["));
    *rank = -1;
    if (take(p, "*"))
        return need(p, "]");
    *rank = 0;
    while (!take(p, "]")) {
        if (*rank == MBR_MAX_RANK)
            return wrong(p, "more than %d dimensions", MBR_MAX_RANK);
        if (*rank)
            MBR_TRY(need(p, ","));
        MBR_TRY(dim(p, 0, &dims[(*rank)++]));
    }
    return MBR_OK;
}

static mbr_status type(parser *p, int depth, mbr_ir_type *t)
{
    *t = (mbr_ir_type){ .kind = MBR_KIND_TENSOR, .rank = -1 };
    if (depth > MOST_TYPES)
        return wrong(p, "types nested more than %d deep", MOST_TYPES);
    if (take(p, "map")) {
        t->kind = MBR_KIND_MAP;
        MBR_TRY(need(p, "("));
        MBR_TRY(dtype(p, &t->key));
        MBR_TRY(need(p, ","));
        MBR_TRY(dtype(p, &t->dtype));
        return need(p, ")");
    }
    bool sequence = take(p, "seq");
    if (sequence || take(p, "opt")) {
        t->kind = sequence ? MBR_KIND_SEQUENCE : MBR_KIND_OPTIONAL;
        MBR_TRY(need(p, "("));
        const char *begin = p->at;
        if (dtype(p, &t->dtype) == MBR_OK && take(p, ")")) /* nothing but the items' dtype is known */
            return MBR_OK;
        p->at = begin;
        mbr_ir_type *item = mbr_arena_alloc(&p->m->arena, sizeof *item);
        if (!item)
            return mbr_no_memory(p->err, sizeof *item);
        MBR_TRY(type(p, depth + 1, item));
        t->item = item;
        t->dtype = item->dtype;
        return need(p, ")");
    }
    mbr_dim dims[MBR_MAX_RANK];
    MBR_TRY(dtype(p, &t->dtype));
    MBR_TRY(shape(p, &t->rank, dims));
    if (t->rank > 0) {
        t->dims = mbr_arena_copy(&p->m->arena, dims, (size_t)t->rank * sizeof *dims);
        if (!t->dims)
            return mbr_no_memory(p->err, (size_t)t->rank * sizeof *dims);
    }
    return MBR_OK;
}

/* --- constants --- */

static mbr_status element(parser *p, mbr_value *v, size_t i)
{
    double x;
    int64_t k;
    if (v->dtype == MBR_DTYPE_STRING) {
        const char *s;
        size_t n;
        MBR_TRY(quoted(p, &s, &n));
        const char *own = mbr_arena_strndup(&v->text, s, n);
        if (!own)
            return mbr_no_memory(p->err, n);
        ((mbr_string *)v->data)[i] = (mbr_string){ own, n };
        return MBR_OK;
    }
    if (v->dtype == MBR_DTYPE_COMPLEX64 || v->dtype == MBR_DTYPE_COMPLEX128)
        return need(p, "?");
    if (mbr_dtype_is_float(v->dtype)) {
        MBR_TRY(real(p, &x));
        if (v->dtype == MBR_DTYPE_F32)
            ((float *)v->data)[i] = (float)x;
        else if (v->dtype == MBR_DTYPE_F64)
            ((double *)v->data)[i] = x;
        else if (mbr_dtype_size(v->dtype) == 2)
            ((uint16_t *)v->data)[i] = mbr_small_float_from_f64(v->dtype, x, false);
        else
            ((uint8_t *)v->data)[i] = (uint8_t)mbr_small_float_from_f64(v->dtype, x, false);
        return MBR_OK;
    }
    MBR_TRY(integer(p, &k));
    switch (mbr_dtype_size(v->dtype)) {
    case 1:
        ((uint8_t *)v->data)[i] = (uint8_t)k;
        break;
    case 2:
        ((uint16_t *)v->data)[i] = (uint16_t)k;
        break;
    case 4:
        ((uint32_t *)v->data)[i] = (uint32_t)k;
        break;
    default:
        ((int64_t *)v->data)[i] = k;
    }
    return MBR_OK;
}

/* dtype[dims] {elements}, or {... count}, which stands for that many zeros. */
static mbr_status elements(parser *p, mbr_value *v)
{
    size_t n = mbr_value_count(v);
    int64_t count;
    MBR_TRY(need(p, "{"));
    if (take(p, "...")) {
        MBR_TRY(integer(p, &count));
        return (size_t)count == n ? need(p, "}") : wrong(p, "%zu elements are due", n);
    }
    for (size_t i = 0; i < n; i++) {
        if (i)
            MBR_TRY(need(p, ","));
        MBR_TRY(element(p, v, i));
    }
    return need(p, "}");
}

/* The reference is the caller's. */
static mbr_status tensor(parser *p, mbr_value **out)
{
    mbr_dtype t;
    mbr_dim dims[MBR_MAX_RANK];
    int rank;
    MBR_TRY(dtype(p, &t));
    MBR_TRY(shape(p, &rank, dims));
    for (int d = 0; d < rank; d++)
        if (!mbr_dim_is_const(dims[d]))
            return wrong(p, "the sizes of a constant are numbers");
    if (rank < 0 || !t)
        return wrong(p, "a constant has a type and a shape");
    MBR_TRY(here(p, mbr_value_create_tensor(p->memory, t, rank, dims, out, p->err)));
    mbr_status st = elements(p, *out);
    if (st != MBR_OK)
        mbr_value_drop(*out);
    return st;
}

/* --- graphs --- */

static mbr_status graph(parser *p, mbr_ir_graph *outer, int depth, mbr_ir_graph **out);

static mbr_status value_name(parser *p, const char **name)
{
    MBR_TRY(need(p, "%"));
    if (p->at < p->end && *p->at == '"')
        return quoted(p, name, NULL);
    return word(p, part_of_value, "a value's name", name);
}

/* The value of that name, which must be there; NULL for _. */
static mbr_status value(parser *p, const mbr_ir_graph *g, mbr_ir_value **out)
{
    const char *name;
    *out = NULL;
    if (take(p, "_"))
        return MBR_OK;
    MBR_TRY(value_name(p, &name));
    *out = mbr_ir_find(g, name);
    return *out ? MBR_OK : wrong(p, "there is no value %%%s before this", name);
}

/* A value that is new here, with its type if one follows; NULL for _. */
static mbr_status new_value(parser *p, mbr_ir_graph *g, bool typed, mbr_ir_value **out)
{
    const char *name;
    mbr_ir_type t;
    *out = NULL;
    if (take(p, "_"))
        return MBR_OK;
    MBR_TRY(value_name(p, &name));
    MBR_TRY(here(p, mbr_ir_value_new(g, name, out, p->err)));
    if (!typed || !take(p, ":"))
        return MBR_OK;
    MBR_TRY(type(p, 0, &t));
    return here(p, mbr_ir_set_type(*out, &t, p->err));
}

/* The elements of an attribute of several; "... n" ends it and stands for zeros up to n. */
static mbr_status attr_array(parser *p, mbr_attr_kind kind, mbr_ir_attr *a)
{
    list l = { 0 };
    int64_t total = -1, i;
    double x;
    size_t size = kind == MBR_ATTR_FLOATS ? sizeof(float) : kind == MBR_ATTR_INTS ? sizeof(int64_t) : sizeof(mbr_string);
    while (!take(p, "]")) {
        mbr_string s = { "", 0 };
        float f;
        if (l.n)
            MBR_TRY(need(p, ","));
        if (take(p, "...")) {
            MBR_TRY(integer(p, &total));
            MBR_TRY(need(p, "]"));
            break;
        }
        if (kind == MBR_ATTR_FLOATS) {
            MBR_TRY(real(p, &x));
            f = (float)x;
            MBR_TRY(add(p, &l, &f, size));
        } else if (kind == MBR_ATTR_INTS) {
            MBR_TRY(integer(p, &i));
            MBR_TRY(add(p, &l, &i, size));
        } else {
            MBR_TRY(quoted(p, &s.data, &s.size));
            if (take(p, "0")) /* ["" 0] is a list of no texts */
                continue;
            MBR_TRY(add(p, &l, &s, size));
        }
    }
    if (total > (int64_t)1 << 28)
        return wrong(p, "%lld elements are too many", (long long)total);
    a->kind = kind;
    a->n = total > (int64_t)l.n ? (size_t)total : l.n;
    void *items = mbr_arena_calloc(&p->m->arena, a->n + 1, size);
    if (!items)
        return mbr_no_memory(p->err, a->n * size);
    if (l.n)
        memcpy(items, l.items, l.n * size);
    for (size_t k = l.n; kind == MBR_ATTR_STRINGS && k < a->n; k++)
        ((mbr_string *)items)[k].data = "";
    a->ints = items; /* the arrays share a place */
    return MBR_OK;
}

static mbr_status attribute(parser *p, mbr_ir_node *n, int depth)
{
    mbr_ir_attr a = { .n = 1 };
    mbr_value *data;
    double x;
    MBR_TRY(word(p, part_of_name, "an attribute's name", &a.name));
    MBR_TRY(need(p, "="));
    if (take(p, "graph")) {
        p->at -= strlen("graph");
        MBR_TRY(graph(p, n->graph, depth + 1, &a.graph));
        return here(p, mbr_ir_attr_graph(n, a.name, a.graph, p->err));
    }
    if (take(p, "tensor")) {
        MBR_TRY(tensor(p, &data));
        return here(p, mbr_ir_attr_tensor(n, a.name, data, p->err));
    }
    if (take(p, "type")) {
        mbr_ir_type t;
        MBR_TRY(type(p, 0, &t));
        return here(p, mbr_ir_attr_type(n, a.name, &t, p->err));
    }
    if (take(p, "f[")) {
        MBR_TRY(attr_array(p, MBR_ATTR_FLOATS, &a));
    } else if (take(p, "[")) {
        MBR_TRY(attr_array(p, next_is(p, '"') ? MBR_ATTR_STRINGS : MBR_ATTR_INTS, &a));
    } else if (next_is(p, '"')) {
        a.kind = MBR_ATTR_STRING;
        MBR_TRY(quoted(p, &a.s.data, &a.s.size));
    } else if (next_is(p, 'f')) {
        p->at++;
        MBR_TRY(real(p, &x));
        a.kind = MBR_ATTR_FLOAT;
        a.f = (float)x;
    } else {
        a.kind = MBR_ATTR_INT;
        MBR_TRY(integer(p, &a.i));
    }
    return here(p, mbr_ir_attr_add(n, &a, p->err));
}

/* domain.Name@since; the domain has dots, the name has none. */
static mbr_status op_name(parser *p, const char **domain, const char **name, int *since)
{
    const char *whole;
    int64_t v;
    MBR_TRY(word(p, part_of_name, "an operator", &whole));
    char *dot = strrchr(whole, '.');
    if (!dot)
        return wrong(p, "'%s' is no operator; DOMAIN.NAME@VERSION is due", whole);
    *dot = '\0';
    *name = dot + 1;
    *domain = strcmp(whole, "ai.onnx") == 0 ? "" : whole;
    MBR_TRY(need(p, "@"));
    MBR_TRY(integer(p, &v));
    if (v < 1 || v > INT32_MAX)
        return wrong(p, "version %lld of an operator", (long long)v);
    *since = (int)v;
    return MBR_OK;
}

static mbr_status node(parser *p, mbr_ir_graph *g, int depth)
{
    list outputs = { 0 }, inputs = { 0 };
    mbr_ir_value *v;
    const char *domain = NULL, *op = NULL, *name = NULL;
    mbr_ir_node *n;
    int since = 0;
    if (next_is(p, '%') || next_is(p, '_')) {
        do {
            MBR_TRY(new_value(p, g, true, &v));
            MBR_TRY(add(p, &outputs, &v, sizeof v));
        } while (take(p, ","));
        MBR_TRY(need(p, "="));
    }
    MBR_TRY(op_name(p, &domain, &op, &since));
    MBR_TRY(need(p, "("));
    while (!take(p, ")")) {
        if (inputs.n)
            MBR_TRY(need(p, ","));
        MBR_TRY(value(p, g, &v));
        MBR_TRY(add(p, &inputs, &v, sizeof v));
    }
    /* the version that the module imports, where it means the same */
    int opset = mbr_ir_opset(p->m, domain);
    const mbr_op *row = opset ? mbr_op_find(domain, op, opset) : NULL;
    if (!row || row->since != since)
        opset = since;
    MBR_TRY(here(p, mbr_ir_node_new(g, NULL, domain, op, opset, NULL, inputs.items, inputs.n,
                                    outputs.items, outputs.n, &n, p->err)));
    if (take(p, "{"))
        do
            MBR_TRY(attribute(p, n, depth));
        while (take(p, ","));
    if (n->n_attrs)
        MBR_TRY(need(p, "}"));
    if (next_is(p, '"')) {
        MBR_TRY(quoted(p, &name, NULL));
        n->name = n->origin = name;
    }
    return MBR_OK;
}

static mbr_status constant(parser *p, mbr_ir_graph *g, bool is_default)
{
    mbr_ir_value *v;
    mbr_value *data;
    if (is_default) {
        MBR_TRY(value(p, g, &v));
        if (!v || !v->is_input)
            return wrong(p, "only an input has a default");
    } else {
        MBR_TRY(new_value(p, g, false, &v));
    }
    MBR_TRY(need(p, "="));
    if (!v)
        return wrong(p, "a constant needs a name");
    MBR_TRY(tensor(p, &data));
    mbr_ir_type declared = v->type;
    MBR_TRY(here(p, mbr_ir_set_constant(v, data, p->err)));
    v->has_default = is_default;
    return is_default ? here(p, mbr_ir_set_type(v, &declared, p->err)) : MBR_OK;
}

static mbr_status capture(parser *p, mbr_ir_graph *g, mbr_ir_graph *outer)
{
    const char *name;
    mbr_ir_value *from, *v;
    if (!outer)
        return wrong(p, "the outermost graph has nothing to capture");
    MBR_TRY(value_name(p, &name));
    MBR_TRY(need(p, "="));
    MBR_TRY(value(p, outer, &from));
    if (!from)
        return wrong(p, "a capture needs a value");
    return here(p, mbr_ir_capture_as(g, from, name, &v, p->err));
}

static mbr_status header(parser *p, mbr_ir_graph *g, list *outputs)
{
    mbr_ir_value *v;
    const char *name;
    MBR_TRY(need(p, "("));
    while (!take(p, ")")) {
        if (g->n_inputs)
            MBR_TRY(need(p, ","));
        MBR_TRY(new_value(p, g, true, &v));
        if (!v)
            return wrong(p, "an input needs a name");
        MBR_TRY(here(p, mbr_ir_add_input(g, v, p->err)));
    }
    MBR_TRY(need(p, "->"));
    MBR_TRY(need(p, "("));
    while (!take(p, ")")) {
        if (outputs->n)
            MBR_TRY(need(p, ","));
        MBR_TRY(value_name(p, &name)); /* it is made further down */
        MBR_TRY(add(p, outputs, &name, sizeof name));
    }
    return need(p, "{");
}

static mbr_status graph(parser *p, mbr_ir_graph *outer, int depth, mbr_ir_graph **out)
{
    list outputs = { 0 };
    const char *name;
    mbr_ir_graph *g;
    if (depth > MOST_GRAPHS)
        return wrong(p, "graphs nested more than %d deep", MOST_GRAPHS);
    MBR_TRY(need(p, "graph"));
    if (next_is(p, '"'))
        MBR_TRY(quoted(p, &name, NULL));
    else
        MBR_TRY(word(p, part_of_name, "the graph's name", &name));
    MBR_TRY(here(p, mbr_ir_graph_new(p->m, name, &g, p->err)));
    uint32_t scope = p->m->dims.scope;
    if (outer)
        g->scope = p->m->next_scope++;
    p->m->dims.scope = g->scope;
    MBR_TRY(header(p, g, &outputs));
    while (!take(p, "}")) {
        if (take(p, "const"))
            MBR_TRY(constant(p, g, false));
        else if (take(p, "default"))
            MBR_TRY(constant(p, g, true));
        else if (take(p, "capture"))
            MBR_TRY(capture(p, g, outer));
        else
            MBR_TRY(node(p, g, depth));
    }
    p->m->dims.scope = scope;
    for (size_t i = 0; i < outputs.n; i++) {
        const char *wanted = ((const char **)outputs.items)[i];
        mbr_ir_value *v = mbr_ir_find(g, wanted);
        if (!v)
            return wrong(p, "the graph gives %%%s, which nothing in it makes", wanted);
        MBR_TRY(here(p, mbr_ir_add_output(g, v, p->err)));
    }
    *out = g;
    return MBR_OK;
}

static mbr_status module(parser *p)
{
    const char *domain;
    mbr_ir_graph *g;
    int64_t v;
    MBR_TRY(need(p, "module"));
    MBR_TRY(quoted(p, &p->m->file, NULL));
    if (take(p, "ir")) {
        MBR_TRY(integer(p, &v));
        p->m->ir_version = v > 0 && v < INT32_MAX ? (int)v : 0;
    }
    while (take(p, "opset")) {
        MBR_TRY(word(p, part_of_name, "a domain", &domain));
        MBR_TRY(integer(p, &v));
        if (v < 1 || v > INT32_MAX)
            return wrong(p, "version %lld of a domain", (long long)v);
        MBR_TRY(mbr_ir_add_opset(p->m, domain, (int)v, p->err));
    }
    MBR_TRY(graph(p, NULL, 0, &g));
    skip(p);
    return p->at == p->end ? MBR_OK : wrong(p, "something follows the graph");
}

mbr_status mbr_text_parse(mbr_memory *memory, const mbr_log *log, const char *text, size_t size, mbr_ir_module **out,
                          mbr_error *err)
{
    mbr_error own;
    parser p = { .text = text, .at = text, .end = text + size, .memory = memory, .err = err ? err : &own };
    *out = NULL;
    MBR_TRY(mbr_ir_module_new(memory, log, "text", &p.m, err));
    mbr_arena_init(&p.scratch, memory, 0);
    mbr_status st = module(&p);
    mbr_arena_destroy(&p.scratch);
    if (st != MBR_OK) {
        mbr_ir_module_free(p.m);
        return st;
    }
    *out = p.m;
    return MBR_OK;
}
