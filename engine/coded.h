/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Large arrays of attributes as they lie in the model's file, and reading them in order: a forest of three million nodes
 * has twenty million numbers and texts, which its operator looks at once. Nothing is read beyond the array, whatever it
 * holds.
 */
#ifndef MBR_ENGINE_CODED_H
#define MBR_ENGINE_CODED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef enum mbr_code {
    MBR_CODE_INTS,   /* varints: seven bits a byte, the lowest first, the last byte below 0x80 */
    MBR_CODE_FLOATS, /* four bytes each, the lowest first */
    MBR_CODE_STRINGS /* a varint, and as many bytes */
} mbr_code;

typedef struct mbr_coded {
    const uint8_t *data; /* behind the gap of the first element */
    size_t bytes;        /* to the end of the last one */
    mbr_code code;
    unsigned gap;        /* bytes in front of each element, also the first, that mean nothing */
} mbr_coded;

/* Where reading is. */
typedef struct mbr_coded_cursor {
    const uint8_t *at, *end; /* at: the gap of the next element */
    unsigned gap;
    bool broken; /* the array ended, or a number was too long */
} mbr_coded_cursor;

static inline mbr_coded_cursor mbr_coded_begin(const mbr_coded *a)
{
    return (mbr_coded_cursor){ .at = a->data - a->gap, .end = a->data + a->bytes, .gap = a->gap };
}

static inline uint64_t mbr_coded_varint(mbr_coded_cursor *c, unsigned gap)
{
    size_t left = (size_t)(c->end - c->at);
    if (left <= gap) {
        c->broken = true;
        return 0;
    }
    const uint8_t *at = c->at + gap;
    uint64_t v = *at++;
    if (v >= 0x80) {
        v &= 0x7f;
        for (unsigned shift = 7;; shift += 7) {
            if (at == c->end || shift > 63) {
                c->broken = true;
                return 0;
            }
            uint8_t b = *at++;
            v |= (uint64_t)(b & 0x7f) << shift;
            if (b < 0x80)
                break;
        }
    }
    c->at = at;
    return v;
}

static inline int64_t mbr_coded_int(mbr_coded_cursor *c)
{
    return (int64_t)mbr_coded_varint(c, c->gap);
}

static inline float mbr_coded_float(mbr_coded_cursor *c)
{
    if ((size_t)(c->end - c->at) < c->gap + sizeof(float)) {
        c->broken = true;
        return 0;
    }
    const uint8_t *b = c->at + c->gap;
    uint32_t bits = (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
    float v;
    memcpy(&v, &bits, sizeof v);
    c->at = b + sizeof v;
    return v;
}

/* The text of *size bytes. */
static inline const char *mbr_coded_string(mbr_coded_cursor *c, size_t *size)
{
    uint64_t n = mbr_coded_varint(c, c->gap);
    if (n > (size_t)(c->end - c->at)) {
        c->broken = true;
        n = 0;
    }
    const char *text = (const char *)c->at;
    *size = (size_t)n;
    c->at += n;
    return text;
}

#endif
