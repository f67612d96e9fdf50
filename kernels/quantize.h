/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Affine quantisation of dense runs: between reals and the narrow integers, float8 and float4.
 *
 * quantize:   y = saturate(round(x / scale) + zero), round half to even, the quotient rounded to `precision`.
 *             NaN becomes the lowest number of an integer type. For float8 the zero point is not read: it must be 0.
 * dequantize: y = (x - zero) * scale, in f32, rounded once to the type of y.
 *
 * Element i uses scale[i * step] and zero[i * step]; step is 0 (one scale for the run) or 1.
 */
#ifndef MBR_KERNELS_QUANTIZE_H
#define MBR_KERNELS_QUANTIZE_H

#include "kernels/cpu.h"
#include "kernels/qlinear.h"
#include "kernels/view.h"
#include "mbr/dtype.h"

typedef struct mbr_quantize_args {
    mbr_dtype x;         /* quantize: f32, f16, bf16, f64, i32. dequantize: as y of quantize, or i32 */
    mbr_dtype scale;     /* f32, f16, bf16, f8e8m0, i32 */
    mbr_dtype y;         /* quantize: integers of at most 16 bits, float8, float4. dequantize: f32, f16, bf16, f64 */
    mbr_dtype precision; /* quantize: f32, f16, bf16 */
    bool saturate;       /* float8 only */
} mbr_quantize_args;

/* zero may be NULL (all zero); it has the type of the quantised side. */
typedef void mbr_quantize_fn(const mbr_quantize_args *args, const void *x, const void *scale, const void *zero,
                             size_t step, void *y, size_t n);

/* The least and the greatest of n numbers and 0. NaN is passed over. */
typedef void mbr_range_fn(const float *x, size_t n, float *least, float *greatest);

bool mbr_quantize_has(const mbr_quantize_args *args);
bool mbr_dequantize_has(const mbr_quantize_args *args);

/* Every tier gives the same bits. */
typedef struct mbr_quantize_kernel {
    const char *name;
    mbr_cpu_tier tier;
    mbr_quantize_fn *quantize, *dequantize;
    mbr_range_fn *range;
    mbr_qlinear_binary_fn *binary;
} mbr_quantize_kernel;

const mbr_quantize_kernel *mbr_quantize_select(unsigned tiers);

#define KERNEL(name, tier) extern const mbr_quantize_kernel mbr_##name;
#include "kernels/quantize.def"
#undef KERNEL

/* What DynamicQuantizeLinear makes of a range that holds 0: scale and zero point for u8. */
void mbr_quantize_choose_u8(float least, float greatest, float *scale, uint8_t *zero);

/* Bounds of an integer type of at most 16 bits; false for any other type. */
bool mbr_quantize_range(mbr_dtype dtype, int32_t *lowest, int32_t *highest);

#endif
