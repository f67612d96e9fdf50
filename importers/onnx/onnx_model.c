/* SPDX-License-Identifier: BSD-2-Clause */
#include "importers/onnx/onnx_model.h"

#include <string.h>

/* The newest versions whose meaning is known here. */
#define NEWEST_IR 14
static const struct {
    const char *domain;
    int version;
} newest[] = {
    { "", 28 },
    { "ai.onnx.ml", 5 },
    { "ai.onnx.preview", 1 },
    { "ai.onnx.preview.training", 1 },
    { "ai.onnx.training", 1 },
};

const char *mbr_onnx_domain(const char *domain)
{
    return !domain || strcmp(domain, "ai.onnx") == 0 ? "" : domain;
}

/* --- functions --- */

static char *function_key(mbr_arena *a, const char *domain, const char *name, const char *overload)
{
    size_t d = strlen(domain), n = strlen(name), o = strlen(overload);
    char *key = mbr_arena_alloc(a, d + n + o + 3);
    if (key) {
        memcpy(key, domain, d);
        key[d] = '\n';
        memcpy(key + d + 1, name, n);
        key[d + n + 1] = '\n';
        memcpy(key + d + n + 2, overload, o + 1);
    }
    return key;
}

mbr_status mbr_onnx_find_function(mbr_onnx_importer *m, const char *domain, const char *name, const char *overload,
                                  const Mbr__Onnx__FunctionProto **out, mbr_error *err)
{
    *out = NULL;
    if (!m->functions.n)
        return MBR_OK;
    const char *key = function_key(&m->scratch, domain, name, overload);
    if (!key)
        return mbr_no_memory(err, strlen(name));
    *out = mbr_onnx_names_get(&m->functions, key);
    return MBR_OK;
}

static mbr_status note_functions(mbr_onnx_importer *m, mbr_error *err)
{
    for (size_t i = 0; i < m->model->n_functions; i++) {
        Mbr__Onnx__FunctionProto *f = m->model->functions[i];
        const char *name = mbr_onnx_text(f->name), *domain = mbr_onnx_domain(f->domain);
        const char *key = function_key(&m->scratch, domain, name, mbr_onnx_text(f->overload));
        if (!key)
            return mbr_no_memory(err, strlen(name));
        if (mbr_onnx_names_get(&m->functions, key))
            return mbr_fail(err, MBR_ERR_MODEL, "function '%s' of domain '%s' is defined twice", name, domain);
        MBR_TRY(mbr_onnx_names_put(&m->functions, key, f, err));
    }
    return MBR_OK;
}

/* --- messages --- */

mbr_status mbr_onnx_fail_at_node(const mbr_onnx_importer *m, const Mbr__Onnx__NodeProto *p, bool in_function,
                                 mbr_status status, mbr_error *err)
{
    const char *name = mbr_onnx_text(p->name);
    if (!err)
        return status;
    /* the builder's own messages begin with the file, which is put in front at the very end, and name the node */
    size_t file = strlen(m->module->file);
    if (strncmp(err->text, m->module->file, file) == 0 && strncmp(err->text + file, ": ", 2) == 0) {
        memmove(err->text, err->text + file + 2, strlen(err->text + file + 2) + 1);
        if (strncmp(err->text, "node '", 6) == 0 || strncmp(err->text, "node that", 9) == 0)
            return status;
    }
    if (in_function && strncmp(err->text, "node ", 5) == 0) /* of a chain of calls, the first and the last will do */
        return status;
    if (name[0])
        return mbr_fail_at(err, status, "node '%s' (%s): ", name, mbr_onnx_text(p->op_type));
    return mbr_fail_at(err, status, "node that makes '%s' (%s): ", p->n_output ? p->output[0] : "",
                       mbr_onnx_text(p->op_type));
}

/* Puts the file before a message that does not begin with it. */
static mbr_status at_file(const char *file, mbr_status status, mbr_error *err)
{
    size_t n = strlen(file);
    if (status == MBR_OK || !err || (strncmp(err->text, file, n) == 0 && err->text[n] == ':'))
        return status;
    return mbr_fail_at(err, status, "%s: ", file);
}

/* --- versions --- */

static mbr_status check_version(const char *domain, int64_t version, mbr_error *err)
{
    int known = INT32_MAX;
    for (size_t i = 0; i < MBR_COUNT_OF(newest); i++)
        if (strcmp(newest[i].domain, domain) == 0)
            known = newest[i].version;
    const char *shown = domain[0] ? domain : "ai.onnx";
    if (version < 1)
        return mbr_fail(err, MBR_ERR_MODEL, "it imports version %lld of the operators of '%s'; versions begin with 1",
                        (long long)version, shown);
    if (version > known)
        return mbr_fail(err, MBR_ERR_UNSUPPORTED,
                        "it needs version %lld of the operators of '%s', and %d is the newest known here; export it with "
                        "opset %d or use a newer library",
                        (long long)version, shown, known, known);
    return MBR_OK;
}

static mbr_status opsets(mbr_onnx_importer *m, mbr_error *err)
{
    const Mbr__Onnx__ModelProto *p = m->model;
    for (size_t i = 0; i < p->n_opset_import; i++) {
        const char *domain = mbr_onnx_domain(p->opset_import[i]->domain);
        int64_t version = p->opset_import[i]->version;
        MBR_TRY(check_version(domain, version, err));
        int before = mbr_ir_opset(m->module, domain);
        if (before && before != version)
            return mbr_fail(err, MBR_ERR_MODEL, "it imports two versions of the operators of '%s': %d and %lld",
                            domain[0] ? domain : "ai.onnx", before, (long long)version);
        if (!before)
            MBR_TRY(mbr_ir_add_opset(m->module, domain, (int)version, err));
    }
    for (size_t i = 0; i < p->n_functions; i++)
        for (size_t k = 0; k < p->functions[i]->n_opset_import; k++)
            MBR_TRY(check_version(mbr_onnx_domain(p->functions[i]->opset_import[k]->domain),
                                  p->functions[i]->opset_import[k]->version, err));
    if (!p->n_opset_import && p->ir_version >= 3)
        return mbr_fail(err, MBR_ERR_FORMAT, "it does not say which operator versions it uses (opset_import); the file "
                        "is cut short or was written wrongly");
    return p->n_opset_import ? MBR_OK : mbr_ir_add_opset(m->module, "", 1, err);
}

/* --- the whole --- */

/* protobuf-c takes its memory from the scratch arena; nothing is freed one by one. */
static void *arena_take(void *arena, size_t bytes)
{
    return mbr_arena_alloc(arena, bytes);
}

static void arena_leave(void *arena, void *block)
{
    (void)arena;
    (void)block;
}

/* Scans and parses; afterwards the reduced copy is gone, the spans stay. */
static mbr_status parse(mbr_onnx_importer *m, const mbr_filemap *map, mbr_error *err)
{
    MBR_TRY(mbr_onnx_scan_run(&m->scan, m->memory, map->data, map->size, MBR_ONNX_MODEL, err));
    ProtobufCAllocator allocator = { .alloc = arena_take, .free = arena_leave, .allocator_data = &m->scratch };
    m->model = mbr__onnx__model_proto__unpack(&allocator, m->scan.reduced_size, m->scan.reduced);
    if (!m->model) /* every byte was checked, so only memory can be short */
        return mbr_no_memory(err, m->scan.reduced_size);
    mbr_free(m->memory, m->scan.reduced);
    m->scan.reduced = NULL;
    return MBR_OK;
}

static mbr_status build(mbr_onnx_importer *m, mbr_error *err)
{
    const Mbr__Onnx__ModelProto *p = m->model;
    mbr_ir_graph *graph;
    if (!p->has_ir_version || p->ir_version < 1)
        return mbr_fail(err, MBR_ERR_FORMAT, "it has no IR version; it is damaged or not ONNX");
    if (p->ir_version > NEWEST_IR)
        return mbr_fail(err, MBR_ERR_UNSUPPORTED,
                        "it has IR version %lld, and %d is the newest known here; export it for an older ONNX or use a "
                        "newer library",
                        (long long)p->ir_version, NEWEST_IR);
    if (!p->graph)
        return mbr_fail(err, MBR_ERR_FORMAT, "it holds no graph; the file is cut short");
    m->module->ir_version = (int)p->ir_version;
    m->module->producer = mbr_arena_strdup(&m->module->arena, mbr_onnx_text(p->producer_name));
    if (!m->module->producer)
        return mbr_no_memory(err, strlen(p->producer_name));
    MBR_TRY(opsets(m, err));
    MBR_TRY(note_functions(m, err));
    return mbr_onnx_graph(m, p->graph, NULL, NULL, &graph, err);
}

mbr_status mbr_onnx_import(mbr_import_source *source, mbr_ir_module **out, mbr_error *err)
{
    mbr_onnx_importer m = { .memory = source->memory };
    mbr_onnx_source *files = NULL;
    mbr_status st;
    *out = NULL;
    mbr_arena_init(&m.scratch, source->memory, (size_t)1 << 18);
    m.functions.arena = &m.scratch;
    MBR_TRY_GOTO(mbr_onnx_source_new(source->memory, source->folder, &files, err), done);
    MBR_TRY_GOTO(mbr_ir_module_new(source->memory, source->log, source->name, &m.module, err), done);
    m.module->ops = source->ops;
    files->model = source->map;
    source->map = (mbr_filemap){ 0 };
    m.module->source = files;
    m.module->release_source = mbr_onnx_source_free;
    m.module->give_back = mbr_onnx_source_give_back;
    m.module->source_file = mbr_onnx_source_file;
    m.reader = (mbr_onnx_reader){ .memory = source->memory, .scan = &m.scan, .source = files };
    files = NULL;
    MBR_TRY_GOTO(parse(&m, &m.reader.source->model, err), done);
    MBR_TRY_GOTO(build(&m, err), done);
    *out = m.module;
    m.module = NULL;
done:
    st = at_file(source->name, st, err);
    mbr_ir_module_free(m.module);
    mbr_onnx_source_free(files);
    mbr_filemap_close(&source->map);
    mbr_onnx_scan_destroy(&m.scan);
    mbr_arena_destroy(&m.scratch);
    return st;
}
