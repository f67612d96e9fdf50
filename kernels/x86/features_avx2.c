/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_avx2.h"

#define MBR_FEATURES_NAME mbr_features_avx2
#include "kernels/features_body.h"
