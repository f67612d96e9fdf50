/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pieces of elementwise kernels: OP_NAME(operands, immediates) for every operator of kernels/chain.h, and those of
 * ONNX that no chain has. engine/opencl/lower_elementwise.c writes the kernel around them. -DC=type says what is computed
 * with where it is not float, with -DU=type, its unsigned twin, and -DSIGNED or -DUNSIGNED for integers.
 */
#pragma OPENCL FP_CONTRACT OFF

#ifndef C
#define C float
#endif
#ifdef DOUBLE
#define K(x) x
#else
#define K(x) x##f
#endif

#define OP_MOV(a) (a)
#define OP_MIN(a, b) less(a, b)
#define OP_MAX(a, b) more(a, b)
#define OP_MINI(a, x) less(a, x)
#define OP_MAXI(a, x) more(a, x)
#define OP_CLIP(a, x, y) less(more(a, x), y)
#define OP_WHERE(a, b, c) ((a) != 0 ? (b) : (c))
#define OP_EQ(a, b) ((a) == (b))
#define OP_NE(a, b) ((a) != (b))
#define OP_LT(a, b) ((a) < (b))
#define OP_LE(a, b) ((a) <= (b))
#define OP_GT(a, b) ((a) > (b))
#define OP_GE(a, b) ((a) >= (b))
#define OP_AND(a, b) ((a) != 0 && (b) != 0)
#define OP_OR(a, b) ((a) != 0 || (b) != 0)
#define OP_XOR(a, b) (((a) != 0) != ((b) != 0))
#define OP_NOT(a) ((a) == 0)
#define OP_RELU(a) ((a) < 0 ? 0 : (a))
#define OP_MOD(a, b) modulo(a, b)
#define OP_POW(a, b) power(a, b)

#if defined(SIGNED) || defined(UNSIGNED)

#define less(a, b) min(a, b)
#define more(a, b) max(a, b)
#define OP_ADD(a, b) ((C)((U)(a) + (U)(b)))
#define OP_SUB(a, b) ((C)((U)(a) - (U)(b)))
#define OP_MUL(a, b) ((C)((U)(a) * (U)(b)))
#define OP_NEG(a) ((C)(0 - (U)(a)))
#define OP_BitwiseAnd(a, b) ((a) & (b))
#define OP_BitwiseOr(a, b) ((a) | (b))
#define OP_BitwiseXor(a, b) ((a) ^ (b))
#define OP_BitwiseNot(a) (~(a))
#ifdef SIGNED
#define OP_DIV(a, b) ((b) == 0 ? 0 : (b) == -1 ? OP_NEG(a) : (a) / (b))
#define OP_FMOD(a, b) ((b) == 0 || (b) == -1 ? 0 : (a) % (b))
#define OP_ABS(a) ((a) < 0 ? OP_NEG(a) : (a))
#define OP_SIGN(a) (((a) > 0) - ((a) < 0))
#define OP_PRELU(a, b) ((a) < 0 ? OP_MUL(a, b) : (a))
#define SHL(a, b, bits) ((b) < 0 || (b) >= bits ? 0 : (C)((U)(a) << (b)))
#define SHR(a, b, bits) ((b) < 0 || (b) >= bits ? ((a) < 0 ? -1 : 0) : (a) >> (b))
#else
#define OP_DIV(a, b) ((b) == 0 ? 0 : (a) / (b))
#define OP_FMOD(a, b) ((b) == 0 ? 0 : (a) % (b))
#define OP_ABS(a) (a)
#define OP_SIGN(a) ((a) != 0)
#define OP_PRELU(a, b) (a)
#define SHL(a, b, bits) ((b) >= bits ? 0 : (a) << (b))
#define SHR(a, b, bits) ((b) >= bits ? 0 : (a) >> (b))
#endif

static C modulo(C a, C b)
{
    C r = OP_FMOD(a, b);
#ifdef SIGNED
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
#else
    return r;
#endif
}

static C power(C a, C b)
{
#ifdef SIGNED
    if (b < 0)
        return a == 1 ? 1 : a == -1 ? ((b & 1) == 0 ? 1 : -1) : 0;
#endif
    U r = 1, base = (U)a;
    for (U e = (U)b; e; e >>= 1, base *= base)
        if (e & 1)
            r *= base;
    return (C)r;
}

#else

/* NaN wins */
static C less(C a, C b)
{
    return a < b || isnan(a) ? a : b;
}
static C more(C a, C b)
{
    return a > b || isnan(a) ? a : b;
}
static C modulo(C a, C b)
{
    C r = fmod(a, b);
    return r == 0 ? copysign((C)0, b) : (r < 0) != (b < 0) ? r + b : r;
}
static C softplus(C a)
{
    return a > 0 ? a + log1p(exp(-a)) : log1p(exp(a));
}

#define power(a, b) pow(a, b)
#define sigmoid(a) (1 / (1 + exp(-(a))))
#define OP_ADD(a, b) ((a) + (b))
#define OP_SUB(a, b) ((a) - (b))
#define OP_MUL(a, b) ((a) * (b))
#define OP_DIV(a, b) ((a) / (b))
#define OP_FMOD(a, b) fmod(a, b)
#define OP_FMA(a, b, c) fma(a, b, c)
#define OP_PRELU(a, b) ((a) < 0 ? (a) * (b) : (a))
#define OP_ADDI(a, x) ((a) + (x))
#define OP_SUBI(a, x) ((a) - (x))
#define OP_RSUBI(a, x) ((x) - (a))
#define OP_MULI(a, x) ((a) * (x))
#define OP_DIVI(a, x) ((a) / (x))
#define OP_RDIVI(a, x) ((x) / (a))
#define OP_POWI(a, x) pow(a, x)
#define OP_RPOWI(a, x) pow(x, a)
#define OP_CUBE(a) ((a) * (a) * (a))
#define OP_FMAI(a, x, y) fma(a, x, y)
#define OP_MULADD(a, x, y) ((a) * (x) + (y))
#define OP_NEG(a) (-(a))
#define OP_ABS(a) fabs(a)
#define OP_SQUARE(a) ((a) * (a))
#define OP_SQRT(a) sqrt(a)
#define OP_RSQRT(a) (1 / sqrt(a))
#define OP_RECIPROCAL(a) (1 / (a))
#define OP_FLOOR(a) floor(a)
#define OP_CEIL(a) ceil(a)
#define OP_ROUND(a) rint(a)
#define OP_TRUNC(a) trunc(a)
#define OP_SIGN(a) ((a) > 0 ? (C)1 : (a) < 0 ? (C)-1 : (a) == 0 ? (C)0 : (a))
#define OP_EXP(a) exp(a)
#define OP_LOG(a) log(a)
#define OP_SIN(a) sin(a)
#define OP_COS(a) cos(a)
#define OP_TANH(a) tanh(a)
#define OP_ERF(a) erf(a)
#define OP_SIGMOID(a) sigmoid(a)
#define OP_LEAKY_RELU(a, x) ((a) < 0 ? (a) * (x) : (a))
#define OP_THRESHOLDED_RELU(a, x) ((a) > (x) ? (a) : 0)
#define OP_ELU(a, x) ((a) < 0 ? (x) * expm1(a) : (a))
#define OP_SELU(a, x, y) ((y) * OP_ELU(a, x))
#define OP_CELU(a, x) (isnan(a) ? (a) : fmax(a, (C)0) + fmin((C)0, (x) * expm1((a) / (x))))
#define OP_SOFTPLUS(a) softplus(a)
#define OP_SOFTSIGN(a) ((a) / (1 + fabs(a)))
#define OP_HARD_SIGMOID(a, x, y) OP_CLIP((x) * (a) + (y), 0, 1)
#define OP_HARD_SWISH(a) ((a) * OP_CLIP((a) / 6 + K(0.5), 0, 1))
#define OP_MISH(a) ((a) * tanh(softplus(a)))
#define OP_SWISH(a, x) ((a) * sigmoid((x) * (a)))
#ifdef DOUBLE
#define OP_GELU(a) (0.5 * (a) * erfc(-(a) * 0.70710678118654752440))
#else
static float gelu(float a)
{
    float z = fabs(a) * 0.70710678f, t = 1 / (1 + 0.5f * z), r = t * exp(ERFC_EXPONENT(t) - z * z);
    return 0.5f * a * (a < 0 ? r : 2 - r);
}
#define OP_GELU(a) gelu(a)
#endif
#define OP_GELU_TANH(a) ((a) * sigmoid(K(1.59576912160573071176) * ((a) + K(0.044715) * (a) * (a) * (a))))
#define OP_SHRINK(a, x, y) ((a) < -(x) ? (a) + (y) : (a) > (x) ? (a) - (y) : 0)
#define OP_ISNAN(a) isnan(a)
#define OP_IsInf(a, x, y) (isinf(a) && ((a) < 0 ? (x) : (y)) != 0)
#define OP_Acos(a) acos(a)
#define OP_Acosh(a) acosh(a)
#define OP_Asin(a) asin(a)
#define OP_Asinh(a) asinh(a)
#define OP_Atan(a) atan(a)
#define OP_Atanh(a) atanh(a)
#define OP_Cosh(a) cosh(a)
#define OP_Sinh(a) sinh(a)
#define OP_Tan(a) tan(a)

#endif

/*
 * Narrow types, a byte each, for casts: base/half.c has their rules. A format: bits of the mantissa, bias, sign, largest,
 * infinity (0: none), NaN, one zero.
 */
static float from_small(uint bits, int mantissa, int bias, uint sign, uint most, uint inf, uint nan, int one_zero)
{
    uint size = bits & (sign - 1), fraction = size & ((1u << mantissa) - 1);
    int exponent = size >> mantissa;
    if (one_zero && bits == nan)
        return NAN;
    float v = size > most ? (inf && size == inf ? INFINITY : NAN)
                          : ldexp((float)(exponent > 0 ? fraction | 1u << mantissa : fraction),
                                  max(exponent, 1) - bias - mantissa);
    return bits & sign ? -v : v;
}

static uchar to_small(float x, int saturate, int mantissa, int bias, uint sign, uint most, uint inf, uint nan,
                      int one_zero)
{
    uint minus = signbit(x) ? sign : 0, size = 0;
    if (isnan(x))
        return nan == 0 ? 8 : one_zero ? nan : nan | minus;
    x = fabs(x);
    if (isinf(x)) {
        size = most + 1;
    } else if (x != 0) {
        int exponent = max(ilogb(x), 1 - bias);
        size = exponent > bias + 2 ? most + 1
                                   : ((exponent + bias - 1) << mantissa) + (int)rint(ldexp(x, mantissa - exponent));
    }
    if (size > most) {
        if (!saturate && nan && !inf)
            return one_zero ? nan : nan | minus;
        size = saturate || nan == 0 ? most : inf;
    }
    return size == 0 && one_zero ? 0 : size | minus;
}

#ifndef SATURATE
#define SATURATE 1
#endif
#define MEM_f8e4m3fn uchar
#define MEM_f8e4m3fnuz uchar
#define MEM_f8e5m2 uchar
#define MEM_f8e5m2fnuz uchar
#define MEM_f4e2m1 uchar
#define MEM_i4 char
#define MEM_u4 uchar
#define MEM_i2 char
#define MEM_u2 uchar
#define LOAD_f8e4m3fn(p, i) from_small((p)[i], 3, 7, 128, 0x7e, 0, 0x7f, 0)
#define LOAD_f8e4m3fnuz(p, i) from_small((p)[i], 3, 8, 128, 0x7f, 0, 0x80, 1)
#define LOAD_f8e5m2(p, i) from_small((p)[i], 2, 15, 128, 0x7b, 0x7c, 0x7e, 0)
#define LOAD_f8e5m2fnuz(p, i) from_small((p)[i], 2, 16, 128, 0x7f, 0, 0x80, 1)
#define LOAD_f4e2m1(p, i) from_small((p)[i], 1, 1, 8, 7, 0, 0, 0)
#define LOAD_i4 LOAD_i8
#define LOAD_u4 LOAD_u8
#define LOAD_i2 LOAD_i8
#define LOAD_u2 LOAD_u8
#define SAVE_f8e4m3fn(p, i, v) (p)[i] = to_small(v, SATURATE, 3, 7, 128, 0x7e, 0, 0x7f, 0)
#define SAVE_f8e4m3fnuz(p, i, v) (p)[i] = to_small(v, SATURATE, 3, 8, 128, 0x7f, 0, 0x80, 1)
#define SAVE_f8e5m2(p, i, v) (p)[i] = to_small(v, SATURATE, 2, 15, 128, 0x7b, 0x7c, 0x7e, 0)
#define SAVE_f8e5m2fnuz(p, i, v) (p)[i] = to_small(v, SATURATE, 2, 16, 128, 0x7f, 0, 0x80, 1)
#define SAVE_f4e2m1(p, i, v) (p)[i] = to_small(v, 1, 1, 1, 8, 7, 0, 0, 0)
#define SAVE_i4(p, i, v) (p)[i] = (((v) & 15) ^ 8) - 8
#define SAVE_u4(p, i, v) (p)[i] = (v) & 15
#define SAVE_i2(p, i, v) (p)[i] = (((v) & 3) ^ 2) - 2
#define SAVE_u2(p, i, v) (p)[i] = (v) & 3

/* Float to integers as kernels/convert.h has it: what does not fit 64 bits, or 32 for narrow types, is the least. */
#define TO_i64(a) ((a) >= -9223372036854775808.0f && (a) < 9223372036854775808.0f ? (long)(a) : LONG_MIN)
#define TO_u64(a) ((a) >= 9223372036854775808.0f && (a) < 18446744073709551616.0f ? (ulong)(a) : (ulong)TO_i64(a))
#define TO_u32(a) TO_i64(a)
#define TO_i32(a) ((a) > K(-2147483649.0) && (a) < K(2147483648.0) ? (int)(a) : INT_MIN)
/* Where a chain ends in a narrow integer: rounded, saturated, NaN is 0. */
#define ROUND_i8(a) convert_char_sat_rte(a)
#define ROUND_u8(a) convert_uchar_sat_rte(a)
#define ROUND_i32(a) convert_int_sat_rte(a)
