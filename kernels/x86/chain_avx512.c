/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_avx512.h"

#define MBR_CHAIN_NAME mbr_chain_avx512
#include "kernels/chain_body.h"
