/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/dim.h"
#include "base/checked.h"

#include <stdio.h>
#include <string.h>

void mbr_dim_table_init(mbr_dim_table *t, mbr_memory *memory)
{
    memset(t, 0, sizeof *t);
    t->memory = memory;
}

void mbr_dim_table_destroy(mbr_dim_table *t)
{
    mbr_free(t->memory, t->exprs);
    mbr_free(t->memory, t->buckets);
    t->exprs = NULL;
    t->buckets = NULL;
    t->n = t->capacity = t->buckets_capacity = 0;
}

static mbr_dim handle(size_t index)
{
    return INT64_MIN + 1 + (int64_t)index;
}

static uint64_t hash_expr(const mbr_dim_expr *e)
{
    uint64_t h = 14695981039346656037u ^ (uint64_t)e->op;
    h = (h ^ (uint64_t)e->a) * 1099511628211u;
    h = (h ^ (h >> 29) ^ (uint64_t)e->b) * 1099511628211u;
    return h ^ (h >> 32);
}

static bool same_expr(const mbr_dim_expr *x, const mbr_dim_expr *y)
{
    if (x->op != y->op)
        return false;
    if (x->op == MBR_DIM_SYMBOL)
        return x->name && y->name && strcmp(x->name, y->name) == 0;
    return x->a == y->a && x->b == y->b;
}

static bool rehash(mbr_dim_table *t)
{
    size_t room = t->buckets_capacity ? t->buckets_capacity * 2 : 64;
    uint32_t *buckets = mbr_calloc(t->memory, room, sizeof *buckets);
    if (!buckets)
        return false;
    for (size_t i = 0; i < t->n; i++) {
        if (t->exprs[i].op == MBR_DIM_SYMBOL)
            continue;
        size_t at = (size_t)hash_expr(&t->exprs[i]) & (room - 1);
        while (buckets[at])
            at = (at + 1) & (room - 1);
        buckets[at] = (uint32_t)i + 1;
    }
    mbr_free(t->memory, t->buckets);
    t->buckets = buckets;
    t->buckets_capacity = room;
    return true;
}

static int64_t lower_bound(const mbr_dim_table *t, const mbr_dim_expr *e);

/* Appends an expression that is not there yet. */
static mbr_dim append(mbr_dim_table *t, const mbr_dim_expr *e)
{
    if (t->n == t->capacity) {
        size_t room = t->capacity ? t->capacity * 2 : 32;
        mbr_dim_expr *exprs = mbr_grow(t->memory, t->exprs, t->n * sizeof *exprs, room * sizeof *exprs);
        if (!exprs)
            return MBR_DIM_UNKNOWN;
        t->exprs = exprs;
        t->capacity = room;
    }
    if ((int64_t)t->n >= INT32_MAX)
        return MBR_DIM_UNKNOWN;
    t->exprs[t->n] = *e;
    t->exprs[t->n].low = lower_bound(t, e);
    uint32_t sa = mbr_dim_scope(t, e->a), sb = mbr_dim_scope(t, e->b);
    t->exprs[t->n].scope = e->op == MBR_DIM_SYMBOL ? t->scope : sa > sb ? sa : sb;
    return handle(t->n++);
}

static mbr_dim intern(mbr_dim_table *t, const mbr_dim_expr *e)
{
    if (t->n * 2 >= t->buckets_capacity && !rehash(t))
        return MBR_DIM_UNKNOWN;
    size_t at = (size_t)hash_expr(e) & (t->buckets_capacity - 1);
    while (t->buckets[at]) {
        if (same_expr(&t->exprs[t->buckets[at] - 1], e))
            return handle(t->buckets[at] - 1);
        at = (at + 1) & (t->buckets_capacity - 1);
    }
    mbr_dim d = append(t, e);
    if (mbr_dim_is_known(d))
        t->buckets[at] = (uint32_t)t->n;
    return d;
}

bool mbr_dim_table_restore(mbr_dim_table *t, const mbr_dim_expr *e)
{
    mbr_dim d = e->op == MBR_DIM_SYMBOL ? append(t, e) : intern(t, e);
    if (!mbr_dim_is_known(d))
        return false;
    t->exprs[mbr_dim_index(d)] = *e;
    return true;
}

mbr_dim mbr_dim_symbol(mbr_dim_table *t, const char *name)
{
    mbr_dim_expr e = { .op = MBR_DIM_SYMBOL, .name = name };
    if (name)
        for (size_t i = 0; i < t->n; i++)
            if (same_expr(&t->exprs[i], &e))
                return handle(i);
    return append(t, &e);
}

/* The operation on plain numbers; false on overflow and division by zero. */
static bool compute(mbr_dim_op op, int64_t a, int64_t b, int64_t *v)
{
    switch (op) {
    case MBR_DIM_ADD:
        return mbr_add_i64(a, b, v);
    case MBR_DIM_SUB:
        return b != INT64_MIN && mbr_add_i64(a, -b, v);
    case MBR_DIM_MUL:
        return mbr_mul_i64(a, b, v);
    case MBR_DIM_FLOOR_DIV:
    case MBR_DIM_MOD: {
        if (b == 0 || (a == INT64_MIN && b == -1))
            return false;
        int64_t q = a / b, r = a % b;
        if (r != 0 && (r < 0) != (b < 0)) {
            q--;
            r += b;
        }
        *v = op == MBR_DIM_MOD ? r : q;
        return true;
    }
    case MBR_DIM_MIN:
        *v = a < b ? a : b;
        return true;
    case MBR_DIM_MAX:
        *v = a > b ? a : b;
        return true;
    case MBR_DIM_BROADCAST:
        *v = a == 1 ? b : a;
        return a == b || a == 1 || b == 1;
    case MBR_DIM_SYMBOL:
        break;
    }
    return false;
}

static const mbr_dim_expr *expr_of(const mbr_dim_table *t, mbr_dim d)
{
    return mbr_dim_is_expr(d) ? &t->exprs[mbr_dim_index(d)] : NULL;
}

/* d = base + constant: splits; base is 0 for a plain number. */
static mbr_dim split_sum(const mbr_dim_table *t, mbr_dim d, int64_t *offset)
{
    *offset = 0;
    if (mbr_dim_is_const(d)) {
        *offset = d;
        return 0;
    }
    const mbr_dim_expr *e = expr_of(t, d);
    if (e->op == MBR_DIM_ADD && mbr_dim_is_const(e->b)) {
        *offset = e->b;
        return e->a;
    }
    return d;
}

/* d = base * constant: splits; base is 1 for a plain number. */
static mbr_dim split_product(const mbr_dim_table *t, mbr_dim d, int64_t *factor)
{
    *factor = 1;
    if (mbr_dim_is_const(d)) {
        *factor = d;
        return 1;
    }
    const mbr_dim_expr *e = expr_of(t, d);
    if (e->op == MBR_DIM_MUL && mbr_dim_is_const(e->b)) {
        *factor = e->b;
        return e->a;
    }
    return d;
}

static bool ordered(mbr_dim a, mbr_dim b)
{
    /* constants last, else older handles first */
    return mbr_dim_is_const(a) ? mbr_dim_is_const(b) && a <= b : mbr_dim_is_const(b) || a <= b;
}

static mbr_dim make_raw(mbr_dim_table *t, mbr_dim_op op, mbr_dim a, mbr_dim b)
{
    mbr_dim_expr e = { .op = op, .a = a, .b = b };
    return intern(t, &e);
}

static mbr_dim make_add(mbr_dim_table *t, mbr_dim a, mbr_dim b)
{
    int64_t ca, cb, c;
    mbr_dim x = split_sum(t, a, &ca), y = split_sum(t, b, &cb);
    if (!mbr_add_i64(ca, cb, &c))
        return MBR_DIM_UNKNOWN;
    const mbr_dim_expr *ex = expr_of(t, x), *ey = expr_of(t, y);
    mbr_dim sum;
    if (x == 0)
        sum = y;
    else if (y == 0)
        sum = x;
    else if (ex && ex->op == MBR_DIM_SUB && ex->b == y) /* (p - y) + y */
        sum = ex->a;
    else if (ey && ey->op == MBR_DIM_SUB && ey->b == x)
        sum = ey->a;
    else if (x == y)
        sum = mbr_dim_make(t, MBR_DIM_MUL, x, 2);
    else {
        int64_t fx, fy, f;
        mbr_dim bx = split_product(t, x, &fx), by = split_product(t, y, &fy);
        if (bx == by && mbr_add_i64(fx, fy, &f))
            sum = mbr_dim_make(t, MBR_DIM_MUL, bx, f);
        else
            sum = ordered(x, y) ? make_raw(t, MBR_DIM_ADD, x, y) : make_raw(t, MBR_DIM_ADD, y, x);
    }
    if (!mbr_dim_is_known(sum) || c == 0)
        return sum;
    return mbr_dim_is_const(sum) ? mbr_dim_make(t, MBR_DIM_ADD, sum, c) : make_raw(t, MBR_DIM_ADD, sum, c);
}

static mbr_dim make_sub(mbr_dim_table *t, mbr_dim a, mbr_dim b)
{
    if (a == b)
        return 0;
    if (mbr_dim_is_const(b))
        return b == INT64_MIN ? MBR_DIM_UNKNOWN : make_add(t, a, -b);
    int64_t ca, cb, c;
    mbr_dim x = split_sum(t, a, &ca), y = split_sum(t, b, &cb);
    if (cb == INT64_MIN || !mbr_add_i64(ca, -cb, &c))
        return MBR_DIM_UNKNOWN;
    const mbr_dim_expr *ex = expr_of(t, x);
    mbr_dim rest;
    if (x == y)
        rest = 0;
    else if (ex && ex->op == MBR_DIM_ADD && ex->a == y) /* (y + q) - y */
        rest = ex->b;
    else if (ex && ex->op == MBR_DIM_ADD && ex->b == y)
        rest = ex->a;
    else
        rest = make_raw(t, MBR_DIM_SUB, x, y);
    return c == 0 || !mbr_dim_is_known(rest) ? rest : mbr_dim_make(t, MBR_DIM_ADD, rest, c);
}

static mbr_dim make_mul(mbr_dim_table *t, mbr_dim a, mbr_dim b)
{
    int64_t fa, fb, f;
    mbr_dim x = split_product(t, a, &fa), y = split_product(t, b, &fb);
    if (!mbr_mul_i64(fa, fb, &f))
        return MBR_DIM_UNKNOWN;
    if (f == 0)
        return 0;
    mbr_dim product = x == 1 ? y : y == 1 ? x : ordered(x, y) ? make_raw(t, MBR_DIM_MUL, x, y)
                                                               : make_raw(t, MBR_DIM_MUL, y, x);
    if (!mbr_dim_is_known(product) || f == 1)
        return product;
    return product == 1 ? f : make_raw(t, MBR_DIM_MUL, product, f);
}

/* True if d is a product that contains factor; *rest is what remains. */
static bool take_factor(mbr_dim_table *t, mbr_dim d, mbr_dim factor, mbr_dim *rest, int depth)
{
    if (d == factor) {
        *rest = 1;
        return true;
    }
    const mbr_dim_expr *e = expr_of(t, d);
    if (!e || e->op != MBR_DIM_MUL || depth > 8)
        return false;
    mbr_dim a = e->a, b = e->b, inner;
    if (take_factor(t, a, factor, &inner, depth + 1)) {
        *rest = mbr_dim_make(t, MBR_DIM_MUL, inner, b);
        return true;
    }
    if (take_factor(t, b, factor, &inner, depth + 1)) {
        *rest = mbr_dim_make(t, MBR_DIM_MUL, a, inner);
        return true;
    }
    return false;
}

static mbr_dim make_div(mbr_dim_table *t, mbr_dim a, mbr_dim b)
{
    int64_t f;
    mbr_dim rest;
    if (b == 1 || a == 0)
        return a;
    mbr_dim base = split_product(t, a, &f);
    if (mbr_dim_is_const(b)) {
        if (b > 0 && f % b == 0)
            return mbr_dim_make(t, MBR_DIM_MUL, base, f / b);
        const mbr_dim_expr *e = expr_of(t, a);
        if (b > 0 && e && e->op == MBR_DIM_ADD && mbr_dim_is_const(e->b)) { /* (k*b*x + c) / b = k*x + c/b */
            int64_t g;
            mbr_dim x = e->a, c = e->b, y = split_product(t, x, &g);
            int64_t q;
            if (g % b == 0 && compute(MBR_DIM_FLOOR_DIV, c, b, &q))
                return mbr_dim_make(t, MBR_DIM_ADD, mbr_dim_make(t, MBR_DIM_MUL, y, g / b), q);
        }
    } else {
        /* a division by a size that is zero fails the evaluation, unless the size cancels */
        int64_t g;
        mbr_dim divisor = split_product(t, b, &g);
        if (g != 0 && f % g == 0 && take_factor(t, base, divisor, &rest, 0))
            return mbr_dim_make(t, MBR_DIM_MUL, rest, f / g);
        const mbr_dim_expr *e = expr_of(t, divisor);
        if (e && e->op == MBR_DIM_MUL && g != 0 && f % g == 0) { /* a / (p * q) */
            mbr_dim p = e->a, q = e->b;
            if (take_factor(t, base, p, &rest, 0))
                return make_div(t, mbr_dim_make(t, MBR_DIM_MUL, rest, f / g), q);
        }
    }
    return make_raw(t, MBR_DIM_FLOOR_DIV, a, b);
}

/* Is a <= b for certain? */
static bool at_most(const mbr_dim_table *t, mbr_dim a, mbr_dim b)
{
    int64_t ca, cb;
    mbr_dim x = split_sum(t, a, &ca), y = split_sum(t, b, &cb);
    if (x == y)
        return ca <= cb;
    if (mbr_dim_is_const(a)) {
        int64_t low = mbr_dim_lower_bound(t, b);
        return a <= low;
    }
    const mbr_dim_expr *ey = expr_of(t, y);
    if (ey && ey->op == MBR_DIM_ADD && ca <= cb) /* x + ca <= x + q + cb for q >= 0 */
        return (ey->a == x && mbr_dim_lower_bound(t, ey->b) >= 0) ||
               (ey->b == x && mbr_dim_lower_bound(t, ey->a) >= 0);
    const mbr_dim_expr *ex = expr_of(t, x);
    if (ex && ex->op == MBR_DIM_MIN && ca <= cb)
        return ex->a == y || ex->b == y;
    if (ex && ex->op == MBR_DIM_SUB && ca <= cb) /* p - q <= p for q >= 0 */
        return ex->a == y && mbr_dim_lower_bound(t, ex->b) >= 0;
    return false;
}

int64_t mbr_dim_lower_bound(const mbr_dim_table *t, mbr_dim d)
{
    if (mbr_dim_is_const(d))
        return d;
    const mbr_dim_expr *e = expr_of(t, d);
    return e ? e->low : INT64_MIN;
}

/* The bound of an expression from the bounds of its operands. */
static int64_t lower_bound(const mbr_dim_table *t, const mbr_dim_expr *e)
{
    int64_t a = mbr_dim_lower_bound(t, e->a), b = mbr_dim_lower_bound(t, e->b), v;
    switch (e->op) {
    case MBR_DIM_SYMBOL:
    case MBR_DIM_BROADCAST:
        return 0;
    case MBR_DIM_ADD:
        return a == INT64_MIN || b == INT64_MIN || !mbr_add_i64(a, b, &v) ? INT64_MIN : v;
    case MBR_DIM_SUB:
        return at_most(t, e->b, e->a) ? 0 : INT64_MIN;
    case MBR_DIM_MUL:
        return a >= 0 && b >= 0 && mbr_mul_i64(a, b, &v) ? v : INT64_MIN;
    case MBR_DIM_FLOOR_DIV:
        return a >= 0 && b >= 0 ? 0 : INT64_MIN;
    case MBR_DIM_MOD:
        return b >= 0 ? 0 : INT64_MIN;
    case MBR_DIM_MIN:
        return a < b ? a : b;
    case MBR_DIM_MAX:
        return a > b ? a : b;
    }
    return INT64_MIN;
}

mbr_dim mbr_dim_make(mbr_dim_table *t, mbr_dim_op op, mbr_dim a, mbr_dim b)
{
    if (!mbr_dim_is_known(a) || !mbr_dim_is_known(b))
        return MBR_DIM_UNKNOWN;
    if (mbr_dim_is_const(a) && mbr_dim_is_const(b)) {
        int64_t v;
        return compute(op, a, b, &v) && mbr_dim_is_const(v) ? v : MBR_DIM_UNKNOWN;
    }
    if (!t)
        return MBR_DIM_UNKNOWN;
    switch (op) {
    case MBR_DIM_ADD:
        return make_add(t, a, b);
    case MBR_DIM_SUB:
        return make_sub(t, a, b);
    case MBR_DIM_MUL:
        return make_mul(t, a, b);
    case MBR_DIM_FLOOR_DIV:
        return b == 0 ? MBR_DIM_UNKNOWN : make_div(t, a, b);
    case MBR_DIM_MOD:
        if (b == 0)
            return MBR_DIM_UNKNOWN;
        return b == 1 || a == b ? 0 : make_raw(t, op, a, b);
    case MBR_DIM_MIN:
    case MBR_DIM_MAX:
        if (at_most(t, a, b))
            return op == MBR_DIM_MIN ? a : b;
        if (at_most(t, b, a))
            return op == MBR_DIM_MIN ? b : a;
        return ordered(a, b) ? make_raw(t, op, a, b) : make_raw(t, op, b, a);
    case MBR_DIM_BROADCAST:
        if (a == b || b == 1)
            return a;
        if (a == 1)
            return b;
        if (mbr_dim_is_const(a) && a > 1) /* the other must be this or 1 */
            return a;
        if (mbr_dim_is_const(b) && b > 1)
            return b;
        return ordered(a, b) ? make_raw(t, op, a, b) : make_raw(t, op, b, a);
    case MBR_DIM_SYMBOL:
        break;
    }
    return MBR_DIM_UNKNOWN;
}

mbr_status mbr_dim_table_eval(const mbr_dim_table *t, uint32_t scope, int64_t *values, mbr_error *err)
{
    for (size_t i = 0; i < t->n; i++) {
        const mbr_dim_expr *e = &t->exprs[i];
        if (e->op == MBR_DIM_SYMBOL || e->scope != scope)
            continue;
        int64_t a = mbr_dim_value(e->a, values), b = mbr_dim_value(e->b, values);
        if (compute(e->op, a, b, &values[i]))
            continue;
        if (e->op == MBR_DIM_BROADCAST || e->op == MBR_DIM_MOD || e->op == MBR_DIM_FLOOR_DIV) {
            values[i] = -1;
            continue;
        }
        return mbr_fail(err, MBR_ERR_INPUT, "a size computed from the input shapes overflows (%lld and %lld)",
                        (long long)a, (long long)b);
    }
    return MBR_OK;
}

static size_t put(char *text, size_t size, size_t at, const char *s)
{
    for (; *s; s++, at++)
        if (at + 1 < size)
            text[at] = *s;
    return at;
}

/* As it is where it cannot be taken for anything else ("batch"), else in quotes ("past + 1"). */
static size_t put_name(char *text, size_t size, size_t at, const char *name)
{
    bool plain = (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') || *name == '_';
    for (const char *c = name; *c && plain; c++)
        plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || *c == '_' ||
                *c == '.' || *c == '/' || *c == '-';
    if (plain)
        return put(text, size, at, name);
    at = put(text, size, at, "\"");
    for (; *name; name++) {
        char c[3] = { '\\', *name, '\0' };
        at = put(text, size, at, *name == '"' || *name == '\\' ? c : c + 1);
    }
    return put(text, size, at, "\"");
}

static size_t print_at(const mbr_dim_table *t, mbr_dim d, char *text, size_t size, size_t at, int depth)
{
    static const char *const infix[] = {
        [MBR_DIM_ADD] = " + ", [MBR_DIM_SUB] = " - ", [MBR_DIM_MUL] = " * ", [MBR_DIM_FLOOR_DIV] = " / ",
        [MBR_DIM_MOD] = " % ", [MBR_DIM_MIN] = " min ", [MBR_DIM_MAX] = " max ", [MBR_DIM_BROADCAST] = " bc ",
    };
    char number[32];
    if (!mbr_dim_is_known(d) || depth > 30)
        return put(text, size, at, "?");
    if (mbr_dim_is_const(d)) {
        snprintf(number, sizeof number, "%lld", (long long)d);
        return put(text, size, at, number);
    }
    const mbr_dim_expr *e = expr_of(t, d);
    if (e->op == MBR_DIM_SYMBOL) {
        if (e->name)
            return put_name(text, size, at, e->name);
        snprintf(number, sizeof number, "s%zu", mbr_dim_index(d));
        return put(text, size, at, number);
    }
    at = put(text, size, at, "(");
    at = print_at(t, e->a, text, size, at, depth + 1);
    at = put(text, size, at, infix[e->op]);
    at = print_at(t, e->b, text, size, at, depth + 1);
    return put(text, size, at, ")");
}

int mbr_dim_print(const mbr_dim_table *t, mbr_dim d, char *text, size_t size)
{
    size_t n = print_at(t, d, text, size, 0, 0);
    if (size)
        text[n < size ? n : size - 1] = '\0';
    return (int)n;
}
