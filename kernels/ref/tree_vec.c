/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_generic.h"

#define MBR_TREE_NAME mbr_tree_vec
#include "kernels/tree_body.h"
