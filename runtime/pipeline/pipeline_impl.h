/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A compiled pipeline. The way of a row:
 *
 *     fields -> input columns -> feature steps -> tensors -> model -> output columns -> post steps -> rules -> decision
 *
 * All columns share one scope, in the order in which they are made: a step, an expression or a tensor can only name
 * what stands before it, so that there are no cycles and no ordering to find.
 */
#ifndef MBR_RUNTIME_PIPELINE_IMPL_H
#define MBR_RUNTIME_PIPELINE_IMPL_H

#include "base/hash.h"
#include "mbr/pipeline.h"
#include "mbr/session.h"
#include "runtime/deadline/deadline.h"
#include "runtime/pipeline/expr.h"
#include "runtime/steps/step.h"

typedef enum mbr_time_format {
    MBR_TIME_ISO = 0,
    MBR_TIME_EPOCH = 1,
    MBR_TIME_EPOCH_MS = 2
} mbr_time_format;

/* A column of the application's data. */
typedef struct mbr_input {
    const char *name;
    int col;            /* in the scope */
    mbr_col_type type;
    bool optional;      /* a file may lack the column */
    bool array;         /* a string that may be a list in JSON: its text */
    bool keep;          /* a missing value stays missing; else it is a fault, unless there is a default */
    bool has_default;
    double number;      /* the default */
    mbr_string text;
    double min, max;    /* of numbers and times; infinite where not given */
    mbr_time_format format;
} mbr_input;

/* An input of the model. */
typedef struct mbr_feed {
    int port;
    mbr_dtype dtype;
    int *from;          /* (from_count), columns side by side */
    int from_count;
    int width;          /* of all of them */
    int rank;
    bool batched;       /* dims[0] is the number of rows */
    int64_t dims[MBR_MAX_RANK];
    bool tensor;        /* from one tensor column; dims may be -1, and rank too */
    bool padded;        /* rows of different shapes are padded to the largest, by pad; else each shape is a run */
    double pad;
    bool skips;         /* rows of which a value is missing are no fault: the model is not run for them */
    const mbr_numbers *value; /* not of the rows: these, the same for every run; or NULL */
    const char *name;
} mbr_feed;

/* An output of the model, or one column of it. */
typedef struct mbr_fetch {
    int port;
    int64_t column;     /* first value of a row that is taken */
    int col;            /* in the scope; as many values as it is wide, or a tensor */
    bool whole;         /* the output has no dimension for rows: all of it is the only row's tensor */
    const char *name;   /* of the output */
} mbr_fetch;

/* An output of the model that is an input of its next run. */
typedef struct mbr_edge {
    int input, output;
    mbr_dtype dtype;
    int rank, axis;             /* axis: of the rows; -1: there is none */
    int64_t dims[MBR_MAX_RANK]; /* of the first state of one key; 1 on the axis */
    bool free[MBR_MAX_RANK];    /* later states may be of another size there */
    double initial;
    const char *name;           /* of the input */
} mbr_edge;

#define MBR_MAX_EDGES 256

typedef struct mbr_model_state {
    int key, time;  /* columns; -1: one state for all rows; the time of this machine */
    size_t most;    /* keys */
    size_t bytes;   /* of one key */
    double expires; /* seconds after a key's last row; infinite: never */
    mbr_edge *edges;
    int count;
} mbr_model_state;

typedef struct mbr_rule {
    const char *name;
    bool always;
    mbr_expr when;
    bool sticky;          /* once on, on until `leave` */
    mbr_expr leave;
    int keeps;            /* of a sticky rule: where its memory is */
    struct mbr_cheapest *cheapest; /* NULL: `action` */
    int action;
    int line;
} mbr_rule;

/* One value of a column, as a text of the decision. */
typedef struct mbr_text_of {
    const char *name;
    int col, at;
} mbr_text_of;

struct mbr_pipeline {
    mbr_memory *memory;
    atomic_int references;
    mbr_arena arena;
    mbr_env *env;
    mbr_model *model;
    const char *file, *name;
    char delimiter;
    mbr_strings missing;  /* texts that mean a missing value, beside the empty one */
    bool refuse_extra;
    mbr_input *inputs;    /* (input_count) */
    mbr_names input_names;
    int input_count, id;  /* id: of inputs, or -1 */
    mbr_step *features, *posts;
    int feature_count, post_count;
    mbr_feed *feeds;      /* (feed_count) */
    mbr_fetch *fetches;   /* (fetch_count) */
    int feed_count, fetch_count;
    mbr_model_state *state; /* NULL: the model has none */
    int tensor_feeds;     /* how many of the feeds take tensor columns */
    int *scores;          /* (score_count), columns */
    int score_count;
    mbr_text_of *texts;   /* (text_count) */
    int text_count;
    mbr_rule *rules;      /* (rule_count); the last is always true */
    int rule_count;
    const char **actions; /* (action_count) */
    int action_count;
    int fallback;         /* of actions, or -1 */
    int *fallbacks;       /* (MBR_CAUSE_COUNT), the same by cause */
    bool model_fallback;  /* a model that cannot run is a fault of the rows */
    int sticky_rules;
    struct mbr_pipeline_actions *actions_of;
    mbr_hash hash;        /* of the pipeline file */
    const char *model_path;
    bool single;          /* the model takes one row at a time */
    bool fitting;         /* see mbr_pipeline_options */
    struct mbr_pipeline_drift *drift; /* NULL: none */
    struct mbr_pipeline_reasons *reasons; /* NULL: none */
    mbr_latency latency;
    mbr_resources resources;
    atomic_size_t reserved; /* memory of deciders, where there is a cap */
    mbr_scope scope;
};

/* A path of the pipeline file, relative to its folder; NULL without memory. */
const char *mbr_pipeline_beside(mbr_arena *arena, const char *file, const char *path);

/* All steps, features first. */
int mbr_pipeline_step_count(const mbr_pipeline *p);
const mbr_step *mbr_pipeline_step(const mbr_pipeline *p, int i);

/* pipeline_model.c: the two ends where a pipeline meets its model. */
mbr_status mbr_pipeline_read_feeds(mbr_pipeline *p, const mbr_compiling *c, const mbr_node *tensors);
mbr_status mbr_pipeline_read_fetches(mbr_pipeline *p, const mbr_compiling *c, const mbr_node *outputs);

/* pipeline_state.c: which inputs of the model its outputs feed; before the feeds. */
mbr_status mbr_pipeline_read_state(mbr_pipeline *p, const mbr_compiling *c, const mbr_node *state);

/* pipeline_rules.c: `scores` (NULL: every single number column from the first-th on), `rules`, `fallback` (or NULL). */
mbr_status mbr_pipeline_read_scores(mbr_pipeline *p, const mbr_reading *r, const mbr_node *scores, int first);
mbr_status mbr_pipeline_read_rules(mbr_pipeline *p, const mbr_reading *r, const mbr_node *rules,
                                   const mbr_node *fallback);
int mbr_pipeline_action_index(const mbr_pipeline *p, const char *name); /* -1: there is none */
mbr_status mbr_pipeline_add_action(mbr_pipeline *p, const mbr_reading *r, const mbr_node *n, const char *name,
                                   int *index);

#endif
