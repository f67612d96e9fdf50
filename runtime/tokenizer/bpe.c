/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pairs merge by rank, of equal ranks the leftmost first. Short words look for the best pair by walking over all of
 * them; long ones keep candidates in a heap, in which entries that no longer hold are left out when they come up.
 */
#include "runtime/tokenizer/tokenizer_impl.h"

#include <stdio.h>
#include <string.h>

#define SCAN_MOST 48 /* symbols of a word that is walked over */

static const mbr_merge *find_merge(const mbr_bpe *b, uint32_t left, uint32_t right)
{
    uint64_t pair = (uint64_t)left << 32 | right;
    uint32_t i = (uint32_t)((pair * 0x9e3779b97f4a7c15u) >> 32) & b->mask;
    for (; b->merges[i].pair != UINT64_MAX; i = (i + 1) & b->mask)
        if (b->merges[i].pair == pair)
            return &b->merges[i];
    return NULL;
}

static void look_up(const mbr_bpe *b, mbr_symbol *s, uint32_t right)
{
    const mbr_merge *m = find_merge(b, s->id, right);
    s->rank = m ? m->rank : MBR_NO_TOKEN;
    s->merged = m ? m->id : 0;
}

static uint32_t merge_short(const mbr_bpe *b, mbr_symbol *s, uint32_t n)
{
    for (uint32_t i = 0; i + 1 < n; i++)
        look_up(b, &s[i], s[i + 1].id);
    while (n > 1) {
        uint32_t best = 0, rank = s[0].rank;
        for (uint32_t i = 1; i + 1 < n; i++)
            if (s[i].rank < rank) {
                rank = s[i].rank;
                best = i;
            }
        if (rank == MBR_NO_TOKEN)
            break;
        s[best].id = s[best].merged;
        s[best].size += s[best + 1].size;
        n--;
        memmove(s + best + 1, s + best + 2, (n - best - 1) * sizeof *s);
        if (best > 0)
            look_up(b, &s[best - 1], s[best].id);
        if (best + 1 < n)
            look_up(b, &s[best], s[best + 1].id);
    }
    return n;
}

static bool earlier(const mbr_candidate *a, const mbr_candidate *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static void heap_push(mbr_candidate *heap, uint32_t *count, mbr_candidate c)
{
    uint32_t i = (*count)++;
    while (i > 0 && earlier(&c, &heap[(i - 1) / 2])) {
        heap[i] = heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    heap[i] = c;
}

static mbr_candidate heap_pop(mbr_candidate *heap, uint32_t *count)
{
    mbr_candidate top = heap[0], last = heap[--*count];
    uint32_t i = 0;
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child >= *count)
            break;
        if (child + 1 < *count && earlier(&heap[child + 1], &heap[child]))
            child++;
        if (!earlier(&heap[child], &last))
            break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = last;
    return top;
}

/* heap has room for three candidates a symbol: each merge adds at most two. */
static uint32_t merge_long(const mbr_bpe *b, mbr_symbol *s, uint32_t n, mbr_candidate *heap)
{
    uint32_t count = 0, kept = 0;
    for (uint32_t i = 0; i < n; i++) {
        s[i].previous = i ? i - 1 : MBR_NO_TOKEN;
        s[i].next = i + 1 < n ? i + 1 : MBR_NO_TOKEN;
        const mbr_merge *m = i + 1 < n ? find_merge(b, s[i].id, s[i + 1].id) : NULL;
        if (m)
            heap_push(heap, &count, (mbr_candidate){ m->rank, i, m->id });
    }
    while (count) {
        mbr_candidate top = heap_pop(heap, &count);
        mbr_symbol *left = &s[top.at];
        if (left->size == 0 || left->next == MBR_NO_TOKEN)
            continue;
        mbr_symbol *right = &s[left->next];
        const mbr_merge *m = find_merge(b, left->id, right->id);
        if (!m || m->id != top.id)
            continue;
        left->id = top.id;
        left->size += right->size;
        left->next = right->next;
        right->size = 0;
        if (left->next != MBR_NO_TOKEN)
            s[left->next].previous = top.at;
        if (left->previous != MBR_NO_TOKEN && (m = find_merge(b, s[left->previous].id, left->id)) != NULL)
            heap_push(heap, &count, (mbr_candidate){ m->rank, left->previous, m->id });
        if (left->next != MBR_NO_TOKEN && (m = find_merge(b, left->id, s[left->next].id)) != NULL)
            heap_push(heap, &count, (mbr_candidate){ m->rank, top.at, m->id });
    }
    for (uint32_t i = 0; i < n; i++)
        if (s[i].size)
            s[kept++] = s[i];
    return kept;
}

/* Symbols of a byte-level piece, in which each byte stands for a character. */
static uint32_t byte_symbols(const mbr_bpe *b, const char *text, uint32_t size, mbr_symbol *s)
{
    for (uint32_t i = 0; i < size; i++) {
        uint32_t id = b->byte[(unsigned char)text[i]];
        if (id == MBR_NO_TOKEN)
            return MBR_NO_TOKEN;
        s[i] = (mbr_symbol){ .id = id, .size = 1 };
    }
    return size;
}

/* The vocabulary's id of a character with what is put around it. */
static uint32_t char_id(const mbr_encoding *e, const char *text, uint32_t n, bool first, bool last, mbr_string *whole)
{
    const mbr_bpe *b = &e->t->bpe;
    bool prefix = !first && b->prefix.size, suffix = last && b->suffix.size;
    *whole = (mbr_string){ .data = text, .size = n };
    if (!prefix && !suffix) {
        if ((unsigned char)*text < 128)
            return b->ascii[(unsigned char)*text];
    } else {
        char *bytes = mbr_arena_alloc((mbr_arena *)&e->arena, b->prefix.size + b->suffix.size + n);
        if (!bytes)
            return MBR_NO_TOKEN - 1;
        size_t at = 0;
        if (prefix) {
            memcpy(bytes, b->prefix.data, b->prefix.size);
            at = b->prefix.size;
        }
        memcpy(bytes + at, text, n);
        at += n;
        if (suffix) {
            memcpy(bytes + at, b->suffix.data, b->suffix.size);
            at += b->suffix.size;
        }
        *whole = (mbr_string){ .data = bytes, .size = at };
    }
    return mbr_vocab_find(&e->t->vocab, whole->data, whole->size);
}

typedef struct unknown {
    bool any;
    uint32_t size;
} unknown;

static void add_symbol(mbr_symbol *s, uint32_t *count, uint32_t id, uint32_t size)
{
    s[(*count)++] = (mbr_symbol){ .id = id, .size = size };
}

/* s has room for every byte, and for what prefix and suffix add. bytelevel: the text is bytes that stand for characters. */
static mbr_status char_symbols(mbr_encoding *e, const char *text, uint32_t size, bool bytelevel, uint32_t *count,
                               mbr_error *err)
{
    const mbr_bpe *b = &e->t->bpe;
    mbr_symbol *s = e->symbols;
    unknown unk = { 0 };
    *count = 0;
    for (uint32_t i = 0, n; i < size; i += n) {
        char mapped[4];
        mbr_string whole;
        const char *at = text + i;
        uint32_t wide;
        if (bytelevel) {
            n = 1;
            wide = mbr_utf8_put(mapped, mbr_byte_char((unsigned char)text[i]));
            at = mapped;
        } else {
            n = wide = mbr_utf8_size((unsigned char)text[i]);
        }
        uint32_t id = char_id(e, at, wide, i == 0, i + n == size, &whole);
        if (id == MBR_NO_TOKEN - 1)
            return mbr_no_memory(err, size);
        if (id != MBR_NO_TOKEN) {
            if (unk.any)
                add_symbol(s, count, b->unk, unk.size);
            unk.any = false;
            add_symbol(s, count, id, n);
            continue;
        }
        bool fallback = b->has_fallback;
        for (size_t k = 0; k < whole.size && fallback; k++)
            fallback = b->fallback[(unsigned char)whole.data[k]] != MBR_NO_TOKEN;
        if (fallback) {
            for (size_t k = 0; k < whole.size; k++)
                add_symbol(s, count, b->fallback[(unsigned char)whole.data[k]], 1);
            continue;
        }
        if (!b->has_unk_token)
            continue;
        if (b->unk == MBR_NO_TOKEN)
            return mbr_fail(err, MBR_ERR_RUN, "%s: the text holds something that is unknown, and the unk_token is not "
                            "in the vocabulary", e->t->name);
        if (unk.any && b->fuse_unk) {
            unk.size += n;
        } else {
            if (unk.any)
                add_symbol(s, count, b->unk, unk.size);
            unk = (unknown){ true, n };
        }
    }
    if (unk.any)
        add_symbol(s, count, b->unk, unk.size);
    return MBR_OK;
}

static mbr_status make_room(mbr_encoding *e, size_t symbols, mbr_error *err)
{
    if (symbols > e->symbol_capacity) {
        mbr_symbol *bigger = mbr_grow(e->memory, e->symbols, 0, 2 * symbols * sizeof *bigger);
        if (!bigger)
            return mbr_no_memory(err, 2 * symbols * sizeof *bigger);
        e->symbols = bigger;
        e->symbol_capacity = (uint32_t)(2 * symbols);
    }
    if ((symbols > SCAN_MOST || e->t->bpe.twins) && 3 * symbols > e->heap_capacity) {
        mbr_candidate *bigger = mbr_grow(e->memory, e->heap, 0, 6 * symbols * sizeof *bigger);
        if (!bigger)
            return mbr_no_memory(err, 6 * symbols * sizeof *bigger);
        e->heap = bigger;
        e->heap_capacity = (uint32_t)(6 * symbols);
    }
    return MBR_OK;
}

/* The id of a whole word, for ignore_merges. */
static uint32_t whole_word(mbr_encoding *e, const char *text, uint32_t size)
{
    char mapped[256];
    uint32_t n = 0;
    if (!e->t->byte_level)
        return mbr_vocab_find(&e->t->vocab, text, size);
    if (size > sizeof mapped / 2) {
        char *longer = mbr_arena_alloc(&e->arena, 2 * (size_t)size);
        if (!longer) {
            e->units.failed = true;
            return MBR_NO_TOKEN;
        }
        for (uint32_t i = 0; i < size; i++)
            n += mbr_utf8_put(longer + n, mbr_byte_char((unsigned char)text[i]));
        return mbr_vocab_find(&e->t->vocab, longer, n);
    }
    for (uint32_t i = 0; i < size; i++)
        n += mbr_utf8_put(mapped + n, mbr_byte_char((unsigned char)text[i]));
    return mbr_vocab_find(&e->t->vocab, mapped, n);
}

mbr_status mbr_bpe_encode(mbr_encoding *e, const char *text, uint32_t size, mbr_error *err)
{
    const mbr_bpe *b = &e->t->bpe;
    uint64_t hash = mbr_hash(text, size);
    if (mbr_cache_get(e->cache, text, size, hash, &e->units))
        return MBR_OK;
    uint32_t from = e->units.count, n, at = 0;
    if (b->ignore_merges) {
        uint32_t id = whole_word(e, text, size);
        if (id != MBR_NO_TOKEN) {
            mbr_units_add(&e->units, id, 0, size);
            if (!e->units.failed)
                mbr_cache_put(e->cache, text, size, hash, e->units.items + from, 1);
            return MBR_OK;
        }
    }
    MBR_TRY(make_room(e, (size_t)size * (1 + b->prefix.size) + b->suffix.size, err));
    n = e->t->byte_level && !b->prefix.size && !b->suffix.size ? byte_symbols(b, text, size, e->symbols) : MBR_NO_TOKEN;
    if (n == MBR_NO_TOKEN)
        MBR_TRY(char_symbols(e, text, size, e->t->byte_level, &n, err));
    n = n <= SCAN_MOST && !b->twins ? merge_short(b, e->symbols, n) : merge_long(b, e->symbols, n, e->heap);
    for (uint32_t i = 0; i < n; i++) {
        mbr_units_add(&e->units, e->symbols[i].id, at, at + e->symbols[i].size);
        at += e->symbols[i].size;
    }
    if (!e->units.failed)
        mbr_cache_put(e->cache, text, size, hash, e->units.items + from, n);
    return MBR_OK;
}
