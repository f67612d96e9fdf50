/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Comes before every source here. A tensor is two parameters, a buffer and an offset in bytes, since many tensors share
 * one buffer:
 *
 *     __kernel void twice(TENSOR(const float, x), TENSOR(float, y), int n)
 *     {
 *         OPEN(const float, x);
 *         OPEN(float, y);
 *         ...
 *     }
 */
#ifdef cl_khr_fp64
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#endif
#ifdef cl_khr_fp16
#pragma OPENCL EXTENSION cl_khr_fp16 : enable
#endif

#define TENSOR(T, x) __global T *x##_base, const ulong x##_at
#define OPEN(T, x) __global T *x = (__global T *)((__global const char *)x##_base + x##_at)

/* ACT(float8) defines act_float8: the activations of kernels/act.h, in their order. A NaN stays a NaN. */
#define ACT(V) ACT_(V)
#define ACT_(V)                                                                                                        \
    static V act_##V(V x, int kind, float a, float b)                                                                  \
    {                                                                                                                  \
        const V zero = 0, one = 1;                                                                                     \
        switch (kind) {                                                                                                \
        case 1:                                                                                                        \
            return x < zero ? zero : x;                                                                                \
        case 2:                                                                                                        \
            x = x < (V)a ? (V)a : x;                                                                                   \
            return x > (V)b ? (V)b : x;                                                                                \
        case 3:                                                                                                        \
            return x < zero ? x * a : x;                                                                               \
        case 4:                                                                                                        \
            return one / (one + exp(-x));                                                                              \
        case 5:                                                                                                        \
            return tanh(x);                                                                                            \
        case 6:                                                                                                        \
            return x / (one + exp(-a * x));                                                                            \
        case 7:                                                                                                        \
            return 0.5f * x * (one + erf(x * 0.70710678f));                                                            \
        case 8:                                                                                                        \
            return 0.5f * x * (one + tanh(0.79788456f * (x + 0.044715f * x * x * x)));                                 \
        case 9:                                                                                                        \
            x = x * a + b;                                                                                             \
            x = x < zero ? zero : x;                                                                                   \
            return x > one ? one : x;                                                                                  \
        case 10: {                                                                                                     \
            V y = x / 6.0f + 0.5f;                                                                                     \
            y = y < zero ? zero : y;                                                                                   \
            return x * (y > one ? one : y);                                                                            \
        }                                                                                                              \
        default:                                                                                                       \
            return x;                                                                                                  \
        }                                                                                                              \
    }
