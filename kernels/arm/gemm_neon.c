/* SPDX-License-Identifier: BSD-2-Clause */
/* Matrix product and convolution: one file, since they share the inner loops. */
#include "kernels/simd/vec_neon.h"

#define GEMM_NAME gemm_f32_neon_6x16
#define CONV_NAME conv_f32_neon_gemm
#define CONV_DOT_NAME conv_f32_neon_dot
#define CONV_FIRST_NAME conv_f32_neon_first
#define DEPTHWISE_NAME conv_f32_neon_depthwise
#define NBITS_NAME nbits_neon
#define WINOGRAD_NAME conv_f32_neon_winograd
#define GEMM_TIER MBR_TIER_NEON
#define GEMM_MR 6
#define GEMM_NV 4
#define GEMM_BY_PANEL 1
#define GEMM_ROW_FENCE __asm__ __volatile__("" ::: "memory")
#define GEMM_TILE_MACS 8e6
#define GEMM_EACH_ROW(X) X(1) X(2) X(3) X(4) X(5) X(6)
#include "kernels/gemm_body.h"
#include "kernels/conv_body.h"
#include "kernels/conv_dot_body.h"
#include "kernels/conv_first_body.h"
#include "kernels/conv_depthwise_body.h"
#include "kernels/nbits_body.h"
#include "kernels/conv_winograd_body.h"
