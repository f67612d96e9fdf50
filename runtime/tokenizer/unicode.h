/* SPDX-License-Identifier: BSD-2-Clause */
/* Properties of code points as Hugging Face's `tokenizers` sees them, UTF-8 that is known to be well-formed. */
#ifndef MBR_RUNTIME_TOKENIZER_UNICODE_H
#define MBR_RUNTIME_TOKENIZER_UNICODE_H

#include "base/memory.h"
#include "runtime/tokenizer/unicode_flags.h"

#define MBR_UNICODE_BLOCK 7 /* bits of a code point that index a block */

typedef struct mbr_unicode {
    uint32_t ascii[128];
    const uint32_t *classes;
    uint16_t block[0x110000 >> MBR_UNICODE_BLOCK];
    uint8_t of[]; /* a class for each code point of each different block */
} mbr_unicode;

mbr_unicode *mbr_unicode_new(mbr_memory *memory); /* NULL when out of memory */

/* MBR_U_*, and the general category above MBR_U_CATEGORY. */
static inline uint32_t mbr_unicode_of(const mbr_unicode *u, uint32_t c)
{
    if (c < 128)
        return u->ascii[c];
    return u->classes[u->of[((size_t)u->block[c >> MBR_UNICODE_BLOCK] << MBR_UNICODE_BLOCK) +
                            (c & ((1 << MBR_UNICODE_BLOCK) - 1))]];
}

/* \p{L} and \p{N} of a mask. */
static inline bool mbr_is_letter(uint32_t mask)
{
    return (mask >> MBR_U_CATEGORY) - MBR_GC_LU <= MBR_GC_LO - MBR_GC_LU;
}

static inline bool mbr_is_number(uint32_t mask)
{
    return (mask >> MBR_U_CATEGORY) - MBR_GC_ND <= MBR_GC_NO - MBR_GC_ND;
}

/* The script that UnicodeScripts takes a code point for; 0: none. */
uint32_t mbr_unicode_script(uint32_t c);

/*
 * The code points of some categories (bits), or with some flag, that came after Unicode 14, run by run from *state (0 at
 * first); false at the end.
 */
bool mbr_unicode_recent(uint32_t *state, uint32_t categories, uint32_t flags, uint32_t *first, uint32_t *last);

/* char::to_lowercase: one code point, or two (returns how many). */
int mbr_unicode_lower(uint32_t c, uint32_t out[2]);

/* Length of the sequence that begins with this byte. */
static inline uint32_t mbr_utf8_size(unsigned char lead)
{
    return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

static inline uint32_t mbr_utf8_get(const char *text, uint32_t *size)
{
    const unsigned char *s = (const unsigned char *)text;
    if (s[0] < 0x80) {
        *size = 1;
        return s[0];
    }
    if (s[0] < 0xe0) {
        *size = 2;
        return (s[0] & 31u) << 6 | (s[1] & 63u);
    }
    if (s[0] < 0xf0) {
        *size = 3;
        return (s[0] & 15u) << 12 | (s[1] & 63u) << 6 | (s[2] & 63u);
    }
    *size = 4;
    return (s[0] & 7u) << 18 | (s[1] & 63u) << 12 | (s[2] & 63u) << 6 | (s[3] & 63u);
}

static inline uint32_t mbr_utf8_put(char *to, uint32_t c)
{
    if (c < 0x80) {
        to[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        to[0] = (char)(0xc0 | c >> 6);
        to[1] = (char)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        to[0] = (char)(0xe0 | c >> 12);
        to[1] = (char)(0x80 | (c >> 6 & 63));
        to[2] = (char)(0x80 | (c & 63));
        return 3;
    }
    to[0] = (char)(0xf0 | c >> 18);
    to[1] = (char)(0x80 | (c >> 12 & 63));
    to[2] = (char)(0x80 | (c >> 6 & 63));
    to[3] = (char)(0x80 | (c & 63));
    return 4;
}

/* The start of the last code point before `at`, which is above `from`. */
static inline uint32_t mbr_utf8_back(const char *text, uint32_t at)
{
    do
        at--;
    while (((unsigned char)text[at] & 0xc0) == 0x80);
    return at;
}

/* How many code points start in the bytes. */
static inline uint32_t mbr_utf8_count(const char *text, uint32_t size)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < size; i++)
        n += ((unsigned char)text[i] & 0xc0) != 0x80;
    return n;
}

bool mbr_is_ascii(const char *text, size_t size);

#endif
