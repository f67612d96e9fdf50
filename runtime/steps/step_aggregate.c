/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * aggregate: counts, sums and the like of a key's rows in windows of time. Steps with the same key, time and limits
 * whose values are there before the first of them form a group: the first one looks up the key once and fills the
 * columns of all.
 */
#include "runtime/keyed/aggregate.h"
#include "runtime/steps/step_keyed.h"

#include "base/checked.h"

#include <math.h>
#include <string.h>

/* Rows whose keys are hashed, and whose memory is asked for, ahead. */
enum { CHUNK = 64, AHEAD = 4 };

typedef struct member {
    const mbr_step *step;
    int out; /* of the step's columns */
} member;

typedef struct group {
    struct group *next;
    mbr_keyed keyed;
    int events, first_col; /* its values are columns before this one */
    const mbr_step *leader;
    int numbers[MBR_AGGREGATE_VALUES], marks[MBR_AGGREGATE_VALUES], number_count, mark_count;
    mbr_aggregate_want wants[MBR_AGGREGATE_MOST];
    member members[MBR_AGGREGATE_MOST];
    int want_count;
} group;

typedef struct column_params {
    int op;
    mbr_string value, window;
    bool include_current;
} column_params;

typedef struct aggregate {
    mbr_key_params keyed;
    column_params column;
    const mbr_node *columns;
    int64_t events;
    group *group;
} aggregate;

_Static_assert(sizeof(aggregate) <= MBR_STEP_PARAMS, "room for parameters");

#define COLUMN_PARAMS(of, at, op_required) \
    { .name = "op", .type = MBR_PARAM_CHOICE, .required = op_required, .words = MBR_AGGREGATE_OPS, .preset = -1, \
      .offset = offsetof(of, at op) }, \
    { .name = "value", .type = MBR_PARAM_STRING, .offset = offsetof(of, at value) }, \
    { .name = "window", .type = MBR_PARAM_STRING, .offset = offsetof(of, at window) }, \
    { .name = "include_current", .type = MBR_PARAM_BOOL, .preset = 1, .offset = offsetof(of, at include_current) }

const mbr_param mbr_params_aggregate[] = {
    MBR_KEY_PARAMS(aggregate, keyed, true, true),
    COLUMN_PARAMS(aggregate, column., false),
    { .name = "columns", .type = MBR_PARAM_NODE, .offset = offsetof(aggregate, columns) },
    { .name = "events", .type = MBR_PARAM_INT, .offset = offsetof(aggregate, events), .preset = 64 },
    { .name = NULL }
};

static const mbr_param column_params_list[] = { COLUMN_PARAMS(column_params, , true), { .name = NULL } };

/* ---- compiling ---- */

/* The place of a column in a list, where it is added; -1: the list is full. */
static int place(int *list, int *count, int col)
{
    for (int i = 0; i < *count; i++)
        if (list[i] == col)
            return i;
    if (*count == MBR_AGGREGATE_VALUES)
        return -1;
    list[*count] = col;
    return (*count)++;
}

static bool needs_value(int op)
{
    return op != MBR_AGGREGATE_COUNT && op != MBR_AGGREGATE_RATE && op != MBR_AGGREGATE_SINCE_LAST;
}

/* Checks one column; want->value is a column of the scope. */
static mbr_status read_want(const mbr_compiling *c, const mbr_node *at, const mbr_step *s, const column_params *p,
                            mbr_aggregate_want *want)
{
    bool earlier = p->op == MBR_AGGREGATE_LAST || p->op == MBR_AGGREGATE_SINCE_LAST;
    *want = (mbr_aggregate_want){ (mbr_aggregate_op)p->op, -1, INFINITY, p->include_current };
    if (p->op < 0)
        return mbr_node_fail(&c->read, at, "step '%s' needs the key 'op', or 'columns'", s->name);
    if (!p->window.data && !earlier)
        return mbr_node_fail(&c->read, at, "step '%s' needs the key 'window': the time that it looks back, 1h say",
                             s->name);
    if (!p->value.data && needs_value(p->op))
        return mbr_node_fail(&c->read, at, "step '%s' needs the key 'value': the column that it looks at", s->name);
    if (p->window.data)
        MBR_TRY(mbr_keyed_duration(c, at, s, "'window'", &p->window, &want->window));
    if (!p->value.data)
        return MBR_OK;
    return mbr_keyed_column(c, at, s, &p->value, p->op == MBR_AGGREGATE_DISTINCT ? MBR_TYPES_ANY : MBR_TYPES_NUMBER,
                            &want->value);
}

/* Puts wants, whose values are columns, into a group, and sees whether all of them together can be planned. */
static mbr_status add_wants(group *g, const mbr_step *s, const mbr_aggregate_want *wants, int count, mbr_aggregate *plan,
                            mbr_error *err)
{
    if (g->want_count + count > MBR_AGGREGATE_MOST)
        return mbr_fail(err, MBR_ERR_LIMIT, "more than %d aggregates", MBR_AGGREGATE_MOST);
    for (int i = 0; i < count; i++) {
        mbr_aggregate_want *w = &g->wants[g->want_count];
        bool mark = wants[i].op == MBR_AGGREGATE_DISTINCT;
        *w = wants[i];
        if (w->value >= 0)
            w->value = mark ? place(g->marks, &g->mark_count, w->value) : place(g->numbers, &g->number_count, w->value);
        if (wants[i].value >= 0 && w->value < 0)
            return mbr_fail(err, MBR_ERR_LIMIT, "its aggregates look at more than %d columns", MBR_AGGREGATE_VALUES);
        g->members[g->want_count++] = (member){ s, i };
    }
    return mbr_aggregate_plan(plan, g->wants, g->want_count, g->number_count, g->mark_count, g->events, err);
}

static bool joins(const group *g, const mbr_keyed *k, int events, const mbr_aggregate_want *wants, int count)
{
    if (g->keyed.count != k->count || g->keyed.time != k->time || g->events != events ||
        memcmp(g->keyed.cols, k->cols, sizeof k->cols) != 0 || g->keyed.limits.keys != k->limits.keys ||
        g->keyed.limits.key_bytes != k->limits.key_bytes || g->keyed.limits.bytes != k->limits.bytes ||
        g->keyed.limits.expiry != k->limits.expiry)
        return false;
    for (int i = 0; i < count; i++)
        if (wants[i].value >= g->first_col)
            return false;
    return true;
}

/* Joins the first group that the step fits into, else begins one. */
static mbr_status find_group(const mbr_compiling *c, const mbr_node *at, mbr_step *s, const mbr_keyed *k, int events,
                             const mbr_aggregate_want *wants, int count)
{
    aggregate *p = s->params;
    mbr_error why = { 0 };
    mbr_aggregate *plan = mbr_arena_alloc(c->read.arena, sizeof *plan);
    group *g = mbr_arena_calloc(c->read.arena, 1, sizeof *g);
    if (!plan || !g)
        return mbr_no_memory(c->read.err, sizeof *g);
    for (group *other = c->shared ? *c->shared : NULL; other; other = other->next) {
        if (!joins(other, k, events, wants, count))
            continue;
        *g = *other;
        if (add_wants(g, s, wants, count, plan, &why) != MBR_OK)
            continue;
        *other = *g;
        p->group = other;
        return MBR_OK;
    }
    *g = (group){ .next = c->shared ? *c->shared : NULL, .keyed = *k, .events = events, .first_col = c->scope->count,
                  .leader = s };
    if (add_wants(g, s, wants, count, plan, &why) != MBR_OK)
        return mbr_node_fail(&c->read, at, "step '%s': %s", s->name, why.text);
    if (c->shared)
        *c->shared = g;
    p->group = g;
    return MBR_OK;
}

mbr_status mbr_compile_aggregate(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    aggregate *p = s->params;
    mbr_keyed keyed;
    mbr_aggregate_want wants[MBR_STEP_OUTPUTS];
    int count = 1;
    MBR_TRY(mbr_keyed_compile(c, at, s, &p->keyed, &keyed));
    if (p->events < 4 || p->events > MBR_AGGREGATE_EVENTS)
        return mbr_node_fail(&c->read, at, "step '%s': 'events' is 4 to %d", s->name, MBR_AGGREGATE_EVENTS);
    out->type = MBR_COL_NUMBER;
    out->width = 1;
    if (!p->columns) {
        MBR_TRY(read_want(c, at, s, &p->column, &wants[0]));
    } else {
        if (p->column.op >= 0 || p->column.value.data || p->column.window.data)
            return mbr_node_fail(&c->read, at, "step '%s' has 'columns'; 'op', 'value' and 'window' stand there",
                                 s->name);
        MBR_TRY(mbr_node_expect(&c->read, p->columns, MBR_NODE_MAP, "'columns'"));
        count = (int)p->columns->count;
        if (count < 1 || count >= MBR_STEP_OUTPUTS)
            return mbr_node_fail(&c->read, at, "step '%s': 'columns' has 1 to %d entries", s->name,
                                 MBR_STEP_OUTPUTS - 1);
        for (int i = 0; i < count; i++) {
            const mbr_node *entry = p->columns->items[2 * i + 1];
            const char *name;
            column_params column;
            MBR_TRY(mbr_node_name(&c->read, p->columns->items[2 * i], "a column", &name));
            MBR_TRY(mbr_node_expect(&c->read, entry, MBR_NODE_MAP, "a column"));
            memset(&column, 0, sizeof column);
            MBR_TRY(mbr_node_read(&c->read, entry, "a column of aggregate", column_params_list, NULL, &column));
            MBR_TRY(read_want(c, entry, s, &column, &wants[i]));
            if (i == 0)
                out->name = mbr_step_part_name(c, s, name);
            if (i == 0 ? !out->name : !mbr_step_part(c, s, name))
                return c->read.err ? c->read.err->status : MBR_ERR_NO_MEMORY;
        }
    }
    return find_group(c, at, s, &keyed, (int)p->events, wants, count);
}

/* ---- running ---- */

typedef struct aggregate_state {
    mbr_memory *memory;
    mbr_aggregate plan;
    mbr_store store;
    uint8_t *keys; /* (CHUNK, key_bytes) */
} aggregate_state;

static mbr_status aggregate_begin(const mbr_step *s, mbr_memory *memory, void **out, mbr_error *err)
{
    const group *g = ((const aggregate *)s->params)->group;
    if (g->leader != s) { /* the leader does it all */
        *out = s->params;
        return MBR_OK;
    }
    aggregate_state *a = mbr_calloc(memory, 1, sizeof *a);
    if (!a)
        return mbr_no_memory(err, sizeof *a);
    a->memory = memory;
    mbr_status st = mbr_aggregate_plan(&a->plan, g->wants, g->want_count, g->number_count, g->mark_count, g->events,
                                       err);
    if (st == MBR_OK)
        st = mbr_store_open(&a->store, memory, &a->plan.kind, &g->keyed.limits, err);
    if (st != MBR_OK) {
        mbr_free(memory, a);
        return mbr_fail_at(err, st, "step '%s': ", s->name);
    }
    a->keys = mbr_alloc(memory, CHUNK * a->store.key_bytes);
    *out = a;
    if (a->keys)
        return MBR_OK;
    mbr_store_close(&a->store);
    mbr_free(memory, a);
    *out = NULL;
    return mbr_no_memory(err, CHUNK * g->keyed.limits.key_bytes);
}

static void aggregate_end(const mbr_step *s, void *state)
{
    aggregate_state *a = state;
    if (state == s->params)
        return;
    mbr_store_close(&a->store);
    mbr_free(a->memory, a->keys);
    mbr_free(a->memory, a);
}

static mbr_status aggregate_save(const mbr_step *s, const void *state, mbr_write_fn write, void *user, mbr_error *err)
{
    return state == s->params ? MBR_OK : mbr_keyed_save(&((const aggregate_state *)state)->store, write, user, err);
}

static mbr_status aggregate_restore(const mbr_step *s, void *state, const void *bytes, size_t size, mbr_error *err)
{
    if (state != s->params)
        return mbr_keyed_restore(s, &((aggregate_state *)state)->store, bytes, size, err);
    return size ? mbr_fail(err, MBR_ERR_FORMAT, "%s: state of a step that has none", s->name) : MBR_OK;
}

const mbr_step_keeper mbr_keeper_aggregate = { aggregate_begin, aggregate_end, aggregate_save, aggregate_restore };

/* A value as a mark: equal for equal values; 0: missing. */
static uint64_t mark_of(const mbr_store *store, const mbr_rows *rows, int col, int row)
{
    const mbr_lane *lane = &rows->lanes[col];
    if (rows->cols[col].type == MBR_COL_STRING) {
        const mbr_string *text = &lane->str[row];
        return text->data ? mbr_store_hash(store, text->data, text->size).a | 1 : 0;
    }
    double number = lane->num[row] + 0.0; /* -0 is 0 */
    return isnan(number) ? 0 : mbr_store_hash(store, &number, sizeof number).a | 1;
}

static void put_outputs(const group *g, const mbr_rows *rows, int row, const double *values)
{
    for (int i = 0; i < g->want_count; i++)
        rows->lanes[g->members[i].step->outs[g->members[i].out]].num[row] = values ? values[i] : NAN;
}

static void run_row(const group *g, aggregate_state *a, const mbr_rows *rows, int row, void *state, double t)
{
    double numbers[MBR_AGGREGATE_VALUES], out[MBR_AGGREGATE_MOST];
    uint64_t marks[MBR_AGGREGATE_VALUES];
    for (int i = 0; i < g->number_count; i++)
        numbers[i] = rows->lanes[g->numbers[i]].num[row];
    for (int i = 0; i < g->mark_count; i++)
        marks[i] = mark_of(&a->store, rows, g->marks[i], row);
    mbr_aggregate_row(&a->plan, state, t, numbers, marks, out);
    put_outputs(g, rows, row, out);
}

void mbr_run_aggregate(const mbr_step *s, mbr_rows *rows)
{
    const group *g = ((const aggregate *)s->params)->group;
    aggregate_state *a = mbr_step_state(s, rows);
    mbr_row_key keys[CHUNK];
    mbr_hash hashes[CHUNK];
    if (g->leader != s)
        return;
    const double *time = rows->lanes[g->keyed.time].num;
    for (int first = 0; first < rows->count; first += CHUNK) {
        int n = rows->count - first < CHUNK ? rows->count - first : CHUNK;
        for (int i = 0; i < n; i++) {
            keys[i] = (mbr_row_key){ NULL, 0 };
            if (!rows->fault[first + i] && isfinite(time[first + i]))
                keys[i] = mbr_keyed_key(&g->keyed, s, rows, first + i, a->keys + (size_t)i * a->store.key_bytes);
            if (!keys[i].data)
                continue;
            hashes[i] = mbr_store_hash(&a->store, keys[i].data, keys[i].size);
            mbr_store_expect(&a->store, hashes[i], 0);
        }
        for (int i = 0; i < n; i++) {
            if (i + AHEAD < n && keys[i + AHEAD].data)
                mbr_store_expect(&a->store, hashes[i + AHEAD], 1);
            if (!keys[i].data) {
                put_outputs(g, rows, first + i, NULL);
                continue;
            }
            double t = time[first + i];
            run_row(g, a, rows, first + i, mbr_store_take(&a->store, keys[i].data, keys[i].size, hashes[i], t), t);
        }
    }
}
