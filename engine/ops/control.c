/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/ops/control.h"

#include <string.h>

/* Rounds of inference before sizes that still move are given up. */
#define MOST_ROUNDS 6

mbr_status mbr_control_graph(mbr_infer *c, const char *attr, mbr_ir_graph **g)
{
    *g = mbr_attr_graph(c->node, attr);
    if (!*g)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "the graph attribute '%s' is missing", attr);
    return MBR_OK;
}

void mbr_control_result(const mbr_infer *c, const mbr_ir_graph *g, size_t i, mbr_arg *a)
{
    bool present = a->present;
    mbr_infer_result(c, g, i, a);
    a->present = present;
    a->data = NULL;
}

/* A type of items that covers both. */
static const mbr_ir_type *join_items(mbr_infer *c, const mbr_ir_type *a, const mbr_ir_type *b)
{
    if (!a || !b)
        return a ? a : b;
    if (a->kind != b->kind || a->kind != MBR_KIND_TENSOR)
        return a;
    bool same = a->rank == b->rank;
    for (int d = 0; same && d < a->rank; d++)
        same = a->dims[d] == b->dims[d];
    if (same || a->rank < 0 || !c->arena)
        return a;
    mbr_ir_type *t = mbr_arena_copy(c->arena, a, sizeof *a);
    if (t) {
        t->rank = -1;
        t->dims = NULL;
    }
    return t ? t : a;
}

mbr_status mbr_control_join(mbr_infer *c, mbr_arg *into, const mbr_arg *other, const char *what, bool *changed)
{
    if (into->kind != other->kind) {
        if (into->kind == MBR_KIND_OPTIONAL || other->kind != MBR_KIND_OPTIONAL)
            return into->kind == MBR_KIND_OPTIONAL
                       ? MBR_OK
                       : mbr_infer_fail(c, MBR_ERR_MODEL, "%s is of two kinds (tensor, sequence ...)", what);
        bool present = into->present;
        *into = *other;
        into->present = present;
        *changed = true;
        return MBR_OK;
    }
    if (into->dtype == MBR_DTYPE_UNDEFINED)
        into->dtype = other->dtype;
    else if (other->dtype != MBR_DTYPE_UNDEFINED && into->dtype != other->dtype)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "%s is %s at one place and %s at another", what,
                              mbr_dtype_name(into->dtype), mbr_dtype_name(other->dtype));
    if (into->kind != MBR_KIND_TENSOR) {
        const mbr_ir_type *item = join_items(c, into->item, other->item);
        *changed |= item != into->item;
        into->item = item;
        return MBR_OK;
    }
    if (into->rank < 0)
        return MBR_OK;
    if (into->rank != other->rank) {
        into->rank = -1;
        *changed = true;
        return MBR_OK;
    }
    for (int d = 0; d < into->rank; d++)
        if (into->dims[d] != other->dims[d] && into->dims[d] != MBR_DIM_UNKNOWN) {
            into->dims[d] = MBR_DIM_UNKNOWN;
            *changed = true;
        }
    return MBR_OK;
}

mbr_status mbr_control_fixpoint(mbr_infer *c, mbr_ir_graph *g, mbr_arg *state, size_t n, size_t first_in,
                                size_t first_out)
{
    for (int round = 0;; round++) {
        bool changed = false;
        for (size_t i = 0; i < n; i++)
            MBR_TRY(mbr_infer_feed(c, g, first_in + i, &state[i]));
        MBR_TRY(mbr_infer_subgraph(c, g));
        for (size_t i = 0; i < n; i++) {
            mbr_arg made = { 0 };
            mbr_control_result(c, g, first_out + i, &made);
            MBR_TRY(mbr_control_join(c, &state[i], &made, g->inputs[first_in + i]->name, &changed));
        }
        if (!changed)
            return MBR_OK;
        if (round == MOST_ROUNDS)
            for (size_t i = 0; i < n; i++)
                state[i].rank = -1;
        if (round > MOST_ROUNDS + 1)
            return mbr_infer_fail(c, MBR_ERR_MODEL, "the types of the loop's state never settle");
    }
}

mbr_status mbr_control_copy(mbr_step *s, mbr_dtype dtype, void *to, const void *from, size_t n, mbr_error *err)
{
    if (n == 0)
        return MBR_OK;
    memcpy(to, from, n * mbr_dtype_size(dtype));
    if (dtype != MBR_DTYPE_STRING)
        return MBR_OK;
    mbr_string *text = to;
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += text[i].size;
    char *room = mbr_step_alloc(s, bytes ? bytes : 1);
    if (!room)
        return mbr_no_memory(err, bytes);
    for (size_t i = 0; i < n; i++) {
        if (text[i].size)
            memcpy(room, text[i].data, text[i].size);
        text[i].data = room;
        room += text[i].size;
    }
    return MBR_OK;
}

/* Shares the items of a container. */
static mbr_status share(mbr_value *to, const mbr_value *from, mbr_error *err)
{
    to->kind = from->kind;
    to->dtype = from->dtype;
    to->key = from->key;
    to->rank = 0;
    for (size_t i = 0; i < from->n_items; i++)
        MBR_TRY(mbr_value_push(to, from->items[i], err));
    return MBR_OK;
}

mbr_status mbr_control_carry(mbr_value *to, const mbr_value *from, mbr_kind kind, mbr_error *err)
{
    if (from->kind == MBR_KIND_TENSOR && kind != MBR_KIND_OPTIONAL)
        return mbr_value_assign(to, from, err);
    mbr_value_empty(to);
    if (kind != MBR_KIND_OPTIONAL || from->kind == MBR_KIND_OPTIONAL)
        return share(to, from, err);
    mbr_value *item;
    MBR_TRY(mbr_value_create(to->memory, from->kind, from->dtype, &item, err));
    mbr_status st = mbr_control_carry(item, from, from->kind, err);
    to->kind = MBR_KIND_OPTIONAL;
    to->dtype = from->dtype;
    to->rank = 0;
    if (st == MBR_OK)
        st = mbr_value_push(to, item, err);
    mbr_value_drop(item);
    return st;
}

mbr_status mbr_control_deliver(mbr_step *s, uint32_t i, const mbr_value *from, mbr_error *err)
{
    if (!mbr_step_wants(s, i))
        return MBR_OK;
    mbr_value *to = s->out[i];
    if (from->kind == MBR_KIND_OPTIONAL && to->kind != MBR_KIND_OPTIONAL) {
        if (from->n_items == 0)
            return mbr_step_fail(s, err, MBR_ERR_INPUT, "output %u is an empty optional where a value is needed", i);
        from = from->items[0];
    }
    if (from->kind != MBR_KIND_TENSOR || to->kind == MBR_KIND_OPTIONAL)
        return mbr_control_carry(to, from, to->kind, err);
    if (from->dtype != to->dtype)
        return mbr_step_fail(s, err, MBR_ERR_MODEL, "output %u is %s; it was to be %s", i, mbr_dtype_name(from->dtype),
                             mbr_dtype_name(to->dtype));
    MBR_TRY(mbr_step_resize(s, i, from->rank, from->dims, err));
    return mbr_control_copy(s, from->dtype, s->out[i]->data, from->data, mbr_value_count(from), err);
}

mbr_status mbr_control_deliver_output(mbr_step *s, uint32_t i, struct mbr_frame *f, size_t output, mbr_error *err)
{
    const mbr_value *from = mbr_frame_output(f, output);
    if (!mbr_step_wants(s, i))
        return MBR_OK;
    if (from->kind == MBR_KIND_TENSOR && s->out[i]->kind == MBR_KIND_TENSOR && from->dtype == s->out[i]->dtype)
        return mbr_frame_swap_output(f, output, s->out[i], err);
    return mbr_control_deliver(s, i, from, err);
}

mbr_status mbr_control_carry_output(mbr_value *to, struct mbr_frame *f, size_t output, mbr_kind kind, mbr_error *err)
{
    const mbr_value *from = mbr_frame_output(f, output);
    if (from->kind == MBR_KIND_TENSOR && kind != MBR_KIND_OPTIONAL)
        return mbr_frame_swap_output(f, output, to, err);
    return mbr_control_carry(to, from, kind, err);
}

mbr_status mbr_control_rounds(const mbr_value *from, mbr_value *to, size_t n, struct mbr_frame *f, size_t first_in,
                              bool *settled, mbr_error *err)
{
    MBR_TRY(mbr_frame_settle(f, settled, err));
    for (size_t i = 0; i < n && *settled; i++)
        *settled = mbr_frame_fits(f, first_in + i, &from[i]);
    for (size_t i = 0; i < n && *settled; i++)
        MBR_TRY(mbr_value_resize(&to[i], from[i].dtype, from[i].rank, from[i].dims, err));
    return MBR_OK;
}

mbr_status mbr_control_round(const mbr_value *from, const mbr_value *to, size_t n, struct mbr_frame *f, size_t first_in,
                             size_t first_out, mbr_error *err)
{
    uint64_t copied = 0; /* bit i: made elsewhere; the last bit stands for all from 63 on */
    for (size_t i = 0; i < n; i++) {
        mbr_frame_point_input(f, first_in + i, from[i].data);
        if (!mbr_frame_point_output(f, first_out + i, to[i].data))
            copied |= 1ull << (i < 63 ? i : 63);
    }
    MBR_TRY(mbr_frame_round(f, err));
    for (size_t i = 0; copied && i < n; i++) {
        const mbr_value *made = mbr_frame_made(f, first_out + i);
        if ((copied >> (i < 63 ? i : 63) & 1) && made->data != to[i].data && mbr_value_bytes(&to[i]))
            memcpy(to[i].data, made->data, mbr_value_bytes(&to[i]));
    }
    return MBR_OK;
}

mbr_status mbr_control_condition(const mbr_step *s, const mbr_value *v, bool *holds, mbr_error *err)
{
    if (v->kind != MBR_KIND_TENSOR || v->dtype != MBR_DTYPE_BOOL || mbr_value_count(v) != 1)
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "the condition must be one bool");
    *holds = *(const uint8_t *)v->data != 0;
    return MBR_OK;
}
