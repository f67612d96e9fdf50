/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Why a model gave its score: what each feature of one row added to it, for linear models and tree ensembles.
 *
 *     mbr_explainer *e;
 *     if (mbr_explainer_new(model, NULL, &e, &err) != MBR_OK)
 *         fprintf(stderr, "%s\n", err.text);
 *     mbr_explain_row(e, values, contributions, &score);   // score == base + contributions[0] + contributions[1] + ...
 *     mbr_explainer_release(&e);
 *
 * The score is the raw one: the sum of the leaves (or of the products), before a sigmoid or softmax.
 *
 * Linear models: coefficient x (value - mean of the feature); base is the score of a row of means. The means come from
 * a file of mbr_explainer_save; without one they are 0.
 *
 * Tree ensembles: path attribution (Saabas). Each node has a value, the mean of the leaves below it; on the way from
 * the root to the row's leaf every step changes that value, and the change is put down to the feature that was asked.
 * base is the sum of the roots' values. In the mean, leaves count by the training rows that reached them, which a file
 * of mbr_explainer_save tells; else by the model's nodes_hitrates where they tell the nodes apart; else all alike.
 * (Path-dependent TreeSHAP averages over the orders in which features could be asked; it costs leaves x depth squared a
 * tree, milliseconds for a forest that this explains in microseconds. Both add up to the score and agree where a feature is asked
 * once on a path; where features work together, path attribution gives more to what is asked near the leaves. The first
 * reason is the same in about four rows of five in tests/post_equal.py.)
 *
 * Threads: an explainer may be shared, but for mbr_explainer_learn. It does not need the model once it is made.
 */
#ifndef MBR_EXPLAIN_H
#define MBR_EXPLAIN_H

#include "mbr/model.h"
#include "mbr/pipeline.h"

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mbr_explainer mbr_explainer;

typedef struct mbr_explainer_options {
    size_t size;         /* sizeof(mbr_explainer_options) */
    const char *node;    /* name of the node to explain; NULL: the only one that can be */
    int target;          /* class or target, counted from 1; 0: the only one, or the second of two. Trees with one set
                            of scores for two classes explain the second */
    const char *learned; /* a file of mbr_explainer_save; NULL: none */
    int learning;        /* not 0: for mbr_explainer_learn */
} mbr_explainer_options;

/*
 * Reads the model's file again and prepares one node: TreeEnsemble, TreeEnsembleRegressor, TreeEnsembleClassifier,
 * LinearRegressor, LinearClassifier, Gemm or MatMul with constant weights whose features are inputs of the model,
 * perhaps through Concat, Cast, Flatten, Identity, Imputer or Scaler. options may be NULL. On success *out is the
 * caller's. MBR_ERR_UNSUPPORTED: the model has no such node, or several and none is named, or its features come from
 * elsewhere, or trees are not summed. MBR_ERR_IO: the model's file is gone, or `learned` cannot be read.
 * MBR_ERR_FORMAT: `learned` is no such file. MBR_ERR_MODEL: it was made for another model.
 */
MBR_API mbr_status mbr_explainer_new(mbr_model *model, const mbr_explainer_options *options, mbr_explainer **out,
                                     mbr_error *err);

/* Frees it and sets *explainer to NULL. NULL and a pointer to NULL are fine. */
MBR_API void mbr_explainer_release(mbr_explainer **explainer);

typedef enum mbr_explain_weights {
    MBR_EXPLAIN_UNIFORM = 0, /* all leaves alike; linear: means are 0 */
    MBR_EXPLAIN_HITS = 1,    /* nodes_hitrates of the model */
    MBR_EXPLAIN_ROWS = 2     /* rows that mbr_explainer_learn has seen */
} mbr_explain_weights;

typedef struct mbr_explainer_facts {
    size_t size;         /* set by the caller to sizeof(mbr_explainer_facts) */
    const char *node;    /* its name; as long as the explainer */
    const char *op;      /* "TreeEnsembleRegressor", say */
    int features;        /* how many values a row has */
    int trees;           /* 0: a linear model */
    double base;
    mbr_explain_weights weights;
    uint64_t rows;       /* MBR_EXPLAIN_ROWS: how many */
} mbr_explainer_facts;

MBR_API void mbr_explainer_get_facts(const mbr_explainer *explainer, mbr_explainer_facts *facts);

/* Where feature i comes from: an input of the model (its index), and the element of a row of it. */
MBR_API mbr_status mbr_explainer_feature(const mbr_explainer *explainer, int feature, int *input, int *element);

/*
 * values: (features) the row as the model's inputs have it; NaN: missing. contributions: (features), written. score may
 * be NULL. Allocates nothing.
 */
MBR_API void mbr_explain_row(const mbr_explainer *explainer, const double *values, double *contributions,
                             double *score);

/* Counts a training row. Needs options.learning; one thread at a time. */
MBR_API mbr_status mbr_explainer_learn(mbr_explainer *explainer, const double *values, mbr_error *err);

/* Writes what was learned to a file, by a temporary one beside it. */
MBR_API mbr_status mbr_explainer_save(const mbr_explainer *explainer, const char *path, mbr_error *err);

/* ---- pipelines ---- */

/*
 * Takes the rows of a file through the pipeline and saves what its explainer learned from those that are sound: what
 * the key `learned` of the section `reasons` names. *rows (may be NULL): how many those were. Also for a pipeline
 * without such a section.
 */
MBR_API mbr_status mbr_explain_fit(mbr_pipeline *pipeline, const char *rows_path, mbr_rows_format format,
                                   const char *out_path, uint64_t *rows, mbr_error *err);

#ifdef __cplusplus
}
#endif

#endif
