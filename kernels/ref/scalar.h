/* SPDX-License-Identifier: BSD-2-Clause */
/* The formulas of the activations in f64, shared by the reference kernels. */
#ifndef MBR_KERNELS_REF_SCALAR_H
#define MBR_KERNELS_REF_SCALAR_H

#include <math.h>

static inline double mbr_scalar_min(double a, double b)
{
    return a < b || isnan(a) ? a : b;
}

static inline double mbr_scalar_max(double a, double b)
{
    return a > b || isnan(a) ? a : b;
}

static inline double mbr_scalar_sign(double a)
{
    return a > 0.0 ? 1.0 : a < 0.0 ? -1.0 : a == 0.0 ? 0.0 : a;
}

/* Python's %: the sign of the divisor. */
static inline double mbr_scalar_mod(double a, double b)
{
    double r = fmod(a, b);
    if (r == 0.0)
        return copysign(0.0, b);
    return (r < 0.0) != (b < 0.0) ? r + b : r;
}

static inline double mbr_scalar_sigmoid(double a)
{
    return 1.0 / (1.0 + exp(-a));
}

static inline double mbr_scalar_softplus(double a)
{
    return a > 0.0 ? a + log1p(exp(-a)) : log1p(exp(a));
}

static inline double mbr_scalar_celu(double a, double alpha)
{
    double e = alpha * expm1(a / alpha);
    return isnan(a) ? a : (a > 0.0 ? a : 0.0) + (e < 0.0 ? e : 0.0);
}

static inline double mbr_scalar_clip(double a, double low, double high)
{
    if (isnan(a))
        return a;
    a = a > low ? a : low;
    return a < high ? a : high;
}

static inline double mbr_scalar_hard_sigmoid(double a, double alpha, double beta)
{
    return mbr_scalar_clip(alpha * a + beta, 0.0, 1.0);
}

/* Silu, mish and gelu are infinity times zero at minus infinity, as their definitions say: not a number. */
static inline double mbr_scalar_gelu(double a)
{
    return 0.5 * a * erfc(-a * 0.70710678118654752440);
}

static inline double mbr_scalar_gelu_tanh(double a)
{
    double t = 0.79788456080286535588 * (a + 0.044715 * a * a * a);
    return a / (1.0 + exp(-2.0 * t)); /* (1 + tanh t) / 2, without cancellation */
}

static inline double mbr_scalar_swish(double a, double x)
{
    return a * mbr_scalar_sigmoid(x * a);
}

static inline double mbr_scalar_mish(double a)
{
    return a * tanh(mbr_scalar_softplus(a));
}

static inline double mbr_scalar_shrink(double a, double lambda, double bias)
{
    return a < -lambda ? a + bias : a > lambda ? a - bias : 0.0;
}

#endif
