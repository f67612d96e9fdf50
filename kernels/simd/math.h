/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Elementary functions on vectors, in the words of the vec_*.h that the file included before. Errors
 * against double precision stay below these bounds, in units of the last place of the result:
 *
 *   vf_exp      1.5   everything; overflow to infinity, underflow through the denormals to zero
 *   vf_exp_down_many 1.5  x <= 0; 0 below -87
 *   vf_log      1.5   everything; -infinity at zero, NaN below
 *   vf_tanh     2     everything
 *   vf_sigmoid  3     x > -87; below, 1e-38 absolute
 *   vf_erf      1.5   everything
 *
 * A NaN stays a NaN, infinities go to the limits. The polynomials are least-maximum fits over the reduced ranges.
 */
#ifndef MBR_KERNELS_SIMD_MATH_H
#define MBR_KERNELS_SIMD_MATH_H

/* 2^n for n from -126 to 127. */
MBR_INLINE vf vf_pow2_int(vi n)
{
    return vi_as_vf(vi_shl(vi_add(n, vi_set1(127)), 23));
}

/* p 2^n for whole n from -151 to 129; where there is no instruction for it in two halves, neither of which leaves the
   normal range early. */
#ifndef VF_HAS_SCALE
MBR_INLINE vf vf_scale(vf p, vf n)
{
    vi whole = vf_to_vi(n), half = vi_sar(whole, 1);
    return vf_mul(vf_mul(p, vf_pow2_int(half)), vf_pow2_int(vi_sub(whole, half)));
}
#endif

/* exp(x) = 2^n exp(r), |r| <= ln(2)/2. */
MBR_INLINE vf vf_exp(vf x)
{
    x = vf_max(vf_set1(-104.0f), vf_min(vf_set1(89.0f), x)); /* constants first: a NaN comes through */
    vf n = vf_round(vf_mul(x, vf_set1(0x1.715476p+0f)));
    vf r = vf_fnma(n, vf_set1(0x1.62e400p-1f), x);
    r = vf_fnma(n, vf_set1(0x1.7f7d1cp-20f), r);
    vf p = vf_set1(0x1.6dbc64p-10f);
    p = vf_fma(p, r, vf_set1(0x1.124148p-7f));
    p = vf_fma(p, r, vf_set1(0x1.555454p-5f));
    p = vf_fma(p, r, vf_set1(0x1.555486p-3f));
    p = vf_fma(p, r, vf_set1(0.5f));
    p = vf_fma(vf_mul(r, r), p, r);
    p = vf_add(p, vf_set1(1.0f));
    return vf_scale(p, n);
}

/*
 * The same of n vectors (a constant, at most MBR_MANY) step by step: a processor sees some six of these functions ahead,
 * too few to fill the time that one takes from end to end when they stand one after the other.
 */
#define MBR_MANY 4

MBR_INLINE void vf_exp_many(vf *x, const int n)
{
    vf r[MBR_MANY], p[MBR_MANY], whole[MBR_MANY];
#define EACH                                                                                                           \
    MBR_UNROLL(4)                                                                                                      \
    for (int i = 0; i < n; i++)
    EACH x[i] = vf_max(vf_set1(-104.0f), vf_min(vf_set1(89.0f), x[i]));
    EACH whole[i] = vf_round(vf_mul(x[i], vf_set1(0x1.715476p+0f)));
    EACH x[i] = vf_fnma(whole[i], vf_set1(0x1.62e400p-1f), x[i]);
    EACH r[i] = vf_fnma(whole[i], vf_set1(0x1.7f7d1cp-20f), x[i]);
    EACH p[i] = vf_fma(vf_set1(0x1.6dbc64p-10f), r[i], vf_set1(0x1.124148p-7f));
    EACH p[i] = vf_fma(p[i], r[i], vf_set1(0x1.555454p-5f));
    EACH p[i] = vf_fma(p[i], r[i], vf_set1(0x1.555486p-3f));
    EACH p[i] = vf_fma(p[i], r[i], vf_set1(0.5f));
    EACH p[i] = vf_fma(vf_mul(r[i], r[i]), p[i], r[i]);
    EACH p[i] = vf_add(p[i], vf_set1(1.0f));
    EACH x[i] = vf_scale(p[i], whole[i]);
#undef EACH
}

/* e^x for x that is at most 0 (or NaN): two thirds of the work of vf_exp_many. */
MBR_INLINE void vf_exp_down_many(vf *x, const int n)
{
    vf r[MBR_MANY], p[MBR_MANY];
    vi whole[MBR_MANY];
#define EACH                                                                                                           \
    MBR_UNROLL(4)                                                                                                      \
    for (int i = 0; i < n; i++)
    EACH r[i] = vf_round(vf_mul(x[i], vf_set1(0x1.715476p+0f)));
    EACH whole[i] = vf_to_vi(r[i]);
    EACH p[i] = vf_fnma(r[i], vf_set1(0x1.62e400p-1f), x[i]);
    EACH r[i] = vf_fnma(r[i], vf_set1(0x1.7f7d1cp-20f), p[i]);
    EACH p[i] = vf_fma(vf_set1(0x1.6dbc64p-10f), r[i], vf_set1(0x1.124148p-7f));
    EACH p[i] = vf_fma(p[i], r[i], vf_set1(0x1.555454p-5f));
    EACH p[i] = vf_fma(p[i], r[i], vf_set1(0x1.555486p-3f));
    EACH p[i] = vf_fma(p[i], r[i], vf_set1(0.5f));
    EACH p[i] = vf_fma(vf_mul(r[i], r[i]), p[i], r[i]);
    EACH p[i] = vf_add(p[i], vf_set1(1.0f));
    EACH p[i] = vi_as_vf(vi_add(vf_as_vi(p[i]), vi_shl(whole[i], 23))); /* a NaN stays one: its whole is 0 or 2^31 */
    EACH x[i] = vf_select(vf_lt(x[i], vf_set1(-87.0f)), vf_zero(), p[i]);
#undef EACH
}

/* log(x) = e ln(2) + log(1 + f), 1 + f in [sqrt(1/2), sqrt(2)). */
MBR_INLINE vf vf_log(vf x)
{
    vm tiny = vf_lt(x, vf_set1(0x1p-126f));
    vf scaled = vf_select(tiny, vf_mul(x, vf_set1(0x1p24f)), x);
    vi u = vi_sub(vf_as_vi(scaled), vi_set1(0x3f3504f3));
    vf e = vf_sub(vi_to_vf(vi_sar(u, 23)), vf_select(tiny, vf_set1(24.0f), vf_zero()));
    vf f = vf_sub(vi_as_vf(vi_add(vi_and(u, vi_set1(0x7fffff)), vi_set1(0x3f3504f3))), vf_set1(1.0f));
    vf p = vf_set1(-0x1.38b4e2p-4f);
    p = vf_fma(p, f, vf_set1(0x1.055b58p-3f));
    p = vf_fma(p, f, vf_set1(-0x1.0d8556p-3f));
    p = vf_fma(p, f, vf_set1(0x1.22da20p-3f));
    p = vf_fma(p, f, vf_set1(-0x1.547242p-3f));
    p = vf_fma(p, f, vf_set1(0x1.99a008p-3f));
    p = vf_fma(p, f, vf_set1(-0x1.000228p-2f));
    p = vf_fma(p, f, vf_set1(0x1.555554p-2f));
    vf f2 = vf_mul(f, f);
    vf low = vf_fma(e, vf_set1(0x1.7f7d1cp-20f), vf_mul(vf_mul(f2, f), p));
    low = vf_fnma(vf_set1(0.5f), f2, low);
    vf y = vf_fma(e, vf_set1(0x1.62e400p-1f), vf_add(f, low));
    y = vf_select(vf_eq(x, vi_as_vf(vi_set1(0x7f800000))), x, y);
    y = vf_select(vf_eq(x, vf_zero()), vi_as_vf(vi_set1((int32_t)0xff800000u)), y);
    return vf_select(vf_ge(x, vf_zero()), y, vi_as_vf(vi_set1(0x7fc00000)));
}

/* A polynomial near zero; 1 - 2 / (e^2a + 1) further out, which is 1 from 10 on: the power of two goes on as it is. */
MBR_INLINE void vf_tanh_many(vf *x, const int n)
{
    vf a[MBR_MANY], r[MBR_MANY], p[MBR_MANY], s[MBR_MANY];
    vi whole[MBR_MANY];
#define EACH                                                                                                           \
    MBR_UNROLL(4)                                                                                                      \
    for (int i = 0; i < n; i++)
    EACH a[i] = vf_min(vf_set1(10.0f), vf_abs(x[i]));
    EACH a[i] = vf_add(a[i], a[i]);
    EACH r[i] = vf_round(vf_mul(a[i], vf_set1(0x1.715476p+0f)));
    EACH whole[i] = vf_to_vi(r[i]);
    EACH p[i] = vf_fnma(r[i], vf_set1(0x1.62e400p-1f), a[i]);
    EACH r[i] = vf_fnma(r[i], vf_set1(0x1.7f7d1cp-20f), p[i]);
    EACH p[i] = vf_fma(vf_set1(0x1.6dbc64p-10f), r[i], vf_set1(0x1.124148p-7f));
    EACH p[i] = vf_fma(p[i], r[i], vf_set1(0x1.555454p-5f));
    EACH p[i] = vf_fma(p[i], r[i], vf_set1(0x1.555486p-3f));
    EACH p[i] = vf_fma(p[i], r[i], vf_set1(0.5f));
    EACH p[i] = vf_fma(vf_mul(r[i], r[i]), p[i], r[i]);
    EACH p[i] = vf_add(p[i], vf_set1(1.0f));
    EACH p[i] = vi_as_vf(vi_add(vf_as_vi(p[i]), vi_shl(whole[i], 23))); /* a NaN stays one: its whole is 0 or -2^31 */
    EACH r[i] = vf_sub(vf_set1(1.0f), vf_div(vf_set1(2.0f), vf_add(p[i], vf_set1(1.0f))));
    EACH s[i] = vf_mul(x[i], x[i]);
    EACH p[i] = vf_fma(vf_set1(-0x1.76ac10p-8f), s[i], vf_set1(0x1.5256d6p-6f));
    EACH p[i] = vf_fma(p[i], s[i], vf_set1(-0x1.b84448p-5f));
    EACH p[i] = vf_fma(p[i], s[i], vf_set1(0x1.110768p-3f));
    EACH p[i] = vf_fma(p[i], s[i], vf_set1(-0x1.555534p-2f));
    EACH p[i] = vf_fma(vf_mul(s[i], x[i]), p[i], x[i]);
    EACH x[i] = vf_copysign(vf_select(vf_lt(a[i], vf_set1(1.25f)), p[i], r[i]), x[i]); /* -0 of -0, too */
#undef EACH
}

MBR_INLINE vf vf_tanh(vf x)
{
    vf_tanh_many(&x, 1);
    return x;
}

MBR_INLINE vf vf_sigmoid(vf x)
{
    return vf_div(vf_set1(1.0f), vf_add(vf_set1(1.0f), vf_exp(vf_neg(x))));
}

/* A polynomial near zero; 1 - exp of a polynomial, the fitted logarithm of erfc, further out. */
MBR_INLINE vf vf_erf(vf x)
{
    vf a = vf_min(vf_set1(4.1f), vf_abs(x)), s = vf_mul(x, x);
    vf p = vf_set1(0x1.575030p-14f);
    p = vf_fma(p, s, vf_set1(-0x1.a88e10p-11f));
    p = vf_fma(p, s, vf_set1(0x1.549676p-8f));
    p = vf_fma(p, s, vf_set1(-0x1.b80964p-6f));
    p = vf_fma(p, s, vf_set1(0x1.ce2dccp-4f));
    p = vf_fma(p, s, vf_set1(-0x1.812742p-2f));
    p = vf_fma(p, s, vf_set1(0x1.06eba8p-3f));
    vf small = vf_fma(x, p, x);
    vf q = vf_set1(-0x1.419cd2p-17f);
    q = vf_fma(q, a, vf_set1(0x1.4160f0p-12f));
    q = vf_fma(q, a, vf_set1(-0x1.d4d356p-9f));
    q = vf_fma(q, a, vf_set1(0x1.831232p-6f));
    q = vf_fma(q, a, vf_set1(-0x1.b2809ep-4f));
    q = vf_fma(q, a, vf_set1(-0x1.453ed8p-1f));
    q = vf_fma(q, a, vf_set1(-0x1.20ed9ep+0f));
    vf large = vf_sub(vf_set1(1.0f), vf_exp(vf_mul(q, a)));
    return vf_select(vf_lt(a, vf_set1(0.9f)), small, vf_copysign(large, x));
}

MBR_INLINE void vf_erf_many(vf *x, const int n)
{
    vf a[MBR_MANY], s[MBR_MANY], p[MBR_MANY], q[MBR_MANY];
#define EACH                                                                                                           \
    MBR_UNROLL(4)                                                                                                      \
    for (int i = 0; i < n; i++)
    EACH a[i] = vf_min(vf_set1(4.1f), vf_abs(x[i]));
    EACH q[i] = vf_fma(vf_set1(-0x1.419cd2p-17f), a[i], vf_set1(0x1.4160f0p-12f));
    EACH q[i] = vf_fma(q[i], a[i], vf_set1(-0x1.d4d356p-9f));
    EACH q[i] = vf_fma(q[i], a[i], vf_set1(0x1.831232p-6f));
    EACH q[i] = vf_fma(q[i], a[i], vf_set1(-0x1.b2809ep-4f));
    EACH q[i] = vf_fma(q[i], a[i], vf_set1(-0x1.453ed8p-1f));
    EACH q[i] = vf_mul(vf_fma(q[i], a[i], vf_set1(-0x1.20ed9ep+0f)), a[i]);
    vf_exp_many(q, n);
    EACH q[i] = vf_copysign(vf_sub(vf_set1(1.0f), q[i]), x[i]);
    EACH s[i] = vf_mul(x[i], x[i]);
    EACH p[i] = vf_fma(vf_set1(0x1.575030p-14f), s[i], vf_set1(-0x1.a88e10p-11f));
    EACH p[i] = vf_fma(p[i], s[i], vf_set1(0x1.549676p-8f));
    EACH p[i] = vf_fma(p[i], s[i], vf_set1(-0x1.b80964p-6f));
    EACH p[i] = vf_fma(p[i], s[i], vf_set1(0x1.ce2dccp-4f));
    EACH p[i] = vf_fma(p[i], s[i], vf_set1(-0x1.812742p-2f));
    EACH p[i] = vf_fma(p[i], s[i], vf_set1(0x1.06eba8p-3f));
    EACH x[i] = vf_select(vf_lt(a[i], vf_set1(0.9f)), vf_fma(x[i], p[i], x[i]), q[i]);
#undef EACH
}

#endif
