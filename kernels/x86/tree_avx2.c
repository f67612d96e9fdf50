/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_avx2.h"

#define MBR_TREE_NAME mbr_tree_avx2
#include "kernels/tree_body.h"
