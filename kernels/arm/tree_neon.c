/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_neon.h"

#define MBR_TREE_NAME mbr_tree_neon
#include "kernels/tree_body.h"
