/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_avx512.h"

#define MBR_CONVERT_NAME mbr_convert_avx512
#include "kernels/convert_body.h"
