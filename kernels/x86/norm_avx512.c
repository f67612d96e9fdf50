/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_avx512.h"

#define MBR_NORM_NAME mbr_norm_avx512
#define MBR_GROUP_NORM_NAME mbr_group_norm_avx512
#include "kernels/norm_body.h"
