/* SPDX-License-Identifier: BSD-2-Clause */
/* Ids to text: a list of token texts goes through the decoders, each of which writes a new list. */
#include "runtime/tokenizer/tokenizer_impl.h"

#include <string.h>

typedef struct mbr_decode_list list;

/* The list that is read, and the one that is written. Texts of the new one are places in `to` until it is done. */
typedef struct decoding {
    mbr_encoding *e;
    list *from, *next;
    mbr_text *to;
    uint32_t begin; /* of the text that is being written */
    bool failed;
} decoding;

static void put(decoding *d, const char *s, size_t n)
{
    if (n > MBR_TEXT_MOST || !mbr_text_room(d->to, (uint32_t)n)) {
        d->failed = true;
        return;
    }
    if (n)
        memcpy(d->to->bytes + d->to->size, s, n);
    d->to->size += (uint32_t)n;
}

static bool list_room(mbr_memory *memory, list *l)
{
    if (l->count < l->capacity)
        return true;
    size_t capacity = l->capacity ? 2 * (size_t)l->capacity : 256;
    mbr_string *bigger = mbr_grow(memory, l->items, l->count * sizeof *bigger, capacity * sizeof *bigger);
    if (!bigger)
        return false;
    l->items = bigger;
    l->capacity = (uint32_t)capacity;
    return true;
}

/* What was put since the last end is a text of the new list. */
static void end(decoding *d)
{
    if (!list_room(d->e->memory, d->next)) {
        d->failed = true;
        return;
    }
    d->next->items[d->next->count++] = (mbr_string){ .size = d->to->size - d->begin };
    d->begin = d->to->size;
}

static bool has_at(mbr_string s, size_t at, mbr_string what)
{
    return s.size - at >= what.size && memcmp(s.data + at, what.data, what.size) == 0;
}

/* s with each `what` replaced, behind what has been put. */
static void put_replaced(decoding *d, mbr_string s, mbr_string what, const char *with, size_t with_size)
{
    if (what.size == 0) { /* between all characters */
        for (size_t i = 0; i <= s.size; i++) {
            if (i == s.size || ((unsigned char)s.data[i] & 0xc0) != 0x80)
                put(d, with, with_size);
            if (i < s.size)
                put(d, s.data + i, 1);
        }
        return;
    }
    for (size_t i = 0; i < s.size;) {
        if (has_at(s, i, what)) {
            put(d, with, with_size);
            i += what.size;
        } else {
            put(d, s.data + i++, 1);
        }
    }
}

/* Takes back what was put since `from` and returns a copy of it, which lives until the next call. */
static mbr_string take_back(decoding *d, uint32_t from)
{
    size_t n = d->failed ? 0 : d->to->size - from;
    char *copy = mbr_arena_alloc(&d->e->arena, n + 1);
    if (!copy) {
        d->failed = true;
        n = 0;
    } else if (n) {
        memcpy(copy, d->to->bytes + from, n);
    }
    if (!d->failed)
        d->to->size = from;
    return (mbr_string){ .data = copy, .size = n };
}

static const char *const untidy[][2] = {
    { " .", "." }, { " ?", "?" }, { " !", "!" }, { " ,", "," }, { " ' ", "'" }, { " n't", "n't" }, { " 'm", "'m" },
    { " do not", " don't" }, { " 's", "'s" }, { " 've", "'ve" }, { " 're", "'re" },
};

/* What English text has before tokens are parted by spaces. */
static void tidy_up(decoding *d, uint32_t from)
{
    for (size_t i = 0; i < MBR_COUNT_OF(untidy) && !d->failed; i++) {
        mbr_string what = { .data = untidy[i][0], .size = strlen(untidy[i][0]) };
        mbr_string now = { .data = d->to->bytes + from, .size = d->to->size - from };
        bool found = false;
        for (size_t k = 0; k + what.size <= now.size && !found; k++)
            found = has_at(now, k, what);
        if (!found)
            continue;
        now = take_back(d, from);
        put_replaced(d, now, what, untidy[i][1], strlen(untidy[i][1]));
    }
}

static void bpe(decoding *d, const mbr_decode *how)
{
    for (uint32_t i = 0; i < d->from->count; i++) {
        put_replaced(d, d->from->items[i], how->text, " ", i + 1 < d->from->count);
        end(d);
    }
}

static void wordpiece(decoding *d, const mbr_decode *how)
{
    for (uint32_t i = 0; i < d->from->count; i++) {
        mbr_string s = d->from->items[i];
        if (i > 0) {
            if (has_at(s, 0, how->text)) {
                s.data += how->text.size;
                s.size -= how->text.size;
            } else {
                put(d, " ", 1);
            }
        }
        put(d, s.data, s.size);
        if (how->cleanup)
            tidy_up(d, d->begin);
        end(d);
    }
}

static void metaspace(decoding *d, const mbr_decode *how)
{
    for (uint32_t i = 0; i < d->from->count; i++) {
        put_replaced(d, d->from->items[i], how->text, " ", i > 0 || how->keep_first);
        end(d);
    }
}

static void ctc(decoding *d, const mbr_decode *how)
{
    for (uint32_t i = 0; i < d->from->count; i++) {
        mbr_string s = d->from->items[i];
        if (i > 0 && s.size == d->from->items[i - 1].size && has_at(s, 0, d->from->items[i - 1]))
            continue;
        put_replaced(d, s, how->text, "", 0);
        if (how->cleanup) {
            tidy_up(d, d->begin);
            put_replaced(d, take_back(d, d->begin), how->word, " ", 1);
        }
        if (d->to->size > d->begin)
            end(d);
    }
}

static mbr_status replace(decoding *d, const mbr_decode *how)
{
    for (uint32_t i = 0; i < d->from->count; i++) {
        mbr_string s = d->from->items[i];
        mbr_search search = { .pattern = how->pattern, .match = d->e->match, .text = s.data, .size = (uint32_t)s.size };
        uint32_t last = 0;
        while (mbr_search_next(&search)) {
            put(d, s.data + last, search.begin - last);
            put(d, how->text.data, how->text.size);
            last = search.end;
        }
        if (search.status != MBR_OK)
            return search.status;
        put(d, s.data + last, s.size - last);
        end(d);
    }
    return MBR_OK;
}

static void fuse(decoding *d)
{
    for (uint32_t i = 0; i < d->from->count; i++)
        put(d, d->from->items[i].data, d->from->items[i].size);
    end(d);
}

static void strip(decoding *d, const mbr_decode *how)
{
    size_t n = how->text.size;
    for (uint32_t i = 0; i < d->from->count; i++) {
        mbr_string s = d->from->items[i];
        size_t start = 0, stop = s.size, count = mbr_utf8_count(s.data, (uint32_t)s.size);
        for (uint32_t k = 0; k < how->start && start < s.size && has_at(s, start, how->text); k++)
            start += n;
        for (uint32_t k = 0; k < how->stop && k < count && stop >= n && has_at(s, stop - n, how->text); k++)
            stop -= n;
        if (stop > start)
            put(d, s.data + start, stop - start);
        end(d);
    }
}

/* Length of the well-formed sequence at s, or minus the bytes that one U+FFFD stands for. */
static int sequence_at(const unsigned char *s, size_t left)
{
    int size = s[0] < 0x80 ? 1 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    unsigned c = s[0], low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80, high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    if (size > 1 && (c < 0xc2 || c > 0xf4))
        return -1;
    for (int i = 1; i < size; i++) {
        if ((size_t)i >= left || s[i] < low || s[i] > high)
            return -i;
        low = 0x80;
        high = 0xbf;
    }
    return size;
}

static void put_lossy(decoding *d, mbr_string bytes)
{
    for (size_t i = 0; i < bytes.size;) {
        int n = sequence_at((const unsigned char *)bytes.data + i, bytes.size - i);
        if (n > 0)
            put(d, bytes.data + i, (size_t)n);
        else
            put(d, "\xef\xbf\xbd", 3);
        i += (size_t)(n > 0 ? n : -n);
    }
}

static void byte_level(decoding *d)
{
    for (uint32_t i = 0; i < d->from->count; i++) {
        mbr_string s = d->from->items[i];
        uint32_t before = d->to->size, n;
        size_t at = 0;
        for (; at < s.size; at += n) {
            int byte = mbr_char_byte(mbr_utf8_get(s.data + at, &n));
            char c = (char)byte;
            if (byte < 0)
                break;
            put(d, &c, 1);
        }
        if (at < s.size && !d->failed) { /* not byte-level: taken as it is */
            d->to->size = before;
            put(d, s.data, s.size);
        }
    }
    put_lossy(d, take_back(d, d->begin));
    end(d);
}

/* "<0x61>", with what Rust's from_str_radix takes for two hexadecimal digits. */
static bool byte_token(mbr_string s, char *byte)
{
    unsigned v = 0;
    if (s.size != 6 || memcmp(s.data, "<0x", 3) != 0 || s.data[5] != '>')
        return false;
    for (int i = 3; i < 5; i++) {
        char c = s.data[i];
        if (i == 3 && c == '+')
            continue;
        unsigned digit = c >= '0' && c <= '9' ? (unsigned)(c - '0') : (c | 32) >= 'a' && (c | 32) <= 'f'
                                                                          ? (unsigned)((c | 32) - 'a' + 10) : 16;
        if (digit > 15)
            return false;
        v = v << 4 | digit;
    }
    *byte = (char)v;
    return true;
}

/* What was put since the last end are bytes: a text where they are UTF-8, else U+FFFD for each. */
static void end_bytes(decoding *d)
{
    bool sound = true;
    if (d->failed || d->to->size == d->begin)
        return;
    uint32_t count = d->to->size - d->begin;
    for (uint32_t i = d->begin; i < d->to->size && sound;) {
        int n = sequence_at((const unsigned char *)d->to->bytes + i, d->to->size - i);
        sound = n > 0;
        i += (uint32_t)(n > 0 ? n : 1);
    }
    if (sound) {
        end(d);
        return;
    }
    d->to->size = d->begin;
    for (uint32_t i = 0; i < count; i++) {
        put(d, "\xef\xbf\xbd", 3);
        end(d);
    }
}

static void byte_fallback(decoding *d)
{
    for (uint32_t i = 0; i < d->from->count; i++) {
        mbr_string s = d->from->items[i];
        char byte;
        if (byte_token(s, &byte)) {
            put(d, &byte, 1);
            continue;
        }
        end_bytes(d);
        put(d, s.data, s.size);
        end(d);
    }
    end_bytes(d);
}

static mbr_status run(decoding *d, const mbr_decode *how)
{
    switch (how->kind) {
    case MBR_DECODE_BPE: bpe(d, how); break;
    case MBR_DECODE_BYTE_LEVEL: byte_level(d); break;
    case MBR_DECODE_WORDPIECE: wordpiece(d, how); break;
    case MBR_DECODE_METASPACE: metaspace(d, how); break;
    case MBR_DECODE_CTC: ctc(d, how); break;
    case MBR_DECODE_REPLACE: return replace(d, how);
    case MBR_DECODE_FUSE: fuse(d); break;
    case MBR_DECODE_STRIP: strip(d, how); break;
    default: byte_fallback(d); break;
    }
    return MBR_OK;
}

static bool is_special(const mbr_tokenizer *t, mbr_string s)
{
    for (uint32_t i = 0; i < t->added_count; i++)
        if (t->added[i].special && t->added[i].text.size == s.size &&
            memcmp(t->added[i].text.data, s.data, s.size) == 0)
            return true;
    return false;
}

mbr_status mbr_encoding_decode(mbr_encoding *e, const uint32_t *ids, size_t count, int skip_special_tokens,
                               const char **text, size_t *bytes, mbr_error *err)
{
    const mbr_tokenizer *t = e->t;
    decoding d = { .e = e };
    uint32_t way = 0;
    list *first = &e->strings[0];
    mbr_arena_reset(&e->arena);
    first->count = 0;
    for (size_t i = 0; i < count; i++) {
        mbr_string s = mbr_token_text(t, ids[i]);
        if (!s.data || (skip_special_tokens && is_special(t, s)))
            continue;
        if (!list_room(e->memory, first))
            return mbr_no_memory(err, first->count * sizeof s);
        first->items[first->count++] = s;
    }
    for (uint32_t i = 0; i < t->decode_count; i++, way = !way) {
        d.from = &e->strings[way];
        d.next = &e->strings[!way];
        d.to = &e->decoded[way];
        d.next->count = 0;
        d.begin = 0;
        mbr_text_clear(d.to, false, 0);
        mbr_status st = run(&d, &t->decode[i]);
        if (st != MBR_OK)
            return mbr_fail(err, st, "%s: a pattern of the decoder takes too long on this text", t->name);
        if (d.failed || d.to->failed)
            return mbr_no_memory(err, d.to->size);
        uint32_t at = 0;
        for (uint32_t k = 0; k < d.next->count; k++) {
            d.next->items[k].data = d.to->bytes ? d.to->bytes + at : "";
            at += (uint32_t)d.next->items[k].size;
        }
    }
    d.from = &e->strings[way];
    d.to = &e->decoded[way];
    mbr_text_clear(d.to, false, 0);
    for (uint32_t i = 0; i < d.from->count; i++) {
        if (i && !t->has_decoder)
            put(&d, " ", 1);
        put(&d, d.from->items[i].data, d.from->items[i].size);
    }
    if (d.failed || !mbr_text_room(d.to, 1))
        return mbr_no_memory(err, d.to->size);
    d.to->bytes[d.to->size] = '\0';
    *text = d.to->bytes;
    if (bytes)
        *bytes = d.to->size;
    return MBR_OK;
}
