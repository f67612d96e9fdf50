/* SPDX-License-Identifier: BSD-2-Clause */
/* Do two values agree? Floats within |got - want| <= atol + rtol * |want|, everything else exactly. */
#include "tools/command.h"

#include <math.h>
#include <string.h>

static char why[256];

static double half_to_double(uint16_t h)
{
    int exponent = h >> 10 & 31, fraction = h & 1023;
    double v = exponent == 31 ? (fraction ? NAN : INFINITY)
               : exponent     ? ldexp(1024 + fraction, exponent - 25)
                              : ldexp(fraction, -24);
    return h & 0x8000 ? -v : v;
}

/* Element i as a double; complex numbers count two. */
static bool real_at(const mbr_value *v, size_t i, double *x)
{
    const void *data = mbr_tensor_const_data(v);
    uint32_t bits;
    float f;
    switch (mbr_tensor_dtype(v)) {
    case MBR_DTYPE_F32:
    case MBR_DTYPE_COMPLEX64:
        *x = ((const float *)data)[i];
        return true;
    case MBR_DTYPE_F64:
    case MBR_DTYPE_COMPLEX128:
        *x = ((const double *)data)[i];
        return true;
    case MBR_DTYPE_F16:
        *x = half_to_double(((const uint16_t *)data)[i]);
        return true;
    case MBR_DTYPE_BF16:
        bits = (uint32_t)((const uint16_t *)data)[i] << 16;
        memcpy(&f, &bits, sizeof f);
        *x = f;
        return true;
    default:
        return false;
    }
}

static bool close_enough(double g, double w, double rtol, double atol)
{
    if (isnan(w) || isinf(w) || isinf(g))
        return isnan(w) ? isnan(g) : g == w;
    return fabs(g - w) <= atol + rtol * fabs(w);
}

static const char *compare_tensors(const mbr_value *got, const mbr_value *want, double rtol, double atol)
{
    if (mbr_tensor_dtype(got) != mbr_tensor_dtype(want)) {
        snprintf(why, sizeof why, "type %s, %s is due", mbr_dtype_name(mbr_tensor_dtype(got)),
                 mbr_dtype_name(mbr_tensor_dtype(want)));
        return why;
    }
    int rank = mbr_tensor_rank(want);
    if (mbr_tensor_rank(got) != rank ||
        (rank && memcmp(mbr_tensor_dims(got), mbr_tensor_dims(want), (size_t)rank * sizeof(int64_t)) != 0))
        return "another shape";
    size_t n = mbr_tensor_count(want), off = 0, first = 0;
    double x, y;
    if (mbr_tensor_dtype(want) == MBR_DTYPE_STRING) {
        const mbr_string *s = mbr_tensor_const_data(got), *t = mbr_tensor_const_data(want);
        for (size_t i = 0; i < n; i++)
            if (s[i].size != t[i].size || (s[i].size && memcmp(s[i].data, t[i].data, s[i].size) != 0))
                return "strings differ";
        return NULL;
    }
    if (n == 0)
        return NULL;
    if (!real_at(want, 0, &x)) {
        if (memcmp(mbr_tensor_const_data(got), mbr_tensor_const_data(want), mbr_tensor_bytes(want)) != 0)
            return "values differ";
        return NULL;
    }
    if (mbr_tensor_dtype(want) == MBR_DTYPE_COMPLEX64 || mbr_tensor_dtype(want) == MBR_DTYPE_COMPLEX128)
        n *= 2;
    for (size_t i = 0; i < n; i++) {
        real_at(got, i, &x);
        real_at(want, i, &y);
        if (close_enough(x, y, rtol, atol))
            continue;
        if (off++ == 0)
            first = i;
    }
    if (!off)
        return NULL;
    real_at(got, first, &x);
    real_at(want, first, &y);
    snprintf(why, sizeof why, "%zu of %zu values off, the first at %zu: %.9g, %.9g is due", off, n, first, x, y);
    return why;
}

const char *compare_values(const mbr_value *got, const mbr_value *want, double rtol, double atol)
{
    if (mbr_value_kind(got) != mbr_value_kind(want))
        return "another kind of value";
    if (mbr_value_kind(want) == MBR_KIND_TENSOR)
        return compare_tensors(got, want, rtol, atol);
    if (mbr_value_item_count(got) != mbr_value_item_count(want))
        return "another number of items";
    for (size_t i = 0; i < mbr_value_item_count(want); i++) {
        const char *reason = compare_values(mbr_value_item(got, i), mbr_value_item(want, i), rtol, atol);
        if (reason)
            return reason;
    }
    return NULL;
}
