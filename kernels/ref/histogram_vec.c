/* SPDX-License-Identifier: BSD-2-Clause */
#define MBR_HISTOGRAM_NAME mbr_histogram_vec
#include "kernels/histogram_body.h"
