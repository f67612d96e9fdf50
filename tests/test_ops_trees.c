/* SPDX-License-Identifier: BSD-2-Clause */
/* What trees mean at the edges: equality, NaN, infinities, modes; classes; and files that are no trees. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "mbr/mbr.h"
#include "tests/onnx_writer.h"

#include <check.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>

static mbr_env *env;
static mbr_error err;

static void setup(void)
{
    ck_assert_int_eq(mbr_env_new(NULL, &env, &err), MBR_OK);
}

static void teardown(void)
{
    mbr_env_release(&env);
}

/* --- attributes --- */

static void attr_ints(wire *n, const char *name, const int64_t *v, size_t count)
{
    wire a = { 0 };
    wire_text(&a, 1, name);
    for (size_t i = 0; i < count; i++)
        wire_int(&a, 8, v[i]);
    wire_int(&a, 20, 7);
    wire_message(n, 5, &a);
}

static void attr_floats(wire *n, const char *name, const float *v, size_t count)
{
    wire a = { 0 };
    wire_text(&a, 1, name);
    for (size_t i = 0; i < count; i++)
        wire_float(&a, 7, v[i]);
    wire_int(&a, 20, 6);
    wire_message(n, 5, &a);
}

static void attr_strings(wire *n, const char *name, const char *const *v, size_t count)
{
    wire a = { 0 };
    wire_text(&a, 1, name);
    for (size_t i = 0; i < count; i++)
        wire_text(&a, 9, v[i]);
    wire_int(&a, 20, 8);
    wire_message(n, 5, &a);
}

static void attr_int(wire *n, const char *name, int64_t v)
{
    wire a = { 0 };
    wire_text(&a, 1, name);
    wire_int(&a, 3, v);
    wire_int(&a, 20, 2);
    wire_message(n, 5, &a);
}

static void attr_string(wire *n, const char *name, const char *v)
{
    wire a = { 0 };
    wire_text(&a, 1, name);
    wire_text(&a, 4, v);
    wire_int(&a, 20, 3);
    wire_message(n, 5, &a);
}

/* --- models --- */

/* A forest in flat arrays, as TreeEnsembleRegressor and -Classifier have it. */
typedef struct forest {
    size_t nodes, votes;
    int64_t tree[8], id[8], feature[8], yes[8], no[8], missing[8];
    float value[8];
    const char *mode[8];
    int64_t vote_tree[8], vote_node[8], vote_target[8];
    float weight[8];
    bool has_missing;
} forest;

/* x[0] MODE value ? 1 : -1 */
static forest stump(const char *mode, float value, bool has_missing, bool missing_true)
{
    return (forest){ .nodes = 3, .votes = 2, .id = { 0, 1, 2 }, .yes = { 1 }, .no = { 2 }, .missing = { missing_true },
                     .value = { value }, .mode = { mode, "LEAF", "LEAF" }, .vote_node = { 1, 2 }, .weight = { 1, -1 },
                     .has_missing = has_missing };
}

static wire forest_node(const forest *f, bool classifier)
{
    wire n = wire_node("trees", "ai.onnx.ml", classifier ? "TreeEnsembleClassifier" : "TreeEnsembleRegressor", "X",
                       classifier ? "Y Z" : "Y");
    const char *prefix = classifier ? "class" : "target";
    char name[32];
    attr_ints(&n, "nodes_treeids", f->tree, f->nodes);
    attr_ints(&n, "nodes_nodeids", f->id, f->nodes);
    attr_ints(&n, "nodes_featureids", f->feature, f->nodes);
    attr_ints(&n, "nodes_truenodeids", f->yes, f->nodes);
    attr_ints(&n, "nodes_falsenodeids", f->no, f->nodes);
    attr_floats(&n, "nodes_values", f->value, f->nodes);
    attr_strings(&n, "nodes_modes", f->mode, f->nodes);
    if (f->has_missing)
        attr_ints(&n, "nodes_missing_value_tracks_true", f->missing, f->nodes);
    snprintf(name, sizeof name, "%s_treeids", prefix);
    attr_ints(&n, name, f->vote_tree, f->votes);
    snprintf(name, sizeof name, "%s_nodeids", prefix);
    attr_ints(&n, name, f->vote_node, f->votes);
    snprintf(name, sizeof name, "%s_ids", prefix);
    attr_ints(&n, name, f->vote_target, f->votes);
    snprintf(name, sizeof name, "%s_weights", prefix);
    attr_floats(&n, name, f->weight, f->votes);
    return n;
}

/* X (N, columns) of the dtype through one node to outputs of those types. Takes over the node. */
static wire model_of(wire *node, int x_type, int64_t columns, int y_type, bool scores)
{
    wire graph = { 0 };
    const int64_t x_dims[] = { -1, columns, -2 }, y_dims[] = { -1, -2 }, z_dims[] = { -1, 2, -2 };
    wire_message(&graph, 1, node);
    wire_text(&graph, 2, "g");
    wire x = wire_value_info("X", x_type, x_dims), y = wire_value_info("Y", y_type, scores ? y_dims : z_dims);
    wire_message(&graph, 11, &x);
    if (!scores) { /* the shape is the operator's to say */
        wire_free(&y);
        const int64_t one[] = { -1, 1, -2 };
        y = wire_value_info("Y", y_type, one);
    }
    wire_message(&graph, 12, &y);
    if (scores) {
        wire z = wire_value_info("Z", 1, z_dims);
        wire_message(&graph, 12, &z);
    }
    wire m = wire_model(8, 17, &graph);
    wire_opset(&m, "ai.onnx.ml", 3);
    return m;
}

static mbr_status open_model(wire *m, mbr_model **model)
{
    mbr_status st = mbr_model_open_memory(env, m->data, m->size, NULL, model, &err);
    if (st != MBR_OK)
        wire_free(m);
    return st;
}

/* Runs rows through a model and copies the outputs; frees the model and its bytes. */
static void run(wire *m, mbr_dtype dtype, const void *rows, int64_t n, int64_t columns, float *y, int64_t *labels)
{
    mbr_model *model;
    mbr_session *s;
    mbr_value *x;
    const int64_t dims[2] = { n, columns };
    ck_assert_msg(open_model(m, &model) == MBR_OK, "%s", err.text);
    ck_assert_int_eq(mbr_session_new(model, NULL, &s, &err), MBR_OK);
    ck_assert_int_eq(mbr_tensor_new(env, dtype, 2, dims, &x, &err), MBR_OK);
    memcpy(mbr_tensor_data(x), rows, mbr_tensor_bytes(x));
    ck_assert_int_eq(mbr_session_bind_input(s, 0, x, &err), MBR_OK);
    ck_assert_msg(mbr_session_run(s, &err) == MBR_OK, "%s", err.text);
    const mbr_value *first = mbr_session_output(s, 0), *scores = labels ? mbr_session_output(s, 1) : first;
    if (labels)
        memcpy(labels, mbr_tensor_const_data(first), mbr_tensor_bytes(first));
    memcpy(y, mbr_tensor_const_data(scores), mbr_tensor_bytes(scores));
    mbr_session_release(&s);
    mbr_model_release(&model);
    mbr_value_release(&x);
    wire_free(m);
}

/* --- tests --- */

/* Values around a threshold of 1, as x, and what each mode makes of them: 1 is the true branch. */
static const float around[] = { 0, 1, 2, INFINITY, -INFINITY };
static const struct {
    const char *mode;
    int answer[5];
    int nan; /* without missing_value_tracks_true */
} modes[] = { { "BRANCH_LEQ", { 1, 1, 0, 0, 1 }, 0 }, { "BRANCH_LT", { 1, 0, 0, 0, 1 }, 0 },
              { "BRANCH_GTE", { 0, 1, 1, 1, 0 }, 0 }, { "BRANCH_GT", { 0, 0, 1, 1, 0 }, 0 },
              { "BRANCH_EQ", { 0, 1, 0, 0, 0 }, 0 },  { "BRANCH_NEQ", { 1, 0, 1, 1, 1 }, 1 } };

START_TEST(compares)
{
    const char *mode = modes[_i].mode;
    for (int missing = 0; missing < 3; missing++) { /* not said, false, true */
        /* enough rows for the kernels that take many at once, the NaN among plain rows */
        float x[70], y[70];
        for (int i = 0; i < 70; i++)
            x[i] = i % 7 == 6 ? NAN : around[i % 5];
        forest f = stump(mode, 1, missing > 0, missing == 2);
        wire n = forest_node(&f, false);
        attr_int(&n, "n_targets", 1);
        wire m = model_of(&n, 1, 1, 1, false);
        run(&m, MBR_DTYPE_F32, x, 70, 1, y, NULL);
        for (int i = 0; i < 70; i++) {
            int want = isnan(x[i]) ? modes[_i].nan || missing == 2 : modes[_i].answer[i % 5];
            ck_assert_msg(y[i] == (want ? 1.0f : -1.0f), "%s, missing %d, x = %g: %g", mode, missing, (double)x[i],
                          (double)y[i]);
        }
    }
}
END_TEST

/* The neighbours of a threshold in f32 fall on the right sides, and f64 rows compare in f64. */
START_TEST(compares_next_to_the_threshold)
{
    const float v = 0.1f, x[] = { nextafterf(v, 0), v, nextafterf(v, 1) };
    const double wide[] = { nextafter((double)v, 0), (double)v, nextafter((double)v, 1) };
    static const int want[2][3] = { { 1, 1, 0 }, { 1, 0, 0 } };
    for (int strict = 0; strict < 2; strict++)
        for (int is_wide = 0; is_wide < 2; is_wide++) {
            float y[3];
            forest f = stump(strict ? "BRANCH_LT" : "BRANCH_LEQ", v, false, false);
            wire n = forest_node(&f, false);
            attr_int(&n, "n_targets", 1);
            wire m = model_of(&n, is_wide ? 11 : 1, 1, 1, false);
            run(&m, is_wide ? MBR_DTYPE_F64 : MBR_DTYPE_F32, is_wide ? (const void *)wide : x, 3, 1, y, NULL);
            for (int i = 0; i < 3; i++)
                ck_assert_msg(y[i] == (want[strict][i] ? 1.0f : -1.0f), "strict %d wide %d row %d: %g", strict, is_wide,
                              i, (double)y[i]);
        }
}
END_TEST

/* A zero threshold: both zeros are equal to it, the least denormals are not. */
START_TEST(compares_with_zero)
{
    const float tiny = 1e-45f, x[] = { -tiny, -0.0f, 0.0f, tiny };
    static const int want[] = { 1, 0, 0, 0 };
    float y[4];
    forest f = stump("BRANCH_LT", 0, false, false);
    wire n = forest_node(&f, false);
    attr_int(&n, "n_targets", 1);
    wire m = model_of(&n, 1, 1, 1, false);
    run(&m, MBR_DTYPE_F32, x, 4, 1, y, NULL);
    for (int i = 0; i < 4; i++)
        ck_assert_msg(y[i] == (want[i] ? 1.0f : -1.0f), "%d: %g", i, (double)y[i]);
}
END_TEST

START_TEST(integers_are_rows_too)
{
    const int64_t x[] = { 0, 1, 2 };
    float y[3];
    forest f = stump("BRANCH_LEQ", 1, false, false);
    wire n = forest_node(&f, false);
    attr_int(&n, "n_targets", 1);
    wire m = model_of(&n, 7, 1, 1, false);
    run(&m, MBR_DTYPE_I64, x, 3, 1, y, NULL);
    ck_assert(y[0] == 1 && y[1] == 1 && y[2] == -1);
}
END_TEST

/* Two stumps on one feature: how each function joins 3 and 5, or -3 and -5. */
START_TEST(aggregates)
{
    static const struct {
        const char *function;
        float low, high;
    } cases[] = { { "SUM", 8, -8 }, { "AVERAGE", 4, -4 }, { "MIN", 3, -5 }, { "MAX", 5, -3 } };
    const float x[] = { 0, 2 };
    float y[2];
    forest f = { .nodes = 6, .votes = 4, .tree = { 0, 0, 0, 1, 1, 1 }, .id = { 0, 1, 2, 0, 1, 2 }, .yes = { 1, 0, 0, 1 },
                 .no = { 2, 0, 0, 2 }, .value = { 1, 0, 0, 1 },
                 .mode = { "BRANCH_LEQ", "LEAF", "LEAF", "BRANCH_LEQ", "LEAF", "LEAF" }, .vote_tree = { 0, 0, 1, 1 },
                 .vote_node = { 1, 2, 1, 2 }, .weight = { 3, -3, 5, -5 } };
    wire n = forest_node(&f, false);
    attr_int(&n, "n_targets", 1);
    attr_string(&n, "aggregate_function", cases[_i].function);
    attr_floats(&n, "base_values", (const float[]){ 0.5f }, 1);
    wire m = model_of(&n, 1, 1, 1, false);
    run(&m, MBR_DTYPE_F32, x, 2, 1, y, NULL);
    ck_assert_msg(y[0] == cases[_i].low + 0.5f && y[1] == cases[_i].high + 0.5f, "%g %g", (double)y[0], (double)y[1]);
}
END_TEST

/* Two classes with one set of votes: the weights' signs decide what a score means. */
START_TEST(classifies_two)
{
    const float x[] = { 0, 2 };
    float z[4];
    int64_t labels[2];
    forest f = stump("BRANCH_LEQ", 1, false, false);
    if (_i == 1) { /* probabilities */
        f.weight[0] = 0.75f;
        f.weight[1] = 0.25f;
    }
    wire n = forest_node(&f, true);
    attr_ints(&n, "classlabels_int64s", (const int64_t[]){ 10, 20 }, 2);
    if (_i == 2)
        attr_string(&n, "post_transform", "LOGISTIC");
    wire m = model_of(&n, 1, 1, 7, true);
    run(&m, MBR_DTYPE_F32, x, 2, 1, z, labels);
    ck_assert(labels[0] == 20 && labels[1] == 10);
    static const float want[3][4] = { { -1, 1, 1, -1 },
                                      { 0.25f, 0.75f, 0.75f, 0.25f },
                                      { 0.26894143f, 0.7310586f, 0.7310586f, 0.26894143f } };
    for (int i = 0; i < 4; i++)
        ck_assert_msg(fabsf(z[i] - want[_i][i]) < 1e-6f, "%d: %g", i, (double)z[i]);
}
END_TEST

/* Refused while the model is opened, with a word in the message. */
static void refused(const forest *f, const char *word)
{
    mbr_model *model = NULL;
    wire n = forest_node(f, false);
    attr_int(&n, "n_targets", 1);
    wire m = model_of(&n, 1, 1, 1, false);
    ck_assert_int_eq(open_model(&m, &model), MBR_ERR_MODEL);
    ck_assert_msg(strstr(err.text, word) != NULL, "'%s' is not in: %s", word, err.text);
}

START_TEST(refuses_what_is_no_tree)
{
    forest f = stump("BRANCH_LEQ", 1, false, false);
    f.no[0] = 7;
    refused(&f, "not there");
    f = stump("BRANCH_LEQ", 1, false, false);
    f.no[0] = 1; /* both branches to one leaf */
    refused(&f, "two ways");
    f = stump("BRANCH_LEQ", 1, false, false);
    f.nodes = 4;
    f.mode[2] = "BRANCH_LEQ"; /* leads back to the first node: there is no root */
    f.mode[3] = "LEAF";
    f.id[3] = 3;
    f.yes[2] = 0;
    f.no[2] = 3;
    refused(&f, "root");
    f = stump("BRANCH_MAYBE", 1, false, false);
    refused(&f, "BRANCH_MAYBE");
    f = stump("BRANCH_LEQ", 1, false, false);
    f.vote_target[1] = 1;
    refused(&f, "target");
    f = stump("BRANCH_LEQ", 1, false, false);
    f.vote_node[1] = 9;
    refused(&f, "not there");
    f = stump("BRANCH_LEQ", 1, false, false);
    f.id[2] = 1;
    refused(&f, "two nodes");
    f = stump("BRANCH_LEQ", 1, false, false);
    f.feature[0] = -1;
    refused(&f, "nodes_featureids");
}
END_TEST

/* Targets that no leaf names take memory, too: there are not any number of them. */
START_TEST(refuses_too_many_targets)
{
    static const int64_t counts[] = { 0, -1, (1 << 20) + 1, INT64_C(1) << 31, INT64_MAX };
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        forest f = stump("BRANCH_LEQ", 1, false, false);
        mbr_model *model = NULL;
        wire n = forest_node(&f, false);
        attr_int(&n, "n_targets", counts[i]);
        wire m = model_of(&n, 1, 1, 1, false);
        ck_assert_int_eq(open_model(&m, &model), MBR_ERR_MODEL);
        ck_assert_msg(strstr(err.text, "n_targets"), "%s", err.text);
        wire_free(&m);
    }
}
END_TEST

/* Fewer columns than the trees ask for: found when the run's shapes are known. */
START_TEST(refuses_narrow_rows)
{
    mbr_model *model;
    mbr_session *s;
    mbr_value *x;
    const int64_t dims[2] = { 4, 1 };
    forest f = stump("BRANCH_LEQ", 1, false, false);
    f.feature[0] = 3;
    wire n = forest_node(&f, false);
    attr_int(&n, "n_targets", 1);
    wire m = model_of(&n, 1, 1, 1, false);
    ck_assert_msg(open_model(&m, &model) == MBR_OK, "%s", err.text);
    ck_assert_int_eq(mbr_session_new(model, NULL, &s, &err), MBR_OK);
    ck_assert_int_eq(mbr_tensor_new(env, MBR_DTYPE_F32, 2, dims, &x, &err), MBR_OK);
    ck_assert_int_eq(mbr_session_bind_input(s, 0, x, &err), MBR_OK);
    ck_assert_int_eq(mbr_session_run(s, &err), MBR_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "1 features"));
    mbr_session_release(&s);
    mbr_model_release(&model);
    mbr_value_release(&x);
    wire_free(&m);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("trees");
    TCase *c = tcase_create("trees");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_loop_test(c, compares, 0, 6);
    tcase_add_test(c, compares_next_to_the_threshold);
    tcase_add_test(c, compares_with_zero);
    tcase_add_test(c, integers_are_rows_too);
    tcase_add_loop_test(c, aggregates, 0, 4);
    tcase_add_loop_test(c, classifies_two, 0, 3);
    tcase_add_test(c, refuses_what_is_no_tree);
    tcase_add_test(c, refuses_too_many_targets);
    tcase_add_test(c, refuses_narrow_rows);
    suite_add_tcase(suite, c);
    SRunner *r = srunner_create(suite);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
