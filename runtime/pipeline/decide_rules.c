/* SPDX-License-Identifier: BSD-2-Clause */
/* From the columns of a row to its decision: rules, actions and their limits, and what is said of a faulty row. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "runtime/actions/actions.h"
#include "runtime/drift/drift_pipeline.h"
#include "runtime/post/reasons.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

const char *mbr_cause_name(mbr_cause cause)
{
    static const char *const names[MBR_CAUSE_COUNT] = { NULL,    "input", "row", "late",
                                                        "model", "drift", "cap", "cool_down" };
    return names[cause];
}

/* ---- rules ---- */

/* Whether a rule holds. False with a fault in *fault: it cannot be told. */
static bool holds(mbr_decider *d, int row, const mbr_rule *rule, const char **fault)
{
    mbr_keep *keep = NULL;
    const mbr_expr *when = &rule->when;
    mbr_slot slot;
    if (rule->always)
        return true;
    if (rule->sticky) {
        keep = mbr_decider_keep(d, rule->keeps, row);
        when = keep->on ? &rule->leave : when;
    }
    if (!mbr_expr_eval(when, d->rows.lanes, (size_t)row, &slot, fault))
        return false;
    bool holds = mbr_slot_true(&slot);
    if (keep)
        keep->on = holds = keep->on ? !holds : holds;
    return holds;
}

/*
 * The rule that fires; -1: the row is faulty. Rules with a memory see every row, also where an earlier rule has
 * decided; what they cannot tell then is no fault.
 */
static int find_rule(mbr_decider *d, int row)
{
    const mbr_pipeline *p = d->pipeline;
    int found = -1;
    for (int i = 0; i < p->rule_count && (found < 0 || p->sticky_rules); i++) {
        const mbr_rule *rule = &p->rules[i];
        const char *fault = NULL;
        if (found >= 0 && !rule->sticky)
            continue;
        bool fires = holds(d, row, rule, &fault);
        if (found >= 0)
            continue;
        if (fault) {
            mbr_rows_fail(&d->rows, row, "rule '%s': %s", rule->name, fault);
            return -1;
        }
        found = fires ? i : -1;
    }
    return found;
}

static bool number_of(mbr_decider *d, int row, const mbr_rule *rule, const mbr_expr *e, double *out)
{
    const char *fault = NULL;
    mbr_slot slot;
    if (!mbr_expr_eval(e, d->rows.lanes, (size_t)row, &slot, &fault))
        mbr_rows_fail(&d->rows, row, "rule '%s': %s", rule->name, fault);
    else
        *out = slot.num;
    return fault == NULL;
}

/* The action whose expected cost is the least, the first of equals; -1: the row is faulty. */
static int cheapest(mbr_decider *d, int row, const mbr_rule *rule)
{
    const mbr_costs *c = &d->pipeline->actions_of->costs;
    double chance[MBR_MOST_CLASSES], least = INFINITY;
    int best = -1;
    for (int k = 0; k < c->class_count; k++)
        if (!number_of(d, row, rule, &rule->cheapest->chance[k], &chance[k]))
            return -1;
    for (int i = 0; i < c->action_count; i++) {
        double sum = 0.0, cost;
        for (int k = 0; k < c->class_count; k++) {
            if (!number_of(d, row, rule, &c->cost[i * c->class_count + k], &cost))
                return -1;
            sum += chance[k] * cost;
        }
        if (isnan(sum)) {
            mbr_rows_fail(&d->rows, row, "rule '%s': the expected cost of '%s' is missing", rule->name,
                          d->pipeline->actions[c->actions[i]]);
            return -1;
        }
        if (sum < least || best < 0) {
            least = sum;
            best = c->actions[i];
        }
    }
    return best;
}

/* ---- decisions ---- */

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

static const char *label_of(mbr_decider *d, int row)
{
    const mbr_pipeline *p = d->pipeline;
    if (p->actions_of->label < 0)
        return NULL;
    const mbr_input *in = &p->inputs[p->actions_of->label];
    const mbr_lane *lane = &d->rows.lanes[in->col];
    char text[MBR_NUMBER_TEXT];
    if (in->type == MBR_COL_STRING)
        return lane->str[row].data;
    if (!isfinite(lane->num[row]))
        return NULL;
    return mbr_decider_keep_text(d, row, text, mbr_format_number(text, lane->num[row])).data;
}

/* The action and the rule of a row, before the limits; -1: there is none. */
static int choose(mbr_decider *d, int row, mbr_decision *out)
{
    const mbr_pipeline *p = d->pipeline;
    mbr_row_head *head = &d->heads[row];
    int rule = -1, action = -1;
    if (!d->rows.fault[row] && (head->cause == MBR_CAUSE_DRIFT || mbr_decider_falls_back(d))) {
        head->cause = MBR_CAUSE_DRIFT;
        mbr_rows_fail(&d->rows, row, "drift has put the fallback in force");
    }
    if (!d->rows.fault[row])
        rule = find_rule(d, row);
    if (rule >= 0)
        action = p->rules[rule].cheapest ? cheapest(d, row, &p->rules[rule]) : p->rules[rule].action;
    if (action >= 0) {
        out->rule = p->rules[rule].name;
        return action;
    }
    head->cause = head->cause ? head->cause : MBR_CAUSE_ROW;
    out->error = place_fault(d, row);
    out->rule = p->fallbacks[head->cause] >= 0 ? "fallback" : NULL;
    return p->fallbacks[head->cause];
}

int64_t mbr_decider_time(mbr_decider *d)
{
    struct timespec t;
    if (d->rows.count && d->heads[0].time)
        return d->heads[0].time;
    clock_gettime(CLOCK_REALTIME, &t);
    int64_t now = (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
    for (int i = 0; i < d->rows.count; i++)
        d->heads[i].time = d->heads[i].time ? d->heads[i].time : now;
    return now;
}

void mbr_decider_decide(mbr_decider *d, int row, double *scores, mbr_decision *out)
{
    const mbr_pipeline *p = d->pipeline;
    mbr_row_head *head = &d->heads[row];
    *out = (mbr_decision){ .size = sizeof *out, .row = head->row, .line = head->line, .scores = scores,
                           .score_count = p->score_count };
    if (!head->time)
        head->time = mbr_decider_time(d);
    for (int i = 0; i < p->score_count; i++)
        scores[i] = head->cause == MBR_CAUSE_LATE ? NAN : d->rows.lanes[p->scores[i]].num[row];
    if (p->id >= 0)
        out->id = d->rows.lanes[p->inputs[p->id].col].str[row].data;
    out->label = label_of(d, row);
    mbr_decider_give_texts(d, row, out);
    int action = choose(d, row, out);
    if (action >= 0) {
        mbr_cause limited = MBR_CAUSE_NONE;
        action = mbr_decider_limit(d, row, action, &limited);
        head->cause = out->error ? head->cause : limited; /* why there was a fallback says more, and a replay needs it */
        out->action = p->actions[action];
    }
    if (!out->error && !d->skipped[row])
        mbr_decider_give_reasons(d, row, action, out);
    out->cause = mbr_cause_name(head->cause);
}
