/* SPDX-License-Identifier: BSD-2-Clause */
/* Text to numbers and times without a locale, checks of UTF-8, text that lives as long as a batch, name tables. */
#ifndef MBR_RUNTIME_TEXT_H
#define MBR_RUNTIME_TEXT_H

#include "base/memory.h"
#include "mbr/dtype.h"

/* Compares text of known length with a terminated string. */
bool mbr_text_is(const char *s, size_t n, const char *word);

/* Takes spaces and tabs off both ends. */
mbr_string mbr_text_trim(const char *s, size_t n);

/* Insertions, deletions and changes of a byte that turn a into b; 99 for texts beyond 40 bytes. For "did you mean". */
int mbr_text_distance(const char *a, const char *b);

/*
 * The whole text as a decimal number (1, -2.5, .5, 6e-3), rounded to the nearest double whatever the locale. False for
 * anything else, also for what overflows a double, "inf" and hexadecimal. "nan" in any case gives NaN.
 */
bool mbr_text_number(const char *s, size_t n, double *out);

/*
 * ISO 8601 as seconds since 1970-01-01 UTC: 2024-02-29, 2024-02-29T12:30, 2024-02-29 12:30:59.25+01:00, ...Z.
 * Without an offset the time is taken as UTC. Years 1 to 9999, the day must exist; second 60 is the next minute.
 */
bool mbr_text_time(const char *s, size_t n, double *out);

/* The proleptic Gregorian calendar: days since 1970-01-01, and back. */
int64_t mbr_days_from_date(int64_t year, int month, int day);
void mbr_date_from_days(int64_t days, int64_t *year, int *month, int *day);

/* Well-formed UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF. */
bool mbr_text_utf8(const char *s, size_t n);

/* Text (and small objects) that all go at once; the memory is kept for the next round. Aligned to 16 bytes. */
typedef struct mbr_pool {
    mbr_memory *memory;
    struct mbr_pool_chunk *first, *at;
    size_t used; /* of *at */
} mbr_pool;

void mbr_pool_init(mbr_pool *p, mbr_memory *memory);
void mbr_pool_destroy(mbr_pool *p);
void mbr_pool_reset(mbr_pool *p);
void *mbr_pool_alloc(mbr_pool *p, size_t bytes); /* NULL when out of memory */

/* A fixed set of names, looked up by text; on arena memory. */
typedef struct mbr_names {
    const mbr_string *keys; /* (count), the caller's */
    uint32_t *slots;        /* (mask + 1), index + 1, 0: free */
    size_t count, mask;
} mbr_names;

/*
 * keys must outlive the table. *twin receives SIZE_MAX, or the index of the first key that stands there twice; the
 * table is then of no use.
 */
mbr_status mbr_names_build(mbr_names *t, mbr_arena *arena, const mbr_string *keys, size_t count, size_t *twin,
                           mbr_error *err);
/* SIZE_MAX where the text is not in the table. */
size_t mbr_names_find(const mbr_names *t, const char *s, size_t n);

#endif
