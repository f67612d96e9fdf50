/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Elementwise nodes of one output shape become one mbr.Chain, which passes over memory once, whatever they are.
 *
 * Groups grow in graph order: a node joins the groups of its producers where the union may run at the node's place,
 * that is, where nobody outside reads a member's output before that. What others read later becomes an output.
 */
#include "engine/infer.h"
#include "engine/ops/op.h"
#include "engine/ops/pointwise.h"
#include "engine/passes/pass.h"

#include <string.h>

#define MOST_MEMBERS 24
#define MOST_INPUTS 10
#define NO_GROUP UINT32_MAX

typedef struct group {
    uint32_t n;
    uint32_t members[MOST_MEMBERS]; /* node indices, rising */
} group;

typedef struct chains {
    mbr_ir_graph *g;
    mbr_ir_node **nodes;    /* (n) in graph order; node->mark is the index */
    uint32_t n;
    uint32_t *group_of;     /* (n) */
    group *groups;          /* (n_groups) */
    uint32_t n_groups;
    uint32_t *first_user;   /* (n_values + 1) into users */
    uint32_t *users;        /* node indices of each value's readers */
} chains;

/* --- who reads what --- */

static mbr_status index_graph(chains *c, mbr_error *err)
{
    mbr_memory *memory = c->g->module->memory;
    size_t reads = 0, values = c->g->n_values;
    for (mbr_ir_node *n = c->g->first; n; n = n->next) {
        c->n++;
        reads += n->n_inputs;
    }
    c->nodes = mbr_calloc(memory, (size_t)c->n + 1, sizeof *c->nodes);
    c->group_of = mbr_calloc(memory, (size_t)c->n + 1, sizeof *c->group_of);
    c->groups = mbr_calloc(memory, (size_t)c->n + 1, sizeof *c->groups);
    c->first_user = mbr_calloc(memory, values + 2, sizeof *c->first_user);
    c->users = mbr_calloc(memory, reads + 1, sizeof *c->users);
    if (!c->nodes || !c->group_of || !c->groups || !c->first_user || !c->users)
        return mbr_no_memory(err, reads * sizeof *c->users);
    uint32_t k = 0;
    for (mbr_ir_node *n = c->g->first; n; n = n->next) {
        n->mark = k;
        c->group_of[k] = NO_GROUP;
        c->nodes[k++] = n;
        for (uint32_t i = 0; i < n->n_inputs; i++)
            if (n->inputs[i])
                c->first_user[n->inputs[i]->id + 2]++;
    }
    for (size_t v = 2; v < values + 2; v++)
        c->first_user[v] += c->first_user[v - 1];
    for (k = 0; k < c->n; k++)
        for (uint32_t i = 0; i < c->nodes[k]->n_inputs; i++)
            if (c->nodes[k]->inputs[i])
                c->users[c->first_user[c->nodes[k]->inputs[i]->id + 1]++] = k;
    return MBR_OK;
}

static void drop_index(chains *c)
{
    mbr_memory *memory = c->g->module->memory;
    mbr_free(memory, c->nodes);
    mbr_free(memory, c->group_of);
    mbr_free(memory, c->groups);
    mbr_free(memory, c->first_user);
    mbr_free(memory, c->users);
}

static bool has_member(const group *g, uint32_t node)
{
    for (uint32_t i = 0; i < g->n; i++)
        if (g->members[i] == node)
            return true;
    return false;
}

/* Somebody outside the group reads v. */
static bool read_outside(const chains *c, const group *g, const mbr_ir_value *v)
{
    if (v->is_output)
        return true;
    for (uint32_t u = c->first_user[v->id]; u < c->first_user[v->id + 1]; u++)
        if (!has_member(g, c->users[u]))
            return true;
    return false;
}

/* Nobody outside reads a member's output before the last member runs. */
static bool may_run_at_end(const chains *c, const group *g)
{
    uint32_t end = g->members[g->n - 1];
    for (uint32_t i = 0; i < g->n; i++) {
        const mbr_ir_value *v = c->nodes[g->members[i]]->outputs[0];
        for (uint32_t u = c->first_user[v->id]; u < c->first_user[v->id + 1]; u++)
            if (c->users[u] < end && !has_member(g, c->users[u]))
                return false;
    }
    return true;
}

/* --- what may join --- */

static bool chain_type(const mbr_ir_value *v)
{
    return v->type.kind == MBR_KIND_TENSOR && v->type.rank >= 0 &&
           (v->type.dtype == MBR_DTYPE_F32 || v->type.dtype == MBR_DTYPE_BOOL);
}

static bool elementwise(const mbr_ir_node *n)
{
    mbr_chain_insn code[MBR_POINTWISE_CODE];
    uint32_t used;
    if (!(n->op->flags & MBR_OP_CHAIN) || n->n_outputs != 1 || !n->outputs[0] || !chain_type(n->outputs[0]) ||
        n->outputs[0]->content)
        return false;
    for (uint32_t i = 0; i < n->n_formal; i++)
        if (n->inputs[i] && !chain_type(n->inputs[i]))
            return false;
    for (int d = 0; d < n->outputs[0]->type.rank; d++)
        if (!mbr_dim_is_known(n->outputs[0]->type.dims[d]))
            return false;
    if (mbr_pointwise_code(n, code, &used) <= 0)
        return false;
    int rank = 0; /* an operand that became an immediate may be what gives the output its rank */
    for (uint32_t i = 0; i < n->n_formal; i++)
        if (n->inputs[i] && (used >> i & 1) && n->inputs[i]->type.rank > rank)
            rank = n->inputs[i]->type.rank;
    return rank == n->outputs[0]->type.rank;
}

static bool same_shape(const mbr_ir_value *a, const mbr_ir_value *b)
{
    return a->type.rank == b->type.rank &&
           (a->type.rank == 0 || memcmp(a->type.dims, b->type.dims, (size_t)a->type.rank * sizeof(mbr_dim)) == 0);
}

/* --- code: values become registers; inputs keep theirs, the rest are reused after their last reader --- */

typedef struct coding {
    const mbr_ir_value *inputs[MBR_CHAIN_INPUTS];
    int n_inputs;
    const mbr_ir_value *outputs[MBR_CHAIN_OUTPUTS];
    int n_outputs;
    int length;
    int64_t code[5 * MBR_CHAIN_CODE], out[MBR_CHAIN_OUTPUTS], types[MBR_CHAIN_OUTPUTS];
    float imm[2 * MBR_CHAIN_CODE];
    const mbr_ir_value *held[MBR_CHAIN_REGS]; /* what each register holds */
} coding;

static int input_register(coding *k, const mbr_ir_value *v, bool add)
{
    for (int i = 0; i < k->n_inputs; i++)
        if (k->inputs[i] == v)
            return i;
    if (!add || k->n_inputs == MOST_INPUTS)
        return -1;
    k->inputs[k->n_inputs] = v;
    return k->n_inputs++;
}

/* The member at or behind position `from` that still reads v, or an output. */
static bool needed_from(const chains *c, const group *g, const mbr_ir_value *v, uint32_t from)
{
    for (uint32_t m = from; m < g->n; m++) {
        const mbr_ir_node *n = c->nodes[g->members[m]];
        for (uint32_t i = 0; i < n->n_formal; i++)
            if (n->inputs[i] == v)
                return true;
    }
    return read_outside(c, g, v);
}

static int free_register(const coding *k)
{
    for (int r = k->n_inputs; r < MBR_CHAIN_REGS; r++)
        if (!k->held[r])
            return r;
    return -1;
}

static int register_of(const coding *k, const mbr_ir_value *v)
{
    for (int r = k->n_inputs; r < MBR_CHAIN_REGS; r++)
        if (k->held[r] == v)
            return r;
    for (int i = 0; i < k->n_inputs; i++)
        if (k->inputs[i] == v)
            return i;
    return -1;
}

static bool code_member(const chains *c, const group *g, uint32_t m, coding *k)
{
    const mbr_ir_node *n = c->nodes[g->members[m]];
    mbr_chain_insn code[MBR_POINTWISE_CODE];
    uint32_t used;
    int length = mbr_pointwise_code(n, code, &used), to = free_register(k);
    if (to < 0 || k->length + length > MBR_CHAIN_CODE)
        return false;
    for (int i = 0; i < length; i++) {
        const uint8_t from[3] = { code[i].a, code[i].b, code[i].c };
        int operands = mbr_chain_op_operands((mbr_chain_op)code[i].op);
        int64_t *put = k->code + 5 * k->length;
        put[0] = code[i].op;
        put[1] = to;
        for (int j = 0; j < 3; j++) {
            int r = j >= operands ? 0 : from[j] == n->n_formal ? to : register_of(k, n->inputs[from[j]]);
            if (r < 0)
                return false;
            put[2 + j] = r;
        }
        k->imm[2 * k->length] = code[i].x;
        k->imm[2 * k->length + 1] = code[i].y;
        k->length++;
    }
    k->held[to] = n->outputs[0];
    for (int r = k->n_inputs; r < MBR_CHAIN_REGS; r++)
        if (k->held[r] && !needed_from(c, g, k->held[r], m + 1))
            k->held[r] = NULL;
    return true;
}

/* False where the group is too large for a chain. */
static bool code_group(const chains *c, const group *g, coding *k)
{
    memset(k, 0, sizeof *k);
    for (uint32_t m = 0; m < g->n; m++) {
        const mbr_ir_node *n = c->nodes[g->members[m]];
        mbr_chain_insn code[MBR_POINTWISE_CODE];
        uint32_t used;
        mbr_pointwise_code(n, code, &used);
        for (uint32_t i = 0; i < n->n_formal; i++) {
            const mbr_ir_value *v = n->inputs[i];
            bool inside = v && v->producer && v->producer->graph == c->g && has_member(g, v->producer->mark);
            if (v && (used >> i & 1) && !inside && input_register(k, v, true) < 0)
                return false;
        }
    }
    for (uint32_t m = 0; m < g->n; m++)
        if (!code_member(c, g, m, k))
            return false;
    for (uint32_t m = 0; m < g->n; m++) {
        const mbr_ir_value *v = c->nodes[g->members[m]]->outputs[0];
        if (!read_outside(c, g, v))
            continue;
        int r = register_of(k, v);
        if (k->n_outputs == MBR_CHAIN_OUTPUTS || r < 0)
            return false;
        k->outputs[k->n_outputs] = v;
        k->out[k->n_outputs] = r;
        k->types[k->n_outputs] = v->type.dtype;
        k->n_outputs++;
    }
    return k->n_inputs > 0;
}

/* --- growing --- */

static bool join(const chains *c, const group *a, const group *b, group *both)
{
    uint32_t i = 0, j = 0;
    both->n = 0;
    if (a->n + b->n > MOST_MEMBERS)
        return false;
    while (i < a->n || j < b->n)
        both->members[both->n++] = j == b->n || (i < a->n && a->members[i] < b->members[j]) ? a->members[i++]
                                                                                             : b->members[j++];
    coding k;
    return may_run_at_end(c, both) && code_group(c, both, &k);
}

static void grow(chains *c)
{
    for (uint32_t k = 0; k < c->n; k++) {
        const mbr_ir_node *n = c->nodes[k];
        if (!elementwise(n))
            continue;
        uint32_t own = c->n_groups++;
        c->groups[own] = (group){ .n = 1, .members = { k } };
        c->group_of[k] = own;
        for (uint32_t i = 0; i < n->n_formal; i++) {
            const mbr_ir_node *p = n->inputs[i] ? n->inputs[i]->producer : NULL;
            uint32_t theirs = p && p->graph == c->g ? c->group_of[p->mark] : NO_GROUP;
            group both;
            if (theirs == NO_GROUP || theirs == own || !same_shape(p->outputs[0], n->outputs[0]) ||
                !join(c, &c->groups[theirs], &c->groups[own], &both))
                continue;
            c->groups[own] = both;
            c->groups[theirs].n = 0;
            for (uint32_t m = 0; m < both.n; m++)
                c->group_of[both.members[m]] = own;
        }
    }
}

/* --- rewriting --- */

static mbr_status all_origins(const chains *c, const group *g, mbr_ir_node *made, mbr_error *err)
{
    char text[512];
    size_t at = 0;
    for (uint32_t m = 0; m < g->n; m++) {
        const char *origin = c->nodes[g->members[m]]->origin;
        size_t n = strlen(origin);
        if (n == 0 || at + n + 2 > sizeof text)
            continue;
        if (at)
            text[at++] = '+';
        memcpy(text + at, origin, n);
        at += n;
    }
    made->origin = mbr_arena_strndup(&c->g->module->arena, text, at);
    return made->origin ? MBR_OK : mbr_no_memory(err, at);
}

static mbr_status emit(chains *c, const group *g, mbr_error *err)
{
    coding k;
    mbr_ir_node *made;
    mbr_ir_node *last = c->nodes[g->members[g->n - 1]];
    if (!code_group(c, g, &k))
        return MBR_OK;
    MBR_TRY(mbr_ir_node_new(c->g, last, "mbr", "Chain", 1, last->name, (mbr_ir_value *const *)k.inputs,
                            (size_t)k.n_inputs, NULL, (size_t)k.n_outputs, &made, err));
    MBR_TRY(mbr_ir_attr_ints(made, "code", k.code, 5 * (size_t)k.length, err));
    MBR_TRY(mbr_ir_attr_floats(made, "imm", k.imm, 2 * (size_t)k.length, err));
    MBR_TRY(mbr_ir_attr_ints(made, "out", k.out, (size_t)k.n_outputs, err));
    MBR_TRY(mbr_ir_attr_ints(made, "types", k.types, (size_t)k.n_outputs, err));
    MBR_TRY(all_origins(c, g, made, err));
    made->mark = NO_GROUP; /* of no group: what it makes is an input to the groups behind it */
    MBR_TRY(mbr_infer_node(made, err));
    for (int i = 0; i < k.n_outputs; i++)
        mbr_ir_replace_uses((mbr_ir_value *)k.outputs[i], made->outputs[i]);
    for (uint32_t m = g->n; m-- > 0;)
        mbr_ir_node_remove(c->nodes[g->members[m]]);
    return MBR_OK;
}

mbr_status mbr_pass_chain(mbr_ir_graph *g, bool *changed, mbr_error *err)
{
    chains c = { .g = g };
    mbr_status st = index_graph(&c, err);
    if (st == MBR_OK)
        grow(&c);
    for (uint32_t i = 0; i < c.n_groups && st == MBR_OK; i++)
        if (c.groups[i].n > 1) {
            st = emit(&c, &c.groups[i], err);
            *changed = true;
        }
    drop_index(&c);
    return st;
}
