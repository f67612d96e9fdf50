/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_generic.h"

#define MBR_DOTS_NAME mbr_dots_vec
#include "kernels/dots_body.h"
