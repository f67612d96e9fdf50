/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_neon.h"

MBR_INLINE vi qg_dot(vi sum, vi a, vi b)
{
    int16x8_t x = vreinterpretq_s16_s32(a), y = vreinterpretq_s16_s32(b);
    int32x4_t low = vmull_s16(vget_low_s16(x), vget_low_s16(y)), high = vmull_high_s16(x, y);
    return vaddq_s32(sum, vpaddq_s32(low, high));
}


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
