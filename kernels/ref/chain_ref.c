/* SPDX-License-Identifier: BSD-2-Clause */
/* Every operator in f64, rounded to f32 once. */
#include "kernels/chain.h"

#include "kernels/ref/scalar.h"

#include <math.h>

static double exec_one(const mbr_chain_insn *insn, double a, double b, double c)
{
    double x = (double)insn->x, y = (double)insn->y;
    switch ((mbr_chain_op)insn->op) {
    case MBR_CHAIN_MOV: return a;
    case MBR_CHAIN_ADD: return a + b;
    case MBR_CHAIN_SUB: return a - b;
    case MBR_CHAIN_MUL: return a * b;
    case MBR_CHAIN_DIV: return a / b;
    case MBR_CHAIN_MIN: return mbr_scalar_min(a, b);
    case MBR_CHAIN_MAX: return mbr_scalar_max(a, b);
    case MBR_CHAIN_POW: return pow(a, b);
    case MBR_CHAIN_FMA: return a * b + c;
    case MBR_CHAIN_PRELU: return a < 0.0 ? a * b : a;
    case MBR_CHAIN_WHERE: return a != 0.0 ? b : c;
    case MBR_CHAIN_ADDI: return a + x;
    case MBR_CHAIN_SUBI: return a - x;
    case MBR_CHAIN_RSUBI: return x - a;
    case MBR_CHAIN_MULI: return a * x;
    case MBR_CHAIN_DIVI: return a / x;
    case MBR_CHAIN_RDIVI: return x / a;
    case MBR_CHAIN_MINI: return mbr_scalar_min(a, x);
    case MBR_CHAIN_MAXI: return mbr_scalar_max(a, x);
    case MBR_CHAIN_POWI: return pow(a, x);
    case MBR_CHAIN_RPOWI: return pow(x, a);
    case MBR_CHAIN_FMAI: return a * x + y;
    case MBR_CHAIN_MULADD: return (double)(float)(a * x) + y;
    case MBR_CHAIN_CLIP: return mbr_scalar_clip(a, x, y);
    case MBR_CHAIN_NEG: return -a;
    case MBR_CHAIN_ABS: return fabs(a);
    case MBR_CHAIN_SQUARE: return a * a;
    case MBR_CHAIN_SQRT: return sqrt(a);
    case MBR_CHAIN_RSQRT: return 1.0 / (double)(float)sqrt(a);
    case MBR_CHAIN_RECIPROCAL: return 1.0 / a;
    case MBR_CHAIN_FLOOR: return floor(a);
    case MBR_CHAIN_CEIL: return ceil(a);
    case MBR_CHAIN_ROUND: return rint(a);
    case MBR_CHAIN_TRUNC: return trunc(a);
    case MBR_CHAIN_SIGN: return mbr_scalar_sign(a);
    case MBR_CHAIN_EXP: return exp(a);
    case MBR_CHAIN_LOG: return log(a);
    case MBR_CHAIN_SIN: return sin(a);
    case MBR_CHAIN_COS: return cos(a);
    case MBR_CHAIN_TANH: return tanh(a);
    case MBR_CHAIN_ERF: return erf(a);
    case MBR_CHAIN_SIGMOID: return mbr_scalar_sigmoid(a);
    case MBR_CHAIN_RELU: return a < 0.0 ? 0.0 : a;
    case MBR_CHAIN_LEAKY_RELU: return a < 0.0 ? a * x : a;
    case MBR_CHAIN_THRESHOLDED_RELU: return a > x ? a : 0.0;
    case MBR_CHAIN_ELU: return a < 0.0 ? x * expm1(a) : a;
    case MBR_CHAIN_SELU: return y * (a < 0.0 ? x * expm1(a) : a);
    case MBR_CHAIN_CELU: return mbr_scalar_celu(a, x);
    case MBR_CHAIN_SOFTPLUS: return mbr_scalar_softplus(a);
    case MBR_CHAIN_SOFTSIGN: return a / (1.0 + fabs(a));
    case MBR_CHAIN_HARD_SIGMOID: return mbr_scalar_hard_sigmoid(a, x, y);
    case MBR_CHAIN_HARD_SWISH: return a * mbr_scalar_hard_sigmoid(a, 1.0 / 6.0, 0.5);
    case MBR_CHAIN_MISH: return mbr_scalar_mish(a);
    case MBR_CHAIN_SWISH: return mbr_scalar_swish(a, x);
    case MBR_CHAIN_GELU: return mbr_scalar_gelu(a);
    case MBR_CHAIN_GELU_TANH: return mbr_scalar_gelu_tanh(a);
    case MBR_CHAIN_SHRINK: return mbr_scalar_shrink(a, x, y);
    case MBR_CHAIN_EQ: return a == b;
    case MBR_CHAIN_NE: return a != b;
    case MBR_CHAIN_LT: return a < b;
    case MBR_CHAIN_LE: return a <= b;
    case MBR_CHAIN_GT: return a > b;
    case MBR_CHAIN_GE: return a >= b;
    case MBR_CHAIN_AND: return a != 0.0 && b != 0.0;
    case MBR_CHAIN_OR: return a != 0.0 || b != 0.0;
    case MBR_CHAIN_XOR: return (a != 0.0) != (b != 0.0);
    case MBR_CHAIN_NOT: return a == 0.0;
    case MBR_CHAIN_ISNAN: return isnan(a) ? 1.0 : 0.0;
    case MBR_CHAIN_FMOD: return fmod(a, b);
    case MBR_CHAIN_OP_COUNT: break;
    }
    return 0.0;
}

static void chain_exec_ref(const mbr_chain_insn *insn, float *dst, const float *a, const float *b, const float *c,
                           size_t n)
{
    int operands = mbr_chain_op_operands(insn->op);
    for (size_t i = 0; i < n; i++)
        dst[i] = (float)exec_one(insn, (double)a[i], operands > 1 ? (double)b[i] : 0.0,
                                 operands > 2 ? (double)c[i] : 0.0);
}

static void chain_load_ref(mbr_dtype t, float *dst, const void *src, size_t n);
static void chain_store_ref(mbr_dtype t, void *dst, const float *src, size_t n);

#define MBR_CHAIN_EXEC chain_exec_ref
#define MBR_CHAIN_LOAD chain_load_ref
#define MBR_CHAIN_STORE chain_store_ref
#include "kernels/chain_walk.h"

static void chain_load_ref(mbr_dtype t, float *dst, const void *src, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = chain_load_one(t, (const char *)src + i * chain_type_size(t));
}

static void chain_store_ref(mbr_dtype t, void *dst, const float *src, size_t n)
{
    for (size_t i = 0; i < n; i++)
        chain_store_one(t, (char *)dst + i * chain_type_size(t), src[i]);
}

void mbr_chain_ref(const mbr_chain *chain, const mbr_chain_space *space, const void *const *in, void *const *out,
                   size_t first, size_t last)
{
    chain_run(chain, space, in, out, first, last);
}
