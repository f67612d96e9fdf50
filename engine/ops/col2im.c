/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/ops/op.h"
#include "kernels/sample.h"

#include <string.h>

typedef struct col2im_state {
    mbr_col2im_args args;
    size_t planes, per_tile;
} col2im_state;

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *x = &c->in[0];
    mbr_dim image[MBR_MAX_RANK], block[MBR_MAX_RANK], dims[MBR_MAX_RANK], taps = 1;
    size_t n, m;
    if (x->rank >= 0 && x->rank != 3)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "an input of rank %d, not 3", x->rank);
    mbr_infer_out(c, 0, x->dtype, -1, NULL);
    if (!mbr_infer_ints(c, 1, image, MBR_MAX_RANK - 2, &n))
        return MBR_OK;
    dims[0] = x->rank == 3 ? x->dims[0] : MBR_DIM_UNKNOWN;
    dims[1] = MBR_DIM_UNKNOWN;
    if (mbr_infer_ints(c, 2, block, MBR_MAX_RANK, &m)) {
        if (m != n || n == 0)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "image_shape has %zu numbers, block_shape %zu", n, m);
        for (size_t i = 0; i < n; i++) {
            if ((mbr_dim_is_const(block[i]) && (block[i] < 1 || block[i] > INT32_MAX)) ||
                (mbr_dim_is_const(image[i]) && (image[i] < 0 || image[i] > INT32_MAX)))
                return mbr_infer_fail(c, MBR_ERR_MODEL, "an impossible image_shape or block_shape");
            taps = mbr_dim_mul(c->dims, taps, block[i]);
        }
        if (x->rank == 3)
            dims[1] = mbr_dim_div(c->dims, x->dims[1], taps);
    }
    memcpy(dims + 2, image, n * sizeof *image);
    mbr_infer_out(c, 0, x->dtype, (int)n + 2, dims);
    return MBR_OK;
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    col2im_state *st = s->state;
    mbr_col2im_args *a = &st->args;
    const mbr_value *x = s->in[0], *y = s->out[0];
    int64_t block[MBR_MAX_RANK];
    size_t n, count;
    memset(a, 0, sizeof *a);
    MBR_TRY(mbr_step_ints(s, 2, block, MBR_MAX_RANK, &n, err));
    a->dtype = x->dtype;
    a->rank = y->rank - 2;
    if ((int)n != a->rank || !(mbr_dtype_is_float(x->dtype) || mbr_dtype_is_int(x->dtype)))
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "a block of %zu dimensions, an image of %d, of type %s", n, a->rank,
                             mbr_dtype_name(x->dtype));
    const int64_t *strides = mbr_attr_ints(s->node, "strides", &count);
    strides = count == n ? strides : NULL;
    const int64_t *dilations = mbr_attr_ints(s->node, "dilations", &count);
    dilations = count == n ? dilations : NULL;
    const int64_t *pads = mbr_attr_ints(s->node, "pads", &count);
    pads = count == 2 * n ? pads : NULL;
    size_t taps = 1, blocks = 1;
    for (size_t i = 0; i < n; i++) {
        int64_t stride = strides ? strides[i] : 1, dilation = dilations ? dilations[i] : 1;
        int64_t begin = pads ? pads[i] : 0, end = pads ? pads[n + i] : 0;
        if (block[i] < 1 || block[i] > INT32_MAX || stride < 1 || stride > INT32_MAX || dilation < 1 ||
            dilation > INT32_MAX || begin < 0 || end < 0 || begin > INT32_MAX || end > INT32_MAX)
            return mbr_step_fail(s, err, MBR_ERR_MODEL, "impossible blocks, strides, dilations or pads");
        int64_t room = y->dims[2 + i] + begin + end - dilation * (block[i] - 1) - 1;
        a->image[i] = (size_t)y->dims[2 + i];
        a->block[i] = (size_t)block[i];
        a->blocks[i] = room < 0 ? 0 : (size_t)(room / stride + 1);
        a->stride[i] = (size_t)stride;
        a->dilation[i] = (size_t)dilation;
        a->pad[i] = (ptrdiff_t)begin;
        taps *= a->block[i];
        blocks *= a->blocks[i];
    }
    if ((size_t)x->dims[2] != blocks || (size_t)x->dims[1] != (size_t)y->dims[1] * taps)
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "the input has %lld x %lld columns, the shapes make %zu x %zu",
                             (long long)x->dims[1], (long long)x->dims[2], (size_t)y->dims[1] * taps, blocks);
    st->planes = (size_t)(y->dims[0] * y->dims[1]);
    st->per_tile = mbr_step_split(s, st->planes, (double)mbr_dims_count(a->rank, a->image) * (double)taps * 5);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)err;
    const col2im_state *st = s->state;
    mbr_col2im_args a = st->args;
    size_t last = job->last * st->per_tile;
    a.in = s->in[0]->data;
    a.out = s->out[0]->data;
    mbr_col2im(&a, job->first * st->per_tile, last < st->planes ? last : st->planes);
    return MBR_OK;
}

const mbr_op mbr_ops_col2im[] = {
    { .domain = "", .name = "Col2Im", .since = 18, .min_in = 3, .max_in = 3, .min_out = 1, .max_out = 1,
      .content_inputs = 1u << 1 | 1u << 2, .infer = infer, .prepare = prepare, .run = run,
      .state_size = sizeof(col2im_state) },
    { 0 },
};
