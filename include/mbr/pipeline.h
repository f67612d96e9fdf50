/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pipelines: from a row of application data to an action.
 *
 * A pipeline is a YAML (or JSON) file that names a model, the columns of the application's data, the feature steps
 * that turn them into tensors, what to read from the model's outputs, and ordered rules over scores and inputs; its
 * language is described in docs/pipeline.md. A decider is one stream of decisions of a pipeline:
 *
 *     mbr_pipeline *p;
 *     mbr_decider *d;
 *     if (mbr_pipeline_open(env, "fraud/pipeline.yaml", NULL, &p, &err) != MBR_OK ||
 *         mbr_decider_new(p, NULL, &d, &err) != MBR_OK)
 *         fprintf(stderr, "%s\n", err.text);           // "fraud/pipeline.yaml:12: ..."
 *
 *     mbr_field row[] = { { .name = "amount", .kind = MBR_FIELD_NUMBER, .number = 12.5 },
 *                         { .name = "country", .kind = MBR_FIELD_TEXT, .text = "DE", .text_size = 2 } };
 *     mbr_decision decision = { .size = sizeof decision };
 *     mbr_decider_row(d, row, 2, &decision, &err);     // decision.action is "APPROVE", say
 *
 *     mbr_decider_file(d, "today.csv", MBR_ROWS_AUTO, on_decision, user, &totals, &err);
 *
 *     mbr_decider_release(&d);
 *     mbr_pipeline_release(&p);
 *
 * Faults of a row (a field that is no number, a value that is missing where it must not be, a rule that divides by
 * zero, a broken line) belong to that row: it gets the fallback action, or no action where the pipeline has none,
 * together with a message; the rows after it go on. Faults of the pipeline, the model or the whole input (a column
 * that is not there) are refused up front with a status.
 *
 * Threads: a pipeline is immutable once open and may be shared. A decider belongs to one thread at a time; different
 * deciders of one pipeline may run at once.
 */
#ifndef MBR_PIPELINE_H
#define MBR_PIPELINE_H

#include "mbr/env.h"
#include "mbr/model.h"
#include "mbr/value.h"

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mbr_pipeline mbr_pipeline;
typedef struct mbr_decider mbr_decider;

/* ---- opening ---- */

typedef struct mbr_pipeline_options {
    size_t size;             /* sizeof(mbr_pipeline_options) */
    const char *model_path;  /* NULL: what the pipeline says, relative to its folder */
    const mbr_model_options *model_options; /* NULL: defaults */
    int fitting;             /* not 0: files that are learned from the pipeline's rows (`learned` of `reasons`) need not
                                be there yet; for mbr_explain_fit */
    const char *label;       /* one more column that rows have, of which the pipeline knows nothing: mbr_decision.label */
} mbr_pipeline_options;

/*
 * Reads a pipeline file, opens its model, and checks the two against each other: names, types, tensor shapes, rules.
 * options may be NULL. On success *out is the caller's; on failure it is NULL and the message begins with FILE:LINE.
 * MBR_ERR_IO: a file cannot be read. MBR_ERR_FORMAT: not YAML, or a key, type or value that the format does not have.
 * MBR_ERR_INPUT: the features do not fit the model. Anything that mbr_model_open gives.
 */
MBR_API mbr_status mbr_pipeline_open(mbr_env *env, const char *path, const mbr_pipeline_options *options,
                                     mbr_pipeline **out, mbr_error *err);

/*
 * The same from `bytes` bytes at `text`, which are not needed after the call. `name` stands for the file in messages;
 * a relative model path is looked for in the folder of `name`.
 */
MBR_API mbr_status mbr_pipeline_open_memory(mbr_env *env, const void *text, size_t bytes, const char *name,
                                            const mbr_pipeline_options *options, mbr_pipeline **out, mbr_error *err);

/* Releases *pipeline once its last decider is gone, and sets it to NULL. NULL and a pointer to NULL are fine. */
MBR_API void mbr_pipeline_release(mbr_pipeline **pipeline);

/* ---- looking inside; texts live as long as the pipeline ---- */

MBR_API const char *mbr_pipeline_name(const mbr_pipeline *pipeline);
MBR_API mbr_model *mbr_pipeline_model(const mbr_pipeline *pipeline); /* stays the pipeline's */

/* The columns that rows must have, in the order of the file. type is "number", "string" or "time". */
MBR_API int mbr_pipeline_input_count(const mbr_pipeline *pipeline);
MBR_API const char *mbr_pipeline_input_name(const mbr_pipeline *pipeline, int index); /* NULL beyond the end */
MBR_API const char *mbr_pipeline_input_type(const mbr_pipeline *pipeline, int index);

/* The scores of a decision, in order; the first is the main one. */
MBR_API int mbr_pipeline_score_count(const mbr_pipeline *pipeline);
MBR_API const char *mbr_pipeline_score_name(const mbr_pipeline *pipeline, int index);

/* The texts of a decision, in order: the columns of the section `texts`, NAME[0], NAME[1] ... of a wide one. */
MBR_API int mbr_pipeline_text_count(const mbr_pipeline *pipeline);
MBR_API const char *mbr_pipeline_text_name(const mbr_pipeline *pipeline, int index);

/* The actions that rules and fallback can give, each once, in the order of their first mention. */
MBR_API int mbr_pipeline_action_count(const mbr_pipeline *pipeline);
MBR_API const char *mbr_pipeline_action_name(const mbr_pipeline *pipeline, int index);

/* Prints inputs, steps with their types and widths, tensors, scores and rules as text, piece by piece. */
MBR_API mbr_status mbr_pipeline_describe(const mbr_pipeline *pipeline, mbr_write_fn write, void *user, mbr_error *err);

typedef enum mbr_picture {
    MBR_PICTURE_SVG = 0,
    MBR_PICTURE_DOT = 1, /* of Graphviz */
    MBR_PICTURE_HTML = 2 /* a page that needs nothing else */
} mbr_picture;

/* Draws inputs, steps, tensors, model and rules as boxes, with arrows from what is read. */
MBR_API mbr_status mbr_pipeline_draw(const mbr_pipeline *pipeline, mbr_picture how, mbr_write_fn write, void *user,
                                     mbr_error *err);

/* ---- deciding ---- */

typedef struct mbr_decider_options {
    size_t size;         /* sizeof(mbr_decider_options) */
    int batch;           /* rows per run of the model, 1 to 4096; 0: 256, or 16 where rows are tensors, or 1 where the
                            model takes one row at a time */
    int threads;         /* as in mbr_session_options */
    size_t memory_limit; /* as in mbr_session_options */
    int times;           /* not 0: stages are timed also where the pipeline has no section `latency` (mbr/deadline.h) */
    const char *log_path; /* file of the decision log; NULL: what the pipeline says, "": none */
} mbr_decider_options;

/*
 * options may be NULL. On success *out is the caller's. The decider keeps the pipeline alive. MBR_ERR_LIMIT, with the
 * bill in the message, where it needs more than the section `resources` allows.
 */
MBR_API mbr_status mbr_decider_new(mbr_pipeline *pipeline, const mbr_decider_options *options, mbr_decider **out,
                                   mbr_error *err);

/* Frees the decider and sets *decider to NULL. */
MBR_API void mbr_decider_release(mbr_decider **decider);

/* Why: what a feature, or a group of them, added to the model's raw score. See the section `reasons` of the format. */
typedef struct mbr_reason {
    const char *name;    /* the text that the pipeline gives it, else the feature's name */
    double contribution; /* above 0: it raised the score */
} mbr_reason;

/* One decision. Texts and arrays are the decider's, valid until the callback returns or the decider's next call. */
typedef struct mbr_decision {
    size_t size;           /* sizeof(mbr_decision) */
    uint64_t row;          /* from 1, broken rows count too */
    uint64_t line;         /* of the input where the row begins, from 1; 0: the row came from memory */
    const char *id;        /* the pipeline's id column, or NULL where there is none or the row is broken */
    const char *action;    /* NULL: the row is faulty and the pipeline has no fallback */
    const char *rule;      /* name of the rule that fired, "fallback", or NULL without action */
    const char *error;     /* what is wrong with the row (with its line number), or NULL */
    const double *scores;  /* (score_count), NaN where there is none: a faulty row, say */
    int score_count;
    const mbr_reason *reasons; /* (reason_count), the weightiest first */
    int reason_count;      /* 0 where the pipeline names none, or not for this action */
    const char *decision_id; /* 32 hexadecimal digits: no other decision has them; a replay of the log gives the same */
    const char *cause;     /* why the action is not the rule's: "input", "row", "late", "model", "drift" (a fallback),
                              "cap", "cool_down" (another action instead); NULL: it is */
    const char *label;     /* what the column mbr_pipeline_options.label holds; NULL: nothing */
    const char *const *texts; /* (text_count), UTF-8; NULL where there is none: missing, or the row is faulty */
    int text_count;
} mbr_decision;

/* Called once a row, in the order of the rows. Anything but MBR_OK ends the call, which then returns that status. */
typedef mbr_status (*mbr_decision_fn)(void *user, const mbr_decision *decision);

/* A field of a row in memory. Text need not be terminated. */
typedef enum mbr_field_kind {
    MBR_FIELD_MISSING = 0,
    MBR_FIELD_NUMBER = 1,
    MBR_FIELD_TEXT = 2 /* also for numbers and times, which are then parsed as in a CSV file */
} mbr_field_kind;

typedef struct mbr_field {
    const char *name;
    mbr_field_kind kind;
    double number;
    const char *text;
    size_t text_size;
} mbr_field;

/*
 * Decides one row. A field that the pipeline does not know is ignored, unless it says `extra_columns: error`; an input
 * without a field is missing. Set decision->size before the call. MBR_OK also for a faulty row: see decision->error.
 */
MBR_API mbr_status mbr_decider_row(mbr_decider *decider, const mbr_field *fields, size_t field_count,
                                   mbr_decision *decision, mbr_error *err);

typedef enum mbr_rows_format {
    MBR_ROWS_AUTO = 0, /* by the file's name (.csv, .json, .jsonl, .ndjson), else JSON lines if '{' comes first */
    MBR_ROWS_CSV = 1,  /* RFC 4180 with a header row */
    MBR_ROWS_JSONL = 2 /* one JSON object a line; needs a build with jansson */
} mbr_rows_format;

typedef struct mbr_decide_totals {
    size_t size;       /* set by the caller to sizeof(mbr_decide_totals) */
    uint64_t rows;     /* all rows, broken ones too */
    uint64_t faulty;   /* rows with an error */
    uint64_t undecided; /* rows that got no action: 0 means that every row got one */
} mbr_decide_totals;

/*
 * Decides every row of a file (for standard input use the reader) in batches, calling
 * fn in the order of the rows. totals may be NULL; it is filled on failure too, with what was done until then.
 * MBR_ERR_IO, MBR_ERR_INPUT (a column is missing, twice there, or unknown where that is an error), MBR_ERR_FORMAT (no
 * header), what a run of the model gives, or what fn returned.
 */
MBR_API mbr_status mbr_decider_file(mbr_decider *decider, const char *path, mbr_rows_format format, mbr_decision_fn fn,
                                    void *user, mbr_decide_totals *totals, mbr_error *err);

/* The same from a reader (see mbr_model_open_reader). `name` stands for the input in messages. Rows are decided as
 * soon as a batch is full or the reader ends; with batch 1 each row is decided as soon as its last byte is read. */
MBR_API mbr_status mbr_decider_reader(mbr_decider *decider, const char *name, mbr_read_fn read, void *read_user,
                                      mbr_rows_format format, mbr_decision_fn fn, void *user,
                                      mbr_decide_totals *totals, mbr_error *err);

/* ---- pre-processing alone ---- */

/* A tensor that the model would take as its input `input`; valid until it returns. */
typedef mbr_status (*mbr_tensor_fn)(void *user, int input, const char *name, const mbr_value *tensor);

/*
 * Takes the rows of a file (read NULL) or a reader through the features and gives the tensors of all of them, or of the
 * row-th (0: all), once for each entry of `tensors`; no model runs, nothing is decided. MBR_ERR_INPUT: one of the rows
 * is faulty, or there is none; MBR_ERR_LIMIT: more rows than the decider's batch.
 */
MBR_API mbr_status mbr_decider_tensors(mbr_decider *decider, const char *name, mbr_read_fn read, void *read_user,
                                       mbr_rows_format format, uint64_t row, mbr_tensor_fn fn, void *user,
                                       mbr_error *err);

/* ---- what a decider remembers ---- */

/*
 * A decider keeps the states of the model, of each key (section `state` of the pipeline, in bounded memory), and what
 * stateful steps keep (windows, aggregates). Saving is atomic: a file of another name is written, brought to the disk
 * and renamed. Restoring replaces what is there; after a failure (MBR_ERR_FORMAT: damaged, MBR_ERR_INPUT: of another
 * pipeline or model) the decider has no states of the model, and those of steps are undefined: release it.
 */
MBR_API mbr_status mbr_decider_save(const mbr_decider *decider, const char *path, mbr_error *err);
MBR_API mbr_status mbr_decider_restore(mbr_decider *decider, const char *path, mbr_error *err);

/* Another decider of the same pipeline and options that goes on from here; *out is the caller's. */
MBR_API mbr_status mbr_decider_fork(const mbr_decider *decider, mbr_decider **out, mbr_error *err);

/* Keys whose model state is held now. */
MBR_API size_t mbr_decider_key_count(const mbr_decider *decider);
/* Not 0 if the key's state was there; it begins anew. */
MBR_API int mbr_decider_forget(mbr_decider *decider, const char *key, size_t key_size);
/* Gives a second key a copy of the state of a first one. MBR_ERR_ARGUMENT: there is none. */
MBR_API mbr_status mbr_decider_fork_key(mbr_decider *decider, const char *from, size_t from_size, const char *to,
                                        size_t to_size, mbr_error *err);
/* Forgets keys whose last row is longer ago than `expires` of the pipeline; rows do so themselves when their key comes
 * again. now: in seconds since 1970 where the state has a time column, ignored otherwise. Returns how many. */
MBR_API size_t mbr_decider_expire(mbr_decider *decider, double now);

#ifdef __cplusplus
}
#endif

#endif
