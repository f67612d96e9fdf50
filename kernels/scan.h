/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Running sums and products along the middle axis of (outer, axis, inner), dense: out[k] = in[0] + ... + in[k], or up
 * to k - 1 when exclusive; from the end when reverse. In the order of the axis, in the type itself (halves in f32,
 * integers wrap). out may be in unless exclusive. Plain C only.
 */
#ifndef MBR_KERNELS_SCAN_H
#define MBR_KERNELS_SCAN_H

#include "kernels/view.h"
#include "mbr/dtype.h"

typedef struct mbr_scan_args {
    mbr_dtype dtype;
    size_t outer, axis, inner;
    bool product, exclusive, reverse;
} mbr_scan_args;

/* f32, f64, f16, bf16, i8 .. u64 */
bool mbr_scan_has(mbr_dtype dtype);

/* Blocks first .. last-1 of `outer`. */
void mbr_scan(const mbr_scan_args *args, const void *in, void *out, size_t first, size_t last);

#endif
