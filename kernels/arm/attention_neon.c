/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_neon.h"

#define MBR_ATTENTION_NAME mbr_attention_neon
#include "kernels/attention_body.h"
