/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Products of an f32 matrix with weights of 4 bits (com.microsoft.MatMulNBits): C = epilogue(A * W^T), A (m, k), W (n,
 * k),
 *
 *     W[j][p] = (q[j][p] - zero[j][p / block]) * scale[j][p / block]
 *
 * The scaled weights are rounded to f32 and multiplied and added in f32, one chain for each sum in the order of p, as
 * in kernels/gemm.h: the same bits for one row as for many. Use as kernels/gemm.h says.
 */
#ifndef MBR_KERNELS_NBITS_H
#define MBR_KERNELS_NBITS_H

#include "kernels/gemm.h"

/* The weights as the model has them. */
typedef struct mbr_nbits_b {
    size_t n, k, block;    /* block: weights that share a scale, a power of two, 16 or more */
    const uint8_t *q;      /* (n, blocks, block / 2), the even weight in the low half; blocks = ceil(k / block) */
    const float *scale;    /* (n, blocks) */
    const uint8_t *zero;   /* (n, ceil(blocks / 2)), the even block in the low half; NULL: 8 */
    const float *zero_f32; /* (n, blocks), used instead when not NULL */
} mbr_nbits_b;

typedef struct mbr_nbits_args {
    size_t m, n, k, block;
    const float *a; /* (m, k) */
    ptrdiff_t lda;
    const void *b; /* packed */
    float *c;      /* (m, n) */
    ptrdiff_t ldc;
    mbr_gemm_epilogue epilogue;
} mbr_nbits_args;

typedef struct mbr_nbits_kernel {
    const char *name;
    mbr_cpu_tier tier;
    size_t nr; /* columns of a panel: pack ranges begin at multiples */
    size_t (*pack_size)(size_t k, size_t n, size_t block);
    void (*pack)(void *packed, const mbr_nbits_b *b, size_t first, size_t last);
    size_t (*scratch)(const mbr_nbits_args *args);
    size_t (*tiles)(const mbr_nbits_args *args);
    void (*run)(const mbr_nbits_args *args, void *scratch, size_t first, size_t last);
} mbr_nbits_kernel;

const mbr_nbits_kernel *mbr_nbits_select(unsigned tiers);

#define KERNEL(name, tier, tol) extern const mbr_nbits_kernel mbr_##name;
#include "kernels/nbits.def"
#undef KERNEL

#endif
