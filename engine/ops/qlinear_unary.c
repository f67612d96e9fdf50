/* SPDX-License-Identifier: BSD-2-Clause */
/* com.microsoft's QLinearSigmoid and QLinearLeakyRelu: a table of 256, made when a run begins. */
#include "engine/ops/qlinear_args.h"

typedef struct state {
    uint8_t table[256];
    size_t count, per_tile;
} state;

static mbr_status infer(mbr_infer *c)
{
    MBR_TRY(mbr_qlinear_check(c, 0, 1));
    mbr_infer_out(c, 0, mbr_qlinear_dtype(c, 4, 0), c->in[0].rank, c->in[0].dims);
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    (void)err;
    state *t = s->state;
    t->count = mbr_value_count(s->in[0]);
    t->per_tile = mbr_step_split(s, t->count, 0.7);
    s->phases = 2;
    s->tiles[1] = s->tiles[0];
    s->tiles[0] = 1;
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    state *t = s->state;
    if (job->phase == 0) {
        mbr_qlinear x, y;
        MBR_TRY(mbr_qlinear_read(s, 1, s->in[0]->dtype, &x, err));
        MBR_TRY(mbr_qlinear_read(s, 3, s->out[0]->dtype, &y, err));
        mbr_qlinear_table_ref((mbr_qlinear_function)s->op->param, mbr_attr_float(s->node, "alpha", 0.01f), &x, &y,
                              t->table);
        return MBR_OK;
    }
    size_t first = job->first * t->per_tile, last = job->last * t->per_tile;
    last = last < t->count ? last : t->count;
    if (first < last)
        mbr_qlinear_look_up_ref(t->table, (const uint8_t *)s->in[0]->data + first, (uint8_t *)s->out[0]->data + first,
                                last - first);
    return MBR_OK;
}

#define ROW(op_name, function)                                                                                         \
    { .domain = "com.microsoft", .name = op_name, .since = 1, .holes = 1 << 2, .min_in = 4, .max_in = 5,               \
      .min_out = 1, .max_out = 1, .flags = MBR_OP_INPLACE0, .infer = infer, .prepare = prepare, .run = run,            \
      .state_size = sizeof(state), .param = function }

const mbr_op mbr_ops_qlinear_unary[] = {
    ROW("QLinearSigmoid", MBR_QLINEAR_SIGMOID),
    ROW("QLinearLeakyRelu", MBR_QLINEAR_LEAKY_RELU),
    { 0 },
};
