/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/opencl/lower.h"

static bool takes_add(const mbr_ir_node *n, const mbr_cl_device *d)
{
    (void)d;
    return n->inputs[0]->type.dtype == MBR_DTYPE_F32;
}

static mbr_status lower_add(mbr_cl_lower *l)
{
    const mbr_step *s = l->step;
    size_t n = mbr_value_count(s->out[0]);
    if (mbr_value_count(s->in[0]) != n || mbr_value_count(s->in[1]) != n)
        return mbr_cl_decline(l, "it broadcasts");
    mbr_cl_kernel(l, "elementwise", "add", "-DT=float");
    mbr_cl_in(l, 0);
    mbr_cl_in(l, 1);
    mbr_cl_out(l, 0);
    mbr_cl_long(l, (int64_t)n);
    mbr_cl_go(l, 1, (size_t[]){ n }, NULL);
    return l->status;
}

const mbr_cl_op mbr_cl_ops_elementwise[] = {
    { "", "Add", takes_add, lower_add, 0 },
    { 0 },
};
