/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Aggregates of a row over live keys: nanoseconds a row, one at a time and in batches whose keys are expected ahead.
 *     bench-keyed [KEYS [ROWS [EVENTS]]]
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "runtime/keyed/aggregate.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint64_t state = 0x9e3779b97f4a7c15u;

static uint64_t draw(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

typedef struct row {
    char key[24];
    size_t size;
    double t, amount;
    uint64_t merchant;
} row;

static double clock_at = 1.7e9;

/* Keys in no order; each has a row in 150,000 seconds on average, so that windows of days hold some dozens. */
static void next_row(row *r, size_t keys)
{
    clock_at += 150000.0 / (double)keys;
    r->size = (size_t)snprintf(r->key, sizeof r->key, "4%015llu", (unsigned long long)(draw() % keys));
    r->t = clock_at;
    r->amount = (double)(draw() % 100000) / 100;
    r->merchant = draw() % 200 + 1;
}

static void decide(mbr_store *s, const mbr_aggregate *a, const row *r, mbr_hash h, double *sum)
{
    double out[MBR_AGGREGATE_MOST];
    void *at = mbr_store_take(s, r->key, r->size, h, r->t);
    mbr_aggregate_row(a, at, r->t, &r->amount, &r->merchant, out);
    *sum += out[0];
}

int main(int argc, char **argv)
{
    static const mbr_aggregate_want wants[] = {
        { MBR_AGGREGATE_COUNT, -1, 3600, false }, { MBR_AGGREGATE_COUNT, -1, 86400, false },
        { MBR_AGGREGATE_COUNT, -1, 2592000, false }, { MBR_AGGREGATE_SUM, 0, 86400, false },
        { MBR_AGGREGATE_MEAN, 0, 2592000, false }, { MBR_AGGREGATE_STD, 0, 2592000, false },
        { MBR_AGGREGATE_MAX, 0, 2592000, false }, { MBR_AGGREGATE_DISTINCT, 0, 86400, true },
        { MBR_AGGREGATE_SINCE_LAST, -1, 2592000, false }, { MBR_AGGREGATE_SUM, 0, 3600, true },
    };
    enum { BATCH = 256 };
    static row rows[BATCH];
    size_t keys = argc > 1 ? strtoull(argv[1], NULL, 0) : 100000, n = argc > 2 ? strtoull(argv[2], NULL, 0) : 1000000;
    int events = argc > 3 ? atoi(argv[3]) : 32;
    mbr_memory memory;
    mbr_error err = { 0 };
    mbr_store s;
    static mbr_aggregate a;
    mbr_memory_init(&memory);
    mbr_store_limits limits = { .keys = keys };
    if (mbr_aggregate_plan(&a, wants, (int)MBR_COUNT_OF(wants), 1, 1, events, &err) != MBR_OK ||
        mbr_store_open(&s, &memory, &a.kind, &limits, &err) != MBR_OK) {
        printf("%s\n", err.text);
        return 1;
    }
    printf("%zu keys, %zu bytes each, %zu MB; %d aggregates\n", keys, s.stride, atomic_load(&memory.in_use) >> 20,
           a.want_count);
    double sum = 0, start, spent = 0;
    for (size_t i = 0; i < 20 * keys; i++) { /* until the entries are full */
        next_row(rows, keys);
        decide(&s, &a, rows, mbr_store_hash(&s, rows->key, rows->size), &sum);
    }
    float *took = calloc(n, sizeof *took);
    if (!took)
        return 1;
    for (size_t i = 0; i < n; i++) {
        next_row(rows, keys);
        start = now_ns();
        decide(&s, &a, rows, mbr_store_hash(&s, rows->key, rows->size), &sum);
        took[i] = (float)(now_ns() - start);
    }
    qsort(took, n, sizeof *took, ascending);
    printf("one row at a time: p50 %.0f ns, p90 %.0f, p99 %.0f, p99.9 %.0f, with the clock's own 20 or so\n",
           took[n / 2], took[n / 10 * 9], took[n / 100 * 99], took[n / 1000 * 999]);
    for (size_t done = 0; done < n; done += BATCH) {
        mbr_hash h[BATCH];
        for (int i = 0; i < BATCH; i++)
            next_row(&rows[i], keys);
        start = now_ns();
        for (int i = 0; i < BATCH; i++)
            mbr_store_expect(&s, h[i] = mbr_store_hash(&s, rows[i].key, rows[i].size), 0);
        for (int i = 0; i < BATCH; i++) {
            if (i + 4 < BATCH)
                mbr_store_expect(&s, h[i + 4], 1);
            decide(&s, &a, &rows[i], h[i], &sum);
        }
        spent += now_ns() - start;
    }
    size_t batches = (n + BATCH - 1) / BATCH;
    printf("in batches of %d: %.0f ns a row (%g)\n", BATCH, spent / (double)(batches * BATCH), sum);
    free(took);
    mbr_store_close(&s);
    return 0;
}
