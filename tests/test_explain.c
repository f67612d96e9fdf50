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

enum { LEQ, LT, GTE, GT, EQ, NEQ, LEAF, MEMBER }; /* MEMBER: the value or a half above it; TreeEnsemble alone */
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
    bool whole, missing, wide, average, hits, classifier, five; /* five: TreeEnsemble of ai.onnx.ml 5 */
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
    forest.mode[k] = random_below(s->modes + s->five);
    if (forest.mode[k] == s->modes)
        forest.mode[k] = MEMBER;
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

static int ml_opset = 3;
static const char *trees_read = "x"; /* by the trees */
static wire *nodes_before;           /* fields of the graph: what comes before all nodes */

/* A node of the forest, regressor or classifier of two classes with one set of scores. */
static wire forest_node(const style *s)
{
    wire n = wire_node("forest", "ai.onnx.ml", s->classifier ? "TreeEnsembleClassifier" : "TreeEnsembleRegressor",
                       trees_read, s->classifier ? "label y" : "y");
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

static void attr_tensor(wire *n, const char *name, int dtype, const void *data, size_t bytes, int count)
{
    wire t = wire_tensor("", dtype, (const int64_t[]){ count, -2 }), w = { 0 };
    wire_bytes(&t, 9, data, bytes);
    wire_message(&w, 5, &t);
    attr(n, name, 4, &w);
}

/* The same trees as TreeEnsemble: leaves apart from the nodes that ask. */
static wire ensemble_node(const style *s)
{
    wire n = wire_node("forest", "ai.onnx.ml", "TreeEnsemble", trees_read, "y");
    static int64_t place[MOST], feature[MOST], missing[MOST], yes[MOST], no[MOST], yes_leaf[MOST], no_leaf[MOST];
    static int64_t target[MOST], root[TREES];
    static uint8_t mode[MOST];
    static float split[MOST], weight[MOST], member[3 * MOST];
    int inner = 0, leaves = 0, members = 0;
    for (int k = 0; k < forest.count; k++)
        place[k] = forest.mode[k] == LEAF ? leaves++ : inner++;
    for (int k = 0; k < forest.count; k++) {
        int i = (int)place[k];
        if (forest.mode[k] == LEAF) {
            weight[i] = forest.weight[k];
            target[i] = 0;
            continue;
        }
        int to[2] = { (int)(k - forest.id[k] + forest.yes[k]), (int)(k - forest.id[k] + forest.no[k]) };
        feature[i] = forest.feature[k];
        missing[i] = forest.missing[k];
        split[i] = forest.value[k];
        mode[i] = (uint8_t)(forest.mode[k] == MEMBER ? 6 : forest.mode[k]);
        yes[i] = place[to[0]];
        no[i] = place[to[1]];
        yes_leaf[i] = forest.mode[to[0]] == LEAF;
        no_leaf[i] = forest.mode[to[1]] == LEAF;
        if (forest.mode[k] == MEMBER) {
            member[members++] = forest.value[k];
            member[members++] = forest.value[k] + 0.5f;
            member[members++] = NAN;
        }
    }
    for (int t = 0; t < s->trees; t++)
        root[t] = place[forest.root[t]];
    attr_int(&n, "n_targets", 1);
    attr_int(&n, "aggregate_function", s->average ? 0 : 1);
    attr_ints(&n, "tree_roots", root, s->trees);
    attr_tensor(&n, "nodes_modes", 2, mode, (size_t)inner, inner);
    attr_ints(&n, "nodes_featureids", feature, inner);
    attr_ints(&n, "nodes_missing_value_tracks_true", missing, inner);
    attr_ints(&n, "nodes_truenodeids", yes, inner);
    attr_ints(&n, "nodes_falsenodeids", no, inner);
    attr_ints(&n, "nodes_trueleafs", yes_leaf, inner);
    attr_ints(&n, "nodes_falseleafs", no_leaf, inner);
    attr_tensor(&n, "nodes_splits", 1, split, (size_t)inner * sizeof *split, inner);
    attr_ints(&n, "leaf_targetids", target, leaves);
    attr_tensor(&n, "leaf_weights", 1, weight, (size_t)leaves * sizeof *weight, leaves);
    if (members)
        attr_tensor(&n, "membership_values", 1, member, (size_t)members * sizeof *member, members);
    return n;
}

/* Takes over the nodes, which follow each other. */
static wire model_of(wire *node, wire *other, int dtype, int width, int out_width, bool labels)
{
    const int64_t in[] = { -1, width, -2 }, out[] = { -1, out_width, -2 }, label[] = { -1, -2 };
    wire g = { 0 };
    if (nodes_before) {
        wire_raw(&g, nodes_before->data, nodes_before->size);
        wire_free(nodes_before);
    }
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
    wire_opset(&m, "ai.onnx.ml", ml_opset);
    return m;
}

static wire forest_model(const style *s, wire *before)
{
    wire n = s->five ? ensemble_node(s) : forest_node(s), m;
    ml_opset = s->five ? 5 : 3;
    m = model_of(before ? before : &n, before ? &n : NULL, s->wide ? 11 : 1, FEATURES, 1 + s->classifier,
                 s->classifier);
    ml_opset = 3;
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
    bool yes[] = { x <= t, x < t, x >= t, x > t, x == t, x != t, false,
                   x == t || x == (double)(forest.value[k] + 0.5f) };
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
    double base = s->five ? 0 : 0.25, scale = s->average ? 1.0 / s->trees : 1;
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
    { TREES, DEPTH, 1, true, false, false, false, false, false, false },
    { 60, 5, 4, false, true, false, false, true, false, false },
    { 41, 6, 6, false, true, false, true, false, false, false },
    { 30, 4, 6, false, true, true, false, true, false, false },
    { 17, 3, 2, false, true, false, false, false, true, false },
    { 1, 0, 1, false, false, false, false, false, false, false },
    { 50, 5, 6, false, true, false, false, false, false, true },
    { 23, 4, 1, true, true, false, true, false, false, true },
};

START_TEST(trees_add_up)
{
    const style *s = &styles[_i];
    mbr_session *session;
    mbr_explainer_facts facts = { .size = sizeof facts };
    double x[FEATURES], want[FEATURES], got[FEATURES], score;
    random_seed("trees_add_up");
    grow(s);
    wire m = forest_model(s, NULL);
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
    const style s = { 25, 3, 4, false, true, false, false, !_i, false, _i };
    double x[FEATURES], want[FEATURES], got[FEATURES], score;
    char path[100];
    random_seed("learned_from_rows");
    snprintf(path, sizeof path, "test_explain.%ld.tmp", (long)getpid());
    grow(&s);
    wire m = forest_model(&s, NULL);
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

/* Missing values are replaced, then all are scaled, each feature in its own way; trees see what comes of it. */
START_TEST(changed_on_the_way_by_feature)
{
    static const style kinds[] = { { 40, 5, 6, false, false, false, false, false, false, false },
                                   { 40, 5, 6, false, false, false, false, false, false, true } };
    const style *s = &kinds[_i];
    float instead[FEATURES], offset[FEATURES], scale[FEATURES];
    const float none = NAN;
    double x[FEATURES], seen[FEATURES], want[FEATURES], got[FEATURES], score;
    random_seed("changed_on_the_way_by_feature");
    grow(s);
    for (int t = 0; t < s->trees; t++)
        expect(forest.root[t], MBR_EXPLAIN_UNIFORM);
    for (int i = 0; i < FEATURES; i++) { /* so that f32 has them exactly */
        instead[i] = (float)random_below(9) / 4 - 1;
        offset[i] = (float)random_below(9) / 8;
        scale[i] = random_below(2) ? 0.5f : -1;
    }
    for (int steps = 1; steps < 4; steps++) { /* Imputer, Scaler, both */
        wire impute = wire_node("impute", "ai.onnx.ml", "Imputer", "x", "full"), node, m;
        wire change = wire_node("change", "ai.onnx.ml", "Scaler", steps == 3 ? "full" : "x", "z"), both = { 0 };
        attr_floats(&impute, "imputed_value_floats", instead, FEATURES);
        wire replaced = { 0 };
        wire_float(&replaced, 2, none);
        attr(&impute, "replaced_value_float", 1, &replaced);
        attr_floats(&change, "offset", offset, FEATURES);
        attr_floats(&change, "scale", scale, FEATURES);
        node = wire_node("same", "", "Identity", steps == 1 ? "full" : "z", "values");
        if (steps & 1)
            wire_message(&both, 1, &impute);
        if (steps & 2)
            wire_message(&both, 1, &change);
        wire_free(&impute);
        wire_free(&change);
        nodes_before = &both;
        trees_read = "values";
        m = forest_model(s, &node);
        nodes_before = NULL;
        trees_read = "x";
        mbr_model *model = open_model(&m);
        mbr_explainer *e = explain(model, NULL);
        mbr_session *session;
        ck_assert_int_eq(mbr_session_new(model, NULL, &session, &err), MBR_OK);
        for (int r = 0; r < 100; r++) {
            for (int i = 0; i < FEATURES; i++) {
                x[i] = random_below(5) == 0 && (steps & 1) ? (double)NAN : (double)random_below(65) / 32 - 1;
                seen[i] = isnan(x[i]) ? (double)instead[i] : x[i];
                if (steps & 2)
                    seen[i] = (seen[i] - (double)offset[i]) * (double)scale[i];
            }
            double base = plain(s, seen, want), raw = run_model(session, s, x);
            mbr_explain_row(e, x, got, &score);
            for (int i = 0; i < FEATURES; i++) {
                base += want[i];
                ck_assert_msg(fabs(got[i] - want[i]) <= 1e-9, "steps %d, feature %d: %.12g, not %.12g", steps, i,
                              got[i], want[i]);
            }
            ck_assert_double_le(fabs(score - base), 1e-9);
            ck_assert_double_le(fabs(score - raw), 1e-5);
        }
        mbr_session_release(&session);
        mbr_explainer_release(&e);
        mbr_model_release(&model);
        wire_free(&m);
    }
}
END_TEST

enum { FIRST = 10, SCORES = 3 };

/* a [N, 10], b [N, 20] side by side, times a matrix, plus a bias: Gemm either way round, or MatMul and Add. */
static wire product_model(int kind, int biases, const float *weights, const float *bias)
{
    static const int64_t shapes[][3] = { { FEATURES, SCORES, -2 }, { SCORES, FEATURES, -2 } };
    wire g = { 0 }, n = wire_node("join", "", "Concat", "a b", "x"), t, info;
    attr_int(&n, "axis", 1);
    wire_message(&g, 1, &n);
    n = wire_node("product", "", kind < 2 ? "Gemm" : "MatMul", kind < 2 && biases ? "x w c" : "x w",
                  kind < 2 || !biases ? "y" : "p");
    for (int k = 0; k < 2 && kind < 2; k++) {
        wire value = { 0 };
        wire_float(&value, 2, k ? 2.0f : 0.5f);
        attr(&n, k ? "beta" : "alpha", 1, &value);
    }
    if (kind == 1)
        attr_int(&n, "transB", 1);
    wire_message(&g, 1, &n);
    if (kind == 2 && biases)
        wire_add_node(&g, "add", "Add", "c p", "y");
    wire_text(&g, 2, "graph");
    t = wire_tensor("w", 1, shapes[kind == 1]);
    wire_bytes(&t, 9, weights, FEATURES * SCORES * sizeof *weights);
    wire_message(&g, 5, &t);
    if (biases) {
        t = wire_tensor("c", 1, (const int64_t[]){ biases, -2 });
        wire_bytes(&t, 9, bias, (size_t)biases * sizeof *bias);
        wire_message(&g, 5, &t);
    }
    info = wire_value_info("a", 1, (const int64_t[]){ -1, FIRST, -2 });
    wire_message(&g, 11, &info);
    info = wire_value_info("b", 1, (const int64_t[]){ -1, FEATURES - FIRST, -2 });
    wire_message(&g, 11, &info);
    info = wire_value_info("y", 1, (const int64_t[]){ -1, SCORES, -2 });
    wire_message(&g, 12, &info);
    return wire_model(8, 17, &g);
}

START_TEST(products_add_up)
{
    random_seed("products_add_up");
    for (int at = 0; at < 9; at++) {
        int kind = at / 3, biases = at % 3 == 2 ? SCORES : at % 3;
        float w[FEATURES * SCORES], bias[SCORES];
        double x[FEATURES], got[FEATURES], score, alpha = kind < 2 ? 0.5 : 1, beta = kind < 2 ? 2 : 1;
        mbr_explainer *e = NULL;
        mbr_session *session;
        mbr_explainer_options o = { .size = sizeof o };
        for (int i = 0; i < FEATURES * SCORES; i++)
            w[i] = random_real();
        for (int i = 0; i < SCORES; i++)
            bias[i] = random_real();
        wire m = product_model(kind, biases, w, bias);
        mbr_model *model = open_model(&m);
        ck_assert_int_eq(mbr_explainer_new(model, &o, &e, &err), MBR_ERR_ARGUMENT); /* of three none is meant */
        ck_assert_int_eq(mbr_session_new(model, NULL, &session, &err), MBR_OK);
        for (o.target = 1; o.target <= SCORES; o.target++) {
            const int64_t dims[][2] = { { 1, FIRST }, { 1, FEATURES - FIRST } };
            int target = o.target - 1, input, element;
            e = explain(model, &o);
            ck_assert_int_eq(mbr_explainer_feature(e, FIRST + 2, &input, &element), MBR_OK);
            ck_assert(input == 1 && element == 2);
            for (int i = 0; i < FEATURES; i++)
                x[i] = (double)random_real();
            mbr_value *in[2];
            for (int part = 0, i = 0; part < 2; part++) {
                ck_assert_int_eq(mbr_tensor_new(env, MBR_DTYPE_F32, 2, dims[part], &in[part], &err), MBR_OK);
                for (int64_t k = 0; k < dims[part][1]; k++)
                    ((float *)mbr_tensor_data(in[part]))[k] = (float)x[i++];
                ck_assert_int_eq(mbr_session_bind_input(session, part, in[part], &err), MBR_OK);
            }
            ck_assert_msg(mbr_session_run(session, &err) == MBR_OK, "%s", err.text);
            mbr_value_release(&in[0]);
            mbr_value_release(&in[1]);
            double raw = (double)((const float *)mbr_tensor_const_data(mbr_session_output(session, 0)))[target];
            mbr_explain_row(e, x, got, &score);
            double sum = biases ? beta * (double)bias[biases > 1 ? target : 0] : 0;
            for (int i = 0; i < FEATURES; i++) {
                double want = alpha * (double)w[kind == 1 ? target * FEATURES + i : i * SCORES + target] * x[i];
                ck_assert_msg(fabs(got[i] - want) <= 1e-9, "kind %d, feature %d: %.12g, not %.12g", kind, i, got[i],
                              want);
                sum += want;
            }
            ck_assert_msg(fabs(score - sum) <= 1e-9, "kind %d, %d biases, target %d: %.12g, not %.12g", kind, biases,
                          o.target, score, sum);
            ck_assert_double_le(fabs(score - raw), 1e-5);
            mbr_explainer_release(&e);
        }
        mbr_session_release(&session);
        mbr_model_release(&model);
        wire_free(&m);
    }
}
END_TEST

/* ---- refusals ---- */

START_TEST(what_cannot_be_explained)
{
    const style s = { 2, 2, 1, true, false, false, false, false, false, false };
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
    const style two = { 2, 2, 1, true, false, false, false, false, true, false };
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

START_TEST(pointers_that_are_null)
{
    int input, element;
    double x = 0;
    mbr_explainer *e = NULL;
    mbr_pipeline *p = NULL;
    uint64_t rows = 7;
    ck_assert_int_eq(mbr_explainer_new(NULL, NULL, &e, &err), MBR_ERR_ARGUMENT);
    ck_assert_int_eq(mbr_explainer_new(NULL, NULL, NULL, &err), MBR_ERR_ARGUMENT);
    ck_assert_int_eq(mbr_explainer_feature(NULL, 0, &input, &element), MBR_ERR_ARGUMENT);
    ck_assert_int_eq(mbr_explainer_learn(NULL, &x, &err), MBR_ERR_ARGUMENT);
    ck_assert_int_eq(mbr_explainer_save(NULL, "x", &err), MBR_ERR_ARGUMENT);
    ck_assert_int_eq(mbr_explain_fit(p, "x", MBR_ROWS_AUTO, "x", &rows, &err), MBR_ERR_ARGUMENT);
    ck_assert_uint_eq(rows, 0);
    mbr_explainer_release(NULL);
    mbr_explainer_release(&e);
    ck_assert_ptr_null(e);
}
END_TEST

/* Each allocation fails once. */
START_TEST(no_memory)
{
    const style s = { 9, 3, 4, true, true, false, false, true, false, false };
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
    tcase_add_loop_test(c, learned_from_rows, 0, 2);
    tcase_add_test(c, linear_models_add_up);
    tcase_add_test(c, products_add_up);
    tcase_add_test(c, features_on_the_way);
    tcase_add_loop_test(c, changed_on_the_way_by_feature, 0, 2);
    tcase_add_test(c, what_cannot_be_explained);
    tcase_add_test(c, pointers_that_are_null);
    tcase_add_test(c, no_memory);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
