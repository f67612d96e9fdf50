/* SPDX-License-Identifier: BSD-2-Clause */
/* One step of a training optimizer on a tensor, as ONNX's Adagrad, Adam and Momentum define it; f32 and f64, in f64. */
#ifndef MBR_KERNELS_OPTIMIZER_H
#define MBR_KERNELS_OPTIMIZER_H

#include "mbr/dtype.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum mbr_optimizer { MBR_ADAGRAD, MBR_ADAM, MBR_MOMENTUM } mbr_optimizer;

typedef struct mbr_optimizer_args {
    mbr_optimizer what;
    mbr_dtype dtype;
    double rate;
    int64_t step;
    double norm, norm_post, alpha, beta, epsilon, decay;
    bool nesterov;
    size_t n;
    const void *x, *gradient, *v, *h; /* v: momentum; h: squared gradients (Adam: both; Adagrad: h; Momentum: v) */
    void *new_x, *new_v, *new_h;      /* may be the old ones; NULL: not wanted */
} mbr_optimizer_args;

void mbr_optimizer_step(const mbr_optimizer_args *args);

#endif
