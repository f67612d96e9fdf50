/* SPDX-License-Identifier: BSD-2-Clause */
/* The complex transform in single precision; signal_ref.c uses it where it fits. */
#ifndef MBR_KERNELS_REF_DFT_F32_H
#define MBR_KERNELS_REF_DFT_F32_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct mbr_cf32 {
    float re, im;
} mbr_cf32;

/* Has n, above 1, no factors but 2, 3 and 5? */
bool mbr_dft_f32_fits(size_t n);

/* Fills roots, fewer than 2 n of them. */
void mbr_dft_f32_init(size_t n, bool inverse, mbr_cf32 *roots);

/* Transforms x (n), without the inverse's factor; y (n) is room. Returns where the result is: x or y. */
mbr_cf32 *mbr_dft_f32(size_t n, bool inverse, const mbr_cf32 *roots, mbr_cf32 *x, mbr_cf32 *y);

#endif
