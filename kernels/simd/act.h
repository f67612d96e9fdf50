/* SPDX-License-Identifier: BSD-2-Clause */
/* The activation functions of kernels/act.h on vectors. Include a vec_*.h before. */
#ifndef MBR_KERNELS_SIMD_ACT_H
#define MBR_KERNELS_SIMD_ACT_H

#include "kernels/act.h"
#include "kernels/simd/math.h"

/* min(max(x, lo), hi) that hands a NaN on. */
MBR_INLINE vf vf_clip(vf x, vf lo, vf hi)
{
    return vf_min(hi, vf_max(lo, x));
}

/* One vector. Loops that know the kind outside should switch there and pass a constant kind: the rest folds away. */
MBR_INLINE vf vf_act(vf x, mbr_act_kind kind, float a, float b)
{
    switch (kind) {
    case MBR_ACT_RELU:
        return vf_max(vf_zero(), x);
    case MBR_ACT_CLIP:
        return vf_clip(x, vf_set1(a), vf_set1(b));
    case MBR_ACT_LEAKY:
        return vf_select(vf_lt(x, vf_zero()), vf_mul(x, vf_set1(a)), x);
    case MBR_ACT_SIGMOID:
        return vf_sigmoid(x);
    case MBR_ACT_TANH:
        return vf_tanh(x);
    case MBR_ACT_SILU:
        return vf_div(x, vf_add(vf_set1(1.0f), vf_exp(vf_mul(x, vf_set1(-a)))));
    case MBR_ACT_GELU: {
        vf half = vf_mul(x, vf_set1(0.5f));
        return vf_fma(half, vf_erf(vf_mul(x, vf_set1(0.70710678f))), half);
    }
    case MBR_ACT_GELU_TANH: {
        vf half = vf_mul(x, vf_set1(0.5f));
        vf inner = vf_fma(vf_mul(vf_mul(x, x), x), vf_set1(0.044715f), x);
        return vf_fma(half, vf_tanh(vf_mul(inner, vf_set1(0.79788456f))), half);
    }
    case MBR_ACT_HARD_SIGMOID:
        return vf_clip(vf_fma(x, vf_set1(a), vf_set1(b)), vf_zero(), vf_set1(1.0f));
    case MBR_ACT_HARD_SWISH:
        return vf_mul(x, vf_clip(vf_fma(x, vf_set1(1.0f / 6), vf_set1(0.5f)), vf_zero(), vf_set1(1.0f)));
    case MBR_ACT_NONE:
    case MBR_ACT_COUNT:
        break;
    }
    return x;
}

/* n vectors, a constant up to MBR_MANY: the same bits as one by one, sooner where an exponential is in it. */
MBR_INLINE void vf_act_many(vf *x, const int n, mbr_act_kind kind, float a, float b)
{
    vf e[MBR_MANY];
#define EACH                                                                                                           \
    MBR_UNROLL(4)                                                                                                      \
    for (int i = 0; i < n; i++)
    if (kind == MBR_ACT_SILU || kind == MBR_ACT_SIGMOID) {
        EACH e[i] = kind == MBR_ACT_SILU ? vf_mul(x[i], vf_set1(-a)) : vf_neg(x[i]);
        vf_exp_many(e, n);
        EACH x[i] = vf_div(kind == MBR_ACT_SILU ? x[i] : vf_set1(1.0f), vf_add(vf_set1(1.0f), e[i]));
        return;
    }
    if (kind == MBR_ACT_TANH) {
        vf_tanh_many(x, n);
        return;
    }
    if (kind == MBR_ACT_GELU) {
        EACH e[i] = vf_mul(x[i], vf_set1(0.70710678f));
        vf_erf_many(e, n);
        EACH x[i] = vf_mul(x[i], vf_set1(0.5f));
        EACH x[i] = vf_fma(x[i], e[i], x[i]);
        return;
    }
    if (kind == MBR_ACT_GELU_TANH) {
        EACH e[i] = vf_fma(vf_mul(vf_mul(x[i], x[i]), x[i]), vf_set1(0.044715f), x[i]);
        EACH e[i] = vf_mul(e[i], vf_set1(0.79788456f));
        vf_tanh_many(e, n);
        EACH x[i] = vf_mul(x[i], vf_set1(0.5f));
        EACH x[i] = vf_fma(x[i], e[i], x[i]);
        return;
    }
    EACH x[i] = vf_act(x[i], kind, a, b);
#undef EACH
}

#endif
