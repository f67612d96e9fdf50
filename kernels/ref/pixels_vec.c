/* SPDX-License-Identifier: BSD-2-Clause */
#define MBR_PIXELS_NAME mbr_pixels_vec
#include "kernels/pixels_body.h"
