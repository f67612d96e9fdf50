/* SPDX-License-Identifier: BSD-2-Clause */
/* LinearClassifier and LinearRegressor: a small matrix product, then labels and the post transform. */
#include "engine/ops/ml.h"
#include "engine/ops/op_util.h"
#include "kernels/features.h"
#include "kernels/softmax.h"

#include <string.h>

enum { CLASSIFIER, REGRESSOR };

typedef struct state {
    const float *coefficients, *intercepts; /* (scores, columns), (scores) or NULL */
    mbr_ml_labels labels;
    mbr_post_transform post;
    size_t scores, width; /* what the product gives, and what the output holds */
    size_t n_coefficients, rows, columns, per_tile;
    mbr_ml_product product;
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
    state *t = s->state;
    MBR_TRY(read_sizes(s->node, t, err));
    t->product = (mbr_ml_product){ .w = t->coefficients, .bias = t->intercepts, .n = t->scores,
                                   .columns = t->n_coefficients / t->scores };
    return mbr_ml_product_make(&t->product, true, mbr_step_memory(s), err);
}

static void fini(mbr_step *s)
{
    mbr_ml_product_free(&((state *)s->state)->product);
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    state *t = s->state;
    t->rows = mbr_ml_rows(s->in[0]);
    t->columns = mbr_ml_columns(s->in[0]);
    if (t->rows && t->columns * t->scores != t->n_coefficients)
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "rows of %zu features; the model was made for %zu", t->columns,
                             t->n_coefficients / t->scores);
    t->per_tile = mbr_step_split(s, t->rows, 5.0 + 0.1 * (double)t->n_coefficients + (double)t->scores);
    s->scratch = mbr_ml_product_scratch(&t->product);
    return MBR_OK;
}

/* The label of a row of scores, as ONNX Runtime has it. */
static size_t choose(const state *t, const float *z)
{
    float most = z[0];
    if (t->scores == 1)
        return t->labels.n == 2 ? z[0] > 0 : 0;
    for (size_t k = 1; k < t->scores; k++)
        most = z[k] > most ? z[k] : most;
    for (size_t k = 1; z[0] < most; k++) /* the first of equal ones; a NaN in front wins */
        if (z[k] == most)
            return k;
    return 0;
}

/* The final scores of rows. */
static void finish(const state *t, const float *z, size_t rows, float *y)
{
    if (t->scores == 1 && t->width == 2) {
        for (size_t r = 0; r < rows; r++) {
            y[2 * r] = z[r];
            mbr_post_transform_pair(t->post, y + 2 * r);
        }
        return;
    }
    memcpy(y, z, rows * t->width * sizeof *y);
    if (t->scores == 1 && t->post != MBR_POST_PROBIT)
        return;
    if (t->post == MBR_POST_LOGISTIC) {
        mbr_features_select(mbr_cpu_tiers())->logistic(y, rows * t->width);
    } else if (t->post == MBR_POST_SOFTMAX) {
        mbr_softmax_args a = { .in = y, .out = y, .outer = rows, .axis = t->width, .inner = 1 };
        mbr_softmax_select(mbr_cpu_tiers())(&a, 0, mbr_softmax_tiles(&a));
    } else if (t->post != MBR_POST_NONE) {
        for (size_t r = 0; r < rows; r++)
            mbr_post_transform_ref(t->post, y + r * t->width, t->width);
    }
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)err;
    const state *t = s->state;
    size_t first, last, block = mbr_ml_product_rows(&t->product), n;
    bool classifier = s->op->param == CLASSIFIER;
    mbr_op_items(job, t->per_tile, t->rows, &first, &last);
    for (; first < last; first += n) {
        n = last - first < block ? last - first : block;
        const float *z = mbr_ml_product_run(&t->product, s->in[0], first, n, 1.0f, (mbr_act){ 0 }, job->scratch);
        for (size_t r = 0; classifier && mbr_step_wants(s, 0) && r < n; r++)
            mbr_ml_labels_put(&t->labels, choose(t, z + r * t->scores), s->out[0], first + r);
        if (mbr_step_wants(s, classifier))
            finish(t, z, n, (float *)s->out[classifier]->data + first * t->width);
    }
    return MBR_OK;
}

#define ROW(op_name, outputs, which)                                                                                   \
    { .domain = "ai.onnx.ml", .name = op_name, .since = 1, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = outputs, \
      .infer = infer, .init = init, .prepare = prepare, .run = run, .fini = fini, .state_size = sizeof(state),         \
      .param = which }

const mbr_op mbr_ops_linear_models[] = {
    ROW("LinearClassifier", 2, CLASSIFIER),
    ROW("LinearRegressor", 1, REGRESSOR),
    { 0 },
};
