/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A histogram of durations in the manner of HdrHistogram: log-linear. Below 2048 ns each nanosecond has a count of its
 * own; each power of two above has 1024 counts, so that a value is known to three significant digits (off by less than
 * 0.1 %) over the whole range. An octave takes its 8 KiB when the first value comes: 248 KiB at most, some 40 in use.
 */
#ifndef MBR_RUNTIME_HDR_H
#define MBR_RUNTIME_HDR_H

#include "base/memory.h"

#define MBR_HDR_OCTAVES 32  /* the last one ends after 73 minutes; what is longer is counted there */

typedef struct mbr_hdr {
    mbr_memory *memory;
    uint64_t count;
    uint64_t lost;            /* of count: without memory for their octave */
    uint64_t least, greatest; /* exact; UINT64_MAX and 0 while there is nothing */
    double total;
    uint64_t *octave[MBR_HDR_OCTAVES]; /* [0]: (2048), others (1024) */
} mbr_hdr;

void mbr_hdr_init(mbr_hdr *h, mbr_memory *memory); /* takes no memory yet */
void mbr_hdr_destroy(mbr_hdr *h);
void mbr_hdr_add(mbr_hdr *h, uint64_t ns);
/* Adds all that `from` has counted. */
void mbr_hdr_merge(mbr_hdr *h, const mbr_hdr *from);
/* The duration that a share q of all stays at or below: the end of its count's range, at most the greatest. 0: empty. */
uint64_t mbr_hdr_quantile(const mbr_hdr *h, double q);

#endif
