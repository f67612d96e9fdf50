/* SPDX-License-Identifier: BSD-2-Clause */
/* A double-array trie over bytes: one addition and one comparison a byte. */
#ifndef MBR_RUNTIME_TOKENIZER_TRIE_H
#define MBR_RUNTIME_TOKENIZER_TRIE_H

#include "base/memory.h"
#include "mbr/dtype.h"

#define MBR_TRIE_NONE UINT32_MAX

typedef struct mbr_trie_unit {
    uint32_t base;  /* children of this state lie at base + byte */
    uint32_t check; /* the state that this one is a child of; MBR_TRIE_NONE: free */
    uint32_t value; /* of the key that ends here; MBR_TRIE_NONE: none does */
} mbr_trie_unit;

typedef struct mbr_trie {
    mbr_memory *memory;
    mbr_trie_unit *units; /* (count), a power of two, 256 more than any base */
    uint32_t count;
} mbr_trie;

typedef struct mbr_trie_key {
    mbr_string text;
    uint32_t value;
} mbr_trie_key;

/* Sorts keys. Of equal ones the one with the highest value counts; empty ones are left out. */
mbr_status mbr_trie_build(mbr_trie *t, mbr_memory *memory, mbr_trie_key *keys, size_t count, mbr_error *err);
void mbr_trie_destroy(mbr_trie *t);

/* The state behind one byte more, MBR_TRIE_NONE where no key goes on like that. The first state is 0. */
static inline uint32_t mbr_trie_step(const mbr_trie *t, uint32_t state, unsigned char byte)
{
    uint32_t next = t->units[state].base + byte;
    return t->units[next].check == state ? next : MBR_TRIE_NONE;
}

/* The value of a whole key, MBR_TRIE_NONE where there is none. */
static inline uint32_t mbr_trie_find(const mbr_trie *t, const char *text, size_t size)
{
    uint32_t state = 0;
    for (size_t i = 0; i < size && state != MBR_TRIE_NONE; i++)
        state = mbr_trie_step(t, state, (unsigned char)text[i]);
    return state == MBR_TRIE_NONE ? MBR_TRIE_NONE : t->units[state].value;
}

#endif
