/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Aggregates over windows of time, by key, in bounded memory: how often a card was used in the last hour, what it spent
 * in a day, in how many shops. What the step `aggregate` of a pipeline does, for programs that make their features
 * themselves; docs/aggregates.md has a whole program.
 *
 *     static const mbr_aggregate_column columns[] = {
 *         { MBR_AGGREGATE_COUNT, -1, 3600, 0 },         // rows of the card in the last hour, this one too
 *         { MBR_AGGREGATE_SUM, 0, 86400, 1 },           // number 0, a day, of the rows before
 *         { MBR_AGGREGATE_DISTINCT, 0, 86400, 0 },      // text 0
 *     };
 *     mbr_aggregates_options o = { .size = sizeof o, .columns = columns, .column_count = 3, .numbers = 1, .texts = 1,
 *                                  .keys = 100000 };
 *     mbr_aggregates_new(env, &o, &a, &err);
 *     mbr_aggregates_row(a, card, strlen(card), when, &amount, &shop, results, &err);
 *
 * A row at time t looks back over the rows of its key that came before it and have times in (t - window, t], and at
 * itself unless its column says otherwise; then later rows see it. Rows may come late, clocks may step: a row takes its
 * place by its time, and one of the far future or past is in nobody's window but its own.
 *
 * Memory: all of it is taken by mbr_aggregates_new, and rows take none. Of more keys than fit the one that was
 * untouched for the longest is forgotten. While a key has no more than `events` rows in its longest window all is exact
 * (DISTINCT: no more than `events` different texts, then a lower bound); beyond that neighbouring rows become one
 * entry, and a result is inexact by the one entry that a window's begin cuts (docs/pipeline.md, "State by key").
 *
 * Threads: a handle is used by one thread at a time, for looking too; different ones do not know of each other. For
 * more threads make a handle each and give every key to one of them, by a hash of the key.
 */
#ifndef MBR_AGGREGATES_H
#define MBR_AGGREGATES_H

#include "mbr/env.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum mbr_aggregate_op {
    MBR_AGGREGATE_COUNT = 0,      /* rows, or those where `value` is not missing */
    MBR_AGGREGATE_SUM = 1,        /* 0 of none */
    MBR_AGGREGATE_MEAN = 2,       /* missing (NaN) of none, as all below but DISTINCT and RATE */
    MBR_AGGREGATE_MIN = 3,
    MBR_AGGREGATE_MAX = 4,
    MBR_AGGREGATE_STD = 5,        /* of a sample (n - 1); missing of fewer than two */
    MBR_AGGREGATE_DISTINCT = 6,   /* different texts; 0 of none */
    MBR_AGGREGATE_LAST = 7,       /* of earlier rows alone */
    MBR_AGGREGATE_SINCE_LAST = 8, /* seconds since the row before */
    MBR_AGGREGATE_RATE = 9        /* count / window: rows a second */
} mbr_aggregate_op;

/* One result. An array of them is read: the struct does not grow. */
typedef struct mbr_aggregate_column {
    mbr_aggregate_op op;
    int value;     /* which number of the row, of DISTINCT which text; -1: none (COUNT, RATE, SINCE_LAST) */
    double window; /* seconds; 0: any time (LAST and SINCE_LAST alone) */
    int earlier;   /* not 0: the row itself does not count */
} mbr_aggregate_column;

typedef struct mbr_aggregates_options {
    size_t size;       /* sizeof(mbr_aggregates_options) */
    const mbr_aggregate_column *columns; /* copied */
    int column_count;  /* 1 to 128, of 16 different windows at most */
    int numbers, texts; /* that a row has, 0 to 16 each */
    size_t keys;       /* at most; 0: 10,000 */
    size_t key_bytes;  /* of the longest key; 0: 40, at most 4,096 */
    size_t bytes;      /* of all memory, a bound besides; 0: what so many keys take */
    int events;        /* entries a key, 4 to 4,096; 0: 64 */
    double expiry;     /* seconds after which an untouched key begins anew; 0: never */
} mbr_aggregates_options;

typedef struct mbr_aggregates mbr_aggregates;

/* Bytes, not terminated; data NULL: missing, which counts nowhere. */
typedef struct mbr_aggregate_text {
    const char *data;
    size_t size;
} mbr_aggregate_text;

/*
 * On success *out is the caller's; the environment must outlive it. MBR_ERR_ARGUMENT for options that make no sense,
 * MBR_ERR_LIMIT for more than there can be, MBR_ERR_NO_MEMORY with the bytes that it would take.
 */
MBR_API mbr_status mbr_aggregates_new(mbr_env *env, const mbr_aggregates_options *options, mbr_aggregates **out,
                                      mbr_error *err);
/* Releases *aggregates and sets it to NULL. NULL and a pointer to NULL are fine. */
MBR_API void mbr_aggregates_release(mbr_aggregates **aggregates);

/*
 * One row of a key (any bytes): results (column_count) receives what its columns say, missing ones as NaN; then the row
 * enters. NULL: nobody asks. time: seconds, finite. numbers (as many as the options say): NaN is missing, infinite ones
 * are refused. Takes no memory. MBR_ERR_INPUT: a key that is too long, a time or a number that cannot be; nothing has
 * changed then.
 */
MBR_API mbr_status mbr_aggregates_row(mbr_aggregates *aggregates, const void *key, size_t key_size, double time,
                                      const double *numbers, const mbr_aggregate_text *texts, double *results,
                                      mbr_error *err);
/*
 * What a row of this key at this time would see of the rows before it, all columns as with `earlier`: no row enters,
 * and the order in which keys are forgotten stays. A key that is not there has no rows. It costs a copy of the key's state.
 */
MBR_API mbr_status mbr_aggregates_look(mbr_aggregates *aggregates, const void *key, size_t key_size, double time,
                                       double *results, mbr_error *err);

/* Whether the key was there; it is not any more. */
MBR_API int mbr_aggregates_forget(mbr_aggregates *aggregates, const void *key, size_t key_size);
/* Forgets all keys. */
MBR_API void mbr_aggregates_clear(mbr_aggregates *aggregates);

typedef struct mbr_aggregates_info {
    size_t size;      /* set by the caller to sizeof(mbr_aggregates_info) */
    size_t keys;      /* that are there */
    size_t most_keys; /* that fit */
    size_t bytes;     /* of the environment's memory */
    uint64_t evicted, expired; /* keys, since it was made, restored or cleared */
} mbr_aggregates_info;

MBR_API void mbr_aggregates_tell(const mbr_aggregates *aggregates, mbr_aggregates_info *info);

/*
 * All keys as a file, which is replaced as a whole once it is on the disk: a process that is killed leaves the one
 * before. Restoring replaces what is there; of more keys than fit the newest stay, and results go on as if nothing had
 * happened. MBR_ERR_IO; MBR_ERR_FORMAT for a file that is damaged or something else, MBR_ERR_INPUT for one of other
 * columns, values or events: no key is there then.
 */
MBR_API mbr_status mbr_aggregates_save(const mbr_aggregates *aggregates, const char *path, mbr_error *err);
MBR_API mbr_status mbr_aggregates_restore(mbr_aggregates *aggregates, const char *path, mbr_error *err);

#ifdef __cplusplus
}
#endif

#endif
