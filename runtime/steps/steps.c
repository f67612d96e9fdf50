/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of step kinds, and what is common to compiling them. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "runtime/steps/step.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CELLS(kind, check, min, max, types_, wide_) \
    .name = #kind, .min_from = min, .max_from = max, .types = types_, .wide = wide_, \
    .params = mbr_params_##kind, .compile = check, .run = mbr_run_##kind
#define ROW(kind, ...) { CELLS(kind, __VA_ARGS__) },
#define ROW_KEEP(kind, ...) { CELLS(kind, __VA_ARGS__), .keeper = &mbr_keeper_##kind },
#define ROW_HOLD(kind, ...) { CELLS(kind, __VA_ARGS__), .drop = mbr_drop_##kind },
#define ROW_BOTH(kind, ...) { CELLS(kind, __VA_ARGS__), .keeper = &mbr_keeper_##kind, .drop = mbr_drop_##kind },
const mbr_step_kind mbr_step_kinds[] = {
    MBR_STEP_KINDS(ROW, ROW_KEEP, ROW_HOLD, ROW_BOTH)
    { .name = NULL }
};
#undef ROW
#undef ROW_KEEP
#undef ROW_HOLD
#undef ROW_BOTH
#undef CELLS

/* What every step has. */
typedef struct head {
    const mbr_node *name, *kind, *from;
} head;

static const mbr_param head_params[] = {
    { .name = "name", .type = MBR_PARAM_NODE, .required = true, .offset = offsetof(head, name) },
    { .name = "kind", .type = MBR_PARAM_NODE, .required = true, .offset = offsetof(head, kind) },
    { .name = "from", .type = MBR_PARAM_NODE, .offset = offsetof(head, from) },
    { .name = NULL }
};

static mbr_status unknown_kind(const mbr_reading *r, const mbr_node *at, const char *kind)
{
    char names[800] = "";
    const char *near = NULL;
    int best = 3;
    for (const mbr_step_kind *k = mbr_step_kinds; k->name; k++) {
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", k->name);
        int d = mbr_text_distance(kind, k->name);
        if (d < best) {
            best = d;
            near = k->name;
        }
    }
    if (near)
        return mbr_node_fail(r, at, "there is no kind of step '%s'; did you mean '%s'?", kind, near);
    return mbr_node_fail(r, at, "there is no kind of step '%s'; there are %s", kind, names);
}

static mbr_status check_type(const mbr_compiling *c, const mbr_node *at, const mbr_step *s, const mbr_col *col)
{
    static const char *const what[] = { "numbers", "numbers", "times", "strings", "tensors" };
    char wanted[64] = "";
    if (!(s->kind->types & MBR_TYPE_BIT(col->type))) {
        for (int t = MBR_COL_BOOL; t <= MBR_COL_TENSOR; t++)
            if (s->kind->types & MBR_TYPE_BIT(t)) {
                size_t used = strlen(wanted);
                snprintf(wanted + used, sizeof wanted - used, "%s%s", used ? " or " : "", what[t]);
            }
        return mbr_node_fail(&c->read, at, "step '%s': %s reads %s, and '%s' is a %s", s->name, s->kind->name, wanted,
                             col->name, mbr_col_type_name(col->type));
    }
    if (col->width > 1 && !s->kind->wide)
        return mbr_node_fail(&c->read, at, "step '%s': %s reads single values, and '%s' has %d a row", s->name,
                             s->kind->name, col->name, col->width);
    return MBR_OK;
}

/* The columns that a step reads. */
static mbr_status read_from(const mbr_compiling *c, const mbr_node *at, const mbr_node *from, mbr_step *s)
{
    mbr_strings names = { NULL, 0 };
    char what[128];
    if (s->kind->max_from == 0) {
        if (from)
            return mbr_node_fail(&c->read, from, "step '%s': %s has no 'from'; its other keys name the columns",
                                 s->name, s->kind->name);
        return MBR_OK;
    }
    if (!from)
        return mbr_node_fail(&c->read, at, "step '%s' needs the key 'from': the column that it reads", s->name);
    snprintf(what, sizeof what, "'from' of step '%s'", s->name);
    MBR_TRY(mbr_node_strings(&c->read, from, what, &names));
    if (names.count < (size_t)s->kind->min_from || names.count > (size_t)s->kind->max_from)
        return mbr_node_fail(&c->read, from, "step '%s': %s reads %d to %d columns, not %zu", s->name, s->kind->name,
                             s->kind->min_from, s->kind->max_from, names.count);
    s->from = mbr_arena_calloc(c->read.arena, names.count, sizeof *s->from);
    if (!s->from)
        return mbr_no_memory(c->read.err, names.count * sizeof *s->from);
    for (size_t i = 0; i < names.count; i++) {
        int index = mbr_scope_find(c->scope, names.items[i].data, names.items[i].size);
        const mbr_node *item = from->kind == MBR_NODE_LIST ? from->items[i] : from;
        if (index < 0) {
            const char *near = mbr_scope_near(c->scope, names.items[i].data);
            return mbr_node_fail(&c->read, item, "step '%s': there is no column '%s' before it%s%s%s", s->name,
                                 names.items[i].data, near ? "; did you mean '" : "", near ? near : "",
                                 near ? "'?" : "");
        }
        MBR_TRY(check_type(c, item, s, &c->scope->cols[index]));
        s->from[s->from_count++] = index;
    }
    return MBR_OK;
}

/* ---- files that rows name ---- */

/* Whether a relative path goes through "..". */
static bool climbs(const char *path)
{
    for (const char *at = path; *at;) {
        size_t n = strcspn(at, "/");
        if (n == 2 && at[0] == '.' && at[1] == '.')
            return true;
        at += n + (at[n] == '/');
    }
    return false;
}

/* False after a fault of the row. */
static bool has_bytes(const mbr_step *s, mbr_rows *rows, int row, const mbr_string *name, mbr_filemap *map)
{
    if (!map->size)
        mbr_rows_fail(rows, row, "step '%s': %.200s: the file is empty", s->name, name->data);
    return map->size != 0;
}

bool mbr_step_open(const mbr_step *s, mbr_rows *rows, int row, const char *folder, bool anywhere,
                   const mbr_string *name, mbr_filemap *map)
{
    const char *column = rows->cols[s->from[0]].name;
    int shown = (int)(name->size > 200 ? 200 : name->size);
    bool absolute = name->size && name->data[0] == '/';
    mbr_error why = { 0 };
    if (!name->size || (!anywhere && (absolute || climbs(name->data)))) {
        mbr_rows_fail(rows, row, "column '%s': the file '%.*s' is not below the folder '%s' of step '%s'", column,
                      shown, name->data, folder, s->name);
        return false;
    }
    if (!anywhere) { /* part by part, so that nobody can put a link there meanwhile */
        mbr_status st = mbr_filemap_open_below(map, rows->pool.memory, folder, name->data, &why);
        if (st != MBR_OK)
            mbr_rows_fail(rows, row, "column '%s': step '%s', folder '%s': %s", column, s->name, folder, why.text);
        return st == MBR_OK && has_bytes(s, rows, row, name, map);
    }
    size_t before = absolute ? 0 : strlen(folder) + 1;
    char *path = mbr_pool_alloc(&rows->pool, before + name->size + 1);
    if (!path) {
        mbr_rows_fail(rows, row, "out of memory");
        return false;
    }
    if (before) {
        memcpy(path, folder, before - 1);
        path[before - 1] = '/';
    }
    memcpy(path + before, name->data, name->size + 1);
    mbr_status st = mbr_filemap_open_file(map, rows->pool.memory, path, &why);
    if (st != MBR_OK)
        mbr_rows_fail(rows, row, "column '%s': step '%s': %s", column, s->name, why.text);
    return st == MBR_OK && has_bytes(s, rows, row, name, map);
}

/* ---- output columns ---- */

const char *mbr_step_part_name(const mbr_compiling *c, const mbr_step *s, const char *part)
{
    size_t bytes = strlen(s->name) + strlen(part) + 2;
    char *name = mbr_arena_alloc(c->read.arena, bytes);
    if (name)
        snprintf(name, bytes, "%s.%s", s->name, part);
    else
        mbr_no_memory(c->read.err, bytes);
    return name;
}

mbr_col *mbr_step_part(const mbr_compiling *c, mbr_step *s, const char *part)
{
    if (!s->parts)
        s->parts = mbr_arena_calloc(c->read.arena, MBR_STEP_OUTPUTS - 1, sizeof *s->parts);
    if (!s->parts) {
        mbr_no_memory(c->read.err, (MBR_STEP_OUTPUTS - 1) * sizeof *s->parts);
        return NULL;
    }
    if (s->out_count == MBR_STEP_OUTPUTS - 1) {
        mbr_fail(c->read.err, MBR_ERR_LIMIT, "%s:%d: step '%s' would make more than %d columns", c->read.file, s->line,
                 s->name, MBR_STEP_OUTPUTS);
        return NULL;
    }
    mbr_col *col = &s->parts[s->out_count++];
    *col = (mbr_col){ .name = mbr_step_part_name(c, s, part), .type = MBR_COL_NUMBER, .width = 1, .line = s->line };
    return col->name ? col : NULL;
}

/* Adds the columns of a compiled step to the scope: the first one, then the parts. */
static mbr_status add_columns(const mbr_compiling *c, const mbr_node *at, mbr_step *s, const mbr_col *first)
{
    const mbr_reading *r = &c->read;
    int parts = s->out_count;
    s->outs = mbr_arena_calloc(r->arena, (size_t)parts + 1, sizeof *s->outs);
    if (!s->outs)
        return mbr_no_memory(r->err, ((size_t)parts + 1) * sizeof *s->outs);
    for (s->out_count = 0; s->out_count <= parts; s->out_count++) {
        const mbr_col *col = s->out_count ? &s->parts[s->out_count - 1] : first;
        int twin = mbr_scope_find(c->scope, col->name, strlen(col->name));
        if (twin >= 0)
            return mbr_node_fail(r, at, "there is a column '%s' already, from line %d", col->name,
                                 c->scope->cols[twin].line);
        mbr_status st = mbr_scope_add(c->scope, col, &s->outs[s->out_count], r->err);
        if (st != MBR_OK)
            return mbr_fail_at(r->err, st, "%s:%d: ", r->file, at->line);
    }
    s->out = s->outs[0];
    return MBR_OK;
}

mbr_status mbr_step_compile(const mbr_compiling *c, const mbr_node *n, mbr_step *s)
{
    const mbr_reading *r = &c->read;
    mbr_string kind;
    char what[128];
    memset(s, 0, sizeof *s);
    MBR_TRY(mbr_node_expect(r, n, MBR_NODE_MAP, "a step"));
    const mbr_node *name = mbr_node_get(n, "name"), *kind_node = mbr_node_get(n, "kind");
    if (!name || !kind_node)
        return mbr_node_fail(r, n, "a step needs the keys 'name' and 'kind'");
    MBR_TRY(mbr_node_name(r, name, "a step's name", &s->name));
    int twin = mbr_scope_find(c->scope, s->name, strlen(s->name));
    if (twin >= 0)
        return mbr_node_fail(r, name, "there is a column '%s' already, from line %d", s->name,
                             c->scope->cols[twin].line);
    MBR_TRY(mbr_node_string(r, kind_node, "a step's kind", &kind));
    for (s->kind = mbr_step_kinds; s->kind->name && !mbr_text_is(kind.data, kind.size, s->kind->name);)
        s->kind++;
    if (!s->kind->name)
        return unknown_kind(r, kind_node, kind.data);
    s->line = n->line;
    s->index = c->steps;
    MBR_TRY(read_from(c, n, mbr_node_get(n, "from"), s));
    snprintf(what, sizeof what, "step '%s' (%s)", s->name, s->kind->name);
    s->params = mbr_arena_calloc(r->arena, 1, MBR_STEP_PARAMS);
    if (!s->params)
        return mbr_no_memory(r->err, MBR_STEP_PARAMS);
    MBR_TRY(mbr_node_read(r, n, what, s->kind->params, head_params, s->params));
    mbr_col col = { .name = s->name, .type = MBR_COL_NUMBER, .line = n->line, .width = 1 };
    if (s->from_count)
        col.width = c->scope->cols[s->from[0]].width;
    if (s->kind->compile)
        MBR_TRY(s->kind->compile(c, n, s, &col));
    return add_columns(c, n, s, &col);
}
