/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Forests as XGBoost, LightGBM and scikit-learn grow them, and TreeEnsemble 5 with every mode: each row, most values on
 * thresholds or next to them, some NaN, reaches the leaf that a plain walk of the file's arrays reaches; scores are within
 * one unit in the last place of the sum in f64; a row alone, in a batch, on one thread and two gets the same bits.
 * MBR_TEST_ROWS=100000 takes more rows, up to that many.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "mbr/mbr.h"
#include "tests/onnx_writer.h"
#include "tests/random.h"

#include <check.h>
#include <math.h>
#include <stdbool.h>

#define MOST_ROWS 100000
#define ROWS 5000
#define ALONE 300
#define FEATURES 12
#define TREES 40
#define MOST (TREES * 2 * 300)

enum { LEQ, LT, GTE, GT, EQ, NEQ, MEMBER, LEAF };

typedef struct style {
    const char *name;
    int leaves, distinct; /* of a tree; thresholds of a feature */
    int modes;            /* BIT(LEQ) ... */
    bool missing, shuffled, wide_rows, wide_values, five;
} style;

#define BIT(mode) (1 << (mode))

static const style styles[] = {
    { "XGBoost", 32, 250, BIT(LT), true, false, false, false, false },
    { "LightGBM", 63, 255, BIT(LEQ), true, false, false, false, false },
    { "LightGBM with categories", 63, 40, BIT(LEQ) | BIT(EQ), true, false, false, false, false },
    { "scikit-learn", 300, 5000, BIT(LEQ), false, true, false, false, false },
    { "scikit-learn, f64 thresholds", 60, 100, BIT(LEQ), false, false, false, true, false },
    { "f64 rows and thresholds", 60, 100, BIT(LEQ) | BIT(LT), true, false, true, true, false },
    { "all orders", 50, 100, BIT(LEQ) | BIT(LT) | BIT(GTE) | BIT(GT), true, true, false, false, false },
    { "TreeEnsemble 5", 63, 200, BIT(LEQ), false, false, false, false, true },
    { "TreeEnsemble 5, all modes", 40, 30, 127, true, false, false, false, true },
};

/* The file's arrays, tree after tree. Children are places in these arrays. */
static struct {
    size_t nodes, first[TREES + 1];
    int64_t tree[MOST], id[MOST], feature[MOST], yes[MOST], no[MOST], missing[MOST];
    double value[MOST], weight[MOST], set[MOST][3];
    int mode[MOST];
} forest;

static double thresholds[FEATURES][5000];
static double rows[MOST_ROWS][FEATURES];
static uint32_t reached[MOST_ROWS][TREES]; /* by the plain walk */

static void grow(const style *s)
{
    for (int f = 0; f < FEATURES; f++)
        for (int k = 0; k < s->distinct; k++) {
            double v = (double)random_real() * (random_below(4) ? 1 : 1e-3) + (random_below(9) ? 0 : 1e30);
            v = s->modes & BIT(EQ) ? random_below(20) : random_below(50) ? v : 0;
            thresholds[f][k] = s->wide_values ? v + 1e-10 * (double)random_real() : (double)(float)v;
        }
    forest.nodes = 0;
    for (int t = 0; t < TREES; t++) {
        size_t first = forest.first[t] = forest.nodes, leaves[300], n = 1;
        leaves[0] = forest.nodes++;
        forest.mode[first] = LEAF;
        while (n < (size_t)s->leaves - (size_t)random_below(3)) {
            size_t pick = (size_t)random_below((int)n), k = leaves[pick];
            do
                forest.mode[k] = random_below(LEAF);
            while (!(s->modes & BIT(forest.mode[k])));
            forest.feature[k] = random_below(FEATURES);
            forest.value[k] = thresholds[forest.feature[k]][random_below(s->distinct)];
            for (int i = 0; i < 3; i++)
                forest.set[k][i] = thresholds[forest.feature[k]][random_below(s->distinct)];
            forest.yes[k] = (int64_t)(leaves[pick] = forest.nodes++);
            forest.no[k] = (int64_t)(leaves[n++] = forest.nodes++);
            forest.mode[forest.yes[k]] = forest.mode[forest.no[k]] = LEAF;
        }
        for (size_t k = first; k < forest.nodes; k++) {
            forest.tree[k] = t;
            forest.id[k] = (int64_t)(k - first);
            forest.missing[k] = s->missing && random_below(2);
            forest.weight[k] = (double)(random_real() * (random_below(5) ? 0.1f : 100.0f));
            if (s->wide_values && s->wide_rows)
                forest.weight[k] += 1e-12 * (double)random_real();
            if (forest.mode[k] == LEAF)
                forest.feature[k] = forest.yes[k] = forest.no[k] = 0, forest.value[k] = 0;
        }
    }
    forest.first[TREES] = forest.nodes;
}

/* On a threshold, next to it, anywhere, infinite or NaN. */
static void fill_rows(const style *s, size_t n)
{
    for (size_t r = 0; r < n; r++)
        for (int f = 0; f < FEATURES; f++) {
            double v = thresholds[f][random_below(s->distinct)];
            float x = (float)v;
            int kind = random_below(12);
            x = kind == 0 ? nextafterf(x, -INFINITY) : kind == 1 ? nextafterf(x, INFINITY) : kind == 2 ? random_real() : x;
            x = kind == 3 ? NAN : kind == 4 && !random_below(4) ? (random_below(2) ? INFINITY : -INFINITY) : x;
            rows[r][f] = s->wide_rows && kind > 4 ? v : (double)x;
        }
}

static size_t walk(size_t tree, const double *x)
{
    size_t k = forest.first[tree];
    while (forest.mode[k] != LEAF) {
        double v = x[forest.feature[k]], t = forest.value[k];
        bool yes = false;
        switch (forest.mode[k]) {
        case LEQ: yes = v <= t; break;
        case LT: yes = v < t; break;
        case GTE: yes = v >= t; break;
        case GT: yes = v > t; break;
        case EQ: yes = v == t; break;
        case NEQ: yes = v != t; break;
        default: yes = v == forest.set[k][0] || v == forest.set[k][1] || v == forest.set[k][2];
        }
        yes |= isnan(v) && forest.missing[k];
        k = (size_t)(yes ? forest.yes[k] : forest.no[k]);
    }
    return k;
}

/* --- the forest as a file --- */

static void attr_end(wire *node, wire *a, int type)
{
    wire_int(a, 20, type);
    wire_message(node, 5, a);
}

static wire attr(const char *name)
{
    wire a = { 0 };
    wire_text(&a, 1, name);
    return a;
}

static void attr_int(wire *node, const char *name, int64_t v)
{
    wire a = attr(name);
    wire_int(&a, 3, v);
    attr_end(node, &a, 2);
}

/* from[order[i]]; relative: children as ids of their tree. */
static void attr_ints(wire *node, const char *name, const int64_t *from, const size_t *order, size_t n, bool relative)
{
    wire a = attr(name);
    for (size_t i = 0; i < n; i++) {
        int64_t v = from[order[i]];
        wire_int(&a, 8, relative && forest.mode[order[i]] != LEAF ? forest.id[v] : v);
    }
    attr_end(node, &a, 7);
}

static void attr_numbers(wire *node, const char *name, bool wide, bool tensor, const double *v, size_t n)
{
    char full[64];
    snprintf(full, sizeof full, "%s%s", name, tensor && strncmp(name, "nodes_v", 7) == 0 ? "_as_tensor" : "");
    if (tensor && strncmp(name, "target", 6) == 0)
        snprintf(full, sizeof full, "%s_as_tensor", name);
    wire a = attr(full), t = { 0 };
    wire_int(&t, 1, (int64_t)n);
    wire_int(&t, 2, wide ? 11 : 1);
    wire raw = { 0 };
    for (size_t i = 0; i < n; i++) {
        float f = (float)v[i];
        if (!tensor)
            wire_float(&a, 7, f);
        else if (wide)
            wire_raw(&raw, &v[i], 8);
        else
            wire_raw(&raw, &f, 4);
    }
    if (tensor) {
        wire_bytes(&t, 9, raw.data, raw.size);
        wire_message(&a, 5, &t);
    } else {
        wire_free(&t);
    }
    wire_free(&raw);
    attr_end(node, &a, tensor ? 4 : 6);
}

/* TreeEnsembleRegressor. by_tree: a target for each tree, to which a leaf gives its number; else one, with the weights. */
static wire node_3(const style *s, bool by_tree)
{
    static const char *const names[] = { "BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ",
                                         "", "LEAF" };
    static size_t order[MOST], leaf[MOST];
    static double number[MOST];
    static int64_t zero[MOST];
    size_t n = forest.nodes, leaves = 0;
    for (size_t i = 0; i < n; i++)
        order[i] = i;
    for (size_t i = n - 1; i > 0 && s->shuffled; i--) {
        size_t k = (size_t)random_below((int)i + 1), was = order[i];
        order[i] = order[k];
        order[k] = was;
    }
    wire node = wire_node("trees", "ai.onnx.ml", "TreeEnsembleRegressor", "X", "Y"), modes = attr("nodes_modes");
    attr_int(&node, "n_targets", by_tree ? TREES : 1);
    attr_ints(&node, "nodes_treeids", forest.tree, order, n, false);
    attr_ints(&node, "nodes_nodeids", forest.id, order, n, false);
    attr_ints(&node, "nodes_featureids", forest.feature, order, n, false);
    attr_ints(&node, "nodes_truenodeids", forest.yes, order, n, true);
    attr_ints(&node, "nodes_falsenodeids", forest.no, order, n, true);
    if (s->missing)
        attr_ints(&node, "nodes_missing_value_tracks_true", forest.missing, order, n, false);
    for (size_t i = 0; i < n; i++) {
        wire_text(&modes, 9, names[forest.mode[order[i]]]);
        number[i] = forest.value[order[i]];
        if (forest.mode[i] == LEAF)
            leaf[leaves++] = i;
    }
    attr_end(&node, &modes, 8);
    attr_numbers(&node, "nodes_values", true, s->wide_values, number, n);
    attr_ints(&node, "target_treeids", forest.tree, leaf, leaves, false);
    attr_ints(&node, "target_nodeids", forest.id, leaf, leaves, false);
    attr_ints(&node, "target_ids", by_tree ? forest.tree : zero, leaf, leaves, false);
    for (size_t i = 0; i < leaves; i++)
        number[i] = by_tree ? (double)forest.id[leaf[i]] : forest.weight[leaf[i]];
    attr_numbers(&node, "target_weights", true, s->wide_values && s->wide_rows, number, leaves);
    return node;
}

static wire node_5(const style *s, bool by_tree)
{
    static size_t inner[MOST], leaf[MOST], all[MOST];
    static int64_t place[MOST], yes[MOST], no[MOST], yes_leaf[MOST], no_leaf[MOST], target[MOST], root[TREES];
    static double number[3 * MOST + MOST];
    size_t n = 0, leaves = 0, members = 0;
    wire node = wire_node("trees", "ai.onnx.ml", "TreeEnsemble", "X", "Y"), modes = attr("nodes_modes"), t = { 0 };
    wire raw = { 0 };
    for (size_t k = 0; k < forest.nodes; k++) {
        bool is_leaf = forest.mode[k] == LEAF;
        place[k] = (int64_t)(is_leaf ? leaves : n);
        (is_leaf ? leaf : inner)[is_leaf ? leaves++ : n++] = k;
        all[k] = k;
    }
    for (size_t i = 0; i < n; i++) {
        size_t k = inner[i];
        uint8_t mode = (uint8_t)forest.mode[k];
        yes[i] = place[forest.yes[k]];
        no[i] = place[forest.no[k]];
        yes_leaf[i] = forest.mode[forest.yes[k]] == LEAF;
        no_leaf[i] = forest.mode[forest.no[k]] == LEAF;
        wire_raw(&raw, &mode, 1);
        for (int m = 0; m < 4 && mode == MEMBER; m++)
            number[members++] = m < 3 ? forest.set[k][m] : (double)NAN;
    }
    if (members)
        attr_numbers(&node, "membership_values", false, true, number, members);
    wire_int(&t, 1, (int64_t)n);
    wire_int(&t, 2, 2);
    wire_bytes(&t, 9, raw.data, raw.size);
    wire_message(&modes, 5, &t);
    attr_end(&node, &modes, 4);
    wire_free(&raw);
    attr_int(&node, "n_targets", by_tree ? TREES : 1);
    for (size_t i = 0; i < TREES; i++)
        root[i] = place[forest.first[i]];
    attr_ints(&node, "tree_roots", root, all, TREES, false);
    attr_ints(&node, "nodes_featureids", forest.feature, inner, n, false);
    if (s->missing)
        attr_ints(&node, "nodes_missing_value_tracks_true", forest.missing, inner, n, false);
    attr_ints(&node, "nodes_truenodeids", yes, all, n, false);
    attr_ints(&node, "nodes_falsenodeids", no, all, n, false);
    attr_ints(&node, "nodes_trueleafs", yes_leaf, all, n, false);
    attr_ints(&node, "nodes_falseleafs", no_leaf, all, n, false);
    for (size_t i = 0; i < n; i++)
        number[i] = forest.value[inner[i]];
    attr_numbers(&node, "nodes_splits", false, true, number, n);
    for (size_t i = 0; i < leaves; i++) {
        target[i] = by_tree ? forest.tree[leaf[i]] : 0;
        number[i] = by_tree ? (double)forest.id[leaf[i]] : forest.weight[leaf[i]];
    }
    attr_ints(&node, "leaf_targetids", target, all, leaves, false);
    attr_numbers(&node, "leaf_weights", false, true, number, leaves);
    return node;
}

static wire model_of(const style *s, bool by_tree)
{
    wire graph = { 0 }, node = s->five ? node_5(s, by_tree) : node_3(s, by_tree);
    const int64_t x_dims[] = { -1, FEATURES, -2 }, y_dims[] = { -1, by_tree ? TREES : 1, -2 };
    wire x = wire_value_info("X", s->wide_rows ? 11 : 1, x_dims), y = wire_value_info("Y", 1, y_dims);
    wire_message(&graph, 1, &node);
    wire_text(&graph, 2, "g");
    wire_message(&graph, 11, &x);
    wire_message(&graph, 12, &y);
    wire m = wire_model(10, 17, &graph);
    wire_opset(&m, "ai.onnx.ml", s->five ? 5 : 3);
    return m;
}

/* --- running it --- */

static mbr_error err;

/* Rows first .. first+n-1 in one call. */
static void run(mbr_env *env, mbr_session *session, bool wide, size_t first, size_t n, float *y)
{
    mbr_value *x;
    const int64_t dims[2] = { (int64_t)n, FEATURES };
    ck_assert_int_eq(mbr_tensor_new(env, wide ? MBR_DTYPE_F64 : MBR_DTYPE_F32, 2, dims, &x, &err), MBR_OK);
    for (size_t i = 0; i < n * FEATURES; i++) {
        double v = rows[first + i / FEATURES][i % FEATURES];
        if (wide)
            ((double *)mbr_tensor_data(x))[i] = v;
        else
            ((float *)mbr_tensor_data(x))[i] = (float)v;
    }
    ck_assert_int_eq(mbr_session_bind_input(session, 0, x, &err), MBR_OK);
    ck_assert_msg(mbr_session_run(session, &err) == MBR_OK, "%s", err.text);
    const mbr_value *out = mbr_session_output(session, 0);
    memcpy(y, mbr_tensor_const_data(out), mbr_tensor_bytes(out));
    mbr_value_release(&x);
}

/* All rows through one model on one thread and two, and some alone. Returns the scores; the caller frees them. */
static float *run_all(const style *s, bool by_tree, size_t n)
{
    size_t targets = by_tree ? TREES : 1;
    float *y = malloc(n * targets * sizeof *y), *other = malloc(n * targets * sizeof *other);
    wire m = model_of(s, by_tree);
    ck_assert(y && other);
    for (int threads = 1; threads <= 2; threads++) {
        mbr_env *env;
        mbr_model *model;
        mbr_session *session;
        const mbr_env_options options = { .size = sizeof options, .threads = threads };
        ck_assert_int_eq(mbr_env_new(&options, &env, &err), MBR_OK);
        mbr_status st = mbr_model_open_memory(env, m.data, m.size, NULL, &model, &err);
        ck_assert_msg(st == MBR_OK, "%s: %s", s->name, err.text);
        ck_assert_int_eq(mbr_session_new(model, NULL, &session, &err), MBR_OK);
        run(env, session, s->wide_rows, 0, n, threads == 1 ? y : other);
        for (size_t r = 0; r < ALONE && r < n && threads == 1; r++)
            run(env, session, s->wide_rows, r, 1, other + r * targets);
        size_t compared = threads == 2 ? n : n < ALONE ? n : ALONE;
        ck_assert_msg(memcmp(y, other, compared * targets * sizeof *y) == 0, "%s: %s", s->name,
                      threads == 2 ? "two threads" : "a row alone");
        mbr_session_release(&session);
        mbr_model_release(&model);
        mbr_env_release(&env);
    }
    wire_free(&m);
    free(other);
    return y;
}

START_TEST(reaches_the_leaf_and_rounds_once)
{
    const style *s = &styles[_i];
    const char *given = getenv("MBR_TEST_ROWS");
    size_t n = given ? strtoull(given, NULL, 10) : ROWS;
    n = n == 0 || n > MOST_ROWS ? MOST_ROWS : n;
    random_seed(s->name);
    grow(s);
    fill_rows(s, n);
    float *y = run_all(s, true, n);
    for (size_t r = 0; r < n; r++)
        for (size_t t = 0; t < TREES; t++) {
            reached[r][t] = (uint32_t)walk(t, rows[r]);
            float want = (float)forest.id[reached[r][t]];
            ck_assert_msg(y[r * TREES + t] == want, "%s: row %zu tree %zu: leaf %g, the file's is %g", s->name, r, t,
                          (double)y[r * TREES + t], (double)want);
        }
    free(y);
    y = run_all(s, false, n);
    size_t off = 0;
    for (size_t r = 0; r < n; r++) {
        double sum = 0;
        for (size_t t = 0; t < TREES; t++)
            sum += forest.weight[reached[r][t]];
        float want = (float)sum;
        off += y[r] != want;
        ck_assert_msg(y[r] >= nextafterf(want, -INFINITY) && y[r] <= nextafterf(want, INFINITY),
                      "%s: row %zu: %.9g, the sum is %.17g", s->name, r, (double)y[r], sum);
    }
    printf("%s: %zu rows, %zu nodes; %zu scores are not the rounded sum itself\n", s->name, n, forest.nodes, off);
    free(y);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("forests");
    TCase *c = tcase_create("forests");
    tcase_set_timeout(c, 120);
    tcase_add_loop_test(c, reaches_the_leaf_and_rounds_once, 0, sizeof styles / sizeof *styles);
    suite_add_tcase(suite, c);
    SRunner *r = srunner_create(suite);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
