/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Channels last: convolutions, and what lies between them, work on (n, spatial..., channels). Every vector then holds
 * channels of one point, so that 1x1 convolutions are plain matrix products and depthwise ones need no shuffles.
 *
 * Each convolution becomes mbr.Conv between two transpositions. In one walk down the graph, every node that reads a
 * transposed value and does not care about the order of axes moves above the transposition, with its axes, constants
 * and attributes renumbered, until transpositions meet and cancel. Those that remain stand at the region's borders.
 */
#include "engine/infer.h"
#include "engine/ops/op.h"
#include "engine/passes/pass.h"

#include <string.h>

/* --- permutations: out axis i is in axis perm[i] --- */

static void to_last(int rank, int64_t *perm)
{
    perm[0] = 0;
    for (int i = 1; i < rank - 1; i++)
        perm[i] = i + 1;
    if (rank > 1)
        perm[rank - 1] = 1;
}

static void to_first(int rank, int64_t *perm)
{
    perm[0] = 0;
    if (rank > 1)
        perm[1] = rank - 1;
    for (int i = 2; i < rank; i++)
        perm[i] = i - 1;
}

/* True if v comes from a Transpose with exactly this permutation. */
static bool transposed_by(const mbr_ir_value *v, const int64_t *perm, int rank)
{
    size_t n;
    if (!v || !mbr_node_is(v->producer, "", "Transpose"))
        return false;
    const int64_t *have = mbr_attr_ints(v->producer, "perm", &n);
    return have && n == (size_t)rank && memcmp(have, perm, n * sizeof *perm) == 0;
}

/* A channels-first view of channels-last data of this rank: the source behind its Transpose, else NULL. */
static mbr_ir_value *source_of(const mbr_ir_value *v)
{
    int64_t perm[MBR_MAX_RANK];
    if (!v || v->type.kind != MBR_KIND_TENSOR || v->type.rank < 3 || (v->producer && v->producer->mark))
        return NULL;
    to_first(v->type.rank, perm);
    return transposed_by(v, perm, v->type.rank) ? v->producer->inputs[0] : NULL;
}

static mbr_status transpose(mbr_ir_node *before, mbr_ir_value *v, const int64_t *perm, int rank, mbr_ir_value **out,
                            mbr_error *err)
{
    mbr_ir_node *t;
    MBR_TRY(mbr_ir_node_new(before->graph, before, "", "Transpose", 13, NULL, &v, 1, NULL, 1, &t, err));
    MBR_TRY(mbr_ir_attr_ints(t, "perm", perm, (size_t)rank, err));
    t->origin = before->origin;
    *out = t->outputs[0];
    return mbr_infer_node(t, err);
}

/* A constant of lower or equal rank, seen as one of `rank` axes with channels last. */
static mbr_status constant_last(mbr_ir_graph *g, const mbr_value *v, int rank, mbr_ir_value **out, mbr_error *err)
{
    int64_t dims[MBR_MAX_RANK], moved[MBR_MAX_RANK], perm[MBR_MAX_RANK], at[MBR_MAX_RANK] = { 0 };
    mbr_value *to;
    for (int d = 0; d < rank; d++)
        dims[d] = d < rank - v->rank ? 1 : v->dims[d - (rank - v->rank)];
    to_last(rank, perm);
    for (int d = 0; d < rank; d++)
        moved[d] = dims[perm[d]];
    MBR_TRY(mbr_value_create_tensor(g->module->memory, v->dtype, rank, moved, &to, err));
    size_t size = mbr_dtype_size(v->dtype), n = mbr_value_count(v);
    for (size_t i = 0; i < n; i++) { /* `at` counts in the new order */
        size_t from = 0;
        int64_t place[MBR_MAX_RANK];
        for (int d = 0; d < rank; d++)
            place[perm[d]] = at[d];
        for (int d = 0; d < rank; d++)
            from = from * (size_t)dims[d] + (size_t)place[d];
        memcpy((char *)to->data + i * size, (const char *)v->data + from * size, size);
        for (int d = rank - 1; d >= 0 && ++at[d] == moved[d]; d--)
            at[d] = 0;
    }
    return mbr_ir_constant(g, to, out, err);
}

/* The value with channels last: the source of a view, a rearranged constant, or a new Transpose. */
static mbr_status channels_last(mbr_ir_node *before, mbr_ir_value *v, int rank, mbr_ir_value **out, mbr_error *err)
{
    int64_t perm[MBR_MAX_RANK];
    *out = v;
    if (!v)
        return MBR_OK;
    mbr_ir_value *source = v->type.rank == rank ? source_of(v) : NULL;
    if (source) {
        *out = source;
        return MBR_OK;
    }
    if (v->constant && !v->has_default) {
        if (mbr_value_count(v->constant) == 1 && v->constant->rank <= 1)
            return MBR_OK;
        return constant_last(before->graph, v->constant, rank, out, err);
    }
    if (v->type.rank == 0)
        return MBR_OK;
    to_last(rank, perm);
    return transpose(before, v, perm, rank, out, err);
}

/* Puts `made` (channels last) behind a Transpose in the place of n's output, and removes n. */
static mbr_status replace(mbr_ir_node *n, mbr_ir_node *made, mbr_error *err)
{
    int64_t perm[MBR_MAX_RANK];
    made->origin = n->origin;
    made->name = n->name;
    MBR_TRY(mbr_infer_node(made, err));
    for (uint32_t i = 0; i < n->n_outputs; i++) {
        mbr_ir_value *first;
        if (!n->outputs[i] || !n->outputs[i]->uses)
            continue;
        int rank = made->outputs[i]->type.rank;
        to_first(rank, perm);
        MBR_TRY(transpose(n, made->outputs[i], perm, rank, &first, err));
        mbr_ir_replace_uses(n->outputs[i], first);
    }
    mbr_ir_hand_over(n, made); /* not the Transpose behind it */
    mbr_ir_node_remove(n);
    return MBR_OK;
}

/* --- convolutions and pools: they become channels last wherever they stand --- */

static bool lowers_conv(const mbr_ir_node *n)
{
    const mbr_ir_value *x = n->n_inputs ? n->inputs[0] : NULL;
    return (mbr_node_is(n, "", "Conv") || mbr_node_is(n, "", "ConvTranspose")) && x->type.dtype == MBR_DTYPE_F32 &&
           x->type.rank >= 3 && x->type.rank <= 5 && n->inputs[1]->constant && !n->inputs[1]->has_default;
}

static const char *const pools[] = { "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool" };

static bool lowers_pool(const mbr_ir_node *n)
{
    if (!n->n_inputs || !n->inputs[0] || n->inputs[0]->type.dtype != MBR_DTYPE_F32 || !source_of(n->inputs[0]) ||
        (n->n_outputs > 1 && n->outputs[1] && n->outputs[1]->uses))
        return false;
    for (size_t i = 0; i < MBR_COUNT_OF(pools); i++)
        if (mbr_node_is(n, "", pools[i]))
            return true;
    return false;
}

static bool lowers_resize(const mbr_ir_node *n)
{
    return mbr_node_is(n, "", "Resize") && n->op->since >= 11 && n->inputs[0]->type.dtype == MBR_DTYPE_F32 &&
           source_of(n->inputs[0]);
}

/* A first layer reads the image as it comes: few channels make poor vectors and a costly transposition. */
static bool reads_image(const mbr_ir_node *n)
{
    const mbr_ir_value *x = n->inputs[0];
    return mbr_node_is(n, "", "Conv") && !source_of(x) && mbr_dim_is_const(x->type.dims[1]) && x->type.dims[1] <= 4 &&
           mbr_attr_int(n, "group", 1) == 1;
}

static mbr_status lower(mbr_ir_node *n, mbr_error *err)
{
    mbr_ir_value *inputs[8];
    mbr_ir_node *made;
    bool image = lowers_conv(n) && reads_image(n);
    size_t count = n->n_formal < MBR_COUNT_OF(inputs) ? n->n_formal : MBR_COUNT_OF(inputs);
    memcpy(inputs, n->inputs, count * sizeof *inputs);
    if (!image)
        MBR_TRY(channels_last(n, n->inputs[0], n->inputs[0]->type.rank, &inputs[0], err));
    MBR_TRY(mbr_ir_node_new(n->graph, n, "mbr", n->op->name, 1, n->name, inputs, count, NULL, 1, &made, err));
    MBR_TRY(mbr_ir_attrs_copy(made, n, err));
    if (image)
        MBR_TRY(mbr_ir_attr_int(made, "input_nchw", 1, err));
    return replace(n, made, err);
}

/* --- nodes that move above a transposition --- */

static int64_t axis_last(int64_t axis, int rank) /* where axis `axis` of the channels-first view lies */
{
    if (axis < 0)
        axis += rank;
    return axis == 0 ? 0 : axis == 1 ? rank - 1 : axis - 1;
}

static bool any_source(const mbr_ir_node *n)
{
    for (uint32_t i = 0; i < n->n_formal; i++)
        if (source_of(n->inputs[i]))
            return true;
    return false;
}

/* Elementwise nodes: all inputs must broadcast to the output's rank, and moving must not cost more than it saves. */
static bool moves_elementwise(const mbr_ir_node *n)
{
    if (!(n->op->flags & MBR_OP_CHAIN) || !n->outputs[0] || n->n_outputs != 1 || mbr_attr(n, "broadcast") ||
        !any_source(n))
        return false;
    int rank = n->outputs[0]->type.rank, sources = 0, others = 0;
    for (uint32_t i = 0; i < n->n_formal; i++) {
        const mbr_ir_value *v = n->inputs[i];
        if (!v)
            continue;
        if (v->type.kind != MBR_KIND_TENSOR || v->type.rank < 0)
            return false;
        if (source_of(v) && v->type.rank == rank)
            sources++;
        else if (v->constant && !v->has_default)
            continue;
        else if (v->type.rank == rank)
            others++;
        else if (v->type.rank != 0)
            return false;
    }
    return sources > 0 && sources >= others;
}

static mbr_status move_elementwise(mbr_ir_node *n, mbr_error *err)
{
    mbr_ir_value *inputs[16];
    mbr_ir_node *made;
    int rank = n->outputs[0]->type.rank;
    if (n->n_formal > MBR_COUNT_OF(inputs))
        return MBR_OK;
    for (uint32_t i = 0; i < n->n_formal; i++)
        MBR_TRY(channels_last(n, n->inputs[i], rank, &inputs[i], err));
    MBR_TRY(mbr_ir_node_new(n->graph, n, n->op->domain, n->op->name, n->opset, n->name, inputs, n->n_formal, NULL, 1,
                            &made, err));
    MBR_TRY(mbr_ir_attrs_copy(made, n, err));
    return replace(n, made, err);
}

/* Operators with one `axis` attribute, on one or several tensors of the same rank. */
static bool moves_axis(const mbr_ir_node *n)
{
    bool concat = mbr_node_is(n, "", "Concat");
    bool one = mbr_node_is(n, "", "Split") ||
               ((mbr_node_is(n, "", "Softmax") || mbr_node_is(n, "", "LogSoftmax")) && n->op->since >= 13);
    if (!(concat || one) || !any_source(n) || !mbr_attr(n, "axis"))
        return false;
    if (one)
        return source_of(n->inputs[0]) != NULL;
    int sources = 0, others = 0;
    for (uint32_t i = 0; i < n->n_formal; i++) {
        if (!n->inputs[i] || n->inputs[i]->type.rank != n->inputs[0]->type.rank)
            return false;
        source_of(n->inputs[i]) ? sources++ : others++;
    }
    return sources >= others;
}

static mbr_status move_axis(mbr_ir_node *n, mbr_error *err)
{
    mbr_memory *memory = n->graph->module->memory;
    int rank = n->inputs[0]->type.rank;
    bool concat = mbr_node_is(n, "", "Concat");
    mbr_ir_value **inputs = mbr_calloc(memory, n->n_formal, sizeof *inputs);
    mbr_ir_node *made = NULL;
    mbr_status st = inputs ? MBR_OK : mbr_no_memory(err, n->n_formal * sizeof *inputs);
    for (uint32_t i = 0; i < n->n_formal && st == MBR_OK; i++) {
        inputs[i] = n->inputs[i];
        if (i == 0 || concat)
            st = n->inputs[i]->constant ? constant_last(n->graph, n->inputs[i]->constant, rank, &inputs[i], err)
                                        : channels_last(n, n->inputs[i], rank, &inputs[i], err);
    }
    if (st == MBR_OK)
        st = mbr_ir_node_new(n->graph, n, "", n->op->name, n->opset, n->name, inputs, n->n_formal, NULL, n->n_outputs,
                             &made, err);
    mbr_free(memory, inputs);
    MBR_TRY(st);
    MBR_TRY(mbr_ir_attrs_copy(made, n, err));
    MBR_TRY(mbr_ir_attr_int(made, "axis", axis_last(mbr_attr_int(n, "axis", 0), rank), err));
    return replace(n, made, err);
}

/* Means and the like over axes that are kept, given as an attribute or as constant numbers. */
static const int64_t *reduced_axes(const mbr_ir_node *n, size_t *count)
{
    if (n->n_formal > 1 && n->inputs[1]) {
        const mbr_value *v = n->inputs[1]->constant;
        *count = v && v->dtype == MBR_DTYPE_I64 ? mbr_value_count(v) : 0;
        return *count ? v->data : NULL;
    }
    return mbr_attr_ints(n, "axes", count);
}

static bool moves_reduce(const mbr_ir_node *n)
{
    size_t count;
    if (strncmp(n->op->name, "Reduce", 6) != 0 || *n->op->domain || !source_of(n->inputs[0]) ||
        !reduced_axes(n, &count) || count > MBR_MAX_RANK)
        return false;
    if (mbr_attr_int(n, "keepdims", 1))
        return true;
    const int64_t *axes = reduced_axes(n, &count); /* else what is left must be in order: all spatial axes go */
    int rank = n->inputs[0]->type.rank;
    unsigned gone = 0;
    for (size_t i = 0; i < count; i++)
        gone |= 1u << (axes[i] < 0 ? axes[i] + rank : axes[i]);
    return gone == ((1u << rank) - 1 - 3u);
}

static mbr_status move_reduce(mbr_ir_node *n, mbr_error *err)
{
    int64_t moved[MBR_MAX_RANK];
    size_t count;
    const int64_t *axes = reduced_axes(n, &count);
    int rank = n->inputs[0]->type.rank;
    mbr_ir_value *inputs[2] = { source_of(n->inputs[0]), NULL };
    mbr_ir_node *made;
    for (size_t i = 0; i < count; i++)
        moved[i] = axis_last(axes[i], rank);
    if (n->n_formal > 1)
        MBR_TRY(mbr_ir_constant_ints(n->graph, moved, count, &inputs[1], err));
    MBR_TRY(mbr_ir_node_new(n->graph, n, "", n->op->name, n->opset, n->name, inputs, n->n_formal > 1 ? 2 : 1, NULL, 1,
                            &made, err));
    MBR_TRY(mbr_ir_attrs_copy(made, n, err));
    if (n->n_formal == 1)
        MBR_TRY(mbr_ir_attr_ints(made, "axes", moved, count, err));
    if (mbr_attr_int(n, "keepdims", 1))
        return replace(n, made, err);
    made->origin = n->origin;
    MBR_TRY(mbr_infer_node(made, err));
    mbr_ir_replace_uses(n->outputs[0], made->outputs[0]);
    mbr_ir_node_remove(n);
    return MBR_OK;
}

/* Pad with constant amounts for all axes. */
static bool moves_pad(const mbr_ir_node *n)
{
    return mbr_node_is(n, "", "Pad") && n->op->since >= 11 && source_of(n->inputs[0]) && n->inputs[1]->constant &&
           n->inputs[1]->constant->dtype == MBR_DTYPE_I64 && (n->n_formal < 4 || !n->inputs[3]) &&
           mbr_value_count(n->inputs[1]->constant) == 2 * (size_t)n->inputs[0]->type.rank;
}

static mbr_status move_pad(mbr_ir_node *n, mbr_error *err)
{
    int rank = n->inputs[0]->type.rank;
    const int64_t *pads = n->inputs[1]->constant->data;
    int64_t perm[MBR_MAX_RANK], moved[2 * MBR_MAX_RANK];
    mbr_ir_value *inputs[3] = { source_of(n->inputs[0]), NULL, n->n_formal > 2 ? n->inputs[2] : NULL };
    mbr_ir_node *made;
    to_last(rank, perm);
    for (int d = 0; d < rank; d++) {
        moved[d] = pads[perm[d]];
        moved[d + rank] = pads[perm[d] + rank];
    }
    MBR_TRY(mbr_ir_constant_ints(n->graph, moved, 2 * (size_t)rank, &inputs[1], err));
    MBR_TRY(mbr_ir_node_new(n->graph, n, "", "Pad", n->opset, n->name, inputs, n->n_formal > 2 ? 3 : 2, NULL, 1, &made,
                            err));
    MBR_TRY(mbr_ir_attrs_copy(made, n, err));
    return replace(n, made, err);
}

/* Slice with constant axes. */
static bool moves_slice(const mbr_ir_node *n)
{
    return mbr_node_is(n, "", "Slice") && n->op->since >= 10 && n->n_formal >= 4 && source_of(n->inputs[0]) &&
           n->inputs[3] && n->inputs[3]->constant && n->inputs[3]->constant->dtype == MBR_DTYPE_I64 &&
           mbr_value_count(n->inputs[3]->constant) <= MBR_MAX_RANK;
}

static mbr_status move_slice(mbr_ir_node *n, mbr_error *err)
{
    int64_t moved[MBR_MAX_RANK];
    mbr_ir_value *inputs[5];
    mbr_ir_node *made;
    const mbr_value *axes = n->inputs[3]->constant;
    size_t count = mbr_value_count(axes);
    for (size_t i = 0; i < count; i++)
        moved[i] = axis_last(((const int64_t *)axes->data)[i], n->inputs[0]->type.rank);
    memcpy(inputs, n->inputs, n->n_formal * sizeof *inputs);
    inputs[0] = source_of(n->inputs[0]);
    MBR_TRY(mbr_ir_constant_ints(n->graph, moved, count, &inputs[3], err));
    MBR_TRY(mbr_ir_node_new(n->graph, n, "", "Slice", n->opset, n->name, inputs, n->n_formal, NULL, 1, &made, err));
    return replace(n, made, err);
}

/* A Transpose of a transposed value: one that does both, or none. */
static mbr_status merge_transpose(mbr_ir_node *n, bool *merged, mbr_error *err)
{
    size_t n1, n2;
    int64_t both[MBR_MAX_RANK];
    *merged = false;
    if (!mbr_node_is(n, "", "Transpose") || !mbr_node_is(n->inputs[0]->producer, "", "Transpose"))
        return MBR_OK;
    mbr_ir_node *inner = n->inputs[0]->producer;
    const int64_t *p1 = mbr_attr_ints(inner, "perm", &n1), *p2 = mbr_attr_ints(n, "perm", &n2);
    if (!p1 || !p2 || n1 != n2)
        return MBR_OK;
    bool none = true;
    for (size_t i = 0; i < n1; i++) {
        both[i] = p1[p2[i]];
        none &= both[i] == (int64_t)i;
    }
    mbr_ir_value *source = inner->inputs[0], *with = source;
    if (none && n->outputs[0]->is_output && (!source->producer || source->is_output))
        return MBR_OK;
    if (!none)
        MBR_TRY(transpose(n, source, both, (int)n1, &with, err));
    mbr_ir_replace_uses(n->outputs[0], with);
    mbr_ir_node_remove(n);
    *merged = true;
    return MBR_OK;
}

/* --- operators on bytes: the attribute channels_last, or elementwise with scales of the whole tensor --- */

static bool lowers_bytes(const mbr_ir_node *n)
{
    const mbr_ir_value *x = n->n_formal ? n->inputs[0] : NULL;
    if (!x || x->type.kind != MBR_KIND_TENSOR || x->type.rank < 3 || x->type.rank > 5 || mbr_attr(n, "channels_last"))
        return false;
    if (mbr_node_is(n, "com.microsoft", "QLinearConv") || mbr_node_is(n, "", "QLinearConv"))
        return n->inputs[3]->constant && !n->inputs[3]->has_default;
    return source_of(x) && mbr_node_is(n, "com.microsoft", "QLinearGlobalAveragePool");
}

static mbr_status lower_bytes(mbr_ir_node *n, mbr_error *err)
{
    mbr_ir_value *inputs[9];
    mbr_ir_node *made;
    size_t count = n->n_formal < MBR_COUNT_OF(inputs) ? n->n_formal : MBR_COUNT_OF(inputs);
    memcpy(inputs, n->inputs, count * sizeof *inputs);
    MBR_TRY(channels_last(n, n->inputs[0], n->inputs[0]->type.rank, &inputs[0], err));
    MBR_TRY(mbr_ir_node_new(n->graph, n, "com.microsoft", n->op->name, 1, n->name, inputs, count, NULL, 1, &made, err));
    MBR_TRY(mbr_ir_attrs_copy(made, n, err));
    MBR_TRY(mbr_ir_attr_int(made, "channels_last", 1, err));
    return replace(n, made, err);
}

/* The input after the first that is a tensor of its own, if any; the others are numbers. 0: none; -1: does not move. */
static int moves_bytes(const mbr_ir_node *n)
{
    bool two = mbr_node_is(n, "com.microsoft", "QLinearAdd") || mbr_node_is(n, "com.microsoft", "QLinearMul");
    bool one = mbr_node_is(n, "com.microsoft", "QLinearSigmoid") || mbr_node_is(n, "com.microsoft", "QLinearLeakyRelu");
    bool border = mbr_node_is(n, "", "QuantizeLinear") || mbr_node_is(n, "", "DequantizeLinear");
    if (n->n_formal < 2 || !source_of(n->inputs[0]) || !n->outputs[0])
        return -1;
    if (border)
        return n->inputs[1]->type.rank == 0 && !mbr_attr_int(n, "block_size", 0) ? 0 : -1;
    if (one)
        return 0;
    return two && n->inputs[3]->type.rank == n->inputs[0]->type.rank && source_of(n->inputs[3]) ? 3 : -1;
}

static mbr_status move_bytes(mbr_ir_node *n, int second, mbr_error *err)
{
    mbr_ir_value *inputs[8];
    mbr_ir_node *made;
    size_t count = n->n_formal < MBR_COUNT_OF(inputs) ? n->n_formal : MBR_COUNT_OF(inputs);
    memcpy(inputs, n->inputs, count * sizeof *inputs);
    inputs[0] = source_of(n->inputs[0]);
    if (second)
        inputs[second] = source_of(n->inputs[second]);
    MBR_TRY(mbr_ir_node_new(n->graph, n, n->op->domain, n->op->name, n->opset, n->name, inputs, count, NULL, 1, &made,
                            err));
    MBR_TRY(mbr_ir_attrs_copy(made, n, err));
    return replace(n, made, err);
}

static mbr_status rewrite(mbr_ir_node *n, bool *changed, mbr_error *err)
{
    bool merged;
    *changed = true;
    if (lowers_conv(n) || lowers_pool(n) || lowers_resize(n))
        return lower(n, err);
    if (lowers_bytes(n))
        return lower_bytes(n, err);
    int second = moves_bytes(n);
    if (second >= 0)
        return move_bytes(n, second, err);
    if (moves_elementwise(n))
        return move_elementwise(n, err);
    if (moves_axis(n))
        return move_axis(n, err);
    if (n->n_inputs && n->inputs[0] && moves_reduce(n))
        return move_reduce(n, err);
    if (moves_pad(n))
        return move_pad(n, err);
    if (moves_slice(n))
        return move_slice(n, err);
    MBR_TRY(merge_transpose(n, &merged, err));
    *changed = merged;
    return MBR_OK;
}

mbr_status mbr_pass_layout(mbr_ir_graph *g, bool *changed, mbr_error *err)
{
    uint32_t ranks = 0; /* of images */
    for (mbr_ir_node *n = g->first; n; n = n->next) {
        n->mark = 0;
        if (lowers_conv(n) || lowers_bytes(n))
            ranks |= 1u << (n->inputs[0]->type.rank & 31);
    }
    if (!ranks)
        return MBR_OK;
    for (mbr_ir_node *n = g->first; n; n = n->next) /* the model's own, of what is no image: they stay as they are */
        n->mark = mbr_node_is(n, "", "Transpose") && !(ranks >> (n->outputs[0]->type.rank & 31) & 1);
    for (mbr_ir_node *n = g->first, *next; n; n = next) {
        bool one;
        next = n->next;
        if (n->n_inputs == 0 || !n->inputs[0])
            continue;
        MBR_TRY(rewrite(n, &one, err));
        *changed |= one;
    }
    for (mbr_ir_node *n = g->last, *prev; n; n = prev) { /* transpositions that nobody reads */
        prev = n->prev;
        if (mbr_node_is(n, "", "Transpose") && !n->outputs[0]->uses)
            mbr_ir_node_remove(n);
    }
    return MBR_OK;
}
