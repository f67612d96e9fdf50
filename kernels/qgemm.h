/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Products of 8-bit matrices, and convolutions of 8-bit tensors, exact in 32-bit integers:
 *
 *     sum[i][j] = bias[j] + sum over p of (A[i][p] - a_zero) * (B[p][j] - b_zero[j])
 *
 * A is unsigned or signed bytes, so is B; sums wrap as 32-bit integers do. What comes out (mbr_quant_out) is the sum
 * itself, a float, or a byte again:
 *
 *     value = act(sum * scale[j] + real_bias[j]  (+ or *) other[i][j])                              f32
 *     byte  = saturate(round(value * inverse_scale) + zero), halves to even; a NaN gives the zero    u8, s8
 *
 * Every tier gives the same sums; values differ as f32 activations do.
 *
 * Use as kernels/gemm.h and kernels/conv.h say; B is always packed ahead.
 */
#ifndef MBR_KERNELS_QGEMM_H
#define MBR_KERNELS_QGEMM_H

#include "kernels/conv.h"
#include "kernels/gemm.h"
#include "mbr/dtype.h"

typedef struct mbr_quant_out {
    mbr_dtype type;         /* I32, F32, U8, I8 */
    const int32_t *bias;    /* n values, or NULL */
    const float *scale;     /* n values; not read for I32 */
    const float *real_bias; /* n values, or NULL */
    mbr_gemm_other other_is;
    const float *other; /* f32, as in mbr_gemm_epilogue */
    ptrdiff_t ld_other;
    mbr_act act;
    float inverse_scale; /* U8, I8 */
    int32_t zero;
} mbr_quant_out;

/*
 * bias, scale and real_bias are indexed by column. The batch is as in mbr_gemm_args, b_batch in bytes of packed B.
 * k up to 2^31 / 2^16 is exact; beyond, sums may wrap.
 */
typedef struct mbr_qgemm_args {
    size_t m, n, k;
    bool a_signed;
    const void *a; /* (m, k) bytes, lda bytes between rows */
    ptrdiff_t lda;
    int32_t a_zero;
    const void *b; /* packed; its zero points are inside */
    void *c;       /* (m, n), ldc elements between rows */
    ptrdiff_t ldc;
    mbr_quant_out out;
    size_t batch[MBR_GEMM_BATCH_DIMS];
    ptrdiff_t a_batch[MBR_GEMM_BATCH_DIMS], b_batch[MBR_GEMM_BATCH_DIMS], c_batch[MBR_GEMM_BATCH_DIMS];
    ptrdiff_t other_batch[MBR_GEMM_BATCH_DIMS];
} mbr_qgemm_args;

#define MBR_QGEMM_ARGS_INIT                                                                                            \
    {                                                                                                                  \
        .batch = { 1, 1, 1 }                                                                                           \
    }

/* Where B[p][j] is: b[p * stride_p + j * stride_j], bytes; zero: NULL, or one for each column (zero_step 1) or for all
 * (0). */
typedef struct mbr_qgemm_b {
    bool is_signed;
    const void *b;
    ptrdiff_t stride_p, stride_j;
    const void *zero;
    size_t zero_step;
} mbr_qgemm_b;

typedef struct mbr_qgemm_kernel {
    const char *name;
    mbr_cpu_tier tier;
    size_t nr; /* columns of a panel: pack ranges begin at multiples */
    size_t (*pack_size)(size_t k, size_t n);
    void (*pack)(void *packed, size_t k, size_t n, const mbr_qgemm_b *b, size_t first, size_t last);
    size_t (*scratch)(const mbr_qgemm_args *args);
    size_t (*tiles)(const mbr_qgemm_args *args);
    void (*run)(const mbr_qgemm_args *args, void *scratch, size_t first, size_t last);
} mbr_qgemm_kernel;

const mbr_qgemm_kernel *mbr_qgemm_select(unsigned tiers);

/*
 * Convolution: the sizes of mbr_conv_args (x, w, y, epilogue, x_planes and transposed are not used), bytes channels
 * last. Points outside the input count as a_zero, that is, add nothing.
 */
typedef struct mbr_qconv_args {
    mbr_conv_args shape;
    bool x_signed;
    const void *x; /* bytes; shape.ldx between points */
    int32_t x_zero;
    const void *w;     /* packed; its zero points are inside */
    void *y;           /* shape.ldy elements between points */
    mbr_quant_out out; /* n is filters */
} mbr_qconv_args;

typedef struct mbr_qconv_kernel {
    const char *name;
    mbr_cpu_tier tier;
    bool (*fits)(const mbr_conv_args *shape);
    size_t (*pack_size)(const mbr_conv_args *shape);
    size_t (*pack_units)(const mbr_conv_args *shape);
    /* weights (filters, channels / groups, kernel...), bytes; zero: NULL, one (zero_step 0) or one for each filter (1)
     */
    void (*pack)(const mbr_conv_args *shape, const void *weights, bool is_signed, const void *zero, size_t zero_step,
                 void *packed, size_t first, size_t last);
    size_t (*scratch)(const mbr_qconv_args *args);
    size_t (*tiles)(const mbr_qconv_args *args);
    void (*run)(const mbr_qconv_args *args, void *scratch, size_t first, size_t last);
} mbr_qconv_kernel;

/* The first that fits of the strongest tier. Never NULL. */
const mbr_qconv_kernel *mbr_qconv_select(unsigned tiers, const mbr_conv_args *shape);

#define KERNEL(name, tier) extern const mbr_qgemm_kernel mbr_##name;
#include "kernels/qgemm.def"
#undef KERNEL
#define KERNEL(name, tier) extern const mbr_qconv_kernel mbr_##name;
#include "kernels/qconv.def"
#undef KERNEL

#endif
