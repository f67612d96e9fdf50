/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pass that applies rules. Roots are looked for from the last node backwards, so that the longer of two patterns
 * comes first where one holds the other; rounds repeat while something was found, so that rules build on each other.
 *
 * What a rule makes is looked at again at once, so that chains of rules (Attention takes in a Transpose, then a scale)
 * need no round each.
 *
 * Matching keeps a list of goals: "this value is that operand". A goal that leaves a choice tries each, with the goals
 * behind it, and takes back what it bound.
 */
#include "engine/passes/rules.h"
#include "engine/infer.h"
#include "engine/ops/op.h"
#include "engine/passes/pass.h"

#include <math.h>
#include <string.h>

#define MOST_NODES 32
#define MOST_REST 8
#define MOST_ROUNDS 6
#define MOST_AT_ONCE 64
#define LOW -1e30 /* added to a score it leaves nothing of it */

typedef struct match {
    const mbr_rule *rule;
    mbr_ir_value *bound[MBR_RULE_VARS];
    const mbr_ir_attr *attrs[MBR_RULE_VARS];
    const mbr_ir_node *rest; /* whose operands from the rest_from-th on go to ... */
    uint32_t rest_from;
    mbr_ir_node *nodes[MOST_NODES]; /* what the pattern covers, the root first */
    uint32_t n;
} match;

/* value is term's, or (call) made by `call` of the operands in `set`; then `next`. */
typedef struct goal {
    const mbr_rule_term *term;
    const mbr_rule_call *call;
    uint32_t set;
    mbr_ir_value *value;
    const struct goal *next;
} goal;

/* --- conditions --- */

static bool close_to(double v, double want, double within)
{
    return fabs(v - want) <= within * fabs(want);
}

/* The number at a constant of one element, and how exact its type is. */
static bool scalar(const mbr_ir_value *v, double *x, double *within)
{
    const mbr_value *k = v->constant;
    if (!k || v->has_default || k->kind != MBR_KIND_TENSOR || mbr_value_count(k) != 1)
        return false;
    *within = k->dtype == MBR_DTYPE_BF16 ? 1e-2 : k->dtype == MBR_DTYPE_F16 ? 1e-3 : 1e-6;
    if (mbr_dtype_is_float(k->dtype))
        *x = mbr_value_real(k, 0);
    else if (mbr_dtype_is_int(k->dtype))
        *x = (double)mbr_value_int(k, 0);
    else
        return false;
    return true;
}

static bool is_number(const mbr_ir_value *v, double want)
{
    double x, within;
    return scalar(v, &x, &within) && close_to(x, want, within);
}

/* A list of numbers alone, as a pattern has it. */
static bool ints_match(const mbr_ir_attr *a, const mbr_rule_term *want)
{
    bool same = want->kind == MBR_RULE_INTS && a->n == want->n;
    for (size_t i = 0; same && i < a->n; i++)
        same = a->ints[i] == want->ints[i].at;
    return same;
}

static bool attr_matches(const mbr_ir_node *n, const mbr_rule_attr *want)
{
    const mbr_ir_attr *a = mbr_attr(n, want->name);
    if (!a)
        return want->or_absent;
    if (want->value.kind == MBR_RULE_VAR)
        return true;
    switch (a->kind) {
    case MBR_ATTR_INT:
        if (want->value.kind == MBR_RULE_LAST)
            return a->i == -1 || (n->inputs[0] && a->i == n->inputs[0]->type.rank - 1);
        return want->value.kind != MBR_RULE_TEXT && (double)a->i == want->value.number;
    case MBR_ATTR_FLOAT:
        return want->value.kind != MBR_RULE_TEXT && close_to((double)a->f, want->value.number, 1e-6);
    case MBR_ATTR_STRING:
        return want->value.kind == MBR_RULE_TEXT && strlen(want->value.text) == a->s.size &&
               memcmp(want->value.text, a->s.data, a->s.size) == 0;
    case MBR_ATTR_INTS:
        return ints_match(a, &want->value);
    default:
        return false;
    }
}

static mbr_ir_value *input(const mbr_ir_node *n, uint32_t i)
{
    return i < n->n_formal ? n->inputs[i] : NULL;
}

/* Operand i is the list of the last axis of operand 0: an input, or the attribute of older versions. */
static bool is_last(const mbr_ir_node *n, uint32_t i)
{
    const mbr_ir_value *v = input(n, i);
    size_t count = 1;
    int64_t axis;
    if (v) {
        double x, within;
        if (!scalar(v, &x, &within))
            return false;
        axis = (int64_t)x;
    } else {
        const int64_t *axes = mbr_attr_ints(n, "axes", &count);
        if (count != 1)
            return false;
        axis = axes[0];
    }
    int rank = n->inputs[0] ? n->inputs[0]->type.rank : -1;
    return rank > 0 && (axis == -1 || axis == rank - 1);
}

/* Operand i is that number: an input, or the attribute of older versions. */
static bool number_matches(const mbr_ir_node *n, uint32_t i, double want)
{
    static const char *const limits[] = { NULL, "min", "max" }; /* Clip */
    const mbr_ir_value *v = input(n, i);
    if (v)
        return is_number(v, want);
    const mbr_ir_attr *a = i > 0 && i < MBR_COUNT_OF(limits) ? mbr_attr(n, limits[i]) : NULL;
    return a && a->kind == MBR_ATTR_FLOAT && close_to((double)a->f, want, 1e-6);
}

static bool fits(const mbr_rule_var *k, const mbr_ir_value *v)
{
    double x, within;
    if (v->type.kind != MBR_KIND_TENSOR || (k->is_const && (!v->constant || v->has_default)) ||
        (k->is_number && !scalar(v, &x, &within)) || (k->dtype && v->type.dtype != k->dtype))
        return false;
    return !k->is_float || v->type.dtype == MBR_DTYPE_F32 || v->type.dtype == MBR_DTYPE_F64 ||
           v->type.dtype == MBR_DTYPE_F16 || v->type.dtype == MBR_DTYPE_BF16;
}

static bool same_columns(const mbr_ir_value *a, const mbr_ir_value *b)
{
    int i = a->type.rank - 1, k = b->type.rank - 1;
    return i >= 0 && k >= 0 && mbr_dim_is_known(a->type.dims[i]) && a->type.dims[i] == b->type.dims[k];
}

/* w holds one element for each column of x. */
static bool is_row(const mbr_ir_value *w, const mbr_ir_value *x)
{
    if (!same_columns(w, x) || w->type.rank > x->type.rank)
        return false;
    for (int d = 0; d < w->type.rank - 1; d++)
        if (w->type.dims[d] != 1)
            return false;
    return true;
}

/* The size of an axis; from the end where negative. */
static mbr_dim size_of(const mbr_ir_value *v, int axis)
{
    axis += axis < 0 ? v->type.rank : 0;
    return axis >= 0 && axis < v->type.rank ? v->type.dims[axis] : MBR_DIM_UNKNOWN;
}

static bool holds(const match *m, const mbr_rule_condition *c)
{
    const mbr_ir_value *x = m->bound[c->a], *y = m->bound[c->b];
    double number, within;
    mbr_dim size;
    switch (c->what) {
    case MBR_RULE_ROW:
        return is_row(x, y);
    case MBR_RULE_COLUMNS:
        return same_columns(x, y);
    case MBR_RULE_MATRIX:
        return x->type.rank == 2;
    case MBR_RULE_LOW:
        return scalar(x, &number, &within) && number <= LOW;
    case MBR_RULE_RANK:
        return x->type.rank == c->size.at;
    default:
        size = c->size.of_var ? size_of(y, c->size.at) : c->size.at;
        return mbr_dim_is_known(size) && size_of(x, c->axis) == size;
    }
}

/* --- matching --- */

static bool solve(match *m, const goal *g);

/* The node that makes v, if the pattern may take it: that operator, with one output that anybody wants. */
static mbr_ir_node *maker(const match *m, const mbr_rule_call *c, const mbr_ir_value *v)
{
    mbr_ir_node *n = v->producer;
    if (!n || n->mark != c->op || v->producer_slot != 0 || m->n == MOST_NODES || (m->n > 0 && v->is_output) ||
        mbr_attr(n, "broadcast")) /* of versions before 7: an axis of its own */
        return NULL;
    for (uint32_t i = 1; i < n->n_outputs; i++)
        if (n->outputs[i] && n->outputs[i]->uses)
            return NULL;
    for (uint32_t i = 0; i < m->n; i++)
        if (m->nodes[i] == n)
            return NULL;
    for (const mbr_rule_attr *a = c->attrs; a; a = a->next)
        if (!attr_matches(n, a))
            return NULL;
    return n;
}

/* Is it worth trying? */
static bool plausible(const match *m, const mbr_rule_term *t, const mbr_ir_value *v)
{
    if (!v || t->kind == MBR_RULE_LAST)
        return false;
    if (t->kind == MBR_RULE_NUMBER)
        return is_number(v, t->number);
    if (m->bound[t->var])
        return m->bound[t->var] == v;
    const mbr_rule_call *c = m->rule->vars[t->var].calls;
    if (!c)
        return fits(&m->rule->vars[t->var], v);
    while (c && !(c->op ? v->producer && v->producer->mark == c->op : plausible(m, &c->terms[0], v)))
        c = c->next;
    return c != NULL;
}

/* Part of the operands of Add, Mul ...: one alone, or those in a nested node of the same operator. */
static bool part(const match *m, const mbr_rule_call *c, uint32_t set, mbr_ir_value *v, goal *g)
{
    if (set & (set - 1)) {
        *g = (goal){ .call = c, .set = set, .value = v };
        return v && v->producer && v->producer->mark == c->op;
    }
    uint32_t i = 0;
    while (!(set >> i & 1))
        i++;
    *g = (goal){ .term = &c->terms[i], .value = v };
    return plausible(m, g->term, v);
}

/* Every way to share the operands among the two inputs. */
static bool any_order(match *m, const goal *g)
{
    mbr_ir_node *n = maker(m, g->call, g->value);
    if (!n || n->n_formal != 2)
        return false;
    m->nodes[m->n++] = n;
    for (uint32_t left = (g->set - 1) & g->set; left; left = (left - 1) & g->set) {
        goal a, b;
        if (!part(m, g->call, left, n->inputs[0], &a) || !part(m, g->call, g->set & ~left, n->inputs[1], &b))
            continue;
        a.next = &b;
        b.next = g->next;
        if (solve(m, &a))
            return true;
    }
    m->n--;
    return false;
}

/* The attributes that the node of this call binds; n: NULL: takes that back. */
static void bind_attrs(match *m, const mbr_rule_call *c, const mbr_ir_node *n)
{
    for (const mbr_rule_attr *a = c->attrs; a; a = a->next)
        if (a->value.kind == MBR_RULE_VAR)
            m->attrs[a->value.var] = n ? mbr_attr(n, a->name) : NULL;
}

/* The value is made by this way to write the node. */
static bool written_as(match *m, const mbr_rule_call *c, const goal *g)
{
    if (!c->op)
        return solve(m, &(goal){ .term = &c->terms[0], .value = g->value, .next = g->next });
    if (c->any_order)
        return any_order(m, &(goal){ .call = c, .set = (1u << c->n) - 1, .value = g->value, .next = g->next });
    mbr_ir_node *n = maker(m, c, g->value);
    if (!n)
        return false;
    for (uint32_t i = c->n; i < n->n_formal && !c->rest; i++)
        if (n->inputs[i])
            return false;
    goal goals[MBR_RULE_OPERANDS];
    const goal *first = g->next;
    for (uint32_t i = c->n; i-- > 0;) {
        const mbr_rule_term *t = &c->terms[i];
        mbr_ir_value *v = input(n, i);
        if (t->kind == MBR_RULE_VAR ? !plausible(m, t, v)
                                    : !(t->kind == MBR_RULE_LAST ? is_last(n, i) : number_matches(n, i, t->number)))
            return false;
        if (t->kind != MBR_RULE_VAR)
            continue;
        goals[i] = (goal){ .term = t, .value = v, .next = first };
        first = &goals[i];
    }
    if (c->rest) {
        m->rest = n;
        m->rest_from = c->n;
    }
    bind_attrs(m, c, n);
    m->nodes[m->n++] = n;
    if (solve(m, first))
        return true;
    m->n--;
    bind_attrs(m, c, NULL);
    return false;
}

/* All goals are met: what else must hold? */
static bool complete(const match *m)
{
    const mbr_rule *r = m->rule;
    for (uint8_t v = 0; v < r->n_vars; v++)
        if ((r->needs >> v & 1) && !m->bound[v])
            return false;
    for (const mbr_rule_condition *c = r->conditions; c; c = c->next)
        if (!holds(m, c))
            return false;
    for (uint32_t i = 1; i < m->n; i++) {
        const mbr_ir_value *v = m->nodes[i]->outputs[0];
        uint32_t reads = 0;
        for (uint32_t k = 0; k < m->n; k++)
            for (uint32_t j = 0; j < m->nodes[k]->n_inputs; j++)
                reads += m->nodes[k]->inputs[j] == v;
        if (reads != v->uses)
            return false;
    }
    return true;
}

static bool solve(match *m, const goal *g)
{
    if (!g)
        return complete(m);
    if (g->call)
        return any_order(m, g);
    if (!plausible(m, g->term, g->value))
        return false;
    if (g->term->kind == MBR_RULE_NUMBER || m->bound[g->term->var])
        return solve(m, g->next);
    mbr_ir_value **bound = &m->bound[g->term->var];
    const mbr_rule_call *c = m->rule->vars[g->term->var].calls;
    *bound = g->value;
    bool found = !c && solve(m, g->next);
    for (; c && !found; c = c->next)
        found = written_as(m, c, g);
    if (!found)
        *bound = NULL;
    return found;
}

/* --- replacing --- */

/* What a variable is as a factor: 1 where it is not bound. */
static double factor(const match *m, uint8_t var)
{
    const mbr_ir_attr *a = m->attrs[var];
    double x = 1, within;
    if (a)
        x = a->kind == MBR_ATTR_FLOAT ? (double)a->f : a->kind == MBR_ATTR_INT ? (double)a->i : 1;
    else if (m->bound[var])
        scalar(m->bound[var], &x, &within);
    return x;
}

/* The elements of list a in the order of b; one of them alone where the other is not there. */
static mbr_status reordered(mbr_ir_node *n, const char *name, const mbr_ir_attr *a, const mbr_ir_attr *b, mbr_error *err)
{
    int64_t list[MBR_MAX_RANK];
    if (!a || !b)
        return a || b ? mbr_ir_attr_ints(n, name, a ? a->ints : b->ints, a ? a->n : b->n, err) : MBR_OK;
    if (a->n != b->n || a->n > MBR_MAX_RANK)
        return MBR_ERR_UNSUPPORTED;
    for (size_t i = 0; i < a->n; i++) {
        if (b->ints[i] < 0 || (uint64_t)b->ints[i] >= a->n)
            return MBR_ERR_UNSUPPORTED;
        list[i] = a->ints[b->ints[i]];
    }
    return mbr_ir_attr_ints(n, name, list, a->n, err);
}

/* Fixed sizes and numbers. */
static mbr_status ints_of(const match *m, const mbr_rule_term *t, int64_t *list)
{
    for (uint8_t i = 0; i < t->n; i++) {
        list[i] = t->ints[i].at;
        if (!t->ints[i].of_var)
            continue;
        mbr_dim size = size_of(m->bound[t->ints[i].var], t->ints[i].at);
        if (!mbr_dim_is_known(size) || !mbr_dim_is_const(size))
            return MBR_ERR_UNSUPPORTED;
        list[i] = size;
    }
    return MBR_OK;
}

static mbr_status set_attr(const match *m, mbr_ir_node *n, const mbr_rule_attr *a, mbr_error *err)
{
    const mbr_rule_term *t = &a->value;
    int64_t list[MBR_RULE_LIST];
    double x;
    switch (t->kind) {
    case MBR_RULE_INT:
        return mbr_ir_attr_int(n, a->name, (int64_t)t->number, err);
    case MBR_RULE_NUMBER:
        return mbr_ir_attr_float(n, a->name, (float)t->number, err);
    case MBR_RULE_TEXT:
        return mbr_ir_attr_string(n, a->name, t->text, strlen(t->text), err);
    case MBR_RULE_INTS:
        MBR_TRY(ints_of(m, t, list));
        return mbr_ir_attr_ints(n, a->name, list, t->n, err);
    case MBR_RULE_PRODUCT:
        if (t->with[0].how == '[')
            return reordered(n, a->name, m->attrs[t->var], m->attrs[t->with[0].var], err);
        x = factor(m, t->var);
        for (uint8_t i = 0; i < t->n; i++)
            x = t->with[i].how == '*' ? x * factor(m, t->with[i].var) : x / factor(m, t->with[i].var);
        return mbr_ir_attr_float(n, a->name, (float)x, err);
    case MBR_RULE_VAR:
        if (m->attrs[t->var] && m->attrs[t->var]->kind == MBR_ATTR_INTS)
            return mbr_ir_attr_ints(n, a->name, m->attrs[t->var]->ints, m->attrs[t->var]->n, err);
        return m->attrs[t->var] || m->bound[t->var] ? mbr_ir_attr_float(n, a->name, (float)factor(m, t->var), err)
                                                    : MBR_OK;
    default: /* ...: done before the others */
        return MBR_OK;
    }
}

/* What an operand of the replacement stands for. */
static mbr_status operand_of(const match *m, const mbr_rule_term *t, mbr_ir_value **out, mbr_error *err)
{
    mbr_ir_graph *g = m->nodes[0]->graph;
    int64_t list[MBR_RULE_LIST];
    switch (t->kind) {
    case MBR_RULE_VAR:
        *out = m->bound[t->var];
        return MBR_OK;
    case MBR_RULE_INTS:
        MBR_TRY(ints_of(m, t, list));
        return mbr_ir_constant_ints(g, list, t->n, out, err);
    default:
        return mbr_ir_constant_f32(g, (float)t->number, out, err);
    }
}

/* Nodes are made before the root; made[*n] has one more. */
static mbr_status make(match *m, const mbr_rule_call *c, const mbr_rules *rules, mbr_ir_node **made, uint32_t *n,
                       mbr_error *err)
{
    mbr_ir_node *root = m->nodes[0], *fresh;
    mbr_ir_value *inputs[MBR_RULE_OPERANDS + MOST_REST];
    uint32_t n_inputs = c->n;
    for (uint8_t i = 0; i < c->n; i++)
        MBR_TRY(operand_of(m, &c->terms[i], &inputs[i], err));
    for (uint32_t i = m->rest_from; c->rest && i < m->rest->n_formal; i++) {
        if (n_inputs == MBR_COUNT_OF(inputs))
            return MBR_ERR_UNSUPPORTED;
        inputs[n_inputs++] = m->rest->inputs[i];
    }
    while (n_inputs && !inputs[n_inputs - 1])
        n_inputs--;
    MBR_TRY(mbr_ir_node_new(root->graph, root, c->domain, c->name, c->version, root->name, inputs, n_inputs, NULL, 1,
                            &fresh, err));
    made[(*n)++] = fresh;
    for (const mbr_rule_attr *a = c->attrs; a; a = a->next)
        if (a->value.kind == MBR_RULE_REST)
            MBR_TRY(mbr_ir_attrs_copy(fresh, m->rest, err));
    for (const mbr_rule_attr *a = c->attrs; a; a = a->next)
        MBR_TRY(set_attr(m, fresh, a, err));
    for (fresh->mark = rules->n_ops; fresh->mark; fresh->mark--)
        if (mbr_node_is(fresh, rules->ops[fresh->mark].domain, rules->ops[fresh->mark].name))
            break;
    fresh->origin = "";
    for (uint32_t i = m->n; i-- > 0;)
        MBR_TRY(mbr_join_origin(fresh, m->nodes[i]->origin, err));
    MBR_TRY(mbr_infer_node(fresh, err));
    m->bound[c->out] = fresh->outputs[0];
    return MBR_OK;
}

static bool same_type(const mbr_ir_value *a, const mbr_ir_value *b)
{
    if (a->type.kind != b->type.kind || a->type.dtype != b->type.dtype || a->type.rank != b->type.rank)
        return false;
    for (int d = 0; d < a->type.rank; d++)
        if (a->type.dims[d] != b->type.dims[d])
            return false;
    return true;
}

/* False in *done where the replacement is none: another type, or a graph output that would lose its producer. */
static mbr_status replace(match *m, const mbr_rules *rules, mbr_ir_node **root, bool *done, mbr_error *err)
{
    mbr_ir_node *made[MBR_RULE_VARS];
    mbr_ir_value *old = m->nodes[0]->outputs[0], *with = m->bound[m->rule->alias];
    uint32_t n = 0;
    mbr_error why;
    mbr_status st = MBR_OK;
    for (const mbr_rule_call *c = m->rule->makes; c && st == MBR_OK; c = c->next)
        st = make(m, c, rules, made, &n, &why);
    if (st == MBR_ERR_NO_MEMORY) {
        if (err)
            *err = why;
        return st;
    }
    if (n)
        with = made[n - 1]->outputs[0];
    *done = st == MBR_OK && same_type(old, with) && !(old->is_output && (!with->producer || with->is_output));
    if (!*done) {
        while (n-- > 0)
            mbr_ir_node_remove(made[n]);
        return MBR_OK;
    }
    *root = n ? made[n - 1] : NULL;
    mbr_ir_replace_uses(old, with);
    for (uint32_t i = 0; i < m->n; i++)
        for (uint32_t k = 0; k < m->n; k++)
            if (m->nodes[k] && !m->nodes[k]->outputs[0]->uses) {
                mbr_ir_node_remove(m->nodes[k]);
                m->nodes[k] = NULL;
            }
    return MBR_OK;
}

/* --- the pass --- */

static mbr_status try_rules(mbr_ir_node *root, const mbr_rules *rules, uint64_t *present, mbr_ir_node **prev, bool *done,
                            int *at_once, mbr_error *err)
{
    *prev = root->prev;
    *done = false;
    for (const mbr_rule_entry *e = rules->by_root[root->mark]; e && !*done; e = e->next) {
        if (e->rule->required & ~*present)
            continue;
        match m = { .rule = e->rule };
        const mbr_rule_term top = { .kind = MBR_RULE_VAR, .var = e->rule->root };
        if (!solve(&m, &(goal){ .term = &top, .value = root->outputs[0] }))
            continue;
        for (uint32_t i = 0; i < m.n; i++) /* on to what stays */
            if (m.nodes[i] == *prev) {
                *prev = (*prev)->prev;
                i = 0;
            }
        mbr_ir_node *made = NULL;
        root->graph->module->stage = e->rule->name;
        mbr_status st = replace(&m, rules, &made, done, err);
        root->graph->module->stage = "rules";
        MBR_TRY(st);
        if (!*done)
            *prev = root->prev;
        else
            mbr_log_at(root->graph->module->log, MBR_LOG_DEBUG, "rule %s: node '%s'", e->rule->name, root->name);
        if (made)
            *present |= made->mark ? (uint64_t)1 << made->mark : 0;
        if (made && (*at_once)-- > 0)
            *prev = made;
    }
    return MBR_OK;
}

/* Marks each node with the number of its operator in the rules, 0 for none; which there are. Parses what they need. */
static mbr_status mark_operators(mbr_ir_graph *g, uint64_t *present, mbr_error *err)
{
    mbr_ir_module *m = g->module;
    struct {
        const mbr_op *op;
        uint32_t mark;
    } seen[128] = { 0 }; /* a graph has few operators, each many times */
    uint64_t operators = 0;
    for (mbr_ir_node *n = g->first; n; n = n->next) {
        size_t at = (uintptr_t)n->op / sizeof *n->op % MBR_COUNT_OF(seen);
        if (seen[at].op != n->op)
            operators |= mbr_rules_bit(n->op->name, strlen(n->op->name));
        seen[at].op = n->op;
    }
    MBR_TRY(mbr_rules_extend(&m->arena, mbr_rule_texts, operators, &m->rules, err));
    const mbr_rules *rules = m->rules;
    memset(seen, 0, sizeof seen);
    *present = 0;
    for (mbr_ir_node *n = g->first; n; n = n->next) {
        size_t at = (uintptr_t)n->op / sizeof *n->op % MBR_COUNT_OF(seen);
        if (seen[at].op != n->op) {
            seen[at].op = n->op;
            for (seen[at].mark = rules->n_ops; seen[at].mark; seen[at].mark--)
                if (mbr_node_is(n, rules->ops[seen[at].mark].domain, rules->ops[seen[at].mark].name))
                    break;
        }
        n->mark = seen[at].mark;
        *present |= n->mark ? (uint64_t)1 << n->mark : 0;
    }
    return MBR_OK;
}

mbr_status mbr_pass_rules(mbr_ir_graph *g, bool *changed, mbr_error *err)
{
    mbr_ir_module *m = g->module;
    if (g->first == g->last)
        return MBR_OK;
    bool again = true, any = false;
    for (int round = 0; round < MOST_ROUNDS && again; round++) {
        uint64_t present;
        MBR_TRY(mark_operators(g, &present, err));
        int at_once = MOST_AT_ONCE;
        again = false;
        for (mbr_ir_node *n = g->last, *prev; n; n = prev) {
            bool done;
            prev = n->prev;
            if (!n->mark || n->n_outputs == 0 || !n->outputs[0])
                continue;
            MBR_TRY(try_rules(n, m->rules, &present, &prev, &done, &at_once, err));
            at_once = done ? at_once : MOST_AT_ONCE;
            again |= done;
        }
        any |= again;
        if (again) /* shapes that only what went away asked for are readers no more */
            MBR_TRY(mbr_pass_dce(g, changed, err));
    }
    *changed |= any;
    return any ? mbr_pass_cse(g, changed, err) : MBR_OK;
}
