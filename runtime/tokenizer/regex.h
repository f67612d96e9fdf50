/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Patterns of tokenizer.json: literal text, a few regular expressions that have matchers of their own here, and all
 * others by PCRE2. The files are written for Oniguruma, with the syntax of Ruby; what PCRE2 understands in another way
 * is translated, and what cannot be is refused when the file is opened.
 */
#ifndef MBR_RUNTIME_TOKENIZER_REGEX_H
#define MBR_RUNTIME_TOKENIZER_REGEX_H

#include "base/memory.h"
#include "mbr/dtype.h"
#include "runtime/tokenizer/unicode.h"

typedef struct mbr_regex mbr_regex;
typedef struct mbr_match mbr_match; /* one caller's room */

typedef struct mbr_regex_options {
    bool literal;
    bool plain; /* no matcher of our own: tests compare the two */
    bool jit;
} mbr_regex_options;

/* name is for messages. */
mbr_status mbr_regex_new(mbr_memory *memory, const mbr_unicode *u, mbr_string text, const mbr_regex_options *options,
                           const char *name, mbr_regex **out, mbr_error *err);
void mbr_regex_free(mbr_memory *memory, mbr_regex *p);

/* NULL when out of memory. Any number of patterns may use it, one after the other. */
mbr_match *mbr_match_new(mbr_memory *memory);
void mbr_match_free(mbr_memory *memory, mbr_match *m);

/*
 * Matches one after the other, each as early as possible; an empty one directly behind another is none.
 *
 *     mbr_search s = { .pattern = p, .match = m, .text = text, .size = size };
 *     while (mbr_search_next(&s)) ... s.begin, s.end ...
 *     s.status
 */
typedef struct mbr_search {
    const mbr_regex *pattern;
    mbr_match *match;
    const char *text;
    uint32_t size;
    uint32_t begin, end;
    uint32_t at, last;
    bool any;
    mbr_status status; /* MBR_ERR_LIMIT: the pattern takes too long on this text; MBR_ERR_NO_MEMORY */
} mbr_search;

bool mbr_search_next(mbr_search *s);

/* The expression as PCRE2 gets it, for messages and tests. */
mbr_status mbr_regex_translate(mbr_arena *arena, mbr_string text, const char **out, mbr_error *err);

/* A matcher of our own: the length of the match at `at`, 0 where there is none. The whole text is known to be matched. */
typedef uint32_t (*mbr_matcher)(const mbr_unicode *u, const char *text, uint32_t at, uint32_t size);
uint32_t mbr_match_gpt2(const mbr_unicode *u, const char *text, uint32_t at, uint32_t size);

#endif
