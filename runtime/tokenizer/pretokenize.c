/* SPDX-License-Identifier: BSD-2-Clause */
/* Each pre-tokenizer cuts the pieces that are not tokens yet; some rewrite the text first. */
#include "runtime/tokenizer/tokenizer_impl.h"

#include <string.h>

void mbr_pieces_add(mbr_pieces *p, const mbr_view *work, uint32_t begin, uint32_t end, uint32_t token)
{
    if (begin >= end)
        return;
    if (p->count == p->capacity) {
        uint32_t capacity = p->capacity ? 2 * p->capacity : 64;
        mbr_piece *bigger = mbr_grow(p->memory, p->items, p->count * sizeof *bigger, capacity * sizeof *bigger);
        if (!bigger) {
            p->failed = true;
            return;
        }
        p->items = bigger;
        p->capacity = capacity;
    }
    uint32_t origin = work->at ? work->at[begin].begin : work->base + begin;
    p->items[p->count++] = (mbr_piece){ begin, end, origin, token };
}

/* ---- what becomes of matches and what lies between them ---- */

typedef struct splitter {
    mbr_encoding *e;
    mbr_behavior behavior;
    uint32_t begin, end; /* the last piece, which may still grow */
    bool any, match;
} splitter;

static void put(splitter *s)
{
    if (s->any)
        mbr_pieces_add(&s->e->fresh, &s->e->work, s->begin, s->end, MBR_NO_TOKEN);
    s->any = false;
}

static void take(splitter *s, uint32_t begin, uint32_t end, bool match)
{
    bool joins = false, before = s->match;
    s->match = match;
    switch (s->behavior) {
    case MBR_SPLIT_REMOVED:
        if (match)
            return;
        break;
    case MBR_SPLIT_ISOLATED:
        break;
    case MBR_SPLIT_CONTIGUOUS:
        joins = match == before;
        break;
    case MBR_SPLIT_WITH_PREVIOUS:
        joins = match && !before;
        break;
    case MBR_SPLIT_WITH_NEXT:
        joins = !match && before;
        break;
    }
    if (joins && s->any) {
        s->end = end;
        return;
    }
    put(s);
    s->begin = begin;
    s->end = end;
    s->any = true;
}

static void split_by_flag(splitter *s, uint32_t begin, uint32_t end, uint32_t flag)
{
    const mbr_unicode *u = s->e->t->unicode;
    const char *text = s->e->work.bytes;
    uint32_t last = begin, n;
    for (uint32_t i = begin; i < end; i += n) {
        if (!(mbr_unicode_of(u, mbr_utf8_get(text + i, &n)) & flag))
            continue;
        if (last < i)
            take(s, last, i, false);
        take(s, i, i + n, true);
        last = i + n;
    }
    if (last < end)
        take(s, last, end, false);
    put(s);
}

static mbr_status split_by_pattern(splitter *s, const mbr_piece *p, const mbr_pre *pre, mbr_error *err)
{
    mbr_search search = { .pattern = pre->pattern, .match = s->e->match, .text = s->e->work.bytes + p->begin,
                          .size = p->end - p->begin };
    uint32_t last = 0;
    while (mbr_search_next(&search)) {
        if (last != search.begin)
            take(s, p->begin + last, p->begin + search.begin, pre->invert);
        take(s, p->begin + search.begin, p->begin + search.end, !pre->invert);
        last = search.end;
    }
    if (search.status != MBR_OK)
        return mbr_fail(err, search.status, "%s: a regular expression of the pre-tokenizer takes too long on this text",
                        s->e->t->name);
    if (last != search.size)
        take(s, p->begin + last, p->end, pre->invert);
    put(s);
    return MBR_OK;
}

/* \w+|[^\w\s]+ */
static void split_words(splitter *s, uint32_t begin, uint32_t end)
{
    const mbr_unicode *u = s->e->t->unicode;
    const char *text = s->e->work.bytes;
    uint32_t from = begin, n, kind = MBR_U_SPACE;
    for (uint32_t i = begin; i < end; i += n) {
        uint32_t mask = mbr_unicode_of(u, mbr_utf8_get(text + i, &n));
        uint32_t now = mask & MBR_U_WORD ? MBR_U_WORD : mask & MBR_U_SPACE;
        if (now == kind)
            continue;
        if (kind != MBR_U_SPACE)
            mbr_pieces_add(&s->e->fresh, &s->e->work, from, i, MBR_NO_TOKEN);
        from = i;
        kind = now;
    }
    if (kind != MBR_U_SPACE)
        mbr_pieces_add(&s->e->fresh, &s->e->work, from, end, MBR_NO_TOKEN);
}

/* At white space, which goes, and around punctuation, which stays. */
static void split_bert(splitter *s, uint32_t begin, uint32_t end)
{
    const mbr_unicode *u = s->e->t->unicode;
    const char *text = s->e->work.bytes;
    uint32_t from = begin, n;
    for (uint32_t i = begin; i < end; i += n) {
        uint32_t mask = mbr_unicode_of(u, mbr_utf8_get(text + i, &n));
        if (!(mask & (MBR_U_SPACE | MBR_U_PUNCT)))
            continue;
        mbr_pieces_add(&s->e->fresh, &s->e->work, from, i, MBR_NO_TOKEN);
        if (!(mask & MBR_U_SPACE))
            mbr_pieces_add(&s->e->fresh, &s->e->work, i, i + n, MBR_NO_TOKEN);
        from = i + n;
    }
    mbr_pieces_add(&s->e->fresh, &s->e->work, from, end, MBR_NO_TOKEN);
}

static void split_scripts(splitter *s, uint32_t begin, uint32_t end)
{
    const char *text = s->e->work.bytes;
    uint32_t last = UINT32_MAX, from = MBR_NO_TOKEN, n;
    for (uint32_t i = begin; i < end; i += n) {
        uint32_t script = mbr_unicode_script(mbr_utf8_get(text + i, &n));
        if (script == 0)
            continue;
        if (script != last) {
            if (from != MBR_NO_TOKEN)
                mbr_pieces_add(&s->e->fresh, &s->e->work, from, i, MBR_NO_TOKEN);
            from = i;
        }
        last = script;
    }
    if (from != MBR_NO_TOKEN)
        mbr_pieces_add(&s->e->fresh, &s->e->work, from, end, MBR_NO_TOKEN);
}

static void split_lengths(splitter *s, uint32_t begin, uint32_t end, uint32_t length)
{
    uint32_t from = begin, count = 0;
    for (uint32_t i = begin; i < end;) {
        i += mbr_utf8_size((unsigned char)s->e->work.bytes[i]);
        if (++count == length || i >= end) {
            mbr_pieces_add(&s->e->fresh, &s->e->work, from, i, MBR_NO_TOKEN);
            from = i;
            count = 0;
        }
    }
}

/* ---- what rewrites the text ---- */

static bool starts_with(const mbr_view *v, const mbr_piece *p, mbr_string with)
{
    return p->end - p->begin >= with.size && memcmp(v->bytes + p->begin, with.data, with.size) == 0;
}

/* The piece's text with `with` before it. */
static void put_before(mbr_text *to, const mbr_view *v, const mbr_piece *p, mbr_string with)
{
    mbr_text_put(to, with.data, (uint32_t)with.size,
                 mbr_view_edge(v, p->begin, mbr_utf8_size((unsigned char)v->bytes[p->begin])));
}

static void copy_metaspace(mbr_text *to, const mbr_view *v, const mbr_piece *p, const mbr_pre *pre)
{
    bool has = starts_with(v, p, pre->replacement) || v->bytes[p->begin] == ' ';
    if (!has && (pre->prepend == MBR_PREPEND_ALWAYS || (pre->prepend == MBR_PREPEND_FIRST && p->origin == 0)))
        put_before(to, v, p, pre->replacement);
    uint32_t last = p->begin;
    for (uint32_t i = p->begin; i < p->end; i++) {
        if (v->bytes[i] != ' ')
            continue;
        mbr_text_copy(to, v, last, i);
        mbr_text_put(to, pre->replacement.data, (uint32_t)pre->replacement.size, mbr_view_edge(v, i, 1));
        last = i + 1;
    }
    mbr_text_copy(to, v, last, p->end);
}

static void copy_byte_chars(mbr_text *to, const mbr_view *v, const mbr_piece *p)
{
    for (uint32_t i = p->begin, n; i < p->end; i += n) {
        n = mbr_utf8_size((unsigned char)v->bytes[i]);
        mbr_edge edge = mbr_view_edge(v, i, n);
        for (uint32_t k = 0; k < n; k++) {
            char bytes[4];
            uint32_t size = mbr_utf8_put(bytes, mbr_byte_char((unsigned char)v->bytes[i + k]));
            mbr_text_put(to, bytes, size, edge);
        }
    }
}

typedef enum rewriting { METASPACE, PREFIX_SPACE, BYTE_CHARS } rewriting;

static bool needs_rewriting(const mbr_encoding *e, const mbr_pre *pre, rewriting how)
{
    const mbr_view *v = &e->work;
    for (uint32_t k = 0; k < e->pieces.count; k++) {
        const mbr_piece *p = &e->pieces.items[k];
        if (p->token != MBR_NO_TOKEN)
            continue;
        if (how == PREFIX_SPACE ? v->bytes[p->begin] != ' ' : how == BYTE_CHARS)
            return true;
        if (how == METASPACE &&
            (memchr(v->bytes + p->begin, ' ', p->end - p->begin) ||
             (pre->prepend != MBR_PREPEND_NEVER && !starts_with(v, p, pre->replacement))))
            return true;
    }
    return false;
}

/* All pieces into the other text; their number and origins stay. */
static mbr_status rewrite(mbr_encoding *e, const mbr_pre *pre, rewriting how, mbr_error *err)
{
    static const mbr_string space = { .data = " ", .size = 1 };
    mbr_view from = e->work;
    if (!needs_rewriting(e, pre, how))
        return MBR_OK;
    mbr_text *to = &e->text[from.bytes == e->text[0].bytes];
    mbr_text_clear(to, true, 0);
    for (uint32_t k = 0; k < e->pieces.count && !to->failed; k++) {
        mbr_piece *p = &e->pieces.items[k];
        uint32_t begin = to->size;
        if (p->token != MBR_NO_TOKEN) {
            mbr_text_copy(to, &from, p->begin, p->end);
        } else if (how == METASPACE) {
            copy_metaspace(to, &from, p, pre);
        } else if (how == BYTE_CHARS) {
            copy_byte_chars(to, &from, p);
        } else {
            if (from.bytes[p->begin] != ' ')
                put_before(to, &from, p, space);
            mbr_text_copy(to, &from, p->begin, p->end);
        }
        p->begin = begin;
        p->end = to->size;
    }
    if (to->failed)
        return to->too_long ? mbr_fail(err, MBR_ERR_LIMIT, "%s: the text becomes longer than %u bytes", e->t->name,
                                       MBR_TEXT_MOST)
                            : mbr_no_memory(err, to->size);
    e->work = mbr_text_view(to);
    return MBR_OK;
}

/* ---- all of them ---- */

static mbr_status cut_piece(splitter *s, const mbr_pre *pre, const mbr_piece *p, mbr_error *err)
{
    switch (pre->kind) {
    case MBR_PRE_BERT:
        split_bert(s, p->begin, p->end);
        break;
    case MBR_PRE_WHITESPACE:
        split_words(s, p->begin, p->end);
        break;
    case MBR_PRE_PUNCTUATION:
        split_by_flag(s, p->begin, p->end, MBR_U_PUNCT);
        break;
    case MBR_PRE_WHITESPACE_SPLIT:
        split_by_flag(s, p->begin, p->end, MBR_U_SPACE);
        break;
    case MBR_PRE_DIGITS:
        split_by_flag(s, p->begin, p->end, MBR_U_NUMERIC);
        break;
    case MBR_PRE_SCRIPTS:
        split_scripts(s, p->begin, p->end);
        break;
    case MBR_PRE_FIXED_LENGTH:
        split_lengths(s, p->begin, p->end, pre->length);
        break;
    default: /* by a pattern */
        return split_by_pattern(s, p, pre, err);
    }
    return MBR_OK;
}

static mbr_status cut(mbr_encoding *e, const mbr_pre *pre, mbr_error *err)
{
    e->fresh.count = 0;
    for (uint32_t k = 0; k < e->pieces.count; k++) {
        const mbr_piece *p = &e->pieces.items[k];
        if (p->token != MBR_NO_TOKEN) {
            mbr_pieces_add(&e->fresh, &e->work, p->begin, p->end, p->token);
            if (!e->fresh.failed)
                e->fresh.items[e->fresh.count - 1].origin = p->origin;
            continue;
        }
        splitter s = { .e = e, .behavior = pre->behavior };
        MBR_TRY(cut_piece(&s, pre, p, err));
    }
    if (e->fresh.failed)
        return mbr_no_memory(err, e->fresh.count * sizeof(mbr_piece));
    mbr_pieces old = e->pieces;
    e->pieces = e->fresh;
    e->fresh = old;
    return MBR_OK;
}

mbr_status mbr_pretokenize(mbr_encoding *e, mbr_error *err)
{
    const mbr_tokenizer *t = e->t;
    for (uint32_t i = 0; i < t->pre_count; i++) {
        const mbr_pre *pre = &t->pre[i];
        if (pre->kind == MBR_PRE_METASPACE)
            MBR_TRY(rewrite(e, pre, METASPACE, err));
        if (pre->kind == MBR_PRE_BYTE_LEVEL && pre->prefix_space)
            MBR_TRY(rewrite(e, pre, PREFIX_SPACE, err));
        if (pre->kind == MBR_PRE_METASPACE ? pre->split : pre->kind != MBR_PRE_BYTE_LEVEL || pre->use_regex)
            MBR_TRY(cut(e, pre, err));
        if (pre->kind == MBR_PRE_BYTE_LEVEL && !(t->byte_level && i + 1 == t->pre_count))
            MBR_TRY(rewrite(e, pre, BYTE_CHARS, err));
    }
    return MBR_OK;
}
