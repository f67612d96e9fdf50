/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/ops/op.h"
#include "importers/onnx/onnx_import.h"
#include "importers/onnx/onnx_model.h"

#include <string.h>

char mbr_onnx_absent[1];

/* --- names to values --- */

/* The stand-in of a value of some graph around in the graph of this level. */
static mbr_status bring(const mbr_onnx_level *level, mbr_ir_value *v, mbr_ir_value **out, mbr_error *err)
{
    if (!level)
        return mbr_fail(err, MBR_ERR_INTERNAL, "value '%s' is of no graph around", v->name);
    if (level->graph == v->graph) {
        *out = v;
        return MBR_OK;
    }
    mbr_ir_value *outer;
    MBR_TRY(bring(level->outer, v, &outer, err));
    return mbr_ir_capture(level->graph, outer, out, err);
}

/* What a name means here. *out is NULL for a function's input that the call leaves out. */
static mbr_status find_value(mbr_onnx_scope *scope, const mbr_onnx_level *level, const char *name, mbr_ir_value **out,
                             mbr_error *err)
{
    void *thing = NULL;
    const mbr_onnx_scope *s = scope;
    for (; s && !thing; s = s->outer)
        thing = mbr_onnx_names_get(&s->values, name);
    *out = NULL;
    if (!thing)
        return mbr_fail(err, MBR_ERR_MODEL, "'%s' is made by no node before it, and is no input or initializer", name);
    if (thing == mbr_onnx_absent)
        return MBR_OK;
    MBR_TRY(bring(level, thing, out, err));
    return *out == thing ? MBR_OK : mbr_onnx_names_put(&scope->values, name, *out, err); /* the next look-up is short */
}

/* Fails when a name means something in this very scope already, other than a stand-in of an outer value. */
static mbr_status check_free(const mbr_onnx_scope *scope, const char *name, mbr_error *err)
{
    void *thing = mbr_onnx_names_get(&scope->values, name);
    if (!thing || (thing != mbr_onnx_absent && ((mbr_ir_value *)thing)->is_capture))
        return MBR_OK;
    return mbr_fail(err, MBR_ERR_MODEL, "the name '%s' is given to two values; names must be unique", name);
}

/* A new value of the level's graph that the name means from now on. */
static mbr_status define(mbr_onnx_scope *scope, const mbr_onnx_level *level, const char *name, mbr_ir_value **out,
                         mbr_error *err)
{
    MBR_TRY(check_free(scope, name, err));
    *out = mbr_onnx_names_get(&scope->wanted, name);
    if (!*out) {
        /* inside a function the caller's names come first, and a stand-in may have taken a subgraph's */
        bool taken = (scope->call && !scope->outer) || mbr_ir_find(level->graph, name);
        MBR_TRY(mbr_ir_value_new(level->graph, taken ? NULL : name, out, err));
    }
    return mbr_onnx_names_put(&scope->values, name, *out, err);
}

/* --- nodes --- */

static mbr_status nodes(mbr_onnx_importer *m, Mbr__Onnx__NodeProto *const *list, size_t n, mbr_onnx_scope *scope,
                        const mbr_onnx_level *level, mbr_error *err);

/* What a node reads, and the values that it makes; NULL: left out. */
typedef struct ends {
    mbr_ir_value **in, **out;
} ends;

static mbr_status find_ends(mbr_onnx_importer *m, const Mbr__Onnx__NodeProto *p, mbr_onnx_scope *scope,
                            const mbr_onnx_level *level, ends *e, mbr_error *err)
{
    e->in = mbr_arena_calloc(&m->scratch, p->n_input + 1, sizeof *e->in);
    e->out = mbr_arena_calloc(&m->scratch, p->n_output + 1, sizeof *e->out);
    if (!e->in || !e->out)
        return mbr_no_memory(err, (p->n_input + p->n_output) * sizeof *e->in);
    for (size_t i = 0; i < p->n_input; i++)
        if (p->input[i][0])
            MBR_TRY(find_value(scope, level, p->input[i], &e->in[i], err));
    for (size_t i = 0; i < p->n_output; i++)
        if (p->output[i][0])
            MBR_TRY(define(scope, level, p->output[i], &e->out[i], err));
    return MBR_OK;
}

/* A function's body in place of a node. */
static mbr_status inline_function(mbr_onnx_importer *m, const Mbr__Onnx__FunctionProto *f,
                                  const Mbr__Onnx__NodeProto *p, mbr_onnx_scope *caller, const mbr_onnx_level *level,
                                  const ends *e, mbr_error *err)
{
    for (const mbr_onnx_call *c = caller->call; c; c = c->caller->call)
        if (c->function == f)
            return mbr_fail(err, MBR_ERR_MODEL, "function '%s' calls itself, which ONNX does not allow",
                            mbr_onnx_text(f->name));
    if (p->n_input > f->n_input || p->n_output > f->n_output)
        return mbr_fail(err, MBR_ERR_MODEL, "%zu inputs and %zu outputs; function '%s' has %zu and %zu", p->n_input,
                        p->n_output, mbr_onnx_text(f->name), f->n_input, f->n_output);
    const char *outer_path = caller->call ? caller->call->path : "", *own = mbr_onnx_text(p->name);
    if (!own[0])
        own = mbr_onnx_text(p->op_type);
    size_t length = strlen(outer_path) + strlen(own) + 2;
    char *path = mbr_arena_alloc(&m->scratch, length);
    mbr_onnx_call *call = mbr_arena_calloc(&m->scratch, 1, sizeof *call);
    mbr_onnx_scope *scope = mbr_arena_calloc(&m->scratch, 1, sizeof *scope);
    if (!path || !call || !scope)
        return mbr_no_memory(err, length);
    memcpy(path, outer_path, strlen(outer_path));
    memcpy(path + strlen(outer_path), own, strlen(own));
    memcpy(path + length - 2, "/", 2);
    *call = (mbr_onnx_call){ .function = f, .node = p, .caller = caller, .path = path };
    *scope = (mbr_onnx_scope){ .values.arena = &m->scratch, .wanted.arena = &m->scratch, .call = call };

    for (size_t i = 0; i < f->n_input; i++) {
        void *thing = i < p->n_input && e->in[i] ? (void *)e->in[i] : mbr_onnx_absent;
        MBR_TRY(check_free(scope, f->input[i], err));
        MBR_TRY(mbr_onnx_names_put(&scope->values, f->input[i], thing, err));
    }
    for (size_t i = 0; i < p->n_output; i++)
        if (e->out[i] && !mbr_onnx_names_get(&scope->wanted, f->output[i]))
            MBR_TRY(mbr_onnx_names_put(&scope->wanted, f->output[i], e->out[i], err));
    MBR_TRY(nodes(m, f->node, f->n_node, scope, level, err));
    for (size_t i = 0; i < p->n_output; i++) {
        mbr_ir_value *made;
        mbr_ir_node *copy;
        if (!e->out[i])
            continue;
        MBR_TRY(find_value(scope, level, f->output[i], &made, err));
        if (!made)
            return mbr_fail(err, MBR_ERR_MODEL, "output %zu of function '%s' is an input that is left out", i,
                            mbr_onnx_text(f->name));
        if (made != e->out[i]) /* an input handed through, or one value under two names */
            MBR_TRY(mbr_ir_node_new(level->graph, NULL, "", "Identity", 1, path, &made, 1, &e->out[i], 1, &copy, err));
    }
    return MBR_OK;
}

/* The version of a domain where this node stands; 0: not imported. */
static int version_of(const mbr_onnx_importer *m, const mbr_onnx_scope *scope, const char *domain)
{
    if (!scope->call)
        return mbr_ir_opset(m->module, domain);
    const Mbr__Onnx__FunctionProto *f = scope->call->function;
    for (size_t i = 0; i < f->n_opset_import; i++)
        if (strcmp(mbr_onnx_domain(f->opset_import[i]->domain), domain) == 0)
            return (int)f->opset_import[i]->version; /* checked before */
    return mbr_ir_opset(m->module, domain);
}

static mbr_status node(mbr_onnx_importer *m, const Mbr__Onnx__NodeProto *p, mbr_onnx_scope *scope,
                       const mbr_onnx_level *level, mbr_error *err)
{
    const char *op = mbr_onnx_text(p->op_type), *domain = mbr_onnx_domain(p->domain), *name = mbr_onnx_text(p->name);
    if (!op[0])
        return mbr_fail(err, MBR_ERR_MODEL, "it has no op_type");
    if (++m->nodes > MBR_ONNX_MAX_NODES)
        return mbr_fail(err, MBR_ERR_LIMIT, "more than %zu nodes once functions are put in place; that is hardly a model",
                        MBR_ONNX_MAX_NODES);
    if (!scope->call)
        m->module->n_nodes_in_file++;
    ends e;
    MBR_TRY(find_ends(m, p, scope, level, &e, err));
    int version = version_of(m, scope, domain);
    const Mbr__Onnx__FunctionProto *f = NULL;
    MBR_TRY(mbr_onnx_find_function(m, domain, op, mbr_onnx_text(p->overload), &f, err));
    if (f && (version == 0 || !mbr_ir_find_op(m->module, domain, op, version)))
        return inline_function(m, f, p, scope, level, &e, err);
    if (version == 0)
        return mbr_fail(err, MBR_ERR_MODEL, "the model does not say which version of domain '%s' it means (opset_import)",
                        domain[0] ? domain : "ai.onnx");
    if (!domain[0] && strcmp(op, "Constant") == 0 && p->n_output == 1 && !p->n_input) {
        mbr_value *data;
        MBR_TRY(mbr_onnx_constant(m, p, scope, &data, err));
        if (e.out[0])
            return mbr_ir_set_constant(e.out[0], data, err);
        mbr_value_drop(data);
        return MBR_OK;
    }
    if (scope->call) {
        size_t before = strlen(scope->call->path), after = strlen(name);
        char *both = mbr_arena_alloc(&m->scratch, before + after + 1);
        if (!both)
            return mbr_no_memory(err, before + after + 1);
        memcpy(both, scope->call->path, before);
        memcpy(both + before, name, after + 1);
        name = both;
    }
    mbr_ir_node *made;
    MBR_TRY(mbr_ir_node_new(level->graph, NULL, domain, op, version, name, e.in, p->n_input, e.out, p->n_output, &made,
                            err));
    return mbr_onnx_attrs(m, p, scope, level, made, err);
}

static mbr_status nodes(mbr_onnx_importer *m, Mbr__Onnx__NodeProto *const *list, size_t n, mbr_onnx_scope *scope,
                        const mbr_onnx_level *level, mbr_error *err)
{
    const uint32_t *order;
    if (m->nesting == MBR_ONNX_NESTING)
        return mbr_fail(err, MBR_ERR_LIMIT, "subgraphs and functions are nested more than %d deep", MBR_ONNX_NESTING);
    MBR_TRY(mbr_onnx_order(&m->scratch, list, n, &order, err));
    m->nesting++;
    for (size_t i = 0; i < n; i++) {
        const Mbr__Onnx__NodeProto *p = list[order ? order[i] : i];
        mbr_status st = node(m, p, scope, level, err);
        if (st != MBR_OK)
            return mbr_onnx_fail_at_node(m, p, scope->call != NULL, st, err);
    }
    m->nesting--;
    return MBR_OK;
}

/* --- graphs --- */

static mbr_status constant(const mbr_onnx_level *level, mbr_onnx_scope *scope, const char *name, mbr_value *data,
                           mbr_error *err)
{
    mbr_ir_value *v;
    mbr_status st = MBR_OK;
    if (!name[0])
        st = mbr_fail(err, MBR_ERR_MODEL, "an initializer has no name");
    else
        st = define(scope, level, name, &v, err);
    if (st != MBR_OK) {
        mbr_value_drop(data);
        return st;
    }
    return mbr_ir_set_constant(v, data, err);
}

static mbr_status initializers(mbr_onnx_importer *m, const Mbr__Onnx__GraphProto *p, mbr_onnx_scope *scope,
                               const mbr_onnx_level *level, mbr_error *err)
{
    mbr_value *data;
    mbr_onnx_reader reader = m->reader;
    reader.any_address = true;
    for (size_t i = 0; i < p->n_initializer; i++) {
        mbr_status st = mbr_onnx_tensor(&reader, p->initializer[i], &data, err);
        if (st != MBR_OK)
            return mbr_fail_at(err, st, "initializer: ");
        MBR_TRY(constant(level, scope, mbr_onnx_text(p->initializer[i]->name), data, err));
    }
    for (size_t i = 0; i < p->n_sparse_initializer; i++) {
        const Mbr__Onnx__SparseTensorProto *s = p->sparse_initializer[i];
        mbr_status st = mbr_onnx_sparse_tensor(&m->reader, s, &data, err);
        if (st != MBR_OK)
            return mbr_fail_at(err, st, "sparse initializer: ");
        MBR_TRY(constant(level, scope, mbr_onnx_text(s->values->name), data, err));
    }
    return MBR_OK;
}

/*
 * An initializer that is listed as an input is a default, which a run may replace. Before IR version 4 all had to be
 * listed, and some exporters went on so; nobody means to replace weights then, and constants make a faster program.
 */
static bool lists_all_initializers(const mbr_onnx_importer *m, const Mbr__Onnx__GraphProto *p,
                                   const mbr_onnx_scope *scope)
{
    size_t listed = 0;
    if (m->module->ir_version < 4)
        return true;
    for (size_t i = 0; i < p->n_input; i++)
        listed += mbr_onnx_names_get(&scope->values, mbr_onnx_text(p->input[i]->name)) != NULL;
    return listed > 4 && listed >= p->n_initializer + p->n_sparse_initializer;
}

static mbr_status input(mbr_onnx_importer *m, const Mbr__Onnx__ValueInfoProto *p, mbr_onnx_scope *scope,
                        const mbr_onnx_level *level, mbr_error *err)
{
    const char *name = mbr_onnx_text(p->name);
    bool main = level->outer == NULL;
    if (!name[0])
        return mbr_fail(err, MBR_ERR_MODEL, "it has no name");
    mbr_ir_value *v = mbr_onnx_names_get(&scope->values, name);
    if (v && !v->is_input && v->constant) {
        if (main && m->fixed_defaults)
            return MBR_OK;
        v->has_default = true;
    } else
        MBR_TRY(define(scope, level, name, &v, err));
    mbr_ir_type type;
    MBR_TRY(mbr_onnx_type(m, p->type, main, &type, err));
    if (main && type.kind == MBR_KIND_TENSOR && type.dtype == MBR_DTYPE_UNDEFINED)
        return mbr_fail(err, MBR_ERR_MODEL, "it has no element type");
    MBR_TRY(mbr_ir_set_type(v, &type, err));
    if (main)
        MBR_TRY(mbr_onnx_axis_names(m, p->type, &v->axis_names, err));
    return mbr_ir_add_input(level->graph, v, err);
}

/*
 * Names and types that a graph declares for what its nodes make are only hints: the kind and the element type, in case
 * inference finds none. Sizes are not believed.
 */
static mbr_status hint(mbr_onnx_importer *m, const Mbr__Onnx__ValueInfoProto *p, mbr_ir_value *v, mbr_error *err)
{
    mbr_ir_type type;
    if (!p->type || !v || v->constant || v->is_input || v->is_capture || v->type.dtype || v->type.kind)
        return MBR_OK;
    MBR_TRY(mbr_onnx_type(m, p->type, false, &type, err));
    return mbr_ir_set_type(v, &type, err);
}

static mbr_status output(mbr_onnx_importer *m, const Mbr__Onnx__ValueInfoProto *p, mbr_onnx_scope *scope,
                         const mbr_onnx_level *level, mbr_error *err)
{
    mbr_ir_value *v;
    MBR_TRY(find_value(scope, level, mbr_onnx_text(p->name), &v, err));
    if (!v)
        return mbr_fail(err, MBR_ERR_MODEL, "it is an input of a function that the call leaves out");
    MBR_TRY(hint(m, p, v, err));
    if (!level->outer && !v->axis_names)
        MBR_TRY(mbr_onnx_axis_names(m, p->type, &v->axis_names, err));
    return mbr_ir_add_output(level->graph, v, err);
}

static mbr_status fill(mbr_onnx_importer *m, const Mbr__Onnx__GraphProto *p, mbr_onnx_scope *scope,
                       const mbr_onnx_level *level, mbr_error *err)
{
    mbr_status st;
    MBR_TRY(initializers(m, p, scope, level, err));
    if (!level->outer)
        m->fixed_defaults = lists_all_initializers(m, p, scope);
    for (size_t i = 0; i < p->n_input; i++) {
        st = input(m, p->input[i], scope, level, err);
        if (st != MBR_OK)
            return mbr_fail_at(err, st, "input '%s': ", mbr_onnx_text(p->input[i]->name));
    }
    MBR_TRY(nodes(m, p->node, p->n_node, scope, level, err));
    for (size_t i = 0; i < p->n_output; i++) {
        st = output(m, p->output[i], scope, level, err);
        if (st != MBR_OK)
            return mbr_fail_at(err, st, "output '%s': ", mbr_onnx_text(p->output[i]->name));
    }
    for (size_t i = 0; i < p->n_value_info; i++)
        MBR_TRY(hint(m, p->value_info[i], mbr_ir_find(level->graph, mbr_onnx_text(p->value_info[i]->name)), err));
    return MBR_OK;
}

mbr_status mbr_onnx_graph(mbr_onnx_importer *m, const Mbr__Onnx__GraphProto *p, const mbr_onnx_scope *outer,
                          const mbr_onnx_level *outer_level, mbr_ir_graph **out, mbr_error *err)
{
    mbr_onnx_scope *scope = mbr_arena_calloc(&m->scratch, 1, sizeof *scope);
    mbr_onnx_level *level = mbr_arena_calloc(&m->scratch, 1, sizeof *level);
    *out = NULL;
    if (!scope || !level)
        return mbr_no_memory(err, sizeof *scope);
    *scope = (mbr_onnx_scope){ .values.arena = &m->scratch, .wanted.arena = &m->scratch, .outer = outer,
                               .call = outer ? outer->call : NULL };
    level->outer = outer_level;
    MBR_TRY(mbr_ir_graph_new(m->module, mbr_onnx_text(p->name), &level->graph, err));
    MBR_TRY(fill(m, p, scope, level, err));
    *out = level->graph;
    return MBR_OK;
}
