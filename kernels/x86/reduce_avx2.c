/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_avx2.h"

#define MBR_REDUCE_NAME mbr_reduce_avx2
#include "kernels/reduce_body.h"
