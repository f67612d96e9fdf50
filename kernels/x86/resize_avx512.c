/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_avx512.h"

#define MBR_RESIZE_NAME mbr_resize_avx512
#include "kernels/resize_body.h"
