/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A fast 128-bit hash of bytes, at the speed of memory. Not cryptographic: with a seed that nobody else knows, others
 * cannot choose bytes that collide; with a known one they can. The same bytes give other hashes on machines of another
 * byte order.
 */
#ifndef MBR_BASE_HASH_H
#define MBR_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct mbr_hash {
    uint64_t a, b;
} mbr_hash;

mbr_hash mbr_hash_bytes(const void *data, size_t bytes, mbr_hash seed);

static inline bool mbr_hash_same(mbr_hash x, mbr_hash y)
{
    return x.a == y.a && x.b == y.b;
}

#endif
