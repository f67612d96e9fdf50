/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What decisions remember: per key, whether a rule with hysteresis is on, when an action was last taken, how many more
 * times it may be. A table has room for a fixed number of keys, made at once; when it is full the key that was used
 * longest ago is forgotten. What it does depends only on the keys and times that it was given, in order.
 */
#ifndef MBR_RUNTIME_ACTIONS_LIMITS_H
#define MBR_RUNTIME_ACTIONS_LIMITS_H

#include "base/hash.h"
#include "base/memory.h"

/* Memory of one key; zeroed when it is new. */
typedef struct mbr_keep {
    mbr_hash key;
    int32_t newer, older; /* neighbours in the order of use; -1: none */
    int32_t next;         /* of the same slot; -1: none */
    bool on, begun;       /* hysteresis; `time` and `left` are set */
    double time, left;
} mbr_keep;

typedef struct mbr_keeps {
    mbr_keep *items;  /* (most) */
    int32_t *slots;   /* (mask + 1) */
    uint32_t mask;
    int most, count;
    int newest, oldest;
} mbr_keeps;

mbr_status mbr_keeps_init(mbr_keeps *k, mbr_arena *arena, int most, mbr_error *err);

void mbr_keeps_clear(mbr_keeps *k);

/* The memory of a key, which is the one that was used last from now on. */
mbr_keep *mbr_keeps_use(mbr_keeps *k, mbr_hash key);

/*
 * A bucket holds `most` tokens and gains most / per of them a second. Time may stand still or step back: a step back of
 * less than `per` is a row out of order, and no time has passed; a longer one is a clock that was set, and time goes
 * on from there, without a gain.
 */
bool mbr_bucket_has(mbr_keep *k, double now, double most, double per);
void mbr_bucket_take(mbr_keep *k);

/* Whether `now` is within `length` seconds of the last time that was marked, before or after it. */
bool mbr_cooling(const mbr_keep *k, double now, double length);
void mbr_cooling_begin(mbr_keep *k, double now);

#endif
