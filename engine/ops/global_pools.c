/* SPDX-License-Identifier: BSD-2-Clause */
/* GlobalAveragePool, GlobalMaxPool, GlobalLpPool; mbr.GlobalAveragePool, mbr.GlobalMaxPool with channels last. */
#include "engine/ops/op.h"
#include "kernels/pool.h"
#include "kernels/reduce.h"

#include <string.h>

enum { AVERAGE, MAXIMUM, LP, CHANNELS_LAST = 256 };

typedef struct global_state {
    mbr_reduce_args reduce; /* first: engine/opencl reads it */
    bool by_pool; /* LP with a p other than 1 and 2 */
    mbr_pool_args pool;
    size_t tiles, per_tile;
} global_state;

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *x = &c->in[0];
    if (x->dtype != MBR_DTYPE_UNDEFINED && !mbr_reduce_has(MBR_REDUCE_L2, x->dtype))
        return mbr_infer_fail(c, MBR_ERR_UNSUPPORTED, "elements of type %s; floats are needed",
                              mbr_dtype_name(x->dtype));
    if (x->rank < 0) {
        mbr_infer_out(c, 0, x->dtype, -1, NULL);
        return MBR_OK;
    }
    if (x->rank < 2)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "an input of rank %d; 2 or more is needed", x->rank);
    mbr_dim dims[MBR_MAX_RANK];
    memcpy(dims, x->dims, sizeof dims);
    bool last = (c->node->op->param & CHANNELS_LAST) != 0;
    for (int i = last ? 1 : 2; i < x->rank - (last ? 1 : 0); i++)
        dims[i] = 1;
    mbr_infer_out(c, 0, x->dtype, x->rank, dims);
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    global_state *st = s->state;
    const mbr_value *x = s->in[0];
    bool last = (s->op->param & CHANNELS_LAST) != 0;
    size_t points = 1;
    for (int i = last ? 1 : 2; i < x->rank - (last ? 1 : 0); i++)
        points *= (size_t)x->dims[i];
    size_t n = (size_t)x->dims[0], channels = (size_t)x->dims[last ? x->rank - 1 : 1];
    size_t dims[3] = { n, last ? points : channels, last ? channels : points };
    int64_t p = mbr_attr_int(s->node, "p", (int64_t)mbr_attr_float(s->node, "p", 2.0f));
    int op = (int)(s->op->param & 255);
    if (op == LP && (p < 1 || p > 1000))
        return mbr_step_fail(s, err, MBR_ERR_MODEL, "attribute p is %lld; 1 or more is needed", (long long)p);
    st->by_pool = op == LP && p > 2;
    if (st->by_pool) {
        mbr_pool_args *a = &st->pool;
        memset(a, 0, sizeof *a);
        a->op = MBR_POOL_LP;
        a->dtype = x->dtype;
        a->p = (int)p;
        a->n = n;
        a->channels = channels;
        for (int i = 0; i < 3; i++)
            a->in_dims[i] = a->out_dims[i] = a->kernel[i] = a->stride[i] = a->dilation[i] = 1;
        a->in_dims[2] = a->kernel[2] = points;
        st->tiles = n && channels ? mbr_pool_tiles(a) : 0;
    } else {
        mbr_reduce_plan(&st->reduce, op == AVERAGE ? MBR_REDUCE_MEAN : op == MAXIMUM ? MBR_REDUCE_MAX : p == 1 ?
                        MBR_REDUCE_L1 : MBR_REDUCE_L2, x->dtype, 3, dims, last ? 2u : 4u);
        st->tiles = st->reduce.tiles;
    }
    double ns = (double)mbr_value_count(x) * (st->by_pool ? 10 : x->dtype == MBR_DTYPE_F32 ? 0.15 : 2);
    st->per_tile = mbr_step_split(s, st->tiles, st->tiles ? ns / (double)st->tiles : 0);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)err;
    const global_state *st = s->state;
    size_t first = job->first * st->per_tile, last = job->last * st->per_tile;
    last = last < st->tiles ? last : st->tiles;
    if (mbr_value_count(s->out[0]) == 0)
        return MBR_OK;
    if (st->by_pool) {
        mbr_pool_args a = st->pool;
        a.in = s->in[0]->data;
        a.out = s->out[0]->data;
        mbr_pool_ref(&a, first, last);
    } else {
        mbr_reduce_args a = st->reduce;
        a.in = s->in[0]->data;
        a.out = s->out[0]->data;
        mbr_reduce_select(mbr_cpu_tiers())(&a, first, last);
    }
    return MBR_OK;
}

#define ROW(dom, op_name, what)                                                                                        \
    { .domain = dom, .name = op_name, .since = 1, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,                \
      .infer = infer, .prepare = prepare, .run = run, .state_size = sizeof(global_state), .param = what }

const mbr_op mbr_ops_global_pools[] = {
    ROW("", "GlobalAveragePool", AVERAGE),
    ROW("", "GlobalMaxPool", MAXIMUM),
    ROW("", "GlobalLpPool", LP),
    ROW("mbr", "GlobalAveragePool", AVERAGE | CHANNELS_LAST),
    ROW("mbr", "GlobalMaxPool", MAXIMUM | CHANNELS_LAST),
    { 0 },
};
