/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_neon.h"

#define MBR_REDUCE_NAME mbr_reduce_neon
#include "kernels/reduce_body.h"
