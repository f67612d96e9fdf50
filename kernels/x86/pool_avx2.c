/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_avx2.h"

#define MBR_POOL_NAME mbr_pool_avx2
#include "kernels/pool_body.h"
