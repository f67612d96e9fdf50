/* SPDX-License-Identifier: BSD-2-Clause */
/* Normalizer: each row over its maximum, sum or length. */
#include "engine/ops/ml.h"
#include "engine/ops/op_util.h"
#include "kernels/features.h"

#include <string.h>

typedef struct state {
    mbr_normalize norm;
    size_t rows, columns, per_tile;
} state;

static mbr_status infer(mbr_infer *c)
{
    MBR_TRY(mbr_ml_check_features(c, 0));
    mbr_infer_out(c, 0, MBR_DTYPE_F32, c->in[0].rank, c->in[0].dims);
    return MBR_OK;
}

static mbr_status init(mbr_step *s, mbr_error *err)
{
    static const char *const names[] = { "MAX", "L1", "L2" };
    const char *norm = mbr_attr_string(s->node, "norm", "MAX");
    for (size_t i = 0; i < MBR_COUNT_OF(names); i++)
        if (strcmp(norm, names[i]) == 0) {
            ((state *)s->state)->norm = (mbr_normalize)i;
            return MBR_OK;
        }
    return mbr_step_fail(s, err, MBR_ERR_MODEL, "norm '%s' is none of MAX, L1, L2", norm);
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    (void)err;
    state *t = s->state;
    t->rows = mbr_ml_rows(s->in[0]);
    t->columns = mbr_ml_columns(s->in[0]);
    t->per_tile = mbr_step_split(s, t->rows, 0.7 * (double)t->columns + 5);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)err;
    const state *t = s->state;
    size_t first, last;
    mbr_op_items(job, t->per_tile, t->rows, &first, &last);
    if (first == last)
        return MBR_OK;
    float *y = (float *)s->out[0]->data + first * t->columns;
    const float *x = (const float *)s->in[0]->data + first * t->columns;
    if (s->in[0]->dtype != MBR_DTYPE_F32) {
        mbr_ml_load(s->in[0], first * t->columns, (last - first) * t->columns, false, y);
        x = y;
    }
    mbr_features_select(mbr_cpu_tiers())->normalize(t->norm, x, last - first, t->columns, y);
    return MBR_OK;
}

const mbr_op mbr_ops_normalizer[] = {
    { .domain = "ai.onnx.ml", .name = "Normalizer", .since = 1, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
      .infer = infer, .init = init, .prepare = prepare, .run = run, .state_size = sizeof(state) },
    { 0 },
};
