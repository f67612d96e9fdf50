/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_generic.h"

#define MBR_FEATURES_NAME mbr_features_vec
#include "kernels/features_body.h"
