/* SPDX-License-Identifier: BSD-2-Clause */
/* SwiGLU: a gate through Swish, times a linear input of the same shape. */
#include "engine/ops/op.h"
#include "kernels/swiglu.h"

#include <string.h>

typedef struct state {
    size_t count, per_tile;
} state;

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *a = &c->in[0], *b = &c->in[1];
    if (a->dtype && !mbr_swiglu_has(a->dtype))
        return mbr_infer_fail(c, MBR_ERR_UNSUPPORTED, "elements of type %s", mbr_dtype_name(a->dtype));
    if (a->dtype && b->dtype && a->dtype != b->dtype)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "inputs of type %s and %s", mbr_dtype_name(a->dtype),
                              mbr_dtype_name(b->dtype));
    bool differ = a->rank >= 0 && b->rank >= 0 && a->rank != b->rank;
    for (int d = 0; !differ && a->rank >= 0 && d < b->rank; d++)
        differ = mbr_dim_is_const(a->dims[d]) && mbr_dim_is_const(b->dims[d]) && a->dims[d] != b->dims[d];
    if (differ)
        return mbr_infer_fail(c, c->dims ? MBR_ERR_MODEL : MBR_ERR_INPUT, "the inputs differ in shape");
    mbr_infer_same(c, 0, a->rank >= 0 ? 0 : 1);
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    state *t = s->state;
    const mbr_value *a = s->in[0], *b = s->in[1];
    if (a->rank != b->rank || memcmp(a->dims, b->dims, (size_t)a->rank * sizeof *a->dims) != 0)
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "the inputs differ in shape");
    t->count = mbr_value_count(a);
    t->per_tile = mbr_step_split(s, t->count, 6);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)err;
    const state *t = s->state;
    const mbr_value *a = s->in[0], *b = s->in[1];
    size_t first = job->first * t->per_tile, last = job->last * t->per_tile, size = mbr_dtype_size(a->dtype);
    last = last < t->count ? last : t->count;
    if (first < last)
        mbr_swiglu_ref(a->dtype, mbr_attr_float(s->node, "alpha", 1), (const char *)a->data + first * size,
                       (const char *)b->data + first * size, (char *)s->out[0]->data + first * size, last - first);
    return MBR_OK;
}

const mbr_op mbr_ops_swi_glu[] = {
    { .domain = "", .name = "SwiGLU", .since = 28, .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
      .flags = MBR_OP_INPLACE0 | MBR_OP_INPLACE1, .infer = infer, .prepare = prepare, .run = run,
      .state_size = sizeof(state) },
    { 0 },
};
