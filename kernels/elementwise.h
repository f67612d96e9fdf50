/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Elementwise operators on strided views, any numeric type: the truth for every operator, and the path for the
 * types that have no vector kernel. Fast f32 work goes through kernels/chain.h.
 *
 * f16 and bf16 compute in f32 and round once; f64 computes in f64. Integers wrap (two's complement).
 * Inputs may alias the output when they have the same strides.
 */
#ifndef MBR_KERNELS_ELEMENTWISE_H
#define MBR_KERNELS_ELEMENTWISE_H

#include "kernels/view.h"
#include "mbr/dtype.h"

typedef enum mbr_unary_op {
    MBR_UNARY_NEG,  /* signed and float; unsigned wraps */
    MBR_UNARY_ABS,
    MBR_UNARY_SIGN, /* NaN stays NaN, zeros give +0 */
    MBR_UNARY_NOT,  /* bool */
    MBR_UNARY_BITNOT,
    /* floats only */
    MBR_UNARY_CEIL,
    MBR_UNARY_FLOOR,
    MBR_UNARY_ROUND, /* halves to even */
    MBR_UNARY_SQRT,
    MBR_UNARY_RECIPROCAL,
    MBR_UNARY_EXP,
    MBR_UNARY_LOG,
    MBR_UNARY_SIN,
    MBR_UNARY_COS,
    MBR_UNARY_TAN,
    MBR_UNARY_ASIN,
    MBR_UNARY_ACOS,
    MBR_UNARY_ATAN,
    MBR_UNARY_SINH,
    MBR_UNARY_COSH,
    MBR_UNARY_TANH,
    MBR_UNARY_ASINH,
    MBR_UNARY_ACOSH,
    MBR_UNARY_ATANH,
    MBR_UNARY_ERF,
    MBR_UNARY_SIGMOID,
    MBR_UNARY_RELU,        /* integers too; NaN stays NaN */
    MBR_UNARY_LEAKY_RELU,  /* alpha */
    MBR_UNARY_THRESHOLDED_RELU, /* alpha */
    MBR_UNARY_ELU,         /* alpha */
    MBR_UNARY_SELU,        /* alpha, beta = gamma */
    MBR_UNARY_CELU,        /* alpha */
    MBR_UNARY_SOFTPLUS,
    MBR_UNARY_SOFTSIGN,
    MBR_UNARY_HARD_SIGMOID, /* alpha, beta */
    MBR_UNARY_HARD_SWISH,
    MBR_UNARY_MISH,
    MBR_UNARY_SWISH,       /* alpha: x * sigmoid(alpha x) */
    MBR_UNARY_GELU,        /* with erf */
    MBR_UNARY_GELU_TANH,
    MBR_UNARY_SHRINK,      /* alpha = lambd, beta = bias; integers too */
    MBR_UNARY_ISNAN,       /* float -> bool */
    MBR_UNARY_ISINF,       /* float -> bool; alpha != 0: finds -inf, beta != 0: finds +inf */
    MBR_UNARY_COUNT
} mbr_unary_op;

typedef enum mbr_binary_op {
    MBR_BINARY_ADD,
    MBR_BINARY_SUB,
    MBR_BINARY_MUL,
    MBR_BINARY_DIV,  /* integers truncate; see the flag below */
    MBR_BINARY_MIN,  /* NaN wins */
    MBR_BINARY_MAX,
    MBR_BINARY_MOD,  /* sign of the divisor (Python's %) */
    MBR_BINARY_FMOD, /* sign of the dividend (C's %, fmod) */
    MBR_BINARY_POW,  /* integers: by squaring, wraps; negative exponents: 1 / x^n truncated */
    MBR_BINARY_PRELU, /* a < 0 ? a * b : a */
    MBR_BINARY_AND,   /* bool */
    MBR_BINARY_OR,
    MBR_BINARY_XOR,
    MBR_BINARY_BITAND, /* integers */
    MBR_BINARY_BITOR,
    MBR_BINARY_BITXOR,
    MBR_BINARY_SHL, /* integers; a shift of the width or more gives 0 */
    MBR_BINARY_SHR, /* unsigned types logical, signed ones arithmetic */
    /* -> bool */
    MBR_BINARY_EQ,
    MBR_BINARY_NE,
    MBR_BINARY_LT,
    MBR_BINARY_LE,
    MBR_BINARY_GT,
    MBR_BINARY_GE,
    MBR_BINARY_COUNT
} mbr_binary_op;

/* What a loop met; 0 is all well. A zero divisor gives 0 in that element, and the loop goes on. */
#define MBR_ELEMENTWISE_ZERO_DIVISOR 1u

static inline bool mbr_unary_gives_bool(mbr_unary_op op)
{
    return op == MBR_UNARY_ISNAN || op == MBR_UNARY_ISINF;
}

static inline bool mbr_binary_gives_bool(mbr_binary_op op)
{
    return op >= MBR_BINARY_EQ && op < MBR_BINARY_COUNT;
}

/* Can the pair be computed? Ask when a model is opened; the loops below require a yes. */
bool mbr_elementwise_unary_has(mbr_unary_op op, mbr_dtype dtype);
bool mbr_elementwise_binary_has(mbr_binary_op op, mbr_dtype dtype);

/* out[i] = op(in[i]); out has the same type, or bool (see above). alpha and beta as the list says, else ignored. */
void mbr_elementwise_unary_ref(mbr_unary_op op, mbr_dtype dtype, float alpha, float beta, int rank, const size_t *dims,
                               const void *in, const ptrdiff_t *in_strides, void *out, const ptrdiff_t *out_strides);

/* out[i] = op(a[i], b[i]); a and b have the type dtype, out the same or bool. INT_MIN / -1 gives INT_MIN. */
unsigned mbr_elementwise_binary_ref(mbr_binary_op op, mbr_dtype dtype, int rank, const size_t *dims, const void *a,
                                    const ptrdiff_t *a_strides, const void *b, const ptrdiff_t *b_strides, void *out,
                                    const ptrdiff_t *out_strides);

/*
 * out = a ** b where the types differ: computed in f64 when either is a float, as ONNX's Pow and numpy do, and
 * converted to base_dtype; integer pairs compute in 64 bits and wrap.
 */
void mbr_elementwise_pow_ref(mbr_dtype base_dtype, mbr_dtype exponent_dtype, int rank, const size_t *dims,
                             const void *a, const ptrdiff_t *a_strides, const void *b, const ptrdiff_t *b_strides,
                             void *out, const ptrdiff_t *out_strides);

/* out[i] = cond[i] ? a[i] : b[i]; elements of `size` bytes: 1, 2, 4, 8 or 16. */
void mbr_elementwise_where_ref(size_t size, int rank, const size_t *dims, const uint8_t *cond,
                               const ptrdiff_t *cond_strides, const void *a, const ptrdiff_t *a_strides, const void *b,
                               const ptrdiff_t *b_strides, void *out, const ptrdiff_t *out_strides);

#endif
