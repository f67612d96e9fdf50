/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reductions, softmax and norms. The shapes are those that an operator's prepare has planned for the CPU (engine/ops/),
 * which are at the begin of its state.
 */
#include "engine/opencl/lower_util.h"
#include "engine/ops/op_util.h"
#include "kernels/norm_any.h"
#include "kernels/reduce.h"
#include "kernels/softmax.h"

#include <stdio.h>
#include <string.h>

static bool whole(mbr_dtype t)
{
    return mbr_dtype_is_int(t) || t == MBR_DTYPE_BOOL;
}

/* What is computed with. */
static const char *number(mbr_dtype t)
{
    return t == MBR_DTYPE_F64                             ? "double"
           : !whole(t)                                    ? "float"
           : mbr_dtype_name(t)[0] == 'i'                  ? "long"
                                                          : "ulong";
}

static size_t number_size(mbr_dtype t)
{
    return t == MBR_DTYPE_F64 || whole(t) ? 8 : 4;
}

/* --- reductions --- */

typedef struct shape {
    cl_int kept, gone, kept_rank, gone_rank;
    cl_int kept_dims[8], kept_strides[8], gone_dims[8], gone_strides[8];
} shape;

/* False: too many axes. */
static bool walk(const mbr_reduce_args *a, shape *s)
{
    size_t stride = 1;
    *s = (shape){ .kept = (cl_int)a->kept_count, .gone = (cl_int)a->reduced_count };
    for (int d = a->rank - 1; d >= 0; d--) {
        cl_int *rank = a->reduced[d] ? &s->gone_rank : &s->kept_rank;
        if (*rank == 8)
            return false;
        (a->reduced[d] ? s->gone_dims : s->kept_dims)[*rank] = (cl_int)a->dims[d];
        (a->reduced[d] ? s->gone_strides : s->kept_strides)[*rank] = (cl_int)stride;
        ++*rank;
        stride *= a->dims[d];
    }
    return true;
}

static mbr_status reduce(mbr_cl_lower *l, const mbr_reduce_args *a)
{
    static const struct {
        const char *join, *term, *finish;
    } how[MBR_REDUCE_COUNT] = {
        [MBR_REDUCE_SUM] = { "PLUS", "SELF", "AS_IS" },
        [MBR_REDUCE_MEAN] = { "PLUS", "SELF", "MEAN" },
        [MBR_REDUCE_MAX] = { "BIG", "SELF", "AS_IS" },
        [MBR_REDUCE_MIN] = { "SMALL", "SELF", "AS_IS" },
        [MBR_REDUCE_PROD] = { "TIMES", "SELF", "AS_IS" },
        [MBR_REDUCE_L1] = { "PLUS", "POSITIVE", "AS_IS" },
        [MBR_REDUCE_L2] = { "PLUS", "SQUARED", "ROOT" },
        [MBR_REDUCE_SUM_SQUARE] = { "PLUS", "SQUARED", "AS_IS" },
        [MBR_REDUCE_LOG_SUM] = { "PLUS", "SELF", "LOGARITHM" },
        [MBR_REDUCE_LOG_SUM_EXP] = { "BIG", "SELF", "AS_IS -DEXPONENTIAL" },
    };
    mbr_dtype t = a->dtype;
    shape s;
    char options[192];
    bool is_int = whole(t), least = a->op == MBR_REDUCE_MAX || a->op == MBR_REDUCE_LOG_SUM_EXP;
    if (a->kept_count == 0)
        return l->status;
    if (!mbr_cl_has_type(l->device, t) || (is_int && (a->reduced_count == 0 || a->op == MBR_REDUCE_L2 ||
                                                      a->op == MBR_REDUCE_LOG_SUM || a->op == MBR_REDUCE_LOG_SUM_EXP)))
        return mbr_cl_decline(l, "a type that its kernel does not take");
    if (mbr_value_count(l->step->in[0]) > INT32_MAX || !walk(a, &s))
        return mbr_cl_decline(l, "more axes than its kernel walks");
    bool one = s.gone_rank <= 1, dense = one && s.gone_strides[0] == 1;
    /* long sums of a work-item alone would round too often */
    bool wide = t == MBR_DTYPE_F32 && l->device->f64 && l->device->type & CL_DEVICE_TYPE_CPU && s.gone > 4096;
    const char *sum = wide ? "double" : number(t);
    bool is_unsigned = sum[0] == 'u';
    size_t group = dense || s.kept < 1024 ? mbr_cl_lines(l, a->reduced_count, wide ? 8 : number_size(t)) : 1;
    /* dense columns, on CPUs */
    bool columns = one && !dense && group == 1 && t == MBR_DTYPE_F32 && !wide && s.gone_strides[0] >= 16 &&
                   (l->device->type & CL_DEVICE_TYPE_CPU) && a->op != MBR_REDUCE_LOG_SUM_EXP;
    const char *init = a->op == MBR_REDUCE_PROD                  ? "1"
                       : least && is_unsigned                    ? "0"
                       : least && is_int                         ? "LONG_MIN"
                       : least                                   ? "-INFINITY"
                       : a->op != MBR_REDUCE_MIN                 ? "0"
                       : is_unsigned                             ? "ULONG_MAX"
                       : is_int                                  ? "LONG_MAX"
                                                                 : "INFINITY";
    snprintf(options, sizeof options, "-DT=%s -DA=%s -DINIT=%s -DJOIN=%s -DTERM=%s -DFINISH=%s%s%s", mbr_cl_name(t), sum,
             init, how[a->op].join, how[a->op].term, how[a->op].finish, columns ? " -DCOLUMNS" : one ? " -DONE" : "",
             mbr_cl_lines_options(l, group));
    if (columns) {
        size_t inner = (size_t)s.gone_strides[0], outer = a->kept_count / inner;
        mbr_cl_kernel(l, "reduce", "reduce_columns", options);
        mbr_cl_in(l, 0);
        mbr_cl_out(l, 0);
        mbr_cl_int(l, (int64_t)outer);
        mbr_cl_int(l, (int64_t)a->reduced_count);
        mbr_cl_int(l, (int64_t)inner);
        mbr_cl_go_rows(l, (inner + 15) / 16, outer, 1);
        return l->status;
    }
    mbr_cl_kernel(l, "reduce", "reduce", options);
    mbr_cl_in(l, 0);
    mbr_cl_out(l, 0);
    mbr_cl_bytes(l, &s, sizeof s);
    mbr_cl_local(l, group * 8);
    mbr_cl_go_lines(l, a->kept_count, group);
    return l->status;
}

static mbr_status lower_reduce(mbr_cl_lower *l)
{
    return reduce(l, l->step->state);
}

static mbr_status lower_arg(mbr_cl_lower *l)
{
    const mbr_arg_args *a = l->step->state;
    size_t n = a->outer * a->inner;
    char options[96];
    if (n == 0 || a->axis == 0)
        return l->status;
    size_t group = a->inner == 1 || n < 1024 ? mbr_cl_lines(l, a->axis, 16) : 1;
    snprintf(options, sizeof options, "-DT=%s -DA=%s -DBEST=%s%s", mbr_cl_name(a->dtype), number(a->dtype),
             a->min ? "SMALL" : "BIG", mbr_cl_lines_options(l, group));
    mbr_cl_kernel(l, "reduce", "arg", options);
    mbr_cl_in(l, 0);
    mbr_cl_out(l, 0);
    mbr_cl_int(l, (int64_t)a->axis);
    mbr_cl_int(l, (int64_t)a->inner);
    mbr_cl_int(l, (int64_t)n);
    mbr_cl_int(l, a->last);
    mbr_cl_local(l, group * 8);
    mbr_cl_local(l, group * sizeof(cl_int));
    mbr_cl_go_lines(l, n, group);
    return l->status;
}

static mbr_status lower_scan(mbr_cl_lower *l)
{
    const mbr_step *s = l->step;
    const mbr_value *x = s->in[0];
    bool product = strcmp(s->op->name, "CumProd") == 0;
    size_t outer, length, inner;
    int64_t axis;
    char options[96];
    if (!mbr_cl_known(l, 1) || mbr_op_step_int(s, 1, 0, &axis, NULL) != MBR_OK || axis < -x->rank || axis >= x->rank)
        return mbr_cl_decline(l, "its axis is not known before the run");
    mbr_op_around(x, mbr_op_axis(axis, x->rank), &outer, &length, &inner);
    size_t n = outer * inner;
    if (n == 0 || length == 0)
        return l->status;
    snprintf(options, sizeof options, "-DT=%s -DA=%s -DSCAN=%s -DINIT=%d", mbr_cl_name(x->dtype), number(x->dtype),
             product ? "TIMES" : "PLUS", product);
    mbr_cl_kernel(l, "reduce", "scan", options);
    mbr_cl_in(l, 0);
    mbr_cl_out(l, 0);
    mbr_cl_int(l, (int64_t)length);
    mbr_cl_int(l, (int64_t)inner);
    mbr_cl_int(l, (int64_t)n);
    mbr_cl_int(l, mbr_attr_int(s->node, "exclusive", 0) != 0);
    mbr_cl_int(l, mbr_attr_int(s->node, "reverse", 0) != 0);
    mbr_cl_go_lines(l, n, 1);
    return l->status;
}

/* --- softmax --- */

enum { SOFT, LOG, HARD };

static mbr_status lower_softmax(mbr_cl_lower *l)
{
    const mbr_softmax_args *a = l->step->state;
    mbr_dtype t = l->step->in[0]->dtype;
    int what = mbr_cl_param(l);
    size_t n = a->outer * a->inner;
    char options[96];
    if (n == 0 || a->axis == 0)
        return l->status;
    bool steps = what == SOFT && (t == MBR_DTYPE_F16 || t == MBR_DTYPE_BF16) && a->axis <= MBR_SOFTMAX_STEPWISE;
    size_t group = !steps && (a->inner == 1 || n < 1024) ? mbr_cl_lines(l, a->axis, number_size(t)) : 1;
    bool vector = group == 1 && a->inner == 1 && t == MBR_DTYPE_F32;
    snprintf(options, sizeof options, "-DT=%s -DC=%s%s%s%s", mbr_cl_name(t), number(t), mbr_cl_lines_options(l, group),
             vector && what != HARD ? " -DVECTOR" : steps ? t == MBR_DTYPE_BF16 ? " -DSTEPS=2" : " -DSTEPS=1" : "",
             what == LOG ? " -DLOG" : what == HARD ? " -DHARD" : "");
    mbr_cl_kernel(l, "softmax", "softmax", options);
    mbr_cl_in(l, 0);
    mbr_cl_out(l, 0);
    mbr_cl_int(l, (int64_t)a->axis);
    mbr_cl_int(l, (int64_t)a->inner);
    mbr_cl_int(l, (int64_t)n);
    mbr_cl_local(l, group * number_size(t));
    mbr_cl_go_lines(l, n, group);
    return l->status;
}

/* --- norms --- */

enum { LAYER, SKIP, GROUP, BATCH, LP, LRN };

typedef struct norm {
    cl_int rows, cols, residual_rows, groups, group_step, points;
    cl_float epsilon;
} norm;

/* Scale and bias of either group norm: one for each channel, or for each group. */
static bool group_shape(const mbr_norm_any_args *a, norm *n)
{
    *n = (norm){ .rows = (cl_int)(a->dims[0] * a->dims[1]), .cols = (cl_int)(a->dims[2] * a->dims[3]),
                 .groups = (cl_int)a->dims[1], .group_step = (cl_int)a->scale_strides[1],
                 .points = (cl_int)(a->scale_strides[2] ? a->dims[3] : a->dims[2] * a->dims[3]) };
    return true;
}

static bool row_shape(const mbr_step *s, const mbr_norm_any_args *a, uint32_t scale, norm *n)
{
    size_t rows = 1, cols = 1;
    for (int i = 0; i < a->rank; i++)
        *(i < a->axis ? &rows : &cols) *= a->dims[i];
    *n = (norm){ .rows = (cl_int)rows, .cols = (cl_int)cols, .groups = 1, .points = 1 };
    for (uint32_t i = scale; i < scale + 2 && i < s->n_in; i++) {
        const ptrdiff_t *strides = i == scale ? a->scale_strides : a->bias_strides;
        ptrdiff_t dense = 1;
        for (int d = a->rank - 1; mbr_step_has(s, i) && d >= 0; d--) {
            if (a->dims[d] != 1 && strides[d] != (d >= a->axis ? dense : 0))
                return false;
            dense *= (ptrdiff_t)a->dims[d];
        }
    }
    return true;
}

static mbr_status lower_norm(mbr_cl_lower *l)
{
    const mbr_step *s = l->step;
    const mbr_norm_any_args *a = s->state;
    int what = mbr_cl_param(l);
    uint32_t scale = what == SKIP ? 2 : 1, none = s->n_in, none_out = s->n_out;
    bool skip_rms = what == SKIP && a->rms;
    uint32_t bias = a->rms ? none : scale + 1, add = what != SKIP ? none : skip_rms ? 3 : 4;
    uint32_t mean = what == GROUP || a->rms ? none_out : 1;
    uint32_t inv = what == GROUP ? none_out : a->rms && what == LAYER ? 1 : 2, sum = what == SKIP ? 3 : none_out;
    char options[224];
    norm n;
    if (what == LAYER && a->rms && s->node->op->max_out < 2)
        inv = none_out;
    if (mbr_value_count(s->in[0]) == 0)
        return l->status;
    if (!(what == GROUP ? group_shape(a, &n) : row_shape(s, a, scale, &n)))
        return mbr_cl_decline(l, "a scale that its kernel does not spread");
    if (!s->out[0] || (skip_rms && mbr_step_wants(s, 1)) || !mbr_cl_has_type(l->device, a->dtype))
        return mbr_cl_decline(l, "outputs that its kernel does not make");
    bool has_scale = mbr_step_has(s, scale), has_bias = mbr_step_has(s, bias);
    mbr_dtype st = has_scale ? s->in[scale]->dtype : has_bias ? s->in[bias]->dtype : a->dtype;
    n.residual_rows = what == SKIP ? (cl_int)a->residual_rows : 1;
    n.epsilon = (cl_float)a->epsilon;
    size_t group = mbr_cl_lines(l, (size_t)n.cols, number_size(a->dtype));
    snprintf(options, sizeof options, "-DT=%s -DC=%s -DS=%s -DM=%s%s%s%s%s%s%s%s%s%s", mbr_cl_name(a->dtype),
             number(a->dtype), mbr_cl_name(st), mbr_cl_name(a->stat_dtype), mbr_cl_lines_options(l, group),
             a->rms ? " -DRMS" : "", has_scale ? " -DSCALE" : "", has_bias ? " -DBIAS" : "",
             what == SKIP ? " -DRESIDUAL" : "", mbr_step_has(s, add) ? " -DMORE" : "",
             mbr_step_wants(s, sum) ? " -DSUM_OUT" : "", mbr_step_wants(s, mean) ? " -DMEAN_OUT" : "",
             mbr_step_wants(s, inv) ? " -DINV_OUT" : "");
    mbr_cl_kernel(l, "norm", "rows", options);
    mbr_cl_in(l, 0);
    mbr_cl_in_or_none(l, what == SKIP ? 1 : none);
    mbr_cl_in_or_none(l, add);
    mbr_cl_in_or_none(l, scale);
    mbr_cl_in_or_none(l, bias);
    mbr_cl_out(l, 0);
    mbr_cl_out(l, mbr_step_wants(s, sum) ? sum : 0);
    mbr_cl_out(l, mbr_step_wants(s, mean) ? mean : 0);
    mbr_cl_out(l, mbr_step_wants(s, inv) ? inv : 0);
    mbr_cl_bytes(l, &n, sizeof n);
    mbr_cl_local(l, group * number_size(a->dtype));
    mbr_cl_go_lines(l, (size_t)n.rows, group);
    return l->status;
}

static mbr_status lower_batch(mbr_cl_lower *l)
{
    const mbr_batch_norm_args *a = l->step->state;
    char options[96];
    if (mbr_value_count(l->step->in[0]) == 0)
        return l->status;
    if (a->train)
        return mbr_cl_decline(l, "it trains");
    snprintf(options, sizeof options, "-DT=%s -DC=%s -DS=%s -DM=%s", mbr_cl_name(a->dtype), number(a->dtype),
             mbr_cl_name(a->scale_dtype), mbr_cl_name(a->stat_dtype));
    mbr_cl_kernel(l, "norm", "batch", options);
    for (uint32_t i = 0; i < 5; i++)
        mbr_cl_in(l, i);
    mbr_cl_out(l, 0);
    mbr_cl_int(l, (int64_t)a->points);
    mbr_cl_int(l, (int64_t)a->channels);
    mbr_cl_int(l, (int64_t)(a->n * a->channels));
    mbr_cl_float(l, (float)a->epsilon);
    mbr_cl_go_rows(l, a->points, a->n * a->channels, 1);
    return l->status;
}

static mbr_status lower_simple(mbr_cl_lower *l)
{
    const mbr_step *s = l->step;
    const mbr_value *x = s->in[0];
    bool lrn = mbr_cl_param(l) == LRN;
    size_t outer, axis, inner;
    char options[40];
    if (mbr_value_count(x) == 0)
        return l->status;
    snprintf(options, sizeof options, "-DT=%s -DC=%s", mbr_cl_name(x->dtype), number(x->dtype));
    mbr_op_around(x, lrn ? 1 : mbr_op_axis(mbr_attr_int(s->node, "axis", -1), x->rank), &outer, &axis, &inner);
    mbr_cl_kernel(l, "norm", lrn ? "lrn" : "lp", options);
    mbr_cl_in(l, 0);
    mbr_cl_out(l, 0);
    mbr_cl_int(l, (int64_t)(lrn ? inner : axis));
    mbr_cl_int(l, (int64_t)(lrn ? axis : inner));
    mbr_cl_int(l, (int64_t)(outer * (lrn ? axis : inner)));
    mbr_cl_int(l, lrn ? mbr_attr_int(s->node, "size", 1) : mbr_attr_int(s->node, "p", 2));
    if (lrn) {
        mbr_cl_float(l, mbr_attr_float(s->node, "alpha", 1e-4f));
        mbr_cl_float(l, mbr_attr_float(s->node, "beta", 0.75f));
        mbr_cl_float(l, mbr_attr_float(s->node, "bias", 1.0f));
        mbr_cl_go_rows(l, inner, outer * axis, 1);
    } else {
        mbr_cl_go_lines(l, outer * inner, 1);
    }
    return l->status;
}

#define ROW(name, function, param) { "", name, mbr_cl_takes_numbers, function, param }
#define OWN(dom, name, function, param) { dom, name, mbr_cl_takes_numbers, function, param }

const mbr_cl_op mbr_cl_ops_reduce[] = {
    ROW("ArgMax", lower_arg, 0),
    ROW("ArgMin", lower_arg, 0),
    ROW("BatchNormalization", lower_batch, BATCH),
    ROW("CumProd", lower_scan, 0),
    ROW("CumSum", lower_scan, 0),
    ROW("GroupNormalization", lower_norm, GROUP),
    ROW("Hardmax", lower_softmax, HARD),
    ROW("InstanceNormalization", lower_norm, GROUP),
    ROW("LRN", lower_simple, LRN),
    ROW("LayerNormalization", lower_norm, LAYER),
    ROW("LogSoftmax", lower_softmax, LOG),
    ROW("LpNormalization", lower_simple, LP),
    ROW("RMSNormalization", lower_norm, LAYER),
    ROW("ReduceL1", lower_reduce, 0),
    ROW("ReduceL2", lower_reduce, 0),
    ROW("ReduceLogSum", lower_reduce, 0),
    ROW("ReduceLogSumExp", lower_reduce, 0),
    ROW("ReduceMax", lower_reduce, 0),
    ROW("ReduceMean", lower_reduce, 0),
    ROW("ReduceMin", lower_reduce, 0),
    ROW("ReduceProd", lower_reduce, 0),
    ROW("ReduceSum", lower_reduce, 0),
    ROW("ReduceSumSquare", lower_reduce, 0),
    ROW("SimplifiedLayerNormalization", lower_norm, LAYER),
    ROW("Softmax", lower_softmax, SOFT),
    OWN("com.microsoft", "SimplifiedLayerNormalization", lower_norm, LAYER),
    OWN("com.microsoft", "SkipLayerNormalization", lower_norm, SKIP),
    OWN("com.microsoft", "SkipSimplifiedLayerNormalization", lower_norm, SKIP),
    { 0 },
};
