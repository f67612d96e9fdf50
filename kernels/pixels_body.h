/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loops over pixels, stamped out for each instruction set as MBR_PIXELS_NAME. Written in vectors of the compiler's own
 * rather than in the vocabulary of kernels/simd/, which has few operations on bytes: eight lanes of 32 bits.
 */
#include "kernels/pixels.h"

#include <string.h>

#ifdef __GNUC__
#pragma GCC diagnostic ignored "-Wpsabi" /* vectors are passed between functions of this file only */
#endif

typedef uint8_t pixels_b __attribute__((vector_size(8)));
typedef int32_t pixels_i __attribute__((vector_size(32)));
typedef uint32_t pixels_u __attribute__((vector_size(32)));
typedef float pixels_f __attribute__((vector_size(32)));

extern const mbr_pixels MBR_PIXELS_NAME;

static inline pixels_u load_wide(const uint8_t *p)
{
    pixels_b b;
    memcpy(&b, p, sizeof b);
    return __builtin_convertvector(b, pixels_u);
}

static inline void store_fixed(uint8_t *p, pixels_u sum)
{
    pixels_i v = (pixels_i)sum >> MBR_PIXELS_BITS;
    v &= ~(v >> 31);
    pixels_i high = v > 255;
    v = (v & ~high) | (high & 255);
    pixels_b b = __builtin_convertvector(v, pixels_b);
    memcpy(p, &b, sizeof b);
}

/* VECTORS * 8 values of one output. */
#define PIXELS_FIXED(vectors)                                                                                          \
    static inline void fixed_##vectors(const uint8_t *p, size_t step, const int32_t *weights, int32_t taps,            \
                                       uint8_t *out)                                                                   \
    {                                                                                                                  \
        pixels_u sum[vectors];                                                                                         \
        for (int v = 0; v < vectors; v++)                                                                              \
            sum[v] = (pixels_u){ 0 } + (1u << (MBR_PIXELS_BITS - 1));                                                  \
        for (int32_t k = 0; k < taps; k++, p += step) {                                                                \
            uint32_t w = (uint32_t)weights[k];                                                                         \
            for (int v = 0; v < vectors; v++)                                                                          \
                sum[v] += load_wide(p + 8 * v) * w;                                                                    \
        }                                                                                                              \
        for (int v = 0; v < vectors; v++)                                                                              \
            store_fixed(out + 8 * v, sum[v]);                                                                          \
    }
PIXELS_FIXED(1)
PIXELS_FIXED(2)
PIXELS_FIXED(4)

static void fixed(const mbr_pixels_args *a)
{
    for (size_t o = 0; o < a->count; o++) {
        const uint8_t *p = a->src + (size_t)a->first[o] * a->step;
        const int32_t *weights = (const int32_t *)a->weights + o * a->stride;
        uint8_t *out = (uint8_t *)a->dst + o * a->dst_step;
        int32_t taps = a->taps[o];
        size_t i = 0, n = a->n;
        for (; i + 32 <= n; i += 32)
            fixed_4(p + i, a->step, weights, taps, out + i);
        if (i + 16 <= n) {
            fixed_2(p + i, a->step, weights, taps, out + i);
            i += 16;
        }
        if (i + 8 <= n) {
            fixed_1(p + i, a->step, weights, taps, out + i);
            i += 8;
        }
        for (; i < n; i++) {
            uint32_t sum = 1u << (MBR_PIXELS_BITS - 1);
            for (int32_t k = 0; k < taps; k++)
                sum += (uint32_t)weights[k] * p[(size_t)k * a->step + i];
            int32_t v = (int32_t)sum >> MBR_PIXELS_BITS;
            out[i] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
        }
    }
}

static void real(const mbr_pixels_args *a)
{
    for (size_t o = 0; o < a->count; o++) {
        const uint8_t *start = a->src + (size_t)a->first[o] * a->step;
        const float *weights = (const float *)a->weights + o * a->stride;
        float *out = (float *)a->dst + o * a->dst_step;
        int32_t taps = a->taps[o];
        size_t i = 0;
        for (; i + 16 <= a->n; i += 16) {
            pixels_f sum[2] = { { 0 }, { 0 } };
            const uint8_t *p = start + i;
            for (int32_t k = 0; k < taps; k++, p += a->step)
                for (int v = 0; v < 2; v++)
                    sum[v] += __builtin_convertvector((pixels_i)load_wide(p + 8 * v), pixels_f) * weights[k];
            memcpy(out + i, sum, sizeof sum);
        }
        for (; i < a->n; i++) {
            float sum = 0.0f;
            for (int32_t k = 0; k < taps; k++)
                sum += weights[k] * start[(size_t)k * a->step + i];
            out[i] = sum;
        }
    }
}

static inline void lerp_point(const uint8_t *p, size_t next, size_t channels, int w0, int w1, int16_t *out)
{
    for (size_t c = 0; c < channels; c++)
        out[c] = (int16_t)((p[c] * w0 + p[next + c] * w1) >> 4);
}

static void lerp_across(const mbr_pixels_lerp *a)
{
    const uint8_t *row = a->row;
    size_t n = a->count, x = 0;
    if (a->channels == 1) {
        for (; x < n; x++)
            lerp_point(row + a->at[x], a->next, 1, a->weights[2 * x], a->weights[2 * x + 1], a->out + x);
    } else if (a->channels == 3 || a->channels == 4) { /* four at a time; of three the next point overwrites the last */
        size_t safe = n;
        while (safe && (size_t)a->at[safe - 1] + a->next + 4 > a->row_bytes)
            safe--;
        for (; x < safe; x++)
            lerp_point(row + a->at[x], a->next, 4, a->weights[2 * x], a->weights[2 * x + 1], a->out + x * a->channels);
    }
    for (; x < n; x++)
        lerp_point(row + a->at[x], a->next, a->channels, a->weights[2 * x], a->weights[2 * x + 1],
                   a->out + x * a->channels);
}

static void lerp_down(const int16_t *a, const int16_t *b, int wa, int wb, uint8_t *out, size_t n)
{
    int16_t fa = (int16_t)wa, fb = (int16_t)wb;
    for (size_t i = 0; i < n; i++) {
        int16_t high = (int16_t)((int16_t)(a[i] * fa >> 16) + (int16_t)(b[i] * fb >> 16));
        out[i] = (uint8_t)((int16_t)(high + 2) >> 2);
    }
}

static void add(float *sum, const float *x, float weight, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sum[i] += weight * x[i];
}

const mbr_pixels MBR_PIXELS_NAME = { fixed, real, lerp_across, lerp_down, add };
