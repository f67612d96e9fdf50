/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * OpenCV's INTER_CUBIC of 8 bits: four neighbours with weights of 11 bits, across in whole numbers, then down: in f32
 * where its vector loops of eight values reach, and in whole numbers in what is left of a row.
 */
#include "runtime/image/image_impl.h"

#include <math.h>
#include <string.h>

#define TAPS 4
#define ONE 2048
#define VECTOR 8

/* Keys' weights, A = -3/4, in f32 and in this order of operations. Returns the second of the four points. */
static int place(int o, int from, int to, int16_t weights[TAPS])
{
    const float a = -0.75f;
    double shrinks = 1.0 / ((double)to / from);
    float x = (float)((o + 0.5) * shrinks - 0.5), w[TAPS];
    int at = (int)floorf(x);
    x -= (float)at;
    w[0] = ((a * (x + 1.0f) - 5.0f * a) * (x + 1.0f) + 8.0f * a) * (x + 1.0f) - 4.0f * a;
    w[1] = ((a + 2.0f) * x - (a + 3.0f)) * x * x + 1.0f;
    w[2] = ((a + 2.0f) * (1.0f - x) - (a + 3.0f)) * (1.0f - x) * (1.0f - x) + 1.0f;
    w[3] = 1.0f - w[0] - w[1] - w[2];
    for (int k = 0; k < TAPS; k++)
        weights[k] = (int16_t)lrintf(w[k] * (float)ONE);
    return at;
}

static int clamp(int i, int last)
{
    return i < 0 ? 0 : i > last ? last : i;
}

static void across(const uint8_t *row, size_t channels, size_t n, const int32_t *at, const int16_t *weights,
                   int32_t *restrict out)
{
    for (size_t x = 0; x < n; x++, at += TAPS, weights += TAPS)
        for (size_t c = 0; c < channels; c++)
            *out++ = row[(size_t)at[0] + c] * weights[0] + row[(size_t)at[1] + c] * weights[1] +
                     row[(size_t)at[2] + c] * weights[2] + row[(size_t)at[3] + c] * weights[3];
}

static void down(const int32_t *const rows[TAPS], const int16_t weights[TAPS], size_t n, uint8_t *restrict out)
{
    const int32_t *a = rows[0], *b = rows[1], *c = rows[2], *d = rows[3];
    const float scale = 1.0f / ((float)ONE * (float)ONE);
    float w[TAPS];
    size_t i = 0;
    for (int k = 0; k < TAPS; k++)
        w[k] = (float)weights[k] * scale;
    for (; i < n / VECTOR * VECTOR; i++) {
        float x = (float)a[i] * w[0] + ((float)b[i] * w[1] + ((float)c[i] * w[2] + (float)d[i] * w[3]));
        /* Adding and taking off 1.5 * 2^23 rounds half to even, whatever a compiler has for that. */
        x = (x + 12582912.0f) - 12582912.0f;
        x = x < 0.0f ? 0.0f : x > 255.0f ? 255.0f : x;
        out[i] = (uint8_t)(int)x;
    }
    for (; i < n; i++) {
        int64_t v = ((int64_t)a[i] * weights[0] + (int64_t)b[i] * weights[1] + (int64_t)c[i] * weights[2] +
                     (int64_t)d[i] * weights[3] + (1 << 21)) >> 22;
        out[i] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
    }
}

mbr_status mbr_resize_opencv_cubic(const mbr_image *image, const mbr_resize_options *options, mbr_image *out,
                                   mbr_error *err)
{
    (void)options;
    size_t n = (size_t)out->width, values = n * out->point;
    size_t bytes = TAPS * (n * (sizeof(int32_t) + sizeof(int16_t)) + values * sizeof(int32_t));
    int32_t *at = mbr_alloc(image->memory, bytes), *lines[TAPS];
    if (!at)
        return mbr_no_memory(err, bytes);
    for (size_t k = 0; k < TAPS; k++)
        lines[k] = at + TAPS * n + k * values;
    int16_t *weights = (int16_t *)(lines[TAPS - 1] + values);
    int held[TAPS] = { -1, -1, -1, -1 }, last = image->height - 1;
    for (int x = 0; x < out->width; x++) {
        int i = place(x, image->width, out->width, weights + TAPS * (size_t)x);
        for (int k = 0; k < TAPS; k++)
            at[TAPS * x + k] = (int32_t)((size_t)clamp(i - 1 + k, image->width - 1) * image->point);
    }
    for (int y = 0; y < out->height; y++) {
        int16_t w[TAPS];
        const int32_t *rows[TAPS];
        int i = place(y, image->height, out->height, w);
        for (int k = 0; k < TAPS; k++) {
            int from = clamp(i - 1 + k, last);
            rows[k] = lines[from % TAPS];
            if (held[from % TAPS] == from)
                continue;
            held[from % TAPS] = from;
            across(mbr_image_row(image, from), image->point, n, at, weights, lines[from % TAPS]);
        }
        down(rows, w, values, mbr_image_row(out, y));
    }
    mbr_free(image->memory, at);
    return MBR_OK;
}
