/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_generic.h"

#define MBR_CHAIN_NAME mbr_chain_vec
#include "kernels/chain_body.h"
