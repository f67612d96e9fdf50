/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_generic.h"

/* Pairs of 16-bit products, the halves of each lane. */
MBR_INLINE vi qg_dot(vi sum, vi a, vi b)
{
    vi low = vi_mul(vi_sar(vi_shl(a, 16), 16), vi_sar(vi_shl(b, 16), 16));
    return vi_add(sum, vi_add(low, vi_mul(vi_sar(a, 16), vi_sar(b, 16))));
}

#define QG_NAME qgemm_vec
#define QG_CONV_NAME qconv_vec_gemm
#define QG_DEPTHWISE_NAME qconv_vec_depthwise
#define QG_TIER MBR_TIER_BASE
#define QG_BYTES 0
#define QG_MR 4
#define QG_NV 2
#define QG_EACH_ROW(X) X(1) X(2) X(3) X(4)
#define QG_TILE_MACS 1e6
#include "kernels/qgemm_body.h"
#include "kernels/qconv_depthwise_body.h"
