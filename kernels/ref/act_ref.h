/* SPDX-License-Identifier: BSD-2-Clause */
/* The activation functions of kernels/act.h, one element at a time, in double precision. */
#ifndef MBR_KERNELS_REF_ACT_REF_H
#define MBR_KERNELS_REF_ACT_REF_H

#include "kernels/act.h"

#include <math.h>

static inline double mbr_act_ref(double x, mbr_act act)
{
    switch (act.kind) {
    case MBR_ACT_RELU:
        return x < 0 ? 0 : x;
    case MBR_ACT_CLIP: {
        double low = x < act.a ? act.a : x;
        return low > act.b ? act.b : low;
    }
    case MBR_ACT_LEAKY:
        return x < 0 ? x * act.a : x;
    case MBR_ACT_SIGMOID:
        return 1 / (1 + exp(-x));
    case MBR_ACT_TANH:
        return tanh(x);
    case MBR_ACT_SILU:
        return x / (1 + exp(-x * act.a));
    case MBR_ACT_GELU:
        return x * 0.5 * (1 + erf(x * 0.70710678118654752440));
    case MBR_ACT_GELU_TANH:
        return x * 0.5 * (1 + tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x)));
    case MBR_ACT_HARD_SIGMOID: {
        double y = x * act.a + act.b;
        return y < 0 ? 0 : y > 1 ? 1 : y;
    }
    case MBR_ACT_HARD_SWISH: {
        double y = x / 6 + 0.5;
        return x * (y < 0 ? 0 : y > 1 ? 1 : y);
    }
    case MBR_ACT_NONE:
    case MBR_ACT_COUNT:
        break;
    }
    return x;
}

#endif
