/* SPDX-License-Identifier: BSD-2-Clause */
/* OneHot, EyeLike, Trilu: tensors with a pattern of ones, or of zeros. */
#include "engine/ops/op_util.h"

#include "kernels/convert.h"
#include "kernels/real.h"

#include <math.h>
#include <string.h>

/* --- OneHot --- */

/* The depth may be of any number type. */
static mbr_dim depth_of(mbr_infer *c)
{
    mbr_dim v;
    double r;
    size_t n;
    if (mbr_infer_ints(c, 1, &v, 1, &n) && n == 1)
        return v;
    if (mbr_infer_reals(c, 1, &r, 1, &n) && n == 1 && fabs(r) < 9e15)
        return (mbr_dim)r;
    return MBR_DIM_UNKNOWN;
}

static mbr_status infer_one_hot(mbr_infer *c)
{
    const mbr_arg *in = &c->in[0];
    mbr_dim dims[MBR_MAX_RANK], depth = depth_of(c);
    int axis;
    MBR_TRY(mbr_op_check_type(c, 0, MBR_TYPES_NUMBER));
    MBR_TRY(mbr_op_check_type(c, 1, MBR_TYPES_NUMBER));
    MBR_TRY(mbr_op_check_tensor(c, 2));
    if (mbr_dim_is_const(depth) && depth < 0)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "a depth of %lld", (long long)depth);
    if (c->in[2].rank >= 0 && (c->in[2].rank != 1 || (mbr_dim_is_const(c->in[2].dims[0]) && c->in[2].dims[0] != 2)))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "the values must be two, off and on");
    if (in->rank < 0) {
        mbr_infer_out(c, 0, c->in[2].dtype, -1, NULL);
        return MBR_OK;
    }
    if (in->rank + 1 > MBR_MAX_RANK)
        return mbr_infer_fail(c, MBR_ERR_UNSUPPORTED, "rank %d, at most %d are possible", in->rank + 1, MBR_MAX_RANK);
    MBR_TRY(mbr_infer_axis(c, mbr_attr_int(c->node, "axis", -1), in->rank + 1, &axis));
    for (int i = 0, k = 0; i <= in->rank; i++)
        dims[i] = i == axis ? depth : in->dims[k++];
    mbr_infer_out(c, 0, c->in[2].dtype, in->rank + 1, dims);
    return MBR_OK;
}

static mbr_status run_one_hot(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const mbr_value *in = s->in[0], *out = s->out[0];
    size_t outer, depth, inner, size = mbr_dtype_size(out->dtype);
    const char *values = s->in[2]->data;
    (void)job;
    if (mbr_value_count(s->in[2]) != 2)
        return mbr_step_fail(s, err, MBR_ERR_RUN, "the values must be two, off and on");
    mbr_op_around(out, mbr_op_axis(mbr_attr_int(s->node, "axis", -1), out->rank), &outer, &depth, &inner);
    mbr_fill(size, values, out->data, outer * depth * inner);
    for (size_t o = 0; o < outer; o++)
        for (size_t i = 0; i < inner; i++) {
            double k = mbr_real_get(in->dtype, in->data, o * inner + i);
            k = k < 0 ? k + (double)depth : k;
            if (k >= 0 && k < (double)depth && k == floor(k))
                memcpy((char *)out->data + ((o * depth + (size_t)k) * inner + i) * size, values + size, size);
        }
    return MBR_OK;
}

/* --- EyeLike --- */

static mbr_status infer_eye(mbr_infer *c)
{
    const mbr_arg *in = &c->in[0];
    int64_t type = mbr_attr_int(c->node, "dtype", in->dtype);
    MBR_TRY(mbr_op_check_rank(c, 0, 1, 2));
    if (type < 0 || type >= MBR_DTYPE_COUNT || (type && !mbr_convert_has(MBR_DTYPE_F32, (mbr_dtype)type)))
        return mbr_infer_fail(c, MBR_ERR_UNSUPPORTED, "the type %lld", (long long)type);
    mbr_dim dims[2] = { in->dims[0], in->rank == 2 ? in->dims[1] : in->dims[0] };
    mbr_infer_out(c, 0, (mbr_dtype)type, 2, in->rank < 0 ? NULL : dims);
    return MBR_OK;
}

static mbr_status run_eye(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const mbr_value *out = s->out[0];
    int64_t rows = out->dims[0], cols = out->dims[1], k = mbr_attr_int(s->node, "k", 0);
    size_t size = mbr_dtype_size(out->dtype);
    mbr_convert_args to = { .from = MBR_DTYPE_F32, .to = out->dtype };
    float one = 1.0f;
    uint64_t element;
    (void)job;
    (void)err;
    if (rows == 0 || cols == 0)
        return MBR_OK;
    mbr_convert_ref(&to, &one, &element, 1);
    memset(out->data, 0, mbr_value_bytes(out));
    if (k <= -rows || k >= cols)
        return MBR_OK;
    for (int64_t i = k < 0 ? -k : 0; i < rows && i + k < cols; i++)
        memcpy((char *)out->data + (size_t)(i * cols + i + k) * size, &element, size);
    return MBR_OK;
}

/* --- Trilu --- */

static mbr_status infer_trilu(mbr_infer *c)
{
    MBR_TRY(mbr_op_check_rank(c, 0, 2, MBR_MAX_RANK));
    MBR_TRY(mbr_op_check_type(c, 1, MBR_TYPE_BIT(I64)));
    mbr_infer_same(c, 0, 0);
    return MBR_OK;
}

typedef struct trilu_state {
    size_t rows, cols; /* rows of all matrices */
    size_t each;
} trilu_state;

static mbr_status prepare_trilu(mbr_step *s, mbr_error *err)
{
    trilu_state *st = s->state;
    const mbr_value *in = s->in[0];
    (void)err;
    st->cols = (size_t)in->dims[in->rank - 1];
    st->rows = 1;
    for (int i = 0; i < in->rank - 1; i++)
        st->rows *= (size_t)in->dims[i];
    st->each = mbr_step_split(s, st->rows, 5.0 + (double)(st->cols * mbr_dtype_size(in->dtype)) * 0.1);
    return MBR_OK;
}

static mbr_status run_trilu(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const trilu_state *st = s->state;
    const mbr_value *in = s->in[0];
    bool upper = mbr_attr_int(s->node, "upper", 1) != 0;
    int64_t k, height = in->dims[in->rank - 2], width = (int64_t)st->cols;
    size_t first, last, size = mbr_dtype_size(in->dtype);
    MBR_TRY(mbr_op_step_int(s, 1, 0, &k, err));
    k = k > width ? width : k < -height ? -height : k;
    mbr_op_items(job, st->each, st->rows, &first, &last);
    for (size_t r = first; r < last && width > 0; r++) {
        int64_t cut = (int64_t)(r % (size_t)height) + k + (upper ? 0 : 1); /* kept: columns from here on, or before */
        size_t at = (size_t)(cut < 0 ? 0 : cut > width ? width : cut) * size, bytes = (size_t)width * size;
        const char *from = mbr_bytes_at(in->data, r * bytes);
        char *to = (char *)s->out[0]->data + r * bytes;
        size_t keep = upper ? at : 0, end = upper ? bytes : at;
        memset(to, 0, keep);
        if (from != to)
            memcpy(to + keep, from + keep, end - keep);
        memset(to + end, 0, bytes - end);
    }
    return MBR_OK;
}

const mbr_op mbr_ops_one_hot[] = {
    { .domain = "", .name = "EyeLike", .since = 9, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
      .infer = infer_eye, .run = run_eye },
    { .domain = "", .name = "OneHot", .since = 9, .min_in = 3, .max_in = 3, .min_out = 1, .max_out = 1,
      .infer = infer_one_hot, .run = run_one_hot },
    { .domain = "", .name = "Trilu", .since = 14, .min_in = 1, .max_in = 2, .min_out = 1, .max_out = 1,
      .flags = MBR_OP_INPLACE0, .content_inputs = 2, .infer = infer_trilu, .prepare = prepare_trilu, .run = run_trilu,
      .state_size = sizeof(trilu_state) },
    { .domain = "com.microsoft", .name = "Trilu", .since = 1, .min_in = 1, .max_in = 2, .min_out = 1, .max_out = 1,
      .flags = MBR_OP_INPLACE0, .content_inputs = 2, .infer = infer_trilu, .prepare = prepare_trilu, .run = run_trilu,
      .state_size = sizeof(trilu_state) },
    { 0 },
};
