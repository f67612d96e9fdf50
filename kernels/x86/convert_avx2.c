/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_avx2.h"

#define MBR_CONVERT_NAME mbr_convert_avx2
#include "kernels/convert_body.h"
