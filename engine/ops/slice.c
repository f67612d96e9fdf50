/* SPDX-License-Identifier: BSD-2-Clause */
/* Slice: starts, ends and axes are attributes up to version 9, inputs (and steps) from 10 on. */
#include "engine/ops/op_util.h"

#include <string.h>

#define FAR INT32_MAX /* beyond any axis that exporters mean: "to the end" */

/* where a start or end (of either sign) lies on an axis of size d, forward steps; UNKNOWN if that cannot be told */
static mbr_dim place(mbr_infer *c, mbr_dim v, mbr_dim d)
{
    if (!mbr_dim_is_known(v) || !mbr_dim_is_known(d))
        return v == 0 ? 0 : MBR_DIM_UNKNOWN;
    if (mbr_dim_is_const(v) && mbr_dim_is_const(d)) {
        v = v < 0 ? (v < -d ? 0 : v + d) : v;
        return v > d ? d : v;
    }
    if (mbr_dim_is_const(v) && v < 0) {
        mbr_dim p = v <= -FAR ? 0 : mbr_dim_add(c->dims, d, v);
        return mbr_dim_is_known(p) && mbr_dim_lower_bound(c->dims, p) >= 0 ? p : mbr_dim_max(c->dims, p, 0);
    }
    if (mbr_dim_is_const(v) && v >= FAR)
        return d;
    if (v == d || v == 0)
        return v;
    if (mbr_dim_lower_bound(c->dims, v) < 0)
        return MBR_DIM_UNKNOWN;
    if (mbr_dim_lower_bound(c->dims, mbr_dim_sub(c->dims, d, v)) >= 0)
        return v;
    return mbr_dim_min(c->dims, v, d);
}

/* Plain numbers: first index and count. */
static void span(int64_t start, int64_t end, int64_t step, int64_t d, int64_t *first, int64_t *count)
{
    int64_t low = step > 0 ? 0 : -1, high = step > 0 ? d : d - 1;
    start = start < 0 ? (start < -d ? low : start + d) : start;
    end = end < 0 ? (end < -d ? low : end + d) : end;
    start = start < low ? low : start > high ? high : start;
    end = end < low ? low : end > high ? high : end;
    int64_t length = step > 0 ? end - start : start - end;
    uint64_t by = step > 0 ? (uint64_t)step : 0 - (uint64_t)step;
    *first = start;
    *count = length <= 0 ? 0 : (int64_t)(((uint64_t)length - 1) / by + 1);
}

static mbr_dim length(mbr_infer *c, mbr_dim start, mbr_dim end, int64_t step, mbr_dim d)
{
    int64_t first, count;
    if (mbr_dim_is_const(start) && mbr_dim_is_const(end) && mbr_dim_is_known(d) && mbr_dim_is_const(d)) {
        span(start, end, step, d, &first, &count);
        return count;
    }
    if (step < 0) { /* backwards over everything is all that occurs */
        bool whole = step > -FAR && mbr_dim_is_const(start) && (start == -1 || start >= FAR) &&
                     mbr_dim_is_const(end) && end <= -FAR;
        return whole ? mbr_dim_div(c->dims, mbr_dim_add(c->dims, d, -step - 1), -step) : MBR_DIM_UNKNOWN;
    }
    mbr_dim from = place(c, start, d), to = place(c, end, d);
    if (!mbr_dim_is_known(from) || !mbr_dim_is_known(to))
        return MBR_DIM_UNKNOWN;
    mbr_dim n = mbr_dim_sub(c->dims, to, from);
    if (step != 1)
        n = mbr_dim_div(c->dims, mbr_dim_add(c->dims, n, step - 1), step);
    return mbr_dim_lower_bound(c->dims, n) >= 0 ? n : mbr_dim_max(c->dims, n, 0);
}

/* The numbers of a 1-D slice of a shape tensor. */
static void content(mbr_infer *c, mbr_dim start, mbr_dim end, mbr_dim step)
{
    mbr_dim v[MBR_OP_CONTENT], w[MBR_OP_CONTENT];
    size_t n;
    int64_t first, count;
    if (!mbr_dim_is_const(start) || !mbr_dim_is_const(end) || !mbr_infer_ints(c, 0, v, MBR_OP_CONTENT, &n))
        return;
    span(start, end, step, (int64_t)n, &first, &count);
    for (int64_t i = 0; i < count; i++)
        w[i] = v[first + i * step];
    mbr_infer_set_content(c, 0, w, (size_t)count);
}

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *in = &c->in[0];
    bool old = c->node->op->since < 10;
    mbr_dim start[MBR_MAX_RANK], end[MBR_MAX_RANK], step[MBR_MAX_RANK], axes[MBR_MAX_RANK], dims[MBR_MAX_RANK];
    size_t n_start, n_end, n_step, n_axes;
    mbr_op_given g_start, g_end, g_step, g_axes;
    MBR_TRY(mbr_op_check_tensor(c, 0));
    MBR_TRY(mbr_op_infer_ints(c, old ? "starts" : NULL, 1, start, MBR_MAX_RANK, &n_start, &g_start));
    MBR_TRY(mbr_op_infer_ints(c, old ? "ends" : NULL, 2, end, MBR_MAX_RANK, &n_end, &g_end));
    MBR_TRY(mbr_op_infer_ints(c, old ? "axes" : NULL, 3, axes, MBR_MAX_RANK, &n_axes, &g_axes));
    MBR_TRY(mbr_op_infer_ints(c, old ? "steps" : NULL, 4, step, MBR_MAX_RANK, &n_step, &g_step));
    if (old)
        g_step = MBR_OP_ABSENT;
    if (g_start == MBR_OP_ABSENT || g_end == MBR_OP_ABSENT)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "starts or ends are absent");
    if (in->rank < 0) {
        mbr_infer_out(c, 0, in->dtype, -1, NULL);
        return MBR_OK;
    }
    if (in->rank == 0)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "a single number cannot be sliced");
    memcpy(dims, in->dims, sizeof dims);
    size_t n = g_start == MBR_OP_KNOWN  ? n_start
               : g_end == MBR_OP_KNOWN  ? n_end
               : g_axes == MBR_OP_KNOWN ? n_axes
                                        : n_step;
    if ((g_start == MBR_OP_KNOWN && n_start != n) || (g_end == MBR_OP_KNOWN && n_end != n) ||
        (g_axes == MBR_OP_KNOWN && n_axes != n) || (g_step == MBR_OP_KNOWN && n_step != n))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "starts, ends, axes and steps differ in length");
    bool which = g_axes != MBR_OP_UNKNOWN && (g_axes == MBR_OP_KNOWN || g_start == MBR_OP_KNOWN ||
                                              g_end == MBR_OP_KNOWN); /* the axes are known */
    for (size_t i = 0; which && i < n; i++) {
        int axis;
        if (g_axes == MBR_OP_KNOWN && !mbr_dim_is_const(axes[i])) {
            which = false;
            break;
        }
        MBR_TRY(mbr_infer_axis(c, g_axes == MBR_OP_KNOWN ? axes[i] : (int64_t)i, in->rank, &axis));
        mbr_dim by = g_step == MBR_OP_ABSENT ? 1 : g_step == MBR_OP_KNOWN ? step[i] : MBR_DIM_UNKNOWN;
        if (by == 0)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "a step of 0");
        bool plain = g_start == MBR_OP_KNOWN && g_end == MBR_OP_KNOWN && mbr_dim_is_known(by) && mbr_dim_is_const(by);
        dims[axis] = plain ? length(c, start[i], end[i], by, in->dims[axis]) : MBR_DIM_UNKNOWN;
    }
    /* what is not known yet decides when the step may be prepared: no size may look known then */
    bool later = g_start == MBR_OP_UNKNOWN || g_end == MBR_OP_UNKNOWN || g_axes == MBR_OP_UNKNOWN ||
                 g_step == MBR_OP_UNKNOWN;
    if (!which || (later && n == 0))
        for (int i = 0; i < in->rank; i++)
            dims[i] = MBR_DIM_UNKNOWN;
    mbr_infer_out(c, 0, in->dtype, in->rank, dims);
    bool known = which && g_start == MBR_OP_KNOWN && g_end == MBR_OP_KNOWN && g_step != MBR_OP_UNKNOWN;
    if (in->rank == 1 && known && n == 1 && mbr_dim_is_const(g_step == MBR_OP_ABSENT ? 1 : step[0]))
        content(c, start[0], end[0], g_step == MBR_OP_ABSENT ? 1 : step[0]);
    else if (known && n == 0)
        mbr_op_pass_content(c);
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    mbr_op_copy *st = s->state;
    const mbr_value *in = s->in[0], *out = s->out[0];
    bool old = s->op->since < 10;
    int64_t start[MBR_MAX_RANK], end[MBR_MAX_RANK], step[MBR_MAX_RANK], axes[MBR_MAX_RANK];
    size_t n, n_end, n_axes, n_step, size = mbr_dtype_size(in->dtype), dims[MBR_MAX_RANK], in_dims[MBR_MAX_RANK];
    mbr_op_given g, g_axes, g_step;
    ptrdiff_t from[MBR_MAX_RANK], to[MBR_MAX_RANK], offset = 0;
    MBR_TRY(mbr_op_step_ints(s, old ? "starts" : NULL, 1, start, MBR_MAX_RANK, &n, &g, err));
    MBR_TRY(mbr_op_step_ints(s, old ? "ends" : NULL, 2, end, MBR_MAX_RANK, &n_end, &g, err));
    MBR_TRY(mbr_op_step_ints(s, old ? "axes" : NULL, 3, axes, MBR_MAX_RANK, &n_axes, &g_axes, err));
    MBR_TRY(mbr_op_step_ints(s, old ? "steps" : NULL, 4, step, MBR_MAX_RANK, &n_step, &g_step, err));
    if (old)
        g_step = MBR_OP_ABSENT;
    if (n != n_end || (g_axes == MBR_OP_KNOWN && n_axes != n) || (g_step == MBR_OP_KNOWN && n_step != n) ||
        n > (size_t)in->rank)
        return mbr_step_fail(s, err, MBR_ERR_RUN, "starts, ends, axes and steps differ in length");
    int rank = mbr_op_dims(out, dims);
    mbr_op_dims(in, in_dims);
    mbr_dense_strides(rank, in_dims, from);
    mbr_dense_strides(rank, dims, to);
    uint32_t seen = 0;
    for (size_t i = 0; i < n; i++) {
        int64_t where = g_axes == MBR_OP_KNOWN ? axes[i] : (int64_t)i, by = g_step == MBR_OP_KNOWN ? step[i] : 1;
        int64_t first, count;
        if (where < -in->rank || where >= in->rank || by == 0)
            return mbr_step_fail(s, err, MBR_ERR_RUN, "axis %lld with step %lld in rank %d", (long long)where,
                                 (long long)by, in->rank);
        int axis = mbr_op_axis(where, in->rank);
        if (seen >> axis & 1)
            return mbr_step_fail(s, err, MBR_ERR_RUN, "axis %d is listed twice", axis);
        seen |= UINT32_C(1) << axis;
        span(start[i], end[i], by, in->dims[axis], &first, &count);
        if (count != out->dims[axis])
            return mbr_step_fail(s, err, MBR_ERR_INTERNAL, "axis %d gets %lld elements, planned were %lld", axis,
                                 (long long)count, (long long)out->dims[axis]);
        offset += count ? (ptrdiff_t)first * from[axis] : 0;
        from[axis] *= count > 1 ? (ptrdiff_t)by : 1;
    }
    mbr_copy_plan_init(&st->plan, size, rank, dims, from, to);
    st->in_offset = offset * (ptrdiff_t)size;
    mbr_op_copy_prepare(s, st);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)err;
    mbr_op_copy_run(s->state, s->in[0]->data, s->out[0]->data, job);
    return MBR_OK;
}

#define ROW(version, least, most)                                                                                      \
    { .domain = "", .name = "Slice", .since = version, .min_in = least, .max_in = most, .min_out = 1, .max_out = 1,    \
      .content_inputs = (most) == 5 ? 0x1e : 0, .infer = infer, .prepare = prepare, .run = run,                        \
      .state_size = sizeof(mbr_op_copy) }

const mbr_op mbr_ops_slice[] = {
    ROW(1, 1, 1),
    ROW(10, 3, 5),
    { 0 },
};
