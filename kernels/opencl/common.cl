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
