/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef __AVX2__
#error "build this file with the flags of the AVX2 tier"
#endif
#include "kernels/quantize_body.h"

MBR_QUANTIZE_ROW(quantize_avx2, MBR_TIER_AVX2);
