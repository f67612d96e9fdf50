/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_generic.h"

#define MBR_CONVERT_NAME mbr_convert_vec
#include "kernels/convert_body.h"
