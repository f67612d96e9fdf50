/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_neon.h"

#define MBR_NORM_NAME mbr_norm_neon
#define MBR_GROUP_NORM_NAME mbr_group_norm_neon
#include "kernels/norm_body.h"
