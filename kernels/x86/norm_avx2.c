/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_avx2.h"

#define MBR_NORM_NAME mbr_norm_avx2
#define MBR_GROUP_NORM_NAME mbr_group_norm_avx2
#include "kernels/norm_body.h"
