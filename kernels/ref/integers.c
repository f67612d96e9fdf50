/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/integers.h"

#include <string.h>

enum { BLOCK = 512 }; /* numbers at a time: rows, a number as a row and the results stay in the first cache */

/* What is computed of two rows; the rest are these with the rows, or the answer, the other way round. */
typedef enum integer_op { NONE, ADD, SUB, MUL, AND, OR, XOR, EQ, LT } integer_op;

static const struct {
    uint8_t op;
    bool swapped, opposite;
} ways[MBR_BINARY_COUNT] = {
    [MBR_BINARY_ADD] = {ADD, false, false},   [MBR_BINARY_SUB] = {SUB, false, false},
    [MBR_BINARY_MUL] = {MUL, false, false},   [MBR_BINARY_AND] = {AND, false, false},
    [MBR_BINARY_OR] = {OR, false, false},     [MBR_BINARY_XOR] = {XOR, false, false},
    [MBR_BINARY_BITAND] = {AND, false, false}, [MBR_BINARY_BITOR] = {OR, false, false},
    [MBR_BINARY_BITXOR] = {XOR, false, false}, [MBR_BINARY_EQ] = {EQ, false, false},
    [MBR_BINARY_NE] = {EQ, false, true},      [MBR_BINARY_LT] = {LT, false, false},
    [MBR_BINARY_GE] = {LT, false, true},      [MBR_BINARY_GT] = {LT, true, false},
    [MBR_BINARY_LE] = {LT, true, true},
};

typedef union row {
    uint8_t bytes[BLOCK];
    int32_t words[BLOCK];
    int64_t longs[BLOCK];
} row;

#define EACH(expr)                                                                                                     \
    for (size_t i = 0; i < n; i++)                                                                                     \
    expr

/* One type; arithmetic wraps in its unsigned brother. A truth is any byte but 0. */
#define ROWS(type, wide)                                                                                               \
    static void rows_##type(integer_op op, bool opposite, size_t n, const type *restrict a, const type *restrict b,    \
                            void *restrict out)                                                                        \
    {                                                                                                                  \
        type *restrict to = out;                                                                                       \
        uint8_t *restrict truth = out;                                                                                 \
        switch (op) {                                                                                                  \
        case ADD: EACH(to[i] = (type)((wide)a[i] + (wide)b[i])); break;                                                \
        case SUB: EACH(to[i] = (type)((wide)a[i] - (wide)b[i])); break;                                                \
        case MUL: EACH(to[i] = (type)((wide)a[i] * (wide)b[i])); break;                                                \
        case AND: EACH(to[i] = a[i] & b[i]); break;                                                                    \
        case OR: EACH(to[i] = a[i] | b[i]); break;                                                                     \
        case XOR: EACH(to[i] = a[i] ^ b[i]); break;                                                                    \
        case EQ: EACH(truth[i] = (a[i] == b[i]) ^ opposite); break;                                                    \
        case LT: EACH(truth[i] = (a[i] < b[i]) ^ opposite); break;                                                     \
        case NONE: break;                                                                                              \
        }                                                                                                              \
    }

ROWS(int32_t, uint32_t)
ROWS(int64_t, uint64_t)

static void rows_bool(integer_op op, bool opposite, size_t n, const uint8_t *restrict a, const uint8_t *restrict b,
                      uint8_t *restrict out)
{
    switch (op) {
    case AND: EACH(out[i] = a[i] != 0 && b[i] != 0); break;
    case OR: EACH(out[i] = (a[i] | b[i]) != 0); break;
    case XOR:
    case EQ: EACH(out[i] = ((a[i] != 0) == (b[i] != 0)) ^ (op == XOR || opposite)); break;
    default: break;
    }
}

static void repeat(row *r, const void *number, size_t size, size_t n)
{
    int32_t word;
    int64_t big;
    if (size == sizeof big) {
        memcpy(&big, number, size);
        EACH(r->longs[i] = big);
    } else if (size == sizeof word) {
        memcpy(&word, number, size);
        EACH(r->words[i] = word);
    } else {
        memset(r->bytes, *(const uint8_t *)number, n);
    }
}

static bool covers(mbr_binary_op op, mbr_dtype dtype)
{
    integer_op what = (integer_op)ways[op].op;
    return what != NONE && (dtype == MBR_DTYPE_I32 || dtype == MBR_DTYPE_I64 ||
                            (dtype == MBR_DTYPE_BOOL && what >= AND && what <= EQ));
}

bool mbr_integers_binary(mbr_binary_op op, mbr_dtype dtype, size_t n, const void *a, ptrdiff_t sa, const void *b,
                         ptrdiff_t sb, void *out)
{
    if (n < 8 || (sa != 0 && sa != 1) || (sb != 0 && sb != 1) || !covers(op, dtype))
        return false;
    const char *from[2] = {ways[op].swapped ? b : a, ways[op].swapped ? a : b};
    ptrdiff_t step[2] = {ways[op].swapped ? sb : sa, ways[op].swapped ? sa : sb};
    row rows[2], made;
    size_t size = mbr_dtype_size(dtype), out_size = mbr_binary_gives_bool(op) ? 1 : size;
    size_t most = n < BLOCK ? n : BLOCK;
    for (int k = 0; k < 2; k++)
        if (step[k] == 0) {
            repeat(&rows[k], from[k], size, most);
            from[k] = (const char *)&rows[k];
        }
    for (size_t at = 0; at < n; at += BLOCK) {
        size_t count = n - at < BLOCK ? n - at : BLOCK;
        const void *x = from[0] + at * size * (size_t)step[0], *y = from[1] + at * size * (size_t)step[1];
        if (dtype == MBR_DTYPE_I32)
            rows_int32_t((integer_op)ways[op].op, ways[op].opposite, count, x, y, &made);
        else if (dtype == MBR_DTYPE_I64)
            rows_int64_t((integer_op)ways[op].op, ways[op].opposite, count, x, y, &made);
        else
            rows_bool((integer_op)ways[op].op, ways[op].opposite, count, x, y, made.bytes);
        memcpy((char *)out + at * out_size, &made, count * out_size);
    }
    return true;
}
