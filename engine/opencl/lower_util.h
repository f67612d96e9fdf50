/* SPDX-License-Identifier: BSD-2-Clause */
/* What lowerings share: how work-items are cut into groups, and which types a device has. */
#ifndef MBR_ENGINE_OPENCL_LOWER_UTIL_H
#define MBR_ENGINE_OPENCL_LOWER_UTIL_H

#include "engine/opencl/lower.h"

/* Can the device compute with it (numbers and bool; f64 where offered)? */
bool mbr_cl_has_type(const mbr_cl_device *d, mbr_dtype t);
/* Are the numbers of input i there, for mbr_step_ints and, late, as data? Ask before reading them. */
static inline bool mbr_cl_known(const mbr_cl_lower *l, uint32_t i)
{
    return l->late || mbr_step_known(l->step, i);
}

/* takes: all tensors of the node are of such types, as far as they are known. */
bool mbr_cl_takes_numbers(const mbr_ir_node *n, const mbr_cl_device *d);
/* takes: all tensors are of types that can be moved (no strings, no containers). */
bool mbr_cl_takes_bytes(const mbr_ir_node *n, const mbr_cl_device *d);

/* A launch of n work-items, or of x by y (by z); groups follow x first. */
void mbr_cl_go_flat(mbr_cl_lower *l, size_t n);
void mbr_cl_go_rows(mbr_cl_lower *l, size_t x, size_t y, size_t z);
/*
 * Groups that share the work on one of n lines of `length` elements and meet in local memory, `bytes` for each
 * work-item: how many of them, a power of two. 1 (a CPU, or a poor device): build with -DALONE, see
 * kernels/opencl/common.cl.
 */
size_t mbr_cl_lines(const mbr_cl_lower *l, size_t length, size_t bytes);
/* What else to build with, after a space: " -DALONE", or sub-groups where their sums are faster. */
const char *mbr_cl_lines_options(const mbr_cl_lower *l, size_t group);
void mbr_cl_go_lines(mbr_cl_lower *l, size_t n, size_t group);

/* The type's name as kernels know it: "f32"; bool is "bool". */
static inline const char *mbr_cl_name(mbr_dtype t)
{
    return mbr_dtype_name(t);
}

#endif
