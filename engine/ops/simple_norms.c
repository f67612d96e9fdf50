/* SPDX-License-Identifier: BSD-2-Clause */
/* MeanVarianceNormalization, LpNormalization, LRN: one input, one output of its shape, a few numbers as attributes. */
#include "engine/ops/op.h"
#include "kernels/norm_any.h"

#include <string.h>

enum { MVN, LP, LRN };

typedef struct simple_state {
    mbr_mvn_args mvn;
    mbr_lp_norm_args lp;
    mbr_lrn_args lrn;
    size_t tiles, per_tile;
} simple_state;

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *x = &c->in[0];
    if (x->dtype != MBR_DTYPE_UNDEFINED && !mbr_dtype_is_float(x->dtype))
        return mbr_infer_fail(c, MBR_ERR_UNSUPPORTED, "elements of type %s; floats are needed",
                              mbr_dtype_name(x->dtype));
    if (x->rank >= 0 && c->node->op->param == LP) {
        int axis;
        MBR_TRY(mbr_infer_axis(c, mbr_attr_int(c->node, "axis", -1), x->rank, &axis));
    }
    if (x->rank >= 0 && x->rank < 2 && c->node->op->param == LRN)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "an input of rank %d; 2 or more is needed", x->rank);
    mbr_infer_same(c, 0, 0);
    return MBR_OK;
}

static mbr_status prepare_mvn(mbr_step *s, simple_state *st, mbr_error *err)
{
    const mbr_value *x = s->in[0];
    size_t n;
    static const int64_t usual[] = { 0, 2, 3 };
    const int64_t *axes = mbr_attr_ints(s->node, "axes", &n);
    if (!axes) {
        axes = usual;
        n = 3;
    }
    mbr_mvn_args *a = &st->mvn;
    a->dtype = x->dtype;
    a->rank = x->rank;
    a->tiny = 1e-9;
    for (int i = 0; i < x->rank; i++)
        a->dims[i] = (size_t)x->dims[i];
    for (size_t i = 0; i < n; i++) {
        int64_t axis = axes[i] < 0 ? axes[i] + x->rank : axes[i];
        if (axis < 0 || axis >= x->rank)
            return mbr_step_fail(s, err, MBR_ERR_MODEL, "axis %lld of an input of rank %d", (long long)axes[i],
                                 x->rank);
        a->over[axis] = true;
    }
    st->tiles = mbr_mvn_tiles(a);
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    simple_state *st = s->state;
    const mbr_value *x = s->in[0];
    memset(st, 0, sizeof *st);
    size_t count = mbr_value_count(x);
    if (s->op->param == MVN) {
        MBR_TRY(prepare_mvn(s, st, err));
    } else if (s->op->param == LP) {
        mbr_lp_norm_args *a = &st->lp;
        int64_t axis = mbr_attr_int(s->node, "axis", -1), p = mbr_attr_int(s->node, "p", 2);
        if (p != 1 && p != 2)
            return mbr_step_fail(s, err, MBR_ERR_MODEL, "attribute p is %lld, not 1 or 2", (long long)p);
        axis += axis < 0 ? x->rank : 0;
        *a = (mbr_lp_norm_args){
            .dtype = x->dtype, .outer = 1, .axis = (size_t)x->dims[axis], .inner = 1, .p = (int)p
        };
        for (int i = 0; i < x->rank; i++)
            if (i != axis)
                *(i < axis ? &a->outer : &a->inner) *= (size_t)x->dims[i];
        st->tiles = a->outer * a->inner;
    } else {
        int64_t size = mbr_attr_int(s->node, "size", 0);
        if (size < 1)
            return mbr_step_fail(s, err, MBR_ERR_MODEL, "attribute size is missing or less than 1");
        st->lrn = (mbr_lrn_args){ .dtype = x->dtype, .n = (size_t)x->dims[0], .channels = (size_t)x->dims[1],
                                  .points = 1, .size = (size_t)size,
                                  .alpha = (double)mbr_attr_float(s->node, "alpha", 1e-4f),
                                  .beta = (double)mbr_attr_float(s->node, "beta", 0.75f),
                                  .bias = (double)mbr_attr_float(s->node, "bias", 1.0f) };
        for (int i = 2; i < x->rank; i++)
            st->lrn.points *= (size_t)x->dims[i];
        st->tiles = st->lrn.n * st->lrn.channels;
    }
    if (!count)
        st->tiles = 0;
    st->per_tile = mbr_step_split(s, st->tiles, st->tiles ? (double)count / (double)st->tiles * 40 : 0);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)err;
    const simple_state *st = s->state;
    size_t first = job->first * st->per_tile, last = job->last * st->per_tile;
    last = last < st->tiles ? last : st->tiles;
    if (s->op->param == MVN) {
        mbr_mvn_args a = st->mvn;
        a.in = s->in[0]->data;
        a.out = s->out[0]->data;
        mbr_mvn(&a, first, last);
    } else if (s->op->param == LP) {
        mbr_lp_norm_args a = st->lp;
        a.in = s->in[0]->data;
        a.out = s->out[0]->data;
        mbr_lp_norm(&a, first, last);
    } else {
        mbr_lrn_args a = st->lrn;
        a.in = s->in[0]->data;
        a.out = s->out[0]->data;
        mbr_lrn(&a, first, last);
    }
    return MBR_OK;
}

#define ROW(op_name, version, what)                                                                                    \
    { .domain = "", .name = op_name, .since = version, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,           \
      .infer = infer, .prepare = prepare, .run = run, .state_size = sizeof(simple_state), .param = what }

const mbr_op mbr_ops_simple_norms[] = {
    ROW("MeanVarianceNormalization", 9, MVN),
    ROW("LpNormalization", 1, LP),
    ROW("LRN", 1, LRN),
    { 0 },
};
