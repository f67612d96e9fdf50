/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Elements that move as they are: -DT is a type of their size. Shapes are given innermost first; sizes and strides count
 * elements. Indices (-DI=int or long) that lie outside are clamped, and the flag is raised.
 */
typedef struct {
    int dims[10], in[10], out[10];
} walk;

#ifdef RUN
#define IN0 1
#define OUT0 1
#else
#define IN0 w.in[0]
#define OUT0 w.out[0]
#endif

/* y[o . out] = x[o . in] for all o of dims; the axes from 2 on share the third index. */
__kernel void copy(TENSOR(const T, x), TENSOR(T, y), const walk w, const int rank, const int outer, const int x_first,
                   const int y_first)
{
    int c = get_global_id(0), r = get_global_id(1), z = get_global_id(2);
    OPEN(const T, x);
    OPEN(T, y);
    if (c >= w.dims[0] || r >= w.dims[1] || z >= outer)
        return;
    int from = x_first + c * IN0 + r * w.in[1], to = y_first + c * OUT0 + r * w.out[1];
    for (int d = 2; d < rank; d++) {
        int k = z % w.dims[d];
        z /= w.dims[d];
        from += k * w.in[d];
        to += k * w.out[d];
    }
    y[to] = x[from];
}

#ifdef TILE
/* The same where axis 1 is the dense one of x: through local memory, so that reading and writing are dense. */
__kernel void transpose(TENSOR(const T, x), TENSOR(T, y), const walk w, const int rank, const int outer,
                        const int x_first, const int y_first)
{
    __local T tile[16][17];
    int c = get_local_id(0), r = get_local_id(1), z = get_global_id(2);
    int c0 = get_group_id(0) * 16, r0 = get_group_id(1) * 16, from = x_first, to = y_first;
    OPEN(const T, x);
    OPEN(T, y);
    for (int d = 2; d < rank; d++) {
        int k = z % w.dims[d];
        z /= w.dims[d];
        from += k * w.in[d];
        to += k * w.out[d];
    }
    if (c0 + r < w.dims[0] && r0 + c < w.dims[1])
        tile[r][c] = x[from + (c0 + r) * w.in[0] + (r0 + c) * w.in[1]];
    barrier(CLK_LOCAL_MEM_FENCE);
    if (c0 + c < w.dims[0] && r0 + r < w.dims[1])
        y[to + (c0 + c) * w.out[0] + (r0 + r) * w.out[1]] = tile[c][r];
}
#endif

#ifdef I
static int place(long k, int n, __global int *flag)
{
    k += k < 0 ? n : 0;
    if (k >= 0 && k < n)
        return (int)k;
    *flag = 1;
    return 0;
}

/* y (outer, picks, n) = x (outer, rows, n) at index (picks) */
__kernel void gather(TENSOR(const T, x), TENSOR(const I, index), TENSOR(T, y), TENSOR(int, flag), const int n,
                     const int picks, const int outer, const int rows)
{
    int i = get_global_id(0), p = get_global_id(1), o = get_global_id(2);
    OPEN(const T, x);
    OPEN(const I, index);
    OPEN(T, y);
    OPEN(int, flag);
    if (i < n && p < picks && o < outer)
        y[((size_t)o * picks + p) * n + i] = x[((size_t)o * rows + place(index[p], rows, flag)) * n + i];
}

/* w: dims of the index, in: strides of the data, whose axis has `size`. */
__kernel void gather_elements(TENSOR(const T, x), TENSOR(const I, index), TENSOR(T, y), TENSOR(int, flag), const walk w,
                              const int rank, const int axis, const int size, const int n)
{
    int i = get_global_id(0), rest = i, from = 0;
    OPEN(const T, x);
    OPEN(const I, index);
    OPEN(T, y);
    OPEN(int, flag);
    if (i >= n)
        return;
    for (int d = 0; d < rank; d++) {
        int k = rest % w.dims[d];
        rest /= w.dims[d];
        from += (d == axis ? place(index[i], size, flag) : k) * w.in[d];
    }
    y[i] = x[from];
}

#ifdef N
#define Y ((__global MEM(N) *)y)
#define X ((__global const MEM(N) *)x)
#define PUT(at, from) SAVE(N, Y, at, JOIN(LOAD(N, Y, at), LOAD(N, X, from)))
#else
#define PUT(at, from) y[at] = x[from]
#endif
#define ADD(a, b) ((a) + (b))
#define MUL(a, b) ((a) * (b))
#define MIN(a, b) ((b) < (a) || (b) != (b) ? (b) : (a))
#define MAX(a, b) ((b) > (a) || (b) != (b) ? (b) : (a))

/* A work-item has one line along the axis, so that the last of equal indices wins; w.out: strides of the index. */
__kernel void scatter_elements(TENSOR(const T, x), TENSOR(const I, index), TENSOR(T, y), TENSOR(int, flag),
                               const walk w, const int rank, const int axis, const int size, const int n)
{
    int rest = get_global_id(0), from = 0, to = 0;
    OPEN(const T, x);
    OPEN(const I, index);
    OPEN(T, y);
    OPEN(int, flag);
    if (rest >= n)
        return;
    for (int d = 0; d < rank; d++) {
        if (d == axis)
            continue;
        int k = rest % w.dims[d];
        rest /= w.dims[d];
        from += k * w.out[d];
        to += k * w.in[d];
    }
    for (int k = 0; k < w.dims[axis]; k++, from += w.out[axis]) {
        int at = to + place(index[from], size, flag) * w.in[axis];
        PUT(at, from);
    }
}

/* Tuples of `width` coordinates (w.dims, strides w.in, outermost first) name slices of n elements. */
static int tuple(__global const I *index, walk w, int width, __global int *flag)
{
    int at = 0;
    for (int d = 0; d < width; d++)
        at += place(index[d], w.dims[d], flag) * w.in[d];
    return at;
}

__kernel void gather_tuples(TENSOR(const T, x), TENSOR(const I, index), TENSOR(T, y), TENSOR(int, flag), const walk w,
                            const int width, const int n, const int tuples, const int batch, const int batch_size)
{
    int i = get_global_id(0), t = get_global_id(1);
    OPEN(const T, x);
    OPEN(const I, index);
    OPEN(T, y);
    OPEN(int, flag);
    if (i < n && t < tuples)
        y[t * n + i] = x[t / batch * batch_size + tuple(index + t * width, w, width, flag) + i];
}

__kernel void scatter_tuples(TENSOR(const T, x), TENSOR(const I, index), TENSOR(T, y), TENSOR(int, flag), const walk w,
                             const int width, const int n, const int tuples)
{
    int i = get_global_id(0);
    OPEN(const T, x);
    OPEN(const I, index);
    OPEN(T, y);
    OPEN(int, flag);
    for (int t = 0; t < tuples && i < n; t++) {
        int at = tuple(index + t * width, w, width, flag) + i, from = t * n + i;
        PUT(at, from);
    }
}

#endif

#ifdef ONE_HOT
/* Ones of (outer, depth, inner) where the index (outer, inner) of type I says so. */
__kernel void one_hot(TENSOR(const MEM(ONE_HOT), index), TENSOR(const T, values), TENSOR(T, y), const int inner,
                      const int depth, const int n)
{
    int i = get_global_id(0);
    OPEN(const MEM(ONE_HOT), index);
    OPEN(const T, values);
    OPEN(T, y);
    if (i >= n)
        return;
    NUM(ONE_HOT) k = LOAD(ONE_HOT, index, i / (inner * depth) * inner + i % inner);
    int at = i / inner % depth;
    y[i] = values[k == (NUM(ONE_HOT))at || k + (NUM(ONE_HOT))depth == (NUM(ONE_HOT))at];
}
#endif

/* Positions of y (w.dims) are those of x less `in` on each axis (w.out: sizes of x); outside lies what mode says. */
__kernel void pad(TENSOR(const T, x), TENSOR(const T, value), TENSOR(T, y), const walk w, const int rank, const int unit,
                  const int mode, const int n, const T otherwise, const int given)
{
    int i = get_global_id(0), rest = i / unit, from = 0, step = unit, inside = 1;
    OPEN(const T, x);
    OPEN(const T, value);
    OPEN(T, y);
    if (i >= n)
        return;
    for (int d = 0; d < rank; d++) {
        int size = w.out[d], k = rest % w.dims[d] - w.in[d];
        rest /= w.dims[d];
        if (k < 0 || k >= size) {
            inside &= mode != 0;
            if (mode == 1 && size > 1) {
                k = abs(k) % (2 * size - 2);
                k = k < size ? k : 2 * size - 2 - k;
            } else if (mode == 3) {
                k = (k % size + size) % size;
            }
            k = clamp(k, 0, size - 1);
        }
        from += k * step;
        step *= size;
    }
    y[i] = inside ? x[from + i % unit] : given ? value[0] : otherwise;
}

/* y = v where keep says no (a diagonal at k), else x; what: 0 all v, 1 upper part, 2 lower part, 3 the diagonal is v. */
__kernel void diagonal(TENSOR(const T, x), TENSOR(T, y), const T v, const int what, const int k, const int rows,
                       const int cols, const int n)
{
    int i = get_global_id(0);
    OPEN(const T, x);
    OPEN(T, y);
    if (i >= n)
        return;
    int off = i % cols - i / cols % rows - k;
    if (what == 0)
        y[i] = v;
    else if (what == 3)
        y[i] = off == 0 ? v : (T)0;
    else
        y[i] = (what == 1 ? off >= 0 : off <= 0) ? x[i] : (T)0;
}

#ifdef SEQUENCE
/* The first length[b] rows of `inner` of each sequence turn round. Work-items: (inner, step, sequence). */
__kernel void reverse(TENSOR(const T, x), TENSOR(const long, length), TENSOR(T, y), TENSOR(int, flag), const int inner,
                      const int steps, const int batch, const int time_first)
{
    int i = get_global_id(0), t = get_global_id(1), b = get_global_id(2);
    OPEN(const T, x);
    OPEN(const long, length);
    OPEN(T, y);
    OPEN(int, flag);
    if (i >= inner || t >= steps || b >= batch)
        return;
    int n = clamp(length[b], 0L, (long)steps), from = t < n ? n - 1 - t : t;
    if (n != length[b])
        *flag = 1;
    y[(size_t)(time_first ? t * batch + b : b * steps + t) * inner + i] =
        x[(size_t)(time_first ? from * batch + b : b * steps + from) * inner + i];
}

/* Steps of x into a cache of `length`, from at[o / each] on; a circular one goes round. */
__kernel void into_cache(TENSOR(const T, x), TENSOR(const long, at), TENSOR(T, y), TENSOR(int, flag), const int inner,
                         const int steps, const int outer, const int length, const int each, const int circular,
                         const int given)
{
    int i = get_global_id(0), t = get_global_id(1), o = get_global_id(2);
    OPEN(const T, x);
    OPEN(const long, at);
    OPEN(T, y);
    OPEN(int, flag);
    if (i >= inner || t >= steps || o >= outer)
        return;
    long first = given ? at[o / each] : 0;
    if (first < 0 || (!circular && first > length - steps)) {
        *flag = 1;
        return;
    }
    y[((size_t)o * length + (first + t) % length) * inner + i] = x[((size_t)o * steps + t) * inner + i];
}
#endif

#ifdef RANGE
__kernel void range(TENSOR(MEM(RANGE), y), const NUM(RANGE) first, const NUM(RANGE) step, const int n)
{
    int i = get_global_id(0);
    OPEN(MEM(RANGE), y);
    if (i < n)
        SAVE(RANGE, y, i, first + step * (NUM(RANGE))i);
}
#endif

#ifdef TAPER
/* a - b cos(pi i step) + c cos(2 pi i step) */
__kernel void taper(TENSOR(MEM(TAPER), y), const float a, const float b, const float c, const float step, const int n)
{
    int i = get_global_id(0);
    OPEN(MEM(TAPER), y);
    if (i < n)
        SAVE(TAPER, y, i, a - b * cospi(i * step) + c * cospi(2 * i * step));
}
#endif

#ifdef UNPOOL
/* y[the place of at[i] among w.dims, by w.out] = x[i]. */
__kernel void unpool(TENSOR(const T, x), TENSOR(const long, at), TENSOR(T, y), TENSOR(int, flag), const walk w,
                     const int rank, const int n)
{
    int i = get_global_id(0), to = 0;
    OPEN(const T, x);
    OPEN(const long, at);
    OPEN(T, y);
    OPEN(int, flag);
    if (i >= n)
        return;
    long k = at[i];
    bool bad = k < 0;
    for (int d = 0; d < rank; d++) {
        to += (int)(k % w.dims[d]) * w.out[d];
        k /= w.dims[d];
    }
    if (bad || k > 0)
        *flag = 1;
    else
        y[to] = x[i];
}
#endif
