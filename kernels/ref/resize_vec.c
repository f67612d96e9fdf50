/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_generic.h"

#define MBR_RESIZE_NAME mbr_resize_vec
#include "kernels/resize_body.h"
