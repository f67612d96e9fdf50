/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * FlexAttention of ai.onnx.preview: attention whose scores and probabilities pass through subgraphs of the model.
 * All in one tile: scores, score_mod, softmax, prob_mod, product with V.
 */
#include "engine/ops/op.h"
#include "kernels/real.h"

#include <math.h>
#include <string.h>

static mbr_dtype precision(const mbr_ir_node *n, mbr_dtype t)
{
    return (mbr_dtype)mbr_attr_int(n, "softmax_precision", t == MBR_DTYPE_F64 ? MBR_DTYPE_F64 : MBR_DTYPE_F32);
}

/* Both subgraphs take one tensor of this type, and give one. */
static mbr_status infer_mod(mbr_infer *c, const char *name, mbr_dtype t, const mbr_dim *dims)
{
    mbr_ir_graph *g = mbr_attr_graph(c->node, name);
    if (!g || !c->dims) /* at run time types are settled */
        return MBR_OK;
    if (g->n_inputs != 1 || g->n_outputs != 1)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "%s has %zu inputs and %zu outputs, not one each", name, g->n_inputs,
                              g->n_outputs);
    MBR_TRY(mbr_ir_set_tensor_type(g->inputs[0], t, 4, dims, c->err));
    return mbr_infer_graph(g, c->err);
}

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *q = &c->in[0], *v = &c->in[2];
    for (uint32_t i = 0; i < 3; i++)
        if ((c->in[i].rank >= 0 && c->in[i].rank != 4) ||
            (c->in[i].dtype != MBR_DTYPE_UNDEFINED && !mbr_dtype_is_float(c->in[i].dtype)))
            return mbr_infer_fail(c, MBR_ERR_MODEL, "input %u has rank %d and type %s; floats of rank 4 are needed", i,
                                  c->in[i].rank, mbr_dtype_name(c->in[i].dtype));
    if (!mbr_dtype_is_float(precision(c->node, q->dtype)))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "softmax_precision is no float");
    mbr_dim dims[4] = { MBR_DIM_UNKNOWN, MBR_DIM_UNKNOWN, MBR_DIM_UNKNOWN, MBR_DIM_UNKNOWN };
    if (q->rank == 4)
        memcpy(dims, q->dims, 3 * sizeof *dims);
    if (v->rank == 4)
        dims[3] = v->dims[3];
    mbr_infer_out(c, 0, v->dtype, 4, dims);
    dims[3] = c->in[1].rank == 4 ? c->in[1].dims[2] : MBR_DIM_UNKNOWN;
    MBR_TRY(infer_mod(c, "score_mod", precision(c->node, q->dtype), dims));
    return infer_mod(c, "prob_mod", precision(c->node, q->dtype), dims);
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    const mbr_value *q = s->in[0], *k = s->in[1], *v = s->in[2];
    if (q->dims[0] != k->dims[0] || q->dims[0] != v->dims[0] || k->dims[1] != v->dims[1] || k->dims[2] != v->dims[2] ||
        q->dims[3] != k->dims[3] || k->dims[1] < 1 || q->dims[1] % k->dims[1] || q->dtype != k->dtype)
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "the shapes or types of Q, K and V do not belong together");
    s->cost_ns = (double)mbr_value_count(q) * (double)k->dims[2] * 5;
    return MBR_OK;
}

/* Sends the scores through a subgraph, where there is one. */
static mbr_status modify(mbr_step *s, const char *name, const mbr_value *shape, void *data, mbr_error *err)
{
    if (!mbr_attr_graph(s->node, name))
        return MBR_OK;
    struct mbr_frame *f = mbr_step_subframe(s, name);
    mbr_value v = *shape;
    v.data = data;
    MBR_TRY(mbr_subframe_bind_captures(s, f, err));
    MBR_TRY(mbr_frame_bind(f, 0, &v, err));
    MBR_TRY(mbr_frame_run(f, err));
    const mbr_value *out = mbr_frame_output(f, 0);
    if (out->kind != shape->kind || out->dtype != shape->dtype || mbr_value_count(out) != mbr_value_count(shape))
        return mbr_step_fail(s, err, MBR_ERR_RUN, "%s changes the shape or type of its input", name);
    memcpy(data, out->data, mbr_value_bytes(shape));
    return MBR_OK;
}

static void softmax_rows(mbr_dtype t, void *data, size_t rows, size_t cols)
{
    for (size_t i = 0; i < rows; i++) {
        double most = -INFINITY, sum = 0;
        for (size_t j = 0; j < cols; j++)
            most = fmax(most, mbr_real_get(t, data, i * cols + j));
        for (size_t j = 0; j < cols; j++)
            sum += exp(mbr_real_get(t, data, i * cols + j) - most);
        for (size_t j = 0; j < cols; j++)
            mbr_real_set(t, data, i * cols + j, exp(mbr_real_get(t, data, i * cols + j) - most) / sum);
    }
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)job;
    const mbr_value *q = s->in[0], *k = s->in[1], *v = s->in[2];
    size_t heads = (size_t)q->dims[1], kv = (size_t)k->dims[1], group = heads / kv; /* heads may be none */
    size_t lq = (size_t)q->dims[2], lk = (size_t)k->dims[2], d = (size_t)q->dims[3], dv = (size_t)v->dims[3];
    size_t matrices = (size_t)q->dims[0] * heads;
    float scale = mbr_attr_float(s->node, "scale", d ? 1 / sqrtf((float)d) : 1);
    mbr_value shape;
    mbr_value_init(&shape, mbr_step_memory(s), MBR_KIND_TENSOR, precision(s->node, q->dtype));
    shape.rank = 4;
    memcpy(shape.dims, q->dims, 3 * sizeof *q->dims);
    shape.dims[3] = k->dims[2];
    size_t bytes;
    MBR_TRY(mbr_shape_bytes(shape.dtype, 4, shape.dims, &bytes, err));
    void *scores = mbr_step_alloc(s, bytes);
    if (!scores)
        return mbr_no_memory(err, bytes);
    for (size_t m = 0; m < matrices; m++) {
        size_t of_k = (m / heads * kv + m % heads / group) * lk * d;
        for (size_t i = 0; i < lq * lk; i++) {
            double sum = 0;
            for (size_t c = 0; c < d; c++)
                sum += mbr_real_get(q->dtype, q->data, (m * lq + i / lk) * d + c) *
                       mbr_real_get(k->dtype, k->data, of_k + i % lk * d + c);
            mbr_real_set(shape.dtype, scores, m * lq * lk + i, sum * (double)scale);
        }
    }
    MBR_TRY(modify(s, "score_mod", &shape, scores, err));
    softmax_rows(shape.dtype, scores, matrices * lq, lk);
    MBR_TRY(modify(s, "prob_mod", &shape, scores, err));
    for (size_t m = 0; m < matrices; m++) {
        size_t of_v = (m / heads * kv + m % heads / group) * lk * dv;
        for (size_t i = 0; i < lq * dv; i++) {
            double sum = 0;
            for (size_t j = 0; j < lk; j++)
                sum += mbr_real_get(shape.dtype, scores, (m * lq + i / dv) * lk + j) *
                       mbr_real_get(v->dtype, v->data, of_v + j * dv + i % dv);
            mbr_real_set(v->dtype, s->out[0]->data, m * lq * dv + i, sum);
        }
    }
    return MBR_OK;
}

const mbr_op mbr_ops_flex_attention[] = {
    { .domain = "ai.onnx.preview", .name = "FlexAttention", .since = 1, .min_in = 3, .max_in = 3, .min_out = 1,
      .max_out = 1, .flags = MBR_OP_CONTROL | MBR_OP_HOST, .infer = infer, .prepare = prepare, .run = run },
    { 0 },
};
