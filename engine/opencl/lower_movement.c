/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operators that move elements. What an operator's prepare has planned for the CPU (engine/ops/) is at the begin of its
 * state, and is what is lowered here.
 */
#include "engine/opencl/lower_util.h"
#include "engine/ops/op_util.h"
#include "engine/ops/window.h"
#include "kernels/convert.h"
#include "kernels/index.h"
#include "kernels/pad.h"
#include "kernels/signal.h"

#include <stdio.h>
#include <string.h>

#define AXES 10

/* As in movement.cl: innermost first. */
typedef struct walk {
    cl_int dims[AXES], in[AXES], out[AXES];
} walk;

static const char *type_of(size_t size)
{
    return size == 1 ? "uchar" : size == 2 ? "ushort" : size == 4 ? "uint" : size == 8 ? "ulong" : "uint4";
}

static void kernel(mbr_cl_lower *l, const char *name, size_t size, const char *more)
{
    char options[80];
    snprintf(options, sizeof options, "-DT=%s%s%s", type_of(size), more ? " " : "", more ? more : "");
    mbr_cl_kernel(l, "movement", name, options);
}

/* The largest element (16 bytes at most) that divides n. */
static size_t unit_of(size_t n, size_t unit)
{
    while (n % unit)
        unit /= 2;
    return unit;
}

static bool fits(const mbr_value *v)
{
    return mbr_value_bytes(v) <= INT32_MAX;
}

/* --- strided copies --- */

/* Copies bytes between input `in` and output `out`; strides, dims of elements of `size`; strides and begins in bytes. */
static void copy(mbr_cl_lower *l, uint32_t in, uint32_t out, size_t size, int rank, const size_t *shape,
                 const ptrdiff_t *from, const ptrdiff_t *to, size_t in_first, size_t out_first)
{
    const mbr_cl_device *d = l->device;
    size_t dims[MBR_KERNEL_RANK + 1], unit = 16, outer = 1;
    ptrdiff_t a[MBR_KERNEL_RANK + 1], b[MBR_KERNEL_RANK + 1];
    walk w = { .dims = { 1, 1 } };
    if (mbr_dims_count(rank, shape) == 0)
        return;
    for (int i = 0; i < rank; i++) {
        dims[i] = shape[i];
        a[i] = from[i];
        b[i] = to[i];
    }
    dims[rank] = size;
    a[rank] = b[rank] = 1;
    rank = mbr_collapse_dims(rank + 1, dims, 2, (ptrdiff_t *const[]){ a, b });
    if (rank == 0 || a[rank - 1] != 1 || b[rank - 1] != 1) { /* single bytes */
        dims[rank] = 1;
        a[rank] = b[rank] = 1;
        rank++;
    }
    unit = unit_of(dims[rank - 1], unit_of(in_first, unit_of(out_first, unit)));
    for (int i = 0; i < rank - 1; i++)
        unit = unit_of((size_t)(a[i] < 0 ? -a[i] : a[i]), unit_of((size_t)(b[i] < 0 ? -b[i] : b[i]), unit));
    dims[rank - 1] /= unit;
    a[rank - 1] = b[rank - 1] = (ptrdiff_t)unit;
    if (dims[rank - 1] == 1 && rank > 1)
        rank--;
    if (rank > AXES) {
        mbr_cl_decline(l, "more axes than its kernel walks");
        return;
    }
    bool run = a[rank - 1] == (ptrdiff_t)unit && b[rank - 1] == (ptrdiff_t)unit;
    for (int i = rank - 2; i >= 0 && a[rank - 1] != (ptrdiff_t)unit; i--)
        if (a[i] == (ptrdiff_t)unit) { /* the axis that is dense in the input comes second */
            for (int k = i; k < rank - 2; k++) {
                size_t n = dims[k];
                ptrdiff_t x = a[k], y = b[k];
                dims[k] = dims[k + 1];
                a[k] = a[k + 1];
                b[k] = b[k + 1];
                dims[k + 1] = n;
                a[k + 1] = x;
                b[k + 1] = y;
            }
            break;
        }
    for (int i = 0; i < rank; i++) {
        int k = rank - 1 - i;
        w.dims[i] = (cl_int)dims[k];
        w.in[i] = (cl_int)(a[k] / (ptrdiff_t)unit);
        w.out[i] = (cl_int)(b[k] / (ptrdiff_t)unit);
        outer *= i < 2 ? 1 : dims[k];
    }
    bool across = !run && rank > 1 && w.in[1] == 1 && w.dims[0] >= 8 && w.dims[1] >= 8 && d->max_group >= 256 &&
                  d->max_sizes[0] >= 16 && d->max_sizes[1] >= 16;
    bool tile = across && !(d->type & CL_DEVICE_TYPE_CPU) && d->local_bytes >= 16 * 1024;
    kernel(l, tile ? "transpose" : "copy", unit, run ? "-DRUN" : tile ? "-DTILE" : NULL);
    mbr_cl_in(l, in);
    mbr_cl_out(l, out);
    mbr_cl_bytes(l, &w, sizeof w);
    mbr_cl_int(l, rank);
    mbr_cl_int(l, (int64_t)outer);
    mbr_cl_int(l, (int64_t)(in_first / unit));
    mbr_cl_int(l, (int64_t)(out_first / unit));
    if (across)
        mbr_cl_go(l, 3, (size_t[]){ (size_t)w.dims[0], (size_t)w.dims[1], outer }, (size_t[]){ 16, 16, 1 });
    else
        mbr_cl_go_rows(l, (size_t)w.dims[0], (size_t)w.dims[1], outer);
}

/* A whole tensor as it is. */
static void copy_all(mbr_cl_lower *l, uint32_t in, uint32_t out)
{
    size_t n = mbr_value_bytes(l->step->out[out]);
    const ptrdiff_t one = 1;
    copy(l, in, out, 1, 1, &n, &one, &one, 0, 0);
}

/* Transpose, Slice, Expand and their kin: a plan of copying. */
static mbr_status lower_copy(mbr_cl_lower *l)
{
    const mbr_op_copy *k = l->step->state;
    const mbr_copy_plan *p = &k->plan;
    size_t dims[MBR_KERNEL_RANK + 2];
    ptrdiff_t from[MBR_KERNEL_RANK + 2], to[MBR_KERNEL_RANK + 2];
    int rank = p->rank;
    if (mbr_value_count(l->step->out[0]) == 0)
        return l->status;
    if (!fits(l->step->in[0]) || !fits(l->step->out[0]) || rank + 3 > MBR_KERNEL_RANK)
        return mbr_cl_decline(l, "it is too large");
    for (int i = 0; i < rank; i++) {
        dims[i] = p->dims[i];
        from[i] = p->in_strides[i];
        to[i] = p->out_strides[i];
    }
    if (p->last_cols != p->cols) { /* one run, cut into rows */
        dims[rank] = (p->rows - 1) * p->cols + p->last_cols;
    } else {
        dims[rank] = p->rows;
        from[rank] = p->in_row;
        to[rank++] = p->out_row;
        dims[rank] = p->cols;
    }
    from[rank] = p->in_col;
    to[rank++] = p->out_col;
    copy(l, 0, 0, p->size, rank, dims, from, to, (size_t)k->in_offset, 0);
    return l->status;
}

/* Concat and Split: pieces side by side. */
static mbr_status lower_pieces(mbr_cl_lower *l)
{
    const mbr_step *s = l->step;
    bool join = mbr_cl_param(l) == 0;
    const mbr_value *whole = join ? s->out[0] : s->in[0];
    uint32_t n = join ? s->n_in : s->n_out;
    size_t outer, middle, inner, first = 0;
    if (mbr_value_count(whole) == 0)
        return l->status;
    if (!fits(whole))
        return mbr_cl_decline(l, "it is too large");
    mbr_op_around(whole, mbr_op_axis(mbr_attr_int(s->node, "axis", join), whole->rank), &outer, &middle, &inner);
    ptrdiff_t row = (ptrdiff_t)(mbr_value_bytes(whole) / outer);
    for (uint32_t i = 0; i < n; i++) {
        const mbr_value *piece = join ? s->in[i] : s->out[i];
        if (!piece)
            return mbr_cl_decline(l, "a part that nobody wants");
        size_t bytes = mbr_value_bytes(piece) / outer;
        const size_t dims[2] = { outer, bytes };
        const ptrdiff_t wide[2] = { row, 1 }, narrow[2] = { (ptrdiff_t)bytes, 1 };
        copy(l, join ? i : 0, join ? 0 : i, 1, 2, dims, join ? narrow : wide, join ? wide : narrow, join ? 0 : first,
             join ? first : 0);
        first += bytes;
    }
    return l->status;
}

/* --- by indices --- */

static void index_kernel(mbr_cl_lower *l, const char *name, size_t size, const char *join)
{
    char more[64];
    snprintf(more, sizeof more, "-DI=%s%s%s%s%s", l->step->in[1]->dtype == MBR_DTYPE_I64 ? "long" : "int",
             join ? " -DJOIN=" : "", join ? join : "", join ? " -DN=" : "",
             join ? mbr_cl_name(l->step->in[0]->dtype) : "");
    kernel(l, name, size, more);
}

static mbr_status lower_gather(mbr_cl_lower *l)
{
    const mbr_step *s = l->step;
    size_t outer, rows, inner, picks = mbr_value_count(s->in[1]);
    mbr_op_around(s->in[0], mbr_op_axis(mbr_attr_int(s->node, "axis", 0), s->in[0]->rank), &outer, &rows, &inner);
    inner *= mbr_dtype_size(s->in[0]->dtype);
    if (mbr_value_count(s->out[0]) == 0 || rows == 0)
        return rows ? l->status : mbr_cl_decline(l, "there is nothing to pick from");
    size_t unit = unit_of(inner, 16);
    index_kernel(l, "gather", unit, NULL);
    mbr_cl_in(l, 0);
    mbr_cl_in(l, 1);
    mbr_cl_out(l, 0);
    mbr_cl_flag(l);
    mbr_cl_int(l, (int64_t)(inner / unit));
    mbr_cl_int(l, (int64_t)picks);
    mbr_cl_int(l, (int64_t)outer);
    mbr_cl_int(l, (int64_t)rows);
    mbr_cl_go_rows(l, inner / unit, picks, outer);
    return l->status;
}

static const char *join_of(const mbr_ir_node *n)
{
    const char *name = n->op->since < 16 ? "none" : mbr_attr_string(n, "reduction", "none");
    return name[0] == 'a' ? "ADD" : name[0] == 'n' ? NULL : strcmp(name, "mul") == 0 ? "MUL" : name[1] == 'i' ? "MIN" : "MAX";
}

static mbr_status begin_scatter(mbr_cl_lower *l, const char **join)
{
    const mbr_step *s = l->step;
    *join = join_of(s->node);
    if (!fits(s->in[0]) || !fits(s->in[2]))
        return mbr_cl_decline(l, "it is too large");
    if (*join && !mbr_cl_has_type(l->device, s->in[0]->dtype))
        return mbr_cl_decline(l, "a type that the device does not have");
    copy_all(l, 0, 0);
    return l->status;
}

enum { GATHER, SCATTER };

static mbr_status lower_elements(mbr_cl_lower *l)
{
    const mbr_step *s = l->step;
    const mbr_elements_args *a = s->state;
    bool scatter = mbr_cl_param(l) == SCATTER;
    const char *join = NULL;
    size_t count = mbr_value_count(s->in[1]), lines = count;
    walk w = { .dims = { 1 } };
    ptrdiff_t data[MBR_KERNEL_RANK], index[MBR_KERNEL_RANK];
    if (scatter)
        MBR_TRY(begin_scatter(l, &join));
    if (count == 0)
        return l->status;
    if (a->rank > AXES || a->rank == 0 || a->dims[a->axis] == 0 || !fits(s->in[0]) || !fits(s->out[0]))
        return mbr_cl_decline(l, "its kernel does not walk such a shape");
    mbr_dense_strides(a->rank, a->dims, data);
    mbr_dense_strides(a->rank, a->index_dims, index);
    for (int i = 0; i < a->rank; i++) {
        w.dims[i] = (cl_int)a->index_dims[a->rank - 1 - i];
        w.in[i] = (cl_int)data[a->rank - 1 - i];
        w.out[i] = (cl_int)index[a->rank - 1 - i];
    }
    if (scatter)
        lines /= a->index_dims[a->axis];
    index_kernel(l, scatter ? "scatter_elements" : "gather_elements", a->size, join);
    mbr_cl_in(l, scatter ? 2 : 0);
    mbr_cl_in(l, 1);
    mbr_cl_out(l, 0);
    mbr_cl_flag(l);
    mbr_cl_bytes(l, &w, sizeof w);
    mbr_cl_int(l, a->rank);
    mbr_cl_int(l, a->rank - 1 - a->axis);
    mbr_cl_int(l, (int64_t)a->dims[a->axis]);
    mbr_cl_int(l, (int64_t)lines);
    mbr_cl_go_flat(l, lines);
    return l->status;
}

static mbr_status lower_tuples(mbr_cl_lower *l)
{
    const mbr_step *s = l->step;
    const mbr_tuples_args *a = s->state;
    bool scatter = mbr_cl_param(l) == SCATTER;
    const char *join = NULL;
    size_t unit = a->size, n = a->slice, step = 1;
    walk w = { .dims = { 1 } };
    if (scatter)
        MBR_TRY(begin_scatter(l, &join));
    if (a->tuples == 0 || a->slice == 0)
        return l->status;
    if (a->width > AXES || !fits(s->in[0]) || !fits(s->out[0]) || mbr_value_count(s->in[0]) == 0)
        return mbr_cl_decline(l, "its kernel does not walk such a shape");
    if (scatter && a->tuples > 256 && a->slice < 64)
        return mbr_cl_decline(l, "elements that are written in order");
    if (!join) {
        unit = unit_of(a->slice * a->size, 16);
        n = a->slice * a->size / unit;
    }
    for (int i = (int)a->width - 1; i >= 0; i--) {
        w.dims[i] = (cl_int)a->dims[i];
        w.in[i] = (cl_int)(step * n);
        step *= a->dims[i];
    }
    index_kernel(l, scatter ? "scatter_tuples" : "gather_tuples", unit, join);
    mbr_cl_in(l, scatter ? 2 : 0);
    mbr_cl_in(l, 1);
    mbr_cl_out(l, 0);
    mbr_cl_flag(l);
    mbr_cl_bytes(l, &w, sizeof w);
    mbr_cl_int(l, (int64_t)a->width);
    mbr_cl_int(l, (int64_t)n);
    mbr_cl_int(l, (int64_t)a->tuples);
    if (scatter) {
        mbr_cl_go_flat(l, n);
        return l->status;
    }
    mbr_cl_int(l, (int64_t)(a->tuples / a->batches));
    mbr_cl_int(l, (int64_t)(step * n));
    mbr_cl_go_rows(l, n, a->tuples, 1);
    return l->status;
}

static mbr_status lower_one_hot(mbr_cl_lower *l)
{
    const mbr_step *s = l->step;
    const mbr_value *out = s->out[0];
    size_t outer, depth, inner, count = mbr_value_count(out);
    char more[32];
    if (count == 0)
        return l->status;
    if (!fits(out) || mbr_value_count(s->in[2]) != 2 || !mbr_cl_has_type(l->device, s->in[0]->dtype))
        return mbr_cl_decline(l, "its kernel does not take that");
    mbr_op_around(out, mbr_op_axis(mbr_attr_int(s->node, "axis", -1), out->rank), &outer, &depth, &inner);
    snprintf(more, sizeof more, "-DONE_HOT=%s", mbr_cl_name(s->in[0]->dtype));
    kernel(l, "one_hot", mbr_dtype_size(out->dtype), more);
    mbr_cl_in(l, 0);
    mbr_cl_in(l, 2);
    mbr_cl_out(l, 0);
    mbr_cl_int(l, (int64_t)inner);
    mbr_cl_int(l, (int64_t)depth);
    mbr_cl_int(l, (int64_t)count);
    mbr_cl_go_flat(l, count);
    return l->status;
}

/* --- borders, patterns --- */

/* A number as an element of t. */
static void element(float v, mbr_dtype t, uint64_t *to)
{
    mbr_convert_args args = { .from = MBR_DTYPE_F32, .to = t };
    to[0] = to[1] = 0;
    if (v != 0 && mbr_convert_has(MBR_DTYPE_F32, t))
        mbr_convert_ref(&args, &v, to, 1);
}

static mbr_status lower_pad(mbr_cl_lower *l)
{
    const mbr_step *s = l->step;
    const mbr_pad_args *a = s->state;
    size_t count = mbr_value_count(s->out[0]);
    walk w = { .dims = { 1 } };
    uint64_t otherwise[2];
    bool given = mbr_cl_param(l) == 0 && s->op->since >= 11 && mbr_step_has(s, 2) && mbr_value_count(s->in[2]) > 0;
    if (count == 0)
        return l->status;
    if (a->rank > AXES || !fits(s->in[0]) || !fits(s->out[0]))
        return mbr_cl_decline(l, "its kernel does not walk such a shape");
    for (int i = 0; i < a->rank; i++) {
        w.dims[i] = (cl_int)a->out_dims[a->rank - 1 - i];
        w.in[i] = (cl_int)a->begin[a->rank - 1 - i];
        w.out[i] = (cl_int)a->dims[a->rank - 1 - i];
    }
    element(s->op->since < 11 ? mbr_attr_float(s->node, "value", 0.0f) : 0, s->in[0]->dtype, otherwise);
    kernel(l, "pad", a->size, NULL);
    mbr_cl_in(l, 0);
    mbr_cl_in(l, given ? 2 : 0);
    mbr_cl_out(l, 0);
    mbr_cl_bytes(l, &w, sizeof w);
    mbr_cl_int(l, a->rank);
    mbr_cl_int(l, (int64_t)a->unit);
    mbr_cl_int(l, a->mode);
    mbr_cl_int(l, (int64_t)count);
    mbr_cl_bytes(l, otherwise, a->size);
    mbr_cl_int(l, given);
    mbr_cl_go_flat(l, count);
    return l->status;
}

enum { FILL, UPPER, LOWER, EYE, TRILU };

static mbr_status lower_pattern(mbr_cl_lower *l)
{
    const mbr_step *s = l->step;
    const mbr_value *out = s->out[0], *value = mbr_attr_tensor(s->node, "value");
    int what = mbr_cl_param(l);
    size_t count = mbr_value_count(out), size = mbr_dtype_size(out->dtype);
    int64_t k = 0, rows = out->rank > 1 ? out->dims[out->rank - 2] : 1, cols = out->rank ? out->dims[out->rank - 1] : 1;
    uint64_t v[2];
    if (count == 0)
        return l->status;
    if (!fits(out))
        return mbr_cl_decline(l, "it is too large");
    element(what == EYE, out->dtype, v);
    if (what == FILL && value)
        memcpy(v, value->data, size);
    if (what == EYE)
        k = mbr_attr_int(s->node, "k", 0);
    if (what == TRILU) {
        if (mbr_step_has(s, 1) && !mbr_cl_known(l, 1))
            return mbr_cl_decline(l, "its diagonal is not known before the run");
        MBR_TRY(mbr_op_step_int(s, 1, 0, &k, l->err));
        what = mbr_attr_int(s->node, "upper", 1) ? UPPER : LOWER;
    }
    k = k > cols ? cols : k < -rows ? -rows : k;
    kernel(l, "diagonal", size, NULL);
    mbr_cl_in_or_none(l, what == UPPER || what == LOWER ? 0 : s->n_in);
    mbr_cl_out(l, 0);
    mbr_cl_bytes(l, v, size);
    mbr_cl_int(l, what);
    mbr_cl_int(l, k);
    mbr_cl_int(l, rows);
    mbr_cl_int(l, cols);
    mbr_cl_int(l, (int64_t)count);
    mbr_cl_go_flat(l, count);
    return l->status;
}

static mbr_status lower_range(mbr_cl_lower *l)
{
    const mbr_step *s = l->step;
    mbr_dtype t = s->out[0]->dtype;
    size_t count = mbr_value_count(s->out[0]);
    char more[32];
    int64_t first = 0, step = 1;
    if (count == 0)
        return l->status;
    if (!mbr_cl_has_type(l->device, t) || !mbr_cl_known(l, 0) || (mbr_step_has(s, 2) && !mbr_cl_known(l, 2)))
        return mbr_cl_decline(l, "its numbers are not known before the run");
    if (mbr_dtype_is_int(t)) {
        MBR_TRY(mbr_op_step_int(s, 0, 0, &first, l->err));
        MBR_TRY(mbr_op_step_int(s, 2, 1, &step, l->err));
    } else if (!s->in[0]->data || (mbr_step_has(s, 2) && !s->in[2]->data) || t == MBR_DTYPE_F64) {
        return mbr_cl_decline(l, "its numbers are not known before the run");
    }
    snprintf(more, sizeof more, "-DRANGE=%s", mbr_cl_name(t));
    kernel(l, "range", 1, more);
    mbr_cl_out(l, 0);
    for (uint32_t i = 0; i < 2; i++)
        if (!mbr_dtype_is_int(t))
            mbr_cl_float(l, i && !mbr_step_has(s, 2) ? 1 : (float)mbr_value_real(s->in[2 * i], 0));
        else if (t == MBR_DTYPE_I64)
            mbr_cl_long(l, i ? step : first);
        else
            mbr_cl_int(l, i ? step : first);
    mbr_cl_int(l, (int64_t)count);
    mbr_cl_go_flat(l, count);
    return l->status;
}

static mbr_status lower_taper(mbr_cl_lower *l)
{
    static const float terms[][3] = { [MBR_TAPER_HANN] = { 0.5f, 0.5f, 0 },
                                      [MBR_TAPER_HAMMING] = { 25.0f / 46, 21.0f / 46, 0 },
                                      [MBR_TAPER_BLACKMAN] = { 0.42f, 0.5f, 0.08f } };
    const mbr_step *s = l->step;
    mbr_dtype t = s->out[0]->dtype;
    int64_t n = (int64_t)mbr_value_count(s->out[0]);
    char more[16];
    if (n == 0)
        return l->status;
    if (t != MBR_DTYPE_F32 && t != MBR_DTYPE_F16 && t != MBR_DTYPE_BF16)
        return mbr_cl_decline(l, "a type that its kernel does not take");
    snprintf(more, sizeof more, "-DTAPER=%s", mbr_cl_name(t));
    kernel(l, "taper", 1, more);
    mbr_cl_out(l, 0);
    for (int i = 0; i < 3; i++)
        mbr_cl_float(l, terms[mbr_cl_param(l)][i]);
    mbr_cl_float(l, 2.0f / (float)(n - !mbr_attr_int(s->node, "periodic", 1)));
    mbr_cl_int(l, n);
    mbr_cl_go_flat(l, (size_t)n);
    return l->status;
}

/* Indices count in what the attributes make of x, which lies at the begin of each axis of y. */
static mbr_status lower_unpool(mbr_cl_lower *l)
{
    const mbr_step *s = l->step;
    const mbr_value *x = s->in[0], *y = s->out[0];
    size_t count = mbr_value_count(x), room = mbr_value_count(y), size = mbr_dtype_size(x->dtype);
    const uint64_t zero[2] = { 0 };
    walk w = { .out = { 1 } };
    mbr_window window;
    MBR_TRY(mbr_window_read(s->node, x->rank - 2, NULL, &window, l->err));
    if (s->in[1]->dtype != MBR_DTYPE_I64 || mbr_value_count(s->in[1]) != count || !fits(y))
        return mbr_cl_decline(l, "indices of another type or number");
    for (int i = x->rank - 1, k = 0; i >= 0; i--, k++) {
        int64_t n = x->dims[i];
        if (i > 1)
            n = (n - 1) * window.stride[i - 2] + window.kernel[i - 2] - window.pad_begin[i - 2] - window.pad_end[i - 2];
        if (n < 0 || n > y->dims[i])
            return mbr_cl_decline(l, "it is larger than its output");
        w.dims[k] = (cl_int)n;
        if (i > 0)
            w.out[k + 1] = w.out[k] * (cl_int)y->dims[i];
    }
    kernel(l, "diagonal", size, NULL);
    mbr_cl_out(l, 0);
    mbr_cl_out(l, 0);
    mbr_cl_bytes(l, zero, size);
    mbr_cl_int(l, FILL);
    for (int i = 0; i < 3; i++) /* its diagonal, rows and columns */
        mbr_cl_int(l, i > 0);
    mbr_cl_int(l, (int64_t)room);
    mbr_cl_go_flat(l, room);
    kernel(l, "unpool", size, "-DUNPOOL");
    mbr_cl_in(l, 0);
    mbr_cl_in(l, 1);
    mbr_cl_out(l, 0);
    mbr_cl_flag(l);
    mbr_cl_bytes(l, &w, sizeof w);
    mbr_cl_int(l, x->rank);
    mbr_cl_int(l, (int64_t)count);
    mbr_cl_go_flat(l, count);
    return l->status;
}

/* Numbers that the host knows. */
static mbr_status lower_shape(mbr_cl_lower *l)
{
    const mbr_step *s = l->step;
    const mbr_value *v = s->in[0];
    int64_t first = mbr_attr_int(s->node, "start", 0), n = (int64_t)mbr_value_count(s->out[0]), size;
    if (n == 0)
        return l->status;
    size = (int64_t)mbr_value_count(v);
    first += first < 0 ? v->rank : 0;
    first = first < 0 ? 0 : first;
    kernel(l, "copy", 8, "-DRUN");
    mbr_cl_table(l, s->out[0]->rank ? (const void *)(v->dims + first) : &size, (size_t)n * sizeof(int64_t));
    mbr_cl_out(l, 0);
    walk w = { .dims = { (cl_int)n, 1 }, .in = { 1 }, .out = { 1 } };
    mbr_cl_bytes(l, &w, sizeof w);
    for (int i = 0; i < 4; i++) /* rank, outer, where both begin */
        mbr_cl_int(l, i < 2);
    mbr_cl_go_rows(l, (size_t)n, 1, 1);
    return l->status;
}

static mbr_status lower_dropout(mbr_cl_lower *l)
{
    const mbr_step *s = l->step;
    size_t n = mbr_value_count(s->in[0]), size = mbr_step_wants(s, 1) ? mbr_dtype_size(s->out[1]->dtype) : 0;
    int64_t training = 0;
    uint64_t one[2];
    if (s->op->since >= 12 && mbr_step_has(s, 2)) {
        if (!mbr_cl_known(l, 2))
            return mbr_cl_decline(l, "whether it trains is not known before the run");
        MBR_TRY(mbr_op_step_int(s, 2, 0, &training, l->err));
    }
    if (training || !fits(s->in[0]))
        return mbr_cl_decline(l, training ? "it trains" : "it is too large");
    if (s->out[0])
        copy_all(l, 0, 0);
    if (!size || n == 0)
        return l->status;
    element(1, s->out[1]->dtype, one);
    kernel(l, "diagonal", size, NULL);
    mbr_cl_out(l, 1);
    mbr_cl_out(l, 1);
    mbr_cl_bytes(l, one, size);
    for (int i = 0; i < 4; i++) /* FILL, k, rows, cols */
        mbr_cl_int(l, i > 1);
    mbr_cl_int(l, (int64_t)n);
    mbr_cl_go_flat(l, n);
    return l->status;
}

static mbr_status lower_reverse(mbr_cl_lower *l)
{
    const mbr_step *s = l->step;
    const mbr_value *x = s->in[0];
    size_t time = (size_t)mbr_attr_int(s->node, "time_axis", 0), count = mbr_value_count(x);
    if (count == 0)
        return l->status;
    if (!fits(x))
        return mbr_cl_decline(l, "it is too large");
    if (s->in[1]->dims[0] != x->dims[1 - time])
        return mbr_cl_decline(l, "lengths for other sequences");
    size_t inner = count / (size_t)(x->dims[0] * x->dims[1]);
    kernel(l, "reverse", mbr_dtype_size(x->dtype), "-DSEQUENCE");
    mbr_cl_in(l, 0);
    mbr_cl_in(l, 1);
    mbr_cl_out(l, 0);
    mbr_cl_flag(l);
    mbr_cl_int(l, (int64_t)inner);
    mbr_cl_int(l, x->dims[time]);
    mbr_cl_int(l, x->dims[1 - time]);
    mbr_cl_int(l, time == 0);
    mbr_cl_go_rows(l, inner, (size_t)x->dims[time], (size_t)x->dims[1 - time]);
    return l->status;
}

static mbr_status lower_into_cache(mbr_cl_lower *l)
{
    const mbr_step *s = l->step;
    const mbr_value *x = s->in[0], *update = s->in[1];
    size_t outer, length, inner, steps, unused;
    if (mbr_value_count(x) == 0)
        return l->status;
    if (!fits(x))
        return mbr_cl_decline(l, "it is too large");
    int axis = mbr_op_axis(mbr_attr_int(s->node, "axis", -2), x->rank);
    for (int i = 0; i < x->rank; i++)
        if (update->rank != x->rank || (i == axis ? update->dims[i] > x->dims[i] : update->dims[i] != x->dims[i]))
            return mbr_cl_decline(l, "the update does not fit the cache");
    if (mbr_step_has(s, 2) && s->in[2]->dims[0] != x->dims[0])
        return mbr_cl_decline(l, "write indices for another batch");
    mbr_op_around(x, axis, &outer, &length, &inner);
    mbr_op_around(update, axis, &unused, &steps, &unused);
    copy_all(l, 0, 0);
    kernel(l, "into_cache", mbr_dtype_size(x->dtype), "-DSEQUENCE");
    mbr_cl_in(l, 1);
    mbr_cl_in_or_none(l, 2);
    mbr_cl_out(l, 0);
    mbr_cl_flag(l);
    mbr_cl_int(l, (int64_t)inner);
    mbr_cl_int(l, (int64_t)steps);
    mbr_cl_int(l, (int64_t)outer);
    mbr_cl_int(l, (int64_t)length);
    mbr_cl_int(l, (int64_t)outer / x->dims[0]);
    mbr_cl_int(l, mbr_attr_string(s->node, "mode", "linear")[0] == 'c');
    mbr_cl_int(l, mbr_step_has(s, 2));
    mbr_cl_go_rows(l, inner, steps, outer);
    return l->status;
}

#define ROW(name, function, param) { "", name, mbr_cl_takes_bytes, function, param }

const mbr_cl_op mbr_cl_ops_movement[] = {
    ROW("BlackmanWindow", lower_taper, MBR_TAPER_BLACKMAN),
    ROW("CenterCropPad", lower_pad, 1),
    ROW("Concat", lower_pieces, 0),
    ROW("ConstantOfShape", lower_pattern, FILL),
    ROW("DepthToSpace", lower_copy, 0),
    ROW("Dropout", lower_dropout, 0),
    ROW("Expand", lower_copy, 0),
    ROW("EyeLike", lower_pattern, EYE),
    ROW("Gather", lower_gather, 0),
    ROW("GatherElements", lower_elements, GATHER),
    ROW("GatherND", lower_tuples, GATHER),
    ROW("HammingWindow", lower_taper, MBR_TAPER_HAMMING),
    ROW("HannWindow", lower_taper, MBR_TAPER_HANN),
    ROW("MaxUnpool", lower_unpool, 0),
    ROW("OneHot", lower_one_hot, 0),
    ROW("Pad", lower_pad, 0),
    ROW("Range", lower_range, 0),
    ROW("ReverseSequence", lower_reverse, 0),
    ROW("Scatter", lower_elements, SCATTER),
    ROW("ScatterElements", lower_elements, SCATTER),
    ROW("ScatterND", lower_tuples, SCATTER),
    ROW("Shape", lower_shape, 0),
    ROW("Size", lower_shape, 0),
    ROW("Slice", lower_copy, 0),
    ROW("SpaceToDepth", lower_copy, 0),
    ROW("Split", lower_pieces, 1),
    ROW("TensorScatter", lower_into_cache, 0),
    ROW("Tile", lower_copy, 0),
    ROW("Transpose", lower_copy, 0),
    ROW("Trilu", lower_pattern, TRILU),
    { "com.microsoft", "Range", mbr_cl_takes_bytes, lower_range, 0 },
    { "com.microsoft", "Trilu", mbr_cl_takes_bytes, lower_pattern, TRILU },
    { 0 },
};
