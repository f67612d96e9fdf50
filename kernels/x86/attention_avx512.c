/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_avx512.h"

#define MBR_ATTENTION_NAME mbr_attention_avx512
#include "kernels/attention_body.h"
