/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What features add to a score: equal to a plain walk of the same trees, and in sum to the model's own raw score; what
 * is learned from rows, kept in a file and refused; which models cannot be explained.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "base/env.h"
#include "mbr/explain.h"
#include "mbr/mbr.h"
#include "tests/onnx_writer.h"
#include "tests/random.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define FEATURES 30
#define TREES 300
#define DEPTH 6
#define NODES ((2 << DEPTH) - 1)
#define MOST (TREES * NODES)

static mbr_env *env;
static mbr_error err;

static void setup(void)
{
    mbr_env_options o = { .size = sizeof o, .threads = 1 };
    ck_assert_int_eq(mbr_env_new(&o, &env, &err), MBR_OK);
}

static void teardown(void)
{
    mbr_env_release(&env);
}

/* ---- forests ---- */

enum { LEQ, LT, GTE, GT, EQ, NEQ, LEAF };
static const char *const modes[] = { "BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ",
                                     "LEAF" };

static struct {
    int trees, count, targets;
    int64_t tree[MOST], id[MOST], feature[MOST], yes[MOST], no[MOST], missing[MOST];
    int mode[MOST];
    float value[MOST], weight[MOST], hits[MOST];
    int root[TREES];
    /* by the test itself */
    double expected[MOST], cover[MOST];
} forest;

typedef struct style {
    int trees, depth, modes; /* modes: how many of the list are used */
    bool whole, missing, wide, average, hits, classifier;
} style;

static int grow_node(const style *s, int tree, int first, int depth)
{
    int k = forest.count++;
    forest.tree[k] = tree;
    forest.id[k] = k - first;
    forest.missing[k] = s->missing && random_below(2);
    forest.weight[k] = random_real();
    forest.hits[k] = 1 + (float)random_below(100);
    forest.feature[k] = forest.yes[k] = forest.no[k] = 0;
    forest.value[k] = 0;
    forest.mode[k] = LEAF;
    if (depth == 0 || (!s->whole && depth < s->depth && random_below(5) == 0))
        return k;
    forest.mode[k] = random_below(s->modes);
    forest.feature[k] = random_below(FEATURES);
    forest.value[k] = (float)random_below(21) / 10 - 1;
    int yes = grow_node(s, tree, first, depth - 1), no = grow_node(s, tree, first, depth - 1);
    forest.yes[k] = yes - first;
    forest.no[k] = no - first;
    forest.hits[k] = forest.hits[yes] + forest.hits[no];
    return k;
}

static void grow(const style *s)
{
    forest.count = 0;
    forest.trees = s->trees;
    for (int t = 0; t < s->trees; t++)
        forest.root[t] = grow_node(s, t, forest.count, s->depth);
}

static void attr(wire *n, const char *name, int type, wire *values)
{
    wire a = { 0 };
    wire_text(&a, 1, name);
    wire_raw(&a, values->data, values->size);
    wire_int(&a, 20, type);
    wire_message(n, 5, &a);
    wire_free(values);
}

static void attr_ints(wire *n, const char *name, const int64_t *v, int count)
{
    wire w = { 0 };
    for (int i = 0; i < count; i++)
        wire_int(&w, 8, v[i]);
    attr(n, name, 7, &w);
}

static void attr_floats(wire *n, const char *name, const float *v, int count)
{
    wire w = { 0 };
    for (int i = 0; i < count; i++)
        wire_float(&w, 7, v[i]);
    attr(n, name, 6, &w);
}

static void attr_text(wire *n, const char *name, const char *text)
{
    wire w = { 0 };
    wire_text(&w, 4, text);
    attr(n, name, 3, &w);
}

static void attr_int(wire *n, const char *name, int64_t v)
{
    wire w = { 0 };
    wire_int(&w, 3, v);
    attr(n, name, 2, &w);
}

/* A node of the forest, regressor or classifier of two classes with one set of scores. */
static wire forest_node(const style *s)
{
    wire n = wire_node("forest", "ai.onnx.ml", s->classifier ? "TreeEnsembleClassifier" : "TreeEnsembleRegressor", "x",
                       s->classifier ? "label y" : "y");
    const char *lead = s->classifier ? "class" : "target";
    static int64_t tree[MOST], id[MOST], target[MOST];
    static float weight[MOST];
    char name[40];
    wire words = { 0 };
    int votes = 0;
    attr_ints(&n, "nodes_treeids", forest.tree, forest.count);
    attr_ints(&n, "nodes_nodeids", forest.id, forest.count);
    attr_ints(&n, "nodes_featureids", forest.feature, forest.count);
    attr_ints(&n, "nodes_truenodeids", forest.yes, forest.count);
    attr_ints(&n, "nodes_falsenodeids", forest.no, forest.count);
    attr_ints(&n, "nodes_missing_value_tracks_true", forest.missing, forest.count);
    attr_floats(&n, "nodes_values", forest.value, forest.count);
    if (s->hits)
        attr_floats(&n, "nodes_hitrates", forest.hits, forest.count);
    for (int i = 0; i < forest.count; i++) {
        wire_text(&words, 9, modes[forest.mode[i]]);
        if (forest.mode[i] != LEAF)
            continue;
        tree[votes] = forest.tree[i];
        id[votes] = forest.id[i];
        target[votes] = 0;
        weight[votes++] = forest.weight[i];
    }
    attr(&n, "nodes_modes", 8, &words);
    snprintf(name, sizeof name, "%s_treeids", lead);
    attr_ints(&n, name, tree, votes);
    snprintf(name, sizeof name, "%s_nodeids", lead);
    attr_ints(&n, name, id, votes);
    snprintf(name, sizeof name, "%s_ids", lead);
    attr_ints(&n, name, target, votes);
    snprintf(name, sizeof name, "%s_weights", lead);
    attr_floats(&n, name, weight, votes);
    const float base = 0.25f;
    attr_floats(&n, "base_values", &base, 1);
    if (s->classifier) {
        const int64_t labels[] = { 0, 1 };
        attr_ints(&n, "classlabels_int64s", labels, 2);
    } else {
        attr_int(&n, "n_targets", 1);
        attr_text(&n, "aggregate_function", s->average ? "AVERAGE" : "SUM");
    }
    return n;
}

/* Takes over the nodes. */
static wire model_of(wire *node, wire *other, int dtype, int width, int out_width, bool labels)
{
    const int64_t in[] = { -1, width, -2 }, out[] = { -1, out_width, -2 }, label[] = { -1, -2 };
    wire g = { 0 };
    wire_message(&g, 1, node);
    if (other)
        wire_message(&g, 1, other);
    wire_text(&g, 2, "graph");
    wire x = wire_value_info("x", dtype, in), y = wire_value_info("y", 1, out);
    wire_message(&g, 11, &x);
    wire_message(&g, 12, &y);
    if (labels) {
        wire l = wire_value_info("label", 7, label);
        wire_message(&g, 12, &l);
    }
    wire m = wire_model(8, 17, &g);
    wire_opset(&m, "ai.onnx.ml", 3);
    return m;
}

static mbr_model *open_model(const wire *m)
{
    mbr_model *model;
    ck_assert_msg(mbr_model_open_memory(env, m->data, m->size, NULL, &model, &err) == MBR_OK, "%s", err.text);
    return model;
}

static mbr_explainer *explain(mbr_model *model, const mbr_explainer_options *o)
{
    mbr_explainer *e;
    ck_assert_msg(mbr_explainer_new(model, o, &e, &err) == MBR_OK, "%s", err.text);
    return e;
}

/* ---- the plain walk ---- */

static bool holds(int k, double x)
{
    double t = (double)forest.value[k];
    bool yes[] = { x <= t, x < t, x >= t, x > t, x == t, x != t };
    return yes[forest.mode[k]] || (isnan(x) && forest.missing[k]);
}

static int child(int k, bool yes)
{
    return (int)(k - forest.id[k] + (yes ? forest.yes[k] : forest.no[k]));
}

/* How leaves are weighed: uniform, by hits, by rows that came (cover is filled before). */
static void expect(int k, mbr_explain_weights how)
{
    if (forest.mode[k] == LEAF) {
        forest.expected[k] = (double)forest.weight[k];
        if (how != MBR_EXPLAIN_ROWS)
            forest.cover[k] = how == MBR_EXPLAIN_HITS ? (double)forest.hits[k] : 1;
        return;
    }
    int a = child(k, true), b = child(k, false);
    expect(a, how);
    expect(b, how);
    if (how != MBR_EXPLAIN_ROWS)
        forest.cover[k] = forest.cover[a] + forest.cover[b];
    forest.expected[k] = (forest.cover[a] * forest.expected[a] + forest.cover[b] * forest.expected[b]) /
                         forest.cover[k];
}

/* Contributions of a row and the base. */
static double plain(const style *s, const double *x, double *contributions)
{
    double base = 0.25, scale = s->average ? 1.0 / s->trees : 1;
    memset(contributions, 0, FEATURES * sizeof *contributions);
    for (int t = 0; t < s->trees; t++) {
        int k = forest.root[t];
        base += forest.expected[k] * scale;
        while (forest.mode[k] != LEAF) {
            int to = child(k, holds(k, x[forest.feature[k]]));
            contributions[forest.feature[k]] += (forest.expected[to] - forest.expected[k]) * scale;
            k = to;
        }
    }
    return base;
}

static void draw_row(const style *s, double *x)
{
    for (int i = 0; i < FEATURES; i++) {
        x[i] = random_below(8) == 0 ? (double)((float)random_below(21) / 10 - 1) : (double)random_real();
        if (s->missing && random_below(6) == 0)
            x[i] = NAN;
    }
}

/* What the model itself says. */
static double run_model(mbr_session *session, const style *s, const double *x)
{
    const int64_t dims[] = { 1, FEATURES };
    mbr_value *in;
    ck_assert_int_eq(mbr_tensor_new(env, s->wide ? MBR_DTYPE_F64 : MBR_DTYPE_F32, 2, dims, &in, &err), MBR_OK);
    for (int i = 0; i < FEATURES; i++)
        if (s->wide)
            ((double *)mbr_tensor_data(in))[i] = x[i];
        else
            ((float *)mbr_tensor_data(in))[i] = (float)x[i];
    ck_assert_int_eq(mbr_session_bind_input(session, 0, in, &err), MBR_OK);
    ck_assert_msg(mbr_session_run(session, &err) == MBR_OK, "%s", err.text);
    const float *y = mbr_tensor_const_data(mbr_session_output(session, 0));
    double score = (double)y[s->classifier];
    mbr_value_release(&in);
    return score;
}

static const style styles[] = {
    { TREES, DEPTH, 1, true, false, false, false, false, false },
    { 60, 5, 4, false, true, false, false, true, false },
    { 41, 6, 6, false, true, false, true, false, false },
    { 30, 4, 6, false, true, true, false, true, false },
    { 17, 3, 2, false, true, false, false, false, true },
    { 1, 0, 1, false, false, false, false, false, false },
};

START_TEST(trees_add_up)
{
    const style *s = &styles[_i];
    mbr_session *session;
    mbr_explainer_facts facts = { .size = sizeof facts };
    double x[FEATURES], want[FEATURES], got[FEATURES], score;
    random_seed("trees_add_up");
    grow(s);
    wire n = forest_node(s), m = model_of(&n, NULL, s->wide ? 11 : 1, FEATURES, 1 + s->classifier, s->classifier);
    mbr_model *model = open_model(&m);
    mbr_explainer *e = explain(model, NULL);
    ck_assert_int_eq(mbr_session_new(model, NULL, &session, &err), MBR_OK);
    mbr_explainer_get_facts(e, &facts);
    ck_assert_str_eq(facts.node, "forest");
    ck_assert_int_eq(facts.features, FEATURES);
    ck_assert_int_eq(facts.trees, s->trees);
    mbr_explain_weights how = s->hits ? MBR_EXPLAIN_HITS : MBR_EXPLAIN_UNIFORM;
    ck_assert_int_eq((int)facts.weights, (int)how);
    for (int t = 0; t < s->trees; t++)
        expect(forest.root[t], how);
    for (int r = 0; r < 200; r++) {
        draw_row(s, x);
        double base = plain(s, x, want), raw = run_model(session, s, x);
        mbr_explain_row(e, x, got, &score);
        ck_assert_double_le(fabs(base - facts.base), 1e-9);
        ck_assert_msg(fabs(score - raw) <= 1e-6 * (1 + fabs(raw)), "%.9g, and the model says %.9g", score, raw);
        for (int i = 0; i < FEATURES; i++)
            ck_assert_msg(fabs(got[i] - want[i]) <= 1e-9, "feature %d: %.12g, not %.12g", i, got[i], want[i]);
    }
    mbr_session_release(&session);
    mbr_explainer_release(&e);
    mbr_model_release(&model);
    wire_free(&m);
}
END_TEST

START_TEST(how_long_it_takes)
{
    const style *s = &styles[0];
    double x[64][FEATURES], got[FEATURES], best = 1e9;
    random_seed("how_long_it_takes");
    grow(s);
    wire n = forest_node(s), m = model_of(&n, NULL, 1, FEATURES, 1, false);
    mbr_model *model = open_model(&m);
    mbr_explainer *e = explain(model, NULL);
    for (int r = 0; r < 64; r++)
        draw_row(s, x[r]);
    for (int round = 0; round < 20; round++) {
        struct timespec a, b;
        clock_gettime(CLOCK_MONOTONIC, &a);
        for (int r = 0; r < 64; r++)
            mbr_explain_row(e, x[r], got, NULL);
        clock_gettime(CLOCK_MONOTONIC, &b);
        best = fmin(best, ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / 64);
    }
    printf("%d trees of depth %d: %.2f us a row\n", TREES, DEPTH, best / 1000);
    mbr_explainer_release(&e);
    mbr_model_release(&model);
    wire_free(&m);
}
END_TEST

/* ---- learning ---- */

static void count_row(const style *s, const double *x)
{
    for (int t = 0; t < s->trees; t++) {
        int k = forest.root[t];
        forest.cover[k]++;
        while (forest.mode[k] != LEAF) {
            k = child(k, holds(k, x[forest.feature[k]]));
            forest.cover[k]++;
        }
    }
}

static void spoil(const char *path, long at)
{
    FILE *f = fopen(path, "r+b");
    ck_assert_ptr_nonnull(f);
    fseek(f, at, SEEK_SET);
    int c = fgetc(f);
    fseek(f, at, SEEK_SET);
    fputc(c ^ 1, f);
    fclose(f);
}

START_TEST(learned_from_rows)
{
    const style s = { 25, 3, 4, false, true, false, false, true, false };
    double x[FEATURES], want[FEATURES], got[FEATURES], score;
    char path[100];
    random_seed("learned_from_rows");
    snprintf(path, sizeof path, "test_explain.%ld.tmp", (long)getpid());
    grow(&s);
    wire n = forest_node(&s), m = model_of(&n, NULL, 1, FEATURES, 1, false);
    mbr_model *model = open_model(&m);
    mbr_explainer_options learning = { .size = sizeof learning, .learning = 1 };
    mbr_explainer_options learned = { .size = sizeof learned, .learned = path };
    mbr_explainer *e = explain(model, &learning), *none = NULL;
    memset(forest.cover, 0, sizeof forest.cover);
    for (int r = 0; r < 2000; r++) {
        draw_row(&s, x);
        count_row(&s, x);
        ck_assert_int_eq(mbr_explainer_learn(e, x, &err), MBR_OK);
    }
    bool all = true; /* the plain walk knows no nodes that no row came by */
    for (int k = 0; k < forest.count; k++)
        all &= forest.cover[k] > 0;
    ck_assert_msg(mbr_explainer_save(e, path, &err) == MBR_OK, "%s", err.text);
    mbr_explainer_release(&e);
    e = explain(model, &learned);
    mbr_explainer_facts facts = { .size = sizeof facts };
    mbr_explainer_get_facts(e, &facts);
    ck_assert_int_eq((int)facts.weights, MBR_EXPLAIN_ROWS);
    ck_assert_uint_eq(facts.rows, 2000);
    for (int t = 0; t < s.trees && all; t++)
        expect(forest.root[t], MBR_EXPLAIN_ROWS);
    for (int r = 0; r < 100; r++) {
        draw_row(&s, x);
        mbr_explain_row(e, x, got, &score);
        double sum = facts.base;
        for (int i = 0; i < FEATURES; i++)
            sum += got[i];
        ck_assert_double_le(fabs(sum - score), 1e-12);
        if (!all)
            continue;
        ck_assert_double_le(fabs(plain(&s, x, want) - facts.base), 1e-9);
        for (int i = 0; i < FEATURES; i++)
            ck_assert_double_le(fabs(got[i] - want[i]), 1e-9);
    }
    mbr_explainer_release(&e);
    /* damaged, cut short, of another model, no such file, not one at all */
    spoil(path, 500);
    ck_assert_int_eq(mbr_explainer_new(model, &learned, &none, &err), MBR_ERR_FORMAT);
    spoil(path, 500);
    spoil(path, 33);
    ck_assert_int_eq(mbr_explainer_new(model, &learned, &none, &err), MBR_ERR_MODEL);
    spoil(path, 33);
    ck_assert_int_eq(truncate(path, 700), 0);
    ck_assert_int_eq(mbr_explainer_new(model, &learned, &none, &err), MBR_ERR_FORMAT);
    spoil(path, 0);
    ck_assert_int_eq(mbr_explainer_new(model, &learned, &none, &err), MBR_ERR_FORMAT);
    remove(path);
    ck_assert_int_eq(mbr_explainer_new(model, &learned, &none, &err), MBR_ERR_IO);
    ck_assert_ptr_null(none);
    mbr_model_release(&model);
    wire_free(&m);
}
END_TEST

/* ---- linear models ---- */

static wire linear_node(bool classifier)
{
    wire n = wire_node("linear", "ai.onnx.ml", classifier ? "LinearClassifier" : "LinearRegressor", "x",
                       classifier ? "label y" : "y");
    float c[FEATURES];
    const float b = 0.5f;
    const int64_t labels[] = { 0, 1 };
    for (int i = 0; i < FEATURES; i++)
        c[i] = (float)(i - 7) / 8;
    attr_floats(&n, "coefficients", c, FEATURES);
    attr_floats(&n, "intercepts", &b, 1);
    if (classifier)
        attr_ints(&n, "classlabels_ints", labels, 2);
    return n;
}

START_TEST(linear_models_add_up)
{
    char path[100];
    double x[FEATURES], mean[FEATURES] = { 0 }, got[FEATURES], score;
    static const style s = { .trees = 0 };
    random_seed("linear_models_add_up");
    snprintf(path, sizeof path, "test_explain_linear.%ld.tmp", (long)getpid());
    wire n = linear_node(false), m = model_of(&n, NULL, 1, FEATURES, 1, false);
    mbr_model *model = open_model(&m);
    mbr_explainer_options learning = { .size = sizeof learning, .learning = 1 };
    mbr_explainer_options learned = { .size = sizeof learned, .learned = path };
    mbr_explainer *e = explain(model, &learning);
    for (int r = 0; r < 50; r++) {
        draw_row(&s, x);
        ck_assert_int_eq(mbr_explainer_learn(e, x, &err), MBR_OK);
        for (int i = 0; i < FEATURES; i++)
            mean[i] += (double)(float)x[i] / 50;
    }
    ck_assert_int_eq(mbr_explainer_save(e, path, &err), MBR_OK);
    mbr_explainer_release(&e);
    mbr_session *session;
    ck_assert_int_eq(mbr_session_new(model, NULL, &session, &err), MBR_OK);
    for (int pass = 0; pass < 2; pass++) {
        e = explain(model, pass ? &learned : NULL);
        for (int r = 0; r < 50; r++) {
            draw_row(&s, x);
            mbr_explain_row(e, x, got, &score);
            for (int i = 0; i < FEATURES; i++)
                ck_assert_double_le(fabs(got[i] - (i - 7) / 8.0 * ((double)(float)x[i] - (pass ? mean[i] : 0))), 1e-9);
            ck_assert_double_le(fabs(score - run_model(session, &s, x)), 1e-5);
        }
        mbr_explainer_release(&e);
    }
    remove(path);
    mbr_session_release(&session);
    mbr_model_release(&model);
    wire_free(&m);
    n = linear_node(true);
    m = model_of(&n, NULL, 1, FEATURES, 2, true);
    model = open_model(&m);
    e = explain(model, NULL);
    draw_row(&s, x);
    mbr_explain_row(e, x, got, &score);
    ck_assert_double_le(fabs(got[9] - 0.25 * (double)(float)x[9]), 1e-12);
    mbr_explainer_release(&e);
    mbr_model_release(&model);
    wire_free(&m);
}
END_TEST

/* What a model does to features on the way is done here too, where attributes are left out as well. */
START_TEST(features_on_the_way)
{
    const float with = 7, none = 0;
    double x[FEATURES] = { 0, NAN, 2 }, got[FEATURES];
    mbr_explainer *e = NULL;
    for (int scaler = 0; scaler < 2; scaler++) {
        wire first = wire_node("first", "ai.onnx.ml", scaler ? "Scaler" : "Imputer", "x", "z");
        wire second = wire_node("linear", "ai.onnx.ml", "LinearRegressor", "z", "y"), m;
        const float c[FEATURES] = { 1, 1, 1 };
        attr_floats(&second, "coefficients", c, FEATURES);
        attr_floats(&first, scaler ? "scale" : "imputed_value_floats", &with, 1);
        if (scaler)
            attr_floats(&first, "offset", &none, 0);
        m = model_of(&first, &second, 1, FEATURES, 1, false);
        mbr_model *model = open_model(&m);
        if (scaler) { /* no offset at all */
            ck_assert_int_eq(mbr_explainer_new(model, NULL, &e, &err), MBR_ERR_UNSUPPORTED);
        } else { /* 0 is replaced */
            e = explain(model, NULL);
            mbr_explain_row(e, x, got, NULL);
            ck_assert(got[0] == 7 && isnan(got[1]) && got[2] == 2);
            mbr_explainer_release(&e);
        }
        mbr_model_release(&model);
        wire_free(&m);
    }
}
END_TEST

/* ---- refusals ---- */

START_TEST(what_cannot_be_explained)
{
    const style s = { 2, 2, 1, true, false, false, false, false, false };
    mbr_explainer *e = NULL;
    int input, element;
    mbr_explainer_options o = { .size = sizeof o };
    grow(&s);
    wire n = forest_node(&s), m = model_of(&n, NULL, 1, FEATURES, 1, false);
    mbr_model *model = open_model(&m);
    o.node = "other";
    ck_assert_int_eq(mbr_explainer_new(model, &o, &e, &err), MBR_ERR_UNSUPPORTED);
    ck_assert_msg(strstr(err.text, "other"), "%s", err.text);
    o.node = "forest";
    o.target = 2;
    ck_assert_int_eq(mbr_explainer_new(model, &o, &e, &err), MBR_ERR_ARGUMENT);
    o.target = 1;
    e = explain(model, &o);
    ck_assert_int_eq(mbr_explainer_feature(e, 3, &input, &element), MBR_OK);
    ck_assert_int_eq(input, 0);
    ck_assert_int_eq(element, 3);
    ck_assert_int_eq(mbr_explainer_feature(e, FEATURES, &input, &element), MBR_ERR_ARGUMENT);
    double x[FEATURES] = { 0 };
    ck_assert_int_eq(mbr_explainer_learn(e, x, &err), MBR_ERR_ARGUMENT);
    ck_assert_int_eq(mbr_explainer_save(e, "x", &err), MBR_ERR_ARGUMENT);
    mbr_explainer_release(&e);
    mbr_model_release(&model);
    wire_free(&m);
    /* the first of two classes, of trees that only score the second */
    const style two = { 2, 2, 1, true, false, false, false, false, true };
    grow(&two);
    n = forest_node(&two);
    m = model_of(&n, NULL, 1, FEATURES, 2, true);
    model = open_model(&m);
    for (o.target = 1; o.target <= 3; o.target += 2)
        ck_assert_int_eq(mbr_explainer_new(model, &o, &e, &err), MBR_ERR_ARGUMENT);
    o.target = 2;
    e = explain(model, &o);
    mbr_explainer_release(&e);
    mbr_model_release(&model);
    wire_free(&m);
    /* no trees at all */
    wire relu = wire_node("relu", "", "Relu", "x", "y");
    m = model_of(&relu, NULL, 1, FEATURES, FEATURES, false);
    model = open_model(&m);
    ck_assert_int_eq(mbr_explainer_new(model, NULL, &e, &err), MBR_ERR_UNSUPPORTED);
    mbr_model_release(&model);
    wire_free(&m);
    /* features that something else makes */
    wire first = wire_node("relu", "", "Relu", "x", "z"), second = wire_node("linear", "ai.onnx.ml", "LinearRegressor",
                                                                             "z", "y");
    const float c[FEATURES] = { 1 };
    attr_floats(&second, "coefficients", c, FEATURES);
    m = model_of(&first, &second, 1, FEATURES, 1, false);
    model = open_model(&m);
    ck_assert_int_eq(mbr_explainer_new(model, NULL, &e, &err), MBR_ERR_UNSUPPORTED);
    ck_assert_msg(strstr(err.text, "Relu"), "%s", err.text);
    mbr_model_release(&model);
    wire_free(&m);
}
END_TEST

/* Each allocation fails once. */
START_TEST(no_memory)
{
    const style s = { 9, 3, 4, true, true, false, false, true, false };
    mbr_memory *memory = mbr_env_heap(env);
    mbr_explainer *e = NULL;
    mbr_explainer_options o = { .size = sizeof o, .learning = 1 };
    bool done = false;
    grow(&s);
    wire n = forest_node(&s), m = model_of(&n, NULL, 1, FEATURES, 1, false);
    mbr_model *model = open_model(&m);
    size_t before = memory->in_use;
    for (long after = 0; !done && after < 1000; after++) {
        memory->fail_after = after;
        mbr_status st = mbr_explainer_new(model, &o, &e, &err);
        memory->fail_after = -1;
        done = st == MBR_OK;
        ck_assert_msg(done || st == MBR_ERR_NO_MEMORY, "%s", err.text);
        mbr_explainer_release(&e);
        ck_assert_uint_eq(memory->in_use, before);
    }
    ck_assert(done);
    mbr_model_release(&model);
    wire_free(&m);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("explain");
    TCase *c = tcase_create("explain");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_loop_test(c, trees_add_up, 0, (int)(sizeof styles / sizeof *styles));
    tcase_add_test(c, how_long_it_takes);
    tcase_add_test(c, learned_from_rows);
    tcase_add_test(c, linear_models_add_up);
    tcase_add_test(c, features_on_the_way);
    tcase_add_test(c, what_cannot_be_explained);
    tcase_add_test(c, no_memory);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
