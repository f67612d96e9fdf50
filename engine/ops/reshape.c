/* SPDX-License-Identifier: BSD-2-Clause */
/* Reshape, Flatten, Squeeze, Unsqueeze, mbr.Regroup: the same bytes under another shape. */
#include "engine/ops/op_util.h"

#include "base/checked.h"

#include <string.h>

static mbr_status finish(mbr_infer *c, int rank, const mbr_dim *dims)
{
    mbr_infer_out(c, 0, c->in[0].dtype, rank, dims);
    if (rank >= 0)
        mbr_op_pass_content(c);
    return MBR_OK;
}

/*
 * The size that makes the counts agree. Equal factors cancel first, so that (batch, seq, 768) -> (batch, seq, 12, -1)
 * is 64 and not a quotient of products.
 */
static mbr_dim rest(mbr_infer *c, const mbr_arg *in, const mbr_dim *out, int rank)
{
    mbr_dim above[MBR_MAX_RANK];
    int64_t numerator = 1, divisor = 1;
    int n = 0;
    mbr_dim p = 1, q = 1;
    if (in->rank < 0)
        return MBR_DIM_UNKNOWN;
    memcpy(above, in->dims, sizeof(mbr_dim) * (size_t)in->rank);
    n = in->rank;
    for (int i = 0; i < rank; i++) {
        int k = 0;
        if (out[i] == -1)
            continue;
        while (k < n && above[k] != out[i])
            k++;
        if (k < n && mbr_dim_is_known(out[i]) && out[i] != 0)
            above[k] = above[--n];
        else if (mbr_dim_is_const(out[i])) {
            if (mbr_mul_i64(divisor, out[i], &divisor))
                continue;
            return MBR_DIM_UNKNOWN;
        } else
            q = mbr_dim_mul(c->dims, q, out[i]);
    }
    for (int k = 0; k < n; k++) {
        if (mbr_dim_is_const(above[k])) {
            if (!mbr_mul_i64(numerator, above[k], &numerator))
                return MBR_DIM_UNKNOWN;
        } else
            p = mbr_dim_mul(c->dims, p, above[k]);
    }
    if (divisor == 0)
        return 0; /* any size fits; the run checks the counts */
    for (int64_t a = numerator, b = divisor; numerator != 0;) { /* the common divisor */
        if (b == 0) {
            numerator /= a;
            divisor /= a;
            break;
        }
        int64_t t = a % b;
        a = b;
        b = t;
    }
    p = mbr_dim_mul(c->dims, p, numerator);
    q = mbr_dim_mul(c->dims, q, divisor);
    return q == 1 ? p : mbr_dim_div(c->dims, p, q);
}

static mbr_status infer_reshape(mbr_infer *c)
{
    const mbr_arg *in = &c->in[0];
    mbr_dim dims[MBR_MAX_RANK];
    size_t n;
    mbr_op_given given;
    int open = -1;
    MBR_TRY(mbr_op_check_tensor(c, 0));
    MBR_TRY(mbr_op_infer_ints(c, c->node->op->since < 5 ? "shape" : NULL, 1, dims, MBR_MAX_RANK, &n, &given));
    if (given == MBR_OP_ABSENT)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "the new shape is absent");
    if (given == MBR_OP_UNKNOWN) {
        bool counted = c->in[1].rank == 1 && mbr_dim_is_const(c->in[1].dims[0]);
        return finish(c, counted ? (int)c->in[1].dims[0] : -1, NULL);
    }
    bool keep_zero = mbr_attr_int(c->node, "allowzero", 0) != 0 && c->node->op->since >= 14;
    for (size_t i = 0; i < n; i++) {
        if (dims[i] == -1) {
            if (open >= 0)
                return mbr_infer_fail(c, MBR_ERR_MODEL, "the new shape holds -1 twice");
            open = (int)i;
        } else if (dims[i] == 0 && !keep_zero) {
            if (in->rank >= 0 && (int)i >= in->rank)
                return mbr_infer_fail(c, MBR_ERR_MODEL, "the new shape keeps axis %zu, the tensor has %d", i, in->rank);
            dims[i] = in->rank < 0 ? MBR_DIM_UNKNOWN : in->dims[i];
        } else if (mbr_dim_is_const(dims[i]) && dims[i] < -1) {
            return mbr_infer_fail(c, MBR_ERR_MODEL, "the new shape holds %lld", (long long)dims[i]);
        }
    }
    if (open >= 0) {
        dims[open] = rest(c, in, dims, (int)n);
    } else if (in->rank >= 0) {
        /* plain counts can be compared now */
        mbr_dim a = mbr_op_product(c, in->dims, in->rank), b = mbr_op_product(c, dims, (int)n);
        if (mbr_dim_is_known(a) && mbr_dim_is_const(a) && mbr_dim_is_known(b) && mbr_dim_is_const(b) && a != b)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "a tensor of %lld elements cannot take a shape of %lld",
                                  (long long)a, (long long)b);
    }
    return finish(c, (int)n, dims);
}

static mbr_status infer_flatten(mbr_infer *c)
{
    const mbr_arg *in = &c->in[0];
    int64_t axis = mbr_attr_int(c->node, "axis", 1);
    MBR_TRY(mbr_op_check_tensor(c, 0));
    if (in->rank < 0)
        return finish(c, 2, NULL);
    if (in->rank == 0 && !mbr_attr(c->node, "axis"))
        axis = 0; /* the default is beyond a scalar */
    if (axis < -in->rank || axis > in->rank)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "axis %lld does not exist in rank %d", (long long)axis, in->rank);
    int at = (int)(axis < 0 ? axis + in->rank : axis);
    mbr_dim dims[2] = { mbr_op_product(c, in->dims, at), mbr_op_product(c, in->dims + at, in->rank - at) };
    return finish(c, 2, dims);
}

static mbr_status infer_squeeze(mbr_infer *c)
{
    const mbr_arg *in = &c->in[0];
    uint32_t bits;
    int n, rank = 0;
    mbr_op_given given;
    mbr_dim dims[MBR_MAX_RANK];
    MBR_TRY(mbr_op_check_tensor(c, 0));
    MBR_TRY(mbr_op_infer_axes(c, c->node->op->since < 13 ? "axes" : NULL, 1, in->rank, &bits, NULL, &n, &given));
    if (in->rank < 0 || given == MBR_OP_UNKNOWN)
        return finish(c, -1, NULL);
    for (int i = 0; i < in->rank; i++) {
        mbr_dim d = in->dims[i];
        if (given == MBR_OP_ABSENT) {
            if (!mbr_dim_is_const(d)) /* it may be 1 */
                return finish(c, -1, NULL);
            if (d == 1)
                continue;
        } else if (bits >> i & 1) {
            if (mbr_dim_is_const(d) && d != 1)
                return mbr_infer_fail(c, MBR_ERR_MODEL, "axis %d has size %lld, only 1 can be dropped", i,
                                      (long long)d);
            continue;
        }
        dims[rank++] = d;
    }
    return finish(c, rank, dims);
}

static mbr_status infer_unsqueeze(mbr_infer *c)
{
    const mbr_arg *in = &c->in[0];
    mbr_dim v[MBR_MAX_RANK], dims[MBR_MAX_RANK];
    size_t n;
    mbr_op_given given;
    uint32_t bits = 0;
    MBR_TRY(mbr_op_check_tensor(c, 0));
    MBR_TRY(mbr_op_infer_ints(c, c->node->op->since < 13 ? "axes" : NULL, 1, v, MBR_MAX_RANK, &n, &given));
    if (given == MBR_OP_ABSENT)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "the axes are absent");
    if (given == MBR_OP_UNKNOWN || in->rank < 0)
        return finish(c, -1, NULL);
    int rank = in->rank + (int)n;
    if (rank > MBR_MAX_RANK)
        return mbr_infer_fail(c, MBR_ERR_UNSUPPORTED, "rank %d, at most %d are possible", rank, MBR_MAX_RANK);
    for (size_t i = 0; i < n; i++) {
        int axis;
        if (!mbr_dim_is_const(v[i]))
            return finish(c, rank, NULL);
        MBR_TRY(mbr_infer_axis(c, v[i], rank, &axis));
        if (bits >> axis & 1)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "axis %d is listed twice", axis);
        bits |= UINT32_C(1) << axis;
    }
    for (int i = 0, k = 0; i < rank; i++)
        dims[i] = bits >> i & 1 ? 1 : in->dims[k++];
    return finish(c, rank, dims);
}

/*
 * mbr.Regroup: each axis becomes split[i] axes of the next `sizes` (-1: what is left of it), then the next merge[i]
 * axes become one. No axis stands for size 1.
 */
static mbr_status infer_regroup(mbr_infer *c)
{
    const mbr_arg *in = &c->in[0];
    mbr_dim parts[MBR_MAX_RANK], dims[MBR_MAX_RANK];
    size_t n, n_sizes, k = 0, end = 0;
    const int64_t *split = mbr_attr_ints(c->node, "split", &n), *sizes = mbr_attr_ints(c->node, "sizes", &n_sizes);
    MBR_TRY(mbr_op_check_tensor(c, 0));
    bool fits = in->rank >= 0 && n_sizes <= MBR_MAX_RANK && (!split || n == (size_t)in->rank);
    for (size_t i = 0; i < (size_t)in->rank && fits; i++) {
        int64_t fixed = 1;
        end += split ? (size_t)split[i] : 1;
        fits = end <= (split ? n_sizes : MBR_MAX_RANK) && (!split || split[i] >= 0);
        for (size_t j = k; j < end && fits && split; j++)
            fits = sizes[j] < 0 || mbr_mul_i64(fixed, sizes[j], &fixed);
        for (; k < end && fits; k++)
            parts[k] = split && sizes[k] >= 0 ? sizes[k] : mbr_dim_div(c->dims, in->dims[i], fixed);
    }
    const int64_t *merge = mbr_attr_ints(c->node, "merge", &n);
    fits &= n <= MBR_MAX_RANK && k >= n_sizes;
    k = 0;
    for (size_t i = 0; merge && i < n && fits; i++) {
        dims[i] = 1;
        for (int64_t j = 0; j < merge[i] && k < end; j++)
            dims[i] = mbr_dim_mul(c->dims, dims[i], parts[k++]);
    }
    if (!fits || (merge && k != end))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "the axes cannot be split or merged so");
    return finish(c, (int)(merge ? n : end), merge ? dims : parts);
}

/* What symbols could not tell when the model was planned. */
static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    size_t a = mbr_value_count(s->in[0]), b = mbr_value_count(s->out[0]);
    if (a != b)
        return mbr_step_fail(s, err, MBR_ERR_RUN, "a tensor of %zu elements cannot take a shape of %zu", a, b);
    return MBR_OK;
}

#define ROW(where, op_name, version, most, function)                                                                   \
    { .domain = where, .name = op_name, .since = version, .min_in = 1, .max_in = most, .min_out = 1, .max_out = 1,     \
      .flags = MBR_OP_VIEW, .content_inputs = (most) == 2 ? 2 : 0, .infer = function, .prepare = prepare }

const mbr_op mbr_ops_reshape[] = {
    ROW("", "Flatten", 1, 1, infer_flatten),
    ROW("", "Reshape", 1, 1, infer_reshape),
    ROW("", "Reshape", 5, 2, infer_reshape),
    ROW("", "Reshape", 14, 2, infer_reshape),
    ROW("", "Squeeze", 1, 1, infer_squeeze),
    ROW("", "Squeeze", 13, 2, infer_squeeze),
    ROW("", "Unsqueeze", 1, 1, infer_unsqueeze),
    ROW("", "Unsqueeze", 13, 2, infer_unsqueeze),
    ROW("mbr", "Regroup", 1, 1, infer_regroup),
    { 0 },
};
