/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Kernels that pack weights, by number. Packed weights name their kernel so, not by its address, since they may lie in
 * a file that other processes wrote (engine/cache.h). Numbers hold as long as mbr_packed_kernels is the same.
 */
#ifndef MBR_KERNELS_PACKED_H
#define MBR_KERNELS_PACKED_H

#include "base/hash.h"

/* The number of a kernel of gemm.def, conv.def, qgemm.def, qconv.def or nbits.def. */
uint32_t mbr_packed_kernel_number(const void *kernel);

/* The kernel of that number, as its family's type; the number is one that mbr_packed_kernel_number gave. */
const void *mbr_packed_kernel(uint32_t number);

/* Of the names of all kernels, in the order of their numbers. */
mbr_hash mbr_packed_kernels(void);

#endif
