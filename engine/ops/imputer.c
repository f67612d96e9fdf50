/* SPDX-License-Identifier: BSD-2-Clause */
/* Imputer: a value that stands for "missing" (NaN too) gives way to another, one for all columns or one for each. */
#include "engine/ops/ml.h"
#include "engine/ops/op_util.h"
#include "kernels/features.h"

typedef struct state {
    size_t rows, per_tile;
} state;

static mbr_status infer(mbr_infer *c)
{
    size_t n;
    if (c->in[0].rank == 0)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "features of rank 0");
    bool floats = c->in[0].dtype == MBR_DTYPE_F32 || c->in[0].dtype == MBR_DTYPE_F64;
    if (floats)
        (void)mbr_attr_floats(c->node, "imputed_value_floats", &n);
    else
        (void)mbr_attr_ints(c->node, "imputed_value_int64s", &n);
    if (c->in[0].dtype != MBR_DTYPE_UNDEFINED && n == 0)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "no imputed values for an input of %s", mbr_dtype_name(c->in[0].dtype));
    mbr_infer_same(c, 0, 0);
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    const mbr_value *x = s->in[0];
    size_t n_floats, n_ints, columns = mbr_ml_columns(x), n;
    (void)mbr_attr_floats(s->node, "imputed_value_floats", &n_floats);
    (void)mbr_attr_ints(s->node, "imputed_value_int64s", &n_ints);
    n = x->dtype == MBR_DTYPE_F32 || x->dtype == MBR_DTYPE_F64 ? n_floats : n_ints;
    if (mbr_value_count(x) && (n == 0 || (n > 1 && n != columns)))
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "%zu imputed values for rows of %zu", n, columns);
    state *t = s->state;
    t->rows = columns ? mbr_value_count(x) / columns : 0;
    t->per_tile = mbr_step_split(s, t->rows, 2 + 0.5 * (double)columns);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)err;
    const state *t = s->state;
    const mbr_value *x = s->in[0];
    size_t n_floats, n_ints, row = mbr_ml_columns(x), first, last;
    const float *floats = mbr_attr_floats(s->node, "imputed_value_floats", &n_floats);
    const int64_t *ints = mbr_attr_ints(s->node, "imputed_value_int64s", &n_ints);
    const float missing = mbr_attr_float(s->node, "replaced_value_float", 0);
    const int64_t missing_int = mbr_attr_int(s->node, "replaced_value_int64", 0);
    bool nan = missing != missing;
    mbr_op_items(job, t->per_tile, t->rows, &first, &last);
#define IMPUTE(type, with, n_with, is_missing)                                                                         \
    for (size_t r = first * row; r < last * row; r += row)                                                             \
        for (size_t c = 0, step = n_with > 1; c < row; c++) {                                                          \
            type v = ((const type *)x->data)[r + c];                                                                   \
            ((type *)s->out[0]->data)[r + c] = (is_missing) ? (type)with[c * step] : v;                                \
        }
    switch (x->dtype) {
    case MBR_DTYPE_F32: {
        const float *from = (const float *)x->data + first * row;
        float *to = (float *)s->out[0]->data + first * row;
        size_t n = last - first;
        if (n && n_floats == 1) /* rows do not matter */
            mbr_impute_f32_vec(from, 1, n * row, missing, floats, false, to);
        else if (n)
            mbr_impute_f32_vec(from, n, row, missing, floats, true, to);
        break;
    }
    case MBR_DTYPE_F64: IMPUTE(double, floats, n_floats, v == (double)missing || (nan && v != v)) break;
    case MBR_DTYPE_I64: IMPUTE(int64_t, ints, n_ints, v == missing_int) break;
    default: IMPUTE(int32_t, ints, n_ints, v == missing_int) break;
    }
#undef IMPUTE
    return MBR_OK;
}

const mbr_op mbr_ops_imputer[] = {
    { .domain = "ai.onnx.ml", .name = "Imputer", .since = 1, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
      .flags = MBR_OP_INPLACE0, .infer = infer, .prepare = prepare, .run = run, .state_size = sizeof(state) },
    { 0 },
};
