/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Strided copies: rows that are contiguous on both sides, broadcasts, and transpositions in registers. A file defines
 * MBR_COPY_NAME and includes this; the vectors come from the compiler's extensions.
 */
#include "kernels/transpose_walk.h"

#include <string.h>
#ifdef __AVX2__
#include <immintrin.h>
#endif

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

/*
 * A square of 4-byte elements: `in` holds its columns, in_step bytes apart, out its rows, out_step bytes apart.
 */
#ifdef __AVX2__
#define COPY_SQUARE 8
static inline void copy_square(const char *in, ptrdiff_t in_step, char *out, ptrdiff_t out_step)
{
    __m256 a[8], b[8];
    for (int i = 0; i < 8; i++)
        a[i] = _mm256_loadu_ps((const float *)(const void *)(in + i * in_step));
    for (int i = 0; i < 8; i += 2) {
        b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
        b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        a[i] = _mm256_shuffle_ps(b[i], b[i + 2], 0x44);
        a[i + 1] = _mm256_shuffle_ps(b[i], b[i + 2], 0xee);
        a[i + 2] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0x44);
        a[i + 3] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0xee);
    }
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps((float *)(void *)(out + i * out_step), _mm256_permute2f128_ps(a[i], a[i + 4], 0x20));
        _mm256_storeu_ps((float *)(void *)(out + (i + 4) * out_step), _mm256_permute2f128_ps(a[i], a[i + 4], 0x31));
    }
}
#else
#define COPY_SQUARE 4
typedef uint32_t copy_vec __attribute__((vector_size(16)));
#if defined(__clang__)
#define COPY_SHUFFLE(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
#define COPY_SHUFFLE(a, b, i, j, k, l) __builtin_shuffle(a, b, (copy_vec){i, j, k, l})
#endif
static inline void copy_square(const char *in, ptrdiff_t in_step, char *out, ptrdiff_t out_step)
{
    copy_vec a[4], b[4], r;
    for (int i = 0; i < 4; i++)
        memcpy(&a[i], in + i * in_step, sizeof a[i]);
    for (int i = 0; i < 4; i += 2) {
        b[i] = COPY_SHUFFLE(a[i], a[i + 1], 0, 4, 1, 5);
        b[i + 1] = COPY_SHUFFLE(a[i], a[i + 1], 2, 6, 3, 7);
    }
    for (int i = 0; i < 2; i++) {
        r = COPY_SHUFFLE(b[i], b[i + 2], 0, 1, 4, 5);
        memcpy(out + 2 * i * out_step, &r, sizeof r);
        r = COPY_SHUFFLE(b[i], b[i + 2], 2, 3, 6, 7);
        memcpy(out + (2 * i + 1) * out_step, &r, sizeof r);
    }
}
#endif

/* 4-byte elements, contiguous along the rows in the input and along the columns in the output. */
static void copy_transpose_4(const mbr_copy_plan *p, const char *in, char *out, size_t rows, size_t cols)
{
    enum { N = COPY_SQUARE, LINE = 16 };
    size_t whole = cols / N * N;
    for (size_t r = 0; r < rows; r += LINE) {
        size_t n = rows - r < LINE ? rows - r : LINE, squares = n / N * N;
        const char *src = in + r * 4;
        char *dst = out + (ptrdiff_t)r * p->out_row;
        for (size_t c = 0; c < whole; c += N) {
            const char *s = src + (ptrdiff_t)c * p->in_col;
            for (size_t k = 0; k < squares; k += N)
                copy_square(s + k * 4, p->in_col, dst + (ptrdiff_t)k * p->out_row + c * 4, p->out_row);
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
