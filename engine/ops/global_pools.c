/* SPDX-License-Identifier: BSD-2-Clause */
/* GlobalAveragePool, GlobalMaxPool, GlobalLpPool; mbr.GlobalAveragePool, mbr.GlobalMaxPool with channels last. */
#include "engine/ops/buffer.h"
#include "kernels/pool.h"
#include "kernels/reduce.h"

#include <string.h>

enum { AVERAGE, MAXIMUM, LP, CHANNELS_LAST = 256 };

#define LEAST_CUT 200000 /* elements, of about 30 us */
#define LEAST_TILES 4
#define MOST_PARTS 32

typedef struct global_state {
    mbr_reduce_args reduce; /* first: engine/opencl reads it */
    size_t parts;           /* of a sample's points; 0: one */
    mbr_reduce_args of_part, of_parts;
    mbr_buffer partial;     /* (n, parts, channels) */
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

/*
 * Many points of few channels, channels last, are cut into parts of equal size. (Cut into channels, every thread would
 * touch all of the input.) The sizes of one sample alone decide, so that batch and threads do not change the bits. 0:
 * not cut.
 */
static size_t parts_of(const mbr_reduce_args *whole, size_t points, size_t channels)
{
    size_t parts = MOST_PARTS;
    if (whole->dtype != MBR_DTYPE_F32 || whole->inner_reduced || channels >= LEAST_TILES * whole->strip ||
        channels * points < LEAST_CUT)
        return 0;
    while (points % parts)
        parts--;
    return parts >= LEAST_TILES ? parts : 0;
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
    st->parts = st->by_pool ? 0 : parts_of(&st->reduce, points, channels);
    if (st->parts) {
        mbr_reduce_plan(&st->of_part, st->reduce.op, x->dtype, 3,
                        (size_t[]){ n * st->parts, points / st->parts, channels }, 2);
        mbr_reduce_plan(&st->of_parts, st->reduce.op, x->dtype, 3, (size_t[]){ n, st->parts, channels }, 2);
        s->phases = 2;
        s->tiles[0] = st->of_part.tiles;
        s->cost_ns = (double)mbr_value_count(x) * 0.15;
        return mbr_buffer_reserve(s, &st->partial, n * st->parts * channels * sizeof(float), err);
    }
    double ns = (double)mbr_value_count(x) * (st->by_pool ? 10 : x->dtype == MBR_DTYPE_F32 ? 0.15 : 2);
    st->per_tile = mbr_step_split(s, st->tiles, st->tiles ? ns / (double)st->tiles : 0);
    return MBR_OK;
}

static void reduce(const mbr_reduce_args *plan, const void *in, void *out, size_t first, size_t last)
{
    mbr_reduce_args a = *plan;
    a.in = in;
    a.out = out;
    mbr_reduce_select(mbr_cpu_tiers())(&a, first, last);
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
    } else if (!st->parts) {
        reduce(&st->reduce, s->in[0]->data, s->out[0]->data, first, last);
    } else if (job->phase == 0) {
        reduce(&st->of_part, s->in[0]->data, st->partial.data, job->first, job->last);
    } else {
        reduce(&st->of_parts, st->partial.data, s->out[0]->data, 0, st->of_parts.tiles);
    }
    return MBR_OK;
}

static void fini(mbr_step *s)
{
    mbr_buffer_free(s, &((global_state *)s->state)->partial);
}

#define ROW(dom, op_name, what)                                                                                        \
    { .domain = dom, .name = op_name, .since = 1, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,                \
      .infer = infer, .prepare = prepare, .run = run, .fini = fini, .state_size = sizeof(global_state), .param = what }

const mbr_op mbr_ops_global_pools[] = {
    ROW("", "GlobalAveragePool", AVERAGE),
    ROW("", "GlobalMaxPool", MAXIMUM),
    ROW("", "GlobalLpPool", LP),
    ROW("mbr", "GlobalAveragePool", AVERAGE | CHANNELS_LAST),
    ROW("mbr", "GlobalMaxPool", MAXIMUM | CHANNELS_LAST),
    { 0 },
};
