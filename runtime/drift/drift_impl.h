/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parts of drift: a baseline (baseline.c, made by fit.c), the window of a monitor (window.c), what is concluded from
 * it (judge.c), detectors on labels (concept.c), the monitor itself with its state (monitor.c, state.c), what it sets
 * off (action.c), and pages about it (report.c).
 */
#ifndef MBR_RUNTIME_DRIFT_IMPL_H
#define MBR_RUNTIME_DRIFT_IMPL_H

#include "kernels/histogram.h"
#include "mbr/drift.h"
#include "runtime/drift/drift_concept.h"
#include "runtime/drift/drift_file.h"
#include "runtime/drift/drift_sketch.h"
#include "runtime/rows/words.h"

#include <stdatomic.h>

#define MBR_DRIFT_MAX_BINS 1024
#define MBR_DRIFT_MAX_NAMES 4096
#define MBR_DRIFT_RELATED 64     /* columns whose correlations are watched, at most */
#define MBR_DRIFT_SAMPLE 256     /* rows of a window that are kept as they are */
#define MBR_DRIFT_BASE_SAMPLE 2048
#define MBR_DRIFT_SCORE_BINS 256 /* of calibrated scores, for the area under the curve */
#define MBR_DRIFT_KNOTS 1024     /* of a calibration, at most */
#define MBR_DRIFT_BLOCK 256      /* rows that are counted together */
#define MBR_DRIFT_STRIDE (MBR_DRIFT_BLOCK + 8) /* of columns of a block: neighbours do not share a place in the cache */
#define MBR_DRIFT_BUCKETS 16384  /* that a whole window is sorted into, at most */
#define MBR_DRIFT_TIMELINE 256   /* windows that are remembered */

/* ---- baseline ---- */

typedef struct mbr_base_col {
    const char *name;
    mbr_drift_type type;
    mbr_drift_role role;
    uint64_t rows, missing;
    /* numbers; values: those that are neither missing nor infinite */
    uint64_t infinite, values;
    double least, greatest, mean, deviation; /* NaN where there are no values */
    bool logarithmic;
    int bins;
    double lo, scale;        /* of keys: bin i begins at lo + i / scale */
    uint64_t *counts;        /* (bins + 3), as of the kernel */
    double *quantiles;       /* (quantile_count), rising; each stands for values / quantile_count */
    size_t quantile_count;
    double rank_error;       /* of the quantiles; 0: they are the values themselves */
    /* categories */
    mbr_string *names;       /* (name_count), the most frequent first */
    uint64_t *name_counts;
    size_t name_count;
    uint64_t other, invalid;
    uint32_t *slots;         /* (slot_count) index + 1 by digest, 0: free */
    size_t slot_count;
} mbr_base_col;

/* How scores relate to the truth, from a fit with labels. */
typedef struct mbr_calibration {
    size_t count;            /* of knots; 0: there were no labels */
    double *score, *chance;  /* (count), both rising */
    double labelled, accuracy, auc;      /* of the baseline's labelled rows */
    double confidence, confidence_variance; /* of the chance that the answer is right, over rows */
} mbr_calibration;

struct mbr_drift_baseline {
    mbr_memory *memory;
    mbr_env *env;
    atomic_int references;
    mbr_arena arena;
    mbr_base_col *cols;      /* (col_count) */
    int col_count;
    int score;               /* of cols, or -1 */
    double threshold;
    uint64_t rows, digest;
    int related_count;
    int *related;            /* (related_count), columns */
    double *correlations;    /* (related_count * (related_count - 1) / 2), row by row below the diagonal */
    double related_rows;     /* that they were computed from */
    mbr_calibration calibration;
    uint8_t *bytes;          /* as in the file */
    size_t byte_count;
};

void mbr_drift_baseline_retain(mbr_drift_baseline *b);

/* The place of a text: of names, name_count for another one, name_count + 1 for one that is not UTF-8. */
size_t mbr_base_col_find(const mbr_base_col *c, const char *text, size_t size);
size_t mbr_base_col_find_digest(const mbr_base_col *c, uint64_t digest, const char *text, size_t size);

/* A text as it is counted: itself, or in `room` (MBR_DRIFT_TEXT bytes) what stands for a long one. False: not UTF-8. */
bool mbr_drift_text(const char *text, size_t size, char *room, mbr_string *out);

/* The value where a bin begins (0 to bins). */
double mbr_base_col_edge(const mbr_base_col *c, int bin);

double mbr_calibrate(const mbr_calibration *c, double score);

/* Rank correlations of n rows (cells: row by row, `width` apart; NaN ranks lowest): fills the triangle; NaN where one of
 * the two is nearly constant. */
mbr_status mbr_drift_correlate(mbr_memory *memory, const double *cells, size_t width, size_t n, const int *related,
                               int related_count, double *triangle, mbr_error *err);

/* The same, a column a call: begin takes the memory, end gives it back. */
typedef struct mbr_correlating {
    size_t n;
    double *ranks; /* (related_count + 1, n) */
    uint64_t *keys;
    bool *sound;
} mbr_correlating;

mbr_status mbr_correlating_begin(mbr_correlating *c, mbr_memory *memory, size_t n, int related_count, mbr_error *err);
void mbr_correlating_column(mbr_correlating *c, const double *cells, size_t width, const int *related, int related_count,
                            int column, double *triangle);
void mbr_correlating_end(mbr_correlating *c, mbr_memory *memory);

/* Which of a stream's rows are in a sample of it, with few draws (Li's algorithm L, 1994). */
typedef struct mbr_reservoir {
    uint64_t seen, next; /* rows so far; the next one to be taken */
    double w;
    uint64_t random;
    size_t size, count;  /* of the sample; taken so far, at most size */
} mbr_reservoir;

void mbr_reservoir_init(mbr_reservoir *r, size_t size, uint64_t seed);
/* The place in the sample for the next row, or SIZE_MAX. */
size_t mbr_reservoir_next(mbr_reservoir *r);

/* ---- window ---- */

typedef struct mbr_live_col {
    uint64_t missing, infinite, below, above;
    double sum[MBR_HISTOGRAM_LANES], squares[MBR_HISTOGRAM_LANES]; /* less the baseline's mean */
    double smallest, largest;
    uint64_t *counts;  /* numbers: MBR_HISTOGRAM_TABLES * (bins + 3); categories: names, other, invalid */
    size_t count_count;
    mbr_tally strange; /* categories: texts that the baseline does not name */
} mbr_live_col;

/* Estimated from scores alone: what the confusion matrix will be. */
typedef struct mbr_live_quality {
    uint64_t rows;
    double tp, fp, tn, fn, confidence, confidence_squares;
    double yes[MBR_DRIFT_SCORE_BINS], no[MBR_DRIFT_SCORE_BINS]; /* by calibrated score */
} mbr_live_quality;

typedef struct mbr_window {
    mbr_memory *memory;
    uint64_t rows;
    double begin, end;   /* times of rows; NaN: none */
    mbr_live_col *cols;  /* (col_count) */
    double *sample;      /* (MBR_DRIFT_SAMPLE, col_count): numbers, places of categories */
    mbr_reservoir reservoir;
    mbr_live_quality quality;
} mbr_window;

mbr_status mbr_window_init(mbr_window *w, mbr_memory *memory, const mbr_drift_baseline *b, uint64_t seed,
                           mbr_error *err);
void mbr_window_destroy(mbr_window *w, const mbr_drift_baseline *b);
void mbr_window_clear(mbr_window *w, const mbr_drift_baseline *b);
/* Counts of bin or category i. */
uint64_t mbr_live_count(const mbr_live_col *c, const mbr_base_col *base, size_t i);

/* ---- judging ---- */

/* A window in the timeline. */
typedef struct mbr_drift_past {
    uint64_t number, rows;
    double time;
    mbr_drift_level level;
    double p, psi;       /* the least adjusted p; the largest psi */
    int drifted;         /* columns beyond warn */
    int top;             /* column with the least p, or -1 */
    double accuracy, error_rate;
} mbr_drift_past;

typedef struct mbr_col_state {
    mbr_drift_level level;
    int quiet, warned;   /* windows in a row */
} mbr_col_state;

/* Columns, then two tests that belong to none. */
enum { MBR_EXTRA_RELATED, MBR_EXTRA_ACCURACY, MBR_EXTRA_COUNT };

typedef struct mbr_drift_judged {
    mbr_drift_result *results; /* (col_count) */
    mbr_drift_quality quality; /* estimates only */
    double p[MBR_EXTRA_COUNT], adjusted[MBR_EXTRA_COUNT];
    int related[2];            /* the pair whose correlation changed most; -1: none */
    double correlation[2];     /* of it, before and now */
} mbr_drift_judged;

/* ---- monitor ---- */

typedef struct mbr_waiting {
    uint64_t id; /* digest; 0: free */
    double score;
} mbr_waiting;

typedef struct mbr_actions mbr_actions;

struct mbr_drift_monitor {
    mbr_memory *memory;
    mbr_drift_baseline *baseline;
    mbr_drift_options options;    /* with defaults put in; pointers are the monitor's own */
    mbr_arena arena;              /* of the options */
    mbr_arena store;              /* of arrays of what was observed */
    mbr_histogram_fn *histogram;
    double *block;                /* (col_count, MBR_DRIFT_STRIDE) */
    size_t fill;                  /* rows in it */
    bool *texts;                  /* (col_count), which are categories */
    mbr_window open, full, last;  /* full: being judged, and then the last one */
    mbr_sketch *sketches;         /* (col_count), of the open window */
    mbr_sketch *full_sketches;    /* (col_count), of the full one */
    int slice;                    /* of judging `full`, what is next; -1: nothing is to be judged */
    double *values, *weights;     /* (item_count), scratch of judging */
    uint32_t *places;             /* (item_count + MBR_DRIFT_BUCKETS + 2), the same */
    size_t item_count;
    mbr_correlating correlating;
    double *correlations;         /* of the full window, as of the baseline */
    double clock, elapsed;        /* time of the last rows; of the open window */
    uint64_t unsaved;             /* rows since the state was saved */
    /* what is known */
    uint64_t windows, total_rows;
    mbr_drift_judged judged, judging; /* of the last window, of the full one */
    bool has_judged;
    mbr_col_state *col_states;    /* (col_count + MBR_EXTRA_COUNT) */
    mbr_drift_level level;
    bool fallback;
    mbr_drift_level concept_level; /* from detectors; goes down after clear_after windows without */
    int concept_quiet;
    mbr_drift_past *timeline;     /* (MBR_DRIFT_TIMELINE), a ring; windows - 1 is the newest */
    float *past_psi, *past_ks;    /* (MBR_DRIFT_TIMELINE, col_count) */
    /* labels */
    mbr_concept concept;
    mbr_waiting *waiting;         /* (waiting_slots), by id */
    uint64_t *waiting_order;      /* (pending), ids in the order of their coming, a ring */
    size_t waiting_slots, waiting_first, waiting_count;
    mbr_actions *actions;
    mbr_out out;                  /* of saving, kept */
};

/* bare: without state file, actions and callback, to read a state into. */
mbr_status mbr_drift_monitor_make(mbr_memory *memory, mbr_drift_baseline *baseline, const mbr_drift_options *options,
                                  bool bare, mbr_drift_monitor **out, mbr_error *err);     /* monitor.c */
/* mbr_drift_monitor_new with memory of its own. */
mbr_status mbr_drift_monitor_new_in(mbr_memory *memory, mbr_drift_baseline *baseline, const mbr_drift_options *options,
                                    mbr_drift_monitor **out, mbr_error *err);
mbr_status mbr_drift_flush(mbr_drift_monitor *m, mbr_error *err);                          /* window.c */
/* Judges a slice of the full window: a column, or what there is of all; 0 to mbr_drift_slices - 1 in turn. */
mbr_status mbr_drift_judge(mbr_drift_monitor *m, int slice, mbr_error *err);               /* judge.c */
int mbr_drift_slices(const mbr_drift_monitor *m);
/* Judges the rest of a full window, and what follows of that. */
mbr_status mbr_drift_settle(mbr_drift_monitor *m, mbr_error *err);                         /* monitor.c */
mbr_drift_level mbr_col_state_step(mbr_col_state *s, double p, const mbr_drift_options *o);
mbr_status mbr_drift_write_state(mbr_drift_monitor *m, mbr_out *out, mbr_error *err);      /* state.c */
mbr_status mbr_drift_read_state(mbr_drift_monitor *m, const void *data, size_t bytes, const char *name, mbr_error *err);
mbr_status mbr_drift_absorb(mbr_drift_monitor *m, mbr_drift_monitor *from, mbr_error *err); /* window.c */
const char *mbr_drift_level_name(mbr_drift_level level);

/* ---- actions ---- */

mbr_status mbr_actions_new(mbr_drift_monitor *m, mbr_error *err);
void mbr_actions_free(mbr_drift_monitor *m);
/* Tells the caller of an event, completing its texts, and starts what it sets off. */
void mbr_drift_tell(mbr_drift_monitor *m, mbr_drift_event *event);

#endif

