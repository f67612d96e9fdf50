/* SPDX-License-Identifier: BSD-2-Clause */
/* Writes protobuf's wire format, sound or not, for tests of the ONNX importer. */
#ifndef MBR_TESTS_ONNX_WRITER_H
#define MBR_TESTS_ONNX_WRITER_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct wire {
    uint8_t *data;
    size_t size, room;
} wire;

static inline void wire_raw(wire *w, const void *bytes, size_t n)
{
    if (w->size + n > w->room) {
        w->room = 2 * w->room + n + 64;
        w->data = realloc(w->data, w->room);
        if (!w->data)
            abort();
    }
    if (n)
        memcpy(w->data + w->size, bytes, n);
    w->size += n;
}

static inline void wire_varint(wire *w, uint64_t v)
{
    uint8_t b;
    for (; v >= 0x80; v >>= 7) {
        b = (uint8_t)(v | 0x80);
        wire_raw(w, &b, 1);
    }
    b = (uint8_t)v;
    wire_raw(w, &b, 1);
}

static inline void wire_tag(wire *w, unsigned field, unsigned type)
{
    wire_varint(w, (uint64_t)field << 3 | type);
}

static inline void wire_int(wire *w, unsigned field, int64_t v)
{
    wire_tag(w, field, 0);
    wire_varint(w, (uint64_t)v);
}

static inline void wire_float(wire *w, unsigned field, float v)
{
    wire_tag(w, field, 5);
    wire_raw(w, &v, 4);
}

static inline void wire_double(wire *w, unsigned field, double v)
{
    wire_tag(w, field, 1);
    wire_raw(w, &v, 8);
}

static inline void wire_bytes(wire *w, unsigned field, const void *bytes, size_t n)
{
    wire_tag(w, field, 2);
    wire_varint(w, n);
    wire_raw(w, bytes, n);
}

static inline void wire_text(wire *w, unsigned field, const char *s)
{
    wire_bytes(w, field, s, strlen(s));
}

static inline void wire_free(wire *w)
{
    free(w->data);
    *w = (wire){ 0 };
}

/* Appends a message and frees it. */
static inline void wire_message(wire *w, unsigned field, wire *inner)
{
    wire_bytes(w, field, inner->data, inner->size);
    wire_free(inner);
}

/* --- ONNX messages --- */

/* A value_info of a tensor; dims end with -2; -1 is the free axis "N", -3 "S", -4 "T". */
static inline wire wire_value_info(const char *name, int dtype, const int64_t *dims)
{
    wire shape = { 0 }, tensor = { 0 }, type = { 0 }, info = { 0 };
    for (; *dims != -2; dims++) {
        wire dim = { 0 };
        if (*dims == -1 || *dims == -3 || *dims == -4)
            wire_text(&dim, 2, *dims == -1 ? "N" : *dims == -3 ? "S" : "T");
        else
            wire_int(&dim, 1, *dims);
        wire_message(&shape, 1, &dim);
    }
    wire_int(&tensor, 1, dtype);
    wire_message(&tensor, 2, &shape);
    wire_message(&type, 1, &tensor);
    wire_text(&info, 1, name);
    wire_message(&info, 2, &type);
    return info;
}

/* Names are separated by blanks. */
static inline void wire_names(wire *w, unsigned field, const char *names)
{
    while (*names) {
        size_t n = strcspn(names, " ");
        wire_bytes(w, field, names, n);
        names += n + (names[n] == ' ');
    }
}

static inline wire wire_node(const char *name, const char *domain, const char *op, const char *inputs,
                             const char *outputs)
{
    wire n = { 0 };
    wire_names(&n, 1, inputs);
    wire_names(&n, 2, outputs);
    wire_text(&n, 3, name);
    wire_text(&n, 4, op);
    if (domain[0])
        wire_text(&n, 7, domain);
    return n;
}

static inline void wire_add_node(wire *graph, const char *name, const char *op, const char *inputs,
                                 const char *outputs)
{
    wire n = wire_node(name, "", op, inputs, outputs);
    wire_message(graph, 1, &n);
}

/* A TensorProto without data; dims end with -2. */
static inline wire wire_tensor(const char *name, int dtype, const int64_t *dims)
{
    wire t = { 0 };
    for (; *dims != -2; dims++)
        wire_int(&t, 1, *dims);
    wire_int(&t, 2, dtype);
    wire_text(&t, 8, name);
    return t;
}

static inline void wire_opset(wire *model, const char *domain, int64_t version)
{
    wire o = { 0 };
    if (domain[0])
        wire_text(&o, 1, domain);
    wire_int(&o, 2, version);
    wire_message(model, 8, &o);
}

/* Takes over the graph. */
static inline wire wire_model(int ir, int opset, wire *graph)
{
    wire m = { 0 };
    wire_int(&m, 1, ir);
    wire_text(&m, 2, "test");
    wire_message(&m, 7, graph);
    wire_opset(&m, "", opset);
    return m;
}

#endif
