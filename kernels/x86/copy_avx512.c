/* SPDX-License-Identifier: BSD-2-Clause */

#define MBR_COPY_NAME mbr_copy_avx512
#include "kernels/copy_body.h"
