/* SPDX-License-Identifier: BSD-2-Clause */
/* Tensor columns into and out of a model, steps with several columns, and steps that keep something. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "base/env.h"
#include "runtime/pipeline/decider.h"
#include "tests/pipeline_file.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#ifdef HAVE_YAML

/* ids, mask (N, S) -> total: sum of ids * mask (N, 1); kept: ids * mask (N, S) */
static wire masked_model(int ids_dtype)
{
    static const int64_t axis = 1;
    wire g = { 0 };
    add_input(&g, "ids", ids_dtype, DIMS(-1, -3));
    add_input(&g, "mask", ids_dtype, DIMS(-1, -3));
    add_constant(&g, "axes", 7, DIMS(1), &axis, sizeof axis);
    wire_add_node(&g, "", "Mul", "ids mask", "kept");
    wire_add_node(&g, "", "ReduceSum", "kept axes", "total");
    add_output(&g, "total", ids_dtype, DIMS(-1, 1));
    add_output(&g, "kept", ids_dtype, DIMS(-1, -3));
    return wire_model(8, 13, &g);
}

/* x of the shape -> y = -x of the same shape */
static wire negative_model(const int64_t *dims)
{
    wire g = { 0 };
    add_input(&g, "x", 1, dims);
    wire_add_node(&g, "", "Neg", "x", "y");
    add_output(&g, "y", 1, dims);
    return wire_model(8, 13, &g);
}

/* ---- texts of different lengths ---- */

#define TEXTS(entry) \
    "version: 1\nname: t\nmodel: {path: m}\ninputs: {text: {type: string, missing: keep}}\n" \
    "features:\n  - {name: ids, kind: characters, from: text, most: 6}\n" \
    "tensors:\n  - {input: ids, from: ids" entry "}\n  - {input: mask, from: ids.mask" entry "}\n" \
    "outputs:\n  - {name: total, output: total}\n  - {name: kept, output: kept, tensor: true}\n" \
    "post:\n  - {name: first, kind: values, from: kept, width: 3}\n" \
    "  - {name: second, kind: expr, expr: 'first[1]'}\n  - {name: third, kind: expr, expr: 'first[2]'}\n" \
    "scores: [total, second, third]\n" \
    "rules:\n  - {name: low, when: 'total < 200', then: A}\n  - {then: B}\n"

typedef struct collected {
    int count;
    double scores[16][3];
    bool faulty[16];
    char error[16][200];
} collected;

static mbr_status collect(void *user, const mbr_decision *d)
{
    collected *c = user;
    for (int i = 0; i < d->score_count && i < 3; i++)
        c->scores[c->count][i] = d->scores[i];
    c->faulty[c->count] = d->error != NULL;
    snprintf(c->error[c->count], sizeof c->error[0], "%s", d->error ? d->error : "");
    c->count++;
    return MBR_OK;
}

static const char texts[] = "text,no\nab,1\nabc,2\n\xc3\xa9z,3\n,4\nabcdefgh,5\nx,6\nba,7\n";

static void expect_texts(const char *pipeline, int ids_dtype, int batch, bool padded)
{
    /* sums of code points of at most six characters; a row without text is faulty */
    static const double want[][3] = { { 195, 98, NAN }, { 294, 98, 99 }, { 355, 122, NAN }, { NAN, NAN, NAN },
                                      { 597, 98, 99 }, { 120, NAN, NAN }, { 195, 97, NAN } };
    collected c = { 0 };
    mbr_decider *d = open_decider(pipeline, masked_model(ids_dtype), batch);
    ck_assert_msg(decide_text(d, texts, MBR_ROWS_CSV, collect, &c) == MBR_OK, "%s", err.text);
    ck_assert_int_eq(c.count, (int)MBR_COUNT_OF(want));
    for (int i = 0; i < c.count; i++)
        for (int k = 0; k < 3; k++) {
            double got = c.scores[i][k];
            bool same = isnan(want[i][k]) ? isnan(got) || (padded && got == 0) : got == want[i][k];
            ck_assert_msg(same, "batch %d: row %d, score %d: %g, not %g", batch, i, k, got, want[i][k]);
            ck_assert_msg(c.faulty[i] == isnan(want[i][0]), "row %d: %s", i, c.error[i]);
        }
    ck_assert_msg(strstr(c.error[3], "rows:5: column 'ids' is missing, and the model's input 'ids' cannot be") != NULL,
                  "%s", c.error[3]);
    mbr_decider_release(&d);
}

START_TEST(rows_of_different_shapes)
{
    for (int batch = 0; batch < 6; batch++) {
        expect_texts(TEXTS(""), MBR_DTYPE_I64, batch, false);
        expect_texts(TEXTS(", pad: 0"), MBR_DTYPE_I64, batch, true);
        expect_texts(TEXTS(", pad: 0"), MBR_DTYPE_F32, batch, true); /* converted */
        expect_texts(TEXTS(""), MBR_DTYPE_I32, batch, false);
    }
}
END_TEST

START_TEST(what_an_element_type_cannot_hold)
{
    collected c = { 0 };
    wire g = { 0 };
    static const char text[] =
        "version: 1\nname: t\nmodel: {path: m}\ninputs: {text: {type: string}}\n"
        "features: [{name: ids, kind: characters, from: text}]\ntensors: [{input: x, from: ids}]\n"
        "outputs: [{name: y, output: y, tensor: true}]\npost: [{name: v, kind: values, from: y, width: 1}]\n"
        "rules: [{then: A}]\nfallback: F\n";
    add_input(&g, "x", MBR_DTYPE_U8, DIMS(-1, -3));
    wire_add_node(&g, "", "Identity", "x", "y");
    add_output(&g, "y", MBR_DTYPE_U8, DIMS(-1, -3));
    mbr_decider *d = open_decider(text, wire_model(8, 13, &g), 4);
    ck_assert_msg(decide_text(d, "text\na\n\xe2\x82\xac\n\xc3\xa9\n", MBR_ROWS_CSV, collect, &c) == MBR_OK, "%s",
                  err.text);
    ck_assert_int_eq(c.count, 3);
    ck_assert(c.scores[0][0] == 97 && c.scores[2][0] == 233);
    ck_assert(!c.faulty[0] && c.faulty[1] && !c.faulty[2]);
    ck_assert_msg(strstr(c.error[1], "8364 does not fit the model's input 'x' of u8") != NULL, "%s", c.error[1]);
    mbr_decider_release(&d);
}
END_TEST

/* ---- shapes that are known ---- */

#define NUMBERS(step, entry, output) \
    "version: 1\nname: t\nmodel: {path: m}\ninputs:\n  a: {type: number}\n  b: {type: number}\n  c: {type: number}\n" \
    "  d: {type: number}\nfeatures:\n  - {name: x, kind: tensor, from: [a, b, c, d]" step "}\n" \
    "tensors: [{input: x, from: x" entry "}]\noutputs: [{name: y, output: y" output "}]\n" \
    "post:\n  - {name: v, kind: values, from: y}\n  - {name: v3, kind: expr, expr: 'v[3]'}\n" \
    "rules: [{then: A}]\n"

static const char quads[] = "a,b,c,d\n1,2,3,4\n5,6,7,8\n-1,-2,-3,-4\n";

static void expect_quads(const char *pipeline, const int64_t *dims, int batch)
{
    collected c = { 0 };
    mbr_decider *d = open_decider(pipeline, negative_model(dims), batch);
    ck_assert_msg(decide_text(d, quads, MBR_ROWS_CSV, collect, &c) == MBR_OK, "%s", err.text);
    ck_assert_int_eq(c.count, 3);
    ck_assert_msg(c.scores[0][0] == -4 && c.scores[1][0] == -8 && c.scores[2][0] == 4, "%g %g %g", c.scores[0][0],
                  c.scores[1][0], c.scores[2][0]);
    mbr_decider_release(&d);
}

START_TEST(rows_with_and_without_their_dimension)
{
    for (int batch = 0; batch < 4; batch++) {
        expect_quads(NUMBERS(", shape: [2, 2]", "", ", tensor: true"), DIMS(-1, 2, 2), batch);
        expect_quads(NUMBERS(", shape: [2, 2]", "", ", tensor: true"), DIMS(1, 2, 2), batch);
        expect_quads(NUMBERS("", "", ", tensor: true"), DIMS(-1, 4), batch);
        expect_quads(NUMBERS(", shape: [2, 2]", "", ", tensor: whole"), DIMS(2, 2), batch);
        expect_quads(NUMBERS(", shape: [4, 1]", "", ", tensor: whole"), DIMS(4, 1), batch);
    }
}
END_TEST

START_TEST(shapes_that_do_not_fit)
{
    expect_refusal(NUMBERS(", shape: [2, 2]", "", ", tensor: true"), negative_model(DIMS(-1, 2, 3)),
                   "column 'x' is a tensor f32[2, 2] a row, and input 'x' of the model has the shape [N, 2, 3]");
    expect_refusal(NUMBERS(", shape: [2, 2]", "", ", tensor: true"), negative_model(DIMS(-1, 4)), "has the shape");
    expect_refusal(NUMBERS(", shape: [2, 2]", "", ", tensor: true"), negative_model(DIMS(3, 2, 2)),
                   "it always takes 3 rows");
    expect_refusal(NUMBERS(", shape: [2, 3]", "", ", tensor: true"), negative_model(DIMS(-1, 4)),
                   "the columns are 4 values a row, and the product of 'shape' is another number");
    expect_refusal(NUMBERS(", shape: [2, 2.5]", "", ", tensor: true"), negative_model(DIMS(-1, 4)), "another number");
    expect_refusal(NUMBERS(", dtype: f33", "", ", tensor: true"), negative_model(DIMS(-1, 4)), "'dtype' must be");
    expect_refusal(NUMBERS("", "", ", tensor: true"), negative_model(DIMS(4)), "say 'tensor: whole'");
    expect_refusal(NUMBERS("", "", ", tensor: true, column: 1"), negative_model(DIMS(-1, 4)), "exclude each other");
    expect_refusal(NUMBERS("", "", ""), negative_model(DIMS(-1, 4)), "values reads tensors, and 'y' is a number");
    expect_refusal(NUMBERS("", "", ", tensor: true"), masked_model(1), "the model has no input 'x'");
    expect_refusal(TEXTS(", pad: 0.5"), masked_model(MBR_DTYPE_I64), "the value of 'pad' cannot be an element of i64");
    expect_refusal(TEXTS(""), masked_model(MBR_DTYPE_F16), "is a tensor i64[?], and the model takes f16");
    expect_refusal("version: 1\nname: t\nmodel: {path: m}\ninputs: {text: {type: string}}\n"
                   "features:\n  - {name: ids, kind: characters, from: text}\n"
                   "  - {name: n, kind: expr, expr: 'ids.mask > 1'}\n"
                   "tensors: []\noutputs: []\nrules: []\n", negative_model(DIMS(-1, 4)),
                   "column 'ids.mask' is a tensor; make numbers of it by a step of kind values");
}
END_TEST

START_TEST(padding_up_to_a_fixed_shape)
{
    collected c = { 0 };
    static const char text[] =
        "version: 1\nname: t\nmodel: {path: m}\ninputs: {text: {type: string}}\n"
        "features: [{name: ids, kind: characters, from: text}]\ntensors: [{input: x, from: ids, pad: 7}]\n"
        "outputs: [{name: y, output: y, tensor: true}]\npost:\n  - {name: v, kind: values, from: y}\n"
        "  - {name: v0, kind: expr, expr: 'v[0]'}\n  - {name: v2, kind: expr, expr: 'v[2]'}\n"
        "scores: [v0, v2]\nrules: [{then: A}]\nfallback: F\n";
    mbr_decider *d = open_decider(text, negative_model(DIMS(-1, 3)), 4);
    ck_assert_msg(decide_text(d, "text\na\nabc\nabcd\n", MBR_ROWS_CSV, collect, &c) == MBR_OK, "%s", err.text);
    ck_assert_int_eq(c.count, 3);
    ck_assert(c.scores[0][0] == -97 && c.scores[0][1] == -7);
    ck_assert(c.scores[1][0] == -97 && c.scores[1][1] == -99);
    ck_assert(c.faulty[2]);
    ck_assert_msg(strstr(c.error[2], "column 'ids' is a tensor i64[4], and the model's input 'x' takes f32[3] a row"),
                  "%s", c.error[2]);
    mbr_decider_release(&d);
}
END_TEST

/* ---- texts and images ---- */

static const char tokenizer[] =
    "{\"version\": \"1.0\", \"added_tokens\": [], \"pre_tokenizer\": {\"type\": \"BertPreTokenizer\"}, "
    "\"model\": {\"type\": \"WordPiece\", \"unk_token\": \"[UNK]\", \"continuing_subword_prefix\": \"##\", "
    "\"max_input_chars_per_word\": 12, \"vocab\": {\"[UNK]\": 0, \"un\": 1, \"##aff\": 2, \"##able\": 3, "
    "\"a\": 4, \"##a\": 5, \",\": 6}}}";

static void write_file(const char *path, const void *data, size_t bytes)
{
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(data, 1, bytes, f), bytes);
    fclose(f);
}

static size_t read_bytes(const char *path, uint8_t *to, size_t most)
{
    FILE *f = fopen(path, "rb");
    ck_assert_ptr_nonnull(f);
    size_t n = fread(to, 1, most, f);
    ck_assert_uint_lt(n, most);
    fclose(f);
    return n;
}

START_TEST(texts_become_tokens)
{
    char path[] = "/tmp/mbr-tokens-XXXXXX", text[1200];
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    write_file(path, tokenizer, strlen(tokenizer));
    for (int most = 0; most < 4; most += 3)
        for (int batch = 1; batch < 6; batch++) {
            collected c = { 0 };
            snprintf(text, sizeof text,
                     "version: 1\nname: t\nmodel: {path: m}\ninputs:\n  text: {type: string, missing: keep}\n"
                     "features:\n  - {name: ids, kind: tokens, from: text, tokenizer: %s%s}\n"
                     "tensors:\n  - {input: ids, from: ids, pad: 0}\n  - {input: mask, from: ids.mask, pad: 0}\n"
                     "outputs:\n  - {name: total, output: total}\npost:\n"
                     "  - {name: o, kind: values, from: ids.offsets, width: 4}\n"
                     "  - {name: end, kind: expr, expr: 'o[3]'}\n"
                     "  - {name: t, kind: values, from: ids.content, width: 1}\nscores: [total, end, t]\n"
                     "rules: [{then: A}]\nfallback: F\n", path, most ? ", most: 3" : "");
            mbr_decider *d = open_decider(text, masked_model(MBR_DTYPE_I64), batch);
            const char *rows = "text,no\nunaffable,1\n\"a,a , unaff\",2\n,3\naa zz,4\n";
            ck_assert_msg(decide_text(d, rows, MBR_ROWS_CSV, collect, &c) == MBR_OK, "%s", err.text);
            ck_assert_int_eq(c.count, 4);
            ck_assert(c.scores[0][0] == 6 && c.scores[1][0] == (most ? 14 : 23) && c.scores[3][0] == 9);
            ck_assert(c.faulty[2] && !c.faulty[3]);
            ck_assert(c.scores[0][1] == 5 && c.scores[0][2] == 1 && c.scores[3][1] == 2); /* un|aff|able */
            mbr_decider_release(&d);
        }
    write_file(path, "{}", 2);
    expect_refusal(text, masked_model(MBR_DTYPE_I64), "p.yaml:7: step 'ids': ");
    unlink(path);
    expect_refusal(text, masked_model(MBR_DTYPE_I64), "cannot be opened");
}
END_TEST

/* A picture of 4 by 2 points whose red is 10 x + y. */
static void write_picture(const char *path)
{
    char data[11 + 24] = "P6\n4 2\n255\n";
    size_t at = 11;
    for (int y = 0; y < 2; y++)
        for (int x = 0; x < 4; x++) {
            data[at++] = (char)(10 * x + y);
            data[at++] = 100;
            data[at++] = 50;
        }
    write_file(path, data, sizeof data);
}

#define PICTURES(step) \
    "version: 1\nname: t\nmodel: {path: m}\ninputs:\n  file: {type: string}\nfeatures:\n" \
    "  - {name: x, kind: image, from: file, folder: %s/in" step "}\ntensors: [{input: x, from: x}]\n" \
    "outputs: [{name: y, output: y, tensor: true}]\npost:\n  - {name: v, kind: values, from: y}\n" \
    "  - {name: a, kind: expr, expr: 'v[0]'}\n  - {name: b, kind: expr, expr: 'v[1]'}\n" \
    "  - {name: left, kind: expr, expr: 'x.place[0]'}\nscores: [a, b, left]\nrules: [{then: A}]\nfallback: F\n"

START_TEST(images_become_tensors)
{
    char folder[] = "/tmp/mbr-images-XXXXXX", path[400], text[1500];
    static const struct {
        const char *pipeline;
        int64_t dims[5];
        double a, b, left;
    } cases[] = {
        { PICTURES(", crop: [2, 2], divide: 1"), { -1, 3, 2, 2, -2 }, -10, -20, -1 },
        { PICTURES(", crop: [2, 2], divide: 1, layout: hwc, colours: bgr"), { -1, 2, 2, 3, -2 }, -50, -100, -1 },
        { PICTURES(", crop: [2, 2], divide: 10, mean: [1, 0, 0], deviation: [2]"), { -1, 3, 2, 2, -2 }, -0, -0.5, -1 },
        { PICTURES(", resize: [2, 1], filter: pillow-nearest, divide: 1"), { -1, 3, 1, 2, -2 }, -11, -31, 0 },
        { PICTURES(", letterbox: [4, 4], filter: opencv-linear, fill: [7], divide: 1"), { -1, 3, 4, 4, -2 },
          -7, -7, 0 },
        { PICTURES(", crop: [6, 2], divide: 1"), { -1, 3, 2, 6, -2 }, 0, 0, 1 },
        { PICTURES(", shorter: 1, filter: pillow-nearest, crop: [2, 1], divide: 1"), { -1, 3, 1, 2, -2 }, -11, -31,
          0 },
    };
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/in", folder);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/in/ok.ppm", folder);
    write_picture(path);
    snprintf(path, sizeof path, "%s/out.ppm", folder);
    write_picture(path);
    snprintf(path, sizeof path, "%s/in/link.ppm", folder);
    ck_assert_int_eq(symlink("../out.ppm", path), 0);
    snprintf(path, sizeof path, "%s/in/pipe.ppm", folder);
    ck_assert_int_eq(mkfifo(path, 0600), 0); /* nobody writes to it, and nobody waits */
    snprintf(path, sizeof path, "%s/in/broken.ppm", folder);
    write_file(path, "P6\n4 2\n255\nshort", 16);
    for (size_t i = 0; i < MBR_COUNT_OF(cases); i++) {
        collected c = { 0 };
        char rows[400];
        snprintf(text, sizeof text, cases[i].pipeline, folder);
        mbr_decider *d = open_decider(text, negative_model(cases[i].dims), 3);
        snprintf(rows, sizeof rows,
                 "file\nok.ppm\n../out.ppm\nlink.ppm\n%s/in/ok.ppm\nnone.ppm\nbroken.ppm\npipe.ppm\n./ok.ppm\n",
                 folder);
        ck_assert_msg(decide_text(d, rows, MBR_ROWS_CSV, collect, &c) == MBR_OK, "%s", err.text);
        ck_assert_int_eq(c.count, 8);
        for (int k = 0; k < 8; k += 7)
            ck_assert_msg(c.scores[k][0] == cases[i].a && c.scores[k][1] == cases[i].b &&
                          c.scores[k][2] == cases[i].left, "case %zu: %g %g %g %s", i, c.scores[k][0], c.scores[k][1],
                          c.scores[k][2], c.error[k]);
        static const char *const faults[] = { "is not below the folder", "symbolic link", "is not below the folder",
                                              "none.ppm", "broken.ppm", "no regular file" };
        for (int k = 1; k < 7; k++)
            ck_assert_msg(c.faulty[k] && strstr(c.error[k], faults[k - 1]), "row %d: %s", k, c.error[k]);
        mbr_decider_release(&d);
    }
    snprintf(text, sizeof text, PICTURES(", crop: [2, 2], resize: [1, 1], shorter: 3"), folder);
    expect_refusal(text, negative_model(DIMS(-1, 3, 2, 2)), "exclude each other");
    snprintf(text, sizeof text, PICTURES(", crop: [2, 2], filter: best"), folder);
    expect_refusal(text, negative_model(DIMS(-1, 3, 2, 2)), "there is no filter 'best'");
    snprintf(text, sizeof text, PICTURES(", crop: [2, 3]"), folder);
    expect_refusal(text, negative_model(DIMS(-1, 3, 2, 2)), "is a tensor f32[3, 3, 2] a row");
    snprintf(text, sizeof text, "rm -r %s", folder);
    ck_assert_int_eq(system(text), 0);
}
END_TEST

#define ARRAYS(step) \
    "version: 1\nname: t\nmodel: {path: m}\ninputs:\n  list: {type: array}\nfeatures:\n" \
    "  - {name: x, kind: array, from: list" step "}\ntensors: [{input: x, from: x}]\n" \
    "outputs: [{name: y, output: y, tensor: true}]\npost:\n  - {name: v, kind: values, from: y, width: 3}\n" \
    "  - {name: a, kind: expr, expr: 'v[0]'}\n  - {name: b, kind: expr, expr: 'v[2]'}\n" \
    "scores: [a, b]\nrules: [{then: A}]\nfallback: F\n"

/* Lists in JSON lines, and the same as text in CSV. */
START_TEST(arrays_become_tensors)
{
    static const struct {
        const char *list, *error;
        double a, b;
    } rows[] = {
        { "[[1, 2.5], [3e0, -4]]", NULL, -1, -3 },
        { "[[1, 2], [3, 4], [5, 6]]", NULL, -1, -3 },
        { "[ [ true , false ] ,[ 7 , null ] ]", NULL, -1, -7 },
        { "[[1, 2], [3]]", "lists side by side differ in length", 0, 0 },
        { "[[1, 2], 3]", "a number stands where a list is due", 0, 0 },
        { "[[1, [2]]]", "a list stands where a number is due", 0, 0 },
        { "[1, 2]", "is an array f32[2], and f32[?, 2] is due", 0, 0 },
        { "[[1, 2, 3]]", "is an array f32[1, 3], and f32[?, 2] is due", 0, 0 },
        { "[[1, \"x\"]]", ": a number or a list is due", 0, 0 },
        { "[[[[[[[[[[1, 2]]]]]]]]]]", "", 0, 0 },
    };
    static const char *const broken[] = { "[[1, 2]", "[[1, 2],]", "[[1, 2]] 3", "", "x", "[[1 2]]", "[,]" };
    char text[2000];
    for (int json = 0; json < 2; json++) {
        size_t n = (size_t)snprintf(text, sizeof text, json ? "" : "list\n");
        collected c = { 0 };
        for (size_t i = 0; i < MBR_COUNT_OF(rows); i++) {
            n += (size_t)snprintf(text + n, sizeof text - n, json ? "{\"list\": " : "\"");
            for (const char *s = rows[i].list; *s; s++)
                n += (size_t)snprintf(text + n, sizeof text - n, !json && *s == '"' ? "\"\"" : "%c", *s);
            n += (size_t)snprintf(text + n, sizeof text - n, json ? "}\n" : "\"\n");
        }
        mbr_decider *d = open_decider(ARRAYS(", shape: [-1, 2]"), negative_model(DIMS(-1, -3, 2)), 3);
        ck_assert_msg(decide_text(d, text, json ? MBR_ROWS_JSONL : MBR_ROWS_CSV, collect, &c) == MBR_OK, "%s",
                      err.text);
        ck_assert_int_eq(c.count, (int)MBR_COUNT_OF(rows));
        for (size_t i = 0; i < MBR_COUNT_OF(rows); i++)
            if (rows[i].error)
                ck_assert_msg(c.faulty[i] && strstr(c.error[i], rows[i].error), "%s: %s", rows[i].list, c.error[i]);
            else
                ck_assert_msg(!c.faulty[i] && c.scores[i][0] == rows[i].a && c.scores[i][1] == rows[i].b, "%s: %g %g %s",
                              rows[i].list, c.scores[i][0], c.scores[i][1], c.error[i]);
        mbr_decider_release(&d);
    }
    for (size_t i = 0; i < MBR_COUNT_OF(broken); i++) {
        collected c = { 0 };
        mbr_decider *d = open_decider(ARRAYS(""), negative_model(DIMS(-1, -3, 2)), 1);
        snprintf(text, sizeof text, "list\n\"%s\"\n", broken[i]);
        ck_assert_int_eq(decide_text(d, text, MBR_ROWS_CSV, collect, &c), MBR_OK);
        ck_assert_msg(c.count == 1 && c.faulty[0], "%s", broken[i]); /* a file of one column: "" is a row of it */
        mbr_decider_release(&d);
    }
    collected c = { 0 };
    mbr_decider *d = open_decider(ARRAYS(", dtype: u8"), negative_model(DIMS(-1, -3, 2)), 1);
    ck_assert_int_eq(decide_text(d, "{\"list\": [[1, 256]]}\n{\"list\": {\"a\": 1}}\n{\"list\": null}\n", MBR_ROWS_JSONL,
                                 collect, &c), MBR_OK);
    ck_assert_int_eq(c.count, 3);
    ck_assert_msg(strstr(c.error[0], "256 in column 'list' does not fit a tensor of u8"), "%s", c.error[0]);
    ck_assert_msg(strstr(c.error[1], "is a list or an object"), "%s", c.error[1]);
    ck_assert_msg(strstr(c.error[2], "missing"), "%s", c.error[2]);
    mbr_decider_release(&d);
    expect_refusal(ARRAYS(", shape: [-2]"), negative_model(DIMS(-1, -3, 2)), "is no dimension");
    expect_refusal(ARRAYS(", dtype: f16"), negative_model(DIMS(-1, -3, 2)), "'dtype' must be");
    expect_refusal("version: 1\nname: t\nmodel: {path: m}\ninputs:\n  p: {type: number}\n"
                   "tensors: [{input: x, value: 1, missing: skip}]\noutputs: [{name: y, output: y}]\nrules: [{then: A}]\n",
                   negative_model(DIMS(-1, 1)), "is a `value`; 'pad' and 'missing' are for columns");
}
END_TEST

#define SOUNDS(steps) \
    "version: 1\nname: t\nmodel: {path: m}\ninputs:\n  file: {type: string}\nfeatures:\n" \
    "  - {name: s, kind: audio, from: file, folder: %s" steps "\ntensors: [{input: x, from: x}]\n" \
    "outputs: [{name: y, output: y, tensor: true}]\npost:\n  - {name: v, kind: values, from: y}\n" \
    "  - {name: a, kind: expr, expr: 'v[0]'}\n  - {name: b, kind: expr, expr: 'v[1]'}\n" \
    "scores: [a, b]\nrules: [{then: A}]\nfallback: F\n"

/* Eight frames of two channels at 8 kHz, whose mean is a quarter and then nothing. */
static void write_sound(const char *path)
{
    static const char head[] = "RIFF\x44\0\0\0WAVEfmt \x10\0\0\0\1\0\2\0\x40\x1f\0\0\0\x7d\0\0\4\0\x10\0"
                               "data\x20\0\0";
    char data[76] = { 0 };
    memcpy(data, head, sizeof head);
    for (int i = 0; i < 4; i++)
        data[44 + 4 * i + 1] = 0x40;
    write_file(path, data, sizeof data);
}

START_TEST(sounds_become_tensors)
{
    char folder[] = "/tmp/mbr-sounds-XXXXXX", path[400], text[1500];
    static const struct {
        const char *pipeline;
        int64_t dims[5];
        double a, b;
    } cases[] = {
        { SOUNDS(", rate: 8000, samples: 10}\n  - {name: x, kind: stft, from: s, rate: 8000, n_fft: 4, hop: 4, "
                 "padding: none, window: ones, part: power}"), { -1, 3, 2, -2 }, -1, 0 },
        { SOUNDS(", rate: 8000}\n  - {name: x, kind: stft, from: s, n_fft: 4, hop: 4, padding: none, window: ones, "
                 "frames_first: true}"), { -1, 2, 3, 2, -2 }, -1, 0 },
        { SOUNDS(", rate: 8000, samples: 8}\n  - {name: x, kind: mel, from: s, rate: 8000, n_fft: 4, hop: 4, mels: 1, "
                 "padding: none, window: ones, log: db, top_db: 20}"), { -1, 1, 2, -2 }, 100, 100 },
        { SOUNDS(", rate: 8000}\n  - {name: x, kind: mfcc, from: s, rate: 8000, n_fft: 4, hop: 4, mels: 1, "
                 "padding: none, window: ones, coefficients: 1}"), { -1, 1, 2, -2 }, 100, 100 },
    };
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/ok.wav", folder);
    write_sound(path);
    snprintf(path, sizeof path, "%s/broken.wav", folder);
    write_file(path, "RIFF....WAVEfmt ", 16);
    for (size_t i = 0; i < MBR_COUNT_OF(cases); i++) {
        collected c = { 0 };
        snprintf(text, sizeof text, cases[i].pipeline, folder);
        mbr_decider *d = open_decider(text, negative_model(cases[i].dims), 3);
        OK(decide_text(d, "file\nok.wav\n../ok.wav\nbroken.wav\nok.wav\n", MBR_ROWS_CSV, collect, &c));
        ck_assert_int_eq(c.count, 4);
        for (int k = 0; k < 4; k += 3)
            ck_assert_msg(fabs(c.scores[k][0] - cases[i].a) < 1e-4 && fabs(c.scores[k][1] - cases[i].b) < 1e-4,
                          "case %zu: %g %g %s", i, c.scores[k][0], c.scores[k][1], c.error[k]);
        ck_assert(c.faulty[1] && strstr(c.error[1], "is not below the folder"));
        ck_assert(c.faulty[2] && strstr(c.error[2], "broken.wav"));
        mbr_decider_release(&d);
    }
    /* 20 kB at 1 Hz, which would be more than 1 GiB at 16 kHz */
    static char slow[20044] =
        "RIFF\x44\x4e\0\0WAVEfmt \x10\0\0\0\1\0\1\0\1\0\0\0\1\0\0\0\1\0\x8\0"
        "data\x20\x4e\0";
    collected c = { 0 };
    snprintf(path, sizeof path, "%s/slow.wav", folder);
    write_file(path, slow, sizeof slow);
    snprintf(text, sizeof text, SOUNDS(", rate: 16000, samples: 8}\n  - {name: x, kind: stft, from: s, n_fft: 4, "
                                       "hop: 4, padding: none, part: power}"), folder);
    mbr_decider *d = open_decider(text, negative_model(cases[0].dims), 1);
    ck_assert_int_eq(decide_text(d, "file\nslow.wav\n", MBR_ROWS_CSV, collect, &c), MBR_OK);
    ck_assert_msg(c.faulty[0] && strstr(c.error[0], "20000 samples at 1 Hz"), "%s", c.error[0]);
    mbr_decider_release(&d);
    snprintf(text, sizeof text, SOUNDS("}\n  - {name: x, kind: mel, from: s, n_fft: 1}"), folder);
    expect_refusal(text, negative_model(DIMS(-1, 1, 2)), "n_fft must be 2 to 65536");
    snprintf(text, sizeof text, SOUNDS(", samples: 100}\n  - {name: x, kind: mel, from: s, padding: none}"), folder);
    expect_refusal(text, negative_model(DIMS(-1, 1, 2)), "gives no frame");
    snprintf(text, sizeof text, SOUNDS(", rate: 0}\n  - {name: x, kind: mel, from: s}"), folder);
    expect_refusal(text, negative_model(DIMS(-1, 1, 2)), "'rate' must be");
    snprintf(text, sizeof text, "rm -r %s", folder);
    ck_assert_int_eq(system(text), 0);
}
END_TEST

/* ---- steps that keep something ---- */

typedef struct running {
    mbr_memory *memory;
    double sum;
} running;

static int open_states;
static bool fail_begin;

static mbr_status begin_running(const mbr_step *s, mbr_memory *memory, void **state, mbr_error *e)
{
    (void)s;
    if (fail_begin)
        return mbr_fail(e, MBR_ERR_LIMIT, "no state today");
    running *r = mbr_calloc(memory, 1, sizeof *r);
    if (!r)
        return mbr_no_memory(e, sizeof *r);
    r->memory = memory;
    *state = r;
    open_states++;
    return MBR_OK;
}

static void end_running(const mbr_step *s, void *state)
{
    (void)s;
    running *r = state;
    open_states--;
    mbr_free(r->memory, r);
}

static void run_running(const mbr_step *s, mbr_rows *rows)
{
    running *r = mbr_step_state(s, rows);
    for (int i = 0; i < rows->count; i++) {
        if (!rows->fault[i])
            r->sum += mbr_step_in(s, rows, 0)[i];
        mbr_step_out(s, rows)[i] = r->sum;
    }
}

static const mbr_step_keeper running_keeper = { .begin = begin_running, .end = end_running };
static const mbr_step_kind running_kind = { .name = "running", .run = run_running, .keeper = &running_keeper };

START_TEST(steps_with_state)
{
    static const char text[] =
        "version: 1\nname: t\nmodel: {path: m}\ninputs: {a: {type: number}}\n"
        "features: [{name: sum, kind: affine, from: a, multiply: 1, add: 0}]\n"
        "tensors: [{input: x, from: [sum]}]\noutputs: [{name: y, output: y}]\n"
        "post: [{name: sums, kind: affine, from: y, multiply: 1, add: 0}]\nscores: [y, sums]\nrules: [{then: A}]\n"
        "fallback: F\n";
    for (int batch = 1; batch < 6; batch++) {
        wire model = negative_model(DIMS(-1, 1));
        mbr_decider_options o = { .size = sizeof o, .batch = batch };
        mbr_pipeline *p;
        mbr_decider *d, *other;
        collected c = { 0 };
        ck_assert_msg(open_text(text, &model, &p) == MBR_OK, "%s", err.text);
        p->features[0].kind = p->posts[0].kind = &running_kind;
        ck_assert_msg(mbr_decider_new(p, &o, &d, &err) == MBR_OK, "%s", err.text);
        ck_assert_msg(mbr_decider_new(p, &o, &other, &err) == MBR_OK, "%s", err.text);
        ck_assert_int_eq(open_states, 4);
        ck_assert_int_eq(decide_text(d, "a\n1\n2\nx\n3\n4\n", MBR_ROWS_CSV, collect, &c), MBR_OK);
        ck_assert_int_eq(decide_text(other, "a\n9\n", MBR_ROWS_CSV, collect, &c), MBR_OK);
        static const double want[][2] = { { -1, -1 }, { -3, -4 }, { NAN, -4 }, { -6, -10 }, { -10, -20 }, { -9, -9 } };
        for (int i = 0; i < 6; i++)
            for (int k = 0; k < 2; k++)
                ck_assert_msg(c.scores[i][k] == want[i][k] || (isnan(want[i][k]) && isnan(c.scores[i][k])),
                              "batch %d, row %d, score %d: %g", batch, i, k, c.scores[i][k]);
        mbr_decider_release(&d);
        ck_assert_int_eq(open_states, 2);
        mbr_decider_release(&other);
        ck_assert_int_eq(open_states, 0);
        fail_begin = true;
        ck_assert_int_eq(mbr_decider_new(p, &o, &d, &err), MBR_ERR_LIMIT);
        ck_assert_ptr_null(d);
        ck_assert_int_eq(open_states, 0);
        fail_begin = false;
        mbr_pipeline_release(&p);
    }
}
END_TEST

/* ---- media that are cut short ---- */

/* 8 x 8 points of gray by Pillow; the last one 3 x 2 of colour. */
static const uint8_t jpeg[] = {
    255, 216, 255, 224, 0, 16, 74, 70, 73, 70, 0, 1, 1, 0, 0, 1, 0, 1, 0, 0, 255, 219, 0, 67, 0, 16, 11,
    12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40, 26, 24, 22, 22, 24, 49, 35, 37, 29, 40, 58,
    51, 61, 60, 57, 51, 56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87, 95, 98, 103,
    104, 103, 62, 77, 113, 121, 112, 100, 120, 92, 101, 103, 99, 255, 192, 0, 11, 8, 0, 8, 0, 8, 1, 1,
    17, 0, 255, 196, 0, 20, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 255, 196, 0, 30, 16,
    0, 2, 1, 3, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 3, 17, 18, 0, 5, 6, 97, 129, 255, 218, 0,
    8, 1, 1, 0, 0, 63, 0, 49, 130, 109, 220, 146, 92, 106, 101, 112, 21, 51, 80, 171, 136, 80, 192, 48,
    80, 58, 189, 188, 215, 255, 217
};
static const uint8_t progressive[] = {
    255, 216, 255, 224, 0, 16, 74, 70, 73, 70, 0, 1, 1, 0, 0, 1, 0, 1, 0, 0, 255, 219, 0, 67, 0, 16, 11,
    12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40, 26, 24, 22, 22, 24, 49, 35, 37, 29, 40, 58,
    51, 61, 60, 57, 51, 56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87, 95, 98, 103,
    104, 103, 62, 77, 113, 121, 112, 100, 120, 92, 101, 103, 99, 255, 194, 0, 11, 8, 0, 8, 0, 8, 1, 1,
    17, 0, 255, 196, 0, 20, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 255, 218, 0, 8, 1, 1,
    0, 0, 0, 1, 63, 255, 196, 0, 22, 16, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 4, 35, 255,
    218, 0, 8, 1, 1, 0, 1, 5, 2, 25, 179, 255, 196, 0, 23, 16, 0, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 1, 2, 81, 255, 218, 0, 8, 1, 1, 0, 6, 63, 2, 169, 90, 127, 255, 196, 0, 23, 16, 1, 1, 1, 1,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 17, 1, 33, 0, 255, 218, 0, 8, 1, 1, 0, 1, 63, 33, 1, 13, 66, 3,
    167, 127, 255, 218, 0, 8, 1, 1, 0, 0, 0, 16, 127, 255, 196, 0, 24, 16, 1, 1, 0, 3, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 1, 17, 0, 97, 129, 255, 218, 0, 8, 1, 1, 0, 1, 63, 16, 46, 209, 138, 0, 0, 13, 89,
    204, 255, 217
};
static const uint8_t png[] = {
    137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0, 8, 0, 0, 0, 8, 8, 0, 0, 0, 0,
    225, 100, 225, 87, 0, 0, 0, 18, 73, 68, 65, 84, 120, 218, 99, 100, 144, 135, 0, 166, 31, 80, 64, 30,
    3, 0, 232, 141, 55, 41, 60, 112, 134, 225, 0, 0, 0, 0, 73, 69, 78, 68, 174, 66, 96, 130
};
static const uint8_t webp[] = {
    82, 73, 70, 70, 64, 0, 0, 0, 87, 69, 66, 80, 86, 80, 56, 76, 52, 0, 0, 0, 47, 2, 64, 0, 0, 47, 64,
    144, 109, 179, 57, 12, 236, 254, 50, 215, 32, 147, 182, 201, 95, 255, 118, 102, 109, 100, 210, 54,
    173, 135, 222, 243, 239, 114, 243, 31, 32, 238, 228, 81, 179, 5, 2, 1, 50, 68, 139, 37, 17, 253,
    143, 28
};

typedef struct cuts {
    const char *name;
    size_t rows, faulty;
    double whole[2]; /* of the file as it is, which every second row has */
} cuts;

/* A file that is cut is a fault of its row, which names the file, or all that matters is there. */
static mbr_status check_cut(void *user, const mbr_decision *d)
{
    cuts *c = user;
    bool same = d->scores[0] == c->whole[0] && d->scores[1] == c->whole[1];
    if (c->rows++ == 0)
        memcpy(c->whole, d->scores, sizeof c->whole);
    else if (c->rows % 2)
        ck_assert_msg(!d->error && same, "%s: row %zu suffers: %s", c->name, c->rows, d->error ? d->error : "");
    else
        ck_assert_msg(d->error ? strstr(d->error, c->name) != NULL : same, "%s, %zu bytes: %g %g %s", c->name,
                      c->rows / 2 - 1, d->scores[0], d->scores[1], d->error ? d->error : "");
    c->faulty += d->error != NULL;
    return MBR_OK;
}

START_TEST(media_cut_anywhere)
{
    char folder[] = "/tmp/mbr-cut-XXXXXX", path[100], text[1500];
    static char rows[40000];
    static uint8_t picture[100], sound[100];
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/in", folder);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/in/x", folder);
    write_picture(path);
    size_t picture_bytes = read_bytes(path, picture, sizeof picture);
    write_sound(path);
    size_t sound_bytes = read_bytes(path, sound, sizeof sound);
    const struct {
        const char *name;
        const uint8_t *data;
        size_t bytes, least; /* how many of its beginnings must be faults */
        bool needs_library;
    } media[] = { { "cut.jpeg", jpeg, sizeof jpeg, sizeof jpeg - 3, true },
                  { "cut.jpg", progressive, sizeof progressive, sizeof progressive - 3, true },
                  { "cut.png", png, sizeof png, sizeof png - 20, true },
                  { "cut.webp", webp, sizeof webp, sizeof webp - 1, true },
                  { "cut.ppm", picture, picture_bytes, picture_bytes, false },
                  { "cut.wav", sound, sound_bytes, sound_bytes, false } };
    for (size_t i = 0; i < MBR_COUNT_OF(media); i++) {
        cuts c = { .name = media[i].name };
        size_t at = (size_t)snprintf(rows, sizeof rows, "file\n%s\n", media[i].name);
        bool heard = strstr(media[i].name, "wav") != NULL;
        for (size_t n = 0; n <= media[i].bytes; n++) {
            if (n < media[i].bytes)
                snprintf(path, sizeof path, "%s/in/%zu.%s", folder, n, media[i].name);
            else
                snprintf(path, sizeof path, "%s/in/%s", folder, media[i].name);
            write_file(path, media[i].data, n);
            if (n < media[i].bytes)
                at += (size_t)snprintf(rows + at, sizeof rows - at, "%zu.%s\n%s\n", n, media[i].name, media[i].name);
        }
        ck_assert_uint_lt(at, sizeof rows);
        if (heard)
            snprintf(text, sizeof text, SOUNDS("/in, rate: 8000, samples: 10}\n  - {name: x, kind: stft, from: s, "
                                               "rate: 8000, n_fft: 4, hop: 4, padding: none, part: power}"), folder);
        else
            snprintf(text, sizeof text, PICTURES(", shorter: 2, crop: [2, 2], divide: 1"), folder);
        mbr_decider *d = open_decider(text, negative_model(heard ? DIMS(-1, 3, 2) : DIMS(-1, 3, 2, 2)), 16);
        collected first = { 0 };
        snprintf(text, sizeof text, "file\n%s\n", media[i].name);
        OK(decide_text(d, text, MBR_ROWS_CSV, collect, &first));
        if (media[i].needs_library && first.faulty[0]) {
            printf("%s: %s\n", media[i].name, first.error[0]);
        } else {
            OK(decide_text(d, rows, MBR_ROWS_CSV, check_cut, &c));
            ck_assert_uint_eq(c.rows, 2 * media[i].bytes + 1);
            ck_assert_msg(c.faulty >= media[i].least, "%s: %zu of %zu are faults", media[i].name, c.faulty, media[i].bytes);
        }
        mbr_decider_release(&d);
    }
    snprintf(text, sizeof text, "rm -r %s", folder);
    ck_assert_int_eq(system(text), 0);
}
END_TEST

/* ---- memory ---- */

/* The n-th allocation fails, for all n: a status or a row's fault, never a crash, never a leak. */
START_TEST(without_memory)
{
    mbr_memory *memory = mbr_env_heap(env);
    size_t before = atomic_load(&memory->in_use);
    int failures = 0;
    for (long n = 0;; n++) {
        wire model = masked_model(MBR_DTYPE_I64);
        mbr_pipeline *p = NULL;
        mbr_decider *d = NULL;
        atomic_store(&memory->fail_after, n);
        mbr_status st = open_text(TEXTS(", pad: 0"), &model, &p);
        if (st == MBR_OK)
            st = mbr_decider_new(p, NULL, &d, &err);
        if (st == MBR_OK)
            st = decide_text(d, texts, MBR_ROWS_CSV, ignore, NULL);
        bool none = atomic_load(&memory->fail_after) != 0;
        atomic_store(&memory->fail_after, -1);
        failures += st != MBR_OK;
        mbr_decider_release(&d);
        mbr_pipeline_release(&p);
        ck_assert_uint_eq(atomic_load(&memory->in_use), before);
        if (none)
            break;
    }
    ck_assert_int_gt(failures, 20);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pipeline tensors");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, rows_of_different_shapes);
    tcase_add_test(t, what_an_element_type_cannot_hold);
    tcase_add_test(t, rows_with_and_without_their_dimension);
    tcase_add_test(t, shapes_that_do_not_fit);
    tcase_add_test(t, padding_up_to_a_fixed_shape);
    tcase_add_test(t, texts_become_tokens);
    tcase_add_test(t, images_become_tensors);
    tcase_add_test(t, sounds_become_tensors);
    tcase_add_test(t, arrays_become_tensors);
    tcase_add_test(t, media_cut_anywhere);
    tcase_add_test(t, steps_with_state);
    tcase_add_test(t, without_memory);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#else

int main(void)
{
    printf("built without libyaml\n");
    return 77;
}

#endif
