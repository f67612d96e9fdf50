/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Drift: does live data still look like the data that the model was trained on, and is the model still right?
 *
 * A baseline is what is remembered of the training data: for each column a histogram, quantiles, category counts,
 * missing rate and range, the rank correlations, and how the scores were calibrated. A monitor holds a window of live
 * rows against it; when the window is full it computes the statistics, decides with the false alarms of all columns
 * together under control, and tells what has changed:
 *
 *     mbr_drift_column columns[] = { { "amount", MBR_DRIFT_NUMBER, MBR_DRIFT_FEATURE },
 *                                    { "country", MBR_DRIFT_CATEGORY, MBR_DRIFT_FEATURE } };
 *     mbr_drift_fit_options how = { .size = sizeof how, .columns = columns, .column_count = 2 };
 *     mbr_drift_fit_new(env, &how, &fit, &err);
 *     mbr_drift_cells cells[] = { { .numbers = amount }, { .texts = country } };
 *     mbr_drift_fit_rows(fit, cells, rows, &err);               // as often as there is data
 *     mbr_drift_fit_finish(fit, &baseline, &err);
 *     mbr_drift_baseline_save(baseline, "model.drift", &err);
 *
 *     mbr_drift_options options = { .size = sizeof options, .window_rows = 2000, .on_event = tell };
 *     mbr_drift_monitor_new(baseline, &options, &monitor, &err);
 *     mbr_drift_monitor_rows(monitor, cells, rows, now, &err);  // with each batch, or row by row
 *
 * Statistics, tests and their limits are described in docs/drift.md.
 *
 * Threads: a baseline is immutable and may be shared. A fit and a monitor belong to one thread at a time. Several
 * threads or processes watch one stream with a monitor each that only accumulates (options.accumulate), and one
 * monitor that takes them in (mbr_drift_monitor_merge). Events are given on the thread that closes the window.
 */
#ifndef MBR_DRIFT_H
#define MBR_DRIFT_H

#include "mbr/dtype.h"
#include "mbr/env.h"
#include "mbr/model.h"
#include "mbr/pipeline.h"

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mbr_drift_fit mbr_drift_fit;
typedef struct mbr_drift_baseline mbr_drift_baseline;
typedef struct mbr_drift_monitor mbr_drift_monitor;

/* ---- columns ---- */

typedef enum mbr_drift_type {
    MBR_DRIFT_NUMBER = 0,  /* double; NaN: missing */
    MBR_DRIFT_CATEGORY = 1 /* text; data NULL: missing */
} mbr_drift_type;

typedef enum mbr_drift_role {
    MBR_DRIFT_FEATURE = 0,
    MBR_DRIFT_OUTPUT = 1, /* of the model; the first number among them is the score */
    MBR_DRIFT_LABEL = 2   /* of a fit only: the truth, 0 or 1 (NaN: not known); calibrates the score */
} mbr_drift_role;

typedef struct mbr_drift_column {
    const char *name;
    mbr_drift_type type;
    mbr_drift_role role;
} mbr_drift_column;

/* One column of some rows. */
typedef struct mbr_drift_cells {
    const double *numbers;   /* of a number column */
    const mbr_string *texts; /* of a category column */
    size_t stride;           /* values from one row to the next; 0: 1 */
} mbr_drift_cells;

/* A longer text counts as its first 200 bytes and a digest. A text that is not UTF-8 counts as one category of all such. */
#define MBR_DRIFT_TEXT 256
#define MBR_DRIFT_MAX_COLUMNS 4096

/* ---- baseline ---- */

typedef struct mbr_drift_fit_options {
    size_t size;                     /* sizeof(mbr_drift_fit_options) */
    const mbr_drift_column *columns; /* (column_count), names differ; copied */
    int column_count;
    int bins;                        /* of a histogram, 4 to 1024; 0: 64 */
    int categories;                  /* of a column that are kept by name, the rest is one, 2 to 4096; 0: 64 */
    size_t whole;                    /* a column of so many values is kept as it is, else as quantiles; 0: 2048 */
    double threshold;                /* of the score: from here on the answer is yes; 0: 0.5 */
    uint64_t seed;                   /* of samples */
} mbr_drift_fit_options;

MBR_API mbr_status mbr_drift_fit_new(mbr_env *env, const mbr_drift_fit_options *options, mbr_drift_fit **out,
                                     mbr_error *err);
/* cells has an item for each column, in the order of the columns. */
MBR_API mbr_status mbr_drift_fit_rows(mbr_drift_fit *fit, const mbr_drift_cells *cells, size_t rows, mbr_error *err);
/* MBR_ERR_INPUT where there are fewer than two rows. The fit stays the caller's, and may take more rows. */
MBR_API mbr_status mbr_drift_fit_finish(mbr_drift_fit *fit, mbr_drift_baseline **out, mbr_error *err);
MBR_API void mbr_drift_fit_release(mbr_drift_fit **fit);

/* Writes beside the path and renames: there is the old file or the new one, never half of one. */
MBR_API mbr_status mbr_drift_baseline_save(const mbr_drift_baseline *baseline, const char *path, mbr_error *err);
/* MBR_ERR_FORMAT: no baseline, one of another version, or a damaged one (there is a checksum). */
MBR_API mbr_status mbr_drift_baseline_open(mbr_env *env, const char *path, mbr_drift_baseline **out, mbr_error *err);
MBR_API mbr_status mbr_drift_baseline_open_memory(mbr_env *env, const void *data, size_t bytes, const char *name,
                                                  mbr_drift_baseline **out, mbr_error *err);
/* Releases *baseline once its last monitor is gone, and sets it to NULL. */
MBR_API void mbr_drift_baseline_release(mbr_drift_baseline **baseline);

/* Columns that a monitor wants, in order (labels are none of them). */
MBR_API int mbr_drift_baseline_column_count(const mbr_drift_baseline *baseline);
/* False beyond the end. The name lives as long as the baseline. */
MBR_API int mbr_drift_baseline_column(const mbr_drift_baseline *baseline, int index, mbr_drift_column *column);
MBR_API uint64_t mbr_drift_baseline_rows(const mbr_drift_baseline *baseline);

/* ---- events and what they set off ---- */

typedef enum mbr_drift_level {
    MBR_DRIFT_OK = 0,
    MBR_DRIFT_WARN = 1,
    MBR_DRIFT_ALARM = 2
} mbr_drift_level;

typedef enum mbr_drift_event_kind {
    MBR_DRIFT_EVENT_WINDOW = 0,  /* a window was judged */
    MBR_DRIFT_EVENT_LEVEL = 1,   /* the monitor's level went up or down */
    MBR_DRIFT_EVENT_CONCEPT = 2, /* a detector found that the errors have changed */
    MBR_DRIFT_EVENT_PROBLEM = 3  /* an action failed or the state could not be saved; the monitor goes on */
} mbr_drift_event_kind;

/* Texts are valid until the callback returns. */
typedef struct mbr_drift_event {
    size_t size;             /* sizeof(mbr_drift_event) */
    mbr_drift_event_kind kind;
    mbr_drift_level level, before;
    uint64_t window, rows;   /* number of the window, from 1; rows in it */
    double time;             /* of the last row */
    const char *subject;     /* the column, detector or file it is about, or NULL */
    const char *reason;      /* "quantiles", "missing" ... or NULL */
    double value, p;         /* of the reason's statistic; chance of it without drift, all columns considered */
    const char *message;     /* a sentence */
    const char *json;        /* the same as an object on one line */
} mbr_drift_event;

typedef void (*mbr_drift_event_fn)(void *user, const mbr_drift_event *event);

/* Set off when the level goes up to at_least or beyond. None of them can fail a call: see MBR_DRIFT_EVENT_PROBLEM. */
typedef enum mbr_drift_action_kind {
    MBR_DRIFT_ACTION_LOG = 0,      /* a line to the environment's log */
    MBR_DRIFT_ACTION_COMMAND = 1,  /* a program, without a shell; the event's JSON is its last argument */
    MBR_DRIFT_ACTION_WEBHOOK = 2,  /* HTTP POST of the event's JSON; needs libcurl where the program runs */
    MBR_DRIFT_ACTION_FALLBACK = 3, /* mbr_drift_monitor_fallback is true until the level is OK again */
    MBR_DRIFT_ACTION_RETRAIN = 4   /* a file that asks to retrain: the event and a sample of the window's rows, JSON */
} mbr_drift_action_kind;

typedef struct mbr_drift_action {
    mbr_drift_action_kind kind;
    mbr_drift_level at_least;  /* OK: ALARM */
    const char *const *argv;   /* of a command: ends with NULL; argv[0] is looked up in PATH */
    const char *target;        /* URL of a webhook, path of a retrain file */
    int timeout_ms;            /* of a webhook; 0: 5000 */
} mbr_drift_action;

/* ---- monitor ---- */

typedef enum mbr_drift_control {
    MBR_DRIFT_BENJAMINI_HOCHBERG = 0,
    MBR_DRIFT_BONFERRONI = 1
} mbr_drift_control;

typedef struct mbr_drift_options {
    size_t size;               /* sizeof(mbr_drift_options) */
    uint64_t window_rows;      /* a window ends after so many rows; 0: 2000, or only by time where that is given */
    double window_seconds;     /* and after so long; 0: by rows only */
    uint64_t least_rows;       /* a window of fewer rows is not judged and goes on; 0: 50 */
    size_t whole;              /* values a column that a window keeps as they are, beyond them a sketch; 0: 10000 */
    mbr_drift_control control;
    double warn, alarm;        /* chance of a false one in a window, all columns together; 0: 0.005 and 0.001 */
    double least_distance;     /* shifts of fewer ranks (KS) are of no interest however certain; 0: 0.02 */
    int clear_after;           /* the level goes down after so many quiet windows; 0: 3 */
    int accumulate;            /* not 0: collects for mbr_drift_monitor_merge, judges nothing */
    const char *state_path;    /* kept up to date, and read when it is there; NULL: none */
    uint64_t save_rows;        /* saved at each window's end and after so many rows; 0: 10000 */
    int durable;               /* not 0: saved data reaches the disk before the call returns (power cuts) */
    const mbr_drift_action *actions; /* (action_count), copied */
    int action_count;
    mbr_drift_event_fn on_event;
    void *user;
    int pending;               /* predictions that wait for their label, the oldest goes first; 0: 65536 */
    uint64_t seed;             /* of samples */
    size_t sample;             /* quantiles of at most so many rows of a window, drawn evenly, in place of a sketch of all
                                  beyond `whole`; counts, range and shares are of all rows; 0: no sample */
    int spread;                /* not 0: a full window is judged bit by bit while the next rows come: a column with each
                                  row, then the correlations of one, then all together; the level and what it sets off
                                  follow that many rows later. Saving, merging and release judge the rest at once */
} mbr_drift_options;

/*
 * options may be NULL. MBR_ERR_FORMAT or MBR_ERR_INPUT where the state file is damaged or belongs to another baseline:
 * remove it to begin anew. The monitor keeps the baseline alive.
 */
MBR_API mbr_status mbr_drift_monitor_new(mbr_drift_baseline *baseline, const mbr_drift_options *options,
                                         mbr_drift_monitor **out, mbr_error *err);
/* Saves the state where there is a path, waits for what actions have begun (their timeout at most), frees. */
MBR_API void mbr_drift_monitor_release(mbr_drift_monitor **monitor);

/*
 * Takes rows. time: seconds, of any clock; NaN: the system's. A clock that steps back makes the open window longer by
 * the step at most. MBR_ERR_ARGUMENT for cells that lack a column.
 */
MBR_API mbr_status mbr_drift_monitor_rows(mbr_drift_monitor *monitor, const mbr_drift_cells *cells, size_t rows,
                                          double time, mbr_error *err);
/* Ends the window now and judges it; nothing happens when it has fewer than least_rows. */
MBR_API mbr_status mbr_drift_monitor_close_window(mbr_drift_monitor *monitor, mbr_error *err);

/* Labels: either both at once, or the score now and the label when it is known. A NaN is not counted. */
MBR_API mbr_status mbr_drift_monitor_outcome(mbr_drift_monitor *monitor, double score, double label, mbr_error *err);
MBR_API mbr_status mbr_drift_monitor_predicted(mbr_drift_monitor *monitor, const char *id, double score,
                                               mbr_error *err);
/* MBR_ERR_INPUT for an id that is not waiting (never seen, labelled before, or too old). */
MBR_API mbr_status mbr_drift_monitor_label(mbr_drift_monitor *monitor, const char *id, double label, mbr_error *err);

/* Takes what `from` has collected into the open window and leaves `from` empty. Both have the same baseline. */
MBR_API mbr_status mbr_drift_monitor_merge(mbr_drift_monitor *monitor, mbr_drift_monitor *from, mbr_error *err);
/* The same from the state file of another process, which is left as it is. */
MBR_API mbr_status mbr_drift_monitor_merge_file(mbr_drift_monitor *monitor, const char *path, mbr_error *err);

MBR_API mbr_status mbr_drift_monitor_save(mbr_drift_monitor *monitor, const char *path, mbr_error *err);
/* Replaces everything that was observed. On failure the monitor is as it was. */
MBR_API mbr_status mbr_drift_monitor_restore(mbr_drift_monitor *monitor, const char *path, mbr_error *err);

MBR_API mbr_drift_level mbr_drift_monitor_level(const mbr_drift_monitor *monitor);
/* Not 0: an action of kind FALLBACK is in force. */
MBR_API int mbr_drift_monitor_fallback(const mbr_drift_monitor *monitor);

/* ---- what was found ---- */

/* A column of the last window that was judged. NaN where a statistic does not exist (no values, another type). */
typedef struct mbr_drift_result {
    size_t size;               /* sizeof(mbr_drift_result) */
    mbr_drift_level level;     /* of the column, after hysteresis */
    uint64_t rows, missing, infinite, below, above; /* of the window; outside of the baseline's range */
    uint64_t invalid, unknown; /* texts that are not UTF-8; texts that the baseline does not name */
    double mean, deviation;
    double ks, ks_p;           /* Kolmogorov-Smirnov, two samples */
    double psi, js;            /* population stability index; Jensen-Shannon distance (the root, natural logarithm) */
    double wasserstein;        /* in the column's unit; evidently's norm is this over baseline_deviation */
    double chi2, chi2_p;       /* of a contingency table, two samples */
    double chi2_fit, chi2_fit_p; /* of goodness of fit: the baseline's shares are taken as exact */
    double baseline_deviation;
    double rank_error;         /* that quantiles, ks and wasserstein may carry from sketches; 0: exact */
    double p, adjusted;        /* smallest of the column's tests, corrected for their number; and for all columns' */
    const char *reason;        /* the test that gave p */
} mbr_drift_result;

/* MBR_ERR_INPUT where no window has been judged. */
MBR_API mbr_status mbr_drift_monitor_result(const mbr_drift_monitor *monitor, int column, mbr_drift_result *result,
                                            mbr_error *err);

/* The model itself, where the baseline was fitted with labels. NaN where not known. */
typedef struct mbr_drift_quality {
    size_t size;             /* sizeof(mbr_drift_quality) */
    uint64_t rows, labelled; /* of the last window; outcomes since the beginning */
    double accuracy, precision, recall, f1, auc;       /* estimated for the last window, without labels */
    double baseline_accuracy, baseline_auc;            /* of the baseline's rows */
    double p;                /* of as large a change of accuracy without drift */
    double error_rate;       /* of the outcomes, of ADWIN's window */
    uint64_t adwin, ddm, page_hinkley;                 /* how often each has found a change */
} mbr_drift_quality;

MBR_API mbr_status mbr_drift_monitor_quality(const mbr_drift_monitor *monitor, mbr_drift_quality *quality,
                                             mbr_error *err);

/* A page that needs nothing else (HTML with SVG inside), or JSON. monitor may be NULL: the baseline alone. */
MBR_API mbr_status mbr_drift_report_html(const mbr_drift_baseline *baseline, const mbr_drift_monitor *monitor,
                                         mbr_write_fn write, void *user, mbr_error *err);
MBR_API mbr_status mbr_drift_report_json(const mbr_drift_baseline *baseline, const mbr_drift_monitor *monitor,
                                         mbr_write_fn write, void *user, mbr_error *err);

/* ---- files of rows: CSV with a header, or JSON lines ---- */

typedef struct mbr_drift_file_options {
    size_t size;              /* sizeof(mbr_drift_file_options) */
    int json_lines;           /* 1: JSON lines, -1: CSV, 0: by the file's name (.jsonl, .ndjson, .json) */
    const char *label;        /* name of the label's column; NULL: none */
    const char *outputs;      /* names of the outputs, separated by commas, the score first; NULL: none */
    const char *categories;   /* columns that are categories though they look like numbers */
    const char *ignore;       /* columns that are left out */
    const char *time;         /* column with the time of a row, in seconds or ISO 8601 */
    char delimiter;           /* 0: a comma */
} mbr_drift_file_options;

/*
 * Fits a baseline on a file: a column whose texts of the first 1000 rows are all numbers is one of numbers. path "-" is
 * standard input. how: its columns are not looked at. Broken rows are counted into *faulty (may be NULL) and left out.
 */
MBR_API mbr_status mbr_drift_fit_file(mbr_env *env, const char *path, const mbr_drift_fit_options *how,
                                      const mbr_drift_file_options *file, mbr_drift_baseline **out, uint64_t *faulty,
                                      mbr_error *err);
/*
 * Takes all rows of a file. A column that the baseline has and the file lacks is MBR_ERR_INPUT; others are passed over.
 * A field of a number column that is no number counts as missing, and its row as faulty. With a label column (and a
 * score) outcomes are counted too.
 */
MBR_API mbr_status mbr_drift_monitor_file(mbr_drift_monitor *monitor, const char *path,
                                          const mbr_drift_file_options *file, uint64_t *faulty, mbr_error *err);

/* ---- pipelines: the section `drift` of a pipeline file (docs/pipeline.md) ---- */

/*
 * Fits a baseline on what a pipeline makes of a file: its inputs but the id and times, as columns, and its scores as
 * outputs. Rows that are faulty are left out. Nothing else may use the pipeline meanwhile. A pipeline that was opened
 * with a label (mbr_pipeline_options.label) gives the baseline that column's 0 and 1 (false and true, no and yes).
 */
MBR_API mbr_status mbr_drift_fit_pipeline(mbr_pipeline *pipeline, const char *path, mbr_rows_format format,
                                          const mbr_drift_fit_options *how, mbr_drift_baseline **out,
                                          uint64_t *faulty, mbr_error *err);

/* A decider's monitor, for labels, reports and its level; NULL where the pipeline has no drift. It stays the decider's. */
MBR_API mbr_drift_monitor *mbr_decider_monitor(mbr_decider *decider);

#ifdef __cplusplus
}
#endif

#endif
