/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/coded.h"
#include "engine/ops/op.h"
#include "importers/onnx/onnx_import.h"

#include <string.h>

/* AttributeProto.AttributeType, and the fields of AttributeProto that the pre-scan lifts. */
enum {
    TYPE_FLOAT = 1, TYPE_INT, TYPE_STRING, TYPE_TENSOR, TYPE_GRAPH, TYPE_FLOATS, TYPE_INTS, TYPE_STRINGS, TYPE_TENSORS,
    TYPE_GRAPHS, TYPE_SPARSE_TENSOR, TYPE_SPARSE_TENSORS, TYPE_TYPE, TYPE_TYPES
};
enum { FIELD_S = 4, FIELD_FLOATS = 7, FIELD_INTS = 8, FIELD_STRINGS = 9 };

/* Elements from which a forest's arrays stay as they lie in the file. */
#define FOREST_NUMBERS 256

/* Arrays from this size on give their pages of the file back once they are decoded. */
#define GIVE_BACK_BYTES ((size_t)1 << 16)

typedef Mbr__Onnx__AttributeProto attribute;

static const attribute *find(attribute *const *list, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(mbr_onnx_text(list[i]->name), name) == 0)
            return list[i];
    return NULL;
}

mbr_status mbr_onnx_attr_resolve(const attribute **attr, const mbr_onnx_scope **scope, mbr_error *err)
{
    /* each turn leaves one function */
    while (*attr && mbr_onnx_text((*attr)->ref_attr_name)[0]) {
        const mbr_onnx_call *call = (*scope)->call;
        const char *name = (*attr)->ref_attr_name;
        if (!call)
            return mbr_fail(err, MBR_ERR_MODEL,
                            "attribute '%s' refers to '%s' of a function, but stands in no function",
                            mbr_onnx_text((*attr)->name), name);
        *attr = find(call->node->attribute, call->node->n_attribute, name);
        *scope = call->caller;
        if (!*attr)
            *attr = find(call->function->attribute_proto, call->function->n_attribute_proto, name);
    }
    return MBR_OK;
}

static mbr_onnx_spans spans_of(const mbr_onnx_importer *m, const attribute *a)
{
    return (mbr_onnx_spans){ &m->scan, a->span, a->n_span };
}

/* IR version 1 does not say which kind of attribute it is. */
static int32_t type_of(const mbr_onnx_importer *m, const attribute *a)
{
    const mbr_onnx_spans spans = spans_of(m, a);
    if (a->has_type && a->type)
        return a->type;
    return a->has_f                                       ? TYPE_FLOAT
           : a->has_i                                     ? TYPE_INT
           : mbr_onnx_spans_has(&spans, FIELD_S)          ? TYPE_STRING
           : a->t                                         ? TYPE_TENSOR
           : a->g                                         ? TYPE_GRAPH
           : mbr_onnx_spans_has(&spans, FIELD_FLOATS)     ? TYPE_FLOATS
           : mbr_onnx_spans_has(&spans, FIELD_STRINGS)    ? TYPE_STRINGS
           : a->n_tensors                                 ? TYPE_TENSORS
           : a->n_graphs                                  ? TYPE_GRAPHS
           : a->sparse_tensor                             ? TYPE_SPARSE_TENSOR
           : a->tp                                        ? TYPE_TYPE
                                                          : TYPE_INTS;
}

static void give_back(const mbr_onnx_importer *m, const mbr_onnx_spans *spans, unsigned field)
{
    const uint8_t *from;
    size_t bytes;
    if (mbr_onnx_spans_extent(spans, field, &from, &bytes) && bytes >= GIVE_BACK_BYTES)
        mbr_onnx_source_give_back(m->reader.source, from, bytes);
}

/* Forests have tens of millions of numbers and texts, which their operators read from the file. */
static bool is_forest_array(const mbr_ir_attr *a, const mbr_ir_node *node)
{
    return a->n >= FOREST_NUMBERS && strncmp(node->op->name, "TreeEnsemble", 12) == 0 && node->op->name[12] &&
           strcmp(a->name, "nodes_hitrates") != 0 && /* which explanations read */
           (strncmp(a->name, "nodes_", 6) == 0 || strncmp(a->name, "target_", 7) == 0 ||
            strncmp(a->name, "class_", 6) == 0);
}

/* *done: where it is such an array, in one piece. */
static mbr_status forest_array(mbr_onnx_importer *m, const mbr_onnx_spans *spans, unsigned field, mbr_code code,
                               const mbr_ir_node *node, mbr_ir_attr *out, bool *done, mbr_error *err)
{
    const mbr_onnx_span *span = is_forest_array(out, node) ? mbr_onnx_spans_only(spans, field) : NULL;
    *done = span != NULL;
    if (!span)
        return MBR_OK;
    mbr_coded *coded = mbr_arena_alloc(&m->module->arena, sizeof *coded);
    if (!coded)
        return mbr_no_memory(err, sizeof *coded);
    *coded = (mbr_coded){ .data = span->data, .bytes = span->bytes, .code = code, .gap = span->form != MBR_ONNX_PACKED };
    out->kind = MBR_ATTR_CODED;
    out->coded = coded;
    return MBR_OK;
}

static mbr_status ints(mbr_onnx_importer *m, const mbr_onnx_spans *spans, const mbr_ir_node *node, mbr_ir_attr *out,
                       mbr_error *err)
{
    out->kind = MBR_ATTR_INTS;
    out->n = mbr_onnx_spans_count(spans, FIELD_INTS);
    bool done;
    MBR_TRY(forest_array(m, spans, FIELD_INTS, MBR_CODE_INTS, node, out, &done, err));
    if (done)
        return MBR_OK;
    int64_t *v = mbr_arena_alloc(&m->module->arena, (out->n + 1) * sizeof *v);
    if (!v)
        return mbr_no_memory(err, out->n * sizeof *v);
    if (!mbr_onnx_spans_i64(spans, FIELD_INTS, v))
        return mbr_fail(err, MBR_ERR_FORMAT, "it holds a broken number; the file is damaged");
    give_back(m, spans, FIELD_INTS);
    out->ints = v;
    return MBR_OK;
}

static mbr_status floats(mbr_onnx_importer *m, const mbr_onnx_spans *spans, const mbr_ir_node *node, mbr_ir_attr *out,
                         mbr_error *err)
{
    out->kind = MBR_ATTR_FLOATS;
    out->n = mbr_onnx_spans_count(spans, FIELD_FLOATS);
    bool done;
    MBR_TRY(forest_array(m, spans, FIELD_FLOATS, MBR_CODE_FLOATS, node, out, &done, err));
    if (done)
        return MBR_OK;
    float *v = mbr_arena_alloc(&m->module->arena, (out->n + 1) * sizeof *v);
    if (!v)
        return mbr_no_memory(err, out->n * sizeof *v);
    mbr_onnx_spans_fixed32(spans, FIELD_FLOATS, v);
    give_back(m, spans, FIELD_FLOATS);
    out->floats = v;
    return MBR_OK;
}

/* The text stays in the file, which lives as long as the module. */
static mbr_status strings(mbr_onnx_importer *m, const mbr_onnx_spans *spans, const mbr_ir_node *node, mbr_ir_attr *out,
                          mbr_error *err)
{
    out->kind = MBR_ATTR_STRINGS;
    out->n = mbr_onnx_spans_count(spans, FIELD_STRINGS);
    bool done;
    MBR_TRY(forest_array(m, spans, FIELD_STRINGS, MBR_CODE_STRINGS, node, out, &done, err));
    if (done)
        return MBR_OK;
    mbr_string *v = mbr_arena_alloc(&m->module->arena, (out->n + 1) * sizeof *v);
    if (!v)
        return mbr_no_memory(err, out->n * sizeof *v);
    mbr_onnx_spans_strings(spans, FIELD_STRINGS, v);
    out->strings = v;
    return MBR_OK;
}

static mbr_status tensors(mbr_onnx_importer *m, const attribute *a, const mbr_onnx_level *level, mbr_ir_attr *out,
                          mbr_error *err)
{
    const mbr_value **v = mbr_arena_calloc(&m->module->arena, a->n_tensors + 1, sizeof *v);
    if (!v)
        return mbr_no_memory(err, a->n_tensors * sizeof *v);
    for (size_t i = 0; i < a->n_tensors; i++) {
        mbr_value *data;
        mbr_ir_value *owner; /* a constant of the graph, so that the module holds the reference */
        MBR_TRY(mbr_onnx_tensor(&m->reader, a->tensors[i], &data, err));
        MBR_TRY(mbr_ir_constant(level->graph, data, &owner, err));
        v[i] = data;
    }
    out->kind = MBR_ATTR_TENSORS;
    out->n = a->n_tensors;
    out->tensors = v;
    return MBR_OK;
}

static mbr_status graphs(mbr_onnx_importer *m, Mbr__Onnx__GraphProto *const *list, size_t n,
                         const mbr_onnx_scope *scope, const mbr_onnx_level *level, mbr_ir_attr *out, mbr_error *err)
{
    mbr_ir_graph **g = mbr_arena_calloc(&m->module->arena, n + 1, sizeof *g);
    if (!g)
        return mbr_no_memory(err, n * sizeof *g);
    for (size_t i = 0; i < n; i++)
        MBR_TRY(mbr_onnx_graph(m, list[i], scope, level, &g[i], err));
    out->kind = MBR_ATTR_GRAPHS;
    out->n = n;
    out->graphs = g;
    return MBR_OK;
}

static mbr_status add(mbr_onnx_importer *m, const char *name, const attribute *a, const mbr_onnx_scope *scope,
                      const mbr_onnx_level *level, mbr_ir_node *node, mbr_error *err)
{
    const mbr_onnx_spans spans = spans_of(m, a);
    mbr_ir_attr attr = { .name = name, .n = 1 };
    int32_t type = type_of(m, a);
    mbr_value *tensor;
    switch (type) {
    case TYPE_FLOAT:
        return mbr_ir_attr_float(node, name, a->f, err);
    case TYPE_INT:
        return mbr_ir_attr_int(node, name, a->i, err);
    case TYPE_STRING: {
        mbr_string s = { "", 0 };
        mbr_onnx_spans_strings(&spans, FIELD_S, &s);
        return mbr_ir_attr_string(node, name, s.data, s.size, err);
    }
    case TYPE_TENSOR:
        if (!a->t)
            return mbr_fail(err, MBR_ERR_MODEL, "it says that it is a tensor, but holds none");
        MBR_TRY(mbr_onnx_tensor(&m->reader, a->t, &tensor, err));
        return mbr_ir_attr_tensor(node, name, tensor, err);
    case TYPE_SPARSE_TENSOR:
        if (!a->sparse_tensor)
            return mbr_fail(err, MBR_ERR_MODEL, "it says that it is a sparse tensor, but holds none");
        MBR_TRY(mbr_onnx_sparse_tensor(&m->reader, a->sparse_tensor, &tensor, err));
        return mbr_ir_attr_tensor(node, name, tensor, err);
    case TYPE_TYPE: {
        mbr_ir_type t;
        MBR_TRY(mbr_onnx_type(m, a->tp, false, &t, err));
        return mbr_ir_attr_type(node, name, &t, err);
    }
    case TYPE_GRAPH:
        if (!a->g)
            return mbr_fail(err, MBR_ERR_MODEL, "it says that it is a graph, but holds none");
        attr.kind = MBR_ATTR_GRAPH;
        MBR_TRY(mbr_onnx_graph(m, a->g, scope, level, &attr.graph, err));
        break;
    case TYPE_GRAPHS:
        MBR_TRY(graphs(m, a->graphs, a->n_graphs, scope, level, &attr, err));
        break;
    case TYPE_INTS:
        MBR_TRY(ints(m, &spans, node, &attr, err));
        break;
    case TYPE_FLOATS:
        MBR_TRY(floats(m, &spans, node, &attr, err));
        break;
    case TYPE_STRINGS:
        MBR_TRY(strings(m, &spans, node, &attr, err));
        break;
    case TYPE_TENSORS:
        MBR_TRY(tensors(m, a, level, &attr, err));
        break;
    default:
        return mbr_fail(err, MBR_ERR_UNSUPPORTED, "its type has the number %d, which no operator uses", type);
    }
    return mbr_ir_attr_add(node, &attr, err);
}

mbr_status mbr_onnx_attrs(mbr_onnx_importer *m, const Mbr__Onnx__NodeProto *proto, const mbr_onnx_scope *scope,
                          const mbr_onnx_level *level, mbr_ir_node *node, mbr_error *err)
{
    for (size_t i = 0; i < proto->n_attribute; i++) {
        const attribute *a = proto->attribute[i];
        const mbr_onnx_scope *home = scope;
        const char *name = mbr_onnx_text(a->name);
        mbr_status st = mbr_onnx_attr_resolve(&a, &home, err);
        if (st == MBR_OK && a)
            st = mbr_attr(node, name) ? mbr_fail(err, MBR_ERR_MODEL, "it is given twice")
                                      : add(m, name, a, home, level, node, err);
        if (st != MBR_OK)
            return mbr_fail_at(err, st, "attribute '%s': ", name);
    }
    return MBR_OK;
}

/* --- Constant --- */

static mbr_status numbers(mbr_onnx_importer *m, mbr_dtype dtype, int rank, size_t n, mbr_value **out, mbr_error *err)
{
    int64_t dims = (int64_t)n;
    return mbr_value_create_tensor(m->memory, dtype, rank, &dims, out, err);
}

static mbr_status constant_of(mbr_onnx_importer *m, const char *name, const attribute *a, mbr_value **out,
                              mbr_error *err)
{
    const mbr_onnx_spans spans = spans_of(m, a);
    if (strcmp(name, "value") == 0 && a->t)
        return mbr_onnx_tensor(&m->reader, a->t, out, err);
    if (strcmp(name, "sparse_value") == 0 && a->sparse_tensor)
        return mbr_onnx_sparse_tensor(&m->reader, a->sparse_tensor, out, err);
    if (strcmp(name, "value_float") == 0) {
        MBR_TRY(numbers(m, MBR_DTYPE_F32, 0, 1, out, err));
        *(float *)(*out)->data = a->f;
    } else if (strcmp(name, "value_int") == 0) {
        MBR_TRY(numbers(m, MBR_DTYPE_I64, 0, 1, out, err));
        *(int64_t *)(*out)->data = a->i;
    } else if (strcmp(name, "value_string") == 0) {
        MBR_TRY(numbers(m, MBR_DTYPE_STRING, 0, 1, out, err));
        mbr_onnx_spans_strings(&spans, FIELD_S, (*out)->data);
    } else if (strcmp(name, "value_floats") == 0) {
        MBR_TRY(numbers(m, MBR_DTYPE_F32, 1, mbr_onnx_spans_count(&spans, FIELD_FLOATS), out, err));
        mbr_onnx_spans_fixed32(&spans, FIELD_FLOATS, (*out)->data);
    } else if (strcmp(name, "value_ints") == 0) {
        MBR_TRY(numbers(m, MBR_DTYPE_I64, 1, mbr_onnx_spans_count(&spans, FIELD_INTS), out, err));
        if (!mbr_onnx_spans_i64(&spans, FIELD_INTS, (*out)->data)) {
            mbr_value_drop(*out);
            *out = NULL;
            return mbr_fail(err, MBR_ERR_FORMAT, "it holds a broken number; the file is damaged");
        }
    } else if (strcmp(name, "value_strings") == 0) {
        MBR_TRY(numbers(m, MBR_DTYPE_STRING, 1, mbr_onnx_spans_count(&spans, FIELD_STRINGS), out, err));
        mbr_onnx_spans_strings(&spans, FIELD_STRINGS, (*out)->data);
    } else
        return mbr_fail(err, MBR_ERR_MODEL, "it is no value that a Constant can have");
    return MBR_OK;
}

mbr_status mbr_onnx_constant(mbr_onnx_importer *m, const Mbr__Onnx__NodeProto *proto, const mbr_onnx_scope *scope,
                             mbr_value **out, mbr_error *err)
{
    *out = NULL;
    for (size_t i = 0; i < proto->n_attribute && !*out; i++) {
        const attribute *a = proto->attribute[i];
        const mbr_onnx_scope *home = scope;
        const char *name = mbr_onnx_text(a->name);
        mbr_status st = mbr_onnx_attr_resolve(&a, &home, err);
        if (st == MBR_OK && a)
            st = constant_of(m, name, a, out, err);
        if (st != MBR_OK)
            return mbr_fail_at(err, st, "attribute '%s': ", name);
    }
    return *out ? MBR_OK : mbr_fail(err, MBR_ERR_MODEL, "a Constant needs an attribute that holds its value");
}
