/* SPDX-License-Identifier: BSD-2-Clause */
/* The sections `actions`, `costs`, `limits` and `log` of a pipeline file. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "runtime/actions/actions.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define DEFAULT_KEYS 65536
#define MOST_KEYS 16777216
#define MOST_KEEPS 256

/* ---- amounts with a unit ---- */

typedef struct unit {
    const char *name;
    double factor;
} unit;

static const unit times[] = { { "ms", 1e-3 }, { "s", 1 }, { "m", 60 }, { "h", 3600 }, { "d", 86400 }, { "second", 1 },
                              { "minute", 60 }, { "hour", 3600 }, { "day", 86400 }, { NULL, 1 } };
static const unit sizes[] = { { "k", 1024 }, { "M", 1048576 }, { "G", 1073741824 }, { NULL, 1 } };

/* "90", "1.5h", "minute": above 0. */
static mbr_status read_amount(const mbr_reading *r, const mbr_node *n, const char *what, const unit *units,
                              const char *example, double *out)
{
    MBR_TRY(mbr_node_expect(r, n, MBR_NODE_SCALAR, what));
    const char *s = n->text.data;
    size_t digits = strspn(s, "0123456789.");
    const unit *u = units;
    *out = 1;
    while (u->name && strcmp(u->name, s + digits) != 0)
        u++;
    if ((!u->name && s[digits]) || (!digits && (!u->name || strlen(u->name) < 3)) ||
        (digits && !mbr_text_number(s, digits, out)) || !(*out > 0) || *out > 1e12)
        return mbr_node_fail(r, n, "%s must be above 0, such as %s, not '%s'", what, example, s);
    *out *= u->factor;
    return MBR_OK;
}

static mbr_status read_time(const mbr_reading *r, const mbr_node *n, const char *what, double *seconds)
{
    return read_amount(r, n, what, times, "90 (seconds), 10m, 1.5h or 1d", seconds);
}

/* ---- what pipelines remember by ---- */

mbr_status mbr_pipeline_key_column(const mbr_pipeline *p, const mbr_reading *r, const mbr_node *n,
                                   const mbr_string *name, int *column)
{
    *column = mbr_scope_find(&p->scope, name->data, name->size);
    if (*column < 0) {
        const char *near = mbr_scope_near(&p->scope, name->data);
        return mbr_node_fail(r, n, "'key': there is no column '%s'%s%s%s", name->data, near ? "; did you mean '" : "",
                             near ? near : "", near ? "'?" : "");
    }
    const mbr_col *col = &p->scope.cols[*column];
    if (col->width != 1 || col->type > MBR_COL_STRING)
        return mbr_node_fail(r, n, "'key': column '%s' is not a single value", name->data);
    return MBR_OK;
}

mbr_status mbr_pipeline_add_keeps(mbr_pipeline *p, const mbr_reading *r, int key, int *index)
{
    mbr_pipeline_actions *a = p->actions_of;
    if (a->keeps == MOST_KEEPS)
        return mbr_fail(r->err, MBR_ERR_LIMIT, "%s: more than %d caps, cool-downs and rules with 'leave'", r->file,
                        MOST_KEEPS);
    a->keep_keys[a->keeps] = key;
    *index = a->keeps++;
    return MBR_OK;
}

/* ---- actions ---- */

typedef struct limit_keys {
    mbr_string key;
    int64_t most;
    const mbr_node *per, *time;
} limit_keys;

static const mbr_param cap_params[] = {
    { .name = "most", .type = MBR_PARAM_INT, .required = true, .offset = offsetof(limit_keys, most) },
    { .name = "per", .type = MBR_PARAM_NODE, .required = true, .offset = offsetof(limit_keys, per) },
    { .name = "key", .type = MBR_PARAM_STRING, .offset = offsetof(limit_keys, key) },
    { .name = NULL }
};

static const mbr_param cool_down_params[] = {
    { .name = "time", .type = MBR_PARAM_NODE, .required = true, .offset = offsetof(limit_keys, time) },
    { .name = "key", .type = MBR_PARAM_STRING, .offset = offsetof(limit_keys, key) },
    { .name = NULL }
};

static mbr_status read_limit(mbr_pipeline *p, const mbr_reading *r, const mbr_node *n, bool cap, mbr_limit *limit)
{
    limit_keys keys = { .most = 0 };
    const char *what = cap ? "'cap'" : "'cool_down'";
    if (!cap && n->kind == MBR_NODE_SCALAR)
        keys.time = n;
    else
        MBR_TRY(mbr_node_read(r, n, what, cap ? cap_params : cool_down_params, NULL, &keys));
    if (cap && (keys.most < 1 || keys.most > 1000000000))
        return mbr_node_fail(r, n, "'most' of 'cap' must be 1 to 1000000000; an action that is never wanted needs no rule");
    MBR_TRY(read_time(r, cap ? keys.per : keys.time, cap ? "'per' of 'cap'" : "'cool_down'", &limit->per));
    limit->most = (double)keys.most;
    limit->key = -1;
    if (keys.key.data)
        MBR_TRY(mbr_pipeline_key_column(p, r, n, &keys.key, &limit->key));
    return mbr_pipeline_add_keeps(p, r, limit->key, &limit->keeps);
}

typedef struct action_keys {
    const mbr_node *cap, *cool_down;
    mbr_string instead;
} action_keys;

static const mbr_param action_params[] = {
    { .name = "cap", .type = MBR_PARAM_NODE, .offset = offsetof(action_keys, cap) },
    { .name = "cool_down", .type = MBR_PARAM_NODE, .offset = offsetof(action_keys, cool_down) },
    { .name = "instead", .type = MBR_PARAM_STRING, .offset = offsetof(action_keys, instead) },
    { .name = NULL }
};

static mbr_status read_action(mbr_pipeline *p, const mbr_reading *r, const mbr_node *n, const char *name,
                              mbr_action_limits *out)
{
    action_keys keys;
    char what[80];
    snprintf(what, sizeof what, "action '%.50s'", name);
    MBR_TRY(mbr_node_read(r, n, what, action_params, NULL, &keys));
    out->line = n->line;
    size_t caps = !keys.cap ? 0 : keys.cap->kind == MBR_NODE_LIST ? keys.cap->count : 1;
    if (caps > MBR_MOST_CAPS)
        return mbr_node_fail(r, n, "%s has more than %d caps", what, MBR_MOST_CAPS);
    if (keys.cool_down)
        MBR_TRY(read_limit(p, r, keys.cool_down, false, &out->limits[out->count++]));
    for (size_t i = 0; i < caps; i++)
        MBR_TRY(read_limit(p, r, keys.cap->kind == MBR_NODE_LIST ? keys.cap->items[i] : keys.cap, true,
                           &out->limits[out->count++]));
    if (!keys.instead.data != !out->count)
        return mbr_node_fail(r, n, out->count ? "%s needs 'instead': the action that stands in for it"
                                              : "%s has an 'instead', and no 'cap' or 'cool_down'", what);
    if (!out->count)
        return MBR_OK;
    out->instead = mbr_pipeline_action_index(p, keys.instead.data);
    return MBR_OK;
}

/* The names first, so that each may stand in for any other; then their limits; then no two stand in for each other. */
static mbr_status read_actions(mbr_pipeline *p, const mbr_reading *r, const mbr_node *n)
{
    mbr_pipeline_actions *a = p->actions_of;
    int index;
    if (n)
        MBR_TRY(mbr_node_expect(r, n, MBR_NODE_MAP, "'actions'"));
    for (size_t i = 0; n && i < n->count; i++) {
        const mbr_node *instead = n->items[2 * i + 1]->kind == MBR_NODE_MAP
                                      ? mbr_node_get(n->items[2 * i + 1], "instead") : NULL;
        MBR_TRY(mbr_pipeline_add_action(p, r, n, n->items[2 * i]->text.data, &index));
        if (instead && instead->kind == MBR_NODE_SCALAR)
            MBR_TRY(mbr_pipeline_add_action(p, r, n, instead->text.data, &index));
    }
    a->limits = mbr_arena_calloc(r->arena, (size_t)p->action_count + 1, sizeof *a->limits);
    if (!a->limits)
        return mbr_no_memory(r->err, (size_t)p->action_count * sizeof *a->limits);
    for (int i = 0; i < p->action_count; i++)
        a->limits[i].instead = -1;
    for (size_t i = 0; n && i < n->count; i++) {
        index = mbr_pipeline_action_index(p, n->items[2 * i]->text.data);
        MBR_TRY(read_action(p, r, n->items[2 * i + 1], p->actions[index], &a->limits[index]));
    }
    for (int i = 0; i < p->action_count; i++) {
        int steps = 0;
        for (int k = i; a->limits[k].count && steps <= p->action_count; steps++)
            k = a->limits[k].instead;
        if (steps > p->action_count)
            return mbr_fail(r->err, MBR_ERR_FORMAT, "%s:%d: action '%s': the actions that stand in for it come back to it; "
                            "one of them must have no limit", r->file, a->limits[i].line, p->actions[i]);
    }
    return MBR_OK;
}

/* ---- costs ---- */

/* A number, or an expression over the row. */
static mbr_status read_number_expr(mbr_pipeline *p, const mbr_reading *r, const mbr_node *n, const char *what,
                                   mbr_expr *out)
{
    mbr_string text;
    MBR_TRY(mbr_node_string(r, n, what, &text));
    mbr_status st = mbr_expr_compile(text.data, text.size, &p->scope, out, r->err);
    if (st == MBR_OK && out->type != MBR_COL_NUMBER)
        st = mbr_fail(r->err, MBR_ERR_FORMAT, "the expression gives a %s; a number is due",
                      mbr_col_type_name(out->type));
    return st == MBR_OK ? MBR_OK : mbr_fail_at(r->err, st, "%s:%d: %s: ", r->file, n->line, what);
}

static int class_index(const mbr_costs *c, const char *name)
{
    for (int i = 0; i < c->class_count; i++)
        if (strcmp(c->classes[i].data, name) == 0)
            return i;
    return -1;
}

static mbr_status read_costs_of(mbr_pipeline *p, const mbr_reading *r, const mbr_node *n, const char *action,
                                mbr_expr *cost)
{
    const mbr_costs *c = &p->actions_of->costs;
    char what[160];
    MBR_TRY(mbr_node_expect(r, n, MBR_NODE_MAP, "the costs of an action"));
    for (size_t i = 0; i < n->count; i++) {
        const mbr_node *name = n->items[2 * i];
        int k = class_index(c, name->text.data);
        if (k < 0)
            return mbr_node_fail(r, name, "'costs': action '%s' has a class '%s' that the first action does not have",
                                 action, name->text.data);
        snprintf(what, sizeof what, "the cost of '%.50s' where it is '%.50s'", action, name->text.data);
        MBR_TRY(read_number_expr(p, r, n->items[2 * i + 1], what, &cost[k]));
    }
    if (n->count != (size_t)c->class_count)
        return mbr_node_fail(r, n, "'costs': action '%s' must have a cost for each of the %d classes", action,
                             c->class_count);
    return MBR_OK;
}

static mbr_status read_costs(mbr_pipeline *p, const mbr_reading *r, const mbr_node *n, bool chosen)
{
    mbr_costs *c = &p->actions_of->costs;
    MBR_TRY(mbr_node_expect(r, n, MBR_NODE_MAP, "'costs'"));
    if (!n->count || n->count > 64)
        return mbr_node_fail(r, n, "'costs' must have 1 to 64 actions");
    const mbr_node *first = n->items[1];
    MBR_TRY(mbr_node_expect(r, first, MBR_NODE_MAP, "the costs of an action"));
    if (first->count < 2 || first->count > MBR_MOST_CLASSES)
        return mbr_node_fail(r, first, "'costs' must have 2 to %d classes, such as {fraud: 0, legit: 5}",
                             MBR_MOST_CLASSES);
    c->classes = mbr_arena_calloc(r->arena, first->count, sizeof *c->classes);
    c->actions = mbr_arena_calloc(r->arena, n->count, sizeof *c->actions);
    c->cost = mbr_arena_calloc(r->arena, n->count * first->count, sizeof *c->cost);
    if (!c->classes || !c->actions || !c->cost)
        return mbr_no_memory(r->err, n->count * first->count * sizeof *c->cost);
    for (size_t i = 0; i < first->count; i++)
        c->classes[c->class_count++] = first->items[2 * i]->text;
    for (size_t i = 0; i < n->count; i++) {
        const char *name = n->items[2 * i]->text.data;
        if (!chosen && mbr_pipeline_action_index(p, name) < 0)
            return mbr_node_fail(r, n->items[2 * i], "'costs': no rule and no fallback gives the action '%s'", name);
        MBR_TRY(mbr_pipeline_add_action(p, r, n->items[2 * i], name, &c->actions[i]));
        MBR_TRY(read_costs_of(p, r, n->items[2 * i + 1], name, &c->cost[i * first->count]));
        c->action_count++;
    }
    return MBR_OK;
}

mbr_status mbr_pipeline_read_cheapest(mbr_pipeline *p, const mbr_reading *r, const mbr_node *n, mbr_rule *rule)
{
    MBR_TRY(mbr_node_expect(r, n, MBR_NODE_MAP, "'cheapest'"));
    (void)p;
    rule->cheapest = mbr_arena_calloc(r->arena, 1, sizeof *rule->cheapest);
    if (!rule->cheapest)
        return mbr_no_memory(r->err, sizeof *rule->cheapest);
    rule->cheapest->at = n;
    return MBR_OK;
}

static mbr_status read_chances(mbr_pipeline *p, const mbr_reading *r, mbr_rule *rule)
{
    const mbr_costs *c = &p->actions_of->costs;
    const mbr_node *n = rule->cheapest->at;
    char what[160];
    if (!c->class_count)
        return mbr_node_fail(r, n, "rule '%s' takes the cheapest action, and there are no 'costs'", rule->name);
    rule->cheapest->chance = mbr_arena_calloc(r->arena, (size_t)c->class_count, sizeof *rule->cheapest->chance);
    if (!rule->cheapest->chance)
        return mbr_no_memory(r->err, (size_t)c->class_count * sizeof *rule->cheapest->chance);
    for (size_t i = 0; i < n->count; i++) {
        const char *name = n->items[2 * i]->text.data;
        int k = class_index(c, name);
        if (k < 0)
            return mbr_node_fail(r, n->items[2 * i], "rule '%s': 'costs' has no class '%s'", rule->name, name);
        snprintf(what, sizeof what, "rule '%.50s': the chance of '%.50s'", rule->name, name);
        MBR_TRY(read_number_expr(p, r, n->items[2 * i + 1], what, &rule->cheapest->chance[k]));
    }
    if (n->count != (size_t)c->class_count)
        return mbr_node_fail(r, n, "rule '%s' must name the chance of each of the %d classes of 'costs'", rule->name,
                             c->class_count);
    return MBR_OK;
}

/* ---- limits ---- */

typedef struct limits_keys {
    mbr_string clock;
    int64_t keys;
} limits_keys;

static const mbr_param limits_params[] = {
    { .name = "clock", .type = MBR_PARAM_STRING, .offset = offsetof(limits_keys, clock) },
    { .name = "keys", .type = MBR_PARAM_INT, .preset = DEFAULT_KEYS, .offset = offsetof(limits_keys, keys) },
    { .name = NULL }
};

static mbr_status read_limits(mbr_pipeline *p, const mbr_reading *r, const mbr_node *n)
{
    mbr_pipeline_actions *a = p->actions_of;
    limits_keys keys;
    if (!n)
        return MBR_OK;
    MBR_TRY(mbr_node_read(r, n, "'limits'", limits_params, NULL, &keys));
    if (keys.keys < 1 || keys.keys > MOST_KEYS)
        return mbr_node_fail(r, n, "'keys' of 'limits' must be 1 to %d", MOST_KEYS);
    a->keys = (int)keys.keys;
    if (!keys.clock.data)
        return MBR_OK;
    a->clock = mbr_scope_find(&p->scope, keys.clock.data, keys.clock.size);
    if (a->clock < 0 || p->scope.cols[a->clock].type != MBR_COL_TIME || p->scope.cols[a->clock].width != 1)
        return mbr_node_fail(r, n, "'clock' of 'limits': there is no column '%s' that is a time", keys.clock.data);
    return MBR_OK;
}

mbr_status mbr_pipeline_read_actions(mbr_pipeline *p, const mbr_reading *r, const mbr_node *actions,
                                     const mbr_node *costs, const mbr_node *limits)
{
    bool chosen = false;
    for (int i = 0; i < p->rule_count; i++)
        chosen |= p->rules[i].cheapest != NULL;
    if (costs)
        MBR_TRY(read_costs(p, r, costs, chosen));
    for (int i = 0; i < p->rule_count; i++)
        if (p->rules[i].cheapest)
            MBR_TRY(read_chances(p, r, &p->rules[i]));
    MBR_TRY(read_limits(p, r, limits));
    return read_actions(p, r, actions);
}

/* ---- the log ---- */

typedef struct log_keys {
    mbr_string path;
    bool inputs;
    int on_error, sync;
    const mbr_node *rotate;
} log_keys;

static const mbr_param log_params[] = {
    { .name = "path", .type = MBR_PARAM_STRING, .required = true, .offset = offsetof(log_keys, path) },
    { .name = "inputs", .type = MBR_PARAM_BOOL, .preset = 1, .offset = offsetof(log_keys, inputs) },
    { .name = "on_error", .type = MBR_PARAM_CHOICE, .words = "refuse|continue", .offset = offsetof(log_keys,
                                                                                                   on_error) },
    { .name = "sync", .type = MBR_PARAM_CHOICE, .words = "never|rotate|always", .offset = offsetof(log_keys, sync) },
    { .name = "rotate", .type = MBR_PARAM_NODE, .offset = offsetof(log_keys, rotate) },
    { .name = NULL }
};

typedef struct rotate_keys {
    const mbr_node *size, *age;
    int64_t records, keep;
} rotate_keys;

static const mbr_param rotate_params[] = {
    { .name = "size", .type = MBR_PARAM_NODE, .offset = offsetof(rotate_keys, size) },
    { .name = "age", .type = MBR_PARAM_NODE, .offset = offsetof(rotate_keys, age) },
    { .name = "records", .type = MBR_PARAM_INT, .offset = offsetof(rotate_keys, records) },
    { .name = "keep", .type = MBR_PARAM_INT, .offset = offsetof(rotate_keys, keep) },
    { .name = NULL }
};

mbr_status mbr_pipeline_read_log(mbr_pipeline *p, const mbr_reading *r, const mbr_node *n)
{
    mbr_log_config *c = &p->actions_of->log;
    log_keys keys;
    rotate_keys rotate;
    double amount;
    c->inputs = true;
    if (!n)
        return MBR_OK;
    MBR_TRY(mbr_node_read(r, n, "'log'", log_params, NULL, &keys));
    c->path = mbr_pipeline_beside(r->arena, r->file, keys.path.data);
    if (!c->path)
        return mbr_no_memory(r->err, keys.path.size);
    if (!keys.path.size)
        return mbr_node_fail(r, n, "'path' of 'log' is empty");
    c->inputs = keys.inputs;
    c->go_on = keys.on_error != 0;
    c->sync = (mbr_log_sync)keys.sync;
    if (!keys.rotate)
        return MBR_OK;
    MBR_TRY(mbr_node_read(r, keys.rotate, "'rotate' of 'log'", rotate_params, NULL, &rotate));
    if (rotate.size) {
        MBR_TRY(read_amount(r, rotate.size, "'size' of 'rotate'", sizes, "500k, 100M or 2G", &amount));
        c->most_bytes = (uint64_t)amount;
    }
    if (rotate.age) {
        MBR_TRY(read_time(r, rotate.age, "'age' of 'rotate'", &amount));
        c->most_age = (int64_t)(amount * 1e6);
    }
    if (rotate.records < 0 || rotate.keep < 0 || rotate.keep > 1000000)
        return mbr_node_fail(r, keys.rotate, "'records' and 'keep' of 'rotate' are not negative, 'keep' is at most 1000000");
    c->most_records = (uint64_t)rotate.records;
    c->keep = (int)rotate.keep;
    return MBR_OK;
}

/* ---- begin and end ---- */

/* A node that no file has: line is that of the inputs. */
static mbr_node *make_node(const mbr_reading *r, const mbr_node *like, mbr_node_kind kind, const char *text,
                           size_t count)
{
    mbr_node *n = mbr_arena_calloc(r->arena, 1, sizeof *n);
    if (!n)
        return NULL;
    *n = (mbr_node){ .kind = kind, .line = like->line, .count = count };
    n->text.data = text ? mbr_arena_strdup(r->arena, text) : NULL;
    n->text.size = text ? strlen(text) : 0;
    n->items = mbr_arena_calloc(r->arena, 2 * count + 1, sizeof *n->items);
    return (text && !n->text.data) || !n->items ? NULL : n;
}

/* The inputs and one more: {type: string, missing: keep}. */
static mbr_status add_label(mbr_pipeline *p, const mbr_reading *r, const char *label, const mbr_node **inputs)
{
    static const char *const words[] = { "type", "string", "missing", "keep" };
    const mbr_node *old = *inputs;
    MBR_TRY(mbr_node_expect(r, old, MBR_NODE_MAP, "'inputs'"));
    for (size_t i = 0; i < old->count; i++)
        if (strcmp(old->items[2 * i]->text.data, label) == 0) {
            p->actions_of->label = (int)i;
            return MBR_OK;
        }
    if (!mbr_expr_is_name(label, strlen(label)))
        return mbr_fail(r->err, MBR_ERR_ARGUMENT, "the label's column '%s' must have a name of letters, digits and '_'", label);
    mbr_node *all = make_node(r, old, MBR_NODE_MAP, NULL, old->count + 1);
    mbr_node *name = make_node(r, old, MBR_NODE_SCALAR, label, 0), *keys = make_node(r, old, MBR_NODE_MAP, NULL, 2);
    bool whole = all && name && keys;
    for (int i = 0; i < 4 && whole; i++) {
        keys->items[i] = make_node(r, old, MBR_NODE_SCALAR, words[i], 0);
        whole = keys->items[i] != NULL;
    }
    if (!whole)
        return mbr_no_memory(r->err, sizeof *all);
    if (old->count)
        memcpy(all->items, old->items, 2 * old->count * sizeof *old->items);
    all->items[2 * old->count] = name;
    all->items[2 * old->count + 1] = keys;
    p->actions_of->label = (int)old->count;
    p->actions_of->extra = true;
    *inputs = all;
    return MBR_OK;
}

mbr_status mbr_pipeline_begin_actions(mbr_pipeline *p, const mbr_reading *r, const char *label, const mbr_node **inputs)
{
    mbr_pipeline_actions *a = mbr_arena_calloc(r->arena, 1, sizeof *a);
    if (a)
        a->keep_keys = mbr_arena_calloc(r->arena, MOST_KEEPS, sizeof *a->keep_keys);
    if (!a || !a->keep_keys)
        return mbr_no_memory(r->err, sizeof *a);
    a->clock = a->label = -1;
    a->keys = DEFAULT_KEYS;
    a->seed = mbr_hash_bytes(p->name, strlen(p->name), (mbr_hash){ 0, 0 });
    pthread_mutex_init(&a->lock, NULL);
    p->actions_of = a;
    return label ? add_label(p, r, label, inputs) : MBR_OK;
}

void mbr_pipeline_drop_actions(mbr_pipeline *p)
{
    if (p->actions_of)
        pthread_mutex_destroy(&p->actions_of->lock);
}
