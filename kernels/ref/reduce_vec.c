/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_generic.h"

#define MBR_REDUCE_NAME mbr_reduce_vec
#include "kernels/reduce_body.h"
