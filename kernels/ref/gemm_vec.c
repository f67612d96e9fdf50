/* SPDX-License-Identifier: BSD-2-Clause */
/* Matrix product and convolution: one file, since they share the inner loops. */
#include "kernels/simd/vec_generic.h"

#define GEMM_NAME gemm_f32_vec_6x8
#define CONV_NAME conv_f32_vec_gemm
#define CONV_DOT_NAME conv_f32_vec_dot
#define DEPTHWISE_NAME conv_f32_vec_depthwise
#define NBITS_NAME nbits_vec
#define WINOGRAD_NAME conv_f32_vec_winograd
#define GEMM_FINISH_MANY 0
#define GEMM_TIER MBR_TIER_BASE
#define GEMM_MR 6
#define GEMM_NV 2
#define GEMM_TILE_MACS 6e6
#define GEMM_JUMPS 0
#define GEMM_EACH_ROW(X) X(1) X(2) X(3) X(4) X(5) X(6)
#include "kernels/gemm_body.h"
#include "kernels/conv_body.h"
#include "kernels/conv_dot_body.h"
#include "kernels/conv_depthwise_body.h"
#include "kernels/nbits_body.h"
#include "kernels/conv_winograd_body.h"
