/* SPDX-License-Identifier: BSD-2-Clause */
/* What convolutions need beside products: depthwise ones, Winograd's transformations, weights and images laid out anew. */
#ifdef VC /* channels of a work-item */
#if VC == 1
#define FV float
#define LDV(p) LD(p, 0)
#define STV(v, p) ST(v, p, 0)
#else
#define FV CAT(float, VC)
#define LDV(p) LDN(VC, p)
#define STV(v, p) STN(VC, v, p)
ACT(FV)
#endif

#ifdef PLANES /* neighbours are neighbours in an image's row, else channels */
#define CHANNEL 1
#else
#define CHANNEL 0
#endif
#define PX 4 /* points of a work-item, in a row */

/* g.n filters of one channel each, g.k of a channel. Work-items: (channels, points of a row, rows), PLANES: the first
   two change places. Weights: (tap, filter). */
__kernel void depthwise(TENSOR(const T, x), TENSOR(const T, b), TENSOR(T, c), TENSOR(const T, bias),
                        TENSOR(const T, other), const gemm g, const conv w)
{
    const int f = get_global_id(CHANNEL) * VC, v0 = get_global_id(1 - CHANNEL) * PX;
    if (f >= g.n || v0 >= w.out[2])
        return;
    OPEN(const T, x);
    OPEN(const T, b);
    OPEN(T, c);
    OPEN(const T, bias);
    OPEN(const T, other);
    const int row = get_global_id(2) * w.out[2] + v0;
    const int4 corner = corner_of(&w, row);
    const bool inside = corner.w >= 0 && corner.w + (PX - 1) * w.stride[2] + (w.tap[2] - 1) * w.step[2] < w.in[2];
    FV acc[PX];
    x += (long)(f / g.k) * w.x_c + corner.x * w.x_n;
    b += f;
#pragma unroll
    for (int p = 0; p < PX; p++)
        acc[p] = 0;
    for (int d = 0; d < w.tap[0]; d++)
        for (int h = 0; h < w.tap[1]; h++) {
            const int iy = corner.y + d * w.step[0], iz = corner.z + h * w.step[1];
            if (iy < 0 || iy >= w.in[0] || iz < 0 || iz >= w.in[1])
                continue;
            __global const T *line = x + (long)iy * w.x[0] + (long)iz * w.x[1];
            for (int v = 0; v < w.tap[2]; v++) {
                const FV k = LDV(b + (long)((d * w.tap[1] + h) * w.tap[2] + v) * g.n);
#pragma unroll
                for (int p = 0; p < PX; p++) {
                    const int at = corner.w + p * w.stride[2] + v * w.step[2];
                    if (inside || (at >= 0 && at < w.in[2]))
                        acc[p] = fma(LDV(line + (long)at * w.x[2]), k, acc[p]);
                }
            }
        }
    long to = y_of(&w, row) + (long)f * g.c_n;
#pragma unroll
    for (int p = 0; p < PX; p++, to += w.y[2])
        if (v0 + p < w.out[2]) {
            FV r = acc[p];
            EPILOGUE(FV, r, LDV(bias + f), LDV(other + to))
            STV(r, c + to);
        }
}

/*
 * Winograd F(2x2, 3x3): of each 4x4 patch, B^T d B; the product of 16 matrices; of each 4x4 result, A^T m A. to:
 * (16, tiles, channels). w: in, out, start as of the convolution; tiles are counted over samples, n0 the first sample.
 * Work-items: (channels, tiles).
 */
__kernel void winograd_in(TENSOR(const T, x), TENSOR(T, to), const conv w, int n0, int tiles)
{
    const int ch = get_global_id(0) * VC, tile = get_global_id(1), across = (w.out[2] + 1) / 2;
    const int down = (w.out[1] + 1) / 2;
    if (ch >= w.channels || tile >= tiles)
        return;
    OPEN(const T, x);
    OPEN(T, to);
    const int v0 = tile % across * 2 + w.start[2], h0 = tile / across % down * 2 + w.start[1];
    x += (n0 + tile / across / down) * w.x_n + ch;
    to += (long)tile * w.channels + ch;
    const long plane = (long)tiles * w.channels;
    FV d[4][4];
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const int h = h0 + i, v = v0 + j;
            const bool in = h >= 0 && h < w.in[1] && v >= 0 && v < w.in[2];
            d[i][j] = in ? LDV(x + (long)h * w.x[1] + (long)v * w.x[2]) : 0;
        }
#pragma unroll
    for (int j = 0; j < 4; j++) {
        const FV a = d[0][j] - d[2][j], b = d[1][j] + d[2][j], e = d[2][j] - d[1][j], f = d[1][j] - d[3][j];
        d[0][j] = a, d[1][j] = b, d[2][j] = e, d[3][j] = f;
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
        STV(d[i][0] - d[i][2], to + (4 * i + 0) * plane);
        STV(d[i][1] + d[i][2], to + (4 * i + 1) * plane);
        STV(d[i][2] - d[i][1], to + (4 * i + 2) * plane);
        STV(d[i][1] - d[i][3], to + (4 * i + 3) * plane);
    }
}

__kernel void winograd_out(TENSOR(const T, m), TENSOR(T, c), TENSOR(const T, bias), TENSOR(const T, other), const gemm g,
                           const conv w, int n0, int tiles)
{
    const int f = get_global_id(0) * VC, tile = get_global_id(1), across = (w.out[2] + 1) / 2;
    const int down = (w.out[1] + 1) / 2;
    if (f >= g.n || tile >= tiles)
        return;
    OPEN(const T, m);
    OPEN(T, c);
    OPEN(const T, bias);
    OPEN(const T, other);
    const int v0 = tile % across * 2, h0 = tile / across % down * 2;
    const long plane = (long)tiles * g.n;
    m += (long)tile * g.n + f;
    FV s[2][4];
#pragma unroll
    for (int j = 0; j < 4; j++) {
        const FV a = LDV(m + (0 + j) * plane), b = LDV(m + (4 + j) * plane), d = LDV(m + (8 + j) * plane),
                 e = LDV(m + (12 + j) * plane);
        s[0][j] = a + b + d;
        s[1][j] = b - d - e;
    }
#pragma unroll
    for (int i = 0; i < 2; i++)
#pragma unroll
        for (int j = 0; j < 2; j++) {
            if (h0 + i >= w.out[1] || v0 + j >= w.out[2])
                continue;
            FV r = j ? s[i][1] - s[i][2] - s[i][3] : s[i][0] + s[i][1] + s[i][2];
            const long to = (n0 + tile / across / down) * w.y_n + (h0 + i) * w.y[1] + (v0 + j) * w.y[2] + f;
            EPILOGUE(FV, r, LDV(bias + f), LDV(other + to))
            STV(r, c + to);
        }
}
#endif

/* The image with its border, channels last. w: out and start as of the whole. Work-items: (channels, points). */
__kernel void lay_out(TENSOR(const T, x), TENSOR(T, to), const conv w, int points)
{
    const int ch = get_global_id(0), row = get_global_id(1);
    if (ch >= w.channels || row >= points)
        return;
    OPEN(const T, x);
    OPEN(T, to);
    const long at = x_of(&w, corner_of(&w, row), 0, 0, 0);
    ST(at < 0 ? 0.0f : LD(x, at + (long)ch * w.x_c), to, (long)row * w.channels + ch);
}

typedef struct {
    int groups, channels, k, n, width, panels, total; /* elements in all: what lies behind is 0 */
    int group, filter, channel, tap;          /* strides of the weights as they lie */
} layout;

/* Weights: (groups, panels, k, width), k = (tap, channel). */
__kernel void lay_weights(TENSOR(const T, b), TENSOR(T, to), const layout p)
{
    const int i = get_global_id(0);
    if (i >= p.total)
        return;
    OPEN(const T, b);
    OPEN(T, to);
    const int k = i / p.width % p.k, panel = i / p.width / p.k, z = panel / p.panels;
    const int f = panel % p.panels * p.width + i % p.width;
    const int from = z * p.group + f * p.filter + k % p.channels * p.channel + k / p.channels * p.tap;
    ST(z < p.groups && f < p.n ? LD(b, from) : 0.0f, to, i);
}
