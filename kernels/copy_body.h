/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Strided copies: rows that are contiguous on both sides, broadcasts, and transpositions in registers. A file defines
 * MBR_COPY_NAME and includes this; the vectors come from the compiler's extensions.
 */
#include "kernels/simd/square.h"
#include "kernels/transpose_walk.h"

#include <string.h>

/* One row, both sides contiguous; short rows without a call. */
static inline void copy_row(char *out, const char *in, size_t bytes)
{
    if (bytes >= 128) {
        memcpy(out, in, bytes);
        return;
    }
    for (; bytes >= 16; bytes -= 16, in += 16, out += 16)
        memcpy(out, in, 16);
    if (bytes & 8) {
        memcpy(out, in, 8);
        in += 8;
        out += 8;
    }
    if (bytes & 4) {
        memcpy(out, in, 4);
        in += 4;
        out += 4;
    }
    for (bytes &= 3; bytes; bytes--)
        *out++ = *in++;
}

/* The loops of a fixed element size; in and out step by any number of bytes. */
#define COPY_LOOP(bytes)                                                                                               \
    static void copy_loop_##bytes(const mbr_copy_plan *p, const char *in, char *out, size_t rows, size_t cols)         \
    {                                                                                                                  \
        for (size_t r = 0; r < rows; r++, in += p->in_row, out += p->out_row) {                                        \
            const char *s = in;                                                                                        \
            char *d = out;                                                                                             \
            for (size_t c = 0; c < cols; c++, s += p->in_col, d += p->out_col)                                         \
                memcpy(d, s, bytes);                                                                                   \
        }                                                                                                              \
    }                                                                                                                  \
    /* The same on squares, so that a line read is used whole before it leaves the cache. */                           \
    static void copy_squares_##bytes(const mbr_copy_plan *p, const char *in, char *out, size_t rows, size_t cols)      \
    {                                                                                                                  \
        for (size_t r = 0; r < rows; r += 16)                                                                          \
            for (size_t c = 0; c < cols; c += 16)                                                                      \
                copy_loop_##bytes(p, in + (ptrdiff_t)r * p->in_row + (ptrdiff_t)c * p->in_col,                         \
                                  out + (ptrdiff_t)r * p->out_row + (ptrdiff_t)c * p->out_col,                         \
                                  rows - r < 16 ? rows - r : 16, cols - c < 16 ? cols - c : 16);                       \
    }
COPY_LOOP(1)
COPY_LOOP(2)
COPY_LOOP(4)
COPY_LOOP(8)
COPY_LOOP(16)
#undef COPY_LOOP

/* 4-byte elements, contiguous along the rows in the input and along the columns in the output. */
static void copy_transpose_4(const mbr_copy_plan *p, const char *in, char *out, size_t rows, size_t cols)
{
    enum { N = MBR_SQUARE, LINE = 16 };
    size_t whole = cols / N * N;
    for (size_t r = 0; r < rows; r += LINE) {
        size_t n = rows - r < LINE ? rows - r : LINE, squares = n / N * N;
        const char *src = in + r * 4;
        char *dst = out + (ptrdiff_t)r * p->out_row;
        for (size_t c = 0; c < whole; c += N) {
            const char *s = src + (ptrdiff_t)c * p->in_col;
            for (size_t k = 0; k < squares; k += N)
                mbr_square(s + k * 4, p->in_col, dst + (ptrdiff_t)k * p->out_row + c * 4, p->out_row);
        }
        if (squares < n)
            copy_loop_4(p, src + squares * 4, dst + (ptrdiff_t)squares * p->out_row, n - squares, whole);
        if (whole < cols)
            copy_loop_4(p, src + (ptrdiff_t)whole * p->in_col, dst + whole * 4, n, cols - whole);
    }
}

static void copy_block(const mbr_copy_plan *p, const char *in, char *out, size_t rows, size_t cols)
{
    ptrdiff_t size = (ptrdiff_t)p->size;
    if (p->out_col == size && p->in_col == size) {
        for (size_t r = 0; r < rows; r++, in += p->in_row, out += p->out_row)
            copy_row(out, in, cols * p->size);
        return;
    }
    if (p->out_col == size && p->in_col == 0 && cols > 8) {
        for (size_t r = 0; r < rows; r++, in += p->in_row, out += p->out_row)
            mbr_fill(p->size, in, out, cols);
        return;
    }
    if (p->size == 4 && p->out_col == 4 && p->in_row == 4) {
        copy_transpose_4(p, in, out, rows, cols);
        return;
    }
    bool squares = p->in_row == size && p->out_col == size;
    switch (p->size) {
    case 1: (squares ? copy_squares_1 : copy_loop_1)(p, in, out, rows, cols); break;
    case 2: (squares ? copy_squares_2 : copy_loop_2)(p, in, out, rows, cols); break;
    case 4: (squares ? copy_squares_4 : copy_loop_4)(p, in, out, rows, cols); break;
    case 8: (squares ? copy_squares_8 : copy_loop_8)(p, in, out, rows, cols); break;
    default: (squares ? copy_squares_16 : copy_loop_16)(p, in, out, rows, cols); break;
    }
}

void MBR_COPY_NAME(const mbr_copy_plan *plan, const void *in, void *out, size_t first, size_t last)
{
    copy_run(plan, in, out, first, last, copy_block);
}
