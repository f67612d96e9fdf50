/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A pipeline's policy against rows whose truth is known: what its actions meet, what they cost, how good and how well
 * calibrated its main score is, and where a single threshold would cost the least.
 *
 *     mbr_pipeline_options o = { .size = sizeof o, .label = "fraud" };
 *     mbr_pipeline_open(env, "pipeline.yaml", &o, &pipeline, &err);
 *     mbr_policy_test_file(pipeline, "labelled.csv", NULL, &test, &err);
 *     mbr_policy_test_html(test, write, user, &err);
 *     mbr_policy_test_release(&test);
 *
 * One class is the positive one: that of the option, else of the classes of the section `costs` the first, else of 1,
 * true, yes, positive whichever is there. Where `costs` names two classes that the labels do not use (fraud and legit,
 * and the labels are 1 and 0), its first stands for the positive label and its second for all others.
 */
#ifndef MBR_POLICY_H
#define MBR_POLICY_H

#include "mbr/pipeline.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mbr_policy_test mbr_policy_test;

typedef struct mbr_policy_options {
    size_t size;            /* sizeof(mbr_policy_options) */
    const char *positive;   /* label of the positive class; NULL: see above */
    mbr_rows_format format;
    int batch;              /* as in mbr_decider_options */
} mbr_policy_options;

/*
 * Decides a file of rows; the pipeline was opened with a label. The log of the pipeline is not written, drift is not
 * watched. On success *out is the caller's. MBR_ERR_ARGUMENT: no label. MBR_ERR_INPUT: no row has one, more than 64
 * different ones, or the positive one does not occur. What mbr_decider_file gives.
 */
MBR_API mbr_status mbr_policy_test_file(mbr_pipeline *pipeline, const char *path, const mbr_policy_options *options,
                                        mbr_policy_test **out, mbr_error *err);
MBR_API void mbr_policy_test_release(mbr_policy_test **test);

typedef struct mbr_policy_facts {
    size_t size;             /* set by the caller to sizeof(mbr_policy_facts) */
    uint64_t rows, positives, faulty, unlabelled; /* rows: with a label, faulty ones too */
    double roc_auc, average_precision, brier;     /* of the main score; NaN where there is none or one class only */
    double calibration_error;                     /* mean distance of score and rate in ten bins */
    double cost, cost_mean;                       /* of the actions that were given; NaN without `costs` */
    double best_threshold, best_cost;             /* the least cost of one threshold; NaN without `costs` */
    double f1_threshold, f1;                      /* the best F1 of one threshold */
} mbr_policy_facts;

MBR_API mbr_status mbr_policy_test_facts(const mbr_policy_test *test, mbr_policy_facts *facts);

/* All of it as text, as JSON, and as a page that needs nothing else; piece by piece. */
MBR_API mbr_status mbr_policy_test_text(const mbr_policy_test *test, mbr_write_fn write, void *user, mbr_error *err);
MBR_API mbr_status mbr_policy_test_json(const mbr_policy_test *test, mbr_write_fn write, void *user, mbr_error *err);
MBR_API mbr_status mbr_policy_test_html(const mbr_policy_test *test, mbr_write_fn write, void *user, mbr_error *err);

#ifdef __cplusplus
}
#endif

#endif
