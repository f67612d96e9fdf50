/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/passes/pass.h"
#include "engine/infer.h"
#include "engine/ops/expand_util.h"
#include "engine/ops/op.h"

#include <stdio.h>
#include <string.h>

#define MBR_PASS(id, text) { #id, text, mbr_pass_##id },
const mbr_pass mbr_pass_table[] = {
#include "engine/passes/list.h"
    { 0 },
};
#undef MBR_PASS

_Static_assert(MBR_COUNT_OF(mbr_pass_table) <= 64, "one bit a pass");

static mbr_status unknown_pass(const char *name, size_t n, mbr_error *err)
{
    char names[256];
    size_t at = 0;
    names[0] = '\0';
    for (const mbr_pass *p = mbr_pass_table; p->name && at < sizeof names; p++)
        at += (size_t)snprintf(names + at, sizeof names - at, " %s", p->name);
    return mbr_fail(err, MBR_ERR_ARGUMENT, "there is no pass '%.*s'; the passes are:%s; or all, none", (int)n, name,
                    names);
}

void mbr_passes_for_device(mbr_pass_set *set)
{
    for (size_t i = 0; mbr_pass_table[i].name; i++)
        if (strcmp(mbr_pass_table[i].name, "batch") == 0 || strcmp(mbr_pass_table[i].name, "rows") == 0)
            set->on &= ~((uint64_t)1 << i);
}

mbr_status mbr_pass_set_parse(const char *text, mbr_pass_set *set, mbr_error *err)
{
    *set = (mbr_pass_set){ .on = ~(uint64_t)0 };
    for (const char *at = text; at && *at;) {
        size_t n = strcspn(at, ",");
        const char *name = at;
        at += n + (at[n] == ',');
        bool off = n && *name == '-';
        if (n && (*name == '-' || *name == '+')) {
            name++;
            n--;
        }
        if (n == 0)
            continue;
        if (n == 4 && memcmp(name, "none", 4) == 0) {
            set->on = 0;
            continue;
        }
        if (n == 3 && memcmp(name, "all", 3) == 0) {
            set->on = ~(uint64_t)0;
            continue;
        }
        size_t i = 0;
        while (mbr_pass_table[i].name &&
               (strlen(mbr_pass_table[i].name) != n || memcmp(mbr_pass_table[i].name, name, n) != 0))
            i++;
        if (!mbr_pass_table[i].name)
            return unknown_pass(name, n, err);
        if (off)
            set->on &= ~((uint64_t)1 << i);
        else
            set->on |= (uint64_t)1 << i;
    }
    return MBR_OK;
}

static mbr_status each_graph(mbr_ir_graph *g, mbr_status (*fn)(mbr_ir_graph *, void *, mbr_error *), void *user,
                             int depth, mbr_error *err)
{
    if (depth > 256)
        return mbr_fail(err, MBR_ERR_LIMIT, "%s: subgraphs nested more than 256 deep", g->module->file);
    for (mbr_ir_node *n = g->first, *next; n; n = next) {
        next = n->next;
        for (uint32_t i = 0; i < n->n_attrs; i++)
            if (n->attrs[i].kind == MBR_ATTR_GRAPH)
                MBR_TRY(each_graph(n->attrs[i].graph, fn, user, depth + 1, err));
    }
    return fn(g, user, err);
}

mbr_status mbr_each_graph(mbr_ir_graph *g, mbr_status (*fn)(mbr_ir_graph *, void *, mbr_error *), void *user,
                          mbr_error *err)
{
    return each_graph(g, fn, user, 0, err);
}

typedef struct pass_run {
    const mbr_pass *pass;
    bool changed;
} pass_run;

static mbr_status run_one(mbr_ir_graph *g, void *user, mbr_error *err)
{
    pass_run *r = user;
    return r->pass->run(g, &r->changed, err);
}

/* Passes may let an output be another value; users still ask for it by the name that the file gave. */
static mbr_status keep_output_names(mbr_ir_graph *g, mbr_error *err)
{
    if (g->output_names)
        return MBR_OK;
    const char **names = mbr_arena_alloc(&g->module->arena, (g->n_outputs + 1) * sizeof *names);
    if (!names)
        return mbr_no_memory(err, g->n_outputs * sizeof *names);
    for (size_t i = 0; i < g->n_outputs; i++)
        names[i] = g->outputs[i]->name;
    g->output_names = names;
    return MBR_OK;
}

/* The nodes as they came, for those who ask later what became of them; those of bodies come first. */
static mbr_status note_originals(mbr_ir_graph *g, void *user, mbr_error *err)
{
    mbr_ir_node ***end = user;
    (void)err;
    for (mbr_ir_node *n = g->first; n; n = n->next) {
        **end = n;
        *end = &n->next_original;
    }
    return MBR_OK;
}

static mbr_status make_exact(mbr_ir_graph *g, void *user, mbr_error *err)
{
    (void)user;
    for (mbr_ir_node *n = g->first; n; n = n->next)
        if (strstr(n->op->name, "Conv"))
            MBR_TRY(mbr_ir_attr_int(n, "exact", 1, err));
    return MBR_OK;
}

typedef struct expansion_run {
    bool changed;
} expansion_run;

/* Operators that others make up give way to them, whatever passes run. */
static mbr_status expand_nodes(mbr_ir_graph *g, void *user, mbr_error *err)
{
    for (mbr_ir_node *n = g->first, *next; n; n = next) {
        next = n->next;
        if (!n->op->expand)
            continue;
        MBR_TRY(mbr_expand(n, err));
        ((expansion_run *)user)->changed = true;
    }
    return MBR_OK;
}

mbr_status mbr_passes_run(mbr_ir_module *m, const mbr_pass_set *set, const char *until, mbr_error *err)
{
    MBR_TRY(keep_output_names(m->main, err));
    MBR_TRY(mbr_infer_graph(m->main, err));
    mbr_ir_node **originals = &m->originals;
    MBR_TRY(mbr_each_graph(m->main, note_originals, &originals, err));
    if (set->exact)
        MBR_TRY(mbr_each_graph(m->main, make_exact, NULL, err));
    m->stage = "expand";
    expansion_run x = { false };
    MBR_TRY(mbr_each_graph(m->main, expand_nodes, &x, err));
    if (x.changed)
        MBR_TRY(mbr_infer_graph(m->main, err));
    if (until && strcmp(until, "import") == 0)
        return MBR_OK;
    for (size_t i = 0; mbr_pass_table[i].name; i++) {
        pass_run r = { &mbr_pass_table[i], false };
        if (set->on >> i & 1) {
            m->stage = r.pass->name;
            MBR_TRY(mbr_each_graph(m->main, run_one, &r, err));
            mbr_log_at(m->log, MBR_LOG_DEBUG, "pass %s: %s", r.pass->name, r.changed ? "changed" : "nothing to do");
        }
        if (until && strcmp(until, r.pass->name) == 0)
            return MBR_OK;
    }
    return until ? unknown_pass(until, strlen(until), err) : MBR_OK;
}

bool mbr_const_scalar(const mbr_ir_value *v, float *x)
{
    if (!v || !v->constant || v->has_default || v->constant->kind != MBR_KIND_TENSOR ||
        v->constant->dtype != MBR_DTYPE_F32 || mbr_value_count(v->constant) != 1)
        return false;
    *x = *(const float *)v->constant->data;
    return true;
}

bool mbr_node_is(const mbr_ir_node *n, const char *domain, const char *name)
{
    return n && strcmp(n->op->name, name) == 0 && strcmp(n->op->domain, domain) == 0;
}

mbr_status mbr_join_origin(mbr_ir_node *n, const char *origin, mbr_error *err)
{
    size_t a = strlen(n->origin), b = strlen(origin);
    if (b == 0 || a + b > 1000)
        return MBR_OK;
    char *both = mbr_arena_alloc(&n->graph->module->arena, a + b + 2);
    if (!both)
        return mbr_no_memory(err, a + b + 2);
    snprintf(both, a + b + 2, "%s%s%s", n->origin, a ? "+" : "", origin);
    n->origin = both;
    return MBR_OK;
}
