/* SPDX-License-Identifier: BSD-2-Clause */
/* What lowers to the kernels of kernels/opencl/gemm.cl: products, and convolutions as products. */
#ifndef MBR_ENGINE_OPENCL_PRODUCT_H
#define MBR_ENGINE_OPENCL_PRODUCT_H

#include "engine/opencl/lower.h"
#include "kernels/act.h"
#include "kernels/gemm.h"

#define MBR_CL_NR 16 /* columns of a panel */

/* As in gemm.cl. */
typedef struct mbr_cl_gemm {
    cl_long a_batch[3], b_batch[3], c_batch[3], o_batch[3];
    cl_int batch[3];
    cl_int m, n, k;
    cl_int a_m, a_k, b_k, b_n, c_m, c_n, o_m, o_n, bias_batch; /* b_k of a convolution on panels: where zeros lie */
    cl_int has_bias, other_is, act;                            /* other_is: 0, 1 add, 2 add_after, 3 mul_after */
    cl_float alpha, beta, act_a, act_b;
} mbr_cl_gemm;

typedef struct mbr_cl_conv {
    cl_long x_n, y_n, y_at;
    cl_int in[3], out[3];
    cl_int tap[3], stride[3], step[3], start[3];
    cl_int tap_at, tap_w[3];
    cl_int x[3], x_c, y[3];
    cl_int channels;
} mbr_cl_conv;

/* An operand: input, output, scratch or packed data of the step. */
typedef struct mbr_cl_operand {
    enum { MBR_CL_INPUT, MBR_CL_OUTPUT, MBR_CL_SCRATCH, MBR_CL_PACKED, MBR_CL_NONE } from;
    unsigned i;           /* input or output; slot of PACKED */
    size_t at, bytes;     /* SCRATCH, PACKED */
    mbr_cl_fill fill;     /* PACKED */
} mbr_cl_operand;

/* Sets the operand as the next argument. */
void mbr_cl_operand_arg(mbr_cl_lower *l, const mbr_cl_operand *o);

/* Does the device compute by gemm_rows, with b in panels? */
bool mbr_cl_by_rows(const mbr_cl_device *d);

/*
 * Launches the product; b is in panels where mbr_cl_by_rows. conv: NULL for a plain product. half: of f16 tensors.
 * bias, other may be MBR_CL_NONE.
 */
void mbr_cl_gemm_launch(mbr_cl_lower *l, const mbr_cl_gemm *g, const mbr_cl_conv *conv, bool half,
                        const mbr_cl_operand *a, const mbr_cl_operand *b, const mbr_cl_operand *c,
                        const mbr_cl_operand *bias, const mbr_cl_operand *other);

/*
 * Sizes and strides of the product of inputs in_a and in_b (matrices by numpy's rules, transA and transB, to output 0),
 * and of what is added, input `added` where there is one: how it spreads is o_*. The rest of g stays as it is.
 */
mbr_status mbr_cl_product_plan(mbr_cl_lower *l, uint32_t in_a, uint32_t in_b, uint32_t added, mbr_cl_gemm *g);

/* Elements of the panels of a matrix. */
static inline size_t mbr_cl_panels(size_t k, size_t n)
{
    return (n + MBR_CL_NR - 1) / MBR_CL_NR * MBR_CL_NR * k;
}

/* Act, alpha and other_is of a node's attributes. */
mbr_status mbr_cl_epilogue(mbr_cl_lower *l, mbr_cl_gemm *g);

#endif
