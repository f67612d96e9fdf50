/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/reduce.h"

#include "kernels/ref/element.h"
#include "kernels/ref/scalar.h"

#include <math.h>

bool mbr_reduce_has(mbr_reduce_op op, mbr_dtype dtype)
{
    switch (dtype) {
    case MBR_DTYPE_F32:
    case MBR_DTYPE_F64:
    case MBR_DTYPE_F16:
    case MBR_DTYPE_BF16:
    case MBR_DTYPE_I8:
    case MBR_DTYPE_I16:
    case MBR_DTYPE_I32:
    case MBR_DTYPE_I64:
    case MBR_DTYPE_U8:
    case MBR_DTYPE_U16:
    case MBR_DTYPE_U32:
    case MBR_DTYPE_U64:
        return op >= 0 && op < MBR_REDUCE_COUNT;
    case MBR_DTYPE_BOOL:
        return op == MBR_REDUCE_MAX || op == MBR_REDUCE_MIN;
    default:
        return false;
    }
}

typedef struct total {
    mbr_element_class class;
    double f;
    int64_t i;
    uint64_t u;
    double max; /* LOG_SUM_EXP: the largest so far, f being the sum relative to it */
} total;

static int64_t least_signed(mbr_dtype dtype)
{
    return -((int64_t)1 << (mbr_dtype_size(dtype) * 8 - 2)) * 2;
}

static uint64_t largest_unsigned(mbr_dtype dtype)
{
    return dtype == MBR_DTYPE_BOOL ? 1 : UINT64_MAX >> (64 - mbr_dtype_size(dtype) * 8);
}

static void total_init(total *t, mbr_reduce_op op, mbr_dtype dtype)
{
    *t = (total){.class = mbr_element_class_of(dtype), .max = -(double)INFINITY};
    if (op == MBR_REDUCE_PROD) {
        t->f = 1.0;
        t->i = 1;
        t->u = 1;
    } else if (op == MBR_REDUCE_MAX) {
        t->f = -(double)INFINITY;
        t->i = t->class == MBR_ELEMENT_SIGNED ? least_signed(dtype) : 0;
    } else if (op == MBR_REDUCE_MIN) {
        t->f = (double)INFINITY;
        if (t->class == MBR_ELEMENT_SIGNED)
            t->i = ~least_signed(dtype);
        else if (t->class == MBR_ELEMENT_UNSIGNED)
            t->u = largest_unsigned(dtype);
    }
}

static void add_float(total *t, mbr_reduce_op op, const double *x, size_t n)
{
    for (size_t k = 0; k < n; k++)
        switch (op) {
        case MBR_REDUCE_MAX: t->f = mbr_scalar_max(x[k], t->f); break;
        case MBR_REDUCE_MIN: t->f = mbr_scalar_min(x[k], t->f); break;
        case MBR_REDUCE_PROD: t->f *= x[k]; break;
        case MBR_REDUCE_L1: t->f += fabs(x[k]); break;
        case MBR_REDUCE_L2:
        case MBR_REDUCE_SUM_SQUARE: t->f += x[k] * x[k]; break;
        case MBR_REDUCE_LOG_SUM_EXP:
            if (x[k] > t->max) {
                t->f = t->f * exp(t->max - x[k]) + 1.0;
                t->max = x[k];
            } else if (x[k] != t->max || isfinite(x[k])) {
                t->f += exp(x[k] - t->max); /* NaN comes through here */
            } else {
                t->f += x[k] > 0.0 ? 1.0 : 0.0; /* an infinity equal to the largest: e^0, or nothing at -inf */
            }
            break;
        default: t->f += x[k]; break;
        }
}

static void add_integer(total *t, mbr_reduce_op op, const mbr_element_block *b, size_t n)
{
    bool is_signed = t->class == MBR_ELEMENT_SIGNED;
    for (size_t k = 0; k < n; k++) {
        int64_t i = b->i[k];
        uint64_t u = b->u[k];
        switch (op) {
        case MBR_REDUCE_MAX:
            t->i = i > t->i ? i : t->i;
            t->u = u > t->u ? u : t->u;
            break;
        case MBR_REDUCE_MIN:
            t->i = i < t->i ? i : t->i;
            t->u = u < t->u ? u : t->u;
            break;
        case MBR_REDUCE_PROD: t->u *= u; break;
        case MBR_REDUCE_L1: t->u += is_signed && i < 0 ? 0 - u : u; break;
        case MBR_REDUCE_SUM_SQUARE: t->u += u * u; break;
        case MBR_REDUCE_L2: t->f += is_signed ? (double)i * (double)i : (double)u * (double)u; break;
        case MBR_REDUCE_LOG_SUM_EXP: {
            double x = is_signed ? (double)i : (double)u;
            add_float(t, op, &x, 1);
            break;
        }
        case MBR_REDUCE_LOG_SUM: t->f += is_signed ? (double)i : (double)u; break;
        default: t->u += u; break;
        }
    }
}

static void total_store(const total *t, mbr_reduce_op op, mbr_dtype dtype, size_t count, void *out)
{
    mbr_element_block r;
    double f = t->f;
    if (op == MBR_REDUCE_LOG_SUM_EXP)
        f = t->max + log(f);
    else if (op == MBR_REDUCE_LOG_SUM)
        f = log(f);
    else if (op == MBR_REDUCE_L2)
        f = sqrt(f);
    else if (op == MBR_REDUCE_MEAN)
        f /= (double)count;
    bool in_f64 = op == MBR_REDUCE_LOG_SUM_EXP || op == MBR_REDUCE_LOG_SUM || op == MBR_REDUCE_L2;
    if (t->class == MBR_ELEMENT_FLOAT)
        r.f[0] = f;
    else if (in_f64)
        r.i[0] = mbr_element_to_i64(f, 64);
    else if (op == MBR_REDUCE_MEAN && t->class == MBR_ELEMENT_SIGNED)
        r.i[0] = count ? (int64_t)t->u / (int64_t)count : 0;
    else if (op == MBR_REDUCE_MEAN)
        r.u[0] = count ? t->u / count : 0;
    else if ((op == MBR_REDUCE_MAX || op == MBR_REDUCE_MIN) && t->class == MBR_ELEMENT_SIGNED)
        r.i[0] = t->i;
    else
        r.u[0] = t->u;
    mbr_element_store(dtype, out, 1, 1, &r);
}

/* Output number `index`, over every reduced coordinate. */
static void reduce_one(const mbr_reduce_args *a, size_t index)
{
    size_t size = mbr_dtype_size(a->dtype), stride[MBR_KERNEL_RANK], at[MBR_KERNEL_RANK] = {0};
    size_t base = 0, left = index, step = 1;
    for (int d = a->rank - 1; d >= 0; d--) {
        stride[d] = step;
        step *= a->dims[d];
        if (!a->reduced[d]) {
            base += left % a->dims[d] * stride[d];
            left /= a->dims[d];
        }
    }
    int inner = -1; /* the innermost reduced dimension */
    for (int d = 0; d < a->rank; d++)
        if (a->reduced[d])
            inner = d;
    size_t run = inner < 0 ? 1 : a->dims[inner], run_stride = inner < 0 ? 1 : stride[inner];
    mbr_element_block block;
    total t;
    total_init(&t, a->op, a->dtype);
    for (size_t done = 0; done < a->reduced_count; done += run) {
        for (size_t k = 0; k < run; k += MBR_ELEMENT_BLOCK) {
            size_t n = run - k < MBR_ELEMENT_BLOCK ? run - k : MBR_ELEMENT_BLOCK;
            mbr_element_load(a->dtype, (const char *)a->in + (base + k * run_stride) * size, (ptrdiff_t)run_stride, n,
                             &block);
            if (t.class == MBR_ELEMENT_FLOAT)
                add_float(&t, a->op, block.f, n);
            else
                add_integer(&t, a->op, &block, n);
        }
        for (int d = inner - 1; d >= 0; d--) {
            if (!a->reduced[d])
                continue;
            base += stride[d];
            if (++at[d] < a->dims[d])
                break;
            base -= at[d] * stride[d];
            at[d] = 0;
        }
    }
    total_store(&t, a->op, a->dtype, a->reduced_count, (char *)a->out + index * size);
}

void mbr_reduce_ref(const mbr_reduce_args *args, size_t first, size_t last)
{
    size_t strips = args->inner_reduced ? 1 : (args->inner + args->strip - 1) / args->strip;
    for (size_t t = first; t < last; t++) {
        size_t from = t, end = t + 1;
        if (!args->inner_reduced) {
            size_t row = t / strips * args->inner, col = t % strips * args->strip;
            size_t n = args->inner - col < args->strip ? args->inner - col : args->strip;
            from = row + col;
            end = from + n;
        }
        for (size_t i = from; i < end; i++)
            reduce_one(args, i);
    }
}

void mbr_arg_ref(const mbr_arg_args *args, size_t first, size_t last)
{
    size_t size = mbr_dtype_size(args->dtype);
    mbr_element_class class = mbr_element_class_of(args->dtype);
    mbr_element_block b;
    for (size_t t = first; t < last; t++) {
        size_t base = t / args->inner * args->axis * args->inner + t % args->inner;
        mbr_element_block best = {{0}};
        size_t at = 0;
        for (size_t k = 0; k < args->axis; k++) {
            mbr_element_load(args->dtype, (const char *)args->in + (base + k * args->inner) * size, 1, 1, &b);
            bool better, equal;
            if (class == MBR_ELEMENT_FLOAT) {
                bool nan = isnan(b.f[0]), best_nan = isnan(best.f[0]);
                equal = b.f[0] == best.f[0] || (nan && best_nan);
                better = !best_nan && (nan || (args->min ? b.f[0] < best.f[0] : b.f[0] > best.f[0]));
            } else if (class == MBR_ELEMENT_SIGNED) {
                equal = b.i[0] == best.i[0];
                better = args->min ? b.i[0] < best.i[0] : b.i[0] > best.i[0];
            } else {
                equal = b.u[0] == best.u[0];
                better = args->min ? b.u[0] < best.u[0] : b.u[0] > best.u[0];
            }
            if (k == 0 || better || (equal && args->last)) {
                best.u[0] = b.u[0];
                at = k;
            }
        }
        args->out[t] = (int64_t)at;
    }
}
