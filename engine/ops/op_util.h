/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What operators share: shapes as counts and strides, integers that are an attribute in one version and an input in
 * the next, strided copies and numbers of shape tensors.
 */
#ifndef MBR_ENGINE_OPS_OP_UTIL_H
#define MBR_ENGINE_OPS_OP_UTIL_H

#include "engine/ops/op.h"
#include "kernels/transpose.h"

/* Shape tensors longer than this are data, not content. */
#define MBR_OP_CONTENT 256

/* An attribute or an input that lists integers. */
typedef enum mbr_op_given {
    MBR_OP_ABSENT,
    MBR_OP_UNKNOWN, /* there, but a run has to tell its numbers */
    MBR_OP_KNOWN
} mbr_op_given;

/* --- infer --- */

/*
 * The numbers of the attribute where `attr` is not NULL, of input i otherwise. More than max numbers are a failure when
 * they are known to be that many.
 */
mbr_status mbr_op_infer_ints(mbr_infer *c, const char *attr, uint32_t i, mbr_dim *v, size_t max, size_t *n,
                             mbr_op_given *given);

/*
 * A list of axes for a rank: resolved, checked, no repeats; as bits. UNKNOWN when numbers or rank are. `order` (max
 * MBR_MAX_RANK, may be NULL) receives them as listed, *n their number.
 */
mbr_status mbr_op_infer_axes(mbr_infer *c, const char *attr, uint32_t i, int rank, uint32_t *bits, int *order, int *n,
                             mbr_op_given *given);

mbr_dim mbr_op_product(mbr_infer *c, const mbr_dim *dims, int n);

/* Output 0 has the numbers of input 0, where they are known. */
void mbr_op_pass_content(mbr_infer *c);

/* Input i must have one of these dtypes (bit 1 << mbr_dtype). An unknown one passes. */
mbr_status mbr_op_check_type(mbr_infer *c, uint32_t i, uint32_t types);
/* Inputs i and j must agree. */
mbr_status mbr_op_check_same(mbr_infer *c, uint32_t i, uint32_t j);
/* Input i must have this rank (an unknown one passes). */
mbr_status mbr_op_check_rank(mbr_infer *c, uint32_t i, int least, int most);
/* Input i must be a tensor. */
mbr_status mbr_op_check_tensor(mbr_infer *c, uint32_t i);

#define MBR_TYPE_BIT(t) (UINT32_C(1) << MBR_DTYPE_##t)
#define MBR_TYPES_INDEX (MBR_TYPE_BIT(I32) | MBR_TYPE_BIT(I64))
#define MBR_TYPES_SIGNED (MBR_TYPE_BIT(I8) | MBR_TYPE_BIT(I16) | MBR_TYPES_INDEX)
#define MBR_TYPES_UNSIGNED (MBR_TYPE_BIT(U8) | MBR_TYPE_BIT(U16) | MBR_TYPE_BIT(U32) | MBR_TYPE_BIT(U64))
#define MBR_TYPES_FLOAT (MBR_TYPE_BIT(F32) | MBR_TYPE_BIT(F64) | MBR_TYPE_BIT(F16) | MBR_TYPE_BIT(BF16))
#define MBR_TYPES_FLOAT8                                                                                               \
    (MBR_TYPE_BIT(F8E4M3FN) | MBR_TYPE_BIT(F8E4M3FNUZ) | MBR_TYPE_BIT(F8E5M2) | MBR_TYPE_BIT(F8E5M2FNUZ))
#define MBR_TYPES_NUMBER (MBR_TYPES_SIGNED | MBR_TYPES_UNSIGNED | MBR_TYPES_FLOAT)

/* --- prepare and run --- */

/* The same for a step. *given: MBR_OP_ABSENT or MBR_OP_KNOWN. */
mbr_status mbr_op_step_ints(const mbr_step *s, const char *attr, uint32_t i, int64_t *v, size_t max, size_t *n,
                            mbr_op_given *given, mbr_error *err);
/* Axes of a step as bits; infer has checked attributes, inputs that only the run knows are checked here. */
mbr_status mbr_op_step_axes(const mbr_step *s, const char *attr, uint32_t i, int rank, uint32_t *bits, int *order,
                            int *n, mbr_op_given *given, mbr_error *err);
/* One integer of input i; `otherwise` where it is absent. */
mbr_status mbr_op_step_int(const mbr_step *s, uint32_t i, int64_t otherwise, int64_t *v, mbr_error *err);

/* A value's shape as counts; returns its rank. */
int mbr_op_dims(const mbr_value *v, size_t *dims);
/* Strides of a dense value in a space of `rank` dims, its first axis at `at` of the space; 0 where it broadcasts. */
void mbr_op_strides_at(const mbr_value *v, int rank, int at, ptrdiff_t *strides);
static inline void mbr_op_strides(const mbr_value *v, int rank, ptrdiff_t *strides)
{
    mbr_op_strides_at(v, rank, rank - v->rank, strides);
}
/*
 * Fails unless input i spreads over `out` with its first axis at `at` of it: sizes are equal, or 1. A plan takes it for
 * granted where an unknown size meets a known one, so whoever uses such strides asks this in prepare.
 */
mbr_status mbr_op_check_spread(const mbr_step *s, uint32_t i, const mbr_value *out, int at, mbr_error *err);
/* The value as (outer, dims[axis], inner). axis may be v->rank: then the middle is 1. */
void mbr_op_around(const mbr_value *v, int axis, size_t *outer, size_t *middle, size_t *inner);

static inline int mbr_op_axis(int64_t axis, int rank) /* infer has checked it */
{
    return (int)(axis < 0 ? axis + rank : axis);
}

static inline const void *mbr_bytes_at(const void *p, size_t bytes)
{
    return (const char *)p + bytes;
}

/* Items of job: each items a tile, n in all. */
static inline void mbr_op_items(const mbr_job *job, size_t each, size_t n, size_t *first, size_t *last)
{
    *first = job->first * each;
    *last = job->last * each;
    if (*last > n)
        *last = n;
    if (*first > *last)
        *first = *last;
}

/* A strided copy from input 0 to output 0 as the work of a step. */
typedef struct mbr_op_copy {
    mbr_copy_plan plan;
    mbr_copy_fn *fn;
    ptrdiff_t in_offset; /* bytes */
    size_t each;         /* plan tiles of a step tile */
} mbr_op_copy;

void mbr_op_copy_prepare(mbr_step *s, mbr_op_copy *k); /* after the plan is set: tiles and cost */
void mbr_op_copy_run(const mbr_op_copy *k, const void *in, void *out, const mbr_job *job);

/*
 * A tensor whose rows are pieces side by side: piece i is bytes[i] long in each row, its rows lie one after another at
 * pieces[i] (NULL: left out). Copies the bytes first .. last-1 of the whole, which lies at `whole`, from the pieces
 * (join) or to them. Fails (false) where the pieces do not fill a row.
 */
bool mbr_op_pieces(void *whole, size_t row, uint32_t n, void *const *pieces, const size_t *bytes, bool join,
                   size_t first, size_t last);

/* The strings of input i are UTF-8, for operators that look at characters; fails with the first that is not. */
mbr_status mbr_op_check_text(const mbr_step *s, uint32_t i, mbr_error *err);

/* Tiles of about 64 KB for a step that moves bytes; returns bytes of a tile, a multiple of unit. */
size_t mbr_op_split_bytes(mbr_step *s, size_t bytes, size_t unit);

#endif
