/* SPDX-License-Identifier: BSD-2-Clause */
/* Range: start, start + delta, ... below limit; com.microsoft's may leave delta out. */
#include "engine/ops/op_util.h"

#include "kernels/convert.h"

#include <math.h>

/* Numbers of a range of integers, without overflow; -1: delta is 0. */
static int64_t count_ints(int64_t start, int64_t limit, int64_t delta)
{
    if (delta == 0)
        return -1;
    if (delta > 0 ? start >= limit : start <= limit)
        return 0;
    uint64_t span = delta > 0 ? (uint64_t)limit - (uint64_t)start : (uint64_t)start - (uint64_t)limit;
    uint64_t by = delta > 0 ? (uint64_t)delta : 0 - (uint64_t)delta;
    uint64_t n = (span - 1) / by + 1;
    return n > INT64_MAX ? INT64_MAX : (int64_t)n;
}

static mbr_status infer(mbr_infer *c)
{
    mbr_dtype t = c->in[0].dtype;
    mbr_dim v[3], count = MBR_DIM_UNKNOWN, numbers[MBR_OP_CONTENT];
    double r[3];
    size_t n;
    bool has_delta = mbr_infer_has(c, 2);
    MBR_TRY(mbr_op_check_type(c, 0, MBR_TYPES_FLOAT | MBR_TYPES_SIGNED));
    for (uint32_t i = 1; i < c->n_in; i++)
        if (c->in[i].present)
            MBR_TRY(mbr_op_check_same(c, 0, i));
    if (t && !mbr_dtype_is_int(t)) {
        bool known = true;
        r[2] = 1;
        for (uint32_t i = 0; i < (has_delta ? 3u : 2u); i++)
            known = known && mbr_infer_reals(c, i, &r[i], 1, &n) && n == 1;
        if (known) {
            double steps = ceil((r[1] - r[0]) / r[2]);
            if (!(steps < 9e15)) /* NaN as well */
                return mbr_infer_fail(c, MBR_ERR_MODEL, "a range from %g to %g in steps of %g", r[0], r[1], r[2]);
            count = steps > 0 ? (int64_t)steps : 0;
        }
        mbr_infer_out(c, 0, t, 1, &count);
        return MBR_OK;
    }
    v[2] = 1;
    for (uint32_t i = 0; i < (has_delta ? 3u : 2u); i++)
        if (!mbr_infer_ints(c, i, &v[i], 1, &n) || n != 1) {
            mbr_infer_out(c, 0, t, 1, NULL);
            return MBR_OK;
        }
    if (v[2] == 0)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "a step of 0");
    if (mbr_dim_is_const(v[0]) && mbr_dim_is_const(v[1]) && mbr_dim_is_const(v[2])) {
        count = count_ints(v[0], v[1], v[2]);
    } else if (mbr_dim_is_const(v[2]) && v[2] > 0) {
        count = mbr_dim_sub(c->dims, v[1], v[0]);
        if (v[2] != 1)
            count = mbr_dim_div(c->dims, mbr_dim_add(c->dims, count, v[2] - 1), v[2]);
        if (mbr_dim_is_known(count) && mbr_dim_lower_bound(c->dims, count) < 0)
            count = mbr_dim_max(c->dims, count, 0);
    }
    mbr_infer_out(c, 0, t, 1, &count);
    if (mbr_dim_is_known(count) && mbr_dim_is_const(count) && count <= MBR_OP_CONTENT) {
        for (mbr_dim i = 0; i < count; i++)
            numbers[i] = mbr_dim_add(c->dims, v[0], mbr_dim_mul(c->dims, v[2], i));
        mbr_infer_set_content(c, 0, numbers, (size_t)count);
    }
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const mbr_value *out = s->out[0];
    size_t n = mbr_value_count(out);
    (void)job;
    if (mbr_dtype_is_int(out->dtype)) {
        int64_t start, delta;
        MBR_TRY(mbr_op_step_int(s, 0, 0, &start, err));
        MBR_TRY(mbr_op_step_int(s, 2, 1, &delta, err));
        for (size_t i = 0; i < n; i++) {
            int64_t v = (int64_t)((uint64_t)start + (uint64_t)delta * i);
            if (out->dtype == MBR_DTYPE_I64)
                ((int64_t *)out->data)[i] = v;
            else if (out->dtype == MBR_DTYPE_I32)
                ((int32_t *)out->data)[i] = (int32_t)v;
            else if (out->dtype == MBR_DTYPE_I16)
                ((int16_t *)out->data)[i] = (int16_t)v;
            else
                ((int8_t *)out->data)[i] = (int8_t)v;
        }
        return MBR_OK;
    }
    double start = mbr_value_real(s->in[0], 0), delta = mbr_step_has(s, 2) ? mbr_value_real(s->in[2], 0) : 1;
    mbr_convert_args convert = { .from = MBR_DTYPE_F32, .to = out->dtype };
    if (out->dtype == MBR_DTYPE_F64)
        for (size_t i = 0; i < n; i++)
            ((double *)out->data)[i] = start + (double)i * delta;
    else /* halves compute in f32 and round once */
        for (size_t i = 0; i < n; i++) {
            float v = (float)(start + (double)i * delta);
            mbr_convert_ref(&convert, &v, (char *)out->data + i * mbr_dtype_size(out->dtype), 1);
        }
    return MBR_OK;
}

const mbr_op mbr_ops_range[] = {
    { .domain = "", .name = "Range", .since = 11, .min_in = 3, .max_in = 3, .min_out = 1, .max_out = 1,
      .content_inputs = 7, .infer = infer, .run = run },
    { .domain = "com.microsoft", .name = "Range", .since = 1, .min_in = 2, .max_in = 3, .min_out = 1, .max_out = 1,
      .content_inputs = 7, .infer = infer, .run = run },
    { 0 },
};
