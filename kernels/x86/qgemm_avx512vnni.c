/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_avx512.h"

#if !defined(__AVX512VNNI__) && !defined(MBR_TEST_SIMDE)
#error "this file needs -mavx512vnni"
#endif

#include "kernels/x86/qgemm_amx.h"

MBR_INLINE vi qg_dot(vi sum, vi a, vi b)
{
    return _mm512_dpbusd_epi32(sum, a, b);
}

MBR_INLINE void qg_copy_bytes(char *to, const uint8_t *from, size_t n, uint8_t change)
{
    __m512i by = _mm512_set1_epi8((char)change);
    size_t i = 0;
    for (; i + 64 <= n; i += 64)
        _mm512_storeu_si512(to + i, _mm512_xor_si512(_mm512_loadu_si512(from + i), by));
    if (i < n) {
        __mmask64 some = ~(__mmask64)0 >> (64 - (n - i));
        _mm512_mask_storeu_epi8(to + i, some, _mm512_xor_si512(_mm512_maskz_loadu_epi8(some, from + i), by));
    }
}

#define QG_NAME qgemm_avx512vnni
#define QG_CONV_NAME qconv_avx512vnni_gemm
#define QG_TIER MBR_TIER_AVX512VNNI
#define QG_BYTES 1
#define QG_COPY_BYTES qg_copy_bytes
#define QG_ROUND 64
#define QG_MR 14
#define QG_NV 2
#define QG_EACH_ROW(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#define QG_TILE_MACS 40e6
#define QG_MOST_ROWS AMX_MR
#include "kernels/qgemm_body.h"
#include "kernels/x86/qconv_depthwise_vnni.h"

#if MBR_WITH_AMX
/* The same panels and the same way out; only the inner loop is another. */
_Static_assert(QG_NR == AMX_NR, "tiles are as wide as panels");
static const qg_form amx = {AMX_MR, 16, 1024, 160e6, 256, mbr_qgemm_amx_micro, mbr_qgemm_amx_begin, mbr_qgemm_amx_end};
QG_ROWS(amx, qgemm_amx, qconv_amx_gemm, MBR_TIER_AMX);
#endif
