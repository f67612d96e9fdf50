/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Products of quantised matrices: sum of (a - a_zero)(b - b_zero) in int, exactly, then, by OUT: 0 the sum (i32), 1 times
 * both scales (+ a bias of floats), 2 divided by y's scale, rounded, + its zero point. Operands are bytes, of types TA
 * and TB; TY the result's, S the scales'. BIAS: 0 none, 1 of i32, 2 of type TY for each column.
 *
 * q_rows: a work-item makes MR rows of 16 columns, in floats for as many k as keep them exact. For CPUs.
 * q_tiles: a group makes 64 x 64 through local memory, four bytes a word.
 */
#ifdef TA
typedef struct {
    int az, bz, as, bs; /* steps of zero points and scales along rows or columns */
    int has;            /* bits: 1 a_zero, 2 b_zero, 4 a_scale, 8 b_scale, 16 y_scale, 32 y_zero */
    float alpha;
    int low, high;
    int groups;         /* of a convolution: rows go on from group to group */
} quant;

#define NUMBERS                                                                                                        \
    TENSOR(const MEM(TA), a_zero), TENSOR(const MEM(TB), b_zero), TENSOR(const MEM(SA), a_scale),                      \
        TENSOR(const MEM(S), b_scale), TENSOR(const MEM(S), y_scale), TENSOR(const MEM(TY), y_zero)
#define OPEN_ALL                                                                                                       \
    OPEN(const MEM(TA), a);                                                                                            \
    OPEN(const MEM(TB), b);                                                                                            \
    OPEN(const MEM(TA), a_zero);                                                                                       \
    OPEN(const MEM(TB), b_zero);                                                                                       \
    OPEN(const MEM(SA), a_scale);                                                                                      \
    OPEN(const MEM(S), b_scale);                                                                                       \
    OPEN(const MEM(S), y_scale);                                                                                       \
    OPEN(const MEM(TY), y_zero);                                                                                       \
    OPEN(const MEM(TBIAS), bias);                                                                                      \
    OPEN(MEM(TY), y);                                                                                                  \
    a += batch_at(g.batch, g.a_batch, z);                                                                              \
    b += batch_at(g.batch, g.b_batch, z);                                                                              \
    bias += batch_at(g.batch, g.o_batch, z);                                                                           \
    y += batch_at(g.batch, g.c_batch, z);                                                                              \
    const int first = z % q.groups * g.m

#if OUT == 2
#define LAST(v)                                                                                                        \
    v = rint(v);                                                                                                       \
    v = (isnan(v) ? 0 : v) + (q.has & 32 ? (float)LOAD(TY, y_zero, 0) : 0);                                            \
    v = clamp(v, (float)q.low, (float)q.high);
#else
#define LAST(v)
#endif
#if BIAS == 1
#define ADD_BIAS(sum, m, n) sum += bias[(long)(m) * g.o_m + (n) * g.o_n];
#else
#define ADD_BIAS(sum, m, n)
#endif
#if BIAS == 2
#define REAL_BIAS(n) + LOAD(TY, bias, n)
#else
#define REAL_BIAS(n)
#endif

#if OUT == 0
#define FINISH(sum, m, n)                                                                                              \
    do {                                                                                                               \
        int s_ = sum;                                                                                                  \
        ADD_BIAS(s_, m, n)                                                                                             \
        y[(long)(m) * g.c_m + (long)(n) * g.c_n] = s_;                                                                 \
    } while (0)
#else
#define FINISH(sum, m, n)                                                                                              \
    do {                                                                                                               \
        int s_ = sum;                                                                                                  \
        ADD_BIAS(s_, m, n)                                                                                             \
        float v_ = q.alpha * (q.has & 4 ? (float)LOAD(SA, a_scale, (first + (m)) * q.as) : 1) *                                  \
                   (q.has & 8 ? (float)LOAD(S, b_scale, (n) * q.bs) : 1);                                              \
        if (q.has & 16)                                                                                                \
            v_ /= LOAD(S, y_scale, 0);                                                                                 \
        v_ = (float)s_ * v_ REAL_BIAS(n);                                                                              \
        LAST(v_)                                                                                                       \
        SAVE(TY, y, (long)(m) * g.c_m + (long)(n) * g.c_n, v_);                                                        \
    } while (0)
#endif

#ifdef MR
/* Work-items: (blocks of rows, 16 columns, batch). */
__kernel void q_rows(TENSOR(const MEM(TA), a), TENSOR(const MEM(TB), b), NUMBERS, TENSOR(const MEM(TBIAS), bias),
                     TENSOR(MEM(TY), y), const gemm g, const quant q)
{
    const int m0 = get_global_id(0) * MR, n0 = get_global_id(1) * 16, z = get_global_id(2);
    if (m0 >= g.m || n0 >= g.n)
        return;
    OPEN_ALL;
    int16 sum[MR];
    float az[MR];
    float each[16];
    for (int j = 0; j < 16; j++)
        each[j] = q.has & 2 ? (float)LOAD(TB, b_zero, min(n0 + j, g.n - 1) * q.bz) : 0;
    const float16 bz = vload16(0, each);
    const bool dense = g.b_n == 1 && n0 + 16 <= g.n;
    long row[MR];
#pragma unroll
    for (int r = 0; r < MR; r++) {
        const int m = min(m0 + r, g.m - 1);
        sum[r] = 0;
        row[r] = (long)m * g.a_m;
        az[r] = q.has & 1 ? (float)LOAD(TA, a_zero, (first + m) * q.az) : 0;
    }
    b += (long)n0 * g.b_n;
    for (int k0 = 0; k0 < g.k; k0 += 256) { /* 256 * 255 * 255 is below 2^24 */
        float16 part[MR];
#pragma unroll
        for (int r = 0; r < MR; r++)
            part[r] = 0;
        for (int k = k0; k < min(k0 + 256, g.k); k++) {
            float16 v;
            if (dense) {
                v = convert_float16(vload16(0, b + (long)k * g.b_k)) - bz;
            } else {
                for (int j = 0; j < 16; j++)
                    each[j] = b[(long)k * g.b_k + (long)min(j, g.n - 1 - n0) * g.b_n];
                v = vload16(0, each) - bz;
            }
#pragma unroll
            for (int r = 0; r < MR; r++)
                part[r] = fma((float16)(a[row[r] + (long)k * g.a_k] - az[r]), v, part[r]);
        }
#pragma unroll
        for (int r = 0; r < MR; r++)
            sum[r] += convert_int16(part[r]);
    }
#pragma unroll
    for (int r = 0; r < MR; r++) {
        int all[16];
        vstore16(sum[r], 0, all);
        for (int j = 0; m0 + r < g.m && j < 16 && n0 + j < g.n; j++)
            FINISH(all[j], m0 + r, n0 + j);
    }
}
#endif

#ifdef TILE
#ifdef __opencl_c_integer_dot_product_input_4x8bit_packed
#define DOT(x, y, sum) (dot_4x8packed_ss_int(x, y) + (sum))
#else
#define DOT(x, y, sum) dot4(as_char4(x), as_char4(y), sum)
static int dot4(char4 x, char4 y, int sum)
{
    return sum + x.x * y.x + x.y * y.y + x.z * y.z + x.w * y.w;
}
#endif
#define FLIP_u8 0x80
#define FLIP_i8 0
#define FLIP(t) CAT(FLIP_, t)

/* Four bytes along k as signed ones; nothing beyond `left`. */
#define FOUR(v, p, at, step, left, flip)                                                                               \
    for (int j = 0; j < 4; j++)                                                                                        \
        if (j < (left))                                                                                                \
            v |= (uint)((uchar)(p)[(at) + j * (long)(step)] ^ flip) << 8 * j;

__kernel __attribute__((reqd_work_group_size(16, 16, 1)))
void q_tiles(TENSOR(const MEM(TA), a), TENSOR(const MEM(TB), b), NUMBERS, TENSOR(const MEM(TBIAS), bias),
             TENSOR(MEM(TY), y), const gemm g, const quant q)
{
    __local uint as[8][65], bs[8][65];
    __local int sums[2][64];
    const int tx = get_local_id(0), ty = get_local_id(1), id = ty * 16 + tx;
    const int n0 = get_group_id(0) * 64, m0 = get_group_id(1) * 64, z = get_group_id(2);
    OPEN_ALL;
    int acc[4][4], line = 0;
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++)
            acc[i][j] = 0;
    for (int k0 = 0; k0 < g.k; k0 += 32) {
        for (int i = id; i < 512; i += 256) {
            /* neighbours in memory go to neighbours in the group */
            const int ka = g.a_k == 1 ? i % 8 : i / 64, m = g.a_k == 1 ? i / 8 : i % 64;
            const int kb = g.b_k == 1 ? i % 8 : i / 64, n = g.b_k == 1 ? i / 8 : i % 64;
            uint v = 0, w = 0;
            if (m0 + m < g.m)
                FOUR(v, a, (long)(m0 + m) * g.a_m + (long)(k0 + ka * 4) * g.a_k, g.a_k, g.k - k0 - ka * 4, FLIP(TA))
            if (n0 + n < g.n)
                FOUR(w, b, (long)(n0 + n) * g.b_n + (long)(k0 + kb * 4) * g.b_k, g.b_k, g.k - k0 - kb * 4, FLIP(TB))
            as[ka][m] = v;
            bs[kb][n] = w;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int k = 0; k < 8; k++) {
            uint x[4], v[4];
            for (int i = 0; i < 4; i++) {
                x[i] = as[k][ty + 16 * i];
                v[i] = bs[k][tx + 16 * i];
            }
            for (int i = 0; i < 4; i++)
                for (int j = 0; j < 4; j++)
                    acc[i][j] = DOT(x[i], v[j], acc[i][j]);
        }
        for (int k = 0; id < 128 && k < 8; k++)
            line = DOT(id < 64 ? as[k][id] : bs[k][id - 64], 0x01010101u, line);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    if (id < 128)
        sums[id / 64][id % 64] = line;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) {
            const int m = m0 + ty + 16 * i, n = n0 + tx + 16 * j;
            if (m < g.m && n < g.n) {
                const int az = (q.has & 1 ? (int)LOAD(TA, a_zero, (first + m) * q.az) : 0) - FLIP(TA);
                const int bz = (q.has & 2 ? (int)LOAD(TB, b_zero, n * q.bz) : 0) - FLIP(TB);
                FINISH(acc[i][j] - bz * sums[0][m - m0] - az * sums[1][n - n0] + g.k * az * bz, m, n);
            }
        }
}
#endif
#endif

#ifdef COLUMNS
/* An image as the matrix that a product takes: (channel and tap of the group, point), for each sample and group; what
   lies outside is the zero point. Work-items: (point, row, sample and group). */
__kernel void q_columns(TENSOR(const uchar, x), TENSOR(const uchar, zero), TENSOR(uchar, y), const conv w, const int groups,
                        const int points, const int has_zero)
{
    const int p = get_global_id(0), k = get_global_id(1), z = get_global_id(2);
    const int taps = w.tap[0] * w.tap[1] * w.tap[2], rows = taps * w.channels, t = k % taps, hv = w.tap[1] * w.tap[2];
    if (p >= points || k >= rows)
        return;
    OPEN(const uchar, x);
    OPEN(const uchar, zero);
    OPEN(uchar, y);
    const long at = x_of(&w, corner_of(&w, z / groups * points + p), t / hv, t % hv / w.tap[2], t % w.tap[2]);
    y[((long)z * rows + k) * points + p] =
        at < 0 ? (has_zero ? zero[0] : 0) : x[at + (long)(z % groups * w.channels + k / taps) * w.x_c];
}
#endif

#ifdef RANGE
/* 64 parts of the least and the greatest; a work-item each. */
__kernel void q_range(TENSOR(const float, x), TENSOR(float, part), const int n)
{
    const int i = get_global_id(0);
    float least = 0, most = 0;
    OPEN(const float, x);
    OPEN(float, part);
    if (i >= 64)
        return;
    for (int k = i; k < n; k += 64) {
        least = fmin(least, x[k]);
        most = fmax(most, x[k]);
    }
    part[i] = least;
    part[64 + i] = most;
}

/* To bytes by the scale and zero point of that range, which are told besides. */
__kernel void q_dynamic(TENSOR(const float, x), TENSOR(const float, part), TENSOR(uchar, y), TENSOR(float, scale),
                        TENSOR(uchar, zero), const int n)
{
    const int i = get_global_id(0);
    float least = 0, most = 0;
    OPEN(const float, x);
    OPEN(const float, part);
    OPEN(uchar, y);
    OPEN(float, scale);
    OPEN(uchar, zero);
    for (int k = 0; k < 64; k++) {
        least = fmin(least, part[k]);
        most = fmax(most, part[64 + k]);
    }
    const float s = (most == least ? 1.0f : most - least) / 255.0f, z = rint(clamp(0.0f - least / s, 0.0f, 255.0f));
    if (i == 0) {
        scale[0] = s;
        zero[0] = (uchar)z;
    }
    if (i < n)
        y[i] = (uchar)clamp(rint(x[i] / s) + z, 0.0f, 255.0f);
}
#endif

#ifdef BITS
/* -DZERO: type of the zero points (u8: packed), -DS: of scales, -DGROUPS: of g_idx. */
typedef struct {
    int n, k, block, blocks, m, panels;
} nbits;

#ifdef GROUPS
#define GROUP(p) ((int)groups[p])
#else
#define GROUP(p) ((p) / g.block)
#endif
#ifdef ZERO
#define ZERO_OF(j, b) zero_of(zero, j, b, g.blocks)
static float zero_of(__global const MEM(ZERO) *zero, int j, int b, int blocks)
{
#ifdef PACKED_ZERO
    const int per = 8 / BITS;
    return zero[j * ((blocks + per - 1) / per) + b / per] >> b % per * BITS & ((1 << BITS) - 1);
#else
    return LOAD(ZERO, zero, j * blocks + b);
#endif
}
#else
#define ZERO_OF(j, b) ((float)(1 << (BITS - 1)))
#define ZERO u8
#endif
#ifndef GROUPS
#define GROUPS i32
#endif

/* Weights as numbers of f32: (n, k), or in panels of 16, as products on CPUs take them. Work-items: (k, n). */
__kernel void nbits_unpack(TENSOR(const uchar, w), TENSOR(const MEM(S), scale), TENSOR(const MEM(ZERO), zero),
                           TENSOR(const MEM(GROUPS), groups), TENSOR(T, y), const nbits g)
{
    const int p = get_global_id(0), j = get_global_id(1), per = 8 / BITS;
    OPEN(const uchar, w);
    OPEN(const MEM(S), scale);
    OPEN(const MEM(ZERO), zero);
    OPEN(const MEM(GROUPS), groups);
    OPEN(T, y);
    if (p >= g.k || j >= (g.panels ? (g.n + 15) / 16 * 16 : g.n))
        return;
    float v = 0;
    if (j < g.n) {
        const int b = clamp(GROUP(p), 0, g.blocks - 1);
        v = w[((long)j * g.blocks * g.block + p) / per] >> p % per * BITS & ((1 << BITS) - 1);
        v = (v - ZERO_OF(j, b)) * LOAD(S, scale, j * g.blocks + b);
    }
    ST(v, y, g.panels ? ((long)(j / 16) * g.k + p) * 16 + j % 16 : (long)j * g.k + p);
}

#if BITS == 4
/* Few rows: LANES of a group share a column, or a work-item has it alone, eight weights at a time. */
__kernel void nbits_rows(TENSOR(const T, a), TENSOR(const uchar, w), TENSOR(const MEM(S), scale),
                         TENSOR(const MEM(ZERO), zero), TENSOR(const T, bias), TENSOR(T, y), const nbits g,
                         const int has_bias, __local float *here)
{
    const int j = LINE, m0 = get_global_id(1) * 4;
    OPEN(const T, a);
    OPEN(const uchar, w);
    OPEN(const MEM(S), scale);
    OPEN(const MEM(ZERO), zero);
    OPEN(const T, bias);
    OPEN(T, y);
    if (j >= g.n)
        return;
    float8 sum[4];
    for (int r = 0; r < 4; r++)
        sum[r] = 0;
    w += (long)j * g.blocks * g.block / 2;
    for (int k = LANE * 8; k + 8 <= g.k; k += LANES * 8) {
        const float s = LOAD(S, scale, j * g.blocks + k / g.block);
        const uchar4 b = vload4(0, w + k / 2);
        const float8 q = (convert_float8((uchar8)(b.x & 15, b.x >> 4, b.y & 15, b.y >> 4, b.z & 15, b.z >> 4, b.w & 15,
                                                  b.w >> 4)) - ZERO_OF(j, k / g.block)) * s;
#pragma unroll
        for (int r = 0; r < 4; r++)
            sum[r] = fma(q, LDN(8, a + (long)min(m0 + r, g.m - 1) * g.k + k), sum[r]);
    }
    for (int r = 0; r < 4; r++) {
        float v = sum[r].s0 + sum[r].s1 + sum[r].s2 + sum[r].s3 + sum[r].s4 + sum[r].s5 + sum[r].s6 + sum[r].s7;
        MEET_SUM(float, v, here);
        if (LANE == 0 && m0 + r < g.m)
            ST(v + (has_bias ? LD(bias, j) : 0), y, (long)(m0 + r) * g.n + j);
    }
}
#endif
#endif
