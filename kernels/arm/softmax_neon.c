/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_neon.h"

#define MBR_SOFTMAX_NAME mbr_softmax_neon
#include "kernels/softmax_body.h"
