/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a pipeline may use of time and memory: the sections `latency` and `resources` of a pipeline file, and what a
 * decider makes of them (clock.h, bill.c).
 */
#ifndef MBR_RUNTIME_DEADLINE_H
#define MBR_RUNTIME_DEADLINE_H

#include "runtime/deadline/clock.h"
#include "runtime/pipeline/node.h"

struct mbr_pipeline;
struct mbr_decider;

/* What the section `resources` says. 0: no cap. */
typedef struct mbr_resources {
    size_t memory;
    int threads;
} mbr_resources;

/* Sections; n NULL: there is none. */
mbr_status mbr_pipeline_read_latency(struct mbr_pipeline *p, const mbr_reading *r, const mbr_node *n);
mbr_status mbr_pipeline_read_resources(struct mbr_pipeline *p, const mbr_reading *r, const mbr_node *n);

/* ---- memory ---- */

/* What a decider's memory is for. */
typedef enum mbr_bill_item {
    MBR_BILL_WEIGHTS,     /* constants of the model, one copy for all deciders */
    MBR_BILL_PACKED,
    MBR_BILL_ACTIVATIONS, /* of a full batch, scratch included */
    MBR_BILL_TENSORS,
    MBR_BILL_BUFFERS,     /* columns, texts, times */
    MBR_BILL_STATE,       /* of steps */
    MBR_BILL_DRIFT,
    MBR_BILL_ITEMS
} mbr_bill_item;

typedef struct mbr_meter {
    mbr_memory memory;    /* the decider's own: a part of the pipeline's, with a limit */
    size_t noted;
    size_t bytes[MBR_BILL_ITEMS];
    size_t reserved;      /* of the pipeline's cap */
} mbr_meter;

/* Memory that is counted apart from its parent's, and counts there too. */
void mbr_meter_init(mbr_meter *m, mbr_memory *parent);
/* What was taken since the last note was for that. */
void mbr_meter_note(mbr_meter *m, mbr_bill_item item);

/* The threads a session gets: MBR_ERR_LIMIT where the caller asks for more than the pipeline allows. */
mbr_status mbr_decider_threads(const struct mbr_decider *d, int asked, int *threads, mbr_error *err);
/* Once everything is there: MBR_ERR_LIMIT and the bill where it does not fit. What is left is for texts. */
mbr_status mbr_decider_bill(struct mbr_decider *d, mbr_error *err);
void mbr_decider_drop_bill(struct mbr_decider *d);

/* ---- time ---- */

/* A clock, where the pipeline or the options want one. */
mbr_status mbr_decider_begin_clock(struct mbr_decider *d, int times, mbr_error *err);
/* The batch is late, and why (NULL: as said before): its sound rows are faulty, and have no scores. */
void mbr_decider_refuse(struct mbr_decider *d, const char *why);
/* The model, or, where it will not be or was not done in time, d->late. */
mbr_status mbr_decider_run_model_in_time(struct mbr_decider *d, mbr_error *err);

#endif
