/* SPDX-License-Identifier: BSD-2-Clause */
/* A folder of its own for a test: a model that hands its input on, a log, and pipelines over them that decide CSV. */
#ifndef MBR_TESTS_PIPELINE_FOLDER_H
#define MBR_TESTS_PIPELINE_FOLDER_H

#include "tests/pipeline_file.h"

#include <stdlib.h>

static char folder[] = "/tmp/mbr-folder-XXXXXX";
static char log_path[100];

static inline void make_folder_of_test(void)
{
    snprintf(folder, sizeof folder, "/tmp/mbr-folder-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(log_path, sizeof log_path, "%s/log", folder);
}

static inline void drop_folder(void)
{
    char command[200];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

static inline void append_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "ab");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

/* The model of the folder; its bytes are freed. */
static inline void write_model_file(wire *m)
{
    char path[120];
    snprintf(path, sizeof path, "%s/same.onnx", folder);
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(m->data, 1, m->size, f), m->size);
    ck_assert_int_eq(fclose(f), 0);
    wire_free(m);
}

/* y = x, one value a row. */
static inline void write_model(void)
{
    wire g = { 0 };
    wire_add_node(&g, "", "Identity", "x", "y");
    add_input(&g, "x", 11, DIMS(-1, 1));
    add_output(&g, "y", 11, DIMS(-1, 1));
    wire m = wire_model(8, 17, &g);
    write_model_file(&m);
}

static inline void setup_folder(void)
{
    make_folder_of_test();
    write_model();
    setup();
}

static inline void teardown_folder(void)
{
    teardown();
    drop_folder();
}

#define HEAD \
    "version: 1\nname: same\nmodel: {path: same.onnx}\n" \
    "inputs:\n  id: {type: string, role: id}\n  key: {type: string, missing: keep}\n  p: {type: number, missing: keep}\n" \
    "  amount: {type: number, default: 1, optional: true}\n  t: {type: time, format: epoch, missing: keep}\n" \
    "tensors: [{input: x, from: [p]}]\noutputs: [{name: y, output: y}]\n"
#define SIMPLE "rules: [{name: high, when: y > 0.5, then: HIGH}, {name: rest, then: LOW}]\n"
#define CLOCK "limits: {clock: t, keys: 2}\n"
#define STICKY \
    "rules:\n- {name: alarm, when: y > 0.9, leave: y < 0.5, key: key, then: ALARM}\n- {name: rest, then: QUIET}\n"

static inline mbr_status open_same(const char *text, const char *label, mbr_pipeline **p)
{
    char name[160];
    mbr_pipeline_options o = { .size = sizeof o, .label = label };
    snprintf(name, sizeof name, "%s/same.yaml", folder);
    err.text[0] = '\0';
    return mbr_pipeline_open_memory(env, text, strlen(text), name, &o, p, &err);
}

static inline mbr_decider *same_decider(const char *text, int batch)
{
    mbr_pipeline *p;
    mbr_decider *d;
    mbr_decider_options o = { .size = sizeof o, .batch = batch };
    OK(open_same(text, NULL, &p));
    OK(mbr_decider_new(p, &o, &d, &err));
    mbr_pipeline_release(&p);
    return d;
}

/* "LOW HIGH/cap ..." */
static inline mbr_status collect(void *user, const mbr_decision *d)
{
    char *out = user;
    size_t used = strlen(out);
    ck_assert_uint_eq(strlen(d->decision_id), 32);
    snprintf(out + used, 2000 - used, "%s%s%s%s", used ? " " : "", d->action ? d->action : "-", d->cause ? "/" : "",
             d->cause ? d->cause : "");
    return MBR_OK;
}

static inline mbr_status decide(mbr_decider *d, const char *rows, char *out)
{
    out[0] = '\0';
    return decide_text(d, rows, MBR_ROWS_CSV, collect, out);
}

#endif
