/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_avx2.h"

#define MBR_ARG_NAME mbr_arg_avx2
#include "kernels/arg_body.h"
