/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_generic.h"

#define MBR_ATTENTION_NAME mbr_attention_vec
#include "kernels/attention_body.h"
