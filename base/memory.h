/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * All memory of the library comes through an mbr_memory: the caller's allocator, a byte limit and
 * counters. Blocks are aligned to MBR_ALIGN and remember their size. Thread-safe.
 */
#ifndef MBR_BASE_MEMORY_H
#define MBR_BASE_MEMORY_H

#include "base/error.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A cache line, and the width of the widest vector. Kernels may rely on it for buffers that the engine makes. */
#define MBR_ALIGN 64

typedef struct mbr_memory {
    void *(*alloc)(void *user, size_t bytes); /* aligned to max_align_t at least; NULL on failure */
    void (*release)(void *user, void *block);
    void *user;
    size_t limit;                /* bytes in use at most; 0: no limit */
    atomic_size_t in_use;        /* bytes held now, headers included */
    atomic_size_t peak;          /* the largest in_use so far */
    atomic_size_t count;         /* successful allocations so far: a steady run adds none */
    atomic_long fail_after;      /* tests: this many more succeed, then all fail; negative: off */
} mbr_memory;

/* Fills m with malloc and free, no limit. */
void mbr_memory_init(mbr_memory *m);

/* NULL when out of memory or over the limit. bytes may be 0 (a valid, distinct block comes back). */
void *mbr_alloc(mbr_memory *m, size_t bytes);
void *mbr_calloc(mbr_memory *m, size_t count, size_t size); /* zeroed; overflow of count * size gives NULL */
void mbr_free(mbr_memory *m, void *block);                  /* NULL is fine */
size_t mbr_block_bytes(const void *block);                  /* what was asked for; NULL: 0 */

/* Grows a block that holds `used` bytes of content; the old block stays valid on NULL. */
void *mbr_grow(mbr_memory *m, void *block, size_t used, size_t bytes);

/*
 * An arena: many small objects with one life. Not thread-safe. Objects are aligned to 16 bytes, or to
 * MBR_ALIGN from mbr_arena_alloc_aligned.
 */
typedef struct mbr_arena {
    mbr_memory *memory;
    struct mbr_arena_chunk *chunks;
    size_t chunk_size;
    size_t bytes; /* handed out so far */
} mbr_arena;

typedef struct mbr_arena_chunk mbr_arena_chunk;

void mbr_arena_init(mbr_arena *a, mbr_memory *m, size_t chunk_size); /* 0: a default; allocates nothing */
void mbr_arena_destroy(mbr_arena *a);                               /* frees all; may be initialised again */
void mbr_arena_reset(mbr_arena *a); /* forgets all objects, keeps the room: repeating the same use allocates nothing */
void *mbr_arena_alloc(mbr_arena *a, size_t bytes);                  /* not zeroed */
void *mbr_arena_calloc(mbr_arena *a, size_t count, size_t size);    /* zeroed, overflow-checked */
void *mbr_arena_alloc_aligned(mbr_arena *a, size_t bytes);
void *mbr_arena_copy(mbr_arena *a, const void *from, size_t bytes);
char *mbr_arena_strndup(mbr_arena *a, const char *s, size_t n); /* adds a terminator */
char *mbr_arena_strdup(mbr_arena *a, const char *s);

/* The usual complaint. */
static inline mbr_status mbr_no_memory(mbr_error *err, size_t bytes)
{
    return mbr_fail(err, MBR_ERR_NO_MEMORY, "out of memory: %zu more bytes are not to be had; "
                    "raise the memory limit or use a smaller model", bytes);
}

#endif
