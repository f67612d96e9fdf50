/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/norm.h"

#include <math.h>

void mbr_norm_ref(const mbr_norm_args *args, size_t first, size_t last)
{
    size_t n = args->cols;
    for (size_t r = first; r < last; r++) {
        const float *in = args->in + r * n;
        const float *residual = args->residual ? args->residual + r * n : NULL;
        double mean = 0.0, square = 0.0;
        for (size_t c = 0; c < n; c++)
            mean += (double)(residual ? in[c] + residual[c] : in[c]);
        mean = args->rms ? 0.0 : mean / (double)n;
        for (size_t c = 0; c < n; c++) {
            double d = (double)(residual ? in[c] + residual[c] : in[c]) - mean;
            square += d * d;
        }
        double inv_std = 1.0 / sqrt(square / (double)n + (double)args->epsilon);
        for (size_t c = 0; c < n; c++) {
            float s = residual ? in[c] + residual[c] : in[c];
            if (args->sum_out)
                args->sum_out[r * n + c] = s;
            double y = ((double)s - mean) * inv_std;
            y *= args->scale ? (double)args->scale[c] : 1.0;
            args->out[r * n + c] = (float)(y + (args->bias ? (double)args->bias[c] : 0.0));
        }
        if (args->mean_out)
            args->mean_out[r] = (float)mean;
        if (args->inv_std_out)
            args->inv_std_out[r] = (float)inv_std;
    }
}

void mbr_group_norm_ref(const mbr_group_norm_args *args, size_t first, size_t last)
{
    size_t width = args->channels / args->groups, spatial = args->spatial;
    size_t c_step = args->channels_last ? 1 : spatial, s_step = args->channels_last ? args->channels : 1;
    double count = (double)width * (double)spatial;
    for (size_t t = first; t < last; t++) {
        size_t channel = t % args->groups * width;
        size_t base = t / args->groups * args->channels * spatial + channel * c_step;
        double mean = 0.0, square = 0.0;
        for (size_t c = 0; c < width; c++)
            for (size_t s = 0; s < spatial; s++)
                mean += (double)args->in[base + c * c_step + s * s_step];
        mean /= count;
        for (size_t c = 0; c < width; c++)
            for (size_t s = 0; s < spatial; s++) {
                double d = (double)args->in[base + c * c_step + s * s_step] - mean;
                square += d * d;
            }
        double inv_std = 1.0 / sqrt(square / count + (double)args->epsilon);
        for (size_t c = 0; c < width; c++) {
            double scale = inv_std * (args->scale ? (double)args->scale[channel + c] : 1.0);
            double bias = args->bias ? (double)args->bias[channel + c] : 0.0;
            for (size_t s = 0; s < spatial; s++) {
                size_t at = base + c * c_step + s * s_step;
                args->out[at] = (float)(((double)args->in[at] - mean) * scale + bias);
            }
        }
    }
}

void mbr_batch_norm_fold(size_t channels, const float *gamma, const float *beta, const float *mean, const float *var,
                         float epsilon, float *scale, float *shift)
{
    for (size_t c = 0; c < channels; c++) {
        double s = (double)gamma[c] / sqrt((double)var[c] + (double)epsilon);
        shift[c] = (float)((double)beta[c] - (double)mean[c] * s);
        scale[c] = (float)s;
    }
}
