/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * com.microsoft's EmbedLayerNormalization and QEmbedLayerNormalization (tables of bytes): the sum of the embeddings of
 * words, positions and segments, normalised; and how many words the mask leaves.
 */
#include "engine/ops/expand_util.h"

enum { IN_WORDS, IN_SEGMENTS, IN_WORD_TABLE, IN_POSITION_TABLE, IN_SEGMENT_TABLE, IN_GAMMA, IN_BETA, IN_MASK };
enum { IN_POSITIONS = 8 };                 /* without Q */
enum { IN_SCALES = 8, IN_ZEROS = 13 };     /* with Q: of the three tables, gamma and beta */

enum { PLAIN, QUANTIZED };

/* Rows of a table, or gamma or beta whole (index NULL), in floats. which: its place among scales and zero points. */
static mbr_ir_value *take(mbr_expansion *x, uint32_t table, mbr_ir_value *index, uint32_t which)
{
    mbr_ir_value *v = mbr_expand_input(x, table);
    if (index)
        v = mbr_expand_op(x, "Gather", 13, v, index);
    if (x->node->op->param == QUANTIZED)
        v = mbr_expand_dequantize(x, v, mbr_expand_input(x, IN_SCALES + which), mbr_expand_input(x, IN_ZEROS + which));
    return v;
}

/* The first rows of the positions' table, as many as there are words. */
static mbr_ir_value *first_positions(mbr_expansion *x)
{
    mbr_ir_value *length = mbr_expand_op_int(x, "Shape", 15, mbr_expand_input(x, IN_WORDS), NULL, "start", 1);
    mbr_ir_value *const in[4] = { mbr_expand_input(x, IN_POSITION_TABLE), mbr_expand_int(x, 0), length,
                                  mbr_expand_int(x, 0) };
    mbr_ir_node *slice = mbr_expand_node(x, "", "Slice", 13, in, 4, 1);
    mbr_ir_value *v = slice ? slice->outputs[0] : NULL;
    if (x->node->op->param == QUANTIZED)
        v = mbr_expand_dequantize(x, v, mbr_expand_input(x, IN_SCALES + 1), mbr_expand_input(x, IN_ZEROS + 1));
    return v;
}

static mbr_ir_value *count_words(mbr_expansion *x)
{
    mbr_ir_value *mask = mbr_expand_input(x, IN_MASK), *axis = mbr_expand_int(x, 1);
    if (!mask) { /* zeros */
        mbr_ir_value *sum = mbr_expand_op_int(x, "ReduceSum", 13, mbr_expand_input(x, IN_WORDS), axis, "keepdims", 0);
        return mbr_expand_op(x, "Sub", 14, sum, sum);
    }
    mbr_ir_value *one = mbr_expand_op_int(x, "Cast", 13, mbr_expand_int(x, 1), NULL, "to", MBR_DTYPE_I32);
    mbr_ir_value *ones = mbr_expand_op_int(x, "Cast", 13, mbr_expand_op(x, "Equal", 13, mask, one), NULL, "to",
                                           MBR_DTYPE_I32);
    return mbr_expand_op_int(x, "ReduceSum", 13, ones, axis, "keepdims", 0);
}

static mbr_status expand(mbr_expansion *x)
{
    bool quantized = x->node->op->param == QUANTIZED;
    mbr_ir_value *positions = quantized ? NULL : mbr_expand_input(x, IN_POSITIONS);
    mbr_ir_value *segments = mbr_expand_input(x, IN_SEGMENTS);
    mbr_expand_need(x, IN_WORD_TABLE, IN_POSITION_TABLE);
    mbr_expand_need(x, IN_GAMMA, IN_BETA);
    if (quantized) {
        mbr_expand_need(x, IN_SCALES, IN_SCALES + 1);
        mbr_expand_need(x, IN_SCALES + 3, IN_SCALES + 4);
    }
    if (x->status != MBR_OK)
        return x->status;
    if (!segments != !mbr_expand_input(x, IN_SEGMENT_TABLE))
        return mbr_expand_fail(x, MBR_ERR_MODEL, "segment_ids and segment_embedding come together");
    mbr_ir_value *sum = mbr_expand_op(x, "Add", 14, take(x, IN_WORD_TABLE, mbr_expand_input(x, IN_WORDS), 0),
                                      positions ? take(x, IN_POSITION_TABLE, positions, 1) : first_positions(x));
    if (segments)
        sum = mbr_expand_op(x, "Add", 14, sum, take(x, IN_SEGMENT_TABLE, segments, 2));
    mbr_ir_value *const in[3] = { sum, take(x, IN_GAMMA, NULL, 3), take(x, IN_BETA, NULL, 4) };
    mbr_ir_node *norm = mbr_expand_node(x, "", "LayerNormalization", 17, in, 3, 1);
    mbr_expand_attr_int(x, norm, "axis", -1);
    mbr_expand_attr_float(x, norm, "epsilon", mbr_attr_float(x->node, "epsilon", 1e-12f));
    if (!norm)
        return x->status;
    mbr_expand_output(x, 0, norm->outputs[0]);
    if (mbr_expand_wants(x, 1))
        mbr_expand_output(x, 1, count_words(x));
    mbr_expand_output(x, 2, sum);
    return x->status;
}

const mbr_op mbr_ops_embed_layer_normalization[] = {
    { .domain = "com.microsoft", .name = "EmbedLayerNormalization", .since = 1, .min_in = 1, .max_in = 9, .min_out = 1,
      .max_out = 3, .expand = expand, .param = PLAIN },
    { .domain = "com.microsoft", .name = "QEmbedLayerNormalization", .since = 1, .min_in = 1, .max_in = 18,
      .min_out = 1, .max_out = 2, .expand = expand, .param = QUANTIZED },
    { 0 },
};
