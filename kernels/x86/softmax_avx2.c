/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_avx2.h"

#define MBR_SOFTMAX_NAME mbr_softmax_avx2
#define MBR_SOFTMAX_SHORT
#include "kernels/softmax_body.h"
