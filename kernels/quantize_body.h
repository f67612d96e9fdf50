/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The common cases of kernels/quantize.h as loops that a compiler turns into the vectors of its tier: f32 and bytes,
 * scales in f32. The others go to the reference. A file of a tier includes this and ends in MBR_QUANTIZE_ROW.
 */
#include "kernels/quantize.h"

/* v[i] = round(clamp(x[i] / scale)) + zero, as the reference has it, cut to a byte. */
#define QUANTIZE(type, lowest, highest)                                                                                \
    do {                                                                                                               \
        const type *z = zero;                                                                                          \
        type *to = y;                                                                                                  \
        if (step == 0) {                                                                                               \
            const float by = s[0], add = z ? (float)z[0] : 0.0f, below = (lowest)-add, above = (highest)-add;          \
            for (size_t i = 0; i < n; i++) {                                                                           \
                float v = from[i] / by;                                                                                \
                v = v > below ? v : below;                                                                             \
                v = v < above ? v : above;                                                                             \
                to[i] = (type)(int32_t)(((v + magic) - magic) + add);                                                  \
            }                                                                                                          \
        } else {                                                                                                       \
            for (size_t i = 0; i < n; i++) {                                                                           \
                const float add = z ? (float)z[i] : 0.0f, below = (lowest)-add, above = (highest)-add;                 \
                float v = from[i] / s[i];                                                                              \
                v = v > below ? v : below;                                                                             \
                v = v < above ? v : above;                                                                             \
                to[i] = (type)(int32_t)(((v + magic) - magic) + add);                                                  \
            }                                                                                                          \
        }                                                                                                              \
    } while (0)

static void quantize(const mbr_quantize_args *args, const void *x, const void *scale, const void *zero, size_t step,
                     void *y, size_t n)
{
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to whole numbers */
    const float *from = x, *s = scale;
    bool plain = args->x == MBR_DTYPE_F32 && args->scale == MBR_DTYPE_F32 && args->precision == MBR_DTYPE_F32;
    if (plain && args->y == MBR_DTYPE_U8)
        QUANTIZE(uint8_t, 0.0f, 255.0f);
    else if (plain && args->y == MBR_DTYPE_I8)
        QUANTIZE(int8_t, -128.0f, 127.0f);
    else
        mbr_quantize_ref.quantize(args, x, scale, zero, step, y, n);
}

#define DEQUANTIZE(type)                                                                                               \
    do {                                                                                                               \
        const type *from = x, *z = zero;                                                                               \
        if (step == 0) {                                                                                               \
            const float by = s[0], less = z ? (float)z[0] : 0.0f;                                                      \
            for (size_t i = 0; i < n; i++)                                                                             \
                to[i] = ((float)from[i] - less) * by;                                                                  \
        } else if (z) {                                                                                                \
            for (size_t i = 0; i < n; i++)                                                                             \
                to[i] = ((float)from[i] - (float)z[i]) * s[i];                                                         \
        } else {                                                                                                       \
            for (size_t i = 0; i < n; i++)                                                                             \
                to[i] = (float)from[i] * s[i];                                                                         \
        }                                                                                                              \
    } while (0)

static void dequantize(const mbr_quantize_args *args, const void *x, const void *scale, const void *zero, size_t step,
                       void *y, size_t n)
{
    const float *s = scale;
    float *to = y;
    bool plain = args->scale == MBR_DTYPE_F32 && args->y == MBR_DTYPE_F32;
    if (plain && args->x == MBR_DTYPE_U8)
        DEQUANTIZE(uint8_t);
    else if (plain && args->x == MBR_DTYPE_I8)
        DEQUANTIZE(int8_t);
    else
        mbr_quantize_ref.dequantize(args, x, scale, zero, step, y, n);
}

static void range(const float *x, size_t n, float *least, float *greatest)
{
    float low[32] = { 0 }, high[32] = { 0 };
    size_t i = 0;
    for (; i + 32 <= n; i += 32)
        for (size_t k = 0; k < 32; k++) {
            low[k] = x[i + k] < low[k] ? x[i + k] : low[k];
            high[k] = x[i + k] > high[k] ? x[i + k] : high[k];
        }
    for (; i < n; i++) {
        low[0] = x[i] < low[0] ? x[i] : low[0];
        high[0] = x[i] > high[0] ? x[i] : high[0];
    }
    *least = low[0];
    *greatest = high[0];
    for (size_t k = 1; k < 32; k++) {
        *least = low[k] < *least ? low[k] : *least;
        *greatest = high[k] > *greatest ? high[k] : *greatest;
    }
}

/* Bytes of one signedness, both operands dense. */
#define BINARY(type, lowest, highest, value)                                                                           \
    do {                                                                                                               \
        const type *u = (const type *)pa, *v = (const type *)pb;                                                       \
        type *to = (type *)py;                                                                                         \
        const float below = (lowest)-zy, above = (highest)-zy;                                                         \
        for (size_t i = 0; i < n; i++) {                                                                               \
            const float p = (float)u[i] - za, q = (float)v[i] - zb;                                                    \
            float r = value;                                                                                           \
            r = r > below ? r : below;                                                                                 \
            r = r < above ? r : above;                                                                                 \
            to[i] = (type)(int32_t)(((r + magic) - magic) + zy);                                                       \
        }                                                                                                              \
    } while (0)

static void binary(bool multiply, const mbr_qlinear *a, const uint8_t *pa, size_t a_step, const mbr_qlinear *b,
                   const uint8_t *pb, size_t b_step, const mbr_qlinear *y, uint8_t *py, size_t n)
{
    const float magic = 12582912.0f, sa = a->scale, sb = b->scale, sy = y->scale;
    const float za = (float)a->zero, zb = (float)b->zero, zy = (float)y->zero, ra = sa / sy, rb = sb / sy;
    if (!a_step || !b_step || a->is_signed != b->is_signed || a->is_signed != y->is_signed)
        mbr_qlinear_binary_ref(multiply, a, pa, a_step, b, pb, b_step, y, py, n);
    else if (a->is_signed && multiply)
        BINARY(int8_t, -128.0f, 127.0f, p *sa *(q * sb) / sy);
    else if (a->is_signed)
        BINARY(int8_t, -128.0f, 127.0f, p *ra + q * rb);
    else if (multiply)
        BINARY(uint8_t, 0.0f, 255.0f, p *sa *(q * sb) / sy);
    else
        BINARY(uint8_t, 0.0f, 255.0f, p *ra + q * rb);
}

#define MBR_PASTE(a, b) a##b
#define MBR_QUANTIZE_ROW(name, tier)                                                                                   \
    const mbr_quantize_kernel MBR_PASTE(mbr_, name) = { #name, tier, quantize, dequantize, range, binary }
