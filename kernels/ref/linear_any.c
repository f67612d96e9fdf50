/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/linear_any.h"

#include "kernels/real.h"
#include "kernels/ref/act_ref.h"

#define BLOCK 64

static bool is_integer(mbr_dtype t)
{
    return t == MBR_DTYPE_I8 || t == MBR_DTYPE_U8 || t == MBR_DTYPE_I16 || t == MBR_DTYPE_U16 || t == MBR_DTYPE_I32 ||
           t == MBR_DTYPE_U32 || t == MBR_DTYPE_I64 || t == MBR_DTYPE_U64;
}

bool mbr_matmul_any_has(mbr_dtype t)
{
    return is_integer(t) || t == MBR_DTYPE_F32 || t == MBR_DTYPE_F64 || t == MBR_DTYPE_F16 || t == MBR_DTYPE_BF16;
}

/* Integers as 64 bits, sign-extended; unsigned arithmetic on them wraps as every narrower type does. */
static uint64_t integer_get(mbr_dtype t, const void *p, size_t i)
{
    switch (t) {
    case MBR_DTYPE_I64: return (uint64_t)((const int64_t *)p)[i];
    case MBR_DTYPE_U64: return ((const uint64_t *)p)[i];
    case MBR_DTYPE_I32: return (uint64_t)(int64_t)((const int32_t *)p)[i];
    case MBR_DTYPE_U32: return ((const uint32_t *)p)[i];
    case MBR_DTYPE_I16: return (uint64_t)(int64_t)((const int16_t *)p)[i];
    case MBR_DTYPE_U16: return ((const uint16_t *)p)[i];
    case MBR_DTYPE_I8: return (uint64_t)(int64_t)((const int8_t *)p)[i];
    default: return ((const uint8_t *)p)[i];
    }
}

static void integer_set(mbr_dtype t, void *p, size_t i, uint64_t x)
{
    switch (mbr_dtype_size(t)) {
    case 8: ((uint64_t *)p)[i] = x; break;
    case 4: ((uint32_t *)p)[i] = (uint32_t)x; break;
    case 2: ((uint16_t *)p)[i] = (uint16_t)x; break;
    default: ((uint8_t *)p)[i] = (uint8_t)x; break;
    }
}

static void integer_row(const mbr_matmul_any_args *a, size_t i, size_t j0, size_t n)
{
    uint64_t acc[BLOCK] = { 0 };
    for (size_t k = 0; k < a->k; k++) {
        uint64_t x = integer_get(a->dtype, a->a, (size_t)((ptrdiff_t)i * a->a_row + (ptrdiff_t)k * a->a_col));
        ptrdiff_t b = (ptrdiff_t)k * a->b_row + (ptrdiff_t)j0 * a->b_col;
        for (size_t j = 0; j < n; j++, b += a->b_col)
            acc[j] += x * integer_get(a->dtype, a->b, (size_t)b);
    }
    for (size_t j = 0; j < n; j++) {
        uint64_t y = (uint64_t)(int64_t)a->alpha * acc[j];
        if (a->c)
            y += (uint64_t)(int64_t)a->beta *
                 integer_get(a->dtype, a->c, (size_t)((ptrdiff_t)i * a->c_row + (ptrdiff_t)(j0 + j) * a->c_col));
        integer_set(a->dtype, a->out, i * a->n + j0 + j, y);
    }
}

static void real_row(const mbr_matmul_any_args *a, size_t i, size_t j0, size_t n)
{
    double acc[BLOCK] = { 0 };
    for (size_t k = 0; k < a->k; k++) {
        double x = mbr_real_get(a->dtype, a->a, (size_t)((ptrdiff_t)i * a->a_row + (ptrdiff_t)k * a->a_col));
        ptrdiff_t b = (ptrdiff_t)k * a->b_row + (ptrdiff_t)j0 * a->b_col;
        if (a->dtype == MBR_DTYPE_F64 && a->b_col == 1) {
            const double *row = (const double *)a->b + b;
            for (size_t j = 0; j < n; j++)
                acc[j] += x * row[j];
        } else {
            for (size_t j = 0; j < n; j++, b += a->b_col)
                acc[j] += x * mbr_real_get(a->dtype, a->b, (size_t)b);
        }
    }
    for (size_t j = 0; j < n; j++) {
        double y = a->alpha * acc[j];
        if (a->c)
            y += a->beta *
                 mbr_real_get(a->dtype, a->c, (size_t)((ptrdiff_t)i * a->c_row + (ptrdiff_t)(j0 + j) * a->c_col));
        mbr_real_set(a->dtype, a->out, i * a->n + j0 + j, mbr_act_ref(y, a->act));
    }
}

void mbr_matmul_any(const mbr_matmul_any_args *a, size_t first, size_t last)
{
    bool integer = is_integer(a->dtype);
    for (size_t i = first; i < last; i++)
        for (size_t j = 0; j < a->n; j += BLOCK) {
            size_t n = a->n - j < BLOCK ? a->n - j : BLOCK;
            if (integer)
                integer_row(a, i, j, n);
            else
                real_row(a, i, j, n);
        }
}

/* The input position that tap t meets for output position q on one axis; false: none. */
static bool meets(const mbr_conv_any_args *a, int axis, size_t q, size_t t, size_t *at)
{
    ptrdiff_t reach = (ptrdiff_t)(t * a->dilation[axis]), p;
    if (a->transposed) {
        p = (ptrdiff_t)q + a->pad[axis] - reach;
        if (p < 0 || p % (ptrdiff_t)a->stride[axis])
            return false;
        p /= (ptrdiff_t)a->stride[axis];
    } else {
        p = (ptrdiff_t)(q * a->stride[axis]) + reach - a->pad[axis];
    }
    *at = (size_t)p;
    return p >= 0 && p < (ptrdiff_t)a->in_dims[axis];
}

static double conv_point(const mbr_conv_any_args *a, size_t n, size_t o, const size_t *q, size_t points, size_t taps)
{
    size_t in_each = a->in_channels / a->groups, out_each = a->out_channels / a->groups, group = o / out_each;
    double sum = a->bias ? mbr_real_get(a->dtype, a->bias, o) : 0;
    for (size_t tap = 0; tap < taps; tap++) {
        size_t rest = tap, at = 0, scale = 1;
        bool inside = true;
        for (int d = a->rank - 1; d >= 0 && inside; d--) {
            size_t p = 0;
            inside = meets(a, d, q[d], rest % a->kernel[d], &p);
            rest /= a->kernel[d];
            at += p * scale;
            scale *= a->in_dims[d];
        }
        if (!inside)
            continue;
        for (size_t i = 0; i < in_each; i++) {
            size_t c = group * in_each + i;
            size_t x = a->in_channels_last ? (n * points + at) * a->in_channels + c
                                           : (n * a->in_channels + c) * points + at;
            size_t w = a->transposed ? (c * out_each + o % out_each) * taps + tap : (o * in_each + i) * taps + tap;
            sum += mbr_real_get(a->dtype, a->in, x) * mbr_real_get(a->dtype, a->weight, w);
        }
    }
    return sum;
}

void mbr_conv_any(const mbr_conv_any_args *a, size_t first, size_t last)
{
    size_t points = mbr_dims_count(a->rank, a->in_dims), outs = mbr_dims_count(a->rank, a->out_dims);
    size_t taps = mbr_dims_count(a->rank, a->kernel);
    for (size_t tile = first; tile < last; tile++) {
        size_t n = tile / a->out_channels, o = tile % a->out_channels, q[MBR_KERNEL_RANK] = { 0 };
        for (size_t k = 0; k < outs; k++) {
            size_t y = a->out_channels_last ? (n * outs + k) * a->out_channels + o
                                            : (n * a->out_channels + o) * outs + k;
            mbr_real_set(a->dtype, a->out, y, conv_point(a, n, o, q, points, taps));
            for (int d = a->rank - 1; d >= 0 && ++q[d] == a->out_dims[d]; d--)
                q[d] = 0;
        }
    }
}
