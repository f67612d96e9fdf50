/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Budgets of time: how long a decider's calls take, stage by stage, and what becomes of a call that is late.
 *
 *     mbr_decider_set_budget(d, 5000000, &err);               // the following calls have 5 ms each
 *     mbr_decider_row(d, row, n, &decision, &err);            // late: the fallback action, and decision.error
 *     mbr_decider_report(d, MBR_REPORT_TEXT, write, user, &err);
 *
 * A call is one mbr_decider_row, or one batch of a file or stream; waiting for a reader does not count. Its budget is
 * the caller's, or the section `latency` of the pipeline file (docs/pipeline.md). A call that will not keep its budget,
 * by what calls of its size took lately, is refused before it starts; one that runs is cut short at the model's next
 * tile. Either way its rows are faulty ("late: ..."): they get the fallback action, or none. Time is that of a
 * clock that never steps.
 *
 * Nothing is timed, and no time is spent on it, where there is neither a section nor a budget nor `times` in the
 * decider's options. Threads: as of the decider.
 */
#ifndef MBR_DEADLINE_H
#define MBR_DEADLINE_H

#include "mbr/pipeline.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum mbr_stage {
    MBR_STAGE_READ = 0,     /* fields parsed and checked */
    MBR_STAGE_FEATURES = 1,
    MBR_STAGE_MODEL = 2,    /* tensors in, run, tensors out */
    MBR_STAGE_POST = 3,
    MBR_STAGE_RULES = 4,
    MBR_STAGE_LOG = 5,      /* of decisions: made and written */
    MBR_STAGE_DRIFT = 6,
    MBR_STAGE_CALL = 7      /* all of a call, but for the caller's function */
} mbr_stage;
#define MBR_STAGE_COUNT 8

/*
 * The budget of the following calls in nanoseconds: what is left of a request's, say; 0: the pipeline's own. Starts
 * the clocks where they did not run yet.
 */
MBR_API mbr_status mbr_decider_set_budget(mbr_decider *decider, uint64_t nanoseconds, mbr_error *err);

/* Durations of a stage, a call at a time, to three significant digits; max is exact. All in nanoseconds. */
typedef struct mbr_stage_times {
    size_t size;            /* set by the caller to sizeof(mbr_stage_times) */
    const char *name;       /* "read", "features" ... "call" */
    uint64_t calls;         /* that were timed: stages of every sixteenth call of a single row, else of all */
    double mean;
    uint64_t p50, p90, p99, p999, max;
    uint64_t budget;        /* the pipeline's, of a call of one row; 0: none */
    uint64_t misses;        /* timed calls that took longer than their budget */
} mbr_stage_times;
MBR_API mbr_status mbr_decider_stage_times(const mbr_decider *decider, mbr_stage stage, mbr_stage_times *times,
                                           mbr_error *err);

typedef struct mbr_call_counts {
    size_t size;            /* set by the caller to sizeof(mbr_call_counts) */
    uint64_t calls, rows;
    uint64_t refused;       /* calls that were not begun */
    uint64_t cut;           /* calls whose model was stopped, or not begun, on the way */
    uint64_t over;          /* calls that were done, but too late: their decisions stand */
} mbr_call_counts;
MBR_API mbr_status mbr_decider_call_counts(const mbr_decider *decider, mbr_call_counts *counts, mbr_error *err);

/* Adds what another decider, of another thread, say, has measured; `from` is not running meanwhile, and stays as it is. */
MBR_API mbr_status mbr_decider_merge_times(mbr_decider *decider, const mbr_decider *from, mbr_error *err);

typedef enum mbr_report_format {
    MBR_REPORT_TEXT = 0,
    MBR_REPORT_JSON = 1,
    MBR_REPORT_HTML = 2     /* a page that needs nothing else */
} mbr_report_format;

/* Budgets against reality: a row a stage. MBR_ERR_INPUT where nothing is timed. */
MBR_API mbr_status mbr_decider_report(const mbr_decider *decider, mbr_report_format format, mbr_write_fn write,
                                      void *user, mbr_error *err);

#ifdef __cplusplus
}
#endif

#endif
