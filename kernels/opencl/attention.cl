/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * softmax(scale q k^T [soft cap] + mask) v in one pass over blocks of keys, with a running maximum and sum; no matrix of
 * scores. -DREAL, -DMASK: 0 none, 1 added, 2 bytes that are true where a key is seen.
 *
 * attention_rows: a work-item makes RQ rows; keys lie in panels of 16, (batch, kv head, panel, d, 16). For CPUs.
 * attention_tiles: a group makes B rows; blocks of B keys and values go through local memory.
 * DV: dv rounded up to 16. D: d rounded up to 4.
 * attention_plain: as kernels/attention_any.h has it, any type T in C, with all options. A work-item makes a row.
 */
typedef struct {
    long q[3], k[3], v[3], o[3], mask[4]; /* strides: batch, head, row (, column) */
    int heads, group, lq, lk, d, dv, mask_cols;
    /* by_sample: 1 keys of each sample, 2 and its last row is the last key's, 3 as ints, less one, and so where there is a
       past (offset) */
    int causal, left, right, offset, by_sample;
    float scale, softcap, empty;
    int clean;
} attend;

/* How many keys sample b has, and where its first row is among them. */
static int2 place_of(const attend *g, __global const long *count, int b)
{
    int keys = g->lk;
    if (g->by_sample)
        keys = g->by_sample == 3 ? min(((__global const int *)count)[b], keys - 1) + 1 : (int)count[b];
    if (g->by_sample == 3)
        return (int2)(keys, g->offset ? max(keys - g->lq, 0) : 0);
    return (int2)(keys, g->by_sample == 2 ? keys - g->lq : g->offset);
}

#ifdef STAGE
/* Bits of FLAGS: 1 rounded at each step, 2 but not in the softmax, 4 a sink, 8 one more in the sum. */
#define R(x) (FLAGS & 1 ? ROUND(T, x) : (x))
__kernel void attention_plain(TENSOR(const MEM(T), q), TENSOR(const MEM(T), k), TENSOR(const MEM(T), v),
                              TENSOR(const MEM(M), mask), TENSOR(const long, count), TENSOR(const MEM(T), sink),
                              TENSOR(MEM(T), o), TENSOR(MEM(T), scores), TENSOR(C, room), const attend g)
{
    const int row = get_global_id(0), h = get_global_id(1), b = get_global_id(2);
    if (row >= g.lq || h >= g.heads)
        return;
    OPEN(const MEM(T), q);
    OPEN(const MEM(T), k);
    OPEN(const MEM(T), v);
    OPEN(const MEM(M), mask);
    OPEN(const long, count);
    OPEN(const MEM(T), sink);
    OPEN(MEM(T), o);
    OPEN(MEM(T), scores);
    OPEN(C, room);
    const long line = ((long)(b * g.heads + h) * g.lq + row) * g.lk;
    const int2 place = place_of(&g, count, b);
    const int keys = place.x, at = row + place.y;
    C most = -INFINITY, total = 0;
    bool masked = true;
    q += b * g.q[0] + h * g.q[1] + row * g.q[2];
    k += b * g.k[0] + h / g.group * g.k[1];
    v += b * g.v[0] + h / g.group * g.v[1];
    o += b * g.o[0] + h * g.o[1] + row * g.o[2];
    scores += line;
    room += line;
    for (int j = 0; j < g.lk; j++) {
        C x = 0, bias = 0;
        for (int c = 0; c < g.d; c++)
            x += R(LOAD(T, q, c) * (FLAGS & 1 ? ROUND(T, sqrt(g.scale)) : 1)) *
                 R(LOAD(T, k, j * g.k[2] + c) * (FLAGS & 1 ? ROUND(T, sqrt(g.scale)) : 1));
        x = FLAGS & 1 ? ROUND(T, x) : x * g.scale;
        if (STAGE == 0)
            SAVE(T, scores, j, x);
        if (g.softcap > 0)
            x = R(R(tanh(R(x / g.softcap))) * g.softcap);
        if (STAGE == 1)
            SAVE(T, scores, j, x);
        if (j >= keys || (g.causal && j > at) || (g.left >= 0 && j < at - g.left) || (g.right >= 0 && j > at + g.right) ||
            (MASK > 0 && j >= g.mask_cols))
            bias = -INFINITY;
        else if (MASK)
            bias = LOAD(M, mask, b * g.mask[0] + h * g.mask[1] + row * g.mask[2] + j * g.mask[3]);
        if (MASK == 2 && bias != -INFINITY)
            bias = bias != 0 ? 0 : -INFINITY;
        masked &= bias == -INFINITY;
        x = R(x + bias);
        if (STAGE == 2)
            SAVE(T, scores, j, x);
        room[j] = x;
        if (x > most || isnan(x))
            most = x;
    }
    if (FLAGS & 12) {
        const C s = FLAGS & 4 ? (C)LOAD(T, sink, h) : 0;
        most = most > s ? most : s;
        total = exp(s - most);
    }
    masked |= most == -INFINITY;
    for (int j = 0; j < g.lk; j++) {
        room[j] = masked ? 0 : (FLAGS & 3) == 1 ? ROUND(T, exp(ROUND(T, room[j] - most))) : exp(room[j] - most);
        total += room[j];
#ifdef SUM_STEPS
        total = ROUND(T, total);
#endif
    }
    if ((FLAGS & 3) == 1)
        total = ROUND(T, total);
    for (int j = 0; j < g.lk; j++) {
        room[j] = total == 0 ? 0 : R(room[j] / total);
        if (STAGE == 3)
            SAVE(T, scores, j, room[j]);
    }
    for (int c = 0; c < g.dv; c++) {
        C sum = 0;
        for (int j = 0; j < g.lk; j++)
            if (room[j] != 0)
                sum += room[j] * LOAD(T, v, j * g.v[2] + c);
        SAVE(T, o, c, sum);
    }
}
#endif

#ifdef REAL
#if MASK == 2
typedef uchar M;
#else
typedef T M;
#endif

/* A score as the softmax sees it: rows and keys are counted from 0. */
static float seen(const attend *g, float s, __global const M *mask, int row, int key, int keys, int offset)
{
    s *= g->scale;
    if (g->softcap > 0)
        s = g->softcap * tanh(s / g->softcap);
    const int at = row + offset;
    if (key >= keys || (g->causal && key > at) || (g->left >= 0 && key < at - g->left) ||
        (g->right >= 0 && key > at + g->right))
        return -INFINITY;
#if MASK
    if (key >= g->mask_cols)
        return -INFINITY;
#if MASK == 2
    if (!mask[row * g->mask[2] + key * g->mask[3]])
        return -INFINITY;
#else
    s += LD(mask, row * g->mask[2] + key * g->mask[3]);
#endif
#endif
    return s;
}

static float last_of(const attend *g, float x, float sum)
{
    if (sum == 0)
        return g->empty;
    return g->clean && isnan(sum) ? 0.0f : x / sum;
}

#define BEGIN                                                                                                          \
    OPEN(const T, q);                                                                                                  \
    OPEN(const T, v);                                                                                                  \
    OPEN(const M, mask);                                                                                               \
    OPEN(T, o);                                                                                                        \
    OPEN(const long, count);                                                                                           \
    q += b * g.q[0] + h * g.q[1];                                                                                      \
    v += b * g.v[0] + h / g.group * g.v[1];                                                                            \
    mask += b * g.mask[0] + h * g.mask[1];                                                                             \
    o += b * g.o[0] + h * g.o[1];                                                                                      \
    const int2 place = place_of(&g, count, b);                                                                         \
    const int keys = place.x, offset = place.y;

#ifdef RQ
#define FV CAT(float, VF)
#define NV (16 / VF)
#define KB 64

/* Work-items: (blocks of rows, heads, batch). */
__kernel void attention_rows(TENSOR(const T, q), TENSOR(const T, k), TENSOR(const T, v), TENSOR(const M, mask),
                             TENSOR(const long, count), TENSOR(T, o), const attend g)
{
    const int row0 = get_global_id(0) * RQ, h = get_global_id(1), b = get_global_id(2);
    if (row0 >= g.lq)
        return;
    OPEN(const T, k);
    BEGIN
    k += ((long)b * (g.heads / g.group) + h / g.group) * ((g.lk + 15) / 16) * 16 * g.d;
    float p[RQ][KB], top[RQ], sum[RQ], out[RQ][DV];
    __global const T *row[RQ];
#pragma unroll
    for (int r = 0; r < RQ; r++) {
        top[r] = -INFINITY;
        sum[r] = 0;
        row[r] = q + min(row0 + r, g.lq - 1) * g.q[2];
        for (int i = 0; i < DV; i++)
            out[r][i] = 0;
    }
    const int end = g.causal ? clamp(row0 + RQ + offset, 0, keys) : keys;
    for (int k0 = 0; k0 < end; k0 += KB) {
        const int n = min(KB, end - k0);
        for (int j = 0; j < n; j += 16) {
            __global const T *y = k + (long)(k0 + j) * g.d;
            FV acc[RQ][NV];
#pragma unroll
            for (int r = 0; r < RQ; r++)
#pragma unroll
                for (int i = 0; i < NV; i++)
                    acc[r][i] = 0;
            for (int c = 0; c < g.d; c++, y += 16) {
                FV key[NV];
#pragma unroll
                for (int i = 0; i < NV; i++)
                    key[i] = LDN(VF, y + i * VF);
#pragma unroll
                for (int r = 0; r < RQ; r++)
#pragma unroll
                    for (int i = 0; i < NV; i++)
                        acc[r][i] = fma((FV)LD(row[r], c), key[i], acc[r][i]);
            }
#pragma unroll
            for (int r = 0; r < RQ; r++)
#pragma unroll
                for (int i = 0; i < NV; i++)
                    CAT(vstore, VF)(acc[r][i], 0, p[r] + j + i * VF);
        }
#pragma unroll
        for (int r = 0; r < RQ; r++) {
            float most = top[r];
            for (int j = 0; j < n; j++) {
                p[r][j] = seen(&g, p[r][j], mask, min(row0 + r, g.lq - 1), k0 + j, keys, offset);
                most = fmax(most, p[r][j]);
            }
            const float less = most == -INFINITY ? 0.0f : most, keep = exp(top[r] - less);
            FV s = 0;
            for (int j = n; j < (n + VF - 1) / VF * VF; j++)
                p[r][j] = -INFINITY;
            for (int j = 0; j < n; j += VF) {
                const FV e = exp(CAT(vload, VF)(0, p[r] + j) - less);
                CAT(vstore, VF)(e, 0, p[r] + j);
                s += e;
            }
            float each[VF], one = 0;
            CAT(vstore, VF)(s, 0, each);
            for (int i = 0; i < VF; i++)
                one += each[i];
            sum[r] = sum[r] * keep + one;
            top[r] = most;
            if (keep != 1)
                for (int i = 0; i < DV; i++)
                    out[r][i] *= keep;
        }
        for (int c = 0; c < g.dv; c += 16) {
            __global const T *x = v + k0 * g.v[2] + c;
            const bool whole = c + 16 <= g.dv;
            FV acc[RQ][NV];
#pragma unroll
            for (int r = 0; r < RQ; r++)
#pragma unroll
                for (int i = 0; i < NV; i++)
                    acc[r][i] = CAT(vload, VF)(0, out[r] + c + i * VF);
            for (int j = 0; j < n; j++, x += g.v[2]) {
                FV val[NV];
                if (whole) {
#pragma unroll
                    for (int i = 0; i < NV; i++)
                        val[i] = LDN(VF, x + i * VF);
                } else {
                    float some[16];
                    for (int i = 0; i < 16; i++)
                        some[i] = c + i < g.dv ? LD(x, i) : 0.0f;
#pragma unroll
                    for (int i = 0; i < NV; i++)
                        val[i] = CAT(vload, VF)(0, some + i * VF);
                }
#pragma unroll
                for (int r = 0; r < RQ; r++)
#pragma unroll
                    for (int i = 0; i < NV; i++)
                        acc[r][i] = fma((FV)p[r][j], val[i], acc[r][i]);
            }
#pragma unroll
            for (int r = 0; r < RQ; r++)
#pragma unroll
                for (int i = 0; i < NV; i++)
                    CAT(vstore, VF)(acc[r][i], 0, out[r] + c + i * VF);
        }
    }
    for (int r = 0; r < RQ && row0 + r < g.lq; r++)
        for (int i = 0; i < g.dv; i++)
            ST(last_of(&g, out[r][i], sum[r]), o, (row0 + r) * g.o[2] + i);
}
#endif

/* Keys in panels: work-items (key, head, batch). */
__kernel void attention_pack(TENSOR(const T, k), TENSOR(T, to), const attend g)
{
    const int key = get_global_id(0), h = get_global_id(1), b = get_global_id(2), panels = (g.lk + 15) / 16;
    if (key >= panels * 16)
        return;
    OPEN(const T, k);
    OPEN(T, to);
    k += b * g.k[0] + h * g.k[1] + key * g.k[2];
    to += (((long)b * (g.heads / g.group) + h) * panels + key / 16) * 16 * g.d + key % 16;
    for (int c = 0; c < g.d; c++)
        ST(key < g.lk ? LD(k, c) : 0.0f, to, c * 16);
}

#endif

#ifdef JOIN
typedef struct {
    long to[3], from[3]; /* batch, head, row */
    long first, bias; /* the first element of x and of the bias */
    int heads, rows, cols, pad;
} copy;

/* Rows of keys or values, from row `at` on: those of the past, and new ones behind them; -DT: with a bias, of which
   `heads` follow each other. Work-items: (column, row, batch and head). */
__kernel void attention_join(TENSOR(const JOIN, x), TENSOR(JOIN, to), TENSOR(const JOIN, bias), const long at,
                             const copy g)
{
    const int c = get_global_id(0), r = get_global_id(1), b = get_global_id(2) / g.heads, h = get_global_id(2) % g.heads;
    if (c >= g.cols || r >= g.rows)
        return;
    OPEN(const JOIN, x);
    OPEN(JOIN, to);
    to += b * g.to[0] + h * g.to[1] + (at + r) * g.to[2] + c;
    x += g.first + b * g.from[0] + h * g.from[1] + r * g.from[2] + c;
#ifdef T
    OPEN(const JOIN, bias);
    SAVE(T, to, 0, LOAD(T, x, 0) + LOAD(T, bias, g.bias + h * g.cols + c));
#else
    *to = *x;
#endif
}
#endif

#ifdef CACHE
typedef struct {
    long past[3], from[3], to[3]; /* batch, head, row */
    long first;                   /* the first element of x */
    int heads, rows, cols, tokens, past_rows, lk;
    int pairs, table_rows, interleaved, positions, queries; /* pairs: that are turned; positions: are given */
} cache;

/*
 * GroupQueryAttention's keys or values, rows of the past with new ones behind them and zeros behind those; or, queries,
 * the new rows alone. The first 2 pairs elements of new ones are turned. Work-items: (column, row, batch and head).
 */
__kernel void attention_cache(TENSOR(const MEM(CACHE), x), TENSOR(const MEM(CACHE), past), TENSOR(const int, lens),
                              TENSOR(const MEM(CACHE), cosine), TENSOR(const MEM(CACHE), sine),
                              TENSOR(const long, position), TENSOR(MEM(CACHE), to), TENSOR(int, flag), const cache g)
{
    const int c = get_global_id(0), r = get_global_id(1), b = get_global_id(2) / g.heads, h = get_global_id(2) % g.heads;
    if (c >= g.cols || r >= g.rows)
        return;
    OPEN(const MEM(CACHE), x);
    OPEN(const MEM(CACHE), past);
    OPEN(const int, lens);
    OPEN(const MEM(CACHE), cosine);
    OPEN(const MEM(CACHE), sine);
    OPEN(const long, position);
    OPEN(MEM(CACHE), to);
    OPEN(int, flag);
    const long keys = (long)lens[b] + 1, before = g.past_rows > 0 ? max(keys - g.tokens, 0L) : 0;
    const long t = g.queries ? r : r - before;
    if (keys < 1 || keys > g.lk || before > g.past_rows || before + g.tokens > g.lk) {
        *flag = 1;
        return;
    }
    x += g.first + b * g.from[0] + h * g.from[1] + t * g.from[2];
    to += b * g.to[0] + h * g.to[1] + r * g.to[2] + c;
    if (t < 0) {
        SAVE(CACHE, to, 0, LOAD(CACHE, past, b * g.past[0] + h * g.past[1] + r * g.past[2] + c));
    } else if (t >= g.tokens) {
        SAVE(CACHE, to, 0, (NUM(CACHE))0);
    } else if (c >= 2 * g.pairs) {
        SAVE(CACHE, to, 0, LOAD(CACHE, x, c));
    } else {
        const long row = g.positions ? position[b * g.tokens + t] : before + t;
        const bool second = g.interleaved ? c & 1 : c >= g.pairs;
        const int other = g.interleaved ? c ^ 1 : second ? c - g.pairs : c + g.pairs, i = g.interleaved ? c / 2 : c % g.pairs;
        if (row < 0 || row >= g.table_rows) {
            *flag = 1;
            return;
        }
        const NUM(CACHE) s = LOAD(CACHE, sine, row * g.pairs + i), there = s * LOAD(CACHE, x, other);
        SAVE(CACHE, to, 0, LOAD(CACHE, cosine, row * g.pairs + i) * LOAD(CACHE, x, c) + (second ? there : -there));
    }
}
#endif

#ifdef FILTER
typedef struct {
    long bias[2];                 /* strides of batch and head */
    int heads, rows, cols, batch, pad; /* pad: dimensions of the padding; rows: of the mask, pads: of the padding */
    int pads, starts, has;        /* starts: they follow the ends; has: a bias */
    float filter;
} padding;

/* One mask of padding and bias: (batch, heads, rows, cols). Work-items: (column, row, batch and head). */
__kernel void attention_mask(TENSOR(const int, pad), TENSOR(const MEM(FILTER), bias), TENSOR(MEM(FILTER), to),
                             const padding g)
{
    const int c = get_global_id(0), r = get_global_id(1), b = get_global_id(2) / g.heads, h = get_global_id(2) % g.heads;
    if (c >= g.cols || r >= g.rows)
        return;
    OPEN(const int, pad);
    OPEN(const MEM(FILTER), bias);
    OPEN(MEM(FILTER), to);
    const bool keep = g.pad == 1 ? c < pad[b] && (!g.starts || c >= pad[g.batch + b])
                                 : pad[((long)b * g.pads + (g.pads > 1 ? r : 0)) * g.cols + c] != 0;
    const NUM(FILTER) x = g.has ? LOAD(FILTER, bias, b * g.bias[0] + h * g.bias[1] + (long)r * g.cols + c) : 0;
    SAVE(FILTER, to, ((long)get_global_id(2) * g.rows + r) * g.cols + c, keep ? x : x + g.filter);
}
#endif

#ifdef B
#define SIDE (B / 4)
#define COLS (DV / SIDE) /* of the answer, a work-item's */

__kernel __attribute__((reqd_work_group_size(SIDE, SIDE, 1)))
void attention_tiles(TENSOR(const T, q), TENSOR(const T, k), TENSOR(const T, v), TENSOR(const M, mask),
                     TENSOR(const long, count), TENSOR(T, o), const attend g)
{
    __local float qs[D * B], ks[D * B], vs[B * DV], ps[B * (B + 1)];
    const int tx = get_local_id(0), ty = get_local_id(1), id = ty * SIDE + tx;
    const int row0 = get_group_id(0) * B, h = get_group_id(1), b = get_group_id(2);
    OPEN(const T, k);
    BEGIN
    k += b * g.k[0] + h / g.group * g.k[1];
    for (int i = id; i < D * B; i += SIDE * SIDE) {
        const int r = i / D, c = i % D;
        qs[c * B + r] = row0 + r < g.lq && c < g.d ? LD(q, (row0 + r) * g.q[2] + c) : 0.0f;
    }
    float top[4], sum[4], out[4][COLS];
#pragma unroll
    for (int r = 0; r < 4; r++) {
        top[r] = -INFINITY;
        sum[r] = 0;
#pragma unroll
        for (int i = 0; i < COLS; i++)
            out[r][i] = 0;
    }
    const int end = g.causal ? clamp(row0 + B + offset, 0, keys) : keys;
    for (int k0 = 0; k0 < end; k0 += B) {
        for (int i = id; i < D * B; i += SIDE * SIDE) {
            const int r = i / D, c = i % D;
            ks[c * B + r] = k0 + r < keys && c < g.d ? LD(k, (k0 + r) * g.k[2] + c) : 0.0f;
        }
        for (int i = id; i < B * DV; i += SIDE * SIDE) {
            const int r = i / DV, c = i % DV;
            vs[i] = k0 + r < keys && c < g.dv ? LD(v, (k0 + r) * g.v[2] + c) : 0.0f;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        float4 acc[4];
#pragma unroll
        for (int r = 0; r < 4; r++)
            acc[r] = 0;
        for (int c = 0; c < D; c++) {
            const float4 x = vload4(0, qs + c * B + ty * 4), y = vload4(0, ks + c * B + tx * 4);
            acc[0] = fma((float4)x.x, y, acc[0]);
            acc[1] = fma((float4)x.y, y, acc[1]);
            acc[2] = fma((float4)x.z, y, acc[2]);
            acc[3] = fma((float4)x.w, y, acc[3]);
        }
#pragma unroll
        for (int r = 0; r < 4; r++) {
            const int row = min(row0 + ty * 4 + r, g.lq - 1), key = k0 + tx * 4;
            __local float *to = ps + (ty * 4 + r) * (B + 1) + tx * 4;
            to[0] = seen(&g, acc[r].x, mask, row, key, keys, offset);
            to[1] = seen(&g, acc[r].y, mask, row, key + 1, keys, offset);
            to[2] = seen(&g, acc[r].z, mask, row, key + 2, keys, offset);
            to[3] = seen(&g, acc[r].w, mask, row, key + 3, keys, offset);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        float keep[4], less[4];
#pragma unroll
        for (int r = 0; r < 4; r++) {
            float most = top[r];
            for (int j = 0; j < B; j++)
                most = fmax(most, ps[(ty * 4 + r) * (B + 1) + j]);
            less[r] = most == -INFINITY ? 0.0f : most;
            keep[r] = exp(top[r] - less[r]);
            top[r] = most;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll
        for (int r = 0; r < 4; r++) {
            __local float *to = ps + (ty * 4 + r) * (B + 1) + tx * 4;
#pragma unroll
            for (int j = 0; j < 4; j++)
                to[j] = exp(to[j] - less[r]);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll
        for (int r = 0; r < 4; r++) {
            sum[r] *= keep[r];
#pragma unroll
            for (int i = 0; i < COLS; i++)
                out[r][i] *= keep[r];
        }
        for (int j = 0; j < B; j++) {
            float val[COLS];
#pragma unroll
            for (int i = 0; i < COLS; i++)
                val[i] = vs[j * DV + i * SIDE + tx];
#pragma unroll
            for (int r = 0; r < 4; r++) {
                const float p = ps[(ty * 4 + r) * (B + 1) + j];
                sum[r] += p;
#pragma unroll
                for (int i = 0; i < COLS; i++)
                    out[r][i] = fma(p, val[i], out[r][i]);
            }
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
#pragma unroll
    for (int r = 0; r < 4; r++)
        if (row0 + ty * 4 + r < g.lq)
#pragma unroll
            for (int i = 0; i < COLS; i++)
                if (i * SIDE + tx < g.dv)
                    ST(last_of(&g, out[r][i], sum[r]), o, (row0 + ty * 4 + r) * g.o[2] + i * SIDE + tx);
}
#endif
