/* SPDX-License-Identifier: BSD-2-Clause */
/* FeatureVectorizer: columns of several inputs side by side, as f32. */
#include "engine/ops/ml.h"

#include <string.h>

/* Columns that input i takes in the output; MBR_DIM_UNKNOWN: not known. */
static mbr_dim width_of(const mbr_infer *c, uint32_t i)
{
    size_t n;
    const int64_t *widths = mbr_attr_ints(c->node, "inputdimensions", &n);
    if (i < n)
        return widths[i];
    return c->in[i].rank <= 0 ? MBR_DIM_UNKNOWN : c->in[i].dims[c->in[i].rank - 1];
}

static mbr_status infer(mbr_infer *c)
{
    mbr_dim dims[2] = { MBR_DIM_UNKNOWN, 0 };
    for (uint32_t i = 0; i < c->n_in; i++) {
        MBR_TRY(mbr_ml_check_features(c, i));
        mbr_dim width = width_of(c, i);
        if (mbr_dim_is_const(width) && (width < 0 || width > INT32_MAX))
            return mbr_infer_fail(c, MBR_ERR_MODEL, "inputdimensions: %lld", (long long)width);
        dims[1] = mbr_dim_add(c->dims, dims[1], width);
    }
    dims[0] = mbr_ml_rows_dim(&c->in[0]);
    mbr_infer_out(c, 0, MBR_DTYPE_F32, 2, dims);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)job;
    const mbr_value *y = s->out[0];
    size_t rows = (size_t)y->dims[0], total = (size_t)y->dims[1], at = 0, n;
    const int64_t *widths = mbr_attr_ints(s->node, "inputdimensions", &n);
    memset(y->data, 0, rows * total * sizeof(float));
    for (uint32_t i = 0; i < s->n_in; i++) {
        const mbr_value *x = s->in[i];
        size_t columns = mbr_ml_columns(x), width = i < n ? (size_t)widths[i] : columns;
        size_t copy = columns < width ? columns : width; /* missing columns are 0 */
        if (mbr_ml_rows(x) != rows)
            return mbr_step_fail(s, err, MBR_ERR_INPUT, "input %u has %zu rows, input 0 has %zu", i, mbr_ml_rows(x), rows);
        for (size_t r = 0; r < rows; r++)
            mbr_ml_load(x, r * columns, copy, false, (float *)y->data + r * total + at);
        at += width;
    }
    return MBR_OK;
}

const mbr_op mbr_ops_feature_vectorizer[] = {
    { .domain = "ai.onnx.ml", .name = "FeatureVectorizer", .since = 1, .min_in = 1, .max_in = MBR_OP_MANY, .min_out = 1,
      .max_out = 1, .infer = infer, .run = run },
    { 0 },
};
