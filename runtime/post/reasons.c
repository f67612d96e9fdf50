/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "runtime/post/reasons.h"

#include "mbr/explain.h"
#include "runtime/actions/actions.h"
#include "runtime/pipeline/decider.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MOST_REASONS 64

/* Where the value of a feature lies. */
typedef struct place {
    int col, at; /* column, value of it */
    int group;
} place;

typedef struct mbr_pipeline_reasons {
    mbr_explainer *explainer;
    place *places;       /* (features) */
    int features;
    const char **groups; /* (group_count) what the reasons are called */
    bool *hidden;        /* (group_count) */
    int group_count;
    bool *wanted;        /* (action_count) */
    int top, direction;
    const char *node;    /* as the section names it, or NULL */
    int target;
} mbr_pipeline_reasons;

typedef struct mbr_decider_reasons {
    double *values, *contributions; /* (features) */
    double *sums;                   /* (group_count) */
    mbr_reason *reasons;            /* (top) */
} mbr_decider_reasons;

/* ---- the section ---- */

enum { RAISES, LOWERS, BOTH };

typedef struct keys {
    int64_t top, target;
    int direction, unnamed;
    mbr_string node, learned;
    mbr_strings actions;
    const mbr_node *columns;
} keys;

static const mbr_param params[] = {
    { .name = "top", .type = MBR_PARAM_INT, .offset = offsetof(keys, top), .preset = 3 },
    { .name = "actions", .type = MBR_PARAM_STRINGS, .offset = offsetof(keys, actions) },
    { .name = "direction", .type = MBR_PARAM_CHOICE, .words = "raises|lowers|both",
      .offset = offsetof(keys, direction) },
    { .name = "columns", .type = MBR_PARAM_NODE, .offset = offsetof(keys, columns) },
    { .name = "unnamed", .type = MBR_PARAM_CHOICE, .words = "show|hide", .offset = offsetof(keys, unnamed) },
    { .name = "learned", .type = MBR_PARAM_STRING, .offset = offsetof(keys, learned) },
    { .name = "node", .type = MBR_PARAM_STRING, .offset = offsetof(keys, node) },
    { .name = "target", .type = MBR_PARAM_INT, .offset = offsetof(keys, target) },
    { .name = NULL }
};

/* The column that fills an element of a model input. */
static bool find_place(const mbr_pipeline *p, int input, int element, place *out)
{
    for (int i = 0; i < p->feed_count; i++) {
        const mbr_feed *feed = &p->feeds[i];
        if (feed->port != input)
            continue;
        for (int k = 0; k < feed->from_count; k++) {
            const mbr_col *col = &p->scope.cols[feed->from[k]];
            if (col->type > MBR_COL_TIME)
                return false;
            if (element < col->width) {
                *out = (place){ .col = feed->from[k], .at = element };
                return true;
            }
            element -= col->width;
        }
    }
    return false;
}

static mbr_status place_features(const mbr_pipeline *p, const mbr_reading *r, const mbr_node *n,
                                 const mbr_explainer *explainer, int features, place **out)
{
    place *places = mbr_arena_calloc(r->arena, (size_t)features + 1, sizeof *places);
    if (!places)
        return mbr_no_memory(r->err, (size_t)features * sizeof *places);
    *out = places;
    for (int i = 0; i < features; i++) {
        int input = -1, element = 0;
        MBR_TRY(mbr_explainer_feature(explainer, i, &input, &element));
        if (!find_place(p, input, element, &places[i]))
            return mbr_node_refuse(r, n, MBR_ERR_INPUT, "'reasons': feature %d of the model is not filled by a column "
                                   "of numbers", i);
    }
    return MBR_OK;
}

/* The group of a column; a new one unless a group is called the same. */
static int group_of(mbr_pipeline_reasons *x, const char *name, bool hidden)
{
    for (int i = 0; i < x->group_count; i++)
        if (strcmp(x->groups[i], name) == 0 && x->hidden[i] == hidden)
            return i;
    x->groups[x->group_count] = name;
    x->hidden[x->group_count] = hidden;
    return x->group_count++;
}

/* `columns`: which of them are the tensor's, and what they are called. */
static mbr_status name_groups(const mbr_pipeline *p, const mbr_reading *r, const keys *k, mbr_pipeline_reasons *x)
{
    int cols = p->scope.count;
    const char **names = mbr_arena_calloc(r->arena, (size_t)cols + 1, sizeof *names);
    int *groups = mbr_arena_calloc(r->arena, (size_t)cols + 1, sizeof *groups); /* from 1 on */
    x->groups = mbr_arena_calloc(r->arena, (size_t)cols + 1, sizeof *x->groups);
    x->hidden = mbr_arena_calloc(r->arena, (size_t)cols + 1, sizeof *x->hidden);
    if (!names || !groups || !x->groups || !x->hidden)
        return mbr_no_memory(r->err, (size_t)cols * sizeof *names);
    if (k->columns)
        MBR_TRY(mbr_node_expect(r, k->columns, MBR_NODE_MAP, "'columns' of 'reasons'"));
    for (size_t i = 0; k->columns && i < k->columns->count; i++) {
        const mbr_node *key = k->columns->items[2 * i];
        mbr_string text;
        bool used = false;
        int col = mbr_scope_find(&p->scope, key->text.data, key->text.size);
        for (int f = 0; f < x->features && col >= 0; f++)
            used |= x->places[f].col == col;
        if (!used) {
            const char *near = col < 0 ? mbr_scope_near(&p->scope, key->text.data) : NULL;
            return mbr_node_fail(r, key, "'reasons': '%s' is no column of the explained tensor%s%s%s", key->text.data,
                                 near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
        }
        MBR_TRY(mbr_node_string(r, k->columns->items[2 * i + 1], "a text of 'reasons'", &text));
        names[col] = text.data;
    }
    for (int f = 0; f < x->features; f++) {
        int col = x->places[f].col;
        if (!groups[col])
            groups[col] = 1 + group_of(x, names[col] ? names[col] : p->scope.cols[col].name,
                                       !names[col] && k->unnamed);
        x->places[f].group = groups[col] - 1;
    }
    return MBR_OK;
}

static mbr_status read_actions(const mbr_pipeline *p, const mbr_reading *r, const mbr_node *n, const keys *k,
                               mbr_pipeline_reasons *x)
{
    x->wanted = mbr_arena_calloc(r->arena, (size_t)p->action_count + 1, sizeof *x->wanted);
    if (!x->wanted)
        return mbr_no_memory(r->err, (size_t)p->action_count);
    for (int a = 0; a < p->action_count; a++)
        x->wanted[a] = k->actions.count == 0;
    for (size_t i = 0; i < k->actions.count; i++) {
        int a = 0;
        while (a < p->action_count && strcmp(p->actions[a], k->actions.items[i].data) != 0)
            a++;
        if (a == p->action_count)
            return mbr_node_fail(r, n, "'reasons': no rule gives the action '%s'", k->actions.items[i].data);
        x->wanted[a] = true;
    }
    return MBR_OK;
}

mbr_status mbr_pipeline_read_reasons(mbr_pipeline *p, const mbr_compiling *c, const mbr_node *n)
{
    const mbr_reading *r = &c->read;
    keys k;
    if (!n)
        return MBR_OK;
    MBR_TRY(mbr_node_read(r, n, "'reasons'", params, NULL, &k));
    if (k.top < 1 || k.top > MOST_REASONS || k.target < 0 || k.target > INT32_MAX)
        return mbr_node_fail(r, n, "'reasons': 'top' must be 1 to %d, and 'target' counts from 1", MOST_REASONS);
    mbr_pipeline_reasons *x = mbr_arena_calloc(r->arena, 1, sizeof *x);
    if (!x)
        return mbr_no_memory(r->err, sizeof *x);
    p->reasons = x;
    x->top = (int)k.top;
    x->direction = k.direction;
    x->node = k.node.data;
    x->target = (int)k.target;
    mbr_explainer_options o = { .size = sizeof o, .node = k.node.data, .target = (int)k.target };
    if (k.learned.data && !p->fitting) {
        o.learned = mbr_pipeline_beside(r->arena, r->file, k.learned.data);
        if (!o.learned)
            return mbr_no_memory(r->err, k.learned.size);
    }
    mbr_status st = mbr_explainer_new(p->model, &o, &x->explainer, r->err);
    if (st != MBR_OK)
        return mbr_fail_at(r->err, st, "%s:%d: 'reasons': ", r->file, n->line);
    mbr_explainer_facts facts = { .size = sizeof facts };
    mbr_explainer_get_facts(x->explainer, &facts);
    x->features = facts.features;
    MBR_TRY(place_features(p, r, n, x->explainer, x->features, &x->places));
    MBR_TRY(name_groups(p, r, &k, x));
    return read_actions(p, r, n, &k, x);
}

void mbr_pipeline_drop_reasons(mbr_pipeline *p)
{
    if (p->reasons)
        mbr_explainer_release(&p->reasons->explainer);
}

/* ---- decisions ---- */

mbr_status mbr_decider_begin_reasons(mbr_decider *d, mbr_error *err)
{
    const mbr_pipeline_reasons *x = d->pipeline->reasons;
    if (!x)
        return MBR_OK;
    mbr_decider_reasons *y = d->reasons = mbr_arena_calloc(&d->arena, 1, sizeof *y);
    if (y) {
        y->values = mbr_arena_calloc(&d->arena, (size_t)x->features + 1, sizeof *y->values);
        y->contributions = mbr_arena_calloc(&d->arena, (size_t)x->features + 1, sizeof *y->contributions);
        y->sums = mbr_arena_calloc(&d->arena, (size_t)x->group_count + 1, sizeof *y->sums);
        y->reasons = mbr_arena_calloc(&d->arena, (size_t)x->top, sizeof *y->reasons);
    }
    if (!y || !y->values || !y->contributions || !y->sums || !y->reasons)
        return mbr_no_memory(err, (size_t)x->features * sizeof(double));
    return MBR_OK;
}

static void gather(const mbr_rows *rows, int row, const place *places, int features, double *values)
{
    for (int i = 0; i < features; i++) {
        const place *q = &places[i];
        values[i] = rows->lanes[q->col].num[(size_t)row * (size_t)rows->cols[q->col].width + (size_t)q->at];
    }
}

void mbr_decider_give_reasons(mbr_decider *d, int row, int action, mbr_decision *out)
{
    const mbr_pipeline_reasons *x = d->pipeline->reasons;
    mbr_decider_reasons *y = d->reasons;
    if (!x || !x->wanted[action])
        return;
    gather(&d->rows, row, x->places, x->features, y->values);
    mbr_explain_row(x->explainer, y->values, y->contributions, NULL);
    memset(y->sums, 0, (size_t)x->group_count * sizeof *y->sums);
    for (int i = 0; i < x->features; i++)
        y->sums[x->places[i].group] += y->contributions[i];
    int n = 0;
    for (; n < x->top; n++) {
        int best = -1;
        double most = 0;
        for (int g = 0; g < x->group_count; g++) {
            double s = y->sums[g], weight = x->direction == BOTH ? fabs(s) : x->direction == LOWERS ? -s : s;
            if (!x->hidden[g] && weight > most) {
                most = weight;
                best = g;
            }
        }
        if (best < 0)
            break;
        y->reasons[n] = (mbr_reason){ .name = x->groups[best], .contribution = y->sums[best] };
        y->sums[best] = 0;
    }
    out->reasons = n ? y->reasons : NULL;
    out->reason_count = n;
}

/* ---- learning ---- */

typedef struct fit {
    mbr_decider *d;
    mbr_explainer *explainer;
    const place *places;
    double *values;
    int features, at;
    uint64_t rows;
    mbr_error *err;
} fit;

/* Called while the batch of the decision still stands. */
static mbr_status learn(void *user, const mbr_decision *decision)
{
    fit *f = user;
    const mbr_decider *d = f->d;
    if (++f->at >= d->rows.count || d->heads[f->at].row != decision->row)
        f->at = 0;
    if (f->at >= d->rows.count || d->heads[f->at].row != decision->row || decision->error)
        return MBR_OK;
    gather(&d->rows, f->at, f->places, f->features, f->values);
    MBR_TRY(mbr_explainer_learn(f->explainer, f->values, f->err));
    f->rows++;
    return MBR_OK;
}

mbr_status mbr_explain_fit(mbr_pipeline *p, const char *rows_path, mbr_rows_format format, const char *out_path,
                           uint64_t *rows, mbr_error *err)
{
    mbr_error why = { 0 };
    mbr_explainer_options o = { .size = sizeof o, .learning = 1 };
    mbr_explainer_facts facts = { .size = sizeof facts };
    fit f = { .err = &why, .at = -1 };
    mbr_arena arena;
    if (rows)
        *rows = 0;
    if (!p || !rows_path || !out_path)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_explain_fit: a pointer is NULL");
    if (p->reasons) {
        o.node = p->reasons->node;
        o.target = p->reasons->target;
    }
    mbr_arena_init(&arena, p->memory, 0);
    mbr_status st = mbr_explainer_new(p->model, &o, &f.explainer, err);
    MBR_TRY_GOTO(st, end);
    mbr_explainer_get_facts(f.explainer, &facts);
    f.features = facts.features;
    mbr_reading r = { .arena = &arena, .file = p->file, .err = err };
    const mbr_node here = { .line = 1 };
    place *places;
    MBR_TRY_GOTO(place_features(p, &r, &here, f.explainer, f.features, &places), end);
    f.places = places;
    f.values = mbr_arena_calloc(&arena, (size_t)f.features + 1, sizeof *f.values);
    if (!f.values)
        MBR_TRY_GOTO(mbr_no_memory(err, (size_t)f.features * sizeof *f.values), end);
    const mbr_decider_options quiet = { .size = sizeof quiet, .log_path = "" };
    MBR_TRY_GOTO(mbr_decider_new_quiet(p, &quiet, &f.d, err), end);
    st = mbr_decider_file(f.d, rows_path, format, learn, &f, NULL, err);
    if (st != MBR_OK && why.status != MBR_OK)
        st = mbr_fail(err, why.status, "%s", why.text);
    if (st == MBR_OK && !f.rows)
        st = mbr_fail(err, MBR_ERR_INPUT, "%s: no sound row to learn from", rows_path);
    if (st == MBR_OK)
        st = mbr_explainer_save(f.explainer, out_path, err);
    if (rows)
        *rows = f.rows;
end:
    mbr_decider_release(&f.d);
    mbr_explainer_release(&f.explainer);
    mbr_arena_destroy(&arena);
    return st;
}
