/* SPDX-License-Identifier: BSD-2-Clause */
/* com.microsoft's QLinearConcat: inputs are Y's scale and zero point, then a tensor, a scale and a zero point each. */
#include "engine/ops/qlinear_args.h"

static mbr_status infer(mbr_infer *c)
{
    uint32_t n = (c->n_in - 2) / 3;
    if (c->n_in < 5 || c->n_in != 2 + 3 * n)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "%u inputs; 2 and three for each tensor are due", c->n_in);
    mbr_dim dims[MBR_MAX_RANK], along = 0;
    int rank = c->in[2].rank, axis = 0;
    if (rank >= 0)
        MBR_TRY(mbr_infer_axis(c, mbr_attr_int(c->node, "axis", 0), rank, &axis));
    for (uint32_t k = 0; k < n; k++) {
        const mbr_arg *x = &c->in[2 + 3 * k];
        MBR_TRY(mbr_qlinear_check(c, 2 + 3 * k, 3 + 3 * k));
        if (x->rank < 0 || rank < 0) {
            rank = -1;
            continue;
        }
        if (x->rank != rank)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "tensors of rank %d and %d", rank, x->rank);
        for (int d = 0; d < rank; d++) {
            if (d == axis)
                along = mbr_dim_add(c->dims, along, x->dims[d]);
            else if (k == 0 || !mbr_dim_is_known(dims[d]))
                dims[d] = x->dims[d];
            else if (mbr_dim_is_const(dims[d]) && mbr_dim_is_const(x->dims[d]) && dims[d] != x->dims[d])
                return mbr_infer_fail(c, c->dims ? MBR_ERR_MODEL : MBR_ERR_INPUT, "axis %d: sizes %lld and %lld", d,
                                      (long long)dims[d], (long long)x->dims[d]);
        }
    }
    if (rank >= 0)
        dims[axis] = along;
    mbr_infer_out(c, 0, c->in[1].dtype, rank, dims);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)job;
    const mbr_value *out = s->out[0];
    mbr_qlinear x, y;
    uint8_t table[256];
    int64_t axis = mbr_attr_int(s->node, "axis", 0);
    size_t outer = 1, inner = 1, at = 0;
    axis += axis < 0 ? out->rank : 0;
    MBR_TRY(mbr_qlinear_read(s, 0, out->dtype, &y, err));
    for (int64_t d = 0; d < axis; d++)
        outer *= (size_t)out->dims[d];
    for (int64_t d = axis + 1; d < out->rank; d++)
        inner *= (size_t)out->dims[d];
    size_t row = (size_t)out->dims[axis] * inner;
    for (uint32_t k = 2; k < s->n_in; k += 3) {
        const mbr_value *v = s->in[k];
        size_t part = (size_t)v->dims[axis] * inner;
        if (mbr_value_count(v) != outer * part)
            return mbr_step_fail(s, err, MBR_ERR_INPUT, "the tensors differ in shape beside the axis");
        MBR_TRY(mbr_qlinear_read(s, k + 1, v->dtype, &x, err));
        mbr_qlinear_table_ref(MBR_QLINEAR_IDENTITY, 0, &x, &y, table);
        for (size_t o = 0; o < outer; o++)
            mbr_qlinear_look_up_ref(table, (const uint8_t *)v->data + o * part, (uint8_t *)out->data + o * row + at, part);
        at += part;
    }
    return MBR_OK;
}

const mbr_op mbr_ops_qlinear_concat[] = {
    { .domain = "com.microsoft", .name = "QLinearConcat", .since = 1, .min_in = 5, .max_in = MBR_OP_MANY, .min_out = 1,
      .max_out = 1, .infer = infer, .run = run },
    { 0 },
};
