/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reductions over any set of axes. NaN wins in MAX and MIN; an empty axis gives 0 for sums and norms, 1 for PROD, -inf
 * for MAX and for the logarithms, +inf for MIN (integers: their least and largest), NaN for MEAN (integers: 0).
 *
 * The f32 kernels add in the lanes of a few vectors for a block of elements, and block by block in f64: the order, and
 * so the rounding, depends on the shape alone, never on the split.
 */
#ifndef MBR_KERNELS_REDUCE_H
#define MBR_KERNELS_REDUCE_H

#include "kernels/cpu.h"
#include "kernels/view.h"
#include "mbr/dtype.h"

typedef enum mbr_reduce_op {
    MBR_REDUCE_SUM,
    MBR_REDUCE_MEAN,
    MBR_REDUCE_MAX,
    MBR_REDUCE_MIN,
    MBR_REDUCE_PROD,
    MBR_REDUCE_L1,
    MBR_REDUCE_L2,
    MBR_REDUCE_SUM_SQUARE,
    MBR_REDUCE_LOG_SUM,
    MBR_REDUCE_LOG_SUM_EXP,
    MBR_REDUCE_COUNT
} mbr_reduce_op;

/* in is dense; out is dense over the axes that are kept, in order. Made by mbr_reduce_plan; in and out set by the caller. */
typedef struct mbr_reduce_args {
    mbr_reduce_op op;
    mbr_dtype dtype;
    const void *in;
    void *out;
    /* collapsed: kept and reduced dimensions alternate */
    int rank;
    bool inner_reduced; /* is the innermost dimension reduced? */
    size_t dims[MBR_KERNEL_RANK];
    bool reduced[MBR_KERNEL_RANK];
    size_t kept_count, reduced_count;
    size_t inner; /* size of the innermost dimension; 1 for rank 0 */
    size_t strip; /* columns of a tile when the innermost dimension is kept */
    size_t tiles;
} mbr_reduce_args;

/* axes: bit i set when dims[i] is reduced. */
void mbr_reduce_plan(mbr_reduce_args *args, mbr_reduce_op op, mbr_dtype dtype, int rank, const size_t *dims,
                     uint32_t axes);

/* f32, f64, f16, bf16 (both in f32), i8 .. u64 (wrapping; means and roots truncate), bool (MAX and MIN). */
bool mbr_reduce_has(mbr_reduce_op op, mbr_dtype dtype);

/* Tiles first .. last-1 of args->tiles. */
typedef void mbr_reduce_fn(const mbr_reduce_args *args, size_t first, size_t last);

/* The truth, every type. It adds in f64 (f32 and halves) or in the type. */
mbr_reduce_fn mbr_reduce_ref;
/* The vector kernels take f32 and hand other types to the reference. */
mbr_reduce_fn *mbr_reduce_select(unsigned tiers);

/*
 * The index of the largest or smallest along the axis of (outer, axis, inner), dense, axis > 0. NaN counts as beyond
 * every number. Equal ones: the first, or the last.
 */
typedef struct mbr_arg_args {
    mbr_dtype dtype;
    const void *in;
    int64_t *out; /* (outer, inner) */
    size_t outer, axis, inner;
    bool min, last;
} mbr_arg_args;

/* Elements first .. last-1 of the outer * inner results. */
typedef void mbr_arg_fn(const mbr_arg_args *args, size_t first, size_t last);

mbr_arg_fn mbr_arg_ref;
mbr_arg_fn *mbr_arg_select(unsigned tiers);

#endif
