/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_avx2.h"

/* Pairs of 16-bit products: bytes would saturate in vpmaddubsw. */
MBR_INLINE vi qg_dot(vi sum, vi a, vi b)
{
    return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
}

#define QG_NAME qgemm_avx2
#define QG_CONV_NAME qconv_avx2_gemm
#define QG_DEPTHWISE_NAME qconv_avx2_depthwise
#define QG_TIER MBR_TIER_AVX2
#define QG_BYTES 0
#define QG_MR 6
#define QG_NV 2
#define QG_EACH_ROW(X) X(1) X(2) X(3) X(4) X(5) X(6)
#define QG_TILE_MACS 10e6
#include "kernels/qgemm_body.h"
#include "kernels/qconv_depthwise_body.h"
