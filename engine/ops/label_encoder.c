/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * LabelEncoder and CategoryMapper: each element through a table. Version 1 and CategoryMapper go from text to
 * integers or back, as the input says; from version 2 on keys and values have types of their own. Of equal keys the
 * last counts, and every NaN is the same key.
 */
#include "engine/ops/ml_table.h"

#include <stdio.h>
#include <string.h>

enum { CLASSES, KEYS, CATEGORIES };

/* Values and the default, in one of the forms that attributes have. */
typedef struct target {
    mbr_dtype dtype;
    mbr_ml_keys values;
    int64_t default_int;
    double default_real;
    mbr_string default_text;
} target;

typedef struct state {
    mbr_ml_table table;
    mbr_ml_keys keys;
    mbr_dtype key_dtype;
    target to;
    size_t per_tile;
    bool by_place; /* version 1 from integers: the key is the place */
} state;

/* Reads prefix_int64s, _floats, _strings, _tensor. */
static mbr_dtype read_list(const mbr_ir_node *n, const char *prefix, mbr_ml_keys *k)
{
    char name[32];
    *k = (mbr_ml_keys){ 0 };
    snprintf(name, sizeof name, "%s_int64s", prefix);
    if ((k->ints = mbr_attr_ints(n, name, &k->n)) != NULL && k->n)
        return MBR_DTYPE_I64;
    k->ints = NULL; /* an empty list is none */
    snprintf(name, sizeof name, "%s_floats", prefix);
    if ((k->floats = mbr_attr_floats(n, name, &k->n)) != NULL && k->n)
        return MBR_DTYPE_F32;
    k->floats = NULL;
    snprintf(name, sizeof name, "%s_strings", prefix);
    if ((k->strings = mbr_attr_strings(n, name, &k->n)) != NULL && k->n)
        return MBR_DTYPE_STRING;
    k->strings = NULL;
    snprintf(name, sizeof name, "%s_tensor", prefix);
    k->tensor = mbr_attr_tensor(n, name);
    if (!k->tensor || k->tensor->kind != MBR_KIND_TENSOR)
        return MBR_DTYPE_UNDEFINED;
    k->n = mbr_value_count(k->tensor);
    return k->tensor->dtype;
}

static mbr_string text_attr(const mbr_ir_node *n, const char *name, const char *otherwise)
{
    const mbr_ir_attr *a = mbr_attr(n, name);
    return a && a->kind == MBR_ATTR_STRING ? a->s : (mbr_string){ otherwise, strlen(otherwise) };
}

static void read_default(const mbr_ir_node *n, target *t)
{
    const mbr_value *v = mbr_attr_tensor(n, "default_tensor");
    t->default_int = mbr_attr_int(n, "default_int64", -1);
    t->default_real = t->dtype == MBR_DTYPE_F32 || t->dtype == MBR_DTYPE_F64
                          ? (double)mbr_attr_float(n, "default_float", -0.0f)
                          : (double)t->default_int;
    t->default_text = text_attr(n, "default_string", "_Unused");
    if (!v || v->kind != MBR_KIND_TENSOR || v->dtype != t->dtype || mbr_value_count(v) < 1)
        return;
    if (v->dtype == MBR_DTYPE_STRING)
        t->default_text = *(const mbr_string *)v->data;
    else if (mbr_dtype_is_int(v->dtype))
        t->default_int = mbr_value_int(v, 0);
    else
        t->default_real = mbr_value_real(v, 0);
}

static mbr_status read_all(const mbr_ir_node *n, mbr_dtype in, state *s, mbr_error *err)
{
    target *to = &s->to;
    if (n->op->param == KEYS) {
        s->key_dtype = read_list(n, "keys", &s->keys);
        to->dtype = read_list(n, "values", &to->values);
    } else {
        mbr_ml_keys texts, numbers;
        const char *name = n->op->param == CLASSES ? "classes_strings" : "cats_strings";
        texts = (mbr_ml_keys){ .strings = mbr_attr_strings(n, name, &texts.n) };
        (void)mbr_attr_strings(n, name, &texts.n);
        numbers = (mbr_ml_keys){ 0 };
        numbers.ints = mbr_attr_ints(n, "cats_int64s", &numbers.n);
        bool from_text = in == MBR_DTYPE_STRING;
        s->by_place = n->op->param == CLASSES;
        s->keys = from_text ? texts : numbers;
        to->values = from_text ? numbers : texts;
        s->key_dtype = from_text ? MBR_DTYPE_STRING : MBR_DTYPE_I64;
        to->dtype = from_text ? MBR_DTYPE_I64 : MBR_DTYPE_STRING;
        if (n->op->param == CATEGORIES && texts.n != numbers.n)
            return mbr_ir_fail(n, err, MBR_ERR_MODEL, "%zu cats_strings and %zu cats_int64s", texts.n, numbers.n);
    }
    if (!s->key_dtype || !to->dtype)
        return mbr_ir_fail(n, err, MBR_ERR_MODEL, "keys or values are missing");
    if (in != MBR_DTYPE_UNDEFINED && in != s->key_dtype)
        return mbr_ir_fail(n, err, MBR_ERR_MODEL, "the input is %s, the keys are %s", mbr_dtype_name(in),
                           mbr_dtype_name(s->key_dtype));
    if (n->op->param != CLASSES && s->keys.n != to->values.n)
        return mbr_ir_fail(n, err, MBR_ERR_MODEL, "%zu keys and %zu values", s->keys.n, to->values.n);
    read_default(n, to);
    return MBR_OK;
}

static mbr_status infer(mbr_infer *c)
{
    state s = { 0 };
    MBR_TRY(read_all(c->node, c->in[0].dtype, &s, c->err));
    mbr_infer_out(c, 0, s.to.dtype, c->in[0].rank, c->in[0].dims);
    return MBR_OK;
}

static mbr_status init(mbr_step *s, mbr_error *err)
{
    state *t = s->state;
    MBR_TRY(read_all(s->node, s->in[0]->dtype, t, err));
    return t->keys.n ? mbr_ml_table_build(&t->table, &t->keys, mbr_step_memory(s), err) : MBR_OK;
}

static void fini(mbr_step *s)
{
    mbr_ml_table_free(&((state *)s->state)->table);
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    (void)err;
    state *t = s->state;
    t->per_tile = mbr_step_split(s, mbr_value_count(s->in[0]), t->table.direct ? 4 : 20);
    return MBR_OK;
}

/* Element i of the output is value `at` of the table, or the default. */
static void put(const target *t, mbr_value *out, size_t i, size_t at)
{
    bool found = at != SIZE_MAX;
    const mbr_value *v = t->values.tensor;
    if (t->dtype == MBR_DTYPE_STRING) {
        ((mbr_string *)out->data)[i] = !found              ? t->default_text
                                       : t->values.strings ? t->values.strings[at]
                                                           : ((const mbr_string *)v->data)[at];
        return;
    }
    if (found && v) {
        size_t size = mbr_dtype_size(t->dtype);
        memcpy((char *)out->data + i * size, (const char *)v->data + at * size, size);
        return;
    }
    int64_t n = !found ? t->default_int : t->values.ints ? t->values.ints[at] : (int64_t)at;
    double r = found && t->values.floats ? (double)t->values.floats[at] : t->default_real;
    switch (t->dtype) {
    case MBR_DTYPE_F32: ((float *)out->data)[i] = (float)r; break;
    case MBR_DTYPE_F64: ((double *)out->data)[i] = r; break;
    case MBR_DTYPE_I64: ((int64_t *)out->data)[i] = n; break;
    case MBR_DTYPE_I32: ((int32_t *)out->data)[i] = (int32_t)n; break;
    default: ((int16_t *)out->data)[i] = (int16_t)n; break;
    }
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)err;
    const state *t = s->state;
    const mbr_value *x = s->in[0];
    size_t n = mbr_value_count(x), last = job->last * t->per_tile;
    last = last < n ? last : n;
    size_t i = job->first * t->per_tile;
    if (t->table.direct && x->dtype == MBR_DTYPE_I64 && !t->by_place) { /* the usual lists of integers */
        const int64_t *k = x->data;
#define DIRECT(type, kind, list, none)                                                                                 \
    if (t->to.dtype == kind && t->to.values.list)                                                                      \
        for (type *y = s->out[0]->data; i < last; i++) {                                                               \
            size_t at = mbr_ml_table_at(&t->table, k[i]);                                                              \
            y[i] = at == SIZE_MAX ? (type)(none) : t->to.values.list[at];                                              \
        }
        DIRECT(int64_t, MBR_DTYPE_I64, ints, t->to.default_int)
        DIRECT(float, MBR_DTYPE_F32, floats, t->to.default_real)
#undef DIRECT
    }
    for (; i < last; i++) {
        size_t at = SIZE_MAX;
        if (t->by_place && x->dtype == MBR_DTYPE_I64) {
            int64_t k = ((const int64_t *)x->data)[i];
            if (k >= 0 && (uint64_t)k < t->to.values.n)
                at = (size_t)k;
        } else if (t->table.n) {
            at = mbr_ml_table_find(&t->table, x, i);
        }
        put(&t->to, s->out[0], i, at);
    }
    return MBR_OK;
}

#define ROW(op_name, version, which)                                                                                   \
    { .domain = "ai.onnx.ml", .name = op_name, .since = version, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1, \
      .infer = infer, .init = init, .prepare = prepare, .run = run, .fini = fini, .state_size = sizeof(state),         \
      .param = which }

const mbr_op mbr_ops_label_encoder[] = {
    ROW("LabelEncoder", 1, CLASSES),
    ROW("LabelEncoder", 2, KEYS),
    ROW("LabelEncoder", 4, KEYS), /* keys, values and default as tensors */
    ROW("CategoryMapper", 1, CATEGORIES),
    { 0 },
};
