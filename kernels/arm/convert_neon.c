/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_neon.h"

#define MBR_CONVERT_NAME mbr_convert_neon
#include "kernels/convert_body.h"
