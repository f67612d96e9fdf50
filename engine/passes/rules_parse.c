/* SPDX-License-Identifier: BSD-2-Clause */
/* Parsing of rules; rules.h has the grammar. */
#include "engine/passes/rules.h"

#include <stdlib.h>
#include <string.h>

typedef struct parser {
    const char *at;
    mbr_arena *arena;
    mbr_rules *set;
    mbr_rule *rule;
    struct {
        const char *name;
        size_t n;
    } names[MBR_RULE_VARS];
    mbr_rule_var vars[MBR_RULE_VARS]; /* of the rule, which has its own in the end */
    uint8_t n_pattern; /* variables of the pattern; those behind them are the replacement's */
    mbr_error *err;
} parser;

static const char *rule_name(const parser *p)
{
    return p->rule->name ? p->rule->name : "";
}

static mbr_status wrong(const parser *p, const char *what)
{
    return mbr_fail(p->err, MBR_ERR_FORMAT, "rule '%s': %s before '%.20s'", rule_name(p), what, p->at);
}

/* --- tokens --- */

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static void skip(parser *p)
{
    while (*p->at == ' ' || *p->at == '\n')
        p->at++;
}

static bool take(parser *p, const char *mark)
{
    size_t n = 0;
    skip(p);
    while (mark[n] && p->at[n] == mark[n])
        n++;
    if (mark[n] || (is_word(*mark) && is_word(p->at[n])))
        return false;
    p->at += n;
    return true;
}

static mbr_status need(parser *p, const char *mark)
{
    return take(p, mark) ? MBR_OK : mbr_fail(p->err, MBR_ERR_FORMAT, "rule '%s': '%s' is due before '%.20s'",
                                             rule_name(p), mark, p->at);
}

/* Letters, digits, _ and dots, as text of the arena. */
static mbr_status word(parser *p, const char **out)
{
    skip(p);
    const char *begin = p->at;
    while (is_word(*p->at) || *p->at == '.')
        p->at++;
    if (p->at == begin)
        return wrong(p, "a name is due");
    *out = mbr_arena_strndup(p->arena, begin, (size_t)(p->at - begin));
    return *out ? MBR_OK : mbr_no_memory(p->err, (size_t)(p->at - begin));
}

static bool next_is_number(parser *p)
{
    skip(p);
    return (*p->at >= '0' && *p->at <= '9') || *p->at == '-';
}

/* 1 is an int, 1.0 and 1e-6 are numbers. */
static mbr_status number(parser *p, mbr_rule_term *t)
{
    char *stop;
    t->number = strtod(p->at, &stop);
    if (stop == p->at || is_word(*stop))
        return wrong(p, "a number is due");
    t->kind = MBR_RULE_INT;
    for (; p->at < stop; p->at++)
        if (*p->at == '.' || *p->at == 'e')
            t->kind = MBR_RULE_NUMBER;
    return MBR_OK;
}

/* --- variables --- */

static mbr_status variable(parser *p, uint8_t *out, bool *fresh)
{
    mbr_rule *r = p->rule;
    MBR_TRY(need(p, "%"));
    const char *begin = p->at;
    while (is_word(*p->at))
        p->at++;
    size_t n = (size_t)(p->at - begin);
    *fresh = false;
    if (n == 0)
        return wrong(p, "a variable's name is due");
    for (*out = 0; *out < r->n_vars; ++*out)
        if (p->names[*out].n == n && *p->names[*out].name == *begin && memcmp(p->names[*out].name, begin, n) == 0)
            return MBR_OK;
    if (r->n_vars == MBR_RULE_VARS)
        return wrong(p, "one variable too many");
    p->names[r->n_vars].name = begin;
    p->names[r->n_vars].n = n;
    r->vars[r->n_vars++] = (mbr_rule_var){ 0 };
    *fresh = true;
    return MBR_OK;
}

static mbr_status known(parser *p, uint8_t *out)
{
    bool fresh;
    MBR_TRY(variable(p, out, &fresh));
    return fresh ? wrong(p, "a variable that nothing defines") : MBR_OK;
}

static mbr_status type_of(parser *p, mbr_rule_var *v)
{
    const char *name;
    MBR_TRY(word(p, &name));
    v->is_float = strcmp(name, "float") == 0;
    v->dtype = v->is_float ? MBR_DTYPE_UNDEFINED : mbr_dtype_from_name(name);
    return v->is_float || v->dtype ? MBR_OK : wrong(p, "an unknown type");
}

static mbr_status axis_number(parser *p, int8_t *out)
{
    mbr_rule_term t;
    MBR_TRY(number(p, &t));
    *out = (int8_t)t.number;
    return t.kind == MBR_RULE_INT && t.number == *out ? MBR_OK : wrong(p, "a small whole number is due");
}

/* 3, or %x.1 */
static mbr_status size(parser *p, mbr_rule_size *s)
{
    s->of_var = !next_is_number(p);
    if (s->of_var) {
        MBR_TRY(known(p, &s->var));
        MBR_TRY(need(p, "."));
        p->rule->needs |= 1u << s->var;
    }
    return axis_number(p, &s->at);
}

/* What follows [ */
static mbr_status list(parser *p, mbr_rule_term *t)
{
    t->kind = MBR_RULE_INTS;
    do {
        if (t->n == MBR_RULE_LIST)
            return wrong(p, "one element too many");
        MBR_TRY(size(p, &t->ints[t->n++]));
    } while (take(p, ","));
    return need(p, "]");
}

static mbr_status operand(parser *p, bool pattern, mbr_rule_term *t)
{
    if (next_is_number(p)) {
        MBR_TRY(number(p, t));
        t->kind = MBR_RULE_NUMBER;
        return MBR_OK;
    }
    if (pattern && take(p, "last")) {
        t->kind = MBR_RULE_LAST;
        return MBR_OK;
    }
    if (!pattern && take(p, "["))
        return list(p, t);
    t->kind = MBR_RULE_VAR;
    if (!pattern) {
        MBR_TRY(known(p, &t->var));
        if (t->var == p->rule->root)
            return wrong(p, "a replacement that reads the root");
        t->or_absent = take(p, "?");
        if (t->var < p->n_pattern && !t->or_absent)
            p->rule->needs |= 1u << t->var;
        return MBR_OK;
    }
    bool fresh, is_number = take(p, "number"), is_const = is_number || take(p, "const");
    MBR_TRY(variable(p, &t->var, &fresh));
    mbr_rule_var *v = &p->rule->vars[t->var];
    v->is_const |= is_const;
    v->is_number |= is_number;
    return take(p, ":") ? type_of(p, v) : MBR_OK;
}

/* --- nodes --- */

/* What the pattern bound: a number, a list, a product, a list in another order. */
static mbr_status attribute_of_var(parser *p, mbr_rule_term *t)
{
    const mbr_rule *r = p->rule;
    MBR_TRY(known(p, &t->var));
    if (!r->vars[t->var].is_number && !(r->attrs >> t->var & 1))
        return wrong(p, "an attribute from what is no number");
    while (take(p, "*") || take(p, "/") || take(p, "[")) {
        if (t->n == MBR_RULE_LIST)
            return wrong(p, "one factor too many");
        t->kind = MBR_RULE_PRODUCT;
        t->with[t->n].how = p->at[-1];
        MBR_TRY(known(p, &t->with[t->n].var));
        if (t->with[t->n++].how == '[')
            MBR_TRY(need(p, "]"));
    }
    if (t->kind == MBR_RULE_VAR)
        p->rule->needs |= 1u << t->var & ~r->attrs;
    return MBR_OK;
}

static mbr_status attribute(parser *p, bool pattern, mbr_rule_call *c)
{
    mbr_rule_attr *a = mbr_arena_calloc(p->arena, 1, sizeof *a);
    if (!a)
        return mbr_no_memory(p->err, sizeof *a);
    a->next = c->attrs;
    c->attrs = a;
    mbr_rule_term *t = &a->value;
    if (!pattern && take(p, "...")) {
        t->kind = MBR_RULE_REST;
        return MBR_OK;
    }
    MBR_TRY(word(p, &a->name));
    MBR_TRY(need(p, "="));
    if (next_is_number(p)) {
        MBR_TRY(number(p, t));
    } else if (take(p, "'")) {
        size_t n = strcspn(p->at, "'");
        if (!p->at[n])
            return wrong(p, "a text without a closing quote");
        t->kind = MBR_RULE_TEXT;
        t->text = mbr_arena_strndup(p->arena, p->at, n);
        if (!t->text)
            return mbr_no_memory(p->err, n);
        p->at += n + 1;
    } else if (take(p, "[")) {
        MBR_TRY(list(p, t));
    } else if (pattern && take(p, "last")) {
        t->kind = MBR_RULE_LAST;
    } else if (!pattern) {
        MBR_TRY(attribute_of_var(p, t));
    } else if (*p->at == '%') {
        bool fresh;
        MBR_TRY(variable(p, &t->var, &fresh));
        if (!fresh && !(p->rule->attrs >> t->var & 1))
            return wrong(p, "an attribute by the name of an operand");
        p->rule->attrs |= 1u << t->var;
    } else {
        return wrong(p, "a number or a text is due");
    }
    a->or_absent = pattern && take(p, "?");
    return MBR_OK;
}

static bool in_any_order(const char *domain, const char *name)
{
    static const char *const ops[] = { "Add", "Mul", "Min", "Max" };
    for (size_t i = 0; i < MBR_COUNT_OF(ops) && !*domain; i++)
        if (strcmp(ops[i], name) == 0)
            return true;
    return false;
}

static mbr_status intern(parser *p, mbr_rule_call *c)
{
    mbr_rules *s = p->set;
    for (c->op = 1; c->op <= s->n_ops; c->op++)
        if (*s->ops[c->op].name == *c->name && strcmp(s->ops[c->op].name, c->name) == 0 &&
            strcmp(s->ops[c->op].domain, c->domain) == 0)
            break;
    if (c->op > s->n_ops) {
        if (s->n_ops == MBR_RULE_OPS)
            return wrong(p, "one operator too many in all the rules");
        s->ops[++s->n_ops].name = c->name;
        s->ops[s->n_ops].domain = c->domain;
        s->ops[s->n_ops].any_order = in_any_order(c->domain, c->name);
    }
    c->any_order = s->ops[c->op].any_order;
    return !c->any_order || c->n > 1 ? MBR_OK : wrong(p, "two operands are due");
}

static mbr_status call(parser *p, bool pattern, mbr_rule_call **out)
{
    const char *whole;
    mbr_rule_call *c = mbr_arena_calloc(p->arena, 1, sizeof *c);
    if (!c)
        return mbr_no_memory(p->err, sizeof *c);
    skip(p);
    if (pattern && *p->at == '%') {
        *out = c;
        c->n = 1;
        return known(p, &c->terms[0].var);
    }
    MBR_TRY(word(p, &whole));
    char *dot = strrchr(whole, '.');
    c->domain = dot ? whole : "";
    c->name = dot ? dot + 1 : whole;
    if (dot)
        *dot = '\0';
    c->version = 1;
    if (!pattern && take(p, "@")) {
        mbr_rule_term t;
        MBR_TRY(number(p, &t));
        c->version = (int)t.number;
    }
    MBR_TRY(need(p, "("));
    while (!take(p, ")")) {
        if (c->n)
            MBR_TRY(need(p, ","));
        if (take(p, "...")) {
            c->rest = true;
            MBR_TRY(need(p, ")"));
            break;
        }
        if (c->n == MBR_RULE_OPERANDS)
            return wrong(p, "one operand too many");
        MBR_TRY(operand(p, pattern, &c->terms[c->n++]));
    }
    if (take(p, "{")) {
        do
            MBR_TRY(attribute(p, pattern, c));
        while (take(p, ","));
        MBR_TRY(need(p, "}"));
    }
    *out = c;
    return pattern ? intern(p, c) : MBR_OK;
}

/* --- a rule --- */

static mbr_status pattern_line(parser *p)
{
    uint8_t var;
    bool fresh;
    MBR_TRY(variable(p, &var, &fresh));
    if (!fresh) /* so that patterns have no cycles */
        return wrong(p, "a definition of what stood before it");
    MBR_TRY(need(p, "="));
    mbr_rule_call *calls = NULL, **end = &calls;
    do {
        MBR_TRY(call(p, true, end));
        end = &(*end)->next;
    } while (take(p, "|"));
    for (mbr_rule_call *c = calls; c; c = c->next)
        for (uint8_t i = 0; i < c->n; i++)
            if (c->terms[i].kind == MBR_RULE_VAR && c->terms[i].var == var)
                return wrong(p, "a variable defined by itself");
    p->rule->vars[var].calls = calls;
    p->rule->root = var;
    return MBR_OK;
}

static mbr_status condition(parser *p)
{
    static const struct {
        const char *name;
        int n;
    } known_ones[] = { [MBR_RULE_ROW] = { "row", 2 }, [MBR_RULE_COLUMNS] = { "columns", 2 },
                       [MBR_RULE_MATRIX] = { "matrix", 1 }, [MBR_RULE_LOW] = { "low", 1 } };
    mbr_rule *r = p->rule;
    size_t i = 0;
    while (i < MBR_COUNT_OF(known_ones) && !take(p, known_ones[i].name))
        i++;
    skip(p);
    if (i == MBR_COUNT_OF(known_ones) && *p->at != '%')
        return wrong(p, "a condition (row, columns, matrix, low, a size) is due");
    mbr_rule_condition *c = mbr_arena_calloc(p->arena, 1, sizeof *c);
    if (!c)
        return mbr_no_memory(p->err, sizeof *c);
    c->next = r->conditions;
    r->conditions = c;
    if (i == MBR_COUNT_OF(known_ones)) {
        MBR_TRY(known(p, &c->a));
        r->needs |= 1u << c->a;
        MBR_TRY(need(p, "."));
        c->what = take(p, "rank") ? MBR_RULE_RANK : MBR_RULE_SIZE;
        if (c->what == MBR_RULE_SIZE)
            MBR_TRY(axis_number(p, &c->axis));
        MBR_TRY(need(p, "="));
        MBR_TRY(size(p, &c->size));
        c->b = c->size.of_var ? c->size.var : c->a;
        return MBR_OK;
    }
    c->what = i;
    MBR_TRY(need(p, "("));
    MBR_TRY(known(p, &c->a));
    c->b = c->a;
    if (known_ones[i].n == 2) {
        MBR_TRY(need(p, ","));
        MBR_TRY(known(p, &c->b));
    }
    r->needs |= 1u << c->a | 1u << c->b;
    return need(p, ")");
}

static mbr_status replacement(parser *p)
{
    mbr_rule *r = p->rule;
    mbr_rule_call **end = &r->makes;
    uint8_t var;
    bool fresh;
    do {
        MBR_TRY(variable(p, &var, &fresh));
        if (!fresh && var != r->root)
            return wrong(p, "a definition of what the pattern defines");
        MBR_TRY(need(p, "="));
        skip(p);
        if (*p->at == '%') {
            MBR_TRY(known(p, &r->alias));
            r->needs |= 1u << r->alias;
            if (r->makes || var != r->root || r->alias == r->root)
                return wrong(p, "an alias that is not alone");
            break;
        }
        MBR_TRY(call(p, false, end));
        (*end)->out = var;
        end = &(*end)->next;
        skip(p);
    } while (*p->at && var != r->root);
    if (var != r->root)
        return wrong(p, "a replacement that does not end in the root");
    return *p->at ? wrong(p, "something follows the replacement") : MBR_OK;
}

/* The operators that every way to write a variable needs. */
static uint64_t required(const mbr_rule *r, uint8_t var)
{
    uint64_t all = ~(uint64_t)0;
    for (const mbr_rule_call *c = r->vars[var].calls; c; c = c->next) {
        uint64_t of = c->op ? (uint64_t)1 << c->op : 0;
        for (uint8_t i = 0; i < c->n; i++)
            if (c->terms[i].kind == MBR_RULE_VAR)
                of |= required(r, c->terms[i].var);
        all &= of;
    }
    return r->vars[var].calls ? all : 0;
}

static mbr_status one_rule(parser *p)
{
    p->rule->vars = p->vars;
    MBR_TRY(need(p, "rule"));
    MBR_TRY(word(p, &p->rule->name));
    do {
        MBR_TRY(pattern_line(p));
        skip(p);
    } while (*p->at == '%');
    if (take(p, "where"))
        do
            MBR_TRY(condition(p));
        while (take(p, ","));
    MBR_TRY(need(p, "=>"));
    p->n_pattern = p->rule->n_vars;
    MBR_TRY(replacement(p));
    p->rule->required = required(p->rule, p->rule->root);
    size_t bytes = p->rule->n_vars * sizeof *p->vars;
    p->rule->vars = mbr_arena_alloc(p->arena, bytes);
    if (!p->rule->vars)
        return mbr_no_memory(p->err, bytes);
    memcpy(p->rule->vars, p->vars, bytes);
    return MBR_OK;
}

static mbr_status enter(parser *p, const mbr_rule *r)
{
    for (const mbr_rule_call *c = r->vars[r->root].calls; c; c = c->next) {
        if (!c->op)
            return wrong(p, "a root that need not be a node");
        mbr_rule_entry **end = &p->set->by_root[c->op];
        while (*end && (*end)->rule->place < r->place)
            end = &(*end)->next;
        if (*end && (*end)->rule == r) /* two ways with one operator */
            continue;
        mbr_rule_entry *fresh = mbr_arena_calloc(p->arena, 1, sizeof *fresh);
        if (!fresh)
            return mbr_no_memory(p->err, sizeof *fresh);
        *fresh = (mbr_rule_entry){ r, *end };
        *end = fresh;
    }
    return MBR_OK;
}

/* --- which rules --- */

uint64_t mbr_rules_bit(const char *name, size_t size)
{
    return size ? (uint64_t)1 << ((size * 7 + (size_t)(uint8_t)name[0] * 3 + (uint8_t)name[size - 1]) & 63) : 0;
}

/*
 * The definition of the root, behind its `=`: the last one in front of the arrow. What stands there after `where` has a
 * size on the left of its `=`, a name that a dot precedes. NULL: there is none, which parsing will say.
 */
static const char *root_of(const char *text)
{
    const char *arrow = strchr(text, '>');
    int depth = 0;
    for (const char *at = arrow ? arrow - 1 : text; at > text; at--) {
        depth += (*at == ')' || *at == '}' || *at == ']') - (*at == '(' || *at == '{' || *at == '[');
        if (*at != '=' || depth || at == arrow - 1)
            continue;
        const char *left = at - 1;
        while (left > text && (*left == ' ' || *left == '\n'))
            left--;
        while (left > text && is_word(*left))
            left--;
        if (*left == '%')
            return at + 1;
    }
    return NULL;
}

/* mbr_rules_bit of all operators that the root may be; all bits where that is not clear. */
static uint64_t root_bits(const char *text)
{
    const char *at = root_of(text);
    uint64_t bits = 0;
    int depth = 0;
    while (at && *at != '>') {
        if (depth == 0 && is_word(*at)) {
            const char *begin = at;
            while (is_word(*at))
                at++;
            if (*at == '(')
                bits |= mbr_rules_bit(begin, (size_t)(at - begin));
            continue;
        }
        depth += (*at == '(' || *at == '{' || *at == '[') - (*at == ')' || *at == '}' || *at == ']');
        at++;
    }
    return bits ? bits : ~(uint64_t)0;
}

static mbr_status add_rule(parser *p, const char *const *texts, size_t place)
{
    p->at = texts[place];
    p->n_pattern = 0;
    p->rule = mbr_arena_calloc(p->arena, 1, sizeof *p->rule);
    if (!p->rule)
        return mbr_no_memory(p->err, sizeof *p->rule);
    p->rule->place = place;
    MBR_TRY(one_rule(p));
    MBR_TRY(enter(p, p->rule));
    for (const mbr_rule_call *c = p->rule->makes; c; c = c->next)
        p->set->known |= mbr_rules_bit(c->name, strlen(c->name));
    p->set->parsed[place / 64] |= (uint64_t)1 << place % 64;
    return MBR_OK;
}

mbr_status mbr_rules_extend(mbr_arena *arena, const char *const *texts, uint64_t operators, mbr_rules **set,
                            mbr_error *err)
{
    parser p = { .arena = arena, .set = *set, .err = err };
    uint64_t before = p.set ? p.set->known : 0;
    if (!p.set)
        p.set = mbr_arena_calloc(arena, 1, sizeof *p.set);
    if (!p.set)
        return mbr_no_memory(err, sizeof *p.set);
    *set = p.set;
    p.set->known |= operators;
    while (p.set->known != before) {
        before = p.set->known;
        for (size_t i = 0; texts[i]; i++) {
            if (i == MBR_RULE_TEXTS)
                return mbr_fail(err, MBR_ERR_LIMIT, "more than %d rules", MBR_RULE_TEXTS);
            if (!(p.set->parsed[i / 64] >> i % 64 & 1) && (root_bits(texts[i]) & p.set->known))
                MBR_TRY(add_rule(&p, texts, i));
        }
    }
    return MBR_OK;
}

mbr_status mbr_rules_parse(mbr_arena *arena, const char *const *texts, const mbr_rules **out, mbr_error *err)
{
    mbr_rules *set = NULL;
    MBR_TRY(mbr_rules_extend(arena, texts, ~(uint64_t)0, &set, err));
    *out = set;
    return MBR_OK;
}
