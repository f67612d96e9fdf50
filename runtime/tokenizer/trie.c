/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/tokenizer/trie.h"

#include "base/checked.h"

#include <stdlib.h>
#include <string.h>

static int by_text(const void *a, const void *b)
{
    const mbr_trie_key *x = a, *y = b;
    size_t n = mbr_min_size(x->text.size, y->text.size);
    int order = n ? memcmp(x->text.data, y->text.data, n) : 0;
    if (order == 0)
        order = (x->text.size > y->text.size) - (x->text.size < y->text.size);
    return order ? order : (x->value > y->value) - (x->value < y->value);
}

typedef struct builder {
    mbr_trie *t;
    const mbr_trie_key *keys;
    uint32_t *next_free; /* (count) a list of free units in order; of a unit that is taken: not used */
    uint32_t *last_free; /* (count) */
    mbr_error *err;
} builder;

/* Unit 0 is the list's head. */
static mbr_status more_units(builder *b, uint32_t least)
{
    mbr_trie *t = b->t;
    uint32_t count = t->count ? t->count : 1024;
    while (count < least) {
        if (count >= (uint32_t)1 << 30)
            return mbr_fail(b->err, MBR_ERR_LIMIT, "the vocabulary is too large");
        count *= 2;
    }
    if (count == t->count)
        return MBR_OK;
    mbr_trie_unit *units = mbr_grow(t->memory, t->units, t->count * sizeof *units, count * sizeof *units);
    if (!units)
        return mbr_no_memory(b->err, count * sizeof *units);
    t->units = units;
    uint32_t *next = mbr_grow(t->memory, b->next_free, t->count * sizeof *next, count * sizeof *next);
    if (!next)
        return mbr_no_memory(b->err, count * sizeof *next);
    b->next_free = next;
    uint32_t *last = mbr_grow(t->memory, b->last_free, t->count * sizeof *last, count * sizeof *last);
    if (!last)
        return mbr_no_memory(b->err, count * sizeof *last);
    b->last_free = last;
    if (t->count == 0) {
        units[0] = (mbr_trie_unit){ .check = 0, .value = MBR_TRIE_NONE };
        next[0] = last[0] = 0;
        t->count = 1;
    }
    for (uint32_t i = t->count; i < count; i++) {
        units[i] = (mbr_trie_unit){ .check = MBR_TRIE_NONE, .value = MBR_TRIE_NONE };
        uint32_t end = last[0];
        next[end] = i;
        last[i] = end;
        next[i] = 0;
        last[0] = i;
    }
    t->count = count;
    return MBR_OK;
}

static void take(builder *b, uint32_t unit)
{
    b->next_free[b->last_free[unit]] = b->next_free[unit];
    b->last_free[b->next_free[unit]] = b->last_free[unit];
    b->next_free[unit] = b->last_free[unit] = unit; /* so that to take it again changes nothing */
}

/*
 * A base at which all the bytes find free units. Free units that were tried often enough are given up: they are put out
 * of the list, so that the search does not walk over the same holes again and again.
 */
static mbr_status find_base(builder *b, const unsigned char *bytes, uint32_t n, uint32_t *base)
{
    uint32_t tried = 0;
    uint32_t at = b->next_free[0];
    for (;;) {
        if (at == 0) {
            uint32_t old = b->t->count;
            MBR_TRY(more_units(b, old + 1));
            at = old;
        }
        if (at >= (uint32_t)bytes[0] + 1) {
            *base = at - bytes[0];
            MBR_TRY(more_units(b, *base + 256));
            bool fits = true;
            for (uint32_t i = 1; i < n && fits; i++)
                fits = b->t->units[*base + bytes[i]].check == MBR_TRIE_NONE;
            if (fits)
                return MBR_OK;
        }
        at = b->next_free[at];
        if (++tried > 128)
            take(b, b->next_free[0]);
    }
}

typedef struct range {
    uint32_t state, first, last, depth;
} range;

/* The keys of a range have their first `depth` bytes in common, which lead to `state`. */
static mbr_status place_children(builder *b, const range *r, range *children, uint32_t *count)
{
    unsigned char bytes[256];
    uint32_t n = 0, first = r->first, base;
    while (first < r->last && b->keys[first].text.size == r->depth)
        b->t->units[r->state].value = b->keys[first++].value;
    for (uint32_t i = first; i < r->last; i++) {
        unsigned char byte = (unsigned char)b->keys[i].text.data[r->depth];
        if (n == 0 || bytes[n - 1] != byte) {
            children[n] = (range){ .first = i, .depth = r->depth + 1 };
            bytes[n++] = byte;
        }
        children[n - 1].last = i + 1;
    }
    *count = n;
    if (n == 0)
        return MBR_OK;
    MBR_TRY(find_base(b, bytes, n, &base));
    b->t->units[r->state].base = base;
    for (uint32_t i = 0; i < n; i++) {
        children[i].state = base + bytes[i];
        b->t->units[children[i].state].check = r->state;
        take(b, children[i].state);
    }
    return MBR_OK;
}

static mbr_status place_all(builder *b, size_t count, range **stack)
{
    size_t used = 1, capacity = 0;
    range children[256], now = { .last = (uint32_t)count };
    uint32_t n;
    mbr_memory *memory = b->t->memory;
    for (;;) {
        MBR_TRY(place_children(b, &now, children, &n));
        if (used + n > capacity) {
            size_t bigger = 2 * (used + n) + 256;
            range *grown = mbr_grow(memory, *stack, (used - 1) * sizeof **stack, bigger * sizeof **stack);
            if (!grown)
                return mbr_no_memory(b->err, bigger * sizeof **stack);
            *stack = grown;
            capacity = bigger;
        }
        for (uint32_t i = n; i-- > 0;)
            (*stack)[used++ - 1] = children[i];
        if (used == 1)
            return MBR_OK;
        now = (*stack)[--used - 1];
    }
}

mbr_status mbr_trie_build(mbr_trie *t, mbr_memory *memory, mbr_trie_key *keys, size_t count, mbr_error *err)
{
    *t = (mbr_trie){ .memory = memory };
    if (count >= UINT32_MAX / 2)
        return mbr_fail(err, MBR_ERR_LIMIT, "the vocabulary is too large");
    qsort(keys, count, sizeof *keys, by_text);
    size_t empty = 0;
    while (empty < count && keys[empty].text.size == 0)
        empty++;
    builder b = { .t = t, .keys = keys + empty, .err = err };
    range *stack = NULL;
    mbr_status st = more_units(&b, 1024);
    if (st == MBR_OK)
        st = place_all(&b, count - empty, &stack);
    if (st == MBR_OK)
        t->units[0].check = MBR_TRIE_NONE;
    mbr_free(memory, stack);
    mbr_free(memory, b.next_free);
    mbr_free(memory, b.last_free);
    if (st != MBR_OK)
        mbr_trie_destroy(t);
    return st;
}

void mbr_trie_destroy(mbr_trie *t)
{
    if (t->memory)
        mbr_free(t->memory, t->units);
    *t = (mbr_trie){ 0 };
}
