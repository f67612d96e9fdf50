/* SPDX-License-Identifier: BSD-2-Clause */
/* OneHotEncoder: a last axis of zeros with a one at the place of the element's category. */
#include "engine/ops/ml_table.h"

#include <string.h>

typedef struct state {
    mbr_ml_table table;
    size_t n, per_tile;
    bool zeros;
} state;

static mbr_status read_categories(const mbr_ir_node *n, mbr_dtype in, mbr_ml_keys *keys, mbr_error *err)
{
    size_t n_ints, n_strings;
    const int64_t *ints = mbr_attr_ints(n, "cats_int64s", &n_ints);
    const mbr_string *strings = mbr_attr_strings(n, "cats_strings", &n_strings);
    if ((n_ints > 0) == (n_strings > 0))
        return mbr_ir_fail(n, err, MBR_ERR_MODEL, "one of cats_int64s and cats_strings is due");
    if (in != MBR_DTYPE_UNDEFINED && (in == MBR_DTYPE_STRING) != (n_strings > 0))
        return mbr_ir_fail(n, err, MBR_ERR_MODEL, "an input of %s does not fit the categories", mbr_dtype_name(in));
    *keys = (mbr_ml_keys){ .n = n_ints + n_strings };
    keys->ints = n_ints ? ints : NULL;
    keys->strings = n_strings ? strings : NULL;
    return MBR_OK;
}

static mbr_status infer(mbr_infer *c)
{
    mbr_ml_keys keys;
    mbr_dim dims[MBR_MAX_RANK];
    const mbr_arg *x = &c->in[0];
    MBR_TRY(read_categories(c->node, x->dtype, &keys, c->err));
    if (x->rank == MBR_MAX_RANK)
        return mbr_infer_fail(c, MBR_ERR_LIMIT, "an output of more than %d axes", MBR_MAX_RANK);
    for (int d = 0; d < x->rank; d++)
        dims[d] = x->dims[d];
    if (x->rank >= 0)
        dims[x->rank] = (mbr_dim)keys.n;
    mbr_infer_out(c, 0, MBR_DTYPE_F32, x->rank < 0 ? -1 : x->rank + 1, dims);
    return MBR_OK;
}

static mbr_status init(mbr_step *s, mbr_error *err)
{
    state *t = s->state;
    mbr_ml_keys keys;
    MBR_TRY(read_categories(s->node, s->in[0]->dtype, &keys, err));
    t->n = keys.n;
    t->zeros = mbr_attr_int(s->node, "zeros", 1) != 0;
    return mbr_ml_table_build(&t->table, &keys, mbr_step_memory(s), err);
}

static void fini(mbr_step *s)
{
    mbr_ml_table_free(&((state *)s->state)->table);
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    (void)err;
    state *t = s->state;
    t->per_tile = mbr_step_split(s, mbr_value_count(s->in[0]), 8 + 0.1 * (double)t->n);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const state *t = s->state;
    const mbr_value *x = s->in[0];
    size_t n = mbr_value_count(x), last = job->last * t->per_tile;
    last = last < n ? last : n;
    size_t first = job->first * t->per_tile;
    if (first < last)
        memset((float *)s->out[0]->data + first * t->n, 0, (last - first) * t->n * sizeof(float));
    size_t i = first;
    if (x->dtype == MBR_DTYPE_I64 && t->table.direct && t->zeros)
        for (const int64_t *k = x->data; i < last; i++) {
            size_t at = mbr_ml_table_at(&t->table, k[i]);
            if (at != SIZE_MAX)
                ((float *)s->out[0]->data)[i * t->n + at] = 1.0f;
        }
    for (; i < last; i++) {
        float *y = (float *)s->out[0]->data + i * t->n;
        size_t at = SIZE_MAX;
        if (mbr_dtype_is_float(x->dtype)) { /* as an integer, toward zero */
            double v = mbr_value_real(x, i);
            if (v > -9.2e18 && v < 9.2e18)
                at = mbr_ml_table_find_number(&t->table, (int64_t)v);
        } else {
            at = mbr_ml_table_find(&t->table, x, i);
        }
        if (at != SIZE_MAX)
            y[at] = 1.0f;
        else if (!t->zeros)
            return mbr_step_fail(s, err, MBR_ERR_RUN, "element %zu is of no known category, and the attribute zeros is 0", i);
    }
    return MBR_OK;
}

const mbr_op mbr_ops_one_hot_encoder[] = {
    { .domain = "ai.onnx.ml", .name = "OneHotEncoder", .since = 1, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
      .infer = infer, .init = init, .prepare = prepare, .run = run, .fini = fini, .state_size = sizeof(state) },
    { 0 },
};
