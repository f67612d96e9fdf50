/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_generic.h"

#define MBR_SOFTMAX_NAME mbr_softmax_vec
#include "kernels/softmax_body.h"
