/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reductions on vectors, f32. A file includes a vec_*.h, defines MBR_REDUCE_NAME and includes this.
 *
 * Sums run in a few vectors for a block of elements, and block by block into f64.
 */
#include "kernels/reduce.h"
#include "kernels/simd/math_nn.h"

#include <math.h>

#define REDUCE_BLOCK 2048

/* The least that an operator needs: what is done to an element, how two are joined. */
typedef enum reduce_kind {
    REDUCE_PLUS,     /* x */
    REDUCE_PLUS_ABS, /* |x| */
    REDUCE_PLUS_SQ,  /* x^2 */
    REDUCE_PLUS_EXP, /* e^(x - shift) */
    REDUCE_TIMES,
    REDUCE_LARGEST,
    REDUCE_LEAST
} reduce_kind;

MBR_INLINE vf reduce_start(reduce_kind kind)
{
    return vf_set1(kind == REDUCE_TIMES     ? 1.0f
                   : kind == REDUCE_LARGEST ? -INFINITY
                   : kind == REDUCE_LEAST   ? INFINITY
                                            : 0.0f);
}

MBR_INLINE vf reduce_step(reduce_kind kind, vf acc, vf x, vf shift)
{
    switch (kind) {
    case REDUCE_PLUS:
        return vf_add(acc, x);
    case REDUCE_PLUS_ABS:
        return vf_add(acc, vf_abs(x));
    case REDUCE_PLUS_SQ:
        return vf_fma(x, x, acc);
    case REDUCE_PLUS_EXP:
        return vf_add(acc, vf_exp(vf_sub(x, shift)));
    case REDUCE_TIMES:
        return vf_mul(acc, x);
    case REDUCE_LARGEST:
        return vf_max_nan(acc, x);
    default:
        return vf_min_nan(acc, x);
    }
}

/* Two partial results of one output. */
MBR_INLINE vf reduce_join_vec(reduce_kind kind, vf a, vf b)
{
    return kind == REDUCE_TIMES     ? vf_mul(a, b)
           : kind == REDUCE_LARGEST ? vf_max_nan(a, b)
           : kind == REDUCE_LEAST   ? vf_min_nan(a, b)
                                    : vf_add(a, b);
}

static inline double reduce_join(reduce_kind kind, double a, double b)
{
    switch (kind) {
    case REDUCE_TIMES:
        return a * b;
    case REDUCE_LARGEST:
        return a > b || isnan(a) ? a : b;
    case REDUCE_LEAST:
        return a < b || isnan(a) ? a : b;
    default:
        return a + b;
    }
}

MBR_NOINLINE static double reduce_lanes(reduce_kind kind, vf v)
{
    float x[MBR_VL];
    if (kind != REDUCE_TIMES && kind != REDUCE_LARGEST && kind != REDUCE_LEAST)
        return (double)vf_sum(v);
    vf_store(x, v);
    double r = (double)x[0];
    for (int i = 1; i < MBR_VL; i++)
        r = reduce_join(kind, r, (double)x[i]);
    return r;
}

/* n dense elements of one output. */
MBR_INLINE double reduce_block(reduce_kind kind, const float *x, size_t n, vf shift)
{
    vf a[4];
    for (int k = 0; k < 4; k++)
        a[k] = reduce_start(kind);
    size_t i = 0;
    for (; i + 4 * MBR_VL <= n; i += 4 * MBR_VL)
        for (int k = 0; k < 4; k++)
            a[k] = reduce_step(kind, a[k], vf_load(x + i + (size_t)k * MBR_VL), shift);
    for (; i + MBR_VL <= n; i += MBR_VL)
        a[0] = reduce_step(kind, a[0], vf_load(x + i), shift);
    if (i < n)
        a[1] = vf_select(vm_first_n(n - i), reduce_step(kind, a[1], vf_load_n(x + i, n - i), shift), a[1]);
    vf r = reduce_join_vec(kind, reduce_join_vec(kind, a[0], a[1]), reduce_join_vec(kind, a[2], a[3]));
    return reduce_lanes(kind, r);
}

/* The coordinates over the reduced dimensions outside the innermost one. */
typedef struct reduce_walk {
    int rank;
    size_t dims[MBR_KERNEL_RANK], stride[MBR_KERNEL_RANK], at[MBR_KERNEL_RANK];
    size_t count;
} reduce_walk;

/* Sets the walk up and returns the offset of output `index` of the kept dimensions before the innermost one. */
MBR_NOINLINE static size_t reduce_locate(const mbr_reduce_args *a, size_t index, reduce_walk *w)
{
    size_t base = 0, step = a->inner;
    w->rank = 0;
    w->count = 1;
    w->dims[0] = 1; /* stays where no other dimension is reduced */
    w->stride[0] = w->at[0] = 0;
    for (int d = a->rank - 2; d >= 0; d--) {
        if (a->reduced[d]) {
            w->dims[w->rank] = a->dims[d];
            w->stride[w->rank] = step;
            w->at[w->rank++] = 0;
            w->count *= a->dims[d];
        } else {
            base += index % a->dims[d] * step;
            index /= a->dims[d];
        }
        step *= a->dims[d];
    }
    return base;
}

/* The first coordinate has come to its end: it starts over, and the next one advances. */
MBR_NOINLINE static size_t reduce_carry(reduce_walk *w, size_t offset)
{
    for (int d = 0;;) {
        offset -= w->at[d] * w->stride[d];
        w->at[d] = 0;
        if (++d >= w->rank)
            return offset;
        offset += w->stride[d];
        if (++w->at[d] < w->dims[d])
            return offset;
    }
}

static inline size_t reduce_next(reduce_walk *w, size_t offset)
{
    offset += w->stride[0];
    return ++w->at[0] < w->dims[0] ? offset : reduce_carry(w, offset);
}

/* One output whose innermost dimension is reduced. */
MBR_INLINE double reduce_rows_kind(reduce_kind kind, const mbr_reduce_args *a, size_t index, float shift)
{
    reduce_walk w;
    size_t offset = reduce_locate(a, index, &w);
    const vf s = vf_set1(shift);
    double r = (double)(kind == REDUCE_TIMES     ? 1.0f
                        : kind == REDUCE_LARGEST ? -INFINITY
                        : kind == REDUCE_LEAST   ? INFINITY
                                                 : 0.0f);
    for (size_t k = 0; k < w.count; k++, offset = reduce_next(&w, offset)) {
        const float *x = (const float *)a->in + offset;
        for (size_t i = 0; i < a->inner; i += REDUCE_BLOCK) {
            size_t n = a->inner - i < REDUCE_BLOCK ? a->inner - i : REDUCE_BLOCK;
            r = reduce_join(kind, r, reduce_block(kind, x + i, n, s));
        }
    }
    return r;
}

MBR_NOINLINE static double reduce_rows(reduce_kind kind, const mbr_reduce_args *a, size_t index, float shift)
{
    switch (kind) {
    case REDUCE_PLUS: return reduce_rows_kind(REDUCE_PLUS, a, index, shift);
    case REDUCE_PLUS_ABS: return reduce_rows_kind(REDUCE_PLUS_ABS, a, index, shift);
    case REDUCE_PLUS_SQ: return reduce_rows_kind(REDUCE_PLUS_SQ, a, index, shift);
    case REDUCE_PLUS_EXP: return reduce_rows_kind(REDUCE_PLUS_EXP, a, index, shift);
    case REDUCE_TIMES: return reduce_rows_kind(REDUCE_TIMES, a, index, shift);
    case REDUCE_LARGEST: return reduce_rows_kind(REDUCE_LARGEST, a, index, shift);
    default: return reduce_rows_kind(REDUCE_LEAST, a, index, shift);
    }
}

#define REDUCE_GROUP 4 /* vectors of columns that go together */
#define REDUCE_COLUMNS (REDUCE_GROUP * MBR_VL)

/* The first n lanes of a block's result join what was there. */
MBR_NOINLINE static void reduce_merge(reduce_kind kind, vf v, double *r, size_t n)
{
    float x[MBR_VL];
    vf_store(x, v);
    for (size_t i = 0; i < n; i++)
        r[i] = reduce_join(kind, r[i], (double)x[i]);
}

/* n <= REDUCE_COLUMNS neighbouring outputs whose innermost dimension is kept. full: n is all of them. */
MBR_INLINE void reduce_columns_kind(reduce_kind kind, const mbr_reduce_args *a, size_t row, size_t col, size_t n,
                                    const float *shift, double *r, bool full)
{
    reduce_walk w;
    size_t offset = reduce_locate(a, row, &w) + col;
    vf s[REDUCE_GROUP], acc[REDUCE_GROUP];
    int vectors = full ? REDUCE_GROUP : (int)((n + MBR_VL - 1) / MBR_VL);
    size_t lanes[REDUCE_GROUP] = {0};
    float x[MBR_VL];
    for (int v = 0; v < vectors; v++) {
        lanes[v] = n - (size_t)v * MBR_VL < MBR_VL ? n - (size_t)v * MBR_VL : MBR_VL;
        s[v] = kind == REDUCE_PLUS_EXP ? vf_load_n(shift + v * MBR_VL, lanes[v]) : vf_zero();
    }
    vf_store(x, reduce_start(kind));
    for (size_t i = 0; i < n; i++)
        r[i] = (double)x[0];
    for (size_t k = 0; k < w.count;) {
        size_t end = w.count - k < REDUCE_BLOCK ? w.count : k + REDUCE_BLOCK;
        for (int v = 0; v < vectors; v++)
            acc[v] = reduce_start(kind);
        for (; k < end; k++, offset = reduce_next(&w, offset)) {
            const float *p = (const float *)a->in + offset;
            for (int v = 0; v < vectors; v++) {
                vf y = full ? vf_load(p + v * MBR_VL) : vf_load_n(p + v * MBR_VL, lanes[v]);
                acc[v] = reduce_step(kind, acc[v], y, s[v]);
            }
        }
        for (int v = 0; v < vectors; v++)
            reduce_merge(kind, acc[v], r + v * MBR_VL, lanes[v]);
    }
}

MBR_NOINLINE static void reduce_columns(reduce_kind kind, const mbr_reduce_args *a, size_t row, size_t col, size_t n,
                           const float *shift, double *r)
{
#define CASE(kind)                                                                                                     \
    case kind:                                                                                                         \
        if (n == REDUCE_COLUMNS)                                                                                       \
            reduce_columns_kind(kind, a, row, col, n, shift, r, true);                                                 \
        else                                                                                                           \
            reduce_columns_kind(kind, a, row, col, n, shift, r, false);                                                \
        break
    switch (kind) {
        CASE(REDUCE_PLUS);
        CASE(REDUCE_PLUS_ABS);
        CASE(REDUCE_PLUS_SQ);
        CASE(REDUCE_PLUS_EXP);
        CASE(REDUCE_TIMES);
        CASE(REDUCE_LARGEST);
        CASE(REDUCE_LEAST);
    }
#undef CASE
}

static reduce_kind reduce_kind_of(mbr_reduce_op op)
{
    switch (op) {
    case MBR_REDUCE_MAX: return REDUCE_LARGEST;
    case MBR_REDUCE_MIN: return REDUCE_LEAST;
    case MBR_REDUCE_PROD: return REDUCE_TIMES;
    case MBR_REDUCE_L1: return REDUCE_PLUS_ABS;
    case MBR_REDUCE_L2:
    case MBR_REDUCE_SUM_SQUARE: return REDUCE_PLUS_SQ;
    case MBR_REDUCE_LOG_SUM_EXP: return REDUCE_PLUS_EXP;
    default: return REDUCE_PLUS;
    }
}

static float reduce_finish(mbr_reduce_op op, double r, size_t count, float shift)
{
    switch (op) {
    case MBR_REDUCE_MEAN: return (float)(r / (double)count);
    case MBR_REDUCE_L2: return (float)sqrt(r);
    case MBR_REDUCE_LOG_SUM: return (float)log(r);
    case MBR_REDUCE_LOG_SUM_EXP: return isinf(shift) ? shift : (float)((double)shift + log(r));
    default: return (float)r;
    }
}

void MBR_REDUCE_NAME(const mbr_reduce_args *a, size_t first, size_t last)
{
    if (a->dtype != MBR_DTYPE_F32 || a->reduced_count == 0) {
        mbr_reduce_ref(a, first, last);
        return;
    }
    reduce_kind kind = reduce_kind_of(a->op);
    float *out = a->out;
    bool shifted = a->op == MBR_REDUCE_LOG_SUM_EXP;
    if (a->inner_reduced) {
        for (size_t t = first; t < last; t++) {
            float shift = shifted ? (float)reduce_rows(REDUCE_LARGEST, a, t, 0.0f) : 0.0f;
            out[t] = reduce_finish(a->op, reduce_rows(kind, a, t, shift), a->reduced_count, shift);
        }
        return;
    }
    size_t strips = (a->inner + a->strip - 1) / a->strip;
    for (size_t t = first; t < last; t++) {
        size_t row = t / strips, from = t % strips * a->strip;
        size_t end = a->inner - from < a->strip ? a->inner : from + a->strip;
        for (size_t c = from; c < end; c += REDUCE_COLUMNS) {
            size_t n = end - c < REDUCE_COLUMNS ? end - c : REDUCE_COLUMNS;
            float shift[REDUCE_COLUMNS] = {0};
            double r[REDUCE_COLUMNS];
            if (shifted) {
                reduce_columns(REDUCE_LARGEST, a, row, c, n, shift, r);
                for (size_t i = 0; i < n; i++)
                    shift[i] = (float)r[i];
            }
            reduce_columns(kind, a, row, c, n, shift, r);
            for (size_t i = 0; i < n; i++)
                out[row * a->inner + c + i] = reduce_finish(a->op, r[i], a->reduced_count, shift[i]);
        }
    }
}
