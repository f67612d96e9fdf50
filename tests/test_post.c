/* SPDX-License-Identifier: BSD-2-Clause */
/* Post-processing against plain searches over everything, and its steps on values worked out by hand or by numpy. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "base/env.h"
#include "mbr/mbr.h"
#include "mbr/post.h"
#include "runtime/post/post.h"
#include "tests/pipeline_rows.h"
#include "tests/random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static mbr_error err;

/* ---- functions ---- */

START_TEST(isotonic_and_best)
{
    const double x[] = { 0.1, 0.4, 0.8 }, y[] = { 0, 0.5, 0.9 };
    ck_assert_double_eq(mbr_isotonic(x, y, 3, 0), 0);
    ck_assert_double_eq(mbr_isotonic(x, y, 3, 0.4), 0.5);
    ck_assert_double_eq(mbr_isotonic(x, y, 3, 0.25), 0.5 / (0.4 - 0.1) * (0.25 - 0.1));
    ck_assert_double_eq(mbr_isotonic(x, y, 3, 2), 0.9);
    ck_assert_double_eq(mbr_isotonic(x, y, 1, 2), 0);
    ck_assert(isnan(mbr_isotonic(x, y, 3, NAN)));
    const double v[] = { 3, NAN, 5, 5, 1, INFINITY };
    size_t index[6];
    ck_assert_uint_eq(mbr_best_k(v, 6, 3, index), 3);
    ck_assert(index[0] == 5 && index[1] == 2 && index[2] == 3);
    ck_assert_uint_eq(mbr_best_k(v, 6, 6, index), 5);
    ck_assert(index[3] == 0 && index[4] == 4);
    ck_assert_uint_eq(mbr_best_k(v, 2, 0, index), 0);
    ck_assert_uint_eq(mbr_best_k(v + 1, 1, 1, index), 0);
}
END_TEST

START_TEST(spans_are_the_best)
{
    random_seed("spans_are_the_best");
    for (int round = 0; round < 300; round++) {
        double a[12], b[12], best = -INFINITY, score = 0;
        unsigned char allowed[12];
        size_t n = (size_t)random_below(12), longest = 1 + (size_t)random_below(5), from = 0, to = 0, i0 = 0, k0 = 0;
        int found = 0;
        for (size_t i = 0; i < n; i++) {
            a[i] = random_below(9) ? random_below(7) : NAN;
            b[i] = random_below(9) ? random_below(7) : NAN;
            allowed[i] = random_below(4) != 0;
        }
        for (size_t i = 0; i < n; i++)
            for (size_t k = i; k < n && k < i + longest; k++)
                if (allowed[i] && allowed[k] && a[i] + b[k] > best) {
                    best = a[i] + b[k];
                    i0 = i;
                    k0 = k;
                    found = 1;
                }
        ck_assert_int_eq(mbr_best_span(a, b, allowed, n, longest, &from, &to, &score), found);
        if (found)
            ck_assert(from == i0 && to == k0 && score == best);
    }
}
END_TEST

/* The chance of every sequence, by all alignments. */
static double ctc_chance(const float *frames, size_t count, size_t symbols, const uint32_t *want, size_t n)
{
    size_t paths = 1;
    double sum = 0;
    for (size_t t = 0; t < count; t++)
        paths *= symbols;
    for (size_t p = 0; p < paths; p++) {
        size_t rest = p, before = SIZE_MAX, at = 0;
        double chance = 0;
        bool fits = true;
        for (size_t t = 0; t < count && fits; t++, rest /= symbols) {
            size_t k = rest % symbols;
            chance += (double)frames[t * symbols + k];
            if (k != before && k != 0) {
                fits = at < n && want[at] == k;
                at++;
            }
            before = k;
        }
        if (fits && at == n)
            sum += exp(chance);
    }
    return sum;
}

START_TEST(ctc_finds_the_likeliest)
{
    mbr_memory memory;
    random_seed("ctc_finds_the_likeliest");
    mbr_memory_init(&memory);
    for (int round = 0; round < 60; round++) {
        float f[15];
        uint32_t got[5], greedy[5];
        size_t count = 1 + (size_t)random_below(5), symbols = 3, n, g;
        double score, best = 0, greedy_score;
        for (size_t t = 0; t < count; t++) {
            double sum = 0, e[3];
            for (size_t k = 0; k < symbols; k++)
                sum += e[k] = exp(2 * (double)random_real());
            for (size_t k = 0; k < symbols; k++)
                f[t * symbols + k] = (float)log(e[k] / sum);
        }
        ck_assert_int_eq(mbr_post_beam(&memory, f, count, symbols, 0, 100, got, &n, &score, &err), MBR_OK);
        /* all sequences of two symbols */
        for (size_t length = 0; length <= count; length++)
            for (size_t s = 0; s < (size_t)1 << length; s++) {
                uint32_t want[5];
                for (size_t i = 0; i < length; i++)
                    want[i] = 1 + (s >> i & 1);
                best = fmax(best, ctc_chance(f, count, symbols, want, length));
            }
        ck_assert_double_le(fabs(exp(score) - best), 1e-6);
        ck_assert_double_le(fabs(ctc_chance(f, count, symbols, got, n) - best), 1e-6);
        g = mbr_ctc_greedy(f, count, symbols, 0, greedy, &greedy_score);
        ck_assert_double_le(greedy_score, score + 1e-6);
        ck_assert_uint_le(g, count);
    }
    const float edge[] = { NAN, NAN, NAN, -INFINITY, -INFINITY, -INFINITY };
    uint32_t out[2];
    size_t n;
    double score;
    ck_assert_int_eq(mbr_post_beam(&memory, edge, 2, 3, 0, 4, out, &n, &score, &err), MBR_OK);
    ck_assert_uint_eq(n, 0);
    ck_assert(isnan(score));
    ck_assert_uint_eq(mbr_ctc_greedy(edge, 1, 3, 0, out, &score), 0);
    ck_assert_int_eq(mbr_post_beam(&memory, edge, 2, 3, 3, 4, out, &n, &score, &err), MBR_ERR_ARGUMENT);
    ck_assert_uint_eq(atomic_load(&memory.in_use), 0);
}
END_TEST

static float overlap(const mbr_box *p, const mbr_box *q)
{
    float w = fminf(p->x2, q->x2) - fmaxf(p->x1, q->x1), h = fminf(p->y2, q->y2) - fmaxf(p->y1, q->y1);
    float both = w > 0 && h > 0 ? w * h : 0;
    return both / ((p->x2 - p->x1) * (p->y2 - p->y1) + (q->x2 - q->x1) * (q->y2 - q->y1) - both);
}

START_TEST(boxes_as_a_plain_search)
{
    enum { N = 40, C = 3 };
    mbr_memory memory;
    random_seed("boxes_as_a_plain_search");
    mbr_memory_init(&memory);
    for (int round = 0; round < 200; round++) {
        mbr_box b[N];
        float s[N * C];
        mbr_detection got[N * C];
        bool gone[N];
        size_t found, count = (size_t)random_below(N + 1), total = 0;
        mbr_boxes_options o = { .size = sizeof o, .score_threshold = 0.2f, .iou_threshold = 0.4f,
                                .background = random_below(2) };
        for (size_t i = 0; i < count; i++) {
            float x = random_real() * 5, y = random_real() * 5;
            b[i] = (mbr_box){ x, y, x + 1 + (float)random_below(5), y + 1 + (float)random_below(5) };
            if (random_below(12) == 0)
                b[i].x1 = random_below(2) ? NAN : INFINITY;
            for (size_t k = 0; k < C; k++)
                s[i * C + k] = random_below(15) ? (float)random_below(1000) / 1000 : NAN;
        }
        ck_assert_int_eq(mbr_post_select(&memory, b, s, count, C, &o, got, N * C, &found, &err), MBR_OK);
        for (size_t i = 1; i < found; i++)
            ck_assert_float_ge(got[i - 1].score, got[i].score);
        for (size_t k = o.background ? 1 : 0; k < C; k++) {
            for (size_t i = 0; i < count; i++)
                gone[i] = !isfinite(b[i].x1) || !(s[i * C + k] > 0.2f);
            for (;;) {
                size_t best = SIZE_MAX, is_there = 0;
                for (size_t i = 0; i < count; i++)
                    if (!gone[i] && (best == SIZE_MAX || s[i * C + k] > s[best * C + k]))
                        best = i;
                if (best == SIZE_MAX)
                    break;
                for (size_t d = 0; d < found; d++)
                    is_there += got[d].box == best && got[d].label == k;
                ck_assert_uint_eq(is_there, 1);
                total++;
                for (size_t i = 0; i < count; i++)
                    gone[i] |= i == best || overlap(&b[best], &b[i]) > 0.4f;
            }
        }
        ck_assert_uint_eq(total, found);
        o.most = 2;
        ck_assert_int_eq(mbr_post_select(&memory, b, s, count, C, &o, got, N * C, &found, &err), MBR_OK);
        ck_assert_uint_eq(found, total < 2 ? total : 2);
        o.any_class = 1;
        o.most = 0;
        ck_assert_int_eq(mbr_post_select(&memory, b, s, count, C, &o, got, N * C, &found, &err), MBR_OK);
        for (size_t i = 0; i < found; i++)
            for (size_t k = 0; k < i; k++)
                ck_assert_float_le(overlap(&b[got[i].box], &b[got[k].box]), 0.4f);
    }
    ck_assert_uint_eq(atomic_load(&memory.in_use), 0);
    const float d[] = { 1, -1, 0, 0.5f };
    const mbr_anchor a = { 0.5f, 0.5f, 0.2f, 0.4f };
    mbr_box box;
    mbr_boxes_from_anchors(d, &a, 1, 0.1f, 0.2f, &box);
    ck_assert_float_eq_tol(box.x1, 0.42f, 1e-6f);
    ck_assert_float_eq_tol(box.x2, 0.62f, 1e-6f);
    ck_assert_float_eq_tol(box.y2 - box.y1, 0.4f * 1.105171f, 1e-6f);
}
END_TEST

/* ---- vectors ---- */

static void write_npy(const char *path, const float *x, size_t rows, size_t width)
{
    char head[128];
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    memset(head, ' ', sizeof head);
    memcpy(head, "\x93NUMPY\x01\x00\x76\x00", 10);
    int n = snprintf(head + 10, 100, "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu), }", rows, width);
    head[10 + n] = ' ';
    head[127] = '\n';
    fwrite(head, 1, sizeof head, f);
    fwrite(x, sizeof *x, rows * width, f);
    fclose(f);
}

START_TEST(neighbours_are_the_nearest)
{
    enum { ROWS = 700, WIDTH = 37, QUERIES = 21, K = 5 };
    static float table[ROWS * WIDTH], q[QUERIES * WIDTH];
    static size_t index[QUERIES * K], alone[K];
    static double score[QUERIES * K], alone_score[K];
    mbr_env *env;
    char path[64];
    random_seed("neighbours_are_the_nearest");
    ck_assert_int_eq(mbr_env_new(NULL, &env, &err), MBR_OK);
    snprintf(path, sizeof path, "test_post.%ld.npy", (long)getpid());
    for (size_t i = 0; i < ROWS * WIDTH; i++)
        table[i] = random_real();
    for (size_t i = 0; i < QUERIES * WIDTH; i++)
        q[i] = random_real();
    memset(table + 3 * WIDTH, 0, WIDTH * sizeof *table);
    table[5 * WIDTH] = NAN;
    q[20 * WIDTH] = NAN;
    write_npy(path, table, ROWS, WIDTH);
    for (int metric = 0; metric < 3; metric++) {
        mbr_vectors *v;
        ck_assert_msg(mbr_vectors_open(env, path, (mbr_metric)metric, &v, &err) == MBR_OK, "%s", err.text);
        ck_assert_uint_eq(mbr_vectors_count(v), ROWS);
        ck_assert_int_eq(mbr_vectors_nearest(v, q, QUERIES, K, index, score, &err), MBR_OK);
        for (size_t i = 0; i < QUERIES; i++) {
            ck_assert_int_eq(mbr_vectors_nearest(v, q + i * WIDTH, 1, K, alone, alone_score, &err), MBR_OK);
            ck_assert(memcmp(alone, index + i * K, sizeof alone) == 0);
            ck_assert(i == 20 || memcmp(alone_score, score + i * K, sizeof alone_score) == 0);
            size_t above = 0;
            for (size_t r = 0; r < ROWS; r++) {
                double dot = 0, a = 0, b = 0, s;
                for (size_t k = 0; k < WIDTH; k++) {
                    double x = (double)q[i * WIDTH + k], y = (double)table[r * WIDTH + k];
                    dot += x * y;
                    a += x * x;
                    b += y * y;
                }
                s = metric == MBR_METRIC_DOT ? dot : metric == MBR_METRIC_COSINE ? (b > 0 ? dot / sqrt(a * b) : 0)
                                                                                 : -sqrt(a + b - 2 * dot);
                above += s > score[i * K + K - 1] + 1e-5;
                if (r == index[i * K])
                    ck_assert_double_le(fabs(s - score[i * K]), 1e-4);
            }
            ck_assert_msg(i == 20 || above <= K - 1, "%zu rows are above the %d-th", above, K);
            ck_assert(i != 20 || (index[i * K] == SIZE_MAX && isnan(score[i * K])));
        }
        mbr_vectors_release(&v);
    }
    remove(path);
    mbr_env_release(&env);
}
END_TEST

START_TEST(hostile_npy)
{
    static const char *const heads[] = {
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }",
        "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (6,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3, 1), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 30), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 3), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (6148914691236517206, 3), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 4611686018427387904), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3",
        "{'descr': ",
        "",
    };
    const mbr_status want[] = { MBR_OK, MBR_ERR_UNSUPPORTED, MBR_ERR_UNSUPPORTED, MBR_ERR_UNSUPPORTED,
                                MBR_ERR_UNSUPPORTED, MBR_ERR_FORMAT, MBR_ERR_UNSUPPORTED, MBR_ERR_FORMAT,
                                MBR_ERR_UNSUPPORTED, MBR_ERR_UNSUPPORTED, MBR_ERR_FORMAT, MBR_ERR_FORMAT };
    for (size_t i = 0; i < MBR_COUNT_OF(heads); i++) {
        unsigned char bytes[200] = "\x93NUMPY\x01";
        size_t n = strlen(heads[i]), begin, rows, width;
        bytes[8] = (unsigned char)n;
        memcpy(bytes + 10, heads[i], n);
        mbr_status st = mbr_npy_head(bytes, 10 + n + 24, &begin, &rows, &width, &err);
        ck_assert_msg(st == want[i], "%s: %d %s", heads[i], (int)st, err.text);
        for (size_t size = 0; size < 10 + n; size++) { /* cut short anywhere, in memory of its own */
            unsigned char *cut = malloc(size + 1);
            memcpy(cut, bytes, size);
            ck_assert_int_ne(mbr_npy_head(cut, size, &begin, &rows, &width, &err), MBR_OK);
            free(cut);
        }
    }
}
END_TEST

/* ---- steps ---- */

#ifdef HAVE_YAML

static bench b;
static mbr_step step;
static mbr_env *env;

static void bench_tensors(const char *name, int rank, const int64_t *dims, int rows, const float *x)
{
    mbr_col col = { .name = name, .type = MBR_COL_TENSOR, .width = 1, .line = 1, .dtype = MBR_DTYPE_F32, .rank = rank };
    int index;
    memcpy(col.dims, dims, (size_t)rank * sizeof *dims);
    ck_assert_int_eq(mbr_scope_add(&b.scope, &col, &index, &b.err), MBR_OK);
    bench_lane(&b, index);
    b.rows.count = rows;
    for (int i = 0; i < rows; i++) {
        float *to = mbr_rows_cell(&b.rows, i, index, rank, dims);
        size_t n = mbr_cell_count(&b.lanes[index].cell[i]);
        memcpy(to, x + (size_t)i * n, n * sizeof *to);
    }
}

static void setup(void)
{
    static const double x[] = { 0, 0.25, 1, NAN }, wide[] = { 1, 3, 2, 5, 5, NAN, NAN, NAN, NAN, -1, -2, -3 };
    static const int64_t frames[] = { 4, 3 }, corners[] = { 3, 4 }, classes[] = { 3, 2 }, offsets[] = { 3, 2 };
    static const float chances[48] = { 0.1f, 0.8f, 0.1f, 0.1f, 0.8f, 0.1f, 0.8f, 0.1f, 0.1f, 0.1f, 0.1f, 0.8f };
    static const float at[48] = { 0, 0, 10, 10, 1, 1, 10, 10, 20, 20, 30, 30 };
    static const float scores[24] = { 0.9f, 0.1f, 0.8f, 0.1f, 0.2f, 0.7f };
    static const float where[24] = { 0, 2, 3, 6, 7, 11 };
    static const char *const text[] = { "to \xc3\xa9t\xc3\xa9 be", "x", NULL, "y" };
    if (!env)
        ck_assert_int_eq(mbr_env_new(NULL, &env, &err), MBR_OK);
    bench_open(&b);
    bench_numbers(&b, "x", MBR_COL_NUMBER, 1, 4, x);
    bench_numbers(&b, "wide", MBR_COL_NUMBER, 3, 4, wide);
    bench_tensors("frames", 2, frames, 4, chances);
    bench_tensors("corners", 2, corners, 4, at);
    bench_tensors("classes", 2, classes, 4, scores);
    bench_tensors("offsets", 2, offsets, 4, where);
    bench_texts(&b, "text", 4, text);
}

static void drop_step(void)
{
    if (step.params && step.kind->drop)
        step.kind->drop(&step);
    step = (mbr_step){ .kind = NULL };
}

static void teardown_bench(void)
{
    drop_step();
    bench_close(&b);
}

static void teardown(void)
{
    teardown_bench();
    mbr_env_release(&env);
}

static mbr_status compile(const char *text)
{
    mbr_compiling c = { .read = { .arena = &b.arena, .file = "p.yaml", .err = &b.err }, .scope = &b.scope, .env = env };
    mbr_node *n;
    drop_step();
    b.err = (mbr_error){ 0 };
    MBR_TRY(mbr_yaml_read(&c.read, text, strlen(text), &n));
    return mbr_step_compile(&c, n, &step);
}

static void run(const char *text)
{
    b.scope.count = 7; /* forget an earlier step */
    memset(b.fault, 0, sizeof b.fault);
    ck_assert_msg(compile(text) == MBR_OK, "%s: %s", text, b.err.text);
    for (int i = 0; i < step.out_count; i++)
        bench_lane(&b, step.outs[i]);
    step.kind->run(&step, &b.rows);
}

static void expect_text(int part, int row, const char *want)
{
    const mbr_string *s = &b.lanes[step.outs[part]].str[row];
    ck_assert_msg(want ? s->data && s->size == strlen(want) && memcmp(s->data, want, s->size) == 0 : !s->data,
                  "row %d: '%.*s', not '%s'", row, (int)s->size, s->data ? s->data : "", want ? want : "nothing");
}

static double number(int part, int row)
{
    return b.lanes[step.outs[part]].num[row];
}

START_TEST(score_steps)
{
    run("{name: o, kind: isotonic, from: x, x: [0.1, 0.4], y: [0, 0.5]}");
    ck_assert_double_eq(number(0, 0), 0);
    ck_assert_double_eq_tol(number(0, 1), 0.25, 1e-15);
    ck_assert(number(0, 2) == 0.5 && isnan(number(0, 3)));
    run("{name: o, kind: temperature, from: x, value: 2}");
    ck_assert(number(0, 1) == 0.125 && isnan(number(0, 3)));
    run("{name: o, kind: threshold, from: x, edges: [0.25, 0.5], labels: [low, middle, high]}");
    expect_text(0, 0, "low");
    expect_text(0, 1, "middle");
    expect_text(0, 2, "high");
    expect_text(0, 3, NULL);
    run("{name: o, kind: points, from: x, method: linear, to_min: 300, to_max: 850}");
    ck_assert(number(0, 0) == 300 && number(0, 1) == 438 && number(0, 2) == 850 && isnan(number(0, 3)));
    run("{name: o, kind: points, from: x, method: log_odds, base: 600, odds: 50, min: 300, max: 850}");
    ck_assert(number(0, 0) == 850 && number(0, 1) == 519 && number(0, 2) == 300 && isnan(number(0, 3)));
    run("{name: o, kind: top_k, from: wide, k: 2, labels: [a, b, c]}");
    expect_text(0, 0, "b");
    expect_text(2, 0, "c");
    ck_assert(number(1, 0) == 3 && number(3, 0) == 2);
    expect_text(0, 1, "a"); /* equal: the first */
    expect_text(2, 1, "b");
    expect_text(0, 2, NULL);
    ck_assert(isnan(number(1, 2)) && !b.fault[2]);
    ck_assert_str_eq(b.scope.cols[step.outs[3]].name, "o.score_2");
    run("{name: o, kind: argmax, from: wide}");
    ck_assert(number(0, 0) == 1 && number(1, 0) == 3 && isnan(number(0, 2)) && number(0, 3) == 0);
    run("{name: o, kind: argmax, from: frames}");
    ck_assert(number(0, 0) == 1);
    run("{name: o, kind: l2_normalize, from: wide}");
    ck_assert_double_eq_tol(number(0, 0), 1 / sqrt(14), 1e-15);
    run("{name: o, kind: pool, from: frames, method: mean}");
    ck_assert_double_eq_tol(number(0, 0), 1.1 / 4, 1e-7);
    run("{name: o, kind: pool, from: frames, method: last}");
    ck_assert_double_eq_tol(b.lanes[step.out].num[2], 0.8, 1e-7);
}
END_TEST

START_TEST(network_steps)
{
    run("{name: o, kind: ctc, from: frames, labels: ['', a, b], input: probabilities}");
    expect_text(0, 0, "ab");
    ck_assert_double_eq_tol(number(1, 0), 4 * log(0.8), 1e-6);
    run("{name: o, kind: ctc, from: frames, labels: ['', a, b], input: probabilities, beam: 20}");
    expect_text(0, 0, "ab");
    ck_assert_double_gt(number(1, 0), 4 * log(0.8));
    run("{name: o, kind: boxes, from: [corners, classes], score_threshold: 0.5, iou_threshold: 0.5, scale: [2, 1]}");
    const mbr_cell *cell = &b.lanes[step.out].cell[0];
    const float *box = cell->data;
    ck_assert(number(1, 0) == 2 && cell->dims[0] == 2 && cell->dims[1] == 6);
    ck_assert(box[0] == 0 && box[2] == 20 && box[3] == 10 && box[4] == 0.9f && box[5] == 0);
    ck_assert(box[6] == 40 && box[10] == 0.7f && box[11] == 1);
    ck_assert(number(1, 1) == 0 && b.lanes[step.out].cell[1].data); /* none, not missing */
    run("{name: o, kind: boxes, from: [corners, classes], format: anchors, most: 1,"
        " priors: {image: [64, 32], strides: [32], sizes: [[16]]}}");
    ck_assert_ptr_nonnull(b.fault[0]); /* two anchors, three boxes */
    run("{name: o, kind: boxes, from: [corners, classes], format: anchors, any_class: true, score_threshold: -1,"
        " iou_threshold: 1, priors: {image: [64, 32], strides: [64, 64, 64], sizes: [[16], [32], [48]]}}");
    ck_assert(number(1, 1) == 3);
    for (int i = 0; i < 3; i++) /* no offsets: the anchors themselves, all of them */
        ck_assert_float_eq(((const float *)b.lanes[step.out].cell[1].data)[6 * i], 0.5f - (float)(i + 1) / 8);
    run("{name: o, kind: span, from: [wide, wide], longest: 2, text: text, offsets: offsets}");
    ck_assert(number(0, 0) == 1 && number(1, 0) == 1 && number(2, 0) == 6);
    expect_text(3, 0, "\xc3\xa9t"); /* bytes 3 to 6 */
    ck_assert(isnan(number(0, 2)));
}
END_TEST

/* ---- steps that read a file beside the pipeline ---- */

static const float directions[] = { 1, 0, 0, 0, 1, 0, 0, 0, 1 };
static const char pieces[] =
    "{\"version\": \"1.0\", \"added_tokens\": [{\"id\": 7, \"content\": \"<x>\", \"single_word\": false, "
    "\"lstrip\": false, \"rstrip\": false, \"normalized\": false, \"special\": true}], "
    "\"decoder\": {\"type\": \"WordPiece\", \"prefix\": \"##\", \"cleanup\": true}, \"model\": "
    "{\"type\": \"WordPiece\", \"unk_token\": \"[UNK]\", \"continuing_subword_prefix\": \"##\", "
    "\"max_input_chars_per_word\": 12, \"vocab\": {\"[UNK]\": 0, \"un\": 1, \"##aff\": 2, \"##able\": 3, \"a\": 4, "
    "\"##a\": 5, \",\": 6}}}";

/* The text with the names of the test's files in the place of TABLE, LABELS, TOKENS. */
static const char *with_files(const char *text)
{
    static char out[600];
    size_t n = 0;
    for (; *text; text++) {
        const char *kind = strncmp(text, "TABLE", 5) == 0 ? "npy" : strncmp(text, "LABELS", 6) == 0 ? "txt"
                         : strncmp(text, "TOKENS", 6) == 0 ? "json" : NULL;
        if (kind) {
            n += (size_t)snprintf(out + n, sizeof out - n, "test_post.%ld.%s", (long)getpid(), kind);
            text += kind[0] == 'n' ? 4 : 5;
        } else {
            out[n++] = *text;
        }
        ck_assert_uint_lt(n, sizeof out - 40);
    }
    out[n] = '\0';
    return out;
}

static void write_files(void)
{
    write_npy(with_files("TABLE"), directions, 3, 3);
    FILE *f = fopen(with_files("LABELS"), "wb");
    ck_assert_ptr_nonnull(f);
    fputs("along x\nalong y\nalong z\n", f);
    fclose(f);
    f = fopen(with_files("TOKENS"), "wb");
    ck_assert_ptr_nonnull(f);
    fputs(pieces, f);
    fclose(f);
}

static void remove_files(void)
{
    remove(with_files("TABLE"));
    remove(with_files("LABELS"));
    remove(with_files("TOKENS"));
}

START_TEST(neighbours_have_labels)
{
    static const char *const ways[] = { "labels: [along x, along y, along z]", "labels_file: LABELS" };
    write_files();
    for (size_t i = 0; i < MBR_COUNT_OF(ways); i++) {
        char text[200];
        snprintf(text, sizeof text, "{name: o, kind: nearest, from: wide, table: TABLE, k: 4, %s}", ways[i]);
        run(with_files(text));
        ck_assert_int_eq(step.out_count, 8);
        ck_assert_str_eq(b.scope.cols[step.outs[0]].name, "o.label_1");
        ck_assert_str_eq(b.scope.cols[step.outs[7]].name, "o.score_4");
        expect_text(0, 0, "along y"); /* of 1, 3, 2 */
        expect_text(2, 0, "along z");
        expect_text(4, 0, "along x");
        ck_assert_double_eq_tol(number(1, 0), 3 / sqrt(14), 1e-6);
        ck_assert_double_eq_tol(number(5, 0), 1 / sqrt(14), 1e-6);
        expect_text(6, 0, NULL); /* the table has no fourth */
        ck_assert(isnan(number(7, 0)));
        expect_text(0, 1, NULL); /* a value is missing */
        ck_assert(isnan(number(1, 2)) && !b.fault[1] && !b.fault[2]);
        expect_text(0, 3, "along x"); /* of -1, -2, -3 */
        ck_assert_double_eq_tol(number(1, 3), -1 / sqrt(14), 1e-6);
    }
    run(with_files("{name: o, kind: nearest, from: wide, table: TABLE, metric: dot}"));
    ck_assert(number(0, 0) == 1 && number(1, 0) == 3);
    run(with_files("{name: o, kind: nearest, from: wide, table: TABLE, metric: euclidean}"));
    ck_assert_double_eq_tol(number(1, 0), -3, 1e-6);
    static const char *const bad[] = {
        "{name: o, kind: nearest, from: wide, table: TABLE, labels: [a, b]}", "2 labels for a table of 3 vectors",
        "{name: o, kind: nearest, from: x, table: TABLE}", "'x' has 1 values a row, and the vectors of the table 3",
        "{name: o, kind: nearest, from: frames, table: TABLE}", "'frames' has 12 values a row, and the vectors of the table 3",
        "{name: o, kind: nearest, from: wide, table: LABELS}", "p.yaml:1: step 'o': ",
        "{name: o, kind: nearest, from: wide, table: there-is-none}", "p.yaml:1: step 'o': ",
        "{name: o, kind: nearest, from: wide, table: TABLE, k: 0}", "'k'",
        "{name: o, kind: detokenize, from: wide, tokenizer: TABLE}", "p.yaml:1: step 'o': ",
        "{name: o, kind: detokenize, from: wide, tokenizer: TOKENS, end: '</s>'}", "has no token '</s>'",
    };
    for (size_t i = 0; i < MBR_COUNT_OF(bad); i += 2) {
        b.scope.count = 7;
        ck_assert_msg(compile(with_files(bad[i])) != MBR_OK, "%s", bad[i]);
        ck_assert_msg(strstr(b.err.text, bad[i + 1]), "%s: %s", bad[i], b.err.text);
    }
    remove_files();
}
END_TEST

START_TEST(tokens_become_text)
{
    static const double special[] = { 1, 3, 7, 4, 7, 6, 99, 4, 4, 1.5, 1, 1 };
    static const int64_t three[] = { 3 };
    static const float ids[] = { 1, 2, 3, 6, 4, 5, 1, NAN, 1, 4294967296.0f, 1, 1 };
    write_files();
    run(with_files("{name: o, kind: detokenize, from: wide, tokenizer: TOKENS}"));
    expect_text(0, 0, "unableaff"); /* of 1, 3, 2 */
    expect_text(0, 1, "##aa");      /* missing values end the list */
    expect_text(0, 2, NULL);        /* nothing but missing ones */
    ck_assert(!b.fault[0] && !b.fault[1] && !b.fault[2]);
    ck_assert_ptr_nonnull(strstr(b.fault[3], "-1 is no token"));
    expect_text(0, 3, NULL);
    run(with_files("{name: o, kind: detokenize, from: wide, tokenizer: TOKENS, end: '##aff'}"));
    expect_text(0, 0, "unable");
    run(with_files("{name: o, kind: detokenize, from: wide, tokenizer: TOKENS, end: un}"));
    expect_text(0, 0, ""); /* the end at once is no text, and not missing */
    b.scope.count = 0;
    bench_numbers(&b, "ids", MBR_COL_NUMBER, 3, 4, special);
    bench_tensors("tensor", 1, three, 4, ids);
    for (int skip = 0; skip < 2; skip++) {
        b.scope.count = 2;
        memset(b.fault, 0, sizeof b.fault);
        ck_assert_int_eq(compile(with_files(skip ? "{name: o, kind: detokenize, from: ids, tokenizer: TOKENS}"
                                                 : "{name: o, kind: detokenize, from: ids, tokenizer: TOKENS, special: "
                                                   "true}")), MBR_OK);
        bench_lane(&b, step.out);
        step.kind->run(&step, &b.rows);
        expect_text(0, 0, skip ? "unable" : "unable <x>");
        expect_text(0, 1, skip ? "a," : "a <x>,");
        expect_text(0, 2, "a a"); /* what the tokenizer does not know is left out */
        ck_assert_ptr_nonnull(strstr(b.fault[3], "1.5 is no token"));
    }
    b.scope.count = 2;
    memset(b.fault, 0, sizeof b.fault);
    ck_assert_int_eq(compile(with_files("{name: o, kind: detokenize, from: tensor, tokenizer: TOKENS}")), MBR_OK);
    bench_lane(&b, step.out);
    step.kind->run(&step, &b.rows);
    expect_text(0, 0, "unaffable");
    expect_text(0, 1, ", aa");
    ck_assert_ptr_nonnull(strstr(b.fault[2], "nan is no token"));
    ck_assert_ptr_nonnull(strstr(b.fault[3], "4.29497e+09 is no token"));
    remove_files();
}
END_TEST

/* Each allocation of opening a step, then each of running it, fails once: a message or a fault, never a leak. */
START_TEST(without_memory)
{
    static const char *const steps[] = {
        "{name: o, kind: boxes, from: [corners, classes], activation: softmax, score_threshold: 0.1}",
        "{name: o, kind: boxes, from: [corners, classes], format: anchors, priors: {image: [3, 9], strides: [3], sizes: [[1]]}}",
        "{name: o, kind: boxes, from: [corners, classes], format: anchors, anchors: TABLE}",
        "{name: o, kind: ctc, from: frames, labels: ['', a, b], input: probabilities, beam: 20}",
        "{name: o, kind: span, from: [wide, wide], longest: 2, text: text, offsets: offsets}",
        "{name: o, kind: top_k, from: frames, k: 2}",
        "{name: o, kind: nearest, from: wide, table: TABLE, k: 2, labels_file: LABELS}",
        "{name: o, kind: detokenize, from: wide, tokenizer: TOKENS, end: '##aff'}",
    };
    static const float anchors[12] = { 0 };
    for (size_t i = 0; i < MBR_COUNT_OF(steps); i++) {
        char text[600];
        int failures = 0;
        write_files();
        if (strstr(steps[i], "anchors: TABLE"))
            write_npy(with_files("TABLE"), anchors, 3, 4);
        snprintf(text, sizeof text, "%s", with_files(steps[i]));
        for (int running = 0; running < 2; running++)
            for (int of_env = 0; of_env < 2; of_env++) {
                bool all = false;
                for (long fail = 0; !all; fail++) {
                    mbr_memory *memory = of_env ? mbr_env_heap(env) : &b.memory;
                    size_t before = atomic_load(&mbr_env_heap(env)->in_use);
                    ck_assert_int_lt(fail, 10000);
                    if (!running)
                        atomic_store(&memory->fail_after, fail);
                    mbr_status st = compile(text);
                    all = !running && atomic_load(&memory->fail_after) != 0;
                    atomic_store(&memory->fail_after, -1);
                    ck_assert_msg(st == MBR_OK || (!running && st == MBR_ERR_NO_MEMORY), "%s, allocation %ld: %s", text,
                                  fail, b.err.text);
                    failures += st != MBR_OK;
                    for (int k = 0; running && k < step.out_count; k++)
                        bench_lane(&b, step.outs[k]);
                    if (running) {
                        mbr_pool inputs = b.rows.pool;
                        mbr_pool_init(&b.rows.pool, &b.memory); /* with nothing in it */
                        atomic_store(&memory->fail_after, fail);
                        step.kind->run(&step, &b.rows);
                        all = atomic_load(&memory->fail_after) != 0;
                        atomic_store(&memory->fail_after, -1);
                        for (int r = 0; r < 4; r++) {
                            failures += b.fault[r] && strstr(b.fault[r], "memory");
                            ck_assert_msg(!all || !b.fault[r] || !strstr(b.fault[r], "memory"), "%s", b.fault[r]);
                        }
                        mbr_pool_destroy(&b.rows.pool);
                        b.rows.pool = inputs;
                    }
                    drop_step();
                    ck_assert_uint_eq(atomic_load(&mbr_env_heap(env)->in_use), before);
                    teardown_bench();
                    setup();
                }
            }
        ck_assert_msg(failures > 0, "%s: %d failures", text, failures);
        remove_files();
    }
}
END_TEST

START_TEST(complaints)
{
    static const char *const bad[] = {
        "{name: o, kind: isotonic, from: x, x: [1, 1], y: [0, 1]}", "ascend",
        "{name: o, kind: isotonic, from: x, x: [1, 2], y: [0]}", "2 numbers",
        "{name: o, kind: temperature, from: x, value: 0}", "above 0",
        "{name: o, kind: threshold, from: x, edges: [1], labels: [a]}", "labels",
        "{name: o, kind: points, from: x, method: linear, from_min: 2}", "from_min",
        "{name: o, kind: top_k, from: wide, k: 0}", "'k'",
        "{name: o, kind: top_k, from: wide, k: 33}", "'k'",
        "{name: o, kind: top_k, from: wide, k: 1, labels: [a]}", "1 labels",
        "{name: o, kind: argmax, from: wide, labels_file: there-is-none}", "cannot be opened",
        "{name: o, kind: ctc, from: frames}", "labels",
        "{name: o, kind: ctc, from: frames, labels: [a, b, c], blank: 3}", "blank",
        "{name: o, kind: ctc, from: frames, labels: [a, b]}", "2 labels",
        "{name: o, kind: boxes, from: [corners, classes], format: anchors}", "anchors",
        "{name: o, kind: boxes, from: [corners, classes], layout: columns}", "layout",
        "{name: o, kind: boxes, from: [corners, classes], scale: [1]}", "two numbers",
        "{name: o, kind: boxes, from: corners, format: anchors, priors: {image: [6e4,6e4], strides: [1],sizes: [[1]]}}",
        "anchors",
        "{name: o, kind: span, from: [wide, wide], text: text}", "belong together",
        "{name: o, kind: span, from: [wide, wide], mask: nothing}", "no column",
        "{name: o, kind: pool, from: wide}", "tensor",
        "{name: o, kind: pool, from: frames, width: 4}", "width",
    };
    for (size_t i = 0; i < MBR_COUNT_OF(bad); i += 2) {
        b.scope.count = 7;
        ck_assert_msg(compile(bad[i]) != MBR_OK, "%s", bad[i]);
        ck_assert_msg(strstr(b.err.text, bad[i + 1]), "%s: %s", bad[i], b.err.text);
    }
}
END_TEST

#endif

int main(void)
{
    Suite *suite = suite_create("post");
    TCase *c = tcase_create("functions");
    tcase_add_test(c, isotonic_and_best);
    tcase_add_test(c, spans_are_the_best);
    tcase_add_test(c, ctc_finds_the_likeliest);
    tcase_add_test(c, boxes_as_a_plain_search);
    tcase_add_test(c, neighbours_are_the_nearest);
    tcase_add_test(c, hostile_npy);
    suite_add_tcase(suite, c);
#ifdef HAVE_YAML
    c = tcase_create("steps");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, score_steps);
    tcase_add_test(c, network_steps);
    tcase_add_test(c, neighbours_have_labels);
    tcase_add_test(c, tokens_become_text);
    tcase_add_test(c, without_memory);
    tcase_add_test(c, complaints);
    suite_add_tcase(suite, c);
#endif
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
