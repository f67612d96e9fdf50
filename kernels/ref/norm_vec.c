/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_generic.h"

#define MBR_NORM_NAME mbr_norm_vec
#define MBR_GROUP_NORM_NAME mbr_group_norm_vec
#include "kernels/norm_body.h"
