/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/qlinear.h"
#include "kernels/post_transform.h"

#include <math.h>

uint8_t mbr_qlinear_byte(const mbr_qlinear *q, float v)
{
    float low = q->is_signed ? -128.0f : 0.0f, high = q->is_signed ? 127.0f : 255.0f;
    float r = rintf(v / q->scale);
    r = (r != r ? 0.0f : r) + (float)q->zero;
    r = r < low ? low : r > high ? high : r;
    return (uint8_t)(int32_t)r;
}

void mbr_qlinear_table_ref(mbr_qlinear_function function, float alpha, const mbr_qlinear *x, const mbr_qlinear *y,
                           uint8_t table[256])
{
    for (unsigned i = 0; i < 256; i++) {
        float v = mbr_qlinear_real(x, (uint8_t)i);
        if (function == MBR_QLINEAR_SIGMOID)
            v = mbr_logistic(v);
        else if (function == MBR_QLINEAR_LEAKY_RELU)
            v = v >= 0 ? v : alpha * v;
        table[i] = mbr_qlinear_byte(y, v);
    }
}

void mbr_qlinear_look_up_ref(const uint8_t table[256], const uint8_t *x, uint8_t *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = table[x[i]];
}

void mbr_qlinear_binary_ref(bool multiply, const mbr_qlinear *a, const uint8_t *pa, size_t a_step, const mbr_qlinear *b,
                            const uint8_t *pb, size_t b_step, const mbr_qlinear *y, uint8_t *py, size_t n)
{
    mbr_qlinear u = *a, v = *b, to = *y;
    if (!multiply) { /* the scales' ratios, as ONNX Runtime has it */
        u.scale /= y->scale;
        v.scale /= y->scale;
        to.scale = 1;
    }
    for (size_t i = 0; i < n; i++) {
        float p = mbr_qlinear_real(&u, pa[i * a_step]), q = mbr_qlinear_real(&v, pb[i * b_step]);
        py[i] = mbr_qlinear_byte(&to, multiply ? p * q : p + q);
    }
}

void mbr_qlinear_softmax_ref(const mbr_qlinear *x, const uint8_t *px, const mbr_qlinear *y, uint8_t *py, size_t n,
                             size_t step)
{
    float most = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++) {
        float real = mbr_qlinear_real(x, px[i * step]);
        most = real > most ? real : most; /* fmaxf here crashes GCC 12 for aarch64 at -O3 */
    }
    for (size_t i = 0; i < n; i++)
        sum += expf(mbr_qlinear_real(x, px[i * step]) - most);
    for (size_t i = 0; i < n; i++)
        py[i * step] = mbr_qlinear_byte(y, expf(mbr_qlinear_real(x, px[i * step]) - most) / sum);
}

void mbr_qlinear_sums_ref(const uint8_t *x, size_t step, size_t points, bool is_signed, int32_t *sums, size_t n)
{
    for (size_t c = 0; c < n; c++)
        sums[c] = 0;
    for (size_t p = 0; p < points; p++, x += step)
        if (is_signed)
            for (size_t c = 0; c < n; c++)
                sums[c] += (int8_t)x[c];
        else
            for (size_t c = 0; c < n; c++)
                sums[c] += x[c];
}

uint8_t mbr_qlinear_mean(const mbr_qlinear *x, const mbr_qlinear *y, int64_t sum, int64_t count)
{
    return mbr_qlinear_byte(y, count ? (float)(sum - count * x->zero) * x->scale / (float)count : 0.0f);
}
