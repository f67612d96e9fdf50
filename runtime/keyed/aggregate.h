/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Aggregates over time windows of one key's rows: any number of them, of several windows and value columns, from one
 * state of fixed size. The state holds the key's rows in the order of their times, in `events` entries.
 *
 * A row at time t looks back over the rows of its key that came before it in the stream and have times in
 * (t - window, t]. With `current` it counts itself, too. Rows may come late: they look back from their own time, and
 * take their place by time, so that later rows count them. A time far in the future disturbs nobody: it is out of the
 * windows of all others.
 *
 * While the rows that a window may reach fit into the entries, every result is exact. When there is a row too many,
 * rows beyond the longest window go; if there are none, two neighbours become one entry that keeps their times' ends,
 * counts, sums, squares and extremes: those whose span is the least part of the shortest window that is yet to end
 * inside of it. With n different windows such an entry spans about 2 n / events of that window at most. A result is
 * then inexact by that one entry which a window's begin cuts: the rows in it count as evenly spread (its first lies
 * outside, its last inside), and its extremes count in full.
 *
 * `distinct` keeps other entries: the last time of each of up to `events` values; a value too many takes the place of
 * the one not seen for the longest time. It is exact while no more values than that lie in the window, else a lower
 * bound; a late row does not find values that were seen again after its time.
 */
#ifndef MBR_RUNTIME_AGGREGATE_H
#define MBR_RUNTIME_AGGREGATE_H

#include "mbr/aggregates.h"
#include "runtime/keyed/store.h"

#define MBR_AGGREGATE_OPS "count|sum|mean|min|max|std|distinct|last|since_last|rate"
#define MBR_AGGREGATE_WINDOWS 16
#define MBR_AGGREGATE_VALUES 16
#define MBR_AGGREGATE_MOST 128
#define MBR_AGGREGATE_EVENTS 4096

typedef struct mbr_aggregate_want {
    mbr_aggregate_op op;
    int value;     /* of the numbers, for distinct of the marks; -1: none */
    double window; /* seconds; infinite: any time (last and since_last alone) */
    bool current;
} mbr_aggregate_want;

/* Which arrays the entries of a number column have beside its sums. */
enum { MBR_ENTRY_SQUARES = 1, MBR_ENTRY_RANGE = 2, MBR_ENTRY_LAST = 4 };

typedef struct mbr_aggregate {
    int events, window_count, number_count, mark_count, want_count;
    double windows[MBR_AGGREGATE_WINDOWS]; /* ascending, finite */
    double reach;                          /* the longest, 0 without */
    unsigned entries[MBR_AGGREGATE_VALUES]; /* what each number column keeps */
    uint8_t ops[MBR_AGGREGATE_VALUES][MBR_AGGREGATE_WINDOWS]; /* what a window needs of them: MBR_ENTRY_... */
    mbr_aggregate_want wants[MBR_AGGREGATE_MOST];
    int window_of[MBR_AGGREGATE_MOST];     /* of a want: index into windows; -1: any time */
    /* Where the arrays of a state lie, in bytes. */
    size_t mark_used, newest, oldest, rows;
    size_t sum[MBR_AGGREGATE_VALUES], count[MBR_AGGREGATE_VALUES], squares[MBR_AGGREGATE_VALUES];
    size_t low[MBR_AGGREGATE_VALUES], high[MBR_AGGREGATE_VALUES], last[MBR_AGGREGATE_VALUES];
    size_t mark_time[MBR_AGGREGATE_VALUES], mark_id[MBR_AGGREGATE_VALUES];
    size_t bytes;
    mbr_store_kind kind;                   /* for the store; points to this object */
} mbr_aggregate;

/*
 * Lays out the state for these wants, over number_count columns of numbers and mark_count columns of marks.
 * The object must stay where it is. events: 4 to MBR_AGGREGATE_EVENTS.
 */
mbr_status mbr_aggregate_plan(mbr_aggregate *a, const mbr_aggregate_want *wants, int want_count, int number_count,
                              int mark_count, int events, mbr_error *err);

/*
 * One row: out (want_count) receives the results, then the row enters the state. numbers: NaN is a missing value, which
 * does not count. marks: equal for equal values (a hash); 0: missing. t must be finite.
 */
void mbr_aggregate_row(const mbr_aggregate *a, void *state, double t, const double *numbers, const uint64_t *marks,
                       double *out);

#endif
