/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/half.h"

#include <math.h>

typedef struct small_float {
    int mantissa, bias;      /* bits of the mantissa; exponent bias */
    uint16_t sign, max, inf; /* bit patterns; inf 0: the format has none */
    uint16_t nan;
    bool unsigned_zero; /* one zero, and NaN where the negative zero would be */
} small_float;

static const small_float formats[MBR_DTYPE_COUNT] = {
    [MBR_DTYPE_F16] = {10, 15, 0x8000, 0x7bff, 0x7c00, 0x7e00, false},
    [MBR_DTYPE_BF16] = {7, 127, 0x8000, 0x7f7f, 0x7f80, 0x7fc0, false},
    [MBR_DTYPE_F8E4M3FN] = {3, 7, 0x80, 0x7e, 0, 0x7f, false},
    [MBR_DTYPE_F8E4M3FNUZ] = {3, 8, 0x80, 0x7f, 0, 0x80, true},
    [MBR_DTYPE_F8E5M2] = {2, 15, 0x80, 0x7b, 0x7c, 0x7e, false},
    [MBR_DTYPE_F8E5M2FNUZ] = {2, 16, 0x80, 0x7f, 0, 0x80, true},
    [MBR_DTYPE_F4E2M1] = {1, 1, 0x8, 0x7, 0, 0, false},
};

bool mbr_is_small_float(mbr_dtype dtype)
{
    return (dtype > 0 && dtype < MBR_DTYPE_COUNT && formats[dtype].mantissa) || dtype == MBR_DTYPE_F8E8M0;
}

double mbr_small_float_to_f64(mbr_dtype dtype, uint16_t bits)
{
    if (dtype == MBR_DTYPE_F8E8M0)
        return (bits & 0xff) == 0xff ? (double)NAN : ldexp(1.0, (bits & 0xff) - 127);
    const small_float *f = &formats[dtype];
    if (f->unsigned_zero && (bits & 0xff) == f->nan)
        return (double)NAN;
    uint16_t size = bits & (uint16_t)(f->sign - 1);
    double sign = bits & f->sign ? -1.0 : 1.0;
    if (size > f->max)
        return f->inf == size && f->inf ? sign * (double)INFINITY : (double)NAN;
    int exponent = size >> f->mantissa;
    int fraction = size & ((1 << f->mantissa) - 1);
    if (exponent > 0)
        fraction |= 1 << f->mantissa;
    else
        exponent = 1;
    return sign * ldexp(fraction, exponent - f->bias - f->mantissa);
}

static uint16_t to_e8m0(double x, bool saturate)
{
    if (!(x > 0.0) || isinf(x))
        return x > 0.0 && saturate ? 0xfe : 0xff;
    int e;
    double m = frexp(x, &e); /* x = m 2^e, m in [1/2, 1): 2^(e-1) or, from three quarters on, 2^e */
    e += m >= 0.75 ? 127 : 126;
    if (e < 0)
        return 0;
    return e > 0xfe ? (saturate ? 0xfe : 0xff) : (uint16_t)e;
}

uint16_t mbr_small_float_from_f64(mbr_dtype dtype, double x, bool saturate)
{
    if (dtype == MBR_DTYPE_F8E8M0)
        return to_e8m0(x, saturate);
    const small_float *f = &formats[dtype];
    uint16_t sign = signbit(x) ? f->sign : 0;
    if (isnan(x))
        return dtype == MBR_DTYPE_F4E2M1 ? 0x8 : f->unsigned_zero ? f->nan : (uint16_t)(f->nan | sign);
    x = fabs(x);
    uint16_t size;
    if (isinf(x)) {
        size = (uint16_t)(f->max + 1);
    } else if (x == 0.0) {
        size = 0;
    } else {
        int exponent = ilogb(x);
        if (exponent < 1 - f->bias)
            exponent = 1 - f->bias;
        if (exponent > f->bias + 2) { /* beyond every format's range */
            size = (uint16_t)(f->max + 1);
        } else { /* the integer carries into the exponent when it rounds up to the next power of two */
            double units = rint(ldexp(x, f->mantissa - exponent));
            size = (uint16_t)(((exponent + f->bias - 1) << f->mantissa) + (int)units);
        }
    }
    if (size > f->max) {
        if (saturate || dtype == MBR_DTYPE_F4E2M1)
            size = f->max;
        else if (f->inf)
            size = f->inf;
        else
            return f->unsigned_zero ? f->nan : (uint16_t)(f->nan | sign);
    }
    if (size == 0 && f->unsigned_zero)
        return 0;
    return (uint16_t)(size | sign);
}
