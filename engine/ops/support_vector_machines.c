/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SVMClassifier and SVMRegressor. With support vectors a row meets each of them, else the coefficients are a linear
 * model. What the specification leaves open is as ONNX Runtime has it: the scores of more than two classes without
 * probabilities are those of the pairs, and a regressor has no post transform.
 */
#include "base/checked.h"
#include "engine/ops/ml.h"
#include "engine/ops/op_util.h"
#include "kernels/features.h"
#include "kernels/svm.h"

#include <string.h>

enum { CLASSIFIER, REGRESSOR };

typedef struct state {
    mbr_svm_args args;
    mbr_ml_labels labels;
    mbr_post_transform post;
    const float *coefficients, *vectors, *rho, *prob_a, *prob_b;
    size_t n_vectors, features, classes, pairs, width;
    size_t n_coefficients, n_supports, n_rho, n_prob; /* lengths of the attributes */
    bool one_class, positive;
    size_t *start; /* (classes + 1) first vector of each class */
    size_t rows, columns, per_tile;
    size_t work; /* floats that the probabilities take */
    mbr_ml_product product; /* of the kernels that are functions of a dot product */
    mbr_act act;            /* TANH: as the product's activation */
    float *coef0;           /* (n_vectors) equal ones: its bias */
} state;

static mbr_status read_kernel(const mbr_ir_node *n, mbr_svm_args *a, mbr_error *err)
{
    static const char *const names[] = { "LINEAR", "POLY", "RBF", "SIGMOID" };
    size_t count;
    const char *name = mbr_attr_string(n, "kernel_type", "LINEAR");
    const float *params = mbr_attr_floats(n, "kernel_params", &count);
    if (count >= 3) {
        a->gamma = params[0];
        a->coef0 = params[1];
        a->degree = params[2];
    }
    for (size_t i = 0; i < MBR_COUNT_OF(names); i++)
        if (strcmp(name, names[i]) == 0) {
            a->kernel = (mbr_svm_kernel)i;
            return MBR_OK;
        }
    return mbr_ir_fail(n, err, MBR_ERR_MODEL, "kernel_type '%s' is none of LINEAR, POLY, RBF, SIGMOID", name);
}

static mbr_status read_common(const mbr_ir_node *n, state *t, mbr_error *err)
{
    size_t n_b;
    t->coefficients = mbr_attr_floats(n, "coefficients", &t->n_coefficients);
    t->vectors = mbr_attr_floats(n, "support_vectors", &t->n_supports);
    t->rho = mbr_attr_floats(n, "rho", &t->n_rho);
    t->prob_a = mbr_attr_floats(n, "prob_a", &t->n_prob);
    t->prob_b = mbr_attr_floats(n, "prob_b", &n_b);
    if (t->n_coefficients == 0 || t->n_rho == 0)
        return mbr_ir_fail(n, err, MBR_ERR_MODEL, "coefficients or rho are missing");
    if (t->n_prob != n_b)
        return mbr_ir_fail(n, err, MBR_ERR_MODEL, "%zu numbers in prob_a, %zu in prob_b", t->n_prob, n_b);
    MBR_TRY(read_kernel(n, &t->args, err));
    return mbr_ml_post_transform(n, &t->post, err);
}

/* The features of a support vector; checks that they come out even. */
static mbr_status read_vectors(const mbr_ir_node *n, state *t, mbr_error *err)
{
    if (t->n_vectors > t->n_supports || t->n_supports % t->n_vectors)
        return mbr_ir_fail(n, err, MBR_ERR_MODEL, "%zu numbers for %zu support vectors", t->n_supports, t->n_vectors);
    t->features = t->n_supports / t->n_vectors;
    return MBR_OK;
}

static mbr_status read_classifier(const mbr_ir_node *n, state *t, mbr_error *err)
{
    size_t n_counts, pairs, needed;
    const int64_t *counts = mbr_attr_ints(n, "vectors_per_class", &n_counts);
    MBR_TRY(read_common(n, t, err));
    MBR_TRY(mbr_ml_labels_read(n, "classlabels_ints", &t->labels, err));
    t->classes = t->labels.n;
    if (t->classes > 65535)
        return mbr_ir_fail(n, err, MBR_ERR_LIMIT, "%zu classes; at most 65535 are possible", t->classes);
    t->pairs = pairs = t->classes * (t->classes - 1) / 2;
    t->positive = true;
    for (size_t i = 0; i < t->n_coefficients; i++)
        t->positive &= t->coefficients[i] >= 0;
    for (size_t i = 0; i < n_counts; i++) {
        if (counts[i] < 0 || (uint64_t)counts[i] > t->n_supports || t->n_vectors > t->n_supports)
            return mbr_ir_fail(n, err, MBR_ERR_MODEL, "vectors_per_class does not fit the support vectors");
        t->n_vectors += (size_t)counts[i];
    }
    if (t->n_vectors == 0) {
        if (t->n_coefficients % t->classes)
            return mbr_ir_fail(n, err, MBR_ERR_MODEL, "%zu coefficients for %zu classes", t->n_coefficients, t->classes);
        t->args.kernel = MBR_SVM_LINEAR;
        t->features = t->n_coefficients / t->classes;
        t->width = t->classes;
        t->prob_a = NULL;
        return MBR_OK;
    }
    MBR_TRY(read_vectors(n, t, err));
    if (n_counts != t->classes || t->classes < 2)
        return mbr_ir_fail(n, err, MBR_ERR_MODEL, "%zu counts in vectors_per_class for %zu classes", n_counts, t->classes);
    if (!mbr_mul_size(t->classes - 1, t->n_vectors, &needed) || t->n_coefficients < needed || t->n_rho < pairs ||
        (t->n_prob && t->n_prob < pairs))
        return mbr_ir_fail(n, err, MBR_ERR_MODEL, "coefficients, rho, prob_a or prob_b are too short for %zu classes",
                           t->classes);
    if (t->n_prob == 0)
        t->prob_a = NULL;
    t->width = t->prob_a || t->classes == 2 ? t->classes : pairs;
    return MBR_OK;
}

static mbr_status read_regressor(const mbr_ir_node *n, state *t, mbr_error *err)
{
    int64_t supports = mbr_attr_int(n, "n_supports", 0);
    MBR_TRY(read_common(n, t, err));
    t->one_class = mbr_attr_int(n, "one_class", 0) != 0;
    t->width = 1;
    if (supports <= 0) {
        t->args.kernel = MBR_SVM_LINEAR;
        t->features = t->n_coefficients;
        return MBR_OK;
    }
    t->n_vectors = (size_t)supports;
    if (t->n_coefficients != t->n_vectors)
        return mbr_ir_fail(n, err, MBR_ERR_MODEL, "%zu coefficients for %zu support vectors", t->n_coefficients,
                           t->n_vectors);
    return read_vectors(n, t, err);
}

static mbr_status infer(mbr_infer *c)
{
    state t = { 0 };
    MBR_TRY(mbr_ml_check_features(c, 0));
    bool classifier = c->node->op->param == CLASSIFIER;
    MBR_TRY(classifier ? read_classifier(c->node, &t, c->err) : read_regressor(c->node, &t, c->err));
    const mbr_dim dims[2] = { mbr_ml_rows_dim(&c->in[0]), (mbr_dim)t.width };
    if (classifier)
        mbr_infer_out(c, 0, mbr_ml_labels_dtype(&t.labels), 1, dims);
    mbr_infer_out(c, classifier, MBR_DTYPE_F32, 2, dims);
    return MBR_OK;
}

static mbr_status init_product(mbr_step *s, mbr_error *err)
{
    state *t = s->state;
    if (t->n_vectors == 0 || t->features == 0 || t->args.kernel == MBR_SVM_RBF)
        return MBR_OK;
    t->product = (mbr_ml_product){ .w = t->vectors, .columns = t->features, .n = t->n_vectors };
    if (t->args.kernel != MBR_SVM_LINEAR) {
        t->product.bias = t->coef0 = mbr_alloc(mbr_step_memory(s), t->n_vectors * sizeof(float));
        if (!t->coef0)
            return mbr_no_memory(err, t->n_vectors * sizeof(float));
        for (size_t i = 0; i < t->n_vectors; i++)
            t->coef0[i] = t->args.coef0;
    }
    t->act.kind = t->args.kernel == MBR_SVM_SIGMOID ? MBR_ACT_TANH : MBR_ACT_NONE;
    return mbr_ml_product_make(&t->product, false, mbr_step_memory(s), err);
}

static mbr_status init(mbr_step *s, mbr_error *err)
{
    state *t = s->state;
    if (s->op->param == REGRESSOR) {
        MBR_TRY(read_regressor(s->node, t, err));
        return init_product(s, err);
    }
    MBR_TRY(read_classifier(s->node, t, err));
    if (t->n_vectors == 0)
        return MBR_OK;
    MBR_TRY(init_product(s, err));
    size_t count;
    const int64_t *counts = mbr_attr_ints(s->node, "vectors_per_class", &count);
    t->start = mbr_alloc(mbr_step_memory(s), (t->classes + 1) * sizeof *t->start);
    if (!t->start)
        return mbr_no_memory(err, (t->classes + 1) * sizeof *t->start);
    t->start[0] = 0;
    for (size_t i = 0; i < t->classes; i++)
        t->start[i + 1] = t->start[i] + (size_t)counts[i];
    return MBR_OK;
}

static void fini(mbr_step *s)
{
    state *t = s->state;
    mbr_free(mbr_step_memory(s), t->start);
    mbr_free(mbr_step_memory(s), t->coef0);
    mbr_ml_product_free(&t->product);
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    state *t = s->state;
    t->rows = mbr_ml_rows(s->in[0]);
    t->columns = mbr_ml_columns(s->in[0]);
    if (t->rows && t->columns != t->features)
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "rows of %zu features; the model was made for %zu", t->columns,
                             t->features);
    double work = (double)(t->n_vectors ? t->n_vectors : t->classes) * (double)t->features * 0.11 +
                  (double)t->n_vectors * (3.5 + 0.5 * (double)t->classes);
    t->per_tile = mbr_step_split(s, t->rows, 50.0 + work);
    /* votes; a row, kernels, pairs, probabilities' work, scores */
    t->work = t->prob_a ? t->classes * (2 * t->classes + 1) : 0;
    size_t floats = t->features + t->n_vectors + t->pairs + t->work + t->width + 2;
    s->scratch = t->classes * sizeof(size_t) + floats * sizeof(float);
    if (t->product.packed)
        s->scratch += mbr_ml_product_scratch(&t->product) + MBR_ALIGN;
    return MBR_OK;
}

/* Two classes, as ONNX Runtime decides: by votes or by the highest score. */
static size_t choose_of_two(const state *t, size_t best, float most)
{
    if (t->labels.n == 2 && !t->prob_a && ((t->positive && most >= 0.5f) || (!t->positive && most > 0)))
        return 1;
    return best;
}

/* k: what the kernel made of the row's distances from the vectors, where there are any. */
static size_t classify(const state *t, const float *x, const float *k, float *pairs, size_t *votes, float *z)
{
    float *work = pairs + t->pairs;
    size_t best = 0;
    if (t->n_vectors == 0) {
        for (size_t c = 0; c < t->classes; c++)
            z[c] = mbr_dot_ref(x, t->coefficients + c * t->features, t->features) + t->rho[0];
        for (size_t c = 1; c < t->classes; c++)
            if (z[c] > z[best])
                best = c;
        size_t label = t->pairs == 1 ? choose_of_two(t, best, z[best]) : best;
        if (t->classes > 1 || t->post == MBR_POST_PROBIT)
            mbr_post_transform_ref(t->post, z, t->classes);
        return label;
    }
    mbr_svm_pairs_ref(k, t->coefficients, t->rho, t->start, t->classes, t->n_vectors, pairs, votes);
    for (size_t c = 1; c < t->classes; c++)
        if (votes[c] > votes[best])
            best = c;
    if (t->prob_a) {
        mbr_svm_probabilities_ref(pairs, t->prob_a, t->prob_b, t->classes, work, z);
        mbr_post_transform_ref(t->post, z, t->classes);
    } else if (t->classes == 2) {
        z[0] = pairs[0];
        z[1] = pairs[0];
        if (t->post == MBR_POST_NONE)
            z[0] = -z[0];
        else
            mbr_post_transform_pair(t->post, z);
    } else {
        memcpy(z, pairs, t->pairs * sizeof *z);
        mbr_post_transform_ref(t->post, z, t->pairs);
    }
    return best;
}

static float regress(const state *t, const float *x, const float *k)
{
    float y;
    size_t n = t->n_vectors ? t->n_vectors : t->features;
    mbr_features_select(mbr_cpu_tiers())->linear(t->n_vectors ? k : x, 1, n, t->coefficients, 1, t->rho, &y);
    return !t->one_class ? y : y > 0 ? 1.0f : -1.0f;
}

/* The kernel's values (rows, n_vectors) of the rows from `first` on. */
static const float *kernels_of_rows(const state *t, const mbr_value *x, size_t first, size_t rows, void *scratch)
{
    const mbr_svm_args *a = &t->args;
    float *k = mbr_ml_product_run(&t->product, x, first, rows, a->kernel == MBR_SVM_LINEAR ? 1.0f : a->gamma, t->act,
                                  scratch);
    size_t n = rows * t->n_vectors;
    if (a->kernel == MBR_SVM_POLY && a->degree == 3)
        mbr_cubes_vec(k, n);
    else if (a->kernel == MBR_SVM_POLY)
        for (size_t i = 0; i < n; i++)
            k[i] = mbr_svm_power_ref(k[i], a->degree);
    return k;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)err;
    const state *t = s->state;
    size_t *votes = job->scratch;
    float *x = (float *)(void *)(votes + t->classes), *k = x + t->features;
    float *pairs = k + t->n_vectors, *z = pairs + t->pairs + t->work;
    void *of_product = (char *)job->scratch + ((size_t)((char *)(z + t->width + 2) - (char *)job->scratch) +
                                               MBR_ALIGN - 1) / MBR_ALIGN * MBR_ALIGN;
    bool classifier = s->op->param == CLASSIFIER;
    size_t first, last, block = t->product.packed ? mbr_ml_product_rows(&t->product) : 1;
    mbr_op_items(job, t->per_tile, t->rows, &first, &last);
    const float *values = k;
    for (size_t r = first; r < last; r++) {
        if (t->product.packed) {
            if ((r - first) % block == 0)
                values = kernels_of_rows(t, s->in[0], r, last - r < block ? last - r : block, of_product);
            else
                values += t->n_vectors;
        } else {
            mbr_ml_load(s->in[0], r * t->columns, t->columns, false, x);
            if (t->n_vectors)
                mbr_svm_kernel_ref(&t->args, x, t->vectors, t->n_vectors, t->features, k);
        }
        if (!classifier) {
            ((float *)s->out[0]->data)[r] = regress(t, x, values);
            continue;
        }
        size_t label = classify(t, x, values, pairs, votes, z);
        if (mbr_step_wants(s, 0))
            mbr_ml_labels_put(&t->labels, label, s->out[0], r);
        if (mbr_step_wants(s, 1))
            memcpy((float *)s->out[1]->data + r * t->width, z, t->width * sizeof *z);
    }
    return MBR_OK;
}

#define ROW(op_name, outputs, which)                                                                                   \
    { .domain = "ai.onnx.ml", .name = op_name, .since = 1, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = outputs, \
      .infer = infer, .init = init, .prepare = prepare, .run = run, .fini = fini, .state_size = sizeof(state),         \
      .param = which }

const mbr_op mbr_ops_support_vector_machines[] = {
    ROW("SVMClassifier", 2, CLASSIFIER),
    ROW("SVMRegressor", 1, REGRESSOR),
    { 0 },
};
