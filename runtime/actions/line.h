/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing JSON fast and without a locale: a growing buffer, text, and numbers that read back as the same double. What
 * it makes of a value depends on nothing but the value.
 */
#ifndef MBR_RUNTIME_LINE_H
#define MBR_RUNTIME_LINE_H

#include "base/hash.h"
#include "base/memory.h"
#include "mbr/dtype.h"

#include <string.h>

typedef struct mbr_line {
    mbr_memory *memory;
    char *text;
    size_t used, capacity;
    bool failed; /* out of memory: what was added since is lost */
} mbr_line;

/* The most that one number takes. */
#define MBR_NUMBER_TEXT 32
/* A hash in hexadecimal digits, and microseconds since 1970 as 2026-01-31T23:59:59.000001Z, terminators included. */
#define MBR_HASH_TEXT 33
#define MBR_TIME_TEXT 28

/* Whether `bytes` more fit, after growing. */
bool mbr_line_room(mbr_line *o, size_t bytes);
void mbr_line_free(mbr_line *o);

static inline void mbr_line_bytes(mbr_line *o, const char *text, size_t n)
{
    if (n > o->capacity - o->used && !mbr_line_room(o, n))
        return;
    memcpy(o->text + o->used, text, n);
    o->used += n;
}

static inline void mbr_line_text(mbr_line *o, const char *text)
{
    mbr_line_bytes(o, text, strlen(text));
}

void mbr_line_string(mbr_line *o, const char *text, size_t n); /* in quotes, escaped; UTF-8 goes as it is */
void mbr_line_number(mbr_line *o, double x);                   /* null where JSON has no number */
void mbr_line_whole(mbr_line *o, uint64_t x);
void mbr_line_hash(mbr_line *o, mbr_hash h);                   /* 32 digits in quotes */

/* The parts: they return how many bytes they wrote, and write no terminator. */
size_t mbr_format_whole(char *to, uint64_t x);
size_t mbr_format_number(char *to, double x); /* finite */

/* With terminator. The hash of one machine reads the same on another of its byte order. */
void mbr_format_hash(char to[MBR_HASH_TEXT], mbr_hash h);
void mbr_format_time(char to[MBR_TIME_TEXT], int64_t microseconds);

#endif
