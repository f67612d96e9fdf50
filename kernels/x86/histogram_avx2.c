/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef __AVX2__
#error "this file is compiled with -mavx2 -mfma -mf16c"
#endif

#define MBR_HISTOGRAM_NAME mbr_histogram_avx2
#include "kernels/histogram_body.h"
