/* SPDX-License-Identifier: BSD-2-Clause */
/* Printing. Parsing is in text_parse.c. */
#include "engine/text.h"
#include "engine/coded.h"
#include "engine/ops/op.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Constants with more elements are shown by their size alone. */
#define MOST_PRINTED 64

typedef struct printer {
    const mbr_ir_module *m;
    mbr_write_fn write;
    void *user;
    mbr_status st;
    int indent;
    size_t used;
    char buffer[4096];
} printer;

static void flush(printer *p)
{
    if (p->used && p->st == MBR_OK)
        p->st = p->write(p->user, p->buffer, p->used);
    p->used = 0;
}

static void put(printer *p, const char *s, size_t n)
{
    while (n) {
        size_t room = sizeof p->buffer - p->used, k = n < room ? n : room;
        memcpy(p->buffer + p->used, s, k);
        p->used += k;
        s += k;
        n -= k;
        if (p->used == sizeof p->buffer)
            flush(p);
    }
}

static void puts_(printer *p, const char *s)
{
    put(p, s, strlen(s));
}

MBR_PRINTF(2, 3) static void putf(printer *p, const char *fmt, ...)
{
    char text[256];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (n > 0)
        put(p, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
}

static void put_quoted(printer *p, const char *s, size_t n)
{
    put(p, "\"", 1);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '"' || c == '\\')
            putf(p, "\\%c", c);
        else if (c < 0x20 || c == 0x7F)
            putf(p, "\\x%02x", c);
        else
            put(p, s + i, 1);
    }
    put(p, "\"", 1);
}

/* %name where the name is plain, %"name" where it is not. */
static void put_value(printer *p, const mbr_ir_value *v)
{
    if (!v) {
        put(p, "_", 1);
        return;
    }
    put(p, "%", 1);
    bool plain = true;
    for (const char *c = v->name; *c && plain; c++)
        plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || *c == '_' ||
                *c == '.' || *c == '/' || *c == ':' || *c == '%' || *c == '-';
    size_t n = strlen(v->name);
    if (plain && n && v->name[n - 1] != ':') /* a colon at the end would be taken for the one before a type */
        puts_(p, v->name);
    else
        put_quoted(p, v->name, n);
}

static void put_type(printer *p, const mbr_ir_type *t, int depth)
{
    char dim[1024];
    if (depth > 16)
        return;
    switch (t->kind) {
    case MBR_KIND_TENSOR:
        puts_(p, mbr_dtype_name(t->dtype));
        if (t->rank < 0) {
            puts_(p, "[*]");
            return;
        }
        put(p, "[", 1);
        for (int d = 0; d < t->rank; d++) {
            int n = mbr_dim_print(&p->m->dims, t->dims[d], dim, sizeof dim);
            if (d)
                put(p, ", ", 2);
            puts_(p, n < (int)sizeof dim ? dim : "?"); /* nobody reads that, and half of it would say nothing */
        }
        put(p, "]", 1);
        return;
    case MBR_KIND_MAP:
        putf(p, "map(%s, %s)", mbr_dtype_name(t->key), mbr_dtype_name(t->dtype));
        return;
    case MBR_KIND_SEQUENCE:
    case MBR_KIND_OPTIONAL:
        puts_(p, t->kind == MBR_KIND_SEQUENCE ? "seq(" : "opt(");
        if (t->item)
            put_type(p, t->item, depth + 1);
        else
            puts_(p, mbr_dtype_name(t->dtype));
        put(p, ")", 1);
        return;
    }
}

/* The shortest decimal that reads back as the same float. */
static void put_float(printer *p, double x, bool single)
{
    char text[40];
    if (isnan(x) || isinf(x)) {
        puts_(p, isnan(x) ? "nan" : x < 0 ? "-inf" : "inf");
        return;
    }
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        double back = 0;
        sscanf(text, "%lf", &back);
        if (single ? (float)back == (float)x : back == x)
            break;
    }
    puts_(p, text);
}

static void put_data(printer *p, const mbr_value *v)
{
    if (v->kind != MBR_KIND_TENSOR) {
        puts_(p, "{...}");
        return;
    }
    size_t n = mbr_value_count(v);
    if (n > MOST_PRINTED) {
        putf(p, "{... %zu}", n);
        return;
    }
    put(p, "{", 1);
    for (size_t i = 0; i < n; i++) {
        if (i)
            put(p, ", ", 2);
        if (v->dtype == MBR_DTYPE_STRING)
            put_quoted(p, ((const mbr_string *)v->data)[i].data, ((const mbr_string *)v->data)[i].size);
        else if (mbr_dtype_is_float(v->dtype))
            put_float(p, mbr_value_real(v, i), v->dtype != MBR_DTYPE_F64);
        else if (v->dtype == MBR_DTYPE_COMPLEX64 || v->dtype == MBR_DTYPE_COMPLEX128)
            puts_(p, "?");
        else if (v->dtype == MBR_DTYPE_U64)
            putf(p, "%llu", (unsigned long long)((const uint64_t *)v->data)[i]);
        else
            putf(p, "%lld", (long long)mbr_value_int(v, i));
    }
    put(p, "}", 1);
}

static void put_tensor(printer *p, const mbr_value *v)
{
    puts_(p, mbr_dtype_name(v->dtype));
    put(p, "[", 1);
    for (int d = 0; d < v->rank; d++)
        putf(p, "%s%lld", d ? ", " : "", (long long)v->dims[d]);
    put(p, "] ", 2);
    put_data(p, v);
}

static void put_line(printer *p)
{
    put(p, "\n", 1);
    for (int i = 0; i < p->indent; i++)
        put(p, "  ", 2);
}

static void put_graph(printer *p, const mbr_ir_graph *g, int depth);

static void put_coded(printer *p, const mbr_coded *array, mbr_coded_cursor *c)
{
    if (array->code == MBR_CODE_INTS) {
        putf(p, "%lld", (long long)mbr_coded_int(c));
    } else if (array->code == MBR_CODE_FLOATS) {
        put_float(p, mbr_coded_float(c), true);
    } else {
        size_t size;
        const char *text = mbr_coded_string(c, &size);
        put_quoted(p, text, size);
    }
}

static void put_attr(printer *p, const mbr_ir_attr *a, int depth)
{
    putf(p, "%.200s = ", a->name);
    switch (a->kind) {
    case MBR_ATTR_INT:
        putf(p, "%lld", (long long)a->i);
        break;
    case MBR_ATTR_FLOAT:
        puts_(p, "f");
        put_float(p, a->f, true);
        break;
    case MBR_ATTR_STRING:
        put_quoted(p, a->s.data, a->s.size);
        break;
    case MBR_ATTR_TENSOR:
        puts_(p, "tensor ");
        put_tensor(p, a->tensor);
        break;
    case MBR_ATTR_GRAPH:
        put_graph(p, a->graph, depth + 1);
        break;
    case MBR_ATTR_TYPE:
        puts_(p, "type ");
        put_type(p, a->type, 0);
        break;
    case MBR_ATTR_INTS:
    case MBR_ATTR_CODED:
    case MBR_ATTR_FLOATS:
    case MBR_ATTR_STRINGS: {
        mbr_coded_cursor coded = { 0 };
        bool floats = a->kind == MBR_ATTR_FLOATS;
        if (a->kind == MBR_ATTR_CODED) {
            coded = mbr_coded_begin(a->coded);
            floats = a->coded->code == MBR_CODE_FLOATS;
        }
        puts_(p, floats ? "f[" : "[");
        if (a->kind == MBR_ATTR_STRINGS && a->n == 0)
            puts_(p, "\"\" 0");
        for (size_t i = 0; i < a->n; i++) {
            if (i >= MOST_PRINTED) {
                putf(p, ", ... %zu", a->n);
                break;
            }
            if (i)
                put(p, ", ", 2);
            if (a->kind == MBR_ATTR_INTS)
                putf(p, "%lld", (long long)a->ints[i]);
            else if (a->kind == MBR_ATTR_CODED)
                put_coded(p, a->coded, &coded);
            else if (a->kind == MBR_ATTR_FLOATS)
                put_float(p, a->floats[i], true);
            else
                put_quoted(p, a->strings[i].data, a->strings[i].size);
        }
        put(p, "]", 1);
        break;
    }
    case MBR_ATTR_TENSORS:
    case MBR_ATTR_GRAPHS:
        putf(p, "{... %zu}", a->n);
        break;
    }
}

static void put_node(printer *p, const mbr_ir_node *n, int depth)
{
    bool any = false;
    put_line(p);
    for (uint32_t i = 0; i < n->n_outputs; i++) {
        if (i)
            put(p, ", ", 2);
        put_value(p, n->outputs[i]);
        if (n->outputs[i] && (n->outputs[i]->type.dtype || n->outputs[i]->type.kind != MBR_KIND_TENSOR)) {
            put(p, ": ", 2);
            put_type(p, &n->outputs[i]->type, 0);
        }
    }
    putf(p, "%s%s.%s@%d(", n->n_outputs ? " = " : "", *n->op->domain ? n->op->domain : "ai.onnx", n->op->name,
         n->op->since);
    for (uint32_t i = 0; i < n->n_formal; i++) {
        if (i)
            put(p, ", ", 2);
        put_value(p, n->inputs[i]);
    }
    put(p, ")", 1);
    for (uint32_t i = 0; i < n->n_attrs; i++) {
        puts_(p, any ? ", " : " {");
        put_attr(p, &n->attrs[i], depth);
        any = true;
    }
    if (any)
        put(p, "}", 1);
    if (*n->name) {
        put(p, " ", 1);
        put_quoted(p, n->name, strlen(n->name));
    }
}

static void put_graph(printer *p, const mbr_ir_graph *g, int depth)
{
    if (depth > 64) {
        puts_(p, "graph ...");
        return;
    }
    puts_(p, "graph ");
    put_quoted(p, g->name, strlen(g->name));
    put(p, "(", 1);
    for (size_t i = 0; i < g->n_inputs; i++) {
        if (i)
            put(p, ", ", 2);
        put_value(p, g->inputs[i]);
        put(p, ": ", 2);
        put_type(p, &g->inputs[i]->type, 0);
    }
    puts_(p, ") -> (");
    for (size_t i = 0; i < g->n_outputs; i++) {
        if (i)
            put(p, ", ", 2);
        put_value(p, g->outputs[i]);
    }
    puts_(p, ") {");
    p->indent++;
    for (size_t i = 0; i < g->n_captures; i++) {
        put_line(p);
        puts_(p, "capture ");
        put_value(p, g->captures[i]);
        puts_(p, " = ");
        put_value(p, g->owner->inputs[g->capture_slots[i]]);
    }
    for (size_t i = 0; i < g->n_values; i++) {
        const mbr_ir_value *v = g->values[i];
        if (!v->constant || v->is_capture || (!v->uses && !v->is_input))
            continue;
        put_line(p);
        puts_(p, v->has_default ? "default " : "const ");
        put_value(p, v);
        puts_(p, " = ");
        put_tensor(p, v->constant);
    }
    for (const mbr_ir_node *n = g->first; n; n = n->next)
        put_node(p, n, depth);
    p->indent--;
    put_line(p);
    put(p, "}", 1);
}

mbr_status mbr_text_print(const mbr_ir_module *m, mbr_write_fn write, void *user, mbr_error *err)
{
    printer p = { .m = m, .write = write, .user = user };
    puts_(&p, "module ");
    put_quoted(&p, m->file, strlen(m->file));
    putf(&p, " ir %d", m->ir_version);
    for (size_t i = 0; i < m->n_opsets; i++)
        putf(&p, " opset %s %d", *m->opsets[i].domain ? m->opsets[i].domain : "ai.onnx", m->opsets[i].version);
    put_line(&p);
    put_graph(&p, m->main, 0);
    put_line(&p);
    flush(&p);
    return p.st == MBR_OK ? MBR_OK : mbr_fail(err, p.st, "the text of the IR could not be written");
}
