/* SPDX-License-Identifier: BSD-2-Clause */
/* Matrix product and convolution: one file, since they share the inner loops. */
#include "kernels/simd/vec_avx2.h"

#define GEMM_NAME gemm_f32_avx2_6x16
#define CONV_NAME conv_f32_avx2_gemm
#define CONV_DOT_NAME conv_f32_avx2_dot
#define CONV_FIRST_NAME conv_f32_avx2_first
#define DEPTHWISE_NAME conv_f32_avx2_depthwise
#define NBITS_NAME nbits_avx2
#define WINOGRAD_NAME conv_f32_avx2_winograd
#define GEMM_TIER MBR_TIER_AVX2
#define GEMM_MR 6
#define GEMM_NV 2
#define GEMM_TILE_MACS 24e6
#define GEMM_EACH_ROW(X) X(1) X(2) X(3) X(4) X(5) X(6)
#define GEMM_HALF_MR 12
#define GEMM_EACH_HALF(X) \
    GEMM_EACH_ROW(X) X(7) X(8) X(9) X(10) X(11) X(12)
#include "kernels/gemm_body.h"
#include "kernels/conv_body.h"
#include "kernels/conv_dot_body.h"
#include "kernels/conv_first_body.h"
#include "kernels/conv_depthwise_body.h"
#include "kernels/nbits_body.h"
#include "kernels/conv_winograd_body.h"
