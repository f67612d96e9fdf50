/* SPDX-License-Identifier: BSD-2-Clause */
/* Determinants and inverses of (matrices, n, n), f32, f64, f16, bf16, by elimination with row pivots in f64. 1 where n is 0. */
#ifndef MBR_KERNELS_DET_H
#define MBR_KERNELS_DET_H

#include "kernels/view.h"
#include "mbr/dtype.h"

/* Matrices first .. last-1; room: n * n. */
void mbr_det(mbr_dtype dtype, size_t n, const void *in, void *out, double *room, size_t first, size_t last);

/* Inverses, into matrices of the same size; what is singular becomes infinite or not a number. room: 2 * n * n. */
void mbr_inverse(mbr_dtype dtype, size_t n, const void *in, void *out, double *room, size_t first, size_t last);

#endif
