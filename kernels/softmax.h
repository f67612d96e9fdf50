/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Softmax and log-softmax, f32, of a tensor seen as (outer, axis, inner), dense:
 *     m = max_k in[o][k][i];  out[o][k][i] = e^(in - m) / sum_k e^(in - m)      or      in - m - ln(sum)
 * A row that holds NaN or +inf becomes all NaN, as does one that is all -inf; -inf among finite values gives 0.
 * out may be in. Error: 8 ULP or 1e-7 absolute of the result in exact arithmetic.
 */
#ifndef MBR_KERNELS_SOFTMAX_H
#define MBR_KERNELS_SOFTMAX_H

#include "kernels/cpu.h"
#include "kernels/view.h"
#include "mbr/dtype.h"

typedef struct mbr_softmax_args {
    const float *in;
    float *out;
    size_t outer, axis, inner;
    bool log;
} mbr_softmax_args;

/* Tiles are rows for inner = 1, else (row, strip of columns) pairs. How a call is split never changes the result. */
#define MBR_SOFTMAX_STRIP 64

static inline size_t mbr_softmax_tiles(const mbr_softmax_args *args)
{
    if (args->outer == 0 || args->axis == 0)
        return 0;
    return args->outer * ((args->inner + MBR_SOFTMAX_STRIP - 1) / MBR_SOFTMAX_STRIP);
}

typedef void mbr_softmax_fn(const mbr_softmax_args *args, size_t first, size_t last);

mbr_softmax_fn mbr_softmax_ref;
mbr_softmax_fn *mbr_softmax_select(unsigned tiers);

/* One line of n doubles, `step` apart, by the same rules. out may be in. */
void mbr_softmax_f64_ref(const double *in, double *out, size_t n, size_t step, bool log);

/*
 * A short line of f16 or bf16 as the steps of ONNX's function body, each rounded to the type: x - max, exp, the sum (f16:
 * added in f32, as numpy does; bf16: term by term), the quotient. Longer lines are better off in f32 throughout: their
 * bf16 sums would stall. out may be in.
 */
#define MBR_SOFTMAX_STEPWISE 64
void mbr_softmax_half_ref(mbr_dtype dtype, const void *in, void *out, size_t n, size_t step);

#endif
