/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/ops/pointwise.h"

#include "engine/ops/op_util.h"
#include "kernels/cpu.h"

#include <float.h>
#include <math.h>
#include <string.h>

void mbr_pointwise_immediates(const mbr_ir_node *node, mbr_chain_op op, float *x, float *y)
{
    *x = *y = 0;
    switch (op) {
    case MBR_CHAIN_LEAKY_RELU:
        *x = mbr_attr_float(node, "alpha", 0.01f);
        break;
    case MBR_CHAIN_THRESHOLDED_RELU:
    case MBR_CHAIN_ELU:
    case MBR_CHAIN_CELU:
    case MBR_CHAIN_SWISH:
        *x = mbr_attr_float(node, "alpha", 1.0f);
        break;
    case MBR_CHAIN_SELU:
        *x = mbr_attr_float(node, "alpha", node->op->since < 6 ? 1.6732f : 1.67326319217681884765625f);
        *y = mbr_attr_float(node, "gamma", node->op->since < 6 ? 1.0507f : 1.05070102214813232421875f);
        break;
    case MBR_CHAIN_HARD_SIGMOID:
        *x = mbr_attr_float(node, "alpha", 0.2f);
        *y = mbr_attr_float(node, "beta", 0.5f);
        break;
    case MBR_CHAIN_SHRINK:
        *x = mbr_attr_float(node, "lambd", 0.5f);
        *y = mbr_attr_float(node, "bias", 0.0f);
        break;
    default:
        break;
    }
}

bool mbr_pointwise_constant(const mbr_ir_node *node, uint32_t i, float *v)
{
    if (i >= node->n_formal || !node->inputs[i] || node->inputs[i]->has_default)
        return false;
    const mbr_value *k = node->inputs[i]->constant;
    if (!k || k->kind != MBR_KIND_TENSOR || mbr_value_count(k) != 1)
        return false;
    if (mbr_dtype_is_float(k->dtype))
        *v = (float)mbr_value_real(k, 0);
    else if (mbr_dtype_is_int(k->dtype))
        *v = (float)mbr_value_int(k, 0);
    else
        return false;
    return true;
}

/* min and max of Clip: 1: an immediate, 0: an input to read, -1: cannot be */
static int limit(const mbr_ir_node *node, const char *attr, uint32_t i, float otherwise, float *v)
{
    *v = otherwise;
    if (node->op->since < 11) {
        if (node->op->since >= 6)
            otherwise = otherwise < 0 ? -FLT_MAX : FLT_MAX;
        *v = mbr_attr_float(node, attr, otherwise);
        return 1;
    }
    if (i >= node->n_formal || !node->inputs[i])
        return 1;
    return mbr_pointwise_constant(node, i, v);
}

static int clip_code(const mbr_ir_node *node, mbr_chain_insn *code, uint32_t *used)
{
    uint8_t to = (uint8_t)node->n_formal;
    float low, high;
    int low_is = limit(node, "min", 1, -INFINITY, &low);
    int high_is = limit(node, "max", 2, INFINITY, &high);
    *used = 1;
    if (low_is == 1 && high_is == 1) {
        code[0] = (mbr_chain_insn){ .op = MBR_CHAIN_CLIP, .dst = to, .a = 0, .x = low, .y = high };
        return 1;
    }
    code[0] = low_is == 1 ? (mbr_chain_insn){ .op = MBR_CHAIN_MAXI, .dst = to, .a = 0, .x = low }
                          : (mbr_chain_insn){ .op = MBR_CHAIN_MAX, .dst = to, .a = 0, .b = 1 };
    code[1] = high_is == 1 ? (mbr_chain_insn){ .op = MBR_CHAIN_MINI, .dst = to, .a = to, .x = high }
                           : (mbr_chain_insn){ .op = MBR_CHAIN_MIN, .dst = to, .a = to, .b = 2 };
    *used |= (low_is == 1 ? 0u : 2u) | (high_is == 1 ? 0u : 4u);
    return 2;
}

/* Two operands of which one is a constant number: the operator that takes it along, and which one stays. */
static bool with_immediate(const mbr_ir_node *node, mbr_chain_op what, mbr_chain_insn *insn, uint32_t *used)
{
    static const struct {
        mbr_chain_op op, second, first; /* a op x, x op a */
    } forms[] = {
        { MBR_CHAIN_ADD, MBR_CHAIN_ADDI, MBR_CHAIN_ADDI }, { MBR_CHAIN_SUB, MBR_CHAIN_SUBI, MBR_CHAIN_RSUBI },
        { MBR_CHAIN_MUL, MBR_CHAIN_MULI, MBR_CHAIN_MULI }, { MBR_CHAIN_DIV, MBR_CHAIN_DIVI, MBR_CHAIN_RDIVI },
        { MBR_CHAIN_MIN, MBR_CHAIN_MINI, MBR_CHAIN_MINI }, { MBR_CHAIN_MAX, MBR_CHAIN_MAXI, MBR_CHAIN_MAXI },
        { MBR_CHAIN_POW, MBR_CHAIN_POWI, MBR_CHAIN_RPOWI },
    };
    float x;
    if (node->n_formal != 2 || strcmp(node->op->name, "Mean") == 0)
        return false;
    for (size_t k = 0; k < MBR_COUNT_OF(forms); k++)
        for (uint32_t i = 2; i-- > 0 && forms[k].op == what;)
            if (mbr_pointwise_constant(node, i, &x)) {
                *used = 2u >> i;
                *insn = (mbr_chain_insn){ .op = (uint8_t)(i ? forms[k].second : forms[k].first),
                                          .dst = (uint8_t)node->n_formal, .a = (uint8_t)!i, .x = x };
                return true;
            }
    return false;
}

int mbr_pointwise_code(const mbr_ir_node *node, mbr_chain_insn *code, uint32_t *used)
{
    const mbr_op *op = node->op;
    uint32_t n = node->n_formal;
    float x, y;
    if (!(op->flags & MBR_OP_CHAIN) || !mbr_pointwise_has_chain(op) || n == 0 || n > MBR_POINTWISE_CODE)
        return 0;
    mbr_chain_op what = mbr_pointwise_chain(op);
    if (what == MBR_CHAIN_CLIP)
        return clip_code(node, code, used);
    for (uint32_t i = 0; i < n; i++)
        if (!node->inputs[i])
            return 0;
    if (op->max_in != 1 && op->since < 7 && mbr_attr(node, "broadcast"))
        return 0;
    if (what == MBR_CHAIN_FMOD && !mbr_attr_int(node, "fmod", 0))
        return 0;
    *used = (1u << n) - 1;
    uint8_t to = (uint8_t)n;
    if (mbr_chain_op_operands(what) == 1) {
        if (what == MBR_CHAIN_GELU && strcmp(mbr_attr_string(node, "approximate", "none"), "tanh") == 0)
            what = MBR_CHAIN_GELU_TANH;
        mbr_pointwise_immediates(node, what, &x, &y);
        code[0] = (mbr_chain_insn){ .op = (uint8_t)what, .dst = to, .a = 0, .x = x, .y = y };
        return 1;
    }
    if (what == MBR_CHAIN_WHERE) {
        code[0] = (mbr_chain_insn){ .op = MBR_CHAIN_WHERE, .dst = to, .a = 0, .b = 1, .c = 2 };
        return 1;
    }
    if (with_immediate(node, what, &code[0], used))
        return 1;
    int length = 0;
    if (n == 1)
        code[length++] = (mbr_chain_insn){ .op = MBR_CHAIN_MOV, .dst = to, .a = 0 };
    for (uint32_t i = 1; i < n; i++)
        code[length++] = (mbr_chain_insn){ .op = (uint8_t)what, .dst = to, .a = i == 1 ? 0 : to, .b = (uint8_t)i };
    if (strcmp(op->name, "Mean") == 0 && n > 1)
        code[length++] = (mbr_chain_insn){ .op = MBR_CHAIN_DIVI, .dst = to, .a = to, .x = (float)n };
    return length;
}

mbr_status mbr_op_chain_prepare(mbr_step *s, mbr_op_chain *k, int at, mbr_error *err)
{
    const mbr_value *out = s->out[0];
    size_t dims[MBR_MAX_RANK];
    ptrdiff_t strides[MBR_CHAIN_INPUTS][MBR_MAX_RANK];
    const ptrdiff_t *in[MBR_CHAIN_INPUTS];
    int rank = mbr_op_dims(out, dims);
    for (int i = 0; i < k->chain.inputs; i++) {
        const mbr_value *v = s->in[k->from[i]];
        int first = at >= 0 && k->from[i] == 1 ? at : rank - v->rank;
        k->chain.input_type[i] = v->dtype;
        MBR_TRY(mbr_op_check_spread(s, k->from[i], out, first, err));
        mbr_op_strides_at(v, rank, first, strides[i]);
        in[i] = strides[i];
    }
    const ptrdiff_t *dense = NULL;
    k->chain.output_type[0] = out->dtype;
    mbr_chain_space_init(&k->space, &k->chain, rank, dims, in, &dense);
    k->fn = mbr_chain_select(mbr_cpu_tiers());
    k->each = 1;
    if (k->space.tiles == 0)
        s->tiles[0] = 0;
    else
        k->each = mbr_step_split(s, k->space.tiles,
                                 (double)k->space.count / (double)k->space.tiles * mbr_chain_cost(&k->chain) * 0.1);
    return MBR_OK;
}

void mbr_op_chain_run(const mbr_step *s, const mbr_op_chain *k, const mbr_job *job)
{
    const void *in[MBR_CHAIN_INPUTS];
    void *out[1] = { s->out[0]->data };
    size_t first, last;
    mbr_op_items(job, k->each, k->space.tiles, &first, &last);
    if (first >= last)
        return;
    for (int i = 0; i < k->chain.inputs; i++)
        in[i] = s->in[k->from[i]]->data;
    k->fn(&k->chain, &k->space, in, out, first, last);
}
