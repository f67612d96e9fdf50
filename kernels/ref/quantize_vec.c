/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/quantize_body.h"

MBR_QUANTIZE_ROW(quantize_vec, MBR_TIER_BASE);
