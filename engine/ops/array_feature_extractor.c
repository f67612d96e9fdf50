/* SPDX-License-Identifier: BSD-2-Clause */
/* ArrayFeatureExtractor: columns of the last axis by index. */
#include "engine/ops/op.h"

#include <string.h>

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *x = &c->in[0], *index = &c->in[1];
    mbr_dim dims[MBR_MAX_RANK], n = 1;
    if (x->rank == 0)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "the input has rank 0");
    if (x->rank < 0 || index->rank < 0)
        n = MBR_DIM_UNKNOWN;
    for (int d = 0; d < index->rank; d++)
        n = mbr_dim_mul(c->dims, n, index->dims[d]);
    int rank = x->rank == 1 ? 2 : x->rank; /* a vector is one row */
    dims[0] = 1;
    for (int d = 0; d < x->rank - 1; d++)
        dims[d] = x->dims[d];
    if (rank > 0)
        dims[rank - 1] = n;
    mbr_infer_out(c, 0, x->dtype, rank, dims);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)job;
    const mbr_value *x = s->in[0], *index = s->in[1];
    size_t columns = (size_t)x->dims[x->rank - 1], n = mbr_value_count(index), size = mbr_dtype_size(x->dtype);
    size_t rows = columns ? mbr_value_count(x) / columns : 0;
    char *y = s->out[0]->data;
    for (size_t i = 0; i < n; i++) {
        int64_t k = mbr_value_int(index, i);
        if (k < 0 || (uint64_t)k >= columns)
            return mbr_step_fail(s, err, MBR_ERR_RUN, "index %lld of a last axis of %zu", (long long)k, columns);
        for (size_t r = 0; r < rows; r++)
            memcpy(y + (r * n + i) * size, (const char *)x->data + (r * columns + (size_t)k) * size, size);
    }
    return MBR_OK;
}

const mbr_op mbr_ops_array_feature_extractor[] = {
    { .domain = "ai.onnx.ml", .name = "ArrayFeatureExtractor", .since = 1, .min_in = 2, .max_in = 2, .min_out = 1,
      .max_out = 1, .infer = infer, .run = run },
    { 0 },
};
