/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_avx2.h"

#define MBR_DOTS_NAME mbr_dots_avx2
#include "kernels/dots_body.h"
