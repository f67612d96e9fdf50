/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_neon.h"

#define MBR_CHAIN_NAME mbr_chain_neon
#include "kernels/chain_body.h"
