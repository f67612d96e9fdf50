/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/convert.h"

#include "base/half.h"
#include "kernels/ref/element.h"

#include <math.h>

bool mbr_convert_has(mbr_dtype from, mbr_dtype to)
{
    return mbr_element_class_of(from) != MBR_ELEMENT_NONE && mbr_element_class_of(to) != MBR_ELEMENT_NONE;
}

/* ONNX defines this one on the bits of the f32. */
static uint8_t f32_to_e8m0(float x, bool saturate, mbr_round_mode round)
{
    uint32_t bits = mbr_f32_bits(x);
    unsigned exponent = bits >> 23 & 0xff, fraction = bits & 0x7fffffu;
    if (exponent == 0xff)
        return 0xff;
    bool up = false;
    if (round == MBR_ROUND_UP)
        up = fraction != 0;
    else if (round == MBR_ROUND_NEAREST)
        up = fraction > 0x400000u || (fraction == 0x400000u && exponent > 0);
    if (up && !(saturate && exponent == 0xfe))
        exponent++;
    return (uint8_t)exponent;
}

/* Rounds to f64 in such a way that a second rounding, to a narrower type, gives what one rounding would (odd when inexact). */
static double u64_to_f64_sticky(uint64_t u)
{
    if (u >> 53)
        u = (u & ~(uint64_t)0x7ff) | ((u & 0x7ff) != 0 ? 0x800 : 0);
    return (double)u;
}

static double i64_to_f64_sticky(int64_t i)
{
    return i < 0 ? -u64_to_f64_sticky(0 - (uint64_t)i) : u64_to_f64_sticky((uint64_t)i);
}

static void to_floats(mbr_element_class from, mbr_dtype to, mbr_element_block *b, size_t n)
{
    bool exact = to == MBR_DTYPE_F64;
    if (from == MBR_ELEMENT_SIGNED)
        for (size_t k = 0; k < n; k++)
            b->f[k] = exact ? (double)b->i[k] : i64_to_f64_sticky(b->i[k]);
    else if (from == MBR_ELEMENT_UNSIGNED)
        for (size_t k = 0; k < n; k++)
            b->f[k] = exact ? (double)b->u[k] : u64_to_f64_sticky(b->u[k]);
}

static void floats_to_integers(mbr_dtype to, mbr_element_block *b, size_t n)
{
    if (to == MBR_DTYPE_BOOL) {
        for (size_t k = 0; k < n; k++)
            b->u[k] = b->f[k] != 0.0;
    } else if (to == MBR_DTYPE_U64) { /* the upper half fits, too */
        for (size_t k = 0; k < n; k++)
            b->u[k] = b->f[k] >= 0x1p63 && b->f[k] < 0x1p64 ? (uint64_t)b->f[k]
                                                            : (uint64_t)mbr_element_to_i64(b->f[k], 64);
    } else {
        int bits = to == MBR_DTYPE_I64 || to == MBR_DTYPE_U32 ? 64 : 32;
        for (size_t k = 0; k < n; k++)
            b->i[k] = mbr_element_to_i64(b->f[k], bits);
    }
}

void mbr_convert_ref(const mbr_convert_args *args, const void *in, void *out, size_t n)
{
    mbr_element_class from = mbr_element_class_of(args->from), to = mbr_element_class_of(args->to);
    size_t in_size = mbr_dtype_size(args->from), out_size = mbr_dtype_size(args->to);
    mbr_element_block block;
    for (size_t k = 0; k < n; k += MBR_ELEMENT_BLOCK) {
        size_t count = n - k < MBR_ELEMENT_BLOCK ? n - k : MBR_ELEMENT_BLOCK;
        mbr_element_load(args->from, (const char *)in + k * in_size, 1, count, &block);
        char *dst = (char *)out + k * out_size;
        if (to == MBR_ELEMENT_FLOAT) {
            to_floats(from, args->to, &block, count);
            if (args->to == MBR_DTYPE_F8E8M0) {
                for (size_t j = 0; j < count; j++)
                    dst[j] = (char)f32_to_e8m0((float)block.f[j], args->saturate, args->round);
                continue;
            }
            if (out_size == 1) {
                for (size_t j = 0; j < count; j++)
                    dst[j] = (char)mbr_small_float_from_f64(args->to, block.f[j], args->saturate);
                continue;
            }
        } else if (from == MBR_ELEMENT_FLOAT) {
            floats_to_integers(args->to, &block, count);
        }
        mbr_element_store(args->to, dst, 1, count, &block);
    }
}
