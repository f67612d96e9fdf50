/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The expression language of rules and of `kind: expr`:
 *
 *     fraud >= 0.9 and not (country in ["DE", "FR"]) or amount / max(limit, 1) > 2
 *
 * numbers, 'text' or "text", true, false, names of columns, vector[2] for one value of a wide column,
 * or, and, not, < <= > >= == != in, not in, + - * / %, unary -, parentheses, and
 * abs ceil exp floor log round sqrt (one number), min max (two numbers), if(condition, a, b), default(x, instead),
 * pow(a, b), between(x, least, most), missing(column), length(text), starts_with, ends_with and contains of two texts.
 *
 * Types are checked when it is compiled. A comparison with a missing value is false (also !=, in and not in),
 * arithmetic with one gives a missing value, a missing condition counts as false; `and`, `or` and `if` evaluate only
 * what they need. Division by zero is a fault of the row. There are no loops, no assignments, no calls out; time and
 * memory are bounded by the length of the text, which is itself bounded.
 */
#ifndef MBR_RUNTIME_EXPR_H
#define MBR_RUNTIME_EXPR_H

#include "runtime/pipeline/column.h"

#define MBR_EXPR_TEXT 8192  /* bytes of an expression */
#define MBR_EXPR_DEPTH 64   /* nested parentheses, calls, not and minus */
#define MBR_EXPR_STACK 80   /* values held at once */

typedef struct mbr_expr_op mbr_expr_op;

typedef struct mbr_expr {
    const mbr_expr_op *ops; /* (count), on arena memory */
    int count;
    mbr_col_type type; /* of the result: number, bool, time or string */
} mbr_expr;

typedef union mbr_slot {
    double num;
    mbr_string str;
} mbr_slot;

/*
 * Compiles an expression over the columns of scope. Messages (MBR_ERR_FORMAT) quote the place; the caller puts file and
 * line before them.
 */
mbr_status mbr_expr_compile(const char *text, size_t n, const mbr_scope *scope, mbr_expr *out, mbr_error *err);

/* Evaluates row `row`. False: the row is faulty, *fault says why. */
bool mbr_expr_eval(const mbr_expr *e, const mbr_lane *lanes, size_t row, mbr_slot *result, const char **fault);

/* The columns that it reads, at most `most` of them, each once. */
int mbr_expr_columns(const mbr_expr *e, int *cols, int most);

/* A condition's result: missing counts as false. */
static inline bool mbr_slot_true(const mbr_slot *s)
{
    return s->num < 0 || s->num > 0;
}

/* A letter or _, then letters, digits and _, at most 63 bytes, and no word of the language. */
bool mbr_expr_is_name(const char *s, size_t n);

#endif
