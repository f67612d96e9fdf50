/* SPDX-License-Identifier: BSD-2-Clause */
/* Binarizer: 1 above the threshold, else 0, in the type of the input. */
#include "engine/ops/op.h"

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)job;
    const mbr_value *x = s->in[0];
    const float threshold = mbr_attr_float(s->node, "threshold", 0);
    size_t n = mbr_value_count(x);
#define BINARIZE(type)                                                                                                 \
    for (size_t i = 0; i < n; i++)                                                                                     \
    ((type *)s->out[0]->data)[i] = (type)((double)((const type *)x->data)[i] > (double)threshold)
    switch (x->dtype) {
    case MBR_DTYPE_F32: BINARIZE(float); break;
    case MBR_DTYPE_F64: BINARIZE(double); break;
    case MBR_DTYPE_I64: BINARIZE(int64_t); break;
    case MBR_DTYPE_I32: BINARIZE(int32_t); break;
    default: return mbr_step_fail(s, err, MBR_ERR_UNSUPPORTED, "an input of %s", mbr_dtype_name(x->dtype));
    }
#undef BINARIZE
    return MBR_OK;
}

const mbr_op mbr_ops_binarizer[] = {
    { .domain = "ai.onnx.ml", .name = "Binarizer", .since = 1, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
      .flags = MBR_OP_INPLACE0, .infer = mbr_infer_unary, .run = run },
    { 0 },
};
