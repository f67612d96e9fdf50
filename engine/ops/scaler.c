/* SPDX-License-Identifier: BSD-2-Clause */
/* Scaler: (x - offset) * scale, one of each for all features or for every column. */
#include "engine/ops/ml.h"
#include "kernels/features.h"

typedef struct state {
    const float *offset, *scale;
    size_t n_offset, n_scale, columns, rows, per_tile;
} state;

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *x = &c->in[0];
    if (x->rank == 0)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "features of rank 0");
    mbr_infer_out(c, 0, MBR_DTYPE_F32, x->rank, x->dims);
    return MBR_OK;
}

static mbr_status init(mbr_step *s, mbr_error *err)
{
    (void)err;
    state *t = s->state;
    t->offset = mbr_attr_floats(s->node, "offset", &t->n_offset);
    t->scale = mbr_attr_floats(s->node, "scale", &t->n_scale);
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    state *t = s->state;
    const mbr_value *x = s->in[0];
    size_t count = mbr_value_count(x);
    t->columns = (size_t)x->dims[x->rank > 1 ? 1 : 0];
    for (int d = 2; d < x->rank; d++)
        t->columns *= (size_t)x->dims[d]; /* one row of the first axis */
    size_t features = (size_t)x->dims[x->rank > 1 ? 1 : 0];
    if (count && ((t->n_offset > 1 && t->n_offset != features) || (t->n_scale > 1 && t->n_scale != features)))
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "%zu features; the model has %zu offsets and %zu scales", features,
                             t->n_offset, t->n_scale);
    if (x->rank > 2 && (t->n_offset > 1 || t->n_scale > 1))
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "rank %d; with an offset for each feature it must be 2", x->rank);
    t->rows = t->columns ? count / t->columns : 0;
    t->per_tile = mbr_step_split(s, t->rows, 0.5 * (double)t->columns + 5);
    s->scratch = t->columns * (x->dtype == MBR_DTYPE_F64 ? sizeof(double) : sizeof(float));
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)err;
    const state *t = s->state;
    const mbr_value *x = s->in[0];
    bool wide = x->dtype == MBR_DTYPE_F64;
    size_t last = job->last * t->per_tile, n = t->columns;
    last = last < t->rows ? last : t->rows;
    for (size_t r = job->first * t->per_tile; r < last; r++) {
        float *y = (float *)s->out[0]->data + r * n;
        mbr_ml_load(x, r * n, n, wide, job->scratch);
        if (wide)
            mbr_scale_f64_ref(job->scratch, t->offset, t->n_offset > 1, t->scale, t->n_scale > 1, y, n);
        else
            mbr_scale_f32_ref(job->scratch, t->offset, t->n_offset > 1, t->scale, t->n_scale > 1, y, n);
    }
    return MBR_OK;
}

const mbr_op mbr_ops_scaler[] = {
    { .domain = "ai.onnx.ml", .name = "Scaler", .since = 1, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
      .infer = infer, .init = init, .prepare = prepare, .run = run, .state_size = sizeof(state) },
    { 0 },
};
