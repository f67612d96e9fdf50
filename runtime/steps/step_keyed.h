/* SPDX-License-Identifier: BSD-2-Clause */
/* What steps with state by key have in common: key, time and limits as parameters, keys of rows, bytes of a store. */
#ifndef MBR_RUNTIME_STEP_KEYED_H
#define MBR_RUNTIME_STEP_KEYED_H

#include "runtime/keyed/store.h"
#include "runtime/steps/step.h"

#define MBR_KEY_COLUMNS 8

typedef struct mbr_key_params {
    mbr_strings key;
    mbr_string time, expire;
    int64_t keys, key_bytes, bytes;
} mbr_key_params;

/* Rows of a parameter table for an mbr_key_params that is the member `member` of `of`. */
#define MBR_KEY_PARAMS(of, member, key_required, time_required) \
    { .name = "key", .type = MBR_PARAM_STRINGS, .required = key_required, .offset = offsetof(of, member.key) }, \
    { .name = "time", .type = MBR_PARAM_STRING, .required = time_required, .offset = offsetof(of, member.time) }, \
    { .name = "expire", .type = MBR_PARAM_STRING, .offset = offsetof(of, member.expire) }, \
    { .name = "keys", .type = MBR_PARAM_INT, .offset = offsetof(of, member.keys), .preset = 0 }, \
    { .name = "key_bytes", .type = MBR_PARAM_INT, .offset = offsetof(of, member.key_bytes), .preset = 0 }, \
    { .name = "bytes", .type = MBR_PARAM_INT, .offset = offsetof(of, member.bytes), .preset = 0 }

/* The same, checked. */
typedef struct mbr_keyed {
    int cols[MBR_KEY_COLUMNS], count; /* of the key; none: all rows have one key */
    int time;                         /* a column, -1: none */
    mbr_store_limits limits;
} mbr_keyed;

mbr_status mbr_keyed_compile(const mbr_compiling *c, const mbr_node *at, const mbr_step *s, const mbr_key_params *p,
                             mbr_keyed *out);

/* A column by name; types: which it may have. */
mbr_status mbr_keyed_column(const mbr_compiling *c, const mbr_node *at, const mbr_step *s, const mbr_string *name,
                            unsigned types, int *col);

/* "90", "90s", "15m", "1h", "30d", "2w" as seconds, more than 0. what: of the message. */
mbr_status mbr_keyed_duration(const mbr_compiling *c, const mbr_node *at, const mbr_step *s, const char *what,
                              const mbr_string *text, double *seconds);

typedef struct mbr_row_key {
    const void *data; /* NULL: a part of it is missing */
    size_t size;
} mbr_row_key;

/* The key of a row; room (limits.key_bytes) is for those that have to be put together. A longer key faults the row. */
mbr_row_key mbr_keyed_key(const mbr_keyed *k, const mbr_step *s, mbr_rows *rows, int row, uint8_t *room);

/* A store as the bytes of a keeper. */
mbr_status mbr_keyed_save(const mbr_store *store, mbr_write_fn write, void *user, mbr_error *err);
mbr_status mbr_keyed_restore(const mbr_step *s, mbr_store *store, const void *bytes, size_t size, mbr_error *err);

#endif
