/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Cast between any two of the numeric types (bool included; not string, not complex), dense arrays.
 *
 * To integers: truncates toward zero, keeps the low bits of a 64-bit result (of a 32-bit one for targets narrower
 * than 32 bits, as numpy and every x86 runtime do); NaN and what does not fit those bits gives INT_MIN of that width
 * first. To bool: not equal to zero, NaN is true. To floats: rounded once, to nearest even.
 */
#ifndef MBR_KERNELS_CONVERT_H
#define MBR_KERNELS_CONVERT_H

#include "kernels/cpu.h"
#include "kernels/view.h"
#include "mbr/dtype.h"

typedef enum mbr_round_mode { MBR_ROUND_UP, MBR_ROUND_DOWN, MBR_ROUND_NEAREST } mbr_round_mode;

typedef struct mbr_convert_args {
    mbr_dtype from, to;
    bool saturate;        /* for float8 targets: see base/half.h */
    mbr_round_mode round; /* for f8e8m0 targets only, as ONNX's Cast defines it: the sign is dropped, inf and NaN are NaN */
} mbr_convert_args;

/* in and out hold n elements; they may be the same buffer when the element sizes are equal, else not overlap. */
typedef void mbr_convert_fn(const mbr_convert_args *args, const void *in, void *out, size_t n);

bool mbr_convert_has(mbr_dtype from, mbr_dtype to);
mbr_convert_fn mbr_convert_ref;
mbr_convert_fn *mbr_convert_select(unsigned tiers);

#endif
