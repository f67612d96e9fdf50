/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/snapshot_format.h"
#include "base/checked.h"
#include "engine/coded.h"

#include <string.h>

typedef struct writer {
    mbr_snapshot *s;
    const mbr_ir_module *module;
    mbr_error *err;
    mbr_status status; /* the first failure; all further writing does nothing */
    const mbr_op *ops[SNAPSHOT_OPS];
    size_t n_ops;
} writer;

/* What the program knows about the values and nodes of the graph that is being written. */
typedef struct graph_facts {
    const mbr_program *program;
    uint32_t *number;      /* (n_values) place among the values that are kept, 1-based; 0: not kept */
    uint32_t *packed_uses; /* (n_values) uses by steps that packed it */
    uint32_t kept;
} graph_facts;

static void stop(writer *w, mbr_status status)
{
    if (w->status == MBR_OK)
        w->status = status;
}

static void unfit(writer *w, const char *why)
{
    if (w->status == MBR_OK)
        w->status = mbr_fail(w->err, MBR_ERR_UNSUPPORTED, "%s", why);
}

/* --- bytes --- */

static void put(writer *w, const void *data, size_t n)
{
    mbr_snapshot *s = w->s;
    if (w->status != MBR_OK)
        return;
    if (n > s->image_room - s->image_bytes) {
        size_t room = s->image_room ? s->image_room * 2 : 65536;
        while (room < s->image_bytes + n)
            room *= 2;
        uint8_t *bigger = mbr_grow(s->memory, s->image, s->image_bytes, room);
        if (!bigger) {
            stop(w, mbr_no_memory(w->err, room));
            return;
        }
        s->image = bigger;
        s->image_room = room;
    }
    if (n)
        memcpy(s->image + s->image_bytes, data, n);
    s->image_bytes += n;
}

static void put_number(writer *w, uint64_t v)
{
    uint8_t bytes[10];
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        bytes[n++] = (uint8_t)(v | 0x80);
    bytes[n++] = (uint8_t)v;
    put(w, bytes, n);
}

static void put_signed(writer *w, int64_t v)
{
    put_number(w, (uint64_t)v << 1 ^ (v < 0 ? ~UINT64_C(0) : 0));
}

static void put_text(writer *w, const char *text, size_t n)
{
    put_number(w, n);
    put(w, text, n);
    put(w, "", 1);
}

/* NULL is kept apart from "". */
static void put_name(writer *w, const char *name)
{
    put_number(w, name != NULL);
    if (name)
        put_text(w, name, strlen(name));
}

static bool append_block(writer *w, const void *data, size_t bytes)
{
    mbr_snapshot *s = w->s;
    if (s->n_blocks == s->blocks_room) {
        size_t room = s->blocks_room ? s->blocks_room * 2 : 64;
        mbr_snapshot_block *bigger = mbr_grow(s->memory, s->blocks, s->n_blocks * sizeof *bigger,
                                              room * sizeof *bigger);
        if (!bigger) {
            stop(w, mbr_no_memory(w->err, room * sizeof *bigger));
            return false;
        }
        s->blocks = bigger;
        s->blocks_room = room;
    }
    s->blocks[s->n_blocks++] = (mbr_snapshot_block){ data, bytes };
    s->block_bytes += bytes;
    return true;
}

/* Adds a block, once for each address, and writes where it is. */
static void put_block(writer *w, const void *data, size_t bytes)
{
    mbr_snapshot *s = w->s;
    size_t at = 0, align = bytes >= SNAPSHOT_LARGE ? MBR_SNAPSHOT_PAGE : MBR_ALIGN;
    for (size_t i = 0; w->status == MBR_OK && i < s->n_blocks; at += s->blocks[i++].bytes)
        if (s->blocks[i].data == data && s->blocks[i].bytes == bytes) {
            put_number(w, at);
            return;
        }
    size_t gap = (align - at % align) % align;
    if (w->status != MBR_OK || (gap && !append_block(w, NULL, gap)) || !append_block(w, data, bytes))
        return;
    put_number(w, at + gap);
}

/* Bytes that are read where they lie, aligned for any number. */
static void put_array(writer *w, const void *data, size_t bytes)
{
    static const uint8_t zeros[8];
    if (bytes >= SNAPSHOT_SMALL) {
        put_block(w, data, bytes);
        return;
    }
    put(w, zeros, (8 - w->s->image_bytes % 8) % 8);
    put(w, data, bytes);
}

/* --- parts of a graph --- */

static void put_op(writer *w, const mbr_op *op)
{
    size_t i = 0;
    while (i < w->n_ops && w->ops[i] != op)
        i++;
    put_number(w, i);
    if (i < w->n_ops)
        return;
    if (i == SNAPSHOT_OPS || mbr_op_find(op->domain, op->name, op->since) != op) {
        unfit(w, "it has operators that are not the library's own, or very many");
        return;
    }
    w->ops[w->n_ops++] = op;
    put_text(w, op->domain, strlen(op->domain));
    put_text(w, op->name, strlen(op->name));
    put_number(w, (uint64_t)op->since);
}

static void put_type(writer *w, const mbr_ir_type *t, int depth)
{
    put_number(w, (uint64_t)t->kind);
    put_number(w, (uint64_t)t->dtype);
    put_number(w, (uint64_t)t->key);
    put_signed(w, t->rank);
    put_number(w, t->dims != NULL);
    for (int d = 0; t->dims && d < t->rank; d++)
        put_signed(w, t->dims[d]);
    put_number(w, t->item != NULL);
    if (t->item && depth > SNAPSHOT_DEPTH)
        unfit(w, "its types are nested too deep");
    else if (t->item)
        put_type(w, t->item, depth + 1);
}

/* The file of the source and the place in it where a constant lies. */
static bool in_source(const mbr_ir_module *m, const void *data, size_t bytes, size_t *file, size_t *at)
{
    const char *name;
    const mbr_filemap *map;
    for (size_t i = 0; m->source_file && (map = m->source_file(m->source, i, &name)); i++)
        if (mbr_filemap_holds(map, data, bytes)) {
            *file = i;
            *at = (size_t)((const uint8_t *)data - map->data);
            return true;
        }
    return false;
}

static void put_tensor(writer *w, const mbr_value *v, bool needed)
{
    if (v->kind != MBR_KIND_TENSOR) {
        unfit(w, "it has a constant that is no tensor");
        return;
    }
    size_t bytes = mbr_value_bytes(v), file, at;
    put_number(w, (uint64_t)v->dtype);
    put_number(w, (uint64_t)v->rank);
    for (int d = 0; d < v->rank; d++)
        put_number(w, (uint64_t)v->dims[d]);
    put_name(w, v->name);
    if (v->dtype == MBR_DTYPE_STRING) {
        const mbr_string *text = v->data;
        put_number(w, SNAPSHOT_TEXT);
        for (size_t i = 0; i < mbr_value_count(v); i++)
            put_text(w, text[i].data, text[i].size);
    } else if (bytes && !v->data && needed) {
        unfit(w, "a constant is gone");
    } else if (bytes && (!v->data || (!needed && bytes >= SNAPSHOT_SMALL))) {
        put_number(w, SNAPSHOT_NO_DATA);
    } else if (bytes >= SNAPSHOT_LARGE && in_source(w->module, v->data, bytes, &file, &at)) {
        put_number(w, SNAPSHOT_IN_FILE);
        put_number(w, file);
        put_number(w, at);
    } else {
        put_number(w, SNAPSHOT_HERE);
        put_array(w, v->data, bytes);
    }
}

static void put_content(writer *w, const mbr_dim *content, size_t n)
{
    put_number(w, content ? n + 1 : 0);
    for (size_t i = 0; content && i < n; i++)
        put_signed(w, content[i]);
}

static void put_value(writer *w, const graph_facts *g, const mbr_ir_value *v)
{
    put_text(w, v->name, strlen(v->name));
    put_type(w, &v->type, 0);
    put_number(w, v->uses);
    put_number(w, (unsigned)v->is_input | (unsigned)v->is_output << 1 | (unsigned)v->is_capture << 2 |
                      (unsigned)v->has_default << 3 | (unsigned)(v->constant != NULL) << 4 |
                      (unsigned)(v->axis_names != NULL) << 5);
    put_number(w, (uint64_t)v->space);
    put_number(w, (uint64_t)v->storage);
    put_content(w, v->content, v->n_content);
    if (v->quant)
        unfit(w, "it has values with a quantisation attached");
    if (v->constant)
        put_tensor(w, v->constant, v->has_default || v->uses > g->packed_uses[v->id]);
    for (int d = 0; v->axis_names && d < v->type.rank; d++)
        put_name(w, v->axis_names[d]);
}

static void put_graph(writer *w, const mbr_ir_graph *g, const mbr_program *p, int depth);

static const mbr_program *body_of(const mbr_program_step *s, const char *attr)
{
    for (uint32_t i = 0; s && i < s->n_bodies; i++)
        if (strcmp(s->bodies[i].attr, attr) == 0)
            return s->bodies[i].program;
    return NULL;
}

/* With the gap of the first element. */
static void put_coded(writer *w, const mbr_coded *a)
{
    const uint8_t *data = a->data - a->gap;
    size_t bytes = a->bytes + a->gap, file, at;
    bool there = bytes >= SNAPSHOT_LARGE && in_source(w->module, data, bytes, &file, &at);
    put_number(w, (uint64_t)a->code);
    put_number(w, a->gap);
    put_number(w, bytes);
    put_number(w, there ? SNAPSHOT_IN_FILE : SNAPSHOT_HERE);
    if (there) {
        put_number(w, file);
        put_number(w, at);
    } else {
        put_array(w, data, bytes);
    }
}

static void put_attr(writer *w, const mbr_ir_attr *a, const mbr_program_step *step, int depth)
{
    put_text(w, a->name, strlen(a->name));
    put_number(w, (uint64_t)a->kind);
    put_number(w, a->n);
    switch (a->kind) {
    case MBR_ATTR_INT:
        put_signed(w, a->i);
        break;
    case MBR_ATTR_FLOAT:
        put(w, &a->f, sizeof a->f);
        break;
    case MBR_ATTR_STRING:
        put_text(w, a->s.data, a->s.size);
        break;
    case MBR_ATTR_TENSOR:
        put_tensor(w, a->tensor, true);
        break;
    case MBR_ATTR_GRAPH:
        put_graph(w, a->graph, body_of(step, a->name), depth + 1);
        break;
    case MBR_ATTR_TYPE:
        put_type(w, a->type, 0);
        break;
    case MBR_ATTR_INTS:
        put_array(w, a->ints, a->n * sizeof *a->ints);
        break;
    case MBR_ATTR_CODED:
        put_coded(w, a->coded);
        break;
    case MBR_ATTR_FLOATS:
        put_array(w, a->floats, a->n * sizeof *a->floats);
        break;
    case MBR_ATTR_STRINGS:
        for (size_t i = 0; i < a->n; i++)
            put_text(w, a->strings[i].data, a->strings[i].size);
        break;
    case MBR_ATTR_TENSORS:
        for (size_t i = 0; i < a->n; i++)
            put_tensor(w, a->tensors[i], true);
        break;
    case MBR_ATTR_GRAPHS:
        unfit(w, "it has an attribute of several graphs");
        break;
    }
}

static void put_links(writer *w, const graph_facts *g, mbr_ir_value *const *values, size_t n)
{
    put_number(w, n);
    for (size_t i = 0; i < n; i++)
        put_number(w, values[i] ? g->number[values[i]->id] : 0);
}

static void put_node(writer *w, const graph_facts *g, const mbr_ir_node *n, const mbr_program_step *step, int depth)
{
    put_op(w, n->op);
    put_text(w, n->name, strlen(n->name));
    put_name(w, n->origin);
    put_number(w, (uint64_t)n->opset);
    put_number(w, n->n_formal);
    put_links(w, g, n->inputs, n->n_inputs);
    put_links(w, g, n->outputs, n->n_outputs);
    put_number(w, n->n_attrs);
    for (uint32_t i = 0; i < n->n_attrs; i++)
        put_attr(w, &n->attrs[i], step, depth);
    bool packed = step && step->packed;
    put_number(w, packed ? step->packed_bytes : 0);
    if (packed) {
        put_number(w, step->packed_inputs);
        put_block(w, step->packed, step->packed_bytes);
    }
}

/* --- graphs --- */

static void keep(graph_facts *g, const mbr_ir_value *v)
{
    if (v && !g->number[v->id])
        g->number[v->id] = ++g->kept;
}

static void find_kept(graph_facts *f, const mbr_ir_graph *g)
{
    for (size_t i = 0; i < g->n_inputs; i++)
        keep(f, g->inputs[i]);
    for (size_t i = 0; i < g->n_captures; i++)
        keep(f, g->captures[i]);
    for (const mbr_ir_node *n = g->first; n; n = n->next) {
        for (uint32_t i = 0; i < n->n_inputs; i++)
            keep(f, n->inputs[i]);
        for (uint32_t i = 0; i < n->n_outputs; i++)
            keep(f, n->outputs[i]);
    }
    for (size_t i = 0; i < g->n_outputs; i++)
        keep(f, g->outputs[i]);
    for (uint32_t k = 0; f->program && k < f->program->n_steps; k++) {
        const mbr_program_step *s = &f->program->steps[k];
        for (uint32_t i = 0; s->packed && i < 32 && i < s->node->n_inputs; i++)
            if ((s->packed_inputs >> i & 1) && s->node->inputs[i])
                f->packed_uses[s->node->inputs[i]->id]++;
    }
}

/* Values in the order of their new numbers: order is (kept). */
static void put_values(writer *w, const graph_facts *f, const mbr_ir_graph *g, const mbr_ir_value **order)
{
    for (size_t i = 0; i < g->n_values; i++)
        if (f->number[i])
            order[f->number[i] - 1] = g->values[i];
    put_number(w, f->kept);
    for (uint32_t i = 0; i < f->kept; i++)
        put_value(w, f, order[i]);
}

static void put_nodes(writer *w, const graph_facts *f, const mbr_ir_graph *g, int depth)
{
    size_t n = 0;
    uint32_t k = 0;
    for (const mbr_ir_node *node = g->first; node; node = node->next)
        n++;
    put_number(w, n);
    for (const mbr_ir_node *node = g->first; node && w->status == MBR_OK; node = node->next) {
        const mbr_program_step *step = NULL; /* steps come in the order of their nodes */
        if (f->program && k < f->program->n_steps && f->program->steps[k].node == node)
            step = &f->program->steps[k++];
        put_node(w, f, node, step, depth);
    }
}

static void put_graph(writer *w, const mbr_ir_graph *g, const mbr_program *p, int depth)
{
    mbr_memory *memory = w->s->memory;
    graph_facts f = { .program = p };
    if (depth > SNAPSHOT_DEPTH) {
        unfit(w, "its graphs are nested too deep");
        return;
    }
    f.number = mbr_calloc(memory, g->n_values + 1, sizeof *f.number);
    f.packed_uses = mbr_calloc(memory, g->n_values + 1, sizeof *f.packed_uses);
    const mbr_ir_value **order = mbr_calloc(memory, g->n_values + 1, sizeof *order);
    if (f.number && f.packed_uses && order) {
        find_kept(&f, g);
        put_text(w, g->name, strlen(g->name));
        put_number(w, g->scope);
        put_values(w, &f, g, order);
        put_links(w, &f, g->inputs, g->n_inputs);
        put_links(w, &f, g->outputs, g->n_outputs);
        put_number(w, g->output_names != NULL);
        for (size_t i = 0; g->output_names && i < g->n_outputs; i++)
            put_name(w, g->output_names[i]);
        put_links(w, &f, g->captures, g->n_captures);
        for (size_t i = 0; i < g->n_captures; i++)
            put_number(w, g->capture_slots[i]);
        put_nodes(w, &f, g, depth);
    } else {
        stop(w, mbr_no_memory(w->err, g->n_values * sizeof *order));
    }
    mbr_free(memory, f.number);
    mbr_free(memory, f.packed_uses);
    mbr_free(memory, order);
}

/* --- the whole --- */

static void put_files(writer *w)
{
    const mbr_ir_module *m = w->module;
    size_t n = 0;
    const char *name;
    while (m->source_file && m->source_file(m->source, n + 1, &name))
        n++;
    put_number(w, n);
    for (size_t i = 1; i <= n; i++) {
        (void)m->source_file(m->source, i, &name);
        put_text(w, name, strlen(name));
    }
}

static void put_dims(writer *w, const mbr_dim_table *t)
{
    put_number(w, t->n);
    for (size_t i = 0; i < t->n; i++) {
        const mbr_dim_expr *e = &t->exprs[i];
        put_number(w, (uint64_t)e->op);
        put_number(w, e->scope);
        if (e->op == MBR_DIM_SYMBOL) {
            put_name(w, e->name);
        } else {
            put_signed(w, e->a);
            put_signed(w, e->b);
        }
        put_signed(w, e->low);
    }
}

mbr_status mbr_snapshot_take(mbr_snapshot *s, mbr_memory *memory, const mbr_ir_module *module,
                             const mbr_program *program,
                             const mbr_op_use *uses, size_t n_uses, mbr_error *err)
{
    writer w = { .s = s, .module = module, .err = err };
    memset(s, 0, sizeof *s);
    s->memory = memory;
    put_files(&w); /* first: see mbr_snapshot_file */
    put_text(&w, module->producer, strlen(module->producer));
    put_signed(&w, module->ir_version);
    put_number(&w, module->n_nodes_in_file);
    put_number(&w, module->next_scope);
    put_number(&w, module->n_opsets);
    for (size_t i = 0; i < module->n_opsets; i++) {
        put_text(&w, module->opsets[i].domain, strlen(module->opsets[i].domain));
        put_number(&w, (uint64_t)module->opsets[i].version);
    }
    put_number(&w, n_uses);
    for (size_t i = 0; i < n_uses; i++) {
        put_op(&w, uses[i].op);
        put_number(&w, uses[i].nodes);
    }
    put_dims(&w, &module->dims);
    put_graph(&w, module->main, program, 0);
    if (w.status != MBR_OK)
        mbr_snapshot_free(s);
    return w.status;
}

void mbr_snapshot_free(mbr_snapshot *s)
{
    if (!s->memory)
        return;
    mbr_free(s->memory, s->image);
    mbr_free(s->memory, s->blocks);
    memset(s, 0, sizeof *s);
}
