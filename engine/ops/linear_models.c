/* SPDX-License-Identifier: BSD-2-Clause */
/* LinearClassifier and LinearRegressor: a small matrix product, then labels and the post transform. */
#include "base/checked.h"
#include "engine/ops/ml.h"
#include "kernels/svm.h"

#include <string.h>

enum { CLASSIFIER, REGRESSOR };

typedef struct state {
    const float *coefficients, *intercepts; /* (scores, columns), (scores) or NULL */
    mbr_ml_labels labels;
    mbr_post_transform post;
    size_t scores, width; /* what the product gives, and what the output holds */
    size_t n_coefficients, rows, columns, per_tile;
} state;

/* How many scores the product gives, and how many the output holds for a row. */
static mbr_status read_sizes(const mbr_ir_node *n, state *t, mbr_error *err)
{
    size_t n_intercepts;
    t->coefficients = mbr_attr_floats(n, "coefficients", &t->n_coefficients);
    t->intercepts = mbr_attr_floats(n, "intercepts", &n_intercepts);
    if (n->op->param == REGRESSOR) {
        int64_t targets = mbr_attr_int(n, "targets", 1);
        if (targets < 1 || (uint64_t)targets > t->n_coefficients)
            return mbr_ir_fail(n, err, MBR_ERR_MODEL, "%lld targets with %zu coefficients", (long long)targets,
                               t->n_coefficients);
        t->scores = t->width = (size_t)targets;
    } else {
        MBR_TRY(mbr_ml_labels_read(n, "classlabels_ints", &t->labels, err));
        t->scores = n_intercepts ? n_intercepts : t->labels.n;
        t->width = t->scores == 1 && t->labels.n == 2 ? 2 : t->scores;
        if (t->scores > t->labels.n)
            return mbr_ir_fail(n, err, MBR_ERR_MODEL, "%zu intercepts for %zu classes", t->scores, t->labels.n);
    }
    if (n_intercepts == 0)
        t->intercepts = NULL;
    else if (n_intercepts != t->scores)
        return mbr_ir_fail(n, err, MBR_ERR_MODEL, "%zu intercepts for %zu targets", n_intercepts, t->scores);
    if (t->n_coefficients == 0 || t->n_coefficients % t->scores)
        return mbr_ir_fail(n, err, MBR_ERR_MODEL, "%zu coefficients for %zu scores", t->n_coefficients, t->scores);
    return mbr_ml_post_transform(n, &t->post, err);
}

static mbr_status infer(mbr_infer *c)
{
    state t = { 0 };
    MBR_TRY(mbr_ml_check_features(c, 0));
    MBR_TRY(read_sizes(c->node, &t, c->err));
    const mbr_dim dims[2] = { mbr_ml_rows_dim(&c->in[0]), (mbr_dim)t.width };
    if (c->node->op->param == REGRESSOR) {
        mbr_infer_out(c, 0, MBR_DTYPE_F32, 2, dims);
        return MBR_OK;
    }
    mbr_infer_out(c, 0, mbr_ml_labels_dtype(&t.labels), 1, dims);
    mbr_infer_out(c, 1, MBR_DTYPE_F32, 2, dims);
    return MBR_OK;
}

static mbr_status init(mbr_step *s, mbr_error *err)
{
    return read_sizes(s->node, s->state, err);
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    state *t = s->state;
    t->rows = mbr_ml_rows(s->in[0]);
    t->columns = mbr_ml_columns(s->in[0]);
    size_t floats;
    if (t->rows && t->columns * t->scores != t->n_coefficients)
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "rows of %zu features; the model was made for %zu", t->columns,
                             t->n_coefficients / t->scores);
    t->per_tile = mbr_step_split(s, t->rows, 20.0 + 0.3 * (double)t->n_coefficients);
    if (!mbr_add_size(t->columns, t->width, &floats) || !mbr_mul_size(floats, sizeof(float), &s->scratch))
        return mbr_step_fail(s, err, MBR_ERR_LIMIT, "rows of %zu features", t->columns);
    return MBR_OK;
}

/* The label and the final scores of a row, as ONNX Runtime has them. */
static size_t classify(const state *t, float *z)
{
    size_t best = 0;
    if (t->scores == 1) {
        bool second = z[0] > 0;
        if (t->width == 2)
            mbr_post_transform_pair(t->post, z);
        else if (t->post == MBR_POST_PROBIT)
            mbr_post_transform_ref(t->post, z, 1);
        return t->labels.n == 2 ? second : 0;
    }
    for (size_t k = 1; k < t->scores; k++)
        if (z[k] > z[best])
            best = k;
    mbr_post_transform_ref(t->post, z, t->scores);
    return best;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)err;
    const state *t = s->state;
    float *x = job->scratch, *z = x + t->columns;
    size_t last = job->last * t->per_tile;
    last = last < t->rows ? last : t->rows;
    bool classifier = s->op->param == CLASSIFIER;
    for (size_t r = job->first * t->per_tile; r < last; r++) {
        mbr_ml_load(s->in[0], r * t->columns, t->columns, false, x);
        for (size_t k = 0; k < t->scores; k++)
            z[k] = mbr_dot_ref(x, t->coefficients + k * t->columns, t->columns) + (t->intercepts ? t->intercepts[k] : 0);
        if (classifier) {
            size_t label = classify(t, z);
            if (mbr_step_wants(s, 0))
                mbr_ml_labels_put(&t->labels, label, s->out[0], r);
        } else if (t->scores > 1 || t->post == MBR_POST_PROBIT) {
            mbr_post_transform_ref(t->post, z, t->scores);
        }
        if (mbr_step_wants(s, classifier))
            memcpy((float *)s->out[classifier]->data + r * t->width, z, t->width * sizeof *z);
    }
    return MBR_OK;
}

#define ROW(op_name, outputs, which)                                                                                   \
    { .domain = "ai.onnx.ml", .name = op_name, .since = 1, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = outputs, \
      .infer = infer, .init = init, .prepare = prepare, .run = run, .state_size = sizeof(state), .param = which }

const mbr_op mbr_ops_linear_models[] = {
    ROW("LinearClassifier", 2, CLASSIFIER),
    ROW("LinearRegressor", 1, REGRESSOR),
    { 0 },
};
