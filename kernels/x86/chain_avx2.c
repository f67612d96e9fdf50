/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_avx2.h"

#define MBR_CHAIN_NAME mbr_chain_avx2
#include "kernels/chain_body.h"
