/* SPDX-License-Identifier: BSD-2-Clause */
/* Rotary positions, linear attention, causal convolution with a state, and losses. */
#include "engine/opencl/lower_util.h"
#include "kernels/recurrence.h"

#include <stdio.h>
#include <string.h>

static const char *number(mbr_dtype t)
{
    return t == MBR_DTYPE_F64 ? "double" : "float";
}

static void kernel(mbr_cl_lower *l, const char *name, mbr_dtype t, const char *key, const char *value)
{
    char options[96];
    snprintf(options, sizeof options, "-DT=%s -DC=%s -D%s=%s", mbr_cl_name(t), number(t), key, value);
    mbr_cl_kernel(l, "tokens", name, options);
}

static mbr_status lower_rotary(mbr_cl_lower *l)
{
    const mbr_step *s = l->step;
    const mbr_rotary_args *a = s->state;
    uint32_t microsoft = mbr_cl_param(l) != 0;
    struct {
        cl_int stride[3], tokens, heads, size, half, rows, interleaved, positions, count;
    } g = { .tokens = (cl_int)a->tokens, .heads = (cl_int)a->heads, .size = (cl_int)a->size, .half = (cl_int)a->half,
            .rows = (cl_int)a->rows, .interleaved = a->interleaved, .count = (cl_int)(a->batch * a->tokens),
            .positions = a->one_position ? 1 : microsoft || mbr_step_has(s, 3) ? 2 : 0 };
    if (mbr_value_count(s->in[0]) == 0)
        return l->status;
    if (mbr_value_count(s->in[0]) > INT32_MAX)
        return mbr_cl_decline(l, "it is too large");
    for (int i = 0; i < 3; i++)
        g.stride[i] = (cl_int)a->in_stride[i];
    kernel(l, "rotary_pairs", a->dtype, "ROTARY", "1");
    mbr_cl_in(l, 0);
    mbr_cl_in(l, 1 + microsoft);
    mbr_cl_in(l, 2 + microsoft);
    mbr_cl_in_or_none(l, microsoft ? 1 : 3);
    mbr_cl_out(l, 0);
    mbr_cl_flag(l);
    mbr_cl_bytes(l, &g, sizeof g);
    mbr_cl_go_rows(l, a->size - a->half, a->heads, a->batch * a->tokens);
    return l->status;
}

static mbr_status lower_turn(mbr_cl_lower *l)
{
    const mbr_turn_args *a = l->step->state;
    struct {
        cl_int dims[3], x[3], cosine[3], sine[3], half;
    } g = { .half = (cl_int)a->half };
    if (mbr_value_count(l->step->out[0]) == 0)
        return l->status;
    if (mbr_value_count(l->step->out[0]) > INT32_MAX)
        return mbr_cl_decline(l, "it is too large");
    for (int i = 0; i < 3; i++) {
        g.dims[i] = (cl_int)a->dims[i];
        g.x[i] = (cl_int)a->x_stride[i];
        g.cosine[i] = (cl_int)a->cos_stride[i];
        g.sine[i] = (cl_int)a->sin_stride[i];
    }
    kernel(l, "turn", MBR_DTYPE_F32, "TURN", "1");
    for (uint32_t i = 0; i < 3; i++)
        mbr_cl_in(l, i);
    mbr_cl_out(l, 0);
    mbr_cl_bytes(l, &g, sizeof g);
    mbr_cl_go_rows(l, a->half, a->dims[2], a->dims[0] * a->dims[1]);
    return l->status;
}

static mbr_status lower_linear(mbr_cl_lower *l)
{
    const mbr_step *s = l->step;
    const mbr_linear_attention_args *a = s->state;
    bool past = mbr_step_has(s, 3), present = mbr_step_wants(s, 1);
    mbr_dtype t = past ? s->in[3]->dtype : a->dtype;
    char more[32];
    struct {
        cl_int batch, steps, heads, kv_heads, dk, dv, decay_each, beta_heads, has_state;
        cl_float scale;
    } g = { (cl_int)a->batch, (cl_int)a->steps, (cl_int)a->heads, (cl_int)a->kv_heads, (cl_int)a->dk, (cl_int)a->dv,
            mbr_step_has(s, 4) ? (cl_int)a->decay_each : 0, a->delta ? (cl_int)a->beta_heads : 0, past, a->scale };
    snprintf(more, sizeof more, "%s%s", mbr_cl_name(t), present ? " -DPRESENT" : "");
    kernel(l, "linear_attention", a->dtype, "S", more);
    for (uint32_t i = 0; i < 6; i++)
        mbr_cl_in_or_none(l, i);
    mbr_cl_out(l, 0);
    mbr_cl_out(l, present);
    mbr_cl_scratch(l, 0, a->batch * a->kv_heads * a->dk * a->dv * sizeof(float));
    mbr_cl_bytes(l, &g, sizeof g);
    mbr_cl_go_rows(l, a->dv, a->batch * a->kv_heads, 1);
    return l->status;
}

static mbr_status lower_causal(mbr_cl_lower *l)
{
    const mbr_step *s = l->step;
    const mbr_causal_conv_args *a = s->state;
    bool present = mbr_step_wants(s, 1);
    char bits[8];
    snprintf(bits, sizeof bits, "%d", mbr_step_has(s, 2) | mbr_step_has(s, 3) << 1 | present << 2 | a->silu << 3);
    if (!s->out[0])
        return mbr_cl_decline(l, "its result is not wanted");
    kernel(l, "causal", a->dtype, "CAUSAL", bits);
    for (uint32_t i = 0; i < 4; i++)
        mbr_cl_in_or_none(l, i);
    mbr_cl_out(l, 0);
    mbr_cl_out(l, present);
    mbr_cl_int(l, (int64_t)a->steps);
    mbr_cl_int(l, (int64_t)a->taps);
    mbr_cl_int(l, (int64_t)a->channels);
    mbr_cl_int(l, (int64_t)(a->batch * a->channels));
    mbr_cl_go_rows(l, a->steps > a->taps ? a->steps : a->taps, a->batch * a->channels, 1);
    return l->status;
}

static mbr_status lower_loss(mbr_cl_lower *l)
{
    const mbr_step *s = l->step;
    const mbr_value *x = s->in[0];
    mbr_dtype t = x->dtype;
    size_t count = mbr_value_count(s->in[1]), size = t == MBR_DTYPE_F64 ? 8 : 4;
    int64_t classes = x->dims[1];
    const char *reduction = mbr_attr_string(s->node, "reduction", "mean");
    bool each = reduction[0] == 'n', log_prob = mbr_step_wants(s, 1);
    char more[64];
    if (count > INT32_MAX / 2 || mbr_value_count(x) > INT32_MAX)
        return mbr_cl_decline(l, "it is too large");
    snprintf(more, sizeof more, "%d -DI=%s", mbr_cl_param(l) | mbr_step_has(s, 2) << 1 | log_prob << 2 | each << 3,
             mbr_cl_name(s->in[1]->dtype));
    kernel(l, "loss", t, "LOSS", more);
    mbr_cl_in(l, 0);
    mbr_cl_in(l, 1);
    mbr_cl_in_or_none(l, 2);
    mbr_cl_out(l, 0);
    mbr_cl_out(l, log_prob);
    mbr_cl_scratch(l, 0, count * 2 * size);
    mbr_cl_flag(l);
    mbr_cl_int(l, (int64_t)count);
    mbr_cl_int(l, classes);
    mbr_cl_int(l, count ? (int64_t)count / x->dims[0] : 1);
    mbr_cl_int(l, mbr_attr(s->node, "ignore_index") != NULL);
    mbr_cl_long(l, mbr_attr_int(s->node, "ignore_index", 0));
    mbr_cl_go_flat(l, count);
    if (each)
        return l->status;
    size_t group = mbr_cl_lines(l, count, size);
    snprintf(more + strlen(more), sizeof more - strlen(more), "%s", mbr_cl_lines_options(l, group));
    kernel(l, "loss_sum", t, "LOSS", more);
    mbr_cl_scratch(l, 0, count * 2 * size);
    mbr_cl_out(l, 0);
    mbr_cl_int(l, (int64_t)count);
    mbr_cl_int(l, reduction[0] == 'm');
    mbr_cl_local(l, group * size);
    mbr_cl_go_lines(l, 1, group);
    return l->status;
}

static bool takes_floats(const mbr_ir_node *n, const mbr_cl_device *d)
{
    return mbr_dtype_is_float(n->inputs[0]->type.dtype) && mbr_cl_takes_numbers(n, d);
}

const mbr_cl_op mbr_cl_ops_tokens[] = {
    { "", "RotaryEmbedding", takes_floats, lower_rotary, 0 },
    { "com.microsoft", "RotaryEmbedding", takes_floats, lower_rotary, 1 },
    { "mbr", "Rotary", takes_floats, lower_turn, 0 },
    { "", "LinearAttention", takes_floats, lower_linear, 0 },
    { "", "CausalConvWithState", takes_floats, lower_causal, 0 },
    { "", "NegativeLogLikelihoodLoss", takes_floats, lower_loss, 0 },
    { "", "SoftmaxCrossEntropyLoss", takes_floats, lower_loss, 1 },
    { 0 },
};
