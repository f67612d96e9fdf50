/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/actions/limits.h"

#include <string.h>

mbr_status mbr_keeps_init(mbr_keeps *k, mbr_arena *arena, int most, mbr_error *err)
{
    size_t slots = 2;
    while (slots < 2 * (size_t)most)
        slots *= 2;
    *k = (mbr_keeps){ .most = most, .mask = (uint32_t)(slots - 1) };
    k->items = mbr_arena_calloc(arena, (size_t)most, sizeof *k->items);
    k->slots = mbr_arena_alloc(arena, slots * sizeof *k->slots);
    if (!k->items || !k->slots)
        return mbr_no_memory(err, (size_t)most * sizeof *k->items + slots * sizeof *k->slots);
    mbr_keeps_clear(k);
    return MBR_OK;
}

void mbr_keeps_clear(mbr_keeps *k)
{
    memset(k->slots, 0xff, ((size_t)k->mask + 1) * sizeof *k->slots);
    k->count = 0;
    k->newest = k->oldest = -1;
}

static void take_out(mbr_keeps *k, mbr_keep *item)
{
    if (item->newer >= 0)
        k->items[item->newer].older = item->older;
    else
        k->newest = item->older;
    if (item->older >= 0)
        k->items[item->older].newer = item->newer;
    else
        k->oldest = item->newer;
}

static void put_first(mbr_keeps *k, int at)
{
    mbr_keep *item = &k->items[at];
    item->newer = -1;
    item->older = k->newest;
    if (k->newest >= 0)
        k->items[k->newest].newer = at;
    else
        k->oldest = at;
    k->newest = at;
}

/* Room for a new key: what was never used, or the one used longest ago. */
static int make_room(mbr_keeps *k)
{
    if (k->count < k->most)
        return k->count++;
    int at = k->oldest;
    mbr_keep *item = &k->items[at];
    int32_t *link = &k->slots[item->key.a & k->mask];
    while (*link != at)
        link = &k->items[*link].next;
    *link = item->next;
    take_out(k, item);
    return at;
}

mbr_keep *mbr_keeps_use(mbr_keeps *k, mbr_hash key)
{
    int32_t *slot = &k->slots[key.a & k->mask];
    int at = *slot;
    while (at >= 0 && !mbr_hash_same(k->items[at].key, key))
        at = k->items[at].next;
    if (at >= 0) {
        if (k->newest != at) {
            take_out(k, &k->items[at]);
            put_first(k, at);
        }
        return &k->items[at];
    }
    at = make_room(k);
    k->items[at] = (mbr_keep){ .key = key, .next = *slot };
    *slot = at;
    put_first(k, at);
    return &k->items[at];
}

bool mbr_bucket_has(mbr_keep *k, double now, double most, double per)
{
    if (!k->begun) {
        k->begun = true;
        k->time = now;
        k->left = most;
    }
    double passed = now - k->time;
    if (passed > 0) {
        double left = k->left + passed * (most / per);
        k->left = left < most ? left : most;
    }
    if (passed > 0 || passed <= -per)
        k->time = now;
    return k->left >= 1.0 - 1e-9; /* many small gains round */
}

void mbr_bucket_take(mbr_keep *k)
{
    k->left -= 1.0;
}

bool mbr_cooling(const mbr_keep *k, double now, double length)
{
    return k->begun && now - k->time < length && k->time - now < length;
}

void mbr_cooling_begin(mbr_keep *k, double now)
{
    k->begun = true;
    k->time = now;
}
