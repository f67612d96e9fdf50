/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rules: fusions as text, a pattern of nodes and what takes their place. rules_text.c holds them, rules_parse.c reads
 * them, rules.c finds and applies them.
 *
 *     rule rms_norm
 *       %q = Pow(%x: f32, 2) | Mul(%x, %x)
 *       %m = ReduceMean(%q, last) {keepdims = 1?}
 *       %v = Add(%m, number %eps)
 *       %s = Sqrt(%v)
 *       %n = Div(%x, %s)
 *       %y = Mul(%n, %w)
 *       where row(%w, %x)
 *     =>
 *       %y = RMSNormalization@23(%x, %w) {axis = -1, epsilon = %eps}
 *
 * Pattern. A variable stands for a value, the same one wherever it is repeated. One that is defined by a line stands
 * for the result of such a node, `|` separates several ways to write it; the last line is the root. Other variables
 * stand for any value: `const %w` for a constant, `number %e` for a constant of one element, `%x: f32` for that type,
 * `%x: float` for any of f64, f32, f16, bf16. A number stands for a constant of one element, whatever its shape, within
 * 1e-6 of it (for f16 and bf16 within their precision). `last` is the axis list that names the last axis alone. Numbers
 * and `last` are also found in the attributes that older versions of an operator have in place of the input.
 * Add, Mul, Min and Max match in any order, and with more than two operands in any nesting. A way to write a value may
 * be another variable alone: `%c = Mul(%s, number %by) | %s` is s, scaled or not; what such ways leave out is not bound.
 * {a = 1} asks for an attribute, {a = 1?} allows it to be absent; {a = [0, 2, 1]} is a list of whole numbers, {a = last}
 * the last axis; {a = %a} binds the attribute, a number or a list.
 * `...` as the last operand: the node may have more of them, which are carried over to the `...` of the replacement, as
 * its other attributes are to a `...` among the attributes.
 * After `where`: row(%w, %x), w holds one element for each column of x (its last axis); columns(%a, %b), both have as
 * many; matrix(%w), the rank is 2; low(%n), a number so low that it masks whatever it is added to or put in place of;
 * %a.0 = %b.-1, %a.2 = 1: sizes of axes, known before the run; %a.rank = 4.
 *
 * What the pattern takes away must have no other reader and be no output of the graph.
 *
 * Replacement. Nodes with their versions (none: 1), whose last one defines the root; or `%y = %x` alone. A number is
 * a f32 constant, [0, -1, %y.1] a list of whole numbers and fixed sizes. An operand `%m?` that is not bound is absent.
 * Attributes: 1 whole, 1.0 real, 'text', a list, or of what the pattern bound a number, `%a * %b / %c` (1 where not
 * bound), a list, or `%a[%b]`: the elements of list a in the order of list b, either one whole where the other is not
 * bound: Transpose by a, then by b. A replacement whose type would be another one, or that inference refuses, is not
 * made.
 */
#ifndef MBR_ENGINE_PASSES_RULES_H
#define MBR_ENGINE_PASSES_RULES_H

#include "base/memory.h"
#include "engine/value.h"

#define MBR_RULE_VARS 24
#define MBR_RULE_OPERANDS 5
#define MBR_RULE_LIST 5
#define MBR_RULE_OPS 63 /* one bit each in a mask */
#define MBR_RULE_TEXTS 128

typedef enum mbr_rule_kind {
    MBR_RULE_VAR,
    MBR_RULE_NUMBER,
    MBR_RULE_LAST,
    MBR_RULE_INT,
    MBR_RULE_TEXT,
    MBR_RULE_INTS,
    MBR_RULE_REST,   /* ... */
    MBR_RULE_PRODUCT /* of attributes: var * with[0] / with[1] ... */
} mbr_rule_kind;

/* An element of a list: a number, or the size of a variable's axis. */
typedef struct mbr_rule_size {
    bool of_var;
    uint8_t var;
    int8_t at; /* the number, or the axis */
} mbr_rule_size;

/* An operand (variable, number, last, ints) or the value of an attribute (variable, number, int, last, text, ints). */
typedef struct mbr_rule_term {
    mbr_rule_kind kind;
    uint8_t var, n;
    bool or_absent; /* an operand of a replacement */
    union {
        double number;
        const char *text;
        mbr_rule_size ints[MBR_RULE_LIST]; /* (n) */
        struct {
            char how; /* '*', '/', '[' */
            uint8_t var;
        } with[MBR_RULE_LIST]; /* (n) */
    };
} mbr_rule_term;

typedef struct mbr_rule_attr {
    const char *name;
    mbr_rule_term value;
    bool or_absent; /* pattern */
    struct mbr_rule_attr *next;
} mbr_rule_attr;

/* A node of a pattern (or one way to write it) or of a replacement. */
typedef struct mbr_rule_call {
    const char *domain, *name;
    uint8_t op;      /* pattern: its number among the operators of all patterns, from 1; 0: the variable terms[0] */
    bool any_order;  /* pattern: Add, Mul ... */
    bool rest;       /* the operands end with ... */
    int version;     /* replacement */
    uint8_t out;     /* replacement: the variable it defines */
    uint8_t n;
    mbr_rule_term terms[MBR_RULE_OPERANDS];
    mbr_rule_attr *attrs;
    struct mbr_rule_call *next; /* pattern: the next way; replacement: the next node */
} mbr_rule_call;

typedef struct mbr_rule_var {
    mbr_rule_call *calls; /* ways to write the node that makes it; NULL: any value */
    bool is_const, is_number, is_float;
    mbr_dtype dtype;      /* undefined: any */
} mbr_rule_var;

typedef struct mbr_rule_condition {
    enum { MBR_RULE_ROW, MBR_RULE_COLUMNS, MBR_RULE_MATRIX, MBR_RULE_LOW, MBR_RULE_SIZE, MBR_RULE_RANK } what;
    uint8_t a, b; /* variables */
    int8_t axis;          /* of a, for SIZE */
    mbr_rule_size size;   /* that a's axis, or its rank, has */
    struct mbr_rule_condition *next;
} mbr_rule_condition;

typedef struct mbr_rule {
    const char *name;
    size_t place; /* among the texts */
    uint8_t n_vars, root;
    mbr_rule_var *vars; /* (n_vars) */
    mbr_rule_condition *conditions;
    uint32_t needs;       /* bit for each variable of the pattern that the replacement or a condition reads */
    uint32_t attrs;       /* bit for each variable that stands for an attribute */
    uint64_t required;    /* bit for each operator without which no graph has the pattern */
    mbr_rule_call *makes; /* NULL: `alias` takes the root's place */
    uint8_t alias;
} mbr_rule;

typedef struct mbr_rule_entry {
    const mbr_rule *rule;
    struct mbr_rule_entry *next;
} mbr_rule_entry;

typedef struct mbr_rules {
    uint8_t n_ops;
    struct {
        const char *domain, *name;
        bool any_order;
    } ops[MBR_RULE_OPS + 1];                    /* from 1 */
    mbr_rule_entry *by_root[MBR_RULE_OPS + 1];  /* in the order of the text, by operator of the root */
    uint64_t known;                             /* mbr_rules_bit of the operators that graphs had or rules made */
    uint64_t parsed[MBR_RULE_TEXTS / 64];       /* bit for each text */
} mbr_rules;

/* The rules of this library, each a text; ended by NULL. */
extern const char *const mbr_rule_texts[];

/* Parses each of the texts, up to NULL. All that it makes is in the arena. Messages name the rule and the place. */
mbr_status mbr_rules_parse(mbr_arena *arena, const char *const *texts, const mbr_rules **out, mbr_error *err);

/* One bit for the name of an operator; others may have the same one. */
uint64_t mbr_rules_bit(const char *name, size_t size);

/*
 * Parses those that are not in *set yet (NULL: makes it) and whose root may be among the operators, bits as above, or
 * among what such rules make: a small model needs few of them.
 */
mbr_status mbr_rules_extend(mbr_arena *arena, const char *const *texts, uint64_t operators, mbr_rules **set,
                            mbr_error *err);

#endif
