/* SPDX-License-Identifier: BSD-2-Clause */
#include "importers/onnx/tensor_pb.h"
#include "importers/onnx/onnx_tensor.h"

#include <assert.h>
#include <string.h>

/* SequenceProto.elem_type and OptionalProto.elem_type. */
enum { ELEM_NONE = 0, ELEM_TENSOR, ELEM_SPARSE, ELEM_SEQUENCE, ELEM_MAP, ELEM_OPTIONAL };
enum { MAP_KEYS = 3, MAP_STRING_KEYS = 4 };

/* --- parsing: the pre-scan has bounded the depth of all recursion --- */

static mbr_status sequence(const mbr_onnx_reader *r, const Mbr__Onnx__SequenceProto *p, mbr_value **out,
                           mbr_error *err);
static mbr_status optional(const mbr_onnx_reader *r, const Mbr__Onnx__OptionalProto *p, mbr_value **out,
                           mbr_error *err);

/* Puts an item into a container; drops the caller's reference. The first tensor decides the container's dtype. */
static mbr_status push(mbr_value *container, mbr_value *item, mbr_error *err)
{
    mbr_status st = MBR_OK;
    if (item->kind == MBR_KIND_TENSOR) {
        if (container->dtype == MBR_DTYPE_UNDEFINED)
            container->dtype = item->dtype;
        if (container->dtype != item->dtype)
            st = mbr_fail(err, MBR_ERR_INPUT, "item %zu has the element type %s, those before it %s",
                          container->n_items, mbr_dtype_name(item->dtype), mbr_dtype_name(container->dtype));
    }
    if (st == MBR_OK)
        st = mbr_value_push(container, item, err);
    mbr_value_drop(item);
    return st;
}

/* The values of a map are tensors of one element each; they become one tensor. */
static mbr_status flatten(const mbr_onnx_reader *r, const mbr_value *values, size_t n, mbr_value **out, mbr_error *err)
{
    mbr_dtype dtype = values->dtype;
    size_t size = mbr_dtype_size(dtype);
    int64_t dims = (int64_t)n;
    if (values->n_items != n)
        return mbr_fail(err, MBR_ERR_INPUT, "a map has %zu keys and %zu values", n, values->n_items);
    mbr_value *v;
    MBR_TRY(mbr_value_create_tensor(r->memory, n ? dtype : MBR_DTYPE_F32, 1, &dims, &v, err));
    for (size_t i = 0; i < n; i++) {
        const mbr_value *item = values->items[i];
        if (item->kind != MBR_KIND_TENSOR || mbr_value_count(item) != 1) {
            mbr_value_drop(v);
            return mbr_fail(err, MBR_ERR_UNSUPPORTED, "value %zu of a map is not a single element", i);
        }
        char *to = (char *)v->data + i * size;
        memcpy(to, item->data, size);
        if (dtype == MBR_DTYPE_STRING) {
            mbr_string *s = (mbr_string *)(void *)to;
            s->data = mbr_arena_strndup(&v->text, s->data, s->size);
            if (!s->data) {
                mbr_value_drop(v);
                return mbr_no_memory(err, 0);
            }
        }
    }
    *out = v;
    return MBR_OK;
}

static bool integer_key(int32_t type)
{
    return mbr_dtype_is_int((mbr_dtype)type) && type <= MBR_DTYPE_U64;
}

/* Keys as a tensor: strings, or whatever integer type the map says, as i64 unless it is that already. */
static mbr_status keys(const mbr_onnx_reader *r, const Mbr__Onnx__MapProto *p, mbr_value **out, mbr_error *err)
{
    const mbr_onnx_spans spans = { r->scan, p->span, p->n_span };
    bool text = p->key_type == MBR_DTYPE_STRING;
    if (!text && !integer_key(p->key_type))
        return mbr_fail(err, MBR_ERR_INPUT, "a map with keys of type number %d; they are integers or strings",
                        p->key_type);
    unsigned field = text ? MAP_STRING_KEYS : MAP_KEYS;
    int64_t n = (int64_t)mbr_onnx_spans_count(&spans, field);
    mbr_value *v;
    MBR_TRY(mbr_value_create_tensor(r->memory, text ? MBR_DTYPE_STRING : MBR_DTYPE_I64, 1, &n, &v, err));
    mbr_status st = MBR_OK;
    if (text && n) {
        mbr_string *s = v->data;
        mbr_onnx_spans_strings(&spans, field, s);
        for (int64_t i = 0; i < n && st == MBR_OK; i++) {
            s[i].data = mbr_arena_strndup(&v->text, s[i].data, s[i].size);
            if (!s[i].data)
                st = mbr_no_memory(err, s[i].size);
        }
    } else if (n && !mbr_onnx_spans_i64(&spans, field, v->data))
        st = mbr_fail(err, MBR_ERR_FORMAT, "a key of a map is a broken number; the file is damaged");
    if (st != MBR_OK)
        mbr_value_drop(v);
    else
        *out = v;
    return st;
}

static mbr_status map(const mbr_onnx_reader *r, const Mbr__Onnx__MapProto *p, mbr_value **out, mbr_error *err)
{
    mbr_value *v = NULL, *k = NULL, *list = NULL, *values = NULL;
    mbr_status st;
    *out = NULL;
    MBR_TRY_GOTO(mbr_value_create(r->memory, MBR_KIND_MAP, MBR_DTYPE_UNDEFINED, &v, err), error);
    MBR_TRY_GOTO(keys(r, p, &k, err), error);
    static const Mbr__Onnx__SequenceProto none = MBR__ONNX__SEQUENCE_PROTO__INIT;
    MBR_TRY_GOTO(sequence(r, p->values ? p->values : &none, &list, err), error);
    MBR_TRY_GOTO(flatten(r, list, (size_t)k->dims[0], &values, err), error);
    v->key = k->dtype;
    v->dtype = values->dtype;
    MBR_TRY_GOTO(mbr_value_push(v, k, err), error);
    MBR_TRY_GOTO(mbr_value_push(v, values, err), error);
    *out = v;
    v = NULL;
error:
    mbr_value_drop(v);
    mbr_value_drop(k);
    mbr_value_drop(list);
    mbr_value_drop(values);
    return st;
}

static mbr_status sequence(const mbr_onnx_reader *r, const Mbr__Onnx__SequenceProto *p, mbr_value **out, mbr_error *err)
{
    mbr_value *v, *item;
    mbr_status st = MBR_OK;
    *out = NULL;
    MBR_TRY(mbr_value_create(r->memory, MBR_KIND_SEQUENCE, MBR_DTYPE_UNDEFINED, &v, err));
    for (size_t i = 0; i < p->n_tensor_values && st == MBR_OK; i++) {
        MBR_TRY_GOTO(mbr_onnx_tensor(r, p->tensor_values[i], &item, err), done);
        st = push(v, item, err);
    }
    for (size_t i = 0; i < p->n_sparse_tensor_values && st == MBR_OK; i++) {
        MBR_TRY_GOTO(mbr_onnx_sparse_tensor(r, p->sparse_tensor_values[i], &item, err), done);
        st = push(v, item, err);
    }
    for (size_t i = 0; i < p->n_sequence_values && st == MBR_OK; i++) {
        MBR_TRY_GOTO(sequence(r, p->sequence_values[i], &item, err), done);
        st = push(v, item, err);
    }
    for (size_t i = 0; i < p->n_map_values && st == MBR_OK; i++) {
        MBR_TRY_GOTO(map(r, p->map_values[i], &item, err), done);
        st = push(v, item, err);
    }
    for (size_t i = 0; i < p->n_optional_values && st == MBR_OK; i++) {
        MBR_TRY_GOTO(optional(r, p->optional_values[i], &item, err), done);
        st = push(v, item, err);
    }
done:
    if (st != MBR_OK)
        mbr_value_drop(v);
    else
        *out = v;
    return st;
}

static mbr_status optional(const mbr_onnx_reader *r, const Mbr__Onnx__OptionalProto *p, mbr_value **out, mbr_error *err)
{
    mbr_value *v, *item = NULL;
    mbr_status st = MBR_OK;
    *out = NULL;
    MBR_TRY(mbr_value_create(r->memory, MBR_KIND_OPTIONAL, MBR_DTYPE_UNDEFINED, &v, err));
    if (p->tensor_value)
        st = mbr_onnx_tensor(r, p->tensor_value, &item, err);
    else if (p->sparse_tensor_value)
        st = mbr_onnx_sparse_tensor(r, p->sparse_tensor_value, &item, err);
    else if (p->sequence_value)
        st = sequence(r, p->sequence_value, &item, err);
    else if (p->map_value)
        st = map(r, p->map_value, &item, err);
    else if (p->optional_value)
        st = optional(r, p->optional_value, &item, err);
    if (st == MBR_OK && item)
        st = push(v, item, err);
    if (st != MBR_OK)
        mbr_value_drop(v);
    else
        *out = v;
    return st;
}

static void *arena_take(void *arena, size_t bytes)
{
    return mbr_arena_alloc(arena, bytes);
}

static void arena_leave(void *arena, void *block)
{
    (void)arena;
    (void)block;
}

static mbr_status parse(const mbr_onnx_reader *r, mbr_kind kind, mbr_arena *arena, mbr_value **out, const char **name,
                        mbr_error *err)
{
    ProtobufCAllocator a = { .alloc = arena_take, .free = arena_leave, .allocator_data = arena };
    const uint8_t *data = r->scan->reduced;
    size_t size = r->scan->reduced_size;
    switch (kind) {
    case MBR_KIND_TENSOR: {
        const Mbr__Onnx__TensorProto *p = mbr__onnx__tensor_proto__unpack(&a, size, data);
        *name = p ? p->name : NULL;
        return p ? mbr_onnx_tensor(r, p, out, err) : mbr_no_memory(err, size);
    }
    case MBR_KIND_SEQUENCE: {
        const Mbr__Onnx__SequenceProto *p = mbr__onnx__sequence_proto__unpack(&a, size, data);
        *name = p ? p->name : NULL;
        return p ? sequence(r, p, out, err) : mbr_no_memory(err, size);
    }
    case MBR_KIND_OPTIONAL: {
        const Mbr__Onnx__OptionalProto *p = mbr__onnx__optional_proto__unpack(&a, size, data);
        *name = p ? p->name : NULL;
        return p ? optional(r, p, out, err) : mbr_no_memory(err, size);
    }
    case MBR_KIND_MAP: {
        const Mbr__Onnx__MapProto *p = mbr__onnx__map_proto__unpack(&a, size, data);
        *name = p ? p->name : NULL;
        return p ? map(r, p, out, err) : mbr_no_memory(err, size);
    }
    }
    return mbr_fail(err, MBR_ERR_ARGUMENT, "%d is no kind of value", (int)kind);
}

mbr_status mbr_onnx_value_parse(mbr_memory *memory, mbr_kind kind, const void *data, size_t bytes, mbr_value **out,
                                mbr_error *err)
{
    static const uint8_t roots[] = { [MBR_KIND_TENSOR] = MBR_ONNX_TENSOR, [MBR_KIND_SEQUENCE] = MBR_ONNX_SEQUENCE,
                                     [MBR_KIND_OPTIONAL] = MBR_ONNX_OPTIONAL, [MBR_KIND_MAP] = MBR_ONNX_MAP };
    mbr_onnx_scan scan;
    mbr_arena arena;
    *out = NULL;
    if ((size_t)kind >= MBR_COUNT_OF(roots))
        return mbr_fail(err, MBR_ERR_ARGUMENT, "%d is no kind of value", (int)kind);
    MBR_TRY(mbr_onnx_scan_run(&scan, memory, data, bytes, (mbr_onnx_message)roots[kind], err));
    mbr_arena_init(&arena, memory, 4096);
    const mbr_onnx_reader reader = { .memory = memory, .scan = &scan };
    const char *name = NULL;
    mbr_status st = parse(&reader, kind, &arena, out, &name, err);
    if (st == MBR_OK && name && name[0]) {
        (*out)->name = mbr_arena_strdup(&(*out)->text, name);
        if (!(*out)->name) {
            mbr_value_drop(*out);
            *out = NULL;
            st = mbr_no_memory(err, strlen(name));
        }
    }
    mbr_arena_destroy(&arena);
    mbr_onnx_scan_destroy(&scan);
    return st;
}

/* --- writing: everything is emitted twice, first into nothing, to know the lengths --- */

typedef struct writer {
    uint8_t *data; /* NULL: only the size counts */
    size_t size;
} writer;

static void put(writer *w, const void *bytes, size_t n)
{
    if (w->data && n)
        memcpy(w->data + w->size, bytes, n);
    w->size += n;
}

static void put_varint(writer *w, uint64_t v)
{
    uint8_t bytes[10];
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        bytes[n++] = (uint8_t)(v | 0x80);
    bytes[n++] = (uint8_t)v;
    put(w, bytes, n);
}

static void put_number(writer *w, unsigned field, uint64_t v)
{
    put_varint(w, field << 3);
    put_varint(w, v);
}

static void put_head(writer *w, unsigned field, size_t n)
{
    put_varint(w, field << 3 | 2);
    put_varint(w, n);
}

static void put_bytes(writer *w, unsigned field, const void *bytes, size_t n)
{
    put_head(w, field, n);
    put(w, bytes, n);
}

static void put_name(writer *w, unsigned field, const char *name)
{
    if (name && name[0])
        put_bytes(w, field, name, strlen(name));
}

static void put_packed_bits(writer *w, const mbr_value *v, size_t count, unsigned bits)
{
    const uint8_t *from = v->data;
    size_t per_byte = 8 / bits, bytes = count / per_byte + (count % per_byte != 0);
    unsigned mask = (1u << bits) - 1;
    put_head(w, MBR_ONNX_RAW_DATA, bytes);
    if (!w->data) {
        w->size += bytes;
        return;
    }
    for (size_t i = 0; i < count; i += per_byte) {
        unsigned packed = 0;
        for (size_t k = 0; k < per_byte && i + k < count; k++)
            packed |= (from[i + k] & mask) << (k * bits);
        w->data[w->size++] = (uint8_t)packed;
    }
}

/* A tensor whose shape and place may differ from those of v: `count` elements from element `first` on. */
static void emit_tensor(writer *w, const mbr_value *v, int rank, size_t first, size_t count, const char *name)
{
    for (int i = 0; i < rank; i++)
        put_number(w, 1, (uint64_t)v->dims[i]);
    put_number(w, 2, v->dtype);
    if (v->dtype == MBR_DTYPE_STRING)
        for (size_t i = 0; i < count; i++) {
            const mbr_string *s = (const mbr_string *)v->data + first + i;
            put_bytes(w, MBR_ONNX_STRING_DATA, s->data, s->size);
        }
    put_name(w, 8, name);
    if (v->dtype == MBR_DTYPE_STRING)
        return;
    unsigned bits = mbr_onnx_bits(v->dtype);
    size_t size = mbr_dtype_size(v->dtype);
    if (bits < 8 && first == 0)
        put_packed_bits(w, v, count, bits);
    else
        put_bytes(w, MBR_ONNX_RAW_DATA, v->data ? (const char *)v->data + first * size : NULL, count * size);
}

static void emit(writer *w, const mbr_value *v, const char *name);

/* A message in a field. When only sizes count, its head may follow it: so nesting costs no power of two. */
static void put_inner(writer *w, unsigned field, const mbr_value *v)
{
    writer measure = { 0 };
    if (w->data) {
        emit(&measure, v, NULL);
        put_head(w, field, measure.size);
        emit(w, v, NULL);
        return;
    }
    size_t before = w->size;
    emit(w, v, NULL);
    put_head(w, field, w->size - before);
}

/* elem_type, and the fields of SequenceProto and OptionalProto that hold such items. */
static const struct {
    uint8_t elem, field;
} containers[] = {
    [MBR_KIND_TENSOR] = { ELEM_TENSOR, 3 },
    [MBR_KIND_SEQUENCE] = { ELEM_SEQUENCE, 5 },
    [MBR_KIND_OPTIONAL] = { ELEM_OPTIONAL, 7 },
    [MBR_KIND_MAP] = { ELEM_MAP, 6 },
};

static void emit_map(writer *w, const mbr_value *v, const char *name)
{
    put_name(w, 1, name);
    if (v->n_items < 2) { /* one that no run has filled */
        put_number(w, 2, v->key);
        return;
    }
    const mbr_value *k = v->items[0], *values = v->items[1];
    size_t n = mbr_value_count(k);
    put_number(w, 2, k->dtype);
    for (size_t i = 0; i < n; i++) {
        if (k->dtype == MBR_DTYPE_STRING) {
            const mbr_string *s = (const mbr_string *)k->data + i;
            put_bytes(w, MAP_STRING_KEYS, s->data, s->size);
        } else
            put_number(w, MAP_KEYS, (uint64_t)mbr_value_int(k, i));
    }
    for (int pass = 0; pass < 2; pass++) { /* the values are a SequenceProto of scalars */
        writer measure = { 0 };
        writer *to = pass ? w : &measure;
        put_number(to, 2, ELEM_TENSOR);
        for (size_t i = 0; i < n; i++) {
            writer scalar = { 0 };
            emit_tensor(&scalar, values, 0, i, 1, NULL);
            put_head(to, 3, scalar.size);
            emit_tensor(to, values, 0, i, 1, NULL);
        }
        if (!pass)
            put_head(w, 5, measure.size);
    }
}

static void emit(writer *w, const mbr_value *v, const char *name)
{
    switch (v->kind) {
    case MBR_KIND_TENSOR:
        emit_tensor(w, v, v->rank, 0, mbr_value_count(v), name);
        return;
    case MBR_KIND_MAP:
        emit_map(w, v, name);
        return;
    case MBR_KIND_SEQUENCE:
    case MBR_KIND_OPTIONAL:
        put_name(w, 1, name);
        if (v->n_items)
            put_number(w, 2, containers[v->items[0]->kind].elem);
        else
            put_number(w, 2, v->kind == MBR_KIND_SEQUENCE ? ELEM_TENSOR : ELEM_NONE);
        for (size_t i = 0; i < v->n_items; i++)
            put_inner(w, containers[v->items[i]->kind].field, v->items[i]);
        return;
    }
}

mbr_status mbr_onnx_value_serialise(mbr_memory *memory, const mbr_value *value, const char *name, uint8_t **out,
                                    size_t *bytes, mbr_error *err)
{
    writer w = { 0 };
    *out = NULL;
    *bytes = 0;
    emit(&w, value, name);
    if (w.size > INT32_MAX)
        return mbr_fail(err, MBR_ERR_LIMIT, "value '%s' takes %zu bytes; ONNX's format ends at 2 GB a file",
                        name ? name : "", w.size);
    w.data = mbr_alloc(memory, w.size);
    if (!w.data)
        return mbr_no_memory(err, w.size);
    size_t expected = w.size;
    w.size = 0;
    emit(&w, value, name);
    assert(w.size == expected);
    (void)expected;
    *out = w.data;
    *bytes = w.size;
    return MBR_OK;
}
