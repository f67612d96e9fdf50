/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Snapshots of state by key that are well sealed and wrong inside: the input is a list of edits of a sound one, whose
 * length and checksum are put right again. The first byte chooses what it holds, the second one which allocation fails
 * (255: none); an odd third byte takes the input as it is. What opens is used.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "runtime/drift/drift_sketch.h"
#include "runtime/keyed/aggregate.h"
#include "runtime/keyed/series.h"
#include "tests/fuzz/fuzz.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { HEAD = 24, MOST_EDITS = 8, ROOM = 1 << 16, KEYS = 5 };

static void must(int holds)
{
    if (!holds)
        abort();
}

static mbr_aggregate aggregates;
static mbr_series series;
static mbr_resample grid;

static const mbr_store_kind *kind_of(int which)
{
    static const mbr_aggregate_want wants[] = {
        { MBR_AGGREGATE_COUNT, -1, 10, true }, { MBR_AGGREGATE_STD, 0, 100, false },
        { MBR_AGGREGATE_MIN, 0, 10, true }, { MBR_AGGREGATE_LAST, 1, 1000, false },
        { MBR_AGGREGATE_DISTINCT, 0, 100, true }, { MBR_AGGREGATE_SUM, 1, 1000, false },
    };
    switch (which) {
    case 0: must(mbr_aggregate_plan(&aggregates, wants, 6, 2, 1, 6, NULL) == MBR_OK); return &aggregates.kind;
    case 1: mbr_series_plan(&series, 4, 2, 50); return &series.kind;
    default: must(mbr_resample_plan(&grid, 2, MBR_RESAMPLE_LINEAR, 1, 20)); return &grid.kind;
    }
}

/* Rows of all keys. */
static void use(mbr_store *s, int which, int rows, double t)
{
    double out[64], first;
    bool anew;
    for (int i = 0; i < rows; i++) {
        char key[2] = { 'a', (char)('a' + i % KEYS) };
        double x[2] = { i % 4 ? i : NAN, i * 0.5 };
        uint64_t mark = (uint64_t)i % 3;
        void *state = mbr_store_take(s, key, 2, mbr_store_hash(s, key, 2), t + i);
        must(state != NULL);
        double at = t + i - (i % 11 == 7 ? 60 : 0);
        if (which == 0) {
            mbr_aggregate_row(&aggregates, state, at, x, &mark, out);
        } else if (which == 1) {
            (void)mbr_series_push(&series, state, at, x);
            must(mbr_series_copy(&series, state, 1, out, 1) <= 4);
            (void)mbr_series_before(&series, state, 0, 3);
        } else {
            must(mbr_resample_row(&grid, state, at, x, out, &first, &anew) <= mbr_resample_most(&grid));
        }
    }
}

static size_t edit(uint8_t *file, size_t n, const uint8_t *data, size_t size)
{
    static const uint64_t words[] = { 0, 1, 2, UINT64_MAX, (uint64_t)1 << 32, 0x7ff0000000000000u, 0x7ff8000000000000u,
                                      0xbff0000000000000u, (uint64_t)1 << 63, 5, 6, 7, 0x7fefffffffffffffu, 40, 41,
                                      0x4059000000000000u };
    for (size_t k = 0; k + 4 <= size && k < 4 * MOST_EDITS; k += 4) {
        size_t at = HEAD + (data[k] | (size_t)data[k + 1] << 8) % (n - HEAD - 8);
        if (data[k + 2] % 8 == 0) {
            file[at] = data[k + 3];
        } else if (data[k + 2] % 8 == 1) {
            file[at] ^= (uint8_t)(1u << data[k + 3] % 8);
        } else if (data[k + 2] % 8 == 2 && n > HEAD + 64) {
            n -= data[k + 3] % 32;
        } else {
            for (size_t i = 0; i < 8 && at + i < n; i++)
                file[at + i] = (uint8_t)(words[data[k + 3] % MBR_COUNT_OF(words)] >> 8 * i);
        }
    }
    uint64_t length = n - HEAD - 8, digest;
    for (size_t i = 0; i < 8; i++)
        file[16 + i] = (uint8_t)(length >> 8 * i);
    digest = mbr_digest(file, n - 8);
    for (size_t i = 0; i < 8; i++)
        file[n - 8 + i] = (uint8_t)(digest >> 8 * i);
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t file[ROOM];
    mbr_memory memory;
    mbr_store s;
    mbr_error err = { 0 };
    mbr_store_limits limits = { .keys = KEYS + 2, .key_bytes = 8, .expiry = 5000 };
    mbr_in in;
    if (size < 3)
        return 0;
    mbr_memory_init(&memory);
    memory.limit = (size_t)16 << 20;
    int which = data[0] % 3;
    const mbr_store_kind *kind = kind_of(which);
    must(mbr_store_open(&s, &memory, kind, &limits, &err) == MBR_OK);
    size_t n = size - 3;
    if (data[2] % 2) {
        n = n < ROOM ? n : ROOM;
        memcpy(file, data + 3, n);
    } else {
        mbr_out out = { 0 };
        use(&s, which, 80, 100);
        s.seed = (mbr_hash){ 1, 2 }; /* the same bytes each time */
        mbr_snapshot_begin(&out, &memory);
        mbr_store_write(&s, &out);
        must(mbr_snapshot_end(&out, &err) == MBR_OK && out.used <= ROOM);
        memcpy(file, out.data, out.used);
        n = edit(file, out.used, data + 3, size - 3);
        mbr_out_free(&out);
    }
    atomic_store(&memory.fail_after, data[1] == 255 ? -1 : data[1]);
    mbr_status st = mbr_snapshot_open(&in, file, n, "state", &err);
    if (st == MBR_OK)
        st = mbr_store_read(&s, &in, "state", &err);
    if (st == MBR_OK)
        st = mbr_snapshot_close(&in, "state", &err);
    must(st == MBR_OK || (err.status == st && err.text[0] && st != MBR_ERR_INTERNAL));
    if (st != MBR_OK)
        mbr_store_clear(&s);
    must(s.used <= s.capacity);
    use(&s, which, 60, 150);
    atomic_store(&memory.fail_after, -1);
    mbr_store_close(&s);
    must(atomic_load(&memory.in_use) == 0);
    return 0;
}
