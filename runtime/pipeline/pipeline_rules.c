/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading what a pipeline decides by: scores, rules, the fallback. */
#include "runtime/actions/actions.h"

#include <stdio.h>
#include <string.h>

static bool is_score(const mbr_col *col)
{
    return col->type != MBR_COL_STRING && col->type != MBR_COL_TENSOR && col->width == 1;
}

/* Number columns of one value. */
mbr_status mbr_pipeline_read_scores(mbr_pipeline *p, const mbr_reading *r, const mbr_node *n, int first)
{
    mbr_strings names = { NULL, 0 };
    size_t most = (size_t)(p->scope.count - first);
    if (n) {
        MBR_TRY(mbr_node_strings(r, n, "'scores'", &names));
        most = names.count;
    }
    p->scores = mbr_arena_calloc(r->arena, most + 1, sizeof *p->scores);
    if (!p->scores)
        return mbr_no_memory(r->err, (most + 1) * sizeof *p->scores);
    for (size_t i = 0; i < names.count; i++) {
        int col = mbr_scope_find(&p->scope, names.items[i].data, names.items[i].size);
        if (col < 0)
            return mbr_node_fail(r, n, "'scores': there is no column '%s'", names.items[i].data);
        if (!is_score(&p->scope.cols[col]))
            return mbr_node_fail(r, n, "'scores': '%s' is not a single number", names.items[i].data);
        p->scores[p->score_count++] = col;
    }
    for (int col = first; !n && col < p->scope.count; col++)
        if (is_score(&p->scope.cols[col]))
            p->scores[p->score_count++] = col;
    return MBR_OK;
}

/* ---- actions by name ---- */

int mbr_pipeline_action_index(const mbr_pipeline *p, const char *name)
{
    for (int i = 0; i < p->action_count; i++)
        if (strcmp(p->actions[i], name) == 0)
            return i;
    return -1;
}

mbr_status mbr_pipeline_add_action(mbr_pipeline *p, const mbr_reading *r, const mbr_node *n, const char *name,
                                   int *index)
{
    *index = mbr_pipeline_action_index(p, name);
    if (*index >= 0)
        return MBR_OK;
    if (p->action_count == MBR_MAX_COLUMNS)
        return mbr_node_fail(r, n, "more than %d actions", MBR_MAX_COLUMNS);
    if ((p->action_count & (p->action_count - 1)) == 0) { /* at each power of two there is no room */
        size_t most = p->action_count ? 2 * (size_t)p->action_count : 1;
        const char **actions = mbr_arena_calloc(r->arena, most, sizeof *actions);
        if (!actions)
            return mbr_no_memory(r->err, most * sizeof *actions);
        if (p->action_count)
            memcpy(actions, p->actions, (size_t)p->action_count * sizeof *actions);
        p->actions = actions;
    }
    *index = p->action_count;
    p->actions[p->action_count++] = name;
    return MBR_OK;
}

/* ---- rules ---- */

typedef struct rule_keys {
    mbr_string name, when, leave, key, then;
    const mbr_node *cheapest;
} rule_keys;

#define KEY(key, kind) { .name = #key, .type = kind, .offset = offsetof(rule_keys, key) }

static const mbr_param rule_params[] = {
    KEY(name, MBR_PARAM_STRING), KEY(when, MBR_PARAM_STRING), KEY(leave, MBR_PARAM_STRING),
    KEY(key, MBR_PARAM_STRING),  KEY(then, MBR_PARAM_STRING), KEY(cheapest, MBR_PARAM_NODE),
    { .name = NULL }
};

static mbr_status read_condition(mbr_pipeline *p, const mbr_reading *r, const mbr_node *n, const mbr_rule *rule,
                                 const mbr_string *text, mbr_expr *out)
{
    mbr_status st = mbr_expr_compile(text->data, text->size, &p->scope, out, r->err);
    if (st == MBR_OK && out->type != MBR_COL_BOOL)
        st = mbr_fail(r->err, MBR_ERR_FORMAT, "the expression gives a %s; a rule needs a condition",
                      mbr_col_type_name(out->type));
    return st == MBR_OK ? MBR_OK : mbr_fail_at(r->err, st, "%s:%d: rule '%s': ", r->file, n->line, rule->name);
}

static mbr_status read_sticky(mbr_pipeline *p, const mbr_reading *r, const mbr_node *n, const rule_keys *keys,
                              mbr_rule *rule)
{
    int column = -1;
    if (!keys->leave.data)
        return keys->key.data ? mbr_node_fail(r, n, "rule '%s': only a rule with 'leave' has a 'key'", rule->name)
                              : MBR_OK;
    if (rule->always)
        return mbr_node_fail(r, n, "rule '%s' has a 'leave' without a 'when'", rule->name);
    if (keys->key.data)
        MBR_TRY(mbr_pipeline_key_column(p, r, n, &keys->key, &column));
    rule->sticky = true;
    p->sticky_rules++;
    MBR_TRY(mbr_pipeline_add_keeps(p, r, column, &rule->keeps));
    return read_condition(p, r, n, rule, &keys->leave, &rule->leave);
}

static mbr_status read_rule(mbr_pipeline *p, const mbr_reading *r, const mbr_node *n, bool last, mbr_rule *rule)
{
    rule_keys keys;
    char name[32];
    MBR_TRY(mbr_node_read(r, n, "a rule", rule_params, NULL, &keys));
    snprintf(name, sizeof name, "rule_%d", p->rule_count + 1);
    rule->line = n->line;
    rule->name = keys.name.data ? keys.name.data : mbr_arena_strdup(r->arena, name);
    if (!rule->name)
        return mbr_no_memory(r->err, sizeof name);
    for (int i = 0; i < p->rule_count; i++)
        if (strcmp(p->rules[i].name, rule->name) == 0)
            return mbr_node_fail(r, n, "there are two rules '%s'; the other is on line %d", rule->name,
                                 p->rules[i].line);
    if (!keys.then.data == !keys.cheapest)
        return mbr_node_fail(r, n, "rule '%s' must have 'then', or 'cheapest' instead", rule->name);
    if (keys.then.data)
        MBR_TRY(mbr_pipeline_add_action(p, r, n, keys.then.data, &rule->action));
    else
        MBR_TRY(mbr_pipeline_read_cheapest(p, r, keys.cheapest, rule));
    rule->always = !keys.when.data;
    if (rule->always && !last)
        return mbr_node_fail(r, n, "rule '%s' has no 'when', so that the rules after it never fire; put it last",
                             rule->name);
    if (!rule->always && last)
        return mbr_node_fail(r, n, "the last rule must have no 'when', so that every row gets an action; add "
                             "'- {name: otherwise, then: ...}'");
    MBR_TRY(read_sticky(p, r, n, &keys, rule));
    return rule->always ? MBR_OK : read_condition(p, r, n, rule, &keys.when, &rule->when);
}

/* ---- what rows get that the rules cannot decide ---- */

/* fallback: ACTION, or {action: ACTION, late: ACTION, ...} */
static mbr_status read_fallback(mbr_pipeline *p, const mbr_reading *r, const mbr_node *n)
{
    mbr_string names[MBR_CAUSE_COUNT] = { { NULL, 0 } };
    mbr_param params[MBR_CAUSE_DRIFT + 2] = { { .name = "action", .type = MBR_PARAM_STRING, .required = true } };
    p->fallback = -1;
    p->fallbacks = mbr_arena_calloc(r->arena, MBR_CAUSE_COUNT, sizeof *p->fallbacks);
    if (!p->fallbacks)
        return mbr_no_memory(r->err, MBR_CAUSE_COUNT * sizeof *p->fallbacks);
    if (n && n->kind == MBR_NODE_MAP) {
        for (int i = MBR_CAUSE_INPUT; i <= MBR_CAUSE_DRIFT; i++)
            params[i] = (mbr_param){ .name = mbr_cause_name((mbr_cause)i), .type = MBR_PARAM_STRING,
                                     .offset = (size_t)i * sizeof *names };
        MBR_TRY(mbr_node_read(r, n, "'fallback'", params, NULL, names));
    } else if (n) {
        MBR_TRY(mbr_node_string(r, n, "'fallback'", &names[0]));
    }
    for (int i = 0; i <= MBR_CAUSE_DRIFT; i++) {
        p->fallbacks[i] = i ? p->fallbacks[0] : -1;
        if (names[i].data)
            MBR_TRY(mbr_pipeline_add_action(p, r, n, names[i].data, &p->fallbacks[i]));
    }
    p->fallback = p->fallbacks[0];
    p->model_fallback = names[MBR_CAUSE_MODEL].data != NULL;
    if (!p->model_fallback)
        p->fallbacks[MBR_CAUSE_MODEL] = -1; /* the call fails */
    return MBR_OK;
}

mbr_status mbr_pipeline_read_rules(mbr_pipeline *p, const mbr_reading *r, const mbr_node *n,
                                   const mbr_node *fallback)
{
    MBR_TRY(mbr_node_expect(r, n, MBR_NODE_LIST, "'rules'"));
    if (!n->count || n->count > MBR_MAX_COLUMNS)
        return mbr_node_fail(r, n, "'rules' must have 1 to %d rules", MBR_MAX_COLUMNS);
    p->rules = mbr_arena_calloc(r->arena, n->count, sizeof *p->rules);
    if (!p->rules)
        return mbr_no_memory(r->err, n->count * sizeof *p->rules);
    for (size_t i = 0; i < n->count; i++, p->rule_count++)
        MBR_TRY(read_rule(p, r, n->items[i], i + 1 == n->count, &p->rules[i]));
    return read_fallback(p, r, fallback);
}
