/* SPDX-License-Identifier: BSD-2-Clause */
/* com.microsoft's QLinearSoftmax. Its attribute opset says whether softmax runs along the axis, or, below 13, over all
   axes from there on. */
#include "engine/ops/qlinear_args.h"

typedef struct state {
    size_t outer, axis, inner, per_tile;
} state;

static mbr_status infer(mbr_infer *c)
{
    int axis;
    MBR_TRY(mbr_qlinear_check(c, 0, 1));
    if (c->in[0].rank >= 0)
        MBR_TRY(mbr_infer_axis(c, mbr_attr_int(c->node, "axis", -1), c->in[0].rank, &axis));
    mbr_infer_out(c, 0, mbr_qlinear_dtype(c, 4, 0), c->in[0].rank, c->in[0].dims);
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    (void)err;
    state *t = s->state;
    const mbr_value *x = s->in[0];
    int64_t axis = mbr_attr_int(s->node, "axis", -1);
    axis += axis < 0 ? x->rank : 0;
    t->outer = t->axis = t->inner = 1;
    for (int d = 0; d < x->rank; d++)
        *(d < axis                                                             ? &t->outer
          : d == axis || mbr_attr_int(s->node, "opset", 13) < 13 ? &t->axis
                                                                               : &t->inner) *= (size_t)x->dims[d];
    size_t rows = t->axis ? t->outer * t->inner : 0;
    t->per_tile = mbr_step_split(s, rows, 15.0 * (double)t->axis);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const state *t = s->state;
    mbr_qlinear x, y;
    MBR_TRY(mbr_qlinear_read(s, 1, s->in[0]->dtype, &x, err));
    MBR_TRY(mbr_qlinear_read(s, 3, s->out[0]->dtype, &y, err));
    size_t rows = t->outer * t->inner, last = job->last * t->per_tile;
    last = last < rows ? last : rows;
    for (size_t r = job->first * t->per_tile; r < last; r++) {
        size_t at = r / t->inner * t->axis * t->inner + r % t->inner;
        mbr_qlinear_softmax_ref(&x, (const uint8_t *)s->in[0]->data + at, &y, (uint8_t *)s->out[0]->data + at, t->axis,
                                t->inner);
    }
    return MBR_OK;
}

const mbr_op mbr_ops_qlinear_softmax[] = {
    { .domain = "com.microsoft", .name = "QLinearSoftmax", .since = 1, .holes = 1 << 2, .min_in = 4, .max_in = 5, .min_out = 1,
      .max_out = 1, .infer = infer, .prepare = prepare, .run = run, .state_size = sizeof(state) },
    { 0 },
};
