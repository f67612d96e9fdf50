/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_avx512.h"

#define MBR_ARG_NAME mbr_arg_avx512
#include "kernels/arg_body.h"
