/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A decider's clock: what each stage of a call takes, whether the call can be done in time, and by when its model must
 * be. Deciders without one (d->clock is NULL) pay a comparison a stage.
 *
 * A call of a single row asks the time two or three times (begin, model, end); its stages are timed one call in sixteen.
 */
#ifndef MBR_RUNTIME_CLOCK_H
#define MBR_RUNTIME_CLOCK_H

#include "mbr/deadline.h"
#include "runtime/deadline/hdr.h"

#define MBR_CLOCK_EVERY 16      /* calls of a single row, of which one is timed */
#define MBR_CLOCK_RECENT 128    /* calls of a size that are remembered */
#define MBR_CLOCK_CLASSES 13    /* of sizes: 1, 2, 3 to 4, 5 to 8 ... 4096 rows */
#define MBR_CLOCK_PROBE 32      /* calls that are refused until one is tried again */

/* What the section `latency` says. 0: no budget. */
typedef struct mbr_latency {
    bool present, measure_only;
    uint64_t budget, per_row;
    uint64_t stages[MBR_STAGE_COUNT];
    double quantile;            /* of recent calls: what a call is thought to take */
} mbr_latency;

/* Recent calls of about one size: all of a call, and the part from the model on. */
typedef struct mbr_recent {
    uint32_t taken, next;
    uint32_t call[MBR_CLOCK_RECENT], rest[MBR_CLOCK_RECENT]; /* ns, at most UINT32_MAX */
    uint64_t likely_call, likely_rest; /* their quantiles, 0: not known yet */
} mbr_recent;

typedef struct mbr_clock {
    mbr_latency latency;
    uint64_t own_budget;        /* of mbr_decider_set_budget; 0: none */
    mbr_hdr stage[MBR_STAGE_COUNT];
    uint64_t misses[MBR_STAGE_COUNT];
    uint64_t calls, rows, refused, cut, over;
    mbr_recent recent[MBR_CLOCK_CLASSES];
    /* the call in progress */
    uint64_t begin, last, waited, model_begin;
    uint64_t budget, deadline;  /* 0: none */
    uint64_t took[MBR_STAGE_COUNT];
    int row_count;
    bool timed, late, probe;
    unsigned turn, since_refusal;
} mbr_clock;

uint64_t mbr_clock_now(void); /* ns; never steps */

mbr_clock *mbr_clock_new(mbr_memory *memory, const mbr_latency *latency);
void mbr_clock_free(mbr_clock *c, mbr_memory *memory);
void mbr_clock_merge(mbr_clock *c, const mbr_clock *from);

/* A call begins; single: of one row, whose stages are timed now and then. */
void mbr_clock_begin(mbr_clock *c, bool single);
/* `ns` of the call were waiting for somebody else. */
void mbr_clock_wait(mbr_clock *c, uint64_t ns);
/* The rows are there: false where the call will not be done in time, and is not to start. */
bool mbr_clock_admit(mbr_clock *c, int rows);
/* The model's turn: false where it will not be done in time. c->deadline is then by when it must be. */
bool mbr_clock_admit_model(mbr_clock *c);
/* The model was stopped. */
void mbr_clock_cut(mbr_clock *c);
/* The call is done, but for the caller's function. */
void mbr_clock_end(mbr_clock *c);

/* The time since the last lap was that stage's. c may be NULL here and below. */
static inline void mbr_clock_lap(mbr_clock *c, mbr_stage stage)
{
    if (!c || !c->timed)
        return;
    uint64_t now = mbr_clock_now();
    c->took[stage] += now - c->last;
    c->last = now;
}

/* What a call of so many rows may take; 0: no end. */
uint64_t mbr_latency_budget(const mbr_latency *l, int rows);

#endif
