/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Spans of time for a picture of a run: which worker was at which step's tiles from when to when. Each worker writes to
 * a row of its own, so recording needs no locks; what does not fit is dropped.
 */
#ifndef MBR_ENGINE_SPANS_H
#define MBR_ENGINE_SPANS_H

#include <stddef.h>
#include <stdint.h>

typedef struct mbr_span {
    uint32_t entry; /* of the profile */
    int phase;
    uint64_t begin, end; /* ns of the monotonic clock */
    size_t tiles;
} mbr_span;

typedef struct mbr_spans {
    uint32_t entry;  /* of the step that runs now: set between jobs */
    size_t room;     /* a row */
    int rows;        /* one a worker, and the last for what is below */
    size_t *n;       /* (rows) */
    mbr_span *spans; /* (rows, room) */
} mbr_spans;

/* Rows from the end. */
enum { MBR_SPANS_STEPS = 1, MBR_SPANS_TRANSFERS = 2, MBR_SPANS_DEVICE = 3 };

uint64_t mbr_spans_now(void);

static inline void mbr_spans_put(mbr_spans *s, int from_end, mbr_span x)
{
    int row = s->rows - from_end;
    if (s->n[row] < s->room)
        s->spans[(size_t)row * s->room + s->n[row]++] = x;
}

static inline void mbr_spans_add(mbr_spans *s, int row, uint32_t entry, int phase, uint64_t begin, size_t tiles)
{
    if (s->n[row] < s->room)
        s->spans[(size_t)row * s->room + s->n[row]++] = (mbr_span){ entry, phase, begin, mbr_spans_now(), tiles };
}

#endif
