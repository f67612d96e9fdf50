/* SPDX-License-Identifier: BSD-2-Clause */
/* From the columns of a row to its decision: rules, actions, and what is said of a faulty row. */
#include "runtime/pipeline/decider.h"

#include "runtime/drift/drift_pipeline.h"
#include "runtime/post/reasons.h"

#include <stdio.h>
#include <string.h>

/* ---- rules ---- */

/* The rule that fires; -1: the row is faulty. */
static int find_rule(mbr_decider *d, int row)
{
    const mbr_pipeline *p = d->pipeline;
    if (!d->rows.fault[row] && mbr_decider_falls_back(d))
        mbr_rows_fail(&d->rows, row, "drift has put the fallback in force");
    if (d->rows.fault[row])
        return -1;
    for (int i = 0; i < p->rule_count; i++) {
        const mbr_rule *rule = &p->rules[i];
        const char *fault = NULL;
        mbr_slot slot;
        if (rule->always)
            return i;
        if (!mbr_expr_eval(&rule->when, d->rows.lanes, (size_t)row, &slot, &fault)) {
            mbr_rows_fail(&d->rows, row, "rule '%s': %s", rule->name, fault);
            return -1;
        }
        if (mbr_slot_true(&slot))
            return i;
    }
    return -1;
}

/* "sample.csv:17: what": where and what, for the caller. */
static const char *place_fault(mbr_decider *d, int row)
{
    const mbr_row_head *head = &d->heads[row];
    char where[160];
    if (head->line)
        snprintf(where, sizeof where, "%.120s:%llu: ", d->source_name, (unsigned long long)head->line);
    else
        snprintf(where, sizeof where, "row %llu: ", (unsigned long long)head->row);
    size_t a = strlen(where), b = strlen(d->rows.fault[row]);
    char *text = mbr_pool_alloc(&d->rows.pool, a + b + 1);
    if (!text)
        return d->rows.fault[row];
    memcpy(text, where, a);
    memcpy(text + a, d->rows.fault[row], b + 1);
    return text;
}

void mbr_decider_decide(mbr_decider *d, int row, mbr_decision *out)
{
    const mbr_pipeline *p = d->pipeline;
    const mbr_row_head *head = &d->heads[row];
    int rule = find_rule(d, row);
    *out = (mbr_decision){ .size = sizeof *out, .row = head->row, .line = head->line };
    for (int i = 0; i < p->score_count; i++)
        d->scores[i] = d->rows.lanes[p->scores[i]].num[row];
    out->scores = d->scores;
    out->score_count = p->score_count;
    if (p->id >= 0)
        out->id = d->rows.lanes[p->inputs[p->id].col].str[row].data;
    if (rule >= 0) {
        out->action = p->actions[p->rules[rule].action];
        out->rule = p->rules[rule].name;
        mbr_decider_give_reasons(d, row, p->rules[rule].action, out);
        return;
    }
    out->error = place_fault(d, row);
    if (p->fallback >= 0) {
        out->action = p->actions[p->fallback];
        out->rule = "fallback";
    }
}
