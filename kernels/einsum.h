/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sums of products over labelled axes: out[o] = sum over s of the product of in_k at (o, s). Each operand has a stride
 * for each label, 0 where it has not the label; a label twice in one operand (a diagonal) is the sum of both strides.
 * Plain C: floats add in double, integers wrap in 64 bits, and round once.
 */
#ifndef MBR_KERNELS_EINSUM_H
#define MBR_KERNELS_EINSUM_H

#include "kernels/view.h"
#include "mbr/dtype.h"

#define MBR_EINSUM_OPERANDS 16
#define MBR_EINSUM_LABELS 32

typedef struct mbr_einsum_args {
    mbr_dtype dtype;
    int operands;
    int kept, summed; /* labels of the output in order, then those that are summed */
    size_t dims[MBR_EINSUM_LABELS];
    ptrdiff_t strides[MBR_EINSUM_OPERANDS][MBR_EINSUM_LABELS]; /* elements */
    const void *in[MBR_EINSUM_OPERANDS];
    void *out; /* dense over the kept labels */
} mbr_einsum_args;

/* Elements first .. last-1 of the output. */
void mbr_einsum(const mbr_einsum_args *args, size_t first, size_t last);

#endif
