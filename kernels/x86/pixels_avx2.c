/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef __AVX2__
#error "this file is compiled with -mavx2 -mfma -mf16c"
#endif

#define MBR_PIXELS_NAME mbr_pixels_avx2
#include "kernels/pixels_body.h"
