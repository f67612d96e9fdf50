/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "runtime/keyed/store.h"

#include "base/checked.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* What stands before the key in a record. */
typedef struct record {
    double touched; /* the latest time of the key; NaN: no clock yet */
    uint32_t size;  /* of the key */
    uint32_t tag;   /* of its hash: where the table leads to it */
} record;

#define STATE_ALIGN 16

static inline record *record_at(const mbr_store *s, uint32_t slot)
{
    return (record *)(void *)(s->records + (size_t)(slot - 1) * s->stride);
}

static inline uint8_t *key_of(record *r)
{
    return (uint8_t *)(r + 1);
}

static inline void *state_of(const mbr_store *s, record *r)
{
    return (uint8_t *)r + s->state_at;
}

/* ---- opening ---- */

typedef struct sizes {
    size_t keys, key_bytes, state_at, stride, slots;
    size_t total;
} sizes;

static bool measure(const mbr_store_kind *kind, const mbr_store_limits *l, size_t keys, sizes *z)
{
    size_t records, table, links;
    z->keys = keys;
    z->key_bytes = l->key_bytes ? l->key_bytes : MBR_STORE_KEY_BYTES;
    if (!mbr_add_size(sizeof(record), z->key_bytes, &z->state_at) ||
        !mbr_round_up(z->state_at, STATE_ALIGN, &z->state_at) ||
        !mbr_add_size(z->state_at, kind->state_bytes, &z->stride) || !mbr_round_up(z->stride, MBR_ALIGN, &z->stride))
        return false;
    for (z->slots = 16; z->slots < 2 * keys;)
        z->slots *= 2;
    return mbr_mul_size(keys, z->stride, &records) && mbr_mul_size(z->slots, sizeof(uint64_t), &table) &&
           mbr_mul_size(keys + 1, sizeof(mbr_store_link), &links) && mbr_add_size(records, table, &z->total) &&
           mbr_add_size(z->total, links, &z->total);
}

/* As many keys as limits allow. */
static bool plan(const mbr_store_kind *kind, const mbr_store_limits *l, sizes *z)
{
    size_t keys = l->keys;
    if (!measure(kind, l, 1, z))
        return false;
    if (l->bytes) /* the table is some power of two: halve what is above a first guess until it fits */
        keys = mbr_min_size(keys, l->bytes / z->stride);
    if (keys < 1 || keys > MBR_STORE_MOST_KEYS)
        return false;
    while (measure(kind, l, keys, z) && l->bytes && z->total > l->bytes) {
        size_t over = (z->total - l->bytes + z->stride - 1) / z->stride;
        if (over >= keys)
            return false;
        keys -= over;
    }
    return measure(kind, l, keys, z);
}

size_t mbr_store_bytes(const mbr_store_kind *kind, const mbr_store_limits *limits, size_t *keys)
{
    sizes z;
    if (!plan(kind, limits, &z))
        return 0;
    *keys = z.keys;
    return z.total;
}

static mbr_hash draw_seed(const mbr_store *s)
{
    mbr_hash seed = { (uint64_t)(uintptr_t)s->records, (uint64_t)time(NULL) }, drawn;
    int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (read(fd, &drawn, sizeof drawn) == (ssize_t)sizeof drawn)
            seed = drawn;
        close(fd);
    }
    return seed;
}

mbr_status mbr_store_open(mbr_store *s, mbr_memory *memory, const mbr_store_kind *kind, const mbr_store_limits *limits,
                          mbr_error *err)
{
    sizes z;
    memset(s, 0, sizeof *s);
    if (!plan(kind, limits, &z)) {
        if (limits->bytes)
            return mbr_fail(err, MBR_ERR_LIMIT, "state of %zu bytes a key does not fit into %zu bytes even once; allow "
                            "more bytes", kind->state_bytes, limits->bytes);
        return mbr_fail(err, MBR_ERR_LIMIT, "state of %zu bytes for each of %zu keys is more than can be addressed; "
                        "allow 1 to %zu keys", kind->state_bytes, limits->keys, MBR_STORE_MOST_KEYS);
    }
    s->memory = memory;
    s->kind = *kind;
    s->capacity = z.keys;
    s->key_bytes = z.key_bytes;
    s->state_at = z.state_at;
    s->stride = z.stride;
    s->mask = z.slots - 1;
    s->expiry = limits->expiry > 0 ? limits->expiry : INFINITY;
    s->records = mbr_alloc(memory, z.keys * z.stride);
    s->table = mbr_calloc(memory, z.slots, sizeof *s->table);
    s->links = mbr_calloc(memory, z.keys + 1, sizeof *s->links);
    if (!s->records || !s->table || !s->links) {
        mbr_store_close(s);
        return mbr_fail(err, MBR_ERR_NO_MEMORY, "out of memory: state for %zu keys takes %zu bytes; allow fewer keys "
                        "or raise the memory limit", z.keys, z.total);
    }
    s->seed = draw_seed(s);
    return MBR_OK;
}

void mbr_store_close(mbr_store *s)
{
    if (s->memory) {
        mbr_free(s->memory, s->records);
        mbr_free(s->memory, s->table);
        mbr_free(s->memory, s->links);
    }
    memset(s, 0, sizeof *s);
}

void mbr_store_clear(mbr_store *s)
{
    memset(s->table, 0, (s->mask + 1) * sizeof *s->table);
    s->links[0] = (mbr_store_link){ 0, 0 };
    s->used = 0;
}

/* ---- the order of use: s->links[0] stands between the newest and the oldest ---- */

static void unlink_slot(mbr_store *s, uint32_t slot)
{
    mbr_store_link l = s->links[slot];
    s->links[l.older].newer = l.newer;
    s->links[l.newer].older = l.older;
}

static void link_newest(mbr_store *s, uint32_t slot)
{
    uint32_t newest = s->links[0].older;
    s->links[slot] = (mbr_store_link){ .older = newest, .newer = 0 };
    s->links[newest].newer = slot;
    s->links[0].older = slot;
}

/* ---- the table ---- */

static inline uint32_t tag_of(mbr_hash h)
{
    return (uint32_t)(h.a >> 32);
}

/* Where the key is, or SIZE_MAX. */
static size_t find(const mbr_store *s, const void *key, size_t size, uint32_t tag)
{
    for (size_t at = tag & s->mask; s->table[at]; at = (at + 1) & s->mask) {
        if ((uint32_t)(s->table[at] >> 32) != tag)
            continue;
        record *r = record_at(s, (uint32_t)s->table[at]);
        if (r->size == size && memcmp(key_of(r), key, size) == 0)
            return at;
    }
    return SIZE_MAX;
}

/* Empties a place; what comes behind it in the same run moves up, so that no search ends early. */
static void vacate(mbr_store *s, size_t hole)
{
    for (size_t at = (hole + 1) & s->mask; s->table[at]; at = (at + 1) & s->mask) {
        size_t home = (size_t)(s->table[at] >> 32) & s->mask;
        if (((at - home) & s->mask) >= ((at - hole) & s->mask)) {
            s->table[hole] = s->table[at];
            hole = at;
        }
    }
    s->table[hole] = 0;
}

/* A record for a new key: a free one, or that of the oldest key. */
static uint32_t claim(mbr_store *s)
{
    if (s->used < s->capacity)
        return (uint32_t)++s->used;
    uint32_t slot = s->links[0].newer;
    uint32_t tag = record_at(s, slot)->tag;
    size_t at = tag & s->mask;
    while ((uint32_t)s->table[at] != slot)
        at = (at + 1) & s->mask;
    vacate(s, at);
    unlink_slot(s, slot);
    s->evicted++;
    return slot;
}

void *mbr_store_take(mbr_store *s, const void *key, size_t size, mbr_hash hash, double now)
{
    uint32_t tag = tag_of(hash);
    if (size > s->key_bytes)
        return NULL;
    size_t at = find(s, key, size, tag);
    if (at != SIZE_MAX) {
        uint32_t slot = (uint32_t)s->table[at];
        record *r = record_at(s, slot);
        if (s->links[0].older != slot) {
            unlink_slot(s, slot);
            link_newest(s, slot);
        }
        if (now - r->touched > s->expiry) {
            s->expired++;
            s->kind.begin(s->kind.how, state_of(s, r));
        }
        if (!(now <= r->touched) && !isnan(now)) /* a clock that steps back leaves it */
            r->touched = now;
        return state_of(s, r);
    }
    uint32_t slot = claim(s);
    for (at = tag & s->mask; s->table[at];)
        at = (at + 1) & s->mask;
    s->table[at] = (uint64_t)tag << 32 | slot;
    link_newest(s, slot);
    record *r = record_at(s, slot);
    *r = (record){ .touched = now, .size = (uint32_t)size, .tag = tag };
    if (size)
        memcpy(key_of(r), key, size);
    s->kind.begin(s->kind.how, state_of(s, r));
    return state_of(s, r);
}

void *mbr_store_peek(const mbr_store *s, const void *key, size_t size, mbr_hash hash)
{
    size_t at = size <= s->key_bytes ? find(s, key, size, tag_of(hash)) : SIZE_MAX;
    return at == SIZE_MAX ? NULL : state_of(s, record_at(s, (uint32_t)s->table[at]));
}

void mbr_store_expect(const mbr_store *s, mbr_hash hash, int stage)
{
    uint32_t tag = tag_of(hash);
    const uint64_t *entry = &s->table[tag & s->mask];
#if defined(__GNUC__) || defined(__clang__)
    if (stage == 0) {
        __builtin_prefetch(entry);
        return;
    }
    if (!*entry)
        return;
    const uint8_t *r = (const uint8_t *)record_at(s, (uint32_t)*entry);
    __builtin_prefetch(&s->links[(uint32_t)*entry]);
    for (size_t i = 0; i < s->stride && i < 8 * MBR_ALIGN; i += MBR_ALIGN)
        __builtin_prefetch(r + i);
#else
    (void)entry;
    (void)stage;
#endif
}

bool mbr_store_forget(mbr_store *s, const void *key, size_t size)
{
    size_t at = size <= s->key_bytes ? find(s, key, size, tag_of(mbr_store_hash(s, key, size))) : SIZE_MAX;
    if (at == SIZE_MAX)
        return false;
    uint32_t slot = (uint32_t)s->table[at], last = (uint32_t)s->used;
    vacate(s, at);
    unlink_slot(s, slot);
    if (slot != last) { /* the last record fills the gap */
        size_t place = record_at(s, last)->tag & s->mask;
        while ((uint32_t)s->table[place] != last)
            place = (place + 1) & s->mask;
        s->table[place] = (s->table[place] & 0xffffffff00000000u) | slot;
        memcpy(record_at(s, slot), record_at(s, last), s->stride);
        s->links[slot] = s->links[last];
        s->links[s->links[slot].older].newer = slot;
        s->links[s->links[slot].newer].older = slot;
    }
    s->used--;
    return true;
}

/* ---- bytes ---- */

void mbr_store_write(const mbr_store *s, mbr_out *out)
{
    mbr_out_u64(out, s->kind.digest);
    mbr_out_u64(out, s->seed.a);
    mbr_out_u64(out, s->seed.b);
    mbr_out_u64(out, s->used);
    for (uint32_t slot = s->links[0].newer; slot; slot = s->links[slot].newer) {
        record *r = record_at(s, slot);
        mbr_out_text(out, (const char *)key_of(r), r->size);
        mbr_out_f64(out, r->touched);
        s->kind.write(s->kind.how, state_of(s, r), out);
    }
}

/* Keys may hold any bytes, also zeros. */
static const uint8_t *read_key(mbr_in *in, size_t *size)
{
    const uint8_t *key = in->data;
    *size = mbr_in_count(in, SIZE_MAX, 1);
    if (in->bad)
        return NULL;
    key = in->data;
    in->data += *size;
    in->left -= *size;
    return key;
}

mbr_status mbr_store_read(mbr_store *s, mbr_in *in, const char *name, mbr_error *err)
{
    mbr_store_clear(s);
    if (mbr_in_u64(in) != s->kind.digest && !in->bad)
        return mbr_fail(err, MBR_ERR_INPUT, "%s: this state belongs to another pipeline: windows, columns or sizes of "
                        "the steps that keep it differ; begin with a new state", name);
    mbr_hash seed;
    seed.a = mbr_in_u64(in);
    seed.b = mbr_in_u64(in);
    size_t n = mbr_in_count(in, MBR_STORE_MOST_KEYS, 16);
    if (!in->bad)
        s->seed = seed;
    for (size_t i = 0; i < n && !in->bad; i++) {
        size_t size;
        const uint8_t *key = read_key(in, &size);
        double touched = mbr_in_f64(in);
        in->bad |= size > s->key_bytes || isinf(touched);
        if (in->bad)
            break;
        mbr_hash hash = mbr_store_hash(s, key, size);
        if (find(s, key, size, tag_of(hash)) != SIZE_MAX) {
            in->bad = true;
            break;
        }
        s->kind.read(s->kind.how, mbr_store_take(s, key, size, hash, touched), in);
    }
    s->evicted = s->expired = 0;
    if (in->bad)
        mbr_store_clear(s);
    return MBR_OK;
}
