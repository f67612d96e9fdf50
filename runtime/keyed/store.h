/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * State for each key (a card, an asset, a session) in bounded memory. Everything is allocated when the store is opened:
 * records of one size that hold key and state side by side, a table of hashes that leads to them, and the order in
 * which keys were last touched. A key too many takes the place of the one that was not touched for the longest time.
 * So which keys live depends on the order of the calls alone, never on their hashes.
 */
#ifndef MBR_RUNTIME_STORE_H
#define MBR_RUNTIME_STORE_H

#include "base/hash.h"
#include "base/memory.h"
#include "runtime/drift/drift_file.h"

/* What the states of a store are. The functions see one state, `how` tells them what it looks like. */
typedef struct mbr_store_kind {
    const void *how;
    size_t state_bytes;
    uint64_t digest; /* of all that decides what a state means: what was written under another is refused */
    void (*begin)(const void *how, void *state);                 /* a key that is new; the memory is not cleared */
    void (*write)(const void *how, const void *state, mbr_out *out);
    void (*read)(const void *how, void *state, mbr_in *in);      /* into a new state; hostile bytes set in->bad */
} mbr_store_kind;

typedef struct mbr_store_limits {
    size_t keys;      /* at most, 1 to 2^30 */
    size_t key_bytes; /* of the longest key; 0: MBR_STORE_KEY_BYTES */
    size_t bytes;     /* of all memory of the store; 0: as many as `keys` take */
    double expiry;    /* seconds after which an untouched key counts as new; 0: never */
} mbr_store_limits;

#define MBR_STORE_KEY_BYTES 40
#define MBR_STORE_MOST_KEYS ((size_t)1 << 30)

typedef struct mbr_store_link {
    uint32_t older, newer;
} mbr_store_link;

typedef struct mbr_store {
    mbr_memory *memory;
    mbr_store_kind kind;
    size_t capacity, used, key_bytes, state_at, stride;
    double expiry;
    mbr_hash seed;          /* drawn at random: nobody outside can choose keys that collide */
    uint8_t *records;       /* (capacity) of stride bytes */
    uint64_t *table;        /* (mask + 1): upper half of the hash, and record + 1; 0: free */
    size_t mask;
    mbr_store_link *links;  /* (capacity + 1), a ring; 0: its newer is the oldest key, its older the newest */
    uint64_t evicted, expired;
} mbr_store;

/* The bytes of a store with these limits, 0 where they overflow. *keys receives how many keys it will hold. */
size_t mbr_store_bytes(const mbr_store_kind *kind, const mbr_store_limits *limits, size_t *keys);

/* On failure *s is closed. */
mbr_status mbr_store_open(mbr_store *s, mbr_memory *memory, const mbr_store_kind *kind, const mbr_store_limits *limits,
                          mbr_error *err);
void mbr_store_close(mbr_store *s); /* zeroed: fine */

static inline mbr_hash mbr_store_hash(const mbr_store *s, const void *key, size_t size)
{
    return mbr_hash_bytes(key, size, s->seed);
}

/*
 * The state of a key, made where there is none: the key is now the newest. hash: mbr_store_hash of the key. now:
 * seconds, for expiry; NaN where there is no clock. NULL: the key is longer than key_bytes.
 */
void *mbr_store_take(mbr_store *s, const void *key, size_t size, mbr_hash hash, double now);

/* The state of a key; NULL where there is none. Leaves the order and the clock as they are. */
void *mbr_store_peek(const mbr_store *s, const void *key, size_t size, mbr_hash hash);

/* Asks for the memory that a later take will read: first the table (stage 0), calls later the record (stage 1). */
void mbr_store_expect(const mbr_store *s, mbr_hash hash, int stage);

/* Forgets a key, or all. */
bool mbr_store_forget(mbr_store *s, const void *key, size_t size);
void mbr_store_clear(mbr_store *s);

/* Appends all keys, the oldest first. */
void mbr_store_write(const mbr_store *s, mbr_out *out);

/*
 * Replaces all keys by what was written; of more than fit the newest stay. On failure the store is empty; what fails is
 * in->bad or MBR_ERR_INPUT: another kind of state.
 */
mbr_status mbr_store_read(mbr_store *s, mbr_in *in, const char *name, mbr_error *err);

/*
 * A snapshot as bytes, with a head and a checksum, of any number of stores (others may add what they like between begin
 * and end), and as a file that is only ever replaced as a whole: whoever is killed leaves the one before.
 */
void mbr_snapshot_begin(mbr_out *out, mbr_memory *memory);
mbr_status mbr_snapshot_end(mbr_out *out, mbr_error *err);
mbr_status mbr_snapshot_open(mbr_in *in, const void *data, size_t bytes, const char *name, mbr_error *err);
mbr_status mbr_snapshot_close(const mbr_in *in, const char *name, mbr_error *err); /* all was there, and no more */

mbr_status mbr_store_save(const mbr_store *s, const char *path, bool durable, mbr_error *err);
mbr_status mbr_store_load(mbr_store *s, const char *path, mbr_error *err);

#endif
