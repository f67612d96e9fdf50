/* SPDX-License-Identifier: BSD-2-Clause */
/* Shape and Size: what is asked of a tensor is only its shape. */
#include "engine/ops/op_util.h"

enum { SHAPE, SIZE };

static void part(const mbr_ir_node *node, int rank, int *first, int *last)
{
    int64_t from = mbr_attr_int(node, "start", 0), to = mbr_attr_int(node, "end", rank);
    if (node->op->since < 15) {
        from = 0;
        to = rank;
    }
    if (from < 0)
        from += rank;
    if (to < 0)
        to += rank;
    *first = (int)(from < 0 ? 0 : from > rank ? rank : from);
    *last = (int)(to < *first ? *first : to > rank ? rank : to);
}

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *in = &c->in[0];
    int first, last;
    MBR_TRY(mbr_op_check_tensor(c, 0));
    if (c->node->op->param == SIZE) {
        mbr_infer_out(c, 0, MBR_DTYPE_I64, 0, NULL);
        mbr_dim size = in->rank < 0 ? MBR_DIM_UNKNOWN : mbr_op_product(c, in->dims, in->rank);
        if (mbr_dim_is_known(size))
            mbr_infer_set_content(c, 0, &size, 1);
        return MBR_OK;
    }
    if (in->rank < 0) {
        mbr_infer_out(c, 0, MBR_DTYPE_I64, 1, NULL);
        return MBR_OK;
    }
    part(c->node, in->rank, &first, &last);
    mbr_dim n = last - first;
    mbr_infer_out(c, 0, MBR_DTYPE_I64, 1, &n);
    for (int i = first; i < last; i++)
        if (!mbr_dim_is_known(in->dims[i]))
            return MBR_OK;
    mbr_infer_set_content(c, 0, in->dims + first, (size_t)n);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const mbr_value *in = s->in[0];
    int64_t *out = s->out[0]->data;
    int first, last;
    (void)job;
    (void)err;
    if (s->op->param == SIZE) {
        out[0] = (int64_t)mbr_value_count(in);
        return MBR_OK;
    }
    part(s->node, in->rank, &first, &last);
    for (int i = first; i < last; i++)
        out[i - first] = in->dims[i];
    return MBR_OK;
}

#define ROW(op_name, version, what)                                                                                    \
    { .domain = "", .name = op_name, .since = version, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,           \
      .infer = infer, .run = run, .param = what }

const mbr_op mbr_ops_shape[] = {
    ROW("Shape", 1, SHAPE),
    ROW("Shape", 15, SHAPE),
    ROW("Size", 1, SIZE),
    { 0 },
};
