/* SPDX-License-Identifier: BSD-2-Clause */
/* CastMap: the values of a map with integer keys as one row, ascending by key, or each at the place of its key. */
#include "engine/ops/op.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mbr_status read_type(const mbr_ir_node *n, mbr_dtype *dtype, mbr_error *err)
{
    const char *to = mbr_attr_string(n, "cast_to", "TO_FLOAT");
    *dtype = strcmp(to, "TO_FLOAT") == 0    ? MBR_DTYPE_F32
             : strcmp(to, "TO_STRING") == 0 ? MBR_DTYPE_STRING
             : strcmp(to, "TO_INT64") == 0  ? MBR_DTYPE_I64
                                            : MBR_DTYPE_UNDEFINED;
    if (!*dtype)
        return mbr_ir_fail(n, err, MBR_ERR_MODEL, "cast_to '%s' is none of TO_FLOAT, TO_STRING, TO_INT64", to);
    return MBR_OK;
}

static bool is_sparse(const mbr_ir_node *n)
{
    return strcmp(mbr_attr_string(n, "map_form", "DENSE"), "SPARSE") == 0;
}

static mbr_status infer(mbr_infer *c)
{
    mbr_dtype dtype;
    const mbr_arg *x = &c->in[0];
    MBR_TRY(read_type(c->node, &dtype, c->err));
    if (x->kind != MBR_KIND_MAP || (x->key && x->key != MBR_DTYPE_I64))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "the input is no map with i64 keys");
    int64_t most = mbr_attr_int(c->node, "max_map", 1);
    if (is_sparse(c->node) && (most < 1 || most > INT32_MAX))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "max_map is %lld", (long long)most);
    const mbr_dim dims[2] = { 1, is_sparse(c->node) ? most : MBR_DIM_UNKNOWN };
    mbr_infer_out(c, 0, dtype, 2, dims);
    return MBR_OK;
}

/* Element `at` of y becomes element i of the values. */
static mbr_status cast(mbr_step *s, const mbr_value *values, size_t i, mbr_value *y, size_t at, mbr_error *err)
{
    char text[400];
    if (values->dtype == MBR_DTYPE_STRING) {
        const mbr_string v = ((const mbr_string *)values->data)[i];
        if (y->dtype == MBR_DTYPE_STRING) {
            ((mbr_string *)y->data)[at] = v;
            return MBR_OK;
        }
        char *end = text;
        size_t size = v.size < sizeof text ? v.size : 0;
        memcpy(text, v.data, size);
        text[size] = '\0';
        if (y->dtype == MBR_DTYPE_F32)
            ((float *)y->data)[at] = strtof(text, &end);
        else
            ((int64_t *)y->data)[at] = strtoll(text, &end, 10);
        if (end == text)
            return mbr_step_fail(s, err, MBR_ERR_RUN, "'%.40s' is no number", text);
        return MBR_OK;
    }
    double v = mbr_value_real(values, i);
    if (y->dtype == MBR_DTYPE_F32) {
        ((float *)y->data)[at] = (float)v;
    } else if (y->dtype == MBR_DTYPE_I64) {
        ((int64_t *)y->data)[at] = v >= 9223372036854775808.0 || v < -9223372036854775808.0 || v != v ? INT64_MIN
                                                                                                     : (int64_t)v;
    } else {
        int size = snprintf(text, sizeof text, "%f", v);
        char *copy = mbr_step_alloc(s, (size_t)size);
        if (!copy)
            return mbr_no_memory(err, (size_t)size);
        memcpy(copy, text, (size_t)size);
        ((mbr_string *)y->data)[at] = (mbr_string){ copy, (size_t)size };
    }
    return MBR_OK;
}

typedef struct entry {
    int64_t key;
    size_t place;
} entry;

static int compare(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    return (x->key > y->key) - (x->key < y->key);
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)job;
    const mbr_value *x = s->in[0];
    bool sparse = is_sparse(s->node);
    if (x->n_items != 2 || x->items[0]->dtype != MBR_DTYPE_I64)
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "the map's keys are not i64");
    size_t n = mbr_value_count(x->items[0]);
    const int64_t dims[2] = { 1, sparse ? mbr_attr_int(s->node, "max_map", 1) : (int64_t)n };
    entry *order = mbr_step_alloc(s, (n + 1) * sizeof *order);
    if (!order)
        return mbr_no_memory(err, n * sizeof *order);
    MBR_TRY(mbr_step_resize(s, 0, 2, dims, err));
    mbr_value *y = s->out[0];
    memset(y->data, 0, mbr_value_bytes(y));
    for (size_t i = 0; i < n; i++)
        order[i] = (entry){ ((const int64_t *)x->items[0]->data)[i], i };
    qsort(order, n, sizeof *order, compare);
    for (size_t i = 0; i < n; i++) {
        if (sparse && (order[i].key < 0 || order[i].key >= dims[1]))
            return mbr_step_fail(s, err, MBR_ERR_RUN, "key %lld; keys must be below max_map, %lld",
                                 (long long)order[i].key, (long long)dims[1]);
        MBR_TRY(cast(s, x->items[1], order[i].place, y, sparse ? (size_t)order[i].key : i, err));
    }
    return MBR_OK;
}

const mbr_op mbr_ops_cast_map[] = {
    { .domain = "ai.onnx.ml", .name = "CastMap", .since = 1, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
      .flags = MBR_OP_HOST | MBR_OP_ANY_KIND | MBR_OP_SIZED_BY_RUN, .infer = infer, .run = run },
    { 0 },
};
