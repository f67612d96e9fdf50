/* SPDX-License-Identifier: BSD-2-Clause */
/* Max, average and Lp pools, of windows and of whole images. -DREAL, VC: channels of a work-item, PLANES: as in conv.cl. */
#if VC == 1
#define FV float
#define LDV(p) ((float)LD(p, 0))
#define STV(v, p) ST(v, p, 0)
#else
#define FV CAT(float, VC)
#define LDV(p) LDN(VC, p)
#define STV(v, p) STN(VC, v, p)
#endif

#ifdef PLANES
#define CHANNEL 1
#else
#define CHANNEL 0
#endif

enum { MAX, AVERAGE, LP };

typedef struct {
    long x_n, y_n;
    int in[3], out[3], tap[3], stride[3], step[3], start[3], end[3]; /* end: of the padded input */
    int x[3], x_c, y[3], y_c; /* strides */
    int n, channels, op, p, count_pad, pass_nan, column_major;
} pool;

static FV fold(int op, int p, FV a, FV x)
{
    if (op == LP)
        x = p == 1 ? fabs(x) : p == 2 ? x * x : pow(fabs(x), (FV)p);
    return a + x;
}

static FV last_of(int op, int p, FV a, float count)
{
    if (op == AVERAGE)
        return count == 0 ? (FV)0 : a / count;
    return op == MAX || p == 1 ? a : p == 2 ? sqrt(a) : pow(a, (FV)(1.0f / p));
}

/* Work-items: (channels, points of a row, rows), PLANES: the first two change places. */
__kernel void pool_windows(TENSOR(const T, x), TENSOR(T, y), TENSOR(long, index), const pool g)
{
    const int ch = get_global_id(CHANNEL) * VC, v = get_global_id(1 - CHANNEL);
    int row = get_global_id(2);
    if (ch >= g.channels || v >= g.out[2])
        return;
    OPEN(const T, x);
    OPEN(T, y);
    const int h = row % g.out[1], d = row / g.out[1] % g.out[0], n = row / g.out[1] / g.out[0];
    const int d0 = d * g.stride[0] + g.start[0], h0 = h * g.stride[1] + g.start[1], v0 = v * g.stride[2] + g.start[2];
    FV a = g.op == MAX ? -INFINITY : 0;
    bool first = true;
    int inside = 0, padded = 0;
#ifdef INDEX
    int best = 0;
#endif
    x += n * g.x_n + (long)ch * g.x_c;
    for (int i = 0, id = d0; i < g.tap[0]; i++, id += g.step[0])
        for (int j = 0, ih = h0; j < g.tap[1]; j++, ih += g.step[1])
            for (int k = 0, iv = v0; k < g.tap[2]; k++, iv += g.step[2]) {
                padded += id < g.end[0] && ih < g.end[1] && iv < g.end[2];
                if (id < 0 || id >= g.in[0] || ih < 0 || ih >= g.in[1] || iv < 0 || iv >= g.in[2])
                    continue;
                const FV e = LDV(x + (long)id * g.x[0] + (long)ih * g.x[1] + (long)iv * g.x[2]);
                inside++;
                if (g.op != MAX) {
                    a = fold(g.op, g.p, a, e);
                    continue;
                }
#ifdef INDEX
                if (first || e > a || (g.pass_nan && isnan(a) && !isnan(e)))
                    best = g.column_major ? id + g.in[0] * (ih + g.in[1] * iv) : (id * g.in[1] + ih) * g.in[2] + iv;
#endif
                a = first ? e : g.pass_nan ? fmax(a, e) : e > a ? e : a;
                first = false;
            }
    const long to = n * g.y_n + (long)ch * g.y_c + (long)d * g.y[0] + (long)h * g.y[1] + (long)v * g.y[2];
    STV(last_of(g.op, g.p, a, g.count_pad ? padded : inside), y + to);
#ifdef INDEX
    OPEN(long, index);
    index[to] = ((long)n * g.channels + ch) * g.in[0] * g.in[1] * g.in[2] + best;
#endif
}

/*
 * Of (n, points, channels) by strides, x[2] from point to point. A group of (channels, lanes) work-items takes every
 * lanes-th point each; some: a sum of each.
 */
__kernel void pool_whole(TENSOR(const T, x), TENSOR(T, y), const pool g, __local float *some)
{
    const int ch = get_global_id(0) * VC, lane = get_local_id(1), lanes = get_local_size(1), n = get_global_id(2);
    __local float *mine = some + (lane * get_local_size(0) + get_local_id(0)) * VC;
    OPEN(const T, x);
    OPEN(T, y);
    FV a = g.op == MAX ? -INFINITY : 0;
    if (ch < g.channels)
        for (int i = lane; i < g.in[2]; i += lanes) {
            const FV e = LDV(x + n * g.x_n + (long)ch * g.x_c + (long)i * g.x[2]);
            a = g.op != MAX ? fold(g.op, g.p, a, e) : e <= a ? a : e;
        }
#if VC == 1
    *mine = a;
#else
    CAT(vstore, VC)(a, 0, mine);
#endif
    barrier(CLK_LOCAL_MEM_FENCE);
    if (lane > 0 || ch >= g.channels)
        return;
    for (int i = 1; i < lanes; i++) {
#if VC == 1
        const FV e = mine[i * get_local_size(0)];
#else
        const FV e = CAT(vload, VC)(i * get_local_size(0), mine);
#endif
        a = g.op != MAX ? a + e : e <= a ? a : e;
    }
    STV(last_of(g.op, g.p, a, g.in[2]), y + n * g.y_n + (long)ch * g.y_c);
}
