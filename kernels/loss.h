/* SPDX-License-Identifier: BSD-2-Clause */
/* Negative log likelihood, of log probabilities or of scores through log-softmax. Plain C in double. */
#ifndef MBR_KERNELS_LOSS_H
#define MBR_KERNELS_LOSS_H

#include "kernels/view.h"
#include "mbr/dtype.h"

typedef enum mbr_loss_reduction { MBR_LOSS_NONE, MBR_LOSS_SUM, MBR_LOSS_MEAN } mbr_loss_reduction;

/*
 * loss[i][p] = -w in[i][t][p] with t = target[i][p] and w = weight[t], 1 without weights, 0 where t is ignored.
 * SUM adds them, MEAN divides by the sum of the w. Scores go through log-softmax over the classes first.
 */
typedef struct mbr_loss_args {
    mbr_dtype dtype, target_dtype; /* target: i32 or i64 */
    mbr_loss_reduction reduction;
    bool scores;
    bool has_ignored;
    int64_t ignored;
    size_t n, classes, points;
    const void *in;     /* (n, classes, points) */
    const void *target; /* (n, points) */
    const void *weight; /* (classes) or NULL */
    void *out;          /* (n, points), or one */
    void *log_prob;     /* (n, classes, points) or NULL; only with scores */
} mbr_loss_args;

/* False when a target is neither a class nor ignored; *bad is then that target. */
bool mbr_loss(const mbr_loss_args *args, int64_t *bad);

#endif
