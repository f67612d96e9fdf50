/* SPDX-License-Identifier: BSD-2-Clause */
/* A policy against labelled rows: collecting them, and the numbers. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "runtime/actions/policy.h"

#include "base/checked.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- collecting ---- */

typedef struct collecting {
    mbr_policy_test *t;
    mbr_decider *d;
    const char *positive; /* may be NULL */
    mbr_error *err;
} collecting;

static int find_label(const mbr_policy_test *t, const char *text, size_t n)
{
    for (int i = 0; i < t->label_count; i++)
        if (t->labels[i].size == n && memcmp(t->labels[i].data, text, n) == 0)
            return i;
    return -1;
}

static mbr_status label_index(mbr_policy_test *t, const char *text, int *index, mbr_error *err)
{
    size_t n = strlen(text);
    *index = find_label(t, text, n);
    if (*index >= 0)
        return MBR_OK;
    if (t->label_count == MBR_POLICY_LABELS)
        return mbr_fail(err, MBR_ERR_INPUT, "more than %d different labels; is this the right column?",
                        MBR_POLICY_LABELS);
    char *copy = mbr_arena_strndup(&t->arena, text, n);
    if (!copy)
        return mbr_no_memory(err, n + 1);
    *index = t->label_count;
    t->labels[t->label_count++] = (mbr_string){ copy, n };
    return MBR_OK;
}

static mbr_status make_room(mbr_policy_test *t, size_t costs, mbr_error *err)
{
    if (t->count < t->capacity)
        return MBR_OK;
    size_t capacity = t->capacity ? 2 * t->capacity : 4096;
    mbr_policy_row *rows = mbr_grow(t->memory, t->rows, t->count * sizeof *rows, capacity * sizeof *rows);
    if (rows)
        t->rows = rows;
    float *all = rows && costs ? mbr_grow(t->memory, t->costs, t->count * costs * sizeof *all,
                                          capacity * costs * sizeof *all) : NULL;
    if (all)
        t->costs = all;
    if (!rows || (costs && !all))
        return mbr_no_memory(err, capacity * (sizeof *rows + costs * sizeof *all));
    t->capacity = capacity;
    return MBR_OK;
}

/* The class of the costs that a label is; -1: none. The labels that the costs do not name: by who is positive. */
static int class_of(const mbr_costs *c, const char *positive, const char *label)
{
    bool named = false;
    for (int i = 0; i < c->class_count; i++) {
        if (strcmp(c->classes[i].data, label) == 0)
            return i;
        named |= positive && strcmp(c->classes[i].data, positive) == 0;
    }
    return c->class_count == 2 && !named && positive ? strcmp(label, positive) != 0 : -1;
}

static bool is_yes(const char *label)
{
    static const char *const words[] = { "1", "true", "yes", "positive", "True", "TRUE", "1.0" };
    for (size_t i = 0; i < MBR_COUNT_OF(words); i++)
        if (strcmp(label, words[i]) == 0)
            return true;
    return false;
}

static double cost_of(const collecting *c, int row, const mbr_expr *e)
{
    const char *fault = NULL;
    mbr_slot slot;
    return mbr_expr_eval(e, c->d->rows.lanes, (size_t)row, &slot, &fault) ? slot.num : NAN;
}

static mbr_status collect(void *user, const mbr_decision *made)
{
    collecting *c = user;
    mbr_policy_test *t = c->t;
    const mbr_costs *costs = &t->pipeline->actions_of->costs;
    int label;
    if (!made->label || !*made->label) {
        t->facts.unlabelled++;
        return MBR_OK;
    }
    MBR_TRY(label_index(t, made->label, &label, c->err));
    MBR_TRY(make_room(t, (size_t)costs->action_count, c->err));
    int row = (int)(made - c->d->actions->made);
    mbr_policy_row *r = &t->rows[t->count];
    *r = (mbr_policy_row){ .score = made->score_count && !made->error ? made->scores[0] : NAN, .cost = NAN,
                           .label = label, .action = -1 };
    if (made->action)
        r->action = mbr_pipeline_action_index(t->pipeline, made->action);
    const char *positive = c->positive ? c->positive : is_yes(made->label) ? made->label : "";
    int class = class_of(costs, positive, made->label);
    for (int i = 0; i < costs->action_count; i++) {
        double x = class < 0 ? NAN : cost_of(c, row, &costs->cost[i * costs->class_count + class]);
        t->costs[t->count * (size_t)costs->action_count + (size_t)i] = (float)x;
        if (costs->actions[i] == r->action)
            r->cost = x;
    }
    t->facts.faulty += made->error != NULL;
    t->count++;
    return MBR_OK;
}

/* ---- numbers ---- */

static int by_score(const void *a, const void *b)
{
    const mbr_policy_row *x = *(mbr_policy_row *const *)a, *y = *(mbr_policy_row *const *)b;
    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return (x > y) - (x < y);
}

static mbr_status choose_positive(mbr_policy_test *t, const char *wanted, mbr_error *err)
{
    const mbr_costs *c = &t->pipeline->actions_of->costs;
    t->positive = -1;
    if (wanted) {
        t->positive = find_label(t, wanted, strlen(wanted));
        return t->positive >= 0 ? MBR_OK
                                : mbr_fail(err, MBR_ERR_INPUT, "no row has the positive label '%s'", wanted);
    }
    for (int i = 0; i < c->class_count && t->positive < 0; i++)
        t->positive = find_label(t, c->classes[i].data, c->classes[i].size);
    for (int i = 0; i < t->label_count && t->positive < 0; i++)
        t->positive = is_yes(t->labels[i].data) ? i : -1;
    if (t->positive < 0)
        return mbr_fail(err, MBR_ERR_INPUT, "which label is the positive one? '%s' is among them; say --positive",
                        t->labels[0].data);
    return MBR_OK;
}

/* The actions on both sides of a threshold: those that cost the least where rows are positive, and where not. */
static void choose_sides(mbr_policy_test *t)
{
    const mbr_costs *c = &t->pipeline->actions_of->costs;
    double best[2] = { INFINITY, INFINITY };
    t->yes = t->no = -1;
    for (int i = 0; i < c->action_count; i++) {
        double sum[2] = { 0, 0 };
        for (size_t k = 0; k < t->count; k++) {
            double x = (double)t->costs[k * (size_t)c->action_count + (size_t)i];
            sum[t->rows[k].label == t->positive] += isnan(x) ? 0.0 : x;
        }
        if (sum[1] < best[1])
            best[1] = sum[1], t->yes = i;
        if (sum[0] < best[0])
            best[0] = sum[0], t->no = i;
    }
}

static double side_cost(const mbr_policy_test *t, const mbr_policy_row *r, int side)
{
    size_t actions = (size_t)t->pipeline->actions_of->costs.action_count;
    double x = side < 0 ? NAN : (double)t->costs[(size_t)(r - t->rows) * actions + (size_t)side];
    return isnan(x) && side >= 0 ? 0.0 : x;
}

static double f1_of(const mbr_policy_test *t, uint64_t yes, uint64_t hits)
{
    return yes + t->scored_positives ? 2.0 * (double)hits / (double)(yes + t->scored_positives) : 0.0;
}

/* One pass from the highest score down; rows of one score stand or fall together. */
static void sweep(mbr_policy_test *t, mbr_policy_row **order)
{
    mbr_policy_facts *f = &t->facts;
    uint64_t n = t->scored, negatives = n - t->scored_positives, yes = 0, hits = 0;
    double cost = 0.0, area = 0.0, precision = 0.0;
    for (uint64_t i = 0; i < n; i++)
        cost += side_cost(t, order[i], t->no);
    t->points[0] = (mbr_policy_point){ INFINITY, 0, 0, cost };
    t->point_count = 1;
    f->best_threshold = t->yes < 0 ? NAN : INFINITY;
    f->best_cost = cost;
    f->f1 = f->f1_threshold = NAN;
    for (uint64_t i = 0, end; i < n; i = end) {
        uint64_t hit = 0;
        for (end = i; end < n && order[end]->score == order[i]->score; end++) {
            hit += order[end]->label == t->positive;
            cost += side_cost(t, order[end], t->yes) - side_cost(t, order[end], t->no);
        }
        double miss = (double)(end - i - hit);
        area += miss * ((double)hits + (double)hit / 2.0);
        yes = end;
        hits += hit;
        precision += (double)hit * ((double)hits / (double)yes);
        double f1 = f1_of(t, yes, hits);
        if (cost < f->best_cost) {
            f->best_cost = cost;
            f->best_threshold = order[i]->score;
        }
        if (isnan(f->f1) || f1 > f->f1) {
            f->f1 = f1;
            f->f1_threshold = order[i]->score;
        }
        if (end * (MBR_POLICY_POINTS - 1) / n > i * (MBR_POLICY_POINTS - 1) / n && t->point_count < MBR_POLICY_POINTS)
            t->points[t->point_count++] = (mbr_policy_point){ order[i]->score, yes, hits, cost };
    }
    bool both = t->scored_positives && negatives;
    f->roc_auc = both ? area / ((double)t->scored_positives * (double)negatives) : NAN;
    f->average_precision = both ? precision / (double)t->scored_positives : NAN;
}

static void calibrate(mbr_policy_test *t, mbr_policy_row **order)
{
    double error = 0.0, brier = 0.0;
    for (int b = 0; b < MBR_POLICY_BINS; b++) {
        uint64_t from = t->scored * (uint64_t)b / MBR_POLICY_BINS, to = t->scored * (uint64_t)(b + 1) / MBR_POLICY_BINS;
        mbr_policy_bin *bin = &t->bins[b];
        for (uint64_t i = from; i < to; i++) {
            const mbr_policy_row *r = order[t->scored - 1 - i];
            double truth = r->label == t->positive;
            bin->rows++;
            bin->positives += r->label == t->positive;
            bin->score += r->score;
            brier += (r->score - truth) * (r->score - truth);
        }
        if (!bin->rows)
            continue;
        error += fabs(bin->score - (double)bin->positives);
        bin->score /= (double)bin->rows;
    }
    t->facts.brier = t->scored ? brier / (double)t->scored : NAN;
    t->facts.calibration_error = t->scored ? error / (double)t->scored : NAN;
}

static mbr_status work_out(mbr_policy_test *t, mbr_error *err)
{
    mbr_policy_facts *f = &t->facts;
    int actions = t->pipeline->action_count;
    mbr_policy_row **order = mbr_calloc(t->memory, t->count + 1, sizeof *order);
    t->confusion = mbr_arena_calloc(&t->arena, (size_t)(actions + 1) * (size_t)t->label_count, sizeof *t->confusion);
    if (!order || !t->confusion) {
        mbr_free(t->memory, order);
        return mbr_no_memory(err, t->count * sizeof *order);
    }
    f->cost = t->pipeline->actions_of->costs.action_count ? 0.0 : NAN;
    for (size_t i = 0; i < t->count; i++) {
        mbr_policy_row *r = &t->rows[i];
        t->confusion[(r->action < 0 ? actions : r->action) * t->label_count + r->label]++;
        f->positives += r->label == t->positive;
        f->cost += isnan(r->cost) ? 0.0 : r->cost;
        if (!isnan(r->score)) {
            order[t->scored++] = r;
            t->scored_positives += r->label == t->positive;
        }
    }
    f->rows = t->count;
    f->cost_mean = f->cost / (double)t->count;
    qsort(order, (size_t)t->scored, sizeof *order, by_score);
    choose_sides(t);
    sweep(t, order);
    calibrate(t, order);
    mbr_free(t->memory, order);
    return MBR_OK;
}

mbr_status mbr_policy_test_file(mbr_pipeline *p, const char *path, const mbr_policy_options *options,
                                mbr_policy_test **out, mbr_error *err)
{
    mbr_policy_options o = { 0 };
    if (!out)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_policy_test_file: out is NULL");
    *out = NULL;
    if (!p || !path || (options && options->size < sizeof(size_t)))
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_policy_test_file: a pointer is NULL, or a size is not set");
    if (options)
        memcpy(&o, options, mbr_min_size(options->size, sizeof o));
    if (p->actions_of->label < 0)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "the pipeline was opened without a label; set mbr_pipeline_options.label");
    mbr_policy_test *t = mbr_calloc(p->memory, 1, sizeof *t);
    if (!t)
        return mbr_no_memory(err, sizeof *t);
    t->memory = p->memory;
    t->pipeline = p;
    atomic_fetch_add(&p->references, 1);
    mbr_arena_init(&t->arena, t->memory, 0);
    mbr_error why = { 0 };
    collecting c = { .t = t, .positive = o.positive, .err = &why };
    mbr_decider_options how = { .size = sizeof how, .batch = o.batch, .log_path = "" };
    mbr_status st = mbr_decider_new_quiet(p, &how, &c.d, err);
    if (st == MBR_OK)
        st = mbr_decider_file(c.d, path, o.format, collect, &c, NULL, err);
    if (st != MBR_OK && why.status == st)
        (void)mbr_fail(err, st, "%s: %s", path, why.text);
    mbr_decider_release(&c.d);
    if (st == MBR_OK && !t->count)
        st = mbr_fail(err, MBR_ERR_INPUT, "%s: no row has a label", path);
    if (st == MBR_OK)
        st = choose_positive(t, o.positive, err);
    if (st == MBR_OK)
        st = work_out(t, err);
    if (st == MBR_OK)
        *out = t;
    else
        mbr_policy_test_release(&t);
    return st;
}

void mbr_policy_test_release(mbr_policy_test **test)
{
    if (!test || !*test)
        return;
    mbr_policy_test *t = *test;
    *test = NULL;
    mbr_free(t->memory, t->rows);
    mbr_free(t->memory, t->costs);
    mbr_arena_destroy(&t->arena);
    mbr_pipeline *p = t->pipeline;
    mbr_free(t->memory, t);
    mbr_pipeline_release(&p);
}

mbr_status mbr_policy_test_facts(const mbr_policy_test *t, mbr_policy_facts *facts)
{
    if (!t || !facts || facts->size < sizeof(size_t))
        return MBR_ERR_ARGUMENT;
    mbr_policy_facts f = t->facts;
    f.size = facts->size;
    memcpy(facts, &f, mbr_min_size(f.size, sizeof f));
    return MBR_OK;
}
