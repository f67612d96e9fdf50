/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * c = act(alpha a b + bias + beta other) (+ or *) other, for a batch of matrices; and convolutions, whose rows of `a` are
 * gathered from an image (-DCONV): row = output point, k = (tap, channel). -DREAL: see common.cl.
 *
 * gemm_rows: a work-item makes MR rows of 16 columns, in registers; b lies in panels of 16 columns, (panels, k, 16). No
 *     local memory, no groups: for CPUs, and for devices too poor for the other.
 * gemm_tiles: a group makes TM rows of TM columns through two buffers in local memory, a work-item RM x RM of them; with
 *     AK (BK) a's (b's) memory runs along k, otherwise across it. -DVEC: it can be read four by four.
 * gemm_few: few rows; a group shares the sums of some columns of one row.
 * gemm_sub: see gemm_sub.cl.
 * gemm_any: any type T, computed in C; a work-item makes one element.
 *
 * -DFP16: products of halves, summed in halves over RUN steps of k, and those sums in f32. A half is rounded by 2^-12 of
 * itself on average, and what a run of r holds is sqrt(r / k) of the whole: k of them add some 2^-12 sqrt(r / 2), which
 * for 8 is what rounding the result to f16 may cost. So it is f16 to about its last bit at any k, where sums in halves
 * would lose it at a few dozen. What leaves the range of f16 within a run is infinite.
 */
#ifdef C
__kernel void gemm_any(TENSOR(const MEM(T), a), TENSOR(const MEM(T), b), TENSOR(MEM(T), c), TENSOR(const MEM(T), bias),
                       TENSOR(const MEM(T), other), const gemm g)
{
    const int n = get_global_id(0), m = get_global_id(1), z = get_global_id(2);
    OPEN(const MEM(T), a);
    OPEN(const MEM(T), b);
    OPEN(MEM(T), c);
    OPEN(const MEM(T), bias);
    OPEN(const MEM(T), other);
    if (n >= g.n || m >= g.m)
        return;
    a += batch_at(g.batch, g.a_batch, z) + (long)m * g.a_m;
    b += batch_at(g.batch, g.b_batch, z) + (long)n * g.b_n;
    C v = 0, o = 0;
    for (int k = 0; k < g.k; k++)
        v += (C)LOAD(T, a, (long)k * g.a_k) * (C)LOAD(T, b, (long)k * g.b_k);
    v *= (C)g.alpha;
    if (g.has_bias)
        v += (C)LOAD(T, bias, g.bias_batch * z + n);
    if (g.other_is)
        o = LOAD(T, other, batch_at(g.batch, g.o_batch, z) + (long)m * g.o_m + (long)n * g.o_n);
    if (g.other_is == 1)
        v += (C)g.beta * o;
    if (g.act)
        v = act_float(v, g.act, g.act_a, g.act_b);
    if (g.other_is == 2)
        v += o;
    if (g.other_is == 3)
        v *= o;
    SAVE(T, c, batch_at(g.batch, g.c_batch, z) + (long)m * g.c_m + (long)n * g.c_n, v);
}
#else
#define NR 16

#ifdef CONV
#define CONV_PARAM , const conv w
#define A_STEP 1
#define C_ROW(row) (c + y_of(&w, row))
#define O_ROW(row) (other + y_of(&w, row))
#else
#define CONV_PARAM
#define A_STEP g.a_k
#define C_ROW(row) (c + (long)(row) * g.c_m)
#define O_ROW(row) (other + (long)(row) * g.o_m)
#endif


#ifdef MR
#define NV (NR / VF)
#define FV CAT(float, VF)
#define EV CAT(E, VF)
ACT(FV)

/* Work-items: (blocks of rows, panels, batch). For a CONV, b_n is the length of b's panels and
   b_k where zeros lie behind them. */
__kernel void gemm_rows(TENSOR(const T, a), TENSOR(const T, b), TENSOR(T, c), TENSOR(const T, bias),
                        TENSOR(const T, other), const gemm g CONV_PARAM)
{
    const int m0 = get_global_id(0) * MR, n0 = get_global_id(1) * NR, z = get_global_id(2);
    if (m0 >= g.m || n0 >= g.n)
        return;
    OPEN(const T, a);
    OPEN(const T, b);
    OPEN(T, c);
    OPEN(const T, bias);
    OPEN(const T, other);
    a += batch_at(g.batch, g.a_batch, z);
    FV acc[MR][NV];
    __global const T *row[MR];
    EACH(r, MR) EACH(v, NV) acc[r][v] = 0;
#ifdef CONV
    __global const T *zero = b + g.b_k;
    b += batch_at(g.batch, g.b_batch, z) + (long)n0 * g.b_n;
    int4 at[MR];
    EACH(r, MR) at[r] = corner_of(&w, min(m0 + r, g.m - 1));
    for (int d = 0; d < w.tap[0]; d++) {
        for (int h = 0; h < w.tap[1]; h++) {
            for (int v = 0; v < w.tap[2]; v++) {
                __global const T *p = b + (long)(w.tap_at + d * w.tap_w[0] + h * w.tap_w[1] + v * w.tap_w[2]) *
                                              w.channels * NR;
                const int depth = w.channels;
                EACH(r, MR) {
                    long x = x_of(&w, at[r], d, h, v);
                    row[r] = x < 0 ? zero : a + x;
                }
#else
    {
        {
            {
                __global const T *p = b + batch_at(g.batch, g.b_batch, z) + (long)n0 * g.k;
                const int depth = g.k;
                EACH(r, MR) row[r] = a + (long)min(m0 + r, g.m - 1) * g.a_m;
#endif
#ifdef FP16
                for (int k = 0; k < depth;) {
                    EV sum[MR][NV];
                    const int end = min(depth, k + RUN);
                    EACH(r, MR) EACH(v_, NV) sum[r][v_] = 0;
                    for (; k < end; k++, p += NR) {
#else
#define sum acc
                {
                    for (int k = 0; k < depth; k++, p += NR) {
#endif
                        EV y[NV];
                        EACH(v_, NV) y[v_] = LOAD_EN(VF, p + v_ * VF);
                        EACH(r, MR) {
                            const EV x = (EV)LOAD_E(row[r], (long)k * A_STEP);
                            EACH(v_, NV) sum[r][v_] = fma(x, y[v_], sum[r][v_]);
                        }
                    }
#ifdef FP16
                    EACH(r, MR) EACH(v_, NV) acc[r][v_] += CAT(convert_float, VF)(sum[r][v_]);
#endif
                }
            }
        }
    }
    bias += g.bias_batch * z;
    c += batch_at(g.batch, g.c_batch, z);
    other += batch_at(g.batch, g.o_batch, z);
    EACH(r, MR) {
        if (m0 + r >= g.m)
            break;
        __global T *to = C_ROW(m0 + r);
        __global const T *from = O_ROW(m0 + r);
        EACH(v, NV) {
            const int n = n0 + v * VF;
            if (n + VF <= g.n && g.c_n == 1 && (!g.other_is || g.o_n == 1)) {
                FV x = acc[r][v];
                EPILOGUE(FV, x, LDN(VF, bias + n), LDN(VF, from + n))
                STN(VF, x, to + n);
            } else {
                float each[VF];
                CAT(vstore, VF)(acc[r][v], 0, each);
                for (int i = 0; i < VF && n + i < g.n; i++) {
                    float x = each[i];
                    EPILOGUE(float, x, LD(bias, n + i), LD(from, (long)(n + i) * g.o_n))
                    ST(x, to, (long)(n + i) * g.c_n);
                }
            }
        }
    }
}
#endif

/* Panels of a b that is no constant: (batch, panels, k, 16). Work-items: (k, panels, batch). */
__kernel void gemm_pack(TENSOR(const T, b), TENSOR(T, p), const gemm g)
{
    const int k = get_global_id(0), n0 = get_global_id(1) * NR, z = get_global_id(2);
    if (k >= g.k || n0 >= g.n)
        return;
    OPEN(const T, b);
    OPEN(T, p);
    b += batch_at(g.batch, g.b_batch, z) + (long)k * g.b_k;
    p += ((long)z * ((g.n + NR - 1) / NR) * g.k + (long)n0 / NR * g.k + k) * NR;
    for (int j = 0; j < NR; j++)
        ST(n0 + j < g.n ? LD(b, (long)(n0 + j) * g.b_n) : 0.0f, p, j);
}

#ifdef COLS
#define LANES_ (256 / COLS)
/* BK: neighbours share a column, -DSUBS: all of a sub-group do; else they have one each. Work-items: (columns and lanes,
   1, rows of the batch). */
__kernel __attribute__((reqd_work_group_size(256, 1, 1)))
void gemm_few(TENSOR(const T, a), TENSOR(const T, b), TENSOR(T, c), TENSOR(const T, bias), TENSOR(const T, other),
              const gemm g)
{
    const int m = get_group_id(2) % g.m, z = get_group_id(2) / g.m, n0 = get_group_id(0) * COLS;
    OPEN(const T, a);
    OPEN(const T, b);
    OPEN(T, c);
    OPEN(const T, bias);
    OPEN(const T, other);
    a += batch_at(g.batch, g.a_batch, z) + (long)m * g.a_m;
    b += batch_at(g.batch, g.b_batch, z);
    c += batch_at(g.batch, g.c_batch, z) + (long)m * g.c_m;
    bias += g.bias_batch * z;
    other += batch_at(g.batch, g.o_batch, z) + (long)m * g.o_m;
#ifdef SUBS
    const int lane = get_sub_group_local_id(), lanes = get_sub_group_size();
    for (int n = n0 + get_sub_group_id(); n < min(n0 + COLS, g.n); n += get_num_sub_groups()) {
#else
    __local float part[256];
    const int id = get_local_id(0), lane = BK ? id % LANES_ : id / COLS, col = BK ? id / LANES_ : id % COLS;
    const int n = n0 + col, lanes = LANES_;
    {
#endif
        float x = 0;
        for (int k = lane; n < g.n && k < g.k; k += lanes)
            x = fma(LD(a, (long)k * g.a_k), LD(b, (long)n * g.b_n + (BK ? k : (long)k * g.b_k)), x);
#ifdef SUBS
        x = sub_group_reduce_add(x);
#else
        for (int most = LANES_ / 2; most > 0; most /= 2) {
            part[lane * COLS + col] = x;
            barrier(CLK_LOCAL_MEM_FENCE);
            if (lane < most)
                x += part[(lane + most) * COLS + col];
            barrier(CLK_LOCAL_MEM_FENCE);
        }
#endif
        if (lane == 0 && n < g.n) {
            EPILOGUE(float, x, LD(bias, n), LD(other, (long)n * g.o_n))
            ST(x, c, (long)n * g.c_n);
        }
    }
}
#endif

#ifdef TM
#define SIDE (TM / RM)             /* work-items along a side of the group */
#define TK (4 * SIDE * SIDE / TM)  /* each work-item brings four elements of a and four of b */
#define PAD 4
#define E4 CAT(E, 4)

/* Four elements from i on, `step` apart; zeros from `left` on. */
static E4 four(__global const T *p, long i, int step, int left)
{
    E4 v = 0;
    if (left <= 0)
        return v;
#ifdef VEC
    if (step == 1 && left >= 4)
        return LOAD_E4(p + i);
#endif
    v.x = LOAD_E(p, i);
    if (left > 1)
        v.y = LOAD_E(p, i + step);
    if (left > 2)
        v.z = LOAD_E(p, i + 2 * step);
    if (left > 3)
        v.w = LOAD_E(p, i + 3 * step);
    return v;
}

#ifdef CONV
/* The input at k = (tap, channel), and b's row there. */
static E conv_one(__global const T *a, const conv *w, int4 corner, int k)
{
    const int t = k / w->channels, ch = k - t * w->channels, hv = w->tap[1] * w->tap[2];
    const long x = x_of(w, corner, t / hv, t % hv / w->tap[2], t % w->tap[2]);
    return x < 0 ? 0 : LOAD_E(a, x + (long)ch * w->x_c);
}
static int conv_b_row(const conv *w, int k)
{
    const int t = k / w->channels, ch = k - t * w->channels, hv = w->tap[1] * w->tap[2];
    return (w->tap_at + t / hv * w->tap_w[0] + t % hv / w->tap[2] * w->tap_w[1] + t % w->tap[2] * w->tap_w[2]) *
               w->channels + ch;
}
static E4 conv_four(__global const T *a, const conv *w, int4 corner, int k, int left)
{
    E4 v = 0;
    if (left <= 0 || corner.x < 0)
        return v;
#ifdef VEC /* four channels of one tap */
    const int t = k / w->channels, ch = k - t * w->channels, hv = w->tap[1] * w->tap[2];
    const long x = x_of(w, corner, t / hv, t % hv / w->tap[2], t % w->tap[2]);
    if (x >= 0)
        v = LOAD_E4(a + x + ch);
#else
    v.x = conv_one(a, w, corner, k);
    if (left > 1)
        v.y = conv_one(a, w, corner, k + 1);
    if (left > 2)
        v.z = conv_one(a, w, corner, k + 2);
    if (left > 3)
        v.w = conv_one(a, w, corner, k + 3);
#endif
    return v;
}
#define B_ROW(k) conv_b_row(&w, k)
#else
#define B_ROW(k) (k)
#endif

/* What is loaded along k goes into local memory across it. */
#define PUT_ALONG(to, val, kk, at)                                                                                     \
    (to)[(kk) * (TM + PAD) + at] = val.x, (to)[(kk + 1) * (TM + PAD) + at] = val.y,                                    \
    (to)[(kk + 2) * (TM + PAD) + at] = val.z, (to)[(kk + 3) * (TM + PAD) + at] = val.w
#define PUT_ACROSS(to, val, kk, at) vstore4(val, 0, (to) + (kk) * (TM + PAD) + at)

#define ALONG_K(id) (id % (TK / 4) * 4)
#define ALONG_X(id) (id / (TK / 4))
#define ACROSS_K(id) (id / (TM / 4))
#define ACROSS_X(id) (id % (TM / 4) * 4)

#if AK
#define A_K ALONG_K(id)
#define A_X ALONG_X(id)
#define PUT_A PUT_ALONG
#ifdef CONV
#define GET_A(k0) conv_four(a, &w, corner, k0 + A_K, g.k - (k0 + A_K))
#else
#define GET_A(k0)                                                                                                      \
    (m0 + A_X < g.m ? four(a, (long)(m0 + A_X) * g.a_m + (long)(k0 + A_K) * g.a_k, g.a_k, g.k - (k0 + A_K)) : (E4)0)
#endif
#else
#define A_K ACROSS_K(id)
#define A_X ACROSS_X(id)
#define PUT_A PUT_ACROSS
#define GET_A(k0)                                                                                                      \
    (k0 + A_K < g.k ? four(a, (long)(m0 + A_X) * g.a_m + (long)(k0 + A_K) * g.a_k, g.a_m, g.m - (m0 + A_X)) : (E4)0)
#endif
#if BK
#define B_K ALONG_K(id)
#define B_X ALONG_X(id)
#define PUT_B PUT_ALONG
#define GET_B(k0)                                                                                                      \
    (n0 + B_X < g.n ? four(b, (long)(n0 + B_X) * g.b_n + (long)(k0 + B_K) * g.b_k, g.b_k, g.k - (k0 + B_K)) : (E4)0)
#else
#define B_K ACROSS_K(id)
#define B_X ACROSS_X(id)
#define PUT_B PUT_ACROSS
#define GET_B(k0)                                                                                                      \
    (k0 + B_K < g.k ? four(b, (long)(n0 + B_X) * g.b_n + (long)B_ROW(k0 + B_K) * g.b_k, g.b_n, g.n - (n0 + B_X)) : (E4)0)
#endif

#define RV (RM / 4)
__kernel __attribute__((reqd_work_group_size(SIDE, SIDE, 1)))
void gemm_tiles(TENSOR(const T, a), TENSOR(const T, b), TENSOR(T, c), TENSOR(const T, bias), TENSOR(const T, other),
                const gemm g CONV_PARAM)
{
    __local E as[2 * TK * (TM + PAD)], bs[2 * TK * (TM + PAD)];
    const int tx = get_local_id(0), ty = get_local_id(1), id = ty * SIDE + tx;
    const int n0 = get_group_id(0) * TM, m0 = get_group_id(1) * TM, z = get_group_id(2);
    OPEN(const T, a);
    OPEN(const T, b);
    OPEN(T, c);
    OPEN(const T, bias);
    OPEN(const T, other);
    a += batch_at(g.batch, g.a_batch, z);
    b += batch_at(g.batch, g.b_batch, z);
#ifdef CONV
    int4 corner = m0 + A_X < g.m ? corner_of(&w, m0 + A_X) : (int4)(-1);
#endif
    float4 acc[RM][RV];
    EACH(i, RM) EACH(q, RV) acc[i][q] = 0;
#ifdef FP16
    half4 sum[RM][RV];
    EACH(i, RM) EACH(q, RV) sum[i][q] = 0;
#else
#define sum acc
#endif
    E4 next_a = GET_A(0), next_b = GET_B(0);
    PUT_A(as, next_a, A_K, A_X);
    PUT_B(bs, next_b, B_K, B_X);
    barrier(CLK_LOCAL_MEM_FENCE);
    int half_ = 0;
    for (int k0 = 0; k0 < g.k; k0 += TK) {
        /* the next step's elements are on their way while this one is computed */
        next_a = GET_A(k0 + TK);
        next_b = GET_B(k0 + TK);
        __local const E *ap = as + half_ * TK * (TM + PAD) + ty * 4, *bp = bs + half_ * TK * (TM + PAD) + tx * 4;
        EACH(k, TK) {
            E4 y[RV];
            EACH(q, RV) y[q] = vload4(0, bp + k * (TM + PAD) + q * SIDE * 4);
            EACH(q, RV) {
                E4 x = vload4(0, ap + k * (TM + PAD) + q * SIDE * 4);
                EACH(j, RV) {
                    sum[q * 4 + 0][j] = fma((E4)x.x, y[j], sum[q * 4 + 0][j]);
                    sum[q * 4 + 1][j] = fma((E4)x.y, y[j], sum[q * 4 + 1][j]);
                    sum[q * 4 + 2][j] = fma((E4)x.z, y[j], sum[q * 4 + 2][j]);
                    sum[q * 4 + 3][j] = fma((E4)x.w, y[j], sum[q * 4 + 3][j]);
                }
            }
#ifdef FP16
            if (k % RUN == RUN - 1)
                EACH(i, RM) EACH(q, RV) {
                        acc[i][q] += convert_float4(sum[i][q]);
                        sum[i][q] = 0;
                    }
#endif
        }
        half_ = 1 - half_;
        PUT_A(as + half_ * TK * (TM + PAD), next_a, A_K, A_X);
        PUT_B(bs + half_ * TK * (TM + PAD), next_b, B_K, B_X);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    bias += g.bias_batch * z;
    c += batch_at(g.batch, g.c_batch, z);
    other += batch_at(g.batch, g.o_batch, z);
    EACH(i, RM) {
        const int m = m0 + i / 4 * SIDE * 4 + ty * 4 + i % 4;
        if (m < g.m) {
            __global T *to = C_ROW(m);
            __global const T *from = O_ROW(m);
            EACH(q, RV) {
                const int n = n0 + q * SIDE * 4 + tx * 4;
                float each[4] = { acc[i][q].x, acc[i][q].y, acc[i][q].z, acc[i][q].w };
                EACH(j, 4)
                    if (n + j < g.n) {
                        float x = each[j];
                        EPILOGUE(float, x, LD(bias, n + j), LD(from, (long)(n + j) * g.o_n))
                        ST(x, to, (long)(n + j) * g.c_n);
                    }
            }
        }
    }
}
#endif
#endif
