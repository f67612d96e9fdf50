/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/ir.h"
#include "base/checked.h"
#include "base/hash.h"
#include "engine/coded.h"
#include "engine/ops/custom.h"

#include <stdio.h>
#include <string.h>

/* --- names: open addressing over the values of one graph --- */

struct mbr_name_map {
    mbr_ir_value **slots; /* (room), a power of two */
    size_t room, used;
};

/* Seeded with an address, so that a file cannot know which names collide. */
static mbr_ir_value **name_slot(const struct mbr_name_map *map, const char *name)
{
    size_t at = (size_t)mbr_hash_bytes(name, strlen(name), (mbr_hash){ (uintptr_t)map->slots, 0 }).a & (map->room - 1);
    while (map->slots[at] && strcmp(map->slots[at]->name, name) != 0)
        at = (at + 1) & (map->room - 1);
    return &map->slots[at];
}

static bool names_grow(mbr_ir_graph *g)
{
    struct mbr_name_map *map = g->names;
    size_t room = map->room ? map->room * 2 : 64;
    struct mbr_name_map bigger = { mbr_arena_calloc(&g->module->arena, room, sizeof *bigger.slots), room, map->used };
    if (!bigger.slots)
        return false;
    for (size_t i = 0; i < map->room; i++)
        if (map->slots[i])
            *name_slot(&bigger, map->slots[i]->name) = map->slots[i];
    *map = bigger;
    return true;
}

mbr_ir_value *mbr_ir_find(const mbr_ir_graph *g, const char *name)
{
    return g->names->room ? *name_slot(g->names, name) : NULL;
}

/* --- growing arrays in the arena: old ones are left behind, so they grow geometrically --- */

static bool reserve(mbr_arena *a, void *array, size_t n, size_t *capacity, size_t size)
{
    if (n < *capacity)
        return true;
    size_t room = *capacity ? *capacity * 2 : 8, bytes;
    void **p = array;
    if (!mbr_mul_size(room, size, &bytes))
        return false;
    void *fresh = mbr_arena_alloc(a, bytes);
    if (!fresh)
        return false;
    if (n)
        memcpy(fresh, *p, n * size);
    *p = fresh;
    *capacity = room;
    return true;
}

/* Appends to an array that has no capacity field: it doubles at powers of two. */
static bool append_pointer(mbr_arena *a, void *array, size_t n, const void *item)
{
    void ***p = array;
    if ((n & (n - 1)) == 0) {
        void **fresh = mbr_arena_alloc(a, (n ? n * 2 : 1) * sizeof *fresh);
        if (!fresh)
            return false;
        if (n)
            memcpy(fresh, *p, n * sizeof *fresh);
        *p = fresh;
    }
    memcpy(&(*p)[n], &item, sizeof item);
    return true;
}

/* --- module --- */

mbr_status mbr_ir_module_new(mbr_memory *memory, const mbr_log *log, const char *file, mbr_ir_module **out,
                             mbr_error *err)
{
    mbr_ir_module *m = mbr_calloc(memory, 1, sizeof *m);
    *out = NULL;
    if (!m)
        return mbr_no_memory(err, sizeof *m);
    m->memory = memory;
    m->log = log;
    mbr_arena_init(&m->arena, memory, 64 * 1024);
    mbr_dim_table_init(&m->dims, memory);
    m->file = mbr_arena_strdup(&m->arena, file ? file : "model");
    m->producer = "";
    m->next_scope = 1;
    if (!m->file) {
        mbr_ir_module_free(m);
        return mbr_no_memory(err, strlen(file ? file : "model"));
    }
    *out = m;
    return MBR_OK;
}

void mbr_ir_module_free(mbr_ir_module *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->n_owned; i++)
        mbr_value_drop(m->owned[i]);
    mbr_free(m->memory, m->owned);
    mbr_dim_table_destroy(&m->dims);
    mbr_arena_destroy(&m->arena);
    if (m->release_source)
        m->release_source(m->source);
    mbr_free(m->memory, m);
}

mbr_status mbr_ir_own(mbr_ir_module *m, mbr_value *v, mbr_error *err)
{
    if (m->n_owned == m->owned_capacity) {
        size_t room = m->owned_capacity ? m->owned_capacity * 2 : 64;
        mbr_value **owned = mbr_grow(m->memory, m->owned, m->n_owned * sizeof *owned, room * sizeof *owned);
        if (!owned) {
            mbr_value_drop(v);
            return mbr_no_memory(err, room * sizeof *owned);
        }
        m->owned = owned;
        m->owned_capacity = room;
    }
    m->owned[m->n_owned++] = v;
    return MBR_OK;
}

mbr_status mbr_ir_add_opset(mbr_ir_module *m, const char *domain, int version, mbr_error *err)
{
    if (strcmp(domain, "ai.onnx") == 0)
        domain = "";
    mbr_opset *sets = mbr_arena_alloc(&m->arena, (m->n_opsets + 1) * sizeof *sets);
    const char *copy = mbr_arena_strdup(&m->arena, domain);
    if (!sets || !copy)
        return mbr_no_memory(err, sizeof *sets);
    if (m->n_opsets)
        memcpy(sets, m->opsets, m->n_opsets * sizeof *sets);
    sets[m->n_opsets] = (mbr_opset){ copy, version };
    m->opsets = sets;
    m->n_opsets++;
    return MBR_OK;
}

int mbr_ir_opset(const mbr_ir_module *m, const char *domain)
{
    if (strcmp(domain, "ai.onnx") == 0)
        domain = "";
    for (size_t i = 0; i < m->n_opsets; i++)
        if (strcmp(m->opsets[i].domain, domain) == 0)
            return m->opsets[i].version;
    return 0;
}

/* --- graphs and values --- */

mbr_status mbr_ir_graph_new(mbr_ir_module *m, const char *name, mbr_ir_graph **out, mbr_error *err)
{
    mbr_ir_graph *g = mbr_arena_calloc(&m->arena, 1, sizeof *g);
    *out = NULL;
    if (!g)
        return mbr_no_memory(err, sizeof *g);
    g->module = m;
    g->names = mbr_arena_calloc(&m->arena, 1, sizeof *g->names);
    g->name = mbr_arena_strdup(&m->arena, name ? name : "");
    if (!g->names || !g->name)
        return mbr_no_memory(err, sizeof *g->names);
    if (!m->main)
        m->main = g;
    *out = g;
    return MBR_OK;
}

mbr_status mbr_ir_value_new(mbr_ir_graph *g, const char *name, mbr_ir_value **out, mbr_error *err)
{
    mbr_arena *a = &g->module->arena;
    char fresh[32];
    *out = NULL;
    if (name && mbr_ir_find(g, name))
        return mbr_fail(err, MBR_ERR_MODEL, "%s: the name '%s' is given to two values of graph '%s'; names must be unique",
                        g->module->file, name, g->name);
    while (!name || !*name) {
        snprintf(fresh, sizeof fresh, "%%%u", g->module->next_name++);
        if (!mbr_ir_find(g, fresh))
            name = fresh;
    }
    mbr_ir_value *v = mbr_arena_calloc(a, 1, sizeof *v);
    char *copy = mbr_arena_strdup(a, name);
    if (!v || !copy || ((g->names->used + 1) * 2 > g->names->room && !names_grow(g)) ||
        !reserve(a, &g->values, g->n_values, &g->values_capacity, sizeof *g->values))
        return mbr_no_memory(err, sizeof *v);
    v->name = copy;
    v->graph = g;
    v->id = (uint32_t)g->n_values;
    v->type.rank = -1;
    g->values[g->n_values++] = v;
    *name_slot(g->names, copy) = v;
    g->names->used++;
    *out = v;
    return MBR_OK;
}

mbr_status mbr_ir_set_tensor_type(mbr_ir_value *v, mbr_dtype dtype, int rank, const mbr_dim *dims, mbr_error *err)
{
    mbr_dim *copy = NULL;
    if (rank > MBR_MAX_RANK)
        return mbr_fail(err, MBR_ERR_LIMIT, "%s: value '%s' has rank %d; at most %d dimensions are possible",
                        v->graph->module->file, v->name, rank, MBR_MAX_RANK);
    if (rank > 0) {
        bool reuse = v->type.dims && v->type.rank == rank;
        copy = reuse ? v->type.dims : mbr_arena_alloc(&v->graph->module->arena, (size_t)rank * sizeof *copy);
        if (!copy)
            return mbr_no_memory(err, (size_t)rank * sizeof *copy);
        for (int i = 0; i < rank; i++)
            copy[i] = dims ? dims[i] : MBR_DIM_UNKNOWN;
    }
    v->type = (mbr_ir_type){ .kind = MBR_KIND_TENSOR, .dtype = dtype, .rank = rank, .dims = copy };
    return MBR_OK;
}

static mbr_status copy_type(mbr_arena *a, const mbr_ir_type *from, mbr_ir_type *to, int depth, mbr_error *err)
{
    *to = *from;
    to->item = NULL;
    if (from->rank > 0 && from->dims) {
        to->dims = mbr_arena_copy(a, from->dims, (size_t)from->rank * sizeof *from->dims);
        if (!to->dims)
            return mbr_no_memory(err, (size_t)from->rank * sizeof *from->dims);
    }
    if (!from->item)
        return MBR_OK;
    if (depth > 16)
        return mbr_fail(err, MBR_ERR_LIMIT, "a type nested more than 16 deep");
    mbr_ir_type *item = mbr_arena_alloc(a, sizeof *item);
    if (!item)
        return mbr_no_memory(err, sizeof *item);
    to->item = item;
    return copy_type(a, from->item, item, depth + 1, err);
}

mbr_status mbr_ir_set_type(mbr_ir_value *v, const mbr_ir_type *type, mbr_error *err)
{
    return copy_type(&v->graph->module->arena, type, &v->type, 0, err);
}

mbr_status mbr_ir_set_constant(mbr_ir_value *v, mbr_value *data, mbr_error *err)
{
    MBR_TRY(mbr_ir_own(v->graph->module, data, err));
    v->constant = data;
    if (data->kind == MBR_KIND_TENSOR) {
        mbr_dim dims[MBR_MAX_RANK];
        for (int i = 0; i < data->rank; i++)
            dims[i] = data->dims[i];
        return mbr_ir_set_tensor_type(v, data->dtype, data->rank, dims, err);
    }
    v->type = (mbr_ir_type){ .kind = data->kind, .dtype = data->dtype, .key = data->key, .rank = -1 };
    return MBR_OK;
}

mbr_status mbr_ir_align(const mbr_ir_value *v, mbr_error *err)
{
    mbr_value *data = v ? (mbr_value *)(uintptr_t)v->constant : NULL;
    const mbr_ir_module *m = v ? v->graph->module : NULL;
    if (!data || !data->any_address)
        return MBR_OK;
    const void *from = data->data;
    size_t bytes = mbr_value_bytes(data);
    void *own = mbr_alloc(data->memory, bytes);
    if (!own)
        return mbr_no_memory(err, bytes);
    memcpy(own, from, bytes);
    data->data = data->own = own;
    data->capacity = bytes;
    data->any_address = false;
    if (m->give_back)
        m->give_back(m->source, from, bytes);
    return MBR_OK;
}

mbr_status mbr_ir_constant(mbr_ir_graph *g, mbr_value *data, mbr_ir_value **out, mbr_error *err)
{
    mbr_status st = mbr_ir_value_new(g, NULL, out, err);
    if (st != MBR_OK) {
        mbr_value_drop(data);
        return st;
    }
    return mbr_ir_set_constant(*out, data, err);
}

mbr_status mbr_ir_constant_ints(mbr_ir_graph *g, const int64_t *v, size_t n, mbr_ir_value **out, mbr_error *err)
{
    mbr_value *data;
    int64_t dims = (int64_t)n;
    MBR_TRY(mbr_value_create_tensor(g->module->memory, MBR_DTYPE_I64, 1, &dims, &data, err));
    if (n)
        memcpy(data->data, v, n * sizeof *v);
    return mbr_ir_constant(g, data, out, err);
}

mbr_status mbr_ir_constant_f32(mbr_ir_graph *g, float v, mbr_ir_value **out, mbr_error *err)
{
    mbr_value *data;
    MBR_TRY(mbr_value_create_tensor(g->module->memory, MBR_DTYPE_F32, 0, NULL, &data, err));
    *(float *)data->data = v;
    return mbr_ir_constant(g, data, out, err);
}

mbr_status mbr_ir_add_input(mbr_ir_graph *g, mbr_ir_value *v, mbr_error *err)
{
    if (!append_pointer(&g->module->arena, &g->inputs, g->n_inputs, v))
        return mbr_no_memory(err, sizeof v);
    g->n_inputs++;
    v->is_input = true;
    return MBR_OK;
}

mbr_status mbr_ir_add_output(mbr_ir_graph *g, mbr_ir_value *v, mbr_error *err)
{
    if (!append_pointer(&g->module->arena, &g->outputs, g->n_outputs, v))
        return mbr_no_memory(err, sizeof v);
    g->n_outputs++;
    v->is_output = true;
    v->uses++;
    return MBR_OK;
}

/* --- captures --- */

/* Appends `outer` to the owner's inputs, behind everything else. */
static mbr_status feed_capture(mbr_ir_node *owner, mbr_ir_value *outer, uint32_t *slot, mbr_error *err)
{
    mbr_ir_value **inputs = mbr_arena_alloc(&owner->graph->module->arena, (owner->n_inputs + 1) * sizeof *inputs);
    if (!inputs)
        return mbr_no_memory(err, (owner->n_inputs + 1) * sizeof *inputs);
    if (owner->n_inputs)
        memcpy(inputs, owner->inputs, owner->n_inputs * sizeof *inputs);
    *slot = owner->n_inputs;
    inputs[owner->n_inputs++] = outer;
    owner->inputs = inputs;
    outer->uses++;
    return MBR_OK;
}

mbr_status mbr_ir_capture_as(mbr_ir_graph *g, mbr_ir_value *outer, const char *name, mbr_ir_value **out, mbr_error *err)
{
    mbr_arena *a = &g->module->arena;
    MBR_TRY(mbr_ir_value_new(g, name, out, err));
    mbr_ir_value *v = *out;
    v->type = outer->type;
    v->constant = outer->has_default ? NULL : outer->constant;
    v->content = outer->content;
    v->n_content = outer->n_content;
    v->is_capture = true;
    size_t room = g->captures_capacity;
    if (!reserve(a, &g->captures, g->n_captures, &room, sizeof *g->captures) ||
        !reserve(a, &g->capture_slots, g->n_captures, &g->captures_capacity, sizeof *g->capture_slots))
        return mbr_no_memory(err, sizeof v);
    g->captures[g->n_captures] = v;
    if (g->owner)
        MBR_TRY(feed_capture(g->owner, outer, &g->capture_slots[g->n_captures], err));
    else
        v->producer = (mbr_ir_node *)(void *)outer; /* remembered until the graph gets its owner */
    g->n_captures++;
    return MBR_OK;
}

mbr_status mbr_ir_capture(mbr_ir_graph *g, mbr_ir_value *outer, mbr_ir_value **out, mbr_error *err)
{
    for (size_t i = 0; i < g->n_captures; i++) {
        mbr_ir_value *from = g->owner ? g->owner->inputs[g->capture_slots[i]] : NULL;
        if (g->owner ? from == outer : (uintptr_t)g->captures[i]->producer == (uintptr_t)outer) {
            *out = g->captures[i];
            return MBR_OK;
        }
    }
    /* the outer name usually is the name that the subgraph uses; a clash (after inlining) gets a fresh one */
    return mbr_ir_capture_as(g, outer, mbr_ir_find(g, outer->name) ? NULL : outer->name, out, err);
}

static mbr_status attach_graph(mbr_ir_node *n, mbr_ir_graph *g, mbr_error *err)
{
    for (size_t i = 0; i < g->n_captures; i++) {
        mbr_ir_value *outer = (mbr_ir_value *)(void *)g->captures[i]->producer;
        g->captures[i]->producer = NULL;
        MBR_TRY(feed_capture(n, outer, &g->capture_slots[i], err));
    }
    g->owner = n;
    return MBR_OK;
}

/* --- nodes --- */

static void link_before(mbr_ir_graph *g, mbr_ir_node *n, mbr_ir_node *before)
{
    n->next = before;
    n->prev = before ? before->prev : g->last;
    if (n->prev)
        n->prev->next = n;
    else
        g->first = n;
    if (before)
        before->prev = n;
    else
        g->last = n;
}

static void unlink_node(mbr_ir_node *n)
{
    mbr_ir_graph *g = n->graph;
    if (n->prev)
        n->prev->next = n->next;
    else
        g->first = n->next;
    if (n->next)
        n->next->prev = n->prev;
    else
        g->last = n->prev;
    n->prev = n->next = NULL;
}

static mbr_status check_arity(const mbr_ir_node *n, mbr_error *err)
{
    const mbr_op *op = n->op;
    if (n->n_inputs < op->min_in || (op->max_in != MBR_OP_MANY && n->n_inputs > op->max_in))
        return mbr_ir_fail(n, err, MBR_ERR_MODEL, "%u inputs; version %d of the operator takes %d to %d", n->n_inputs,
                           op->since, op->min_in, op->max_in);
    if (n->n_outputs < op->min_out || (op->max_out != MBR_OP_MANY && n->n_outputs > op->max_out))
        return mbr_ir_fail(n, err, MBR_ERR_MODEL, "%u outputs; version %d of the operator gives %d to %d",
                           n->n_outputs, op->since, op->min_out, op->max_out);
    for (uint32_t i = 0; i < op->min_in; i++)
        if (!n->inputs[i] && !(i < 32 && (op->holes >> i & 1)))
            return mbr_ir_fail(n, err, MBR_ERR_MODEL, "input %u is missing", i);
    return MBR_OK;
}

const mbr_op *mbr_ir_find_op(const mbr_ir_module *m, const char *domain, const char *name, int version)
{
    const mbr_op *op = mbr_op_find(domain, name, version);
    return op ? op : mbr_custom_find(m->ops, domain, name, version);
}

mbr_status mbr_ir_node_new(mbr_ir_graph *g, mbr_ir_node *before, const char *domain, const char *op_name, int opset,
                           const char *name, mbr_ir_value *const *inputs, size_t n_inputs,
                           mbr_ir_value *const *outputs, size_t n_outputs, mbr_ir_node **out, mbr_error *err)
{
    mbr_ir_module *m = g->module;
    *out = NULL;
    if (strcmp(domain, "ai.onnx") == 0)
        domain = "";
    if (opset == 0)
        opset = strcmp(domain, "mbr") == 0 ? 1 : mbr_ir_opset(m, domain);
    const mbr_op *op = mbr_ir_find_op(m, domain, op_name, opset ? opset : 1);
    if (!op)
        return mbr_fail(err, MBR_ERR_UNSUPPORTED,
                        "%s: node '%s': operator %s of domain '%s' at version %d is not known; `mbr ops` lists what "
                        "is, a plug-in can add it",
                        m->file, name ? name : "", op_name, *domain ? domain : "ai.onnx", opset);
    mbr_ir_node *n = mbr_arena_calloc(&m->arena, 1, sizeof *n);
    if (!n)
        return mbr_no_memory(err, sizeof *n);
    n->op = op;
    n->opset = opset;
    n->graph = g;
    n->name = name && *name ? mbr_arena_strdup(&m->arena, name) : "";
    n->inputs = mbr_arena_calloc(&m->arena, n_inputs ? n_inputs : 1, sizeof *n->inputs);
    n->outputs = mbr_arena_calloc(&m->arena, n_outputs ? n_outputs : 1, sizeof *n->outputs);
    if (!n->name || !n->inputs || !n->outputs)
        return mbr_no_memory(err, (n_inputs + n_outputs) * sizeof *n->inputs);
    n->origin = n->name;
    n->n_inputs = n->n_formal = (uint32_t)n_inputs;
    n->n_outputs = (uint32_t)n_outputs;
    if (n_inputs)
        memcpy(n->inputs, inputs, n_inputs * sizeof *inputs);
    MBR_TRY(check_arity(n, err));
    for (size_t i = 0; i < n_outputs; i++) {
        mbr_ir_value *v;
        if (outputs)
            v = outputs[i];
        else
            MBR_TRY(mbr_ir_value_new(g, NULL, &v, err));
        n->outputs[i] = v;
        if (!v)
            continue;
        if (v->producer || v->constant || v->is_input || v->is_capture)
            return mbr_ir_fail(n, err, MBR_ERR_MODEL, "its output '%s' has a value already", v->name);
        v->producer = n;
        v->producer_slot = (uint32_t)i;
    }
    for (size_t i = 0; i < n_inputs; i++)
        if (n->inputs[i])
            n->inputs[i]->uses++;
    link_before(g, n, before);
    n->made_for = before;
    *out = n;
    return MBR_OK;
}

/* --- who does whose work --- */

static void set_heir(mbr_ir_node *n, mbr_ir_node *heir, bool sure)
{
    if (!n || n == heir || (n->heir_sure && !sure))
        return;
    n->heir = heir;
    n->heir_sure = sure;
    n->taken_by = n->graph->module->stage;
}

void mbr_ir_hand_over(mbr_ir_node *from, mbr_ir_node *to)
{
    set_heir(from, to, true);
}

const mbr_ir_node *mbr_ir_heir(const mbr_ir_node *n)
{
    for (int hops = 0; n && n->removed; hops++)
        n = hops < 1000 ? n->heir : NULL;
    return n;
}

void mbr_ir_set_input(mbr_ir_node *n, uint32_t slot, mbr_ir_value *v)
{
    mbr_ir_value *old = n->inputs[slot];
    if (v)
        v->uses++;
    if (old && --old->uses == 0)
        set_heir(old->producer, n, false);
    n->inputs[slot] = v;
}

mbr_status mbr_ir_add_node_input(mbr_ir_node *n, mbr_ir_value *v, mbr_error *err)
{
    mbr_ir_value **inputs = mbr_arena_alloc(&n->graph->module->arena, (n->n_inputs + 1) * sizeof *inputs);
    if (!inputs)
        return mbr_no_memory(err, (n->n_inputs + 1) * sizeof *inputs);
    memcpy(inputs, n->inputs, n->n_formal * sizeof *inputs);
    inputs[n->n_formal] = v;
    memcpy(inputs + n->n_formal + 1, n->inputs + n->n_formal, (n->n_inputs - n->n_formal) * sizeof *inputs);
    for (uint32_t i = 0; i < n->n_attrs; i++) {
        const mbr_ir_attr *a = &n->attrs[i];
        size_t count = a->kind == MBR_ATTR_GRAPH ? 1 : a->kind == MBR_ATTR_GRAPHS ? a->n : 0;
        for (size_t k = 0; k < count; k++) {
            mbr_ir_graph *g = a->kind == MBR_ATTR_GRAPH ? a->graph : a->graphs[k];
            for (size_t c = 0; c < g->n_captures; c++)
                if (g->capture_slots[c] >= n->n_formal)
                    g->capture_slots[c]++;
        }
    }
    n->inputs = inputs;
    n->n_formal++;
    n->n_inputs++;
    if (v)
        v->uses++;
    return MBR_OK;
}

void mbr_ir_replace_uses(mbr_ir_value *old, mbr_ir_value *with)
{
    mbr_ir_graph *g = old->graph;
    if (old == with || old->uses == 0)
        return;
    set_heir(old->producer, with->producer, true);
    for (mbr_ir_node *n = g->first; n && old->uses; n = n->next)
        for (uint32_t i = 0; i < n->n_inputs; i++)
            if (n->inputs[i] == old)
                mbr_ir_set_input(n, i, with);
    for (size_t i = 0; i < g->n_outputs; i++)
        if (g->outputs[i] == old) {
            g->outputs[i] = with;
            old->uses--;
            with->uses++;
            old->is_output = false;
            with->is_output = true;
        }
}

void mbr_ir_node_remove(mbr_ir_node *n)
{
    unlink_node(n);
    n->removed = true;
    if (!n->heir)
        n->taken_by = n->graph->module->stage;
    for (uint32_t i = 0; i < n->n_inputs; i++)
        mbr_ir_set_input(n, i, NULL);
    for (uint32_t i = 0; i < n->n_outputs; i++)
        if (n->outputs[i])
            n->outputs[i]->producer = NULL;
}

/* Takes an input that feeds a capture out of the node; those behind it move up. */
static void remove_input(mbr_ir_node *n, uint32_t slot)
{
    mbr_ir_set_input(n, slot, NULL);
    n->n_inputs--;
    memmove(n->inputs + slot, n->inputs + slot + 1, (n->n_inputs - slot) * sizeof *n->inputs);
    for (uint32_t i = 0; i < n->n_attrs; i++) {
        const mbr_ir_attr *a = &n->attrs[i];
        size_t count = a->kind == MBR_ATTR_GRAPH ? 1 : a->kind == MBR_ATTR_GRAPHS ? a->n : 0;
        for (size_t k = 0; k < count; k++) {
            mbr_ir_graph *g = a->kind == MBR_ATTR_GRAPH ? a->graph : a->graphs[k];
            for (size_t c = 0; c < g->n_captures; c++)
                g->capture_slots[c] -= g->capture_slots[c] > slot;
        }
    }
}

bool mbr_ir_drop_captures(mbr_ir_graph *g)
{
    size_t n = g->n_captures;
    for (size_t i = 0; i < g->n_captures;) {
        mbr_ir_value *v = g->captures[i];
        if (v->uses) {
            i++;
            continue;
        }
        uint32_t slot = g->capture_slots[i];
        g->n_captures--;
        memmove(g->captures + i, g->captures + i + 1, (g->n_captures - i) * sizeof *g->captures);
        memmove(g->capture_slots + i, g->capture_slots + i + 1, (g->n_captures - i) * sizeof *g->capture_slots);
        remove_input(g->owner, slot);
        v->is_capture = false;
        v->constant = NULL;
    }
    return g->n_captures != n;
}

void mbr_ir_node_move_before(mbr_ir_node *n, mbr_ir_node *before)
{
    unlink_node(n);
    link_before(n->graph, n, before);
}

mbr_ir_node *mbr_ir_single_user(const mbr_ir_value *v)
{
    if (v->uses != 1 || v->is_output)
        return NULL;
    /* users come after the producer */
    for (mbr_ir_node *n = v->producer ? v->producer->next : v->graph->first; n; n = n->next)
        for (uint32_t i = 0; i < n->n_inputs; i++)
            if (n->inputs[i] == v)
                return n;
    return NULL;
}

/* --- messages --- */

mbr_status mbr_ir_fail_at(const mbr_ir_node *n, mbr_error *err, mbr_status status)
{
    const char *who = n->origin && *n->origin ? n->origin : n->name;
    const char *made = n->n_outputs && n->outputs[0] ? n->outputs[0]->name : "";
    if (*who)
        return mbr_fail_at(err, status, "%s: node '%s' (%s): ", n->graph->module->file, who, n->op->name);
    return mbr_fail_at(err, status, "%s: node that makes '%s' (%s): ", n->graph->module->file, made, n->op->name);
}

mbr_status mbr_ir_fail(const mbr_ir_node *n, mbr_error *err, mbr_status status, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    mbr_vfail(err, status, fmt, args);
    va_end(args);
    return mbr_ir_fail_at(n, err, status);
}

/* --- attributes --- */

const mbr_ir_attr *mbr_attr(const mbr_ir_node *n, const char *name)
{
    for (uint32_t i = 0; i < n->n_attrs; i++)
        if (strcmp(n->attrs[i].name, name) == 0)
            return &n->attrs[i];
    return NULL;
}

static const mbr_ir_attr *attr_of(const mbr_ir_node *n, const char *name, mbr_attr_kind kind)
{
    const mbr_ir_attr *a = mbr_attr(n, name);
    return a && a->kind == kind ? a : NULL;
}

int64_t mbr_attr_int(const mbr_ir_node *n, const char *name, int64_t otherwise)
{
    const mbr_ir_attr *a = attr_of(n, name, MBR_ATTR_INT);
    return a ? a->i : otherwise;
}

float mbr_attr_float(const mbr_ir_node *n, const char *name, float otherwise)
{
    const mbr_ir_attr *a = attr_of(n, name, MBR_ATTR_FLOAT);
    return a ? a->f : otherwise;
}

const char *mbr_attr_string(const mbr_ir_node *n, const char *name, const char *otherwise)
{
    const mbr_ir_attr *a = attr_of(n, name, MBR_ATTR_STRING);
    return a ? a->s.data : otherwise;
}

bool mbr_ir_attr_equal(const mbr_ir_attr *a, const mbr_ir_attr *b)
{
    if (strcmp(a->name, b->name) != 0 || a->kind != b->kind || a->n != b->n)
        return false;
    switch (a->kind) {
    case MBR_ATTR_INT:
        return a->i == b->i;
    case MBR_ATTR_FLOAT:
        return memcmp(&a->f, &b->f, sizeof a->f) == 0;
    case MBR_ATTR_STRING:
        return a->s.size == b->s.size && memcmp(a->s.data, b->s.data, a->s.size) == 0;
    case MBR_ATTR_TENSOR:
        return a->tensor == b->tensor || mbr_value_equal(a->tensor, b->tensor);
    case MBR_ATTR_INTS:
        return a->n == 0 || memcmp(a->ints, b->ints, a->n * sizeof *a->ints) == 0;
    case MBR_ATTR_CODED:
        return a->coded->code == b->coded->code && a->coded->gap == b->coded->gap &&
               a->coded->bytes == b->coded->bytes && memcmp(a->coded->data, b->coded->data, a->coded->bytes) == 0;
    case MBR_ATTR_FLOATS:
        return a->n == 0 || memcmp(a->floats, b->floats, a->n * sizeof *a->floats) == 0;
    default:
        return false;
    }
}

const int64_t *mbr_attr_ints(const mbr_ir_node *n, const char *name, size_t *count)
{
    const mbr_ir_attr *a = attr_of(n, name, MBR_ATTR_INTS);
    *count = a ? a->n : 0;
    return a ? a->ints : NULL;
}

const struct mbr_coded *mbr_attr_coded(const mbr_ir_node *n, const char *name, size_t *count)
{
    const mbr_ir_attr *a = attr_of(n, name, MBR_ATTR_CODED);
    *count = a ? a->n : 0;
    return a ? a->coded : NULL;
}

const float *mbr_attr_floats(const mbr_ir_node *n, const char *name, size_t *count)
{
    const mbr_ir_attr *a = attr_of(n, name, MBR_ATTR_FLOATS);
    *count = a ? a->n : 0;
    return a ? a->floats : NULL;
}

const mbr_string *mbr_attr_strings(const mbr_ir_node *n, const char *name, size_t *count)
{
    const mbr_ir_attr *a = attr_of(n, name, MBR_ATTR_STRINGS);
    *count = a ? a->n : 0;
    return a ? a->strings : NULL;
}

const mbr_value *mbr_attr_tensor(const mbr_ir_node *n, const char *name)
{
    const mbr_ir_attr *a = attr_of(n, name, MBR_ATTR_TENSOR);
    return a ? a->tensor : NULL;
}

mbr_ir_graph *mbr_attr_graph(const mbr_ir_node *n, const char *name)
{
    const mbr_ir_attr *a = attr_of(n, name, MBR_ATTR_GRAPH);
    return a ? a->graph : NULL;
}

mbr_status mbr_ir_attr_add(mbr_ir_node *n, const mbr_ir_attr *attr, mbr_error *err)
{
    mbr_arena *arena = &n->graph->module->arena;
    mbr_ir_attr *slot = (mbr_ir_attr *)mbr_attr(n, attr->name);
    if (!slot) {
        mbr_ir_attr *attrs = mbr_arena_alloc(arena, (n->n_attrs + 1) * sizeof *attrs);
        if (!attrs)
            return mbr_no_memory(err, (n->n_attrs + 1) * sizeof *attrs);
        if (n->n_attrs)
            memcpy(attrs, n->attrs, n->n_attrs * sizeof *attrs);
        n->attrs = attrs;
        slot = &attrs[n->n_attrs++];
    }
    *slot = *attr;
    slot->name = mbr_arena_strdup(arena, attr->name);
    if (!slot->name) {
        n->n_attrs--;
        return mbr_no_memory(err, strlen(attr->name));
    }
    if (attr->kind == MBR_ATTR_GRAPH)
        return attach_graph(n, attr->graph, err);
    if (attr->kind == MBR_ATTR_GRAPHS)
        for (size_t i = 0; i < attr->n; i++)
            MBR_TRY(attach_graph(n, attr->graphs[i], err));
    return MBR_OK;
}

mbr_status mbr_ir_attr_int(mbr_ir_node *n, const char *name, int64_t v, mbr_error *err)
{
    return mbr_ir_attr_add(n, &(mbr_ir_attr){ .name = name, .kind = MBR_ATTR_INT, .n = 1, .i = v }, err);
}

mbr_status mbr_ir_attr_float(mbr_ir_node *n, const char *name, float v, mbr_error *err)
{
    return mbr_ir_attr_add(n, &(mbr_ir_attr){ .name = name, .kind = MBR_ATTR_FLOAT, .n = 1, .f = v }, err);
}

mbr_status mbr_ir_attr_string(mbr_ir_node *n, const char *name, const char *s, size_t size, mbr_error *err)
{
    const char *copy = mbr_arena_strndup(&n->graph->module->arena, s, size);
    if (!copy)
        return mbr_no_memory(err, size);
    return mbr_ir_attr_add(n, &(mbr_ir_attr){ .name = name, .kind = MBR_ATTR_STRING, .n = 1, .s = { copy, size } },
                           err);
}

mbr_status mbr_ir_attr_ints(mbr_ir_node *n, const char *name, const int64_t *v, size_t count, mbr_error *err)
{
    const int64_t *copy = mbr_arena_copy(&n->graph->module->arena, v, count * sizeof *v);
    if (!copy)
        return mbr_no_memory(err, count * sizeof *v);
    return mbr_ir_attr_add(n, &(mbr_ir_attr){ .name = name, .kind = MBR_ATTR_INTS, .n = count, .ints = copy }, err);
}

mbr_status mbr_ir_attr_floats(mbr_ir_node *n, const char *name, const float *v, size_t count, mbr_error *err)
{
    const float *copy = mbr_arena_copy(&n->graph->module->arena, v, count * sizeof *v);
    if (!copy)
        return mbr_no_memory(err, count * sizeof *v);
    return mbr_ir_attr_add(n, &(mbr_ir_attr){ .name = name, .kind = MBR_ATTR_FLOATS, .n = count, .floats = copy },
                           err);
}

mbr_status mbr_ir_attr_strings(mbr_ir_node *n, const char *name, const mbr_string *v, size_t count, mbr_error *err)
{
    mbr_arena *arena = &n->graph->module->arena;
    mbr_string *copy = mbr_arena_calloc(arena, count ? count : 1, sizeof *copy);
    if (!copy)
        return mbr_no_memory(err, count * sizeof *v);
    for (size_t i = 0; i < count; i++) {
        copy[i] = (mbr_string){ mbr_arena_strndup(arena, v[i].data, v[i].size), v[i].size };
        if (!copy[i].data)
            return mbr_no_memory(err, v[i].size);
    }
    return mbr_ir_attr_add(n, &(mbr_ir_attr){ .name = name, .kind = MBR_ATTR_STRINGS, .n = count, .strings = copy },
                           err);
}

mbr_status mbr_ir_attr_tensor(mbr_ir_node *n, const char *name, mbr_value *v, mbr_error *err)
{
    MBR_TRY(mbr_ir_own(n->graph->module, v, err));
    return mbr_ir_attr_add(n, &(mbr_ir_attr){ .name = name, .kind = MBR_ATTR_TENSOR, .n = 1, .tensor = v }, err);
}

mbr_status mbr_ir_attr_type(mbr_ir_node *n, const char *name, const mbr_ir_type *v, mbr_error *err)
{
    mbr_ir_type *copy = mbr_arena_alloc(&n->graph->module->arena, sizeof *copy);
    if (!copy)
        return mbr_no_memory(err, sizeof *copy);
    MBR_TRY(copy_type(&n->graph->module->arena, v, copy, 0, err));
    return mbr_ir_attr_add(n, &(mbr_ir_attr){ .name = name, .kind = MBR_ATTR_TYPE, .n = 1, .type = copy }, err);
}

mbr_status mbr_ir_attr_graph(mbr_ir_node *n, const char *name, mbr_ir_graph *g, mbr_error *err)
{
    return mbr_ir_attr_add(n, &(mbr_ir_attr){ .name = name, .kind = MBR_ATTR_GRAPH, .n = 1, .graph = g }, err);
}

mbr_status mbr_ir_attrs_copy(mbr_ir_node *to, const mbr_ir_node *from, mbr_error *err)
{
    for (uint32_t i = 0; i < from->n_attrs; i++)
        if (from->attrs[i].kind != MBR_ATTR_GRAPH && from->attrs[i].kind != MBR_ATTR_GRAPHS)
            MBR_TRY(mbr_ir_attr_add(to, &from->attrs[i], err));
    return MBR_OK;
}

/* --- invariants --- */

static mbr_status check_graph(const mbr_ir_graph *g, const mbr_ir_node *owner, int depth, mbr_error *err);

static bool readable(const mbr_ir_value *v, const uint8_t *made)
{
    return v->producer ? made[v->id] != 0 : v->is_input || v->is_capture || v->constant;
}

/* Counts what it reads, and notes what it makes. */
static mbr_status check_node(const mbr_ir_node *n, uint32_t *uses, uint8_t *made, int depth, mbr_error *err)
{
    const mbr_ir_graph *g = n->graph;
    if (n->next ? n->next->prev != n : g->last != n)
        return mbr_ir_fail(n, err, MBR_ERR_INTERNAL, "the list of nodes is broken");
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        const mbr_ir_value *v = n->inputs[i];
        if (!v)
            continue;
        if (v->graph != g)
            return mbr_ir_fail(n, err, MBR_ERR_INTERNAL, "input %u is of another graph", i);
        if (!readable(v, made))
            return mbr_ir_fail(n, err, MBR_ERR_INTERNAL, "input %u, '%s', is not made before", i, v->name);
        uses[v->id]++;
    }
    for (uint32_t i = 0; i < n->n_outputs; i++) {
        const mbr_ir_value *v = n->outputs[i];
        if (!v)
            continue;
        if (v->producer != n || v->producer_slot != i)
            return mbr_ir_fail(n, err, MBR_ERR_INTERNAL, "output %u does not know its node", i);
        made[v->id] = 1;
    }
    for (uint32_t i = 0; i < n->n_attrs; i++) {
        if (n->attrs[i].kind == MBR_ATTR_GRAPH && depth < 64)
            MBR_TRY(check_graph(n->attrs[i].graph, n, depth + 1, err));
        for (size_t k = 0; n->attrs[i].kind == MBR_ATTR_GRAPHS && depth < 64 && k < n->attrs[i].n; k++)
            MBR_TRY(check_graph(n->attrs[i].graphs[k], n, depth + 1, err));
    }
    return MBR_OK;
}

static mbr_status check_around(const mbr_ir_graph *g, const mbr_ir_node *owner, mbr_error *err)
{
    if (g->owner != owner)
        return mbr_fail(err, MBR_ERR_INTERNAL, "%s: graph '%s' does not know the node that holds it", g->module->file,
                        g->name);
    for (size_t i = 0; i < g->n_captures; i++)
        if (!g->captures[i]->is_capture || g->capture_slots[i] < owner->n_formal ||
            g->capture_slots[i] >= owner->n_inputs || !owner->inputs[g->capture_slots[i]])
            return mbr_fail(err, MBR_ERR_INTERNAL, "%s: capture '%s' is not fed", g->module->file, g->captures[i]->name);
    return MBR_OK;
}

static mbr_status check_graph(const mbr_ir_graph *g, const mbr_ir_node *owner, int depth, mbr_error *err)
{
    MBR_TRY(check_around(g, owner, err));
    uint32_t *uses = mbr_calloc(g->module->memory, g->n_values + 1, sizeof *uses);
    uint8_t *made = mbr_calloc(g->module->memory, g->n_values + 1, sizeof *made);
    mbr_status st = uses && made ? MBR_OK : mbr_no_memory(err, g->n_values * sizeof *uses);
    for (const mbr_ir_node *n = g->first; n && st == MBR_OK; n = n->next)
        st = check_node(n, uses, made, depth, err);
    for (size_t i = 0; i < g->n_outputs && st == MBR_OK; i++) {
        if (!readable(g->outputs[i], made))
            st = mbr_fail(err, MBR_ERR_INTERNAL, "%s: output '%s' is not made", g->module->file, g->outputs[i]->name);
        uses[g->outputs[i]->id]++;
    }
    for (size_t i = 0; i < g->n_values && st == MBR_OK; i++)
        if (g->values[i]->uses != uses[i] || g->values[i]->id != i)
            st = mbr_fail(err, MBR_ERR_INTERNAL, "%s: value '%s' counts %u uses, there are %u", g->module->file,
                          g->values[i]->name, g->values[i]->uses, uses[i]);
    mbr_free(g->module->memory, uses);
    mbr_free(g->module->memory, made);
    return st;
}

mbr_status mbr_ir_check(const mbr_ir_module *m, mbr_error *err)
{
    return check_graph(m->main, NULL, 0, err);
}
