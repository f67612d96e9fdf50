/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/hash.h"

#include <string.h>

__extension__ typedef unsigned __int128 wide;

/* Odd numbers without a pattern: the fractions of square roots of primes. */
static const uint64_t key[8] = {
    0x6a09e667f3bcc909, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
};

/* Both halves of the product: every bit of one factor reaches most bits of it. */
static inline uint64_t mix(uint64_t x, uint64_t y)
{
    wide p = (wide)x * y;
    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

static inline uint64_t read64(const unsigned char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* Four chains side by side hide the latency of the products. */
static inline void stripe(uint64_t lane[4], const uint64_t secret[4], const unsigned char *p)
{
    for (int i = 0; i < 4; i++)
        lane[i] = mix(read64(p + 16 * i) ^ secret[i], read64(p + 16 * i + 8) ^ lane[i]);
}

mbr_hash mbr_hash_bytes(const void *data, size_t bytes, mbr_hash seed)
{
    const unsigned char *p = data;
    uint64_t lane[4], secret[4];
    size_t left = bytes;
    for (int i = 0; i < 4; i++) {
        secret[i] = key[i] ^ mix(seed.a ^ key[4 + i], seed.b ^ key[i]);
        lane[i] = mix(seed.b ^ key[7 - i], seed.a ^ key[3 - i]) ^ key[4 + i];
    }
    for (; left >= 64; left -= 64, p += 64)
        stripe(lane, secret, p);
    if (left) {
        unsigned char tail[64] = { 0 };
        memcpy(tail, p, left);
        stripe(lane, secret, tail);
    }
    uint64_t x = mix(lane[0] ^ key[4], lane[1] ^ bytes), y = mix(lane[2] ^ key[5], lane[3] ^ secret[0]);
    return (mbr_hash){ mix(x ^ secret[1], y ^ key[6]), mix(y ^ secret[2] ^ bytes, (x << 32 | x >> 32) ^ key[7]) };
}
