/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BatchNormalization at inference is y = x * s + t, channel by channel, with s = scale / sqrt(var + epsilon) and
 * t = bias - mean * s. Behind a convolution with constant weights s goes into the weights and t into the bias;
 * elsewhere the node becomes Mul and Add with constants, which chains take.
 */
#include "engine/infer.h"
#include "engine/ops/op.h"
#include "engine/passes/pass.h"

#include <math.h>
#include <string.h>

static const float *channel_data(const mbr_ir_value *v, size_t channels)
{
    if (!v || !v->constant || v->has_default || v->constant->dtype != MBR_DTYPE_F32 ||
        v->constant->kind != MBR_KIND_TENSOR || mbr_value_count(v->constant) != channels)
        return NULL;
    return v->constant->data;
}

/* At inference, with constants for a known number of channels. */
static bool foldable(const mbr_ir_node *n, size_t *channels)
{
    if (!mbr_node_is(n, "", "BatchNormalization") || n->n_inputs < 5 || !n->inputs[1] || !n->inputs[1]->constant ||
        n->inputs[0]->type.dtype != MBR_DTYPE_F32 || n->inputs[0]->type.rank < 2)
        return false;
    if (n->opset < 7 ? !mbr_attr_int(n, "is_test", 0) : mbr_attr_int(n, "training_mode", 0))
        return false;
    if (!mbr_attr_int(n, "spatial", 1))
        return false;
    for (uint32_t i = 1; i < n->n_outputs; i++)
        if (n->outputs[i] && n->outputs[i]->uses)
            return false;
    *channels = mbr_value_count(n->inputs[1]->constant);
    for (uint32_t i = 1; i < 5; i++)
        if (!channel_data(n->inputs[i], *channels))
            return false;
    return true;
}

/* s and t of a node, computed in double and rounded once. */
static void scale_shift(const mbr_ir_node *n, size_t channels, float *s, float *t)
{
    const float *scale = channel_data(n->inputs[1], channels), *bias = channel_data(n->inputs[2], channels);
    const float *mean = channel_data(n->inputs[3], channels), *var = channel_data(n->inputs[4], channels);
    double epsilon = (double)mbr_attr_float(n, "epsilon", 1e-5f);
    for (size_t c = 0; c < channels; c++) {
        double k = (double)scale[c] / sqrt((double)var[c] + epsilon);
        s[c] = (float)k;
        t[c] = (float)((double)bias[c] - (double)mean[c] * k);
    }
}

static mbr_status channel_constant(mbr_ir_graph *g, int rank, size_t channels, mbr_value **out, mbr_error *err)
{
    int64_t dims[MBR_MAX_RANK];
    for (int d = 0; d < rank; d++)
        dims[d] = d == 0 ? (int64_t)channels : 1;
    return mbr_value_create_tensor(g->module->memory, MBR_DTYPE_F32, rank, dims, out, err);
}

/* The convolution whose output only this node reads, with weights (filters, ...) that may be changed. */
static mbr_ir_node *conv_before(const mbr_ir_node *n, size_t channels)
{
    mbr_ir_node *conv = n->inputs[0]->producer;
    if (!mbr_node_is(conv, "", "Conv") || n->inputs[0]->uses != 1 || n->inputs[0]->is_output)
        return NULL;
    const mbr_ir_value *w = conv->inputs[1];
    if (!w->constant || w->has_default || w->constant->dtype != MBR_DTYPE_F32 || w->constant->rank < 2 ||
        (size_t)w->constant->dims[0] != channels)
        return NULL;
    if (conv->n_inputs > 2 && conv->inputs[2] && !channel_data(conv->inputs[2], channels))
        return NULL;
    return conv;
}

static mbr_status fold_into_conv(mbr_ir_node *n, mbr_ir_node *conv, size_t channels, mbr_error *err)
{
    mbr_ir_graph *g = n->graph;
    const mbr_value *w = conv->inputs[1]->constant;
    mbr_value *weights, *shift;
    mbr_ir_value *wv, *bv;
    MBR_TRY(mbr_value_create_tensor(g->module->memory, MBR_DTYPE_F32, w->rank, w->dims, &weights, err));
    MBR_TRY(mbr_ir_constant(g, weights, &wv, err));
    MBR_TRY(channel_constant(g, 1, channels, &shift, err));
    MBR_TRY(mbr_ir_constant(g, shift, &bv, err));
    float *s = mbr_calloc(g->module->memory, channels + 1, sizeof *s);
    if (!s)
        return mbr_no_memory(err, channels * sizeof *s);
    float *t = shift->data, *to = weights->data;
    memcpy(to, w->data, mbr_value_bytes(w)); /* which may lie at any address */
    scale_shift(n, channels, s, t);
    const float *bias = conv->n_inputs > 2 ? channel_data(conv->inputs[2], channels) : NULL;
    size_t each = channels ? mbr_value_count(w) / channels : 0;
    for (size_t c = 0; c < channels; c++) {
        if (bias)
            t[c] = (float)((double)bias[c] * (double)s[c] + (double)t[c]);
        for (size_t i = 0; i < each; i++)
            to[c * each + i] *= s[c];
    }
    mbr_free(g->module->memory, s);
    mbr_ir_set_input(conv, 1, wv);
    if (conv->n_inputs > 2)
        mbr_ir_set_input(conv, 2, bv);
    else
        MBR_TRY(mbr_ir_add_node_input(conv, bv, err));
    mbr_ir_replace_uses(n->outputs[0], conv->outputs[0]);
    mbr_ir_node_remove(n);
    return MBR_OK;
}

static mbr_status to_mul_add(mbr_ir_node *n, size_t channels, mbr_error *err)
{
    mbr_ir_graph *g = n->graph;
    int rank = n->inputs[0]->type.rank - 1;
    mbr_value *s, *t;
    mbr_ir_value *sv, *tv;
    mbr_ir_node *mul, *add;
    MBR_TRY(channel_constant(g, rank, channels, &s, err));
    MBR_TRY(mbr_ir_constant(g, s, &sv, err));
    MBR_TRY(channel_constant(g, rank, channels, &t, err));
    MBR_TRY(mbr_ir_constant(g, t, &tv, err));
    scale_shift(n, channels, s->data, t->data);
    MBR_TRY(mbr_ir_node_new(g, n, "", "Mul", 14, n->name, (mbr_ir_value *[]){ n->inputs[0], sv }, 2, NULL, 1, &mul,
                            err));
    MBR_TRY(mbr_infer_node(mul, err));
    MBR_TRY(mbr_ir_node_new(g, n, "", "Add", 14, n->name, (mbr_ir_value *[]){ mul->outputs[0], tv }, 2, NULL, 1, &add,
                            err));
    MBR_TRY(mbr_infer_node(add, err));
    mul->origin = add->origin = n->origin;
    mbr_ir_replace_uses(n->outputs[0], add->outputs[0]);
    mbr_ir_node_remove(n);
    return MBR_OK;
}

mbr_status mbr_pass_batchnorm(mbr_ir_graph *g, bool *changed, mbr_error *err)
{
    for (mbr_ir_node *n = g->first, *next; n; n = next) {
        size_t channels;
        next = n->next;
        if (!foldable(n, &channels))
            continue;
        mbr_ir_node *conv = conv_before(n, channels);
        MBR_TRY(conv ? fold_into_conv(n, conv, channels, err) : to_mul_add(n, channels, err));
        *changed = true;
    }
    return MBR_OK;
}
