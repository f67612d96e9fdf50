/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any numeric type, widened to one of three: f64 for the floats, i64 for signed integers, u64 for unsigned ones and
 * bool. The reference loops compute in these and narrow again, so that one loop serves all types: integers wrap as in
 * their own width, and one rounding from f64 equals one rounding of the exact f32 or half result for + - * / sqrt.
 */
#ifndef MBR_KERNELS_REF_ELEMENT_H
#define MBR_KERNELS_REF_ELEMENT_H

#include "mbr/dtype.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum mbr_element_class {
    MBR_ELEMENT_NONE, /* strings, complex numbers */
    MBR_ELEMENT_FLOAT,
    MBR_ELEMENT_SIGNED,
    MBR_ELEMENT_UNSIGNED
} mbr_element_class;

mbr_element_class mbr_element_class_of(mbr_dtype dtype);

/* Elements handled at a time. */
#define MBR_ELEMENT_BLOCK 256

typedef union mbr_element_block {
    double f[MBR_ELEMENT_BLOCK];
    int64_t i[MBR_ELEMENT_BLOCK];
    uint64_t u[MBR_ELEMENT_BLOCK];
} mbr_element_block;

/* Loads n (at most a block) elements, stride elements apart, into the member of the type's class; and back, narrowing. */
void mbr_element_load(mbr_dtype dtype, const void *p, ptrdiff_t stride, size_t n, mbr_element_block *block);
void mbr_element_store(mbr_dtype dtype, void *p, ptrdiff_t stride, size_t n, const mbr_element_block *block);

/* Float to integer as kernels/convert.h defines it, for a target of `bits` bits; then narrow by keeping the low ones. */
int64_t mbr_element_to_i64(double x, int bits);
uint64_t mbr_element_to_u64(double x); /* the 64 bits */

/* Any class to f64. */
void mbr_element_to_f64(mbr_element_class from, mbr_element_block *block, size_t n);

#endif
