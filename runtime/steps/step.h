/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Steps: what makes columns out of others, before the model (features) and after it (post-processing). A kind of
 * step is one row of the table in steps.c: its parameters as data, one function that checks and prepares it when the
 * pipeline is opened, and one that runs it over a batch. To add a kind: a line in MBR_STEP_KINDS below, the symbols
 * that it declares in a file of this folder, a case in tests/test_pipeline_steps.c, a paragraph in docs/pipeline.md.
 */
#ifndef MBR_RUNTIME_STEP_H
#define MBR_RUNTIME_STEP_H

#include "base/filemap.h"
#include "mbr/env.h"
#include "mbr/model.h"
#include "runtime/pipeline/column.h"
#include "runtime/pipeline/node.h"

#define MBR_STEP_INPUTS 64
#define MBR_STEP_OUTPUTS 64
#define MBR_STEP_PARAMS 384

typedef struct mbr_step mbr_step;

typedef struct mbr_compiling {
    mbr_reading read;
    mbr_scope *scope;
    mbr_env *env; /* of the pipeline; NULL in tests of single steps */
    int steps;    /* compiled so far */
    void **shared; /* a list of what steps of one kind keep together (step_aggregate.c); NULL: each for itself */
} mbr_compiling;

/* Sets of column types. */
#define MBR_TYPE_BIT(t) (1u << (t))
#define MBR_TYPES_NUMBER (MBR_TYPE_BIT(MBR_COL_NUMBER) | MBR_TYPE_BIT(MBR_COL_BOOL))
#define MBR_TYPES_TIME MBR_TYPE_BIT(MBR_COL_TIME)
#define MBR_TYPES_STRING MBR_TYPE_BIT(MBR_COL_STRING)
#define MBR_TYPES_TENSOR MBR_TYPE_BIT(MBR_COL_TENSOR)
/* What expressions can say; of tensors a step has to take something first. */
#define MBR_TYPES_ANY (MBR_TYPES_NUMBER | MBR_TYPES_TIME | MBR_TYPES_STRING)

/*
 * What a step keeps from row to row, of one decider. Steps see the rows in their order, also those of later batches; a
 * batch must give what row by row gives. A faulty row (rows->fault) should leave the state as it was.
 */
typedef struct mbr_step_keeper {
    /* Makes the state, not NULL; it is rows->states[s->index] in run. memory: of everything the state holds. */
    mbr_status (*begin)(const mbr_step *s, mbr_memory *memory, void **state, mbr_error *err);
    void (*end)(const mbr_step *s, void *state);
    /*
     * The state as bytes, and back into a state that begin has just made. The bytes come from a file: hostile until
     * checked. NULL: the state is not worth a file.
     */
    mbr_status (*save)(const mbr_step *s, const void *state, mbr_write_fn write, void *user, mbr_error *err);
    mbr_status (*restore)(const mbr_step *s, void *state, const void *bytes, size_t size, mbr_error *err);
} mbr_step_keeper;

typedef struct mbr_step_kind {
    const char *name;
    int min_from, max_from; /* how many columns it reads */
    unsigned types;         /* which it reads */
    bool wide;              /* may they be wider than one value? */
    const mbr_param *params; /* they fill a struct of at most MBR_STEP_PARAMS bytes */
    /*
     * Called with s->params filled and *out set to a number column as wide as the first input. Checks what params
     * cannot say, sets the type and width of *out; mbr_step_part adds columns. NULL: params say all, and *out stays.
     */
    mbr_status (*compile)(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out);
    /* Fills the columns s->outs of every row. Faults go to mbr_rows_fail; such a row still gets some value. */
    void (*run)(const mbr_step *s, mbr_rows *rows);
    const mbr_step_keeper *keeper; /* NULL: stateless */
    void (*drop)(const mbr_step *s); /* gives back what compile opened, also after compile failed; NULL: nothing */
} mbr_step_kind;

struct mbr_step {
    const mbr_step_kind *kind;
    const char *name;
    int line;
    int *from;      /* (from_count), columns */
    int from_count;
    int out;        /* column: the first of outs */
    int *outs;      /* (out_count) */
    int out_count;
    int index;      /* of the pipeline's steps, features first; its state is rows->states[index] */
    void *params;
    mbr_col *parts; /* while it is compiled: columns beside the first */
};

/* The table: ends with a kind without name. */
extern const mbr_step_kind mbr_step_kinds[];

/* Reads one entry of `features` or `post`, compiles it and adds its column to the scope. */
mbr_status mbr_step_compile(const mbr_compiling *c, const mbr_node *n, mbr_step *out);

/* ---- for the files of the kinds ---- */

/*
 * Opens a regular file that a row names: below the folder, unless anywhere is allowed. False after mbr_rows_fail. Names
 * that climb out of the folder, by ".." or an absolute path, and links below it are faults of the row.
 */
bool mbr_step_open(const mbr_step *s, mbr_rows *rows, int row, const char *folder, bool anywhere,
                   const mbr_string *name, mbr_filemap *map);

/*
 * While compiling: one more output column, a number of width 1 until the caller says otherwise, or NULL after a
 * complaint. It is called NAME.PART, and s->outs[1] is the first part. Where all columns of a step are equals,
 * out->name can be such a name as well: mbr_step_part_name.
 */
mbr_col *mbr_step_part(const mbr_compiling *c, mbr_step *s, const char *part);
const char *mbr_step_part_name(const mbr_compiling *c, const mbr_step *s, const char *part); /* NULL: no memory */

/* The numbers that a step reads (input i) and writes, and how many there are in the batch. */
static inline const double *mbr_step_in(const mbr_step *s, const mbr_rows *rows, int i)
{
    return rows->lanes[s->from[i]].num;
}

static inline double *mbr_step_out(const mbr_step *s, const mbr_rows *rows)
{
    return rows->lanes[s->out].num;
}

static inline size_t mbr_step_count(const mbr_step *s, const mbr_rows *rows)
{
    return (size_t)rows->count * (size_t)rows->cols[s->out].width;
}

static inline const mbr_cell *mbr_step_cells(const mbr_step *s, const mbr_rows *rows, int i)
{
    return rows->lanes[s->from[i]].cell;
}

static inline void *mbr_step_state(const mbr_step *s, const mbr_rows *rows)
{
    return rows->states[s->index];
}

/*
 * kind, compile, min_from, max_from, types, wide: see mbr_step_kind. KEEP: with mbr_keeper_KIND, HOLD: with
 * mbr_drop_KIND; BOTH: with both.
 */
#define MBR_STEP_KINDS(KIND, KEEP, HOLD, BOTH) \
    /* numbers */ \
    KIND(impute, mbr_compile_impute, 1, 1, MBR_TYPES_NUMBER | MBR_TYPES_STRING, true) \
    KIND(standardize, mbr_compile_standardize, 1, 1, MBR_TYPES_NUMBER, true) \
    KIND(min_max, mbr_compile_min_max, 1, 1, MBR_TYPES_NUMBER, true) \
    KIND(log, NULL, 1, 1, MBR_TYPES_NUMBER, true) \
    KIND(clip, mbr_compile_clip, 1, 1, MBR_TYPES_NUMBER, true) \
    KIND(bucket, mbr_compile_bucket, 1, 1, MBR_TYPES_NUMBER, true) \
    KIND(quantile, mbr_compile_quantile, 1, 1, MBR_TYPES_NUMBER, true) \
    KIND(power, mbr_compile_power, 1, 1, MBR_TYPES_NUMBER, true) \
    KIND(polynomial, mbr_compile_polynomial, 1, MBR_STEP_INPUTS, MBR_TYPES_NUMBER, true) \
    KIND(affine, NULL, 1, 1, MBR_TYPES_NUMBER, true) \
    KIND(ratio, NULL, 2, 2, MBR_TYPES_NUMBER, false) \
    KIND(cyclic, mbr_compile_cyclic, 1, 1, MBR_TYPES_NUMBER, false) \
    KIND(is_missing, mbr_compile_is_missing, 1, 1, MBR_TYPES_ANY, true) \
    KIND(expr, mbr_compile_expr, 0, 0, MBR_TYPES_ANY, false) \
    /* categories */ \
    KIND(one_hot, mbr_compile_one_hot, 1, 1, MBR_TYPES_NUMBER | MBR_TYPES_STRING, false) \
    KIND(ordinal, mbr_compile_ordinal, 1, 1, MBR_TYPES_NUMBER | MBR_TYPES_STRING, false) \
    KIND(lookup, mbr_compile_lookup, 1, 1, MBR_TYPES_STRING, false) \
    KIND(hash, mbr_compile_hash, 1, MBR_STEP_INPUTS, MBR_TYPES_STRING, false) \
    KIND(cross, mbr_compile_cross, 2, 8, MBR_TYPES_STRING, false) \
    /* state by key */ \
    KEEP(aggregate, mbr_compile_aggregate, 0, 0, MBR_TYPES_ANY, false) \
    KEEP(window, mbr_compile_window, 1, MBR_STEP_INPUTS, MBR_TYPES_NUMBER | MBR_TYPES_TENSOR, true) \
    KEEP(lag, mbr_compile_lag, 1, MBR_STEP_INPUTS, MBR_TYPES_NUMBER | MBR_TYPES_TENSOR, true) \
    KEEP(rolling, mbr_compile_rolling, 1, MBR_STEP_INPUTS, MBR_TYPES_NUMBER | MBR_TYPES_TENSOR, true) \
    KEEP(fft_bands, mbr_compile_fft_bands, 1, MBR_STEP_INPUTS, MBR_TYPES_NUMBER | MBR_TYPES_TENSOR, true) \
    KEEP(resample, mbr_compile_resample, 1, MBR_STEP_INPUTS, MBR_TYPES_NUMBER, true) \
    /* times */ \
    KIND(date_part, mbr_compile_date_part, 1, 1, MBR_TYPES_TIME, false) \
    KIND(elapsed, NULL, 2, 2, MBR_TYPES_TIME, false) \
    /* scores */ \
    KIND(sigmoid, NULL, 1, 1, MBR_TYPES_NUMBER, true) \
    KIND(platt, NULL, 1, 1, MBR_TYPES_NUMBER, true) \
    KIND(softmax, mbr_compile_softmax, 1, 1, MBR_TYPES_NUMBER, true) \
    KIND(isotonic, mbr_compile_isotonic, 1, 1, MBR_TYPES_NUMBER, true) \
    KIND(temperature, mbr_compile_temperature, 1, 1, MBR_TYPES_NUMBER, true) \
    KIND(threshold, mbr_compile_threshold, 1, 1, MBR_TYPES_NUMBER, false) \
    KIND(points, mbr_compile_points, 1, 1, MBR_TYPES_NUMBER, true) \
    KIND(top_k, mbr_compile_top_k, 1, 1, MBR_TYPES_NUMBER | MBR_TYPES_TENSOR, true) \
    KIND(argmax, mbr_compile_argmax, 1, 1, MBR_TYPES_NUMBER | MBR_TYPES_TENSOR, true) \
    /* what a network says */ \
    KIND(boxes, mbr_compile_boxes, 1, 2, MBR_TYPES_TENSOR, false) \
    KIND(ctc, mbr_compile_ctc, 1, 1, MBR_TYPES_TENSOR, false) \
    KIND(span, mbr_compile_span, 2, 2, MBR_TYPES_NUMBER | MBR_TYPES_TENSOR, true) \
    HOLD(detokenize, mbr_compile_detokenize, 1, 1, MBR_TYPES_NUMBER | MBR_TYPES_TENSOR, true) \
    KIND(pool, mbr_compile_pool, 1, 2, MBR_TYPES_NUMBER | MBR_TYPES_TENSOR, true) \
    KIND(l2_normalize, NULL, 1, 1, MBR_TYPES_NUMBER, true) \
    HOLD(nearest, mbr_compile_nearest, 1, 1, MBR_TYPES_NUMBER | MBR_TYPES_TENSOR, true) \
    /* tensors */ \
    KIND(tensor, mbr_compile_tensor, 1, MBR_STEP_INPUTS, MBR_TYPES_NUMBER, true) \
    KIND(array, mbr_compile_array, 1, 1, MBR_TYPES_STRING, false) \
    KIND(values, mbr_compile_values, 1, 1, MBR_TYPES_TENSOR, false) \
    KIND(characters, mbr_compile_characters, 1, 1, MBR_TYPES_STRING, false) \
    KIND(image, mbr_compile_image, 1, 1, MBR_TYPES_STRING, false) \
    KIND(audio, mbr_compile_audio, 1, 1, MBR_TYPES_STRING, false) \
    BOTH(resample_audio, mbr_compile_resample_audio, 1, 1, MBR_TYPES_TENSOR, false) \
    HOLD(stft, mbr_compile_stft, 1, 1, MBR_TYPES_TENSOR, false) \
    HOLD(mel, mbr_compile_mel, 1, 1, MBR_TYPES_TENSOR, false) \
    HOLD(mfcc, mbr_compile_mfcc, 1, 1, MBR_TYPES_TENSOR, false) \
    BOTH(tokens, mbr_compile_tokens, 1, 2, MBR_TYPES_STRING, false)

#define MBR_STEP_DECLARE(kind, check, min, max, types, wide) \
    mbr_status mbr_compile_##kind(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out); \
    void mbr_run_##kind(const mbr_step *s, mbr_rows *rows); \
    extern const mbr_param mbr_params_##kind[];
#define MBR_STEP_DECLARE_KEEP(kind, check, min, max, types, wide) \
    MBR_STEP_DECLARE(kind, check, min, max, types, wide) \
    extern const mbr_step_keeper mbr_keeper_##kind;
#define MBR_STEP_DECLARE_HOLD(kind, check, min, max, types, wide) \
    MBR_STEP_DECLARE(kind, check, min, max, types, wide) \
    void mbr_drop_##kind(const mbr_step *s);
#define MBR_STEP_DECLARE_BOTH(kind, check, min, max, types, wide) \
    MBR_STEP_DECLARE_KEEP(kind, check, min, max, types, wide) \
    void mbr_drop_##kind(const mbr_step *s);
MBR_STEP_KINDS(MBR_STEP_DECLARE, MBR_STEP_DECLARE_KEEP, MBR_STEP_DECLARE_HOLD, MBR_STEP_DECLARE_BOTH)

#endif
