/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * More functions on vectors: those of the activations and of kernels/chain.h. Include a vec_*.h before. Errors as
 * kernels/simd/math.h counts them; see kernels/chain.h for what is promised.
 */
#ifndef MBR_KERNELS_SIMD_MATH_NN_H
#define MBR_KERNELS_SIMD_MATH_NN_H

#include "kernels/simd/math.h"

#include <math.h>

MBR_INLINE vf vf_inf(void)
{
    return vi_as_vf(vi_set1(0x7f800000));
}

MBR_INLINE vf vf_signed_zero(vf a)
{
    return vf_and(a, vi_as_vf(vi_set1((int32_t)0x80000000u)));
}

/* The smaller, the larger; a NaN on either side wins. */
MBR_INLINE vf vf_min_nan(vf a, vf b)
{
    return vf_select(vf_is_nan(a), a, vf_min(a, b));
}

MBR_INLINE vf vf_max_nan(vf a, vf b)
{
    return vf_select(vf_is_nan(a), a, vf_max(a, b));
}

/* One call of libm a lane: for the functions that are too rare or too delicate for a polynomial. */
#define MBR_VF_LANES(name, call)                                                                                       \
    static inline vf name(vf a, vf b)                                                                                  \
    {                                                                                                                  \
        float x[MBR_VL], y[MBR_VL];                                                                                    \
        vf_store(x, a);                                                                                                \
        vf_store(y, b);                                                                                                \
        for (int i = 0; i < MBR_VL; i++)                                                                               \
            x[i] = call;                                                                                               \
        return vf_load(x);                                                                                             \
    }
MBR_VF_LANES(vf_pow, powf(x[i], y[i]))
MBR_VF_LANES(vf_fmod, fmodf(x[i], y[i]))
MBR_VF_LANES(vf_sin_lanes, ((void)y[i], (float)sin((double)x[i])))
MBR_VF_LANES(vf_cos_lanes, ((void)y[i], (float)cos((double)x[i])))
#undef MBR_VF_LANES

/* e^x - 1, without cancellation near zero. */
MBR_INLINE vf vf_expm1(vf x)
{
    vf p = vf_set1(0x1.a38c58p-13f);
    p = vf_fma(p, x, vf_set1(0x1.6f2adcp-10f));
    p = vf_fma(p, x, vf_set1(0x1.110e80p-7f));
    p = vf_fma(p, x, vf_set1(0x1.555204p-5f));
    p = vf_fma(p, x, vf_set1(0x1.555558p-3f));
    p = vf_fma(p, x, vf_set1(0x1.000002p-1f));
    vf small = vf_fma(vf_mul(x, x), p, x);
    return vf_select(vf_lt(vf_abs(x), vf_set1(0.5f)), small, vf_sub(vf_exp(x), vf_set1(1.0f)));
}

/* ln(1 + u) for u in [0, 1]: the logarithm of the rounded sum, put right for the rounding. */
MBR_INLINE vf vf_log1p_unit(vf u)
{
    vf w = vf_add(vf_set1(1.0f), u), d = vf_sub(w, vf_set1(1.0f));
    vf y = vf_mul(vf_log(w), vf_div(u, d));
    return vf_select(vf_eq(d, vf_zero()), u, y);
}

MBR_INLINE vf vf_softplus(vf x)
{
    return vf_add(vf_max(vf_zero(), x), vf_log1p_unit(vf_exp(vf_neg(vf_abs(x)))));
}

/* x / (1 + e^-t); NaN where that is infinity times a sigmoid of nothing, here and in the others. */
MBR_INLINE vf vf_gate(vf x, vf t)
{
    return vf_div(x, vf_add(vf_set1(1.0f), vf_exp(vf_neg(t))));
}

MBR_INLINE vf vf_gelu(vf x)
{
    vf one_and = vf_add(vf_set1(1.0f), vf_erf(vf_mul(x, vf_set1(0.70710678f))));
    return vf_mul(vf_mul(x, vf_set1(0.5f)), one_and); /* keeps the sign of zero */
}

MBR_INLINE vf vf_gelu_tanh(vf x)
{
    vf inner = vf_fma(vf_mul(vf_mul(x, x), x), vf_set1(0.044715f), x);
    return vf_gate(x, vf_mul(inner, vf_set1(1.5957691f)));
}

/* x tanh(ln(1 + e^x)) = x n / (n + 2) with n = e^x (e^x + 2). */
MBR_INLINE vf vf_mish(vf x)
{
    vf e = vf_exp(vf_min(vf_set1(20.0f), x));
    vf n = vf_fma(e, e, vf_add(e, e)); /* twice e is exact: one rounding, where e (e + 2) has two */
    return vf_mul(x, vf_div(n, vf_add(n, vf_set1(2.0f))));
}

#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
/*
 * x - k pi/2 in three parts, each product exact; good up to the limit, beyond which libm takes over. Quadrants pick
 * the polynomial and the sign.
 */
#define MBR_TRIG_LIMIT 30000.0f

MBR_INLINE vf vf_sin_quadrant(vf x, int32_t quarter)
{
    vf k = vf_round(vf_mul(x, vf_set1(0x1.45f306p-1f)));
    vf r = vf_fnma(k, vf_set1(0x1.921fb6p+0f), x);
    r = vf_fnma(k, vf_set1(-0x1.777a5cp-25f), r);
    r = vf_fnma(k, vf_set1(-0x1.ee59dap-50f), r);
    vi q = vi_add(vf_to_vi(k), vi_set1(quarter));
    vf z = vf_mul(r, r);
    vf s = vf_fma(vf_set1(0x1.6cbecep-19f), z, vf_set1(-0x1.a00f32p-13f));
    s = vf_fma(s, z, vf_set1(0x1.111108p-7f));
    s = vf_fma(s, z, vf_set1(-0x1.555556p-3f));
    s = vf_fma(vf_mul(z, r), s, r);
    vf c = vf_fma(vf_set1(0x1.99e33ap-16f), z, vf_set1(-0x1.6c0c22p-10f));
    c = vf_fma(c, z, vf_set1(0x1.55554ap-5f));
    c = vf_fma(vf_mul(z, z), c, vf_fnma(vf_set1(0.5f), z, vf_set1(1.0f)));
    vf y = vf_select(vi_eq(vi_and(q, vi_set1(1)), vi_zero()), s, c);
    return vf_xor(y, vi_as_vf(vi_shl(vi_and(q, vi_set1(2)), 30)));
}

MBR_INLINE vf vf_sin(vf x)
{
    if (vm_all(vf_lt(vf_abs(x), vf_set1(MBR_TRIG_LIMIT)))) {
        vf y = vf_sin_quadrant(x, 0);
        return vf_select(vf_eq(x, vf_zero()), x, y);
    }
    return vf_sin_lanes(x, vf_zero());
}

MBR_INLINE vf vf_cos(vf x)
{
    if (vm_all(vf_lt(vf_abs(x), vf_set1(MBR_TRIG_LIMIT))))
        return vf_sin_quadrant(x, 1);
    return vf_cos_lanes(x, vf_zero());
}
#else
MBR_INLINE vf vf_sin(vf x)
{
    return vf_sin_lanes(x, vf_zero());
}

MBR_INLINE vf vf_cos(vf x)
{
    return vf_cos_lanes(x, vf_zero());
}
#endif

#endif
