/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_neon.h"

#define MBR_ARG_NAME mbr_arg_neon
#include "kernels/arg_body.h"
