/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/infer.h"
#include "engine/ops/op.h"

#include <string.h>

/* Longer integer tensors are data, not shapes. */
#define MOST_CONTENT 1024

mbr_status mbr_infer_fail(mbr_infer *c, mbr_status status, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    mbr_vfail(c->err, status, fmt, args);
    va_end(args);
    return mbr_ir_fail_at(c->node, c->err, status);
}

void mbr_infer_out(mbr_infer *c, uint32_t i, mbr_dtype dtype, int rank, const mbr_dim *dims)
{
    if (i >= c->n_out || !c->out[i].present)
        return;
    mbr_arg *a = &c->out[i];
    a->kind = MBR_KIND_TENSOR;
    a->dtype = dtype;
    a->rank = rank > MBR_MAX_RANK ? -1 : rank;
    for (int d = 0; d < a->rank; d++)
        a->dims[d] = dims ? dims[d] : MBR_DIM_UNKNOWN;
}

void mbr_infer_same(mbr_infer *c, uint32_t i, uint32_t j)
{
    mbr_infer_out(c, i, c->in[j].dtype, c->in[j].rank, c->in[j].dims);
}

mbr_status mbr_infer_broadcast(mbr_infer *c, const mbr_arg *const *args, size_t n, int *rank, mbr_dim *out)
{
    *rank = 0;
    for (size_t i = 0; i < n; i++) {
        if (args[i]->rank < 0) {
            *rank = -1;
            return MBR_OK;
        }
        if (args[i]->rank > *rank)
            *rank = args[i]->rank;
    }
    for (int d = 0; d < *rank; d++) {
        mbr_dim size = 1;
        for (size_t i = 0; i < n; i++) {
            int at = d - (*rank - args[i]->rank);
            if (at < 0)
                continue;
            mbr_dim other = args[i]->dims[at];
            if (mbr_dim_is_const(size) && mbr_dim_is_const(other) && size != other && size != 1 && other != 1)
                return mbr_infer_fail(c, c->dims ? MBR_ERR_MODEL : MBR_ERR_INPUT,
                                      "axis %d: sizes %lld and %lld do not broadcast; they must be equal, or one of "
                                      "them 1",
                                      d, (long long)size, (long long)other);
            /* an unknown size beside a constant above 1 must be that constant, or 1 */
            if (!mbr_dim_is_known(size) || !mbr_dim_is_known(other))
                size = mbr_dim_is_const(size) && size > 1    ? size
                       : mbr_dim_is_const(other) && other > 1 ? other
                                                              : MBR_DIM_UNKNOWN;
            else
                size = mbr_dim_make(c->dims, MBR_DIM_BROADCAST, size, other);
        }
        out[d] = size;
    }
    return MBR_OK;
}

static bool data_ints(const mbr_value *v, mbr_dim *out, size_t max, size_t *n)
{
    if (v->kind != MBR_KIND_TENSOR || !(mbr_dtype_is_int(v->dtype) || v->dtype == MBR_DTYPE_BOOL))
        return false;
    size_t count = mbr_value_count(v);
    if (count > max)
        return false;
    for (size_t k = 0; k < count; k++) {
        int64_t x = mbr_value_int(v, k);
        if (v->dtype == MBR_DTYPE_U64 && x < 0)
            return false; /* beyond what a size may be */
        out[k] = mbr_dim_const(x);
    }
    *n = count;
    return true;
}

bool mbr_infer_ints(const mbr_infer *c, uint32_t i, mbr_dim *v, size_t max, size_t *n)
{
    *n = 0;
    if (!mbr_infer_has(c, i))
        return false;
    const mbr_arg *a = &c->in[i];
    if (a->content) {
        if (a->n_content > max)
            return false;
        for (size_t k = 0; k < a->n_content; k++) {
            if (!mbr_dim_is_known(a->content[k]))
                return false;
            v[k] = a->content[k];
        }
        *n = a->n_content;
        return true;
    }
    return a->data && data_ints(a->data, v, max, n);
}

bool mbr_infer_const_ints(const mbr_infer *c, uint32_t i, int64_t *v, size_t max, size_t *n)
{
    if (!mbr_infer_ints(c, i, v, max, n))
        return false;
    for (size_t k = 0; k < *n; k++)
        if (!mbr_dim_is_const(v[k]))
            return false;
    return true;
}

bool mbr_infer_reals(const mbr_infer *c, uint32_t i, double *v, size_t max, size_t *n)
{
    *n = 0;
    if (!mbr_infer_has(c, i) || !c->in[i].data || c->in[i].data->kind != MBR_KIND_TENSOR ||
        c->in[i].data->dtype == MBR_DTYPE_STRING)
        return false;
    size_t count = mbr_value_count(c->in[i].data);
    if (count > max)
        return false;
    for (size_t k = 0; k < count; k++)
        v[k] = mbr_value_real(c->in[i].data, k);
    *n = count;
    return true;
}

void mbr_infer_set_content(mbr_infer *c, uint32_t i, const mbr_dim *v, size_t n)
{
    if (!c->arena || i >= c->n_out || !c->out[i].present || n > MOST_CONTENT)
        return;
    for (size_t k = 0; k < n; k++)
        if (!mbr_dim_is_known(v[k]))
            return;
    c->out[i].content = mbr_arena_copy(c->arena, v, (n ? n : 1) * sizeof *v);
    c->out[i].n_content = c->out[i].content ? n : 0;
}

mbr_status mbr_infer_axis(mbr_infer *c, int64_t axis, int rank, int *out)
{
    if (axis < -(int64_t)rank || axis >= rank)
        return mbr_infer_fail(c, MBR_ERR_MODEL, "axis %lld is outside a tensor of rank %d", (long long)axis, rank);
    *out = (int)(axis < 0 ? axis + rank : axis);
    return MBR_OK;
}

static mbr_status elementwise(mbr_infer *c, mbr_dtype dtype)
{
    const mbr_arg *args[MBR_OP_MANY];
    mbr_dim dims[MBR_MAX_RANK];
    int rank;
    size_t n = 0;
    for (uint32_t i = 0; i < c->n_in && n < MBR_COUNT_OF(args); i++)
        if (c->in[i].present)
            args[n++] = &c->in[i];
    MBR_TRY(mbr_infer_broadcast(c, args, n, &rank, dims));
    mbr_infer_out(c, 0, dtype, rank, dims);
    return MBR_OK;
}

mbr_status mbr_infer_elementwise(mbr_infer *c)
{
    return elementwise(c, c->in[0].dtype);
}

mbr_status mbr_infer_compare(mbr_infer *c)
{
    return elementwise(c, MBR_DTYPE_BOOL);
}

mbr_status mbr_infer_unary(mbr_infer *c)
{
    mbr_infer_same(c, 0, 0);
    return MBR_OK;
}

/* --- the driver --- */

static void load_arg(const mbr_ir_value *v, mbr_arg *a)
{
    memset(a, 0, sizeof *a);
    a->rank = -1;
    if (!v)
        return;
    a->present = true;
    a->kind = v->type.kind;
    a->dtype = v->type.dtype;
    a->key = v->type.key;
    a->item = v->type.item;
    if (v->type.kind == MBR_KIND_TENSOR && v->type.rank >= 0) {
        a->rank = v->type.rank;
        if (v->type.rank)
            memcpy(a->dims, v->type.dims, (size_t)v->type.rank * sizeof *a->dims);
    }
    a->data = v->has_default ? NULL : v->constant;
    a->content = v->content;
    a->n_content = v->n_content;
}

/* What inference found wins over what the file declared, except where it found nothing. */
static mbr_status store_arg(mbr_ir_value *v, const mbr_arg *a, mbr_error *err)
{
    const mbr_ir_type *old = &v->type;
    if (a->kind != MBR_KIND_TENSOR) {
        mbr_ir_type t = { .kind = a->kind, .dtype = a->dtype, .key = a->key, .item = a->item, .rank = -1 };
        if (old->kind == a->kind && !t.item) {
            t.item = old->item;
            if (!t.dtype)
                t.dtype = old->dtype;
        }
        return mbr_ir_set_type(v, &t, err);
    }
    mbr_dim dims[MBR_MAX_RANK];
    int rank = a->rank;
    mbr_dtype dtype = a->dtype ? a->dtype : old->dtype;
    if (rank >= 0)
        memcpy(dims, a->dims, (size_t)rank * sizeof *dims);
    MBR_TRY(mbr_ir_set_tensor_type(v, dtype, rank, rank >= 0 ? dims : NULL, err));
    v->content = a->content;
    v->n_content = a->n_content;
    return MBR_OK;
}

static void enter_scope(mbr_ir_module *m, mbr_ir_graph *g)
{
    if (g->scope == 0 && g != m->main)
        g->scope = m->next_scope++;
}

/* Unknown sizes of a value that is bound from outside become symbols, so that its graph can be planned. */
static void name_unknowns(mbr_ir_module *m, mbr_ir_graph *g, mbr_ir_value *v)
{
    uint32_t outer = m->dims.scope;
    enter_scope(m, g);
    m->dims.scope = g->scope;
    for (int d = 0; v->type.kind == MBR_KIND_TENSOR && d < v->type.rank; d++)
        if (!mbr_dim_is_known(v->type.dims[d]))
            v->type.dims[d] = mbr_dim_symbol(&m->dims, NULL);
    m->dims.scope = outer;
}

mbr_status mbr_infer_feed(mbr_infer *c, mbr_ir_graph *g, size_t i, const mbr_arg *a)
{
    mbr_ir_value *v = g->inputs[i];
    mbr_arg known = *a;
    known.content = NULL; /* a fed value differs from call to call */
    if (v->type.kind == MBR_KIND_TENSOR && a->kind == MBR_KIND_TENSOR && v->type.rank >= 0 && v->type.rank == a->rank)
        for (int d = 0; d < a->rank; d++) { /* keep a symbol of an earlier round where the size is still unknown */
            if (!mbr_dim_is_known(known.dims[d]) && mbr_dim_is_expr(v->type.dims[d]) &&
                mbr_dim_scope(c->dims, v->type.dims[d]) == g->scope && g->scope)
                known.dims[d] = v->type.dims[d];
        }
    MBR_TRY(store_arg(v, &known, c->err));
    name_unknowns(c->node->graph->module, g, v);
    return MBR_OK;
}

mbr_status mbr_infer_subgraph(mbr_infer *c, mbr_ir_graph *g)
{
    mbr_ir_module *m = c->node->graph->module;
    enter_scope(m, g);
    for (size_t i = 0; i < g->n_captures; i++) {
        mbr_ir_value *v = g->captures[i];
        const mbr_ir_value *from = c->node->inputs[g->capture_slots[i]];
        mbr_arg known = c->in[g->capture_slots[i]];
        v->constant = from->has_default ? NULL : from->constant;
        for (int d = 0; v->type.kind == MBR_KIND_TENSOR && d < known.rank && v->type.rank == known.rank; d++)
            if (!mbr_dim_is_known(known.dims[d]) && mbr_dim_scope(&m->dims, v->type.dims[d]) == g->scope)
                known.dims[d] = v->type.dims[d];
        MBR_TRY(store_arg(v, &known, c->err));
        name_unknowns(m, g, v);
    }
    uint32_t outer = m->dims.scope;
    m->dims.scope = g->scope;
    mbr_status st = mbr_infer_graph(g, c->err);
    m->dims.scope = outer;
    return st;
}

void mbr_infer_result(const mbr_infer *c, const mbr_ir_graph *g, size_t i, mbr_arg *a)
{
    load_arg(g->outputs[i], a);
    for (int d = 0; d < a->rank; d++)
        if (mbr_dim_scope(c->dims, a->dims[d]) >= g->scope && mbr_dim_is_expr(a->dims[d]))
            a->dims[d] = MBR_DIM_UNKNOWN;
    for (size_t k = 0; a->content && k < a->n_content; k++)
        if (mbr_dim_is_expr(a->content[k]) && mbr_dim_scope(c->dims, a->content[k]) >= g->scope)
            a->content = NULL;
}

void mbr_infer_unify(mbr_arg *a, const mbr_arg *b)
{
    if (a->kind != b->kind || a->rank != b->rank)
        a->rank = -1;
    for (int d = 0; d < a->rank; d++)
        if (a->dims[d] != b->dims[d])
            a->dims[d] = MBR_DIM_UNKNOWN;
    if (!a->item)
        a->item = b->item;
    if (!a->content || !b->content || a->n_content != b->n_content ||
        memcmp(a->content, b->content, a->n_content * sizeof *a->content))
        a->content = NULL;
    a->data = NULL;
}

mbr_status mbr_infer_node(mbr_ir_node *n, mbr_error *err)
{
    mbr_ir_module *m = n->graph->module;
    enum { FEW = 8 };
    mbr_arg few[2 * FEW];
    mbr_arg *args = few;
    if (n->n_inputs > FEW || n->n_outputs > FEW) {
        args = mbr_calloc(m->memory, (size_t)n->n_inputs + n->n_outputs, sizeof *args);
        if (!args)
            return mbr_no_memory(err, ((size_t)n->n_inputs + n->n_outputs) * sizeof *args);
    }
    mbr_infer c = { .node = n, .dims = &m->dims, .arena = &m->arena, .err = err, .n_in = n->n_inputs,
                    .n_out = n->n_outputs, .in = args, .out = args + n->n_inputs };
    for (uint32_t i = 0; i < n->n_inputs; i++)
        load_arg(n->inputs[i], &c.in[i]);
    for (uint32_t i = 0; i < n->n_outputs; i++) {
        memset(&c.out[i], 0, sizeof c.out[i]);
        c.out[i].rank = -1;
        c.out[i].present = n->outputs[i] != NULL;
    }
    mbr_status st = n->op->infer ? n->op->infer(&c) : MBR_OK;
    for (uint32_t i = 0; i < n->n_outputs && st == MBR_OK; i++)
        if (n->outputs[i])
            st = store_arg(n->outputs[i], &c.out[i], err);
    if (args != few)
        mbr_free(m->memory, args);
    return st;
}

mbr_status mbr_infer_graph(mbr_ir_graph *g, mbr_error *err)
{
    if (g == g->module->main)
        for (size_t i = 0; i < g->n_inputs; i++)
            name_unknowns(g->module, g, g->inputs[i]);
    for (mbr_ir_node *n = g->first; n; n = n->next)
        MBR_TRY(mbr_infer_node(n, err));
    return MBR_OK;
}
