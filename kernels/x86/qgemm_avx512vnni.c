/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_avx512.h"

#if !defined(__AVX512VNNI__) && !defined(MBR_TEST_SIMDE)
#error "this file needs -mavx512vnni"
#endif

MBR_INLINE vi qg_dot(vi sum, vi a, vi b)
{
    return _mm512_dpbusd_epi32(sum, a, b);
}

#define QG_NAME qgemm_avx512vnni
#define QG_CONV_NAME qconv_avx512vnni_gemm
#define QG_TIER MBR_TIER_AVX512VNNI
#define QG_BYTES 1
#define QG_MR 14
#define QG_NV 2
#define QG_EACH_ROW(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#define QG_TILE_MACS 40e6
#include "kernels/qgemm_body.h"
