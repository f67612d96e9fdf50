/* SPDX-License-Identifier: BSD-2-Clause */
/* Sampling at computed places, sums over labelled axes, the first of an order; kernels/sample.h, einsum.h and order.h say
   what. -DT: type of the data, C: what is computed with. */
#pragma OPENCL FP_CONTRACT OFF

#ifdef G
typedef struct {
    int dims[3], rank, channels, points, count, padding, align; /* padding: 0 zeros, 1 border, 2 reflection */
} grid;

static float reflect(float x, float low, float high)
{
    float range = high - low, d = x < low ? low - x : x > high ? x - high : 0;
    if (!(range > 0))
        return low;
    if (d == 0)
        return x;
    float n = trunc(d / range), r = d - n * range;
    return (x < low) == (fmod(n, 2.0f) == 0) ? low + r : high - r;
}

static int place(const grid *g, float i, int d)
{
    float last = d - 1;
    if (!(i >= 0 && i <= last)) {
        if (g->padding == 0 || isnan(i))
            return -1;
        if (g->padding == 2)
            i = trunc(g->align ? reflect(i, 0, last) : reflect(i, -0.5f, last + 0.5f));
        i = i > 0 ? i < last ? i : last : 0;
    }
    return (int)i;
}

static float coordinate(const grid *g, float n, int size)
{
    float d = size, x = g->align ? (n + 1) / 2 * (d - 1) : ((n + 1) * d - 1) / 2;
#if TAPS == 1
    x = rint(x);
#endif
    float low = g->align ? 0 : -0.5f, high = g->align ? d - 1 : d - 0.5f;
    if (x < low || x > high)
        x = g->padding == 1 ? (x < 0 ? 0 : d - 1) : g->padding == 2 ? reflect(x, low, high) : x;
    return x;
}

/* TAPS: 1 nearest, 2 linear, 4 cubic. Work-items: (point, channel, sample). */
__kernel void sample(TENSOR(const MEM(T), x), TENSOR(const MEM(G), where), TENSOR(MEM(T), y), const grid g)
{
    int p = get_global_id(0), c = get_global_id(1), n = get_global_id(2), all = 1, plane = 1;
    OPEN(const MEM(T), x);
    OPEN(const MEM(G), where);
    OPEN(MEM(T), y);
    if (p >= g.points || c >= g.channels || n >= g.count)
        return;
    int at[3][4];
    float weight[3][4];
    for (int i = 0; i < g.rank; i++) {
        float v = coordinate(&g, LOAD(G, where, ((size_t)n * g.points + p) * g.rank + g.rank - 1 - i), g.dims[i]);
        float first = TAPS == 1 ? trunc(v) : floor(v), f = v - first, e = 1 - f;
#if TAPS == 1
        weight[i][0] = 1;
#elif TAPS == 2
        weight[i][0] = e;
        weight[i][1] = f;
#else
        const float a = -0.75f;
        weight[i][0] = ((a * (f + 1) - 5 * a) * (f + 1) + 8 * a) * (f + 1) - 4 * a;
        weight[i][1] = ((a + 2) * f - (a + 3)) * f * f + 1;
        weight[i][2] = ((a + 2) * e - (a + 3)) * e * e + 1;
        weight[i][3] = ((a * (e + 1) - 5 * a) * (e + 1) + 8 * a) * (e + 1) - 4 * a;
#endif
        for (int k = 0; k < TAPS; k++)
            at[i][k] = place(&g, first + k - (TAPS == 4), g.dims[i]);
        all *= TAPS;
        plane *= g.dims[i];
    }
    C sum = 0;
    for (int k = 0; k < all; k++) {
        float w = 1;
        int from = 0, inside = 1;
        for (int i = 0, rest = k; i < g.rank; i++, rest /= TAPS) {
            inside &= at[i][rest % TAPS] >= 0;
            from = from * g.dims[i] + max(at[i][rest % TAPS], 0);
            w *= weight[i][rest % TAPS];
        }
        if (inside)
            sum += (C)w * LOAD(T, x, ((size_t)n * g.channels + c) * plane + from);
    }
    SAVE(T, y, ((size_t)n * g.channels + c) * g.points + p, sum);
}
#endif

#ifdef AFFINE
/* Work-items: (point, sample); dims innermost first. */
__kernel void affine(TENSOR(const MEM(T), theta), TENSOR(MEM(T), y), const int d0, const int d1, const int d2,
                     const int rank, const int align, const int points, const int count)
{
    int p = get_global_id(0), n = get_global_id(1), rest = p;
    OPEN(const MEM(T), theta);
    OPEN(MEM(T), y);
    if (p >= points || n >= count)
        return;
    int dims[3] = { d0, d1, d2 };
    C x[4] = { 1, 1, 1, 1 };
    for (int i = 0; i < rank; i++) {
        C at = rest % dims[i];
        x[i] = align ? (dims[i] > 1 ? 2 * at / (dims[i] - 1) : 0) - 1 : (2 * at + 1) / dims[i] - 1;
        rest /= dims[i];
    }
    x[rank] = 1;
    for (int k = 0; k < rank; k++) {
        C sum = 0;
        for (int j = 0; j <= rank; j++)
            sum += LOAD(T, theta, (n * rank + k) * (rank + 1) + j) * x[j];
        SAVE(T, y, ((size_t)n * points + p) * rank + k, sum);
    }
}
#endif

#ifdef ROI
typedef struct {
    int in[2], out[2], channels, ratio, half_pixel, images, count;
    float scale;
} roi;

/* ROI: 1 the mean of samples, 2 their maximum. Work-items: (place, channel, region). */
__kernel void roi_align(TENSOR(const MEM(T), x), TENSOR(const MEM(T), boxes), TENSOR(const long, image),
                        TENSOR(MEM(T), y), TENSOR(int, flag), const roi g)
{
    int p = get_global_id(0), c = get_global_id(1), r = get_global_id(2);
    OPEN(const MEM(T), x);
    OPEN(const MEM(T), boxes);
    OPEN(const long, image);
    OPEN(MEM(T), y);
    OPEN(int, flag);
    if (p >= g.out[0] * g.out[1] || c >= g.channels || r >= g.count)
        return;
    if (image[r] < 0 || image[r] >= g.images) {
        *flag = 1;
        return;
    }
    C start[2], bin[2], shift = g.half_pixel ? 0.5f : 0, sum = ROI == 2 ? -INFINITY : 0;
    int steps[2], at[2] = { p / g.out[1], p % g.out[1] };
    for (int i = 0; i < 2; i++) {
        start[i] = LOAD(T, boxes, 4 * r + 1 - i) * g.scale - shift;
        C size = LOAD(T, boxes, 4 * r + 3 - i) * g.scale - shift - start[i];
        if (!g.half_pixel && !(size >= 1))
            size = 1;
        bin[i] = size / g.out[i];
        steps[i] = g.ratio > 0 ? g.ratio : (int)fmin((C)4096, fmax((C)0, ceil(bin[i])));
    }
    x += ((size_t)image[r] * g.channels + c) * g.in[0] * g.in[1];
    for (int a = 0; a < steps[0]; a++)
        for (int b = 0; b < steps[1]; b++) {
            C v[2] = { start[0] + at[0] * bin[0] + (a + (C)0.5f) * bin[0] / steps[0],
                       start[1] + at[1] * bin[1] + (b + (C)0.5f) * bin[1] / steps[1] };
            C f[2], got[4] = { 0, 0, 0, 0 };
            int lo[2], hi[2];
            bool far = false;
            for (int i = 0; i < 2; i++) {
                far |= !(v[i] >= -1 && v[i] <= g.in[i]);
                C u = fmin(fmax(v[i], (C)0), (C)(g.in[i] - 1));
                lo[i] = (int)u;
                hi[i] = min(lo[i] + 1, g.in[i] - 1);
                f[i] = u - lo[i];
            }
            if (!far) {
                got[0] = (1 - f[0]) * (1 - f[1]) * LOAD(T, x, lo[0] * g.in[1] + lo[1]);
                got[1] = (1 - f[0]) * f[1] * LOAD(T, x, lo[0] * g.in[1] + hi[1]);
                got[2] = f[0] * (1 - f[1]) * LOAD(T, x, hi[0] * g.in[1] + lo[1]);
                got[3] = f[0] * f[1] * LOAD(T, x, hi[0] * g.in[1] + hi[1]);
            }
            if (ROI == 2)
                sum = fmax(sum, fmax(fmax(got[0], got[1]), fmax(got[2], got[3])));
            else
                sum += got[0] + got[1] + got[2] + got[3];
        }
    if (ROI == 1)
        sum /= max(steps[0] * steps[1], 1);
    else if (steps[0] * steps[1] == 0)
        sum = 0;
    SAVE(T, y, ((size_t)r * g.channels + c) * g.out[0] * g.out[1] + p, sum);
}
#endif

#ifdef COL2IM
typedef struct {
    int image[6], block[6], blocks[6], stride[6], dilation[6], pad[6]; /* outermost first */
    int rank, taps, all, points, planes;
} columns;

/* Work-items: (point, plane). */
__kernel void col2im(TENSOR(const MEM(T), x), TENSOR(MEM(T), y), const columns g)
{
    int p = get_global_id(0), plane = get_global_id(1);
    OPEN(const MEM(T), x);
    OPEN(MEM(T), y);
    if (p >= g.points || plane >= g.planes)
        return;
    C sum = 0;
    for (int k = 0; k < g.taps; k++) {
        int at = p, tap = k, block = 0, scale = 1, hit = 1;
        for (int i = g.rank - 1; i >= 0; i--) {
            int v = at % g.image[i] + g.pad[i] - tap % g.block[i] * g.dilation[i];
            hit &= v >= 0 && v % g.stride[i] == 0 && v / g.stride[i] < g.blocks[i];
            block += v / g.stride[i] * scale;
            scale *= g.blocks[i];
            at /= g.image[i];
            tap /= g.block[i];
        }
        if (hit)
            sum += LOAD(T, x, ((size_t)plane * g.taps + k) * g.all + block);
    }
    SAVE(T, y, (size_t)plane * g.points + p, sum);
}
#endif

#ifdef EINSUM
typedef struct {
    int kept, labels, sums, count; /* labels: those of the output, then those that are summed */
    int dims[10], strides[OPERANDS][10];
} einsum;
#define IN(k) TENSOR(const MEM(T), x##k)
#define FACTOR(k)                                                                                                      \
    if (OPERANDS > k) {                                                                                                \
        OPEN(const MEM(T), x##k);                                                                                      \
        v *= LOAD(T, x##k, at[min(k, OPERANDS - 1)]);                                                                  \
    }
__kernel void sums(IN(0), IN(1), IN(2), IN(3), TENSOR(MEM(T), y), const einsum g)
{
    int o = get_global_id(0), rest = o, first[OPERANDS], at[OPERANDS];
    OPEN(MEM(T), y);
    if (o >= g.count)
        return;
    for (int i = 0; i < OPERANDS; i++)
        first[i] = 0;
    for (int d = g.kept - 1; d >= 0; d--) {
        for (int i = 0; i < OPERANDS; i++)
            first[i] += rest % g.dims[d] * g.strides[i][d];
        rest /= g.dims[d];
    }
    C sum = 0;
    for (int k = 0; k < g.sums; k++) {
        rest = k;
        for (int i = 0; i < OPERANDS; i++)
            at[i] = first[i];
        for (int d = g.labels - 1; d >= g.kept; d--) {
            for (int i = 0; i < OPERANDS; i++)
                at[i] += rest % g.dims[d] * g.strides[i][d];
            rest /= g.dims[d];
        }
        C v = 1;
        FACTOR(0)
        FACTOR(1)
        FACTOR(2)
        FACTOR(3)
        sum += v;
    }
    SAVE(T, y, o, sum);
}
#endif

#ifdef TOP
/* An element's place in the order of its line is how many come before it. Work-items: (element, line). */
__kernel void top(TENSOR(const MEM(T), x), TENSOR(MEM(T), y), TENSOR(long, index), const int axis, const int inner,
                  const int lines, const int k)
{
    int i = get_global_id(0), o = get_global_id(1), before = 0;
    OPEN(const MEM(T), x);
    OPEN(MEM(T), y);
    OPEN(long, index);
    if (i >= axis || o >= lines)
        return;
    x += (size_t)(o / inner) * axis * inner + o % inner;
    NUM(T) v = LOAD(T, x, (size_t)i * inner);
    for (int j = 0; j < axis; j++) {
        NUM(T) w = LOAD(T, x, (size_t)j * inner);
        bool same = w == v || (w != w && v != v), larger = w > v || (w != w && v == v);
        before += same ? j < i : larger != (TOP & 1);
    }
    if (before >= k)
        return;
    size_t to = (size_t)(o / inner) * k * inner + (size_t)before * inner + o % inner;
    if (TOP & 2)
        y[to] = x[(size_t)i * inner];
    if (TOP & 4)
        index[to] = i;
}
#endif

#ifdef DET
/* By elimination in room. A work-item has a matrix. */
__kernel void det(TENSOR(const MEM(T), x), TENSOR(MEM(T), y), TENSOR(C, room), const int n, const int count)
{
    const int m = get_global_id(0);
    OPEN(const MEM(T), x);
    OPEN(MEM(T), y);
    OPEN(C, room);
    if (m >= count)
        return;
    C det = 1;
    room += m * n * n;
    for (int i = 0; i < n * n; i++)
        room[i] = LOAD(T, x, m * n * n + i);
    for (int k = 0; k < n && det != 0; k++) {
        int pivot = k;
        for (int i = k + 1; i < n; i++)
            if (fabs(room[i * n + k]) > fabs(room[pivot * n + k]))
                pivot = i;
        const C first = room[pivot * n + k];
        det *= pivot == k ? first : -first;
        for (int j = k; j < n; j++) {
            const C v = room[pivot * n + j];
            room[pivot * n + j] = room[k * n + j];
            room[k * n + j] = v;
        }
        for (int i = k + 1; i < n && first != 0; i++) {
            const C f = room[i * n + k] / first;
            for (int j = k + 1; j < n; j++)
                room[i * n + j] -= f * room[k * n + j];
        }
    }
    SAVE(T, y, m, det);
}
#endif

#ifdef DEFORM
typedef struct {
    int in[2], out[2], taps[2], stride[2], dilation[2], pad[2], in_channels, out_channels, groups, offset_groups;
    int bias, mask;
} deform;

/* Work-items: (points, channels, samples) of y. */
__kernel void deform_conv(TENSOR(const MEM(T), x), TENSOR(const MEM(T), w), TENSOR(const MEM(T), offset),
                          TENSOR(const MEM(T), bias), TENSOR(const MEM(T), mask), TENSOR(MEM(T), y), const deform g)
{
    const int p = get_global_id(0), o = get_global_id(1), n = get_global_id(2);
    const int points = g.out[0] * g.out[1], taps = g.taps[0] * g.taps[1], each = g.in_channels / g.groups;
    if (p >= points || o >= g.out_channels)
        return;
    OPEN(const MEM(T), x);
    OPEN(const MEM(T), w);
    OPEN(const MEM(T), offset);
    OPEN(const MEM(T), bias);
    OPEN(const MEM(T), mask);
    OPEN(MEM(T), y);
    C sum = g.bias ? LOAD(T, bias, o) : 0;
    for (int i = 0; i < each; i++) {
        const int c = o / (g.out_channels / g.groups) * each + i;
        const int f = (n * g.offset_groups + c / (g.in_channels / g.offset_groups)) * taps;
        __global const MEM(T) *plane = x + (n * g.in_channels + c) * g.in[0] * g.in[1];
        for (int k = 0; k < taps; k++) {
            const C v = p / g.out[1] * g.stride[0] - g.pad[0] + k / g.taps[1] * g.dilation[0] +
                        LOAD(T, offset, (f + k) * 2 * points + p);
            const C h = p % g.out[1] * g.stride[1] - g.pad[1] + k % g.taps[1] * g.dilation[1] +
                        LOAD(T, offset, (f + k) * 2 * points + points + p);
            if (!(v > -1 && v < g.in[0] && h > -1 && h < g.in[1]))
                continue;
            const int v0 = (int)floor(v), h0 = (int)floor(h);
            C at = 0;
            for (int q = 0; q < 4; q++) {
                const int r = v0 + q / 2, s = h0 + q % 2;
                if (r >= 0 && r < g.in[0] && s >= 0 && s < g.in[1])
                    at += (1 - fabs(v - r)) * (1 - fabs(h - s)) * LOAD(T, plane, r * g.in[1] + s);
            }
            if (g.mask)
                at *= LOAD(T, mask, (f + k) * points + p);
            sum += at * LOAD(T, w, (o * each + i) * taps + k);
        }
    }
    SAVE(T, y, (n * g.out_channels + o) * points + p, sum);
}
#endif
