/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Normalisations in C. Rows: s = x (+ residual) (+ add), y = (s - mean) / sqrt(var + epsilon) * scale + bias, or, -DRMS, s /
 * sqrt(mean of squares + epsilon) * scale. T: type of the tensors, S: of scale and bias. Element k of row r has scale
 * number r % groups * group_step + k / points.
 */
typedef struct {
    int rows, cols, residual_rows, groups, group_step, points;
    float epsilon;
} shape;

#ifdef RESIDUAL
#define WITH_RESIDUAL(k) +(C) LOAD(T, residual, (size_t)(r % s.residual_rows) * n + (k))
#else
#define WITH_RESIDUAL(k)
#endif
#ifdef MORE
#define WITH_MORE(k) +(C) LOAD(T, more, k)
#else
#define WITH_MORE(k)
#endif
#define V(k) ((C)LOAD(T, x, k) WITH_RESIDUAL(k) WITH_MORE(k))
#define OFF(k) ((V(k) - mean) * (V(k) - mean))

/* Sums of F(k), in eight parts where the work-item is alone: one rounds less, and has vectors. */
#ifdef ALONE
#define ADD_UP(v, F)                                                                                                   \
    do {                                                                                                               \
        C part[8] = { 0 };                                                                                             \
        int k = 0;                                                                                                     \
        for (; k + 8 <= n; k += 8)                                                                                     \
            _Pragma("unroll") for (int j = 0; j < 8; j++) part[j] += F(k + j);                                         \
        for (; k < n; k++)                                                                                             \
            part[0] += F(k);                                                                                           \
        v = ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]));                 \
    } while (0)
#else
#define ADD_UP(v, F)                                                                                                   \
    do {                                                                                                               \
        v = 0;                                                                                                         \
        for (int k = LANE; k < n; k += LANES)                                                                          \
            v += F(k);                                                                                                 \
        MEET_SUM(C, v, here);                                                                                          \
    } while (0)
#endif

#ifdef S
__kernel void rows(TENSOR(const MEM(T), x), TENSOR(const MEM(T), residual), TENSOR(const MEM(T), more),
                   TENSOR(const MEM(S), scale), TENSOR(const MEM(S), bias), TENSOR(MEM(T), y), TENSOR(MEM(T), sum_out),
                   TENSOR(MEM(M), mean_out), TENSOR(MEM(M), inv_out), const shape s, __local C *here)
{
    int r = LINE, n = s.cols;
    OPEN(const MEM(T), x);
    OPEN(const MEM(T), residual);
    OPEN(const MEM(T), more);
    OPEN(const MEM(S), scale);
    OPEN(const MEM(S), bias);
    OPEN(MEM(T), y);
    OPEN(MEM(T), sum_out);
    OPEN(MEM(M), mean_out);
    OPEN(MEM(M), inv_out);
    if (r >= s.rows)
        return;
    x += (size_t)r * n;
    y += (size_t)r * n;
    C mean = 0, v;
#ifndef RMS
    ADD_UP(mean, V);
    mean /= n;
#endif
    ADD_UP(v, OFF);
    C inv = 1 / sqrt(v / n + s.epsilon);
#ifdef SUM_OUT
    for (int k = LANE; k < n; k += LANES)
        SAVE(T, sum_out, (size_t)r * n + k, V(k));
#endif
    if (LANE == 0) {
#ifdef MEAN_OUT
        SAVE(M, mean_out, r, mean);
#endif
#ifdef INV_OUT
        SAVE(M, inv_out, r, inv);
#endif
    }
    int first = r % s.groups * s.group_step;
    for (int k = LANE; k < n; k += LANES) {
        C out = (V(k) - mean) * inv;
        int at = first + (s.points == 1 ? k : k / s.points);
#ifdef SCALE
        out *= LOAD(S, scale, at);
#endif
#ifdef BIAS
        out += LOAD(S, bias, at);
#endif
        SAVE(T, y, k, out);
    }
}

/* (n, channels, points) by the statistics of each channel */
__kernel void batch(TENSOR(const MEM(T), x), TENSOR(const MEM(S), scale), TENSOR(const MEM(S), bias),
                    TENSOR(const MEM(M), mean), TENSOR(const MEM(M), var), TENSOR(MEM(T), y), const int points,
                    const int channels, const int n, const float epsilon)
{
    int i = get_global_id(0), r = get_global_id(1), c = r % channels;
    OPEN(const MEM(T), x);
    OPEN(const MEM(S), scale);
    OPEN(const MEM(S), bias);
    OPEN(const MEM(M), mean);
    OPEN(const MEM(M), var);
    OPEN(MEM(T), y);
    if (i >= points || r >= n)
        return;
    C k = LOAD(S, scale, c) / sqrt(LOAD(M, var, c) + epsilon);
    size_t at = (size_t)r * points + i;
    SAVE(T, y, at, ((C)LOAD(T, x, at) - LOAD(M, mean, c)) * k + LOAD(S, bias, c));
}
#endif

/* x / norm along the axis of (outer, axis, inner); a norm of 0 gives 0 */
__kernel void lp(TENSOR(const MEM(T), x), TENSOR(MEM(T), y), const int axis, const int inner, const int lines,
                 const int p)
{
    int o = get_global_id(0);
    OPEN(const MEM(T), x);
    OPEN(MEM(T), y);
    if (o >= lines)
        return;
    size_t first = (size_t)(o / inner) * axis * inner + o % inner;
    C v = 0;
    for (int k = 0; k < axis; k++) {
        C e = LOAD(T, x, first + (size_t)k * inner);
        v += p == 1 ? fabs(e) : e * e;
    }
    v = p == 1 ? v : sqrt(v);
    for (int k = 0; k < axis; k++)
        SAVE(T, y, first + (size_t)k * inner, v == 0 ? 0 : LOAD(T, x, first + (size_t)k * inner) / v);
}

/* Local response over channels of (n, channels, points) */
__kernel void lrn(TENSOR(const MEM(T), x), TENSOR(MEM(T), y), const int points, const int channels, const int planes,
                  const int size, const float alpha, const float beta, const float bias)
{
    int i = get_global_id(0), r = get_global_id(1), c = r % channels;
    OPEN(const MEM(T), x);
    OPEN(MEM(T), y);
    if (i >= points || r >= planes)
        return;
    C v = 0;
    for (int k = max(0, c - (size - 1) / 2); k <= min(channels - 1, c + size / 2); k++) {
        C e = LOAD(T, x, (size_t)(r - c + k) * points + i);
        v += e * e;
    }
    size_t at = (size_t)r * points + i;
    SAVE(T, y, at, LOAD(T, x, at) / pow(bias + alpha / size * v, (C)beta));
}
