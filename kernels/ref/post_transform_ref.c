/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/post_transform.h"

#include <math.h>

float mbr_logistic(float x)
{
    float v = 1.0f / (1.0f + expf(-fabsf(x)));
    return x < 0 ? 1.0f - v : v;
}

float mbr_probit(float x)
{
    float y = 2.0f * x - 1.0f;
    float sign = y < 0 ? -1.0f : 1.0f;
    float l = logf((1.0f - y) * (1.0f + y));
    float v = 2.0f / (3.14159f * 0.147f) + 0.5f * l;
    float root = sqrtf(-v + sqrtf(v * v - 1.0f / 0.147f * l));
    return 1.41421356f * sign * root;
}

static void softmax(float *scores, size_t n)
{
    float most = scores[0], sum = 0;
    for (size_t i = 1; i < n; i++)
        most = scores[i] > most ? scores[i] : most;
    for (size_t i = 0; i < n; i++) {
        scores[i] = expf(scores[i] - most);
        sum += scores[i];
    }
    for (size_t i = 0; i < n; i++)
        scores[i] /= sum;
}

static void softmax_zero(float *scores, size_t n)
{
    float most = scores[0], sum = 0;
    for (size_t i = 1; i < n; i++)
        most = scores[i] > most ? scores[i] : most;
    float shrink = expf(-most);
    for (size_t i = 0; i < n; i++) {
        if (fabsf(scores[i]) > 0.0000001f) {
            scores[i] = expf(scores[i] - most);
            sum += scores[i];
        } else {
            scores[i] *= shrink;
        }
    }
    for (size_t i = 0; i < n; i++)
        scores[i] /= sum;
}

void mbr_post_transform_ref(mbr_post_transform kind, float *scores, size_t n)
{
    if (n == 0)
        return;
    switch (kind) {
    case MBR_POST_NONE:
        break;
    case MBR_POST_SOFTMAX:
        softmax(scores, n);
        break;
    case MBR_POST_SOFTMAX_ZERO:
        softmax_zero(scores, n);
        break;
    case MBR_POST_LOGISTIC:
        for (size_t i = 0; i < n; i++)
            scores[i] = mbr_logistic(scores[i]);
        break;
    case MBR_POST_PROBIT:
        for (size_t i = 0; i < n; i++)
            scores[i] = mbr_probit(scores[i]);
        break;
    }
}

void mbr_post_transform_pair(mbr_post_transform kind, float z[2])
{
    float s = z[0];
    switch (kind) {
    case MBR_POST_LOGISTIC:
        z[0] = mbr_logistic(-s);
        z[1] = mbr_logistic(s);
        break;
    case MBR_POST_PROBIT:
        z[0] = z[1] = mbr_probit(s);
        break;
    default:
        z[0] = 1.0f - s;
        z[1] = s;
        break;
    }
}
