/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef __AVX512BW__
#error "build this file with the flags of the AVX-512 tier"
#endif
#include "kernels/quantize_body.h"

MBR_QUANTIZE_ROW(quantize_avx512, MBR_TIER_AVX512);
