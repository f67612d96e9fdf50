/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/ops/op.h"
#include "engine/ops/window.h"

#include <string.h>

/* The size that the attributes make; indices count in it, also where output_shape asks for more. */
static mbr_dim natural(mbr_dim_table *t, const mbr_window *w, int i, mbr_dim in)
{
    return mbr_dim_add(t, mbr_dim_mul(t, mbr_dim_sub(t, in, 1), w->stride[i]),
                       w->kernel[i] - w->pad_begin[i] - w->pad_end[i]);
}

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *x = &c->in[0];
    mbr_infer_out(c, 0, x->dtype, x->rank, NULL);
    if (x->rank < 0)
        return MBR_OK;
    mbr_window w;
    mbr_dim dims[MBR_MAX_RANK];
    size_t n;
    if (x->rank < 3)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "an input of rank %d; 3 or more is needed", x->rank);
    MBR_TRY(mbr_window_read(c->node, x->rank - 2, NULL, &w, c->err));
    if (mbr_infer_has(c, 2)) {
        if (mbr_infer_ints(c, 2, dims, MBR_MAX_RANK, &n)) {
            if ((int)n != x->rank)
                return mbr_infer_fail(c, MBR_ERR_MODEL, "output_shape has %zu numbers for rank %d", n, x->rank);
            for (size_t i = 0; i < n; i++)
                if (mbr_dim_is_const(dims[i]) && (dims[i] < 0 || dims[i] > INT32_MAX))
                    return mbr_infer_fail(c, MBR_ERR_MODEL, "a size of %lld", (long long)dims[i]);
            mbr_infer_out(c, 0, x->dtype, x->rank, dims);
        }
        return MBR_OK;
    }
    memcpy(dims, x->dims, sizeof dims);
    for (int i = 0; i < w.rank; i++) {
        dims[2 + i] = natural(c->dims, &w, i, x->dims[2 + i]);
        if (mbr_dim_is_const(dims[2 + i]) && dims[2 + i] < 0)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "more padding than size");
    }
    mbr_infer_out(c, 0, x->dtype, x->rank, dims);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)job;
    const mbr_value *x = s->in[0], *index = s->in[1];
    mbr_value *y = s->out[0];
    mbr_window w;
    MBR_TRY(mbr_window_read(s->node, x->rank - 2, NULL, &w, err));
    if (index->dtype != MBR_DTYPE_I64 || mbr_value_count(index) != mbr_value_count(x))
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "one i64 index for each element is needed");
    int64_t dims[MBR_MAX_RANK], all = 1;
    for (int i = 0; i < x->rank; i++) {
        dims[i] = i < 2 ? x->dims[i] : natural(NULL, &w, i - 2, x->dims[i]);
        all *= dims[i];
        if (dims[i] < 0 || dims[i] > y->dims[i])
            return mbr_step_fail(s, err, MBR_ERR_INPUT, "output_shape is smaller than what is unpooled");
    }
    size_t size = mbr_dtype_size(x->dtype);
    memset(y->data, 0, mbr_value_bytes(y));
    for (size_t k = 0, n = mbr_value_count(x); k < n; k++) {
        int64_t at = ((const int64_t *)index->data)[k], to = 0, step = 1;
        if (at < 0 || at >= all)
            return mbr_step_fail(s, err, MBR_ERR_RUN, "index %lld among %lld elements", (long long)at, (long long)all);
        for (int i = x->rank - 1; i >= 0; i--) {
            to += at % dims[i] * step;
            at /= dims[i];
            step *= y->dims[i];
        }
        memcpy((char *)y->data + (size_t)to * size, (const char *)x->data + k * size, size);
    }
    return MBR_OK;
}

const mbr_op mbr_ops_max_unpool[] = {
    { .domain = "", .name = "MaxUnpool", .since = 9, .min_in = 2, .max_in = 3, .min_out = 1, .max_out = 1,
      .content_inputs = 1u << 2, .infer = infer, .run = run },
    { 0 },
};
