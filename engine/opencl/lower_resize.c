/* SPDX-License-Identifier: BSD-2-Clause */
/* Resize and Upsample, by the tables that the CPU's operator makes. */
#include "engine/opencl/lower.h"
#include "engine/ops/resize_step.h"

#define RANK 6

/* As in resize.cl. */
typedef struct resize {
    cl_int out[RANK], stride[RANK], axis[RANK];
    cl_int taps[3], at[3], weight[3];
    cl_int count;
    cl_float outside;
} resize;

static const char *options_of(const mbr_step *s, const mbr_resize_plan *p)
{
    mbr_dtype t = s->in[0]->dtype;
    if (p->mode == MBR_RESIZE_NEAREST && !p->outside)
        switch (mbr_dtype_size(t)) {
        case 1: return "-DPICK=uchar";
        case 2: return "-DPICK=ushort";
        case 4: return "-DPICK=uint";
        default: return "-DPICK=ulong";
        }
    return t == MBR_DTYPE_F16 ? "-DREAL -DHALF" : "-DREAL";
}

static mbr_status lower_resize(mbr_cl_lower *l)
{
    mbr_step *s = l->step;
    const void *table;
    size_t bytes, count = mbr_value_count(s->out[0]);
    const mbr_resize_plan *p = mbr_resize_step_plan(s, l->late, &table, &bytes);
    mbr_dtype t = s->in[0]->dtype;
    resize g = { .count = (cl_int)count };
    if (count == 0)
        return MBR_OK;
    if (!p || p->axes > 3 || p->rank > RANK || mbr_value_count(s->in[0]) > INT32_MAX || count > INT32_MAX)
        return mbr_cl_decline(l, "its numbers are known at the run only, or more than three axes change");
    if ((p->mode != MBR_RESIZE_NEAREST || p->outside) && t != MBR_DTYPE_F32 && t != MBR_DTYPE_F16)
        return mbr_cl_decline(l, "integers are interpolated");
    g.outside = p->extrapolation;
    cl_int stride = 1;
    for (int d = 0; d < RANK; d++) {
        int from = p->rank - 1 - d, to = RANK - 1 - d; /* the last first */
        g.out[to] = from >= 0 ? (cl_int)p->out_dims[from] : 1;
        g.stride[to] = from >= 0 ? stride : 0;
        g.axis[to] = -1;
        stride *= from >= 0 ? (cl_int)p->in_dims[from] : 1;
        for (int a = 0; a < p->axes; a++)
            if (p->axis[a].axis == from)
                g.axis[to] = a;
    }
    for (int a = 0; a < p->axes; a++) {
        g.taps[a] = p->axis[a].taps;
        g.at[a] = (cl_int)(p->axis[a].index - (const int32_t *)table);
        g.weight[a] = (cl_int)(p->axis[a].weight - (const float *)table);
    }
    mbr_cl_kernel(l, "resize", "resize_any", options_of(s, p));
    mbr_cl_in(l, 0);
    mbr_cl_out(l, 0);
    mbr_cl_table(l, table, bytes);
    mbr_cl_bytes(l, &g, sizeof g);
    mbr_cl_go(l, 1, (size_t[]){ count }, (size_t[]){ l->device->max_group < 64 ? 1 : 64 });
    return l->status;
}

static bool takes_resize(const mbr_ir_node *n, const mbr_cl_device *d)
{
    (void)d;
    return mbr_cl_type(n->inputs[0]->type.dtype);
}

const mbr_cl_op mbr_cl_ops_resize[] = {
    { "", "Resize", takes_resize, lower_resize, 0 },
    { "", "Upsample", takes_resize, lower_resize, 0 },
    { "mbr", "Resize", takes_resize, lower_resize, 0 },
    { 0 },
};
