/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A decider: the buffers of one stream of decisions. decide_rows.c fills batches, decide.c takes them through the
 * steps, decide_model.c through the model, decide_rules.c makes decisions of them.
 */
#ifndef MBR_RUNTIME_DECIDER_H
#define MBR_RUNTIME_DECIDER_H

#include "runtime/pipeline/decide_state.h"
#include "runtime/pipeline/pipeline_impl.h"

/* Why a row did not get the action that its rule names. */
typedef enum mbr_cause {
    MBR_CAUSE_NONE = 0,
    MBR_CAUSE_INPUT,     /* the row itself is broken, or a field of it */
    MBR_CAUSE_ROW,       /* a step, the model or a rule cannot take its values */
    MBR_CAUSE_LATE,      /* there was no time */
    MBR_CAUSE_MODEL,     /* the model could not run */
    MBR_CAUSE_DRIFT,     /* drift has put the fallback in force */
    MBR_CAUSE_CAP,       /* the action has been taken as often as it may be */
    MBR_CAUSE_COOL_DOWN, /* the action has been taken too lately */
    MBR_CAUSE_COUNT
} mbr_cause;

/* "input", "row", ...; NULL for none. */
const char *mbr_cause_name(mbr_cause cause);

/* Where a row of the batch came from, and what befell it outside of the steps. */
typedef struct mbr_row_head {
    uint64_t row, line;
    size_t texts;        /* bytes of its texts */
    int64_t time;        /* of the decision, microseconds since 1970; 0: not made yet */
    mbr_cause cause;     /* set together with a fault (or, for drift, without): which fallback the row gets */
    const char *late;    /* a fault that the row gets before the model, in a replay */
} mbr_row_head;

struct mbr_decider {
    mbr_meter meter;
    mbr_memory *memory;   /* of the meter */
    mbr_decider_options options; /* that it was made with */
    mbr_arena arena;
    mbr_pipeline *pipeline;
    mbr_session *session;
    mbr_value **tensors;  /* (feed_count) */
    mbr_rows rows;
    mbr_row_head *heads;  /* (batch) */
    int *sound, *order, *group; /* (batch), scratch: rows that go to the model, of one round, of one run */
    struct mbr_pre *pre;  /* NULL: decisions are made */
    mbr_streams *streams; /* NULL: the model has no state */
    bool *skipped;        /* (batch), sound rows for which the model is not run: `missing: skip` */
    bool *done;           /* (batch), rows that the model has run for: their states have gone on */
    int batch;
    uint64_t row_number;
    const char *source_name;
    struct mbr_decider_drift *drift; /* NULL: none */
    struct mbr_decider_reasons *reasons; /* NULL: none */
    mbr_clock *clock;     /* NULL: nothing is timed */
    const char *late;     /* the fault of rows that are late */
    bool stateful;        /* features keep something from row to row */
    struct mbr_decider_actions *actions;
};

/* An empty batch; what an earlier one left is gone. */
void mbr_decider_begin_batch(mbr_decider *d);

/* Adds a row, all of whose inputs are missing yet. There must be room. Returns its number in the batch. */
int mbr_decider_begin_row(mbr_decider *d, uint64_t row, uint64_t line);

/* Puts one field into an input of a row, parsed and checked; what is wrong is a fault of the row. */
void mbr_decider_put(mbr_decider *d, int row, int input, const mbr_field *field);

/* Puts fields by name. */
void mbr_decider_put_fields(mbr_decider *d, int row, const mbr_field *fields, size_t count);

/* Gives inputs that are still missing their default, or the row a fault. */
void mbr_decider_end_row(mbr_decider *d, int row);

/* A terminated copy that lives as long as the batch; without memory the row is faulty and the text missing. */
mbr_string mbr_decider_keep_text(mbr_decider *d, int row, const char *text, size_t n);

/* Features, model, post-processing. */
mbr_status mbr_decider_run_batch(mbr_decider *d, mbr_error *err);

/* Makes the session and the tensors that it reads. */
mbr_status mbr_decider_make_session(mbr_decider *d, const mbr_decider_options *o, mbr_error *err);

/* Runs the sound rows. What only one row's values make impossible is that row's fault. */
mbr_status mbr_decider_run_model(mbr_decider *d, mbr_error *err);

/* decide_pre.c: the tensors of a batch go to the caller, and no further. */
typedef struct mbr_pre mbr_pre;
mbr_status mbr_decider_pre_batch(mbr_decider *d, mbr_error *err);

/* A value that a feed needs is missing: the row is skipped, or faulty. */
void mbr_decider_lacks(mbr_decider *d, const mbr_feed *feed, const mbr_col *col, int row);

/* Faults of rows that the model cannot take; the tensors of rows that can be in one run. */
void mbr_decider_check_feeds(mbr_decider *d);
mbr_status mbr_decider_fill(mbr_decider *d, const int *which, int n, mbr_error *err);

/* Runs rows in groups that can be in one run; changes `rows`. */
mbr_status mbr_decider_run_alike(mbr_decider *d, int *rows, int n, mbr_error *err);

/* decide_tensor.c: feeds and fetches of tensor columns. */
void mbr_decider_check_cells(mbr_decider *d, const mbr_feed *feed);
bool mbr_decider_alike(const mbr_decider *d, int a, int b); /* whether two rows can be in one run */
mbr_status mbr_decider_feed_cells(mbr_decider *d, const mbr_feed *feed, mbr_value *tensor, const int *which, int n,
                                  mbr_error *err);
mbr_status mbr_decider_take_cells(mbr_decider *d, const mbr_fetch *fetch, const mbr_value *v, const int *which, int n,
                                  mbr_error *err);

/* When the batch is decided, microseconds since 1970: the clock is asked once, for the rows that have no time. */
int64_t mbr_decider_time(mbr_decider *d);

/* The decision of a row that has run, once for each row and in their order. out->scores has room for the scores. */
void mbr_decider_decide(mbr_decider *d, int row, double *scores, mbr_decision *out);

/* All decisions of a batch that has run (d->actions->made), in the log before it returns. */
mbr_status mbr_decider_decide_batch(mbr_decider *d, mbr_error *err);

/* Rules and actions: calls fn for each row. */
mbr_status mbr_decider_give_batch(mbr_decider *d, mbr_decision_fn fn, void *user, mbr_decide_totals *totals,
                                  mbr_error *err);

#endif
