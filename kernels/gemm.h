/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Matrix products in f32:
 *
 *     C[i][j] = act(alpha * sum over p of A[i][p] * B[p][j]  + bias  (+ or *) other)       A (m, k), B (k, n), C (m, n)
 *
 * for a batch of matrices. A and C are row-major with any row stride; B is packed ahead of time (weights), or given as
 * it lies in memory, row-major or transposed, and packed bit by bit while the product runs.
 *
 * Each sum is one chain of fused multiply-adds in the order of p, from p = 0, whatever m, n, the batch, the tiles and
 * the threads: a row of a large product has the same bits as the same row computed alone. So blocking is free to follow
 * the machine. Tiers differ in the last bits only by the fused additions that they have.
 *
 * Use: kernel = mbr_gemm_f32_select(mbr_cpu_tiers()) at plan time; pack weights once with it; then for a run give
 * each thread scratch(args) bytes aligned to 64 and hand out the tiles 0 .. tiles(args) - 1, each to one thread, in any
 * order. tiles and scratch look at the sizes in args only, never at pointers.
 */
#ifndef MBR_KERNELS_GEMM_H
#define MBR_KERNELS_GEMM_H

#include "kernels/act.h"
#include "kernels/cpu.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What happens to a sum on its way out. Zeroed: nothing. */
typedef enum mbr_gemm_other {
    MBR_GEMM_OTHER_NONE,
    MBR_GEMM_OTHER_ADD,       /* act(sum + other): the shortcut of a residual block, an attention mask */
    MBR_GEMM_OTHER_ADD_AFTER, /* act(sum) + other */
    MBR_GEMM_OTHER_MUL_AFTER  /* act(sum) * other: a gate */
} mbr_gemm_other;

typedef struct mbr_gemm_epilogue {
    const float *bias; /* NULL, n values, or m values with bias_per_row */
    bool bias_per_row;
    mbr_gemm_other other_is;
    const float
        *other; /* (m, n), ld_other floats between rows (0: one row for all); may be C itself, else not overlap it */
    ptrdiff_t ld_other;
    mbr_act act;
} mbr_gemm_epilogue;

typedef enum mbr_gemm_b_form {
    MBR_GEMM_B_PACKED, /* what pack wrote */
    MBR_GEMM_B_ROWS,   /* (k, n), ldb floats between rows */
    MBR_GEMM_B_COLS    /* (n, k), ldb floats between rows: B transposed */
} mbr_gemm_b_form;

#define MBR_GEMM_BATCH_DIMS 3

/*
 * A batch has up to three dimensions; the strides say how far apart the matrices are, in floats, 0 where one matrix
 * serves all. A packed B is pack_size(k, n) / sizeof(float) floats long. k = 0 gives sums of zero; m, n or a batch of
 * 0, no tiles. C may not overlap A or B. All strides may be any value that keeps the rows of C apart.
 */
typedef struct mbr_gemm_args {
    size_t m, n, k;
    const float *a;
    ptrdiff_t lda;
    mbr_gemm_b_form b_form;
    const float *b;
    ptrdiff_t ldb;
    float *c;
    ptrdiff_t ldc;
    float alpha;
    mbr_gemm_epilogue epilogue;
    size_t batch[MBR_GEMM_BATCH_DIMS];
    ptrdiff_t a_batch[MBR_GEMM_BATCH_DIMS], b_batch[MBR_GEMM_BATCH_DIMS], c_batch[MBR_GEMM_BATCH_DIMS];
    ptrdiff_t other_batch[MBR_GEMM_BATCH_DIMS];
} mbr_gemm_args;

/* One product, alpha 1, nothing on the way out; the rest is zero and for the caller to fill. */
#define MBR_GEMM_ARGS_INIT                                                                                             \
    {                                                                                                                  \
        .alpha = 1.0f, .batch = { 1, 1, 1 }                                                                            \
    }

/* Bytes of a packed B. 0 when the size does not fit size_t. */
typedef size_t mbr_gemm_pack_size_fn(size_t k, size_t n);

/*
 * Packs the columns first to last - 1 of B, where B[p][j] is b[p * stride_p + j * stride_j]; so both forms, and slices,
 * are packed without a copy. first must be a multiple of the kernel's nr (last: a multiple, or n): ranges can be packed
 * by several threads. packed is aligned to 64 bytes and has pack_size bytes; padding is written too.
 */
typedef void mbr_gemm_pack_fn(float *packed, size_t k, size_t n, const float *b, ptrdiff_t stride_p, ptrdiff_t stride_j,
                              size_t first, size_t last);

typedef size_t mbr_gemm_scratch_fn(const mbr_gemm_args *args);
typedef size_t mbr_gemm_tiles_fn(const mbr_gemm_args *args);
typedef void mbr_gemm_run_fn(const mbr_gemm_args *args, void *scratch, size_t first, size_t last);

typedef struct mbr_gemm_f32_kernel {
    const char *name;
    mbr_cpu_tier tier;
    size_t mr, nr; /* rows and columns that the inner loop keeps in registers; columns are packed by nr */
    mbr_gemm_pack_size_fn *pack_size;
    mbr_gemm_pack_fn *pack;
    mbr_gemm_scratch_fn *scratch;
    mbr_gemm_tiles_fn *tiles;
    mbr_gemm_run_fn *run;
} mbr_gemm_f32_kernel;

/* The best kernel of these tiers. */
const mbr_gemm_f32_kernel *mbr_gemm_f32_select(unsigned tiers);

#define KERNEL(name, tier, tol) extern const mbr_gemm_f32_kernel mbr_##name;
#include "kernels/gemm.def"
#undef KERNEL

#endif
