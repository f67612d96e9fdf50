/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_generic.h"

#define MBR_POOL_NAME mbr_pool_vec
#include "kernels/pool_body.h"
