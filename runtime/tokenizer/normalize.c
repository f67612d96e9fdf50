/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each step reads a view and writes a text. How characters of the result are aligned follows the library's rules: a
 * change of 0 replaces a character, 1 inserts one (which stands for what its predecessor stands for), -n replaces one
 * and takes n more away.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "base/checked.h"
#include "runtime/tokenizer/tokenizer_impl.h"

#include <string.h>
#ifdef HAVE_UTF8PROC
#include <utf8proc.h>
#endif

typedef struct step {
    const mbr_tokenizer *t;
    const mbr_normal *n;
    mbr_match *match;
    const mbr_view *in;
    mbr_text *out;
    uint32_t at;       /* of the input: what is before it has been taken */
    mbr_status status;
} step;

/* ---- the library's transformation ---- */

/* Takes characters of the input away. */
static void drop(step *s, uint32_t count)
{
    while (count-- && s->at < s->in->size)
        s->at += mbr_utf8_size((unsigned char)s->in->bytes[s->at]);
}

static mbr_edge edge_before(const step *s)
{
    if (s->at == 0)
        return (mbr_edge){ s->in->base, s->in->base };
    if (s->in->at)
        return s->in->at[s->at - 1];
    uint32_t start = mbr_utf8_back(s->in->bytes, s->at);
    return (mbr_edge){ s->in->base + start, s->in->base + s->at };
}

static void emit(step *s, uint32_t c, int change)
{
    char bytes[4];
    uint32_t size = mbr_utf8_put(bytes, c);
    mbr_edge edge;
    if (change > 0 || s->at >= s->in->size) {
        edge = edge_before(s);
    } else {
        uint32_t n = mbr_utf8_size((unsigned char)s->in->bytes[s->at]);
        edge = mbr_view_edge(s->in, s->at, n);
        s->at += n;
        drop(s, (uint32_t)-change);
    }
    mbr_text_put(s->out, bytes, size, edge);
}

/* ---- steps that look at one character at a time ---- */

enum { DROP = -1 };

typedef int64_t (*one_fn)(const step *s, uint32_t c); /* what becomes of a character */

static int64_t clean(const step *s, uint32_t c)
{
    if (c == 0 || c == 0xfffd || mbr_unicode_of(s->t->unicode, c) & MBR_U_OTHER)
        return DROP;
    return mbr_unicode_of(s->t->unicode, c) & MBR_U_SPACE ? ' ' : (int64_t)c;
}

static int64_t without_accents(const step *s, uint32_t c)
{
    return mbr_unicode_of(s->t->unicode, c) & MBR_U_MARK ? DROP : (int64_t)c;
}

static int64_t without_bert_accents(const step *s, uint32_t c)
{
    return mbr_unicode_of(s->t->unicode, c) & MBR_U_MARK_BERT ? DROP : (int64_t)c;
}

static int64_t nmt(const step *s, uint32_t c)
{
    (void)s;
    if ((c >= 1 && c <= 8) || c == 0xb || (c >= 0xe && c <= 0x1f) || c == 0x7f || c == 0x8f || c == 0x9f)
        return DROP;
    if (c == 9 || c == 0xa || c == 0xc || c == 0xd || c == 0x1680 || (c >= 0x200b && c <= 0x200f) || c == 0x2028 ||
        c == 0x2029 || c == 0x2581 || c == 0xfeff || c == 0xfffd)
        return ' ';
    return c;
}

/*
 * Drops and maps. A character that goes belongs to none that stays. Where nothing goes and all sizes stay, alignment
 * does too.
 */
static bool each(step *s, one_fn fn)
{
    const mbr_view *in = s->in;
    bool same = true, aligned = in->at != NULL;
    uint32_t n;
    for (uint32_t i = 0; i < in->size; i += n) {
        uint32_t c = mbr_utf8_get(in->bytes + i, &n);
        int64_t to = fn(s, c);
        if (to == c)
            continue;
        same = false;
        if (to == DROP || mbr_utf8_size((unsigned char)in->bytes[i]) != (to < 0x80 ? 1u : to < 0x800 ? 2u : 3u))
            aligned = true;
    }
    if (same)
        return false;
    mbr_text_clear(s->out, aligned, in->base);
    if (!mbr_text_room(s->out, in->size))
        return true;
    for (uint32_t i = 0; i < in->size; i += n) {
        uint32_t c = mbr_utf8_get(in->bytes + i, &n);
        int64_t to = fn(s, c);
        char bytes[4];
        if (to == DROP)
            continue;
        uint32_t size = mbr_utf8_put(bytes, (uint32_t)to);
        if (aligned) {
            mbr_text_put(s->out, bytes, size, mbr_view_edge(in, i, n));
        } else {
            memcpy(s->out->bytes + s->out->size, bytes, size);
            s->out->size += size;
        }
    }
    return true;
}

static bool is_capital(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool lowercase(step *s)
{
    const mbr_view *in = s->in;
    if (mbr_is_ascii(in->bytes, in->size)) {
        uint32_t i = 0;
        while (i < in->size && !is_capital(in->bytes[i]))
            i++;
        if (i == in->size)
            return false;
        mbr_text_clear(s->out, in->at != NULL, in->base);
        mbr_text_copy(s->out, in, 0, in->size);
        if (!s->out->failed)
            for (; i < in->size; i++)
                if (is_capital(in->bytes[i]))
                    s->out->bytes[i] = (char)(in->bytes[i] + 32);
        return true;
    }
    mbr_text_clear(s->out, true, in->base);
    s->at = 0;
    while (s->at < in->size && !s->out->failed) {
        uint32_t n, small[2], c = mbr_utf8_get(in->bytes + s->at, &n);
        int count = mbr_unicode_lower(c, small);
        for (int k = 0; k < count; k++)
            emit(s, small[k], k > 0);
    }
    return true;
}

static bool is_chinese(uint32_t c)
{
    return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) || (c >= 0x20000 && c <= 0x2a6df) ||
           (c >= 0x2a700 && c <= 0x2b73f) || (c >= 0x2b740 && c <= 0x2b81f) || (c >= 0x2b920 && c <= 0x2ceaf) ||
           (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

static bool around_chinese(step *s)
{
    const mbr_view *in = s->in;
    uint32_t i = 0, n;
    while (i < in->size && !is_chinese(mbr_utf8_get(in->bytes + i, &n)))
        i += n;
    if (i >= in->size)
        return false;
    mbr_text_clear(s->out, true, in->base);
    s->at = 0;
    while (s->at < in->size && !s->out->failed) {
        uint32_t c = mbr_utf8_get(in->bytes + s->at, &n);
        if (is_chinese(c)) {
            emit(s, ' ', 0);
            emit(s, c, 1);
            emit(s, ' ', 1);
        } else {
            emit(s, c, 0);
        }
    }
    return true;
}

static bool strip(step *s)
{
    const mbr_view *in = s->in;
    uint32_t from = 0, to = in->size, n;
    while (s->n->left && from < to &&
           mbr_unicode_of(s->t->unicode, mbr_utf8_get(in->bytes + from, &n)) & MBR_U_SPACE)
        from += n;
    while (s->n->right && to > from) {
        uint32_t last = mbr_utf8_back(in->bytes, to);
        if (!(mbr_unicode_of(s->t->unicode, mbr_utf8_get(in->bytes + last, &n)) & MBR_U_SPACE))
            break;
        to = last;
    }
    if (from == 0 && to == in->size)
        return false;
    mbr_text_clear(s->out, in->at != NULL || from, in->base);
    mbr_text_copy(s->out, in, from, to);
    return true;
}

static bool prepend(step *s)
{
    const mbr_view *in = s->in;
    uint32_t n;
    if (in->size == 0 || s->n->content.size == 0)
        return false;
    n = mbr_utf8_size((unsigned char)in->bytes[0]);
    mbr_text_clear(s->out, true, in->base);
    mbr_text_put(s->out, s->n->content.data, (uint32_t)s->n->content.size, mbr_view_edge(in, 0, n));
    mbr_text_copy(s->out, in, 0, in->size);
    return true;
}

static bool replace(step *s)
{
    const mbr_view *in = s->in;
    mbr_search search = { .pattern = s->n->pattern, .match = s->match, .text = in->bytes, .size = in->size };
    uint32_t last = 0;
    bool found = false;
    while (mbr_search_next(&search)) {
        if (!found)
            mbr_text_clear(s->out, true, in->base);
        found = true;
        mbr_text_copy(s->out, in, last, search.begin);
        s->at = search.end;
        mbr_text_put(s->out, s->n->content.data, (uint32_t)s->n->content.size, edge_before(s));
        last = search.end;
    }
    s->status = search.status;
    if (found)
        mbr_text_copy(s->out, in, last, in->size);
    return found;
}

uint32_t mbr_byte_char(unsigned b)
{
    if ((b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae)
        return b;
    return 256 + (b <= 0x20 ? b : b <= 0xa0 ? b - 0x7f + 33 : 67);
}

int mbr_char_byte(uint32_t c)
{
    if ((c >= 0x21 && c <= 0x7e) || (c >= 0xa1 && c <= 0xac) || (c >= 0xae && c <= 0xff))
        return (int)c;
    if (c < 256 || c > 256 + 67)
        return -1;
    c -= 256;
    return (int)(c <= 32 ? c : c < 67 ? c - 33 + 0x7f : 0xad);
}

static bool byte_level(step *s)
{
    const mbr_view *in = s->in;
    if (in->size == 0)
        return false;
    mbr_text_clear(s->out, true, in->base);
    for (uint32_t i = 0, n; i < in->size && !s->out->failed; i += n) {
        n = mbr_utf8_size((unsigned char)in->bytes[i]);
        mbr_edge edge = mbr_view_edge(in, i, n);
        for (uint32_t k = 0; k < n; k++) {
            char bytes[4];
            uint32_t size = mbr_utf8_put(bytes, mbr_byte_char((unsigned char)in->bytes[i + k]));
            mbr_text_put(s->out, bytes, size, edge);
        }
    }
    return true;
}

/* ---- normal forms ---- */

#ifdef HAVE_UTF8PROC

/* Characters of one segment at a time: a starter and what is sorted behind it. Longer ones are cut by nobody. */
#define DECOMPOSED_MOST 24 /* of one character: U+FDFA has 18 */

typedef struct mark {
    uint32_t c;
    int change;
    uint8_t class;
} mark;

typedef struct forms {
    step *s;
    bool compose;
    mark *marks; /* (capacity) of the call's arena */
    uint32_t count, capacity;
    mark fixed[64];
    /* of composition */
    mark starter;
    bool has_starter;
} forms;

static uint8_t class_of(const step *s, uint32_t c)
{
    if (c < 0x300 || mbr_unicode_of(s->t->unicode, c) & MBR_U_OPAQUE)
        return 0;
    return (uint8_t)utf8proc_get_property((utf8proc_int32_t)c)->combining_class;
}

static bool compose_pair(const step *s, uint32_t a, uint32_t b, uint32_t *out)
{
    if (b < 0x300 || (mbr_unicode_of(s->t->unicode, a) | mbr_unicode_of(s->t->unicode, b)) & MBR_U_OPAQUE)
        return false;
    utf8proc_int32_t pair[2] = { (utf8proc_int32_t)a, (utf8proc_int32_t)b };
    if (utf8proc_normalize_utf32(pair, 2, UTF8PROC_COMPOSE | UTF8PROC_STABLE) != 1 ||
        mbr_unicode_of(s->t->unicode, (uint32_t)pair[0]) & MBR_U_OPAQUE)
        return false;
    *out = (uint32_t)pair[0];
    return true;
}

/* Sorts the marks that wait (stable: few and mostly sorted) and hands them on. */
static void flush_marks(forms *f)
{
    mark *m = f->marks;
    uint32_t from = f->count && m[0].class == 0 ? 1 : 0;
    for (uint32_t i = from + 1; i < f->count; i++) {
        mark now = m[i];
        uint32_t k = i;
        for (; k > from && m[k - 1].class > now.class; k--)
            m[k] = m[k - 1];
        m[k] = now;
    }
    if (!f->compose) {
        for (uint32_t i = 0; i < f->count; i++)
            emit(f->s, m[i].c, m[i].change);
        f->count = 0;
        return;
    }
    uint32_t kept = 0; /* of the marks: those that do not compose */
    int last = -1;
    for (uint32_t i = 0; i < f->count; i++) {
        uint32_t c;
        if (!f->has_starter) {
            if (m[i].class)
                emit(f->s, m[i].c, m[i].change);
            else
                f->starter = m[i];
            f->has_starter = m[i].class == 0;
            continue;
        }
        bool blocked = last >= 0 && last >= m[i].class;
        if (!blocked && compose_pair(f->s, f->starter.c, m[i].c, &c)) {
            f->starter.c = c;
            f->starter.change += m[i].change - 1;
            continue;
        }
        if (m[i].class == 0) { /* only the first: no mark has been kept */
            emit(f->s, f->starter.c, f->starter.change);
            f->starter = m[i];
            continue;
        }
        m[kept++] = m[i];
        last = m[i].class;
    }
    if (kept) {
        emit(f->s, f->starter.c, f->starter.change);
        f->has_starter = false;
        for (uint32_t i = 0; i < kept; i++)
            emit(f->s, m[i].c, m[i].change);
    }
    f->count = 0;
}

static void add_mark(forms *f, uint32_t c, int change)
{
    mbr_memory *memory = f->s->out->memory;
    uint8_t class = class_of(f->s, c);
    if (class == 0 && f->count)
        flush_marks(f);
    if (f->count == f->capacity) {
        mark *bigger = mbr_alloc(memory, 2 * f->capacity * sizeof *bigger);
        if (!bigger) {
            f->s->out->failed = true;
            return;
        }
        memcpy(bigger, f->marks, f->count * sizeof *bigger);
        if (f->marks != f->fixed)
            mbr_free(memory, f->marks);
        f->marks = bigger;
        f->capacity *= 2;
    }
    f->marks[f->count++] = (mark){ c, change, class };
}

static bool normal_form(step *s, bool compatible, bool compose)
{
    const mbr_view *in = s->in;
    if (mbr_is_ascii(in->bytes, in->size))
        return false;
    forms f = { .s = s, .compose = compose, .capacity = MBR_COUNT_OF(((forms *)0)->fixed) };
    f.marks = f.fixed;
    int options = UTF8PROC_DECOMPOSE | (compatible ? UTF8PROC_COMPAT : 0);
    mbr_text_clear(s->out, true, in->base);
    s->at = 0;
    for (uint32_t i = 0, n; i < in->size && !s->out->failed; i += n) {
        uint32_t c = mbr_utf8_get(in->bytes + i, &n);
        utf8proc_int32_t to[DECOMPOSED_MOST];
        if (c < 0xa0 || mbr_unicode_of(s->t->unicode, c) & MBR_U_OPAQUE) {
            add_mark(&f, c, 0);
            continue;
        }
        utf8proc_ssize_t count = utf8proc_decompose_char((utf8proc_int32_t)c, to, DECOMPOSED_MOST,
                                                         (utf8proc_option_t)options, NULL);
        if (count < 1 || count > DECOMPOSED_MOST) {
            add_mark(&f, c, 0);
            continue;
        }
        for (utf8proc_ssize_t k = 0; k < count; k++)
            add_mark(&f, (uint32_t)to[k], k > 0);
    }
    flush_marks(&f);
    if (f.has_starter)
        emit(s, f.starter.c, f.starter.change);
    if (f.marks != f.fixed)
        mbr_free(s->out->memory, f.marks);
    return true;
}

/* ---- sentencepiece's compiled map ---- */

/* The text that stands for the shortest key that the bytes begin with. */
static bool map_find(const mbr_charsmap *map, const char *bytes, uint32_t size, mbr_string *to)
{
    uint32_t at = 0;
    if (map->unit_count == 0)
        return false;
    uint32_t unit = map->units[0];
    for (uint32_t i = 0; i < size && bytes[i]; i++) {
        unsigned char c = (unsigned char)bytes[i];
        at ^= (unit >> 10) << ((unit & 0x200u) >> 6);
        at ^= c;
        if (at >= map->unit_count)
            return false;
        unit = map->units[at];
        if ((unit & 0x800000ffu) != c)
            return false;
        if (unit >> 8 & 1) {
            uint32_t leaf = at ^ ((unit >> 10) << ((unit & 0x200u) >> 6));
            if (leaf >= map->unit_count)
                return false;
            uint32_t from = map->units[leaf] & 0x7fffffffu;
            if (from >= map->text_size)
                return false;
            const char *end = memchr(map->texts + from, 0, map->text_size - from);
            to->data = map->texts + from;
            to->size = end ? (size_t)(end - to->data) : map->text_size - from;
            return true;
        }
    }
    return false;
}

/* A character that is not written yet: what disappears behind it is charged to it. */
typedef struct waiting {
    uint32_t c;
    int change;
    bool any;
} waiting;

static void map_put(step *s, waiting *w, uint32_t c, int change)
{
    if (w->any)
        emit(s, w->c, w->change);
    *w = (waiting){ c, change, true };
}

/* `count` characters become those of a text. What disappears at the very start shifts what follows, as in the library. */
static void map_replace(step *s, waiting *w, uint32_t count, mbr_string to)
{
    uint32_t have = mbr_utf8_count(to.data, (uint32_t)to.size), k = 0, n;
    for (uint32_t i = 0; i < to.size; i += n, k++)
        map_put(s, w, mbr_utf8_get(to.data + i, &n), k >= count);
    if (have < count)
        w->change -= (int)(count - have);
}

static uint32_t cluster_class(uint32_t c)
{
    return utf8proc_get_property((utf8proc_int32_t)c)->boundclass;
}

/*
 * The end of the cluster that begins at `at`. Only clusters below six bytes are looked up as a whole, so what makes
 * longer ones (Hangul, flags, Indic conjuncts) needs no rule: each of their characters has three bytes or more.
 */
static uint32_t cluster_end(const step *s, uint32_t at)
{
    const mbr_view *in = s->in;
    uint32_t n, c = mbr_utf8_get(in->bytes + at, &n);
    bool pictographic = false, joined = false, alone;
    at += n;
    if (c == '\r')
        return at < in->size && in->bytes[at] == '\n' ? at + 1 : at;
    for (;;) {
        if (at >= in->size)
            return at;
        uint32_t class = cluster_class(c);
        alone = class == UTF8PROC_BOUNDCLASS_CONTROL || class == UTF8PROC_BOUNDCLASS_CR ||
                class == UTF8PROC_BOUNDCLASS_LF;
        if (alone)
            return at;
        if (class == UTF8PROC_BOUNDCLASS_EXTENDED_PICTOGRAPHIC)
            pictographic = true;
        else if (c == 0x200d)
            joined = pictographic;
        else if (!(mbr_unicode_of(s->t->unicode, c) & MBR_U_EXTEND))
            pictographic = joined = false;
        else
            joined = false;
        uint32_t next = mbr_utf8_get(in->bytes + at, &n), next_class = cluster_class(next);
        bool goes_on = (mbr_unicode_of(s->t->unicode, next) & MBR_U_EXTEND) != 0;
        if (class == UTF8PROC_BOUNDCLASS_PREPEND && next_class != UTF8PROC_BOUNDCLASS_CONTROL &&
            next_class != UTF8PROC_BOUNDCLASS_CR && next_class != UTF8PROC_BOUNDCLASS_LF)
            goes_on = true;
        if (joined && next_class == UTF8PROC_BOUNDCLASS_EXTENDED_PICTOGRAPHIC)
            goes_on = true;
        if (!goes_on)
            return at;
        c = next;
        at += n;
    }
}

static bool precompiled(step *s)
{
    const mbr_view *in = s->in;
    const mbr_charsmap *map = &s->n->map;
    waiting w = { 0 };
    bool modified = false;
    mbr_string to;
    mbr_text_clear(s->out, true, in->base);
    s->at = 0;
    for (uint32_t at = 0, n; at < in->size && !s->out->failed;) {
        uint32_t end = cluster_end(s, at);
        if (end - at < 6 && map_find(map, in->bytes + at, end - at, &to)) {
            modified = true;
            map_replace(s, &w, mbr_utf8_count(in->bytes + at, end - at), to);
            at = end;
            continue;
        }
        for (; at < end; at += n) {
            uint32_t c = mbr_utf8_get(in->bytes + at, &n);
            if (map_find(map, in->bytes + at, n, &to)) {
                modified = true;
                map_replace(s, &w, 1, to);
            } else {
                map_put(s, &w, c, 0);
            }
        }
    }
    if (w.any)
        emit(s, w.c, w.change);
    return modified;
}

#else /* the loader has refused what needs them */

static bool normal_form(step *s, bool compatible, bool compose)
{
    (void)s;
    (void)compatible;
    (void)compose;
    return false;
}

static bool precompiled(step *s)
{
    (void)s;
    return false;
}

#endif

/* ---- all of them ---- */

static bool run_step(step *s)
{
    switch (s->n->kind) {
    case MBR_NORMAL_STRIP: return strip(s);
    case MBR_NORMAL_STRIP_ACCENTS: return each(s, without_accents);
    case MBR_NORMAL_NFC: return normal_form(s, false, true);
    case MBR_NORMAL_NFD: return normal_form(s, false, false);
    case MBR_NORMAL_NFKC: return normal_form(s, true, true);
    case MBR_NORMAL_NFKD: return normal_form(s, true, false);
    case MBR_NORMAL_LOWERCASE: return lowercase(s);
    case MBR_NORMAL_NMT: return each(s, nmt);
    case MBR_NORMAL_PRECOMPILED: return precompiled(s);
    case MBR_NORMAL_REPLACE: return replace(s);
    case MBR_NORMAL_PREPEND: return prepend(s);
    case MBR_NORMAL_BYTE_LEVEL: return byte_level(s);
    default: return false;
    }
}

static bool bert_clean(step *s)
{
    return each(s, clean);
}

static bool bert_decompose(step *s)
{
    return normal_form(s, false, false);
}

static bool bert_accents(step *s)
{
    return !mbr_is_ascii(s->in->bytes, s->in->size) && each(s, without_bert_accents);
}

mbr_status mbr_normalize(const mbr_tokenizer *t, mbr_match *match, mbr_text norm[2], const mbr_view *in, int *which,
                         mbr_error *err)
{
    mbr_view view = *in;
    step s = { .t = t, .match = match, .in = &view };
    *which = -1;
    for (uint32_t i = 0; i < t->normal_count; i++) {
        const mbr_normal *n = &t->normal[i];
        bool (*steps[5])(step *) = { run_step };
        uint32_t count = 1;
        if (n->kind == MBR_NORMAL_BERT) {
            count = 0;
            if (n->clean_text)
                steps[count++] = bert_clean;
            if (n->chinese)
                steps[count++] = around_chinese;
            if (n->strip_accents) {
                steps[count++] = bert_decompose;
                steps[count++] = bert_accents;
            }
            if (n->lowercase)
                steps[count++] = lowercase;
        }
        for (uint32_t k = 0; k < count; k++) {
            int to = *which == 0;
            s.n = n;
            s.out = &norm[to];
            s.at = 0;
            s.out->failed = s.out->too_long = false;
            bool changed = steps[k](&s);
            if (s.out->failed)
                return s.out->too_long ? mbr_fail(err, MBR_ERR_LIMIT, "%s: the normalized text is longer than %u bytes",
                                                  t->name, MBR_TEXT_MOST)
                                       : mbr_no_memory(err, s.out->size);
            if (s.status != MBR_OK)
                return mbr_fail(err, s.status, "%s: a pattern of the normalizer takes too long on this text", t->name);
            if (changed) {
                *which = to;
                view = mbr_text_view(s.out);
                view.base = in->base;
            }
        }
    }
    return MBR_OK;
}
