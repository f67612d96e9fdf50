/* SPDX-License-Identifier: BSD-2-Clause */
/* Pipelines of a few lines over models of a few nodes, for tests. */
#ifndef MBR_TESTS_PIPELINE_FILE_H
#define MBR_TESTS_PIPELINE_FILE_H

#include "mbr/pipeline.h"
#include "tests/onnx_writer.h"

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static mbr_env *env;
static mbr_error err;

#define OK(call) ck_assert_msg((call) == MBR_OK, "%s: %s", #call, err.text)
#define DIMS(...) (const int64_t[]){ __VA_ARGS__, -2 }

static inline void setup(void)
{
    mbr_env_options o = { .size = sizeof o, .threads = 1 };
    memset(&err, 0, sizeof err);
    OK(mbr_env_new(&o, &env, &err));
}

static inline void teardown(void)
{
    mbr_env_release(&env);
}

/* Opens a pipeline text over a model's bytes, which are freed. */
static inline mbr_status open_text(const char *text, wire *model, mbr_pipeline **out)
{
    char path[] = "/tmp/mbr-pipeline-XXXXXX";
    int fd = mkstemp(path);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(model->data, 1, model->size, f), model->size);
    fclose(f);
    wire_free(model);
    mbr_pipeline_options o = { .size = sizeof o, .model_path = path };
    mbr_status st = mbr_pipeline_open_memory(env, text, strlen(text), "p.yaml", &o, out, &err);
    unlink(path);
    return st;
}

/* The same, opened or refused with a message, and a decider of it. */
static inline mbr_decider *open_decider(const char *text, wire model, int batch)
{
    mbr_pipeline *p;
    mbr_decider *d;
    mbr_decider_options o = { .size = sizeof o, .batch = batch };
    OK(open_text(text, &model, &p));
    OK(mbr_decider_new(p, &o, &d, &err));
    mbr_pipeline_release(&p);
    return d;
}

static inline void expect_refusal(const char *text, wire model, const char *message)
{
    mbr_pipeline *p = NULL;
    ck_assert_msg(open_text(text, &model, &p) != MBR_OK, "opened: %s", text);
    ck_assert_ptr_null(p);
    ck_assert_msg(strstr(err.text, message) != NULL, "'%s' does not say '%s'", err.text, message);
}

/* Bytes as a reader. */
typedef struct text_reader {
    const char *at;
    size_t left;
} text_reader;

static inline ptrdiff_t read_text(void *user, void *to, size_t bytes)
{
    text_reader *r = user;
    size_t n = bytes < r->left ? bytes : r->left;
    memcpy(to, r->at, n);
    r->at += n;
    r->left -= n;
    return (ptrdiff_t)n;
}

static inline mbr_status decide_text(mbr_decider *d, const char *rows, mbr_rows_format format, mbr_decision_fn fn,
                                     void *user)
{
    text_reader r = { rows, strlen(rows) };
    return mbr_decider_reader(d, "rows", read_text, &r, format, fn, user, NULL, &err);
}

static inline mbr_status ignore(void *user, const mbr_decision *d)
{
    (void)user;
    (void)d;
    return MBR_OK;
}

/* ---- models ---- */

static inline void add_input(wire *graph, const char *name, int dtype, const int64_t *dims)
{
    wire info = wire_value_info(name, dtype, dims);
    wire_message(graph, 11, &info);
}

static inline void add_output(wire *graph, const char *name, int dtype, const int64_t *dims)
{
    wire info = wire_value_info(name, dtype, dims);
    wire_message(graph, 12, &info);
}

static inline void add_constant(wire *graph, const char *name, int dtype, const int64_t *dims, const void *data,
                                size_t bytes)
{
    wire t = wire_tensor(name, dtype, dims);
    wire_bytes(&t, 9, data, bytes);
    wire_message(graph, 5, &t);
}

#endif
