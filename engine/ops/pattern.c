/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/ops/pattern.h"

#include <string.h>

#define MOST_CODE 65536 /* instructions: {n,m} copies what it repeats */
#define MOST_DEPTH 200  /* groups within groups */
#define MOST_REPEATS 1000

typedef struct range {
    uint32_t from, to;
} range;

/* --- the tree --- */

typedef enum node_kind { EMPTY, SET, CAT, ALT, REPEAT, ASSERT } node_kind;
typedef enum assertion { TEXT_BEGIN, TEXT_END, LINE_BEGIN, LINE_END, WORD_EDGE, NO_WORD_EDGE } assertion;

typedef struct node {
    node_kind kind;
    int a, b;     /* CAT, ALT: a child and the next of the list, -1: none; SET: first and end in ranges; REPEAT: child;
                     ASSERT: which */
    int min, max; /* max -1: no end */
    bool negated;
} node;

typedef enum code_kind { CODE_SET, CODE_SPLIT, CODE_JUMP, CODE_ASSERT, CODE_MATCH } code_kind;

typedef struct insn {
    code_kind kind;
    int a, b; /* SET: ranges; SPLIT: both ways; JUMP: where; ASSERT: which */
    bool negated;
} insn;

struct mbr_pattern {
    mbr_memory *memory;
    range *ranges;
    size_t n_ranges, room_ranges;
    insn *code;
    size_t n_code, room_code;
};

enum { FLAG_CASELESS = 1, FLAG_DOT_ALL = 2, FLAG_LINES = 4 };

typedef struct parser {
    mbr_pattern *p;
    const char *text, *at, *end;
    node *nodes;
    size_t n_nodes, room_nodes;
    unsigned flags;
    int depth;
    size_t work; /* nodes that were turned into code, copies counted */
    mbr_error *err;
} parser;

static mbr_status wrong(parser *r, const char *what)
{
    return mbr_fail(r->err, MBR_ERR_MODEL, "pattern, at character %zu: %s", (size_t)(r->at - r->text), what);
}

static mbr_status grow(mbr_memory *m, void *array, size_t n, size_t *room, size_t size, mbr_error *err)
{
    void **block = array;
    if (n < *room)
        return MBR_OK;
    size_t more = *room ? *room * 2 : 32;
    void *bigger = mbr_grow(m, *block, n * size, more * size);
    if (!bigger)
        return mbr_no_memory(err, more * size);
    *block = bigger;
    *room = more;
    return MBR_OK;
}

static mbr_status add_node(parser *r, node n, int *out)
{
    void *nodes = r->nodes;
    MBR_TRY(grow(r->p->memory, &nodes, r->n_nodes, &r->room_nodes, sizeof *r->nodes, r->err));
    r->nodes = nodes;
    *out = (int)r->n_nodes;
    r->nodes[r->n_nodes++] = n;
    return MBR_OK;
}

static mbr_status add_range(parser *r, uint32_t from, uint32_t to)
{
    mbr_pattern *p = r->p;
    void *ranges = p->ranges;
    MBR_TRY(grow(p->memory, &ranges, p->n_ranges, &p->room_ranges, sizeof *p->ranges, r->err));
    p->ranges = ranges;
    p->ranges[p->n_ranges++] = (range){ from, to };
    return MBR_OK;
}

/* The same range, and with the flag i its letters of the other case. */
static mbr_status add_letters(parser *r, uint32_t from, uint32_t to)
{
    MBR_TRY(add_range(r, from, to));
    if (!(r->flags & FLAG_CASELESS))
        return MBR_OK;
    for (uint32_t c = 'A'; c <= 'Z'; c++) {
        if (c >= from && c <= to)
            MBR_TRY(add_range(r, c + 32, c + 32));
        if (c + 32 >= from && c + 32 <= to)
            MBR_TRY(add_range(r, c, c));
    }
    return MBR_OK;
}

/* --- characters --- */

static uint32_t read_char(const char **at, const char *end)
{
    const unsigned char *s = (const unsigned char *)*at;
    size_t left = (size_t)(end - *at);
    size_t n = s[0] >> 5 == 6 ? 2 : s[0] >> 4 == 14 ? 3 : s[0] >> 3 == 30 ? 4 : 1;
    uint32_t c = n == 1 ? s[0] : s[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if (i >= left || s[i] >> 6 != 2) { /* no UTF-8: the byte itself */
            *at += 1;
            return s[0];
        }
        c = c << 6 | (s[i] & 0x3fu);
    }
    *at += n;
    return c;
}

static bool is_word(uint32_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

typedef struct named {
    const char *name;
    int n;
    range ranges[5];
} named;

static const named classes[] = {
    { "d", 1, { { '0', '9' } } },
    { "w", 4, { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } } },
    { "s", 4, { { '\t', '\n' }, { '\f', '\f' }, { '\r', '\r' }, { ' ', ' ' } } },
    { "alnum", 3, { { '0', '9' }, { 'A', 'Z' }, { 'a', 'z' } } },
    { "alpha", 2, { { 'A', 'Z' }, { 'a', 'z' } } },
    { "ascii", 1, { { 0, 127 } } },
    { "blank", 2, { { '\t', '\t' }, { ' ', ' ' } } },
    { "cntrl", 2, { { 0, 31 }, { 127, 127 } } },
    { "digit", 1, { { '0', '9' } } },
    { "graph", 1, { { '!', '~' } } },
    { "lower", 1, { { 'a', 'z' } } },
    { "print", 1, { { ' ', '~' } } },
    { "punct", 4, { { '!', '/' }, { ':', '@' }, { '[', '`' }, { '{', '~' } } },
    { "space", 2, { { '\t', '\r' }, { ' ', ' ' } } },
    { "upper", 1, { { 'A', 'Z' } } },
    { "word", 4, { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } } },
    { "xdigit", 3, { { '0', '9' }, { 'A', 'F' }, { 'a', 'f' } } },
};

static mbr_status add_class(parser *r, const char *name, size_t size, bool negated)
{
    for (size_t i = 0; i < MBR_COUNT_OF(classes); i++) {
        const named *k = &classes[i];
        uint32_t next = 0;
        if (strlen(k->name) != size || memcmp(k->name, name, size) != 0)
            continue;
        for (int j = 0; j < k->n; j++) {
            if (!negated)
                MBR_TRY(add_letters(r, k->ranges[j].from, k->ranges[j].to));
            else if (k->ranges[j].from > next)
                MBR_TRY(add_range(r, next, k->ranges[j].from - 1));
            next = k->ranges[j].to + 1;
        }
        return negated ? add_range(r, next, UINT32_MAX) : MBR_OK;
    }
    return wrong(r, "no class has that name");
}

/* After a backslash: one character. */
static mbr_status read_escape(parser *r, uint32_t *c)
{
    static const char names[] = "a\af\ft\tn\nr\rv\v";
    if (r->at == r->end)
        return wrong(r, "a backslash ends it");
    char k = *r->at;
    for (size_t i = 0; i + 1 < sizeof names; i += 2)
        if (names[i] == k) {
            *c = (uint32_t)names[i + 1];
            r->at++;
            return MBR_OK;
        }
    if (k == 'x') {
        bool braced = r->at + 1 < r->end && r->at[1] == '{';
        int digits = 0;
        r->at += braced ? 2 : 1;
        for (*c = 0; r->at < r->end && digits < (braced ? 6 : 2); r->at++, digits++) {
            char h = *r->at;
            int v = h >= '0' && h <= '9'   ? h - '0'
                    : h >= 'a' && h <= 'f' ? h - 'a' + 10
                    : h >= 'A' && h <= 'F' ? h - 'A' + 10
                                           : -1;
            if (v < 0)
                break;
            *c = *c * 16 + (uint32_t)v;
        }
        if (!digits || (braced && (r->at == r->end || *r->at++ != '}')))
            return wrong(r, "a bad hexadecimal escape");
        return MBR_OK;
    }
    if (is_word((unsigned char)k))
        return wrong(r, "an escape that is not understood");
    *c = read_char(&r->at, r->end);
    return MBR_OK;
}

/* "\d" and its kin: true when one was read. */
static bool is_class_escape(const parser *r)
{
    return r->at + 1 < r->end && r->at[0] == '\\' && strchr("dDwWsS", r->at[1]) != NULL;
}

static mbr_status read_class_escape(parser *r)
{
    char k = r->at[1], lower = (char)(k | 32);
    r->at += 2;
    return add_class(r, &lower, 1, k != lower);
}

/* After "[". */
static mbr_status read_set(parser *r, int *out)
{
    node n = { .kind = SET, .a = (int)r->p->n_ranges };
    if (r->at < r->end && *r->at == '^') {
        n.negated = true;
        r->at++;
    }
    for (bool first = true; r->at < r->end && (first || *r->at != ']'); first = false) {
        uint32_t from, to;
        if (r->end - r->at > 2 && r->at[0] == '[' && r->at[1] == ':') {
            bool negated = r->at[2] == '^';
            const char *name = r->at + 2 + negated, *stop = name;
            while (stop < r->end && *stop != ':')
                stop++;
            if (r->end - stop < 2 || stop[1] != ']')
                return wrong(r, "a class name without an end");
            MBR_TRY(add_class(r, name, (size_t)(stop - name), negated));
            r->at = stop + 2;
            continue;
        }
        if (is_class_escape(r)) {
            MBR_TRY(read_class_escape(r));
            continue;
        }
        for (int k = 0; k < 2; k++) {
            uint32_t c;
            if (*r->at == '\\') {
                r->at++;
                MBR_TRY(read_escape(r, &c));
            } else {
                c = read_char(&r->at, r->end);
            }
            if (k == 0)
                from = c;
            to = c;
            if (k == 0 && r->end - r->at > 1 && r->at[0] == '-' && r->at[1] != ']')
                r->at++;
            else
                break;
        }
        if (from > to)
            return wrong(r, "a range that runs backwards");
        MBR_TRY(add_letters(r, from, to));
    }
    if (r->at == r->end)
        return wrong(r, "a set without an end");
    r->at++;
    n.b = (int)r->p->n_ranges;
    return add_node(r, n, out);
}

/* --- the grammar --- */

static mbr_status read_alternatives(parser *r, int *out);

/* After "(?": flags, a name, or nothing. *closed: it was "(?flags)", no group. */
static mbr_status read_group_head(parser *r, bool *closed)
{
    bool on = true;
    *closed = false;
    if (r->at < r->end && (*r->at == 'P' || *r->at == '<')) {
        r->at += *r->at == 'P';
        if (r->at == r->end || *r->at != '<')
            return wrong(r, "a group of unknown kind");
        while (r->at < r->end && *r->at != '>')
            r->at++;
        if (r->at == r->end)
            return wrong(r, "a group name without an end");
        r->at++;
        return MBR_OK;
    }
    for (; r->at < r->end; r->at++) {
        unsigned flag = 0;
        switch (*r->at) {
        case 'i':
            flag = FLAG_CASELESS;
            break;
        case 's':
            flag = FLAG_DOT_ALL;
            break;
        case 'm':
            flag = FLAG_LINES;
            break;
        case 'U': /* which of several matches is found makes no difference */
            break;
        case '-':
            on = false;
            break;
        case ':':
        case ')':
            *closed = *r->at++ == ')';
            return MBR_OK;
        default:
            return wrong(r, "a flag that is not understood");
        }
        r->flags = on ? r->flags | flag : r->flags & ~flag;
    }
    return wrong(r, "a group without an end");
}

static mbr_status read_assert(parser *r, assertion what, int skip, int *out)
{
    r->at += skip;
    return add_node(r, (node){ .kind = ASSERT, .a = what }, out);
}

static mbr_status read_atom(parser *r, int *out)
{
    uint32_t c;
    node set = { .kind = SET, .a = (int)r->p->n_ranges };
    switch (*r->at) {
    case '(': {
        unsigned flags = r->flags;
        bool closed = false;
        r->at++;
        if (r->at < r->end && *r->at == '?') {
            r->at++;
            MBR_TRY(read_group_head(r, &closed));
            if (closed) /* the flags hold to the end of the group around */
                return add_node(r, (node){ .kind = EMPTY }, out);
        }
        if (++r->depth > MOST_DEPTH)
            return wrong(r, "too many groups within groups");
        MBR_TRY(read_alternatives(r, out));
        r->depth--;
        if (r->at == r->end)
            return wrong(r, "a group without an end");
        r->at++;
        r->flags = flags;
        return MBR_OK;
    }
    case '[':
        r->at++;
        return read_set(r, out);
    case '.':
        r->at++;
        if (!(r->flags & FLAG_DOT_ALL))
            MBR_TRY(add_range(r, '\n', '\n'));
        set.negated = true;
        break;
    case '^':
        return read_assert(r, r->flags & FLAG_LINES ? LINE_BEGIN : TEXT_BEGIN, 1, out);
    case '$':
        return read_assert(r, r->flags & FLAG_LINES ? LINE_END : TEXT_END, 1, out);
    case '*':
    case '+':
    case '?':
        return wrong(r, "there is nothing to repeat");
    case '\\':
        if (is_class_escape(r)) {
            MBR_TRY(read_class_escape(r));
            break;
        }
        if (r->at + 1 < r->end) {
            static const char names[] = "AzbB";
            static const assertion what[] = { TEXT_BEGIN, TEXT_END, WORD_EDGE, NO_WORD_EDGE };
            const char *k = strchr(names, r->at[1]);
            if (k && r->at[1])
                return read_assert(r, what[k - names], 2, out);
        }
        r->at++;
        MBR_TRY(read_escape(r, &c));
        MBR_TRY(add_letters(r, c, c));
        break;
    default:
        c = read_char(&r->at, r->end);
        MBR_TRY(add_letters(r, c, c));
    }
    set.b = (int)r->p->n_ranges;
    return add_node(r, set, out);
}

/* "{n}", "{n,}", "{n,m}": false when the brace is plain text. */
static bool read_counts(parser *r, int *min, int *max)
{
    const char *at = r->at + 1;
    int *to[2] = { min, max };
    *max = -1;
    for (int k = 0; k < 2; k++) {
        int v = -1;
        for (; at < r->end && *at >= '0' && *at <= '9'; at++)
            v = v < 0 ? *at - '0' : v > MOST_REPEATS ? v : v * 10 + *at - '0';
        if (k == 0 && v < 0)
            return false;
        *to[k] = v;
        if (at < r->end && *at == '}') {
            if (k == 0)
                *max = v;
            r->at = at + 1;
            return true;
        }
        if (k == 1 || at == r->end || *at++ != ',')
            return false;
    }
    return false;
}

static mbr_status read_repeats(parser *r, int *out)
{
    MBR_TRY(read_atom(r, out));
    while (r->at < r->end) {
        node n = { .kind = REPEAT, .a = *out, .max = -1 };
        if (*r->at == '*' || *r->at == '+' || *r->at == '?') {
            n.min = *r->at == '+';
            n.max = *r->at == '?' ? 1 : -1;
            r->at++;
        } else if (*r->at != '{' || !read_counts(r, &n.min, &n.max)) {
            break;
        }
        if (n.min > MOST_REPEATS || n.max > MOST_REPEATS || (n.max >= 0 && n.max < n.min))
            return wrong(r, "a bad count of repetitions");
        if (r->at < r->end && *r->at == '?') /* lazy: the same strings match */
            r->at++;
        MBR_TRY(add_node(r, n, out));
    }
    return MBR_OK;
}

/* A list: the parts of a sequence, or the alternatives. */
static mbr_status append(parser *r, node_kind kind, int child, int *first, int *last)
{
    int at;
    MBR_TRY(add_node(r, (node){ .kind = kind, .a = child, .b = -1 }, &at));
    if (*last < 0)
        *first = at;
    else
        r->nodes[*last].b = at;
    *last = at;
    return MBR_OK;
}

static mbr_status read_sequence(parser *r, int *out)
{
    int next, last = -1;
    if (r->at == r->end || *r->at == '|' || *r->at == ')')
        return add_node(r, (node){ .kind = EMPTY }, out);
    while (r->at < r->end && *r->at != '|' && *r->at != ')') {
        MBR_TRY(read_repeats(r, &next));
        MBR_TRY(append(r, CAT, next, out, &last));
    }
    return MBR_OK;
}

static mbr_status read_alternatives(parser *r, int *out)
{
    int next, last = -1;
    for (;;) {
        MBR_TRY(read_sequence(r, &next));
        MBR_TRY(append(r, ALT, next, out, &last));
        if (r->at == r->end || *r->at != '|')
            return MBR_OK;
        r->at++;
    }
}

/* --- code --- */

static mbr_status add_code(parser *r, insn i, size_t *at)
{
    mbr_pattern *p = r->p;
    void *code = p->code;
    if (p->n_code >= MOST_CODE)
        return mbr_fail(r->err, MBR_ERR_LIMIT, "the pattern is too large");
    MBR_TRY(grow(p->memory, &code, p->n_code, &p->room_code, sizeof *p->code, r->err));
    p->code = code;
    if (at)
        *at = p->n_code;
    p->code[p->n_code++] = i;
    return MBR_OK;
}

static mbr_status emit(parser *r, int index)
{
    size_t split, jump;
    int jumps = -1; /* a chain through the jumps that wait for the end */
    mbr_pattern *p = r->p;
    node n = r->nodes[index];
    if (++r->work > 16 * MOST_CODE) /* repeated nothings make no code */
        return mbr_fail(r->err, MBR_ERR_LIMIT, "the pattern is too large");
    switch (n.kind) {
    case EMPTY:
        return MBR_OK;
    case SET:
        return add_code(r, (insn){ CODE_SET, n.a, n.b, n.negated }, NULL);
    case ASSERT:
        return add_code(r, (insn){ CODE_ASSERT, n.a, 0, false }, NULL);
    case CAT:
        for (; index >= 0; index = r->nodes[index].b)
            MBR_TRY(emit(r, r->nodes[index].a));
        return MBR_OK;
    case ALT:
        for (; r->nodes[index].b >= 0; index = r->nodes[index].b) {
            MBR_TRY(add_code(r, (insn){ CODE_SPLIT, 0, 0, false }, &split));
            MBR_TRY(emit(r, r->nodes[index].a));
            MBR_TRY(add_code(r, (insn){ CODE_JUMP, jumps, 0, false }, &jump));
            jumps = (int)jump;
            p->code[split].a = (int)split + 1;
            p->code[split].b = (int)p->n_code;
        }
        MBR_TRY(emit(r, r->nodes[index].a));
        while (jumps >= 0) {
            int before = p->code[jumps].a;
            p->code[jumps].a = (int)p->n_code;
            jumps = before;
        }
        return MBR_OK;
    case REPEAT:
        for (int i = 0; i < n.min; i++)
            MBR_TRY(emit(r, n.a));
        if (n.max < 0) {
            MBR_TRY(add_code(r, (insn){ CODE_SPLIT, 0, 0, false }, &split));
            MBR_TRY(emit(r, n.a));
            MBR_TRY(add_code(r, (insn){ CODE_JUMP, (int)split, 0, false }, NULL));
            p->code[split].a = (int)split + 1;
            p->code[split].b = (int)p->n_code;
        }
        for (int i = n.min; i < n.max; i++) { /* each of the rest may end here: the next instruction is the way on */
            MBR_TRY(add_code(r, (insn){ CODE_SPLIT, 0, 0, false }, &split));
            MBR_TRY(emit(r, n.a));
            p->code[split].a = (int)split + 1;
            p->code[split].b = (int)p->n_code;
        }
        return MBR_OK;
    }
    return MBR_OK;
}

mbr_status mbr_pattern_new(mbr_memory *memory, const char *text, size_t size, mbr_pattern **out, mbr_error *err)
{
    int root;
    mbr_pattern *p = mbr_calloc(memory, 1, sizeof *p);
    *out = NULL;
    if (!p)
        return mbr_no_memory(err, sizeof *p);
    p->memory = memory;
    parser r = { .p = p, .text = text, .at = text, .end = text + size, .err = err };
    mbr_status st = read_alternatives(&r, &root);
    if (st == MBR_OK && r.at < r.end)
        st = wrong(&r, "a closing parenthesis without its opening one");
    if (st == MBR_OK)
        st = emit(&r, root);
    if (st == MBR_OK)
        st = add_code(&r, (insn){ CODE_MATCH, 0, 0, false }, NULL);
    mbr_free(memory, r.nodes);
    if (st != MBR_OK) {
        mbr_pattern_free(p);
        return st;
    }
    *out = p;
    return MBR_OK;
}

void mbr_pattern_free(mbr_pattern *p)
{
    if (!p)
        return;
    mbr_free(p->memory, p->ranges);
    mbr_free(p->memory, p->code);
    mbr_free(p->memory, p);
}

/* --- matching --- */

typedef struct matcher {
    const mbr_pattern *p;
    int *now, *next, *stack;
    size_t *seen; /* (n_code) the step at which an instruction was entered last, plus one */
    size_t n_now, n_next, step;
    const char *begin, *at, *end;
} matcher;

size_t mbr_pattern_room(const mbr_pattern *p)
{
    return p->n_code * (sizeof(size_t) + 4 * sizeof(int)) + 2 * sizeof(int);
}

static bool holds(const matcher *m, assertion what)
{
    bool before = m->at > m->begin && is_word((unsigned char)m->at[-1]);
    bool after = m->at < m->end && is_word((unsigned char)m->at[0]);
    switch (what) {
    case TEXT_BEGIN:
        return m->at == m->begin;
    case TEXT_END:
        return m->at == m->end;
    case LINE_BEGIN:
        return m->at == m->begin || m->at[-1] == '\n';
    case LINE_END:
        return m->at == m->end || m->at[0] == '\n';
    case WORD_EDGE:
        return before != after;
    default:
        return before == after;
    }
}

/* Enters an instruction and all that follow without a character. */
static void enter(matcher *m, int pc)
{
    int n = 0;
    m->stack[n++] = pc;
    while (n > 0) {
        pc = m->stack[--n];
        if (m->seen[pc] == m->step + 1)
            continue;
        m->seen[pc] = m->step + 1;
        const insn *i = &m->p->code[pc];
        if (i->kind == CODE_SPLIT) {
            m->stack[n++] = i->b;
            m->stack[n++] = i->a;
        } else if (i->kind == CODE_JUMP) {
            m->stack[n++] = i->a;
        } else if (i->kind != CODE_ASSERT) {
            m->next[m->n_next++] = pc;
        } else if (holds(m, (assertion)i->a)) {
            m->stack[n++] = pc + 1;
        }
    }
}

/* Walks from `at` on; the end of the longest match (whole: only one that ends with the text), NULL: there is none. */
static const char *walk(const mbr_pattern *p, const char *text, size_t size, size_t at, bool whole, void *room)
{
    size_t n = p->n_code;
    const char *found = NULL;
    matcher m = { .p = p, .seen = room, .begin = text, .at = text + at, .end = text + size };
    m.now = (int *)(void *)(m.seen + n);
    m.next = m.now + n;
    m.stack = m.next + n;
    memset(m.seen, 0, n * sizeof *m.seen);
    enter(&m, 0);
    while (m.n_next > 0) {
        int *swap = m.now;
        m.now = m.next;
        m.next = swap;
        m.n_now = m.n_next;
        m.n_next = 0;
        for (size_t k = 0; k < m.n_now && (!whole || m.at == m.end); k++)
            if (p->code[m.now[k]].kind == CODE_MATCH)
                found = m.at;
        if (m.at == m.end)
            break;
        uint32_t c = read_char(&m.at, m.end);
        m.step++;
        for (size_t k = 0; k < m.n_now; k++) {
            const insn *i = &p->code[m.now[k]];
            bool in = false;
            if (i->kind != CODE_SET)
                continue;
            for (int j = i->a; j < i->b && !in; j++)
                in = c >= p->ranges[j].from && c <= p->ranges[j].to;
            if (in != i->negated)
                enter(&m, m.now[k] + 1);
        }
    }
    return found;
}

bool mbr_pattern_matches(const mbr_pattern *p, const char *text, size_t size, void *room)
{
    return walk(p, text ? text : "", size, 0, true, room) != NULL;
}

bool mbr_pattern_longest(const mbr_pattern *p, const char *text, size_t size, size_t at, size_t *length, void *room)
{
    text = text ? text : "";
    const char *end = walk(p, text, size, at, false, room);
    if (end)
        *length = (size_t)(end - text) - at;
    return end != NULL;
}
