/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading a pipeline file into an mbr_pipeline: everything but where it meets the model. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "runtime/pipeline/pipeline_impl.h"

#include "base/checked.h"
#include "base/env.h"
#include "runtime/actions/actions.h"
#include "runtime/drift/drift_pipeline.h"
#include "runtime/post/reasons.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- the file ---- */

typedef struct top {
    const mbr_node *version, *name, *description, *model, *csv, *inputs, *features, *tensors, *outputs, *post, *scores,
        *texts, *rules, *fallback, *actions, *costs, *limits, *log, *drift, *state, *reasons, *latency, *resources;
    int extra_columns;
} top;

#define TOP_NODE(key, must) { .name = #key, .type = MBR_PARAM_NODE, .required = must, .offset = offsetof(top, key) }

static const mbr_param top_params[] = {
    TOP_NODE(version, true),   TOP_NODE(name, true),    TOP_NODE(description, false), TOP_NODE(model, true),
    TOP_NODE(csv, false),      TOP_NODE(inputs, true),  TOP_NODE(features, false),    TOP_NODE(tensors, true),
    TOP_NODE(outputs, true),   TOP_NODE(post, false),   TOP_NODE(scores, false),      TOP_NODE(rules, true),
    TOP_NODE(fallback, false), TOP_NODE(drift, false),  TOP_NODE(actions, false),     TOP_NODE(costs, false),
    TOP_NODE(limits, false),   TOP_NODE(log, false),    TOP_NODE(reasons, false),     TOP_NODE(latency, false),
    TOP_NODE(resources, false), TOP_NODE(state, false), TOP_NODE(texts, false),
    { .name = "extra_columns", .type = MBR_PARAM_CHOICE, .words = "ignore|error",
      .offset = offsetof(top, extra_columns) },
    { .name = NULL }
};

/* Sections that a later version of the format will have: named, so that nobody believes they are in force. */
static const char *const reserved[] = { "deadline", "streams" };

static mbr_status check_reserved(const mbr_reading *r, const mbr_node *root)
{
    MBR_TRY(mbr_node_expect(r, root, MBR_NODE_MAP, "a pipeline file"));
    for (size_t i = 0; i < root->count; i++)
        for (size_t k = 0; k < MBR_COUNT_OF(reserved); k++)
            if (strcmp(root->items[2 * i]->text.data, reserved[k]) == 0)
                return mbr_node_fail(r, root->items[2 * i], "the section '%s' is reserved for a later version of the "
                                     "format and would have no effect; remove it", reserved[k]);
    return MBR_OK;
}

static mbr_status check_version(const mbr_reading *r, const mbr_node *n)
{
    double version;
    MBR_TRY(mbr_node_number(r, n, "'version'", &version));
    if (version != 1)
        return mbr_node_fail(r, n, "version %g of the pipeline format is not known; this library reads version 1",
                             version);
    return MBR_OK;
}

typedef struct csv_keys {
    mbr_string delimiter;
    mbr_strings missing;
} csv_keys;

static const mbr_param csv_params[] = {
    { .name = "delimiter", .type = MBR_PARAM_STRING, .offset = offsetof(csv_keys, delimiter) },
    { .name = "missing", .type = MBR_PARAM_STRINGS, .offset = offsetof(csv_keys, missing) },
    { .name = NULL }
};

static mbr_status read_csv_section(mbr_pipeline *p, const mbr_reading *r, const mbr_node *n)
{
    csv_keys csv;
    p->delimiter = ',';
    if (!n)
        return MBR_OK;
    MBR_TRY(mbr_node_read(r, n, "'csv'", csv_params, NULL, &csv));
    p->missing = csv.missing;
    if (!csv.delimiter.data)
        return MBR_OK;
    if (csv.delimiter.size != 1 || !strchr(",;\t|", csv.delimiter.data[0]))
        return mbr_node_fail(r, n, "'delimiter' of 'csv' must be one of \",\" \";\" \"|\" \"\\t\"");
    p->delimiter = csv.delimiter.data[0];
    return MBR_OK;
}

/* ---- inputs ---- */

typedef struct input_keys {
    int type, role, missing, format;
    const mbr_node *preset, *min, *max;
    bool optional;
} input_keys;

static const mbr_param input_params[] = {
    { .name = "type", .type = MBR_PARAM_CHOICE, .required = true, .words = "number|bool|time|string|array",
      .offset = offsetof(input_keys, type) },
    { .name = "role", .type = MBR_PARAM_CHOICE, .words = "field|id", .offset = offsetof(input_keys, role) },
    { .name = "missing", .type = MBR_PARAM_CHOICE, .words = "error|keep", .offset = offsetof(input_keys, missing) },
    { .name = "default", .type = MBR_PARAM_NODE, .offset = offsetof(input_keys, preset) },
    { .name = "optional", .type = MBR_PARAM_BOOL, .offset = offsetof(input_keys, optional) },
    { .name = "min", .type = MBR_PARAM_NODE, .offset = offsetof(input_keys, min) },
    { .name = "max", .type = MBR_PARAM_NODE, .offset = offsetof(input_keys, max) },
    { .name = "format", .type = MBR_PARAM_CHOICE, .words = "iso|epoch|epoch_ms",
      .offset = offsetof(input_keys, format) },
    { .name = NULL }
};

/* A default or bound of the input's own type. */
static mbr_status read_constant(const mbr_reading *r, const mbr_node *n, const mbr_input *in, const char *key,
                                double *out)
{
    char what[128];
    snprintf(what, sizeof what, "'%s' of input '%s'", key, in->name);
    if (in->type == MBR_COL_TIME) {
        MBR_TRY(mbr_node_expect(r, n, MBR_NODE_SCALAR, what));
        if (!mbr_text_time(n->text.data, n->text.size, out))
            return mbr_node_fail(r, n, "%s must be a time such as 2024-02-29 or 2024-02-29T12:30:00Z, not '%s'", what,
                                 n->text.data);
        return MBR_OK;
    }
    if (in->type == MBR_COL_BOOL) {
        MBR_TRY(mbr_node_expect(r, n, MBR_NODE_SCALAR, what));
        *out = strcmp(n->text.data, "true") == 0;
        if (*out == 0 && strcmp(n->text.data, "false") != 0)
            return mbr_node_fail(r, n, "%s must be true or false, not '%s'", what, n->text.data);
        return MBR_OK;
    }
    return mbr_node_number(r, n, what, out);
}

static mbr_status read_input(mbr_pipeline *p, const mbr_reading *r, const mbr_node *key, const mbr_node *n,
                             mbr_input *in)
{
    input_keys keys;
    char what[128];
    MBR_TRY(mbr_node_name(r, key, "an input's name", &in->name));
    snprintf(what, sizeof what, "input '%s'", in->name);
    MBR_TRY(mbr_node_read(r, n, what, input_params, NULL, &keys));
    in->array = keys.type == MBR_COL_TENSOR;
    in->type = in->array ? MBR_COL_STRING : (mbr_col_type)keys.type;
    in->optional = keys.optional;
    in->keep = keys.missing != 0;
    in->format = (mbr_time_format)keys.format;
    in->min = -INFINITY;
    in->max = INFINITY;
    bool text = in->type == MBR_COL_STRING;
    if (keys.preset) {
        if (in->keep)
            return mbr_node_fail(r, keys.preset, "%s: 'default' and 'missing: keep' contradict each other", what);
        in->has_default = true;
        if (text)
            MBR_TRY(mbr_node_string(r, keys.preset, what, &in->text));
        else
            MBR_TRY(read_constant(r, keys.preset, in, "default", &in->number));
    }
    if ((keys.min || keys.max) && (text || in->type == MBR_COL_BOOL))
        return mbr_node_fail(r, n, "%s: only numbers and times have 'min' and 'max'", what);
    if (keys.min)
        MBR_TRY(read_constant(r, keys.min, in, "min", &in->min));
    if (keys.max)
        MBR_TRY(read_constant(r, keys.max, in, "max", &in->max));
    if (in->min > in->max)
        return mbr_node_fail(r, n, "%s: 'min' is above 'max'", what);
    if (in->format != MBR_TIME_ISO && in->type != MBR_COL_TIME)
        return mbr_node_fail(r, n, "%s: only times have a 'format'", what);
    if (in->optional && !in->keep && !in->has_default)
        return mbr_node_fail(r, n, "%s is optional: say what a missing value means, by 'missing: keep' or 'default'",
                             what);
    if (keys.role) {
        if (!text || p->id >= 0)
            return mbr_node_fail(r, n, "%s: %s", what,
                                 text ? "only one input can be the id" : "the id must be a string");
        p->id = (int)(in - p->inputs);
    }
    mbr_col col = { .name = in->name, .type = in->type, .width = 1, .line = key->line };
    mbr_status st = mbr_scope_add(&p->scope, &col, &in->col, r->err);
    return st == MBR_OK ? MBR_OK : mbr_fail_at(r->err, st, "%s:%d: ", r->file, key->line);
}

static mbr_status read_inputs(mbr_pipeline *p, const mbr_reading *r, const mbr_node *n)
{
    size_t twin;
    MBR_TRY(mbr_node_expect(r, n, MBR_NODE_MAP, "'inputs'"));
    if (n->count > MBR_MAX_COLUMNS)
        return mbr_node_fail(r, n, "more than %d inputs", MBR_MAX_COLUMNS);
    p->inputs = mbr_arena_calloc(r->arena, n->count + 1, sizeof *p->inputs);
    mbr_string *names = mbr_arena_calloc(r->arena, n->count + 1, sizeof *names);
    if (!p->inputs || !names)
        return mbr_no_memory(r->err, (n->count + 1) * sizeof *p->inputs);
    for (size_t i = 0; i < n->count; i++) {
        MBR_TRY(read_input(p, r, n->items[2 * i], n->items[2 * i + 1], &p->inputs[i]));
        names[i] = n->items[2 * i]->text;
        p->input_count++;
    }
    return mbr_names_build(&p->input_names, r->arena, names, n->count, &twin, r->err);
}

/* ---- steps ---- */

static mbr_status read_steps(mbr_compiling *c, const mbr_node *n, const char *what, mbr_step **out, int *count)
{
    if (!n)
        return MBR_OK;
    MBR_TRY(mbr_node_expect(&c->read, n, MBR_NODE_LIST, what));
    if (n->count > MBR_MAX_COLUMNS)
        return mbr_node_fail(&c->read, n, "%s has more than %d steps", what, MBR_MAX_COLUMNS);
    *out = mbr_arena_calloc(c->read.arena, n->count + 1, sizeof **out);
    if (!*out)
        return mbr_no_memory(c->read.err, (n->count + 1) * sizeof **out);
    for (size_t i = 0; i < n->count; i++, c->steps++) {
        ++*count; /* also of a step that fails: it may hold something */
        MBR_TRY(mbr_step_compile(c, n->items[i], &(*out)[i]));
    }
    return MBR_OK;
}

/* ---- the model ---- */

/* A path as the pipeline file means it: relative to the folder of the file. */
const char *mbr_pipeline_beside(mbr_arena *arena, const char *file, const char *path)
{
    const char *slash = strrchr(file, '/');
    size_t folder = slash ? (size_t)(slash - file) + 1 : 0, n = strlen(path);
    char *joined;
    if (path[0] == '/' || !folder)
        return path;
    joined = mbr_arena_alloc(arena, folder + n + 1);
    if (joined) {
        memcpy(joined, file, folder);
        memcpy(joined + folder, path, n + 1);
    }
    return joined;
}

static mbr_status open_model(mbr_pipeline *p, const mbr_reading *r, const mbr_node *n, const mbr_pipeline_options *o)
{
    struct {
        mbr_string path;
    } model;
    static const mbr_param params[] = {
        { .name = "path", .type = MBR_PARAM_STRING, .required = true, .offset = 0 }, { .name = NULL }
    };
    MBR_TRY(mbr_node_read(r, n, "'model'", params, NULL, &model));
    const char *path = o->model_path ? o->model_path : mbr_pipeline_beside(r->arena, r->file, model.path.data);
    if (!path)
        return mbr_no_memory(r->err, model.path.size);
    p->model_path = mbr_arena_strdup(r->arena, path);
    if (!p->model_path)
        return mbr_no_memory(r->err, strlen(path) + 1);
    mbr_status st = mbr_model_open(p->env, path, o->model_options, &p->model, r->err);
    return st == MBR_OK ? MBR_OK : mbr_fail_at(r->err, st, "%s:%d: model: ", r->file, n->line);
}

/* ---- opening and releasing ---- */

static mbr_status compile(mbr_pipeline *p, const void *text, size_t bytes, const mbr_pipeline_options *o,
                          mbr_error *err)
{
    void *shared = NULL;
    mbr_compiling c = { .read = { .arena = &p->arena, .file = p->file, .err = err }, .scope = &p->scope,
                       .env = p->env, .shared = &shared };
    const mbr_reading *r = &c.read;
    mbr_node *root;
    mbr_string name;
    top keys;
    MBR_TRY(mbr_yaml_read(r, text, bytes, &root));
    MBR_TRY(check_reserved(r, root));
    MBR_TRY(mbr_node_read(r, root, "a pipeline", top_params, NULL, &keys));
    MBR_TRY(check_version(r, keys.version));
    MBR_TRY(mbr_node_string(r, keys.name, "'name'", &name));
    p->name = name.data;
    p->refuse_extra = keys.extra_columns != 0;
    p->fitting = o->fitting != 0;
    MBR_TRY(mbr_pipeline_read_latency(p, r, keys.latency));
    MBR_TRY(mbr_pipeline_read_resources(p, r, keys.resources));
    p->hash = mbr_hash_bytes(text, bytes, (mbr_hash){ 0, 0 });
    MBR_TRY(read_csv_section(p, r, keys.csv));
    MBR_TRY(mbr_pipeline_begin_actions(p, r, o->label, &keys.inputs));
    MBR_TRY(read_inputs(p, r, keys.inputs));
    MBR_TRY(read_steps(&c, keys.features, "'features'", &p->features, &p->feature_count));
    MBR_TRY(open_model(p, r, keys.model, o));
    MBR_TRY(mbr_pipeline_read_state(p, &c, keys.state));
    MBR_TRY(mbr_pipeline_read_feeds(p, &c, keys.tensors));
    int first = p->scope.count;
    MBR_TRY(mbr_pipeline_read_fetches(p, &c, keys.outputs));
    MBR_TRY(read_steps(&c, keys.post, "'post'", &p->posts, &p->post_count));
    MBR_TRY(mbr_pipeline_read_scores(p, r, keys.scores, first));
    MBR_TRY(mbr_pipeline_read_texts(p, r, keys.texts));
    MBR_TRY(mbr_pipeline_read_rules(p, r, keys.rules, keys.fallback));
    MBR_TRY(mbr_pipeline_read_actions(p, r, keys.actions, keys.costs, keys.limits));
    MBR_TRY(mbr_pipeline_read_log(p, r, keys.log));
    MBR_TRY(mbr_pipeline_read_reasons(p, &c, keys.reasons));
    return mbr_pipeline_read_drift(p, r, keys.drift);
}

mbr_status mbr_pipeline_open_memory(mbr_env *env, const void *text, size_t bytes, const char *name,
                                    const mbr_pipeline_options *options, mbr_pipeline **out, mbr_error *err)
{
    mbr_pipeline_options o = { 0 };
    mbr_error own;
    err = err ? err : &own; /* sections look at what went wrong */
    if (!out)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_pipeline_open: out is NULL");
    *out = NULL;
    if (!env || (!text && bytes))
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_pipeline_open: the environment or the text is NULL");
    if (options && options->size < sizeof(size_t))
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_pipeline_options.size is not set; set it to "
                        "sizeof(mbr_pipeline_options)");
    if (options) /* fields that an older caller does not have stay 0 */
        memcpy(&o, options, mbr_min_size(options->size, sizeof o));
    mbr_memory *memory = mbr_env_heap(env);
    mbr_pipeline *p = mbr_calloc(memory, 1, sizeof *p);
    if (!p)
        return mbr_no_memory(err, sizeof *p);
    p->memory = memory;
    p->env = env;
    p->id = -1;
    atomic_init(&p->references, 1);
    atomic_init(&p->reserved, 0);
    mbr_arena_init(&p->arena, memory, 0);
    p->scope.arena = &p->arena;
    p->file = mbr_arena_strdup(&p->arena, name ? name : "pipeline");
    mbr_status st = p->file ? compile(p, text, bytes, &o, err) : mbr_no_memory(err, name ? strlen(name) + 1 : 9);
    if (st == MBR_OK)
        *out = p;
    else
        mbr_pipeline_release(&p);
    return st;
}

/* Reads a whole file of at most MBR_PIPELINE_BYTES. */
static mbr_status read_file(mbr_memory *memory, const char *path, char **text, size_t *bytes, mbr_error *err)
{
    mbr_status st = MBR_OK;
    FILE *f = fopen(path, "rb");
    if (!f)
        return mbr_fail(err, MBR_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
    *text = mbr_alloc(memory, MBR_PIPELINE_BYTES + 1);
    if (!*text) {
        fclose(f);
        return mbr_no_memory(err, MBR_PIPELINE_BYTES + 1);
    }
    *bytes = fread(*text, 1, MBR_PIPELINE_BYTES + 1, f);
    if (ferror(f) && errno == EISDIR)
        st = mbr_fail(err, MBR_ERR_IO, "%s: is a folder; give the pipeline file inside it", path);
    else if (ferror(f))
        st = mbr_fail(err, MBR_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
    else if (*bytes > MBR_PIPELINE_BYTES)
        st = mbr_fail(err, MBR_ERR_LIMIT, "%s: more than %zu bytes; this is no pipeline file", path,
                      MBR_PIPELINE_BYTES);
    fclose(f);
    return st;
}

mbr_status mbr_pipeline_open(mbr_env *env, const char *path, const mbr_pipeline_options *options, mbr_pipeline **out,
                             mbr_error *err)
{
    char *text = NULL;
    size_t bytes = 0;
    if (!out)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_pipeline_open: out is NULL");
    *out = NULL;
    if (!env || !path)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_pipeline_open: the environment or the path is NULL");
    mbr_memory *memory = mbr_env_heap(env);
    mbr_status st = read_file(memory, path, &text, &bytes, err);
    if (st == MBR_OK)
        st = mbr_pipeline_open_memory(env, text, bytes, path, options, out, err);
    mbr_free(memory, text);
    return st;
}

static void drop_steps(const mbr_step *steps, int count)
{
    for (int i = 0; i < count; i++)
        if (steps[i].params && steps[i].kind->drop)
            steps[i].kind->drop(&steps[i]);
}

void mbr_pipeline_release(mbr_pipeline **pipeline)
{
    if (!pipeline || !*pipeline)
        return;
    mbr_pipeline *p = *pipeline;
    *pipeline = NULL;
    if (atomic_fetch_sub(&p->references, 1) > 1)
        return;
    mbr_pipeline_drop_drift(p);
    mbr_pipeline_drop_reasons(p);
    drop_steps(p->features, p->feature_count);
    drop_steps(p->posts, p->post_count);
    mbr_pipeline_drop_actions(p);
    mbr_model_release(&p->model);
    mbr_arena_destroy(&p->arena);
    mbr_free(p->memory, p);
}
