/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What comes after a model, on plain buffers: calibrated scores, the best of many, boxes, sequences, spans, neighbours
 * of an embedding. The steps of a pipeline (docs/pipeline.md) are these functions by name.
 *
 * Scores that are NaN are never chosen. Of equal scores the lower index comes first. Functions without an environment
 * allocate nothing. Everything may be called from any thread.
 */
#ifndef MBR_POST_H
#define MBR_POST_H

#include "mbr/env.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- single scores ---- */

/*
 * scikit-learn's IsotonicRegression.predict with out_of_bounds="clip", of its X_thresholds_ and y_thresholds_: x
 * (count, ascending), y (count), count at least 1. NaN stays NaN.
 */
MBR_API double mbr_isotonic(const double *x, const double *y, size_t count, double value);

/* The indices of the k best values, best first; returns how many there are: fewer where values are NaN. */
MBR_API size_t mbr_best_k(const double *values, size_t count, size_t k, size_t *index);

/* ---- boxes ---- */

typedef struct mbr_box {
    float x1, y1, x2, y2;
} mbr_box;

/* Centre and size, of anchors. */
typedef struct mbr_anchor {
    float cx, cy, w, h;
} mbr_anchor;

/*
 * SSD's and RFB's offsets to boxes: centre = anchor centre + delta x centre variance x anchor size, size = anchor size
 * x exp(delta x size variance). deltas: (count, 4) dx, dy, dw, dh.
 */
MBR_API void mbr_boxes_from_anchors(const float *deltas, const mbr_anchor *anchors, size_t count, float centre_variance,
                                    float size_variance, mbr_box *boxes);

typedef struct mbr_boxes_options {
    size_t size;            /* sizeof(mbr_boxes_options) */
    float score_threshold;  /* a box scores above it */
    float iou_threshold;    /* a box goes that overlaps a better one by more */
    int any_class;          /* not 0: boxes of all classes suppress each other, and a box has its best class only */
    size_t most_per_class;  /* 0: any number */
    size_t most;            /* in all, the best ones; 0: any number */
    int background;         /* class that is none, counted from 1; 0: there is no such class */
} mbr_boxes_options;

typedef struct mbr_detection {
    size_t box, label;
    float score;
} mbr_detection;

/*
 * Non-maximum suppression class by class, as ONNX's NonMaxSuppression, then all by score. scores: (count, classes).
 * Boxes with NaN or infinite corners are left out. out has room for `room`; *found receives how many there are, at most
 * room. options may be NULL: 0.5, 0.5, class by class, all of them.
 */
MBR_API mbr_status mbr_boxes_select(mbr_env *env, const mbr_box *boxes, const float *scores, size_t count,
                                    size_t classes, const mbr_boxes_options *options, mbr_detection *out, size_t room,
                                    size_t *found, mbr_error *err);

/* ---- sequences ---- */

/*
 * CTC: the best symbol of every frame, repeats joined, blanks dropped. frames: (frames, symbols), logarithms of
 * probabilities, or anything that orders alike. out: (frames). Returns how many symbols; *score: the sum of the best.
 */
MBR_API size_t mbr_ctc_greedy(const float *frames, size_t count, size_t symbols, size_t blank, uint32_t *out,
                              double *score);

/*
 * CTC: the sequence with the highest sum over all its alignments, by prefix beam search, exact for a beam that is wide
 * enough. frames: (frames, symbols) logarithms of probabilities. out: (frames).
 */
MBR_API mbr_status mbr_ctc_beam(mbr_env *env, const float *frames, size_t count, size_t symbols, size_t blank,
                                size_t width, uint32_t *out, size_t *found, double *score, mbr_error *err);

/*
 * The span begin <= end < begin + longest with the highest start[begin] + end[end] where both allowed (NULL: all are).
 * False: there is none.
 */
MBR_API int mbr_best_span(const double *start, const double *end, const unsigned char *allowed, size_t count,
                          size_t longest, size_t *from, size_t *to, double *score);

/* ---- embeddings ---- */

typedef enum mbr_metric {
    MBR_METRIC_COSINE = 0,
    MBR_METRIC_DOT = 1,
    MBR_METRIC_EUCLIDEAN = 2 /* the score is minus the distance */
} mbr_metric;

typedef struct mbr_vectors mbr_vectors;

/*
 * A table of vectors: a .npy file (version 1 to 3, '<f4', C order, two dimensions), which is mapped and must stay as it
 * is. MBR_ERR_IO, MBR_ERR_FORMAT, MBR_ERR_UNSUPPORTED: another type or order.
 */
MBR_API mbr_status mbr_vectors_open(mbr_env *env, const char *path, mbr_metric metric, mbr_vectors **out,
                                    mbr_error *err);
MBR_API void mbr_vectors_release(mbr_vectors **vectors);
MBR_API size_t mbr_vectors_count(const mbr_vectors *vectors);
MBR_API size_t mbr_vectors_width(const mbr_vectors *vectors);

/*
 * The k nearest of each of `queries` vectors, (queries, width), by exact search: index and score, (queries, k), best
 * first; of a query with NaN or of fewer vectors than k, index SIZE_MAX and score NaN for the rest.
 */
MBR_API mbr_status mbr_vectors_nearest(const mbr_vectors *vectors, const float *query, size_t queries, size_t k,
                                       size_t *index, double *score, mbr_error *err);

#ifdef __cplusplus
}
#endif

#endif
