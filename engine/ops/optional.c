/* SPDX-License-Identifier: BSD-2-Clause */
/* Optional, OptionalHasElement, OptionalGetElement: nothing, or one value. */
#include "engine/ops/control.h"
#include "engine/ops/op_util.h"

#include <string.h>

/* The type of a value in an optional; NULL where nothing is known, or at run time. */
static const mbr_ir_type *item_type(mbr_infer *c)
{
    const mbr_ir_attr *a = mbr_attr(c->node, "type");
    const mbr_arg *in = c->n_in ? &c->in[0] : NULL;
    if (a && a->kind == MBR_ATTR_TYPE)
        return a->type;
    if (!in || !in->present || !c->arena)
        return NULL;
    mbr_ir_type *t = mbr_arena_calloc(c->arena, 1, sizeof *t);
    if (t) {
        *t = (mbr_ir_type){ .kind = in->kind, .dtype = in->dtype, .key = in->key, .item = in->item, .rank = -1 };
        if (in->kind == MBR_KIND_TENSOR && in->rank >= 0) {
            t->dims = mbr_arena_copy(c->arena, in->dims, sizeof(mbr_dim) * (size_t)(in->rank ? in->rank : 1));
            t->rank = t->dims ? in->rank : -1;
        }
    }
    return t;
}

static mbr_status infer_optional(mbr_infer *c)
{
    const mbr_ir_type *item = item_type(c);
    bool given = mbr_infer_has(c, 0);
    if (!given && !item)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "it has neither an input nor the attribute 'type'");
    c->out[0].kind = MBR_KIND_OPTIONAL;
    c->out[0].dtype = given ? c->in[0].dtype : item->dtype;
    c->out[0].item = item;
    c->out[0].rank = -1;
    return MBR_OK;
}

static mbr_status run_optional(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    (void)job;
    if (mbr_step_has(s, 0))
        return mbr_control_carry(s->out[0], s->in[0], MBR_KIND_OPTIONAL, err);
    mbr_value_empty(s->out[0]);
    s->out[0]->kind = MBR_KIND_OPTIONAL;
    s->out[0]->rank = 0;
    return MBR_OK;
}

static mbr_status infer_has(mbr_infer *c)
{
    mbr_dim one = 1, zero = 0;
    mbr_infer_out(c, 0, MBR_DTYPE_BOOL, 0, NULL);
    if (!mbr_infer_has(c, 0))
        mbr_infer_set_content(c, 0, &zero, 1);
    else if (c->in[0].kind != MBR_KIND_OPTIONAL)
        mbr_infer_set_content(c, 0, &one, 1);
    return MBR_OK;
}

static mbr_status run_has(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    bool has = mbr_step_has(s, 0) && (s->in[0]->kind != MBR_KIND_OPTIONAL || s->in[0]->n_items > 0);
    (void)job;
    MBR_TRY(mbr_step_resize(s, 0, 0, NULL, err));
    *(uint8_t *)s->out[0]->data = has;
    return MBR_OK;
}

static mbr_status infer_get(mbr_infer *c)
{
    const mbr_arg *in = &c->in[0];
    mbr_arg *out = &c->out[0];
    if (in->kind != MBR_KIND_OPTIONAL) { /* a plain value is its own element */
        bool present = out->present;
        *out = *in;
        out->present = present;
        out->data = NULL;
        out->content = NULL;
        return MBR_OK;
    }
    const mbr_value *now = in->data && in->data->n_items ? in->data->items[0] : NULL;
    const mbr_ir_type *item = in->item;
    out->kind = now ? now->kind : item ? item->kind : MBR_KIND_TENSOR;
    out->dtype = now ? now->dtype : in->dtype;
    out->item = item ? item->item : NULL;
    out->rank = item && out->kind == MBR_KIND_TENSOR ? item->rank : -1;
    if (out->rank > 0)
        memcpy(out->dims, item->dims, sizeof(mbr_dim) * (size_t)out->rank);
    return MBR_OK;
}

static mbr_status run_get(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    const mbr_value *in = s->in[0];
    (void)job;
    if (in->kind == MBR_KIND_OPTIONAL) {
        if (in->n_items == 0)
            return mbr_step_fail(s, err, MBR_ERR_RUN, "the optional is empty");
        in = in->items[0];
    }
    if (in->kind == MBR_KIND_TENSOR)
        s->out[0]->dtype = in->dtype;
    return mbr_control_deliver(s, 0, in, err);
}

#define ROW(op_name, version, least, more, what)                                                                       \
    { .domain = "", .name = op_name, .since = version, .min_in = least, .max_in = 1, .min_out = 1, .max_out = 1,       \
      .flags = MBR_OP_ANY_KIND | MBR_OP_HOST | (more), .infer = infer_##what, .run = run_##what }

const mbr_op mbr_ops_optional[] = {
    ROW("Optional", 15, 0, 0, optional),
    ROW("OptionalGetElement", 15, 1, MBR_OP_SIZED_BY_RUN, get),
    ROW("OptionalHasElement", 15, 0, MBR_OP_SIZED_BY_RUN, has),
    { 0 },
};
