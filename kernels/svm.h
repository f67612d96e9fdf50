/* SPDX-License-Identifier: BSD-2-Clause */
/* Support vector machines and other small linear models, a row at a time, as ONNX Runtime computes them. */
#ifndef MBR_KERNELS_SVM_H
#define MBR_KERNELS_SVM_H

#include <stdbool.h>
#include <stddef.h>

float mbr_dot_ref(const float *a, const float *b, size_t n);

typedef enum mbr_svm_kernel { MBR_SVM_LINEAR, MBR_SVM_POLY, MBR_SVM_RBF, MBR_SVM_SIGMOID } mbr_svm_kernel;

typedef struct mbr_svm_args {
    mbr_svm_kernel kernel;
    float gamma, coef0, degree;
} mbr_svm_args;

/* x^degree. */
float mbr_svm_power_ref(float x, float degree);

/* k[i] = kernel(x, vectors[i]): dot, (gamma dot + coef0)^degree, exp(-gamma |x - v|^2), tanh(gamma dot + coef0). */
void mbr_svm_kernel_ref(const mbr_svm_args *args, const float *x, const float *vectors, size_t n, size_t features,
                        float *k);

/*
 * One against one: a score and a vote for each pair of classes i < j. The vectors of class c are `count[c]` from
 * start[c] on; coefficients are (classes - 1, vectors); the score of a pair takes row j - 1 for the vectors of i and
 * row i for those of j, and rho of the pair. A score above 0 is a vote for i.
 */
void mbr_svm_pairs_ref(const float *k, const float *coefficients, const float *rho, const size_t *start, size_t classes,
                       size_t vectors, float *scores, size_t *votes);

/*
 * Class probabilities from the pairs' scores: sigmoids of a * score + b, coupled by the second method of Wu, Lin and
 * Weng. work: classes * (2 classes + 1) floats.
 */
void mbr_svm_probabilities_ref(const float *scores, const float *a, const float *b, size_t classes, float *work,
                               float *probabilities);

#endif
