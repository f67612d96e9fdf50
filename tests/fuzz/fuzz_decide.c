/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pipelines and what they read: the first byte chooses a pipeline's text, rows of CSV or JSON, a log that is repeated,
 * the file of an image, a table, or what a decider saved, well sealed and wrong inside (then the rest are edits); the
 * second one which allocation fails (255: none). What opens is used.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "base/env.h"
#include "mbr/decision_log.h"
#include "mbr/image.h"
#include "mbr/mbr.h"
#include "runtime/drift/drift_sketch.h"
#include "tests/fuzz/fuzz.h"
#include "tests/onnx_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { HEAD = 24, MOST_EDITS = 8, ROOM = 1 << 16 };

static const char pipeline[] =
    "version: 1\nname: fuzz\nmodel: {path: same.onnx}\n"
    "inputs:\n  id: {type: string, role: id, missing: keep}\n  key: {type: string, missing: keep}\n"
    "  p: {type: number, missing: keep, optional: true}\n  t: {type: time, missing: keep, optional: true}\n"
    "  ok: {type: bool, default: true, optional: true}\n  list: {type: array, missing: keep, optional: true}\n"
    "features:\n  - {name: array, kind: array, from: list, dtype: i16}\n"
    "  - {name: n, kind: aggregate, key: key, time: t, op: count, window: 1h, keys: 8, events: 4}\n"
    "  - {name: m, kind: rolling, from: p, key: key, length: 3, ops: [mean], keys: 4, min_samples: 1}\n"
    "tensors: [{input: x, from: [p]}]\noutputs: [{name: y, output: y}]\nscores: [y, n, m]\ntexts: [key, t, ok]\n"
    "rules:\n  - {name: high, when: y > 0.9, leave: y < 0.5, key: key, then: HIGH}\n"
    "  - {name: odd, when: '1 / y > 2 and starts_with(key, \"a\")', then: ODD}\n  - {name: rest, then: LOW}\n"
    "actions: {HIGH: {cap: [{most: 2, per: 1h, key: key}], cool_down: {time: 10m}, instead: LOW}}\n"
    "limits: {clock: t, keys: 4}\nfallback: {action: ASK, model: LATER}\nlog: {path: log}\n";

static char folder[] = "/tmp/mbr-fuzz-XXXXXX";
static uint8_t saved[ROOM];
static size_t saved_bytes;

static void must(int holds)
{
    if (!holds)
        abort();
}

static void path_of(char *to, const char *name)
{
    snprintf(to, 80, "%s/%s", folder, name);
}

static void put_file(const char *name, const void *data, size_t size)
{
    char path[80];
    path_of(path, name);
    FILE *f = fopen(path, "wb");
    must(f && fwrite(data, 1, size, f) == size && fclose(f) == 0);
}

static void clean(void)
{
    static const char *const names[] = { "same.onnx", "log", "state", "state.new", "table.csv" };
    char path[80];
    for (size_t i = 0; i < MBR_COUNT_OF(names); i++) {
        path_of(path, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(folder);
}

typedef struct text_reader {
    const uint8_t *at;
    size_t left;
} text_reader;

static ptrdiff_t read_text(void *user, void *to, size_t bytes)
{
    text_reader *r = user;
    size_t n = bytes < r->left ? bytes : r->left;
    if (n)
        memcpy(to, r->at, n);
    r->at += n;
    r->left -= n;
    return (ptrdiff_t)n;
}

/* A decision is whole: an action or a fault, and texts that end. */
static mbr_status look(void *user, const mbr_decision *d)
{
    must((d->action == NULL) <= (d->error != NULL) && (!d->error || strlen(d->error) > 0));
    for (int i = 0; i < d->text_count; i++)
        *(size_t *)user += d->texts[i] ? strlen(d->texts[i]) : 0;
    return MBR_OK;
}

static mbr_status open_pipeline(mbr_env *env, const void *text, size_t size, mbr_pipeline **p, mbr_error *err)
{
    char name[80];
    path_of(name, "fuzz.yaml");
    return mbr_pipeline_open_memory(env, text, size, name, NULL, p, err);
}

static mbr_status decide(mbr_decider *d, const void *rows, size_t size, mbr_rows_format format, mbr_error *err)
{
    text_reader r = { rows, size };
    size_t sum = 0;
    mbr_decide_totals totals = { .size = sizeof totals };
    mbr_status st = mbr_decider_reader(d, "rows", read_text, &r, format, look, &sum, &totals, err);
    must(totals.faulty <= totals.rows && totals.undecided <= totals.faulty);
    return st;
}

static const char some_rows[] = "id,key,p,t\n1,a,0.95,2024-01-01T00:00:00Z\n2,b,0.1,2024-01-01T00:01:00Z\n"
                                "3,a,,2024-01-01T00:02:00Z\n4,ac,0.3,2024-01-01T00:03:00Z\n5,,0.99,\n";

/* The model and what a decider saves, once. */
static void begin(void)
{
    wire g = { 0 }, info;
    char path[80];
    must(mkdtemp(folder) != NULL);
    atexit(clean);
    wire_add_node(&g, "", "Identity", "x", "y");
    wire_text(&g, 2, "g");
    info = wire_value_info("x", 11, (const int64_t[]){ -1, 1, -2 });
    wire_message(&g, 11, &info);
    info = wire_value_info("y", 11, (const int64_t[]){ -1, 1, -2 });
    wire_message(&g, 12, &info);
    wire m = wire_model(8, 17, &g);
    put_file("same.onnx", m.data, m.size);
    wire_free(&m);
    mbr_env_options eo = { .size = sizeof eo, .threads = 1 };
    mbr_decider_options o = { .size = sizeof o, .batch = 2, .log_path = "" };
    mbr_env *env;
    mbr_pipeline *p;
    mbr_decider *d = NULL;
    mbr_error err;
    must(mbr_env_new(&eo, &env, &err) == MBR_OK);
    mbr_status st = open_pipeline(env, pipeline, sizeof pipeline - 1, &p, &err);
    if (st == MBR_ERR_UNSUPPORTED) { /* a build without YAML */
        mbr_env_release(&env);
        exit(0);
    }
    path_of(path, "state");
    must(st == MBR_OK && mbr_decider_new(p, &o, &d, &err) == MBR_OK);
    must(decide(d, some_rows, sizeof some_rows - 1, MBR_ROWS_CSV, &err) == MBR_OK);
    must(mbr_decider_save(d, path, &err) == MBR_OK);
    mbr_decider_release(&d);
    mbr_pipeline_release(&p);
    mbr_env_release(&env);
    FILE *f = fopen(path, "rb");
    must(f != NULL);
    saved_bytes = fread(saved, 1, ROOM, f);
    must(saved_bytes > HEAD + 64 && saved_bytes < ROOM);
    fclose(f);
}

/* Edits of what a decider saved, with length and checksum put right again. */
static void put_state(const uint8_t *data, size_t size)
{
    static const uint64_t words[] = { 0, 1, 2, UINT64_MAX, (uint64_t)1 << 32, 0x7ff0000000000000u, 0x7ff8000000000000u,
                                      0xbff0000000000000u, (uint64_t)1 << 63, 3, 4, 5, 8, 9, 40, 0x3ff0000000000000u };
    static uint8_t file[ROOM];
    size_t n = saved_bytes;
    memcpy(file, saved, n);
    for (size_t k = 0; k + 4 <= size && k < 4 * MOST_EDITS; k += 4) {
        size_t at = HEAD + (data[k] | (size_t)data[k + 1] << 8) % (n - HEAD - 8);
        if (data[k + 2] % 8 == 0)
            file[at] = data[k + 3];
        else if (data[k + 2] % 8 == 1)
            file[at] ^= (uint8_t)(1u << data[k + 3] % 8);
        else if (data[k + 2] % 8 == 2 && n > HEAD + 64)
            n -= data[k + 3] % 32;
        else
            for (size_t i = 0; i < 8 && at + i < n; i++)
                file[at + i] = (uint8_t)(words[data[k + 3] % MBR_COUNT_OF(words)] >> 8 * i);
    }
    uint64_t length = n - HEAD - 8;
    for (size_t i = 0; i < 8; i++)
        file[16 + i] = (uint8_t)(length >> 8 * i);
    uint64_t digest = mbr_digest(file, n - 8);
    for (size_t i = 0; i < 8; i++)
        file[n - 8 + i] = (uint8_t)(digest >> 8 * i);
    put_file("state", file, n);
}

static mbr_status use_rows(mbr_pipeline *p, int kind, const uint8_t *data, size_t size, mbr_error *err)
{
    mbr_decider_options o = { .size = sizeof o, .batch = 3, .log_path = "" };
    mbr_replay_result r = { .size = sizeof r };
    mbr_decider *d = NULL;
    char path[80];
    if (kind == 'l') {
        put_file("log", data, size);
        path_of(path, "log");
        return mbr_replay(p, path, NULL, &r, err);
    }
    mbr_status st = mbr_decider_new(p, &o, &d, err);
    if (st == MBR_OK && kind == 's') {
        put_state(data, size);
        path_of(path, "state");
        st = mbr_decider_restore(d, path, err);
        data = (const uint8_t *)some_rows;
        size = sizeof some_rows - 1;
    }
    if (st == MBR_OK)
        st = decide(d, data, size, kind == 'j' ? MBR_ROWS_JSONL : MBR_ROWS_CSV, err);
    mbr_decider_release(&d);
    return st;
}

/* A pipeline whose text or table is the input. */
static mbr_status use_text(mbr_env *env, int kind, const uint8_t *data, size_t size, mbr_error *err)
{
    static const char lookup[] =
        "version: 1\nname: table\nmodel: {path: same.onnx}\ninputs: {key: {type: string}}\n"
        "features: [{name: v, kind: lookup, from: key, file: table.csv, key: name, value: number, unknown: 0}]\n"
        "tensors: [{input: x, from: [v]}]\noutputs: [{name: y, output: y}]\nrules: [{then: A}]\n";
    mbr_pipeline *p = NULL;
    if (kind == 't')
        put_file("table.csv", data, size);
    mbr_status st = open_pipeline(env, kind == 't' ? (const void *)lookup : data, kind == 't' ? sizeof lookup - 1 : size,
                                  &p, err);
    must((st == MBR_OK) == (p != NULL));
    if (p) {
        mbr_decider *d = NULL;
        mbr_decider_options o = { .size = sizeof o, .batch = 2, .log_path = "" };
        st = mbr_decider_new(p, &o, &d, err);
        if (st == MBR_OK)
            st = decide(d, some_rows, sizeof some_rows - 1, MBR_ROWS_CSV, err);
        mbr_decider_release(&d);
    }
    mbr_pipeline_release(&p);
    return st;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool begun;
    mbr_env_options options = { .size = sizeof options, .threads = 1, .memory_limit = (size_t)64 << 20 };
    mbr_env *env;
    mbr_error err = { 0 };
    if (!begun)
        begin();
    begun = true;
    if (size < 2 || mbr_env_new(&options, &env, NULL) != MBR_OK)
        return 0;
    mbr_memory *memory = mbr_env_heap(env);
    long fail = data[1] == 255 ? -1 : data[1];
    size_t before = atomic_load(&memory->in_use);
    mbr_status st;
    if (data[0] == 'i') {
        mbr_image *image = NULL;
        atomic_store(&memory->fail_after, fail);
        st = mbr_image_open_memory(env, data + 2, size - 2, "image", &image, &err);
        must((st == MBR_OK) == (image != NULL));
        mbr_image_release(&image);
    } else if (data[0] == 'p' || data[0] == 't') {
        atomic_store(&memory->fail_after, fail);
        st = use_text(env, data[0], data + 2, size - 2, &err);
    } else {
        mbr_pipeline *p = NULL;
        must(open_pipeline(env, pipeline, sizeof pipeline - 1, &p, NULL) == MBR_OK);
        atomic_store(&memory->fail_after, fail);
        st = use_rows(p, data[0], data + 2, size - 2, &err);
        atomic_store(&memory->fail_after, -1);
        mbr_pipeline_release(&p);
    }
    atomic_store(&memory->fail_after, -1);
    must(st == MBR_OK || (err.text[0] && st != MBR_ERR_INTERNAL));
    must(atomic_load(&memory->in_use) == before);
    mbr_env_release(&env);
    return 0;
}
