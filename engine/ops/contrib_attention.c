/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * com.microsoft's Attention (not ai.onnx's, which is attention.c): one product gives queries, keys and values, the rest
 * is MultiHeadAttention; the past and the present are one tensor of keys and values.
 */
#include "engine/ops/expand_util.h"

enum { IN_X, IN_WEIGHT, IN_BIAS, IN_MASK, IN_PAST, IN_SCORE_BIAS, IN_PAST_LENGTH };

static mbr_status expand(mbr_expansion *x)
{
    const mbr_ir_node *old = x->node;
    size_t n_sizes;
    const int64_t *sizes = mbr_attr_ints(old, "qkv_hidden_sizes", &n_sizes);
    int64_t heads = mbr_attr_int(old, "num_heads", 0);
    if (heads < 1)
        return mbr_expand_fail(x, MBR_ERR_MODEL, "num_heads is %lld", (long long)heads);
    if (mbr_attr_int(old, "do_rotary", 0) || mbr_expand_input(x, IN_PAST_LENGTH))
        return mbr_expand_fail(x, MBR_ERR_UNSUPPORTED, "do_rotary and past_sequence_length are not computed here; "
                               "GroupQueryAttention is what exporters write for them");
    if (sizes && n_sizes != 3)
        return mbr_expand_fail(x, MBR_ERR_MODEL, "qkv_hidden_sizes has %zu numbers, not 3", n_sizes);
    mbr_ir_value *product = mbr_expand_op(x, "MatMul", 13, mbr_expand_input(x, IN_X), mbr_expand_input(x, IN_WEIGHT));
    mbr_ir_value *const split_in[2] = { product, sizes ? mbr_expand_ints(x, sizes, 3) : NULL };
    mbr_ir_node *split = mbr_expand_node(x, "", "Split", sizes ? 13 : 18, split_in, sizes ? 2 : 1, 3);
    mbr_expand_attr_int(x, split, "axis", -1);
    if (!sizes)
        mbr_expand_attr_int(x, split, "num_outputs", 3);
    mbr_ir_value *in[8] = { 0 }, *past = mbr_expand_input(x, IN_PAST);
    if (past) {
        mbr_ir_node *halves = mbr_expand_node(x, "", "Split", 18, &past, 1, 2);
        mbr_expand_attr_int(x, halves, "axis", 0);
        mbr_expand_attr_int(x, halves, "num_outputs", 2);
        for (uint32_t i = 0; i < 2 && halves; i++)
            in[6 + i] = mbr_expand_op(x, "Squeeze", 13, halves->outputs[i], mbr_expand_int(x, 0));
    }
    for (uint32_t i = 0; i < 3 && split; i++)
        in[i] = split->outputs[i];
    in[3] = mbr_expand_input(x, IN_BIAS);
    in[4] = mbr_expand_input(x, IN_MASK);
    in[5] = mbr_expand_input(x, IN_SCORE_BIAS);
    bool present = mbr_expand_wants(x, 1);
    mbr_ir_node *attention = mbr_expand_node(x, "com.microsoft", "MultiHeadAttention", 1, in, 8, present ? 3 : 1);
    mbr_expand_attr_int(x, attention, "num_heads", heads);
    mbr_expand_attr_int(x, attention, "unidirectional", mbr_attr_int(old, "unidirectional", 0));
    mbr_expand_attr_float(x, attention, "scale", mbr_attr_float(old, "scale", 0));
    mbr_expand_attr_float(x, attention, "mask_filter_value", mbr_attr_float(old, "mask_filter_value", -10000.0f));
    if (!attention)
        return x->status;
    mbr_expand_output(x, 0, attention->outputs[0]);
    if (present) {
        mbr_ir_value *part[2];
        for (uint32_t i = 0; i < 2; i++)
            part[i] = mbr_expand_op(x, "Unsqueeze", 13, attention->outputs[1 + i], mbr_expand_int(x, 0));
        mbr_expand_output(x, 1, mbr_expand_op_int(x, "Concat", 13, part[0], part[1], "axis", 0));
    }
    return x->status;
}

const mbr_op mbr_ops_contrib_attention[] = {
    { .domain = "com.microsoft", .name = "Attention", .since = 1, .min_in = 2, .max_in = 7, .min_out = 1, .max_out = 2,
      .expand = expand },
    { 0 },
};
