/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_neon.h"

#define GEMM_NAME gemm_f32_neon_6x16
#define GEMM_TIER MBR_TIER_NEON
#define GEMM_MR 6
#define GEMM_NV 4
#define GEMM_TILE_MACS 2e6
#define GEMM_EACH_ROW(X) X(1) X(2) X(3) X(4) X(5) X(6)
#include "kernels/gemm_body.h"
