/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Quantiles of a stream in bounded memory, and the most frequent texts of one. Both can be merged.
 *
 * Quantiles: up to `whole` values are kept as they are; beyond that it is a KLL sketch (Karnin, Lang, Liberty: Optimal
 * quantile approximation in streams, 2016), levels of items of weight 2^level, each of which throws away every second
 * item of its sorted self when it is full. With k = MBR_SKETCH_K the rank of any value is off by less than
 * MBR_SKETCH_ERROR of the count (tests/test_drift_sketch.c measures it).
 *
 * Or, where `sample` is set, a sample beyond that: one value of each 2^bits that follow each other, drawn evenly, between
 * half of `whole` and all of it; bits is one more each time there would be more. Nothing is sorted, and most values are
 * not even looked at.
 */
#ifndef MBR_RUNTIME_DRIFT_SKETCH_H
#define MBR_RUNTIME_DRIFT_SKETCH_H

#include "base/memory.h"
#include "mbr/dtype.h"

#define MBR_SKETCH_K 1024
#define MBR_SKETCH_ERROR 0.005
#define MBR_SKETCH_LEVELS 48

typedef struct mbr_sketch_level {
    double *items; /* sorted, but for level 0 */
    size_t count, capacity;
} mbr_sketch_level;

typedef struct mbr_sketch {
    mbr_memory *memory;
    size_t whole;      /* values kept before levels begin */
    uint64_t count;    /* values taken; of a sample those that are kept */
    uint64_t random;   /* state of the coin */
    int levels;        /* 0: the values are whole or a sample, in level[0] */
    bool sample;       /* from the next mbr_sketch_clear on; sampled: now */
    bool sampled;
    int bits;          /* a value of the sample stands for 2^bits */
    uint64_t at, pick; /* of the group that is under way: values seen, and which is taken */
    uint32_t room[MBR_SKETCH_LEVELS]; /* of each level, before it is halved */
    double *spare;     /* of sorting, (spare_count) */
    size_t spare_count;
    mbr_sketch_level level[MBR_SKETCH_LEVELS];
} mbr_sketch;

void mbr_sketch_init(mbr_sketch *s, mbr_memory *memory, size_t whole, uint64_t seed);
void mbr_sketch_destroy(mbr_sketch *s);
void mbr_sketch_clear(mbr_sketch *s); /* keeps the memory */
/* For who reads a sketch from a file. */
void mbr_sketch_set_levels(mbr_sketch *s, int levels);
/* Takes finite values; others are passed over. */
mbr_status mbr_sketch_add(mbr_sketch *s, const double *x, size_t n, mbr_error *err);
mbr_status mbr_sketch_merge(mbr_sketch *s, const mbr_sketch *from, mbr_error *err);

/* All values are there, as they are. */
static inline bool mbr_sketch_is_whole(const mbr_sketch *s)
{
    return s->levels == 0 && s->bits == 0;
}

/* All items weigh the same, and level[0] has them in no order. */
static inline bool mbr_sketch_is_plain(const mbr_sketch *s)
{
    return s->levels == 0;
}

/* Items that mbr_sketch_items gives. */
size_t mbr_sketch_size(const mbr_sketch *s);
/* The items in rising order and how many values each stands for; they add up to the count. */
mbr_status mbr_sketch_items(mbr_sketch *s, double *values, double *weights, mbr_error *err);

/* Sorts finite numbers and infinities; spare is as long as x. */
void mbr_sort_doubles(double *x, double *spare, size_t n);

/* Where values of a known kind lie: buckets of equal width on a histogram's axis, with an outer one at each end. */
typedef struct mbr_sort_axis {
    bool logarithmic;
    double lo, scale;
    int buckets;
    uint32_t *counts; /* (buckets + 2), scratch */
    int32_t *places;  /* (n), scratch */
} mbr_sort_axis;

/* Sorts x into out, quickly where the buckets hold about as many values each; spare: (n). */
void mbr_sort_along(const mbr_sort_axis *axis, const double *x, double *out, double *spare, size_t n);

/* A double's bits as an integer that rises with it. */
static inline uint64_t mbr_rising_bits(uint64_t bits)
{
    return bits ^ ((uint64_t)((int64_t)bits >> 63) | (uint64_t)1 << 63);
}

/* Sorts by the bytes from the `first` on, lowest first: stable. Returns a or b, whichever has the result. */
uint64_t *mbr_sort_bits(uint64_t *a, uint64_t *b, size_t n, int first);

/*
 * Texts and how often they came, at most about 3/4 of `slots` of them: when the table is full, the median count is
 * taken off all and what is not positive leaves (Misra and Gries 1982; Anderson et al. 2017). A count is then too low by
 * `lost` at most.
 */
typedef struct mbr_tally_slot {
    char *text; /* NULL: free */
    uint32_t size;
    uint64_t digest, count;
} mbr_tally_slot;

typedef struct mbr_tally {
    mbr_memory *memory;
    mbr_tally_slot *slots;
    size_t slot_count; /* a power of two */
    size_t used;
    uint64_t lost, total;
    mbr_tally_slot *spare; /* (slot_count), empty; NULL: not needed yet */
} mbr_tally;

mbr_status mbr_tally_init(mbr_tally *t, mbr_memory *memory, size_t slots, mbr_error *err);
void mbr_tally_destroy(mbr_tally *t);
void mbr_tally_clear(mbr_tally *t);
mbr_status mbr_tally_add(mbr_tally *t, const char *text, size_t size, uint64_t count, mbr_error *err);
/* The same with mbr_digest of the text, where it is known. */
mbr_status mbr_tally_add_digest(mbr_tally *t, uint64_t digest, const char *text, size_t size, uint64_t count,
                                mbr_error *err);
mbr_status mbr_tally_merge(mbr_tally *t, const mbr_tally *from, mbr_error *err);
/* The slots that are taken, the most frequent first, equal ones by text. out has t->used places. */
void mbr_tally_sorted(const mbr_tally *t, const mbr_tally_slot **out);

uint64_t mbr_digest(const void *data, size_t size);

/* xorshift64*: samples and coins, the same on every machine. */
static inline uint64_t mbr_random_bits(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545F4914F6CDD1Du;
}

static inline uint64_t mbr_random_start(uint64_t seed)
{
    seed = (seed + 0x9E3779B97F4A7C15u) * 0xBF58476D1CE4E5B9u;
    return (seed ^ seed >> 31) | 1;
}

/* In (0, 1]. */
static inline double mbr_random_unit(uint64_t *state)
{
    return (double)((mbr_random_bits(state) >> 11) + 1) * 0x1p-53;
}

#endif
