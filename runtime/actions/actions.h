/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a pipeline says about its actions beside the rules (the sections `actions`, `costs`, `limits` and `log`), what a
 * decider remembers of them, and the decisions of a batch: made, numbered, logged, then handed out.
 */
#ifndef MBR_RUNTIME_ACTIONS_H
#define MBR_RUNTIME_ACTIONS_H

#include "runtime/actions/line.h"
#include "runtime/actions/limits.h"
#include "runtime/actions/log.h"
#include "runtime/drift/drift_file.h"
#include "runtime/pipeline/decider.h"

#include <pthread.h>

#define MBR_MOST_CAPS 4
#define MBR_MOST_CLASSES 16

/* At most `most` in `per` seconds; or, where most is 0, not again within `per` seconds. */
typedef struct mbr_limit {
    double most, per;
    int key;   /* column; -1: all rows together */
    int keeps; /* of the decider's tables */
} mbr_limit;

typedef struct mbr_action_limits {
    mbr_limit limits[MBR_MOST_CAPS + 1];
    int count;
    int instead; /* action; -1: none */
    int line;
} mbr_action_limits;

/* What each action costs where a row is of each class. */
typedef struct mbr_costs {
    mbr_string *classes; /* (class_count) */
    int class_count;
    int *actions;        /* (action_count) */
    int action_count;
    mbr_expr *cost;      /* (action_count, class_count) */
} mbr_costs;

/* A rule that takes the action whose expected cost is the least. */
typedef struct mbr_cheapest {
    const mbr_node *at;
    mbr_expr *chance; /* (class_count of the costs) */
} mbr_cheapest;

typedef struct mbr_pipeline_actions {
    mbr_action_limits *limits; /* (action_count of the pipeline) */
    int clock;                 /* time column; -1: the wall clock */
    int keys;                  /* of each table */
    int keeps;                 /* tables that a decider has */
    int *keep_keys;            /* (keeps), the column of each */
    mbr_costs costs;
    mbr_log_config log;        /* path NULL: none */
    pthread_mutex_t lock;
    struct mbr_shared_log *logs; /* open ones */
    mbr_hash seed;             /* of the hashes of keys; of the pipeline's name, so that they outlive a change of it */
    mbr_hash model;            /* of the model's file */
    char hashes[2 * MBR_HASH_TEXT + 32]; /* of pipeline and model, as they stand in a record */
    bool model_known;
    int label;                 /* of inputs; -1: none was asked for */
    bool extra;                /* the label is the last input, and the pipeline file does not have it */
} mbr_pipeline_actions;

typedef struct mbr_decider_actions {
    mbr_keeps *keeps;       /* (keeps) */
    double time;            /* of the last row that had one */
    struct mbr_shared_log *shared;
    uint64_t stream;        /* number of the first record of this decider; 0: none yet */
    uint64_t next;          /* number of the next decision, without a log */
    bool broken;            /* its memory is ahead of its log */
    mbr_line out;            /* records of a batch */
    mbr_line rests;          /* what follows the numbers in each of them */
    size_t *ends;            /* (batch) of each in rests */
    mbr_decision *made;     /* (batch) */
    double *scores;         /* (batch, score_count) */
    const char **texts;     /* (batch, text_count) */
    char (*ids)[MBR_HASH_TEXT]; /* (batch) */
} mbr_decider_actions;

/* ---- sections; NULL: it is not there ---- */

/* Before the inputs are read: one more of them, where somebody asks for a label. */
mbr_status mbr_pipeline_begin_actions(mbr_pipeline *p, const mbr_reading *r, const char *label,
                                      const mbr_node **inputs);
/* After all columns. */
mbr_status mbr_pipeline_read_texts(mbr_pipeline *p, const mbr_reading *r, const mbr_node *texts);
/* After the rules. */
mbr_status mbr_pipeline_read_actions(mbr_pipeline *p, const mbr_reading *r, const mbr_node *actions,
                                     const mbr_node *costs, const mbr_node *limits);
mbr_status mbr_pipeline_read_log(mbr_pipeline *p, const mbr_reading *r, const mbr_node *log);
void mbr_pipeline_drop_actions(mbr_pipeline *p);

/* ---- for their readers ---- */

/* A table for a rule or a limit; key -1: of one entry, for all rows. */
mbr_status mbr_pipeline_add_keeps(mbr_pipeline *p, const mbr_reading *r, int key, int *index);
/* The column of one value that a `key` names. */
mbr_status mbr_pipeline_key_column(const mbr_pipeline *p, const mbr_reading *r, const mbr_node *n,
                                   const mbr_string *name, int *column);
/* `cheapest: {class: chance, ...}`; which class is which is known once the costs are. */
mbr_status mbr_pipeline_read_cheapest(mbr_pipeline *p, const mbr_reading *r, const mbr_node *n, mbr_rule *rule);

/* ---- deciders ---- */

/* path: of the log; NULL: what the pipeline says, "": none. */
mbr_status mbr_decider_begin_actions(mbr_decider *d, const char *path, mbr_error *err);
void mbr_decider_end_actions(mbr_decider *d);

/* What it remembers, for mbr_decider_save and back. */
void mbr_decider_put_keeps(const mbr_decider *d, mbr_out *o);
mbr_status mbr_decider_take_keeps(mbr_decider *d, mbr_in *in, mbr_error *err);

/* Rows that are faulty before any step: their fields are. */
void mbr_decider_note_causes(mbr_decider *d);
/* In a replay: rows that were late, or had no model, are so again. */
void mbr_decider_repeat_faults(mbr_decider *d);
/*
 * A model that could not run: what it has not run for is faulty. True where the rows go on, because the pipeline has a
 * fallback for that, or because there is a log: steps and limits have seen the rows, so that it has them, without an
 * action where the pipeline has no such fallback and the call fails.
 */
bool mbr_decider_model_failed(mbr_decider *d, mbr_status st, const mbr_error *why);

/* Whether a decision depends on the ones before it. */
bool mbr_pipeline_remembers(const mbr_pipeline *p);

/* The memory of a row's key in a table. */
mbr_keep *mbr_decider_keep(mbr_decider *d, int keeps, int row);

/* The action that a row gets where `action` is wanted; *cause says what kept it from that. */
int mbr_decider_limit(mbr_decider *d, int row, int action, mbr_cause *cause);

/* The texts of a row that has run, before its rules. Without memory the row becomes faulty. */
void mbr_decider_give_texts(mbr_decider *d, int row, mbr_decision *out);

/* Makes one decision of a batch that has run (actions->made[row]), but for its id. False: out of memory. */
bool mbr_decider_make(mbr_decider *d, int row);
/* Its id, which its number gives. */
void mbr_decider_number(mbr_decider *d, int row, uint64_t seq);

/* A decider that watches no drift and refuses no row for its time: what it decides is for nobody. */
mbr_status mbr_decider_new_quiet(mbr_pipeline *p, const mbr_decider_options *o, mbr_decider **out, mbr_error *err);

/* Hashes the model's file, once: records need it. A model that can be opened and not read again has no hash. */
void mbr_pipeline_know_model(mbr_pipeline *p);

/* Adds the record of a decision to `out` in two parts: what its number gives, and all that is known without. */
void mbr_decider_write_head(const mbr_decider *d, int row, uint64_t seq, uint64_t stream, mbr_line *out);
void mbr_decider_write_rest(const mbr_decider *d, int row, mbr_line *out);

#endif
