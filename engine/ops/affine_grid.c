/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/ops/op.h"
#include "kernels/sample.h"

#include <string.h>

typedef struct affine_state {
    mbr_affine_grid_args args;
    size_t n, per_tile;
} affine_state;

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *theta = &c->in[0];
    if (theta->dtype != MBR_DTYPE_UNDEFINED && !mbr_dtype_is_float(theta->dtype))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "elements of type %s; floats are needed", mbr_dtype_name(theta->dtype));
    mbr_dim size[5], dims[5];
    size_t n;
    if (!mbr_infer_ints(c, 1, size, 5, &n)) {
        mbr_infer_out(c, 0, theta->dtype, -1, NULL);
        return MBR_OK;
    }
    if (n < 4)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "a size of %zu numbers; 4 or 5 are possible", n);
    dims[0] = size[0];
    for (size_t i = 2; i < n; i++) {
        if (mbr_dim_is_const(size[i]) && (size[i] < 0 || size[i] > INT32_MAX))
            return mbr_infer_fail(c, MBR_ERR_MODEL, "a size of %lld", (long long)size[i]);
        dims[i - 1] = size[i];
    }
    dims[n - 1] = (mbr_dim)n - 2;
    mbr_infer_out(c, 0, theta->dtype, (int)n, dims);
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    affine_state *st = s->state;
    const mbr_value *theta = s->in[0], *y = s->out[0];
    mbr_affine_grid_args *a = &st->args;
    a->dtype = theta->dtype;
    a->rank = y->rank - 2;
    a->align_corners = mbr_attr_int(s->node, "align_corners", 0) != 0;
    if (theta->rank != 3 || theta->dims[0] != y->dims[0] || theta->dims[1] != a->rank || theta->dims[2] != a->rank + 1)
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "theta does not fit the size");
    size_t points = 1;
    for (int i = 0; i < a->rank; i++) {
        a->dims[i] = (size_t)y->dims[1 + i];
        points *= a->dims[i];
    }
    st->n = (size_t)y->dims[0];
    st->per_tile = mbr_step_split(s, st->n, (double)points * 30);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)err;
    const affine_state *st = s->state;
    mbr_affine_grid_args a = st->args;
    size_t last = job->last * st->per_tile;
    a.theta = s->in[0]->data;
    a.out = s->out[0]->data;
    mbr_affine_grid(&a, job->first * st->per_tile, last < st->n ? last : st->n);
    return MBR_OK;
}

const mbr_op mbr_ops_affine_grid[] = {
    { .domain = "", .name = "AffineGrid", .since = 20, .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
      .content_inputs = 1u << 1, .infer = infer, .prepare = prepare, .run = run, .state_size = sizeof(affine_state) },
    { 0 },
};
