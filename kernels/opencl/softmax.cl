/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Softmax and its kin along the axis of (outer, axis, inner), in C; a line with NaN or +inf becomes NaN. -DLOG, -DHARD.
 * -DVECTOR: a work-item has its line alone, and that is dense f32. -DSTEPS: halves are rounded after each operation.
 */
__kernel void softmax(TENSOR(const MEM(T), x), TENSOR(MEM(T), y), const int axis, const int inner, const int n,
                      __local C *here)
{
    int o = LINE, k = LANE;
    OPEN(const MEM(T), x);
    OPEN(MEM(T), y);
    if (o >= n)
        return;
    x += (size_t)(o / inner) * axis * inner + o % inner;
    y += (size_t)(o / inner) * axis * inner + o % inner;
#define X(k) LOAD(T, x, (size_t)(k) * inner)
    C m = -INFINITY, sum = 0;
#ifdef STEPS
    for (; k < axis; k++)
        m = X(k) > m || isnan(X(k)) ? X(k) : m;
    for (k = 0; k < axis; k++) {
        SAVE(T, y, (size_t)k * inner, exp(ROUND(T, X(k) - m)));
        sum += LOAD(T, y, (size_t)k * inner);
        if (STEPS == 2)
            sum = ROUND(T, sum);
    }
    sum = ROUND(T, sum);
    for (k = 0; k < axis; k++)
        SAVE(T, y, (size_t)k * inner, LOAD(T, y, (size_t)k * inner) / sum);
    return;
#endif
#ifdef VECTOR
    float8 m8 = -INFINITY, s8 = 0;
    for (; k + 8 <= axis; k += 8)
        m8 = fmax(m8, vload8(0, x + k));
    m = fmax(fmax(fmax(m8.s0, m8.s1), fmax(m8.s2, m8.s3)), fmax(fmax(m8.s4, m8.s5), fmax(m8.s6, m8.s7)));
#endif
    for (; k < axis; k += LANES)
        m = fmax(m, (C)X(k));
    MEET_MAX(C, m, here);
#ifdef HARD
    int at = axis;
    for (k = LANE; k < axis; k += LANES)
        if (isnan(X(k)))
            m = X(k);
    MEET(C, m, here, isnan(a) ? a : isnan(b) ? b : a);
    for (k = axis - 1 - LANE; k >= 0; k -= LANES)
        if (X(k) == m || (isnan(m) && isnan(X(k))))
            at = k;
    sum = -at;
    MEET_MAX(C, sum, here);
    for (k = LANE; k < axis; k += LANES)
        SAVE(T, y, (size_t)k * inner, k == (int)-sum ? 1 : 0);
#else
    k = LANE;
#ifdef VECTOR
    for (; k + 8 <= axis; k += 8) {
        float8 v = exp(vload8(0, x + k) - m);
        s8 += v;
#ifndef LOG
        vstore8(v, 0, y + k);
#endif
    }
    sum = s8.s0 + s8.s1 + s8.s2 + s8.s3 + s8.s4 + s8.s5 + s8.s6 + s8.s7;
    int vectors = k;
#endif
    for (; k < axis; k += LANES)
        sum += exp((C)X(k) - m);
    MEET_SUM(C, sum, here);
#ifdef LOG
    sum = log(sum);
#else
    sum = 1 / sum;
#endif
    k = LANE;
#if defined(VECTOR) && !defined(LOG)
    for (; k < vectors; k += 8)
        vstore8(vload8(0, y + k) * sum, 0, y + k);
#endif
    for (; k < axis; k += LANES) {
        C v = (C)X(k) - m;
#ifdef LOG
        SAVE(T, y, (size_t)k * inner, v - sum);
#else
        SAVE(T, y, (size_t)k * inner, exp(v) * sum);
#endif
    }
#endif
}
