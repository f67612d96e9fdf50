/* SPDX-License-Identifier: BSD-2-Clause */
/* Transpose: axes in another order. */
#include "engine/ops/op_util.h"

static void permutation(const mbr_ir_node *node, int rank, int *perm)
{
    size_t n;
    const int64_t *list = mbr_attr_ints(node, "perm", &n);
    for (int i = 0; i < rank; i++)
        perm[i] = list ? mbr_op_axis(list[i], rank) : rank - 1 - i;
}

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *in = &c->in[0];
    mbr_dim dims[MBR_MAX_RANK];
    int perm[MBR_MAX_RANK];
    uint32_t seen = 0;
    size_t n;
    MBR_TRY(mbr_op_check_tensor(c, 0));
    const int64_t *list = mbr_attr_ints(c->node, "perm", &n);
    if (in->rank < 0) {
        mbr_infer_out(c, 0, in->dtype, list && n <= MBR_MAX_RANK ? (int)n : -1, NULL);
        return MBR_OK;
    }
    if (list && n != (size_t)in->rank)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "a permutation of %zu axes for rank %d", n, in->rank);
    for (size_t i = 0; list && i < n; i++) {
        int axis;
        MBR_TRY(mbr_infer_axis(c, list[i], in->rank, &axis));
        if (seen >> axis & 1)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "axis %d is listed twice in the permutation", axis);
        seen |= UINT32_C(1) << axis;
    }
    permutation(c->node, in->rank, perm);
    for (int i = 0; i < in->rank; i++)
        dims[i] = in->dims[perm[i]];
    mbr_infer_out(c, 0, in->dtype, in->rank, dims);
    if (in->rank <= 1)
        mbr_op_pass_content(c);
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    mbr_op_copy *st = s->state;
    const mbr_value *in = s->in[0];
    size_t dims[MBR_MAX_RANK];
    int perm[MBR_MAX_RANK], rank = mbr_op_dims(in, dims);
    (void)err;
    permutation(s->node, rank, perm);
    mbr_transpose_plan_init(&st->plan, mbr_dtype_size(in->dtype), rank, dims, perm);
    mbr_op_copy_prepare(s, st);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)err;
    mbr_op_copy_run(s->state, s->in[0]->data, s->out[0]->data, job);
    return MBR_OK;
}

const mbr_op mbr_ops_transpose[] = {
    { .domain = "", .name = "Transpose", .since = 1, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
      .infer = infer, .prepare = prepare, .run = run, .state_size = sizeof(mbr_op_copy) },
    { 0 },
};
