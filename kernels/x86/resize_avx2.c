/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_avx2.h"

#define MBR_RESIZE_NAME mbr_resize_avx2
#include "kernels/resize_body.h"
