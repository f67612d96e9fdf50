/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inner loops of resizing 8-bit images: outputs that are weighed sums of inputs which lie a step apart. Down an
 * image the inputs are rows; across it they are points of several rows side by side, MBR_PIXELS_LANES values a point,
 * so that both directions are the same loop. All variants give the same bits.
 */
#ifndef MBR_KERNELS_PIXELS_H
#define MBR_KERNELS_PIXELS_H

#include <stddef.h>
#include <stdint.h>

#define MBR_PIXELS_LANES 16 /* values of a point where several rows go side by side */
#define MBR_PIXELS_BITS 22  /* behind the point of a fixed weight */

/* Output o, value i: the sum over k < taps[o] of weights[o * stride + k] * src[(first[o] + k) * step + i]. */
typedef struct mbr_pixels_args {
    const uint8_t *src;
    size_t step;          /* bytes from one input to the next */
    void *dst;            /* u8 of fixed, f32 of real */
    size_t dst_step;      /* values from one output to the next */
    size_t n, count;      /* values of an output, outputs */
    const int32_t *first; /* (count) */
    const int32_t *taps;  /* (count) */
    const void *weights;  /* (count, stride) i32 of fixed, f32 of real */
    size_t stride;
} mbr_pixels_args;

/*
 * Linear between two neighbours, across: out[x * channels + c] =
 * (row[at[x] + c] * weights[2 x] + row[at[x] + next + c] * weights[2 x + 1]) >> 4. Weights of 11 bits that sum up to
 * 2048; at rises. out has room for 4 more values.
 */
typedef struct mbr_pixels_lerp {
    const uint8_t *row;
    size_t row_bytes, next, channels, count;
    const int32_t *at;      /* (count) */
    const int16_t *weights; /* (count, 2) */
    int16_t *out;
} mbr_pixels_lerp;

typedef struct mbr_pixels {
    /* Rounded half up, cut to 0..255. Sums wrap around at 32 bits. */
    void (*fixed)(const mbr_pixels_args *args);
    /* Added up in the order of k, from 0, without fused operations. */
    void (*real)(const mbr_pixels_args *args);
    void (*lerp_across)(const mbr_pixels_lerp *args);
    /* out = ((a * wa >> 16) + (b * wb >> 16) + 2) >> 2 of n values. */
    void (*lerp_down)(const int16_t *a, const int16_t *b, int wa, int wb, uint8_t *out, size_t n);
    /* sum += weight * x of n values, not fused. */
    void (*add)(float *sum, const float *x, float weight, size_t n);
} mbr_pixels;

/* The fastest for this machine. */
const mbr_pixels *mbr_pixels_best(void);

#endif
