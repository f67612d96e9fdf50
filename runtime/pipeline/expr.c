/* SPDX-License-Identifier: BSD-2-Clause */
/* Recursive descent to code for a small stack machine; depth, length and stack are bounded when compiling. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "runtime/pipeline/expr.h"

#include <math.h>
#include <string.h>

typedef enum op_code {
    OP_NUM,         /* push num */
    OP_STR,         /* push str */
    OP_LOAD_NUM,    /* push lane a, width b, value c of the row */
    OP_LOAD_STR,    /* push lane a */
    OP_MISSING_NUM, /* push whether that is missing */
    OP_MISSING_STR,
    OP_NEG, OP_NOT,
    OP_ADD, OP_SUB, OP_MUL, OP_DIV, OP_MOD,
    OP_LT, OP_LE, OP_GT, OP_GE, OP_EQ, OP_NE,       /* numbers */
    OP_SLT, OP_SLE, OP_SGT, OP_SGE, OP_SEQ, OP_SNE, /* texts, in the order above */
    OP_IN_NUM,      /* top in numbers[a]; b: negated */
    OP_IN_STR,
    OP_AND,         /* top false: leave 0 and jump to a; else drop it */
    OP_OR,          /* top true: leave 1 and jump to a; else drop it */
    OP_TRUTH,       /* top to 0 or 1 */
    OP_ELSE,        /* drop; false: jump to a */
    OP_JUMP,        /* to a */
    OP_DEFAULT_NUM, /* top not missing: jump to a; else drop it */
    OP_DEFAULT_STR,
    OP_ABS, OP_CEIL, OP_EXP, OP_FLOOR, OP_LOG, OP_ROUND, OP_SQRT,
    OP_MIN, OP_MAX, OP_POW, OP_BETWEEN, OP_LENGTH, OP_STARTS, OP_ENDS, OP_CONTAINS
} op_code;

struct mbr_expr_op {
    op_code code;
    int a, b, c;
    union {
        double num;
        mbr_string str;
        const double *numbers;   /* (a) */
        const mbr_string *texts; /* (a) */
    } u;
};

/* ---- words ---- */

typedef enum token_kind {
    T_END, T_NUMBER, T_STRING, T_NAME,
    T_OR, T_AND, T_NOT, T_IN, T_TRUE, T_FALSE,
    T_LT, T_LE, T_GT, T_GE, T_EQ, T_NE,
    T_PLUS, T_MINUS, T_STAR, T_SLASH, T_PERCENT,
    T_OPEN, T_CLOSE, T_OPEN_LIST, T_CLOSE_LIST, T_COMMA
} token_kind;

typedef struct parser {
    const char *text, *end, *at; /* at: behind the token */
    const char *start;           /* of the token */
    token_kind kind;
    double number;
    mbr_string string;           /* of a name or text */
    const mbr_scope *scope;
    mbr_error *err;
    mbr_expr_op *ops;
    int count, capacity;
    int depth;                   /* of nesting */
    int stack;                   /* values on the stack where we are */
} parser;

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static token_kind keyword(const char *s, size_t n)
{
    static const struct {
        const char *word;
        token_kind kind;
    } words[] = { { "or", T_OR }, { "and", T_AND }, { "not", T_NOT }, { "in", T_IN }, { "true", T_TRUE },
                  { "false", T_FALSE } };
    for (size_t i = 0; i < MBR_COUNT_OF(words); i++)
        if (mbr_text_is(s, n, words[i].word))
            return words[i].kind;
    return T_NAME;
}

bool mbr_expr_is_name(const char *s, size_t n)
{
    if (n == 0 || n > 63 || !is_letter(s[0]))
        return false;
    for (size_t i = 1; i < n; i++)
        if (!is_letter(s[i]) && !is_digit(s[i]))
            return false;
    return keyword(s, n) == T_NAME;
}

static mbr_status complain(parser *p, const char *what)
{
    if (p->kind == T_END)
        return mbr_fail(p->err, MBR_ERR_FORMAT, "%s, at the end of the expression", what);
    int n = (int)(p->at - p->start);
    return mbr_fail(p->err, MBR_ERR_FORMAT, "%s, at '%.*s' (character %d of the expression)", what, n > 40 ? 40 : n,
                    p->start, (int)(p->start - p->text) + 1);
}

static mbr_status scan_text(parser *p, char quote)
{
    char *copy = mbr_arena_alloc(p->scope->arena, (size_t)(p->end - p->at) + 1);
    size_t n = 0;
    if (!copy)
        return mbr_no_memory(p->err, (size_t)(p->end - p->at) + 1);
    while (p->at < p->end && *p->at != quote) {
        if (*p->at == '\\' && ++p->at < p->end && *p->at != quote && *p->at != '\\')
            return complain(p, "after a backslash only a backslash or the quote may stand");
        if (p->at < p->end)
            copy[n++] = *p->at++;
    }
    if (p->at == p->end) {
        p->kind = T_END;
        return complain(p, "a text has no closing quote");
    }
    p->at++;
    p->kind = T_STRING;
    p->string = (mbr_string){ .data = copy, .size = n };
    return MBR_OK;
}

static mbr_status scan_number(parser *p)
{
    while (p->at < p->end && (is_digit(*p->at) || *p->at == '.' || is_letter(*p->at) ||
                              ((*p->at == '+' || *p->at == '-') && (p->at[-1] == 'e' || p->at[-1] == 'E'))))
        p->at++;
    p->kind = T_NUMBER;
    if (!mbr_text_number(p->start, (size_t)(p->at - p->start), &p->number))
        return complain(p, "this is not a number");
    return MBR_OK;
}

static mbr_status advance(parser *p)
{
    static const struct {
        char text[3];
        token_kind kind;
    } signs[] = { { "<=", T_LE }, { ">=", T_GE }, { "==", T_EQ }, { "!=", T_NE }, { "<", T_LT }, { ">", T_GT },
                  { "+", T_PLUS }, { "-", T_MINUS }, { "*", T_STAR }, { "/", T_SLASH }, { "%", T_PERCENT },
                  { "(", T_OPEN }, { ")", T_CLOSE }, { "[", T_OPEN_LIST }, { "]", T_CLOSE_LIST }, { ",", T_COMMA } };
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\t' || *p->at == '\n' || *p->at == '\r'))
        p->at++;
    p->start = p->at;
    p->kind = T_END;
    if (p->at == p->end)
        return MBR_OK;
    char c = *p->at;
    if (is_letter(c)) {
        while (p->at < p->end && (is_letter(*p->at) || is_digit(*p->at) ||
                                  (*p->at == '.' && p->at + 1 < p->end && is_letter(p->at[1]))))
            p->at++;
        p->string = (mbr_string){ .data = p->start, .size = (size_t)(p->at - p->start) };
        p->kind = keyword(p->string.data, p->string.size);
        return MBR_OK;
    }
    if (is_digit(c) || c == '.')
        return scan_number(p);
    p->at++;
    if (c == '"' || c == '\'')
        return scan_text(p, c);
    for (size_t i = 0; i < MBR_COUNT_OF(signs); i++) {
        size_t n = strlen(signs[i].text);
        if ((size_t)(p->end - p->start) >= n && memcmp(p->start, signs[i].text, n) == 0) {
            p->at = p->start + n;
            p->kind = signs[i].kind;
            return MBR_OK;
        }
    }
    p->kind = T_NAME; /* so that the message shows it */
    if (c == '=')
        return complain(p, "a single '='; write '==' to compare");
    if (c == '&' || c == '|' || c == '!')
        return complain(p, "write 'and', 'or' and 'not'");
    return complain(p, "a sign that expressions do not have");
}

int mbr_expr_columns(const mbr_expr *e, int *cols, int most)
{
    int n = 0;
    for (int i = 0; i < e->count; i++) {
        op_code code = e->ops[i].code;
        bool known = code != OP_LOAD_NUM && code != OP_LOAD_STR && code != OP_MISSING_NUM && code != OP_MISSING_STR;
        for (int k = 0; k < n && !known; k++)
            known = cols[k] == e->ops[i].a;
        if (!known && n < most)
            cols[n++] = e->ops[i].a;
    }
    return n;
}

/* ---- code ---- */

/* Appends an operation that changes the height of the stack by `change`. */
static mbr_status emit(parser *p, op_code code, int a, int change)
{
    if (p->count == p->capacity) {
        int capacity = p->capacity ? 2 * p->capacity : 16;
        mbr_expr_op *ops = mbr_arena_calloc(p->scope->arena, (size_t)capacity, sizeof *ops);
        if (!ops)
            return mbr_no_memory(p->err, (size_t)capacity * sizeof *ops);
        if (p->count)
            memcpy(ops, p->ops, (size_t)p->count * sizeof *ops);
        p->ops = ops;
        p->capacity = capacity;
    }
    p->stack += change;
    if (p->stack > MBR_EXPR_STACK)
        return complain(p, "the expression holds too many values at once; split it into steps");
    memset(&p->ops[p->count], 0, sizeof *p->ops);
    p->ops[p->count].code = code;
    p->ops[p->count++].a = a;
    return MBR_OK;
}

static bool is_numeric(mbr_col_type t)
{
    return t == MBR_COL_NUMBER || t == MBR_COL_TIME;
}

static mbr_status want_number(parser *p, mbr_col_type t)
{
    if (is_numeric(t))
        return MBR_OK;
    return complain(p, t == MBR_COL_STRING ? "a number is needed here, not text"
                                           : "a number is needed here, not a condition");
}

static mbr_status want_bool(parser *p, mbr_col_type t)
{
    if (t == MBR_COL_BOOL)
        return MBR_OK;
    return complain(p, "a condition is needed here; compare the value with something");
}

static mbr_status parse_or(parser *p, mbr_col_type *type);

static mbr_status enter(parser *p)
{
    if (++p->depth > MBR_EXPR_DEPTH)
        return complain(p, "the expression is nested too deep; split it into steps");
    return MBR_OK;
}

static mbr_status expect(parser *p, token_kind kind, const char *what)
{
    if (p->kind != kind)
        return complain(p, what);
    return advance(p);
}

/* The column that the name in p->string means, with [index] where it is wide. */
static mbr_status parse_column(parser *p, int *index, int *item)
{
    *index = mbr_scope_find(p->scope, p->string.data, p->string.size);
    *item = 0;
    if (*index < 0) {
        char name[64];
        size_t n = p->string.size < sizeof name - 1 ? p->string.size : sizeof name - 1;
        memcpy(name, p->string.data, n);
        name[n] = '\0';
        const char *near = mbr_scope_near(p->scope, name);
        if (near)
            return mbr_fail(p->err, MBR_ERR_FORMAT, "there is no column '%s' (yet); did you mean '%s'?", name, near);
        return mbr_fail(p->err, MBR_ERR_FORMAT, "there is no column '%s' (yet); a name must be an input, an output or "
                        "an earlier step, and text needs quotes", name);
    }
    const mbr_col *col = &p->scope->cols[*index];
    if (col->type == MBR_COL_TENSOR)
        return mbr_fail(p->err, MBR_ERR_FORMAT, "column '%s' is a tensor; make numbers of it by a step of kind values",
                        col->name);
    MBR_TRY(advance(p));
    if (p->kind == T_OPEN_LIST) {
        MBR_TRY(advance(p));
        if (p->kind != T_NUMBER || p->number != floor(p->number) || p->number >= col->width)
            return complain(p, "the index must be a whole number below the column's width");
        *item = (int)p->number;
        MBR_TRY(advance(p));
        return expect(p, T_CLOSE_LIST, "']' is missing");
    }
    if (col->width > 1)
        return mbr_fail(p->err, MBR_ERR_FORMAT, "column '%s' has %d values a row; take one: %s[0]", col->name,
                        col->width, col->name);
    return MBR_OK;
}

static mbr_status emit_column(parser *p, op_code for_number, op_code for_text, mbr_col_type *type)
{
    int index, item;
    MBR_TRY(parse_column(p, &index, &item));
    const mbr_col *col = &p->scope->cols[index];
    MBR_TRY(emit(p, col->type == MBR_COL_STRING ? for_text : for_number, index, 1));
    p->ops[p->count - 1].b = col->width;
    p->ops[p->count - 1].c = item;
    *type = col->type;
    return MBR_OK;
}

/* ---- functions: after the opening parenthesis ---- */

static mbr_status parse_unary_call(parser *p, op_code code, mbr_col_type *type)
{
    MBR_TRY(parse_or(p, type));
    MBR_TRY(want_number(p, *type));
    *type = MBR_COL_NUMBER;
    return emit(p, code, 0, 0);
}

static mbr_status parse_binary_call(parser *p, op_code code, mbr_col_type *type)
{
    MBR_TRY(parse_or(p, type));
    MBR_TRY(want_number(p, *type));
    MBR_TRY(expect(p, T_COMMA, "',' and a second number are missing"));
    mbr_col_type second;
    MBR_TRY(parse_or(p, &second));
    MBR_TRY(want_number(p, second));
    *type = code == OP_POW ? MBR_COL_NUMBER : *type;
    return emit(p, code, 0, -1);
}

/* between(x, least, most): both ends belong to it. */
static mbr_status parse_between(parser *p, op_code code, mbr_col_type *type)
{
    for (int i = 0; i < 3; i++) {
        if (i)
            MBR_TRY(expect(p, T_COMMA, "',' is missing: between(x, least, most)"));
        MBR_TRY(parse_or(p, type));
        MBR_TRY(want_number(p, *type));
    }
    *type = MBR_COL_BOOL;
    return emit(p, code, 0, -2);
}

static mbr_status parse_text_call(parser *p, op_code code, mbr_col_type *type)
{
    MBR_TRY(parse_or(p, type));
    if (*type != MBR_COL_STRING)
        return complain(p, "text is needed here");
    if (code == OP_LENGTH) {
        *type = MBR_COL_NUMBER;
        return emit(p, code, 0, 0);
    }
    MBR_TRY(expect(p, T_COMMA, "',' and a second text are missing"));
    MBR_TRY(parse_or(p, type));
    if (*type != MBR_COL_STRING)
        return complain(p, "text is needed here");
    *type = MBR_COL_BOOL;
    return emit(p, code, 0, -1);
}

static mbr_status parse_missing(parser *p, op_code code, mbr_col_type *type)
{
    (void)code;
    if (p->kind != T_NAME)
        return complain(p, "missing() takes the name of a column");
    MBR_TRY(emit_column(p, OP_MISSING_NUM, OP_MISSING_STR, type));
    *type = MBR_COL_BOOL;
    return MBR_OK;
}

static mbr_status same_type(parser *p, mbr_col_type a, mbr_col_type b)
{
    if (a == b || (is_numeric(a) && is_numeric(b)))
        return MBR_OK;
    return complain(p, "both values must be of one type: numbers, texts or conditions");
}

static mbr_status parse_default(parser *p, op_code code, mbr_col_type *type)
{
    mbr_col_type second;
    (void)code;
    MBR_TRY(parse_or(p, type));
    MBR_TRY(expect(p, T_COMMA, "',' and what stands in are missing"));
    int jump = p->count;
    MBR_TRY(emit(p, *type == MBR_COL_STRING ? OP_DEFAULT_STR : OP_DEFAULT_NUM, 0, -1));
    MBR_TRY(parse_or(p, &second));
    p->ops[jump].a = p->count;
    return same_type(p, *type, second);
}

static mbr_status parse_if(parser *p, op_code code, mbr_col_type *type)
{
    mbr_col_type second;
    (void)code;
    MBR_TRY(parse_or(p, type));
    MBR_TRY(want_bool(p, *type));
    MBR_TRY(expect(p, T_COMMA, "',' is missing: if(condition, a, b)"));
    int otherwise = p->count;
    MBR_TRY(emit(p, OP_ELSE, 0, -1));
    MBR_TRY(parse_or(p, type));
    MBR_TRY(expect(p, T_COMMA, "',' is missing: if(condition, a, b)"));
    int jump = p->count;
    MBR_TRY(emit(p, OP_JUMP, 0, -1));
    p->ops[otherwise].a = p->count;
    MBR_TRY(parse_or(p, &second));
    p->ops[jump].a = p->count;
    return same_type(p, *type, second);
}

static const struct function {
    const char *name;
    op_code code;
    mbr_status (*parse)(parser *p, op_code code, mbr_col_type *type);
} functions[] = {
    { "abs", OP_ABS, parse_unary_call },       { "ceil", OP_CEIL, parse_unary_call },
    { "exp", OP_EXP, parse_unary_call },       { "floor", OP_FLOOR, parse_unary_call },
    { "log", OP_LOG, parse_unary_call },       { "round", OP_ROUND, parse_unary_call },
    { "sqrt", OP_SQRT, parse_unary_call },     { "min", OP_MIN, parse_binary_call },
    { "max", OP_MAX, parse_binary_call },      { "length", OP_LENGTH, parse_text_call },
    { "pow", OP_POW, parse_binary_call },      { "between", OP_BETWEEN, parse_between },
    { "contains", OP_CONTAINS, parse_text_call },
    { "starts_with", OP_STARTS, parse_text_call }, { "ends_with", OP_ENDS, parse_text_call },
    { "missing", OP_MISSING_NUM, parse_missing },  { "default", OP_DEFAULT_NUM, parse_default },
    { "if", OP_ELSE, parse_if },
};

static mbr_status parse_call(parser *p, mbr_col_type *type)
{
    for (size_t i = 0; i < MBR_COUNT_OF(functions); i++) {
        const struct function *f = &functions[i];
        if (!mbr_text_is(p->string.data, p->string.size, f->name))
            continue;
        MBR_TRY(advance(p)); /* the name */
        MBR_TRY(advance(p)); /* ( */
        MBR_TRY(enter(p));
        MBR_TRY(f->parse(p, f->code, type));
        p->depth--;
        return expect(p, T_CLOSE, "')' is missing");
    }
    return complain(p, "there is no such function");
}

/* Whether the token after the present one is an opening parenthesis. */
static bool before_parenthesis(const parser *p)
{
    const char *s = p->at;
    while (s < p->end && (*s == ' ' || *s == '\t'))
        s++;
    return s < p->end && *s == '(';
}

/* ---- the grammar ---- */

static mbr_status parse_primary(parser *p, mbr_col_type *type)
{
    switch (p->kind) {
    case T_NUMBER:
        *type = MBR_COL_NUMBER;
        MBR_TRY(emit(p, OP_NUM, 0, 1));
        p->ops[p->count - 1].u.num = p->number;
        return advance(p);
    case T_STRING:
        *type = MBR_COL_STRING;
        MBR_TRY(emit(p, OP_STR, 0, 1));
        p->ops[p->count - 1].u.str = p->string;
        return advance(p);
    case T_TRUE:
    case T_FALSE:
        *type = MBR_COL_BOOL;
        MBR_TRY(emit(p, OP_NUM, 0, 1));
        p->ops[p->count - 1].u.num = p->kind == T_TRUE;
        return advance(p);
    case T_NAME:
        return before_parenthesis(p) ? parse_call(p, type) : emit_column(p, OP_LOAD_NUM, OP_LOAD_STR, type);
    case T_OPEN:
        MBR_TRY(enter(p));
        MBR_TRY(advance(p));
        MBR_TRY(parse_or(p, type));
        p->depth--;
        return expect(p, T_CLOSE, "')' is missing");
    default:
        return complain(p, "a value is missing");
    }
}

static mbr_status parse_unary(parser *p, mbr_col_type *type)
{
    if (p->kind != T_MINUS)
        return parse_primary(p, type);
    MBR_TRY(enter(p));
    MBR_TRY(advance(p));
    MBR_TRY(parse_unary(p, type));
    p->depth--;
    MBR_TRY(want_number(p, *type));
    *type = MBR_COL_NUMBER;
    return emit(p, OP_NEG, 0, 0);
}

static mbr_status parse_product(parser *p, mbr_col_type *type)
{
    MBR_TRY(parse_unary(p, type));
    while (p->kind == T_STAR || p->kind == T_SLASH || p->kind == T_PERCENT) {
        op_code code = p->kind == T_STAR ? OP_MUL : p->kind == T_SLASH ? OP_DIV : OP_MOD;
        mbr_col_type second;
        MBR_TRY(want_number(p, *type));
        MBR_TRY(advance(p));
        MBR_TRY(parse_unary(p, &second));
        MBR_TRY(want_number(p, second));
        MBR_TRY(emit(p, code, 0, -1));
        *type = MBR_COL_NUMBER;
    }
    return MBR_OK;
}

static mbr_status parse_sum(parser *p, mbr_col_type *type)
{
    MBR_TRY(parse_product(p, type));
    while (p->kind == T_PLUS || p->kind == T_MINUS) {
        op_code code = p->kind == T_PLUS ? OP_ADD : OP_SUB;
        mbr_col_type second;
        MBR_TRY(want_number(p, *type));
        MBR_TRY(advance(p));
        MBR_TRY(parse_product(p, &second));
        MBR_TRY(want_number(p, second));
        MBR_TRY(emit(p, code, 0, -1));
        *type = MBR_COL_NUMBER;
    }
    return MBR_OK;
}

/* [1, 2] or ["a", "b"], of constants. */
static mbr_status parse_list(parser *p, mbr_col_type type, bool negated)
{
    size_t capacity = 0, count = 0;
    double *numbers = NULL;
    mbr_string *texts = NULL;
    bool text = type == MBR_COL_STRING;
    MBR_TRY(want_number(p, text ? MBR_COL_NUMBER : type));
    MBR_TRY(expect(p, T_OPEN_LIST, "after 'in' a list is needed, such as [\"a\", \"b\"]"));
    for (const char *s = p->start; s < p->end; s++)
        capacity += *s == ',';
    capacity += 1; /* no item without a comma after it, but the last */
    numbers = mbr_arena_calloc(p->scope->arena, text ? 1 : capacity, sizeof *numbers);
    texts = mbr_arena_calloc(p->scope->arena, text ? capacity : 1, sizeof *texts);
    if (!numbers || !texts)
        return mbr_no_memory(p->err, capacity * sizeof *texts);
    for (;;) {
        bool minus = !text && p->kind == T_MINUS;
        if (minus)
            MBR_TRY(advance(p));
        if (p->kind != (text ? T_STRING : T_NUMBER))
            return complain(p, text ? "the list must hold texts in quotes" : "the list must hold numbers");
        if (text)
            texts[count++] = p->string;
        else
            numbers[count++] = minus ? -p->number : p->number;
        MBR_TRY(advance(p));
        if (p->kind != T_COMMA)
            break;
        MBR_TRY(advance(p));
    }
    MBR_TRY(expect(p, T_CLOSE_LIST, "']' is missing"));
    MBR_TRY(emit(p, text ? OP_IN_STR : OP_IN_NUM, (int)count, 0));
    p->ops[p->count - 1].b = negated;
    if (text)
        p->ops[p->count - 1].u.texts = texts;
    else
        p->ops[p->count - 1].u.numbers = numbers;
    return MBR_OK;
}

static mbr_status parse_comparison(parser *p, mbr_col_type *type)
{
    MBR_TRY(parse_sum(p, type));
    if (p->kind == T_IN || p->kind == T_NOT) {
        bool negated = p->kind == T_NOT;
        MBR_TRY(advance(p));
        if (negated)
            MBR_TRY(expect(p, T_IN, "'in' is missing: x not in [...]"));
        MBR_TRY(parse_list(p, *type, negated));
        *type = MBR_COL_BOOL;
    } else if (p->kind >= T_LT && p->kind <= T_NE) {
        token_kind kind = p->kind;
        mbr_col_type second;
        MBR_TRY(advance(p));
        MBR_TRY(parse_sum(p, &second));
        MBR_TRY(same_type(p, *type, second));
        if (*type == MBR_COL_BOOL && kind != T_EQ && kind != T_NE)
            return complain(p, "conditions can only be compared with == and !=");
        op_code base = *type == MBR_COL_STRING ? OP_SLT : OP_LT;
        MBR_TRY(emit(p, (op_code)(base + (kind - T_LT)), 0, -1));
        *type = MBR_COL_BOOL;
    } else {
        return MBR_OK;
    }
    if (p->kind >= T_LT && p->kind <= T_NE)
        return complain(p, "comparisons do not chain; join them with 'and'");
    return MBR_OK;
}

static mbr_status parse_not(parser *p, mbr_col_type *type)
{
    if (p->kind != T_NOT)
        return parse_comparison(p, type);
    MBR_TRY(enter(p));
    MBR_TRY(advance(p));
    MBR_TRY(parse_not(p, type));
    p->depth--;
    MBR_TRY(want_bool(p, *type));
    return emit(p, OP_NOT, 0, 0);
}

static mbr_status parse_and(parser *p, mbr_col_type *type)
{
    MBR_TRY(parse_not(p, type));
    while (p->kind == T_AND) {
        int jump = p->count;
        MBR_TRY(want_bool(p, *type));
        MBR_TRY(emit(p, OP_AND, 0, -1));
        MBR_TRY(advance(p));
        MBR_TRY(parse_not(p, type));
        MBR_TRY(want_bool(p, *type));
        MBR_TRY(emit(p, OP_TRUTH, 0, 0));
        p->ops[jump].a = p->count;
    }
    return MBR_OK;
}

static mbr_status parse_or(parser *p, mbr_col_type *type)
{
    MBR_TRY(parse_and(p, type));
    while (p->kind == T_OR) {
        int jump = p->count;
        MBR_TRY(want_bool(p, *type));
        MBR_TRY(emit(p, OP_OR, 0, -1));
        MBR_TRY(advance(p));
        MBR_TRY(parse_and(p, type));
        MBR_TRY(want_bool(p, *type));
        MBR_TRY(emit(p, OP_TRUTH, 0, 0));
        p->ops[jump].a = p->count;
    }
    return MBR_OK;
}

mbr_status mbr_expr_compile(const char *text, size_t n, const mbr_scope *scope, mbr_expr *out, mbr_error *err)
{
    parser p = { .text = text, .end = text + n, .at = text, .scope = scope, .err = err };
    memset(out, 0, sizeof *out);
    if (n > MBR_EXPR_TEXT)
        return mbr_fail(err, MBR_ERR_FORMAT, "the expression has %zu bytes; at most %d", n, MBR_EXPR_TEXT);
    MBR_TRY(advance(&p));
    MBR_TRY(parse_or(&p, &out->type));
    if (p.kind != T_END)
        return complain(&p, "the expression should end here");
    out->ops = p.ops;
    out->count = p.count;
    return MBR_OK;
}

/* ---- evaluation ---- */

/* Byte order; shorter first among equals. */
static int compare_text(const mbr_string *a, const mbr_string *b)
{
    size_t n = a->size < b->size ? a->size : b->size;
    int c = n ? memcmp(a->data, b->data, n) : 0;
    return c ? c : (a->size > b->size) - (a->size < b->size);
}

static double text_relation(op_code code, const mbr_string *a, const mbr_string *b)
{
    if (!a->data || !b->data)
        return 0;
    int c = compare_text(a, b);
    switch (code) {
    case OP_SLT: return c < 0;
    case OP_SLE: return c <= 0;
    case OP_SGT: return c > 0;
    case OP_SGE: return c >= 0;
    case OP_SEQ: return c == 0;
    default: return c != 0;
    }
}

static double affix(op_code code, const mbr_string *a, const mbr_string *b)
{
    if (!a->data || !b->data || a->size < b->size)
        return 0;
    if (code == OP_CONTAINS)
        return memmem(a->data, a->size, b->data, b->size) != NULL;
    return b->size == 0 || memcmp(a->data + (code == OP_ENDS ? a->size - b->size : 0), b->data, b->size) == 0;
}

/* Characters, not bytes. */
static double length(const mbr_string *s)
{
    size_t n = 0;
    if (!s->data)
        return NAN;
    for (size_t i = 0; i < s->size; i++)
        n += ((unsigned char)s->data[i] & 0xc0) != 0x80;
    return (double)n;
}

static double in_numbers(const mbr_expr_op *op, double x)
{
    if (isnan(x))
        return 0;
    for (int i = 0; i < op->a; i++)
        if (op->u.numbers[i] == x)
            return !op->b;
    return op->b;
}

static double in_texts(const mbr_expr_op *op, const mbr_string *s)
{
    if (!s->data)
        return 0;
    for (int i = 0; i < op->a; i++)
        if (compare_text(&op->u.texts[i], s) == 0)
            return !op->b;
    return op->b;
}

/* What takes one number, or two, and gives one. */
static bool arithmetic(op_code code, double x, double y, double *out, const char **fault)
{
    bool missing = isnan(x) || isnan(y);
    switch (code) {
    case OP_ADD: *out = x + y; break;
    case OP_SUB: *out = x - y; break;
    case OP_MUL: *out = x * y; break;
    case OP_DIV:
    case OP_MOD:
        if (y == 0) {
            *fault = "division by zero";
            return false;
        }
        *out = code == OP_DIV ? x / y : fmod(x, y);
        break;
    case OP_LT: *out = x < y; break;
    case OP_LE: *out = x <= y; break;
    case OP_GT: *out = x > y; break;
    case OP_GE: *out = x >= y; break;
    case OP_EQ: *out = x == y; break;
    case OP_NE: *out = x < y || x > y; break;
    case OP_MIN: *out = missing ? NAN : x < y ? x : y; break;
    case OP_MAX: *out = missing ? NAN : x > y ? x : y; break;
    case OP_POW: *out = missing ? NAN : pow(x, y); break;
    case OP_NEG: *out = -x; break;
    case OP_ABS: *out = fabs(x); break;
    case OP_CEIL: *out = ceil(x); break;
    case OP_EXP: *out = exp(x); break;
    case OP_FLOOR: *out = floor(x); break;
    case OP_LOG: *out = log(x); break;
    case OP_ROUND: *out = round(x); break;
    default: *out = sqrt(x); break;
    }
    return true;
}

bool mbr_expr_eval(const mbr_expr *e, const mbr_lane *lanes, size_t row, mbr_slot *result, const char **fault)
{
    mbr_slot stack[MBR_EXPR_STACK];
    int top = -1;
    for (int i = 0; i < e->count; i++) {
        const mbr_expr_op *op = &e->ops[i];
        switch (op->code) {
        case OP_NUM:
            stack[++top].num = op->u.num;
            break;
        case OP_STR:
            stack[++top].str = op->u.str;
            break;
        case OP_LOAD_NUM:
            stack[++top].num = lanes[op->a].num[row * (size_t)op->b + (size_t)op->c];
            break;
        case OP_LOAD_STR:
            stack[++top].str = lanes[op->a].str[row];
            break;
        case OP_MISSING_NUM:
            stack[++top].num = isnan(lanes[op->a].num[row * (size_t)op->b + (size_t)op->c]);
            break;
        case OP_MISSING_STR:
            stack[++top].num = !lanes[op->a].str[row].data;
            break;
        case OP_NOT:
            stack[top].num = !mbr_slot_true(&stack[top]);
            break;
        case OP_TRUTH:
            stack[top].num = mbr_slot_true(&stack[top]);
            break;
        case OP_SLT: case OP_SLE: case OP_SGT: case OP_SGE: case OP_SEQ: case OP_SNE:
            top--;
            stack[top].num = text_relation(op->code, &stack[top].str, &stack[top + 1].str);
            break;
        case OP_BETWEEN:
            top -= 2;
            stack[top].num = stack[top].num >= stack[top + 1].num && stack[top].num <= stack[top + 2].num;
            break;
        case OP_STARTS: case OP_ENDS: case OP_CONTAINS:
            top--;
            stack[top].num = affix(op->code, &stack[top].str, &stack[top + 1].str);
            break;
        case OP_LENGTH:
            stack[top].num = length(&stack[top].str);
            break;
        case OP_IN_NUM:
            stack[top].num = in_numbers(op, stack[top].num);
            break;
        case OP_IN_STR:
            stack[top].num = in_texts(op, &stack[top].str);
            break;
        case OP_AND:
        case OP_OR:
            if (mbr_slot_true(&stack[top]) == (op->code == OP_OR)) {
                stack[top].num = op->code == OP_OR;
                i = op->a - 1;
            } else {
                top--;
            }
            break;
        case OP_ELSE:
            if (!mbr_slot_true(&stack[top--]))
                i = op->a - 1;
            break;
        case OP_JUMP:
            i = op->a - 1;
            break;
        case OP_DEFAULT_NUM:
        case OP_DEFAULT_STR:
            if (op->code == OP_DEFAULT_NUM ? !isnan(stack[top].num) : stack[top].str.data != NULL)
                i = op->a - 1;
            else
                top--;
            break;
        case OP_NEG: case OP_ABS: case OP_CEIL: case OP_EXP: case OP_FLOOR: case OP_LOG: case OP_ROUND: case OP_SQRT:
            arithmetic(op->code, stack[top].num, 0, &stack[top].num, fault);
            break;
        default: /* two numbers */
            top--;
            if (!arithmetic(op->code, stack[top].num, stack[top + 1].num, &stack[top].num, fault))
                return false;
            break;
        }
    }
    *result = stack[top];
    return true;
}
