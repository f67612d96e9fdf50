/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reductions: -DT is the type, -DA what is added up in, -DINIT=where it begins. FOLD takes an element in, JOIN two parts
 * together, FINISH makes the result of n elements. LINE, LANE, MEET: see common.cl.
 */
#define WORST(op, a, b) ((b) op (a) || (b) != (b) ? (b) : (a))
#define BIG(a, b) WORST(>, a, b)
#define SMALL(a, b) WORST(<, a, b)
#define PLUS(a, b) ((a) + (b))
#define TIMES(a, b) ((a) * (b))
#define SELF(x) (x)
#define SQUARED(x) ((x) * (x))
#define POSITIVE(x) ((x) < 0 ? -(x) : (x))
#define AS_IS(a, n) (a)
#define MEAN(a, n) ((a) / (A)(n))
#define ROOT(a, n) sqrt(a)
#define LOGARITHM(a, n) log(a)

#define MEET_PLUS MEET_SUM
#define MEET_TIMES(A, v, here) MEET(A, v, here, a * b)
#define MEET_BIG(A, v, here) MEET(A, v, here, BIG(a, b))
#define MEET_SMALL(A, v, here) MEET(A, v, here, SMALL(a, b))

#ifdef JOIN
/* Innermost axes first; those that stay, and those that go. */
typedef struct {
    int kept, gone, kept_rank, gone_rank;
    int kept_dims[8], kept_strides[8], gone_dims[8], gone_strides[8];
} shape;

static int place_of(int i, int rank, __private const int *dims, __private const int *strides)
{
    int at = 0;
    for (int d = 0; d < rank; d++) {
        at += i % dims[d] * strides[d];
        i /= dims[d];
    }
    return at;
}

#ifdef ONE
#define ELEMENT(k) ((A)LOAD(T, x, base + (k) * step))
#else
#define ELEMENT(k) ((A)LOAD(T, x, base + place_of(k, s.gone_rank, s.gone_dims, s.gone_strides)))
#endif

#ifdef COLUMNS
/* Of f32 (outer, gone, inner): a work-item has 16 columns, of which `inner` may leave few for the last. */
__kernel void reduce_columns(TENSOR(const float, x), TENSOR(float, y), const int outer, const int gone, const int inner)
{
    int c = get_global_id(0) * 16, o = get_global_id(1);
    OPEN(const float, x);
    OPEN(float, y);
    if (c >= inner || o >= outer)
        return;
    x += (size_t)o * gone * inner + c;
    y += (size_t)o * inner + c;
    if (c + 16 <= inner) {
        float16 v = INIT;
        for (int k = 0; k < gone; k++) {
            float16 e = vload16(0, x + (size_t)k * inner);
            v = JOIN(v, TERM(e));
        }
        vstore16(FINISH(v, gone), 0, y);
        return;
    }
    for (int i = 0; i < inner - c; i++) {
        float v = INIT;
        for (int k = 0; k < gone; k++) {
            float e = x[(size_t)k * inner + i];
            v = JOIN(v, TERM(e));
        }
        y[i] = FINISH(v, gone);
    }
}
#endif

__kernel void reduce(TENSOR(const MEM(T), x), TENSOR(MEM(T), y), const shape s, __local A *here)
{
    int o = LINE;
    OPEN(const MEM(T), x);
    OPEN(MEM(T), y);
    if (o >= s.kept)
        return;
    int base = place_of(o, s.kept_rank, s.kept_dims, s.kept_strides), step = s.gone_strides[0], k = LANE;
    A v = INIT;
#if defined(ALONE) && defined(ONE)
    A part[8];
    for (int j = 0; j < 8; j++)
        part[j] = INIT;
    for (; k + 8 <= s.gone; k += 8)
#pragma unroll
        for (int j = 0; j < 8; j++) {
            A e = ELEMENT(k + j);
            part[j] = JOIN(part[j], TERM(e));
        }
    for (int j = 0; j < 8; j++)
        v = JOIN(v, part[j]);
#endif
    for (; k < s.gone; k += LANES) {
        A e = ELEMENT(k);
        v = JOIN(v, TERM(e));
    }
    CAT(MEET_, JOIN)(A, v, here);
#ifdef EXPONENTIAL
    A sum = 0;
    for (k = LANE; k < s.gone; k += LANES) {
        A e = ELEMENT(k);
        sum += e == v ? (A)1 : exp(e - v);
    }
    MEET_SUM(A, sum, here);
    v = s.gone ? v + log(sum) : v;
#endif
    if (LANE == 0)
        SAVE(T, y, o, FINISH(v, s.gone));
}
#endif

#ifdef BEST
/* Where the largest or smallest (-DBEST=BIG or SMALL) of (outer, axis, inner) is; the first of equal ones, or last. */
__kernel void arg(TENSOR(const MEM(T), x), TENSOR(long, y), const int axis, const int inner, const int n, const int last,
                  __local A *here, __local int *where)
{
    int o = LINE;
    OPEN(const MEM(T), x);
    OPEN(long, y);
    if (o >= n)
        return;
    x += (size_t)(o / inner) * axis * inner + o % inner;
    A v = LOAD(T, x, 0);
    for (int k = LANE; k < axis; k += LANES) {
        A e = LOAD(T, x, (size_t)k * inner);
        v = BEST(v, e);
    }
    MEET(A, v, here, BEST(a, b));
    int at = last ? -1 : axis;
    for (int k = LANE; k < axis; k += LANES) {
        A e = LOAD(T, x, (size_t)k * inner);
        if (e == v || (e != e && v != v))
            at = last ? k : min(at, k);
    }
    MEET(int, at, where, last ? max(a, b) : min(a, b));
    if (LANE == 0)
        y[o] = at;
}
#endif

#ifdef SCAN
/* Running sums or products along the axis of (outer, axis, inner). */
__kernel void scan(TENSOR(const MEM(T), x), TENSOR(MEM(T), y), const int axis, const int inner, const int n,
                   const int exclusive, const int reverse)
{
    int o = get_global_id(0);
    OPEN(const MEM(T), x);
    OPEN(MEM(T), y);
    if (o >= n)
        return;
    size_t first = (size_t)(o / inner) * axis * inner + o % inner;
    A v = INIT;
    for (int i = 0; i < axis; i++) {
        size_t at = first + (size_t)(reverse ? axis - 1 - i : i) * inner;
        A e = LOAD(T, x, at), before = v;
        v = SCAN(v, e);
        SAVE(T, y, at, exclusive ? before : v);
    }
}
#endif
