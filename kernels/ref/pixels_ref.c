/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/pixels.h"

extern const mbr_pixels mbr_pixels_ref;

static void fixed(const mbr_pixels_args *a)
{
    const int32_t *weights = a->weights;
    uint8_t *dst = a->dst;
    for (size_t o = 0; o < a->count; o++)
        for (size_t i = 0; i < a->n; i++) {
            uint32_t sum = 1u << (MBR_PIXELS_BITS - 1);
            for (int32_t k = 0; k < a->taps[o]; k++)
                sum += (uint32_t)weights[o * a->stride + (size_t)k] * a->src[(size_t)(a->first[o] + k) * a->step + i];
            int32_t v = (int32_t)sum >> MBR_PIXELS_BITS;
            dst[o * a->dst_step + i] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
        }
}

static void real(const mbr_pixels_args *a)
{
    const float *weights = a->weights;
    float *dst = a->dst;
    for (size_t o = 0; o < a->count; o++)
        for (size_t i = 0; i < a->n; i++) {
            float sum = 0.0f;
            for (int32_t k = 0; k < a->taps[o]; k++)
                sum += weights[o * a->stride + (size_t)k] * a->src[(size_t)(a->first[o] + k) * a->step + i];
            dst[o * a->dst_step + i] = sum;
        }
}

static void lerp_across(const mbr_pixels_lerp *a)
{
    for (size_t x = 0; x < a->count; x++)
        for (size_t c = 0; c < a->channels; c++) {
            const uint8_t *p = a->row + a->at[x] + c;
            a->out[x * a->channels + c] = (int16_t)((p[0] * a->weights[2 * x] + p[a->next] * a->weights[2 * x + 1]) >> 4);
        }
}

static void lerp_down(const int16_t *a, const int16_t *b, int wa, int wb, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)(((a[i] * wa >> 16) + (b[i] * wb >> 16) + 2) >> 2);
}

static void add(float *sum, const float *x, float weight, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sum[i] += weight * x[i];
}

const mbr_pixels mbr_pixels_ref = { fixed, real, lerp_across, lerp_down, add };
