/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_neon.h"

/* The first numbers of the four pairs, then the second ones: each half is multiplied by one number of A. */
MBR_INLINE vi qg_halves(vi b)
{
    int16x8_t y = vreinterpretq_s16_s32(b);
    return vreinterpretq_s32_s16(vuzp1q_s16(y, vrev32q_s16(y)));
}

MBR_INLINE vi qg_dot(vi sum, vi a, vi b)
{
    int16x8_t x = vreinterpretq_s16_s32(a), y = vreinterpretq_s16_s32(b);
    return vmlal_high_laneq_s16(vmlal_laneq_s16(sum, vget_low_s16(y), x, 0), y, x, 1);
}

#define QG_B(b) qg_halves(b)
#define QG_NAME qgemm_neon
#define QG_CONV_NAME qconv_neon_gemm
#define QG_DEPTHWISE_NAME qconv_neon_depthwise
#define QG_TIER MBR_TIER_NEON
#define QG_BYTES 0
#define QG_MR 6
#define QG_NV 3
#define QG_EACH_ROW(X) X(1) X(2) X(3) X(4) X(5) X(6)
#define QG_TILE_MACS 3e6
#include "kernels/qgemm_body.h"
#include "kernels/qconv_depthwise_body.h"
