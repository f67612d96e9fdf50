/* SPDX-License-Identifier: BSD-2-Clause */
/* Activation functions that kernels apply on the way out. a and b are the parameters named in the comments. */
#ifndef MBR_KERNELS_ACT_H
#define MBR_KERNELS_ACT_H

typedef enum mbr_act_kind {
    MBR_ACT_NONE,
    MBR_ACT_RELU,         /* max(x, 0) */
    MBR_ACT_CLIP,         /* min(max(x, a), b) */
    MBR_ACT_LEAKY,        /* x < 0 ? a x : x */
    MBR_ACT_SIGMOID,      /* 1 / (1 + exp(-x)) */
    MBR_ACT_TANH,
    MBR_ACT_SILU,         /* x sigmoid(a x); a is 1 for SiLU, 1.702 for the fast GELU */
    MBR_ACT_GELU,         /* x (1 + erf(x / sqrt(2))) / 2 */
    MBR_ACT_GELU_TANH,    /* x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2 */
    MBR_ACT_HARD_SIGMOID, /* min(max(a x + b, 0), 1) */
    MBR_ACT_HARD_SWISH,   /* x min(max(x / 6 + 1/2, 0), 1) */
    MBR_ACT_COUNT
} mbr_act_kind;

/* Zeroed: none. A NaN stays a NaN in all of them. */
typedef struct mbr_act {
    mbr_act_kind kind;
    float a, b;
} mbr_act;

#endif
