/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading what a pipeline decides by: scores, rules, the fallback. */
#include "runtime/pipeline/pipeline_impl.h"

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

static int action_index(mbr_pipeline *p, const char *name)
{
    int i = 0;
    while (i < p->action_count && strcmp(p->actions[i], name) != 0)
        i++;
    if (i == p->action_count)
        p->actions[p->action_count++] = name;
    return i;
}

typedef struct rule_keys {
    mbr_string name, when, then;
} rule_keys;

static const mbr_param rule_params[] = {
    { .name = "name", .type = MBR_PARAM_STRING, .offset = offsetof(rule_keys, name) },
    { .name = "when", .type = MBR_PARAM_STRING, .offset = offsetof(rule_keys, when) },
    { .name = "then", .type = MBR_PARAM_STRING, .required = true, .offset = offsetof(rule_keys, then) },
    { .name = NULL }
};

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
    rule->action = action_index(p, keys.then.data);
    rule->always = !keys.when.data;
    if (rule->always && !last)
        return mbr_node_fail(r, n, "rule '%s' has no 'when', so that the rules after it never fire; put it last",
                             rule->name);
    if (!rule->always && last)
        return mbr_node_fail(r, n, "the last rule must have no 'when', so that every row gets an action; add "
                             "'- {name: otherwise, then: ...}'");
    if (rule->always)
        return MBR_OK;
    mbr_status st = mbr_expr_compile(keys.when.data, keys.when.size, &p->scope, &rule->when, r->err);
    if (st == MBR_OK && rule->when.type != MBR_COL_BOOL)
        st = mbr_fail(r->err, MBR_ERR_FORMAT, "the expression gives a %s; a rule needs a condition",
                      mbr_col_type_name(rule->when.type));
    return st == MBR_OK ? MBR_OK : mbr_fail_at(r->err, st, "%s:%d: rule '%s': ", r->file, n->line, rule->name);
}

mbr_status mbr_pipeline_read_rules(mbr_pipeline *p, const mbr_reading *r, const mbr_node *n,
                                   const mbr_node *fallback)
{
    mbr_string action;
    MBR_TRY(mbr_node_expect(r, n, MBR_NODE_LIST, "'rules'"));
    if (!n->count || n->count > MBR_MAX_COLUMNS)
        return mbr_node_fail(r, n, "'rules' must have 1 to %d rules", MBR_MAX_COLUMNS);
    p->rules = mbr_arena_calloc(r->arena, n->count, sizeof *p->rules);
    p->actions = mbr_arena_calloc(r->arena, n->count + 1, sizeof *p->actions);
    if (!p->rules || !p->actions)
        return mbr_no_memory(r->err, n->count * sizeof *p->rules);
    for (size_t i = 0; i < n->count; i++, p->rule_count++)
        MBR_TRY(read_rule(p, r, n->items[i], i + 1 == n->count, &p->rules[i]));
    p->fallback = -1;
    if (fallback) {
        MBR_TRY(mbr_node_string(r, fallback, "'fallback'", &action));
        p->fallback = action_index(p, action.data);
    }
    return MBR_OK;
}
