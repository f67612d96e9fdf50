/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_avx512.h"

#define MBR_POOL_NAME mbr_pool_avx512
#include "kernels/pool_body.h"
