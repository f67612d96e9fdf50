/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "runtime/tokenizer/regex.h"

#include <string.h>
#ifdef HAVE_PCRE2
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#endif

/* Steps that one match may take, and memory (KiB) that it may hold: a hostile expression ends there. */
#define MATCH_LIMIT 10000000
#define HEAP_LIMIT 65536

struct mbr_regex {
    const mbr_unicode *unicode;
    mbr_matcher matcher;
    uint32_t digits;     /* most of a number, for the matcher */
    mbr_string literal;  /* where data is not NULL */
    char *bytes;
#ifdef HAVE_PCRE2
    pcre2_code *code;
    pcre2_general_context *general;
#endif
};

/* ---- matchers of our own ---- */

static uint32_t run_of(const mbr_unicode *u, const char *text, uint32_t at, uint32_t size, bool (*is)(uint32_t mask))
{
    uint32_t n;
    while (at < size && is(mbr_unicode_of(u, mbr_utf8_get(text + at, &n))))
        at += n;
    return at;
}

static bool is_space(uint32_t mask)
{
    return mask & MBR_U_SPACE;
}

/* [^\s\p{L}\p{N}] */
static bool is_other(uint32_t mask)
{
    return !(mask & MBR_U_SPACE) && !mbr_is_letter(mask) && !mbr_is_number(mask);
}

/* \s+(?!\S)|\s+ at a space. */
static uint32_t spaces(const mbr_unicode *u, const char *text, uint32_t at, uint32_t size)
{
    uint32_t end = run_of(u, text, at, size, is_space);
    if (end == size)
        return end - at;
    uint32_t last = mbr_utf8_back(text, end);
    return (last > at ? last : end) - at;
}

/* 's|'t|'re|'ve|'m|'ll|'d, in small letters or any; 0: none of them. */
static uint32_t contraction(const char *text, uint32_t at, uint32_t size, bool any_case)
{
    uint32_t left = size - at;
    if (left < 2 || text[at] != '\'')
        return 0;
    char fold = any_case ? 0x20 : 0, c = (char)(text[at + 1] | fold);
    if (c == 's' || c == 't' || c == 'm' || c == 'd')
        return 2;
    if (any_case && left >= 3 && memcmp(text + at + 1, "\xc5\xbf", 2) == 0) /* the long s is an s without case */
        return 3;
    if (left < 3)
        return 0;
    char second = (char)(text[at + 2] | fold);
    if (((c == 'r' || c == 'v') && second == 'e') || (c == 'l' && second == 'l'))
        return 3;
    return 0;
}

uint32_t mbr_match_gpt2(const mbr_unicode *u, const char *text, uint32_t at, uint32_t size)
{
    uint32_t found = contraction(text, at, size, false), n;
    if (found)
        return found;
    uint32_t from = at, mask = mbr_unicode_of(u, mbr_utf8_get(text + at, &n));
    if (text[at] == ' ' && at + 1 < size) {
        mask = mbr_unicode_of(u, mbr_utf8_get(text + at + 1, &n));
        if (mask & MBR_U_SPACE)
            return spaces(u, text, from, size);
        at++;
    }
    if (mask & MBR_U_SPACE)
        return spaces(u, text, from, size);
    return run_of(u, text, at + n, size, mbr_is_letter(mask) ? mbr_is_letter : mbr_is_number(mask) ? mbr_is_number
                                                                                                   : is_other) - from;
}

/* GPT-4's, with numbers of at most `digits` digits. */
static uint32_t match_gpt4(const mbr_unicode *u, const char *text, uint32_t at, uint32_t size, uint32_t digits)
{
    uint32_t found = contraction(text, at, size, true), n, m;
    if (found)
        return found;
    uint32_t mask = mbr_unicode_of(u, mbr_utf8_get(text + at, &n)), end = at + n, next = 0;
    if (mbr_is_letter(mask))
        return run_of(u, text, end, size, mbr_is_letter) - at;
    if (mbr_is_number(mask)) {
        for (uint32_t k = 1; k < digits && end < size; k++, end += n)
            if (!mbr_is_number(mbr_unicode_of(u, mbr_utf8_get(text + end, &n))))
                break;
        return end - at;
    }
    if (end < size) {
        next = mbr_unicode_of(u, mbr_utf8_get(text + end, &m));
        if (text[at] != '\r' && text[at] != '\n' && mbr_is_letter(next))
            return run_of(u, text, end + m, size, mbr_is_letter) - at;
    }
    if (is_other(mask) || (text[at] == ' ' && end < size && is_other(next))) {
        end = run_of(u, text, end, size, is_other);
        while (end < size && (text[end] == '\r' || text[end] == '\n'))
            end++;
        return end - at;
    }
    end = run_of(u, text, at, size, is_space);
    for (uint32_t i = end; i > at; i--) /* \s*[\r\n]+ */
        if (text[i - 1] == '\r' || text[i - 1] == '\n')
            return i - at;
    return spaces(u, text, at, size);
}

static uint32_t match_gpt4_3(const mbr_unicode *u, const char *text, uint32_t at, uint32_t size)
{
    return match_gpt4(u, text, at, size, 3);
}

static uint32_t match_gpt4_1(const mbr_unicode *u, const char *text, uint32_t at, uint32_t size)
{
    return match_gpt4(u, text, at, size, 1);
}

#define GPT4_BEFORE "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
#define GPT4_BEHIND "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static const struct {
    const char *text;
    mbr_matcher matcher;
} known[] = {
    { "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", mbr_match_gpt2 },
    { GPT4_BEFORE "\\p{N}{1,3}" GPT4_BEHIND, match_gpt4_3 },
    { GPT4_BEFORE "\\p{N}" GPT4_BEHIND, match_gpt4_1 },
};

/* ---- PCRE2 ---- */

#ifdef HAVE_PCRE2

static void *pcre_alloc(size_t bytes, void *memory)
{
    return mbr_alloc(memory, bytes);
}

static void pcre_release(void *block, void *memory)
{
    mbr_free(memory, block);
}

struct mbr_match {
    pcre2_general_context *general;
    pcre2_match_context *context;
    pcre2_match_data *data;
};

mbr_match *mbr_match_new(mbr_memory *memory)
{
    mbr_match *m = mbr_calloc(memory, 1, sizeof *m);
    if (!m)
        return NULL;
    m->general = pcre2_general_context_create(pcre_alloc, pcre_release, memory);
    m->context = m->general ? pcre2_match_context_create(m->general) : NULL;
    m->data = m->context ? pcre2_match_data_create(1, m->general) : NULL;
    if (!m->data) {
        mbr_match_free(memory, m);
        return NULL;
    }
    pcre2_set_match_limit(m->context, MATCH_LIMIT);
    pcre2_set_heap_limit(m->context, HEAP_LIMIT);
    return m;
}

void mbr_match_free(mbr_memory *memory, mbr_match *m)
{
    if (!m)
        return;
    pcre2_match_data_free(m->data);
    pcre2_match_context_free(m->context);
    pcre2_general_context_free(m->general);
    mbr_free(memory, m);
}

static mbr_status compile(mbr_regex *p, mbr_memory *memory, mbr_string text, bool jit, const char *name, mbr_error *err)
{
    int code;
    PCRE2_SIZE at;
    const char *translated;
    mbr_arena arena;
    p->general = pcre2_general_context_create(pcre_alloc, pcre_release, memory);
    pcre2_compile_context *context = p->general ? pcre2_compile_context_create(p->general) : NULL;
    if (!context)
        return mbr_no_memory(err, sizeof(void *));
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    pcre2_set_parens_nest_limit(context, 100);
    mbr_arena_init(&arena, memory, 0);
    mbr_status st = mbr_regex_translate(&arena, text, &translated, err);
    if (st != MBR_OK) {
        st = mbr_fail_at(err, st, "%s: ", name);
    } else {
        p->code = pcre2_compile((PCRE2_SPTR)translated, PCRE2_ZERO_TERMINATED,
                                PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &code, &at, context);
        if (!p->code && code == PCRE2_ERROR_HEAP_FAILED) {
            st = mbr_no_memory(err, text.size);
        } else if (!p->code) {
            char reason[128];
            pcre2_get_error_message(code, (PCRE2_UCHAR *)reason, sizeof reason);
            st = mbr_fail(err, MBR_ERR_UNSUPPORTED, "%s: the regular expression %.*s cannot be used: %s", name,
                          (int)(text.size > 80 ? 80 : text.size), text.data, reason);
        } else if (jit) {
            (void)pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE); /* where that is not allowed, the code is interpreted */
        }
    }
    mbr_arena_destroy(&arena);
    pcre2_compile_context_free(context);
    return st;
}

static bool next_by_pcre(mbr_search *s)
{
    for (;;) {
        if (s->at > s->size)
            return false;
        int found = pcre2_match(s->pattern->code, (PCRE2_SPTR)s->text, s->size, s->at, PCRE2_NO_UTF_CHECK,
                                s->match->data, s->match->context);
        if (found < 0) {
            s->status = found == PCRE2_ERROR_NOMATCH ? MBR_OK : found == PCRE2_ERROR_NOMEMORY ? MBR_ERR_NO_MEMORY
                                                                                              : MBR_ERR_LIMIT;
            return false;
        }
        const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(s->match->data);
        uint32_t begin = (uint32_t)ends[0], end = (uint32_t)ends[1];
        if (begin > end) { /* \K in a look-ahead */
            s->status = MBR_ERR_LIMIT;
            return false;
        }
        if (begin == end && s->any && s->last == end) {
            s->at += s->at < s->size ? mbr_utf8_size((unsigned char)s->text[s->at]) : 1;
            continue;
        }
        s->any = true;
        s->at = s->last = end;
        s->begin = begin;
        s->end = end;
        return true;
    }
}

#else

struct mbr_match {
    char nothing;
};

mbr_match *mbr_match_new(mbr_memory *memory)
{
    return mbr_alloc(memory, sizeof(mbr_match));
}

void mbr_match_free(mbr_memory *memory, mbr_match *m)
{
    mbr_free(memory, m);
}

#endif

/* ---- all of them ---- */

mbr_status mbr_regex_new(mbr_memory *memory, const mbr_unicode *u, mbr_string text, const mbr_regex_options *options,
                           const char *name, mbr_regex **out, mbr_error *err)
{
    mbr_status st = MBR_OK;
    mbr_regex *p = mbr_calloc(memory, 1, sizeof *p);
    *out = NULL;
    if (!p || !(p->bytes = mbr_alloc(memory, text.size + 1))) {
        mbr_free(memory, p);
        return mbr_no_memory(err, text.size);
    }
    p->unicode = u;
    if (text.size)
        memcpy(p->bytes, text.data, text.size);
    p->bytes[text.size] = '\0';
    bool literal = options->literal;
    if (!literal && text.size && !options->plain) { /* an expression without operators */
        literal = true;
        for (size_t i = 0; i < text.size; i++)
            literal &= text.data[i] && !strchr("\\^$.|?*+()[]{}#", text.data[i]);
    }
    if (literal)
        p->literal = (mbr_string){ .data = p->bytes, .size = text.size };
    for (size_t i = 0; i < MBR_COUNT_OF(known) && !literal && !options->plain; i++)
        if (strlen(known[i].text) == text.size && memcmp(known[i].text, text.data, text.size) == 0)
            p->matcher = known[i].matcher;
    if (!literal && !p->matcher) {
#ifdef HAVE_PCRE2
        st = compile(p, memory, text, options->jit, name, err);
#else
        st = mbr_fail(err, MBR_ERR_UNSUPPORTED, "%s: it needs the regular expression %.*s, which this build cannot do; "
                      "build with PCRE2", name, (int)(text.size > 80 ? 80 : text.size), text.data);
#endif
    }
    if (st != MBR_OK) {
        mbr_regex_free(memory, p);
        return st;
    }
    *out = p;
    return MBR_OK;
}

void mbr_regex_free(mbr_memory *memory, mbr_regex *p)
{
    if (!p)
        return;
#ifdef HAVE_PCRE2
    pcre2_code_free(p->code);
    pcre2_general_context_free(p->general);
#endif
    mbr_free(memory, p->bytes);
    mbr_free(memory, p);
}

static bool next_literal(mbr_search *s)
{
    mbr_string what = s->pattern->literal;
    if (what.size == 0) { /* between any two characters */
        if (s->any && s->at >= s->size)
            return false;
        if (s->any)
            s->at += mbr_utf8_size((unsigned char)s->text[s->at]);
        s->any = true;
        s->begin = s->end = s->at;
        return true;
    }
    while (s->at + what.size <= s->size) {
        const char *found = memchr(s->text + s->at, what.data[0], s->size - s->at - what.size + 1);
        if (!found)
            break;
        uint32_t at = (uint32_t)(found - s->text);
        if (memcmp(found, what.data, what.size) == 0) {
            s->begin = at;
            s->end = s->at = at + (uint32_t)what.size;
            return true;
        }
        s->at = at + 1;
    }
    s->at = s->size + 1;
    return false;
}

bool mbr_search_next(mbr_search *s)
{
    const mbr_regex *p = s->pattern;
    if (s->status != MBR_OK || s->size == 0)
        return false;
    if (p->matcher) {
        if (s->at >= s->size)
            return false;
        s->begin = s->at;
        s->end = s->at += p->matcher(p->unicode, s->text, s->at, s->size);
        return true;
    }
    if (p->literal.data)
        return next_literal(s);
#ifdef HAVE_PCRE2
    return next_by_pcre(s);
#else
    return false;
#endif
}
