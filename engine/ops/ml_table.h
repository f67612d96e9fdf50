/* SPDX-License-Identifier: BSD-2-Clause */
/* A table of keys, numbers or text, for the operators that look categories up. */
#ifndef MBR_ENGINE_OPS_ML_TABLE_H
#define MBR_ENGINE_OPS_ML_TABLE_H

#include "engine/ops/op.h"

typedef struct mbr_ml_keys {
    const int64_t *ints;       /* one of the four */
    const float *floats;
    const mbr_string *strings;
    const mbr_value *tensor;
    size_t n;
} mbr_ml_keys;

typedef struct mbr_ml_table {
    mbr_memory *memory;
    mbr_ml_keys keys;
    int64_t *numbers; /* (n) keys as mbr_ml_number has them, unless they are text */
    uint32_t *slots;  /* (mask + 1) places from 1 on, by hash; 0: free. NULL: the keys crowd, and are searched in order */
    uint32_t *order;  /* (n) ascending, without slots; equal keys in the order of their places */
    uint32_t *direct; /* (span) integers that lie close together: places from 1 on by key - low, 0: none. Or NULL */
    int64_t low;
    uint64_t span;
    size_t mask;
    size_t n;
    bool text;
} mbr_ml_table;

/*
 * A number as a key: integers are themselves; floats compare by value, with all NaN alike, and never equal integers
 * unless both sides are floats.
 */
int64_t mbr_ml_number(double v);
int64_t mbr_ml_key_of(const mbr_value *v, size_t i);

mbr_status mbr_ml_table_build(mbr_ml_table *t, const mbr_ml_keys *keys, mbr_memory *memory, mbr_error *err);
void mbr_ml_table_free(mbr_ml_table *t); /* of zeroed memory is fine */

/* Where there is a direct table. */
static inline size_t mbr_ml_table_at(const mbr_ml_table *t, int64_t key)
{
    uint64_t d = (uint64_t)key - (uint64_t)t->low;
    return d < t->span ? (size_t)t->direct[d] - 1 : SIZE_MAX; /* 0 - 1: SIZE_MAX, too */
}

/* The place of a key; of equal ones the last. SIZE_MAX: none. */
size_t mbr_ml_table_find_number(const mbr_ml_table *t, int64_t key);
size_t mbr_ml_table_find_text(const mbr_ml_table *t, mbr_string key);
/* The place of element i of a tensor. */
size_t mbr_ml_table_find(const mbr_ml_table *t, const mbr_value *v, size_t i);

#endif
