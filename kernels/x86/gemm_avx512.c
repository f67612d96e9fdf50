/* SPDX-License-Identifier: BSD-2-Clause */
/* Matrix product and convolution: one file, since they share the inner loops. */
#include "kernels/simd/vec_avx512.h"

#define GEMM_NAME gemm_f32_avx512_14x32
#define CONV_NAME conv_f32_avx512_gemm
#define CONV_DOT_NAME conv_f32_avx512_dot
#define CONV_FIRST_NAME conv_f32_avx512_first
#define DEPTHWISE_NAME conv_f32_avx512_depthwise
#define NBITS_NAME nbits_avx512
#define WINOGRAD_NAME conv_f32_avx512_winograd
#define GEMM_TIER MBR_TIER_AVX512
#define GEMM_MR 14
#define GEMM_NV 2
#define GEMM_TILE_MACS 48e6
#define GEMM_EACH_ROW(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#define GEMM_HALF_MR 14
#define GEMM_EACH_HALF(X) GEMM_EACH_ROW(X)
#include "kernels/gemm_body.h"
#include "kernels/conv_body.h"
#include "kernels/conv_dot_body.h"
#include "kernels/conv_first_body.h"
#include "kernels/conv_depthwise_body.h"
#include "kernels/nbits_body.h"
#include "kernels/conv_winograd_body.h"
