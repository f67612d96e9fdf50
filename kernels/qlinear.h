/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operators on bytes with one scale and zero point a tensor: dequantised, computed in f32, and quantised again, halves
 * to even. What depends on one byte only is a table of 256.
 */
#ifndef MBR_KERNELS_QLINEAR_H
#define MBR_KERNELS_QLINEAR_H

#include "kernels/view.h"

/* How a tensor of bytes is meant: (byte - zero) * scale. */
typedef struct mbr_qlinear {
    float scale;
    int32_t zero;
    bool is_signed;
} mbr_qlinear;

static inline float mbr_qlinear_real(const mbr_qlinear *q, uint8_t byte)
{
    return (float)((q->is_signed ? (int32_t)(int8_t)byte : (int32_t)byte) - q->zero) * q->scale;
}

uint8_t mbr_qlinear_byte(const mbr_qlinear *q, float v); /* NaN gives the zero point */

typedef enum mbr_qlinear_function {
    MBR_QLINEAR_IDENTITY,
    MBR_QLINEAR_SIGMOID,
    MBR_QLINEAR_LEAKY_RELU
} mbr_qlinear_function;

void mbr_qlinear_table_ref(mbr_qlinear_function function, float alpha, const mbr_qlinear *x, const mbr_qlinear *y,
                           uint8_t table[256]);
void mbr_qlinear_look_up_ref(const uint8_t table[256], const uint8_t *x, uint8_t *y, size_t n);

/* y[i] = a[i * a_step] + b[i * b_step], or times; steps are 0 or 1. Sums are made of differences from the zero points
 * times a->scale / y->scale and b->scale / y->scale. The tiers' are in kernels/quantize.h. */
typedef void mbr_qlinear_binary_fn(bool multiply, const mbr_qlinear *a, const uint8_t *pa, size_t a_step,
                                   const mbr_qlinear *b, const uint8_t *pb, size_t b_step, const mbr_qlinear *y,
                                   uint8_t *py, size_t n);
mbr_qlinear_binary_fn mbr_qlinear_binary_ref;

/* Softmax of n bytes, `step` apart. */
void mbr_qlinear_softmax_ref(const mbr_qlinear *x, const uint8_t *px, const mbr_qlinear *y, uint8_t *py, size_t n,
                             size_t step);

/* sums[c], of n: what the bytes c of `points` rows add up to, step apart. Less than 2^23 points. */
void mbr_qlinear_sums_ref(const uint8_t *x, size_t step, size_t points, bool is_signed, int32_t *sums, size_t n);

/* The byte for the mean of `count` bytes that add up to sum. */
uint8_t mbr_qlinear_mean(const mbr_qlinear *x, const mbr_qlinear *y, int64_t sum, int64_t count);

#endif
