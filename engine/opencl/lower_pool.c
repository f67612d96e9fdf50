/* SPDX-License-Identifier: BSD-2-Clause */
/* MaxPool, AveragePool, LpPool and the global ones, in both layouts. */
#include "engine/opencl/product.h"
#include "kernels/pool.h"

#include <stdio.h>
#include <string.h>

enum { AVERAGE_OF_ALL, MAXIMUM_OF_ALL, LP_OF_ALL }; /* as engine/ops/global_pools.c numbers them */

/* As in pool.cl. */
typedef struct pool {
    cl_long x_n, y_n;
    cl_int in[3], out[3], tap[3], stride[3], step[3], start[3], end[3];
    cl_int x[3], x_c, y[3], y_c;
    cl_int n, channels, op, p, count_pad, pass_nan, column_major;
} pool;

static bool strides(pool *g, const mbr_value *x, const mbr_value *y, bool last)
{
    cl_long in = 1, out = 1;
    for (int i = 2; i >= 0; i--) {
        g->x[i] = (cl_int)(in * (last ? g->channels : 1));
        g->y[i] = (cl_int)(out * (last ? g->channels : 1));
        in *= g->in[i];
        out *= g->out[i];
    }
    g->x_n = in * g->channels;
    g->y_n = out * g->channels;
    g->x_c = last ? 1 : (cl_int)in;
    g->y_c = last ? 1 : (cl_int)out;
    return mbr_value_count(x) <= INT32_MAX && mbr_value_count(y) <= INT32_MAX;
}

static int width_of(const mbr_cl_lower *l, cl_int channels, bool last)
{
    int wide = !last ? 1 : (l->device->type & CL_DEVICE_TYPE_CPU) && l->device->vector_f32 >= 8 ? 8 : 4;
    while (wide > 1 && (channels % wide || wide == 2))
        wide /= 2;
    return wide;
}

static mbr_status lower_pool(mbr_cl_lower *l)
{
    const mbr_step *s = l->step;
    const mbr_pool_args *a = s->state;
    const mbr_value *x = s->in[0], *y = s->out[0] ? s->out[0] : s->out[1];
    bool index = mbr_step_wants(s, 1), last = a->channels_last;
    pool g = { .n = (cl_int)a->n, .channels = (cl_int)a->channels, .op = (cl_int)a->op, .p = a->p,
               .count_pad = a->count_include_pad, .pass_nan = a->pass_nan, .column_major = a->column_major };
    char options[80];
    for (int i = 0; i < 3; i++) {
        g.in[i] = (cl_int)a->in_dims[i];
        g.out[i] = (cl_int)a->out_dims[i];
        g.tap[i] = (cl_int)a->kernel[i];
        g.stride[i] = (cl_int)a->stride[i];
        g.step[i] = (cl_int)a->dilation[i];
        g.start[i] = (cl_int)-(cl_long)a->pad_begin[i];
        g.end[i] = (cl_int)(a->in_dims[i] + a->pad_end[i]);
    }
    if (!s->out[0] || !strides(&g, x, y, last))
        return mbr_cl_decline(l, "a tensor of more than 2^31 elements");
    if (mbr_value_count(y) == 0)
        return MBR_OK;
    int wide = index || x->dtype == MBR_DTYPE_I8 || x->dtype == MBR_DTYPE_U8 ? 1 : width_of(l, g.channels, last);
    size_t channels = a->channels / (size_t)wide, points = a->out_dims[2];
    size_t group = mbr_cl_by_rows(l->device) ? 1 : 64;
    snprintf(options, sizeof options, "-DREAL -DVC=%d%s%s%s", wide, last ? "" : " -DPLANES", index ? " -DINDEX" : "",
             x->dtype == MBR_DTYPE_F16 ? " -DHALF" : x->dtype == MBR_DTYPE_I8 ? " -DBYTE=char" :
             x->dtype == MBR_DTYPE_U8 ? " -DBYTE=uchar" : "");
    mbr_cl_kernel(l, "pool", "pool_windows", options);
    mbr_cl_in(l, 0);
    mbr_cl_out(l, 0);
    mbr_cl_out(l, index);
    mbr_cl_bytes(l, &g, sizeof g);
    mbr_cl_go(l, 3, (size_t[]){ last ? channels : points, last ? points : channels,
                                a->n * a->out_dims[0] * a->out_dims[1] }, (size_t[]){ group, 1, 1 });
    return l->status;
}

static mbr_status lower_global(mbr_cl_lower *l)
{
    const mbr_step *s = l->step;
    const mbr_value *x = s->in[0], *y = s->out[0];
    bool last = strcmp(s->op->domain, "mbr") == 0, rows = mbr_cl_by_rows(l->device);
    size_t count = mbr_value_count(x), n = (size_t)x->dims[0], channels = (size_t)x->dims[last ? x->rank - 1 : 1];
    if (mbr_value_count(y) == 0)
        return MBR_OK;
    pool g = { .n = (cl_int)n, .channels = (cl_int)channels, .in = { 1, 1, (cl_int)(count / n / channels) },
               .out = { 1, 1, 1 } };
    g.op = mbr_cl_param(l) == AVERAGE_OF_ALL ? MBR_POOL_AVERAGE : mbr_cl_param(l) == LP_OF_ALL ? MBR_POOL_LP :
                                                                                               MBR_POOL_MAX;
    g.p = (cl_int)mbr_attr_int(s->node, "p", (int64_t)mbr_attr_float(s->node, "p", 2.0f));
    if (!strides(&g, x, y, last))
        return mbr_cl_decline(l, "a tensor of more than 2^31 elements");
    char options[64];
    int wide = width_of(l, g.channels, last);
    size_t local[3] = { rows ? 1 : last ? 16 : 1, rows ? 1 : last ? 4 : 64, 1 };
    snprintf(options, sizeof options, "-DREAL -DVC=%d%s", wide, x->dtype == MBR_DTYPE_F16 ? " -DHALF" : "");
    mbr_cl_kernel(l, "pool", "pool_whole", options);
    mbr_cl_in(l, 0);
    mbr_cl_out(l, 0);
    mbr_cl_bytes(l, &g, sizeof g);
    mbr_cl_local(l, local[0] * local[1] * (size_t)wide * sizeof(float));
    mbr_cl_go(l, 3, (size_t[]){ channels / (size_t)wide, local[1], n }, local);
    return l->status;
}

static bool takes_pool(const mbr_ir_node *n, const mbr_cl_device *d)
{
    (void)d;
    mbr_dtype t = n->inputs[0]->type.dtype;
    int rank = n->inputs[0]->type.rank;
    return (t == MBR_DTYPE_F32 || t == MBR_DTYPE_F16 || t == MBR_DTYPE_I8 || t == MBR_DTYPE_U8) && rank >= 2;
}

#define POOL(domain, name) { domain, name, takes_pool, lower_pool, 0 }

const mbr_cl_op mbr_cl_ops_pool[] = {
    POOL("", "MaxPool"),
    POOL("", "AveragePool"),
    POOL("", "LpPool"),
    POOL("com.microsoft", "NhwcMaxPool"),
    POOL("mbr", "MaxPool"),
    POOL("mbr", "AveragePool"),
    { "", "GlobalAveragePool", takes_pool, lower_global, AVERAGE_OF_ALL },
    { "", "GlobalMaxPool", takes_pool, lower_global, MAXIMUM_OF_ALL },
    { "", "GlobalLpPool", takes_pool, lower_global, LP_OF_ALL },
    { "mbr", "GlobalAveragePool", takes_pool, lower_global, AVERAGE_OF_ALL },
    { "mbr", "GlobalMaxPool", takes_pool, lower_global, MAXIMUM_OF_ALL },
    { 0 },
};
