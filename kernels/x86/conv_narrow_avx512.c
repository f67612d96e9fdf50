/* SPDX-License-Identifier: BSD-2-Clause */
/* Convolution with up to 16 filters in a group: panels of one vector, and more rows to make up for it. */
#include "kernels/simd/vec_avx512.h"

#define CONV_NAME conv_f32_avx512_narrow
#define CONV_FIRST_NAME conv_f32_avx512_first_narrow
#define CONV_MOST_FILTERS 16
#define GEMM_FINISH_MANY 0
#define GEMM_TIER MBR_TIER_AVX512
#define GEMM_MR 14
#define GEMM_NV 1
#define GEMM_TILE_MACS 24e6
#define GEMM_EACH_ROW(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#include "kernels/conv_body.h"
#include "kernels/conv_first_body.h"
