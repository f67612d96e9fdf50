/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/simd/vec_generic.h"

#define MBR_ARG_NAME mbr_arg_vec
#include "kernels/arg_body.h"
