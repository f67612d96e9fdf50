/* SPDX-License-Identifier: BSD-2-Clause */
/* HannWindow, HammingWindow, BlackmanWindow, MelWeightMatrix: tables made from a few numbers. */
#include "engine/ops/op.h"
#include "kernels/signal.h"

enum { MEL = 100 };

static mbr_dtype type_of(const mbr_ir_node *n)
{
    return (mbr_dtype)mbr_attr_int(n, "output_datatype", MBR_DTYPE_F32);
}

static mbr_status infer(mbr_infer *c)
{
    mbr_dtype t = type_of(c->node);
    mbr_dim dims[2] = { MBR_DIM_UNKNOWN, MBR_DIM_UNKNOWN };
    int64_t size, length;
    size_t n;
    bool mel = c->node->op->param == MEL;
    if (!mbr_dtype_is_float(t) && !mbr_dtype_is_int(t))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "output_datatype is %d", (int)t);
    if (mbr_infer_const_ints(c, 0, &size, 1, &n) && n == 1) {
        if (size < 0 || size > INT32_MAX)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "a size of %lld", (long long)size);
        dims[mel ? 1 : 0] = size;
    }
    if (mel && mbr_infer_const_ints(c, 1, &length, 1, &n) && n == 1) {
        if (length < 0 || length > INT32_MAX)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "a dft_length of %lld", (long long)length);
        dims[0] = length / 2 + 1;
    }
    mbr_infer_out(c, 0, t, mel ? 2 : 1, dims);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)job;
    mbr_value *y = s->out[0];
    if (s->op->param != MEL) {
        mbr_taper_fill((mbr_taper)s->op->param, y->dtype, mbr_attr_int(s->node, "periodic", 1) != 0,
                       mbr_value_count(y), y->data);
        return MBR_OK;
    }
    int64_t v[3];
    size_t n;
    for (uint32_t i = 0; i < 3; i++) {
        MBR_TRY(mbr_step_ints(s, i, &v[i], 1, &n, err));
        if (n != 1)
            return mbr_step_fail(s, err, MBR_ERR_INPUT, "input %u is no scalar", i);
    }
    if (mbr_value_count(s->in[3]) != 1 || mbr_value_count(s->in[4]) != 1)
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "the edges are scalars");
    if (!mbr_mel_weights(y->dtype, v[0], v[1], v[2], mbr_value_real(s->in[3], 0), mbr_value_real(s->in[4], 0), y->data))
        return mbr_step_fail(s, err, MBR_ERR_RUN, "the edges lie outside the spectrum");
    return MBR_OK;
}

#define ROW(op_name, inputs, content, what)                                                                            \
    { .domain = "", .name = op_name, .since = 17, .min_in = inputs, .max_in = inputs, .min_out = 1, .max_out = 1,      \
      .content_inputs = content, .infer = infer, .run = run, .param = what }

const mbr_op mbr_ops_windows[] = {
    ROW("HannWindow", 1, 1, MBR_TAPER_HANN),
    ROW("HammingWindow", 1, 1, MBR_TAPER_HAMMING),
    ROW("BlackmanWindow", 1, 1, MBR_TAPER_BLACKMAN),
    ROW("MelWeightMatrix", 5, 7, MEL),
    { 0 },
};
