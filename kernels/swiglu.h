/* SPDX-License-Identifier: BSD-2-Clause */
/* y = a * sigmoid(alpha * a) * b, dense: f32, f64, f16, bf16. The halves round after every operation, as ONNX does. */
#ifndef MBR_KERNELS_SWIGLU_H
#define MBR_KERNELS_SWIGLU_H

#include "kernels/view.h"
#include "mbr/dtype.h"

bool mbr_swiglu_has(mbr_dtype dtype);
void mbr_swiglu_ref(mbr_dtype dtype, float alpha, const void *a, const void *b, void *y, size_t n);

#endif
