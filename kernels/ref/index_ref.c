/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/index.h"

#include "kernels/real.h"

#include <math.h>
#include <string.h>

static inline int64_t index_at(const void *index, bool wide, size_t i)
{
    return wide ? ((const int64_t *)index)[i] : ((const int32_t *)index)[i];
}

static inline void move(void *to, const void *from, size_t size)
{
    switch (size) {
    case 1:
        memcpy(to, from, 1);
        break;
    case 2:
        memcpy(to, from, 2);
        break;
    case 4:
        memcpy(to, from, 4);
        break;
    case 8:
        memcpy(to, from, 8);
        break;
    default:
        memcpy(to, from, size);
    }
}

/* Complex numbers are ordered by their real parts first. */
static void combine_complex(mbr_binary_op op, mbr_dtype dtype, void *to, const void *from, size_t n)
{
    mbr_dtype part = dtype == MBR_DTYPE_COMPLEX64 ? MBR_DTYPE_F32 : MBR_DTYPE_F64;
    for (size_t i = 0; i < n; i++) {
        double x = mbr_real_get(part, to, 2 * i), xi = mbr_real_get(part, to, 2 * i + 1);
        double y = mbr_real_get(part, from, 2 * i), yi = mbr_real_get(part, from, 2 * i + 1);
        if (op == MBR_BINARY_ADD) {
            x += y;
            xi += yi;
        } else if (op == MBR_BINARY_MUL) {
            double real = x * y - xi * yi;
            xi = x * yi + xi * y;
            x = real;
        } else {
            bool less = y < x || (y == x && yi < xi), nan = isnan(x) || isnan(xi);
            if (!nan && (isnan(y) || isnan(yi) || (op == MBR_BINARY_MIN ? less : !less))) {
                x = y;
                xi = yi;
            }
        }
        mbr_real_set(part, to, 2 * i, x);
        mbr_real_set(part, to, 2 * i + 1, xi);
    }
}

bool mbr_index_reduces(mbr_binary_op op, mbr_dtype dtype)
{
    return op == MBR_INDEX_REPLACE || dtype == MBR_DTYPE_COMPLEX64 || dtype == MBR_DTYPE_COMPLEX128 ||
           mbr_elementwise_binary_has(op, dtype);
}

/* As kernels/elementwise.h has it, whose sums in f64, rounded, are the same. False: another operator. */
static bool combine_f32(mbr_binary_op op, float *restrict to, const float *restrict from, size_t n)
{
    switch (op) {
    case MBR_BINARY_ADD:
        for (size_t i = 0; i < n; i++)
            to[i] += from[i];
        return true;
    case MBR_BINARY_MUL:
        for (size_t i = 0; i < n; i++)
            to[i] *= from[i];
        return true;
    case MBR_BINARY_MIN: /* NaN wins */
        for (size_t i = 0; i < n; i++)
            to[i] = to[i] < from[i] || isnan(to[i]) ? to[i] : from[i];
        return true;
    case MBR_BINARY_MAX:
        for (size_t i = 0; i < n; i++)
            to[i] = to[i] > from[i] || isnan(to[i]) ? to[i] : from[i];
        return true;
    default:
        return false;
    }
}

static void combine(mbr_binary_op op, mbr_dtype dtype, size_t size, void *to, const void *from, size_t n)
{
    static const ptrdiff_t one = 1;
    if (dtype == MBR_DTYPE_F32 && combine_f32(op, to, from, n))
        return;
    if (op != MBR_INDEX_REPLACE && (dtype == MBR_DTYPE_COMPLEX64 || dtype == MBR_DTYPE_COMPLEX128))
        combine_complex(op, dtype, to, from, n);
    else if (op != MBR_INDEX_REPLACE)
        mbr_elementwise_binary_ref(op, dtype, 1, &n, to, &one, from, &one, to, &one);
    else if (n == 1)
        move(to, from, size);
    else
        memcpy(to, from, n * size);
}

/* Calls for each index: the offset of its element in the data. */
typedef struct walk {
    size_t at[MBR_KERNEL_RANK];
    ptrdiff_t strides[MBR_KERNEL_RANK];
    ptrdiff_t base; /* offset of `at`, the axis left out */
} walk;

static void walk_begin(walk *w, const mbr_elements_args *args, size_t i)
{
    mbr_dense_strides(args->rank, args->dims, w->strides);
    w->base = 0;
    for (int d = args->rank - 1; d >= 0; d--) {
        w->at[d] = i % args->index_dims[d];
        i /= args->index_dims[d];
        if (d != args->axis)
            w->base += (ptrdiff_t)w->at[d] * w->strides[d];
    }
}

static inline void walk_next(walk *w, const mbr_elements_args *args)
{
    for (int d = args->rank - 1; d >= 0; d--) {
        ptrdiff_t stride = d == args->axis ? 0 : w->strides[d];
        w->base += stride;
        if (++w->at[d] < args->index_dims[d])
            return;
        w->base -= stride * (ptrdiff_t)args->index_dims[d];
        w->at[d] = 0;
    }
}

/*
 * How many elements from i on, all of them before `last`, lie side by side: a whole row, where the axis is an outer one
 * and all of the row has one index, as indices have that were expanded to the data's width; else 1.
 */
static size_t walk_run(const walk *w, const mbr_elements_args *args, size_t i, size_t last)
{
    int inner = args->rank - 1;
    size_t n = args->index_dims[inner];
    if (args->axis == inner || w->at[inner] != 0 || n > last - i)
        return 1;
    int64_t k = index_at(args->index, args->wide, i);
    for (size_t j = 1; j < n; j++)
        if (index_at(args->index, args->wide, i + j) != k)
            return 1;
    return n;
}

/* Goes on by a run. */
static inline void walk_by(walk *w, const mbr_elements_args *args, size_t run)
{
    int inner = args->rank - 1;
    w->at[inner] += run - 1;
    w->base += inner == args->axis ? 0 : (ptrdiff_t)(run - 1);
    walk_next(w, args);
}

static inline bool walk_offset(const walk *w, const mbr_elements_args *args, size_t i, size_t *offset)
{
    int64_t k = index_at(args->index, args->wide, i), n = (int64_t)args->dims[args->axis];
    if (k < -n || k >= n)
        return false;
    *offset = (size_t)(w->base + (ptrdiff_t)(k < 0 ? k + n : k) * w->strides[args->axis]) * args->size;
    return true;
}

size_t mbr_gather_elements(const mbr_elements_args *args, const void *data, void *out, size_t first, size_t last)
{
    walk w;
    size_t offset, run;
    if (first >= last)
        return last;
    walk_begin(&w, args, first);
    for (size_t i = first; i < last; i += run, walk_by(&w, args, run)) {
        if (!walk_offset(&w, args, i, &offset))
            return i;
        run = walk_run(&w, args, i, last);
        if (run == 1)
            move((char *)out + i * args->size, (const char *)data + offset, args->size);
        else
            memcpy((char *)out + i * args->size, (const char *)data + offset, run * args->size);
    }
    return last;
}

size_t mbr_scatter_elements(const mbr_elements_args *args, mbr_binary_op op, const void *updates, void *data)
{
    walk w;
    size_t offset, run, last = mbr_dims_count(args->rank, args->index_dims);
    if (last == 0)
        return last;
    walk_begin(&w, args, 0);
    for (size_t i = 0; i < last; i += run, walk_by(&w, args, run)) {
        if (!walk_offset(&w, args, i, &offset))
            return i;
        run = walk_run(&w, args, i, last);
        combine(op, args->dtype, args->size, (char *)data + offset, (const char *)updates + i * args->size, run);
    }
    return last;
}

/* The offset of a tuple's slice, in elements. */
static inline bool tuple_offset(const mbr_tuples_args *args, size_t t, size_t batch_size, size_t *offset)
{
    size_t at = 0;
    for (size_t k = 0; k < args->width; k++) {
        int64_t v = index_at(args->index, args->wide, t * args->width + k), n = (int64_t)args->dims[k];
        if (v < -n || v >= n)
            return false;
        at = at * args->dims[k] + (size_t)(v < 0 ? v + n : v);
    }
    *offset = (t / (args->tuples / args->batches) * batch_size + at) * args->slice;
    return true;
}

size_t mbr_gather_tuples(const mbr_tuples_args *args, const void *data, void *out, size_t first, size_t last)
{
    size_t offset, batch = mbr_dims_count((int)args->width, args->dims), bytes = args->slice * args->size;
    for (size_t t = first; t < last; t++) {
        if (!tuple_offset(args, t, batch, &offset))
            return t;
        if (args->slice == 1)
            move((char *)out + t * bytes, (const char *)data + offset * args->size, args->size);
        else
            memcpy((char *)out + t * bytes, (const char *)data + offset * args->size, bytes);
    }
    return last;
}

size_t mbr_scatter_tuples(const mbr_tuples_args *args, mbr_binary_op op, const void *updates, void *data)
{
    size_t offset, batch = mbr_dims_count((int)args->width, args->dims);
    for (size_t t = 0; t < args->tuples; t++) {
        if (!tuple_offset(args, t, batch, &offset))
            return t;
        combine(op, args->dtype, args->size, (char *)data + offset * args->size,
                (const char *)updates + t * args->slice * args->size, args->slice);
    }
    return args->tuples;
}
