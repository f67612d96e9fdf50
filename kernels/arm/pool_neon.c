/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_neon.h"

#define MBR_POOL_NAME mbr_pool_neon
#include "kernels/pool_body.h"
