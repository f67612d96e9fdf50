/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Symbolic dimensions.
 *
 * An mbr_dim is a plain integer, an expression over symbols, or unknown. Expressions are hash-consed in a table, so
 * that equal handles mean equal sizes, and children come before parents, so that one linear pass evaluates them all.
 * The numbers of small shape tensors are mbr_dims as well; they may be negative, hence expressions hide at the very
 * bottom of the range.
 *
 * A symbol is a size that a run binds: an axis of an input ("batch"), never negative.
 */
#ifndef MBR_ENGINE_DIM_H
#define MBR_ENGINE_DIM_H

#include "base/error.h"
#include "base/memory.h"

#include <stdbool.h>
#include <stdint.h>

typedef int64_t mbr_dim;

#define MBR_DIM_UNKNOWN INT64_MIN
#define MBR_DIM_MOST_EXPRS (INT64_C(1) << 32)
#define MBR_DIM_LEAST_CONST (INT64_MIN + 1 + MBR_DIM_MOST_EXPRS)

typedef enum mbr_dim_op {
    MBR_DIM_SYMBOL,
    MBR_DIM_ADD,
    MBR_DIM_SUB,
    MBR_DIM_MUL,
    MBR_DIM_FLOOR_DIV, /* rounds towards minus infinity; a divisor of 0 fails the evaluation */
    MBR_DIM_MOD,       /* a - b * floor(a / b) */
    MBR_DIM_MIN,
    MBR_DIM_MAX,
    MBR_DIM_BROADCAST  /* the size two broadcast axes share: a where b is 1, b where a is 1, equal otherwise */
} mbr_dim_op;

typedef struct mbr_dim_expr {
    mbr_dim_op op;
    mbr_dim a, b;      /* operands; a symbol has none */
    const char *name;  /* symbol: its name, or NULL */
    int64_t low;       /* what mbr_dim_lower_bound answers, computed once */
    uint32_t scope;    /* the innermost graph whose symbols it needs: 0 is the main graph, inner ones have higher numbers */
} mbr_dim_expr;

typedef struct mbr_dim_table {
    mbr_memory *memory;
    mbr_dim_expr *exprs; /* (n), children first */
    size_t n, capacity;
    uint32_t *buckets;   /* hash-cons: index + 1, 0 is free; (buckets_capacity), a power of two */
    size_t buckets_capacity;
    uint32_t scope;      /* scope of the symbols that are made now */
} mbr_dim_table;

static inline bool mbr_dim_is_const(mbr_dim d)
{
    return d >= MBR_DIM_LEAST_CONST;
}
static inline bool mbr_dim_is_known(mbr_dim d)
{
    return d != MBR_DIM_UNKNOWN;
}
static inline bool mbr_dim_is_expr(mbr_dim d)
{
    return d != MBR_DIM_UNKNOWN && d < MBR_DIM_LEAST_CONST;
}
static inline size_t mbr_dim_index(mbr_dim d) /* of an expression: its place in the table */
{
    return (size_t)(d - (INT64_MIN + 1));
}
/* A number from a file or tensor as a constant; the handful at the very bottom of the range saturate. */
static inline mbr_dim mbr_dim_const(int64_t v)
{
    return v < MBR_DIM_LEAST_CONST ? MBR_DIM_LEAST_CONST : v;
}

void mbr_dim_table_init(mbr_dim_table *t, mbr_memory *memory);
void mbr_dim_table_destroy(mbr_dim_table *t);

/* A fresh symbol, or the one of that name if there is one (name NULL: always fresh). UNKNOWN when out of memory. */
mbr_dim mbr_dim_symbol(mbr_dim_table *t, const char *name);

/*
 * Arithmetic: folds constants (with t NULL nothing else is allowed, other operands give UNKNOWN), simplifies, and
 * answers UNKNOWN if an operand is, on overflow, on a constant division by zero and when out of memory.
 */
mbr_dim mbr_dim_make(mbr_dim_table *t, mbr_dim_op op, mbr_dim a, mbr_dim b);

static inline mbr_dim mbr_dim_add(mbr_dim_table *t, mbr_dim a, mbr_dim b) { return mbr_dim_make(t, MBR_DIM_ADD, a, b); }
static inline mbr_dim mbr_dim_sub(mbr_dim_table *t, mbr_dim a, mbr_dim b) { return mbr_dim_make(t, MBR_DIM_SUB, a, b); }
static inline mbr_dim mbr_dim_mul(mbr_dim_table *t, mbr_dim a, mbr_dim b) { return mbr_dim_make(t, MBR_DIM_MUL, a, b); }
static inline mbr_dim mbr_dim_div(mbr_dim_table *t, mbr_dim a, mbr_dim b)
{
    return mbr_dim_make(t, MBR_DIM_FLOOR_DIV, a, b);
}
static inline mbr_dim mbr_dim_min(mbr_dim_table *t, mbr_dim a, mbr_dim b) { return mbr_dim_make(t, MBR_DIM_MIN, a, b); }
static inline mbr_dim mbr_dim_max(mbr_dim_table *t, mbr_dim a, mbr_dim b) { return mbr_dim_make(t, MBR_DIM_MAX, a, b); }

/* Appends an expression as it was in a table before, operands first. False when out of memory. */
bool mbr_dim_table_restore(mbr_dim_table *t, const mbr_dim_expr *e);

/* The least value that the expression is sure to have, INT64_MIN if nothing is sure. Symbols are at least 0. */
int64_t mbr_dim_lower_bound(const mbr_dim_table *t, mbr_dim d);

/*
 * Evaluates the expressions of one scope, outer scopes being done: values (n of the table) holds the symbols' sizes at
 * their indices and receives the rest. Fails (MBR_ERR_INPUT) on overflow. A division by zero and axes that do
 * not broadcast give -1, which the check of the first shape that uses it finds.
 */
mbr_status mbr_dim_table_eval(const mbr_dim_table *t, uint32_t scope, int64_t *values, mbr_error *err);

static inline uint32_t mbr_dim_scope(const mbr_dim_table *t, mbr_dim d)
{
    return mbr_dim_is_expr(d) ? t->exprs[mbr_dim_index(d)].scope : 0;
}

static inline int64_t mbr_dim_value(mbr_dim d, const int64_t *values)
{
    return mbr_dim_is_const(d) ? d : values[mbr_dim_index(d)];
}

/* Writes "batch", "(past + 1)", "?" ... into text; returns the length that it needs, as snprintf does. */
int mbr_dim_print(const mbr_dim_table *t, mbr_dim d, char *text, size_t size);

#endif
