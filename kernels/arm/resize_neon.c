/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_neon.h"

#define MBR_RESIZE_NAME mbr_resize_neon
#include "kernels/resize_body.h"
