/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/auto.h"
#include "base/checked.h"
#include "engine/replicas.h"
#include "engine/text.h"
#include "importers/importer.h"

#include <stdlib.h>
#include <string.h>

/* --- opening --- */

static void model_drop(mbr_model *m)
{
    if (!m || atomic_fetch_sub(&m->refs, 1) != 1)
        return;
    mbr_memory *memory = &m->env->memory;
    model_drop(atomic_load(&m->variant));
    mbr_device *device = m->module ? m->module->device : NULL;
    mbr_program_free(m->program);
    if (device)
        device->fn->forget(device, m->module);
    mbr_ir_module_free(m->module);
    mbr_free(memory, m->given);
    mbr_free(memory, m->pins);
    mbr_free(memory, m->cache_dir);
    mbr_free(memory, m->inputs);
    mbr_free(memory, m->uses);
    mbr_free(memory, m->cache_entry);
    mbr_free(memory, m->source.path);
    mbr_free(memory, m->source.kept);
    mbr_free(memory, m);
}

mbr_status mbr_model_import(const mbr_model *m, mbr_ir_module **out, mbr_error *err)
{
    mbr_memory *memory = &m->env->memory;
    if (m->source.path)
        return mbr_import_file(memory, &m->env->log, &m->env->ops, m->source.path, out, err);
    mbr_import_source source = { .memory = memory, .log = &m->env->log, .ops = &m->env->ops,
                                 .name = "model in memory" };
    source.map = mbr_filemap_borrow(m->source.data, m->source.bytes);
    return mbr_import(&source, out, err);
}

/* Inputs that initializers give a default come after the others do not count as positions: `input_K.pb` and the API
   count those that must be bound first, in graph order, then those with a default. */
static mbr_status order_inputs(mbr_model *m, mbr_error *err)
{
    const mbr_ir_graph *g = m->module->main;
    m->inputs = mbr_calloc(&m->env->memory, g->n_inputs + 1, sizeof *m->inputs);
    if (!m->inputs)
        return mbr_no_memory(err, g->n_inputs * sizeof *m->inputs);
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < g->n_inputs; i++)
            if (g->inputs[i]->has_default == (round == 1))
                m->inputs[m->n_inputs++] = (uint32_t)i;
    return MBR_OK;
}

/* Which operators the file uses, for introspection: the passes replace many of them. */
static mbr_status count_graph_ops(mbr_ir_graph *g, void *user, mbr_error *err)
{
    mbr_model *m = user;
    for (const mbr_ir_node *n = g->first; n; n = n->next) {
        size_t i = 0;
        while (i < m->n_uses && m->uses[i].op != n->op)
            i++;
        if (i == m->n_uses) {
            if ((i & (i - 1)) == 0) { /* full at powers of two */
                mbr_op_use *uses = mbr_grow(&m->env->memory, m->uses, i * sizeof *uses, (i ? i * 2 : 1) * sizeof *uses);
                if (!uses)
                    return mbr_no_memory(err, i * sizeof *uses);
                m->uses = uses;
            }
            m->uses[m->n_uses++] = (mbr_op_use){ n->op, 0 };
        }
        m->uses[i].nodes++;
    }
    return MBR_OK;
}

/* Where the cache is by the options, else the environment; NULL: off. */
static const char *cache_place(const mbr_model_options *o)
{
    const char *place = o->cache_dir ? o->cache_dir : getenv("MBR_CACHE");
    return place && *place && strcmp(place, "off") != 0 ? place : NULL;
}

static void take_cached(mbr_model *m, mbr_cached *found)
{
    mbr_ir_module_free(m->module);
    mbr_free(&m->env->memory, m->uses);
    m->module = found->module;
    m->uses = found->uses;
    m->n_uses = found->n_uses;
    m->module->team = m->env->team;
}

/* Where there is no memory for them, all threads read the same. */
static void make_replicas(mbr_model *m)
{
    int nodes = mbr_team_nodes(m->env->team);
    mbr_status st = mbr_replicas_make(m->program, m->env->team, m->replica_budget, &m->replica_bytes, NULL);
    if (st != MBR_OK)
        mbr_log_at(&m->env->log, MBR_LOG_WARNING, "%s: no memory for copies of the weights on %d further NUMA nodes",
                   m->module->file, nodes - 1);
    else if (m->replica_bytes)
        mbr_log_at(&m->env->log, MBR_LOG_INFO, "%s: copies of the weights on %d further NUMA node%s: %zu bytes",
                   m->module->file, nodes - 1, nodes == 2 ? "" : "s", m->replica_bytes);
}

/* Import, passes and plan, or what the cache has in their place. */
static mbr_status lower(mbr_model *m, mbr_cache *c, mbr_error *err)
{
    mbr_cached cached;
    const char *path = m->source.path;
    bool found = c->place && (path ? mbr_cache_find_file(c, path, &cached) :
                                     mbr_cache_find_bytes(c, m->source.data, m->source.bytes, &cached));
    if (!found) {
        MBR_TRY(mbr_model_import(m, &m->module, err));
        m->module->team = m->env->team;
        found = c->place && path && mbr_cache_find_imported(c, m->module, path, &cached);
    }
    if (found) {
        take_cached(m, &cached);
    } else {
        MBR_TRY(mbr_each_graph(m->module->main, count_graph_ops, m, err));
        MBR_TRY(mbr_passes_run(m->module, &m->passes, NULL, err));
    }
    m->module->device = m->device;
    m->module->device_only = m->device_only;
    m->module->device_may = m->device && m->pins; /* those of a variant are its model's */
    MBR_TRY(order_inputs(m, err));
    MBR_TRY(mbr_program_new(m->module->main, &m->program, err));
    if (c->place && !found)
        mbr_cache_store(c, m->program, path, m->uses, m->n_uses);
    if (m->replica_budget)
        make_replicas(m);
    m->cache_entry = c->entry;
    m->cache_bytes = c->entry_bytes;
    m->from_cache = c->was_read;
    c->entry = NULL;
    return MBR_OK;
}

static mbr_status copy_text(mbr_env *env, const char *text, char **to, mbr_error *err)
{
    size_t n = text ? strlen(text) + 1 : 0;
    if (!text)
        return MBR_OK;
    *to = mbr_alloc(&env->memory, n);
    if (!*to)
        return mbr_no_memory(err, n);
    memcpy(*to, text, n);
    return MBR_OK;
}

/* What of the options is for the choice of devices. */
static mbr_status take_devices(mbr_model *m, const mbr_model_options *o, const char *device, mbr_error *err)
{
    m->automatic = device && strcmp(device, "auto") == 0;
    MBR_TRY(copy_text(m->env, o->placement, &m->pins, err));
    MBR_TRY(copy_text(m->env, o->cache_dir, &m->cache_dir, err));
    if (o->devices && m->automatic)
        MBR_TRY(mbr_known_of(m->env, o->devices, o->n_devices, &m->given, err));
    return mbr_env_device(m->env, device, o->cache_dir, &m->device, err);
}

mbr_status mbr_model_for_device(mbr_model *m, mbr_device *device, const mbr_model **out, mbr_error *err)
{
    mbr_cache none = { .memory = &m->env->memory };
    mbr_model *other = NULL, *v = atomic_load(&m->variant);
    *out = v;
    if (v && v->device == device)
        return MBR_OK;
    if (v)
        return mbr_fail(err, MBR_ERR_UNSUPPORTED, "the model is on %s already", v->device->name);
    v = mbr_calloc(&m->env->memory, 1, sizeof *v);
    if (!v)
        return mbr_no_memory(err, sizeof *v);
    v->env = m->env;
    v->source = (mbr_model_source){ .data = m->source.data, .bytes = m->source.bytes };
    v->passes = m->passes;
    v->device = device;
    atomic_init(&v->refs, 1);
    mbr_passes_for_device(&v->passes);
    mbr_status st = copy_text(m->env, m->source.path, &v->source.path, err);
    MBR_TRY_GOTO(st, error);
    MBR_TRY_GOTO(copy_text(m->env, m->pins ? m->pins : "", &v->pins, err), error);
    MBR_TRY_GOTO(lower(v, &none, err), error);
    *out = v;
    if (!atomic_compare_exchange_strong(&m->variant, &other, v)) { /* another thread was first */
        model_drop(v);
        *out = other;
        if (other->device != device)
            return mbr_fail(err, MBR_ERR_UNSUPPORTED, "the model is on %s already", other->device->name);
    }
    return MBR_OK;
error:
    model_drop(v);
    return st;
}

static mbr_status open_source(mbr_env *env, const mbr_model_source *source, const mbr_model_options *options,
                              mbr_model **out, mbr_error *err)
{
    mbr_model_options o;
    *out = NULL;
    mbr_model *m = mbr_calloc(&env->memory, 1, sizeof *m);
    if (!m) {
        mbr_free(&env->memory, source->path);
        mbr_free(&env->memory, source->kept);
        return mbr_no_memory(err, sizeof *m);
    }
    m->env = env;
    m->source = *source;
    atomic_init(&m->refs, 1);
    mbr_status st = MBR_OK;
    if (!mbr_options_read(&o, sizeof o, options, options ? options->size : 0))
        st = mbr_fail(err, MBR_ERR_ARGUMENT,
                      "mbr_model_options.size is not set; set it to sizeof(mbr_model_options)");
    MBR_TRY_GOTO(st, error);
    MBR_TRY_GOTO(mbr_pass_set_parse(o.passes ? o.passes : getenv("MBR_PASSES"), &m->passes, err), error);
    m->passes.exact = o.exact != 0;
    m->device_only = o.device_only != 0;
    m->replica_budget = o.replica_bytes;
    MBR_TRY_GOTO(take_devices(m, &o, o.device ? o.device : getenv("MBR_DEVICE"), err), error);
    if (m->device)
        mbr_passes_for_device(&m->passes);
    mbr_cache cache = { .memory = &env->memory, .log = &env->log, .team = env->team, .place = m->device ? NULL : cache_place(&o),
                        .settings = { m->passes.on, o.exact != 0 }, .by_content = o.cache_verify != 0 };
    if (cache.place)
        mbr_cache_begin(&cache);
    st = lower(m, &cache, err);
    mbr_cache_end(&cache);
    MBR_TRY_GOTO(st, error);
    *out = m;
    return MBR_OK;
error:
    model_drop(m);
    return st;
}

mbr_status mbr_model_open(mbr_env *env, const char *path, const mbr_model_options *options, mbr_model **out,
                          mbr_error *err)
{
    mbr_model_source source = { 0 };
    size_t n = strlen(path) + 1;
    *out = NULL;
    source.path = mbr_alloc(&env->memory, n);
    if (!source.path)
        return mbr_no_memory(err, n);
    memcpy(source.path, path, n);
    return open_source(env, &source, options, out, err);
}

mbr_status mbr_model_open_memory(mbr_env *env, const void *data, size_t bytes, const mbr_model_options *options,
                                 mbr_model **out, mbr_error *err)
{
    mbr_model_source source = { .data = data, .bytes = bytes };
    return open_source(env, &source, options, out, err);
}

mbr_status mbr_model_open_reader(mbr_env *env, mbr_read_fn read, void *user, const mbr_model_options *options,
                                 mbr_model **out, mbr_error *err)
{
    mbr_memory *memory = &env->memory;
    size_t used = 0, room = 0;
    char *data = NULL;
    *out = NULL;
    for (;;) {
        if (used == room) {
            size_t more = room ? room * 2 : 65536;
            char *bigger = more > room ? mbr_grow(memory, data, used, more) : NULL;
            if (!bigger) {
                mbr_free(memory, data);
                return mbr_no_memory(err, more);
            }
            data = bigger;
            room = more;
        }
        ptrdiff_t n = read(user, data + used, room - used);
        if (n < 0 || (size_t)n > room - used) {
            mbr_free(memory, data);
            return mbr_fail(err, MBR_ERR_IO, "the model's reader failed after %zu bytes", used);
        }
        if (n == 0)
            break;
        used += (size_t)n;
    }
    mbr_model_source source = { .data = data, .bytes = used, .kept = data };
    return open_source(env, &source, options, out, err);
}

void mbr_model_release(mbr_model **model)
{
    if (!model || !*model)
        return;
    model_drop(*model);
    *model = NULL;
}

/* --- introspection --- */

static void fill_port(const mbr_ir_module *m, const mbr_ir_value *v, mbr_port *port)
{
    mbr_port p = { .size = port->size, .name = v->name, .kind = v->type.kind, .dtype = v->type.dtype,
                   .rank = v->type.kind == MBR_KIND_TENSOR ? v->type.rank : -1, .optional = v->has_default };
    for (int d = 0; d < p.rank; d++) {
        mbr_dim dim = v->type.dims[d];
        p.dims[d] = mbr_dim_is_const(dim) ? dim : -1;
        if (mbr_dim_is_expr(dim) && m->dims.exprs[mbr_dim_index(dim)].op == MBR_DIM_SYMBOL)
            p.symbols[d] = m->dims.exprs[mbr_dim_index(dim)].name;
    }
    memcpy(port, &p, port->size < sizeof p ? port->size : sizeof p);
}

static mbr_status bad_index(const char *what, int index, int count, mbr_error *err)
{
    return mbr_fail(err, MBR_ERR_ARGUMENT, "%s %d; the model has %d", what, index, count);
}

int mbr_model_input_count(const mbr_model *model)
{
    return model->n_inputs;
}

int mbr_model_output_count(const mbr_model *model)
{
    return (int)model->module->main->n_outputs;
}

mbr_status mbr_model_input(const mbr_model *model, int index, mbr_port *port, mbr_error *err)
{
    if (index < 0 || index >= model->n_inputs || port->size < sizeof port->size)
        return bad_index("input", index, model->n_inputs, err);
    fill_port(model->module, model->module->main->inputs[model->inputs[index]], port);
    return MBR_OK;
}

mbr_status mbr_model_output(const mbr_model *model, int index, mbr_port *port, mbr_error *err)
{
    const mbr_ir_graph *g = model->module->main;
    if (index < 0 || (size_t)index >= g->n_outputs || port->size < sizeof port->size)
        return bad_index("output", index, (int)g->n_outputs, err);
    fill_port(model->module, g->outputs[index], port);
    port->name = g->output_names ? g->output_names[index] : g->outputs[index]->name;
    return MBR_OK;
}

int mbr_model_find_input(const mbr_model *model, const char *name)
{
    for (int i = 0; i < model->n_inputs; i++)
        if (strcmp(model->module->main->inputs[model->inputs[i]]->name, name) == 0)
            return i;
    return -1;
}

int mbr_model_find_output(const mbr_model *model, const char *name)
{
    const mbr_ir_graph *g = model->module->main;
    for (size_t i = 0; i < g->n_outputs; i++)
        if (strcmp(g->output_names ? g->output_names[i] : g->outputs[i]->name, name) == 0)
            return (int)i;
    return -1;
}

typedef struct tally {
    mbr_op_use_fn fn;
    void *user;
    size_t nodes, weight_bytes;
} tally;

static mbr_status add_weights(mbr_ir_graph *g, void *user, mbr_error *err)
{
    tally *t = user;
    (void)err;
    for (size_t i = 0; i < g->n_values; i++) {
        const mbr_ir_value *v = g->values[i];
        if (v->constant && !v->is_capture && v->uses && v->constant->kind == MBR_KIND_TENSOR)
            t->weight_bytes += mbr_value_bytes(v->constant);
    }
    return MBR_OK;
}

mbr_status mbr_model_get_facts(const mbr_model *model, mbr_model_facts *facts, mbr_error *err)
{
    if (facts->size < sizeof facts->size)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_model_facts.size is not set");
    tally t = { 0 };
    MBR_TRY(mbr_each_graph(model->module->main, add_weights, &t, err));
    mbr_model_facts f = { .size = facts->size, .producer = model->module->producer,
                          .ir_version = model->module->ir_version, .opset = mbr_ir_opset(model->module, ""),
                          .nodes = model->module->n_nodes_in_file, .steps = mbr_program_step_count(model->program),
                          .weight_bytes = t.weight_bytes, .packed_bytes = model->program->packed_bytes };
    f.activation_bytes = mbr_program_activation_bytes(model->program, 1);
    f.cache_entry = model->cache_entry;
    f.cache_bytes = model->cache_bytes;
    f.from_cache = model->from_cache;
    f.replica_bytes = model->replica_bytes;
    memcpy(facts, &f, facts->size < sizeof f ? facts->size : sizeof f);
    return MBR_OK;
}

void mbr_model_each_op(const mbr_model *model, mbr_op_use_fn fn, void *user)
{
    for (size_t i = 0; i < model->n_uses; i++) {
        const mbr_op *op = model->uses[i].op;
        fn(user, *op->domain ? op->domain : "ai.onnx", op->name, op->since, model->uses[i].nodes);
    }
}

void mbr_each_known_op(mbr_known_op_fn fn, void *user)
{
    const mbr_op *op;
    for (size_t i = 0; (op = mbr_op_at(i)); i++)
        fn(user, *op->domain ? op->domain : "ai.onnx", op->name, op->since);
}

mbr_status mbr_model_dump(const mbr_model *model, const char *stage, mbr_write_fn write, void *user, mbr_error *err)
{
    mbr_ir_module *m;
    if (!stage)
        return mbr_text_print(model->module, write, user, err);
    MBR_TRY(mbr_model_import(model, &m, err));
    mbr_status st = mbr_passes_run(m, &model->passes, stage, err);
    if (st == MBR_OK)
        st = mbr_text_print(m, write, user, err);
    mbr_ir_module_free(m);
    return st;
}
