/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_avx512.h"

/* Pairs of 16-bit products: bytes would saturate in vpmaddubsw. */
MBR_INLINE vi qg_dot(vi sum, vi a, vi b)
{
    return _mm512_add_epi32(sum, _mm512_madd_epi16(a, b));
}

#define QG_NAME qgemm_avx512
#define QG_CONV_NAME qconv_avx512_gemm
#define QG_DEPTHWISE_NAME qconv_avx512_depthwise
#define QG_TIER MBR_TIER_AVX512
#define QG_BYTES 0
#define QG_MR 12
#define QG_NV 2
#define QG_EACH_ROW(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12)
#define QG_TILE_MACS 20e6
#include "kernels/qgemm_body.h"
#include "kernels/qconv_depthwise_body.h"
