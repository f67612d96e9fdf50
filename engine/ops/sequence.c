/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sequences of tensors. A sequence shares its items: what is inserted is copied once, what stays is not.
 */
#include "engine/ops/control.h"
#include "engine/ops/op_util.h"

#include "base/checked.h"

#include <string.h>

/* --- inference --- */

/* The type of an argument, for as long as the module lives; NULL at run time. */
static const mbr_ir_type *type_of(mbr_infer *c, const mbr_arg *a)
{
    if (!c->arena)
        return NULL;
    mbr_ir_type *t = mbr_arena_calloc(c->arena, 1, sizeof *t);
    if (!t)
        return NULL;
    *t = (mbr_ir_type){ .kind = a->kind, .dtype = a->dtype, .key = a->key, .item = a->item, .rank = -1 };
    if (a->kind == MBR_KIND_TENSOR && a->rank >= 0) {
        t->dims = mbr_arena_copy(c->arena, a->dims, sizeof(mbr_dim) * (size_t)(a->rank ? a->rank : 1));
        t->rank = t->dims ? a->rank : -1;
    }
    return t;
}

static void out_sequence(mbr_infer *c, mbr_dtype dtype, const mbr_ir_type *item)
{
    c->out[0].kind = MBR_KIND_SEQUENCE;
    c->out[0].dtype = dtype;
    c->out[0].item = item;
    c->out[0].rank = -1;
}

/* Tensors of one type, of a shape that nothing is known of. */
static const mbr_ir_type *any_tensor(mbr_infer *c, mbr_dtype dtype)
{
    mbr_arg a = { .kind = MBR_KIND_TENSOR, .dtype = dtype, .rank = -1 };
    return type_of(c, &a);
}

static mbr_status check_sequence(mbr_infer *c, uint32_t i)
{
    if (c->in[i].kind != MBR_KIND_SEQUENCE)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "input %u must be a sequence", (unsigned)i);
    return MBR_OK;
}

static mbr_status infer_construct(mbr_infer *c)
{
    for (uint32_t i = 0; i < c->n_in; i++)
        MBR_TRY(mbr_op_check_same(c, 0, i));
    out_sequence(c, c->in[0].dtype, c->n_in == 1 ? type_of(c, &c->in[0]) : any_tensor(c, c->in[0].dtype));
    return MBR_OK;
}

static mbr_status infer_empty(mbr_infer *c)
{
    int64_t dtype = mbr_attr_int(c->node, "dtype", MBR_DTYPE_F32);
    if (dtype <= 0 || dtype >= MBR_DTYPE_COUNT)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "no type has the number %lld", (long long)dtype);
    out_sequence(c, (mbr_dtype)dtype, any_tensor(c, (mbr_dtype)dtype));
    return MBR_OK;
}

static mbr_status infer_at(mbr_infer *c)
{
    const mbr_ir_type *item = c->in[0].item;
    MBR_TRY(check_sequence(c, 0));
    MBR_TRY(mbr_op_check_type(c, 1, MBR_TYPES_INDEX));
    mbr_infer_out(c, 0, c->in[0].dtype, item && item->kind == MBR_KIND_TENSOR ? item->rank : -1,
                  item ? item->dims : NULL);
    return MBR_OK;
}

static mbr_status infer_change(mbr_infer *c)
{
    bool insert = c->node->op->min_in == 2;
    MBR_TRY(check_sequence(c, 0));
    if (insert)
        MBR_TRY(mbr_op_check_tensor(c, 1));
    MBR_TRY(mbr_op_check_type(c, insert ? 2 : 1, MBR_TYPES_INDEX));
    if (insert && c->in[0].dtype && c->in[1].dtype && c->in[0].dtype != c->in[1].dtype)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "a tensor of %s among tensors of %s", mbr_dtype_name(c->in[1].dtype),
                              mbr_dtype_name(c->in[0].dtype));
    mbr_dtype dtype = c->in[0].dtype ? c->in[0].dtype : insert ? c->in[1].dtype : MBR_DTYPE_UNDEFINED;
    out_sequence(c, dtype, insert ? any_tensor(c, dtype) : c->in[0].item);
    return MBR_OK;
}

static mbr_status infer_length(mbr_infer *c)
{
    MBR_TRY(check_sequence(c, 0));
    mbr_infer_out(c, 0, MBR_DTYPE_I64, 0, NULL);
    return MBR_OK;
}

static mbr_status infer_split(mbr_infer *c)
{
    int axis;
    MBR_TRY(mbr_op_check_rank(c, 0, 1, MBR_MAX_RANK));
    MBR_TRY(mbr_op_check_type(c, 1, MBR_TYPES_INDEX));
    MBR_TRY(mbr_op_check_rank(c, 1, 0, 1));
    if (c->in[0].rank >= 0)
        MBR_TRY(mbr_infer_axis(c, mbr_attr_int(c->node, "axis", 0), c->in[0].rank, &axis));
    out_sequence(c, c->in[0].dtype, any_tensor(c, c->in[0].dtype));
    return MBR_OK;
}

static mbr_status infer_concat(mbr_infer *c)
{
    MBR_TRY(check_sequence(c, 0));
    if (!mbr_attr(c->node, "axis"))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "the attribute 'axis' is absent");
    mbr_infer_out(c, 0, c->in[0].dtype, -1, NULL);
    return MBR_OK;
}

/* --- runs --- */

/* Appends a copy of a tensor. */
static mbr_status push_copy(mbr_step *s, mbr_value *to, const mbr_value *from, mbr_error *err)
{
    mbr_value *item;
    MBR_TRY(mbr_value_create(mbr_step_memory(s), MBR_KIND_TENSOR, from->dtype, &item, err));
    mbr_status st = mbr_value_assign(item, from, err);
    if (st == MBR_OK)
        st = mbr_value_push(to, item, err);
    mbr_value_drop(item);
    return st;
}

static void begin(mbr_value *out, mbr_dtype dtype)
{
    mbr_value_empty(out);
    out->kind = MBR_KIND_SEQUENCE;
    out->dtype = dtype;
    out->rank = 0;
}

/* The position in input i, which counts from the end when negative; `absent` when there is none. */
static mbr_status position(const mbr_step *s, uint32_t i, size_t absent, size_t most, size_t *at, mbr_error *err)
{
    int64_t p, n = (int64_t)s->in[0]->n_items;
    *at = absent;
    if (!mbr_step_has(s, i))
        return absent <= most ? MBR_OK : mbr_step_fail(s, err, MBR_ERR_RUN, "the sequence is empty");
    MBR_TRY(mbr_op_step_int(s, i, 0, &p, err));
    if (p < -n || p > (int64_t)most || most > (size_t)n)
        return mbr_step_fail(s, err, MBR_ERR_RUN, "position %lld in a sequence of %lld", (long long)p, (long long)n);
    *at = (size_t)(p < 0 ? p + n : p);
    return MBR_OK;
}

static mbr_status run_construct(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)job;
    begin(s->out[0], s->in[0]->dtype);
    for (uint32_t i = 0; i < s->n_in; i++)
        MBR_TRY(push_copy(s, s->out[0], s->in[i], err));
    return MBR_OK;
}

static mbr_status run_empty(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)job;
    (void)err;
    begin(s->out[0], (mbr_dtype)mbr_attr_int(s->node, "dtype", MBR_DTYPE_F32));
    return MBR_OK;
}

static mbr_status run_at(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const mbr_value *in = s->in[0];
    size_t at;
    (void)job;
    MBR_TRY(position(s, 1, 0, in->n_items - 1, &at, err));
    s->out[0]->dtype = in->items[at]->dtype;
    return mbr_control_deliver(s, 0, in->items[at], err);
}

static mbr_status run_insert(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const mbr_value *in = s->in[0];
    mbr_value *out = s->out[0];
    size_t at;
    (void)job;
    MBR_TRY(position(s, 2, in->n_items, in->n_items, &at, err));
    if (in->n_items > 0 && in->items[0]->dtype != s->in[1]->dtype)
        return mbr_step_fail(s, err, MBR_ERR_RUN, "a tensor of %s among tensors of %s",
                             mbr_dtype_name(s->in[1]->dtype), mbr_dtype_name(in->items[0]->dtype));
    begin(out, s->in[1]->dtype);
    for (size_t i = 0; i <= in->n_items; i++) {
        if (i == at)
            MBR_TRY(push_copy(s, out, s->in[1], err));
        if (i < in->n_items)
            MBR_TRY(mbr_value_push(out, in->items[i], err));
    }
    return MBR_OK;
}

static mbr_status run_erase(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const mbr_value *in = s->in[0];
    size_t at;
    (void)job;
    MBR_TRY(position(s, 1, in->n_items - 1, in->n_items - 1, &at, err));
    if (in->n_items == 0)
        return mbr_step_fail(s, err, MBR_ERR_RUN, "the sequence is empty");
    begin(s->out[0], in->dtype);
    for (size_t i = 0; i < in->n_items; i++)
        if (i != at)
            MBR_TRY(mbr_value_push(s->out[0], in->items[i], err));
    return MBR_OK;
}

static mbr_status run_length(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)job;
    MBR_TRY(mbr_step_resize(s, 0, 0, NULL, err));
    *(int64_t *)s->out[0]->data = (int64_t)s->in[0]->n_items;
    return MBR_OK;
}

/* A part of input 0 along the axis becomes the next item. */
static mbr_status push_part(mbr_step *s, int axis, int64_t from, int64_t n, bool keep, mbr_error *err)
{
    const mbr_value *in = s->in[0];
    int64_t dims[MBR_MAX_RANK];
    size_t outer, middle, inner, size = mbr_dtype_size(in->dtype);
    mbr_value *item;
    int rank = 0;
    for (int i = 0; i < in->rank; i++)
        if (i != axis || keep)
            dims[rank++] = i == axis ? n : in->dims[i];
    MBR_TRY(mbr_value_create_tensor(mbr_step_memory(s), in->dtype, rank, dims, &item, err));
    mbr_op_around(in, axis, &outer, &middle, &inner);
    size_t bytes = (size_t)n * inner * size;
    mbr_status st = MBR_OK;
    if (in->dtype != MBR_DTYPE_STRING) {
        for (size_t o = 0; o < outer && bytes; o++)
            memcpy((char *)item->data + o * bytes,
                   mbr_bytes_at(in->data, (o * middle + (size_t)from) * inner * size), bytes);
    } else { /* the item owns its text: assigned from a view of the pointers */
        mbr_string *words = mbr_step_alloc(s, outer * bytes + 1);
        mbr_value view = { .kind = MBR_KIND_TENSOR, .dtype = in->dtype, .rank = rank, .data = words };
        memcpy(view.dims, dims, sizeof(int64_t) * (size_t)rank);
        for (size_t o = 0; words && o < outer && bytes; o++)
            memcpy((char *)words + o * bytes,
                   mbr_bytes_at(in->data, (o * middle + (size_t)from) * inner * size), bytes);
        st = words ? mbr_value_assign(item, &view, err) : mbr_no_memory(err, outer * bytes);
    }
    if (st == MBR_OK)
        st = mbr_value_push(s->out[0], item, err);
    mbr_value_drop(item);
    return st;
}

static mbr_status run_split(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const mbr_value *in = s->in[0];
    int axis = mbr_op_axis(mbr_attr_int(s->node, "axis", 0), in->rank);
    int64_t size = in->dims[axis], at = 0;
    (void)job;
    begin(s->out[0], in->dtype);
    if (!mbr_step_has(s, 1) || s->in[1]->rank == 0) {
        bool keep = mbr_step_has(s, 1) || mbr_attr_int(s->node, "keepdims", 1) != 0;
        int64_t each;
        MBR_TRY(mbr_op_step_int(s, 1, 1, &each, err));
        if (each < 1)
            return mbr_step_fail(s, err, MBR_ERR_RUN, "parts of %lld", (long long)each);
        for (; at < size; at += each)
            MBR_TRY(push_part(s, axis, at, size - at < each ? size - at : each, keep, err));
        return MBR_OK;
    }
    size_t n = mbr_value_count(s->in[1]);
    for (size_t i = 0; i < n; i++) {
        int64_t part = mbr_value_int(s->in[1], i);
        if (part < 0 || part > size - at)
            return mbr_step_fail(s, err, MBR_ERR_RUN, "a part of %lld where %lld are left", (long long)part,
                                 (long long)(size - at));
        MBR_TRY(push_part(s, axis, at, part, true, err));
        at += part;
    }
    if (at != size)
        return mbr_step_fail(s, err, MBR_ERR_RUN, "the parts sum to %lld, the axis has %lld", (long long)at,
                             (long long)size);
    return MBR_OK;
}

static mbr_status run_concat(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const mbr_value *in = s->in[0];
    bool stack = mbr_attr_int(s->node, "new_axis", 0) != 0;
    int64_t axis = mbr_attr_int(s->node, "axis", 0), dims[MBR_MAX_RANK + 1];
    (void)job;
    if (in->n_items == 0)
        return mbr_step_fail(s, err, MBR_ERR_RUN, "the sequence is empty");
    const mbr_value *head = in->items[0];
    int rank = head->rank + stack;
    if (axis < -rank || axis >= rank || rank > MBR_MAX_RANK)
        return mbr_step_fail(s, err, MBR_ERR_RUN, "axis %lld does not exist in rank %d", (long long)axis, rank);
    int at = mbr_op_axis(axis, rank);
    for (int i = 0, k = 0; i < rank; i++)
        dims[i] = stack && i == at ? 0 : head->dims[k++];
    dims[at] = 0;
    for (size_t i = 0; i < in->n_items; i++) {
        const mbr_value *v = in->items[i];
        bool fits = v->kind == MBR_KIND_TENSOR && v->rank == head->rank && v->dtype == head->dtype;
        for (int d = 0; fits && d < v->rank; d++)
            fits = v->dims[d] == head->dims[d] || (!stack && d == at);
        if (!fits)
            return mbr_step_fail(s, err, MBR_ERR_RUN, "item %zu does not fit the first", i);
        if (!mbr_add_i64(dims[at], stack ? 1 : v->dims[at], &dims[at]))
            return mbr_step_fail(s, err, MBR_ERR_RUN, "the joined axis is too long");
    }
    s->out[0]->dtype = head->dtype;
    MBR_TRY(mbr_step_resize(s, 0, rank, dims, err));
    mbr_value *out = s->out[0];
    size_t outer, middle, inner, done = 0, size = mbr_dtype_size(out->dtype);
    mbr_op_around(out, at, &outer, &middle, &inner);
    for (size_t i = 0; i < in->n_items && mbr_value_count(out) > 0; i++) {
        const mbr_value *v = in->items[i];
        size_t part = mbr_value_count(v) / outer; /* elements of one row */
        for (size_t o = 0; o < outer; o++)
            MBR_TRY(mbr_control_copy(s, v->dtype, (char *)out->data + (o * middle * inner + done) * size,
                                     mbr_bytes_at(v->data, o * part * size), part, err));
        done += part;
    }
    return MBR_OK;
}

#define ROW(op_name, least, most, more, what, runs)                                                                    \
    { .domain = "", .name = op_name, .since = 11, .min_in = least, .max_in = most, .min_out = 1, .max_out = 1,         \
      .flags = MBR_OP_ANY_KIND | MBR_OP_HOST | (more), .infer = infer_##what, .run = run_##runs }

const mbr_op mbr_ops_sequence[] = {
    ROW("ConcatFromSequence", 1, 1, MBR_OP_SIZED_BY_RUN, concat, concat),
    ROW("SequenceAt", 2, 2, MBR_OP_SIZED_BY_RUN, at, at),
    ROW("SequenceConstruct", 1, MBR_OP_MANY, 0, construct, construct),
    ROW("SequenceEmpty", 0, 0, 0, empty, empty),
    ROW("SequenceErase", 1, 2, 0, change, erase),
    ROW("SequenceInsert", 2, 3, 0, change, insert),
    ROW("SequenceLength", 1, 1, MBR_OP_SIZED_BY_RUN, length, length),
    ROW("SplitToSequence", 1, 2, 0, split, split),
    { 0 },
};
