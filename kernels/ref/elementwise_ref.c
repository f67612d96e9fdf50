/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/elementwise.h"
#include "kernels/integers.h"

#include "kernels/ref/element.h"
#include "kernels/ref/scalar.h"

#include <math.h>
#include <string.h>

static bool is_arithmetic_float(mbr_dtype dtype)
{
    return dtype == MBR_DTYPE_F32 || dtype == MBR_DTYPE_F64 || dtype == MBR_DTYPE_F16 || dtype == MBR_DTYPE_BF16;
}

static bool is_integer(mbr_dtype dtype)
{
    mbr_element_class c = mbr_element_class_of(dtype);
    return (c == MBR_ELEMENT_SIGNED || c == MBR_ELEMENT_UNSIGNED) && dtype != MBR_DTYPE_BOOL;
}

bool mbr_elementwise_unary_has(mbr_unary_op op, mbr_dtype dtype)
{
    switch (op) {
    case MBR_UNARY_NOT:
        return dtype == MBR_DTYPE_BOOL;
    case MBR_UNARY_BITNOT:
        return is_integer(dtype);
    case MBR_UNARY_NEG:
    case MBR_UNARY_ABS:
    case MBR_UNARY_SIGN:
    case MBR_UNARY_RELU:
    case MBR_UNARY_SHRINK:
    case MBR_UNARY_ERF:
        return is_arithmetic_float(dtype) || is_integer(dtype);
    case MBR_UNARY_ISNAN:
    case MBR_UNARY_ISINF:
        return mbr_element_class_of(dtype) == MBR_ELEMENT_FLOAT;
    default:
        return op >= 0 && op < MBR_UNARY_COUNT && is_arithmetic_float(dtype);
    }
}

bool mbr_elementwise_binary_has(mbr_binary_op op, mbr_dtype dtype)
{
    switch (op) {
    case MBR_BINARY_AND:
    case MBR_BINARY_OR:
    case MBR_BINARY_XOR:
        return dtype == MBR_DTYPE_BOOL;
    case MBR_BINARY_BITAND:
    case MBR_BINARY_BITOR:
    case MBR_BINARY_BITXOR:
    case MBR_BINARY_SHL:
    case MBR_BINARY_SHR:
        return is_integer(dtype);
    case MBR_BINARY_EQ:
    case MBR_BINARY_NE:
    case MBR_BINARY_LT:
    case MBR_BINARY_LE:
    case MBR_BINARY_GT:
    case MBR_BINARY_GE:
        return mbr_element_class_of(dtype) != MBR_ELEMENT_NONE;
    default:
        return op >= 0 && op < MBR_BINARY_COUNT && (is_arithmetic_float(dtype) || is_integer(dtype));
    }
}

/* ---- one block ---- */

#define EACH(expr)                                                                                                     \
    do {                                                                                                               \
        for (size_t k = 0; k < n; k++) {                                                                               \
            expr;                                                                                                      \
        }                                                                                                              \
    } while (0)

static void unary_float(mbr_unary_op op, double alpha, double beta, mbr_element_block *b, size_t n)
{
    double *f = b->f;
    switch (op) {
    case MBR_UNARY_NEG: EACH(f[k] = -f[k]); break;
    case MBR_UNARY_ABS: EACH(f[k] = fabs(f[k])); break;
    case MBR_UNARY_SIGN: EACH(f[k] = mbr_scalar_sign(f[k])); break;
    case MBR_UNARY_CEIL: EACH(f[k] = ceil(f[k])); break;
    case MBR_UNARY_FLOOR: EACH(f[k] = floor(f[k])); break;
    case MBR_UNARY_ROUND: EACH(f[k] = rint(f[k])); break;
    case MBR_UNARY_SQRT: EACH(f[k] = sqrt(f[k])); break;
    case MBR_UNARY_RECIPROCAL: EACH(f[k] = 1.0 / f[k]); break;
    case MBR_UNARY_EXP: EACH(f[k] = exp(f[k])); break;
    case MBR_UNARY_LOG: EACH(f[k] = log(f[k])); break;
    case MBR_UNARY_SIN: EACH(f[k] = sin(f[k])); break;
    case MBR_UNARY_COS: EACH(f[k] = cos(f[k])); break;
    case MBR_UNARY_TAN: EACH(f[k] = tan(f[k])); break;
    case MBR_UNARY_ASIN: EACH(f[k] = asin(f[k])); break;
    case MBR_UNARY_ACOS: EACH(f[k] = acos(f[k])); break;
    case MBR_UNARY_ATAN: EACH(f[k] = atan(f[k])); break;
    case MBR_UNARY_SINH: EACH(f[k] = sinh(f[k])); break;
    case MBR_UNARY_COSH: EACH(f[k] = cosh(f[k])); break;
    case MBR_UNARY_TANH: EACH(f[k] = tanh(f[k])); break;
    case MBR_UNARY_ASINH: EACH(f[k] = asinh(f[k])); break;
    case MBR_UNARY_ACOSH: EACH(f[k] = acosh(f[k])); break;
    case MBR_UNARY_ATANH: EACH(f[k] = atanh(f[k])); break;
    case MBR_UNARY_ERF: EACH(f[k] = erf(f[k])); break;
    case MBR_UNARY_SIGMOID: EACH(f[k] = mbr_scalar_sigmoid(f[k])); break;
    case MBR_UNARY_RELU: EACH(f[k] = f[k] < 0.0 ? 0.0 : f[k]); break;
    case MBR_UNARY_LEAKY_RELU: EACH(f[k] = f[k] < 0.0 ? f[k] * alpha : f[k]); break;
    case MBR_UNARY_THRESHOLDED_RELU: EACH(f[k] = f[k] > alpha ? f[k] : 0.0); break;
    case MBR_UNARY_ELU: EACH(f[k] = f[k] < 0.0 ? alpha * expm1(f[k]) : f[k]); break;
    case MBR_UNARY_SELU: EACH(f[k] = beta * (f[k] < 0.0 ? alpha * expm1(f[k]) : f[k])); break;
    case MBR_UNARY_CELU: EACH(f[k] = mbr_scalar_celu(f[k], alpha)); break;
    case MBR_UNARY_SOFTPLUS: EACH(f[k] = mbr_scalar_softplus(f[k])); break;
    case MBR_UNARY_SOFTSIGN: EACH(f[k] = f[k] / (1.0 + fabs(f[k]))); break;
    case MBR_UNARY_HARD_SIGMOID: EACH(f[k] = mbr_scalar_hard_sigmoid(f[k], alpha, beta)); break;
    case MBR_UNARY_HARD_SWISH: EACH(f[k] *= mbr_scalar_hard_sigmoid(f[k], 1.0 / 6.0, 0.5)); break;
    case MBR_UNARY_MISH: EACH(f[k] = mbr_scalar_mish(f[k])); break;
    case MBR_UNARY_SWISH: EACH(f[k] = mbr_scalar_swish(f[k], alpha)); break;
    case MBR_UNARY_GELU: EACH(f[k] = mbr_scalar_gelu(f[k])); break;
    case MBR_UNARY_GELU_TANH: EACH(f[k] = mbr_scalar_gelu_tanh(f[k])); break;
    case MBR_UNARY_SHRINK: EACH(f[k] = mbr_scalar_shrink(f[k], alpha, beta)); break;
    case MBR_UNARY_ISNAN: EACH(b->u[k] = isnan(f[k]) ? 1 : 0); break;
    case MBR_UNARY_ISINF:
        EACH(b->u[k] = isinf(f[k]) && (f[k] < 0.0 ? alpha != 0.0 : beta != 0.0));
        break;
    default: break;
    }
}

static void unary_integer(mbr_unary_op op, bool is_signed, double alpha, double beta, mbr_element_block *b, size_t n)
{
    uint64_t *u = b->u;
    int64_t *i = b->i;
    switch (op) {
    case MBR_UNARY_NEG: EACH(u[k] = 0 - u[k]); break;
    case MBR_UNARY_ABS:
        if (is_signed)
            EACH(u[k] = i[k] < 0 ? 0 - u[k] : u[k]);
        break;
    case MBR_UNARY_SIGN:
        if (is_signed)
            EACH(i[k] = (i[k] > 0) - (i[k] < 0));
        else
            EACH(u[k] = u[k] != 0);
        break;
    case MBR_UNARY_NOT: EACH(u[k] = !u[k]); break;
    case MBR_UNARY_BITNOT: EACH(u[k] = ~u[k]); break;
    case MBR_UNARY_RELU:
        if (is_signed)
            EACH(i[k] = i[k] < 0 ? 0 : i[k]);
        break;
    case MBR_UNARY_SHRINK:
        if (is_signed)
            EACH(i[k] = mbr_element_to_i64(mbr_scalar_shrink((double)i[k], alpha, beta), 64));
        else
            EACH(u[k] = mbr_element_to_u64(mbr_scalar_shrink((double)u[k], alpha, beta)));
        break;
    case MBR_UNARY_ERF: /* 1 and -1 where f32 rounds to them, else 0 */
        if (is_signed)
            EACH(i[k] = (int64_t)(float)erf((double)i[k]));
        else
            EACH(u[k] = (uint64_t)(float)erf((double)u[k]));
        break;
    default: break;
    }
}

static int64_t divide(int64_t a, int64_t b, unsigned *flags)
{
    if (b == 0) {
        *flags |= MBR_ELEMENTWISE_ZERO_DIVISOR;
        return 0;
    }
    return b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b;
}

static int64_t remainder_of(int64_t a, int64_t b, bool floor_sign, unsigned *flags)
{
    if (b == 0) {
        *flags |= MBR_ELEMENTWISE_ZERO_DIVISOR;
        return 0;
    }
    int64_t r = b == -1 ? 0 : a % b;
    return floor_sign && r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

static uint64_t power(uint64_t base, uint64_t exponent)
{
    uint64_t r = 1;
    for (; exponent; exponent >>= 1, base *= base)
        if (exponent & 1)
            r *= base;
    return r;
}

static int64_t power_signed(int64_t base, int64_t exponent)
{
    if (exponent >= 0)
        return (int64_t)power((uint64_t)base, (uint64_t)exponent);
    if (base == 1 || base == -1)
        return base == 1 || (exponent & 1) == 0 ? 1 : -1;
    return 0;
}

static void binary_float(mbr_binary_op op, mbr_element_block *a, const mbr_element_block *b, size_t n)
{
    double *x = a->f;
    const double *y = b->f;
    switch (op) {
    case MBR_BINARY_ADD: EACH(x[k] += y[k]); break;
    case MBR_BINARY_SUB: EACH(x[k] -= y[k]); break;
    case MBR_BINARY_MUL: EACH(x[k] *= y[k]); break;
    case MBR_BINARY_DIV: EACH(x[k] /= y[k]); break;
    case MBR_BINARY_MIN: EACH(x[k] = mbr_scalar_min(x[k], y[k])); break;
    case MBR_BINARY_MAX: EACH(x[k] = mbr_scalar_max(x[k], y[k])); break;
    case MBR_BINARY_MOD: EACH(x[k] = mbr_scalar_mod(x[k], y[k])); break;
    case MBR_BINARY_FMOD: EACH(x[k] = fmod(x[k], y[k])); break;
    case MBR_BINARY_POW: EACH(x[k] = pow(x[k], y[k])); break;
    case MBR_BINARY_PRELU: EACH(x[k] = x[k] < 0.0 ? x[k] * y[k] : x[k]); break;
    case MBR_BINARY_EQ: EACH(a->u[k] = x[k] == y[k]); break;
    case MBR_BINARY_NE: EACH(a->u[k] = x[k] != y[k]); break;
    case MBR_BINARY_LT: EACH(a->u[k] = x[k] < y[k]); break;
    case MBR_BINARY_LE: EACH(a->u[k] = x[k] <= y[k]); break;
    case MBR_BINARY_GT: EACH(a->u[k] = x[k] > y[k]); break;
    case MBR_BINARY_GE: EACH(a->u[k] = x[k] >= y[k]); break;
    default: break;
    }
}

static unsigned binary_signed(mbr_binary_op op, mbr_element_block *a, const mbr_element_block *b, int bits, size_t n)
{
    unsigned flags = 0;
    int64_t *x = a->i;
    const int64_t *y = b->i;
    uint64_t *ux = a->u;
    const uint64_t *uy = b->u;
    switch (op) {
    case MBR_BINARY_ADD: EACH(ux[k] += uy[k]); break;
    case MBR_BINARY_SUB: EACH(ux[k] -= uy[k]); break;
    case MBR_BINARY_MUL: EACH(ux[k] *= uy[k]); break;
    case MBR_BINARY_DIV: EACH(x[k] = divide(x[k], y[k], &flags)); break;
    case MBR_BINARY_MIN: EACH(x[k] = x[k] < y[k] ? x[k] : y[k]); break;
    case MBR_BINARY_MAX: EACH(x[k] = x[k] > y[k] ? x[k] : y[k]); break;
    case MBR_BINARY_MOD: EACH(x[k] = remainder_of(x[k], y[k], true, &flags)); break;
    case MBR_BINARY_FMOD: EACH(x[k] = remainder_of(x[k], y[k], false, &flags)); break;
    case MBR_BINARY_POW: EACH(x[k] = power_signed(x[k], y[k])); break;
    case MBR_BINARY_PRELU: EACH(ux[k] = x[k] < 0 ? ux[k] * uy[k] : ux[k]); break;
    case MBR_BINARY_BITAND: EACH(ux[k] &= uy[k]); break;
    case MBR_BINARY_BITOR: EACH(ux[k] |= uy[k]); break;
    case MBR_BINARY_BITXOR: EACH(ux[k] ^= uy[k]); break;
    case MBR_BINARY_SHL: EACH(ux[k] = y[k] < 0 || y[k] >= bits ? 0 : ux[k] << y[k]); break;
    case MBR_BINARY_SHR: EACH(x[k] = y[k] < 0 || y[k] >= bits ? (x[k] < 0 ? -1 : 0) : x[k] >> y[k]); break;
    case MBR_BINARY_EQ: EACH(ux[k] = x[k] == y[k]); break;
    case MBR_BINARY_NE: EACH(ux[k] = x[k] != y[k]); break;
    case MBR_BINARY_LT: EACH(ux[k] = x[k] < y[k]); break;
    case MBR_BINARY_LE: EACH(ux[k] = x[k] <= y[k]); break;
    case MBR_BINARY_GT: EACH(ux[k] = x[k] > y[k]); break;
    case MBR_BINARY_GE: EACH(ux[k] = x[k] >= y[k]); break;
    default: break;
    }
    return flags;
}

static unsigned binary_unsigned(mbr_binary_op op, mbr_element_block *a, const mbr_element_block *b, int bits, size_t n)
{
    uint64_t *x = a->u;
    const uint64_t *y = b->u;
    bool zero = false;
    switch (op) {
    case MBR_BINARY_ADD: EACH(x[k] += y[k]); break;
    case MBR_BINARY_SUB: EACH(x[k] -= y[k]); break;
    case MBR_BINARY_MUL: EACH(x[k] *= y[k]); break;
    case MBR_BINARY_DIV: EACH(zero |= y[k] == 0; x[k] = y[k] ? x[k] / y[k] : 0); break;
    case MBR_BINARY_MOD:
    case MBR_BINARY_FMOD: EACH(zero |= y[k] == 0; x[k] = y[k] ? x[k] % y[k] : 0); break;
    case MBR_BINARY_MIN: EACH(x[k] = x[k] < y[k] ? x[k] : y[k]); break;
    case MBR_BINARY_MAX: EACH(x[k] = x[k] > y[k] ? x[k] : y[k]); break;
    case MBR_BINARY_POW: EACH(x[k] = power(x[k], y[k])); break;
    case MBR_BINARY_AND:
    case MBR_BINARY_BITAND: EACH(x[k] &= y[k]); break;
    case MBR_BINARY_OR:
    case MBR_BINARY_BITOR: EACH(x[k] |= y[k]); break;
    case MBR_BINARY_XOR:
    case MBR_BINARY_BITXOR: EACH(x[k] ^= y[k]); break;
    case MBR_BINARY_SHL: EACH(x[k] = y[k] >= (uint64_t)bits ? 0 : x[k] << y[k]); break;
    case MBR_BINARY_SHR: EACH(x[k] = y[k] >= (uint64_t)bits ? 0 : x[k] >> y[k]); break;
    case MBR_BINARY_EQ: EACH(x[k] = x[k] == y[k]); break;
    case MBR_BINARY_NE: EACH(x[k] = x[k] != y[k]); break;
    case MBR_BINARY_LT: EACH(x[k] = x[k] < y[k]); break;
    case MBR_BINARY_LE: EACH(x[k] = x[k] <= y[k]); break;
    case MBR_BINARY_GT: EACH(x[k] = x[k] > y[k]); break;
    case MBR_BINARY_GE: EACH(x[k] = x[k] >= y[k]); break;
    default: break; /* PRELU of an unsigned type is the identity */
    }
    return zero ? MBR_ELEMENTWISE_ZERO_DIVISOR : 0;
}

/* ---- walking the views ---- */

#define OPERANDS 4

/* The views collapsed, and the position in them. */
typedef struct walk {
    int rank, operands;
    size_t dims[MBR_KERNEL_RANK], index[MBR_KERNEL_RANK];
    ptrdiff_t strides[OPERANDS][MBR_KERNEL_RANK];
    ptrdiff_t offset[OPERANDS];
    size_t rows, inner;
    ptrdiff_t step[OPERANDS]; /* strides of the innermost dimension */
} walk;

static void walk_init(walk *w, int rank, const size_t *dims, int operands, const ptrdiff_t *const *strides)
{
    ptrdiff_t *views[OPERANDS];
    memset(w, 0, sizeof *w);
    w->operands = operands;
    memcpy(w->dims, dims, (size_t)rank * sizeof *dims);
    for (int k = 0; k < operands; k++) {
        memcpy(w->strides[k], strides[k], (size_t)rank * sizeof **strides);
        views[k] = w->strides[k];
    }
    w->rank = mbr_collapse_dims(rank, w->dims, operands, views);
    w->inner = 1;
    if (w->rank > 0) {
        w->rank--;
        w->inner = w->dims[w->rank];
        for (int k = 0; k < operands; k++)
            w->step[k] = w->strides[k][w->rank];
    }
    w->rows = w->inner ? mbr_dims_count(w->rank, w->dims) : 0;
}

static void walk_next(walk *w)
{
    for (int d = w->rank - 1; d >= 0; d--) {
        for (int k = 0; k < w->operands; k++)
            w->offset[k] += w->strides[k][d];
        if (++w->index[d] < w->dims[d])
            return;
        w->index[d] = 0;
        for (int k = 0; k < w->operands; k++)
            w->offset[k] -= w->strides[k][d] * (ptrdiff_t)w->dims[d];
    }
}

static const char *at(const void *base, ptrdiff_t elements, size_t size)
{
    return (const char *)base + elements * (ptrdiff_t)size;
}

void mbr_elementwise_unary_ref(mbr_unary_op op, mbr_dtype dtype, float alpha, float beta, int rank, const size_t *dims,
                               const void *in, const ptrdiff_t *in_strides, void *out, const ptrdiff_t *out_strides)
{
    walk w;
    mbr_element_block block;
    mbr_element_class class = mbr_element_class_of(dtype);
    mbr_dtype out_type = mbr_unary_gives_bool(op) ? MBR_DTYPE_BOOL : dtype;
    size_t in_size = mbr_dtype_size(dtype), out_size = mbr_dtype_size(out_type);
    walk_init(&w, rank, dims, 2, (const ptrdiff_t *const[]){in_strides, out_strides});
    for (size_t r = 0; r < w.rows; r++, walk_next(&w))
        for (size_t c = 0; c < w.inner; c += MBR_ELEMENT_BLOCK) {
            size_t n = w.inner - c < MBR_ELEMENT_BLOCK ? w.inner - c : MBR_ELEMENT_BLOCK;
            mbr_element_load(dtype, at(in, w.offset[0] + (ptrdiff_t)c * w.step[0], in_size), w.step[0], n, &block);
            if (class == MBR_ELEMENT_FLOAT)
                unary_float(op, (double)alpha, (double)beta, &block, n);
            else
                unary_integer(op, class == MBR_ELEMENT_SIGNED, (double)alpha, (double)beta, &block, n);
            void *dst = (char *)out + (w.offset[1] + (ptrdiff_t)c * w.step[1]) * (ptrdiff_t)out_size;
            mbr_element_store(out_type, dst, w.step[1], n, &block);
        }
}

unsigned mbr_elementwise_binary_ref(mbr_binary_op op, mbr_dtype dtype, int rank, const size_t *dims, const void *a,
                                    const ptrdiff_t *a_strides, const void *b, const ptrdiff_t *b_strides, void *out,
                                    const ptrdiff_t *out_strides)
{
    walk w;
    mbr_element_block x, y;
    unsigned flags = 0;
    mbr_element_class class = mbr_element_class_of(dtype);
    mbr_dtype out_type = mbr_binary_gives_bool(op) ? MBR_DTYPE_BOOL : dtype;
    size_t size = mbr_dtype_size(dtype), out_size = mbr_dtype_size(out_type);
    int bits = (int)size * 8;
    walk_init(&w, rank, dims, 3, (const ptrdiff_t *const[]){a_strides, b_strides, out_strides});
    for (size_t r = 0; r < w.rows; r++, walk_next(&w)) {
        if (w.step[2] == 1 &&
            mbr_integers_binary(op, dtype, w.inner, at(a, w.offset[0], size), w.step[0], at(b, w.offset[1], size),
                                w.step[1], (char *)out + w.offset[2] * (ptrdiff_t)out_size))
            continue;
        for (size_t c = 0; c < w.inner; c += MBR_ELEMENT_BLOCK) {
            size_t n = w.inner - c < MBR_ELEMENT_BLOCK ? w.inner - c : MBR_ELEMENT_BLOCK;
            mbr_element_load(dtype, at(a, w.offset[0] + (ptrdiff_t)c * w.step[0], size), w.step[0], n, &x);
            mbr_element_load(dtype, at(b, w.offset[1] + (ptrdiff_t)c * w.step[1], size), w.step[1], n, &y);
            if (class == MBR_ELEMENT_FLOAT)
                binary_float(op, &x, &y, n);
            else if (class == MBR_ELEMENT_SIGNED)
                flags |= binary_signed(op, &x, &y, bits, n);
            else
                flags |= binary_unsigned(op, &x, &y, bits, n);
            void *dst = (char *)out + (w.offset[2] + (ptrdiff_t)c * w.step[2]) * (ptrdiff_t)out_size;
            mbr_element_store(out_type, dst, w.step[2], n, &x);
        }
    }
    return flags;
}

void mbr_elementwise_pow_ref(mbr_dtype base_dtype, mbr_dtype exponent_dtype, int rank, const size_t *dims,
                             const void *a, const ptrdiff_t *a_strides, const void *b, const ptrdiff_t *b_strides,
                             void *out, const ptrdiff_t *out_strides)
{
    walk w;
    mbr_element_block x, y;
    mbr_element_class base = mbr_element_class_of(base_dtype), exponent = mbr_element_class_of(exponent_dtype);
    size_t size = mbr_dtype_size(base_dtype), exponent_size = mbr_dtype_size(exponent_dtype);
    bool floats = base == MBR_ELEMENT_FLOAT || exponent == MBR_ELEMENT_FLOAT;
    walk_init(&w, rank, dims, 3, (const ptrdiff_t *const[]){a_strides, b_strides, out_strides});
    for (size_t r = 0; r < w.rows; r++, walk_next(&w))
        for (size_t c = 0; c < w.inner; c += MBR_ELEMENT_BLOCK) {
            size_t n = w.inner - c < MBR_ELEMENT_BLOCK ? w.inner - c : MBR_ELEMENT_BLOCK;
            const void *pa = at(a, w.offset[0] + (ptrdiff_t)c * w.step[0], size);
            const void *pb = at(b, w.offset[1] + (ptrdiff_t)c * w.step[1], exponent_size);
            mbr_element_load(base_dtype, pa, w.step[0], n, &x);
            mbr_element_load(exponent_dtype, pb, w.step[1], n, &y);
            if (floats) {
                mbr_element_to_f64(base, &x, n);
                mbr_element_to_f64(exponent, &y, n);
                EACH(x.f[k] = pow(x.f[k], y.f[k]));
                if (base != MBR_ELEMENT_FLOAT)
                    EACH(x.i[k] = mbr_element_to_i64(x.f[k], size < 8 ? 32 : 64));
            } else if (exponent == MBR_ELEMENT_SIGNED) {
                EACH(x.i[k] = power_signed(x.i[k], y.i[k]));
            } else {
                EACH(x.u[k] = power(x.u[k], y.u[k]));
            }
            void *dst = (char *)out + (w.offset[2] + (ptrdiff_t)c * w.step[2]) * (ptrdiff_t)size;
            mbr_element_store(base_dtype, dst, w.step[2], n, &x);
        }
}

void mbr_elementwise_where_ref(size_t size, int rank, const size_t *dims, const uint8_t *cond,
                               const ptrdiff_t *cond_strides, const void *a, const ptrdiff_t *a_strides, const void *b,
                               const ptrdiff_t *b_strides, void *out, const ptrdiff_t *out_strides)
{
    walk w;
    walk_init(&w, rank, dims, 4, (const ptrdiff_t *const[]){cond_strides, a_strides, b_strides, out_strides});
    for (size_t r = 0; r < w.rows; r++, walk_next(&w)) {
        const uint8_t *c = cond + w.offset[0];
        const char *x = at(a, w.offset[1], size), *y = at(b, w.offset[2], size);
        char *dst = (char *)out + w.offset[3] * (ptrdiff_t)size;
        ptrdiff_t sx = w.step[1] * (ptrdiff_t)size, sy = w.step[2] * (ptrdiff_t)size;
        ptrdiff_t so = w.step[3] * (ptrdiff_t)size;
#define WHERE(bytes)                                                                                                   \
    for (size_t k = 0; k < w.inner; k++, c += w.step[0], x += sx, y += sy, dst += so)                                  \
        memcpy(dst, *c ? x : y, bytes)
        switch (size) {
        case 1: WHERE(1); break;
        case 2: WHERE(2); break;
        case 4: WHERE(4); break;
        case 8: WHERE(8); break;
        default: WHERE(16); break;
        }
#undef WHERE
    }
}
