/* SPDX-License-Identifier: BSD-2-Clause */
/* What the classical models of ai.onnx.ml do to the scores of a row at last, as ONNX Runtime computes it. */
#ifndef MBR_KERNELS_POST_TRANSFORM_H
#define MBR_KERNELS_POST_TRANSFORM_H

#include <stddef.h>

typedef enum mbr_post_transform {
    MBR_POST_NONE,
    MBR_POST_SOFTMAX,
    MBR_POST_LOGISTIC,
    MBR_POST_SOFTMAX_ZERO, /* softmax over the scores that are not 0 (within 1e-7); those only shrink */
    MBR_POST_PROBIT        /* sqrt(2) erfinv(2 x - 1), erfinv by Winitzki's approximation with a = 0.147 */
} mbr_post_transform;

/* In place, n scores of one row. */
void mbr_post_transform_ref(mbr_post_transform kind, float *scores, size_t n);

/*
 * Two scores from the one of a two-class model, z[0]: for LOGISTIC its own and the opposite's, for PROBIT twice the
 * transformed one, else 1 - s and s.
 */
void mbr_post_transform_pair(mbr_post_transform kind, float z[2]);

float mbr_logistic(float x);
float mbr_probit(float x);

#endif
