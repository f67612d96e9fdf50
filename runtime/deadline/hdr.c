/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/deadline/hdr.h"

#include <math.h>
#include <string.h>

#define UNIT_BITS 11 /* values below 2^UNIT_BITS are counted by themselves */

static size_t octave_size(int octave)
{
    return octave ? (size_t)1 << (UNIT_BITS - 1) : (size_t)1 << UNIT_BITS;
}

void mbr_hdr_init(mbr_hdr *h, mbr_memory *memory)
{
    *h = (mbr_hdr){ .memory = memory, .least = UINT64_MAX };
}

void mbr_hdr_destroy(mbr_hdr *h)
{
    for (int i = 0; i < MBR_HDR_OCTAVES; i++)
        mbr_free(h->memory, h->octave[i]);
    mbr_hdr_init(h, h->memory);
}

static bool reserve(mbr_hdr *h, int octave)
{
    if (!h->octave[octave])
        h->octave[octave] = mbr_calloc(h->memory, octave_size(octave), sizeof *h->octave[octave]);
    return h->octave[octave] != NULL;
}

void mbr_hdr_add(mbr_hdr *h, uint64_t ns)
{
    uint64_t most = ((uint64_t)1 << (UNIT_BITS + MBR_HDR_OCTAVES - 1)) - 1, x = ns < most ? ns : most;
    int octave = 0;
    if (x >> UNIT_BITS)
        octave = 64 - UNIT_BITS - __builtin_clzll(x);
    h->count++;
    h->total += (double)ns;
    h->least = ns < h->least ? ns : h->least;
    h->greatest = ns > h->greatest ? ns : h->greatest;
    if (!h->octave[octave] && !reserve(h, octave))
        h->lost++;
    else
        h->octave[octave][octave ? (x >> octave) - octave_size(octave) : x]++;
}

void mbr_hdr_merge(mbr_hdr *h, const mbr_hdr *from)
{
    h->count += from->count;
    h->lost += from->lost;
    h->total += from->total;
    h->least = from->least < h->least ? from->least : h->least;
    h->greatest = from->greatest > h->greatest ? from->greatest : h->greatest;
    for (int i = 0; i < MBR_HDR_OCTAVES; i++) {
        bool room = from->octave[i] && reserve(h, i);
        for (size_t k = 0; from->octave[i] && k < octave_size(i); k++) {
            if (room)
                h->octave[i][k] += from->octave[i][k];
            else
                h->lost += from->octave[i][k];
        }
    }
}

uint64_t mbr_hdr_quantile(const mbr_hdr *h, double q)
{
    double counted = (double)(h->count - h->lost), want = ceil(q * counted);
    uint64_t due = want < 1.0 ? 1 : (uint64_t)want, seen = 0;
    if (!(counted > 0.0))
        return 0;
    for (int i = 0; i < MBR_HDR_OCTAVES; i++) {
        for (size_t k = 0; h->octave[i] && k < octave_size(i); k++) {
            seen += h->octave[i][k];
            if (seen < due)
                continue;
            uint64_t first = i ? (uint64_t)(k + octave_size(i)) << i : k, last = first + ((uint64_t)1 << i) - 1;
            return last < h->greatest ? last : h->greatest;
        }
    }
    return h->greatest;
}
