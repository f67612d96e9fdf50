/* SPDX-License-Identifier: BSD-2-Clause */
/* DictVectorizer: a map becomes one row, each value at the place that the vocabulary gives its key. */
#include "engine/ops/ml_table.h"

#include <string.h>

typedef struct state {
    mbr_ml_table table;
} state;

static mbr_status read_vocabulary(const mbr_ir_node *n, mbr_ml_keys *keys, mbr_error *err)
{
    size_t n_ints, n_strings;
    const int64_t *ints = mbr_attr_ints(n, "int64_vocabulary", &n_ints);
    const mbr_string *strings = mbr_attr_strings(n, "string_vocabulary", &n_strings);
    if ((n_ints > 0) == (n_strings > 0))
        return mbr_ir_fail(n, err, MBR_ERR_MODEL, "one of int64_vocabulary and string_vocabulary is due");
    *keys = (mbr_ml_keys){ .n = n_ints + n_strings };
    keys->ints = n_ints ? ints : NULL;
    keys->strings = n_strings ? strings : NULL;
    return MBR_OK;
}

static mbr_status infer(mbr_infer *c)
{
    mbr_ml_keys keys;
    MBR_TRY(read_vocabulary(c->node, &keys, c->err));
    const mbr_arg *x = &c->in[0];
    if (x->kind != MBR_KIND_MAP)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "the input is no map");
    if (x->key && (x->key == MBR_DTYPE_STRING) != (keys.strings != NULL))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "keys of %s do not fit the vocabulary", mbr_dtype_name(x->key));
    const mbr_dim dims[2] = { 1, (mbr_dim)keys.n };
    mbr_infer_out(c, 0, x->dtype, 2, dims);
    return MBR_OK;
}

static mbr_status init(mbr_step *s, mbr_error *err)
{
    mbr_ml_keys keys;
    MBR_TRY(read_vocabulary(s->node, &keys, err));
    return mbr_ml_table_build(&((state *)s->state)->table, &keys, mbr_step_memory(s), err);
}

static void fini(mbr_step *s)
{
    mbr_ml_table_free(&((state *)s->state)->table);
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)job;
    const mbr_ml_table *t = &((const state *)s->state)->table;
    const mbr_value *x = s->in[0];
    mbr_value *y = s->out[0];
    if (x->n_items != 2 || x->items[1]->dtype != y->dtype ||
        (x->items[0]->dtype == MBR_DTYPE_STRING) != t->text)
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "the map's types do not fit the model");
    size_t n = mbr_value_count(x->items[0]), size = mbr_dtype_size(y->dtype);
    memset(y->data, 0, t->n * size);
    for (size_t i = 0; i < n; i++) {
        size_t at = mbr_ml_table_find(t, x->items[0], i);
        if (at != SIZE_MAX)
            memcpy((char *)y->data + at * size, (const char *)x->items[1]->data + i * size, size);
    }
    return MBR_OK;
}

const mbr_op mbr_ops_dict_vectorizer[] = {
    { .domain = "ai.onnx.ml", .name = "DictVectorizer", .since = 1, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
      .flags = MBR_OP_HOST | MBR_OP_ANY_KIND, .infer = infer, .init = init, .run = run, .fini = fini,
      .state_size = sizeof(state) },
    { 0 },
};
