/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/svm.h"
#include "kernels/post_transform.h"

#include <math.h>

/* Eight sums side by side, added in pairs at the end. */
static inline float add_parts(const float *part)
{
    return ((part[0] + part[4]) + (part[2] + part[6])) + ((part[1] + part[5]) + (part[3] + part[7]));
}

float mbr_dot_ref(const float *a, const float *b, size_t n)
{
    float part[8] = { 0 };
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (size_t k = 0; k < 8; k++)
            part[k] += a[i + k] * b[i + k];
    for (size_t k = 0; i + k < n; k++)
        part[k] += a[i + k] * b[i + k];
    return add_parts(part);
}

static float distance(const float *a, const float *b, size_t n)
{
    float part[8] = { 0 };
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (size_t k = 0; k < 8; k++)
            part[k] += (a[i + k] - b[i + k]) * (a[i + k] - b[i + k]);
    for (size_t k = 0; i + k < n; k++)
        part[k] += (a[i + k] - b[i + k]) * (a[i + k] - b[i + k]);
    return add_parts(part);
}

/* x^degree; small whole degrees, which are the usual ones, without powf. */
float mbr_svm_power_ref(float x, float degree)
{
    return degree == 3 ? x * x * x : degree == 2 ? x * x : powf(x, degree);
}

void mbr_svm_kernel_ref(const mbr_svm_args *args, const float *x, const float *vectors, size_t n, size_t features,
                        float *k)
{
    for (size_t i = 0; i < n; i++) {
        const float *v = vectors + i * features;
        switch (args->kernel) {
        case MBR_SVM_LINEAR:
            k[i] = mbr_dot_ref(x, v, features);
            break;
        case MBR_SVM_POLY:
            k[i] = mbr_svm_power_ref(args->gamma * mbr_dot_ref(x, v, features) + args->coef0, args->degree);
            break;
        case MBR_SVM_RBF:
            k[i] = expf(-args->gamma * distance(x, v, features));
            break;
        case MBR_SVM_SIGMOID:
            k[i] = tanhf(args->gamma * mbr_dot_ref(x, v, features) + args->coef0);
            break;
        }
    }
}

/* Products from `first` on, added in f64: four sums side by side. */
static double products(const float *a, const float *b, size_t first, size_t last)
{
    double part[4] = { 0 };
    size_t v = first;
    for (; v + 4 <= last; v += 4)
        for (size_t k = 0; k < 4; k++)
            part[k] += (double)(a[v + k] * b[v + k]);
    for (; v < last; v++)
        part[0] += (double)(a[v] * b[v]);
    return (part[0] + part[2]) + (part[1] + part[3]);
}

void mbr_svm_pairs_ref(const float *k, const float *coefficients, const float *rho, const size_t *start, size_t classes,
                       size_t vectors, float *scores, size_t *votes)
{
    size_t pair = 0;
    for (size_t c = 0; c < classes; c++)
        votes[c] = 0;
    for (size_t i = 0; i + 1 < classes; i++)
        for (size_t j = i + 1; j < classes; j++, pair++) {
            const float *of_i = coefficients + (j - 1) * vectors, *of_j = coefficients + i * vectors;
            double sum = products(of_i, k, start[i], start[i + 1]) + products(of_j, k, start[j], start[j + 1]);
            sum += (double)rho[pair];
            scores[pair] = (float)sum;
            votes[sum > 0 ? i : j]++;
        }
}

/* r: (classes, classes), r[i][j] the probability of i against j. q, qp: work. */
static void couple(const float *r, size_t n, float *q, float *qp, float *p)
{
    float eps = 0.005f / (float)n;
    for (size_t i = 0; i < n; i++) {
        p[i] = 1.0f / (float)n;
        q[i * n + i] = 0;
        for (size_t j = 0; j < n; j++)
            if (j != i)
                q[i * n + i] += r[j * n + i] * r[j * n + i];
        for (size_t j = 0; j < n; j++)
            if (j != i)
                q[i * n + j] = -r[j * n + i] * r[i * n + j];
    }
    for (int round = 0; round < 100; round++) {
        float pqp = 0, worst = 0;
        for (size_t i = 0; i < n; i++) {
            qp[i] = 0;
            for (size_t j = 0; j < n; j++)
                qp[i] += q[i * n + j] * p[j];
            pqp += p[i] * qp[i];
        }
        for (size_t i = 0; i < n; i++)
            worst = fabsf(qp[i] - pqp) > worst ? fabsf(qp[i] - pqp) : worst;
        if (worst < eps)
            return;
        for (size_t i = 0; i < n; i++) {
            float diff = (pqp - qp[i]) / q[i * n + i];
            p[i] += diff;
            pqp = (pqp + diff * (diff * q[i * n + i] + 2 * qp[i])) / (1 + diff) / (1 + diff);
            for (size_t j = 0; j < n; j++) {
                qp[j] = (qp[j] + diff * q[i * n + j]) / (1 + diff);
                p[j] /= 1 + diff;
            }
        }
    }
}

void mbr_svm_probabilities_ref(const float *scores, const float *a, const float *b, size_t classes, float *work,
                               float *probabilities)
{
    float *r = work, *q = r + classes * classes;
    size_t pair = 0;
    for (size_t i = 0; i < classes; i++)
        for (size_t j = i + 1; j < classes; j++, pair++) {
            float v = 1.0f - mbr_logistic(scores[pair] * a[pair] + b[pair]);
            v = v > 1.0e-7f ? v : 1.0e-7f;
            v = v < 1.0f - 1.0e-7f ? v : 1.0f - 1.0e-7f;
            r[i * classes + j] = v;
            r[j * classes + i] = 1.0f - v;
        }
    couple(r, classes, q, q + classes * classes, probabilities);
}
