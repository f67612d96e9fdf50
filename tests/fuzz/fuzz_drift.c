/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Baselines and states of mbr drift that are well sealed and wrong inside: the input is a list of edits of a sound file,
 * whose length and checksum are put right again. The first byte chooses the file, the second one which allocation
 * fails (255: none). What opens is used.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "base/env.h"
#include "runtime/drift/drift_impl.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS = 60, HEAD = 24, MOST_EDITS = 8, ROOM = 1 << 16 };

static double number[ROWS], score[ROWS], label[ROWS];
static mbr_string text[ROWS];
static const mbr_drift_cells cells[] = { { .numbers = number }, { .texts = text }, { .numbers = score },
                                         { .numbers = label } };

static void must(int holds)
{
    if (!holds)
        abort();
}

static mbr_drift_baseline *make_baseline(mbr_env *env)
{
    static const mbr_drift_column columns[] = { { "n", MBR_DRIFT_NUMBER, MBR_DRIFT_FEATURE },
                                                { "t", MBR_DRIFT_CATEGORY, MBR_DRIFT_FEATURE },
                                                { "s", MBR_DRIFT_NUMBER, MBR_DRIFT_OUTPUT },
                                                { "l", MBR_DRIFT_NUMBER, MBR_DRIFT_LABEL } };
    static const char *const names[] = { "a", "bb", "ccc" };
    for (int i = 0; i < ROWS; i++) {
        number[i] = i % 7 == 3 ? (double)NAN : (double)(i * i % 31);
        text[i] = (mbr_string){ names[i % 3], (size_t)(i % 3 + 1) };
        score[i] = (double)(i * 37 % 100) / 100.0;
        label[i] = i * 53 % 100 < i * 37 % 100;
    }
    mbr_drift_fit_options how = { .size = sizeof how, .columns = columns, .column_count = 4, .bins = 4, .categories = 2,
                                  .whole = 16 };
    mbr_drift_fit *fit;
    mbr_drift_baseline *b = NULL;
    must(mbr_drift_fit_new(env, &how, &fit, NULL) == MBR_OK && mbr_drift_fit_rows(fit, cells, ROWS, NULL) == MBR_OK &&
         mbr_drift_fit_finish(fit, &b, NULL) == MBR_OK);
    mbr_drift_fit_release(&fit);
    return b;
}

static size_t edit(uint8_t *file, size_t n, const uint8_t *data, size_t size)
{
    static const uint64_t words[] = { 0, 1, 2, UINT64_MAX, (uint64_t)1 << 32, 0x7ff0000000000000u, 0x7ff8000000000000u,
                                      0xbff0000000000000u, (uint64_t)1 << 63, 60, 61, 3, 16, 255, 4096, 0x3ff0000000000000u };
    for (size_t k = 0; k + 4 <= size && k < 4 * MOST_EDITS; k += 4) {
        size_t at = HEAD + (data[k] | (size_t)data[k + 1] << 8) % (n - HEAD - 8);
        if (data[k + 2] % 8 == 0) {
            file[at] = data[k + 3];
        } else if (data[k + 2] % 8 == 1) {
            file[at] ^= (uint8_t)(1u << data[k + 3] % 8);
        } else if (data[k + 2] % 8 == 2 && n > HEAD + 64) {
            n -= data[k + 3] % 32;
        } else {
            at -= (at - HEAD) % 8;
            for (int i = 0; i < 8; i++)
                file[at + (size_t)i] = (uint8_t)(words[data[k + 3] % MBR_COUNT_OF(words)] >> 8 * i);
        }
    }
    uint64_t length = n - HEAD - 8;
    for (int i = 0; i < 8; i++)
        file[16 + i] = (uint8_t)(length >> 8 * i);
    uint64_t digest = mbr_digest(file, n - 8);
    for (int i = 0; i < 8; i++)
        file[n - 8 + (size_t)i] = (uint8_t)(digest >> 8 * i);
    return n;
}

static mbr_status swallow(void *user, const char *page, size_t bytes)
{
    (void)page;
    *(size_t *)user += bytes;
    return MBR_OK;
}

/* A monitor of which everything is asked. */
static void use(mbr_drift_baseline *b, const uint8_t *state, size_t n, long fail, mbr_memory *memory)
{
    mbr_drift_options o = { .size = sizeof o, .window_rows = 50, .pending = 4, .whole = 20 };
    mbr_drift_monitor *m = NULL;
    mbr_error err = { 0 };
    size_t bytes = 0;
    atomic_store(&memory->fail_after, fail);
    mbr_status st = mbr_drift_monitor_make(memory, b, &o, state != NULL, &m, &err);
    if (st == MBR_OK && state)
        st = mbr_drift_read_state(m, state, n, "state", &err);
    must(st == MBR_OK || (err.status == st && err.text[0] && st != MBR_ERR_INTERNAL));
    if (st == MBR_OK) {
        mbr_drift_cells some[MBR_DRIFT_MAX_COLUMNS];
        for (int i = 0; i < b->col_count; i++)
            some[i] = b->cols[i].type == MBR_DRIFT_NUMBER ? cells[0] : cells[1];
        m->options.accumulate = 0;
        (void)mbr_drift_monitor_rows(m, some, ROWS, 5.0, &err);
        for (int i = 0; i < 8 && b->score >= 0; i++) {
            (void)mbr_drift_monitor_predicted(m, i % 2 ? "x" : "y", 0.5, &err);
            (void)mbr_drift_monitor_label(m, "x", 1.0, &err);
        }
        (void)mbr_drift_monitor_close_window(m, &err);
        (void)mbr_drift_report_json(b, m, swallow, &bytes, &err);
        (void)mbr_drift_report_html(b, m, swallow, &bytes, &err);
        mbr_out out = { 0 };
        if (mbr_drift_write_state(m, &out, &err) == MBR_OK)
            must(out.used > HEAD);
        mbr_out_free(&out);
    }
    mbr_drift_monitor_release(&m);
    atomic_store(&memory->fail_after, -1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t file[ROOM];
    mbr_env_options options = { .size = sizeof options, .threads = 1, .memory_limit = (size_t)64 << 20 };
    mbr_env *env;
    if (size < 2 || mbr_env_new(&options, &env, NULL) != MBR_OK)
        return 0;
    mbr_memory *memory = mbr_env_heap(env);
    long fail = data[1] == 255 ? -1 : data[1];
    mbr_drift_baseline *b = make_baseline(env), *edited = NULL;
    mbr_error err = { 0 };
    if (data[0] % 2) {
        must(b->byte_count <= ROOM);
        memcpy(file, b->bytes, b->byte_count);
        size_t n = edit(file, b->byte_count, data + 2, size - 2);
        atomic_store(&memory->fail_after, fail);
        mbr_status st = mbr_drift_baseline_open_memory(env, file, n, "baseline", &edited, &err);
        atomic_store(&memory->fail_after, -1);
        must((st == MBR_OK) == (edited != NULL));
        must(st == MBR_OK || (err.status == st && err.text[0] && st != MBR_ERR_INTERNAL));
        if (edited)
            use(edited, NULL, 0, fail, memory);
        mbr_drift_baseline_release(&edited);
    } else {
        mbr_drift_options o = { .size = sizeof o, .window_rows = 50, .pending = 4, .whole = 20 };
        mbr_drift_monitor *m;
        mbr_out out = { 0 };
        must(mbr_drift_monitor_new(b, &o, &m, NULL) == MBR_OK && mbr_drift_monitor_rows(m, cells, ROWS, 1.0, NULL) == MBR_OK);
        for (int i = 0; i < 40; i++)
            must(mbr_drift_monitor_outcome(m, score[i], label[i], NULL) == MBR_OK);
        must(mbr_drift_monitor_predicted(m, "x", 0.5, NULL) == MBR_OK);
        must(mbr_drift_flush(m, NULL) == MBR_OK && mbr_drift_write_state(m, &out, NULL) == MBR_OK && out.used <= ROOM);
        memcpy(file, out.data, out.used);
        size_t n = edit(file, out.used, data + 2, size - 2);
        mbr_out_free(&out);
        mbr_drift_monitor_release(&m);
        use(b, file, n, fail, memory);
    }
    mbr_drift_baseline_release(&b);
    mbr_memory_use left;
    mbr_env_memory(env, &left);
    mbr_env_release(&env);
    mbr_env *fresh;
    must(mbr_env_new(&options, &fresh, NULL) == MBR_OK);
    mbr_memory_use none;
    mbr_env_memory(fresh, &none);
    must(left.in_use == none.in_use);
    mbr_env_release(&fresh);
    return 0;
}
