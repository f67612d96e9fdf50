/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/tokenizer/tokenizer_impl.h"

#include <string.h>

#define SLOTS ((uint32_t)1 << 15) /* a quarter stays free */
#define KEY_MOST 64
#define KEY_BYTES ((uint32_t)1 << 19)
#define UNITS ((uint32_t)1 << 17)
#define UNITS_MOST 32

typedef struct slot {
    uint64_t hash;   /* 0: free */
    uint32_t key, first;
    uint16_t size, count;
} slot;

typedef struct small_unit {
    uint32_t id;
    uint16_t size;
    uint16_t own_text;
} small_unit;

struct mbr_cache {
    uint32_t used, key_bytes, unit_count;
    slot slots[SLOTS];
    char keys[KEY_BYTES];
    small_unit units[UNITS];
};

mbr_cache *mbr_cache_new(mbr_memory *memory)
{
    mbr_cache *c = mbr_alloc(memory, sizeof *c);
    if (c) {
        c->used = c->key_bytes = c->unit_count = 0;
        memset(c->slots, 0, sizeof c->slots);
    }
    return c;
}

void mbr_cache_free(mbr_memory *memory, mbr_cache *c)
{
    mbr_free(memory, c);
}

bool mbr_cache_get(const mbr_cache *c, const char *text, uint32_t size, uint64_t hash, mbr_units *units)
{
    if (!c || size > KEY_MOST)
        return false;
    hash |= 1;
    for (uint32_t i = (uint32_t)(hash >> 20) % SLOTS; c->slots[i].hash; i = (i + 1) % SLOTS) {
        const slot *s = &c->slots[i];
        if (s->hash != hash || s->size != size || memcmp(c->keys + s->key, text, size) != 0)
            continue;
        if (units->count + s->count > units->capacity && !mbr_units_room(units, s->count))
            return true;
        uint32_t at = 0;
        mbr_unit *to = units->items + units->count;
        for (uint32_t k = 0; k < s->count; k++) {
            const small_unit *u = &c->units[s->first + k];
            to[k] = (mbr_unit){ u->id, at, at + u->size, u->own_text };
            at += u->size;
        }
        units->count += s->count;
        return true;
    }
    return false;
}

/* A full cache forgets everything: what is frequent is back soon. */
void mbr_cache_put(mbr_cache *c, const char *text, uint32_t size, uint64_t hash, const mbr_unit *units, uint32_t count)
{
    if (!c || size > KEY_MOST || count > UNITS_MOST)
        return;
    for (uint32_t k = 0; k < count; k++) /* byte tokens of one character share its bytes; those are not kept */
        if (units[k].begin != (k ? units[k - 1].end : 0))
            return;
    if (c->used >= SLOTS / 4 * 3 || c->key_bytes + size > KEY_BYTES || c->unit_count + count > UNITS) {
        memset(c->slots, 0, sizeof c->slots);
        c->used = c->key_bytes = c->unit_count = 0;
    }
    hash |= 1;
    uint32_t i = (uint32_t)(hash >> 20) % SLOTS;
    while (c->slots[i].hash)
        i = (i + 1) % SLOTS;
    c->slots[i] = (slot){ .hash = hash, .key = c->key_bytes, .first = c->unit_count, .size = (uint16_t)size,
                          .count = (uint16_t)count };
    memcpy(c->keys + c->key_bytes, text, size);
    for (uint32_t k = 0; k < count; k++)
        c->units[c->unit_count + k] = (small_unit){ units[k].id, (uint16_t)(units[k].end - units[k].begin),
                                                    (uint16_t)units[k].own_text };
    c->used++;
    c->key_bytes += size;
    c->unit_count += count;
}
