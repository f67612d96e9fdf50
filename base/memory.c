/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "base/memory.h"
#include "base/checked.h"

#include <stdlib.h>
#include <string.h>
#ifdef HAVE_SYS_MMAN_H
#include <sys/mman.h>
#endif

/* Lies directly before each block: what to hand back and how much it counts for. */
typedef struct header {
    void *raw;
    size_t bytes; /* all that was asked of the allocator */
} header;

_Static_assert(sizeof(header) <= MBR_ALIGN, "the header fits into one alignment unit");

/* The block in what was asked of the allocator: aligned, with room for the header before it. */
static char *block_of(void *raw)
{
    return (char *)raw + (MBR_ALIGN + (MBR_ALIGN - (uintptr_t)raw % MBR_ALIGN) % MBR_ALIGN);
}

/*
 * Large blocks begin on a huge page and ask for huge pages: the first touch of each page costs the kernel about a
 * microsecond, for packed weights more than their packing. What is left over at the end stays in small pages, so that
 * nothing is held that was not asked for. They are mappings of their own, not the C library's: in its heap the advice
 * would outlive the block, and small blocks that come and go at the end of the heap would clear a huge page each time.
 */
#if defined(HAVE_SYS_MMAN_H) && defined(MADV_HUGEPAGE) && defined(MAP_ANONYMOUS) && !defined(__SANITIZE_ADDRESS__)
#define HUGE_PAGE ((size_t)2 << 20)

static size_t mapped_bytes(size_t bytes)
{
    const size_t page = 65536; /* no processor's are larger */
    return (bytes + page - 1) / page * page;
}

static void *libc_alloc(void *user, size_t bytes)
{
    (void)user;
    if (bytes < HUGE_PAGE)
        return malloc(bytes);
    size_t kept = mapped_bytes(bytes);
    char *all = mmap(NULL, kept + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED)
        return NULL;
    size_t head = HUGE_PAGE - (uintptr_t)all % HUGE_PAGE;
    (void)munmap(all, head);
    (void)munmap(all + head + kept, HUGE_PAGE - head);
    (void)madvise(all + head, bytes - bytes % HUGE_PAGE, MADV_HUGEPAGE);
    return all + head;
}

static void libc_release(void *user, void *block)
{
    header h;
    (void)user;
    memcpy(&h, block_of(block) - sizeof h, sizeof h);
    if (h.bytes < HUGE_PAGE)
        free(block);
    else
        (void)munmap(block, mapped_bytes(h.bytes));
}
#else
static void *libc_alloc(void *user, size_t bytes)
{
    (void)user;
    return malloc(bytes);
}

static void libc_release(void *user, void *block)
{
    (void)user;
    free(block);
}
#endif

void mbr_memory_init(mbr_memory *m)
{
    memset(m, 0, sizeof *m);
    m->alloc = libc_alloc;
    m->release = libc_release;
    atomic_init(&m->in_use, 0);
    atomic_init(&m->peak, 0);
    atomic_init(&m->count, 0);
    atomic_init(&m->fail_after, -1);
}

/* Test hook: true when this allocation is the one that has to fail. */
static bool told_to_fail(mbr_memory *m)
{
    long left = atomic_load_explicit(&m->fail_after, memory_order_relaxed);
    if (left < 0)
        return false;
    if (left == 0)
        return true;
    atomic_fetch_sub_explicit(&m->fail_after, 1, memory_order_relaxed);
    return false;
}

void *mbr_alloc(mbr_memory *m, size_t bytes)
{
    size_t total;
    if (bytes > PTRDIFF_MAX - 2 * MBR_ALIGN || told_to_fail(m))
        return NULL;
    total = bytes + 2 * MBR_ALIGN;
    size_t now = atomic_fetch_add(&m->in_use, total) + total;
    if (m->limit && now > m->limit) {
        atomic_fetch_sub(&m->in_use, total);
        return NULL;
    }
    char *raw = m->alloc(m->user, total);
    if (!raw) {
        atomic_fetch_sub(&m->in_use, total);
        return NULL;
    }
    size_t peak = atomic_load_explicit(&m->peak, memory_order_relaxed);
    while (now > peak && !atomic_compare_exchange_weak(&m->peak, &peak, now))
        ;
    atomic_fetch_add_explicit(&m->count, 1, memory_order_relaxed);
    char *block = block_of(raw);
    header h = { .raw = raw, .bytes = total };
    memcpy(block - sizeof h, &h, sizeof h);
    return block;
}

void *mbr_calloc(mbr_memory *m, size_t count, size_t size)
{
    size_t bytes;
    if (!mbr_mul_size(count, size, &bytes))
        return NULL;
    void *block = mbr_alloc(m, bytes);
    if (block)
        memset(block, 0, bytes);
    return block;
}

void mbr_free(mbr_memory *m, void *block)
{
    if (!block)
        return;
    header h;
    memcpy(&h, (char *)block - sizeof h, sizeof h);
    atomic_fetch_sub(&m->in_use, h.bytes);
    m->release(m->user, h.raw);
}

size_t mbr_block_bytes(const void *block)
{
    header h;
    if (!block)
        return 0;
    memcpy(&h, (const char *)block - sizeof h, sizeof h);
    return h.bytes - 2 * MBR_ALIGN;
}

void *mbr_grow(mbr_memory *m, void *block, size_t used, size_t bytes)
{
    void *bigger = mbr_alloc(m, bytes);
    if (!bigger)
        return NULL;
    if (used)
        memcpy(bigger, block, used);
    mbr_free(m, block);
    return bigger;
}

struct mbr_arena_chunk {
    mbr_arena_chunk *next;
    size_t used, size; /* of the bytes after this header, which is padded to MBR_ALIGN */
};

#define CHUNK_HEADER MBR_ALIGN
_Static_assert(sizeof(mbr_arena_chunk) <= CHUNK_HEADER, "chunk header");

void mbr_arena_init(mbr_arena *a, mbr_memory *m, size_t chunk_size)
{
    a->memory = m;
    a->chunks = NULL;
    a->chunk_size = chunk_size ? chunk_size : 16384;
    a->bytes = 0;
}

void mbr_arena_destroy(mbr_arena *a)
{
    while (a->chunks) {
        mbr_arena_chunk *next = a->chunks->next;
        mbr_free(a->memory, a->chunks);
        a->chunks = next;
    }
    a->bytes = 0;
}

void mbr_arena_reset(mbr_arena *a)
{
    size_t total = 0;
    if (a->chunks && a->chunks->next) { /* one chunk that would have held everything takes their place */
        for (const mbr_arena_chunk *c = a->chunks; c; c = c->next)
            total += c->size;
        mbr_arena_destroy(a);
        mbr_arena_chunk *c = mbr_alloc(a->memory, total + CHUNK_HEADER);
        if (c) {
            c->next = NULL;
            c->size = total;
            a->chunks = c;
        }
    }
    if (a->chunks)
        a->chunks->used = 0;
    a->bytes = 0;
}

static void *arena_take(mbr_arena *a, size_t bytes, size_t align)
{
    mbr_arena_chunk *c = a->chunks;
    size_t at;
    if (c && mbr_round_up(c->used, align, &at) && at <= c->size && bytes <= c->size - at) {
        c->used = at + bytes;
        a->bytes += bytes;
        return (char *)c + CHUNK_HEADER + at;
    }
    size_t size = mbr_max_size(bytes, a->chunk_size), total;
    if (!mbr_add_size(size, CHUNK_HEADER, &total))
        return NULL;
    mbr_arena_chunk *fresh = mbr_alloc(a->memory, total);
    if (!fresh)
        return NULL;
    fresh->used = bytes;
    fresh->size = size;
    if (c && bytes > a->chunk_size / 2 && c->used < c->size) { /* keep filling the open chunk */
        fresh->next = c->next;
        c->next = fresh;
    } else {
        fresh->next = c;
        a->chunks = fresh;
    }
    a->bytes += bytes;
    return (char *)fresh + CHUNK_HEADER;
}

void *mbr_arena_alloc(mbr_arena *a, size_t bytes)
{
    return arena_take(a, bytes, 16);
}

void *mbr_arena_alloc_aligned(mbr_arena *a, size_t bytes)
{
    return arena_take(a, bytes, MBR_ALIGN);
}

void *mbr_arena_calloc(mbr_arena *a, size_t count, size_t size)
{
    size_t bytes;
    if (!mbr_mul_size(count, size, &bytes))
        return NULL;
    void *p = mbr_arena_alloc(a, bytes);
    if (p)
        memset(p, 0, bytes);
    return p;
}

void *mbr_arena_copy(mbr_arena *a, const void *from, size_t bytes)
{
    void *p = mbr_arena_alloc(a, bytes);
    if (p && bytes)
        memcpy(p, from, bytes);
    return p;
}

char *mbr_arena_strndup(mbr_arena *a, const char *s, size_t n)
{
    size_t bytes;
    char *p = mbr_add_size(n, 1, &bytes) ? mbr_arena_alloc(a, bytes) : NULL;
    if (p) {
        if (n)
            memcpy(p, s, n);
        p[n] = '\0';
    }
    return p;
}

char *mbr_arena_strdup(mbr_arena *a, const char *s)
{
    return mbr_arena_strndup(a, s, strlen(s));
}
